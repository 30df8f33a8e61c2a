//! C4: web pages of April 2019, cleaned by AllenAI, one JSON object a line.

use std::path::Path;

use corpus::dialect;
use corpus::{Document, RawFile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::{self, Shape};
use crate::{Limits, Result, Sink, Source};

/// Reads `c4-*.json.gz` as `allenai/c4` publishes it, or Parquet with the same columns.
///
/// A record is an object with `text`, `timestamp` and `url`; columns beyond them stay in `meta`.
/// The original read no record without all three (it raised `KeyError`): `require: [text,
/// timestamp, url]` counts such a record as `missing_column`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct C4 {
    /// Columns without which a record is unusable.
    pub require: Vec<String>,
    /// The language of the files: the original's are the English ones, and it writes so.
    pub language: String,
}

impl Default for C4 {
    fn default() -> Self {
        C4 { require: vec!["text".into()], language: "en".into() }
    }
}

/// Columns and the places of the fields that they fill: url and timestamp.
const FIELDS: &[(&str, usize)] = &[("url", 0), ("timestamp", 5), ("language", 4)];

impl Source for C4 {
    fn slice(&self) -> &'static str {
        "c4"
    }

    fn find(&self, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
        format::files(self.slice(), path, base)
    }

    fn read(&self, files: &[RawFile], limits: Limits, _scratch: &Path, sink: &mut dyn Sink) -> Result<()> {
        let shape = Shape { text: &["text"], fields: FIELDS, required: &self.require, language: Some(&self.language) };
        for file in files {
            format::read(file, &shape, limits, sink)?;
        }
        Ok(())
    }

    /// `{"text": …, "meta": {"timestamp": …, "url": …, "language": "en", "source": "c4"}}`; what
    /// the source did not say is left out.
    fn original_line(&self, document: &Document, out: &mut String) -> Result<(), serde_json::Error> {
        out.push_str("{\"text\": ");
        dialect::string(document.text(), out);
        out.push_str(", \"meta\": {");
        let mut first = true;
        for column in ["timestamp", "url"] {
            dialect::rewrite_fields(&document.meta.json, &mut first, &|known| known != column, out)?;
        }
        out.push_str(if first { "\"language\": " } else { ", \"language\": " });
        dialect::string(document.meta.language.as_deref().unwrap_or(&self.language), out);
        out.push_str(", \"source\": \"c4\"}}");
        Ok(())
    }
}
