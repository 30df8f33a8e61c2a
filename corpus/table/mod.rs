//! Documents, dropped documents and provenance as Parquet, so that DuckDB, Polars and Hugging Face
//! `datasets` open them with no code of ours.
//!
//! Row groups are cut by the size of their texts and by count, never by free memory, so the same
//! rows give the same bytes; a reader holds one piece of one row group at a time.

mod cells;
mod cut;
mod documents;
mod dropped;
mod provenance;
mod reader;
mod writer;

use std::path::Path;

pub use cut::{CutReceipt, CutWriter};
pub use documents::{DocumentReader, DocumentWriter, texts_of};
pub use dropped::{DroppedWriter, count_dropped};
pub use provenance::ProvenanceWriter;

use cells::Value;
use documents::tokens_of;
use reader::TableReader;

use crate::Result;
use crate::document::ScoredSpan;

/// Which columns our tables have and how they are written: part of a task's id, so that tables of an earlier layout are made
/// anew and none of two layouts is taken for the other.
pub const LAYOUT: u32 = 4;

/// What becomes of a table's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Read once by a later pass: written fast, with tokens if there are any, without ids.
    Between,
    /// Published.
    Kept,
}

/// Counts a table's rows without reading them.
pub fn rows(path: &Path) -> Result<u64> {
    let table = TableReader::open(path)?;
    Ok(table.metadata.metadata().file_metadata().num_rows().max(0) as u64)
}

/// Hands out the rows of any table that we write (or that has columns of these simple types) as
/// JSON objects, column by column, nulls left out, until `row` says no.
pub fn each_row(
    path: &Path,
    row: &mut dyn FnMut(serde_json::Map<String, serde_json::Value>) -> Result<bool>,
) -> Result<()> {
    let mut table = TableReader::open(path)?;
    while let Some(batch) = table.next_batch()? {
        let schema = batch.schema();
        for number in 0..batch.num_rows() {
            let mut object = serde_json::Map::new();
            for field in schema.fields() {
                let value = match Value::at(&batch, field.name(), number) {
                    None => continue,
                    Some(Value::Text(text)) => text.into(),
                    Some(Value::Unsigned(value)) => value.into(),
                    Some(Value::Integer(value)) => value.into(),
                    Some(Value::Number(value)) => value.into(),
                    Some(Value::Flag(value)) => value.into(),
                    Some(Value::Bytes(bytes)) => tokens_of(bytes).into(),
                    Some(Value::Spans(spans)) => spans.iter().map(json_of).collect(),
                };
                object.insert(field.name().clone(), value);
            }
            if !row(object)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// `[start, end, score]`, as RedPajama-V2 writes a part of a text.
fn json_of(span: &ScoredSpan) -> serde_json::Value {
    serde_json::json!([span.start, span.end, span.score])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Signal, SignalKind, SignalSpec};
    use crate::store::Store;
    use crate::{Counts, Document, DocumentId, Error, Evidence, Meta, Reason, TokenId};

    const COUNT: SignalSpec = SignalSpec { name: "count", kind: SignalKind::Integer, about: "" };
    const LINES: SignalSpec = SignalSpec { name: "lines", kind: SignalKind::Spans, about: "" };
    const WORD: SignalSpec = SignalSpec { name: "word", kind: SignalKind::Text, about: "" };

    fn corpus_span(start: u32, end: u32, score: Option<f64>) -> ScoredSpan {
        ScoredSpan { start, end, score }
    }

    fn document(record: u64, text: &str) -> Document {
        let id = DocumentId { raw_file: "c4/a.json".into(), record };
        let meta = Meta { url: Some("https://a".into()), json: r#"{"url":"https://a"}"#.into(), ..Meta::default() };
        let mut document = Document::new(id, text.to_owned(), meta);
        document.signals.set("count", Signal::Integer(record as i64));
        if !record.is_multiple_of(3) {
            let span = |start| corpus_span(start, start + 2, (start > 0).then_some(f64::from(start) / 2.0));
            document.signals.set("lines", Signal::Spans((0..record as u32 % 5).map(span).collect()));
        }
        document
    }

    #[test]
    fn documents_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        for life in [Life::Between, Life::Kept] {
            let mut writer = DocumentWriter::new(&store, "d.parquet", &[COUNT, WORD, LINES], life).unwrap();
            for record in 0..10_000 {
                let read =
                    document(record, "a text").restored(40, (record % 2 == 0).then(|| vec![record as TokenId, 7]));
                writer.push(&read).unwrap();
            }
            writer.publish().unwrap();
            let path = store.path("d.parquet");
            assert_eq!(rows(&path).unwrap(), 10_000);
            for (record, read) in DocumentReader::open(&path, &[COUNT, WORD, LINES]).unwrap().enumerate() {
                let read = read.unwrap();
                let written = document(record as u64, "a text");
                assert_eq!((&read.id, read.text(), &read.meta), (&written.id, "a text", &written.meta));
                assert_eq!((&read.signals, read.read_bytes()), (&written.signals, 40));
                let tokens = (life == Life::Between && record % 2 == 0).then(|| vec![record as TokenId, 7]);
                assert_eq!(read.known_tokens(), tokens.as_deref());
            }
        }
    }

    #[test]
    fn the_same_rows_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let write = |name: &str| {
            let mut writer = DocumentWriter::new(&store, name, &[COUNT], Life::Kept).unwrap();
            for record in 0..100 {
                writer.push(&document(record, &"long ".repeat(100_000))).unwrap();
            }
            writer.publish().unwrap().digest
        };
        assert_eq!(write("a"), write("b"));
        let groups = TableReader::open(&store.path("a")).unwrap().metadata.metadata().num_row_groups();
        assert_eq!(groups, 3, "50 MB of text, cut at 16 MiB");
    }

    #[test]
    fn dropped_rows_count_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut writer = DroppedWriter::new(&store, "dropped.parquet").unwrap();
        let id = DocumentId { raw_file: "c4/a.json".into(), record: 3 };
        let kept = DocumentId { raw_file: "c4/a.json".into(), record: 1 };
        let twin = Evidence::Twin { kept, similarity: 1.0, run: None };
        writer.dropped("2:exact_dedup", &id, Reason("exact_duplicate"), &twin, 9).unwrap();
        writer.unusable(&id, Reason("bad_json"), &Evidence::found("a comma"), 5).unwrap();
        writer.publish().unwrap();
        let mut counts = Counts::default();
        count_dropped(&store.path("dropped.parquet"), &mut counts).unwrap();
        assert_eq!((counts.read.documents, counts.read.bytes), (2, 14));
        assert_eq!(counts.dropped["exact_duplicate"].bytes, 9);
        let mut seen = Vec::new();
        each_row(&store.path("dropped.parquet"), &mut |row| {
            seen.push((row["evidence"].clone(), row.get("kept_id").cloned()));
            Ok(true)
        })
        .unwrap();
        assert_eq!(seen[0], ("1 like c4/a.json#1".into(), Some("c4/a.json#1".into())));
        assert_eq!(seen[1], ("a comma".into(), None));
    }

    #[test]
    fn a_table_cut_short_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        DroppedWriter::new(&store, "d").unwrap().publish().unwrap();
        let whole = store.read("d").unwrap();
        std::fs::write(store.path("d"), &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(rows(&store.path("d")), Err(Error::Damaged { .. })));
    }
}
