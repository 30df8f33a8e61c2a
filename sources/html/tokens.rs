//! The tags and the text of a page, as browsers tell them apart.

use super::tags::{Kind, Tag};

/// What comes next in a page. Comments, doctypes and processing instructions are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Bytes from and to: text whose character references are not resolved.
    Text(usize, usize),
    /// A start tag.
    Open(Start<'a>),
    /// An end tag.
    Close(Tag, u32),
}

/// A start tag, with the attributes that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start<'a> {
    /// Its name.
    pub tag: Option<Tag>,
    /// A number that tells names apart which are no [`Tag`] of their own.
    pub name: u32,
    pub class: &'a str,
    pub id: &'a str,
    pub role: &'a str,
    pub style: &'a str,
    pub itemprop: &'a str,
    pub lang: &'a str,
    pub href: bool,
    pub hidden: bool,
}

/// Reads a page from left to right and never looks back.
pub struct Tokens<'a> {
    html: &'a str,
    at: usize,
    /// The element whose content is no markup, until its end tag.
    raw: Option<Tag>,
}

impl<'a> Tokens<'a> {
    /// The tokens of a page.
    pub fn of(html: &'a str) -> Tokens<'a> {
        Tokens { html, at: 0, raw: None }
    }

    fn rest(&self) -> &'a [u8] {
        &self.html.as_bytes()[self.at..]
    }

    /// What stands between a tag and its end tag, or the end of the page.
    fn raw_text(&mut self, tag: Tag) -> Token<'a> {
        let bytes = self.html.as_bytes();
        let from = self.at;
        let mut at = from;
        self.at = bytes.len();
        while let Some(found) = memchr::memchr(b'<', &bytes[at..]) {
            at += found;
            if bytes.get(at + 1) == Some(&b'/') && name_at(bytes, at + 2).0.0 == tag {
                self.at = at;
                break;
            }
            at += 1;
        }
        Token::Text(from, self.at)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some(tag) = self.raw.take() {
            return Some(self.raw_text(tag));
        }
        while self.at < self.html.len() {
            let end = self.text_end();
            if end > self.at {
                let from = std::mem::replace(&mut self.at, end);
                return Some(Token::Text(from, end));
            }
            // A comment is no token; it may be a million of them.
            if let Some(token) = self.markup() {
                return Some(token);
            }
        }
        None
    }
}

impl<'a> Tokens<'a> {
    /// Where the text from here on ends: it goes on over a `<` that begins nothing.
    fn text_end(&self) -> usize {
        let bytes = self.html.as_bytes();
        let mut at = self.at;
        while let Some(found) = memchr::memchr(b'<', &bytes[at..]) {
            at += found;
            match bytes.get(at + 1) {
                Some(b'/') if bytes.get(at + 2).is_some() => return at,
                Some(b'!' | b'?') => return at,
                Some(byte) if byte.is_ascii_alphabetic() => return at,
                _ => at += 1,
            }
        }
        bytes.len()
    }

    /// Reads from a `<` on; nothing for a comment or the like.
    fn markup(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        match rest.get(1)? {
            b'!' if rest.starts_with(b"<!--") => {
                // `<!-->` and `<!--->` are comments too.
                let body = &rest[4..];
                let end = if body.starts_with(b">") {
                    Some(1)
                } else if body.starts_with(b"->") {
                    Some(2)
                } else {
                    memchr::memmem::find(body, b"-->").map(|end| end + 3)
                };
                self.at += end.map_or(rest.len(), |end| 4 + end);
                None
            }
            b'!' | b'?' => {
                self.at += memchr::memchr(b'>', rest).map_or(rest.len(), |end| end + 1);
                None
            }
            b'/' if !rest.get(2).is_some_and(u8::is_ascii_alphabetic) => {
                self.at += memchr::memchr(b'>', rest).map_or(rest.len(), |end| end + 1);
                None
            }
            b'/' => {
                let ((tag, name), end) = name_at(self.html.as_bytes(), self.at + 2);
                self.at = end;
                self.attributes(&mut Start::default());
                Some(Token::Close(tag, name))
            }
            _ => {
                let ((tag, name), end) = name_at(self.html.as_bytes(), self.at + 1);
                let mut start = Start { tag: Some(tag), name, ..Start::default() };
                self.at = end;
                // A tag that the page ends in is none.
                if !self.attributes(&mut start) {
                    return None;
                }
                if tag.kind() == Kind::Raw {
                    self.raw = Some(tag);
                }
                Some(Token::Open(start))
            }
        }
    }

    /// Reads attributes up to behind the `>`; false if the page ends before.
    fn attributes(&mut self, start: &mut Start<'a>) -> bool {
        let html = self.html;
        let bytes = html.as_bytes();
        let mut at = self.at;
        loop {
            while at < bytes.len() && (bytes[at].is_ascii_whitespace() || bytes[at] == b'/') {
                at += 1;
            }
            if at >= bytes.len() {
                self.at = bytes.len();
                return false;
            }
            if bytes[at] == b'>' {
                self.at = at + 1;
                return true;
            }
            let name_from = at;
            // An attribute may begin with `=`.
            at += 1;
            while at < bytes.len() && !bytes[at].is_ascii_whitespace() && !matches!(bytes[at], b'/' | b'>' | b'=') {
                at += 1;
            }
            let name = &bytes[name_from..at];
            while at < bytes.len() && bytes[at].is_ascii_whitespace() {
                at += 1;
            }
            let mut value = "";
            if at < bytes.len() && bytes[at] == b'=' {
                at += 1;
                while at < bytes.len() && bytes[at].is_ascii_whitespace() {
                    at += 1;
                }
                match bytes.get(at) {
                    Some(quote @ (b'"' | b'\'')) => {
                        let from = at + 1;
                        let end = memchr::memchr(*quote, &bytes[from..]).map(|end| from + end);
                        let Some(end) = end else {
                            self.at = bytes.len();
                            return false;
                        };
                        value = html.get(from..end).unwrap_or_default();
                        at = end + 1;
                    }
                    _ => {
                        let from = at;
                        while at < bytes.len() && !bytes[at].is_ascii_whitespace() && bytes[at] != b'>' {
                            at += 1;
                        }
                        value = html.get(from..at).unwrap_or_default();
                    }
                }
            }
            start.take(name, value);
        }
    }
}

impl<'a> Start<'a> {
    fn take(&mut self, name: &[u8], value: &'a str) {
        // The first of two attributes of one name counts.
        let place = match name.len() {
            2 if name.eq_ignore_ascii_case(b"id") => &mut self.id,
            4 if name.eq_ignore_ascii_case(b"role") => &mut self.role,
            4 if name.eq_ignore_ascii_case(b"lang") => &mut self.lang,
            4 if name.eq_ignore_ascii_case(b"href") => {
                self.href = true;
                return;
            }
            5 if name.eq_ignore_ascii_case(b"class") => &mut self.class,
            5 if name.eq_ignore_ascii_case(b"style") => &mut self.style,
            6 if name.eq_ignore_ascii_case(b"hidden") => {
                // `until-found` is text that a search in the page shows.
                self.hidden |= !value.eq_ignore_ascii_case("until-found");
                return;
            }
            8 if name.eq_ignore_ascii_case(b"itemprop") => &mut self.itemprop,
            11 if name.eq_ignore_ascii_case(b"aria-hidden") => {
                self.hidden |= value.eq_ignore_ascii_case("true");
                return;
            }
            _ => return,
        };
        if place.is_empty() {
            *place = value;
        }
    }
}

/// The tag whose name begins at `at`, a number of its name, and where the name ends.
fn name_at(bytes: &[u8], at: usize) -> ((Tag, u32), usize) {
    let mut lower = [0u8; 16];
    let mut end = at;
    // FNV-1a.
    let mut hash = 0x811c_9dc5u32;
    while let Some(byte) = bytes.get(end) {
        if byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>') {
            break;
        }
        let byte = byte.to_ascii_lowercase();
        if let Some(place) = lower.get_mut(end - at) {
            *place = byte;
        }
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        end += 1;
    }
    let name = lower.get(..end - at).unwrap_or(b"-");
    ((Tag::of(name), hash), end)
}
