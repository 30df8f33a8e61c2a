//! How fast we tokenize, beside the engine below us and, with `--oracle`, the library that we
//! must agree with; every document's ids are compared.
//!
//! ```text
//! cargo run --release -p stages --example tokenize_speed -- [--alone | --oracle] tokenizer.json FILE…
//! ```
//!
//! With `--alone` only ours runs, for a profiler to look at.
//! A FILE is one document, or JSON lines with a `text` or a `content`. MB are 10^6 bytes of text,
//! seconds are one thread's; each encoder has one pass over all documents, its caches cold.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a report for developers, not a part of the toolkit

use std::path::Path;
use std::time::Instant;

use tokenizers::pipeline::{EncodeOptions, PipelineToken};

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let with_oracle = arguments.iter().any(|argument| argument == "--oracle");
    let alone = arguments.iter().any(|argument| argument == "--alone");
    arguments.retain(|argument| !argument.starts_with("--"));
    let (tokenizer, files) = arguments.split_first().unwrap();
    let documents: Vec<String> = files.iter().flat_map(|file| documents(Path::new(file))).collect();
    let bytes: usize = documents.iter().map(String::len).sum();
    println!("{} documents, {:.1} MB", documents.len(), bytes as f64 / 1e6);

    let ours = stages::tokenizer::load(Path::new(tokenizer), None).unwrap();
    let ours = measure("ours", &documents, |text, out| ours.encode(text, out));
    if alone {
        return;
    }

    let canonical = tokenizers::canonicalize_file(tokenizer).unwrap();
    let engine = tokenizers::from_json(&canonical).unwrap();
    let mut tokens = Vec::new();
    let engine = measure("engine", &documents, |text, out| {
        tokens.clear();
        engine.encode_into(text, &EncodeOptions::no_specials(), &mut tokens).unwrap();
        out.extend_from_slice(PipelineToken::cast_slice(&tokens));
    });
    compare("engine", &documents, &ours, &engine);

    if with_oracle {
        let oracle = oracle::Tokenizer::from_file(tokenizer).unwrap();
        let oracle = measure("oracle", &documents, |text, out| {
            out.extend_from_slice(oracle.encode_fast(text, false).unwrap().get_ids());
        });
        compare("oracle", &documents, &ours, &oracle);
    }
}

/// The ids of every document, and how fast they came.
fn measure(name: &str, documents: &[String], mut encode: impl FnMut(&str, &mut Vec<u32>)) -> Vec<Vec<u32>> {
    let bytes: usize = documents.iter().map(String::len).sum();
    let mut all = Vec::with_capacity(documents.len());
    let start = Instant::now();
    for document in documents {
        let mut ids = Vec::with_capacity(document.len() / 3 + 1);
        encode(document, &mut ids);
        all.push(ids);
    }
    let seconds = start.elapsed().as_secs_f64();
    let tokens: usize = all.iter().map(Vec::len).sum();
    println!("{name:8} {:8.1} MB/s  {:6.2} bytes a token", bytes as f64 / 1e6 / seconds, bytes as f64 / tokens as f64);
    all
}

fn compare(name: &str, documents: &[String], ours: &[Vec<u32>], theirs: &[Vec<u32>]) {
    let differ: Vec<usize> = (0..ours.len()).filter(|place| ours[*place] != theirs[*place]).collect();
    println!("         {} documents differ from the {name}'s", differ.len());
    if let Some(first) = differ.first() {
        println!("         the first: {:.300?}", documents[*first]);
    }
}

fn documents(file: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let text_of =
        |line| json(line).and_then(|json| Some(json["text"].as_str().or(json["content"].as_str())?.to_owned()));
    let is_jsonl = file.extension().is_some_and(|extension| extension == "jsonl");
    if is_jsonl { text.lines().filter_map(text_of).collect() } else { vec![text] }
}
