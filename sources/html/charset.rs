//! In which encoding a page is written.
//!
//! The order is a browser's (a mark of byte order, the header, a `<meta>` among the first bytes,
//! a guess), but for two lies that are common: bytes that are UTF-8 are read as UTF-8 whatever was
//! said, and what was called UTF-8 and is not is guessed.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

/// Bytes that are searched for a `<meta>`: the standard says 1024, real pages put it later.
const PRESCAN: usize = 8 << 10;

/// Bytes that a guess is made from.
const GUESS: usize = 256 << 10;

/// Characters beyond ASCII that valid UTF-8 must have before it overrules what was said: a short
/// text in another encoding may be UTF-8 by chance.
const CERTAIN: usize = 3;

/// The characters of a body and the encoding's name.
pub fn decode(body: &[u8], label: Option<&str>, url: &str) -> (String, &'static str) {
    if let Some((encoding, mark)) = Encoding::for_bom(body) {
        return read(encoding, &body[mark..]);
    }
    if let Some(encoding) = utf16(&body[..body.len().min(1024)]) {
        return read(encoding, body);
    }
    let said = label.and_then(known).or_else(|| meta(&body[..body.len().min(PRESCAN)]));
    let (valid, beyond) = utf8(body);
    if valid && (beyond >= CERTAIN || said.is_none() || said == Some(UTF_8)) && !has_escapes(body, said) {
        return read(UTF_8, body);
    }
    match said {
        Some(encoding) if encoding != UTF_8 => read(encoding, body),
        Some(encoding) => {
            let (text, name) = read(encoding, body);
            // A few stray bytes are damage; text in another encoding is hardly ever UTF-8.
            let wrong = text.chars().filter(|letter| *letter == char::REPLACEMENT_CHARACTER).count();
            let right = text.chars().filter(|letter| !letter.is_ascii()).count() - wrong;
            if wrong > right { read(guess(body, url), body) } else { (text, name) }
        }
        None => read(guess(body, url), body),
    }
}

/// An encoding that can be read: `replacement` stands for those that browsers refuse.
fn known(label: &str) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label.trim().as_bytes())?;
    (encoding != REPLACEMENT && encoding != X_USER_DEFINED).then_some(encoding)
}

/// UTF-16 without a mark: every second byte of a page's first tags is NUL.
pub fn utf16(head: &[u8]) -> Option<&'static Encoding> {
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let half = head.len() / 2;
    if half < 8 {
        return None;
    }
    if odd * 10 > half * 7 && even * 20 < half {
        return Some(UTF_16LE);
    }
    (even * 10 > half * 7 && odd * 20 < half).then_some(UTF_16BE)
}

fn read(encoding: &'static Encoding, body: &[u8]) -> (String, &'static str) {
    let (text, _) = encoding.decode_without_bom_handling(body);
    (text.into_owned(), encoding.name())
}

/// Whether the bytes are UTF-8, but for a last character that is cut, and how many bytes are
/// beyond ASCII.
fn utf8(body: &[u8]) -> (bool, usize) {
    let valid = match std::str::from_utf8(body) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    (valid, if valid { body.iter().filter(|byte| **byte >= 0xc0).count() } else { 0 })
}

/// ISO-2022-JP is ASCII in bytes and says its characters in escapes.
fn has_escapes(body: &[u8], said: Option<&'static Encoding>) -> bool {
    said == Some(encoding_rs::ISO_2022_JP) && memchr::memchr(0x1b, body).is_some()
}

fn guess(body: &[u8], url: &str) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&body[..body.len().min(GUESS)], body.len() <= GUESS);
    detector.guess(top_level_domain(url).as_deref().map(str::as_bytes), Utf8Detection::Deny)
}

/// `jp` of `https://a.example.jp:80/b`.
fn top_level_domain(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let host = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?.split(':').next()?;
    let domain = host.trim_end_matches('.').rsplit('.').next()?.to_ascii_lowercase();
    // The detector takes letters and hyphens, and refuses loudly what is no domain.
    (!domain.is_empty() && domain.len() < 64 && domain.bytes().all(|letter| letter.is_ascii_lowercase()))
        .then_some(domain)
}

/// The encoding that a `<meta>` names among the first bytes, read as the standard's prescan does:
/// comments are skipped, attributes may be quoted or not, and UTF-16 means UTF-8 there.
fn meta(head: &[u8]) -> Option<&'static Encoding> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'<', &head[at..]) {
        at += found;
        let rest = &head[at..];
        if rest.starts_with(b"<!--") {
            at += memchr::memmem::find(rest, b"-->")? + 3;
            continue;
        }
        let is_meta = rest.len() > 6 && rest[1..5].eq_ignore_ascii_case(b"meta") && !rest[5].is_ascii_alphanumeric();
        let is_xml = rest.len() > 6 && rest.starts_with(b"<?xml") && rest[5].is_ascii_whitespace();
        at += 1;
        if !is_meta && !is_xml {
            continue;
        }
        let end = memchr::memchr(b'>', rest).unwrap_or(rest.len());
        let tag = String::from_utf8_lossy(&rest[5..end]).to_ascii_lowercase();
        let label = if is_xml { value_of(&tag, "encoding") } else { value_of(&tag, "charset") };
        let encoding = label.and_then(known);
        if let Some(encoding) = encoding {
            return Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding });
        }
    }
    None
}

/// What follows `name=` in a tag, also inside another attribute's value, where `http-equiv` puts
/// it.
fn value_of<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag;
    loop {
        let at = rest.find(name)?;
        rest = rest[at + name.len()..].trim_start();
        let Some(value) = rest.strip_prefix('=') else { continue };
        let value = value.trim_start().trim_start_matches(['"', '\'']);
        let end = value.find(|letter: char| matches!(letter, '"' | '\'' | ';' | '/' | '?') || letter.is_whitespace());
        return Some(&value[..end.unwrap_or(value.len())]);
    }
}
