//! Templates, links, addresses, headings, entities, comments, bold and italics.

use super::entities;
use super::inside::*;
use super::markup::{Closing, Failed, HeadingEnd, Kind, Node, Reader, Tried};

/// Left braces that are looked at together.
const MOST_BRACES: usize = 255;

/// Schemes of web addresses, and whether one works without `//` alone: MediaWiki's own list
/// (`$wgUrlProtocols` in includes/DefaultSettings.php).
const SCHEMES: [(&str, bool); 27] = [
    ("bitcoin", false),
    ("ftp", true),
    ("ftps", true),
    ("geo", false),
    ("git", true),
    ("gopher", true),
    ("http", true),
    ("https", true),
    ("irc", true),
    ("ircs", true),
    ("magnet", false),
    ("mailto", false),
    ("mms", true),
    ("news", false),
    ("nntp", true),
    ("redis", true),
    ("sftp", true),
    ("sip", false),
    ("sips", false),
    ("sms", false),
    ("ssh", true),
    ("svn", true),
    ("tel", false),
    ("telnet", true),
    ("urn", false),
    ("worldwind", true),
    ("xmpp", false),
];

fn is_scheme(scheme: &[u8], slashes: bool) -> bool {
    SCHEMES.iter().any(|(known, needs)| known.as_bytes().eq_ignore_ascii_case(scheme) && (slashes || !needs))
}

impl Reader<'_> {
    /// `{{`, and more of them: templates and arguments within each other, from the innermost.
    pub fn braces(&mut self) -> Tried {
        let start = self.at;
        while self.byte(0) == b'{' && self.at - start < MOST_BRACES {
            self.at += 1;
        }
        let mut braces = self.at - start;
        self.push(0);
        let first = self.nodes.len();
        let mut has_template = 0;
        while braces > 0 {
            if !self.step() {
                return self.fail();
            }
            if braces >= 3 && self.argument(first) {
                braces -= 3;
            } else if braces >= 2 && self.template(first, start + braces - 2, has_template) {
                braces -= 2;
            } else {
                // The outermost are text, before what is inside of them.
                let inner = self.nodes.split_off(first);
                self.frames.pop();
                self.closed = self.nodes.len().min(self.closed);
                self.text(start, start + braces);
                self.nodes.extend(inner);
                self.closed = self.nodes.len();
                return Ok(());
            }
            has_template = HAS_TEMPLATE;
        }
        self.pop();
        self.set_inside(self.inside() & !NOTHING_NEXT);
        Ok(())
    }

    /// The rest of `{{{name|default}}}`, if it is one. Nodes from `first` on are its beginning.
    fn argument(&mut self, first: usize) -> bool {
        let start = self.at;
        if !self.may_close(Closing::Braces) {
            return false;
        }
        let Ok(frame) = self.try_inside(ARGUMENT_NAME) else {
            self.at = start;
            return false;
        };
        // Of the name nothing is shown.
        let second = frame.second.unwrap_or(self.nodes.len());
        self.nodes.drain(first..second);
        self.wrap(first, Kind::Argument);
        true
    }

    /// The rest of `{{name|…}}`, if it is one.
    fn template(&mut self, first: usize, from: usize, has_template: Inside) -> bool {
        let start = self.at;
        if !self.may_close(Closing::Braces) || self.try_inside(TEMPLATE_NAME | has_template).is_err() {
            self.at = start;
            return false;
        }
        self.cut(first);
        self.leaf(Kind::Template { from: from as u32, to: self.at as u32 });
        true
    }

    pub(super) fn template_separator(&mut self) -> Tried {
        let inside = self.inside();
        if inside & TEMPLATE_NAME != 0 {
            if inside & (HAS_TEXT | HAS_TEMPLATE) == 0 {
                return self.fail();
            }
            self.set_inside(inside ^ TEMPLATE_NAME);
        } else if inside & TEMPLATE_VALUE != 0 {
            self.set_inside(inside ^ TEMPLATE_VALUE);
        } else {
            self.pop();
        }
        let inside = self.inside() | TEMPLATE_KEY;
        self.set_inside(inside);
        self.push(inside);
        self.at += 1;
        Ok(())
    }

    pub(super) fn template_end(&mut self) -> Tried {
        let inside = self.inside();
        if inside & TEMPLATE_NAME != 0 {
            if inside & (HAS_TEXT | HAS_TEMPLATE) == 0 {
                return self.fail();
            }
        } else if inside & TEMPLATE_KEY != 0 {
            self.pop();
        }
        self.at += 2;
        Ok(())
    }

    /// `[[`.
    pub(super) fn link(&mut self) {
        let start = self.at;
        let first = self.nodes.len();
        self.at += 2;
        if self.bracketed_address().is_ok() {
            if self.inside() & ADDRESS_TITLE != 0 {
                self.cut(first);
                self.at = start;
                self.take(2);
                return;
            }
            // `[[http://a b]]` is an address in brackets of text.
            let inner = self.nodes.split_off(first);
            self.closed = self.closed.min(first);
            self.text(start, start + 1);
            self.nodes.extend(inner);
            self.closed = self.nodes.len();
            return;
        }
        self.at = start + 2;
        let tried = if self.may_close(Closing::Brackets) { self.try_inside(LINK_TITLE) } else { Err(Failed(0)) };
        let Ok(frame) = tried else {
            self.at = start;
            self.take(2);
            return;
        };
        let title = (start as u32 + 2, if frame.second.is_some() { frame.name.1 } else { self.at as u32 - 2 });
        // The title's nodes are shown where there is no text.
        self.nodes.drain(first..frame.second.unwrap_or(first));
        self.wrap(first, Kind::Link { from: title.0, to: title.1 });
    }

    pub(super) fn link_separator(&mut self) {
        let (at, second) = (self.at as u32, self.nodes.len());
        if let Some(frame) = self.frames.last_mut() {
            frame.inside = (frame.inside ^ LINK_TITLE) | LINK_TEXT;
            frame.second = Some(second);
            frame.name = (0, at);
        }
        self.closed = second;
        self.at += 1;
    }

    /// `[address title]` or an address in the middle of text, whose `:` this is.
    pub(super) fn address(&mut self, brackets: bool) {
        if self.inside() & NO_ADDRESSES == 0 && self.may_go_deeper() {
            let start = self.at;
            self.at += 1;
            let found = if brackets { self.bracketed_address().is_ok() } else { self.free_address() };
            if found {
                return;
            }
            self.at = start;
        }
        if !brackets && self.inside() & TERM != 0 {
            self.term_ends();
        } else {
            self.take(1);
        }
    }

    fn bracketed_address(&mut self) -> Tried {
        let refused = Err(Failed(ADDRESS));
        if !self.may_close(Closing::Bracket) {
            return refused;
        }
        let start = self.at;
        let rest = &self.text[start..];
        let scheme =
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(byte)).take(16).count();
        let slashes = |at: usize| self.text[start + at..].starts_with(b"//");
        let length = match rest.first() {
            Some(b'/') if slashes(0) => 2,
            _ if rest.get(scheme) != Some(&b':') => return refused,
            _ if !is_scheme(&rest[..scheme], slashes(scheme + 1)) => return refused,
            _ => scheme + 1 + if slashes(scheme + 1) { 2 } else { 0 },
        };
        if matches!(rest.get(length), None | Some(b'\n' | b' ' | b']')) {
            return refused;
        }
        let first = self.nodes.len();
        self.push_unless_failed(ADDRESS)?;
        self.take(length);
        loop {
            if !self.step() {
                return self.fail();
            }
            let this = self.byte(0);
            if self.within_address(this)? {
                continue;
            }
            match this {
                0 | b'\n' => return self.fail(),
                b']' => {
                    self.pop();
                    self.at += 1;
                    break;
                }
                _ if self.address_ends(this) => {
                    self.at += usize::from(this == b' ');
                    // Of the address nothing is shown.
                    self.cut(first);
                    self.closed = first;
                    self.set_inside((self.inside() ^ ADDRESS) | ADDRESS_TITLE);
                    self.read_on()?;
                    self.wrap(first, Kind::Address);
                    return Ok(());
                }
                _ => self.take(super::markup::width(this)),
            }
        }
        self.cut(first);
        self.leaf(Kind::Address);
        Ok(())
    }

    /// Markup that may stand within an address.
    fn within_address(&mut self, this: u8) -> Tried<bool> {
        match this {
            b'&' => self.entity(),
            b'<' if self.text[self.at..].starts_with(b"<!--") => self.comment(),
            b'{' if self.byte(1) == b'{' && self.may_go_deeper() => self.braces()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn address_ends(&self, this: u8) -> bool {
        let (next, inside) = (self.byte(1), self.inside());
        match this {
            0 | b'\n' | b'[' | b']' | b'<' | b'>' | b'"' | b' ' => true,
            b'\'' => next == b'\'',
            b'|' => inside & TEMPLATE != 0,
            b'=' => inside & (TEMPLATE_KEY | HEADING) != 0,
            b'}' if next == b'}' => inside & TEMPLATE != 0 || (self.byte(2) == b'}' && inside & ARGUMENT != 0),
            _ => false,
        }
    }

    /// An address without brackets: its scheme was read as text already.
    fn free_address(&mut self) -> bool {
        let colon = self.at - 1;
        let Some(Node::Text { from, to }) = self.nodes.last().copied() else { return false };
        let begins = self.frames.last().map_or(0, |frame| frame.nodes);
        if self.nodes.len() <= begins || to as usize != colon {
            return false;
        }
        let before = self.page.get(from as usize..colon).unwrap_or_default();
        let mut scheme = colon;
        for (at, character) in before.char_indices().rev().take(16) {
            if !character.is_alphanumeric() && character != '_' {
                break;
            }
            if !character.is_ascii_alphanumeric() {
                return false;
            }
            scheme = from as usize + at;
        }
        let slashes = self.text[self.at..].starts_with(b"//");
        if !is_scheme(&self.text[scheme..colon], slashes) {
            return false;
        }
        let start = self.at + if slashes { 2 } else { 0 };
        if matches!(self.text.get(start), None | Some(b'\n' | b' ' | b'[' | b']')) {
            return false;
        }
        if self.push_unless_failed(self.inside() | ADDRESS).is_err() {
            return false;
        }
        self.frames.pop();
        if from as usize == scheme {
            self.nodes.pop();
        } else if let Some(Node::Text { to, .. }) = self.nodes.last_mut() {
            *to = scheme as u32;
        }
        let first = self.nodes.len();
        self.push(self.inside() | ADDRESS);
        self.text(scheme, start);
        self.at = start;
        // Punctuation at the end of an address is none of it.
        let mut tail = self.at;
        let mut brackets = false;
        loop {
            let this = self.byte(0);
            if matches!(this, b'&' | b'<' | b'{') {
                let before = self.at;
                let pending = self.nodes.len();
                self.text(tail, before);
                match self.within_address(this) {
                    Ok(true) => {
                        tail = self.at;
                        continue;
                    }
                    Ok(false) => tail = before,
                    Err(_) => return false,
                }
                debug_assert!(self.nodes.len() >= pending);
            }
            if !self.step() || self.address_ends(this) {
                break;
            }
            let punctuation =
                matches!(this, b',' | b';' | b'\\' | b'.' | b':' | b'!' | b'?') || (this == b')' && !brackets);
            self.at += super::markup::width(this);
            if !punctuation {
                brackets |= this == b'(';
                self.text(tail, self.at);
                tail = self.at;
            }
        }
        self.pop();
        self.wrap(first, Kind::Address);
        if self.byte(0) == b' ' {
            self.at += 1;
        }
        self.text(tail, self.at);
        true
    }

    /// `==` at the beginning of a line.
    pub(super) fn heading(&mut self) {
        let start = self.at;
        while self.byte(0) == b'=' {
            self.at += 1;
        }
        let length = self.at - start;
        let first = self.nodes.len();
        self.in_heading = true;
        // Headings of different levels are different tries.
        let tried = self.try_inside(HEADING | (1 << (40 + length.min(6))));
        self.in_heading = false;
        let Ok(frame) = tried else {
            self.at = start;
            self.take(length);
            return;
        };
        let level = frame.end.map_or(length, |end| end.length).min(length).min(6);
        if level < length {
            self.nodes.insert(first, Node::Text { from: start as u32, to: (start + length - level) as u32 });
        }
        if let Some(end) = frame.end.filter(|end| level < end.length) {
            self.nodes.push(Node::Text { from: end.from as u32, to: (end.from + end.length - level) as u32 });
        }
        self.wrap(first, Kind::Heading { level: level as u8 });
    }

    /// `=` within a heading: it ends here unless there are more on its line.
    pub(super) fn heading_may_end(&mut self) {
        let from = self.at;
        while self.byte(0) == b'=' {
            self.at += 1;
        }
        let nodes = self.nodes.len();
        self.closed = nodes;
        if let Some(frame) = self.frames.last_mut() {
            frame.end = Some(HeadingEnd { from, length: self.at - from, nodes });
        }
        self.text(from, self.at);
    }

    /// The end of a heading's line.
    pub(super) fn heading_ends(&mut self) -> Tried<bool> {
        let Some(end) = self.frames.last().and_then(|frame| frame.end) else { return self.fail() };
        self.cut(end.nodes);
        self.at = end.from + end.length;
        Ok(true)
    }

    pub(super) fn entity(&mut self) {
        match entities::decode(&self.text[self.at..]) {
            Some((character, length)) => {
                self.nodes.push(Node::Character(character));
                self.at += length;
                self.closed = self.nodes.len();
            }
            None => self.take(1),
        }
    }

    pub(super) fn comment(&mut self) {
        let rest = &self.text[(self.at + 4).min(self.text.len())..];
        let found = if self.at + 4 <= self.last_comment { memchr::memmem::find(rest, b"-->") } else { None };
        match found {
            Some(end) => {
                self.leaf(Kind::Nothing);
                self.at += 4 + end + 3;
                self.set_inside(self.inside() & !NOTHING_NEXT);
            }
            None => self.take(4),
        }
    }

    /// `''` and more; true if they closed the frame.
    pub(super) fn quotes(&mut self) -> Tried<bool> {
        let start = self.at;
        while self.byte(0) == b'\'' {
            self.at += 1;
        }
        let inside = self.inside();
        let mut quotes = self.at - start;
        let extra = if quotes > 5 { quotes - 5 } else { usize::from(quotes == 4) };
        self.text(start, start + extra);
        quotes -= extra;
        let start = start + extra;
        let (italics, bold) = (inside & ITALICS != 0, inside & BOLD != 0);
        if (italics && quotes != 3) || (bold && quotes != 2) {
            if quotes == 5 {
                self.at -= if italics { 3 } else { 2 };
            }
            return Ok(true);
        }
        if !self.may_go_deeper() {
            if quotes == 3 && inside & ITALICS_SECOND != 0 {
                self.text(start, start + 1);
                return Ok(true);
            }
            if quotes == 3 && italics {
                self.set_inside(inside | ITALICS_AGAIN);
            }
            self.text(start, self.at);
            return Ok(false);
        }
        match quotes {
            2 => self.italics(start),
            3 => return Ok(self.bold(start)),
            _ => self.bold_and_italics(start),
        }
        Ok(false)
    }

    fn style(&mut self, inside: Inside) -> Tried {
        let start = self.at;
        if !self.may_close(Closing::Quotes) {
            return Err(Failed(inside));
        }
        let tried = self.try_inside(inside).map(|_| ());
        if tried.is_err() {
            self.at = start;
        }
        tried
    }

    fn italics(&mut self, quotes: usize) {
        let (start, first) = (self.at, self.nodes.len());
        let mut tried = self.style(ITALICS);
        if let Err(Failed(inside)) = tried
            && inside & ITALICS_AGAIN != 0
        {
            tried = self.style(ITALICS | ITALICS_SECOND);
        }
        match tried {
            Ok(()) => self.wrap(first, STYLE),
            Err(_) => self.text(quotes, start),
        }
    }

    /// True if the bold mark closed italics that are read for the second time.
    fn bold(&mut self, quotes: usize) -> bool {
        let first = self.nodes.len();
        if self.style(BOLD).is_ok() {
            self.wrap(first, STYLE);
            return false;
        }
        let inside = self.inside();
        if inside & ITALICS_SECOND != 0 {
            self.text(quotes, quotes + 1);
            return true;
        }
        if inside & ITALICS != 0 {
            self.set_inside(inside | ITALICS_AGAIN);
            self.text(quotes, self.at);
        } else {
            self.text(quotes, quotes + 1);
            self.italics(quotes + 1);
        }
        false
    }

    fn bold_and_italics(&mut self, quotes: usize) {
        let first = self.nodes.len();
        let (outer, left) = if self.style(BOLD).is_ok() {
            (ITALICS, 2)
        } else if self.style(ITALICS).is_ok() {
            (BOLD, 3)
        } else {
            return self.text(quotes, self.at);
        };
        self.wrap(first, STYLE);
        if self.style(outer).is_ok() {
            return self.wrap(first, STYLE);
        }
        // The marks of the outer one, which has no end, come before.
        self.nodes.insert(first, Node::Text { from: quotes as u32, to: (quotes + left) as u32 });
        self.closed = self.nodes.len();
    }
}

/// Bold or italics.
const STYLE: Kind = Kind::Tag { from: 0, to: 0 };
