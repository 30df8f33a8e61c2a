//! A dedup that takes more than its guard allows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::dedups::{documents, rows};
use crate::support::{Folder, record};

/// One document in five is one of five short texts; the others differ.
fn folder(guard: &str) -> Folder {
    let folder = Folder::new();
    folder.corpus();
    folder.pipeline("p.yaml", &format!("exact_dedup: {{ {guard} }}, tokenize: {{}}, pack: {{}}"));
    folder
}

fn published(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["documents/c4", "dropped/c4", "shards/c4"] {
        for entry in fs::read_dir(out.join(folder)).unwrap().flatten() {
            files.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[test]
fn a_guard_stops_before_anything_is_rewritten_and_shows_the_largest_clusters() {
    let folder = folder("guard: { share: 0.1, then: stop }");
    for _ in 0..2 {
        let stopped = folder.ends("build p.yaml --input raw --output out", 65);
        let complaint = "error: 1:exact_dedup takes 139 of 720 documents of c4 (19.3 %), and its guard allows 10.0 %";
        assert!(stopped.err.contains(complaint), "{}", stopped.err);
        let cluster = "  30 documents by 1:exact_dedup, of which c4/c4-00000.json.gz#0 stays\n    │ The tide came in 0 \
                       times and went out as often.\n    goes c4/c4-00000.json.gz#5 (1.000 alike)\n";
        assert!(stopped.err.contains(cluster), "{}", stopped.err);
        assert!(stopped.err.contains("    and 26 more\n"), "{}", stopped.err);
        assert!(stopped.err.contains("guard: { then: warn }"), "{}", stopped.err);
        assert!(!folder.path("out/documents").exists() && !folder.path("out/catalog.json").exists());
    }
    let status = folder.fine("status out");
    assert!(status.out.contains("guard: 1:exact_dedup takes 139 of 720 documents of c4 (19.3 %)"), "{}", status.out);
    assert!(status.out.contains("that guard stopped the run"), "{}", status.out);
    // With another guard the same run goes on, and all that was read stays read.
    let set = "--set stages.exact_dedup.guard.then=warn";
    let built = folder.fine(&format!("build p.yaml --input raw --output out --json {set}"));
    assert!(built.err.contains("warning: 1:exact_dedup takes 139 of 720 documents"), "{}", built.err);
    let result: serde_json::Value = serde_json::from_str(built.out.lines().last().unwrap()).unwrap();
    assert_eq!((&result["tasks_done_before"], &result["tasks_run"]), (&9.into(), &6.into()), "{}", built.out);
    let status = folder.fine("status out");
    assert!(status.out.contains("guard: 1:exact_dedup takes 139"), "{}", status.out);
    assert!(!status.out.contains("stopped"), "{}", status.out);
    // A guard changes no byte.
    folder.pipeline("q.yaml", "exact_dedup: {}, tokenize: {}, pack: {}");
    let plain = folder.fine("build q.yaml --input raw --output plain --workers 3");
    assert!(!plain.err.contains("guard"), "{}", plain.err);
    assert!(published(&folder.path("out")) == published(&folder.path("plain")));
    let metrics = fs::read_to_string(folder.path("out/metrics.jsonl")).unwrap();
    assert!(metrics.contains(r#""event":"guard""#), "{metrics}");
}

#[test]
fn a_cluster_that_is_too_large_is_told() {
    let folder = folder("guard: { cluster: 29 }");
    let built = folder.fine("build p.yaml --input raw --output out");
    let complaint = "warning: 1:exact_dedup takes a cluster of 30 documents for one, and its guard allows 29";
    assert!(built.err.contains(complaint), "{}", built.err);
    folder.pipeline("p.yaml", "exact_dedup: { guard: { cluster: 30, then: stop } }, tokenize: {}, pack: {}");
    let built = folder.fine("build p.yaml --input raw --output out2");
    assert!(!built.err.contains("guard"), "{}", built.err);
}

/// What a guard that warns of everything says of a stage, with the text that reaches the stage and that leaves it.
fn cut_in_truth(folder: &Folder, before: &str, stage: &str, options: &str) -> (String, usize, usize) {
    folder.pipeline("before.yaml", if before.is_empty() { "empty_text: {}" } else { before });
    folder.fine("build before.yaml --input raw --output before --replace");
    let between = if before.is_empty() { String::new() } else { format!("{before}, ") };
    folder.pipeline(
        "p.yaml",
        &format!("{between}{stage}: {{ {options}guard: {{ share: 0.0001, then: warn }} }}, tokenize: {{}}, pack: {{}}"),
    );
    let said = folder.fine("build p.yaml --input raw --output out --replace");
    let bytes = |out: &str| documents(folder, out).values().map(String::len).sum::<usize>();
    let (reaches, leaves) = (bytes("before"), bytes("out"));
    fs::remove_dir_all(folder.path("out")).unwrap();
    fs::remove_dir_all(folder.path("before")).unwrap();
    (said.err, reaches, leaves)
}

/// Files of so many texts in all.
fn files(folder: &Folder, texts: &[String]) {
    for (number, texts) in texts.chunks(20).enumerate() {
        folder.write(&format!("raw/{number:03}.json"), texts.iter().map(|text| record(text)).collect::<String>());
    }
}

const CUTTING: [(&str, &str); 6] = [
    ("substring_dedup", ""),
    ("substring_dedup", "at: lines, "),
    ("substring_dedup", "min_tokens: 30, "),
    ("paragraph_dedup", "repeats: remove, "),
    ("line_ngram_dedup", "repeats: remove, "),
    ("line_ngram_dedup", "remove: documents, ngram: 5, "),
];

/// A line of some 230 bytes that no other number has.
fn line(number: usize) -> String {
    (0..24)
        .map(|word| format!("{:x}", (number * 1_000 + word + 7) * 2_654_435_761 % 0xff_ffff_ffff))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_guard_counts_all_that_is_cut_of_short_documents() {
    let folder = Folder::new();
    files(&folder, &(0..95).map(|number| line(number % 5)).collect::<Vec<_>>());
    for (stage, options) in CUTTING {
        let (said, reaches, leaves) = cut_in_truth(&folder, "", stage, options);
        assert!(leaves * 18 < reaches, "{stage}: {leaves} of {reaches}");
        says(&said, stage, 1, (reaches, leaves));
    }
}

/// The guard of the stage says how much it takes.
#[track_caller]
fn says(said: &str, stage: &str, place: usize, (reaches, leaves): (usize, usize)) {
    let [gone, all] = [reaches - leaves, reaches].map(|bytes| match bytes {
        0..1000 => bytes.to_string(),
        _ => format!("{},{:03}", bytes / 1000, bytes % 1000),
    });
    let share = 100.0 * (reaches - leaves) as f64 / reaches as f64;
    let words =
        format!("warning: {place}:{stage} takes {gone} of {all} bytes of text of c4 ({share:.1} %), and its guard");
    assert!(said.contains(&words), "{words}\n{said}");
}

#[test]
fn a_guard_counts_what_repeats_within_a_document() {
    let folder = Folder::new();
    files(&folder, &(0..40).map(|number| vec![line(number); 9].join("\n")).collect::<Vec<_>>());
    for (stage, options) in CUTTING.into_iter().filter(|(_, options)| !options.contains("documents")) {
        let (said, reaches, leaves) = cut_in_truth(&folder, "", stage, options);
        assert!(leaves * 8 < reaches, "{stage}: {leaves} of {reaches}");
        says(&said, stage, 1, (reaches, leaves));
    }
}

#[test]
fn a_guard_counts_what_reaches_its_stage() {
    let folder = Folder::new();
    // Nine tenths go before; of the rest, half.
    let text = |number: usize| format!("{}\n{}", vec![line(3).repeat(2); 5].join("\n"), line(100 + number % 30));
    files(&folder, &(0..60).map(text).collect::<Vec<_>>());
    let before = "paragraph_dedup: { keep: none, min_characters: 400 }";
    for (stage, options) in CUTTING {
        let (said, reaches, leaves) = cut_in_truth(&folder, before, stage, options);
        assert!(leaves * 9 < reaches * 5 && leaves * 11 > reaches * 5, "{stage}: {leaves} of {reaches}");
        says(&said, stage, 2, (reaches, leaves));
    }
}

#[test]
fn a_guard_stops_a_dedup_that_cuts_before_anything_is_published() {
    let folder = Folder::new();
    files(&folder, &(0..95).map(|number| line(number % 50)).collect::<Vec<_>>());
    for (stage, options) in CUTTING {
        let (_, reaches, leaves) = cut_in_truth(&folder, "", stage, options);
        let share = (reaches - leaves) as f64 / reaches as f64;
        assert!(share > 0.3, "{stage}: {share}");
        let pipeline = |share: f64, then: &str| {
            let guard = format!("guard: {{ share: {share}, then: {then} }}");
            folder.pipeline("p.yaml", &format!("{stage}: {{ {options}{guard} }}, tokenize: {{}}, pack: {{}}"));
        };
        // At the last document as well as at the first, and again with all tasks done.
        for below in [0.001, 0.999 * share] {
            pipeline(below, "stop");
            for _ in 0..2 {
                let stopped = folder.ends("build p.yaml --input raw --output out", 65);
                assert!(stopped.err.contains(&format!("error: 1:{stage} takes at least ")), "{}", stopped.err);
                assert!(stopped.err.contains("bytes of text of c4"), "{}", stopped.err);
                assert!(stopped.err.contains("hint: nothing was published"), "{}", stopped.err);
                assert!(!folder.path("out/catalog.json").exists());
            }
            let status = folder.fine("status out").out;
            assert!(status.contains("that guard stopped the run before anything was published"), "{status}");
        }
        // What was done stays done, with any other guard.
        pipeline(1.001 * share, "stop");
        let built = folder.fine("build p.yaml --input raw --output out");
        assert!(!built.err.contains("guard"), "{}", built.err);
        assert!(built.err.contains("tasks are done already"), "{}", built.err);
        let told = folder.catalog("out")["slices"]["c4"]["counts"]["stages"][format!("1:{stage}")]["cut"].as_u64();
        assert_eq!(told, Some((reaches - leaves) as u64), "{stage}");
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
}

#[test]
fn what_stays_in_another_run_is_told_with_that_run() {
    let folder = Folder::new();
    folder.corpus();
    fs::create_dir(folder.path("old")).unwrap();
    fs::rename(folder.path("raw/c4-00000.json.gz"), folder.path("old/first.json.gz")).unwrap();
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other");
    let stage = |guard: &str| {
        format!("minhash_dedup: {{ against: {{ run: other }}, guard: {guard} }}, tokenize: {{}}, pack: {{}}")
    };
    folder.pipeline("p.yaml", &stage("{ share: 0.01, then: stop }"));
    let stopped = folder.ends("build p.yaml --input raw --output out", 65);
    let stays =
        "of which c4/first.json.gz#0 of the run other stays\n    │ The tide came in 0 times and went out as often.\n";
    assert!(stopped.err.contains(stays), "{}", stopped.err);
    // Evidence that is made again is made of what that run wrote, or not at all.
    let between = |ending: &str| {
        let files = fs::read_dir(folder.path("out/between")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.to_str().unwrap().ends_with(ending)).collect::<Vec<_>>()
    };
    for ending in [".evidence", ".findings", ".candidates"] {
        assert!(!between(ending).is_empty(), "{ending}");
        between(ending).iter().for_each(|path| fs::remove_file(path).unwrap());
    }
    let part = fs::read_dir(folder.path("other/documents/c4")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&part).unwrap();
    bytes[6] ^= 1;
    fs::write(&part, &bytes).unwrap();
    let damaged = folder.ends("build p.yaml --input raw --output out", 65);
    assert!(damaged.err.contains("it is not what its run wrote"), "{}", damaged.err);
    bytes[6] ^= 1;
    fs::write(&part, &bytes).unwrap();
    folder.pipeline("p.yaml", &stage("{ then: warn }"));
    folder.fine("build p.yaml --input raw --output out");
    let shown = folder.fine("status out --clusters 1").out;
    assert!(shown.contains(" by 1:minhash_dedup, of which c4/first.json.gz#"), "{shown}");
    assert!(shown.contains(" of the run other stays\n    goes c4/"), "{shown}");
    let json = folder.fine("status out --clusters 1 --json").out;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["clusters"][0]["kept"]["run"], "other", "{json}");
}

#[test]
fn of_what_has_the_same_address_nobody_says_how_alike_it_is() {
    let folder = Folder::new();
    folder.corpus();
    let whole = fs::read(folder.path("raw/c4-00000.json.gz")).unwrap();
    folder.write("raw/c4-00009.json.gz", whole);
    for stage in
        ["exact_dedup: { by: { meta: url }, guard: { cluster: 1 } }", "crawl_dedup: { by: url, guard: { cluster: 1 } }"]
    {
        folder.pipeline("p.yaml", stage);
        let built = folder.fine("build p.yaml --input raw --output out");
        assert!(built.err.contains("    goes c4/c4-000"), "{}", built.err);
        let clusters = folder.fine("status out --clusters 1").out;
        assert!(clusters.contains("    goes c4/c4-000"), "{clusters}");
        assert!(!built.err.contains("alike") && !clusters.contains("alike"), "{}{clusters}", built.err);
        let dropped = rows(&folder, "out/dropped/c4");
        assert_eq!(dropped.len(), 120);
        for row in dropped {
            assert!(row["kept_id"].is_string() && row["similarity"].is_null(), "{row}");
            assert!(row["evidence"].as_str().unwrap().ends_with("with which nobody compared it"), "{row}");
        }
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
}

#[test]
fn a_wrong_guard_points_at_its_value() {
    let folder = folder("guard: { share: 1.5 }");
    let wrong = folder.ends("build p.yaml --input raw --output out", 64);
    assert!(wrong.err.contains("1.5 is not a share from 0 to 1"), "{}", wrong.err);
    assert!(wrong.err.contains("^^^"), "{}", wrong.err);
}

#[test]
fn status_shows_the_largest_clusters_of_a_finished_run() {
    let folder = folder("");
    folder.fine("build p.yaml --input raw --output out");
    let plain = folder.fine("status out").out;
    assert!(!plain.contains("clusters"), "{plain}");
    let shown = folder.fine("status out --clusters 2").out;
    let (_, shown) = shown.split_once("\nthe largest clusters:\n").unwrap();
    let first = "  30 documents by 1:exact_dedup, of which c4/c4-00000.json.gz#0 stays\n    │ The tide came in 0 times and \
                 went out as often.\n    goes c4/c4-00000.json.gz#5 (1.000 alike)\n";
    assert!(shown.starts_with(first), "{shown}");
    assert_eq!(shown.matches(" stays\n").count(), 2, "{shown}");
    // In little memory they lie in the run's folder while they are sorted, and nothing of them stays there.
    let before = fs::read_dir(folder.path("out")).unwrap().count();
    let mut command = folder.command("status out --clusters 2 --memory 1");
    let nowhere = crate::support::said(command.env("TMPDIR", folder.path("nowhere")).output().unwrap());
    assert!(nowhere.out.contains(shown), "{}{}", nowhere.out, nowhere.err);
    assert_eq!(fs::read_dir(folder.path("out")).unwrap().count(), before);
    let json = folder.fine("status out --clusters --json").out;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let clusters = value["clusters"].as_array().unwrap();
    assert_eq!(clusters.len(), 5, "{json}");
    // Every document that went is in one of them.
    assert_eq!(clusters.iter().map(|cluster| cluster["documents"].as_u64().unwrap() - 1).sum::<u64>(), 139);
}
