//! What Python says of a character: white space, `\w`, `isupper`, `isnumeric`, and what RedPajama-V2's
//! normalisation makes of it.
//!
//! One look at a table in place of several of the Unicode database. The table is made on first use,
//! from the databases of this build; the original ran with Unicode 14, whose characters it has alike.

use std::sync::OnceLock;

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::char::{canonical_combining_class, decompose_canonical};

/// What is known of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits(u32);

/// What normalisation makes of a character: small, then decomposed (NFD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folded {
    /// One character that stands alone.
    One(char),
    /// Several, the first of which stands alone.
    Many(&'static str),
    /// A mark that combines with what is before it, in the order of its class.
    Mark(char),
    /// A syllable of Hangul, of two or three letters.
    Hangul,
    /// What becomes of it depends on its neighbours.
    Careful,
}

// The lowest 21 bits hold a character, or a place in the pool and a length.
const VALUE: u32 = (1 << 21) - 1;
const LENGTH: u32 = 6;
const KIND: u32 = 21;
const ONE: u32 = 0;
const MANY: u32 = 1;
const MARK: u32 = 2;
const HANGUL: u32 = 3;
const CAREFUL: u32 = 4;
const WHITE: u32 = 1 << 24;
const WORD: u32 = 1 << 25;
const UPPER: u32 = 1 << 26;
const LOWER: u32 = 1 << 27;
const TITLE: u32 = 1 << 28;
const NUMERIC: u32 = 1 << 29;
const JOINED: u32 = 1 << 30;

impl Traits {
    /// Of a character.
    #[inline]
    pub fn of(character: char) -> Traits {
        match table().entries.get(character as usize) {
            Some(entry) => Traits(*entry),
            None => Traits(measured(character, &mut String::new())),
        }
    }

    /// White space, as Python's `str.isspace` and the `\s` of its regular expressions.
    #[inline]
    pub fn is_white(self) -> bool {
        self.0 & WHITE != 0
    }

    /// A letter, a digit or `_`: the `\w` of Python's regular expressions.
    #[inline]
    pub fn is_word(self) -> bool {
        self.0 & WORD != 0
    }

    /// A letter, a mark, a digit, or what joins them: the `\w` of Unicode's own regular expressions
    /// (UTS 18), which Python's `regex` has and NLTK with it. Numbers such as `²` are none.
    #[inline]
    pub fn is_joined(self) -> bool {
        self.0 & JOINED != 0
    }

    /// A capital, as Python's `str.isupper` says of it alone.
    #[inline]
    pub fn is_upper(self) -> bool {
        self.0 & UPPER != 0
    }

    /// A small letter, or one that is a capital only in part: a word with it is not all capitals.
    #[inline]
    pub fn is_lower_or_title(self) -> bool {
        self.0 & (LOWER | TITLE) != 0
    }

    /// A digit or another number, as Python's `str.isnumeric` says.
    #[inline]
    pub fn is_numeric(self) -> bool {
        self.0 & NUMERIC != 0
    }

    #[inline]
    pub(crate) fn folded(self) -> Folded {
        let value = self.0 & VALUE;
        match self.0 >> KIND & 7 {
            ONE => char::from_u32(value).map_or(Folded::Careful, Folded::One),
            MANY => {
                let (at, length) = ((value >> LENGTH) as usize, (value & ((1 << LENGTH) - 1)) as usize);
                table().pool.get(at..at + length).map_or(Folded::Careful, Folded::Many)
            }
            MARK => char::from_u32(value).map_or(Folded::Careful, Folded::Mark),
            HANGUL => Folded::Hangul,
            _ => Folded::Careful,
        }
    }
}

/// Writes a syllable of Hangul as its letters.
pub(crate) fn hangul(character: char, out: &mut impl FnMut(char)) {
    decompose_canonical(character, out);
}

/// From here on there are rare ideographs and tags, of which none folds to several.
const TABLED: u32 = 0x3_0000;

struct Table {
    entries: Vec<u32>,
    pool: String,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut pool = String::new();
        // What is no character is never asked for.
        let of = |code| char::from_u32(code).map_or(0, |character| measured(character, &mut pool));
        let entries = (0..TABLED).map(of).collect();
        Table { entries, pool }
    })
}

/// What is known of a character; what it becomes of several is put into the pool.
fn measured(character: char, pool: &mut String) -> u32 {
    use GeneralCategory as C;
    let category = get_general_category(character);
    let white = character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character);
    let number = matches!(category, C::DecimalNumber | C::LetterNumber | C::OtherNumber);
    let letter = matches!(
        category,
        C::UppercaseLetter | C::LowercaseLetter | C::TitlecaseLetter | C::ModifierLetter | C::OtherLetter
    );
    let numeric = number || letter && NUMBERS.binary_search(&u32::from(character)).is_ok();
    let mark = matches!(category, C::NonspacingMark | C::SpacingMark | C::EnclosingMark);
    let joins =
        matches!(category, C::DecimalNumber | C::ConnectorPunctuation) || matches!(character, '\u{200c}' | '\u{200d}');
    let joined = character.is_alphabetic() || mark || joins;
    let mut entry = 0;
    for (flag, holds) in [
        (WHITE, white),
        (WORD, letter || number || character == '_'),
        (UPPER, character.is_uppercase()),
        (LOWER, character.is_lowercase()),
        (TITLE, category == C::TitlecaseLetter),
        (NUMERIC, numeric),
        (JOINED, joined),
    ] {
        entry |= if holds { flag } else { 0 };
    }
    let of_kind = |kind: u32, value: u32| entry | kind << KIND | value;
    if ('\u{ac00}'..='\u{d7a3}').contains(&character) {
        return of_kind(HANGUL, 0);
    }
    // A capital sigma is small in another way at the end of a word.
    if character == 'Σ' {
        return of_kind(CAREFUL, 0);
    }
    let mut folded = String::new();
    for small in character.to_lowercase() {
        decompose_canonical(small, |part| folded.push(part));
    }
    let mut parts = folded.chars();
    let (Some(first), second) = (parts.next(), parts.next()) else { return of_kind(CAREFUL, 0) };
    match (canonical_combining_class(first), second) {
        (0, None) => of_kind(ONE, u32::from(first)),
        (0, Some(_)) => {
            let at = pool.len() as u32;
            if at >= 1 << (KIND - LENGTH) || folded.len() >= 1 << LENGTH {
                return of_kind(CAREFUL, 0);
            }
            pool.push_str(&folded);
            of_kind(MANY, at << LENGTH | folded.len() as u32)
        }
        (_, None) => of_kind(MARK, u32::from(first)),
        (_, Some(_)) => of_kind(CAREFUL, 0),
    }
}

/// Letters that are numbers to Python's `str.isnumeric`, in Unicode 14: ideographs with a value.
#[rustfmt::skip]
const NUMBERS: [u32; 81] = [
    0x3405, 0x3483, 0x382A, 0x3B4D, 0x4E00, 0x4E03, 0x4E07, 0x4E09, 0x4E5D, 0x4E8C, 0x4E94, 0x4E96, 0x4EBF, 0x4EC0,
    0x4EDF, 0x4EE8, 0x4F0D, 0x4F70, 0x5104, 0x5146, 0x5169, 0x516B, 0x516D, 0x5341, 0x5343, 0x5344, 0x5345, 0x534C,
    0x53C1, 0x53C2, 0x53C3, 0x53C4, 0x56DB, 0x58F1, 0x58F9, 0x5E7A, 0x5EFE, 0x5EFF, 0x5F0C, 0x5F0D, 0x5F0E, 0x5F10,
    0x62FE, 0x634C, 0x67D2, 0x6F06, 0x7396, 0x767E, 0x8086, 0x842C, 0x8CAE, 0x8CB3, 0x8D30, 0x9621, 0x9646, 0x964C,
    0x9678, 0x96F6, 0xF96B, 0xF973, 0xF978, 0xF9B2, 0xF9D1, 0xF9D3, 0xF9FD, 0x20001, 0x20064, 0x200E2, 0x20121,
    0x2092A, 0x20983, 0x2098C, 0x2099C, 0x20AEA, 0x20AFD, 0x20B19, 0x22390, 0x22998, 0x23B1B, 0x2626D, 0x2F890,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_what_python_says() {
        let white: Vec<u32> =
            (0..0x11_0000).filter(|code| char::from_u32(*code).is_some_and(|c| Traits::of(c).is_white())).collect();
        // `[c for c in range(0x110000) if chr(c).isspace()]`
        let mut python: Vec<u32> = (0x09..=0x0D).chain(0x1C..=0x20).chain([0x85, 0xA0, 0x1680]).collect();
        python.extend((0x2000..=0x200A).chain([0x2028, 0x2029, 0x202F, 0x205F, 0x3000]));
        assert_eq!(white, python);
        for (character, is) in [
            ('A', "upper word joined"),
            ('ß', "small word joined"),
            ('ǅ', "small word joined"),
            ('Ⅷ', "upper numeric word joined"),
            ('²', "numeric word"),
            ('一', "numeric word joined"),
            ('漢', "word joined"),
            ('_', "word joined"),
            ('‿', "joined"),
            ('\u{301}', "joined"),
            ('\u{200d}', "joined"),
            ('😀', ""),
            ('\u{e0100}', "joined"),
        ] {
            let traits = Traits::of(character);
            let seen = [
                (traits.is_upper(), "upper"),
                (traits.is_lower_or_title(), "small"),
                (traits.is_numeric(), "numeric"),
                (traits.is_word(), "word"),
                (traits.is_joined(), "joined"),
            ];
            let seen: Vec<&str> = seen.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            assert_eq!(seen.join(" "), is, "{character:?}");
        }
    }

    #[test]
    fn a_character_folds_alone_or_with_its_neighbours() {
        let folded = |character| Traits::of(character).folded();
        assert_eq!(folded('Ж'), Folded::One('ж'));
        assert_eq!(folded('漢'), Folded::One('漢'));
        assert_eq!(folded('É'), Folded::Many("e\u{301}"));
        assert_eq!(folded('İ'), Folded::Many("i\u{307}"));
        assert_eq!(folded('\u{301}'), Folded::Mark('\u{301}'));
        assert_eq!(folded('한'), Folded::Hangul);
        assert_eq!(folded('Σ'), Folded::Careful);
        assert_eq!(folded('\u{344}'), Folded::Careful);
    }
}
