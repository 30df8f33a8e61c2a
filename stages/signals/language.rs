//! Signals of natural language: how words, sentences and lines look.

use corpus::python::Traits;
use corpus::words::{Split, Words};
use corpus::{Document, Signal};
use memchr::{memchr_iter, memmem};

use super::{Found, share};

pub(super) fn measure(document: &Document, found: &mut Found<'_>) {
    let text = document.text();
    let raw = document.words(Split::WordPunct);
    let words = document.words(Split::Normalized);
    let seen = Raw::of(text, raw);

    found.number("rps_doc_frac_all_caps_words", share(seen.capitals as f64, raw.len()));
    let lines = document.newline_lines();
    if found.asks("rps_doc_frac_lines_end_with_ellipsis") {
        let mut start = 0;
        let ellipses = lines.iter().filter(|line| {
            let line = super::lines::stripped(&text[start..line.end as usize], &mut start);
            line.ends_with("...") || line.ends_with('…')
        });
        let ellipses = ellipses.count();
        found.number("rps_doc_frac_lines_end_with_ellipsis", share(ellipses as f64, lines.len()));
    }
    found.number("rps_doc_frac_no_alph_words", share(seen.letters as f64, raw.len()).map(|letters| 1.0 - letters));
    if found.asks("rps_doc_frac_unique_words") {
        found.number("rps_doc_frac_unique_words", share(words.distinct().first.len() as f64, words.len()));
    }
    if found.asks("rps_doc_mean_word_length") {
        found.number("rps_doc_mean_word_length", share(characters(words) as f64, words.len()));
    }
    found.number("rps_doc_num_sentences", Some(seen.sentences as f64));
    if found.asks("rps_doc_symbol_to_word_ratio") {
        let bytes = text.as_bytes();
        let symbols = memchr_iter(b'#', bytes).count()
            + memmem::find_iter(bytes, "...").count()
            + memmem::find_iter(bytes, "…").count();
        found.number("rps_doc_symbol_to_word_ratio", share(symbols as f64, raw.len()));
    }
    if found.asks("rps_doc_unigram_entropy") {
        found.number("rps_doc_unigram_entropy", entropy(words));
    }
    found.set("rps_doc_word_count", Signal::Integer(words.len() as i64));
}

/// Characters of all words, without the spaces between them.
pub(super) fn characters(words: Words<'_>) -> usize {
    let all = words.text().bytes().filter(|byte| byte & 0xC0 != 0x80).count();
    (all + 1).saturating_sub(words.len().max(1))
}

/// The entropy of words in nats, summed up in the order in which words are first seen.
fn entropy(words: Words<'_>) -> Option<f64> {
    if words.is_empty() {
        return None;
    }
    let whole = words.len() as f64;
    let of = |count: u32| {
        let share = f64::from(count) / whole;
        -share * share.ln()
    };
    // Most words are there a few times: their parts are worked out once.
    let few: [f64; 16] = std::array::from_fn(|count| if count == 0 { 0.0 } else { of(count as u32) });
    let counts = &words.distinct().counts;
    Some(counts.iter().map(|count| few.get(*count as usize).copied().unwrap_or_else(|| of(*count))).sum())
}

/// What raw words are like.
#[derive(Default)]
struct Raw {
    /// Words in capitals.
    capitals: usize,
    /// Words with a letter from a to z.
    letters: usize,
    /// Sentences: a run from a letter up to `.`, `!` or `?`.
    sentences: usize,
}

const UPPER: u8 = 1;
const LOWER: u8 = 2;
const WORD: u8 = 4;
const END: u8 = 8;
const BEYOND: u8 = 16;

static MARKS: [u8; 256] = marks();

const fn marks() -> [u8; 256] {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        marks[byte] = match byte as u8 {
            b'A'..=b'Z' => UPPER | WORD,
            b'a'..=b'z' => LOWER | WORD,
            b'0'..=b'9' | b'_' => WORD,
            b'.' | b'!' | b'?' => END,
            0x80.. => BEYOND,
            _ => 0,
        };
        byte += 1;
    }
    marks
}

impl Raw {
    fn of(text: &str, words: Words<'_>) -> Raw {
        let bytes = text.as_bytes();
        let mut seen = Raw::default();
        // Whether the next letter begins a sentence.
        let mut between = true;
        for span in words.spans() {
            let word = &bytes[span.start as usize..span.end as usize];
            let Some((first, rest)) = word.split_first() else { continue };
            let first = MARKS[usize::from(*first)];
            // A word that begins with a letter of ASCII has no sign in it, and most are told by one or two.
            if first & (UPPER | LOWER) != 0 {
                seen.letters += 1;
                seen.sentences += usize::from(between);
                between = false;
                if first == UPPER | WORD {
                    let marks = rest.iter().map(|byte| MARKS[usize::from(*byte)]);
                    seen.capitals += match marks.into_iter().find(|marks| marks & (LOWER | BEYOND) != 0) {
                        None => 1,
                        Some(marks) if marks & LOWER != 0 => 0,
                        Some(_) => usize::from(is_upper(&text[span.start as usize..span.end as usize])),
                    };
                }
                continue;
            }
            let marks = word.iter().fold(0, |marks, byte| marks | MARKS[usize::from(*byte)]);
            seen.letters += usize::from(marks & (UPPER | LOWER) != 0);
            if marks & BEYOND != 0 {
                let word = &text[span.start as usize..span.end as usize];
                seen.capitals += usize::from(is_upper(word));
                // A mark alone begins no sentence, and signs may stand beside a letter that is none here.
                for character in word.chars() {
                    match character {
                        '.' | '!' | '?' => between = true,
                        _ if between && Traits::of(character).is_word() => {
                            between = false;
                            seen.sentences += 1;
                        }
                        _ => {}
                    }
                }
                continue;
            }
            seen.capitals += usize::from(marks & (UPPER | LOWER) == UPPER);
            if marks & WORD != 0 {
                seen.sentences += usize::from(between);
                between = false;
            }
            // A run of signs has no letters.
            between |= marks & END != 0;
        }
        seen
    }
}

/// Python's `str.isupper`: a capital, and no small letter.
fn is_upper(word: &str) -> bool {
    let mut upper = false;
    for character in word.chars() {
        let traits = Traits::of(character);
        if traits.is_lower_or_title() {
            return false;
        }
        upper |= traits.is_upper();
    }
    upper
}
