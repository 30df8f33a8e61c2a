//! Pages out of the records of WET, WARC and ARC files.

use std::fmt::Write;

use corpus::{Error, Evidence, Meta, RawFile, Reason};

use crate::common_crawl::{CommonCrawl, Headers, Title};
use crate::format::{Reading, foreign, quote};
use crate::raw::Damage;
use crate::warc::header::{Lines, strip};
use crate::warc::{Entry, Header, Records};
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
    if !raw.head().trim_ascii_start().starts_with(b"WARC/") && !is_named_warc(&file.name) && !raw.head().is_empty() {
        return Ok(foreign("neither WARC records nor JSON lines"));
    }
    let mut records = Records::new(options.ends, longest(reading.limits.max_document));
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
            Entry::Record { header, content, bytes } => match page(header, content, options, reading.limits) {
                Ok((text, meta)) => reading.document(text, meta)?,
                Err((reason, evidence)) => reading.unusable(Reason(reason), evidence, bytes)?,
            },
        }
    }
}

/// Whether a file is called as such files are; then a record is looked for, whatever it begins with.
fn is_named_warc(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    [".warc", ".wet", ".wat"].iter().any(|ending| name.contains(ending))
}

fn page(header: Header<'_>, content: &[u8], options: &CommonCrawl, limits: Limits) -> Result<(String, Meta), Unfit> {
    let said = Said::of(header, options.headers)?;
    match said.kind {
        "conversion" => converted(&said, content, options, limits),
        other => Err((kind_of(other), Evidence::found(said.url.unwrap_or_default()))),
    }
}

/// What a header says.
struct Said<'h> {
    kind: &'h str,
    url: Option<&'h str>,
    date: Option<&'h str>,
    digest: Option<&'h str>,
    length: Option<u64>,
    languages: Option<&'h str>,
    truncated: Option<&'h str>,
}

impl<'h> Said<'h> {
    fn of(header: Header<'h>, headers: Headers) -> Result<Said<'h>, Unfit> {
        let kind = match headers {
            Headers::ByPlace => return Said::by_place(header),
            Headers::ByName => header.field("WARC-Type"),
        };
        let Some(kind) = kind else { return Err(("bad_warc_header", Evidence::found("no WARC-Type"))) };
        Ok(Said {
            kind,
            url: header.url(),
            date: header.field("WARC-Date"),
            digest: header.field("WARC-Block-Digest"),
            length: header.length(),
            languages: header.field("WARC-Identified-Content-Language"),
            truncated: header.field("WARC-Truncated"),
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
            return Ok(Said {
                kind,
                url: value(2).ok(),
                date: None,
                digest: None,
                length: None,
                languages: None,
                truncated: None,
            });
        }
        let number = |place: usize| value(place).ok().and_then(|value| value.parse().ok());
        let Some(length) = number(9).or_else(|| number(8)) else {
            return Err(("bad_warc_header", Evidence::found("no length in place 9 or 8")));
        };
        Ok(Said {
            kind,
            url: Some(value(2)?),
            date: Some(value(3)?),
            digest: Some(value(6)?),
            length: Some(length),
            languages: None,
            truncated: None,
        })
    }
}

/// The reason for which a record of another kind is no document.
fn kind_of(kind: &str) -> &'static str {
    match kind {
        "warcinfo" => "warcinfo",
        "request" => "request",
        "metadata" => "metadata",
        "revisit" => "revisit",
        "response" => "response",
        "resource" => "resource",
        "continuation" => "continuation",
        _ => "other_record",
    }
}

/// A record of a WET file: text, line by line, the page's title first.
fn converted(said: &Said<'_>, content: &[u8], options: &CommonCrawl, limits: Limits) -> Result<(String, Meta), Unfit> {
    let content = match std::str::from_utf8(content) {
        Ok(content) => content,
        Err(error) => return Err(("bad_utf8", Evidence::found(error.to_string()))),
    };
    let by_marker = options.ends == crate::warc::records::Ends::Marker;
    let mut text = String::with_capacity(content.len());
    // Where the first line ends, and where the second begins.
    let mut title = None;
    let mut lines = 0u64;
    for line in Lines(content.as_bytes()) {
        // Lines end at ASCII characters, so that what lies between is UTF-8 too.
        text.push_str(strip(std::str::from_utf8(line).unwrap_or_default()));
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
    json.number("length", said.length);
    json.number("nlines", Some(lines));
    json.text("source_domain", said.url.map(domain));
    json.text("title", Some(title));
    json.text("content_languages", said.languages);
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
