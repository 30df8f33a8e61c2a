//! What may be typed: parsing only validates, nothing here touches the world.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::size::Size;

/// Raw files become documents, documents become tokens, tokens become shards; at every step it can
/// say where each one went.
#[derive(Debug, Parser)]
#[command(name = "redpajama", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed, worth another try · 2 wrong usage · 64 wrong configuration · \
                          65 damaged input beyond its allowance, a dedup that takes more than its guard allows, or damaged output · 130 interrupted";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a corpus: plan, run, resume. The same command again goes on where it was stopped
    Build(BuildArgs),
    /// Print what `build` would do: passes, tasks, what is done, what is recomputed and why, and
    /// an estimate of time, memory and disk from a small measured sample
    Plan(PlanArgs),
    /// Bring the raw files of a slice, and models, from their publishers: whole, checked, pinned. The
    /// same command again goes on where it was stopped
    Fetch(FetchArgs),
    /// Say what a run has done so far, and which copies of a document went
    Status(StatusArgs),
    /// Check every file of a run against its digest, and the counts against each other
    Verify(VerifyArgs),
    /// Show the documents or tokens of a file that we wrote, or of a raw file as its source reads it
    Inspect(InspectArgs),
    /// Write the kept documents in another format
    Export(ExportArgs),
    /// Try recipes on a finished run: what each would keep, what each rule removes, how two overlap.
    /// Reads stored signals alone, no texts
    #[command(name = "whatif")]
    WhatIf(WhatIfArgs),
    /// Tell of the stages: options, defaults, where the numbers come from, an example
    Stages(TellArgs),
    /// Tell of the sources: formats, options, why a record is unusable
    Sources(TellArgs),
    /// Look for what is missing on this machine, and say what to do about it
    Doctor(DoctorArgs),
    /// Print the JSON schema of a pipeline file, for editors
    Schema,
    /// Train a byte-level BPE tokenizer on documents, as a Hugging Face `tokenizer.json`
    TrainTokenizer(TrainTokenizerArgs),
    /// Train a classifier of good texts on documents, as a fastText model that `quality` asks, and say
    /// how good it is on texts that it has not seen
    TrainClassifier(TrainClassifierArgs),
    /// List the addresses that a Wikipedia dump cites: what the pages of good texts are chosen by
    ReferenceUrls(ReferenceUrlsArgs),
    /// Train a model on the shards of a run, with `redpajama-train`
    Train(TrainArgs),
}

/// What to build.
#[derive(Clone, Debug, Args)]
pub struct Choice {
    /// A pipeline file, or the name of one that is built in: `github`, `original/github`, …
    #[arg(required_unless_present = "slice")]
    pub pipeline: Option<String>,
    /// Build this slice alone; without PIPELINE, by the pipeline of its name
    #[arg(long, value_name = "NAME")]
    pub slice: Option<String>,
    /// Read these files, folders or globs, in the slice's native formats, instead of what the
    /// pipeline and the manifest name; also addresses (https://, s3://, gs://, hf://), which are read
    /// where they lie
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub input: Vec<String>,
    /// Where to write [default: `out/` and the pipeline's path below `pipelines/`]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// How many threads may compute at once [default: all cores]. The output does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// How much memory to stay under, such as 512M or 8G [default: half of the machine's]. The
    /// output does not depend on it
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Size>,
    /// Read only the first DOCS records of each slice, in manifest order
    #[arg(long, value_name = "DOCS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Set a key of the pipeline: `tokenizer=FILE`, `max_document=4M`,
    /// `stages.line_length.max=500`, `slices.c4.source.require=[text, url]`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the pipeline and its manifests as they would be used, and stop
    #[arg(long)]
    pub print: bool,
    /// Print the result as one JSON object on the last line of standard output
    #[arg(long)]
    pub json: bool,
}

/// `build`.
#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// What to build.
    #[command(flatten)]
    pub choice: Choice,
    /// Keep what passes hand to each other, so that a later change of the last stages is cheap
    #[arg(long)]
    pub keep_between: bool,
    /// Let a corpus of fewer slices, a smaller --limit or less than half the raw bytes, or an empty one, take
    /// the place of a finished one
    #[arg(long)]
    pub replace: bool,
}

/// `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// What to build.
    #[command(flatten)]
    pub choice: Choice,
    /// Leave out the estimate, and with it the measured sample
    #[arg(long)]
    pub no_estimate: bool,
}

/// `fetch`.
#[derive(Clone, Debug, Args)]
pub struct FetchArgs {
    /// Bring the raw files that this slice's manifest names
    #[arg(long, value_name = "NAME")]
    pub slice: Option<String>,
    /// Bring these models of `manifests/models.yaml`; patterns such as 'cc-net-en.*' name several
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub model: Vec<String>,
    /// Take the slice's downloads from this manifest instead of the one that is built in
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Where to write [default: where `build` looks: `raw/` and the slice's name or $REDPAJAMA_RAW,
    /// `models/` or $REDPAJAMA_MODELS]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Only files whose names match this pattern, or one of several
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    pub only: Vec<String>,
    /// Only the first N files, in manifest order
    #[arg(long, value_name = "N", value_parser = limit)]
    pub limit: Option<usize>,
    /// Say how many files and bytes it is, and what it costs, and stop
    #[arg(long)]
    pub plan: bool,
    /// Agree to pay where a publisher's store charges its reader
    #[arg(long)]
    pub pay: bool,
    /// Where a publisher's file is not what was pinned when it was first fetched, take what is there
    /// now, and pin that
    #[arg(long)]
    pub update: bool,
    /// Read files that are there once more, and compare them with what was pinned and with what their
    /// publishers have now
    #[arg(long)]
    pub check: bool,
    /// Most connections to one host at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// Most bytes a second, of all connections together, such as 10M
    #[arg(long, value_name = "SIZE")]
    pub rate: Option<Size>,
    /// How often to try what gets no further, with longer and longer waits between
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,
    /// How many seconds a connection may be silent before it is tried anew
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub patience: u32,
    /// Print the result as one JSON object on the last line of standard output
    #[arg(long)]
    pub json: bool,
}

fn limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "a number of files, from 1".to_owned())
}

/// `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// The folder of a run.
    pub out: PathBuf,
    /// Show the N largest clusters of a finished run: documents that stay, and how many went for each
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    pub clusters: Option<u16>,
    /// Most memory for sorting with --clusters; what is beyond lies in the run's folder as long as it is sorted
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    pub memory: Size,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The folder of a run.
    pub out: PathBuf,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// Files of a run, or raw files, also by address
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// The slice whose source reads a raw file
    #[arg(long, value_name = "NAME")]
    pub slice: Option<String>,
    /// Decode tokens with this `tokenizer.json` [default: the one that the run's plan names]
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// How many documents of each file to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub limit: u64,
    /// How many documents to pass over first
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip: u64,
    /// Show texts whole instead of their first lines
    #[arg(long)]
    pub whole: bool,
    /// Show the bands of each text's MinHash as RedPajama-V2 published them for this similarity: 0.7,
    /// 0.8, 0.9 or 1.0
    #[arg(long, value_name = "SIMILARITY")]
    pub minhash: Option<f64>,
    /// One JSON object a document
    #[arg(long)]
    pub json: bool,
}

/// A format to export to.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// RedPajama's own `{"text", "meta"}` lines, zstd-compressed, byte for byte as the original
    /// wrote them
    Jsonl,
}

/// `export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The folder of a finished run
    pub out: PathBuf,
    /// The format to write
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
    /// The folder to write to [default: OUT/export/jsonl]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

/// `whatif`.
#[derive(Clone, Debug, Args)]
pub struct WhatIfArgs {
    /// The folder of a finished run
    pub out: PathBuf,
    /// Recipes: names of presets (`gopher`, `c4`, `fineweb`, `dclm`, `rp_v1`, `rp_v1_github`, `rp_v2`), or YAML files with what stands
    /// below `keep_if:` in a pipeline
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub keep_if: Vec<String>,
    /// Only these slices
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub slice: Vec<String>,
    /// How many threads may read [default: all cores]. The output does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `stages` and `sources`.
#[derive(Clone, Debug, Args)]
pub struct TellArgs {
    /// One of them; all if nothing is said
    pub name: Option<String>,
    /// As the docs page has it
    #[arg(long)]
    pub markdown: bool,
}

/// `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Also look at what this pipeline needs
    pub pipeline: Option<String>,
}

/// `train`.
#[derive(Clone, Debug, Args)]
pub struct TrainArgs {
    /// The run's folder, with its catalog
    pub run: PathBuf,
    /// What is trained, in YAML, and options of `redpajama-train pretrain`, whose `--help` tells more:
    /// `run.yaml --output runs/first --set steps=100`. Without the YAML one that fits the run is proposed
    #[arg(value_name = "CONFIG|OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<OsString>,
}

/// `train-tokenizer`.
#[derive(Clone, Debug, Args)]
pub struct TrainTokenizerArgs {
    /// Files, folders or globs to learn from: raw files of a slice, or documents that we wrote
    #[arg(required = true)]
    pub input: Vec<String>,
    /// The slice whose source reads raw files
    #[arg(long, value_name = "NAME")]
    pub slice: Option<String>,
    /// How many tokens it may have, special tokens included
    #[arg(long, value_name = "N", default_value_t = 50_257, value_parser = clap::value_parser!(u32).range(300..))]
    pub vocab_size: u32,
    /// Learn from the first texts up to this many bytes
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub max_text: Size,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "tokenizer.json")]
    pub output: PathBuf,
}

/// `train-classifier`.
#[derive(Clone, Debug, Args)]
pub struct TrainClassifierArgs {
    /// Good texts: documents that we wrote (files, or the folder of a run), JSON lines with `text`, or raw
    /// files of a slice
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    pub positive: Vec<String>,
    /// Other texts, likewise
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    pub negative: Vec<String>,
    /// The slice whose source reads raw files
    #[arg(long, value_name = "NAME")]
    pub slice: Option<String>,
    /// The same for the positive ones alone
    #[arg(long, value_name = "NAME")]
    pub positive_slice: Option<String>,
    /// The same for the negative ones alone
    #[arg(long, value_name = "NAME")]
    pub negative_slice: Option<String>,
    /// Of the positive ones only those at an address of this list, as `reference-urls` writes it; `www.`,
    /// the scheme and a slash at the end make no difference
    #[arg(long, value_name = "FILE")]
    pub urls: Option<PathBuf>,
    /// Labels of the positive and the negative ones
    #[arg(long, value_name = "LABEL", num_args = 2, default_values_t = ["wiki".to_owned(), "cc".to_owned()], value_parser = label)]
    pub labels: Vec<String>,
    /// Leave out texts of fewer characters; 1000 is the original's, for positive ones
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub min_length: u32,
    /// Choose texts as the original did: --min-length for positive ones alone, of each negative file the
    /// first documents that make as many as positive ones were read, copies and all
    #[arg(long)]
    pub original: bool,
    /// Learn from all texts, though one label has more; otherwise as many of each, drawn by the seed
    #[arg(long)]
    pub unbalanced: bool,
    /// Read this much text of a file, and no more
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    pub max_text: Size,
    /// The share of texts that is not learned from but measured with
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub held_out: f64,
    /// The share of negative texts that is to be kept: the report says from which score on
    #[arg(long = "yield", value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub wanted_yield: f64,
    /// How far a step of learning goes at first. The defaults from here on are fastText's, with which the
    /// original's model was made
    #[arg(long, value_name = "RATE", default_value_t = 0.1, value_parser = rate)]
    pub lr: f64,
    /// Numbers for each word
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub dim: u32,
    /// How often each text is seen
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub epoch: u32,
    /// The longest run of words that is learned
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub word_ngrams: u32,
    /// Leave out words that are seen less often
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_count: u64,
    /// The shortest run of letters that is learned
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub minn: u32,
    /// The longest run of letters that is learned; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub maxn: u32,
    /// Rows that all runs of words and letters share
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1..=0x3fff_ffff))]
    pub bucket: u32,
    /// The most words that are learned: with --dim what bounds memory (2 million of 100 numbers: 800 MB)
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1..=200_000_000))]
    pub max_words: u32,
    /// What decides which texts are drawn and held out, and how learning begins
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Also write the texts that are learned from, a line each, as fastText reads them
    #[arg(long, value_name = "FILE")]
    pub lines: Option<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "classifier.bin")]
    pub output: PathBuf,
    /// Print the report as one JSON object
    #[arg(long)]
    pub json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "a share from 0 to 1".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let fits = |rate: &f64| *rate > 0.0 && *rate <= 100.0;
    text.parse().ok().filter(fits).ok_or_else(|| "a number above 0, at most 100".to_owned())
}

fn label(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && !text.contains(char::is_whitespace) && !text.starts_with("__label__");
    fits.then(|| text.to_owned()).ok_or_else(|| "a word, without `__label__`".to_owned())
}

/// `reference-urls`.
#[derive(Clone, Debug, Args)]
pub struct ReferenceUrlsArgs {
    /// Dumps of pages (`pages-articles`), compressed or not
    #[arg(required = true)]
    pub dump: Vec<PathBuf>,
    /// Find addresses as the original's script did, which misses references with attributes or over
    /// several lines
    #[arg(long)]
    pub original: bool,
    /// Draw this many of them, the same ones for the same seed; otherwise all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub sample: Option<u64>,
    /// What decides which are drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Most memory for sorting; what is beyond goes to files
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub memory: Size,
    /// The file to write: an address a line, sorted, each once
    #[arg(long, value_name = "FILE", default_value = "urls.txt")]
    pub output: PathBuf,
}
