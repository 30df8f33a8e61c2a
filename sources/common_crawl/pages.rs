//! Pages out of the records of WET, WARC and ARC files.

use std::fmt::Write;

use corpus::{Error, Evidence, Meta, RawFile, Reason};

use crate::common_crawl::{CommonCrawl, Headers, Title};
use crate::format::{Reading, foreign, quote};
use crate::html::{self, Kind};
use crate::raw::Damage;
use crate::warc::header::{TextLines, strip};
use crate::warc::records::Ends;
use crate::warc::{Entry, Form, Header, Records};
use crate::{Limits, Raw, Result, Sink};

/// The longest content that is looked at: a page takes more bytes than its text.
fn longest(max_document: usize) -> usize {
    max_document.saturating_mul(3).saturating_add(1 << 20)
}

/// Why a record is no document, and what was seen.
type Unfit = (&'static str, Evidence);

/// Reads all records of a file. Each is a record of ours, also those that are no pages, so that a
/// record's number is its place in the file.
pub(super) fn read(
    file: &RawFile,
    mut raw: Raw,
    options: &CommonCrawl,
    limits: Limits,
    sink: &mut dyn Sink,
) -> Result<()> {
    let mut reading = Reading::new(file, limits, sink);
    let damage = match records(file, &mut raw, options, &mut reading)? {
        Some(foreign) => Some(foreign),
        None => raw.damage().cloned(),
    };
    if let Some(damage) = &damage {
        reading.damaged(damage)?;
    }
    let (digest, bytes) = raw.finish()?;
    reading.end(digest, bytes, damage)
}

fn records(file: &RawFile, raw: &mut Raw, options: &CommonCrawl, reading: &mut Reading<'_>) -> Result<Option<Damage>> {
    let head = raw.head().trim_ascii_start();
    let form = if head.starts_with(b"filedesc://") { Form::Arc } else { Form::Warc(options.ends) };
    if form != Form::Arc && !head.starts_with(b"WARC/") && !is_named_warc(&file.name) && !raw.head().is_empty() {
        return Ok(foreign("neither WARC records nor JSON lines"));
    }
    let mut records = Records::new(form, longest(reading.limits.max_document));
    loop {
        let entry = records.next(raw).map_err(Error::io("cannot read", &file.path))?;
        match entry {
            Entry::End => return Ok(None),
            // What damage has cut off is counted with the damage.
            Entry::Broken { bytes, last: true, .. } if raw.damage().is_some() => {
                reading.cut_off = bytes;
                return Ok(None);
            }
            Entry::Broken { reason, evidence, bytes, .. } => reading.unusable(Reason(reason), evidence, bytes)?,
            // Of gzip, what is wrong is found at a member's end: its record is not to be trusted.
            Entry::Record { bytes, last: true, .. }
                if raw.damage().is_some_and(|found| found.reason.0 == "bad_gzip") =>
            {
                reading.cut_off = bytes;
                return Ok(None);
            }
            Entry::Record { header, content, bytes, .. } => {
                match document(form, header, content, options, reading.limits) {
                    Ok((text, meta)) => reading.document(text, meta)?,
                    Err((reason, evidence)) => reading.unusable(Reason(reason), evidence, bytes)?,
                }
            }
        }
    }
}

/// The text and the meta of a record, if it is a page.
fn document(
    form: Form,
    header: Header<'_>,
    content: &[u8],
    options: &CommonCrawl,
    limits: Limits,
) -> Result<(String, Meta), Unfit> {
    let said = match form {
        Form::Arc => Said::by_arc(header),
        Form::Warc(_) => Said::of(header, options.headers)?,
    };
    page(&said, content, options, limits)
}

/// Reads any bytes as records, for the fuzz target.
pub(crate) fn fuzz(mut bytes: &[u8], form: Form, options: &CommonCrawl) {
    let mut records = Records::new(form, 1 << 16);
    let mut left = bytes.len() as u64;
    loop {
        let passed = match records.next(&mut bytes) {
            Err(_) | Ok(Entry::End) => return,
            Ok(Entry::Broken { bytes, .. }) => bytes,
            Ok(Entry::Record { header, content, bytes, .. }) => {
                let _ = document(form, header, content, options, Limits { max_document: 1 << 14 });
                bytes
            }
        };
        // Every entry takes bytes, and no byte is taken twice.
        assert!(passed > 0 && passed <= left);
        left -= passed;
    }
}

/// Whether a file is called as such files are; then a record is looked for, whatever it begins with.
fn is_named_warc(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    [".warc", ".wet", ".wat"].iter().any(|ending| name.contains(ending))
}

/// What a record holds, if it is a page.
fn page(said: &Said<'_>, content: &[u8], options: &CommonCrawl, limits: Limits) -> Result<(String, Meta), Unfit> {
    let passed = |reason: &'static str| Err((reason, Evidence::found(said.url.unwrap_or_default())));
    match said.kind {
        "conversion" => converted(said, content, options, limits),
        // Whoever counts lines knows WET alone.
        "response" | "resource" if options.headers == Headers::ByPlace => passed("other_record"),
        "response" if said.is_http() => fetched(said, content, limits),
        // A file that was kept without what the server said of it. wget keeps its own notes so, under
        // addresses of its own.
        "resource" if said.url.is_some_and(|url| url.starts_with("http")) => {
            let media = said.media.unwrap_or_default();
            let answer = [format!("HTTP/1.1 200 OK\r\nContent-Type: {media}\r\n\r\n").as_bytes(), content].concat();
            fetched(said, &answer, limits)
        }
        "warcinfo" => passed("warcinfo"),
        "request" => passed("request"),
        "metadata" => passed("metadata"),
        "revisit" => passed("revisit"),
        _ => passed("other_record"),
    }
}

/// What a server answered: the main text of a page, or plain text as it is.
fn fetched(said: &Said<'_>, answer: &[u8], limits: Limits) -> Result<(String, Meta), Unfit> {
    let url = said.url.unwrap_or_default();
    let page =
        html::page(answer, url, longest(limits.max_document)).map_err(|unread| (unread.reason.0, unread.evidence))?;
    let (title, language, text) = match page.kind {
        Kind::Html => {
            let found = html::main_text(&page.text);
            (found.title.unwrap_or_default(), found.language, found.text)
        }
        Kind::Plain => (String::new(), None, page.text.replace("\r\n", "\n").trim_end().to_owned()),
    };
    if text.len() > limits.max_document {
        return Err(("too_large", Evidence::bound(text.len() as f64, limits.max_document as f64)));
    }
    let lines = if text.is_empty() { 0 } else { 1 + memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64 };
    let truncated = said.truncated.or(page.cut.then_some("cut"));
    let said = Said { truncated, charset: Some(page.charset), page_language: language.as_deref(), ..*said };
    let meta = meta(&said, &title, lines);
    Ok((text, meta))
}

/// What a header says, and what its page says of itself.
#[derive(Clone, Copy, Default)]
struct Said<'h> {
    kind: &'h str,
    url: Option<&'h str>,
    date: Option<&'h str>,
    digest: Option<&'h str>,
    length: Option<u64>,
    /// The media type of what the record holds.
    media: Option<&'h str>,
    languages: Option<&'h str>,
    truncated: Option<&'h str>,
    charset: Option<&'h str>,
    page_language: Option<&'h str>,
}

impl<'h> Said<'h> {
    fn of(header: Header<'h>, headers: Headers) -> Result<Said<'h>, Unfit> {
        let kind = match headers {
            Headers::ByPlace => return Said::by_place(header),
            Headers::ByName => header.field("WARC-Type"),
        };
        let Some(kind) = kind else { return Err(("bad_warc_header", Evidence::found("no WARC-Type"))) };
        // Of an answer the page has a digest of its own, which does not change with the server's clock.
        let payload = if kind == "response" { header.field("WARC-Payload-Digest") } else { None };
        Ok(Said {
            kind,
            url: header.url(),
            date: header.field("WARC-Date"),
            digest: payload.or_else(|| header.field("WARC-Block-Digest")),
            length: header.length(),
            media: header.field("Content-Type"),
            languages: header.field("WARC-Identified-Content-Language"),
            truncated: header.field("WARC-Truncated"),
            ..Said::default()
        })
    }

    /// The second word of each line is its value. With `WARC-Identified-Content-Language`, since
    /// August 2018, the length is one place further down.
    fn by_place(header: Header<'h>) -> Result<Said<'h>, Unfit> {
        let lines: Vec<&str> = header.lines().filter_map(|line| std::str::from_utf8(line).ok()).map(strip).collect();
        let value = |place: usize| {
            let found = lines.get(place).and_then(|line| line.split_whitespace().nth(1));
            found.ok_or_else(|| ("bad_warc_header", Evidence::found(format!("nothing in place {place}"))))
        };
        let kind = value(1)?;
        if kind != "conversion" {
            return Ok(Said { kind, ..Said::of(header, Headers::ByName).unwrap_or_default() });
        }
        let number = |place: usize| value(place).ok().and_then(|value| value.parse().ok());
        let Some(length) = number(9).or_else(|| number(8)) else {
            return Err(("bad_warc_header", Evidence::found("no length in place 9 or 8")));
        };
        let (url, date, digest) = (Some(value(2)?), Some(value(3)?), Some(value(6)?));
        Ok(Said { kind, url, date, digest, length: Some(length), ..Said::default() })
    }

    /// The line before a record of ARC: address, server, time, media type, length. The first one is
    /// of the file itself.
    fn by_arc(header: Header<'h>) -> Said<'h> {
        let mut fields = header.lines().next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or("").split(' ');
        let url = fields.next();
        let kind = if url.is_some_and(|url| url.starts_with("filedesc:")) { "warcinfo" } else { "response" };
        Said {
            kind,
            url,
            date: fields.nth(1),
            length: fields.next_back().and_then(|last| last.parse().ok()),
            ..Said::default()
        }
    }

    /// Whether a response is one of HTTP; nameservers are asked too.
    fn is_http(&self) -> bool {
        self.media.is_none_or(|media| media.trim_start().starts_with("application/http"))
    }
}

/// A record of a WET file: text, line by line, the page's title first.
fn converted(said: &Said<'_>, content: &[u8], options: &CommonCrawl, limits: Limits) -> Result<(String, Meta), Unfit> {
    let content = match std::str::from_utf8(content) {
        Ok(content) => content,
        Err(error) => return Err(("bad_utf8", Evidence::found(error.to_string()))),
    };
    let by_marker = options.ends == Ends::Marker;
    let mut text = String::with_capacity(content.len());
    // Where the first line ends, and where the second begins.
    let mut title = None;
    let mut lines = 0u64;
    for line in TextLines(content) {
        text.push_str(strip(line));
        lines += 1;
        title.get_or_insert((text.len(), text.len() + 1));
        text.push('\n');
    }
    let Some((title_end, body)) = title else {
        return if by_marker {
            Err(("empty_record", Evidence::found(said.url.unwrap_or_default())))
        } else {
            Ok((text, meta(said, "", 0)))
        };
    };
    // Each line was ended; the last is not.
    text.pop();
    if by_marker {
        // Two empty lines stand between records; where there is one, it counts as the page's.
        if text.ends_with("\n\n") || text == "\n" {
            text.truncate(text.len().saturating_sub(2));
            lines -= 2;
        }
    } else {
        while text.ends_with('\n') {
            text.pop();
            lines -= 1;
        }
    }
    let title = text[..title_end.min(text.len())].to_owned();
    if options.title == Title::Remove {
        lines = lines.saturating_sub(1);
        text.drain(..body.min(text.len()));
    }
    if text.len() > limits.max_document {
        return Err(("too_large", Evidence::bound(text.len() as f64, limits.max_document as f64)));
    }
    let meta = meta(said, &title, lines);
    Ok((text, meta))
}

/// What is known of a page, under the names that cc_net gave and in its order.
fn meta(said: &Said<'_>, title: &str, lines: u64) -> Meta {
    let mut json = Fields(String::with_capacity(256 + title.len()));
    json.text("url", said.url);
    json.text("date_download", said.date);
    json.text("digest", said.digest);
    // cc_net's `length` is of a text; that of an answer is another thing.
    json.number(if said.kind == "conversion" { "length" } else { "content_length" }, said.length);
    json.number("nlines", Some(lines));
    json.text("source_domain", said.url.map(domain));
    // Of WET the title is a line, though it may be an empty one.
    json.text("title", Some(title).filter(|title| !title.is_empty() || said.kind == "conversion"));
    json.text("content_languages", said.languages);
    json.text("page_language", said.page_language);
    json.text("charset", said.charset);
    json.text("truncated", said.truncated);
    let json = json.end();
    Meta { url: said.url.map(Box::from), timestamp: said.date.map(Box::from), json, ..Meta::default() }
}

/// A JSON object that is being written. What is not known is left out.
struct Fields(String);

impl Fields {
    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        quote(name, &mut self.0);
        self.0.push(':');
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.name(name);
            quote(value, &mut self.0);
        }
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.name(name);
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{value}");
        }
    }

    fn end(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

/// The part of an address between `//` and the path, as Python's `urlparse` finds it.
pub(super) fn domain(url: &str) -> &str {
    let scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let rest = match url.split_once(':') {
        Some((before, rest)) if scheme(before) => rest,
        _ => url,
    };
    let Some(rest) = rest.strip_prefix("//") else { return "" };
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}
