//! The result is that of comparing every span with every other, and what is told of it is true.

use std::ops::Range;
use std::sync::Arc;

use corpus::{Document, DocumentId, Meta, Tokenizer};
use serde_json::{Value, json};

use crate::at_work::after;
use crate::paragraph_dedup::Repeats;
use crate::substring_dedup::{At, Spans, SubstringDedup};
use crate::tokenizer::{HuggingFace, SPECIALS, train};
use crate::{Dedup, First};

/// What becomes of texts that come one after the other; `-` for one that goes. What is told of the
/// cuts is held against the texts.
fn outcomes(dedup: &Spans, texts: &[String]) -> Vec<String> {
    let (left, cuts) = after(dedup, texts);
    let cut_up: Vec<Cut> = texts.iter().map(|text| Cut::of(dedup, text)).collect();
    for (record, cuts) in cuts.iter().enumerate() {
        let mut end = 0;
        for cut in cuts {
            assert!(end <= cut.start && cut.start < cut.end, "{cuts:?}");
            end = cut.end;
            let cut_away = cut_up[record].within(cut.start..cut.end);
            let (of, one) = match cut.first {
                First::Document(rank) => (&cut_up[rank.record as usize], rank.record < record as u64),
                First::Itself => (&cut_up[record], true),
                First::Nobody => panic!("{cut:?}"),
            };
            let has = |units: &[u64]| of.units.windows(units.len().max(1)).any(|other| other == units);
            assert!(one && cut_away.windows(dedup.length).all(has), "{cut:?} of {texts:?}");
            // Shorter ones were part of longer ones.
            let short = cut_away.len() < dedup.length;
            assert!(!short || cut_away.is_empty() || has(cut_away), "{cut:?} of {texts:?}");
        }
        if left[record] != "-" && dedup.at == At::Characters {
            let cut: usize = cuts.iter().map(|cut| cut.end - cut.start).sum();
            assert_eq!(cut, texts[record].len() - left[record].len(), "{texts:?}");
        }
    }
    left
}

/// A text cut into units, each with its place.
struct Cut {
    units: Vec<u64>,
    places: Vec<Range<usize>>,
}

impl Cut {
    fn of(dedup: &Spans, text: &str) -> Cut {
        let Some(tokenizer) = &dedup.tokenizer else {
            let places = (0..text.len()).map(|at| at..at + 1).collect();
            return Cut { units: text.bytes().map(u64::from).collect(), places };
        };
        let mut tokens = Vec::new();
        tokenizer.encode(text, &mut tokens);
        let places = tokenizer.places(text, &tokens).unwrap();
        Cut { units: tokens.into_iter().map(u64::from).collect(), places }
    }

    /// The units that lie in a stretch of the text; those within a character that was composed are of none.
    fn within(&self, stretch: Range<usize>) -> &[u64] {
        let inside =
            |place: &Range<usize>| place.start < place.end && place.start >= stretch.start && place.end <= stretch.end;
        let Some(start) = self.places.iter().position(inside) else { return &[] };
        let end = self.places.iter().rposition(inside).map_or(start, |last| last + 1);
        &self.units[start..end]
    }
}

/// The same, by comparing every window with every one before it.
fn plainly(dedup: &Spans, texts: &[String]) -> Vec<String> {
    let length = dedup.length;
    let cut_up: Vec<Cut> = texts.iter().map(|text| Cut::of(dedup, text)).collect();
    let outcome = |record: usize| {
        let Cut { units, places } = &cut_up[record];
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for (start, window) in units.windows(length).enumerate() {
            let elsewhere = cut_up[..record].iter().any(|of| of.units.windows(length).any(|other| other == window));
            let own = units[..start].windows(length).any(|other| other == window);
            if elsewhere || own && dedup.repeats == Repeats::Remove {
                match spans.last_mut() {
                    Some((_, end)) if start <= *end => *end = start + length,
                    _ => spans.push((start, start + length)),
                }
            }
        }
        let spans = spans.iter().map(|(start, end)| (places[*start].start, places[*end - 1].end));
        let spans: Vec<(usize, usize)> = spans.collect();
        let inside = |from: usize, to: usize| spans.iter().any(|(start, end)| *start <= from && to <= *end);
        let mut kept = String::new();
        if dedup.at == At::Characters {
            kept.extend(
                texts[record]
                    .char_indices()
                    .filter(|(at, character)| !inside(*at, at + character.len_utf8()))
                    .map(|(_, character)| character),
            );
        } else {
            let mut start = 0;
            for line in texts[record].split_inclusive('\n') {
                let content = line.strip_suffix('\n').filter(|content| !content.is_empty()).unwrap_or(line);
                if !inside(start, start + content.len()) {
                    kept.push_str(line);
                }
                start += line.len();
            }
        }
        if kept.len() < texts[record].len() && kept.trim().is_empty() { "-".to_owned() } else { kept }
    };
    (0..texts.len()).map(outcome).collect()
}

/// Texts that take pieces from each other, between others of the letters given: the same every time.
fn texts_of(alphabet: &[&str], next: &mut impl FnMut(u64) -> u64) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for _ in 0..1 + next(6) {
        let mut text = String::new();
        while next(12) > 0 && text.len() < 200 {
            // A piece of an earlier text, or something new.
            match texts.get(next(8) as usize).filter(|other| !other.is_empty()) {
                Some(other) => {
                    let characters: Vec<char> = other.chars().collect();
                    let from = next(characters.len() as u64) as usize;
                    text.extend(characters[from..].iter().take(1 + next(40) as usize));
                }
                None => (0..next(20)).for_each(|_| text.push_str(alphabet[next(alphabet.len() as u64) as usize])),
            }
        }
        texts.push(text);
    }
    texts
}

fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = crate::bloom::mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        state % below
    }
}

fn dedup(options: &str, tokenizer: Option<Arc<dyn Tokenizer>>) -> Spans {
    Spans::new(serde_saphyr::from_str::<SubstringDedup>(options).unwrap(), tokenizer).unwrap()
}

#[test]
fn the_result_is_that_of_comparing_every_span_with_every_other() {
    let mut next = numbers(21);
    let mut removed = 0;
    for round in 0..600u64 {
        let alphabet: &[&str] = match round % 4 {
            0 => &["a", "b"],
            1 => &["a", "b", "\n"],
            2 => &["潮", "é", "a", "\n", "😀"],
            _ => &["a"],
        };
        let texts = texts_of(alphabet, &mut next);
        let min_bytes = [4, 5, 9, 16, 33][next(5) as usize];
        for at in ["characters", "lines"] {
            for repeats in ["remove", "keep"] {
                let options = format!("{{ min_bytes: {min_bytes}, at: {at}, repeats: {repeats} }}");
                let dedup = dedup(&options, None);
                let found = outcomes(&dedup, &texts);
                assert_eq!(found, plainly(&dedup, &texts), "{options} {texts:?}");
                removed += found.iter().zip(&texts).filter(|(found, text)| found != text).count();
            }
        }
    }
    assert!(removed > 1000, "{removed}");
}

/// A small tokenizer of bytes, whose words are of several tokens, and which composes characters or not.
fn tokenizer(normalizer: Value) -> Arc<dyn Tokenizer> {
    let mut texts = ["the red tide goes out, 潮が引く, é and è\n", "a tide comes in, the sea is grey\n"]
        .iter()
        .cycle()
        .take(20)
        .map(ToString::to_string);
    let mut json: Value = serde_json::from_str(&train(&mut texts, 330, &SPECIALS).unwrap()).unwrap();
    json["normalizer"] = normalizer;
    Arc::new(HuggingFace::from_json(json.to_string().as_bytes(), "t.json".as_ref(), None).unwrap())
}

#[test]
fn in_tokens_too_the_result_is_that_of_comparing_every_span_with_every_other() {
    let mut next = numbers(5);
    let (plain, composing) = (tokenizer(Value::Null), tokenizer(json!({ "type": "NFC" })));
    let (mut removed, mut within) = (0, 0);
    for round in 0..400u64 {
        let alphabet: &[&str] = match round % 4 {
            0 => &["the", " red", " tide", " goes", ", "],
            1 => &["tide", " ", "\n", "sea", "潮", "が"],
            2 => &["é", "e\u{301}", "e", "\u{301}", "\n", "😀", " the"],
            _ => &["a", "  ", "<|endoftext|>", "ab"],
        };
        let texts = texts_of(alphabet, &mut next);
        let min_tokens = [4, 5, 9, 16][next(4) as usize];
        let tokenizer = if round % 3 == 0 { &plain } else { &composing };
        for at in ["characters", "lines"] {
            for repeats in ["remove", "keep"] {
                let options = format!("{{ min_tokens: {min_tokens}, at: {at}, repeats: {repeats} }}");
                let dedup = dedup(&options, Some(tokenizer.clone()));
                let found = outcomes(&dedup, &texts);
                assert_eq!(found, plainly(&dedup, &texts), "{options} {texts:?}");
                removed += found.iter().zip(&texts).filter(|(found, text)| found != text).count();
                within += found.iter().filter(|found| found.contains('\u{301}')).count();
            }
        }
    }
    assert!(removed > 1000 && within > 100, "{removed} {within}");
}

#[test]
fn no_text_is_too_strange() {
    let texts: Vec<String> = [
        "",
        "\n",
        "a",
        &"a".repeat(3000),
        &"ab".repeat(2000),
        &"潮".repeat(900),
        "\u{202e}مرحبا",
        &"😀".repeat(300),
        &" ".repeat(500),
        &"e\u{301}".repeat(400),
    ]
    .map(str::to_owned)
    .into();
    let bytes = dedup("{}", None);
    let found = outcomes(&bytes, &texts);
    assert_eq!(found, plainly(&bytes, &texts));
    // The first copy stays whole.
    assert_eq!(found[3], "a".repeat(200));
    for tokenizer in [tokenizer(Value::Null), tokenizer(json!({ "type": "NFC" }))] {
        let tokens = dedup("{ min_tokens: 50 }", Some(tokenizer));
        assert_eq!(outcomes(&tokens, &texts), plainly(&tokens, &texts));
    }
}

/// Of each byte that goes, the lowest document of which a window covers it is told.
#[test]
fn each_byte_is_told_with_the_first_document_that_any_window_gives() {
    let mut next = numbers(33);
    let (mut told, mut pieces) = (0, 0);
    for _ in 0..300 {
        let texts = texts_of(&["a", "b", "c", "d"], &mut next);
        let dedup = dedup("{ min_bytes: 5, repeats: keep }", None);
        let (_, cuts) = after(&dedup, &texts);
        for (record, text) in texts.iter().enumerate() {
            let mut firsts: Vec<Option<usize>> = vec![None; text.len()];
            for (start, window) in text.as_bytes().windows(5).enumerate() {
                let has = |other: &String| other.as_bytes().windows(5).any(|other| other == window);
                if let Some(first) = texts[..record].iter().position(has) {
                    for known in &mut firsts[start..start + 5] {
                        *known = Some(known.map_or(first, |known| known.min(first)));
                    }
                }
            }
            let mut found: Vec<Option<usize>> = vec![None; text.len()];
            for cut in &cuts[record] {
                let First::Document(rank) = cut.first else { panic!("{cut:?}") };
                found[cut.start..cut.end].fill(Some(rank.record as usize));
            }
            assert_eq!(found, firsts, "{record} of {texts:?}");
            told += found.iter().flatten().count();
            pieces += cuts[record].len();
        }
    }
    assert!(told > 5000 && pieces > 500, "{told} {pieces}");
}

#[test]
fn a_document_that_lost_a_part_is_not_named_for_it() {
    let (x, y) = ("the tide comes in over the flats", "and nobody sees the grey boats go");
    let texts = [x.to_owned(), y.to_owned(), format!("{x}{y}"), format!("five {x}{y} six")];
    let (left, cuts) = after(&dedup("{ min_bytes: 12 }", None), &texts);
    assert_eq!(left, [x, y, "-", "five  six"]);
    let told: Vec<(usize, usize, u64)> = cuts[3]
        .iter()
        .map(|cut| match cut.first {
            First::Document(rank) => (cut.start, cut.end, rank.record),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(5, 5 + x.len(), 0), (5 + x.len(), 5 + x.len() + y.len(), 1)]);
}

#[test]
fn lines_that_follow_each_other_are_told_as_one() {
    let lines: Vec<String> =
        (0..300).map(|line| format!("line {} of the log, {}", line * line, line * 77 % 1013)).collect();
    let (log, head) = (lines.join("\n"), lines[..100].join("\n"));
    let own = "What stands above was read before, and this was not.";
    let texts = [log.clone(), head.clone(), format!("{own}\n{log}\n{own} And so on, {own}\n{head}")];
    let (left, cuts) = after(&dedup("{ min_bytes: 40, at: lines }", None), &texts);
    assert_eq!(left, [log.as_str(), "-", &format!("{own}\n{own} And so on, {own}\n")]);
    let first = First::Document(crate::Rank { raw_file: 0, record: 0 });
    let from = own.len() + 1;
    let end = texts[2].len();
    assert_eq!(
        cuts[2],
        [crate::Cut { start: from, end: from + log.len(), first }, crate::Cut { start: end - head.len(), end, first }]
    );
    // Other lines of other documents are told apart, and none of what goes is left out.
    let mixed = [lines[..50].join("\n"), lines[50..].join("\n"), log.clone()];
    let (_, cuts) = after(&dedup("{ min_bytes: 40, at: lines }", None), &mixed);
    assert!(cuts[2].len() < 5, "{:?}", cuts[2]);
    assert_eq!((cuts[2][0].start, cuts[2].last().map(|cut| cut.end)), (0, Some(log.len())));
    assert!(cuts[2].windows(2).all(|pair| pair[1].start - pair[0].end <= 1), "{:?}", cuts[2]);
}

#[test]
fn what_tells_of_windows_is_spread_over_all_ranges() {
    let text: String = (0..20_000).map(|number| format!("{number:x} ")).collect();
    let document = Document::new(DocumentId { raw_file: "".into(), record: 0 }, text, Meta::default());
    let mut keys = Vec::new();
    dedup("{ min_bytes: 200 }", None).sketch(&document, &mut keys);
    let mut of_range = [0; 8];
    keys.iter().for_each(|key| of_range[usize::from(key[0] >> 5)] += 1);
    let even = keys.len() / 8;
    assert!(keys.len() > 800 && of_range.iter().all(|count| (even / 2..even * 2).contains(count)), "{of_range:?}");
}

#[test]
fn a_span_in_tokens_ends_where_tokens_do() {
    let shared = "the tide comes in, the sea is grey";
    let texts = [format!("a{shared} and the"), format!("{shared}s are out")];
    let found = outcomes(&dedup("{ min_tokens: 6 }", Some(tokenizer(Value::Null))), &texts);
    // Of `the` and `greys` there are other tokens than of `athe` and `grey`.
    assert!(found[1].ends_with("greys are out") || found[1].ends_with("s are out"), "{found:?}");
    assert!(found[1].len() < texts[1].len() - 20, "{found:?}");
    assert_eq!(found[0], texts[0]);
}

#[test]
fn bounds_are_checked_where_they_are_written() {
    for wrong in [
        "{ min_bytes: 3 }",
        "{ min_bytes: 65537 }",
        "{ min_tokens: 3 }",
        "{ min_bytes: 200, min_tokens: 50 }",
        "{ at: words }",
        "{ repeats: some }",
        "{ min: 5 }",
    ] {
        assert!(serde_saphyr::from_str::<SubstringDedup>(wrong).is_err(), "{wrong}");
    }
    for right in ["{ min_bytes: 4, at: lines }", "{ min_tokens: 4 }"] {
        assert!(serde_saphyr::from_str::<SubstringDedup>(right).is_ok());
    }
    let options: SubstringDedup = serde_saphyr::from_str("{ min_tokens: 50 }").unwrap();
    assert!(options.min_bytes.is_none());
    assert!(Spans::new(options, None).is_err_and(|error| error.contains("min_bytes")));
}
