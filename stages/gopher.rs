//! Writes what Gopher's rules judge.

use corpus::ngrams::Repeats;
use corpus::words::{Span, Split, Words};
use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use memchr::{memchr_iter, memmem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heuristics::{characters, duplicates, is_letter, is_sign, place, share, strip, strip_end, strip_start};
use crate::{Stage, Workspace};

/// Writes what the quality and repetition rules of Gopher's MassiveText judge (Rae et al. 2021, A.1.1).
///
/// Measured as datatrove measures it, whose filters made FineWeb: words are spaCy's for English, signs
/// among them; the word count and the mean length are of words that are not signs alone; lines are
/// Python's, and for repetition what lies between line ends; a share is 0 where there is nothing to
/// share. Of repeated n-grams of five words and more, those count that begin where the one before
/// ended. The rules are English ones (the stop words are), but the rest holds for any language that
/// parts words by spaces. `keep_if: { preset: gopher }` after it judges.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gopher {}

const fn number(name: &'static str, about: &'static str) -> SignalSpec {
    SignalSpec { name, kind: SignalKind::Number, about }
}

const fn integer(name: &'static str, about: &'static str) -> SignalSpec {
    SignalSpec { name, kind: SignalKind::Integer, about }
}

const WRITES: [SignalSpec; 21] = [
    integer("gopher_word_count", "words that are not signs alone"),
    number("gopher_mean_word_length", "their characters, on average"),
    number("gopher_hash_to_word_ratio", "`#` per word, signs included"),
    number("gopher_ellipsis_to_word_ratio", "`...` and `…` per word, signs included"),
    number("gopher_frac_lines_bullet_start", "share of lines that begin with `•` or `-`"),
    number("gopher_frac_lines_ellipsis_end", "share of lines that end with `...` or `…`"),
    number("gopher_frac_alphabetic_words", "share of words with a letter, signs included"),
    integer("gopher_stop_words", "how many of `the be to of and that have with` are there"),
    number("gopher_dup_line_frac", "share of lines that came before"),
    number("gopher_dup_paragraph_frac", "share of paragraphs that came before"),
    number("gopher_dup_line_char_frac", "share of characters in lines that came before"),
    number("gopher_dup_paragraph_char_frac", "share of characters in paragraphs that came before"),
    number("gopher_top_2gram_char_frac", "share of characters in the most frequent 2-gram"),
    number("gopher_top_3gram_char_frac", "share of characters in the most frequent 3-gram"),
    number("gopher_top_4gram_char_frac", "share of characters in the most frequent 4-gram"),
    number("gopher_dup_5gram_char_frac", "share of characters in 5-grams that came before"),
    number("gopher_dup_6gram_char_frac", "share of characters in 6-grams that came before"),
    number("gopher_dup_7gram_char_frac", "share of characters in 7-grams that came before"),
    number("gopher_dup_8gram_char_frac", "share of characters in 8-grams that came before"),
    number("gopher_dup_9gram_char_frac", "share of characters in 9-grams that came before"),
    number("gopher_dup_10gram_char_frac", "share of characters in 10-grams that came before"),
];

/// Where the signals of repetition begin.
const REPETITION: usize = 8;
const NGRAMS: usize = 12;

impl Stage for Gopher {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, workspace: &mut Workspace) -> Verdict {
        let mut values = [const { Signal::Number(0.0) }; WRITES.len()];
        let text = document.text();
        let words = document.words(Split::English);
        let whole = document.lines().characters as u64;
        of_words(text, words, &mut values);
        of_lines(text, &mut values);
        of_repetition(text, whole, &mut values[REPETITION..]);
        of_ngrams(words, whole, &mut workspace.repeats, &mut values[NGRAMS..]);
        for (spec, value) in WRITES.iter().zip(values) {
            document.signals.set(spec.name, value);
        }
        Verdict::Keep
    }
}

const STOP_WORDS: [&str; 8] = ["the", "be", "to", "of", "and", "that", "have", "with"];

fn of_words(text: &str, words: Words<'_>, values: &mut [Signal]) {
    let all = words.len() as u64;
    let distinct = words.distinct();
    let (mut count, mut length, mut alphabetic) = (0, 0, 0);
    let mut stops = 0;
    for (first, times) in distinct.first.iter().zip(&distinct.counts) {
        let (word, times) = (words.get(*first as usize), u64::from(*times));
        let plain = word.bytes().all(|byte| byte.is_ascii_alphabetic());
        if plain || !word.chars().all(is_sign) {
            count += times;
            length += times * characters(word);
        }
        if plain || word.chars().any(is_letter) {
            alphabetic += times;
        }
        stops += i64::from(word.len() <= 4 && STOP_WORDS.contains(&word));
    }
    let bytes = text.as_bytes();
    let ellipses = memmem::find_iter(bytes, "...").count() + memmem::find_iter(bytes, "…").count();
    values[0] = Signal::Integer(count as i64);
    values[1] = Signal::Number(share(length, count));
    values[2] = Signal::Number(share(memchr_iter(b'#', bytes).count() as u64, all));
    values[3] = Signal::Number(share(ellipses as u64, all));
    values[6] = Signal::Number(share(alphabetic, all));
    values[7] = Signal::Integer(stops);
}

fn of_lines(text: &str, values: &mut [Signal]) {
    let (mut lines, mut bullets, mut ellipses) = (0, 0, 0);
    for line in corpus::text::lines(text) {
        lines += 1;
        bullets += u64::from(strip_start(line).starts_with(['•', '-']));
        let end = strip_end(line);
        ellipses += u64::from(end.ends_with("...") || end.ends_with('…'));
    }
    values[4] = Signal::Number(share(bullets, lines));
    values[5] = Signal::Number(share(ellipses, lines));
}

/// Lines and paragraphs that came before. A paragraph ends at two line ends or more.
fn of_repetition(text: &str, whole: u64, values: &mut [Signal]) {
    let mut lines: Vec<Span> = Vec::new();
    let mut paragraphs: Vec<Span> = Vec::new();
    let core = strip(text);
    let core = place(text, core);
    let bytes = text.as_bytes();
    // Where the line and the paragraph begin; a run of line ends is one.
    let (mut line, mut paragraph, mut at) = (0, core.start as usize, 0);
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        let end = at + found;
        let run = bytes[end..].iter().take_while(|byte| **byte == b'\n').count();
        lines.push(Span { start: line as u32, end: end as u32 });
        at = end + run;
        line = at;
        if run > 1 && end >= core.start as usize && at < core.end as usize {
            paragraphs.push(Span { start: paragraph as u32, end: end as u32 });
            paragraph = at;
        }
    }
    lines.push(Span { start: line as u32, end: bytes.len() as u32 });
    paragraphs.push(Span { start: paragraph as u32, end: core.end });
    for (at, parts) in [lines, paragraphs].iter().enumerate() {
        let (again, within) = duplicates(text, parts);
        values[at] = Signal::Number(share(again, parts.len() as u64));
        values[at + 2] = Signal::Number(share(within, whole));
    }
}

fn of_ngrams(words: Words<'_>, whole: u64, repeats: &mut Repeats, values: &mut [Signal]) {
    // Characters of all words up to each.
    let mut lengths = Vec::with_capacity(words.len() + 1);
    let mut sum = 0;
    lengths.push(0);
    for word in words.iter() {
        sum += characters(word);
        lengths.push(sum);
    }
    let within = |at: usize, n: usize| lengths[at + n] - lengths[at];
    repeats.start(words.distinct());
    let mut seen = Vec::new();
    for (value, n) in values.iter_mut().zip(2..) {
        repeats.lengthen();
        let covered = if words.len() < n {
            0
        } else if n < 5 {
            // Words of an n-gram are parted by a space; of n-grams that are all alone the first counts.
            let (at, times) = repeats.most().unwrap_or((0, 1));
            (within(at as usize, n) + n as u64 - 1) * u64::from(times)
        } else {
            seen.clear();
            let (mut covered, mut free) = (0, 0);
            for place in repeats.places().iter().filter(|place| repeats.count(place.number) > 1) {
                let (at, number) = (place.at as usize, place.number as usize);
                if at < free {
                    continue;
                }
                if seen.len() <= number {
                    seen.resize(number + 1, false);
                }
                if seen[number] {
                    covered += within(at, n);
                    free = at + n;
                }
                seen[number] = true;
            }
            covered
        };
        *value = Signal::Number(share(covered, whole));
    }
}

#[cfg(test)]
mod tests {
    use corpus::{DocumentId, Meta};

    use super::*;
    use crate::spec::tests::measured;

    fn signals(text: &str) -> corpus::Signals {
        let id = DocumentId { raw_file: "c4/a".into(), record: 0 };
        let mut document = Document::new(id, text.to_owned(), Meta::default());
        Gopher {}.apply(&mut document, &mut Workspace::default());
        document.signals
    }

    #[track_caller]
    fn says(text: &str, name: &str, value: f64) {
        let seen = match signals(text).get(name) {
            Some(Signal::Integer(value)) => *value as f64,
            Some(Signal::Number(value)) => *value,
            other => panic!("{name}: {other:?}"),
        };
        assert!((seen - value).abs() < 1e-12, "{name} of {text:.60?} is {seen}, not {value}");
    }

    #[test]
    fn words_are_counted_without_signs() {
        says("The cat, the dog.", "gopher_word_count", 4.0);
        says("The cat, the dog.", "gopher_mean_word_length", 3.0);
        says("The cat, the dog.", "gopher_frac_alphabetic_words", 4.0 / 6.0);
        says("# ... a… b", "gopher_hash_to_word_ratio", 1.0 / 5.0);
        says("# ... a… b", "gopher_ellipsis_to_word_ratio", 2.0 / 5.0);
        says("the the The to", "gopher_stop_words", 2.0);
    }

    #[test]
    fn lines_are_pythons() {
        says("- a\r\n • b\u{2028}c\n", "gopher_frac_lines_bullet_start", 2.0 / 3.0);
        says("a...\nb… \nc\nd", "gopher_frac_lines_ellipsis_end", 0.5);
    }

    #[test]
    fn what_came_before_is_counted_once_less() {
        says("ab\ncd\nab\n\nab", "gopher_dup_line_frac", 0.5);
        says("ab\ncd\nab\n\nab", "gopher_dup_line_char_frac", 4.0 / 12.0);
        // A last line end leaves an empty line after it.
        says("ab\nab\n", "gopher_dup_line_frac", 1.0 / 3.0);
        says("\n\nab\ncd\n\n\nab\ncd\n\n", "gopher_dup_paragraph_frac", 0.5);
        says("\n\nab\ncd\n\n\nab\ncd\n\n", "gopher_dup_paragraph_char_frac", 5.0 / 17.0);
    }

    #[test]
    fn ngrams_that_repeat_cover_characters() {
        says("a b c a b", "gopher_top_2gram_char_frac", 2.0 * 3.0 / 9.0);
        says("aa bb cc dd", "gopher_top_3gram_char_frac", 8.0 / 11.0);
        says("aa bb", "gopher_top_3gram_char_frac", 0.0);
        let twice = "a b c d e a b c d e";
        says(twice, "gopher_dup_5gram_char_frac", 5.0 / 19.0);
        says(twice, "gopher_dup_6gram_char_frac", 0.0);
        // The second word begins a 5-gram that came before, and so does the seventh.
        says("x x x x x x x x x x x", "gopher_dup_5gram_char_frac", 10.0 / 21.0);
    }

    #[test]
    fn an_empty_text_has_zeros() {
        let zeros = WRITES.map(|spec| format!("{}=0", spec.name)).join(" ");
        measured("gopher: {}", "", &zeros);
        measured("gopher: {}", " \n \u{3000}", &zeros);
    }
}
