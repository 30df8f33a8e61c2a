//! Telephone numbers: those of a form that little else has, and others after a word that says so.

use std::ops::Range;

use super::{continues_after, continues_before, end_of_digits, is_digit};

/// The most digits of a number with its country (ITU-T E.164).
const MOST: usize = 15;
/// The fewest with its country, and without: ours, below which little is a number of somebody's.
const FEWEST: usize = 8;
const FEWEST_LOCAL: usize = 7;

/// The number that begins with the digit at a place, or with what stands before it.
pub fn at(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let groups = Groups::of(bytes, start);
    // Most numbers in a text are short, and alone.
    if groups.digits() < FEWEST_LOCAL {
        return None;
    }
    international(bytes, start, &groups)
        .or_else(|| american(bytes, start))
        .or_else(|| french(bytes, start))
        .or_else(|| british(bytes, start, &groups))
        .or_else(|| after_a_word(bytes, start, &groups))
}

/// Digits in groups, as numbers are written: `44 (0)20 7946 0958`.
struct Groups {
    /// Where each begins and ends.
    places: Vec<Range<usize>>,
}

impl Groups {
    fn of(bytes: &[u8], start: usize) -> Groups {
        let mut places = Vec::new();
        let mut at = start;
        let mut digits = 0;
        loop {
            let end = end_of_digits(bytes, at);
            // The zero of calls inside a country is none of the number's digits with its country.
            let is_trunk =
                !places.is_empty() && &bytes[at..end] == b"0" && bytes[at - 1] == b'(' && bytes.get(end) == Some(&b')');
            digits += if is_trunk { 0 } else { end - at };
            if digits > MOST && !places.is_empty() {
                break;
            }
            if !is_trunk {
                places.push(at..end);
            }
            if digits > MOST {
                break;
            }
            // A separator, or two of which one is a bracket: `) `, ` (`; or ` / ` after what is only an area.
            let gap = bytes[end..].iter().take(3).take_while(|byte| b" -./()".contains(byte)).count();
            let two = &bytes[end..end + gap];
            let area_ends = two == b" / " && digits < FEWEST_LOCAL;
            let fits = area_ends || gap == 1 || (gap == 2 && two.iter().any(|byte| b"()".contains(byte)));
            if !fits || !is_digit(bytes, end + gap) {
                break;
            }
            at = end + gap;
        }
        Groups { places }
    }

    fn digits(&self) -> usize {
        self.places.iter().map(Range::len).sum()
    }

    fn end(&self) -> usize {
        self.places.last().map_or(0, |last| last.end)
    }

    /// The first so many digits, as a number.
    fn first(&self, bytes: &[u8], count: usize) -> u32 {
        let digits = self.places.iter().flat_map(|place| &bytes[place.clone()]);
        digits.take(count).fold(0, |number, digit| 10 * number + u32::from(digit - b'0'))
    }
}

/// `+44 20 7946 0958`, `(+49) 30 123456`.
fn international(bytes: &[u8], start: usize, groups: &Groups) -> Option<Range<usize>> {
    let plus = start.checked_sub(1).filter(|at| bytes[*at] == b'+')?;
    let is_sum = plus > 0 && (bytes[plus - 1].is_ascii_alphanumeric() || b"_+.,=".contains(&bytes[plus - 1]));
    let code = (1..=3).find(|count| CODES.contains(&(groups.first(bytes, *count) as u16)))?;
    // A number goes on as long as its country's do: 12 digits in almost all.
    let mut kept = Groups { places: groups.places.clone() };
    while kept.digits() > 13 && kept.places.len() > 1 {
        kept.places.pop();
    }
    let digits = kept.digits();
    let fits = match groups.first(bytes, 1) {
        1 => digits == 11 && groups.first(bytes, 2) % 10 > 1,
        // In one piece it may be any number with a sign.
        _ if kept.places.len() == 1 => (10..=13).contains(&digits),
        _ => (FEWEST..=13).contains(&digits),
    };
    let varied = (0..digits).any(|place| digit_at(bytes, &kept, place) != digit_at(bytes, &kept, digits - 1));
    (fits && !is_sum && varied && code < digits && !continues_after(bytes, kept.end())).then(|| plus..kept.end())
}

fn digit_at(bytes: &[u8], groups: &Groups, place: usize) -> Option<u8> {
    groups.places.iter().flat_map(|place| &bytes[place.clone()]).nth(place).copied()
}

/// `(212) 736-5000`, `212-736-5000`, `1-212-736-5000`, `212.736.5000`: area and exchange begin with 2
/// to 9 (the North American Numbering Plan).
fn american(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let mut at = start;
    let trunk = bytes[at] == b'1' && matches!(bytes.get(at + 1), Some(b'-' | b' ' | b'.'));
    if trunk {
        at += 2;
    }
    let bracket = if trunk { bytes.get(at) == Some(&b'(') } else { at > 0 && bytes[at - 1] == b'(' };
    let begin = if trunk { start } else { start - usize::from(bracket) };
    at += usize::from(trunk && bracket);
    let group = |at: usize, length: usize| {
        let whole = is_digit(bytes, at) && end_of_digits(bytes, at) == at + length;
        whole.then(|| &bytes[at..at + length])
    };
    let area = group(at, 3)?;
    let (first, exchange_at) = match (bracket, bytes.get(at + 3)?) {
        (true, b')') => (b'-', at + 4 + usize::from(bytes.get(at + 4) == Some(&b' '))),
        (false, separator @ (b'-' | b'.')) => (*separator, at + 4),
        _ => return None,
    };
    let exchange = group(exchange_at, 3)?;
    let second = *bytes.get(exchange_at + 3)?;
    let subscriber = group(exchange_at + 4, 4)?;
    let alike = second == first || (bracket && matches!(second, b'-' | b'.' | b' '));
    let plausible = |three: &[u8]| (b'2'..=b'9').contains(&three[0]) && &three[1..] != b"11";
    // The numbers of films: 555-0100 to 555-0199.
    let fiction = exchange == b"555" && subscriber.starts_with(b"01");
    let end = exchange_at + 8;
    let whole = !continues_before(bytes, begin) && !continues_after(bytes, end);
    (alike && whole && plausible(area) && area[1] != b'9' && plausible(exchange) && !fiction).then_some(begin..end)
}

/// `01 44 96 12 34`: five pairs, the first from 01 to 09.
fn french(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let separator = *bytes.get(start + 2)?;
    let end = start + 14;
    let pairs = bytes.get(start..end)?;
    let is_pair =
        |pair: &[u8]| pair[..2].iter().all(u8::is_ascii_digit) && pair.get(2).is_none_or(|byte| *byte == separator);
    let fits = pairs[0] == b'0' && pairs[1] != b'0' && matches!(separator, b' ' | b'.') && pairs.chunks(3).all(is_pair);
    // A longer row of pairs is something else.
    let goes_on = bytes.get(end) == Some(&separator) && is_digit(bytes, end + 1);
    let began = start > 1 && bytes[start - 1] == separator && bytes[start - 2].is_ascii_digit();
    (fits && !goes_on && !began && !continues_before(bytes, start) && !continues_after(bytes, end))
        .then_some(start..end)
}

/// `020 7946 0958`, `07700 900123`: eleven digits from 01, 02, 03, 07 or 08, the area first.
fn british(bytes: &[u8], start: usize, groups: &Groups) -> Option<Range<usize>> {
    let lengths: Vec<usize> = groups.places.iter().map(Range::len).collect();
    let grouped = matches!(lengths[..], [3, 4, 4] | [4, 3, 4] | [5, 6] | [5, 3, 3]);
    let spaced = groups.places.windows(2).all(|two| two[1].start == two[0].end + 1 && bytes[two[0].end] == b' ');
    let begins = bytes[start] == b'0' && matches!(bytes[start + 1], b'1' | b'2' | b'3' | b'7' | b'8');
    // Ofcom keeps 020 7946 0xxx and others for drama.
    let fiction = groups.first(bytes, 8) == 2_079_460 || groups.first(bytes, 8) == 7_700_900;
    let whole = !continues_before(bytes, start) && !continues_after(bytes, groups.end());
    (grouped && spaced && begins && !fiction && whole).then(|| start..groups.end())
}

/// Any other number after a word that says what it is.
fn after_a_word(bytes: &[u8], start: usize, groups: &Groups) -> Option<Range<usize>> {
    let digits = groups.digits();
    let lengths: Vec<usize> = groups.places.iter().map(Range::len).collect();
    let is_date = matches!(lengths[..], [4, 2, 2] | [2, 2, 4]);
    let whole = !continues_before(bytes, start) && !continues_after(bytes, groups.end());
    if !(FEWEST_LOCAL..=13).contains(&digits) || is_date || !whole {
        return None;
    }
    // Between the word and its number stand few signs: `Tel.: (030) `.
    let before = &bytes[start.saturating_sub(40)..start];
    let signs = before.iter().rev().take_while(|byte| b" .:()#-\t/+".contains(byte)).count();
    let before = &before[..before.len() - signs];
    let before = [&b"\xef\xbc\x9a"[..]].iter().find_map(|colon| before.strip_suffix(*colon)).unwrap_or(before);
    if signs > 6 {
        return None;
    }
    let word_from = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80).count();
    let word = String::from_utf8_lossy(&before[before.len() - word_from..]).to_lowercase();
    let says = WORDS.contains(&word.as_str()) || SUFFIXES.iter().any(|suffix| word.ends_with(suffix));
    let begin = start - usize::from(start > 0 && b"(+".contains(&bytes[start - 1]));
    let varied = (0..digits).any(|place| digit_at(bytes, groups, place) != digit_at(bytes, groups, 0));
    (says && varied).then(|| begin..groups.end())
}

/// Words before a number, in the languages of the slices.
const WORDS: [&str; 33] = [
    "tel",
    "telephone",
    "telefon",
    "téléphone",
    "tél",
    "teléfono",
    "telefono",
    "telefone",
    "telefoon",
    "telefonnummer",
    "phone",
    "phones",
    "fax",
    "telefax",
    "mobile",
    "mob",
    "mobil",
    "móvil",
    "cell",
    "cellphone",
    "cellulare",
    "celular",
    "handy",
    "whatsapp",
    "viber",
    "call",
    "hotline",
    "helpline",
    "ph",
    "тел",
    "телефон",
    "факс",
    "τηλ",
];

/// The same where words are not parted.
const SUFFIXES: [&str; 12] =
    ["电话", "電話", "手机", "手機", "热线", "熱線", "传真", "傳真", "专线", "携帯", "전화", "전화번호"];

/// The codes of countries, from ITU-T's list of E.164.
#[rustfmt::skip]
const CODES: [u16; 212] = [
    1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 64, 65, 66,
    81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98, 211, 212, 213, 216, 218, 220, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 231, 232,
    233, 234, 235, 236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255, 256, 257, 258, 260,
    261, 262, 263, 264, 265, 266, 267, 268, 269, 290, 291, 297, 298, 299, 350, 351, 352, 353, 354, 355, 356, 357, 358, 359, 370, 371, 372,
    373, 374, 375, 376, 377, 378, 379, 380, 381, 382, 383, 385, 386, 387, 389, 420, 421, 423, 500, 501, 502, 503, 504, 505, 506, 507, 508,
    509, 590, 591, 592, 593, 594, 595, 596, 597, 598, 599, 670, 672, 673, 674, 675, 676, 677, 678, 679, 680, 681, 682, 683, 685, 686, 687,
    688, 689, 690, 691, 692, 800, 808, 850, 852, 853, 855, 856, 870, 878, 880, 881, 882, 883, 886, 888, 960, 961, 962, 963, 964, 965, 966,
    967, 968, 970, 971, 972, 973, 974, 975, 976, 977, 979, 992, 993,
];

#[cfg(test)]
mod tests {
    use crate::personal_data::tests::finds;

    #[test]
    fn numbers_of_known_forms_are_found() {
        for number in [
            "+44 117 496 0123",
            "+1 212 736 5001",
            "+1-212-736-5001",
            "+49 (0)30 1234567",
            "+491701234567",
            "+86 20 1234 5678",
            "+33 1 44 96 12 34",
        ] {
            finds(&format!("at {number}, or"), &[&format!("phone: {number}")]);
        }
        for number in
            ["(212) 736-5001", "(212)736-5001", "212-736-5001", "212.736.5001", "1-212-736-5001", "1 (212) 736-5001"]
        {
            finds(&format!("at {number}. Or"), &[&format!("phone: {number}")]);
        }
        for number in ["01 44 96 12 34", "06.12.34.56.78", "0117 496 0123", "01632 960123"] {
            finds(&format!("at {number}!"), &[&format!("phone: {number}")]);
        }
        finds("Tel. +49 (0)6221 / 54-19000.", &["phone: +49 (0)6221 / 54-19000"]);
        finds("at +49 (0)6221 54-19000", &["phone: +49 (0)6221 54-19000"]);
        finds("Tel. 06221 / 548000", &["phone: 06221 / 548000"]);
        finds("+44 117 496 0123 2024", &["phone: +44 117 496 0123"]);
    }

    #[test]
    fn a_word_before_it_says_what_a_number_is() {
        finds("Tel.: 030 1234567", &["phone: 030 1234567"]);
        finds("Telefon (0761) 12 34 56", &["phone: (0761) 12 34 56"]);
        finds("fax 2127365001 or 7654321", &["phone: 2127365001"]);
        finds("服务热线：020-12345678", &["phone: 020-12345678"]);
        finds("call 736-5001", &["phone: 736-5001"]);
        for text in
            ["030 1234567", "2127365001", "736-5001", "tel 2024-01-02", "phone 12", "Phone 5555555", "telling 7654321"]
        {
            finds(text, &[]);
        }
    }

    #[test]
    fn numbers_of_films_and_of_nothing_stay() {
        for text in [
            "212-555-0123 (212) 555-0199 020 7946 0958",
            "112-736-5001 212-136-5001 292-736-5001 211-736-5001 212-736-50011 5-212-736-5001-2 212-736.5001",
            "+1 112 736 5001 +1.2345678 x+4912345678 +20240102 +99999999999 +12 34",
            "01 02 03 04 05 06 07 and 00 11 22 33 44",
            "a 020 7946 09581 0207 94609 58",
        ] {
            finds(text, &[]);
        }
    }
}
