//! What dedups leave that take parts from documents, and what they tell of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::dedups::{documents, rows, the_same_in_every_way};
use crate::support::Folder;

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
fn spans_of_tokens() {
    let folder = Folder::new();
    pages(&folder, 4, 30);
    let kept = the_same_in_every_way(&folder, "substring_dedup: { min_tokens: 12 }");
    let whole = the_same_in_every_way(&folder, "substring_dedup: { min_tokens: 65536 }");
    let bytes = |documents: &BTreeMap<String, String>| documents.values().map(String::len).sum::<usize>();
    assert!(kept.len() > 60 && bytes(&kept) + 2000 < bytes(&whole), "{} of {}", bytes(&kept), bytes(&whole));
    assert!(kept.iter().all(|(id, text)| text.len() <= whole[id].len()));
    // The guard counts tokens.
    folder.pipeline("p.yaml", "substring_dedup: { min_tokens: 12, guard: { share: 0.01, then: warn } }");
    let said = folder.fine("build p.yaml --input raw --output guarded");
    assert!(said.err.contains("tokens of c4"), "{}", said.err);
    // Another tokenizer: what it compared is compared anew.
    folder.fine("train-tokenizer --slice c4 --vocab-size 300 --output small.json raw");
    let said = folder.fine("plan p.yaml --input raw --output guarded --set tokenizer=small.json");
    assert!(said.out.contains("another tokenizer"), "{}", said.out);
    folder.fine("build p.yaml --input raw --output guarded --set tokenizer=small.json --replace");
    folder.fine("build p.yaml --input raw --output small --set tokenizer=small.json");
    let read = |out: &str| fs::read(folder.path(out).join("catalog.json")).unwrap();
    assert!(documents(&folder, "guarded") == documents(&folder, "small") && read("guarded") == read("small"));
    folder.write("none.yaml", "slices:\n  c4: {}\nstages: [substring_dedup: { min_tokens: 12 }]\n");
    let said = folder.ends("build none.yaml --input raw --output none", 64);
    assert!(
        said.err.contains("`substring_dedup` needs a tokenizer") && said.err.contains("none.yaml:3"),
        "{}",
        said.err
    );
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
        ("substring_dedup", "min_tokens: 12"),
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
