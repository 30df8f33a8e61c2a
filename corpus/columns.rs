//! Chosen columns of a table, read without the others: what a question about signals needs.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use crate::document::mean_score;
use crate::{Error, Result};

/// Rows of a piece: its columns stay in the processor's cache.
const PIECE_ROWS: usize = 1 << 13;

/// A table of which some columns are read.
pub struct Columns {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl Columns {
    /// Opens a table; nothing but its footer is read.
    pub fn open(path: &Path) -> Result<Columns> {
        let file = File::open(path).map_err(Error::io("cannot open", path))?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(damaged(path))?;
        Ok(Columns { path: path.to_path_buf(), file, metadata })
    }

    /// The names of its columns, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.metadata.schema().fields().iter().map(|field| field.name().as_str())
    }

    /// Whether a column holds words, not numbers (or parts of a text, each with a number); nothing if
    /// there is no such column.
    pub fn is_text(&self, name: &str) -> Option<bool> {
        let field = self.metadata.schema().field_with_name(name).ok()?;
        match field.data_type() {
            DataType::Utf8 => Some(true),
            DataType::List(_) => Some(false),
            kind => kind.is_numeric().then_some(false),
        }
    }

    /// The rows of these columns, piece by piece; every name has to be a column.
    pub fn read(&self, names: &[&str]) -> Result<Pieces> {
        let schema = self.metadata.schema();
        let mut indices = Vec::with_capacity(names.len());
        for name in names {
            let index =
                schema.index_of(name).map_err(|_| Error::damaged(&self.path, format!("has no column `{name}`")))?;
            indices.push(index);
        }
        // The reader hands out columns in the order of the file.
        let mut sorted = indices.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let order = indices.iter().map(|index| sorted.partition_point(|known| known < index)).collect();
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), sorted);
        let file = self.file.try_clone().map_err(Error::io("cannot open", &self.path))?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(mask)
            .with_batch_size(PIECE_ROWS)
            .build()
            .map_err(damaged(&self.path))?;
        Ok(Pieces { path: self.path.clone(), reader, order })
    }
}

/// The pieces of a table's chosen columns.
pub struct Pieces {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    order: Vec<usize>,
}

impl Iterator for Pieces {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Result<Piece>> {
        let batch = self.reader.next()?;
        let piece = batch.map(|batch| Piece { batch, order: self.order.clone() });
        Some(piece.map_err(|error| Error::damaged(&self.path, error.to_string())))
    }
}

/// Some rows of the chosen columns.
pub struct Piece {
    batch: RecordBatch,
    order: Vec<usize>,
}

impl Piece {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The numbers of a chosen column, by its place among the names, of parts their mean; NaN where
    /// there is none, so that no bound holds for it.
    pub fn numbers(&self, column: usize, out: &mut Vec<f64>) {
        let array = self.batch.column(self.order[column]);
        out.clear();
        match array.data_type() {
            DataType::Int64 => out.extend(array.as_primitive::<Int64Type>().values().iter().map(|value| *value as f64)),
            DataType::UInt64 => {
                out.extend(array.as_primitive::<UInt64Type>().values().iter().map(|value| *value as f64));
            }
            DataType::Float64 => out.extend(array.as_primitive::<Float64Type>().values()),
            DataType::Float32 => {
                out.extend(array.as_primitive::<Float32Type>().values().iter().map(|value| f64::from(*value)));
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let parts = list.values().as_struct_opt().and_then(|parts| parts.column_by_name("score"));
                let scores = parts.and_then(|scores| scores.as_primitive_opt::<Float64Type>());
                out.extend(list.offsets().windows(2).map(|ends| {
                    let parts = ends[0] as usize..ends[1] as usize;
                    let of = |part| scores.and_then(|scores| scores.is_valid(part).then(|| scores.value(part)));
                    mean_score(parts.map(of)).unwrap_or(f64::NAN)
                }));
            }
            _ => out.resize(array.len(), f64::NAN),
        }
        if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
            for (value, valid) in out.iter_mut().zip(nulls.iter()) {
                if !valid {
                    *value = f64::NAN;
                }
            }
        }
    }

    /// A whole number of a chosen column, if it is one and there.
    pub fn unsigned(&self, column: usize, row: usize) -> Option<u64> {
        let array = self.batch.column(self.order[column]).as_primitive_opt::<UInt64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    /// A word of a chosen column, if it is one and there.
    pub fn text(&self, column: usize, row: usize) -> Option<&str> {
        let array = self.batch.column(self.order[column]).as_string_opt::<i32>()?;
        array.is_valid(row).then(|| array.value(row))
    }
}

fn damaged(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_path_buf();
    move |error| Error::damaged(path, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{ScoredSpan, Signal, SignalKind, SignalSpec};
    use crate::store::Store;
    use crate::table::{DocumentWriter, Life};
    use crate::{Document, DocumentId, Meta};

    #[test]
    fn chosen_columns_come_in_the_order_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let count = SignalSpec { name: "count", kind: SignalKind::Integer, about: "" };
        let word = SignalSpec { name: "word", kind: SignalKind::Text, about: "" };
        let lines = SignalSpec { name: "lines", kind: SignalKind::Spans, about: "" };
        let mut writer = DocumentWriter::new(&store, "d", &[count, lines, word], Life::Kept).unwrap();
        for record in 0..10_000u64 {
            let id = DocumentId { raw_file: "c4/a".into(), record };
            let mut document = Document::new(id, "a text".to_owned(), Meta::default());
            if record % 2 == 0 {
                document.signals.set("count", Signal::Integer(record as i64));
                document.signals.set("word", Signal::Text("even".into()));
                let score = |at: u32| (at > 0).then_some(f64::from(at));
                let spans = (0..record as u32 % 8).map(|at| ScoredSpan { start: at, end: at + 1, score: score(at) });
                document.signals.set("lines", Signal::Spans(spans.collect()));
            }
            writer.push(&document).unwrap();
        }
        writer.publish().unwrap();

        let table = Columns::open(&store.path("d")).unwrap();
        assert_eq!(
            (table.is_text("word"), table.is_text("count"), table.is_text("none")),
            (Some(true), Some(false), None)
        );
        let (mut row, mut counts, mut means) = (0u64, Vec::new(), Vec::new());
        for piece in table.read(&["word", "text_bytes", "tokens", "count", "lines"]).unwrap() {
            let piece = piece.unwrap();
            piece.numbers(3, &mut counts);
            piece.numbers(4, &mut means);
            for (at, count) in counts.iter().enumerate() {
                let even = row % 2 == 0;
                assert_eq!(piece.text(0, at), even.then_some("even"));
                assert_eq!((piece.unsigned(1, at), piece.unsigned(2, at)), (Some(6), None));
                assert!(if even { *count == row as f64 } else { count.is_nan() });
                // Parts 1 to n have the scores 1 to n; the first has none.
                let last = row % 8;
                assert!(if even && last > 1 { means[at] == last as f64 / 2.0 } else { means[at].is_nan() });
                row += 1;
            }
        }
        assert_eq!(row, 10_000);
        assert!(table.read(&["none"]).is_err());
    }
}
