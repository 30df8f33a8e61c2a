//! The floors of the house, and what is kept current beside the code.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Folder, root};

/// The crates of this workspace that a crate depends on.
fn arrows(manifest: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let mut section = String::new();
    let mut arrows = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.to_owned();
        }
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if section.contains("dependencies]")
            && !section.starts_with("[workspace")
            && ["corpus", "sources", "stages", "redpajama", "trainer"].contains(&name)
        {
            arrows.insert(name.to_owned());
        }
    }
    arrows
}

#[test]
fn arrows_point_down() {
    let rows: [(&str, &[&str]); 5] = [
        ("corpus/Cargo.toml", &[]),
        ("sources/Cargo.toml", &["corpus"]),
        ("stages/Cargo.toml", &["corpus"]),
        ("trainer/Cargo.toml", &["corpus"]),
        ("Cargo.toml", &["corpus", "sources", "stages"]),
    ];
    for (manifest, below) in rows {
        let below: BTreeSet<String> = below.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(arrows(manifest), below, "{manifest}");
    }
}

#[test]
fn the_trainer_s_floor_has_no_parquet_and_no_network() {
    let manifest = fs::read_to_string(root().join("corpus/Cargo.toml")).unwrap();
    let heavy = ["parquet", "arrow", "ureq", "ring", "quick-xml"];
    let lines: Vec<&str> = manifest.lines().filter(|line| heavy.iter().any(|name| line.starts_with(name))).collect();
    assert!(lines.len() > heavy.len());
    for line in lines {
        assert!(line.contains("optional = true"), "{line}");
    }
    let trainer = fs::read_to_string(root().join("trainer/Cargo.toml")).unwrap();
    assert!(trainer.contains("\ncorpus.workspace = true\n"), "the trainer switches no feature of corpus on");
    // Only the command switches the network on.
    for manifest in ["sources/Cargo.toml", "stages/Cargo.toml", "trainer/Cargo.toml"] {
        assert!(!fs::read_to_string(root().join(manifest)).unwrap().contains("remote"), "{manifest}");
    }
}

#[test]
fn every_dependency_says_what_it_saves() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in section.lines().filter(|line| !line.trim().is_empty() && !line.contains("path = ")) {
        assert!(line.rsplit("# ").next().is_some_and(|reason| reason.len() > 10 && reason != line), "{line}");
    }
}

#[test]
fn a_slice_is_one_word_in_five_places() {
    // The sources are what makes a slice.
    let slices = Folder::new().fine("sources").out;
    let slices: Vec<&str> =
        slices.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split(' ').next()).collect();
    assert!(slices.contains(&"c4") && slices.contains(&"github"), "{slices:?}");
    for slice in slices {
        for path in [
            format!("sources/{slice}.rs"),
            format!("pipelines/{slice}.yaml"),
            format!("pipelines/original/{slice}.yaml"),
            format!("manifests/{slice}.yaml"),
            format!("tests/slices/{slice}"),
        ] {
            assert!(root().join(&path).exists(), "{path}");
        }
    }
}

#[test]
fn the_docs_are_what_the_command_tells() {
    let folder = Folder::new();
    for (arguments, page) in [
        ("stages --markdown", "docs/stages.md"),
        ("sources --markdown", "docs/sources.md"),
        ("schema", "docs/pipeline.schema.json"),
    ] {
        let told = folder.fine(arguments).out;
        if std::env::var_os("UPDATE").is_some() {
            fs::write(root().join(page), &told).unwrap();
        }
        let written = fs::read_to_string(root().join(page)).unwrap_or_default();
        assert!(written == told, "{page} is not current: run the tests with UPDATE=1");
    }
}

#[test]
fn the_sample_s_tokenizer_is_learned_from_our_fixtures() {
    let folder = Folder::new();
    let slices = root().join("tests/slices");
    let arguments = format!(
        "train-tokenizer --slice github --vocab-size 1024 --output t.json {0}/github/bigquery.jsonl {0}/github/repositories {0}/c4/c4-sample.json",
        slices.display()
    );
    folder.fine(&arguments);
    let learned = fs::read(folder.path("t.json")).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(slices.join("tokenizer.json"), &learned).unwrap();
    }
    assert!(learned == fs::read(slices.join("tokenizer.json")).unwrap_or_default(), "run the tests with UPDATE=1");
}
