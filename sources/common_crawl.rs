//! CommonCrawl: pages of its crawls, from WET, WARC or ARC files, or as cc_net left them.

use std::path::Path;

use corpus::dialect;
use corpus::{Document, RawFile, Signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format;
use crate::raw::Content;
use crate::warc::records::Ends;
use crate::{Limits, Raw, Result, Sink, Source};

mod ccnet;
mod listing;
pub(crate) mod pages;

/// Reads files of Common Crawl's archives, and the documents that cc_net made of them.
///
/// Of a WET file each `conversion` record is a document, of a WARC file each HTTP response that is a
/// page: its main text. A file that begins with a JSON object holds documents of cc_net
/// (`en_head_0000.json.gz`), with the text in `raw_content`. A listing (`wet.paths.gz`) stands for
/// those of its files that lie beside it or in the mirror that it lies in; in a folder it is passed
/// over, since what lies there is found anyway.
///
/// A damaged record costs one record: the next is looked for at the next `WARC/1.0`. So does a gzip
/// member that does not decode, of files with a member for each record; the file counts as damaged.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommonCrawl {
    /// What ends a WET record.
    pub ends: Ends,
    /// How the fields of a WET record's header are found.
    pub headers: Headers,
    /// What becomes of the first line of a WET record: the page's title, if it has one.
    pub title: Title,
}

/// How the fields of a header are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Headers {
    /// By their names.
    #[default]
    ByName,
    /// By their places, as cc_net finds them, whatever their names: the type, the address, the date,
    /// in the sixth place the digest, in the ninth (else the eighth) the length. Only WET has them so:
    /// what a WARC file holds beside is passed over.
    ByPlace,
}

/// What becomes of a page's title.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Title {
    /// It is the first line of the text. Of a page in HTML the title is in `meta`, and the heading in the
    /// text.
    #[default]
    Keep,
    /// It goes into `meta` alone, as for cc_net. Of a page without a title the first line goes, and
    /// is lost.
    Remove,
}

impl Source for CommonCrawl {
    fn slice(&self) -> &'static str {
        "common_crawl"
    }

    fn find(&self, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
        if path.is_dir() || !listing::is_named_so(path) {
            return format::files(self.slice(), path, base);
        }
        listing::find(self.slice(), path, base)
    }

    fn read(&self, files: &[RawFile], limits: Limits, _scratch: &Path, sink: &mut dyn Sink) -> Result<()> {
        for file in files {
            let raw = Raw::open(file)?;
            if listing::is_named_so(&file.path) {
                listing::read(file, raw, limits, sink)?;
                continue;
            }
            match raw.content() {
                Content::Lines if !raw.head().trim_ascii_start().starts_with(b"{") => {
                    pages::read(file, raw, self, limits, sink)?;
                }
                _ => ccnet::read(file, raw, limits, sink)?,
            }
        }
        Ok(())
    }

    /// `{"text": …, "meta": {"url": …, "date_download": …, …, "source": "cc/…/line0"}}`.
    ///
    /// The lines that were released are flat: a text, `source` and what the quality classifier
    /// said, and nothing of where a page stood or when. A later branch of the original, cc_metadata,
    /// put all of this into `meta`, as every other slice has it; its fields are written, in its
    /// order, with the same `source`: file and record. There it counted the lines that a dedup
    /// across files had left.
    fn original_line(&self, document: &Document, out: &mut String) -> Result<(), serde_json::Error> {
        out.push_str("{\"text\": ");
        dialect::string(document.text(), out);
        out.push_str(", \"meta\": {");
        let mut first = true;
        for name in CC_METADATA {
            // cc_net took the header's word for how long a text was before paragraphs went.
            let told = document.meta.word("length").filter(|_| name == "original_length");
            // What we measured is of the text as it is now.
            let language = document.meta.language.as_deref().filter(|_| name == "language");
            let mut value = String::new();
            // What it asked of its classifier has other names here.
            let signal = match name {
                "pred_label" => "quality_label",
                "pred_label_prob" => "quality_label_score",
                "wiki_prob" => "quality_score",
                name => name,
            };
            match (language, document.signals.get(signal)) {
                (_, Some(Signal::Text(label))) if name == "pred_label" => {
                    dialect::string(&format!("__label__{label}"), &mut value);
                }
                (_, Some(_)) if told.is_some() => value = told.unwrap_or_default(),
                (Some(word), _) => dialect::string(word, &mut value),
                (_, Some(Signal::Text(word))) => dialect::string(word, &mut value),
                (_, Some(Signal::Integer(number))) => value = number.to_string(),
                (_, Some(Signal::Number(number))) => dialect::float(*number, &mut value),
                (None, Some(Signal::Spans(_)) | None) => {
                    if document.meta.json.contains(name) {
                        dialect::rewrite_fields(&document.meta.json, &mut first, &|known| known != name, out)?;
                    }
                    continue;
                }
            }
            if !std::mem::take(&mut first) {
                out.push_str(", ");
            }
            dialect::string(name, out);
            out.push_str(": ");
            out.push_str(&value);
        }
        out.push_str(if first { "\"source\": " } else { ", \"source\": " });
        let file = document.id.raw_file.strip_prefix("common_crawl/").unwrap_or(&document.id.raw_file);
        dialect::string(&format!("cc/{file}/line{}", document.id.record), out);
        out.push_str("}}");
        Ok(())
    }
}

/// The fields that branch cc_metadata wrote before `source`.
const CC_METADATA: [&str; 16] = [
    "url",
    "date_download",
    "digest",
    "length",
    "nlines",
    "source_domain",
    "title",
    "original_nlines",
    "original_length",
    "language",
    "language_score",
    "perplexity",
    "bucket",
    "pred_label",
    "pred_label_prob",
    "wiki_prob",
];

#[cfg(test)]
mod tests;
