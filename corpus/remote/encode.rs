//! Percent and date notations that addresses and signatures need.

use std::fmt::Write;

/// Percent-encodes all but what RFC 3986 leaves as it is, and the characters of `also`.
pub(super) fn percent(text: &str, also: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.as_bytes().contains(&byte) {
            out.push(byte as char);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Takes percent-encoding away; what is none stays.
pub(super) fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A moment, in seconds since 1970, as Amazon writes it: `20261124T230000Z`.
pub(super) fn moment(seconds: u64) -> String {
    // Years begin in March, so that the leap day is their last, and 400 of them have 146,097 days.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + late;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[test]
fn names_survive_encoding() {
    assert_eq!(percent("a b/ü*.gz", "/"), "a%20b/%C3%BC%2A.gz");
    assert_eq!(plain("a%20b/%C3%BC%2A.gz"), "a b/ü*.gz");
    assert_eq!(plain("100%"), "100%");
    assert_eq!(plain("%+1"), "%+1");
}

#[test]
fn moments_are_amazon_s() {
    assert_eq!(moment(0), "19700101T000000Z");
    assert_eq!(moment(1_709_210_096), "20240229T123456Z");
}
