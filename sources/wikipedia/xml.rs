//! XML as dumps have it, piece by piece, in bounded memory: whatever the bytes are.

use std::borrow::Cow;
use std::io::{self, Read};
use std::ops::Range;

/// Bytes that are decoded at once.
const BLOCK: usize = 256 << 10;

/// The longest tag; dumps have tags of some hundred bytes.
const LONGEST_TAG: usize = 64 << 10;

/// A piece of a file. Its bytes are those of [`Xml::bytes`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// `<name attributes>`, between its brackets.
    Start(Range<usize>),
    /// `<name attributes/>`, between its brackets and without the slash.
    Empty(Range<usize>),
    /// `</name>`, the name alone.
    End(Range<usize>),
    /// Text, with its entities.
    Text(Range<usize>),
    /// `<![CDATA[ … ]]>`, whose contents have no entities.
    Literal(Range<usize>),
    /// Text or a tag that is longer than it may be: so many bytes that were not kept.
    TooLong(u64),
    /// There is no more.
    EndOfFile,
}

/// Pieces out of blocks of bytes. The buffer grows with the longest text, up to a bound, and shrinks
/// again.
pub(super) struct Xml<R> {
    from: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    ended: bool,
    /// Bytes before the buffer.
    before: u64,
    longest: usize,
}

impl<R: Read> Xml<R> {
    pub fn new(from: R, longest: usize) -> Xml<R> {
        Xml { from, buffer: vec![0; BLOCK], at: 0, end: 0, ended: false, before: 0, longest: longest.max(LONGEST_TAG) }
    }

    /// Bytes that were read so far.
    pub fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    pub fn longest(&self) -> usize {
        self.longest
    }

    /// What comes next within an element that holds text: its end is taken, any other tag is left.
    pub fn peek_text(&mut self) -> io::Result<Piece> {
        while self.end - self.at < 9 && self.fill()? {}
        match &self.buffer[self.at..self.end] {
            [b'<', b'/' | b'!' | b'?', ..] => self.next(),
            [b'<', ..] => Ok(Piece::EndOfFile),
            _ => self.next(),
        }
    }

    /// What comes next. The bytes of pieces before may be gone.
    pub fn next(&mut self) -> io::Result<Piece> {
        loop {
            if self.at == self.end && !self.fill()? {
                return Ok(Piece::EndOfFile);
            }
            if self.buffer[self.at] != b'<' {
                return self.text();
            }
            while self.end - self.at < 9 && self.fill()? {}
            let rest = &self.buffer[self.at..self.end];
            if rest.starts_with(b"<!--") {
                if let Some(piece) = self.until(4, b"-->", false)? {
                    return Ok(piece);
                }
            } else if rest.starts_with(b"<![CDATA[") {
                let piece = self.until(9, b"]]>", true)?;
                return Ok(piece.unwrap_or(Piece::EndOfFile));
            } else if rest.starts_with(b"<?") {
                if let Some(piece) = self.until(2, b"?>", false)? {
                    return Ok(piece);
                }
            } else {
                return self.tag();
            }
        }
    }

    fn text(&mut self) -> io::Result<Piece> {
        let mut seen = self.at;
        loop {
            if let Some(open) = memchr::memchr(b'<', &self.buffer[seen..self.end]) {
                let range = self.at..seen + open;
                self.at = range.end;
                return Ok(Piece::Text(range));
            }
            if self.end - self.at > self.longest {
                let start = self.offset();
                self.skip(b"<")?;
                return Ok(Piece::TooLong(self.offset() - start));
            }
            let length = self.end - self.at;
            if !self.fill()? {
                let range = self.at..self.end;
                self.at = self.end;
                return Ok(Piece::Text(range));
            }
            seen = self.at + length;
        }
    }

    fn tag(&mut self) -> io::Result<Piece> {
        let mut seen = 1;
        loop {
            let found = memchr::memchr(b'>', &self.buffer[self.at + seen..self.end]);
            if let Some(close) = found.filter(|close| seen + close <= LONGEST_TAG) {
                let (from, to) = (self.at + 1, self.at + seen + close);
                self.at = to + 1;
                return Ok(match &self.buffer[from..to] {
                    [b'/', ..] => Piece::End(from + 1..to),
                    [.., b'/'] => Piece::Empty(from..to - 1),
                    _ => Piece::Start(from..to),
                });
            }
            seen = self.end - self.at;
            if found.is_some() || seen > LONGEST_TAG || !self.fill()? {
                // No tag: a bracket that stands alone, as text.
                let range = self.at..self.at + 1;
                self.at += 1;
                return Ok(Piece::Text(range));
            }
        }
    }

    /// Reads up to `close`; nothing of it is kept unless it is `wanted`.
    fn until(&mut self, opening: usize, close: &[u8], wanted: bool) -> io::Result<Option<Piece>> {
        if !wanted {
            self.at += opening;
            self.skip(close)?;
            self.at = (self.at + close.len()).min(self.end);
            return Ok(None);
        }
        let mut seen = opening;
        loop {
            if let Some(found) = memchr::memmem::find(&self.buffer[self.at + seen..self.end], close) {
                let range = self.at + opening..self.at + seen + found;
                self.at = range.end + close.len();
                return Ok(Some(Piece::Literal(range)));
            }
            if self.end - self.at > self.longest {
                let start = self.offset();
                self.skip(close)?;
                self.at = (self.at + close.len()).min(self.end);
                return Ok(Some(Piece::TooLong(self.offset() - start)));
            }
            seen = (self.end - self.at).saturating_sub(close.len()).max(opening);
            if !self.fill()? {
                let range = self.at + opening.min(self.end - self.at)..self.end;
                self.at = self.end;
                return Ok(Some(Piece::Literal(range)));
            }
        }
    }

    /// Goes to the next `mark`, or to the end, keeping nothing.
    fn skip(&mut self, mark: &[u8]) -> io::Result<()> {
        loop {
            if let Some(found) = memchr::memmem::find(&self.buffer[self.at..self.end], mark) {
                self.at += found;
                return Ok(());
            }
            self.at = self.end.saturating_sub(mark.len() - 1).max(self.at);
            if !self.fill()? {
                self.at = self.end;
                return Ok(());
            }
        }
    }

    /// Reads more behind what is there; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.at > 0 {
            self.buffer.copy_within(self.at..self.end, 0);
            self.before += self.at as u64;
            self.end -= self.at;
            self.at = 0;
        }
        if self.end == self.buffer.len() {
            let most = self.longest.saturating_add(2 * BLOCK);
            self.buffer.resize((2 * self.end).min(most).max(self.end + BLOCK), 0);
        } else if self.end < BLOCK && self.buffer.len() > 16 * BLOCK {
            self.buffer.truncate(BLOCK);
            self.buffer.shrink_to_fit();
        }
        let read = self.from.read(&mut self.buffer[self.end..])?;
        self.end += read;
        self.ended = read == 0;
        Ok(read > 0)
    }
}

/// The name of a tag, without the prefix of its namespace.
pub(super) fn name(tag: &[u8]) -> &[u8] {
    let end = tag.iter().position(u8::is_ascii_whitespace).unwrap_or(tag.len());
    let name = &tag[..end];
    &name[name.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1)..]
}

/// The value of an attribute, as it is written.
pub(super) fn attribute<'t>(tag: &'t [u8], name: &str) -> Option<&'t str> {
    let tag = std::str::from_utf8(tag).ok()?;
    let at = tag.match_indices(name).find(|(at, _)| {
        *at > 0 && tag.as_bytes()[at - 1].is_ascii_whitespace() && tag[at + name.len()..].trim_start().starts_with('=')
    });
    let value = tag[at?.0 + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split(quote).next()
}

/// Text without its entities and with `\n` for each end of a line.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let Some(first) = memchr::memchr2(b'&', b'\r', bytes) else { return Cow::Borrowed(text) };
    let mut decoded = String::with_capacity(text.len());
    decoded.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = memchr::memchr2(b'&', b'\r', rest.as_bytes()) {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let (character, width) = match rest.as_bytes() {
            [b'\r', b'\n', ..] => ('\n', 2),
            [b'\r', ..] => ('\n', 1),
            [b'&', b'l', b't', b';', ..] => ('<', 4),
            [b'&', b'g', b't', b';', ..] => ('>', 4),
            [b'&', b'a', b'm', b'p', b';', ..] => ('&', 5),
            [b'&', b'q', b'u', b'o', b't', b';', ..] => ('"', 6),
            [b'&', b'a', b'p', b'o', b's', b';', ..] => ('\'', 6),
            [b'&', b'#', ..] => super::entities::decode(rest.as_bytes()).unwrap_or(('&', 1)),
            _ => ('&', 1),
        };
        decoded.push(character);
        rest = &rest[width..];
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// UTF-16 as UTF-8; half a pair is U+FFFD.
pub(super) struct Utf16<R> {
    from: R,
    big_endian: bool,
    bytes: Vec<u8>,
    text: Vec<u8>,
    at: usize,
}

impl<R: Read> Utf16<R> {
    pub fn new(from: R, big_endian: bool) -> Utf16<R> {
        Utf16 { from, big_endian, bytes: Vec::new(), text: Vec::new(), at: 0 }
    }

    fn more(&mut self) -> io::Result<()> {
        let kept = self.bytes.len();
        self.bytes.resize(kept + (64 << 10), 0);
        let read = self.from.read(&mut self.bytes[kept..])?;
        self.bytes.truncate(kept + read);
        // Half a unit or half a pair waits for what comes, unless nothing comes.
        let mut whole = self.bytes.len() & !1;
        let unit = |pair: &[u8]| match self.big_endian {
            true => u16::from_be_bytes([pair[0], pair[1]]),
            false => u16::from_le_bytes([pair[0], pair[1]]),
        };
        if read > 0 && whole >= 2 && (0xd800..0xdc00).contains(&unit(&self.bytes[whole - 2..whole])) {
            whole -= 2;
        }
        self.text.clear();
        self.at = 0;
        let units = self.bytes[..whole].chunks_exact(2).map(unit);
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.bytes.drain(..whole);
        if read == 0 {
            self.bytes.clear();
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            let waiting = self.bytes.len();
            self.more()?;
            if self.text.is_empty() && self.bytes.len() <= waiting {
                return Ok(0);
            }
        }
        let taken = into.len().min(self.text.len() - self.at);
        into[..taken].copy_from_slice(&self.text[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}
