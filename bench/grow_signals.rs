//! Writes a finished run of many documents with drawn signals, for `redpajama whatif` to be measured on.
//!
//! ```text
//! cargo run --release --example grow_signals -- OUT DOCUMENTS
//! ```
//!
//! Two slices, four languages; the signals of `gopher`, `c4` and `fineweb`, drawn near what web pages
//! have, so that each rule of their presets removes some. Texts are of web pages' length (3,000 bytes) and
//! all alike, so that row groups have as many rows as real ones and the folder stays small. The same
//! arguments give the same bytes.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a tool for developers, not a part of the toolkit

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use corpus::catalog::{CATALOG, Catalog, FORMAT, SliceEntry};
use corpus::store::{Output, Store};
use corpus::table::{DocumentWriter, Life};
use corpus::{Counts, Digest, Document, DocumentId, Meta, Signal, SignalKind, SignalSpec};

/// Documents of a file.
const FILE: u64 = 50_000;
const TEXT: usize = 3000;

/// Numbers drawn by a fixed rule (Knuth's MMIX).
struct Drawn(u64);

impl Drawn {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(out), Some(documents)) = (arguments.next(), arguments.next().and_then(|count| count.parse::<u64>().ok()))
    else {
        println!("usage: grow_signals OUT DOCUMENTS");
        std::process::exit(2);
    };
    let store = Store::create(Path::new(&out)).unwrap();
    let told = stages::told();
    let measures = told.iter().filter(|stage| ["gopher", "c4", "fineweb"].contains(&stage.name));
    let signals: Vec<SignalSpec> = measures.flat_map(|stage| stage.writes.clone()).collect();
    let files = documents.div_ceil(FILE);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut written = Vec::new();
        loop {
            let file = next.fetch_add(1, Ordering::Relaxed);
            if file >= files {
                return written;
            }
            let rows = FILE.min(documents - file * FILE);
            written.push((file, write(&store, file, rows, &signals)));
        }
    };
    let mut written: Vec<(u64, Output, Counts)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        done.map(|(file, (output, counts))| (file, output, counts)).collect()
    });
    written.sort_by_key(|(file, ..)| *file);
    let mut slices: BTreeMap<String, SliceEntry> = BTreeMap::new();
    for (file, output, counts) in written {
        let entry = slices.entry(slice(file).to_owned()).or_default();
        entry.documents.push(output);
        entry.counts.merge(&counts);
    }
    let digest = Digest::of(b"grown");
    let catalog = Catalog {
        format: FORMAT,
        pipeline: "grown".to_owned(),
        pipeline_digest: digest,
        tokenizer: None,
        models: BTreeMap::new(),
        plan: digest,
        slices,
        pairs: Default::default(),
        digest: None,
    };
    store.write(CATALOG, &serde_json::to_vec_pretty(&catalog.sealed()).unwrap()).unwrap();
    println!("{documents} documents with {} signals in {files} files", signals.len());
}

fn slice(file: u64) -> &'static str {
    if file.is_multiple_of(4) { "c4" } else { "common_crawl" }
}

fn write(store: &Store, file: u64, rows: u64, signals: &[SignalSpec]) -> (Output, Counts) {
    let slice = slice(file);
    let mut writer =
        DocumentWriter::new(store, &format!("documents/{slice}/part-{file:05}.parquet"), signals, Life::Kept).unwrap();
    let mut drawn = Drawn(file);
    let mut counts = Counts::default();
    let raw_file: Arc<str> = format!("{slice}/raw-{file:05}.json.gz").into();
    let text = "We walked down to the sea. ".repeat(TEXT / 27 + 1)[..TEXT].to_owned();
    for record in 0..rows {
        let language = ["en", "en", "en", "de", "fr", "es"][drawn.below(6) as usize];
        let meta = Meta {
            url: Some(format!("https://{}.example/{}", drawn.below(1000), drawn.next()).into()),
            language: Some(language.into()),
            json: "{}".to_owned(),
            ..Meta::default()
        };
        let id = DocumentId { raw_file: raw_file.clone(), record };
        let tokens = vec![1; 500 + drawn.below(500) as usize];
        let mut document = Document::new(id, text.clone(), meta).restored(TEXT as u64, Some(tokens));
        let words = 30 + drawn.below(1000);
        for signal in signals {
            document.signals.set(signal.name, value(signal, words, &mut drawn));
        }
        counts.keep(TEXT as u64, TEXT as u64);
        writer.push(&document).unwrap();
    }
    (writer.publish().unwrap(), counts)
}

/// A value that most often lies within the presets' bounds.
fn value(signal: &SignalSpec, words: u64, drawn: &mut Drawn) -> Signal {
    let chance = drawn.below(1000);
    let part = drawn.below(words + 1) as f64 / words as f64;
    match signal.name {
        "gopher_word_count" => Signal::Integer(words as i64),
        "gopher_mean_word_length" => Signal::Number(2.9 + 4.0 * part),
        "gopher_stop_words" => Signal::Integer((chance / 50).min(8) as i64),
        "gopher_frac_alphabetic_words" => Signal::Number(1.0 - part * if chance < 20 { 0.9 } else { 0.2 }),
        "c4_sentences" => Signal::Integer((chance / 10) as i64),
        "fineweb_frac_lines_end_punctuation" => Signal::Number(if chance < 100 { part / 4.0 } else { part }),
        _ if signal.kind == SignalKind::Integer => Signal::Integer(i64::from(chance < 10)),
        _ => Signal::Number(part * if chance < 30 { 0.8 } else { 0.08 }),
    }
}
