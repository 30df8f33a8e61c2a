//! What a dedup leaves: the same with any number of workers, in any memory, however raw files are
//! put together, and after any kill.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{Folder, said};

/// The documents that a run kept, by id, with their texts.
pub fn documents(folder: &Folder, out: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.path(out).join("documents")];
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            folders.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let said = folder.fine(&format!("inspect {} --json --limit 100000", path.display()));
        for line in said.out.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            found.insert(row["id"].as_str().unwrap().to_owned(), row["text"].as_str().unwrap().to_owned());
        }
    }
    found
}

/// Runs a pipeline in many ways, which must all keep the same; gives what they kept.
#[track_caller]
pub fn the_same_in_every_way(folder: &Folder, stages: &str) -> BTreeMap<String, String> {
    folder.pipeline("p.yaml", stages);
    folder.fine("build p.yaml --input raw --output out --workers 1");
    let reference = documents(folder, "out");
    assert!(!reference.is_empty());
    let catalog = fs::read(folder.path("out/catalog.json")).unwrap();
    for (workers, memory) in [(2, "8G"), (7, "64M")] {
        let out = format!("out{workers}");
        folder.fine(&format!("build p.yaml --input raw --output {out} --workers {workers} --memory {memory}"));
        assert!(fs::read(folder.path(&out).join("catalog.json")).unwrap() == catalog, "{stages}: {out}");
    }
    for partition in ["1G", "4K"] {
        let out = format!("regrouped{partition}");
        folder.fine(&format!("build p.yaml --input raw --output {out} --set partition={partition} --workers 2"));
        assert_eq!(documents(folder, &out), reference, "{stages}: partition {partition}");
    }
    // Ended at a later and later step of its commits, and resumed by others.
    let mut crashes = 0;
    for step in (3..).step_by(7) {
        let build = format!("build p.yaml --input raw --output crashed --workers {}", 1 + step % 3);
        let ended = said(folder.command(&build).env("REDPAJAMA_CRASH_AT", step.to_string()).output().unwrap());
        if ended.code == 0 {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 0, "only {crashes} crashes");
    assert!(fs::read(folder.path("crashed/catalog.json")).unwrap() == catalog, "{stages}: crashed");
    for out in ["out", "out2", "out7", "crashed", "regrouped1G", "regrouped4K"] {
        fs::remove_dir_all(folder.path(out)).unwrap();
    }
    reference
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.corpus();
    folder
}

#[test]
fn whole_documents_by_text_signal_and_filter() {
    let folder = folder();
    let first = the_same_in_every_way(&folder, "exact_dedup: {}");
    // One document in five is one of five texts.
    assert_eq!(first.len(), 6 * 120 - (6 * 24 - 5));
    assert!(first.contains_key("c4/c4-00000.json.gz#0"));
    assert_eq!(the_same_in_every_way(&folder, "exact_dedup: { bloom: { error_rate: 0.000001 } }"), first);
    // Copies have the same signals, so that the first stays.
    let best = the_same_in_every_way(&folder, "line_statistics: {}, exact_dedup: { keep: { lowest: alnum_prop } }");
    assert_eq!(best, first);
    let urls = the_same_in_every_way(&folder, "exact_dedup: { by: { meta: timestamp } }");
    assert_eq!(urls.into_keys().collect::<Vec<_>>(), ["c4/c4-00000.json.gz#0"]);
}

#[test]
fn the_best_of_an_address_stays_and_the_receipt_names_it() {
    let folder = Folder::new();
    let record = |text: &str| serde_json::json!({"text": text, "url": "https://a.example", "timestamp": "2019"});
    folder.write("raw/a.json", format!("{}\n", record("one line")));
    folder.write("raw/b.json", format!("{}\n{}\n", record("three\nwhole\nlines"), record("two\nlines")));
    let best = "line_statistics: {}, exact_dedup: { by: { meta: url }, keep: { highest: line_count } }";
    let kept = the_same_in_every_way(&folder, best);
    assert_eq!(kept.into_keys().collect::<Vec<_>>(), ["c4/b.json#0"]);
    folder.fine("build p.yaml --input raw --output out");
    let dropped = fs::read_dir(folder.path("out/dropped/c4")).unwrap().map(|entry| entry.unwrap().path());
    let mut receipts = String::new();
    for path in dropped {
        receipts += &folder.fine(&format!("inspect {} --json", path.display())).out;
    }
    assert_eq!(receipts.matches("\"kept_id\":\"c4/b.json#0\"").count(), 2, "{receipts}");
}

#[test]
fn the_order_of_slices_decides_which_copy_stays() {
    let folder = Folder::new();
    let text = "One text that both slices hold, word for word.";
    folder.write("a.json", crate::support::record(text));
    folder.write("b.jsonl", format!("{}\n", serde_json::json!({"text": text, "short_book_title": "One"})));
    for (first, second, dedup) in [
        ("c4", "books", "exact_dedup: {}"),
        ("books", "c4", "exact_dedup: {}"),
        ("c4", "books", "substring_dedup: { min_bytes: 20 }"),
        ("books", "c4", "substring_dedup: { min_bytes: 20 }"),
        ("books", "c4", "line_ngram_dedup: { ngram: 3, min_words: 3 }"),
    ] {
        let input = |slice: &str| if slice == "c4" { "a.json" } else { "b.jsonl" };
        let own = |slice: &str| format!("  {slice}: {{ input: [{}] }}\n", input(slice));
        folder.write("p.yaml", format!("slices:\n{}{}stages: [{dedup}]\n", own(first), own(second)));
        folder.fine("build p.yaml --output out");
        assert_eq!((folder.kept("out", first), folder.kept("out", second)), (1, 0), "{first} first, {dedup}");
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
}

/// All receipts of a run, as JSON lines.
fn receipts(folder: &Folder, out: &str) -> String {
    let mut receipts = String::new();
    for path in fs::read_dir(folder.path(out).join("dropped/c4")).unwrap().map(|entry| entry.unwrap().path()) {
        receipts += &folder.fine(&format!("inspect {} --json --limit 100000", path.display())).out;
    }
    receipts
}

#[test]
fn what_another_run_has_goes_and_the_receipt_names_its_document() {
    let folder = Folder::new();
    let text = |number: u32| {
        let words: Vec<String> = (0..60).map(|word| format!("word{}", number * 31 + word * (number + 1))).collect();
        words.join(" ")
    };
    let file = |numbers: &[u32], more: &str| -> String {
        numbers.iter().map(|number| crate::support::record(&(text(*number) + more))).collect()
    };
    // The other run has two that are alike, which both stay there and here.
    folder.write("old/first.json", file(&[1, 2, 3, 4], ""));
    folder.write("old/second.json", file(&[1, 5, 6], ""));
    folder.write("raw/a.json", file(&[10, 2, 11], ""));
    folder.write("raw/b.json", file(&[12, 6, 12, 1, 13], ""));
    folder.write("raw/near.json", file(&[5, 14], " and a tail"));
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other --set partition=1");
    let before = fs::read(folder.path("other/catalog.json")).unwrap();
    let ours = |kept: &BTreeMap<String, String>| kept.keys().cloned().collect::<Vec<_>>();
    let exact = the_same_in_every_way(&folder, "exact_dedup: { against: other }");
    let expected = ["a.json#0", "a.json#2", "b.json#0", "b.json#4", "near.json#0", "near.json#1"];
    assert_eq!(ours(&exact), expected.map(|id| format!("c4/{id}")));
    for near in [
        "minhash_dedup: { against: other }",
        "minhash_dedup: { against: other, verify: false }",
        "minhash_dedup: { against: other, clusters: transitive }",
        "simhash_dedup: { against: other, distance: 15, shingle: 13, by: any }",
        "simhash_dedup: { against: other, distance: 6 }",
    ] {
        let kept = the_same_in_every_way(&folder, near);
        for gone in ["a.json#1", "b.json#1", "b.json#2", "b.json#3"] {
            assert!(!kept.contains_key(&format!("c4/{gone}")), "{near}: {gone}");
        }
        if near.starts_with("minhash") {
            let expected = ["a.json#0", "a.json#2", "b.json#0", "b.json#4", "near.json#1"];
            assert_eq!(ours(&kept), expected.map(|id| format!("c4/{id}")), "{near}");
        }
    }
    // Nothing of the other run is counted, published or changed.
    folder.pipeline("p.yaml", "minhash_dedup: { against: other }");
    folder.fine("build p.yaml --input raw --output out");
    assert_eq!(folder.catalog("out")["slices"]["c4"]["counts"]["read"]["documents"], 10);
    assert_eq!(folder.catalog("out")["slices"]["c4"]["inputs"].as_array().unwrap().len(), 3);
    assert!(!folder.path("out/between").exists() && fs::read(folder.path("other/catalog.json")).unwrap() == before);
    folder.fine("verify out");
    folder.fine("status out");
    let named = receipts(&folder, "out");
    for kept in ["first.json#0", "first.json#1", "second.json#1", "second.json#2", "b.json#0"] {
        assert_eq!(named.matches(&format!("\"kept_id\":\"c4/{kept}\"")).count(), 1, "{kept}: {named}");
    }
    assert!(folder.fine("build p.yaml --input raw --output out").err.contains("done already"));
    folder.fine("plan p.yaml --input raw --output out");
    // Another catalog: what was compared with it is compared anew.
    folder.write("old/second.json", file(&[13], ""));
    folder.fine("build old.yaml --input old --output other --replace");
    let said = folder.fine("plan p.yaml --input raw --output out");
    assert!(said.out.contains("held against another catalog"), "{}", said.out);
    folder.fine("build p.yaml --input raw --output out --replace");
    let kept = documents(&folder, "out");
    assert!(kept.contains_key("c4/b.json#1") && !kept.contains_key("c4/b.json#4"), "{kept:?}");
    assert!(receipts(&folder, "out").contains("\"kept_id\":\"c4/second.json#0\""));
}

#[test]
fn an_estimate_counts_what_another_run_has() {
    let folder = folder();
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input raw --output other");
    let dedup = |stage: &str| {
        folder.pipeline("p.yaml", stage);
        let said = folder.fine("plan p.yaml --input raw --output out --json");
        let json: serde_json::Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
        let dedup = json["estimate"]["dedups"][0].clone();
        ["documents", "sketches", "disk"].map(|of| dedup[of].as_u64().unwrap())
    };
    let kept = folder.catalog("other")["slices"]["c4"]["counts"]["kept"]["documents"].as_u64().unwrap();
    let [alone, alone_sketches, alone_disk] = dedup("minhash_dedup: {}");
    let [both, sketches, disk] = dedup("minhash_dedup: { against: other }");
    assert!(
        (both - alone).abs_diff(kept) <= 6 && sketches.abs_diff(2 * alone_sketches) < sketches / 20,
        "{both} {alone} {kept}"
    );
    assert!(disk > alone_disk * 3 / 2, "{disk} {alone_disk}");
}

/// Where the sample is all that there is, what it left is what a run leaves.
#[test]
fn an_estimate_counts_what_its_sample_left() {
    let folder = Folder::new();
    let words =
        |from: u32| (from..from + 60).map(|word| format!("w{}", word * word % 7919)).collect::<Vec<_>>().join(" ");
    // Each text stands three times, with a word of its own at its end; each of the others once.
    let texts: Vec<String> = (0..240).map(|text| format!("{} {text}", words(text % 80 * 100))).collect();
    for (number, texts) in texts.chunks(60).enumerate() {
        let file: String = texts.iter().map(|text| crate::support::record(text)).collect();
        folder.write(&format!("raw/{number}.json"), file);
    }
    for stage in [
        "substring_dedup: { min_bytes: 50 }",
        "line_ngram_dedup: {}",
        "line_ngram_dedup: { bloom: { error_rate: 0.01 } }",
        "exact_dedup: {}",
        "minhash_dedup: {}",
        "simhash_dedup: {}",
        "simhash_dedup: { by: any }",
    ] {
        folder.pipeline("p.yaml", stage);
        let said = folder.fine("plan p.yaml --input raw --output out --json");
        let json: serde_json::Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
        let estimate = json["estimate"]["dedups"][0]["disk"].as_u64().unwrap();
        folder.fine("build p.yaml --input raw --output out --keep-between");
        let left = fs::read_dir(folder.path("out/between")).unwrap().map(|entry| entry.unwrap());
        let left = left.filter(|entry| !entry.file_name().to_string_lossy().ends_with(".parquet"));
        let left: u64 = left.map(|entry| entry.metadata().unwrap().len()).sum();
        // In how many ranges a pair is found, a sample of one range does not show.
        let most = if stage.starts_with("minhash") { 16 } else { 12 };
        assert!(estimate * 10 >= left * 9 && estimate * 10 <= left * most, "{stage}: {estimate} of {left}");
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
}

#[test]
fn another_run_that_cannot_be_read_is_an_error_at_its_place() {
    let folder = Folder::new();
    folder.write("raw/a.json", crate::support::record("One text."));
    folder.pipeline("p.yaml", "exact_dedup: { against: other }");
    let said = folder.ends("build p.yaml --input raw --output out", 64);
    assert!(said.err.contains("there is no folder") && said.err.contains("p.yaml:"), "{}", said.err);
    // At the value, not at its letters wherever they stand first.
    for (stage, value) in [
        ("exact_dedup: { against: a }", "a }"),
        ("exact_dedup: { against: { then: mark, run: a } }", "a }"),
        ("exact_dedup: { against: \"\" }", "\"\""),
    ] {
        let line = format!("  - {stage}");
        fs::write(folder.path("p.yaml"), format!("slices:\n  c4: {{}}\nstages:\n{line}\n")).unwrap();
        let said = folder.ends("build p.yaml --input raw --output out", 64);
        let column = line.rfind(value).unwrap() + 1;
        assert!(said.err.contains(&format!("p.yaml:4:{column}\n")), "{stage}: {}", said.err);
        assert!(said.err.contains("no folder"), "{stage}: {}", said.err);
    }
    folder.pipeline("p.yaml", "exact_dedup: { against: other }");
    fs::create_dir(folder.path("other")).unwrap();
    let said = folder.ends("build p.yaml --input raw --output out", 64);
    assert!(said.err.contains("no catalog in") && said.err.contains("against: other"), "{}", said.err);
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input raw --output other");
    let part = fs::read_dir(folder.path("other/documents/c4")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(part).unwrap();
    let said = folder.ends("build p.yaml --input raw --output out", 65);
    assert!(said.err.contains("is missing or of another length") && said.err.contains("p.yaml:"), "{}", said.err);
    fs::write(folder.path("other/catalog.json"), "{").unwrap();
    folder.ends("build p.yaml --input raw --output out", 65);
    folder.fine("build old.yaml --input raw --output own");
    folder.pipeline("old.yaml", "exact_dedup: { against: own }");
    let said = folder.ends("build old.yaml --input raw --output own", 64);
    assert!(said.err.contains("is where this run goes"), "{}", said.err);
    for wrong in ["keep: { highest: x }", "bloom: { error_rate: 0.01 }"] {
        folder.pipeline("p.yaml", &format!("exact_dedup: {{ against: own, {wrong} }}"));
        let said = folder.ends("build p.yaml --input raw --output out", 64);
        assert!(said.err.contains("`against` goes with"), "{}", said.err);
    }
    folder.pipeline("p.yaml", "exact_dedup: { against: own, then: mark }");
    folder.ends("build p.yaml --input raw --output out", 64);
    // What is told to do is to be done to the other run, whose files this one never touches.
    let catalog = folder.path("own/catalog.json");
    let whole = fs::read_to_string(&catalog).unwrap();
    let format = format!("\"format\": {}", corpus::catalog::FORMAT);
    assert!(whole.contains(&format));
    for broken in [whole.replacen(&format, "\"format\": 999", 1), whole[..whole.len() / 2].to_owned()] {
        fs::write(&catalog, broken).unwrap();
        folder.pipeline("p.yaml", "exact_dedup: { against: own }");
        let said = folder.ends("build p.yaml --input raw --output out2", 65);
        assert!(said.err.contains("build that one again"), "{}", said.err);
        assert!(said.err.contains("p.yaml:3:"), "{}", said.err);
        assert!(!said.err.contains("remove the file"), "{}", said.err);
    }
    fs::write(&catalog, whole).unwrap();
    for (stage, why) in [
        ("paragraph_dedup: { against: own, scope: raw_file }", "none is of both runs"),
        ("crawl_dedup: { by: winning_url, against: { run: own, then: mark } }", "it cannot mark"),
    ] {
        folder.pipeline("p.yaml", stage);
        let said = folder.ends("build p.yaml --input raw --output out", 64);
        assert!(said.err.contains(why) && said.err.contains("p.yaml:"), "{}", said.err);
    }
    // Of its length, and another file: found when it is read.
    let part = fs::read_dir(folder.path("own/documents/c4")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&part).unwrap();
    bytes[6] ^= 1;
    fs::write(&part, bytes).unwrap();
    folder.pipeline("p.yaml", "exact_dedup: { against: own }");
    let said = folder.ends("build p.yaml --input raw --output out", 65);
    assert!(said.err.contains(part.file_name().unwrap().to_str().unwrap()), "{}", said.err);
    assert!(said.err.contains("mend that run") && !said.err.contains("remove the file"), "{}", said.err);
}

/// The rows of a folder of a run, as JSON.
pub fn rows(folder: &Folder, path: &str) -> Vec<serde_json::Value> {
    let mut rows = Vec::new();
    for path in fs::read_dir(folder.path(path)).unwrap().map(|entry| entry.unwrap().path()) {
        let said = folder.fine(&format!("inspect {} --json --limit 100000", path.display()));
        rows.extend(said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
    }
    rows
}

#[test]
fn what_another_run_has_can_be_marked_and_then_goes_as_if_it_were_not_there() {
    let folder = folder();
    fs::create_dir(folder.path("old")).unwrap();
    fs::copy(folder.path("raw/c4-00000.json.gz"), folder.path("old/first.json.gz")).unwrap();
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other");
    for (stage, more) in [
        ("exact_dedup", ""),
        ("minhash_dedup", ""),
        ("minhash_dedup", "verify: false, "),
        ("simhash_dedup", "distance: 0, "),
        ("simhash_dedup", "distance: 0, by: any, "),
        ("crawl_dedup", "by: url, "),
    ] {
        let plain = the_same_in_every_way(&folder, &format!("{stage}: {{ {} }}", more.trim_end_matches(", ")));
        let marked =
            the_same_in_every_way(&folder, &format!("{stage}: {{ {more}against: {{ run: other, then: mark }} }}"));
        assert_eq!(marked, plain, "{stage}: {more}");
        let said = folder.fine("build p.yaml --input raw --output out");
        assert!(said.out.contains("which another run has too") && !said.err.contains("touched none"), "{}", said.err);
        let rows = rows(&folder, "out/documents/c4");
        let marks = rows.iter().filter(|row| row["other_id"].is_string()).count() as u64;
        let counted = folder.catalog("out")["slices"]["c4"]["counts"]["stages"][format!("1:{stage}")]["marked"].clone();
        assert!(marks > 0, "{stage}: {more}");
        assert_eq!(counted, marks, "{stage}: {more}");
        for row in rows.iter().filter(|row| row["other_id"].is_string()) {
            assert_eq!(row["other_run"], "other");
            assert!(row["other_id"].as_str().unwrap().starts_with("c4/first.json.gz#"), "{row}");
        }
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
}

#[test]
fn what_is_marked_goes_by_how_alike_it_is_and_the_rest_stays() {
    let folder = Folder::new();
    let words =
        |number: u32| (0..60).map(|word| format!("word{}", number * 31 + word * (number + 1))).collect::<Vec<_>>();
    let text = |number: u32, tail: usize| words(number).join(" ") + &" and more".repeat(tail);
    let file = |texts: &[(u32, usize)]| -> String {
        texts.iter().map(|(number, tail)| crate::support::record(&text(*number, *tail))).collect()
    };
    folder.write("old/a.json", file(&[(1, 0), (2, 0), (3, 0)]));
    // Of the other run's texts one as it is, one with a tail, and two that it does not have.
    folder.write("raw/a.json", file(&[(1, 0), (2, 5), (7, 0), (8, 0)]));
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other");
    let marks = "minhash_dedup: { threshold: 0.7, against: { run: other, then: mark } }";
    folder.pipeline("p.yaml", marks);
    folder.fine("build p.yaml --input raw --output marked");
    let marked = rows(&folder, "marked/documents/c4");
    let similarities: Vec<Option<f64>> = marked.iter().map(|row| row["other_similarity"].as_f64()).collect();
    assert!(matches!(similarities[..], [Some(1.0), Some(near), None, None] if near < 0.95), "{similarities:?}");
    for (rule, kept) in [
        ("other_similarity: { max: 0.95, absent: keep }", &[1, 2, 3][..]),
        ("other_similarity: { max: 0.95 }", &[1]),
        ("other_run: { none_of: [other], absent: keep }", &[2, 3]),
        ("other_run: { one_of: [other] }", &[0, 1]),
    ] {
        let ids: Vec<String> = kept.iter().map(|record| format!("c4/a.json#{record}")).collect();
        folder.pipeline("p.yaml", &format!("{marks}, keep_if: {{ {rule} }}"));
        folder.fine("build p.yaml --input raw --output out");
        assert_eq!(documents(&folder, "out").into_keys().collect::<Vec<_>>(), ids, "{rule}");
        // Tried on signals alone it is the same.
        folder.write("rule.yaml", format!("{rule}\n"));
        let tried = folder.fine("whatif marked --keep-if rule.yaml --json").out;
        let tried: serde_json::Value = serde_json::from_str(&tried).unwrap();
        assert_eq!(tried["recipes"][0]["keeps"]["all"]["documents"], ids.len(), "{rule}: {tried}");
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
}
