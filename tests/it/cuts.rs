//! What dedups leave that take parts from documents, and what they tell of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;

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
    folder.pipeline("p.yaml", "substring_dedup: { min_tokens: 12 }");
    folder.fine("build p.yaml --input raw --output guarded");
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

/// Pages in `raw`, and a run `other` that has some like them from `old`.
fn beside_another_run() -> Folder {
    let folder = Folder::new();
    pages(&folder, 4, 20);
    fs::create_dir(folder.path("old")).unwrap();
    for file in ["pages-0.json", "pages-1.json"] {
        fs::rename(folder.path("raw").join(file), folder.path("old").join(file)).unwrap();
    }
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other --set partition=1");
    folder
}

#[test]
fn what_another_run_has_counts_as_seen_by_dedups_that_cut() {
    let folder = beside_another_run();
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

#[test]
fn of_lines_of_which_no_copy_stays_the_other_run_s_document_is_named() {
    let folder = Folder::new();
    let [shared, twice, theirs] =
        ["All boats are in the harbour tonight.", "The ferry goes at half past nine.", "Nets are mended in winter."];
    let file = |texts: &[&str]| texts.iter().map(|text| crate::support::record(text)).collect::<String>();
    folder.write("old/first.json", file(&["Nothing that anybody else has.", &format!("{theirs}\n{shared}")]));
    folder.write("old/second.json", file(&[shared]));
    folder.write("raw/a.json", file(&[&format!("Of a.\n{shared}\n{twice}"), &format!("Of b.\n{twice}\n{theirs}")]));
    folder.write("raw/b.json", file(&[&format!("{shared}\n{shared}\nOf c."), twice]));
    folder.pipeline("old.yaml", "empty_text: {}");
    folder.fine("build old.yaml --input old --output other --set partition=1");
    let dedup = "paragraph_dedup: { keep: none, repeats: remove, min_characters: 10, against: other }";
    let kept = the_same_in_every_way(&folder, dedup);
    let expected = [("c4/a.json#0", "Of a."), ("c4/a.json#1", "Of b."), ("c4/b.json#0", "Of c.")];
    assert_eq!(kept, expected.map(|(id, text)| (id.to_owned(), text.to_owned())).into());
    folder.fine("build p.yaml --input raw --output out");
    folder.fine("verify out");
    let word = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let cuts = rows(&folder, "out/cut/c4");
    let told = ["id", "begins", "kept_id", "kept_run"];
    let mut told: Vec<[String; 4]> = cuts.iter().map(|cut| told.map(|name| word(cut, name))).collect();
    told.sort();
    let named = "c4/first.json#1";
    let expected = [
        ["c4/a.json#0", shared, named, "other"],
        ["c4/a.json#0", twice, "-", "-"],
        ["c4/a.json#1", twice, "-", "-"],
        ["c4/a.json#1", theirs, named, "other"],
        ["c4/b.json#0", &format!("{shared}\n{shared}")[..60], named, "other"],
        ["c4/b.json#1", twice, "-", "-"],
    ];
    let mut expected = expected.map(|row| row.map(str::to_owned)).to_vec();
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn how_much_of_a_document_another_run_has_can_be_marked_and_nothing_goes_for_it() {
    let folder = beside_another_run();
    let build = |stage: &str, options: &str, out: &str| {
        folder.pipeline("p.yaml", &format!("{stage}: {{ {options}, guard: {{ share: 0.0001, then: warn }} }}"));
        folder.fine(&format!("build p.yaml --input raw --output {out}"))
    };
    let takes =
        |said: &str| said.lines().filter(|line| line.contains(" takes ")).map(str::to_owned).collect::<Vec<_>>();
    for (stage, options, in_every_way) in [
        ("paragraph_dedup", "min_characters: 10", true),
        ("paragraph_dedup", "min_characters: 10, keep: none, repeats: remove", false),
        ("line_ngram_dedup", "ngram: 5, min_words: 5, share: 0.6", false),
        ("line_ngram_dedup", "ngram: 5, min_words: 5, share: 0.6, remove: both, repeats: remove", false),
        ("line_ngram_dedup", "ngram: 5, min_words: 5, share: 0.6, bloom: { error_rate: 0.000000001 }", true),
        ("substring_dedup", "min_bytes: 40", true),
        ("substring_dedup", "min_bytes: 40, at: lines, repeats: keep", false),
        ("substring_dedup", "min_tokens: 12", false),
    ] {
        let context = format!("{stage}: {options}");
        let marks = format!("{options}, against: {{ run: other, then: mark }}");
        let said = build(stage, options, "plain");
        let marked = build(stage, &marks, "marked");
        let kept = documents(&folder, "marked");
        if in_every_way {
            assert_eq!(the_same_in_every_way(&folder, &format!("{stage}: {{ {marks} }}")), kept, "{context}");
        }
        assert!(!takes(&said.err).is_empty() && takes(&marked.err) == takes(&said.err), "{context}: {}", marked.err);
        assert!(marked.out.contains("of which another run has parts"), "{context}: {}", marked.out);
        folder.fine("verify marked");
        build(stage, &format!("{options}, against: other"), "dropped");
        // What goes, and what is told of it, is as if the other run were not there.
        assert_eq!(documents(&folder, "plain"), kept, "{context}");
        for told in ["cut/c4", "dropped/c4"] {
            let of = |out: &str| match folder.path(out).join(told).is_dir() {
                true => rows(&folder, &format!("{out}/{told}")).iter().map(ToString::to_string).collect(),
                false => BTreeSet::new(),
            };
            assert_eq!(of("marked"), of("plain"), "{context}: {told}");
        }
        // What is marked is what would have gone beside.
        let left = documents(&folder, "dropped");
        let (mut whole, mut some, mut none) = (0, 0, 0);
        for row in rows(&folder, "marked/documents/c4") {
            let (id, length) = (row["id"].as_str().unwrap(), row["text"].as_str().unwrap().len());
            let gone = length - left.get(id).map_or(0, String::len);
            let share = row["other_share"].as_f64().unwrap();
            assert!((share - gone as f64 / length as f64).abs() < 1e-12, "{context}: {gone} of {length}: {row}");
            assert_eq!(row["other_share_run"].as_str(), (gone > 0).then_some("other"), "{context}: {row}");
            *if gone == length {
                &mut whole
            } else if gone > 0 {
                &mut some
            } else {
                &mut none
            } += 1;
        }
        assert!(whole > 0 && none > 0 && some > 0, "{context}: {whole} {some} {none}");
        let stages = folder.catalog("marked")["slices"]["c4"]["counts"]["stages"].clone();
        assert_eq!(stages[format!("1:{stage}")]["marked"], whole + some, "{context}");
        for out in ["plain", "marked", "dropped"] {
            fs::remove_dir_all(folder.path(out)).unwrap();
        }
    }
}

#[test]
fn of_several_dedups_that_mark_parts_the_greatest_share_stays() {
    let folder = Folder::new();
    let line = |number: u32| format!("The tide comes in over flat number {}, slowly.", "I".repeat(number as usize));
    let file = |texts: &[&[u32]]| -> String {
        let text = |lines: &&[u32]| lines.iter().map(|number| line(*number)).collect::<Vec<_>>().join("\n");
        texts.iter().map(|lines| crate::support::record(&text(lines))).collect()
    };
    folder.write("a/a.json", file(&[&[1], &[8, 3]]));
    folder.write("b/b.json", file(&[&[2], &[3], &[4]]));
    folder.write("raw/c.json", file(&[&[1, 5], &[2, 4], &[3, 6, 6, 6], &[7], &[7], &[]]));
    folder.pipeline("old.yaml", "empty_text: {}");
    for other in ["a", "b"] {
        folder.fine(&format!("build old.yaml --input {other} --output of-{other}"));
    }
    let marks = |other: &str| format!("paragraph_dedup: {{ against: {{ run: of-{other}, then: mark }} }}");
    folder.pipeline("p.yaml", &[marks("a"), marks("b")].join(", "));
    folder.fine("build p.yaml --input raw --output out");
    let shares: Vec<_> = rows(&folder, "out/documents/c4")
        .iter()
        .map(|row| (row["other_share"].as_f64().unwrap(), row["other_share_run"].as_str().map(str::to_owned)))
        .collect();
    let half = (line(1).len() + 1) as f64 / (line(1).len() + line(5).len() + 1) as f64;
    let quarter = (line(3).len() + 1) as f64 / (line(3).len() + 3 * line(6).len() + 3) as f64;
    let of = |share: f64, run: &str| (share, Some(run.to_owned()));
    // Of what both have the first stays; what no run has is nought, and so is nothing at all.
    assert_eq!(shares, [of(half, "of-a"), of(1.0, "of-b"), of(quarter, "of-a"), (0.0, None), (0.0, None)]);
    // A filter drops by it.
    folder.pipeline("p.yaml", &format!("{}, keep_if: {{ other_share: {{ max: 0.4 }} }}", marks("b")));
    folder.fine("build p.yaml --input raw --output judged");
    let kept: Vec<String> = documents(&folder, "judged").into_keys().collect();
    assert_eq!(kept, ["c4/c.json#0", "c4/c.json#2", "c4/c.json#3", "c4/c.json#5"]);
}

#[test]
fn an_empty_document_that_goes_has_a_row_too() {
    let folder = Folder::new();
    let texts = ["", "a", "", "b\n\nc", "\n\n"];
    folder.write("raw/c.json", texts.map(crate::support::record).concat());
    folder.pipeline("p.yaml", "paragraph_dedup: { keep: none, blank_lines: compare, min_characters: 0 }");
    folder.fine("build p.yaml --input raw --output out");
    let ids = |what: &str| rows(&folder, what).iter().map(|row| row["id"].to_string()).collect::<BTreeSet<_>>();
    let gone = ids("out/dropped/c4");
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert!(gone.is_subset(&ids("out/cut/c4")), "{gone:?}");
    folder.fine("verify out");
}

#[test]
fn to_tell_of_cuts_or_not_does_the_last_pass_anew_and_no_other() {
    let folder = Folder::new();
    pages(&folder, 3, 20);
    for stage in [
        "paragraph_dedup: { min_characters: 10",
        "line_ngram_dedup: { ngram: 5, min_words: 5",
        "substring_dedup: { min_bytes: 40",
    ] {
        let build = |more: &str| {
            folder.pipeline("p.yaml", &format!("{stage}{more} }}"));
            let said = folder.fine("build p.yaml --input raw --output out --keep-between --json");
            let result: serde_json::Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
            (result["tasks_run"].as_u64().unwrap(), result["tasks_done_before"].as_u64().unwrap())
        };
        let (all, _) = build("");
        let told = rows(&folder, "out/cut/c4").len();
        let kept = documents(&folder, "out");
        let partitions = fs::read_dir(folder.path("out/documents/c4")).unwrap().count() as u64;
        let (ran, before) = build(", receipts: false");
        assert!(ran < 2 * partitions && ran + before == all, "{stage}: {ran} of {all}, {partitions}");
        assert!(!folder.path("out/cut").exists(), "{stage}");
        assert_eq!(documents(&folder, "out"), kept, "{stage}");
        assert_eq!(build(""), (ran, before), "{stage}");
        assert_eq!(rows(&folder, "out/cut/c4").len(), told, "{stage}");
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
}

/// What a finished run tells: texts as they were read, those that it kept, what it dropped and at which stage,
/// and what it cut from each document, with the document that is named for it.
struct Told {
    whole: BTreeMap<String, String>,
    kept: BTreeMap<String, String>,
    dropped: BTreeMap<String, String>,
    cuts: BTreeMap<String, Vec<(Range<usize>, String)>>,
}

impl Told {
    fn of(folder: &Folder, stages: &str) -> Told {
        folder.pipeline("whole.yaml", "empty_text: {}");
        folder.fine("build whole.yaml --input raw --output whole");
        folder.pipeline("p.yaml", stages);
        folder.fine("build p.yaml --input raw --output out");
        let word = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let mut cuts: BTreeMap<String, Vec<(Range<usize>, String)>> = BTreeMap::new();
        for cut in rows(folder, "out/cut/c4") {
            let stretch = cut["start"].as_u64().unwrap() as usize..cut["end"].as_u64().unwrap() as usize;
            cuts.entry(word(&cut, "id")).or_default().push((stretch, word(&cut, "kept_id")));
        }
        let dropped = rows(folder, "out/dropped/c4");
        let dropped = dropped.iter().map(|row| (word(row, "id"), word(row, "stage"))).collect();
        let told = Told { whole: documents(folder, "whole"), kept: documents(folder, "out"), dropped, cuts };
        fs::remove_dir_all(folder.path("out")).unwrap();
        fs::remove_dir_all(folder.path("whole")).unwrap();
        told
    }

    fn cuts_of(&self, id: &str) -> &[(Range<usize>, String)] {
        self.cuts.get(id).map_or(&[], Vec::as_slice)
    }

    /// Whether a document is there at the end, or a later stage says that it dropped it.
    fn stays(&self, id: &str) -> bool {
        self.kept.contains_key(id) || self.dropped.get(id).is_some_and(|stage| !stage.starts_with("1:"))
    }

    /// Follows what is told of a stretch to the documents that have it in the end: of each window of it, the
    /// document that is named for it, or those that are named for what that one lost of it. Counts the windows
    /// that were found at once, and the others.
    fn follow(&self, of: &str, stretch: Range<usize>, named: &str, length: usize, seen: &mut Seen) {
        let (there, cuts) = (self.whole[named].as_bytes(), self.cuts_of(named));
        assert!(place(named) <= place(of), "{of} names {named}");
        let gone = &self.whole[of].as_bytes()[stretch];
        for window in gone.windows(length.min(gone.len())) {
            let places = (0..there.len()).filter(|at| there[*at..].starts_with(window));
            let places: Vec<Range<usize>> = places.map(|at| at..at + window.len()).collect();
            let lost = |place: &Range<usize>| {
                let of_it = cuts.iter().filter(|(cut, _)| cut.start < place.end && place.start < cut.end);
                of_it
                    .map(|(cut, named)| (cut.start.max(place.start)..cut.end.min(place.end), named))
                    .collect::<Vec<_>>()
            };
            if places.iter().any(|place| lost(place).is_empty()) {
                assert!(self.stays(named), "{of} names {named}, which is gone");
                seen.at_once += 1;
                continue;
            }
            seen.later += 1;
            assert!(!places.is_empty(), "{of} names {named}, which never had it");
            for (stretch, next) in lost(&places[0]) {
                if seen.followed.insert((named.to_owned(), stretch.start, stretch.end)) {
                    self.follow(named, stretch, next, length, seen);
                }
            }
        }
    }
}

#[derive(Default)]
struct Seen {
    at_once: usize,
    later: usize,
    followed: BTreeSet<(String, usize, usize)>,
}

/// Where a document stands in the order of the plan.
fn place(id: &str) -> (&str, u64) {
    let (file, record) = id.split_once('#').unwrap();
    (file, record.parse().unwrap())
}

#[test]
fn receipts_of_spans_lead_to_documents_that_have_them_in_the_end() {
    let folder = Folder::new();
    pages(&folder, 4, 30);
    for options in ["min_bytes: 40", "min_bytes: 40, at: lines", "min_bytes: 40, repeats: keep"] {
        let told = Told::of(&folder, &format!("substring_dedup: {{ {options} }}, text_length: {{ min: 100 }}"));
        assert!(told.dropped.values().any(|stage| stage.starts_with("2:")), "{:?}", told.dropped);
        let mut seen = Seen::default();
        for (id, cuts) in &told.cuts {
            for (stretch, named) in cuts {
                told.follow(id, stretch.clone(), named, 40, &mut seen);
            }
        }
        assert!(seen.at_once > 5000 && seen.later * 20 < seen.at_once, "{} {}", seen.at_once, seen.later);
    }
}

#[test]
fn receipts_of_lines_name_a_document_that_has_them() {
    let folder = Folder::new();
    pages(&folder, 4, 30);
    let told = Told::of(&folder, "paragraph_dedup: { min_characters: 10, repeats: remove }, text_length: { min: 100 }");
    // Of what is written in these pages, digits are all alike.
    let compared = |line: &str| line.trim().replace(|letter: char| letter.is_ascii_digit(), "0").to_lowercase();
    let mut lines = 0;
    for (id, cuts) in &told.cuts {
        for (stretch, named) in cuts {
            assert!(place(named) <= place(id) && told.stays(named), "{id} names {named}");
            let gone = &told.whole[id][stretch.clone()];
            let there = told.kept.get(named).unwrap_or(&told.whole[named]);
            for line in gone.split('\n').filter(|line| !line.trim().is_empty()) {
                assert!(there.split('\n').any(|other| compared(other) == compared(line)), "{id}: {named} for {line:?}");
                lines += 1;
            }
        }
    }
    assert!(lines > 50, "{lines}");
}

#[test]
fn receipts_of_ngrams_name_a_document_that_has_or_tells_of_most() {
    let folder = Folder::new();
    pages(&folder, 4, 30);
    let told = Told::of(&folder, "line_ngram_dedup: { ngram: 5, min_words: 5, share: 0.6, words: exact }");
    let ngrams = |text: &str| -> BTreeSet<Vec<String>> {
        // Characters that are words, among those of these pages.
        let text = "潮が引く,".chars().fold(text.to_owned(), |text, word| text.replace(word, &format!(" {word} ")));
        let lines = text.split('\n').map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        lines.flat_map(|words| words.windows(5).map(<[String]>::to_vec).collect::<Vec<_>>()).collect()
    };
    let (mut there, mut told_of) = (0, 0);
    for (id, cuts) in &told.cuts {
        for (stretch, named) in cuts {
            let gone = ngrams(&told.whole[id][stretch.clone()]);
            let left = told.kept.get(named).map(|text| ngrams(text)).unwrap_or_default();
            let lost = told.cuts_of(named).iter().flat_map(|(stretch, _)| ngrams(&told.whole[named][stretch.clone()]));
            let lost: BTreeSet<_> = lost.collect();
            let had = gone.iter().filter(|ngram| left.contains(*ngram) || lost.contains(*ngram)).count();
            // Most of what was seen, which is six tenths of all or more.
            assert!(place(named) < place(id) && had > 0, "{id} names {named} for {gone:?}");
            there += gone.iter().filter(|ngram| left.contains(*ngram)).count();
            told_of += gone.iter().filter(|ngram| lost.contains(*ngram) && !left.contains(*ngram)).count();
        }
    }
    assert!(there > 300 && told_of * 5 < there, "{there} {told_of}");
}

#[test]
fn without_receipts_the_same_is_taken_and_nothing_told() {
    let folder = Folder::new();
    pages(&folder, 2, 30);
    for (stage, options) in [
        ("paragraph_dedup", "min_characters: 10"),
        ("line_ngram_dedup", "ngram: 5, min_words: 5, share: 0.6"),
        ("substring_dedup", "min_bytes: 40"),
    ] {
        folder.pipeline("p.yaml", &format!("{stage}: {{ {options} }}"));
        folder.fine("build p.yaml --input raw --output told");
        folder.pipeline("p.yaml", &format!("{stage}: {{ {options}, receipts: false }}"));
        folder.fine("build p.yaml --input raw --output out");
        folder.fine("verify out");
        assert!(rows(&folder, "told/cut/c4").len() > 5 && !folder.path("out/cut").exists(), "{stage}");
        assert_eq!(documents(&folder, "out"), documents(&folder, "told"), "{stage}");
        let counts = |out: &str| folder.catalog(out)["slices"]["c4"]["counts"].clone();
        assert_eq!(counts("out"), counts("told"), "{stage}");
        // What was done with the other option is not taken for it.
        folder.fine("build p.yaml --input raw --output told --replace");
        assert!(!folder.path("told/cut").exists(), "{stage}");
        for out in ["told", "out"] {
            fs::remove_dir_all(folder.path(out)).unwrap();
        }
    }
}
