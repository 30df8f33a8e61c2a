//! One JSON object a line: each line is parsed once, its text is decoded once.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use corpus::{Error, Evidence, Reason};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::format::{Reading, Shape};
use crate::{Raw, Result};

/// Bytes that are decoded at once.
const BLOCK: usize = 256 << 10;

/// The longest line that is looked at: a text whose every character is escaped takes three times
/// its bytes (`é` as `\u00e9`, an emoji as two of these; only control characters take more), and
/// the columns beside it have 1 MiB.
fn longest_line(max_document: usize) -> usize {
    max_document.saturating_mul(3).saturating_add(1 << 20)
}

/// Arrays and objects inside each other, at most: serde_json's own bound for what it builds.
const DEEPEST: usize = 128;

/// Reads all lines of a raw file. Every line is a record, blank ones too, so that a record's number
/// is its line's number from 0.
pub(crate) fn read(raw: &mut Raw, shape: &Shape<'_>, reading: &mut Reading<'_>) -> Result<()> {
    let mut lines = Lines::new(longest_line(reading.limits.max_document));
    loop {
        let line = lines.next(raw).map_err(Error::io("cannot read", raw.path()))?;
        match line {
            Line::End => return Ok(()),
            // What damage has cut off is counted with the damage.
            Line::Whole(range) if range.end == lines.end && lines.ended && raw.damage().is_some() => {
                reading.cut_off = range.len() as u64;
                return Ok(());
            }
            Line::TooLong(bytes) => {
                if lines.ended && raw.damage().is_some() {
                    reading.cut_off = bytes;
                    return Ok(());
                }
                let most = lines.longest as f64;
                reading.unusable(Reason("too_large"), Evidence::bound(bytes as f64, most), bytes)?;
            }
            Line::Whole(range) => record(lines.line(range, reading.records == 0), shape, reading)?,
        }
    }
}

/// One line becomes a document, or an unusable record.
fn record(line: &[u8], shape: &Shape<'_>, reading: &mut Reading<'_>) -> Result<()> {
    let bytes = line.len() as u64;
    if line.trim_ascii().is_empty() {
        return reading.unusable(Reason("blank_line"), Evidence::None, bytes);
    }
    let line = match std::str::from_utf8(line) {
        Ok(line) => line,
        Err(error) => return reading.unusable(Reason("bad_utf8"), Evidence::found(error.to_string()), bytes),
    };
    let mut columns = Columns(Vec::with_capacity(16));
    if let Err((reason, evidence)) = columns.parse(line) {
        return reading.unusable(reason, evidence, bytes);
    }
    let columns = columns.0;
    let Some((name, json)) = shape.text_of(&columns) else {
        return reading.unusable(Reason("missing_column"), Evidence::found(shape.text[0]), bytes);
    };
    if let Some(missing) = shape.missing(|wanted| columns.iter().any(|(known, _)| known == wanted)) {
        return reading.unusable(Reason("missing_column"), Evidence::found(missing), bytes);
    }
    let max = reading.limits.max_document;
    let text = match string(json, max) {
        Ok(text) => text,
        Err((reason, evidence)) => return reading.unusable(reason, evidence, bytes),
    };
    match shape.meta(name, &columns) {
        Ok(meta) => reading.document(text, meta),
        Err((reason, evidence)) => reading.unusable(reason, evidence, bytes),
    }
}

/// Why a value is no good, and what was seen.
pub(crate) type Unfit = (Reason, Evidence);

/// Columns of a record, at most: a line of millions of tiny ones would take ten times its length.
const MOST_COLUMNS: usize = 10_000;

/// The columns of one line, in order: keys decoded, values as they were written.
struct Columns<'l>(Vec<(Cow<'l, str>, &'l str)>);

impl<'l> Columns<'l> {
    fn parse(&mut self, line: &'l str) -> Result<(), Unfit> {
        let bad = |error: serde_json::Error| (Reason("bad_json"), Evidence::found(error.to_string()));
        let kind = match line.trim_ascii_start().as_bytes().first() {
            Some(b'{') => {
                let mut deserializer = serde_json::Deserializer::from_str(line);
                DeserializeSeed::deserialize(&mut *self, &mut deserializer).map_err(bad)?;
                return deserializer.end().map_err(bad);
            }
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            _ => "a number or a word",
        };
        serde_json::from_str::<de::IgnoredAny>(line).map_err(bad)?;
        Err((Reason("not_an_object"), Evidence::found(kind)))
    }
}

impl<'l> DeserializeSeed<'l> for &mut Columns<'l> {
    type Value = ();

    fn deserialize<D: Deserializer<'l>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'l> Visitor<'l> for &mut Columns<'l> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'l>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let value: &'l RawValue = map.next_value()?;
            if self.0.len() == MOST_COLUMNS {
                return Err(de::Error::custom(format!("more than {MOST_COLUMNS} columns")));
            }
            self.0.push((key, value.get()));
        }
        Ok(())
    }
}

struct Key;

impl<'l> DeserializeSeed<'l> for Key {
    type Value = Cow<'l, str>;

    fn deserialize<D: Deserializer<'l>>(self, deserializer: D) -> Result<Cow<'l, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'l> Visitor<'l> for Key {
    type Value = Cow<'l, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'l str) -> Result<Cow<'l, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'l, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// Decodes a JSON string of valid syntax into a text of at most `max` bytes. `\u0000` is a
/// character like any other; half a surrogate pair is none.
pub(crate) fn string(json: &str, max: usize) -> Result<String, Unfit> {
    let inner = match json.as_bytes() {
        [b'"', .., b'"'] => &json[1..json.len() - 1],
        [b'n', ..] => return Err((Reason("no_text"), Evidence::None)),
        [b'{', ..] => return Err((Reason("wrong_type"), Evidence::found("an object"))),
        [b'[', ..] => return Err((Reason("wrong_type"), Evidence::found("an array"))),
        _ => return Err((Reason("wrong_type"), Evidence::found(json))),
    };
    let mut text = String::with_capacity(inner.len().min(max));
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (character, width) = escaped(&rest.as_bytes()[at + 1..])?;
        text.push(character);
        rest = &rest[at + 1 + width..];
        if text.len() > max {
            break;
        }
    }
    if text.len() + rest.len() > max {
        // At least as long as this; the rest may hold escapes.
        return Err((Reason("too_large"), Evidence::bound((text.len() + rest.len()) as f64, max as f64)));
    }
    text.push_str(rest);
    Ok(text)
}

/// The character that an escape spells and the bytes that it takes after its backslash.
fn escaped(after: &[u8]) -> Result<(char, usize), Unfit> {
    Ok(match after.first() {
        Some(b'n') => ('\n', 1),
        Some(b't') => ('\t', 1),
        Some(b'r') => ('\r', 1),
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'u') => {
            let high = unit(&after[1..]);
            if let Some(character) = high.and_then(char::from_u32) {
                return Ok((character, 5));
            }
            let low = if after.get(5..7) == Some(b"\\u") { unit(&after[7..]) } else { None };
            match (high, low) {
                (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
                    let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
                }
                _ => return Err((Reason("lone_surrogate"), Evidence::found(ascii(&after[..after.len().min(5)])))),
            }
        }
        Some(other) => (char::from(*other), 1),
        None => return Err((Reason("bad_json"), Evidence::None)),
    })
}

fn ascii(bytes: &[u8]) -> String {
    std::iter::once('\\').chain(bytes.iter().map(|byte| char::from(*byte))).collect()
}

/// The four hexadecimal digits of an escape.
fn unit(digits: &[u8]) -> Option<u32> {
    let mut unit = 0;
    for digit in digits.get(..4)? {
        unit = unit << 4 | char::from(*digit).to_digit(16)?;
    }
    Some(unit)
}

/// Whether JSON of valid syntax can be written again later: its strings are Unicode, its numbers are
/// floats, and it is not nested without end.
pub(crate) fn check(json: &str) -> Result<(), Unfit> {
    let bytes = json.as_bytes();
    match bytes.first() {
        Some(b'"') if memchr::memchr(b'\\', bytes).is_none() => return Ok(()),
        Some(b'"') => return string(json, usize::MAX).map(|_| ()),
        Some(b'{' | b'[') => {}
        Some(b't' | b'f' | b'n') => return Ok(()),
        _ => return number(json),
    }
    let mut depth = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let start = at;
                at += 1;
                while let Some(more) = memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                    at += more;
                    if bytes[at] == b'"' {
                        break;
                    }
                    at += 2;
                }
                check(&json[start..bytes.len().min(at + 1)])?;
            }
            b'-' | b'0'..=b'9' => {
                let length = bytes[at..].iter().take_while(|byte| !b",]} \t\r".contains(byte)).count();
                number(&json[at..at + length])?;
                at += length;
                continue;
            }
            _ => {}
        }
        if depth > DEEPEST {
            return Err((Reason("bad_json"), Evidence::found("nested too deeply")));
        }
        at += 1;
    }
    Ok(())
}

fn number(json: &str) -> Result<(), Unfit> {
    if json.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return Ok(());
    }
    match json.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(()),
        _ => Err((Reason("bad_json"), Evidence::found("a number that no float holds"))),
    }
}

/// A line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Where it stands in the buffer, without its newline.
    Whole(Range<usize>),
    /// It was longer than any line that could hold a document, and was not kept.
    TooLong(u64),
    /// There are no more.
    End,
}

/// Lines out of blocks of bytes. The buffer grows with the longest line, up to a bound, and shrinks
/// again.
pub(crate) struct Lines {
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    longest: usize,
    ended: bool,
}

impl Lines {
    pub fn new(longest: usize) -> Lines {
        Lines { buffer: vec![0; BLOCK], at: 0, end: 0, longest, ended: false }
    }

    /// Whether no line follows the one that ends here.
    pub fn is_last(&self, end: usize) -> bool {
        self.ended && end == self.end
    }

    /// Whether there is nothing more to read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    pub fn line(&self, range: Range<usize>, first: bool) -> &[u8] {
        let line = &self.buffer[range];
        // A byte order mark at the start of a file belongs to no line.
        if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line }
    }

    pub fn next(&mut self, from: &mut impl Read) -> io::Result<Line> {
        let mut seen = self.at;
        loop {
            if let Some(newline) = memchr::memchr(b'\n', &self.buffer[seen..self.end]) {
                let range = self.at..seen + newline;
                self.at = range.end + 1;
                return Ok(Line::Whole(range));
            }
            seen = self.end;
            if self.ended {
                let range = self.at..self.end;
                self.at = self.end;
                return Ok(if range.is_empty() { Line::End } else { Line::Whole(range) });
            }
            if self.end - self.at > self.longest {
                return self.skip(from);
            }
            if self.at > 0 {
                self.buffer.copy_within(self.at..self.end, 0);
                seen -= self.at;
                self.end -= self.at;
                self.at = 0;
            }
            if self.end == self.buffer.len() {
                let most = self.longest.saturating_add(BLOCK);
                self.buffer.resize((2 * self.end).min(most).max(self.end + 1), 0);
            } else if self.end < BLOCK && self.buffer.len() > 16 * BLOCK {
                self.buffer.truncate(BLOCK);
                self.buffer.shrink_to_fit();
            }
            let read = from.read(&mut self.buffer[self.end..])?;
            self.end += read;
            self.ended = read == 0;
        }
    }

    /// Reads past a line that is too long, keeping none of it.
    fn skip(&mut self, from: &mut impl Read) -> io::Result<Line> {
        let mut bytes = (self.end - self.at) as u64;
        self.buffer = vec![0; BLOCK];
        loop {
            let read = from.read(&mut self.buffer)?;
            self.at = 0;
            self.end = read;
            if let Some(newline) = memchr::memchr(b'\n', &self.buffer[..read]) {
                self.at = newline + 1;
                return Ok(Line::TooLong(bytes + newline as u64));
            }
            bytes += read as u64;
            if read == 0 {
                self.ended = true;
                return Ok(Line::TooLong(bytes));
            }
        }
    }
}
