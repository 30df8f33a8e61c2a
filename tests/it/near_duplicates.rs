//! What dedups remove from a corpus of which we know what is like what.

use std::path::PathBuf;

use crate::dedups::{rows, the_same_in_every_way};
use crate::support::{Folder, said};
use crate::truth::generate::{generate, generate_crowd};
use crate::truth::report::{Report, report};

fn corpus(seed: u64, bytes: u64) -> (Folder, PathBuf) {
    let folder = Folder::new();
    let raw = folder.path("raw");
    generate(&raw, seed, bytes, 5).unwrap();
    (folder, raw)
}

fn removed(folder: &Folder, raw: &std::path::Path, stage: &str, threshold: f64) -> Report {
    report(env!("CARGO_BIN_EXE_redpajama").as_ref(), raw, &folder.path("out"), stage, threshold).unwrap()
}

#[test]
fn the_same_seed_makes_the_same_corpus() {
    let corpora = [1, 1, 2].map(|seed| corpus(seed, 200_000));
    let bytes = corpora.each_ref().map(|(_, raw)| std::fs::read(raw.join("c4-truth.00003.json.gz")).unwrap());
    assert!(bytes[0] == bytes[1] && bytes[0] != bytes[2]);
}

#[test]
fn exact_copies_go_and_nothing_else() {
    let (folder, raw) = corpus(3, 1_000_000);
    let report = removed(&folder, &raw, "exact_dedup: {}", 1.0);
    assert!(report.faults().is_empty() && report.removed > 0, "{}", report.words());
}

/// Texts decide: whatever was done to copies, what goes is as like one that stays as its receipt says.
#[test]
fn what_minhash_removes_is_alike_and_what_is_alike_goes() {
    for (seed, stage) in [(7, "minhash_dedup: {}"), (8, "minhash_dedup: { bucket: 2 }")] {
        let (folder, raw) = corpus(seed, 1_500_000);
        let report = removed(&folder, &raw, stage, 0.8);
        assert!(report.faults().is_empty(), "{:?}\n{}", report.faults(), report.words());
        assert!(report.removed > 50 && report.recall(0.8) >= 0.98, "{} {}", report.recall(0.8), report.words());
    }
}

/// Of the pages of one template each is compared with a few: among them those that are like it.
#[test]
fn twins_go_from_a_crowd_of_pages_of_one_template() {
    let folder = Folder::new();
    let raw = folder.path("raw");
    generate_crowd(&raw, 11, 400, 3).unwrap();
    let report = removed(&folder, &raw, "minhash_dedup: {}", 0.8);
    assert!(report.faults().is_empty(), "{:?}\n{}", report.faults(), report.words());
    // All pairs are alike, and hardly any others. Compared with the first eight alone, 0.96 of them go.
    assert!((390..430).contains(&report.by_the_rule), "{}", report.words());
    assert!(report.recall(0.8) >= 0.98, "{} {}", report.recall(0.8), report.words());
    let catalog = folder.catalog("out/out");
    let capped = catalog["pairs"]["c4: 1:minhash_dedup"]["capped"].as_u64().unwrap();
    assert!(capped > 0 && capped < 16 * 800 * 799 / 2, "{capped}");
}

/// Which of a crowd are compared, and which of them go for which, depends on their ranks alone.
#[test]
fn a_crowd_loses_the_same_however_raw_files_are_put_together() {
    let folder = Folder::new();
    generate_crowd(&folder.path("raw"), 13, 50, 4).unwrap();
    let stages = "minhash_dedup: { bucket: 4 }";
    the_same_in_every_way(&folder, stages);
    folder.pipeline("p.yaml", stages);
    let told = |partition: &str| {
        folder.fine(&format!("build p.yaml --input raw --output {partition} --set partition={partition}"));
        let of = |what: &str| {
            let mut rows: Vec<String> =
                rows(&folder, &format!("{partition}/{what}/c4")).iter().map(ToString::to_string).collect();
            rows.sort();
            rows
        };
        let parts = std::fs::read_dir(folder.path(partition).join("documents/c4")).unwrap().count();
        let pairs = folder.catalog(partition)["pairs"]["c4: 1:minhash_dedup"].clone();
        (parts, (of("documents"), of("dropped"), pairs))
    };
    let [(alone, reference), (few, in_few), (one, in_one)] = ["1", "15K", "1G"].map(told);
    assert!(alone > few && few > one && one == 1, "{alone} {few} {one}");
    let (documents, dropped, pairs) = &reference;
    // No bucket is so large that it is not cut, and twins go.
    assert!(pairs["capped"].as_u64().unwrap() > 1000, "{pairs}");
    assert!(documents.len() + dropped.len() == 100 && dropped.len() > 30, "{}", dropped.len());
    assert!(in_few == reference, "{} and {}", in_few.2, reference.2);
    assert!(in_one == reference, "{} and {}", in_one.2, reference.2);
}

/// Where a dedup marks what another run has, pairs of ours are proposed twice: what both rounds left out counts.
#[test]
fn what_a_dedup_that_marks_left_out_is_counted_in_both_rounds() {
    let folder = Folder::new();
    generate_crowd(&folder.path("raw"), 13, 50, 4).unwrap();
    folder.write("old/o.json", crate::support::record("Nobody else has any of these few words about the tide."));
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other");
    let capped = |out: &str, more: &str| {
        folder.pipeline("p.yaml", &format!("minhash_dedup: {{ bucket: 4{more} }}"));
        folder.fine(&format!("build p.yaml --input raw --output {out}"));
        folder.catalog(out)["pairs"]["c4: 1:minhash_dedup"]["capped"].as_u64().unwrap()
    };
    let (plain, marks) = (capped("plain", ""), capped("marks", ", against: { run: other, then: mark }"));
    assert!(plain > 1000 && marks == 2 * plain, "{plain} {marks}");
}

/// The report is worth nothing if it finds no fault where there are some.
#[test]
fn what_goes_unverified_is_found_out() {
    let (folder, raw) = corpus(3, 400_000);
    let report = removed(&folder, &raw, "simhash_dedup: {}", 0.8);
    assert!(!report.below_the_threshold.is_empty() && !report.wrong_similarity.is_empty(), "{}", report.words());
    assert!(report.recall(0.8) > 0.4, "{}", report.words());
    // But it judges: none goes for one that went.
    assert!(report.for_one_that_went.is_empty(), "{}", report.words());
    let report = removed(&folder, &raw, "simhash_dedup: { by: any }", 0.8);
    assert!(!report.for_one_that_went.is_empty(), "{}", report.words());
}

/// Of many partitions all left sketches, and pairs, and evidence: few of their files are open at once.
#[cfg(unix)]
#[test]
fn many_partitions_need_few_open_files() {
    let folder = Folder::new();
    let raw = folder.path("raw");
    generate(&raw, 5, 300_000, 120).unwrap();
    folder.write("p.yaml", "slices:\n  c4: {}\nstages:\n  - exact_dedup: {}\n  - minhash_dedup: {}\npartition: 512\n");
    let build = |out: &str, limit: &str| {
        let binary = env!("CARGO_BIN_EXE_redpajama");
        let script = format!("ulimit -n {limit} && exec {binary} build p.yaml --input raw --output {out}");
        let mut command = std::process::Command::new("sh");
        command.current_dir(folder.path("")).args(["-c", &script]);
        said(command.output().unwrap())
    };
    let (few, many) = (build("few", "32"), build("many", "1024"));
    assert_eq!((few.code, many.code), (0, 0), "{}\n{}", few.err, many.err);
    assert!(folder.gone("few", "c4", "near_duplicate") > 0, "{}", few.out);
    assert_eq!(folder.catalog("few"), folder.catalog("many"));
}
