//! Words as spaCy's tokenizer cuts English: what datatrove counts for Gopher's and FineWeb's rules.
//!
//! What lies between white space is a word, from which signs are taken at its front and back, one
//! after the other, and which is then parted at some signs within it. A few hundred words are cut in
//! their own way (`don't` is `do` and `n't`), and some keep their signs (`e.g.`, `U.S.`, `:-)`, web
//! addresses). The rules are those of spaCy 3.

use std::collections::HashMap;
use std::sync::OnceLock;

use unicode_general_category::{GeneralCategory, get_general_category};

use crate::python::Traits;
use crate::words::{Span, is_white};

/// Cuts a text.
pub(crate) fn cut(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut cutting =
        Cutting { text, special: special(), words: Vec::with_capacity(bytes.len() / 4 + 4), tail: Vec::new() };
    let mut at = 0;
    while at < bytes.len() {
        if is_white(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        // Letters alone are most words.
        while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
            at += 1;
        }
        let plain = at == bytes.len() || is_white(bytes[at]);
        if plain && !cutting.special.may_have(&bytes[start..at]) {
            cutting.words.push(span(start, at));
            continue;
        }
        while at < bytes.len() && !is_white(bytes[at]) {
            if bytes[at].is_ascii() {
                at += 1;
                continue;
            }
            let Some(character) = text[at..].chars().next() else { break };
            if Traits::of(character).is_white() {
                break;
            }
            at += character.len_utf8();
        }
        match at > start {
            true => cutting.piece(start, at),
            // White space beyond ASCII.
            false => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    cutting.words
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

/// The longest face has so many signs.
const MOST_JOINED: usize = 8;

struct Cutting<'t> {
    text: &'t str,
    special: &'static Special,
    words: Vec<Span>,
    /// What was taken from the back of a piece, the last first.
    tail: Vec<Span>,
}

impl Cutting<'_> {
    /// Cuts what lies between white space.
    fn piece(&mut self, mut start: usize, mut end: usize) {
        let first = self.words.len();
        let is_special = |start: usize, end: usize| self.special.parts(&self.text[start..end]).is_some();
        while start < end && !is_special(start, end) {
            let piece = &self.text[start..end];
            let front = front(piece);
            if front > 0 && is_special(start + front, end) {
                self.words.push(span(start, start + front));
                start += front;
                break;
            }
            let back = back(piece);
            if back > 0 && is_special(start, end - back) {
                self.tail.push(span(end - back, end));
                end -= back;
                break;
            }
            if front == 0 && back == 0 {
                break;
            }
            if front > 0 {
                self.words.push(span(start, start + front));
                start += front;
            }
            if back > 0 && start + back <= end {
                self.tail.push(span(end - back, end));
                end -= back;
            }
        }
        let rest = &self.text[start..end];
        if let Some(parts) = self.special.parts(rest) {
            for part in parts {
                self.words.push(span(start, start + usize::from(*part)));
                start += usize::from(*part);
            }
        } else if is_address(rest) {
            self.words.push(span(start, end));
        } else if start < end {
            self.within(start, end);
        }
        while let Some(last) = self.tail.pop() {
            self.words.push(last);
        }
        if self.words.len() > first + 1 {
            self.join(first);
        }
    }

    /// Joins neighbours that make a special word: `Co` and `.` of `Co.,Ltd`, the signs of a face.
    fn join(&mut self, first: usize) {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for from in first..self.words.len() {
            for to in from + 1..self.words.len().min(from + MOST_JOINED) {
                let (start, end) = (self.words[from].start as usize, self.words[to].end as usize);
                let word = &self.text[start..end];
                if self.special.parts(word).is_some() && has_sign(word) {
                    found.push((from, to));
                }
            }
        }
        // The longest first, then the first of several.
        found.sort_by_key(|(from, to)| (std::cmp::Reverse(to - from), *from));
        let mut joined = vec![0; self.words.len() - first];
        for (from, to) in found {
            let places = &mut joined[from - first..=to - first];
            if places.iter().all(|taken| *taken == 0) {
                places.fill(usize::MAX);
                places[0] = to - from + 1;
            }
        }
        if joined.iter().all(|taken| *taken == 0) {
            return;
        }
        let old = self.words.split_off(first);
        for (at, words) in joined.into_iter().enumerate() {
            match words {
                0 => self.words.push(old[at]),
                usize::MAX => {}
                words => {
                    let mut start = old[at].start as usize;
                    let text = &self.text[start..old[at + words - 1].end as usize];
                    for part in self.special.parts(text).unwrap_or_default() {
                        self.words.push(span(start, start + usize::from(*part)));
                        start += usize::from(*part);
                    }
                }
            }
        }
    }

    /// Parts a word at the signs within it.
    fn within(&mut self, start: usize, end: usize) {
        let piece = &self.text[start..end];
        let (mut from, mut at) = (0, 0);
        let mut before = '\0';
        while let Some(character) = piece[at..].chars().next() {
            let length = match character.is_ascii_alphanumeric() {
                true => 0,
                false => sign_within(piece, at, character, before),
            };
            if length == 0 {
                before = character;
                at += character.len_utf8();
                continue;
            }
            // A sign at the front stays with what follows.
            if at > 0 {
                if at > from {
                    self.words.push(span(start + from, start + at));
                }
                self.words.push(span(start + at, start + at + length));
                from = at + length;
            }
            at += length;
            before = piece[..at].chars().next_back().unwrap_or('\0');
        }
        if from < piece.len() {
            self.words.push(span(start + from, end));
        }
    }
}

/// Whether a word has a sign that would be taken from it, or part it.
fn has_sign(word: &str) -> bool {
    let within =
        |(at, sign): (usize, char)| sign_within(word, at, sign, word[..at].chars().next_back().unwrap_or('\0')) > 0;
    front(word) > 0 || back(word) > 0 || word.char_indices().any(within)
}

/// Bytes of a sign at which a word parts, if there is one at this place.
fn sign_within(piece: &str, at: usize, sign: char, before: char) -> usize {
    let rest = &piece[at..];
    let after = |length: usize| rest[length..].chars().next().unwrap_or('\0');
    if sign == '.' {
        let dots = rest.bytes().take_while(|byte| *byte == b'.').count();
        if dots > 1 {
            return dots;
        }
        let next = after(1);
        return usize::from((is_small(before) || is_quote(before)) && (is_capital(next) || is_quote(next)));
    }
    if sign == '…' || is_icon(sign) {
        return sign.len_utf8();
    }
    if matches!(sign, '+' | '-' | '*' | '^') && before.is_ascii_digit() && {
        let next = after(1);
        next.is_ascii_digit() || next == '-'
    } {
        return 1;
    }
    if sign == ',' {
        return usize::from(is_letter(before) && is_letter(after(1)));
    }
    let follows = is_letter(before) || before.is_ascii_digit();
    if follows {
        for hyphen in ["-", "–", "—", "--", "---", "——", "~"] {
            if rest.starts_with(hyphen) && is_letter(after(hyphen.len())) {
                return hyphen.len();
            }
        }
    }
    usize::from(follows && matches!(sign, ':' | '<' | '>' | '=' | '/') && is_letter(after(1)))
}

/// Bytes of the sign at the front of a piece that is a word of its own.
fn front(piece: &str) -> usize {
    let mut characters = piece.chars();
    let Some(first) = characters.next() else { return 0 };
    if first.is_ascii_alphanumeric() {
        let american =
            matches!(first, 'U' | 'C' | 'A') && ["US$", "C$", "A$"].iter().any(|sign| piece.starts_with(sign));
        return if american { piece.find('$').map_or(0, |at| at + 1) } else { 0 };
    }
    match first {
        '+' => usize::from(!characters.next().is_some_and(|next| next.is_ascii_digit())),
        '.' => match piece.bytes().take_while(|byte| *byte == b'.').count() {
            1 => 0,
            dots => dots,
        },
        '§' | '%' | '=' | '—' | '–' => first.len_utf8(),
        _ if is_punctuation(first) || is_quote(first) || is_currency(first) || is_icon(first) => first.len_utf8(),
        _ => 0,
    }
}

/// Units that part from the number before them, longer ones first.
const UNITS: [&str; 63] = [
    "كم²", "كم³", "جرام", "كيلو", "سنتي", "hPa", "m/s", "km/h", "км/ч", "kmh", "mph", "mbar", "km²", "km³", "dm²",
    "dm³", "cm²", "cm³", "mm²", "mm³", "м/с", "км²", "км³", "мм²", "см²", "см³", "km", "m²", "m³", "dm", "cm", "mm",
    "ha", "µm", "nm", "yd", "in", "ft", "kg", "mg", "µg", "lb", "oz", "Pa", "mb", "MB", "kb", "KB", "gb", "GB", "tb",
    "TB", "км", "см", "мм", "кг", "m", "g", "t", "T", "G", "M", "K",
];

/// Bytes of the sign at the back of a piece that is a word of its own.
fn back(piece: &str) -> usize {
    let mut backwards = piece.chars().rev();
    let Some(last) = backwards.next() else { return 0 };
    let before = backwards.next().unwrap_or('\0');
    if last.is_ascii_alphanumeric() {
        if matches!(last, 's' | 'S') && matches!(before, '\'' | '’') {
            return 1 + before.len_utf8();
        }
        return unit(piece);
    }
    if last == '.' {
        let dots = piece.bytes().rev().take_while(|byte| *byte == b'.').count();
        if dots > 1 {
            return dots;
        }
        let third = backwards.next().unwrap_or('\0');
        let ends = before.is_ascii_digit()
            || is_small(before)
            || matches!(before, '%' | '²' | '-' | '+' | '(' | ')' | '?' | ':')
            || is_punctuation(before)
            || is_quote(before)
            || is_capital(before) && is_capital(third)
            || third == '°' && matches!(before, 'F' | 'f' | 'C' | 'c' | 'K' | 'k');
        return usize::from(ends);
    }
    match last {
        '—' | '–' => last.len_utf8(),
        '…' if before == '…' => 2 * last.len_utf8(),
        '+' | '%' => usize::from(before.is_ascii_digit()),
        _ if is_punctuation(last) || is_quote(last) || is_icon(last) => last.len_utf8(),
        '$' => ["US$", "C$", "A$", "$"].iter().find(|sign| after_digit(piece, sign)).map_or(0, |sign| sign.len()),
        _ if is_currency(last) => {
            if before.is_ascii_digit() {
                last.len_utf8()
            } else {
                0
            }
        }
        _ => unit(piece),
    }
}

fn unit(piece: &str) -> usize {
    // Most words have no digit near their end.
    if !piece.bytes().rev().take(9).any(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    UNITS.iter().find(|unit| after_digit(piece, unit)).map_or(0, |unit| unit.len())
}

fn after_digit(piece: &str, ending: &str) -> bool {
    piece.strip_suffix(ending).is_some_and(|rest| rest.as_bytes().last().is_some_and(u8::is_ascii_digit))
}

fn is_punctuation(c: char) -> bool {
    match c.is_ascii() {
        true => matches!(
            c,
            ',' | ':' | ';' | '!' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '_' | '#' | '*' | '&'
        ),
        false => "…¿؟¡。？！，、；：～·।،۔؛٪".contains(c),
    }
}

fn is_quote(c: char) -> bool {
    match c.is_ascii() {
        true => matches!(c, '\'' | '"' | '`' | ','),
        false => "”“‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧".contains(c),
    }
}

fn is_currency(c: char) -> bool {
    matches!(c, '$' | '£' | '€' | '¥' | '฿' | '﷼' | '₽' | '₴' | '\u{20a0}'..='\u{20bf}')
}

fn is_icon(c: char) -> bool {
    !c.is_ascii() && get_general_category(c) == GeneralCategory::OtherSymbol
}

/// A letter, or one of the signs that stand with the Chinese and Japanese ones in Unicode.
fn is_letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() } else { c.is_alphabetic() || matches!(c, '\u{3001}'..='\u{303f}') }
}

/// A small letter, or one of a script that has no capitals.
fn is_small(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_lowercase() } else { c.is_alphabetic() && !c.is_uppercase() }
}

/// A capital, or a letter of a script that has none.
fn is_capital(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_uppercase() } else { c.is_alphabetic() && !c.is_lowercase() }
}

/// Whether a piece is an address of the web or of mail, which stays whole.
fn is_address(piece: &str) -> bool {
    if !piece.contains('.') {
        return false;
    }
    let scheme = piece
        .find("://")
        .filter(|at| *at >= 2 && piece[..*at].chars().all(|c| Traits::of(c).is_word() || matches!(c, '+' | '-' | '.')));
    [Some(0), scheme.map(|at| at + 3)].into_iter().flatten().any(|start| {
        let rest = &piece[start..];
        is_host(rest) || rest.match_indices('@').any(|(at, _)| at > 0 && is_host(&rest[at + 1..]))
    })
}

/// A name of a host, and what may follow one.
fn is_host(rest: &str) -> bool {
    let in_host =
        |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.' || ('\u{a1}'..='\u{ffff}').contains(&c);
    let end = rest.find(|c| !in_host(c)).unwrap_or(rest.len());
    let (host, mut after) = rest.split_at(end);
    let Some((names, top)) = host.rsplit_once('.') else { return false };
    if top.chars().count() < 2 || !top.chars().all(is_small) {
        return false;
    }
    let edge = |c: Option<char>| c.is_some_and(|c| c != '-' && c != '_' && c != '.');
    if !names.split('.').all(|name| edge(name.chars().next()) && edge(name.chars().next_back())) {
        return false;
    }
    if let Some(port) = after.strip_prefix(':') {
        let digits = port.bytes().take_while(u8::is_ascii_digit).count();
        if !(2..=5).contains(&digits) {
            return false;
        }
        after = &port[digits..];
    }
    after.is_empty() || after.starts_with(['/', '?', '#'])
}

// ---------------------------------------------------------------------------------------------
// Words that are cut in their own way

/// Words with the lengths of their parts.
struct Special {
    words: HashMap<String, Vec<u8>>,
    /// For each first byte the lengths that there are, bit by bit.
    lengths: [u64; 256],
}

impl Special {
    #[inline]
    fn may_have(&self, word: &[u8]) -> bool {
        word.len() < 64 && word.first().is_some_and(|first| self.lengths[usize::from(*first)] >> word.len() & 1 != 0)
    }

    #[inline]
    fn parts(&self, word: &str) -> Option<&[u8]> {
        if !self.may_have(word.as_bytes()) {
            return None;
        }
        self.words.get(word).map(Vec::as_slice)
    }

    /// Adds a word that is the sum of its parts.
    fn add(&mut self, parts: &[&str]) {
        let word = parts.concat();
        if word.len() < 64 {
            self.lengths[usize::from(word.as_bytes()[0])] |= 1 << word.len();
            self.words.insert(word, parts.iter().map(|part| part.len() as u8).collect());
        }
    }

    /// Adds a word and an ending, with a straight apostrophe, a curly one, and none.
    fn ending(&mut self, word: &str, endings: &[&str]) {
        for word in [word.to_owned(), capitalized(word)] {
            for apostrophe in ["'", "’", ""] {
                let endings: Vec<String> = endings.iter().map(|ending| ending.replace('\'', apostrophe)).collect();
                let parts: Vec<&str> =
                    std::iter::once(word.as_str()).chain(endings.iter().map(String::as_str)).collect();
                let whole = parts.concat();
                if !apostrophe.is_empty() || !WORDS.contains(&whole.to_lowercase().as_str()) {
                    self.add(&parts);
                }
            }
        }
    }
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// Words of their own, though they look like two without an apostrophe.
const WORDS: [&str; 8] = ["ill", "its", "hell", "shell", "shed", "were", "well", "whore"];

/// Abbreviations that keep their dot.
const DOTTED: &str = "a.m. Adm. Ak. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Co. co. Colo. Conn. Corp. D.C. Dec. Del. \
    Dr. e.g. E.g. E.G. Feb. Fla. Ga. Gen. Gov. i.e. I.e. I.E. Ia. Id. Ill. Inc. Ind. Jan. Jr. Jul. Jun. Kan. Kans. \
    Ky. La. Ltd. Mar. Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. \
    Nebr. Nev. Nov. Oct. Okla. Ore. p.m. Pa. Ph.D. Prof. Rep. Rev. S.C. Sen. Sep. Sept. St. Tenn. v.s. Va. vs. Wash. \
    Wis.";

/// Words that keep their apostrophe or sign.
const WHOLE: &str = "'Cause 'cause Cause' 'Cos 'cos 'Coz 'coz 'Cuz 'cuz 'bout 'em 'nuff nothin' Nothin' nuthin' Nuthin' ol' Ol' \
    somethin' Somethin' havin' Havin' lovin' Lovin' doin' Doin' goin' Goin' 'Havin' ma'am Ma'am o'clock O'clock \
    and/or w/o 'S 's ’S ’s ‘S ‘s ’Cause ’cause ’Cos ’cos ’Coz ’coz ’Cuz ’cuz ’bout ’em ’nuff nothin’ nuthin’ ol’ somethin’ \
    Somethin’ Nothin’ Nuthin’ Ol’ havin’ lovin’ doin’ goin’ Havin’ Lovin’ Doin’ Goin’ ma’am o’clock 'd 'm 're 've 'll ’d ’m ’re ’ve ’ll C++ a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. \
    v. w. x. y. z. ä. ö. ü.";

/// Faces.
const FACES: &str = r#":) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-;
    :( :-( :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o
    :0 :-0 :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.>
    <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3
    (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>"#;

fn special() -> &'static Special {
    static SPECIAL: OnceLock<Special> = OnceLock::new();
    SPECIAL.get_or_init(|| {
        let mut special = Special { words: HashMap::new(), lengths: [0; 256] };
        for person in ["i", "you", "he", "she", "it", "we", "they"] {
            special.ending(person, &["'ll"]);
            special.ending(person, &["'ll", "'ve"]);
            special.ending(person, &["'d"]);
            special.ending(person, &["'d", "'ve"]);
            match person {
                "i" => special.ending(person, &["'m"]),
                "he" | "she" | "it" => special.ending(person, &["'s"]),
                _ => special.ending(person, &["'re"]),
            }
            if !matches!(person, "he" | "she" | "it") {
                special.ending(person, &["'ve"]);
            }
        }
        special.ending("this", &["'ll"]);
        special.ending("this", &["'d"]);
        special.ending("i", &["'m", "a"]);
        for word in ["who", "what", "when", "where", "why", "how", "there", "that"] {
            for endings in [&["'s"][..], &["'ll"], &["'ll", "'ve"], &["'re"], &["'ve"], &["'d"], &["'d", "'ve"]] {
                special.ending(word, endings);
            }
        }
        for verb in [
            "ca", "can", "could", "do", "does", "did", "had", "may", "might", "must", "need", "ought", "sha", "should",
            "wo", "would",
        ] {
            special.ending(verb, &["n't"]);
            special.ending(verb, &["n't", "'ve"]);
        }
        for verb in ["could", "might", "must", "should", "would"] {
            special.ending(verb, &["'ve"]);
        }
        for verb in ["ai", "are", "is", "was", "were", "have", "has", "dare"] {
            special.ending(verb, &["n't"]);
        }
        for parts in [
            ["can", "not"],
            ["gon", "na"],
            ["got", "ta"],
            ["let", "'s"],
            ["let", "’s"],
            ["c'm", "on"],
            ["c’m", "on"],
            ["y'", "all"],
            ["y’", "all"],
            ["not", "'ve"],
            ["not", "’ve"],
            ["not", "ve"],
        ] {
            special.add(&parts);
            special.add(&[&capitalized(parts[0]), parts[1]]);
        }
        for hour in 1..=12 {
            for half in ["a.m.", "p.m.", "am", "pm"] {
                special.add(&[&hour.to_string(), half]);
            }
        }
        for word in [DOTTED, WHOLE, FACES, "'' ’’ ):"].into_iter().flat_map(str::split_whitespace) {
            special.add(&[word]);
        }
        special
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, words: &[&str]) {
        let seen: Vec<&str> = cut(text).iter().map(|span| &text[span.start as usize..span.end as usize]).collect();
        assert_eq!(seen, words, "{text:?}");
    }

    /// Each row is what spaCy 3.8's `spacy.blank("en")` makes of the text.
    #[test]
    fn words_are_those_of_spacy() {
        check("", &[]);
        check(" \u{a0}\n\u{3000}", &[]);
        check("We walk.", &["We", "walk", "."]);
        check("Don't you see? It's", &["Do", "n't", "you", "see", "?", "It", "'s"]);
        check("it’s \"here\", (there)", &["it", "’s", "\"", "here", "\"", ",", "(", "there", ")"]);
        check("3.5km, e.g. at 10am", &["3.5", "km", ",", "e.g.", "at", "10", "am"]);
        check("10a.m. 13pm", &["10", "a.m.", "13pm"]);
        check("US$5 5€ 5% 100K", &["US$", "5", "5", "€", "5", "%", "100", "K"]);
        check("U.S. USA. Ph.D etc.", &["U.S.", "USA", ".", "Ph", ".", "D", "etc", "."]);
        check("foo.com foo@bar.com ab.Cd", &["foo.com", "foo@bar.com", "ab", ".", "Cd"]);
        check("http://foo.com/a?b=c http://a.b/c?d=e", &["http://foo.com/a?b=c", "http://a.b", "/", "c?d", "=", "e"]);
        check(
            "well-known a--b 1/2 1/b a:b 1:2",
            &["well", "-", "known", "a", "--", "b", "1/2", "1", "/", "b", "a", ":", "b", "1:2"],
        );
        check("32-bit 10-20 -x +5 + ...", &["32", "-", "bit", "10", "-", "20", "-x", "+5", "+", "..."]);
        check("hello:) (x\"): 1878-Mar. im.", &["hello", ":)", "(", "x", "\"", "):", "1878", "-", "Mar.", "i", "m."]);
        check("a……b a®®b", &["a", "…", "…", "b", "a", "®", "®", "b"]);
        check("I'm gonna, cannot; y'all", &["I", "'m", "gon", "na", ",", "can", "not", ";", "y'", "all"]);
        check("中文。没有 空格！", &["中文。没有", "空格", "！"]);
        check("مرحبا، بك؟", &["مرحبا", "،", "بك", "؟"]);
        check("😀😀 ok😀", &["😀", "😀", "ok", "😀"]);
    }

    #[test]
    fn any_text_is_cut_into_what_it_holds() {
        let long = "x".repeat(1 << 20);
        let faces = ":)".repeat(1 << 17);
        let signs = "…’’---:):)\"\"''((([[[)))..,;".repeat(40);
        for text in [
            long.as_str(),
            &faces,
            &signs,
            "\u{feff}\u{200b}",
            "́́",
            "😀.’s",
            "5……",
            "US$",
            "'",
            "://",
            "@.",
            "a.b.@c.dd:",
            "\0\u{1f}",
        ] {
            let spans = cut(text);
            let solid = |text: &str| text.chars().filter(|c| !Traits::of(*c).is_white()).collect::<String>();
            let joined: String = spans.iter().map(|span| &text[span.start as usize..span.end as usize]).collect();
            assert_eq!(joined, solid(text));
            assert!(spans.windows(2).all(|two| two[0].end <= two[1].start));
        }
    }
}
