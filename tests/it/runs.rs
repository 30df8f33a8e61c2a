//! The same bytes every time: with any number of workers, crashed or killed at any moment or not,
//! alone or beside another run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Folder, record, root, said};

const STAGES: &str = "line_statistics: {}, line_length: { max: 150 }, exact_dedup: {}, simhash_dedup: { distance: 12 }, \
                      minhash_dedup: { ngram: 1, threshold: 0.7 }, \
                      letters_per_token: { min: 0.5 }, tokenize: {}, \
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
    // These five differ in a digit.
    assert!(folder.gone("out1", "c4", "near_duplicate") >= 4);
}

#[test]
fn chains_of_pairs_end_alike_with_any_memory_and_partition() {
    let folder = Folder::new();
    // Of each chain A, B, C, D every text is like the next, and the ends have little in common.
    let mut lines = [const { String::new() }; 3];
    for chain in 0..40 {
        for link in 0..4 {
            let words: Vec<String> = (0..60).map(|word| format!("w{chain}x{}", word + 5 * link)).collect();
            let text = serde_json::json!({ "text": words.join(" "), "timestamp": "", "url": "" }).to_string();
            lines[(chain + link) % 3] += &(text + "\n");
        }
    }
    for (file, lines) in lines.iter().enumerate() {
        folder.write(&format!("raw/c4-{file:05}.json"), lines);
    }
    // 55 of 65 words are alike, 50 of 70 and 45 of 75 are not.
    for (clusters, expected) in [("verified", 80), ("transitive", 40)] {
        let stages = format!("minhash_dedup: {{ ngram: 1, threshold: 0.8, bands: 60, rows: 2, clusters: {clusters} }}");
        folder.pipeline("chains.yaml", &stages);
        let mut kept = Vec::new();
        for (name, more) in [("a", "--workers 1"), ("b", "--workers 7 --memory 64M"), ("c", "--set partition=1G")] {
            let out = format!("out-{clusters}-{name}");
            folder.fine(&format!("build chains.yaml --input raw --output {out} {more}"));
            folder.fine(&format!("verify {out}"));
            let pairs = &folder.catalog(&out)["pairs"]["c4: 1:minhash_dedup"];
            assert_eq!((pairs["alike"].as_u64(), pairs["capped"].as_u64()), (Some(120), Some(0)), "{pairs}");
            let mut ids = Vec::new();
            for name in published(&folder.path(&out)).keys().filter(|name| name.starts_with("documents/")) {
                let said = folder.fine(&format!("inspect {out}/{name} --json --limit 1000"));
                let rows = said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
                ids.extend(rows.map(|row| row["id"].as_str().unwrap().to_owned()));
            }
            kept.push(ids);
        }
        assert!(kept[0] == kept[1] && kept[0] == kept[2], "{clusters}: {kept:?}");
        if clusters == "transitive" {
            assert_eq!(kept[0].len(), expected);
        } else {
            assert!(kept[0].len() >= expected, "{}", kept[0].len());
        }
    }
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
    assert!(plan.contains("stage 8:pack was"), "{plan}");
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
    let mut ids = Vec::new();
    for name in published(&folder.path("out1")).keys().filter(|name| name.starts_with("documents/")) {
        let said = folder.fine(&format!("inspect out1/{name} --json --limit 1000"));
        let rows = said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        ids.extend(rows.map(|row| row["id"].as_str().unwrap().to_owned()));
    }
    let first = (0..120).map(|record| format!("c4/c4-00000.json.gz#{record}"));
    let expected: Vec<String> = first.chain((0..30).map(|record| format!("c4/c4-00001.json.gz#{record}"))).collect();
    assert_eq!(ids, expected);
}

/// The catalog of a run without what depends on how the run came about.
fn corpus_of(folder: &Folder, out: &str) -> serde_json::Value {
    folder.fine(&format!("verify {out}"));
    folder.catalog(out)
}

#[test]
fn files_that_come_and_go_leave_the_corpus_of_a_fresh_build() {
    for keep in ["", "--keep-between"] {
        let folder = folder();
        folder.fine(&format!("build p.yaml --input raw --output out {keep}"));
        let extra = fs::read(folder.path("raw/c4-00002.json.gz")).unwrap();
        for (step, change) in ["before all", "between", "gone again", "other order"].into_iter().enumerate() {
            match step {
                0 => drop(folder.write("raw/a-first.json.gz", &extra)),
                1 => drop(folder.write("raw/c4-00001b.json.gz", &extra)),
                2 => fs::remove_file(folder.path("raw/a-first.json.gz")).unwrap(),
                _ => fs::rename(folder.path("raw/c4-00000.json.gz"), folder.path("raw/z-last.json.gz")).unwrap(),
            }
            folder.fine(&format!("build p.yaml --input raw --output out {keep}"));
            folder.fine(&format!("build p.yaml --input raw --output fresh{step}"));
            assert_eq!(corpus_of(&folder, "out"), corpus_of(&folder, &format!("fresh{step}")), "{keep} {change}");
        }
    }
}

#[test]
fn a_run_goes_on_after_its_slices_have_changed_places() {
    let folder = Folder::new();
    let slices = root().join("tests/slices");
    let pipeline = |first: &str, second: &str| {
        let own = |slice: &str| match slice {
            "c4" => format!("  c4: {{ input: [{}/c4/c4-sample.json] }}\n", slices.display()),
            _ => format!("  github: {{ input: [{}/github/bigquery.jsonl] }}\n", slices.display()),
        };
        let yaml = format!("slices:\n{}{}stages: [exact_dedup: {{}}]\nallow_unusable: 1\n", own(first), own(second));
        folder.write("p.yaml", yaml);
    };
    pipeline("github", "c4");
    folder.fine("build p.yaml --output out --keep-between");
    pipeline("c4", "github");
    folder.fine("build p.yaml --output out --keep-between");
    folder.fine("build p.yaml --output fresh");
    assert_eq!(corpus_of(&folder, "out"), corpus_of(&folder, "fresh"));
}

#[test]
fn names_do_not_depend_on_how_a_path_is_typed() {
    let folder = folder();
    fs::create_dir(folder.path("below")).unwrap();
    let whole = folder.path("raw");
    let spellings = ["raw", "./raw", "below/../raw", &whole.to_string_lossy(), "raw/*.gz"];
    for (number, input) in spellings.into_iter().enumerate() {
        folder.fine(&format!("build p.yaml --input {input} --output out{number}"));
    }
    let reference = published(&folder.path("out0"));
    for (number, input) in spellings.into_iter().enumerate() {
        assert_same(&folder, &format!("out{number}"), &reference, input);
    }
    // Files of one name in two folders are two files.
    let bytes = fs::read(folder.path("raw/c4-00000.json.gz")).unwrap();
    folder.write("nested/x/a.json.gz", &bytes);
    folder.write("nested/y/a.json.gz", &bytes);
    folder.fine("build p.yaml --input nested/x/a.json.gz nested/y/a.json.gz --output nested-out");
    assert_eq!(folder.catalog("nested-out")["slices"]["c4"]["inputs"][1]["name"], "c4/y/a.json.gz");
}

#[test]
fn another_plan_at_the_same_time_leaves_a_whole_corpus() {
    let folder = folder();
    let children: Vec<_> = ["500", "700"]
        .into_iter()
        .map(|tokens| {
            let set = format!("--set stages.pack.shard_tokens={tokens}");
            let mut command = folder.command(&format!("build p.yaml --input raw --output out --workers 1 {set}"));
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let said = said(child.wait_with_output().unwrap());
        assert_eq!(said.code, 0, "{}", said.err);
    }
    folder.fine("verify out");
}

#[test]
fn a_trial_does_not_take_the_place_of_a_finished_corpus() {
    let folder = folder();
    folder.fine("build p.yaml --input raw --output out");
    let said = folder.ends("build p.yaml --input raw --output out --limit 10", 64);
    assert!(said.err.contains("a larger --limit") && said.err.contains("--replace"), "{}", said.err);
    folder.fine("verify out");
    folder.fine("build p.yaml --input raw --output out --limit 10 --replace");
    folder.fine("verify out");
    // More takes the place of less.
    folder.fine("build p.yaml --input raw --output out");
    // Nothing does not take the place of something.
    for file in 0..6 {
        folder.write(&format!("raw/c4-{file:05}.json.gz"), "");
    }
    let said = folder.ends("build p.yaml --input raw --output out", 65);
    assert!(said.err.contains("nothing was kept") && said.err.contains("--replace"), "{}", said.err);
    folder.fine("verify out");
}

#[test]
fn the_output_does_not_lie_among_the_input() {
    let folder = folder();
    let said = folder.ends("build p.yaml --input raw --output raw/out", 64);
    assert!(said.err.contains("would lie among the input"), "{}", said.err);
    std::os::unix::fs::symlink(folder.path("raw"), folder.path("link")).unwrap();
    folder.ends("build p.yaml --input raw --output link/out", 64);
    folder.ends("build p.yaml --input link --output raw/out", 64);
    // Beside it, it may, however that is typed.
    folder.write("raw/../beside/.keep", "");
    folder.fine("build p.yaml --input raw --output raw/../beside/out");
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

#[test]
fn a_shared_line_stays_in_the_first_document_alone() {
    let folder = Folder::new();
    for file in ["north", "east", "south", "west"] {
        let lines: String = (0..30u8)
            .map(|record| {
                // Digits are all one in the comparison.
                let boat = char::from(b'a' + record % 26).to_string().repeat(1 + usize::from(record) / 26);
                let text = format!("Accept all cookies of this page\nBoat {boat} from the {file} is at sea\nHome");
                crate::support::record(&text)
            })
            .collect();
        folder.write(&format!("raw/{file}.json"), lines);
    }
    folder.pipeline("p.yaml", "paragraph_dedup: { min_characters: 10 }, tokenize: {}, pack: {}");
    let mut reference = None;
    for workers in [1, 7] {
        let out = format!("out{workers}");
        folder.fine(&format!("build p.yaml --input raw --output {out} --workers {workers}"));
        let reference = reference.get_or_insert_with(|| published(&folder.path(&out)));
        assert_same(&folder, &out, reference, &out);
    }
    let mut texts = Vec::new();
    for name in reference.unwrap().keys().filter(|name| name.starts_with("documents/")) {
        let said = folder.fine(&format!("inspect out1/{name} --json --limit 1000"));
        let rows = said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        texts.extend(rows.map(|row| row["text"].as_str().unwrap().to_owned()));
    }
    let shared: Vec<usize> = (0..texts.len()).filter(|at| texts[*at].contains("cookies")).collect();
    assert_eq!((texts.len(), shared), (120, vec![0]));
    assert_eq!(texts[119], "Boat dd from the west is at sea\nHome");
}

/// Where a task has next to no memory, what it sorts, compares and judges lies on disk, and comes out
/// the same.
#[test]
fn what_has_no_room_in_memory_is_spilled_and_comes_out_the_same() {
    let folder = Folder::new();
    // Texts of fourteen words: all but one are those of the sixty-three others of its group.
    let text = |document: usize| {
        let of_group: String = (0..13).map(|word| format!("g{}w{word} ", document % 21)).collect();
        format!("{of_group}alone{document}")
    };
    for file in 0..4 {
        let lines: String = (0..336).map(|line| record(&text(336 * file + line))).collect();
        folder.write(&format!("raw/c4-{file:05}.json"), lines);
    }
    for clusters in ["verified", "transitive"] {
        let stages = format!("minhash_dedup: {{ ngram: 1, threshold: 0.8, bands: 6, rows: 2, clusters: {clusters} }}");
        folder.pipeline("p.yaml", &stages);
        let build = |out: &str, environment: Option<&str>| {
            let mut command = folder.command(&format!("build p.yaml --input raw --output {out} --keep-between"));
            command.envs(environment.map(|bytes| ("REDPAJAMA_SCARCE_MEMORY", bytes)));
            let said = said(command.output().unwrap());
            assert_eq!(said.code, 0, "{}", said.err);
            let mut spilled: BTreeMap<String, u64> = BTreeMap::new();
            for line in fs::read_to_string(folder.path(out).join("metrics.jsonl")).unwrap().lines() {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                let bytes = event["spilled"].as_u64().unwrap_or(0);
                for label in event["cost"].as_object().into_iter().flat_map(|cost| cost.keys()) {
                    *spilled.entry(label.split(' ').next().unwrap().to_owned()).or_default() += bytes;
                }
            }
            (spilled, published(&folder.path(out)))
        };
        let (none, reference) = build(&format!("roomy-{clusters}"), None);
        assert!(none.values().all(|bytes| *bytes == 0), "{none:?}");
        let (spilled, scarce) = build(&format!("scarce-{clusters}"), Some("0"));
        for what in ["write", "resolve", "verify", "judge"] {
            assert!(spilled[what] > 0, "{what}: {spilled:?}");
        }
        assert!(scarce == reference);
        assert!(folder.gone(&format!("scarce-{clusters}"), "c4", "near_duplicate") > 1200);
    }
}
