//! An HTTP response as WARC files keep it: status line, headers, body.
//!
//! Crawlers keep bodies as they came, or decoded with the old headers beside them. Common Crawl
//! renames a header that is no longer true (`X-Crawl-Content-Encoding`), others leave it: so a
//! coding is undone where the bytes have it, whatever was said.

use std::borrow::Cow;
use std::io::Read;

use corpus::{Evidence, Reason};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::charset;

/// Bytes of headers that are read: servers refuse beyond 8 to 64 KiB.
const HEADERS: usize = 1 << 20;

/// Codings that are undone one after another: honest servers use one.
const CODINGS: usize = 4;

/// The largest window of a zstd body, as a power of two: RFC 9659 takes 8 MiB.
const ZSTD_WINDOW: u32 = 23;

/// Bytes of a body that are looked at to tell text from other things.
const HEAD: usize = 1024;

/// Why a response is no page, and what that means.
pub const REASONS: [(&str, &str); 6] = [
    ("bad_http", "a response without a status line or without the end of its headers"),
    ("http_status", "a response that says anything but 200 or 203: an error, a redirect, a part"),
    ("not_html", "a response that is neither HTML nor plain text, by what it says of itself or by its bytes"),
    ("bad_content_coding", "a body whose gzip, deflate, brotli or zstd is broken from its start"),
    ("too_large", "the text is longer than `max_document`"),
    ("empty_body", "a response with nothing in its body"),
];

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTML or XHTML.
    Html,
    /// Plain text.
    Plain,
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What it is.
    pub kind: Kind,
    /// Its characters.
    pub text: String,
    /// The name of the encoding that they were read in, as the Encoding Standard spells it.
    pub charset: &'static str,
    /// Whether the body ended before its end: a chunk or a compressed stream that is cut.
    pub cut: bool,
}

/// Why a response is no page.
#[derive(Clone, Debug, PartialEq)]
pub struct Unread {
    /// One of [`REASONS`].
    pub reason: Reason,
    /// What was seen.
    pub evidence: Evidence,
}

fn unread(reason: &'static str, found: impl Into<String>) -> Unread {
    Unread { reason: Reason(reason), evidence: Evidence::Found(found.into()) }
}

/// Decodes a response, the block of a WARC record of type `response`.
///
/// `url` helps to guess an encoding that nobody tells: its top-level domain does. `most` bounds
/// the bytes of the body at every step of decoding.
pub fn page(block: &[u8], url: &str, most: usize) -> Result<Page, Unread> {
    let response = Response::of(block)?;
    if !matches!(response.status, 200 | 203) {
        return Err(unread("http_status", response.status.to_string()));
    }
    let content_type = response.header("content-type");
    let (mime, label) = content_type.as_deref().map_or((String::new(), None), content_type_of);
    let declared = match mime.as_str() {
        "text/html" | "application/xhtml+xml" => Some(Kind::Html),
        "text/plain" => Some(Kind::Plain),
        // Servers that don't know say nothing or one of these; XML may be XHTML.
        "" | "application/octet-stream" | "application/xml" | "text/xml" | "*/*" | "unknown/unknown" => None,
        _ => return Err(unread("not_html", mime)),
    };
    let (body, cut) = response.body(most)?;
    if body.len() > most {
        return Err(Unread { reason: Reason("too_large"), evidence: Evidence::bound(body.len() as f64, most as f64) });
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(unread("empty_body", format!("{} bytes", body.len())));
    }
    if let Some(magic) = foreign(&body) {
        return Err(unread("not_html", magic));
    }
    let (text, charset) = charset::decode(&body, label.as_deref(), url);
    if text.len() > most {
        return Err(Unread { reason: Reason("too_large"), evidence: Evidence::bound(text.len() as f64, most as f64) });
    }
    // A body that begins as a page is one, even where the server calls it plain text.
    let kind = match declared {
        _ if begins_as_html(&text) => Kind::Html,
        Some(kind) => kind,
        None => return Err(unread("not_html", if mime.is_empty() { "no content type" } else { &mime })),
    };
    Ok(Page { kind, text, charset, cut })
}

struct Response<'a> {
    status: u16,
    /// Names in lower case, folded lines joined.
    headers: Vec<(String, Cow<'a, str>)>,
    body: &'a [u8],
}

impl<'a> Response<'a> {
    fn of(block: &'a [u8]) -> Result<Response<'a>, Unread> {
        let mut at = 0;
        let line = next_line(block, &mut at).ok_or_else(|| unread("bad_http", "no line end"))?;
        let status = status_of(line).ok_or_else(|| unread("bad_http", "no status line"))?;
        let mut headers: Vec<(String, Cow<str>)> = Vec::new();
        loop {
            let line = next_line(block, &mut at).ok_or_else(|| unread("bad_http", "no end of headers"))?;
            if line.is_empty() {
                break;
            }
            if at > HEADERS {
                return Err(unread("bad_http", "no end of headers in the first MiB"));
            }
            let line = String::from_utf8_lossy(line);
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = headers.last_mut() {
                    let value = value.to_mut();
                    value.push(' ');
                    value.push_str(line.trim());
                }
                continue;
            }
            // A line without a colon is noise, and servers send it.
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_ascii_lowercase(), Cow::Owned(value.trim().to_owned())));
            }
        }
        Ok(Response { status, headers, body: &block[at..] })
    }

    /// The values of a header, joined by commas as HTTP does.
    fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| &**value).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body with its codings undone, at most one byte longer than `most`, and whether it is
    /// cut.
    fn body(&self, most: usize) -> Result<(Cow<'a, [u8]>, bool), Unread> {
        let mut body = Cow::Borrowed(self.body);
        let mut cut = false;
        if self.header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
            && let Some(chunks) = Chunks::of(self.body)
        {
            cut |= chunks.cut;
            body = Cow::Owned(chunks.bytes);
        }
        let said = self.header("content-encoding").unwrap_or_default().to_ascii_lowercase();
        let mut codings: Vec<&str> = said.split(',').map(str::trim).filter(|coding| !coding.is_empty()).collect();
        if codings.is_empty() && body.starts_with(&[0x1f, 0x8b, 8]) {
            codings.push("gzip");
        }
        for coding in codings.into_iter().rev().take(CODINGS) {
            if let Some(decoded) = undo(coding, &body, most)? {
                cut |= decoded.cut;
                body = Cow::Owned(decoded.bytes);
            }
        }
        Ok((body, cut))
    }
}

/// The line at `at` without its end, LF or CRLF.
fn next_line<'a>(block: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = block.get(*at..)?;
    let end = memchr::memchr(b'\n', rest)?;
    *at += end + 1;
    let line = &rest[..end];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// `HTTP/1.1 200 OK` says 200; so does `ICY 200 OK`, and `HTTP/2 200`.
fn status_of(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line.get(..line.len().min(64))?).ok()?;
    let (protocol, rest) = line.split_once(' ')?;
    if !protocol.starts_with("HTTP/") && protocol != "ICY" && protocol != "HTTP" {
        return None;
    }
    let digits = rest.trim_start().split(|letter: char| !letter.is_ascii_digit()).next()?;
    (digits.len() == 3).then(|| digits.parse().ok())?
}

/// The type in lower case, and the charset if one is named.
fn content_type_of(value: &str) -> (String, Option<String>) {
    // Servers that say it twice mean the same or the last.
    let mime = value.split([';', ',']).next().unwrap_or_default().trim().to_ascii_lowercase();
    let lower = value.to_ascii_lowercase();
    let label = lower.rfind("charset").and_then(|at| {
        let value = lower[at + "charset".len()..].trim_start().strip_prefix('=')?.trim_start();
        let value = value.trim_start_matches(['"', '\'']);
        let end = value.find(|letter: char| matches!(letter, '"' | '\'' | ';' | ',') || letter.is_whitespace());
        Some(value[..end.unwrap_or(value.len())].to_owned())
    });
    (mime, label)
}

/// A body put together from its chunks.
struct Chunks {
    bytes: Vec<u8>,
    cut: bool,
}

impl Chunks {
    /// Nothing if the body does not begin with a chunk: then a crawler has undone the chunks.
    fn of(body: &[u8]) -> Option<Chunks> {
        let mut chunks = Chunks { bytes: Vec::new(), cut: false };
        let mut at = 0;
        loop {
            let begin = at;
            let size = next_line(body, &mut at).and_then(chunk_size);
            let Some(size) = size else {
                if begin == 0 {
                    return None;
                }
                chunks.cut = true;
                return Some(chunks);
            };
            if size == 0 {
                return Some(chunks);
            }
            let rest = &body[at..];
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > rest.len() {
                // A page may begin with a line of hexadecimal digits; a chunk's ends in CRLF.
                if begin == 0 && !body[..at].ends_with(b"\r\n") {
                    return None;
                }
                chunks.bytes.extend_from_slice(rest);
                chunks.cut = true;
                return Some(chunks);
            }
            let after = &rest[size..];
            let end = if after.starts_with(b"\r\n") { 2 } else { usize::from(after.starts_with(b"\n")) };
            if end == 0 && !after.is_empty() && begin == 0 {
                return None;
            }
            chunks.bytes.extend_from_slice(&rest[..size]);
            at += size + end;
        }
    }
}

/// `1f40;name=value` is 8000 bytes.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.split(';').next()?.trim();
    if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

struct Decoded {
    bytes: Vec<u8>,
    cut: bool,
}

/// Undoes a coding; nothing if the body does not have it.
fn undo(coding: &str, body: &[u8], most: usize) -> Result<Option<Decoded>, Unread> {
    let decoded = match coding {
        "gzip" | "x-gzip" if body.starts_with(&[0x1f, 0x8b]) => bounded(MultiGzDecoder::new(body), most),
        "deflate" if is_zlib(body) => bounded(ZlibDecoder::new(body), most),
        // RFC 9110 says that deflate means zlib; some servers send it bare.
        "deflate" if !is_text(body) => bounded(DeflateDecoder::new(body), most),
        "br" if !is_text(body) => bounded(brotli_decompressor::Decompressor::new(body, 4096), most),
        "zstd" if body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => {
            let decoder = zstd::stream::read::Decoder::with_buffer(body).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW)?;
                Ok(decoder)
            });
            match decoder {
                Ok(decoder) => bounded(decoder, most),
                Err(_) => return Err(unread("bad_content_coding", coding)),
            }
        }
        // `identity`, `none`, `utf-8`, or a coding that was undone already.
        _ => return Ok(None),
    };
    if decoded.bytes.is_empty() && decoded.cut {
        return Err(unread("bad_content_coding", coding));
    }
    Ok(Some(decoded))
}

/// Reads until the end, a fault or one byte beyond `most`. A reader of a slice only fails for what
/// the slice holds.
fn bounded(mut from: impl Read, most: usize) -> Decoded {
    let mut decoded = Decoded { bytes: Vec::new(), cut: false };
    let mut block = [0; 16 << 10];
    loop {
        match from.read(&mut block) {
            Ok(0) => return decoded,
            Ok(read) => decoded.bytes.extend_from_slice(&block[..read]),
            Err(_) => {
                decoded.cut = true;
                return decoded;
            }
        }
        if decoded.bytes.len() > most {
            decoded.bytes.truncate(most.saturating_add(1));
            return decoded;
        }
    }
}

/// RFC 1950: method 8, and the first two bytes are a multiple of 31.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 15 == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0)
}

/// Whether a body begins as text does: then nothing compressed it.
fn is_text(body: &[u8]) -> bool {
    let head = &body[..body.len().min(HEAD)];
    let controls = head.iter().filter(|byte| **byte < 0x20 && !b"\t\n\x0c\r\x1b".contains(byte)).count();
    let letters = head.iter().filter(|byte| byte.is_ascii_alphabetic() || **byte == b' ').count();
    controls == 0 && (letters * 3 > head.len() || head.trim_ascii_start().starts_with(b"<"))
}

/// The name of a format that is not text, by its magic or by NULs where no encoding has them.
fn foreign(body: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 12] = [
        (b"%PDF-", "pdf"),
        (b"PK\x03\x04", "zip"),
        (b"\x89PNG", "png"),
        (b"GIF8", "gif"),
        (b"\xff\xd8\xff", "jpeg"),
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ", "xz"),
        (b"Rar!\x1a", "rar"),
        (b"\xd0\xcf\x11\xe0", "ole"),
        (b"wOFF", "woff"),
        (b"ID3\x03", "mp3"),
    ];
    let magic = MAGICS.iter().find(|(magic, _)| body.starts_with(magic));
    if let Some((_, name)) = magic {
        return Some(name);
    }
    let head = &body[..body.len().min(HEAD)];
    let marked = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    let zeros = head.iter().filter(|byte| **byte == 0).count();
    // UTF-16 without a mark has a NUL in almost every second byte; other text has none.
    (!marked && zeros * 10 > head.len() && charset::utf16(head).is_none()).then_some("binary")
}

/// Whether a text begins with a doctype of HTML or one of the elements that a page begins with,
/// after comments.
fn begins_as_html(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    for _ in 0..16 {
        let skipped = match rest.as_bytes() {
            [b'<', b'!', b'-', b'-', ..] => rest.find("-->").map(|end| end + 3),
            [b'<', b'?', ..] => rest.find('>').map(|end| end + 1),
            _ => break,
        };
        let Some(skipped) = skipped else { return false };
        rest = rest[skipped..].trim_start();
    }
    let head: String = rest.chars().take(16).collect::<String>().to_ascii_lowercase();
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|begin| {
        head.strip_prefix(begin).is_some_and(|after| !after.starts_with(|letter: char| letter.is_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const MOST: usize = 1 << 20;

    /// The text of a response, or the reason why it has none.
    #[track_caller]
    fn check(headers: &str, body: &[u8], expected: &str) {
        let mut block = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", headers.replace('\n', "\r\n")).into_bytes();
        block.extend_from_slice(body);
        assert_eq!(outcome(&block), expected, "{headers}");
    }

    fn outcome(block: &[u8]) -> String {
        match page(block, "https://page.example/", MOST) {
            Ok(page) => page.text,
            Err(unread) => unread.reason.to_string(),
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A brotli stream that stores its bytes, as RFC 7932 lays it out: a window of 16 bits, one
    /// meta-block that is not compressed, an empty last one.
    fn brotli(bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len() as u32 - 1;
        // Bits from the lowest: 0 (window), 0 (not last), 00 (four nibbles), length, 1 (stored).
        let head = length << 4 | 1 << 20;
        let mut stream = head.to_le_bytes()[..3].to_vec();
        stream.extend_from_slice(bytes);
        stream.push(3);
        stream
    }

    const PAGE: &[u8] = b"<html><p>Hello";

    #[test]
    fn a_plain_response() {
        check("Content-Type: text/html", PAGE, "<html><p>Hello");
        assert_eq!(outcome(b"HTTP/1.0 200\nContent-Type: text/html\n\n<p>Hi"), "<p>Hi");
    }

    #[test]
    fn what_is_no_response() {
        assert_eq!(outcome(b""), "bad_http");
        assert_eq!(outcome(b"<html>\n\n"), "bad_http");
        assert_eq!(outcome(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"), "bad_http");
        assert_eq!(outcome(b"HTTP/1.1 404 Not Found\r\n\r\n<html>"), "http_status");
        check("Content-Type: text/html", b" \r\n", "empty_body");
    }

    #[test]
    fn chunks_are_joined() {
        let headers = "Content-Type: text/html\nTransfer-Encoding: chunked";
        check(headers, b"6;a=b\r\n<html>\r\n3\r\n<p>\r\n0\r\n\r\n", "<html><p>");
        check(headers, b"6\n<html>\n3\n<p>\n0\n\n", "<html><p>");
        // Cut in a chunk, or between two.
        check(headers, b"6\r\n<html>\r\n30\r\n<p>Hel", "<html><p>Hel");
        check(headers, b"6\r\n<html>\r\nzz", "<html>");
    }

    /// Crawlers undo the chunks and leave the header.
    #[test]
    fn chunks_that_are_none() {
        let headers = "Content-Type: text/html\nTransfer-Encoding: chunked";
        check(headers, PAGE, "<html><p>Hello");
        check(headers, b"abc\nis no size of a chunk here", "abc\nis no size of a chunk here");
    }

    #[test]
    fn codings_are_undone() {
        for (coding, body) in [
            ("gzip", gzip(PAGE)),
            ("x-gzip", gzip(PAGE)),
            ("deflate", zlib(PAGE)),
            ("deflate", zlib(PAGE)[2..].to_vec()),
            ("br", brotli(PAGE)),
            ("zstd", zstd::encode_all(PAGE, 1).unwrap()),
            ("deflate, gzip", gzip(&zlib(PAGE))),
            ("GZIP", gzip(PAGE)),
            ("identity", PAGE.to_vec()),
            ("utf-8", PAGE.to_vec()),
        ] {
            let headers = format!("Content-Type: text/html\nContent-Encoding: {coding}");
            check(&headers, &body, "<html><p>Hello");
            // A crawler undid it and left the header.
            check(&headers, PAGE, "<html><p>Hello");
        }
        check("Content-Type: text/html", &gzip(PAGE), "<html><p>Hello");
    }

    #[test]
    fn common_crawl_s_own_headers() {
        let headers = "Content-Type: text/html\nX-Crawl-Content-Encoding: gzip\nX-Crawl-Transfer-Encoding: chunked";
        check(headers, PAGE, "<html><p>Hello");
    }

    #[test]
    fn a_stream_that_is_cut_gives_what_came_before() {
        let letters: String =
            (0..9000u32).map(|n| char::from(b'a' + (n.wrapping_mul(0x9e37_79b1) >> 16) as u8 % 26)).collect();
        let whole = gzip(letters.as_bytes());
        let mut block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
        block.extend_from_slice(&whole[..whole.len() / 2]);
        let page = page(&block, "", MOST).unwrap();
        assert!(page.cut && letters.starts_with(&page.text), "{}", page.text.len());
        assert!((1000..9000).contains(&page.text.len()), "{}", page.text.len());
        check("Content-Type: text/html\nContent-Encoding: gzip", b"\x1f\x8b\x08\xff\xff", "bad_content_coding");
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = gzip(&gzip(&vec![b' '; 64 << 20]));
        check("Content-Type: text/html\nContent-Encoding: gzip, gzip", &bomb, "too_large");
        assert!(bomb.len() < 64 << 10, "{}", bomb.len());
    }

    #[test]
    fn what_is_no_page() {
        check("Content-Type: application/pdf", b"%PDF-1.4", "not_html");
        check("Content-Type: text/html", b"%PDF-1.4", "not_html");
        check("Content-Type: text/html", &[b"GIF89a".as_slice(), &[0; 400]].concat(), "not_html");
        check("Content-Type: image/png", PAGE, "not_html");
        check("Server: a", b"just text", "not_html");
        check("Server: a", b"<!-- a --> <!DOCTYPE html><p>a", "<!-- a --> <!DOCTYPE html><p>a");
        check("Content-Type: application/xml", b"<?xml version='1.0'?><rss>", "not_html");
    }

    #[test]
    fn plain_text_is_told_apart() {
        let kind = |body: &str| {
            let block = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n{body}");
            page(block.as_bytes(), "", MOST).unwrap().kind
        };
        assert_eq!(kind("<b> is a tag"), Kind::Plain);
        assert_eq!(kind(" <!doctype HTML><p>a"), Kind::Html);
    }

    #[test]
    fn charsets() {
        check("Content-Type: text/html; charset=ISO-8859-1", b"<p>caf\xe9 \x93a\x94", "<p>café “a”");
        check("Content-Type: text/html;Charset=\"windows-1251\"", b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет");
        check(
            "Content-Type: text/html",
            b"<meta charset=koi8-r>\xf0\xd2\xc9\xd7\xc5\xd4",
            "<meta charset=koi8-r>Привет",
        );
        let meta = b"<!-- <meta charset=utf-8> --><META http-equiv=x content='text/html; charset=big5'>\xa7A\xa6n";
        let text = "<!-- <meta charset=utf-8> --><META http-equiv=x content='text/html; charset=big5'>你好";
        check("Content-Type: text/html", meta, text);
        check("Content-Type: text/html; charset=nonsense", b"<meta charset=euc-jp>\xc6\xfc", "<meta charset=euc-jp>日");
        check("Content-Type: text/html", b"\xef\xbb\xbf<p>\xc3\xa9", "<p>é");
        check("Content-Type: text/html", b"\xff\xfe<\0p\0>\0\xe9\0", "<p>é");
        let utf16: Vec<u8> = "<html><p>caf\u{e9}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        check("Content-Type: text/html", &utf16, "<html><p>café");
        check("Content-Type: text/html; charset=iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本");
    }

    /// Servers name their default, and pages were written in UTF-8 all the same.
    #[test]
    fn utf_8_is_read_as_utf_8_whatever_was_said() {
        check("Content-Type: text/html; charset=ISO-8859-1", "<p>Žluťoučký kůň".as_bytes(), "<p>Žluťoučký kůň");
    }

    #[test]
    fn what_was_called_utf_8_and_is_not_is_guessed() {
        let text = "Съешь же ещё этих мягких французских булок, да выпей чаю";
        let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(text);
        check("Content-Type: text/html; charset=utf-8", &bytes, text);
        check("Content-Type: text/html", &bytes, text);
        check("Content-Type: text/html; charset=utf-8", b"<p>na\xc3\xafve caf\xff", "<p>naïve caf\u{fffd}");
    }

    #[test]
    fn no_bytes_panic() {
        let mut block =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: deflate, br, gzip\r\n\r\n".to_vec();
        block.extend(gzip(&brotli(&zlib(PAGE))));
        for cut in 0..block.len() {
            let _ = page(&block[..cut], "https://a.example", MOST);
            for bit in 0..8 {
                let mut flipped = block.clone();
                flipped[cut] ^= 1 << bit;
                let _ = page(&flipped, "https://a.example", MOST);
            }
        }
    }
}
