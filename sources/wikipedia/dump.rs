//! Pages out of a dump.

use std::io::{self, Read};

use super::xml::{self, Piece, Xml};

/// One page, as far as it is wanted.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub title: String,
    pub id: Option<u64>,
    pub namespace: Option<i64>,
    pub redirect: bool,
    /// The revision that was taken, and when it was made.
    pub revision: Option<u64>,
    pub timestamp: Option<String>,
    pub text: Wikitext,
    /// The page's length in the dump.
    pub bytes: u64,
}

/// The text of a page.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Wikitext {
    /// There is none, or nobody wanted it.
    #[default]
    None,
    Some(String),
    /// It has so many bytes.
    TooLong(u64),
    /// It is not UTF-8: what was wrong.
    BadUtf8(String),
}

/// What comes next in a dump.
#[derive(Debug)]
pub(super) enum Entry {
    Page(Page),
    /// A page that does not end before the next one begins: so many bytes.
    Broken(u64),
    /// The end, and the bytes of a page that was not complete.
    End(u64),
}

/// What a dump says of its wiki.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    /// `<mediawiki>` was there, and so was its end.
    pub begun: bool,
    pub ended: bool,
    /// Its language: of the database (`bgwiki`), of the address, of the dump itself.
    database: Option<String>,
    base: Option<String>,
    language: Option<String>,
    /// Names of namespaces by their numbers.
    pub namespaces: Vec<(i64, String)>,
}

impl Site {
    /// The namespace that a title begins with.
    pub fn namespace_of(&self, title: &str) -> Option<i64> {
        let (name, _) = title.split_once(':')?;
        self.namespaces.iter().find(|(number, known)| *number != 0 && known == name).map(|(number, _)| *number)
    }

    /// The language's code, as its Wikipedia is called.
    pub fn language(&self) -> Option<String> {
        let database = self.database.as_deref().and_then(|name| name.strip_suffix("wiki"));
        let database = database.map(|code| code.replace('_', "-")).filter(|code| super::names::is_code(code));
        let base = || {
            let host = self.base.as_deref()?.split("://").nth(1)?.split('/').next()?;
            let code = host.strip_suffix(".wikipedia.org")?;
            super::names::is_code(code).then(|| code.to_owned())
        };
        database.or_else(base).or_else(|| self.language.clone())
    }
}

/// Reads a dump page by page.
pub(super) struct Dump<R> {
    xml: Xml<R>,
    pub site: Site,
    first_revision: bool,
    /// A page has begun already.
    page_begun: Option<u64>,
}

impl<R: Read> Dump<R> {
    /// Texts longer than `longest` are not kept.
    pub fn new(from: R, longest: usize, first_revision: bool) -> Dump<R> {
        Dump { xml: Xml::new(from, longest), site: Site::default(), first_revision, page_begun: None }
    }

    /// Reads up to the first page.
    pub fn header(&mut self) -> io::Result<()> {
        while self.page_begun.is_none() {
            let start = self.xml.offset();
            match self.xml.next()? {
                Piece::EndOfFile => return Ok(()),
                Piece::Start(tag) => self.outside(tag, start)?,
                Piece::End(tag) if xml::name(self.xml.bytes(tag.clone())) == b"mediawiki" => self.site.ended = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn outside(&mut self, tag: std::ops::Range<usize>, start: u64) -> io::Result<()> {
        let tag = self.xml.bytes(tag);
        match xml::name(tag) {
            b"page" => self.page_begun = Some(start),
            b"mediawiki" => {
                self.site.begun = true;
                self.site.language = xml::attribute(tag, "xml:lang").map(str::to_owned);
            }
            b"dbname" => self.site.database = self.word()?,
            b"base" => self.site.base = self.word()?,
            b"namespace" if self.site.namespaces.len() < 1000 => {
                let number = xml::attribute(tag, "key").and_then(|key| key.parse().ok());
                if let (Some(number), Some(name)) = (number, self.word()?) {
                    self.site.namespaces.push((number, name));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What comes next.
    pub fn next(&mut self) -> io::Result<Entry> {
        self.header()?;
        let Some(start) = self.page_begun.take() else { return Ok(Entry::End(0)) };
        let mut page = Page::default();
        let (mut depth, mut in_revision, mut revisions) = (0, false, 0);
        loop {
            let at = self.xml.offset();
            let (tag, empty) = match self.xml.next()? {
                Piece::EndOfFile => return Ok(Entry::End(self.xml.offset() - start)),
                Piece::End(tag) => {
                    depth -= i32::from(depth > 0);
                    in_revision &= depth > 0;
                    match xml::name(self.xml.bytes(tag)) {
                        b"page" => {
                            page.bytes = self.xml.offset() - start;
                            return Ok(Entry::Page(page));
                        }
                        b"mediawiki" => {
                            self.site.ended = true;
                            return Ok(Entry::Broken(at - start));
                        }
                        _ => continue,
                    }
                }
                Piece::Start(tag) => (tag, false),
                Piece::Empty(tag) => (tag, true),
                _ => continue,
            };
            let name = xml::name(self.xml.bytes(tag));
            match (name, depth) {
                (b"page", _) if !empty => {
                    self.page_begun = Some(at);
                    return Ok(Entry::Broken(at - start));
                }
                (b"redirect", 0) => page.redirect = true,
                _ if empty => continue,
                // Dumps repeat the page's id inside <revision>; the first one is the page's.
                (b"title", 0) => page.title = self.word()?.unwrap_or_default(),
                (b"ns", 0) => page.namespace = self.number()?,
                (b"id", 0) if page.id.is_none() => page.id = self.number()?,
                (b"revision", 0) => {
                    in_revision = true;
                    depth = 1;
                    revisions += 1;
                    if self.takes(revisions) {
                        page.revision = None;
                        page.timestamp = None;
                        page.text = Wikitext::None;
                    }
                }
                (b"id", 1) if in_revision && self.takes(revisions) => page.revision = self.number()?,
                (b"timestamp", 1) if in_revision && self.takes(revisions) => page.timestamp = self.word()?,
                (b"text", 1) if in_revision && self.takes(revisions) => {
                    let wanted = page.namespace.unwrap_or(0) == 0 && !page.redirect;
                    page.text = self.text(wanted)?;
                }
                _ => depth += 1,
            }
        }
    }

    fn takes(&self, revisions: u64) -> bool {
        revisions == 1 || !self.first_revision
    }

    /// The text of an element that holds nothing else, up to its end.
    fn text(&mut self, wanted: bool) -> io::Result<Wikitext> {
        let mut text: Option<String> = None;
        let mut too_long = 0;
        let mut bad = None;
        let longest = self.xml.longest();
        loop {
            let (range, literal) = match self.xml.peek_text()? {
                Piece::Text(range) => (range, false),
                Piece::Literal(range) => (range, true),
                Piece::TooLong(bytes) => {
                    too_long += bytes;
                    continue;
                }
                _ => break,
            };
            if !wanted {
                continue;
            }
            let length = range.len() as u64;
            if too_long > 0 || text.as_ref().is_some_and(|text| text.len() + range.len() > longest) {
                too_long += length + text.take().map_or(0, |text| text.len() as u64);
                continue;
            }
            match std::str::from_utf8(self.xml.bytes(range)) {
                Ok(more) => {
                    let more = if literal { more.into() } else { xml::decode(more) };
                    match &mut text {
                        Some(text) => text.push_str(&more),
                        None => text = Some(more.into_owned()),
                    }
                }
                Err(error) => bad = Some(error.to_string()),
            }
        }
        Ok(match (too_long, bad, text) {
            (1.., _, _) if wanted => Wikitext::TooLong(too_long),
            (_, Some(error), _) => Wikitext::BadUtf8(error),
            (_, _, Some(text)) if !text.is_empty() => Wikitext::Some(text),
            _ => Wikitext::None,
        })
    }

    fn word(&mut self) -> io::Result<Option<String>> {
        Ok(match self.text(true)? {
            Wikitext::Some(word) if word.len() <= 4096 => Some(word),
            _ => None,
        })
    }

    fn number<N: std::str::FromStr>(&mut self) -> io::Result<Option<N>> {
        Ok(self.word()?.and_then(|word| word.trim().parse().ok()))
    }
}
