//! IP addresses of the public internet.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::{continues_after, end_of_digits, is_digit};

/// The public address that begins with the digit at a place.
pub fn at(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    version_4(text, start).or_else(|| match bytes[start] {
        // All that is given out lies in 2000::/3.
        b'2' | b'3' => version_6(text, start),
        _ => None,
    })
}

fn version_4(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut end = start;
    for part in 0..4 {
        if part > 0 {
            if bytes.get(end) != Some(&b'.') || !is_digit(bytes, end + 1) {
                return None;
            }
            end += 1;
        }
        let digits = end;
        end = end_of_digits(bytes, digits);
        if end - digits > 3 || (end - digits > 1 && bytes[digits] == b'0') {
            return None;
        }
    }
    let address: Ipv4Addr = text[start..end].parse().ok()?;
    let is_whole = !continues_after(bytes, end) || is_port(bytes, end);
    (is_whole && !is_name(bytes, start) && !is_range(bytes, end, address) && is_public(address)).then_some(start..end)
}

/// Whether a port follows, or how much of the address is a network's.
fn is_port(bytes: &[u8], end: usize) -> bool {
    matches!(bytes.get(end), Some(b':' | b'/')) && is_digit(bytes, end + 1)
}

/// Whether the number is the version of something, or goes on from something else: `v1.2.3.4`,
/// `Chrome/91.0.44.124`, `version 10.20.30.40`, `lib-1.2.3.4`.
fn is_name(bytes: &[u8], start: usize) -> bool {
    let before = &bytes[..start];
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match before.last() {
        Some(byte) if is_word(byte) => return true,
        Some(b'-' | b'.' | b'/' | b'+' | b'~') if before.len() > 1 && is_word(&before[before.len() - 2]) => {
            return true;
        }
        _ => {}
    }
    let spaces = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b':' | b'=' | b'"' | b'(')).count();
    // A requirement (`pip==23.3.1.2`, `>= 23.3.1.2`), or the section of a standard (`C++17 20.19.3.7`).
    let signs = &before[before.len() - spaces..];
    let before = &before[..before.len() - spaces];
    let year = before.iter().rev().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    let compared = matches!(before.last(), Some(b'>' | b'<' | b'~' | b'!')) && signs.starts_with(b"=");
    // One in quotes is compared by a program.
    if (signs.windows(2).any(|two| two == b"==") && !signs.ends_with(b"\""))
        || compared
        || (year > 0 && before[..before.len() - year].ends_with(b"C++"))
    {
        return true;
    }
    let letters = before.iter().rev().take(12).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = before[before.len() - letters..].to_ascii_lowercase();
    matches!(
        &word[..],
        b"v" | b"ver"
            | b"vers"
            | b"version"
            | b"versions"
            | b"release"
            | b"build"
            | b"firmware"
            | b"fw"
            | b"driver"
            | b"rev"
            | b"revision"
            | b"section"
            | b"chapter"
            | b"oid"
            | b"update"
    )
}

/// Whether a network is meant, not one address in it: `198.18.0.0/15`.
fn is_range(bytes: &[u8], end: usize, address: Ipv4Addr) -> bool {
    bytes.get(end) == Some(&b'/') && is_digit(bytes, end + 1) && address.octets()[3] == 0
}

/// Whether an address may be somebody's: neither of the special ones of RFC 6890, nor a number of
/// sections or a well-known resolver (`8.8.8.8`), which have a digit in each place, nor one that
/// programmers make up (`20.20.20.20`).
fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    let octets = address.octets();
    !special && octets.iter().any(|octet| *octet > 9) && octets.iter().any(|octet| *octet != octets[0])
}

fn version_6(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    if start > 0 && (bytes[start - 1].is_ascii_alphanumeric() || b"_:.-".contains(&bytes[start - 1])) {
        return None;
    }
    let first = bytes.get(start..start + 5)?;
    if !first[..4].iter().all(u8::is_ascii_hexdigit) || first[4] != b':' {
        return None;
    }
    // Eight groups of four digits and their colons are as long as it gets.
    let length = bytes[start..].iter().take(40).take_while(|byte| byte.is_ascii_hexdigit() || **byte == b':').count();
    let mut end = start + length;
    if bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return None;
    }
    // A colon may end the sentence rather than the address.
    while bytes[end - 1] == b':' && !bytes[..end].ends_with(b"::") {
        end -= 1;
    }
    let address: Ipv6Addr = text[start..end].parse().ok()?;
    let [a, b, ..] = address.segments();
    // Documentation, tunnels, what routers keep among themselves; and a prefix alone is a network's.
    let special = matches!((a, b), (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff));
    (!special && !text[start..end].ends_with("::")).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use crate::personal_data::tests::finds;

    #[test]
    fn public_addresses_are_found() {
        finds(
            "From 81.2.69.142, http://81.2.69.143:8080/x (81.2.69.144)",
            &["ip: 81.2.69.142", "ip: 81.2.69.143", "ip: 81.2.69.144"],
        );
        finds("ip=81.2.69.142;", &["ip: 81.2.69.142"]);
        finds("81.2.69.142/32 81.2.69.142.", &["ip: 81.2.69.142", "ip: 81.2.69.142"]);
        finds("at 2a00:1450:4009:80f::200e: it", &["ip: 2a00:1450:4009:80f::200e"]);
        finds("[2606:4700:0:1:2:3:4:5]:80", &["ip: 2606:4700:0:1:2:3:4:5"]);
    }

    #[test]
    fn special_addresses_networks_and_versions_are_nobody_s() {
        for text in [
            "0.1.2.30 10.20.30.40 127.0.0.1 169.254.10.1 172.31.0.1 192.0.2.10 192.168.0.10 198.51.100.10 203.0.113.10 255.255.255.0",
            "8.8.8.8 1.1.1.1 1.2.3.4 20.20.20.20 81.2.69.0/24",
            "256.81.2.69 81.2.69.1420 81.02.69.142 81.2.69 81.2.69.142.7 81.2.69.142-7 81.2.69.142a",
            "v81.2.69.142 version: 81.2.69.142 Driver 81.2.69.142 Opera/81.2.69.142 lib-81.2.69.142",
            "C++17 20.19.3.7 pip==23.3.1.2 pip >= 23.3.1.2 FW 23.4.0.2",
            "2001:db8::1 2001:db8:1:2:3:4:5:6 2002:5102:458e::1 2001::1 fe80::1 ::1 fd00::1 2a00:1450:: 2a00:1450",
            "20:30:40 2012:10:20 2345:0425:2CA1 2a00:::1",
        ] {
            finds(text, &[]);
        }
    }
}
