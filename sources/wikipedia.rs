//! Wikipedia: articles out of the dumps of its wikis.

mod clean;
mod dump;
mod entities;
mod inline;
mod inside;
mod links;
mod markup;
mod multistream;
mod names;
mod options;
mod tags;
#[cfg(test)]
mod tests;
mod tidy;
mod xml;

use std::fmt::Write;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use corpus::dialect;
use corpus::{Document, Error, Evidence, Meta, RawFile, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::{self, Reading};
use crate::raw::{Content, Damage, Raw};
use crate::{Limits, Result, Sink, Source, sevenz};
use clean::Rules;
use dump::{Dump, Entry, Page, Site, Wikitext};
use names::Names;
pub use options::{
    Addresses, Categories, Formulas, Headings, Languages, Leftovers, Lists, Revision, SideBySide, Templates,
};

/// Reads `pages-articles`, `pages-meta-current` and `pages-meta-history` dumps as
/// <https://dumps.wikimedia.org> publishes them: plain, in bzip2 or another compression, or in 7z.
///
/// A multistream dump beside its index is read in parts of some 8 MB, so that one file keeps all cores
/// busy. Every page is a record; articles become documents: pages of the first namespace that are
/// no redirects, with their markup taken away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wikipedia {
    /// The language, by the code of its wiki. Without it, what the file's name says (`bgwiki`), or
    /// else the dump itself.
    pub language: Option<String>,
    /// When the dump was made. Without it, what the file's name says (`enwiki-20230320-…`).
    pub timestamp: Option<String>,
    /// Which revision of a page counts, where there are several.
    pub revision: Revision,
    /// How addresses of pages are written.
    pub addresses: Addresses,
    /// Which files and references go where several stand side by side within other markup.
    pub side_by_side: SideBySide,
    /// What becomes of links to categories.
    pub categories: Categories,
    /// What becomes of links to the same article in other languages.
    pub languages: Languages,
    /// What becomes of templates.
    pub templates: Templates,
    /// What becomes of formulas.
    pub formulas: Formulas,
    /// What becomes of lists.
    pub lists: Lists,
    /// Which headings stay.
    pub headings: Headings,
    /// What becomes of what markup leaves behind where it went.
    pub leftovers: Leftovers,
}

/// Bytes of wikitext for each byte that a document may have, and those that are always read:
/// templates and references take more room than the article.
const WIKITEXT: usize = 4;
const WIKITEXT_MORE: usize = 1 << 20;

impl Source for Wikipedia {
    fn slice(&self) -> &'static str {
        "wikipedia"
    }

    fn find(&self, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
        let mut found = Vec::new();
        for file in format::files(self.slice(), path, base)? {
            multistream::parts(file, &mut found)?;
        }
        Ok(found)
    }

    fn read(&self, files: &[RawFile], limits: Limits, _scratch: &Path, sink: &mut dyn Sink) -> Result<()> {
        for file in files {
            self.read_file(file, limits, sink)?;
        }
        Ok(())
    }

    /// `{"text": …, "meta": {"title": …, "url": …, "language": …, "timestamp": …}}`; what the source
    /// did not say is left out.
    fn original_line(&self, document: &Document, out: &mut String) -> Result<(), serde_json::Error> {
        out.push_str("{\"text\": ");
        dialect::string(document.text(), out);
        out.push_str(", \"meta\": {");
        let original = |known: &str| ["title", "url", "language", "timestamp"].contains(&known);
        dialect::rewrite_fields(&document.meta.json, &mut true, &|known| !original(known), out)?;
        out.push_str("}}");
        Ok(())
    }
}

/// What is known of a file before its first page.
struct Known {
    path: PathBuf,
    language: Option<String>,
    timestamp: Option<String>,
    /// Whether it is a part of a dump, with neither beginning nor end of its own.
    part: bool,
    /// Of a part: what the beginning of the dump says of the wiki.
    site: Option<Site>,
    longest: usize,
}

impl Known {
    fn disk(&self) -> impl Fn(io::Error) -> Error + '_ {
        |error| Error::io("cannot read", &self.path)(error)
    }
}

impl Wikipedia {
    fn read_file(&self, file: &RawFile, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
        let mut raw = Raw::open(file)?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut known = Known {
            path: file.path.clone(),
            language: self.language.clone().or_else(|| names::language_of(&name)),
            timestamp: self.timestamp.clone().or_else(|| date_of(&name)),
            part: file.range.is_some(),
            site: None,
            longest: limits.max_document.saturating_mul(WIKITEXT).saturating_add(WIKITEXT_MORE),
        };
        if let Some((from, _)) = file.range.filter(|(from, _)| *from > 0) {
            known.site = Some(self.beginning(file, from, &known)?);
        }
        let mut reading = Reading::new(file, limits, sink);
        let damage = match raw.content() {
            Content::Lines if raw.head().is_empty() => raw.damage().cloned(),
            Content::Lines if known.site.is_some() || is_xml(raw.head()) => {
                let damage = self.pages(&mut raw, &known, &mut reading)?;
                raw.damage().cloned().or(damage)
            }
            Content::SevenZip => self.archive(&mut raw, file, &known, &mut reading)?,
            Content::Foreign(what) => format::foreign(what),
            Content::Parquet => format::foreign("Parquet"),
            Content::Tar => format::foreign("a tar archive"),
            Content::Lines => format::foreign("no XML"),
        };
        if let Some(damage) = &damage {
            reading.damaged(damage)?;
        }
        let (digest, bytes) = raw.finish()?;
        reading.end(digest, bytes, damage)
    }

    fn rules(&self) -> Rules {
        Rules {
            all_files: self.side_by_side == SideBySide::All,
            without_categories: self.categories == Categories::Drop,
            without_languages: self.languages == Languages::Drop,
            inline_templates: self.templates == Templates::Inline,
            formulas: self.formulas == Formulas::Tex,
            lists: self.lists == Lists::Marked,
            filled_headings: self.headings == Headings::Filled,
            tidy: self.leftovers == Leftovers::Tidy,
        }
    }

    /// What the beginning of a dump says, for a part further on.
    fn beginning(&self, part: &RawFile, from: u64, known: &Known) -> corpus::Result<Site> {
        let file = RawFile { range: Some((0, from)), bytes: from, ..part.clone() };
        let mut dump = Dump::new(Raw::open(&file)?, known.longest, false);
        dump.header().map_err(Error::io("cannot read", &part.path))?;
        Ok(dump.site)
    }

    /// Every XML file in a 7z archive.
    fn archive(
        &self,
        raw: &mut Raw,
        file: &RawFile,
        known: &Known,
        reading: &mut Reading<'_>,
    ) -> Result<Option<Damage>> {
        let mut members = 0;
        let mut damages = sevenz::read(raw, file, |name| !name.ends_with('/'), &mut |member| {
            members += 1;
            let damage = self.pages(&mut *member, known, reading)?;
            if let Some(damage) = damage.filter(|_| member.damage().is_none()) {
                reading.damaged(&damage)?;
            }
            Ok(())
        })?;
        if members == 0 && damages.is_empty() {
            return Ok(format::foreign("a 7z archive with nothing in it"));
        }
        // All but the last are counted here, the last by whoever asked.
        let last = damages.pop();
        for damage in &damages {
            reading.damaged(damage)?;
        }
        Ok(last)
    }

    /// All pages of a dump; tells how its end is missing.
    fn pages(&self, from: &mut dyn Read, known: &Known, reading: &mut Reading<'_>) -> Result<Option<Damage>> {
        let mut start = [0; 4];
        let read = fill(from, &mut start).map_err(known.disk())?;
        let rest = io::Cursor::new(start).take(read as u64);
        let first = self.revision == Revision::First;
        match start {
            [0xff, 0xfe, ..] | [b'<', 0, ..] => {
                let from = xml::Utf16::new(rest.chain(from), false);
                self.dump(Dump::new(from, known.longest, first), known, reading)
            }
            [0xfe, 0xff, ..] | [0, b'<', ..] => {
                let from = xml::Utf16::new(rest.chain(from), true);
                self.dump(Dump::new(from, known.longest, first), known, reading)
            }
            _ => self.dump(Dump::new(rest.chain(from), known.longest, first), known, reading),
        }
    }

    fn dump<R: Read>(&self, mut dump: Dump<R>, known: &Known, reading: &mut Reading<'_>) -> Result<Option<Damage>> {
        if let Some(site) = &known.site {
            dump.site = site.clone();
        }
        let mut wiki: Option<Wiki> = None;
        loop {
            let page = match dump.next().map_err(known.disk())? {
                Entry::Page(page) => page,
                Entry::Broken(bytes) => {
                    let evidence = Evidence::found("a page that does not end");
                    reading.unusable(Reason("bad_xml"), evidence, bytes)?;
                    continue;
                }
                Entry::End(bytes) => {
                    reading.cut_off = bytes;
                    let site = &dump.site;
                    let whole = site.ended || known.part || !site.begun;
                    return Ok(match (bytes, whole) {
                        (0, true) if wiki.is_none() && !site.begun => format::foreign("XML without pages"),
                        (0, true) => None,
                        _ => Some(Damage {
                            reason: Reason("truncated_xml"),
                            detail: "the dump ends before its end".to_owned(),
                        }),
                    });
                }
            };
            let wiki = wiki.get_or_insert_with(|| {
                let language = known.language.clone().or_else(|| dump.site.language());
                let names = Names::of(language.as_deref().unwrap_or_default(), &dump.site);
                Wiki { language, names }
            });
            self.page(page, wiki, &dump.site, known, reading)?;
        }
    }

    fn page(&self, page: Page, wiki: &Wiki, site: &Site, known: &Known, reading: &mut Reading<'_>) -> Result<()> {
        let max = reading.limits.max_document;
        let namespace = page.namespace.or_else(|| site.namespace_of(&page.title)).unwrap_or(0);
        let (reason, evidence) = match &page.text {
            _ if namespace != 0 => (Reason("namespace"), Evidence::found(format!("{namespace}: {}", page.title))),
            _ if page.redirect => (Reason("redirect"), Evidence::found(&page.title)),
            // Dumps have numbers of namespaces and marks of redirects since 2009 and 2012.
            Wikitext::Some(text) if page.namespace.is_none() && spells_redirect(text) => {
                (Reason("redirect"), Evidence::found(&page.title))
            }
            Wikitext::None => (Reason("no_text"), Evidence::found(&page.title)),
            Wikitext::TooLong(bytes) => (Reason("too_large"), Evidence::bound(*bytes as f64, known.longest as f64)),
            Wikitext::BadUtf8(error) => (Reason("bad_utf8"), Evidence::found(error)),
            Wikitext::Some(wikitext) => match clean::clean(wikitext, &wiki.names, self.rules()) {
                Err(markup::Tangled) => (Reason("tangled_markup"), Evidence::found(&page.title)),
                Ok(text) if text.is_empty() => (Reason("empty"), Evidence::found(&page.title)),
                Ok(text) if text.len() > max => (Reason("too_large"), Evidence::bound(text.len() as f64, max as f64)),
                Ok(text) => return reading.document(text, self.meta(&page, wiki, known)),
            },
        };
        reading.unusable(reason, evidence, page.bytes)
    }

    /// The original's columns in its order, then what it did not keep.
    fn meta(&self, page: &Page, wiki: &Wiki, known: &Known) -> Meta {
        let url = wiki.language.as_deref().map(|language| {
            let mut url = format!("https://{language}.wikipedia.org/wiki/");
            match self.addresses {
                Addresses::Quoted => quote(&page.title, false, &mut url),
                Addresses::Underscores => quote(&page.title, true, &mut url),
            }
            url
        });
        let mut json = String::from("{");
        let mut string = |name: &str, value: Option<&str>| {
            let Some(value) = value else { return };
            // Writing to a string cannot fail.
            let _ = write!(json, "{}\"{name}\":", if json.len() > 1 { "," } else { "" });
            format::quote(value, &mut json);
        };
        string("title", Some(&page.title));
        string("url", url.as_deref());
        string("language", wiki.language.as_deref());
        string("timestamp", known.timestamp.as_deref());
        string("revision_timestamp", page.timestamp.as_deref());
        for (name, number) in [("page", page.id), ("revision", page.revision)] {
            if let Some(number) = number {
                let _ = write!(json, ",\"{name}\":{number}");
            }
        }
        json.push('}');
        Meta {
            url: url.map(Box::from),
            language: wiki.language.as_deref().map(Box::from),
            timestamp: known.timestamp.as_deref().map(Box::from),
            json,
            ..Meta::default()
        }
    }
}

/// Reads any bytes as a dump, for fuzzers.
pub(crate) fn any_dump(bytes: &[u8]) {
    let mut dump = Dump::new(bytes, 1 << 16, false);
    // Bytes in memory can always be read.
    while let Ok(Entry::Page(_) | Entry::Broken(_)) = dump.next() {}
    let _ = io::copy(&mut xml::Utf16::new(bytes, bytes.len().is_multiple_of(2)), &mut io::sink());
}

/// Cleans any page, for fuzzers.
pub(crate) fn any_page(page: &str) {
    for rules in [Rules::default(), Wikipedia::default().rules()] {
        let _ = clean::clean(page, &Names::of("de", &Site::default()), rules);
    }
}

/// A wiki: its language and the names of its namespaces.
struct Wiki {
    language: Option<String>,
    names: Names,
}

fn fill(from: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Whether a page is a redirect by its text: `#`, a word in capitals, a link.
fn spells_redirect(text: &str) -> bool {
    let Some((word, _)) = text.trim_start().strip_prefix('#').and_then(|text| text.split_once("[[")) else {
        return false;
    };
    let word = word.trim().trim_end_matches(':').trim_end();
    (1..40).contains(&word.len()) && word.chars().all(|letter| letter.is_alphabetic() && !letter.is_lowercase())
        || word.eq_ignore_ascii_case("redirect")
}

/// Whether a file begins as XML does, in UTF-8 or UTF-16.
fn is_xml(head: &[u8]) -> bool {
    let head = match head {
        [0xef, 0xbb, 0xbf, rest @ ..] | [0xff, 0xfe, rest @ ..] => rest,
        [0xfe, 0xff, _, rest @ ..] => rest,
        [0, rest @ ..] => rest,
        _ => head,
    };
    head.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0) == Some(&b'<')
}

/// The date in a file's name: eight digits between other characters.
fn date_of(name: &str) -> Option<String> {
    let mut words = name.split(|character: char| !character.is_ascii_digit());
    words.find(|word| word.len() == 8 && word.starts_with(['1', '2'])).map(str::to_owned)
}

/// Quotes a title as Python's `urllib.parse.quote` does, or as a wiki does.
fn quote(title: &str, as_wiki: bool, out: &mut String) {
    for byte in title.bytes() {
        match byte {
            b' ' if as_wiki => out.push('_'),
            b':' | b',' | b'(' | b')' | b'!' | b'\'' | b'*' | b';' | b'@' | b'$' if as_wiki => {
                out.push(char::from(byte))
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}
