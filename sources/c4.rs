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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Outcome, find, put, read, read_files};

    fn lines(records: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let seen = read("c4", &put(&folder, "c4-train.00000-of-01024.json", records.as_bytes()));
        let lines = seen.records.into_iter().map(|(_, _, outcome)| match outcome {
            Outcome::Text(_, _, line) => line,
            Outcome::Unusable(reason, ..) => reason.to_owned(),
        });
        lines.collect()
    }

    #[test]
    fn a_record_becomes_the_original_s() {
        let record = r#"{"text":"Caf\u00e9 😀\nopen","timestamp":"2019-04-25T12:57:54Z","url":"https://a.example/b/"}"#;
        let line = concat!(
            r#"{"text": "Caf\u00e9 \ud83d\ude00\nopen", "meta": {"timestamp": "2019-04-25T12:57:54Z", "#,
            r#""url": "https://a.example/b/", "language": "en", "source": "c4"}}"#
        );
        assert_eq!(lines(record), [line]);
    }

    #[test]
    fn what_is_missing_is_left_out() {
        let line = r#"{"text": "a", "meta": {"language": "en", "source": "c4"}}"#;
        assert_eq!(lines(r#"{"text":"a","other":1}"#), [line]);
        let line = r#"{"text": "a", "meta": {"url": "u", "language": "en", "source": "c4"}}"#;
        assert_eq!(lines(r#"{"url":"u","text":"a"}"#), [line]);
    }

    /// The original raised an error at a record without a timestamp.
    #[test]
    fn required_columns_are_required() {
        let folder = tempfile::tempdir().unwrap();
        let path = put(
            &folder,
            "a.json",
            b"{\"text\":\"a\",\"url\":\"u\"}\n{\"text\":\"a\",\"url\":\"u\",\"timestamp\":null}",
        );
        let (plain, _) = read_files("c4", &find("c4", &path), Limits { max_document: 99 }, 9);
        assert_eq!(plain.outcomes(), ["text", "text"]);
        struct Reasons(Vec<String>);
        impl Sink for Reasons {
            fn record(&mut self, record: crate::Record) -> Result<()> {
                self.0.push(match record {
                    crate::Record::Document(document) => document.text().to_owned(),
                    crate::Record::Unusable { reason, evidence, .. } => format!("{reason}: {evidence}"),
                });
                Ok(())
            }
            fn finished(&mut self, _: corpus::manifest::RawRead) -> Result<()> {
                Ok(())
            }
        }
        let source: C4 = serde_json::from_str(r#"{"require": ["text", "timestamp", "url"]}"#).unwrap();
        let mut reasons = Reasons(Vec::new());
        source.read(&find("c4", &path), Limits { max_document: 99 }, folder.path(), &mut reasons).unwrap();
        assert_eq!(reasons.0, ["missing_column: timestamp", "a"]);
    }
}
