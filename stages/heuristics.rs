//! What the heuristics of Gopher, C4, FineWeb and DCLM share: characters, white space and repeated
//! parts as Python counts them, and the ends of sentences.

use corpus::python::Traits;
use corpus::words::{Distinct, Span};
use unicode_general_category::{GeneralCategory, get_general_category};

/// A part of a whole; nothing of nothing is 0.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Characters of a text: Python's `len`.
pub fn characters(text: &str) -> u64 {
    text.bytes().filter(|byte| byte & 0xC0 != 0x80).count() as u64
}

fn is_white(character: char) -> bool {
    match character.is_ascii() {
        true => matches!(character, '\t'..='\r' | '\u{1c}'..=' '),
        false => Traits::of(character).is_white(),
    }
}

/// Python's `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_white)
}

/// Python's `str.lstrip()`.
pub fn strip_start(text: &str) -> &str {
    text.trim_start_matches(is_white)
}

/// Python's `str.rstrip()`.
pub fn strip_end(text: &str) -> &str {
    text.trim_end_matches(is_white)
}

/// Where a part of a text lies in it.
pub fn place(text: &str, part: &str) -> Span {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    Span { start: start as u32, end: (start + part.len()) as u32 }
}

/// Parts that an earlier part of the text is the same as, and their characters.
pub fn duplicates(text: &str, parts: &[Span]) -> (u64, u64) {
    // Most texts have few lines, and none twice.
    if parts.len() < 2 {
        return (0, 0);
    }
    let distinct = Distinct::of(text, parts);
    let mut found = (0, 0);
    for (first, count) in distinct.first.iter().zip(&distinct.counts).filter(|(_, count)| **count > 1) {
        let again = u64::from(count - 1);
        let Span { start, end } = parts[*first as usize];
        found.0 += again;
        found.1 += again * characters(text.get(start as usize..end as usize).unwrap_or_default());
    }
    found
}

/// Characters that end a sentence in some script: `Sentence_Terminal` of Unicode 15, beside `.`, `!`
/// and `?`, from the first to the last of each row.
#[rustfmt::skip]
const TERMINAL: [(char, char); 82] = [
    ('!', '!'), ('.', '.'), ('?', '?'), ('\u{589}', '\u{589}'), ('\u{61d}', '\u{61f}'), ('\u{6d4}', '\u{6d4}'),
    ('\u{700}', '\u{702}'), ('\u{7f9}', '\u{7f9}'), ('\u{837}', '\u{837}'), ('\u{839}', '\u{839}'),
    ('\u{83d}', '\u{83e}'), ('\u{964}', '\u{965}'), ('\u{104a}', '\u{104b}'), ('\u{1362}', '\u{1362}'),
    ('\u{1367}', '\u{1368}'), ('\u{166e}', '\u{166e}'), ('\u{1735}', '\u{1736}'), ('\u{17d4}', '\u{17d6}'),
    ('\u{17d9}', '\u{17da}'), ('\u{1803}', '\u{1803}'), ('\u{1809}', '\u{1809}'), ('\u{1944}', '\u{1945}'),
    ('\u{1aa8}', '\u{1aab}'), ('\u{1b5a}', '\u{1b5b}'), ('\u{1b5e}', '\u{1b5f}'), ('\u{1b7d}', '\u{1b7e}'),
    ('\u{1c3b}', '\u{1c3c}'), ('\u{1c7e}', '\u{1c7f}'), ('\u{203c}', '\u{203d}'), ('\u{2047}', '\u{2049}'),
    ('\u{2e2e}', '\u{2e2e}'), ('\u{2e3c}', '\u{2e3c}'), ('\u{2e53}', '\u{2e54}'), ('\u{3002}', '\u{3002}'),
    ('\u{a4ff}', '\u{a4ff}'), ('\u{a60e}', '\u{a60f}'), ('\u{a6f3}', '\u{a6f3}'), ('\u{a6f7}', '\u{a6f7}'),
    ('\u{a876}', '\u{a877}'), ('\u{a8ce}', '\u{a8cf}'), ('\u{a92f}', '\u{a92f}'), ('\u{a9c8}', '\u{a9c9}'),
    ('\u{aa5d}', '\u{aa5f}'), ('\u{aaf0}', '\u{aaf1}'), ('\u{abeb}', '\u{abeb}'), ('\u{fe52}', '\u{fe52}'),
    ('\u{fe56}', '\u{fe57}'), ('\u{ff01}', '\u{ff01}'), ('\u{ff0e}', '\u{ff0e}'), ('\u{ff1f}', '\u{ff1f}'),
    ('\u{ff61}', '\u{ff61}'), ('\u{10a56}', '\u{10a57}'), ('\u{10f55}', '\u{10f59}'), ('\u{10f86}', '\u{10f89}'),
    ('\u{11047}', '\u{11048}'), ('\u{110be}', '\u{110c1}'), ('\u{11141}', '\u{11143}'), ('\u{111c5}', '\u{111c6}'),
    ('\u{111cd}', '\u{111cd}'), ('\u{111de}', '\u{111df}'), ('\u{11238}', '\u{11239}'), ('\u{1123b}', '\u{1123c}'),
    ('\u{112a9}', '\u{112a9}'), ('\u{1144b}', '\u{1144c}'), ('\u{115c2}', '\u{115c3}'), ('\u{115c9}', '\u{115d7}'),
    ('\u{11641}', '\u{11642}'), ('\u{1173c}', '\u{1173e}'), ('\u{11944}', '\u{11944}'), ('\u{11946}', '\u{11946}'),
    ('\u{11a42}', '\u{11a43}'), ('\u{11a9b}', '\u{11a9c}'), ('\u{11c41}', '\u{11c42}'), ('\u{11ef7}', '\u{11ef8}'),
    ('\u{11f43}', '\u{11f44}'), ('\u{16a6e}', '\u{16a6f}'), ('\u{16af5}', '\u{16af5}'), ('\u{16b37}', '\u{16b38}'),
    ('\u{16b44}', '\u{16b44}'), ('\u{16e98}', '\u{16e98}'), ('\u{1bc9f}', '\u{1bc9f}'), ('\u{1da88}', '\u{1da88}'),
];

/// Whether a character ends sentences.
pub fn is_terminal(character: char) -> bool {
    match character.is_ascii() {
        true => matches!(character, '.' | '!' | '?'),
        false => TERMINAL.iter().any(|(first, last)| (*first..=*last).contains(&character)),
    }
}

/// Whether a character is a sign to datatrove: ASCII punctuation, controls, what ends sentences, and
/// some more quotes, dashes and wide signs.
pub fn is_sign(character: char) -> bool {
    match character.is_ascii() {
        true => character.is_ascii_punctuation() || character.is_ascii_control() && !matches!(character, '\t' | '\n'),
        false => {
            ('\u{80}'..='\u{9f}').contains(&character)
                || "«´»–—’“”„…∶━►、〈〉《》「」【】％（），１：；～".contains(character)
                || is_terminal(character)
        }
    }
}

/// A letter, as Python's `str.isalpha` says of one character.
pub fn is_letter(character: char) -> bool {
    use GeneralCategory as C;
    match character.is_ascii() {
        true => character.is_ascii_alphabetic(),
        false => matches!(
            get_general_category(character),
            C::UppercaseLetter | C::LowercaseLetter | C::TitlecaseLetter | C::ModifierLetter | C::OtherLetter
        ),
    }
}

fn is_punctuation(character: char) -> bool {
    use GeneralCategory as C;
    match character.is_ascii() {
        true => {
            character.is_ascii_punctuation()
                && !matches!(character, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~')
        }
        false => matches!(
            get_general_category(character),
            C::ConnectorPunctuation
                | C::DashPunctuation
                | C::OpenPunctuation
                | C::ClosePunctuation
                | C::InitialPunctuation
                | C::FinalPunctuation
                | C::OtherPunctuation
        ),
    }
}

/// How many sentences words make: one ends with a word that is a single sign of an end, and with
/// what punctuation follows it. The way of spaCy's `sentencizer`.
pub fn sentences<'w>(words: impl Iterator<Item = &'w str>) -> u64 {
    let (mut count, mut ended) = (0, true);
    let mut first = true;
    for word in words {
        let mut characters = word.chars();
        let ends = characters.next().is_some_and(is_terminal) && characters.next().is_none();
        if ends {
            count += u64::from(first);
            ended = true;
        } else if first || ended && !word.chars().all(is_punctuation) {
            count += 1;
            ended = false;
        }
        first = false;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_as_those_of_spacy() {
        for (text, count) in [
            ("", 0),
            ("Hello there . It is me ! Mr. Smith ?", 3),
            ("Yes ... ok . \" Quote .", 2),
            (". .", 1),
            (". a", 2),
            ("a . $ b", 2),
            ("好 。 好", 2),
        ] {
            assert_eq!(sentences(text.split_whitespace()), count, "{text}");
        }
    }

    #[test]
    fn every_text_has_finite_signals_between_bounds() {
        let long = "x".repeat(1 << 20);
        let signs = "…!?—*#".repeat(2000);
        let lines = "-\n".repeat(4000);
        for text in [
            "",
            " ",
            "\n\n",
            &long,
            &signs,
            &lines,
            "中文没有空格的一段话。第二句。",
            "ภาษาไทยไม่มีช่องว่าง",
            "日本語の文。",
            "مرحبا بك في هذا النص.",
            "😀😃 👩‍👩‍👧 🏳️‍🌈",
            "\0\u{7f}\u{85}",
            "\u{feff}a\u{301}",
            "[[[[[[[",
            "...\r\r\n…",
        ] {
            for stage in ["gopher: {}", "c4: {}", "fineweb: {}", "dclm: {}", "c4_lines: {}", "dclm_lines: {}"] {
                let (document, _) = crate::spec::tests::apply(stage, text, corpus::Meta::default());
                let spec: crate::StageSpec = serde_saphyr::from_str(stage).unwrap();
                for signal in spec.writes() {
                    let value = match document.signals.get(signal.name) {
                        Some(corpus::Signal::Number(value)) => *value,
                        Some(corpus::Signal::Integer(value)) => *value as f64,
                        other => panic!("{}: {other:?}", signal.name),
                    };
                    assert!(value.is_finite() && value >= 0.0, "{} of {text:.40?} is {value}", signal.name);
                    let bounded = signal.name.contains("_frac") && !signal.name.contains("_top_");
                    assert!(!bounded || value <= 1.0, "{} of {text:.40?} is {value}", signal.name);
                }
            }
        }
    }

    #[test]
    fn a_part_that_comes_again_is_a_duplicate() {
        let text = "é\nb\né\né\n\n";
        let parts: Vec<Span> = text.split('\n').map(|line| place(text, line)).collect();
        assert_eq!(duplicates(text, &parts), (3, 2));
        assert_eq!(duplicates("", &[]), (0, 0));
    }
}
