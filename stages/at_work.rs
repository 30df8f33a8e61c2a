//! The examples of README.md, run; and what every stage makes of a few texts, held to its version.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use corpus::{Digest, Document, DocumentId, Meta, Verdict};
use serde::Deserialize;

use crate::tokenizer::{HuggingFace, SPECIALS, train};
use crate::{Among, Built, Cut, Dedup, Finding, Key, Models, Part, Rank, Sketch, StageSpec, Workspace, spec, told};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    /// What ran before it.
    #[serde(default)]
    after: Vec<StageSpec>,
    stage: StageSpec,
    r#try: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    text: String,
    path: Option<Box<str>>,
    license: Option<Box<str>>,
    language: Option<Box<str>>,
    /// All that its source says of it.
    meta: Option<BTreeMap<String, String>>,
    outcome: Option<String>,
    becomes: Option<String>,
    signals: Option<String>,
    says: Option<String>,
    tokens: Option<usize>,
}

#[test]
fn every_example_does_what_it_says() {
    let mut shown = Vec::new();
    let readme = include_str!("README.md");
    for block in readme.split("```yaml\n").skip(1) {
        let yaml = block.split("```").next().unwrap();
        let example: Example = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        shown.push(example.stage.name());
        let mut documents: Vec<Document> = example.r#try.iter().map(document).collect();
        for before in &example.after {
            documents = outcomes(before, documents).into_iter().map(|(document, _)| document).collect();
        }
        for (case, (document, verdict)) in example.r#try.iter().zip(outcomes(&example.stage, documents)) {
            let context = format!("{yaml}\n{:?}: {verdict:?}", case.text);
            let outcome = match &verdict {
                Verdict::Keep => "kept",
                Verdict::Drop(reason, _) => reason.0,
            };
            assert_eq!(outcome, case.outcome.as_deref().unwrap_or("kept"), "{context}");
            assert_eq!(document.text(), case.becomes.as_deref().unwrap_or(&case.text), "{context}");
            assert_eq!(
                spec::tests::signals_of(&example.stage, &document),
                case.signals.as_deref().unwrap_or(""),
                "{context}"
            );
            if let Some(says) = &case.says {
                assert_eq!(document.meta.language.as_deref().unwrap_or("nothing"), says, "{context}");
            }
            if let Some(tokens) = case.tokens {
                assert_eq!(document.known_tokens().map(<[u32]>::len), Some(tokens), "{context}");
            }
        }
    }
    for told in told() {
        assert!(shown.contains(&told.name), "README.md does not show `{}` at work", told.name);
    }
}

fn document(case: &Case) -> Document {
    let meta = case.meta.as_ref();
    let said = |name: &str| meta.and_then(|meta| Some(meta.get(name)?.as_str().into()));
    let json = meta.map(|says| serde_json::to_string(says).unwrap()).unwrap_or_default();
    let (url, timestamp) = (said("url"), said("timestamp"));
    let meta = Meta {
        path: case.path.clone(),
        license: case.license.clone(),
        language: case.language.clone(),
        url,
        timestamp,
        json,
        ..Meta::default()
    };
    Document::new(DocumentId { raw_file: "github/a".into(), record: 0 }, case.text.clone(), meta)
}

/// What becomes of documents that come one after the other.
fn outcomes(stage: &StageSpec, documents: Vec<Document>) -> Vec<(Document, Verdict)> {
    run(stage, documents, &spec::tests::models())
}

fn sorted(mut parts: Vec<Part>) -> Vec<Part> {
    parts.sort_unstable();
    parts
}

/// What a dedup that cuts leaves of texts of one raw file, one after the other, `-` of one that goes; and
/// what it tells that it took.
pub(crate) fn after(dedup: &dyn Dedup, texts: &[impl AsRef<str>]) -> (Vec<String>, Vec<Vec<Cut>>) {
    let documents: Vec<Document> = texts
        .iter()
        .enumerate()
        .map(|(record, text)| {
            let id = DocumentId { raw_file: "c4/a".into(), record: record as u64 };
            Document::new(id, text.as_ref().to_owned(), Meta::default())
        })
        .collect();
    let found = findings(dedup, &documents);
    let cut = |(record, mut document): (usize, Document)| {
        let of_it = found.iter().filter(|finding| finding.gone.record == record as u64);
        let mut cuts = Vec::new();
        let parts = sorted(of_it.filter_map(Finding::as_part).collect());
        match dedup.cut(&mut document, &parts, &mut cuts) {
            (Verdict::Keep, left) => (left.unwrap_or_else(|| document.text().to_owned()), cuts),
            (Verdict::Drop(..), _) => ("-".to_owned(), cuts),
        }
    };
    documents.into_iter().enumerate().map(cut).unzip()
}

fn run(stage: &StageSpec, documents: Vec<Document>, models: &Models) -> Vec<(Document, Verdict)> {
    match stage.build(models).unwrap() {
        Built::Stage(stage) => documents
            .into_iter()
            .map(|mut document| {
                let verdict = stage.apply(&mut document, &mut Workspace::default());
                (document, verdict)
            })
            .collect(),
        Built::Dedup(dedup) if dedup.cuts() => {
            let found = findings(&*dedup, &documents);
            let cut = |(place, mut document): (usize, Document)| {
                let of_it = found.iter().filter(|finding| finding.gone.record == place as u64);
                let parts: Vec<Part> = of_it.filter_map(Finding::as_part).collect();
                let (verdict, left) = dedup.cut(&mut document, &sorted(parts), &mut Vec::new());
                left.into_iter().for_each(|left| document.edit(left));
                (document, verdict)
            };
            documents.into_iter().enumerate().map(cut).collect()
        }
        Built::Dedup(dedup) => {
            let gone: Vec<u64> = findings(&*dedup, &documents).iter().map(|found| found.gone.record).collect();
            let verdict = |place: usize| match gone.contains(&(place as u64)) {
                true => Verdict::Drop(dedup.reason(), corpus::Evidence::None),
                false => Verdict::Keep,
            };
            documents.into_iter().enumerate().map(|(place, document)| (document, verdict(place))).collect()
        }
        Built::Pack(_) => documents.into_iter().map(|document| (document, Verdict::Keep)).collect(),
    }
}

/// What a dedup finds among documents, each ranked by its place.
fn findings(dedup: &dyn Dedup, documents: &[Document]) -> Vec<Finding> {
    let mut sketches = Vec::new();
    for (place, document) in documents.iter().enumerate() {
        let mut keys: Vec<Key> = Vec::new();
        dedup.sketch(document, &mut keys);
        let rank = Rank { raw_file: 0, record: place as u64 };
        sketches.extend(keys.into_iter().map(|key| Sketch { key, rank }));
    }
    sketches.sort_by_key(|sketch| dedup.order().to_bytes(*sketch));
    let mut pairs: Vec<Finding> = Vec::new();
    let mut note = |finding: Finding| {
        pairs.push(finding);
        Ok(())
    };
    dedup.resolve(&mut sketches.into_iter().map(Ok), &mut note).unwrap();
    pairs.sort_by_key(|pair| pair.to_bytes());
    if dedup.twice() {
        return findings_again(dedup, documents, &pairs);
    }
    if dedup.verified() {
        pairs.dedup();
        let evidence = |rank: Rank| {
            let mut hashes = Vec::new();
            dedup.evidence(documents[rank.record as usize].text(), &mut hashes);
            hashes
        };
        pairs.retain_mut(|pair| match dedup.alike(&evidence(pair.gone), &evidence(pair.kept)) {
            Some(similarity) => {
                pair.similarity = similarity;
                true
            }
            None => false,
        });
    }
    if !dedup.judged() {
        return pairs;
    }
    let mut gone = Vec::new();
    let mut note = |finding: Finding| {
        gone.push(finding);
        Ok(())
    };
    dedup.judge(&mut pairs, &Among::of(&[documents.len() as u64], None), &mut note).unwrap();
    gone
}

/// What it finds when it looks again.
fn findings_again(dedup: &dyn Dedup, documents: &[Document], first: &[Finding]) -> Vec<Finding> {
    let mut sketches = Vec::new();
    for (place, document) in documents.iter().enumerate() {
        let rank = Rank { raw_file: 0, record: place as u64 };
        let parts = first.iter().filter(|finding| finding.gone == rank).filter_map(Finding::as_part);
        let mut parts: Vec<u64> = parts.map(|part| part.number).collect();
        parts.sort_unstable();
        let mut push = |key| {
            sketches.push(Sketch { key, rank });
            Ok(())
        };
        dedup.sketch_again(document.text(), &parts, &mut push).unwrap();
    }
    sketches.sort();
    sketches.dedup();
    let mut found: Vec<Finding> = Vec::new();
    let mut note = |finding: Finding| {
        found.push(finding);
        Ok(())
    };
    dedup.resolve_again(&mut sketches.into_iter().map(Ok), &mut note).unwrap();
    found.sort_by_key(|finding| finding.to_bytes());
    found
}

/// Documents, measured, on which stages differ when they are changed.
fn samples() -> Vec<Document> {
    const TEXTS: [&str; 16] = [
        "",
        " \n\t",
        "x",
        "a---",
        "1 2 3 4 5 6",
        "漢字 é² ½ e\u{301}",
        "a\r\nb\u{85}c\u{2028}d\u{b}e", //
        "/* Copyright 2020 */\nint a; /* copyright */\n",
        "#!/bin/sh\n# Copyright A\nls\n",
        "# Title\n\n// x\n", //
        "// SPDX-License-Identifier: MIT\n\n#include <a.h>\n",
        "<!-- Copyright -->\n<p>it's   red</p>\n", //
        "fn main() {\n    let pajama = \"red\";\n\n\treturn;   }\n",
        "a<|endoftext|>b",
        "😀 'll 's don’t\u{a0}\u{3000}x",
        "x",
    ];
    const META: [(&str, &str); 6] = [
        ("LICENSE", "mit"),
        ("a/LICENSE", "bsd-4-clause"),
        ("a.crt", "MIT OR GPL-3.0"),
        ("myDockerfile", ""), //
        ("README.md", "mit AND isc"),
        ("src/a.rs", "apache-2.0+"),
    ];
    let long = ["=".repeat(2000), "word ".repeat(400), "a\n".repeat(50)];
    let texts = TEXTS.iter().map(ToString::to_string).chain(long);
    let documents = texts
        .flat_map(|text| META.map(|(path, license)| (text.clone(), path, license)))
        .enumerate()
        .map(|(place, (text, path, license))| {
            let meta = Meta { path: Some(path.into()), license: Some(license.into()), ..Meta::default() };
            Document::new(DocumentId { raw_file: "github/a".into(), record: place as u64 }, text, meta)
        })
        .collect();
    let measure: StageSpec = serde_saphyr::from_str("line_statistics: {}").unwrap();
    outcomes(&measure, documents).into_iter().map(|(document, _)| document).collect()
}

/// The ways in which a stage is tried: its defaults, its example, and the original's options.
fn ways(name: &str, example: &str) -> Vec<String> {
    let mut ways = vec![format!("{name}: {{}}"), example.to_owned()];
    let original = match name {
        "copyright_header" => "copyright_header: { block: first_anywhere, leading_lines: all_comment_like }",
        "empty_text" => "empty_text: { white_space: false }",
        "exact_dedup" => "exact_dedup: { by: normalized_text, bloom: { error_rate: 0.01 } }",
        "extension" => "extension: { match: suffix }",
        "language" => "language: { newlines: removed, lower_case: true, decimals: 2 }",
        "license" => "license: { keep: [mit, bsd, apache], match: prefix }",
        "minhash_dedup" => {
            ways.push("minhash_dedup: { preset: datatrove, verify: false, similarity: 0.5 }".to_owned());
            "minhash_dedup: { preset: rp_v2 }"
        }
        "line_ngram_dedup" => {
            "line_ngram_dedup: { preset: dclm, ngram: 2, min_words: 1, share: 0.4, stride: 2, sample: 2 }"
        }
        "paragraph_dedup" => {
            "paragraph_dedup: { keep: none, scope: raw_file, repeats: remove, blank_lines: compare, min_characters: 0 }"
        }
        "path_rules" => "path_rules: { names: at_the_root }",
        "perplexity" => "perplexity: { lines: glued }",
        "quality" => "quality: { by: likeliest }",
        "simhash_dedup" => "simhash_dedup: { by: any }",
        "substring_dedup" => {
            ways.push("substring_dedup: { min_tokens: 6 }".to_owned());
            "substring_dedup: { min_bytes: 12 }"
        }
        _ => return ways,
    };
    ways.push(original.to_owned());
    ways
}

fn digest_of(name: &str, example: &str, models: &Models) -> String {
    let mut seen = String::new();
    for way in ways(name, example) {
        let stage: StageSpec = serde_saphyr::from_str(&way).unwrap();
        for (document, verdict) in run(&stage, samples(), models) {
            let mut signals = spec::tests::signals_of(&stage, &document);
            if let Some(language) = &document.meta.language {
                write!(signals, " language={language}").unwrap();
            }
            writeln!(seen, "{way}\n{verdict:?}\n{}\n{signals}\n{:?}", document.text(), document.known_tokens())
                .unwrap();
        }
        // What it is when nothing is said of it.
        writeln!(seen, "{}", serde_json::to_string(&stage).unwrap()).unwrap();
    }
    Digest::of(seen.as_bytes()).short()
}

/// Versions enter the ids of tasks: a stage that gives other outputs under the same version would
/// let a run take old outputs for its own.
#[test]
fn a_stage_that_changes_raises_its_version() {
    let mut texts = samples().into_iter().map(|document| document.text().to_owned());
    let tokenizer = train(&mut texts, 300, &SPECIALS).unwrap();
    let tokenizer = HuggingFace::from_json(tokenizer.as_bytes(), "t.json".as_ref(), None).unwrap();
    let quality = Some(crate::quality::tests::tides());
    let perplexity = Some(crate::perplexity::tests::small());
    let models = Models { tokenizer: Some(Arc::new(tokenizer)), perplexity, quality, ..Models::default() };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/versions.txt");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    let known: BTreeMap<&str, (&str, &str)> = written
        .lines()
        .filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [name, version, digest] => Some((name, (version, digest))),
            _ => None,
        })
        .collect();
    let mut lines = String::new();
    for told in told() {
        let (version, digest) = (told.version.to_string(), digest_of(told.name, told.example, &models));
        if let Some((old_version, old_digest)) = known.get(told.name) {
            assert!(
                *old_version != version || *old_digest == digest,
                "`{}` gives other outputs: raise its version in spec.rs, then run this test with UPDATE=1",
                told.name
            );
        }
        writeln!(lines, "{} {version} {digest}", told.name).unwrap();
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, lines).unwrap();
    } else {
        assert_eq!(written, lines, "versions.txt is out of date: run this test with UPDATE=1");
    }
}
