//! Documents, dropped documents and provenance as Parquet, so that DuckDB, Polars and Hugging Face
//! `datasets` open them with no code of ours.
//!
//! Row groups are cut by the size of their texts and by count, never by free memory, so the same
//! rows give the same bytes; a reader holds one piece of one row group at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    StructBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::document::{META_FIELDS, ScoredSpan, Signal, SignalKind, SignalSpec};
use crate::store::{Aside, Output, Store};
use crate::token::TokenId;
use crate::{Counts, Digest, Document, DocumentId, Error, Evidence, Meta, Reason, Result};

/// A row group ends with the row that brings its texts to this many bytes …
const GROUP_BYTES: usize = 16 << 20;
/// … or with this row.
const GROUP_ROWS: usize = 1 << 16;
/// Rows are handed to the encoder in pieces of about this many bytes.
const PIECE_BYTES: usize = 1 << 20;
const PIECE_ROWS: usize = 1 << 12;

/// Which columns our tables have: part of a task's id, so that tables of an earlier layout are made
/// anew and none of two layouts is taken for the other.
pub const LAYOUT: u32 = 2;

/// Columns that hold most of a table's bytes, and compress better in larger pages.
const LONG: [&str; 3] = ["text", "meta", "tokens"];

/// What becomes of a table's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Read once by a later pass: written fast, with tokens if there are any, without ids.
    Between,
    /// Published.
    Kept,
}

// ---------------------------------------------------------------------------------------------
// Documents

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
        let level = if life == Life::Kept { 3 } else { 1 };
        let table = TableWriter::new(store, name, &columns, level)?;
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

/// Reads documents back, in order.
pub struct DocumentReader {
    table: TableReader,
    signals: Vec<SignalSpec>,
    batch: Option<RecordBatch>,
    row: usize,
    raw_file: Arc<str>,
}

impl DocumentReader {
    /// Opens a table of documents that has these signals.
    pub fn open(path: &Path, signals: &[SignalSpec]) -> Result<DocumentReader> {
        let table = TableReader::open(path)?;
        Ok(DocumentReader { table, signals: signals.to_vec(), batch: None, row: 0, raw_file: "".into() })
    }

    fn read(&mut self) -> Result<Option<Document>> {
        while self.batch.as_ref().is_none_or(|batch| self.row == batch.num_rows()) {
            self.batch = self.table.next_batch()?;
            self.row = 0;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
        let Some(batch) = &self.batch else { return Ok(None) };
        let row = self.row;
        self.row += 1;
        let missing = |name: &str| Error::damaged(&self.table.path, format!("row without `{name}`"));
        let text = |name: &str| match Value::at(batch, name, row) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(missing(name)),
        };
        let number = |name: &str| match Value::at(batch, name, row) {
            Some(Value::Unsigned(number)) => Ok(number),
            _ => Err(missing(name)),
        };
        let raw_file = text("raw_file")?;
        if *raw_file != *self.raw_file {
            self.raw_file = raw_file.into();
        }
        let id = DocumentId { raw_file: self.raw_file.clone(), record: number("record")? };
        let mut meta = Meta { json: text("meta")?.to_owned(), ..Meta::default() };
        for (field, name) in meta.fields_mut().into_iter().zip(META_FIELDS) {
            *field = text(name).ok().map(Into::into);
        }
        let tokens = match Value::at(batch, "tokens", row) {
            Some(Value::Bytes(bytes)) => Some(tokens_of(bytes)),
            _ => None,
        };
        let mut document = Document::new(id, text("text")?.to_owned(), meta).restored(number("read_bytes")?, tokens);
        for spec in &self.signals {
            let signal = match Value::at(batch, spec.name, row) {
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

fn tokens_of(bytes: &[u8]) -> Vec<TokenId> {
    bytes.chunks_exact(4).map(|four| TokenId::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

// ---------------------------------------------------------------------------------------------
// Dropped

/// Writes why each dropped document and each unusable record is gone.
///
/// Columns: `id`, `raw_file`, `record`, `stage` (its place and name in the pipeline, `source` for
/// an unusable record), `reason`, `evidence`, for a duplicate `kept_id` and `similarity`, `bytes`
/// of the text (or record) as it was read, and `unusable`.
pub struct DroppedWriter {
    table: TableWriter,
    id: String,
    evidence: String,
    kept: String,
}

impl DroppedWriter {
    /// Starts a table aside, to be published under `name`.
    pub fn new(store: &Store, name: &str) -> Result<DroppedWriter> {
        let columns = [
            Column::text("id"),
            Column::word("raw_file"),
            Column::new("record", Kind::Unsigned),
            Column::word("stage"),
            Column::word("reason"),
            Column::text("evidence"),
            Column::text("kept_id").nullable(),
            Column::new("similarity", Kind::Single).nullable(),
            Column::new("bytes", Kind::Unsigned),
            Column::new("unusable", Kind::Flag),
        ];
        let table = TableWriter::new(store, name, &columns, 1)?;
        Ok(DroppedWriter { table, id: String::new(), evidence: String::new(), kept: String::new() })
    }

    /// Appends a document that a stage dropped.
    pub fn dropped(
        &mut self,
        stage: &str,
        id: &DocumentId,
        reason: Reason,
        evidence: &Evidence,
        bytes: u64,
    ) -> Result<()> {
        self.push(stage, id, reason, evidence, bytes, false)
    }

    /// Appends a record that is no document.
    pub fn unusable(&mut self, id: &DocumentId, reason: Reason, evidence: &Evidence, bytes: u64) -> Result<()> {
        self.push("source", id, reason, evidence, bytes, true)
    }

    fn push(
        &mut self,
        stage: &str,
        id: &DocumentId,
        reason: Reason,
        evidence: &Evidence,
        bytes: u64,
        unusable: bool,
    ) -> Result<()> {
        for text in [&mut self.id, &mut self.evidence, &mut self.kept] {
            text.clear();
        }
        push_display(&mut self.id, id);
        push_display(&mut self.evidence, evidence);
        let mut twin = (Cell::Null, Cell::Null);
        if let Evidence::Twin { kept, similarity } = evidence {
            push_display(&mut self.kept, kept);
            let known = *similarity >= 0.0;
            twin = (Cell::Text(&self.kept), if known { Cell::Number(f64::from(*similarity)) } else { Cell::Null });
        }
        self.table.push(&[
            Cell::Text(&self.id),
            Cell::Text(&id.raw_file),
            Cell::Unsigned(id.record),
            Cell::Text(stage),
            Cell::Text(reason.0),
            Cell::Text(&self.evidence),
            twin.0,
            twin.1,
            Cell::Unsigned(bytes),
            Cell::Flag(unusable),
        ])
    }

    /// Ends the table and gives it its name.
    pub fn publish(self) -> Result<Output> {
        self.table.publish()
    }
}

// ---------------------------------------------------------------------------------------------
// Provenance

/// Writes where each document of a shard came from.
///
/// Columns: `ordinal` (the document's number in the shard), `offset` and `tokens` (in tokens, the
/// end-of-document token included), `id`, `raw_file`, `record`, `repository`, `path`, `url`,
/// `license`, and `digest`: BLAKE3 of the text that was tokenized.
pub struct ProvenanceWriter {
    table: TableWriter,
    id: String,
    digest: String,
    ordinal: u64,
    offset: u64,
}

impl ProvenanceWriter {
    /// Starts a table aside, to be published under `name`.
    pub fn new(store: &Store, name: &str) -> Result<ProvenanceWriter> {
        let columns = [
            Column::new("ordinal", Kind::Unsigned),
            Column::new("offset", Kind::Unsigned),
            Column::new("tokens", Kind::Unsigned),
            Column::text("id"),
            Column::word("raw_file"),
            Column::new("record", Kind::Unsigned),
            Column::word("repository").nullable(),
            Column::text("path").nullable(),
            Column::text("url").nullable(),
            Column::word("license").nullable(),
            Column::text("digest"),
        ];
        let table = TableWriter::new(store, name, &columns, 1)?;
        Ok(ProvenanceWriter { table, id: String::new(), digest: String::new(), ordinal: 0, offset: 0 })
    }

    /// Appends the next document of the shard, of so many tokens.
    pub fn push(&mut self, document: &Document, digest: Digest, tokens: u64) -> Result<()> {
        self.id.clear();
        self.digest.clear();
        push_display(&mut self.id, &document.id);
        push_display(&mut self.digest, &digest);
        let meta = &document.meta;
        self.table.push(&[
            Cell::Unsigned(self.ordinal),
            Cell::Unsigned(self.offset),
            Cell::Unsigned(tokens),
            Cell::Text(&self.id),
            Cell::Text(&document.id.raw_file),
            Cell::Unsigned(document.id.record),
            Cell::optional(meta.repository.as_deref()),
            Cell::optional(meta.path.as_deref()),
            Cell::optional(meta.url.as_deref()),
            Cell::optional(meta.license.as_deref()),
            Cell::Text(&self.digest),
        ])?;
        self.ordinal += 1;
        self.offset += tokens;
        Ok(())
    }

    /// Ends the table and gives it its name.
    pub fn publish(self) -> Result<Output> {
        self.table.publish()
    }
}

// ---------------------------------------------------------------------------------------------
// Any table

/// Counts a table's rows without reading them.
pub fn rows(path: &Path) -> Result<u64> {
    let table = TableReader::open(path)?;
    Ok(table.metadata.metadata().file_metadata().num_rows().max(0) as u64)
}

/// Reads a table of dropped documents back into counts.
pub fn count_dropped(path: &Path, counts: &mut Counts) -> Result<()> {
    let mut table = TableReader::open(path)?;
    while let Some(batch) = table.next_batch()? {
        for row in 0..batch.num_rows() {
            let (Some(Value::Text(reason)), Some(Value::Unsigned(bytes)), Some(Value::Flag(unusable))) =
                (Value::at(&batch, "reason", row), Value::at(&batch, "bytes", row), Value::at(&batch, "unusable", row))
            else {
                return Err(Error::damaged(path, "row without `reason`, `bytes` or `unusable`"));
            };
            let map = if unusable { &mut counts.unusable } else { &mut counts.dropped };
            map.entry(reason.to_owned()).or_default().add(bytes);
            counts.read.add(bytes);
        }
    }
    Ok(())
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

enum Value<'b> {
    Text(&'b str),
    Unsigned(u64),
    Integer(i64),
    Number(f64),
    Flag(bool),
    Bytes(&'b [u8]),
    Spans(Vec<ScoredSpan>),
}

impl<'b> Value<'b> {
    fn at(batch: &'b RecordBatch, column: &str, row: usize) -> Option<Value<'b>> {
        let array = batch.column_by_name(column)?;
        if array.is_null(row) {
            return None;
        }
        Some(match array.data_type() {
            DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row)),
            DataType::UInt64 => Value::Unsigned(array.as_primitive::<UInt64Type>().value(row)),
            DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Value::Number(array.as_primitive::<Float64Type>().value(row)),
            DataType::Float32 => Value::Number(f64::from(array.as_primitive::<Float32Type>().value(row))),
            DataType::Boolean => Value::Flag(array.as_boolean().value(row)),
            DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row)),
            DataType::List(_) => Value::Spans(spans_of(array.as_list::<i32>().value(row).as_struct_opt()?)?),
            _ => return None,
        })
    }
}

fn spans_of(list: &StructArray) -> Option<Vec<ScoredSpan>> {
    let place = |name| list.column_by_name(name)?.as_primitive_opt::<UInt32Type>();
    let (start, end) = (place("start")?, place("end")?);
    let score = list.column_by_name("score")?.as_primitive_opt::<Float64Type>()?;
    let of = |at| ScoredSpan {
        start: start.value(at),
        end: end.value(at),
        score: score.is_valid(at).then(|| score.value(at)),
    };
    Some((0..list.len()).map(of).collect())
}

/// What a part of a text consists of.
fn span_fields() -> Fields {
    [("start", DataType::UInt32, false), ("end", DataType::UInt32, false), ("score", DataType::Float64, true)]
        .into_iter()
        .map(|(name, kind, nullable)| Field::new(name, kind, nullable))
        .collect()
}

/// An item of a list of them.
fn span_item() -> Arc<Field> {
    Arc::new(Field::new_struct("element", span_fields(), false))
}

struct TableReader {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    group: usize,
    reader: Option<ParquetRecordBatchReader>,
}

impl TableReader {
    fn open(path: &Path) -> Result<TableReader> {
        let file = File::open(path).map_err(Error::io("cannot open", path))?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(reading(path))?;
        Ok(TableReader { path: path.to_path_buf(), file, metadata, group: 0, reader: None })
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.next_of_group()? {
                return Ok(Some(batch));
            }
            if self.group == self.metadata.metadata().num_row_groups() {
                return Ok(None);
            }
            self.reader = Some(self.of_group(self.group)?.build().map_err(reading(&self.path))?);
            self.group += 1;
        }
    }

    /// What is left of the row group that is read.
    fn next_of_group(&mut self) -> Result<Option<RecordBatch>> {
        let next = self.reader.as_mut().and_then(Iterator::next);
        next.transpose().map_err(|error| Error::damaged(&self.path, error.to_string()))
    }

    /// Reads some columns of one row group, and some rows.
    fn only(&mut self, group: usize, columns: &[&str], rows: Option<RowSelection>) -> Result<()> {
        let columns = columns.iter().copied();
        let mask = ProjectionMask::columns(self.metadata.metadata().file_metadata().schema_descr(), columns);
        let mut builder = self.of_group(group)?.with_projection(mask);
        if let Some(rows) = rows {
            builder = builder.with_row_selection(rows);
        }
        self.reader = Some(builder.build().map_err(reading(&self.path))?);
        Ok(())
    }

    /// A reader of one row group, in pieces of a few megabytes.
    fn of_group(&self, number: usize) -> Result<ParquetRecordBatchReaderBuilder<File>> {
        let group = self.metadata.metadata().row_group(number);
        let (rows, bytes) = (group.num_rows().max(1) as usize, group.total_byte_size().max(1) as usize);
        let piece = (rows.saturating_mul(2 * PIECE_BYTES) / bytes).clamp(1, PIECE_ROWS);
        let file = self.file.try_clone().map_err(Error::io("cannot open", &self.path))?;
        Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![number])
            .with_batch_size(piece))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Word,
    Unsigned,
    Integer,
    Number,
    Single,
    Flag,
    Bytes,
    Spans,
}

struct Column {
    name: String,
    kind: Kind,
    nullable: bool,
}

impl Column {
    fn new(name: &str, kind: Kind) -> Column {
        Column { name: name.to_owned(), kind, nullable: false }
    }

    /// Text that repeats seldom: written as it is.
    fn text(name: &str) -> Column {
        Column::new(name, Kind::Text)
    }

    /// Text that repeats often: written once a row group.
    fn word(name: &str) -> Column {
        Column::new(name, Kind::Word)
    }

    fn nullable(self) -> Column {
        Column { nullable: true, ..self }
    }

    fn field(&self) -> Field {
        let kind = match self.kind {
            Kind::Text | Kind::Word => DataType::Utf8,
            Kind::Unsigned => DataType::UInt64,
            Kind::Integer => DataType::Int64,
            Kind::Number => DataType::Float64,
            Kind::Single => DataType::Float32,
            Kind::Flag => DataType::Boolean,
            Kind::Bytes => DataType::Binary,
            Kind::Spans => DataType::List(span_item()),
        };
        Field::new(&self.name, kind, self.nullable)
    }

    fn builder(&self) -> Builder {
        match self.kind {
            Kind::Text | Kind::Word => Builder::Text(StringBuilder::new()),
            Kind::Unsigned => Builder::Unsigned(UInt64Builder::new()),
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Number => Builder::Number(Float64Builder::new()),
            Kind::Single => Builder::Single(Float32Builder::new()),
            Kind::Flag => Builder::Flag(BooleanBuilder::new()),
            Kind::Bytes => Builder::Bytes(BinaryBuilder::new()),
            Kind::Spans => {
                let item = StructBuilder::from_fields(span_fields(), 0);
                Builder::Spans(Box::new(ListBuilder::new(item).with_field(span_item())))
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Cell<'c> {
    Null,
    Text(&'c str),
    Unsigned(u64),
    Integer(i64),
    Number(f64),
    Flag(bool),
    Bytes(&'c [u8]),
    Spans(&'c [ScoredSpan]),
}

impl<'c> Cell<'c> {
    fn optional(text: Option<&'c str>) -> Cell<'c> {
        text.map_or(Cell::Null, Cell::Text)
    }

    fn bytes(self) -> usize {
        match self {
            Cell::Text(text) => text.len(),
            Cell::Bytes(bytes) => bytes.len(),
            Cell::Spans(spans) => 16 * spans.len(),
            _ => 8,
        }
    }
}

enum Builder {
    Text(StringBuilder),
    Unsigned(UInt64Builder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Single(Float32Builder),
    Flag(BooleanBuilder),
    Bytes(BinaryBuilder),
    Spans(Box<ListBuilder<StructBuilder>>),
}

impl Builder {
    /// A cell of another kind than the column's is a null: stages declare what they write.
    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Builder::Text(to), Cell::Text(value)) => to.append_value(value),
            (Builder::Text(to), _) => to.append_null(),
            (Builder::Unsigned(to), Cell::Unsigned(value)) => to.append_value(value),
            (Builder::Unsigned(to), _) => to.append_null(),
            (Builder::Integer(to), Cell::Integer(value)) => to.append_value(value),
            (Builder::Integer(to), _) => to.append_null(),
            (Builder::Number(to), Cell::Number(value)) => to.append_value(value),
            (Builder::Number(to), _) => to.append_null(),
            (Builder::Single(to), Cell::Number(value)) => to.append_value(value as f32),
            (Builder::Single(to), _) => to.append_null(),
            (Builder::Flag(to), Cell::Flag(value)) => to.append_value(value),
            (Builder::Flag(to), _) => to.append_null(),
            (Builder::Bytes(to), Cell::Bytes(value)) => to.append_value(value),
            (Builder::Bytes(to), _) => to.append_null(),
            (Builder::Spans(to), Cell::Spans(spans)) => {
                let parts = to.values();
                if let Some(start) = parts.field_builder::<UInt32Builder>(0) {
                    spans.iter().for_each(|span| start.append_value(span.start));
                }
                if let Some(end) = parts.field_builder::<UInt32Builder>(1) {
                    spans.iter().for_each(|span| end.append_value(span.end));
                }
                if let Some(score) = parts.field_builder::<Float64Builder>(2) {
                    spans.iter().for_each(|span| score.append_option(span.score));
                }
                spans.iter().for_each(|_| parts.append(true));
                to.append(true);
            }
            (Builder::Spans(to), _) => to.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(from) => Arc::new(from.finish()),
            Builder::Unsigned(from) => Arc::new(from.finish()),
            Builder::Integer(from) => Arc::new(from.finish()),
            Builder::Number(from) => Arc::new(from.finish()),
            Builder::Single(from) => Arc::new(from.finish()),
            Builder::Flag(from) => Arc::new(from.finish()),
            Builder::Bytes(from) => Arc::new(from.finish()),
            Builder::Spans(from) => Arc::new(from.finish()),
        }
    }
}

struct TableWriter {
    writer: ArrowWriter<Aside>,
    path: PathBuf,
    schema: Arc<Schema>,
    builders: Vec<Builder>,
    piece: (usize, usize),
    group: (usize, usize),
}

impl TableWriter {
    fn new(store: &Store, name: &str, columns: &[Column], level: i32) -> Result<TableWriter> {
        let to = store.aside(name)?;
        let path = to.path().to_path_buf();
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let mut properties = WriterProperties::builder()
            .set_created_by("redpajama".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(level).map_err(writing(&path))?))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            // Each column holds a page and a compressor for it.
            .set_data_page_size_limit(64 << 10)
            .set_dictionary_page_size_limit(64 << 10)
            .set_write_batch_size(64)
            .set_max_row_group_row_count(None);
        for column in columns {
            let name = ColumnPath::from(column.name.as_str());
            if LONG.contains(&column.name.as_str()) {
                properties = properties.set_column_data_page_size_limit(name.clone(), 256 << 10);
            }
            match column.kind {
                Kind::Word => properties = properties.set_column_dictionary_enabled(name, true),
                // The least and greatest of texts say nothing and may be megabytes long.
                Kind::Text | Kind::Bytes => {
                    properties = properties.set_column_statistics_enabled(name, EnabledStatistics::None);
                }
                _ => {}
            }
        }
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(to, schema.clone(), options).map_err(writing(&path))?;
        let builders = columns.iter().map(Column::builder).collect();
        Ok(TableWriter { writer, path, schema, builders, piece: (0, 0), group: (0, 0) })
    }

    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        for (builder, cell) in self.builders.iter_mut().zip(row) {
            builder.push(*cell);
            self.piece.1 += cell.bytes();
        }
        self.piece.0 += 1;
        if self.piece.0 == PIECE_ROWS || self.piece.1 >= PIECE_BYTES {
            self.encode()?;
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<()> {
        if self.piece.0 == 0 {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = self.builders.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| Error::Check { path: self.path.clone(), detail: error.to_string() })?;
        self.writer.write(&batch).map_err(writing(&self.path))?;
        self.group.0 += self.piece.0;
        self.group.1 += self.piece.1;
        self.piece = (0, 0);
        if self.group.0 >= GROUP_ROWS || self.group.1 >= GROUP_BYTES {
            self.writer.flush().map_err(writing(&self.path))?;
            self.group = (0, 0);
        }
        Ok(())
    }

    fn publish(mut self) -> Result<Output> {
        self.encode()?;
        self.writer.into_inner().map_err(writing(&self.path))?.publish()
    }
}

fn push_display(to: &mut String, what: &dyn std::fmt::Display) {
    use std::fmt::Write;
    // Writing to a string cannot fail.
    let _ = write!(to, "{what}");
}

/// An error of the writer is the disk's: nothing we hand it is out of shape.
fn writing(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_path_buf();
    move |error| match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(source) => Error::io("cannot write", path)(*source),
            Err(other) => Error::Check { path, detail: other.to_string() },
        },
        other => Error::Check { path, detail: other.to_string() },
    }
}

fn reading(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_path_buf();
    move |error| Error::damaged(path, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let twin = Evidence::Twin { kept, similarity: 1.0 };
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
