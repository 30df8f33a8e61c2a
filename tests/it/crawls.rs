//! What `crawl_dedup` drops of pages that another run has.

use std::collections::BTreeMap;
use std::fs;

use crate::dedups::{documents, rows, the_same_in_every_way};
use crate::support::Folder;

/// A page as a crawler tells of it.
fn page(url: &str, digest: &str, time: &str) -> String {
    let url = format!("https://sea.example/{url}");
    let text = format!("Of {url}, fetched {time}, we have {digest}.");
    format!("{}\n", serde_json::json!({"text": text, "url": url, "digest": digest, "timestamp": time}))
}

fn pages(told: &[(&str, &str, &str)]) -> String {
    told.iter().map(|(url, digest, time)| page(url, digest, time)).collect()
}

/// A folder with another run, `other`, of the files in `old`.
fn other_run(folder: &Folder) {
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other --set partition=1");
}

fn kept(documents: &BTreeMap<String, String>) -> Vec<&str> {
    documents.keys().map(|id| id.strip_prefix("c4/").unwrap()).collect()
}

#[test]
fn pages_that_another_run_has_go_and_their_receipts_name_its_page() {
    let folder = Folder::new();
    folder.write("old/first.json", pages(&[("a", "1", "2020-01-01T00:00:00Z"), ("b", "2", "2020-01-02T00:00:00Z")]));
    // Its second page is a copy of its first: it stays there, and both are compared.
    folder.write("old/second.json", pages(&[("c", "1", "2020-01-03T00:00:00Z"), ("d", "3", "2021-01-01T00:00:00Z")]));
    let ours = [
        ("a", "1", "2022-01-01T00:00:00Z"),
        ("a", "4", "2022-01-02T00:00:00Z"),
        ("d", "5", "2019-01-01T00:00:00Z"),
        ("e", "3", "2022-01-03T00:00:00Z"),
        ("f", "6", "2022-01-04T00:00:00Z"),
    ];
    folder.write("raw/a.json", pages(&ours));
    folder.write("raw/b.json", pages(&[("f", "7", "2022-02-01T00:00:00Z"), ("g", "6", "2022-02-02T00:00:00Z")]));
    other_run(&folder);
    let before = fs::read(folder.path("other/catalog.json")).unwrap();
    type Gone = [(&'static str, &'static str)];
    let ways: [(&str, &[&str], &Gone); 3] = [
        (
            "digest",
            &["a.json#1", "a.json#2", "a.json#4", "b.json#0"],
            &[("a.json#0", "first.json#0"), ("a.json#3", "second.json#1"), ("b.json#1", "a.json#4")],
        ),
        // The other's page stays whenever it was fetched; of ours alone the last one.
        (
            "url",
            &["a.json#3", "b.json#0", "b.json#1"],
            &[
                ("a.json#0", "first.json#0"),
                ("a.json#1", "first.json#0"),
                ("a.json#2", "second.json#1"),
                ("a.json#4", "b.json#0"),
            ],
        ),
        // Addresses of the other run that have won keep all their pages; one wins by a digest that nobody had.
        (
            "winning_url",
            &["a.json#0", "a.json#1", "a.json#2", "a.json#4", "b.json#0"],
            &[("a.json#3", "second.json#1"), ("b.json#1", "a.json#4")],
        ),
    ];
    for (by, stay, gone) in ways {
        let found = the_same_in_every_way(&folder, &format!("crawl_dedup: {{ by: {by}, against: other }}"));
        assert_eq!(kept(&found), stay, "{by}");
        folder.fine("build p.yaml --input raw --output out");
        folder.fine("verify out");
        assert_eq!(folder.gone("out", "c4", "crawled_before"), gone.len() as u64, "{by}");
        let receipts = rows(&folder, "out/dropped/c4");
        assert_eq!(receipts.len(), gone.len(), "{by}: {receipts:?}");
        for (id, named) in gone {
            let receipt = receipts.iter().find(|row| row["id"] == format!("c4/{id}"));
            let receipt = receipt.unwrap_or_else(|| panic!("{by}: nothing of {id}: {receipts:?}"));
            assert_eq!(receipt["kept_id"], format!("c4/{named}"), "{by}: {receipt}");
            let theirs = named.starts_with("first") || named.starts_with("second");
            assert_eq!(receipt["kept_run"].as_str(), theirs.then_some("other"), "{by}: {receipt}");
        }
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
    assert!(fs::read(folder.path("other/catalog.json")).unwrap() == before);
}

/// Against one run over both, of which the other's pages come first.
#[test]
fn another_run_s_pages_count_as_if_they_were_of_one_run_that_read_them_first() {
    let folder = Folder::new();
    let mut number = 7u32;
    let mut next = |below: u32| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 8) % below
    };
    for file in ["old/a", "old/b", "raw/c", "raw/d", "raw/e"] {
        let page = |_| page(&format!("{}", next(60)), &format!("sha1:{}", next(60)), "2020-01-01T00:00:00Z");
        folder.write(&format!("{file}.json"), (0..30).map(page).collect::<String>());
    }
    other_run(&folder);
    for by in ["digest", "winning_url"] {
        let found = the_same_in_every_way(&folder, &format!("crawl_dedup: {{ by: {by}, against: other }}"));
        folder.pipeline("all.yaml", &format!("crawl_dedup: {{ by: {by} }}"));
        folder.fine("build all.yaml --input old raw --output all");
        let ours = documents(&folder, "all").into_iter().filter_map(|(id, text)| {
            // Of two folders, ids name which.
            id.strip_prefix("c4/raw/").map(|id| (format!("c4/{id}"), text))
        });
        let ours: BTreeMap<String, String> = ours.collect();
        folder.pipeline("alone.yaml", &format!("crawl_dedup: {{ by: {by} }}"));
        folder.fine("build alone.yaml --input raw --output alone");
        let alone = documents(&folder, "alone");
        assert!(found.len() > 5 && found.len() + 10 < alone.len(), "{by}: {} of {}", found.len(), alone.len());
        assert_eq!(kept(&found), kept(&ours), "{by}");
        for out in ["all", "alone"] {
            fs::remove_dir_all(folder.path(out)).unwrap();
        }
    }
}
