//! What may be typed: parsing only validates, nothing here touches the world.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};

use crate::plot::Form;
use crate::precision::Precision;
use crate::pretrain::PretrainArgs;
use crate::tensors::Stored;

/// GPT-NeoX models from token shards: trained, resumed with the same bits, evaluated, exported.
#[derive(Debug, Parser)]
#[command(name = "redpajama-train", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed, worth another try · 2 wrong usage · 64 wrong configuration · \
                          65 damaged file · 130 interrupted";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model, or go on where the same command was stopped
    Pretrain(PretrainArgs),
    /// Say what `pretrain` would do, and the memory, disk and time that it would take
    Plan(PretrainArgs),
    /// The loss of held-out windows or of whole slices, with perplexity and bits per byte of their text (`~` before
    /// it: where no tokenizer says how many bytes a token has, as many as the slice's have in the mean)
    Eval(EvalArgs),
    /// Go on with a text, or with tokens
    Generate(GenerateArgs),
    /// Read a model of Hugging Face's, in one file or several and of any width, and write it as one of ours
    Import(ImportArgs),
    /// Write a model as Hugging Face's libraries load it
    Export(ExportArgs),
    /// Draw the losses of runs, of all tokens and of each slice, as SVG or PNG
    Plot(PlotArgs),
    /// Measure steps of a model on this machine, on tokens that mean nothing
    Bench(BenchArgs),
    /// List the keys of a run: what each is, its unit, what holds without it, what it does
    Keys(KeysArgs),
    /// Say what this machine has to train with
    Doctor,
}

/// What is evaluated on what.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A run's folder, of which the latest checkpoint is taken, or a model's
    pub model: PathBuf,
    /// The run in YAML, whose `data` and `sequence` are taken. Windows that the model's run was trained on are
    /// refused where they would count as held out
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Evaluate every token, as of a corpus for testing, not the windows that are held out. The table says of
    /// which the model's run was trained
    #[arg(long)]
    pub all: bool,
    /// A `tokenizer.json` whose ids the model is said to know, or the folder of one [default: the model's own]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Set a key of it
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How many threads compute [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// What is said.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// A run's folder, of which the latest checkpoint is taken, or a model's
    pub model: PathBuf,
    /// The text to go on with; what comes is printed as text. Nothing (`""`) begins a document
    #[arg(long, value_name = "TEXT", required_unless_present = "ids")]
    pub prompt: Option<String>,
    /// The tokens to go on with; what comes is printed as tokens
    #[arg(long, value_name = "ID", value_delimiter = ',', conflicts_with = "prompt")]
    pub ids: Vec<u32>,
    /// A `tokenizer.json`, or the folder of one [default: the model's own]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Tokens at most [default: 64, or as many as the model's longest text has room for]. It ends
    /// sooner where the model ends the document
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,
    /// Write the logits of every position of the prompt, as a NumPy array of `f32`: a row of the
    /// vocabulary for each token
    #[arg(long, value_name = "FILE.npy")]
    pub logits: Option<PathBuf>,
    /// How many times to go on with it; the second draws from the next seed, and so on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// 0 takes the likeliest token each time, 1 draws as the model says
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = temperature)]
    pub temperature: f64,
    /// Draw among so many of the likeliest; 0 for all
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub top_k: usize,
    /// Draw among the likeliest that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = probability)]
    pub top_p: f64,
    /// What chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How many threads compute [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

fn temperature(word: &str) -> Result<f64, String> {
    let value: f64 = word.parse().map_err(|_| "expected a number".to_owned())?;
    if value >= 0.0 && value.is_finite() { Ok(value) } else { Err("expected a number from 0".to_owned()) }
}

fn probability(word: &str) -> Result<f64, String> {
    let value: f64 = word.parse().map_err(|_| "expected a number".to_owned())?;
    if value > 0.0 && value <= 1.0 { Ok(value) } else { Err("expected a number above 0, at most 1".to_owned()) }
}

/// What is imported.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The folder: `config.json`, `model.safetensors` or its parts with their index
    pub model: PathBuf,
    /// Where to write
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
}

/// What is exported.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run's folder, of which the latest checkpoint is taken, or a model's
    pub model: PathBuf,
    /// Where to write
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// How numbers are stored
    #[arg(long, value_name = "WIDTH", default_value = "f32")]
    pub dtype: Stored,
    /// Bytes of a file at most, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4768, value_parser = clap::value_parser!(u64).range(1..))]
    pub file_size: u64,
    /// A `tokenizer.json`, or a folder with the files of a tokenizer
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// A preset, a `config.json` or the folder of one
    pub model: String,
    /// Tokens of a sequence
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub sequence: u32,
    /// Sequences of a step
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Steps that are measured, after one that is not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// What is stored between kernels
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    pub precision: Precision,
    /// How many threads compute [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Measure steps although they need more memory than this machine has
    #[arg(long)]
    pub overcommit: bool,
}

/// Which keys are told.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// One of them, or the map that they stand in; all if nothing is said
    pub name: Option<String>,
    /// As the docs page has it
    #[arg(long, conflicts_with = "name")]
    pub markdown: bool,
}

/// What is drawn.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// The folders of runs
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The file to write, which ends in `.svg` or `.png` [default: SVG on standard output]
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(picture))]
    pub output: Option<(PathBuf, Form)>,
}

fn picture(path: PathBuf) -> Result<(PathBuf, Form), &'static str> {
    let form = Form::of(&path).ok_or("pictures end in `.svg` or `.png`")?;
    Ok((path, form))
}
