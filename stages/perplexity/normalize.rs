//! cc_net's preparation of a text for its language models: small letters, without accents, every digit
//! a 0, punctuation in ASCII, no control characters.

use std::sync::OnceLock;

use corpus::python::Traits;
use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, decompose_canonical};

/// What cc_net writes for punctuation of others than ASCII. (Its list has a 34th, the wide digit one,
/// which is a 0 by then.)
#[rustfmt::skip]
const PUNCTUATION: [(char, &str); 33] = [
    ('，', ","), ('。', "."), ('、', ","), ('„', "\""), ('”', "\""), ('“', "\""), ('«', "\""), ('»', "\""), ('」', "\""),
    ('「', "\""), ('《', "\""), ('》', "\""), ('´', "'"), ('∶', ":"), ('：', ":"), ('？', "?"), ('！', "!"), ('（', "("),
    ('）', ")"), ('；', ";"), ('–', "-"), ('—', " - "), ('．', ". "), ('～', "~"), ('’', "'"), ('…', "..."), ('━', "-"),
    ('〈', "<"), ('〉', ">"), ('【', "["), ('】', "]"), ('％', "%"), ('►', "-"),
];

/// Appends a text as cc_net prepares it. Line ends are control characters to it, so that the last word
/// of a line becomes one with the first of the next.
pub fn normalize(text: &str, out: &mut String) {
    let text = text.trim_matches(|character| Traits::of(character).is_white());
    let begun = out.len();
    out.reserve(text.len());
    let table = table();
    for character in text.chars() {
        let becomes = match table.entries.get(character as usize) {
            Some(becomes) => *becomes,
            None => of(character, &mut String::new()),
        };
        match becomes >> KIND {
            ONE => out.extend(char::from_u32(becomes & VALUE)),
            SEVERAL => {
                let (at, length) = ((becomes & VALUE) as usize >> LENGTH, (becomes & ((1 << LENGTH) - 1)) as usize);
                out.push_str(table.pool.get(at..at + length).unwrap_or_default());
            }
            ALONE => one_by_one(character, out),
            _ => {
                // What becomes of a character depends on its neighbours: all of it anew, by the book.
                out.truncate(begun);
                by_the_book(text, out);
                return;
            }
        }
    }
}

/// Each step over the whole text.
fn by_the_book(text: &str, out: &mut String) {
    for character in text.to_lowercase().nfd() {
        last_steps(character, out);
    }
}

/// A character with no regard to its neighbours.
fn one_by_one(character: char, out: &mut String) {
    for small in character.to_lowercase() {
        decompose_canonical(small, |part| last_steps(part, out));
    }
}

/// What follows once characters are small and decomposed.
fn last_steps(character: char, out: &mut String) {
    match get_general_category(character) {
        GeneralCategory::NonspacingMark | GeneralCategory::Control => {}
        GeneralCategory::DecimalNumber => out.push('0'),
        _ => match PUNCTUATION.iter().find(|(known, _)| *known == character) {
            Some((_, becomes)) => out.push_str(becomes),
            None => out.push(character),
        },
    }
}

// What a character becomes: a kind, and a character or a place in the pool with a length.
const KIND: u32 = 28;
const VALUE: u32 = (1 << KIND) - 1;
const LENGTH: u32 = 5;
const ONE: u32 = 0;
const SEVERAL: u32 = 1;
const ALONE: u32 = 2;
const CAREFUL: u32 = 3;

/// From here on there are rare ideographs and tags.
const TABLED: u32 = 0x2_0000;

struct Table {
    entries: Vec<u32>,
    pool: String,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut pool = String::new();
        let entries =
            (0..TABLED).map(|code| char::from_u32(code).map_or(0, |character| of(character, &mut pool))).collect();
        Table { entries, pool }
    })
}

fn of(character: char, pool: &mut String) -> u32 {
    // A capital sigma is small in another way at the end of a word; and marks that stay are put in
    // the order of their classes.
    let mut stays_in_order = character != 'Σ';
    for small in character.to_lowercase() {
        decompose_canonical(small, |part| {
            let stays = get_general_category(part) != GeneralCategory::NonspacingMark;
            stays_in_order &= !stays || canonical_combining_class(part) == 0;
        });
    }
    if !stays_in_order {
        return CAREFUL << KIND;
    }
    let mut becomes = String::new();
    one_by_one(character, &mut becomes);
    let mut parts = becomes.chars();
    if let (Some(one), None) = (parts.next(), parts.next()) {
        return ONE << KIND | u32::from(one);
    }
    // Hangul is decomposed by arithmetic, and what lies past the table has no place in the pool.
    let at = pool.len() as u32;
    if ('\u{ac00}'..='\u{d7a3}').contains(&character) || u32::from(character) >= TABLED || becomes.len() >= 1 << LENGTH
    {
        return ALONE << KIND;
    }
    pool.push_str(&becomes);
    SEVERAL << KIND | at << LENGTH | becomes.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(text: &str, expected: &str) {
        let mut out = "x".to_owned();
        normalize(text, &mut out);
        assert_eq!(out, format!("x{expected}"), "{text:?}");
    }

    #[test]
    fn texts_become_what_cc_net_makes_of_them() {
        becomes("", "");
        becomes(" \t\u{3000}\u{1c}", "");
        becomes("  Ça VA, Élise?\u{a0}", "ca va, elise?");
        becomes("line\nNext\r\nlast\u{85}", "linenextlast");
        becomes("2026, ٣٤ １ ½ ²", "0000, 00 0 ½ ²");
        becomes("«Yes»—no… “ok”．", "\"yes\" - no... \"ok\". ");
        becomes("tab\there", "tabhere");
        becomes("한국 ガ", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8} カ");
        becomes("İstanbul", "istanbul");
        becomes("ΟΔΟΣ ΣΑΣ", "οδος σας");
        // Marks that stay, in the order of their classes.
        becomes("a\u{1d165}\u{302f}", "a\u{1d165}\u{302f}");
        becomes("a\u{302f}\u{1d165}", "a\u{1d165}\u{302f}");
    }

    #[test]
    fn every_character_becomes_what_the_steps_make_of_it() {
        // All of the first planes' marks, letters and punctuation, and some of the many ideographs.
        let codes = (0..0x3400).chain((0x3400..0x11_0000).step_by(61));
        for character in codes.filter_map(char::from_u32) {
            let text = format!("x{character}x");
            let mut expected = String::new();
            by_the_book(&text, &mut expected);
            becomes(&text, &expected);
        }
    }
}
