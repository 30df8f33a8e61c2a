//! What `signals` makes of texts, and what it costs.
//!
//! ```text
//! signals views < LINES     of each text its normalized form, its raw words, DSIR's counts, and the
//!                           share of stop words by language
//! signals speed [ROUNDS] < LINES   MB of text per CPU-second: each group on its own, and all that need no file
//! ```
//!
//! LINES are JSON strings, one a line. `golden/signals.py` and `bench/signals` run it.
#![allow(clippy::print_stdout)] // a report for developers, not a part of the toolkit

use std::io::{BufRead, Write};

use corpus::words::Split;
use corpus::{Document, DocumentId, Meta, Signal};
use rustix::time::{ClockId, clock_gettime};
use stages::signals::{Files, Signals, features};
use stages::{Stage, Workspace};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<String> = std::io::stdin()
        .lock()
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<std::io::Result<_>>()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["views"] => views(&texts),
        ["speed"] => speed(&texts, 5),
        ["speed", rounds] => speed(&texts, rounds.parse()?),
        _ => Err("signals views | signals speed [ROUNDS]".into()),
    }
}

fn document(text: &str) -> Document {
    let id = DocumentId { raw_file: "c4/texts".into(), record: 0 };
    Document::new(id, text.to_owned(), Meta::default())
}

fn stage(only: &str, language: &str) -> Outcome<impl Stage> {
    let only: Vec<&str> = only.split(' ').filter(|name| !name.is_empty()).collect();
    let options: Signals = serde_json::from_value(serde_json::json!({ "only": only, "language": language }))?;
    Ok(options.with(Files::default()))
}

fn views(texts: &[String]) -> Outcome<()> {
    let name = "rps_doc_stop_word_fraction";
    let mut languages = Vec::new();
    for language in ["de", "en", "es", "fr", "it"] {
        languages.push((language, stage(name, language)?));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut workspace = Workspace::default();
    for text in texts {
        let mut document = document(text);
        let mut stops = serde_json::Map::new();
        for (language, stage) in &languages {
            stage.apply(&mut document, &mut workspace);
            let Some(Signal::Number(share)) = document.signals.get(name) else { return Err("no share".into()) };
            stops.insert((*language).to_owned(), (*share).into());
        }
        let raw = document.words(Split::WordPunct);
        let told = serde_json::json!({
            "normalized": document.words(Split::Normalized).text(),
            "normalized_words": document.words(Split::Normalized).len(),
            "raw_words": raw.iter().collect::<Vec<_>>(),
            "lines": document.newline_lines().len(),
            "features": features(raw),
            "stop_word_fraction_by_lang": stops,
        });
        serde_json::to_writer(&mut out, &told)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// CPU time of this thread, in seconds.
fn clock() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn speed(texts: &[String], rounds: usize) -> Outcome<()> {
    let megabytes = texts.iter().map(String::len).sum::<usize>() as f64 / 1e6;
    println!("{} texts, {megabytes:.2} MB, the best of {rounds} rounds", texts.len());
    let mut workspace = Workspace::default();
    // What is measured is the stage with all that it asks of the document; making the document is not.
    for (about, only) in [
        ("all that need no file", ""),
        ("content", "rps_doc_curly_bracket rps_doc_lorem_ipsum rps_doc_stop_word_fraction"),
        ("natural_language", "natural_language"),
        ("repetition", "repetition"),
        ("lines", "lines"),
    ] {
        let stage = stage(only, "en")?;
        let mut best = f64::INFINITY;
        for _ in 0..rounds {
            let mut spent = 0.0;
            for text in texts {
                let mut document = document(text);
                let begin = clock();
                stage.apply(&mut document, &mut workspace);
                spent += clock() - begin;
            }
            best = best.min(spent);
        }
        println!("{about:22} {:8.1} MB per CPU-second", megabytes / best);
    }
    for (about, split) in [("normalized words", Split::Normalized), ("raw words", Split::WordPunct)] {
        let mut best = f64::INFINITY;
        for _ in 0..rounds {
            let mut spent = 0.0;
            for text in texts {
                let document = document(text);
                let begin = clock();
                std::hint::black_box(document.words(split).len());
                spent += clock() - begin;
            }
            best = best.min(spent);
        }
        println!("{about:22} {:8.1} MB per CPU-second", megabytes / best);
    }
    Ok(())
}
