//! The same bytes every time: with any number of workers, crashed or killed at any moment or not,
//! alone or beside another run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Folder, root, said};

const STAGES: &str = "line_statistics: {}, line_length: { max: 150 }, exact_dedup: {}, letters_per_token: { min: 0.5 }, tokenize: {}, \
                      pack: { shard_tokens: 500 }";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.corpus();
    folder.pipeline("p.yaml", STAGES);
    folder
}

/// Everything that a run published, by name; scratch and metrics are no output.
fn published(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["documents", "dropped", "shards", "commits", "between"] {
        let mut folders = vec![out.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(out).unwrap().to_string_lossy().into_owned();
                    files.insert(name, fs::read(path).unwrap());
                }
            }
        }
    }
    files.insert("catalog.json".into(), fs::read(out.join("catalog.json")).unwrap());
    files
}

#[track_caller]
fn assert_same(folder: &Folder, out: &str, reference: &BTreeMap<String, Vec<u8>>, what: &str) {
    let found = published(&folder.path(out));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(reference), "{what}");
    for (name, bytes) in reference {
        assert!(found[name] == *bytes, "{what}: {name} differs");
    }
}

#[test]
fn one_two_and_seven_workers_give_the_same_bytes() {
    let folder = folder();
    let mut reference = None;
    for (workers, memory) in [(1, "64M"), (2, "8G"), (7, "300M")] {
        let out = format!("out{workers}");
        folder.fine(&format!("build p.yaml --input raw --output {out} --workers {workers} --memory {memory}"));
        folder.fine(&format!("verify {out}"));
        let files = published(&folder.path(&out));
        let shards = files.keys().filter(|name| name.ends_with(".bin")).count();
        assert!(shards > 6, "{shards} shards of 500 tokens");
        let reference = reference.get_or_insert(files);
        assert_same(&folder, &out, reference, &out);
    }
    // One document in five is one of five texts.
    assert_eq!(folder.gone("out1", "c4", "exact_duplicate"), 6 * 24 - 5);
}

#[test]
fn a_crash_at_any_step_loses_and_doubles_nothing() {
    let folder = Folder::new();
    folder.corpus();
    // A partition of all files: the steps of its commits are walked one by one.
    folder.pipeline("p.yaml", STAGES);
    let arguments = "build p.yaml --set partition=1G --limit 60 --input raw --workers 1";
    folder.fine(&format!("{arguments} --output reference"));
    let reference = published(&folder.path("reference"));
    let mut step = 0;
    loop {
        let out = format!("out{step}");
        let arguments = format!("{arguments} --output {out}");
        let crashed = said(folder.command(&arguments).env("REDPAJAMA_CRASH_AT", step.to_string()).output().unwrap());
        if crashed.code == 0 {
            break;
        }
        assert_eq!(crashed.code, -1, "step {step}: {}", crashed.err);
        // What was published last may be the catalog: before it, no reader sees a finished run.
        folder.fine(&arguments);
        assert_same(&folder, &out, &reference, &format!("after a crash at step {step}"));
        fs::remove_dir_all(folder.path(&out)).unwrap();
        step += 1;
    }
    assert!(step > 30, "only {step} steps");
}

#[test]
fn killed_at_twenty_moments_it_goes_on() {
    let folder = folder();
    let begun = Instant::now();
    folder.fine("build p.yaml --input raw --output reference --workers 2");
    let takes = begun.elapsed();
    let reference = published(&folder.path("reference"));
    let mut seed = 20_240_601u64;
    let mut cut_short = 0;
    for moment in 0..20 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (seed >> 40) as f64 / (1u64 << 24) as f64;
        let out = format!("out{moment}");
        let arguments = format!("build p.yaml --input raw --output {out} --workers 2");
        let mut child = folder
            .command(&arguments)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs_f64(takes.as_secs_f64() * share));
        child.kill().unwrap();
        child.wait().unwrap();
        cut_short += u32::from(!folder.path(&out).join("catalog.json").exists());
        // It goes on with another number of workers.
        let workers = 1 + moment % 3;
        folder.fine(&format!("build p.yaml --input raw --output {out} --workers {workers}"));
        assert_same(&folder, &out, &reference, &format!("killed after {share:.2} of the time"));
        fs::remove_dir_all(folder.path(&out)).unwrap();
    }
    assert!(cut_short > 5, "only {cut_short} runs were killed before their end");
}

#[test]
fn two_runs_at_once_share_the_ledger() {
    let folder = folder();
    folder.fine("build p.yaml --input raw --output reference");
    let reference = published(&folder.path("reference"));
    let arguments = "build p.yaml --input raw --output out --workers 1";
    let children: Vec<_> = (0..2)
        .map(|_| {
            let mut command = folder.command(arguments);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let said = said(child.wait_with_output().unwrap());
        assert_eq!(said.code, 0, "{}", said.err);
    }
    // If both ended at the same moment, what lies between is swept by the next.
    folder.fine(arguments);
    assert_same(&folder, "out", &reference, "two runs at once");
}

#[test]
fn a_second_build_does_nothing_and_a_changed_one_only_what_changed() {
    let folder = folder();
    folder.fine("build p.yaml --input raw --output out --keep-between");
    let catalog = fs::read(folder.path("out/catalog.json")).unwrap();
    let again = folder.fine("build p.yaml --input raw --output out --keep-between --json");
    let result: serde_json::Value = serde_json::from_str(again.out.lines().last().unwrap()).unwrap();
    assert_eq!(result["tasks_run"], 0, "{}", again.out);
    assert_eq!(fs::read(folder.path("out/catalog.json")).unwrap(), catalog);
    // Other shards: the first passes stay.
    let set = "--set stages.pack.shard_tokens=700";
    let plan = folder.fine(&format!("plan p.yaml --input raw --output out --no-estimate {set}")).out;
    assert!(plan.contains("stage 6:pack was"), "{plan}");
    assert!(plan.contains("pass 1: read, line_statistics, line_length · 6 tasks, 6 done, 0 to run"), "{plan}");
    let changed = folder.fine(&format!("build p.yaml --input raw --output out --json {set}"));
    let result: serde_json::Value = serde_json::from_str(changed.out.lines().last().unwrap()).unwrap();
    assert_eq!(result["tasks_run"], 6, "{}", changed.out);
    folder.fine("verify out");
    // A lost shard is made again, and nothing else of the last pass.
    let shard = fs::read_dir(folder.path("out/shards/c4")).unwrap().flatten().map(|entry| entry.path());
    let shard = shard.filter(|path| path.extension().is_some_and(|ending| ending == "bin")).min().unwrap();
    let bytes = fs::read(&shard).unwrap();
    fs::remove_file(&shard).unwrap();
    folder.ends("verify out", 65);
    folder.fine(&format!("build p.yaml --input raw --output out {set}"));
    assert_eq!(fs::read(&shard).unwrap(), bytes);
    folder.fine("verify out");
}

#[test]
fn a_limit_takes_the_first_records_in_order() {
    let folder = folder();
    folder.pipeline("plain.yaml", "tokenize: {}, pack: {}");
    for workers in [1, 3] {
        let out = format!("out{workers}");
        folder.fine(&format!("build plain.yaml --input raw --output {out} --limit 150 --workers {workers}"));
        assert_eq!(folder.kept(&out, "c4"), 150);
    }
    assert_same(&folder, "out3", &published(&folder.path("out1")), "limited");
    folder.fine("export out1 --to lines");
    let ids = folder.fine("inspect out1/documents/c4 --json").code;
    assert_eq!(ids, 0);
}

#[test]
fn ctrl_c_ends_cleanly_and_says_how_to_go_on() {
    let folder = folder();
    // Enough work that it is still under way when the signal comes.
    let raw = fs::read(folder.path("raw/c4-00000.json.gz")).unwrap();
    for file in 10..60 {
        folder.write(&format!("raw/c4-{file:05}.json.gz"), raw.repeat(20));
    }
    let child = folder
        .command("build p.yaml --input raw --output out --workers 1")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let commits = folder.path("out/commits");
    let begun = Instant::now();
    while !commits.exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let said = said(child.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.err);
    assert!(said.err.contains("run the same command again"), "{}", said.err);
    let status = folder.fine("status out").out;
    assert!(status.contains("not finished"), "{status}");
    folder.fine("build p.yaml --input raw --output out --workers 2");
    folder.fine("verify out");
}

#[test]
fn the_sample_pipeline_is_whole() {
    let folder = Folder::new();
    let sample = root().join("pipelines/sample.yaml");
    let built = folder.fine(&format!("build {} --json", sample.display()));
    folder.fine("verify out/sample");
    let result: serde_json::Value = serde_json::from_str(built.out.lines().last().unwrap()).unwrap();
    assert!(result["tokens"].as_u64().unwrap() > 5_000, "{result}");
    assert_eq!(result["idle_stages"], serde_json::json!([]), "every stage of the sample has something to do");
    assert!(folder.gone("out/sample", "c4", "exact_duplicate") > 0);
    assert!(folder.gone("out/sample", "github", "exact_duplicate") > 0);
}
