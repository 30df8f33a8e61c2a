//! The `redpajama-train` command: token shards in, models out.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use trainer::cli::{Cli, Command};
use trainer::failure::{Failure, Result};
use trainer::report::say;
use trainer::{commands, generate, keys, pretrain};

fn main() -> ExitCode {
    let ended = match Cli::try_parse() {
        Ok(cli) => run(&cli.command).and_then(|text| print(&text).map(drop)),
        // Help, or wrong usage: clap's own words, with exit code 2.
        Err(words) => {
            let _ = words.print();
            return ExitCode::from(words.exit_code() as u8);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::from(failure.code as u8)
        }
    }
}

/// What a command has to say on standard output.
fn run(command: &Command) -> Result<String> {
    let done = |ended: Result<()>| ended.map(|()| String::new());
    match command {
        Command::Pretrain(args) => done(pretrain::pretrain(args)),
        Command::Plan(args) => commands::plan(args),
        Command::Eval(args) => commands::eval(args),
        Command::Generate(args) => done(generate::generate(args, &mut print)),
        Command::Import(args) => done(commands::import(args)),
        Command::Export(args) => done(commands::export(args)),
        Command::Plot(args) => commands::plot(args),
        Command::Bench(args) => commands::bench(args),
        Command::Keys(args) => keys::tell(args.name.as_deref(), args.markdown),
        Command::Doctor => commands::doctor(),
    }
}

/// Prints; gives whether someone still reads.
fn print(text: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        // A reader that has closed its end (`| head`) has what it wants.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::io("cannot write to", "standard output")(error)),
    }
}
