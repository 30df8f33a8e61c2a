//! Words and lines of a text, cut once and looked at by every measure.
//!
//! A word is where it begins and ends in one buffer; which words are the same is told by small
//! numbers, so that whoever counts words or n-grams needs no strings.

use std::cell::OnceCell;

use unicode_normalization::UnicodeNormalization;

use crate::python::{Folded, Traits, hangul};

/// How a text is cut into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The words of the text as RedPajama-V2 normalizes it: ASCII punctuation deleted, small
    /// letters, what is left between white space, decomposed (NFD).
    Normalized,
    /// Runs of letters, marks, digits and `_`, and runs of what else is not white space: the
    /// `\w+|[^\w\s]+` of NLTK's `WordPunctTokenizer`, RedPajama-V2's raw words. NLTK 3.10 asks Unicode's
    /// regular expressions, to which marks belong to words and the separators U+001C to U+001F are signs.
    WordPunct,
    /// What lies between white space: Python's `str.split()`.
    White,
    /// Words and signs as spaCy cuts English, which datatrove counts: see [`crate::english`].
    English,
}

/// Where a word lies in its text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: u32,
    /// The byte after it.
    pub end: u32,
}

/// A line, which ends after `\n` or with the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The byte after it, its `\n` included.
    pub end: u32,
    /// Characters of the text up to there.
    pub characters: u32,
    /// Normalized words up to there.
    pub words: u32,
}

/// Words as they lie in a text. What they are slices of is kept by the document.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    spans: Vec<Span>,
    distinct: OnceCell<Distinct>,
}

/// A text as RedPajama-V2 normalizes it, with its words and the lines that they came from.
#[derive(Debug, Default)]
pub(crate) struct Normalized {
    pub text: String,
    pub cut: Cut,
    pub lines: Vec<Line>,
}

/// The words of a document in one of the ways to [`Split`] it.
#[derive(Clone, Copy)]
pub struct Words<'d> {
    text: &'d str,
    cut: &'d Cut,
}

impl<'d> Words<'d> {
    pub(crate) fn of(text: &'d str, cut: &'d Cut) -> Words<'d> {
        Words { text, cut }
    }

    /// How many.
    pub fn len(self) -> usize {
        self.cut.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.cut.spans.is_empty()
    }

    /// The text that they are slices of: of normalized words the normalized text, in which one space
    /// parts them, so that an n-gram is a slice too.
    pub fn text(self) -> &'d str {
        self.text
    }

    /// Where each lies in [`Words::text`].
    pub fn spans(self) -> &'d [Span] {
        &self.cut.spans
    }

    /// One word; an empty one past the last.
    #[inline]
    pub fn get(self, at: usize) -> &'d str {
        self.cut.spans.get(at).map_or("", |span| self.slice(*span))
    }

    /// All of them in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'d str> {
        self.cut.spans.iter().map(move |span| self.slice(*span))
    }

    /// Which of them are the same.
    pub fn distinct(self) -> &'d Distinct {
        self.cut.distinct.get_or_init(|| Distinct::of(self.text, &self.cut.spans))
    }

    #[inline]
    fn slice(self, span: Span) -> &'d str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

/// Cuts a text that is no document's into English words, as [`Split::English`] does.
pub fn english<R>(text: &str, look: impl FnOnce(Words<'_>) -> R) -> R {
    look(Words::of(text, &Cut::english(text)))
}

/// Which words are the same: each has the number of the distinct word that it is, in the order in
/// which they are first seen.
#[derive(Debug, Default)]
pub struct Distinct {
    /// The number of each word.
    pub numbers: Vec<u32>,
    /// Of each distinct word the place where it is first seen.
    pub first: Vec<u32>,
    /// Of each distinct word how often it is there.
    pub counts: Vec<u32>,
}

/// A place of a table of words: the word's first bytes or the mix of all, and its number from 1.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u64,
    number: u32,
}

impl Distinct {
    /// Which of these parts of a text are the same; they need not be words.
    pub fn of(text: &str, spans: &[Span]) -> Distinct {
        let bytes = text.as_bytes();
        let mut found = Distinct { numbers: Vec::with_capacity(spans.len()), ..Distinct::default() };
        // Half as much again as there could be, so that places are free and the search for one ends.
        let size = (spans.len() + spans.len() / 2 + 2).next_power_of_two();
        let shift = 64 - size.trailing_zeros();
        let mut table = vec![Slot::default(); size];
        for (at, span) in spans.iter().enumerate() {
            let (start, end) = (span.start as usize, span.end as usize);
            let key = key(bytes, start, end);
            let mut place = (key.wrapping_mul(MIX) >> shift) as usize;
            loop {
                let Slot { key: known, number } = table[place];
                if number == 0 {
                    let number = found.first.len() as u32;
                    table[place] = Slot { key, number: number + 1 };
                    found.first.push(at as u32);
                    found.counts.push(1);
                    found.numbers.push(number);
                    break;
                }
                if known == key {
                    let other = spans[found.first[number as usize - 1] as usize];
                    // Up to eight bytes are their own key, but for what lies after them.
                    let same = other.end - other.start == span.end - span.start
                        && (end - start <= 8 || bytes[start..end] == bytes[other.start as usize..other.end as usize]);
                    if same {
                        found.counts[number as usize - 1] += 1;
                        found.numbers.push(number - 1);
                        break;
                    }
                }
                place = (place + 1) & (size - 1);
            }
        }
        found
    }
}

/// An odd number without a pattern: the fraction of the golden ratio.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// The first eight bytes of a word, or all of fewer, as a number: of a word of up to eight bytes that
/// does not end in zeros its own.
#[inline]
pub fn first_bytes(bytes: &[u8], start: usize, end: usize) -> u64 {
    let length = (end - start).min(8);
    match bytes.get(start..start + 8) {
        Some(eight) if length > 0 => number(eight) & u64::MAX >> (64 - 8 * length),
        Some(_) => 0,
        None => bytes[start..end].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// Eight bytes or fewer as a number; of more a mix of all.
#[inline]
fn key(bytes: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    if length <= 8 {
        return first_bytes(bytes, start, end);
    }
    let mut mixed = length as u64;
    let mut at = start;
    while at + 8 < end {
        mixed = (mixed ^ number(&bytes[at..at + 8])).wrapping_mul(MIX).rotate_left(29);
        at += 8;
    }
    (mixed ^ number(&bytes[end - 8..end])).wrapping_mul(MIX)
}

#[inline]
fn number(eight: &[u8]) -> u64 {
    eight.try_into().map_or(0, u64::from_le_bytes)
}

// ---------------------------------------------------------------------------------------------
// Cutting

// What a byte of ASCII is. Other bytes are the parts of characters to be looked up.
const PUNCTUATION: u8 = 0;
const LETTER: u8 = 1;
const SPACE: u8 = 2;
const BEYOND: u8 = 3;

/// What each byte is to `\w` and `\s`, in Unicode's regular expressions and to Python.
static KINDS: [[u8; 256]; 2] = [kinds(false), kinds(true)];

const UNICODE: usize = 0;
const PYTHON: usize = 1;

const fn kinds(python: bool) -> [u8; 256] {
    let mut kinds = [PUNCTUATION; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'\t'..=b'\r' | b' ' => SPACE,
            0x1C..=0x1F if python => SPACE,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' => LETTER,
            0x80.. => BEYOND,
            _ => PUNCTUATION,
        };
        byte += 1;
    }
    kinds
}

/// Whether white space parts words at this byte of ASCII.
#[inline]
pub fn is_white(byte: u8) -> bool {
    KINDS[PYTHON][usize::from(byte)] == SPACE
}

impl Cut {
    pub(crate) fn word_punct(text: &str) -> Cut {
        let bytes = text.as_bytes();
        let mut spans = Vec::with_capacity(bytes.len() / 4 + 4);
        let mut at = 0;
        while at < bytes.len() {
            let (kind, width) = kind_at::<UNICODE>(text, at);
            if kind == SPACE {
                at += width;
                continue;
            }
            let start = at;
            at += width;
            while at < bytes.len() {
                let of_byte = KINDS[UNICODE][usize::from(bytes[at])];
                if of_byte == kind {
                    at += 1;
                    continue;
                }
                if of_byte != BEYOND {
                    break;
                }
                match kind_at::<UNICODE>(text, at) {
                    (other, width) if other == kind => at += width,
                    _ => break,
                }
            }
            spans.push(Span { start: start as u32, end: at as u32 });
        }
        Cut { spans, ..Cut::default() }
    }

    pub(crate) fn english(text: &str) -> Cut {
        Cut { spans: crate::english::cut(text), ..Cut::default() }
    }

    pub(crate) fn white(text: &str) -> Cut {
        let bytes = text.as_bytes();
        let mut spans = Vec::with_capacity(bytes.len() / 5 + 4);
        let mut start = None;
        let mut at = 0;
        while at < bytes.len() {
            let (kind, width) = kind_at::<PYTHON>(text, at);
            match (kind == SPACE, start) {
                (false, None) => start = Some(at),
                (true, Some(begin)) => {
                    spans.push(Span { start: begin as u32, end: at as u32 });
                    start = None;
                }
                _ => {}
            }
            at += width;
        }
        if let Some(begin) = start {
            spans.push(Span { start: begin as u32, end: at as u32 });
        }
        Cut { spans, ..Cut::default() }
    }
}

/// What the character at a byte is, and how many bytes it has.
#[inline]
fn kind_at<const OF: usize>(text: &str, at: usize) -> (u8, usize) {
    match KINDS[OF][usize::from(text.as_bytes()[at])] {
        BEYOND => {
            let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) else { return (SPACE, 1) };
            let traits = Traits::of(character);
            let kind = match (traits.is_white(), traits.is_joined()) {
                (true, _) => SPACE,
                (_, true) => LETTER,
                _ => PUNCTUATION,
            };
            (kind, character.len_utf8())
        }
        kind => (kind, 1),
    }
}

/// What becomes of each byte of ASCII, or one of these.
const DELETED: u8 = 0x80;
const BLANK: u8 = 0x81;
const OTHER: u8 = 0x82;

static SMALL: [u8; 256] = small();

const fn small() -> [u8; 256] {
    let mut small = [OTHER; 256];
    let mut byte = 0;
    while byte < 0x80 {
        let it = byte as u8;
        small[byte] = match it {
            b'\t'..=b'\r' | 0x1C..=b' ' => BLANK,
            b'A'..=b'Z' => it | 0x20,
            // Python's `string.punctuation`.
            b'!'..=b'/' | b':'..=b'@' | b'['..=b'`' | b'{'..=b'~' => DELETED,
            _ => it,
        };
        byte += 1;
    }
    small
}

impl Normalized {
    /// Deletes ASCII punctuation, makes letters small, strips and joins white space, decomposes: in
    /// this order, as RedPajama-V2 does.
    pub(crate) fn of(text: &str) -> Normalized {
        let bytes = text.as_bytes();
        let mut out = Vec::with_capacity(bytes.len() + 8);
        let mut spans: Vec<Span> = Vec::with_capacity(bytes.len() / 5 + 4);
        let mut lines = Vec::with_capacity(bytes.len() / 64 + 4);
        // Bytes that are no first byte of a character.
        let mut inner = 0;
        let mut at = 0;
        while at < bytes.len() {
            if SMALL[usize::from(bytes[at])] == BLANK {
                at += 1;
                if bytes[at - 1] == b'\n' {
                    lines.push(Line { end: at as u32, characters: (at - inner) as u32, words: spans.len() as u32 });
                }
                continue;
            }
            let (from, start) = (at, out.len());
            if start > 0 {
                out.push(b' ');
            }
            let begin = out.len();
            while at < bytes.len() {
                let becomes = SMALL[usize::from(bytes[at])];
                if becomes < DELETED {
                    out.push(becomes);
                } else if becomes != DELETED {
                    break;
                }
                at += 1;
            }
            if at == bytes.len() || SMALL[usize::from(bytes[at])] == BLANK {
                match out.len() > begin {
                    true => spans.push(Span { start: begin as u32, end: out.len() as u32 }),
                    false => out.truncate(start),
                }
                continue;
            }
            // A word with characters beyond ASCII, of which some may be white space.
            while at < bytes.len() && SMALL[usize::from(bytes[at])] != BLANK {
                inner += usize::from(bytes[at] & 0xC0 == 0x80);
                at += 1;
            }
            out.truncate(start);
            for word in
                text.get(from..at).unwrap_or_default().split(|c: char| !c.is_ascii() && Traits::of(c).is_white())
            {
                let start = out.len();
                if start > 0 {
                    out.push(b' ');
                }
                let begin = out.len();
                if !fold(word, &mut out) {
                    out.truncate(begin);
                    fold_carefully(word, &mut out);
                }
                match out.len() > begin {
                    true => spans.push(Span { start: begin as u32, end: out.len() as u32 }),
                    false => out.truncate(start),
                }
            }
        }
        if lines.last().map_or(0, |line: &Line| line.end as usize) < bytes.len() {
            let (end, characters) = (bytes.len() as u32, (bytes.len() - inner) as u32);
            lines.push(Line { end, characters, words: spans.len() as u32 });
        }
        // Whole characters were pushed, each after the other.
        let text = String::from_utf8(out).unwrap_or_default();
        Normalized { text, cut: Cut { spans, ..Cut::default() }, lines }
    }
}

/// Folds a word character by character; false if one depends on its neighbours.
fn fold(word: &str, out: &mut Vec<u8>) -> bool {
    let mut four = [0; 4];
    let begin = out.len();
    for character in word.chars() {
        if character.is_ascii() {
            let becomes = SMALL[character as usize];
            if becomes < DELETED {
                out.push(becomes);
            }
            continue;
        }
        match Traits::of(character).folded() {
            Folded::One(one) => out.extend_from_slice(one.encode_utf8(&mut four).as_bytes()),
            Folded::Many(many) => out.extend_from_slice(many.as_bytes()),
            Folded::Hangul => hangul(character, &mut |letter| {
                let mut four = [0; 4];
                out.extend_from_slice(letter.encode_utf8(&mut four).as_bytes());
            }),
            // Marks stand in the order of their classes.
            Folded::Mark(mark) => {
                if !follows(&out[begin..], mark) {
                    return false;
                }
                out.extend_from_slice(mark.encode_utf8(&mut four).as_bytes());
            }
            Folded::Careful => return false,
        }
    }
    true
}

/// Whether a mark may stand after these bytes without being moved.
fn follows(before: &[u8], mark: char) -> bool {
    use unicode_normalization::char::canonical_combining_class;
    let start = before.len().saturating_sub(4);
    let Some(first) = before[start..].iter().rposition(|byte| byte & 0xC0 != 0x80) else { return true };
    let last = std::str::from_utf8(&before[start + first..]).ok().and_then(|last| last.chars().next());
    last.is_none_or(|last| canonical_combining_class(last) <= canonical_combining_class(mark))
}

/// The same by the book, for words whose characters depend on each other.
fn fold_carefully(word: &str, out: &mut Vec<u8>) {
    let kept: String = word.chars().filter(|character| !character.is_ascii_punctuation()).collect();
    let mut four = [0; 4];
    for character in kept.to_lowercase().nfd() {
        out.extend_from_slice(character.encode_utf8(&mut four).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(text: &str, becomes: &str) {
        let seen = Normalized::of(text);
        assert_eq!(seen.text, becomes, "{text:?}");
        let words: Vec<&str> = Words::of(&seen.text, &seen.cut).iter().collect();
        assert_eq!(words, becomes.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
    }

    #[test]
    fn punctuation_goes_and_letters_become_small_and_apart() {
        normalized("", "");
        normalized(" \n\t ", "");
        normalized("...", "");
        normalized("Don't  STOP,\nnow!", "dont stop now");
        normalized("- a - b -", "a b");
        normalized("Ünïcode É", "u\u{308}ni\u{308}code e\u{301}");
        normalized("a\u{a0}B\u{3000}“c”", "a b “c”");
        normalized("a\u{a0}-\u{a0}b", "a b");
        normalized("a\u{1c}b\u{1f}c\u{0}d", "a b c\u{0}d");
        normalized("İstanbul", "i\u{307}stanbul");
        normalized("한국어", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}\u{110b}\u{1165}");
    }

    #[test]
    fn what_depends_on_its_neighbours_is_done_by_the_book() {
        // A sigma that ends a word is another letter, and punctuation is gone before.
        normalized("ΟΔΟΣ ΣΟΦΟΣ'", "οδος σοφος");
        normalized("ΑΣ.Β Σ", "ασβ σ");
        // Marks in the order of their classes: the cedilla (202) before the acute accent (230).
        normalized("a\u{301}\u{327}", "a\u{327}\u{301}");
        normalized("é\u{327}", "e\u{327}\u{301}");
        normalized("שָּׁ", "ש\u{5b8}\u{5bc}\u{5c1}");
    }

    #[test]
    fn lines_know_their_characters_and_words() {
        let lines = |text| {
            let lines = Normalized::of(text).lines;
            lines.iter().map(|line| (line.end, line.characters, line.words)).collect::<Vec<_>>()
        };
        assert_eq!(lines(""), []);
        assert_eq!(lines("\n"), [(1, 1, 0)]);
        assert_eq!(lines("é b\n\n!\nc"), [(5, 4, 2), (6, 5, 2), (8, 7, 2), (9, 8, 3)]);
        assert_eq!(lines("a\r\nb\u{2028}c\n"), [(3, 3, 1), (9, 7, 3)]);
    }

    #[track_caller]
    fn cut(cut: Cut, text: &str, words: &[&str]) {
        assert_eq!(Words::of(text, &cut).iter().collect::<Vec<_>>(), words, "{text:?}");
    }

    #[test]
    fn runs_of_letters_and_runs_of_signs_are_raw_words() {
        let raw = |text, words| cut(Cut::word_punct(text), text, words);
        raw("", &[]);
        raw("  ", &[]);
        raw("Don't stop... _x1", &["Don", "'", "t", "stop", "...", "_x1"]);
        raw("naïve…—漢字²\u{a0}e\u{301}!a\u{1c}b", &["naïve", "…—", "漢字", "²", "e\u{301}", "!", "a", "\u{1c}", "b"]);
        raw("😀a", &["😀", "a"]);
    }

    #[test]
    fn white_space_alone_parts_words() {
        let white = |text, words| cut(Cut::white(text), text, words);
        white("", &[]);
        white(" a-b  c\u{1f}d\u{2003}é ", &["a-b", "c", "d", "é"]);
    }

    #[test]
    fn the_same_word_has_the_same_number() {
        let text = "b a b internationalization a\0 internationalization a internationalizatioN aaaaaaaa aaaaaaaa\0";
        let found = Cut::white(text);
        let distinct = Words::of(text, &found).distinct();
        assert_eq!(distinct.numbers, [0, 1, 0, 2, 3, 2, 1, 4, 5, 6]);
        assert_eq!(distinct.first, [0, 1, 3, 4, 7, 8, 9]);
        assert_eq!(distinct.counts, [2, 2, 2, 1, 1, 1, 1]);
        let numbered: String = (0..5000).map(|number| format!("{} ", number % 1237)).collect();
        let found = Cut::white(&numbered);
        let distinct = Words::of(&numbered, &found).distinct();
        assert_eq!(distinct.first.len(), 1237);
        assert!(distinct.numbers.iter().enumerate().all(|(at, number)| at % 1237 == *number as usize));
    }
}
