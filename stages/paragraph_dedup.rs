//! Removes paragraphs that other documents have too.

use std::borrow::Cow;
use std::collections::BTreeSet;

use corpus::{Document, Evidence, Reason, Result, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::{Dedup, Finding, Guard, Key, Sketch};

/// Removes lines that a document of lower rank has too, as navigation, notices and boilerplate are;
/// drops a document of which nothing stays.
///
/// Lines are compared as cc_net compares them: without white space at their ends, in lower case,
/// every digit as 0, without the punctuation of its table (that of ASCII stays) and control
/// characters, by the first eight bytes of the SHA-1 of what is left. Among 10^10 different lines
/// some three are expected to be taken for another.
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
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's lines that may go, of all that are compared, and whether the run goes on
    /// beyond (`warn`) or ends (`stop`). Lines make no clusters.
    #[serde(skip_serializing)]
    pub guard: Guard,
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
            guard: Guard::default(),
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
        // The first of a line, and whether another was seen.
        let mut first: Option<(Sketch, bool)> = None;
        for sketch in sketches {
            let sketch = sketch?;
            let [a, b, c, d, e, f, g, h, ..] = sketch.key;
            let part = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            match &mut first {
                Some((known, shared)) if known.key == sketch.key => {
                    if !std::mem::replace(shared, true) && self.keep == Keep::None {
                        found(Finding::part(known.rank, part))?;
                    }
                    found(Finding::part(sketch.rank, part))?;
                }
                _ => first = Some((sketch, false)),
            }
        }
        Ok(())
    }

    fn cuts(&self) -> bool {
        true
    }

    fn cut(&self, document: &mut Document, parts: &[u64]) -> Verdict {
        let text = document.text();
        let before = (text.chars().count(), text.split('\n').count());
        let mut seen = BTreeSet::new();
        let gone = |line: &str| {
            let hash = self.hash(line);
            let duplicate = hash.is_some_and(|hash| parts.binary_search(&hash).is_ok());
            duplicate || self.repeats == Repeats::Remove && hash.is_some_and(|hash| !seen.insert(hash))
        };
        let mut lines = before.1;
        if let Some(kept) = without_lines(text, gone, self.blank_lines == BlankLines::Keep) {
            if kept.is_empty() {
                return Verdict::Drop(self.reason(), Evidence::found(format!("{} lines", before.1)));
            }
            lines = kept.len();
            let edited = kept.join("\n");
            document.edit(edited);
        }
        let after = (document.text().chars().count(), lines);
        let values = [after.0, after.1, before.0, before.1];
        for (signal, value) in SIGNALS.iter().zip(values) {
            // Where paragraphs are removed twice, what was there at first counts.
            if !signal.name.starts_with("original") || document.signals.get(signal.name).is_none() {
                document.signals.set(signal.name, Signal::Integer(value as i64));
            }
        }
        Verdict::Keep
    }
}

/// What is left of a text without some of its lines, if any goes. With `tidy`, so do blank lines that
/// would stand beside another, or first or last, now that lines are gone.
pub(crate) fn without_lines<'t>(
    text: &'t str,
    mut gone: impl FnMut(&'t str) -> bool,
    tidy: bool,
) -> Option<Vec<&'t str>> {
    let blank = |line: &str| line.trim().is_empty();
    let mut kept: Vec<&str> = Vec::new();
    let mut removed = false;
    for line in text.split('\n') {
        let stray = |kept: &[&str]| tidy && blank(line) && kept.last().is_none_or(|last| blank(last));
        match gone(line) || removed && stray(&kept) {
            true => removed = true,
            false => kept.push(line),
        }
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
    use corpus::{DocumentId, Meta};

    use super::*;
    use crate::Rank;

    /// What becomes of texts of one raw file, one after the other; `-` for one that goes.
    #[track_caller]
    fn check(options: &str, texts: &[&str], become_: &[&str]) {
        let dedup: ParagraphDedup = serde_saphyr::from_str(options).unwrap();
        let document = |record: usize| {
            let id = DocumentId { raw_file: "c4/a".into(), record: record as u64 };
            Document::new(id, texts[record].to_owned(), Meta::default())
        };
        let mut sketches = Vec::new();
        for record in 0..texts.len() {
            let mut keys = Vec::new();
            dedup.sketch(&document(record), &mut keys);
            let rank = Rank { raw_file: 0, record: record as u64 };
            sketches.extend(keys.into_iter().map(|key| Sketch { key, rank }));
        }
        sketches.sort();
        let mut found: Vec<Finding> = Vec::new();
        let mut note = |finding| {
            found.push(finding);
            Ok(())
        };
        dedup.resolve(&mut sketches.into_iter().map(Ok), &mut note).unwrap();
        let outcomes: Vec<String> = (0..texts.len())
            .map(|record| {
                let mut document = document(record);
                let of_it = found.iter().filter(|finding| finding.gone.record == record as u64);
                let mut parts: Vec<u64> = of_it.filter_map(Finding::as_part).collect();
                parts.sort_unstable();
                match dedup.cut(&mut document, &parts) {
                    Verdict::Keep => document.text().to_owned(),
                    Verdict::Drop(..) => "-".to_owned(),
                }
            })
            .collect();
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
