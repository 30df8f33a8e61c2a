//! Character references: `&eacute;`, `&#233;`, `&#xE9;`.

use quick_xml::escape::resolve_html5_entity;

/// The longest name, `CounterClockwiseContourIntegral`.
const LONGEST: usize = 31;

/// Names that HTML also takes without their semicolon, as old pages write them.
const BARE: [&str; 106] = [
    "AElig", "AMP", "Aacute", "Acirc", "Agrave", "Aring", "Atilde", "Auml", "COPY", "Ccedil", "ETH", "Eacute", "Ecirc",
    "Egrave", "Euml", "GT", "Iacute", "Icirc", "Igrave", "Iuml", "LT", "Ntilde", "Oacute", "Ocirc", "Ograve", "Oslash",
    "Otilde", "Ouml", "QUOT", "REG", "THORN", "Uacute", "Ucirc", "Ugrave", "Uuml", "Yacute", "aacute", "acirc",
    "acute", "aelig", "agrave", "amp", "aring", "atilde", "auml", "brvbar", "ccedil", "cedil", "cent", "copy",
    "curren", "deg", "divide", "eacute", "ecirc", "egrave", "eth", "euml", "frac12", "frac14", "frac34", "gt",
    "iacute", "icirc", "iexcl", "igrave", "iquest", "iuml", "laquo", "lt", "macr", "micro", "middot", "nbsp", "not",
    "ntilde", "oacute", "ocirc", "ograve", "ordf", "ordm", "oslash", "otilde", "ouml", "para", "plusmn", "pound",
    "quot", "raquo", "reg", "sect", "shy", "sup1", "sup2", "sup3", "szlig", "thorn", "times", "uacute", "ucirc",
    "ugrave", "uml", "uuml", "yacute", "yen", "yuml",
];

/// What stands for the bytes 0x80 to 0x9F in windows-1252, which pages mean by `&#150;`; NUL where
/// it has nothing.
const WINDOWS: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’', '“', '”', '•',
    '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// Appends a text with its references resolved; what is none stays as it is.
pub fn resolve(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = reference(&rest[1..], out);
        if length == 0 {
            out.push('&');
        }
        rest = &rest[1 + length..];
    }
    out.push_str(rest);
}

/// Appends what a reference stands for and returns its length, 0 if it is none.
fn reference(after: &str, out: &mut String) -> usize {
    let bytes = after.as_bytes();
    if bytes.first() == Some(&b'#') {
        return number(bytes, out);
    }
    let length = bytes.iter().take(LONGEST + 1).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let name = &after[..length];
    if bytes.get(length) == Some(&b';')
        && let Some(meaning) = resolve_html5_entity(name)
    {
        out.push_str(meaning);
        return length + 1;
    }
    for end in (2..=length.min(6)).rev() {
        if let Ok(found) = BARE.binary_search(&&name[..end])
            && let Some(meaning) = resolve_html5_entity(BARE[found])
        {
            out.push_str(meaning);
            return end;
        }
    }
    0
}

fn number(bytes: &[u8], out: &mut String) -> usize {
    let hex = matches!(bytes.get(1), Some(b'x' | b'X'));
    let from = if hex { 2 } else { 1 };
    let mut at = from;
    let mut value = 0u32;
    while let Some(digit) = bytes.get(at).and_then(|byte| char::from(*byte).to_digit(if hex { 16 } else { 10 })) {
        value = value.saturating_mul(if hex { 16 } else { 10 }).saturating_add(digit);
        at += 1;
    }
    if at == from {
        return 0;
    }
    let letter = match value {
        0x80..=0x9f => Some(WINDOWS[value as usize - 0x80]).filter(|letter| *letter != '\0'),
        0 => None,
        _ => char::from_u32(value),
    };
    out.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
    at + usize::from(bytes.get(at) == Some(&b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, resolved: &str) {
        let mut out = String::new();
        resolve(text, &mut out);
        assert_eq!(out, resolved, "{text}");
    }

    #[test]
    fn references_become_characters() {
        check("caf&eacute; &#233; &#xE9; &#XE9", "café é é é");
        check("a&nbsp;b &hellip; &CounterClockwiseContourIntegral;", "a\u{a0}b … ∳");
        check("&notin; &notit; &not", "∉ ¬it; ¬");
    }

    #[test]
    fn old_pages_leave_the_semicolon_out() {
        check("&copy 2004 &ampamp; &eacutel&egravee", "© 2004 &amp; élèe");
    }

    #[test]
    fn windows_numbers_mean_what_their_authors_saw() {
        check("1990&#150;2000 &#147;quoted&#148;", "1990–2000 “quoted”");
    }

    #[test]
    fn what_is_no_reference_stays() {
        check("AT&T & &; &# &#x; &nosuch; a&b=c", "AT&T & &; &# &#x; &nosuch; a&b=c");
        check("&#0; &#xD800; &#99999999999999;", "\u{fffd} \u{fffd} \u{fffd}");
    }

    #[test]
    fn bare_names_are_in_order() {
        assert!(BARE.is_sorted());
    }
}
