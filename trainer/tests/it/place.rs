//! A folder with a small corpus in it, and the command run there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use corpus::catalog::{CATALOG, Catalog, FORMAT};
use corpus::shard::ShardWriter;
use corpus::store::Store;
use corpus::{Counts, Digest};
use serde_json::json;
use trainer::weights::unit;

const RUN: &str = "
model: { from: pythia-14m, vocab_size: 32, hidden_size: 16, num_attention_heads: 2,
         num_hidden_layers: 1, max_position_embeddings: 32 }
data: { from: corpus, validation: 8 }
sequence: 16
batch: 8
micro: 2
steps: 20
optimizer: { rate: 2e-2 }
checkpoint: { every: 4, keep: 3 }
";

/// A folder with a corpus of two slices, in which a token tells most of the next.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path().join("corpus")).unwrap();
        let mut slices = BTreeMap::new();
        for (number, name) in ["first", "second"].into_iter().enumerate() {
            let mut writer = ShardWriter::new(&store, &format!("shards/{name}"), 32, 0).unwrap();
            for document in 0..60u64 {
                let mut token = 1 + document as u32 % 31;
                let tokens: Vec<u32> = (0..20)
                    .map(|at| {
                        let chance = unit(number as u64 + 1, document * 20 + at);
                        token = if chance < 0.1 { (chance * 310.0) as u32 } else { (token * 3 + number as u32) % 31 };
                        token + 1
                    })
                    .collect();
                writer.push(&tokens, true).unwrap();
            }
            let sealed = writer.seal(&store).unwrap();
            let provenance = store.write(&format!("shards/{name}.provenance.parquet"), b"none").unwrap();
            let counts = Counts { text_bytes: 4000, ..Counts::default() };
            let shard = json!({
                "bin": sealed.bin, "idx": sealed.idx, "provenance": provenance,
                "documents": sealed.documents, "tokens": sealed.tokens,
            });
            let entry = json!({"counts": counts, "inputs": [], "documents": [], "dropped": [], "shards": [shard]});
            slices.insert(name.to_owned(), entry);
        }
        let digest = Digest::of(b"something");
        let catalog: Catalog = serde_json::from_value(json!({
            "format": FORMAT, "pipeline": "test", "pipeline_digest": digest, "plan": digest, "slices": slices,
            "tokenizer": {"name": "ours", "digest": digest, "vocab_size": 32, "end_of_document": 0},
        }))
        .unwrap();
        store.write(CATALOG, &serde_json::to_vec(&catalog.sealed()).unwrap()).unwrap();
        store.leave().unwrap();
        std::fs::write(folder.path().join("run.yaml"), RUN).unwrap();
        // Steps that take a while.
        let slow = RUN.replace("hidden_size: 16", "hidden_size: 64").replace("batch: 8", "batch: 64");
        std::fs::write(folder.path().join("slow.yaml"), slow).unwrap();
        Place { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redpajama-train"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace());
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn fine(&self, arguments: &str) -> (String, String) {
        let output = self.run(arguments);
        let (out, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments}: {said}");
        (out, said)
    }

    pub fn fails(&self, arguments: &str, code: i32, words: &str) {
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.contains(words), "{arguments}: {said}");
    }

    /// The files of a checkpoint.
    pub fn checkpoint(&self, run: &str, step: u64) -> BTreeMap<String, Vec<u8>> {
        let folder = self.path(run).join(format!("checkpoints/step-{step:09}"));
        let names = ["model.safetensors", "moments.safetensors", "config.json", "state.json"];
        names.into_iter().map(|name| (name.to_owned(), read(&folder.join(name)))).collect()
    }

    /// The numbers of a checkpoint: what its state says of their worth changes.
    pub fn numbers(&self, run: &str, step: u64) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.checkpoint(run, step);
        files.remove("state.json");
        files
    }

    /// Runs until a step was told, then sends the process a signal, which finds it some steps on or at
    /// its end.
    pub fn until(&self, run: &str, config: &str, step: u64, signal: &str, options: &str) -> Option<i32> {
        let command = self.command(&format!("pretrain {config} --output {run}{options}"));
        Place::signalled(command, step, signal)
    }

    /// The same of any command.
    pub fn signalled(mut command: Command, step: u64, signal: &str) -> Option<i32> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = |line: &String| line.split(['/', ' ']).nth(1).and_then(|word| word.parse().ok()) >= Some(step);
        lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("step ") && told(line)));
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        lines.for_each(drop);
        child.wait().unwrap().code()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn losses(place: &Place, run: &str) -> Vec<f64> {
    let lines = text(&read(&place.path(run).join("metrics.jsonl")));
    let values = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    values.filter_map(|value| value["loss"].as_f64()).collect()
}
