//! Documents as rows: written, read back, and the texts of some of them.

use std::path::Path;
use std::sync::Arc;

use arrow_array::ArrayRef;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::Life;
use super::cells::{Cell, Column, Kind, Value};
use super::reader::TableReader;
use super::writer::{Compression, TableWriter, push_display};
use crate::document::{META_FIELDS, Signal, SignalKind, SignalSpec};
use crate::store::{Output, Store};
use crate::token::TokenId;
use crate::{Document, DocumentId, Error, Meta, Result};

/// Writes kept documents.
///
/// Columns: `id`, `raw_file`, `record`, `read_bytes` (bytes of the text when it was read),
/// `text_bytes` (as it is now), `tokens` (how many it has without an end-of-document token, null if
/// nobody asked for them), `text`, every signal by its name (of parts of the text a list of `start`, `end`, `score`), `url`, `repository`, `path`,
/// `license`, `language`, `timestamp`, and `meta`: all that the source said, as one JSON object in
/// its order.
pub struct DocumentWriter {
    table: TableWriter,
    signals: Vec<SignalSpec>,
    life: Life,
    id: String,
    tokens: Vec<u8>,
}

impl DocumentWriter {
    /// Starts a table aside, to be published under `name`.
    pub fn new(store: &Store, name: &str, signals: &[SignalSpec], life: Life) -> Result<DocumentWriter> {
        let mut columns = Vec::new();
        if life == Life::Kept {
            columns.push(Column::text("id"));
        }
        columns.push(Column::word("raw_file"));
        columns.push(Column::new("record", Kind::Unsigned));
        columns.push(Column::new("read_bytes", Kind::Unsigned));
        if life == Life::Kept {
            columns.push(Column::new("text_bytes", Kind::Unsigned));
            columns.push(Column::new("tokens", Kind::Unsigned).nullable());
        }
        columns.push(Column::text("text"));
        columns.extend(signals.iter().map(|signal| match signal.kind {
            SignalKind::Integer => Column::new(signal.name, Kind::Integer).nullable(),
            SignalKind::Number => Column::new(signal.name, Kind::Number).nullable(),
            SignalKind::Text => Column::text(signal.name).nullable(),
            SignalKind::Spans => Column::new(signal.name, Kind::Spans).nullable(),
        }));
        columns.extend(META_FIELDS.iter().map(|field| meta_column(field)));
        columns.push(Column::text("meta"));
        if life == Life::Between {
            columns.push(Column::new("tokens", Kind::Bytes).nullable());
        }
        let compression = if life == Life::Kept { Compression::Some } else { Compression::Least };
        let table = TableWriter::new(store, name, &columns, compression)?;
        Ok(DocumentWriter { table, signals: signals.to_vec(), life, id: String::new(), tokens: Vec::new() })
    }

    /// Appends a document.
    pub fn push(&mut self, document: &Document) -> Result<()> {
        let mut row: Vec<Cell<'_>> = Vec::with_capacity(20);
        if self.life == Life::Kept {
            self.id.clear();
            push_display(&mut self.id, &document.id);
            row.push(Cell::Text(&self.id));
        }
        row.push(Cell::Text(&document.id.raw_file));
        row.push(Cell::Unsigned(document.id.record));
        row.push(Cell::Unsigned(document.read_bytes()));
        if self.life == Life::Kept {
            row.push(Cell::Unsigned(document.text().len() as u64));
            let tokens = document.known_tokens().map(|tokens| Cell::Unsigned(tokens.len() as u64));
            row.push(tokens.unwrap_or(Cell::Null));
        }
        row.push(Cell::Text(document.text()));
        for spec in &self.signals {
            row.push(match document.signals.get(spec.name) {
                Some(Signal::Integer(value)) => Cell::Integer(*value),
                Some(Signal::Number(value)) => Cell::Number(*value),
                Some(Signal::Text(value)) => Cell::Text(value),
                Some(Signal::Spans(spans)) => Cell::Spans(spans),
                None => Cell::Null,
            });
        }
        row.extend(document.meta.fields().map(Cell::optional));
        row.push(Cell::Text(&document.meta.json));
        if self.life == Life::Between {
            match document.known_tokens() {
                Some(tokens) => {
                    self.tokens.clear();
                    self.tokens.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
                    row.push(Cell::Bytes(&self.tokens));
                }
                None => row.push(Cell::Null),
            }
        }
        self.table.push(&row)
    }

    /// Ends the table and gives it its name.
    pub fn publish(self) -> Result<Output> {
        self.table.publish()
    }
}

/// Addresses, paths and times hardly repeat; the other fields do.
fn meta_column(field: &str) -> Column {
    match field {
        "url" | "path" | "timestamp" => Column::text(field).nullable(),
        _ => Column::word(field).nullable(),
    }
}

/// Columns that every document has (but for tokens), and their places among those that are read.
const FIXED: [&str; 6] = ["raw_file", "record", "read_bytes", "text", "meta", "tokens"];
const RAW_FILE: usize = 0;
const RECORD: usize = 1;
const READ_BYTES: usize = 2;
const TEXT: usize = 3;
const META: usize = 4;
const TOKENS: usize = 5;

/// Reads documents back, in order.
pub struct DocumentReader {
    table: TableReader,
    signals: Vec<SignalSpec>,
    /// The columns of some rows: the fixed ones in the order of [`FIXED`], then signals.
    columns: Vec<Option<ArrayRef>>,
    rows: usize,
    row: usize,
    raw_file: Arc<str>,
}

impl DocumentReader {
    /// Opens a table of documents that has these signals.
    pub fn open(path: &Path, signals: &[SignalSpec]) -> Result<DocumentReader> {
        let table = TableReader::open(path)?;
        Ok(DocumentReader {
            table,
            signals: signals.to_vec(),
            columns: Vec::new(),
            rows: 0,
            row: 0,
            raw_file: "".into(),
        })
    }

    fn read(&mut self) -> Result<Option<Document>> {
        while self.row == self.rows {
            let Some(batch) = self.table.next_batch()? else { return Ok(None) };
            let names = FIXED.into_iter().chain(META_FIELDS).chain(self.signals.iter().map(|signal| signal.name));
            self.columns = names.map(|name| batch.column_by_name(name).cloned()).collect();
            (self.rows, self.row) = (batch.num_rows(), 0);
        }
        let row = self.row;
        self.row += 1;
        let (columns, path) = (&self.columns, &self.table.path);
        let value = |at: usize| Value::of(columns.get(at)?.as_deref()?, row);
        let missing = |at: usize| Error::damaged(path, format!("row without `{}`", FIXED[at]));
        let text = |at: usize| match value(at) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(missing(at)),
        };
        let number = |at: usize| match value(at) {
            Some(Value::Unsigned(number)) => Ok(number),
            _ => Err(missing(at)),
        };
        let raw_file = text(RAW_FILE)?;
        if *raw_file != *self.raw_file {
            self.raw_file = raw_file.into();
        }
        let id = DocumentId { raw_file: self.raw_file.clone(), record: number(RECORD)? };
        let mut meta = Meta { json: text(META)?.to_owned(), ..Meta::default() };
        for (field, at) in meta.fields_mut().into_iter().zip(FIXED.len()..) {
            *field = match value(at) {
                Some(Value::Text(text)) => Some(text.into()),
                _ => None,
            };
        }
        let tokens = match value(TOKENS) {
            Some(Value::Bytes(bytes)) => Some(tokens_of(bytes)),
            _ => None,
        };
        let mut document = Document::new(id, text(TEXT)?.to_owned(), meta).restored(number(READ_BYTES)?, tokens);
        for (spec, at) in self.signals.iter().zip(FIXED.len() + META_FIELDS.len()..) {
            let signal = match value(at) {
                Some(Value::Integer(value)) => Signal::Integer(value),
                Some(Value::Number(value)) => Signal::Number(value),
                Some(Value::Text(value)) => Signal::Text(value.into()),
                Some(Value::Spans(spans)) => Signal::Spans(spans.into()),
                _ => continue,
            };
            document.signals.set(spec.name, signal);
        }
        Ok(Some(document))
    }
}

impl Iterator for DocumentReader {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Result<Document>> {
        self.read().transpose()
    }
}

/// The texts of some rows of a table of documents: `wanted` says of each document, by its raw file and
/// record, in the order of the rows, what `each` is to see its text with, if it is to see it. Of the
/// other columns only these two are read.
pub fn texts_of<T>(
    path: &Path,
    wanted: &mut dyn FnMut(&str, u64) -> Result<Option<T>>,
    each: &mut dyn FnMut(T, &str) -> Result<()>,
) -> Result<()> {
    let mut table = TableReader::open(path)?;
    let missing = |name: &str| Error::damaged(path, format!("row without `{name}`"));
    for group in 0..table.metadata.metadata().num_row_groups() {
        let mut rows: Vec<RowSelector> = Vec::new();
        let mut chosen: Vec<T> = Vec::new();
        table.only(group, &["raw_file", "record"], None)?;
        while let Some(batch) = table.next_of_group()? {
            for row in 0..batch.num_rows() {
                let (Some(Value::Text(raw_file)), Some(Value::Unsigned(record))) =
                    (Value::at(&batch, "raw_file", row), Value::at(&batch, "record", row))
                else {
                    return Err(missing("record"));
                };
                let wanted = wanted(raw_file, record)?;
                let skip = wanted.is_none();
                chosen.extend(wanted);
                match rows.last_mut() {
                    Some(last) if last.skip == skip => last.row_count += 1,
                    _ => rows.push(RowSelector { row_count: 1, skip }),
                }
            }
        }
        if chosen.is_empty() {
            continue;
        }
        table.only(group, &["text"], Some(RowSelection::from(rows)))?;
        let mut chosen = chosen.into_iter();
        while let Some(batch) = table.next_of_group()? {
            for (row, chosen) in (0..batch.num_rows()).zip(&mut chosen) {
                let Some(Value::Text(text)) = Value::at(&batch, "text", row) else { return Err(missing("text")) };
                each(chosen, text)?;
            }
        }
    }
    Ok(())
}

pub(super) fn tokens_of(bytes: &[u8]) -> Vec<TokenId> {
    bytes.chunks_exact(4).map(|four| TokenId::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}
