//! Words of a text as numbers: which words follow each other can be compared without strings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::bloom::mix;

/// What a word is, and which words are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Words {
    /// Runs of letters and digits, whether capital or small; punctuation only parts them. Of scripts that
    /// are written without spaces every character is a word.
    #[default]
    Folded,
    /// The same, but capital and small letters differ and every mark that is no letter, digit or white
    /// space is a word: close to the word boundaries of Unicode (UAX 29) at which DCLM and Dolma cut.
    Exact,
}

/// Letters of which words are made, each mixed into the word's number so far.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn with(word: u64, letter: u32) -> u64 {
    (word.rotate_left(5) ^ u64::from(letter)).wrapping_mul(0x517c_c1b7_2722_0a95)
}

/// Appends a number for every word of a text.
pub(crate) fn of(text: &str, words: Words, numbers: &mut Vec<u64>) {
    let exact = words == Words::Exact;
    let bytes = text.as_bytes();
    // Nothing, or the word that goes on.
    let mut word: Option<u64> = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii() {
            at += 1;
            if byte.is_ascii_alphanumeric() {
                let letter = if exact { *byte } else { byte.to_ascii_lowercase() };
                word = Some(with(word.unwrap_or(SEED), letter.into()));
                continue;
            }
            numbers.extend(word.take().map(mix));
            if exact && byte.is_ascii_punctuation() {
                numbers.push(mix(with(SEED, (*byte).into())));
            }
            continue;
        }
        let Some(character) = text[at..].chars().next() else { break };
        at += character.len_utf8();
        if stands_alone(character) {
            numbers.extend(word.take().map(mix));
            numbers.push(mix(with(SEED, character.into())));
        } else if character.is_alphanumeric() || word.is_some() && is_mark(character) {
            let mut now = word.unwrap_or(SEED);
            match exact {
                true => now = with(now, character.into()),
                false => character.to_lowercase().for_each(|small| now = with(now, small.into())),
            }
            word = Some(now);
        } else {
            numbers.extend(word.take().map(mix));
            if exact && !character.is_whitespace() && !character.is_control() {
                numbers.push(mix(with(SEED, character.into())));
            }
        }
    }
    numbers.extend(word.map(mix));
}

/// Whether a character is of a script that is written without spaces: kana, Han, Thai, Lao, Burmese,
/// Khmer.
fn stands_alone(character: char) -> bool {
    matches!(character,
        '\u{e01}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3041}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn is_mark(character: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark, SpacingMark};
    matches!(get_general_category(character), EnclosingMark | NonspacingMark | SpacingMark)
}

/// Calls for every run of `length` words: with the number of its first word, and one for the run.
pub(crate) fn runs(words: &[u64], length: usize, mut call: impl FnMut(usize, u64)) {
    // A polynomial of the words' numbers, which are as good as random: what leaves is taken off, what
    // comes is added.
    const BASE: u64 = 0xd6e8_feb8_6659_fd93;
    let leaves = BASE.wrapping_pow(length as u32);
    let mut sum = 0u64;
    for (at, word) in words.iter().enumerate() {
        sum = sum.wrapping_mul(BASE).wrapping_add(*word);
        if let Some(gone) = at.checked_sub(length) {
            sum = sum.wrapping_sub(words[gone].wrapping_mul(leaves));
        }
        if at + 1 >= length {
            call(at + 1 - length, mix(sum));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str, words: Words) -> Vec<u64> {
        let mut numbers = Vec::new();
        of(text, words, &mut numbers);
        numbers
    }

    #[test]
    fn the_same_words_have_the_same_numbers() {
        for (a, b, folded, exact) in [
            ("The tide, is out.", "the TIDE is -- out", true, false),
            ("the tide", "thetide", false, false),
            ("Été", "été", true, false),
            ("e\u{301}te", "e te", false, false),
            ("潮が引く", "潮 が 引く", true, true),
            ("潮が引く", "潮が引", false, false),
            ("a b", "a\u{a0}b\n", true, true),
            ("a-b", "a b", true, false),
            ("", " \n\u{0} ", true, true),
            ("😀 a", "a", true, false),
        ] {
            assert_eq!(numbers(a, Words::Folded) == numbers(b, Words::Folded), folded, "{a:?} {b:?}");
            assert_eq!(numbers(a, Words::Exact) == numbers(b, Words::Exact), exact, "{a:?} {b:?}");
        }
        assert_eq!(numbers("It's 12:30, ΟΔΟΣ. 潮が", Words::Folded).len(), 7);
        assert_eq!(numbers("It's 12:30, ΟΔΟΣ. 潮が", Words::Exact).len(), 11);
    }

    #[test]
    fn runs_are_told_apart_wherever_they_stand() {
        let words = numbers("a b c a b c d a b", Words::Folded);
        for length in 1..12 {
            let mut seen = Vec::new();
            runs(&words, length, |at, run| seen.push((at, run)));
            assert_eq!(seen.len(), (words.len() + 1).saturating_sub(length));
            for (at, run) in &seen {
                for (other, same) in &seen {
                    let alike = words[*at..at + length] == words[*other..other + length];
                    assert_eq!(run == same, alike, "{length}: {at} {other}");
                }
            }
        }
    }
}
