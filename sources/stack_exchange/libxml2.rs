//! HTML as libxml2 2.10 reads it: which tags it sees, opens, closes and ignores, and what is text.
//!
//! The original cleaned posts with BeautifulSoup over lxml 4.9.4. Its text depends on where text
//! nodes begin and end, and so on which tags libxml2 takes and which it passes over. This is its
//! behaviour as it was observed, in one pass and without a tree.

use super::elements::{Tag, element};
use super::entities;

/// What is told of a fragment while it is read, in order.
pub trait Tree {
    /// More text of the current text node.
    fn text(&mut self, text: &str);
    /// An element begins; its attributes as they are written.
    fn start(&mut self, tag: &Tag<'_>, attributes: &str);
    /// An element ends.
    fn end(&mut self, tag: &Tag<'_>);
    /// The text that a name stands for; libxml2 knows the names of HTML 4.
    fn named(&self, name: &str) -> Option<Named> {
        entities::character(name).map(Named::One)
    }
    /// A comment or the like: not text, but the text node before it ends.
    fn apart(&mut self);
}

/// What a name stands for.
pub enum Named {
    /// A character.
    One(char),
    /// A character or two.
    Some(&'static str),
}

/// Reads a fragment of HTML.
pub fn read(html: &str, tree: &mut impl Tree) {
    let mut reader = Reader { html, at: 0, open: Vec::with_capacity(16), body: false, head: false, misplaced: 0, tree };
    reader.before();
    reader.content();
    while let Some(tag) = reader.open.pop() {
        reader.tree.end(&tag);
    }
}

struct Reader<'h, 't, T> {
    html: &'h str,
    at: usize,
    open: Vec<Tag<'h>>,
    /// Whether there was a body, a head.
    body: bool,
    head: bool,
    /// `<html>`, `<head>` and `<body>` that were passed over: so are as many of their ends.
    misplaced: u32,
    tree: &'t mut T,
}

fn blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a name of XML can begin so, for all that one byte tells.
fn begins_name(byte: &u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || !byte.is_ascii()
}

impl<'h, T: Tree> Reader<'h, '_, T> {
    fn rest(&self) -> &'h [u8] {
        &self.html.as_bytes()[self.at..]
    }

    fn byte(&self) -> Option<u8> {
        self.html.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().iter().take_while(|byte| blank(**byte)).count();
    }

    /// Skips to a byte, which is not skipped itself.
    fn skip_to(&mut self, byte: u8) {
        self.at += memchr::memchr(byte, self.rest()).unwrap_or(self.rest().len());
    }

    /// What stands before any element: white space counts for nothing.
    fn before(&mut self) {
        loop {
            self.skip_blanks();
            let bogus = self.rest().starts_with(b"<!") && !self.rest().starts_with(b"<!--") && !self.at_doctype();
            if bogus || !self.declaration() {
                return;
            }
        }
    }

    fn at_doctype(&self) -> bool {
        self.rest().get(..9).is_some_and(|rest| rest.eq_ignore_ascii_case(b"<!doctype"))
    }

    /// A comment, a document type, a processing instruction, or something else after `<!`.
    fn declaration(&mut self) -> bool {
        let rest = self.rest();
        if rest.starts_with(b"<!--") {
            self.comment();
        } else if self.at_doctype() {
            self.skip_to(b'>');
            self.at = self.html.len().min(self.at + 1);
            self.tree.apart();
        } else if rest.starts_with(b"<?") {
            self.at += 2;
            if self.html[self.at..].starts_with(|first: char| first.is_alphabetic() || matches!(first, '_' | ':')) {
                self.tree.apart();
                self.skip_to(b'>');
                self.at = self.html.len().min(self.at + 1);
            }
        } else if rest.starts_with(b"<!") {
            self.skip_to(b'>');
            self.at = self.html.len().min(self.at + 1);
        } else {
            return false;
        }
        true
    }

    fn comment(&mut self) {
        self.tree.apart();
        self.at += 4;
        let rest = self.rest();
        let abrupt = if rest.starts_with(b">") { 1 } else { 2 };
        if rest.starts_with(b">") || rest.starts_with(b"->") {
            self.at += abrupt;
            return;
        }
        let mut from = 0;
        while let Some(dashes) = memchr::memmem::find(&rest[from..], b"--") {
            let end = from + dashes;
            if rest[end + 2..].starts_with(b">") || rest[end + 2..].starts_with(b"!>") {
                self.at += end + if rest[end + 2] == b'>' { 3 } else { 4 };
                return;
            }
            from = end + 1;
        }
        self.at = self.html.len();
    }

    fn content(&mut self) {
        loop {
            let rest = self.rest();
            match rest {
                // The parser waits for more than these, and none comes.
                [] | [b'<' | b'&'] => return,
                [b'<', b'!', ..] if rest.len() < 4 => return,
                _ if self.in_raw_text() => {
                    self.raw_text();
                    if self.rest().starts_with(b"</") {
                        self.end_tag();
                    }
                }
                [b'<', b'!' | b'?', ..] => {
                    self.declaration();
                }
                [b'<', b'/', ..] => {
                    self.end_tag();
                    if self.open.is_empty() {
                        return self.behind();
                    }
                }
                [b'<', next, ..] if next.is_ascii_alphabetic() || matches!(next, b'_' | b':' | b'.') => {
                    self.start_tag();
                }
                [b'<', ..] => {
                    self.tree.text("<");
                    self.at += 1;
                }
                _ => self.text(),
            }
        }
    }

    fn in_raw_text(&self) -> bool {
        self.open.last().is_some_and(|tag| matches!(tag.known(), "script" | "style"))
    }

    /// The content of a script or a style sheet, up to its end tag.
    fn raw_text(&mut self) {
        let Some(tag) = self.open.last() else { return };
        let name = tag.name.as_bytes();
        let start = self.at;
        loop {
            let Some(end) = memchr::memmem::find(self.rest(), b"</") else {
                self.at = self.html.len();
                break;
            };
            self.at += end;
            let after = &self.rest()[2..];
            if after.len() >= name.len() && after[..name.len()].eq_ignore_ascii_case(name) {
                break;
            }
            self.at += 2;
        }
        self.tree.text(&self.html[start..self.at]);
    }

    /// Text up to the next `<`, with its references.
    fn text(&mut self) {
        loop {
            let rest = self.rest();
            let length = memchr::memchr2(b'<', b'&', rest).unwrap_or(rest.len());
            if length > 0 {
                self.plain(length);
            }
            match self.byte() {
                Some(b'&') => self.reference(),
                _ => return,
            }
        }
    }

    /// So many bytes of text without references.
    fn plain(&mut self, length: usize) {
        let text = &self.html[self.at..self.at + length];
        if !text.bytes().all(blank) || self.rest().get(length) == Some(&b'&') {
            self.paragraph();
        }
        self.tree.text(text);
        self.at += length;
    }

    fn reference(&mut self) {
        let rest = self.rest();
        if rest.starts_with(b"&#") {
            if let Some(character) = self.numbered() {
                self.paragraph();
                self.tree.text(character.encode_utf8(&mut [0; 4]));
            }
            return;
        }
        self.paragraph();
        let inner = |byte: &u8| begins_name(byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let length = match rest.get(1) {
            Some(byte) if begins_name(byte) => rest[1..].iter().take_while(|byte| inner(byte)).count(),
            _ => 0,
        };
        let name = &self.html[self.at + 1..self.at + 1 + length];
        if rest.get(1 + length) == Some(&b';')
            && let Some(meaning) = self.tree.named(name)
        {
            match meaning {
                Named::One(character) => self.tree.text(character.encode_utf8(&mut [0; 4])),
                Named::Some(text) => self.tree.text(text),
            }
            self.at += length + 2;
            return;
        }
        self.tree.text(&self.html[self.at..self.at + 1 + length]);
        self.at += 1 + length;
    }

    /// A character by its number. What is no number or no character of XML is left out.
    fn numbered(&mut self) -> Option<char> {
        let rest = self.rest();
        let hexadecimal = matches!(rest.get(2), Some(b'x' | b'X'));
        self.at += if hexadecimal { 3 } else { 2 };
        let radix = if hexadecimal { 16 } else { 10 };
        let mut value = 0u32;
        while let Some(digit) = self.byte().and_then(|byte| char::from(byte).to_digit(radix)) {
            if value < 0x11_0000 {
                value = value * radix + digit;
            }
            self.at += 1;
        }
        if self.byte() == Some(b';') {
            self.at += 1;
        }
        let is_xml = |character: &char| match character {
            '\t' | '\n' | '\r' => true,
            '\u{fffe}' | '\u{ffff}' => false,
            other => *other >= ' ',
        };
        char::from_u32(value).filter(is_xml)
    }

    /// Text that stands nowhere is put into a paragraph.
    fn paragraph(&mut self) {
        if self.open.last().is_none_or(|tag| matches!(tag.known(), "html" | "head")) {
            self.begin(Tag::new("p"), "");
        }
    }

    /// Begins an element, after what it ends and what must stand around it.
    fn begin(&mut self, tag: Tag<'h>, attributes: &str) {
        self.make_room(&tag);
        self.push(tag, attributes);
    }

    fn push(&mut self, tag: Tag<'h>, attributes: &str) {
        self.body |= tag.known() == "body";
        self.head |= matches!(tag.known(), "head" | "body");
        self.open.push(tag);
        self.tree.start(&tag, attributes);
    }

    fn make_room(&mut self, tag: &Tag<'h>) {
        while let (Some(last), Some(new)) = (self.open.last(), tag.known)
            && element(last).ended_by & (1 << new) != 0
        {
            self.pop();
        }
        let name = tag.known();
        if name == "html" {
            return;
        }
        if self.open.is_empty() {
            self.push(Tag::new("html"), "");
        }
        match name {
            "body" | "frameset" => {}
            "script" | "style" | "meta" | "link" | "title" | "base" if self.open.len() <= 1 => {
                if !self.head {
                    self.push(Tag::new("head"), "");
                }
            }
            "noframes" | "frame" => {}
            _ => {
                if !self.body && !self.open.iter().any(|tag| matches!(tag.known(), "body" | "head")) {
                    self.push(Tag::new("body"), "");
                }
            }
        }
    }

    fn pop(&mut self) {
        if let Some(tag) = self.open.pop() {
            self.tree.end(&tag);
        }
    }

    fn name(&mut self) -> Option<Tag<'h>> {
        let rest = self.rest();
        let first = *rest.first()?;
        if !first.is_ascii_alphabetic() && !matches!(first, b'_' | b':' | b'.') {
            return None;
        }
        let inner = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.');
        // A longer name is cut here, and the rest of it is taken for attributes.
        let length = rest.iter().take(100).take_while(inner).count();
        let name = &self.html[self.at..self.at + length];
        self.at += length;
        Some(Tag::new(name))
    }

    fn start_tag(&mut self) {
        self.at += 1;
        let Some(tag) = self.name() else { return };
        self.make_room(&tag);
        let known = tag.known();
        let misplaced = match known {
            "html" => !self.open.is_empty(),
            "head" => self.open.len() != 1,
            "body" => self.open.iter().any(|tag| tag.known() == "body"),
            _ => false,
        };
        if misplaced {
            self.misplaced += 1;
        }
        let start = self.at;
        self.attributes();
        let attributes = &self.html[start..self.at];
        if !misplaced {
            self.push(tag, attributes);
        }
        let Some(last) = self.open.last().copied() else { return };
        if self.rest().starts_with(b"/>") {
            self.at += 2;
            self.pop();
            return;
        }
        if self.byte() != Some(b'>') {
            self.pop();
            return;
        }
        self.at += 1;
        if element(&last).empty {
            self.pop();
        }
    }

    /// Skips attributes, to the end of their tag.
    fn attributes(&mut self) {
        self.skip_blanks();
        while let Some(byte) = self.byte()
            && byte != b'>'
            && !self.rest().starts_with(b"/>")
        {
            if self.name().is_some() {
                self.skip_blanks();
                if self.byte() == Some(b'=') {
                    self.at += 1;
                    self.skip_blanks();
                    self.value();
                }
            } else {
                while let Some(byte) = self.byte()
                    && !blank(byte)
                    && byte != b'>'
                    && !self.rest().starts_with(b"/>")
                {
                    self.at += 1;
                }
            }
            self.skip_blanks();
        }
    }

    fn value(&mut self) {
        match self.byte() {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                self.skip_to(quote);
                self.at = self.html.len().min(self.at + 1);
            }
            _ => self.at += self.rest().iter().take_while(|byte| !blank(**byte) && **byte != b'>').count(),
        }
    }

    /// What follows when nothing is open any more: comments, and two runs of text that begin with
    /// white space, one for each of the calls that lxml makes. The rest is lost.
    fn behind(&mut self) {
        let mut runs = 0;
        while runs < 2 {
            match self.rest() {
                [first, ..] if blank(*first) => {
                    let rest = self.rest();
                    let length = memchr::memchr2(b'<', b'&', rest).unwrap_or(rest.len());
                    self.plain(length);
                    runs += 1;
                }
                [b'<', b'!', b'-', b'-', ..] | [b'<', b'?', ..] => {
                    self.declaration();
                }
                _ => return,
            }
        }
    }

    fn end_tag(&mut self) {
        self.at += 2;
        let Some(tag) = self.name() else { return };
        self.skip_to(b'>');
        self.at = self.html.len().min(self.at + 1);
        if self.misplaced > 0 && matches!(tag.known(), "html" | "head" | "body") {
            self.misplaced -= 1;
            return;
        }
        let weight = element(&tag).weight;
        let mut place = None;
        for (at, open) in self.open.iter().enumerate().rev() {
            if open.is(&tag) {
                place = Some(at);
                break;
            }
            if element(open).weight > weight {
                break;
            }
        }
        if let Some(place) = place {
            while self.open.len() > place {
                self.pop();
            }
        }
    }
}
