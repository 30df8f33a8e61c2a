//! Books: Project Gutenberg's plain text files, and PG-19.

mod catalogue;
mod decoding;
mod header;

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use corpus::dialect;
use corpus::{Document, Error, Evidence, Meta, RawFile, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::{self, Reading, Shape, quote};
use crate::jsonl::Unfit;
use crate::raw::Content;
use crate::{Limits, Raw, Result, Sink, Source};

use catalogue::Catalogue;
pub use decoding::Decode;

/// Reads plain text files of Project Gutenberg of any age, and PG-19 as its publisher gives it.
///
/// A text file is one book. What its header says of it (title, author, number, language) goes into
/// `meta`; its text is the whole file, which the edit `strip_gutenberg` frees of the licence. Of
/// PG-19 the folders hold a text file for each book, named by its number, and `metadata.csv` beside
/// or above them tells title, year and address; its Parquet and JSON lines have these in columns
/// beside `text`.
///
/// Of a folder the files that end in `.txt`, `.json`, `.jsonl` or `.parquet` are read, compressed or
/// not: mirrors hold pictures and web pages of the same books beside them. A file that is named
/// itself is read whatever its ending.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Books {
    /// How bytes become characters.
    pub decode: Decode,
    /// What becomes of a byte order mark at the start of a text file.
    pub byte_order_mark: Mark,
    /// What becomes of the line ends of a text file.
    pub line_ends: LineEnds,
}

/// What becomes of a byte order mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It says how the file is encoded, and is no part of the book.
    #[default]
    Removed,
    /// It stays the first character of the text, as in the original.
    Kept,
}

/// What becomes of line ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineEnds {
    /// All are newlines: Project Gutenberg writes carriage returns before them.
    #[default]
    Newline,
    /// They stay as they are, as in the original.
    Kept,
}

/// Columns and the places of the fields that they fill: url, language, timestamp.
const FIELDS: &[(&str, usize)] = &[("url", 0), ("language", 4), ("publication_date", 5)];

const SHAPE: Shape<'static> = Shape { text: &["text"], fields: FIELDS, required: &[], language: None };

/// Bytes in which a NUL makes a file none of text, as for git.
const BINARY_WITHIN: usize = 8 << 10;

impl Source for Books {
    fn slice(&self) -> &'static str {
        "books"
    }

    fn find(&self, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
        let mut files = format::files(self.slice(), path, base)?;
        if path.is_dir() {
            files.retain(|file| is_wanted(&file.name));
        }
        catalogue::add_times(&mut files);
        Ok(files)
    }

    fn read(&self, files: &[RawFile], limits: Limits, _scratch: &Path, sink: &mut dyn Sink) -> Result<()> {
        let mut catalogue = Catalogue::default();
        for file in files {
            let raw = Raw::open(file)?;
            if raw.content() == Content::Lines && is_text(&file.name, raw.head()) {
                self.read_text(file, raw, &mut catalogue, limits, sink)?;
            } else {
                format::read_opened(file, raw, &SHAPE, limits, sink)?;
            }
        }
        Ok(())
    }

    /// `{"meta": {…}, "text": …}`, the meta first: all columns but the text in their order.
    fn original_line(&self, document: &Document, out: &mut String) -> Result<(), serde_json::Error> {
        out.push_str("{\"meta\": ");
        dialect::rewrite(&document.meta.json, out)?;
        out.push_str(", \"text\": ");
        dialect::string(document.text(), out);
        out.push('}');
        Ok(())
    }
}

impl Books {
    /// A text file is one book.
    fn read_text(
        &self,
        file: &RawFile,
        mut raw: Raw,
        catalogue: &mut Catalogue,
        limits: Limits,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let mut reading = Reading::new(file, limits, sink);
        let mut bytes = Vec::new();
        // One byte more than a document may have tells one that is too large.
        let most = limits.max_document.saturating_add(1) as u64;
        (&mut raw).take(most).read_to_end(&mut bytes).map_err(Error::io("cannot read", &file.path))?;
        let rest = std::io::copy(&mut raw, &mut std::io::sink()).map_err(Error::io("cannot read", &file.path))?;
        let size = bytes.len() as u64 + rest;
        let damage = raw.damage().cloned();
        if let Some(damage) = &damage {
            // Half a book is none.
            reading.cut_off = size;
            reading.damaged(damage)?;
        } else if size > 0 {
            match self.text_of(bytes, size, limits) {
                Ok((text, encoding)) => {
                    let meta = meta(file, &text, encoding, catalogue)?;
                    reading.document(text, meta)?;
                }
                Err((reason, evidence)) => reading.unusable(reason, evidence, size)?,
            }
        }
        let (digest, bytes) = raw.finish()?;
        reading.end(digest, bytes, damage)
    }

    /// The text of a file, and how it was encoded; or why it has none.
    fn text_of(&self, bytes: Vec<u8>, size: u64, limits: Limits) -> Result<(String, &'static str), Unfit> {
        let too_large = |size: u64| (Reason("too_large"), Evidence::bound(size as f64, limits.max_document as f64));
        if bytes.len() > limits.max_document {
            return Err(too_large(size));
        }
        let wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        if !wide && memchr::memchr(0, &bytes[..bytes.len().min(BINARY_WITHIN)]).is_some() {
            return Err((Reason("binary"), Evidence::None));
        }
        let (mut text, encoding) = self.decode.decode(bytes);
        if self.byte_order_mark == Mark::Removed && text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        if self.line_ends == LineEnds::Newline && memchr::memchr(b'\r', text.as_bytes()).is_some() {
            text = with_newlines(&text);
        }
        if text.len() > limits.max_document { Err(too_large(text.len() as u64)) } else { Ok((text, encoding)) }
    }
}

/// Reads any bytes as a text file and as a catalogue: for fuzzing.
pub(crate) fn read_bytes(bytes: &[u8]) {
    for decode in [Decode::Declared, Decode::Utf8OrLatin1] {
        let books = Books { decode, ..Books::default() };
        let limits = Limits { max_document: 1 << 20 };
        if let Ok((text, _)) = books.text_of(bytes.to_vec(), bytes.len() as u64, limits) {
            header::of(&text);
        }
    }
    catalogue::entries(bytes);
}

/// Carriage returns, alone or before a newline, are line ends: as for Python's text files.
fn with_newlines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\r', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    out.push_str(rest);
    out
}

const COMPRESSED: [&str; 4] = [".gz", ".zst", ".bz2", ".xz"];

/// A name without the ending of its compression, in small letters.
fn plain_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    COMPRESSED.iter().find_map(|ending| name.strip_suffix(ending)).map(str::to_owned).unwrap_or(name)
}

/// Whether a file of a folder may hold books.
fn is_wanted(name: &str) -> bool {
    let name = plain_name(name);
    [".txt", ".json", ".jsonl", ".parquet"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a file is a book, not a file of records: by its name, or else by its first bytes.
fn is_text(name: &str, head: &[u8]) -> bool {
    let name = plain_name(name);
    if name.ends_with(".txt") {
        return true;
    }
    if name.ends_with(".json") || name.ends_with(".jsonl") {
        return false;
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    !head.strip_prefix(b"{").is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\""))
}

/// What is known of a text file: what PG-19's catalogue says, or else its own header.
fn meta(file: &RawFile, text: &str, encoding: &str, catalogue: &mut Catalogue) -> Result<Meta> {
    let mut json = String::from("{");
    let mut field = |name: &str, value: &str| {
        if json.len() > 1 {
            json.push(',');
        }
        quote(name, &mut json);
        json.push(':');
        json.push_str(value);
    };
    let text_of = |value: &str| {
        let mut json = String::new();
        quote(value, &mut json);
        json
    };
    let mut meta = Meta::default();
    if let Some(entry) = catalogue.entry(&file.path)? {
        field("short_book_title", &text_of(&entry.title));
        // A year is a number in the publisher's own records.
        let year: Option<i32> = entry.date.parse().ok();
        field("publication_date", &year.map_or_else(|| text_of(&entry.date), |year| year.to_string()));
        field("url", &text_of(&entry.url));
        meta.url = Some(entry.url.as_str().into());
        meta.timestamp = Some(entry.date.as_str().into()).filter(|_| !entry.date.is_empty());
    } else {
        let header = header::of(text);
        for (name, value) in &header.said {
            field(name, &text_of(value));
        }
        if let Some(number) = header.number {
            let mut url = String::new();
            // Writing to a string cannot fail.
            let _ = write!(url, "https://www.gutenberg.org/ebooks/{number}");
            field("url", &text_of(&url));
            meta.url = Some(url.into());
        }
        meta.language = header.get("language").map(|language| header::code(language).into());
        let dates = ["release_date", "first_posted", "posting_date"];
        meta.timestamp = dates.iter().find_map(|date| header.get(date)).map(Into::into);
    }
    field("encoding", &text_of(encoding));
    json.push('}');
    meta.json = json;
    Ok(meta)
}

#[cfg(test)]
mod tests;
