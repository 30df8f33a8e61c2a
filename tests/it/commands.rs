//! The other commands, on what a build leaves and on raw files.

use std::fs;
use std::io::Read;
use std::process::Command;

use corpus::catalog::Catalog;

use crate::support::{Folder, root, said, tokenizer};

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

/// What lies in a folder, hidden or not.
fn names(folder: &Folder, name: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.path(name)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
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
        ("out", "metrics.jsonl", "── run_started\n"),
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
    // Nothing lies beside them but the note of whose they are.
    assert_eq!(names(&folder, "lines").len(), 7);
    assert!(folder.path("lines/.export.json").is_file());
    // An export is no output of the run.
    folder.fine("verify out");
}

#[test]
fn an_export_never_touches_what_is_not_its_own() {
    let folder = finished();
    // The run's own folders, which the next build sweeps.
    for to in ["out", "out/shards", "out/documents/c4", "out/commits/x", "out/between", "out/new/../dropped/c4"] {
        let said = folder.ends(&format!("export out --to {to}"), 64);
        assert!(said.err.contains("cannot export to") && said.err.contains("out/export/jsonl"), "{to}: {}", said.err);
    }
    assert_eq!(names(&folder, "out/shards"), ["c4"]);
    assert!(!folder.path("out/new").exists());
    // Another corpus' export, and files of such a name that nobody tells of.
    folder.fine("build p.yaml --input raw/c4-00000.json.gz --output other");
    folder.fine("export other --to lines");
    let before = (names(&folder, "lines"), fs::read(folder.path("lines/c4-00000.jsonl.zst")).unwrap());
    let said = folder.ends("export out --to lines", 64);
    assert!(said.err.contains("lines holds c4-00000.jsonl.zst, an export of pipeline p in "), "{}", said.err);
    assert!(said.err.contains("hint: give an empty or a new folder"), "{}", said.err);
    assert_eq!(before, (names(&folder, "lines"), fs::read(folder.path("lines/c4-00000.jsonl.zst")).unwrap()));
    folder.write("mine/c4-00009.jsonl.zst", "precious");
    let said = folder.ends("export out --to mine", 64);
    assert!(said.err.contains("mine holds c4-00009.jsonl.zst, which no export of this run wrote"), "{}", said.err);
    assert_eq!(names(&folder, "mine"), ["c4-00009.jsonl.zst"]);
    // What lies there under other names stays.
    folder.write("all/letters.txt", "dear");
    let said = folder.fine("export out --to all");
    assert!(said.err.contains("documents in 6 files in all"), "{}", said.err);
    assert_eq!(names(&folder, "all").len(), 8);
    // An earlier state of the same run is replaced whole.
    folder.fine("build p.yaml --input raw/c4-00000.json.gz --output out --replace");
    let said = folder.fine("export out --to all");
    assert!(said.err.contains("documents in 1 file in all"), "{}", said.err);
    assert_eq!(names(&folder, "all"), [".export.json", "c4-00000.jsonl.zst", "letters.txt"]);
    // An export is raw files of the same slice, without its note.
    folder.fine("build p.yaml --input all/c4-00000.jsonl.zst --output again");
    folder.fine("verify out");
}

#[test]
fn an_export_to_a_full_disk_leaves_nothing_behind() {
    let folder = finished();
    let small = folder.path("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "none"]).arg(&small).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    }
    let said = folder.run("export out --to small");
    let left = names(&folder, "small");
    Command::new("umount").arg(&small).status().unwrap();
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("No space left"), "{}", said.err);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_its_plan_a_finished_run_is_verified_exported_and_inspected() {
    let folder = finished();
    fs::remove_file(folder.path("out/plan.json")).unwrap();
    let said = folder.fine("verify out");
    assert!(!said.err.contains("not checked"), "{}", said.err);
    folder.fine("export out");
    for (name, ending, shows) in [
        ("out/documents/c4", ".parquet", "c4/c4-00000.json.gz#0"),
        ("out/shards/c4", ".bin", "not decoded"),
        ("out/shards/c4", ".provenance.parquet", "offset: 0"),
    ] {
        let said = folder.fine(&format!("inspect {}", file(&folder, name, ending)));
        assert!(said.out.contains(shows), "{}", said.out);
    }
    folder.ends("inspect out", 2);
}

/// A changed plan whose run was stopped says nothing of the corpus that stands.
#[test]
fn verify_judges_a_catalog_by_what_it_says_and_not_by_a_newer_plan() {
    let folder = finished();
    let plan = folder.path("out/plan.json");
    let text = fs::read_to_string(&plan).unwrap();
    assert!(text.contains("\"append_end_of_document\": true"), "{text}");
    let shards = file(&folder, "out/shards/c4", ".bin");
    folder.pipeline("p.yaml", "exact_dedup: {}, tokenize: {}, pack: { append_end_of_document: false }");
    folder.fine("build p.yaml --input raw --output out");
    assert_ne!(shards, file(&folder, "out/shards/c4", ".bin"));
    fs::write(&plan, text).unwrap();
    folder.fine("verify out");
    // A catalog of before it said so, with a plan of another run: the one check is left out.
    let catalog = folder.path("out/catalog.json");
    let mut old: Catalog = serde_json::from_value(folder.catalog("out")).unwrap();
    for slice in old.slices.values_mut() {
        (slice.append_end_of_document, slice.source) = (None, None);
    }
    fs::write(&catalog, serde_json::to_vec_pretty(&old.sealed()).unwrap()).unwrap();
    let said = folder.fine("verify out");
    assert!(said.err.contains("warning: c4: not checked whether documents end with"), "{}", said.err);
    folder.fine("export out");
}

#[test]
fn a_damaged_commit_is_a_fault() {
    let folder = finished();
    let commit = file(&folder, "out/commits", ".json");
    let whole = fs::read_to_string(&commit).unwrap();
    for (text, says) in [(whole[..whole.len() / 2].to_owned(), "is no commit"), (whole.replace("1", "2"), "")] {
        fs::write(&commit, text).unwrap();
        let said = folder.ends("verify out", 65);
        assert!(said.err.contains("1 fault\n") && said.err.contains(says), "{}", said.err);
        assert!(said.err.contains(commit.rsplit('/').next().unwrap()), "{}", said.err);
        assert!(said.err.contains("hint: remove the damaged files"), "{}", said.err);
        let said = folder.fine("status out");
        assert!(said.err.contains("1 fault in commits/"), "{}", said.err);
    }
    // The way out that the hint names.
    fs::remove_file(&commit).unwrap();
    folder.fine("build p.yaml --input raw --output out --keep-between");
    assert_eq!(fs::read_to_string(&commit).unwrap(), whole);
    let said = folder.fine("verify out");
    assert!(said.out.contains("and 15 commits: every digest"), "{}", said.out);
}

#[test]
fn output_that_is_lost_is_a_failure() {
    let folder = finished();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in
        ["verify out", "build p.yaml --input raw --output out --json", "schema", "status out", "--help", "stages"]
    {
        let said = said(folder.command(arguments).stdout(full()).output().unwrap());
        assert_eq!(said.code, 1, "{arguments}: {}", said.err);
        let says = "error: cannot write to standard output: No space left on device";
        assert!(said.err.contains(says), "{arguments}: {}", said.err);
    }
    // Whoever has read enough may go.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let said = said(folder.command("schema").stdout(writer).output().unwrap());
    assert!(said.code == 0 && said.err.is_empty(), "{}", said.err);
}

#[test]
fn a_tokenizer_learns_from_a_folder_of_our_documents() {
    let folder = finished();
    for (number, input) in ["out/documents", "out/documents/c4", "out"].into_iter().enumerate() {
        let said = folder.fine(&format!("train-tokenizer {input} --vocab-size 300 --output {number}.json"));
        let documents = folder.kept("out", "c4");
        assert!(said.err.contains(&format!("300 tokens learned from {documents} documents")), "{}", said.err);
        assert_eq!(fs::read(folder.path("0.json")).unwrap(), fs::read(folder.path(&format!("{number}.json"))).unwrap());
    }
}

#[test]
fn a_raw_file_is_read_by_its_source_whatever_its_name() {
    let folder = Folder::new();
    folder.write("MyFiles/c4.bin", crate::support::record("In a file of that name."));
    let said = folder.fine("inspect MyFiles/c4.bin --slice c4");
    assert!(said.out.contains("In a file of that name."), "{}", said.out);
    folder.write("MyFiles/20B_tokenizer.json", "{}");
    let said = folder.ends("inspect MyFiles/20B_tokenizer.json", 2);
    assert!(said.err.contains("which slice is MyFiles/20B_tokenizer.json?"), "{}", said.err);
}

#[test]
fn a_pipeline_that_is_no_file_is_called_what_it_is() {
    let folder = Folder::new();
    fs::create_dir(folder.path("pipes")).unwrap();
    let said = folder.ends("build pipes", 2);
    assert!(said.err.contains("error: pipes is a folder, and a pipeline is a file\nhint: name a"), "{}", said.err);
    let said = folder.ends("build /dev/null", 2);
    assert!(said.err.contains("/dev/null is a device or a pipe"), "{}", said.err);
    // A folder of raw files does not hide the pipeline of that name.
    fs::create_dir(folder.path("c4")).unwrap();
    folder.fine("build c4 --print");
    let said = folder.ends("build github --print --set stages.line_lenth.max=3", 2);
    assert!(said.err.contains("no stage `line_lenth` in this pipeline"), "{}", said.err);
    assert!(said.err.contains("did you mean `line_length`? it has: license, "), "{}", said.err);
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
    // Of two files in six, what the dedup will compare: a key for each of about 720 documents.
    let dedup = &json["estimate"]["dedups"][0];
    let (documents, keys) = (dedup["documents"].as_u64().unwrap(), dedup["sketches"].as_u64().unwrap());
    assert!((650..800).contains(&documents) && keys == documents, "{dedup}");
    assert!(dedup["disk"].as_u64().unwrap() >= 28 * keys && dedup["memory"].as_u64().unwrap() > 0, "{dedup}");
    assert!(plan.contains(&format!("  1:exact_dedup: {keys} keys of {documents} documents; ")), "{plan}");
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

#[test]
fn shards_of_other_writers_are_inspected() {
    let folder = Folder::new();
    let others = root().join("tests/shards/others");
    let shown = folder.fine(&format!("inspect {}/i8.bin", others.display())).out;
    for says in ["5 documents, 14 tokens of 1 byte", "tokens (3): 1 2 3", "tokens (3): 127 3 -1"] {
        assert!(shown.contains(says), "{shown}\nmisses {says}");
    }
    let said = folder.ends(&format!("inspect {}/i8.bin --tokenizer {}", others.display(), tokenizer().display()), 64);
    assert!(said.err.contains("document 4 has token -1"), "{}", said.err);
    folder.ends(&format!("inspect {}/float6.bin", others.display()), 64);
}

#[test]
fn nothing_is_trained_on_what_is_no_run() {
    let folder = finished();
    for command in
        ["train raw run.yaml --output runs/first", "train raw", "train raw --output runs/first --set steps=3"]
    {
        let said = folder.ends(command, 64);
        assert!(said.err.contains("raw has no catalog.json"), "{}", said.err);
    }
}

#[test]
fn a_run_that_is_killed_while_it_measures_comes_to_its_first_task() {
    let folder = Folder::new();
    // Of more raw bytes than a build begins without an estimate, and little text that is slow to read.
    let record = crate::support::record(&"the tide comes in and goes out again ".repeat(200));
    folder.write("raw/c4-a.json", record.repeat(600));
    folder.pipeline("p.yaml", "exact_dedup: { by: { meta: nosuch } }");
    let build = |crash: u32| {
        let mut command = folder.command("build p.yaml --input raw --output out --set partition=1M");
        said(command.env("REDPAJAMA_CRASH_AT", crash.to_string()).output().unwrap())
    };
    let measured = || -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.path("out/measured.json")).unwrap()).unwrap()
    };
    let commits = || fs::read_dir(folder.path("out/commits")).map_or(0, Iterator::count);
    // Twice in the sample, then no more.
    for begun in [1, 2] {
        let killed = build(20);
        assert!(killed.code != 0 && commits() == 0, "{}", killed.err);
        assert_eq!((&measured()["begun"], measured()["needs"].is_null()), (&begun.into(), true));
    }
    let killed = build(20);
    assert!(killed.err.contains("no estimate: this run was killed before while it measured"), "{}", killed.err);
    assert!(killed.code != 0 && commits() > 0, "{}", killed.err);
    // What was measured is not measured again, and asks whether the disk has room.
    fs::remove_dir_all(folder.path("out")).unwrap();
    let mut crash = 20;
    while !folder.path("out/measured.json").exists() || measured()["needs"].is_null() {
        let _ = fs::remove_dir_all(folder.path("out"));
        crash += 10;
        let killed = build(crash);
        assert!(killed.code != 0 && commits() == 0, "{crash}: {}", killed.err);
    }
    let killed = build(8);
    assert!(killed.code != 0 && killed.err.contains("measured when it was begun: "), "{}", killed.err);
    assert!(!killed.err.contains("estimate: "), "{}", killed.err);
    let path = folder.path("out/measured.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut value = measured();
    for needed in ["disk", "least_disk"] {
        value["needs"][needed] = (1u64 << 60).into();
    }
    fs::write(&path, value.to_string()).unwrap();
    let full = folder.ends("build p.yaml --input raw --output out --set partition=1M", 1);
    assert!(full.err.contains("this run may need"), "{}", full.err);
    fs::write(&path, text).unwrap();
    // With another `--memory` it is another estimate, which asks what nobody has.
    let built = folder.fine("build p.yaml --input raw --output out --set partition=1M --memory 900M");
    assert!(built.err.contains("estimate: "), "{}", built.err);
    let question = "warning: none of the documents that were measured has what 1:exact_dedup compares";
    assert!(built.err.contains(question), "{}", built.err);
    assert!(!path.exists());
    let plan = folder.fine("plan p.yaml --input raw --output other");
    assert!(plan.out.contains(question), "{}", plan.out);
}
