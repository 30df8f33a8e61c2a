//! Models that a pipeline names, from its file to the catalog.

use std::fs;

use crate::support::{Folder, root};

const PIPELINE: &str = "slices:\n  c4: {}\nstages: [ language: {}, language_is: { keep: [en], min_score: 0.9 } ]\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("p.yaml", PIPELINE);
    let texts = ["the cat sat on the mat", "die Katze saß auf der Matte", "le chat était assis sur le tapis"];
    let lines: String = texts
        .iter()
        .map(|text| serde_json::json!({"text": text, "timestamp": "", "url": ""}).to_string() + "\n")
        .collect();
    folder.write("raw/c4.json", lines);
    for name in ["hierarchical.ftz", "hierarchical.bin", "vectors.bin"] {
        folder.write(name, fs::read(root().join("tests/models/fasttext").join(name)).unwrap());
    }
    folder
}

#[test]
fn languages_are_told_by_the_model_that_the_pipeline_names() {
    let folder = folder();
    folder.fine("build p.yaml --input raw --output out --set language_model=hierarchical.ftz");
    assert_eq!(folder.kept("out", "c4"), 1);
    assert_eq!(folder.gone("out", "c4", "language") + folder.gone("out", "c4", "language_unsure"), 2);
    let model = &folder.catalog("out")["models"]["language_model"];
    assert_eq!(model["name"], "hierarchical.ftz");
    let bytes = fs::read(folder.path("hierarchical.ftz")).unwrap();
    assert_eq!(model["digest"], blake3::hash(&bytes).to_hex().as_str());
    folder.fine("verify out");
}

#[test]
fn another_model_does_the_work_anew() {
    let folder = folder();
    let build = "build p.yaml --input raw --output out --set language_model=";
    folder.fine(&format!("{build}hierarchical.ftz"));
    let again = folder.fine(&format!("{build}hierarchical.ftz"));
    assert!(!again.err.contains("changed:"), "{}", again.err);
    let said = folder.fine(&format!("{build}hierarchical.bin"));
    assert!(said.err.contains("changed: c4: stage 1:language asks another model"), "{}", said.err);
    assert_eq!(folder.catalog("out")["models"]["language_model"]["name"], "hierarchical.bin");
    // The same model under another name is the same model.
    fs::rename(folder.path("hierarchical.bin"), folder.path("renamed.bin")).unwrap();
    let said = folder.fine(&format!("{build}renamed.bin"));
    assert!(!said.err.contains("changed:"), "{}", said.err);
}

#[test]
fn without_a_model_the_one_that_is_built_in_tells() {
    let folder = folder();
    folder.write("p.yaml", PIPELINE.replace("0.9", "0.0"));
    folder.fine("build p.yaml --input raw --output out");
    assert!(folder.catalog("out").get("models").is_none());
    assert_eq!(folder.kept("out", "c4"), 1);
}

#[test]
fn a_damaged_model_is_a_wrong_configuration_that_points_at_its_name() {
    let folder = folder();
    let whole = fs::read(folder.path("hierarchical.ftz")).unwrap();
    folder.write("cut.ftz", &whole[..whole.len() / 2]);
    folder.write("text.bin", "no model");
    let wrong = |model: &str, says: &str| {
        let said = folder.ends(&format!("build p.yaml --input raw --output out --set language_model={model}"), 64);
        assert!(said.err.contains(says) && said.err.contains("language_model: "), "{}", said.err);
    };
    wrong("cut.ftz", "cut.ftz is not a fastText model that we can use: it is cut off");
    wrong("text.bin", "it does not begin as one");
    wrong("vectors.bin", "it is a model of word vectors");
    wrong("missing.bin", "no language_model at ");
    wrong("gpt-neox-20b", "`gpt-neox-20b` is a tokenizer, not a language_model");
    wrong("lid.176", "put lid.176.bin there");
}

#[test]
fn a_pipeline_may_name_a_model_that_nobody_asks() {
    let folder = folder();
    folder.write("p.yaml", "slices:\n  c4: {}\nstages: [ empty_text: {} ]\nlanguage_model: nowhere.bin\n");
    let said = folder.fine("build p.yaml --input raw --output out");
    assert!(said.err.contains("`language_model` is set, and no stage"), "{}", said.err);
}
