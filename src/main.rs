//! The `redpajama` command: raw files in, packed token shards out.

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::{Failure, Result};

mod build;
mod cli;
mod clusters;
mod doctor;
mod documents;
mod estimate;
mod execute;
mod export;
mod failure;
mod fetch;
mod inputs;
mod inspect;
mod ledger;
mod manifest;
mod measured;
mod metrics;
mod others;
mod pipeline;
mod plan;
mod prepare;
mod progress;
mod publish;
mod reference_urls;
mod report;
#[cfg(test)]
mod scale;
mod show_plan;
mod size;
mod task;
mod tell;
mod train;
mod train_classifier;
mod train_tokenizer;
mod verify;
mod whatif;

fn main() -> ExitCode {
    let code = match Cli::try_parse() {
        Ok(cli) => match run(&cli.command) {
            Ok(()) => 0,
            Err(failure) => tell(&failure),
        },
        // Help, or wrong usage: clap's own words, with exit code 2.
        Err(words) => {
            if let Err(error) = words.print()
                && !words.use_stderr()
            {
                report::lose(error);
            }
            words.exit_code() as u8
        }
    };
    // What was lost on its way out was not done.
    let lost = report::finish().err().map_or(0, |failure| tell(&failure));
    ExitCode::from(if code == 0 { lost } else { code })
}

fn tell(failure: &Failure) -> u8 {
    report::say(&report::words(failure));
    failure.code as u8
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Build(args) => build::build(args),
        Command::Plan(args) => show_plan::plan(args),
        Command::Fetch(args) => fetch::fetch(args),
        Command::Status(args) => verify::status(args),
        Command::Verify(args) => verify::verify(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Export(args) => export::export(args),
        Command::WhatIf(args) => whatif::whatif(args),
        Command::Stages(args) => tell::stages(args),
        Command::Sources(args) => tell::sources(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Schema => tell::schema(),
        Command::Train(args) => train::train(args),
        Command::TrainTokenizer(args) => train_tokenizer::train(args),
        Command::TrainClassifier(args) => train_classifier::train(args),
        Command::ReferenceUrls(args) => reference_urls::list(args),
    }
}
