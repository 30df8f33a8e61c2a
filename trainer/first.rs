//! The first configuration of someone who has shards and none: complete, small, and right for them.

use std::path::{Path, PathBuf};

use corpus::Digest;
use corpus::catalog::{CATALOG, Catalog, TokenizerEntry};
use serde::Deserialize;
use serde_json::Value;

use crate::data::catalog;
use crate::failure::{Failure, Result};
use crate::pretrain::PretrainArgs;
use crate::yaml;

/// The name of the file that is to be written.
const FILE: &str = "run.yaml";

/// What is wrong without a configuration, and one to write, for the folder that `--set data.from=…` names; with the
/// command that goes on from there, which keeps all that was asked for.
pub fn missing(command: &str, args: &PretrainArgs) -> Result<Failure> {
    let from = args.set.iter().rev().find_map(|set| set.strip_prefix("data.from=")).map(yaml::text);
    let known = from.as_deref().map(|folder| catalog(Path::new(folder))).transpose()?;
    let tokenizer = match (from.as_deref(), known.as_ref().and_then(|catalog| catalog.tokenizer.as_ref())) {
        (Some(folder), Some(entry)) => tokenizer(Path::new(folder), entry),
        _ => String::new(),
    };
    let text = configuration(from.as_deref().unwrap_or("OUT"), known.as_ref(), &tokenizer);
    let place = if from.is_none() { "OUT is the folder that `redpajama build` wrote" } else { "it fits this corpus" };
    let own = std::env::args().next().unwrap_or_else(|| "redpajama-train".to_owned());
    Ok(Failure::usage("no configuration says what to train").hint(format!(
        "write this to {FILE} ({place}), then run `{}`:\n\n{}",
        again(&own, command, args),
        text.trim_end()
    )))
}

/// The command that was typed, with the file that it lacked.
fn again(program: &str, command: &str, args: &PretrainArgs) -> String {
    let words = |words: &[&str]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>();
    let mut line = if args.typed.is_empty() {
        words(&[program, command, FILE])
    } else {
        args.typed.iter().map(String::as_str).chain([FILE]).map(quoted).collect()
    };
    if let Some(output) = &args.output {
        line.extend(words(&["--output", &output.to_string_lossy()]));
    }
    // The file says where the shards are; what `redpajama train` set comes first.
    let given = args.set.iter().enumerate();
    let kept = given.filter(|(at, set)| !set.starts_with("data.from=") || (!args.typed.is_empty() && *at > 0));
    kept.for_each(|(_, set)| line.extend(words(&["--set", set])));
    for (name, number) in [("--threads", args.threads), ("--processes", args.processes)] {
        if let Some(number) = number {
            line.extend([name.to_owned(), number.to_string()]);
        }
    }
    for (name, given) in [("--verify-data", args.verify_data), ("--overcommit", args.overcommit)] {
        line.extend(given.then(|| name.to_owned()));
    }
    line.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./=,:+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What is wrong where a folder stands for a configuration, and what to do with such a folder.
pub fn no_file(folder: &Path) -> Failure {
    let shown = folder.display();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let written = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let hint = match written.min() {
        _ if folder.join(CATALOG).is_file() => {
            format!("it is a corpus: `redpajama train {shown}` proposes a configuration that trains on it")
        }
        _ if folder.join("config.json").is_file() => {
            format!("it is a model: a configuration names it, as in `model: {shown}` and `start: {shown}`")
        }
        Some(path) => format!("there is {} in it", path.display()),
        None => "name the YAML file of a run: `redpajama-train pretrain` alone shows one".to_owned(),
    };
    Failure::configuration(format!("{shown} is a folder, not the file of a configuration")).hint(hint)
}

/// The line that names the tokenizer of a run's shards, so that the model can be asked in words: as its plan says
/// where it lay, if it still lies there; or what to write, as a comment.
fn tokenizer(folder: &Path, entry: &TokenizerEntry) -> String {
    #[derive(Deserialize)]
    struct Plan {
        tokenizer_path: PathBuf,
    }
    let plan = || -> Option<Plan> {
        // `redpajama build` writes it beside the catalog.
        let file = std::fs::File::open(folder.join("plan.json")).ok()?;
        serde_json::from_reader(std::io::BufReader::new(file)).ok()
    };
    let there = |path: &PathBuf| Digest::of_file(path).is_ok_and(|(digest, _)| digest == entry.digest);
    match plan().map(|plan| plan.tokenizer_path).filter(there).and_then(|path| path.canonicalize().ok()) {
        // As JSON, which is YAML, whatever its name.
        Some(path) => format!("tokenizer: {}\n", Value::from(path.to_string_lossy())),
        None => {
            "# tokenizer: PATH   (the tokenizer.json that made the shards goes with the model, to ask it in words)\n"
                .to_owned()
        }
    }
}

/// A run of the smallest preset on the shards of a folder.
fn configuration(from: &str, catalog: Option<&Catalog>, named: &str) -> String {
    let mut model = "from: pythia-14m".to_owned();
    if let Some(tokenizer) = catalog.and_then(|catalog| catalog.tokenizer.as_ref()) {
        // A multiple of 128, as GPT-NeoX pads its vocabularies.
        let size = tokenizer.vocab_size.next_multiple_of(128);
        model += &format!(", vocab_size: {size}, eos_token_id: {}", tokenizer.end_of_document);
    }
    // So short that the smallest slice has twenty windows, of which two are held out.
    let tokens = |catalog: &Catalog| {
        let slices = catalog.slices.values().map(|slice| slice.shards.iter().map(|shard| shard.tokens).sum::<u64>());
        slices.filter(|tokens| *tokens > 0).min()
    };
    let most = catalog.and_then(tokens).map_or(512, |tokens| (tokens / 21).clamp(16, 512));
    let sequence = 1u64 << most.ilog2();
    // As JSON, which is YAML, whatever its name.
    let from = Value::from(from);
    format!(
        "model: {{ {model} }}\n{named}data: {{ from: {from} }}\nsequence: {sequence}\nbatch: 16\nmicro: 4\nsteps: 1000\n\
         optimizer: {{ rate: 1e-3 }}\ncheckpoint: {{ every: 100 }}\neval_every: 100\n"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn the_command_that_goes_on_is_the_one_that_was_typed() {
        let of = |words: &[&str]| match Cli::parse_from([&["redpajama-train", "pretrain"], words].concat()).command {
            Command::Pretrain(args) => again("bin/redpajama-train", "pretrain", &args),
            _ => String::new(),
        };
        let own = "bin/redpajama-train pretrain run.yaml";
        assert_eq!(of(&[]), own);
        assert_eq!(of(&["--set", "data.from=\"a b\"", "--output", "it's"]), format!(r"{own} --output 'it'\''s'"));
        let all =
            ["--overcommit", "--verify-data", "--threads", "1", "--set", "optimizer={ rate: 1 }", "--processes", "2"];
        let kept = "--set 'optimizer={ rate: 1 }' --threads 1 --processes 2 --verify-data --overcommit";
        assert_eq!(of(&all), format!("{own} {kept}"));
        let typed = ["--typed", "./redpajama", "--typed", "train", "--typed", "a b", "--set", "data.from=\"a b\""];
        assert_eq!(of(&typed), "./redpajama train 'a b' run.yaml");
        let more = [&typed[..], &["--set", "data.from=c", "--set", "steps=3"]].concat();
        assert_eq!(of(&more), "./redpajama train 'a b' run.yaml --set data.from=c --set steps=3");
    }
}
