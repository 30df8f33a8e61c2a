//! Makes a corpus of which we know what is like what, and reports what a dedup makes of it.
//!
//! ```text
//! cargo run --release --example truth -- generate target/truth/raw --megabytes 60
//! cargo run --release --example truth -- generate target/truth/crowd --crowd 400
//! cargo run --release --example truth -- report target/truth/raw --stage 'minhash_dedup: {}'
//! ```
//!
//! The report is Markdown. It ends with exit code 1 if a document went that should not have, or if
//! recall at the threshold is below `--recall`.
// Only the report speaks to the user, and this is one.
#![allow(clippy::print_stdout)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[path = "../tests/truth/mod.rs"]
mod truth;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fill a folder with raw files of C4
    Generate {
        folder: PathBuf,
        /// Text to make
        #[arg(long, default_value_t = 60)]
        megabytes: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(long, default_value_t = 8)]
        files: usize,
        /// Instead, so many pairs of pages that all have one template
        #[arg(long)]
        crowd: Option<usize>,
    },
    /// Build such a folder with one dedup, and hold what it removed against all pairs
    Report {
        raw: PathBuf,
        #[arg(long, default_value = "minhash_dedup: {}")]
        stage: String,
        /// The similarity from which on a document should go
        #[arg(long, default_value_t = 0.8)]
        threshold: f64,
        /// The least share of those that must go
        #[arg(long, default_value_t = 0.98)]
        recall: f64,
        #[arg(long, default_value = "target/release/redpajama")]
        redpajama: PathBuf,
        /// Where to build
        #[arg(long, default_value = "target/truth/out")]
        out: PathBuf,
    },
}

fn main() -> io::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Generate { folder, megabytes, seed, files, crowd } => {
            let size = match crowd {
                Some(pairs) => truth::generate::generate_crowd(&folder, seed, pairs, files)?,
                None => truth::generate::generate(&folder, seed, megabytes * 1_000_000, files)?,
            };
            println!("{} documents, {:.1} MB of text", size.documents, size.text_bytes as f64 / 1e6);
            Ok(ExitCode::SUCCESS)
        }
        Command::Report { raw, stage, threshold, recall, redpajama, out } => {
            let report = truth::report::report(&redpajama, &raw, &out, &stage, threshold)?;
            print!("## `{stage}`\n\n{}", report.words());
            let (faults, found) = (report.faults(), report.recall(threshold));
            println!("recall at {threshold} and above: {found:.4}");
            for fault in &faults {
                println!("FAULT: {fault}");
            }
            let right = faults.is_empty() && found >= recall;
            Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
