//! The tables of a dump: XML with one `<row …/>` a line, whose attributes are the columns.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use corpus::{Error, Evidence, Reason};

use crate::jsonl::{Line, Lines, Unfit};
use crate::raw::Damage;
use crate::sevenz::Member;
use crate::{Raw, Result};

/// What a table is read from: it may end early, and then says how it is damaged.
pub trait Stream: Read {
    fn damage(&self) -> Option<&Damage>;
}

impl Stream for Raw {
    fn damage(&self) -> Option<&Damage> {
        Raw::damage(self)
    }
}

impl Stream for Member<'_> {
    fn damage(&self) -> Option<&Damage> {
        Member::damage(self)
    }
}

/// What a line of a table holds.
pub enum Entry<'l> {
    /// A row, as it is written.
    Row(&'l str),
    /// What should be a row and is none, and its bytes.
    Unfit(Unfit, u64),
}

/// The rows of a table, one after the other.
pub struct Table {
    lines: Lines,
    longest: usize,
    first: bool,
    /// Whether `<posts>` or the like was there and was not closed.
    open: bool,
    /// Bytes of a line that damage cut off.
    pub cut_off: u64,
    /// Bytes that are read, unless the table ends before, and whether it did not.
    most: u64,
    pub stopped: bool,
}

impl Table {
    /// A table whose lines are at most so long.
    pub fn new(longest: usize) -> Table {
        let lines = Lines::new(longest);
        Table { lines, longest, first: true, open: false, cut_off: 0, most: u64::MAX, stopped: false }
    }

    /// The same table, of which so many bytes are read.
    pub fn up_to(self, bytes: Option<u64>) -> Table {
        Table { most: bytes.unwrap_or(u64::MAX), ..self }
    }

    /// Hands each row of a table, which lies at a path, to `each`.
    pub fn read(
        &mut self,
        mut from: &mut dyn Stream,
        path: &Path,
        each: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut seen = 0;
        loop {
            if seen >= self.most {
                self.stopped = true;
                return Ok(());
            }
            let line = self.lines.next(&mut from).map_err(Error::io("cannot read", path))?;
            match line {
                Line::End => return Ok(()),
                Line::Whole(range) if self.lines.is_last(range.end) && from.damage().is_some() => {
                    self.cut_off = range.len() as u64;
                    return Ok(());
                }
                Line::TooLong(bytes) => {
                    if self.lines.ended() && from.damage().is_some() {
                        self.cut_off = bytes;
                        return Ok(());
                    }
                    let evidence = Evidence::bound(bytes as f64, self.longest as f64);
                    each(Entry::Unfit((Reason("too_large"), evidence), bytes))?;
                }
                Line::Whole(range) => {
                    seen += range.len() as u64;
                    let line = self.lines.line(range, std::mem::take(&mut self.first));
                    rows_of(line, &mut self.open, each)?;
                }
            }
            self.first = false;
        }
    }

    /// How a table is damaged that ends without having been closed.
    pub fn unclosed(&self) -> Option<Damage> {
        let detail = "the file ends before its table does".to_owned();
        (self.open && !self.stopped).then_some(Damage { reason: Reason("truncated_xml"), detail })
    }
}

fn bad(detail: &str) -> Unfit {
    (Reason("bad_xml"), Evidence::found(detail))
}

/// Usually a line is a row, but XML would let several stand on it.
fn rows_of(line: &[u8], open: &mut bool, each: &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
    let bytes = line.len() as u64;
    let line = match std::str::from_utf8(line) {
        Ok(line) => line,
        Err(error) => {
            let evidence = Evidence::found(error.to_string());
            return each(Entry::Unfit((Reason("bad_utf8"), evidence), bytes));
        }
    };
    if line.bytes().any(|byte| byte < b' ' && !matches!(byte, b'\t' | b'\r')) {
        return each(Entry::Unfit(bad("a control character"), bytes));
    }
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        if let Some(length) = markup(rest, open) {
            rest = rest[length..].trim_ascii_start();
            continue;
        }
        match row_length(rest) {
            Ok(length) => {
                each(Entry::Row(&rest[..length]))?;
                rest = rest[length..].trim_ascii_start();
            }
            Err(unfit) => return each(Entry::Unfit(unfit, rest.len() as u64)),
        }
    }
    Ok(())
}

/// The length of what is no row and need not be one: the declaration of XML or of a document type, a
/// comment, the table's own tags.
fn markup(line: &str, open: &mut bool) -> Option<usize> {
    let end = memchr::memchr(b'>', line.as_bytes())? + 1;
    let tag = &line[..end];
    if tag.starts_with("<!--") {
        return line.find("-->").map(|end| end + 3);
    }
    if tag.starts_with("<?") || tag.starts_with("<!DOCTYPE") {
        return Some(end);
    }
    let (name, opens) = match tag.strip_prefix("</") {
        Some(name) => (name, false),
        None => (tag.strip_prefix('<')?, true),
    };
    let name = name.strip_suffix('>')?.trim_ascii_end();
    if !matches!(name, "posts" | "users" | "badges" | "comments" | "posthistory" | "postlinks" | "tags" | "votes") {
        return None;
    }
    *open = opens;
    Some(end)
}

/// The bytes of the row that a line begins with.
fn row_length(line: &str) -> Result<usize, Unfit> {
    let mut attributes = Attributes::new(line)?;
    for attribute in &mut attributes {
        attribute?;
    }
    Ok(line.len() - attributes.rest.len())
}

/// The attributes of a row: names, and values as they are written.
pub struct Attributes<'l> {
    rest: &'l str,
    ended: bool,
}

impl<'l> Attributes<'l> {
    pub fn new(row: &'l str) -> Result<Attributes<'l>, Unfit> {
        match row.strip_prefix("<row") {
            Some(rest) if rest.starts_with([' ', '\t', '/', '\r']) => Ok(Attributes { rest, ended: false }),
            _ => Err(bad("a line that is no row")),
        }
    }

    fn attribute(&mut self) -> Result<Option<(&'l str, &'l str)>, Unfit> {
        let rest = self.rest.trim_ascii_start();
        if let Some(rest) = rest.strip_prefix("/>") {
            self.rest = rest;
            return Ok(None);
        }
        if rest.len() == self.rest.len() {
            return Err(bad("no white space between attributes"));
        }
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        if length == 0 {
            return Err(bad("a row that does not end"));
        }
        let name = &rest[..length];
        let Some(rest) = rest[length..].trim_ascii_start().strip_prefix('=') else {
            return Err(bad("an attribute without a value"));
        };
        let rest = rest.trim_ascii_start();
        let quote = match rest.as_bytes().first() {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => return Err(bad("a value without quotes")),
        };
        let rest = &rest[1..];
        match memchr::memchr2(quote, b'<', rest.as_bytes()) {
            None => Err(bad("a value that does not end")),
            Some(end) if rest.as_bytes()[end] == b'<' => Err(bad("`<` in a value")),
            Some(end) => {
                self.rest = &rest[end + 1..];
                Ok(Some((name, &rest[..end])))
            }
        }
    }
}

impl<'l> Iterator for Attributes<'l> {
    type Item = Result<(&'l str, &'l str), Unfit>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let attribute = self.attribute().transpose();
        self.ended = !matches!(attribute, Some(Ok(_)));
        attribute
    }
}

/// The value of an attribute as it is meant.
pub fn decoded(value: &str) -> Result<Cow<'_, str>, Unfit> {
    let bytes = value.as_bytes();
    let Some(mut at) = memchr::memchr3(b'&', b'\t', b'\r', bytes) else { return Ok(Cow::Borrowed(value)) };
    let mut text = String::with_capacity(value.len());
    let mut from = 0;
    loop {
        text.push_str(&value[from..at]);
        if bytes[at] == b'&' {
            let (character, length) = reference(&value[at..])?;
            text.push(character);
            from = at + length;
        } else {
            // White space that is not spelled as a reference is a space, as XML has it.
            text.push(' ');
            from = at + 1;
        }
        match memchr::memchr3(b'&', b'\t', b'\r', &bytes[from..]) {
            Some(next) => at = from + next,
            None => break,
        }
    }
    text.push_str(&value[from..]);
    Ok(Cow::Owned(text))
}

/// The character of a reference, and its bytes.
fn reference(text: &str) -> Result<(char, usize), Unfit> {
    let known = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"'), ("&apos;", '\''), ("&#xA;", '\n')];
    if let Some((name, character)) = known.iter().find(|(name, _)| text.starts_with(name)) {
        return Ok((*character, name.len()));
    }
    let unknown = || bad("a reference to no known character");
    let end = text.bytes().take(12).position(|byte| byte == b';').ok_or_else(unknown)?;
    let digits = text[1..end].strip_prefix('#').ok_or_else(unknown)?;
    let code = match digits.strip_prefix('x') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16),
        None if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse(),
        _ => return Err(unknown()),
    };
    let character = code.ok().and_then(char::from_u32).ok_or_else(unknown)?;
    match character {
        '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => Ok((character, end + 1)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a line, and why what is left is none.
    fn check(line: &str, rows: &[&str], reason: &str) {
        let (mut seen, mut said, mut open) = (Vec::new(), String::new(), false);
        let read = rows_of(line.as_bytes(), &mut open, &mut |entry| {
            match entry {
                Entry::Row(row) => seen.push(row.to_owned()),
                Entry::Unfit((reason, evidence), _) => said = format!("{reason}: {evidence}"),
            }
            Ok(())
        });
        read.unwrap();
        assert_eq!((seen, said.as_str()), (rows.iter().map(|row| (*row).to_owned()).collect(), reason), "{line}");
    }

    #[test]
    fn rows_and_what_stands_around_them() {
        check("  <row Id=\"1\" Body='&lt;p>' />\r", &["<row Id=\"1\" Body='&lt;p>' />"], "");
        check("<row />", &["<row />"], "");
        check("<posts><row A=\"1\"/> <row A=\"2\"/></posts>", &["<row A=\"1\"/>", "<row A=\"2\"/>"], "");
        check("<?xml version=\"1.0\"?><!DOCTYPE posts SYSTEM 'posts.dtd'><!-- > -->", &[], "");
        check("", &[], "");
    }

    #[test]
    fn broken_rows_say_why() {
        check("<row Id=\"1\" Body=\"&lt;p", &[], "bad_xml: a value that does not end");
        check("<row Id=\"1\" Bo", &[], "bad_xml: an attribute without a value");
        check("<row Id=\"1\"", &[], "bad_xml: no white space between attributes");
        check("<row Id=\"1\" >", &[], "bad_xml: a row that does not end");
        check("<row Id=\"1\"B=\"2\" />", &[], "bad_xml: no white space between attributes");
        check("<row Id=1 />", &[], "bad_xml: a value without quotes");
        check("<row Id=\"<\" />", &[], "bad_xml: `<` in a value");
        check("<rows Id=\"1\" />", &[], "bad_xml: a line that is no row");
        check("hello", &[], "bad_xml: a line that is no row");
        check("<row A=\"\u{1}\" />", &[], "bad_xml: a control character");
        check("<row A=\"1\" /> and more", &["<row A=\"1\" />"], "bad_xml: a line that is no row");
    }

    #[test]
    fn values_are_decoded_once() {
        let check =
            |value: &str, expected: Option<&str>| assert_eq!(decoded(value).ok().as_deref(), expected, "{value}");
        check("plain", Some("plain"));
        check("&lt;p&gt;a &amp;amp; b&#xA;&#xD;&#10;&apos;&quot;&#x1F600;\tc", Some("<p>a &amp; b\n\r\n'\"😀 c"));
        for broken in [
            "&nbsp;",
            "&",
            "a & b",
            "&#0;",
            "&#x1;",
            "&#xD800;",
            "&#xFFFF;",
            "&#x110000;",
            "&#;",
            "&#+1;",
            "&#99999999999;",
        ] {
            check(broken, None);
        }
    }
}
