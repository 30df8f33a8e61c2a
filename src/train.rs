//! `train`: hands a run's shards to `redpajama-train`, a program of its own.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use corpus::catalog::CATALOG;

use crate::cli::TrainArgs;
use crate::failure::{Failure, Result};

const PROGRAM: &str = "redpajama-train";

/// Becomes `redpajama-train pretrain`, so that signals and the exit code are its own; comes back only
/// with why it could not.
pub fn train(args: &TrainArgs) -> Result<()> {
    if !args.run.join(CATALOG).is_file() {
        return Err(Failure::configuration(format!("{} has no {CATALOG}", args.run.display()))
            .hint("name the folder of a run that ended: `redpajama build` writes its catalog last"));
    }
    // It is built and installed beside this program; elsewhere it may be on the path.
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(PROGRAM)));
    let program = beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(PROGRAM));
    // As JSON, which is YAML, whatever the folder's name.
    let from = serde_json::Value::from(args.run.to_string_lossy());
    let mut command = Command::new(&program);
    command.arg("pretrain").arg("--set").arg(format!("data.from={from}"));
    // What it tells the user to type again is this command.
    let own = std::env::args_os().next().unwrap_or_else(|| "redpajama".into());
    for word in [own.as_os_str(), OsStr::new("train"), args.run.as_os_str()] {
        command.arg("--typed").arg(word.to_string_lossy().as_ref());
    }
    let error = command.args(&args.rest).exec();
    Err(Failure::io("cannot start", &program)(error)
        .hint("it is built with `cargo build --release --workspace`: put it beside `redpajama` or on the PATH"))
}
