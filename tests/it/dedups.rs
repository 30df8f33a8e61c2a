//! What a dedup leaves: the same with any number of workers, in any memory, however raw files are
//! put together, and after any kill.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{Folder, said};

/// The documents that a run kept, by id, with their texts.
fn kept(folder: &Folder, out: &str) -> BTreeMap<String, String> {
    let mut documents = BTreeMap::new();
    let mut folders = vec![folder.path(out).join("documents")];
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            folders.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let said = folder.fine(&format!("inspect {} --json --limit 100000", path.display()));
        for line in said.out.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            documents.insert(row["id"].as_str().unwrap().to_owned(), row["text"].as_str().unwrap().to_owned());
        }
    }
    documents
}

/// Runs a pipeline in many ways, which must all keep the same; gives what they kept.
#[track_caller]
fn the_same_in_every_way(folder: &Folder, stages: &str) -> BTreeMap<String, String> {
    folder.pipeline("p.yaml", stages);
    folder.fine("build p.yaml --input raw --output out --workers 1");
    let reference = kept(folder, "out");
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
        assert_eq!(kept(folder, &out), reference, "{stages}: partition {partition}");
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
