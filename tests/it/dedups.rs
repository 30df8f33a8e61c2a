//! What a dedup leaves: the same with any number of workers, in any memory, however raw files are
//! put together, and after any kill.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::{Folder, said};

/// The documents that a run kept, by id, with their texts.
fn documents(folder: &Folder, out: &str) -> BTreeMap<String, String> {
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
fn the_same_in_every_way(folder: &Folder, stages: &str) -> BTreeMap<String, String> {
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

/// Pages of paragraphs, of which many stand on other pages too, some with another word.
fn pages(folder: &Folder, files: u32, records: u32) {
    let mut number = 7u32;
    let mut next = |below: u32| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 8) % below
    };
    const WORDS: [&str; 12] =
        ["tide", "sea", "boat", "goes", "comes", "grey", "the", "of", "潮が引く", "Über", "naïve", "sand,"];
    let paragraphs: Vec<String> =
        (0..40).map(|_| (0..12 + next(20)).map(|_| WORDS[next(12) as usize]).collect::<Vec<_>>().join(" ")).collect();
    for file in 0..files {
        let mut lines = String::new();
        for _ in 0..records {
            let page: Vec<String> = (0..1 + next(4))
                .map(|_| {
                    let paragraph = &paragraphs[next(40) as usize];
                    let own = format!("{} {}", WORDS[next(12) as usize], next(1000));
                    match next(3) {
                        0 => paragraph.clone(),
                        1 => paragraph.replacen("the", &own, 1),
                        _ => (0..14).map(|_| WORDS[next(12) as usize]).collect::<Vec<_>>().join(" ") + &own,
                    }
                })
                .collect();
            lines += &crate::support::record(&page.join("\n"));
        }
        folder.write(&format!("raw/pages-{file}.json"), lines);
    }
}

#[test]
fn paragraphs_by_their_ngrams() {
    let folder = Folder::new();
    pages(&folder, 4, 30);
    let exact = the_same_in_every_way(&folder, "line_ngram_dedup: { ngram: 5, min_words: 5, share: 0.6 }");
    assert!(exact.len() < 120 && exact.len() > 60, "{}", exact.len());
    let bloom = "line_ngram_dedup: { ngram: 5, min_words: 5, share: 0.6, bloom: { error_rate: 0.000000001 } }";
    assert_eq!(the_same_in_every_way(&folder, bloom), exact);
    let dclm = the_same_in_every_way(&folder, "line_ngram_dedup: { preset: dclm, ngram: 5, sample: 2 }");
    assert!(dclm.len() < 120, "{}", dclm.len());
}

#[test]
fn spans_wherever_they_begin_and_end() {
    let folder = Folder::new();
    pages(&folder, 4, 30);
    let kept = the_same_in_every_way(&folder, "substring_dedup: { min_bytes: 40 }");
    assert!(kept.len() > 60);
    // No window of what was read twice is left twice: compared plainly, in the order of the plan.
    folder.pipeline("whole.yaml", "empty_text: {}");
    folder.fine("build whole.yaml --input raw --output whole");
    let mut before: BTreeSet<Vec<u8>> = BTreeSet::new();
    let (mut texts, mut removed): (Vec<_>, usize) = (documents(&folder, "whole").into_iter().collect(), 0);
    let place = |id: &str| {
        let (file, record) = id.split_once('#').unwrap();
        (file.to_owned(), record.parse::<u64>().unwrap())
    };
    texts.sort_by_key(|(id, _)| place(id));
    for (id, text) in &texts {
        let bytes = text.as_bytes();
        let mut gone = vec![false; bytes.len()];
        for (start, window) in bytes.windows(40).enumerate() {
            if before.contains(window) || bytes[..start].windows(40).any(|other| other == window) {
                gone[start..start + 40].fill(true);
            }
        }
        before.extend(bytes.windows(40).map(<[u8]>::to_vec));
        let whole = |(at, letter): (usize, char)| {
            let all = gone[at..at + letter.len_utf8()].iter().all(|gone| *gone);
            (!all).then_some(letter)
        };
        let left: String = text.char_indices().filter_map(whole).collect();
        removed += text.len() - left.len();
        match left.trim().is_empty() {
            true => assert!(!kept.contains_key(id), "{id}"),
            false => assert_eq!(kept.get(id), Some(&left), "{id}"),
        }
    }
    assert!(removed > 2000, "{removed}");
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
fn another_run_that_cannot_be_read_is_an_error_at_its_place() {
    let folder = Folder::new();
    folder.write("raw/a.json", crate::support::record("One text."));
    folder.pipeline("p.yaml", "exact_dedup: { against: other }");
    let said = folder.ends("build p.yaml --input raw --output out", 64);
    assert!(said.err.contains("there is no folder") && said.err.contains("p.yaml:"), "{}", said.err);
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
    for (stage, why) in [
        ("paragraph_dedup: { against: own, scope: raw_file }", "none is of both runs"),
        ("paragraph_dedup: { against: { run: own, then: mark } }", "compares parts of documents"),
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
fn rows(folder: &Folder, path: &str) -> Vec<serde_json::Value> {
    let mut rows = Vec::new();
    for path in fs::read_dir(folder.path(path)).unwrap().map(|entry| entry.unwrap().path()) {
        let said = folder.fine(&format!("inspect {} --json --limit 100000", path.display()));
        rows.extend(said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
    }
    rows
}

#[test]
fn what_another_run_has_counts_as_seen_by_dedups_that_cut() {
    let folder = Folder::new();
    pages(&folder, 4, 20);
    fs::create_dir(folder.path("old")).unwrap();
    for file in ["pages-0.json", "pages-1.json"] {
        fs::rename(folder.path("raw").join(file), folder.path("old").join(file)).unwrap();
    }
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other --set partition=1");
    folder.fine("build old.yaml --input raw --output whole");
    let whole = documents(&folder, "whole");
    for (stage, options) in [
        ("paragraph_dedup", "min_characters: 10"),
        ("paragraph_dedup", "min_characters: 10, blank_lines: compare"),
        ("line_ngram_dedup", "ngram: 5, min_words: 5, share: 0.6"),
        ("line_ngram_dedup", "ngram: 5, min_words: 5, share: 0.6, bloom: { error_rate: 0.000000001 }"),
        ("substring_dedup", "min_bytes: 40"),
        ("substring_dedup", "min_bytes: 40, at: lines"),
    ] {
        let kept = the_same_in_every_way(&folder, &format!("{stage}: {{ {options}, against: other }}"));
        // As if all were of one run, since none of theirs goes whole before it is compared.
        folder.pipeline("all.yaml", &format!("{stage}: {{ {options} }}"));
        folder.fine("build all.yaml --input old raw --output all");
        let mut all = documents(&folder, "all");
        all.retain(|id, _| id.starts_with("c4/raw/"));
        // Of two folders, ids name which.
        let all: BTreeMap<_, _> = all.into_iter().map(|(id, text)| (id.replace("c4/raw/", "c4/"), text)).collect();
        assert_eq!(kept, all, "{stage}: {options}");
        // Every stretch that went is told with the document that has it first.
        folder.fine("build p.yaml --input raw --output out");
        folder.fine("verify out");
        let cuts = rows(&folder, "out/cut/c4");
        assert!(cuts.len() > 5, "{stage}: {options}: {}", cuts.len());
        for cut in &cuts {
            let (start, end) = (cut["start"].as_u64().unwrap() as usize, cut["end"].as_u64().unwrap() as usize);
            let gone = whole[cut["id"].as_str().unwrap()].get(start..end).unwrap_or_else(|| panic!("{cut}"));
            assert!(!gone.is_empty() && gone.trim().starts_with(cut["begins"].as_str().unwrap()), "{cut}");
        }
        let theirs = cuts.iter().filter(|cut| cut["kept_run"] == "other").count();
        let unknown = cuts.iter().filter(|cut| cut["kept_id"].is_null()).count();
        match options.contains("bloom") {
            true => assert!(unknown > 0 && theirs == 0),
            false => assert!(unknown == 0 && theirs > 0, "{cuts:?}"),
        }
        for cut in cuts.iter().filter(|cut| cut["kept_run"] == "other") {
            let kept = cut["kept_id"].as_str().unwrap();
            assert!(kept.contains("pages-0") || kept.contains("pages-1"), "{cut}");
            assert!(cut["start"].as_u64() < cut["end"].as_u64() && cut["reason"].is_string(), "{cut}");
        }
        fs::remove_dir_all(folder.path("out")).unwrap();
        fs::remove_dir_all(folder.path("all")).unwrap();
    }
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
