//! Books: Project Gutenberg's plain text files, and PG-19.

mod catalogue;
mod decoding;
mod header;
mod zip;

use std::collections::BTreeSet;
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
/// not, and zip archives for which no text file of the same name lies beside them: mirrors hold both,
/// and pictures and web pages of the same books. A file that is named itself is read whatever its
/// ending. Of a zip archive each text file is a record; other members are none.
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
            let names: BTreeSet<String> = files.iter().map(|file| plain_name(&file.name)).collect();
            files.retain(|file| is_wanted(&file.name, &names));
        }
        catalogue::add_times(&mut files);
        Ok(files)
    }

    fn read(&self, files: &[RawFile], limits: Limits, _scratch: &Path, sink: &mut dyn Sink) -> Result<()> {
        let mut catalogue = Catalogue::default();
        for file in files {
            let raw = Raw::open(file)?;
            match raw.content() {
                Content::Lines if is_text(&file.name, raw.head()) => {
                    self.read_text(file, raw, &mut catalogue, limits, sink)?;
                }
                Content::Foreign(_) if raw.head().starts_with(b"PK") => self.read_zip(file, raw, limits, sink)?,
                _ => format::read_opened(file, raw, &SHAPE, limits, sink)?,
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

    /// Each text file of a zip archive is one book.
    fn read_zip(&self, file: &RawFile, mut raw: Raw, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
        let mut reading = Reading::new(file, limits, sink);
        let mut archive = zip::Archive::new(&mut raw);
        let mut damage = None;
        while damage.is_none() {
            let is_book = |name: &str| plain_name(name).ends_with(".txt");
            match archive.next(is_book, limits.max_document) {
                Ok(None) => break,
                // Folders are no records.
                Ok(Some(member)) if member.name.ends_with('/') => {}
                Ok(Some(zip::Member { name, content, bytes })) => {
                    let text = content.and_then(|content| self.text_of(content, bytes, limits));
                    match text {
                        Ok((text, encoding)) => {
                            let meta = said(Some(&name), &text, encoding);
                            reading.document(text, meta)?;
                        }
                        Err((reason, evidence)) => reading.unusable(reason, named(&name, evidence), bytes)?,
                    }
                }
                Err(zip::Fault::World(error)) => return Err(Error::io("cannot read", &file.path)(error).into()),
                Err(zip::Fault::Broken(found)) => damage = Some(found),
            }
        }
        drop(archive);
        std::io::copy(&mut raw, &mut std::io::sink()).map_err(Error::io("cannot read", &file.path))?;
        // An archive that ends early does so because its compression does.
        let damage = raw.damage().cloned().or(damage);
        if let Some(damage) = &damage {
            reading.damaged(damage)?;
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

/// Reads any bytes as a text file, as a catalogue and as a zip archive: for fuzzing.
pub(crate) fn read_bytes(bytes: &[u8]) {
    for decode in [Decode::Declared, Decode::Utf8OrLatin1] {
        let books = Books { decode, ..Books::default() };
        let limits = Limits { max_document: 1 << 20 };
        if let Ok((text, _)) = books.text_of(bytes.to_vec(), bytes.len() as u64, limits) {
            header::of(&text);
        }
    }
    catalogue::entries(bytes);
    let mut archive = zip::Archive::new(bytes);
    while let Ok(Some(_)) = archive.next(|_| true, 1 << 10) {}
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

/// Whether a file of a folder with these others may hold books.
fn is_wanted(name: &str, beside: &BTreeSet<String>) -> bool {
    let name = plain_name(name);
    match name.strip_suffix(".zip") {
        // `1342-h.zip` has web pages in it.
        Some(name) => !name.ends_with("-h") && !beside.contains(&format!("{name}.txt")),
        None => [".txt", ".json", ".jsonl", ".parquet"].iter().any(|ending| name.ends_with(ending)),
    }
}

/// Says of which member the evidence is: an unusable record has no meta.
fn named(name: &str, evidence: Evidence) -> Evidence {
    match evidence {
        Evidence::None => Evidence::found(name),
        Evidence::Found(what) => Evidence::found(format!("{name}: {what}")),
        other => other,
    }
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

/// A JSON object that grows field by field.
struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        quote(name, &mut self.0);
        self.0.push(':');
        quote(value, &mut self.0);
    }

    fn ended(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// What is known of a text file: what PG-19's catalogue says, or else its own header.
fn meta(file: &RawFile, text: &str, encoding: &str, catalogue: &mut Catalogue) -> Result<Meta> {
    let Some(entry) = catalogue.entry(&file.path)? else { return Ok(said(None, text, encoding)) };
    let mut fields = Fields(String::new());
    fields.add("short_book_title", &entry.title);
    match entry.date.parse::<i32>() {
        // A year is a number in the publisher's own records.
        Ok(year) => {
            let _ = write!(fields.0, ",\"publication_date\":{year}");
        }
        Err(_) => fields.add("publication_date", &entry.date),
    }
    fields.add("url", &entry.url);
    fields.add("encoding", encoding);
    Ok(Meta {
        url: Some(entry.url.as_str().into()),
        timestamp: Some(entry.date.as_str().into()).filter(|_| !entry.date.is_empty()),
        json: fields.ended(),
        ..Meta::default()
    })
}

/// What a text says of itself, and its path in an archive.
fn said(path: Option<&str>, text: &str, encoding: &str) -> Meta {
    let header = header::of(text);
    let mut fields = Fields(String::new());
    if let Some(path) = path {
        fields.add("path", path);
    }
    for (name, value) in &header.said {
        fields.add(name, value);
    }
    let url = header.number.map(|number| format!("https://www.gutenberg.org/ebooks/{number}"));
    if let Some(url) = &url {
        fields.add("url", url);
    }
    fields.add("encoding", encoding);
    let dates = ["release_date", "first_posted", "posting_date"];
    Meta {
        url: url.map(Box::from),
        path: path.map(Box::from),
        language: header.get("language").map(|language| header::code(language).into()),
        timestamp: dates.iter().find_map(|date| header.get(date)).map(Into::into),
        json: fields.ended(),
        ..Meta::default()
    }
}

#[cfg(test)]
mod tests;
