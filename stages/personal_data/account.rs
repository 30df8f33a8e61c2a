//! Numbers with check digits: payment cards and international bank accounts.

use std::ops::Range;

use super::{continues_after, continues_before, is_digit};

/// The card's number that begins with the digit at a place: of a known prefix and length, written in
/// its groups or in one, with Luhn's check digit right.
pub fn card(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    if !(b'2'..=b'6').contains(&bytes[start]) || continues_before(bytes, start) {
        return None;
    }
    let separator = bytes[start..].iter().take(20).find(|byte| !byte.is_ascii_digit()).copied().unwrap_or(0);
    let mut digits: Vec<u8> = Vec::with_capacity(20);
    let mut groups: Vec<usize> = vec![0];
    let mut end = start;
    while let Some(byte) = bytes.get(end) {
        if byte.is_ascii_digit() {
            digits.push(byte - b'0');
            *groups.last_mut()? += 1;
        } else if *byte == separator && matches!(separator, b' ' | b'-') && is_digit(bytes, end + 1) {
            // After a space another number may begin.
            if separator == b' ' && known(&digits) && written(&groups) {
                break;
            }
            groups.push(0);
        } else {
            break;
        }
        end += 1;
        if digits.len() > 19 {
            return None;
        }
    }
    let varied = digits.iter().any(|digit| *digit != digits[0]);
    (known(&digits)
        && written(&groups)
        && luhn(&digits)
        && varied
        && !is_a_test(&digits)
        && !continues_after(bytes, end))
    .then_some(start..end)
}

/// Whether digits are grouped as on cards, or not at all.
fn written(groups: &[usize]) -> bool {
    matches!(groups, [_] | [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 3])
}

/// Whether some issuer has numbers of this beginning and length (ISO 7812's ranges of Visa,
/// Mastercard, American Express, Discover, Diners and JCB).
fn known(digits: &[u8]) -> bool {
    let first = |count: usize| digits.iter().take(count).fold(0u32, |number, digit| 10 * number + u32::from(*digit));
    match digits.len() {
        14 => matches!(first(3), 300..=305 | 309 | 360..=369 | 380..=399),
        15 => matches!(first(2), 34 | 37),
        16 => matches!(first(1), 4) || matches!(first(4), 5100..=5599 | 2221..=2720 | 3528..=3589 | 6011 | 6440..=6599),
        19 => first(1) == 4,
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let doubled = |place: usize, digit: u32| match place % 2 {
        0 => digit,
        _ => 2 * digit - if digit > 4 { 9 } else { 0 },
    };
    digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| doubled(place, u32::from(*digit)))
        .sum::<u32>()
        .is_multiple_of(10)
}

/// Numbers that payment services publish for trying, whose digits are few.
fn is_a_test(digits: &[u8]) -> bool {
    let mut seen = [false; 10];
    digits.iter().for_each(|digit| seen[usize::from(*digit)] = true);
    seen.iter().filter(|seen| **seen).count() <= 4
}

/// The account's number whose check digits begin at a place, after its country's letters.
pub fn iban(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let begin = start.checked_sub(2)?;
    let country: [u8; 2] = bytes[begin..start].try_into().ok()?;
    if !country.iter().all(u8::is_ascii_uppercase) || !is_digit(bytes, start + 1) || continues_before(bytes, begin) {
        return None;
    }
    let length = LENGTHS.split_ascii_whitespace().find_map(|entry| {
        let (name, length) = entry.split_at(2);
        (name.as_bytes() == country).then(|| length.parse::<usize>().ok())?
    })?;
    let mut signs: Vec<u8> = Vec::with_capacity(length);
    let mut end = begin;
    while signs.len() < length {
        let byte = *bytes.get(end)?;
        if byte.is_ascii_uppercase() || byte.is_ascii_digit() {
            signs.push(byte);
        } else if byte != b' ' || !signs.len().is_multiple_of(4) {
            return None;
        }
        end += 1;
    }
    let moved = signs[4..].iter().chain(&signs[..4]);
    let rest = moved.fold(0u32, |rest, sign| match sign {
        b'0'..=b'9' => (10 * rest + u32::from(sign - b'0')) % 97,
        letter => (100 * rest + u32::from(letter - b'A') + 10) % 97,
    });
    (rest == 1 && !continues_after(bytes, end)).then_some(begin..end)
}

/// How long the numbers of a country are, from SWIFT's registry of IBANs.
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 \
    FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 \
    MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 \
    SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

#[cfg(test)]
mod tests {
    use crate::personal_data::tests::finds;

    /// A number of our own making, with its check digit.
    fn checked(head: &str) -> String {
        let with = |digit: u8| format!("{head}{digit}");
        let right = (0..10).find(|digit| {
            let digits: Vec<u8> = with(*digit).bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
            super::luhn(&digits)
        });
        with(right.unwrap())
    }

    #[test]
    fn cards_have_a_known_beginning_their_groups_and_their_check_digit() {
        for head in
            ["4539 1488 0343 646", "4539-1488-0343-646", "453914880343646", "3714 496353 9843", "5200 8282 3718 293"]
        {
            let number = checked(head);
            finds(&format!("card {number}, thanks"), &[&format!("card: {number}")]);
            // Another last digit is wrong.
            let wrong = format!("{}{}", head, (number.as_bytes()[number.len() - 1] - b'0' + 1) % 10);
            finds(&format!("card {wrong}"), &[]);
        }
        let number = checked("4539 1488 0343 646");
        finds(&format!("{number} 2027"), &[&format!("card: {number}")]);
    }

    #[test]
    fn digits_of_something_else_are_no_card() {
        let number = checked("453914880343646");
        for text in [
            format!("0.{number}"),
            format!("id_{number}"),
            format!("?id={number}"),
            format!("/p/{number}.html"),
            format!("{number}99"),
            format!("a{number}"),
            "4111 1111 1111 1111".to_owned(),
            "4242424242424242".to_owned(),
            "0000 0000 0000 0000".to_owned(),
            checked("978316148410"),
            checked("160000000012345"),
            checked("4539 14880343 646"),
        ] {
            finds(&text, &[]);
        }
    }

    #[test]
    fn ibans_have_their_length_and_check_digits() {
        // The registry's own kind of example.
        finds("IBAN: DE75 5121 0800 1245 1261 99.", &["iban: DE75 5121 0800 1245 1261 99"]);
        finds("DE75512108001245126199", &["iban: DE75512108001245126199"]);
        for text in [
            "DE76512108001245126199",
            "DE7551210800124512619",
            "DE755121080012451261990",
            "xDE75512108001245126199",
            "de75512108001245126199",
            "ZZ75512108001245126199",
        ] {
            finds(text, &[]);
        }
    }
}
