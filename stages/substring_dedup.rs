//! Removes spans of text that were read before, wherever they begin and end.

use std::collections::{HashMap, HashSet};

use corpus::{Document, Evidence, Reason, Result, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::paragraph_dedup::Repeats;
use crate::spans::{Rolling, windows};
use crate::{Against, Cut, Dedup, Finding, First, Guard, Key, Part, Sketch};

/// Removes every span of at least `min_bytes` bytes that stands in a document of lower rank, or earlier in
/// the same one; the first copy stays. Drops a document of which only white space is left.
///
/// The result is what comparing every span with every other would give, however raw files are put
/// together (`stages/substring_dedup.rs` holds it against that). There is no suffix array, which would have
/// to hold the corpus, or merge parts of it: of each span of that length some run of bytes is chosen by what
/// the span says (winnowing), these are brought together first, and only where one of them stands in two
/// documents every window of `min_bytes` bytes is compared, by 122 bits.
///
/// The first exchange takes 28 bytes for each such run, about a third of the text at 200 bytes; the second
/// takes 28 bytes for each byte of text whose run stands elsewhere too. Put `exact_dedup` and a dedup of near
/// duplicates before it: where a tenth of the text repeats, the second is nearly three times the text.
///
/// google-research/deduplicate-text-datasets, of Lee et al. (2021), finds the same spans, and its authors
/// advise to strike all copies.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubstringDedup {
    /// Shorter spans are left alone, in bytes of UTF-8, from 4 to 65536. Lee et al. and RefinedWeb take 50
    /// tokens, which are some 200 bytes of English.
    pub min_bytes: Length,
    /// Where texts may be cut.
    pub at: At,
    /// What becomes of a span that repeats within its document.
    pub repeats: Repeats,
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's runs of bytes that may go, and whether the run goes on beyond (`warn`) or ends
    /// (`stop`). Spans make no clusters.
    #[serde(skip_serializing)]
    pub guard: Guard,
    /// Another run, finished, by its folder from the pipeline's file: spans that its documents have count as
    /// seen before all of ours; they are read, never written.
    #[serde(skip_serializing_if = "Against::is_plain")]
    pub against: Option<Against>,
}

impl Default for SubstringDedup {
    fn default() -> SubstringDedup {
        SubstringDedup {
            min_bytes: Length(200),
            at: At::default(),
            repeats: Repeats::Remove,
            guard: Guard::default(),
            against: None,
        }
    }
}

/// Bytes of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(transparent, extend("minimum" = 4, "maximum" = 65536))]
pub struct Length(u32);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Length, D::Error> {
        match u32::deserialize(deserializer)? {
            value @ 4..=65536 => Ok(Length(value)),
            value => Err(serde::de::Error::custom(format!("{value} is not a whole number from 4 to 65536"))),
        }
    }
}

/// Where texts may be cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// Between any two characters, none of which is ever cut itself.
    #[default]
    Characters,
    /// Between lines: only lines that repeat from end to end go.
    Lines,
}

const SIGNALS: &[SignalSpec] = &[SignalSpec {
    name: "repeated_bytes",
    kind: SignalKind::Integer,
    about: "bytes of spans that stand in documents of lower rank, or earlier in this one, and were removed",
}];

impl SubstringDedup {
    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        SIGNALS
    }

    fn length(&self) -> usize {
        self.min_bytes.0 as usize
    }

    /// Calls for every window whose seed is wanted: where it begins, its seed, and what it is known by.
    fn known(&self, bytes: &[u8], wanted: impl Fn(u64) -> bool, mut call: impl FnMut(usize, u64, Key)) {
        let mut rolling = Rolling::new(self.length());
        windows(bytes, self.length(), |start, _, seed| {
            if wanted(seed) {
                call(start, seed, rolling.key(bytes, start));
            }
        });
    }
}

fn number(key: Key) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = key;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Dedup for SubstringDedup {
    fn reason(&self) -> Reason {
        Reason("all_spans_repeated")
    }

    /// The seeds of its windows.
    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let mut seeds: Vec<u64> = Vec::new();
        windows(document.text().as_bytes(), self.length(), |_, _, seed| {
            if seeds.last() != Some(&seed) {
                seeds.push(seed);
            }
        });
        seeds.sort_unstable();
        seeds.dedup();
        let mut key = Key::default();
        keys.extend(seeds.into_iter().map(|seed| {
            key[..8].copy_from_slice(&seed.to_be_bytes());
            key
        }));
    }

    /// The seeds that two documents have, as parts of every document that has one.
    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let mut first: Option<(Sketch, bool)> = None;
        for sketch in sketches {
            let sketch = sketch?;
            match &mut first {
                Some((known, shared)) if known.key == sketch.key => {
                    if !std::mem::replace(shared, true) {
                        found(Finding::part(known.rank, number(known.key), None))?;
                    }
                    found(Finding::part(sketch.rank, number(sketch.key), None))?;
                }
                _ => first = Some((sketch, false)),
            }
        }
        Ok(())
    }

    fn twice(&self) -> bool {
        true
    }

    /// The windows whose seeds other documents have.
    fn sketch_again(&self, text: &str, parts: &[u64], key: &mut dyn FnMut(Key) -> Result<()>) -> Result<()> {
        let mut result = Ok(());
        self.known(
            text.as_bytes(),
            |seed| parts.binary_search(&seed).is_ok(),
            |_, _, known| {
                if result.is_ok() {
                    result = key(known);
                }
            },
        );
        result
    }

    fn resolve_again(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let mut first: Option<Sketch> = None;
        for sketch in sketches {
            let sketch = sketch?;
            match first {
                Some(first) if first.key == sketch.key => {
                    found(Finding::part(sketch.rank, number(sketch.key), Some(first.rank)))?;
                }
                _ => first = Some(sketch),
            }
        }
        Ok(())
    }

    fn cuts(&self) -> bool {
        true
    }

    fn cut(&self, document: &mut Document, parts: &[Part], cuts: &mut Vec<Cut>) -> Verdict {
        let text = document.text();
        let spans = self.spans(text, parts);
        let kept = match self.at {
            At::Characters => without_spans(text, &spans, cuts),
            At::Lines => without_whole_lines(text, &spans, cuts),
        };
        let removed = text.len() - kept.len();
        if removed > 0 && kept.trim().is_empty() {
            return Verdict::Drop(self.reason(), Evidence::found(format!("{removed} bytes")));
        }
        if removed > 0 {
            document.edit(kept);
        }
        document.signals.set(SIGNALS[0].name, Signal::Integer(removed as i64));
        Verdict::Keep
    }
}

impl SubstringDedup {
    /// The spans that go, in bytes: in order, none touches the next.
    fn spans(&self, text: &str, parts: &[Part]) -> Vec<Span> {
        let (bytes, length) = (text.as_bytes(), self.length());
        // Only where a seed stands twice a window may.
        let mut twice: HashSet<u64> = HashSet::new();
        if self.repeats == Repeats::Remove {
            let mut places: Vec<(u64, usize)> = Vec::new();
            windows(bytes, length, |_, place, seed| {
                if places.last() != Some(&(seed, place)) {
                    places.push((seed, place));
                }
            });
            places.sort_unstable();
            let again = places.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
            twice.extend(again.map(|pair| pair[0].0));
        }
        let mut spans: Vec<Span> = Vec::new();
        if parts.is_empty() && twice.is_empty() {
            return spans;
        }
        let mut first: HashMap<Key, usize> = HashMap::new();
        let wanted = |seed: u64| !parts.is_empty() || twice.contains(&seed);
        self.known(bytes, wanted, |start, seed, key| {
            let elsewhere = parts.binary_search_by_key(&number(key), |part| part.number).ok();
            // A copy that overlaps the first one would take from it.
            let before = twice.contains(&seed) && *first.entry(key).or_insert(start) + length <= start;
            let first = match elsewhere {
                Some(at) => First::of(parts[at]),
                None if before => First::Itself,
                None => return,
            };
            let end = start + length;
            match spans.last_mut() {
                Some(span) if start <= span.end => span.more(end, first),
                _ => spans.push(Span { start, end, firsts: vec![(end, first)] }),
            }
        });
        spans
    }
}

/// A span of bytes that goes.
struct Span {
    start: usize,
    end: usize,
    /// Who has it first, piece by piece, each with its end: the windows of a span may be of several documents.
    firsts: Vec<(usize, First)>,
}

impl Span {
    fn more(&mut self, end: usize, first: First) {
        self.end = end;
        match self.firsts.last_mut() {
            // Windows that do not begin one byte apart may stand apart there.
            Some((last, known)) if *known == first && *last + 1 == end => *last = end,
            _ => self.firsts.push((end, first)),
        }
    }

    /// What is cut of it, from `start` to `end`: each piece lies in whole windows of its document.
    fn cut(&self, start: usize, end: usize, cuts: &mut Vec<Cut>) {
        let mut from = start;
        for (to, first) in &self.firsts {
            let to = (*to).min(end);
            if from < to {
                cuts.push(Cut { start: from, end: to, first: *first });
                from = to;
            }
        }
    }
}

/// A text without spans of bytes; a character goes if all of its bytes do.
fn without_spans(text: &str, spans: &[Span], cuts: &mut Vec<Cut>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for span in spans {
        let start = (span.start..span.end).find(|at| text.is_char_boundary(*at)).unwrap_or(span.end);
        let end = (start..=span.end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(start);
        if start < end {
            kept.push_str(&text[from..start]);
            from = end;
            span.cut(start, end, cuts);
        }
    }
    kept.push_str(&text[from..]);
    kept
}

/// A text without the lines that lie in spans from end to end; of an empty one its end does.
fn without_whole_lines(text: &str, spans: &[Span], cuts: &mut Vec<Cut>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut spans = spans.iter().peekable();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let content = if line.len() > 1 { end - usize::from(line.ends_with('\n')) } else { end };
        while spans.next_if(|span| span.end < content).is_some() {}
        match spans.peek().filter(|span| span.start <= start && content <= span.end) {
            Some(span) => span.cut(start, content, cuts),
            None => kept.push_str(line),
        }
        start = end;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::at_work::after;

    /// What becomes of texts that come one after the other; `-` for one that goes. What is told of the
    /// cuts is held against the texts.
    fn outcomes(dedup: &SubstringDedup, texts: &[String]) -> Vec<String> {
        let (left, cuts) = after(dedup, texts);
        for (record, cuts) in cuts.iter().enumerate() {
            let text = texts[record].as_bytes();
            let mut end = 0;
            for cut in cuts {
                assert!(end <= cut.start && cut.start < cut.end, "{cuts:?}");
                end = cut.end;
                let cut_away = &text[cut.start..cut.end];
                let windows = cut_away.windows(dedup.length());
                let (of, one) = match cut.first {
                    First::Document(rank) => (texts[rank.record as usize].as_bytes(), rank.record < record as u64),
                    First::Itself => (text, true),
                    First::Nobody => panic!("{cut:?}"),
                };
                let has = |bytes: &[u8]| of.windows(bytes.len()).any(|other| other == bytes);
                assert!(one && windows.into_iter().all(has), "{cut:?} of {texts:?}");
                // Shorter ones were part of longer ones.
                assert!(cut_away.len() >= dedup.length() || has(cut_away), "{cut:?} of {texts:?}");
            }
            if left[record] != "-" && dedup.at == At::Characters {
                let cut: usize = cuts.iter().map(|cut| cut.end - cut.start).sum();
                assert_eq!(cut, text.len() - left[record].len(), "{texts:?}");
            }
        }
        left
    }

    /// The same, by comparing every window with every one before it.
    fn plainly(dedup: &SubstringDedup, texts: &[String]) -> Vec<String> {
        let length = dedup.length();
        let outcome = |record: usize| {
            let bytes = texts[record].as_bytes();
            let mut spans: Vec<(usize, usize)> = Vec::new();
            for (start, window) in bytes.windows(length).enumerate() {
                let elsewhere =
                    texts[..record].iter().any(|text| text.as_bytes().windows(length).any(|other| other == window));
                let own = bytes[..start].windows(length).any(|other| other == window);
                if elsewhere || own && dedup.repeats == Repeats::Remove {
                    match spans.last_mut() {
                        Some((_, end)) if start <= *end => *end = start + length,
                        _ => spans.push((start, start + length)),
                    }
                }
            }
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

    #[test]
    fn the_result_is_that_of_comparing_every_span_with_every_other() {
        let mut state = 21u64;
        let mut next = |below: u64| {
            state = crate::bloom::mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            state % below
        };
        let mut removed = 0;
        for round in 0..600u64 {
            let alphabet: &[&str] = match round % 4 {
                0 => &["a", "b"],
                1 => &["a", "b", "\n"],
                2 => &["潮", "é", "a", "\n", "😀"],
                _ => &["a"],
            };
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
                        None => {
                            (0..next(20)).for_each(|_| text.push_str(alphabet[next(alphabet.len() as u64) as usize]))
                        }
                    }
                }
                texts.push(text);
            }
            let min_bytes = [4, 5, 9, 16, 33][next(5) as usize];
            for at in ["characters", "lines"] {
                for repeats in ["remove", "keep"] {
                    let options = format!("{{ min_bytes: {min_bytes}, at: {at}, repeats: {repeats} }}");
                    let dedup: SubstringDedup = serde_saphyr::from_str(&options).unwrap();
                    let found = outcomes(&dedup, &texts);
                    assert_eq!(found, plainly(&dedup, &texts), "{options} {texts:?}");
                    removed += found.iter().zip(&texts).filter(|(found, text)| found != text).count();
                }
            }
        }
        assert!(removed > 1000, "{removed}");
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
        ]
        .map(str::to_owned)
        .into();
        let dedup = SubstringDedup::default();
        let found = outcomes(&dedup, &texts);
        assert_eq!(found, plainly(&dedup, &texts));
        // The first copy stays whole.
        assert_eq!(found[3], "a".repeat(200));
    }

    #[test]
    fn bounds_are_checked_where_they_are_written() {
        for wrong in ["{ min_bytes: 3 }", "{ min_bytes: 65537 }", "{ at: words }", "{ repeats: some }", "{ min: 5 }"] {
            assert!(serde_saphyr::from_str::<SubstringDedup>(wrong).is_err(), "{wrong}");
        }
        assert!(serde_saphyr::from_str::<SubstringDedup>("{ min_bytes: 4, at: lines }").is_ok());
    }
}
