//! A record's header: a version, then `Name: value` lines.

use memchr::memchr2;

/// The header of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'b>(pub &'b [u8]);

impl<'b> Header<'b> {
    /// The header's lines without their ends, the version first.
    pub fn lines(self) -> Lines<'b> {
        Lines(self.0)
    }

    /// The value of a field, whatever the case of its name; of several the first. A value that goes
    /// on in an indented line counts up to there.
    pub fn field(self, name: &str) -> Option<&'b str> {
        let is = |line: &[u8]| {
            line.len() > name.len()
                && line[name.len()] == b':'
                && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        };
        let line = self.lines().find(|line| is(line))?;
        std::str::from_utf8(line[name.len() + 1..].trim_ascii()).ok()
    }

    /// How long the content is, as the header says.
    pub fn length(self) -> Option<u64> {
        let digits = self.field("Content-Length")?;
        // `+1` is a number for Rust, not for a header.
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    }

    /// The address of the page. wget puts it in angle brackets.
    pub fn url(self) -> Option<&'b str> {
        let url = self.field("WARC-Target-URI")?;
        Some(url.strip_prefix('<').and_then(|url| url.strip_suffix('>')).unwrap_or(url))
    }
}

/// Lines as Python reads them from a file: they end at `\n`, `\r` or `\r\n`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'b>(pub &'b [u8]);

impl<'b> Iterator for Lines<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let Some(end) = memchr2(b'\n', b'\r', self.0) else {
            return Some(std::mem::take(&mut self.0));
        };
        let line = &self.0[..end];
        let width = if self.0[end..].starts_with(b"\r\n") { 2 } else { 1 };
        self.0 = &self.0[end + width..];
        Some(line)
    }
}

/// The same of a text, which is not looked at again to know that its lines are texts too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextLines<'t>(pub &'t str);

impl<'t> Iterator for TextLines<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.0.is_empty() {
            return None;
        }
        let Some(end) = memchr2(b'\n', b'\r', self.0.as_bytes()) else {
            return Some(std::mem::take(&mut self.0));
        };
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);
        Some(line)
    }
}

/// `str.strip` of Python: it takes the separators U+001C to U+001F too.
pub(crate) fn strip(line: &str) -> &str {
    let plain = |byte: &u8| (b'!'..=b'~').contains(byte);
    match line.as_bytes() {
        [] => line,
        [only] if plain(only) => line,
        [first, .., last] if plain(first) && plain(last) => line,
        _ => {
            line.trim_matches(|character: char| character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let header = Header(
            b"WARC/1.0\r\nwarc-type: conversion\r\nWARC-Target-URI: <http://a.example/b c>\r\nContent-Length: 12\r\n",
        );
        assert_eq!(header.field("WARC-Type"), Some("conversion"));
        assert_eq!((header.url(), header.length()), (Some("http://a.example/b c"), Some(12)));
        assert_eq!(header.field("WARC-Target"), None);
        assert_eq!(Header(b"WARC/1.0\nContent-Length: +12\n").length(), None);
        assert_eq!(Header(b"WARC/1.0\nContent-Length: 99999999999999999999\n").length(), None);
    }

    #[test]
    fn lines_end_as_in_a_python_file() {
        let lines: Vec<&[u8]> = Lines(b"a\r\nb\rc\n\nd").collect();
        assert_eq!(lines, [&b"a"[..], b"b", b"c", b"", b"d"]);
        let lines: Vec<&str> = TextLines("a\r\nb\rc\n\nd\n").collect();
        assert_eq!(lines, ["a", "b", "c", "", "d"]);
    }

    #[test]
    fn lines_are_stripped_as_by_python() {
        let rows =
            [("a b", "a b"), (" \u{a0}a\u{1f}\u{3000}", "a"), ("\u{feff}a", "\u{feff}a"), ("\u{1c}", ""), ("é", "é")];
        for (line, stripped) in rows {
            assert_eq!(strip(line), stripped);
        }
    }
}
