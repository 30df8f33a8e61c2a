//! Lines and characters, counted as Python counts them: the original's thresholds were set on
//! `str.splitlines()`, `len()` and `str.isalnum()`.

use std::sync::OnceLock;

use unicode_general_category::{GeneralCategory, get_general_category};

/// The lines of a text without their ends, as Python's `str.splitlines` gives them: see [`Lines`].
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if !(0x20..0x80).contains(&bytes[at]) {
                let (ends, width) = line_end(&bytes[at..]);
                if ends {
                    let line = &rest[..at];
                    rest = &rest[at + width..];
                    return Some(line);
                }
            }
            at += 1;
        }
        Some(std::mem::take(&mut rest))
    })
}

/// How long the lines of a text are, in characters, without their line ends.
///
/// A line ends as for Python's `str.splitlines`: at `\n`, `\r`, `\r\n`, vertical tab, form feed,
/// the separators U+001C to U+001E, U+0085, U+2028 and U+2029.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// How many lines.
    pub count: usize,
    /// Characters in the longest.
    pub longest: usize,
    /// Characters of the whole text, line ends included.
    pub characters: usize,
}

impl Lines {
    /// Counts the lines of a text.
    pub fn of(text: &str) -> Lines {
        let bytes = text.as_bytes();
        let mut lines = Lines::default();
        let mut line = 0;
        let mut at = 0;
        // Where the current line began; after the loop, whether anything follows the last end.
        let mut begun = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if (0x20..0x80).contains(&byte) || byte == b'\t' {
                line += 1;
                at += 1;
                continue;
            }
            let (ends, width) = line_end(&bytes[at..]);
            if !ends {
                // Continuation bytes belong to a character that was counted.
                line += usize::from(byte & 0xC0 != 0x80);
                at += 1;
                continue;
            }
            lines.count += 1;
            lines.longest = lines.longest.max(line);
            lines.characters += line + if width == 2 && byte == b'\r' { 2 } else { 1 };
            line = 0;
            at += width;
            begun = at;
        }
        if begun < bytes.len() {
            lines.count += 1;
            lines.longest = lines.longest.max(line);
            lines.characters += line;
        }
        lines
    }

    /// Characters per line, line ends included; 0 for an empty text.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.characters as f64 / self.count as f64 }
    }
}

/// Whether a line ends here, and in how many bytes.
fn line_end(rest: &[u8]) -> (bool, usize) {
    match rest {
        [b'\r', b'\n', ..] => (true, 2),
        [b'\n' | b'\r' | 0x0B | 0x0C | 0x1C..=0x1E, ..] => (true, 1),
        [0xC2, 0x85, ..] => (true, 2),
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => (true, 3),
        _ => (false, 1),
    }
}

/// What kinds of characters a text has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Characters {
    /// Characters (Unicode scalar values).
    pub count: usize,
    /// Letters and digits, as Python's `str.isalnum` counts them.
    pub alphanumeric: usize,
    /// Letters, as Python's `str.isalpha` counts them.
    pub alphabetic: usize,
}

impl Characters {
    /// Letters and digits per character; 0 for an empty text.
    pub fn alphanumeric_share(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.alphanumeric as f64 / self.count as f64 }
    }

    /// Counts the characters of a text.
    pub fn of(text: &str) -> Characters {
        let mut seen = Characters::default();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let run = &bytes[at..bytes.len().min(at + 64)];
            if run.is_ascii() {
                let mut letters = 0u8;
                let mut digits = 0u8;
                for &byte in run {
                    letters += u8::from((byte | 0x20).wrapping_sub(b'a') < 26);
                    digits += u8::from(byte.wrapping_sub(b'0') < 10);
                }
                seen.count += run.len();
                seen.alphabetic += usize::from(letters);
                seen.alphanumeric += usize::from(letters) + usize::from(digits);
                at += run.len();
                continue;
            }
            // Up to the first character boundary at or past the end of the run.
            let mut end = at + run.len();
            while !text.is_char_boundary(end) {
                end += 1;
            }
            for character in text[at..end].chars() {
                seen.count += 1;
                let kind = kind(character);
                seen.alphabetic += usize::from(kind == LETTER);
                seen.alphanumeric += usize::from(kind != OTHER);
            }
            at = end;
        }
        seen
    }
}

/// Whether Python's `str.isalnum` says yes to a character.
pub fn is_alphanumeric(character: char) -> bool {
    kind(character) != OTHER
}

const OTHER: u8 = 0;
const DIGIT: u8 = 1;
const LETTER: u8 = 2;

fn kind(character: char) -> u8 {
    let code = character as usize;
    kinds()[code >> 2] >> ((code & 3) * 2) & 3
}

/// Two bits for each code point: 272 KiB, made on first use.
fn kinds() -> &'static [u8] {
    static KINDS: OnceLock<Vec<u8>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let mut kinds = vec![0u8; 0x11_0000 / 4];
        for character in (0..0x11_0000u32).filter_map(char::from_u32) {
            use GeneralCategory as C;
            let kind = match get_general_category(character) {
                C::UppercaseLetter | C::LowercaseLetter | C::TitlecaseLetter | C::ModifierLetter | C::OtherLetter => {
                    LETTER
                }
                C::DecimalNumber | C::LetterNumber | C::OtherNumber => DIGIT,
                _ => OTHER,
            };
            kinds[character as usize >> 2] |= kind << ((character as usize & 3) * 2);
        }
        kinds
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn lines(text: &str, count: usize, longest: usize, characters: usize) {
        assert_eq!(Lines::of(text), Lines { count, longest, characters }, "{text:?}");
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        lines("", 0, 0, 0);
        lines("one", 1, 3, 3);
        lines("one\n", 1, 3, 4);
        lines("\n\n", 2, 0, 2);
        lines("a\r\nbcd\re", 3, 3, 8);
        lines("a\u{85}b\u{2028}c\u{2029}d", 4, 1, 7);
        lines("a\u{b}b\u{c}c\u{1c}d\u{1d}e\u{1e}f", 6, 1, 11);
        lines("é😀\tx\n", 1, 4, 5);
        lines("a\u{1f}b", 1, 3, 3);
    }

    #[test]
    fn characters_are_python_s() {
        let of = |text: &str| {
            let seen = Characters::of(text);
            (seen.count, seen.alphanumeric, seen.alphabetic)
        };
        assert_eq!(of("ab1 _-"), (6, 3, 2));
        assert_eq!(of("²½漢é😀"), (5, 4, 2));
        let long = "x".repeat(63) + "漢字" + &"1".repeat(70);
        assert_eq!(of(&long), (135, 135, 65));
    }
}
