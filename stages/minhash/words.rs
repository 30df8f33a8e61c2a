//! The words of a text, and its shingles: words that follow each other, as one number.

use unicode_general_category::{GeneralCategory, get_general_category};

use super::mixed;

/// What counts as the same word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// A word in capitals.
    Case,
    /// And one with accents, and any other digit.
    CaseAccentsDigits,
}

/// The most words of a shingle.
pub const MOST_WORDS: usize = 64;

/// An odd factor with as many ones as zeros, from the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// And from the root of three.
const ROOT: u64 = 0xbb67_ae85_84ca_a73b;

/// Calls with the hash of every `width` words that follow each other, as often as they occur; of
/// fewer words in all with that of all of them, of none not at all.
///
/// A word is a run of letters, digits, marks and `_`, in small letters; a character of a script
/// without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) is a word of its own.
pub fn shingles(text: &str, fold: Fold, width: usize, mut call: impl FnMut(u64)) {
    let width = width.clamp(1, MOST_WORDS);
    // The hash of a shingle is a polynomial in `GOLDEN`: a word that comes is added, one that goes is
    // taken off with the power that it has by then.
    let power = (0..width).fold(1u64, |power, _| power.wrapping_mul(GOLDEN));
    let mut leaving = [0u64; MOST_WORDS];
    let mut place = 0;
    let mut words = 0usize;
    let mut rolling = 0u64;
    each_word(text, fold, |word| {
        rolling = rolling.wrapping_mul(GOLDEN).wrapping_add(word).wrapping_sub(leaving[place]);
        leaving[place] = word.wrapping_mul(power);
        place = if place + 1 == width { 0 } else { place + 1 };
        words += 1;
        if words >= width {
            call(spread(rolling));
        }
    });
    if words > 0 && words < width {
        call(spread(rolling));
    }
}

/// All bits of a shingle's hash depend on all of the polynomial's.
#[inline]
fn spread(hash: u64) -> u64 {
    mixed(hash ^ ROOT, GOLDEN)
}

/// What a byte is.
const APART: u8 = 0;
const WORD: u8 = 1;
const FURTHER: u8 = 2;

const KINDS: [u8; 256] = {
    let mut kinds = [APART; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => WORD,
            0x80.. => FURTHER,
            _ => APART,
        };
        byte += 1;
    }
    kinds
};

/// Bytes that are looked at together.
const BLOCK: usize = 64;
/// One in each byte of a number.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Of eight bytes below 0x80, the highest bit of those from `first` to `last`.
#[inline]
fn between(bytes: u64, first: u8, last: u8) -> u64 {
    let from = |least: u8| bytes + ONES * (0x80 - least) as u64;
    from(first) & !from(last + 1) & ONES << 7
}

/// Which of some bytes are in words of ASCII, and whether any are not ASCII: a bit for each.
#[inline]
fn in_words(block: &[u8; BLOCK]) -> (u64, bool) {
    let (eights, _) = block.as_chunks::<8>();
    let (mut words, mut further) = (0, 0);
    for (at, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        further |= eight;
        let low = eight & !(ONES << 7);
        let word = between(low | ONES << 5, b'a', b'z') | between(low, b'0', b'9') | between(low, b'_', b'_');
        // The highest bits of eight bytes, side by side.
        words |= ((word >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
    }
    (words, further & ONES << 7 != 0)
}

/// Where words of ASCII begin and end is found for many bytes at a time and without a branch for each,
/// since lengths of words cannot be foreseen.
fn each_word(text: &str, fold: Fold, mut call: impl FnMut(u64)) {
    let bytes = text.as_bytes();
    let mut letters = String::new();
    // Where the next block begins, and where the word that goes on there began.
    let (mut at, mut open) = (0, None);
    while at < bytes.len() {
        let (words, further) = match bytes[at..].first_chunk() {
            Some(block) => in_words(block),
            None => {
                let mut block = [b' '; BLOCK];
                block[..bytes.len() - at].copy_from_slice(&bytes[at..]);
                in_words(&block)
            }
        };
        if further {
            at = beyond_ascii(text, open.take().unwrap_or(at), at + BLOCK, fold, &mut letters, &mut call);
            continue;
        }
        let before = words << 1 | u64::from(open.is_some());
        let (mut begin, mut end) = (words & !before, before & !words);
        while end != 0 {
            let start = open.take().unwrap_or_else(|| {
                let start = at + begin.trailing_zeros() as usize;
                begin &= begin - 1;
                start
            });
            call(ascii(bytes, start, at + end.trailing_zeros() as usize, fold));
            end &= end - 1;
        }
        if begin != 0 {
            open = Some(at + begin.trailing_zeros() as usize);
        }
        at += BLOCK;
    }
    if let Some(start) = open {
        call(ascii(bytes, start, bytes.len(), fold));
    }
}

/// The words from `at` to the first place from `end` on where none goes on; where that is.
fn beyond_ascii(
    text: &str,
    mut at: usize,
    end: usize,
    fold: Fold,
    letters: &mut String,
    call: &mut impl FnMut(u64),
) -> usize {
    let bytes = text.as_bytes();
    while at < end.min(bytes.len()) {
        match KINDS[usize::from(bytes[at])] {
            APART => at += 1,
            WORD => {
                let start = at;
                while at < bytes.len() && KINDS[usize::from(bytes[at])] == WORD {
                    at += 1;
                }
                // Characters beyond ASCII: the word is looked at again.
                if at < bytes.len() && bytes[at] >= 0x80 {
                    at = of_any_script(text, start, fold, letters, call);
                } else {
                    call(ascii(bytes, start, at, fold));
                }
            }
            _ => at = of_any_script(text, at, fold, letters, call),
        }
    }
    at
}

/// The hash of a word of ASCII alone.
#[inline]
fn ascii(bytes: &[u8], start: usize, end: usize, fold: Fold) -> u64 {
    // Of letters this is the small one; digits have the bit, and of `_` it makes what no word has.
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let mut hash = (end - start) as u64 ^ ROOT;
    let mut at = start;
    while at < end {
        let eight = match bytes.get(at..at + 8) {
            Some(&[a, b, c, d, e, f, g, h]) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => last(&bytes[at..]),
        };
        let bits = 8 * (end - at).min(8) as u32;
        let mut word = (eight | SMALL) & (u64::MAX >> (64 - bits));
        if fold == Fold::CaseAccentsDigits {
            // Of digits the higher half is that of 0; bytes behind the word may be anything.
            word &= !((between(word & !(ONES << 7), b'0', b'9') >> 7) * 0x0f);
        }
        hash = mixed(hash ^ word, GOLDEN);
        at += 8;
    }
    hash
}

/// The hash of a word whose letters are small: that of [`ascii`] where it is ASCII.
fn of(word: &[u8]) -> u64 {
    let mut hash = word.len() as u64 ^ ROOT;
    for eight in word.chunks(8) {
        hash = mixed(hash ^ last(eight), GOLDEN);
    }
    hash
}

/// Up to eight bytes as a number.
fn last(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A character of ASCII as [`ascii`] has it.
fn small(character: char) -> char {
    if character.is_ascii() { (character as u8 | 0x20) as char } else { character }
}

/// The words from `start` to the first character that is in none; where that is.
fn of_any_script(text: &str, start: usize, fold: Fold, letters: &mut String, call: &mut impl FnMut(u64)) -> usize {
    letters.clear();
    let mut end = text.len();
    for (at, character) in text[start..].char_indices() {
        if character.is_ascii() {
            if KINDS[character as usize] != WORD {
                end = start + at;
                break;
            }
            let zero = fold == Fold::CaseAccentsDigits && character.is_ascii_digit();
            letters.push(if zero { '0' } else { small(character) });
            continue;
        }
        let category = || get_general_category(character);
        if is_a_word_itself(character) {
            if !letters.is_empty() {
                call(of(letters.as_bytes()));
                letters.clear();
            }
            let mut buffer = [0; 4];
            call(of(character.encode_utf8(&mut buffer).as_bytes()));
        } else if corpus::text::is_alphanumeric(character) {
            match fold {
                Fold::CaseAccentsDigits if category() == GeneralCategory::DecimalNumber => letters.push('0'),
                _ => letters.extend(character.to_lowercase().map(small)),
            }
        } else if matches!(category(), GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark) {
            if fold == Fold::Case || category() == GeneralCategory::SpacingMark {
                letters.push(character);
            }
        } else {
            end = start + at + character.len_utf8();
            break;
        }
    }
    if !letters.is_empty() {
        call(of(letters.as_bytes()));
    }
    end
}

/// Characters of scripts that write no spaces between words.
fn is_a_word_itself(character: char) -> bool {
    matches!(character as u32,
        0x0E01..=0x0E30 | 0x0E32..=0x0E33 | 0x0E40..=0x0E46 // Thai, but for its marks
        | 0x0E81..=0x0EB0 | 0x0EB2..=0x0EB3 | 0x0EBD..=0x0EC6 // Lao
        | 0x1000..=0x102A | 0x1780..=0x17B3 // Burmese, Khmer
        | 0x3005..=0x3007 | 0x3041..=0x3096 | 0x30A1..=0x30FA // Kana
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF) // Han
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, fold: Fold) -> Vec<u64> {
        let mut words = Vec::new();
        each_word(text, fold, |word| words.push(word));
        words
    }

    fn hashes(text: &str, width: usize) -> Vec<u64> {
        let mut hashes = Vec::new();
        shingles(text, Fold::Case, width, |hash| hashes.push(hash));
        hashes
    }

    #[track_caller]
    fn same(fold: Fold, one: &str, other: &str) {
        assert_eq!(words(one, fold), words(other, fold), "{one:?} {other:?}");
    }

    #[test]
    fn a_word_is_the_same_in_capitals_and_beside_anything() {
        same(Fold::Case, "The red pyjamas.", "(THE)\tred—PYJAMAS");
        same(Fold::Case, "Éclair au chocolat_noir", "éclair, au «Chocolat_Noir»!");
        same(Fold::Case, "ΟΔΟΣ", "οδοσ");
        same(Fold::Case, "internationalisations 1", "INTERNATIONALISATIONS 1");
        same(Fold::CaseAccentsDigits, "Room 101, 2nd", "room 999; 3ND");
        let apart = ["a", "b", "ab", "_", "__", "é", "e", "1", "2", "naïve", "naive", "aaaaaaaa", "aaaaaaaaa"];
        for (at, one) in apart.iter().enumerate() {
            assert_eq!(words(one, Fold::Case).len(), 1, "{one}");
            assert!(apart[..at].iter().all(|other| words(one, Fold::Case) != words(other, Fold::Case)), "{one}");
        }
        assert_eq!(words("", Fold::Case), [0u64; 0]);
        assert_eq!(words(" .,;\n—😀", Fold::Case), [0u64; 0]);
    }

    #[test]
    fn scripts_without_spaces_have_a_word_for_each_character() {
        assert_eq!(words("漢字かな", Fold::Case).len(), 4);
        assert_eq!(words("2020年の夏, so", Fold::Case).len(), 5);
        same(Fold::Case, "漢字", "漢 字");
        // Hindi and Korean have spaces; marks are part of a word.
        assert_eq!(words("हिन्दी में", Fold::Case).len(), 2);
        assert_eq!(words("한국어 문장", Fold::Case).len(), 2);
    }

    #[test]
    fn words_do_not_depend_on_what_follows() {
        let text = "One sentence, of Über-long words: supercalifragilistic 漢字 e\u{301}t\u{e9} end";
        let alone = words(text, Fold::Case);
        for tail in [" ", ".", "—", "\n\n\n\n\n\n\n\n\n\n"] {
            assert_eq!(words(&format!("{text}{tail}"), Fold::Case), alone);
        }
        let mut joined = Vec::new();
        for part in text.split_inclusive(' ') {
            joined.extend(words(part, Fold::Case));
        }
        assert_eq!(joined, alone);
    }

    #[test]
    fn words_are_the_same_at_any_place_of_a_block() {
        for fold in [Fold::Case, Fold::CaseAccentsDigits] {
            let mut letters = String::new();
            for word in ["a", "Zz_19", "eight888", "pneumonoultramicroscopicsilicovolcanoconiosis_and_on_and_on_and_on"]
            {
                let alone = of(word.bytes().map(|byte| small(byte as char) as u8).collect::<Vec<u8>>().as_slice());
                for before in 0..130 {
                    for (left, right) in [(' ', "."), ('@', "["), ('`', "{"), ('/', ":"), ('\u{7f}', "^"), ('—', "é.")]
                    {
                        let text = format!("{}{word}{right} b", String::from(left).repeat(before));
                        let found = words(&text, fold);
                        let mut slow = Vec::new();
                        beyond_ascii(&text, 0, text.len(), fold, &mut letters, &mut |word| slow.push(word));
                        assert_eq!(found, slow, "{text}");
                        assert!(
                            found.len() == 2 && (fold != Fold::Case || right == "é." || found[0] == alone),
                            "{text}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_shingle_is_the_words_that_follow_each_other() {
        let text = "to be or not to be that is the question";
        let parts: Vec<&str> = text.split(' ').collect();
        for width in [1, 2, 3, 5, 9, 10] {
            let each: Vec<u64> = parts.windows(width).map(|window| hashes(&window.join(" "), width)[0]).collect();
            assert_eq!(hashes(text, width), each, "{width}");
        }
        // Fewer words are one shingle; the order of words counts.
        assert_eq!(hashes(text, 11).len(), 1);
        assert_eq!(hashes("", 3), [0u64; 0]);
        assert_ne!(hashes("to be", 2), hashes("be to", 2));
        assert_eq!(hashes("to be or", 2)[0], hashes("to be", 5)[0]);
    }
}
