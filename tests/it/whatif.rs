//! Recipes tried on a finished run.

use std::fs;

use serde_json::{Value, json};

use crate::support::Folder;

fn measured(folder: &Folder, name: &str, stages: &str) {
    folder.corpus();
    folder.pipeline("p.yaml", &format!("line_statistics: {{}}, {stages}exact_dedup: {{}}, tokenize: {{}}, pack: {{}}"));
    folder.fine(&format!("build p.yaml --input raw --output {name}"));
}

/// The rows of the documents that a run kept.
fn documents(folder: &Folder, out: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(folder.path(out).join("documents/c4")).unwrap().flatten().collect();
    paths.sort_by_key(|entry| entry.path());
    for entry in paths {
        let said = folder.fine(&format!("inspect {} --json --limit 1000", entry.path().display()));
        rows.extend(said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    rows
}

fn sum<'r>(rows: impl Iterator<Item = &'r Value>) -> Value {
    let (mut documents, mut bytes, mut tokens) = (0, 0, 0);
    for row in rows {
        documents += 1;
        bytes += row["text"].as_str().unwrap().len() as u64;
        tokens += row["tokens"].as_u64().unwrap();
    }
    json!({ "documents": documents, "bytes": bytes, "tokens": tokens })
}

#[test]
fn recipes_are_tried_without_reading_texts() {
    let folder = Folder::new();
    measured(&folder, "out", "");
    folder.write("long.yaml", "max_line_length: { max: 120 }\nalnum_prop: { min: 0.69 }\n");
    folder.write("short.yaml", "max_line_length: { min: 60 }\nlanguage: { one_of: [en] }\n");
    let said = folder.fine("whatif out --keep-if long.yaml short.yaml --json --workers 1");
    let seen: Value = serde_json::from_str(&said.out).unwrap();

    let rows = documents(&folder, "out");
    let long = |row: &Value| row["max_line_length"].as_u64().unwrap() <= 120;
    let plain = |row: &Value| row["alnum_prop"].as_f64().unwrap() >= 0.69;
    let wide = |row: &Value| row["max_line_length"].as_u64().unwrap() >= 60 && row["language"] == "en";
    let of = |which: &dyn Fn(&Value) -> bool| sum(rows.iter().filter(|row| which(row)));
    assert_eq!(seen["documents"]["all"], of(&|_| true));
    let recipe = &seen["recipes"][0];
    assert_eq!(recipe["keeps"]["all"], of(&|row| long(row) && plain(row)));
    assert_eq!(recipe["keeps"]["slices"]["c4"]["en"], of(&|row| long(row) && plain(row)));
    assert_eq!(recipe["rules"][1]["signal"], "max_line_length");
    assert_eq!(recipe["rules"][1]["removes"], of(&|row| !long(row)));
    assert_eq!(recipe["rules"][1]["only_this_removes"], of(&|row| !long(row) && plain(row)));
    assert_eq!(recipe["rules"][0]["only_this_removes"], of(&|row| long(row) && !plain(row)));
    let pair = &seen["pairs"][0];
    assert_eq!(pair["both_keep"], of(&|row| long(row) && plain(row) && wide(row)));
    assert_eq!(pair["only_first"], of(&|row| long(row) && plain(row) && !wide(row)));
    assert_eq!(pair["only_second"], of(&|row| !(long(row) && plain(row)) && wide(row)));
    assert_eq!(pair["neither"], of(&|row| !(long(row) && plain(row) || wide(row))));
    for figure in ["both_keep", "only_first", "only_second"] {
        assert!(pair[figure]["documents"].as_u64().unwrap() > 0, "{pair}");
    }
    let gone = folder.gone("out", "c4", "exact_duplicate");
    assert_eq!(seen["dropped_by_the_run"], gone);

    for workers in [3, 16] {
        let again = folder.fine(&format!("whatif out --keep-if long.yaml short.yaml --json --workers {workers}"));
        assert_eq!(again.out, said.out);
    }
    let words = folder.fine("whatif out --keep-if long.yaml short.yaml");
    for part in [format!("{gone} documents that the run itself dropped"), "long.yaml keeps".into(), "neither".into()] {
        assert!(words.out.contains(&part), "{}", words.out);
    }
}

#[test]
fn what_is_tried_is_what_a_build_then_keeps() {
    let folder = Folder::new();
    measured(&folder, "out", "");
    let rules = "max_line_length: { min: 60, max: 120 }, language: { none_of: [de] }";
    folder.write("rules.yaml", format!("{{ {rules} }}"));
    let said = folder.fine("whatif out --keep-if rules.yaml --json");
    let tried: Value = serde_json::from_str(&said.out).unwrap();
    measured(&folder, "judged", &format!("keep_if: {{ {rules} }}, "));
    let kept = sum(documents(&folder, "judged").iter());
    assert_eq!(tried["recipes"][0]["keeps"]["all"], kept);
    assert!(kept["documents"].as_u64().unwrap() > 0);
}

#[test]
fn a_recipe_that_cannot_be_tried_says_why() {
    let folder = Folder::new();
    measured(&folder, "out", "");
    folder.write("far.yaml", "alnum_prop: { min: 0.5 }\nmax_line_lenth: { max: 3 }\n");
    folder.write("word.yaml", "line_count: { one_of: [three] }\n");
    folder.write("number.yaml", "language: { min: 3 }\n");
    folder.write("open.yaml", "line_count: {}\n");
    for (arguments, code, says) in [
        ("out --keep-if far.yaml", 64, vec!["far.yaml:2:1", "`max_line_lenth`", "did you mean `max_line_length`"]),
        ("out --keep-if content.yaml", 2, vec!["neither a file nor a preset"]),
        ("out --keep-if gofer", 2, vec!["did you mean `gopher`"]),
        ("out --keep-if gopher", 64, vec!["gopher judges `gopher_", "they have: ", "alnum_prop"]),
        ("out --keep-if word.yaml", 64, vec!["word.yaml:1:1", "`line_count` is a number"]),
        ("out --keep-if number.yaml", 64, vec!["`language`, which the documents of slice c4 do not have"]),
        ("out --keep-if open.yaml", 64, vec!["open.yaml:1:", "keeps everything"]),
        ("out --keep-if word.yaml --slice books", 2, vec!["no slice `books`", "it has: c4"]),
        ("raw --keep-if word.yaml", 64, vec!["no catalog in raw"]),
    ] {
        let said = folder.ends(&format!("whatif {arguments}"), code);
        for part in says {
            assert!(said.err.contains(part), "{arguments}\n{}", said.err);
        }
    }
}
