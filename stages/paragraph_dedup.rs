//! Removes paragraphs that other documents have too.

use std::borrow::Cow;
use std::collections::BTreeSet;

use corpus::{Document, Evidence, Reason, Result, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::{Against, Cut, Dedup, Finding, First, Guard, Key, Part, Rank, Sketch};

/// Removes lines that a document of lower rank has too, as navigation, notices and boilerplate are;
/// drops a document of which nothing stays.
///
/// Lines are compared as cc_net compares them: without white space at their ends, in lower case,
/// every digit as 0, without the punctuation of its table (that of ASCII stays) and control
/// characters, by the first eight bytes of the SHA-1 of what is left. Among 10^10 different lines
/// some three are expected to be taken for another.
///
/// A receipt in `cut/` names the document that keeps the line; with `keep: none` that of the run that it is
/// held `against`, or none.
///
/// cc_net removes every copy of a line that two documents of a shard have, the first one too, and
/// lines that repeat within a document: `keep: none`, `scope: raw_file`, `repeats: remove`,
/// `blank_lines: compare`, `min_characters: 0`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParagraphDedup {
    /// Which copy of a line stays.
    pub keep: Keep,
    /// Among which documents lines are compared.
    pub scope: Scope,
    /// What becomes of lines that repeat within a document.
    pub repeats: Repeats,
    /// Whether blank lines are compared like others.
    pub blank_lines: BlankLines,
    /// Lines with fewer characters are left alone: headings, lone braces and short answers are no
    /// boilerplate. Ours; cc_net has no such bound.
    pub min_characters: usize,
    /// Whether `cut/` tells what was taken from each document, and who has it; without, only counts and signals do.
    #[serde(skip_serializing_if = "crate::dedup::as_ever")]
    pub receipts: bool,
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's text that may go, in bytes, of all that reaches this stage, and whether the run goes on
    /// beyond (`warn`) or ends before it publishes (`stop`). Lines make no clusters.
    #[serde(skip_serializing)]
    pub guard: Guard,
    /// Another run, finished, by its folder from the pipeline's file: lines that its documents have count as
    /// seen before all of ours; they are read, never written. `{ run: FOLDER, then: mark }` takes nothing for their
    /// sake, and says how much of each text would have gone.
    #[serde(skip_serializing_if = "Against::is_plain")]
    pub against: Option<Against>,
}

/// Which copy of a line stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// That of the document of lowest rank.
    #[default]
    First,
    /// None.
    None,
}

/// Among which documents lines are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All that reach this stage.
    #[default]
    All,
    /// Those of each raw file, as cc_net compares within a shard.
    RawFile,
    /// Those of each site, by the host of their addresses: of the menu and the notices that all pages of
    /// a site have, one copy stays. A document without an address is left alone.
    Site,
}

/// What becomes of lines that repeat within a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// They stay: a refrain, a table.
    #[default]
    Keep,
    /// Only the first stays.
    Remove,
}

/// What becomes of blank lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlankLines {
    /// They stay, but for those that would stand beside another, or first, once lines are gone.
    #[default]
    Keep,
    /// They are lines like others, and all go as soon as two documents have one.
    Compare,
}

impl Default for ParagraphDedup {
    fn default() -> ParagraphDedup {
        ParagraphDedup {
            keep: Keep::default(),
            scope: Scope::default(),
            repeats: Repeats::default(),
            blank_lines: BlankLines::default(),
            min_characters: 30,
            receipts: true,
            guard: Guard::default(),
            against: None,
        }
    }
}

const SIGNALS: &[SignalSpec] = &[
    SignalSpec { name: "length", kind: SignalKind::Integer, about: "characters that are left" },
    SignalSpec { name: "nlines", kind: SignalKind::Integer, about: "lines that are left" },
    SignalSpec { name: "original_length", kind: SignalKind::Integer, about: "characters before lines were removed" },
    SignalSpec { name: "original_nlines", kind: SignalKind::Integer, about: "lines before some were removed" },
];

impl ParagraphDedup {
    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        SIGNALS
    }

    /// The hash of a line, if it is compared at all.
    fn hash(&self, line: &str) -> Option<u64> {
        let normal = normalized(line);
        let blank = self.blank_lines == BlankLines::Keep && normal.is_empty();
        let short = self.min_characters > 0 && line.trim().chars().count() < self.min_characters;
        (!blank && !short).then(|| hash(&normal))
    }
}

impl Dedup for ParagraphDedup {
    fn reason(&self) -> Reason {
        Reason("all_paragraphs_duplicate")
    }

    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let mut hashes: Vec<u64> = document.text().split('\n').filter_map(|line| self.hash(line)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut key = Key::default();
        let among = match self.scope {
            Scope::All => None,
            Scope::RawFile => Some(document.id.raw_file.to_string()),
            Scope::Site => {
                let Some(site) = document.meta.url.as_deref().and_then(site) else { return };
                Some(site)
            }
        };
        if let Some(among) = among {
            key[8..].copy_from_slice(&corpus::Digest::of(among.as_bytes()).0[..8]);
        }
        for hash in hashes {
            key[..8].copy_from_slice(&hash.to_be_bytes());
            keys.push(key);
        }
    }

    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        // Where none of ours keeps a line, another run's document may.
        let named = |first: Rank| (self.keep == Keep::First || self.against.is_some()).then_some(first);
        // The first of a line, and whether another was seen.
        let mut first: Option<(Sketch, bool)> = None;
        for sketch in sketches {
            let sketch = sketch?;
            let [a, b, c, d, e, f, g, h, ..] = sketch.key;
            let part = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            match &mut first {
                Some((known, shared)) if known.key == sketch.key => {
                    if !std::mem::replace(shared, true) && self.keep == Keep::None {
                        found(Finding::part(known.rank, part, named(known.rank)))?;
                    }
                    found(Finding::part(sketch.rank, part, named(known.rank)))?;
                }
                _ => first = Some((sketch, false)),
            }
        }
        Ok(())
    }

    fn cuts(&self) -> bool {
        true
    }

    fn receipts(&self) -> bool {
        self.receipts
    }

    fn keeps_no_copy(&self) -> bool {
        self.keep == Keep::None
    }

    fn most_cuts(&self, text: &str, parts: &[Part]) -> usize {
        if parts.is_empty() && self.repeats == Repeats::Keep { 0 } else { lines_of(text) }
    }

    fn cut(&self, document: &mut Document, parts: &[Part], cuts: &mut Vec<Cut>) -> (Verdict, Option<String>) {
        let text = document.text();
        let before = (text.chars().count(), text.split('\n').count());
        let mut seen = BTreeSet::new();
        let gone = |line: &str| {
            let hash = self.hash(line)?;
            if let Ok(at) = parts.binary_search_by_key(&hash, |part| part.number) {
                return Some(First::of(parts[at]));
            }
            (self.repeats == Repeats::Remove && !seen.insert(hash)).then_some(First::Itself)
        };
        let (mut lines, mut left) = (before.1, None);
        if let Some(kept) = without_lines(text, gone, self.blank_lines == BlankLines::Keep, cuts) {
            if kept.is_empty() {
                return (Verdict::Drop(self.reason(), Evidence::found(format!("{} lines", before.1))), None);
            }
            lines = kept.len();
            left = Some(kept.join("\n"));
        }
        let after = (left.as_ref().map_or(before.0, |left| left.chars().count()), lines);
        let values = [after.0, after.1, before.0, before.1];
        for (signal, value) in SIGNALS.iter().zip(values) {
            // Where paragraphs are removed twice, what was there at first counts.
            if !signal.name.starts_with("original") || document.signals.get(signal.name).is_none() {
                document.signals.set(signal.name, Signal::Integer(value as i64));
            }
        }
        (Verdict::Keep, left)
    }
}

/// How many lines a text has.
pub(crate) fn lines_of(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1
}

/// What is left of a text without some of its lines, if any goes, and which stretches went: lines that
/// follow each other and that one document has first are one. With `tidy`, blank lines go too that would
/// stand beside another, or first or last, now that lines are gone; nobody has these first.
pub(crate) fn without_lines<'t>(
    text: &'t str,
    mut gone: impl FnMut(&'t str) -> Option<First>,
    tidy: bool,
    cuts: &mut Vec<Cut>,
) -> Option<Vec<&'t str>> {
    let blank = |line: &str| line.trim().is_empty();
    let mut kept: Vec<&str> = Vec::new();
    let mut removed = false;
    let mut start = 0;
    for line in text.split('\n') {
        let stray = |kept: &[&str]| tidy && blank(line) && kept.last().is_none_or(|last| blank(last));
        let end = start + line.len();
        if let Some(first) = gone(line) {
            removed = true;
            match cuts.last_mut().filter(|last| last.end + 1 == start && last.first == first) {
                Some(last) => last.end = end,
                None => cuts.push(Cut { start, end, first }),
            }
        } else if !(removed && stray(&kept)) {
            kept.push(line);
        }
        start = end + 1;
    }
    while removed && tidy && kept.last().is_some_and(|last| blank(last)) {
        kept.pop();
    }
    removed.then_some(kept)
}

/// The host of an address, in lower case, without `www.` and port.
fn site(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?.split(':').next()?.to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    (!host.is_empty()).then(|| host.to_owned())
}

/// Punctuation that cc_net removes: its table of what is written otherwise in ASCII, from
/// `cc_net/text_normalizer.py`.
const PUNCTUATION: [char; 34] = [
    '，', '。', '、', '„', '”', '“', '«', '»', '１', '」', '「', '《', '》', '´', '∶', '：', '？', '！', '（', '）',
    '；', '–', '—', '．', '～', '’', '…', '━', '〈', '〉', '【', '】', '％', '►',
];

/// A line as cc_net compares it.
fn normalized(line: &str) -> Cow<'_, str> {
    let line = line.trim_matches(is_space);
    let plain = |byte: u8| matches!(byte, b' '..=b'/' | b':'..=b'@' | b'['..=b'~' | b'0');
    if line.bytes().all(plain) {
        return Cow::Borrowed(line);
    }
    let mut normal = String::with_capacity(line.len());
    let mut push = |character: char| match character {
        '0'..='9' => normal.push('0'),
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {}
        ' '..='~' => normal.push(character),
        _ if get_general_category(character) == GeneralCategory::DecimalNumber => normal.push('0'),
        _ if PUNCTUATION.contains(&character) => {}
        _ => normal.push(character),
    };
    if line.is_ascii() {
        line.chars().for_each(|character| push(character.to_ascii_lowercase()));
    } else {
        // Of a whole word, since a sigma at its end has a form of its own.
        line.to_lowercase().chars().for_each(push);
    }
    Cow::Owned(normal)
}

/// What Python's `str.strip` takes away.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// The first eight bytes of the SHA-1, as a number that begins with its lowest byte.
fn hash(normal: &str) -> u64 {
    let digest = Sha1::digest(normal.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::at_work::after;

    /// What becomes of texts of one raw file, one after the other; `-` for one that goes.
    #[track_caller]
    fn check(options: &str, texts: &[&str], become_: &[&str]) {
        let dedup: ParagraphDedup = serde_saphyr::from_str(options).unwrap();
        let (outcomes, _) = after(&dedup, texts);
        assert_eq!(outcomes, become_, "{options}");
    }

    const CC_NET: &str = "{ keep: none, scope: raw_file, repeats: remove, blank_lines: compare, min_characters: 0 }";

    #[test]
    fn cc_net_removes_every_copy() {
        check(CC_NET, &["Home\nOne text", "HOME \nAnother"], &["One text", "Another"]);
        check(CC_NET, &["Call 020-1", "call 030-9"], &["-", "-"]);
        check(CC_NET, &["a\na\nb\n\n", "c"], &["a\nb\n", "c"]);
        check(CC_NET, &["a\n\nb", "c\n\nd"], &["a\nb", "c\nd"]);
        // Nothing is compared with itself.
        check(CC_NET, &["a\nb"], &["a\nb"]);
    }

    #[test]
    fn the_first_copy_of_a_long_line_stays() {
        let notice = "This site uses cookies: by staying here you accept all of them.";
        let (a, b) = (format!("{notice}\n\nHome\n\nA"), format!("B\n\n{notice}\n\nHome"));
        check("{}", &[&a, &b, notice, "Home"], &[&a, "B\n\nHome", "-", "Home"]);
        check("{ min_characters: 4 }", &[&a, &b], &[&a, "B"]);
    }

    #[test]
    fn a_text_that_loses_nothing_keeps_its_last_line_break() {
        let notice = "This site uses cookies: by staying here you accept all of them.";
        let (a, b) = (format!("{notice}\n\n"), "Another text, of which nobody has anything.\n\n\n");
        check("{}", &[&a, b, notice], &[&a, b, "-"]);
        check("{ repeats: remove, min_characters: 0 }", &["a\nb\n", "c\n"], &["a\nb\n", "c\n"]);
    }

    #[test]
    fn every_line_that_goes_is_told_with_who_has_it_first() {
        let line = |number: u32| format!("Line number {} of all that we have to say.", "I".repeat(number as usize));
        let (a, b) = ([line(1), line(2)].join("\n"), [line(3), line(3)].join("\n"));
        let c = [line(3), line(1), line(2), "own".to_owned(), String::new(), line(1)].join("\n");
        let texts = [&*a, &*b, &*c, &*line(2)];
        let dedup: ParagraphDedup = serde_saphyr::from_str("{ repeats: remove }").unwrap();
        let (left, cuts) = after(&dedup, &texts);
        assert_eq!(left, [&*a, &*line(3), "own", "-"]);
        let told = |text: usize| {
            let words = |cut: &Cut| {
                let first = match cut.first {
                    First::Document(rank) => rank.record.to_string(),
                    First::Itself => "itself".to_owned(),
                    First::Nobody => "nobody".to_owned(),
                };
                (texts[text][cut.start..cut.end].to_owned(), first)
            };
            cuts[text].iter().map(words).collect::<Vec<_>>()
        };
        assert_eq!(told(0), []);
        assert_eq!(told(1), [(line(3), "itself".to_owned())]);
        let both = [line(1), line(2)].join("\n");
        assert_eq!(told(2), [(line(3), "1".to_owned()), (both, "0".to_owned()), (line(1), "0".to_owned())]);
        assert_eq!(told(3), [(line(2), "0".to_owned())]);
        // Where no copy stays, nobody has it.
        let (_, cuts) = after(&serde_saphyr::from_str::<ParagraphDedup>(CC_NET).unwrap(), &["a", "a"]);
        let cut = Cut { start: 0, end: 1, first: First::Nobody };
        assert_eq!(cuts, [vec![cut.clone()], vec![cut]]);
    }

    #[test]
    fn lines_are_compared_as_cc_net_compares_them() {
        for (line, normal) in [
            ("", ""),
            (" 12 Monkeys\u{a0}", "00 monkeys"),
            ("“Ça va？” ٣１", "ça va 00"),
            ("a\tb", "ab"),
            ("ΟΔΟΣ", "οδος"),
            ("…", ""),
        ] {
            assert_eq!(normalized(line), normal, "{line}");
        }
        // The SHA-1 of nothing begins so.
        assert_eq!(hash(""), u64::from_le_bytes([0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d]));
    }
}
