//! The `redpajama` command: raw files in, packed token shards out.

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::Result;

mod build;
mod cli;
mod doctor;
mod estimate;
mod execute;
mod export;
mod failure;
mod inputs;
mod inspect;
mod ledger;
mod manifest;
mod metrics;
mod pipeline;
mod plan;
mod prepare;
mod progress;
mod publish;
mod report;
mod show_plan;
mod size;
mod task;
mod tell;
mod train_tokenizer;
mod verify;

fn main() -> ExitCode {
    // Wrong usage ends here, with clap's own words and exit code 2.
    let cli = Cli::parse();
    match run(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::say(&report::words(&failure));
            ExitCode::from(failure.code as u8)
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Build(args) => build::build(args),
        Command::Plan(args) => show_plan::plan(args),
        Command::Status(args) => verify::status(args),
        Command::Verify(args) => verify::verify(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Export(args) => export::export(args),
        Command::Stages(args) => tell::stages(args),
        Command::Sources(args) => tell::sources(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Schema => tell::schema(),
        Command::TrainTokenizer(args) => train_tokenizer::train(args),
    }
}
