//! The first configuration of someone who has shards and none: complete, small, and right for them.

use std::path::Path;

use corpus::catalog::{CATALOG, Catalog};

use crate::data::catalog;
use crate::failure::{Failure, Result};
use crate::yaml;

/// The name of the file that is to be written.
const FILE: &str = "run.yaml";

/// What is wrong without a configuration, and one to write, for the folder that `--set data.from=…` names;
/// `output` is where the run was to be written.
pub fn missing(command: &str, set: &[String], output: Option<&Path>) -> Result<Failure> {
    let from = set.iter().rev().find_map(|set| set.strip_prefix("data.from=")).map(yaml::text);
    let known = from.as_deref().map(|folder| catalog(Path::new(folder))).transpose()?;
    let text = configuration(from.as_deref().unwrap_or("OUT"), known.as_ref());
    let place = if from.is_none() { "OUT is the folder that `redpajama build` wrote" } else { "it fits this corpus" };
    let output = output.map(|output| format!(" --output {}", output.display())).unwrap_or_default();
    Ok(Failure::usage("no configuration says what to train").hint(format!(
        "write this to {FILE} ({place}), then run `redpajama-train {command} {FILE}{output}`:\n\n{}",
        text.trim_end()
    )))
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

/// A run of the smallest preset on the shards of a folder.
fn configuration(from: &str, catalog: Option<&Catalog>) -> String {
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
    let from = serde_json::Value::from(from);
    format!(
        "model: {{ {model} }}\ndata: {{ from: {from} }}\nsequence: {sequence}\nbatch: 16\nmicro: 4\nsteps: 1000\n\
         optimizer: {{ rate: 1e-3 }}\ncheckpoint: {{ every: 100 }}\neval_every: 100\n"
    )
}
