//! Where records begin and end.

use std::io::{self, Read};

use corpus::Evidence;
use memchr::memmem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::warc::Header;
use crate::warc::header::{Lines, strip};

/// Bytes that are decoded at once.
const BLOCK: usize = 256 << 10;

/// The longest header that is looked at. Common Crawl's have half a kilobyte; an address may be long.
const LONGEST_HEADER: usize = 256 << 10;

/// Bytes from a line's beginning that tell whether a record begins there.
const MARKER: usize = 32;

/// What ends a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    /// Its length, as its header says. Where no record follows, the length is wrong: the record is
    /// unusable, and the next one is looked for.
    #[default]
    Length,
    /// The next line that is `WARC/1.0`, as for cc_net, whatever the length. A page that has such a
    /// line ends there.
    Marker,
}

/// How a file's records are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// WARC, with what ends a record.
    Warc(Ends),
    /// ARC, its predecessor: a line, then as many bytes as it says.
    Arc,
}

/// What comes next in a file.
#[derive(Debug)]
pub(crate) enum Entry<'b> {
    /// A record.
    Record {
        /// Its header, the version first.
        header: Header<'b>,
        /// What it holds.
        content: &'b [u8],
        /// Bytes from its beginning to the next record's.
        bytes: u64,
        /// Whether the file ends with it.
        last: bool,
    },
    /// Bytes that are no record, up to where one begins.
    Broken {
        /// Why.
        reason: &'static str,
        /// What was seen.
        evidence: Evidence,
        /// How many bytes.
        bytes: u64,
        /// Whether the file ends in it.
        last: bool,
    },
    /// Nothing.
    End,
}

/// What [`Records::frame`] found, in bytes from where it began.
enum Frame {
    Record { header: usize, content: usize, end: usize },
    Broken { reason: &'static str, evidence: Evidence, from: usize },
    End,
}

/// Records out of blocks of bytes. The buffer grows with the longest record, up to a bound, and
/// shrinks again.
pub(crate) struct Records {
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    ended: bool,
    form: Form,
    /// The longest content that is looked at.
    longest: usize,
}

impl Records {
    pub fn new(form: Form, longest: usize) -> Records {
        Records { buffer: vec![0; BLOCK], at: 0, end: 0, ended: false, form, longest }
    }

    /// The next record, or what is in its place.
    pub fn next(&mut self, from: &mut impl Read) -> io::Result<Entry<'_>> {
        let frame = match self.form {
            Form::Warc(Ends::Length) => self.frame(from)?,
            Form::Warc(Ends::Marker) => self.frame_by_marker(from)?,
            Form::Arc => self.frame_of_arc(from)?,
        };
        match frame {
            Frame::End => Ok(Entry::End),
            Frame::Record { header, content, end } => {
                let start = self.at;
                self.at += end;
                let last = self.ended && self.rest().iter().all(|byte| is_end(*byte));
                let record = &self.buffer[start..self.at];
                let header = Header(&record[..header]);
                Ok(Entry::Record { header, content: &record[content..end], bytes: end as u64, last })
            }
            Frame::Broken { reason, evidence, from: start } => {
                let bytes = self.skip(from, start)?;
                Ok(Entry::Broken { reason, evidence, bytes, last: self.ended && self.at == self.end })
            }
        }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..self.end]
    }

    /// Has at least so many bytes at hand, or all that are left.
    fn reach(&mut self, from: &mut impl Read, wanted: usize) -> io::Result<()> {
        while self.end - self.at < wanted && !self.ended {
            if self.at > 0 && self.buffer.len() - self.at < wanted.max(BLOCK) {
                self.buffer.copy_within(self.at..self.end, 0);
                self.end -= self.at;
                self.at = 0;
            }
            if self.end == self.buffer.len() || self.buffer.len() < wanted {
                let larger = wanted.max((2 * self.buffer.len()).min(self.longest.saturating_add(BLOCK)));
                self.buffer.resize(larger.max(self.end + 1), 0);
            } else if self.buffer.len() > 16 * BLOCK && wanted < BLOCK && self.end < BLOCK && self.at == 0 {
                self.buffer.truncate(BLOCK);
                self.buffer.shrink_to_fit();
            }
            let read = from.read(&mut self.buffer[self.end..])?;
            self.end += read;
            self.ended = read == 0;
        }
        Ok(())
    }

    /// The record that begins here, by its length.
    fn frame(&mut self, from: &mut impl Read) -> io::Result<Frame> {
        self.pass_blank_lines(from)?;
        if self.rest().is_empty() {
            return Ok(Frame::End);
        }
        self.reach(from, MARKER)?;
        if !is_version(self.rest()) {
            return Ok(broken("not_warc", Evidence::found(shown(self.rest())), 1));
        }
        let mut looked = 0;
        let header = loop {
            if let Some(end) = header_end(self.rest(), looked) {
                break end;
            }
            let seen = self.rest().len();
            if self.ended {
                return Ok(broken("truncated_record", Evidence::found("the file ends inside a header"), 1));
            }
            if seen > LONGEST_HEADER {
                return Ok(broken("bad_warc_header", Evidence::bound(seen as f64, LONGEST_HEADER as f64), 1));
            }
            looked = seen.saturating_sub(2);
            self.reach(from, seen + 1)?;
        };
        if let Some(inner) = marker(&self.rest()[..header], 1) {
            return Ok(broken("bad_warc_header", Evidence::found("the next record begins in it"), inner));
        }
        let Some(length) = Header(&self.rest()[..header]).length() else {
            return Ok(broken("bad_warc_header", Evidence::found("no Content-Length"), header));
        };
        self.content(from, header, length)
    }

    /// The record that begins here, of ARC.
    fn frame_of_arc(&mut self, from: &mut impl Read) -> io::Result<Frame> {
        self.pass_blank_lines(from)?;
        if self.rest().is_empty() {
            return Ok(Frame::End);
        }
        self.reach(from, LONGEST_ARC_LINE)?;
        match arc_line(self.rest()) {
            Some((line, length)) => self.content(from, line, length),
            None => Ok(broken("not_warc", Evidence::found(shown(self.rest())), 1)),
        }
    }

    /// The record whose header has so many bytes and whose content has that length, if another
    /// record follows or the file ends.
    fn content(&mut self, from: &mut impl Read, header: usize, length: u64) -> io::Result<Frame> {
        if length > self.longest as u64 {
            return Ok(broken("too_large", Evidence::bound(length as f64, self.longest as f64), header));
        }
        let content_end = header + length as usize;
        let mut follow = content_end;
        loop {
            self.reach(from, follow + self.marker())?;
            let blank = self.rest().get(follow..).unwrap_or_default().iter().take_while(|byte| is_end(**byte)).count();
            follow += blank;
            if follow < self.rest().len() || self.ended || blank == 0 {
                break;
            }
        }
        self.reach(from, follow + self.marker())?;
        let rest = self.rest();
        if rest.len() < content_end {
            // Without a record in what is left, the file was cut; with one, the length is wrong.
            if self.next_marker(header).is_none() {
                let evidence = Evidence::bound((rest.len() - header) as f64, length as f64);
                return Ok(broken("truncated_record", evidence, header));
            }
        } else if follow == rest.len()
            || self.begins(&rest[follow..])
            || rest[content_end..].starts_with(b"\r\n\r\n") && self.form != Form::Arc
        {
            // What ends as a record does was whole, whatever comes after it.
            return Ok(Frame::Record { header, content: header, end: content_end });
        }
        let evidence = Evidence::found(format!("no record follows after {length} bytes"));
        Ok(broken("wrong_length", evidence, header))
    }

    /// The record that begins here, up to the next line that is `WARC/1.0`. What comes before the
    /// first blank line is its header, whatever it says.
    fn frame_by_marker(&mut self, from: &mut impl Read) -> io::Result<Frame> {
        self.reach(from, 1)?;
        if self.rest().is_empty() {
            return Ok(Frame::End);
        }
        let longest = self.longest;
        let mut wanted = BLOCK / 4;
        loop {
            self.reach(from, wanted)?;
            let rest = self.rest();
            // A line that may still go on is not looked at.
            let whole = if self.ended { rest.len() } else { whole_lines(rest) };
            let header = blank_line(&rest[..whole]);
            if let Some((header, content)) = header
                && let Some(end) = marker_line(&rest[..whole], content)
            {
                return Ok(Frame::Record { header, content, end });
            }
            if self.ended {
                let (header, content) = header.unwrap_or((whole, whole));
                return Ok(Frame::Record { header, content, end: whole });
            }
            if rest.len() > longest {
                let evidence = Evidence::bound(rest.len() as f64, longest as f64);
                return Ok(broken("too_large", evidence, header.map_or(1, |(_, content)| content)));
            }
            wanted = rest.len() * 2;
        }
    }

    /// Bytes from a line's beginning that tell whether a record begins there.
    fn marker(&self) -> usize {
        if self.form == Form::Arc { LONGEST_ARC_LINE } else { 2 * MARKER }
    }

    fn begins(&self, bytes: &[u8]) -> bool {
        if self.form == Form::Arc { arc_line(bytes).is_some() } else { is_version(bytes) }
    }

    fn next_marker(&self, start: usize) -> Option<usize> {
        match self.form {
            Form::Warc(Ends::Length) => marker(self.rest(), start),
            Form::Warc(Ends::Marker) => marker_line(self.rest(), start),
            Form::Arc => arc_marker(self.rest(), start),
        }
    }

    /// Passes what stands between records.
    fn pass_blank_lines(&mut self, from: &mut impl Read) -> io::Result<()> {
        loop {
            self.reach(from, 1)?;
            let blank = self.rest().iter().take_while(|byte| is_end(**byte)).count();
            self.at += blank;
            if blank == 0 {
                return Ok(());
            }
        }
    }

    /// Goes to where the next record begins, from so many bytes ahead; how many were passed.
    fn skip(&mut self, from: &mut impl Read, ahead: usize) -> io::Result<u64> {
        let mut passed = 0;
        let mut ahead = ahead;
        loop {
            self.reach(from, ahead + BLOCK / 2)?;
            let found = self.next_marker(ahead);
            let to = match found {
                Some(to) => to,
                None if self.ended => self.rest().len(),
                // A marker, and the line end before it, may be cut in two here.
                None => self.rest().len().saturating_sub(self.marker()).max(ahead.min(self.rest().len())),
            };
            self.at += to;
            passed += to as u64;
            if found.is_some() || self.ended {
                return Ok(passed);
            }
            // What begins here was looked at.
            ahead = 1;
        }
    }
}

fn broken(reason: &'static str, evidence: Evidence, from: usize) -> Frame {
    Frame::Broken { reason, evidence, from }
}

fn is_end(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

/// The first bytes of what is no record, for people.
fn shown(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| is_end(*byte)).next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned()
}

/// Whether a record's first line begins here: `WARC/1.0`, `WARC/1.1`, `WARC/0.18`.
fn is_version(bytes: &[u8]) -> bool {
    version_width(bytes).is_some()
}

/// The width of the version and its line's end.
fn version_width(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.strip_prefix(b"WARC/")?;
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).take(3).count();
    let major = digits(rest);
    if major == 0 || rest.get(major) != Some(&b'.') {
        return None;
    }
    let minor = digits(&rest[major + 1..]);
    let width = 5 + major + 1 + minor;
    match (minor, bytes.get(width..)?) {
        (0, _) => None,
        (_, [b'\r', b'\n', ..]) => Some(width + 2),
        (_, [b'\n', ..]) => Some(width + 1),
        _ => None,
    }
}

/// The first place from `start` on where a line begins that is a record's first: the line after it
/// is a field that records have.
fn marker(bytes: &[u8], start: usize) -> Option<usize> {
    let first = start.min(bytes.len());
    for found in memmem::find_iter(&bytes[first..], b"WARC/") {
        let at = first + found;
        if at > 0 && !is_end(bytes[at - 1]) {
            continue;
        }
        let Some(width) = version_width(&bytes[at..]) else { continue };
        let next = &bytes[at + width..];
        let begins = |with: &[u8]| next.len() >= with.len() && next[..with.len()].eq_ignore_ascii_case(with);
        if begins(b"WARC-") || begins(b"Content-") {
            return Some(at);
        }
    }
    None
}

/// The longest line of ARC that is looked at.
const LONGEST_ARC_LINE: usize = 8 << 10;

/// The width of a line that begins a record of ARC, and the length that it tells: `URL IP-address
/// Archive-date Content-type Archive-length`, or with five fields more before the last.
fn arc_line(bytes: &[u8]) -> Option<(usize, u64)> {
    let end = memchr::memchr(b'\n', &bytes[..bytes.len().min(LONGEST_ARC_LINE)])?;
    let line = std::str::from_utf8(bytes[..end].trim_ascii_end()).ok()?;
    let fields: Vec<&str> = line.split(' ').collect();
    let is_time = |time: &str| (12..=14).contains(&time.len()) && time.bytes().all(|digit| digit.is_ascii_digit());
    if !matches!(fields.len(), 5 | 10) || !fields[0].contains(':') || !is_time(fields[2]) {
        return None;
    }
    let length = fields.last().filter(|length| length.bytes().all(|digit| digit.is_ascii_digit()))?;
    Some((end + 1, length.parse().ok()?))
}

/// The first place from `start` on where a record of ARC begins.
fn arc_marker(bytes: &[u8], start: usize) -> Option<usize> {
    let first = start.min(bytes.len());
    let before = first.saturating_sub(1);
    memchr::memchr_iter(b'\n', &bytes[before..])
        .map(|end| before + end + 1)
        .find(|at| *at >= first && arc_line(&bytes[*at..]).is_some())
}

/// Where a header ends, its blank line included; `looked` bytes of it were looked at before.
fn header_end(bytes: &[u8], looked: usize) -> Option<usize> {
    let mut at = looked;
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        at += found + 1;
        match &bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// How many of these bytes are lines that have ended, with what follows a `\r` known.
fn whole_lines(bytes: &[u8]) -> usize {
    match bytes {
        [before @ .., b'\r'] => whole_lines(before),
        _ => memchr::memrchr2(b'\n', b'\r', bytes).map_or(0, |at| at + 1),
    }
}

/// Where the first blank line begins, and where the line after it does.
fn blank_line(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut lines = Lines(bytes);
    loop {
        let begin = bytes.len() - lines.0.len();
        let line = lines.next()?;
        if is_blank(line) {
            return Some((begin, bytes.len() - lines.0.len()));
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| strip(line).is_empty())
}

/// Where the first line from `start` on begins that is `WARC/1.0` with nothing but white space
/// around it.
fn marker_line(bytes: &[u8], start: usize) -> Option<usize> {
    for found in memmem::find_iter(&bytes[start.min(bytes.len())..], b"WARC/1.0") {
        let at = start + found;
        let begin = memchr::memrchr2(b'\n', b'\r', &bytes[..at]).map_or(0, |end| end + 1);
        let end = memchr::memchr2(b'\n', b'\r', &bytes[at..]).map_or(bytes.len(), |end| at + end);
        if begin >= start && is_blank(&bytes[begin..at]) && is_blank(&bytes[at + 8..end]) {
            return Some(begin);
        }
    }
    None
}
