//! The other commands, on what a build leaves and on raw files.

use std::fs;
use std::io::Read;

use crate::support::{Folder, root, tokenizer};

fn finished() -> Folder {
    let folder = Folder::new();
    folder.corpus();
    folder.pipeline("p.yaml", "exact_dedup: {}, tokenize: {}, pack: {}");
    folder.fine("build p.yaml --input raw --output out --keep-between");
    folder
}

/// The first file of a folder with an ending.
fn file(folder: &Folder, name: &str, ending: &str) -> String {
    let mut paths: Vec<_> = fs::read_dir(folder.path(name)).unwrap().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let path = paths.into_iter().find(|path| path.to_string_lossy().ends_with(ending)).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn every_file_that_we_write_can_be_inspected() {
    let folder = finished();
    for (name, ending, shows) in [
        ("out/documents/c4", ".parquet", "c4/c4-00000.json.gz#0"),
        ("out/dropped/c4", ".parquet", "kept_id: c4/c4-00000.json.gz#"),
        ("out/shards/c4", ".bin", "The tide came in 0 times"),
        ("out/shards/c4", ".idx", "The tide came in 0 times"),
        ("out/shards/c4", ".provenance.parquet", "offset: 0"),
        ("out/between", ".parquet", "The tide came in 0 times"),
        ("out/between", ".sketches", "120 sketches"),
        ("out/between", ".findings", "kept: raw file 0 record"),
        ("out/commits", ".json", "\"counts\""),
        ("out", "catalog.json", "\"pipeline\": \"p\""),
        ("out", "plan.json", "\"pipeline\": \"p\""),
        ("raw", ".json.gz", "c4/c4-00000.json.gz#0"),
    ] {
        let path = file(&folder, name, ending);
        let said = folder.run(&format!("inspect {path} --slice c4"));
        assert!(said.code == 0 && said.out.contains(shows), "{path}\n{}\n{}", said.out, said.err);
    }
}

#[test]
fn a_raw_file_shows_what_its_source_makes_of_it() {
    let folder = Folder::new();
    let raw = root().join("tests/slices/github/bigquery.jsonl");
    let said = folder.fine(&format!("inspect {} --limit 1000", raw.display())).out;
    assert!(said.contains("unusable: no_text"), "{said}");
    assert!(said.contains("repo_name: "), "{said}");
    let repository = root().join("tests/slices/github/repositories/tide-tables");
    let said = folder.fine(&format!("inspect {} --slice github --json --limit 100", repository.display())).out;
    let rows: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().any(|row| row["license"] == "mit" || row["license"] == "apache-2.0"), "{said}");
    let said = folder.ends(&format!("inspect {}", folder.write("mystery", "what").display()), 2);
    assert!(said.err.contains("--slice"), "{}", said.err);
}

#[test]
fn an_export_is_the_original_s_lines_in_manifest_order() {
    let folder = finished();
    folder.fine("export out");
    folder.fine("export out --format jsonl --to lines");
    let mut lines = String::new();
    for number in 0..6 {
        let name = format!("c4-{number:05}.jsonl.zst");
        let bytes = fs::read(folder.path(&format!("lines/{name}"))).unwrap();
        assert_eq!(bytes, fs::read(folder.path(&format!("out/export/jsonl/{name}"))).unwrap());
        zstd::Decoder::new(bytes.as_slice()).unwrap().read_to_string(&mut lines).unwrap();
    }
    assert_eq!(lines.lines().count() as u64, folder.kept("out", "c4"));
    assert_eq!(
        lines.lines().next().unwrap(),
        "{\"text\": \"The tide came in 0 times and went out as often.\", \"meta\": {\"timestamp\": \
         \"2019-04-25T12:57:54Z\", \"url\": \"https://sea.example/0/0\", \"language\": \"en\", \"source\": \"c4\"}}"
    );
    let urls: Vec<&str> =
        lines.lines().map(|line| line.split("sea.example/").nth(1).unwrap().split('"').next().unwrap()).collect();
    let order = |url: &&str| {
        let (file, record) = url.split_once('/').unwrap();
        (file.parse::<u32>().unwrap(), record.parse::<u32>().unwrap())
    };
    assert!(urls.is_sorted_by_key(order), "{urls:?}");
    // Nothing lies beside them.
    assert_eq!(fs::read_dir(folder.path("lines")).unwrap().count(), 6);
    // An export is no output of the run.
    folder.fine("verify out");
}

#[test]
fn a_plan_says_what_it_would_do_and_does_nothing() {
    let folder = Folder::new();
    folder.corpus();
    folder.pipeline("p.yaml", "exact_dedup: {}, tokenize: {}, pack: {}");
    let plan = folder.fine("plan p.yaml --input raw --output out").out;
    for says in
        ["6 raw files", "pass 1: read · 6 tasks, 0 done, 6 to run", "pass 2: resolve exact_dedup · ", "estimate"]
    {
        assert!(plan.contains(says), "{plan}\nmisses {says}");
    }
    assert!(!folder.path("out").exists());
    let json = folder.fine("plan p.yaml --input raw --output out --json").out;
    let json: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert!(json["estimate"]["cpu_seconds"].as_f64().unwrap() > 0.0, "{json}");
    folder.fine("build p.yaml --input raw --output out");
    let plan = folder.fine("plan p.yaml --input raw --output out").out;
    assert!(plan.contains("pass 3: filter, tokenize, pack · 6 tasks, 6 done, 0 to run"), "{plan}");
    // A file changes: its partition is read again, and what is compared with it.
    let name = "raw/c4-00003.json.gz";
    let bytes = fs::read(folder.path(name)).unwrap();
    folder.write(name, [bytes.clone(), bytes].concat());
    let plan = folder.fine("plan p.yaml --input raw --output out --no-estimate").out;
    assert!(plan.contains("raw files are new or changed: c4/c4-00003.json.gz"), "{plan}");
    assert!(plan.contains("c4 partition 3: not done yet"), "{plan}");
    assert!(plan.contains("is needed again and was cleaned up"), "{plan}");
}

#[test]
fn what_would_be_used_can_be_printed() {
    let folder = Folder::new();
    let said = folder.fine("build --slice github --print").out;
    assert!(said.contains("# pipelines/github.yaml") && said.contains("# manifests/github.yaml"), "{said}");
    assert!(said.contains("exact_dedup") && said.contains("SELECT"), "{said}");
    let said = folder.fine("build original/c4 --print --set max_document=4M").out;
    assert!(said.contains("max_document: 4M"), "{said}");
}

#[test]
fn a_model_that_nobody_uses_is_a_warning() {
    let folder = Folder::new();
    folder.corpus();
    folder.pipeline("p.yaml", "exact_dedup: {}");
    let said = folder.fine("build p.yaml --input raw --output out --set quality_model=q.bin");
    for variable in ["tokenizer", "quality_model"] {
        assert!(said.err.contains(&format!("warning: `{variable}` is set, and no stage")), "{}", said.err);
    }
    assert!(!said.err.contains("language_model"), "{}", said.err);
}

#[test]
fn a_missing_model_says_where_to_put_it() {
    let folder = Folder::new();
    folder.corpus();
    let said = folder.ends("build c4 --input raw --output out", 64);
    assert!(said.err.contains("no tokenizer at models/20B_tokenizer.json"), "{}", said.err);
    assert!(said.err.contains("--set tokenizer=FILE"), "{}", said.err);
    let tokenizer = tokenizer();
    folder.fine(&format!("build c4 --input raw --output out --set tokenizer={}", tokenizer.display()));
    folder.fine("verify out");
}

#[test]
fn stages_and_sources_tell_of_themselves() {
    let folder = Folder::new();
    let all = folder.fine("stages").out;
    assert!(all.contains("exact_dedup") && all.contains("copyright_header"), "{all}");
    let one = folder.fine("stages line_length").out;
    for says in ["max: whole number, default 1000", "RedPajama's own", "- line_length: { max: 1000", "`line_too_long`"]
    {
        assert!(one.contains(says), "{one}\nmisses {says}");
    }
    let one = folder.fine("sources github").out;
    for says in ["BigQuery", "symlink", "59,000,000,000 tokens"] {
        assert!(one.contains(says), "{one}\nmisses {says}");
    }
    let schema: serde_json::Value = serde_json::from_str(&folder.fine("schema").out).unwrap();
    assert!(schema["properties"]["slices"]["properties"]["github"].is_object(), "{schema}");
}

#[test]
fn the_doctor_names_what_is_missing_and_what_to_do() {
    let folder = Folder::new();
    let said = folder.ends("doctor", 1).out;
    assert!(said.contains("missing tokenizer gpt-neox-20b at models/20B_tokenizer.json"), "{said}");
    assert!(said.contains("ok      ") && said.contains("REDPAJAMA_MODELS"), "{said}");
}

#[test]
fn status_tells_of_a_finished_run() {
    let folder = finished();
    let said = folder.fine("status out").out;
    assert!(said.contains("pipeline p, 15 tasks committed") && said.contains("exact_duplicate"), "{said}");
    let json: serde_json::Value = serde_json::from_str(&folder.fine("status out --json").out).unwrap();
    assert_eq!(json["complete"], true);
    folder.ends("status raw", 64);
}

/// Shards of every format that was ever written stay here and still open.
#[test]
fn shards_of_version_1_still_open() {
    let folder = Folder::new();
    let shards = root().join("tests/shards/v1");
    if std::env::var_os("UPDATE").is_some() && !shards.exists() {
        let lines = ["Raw files become documents.", "Documents become tokens.", "Tokens become shards."];
        folder.write("raw/c4.json", lines.map(crate::support::record).concat());
        folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
        folder.fine("build p.yaml --input raw --output out");
        fs::create_dir_all(&shards).unwrap();
        for ending in ["bin", "idx", "provenance.parquet"] {
            let from = file(&folder, "out/shards/c4", &format!(".{ending}"));
            fs::copy(from, shards.join(format!("shard.{ending}"))).unwrap();
        }
    }
    let tokenizer = tokenizer();
    for ending in ["bin", "idx"] {
        let arguments = format!("inspect {}/shard.{ending} --tokenizer {}", shards.display(), tokenizer.display());
        let shown = folder.fine(&arguments).out;
        for says in ["3 documents", "c4/c4.json#2", "Raw files become documents.", "Tokens become shards.<|endoftext|>"]
        {
            assert!(shown.contains(says), "{shown}\nmisses {says}");
        }
    }
}
