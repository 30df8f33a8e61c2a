//! Any table, written row group by row group.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::cells::{Builder, Cell, Column, Kind};
use crate::store::{Aside, Output, Store};
use crate::{Error, Result};

/// A row group ends with the row that brings its texts to this many bytes …
const GROUP_BYTES: usize = 16 << 20;
/// … or with this row.
const GROUP_ROWS: usize = 1 << 16;
/// Rows are handed to the encoder in pieces of about this many bytes.
pub(super) const PIECE_BYTES: usize = 1 << 20;
pub(super) const PIECE_ROWS: usize = 1 << 12;

/// Columns that hold most of a table's bytes, and compress better in larger pages.
const LONG: [&str; 3] = ["text", "meta", "tokens"];

/// How hard a table's pages are compressed.
#[derive(Clone, Copy)]
pub(super) enum Compression {
    /// LZ4: written and read in a third of the time of zstd's first level, and half as large again.
    Least,
    /// zstd's first level.
    Little,
    /// zstd's third level, its own default.
    Some,
}

pub(super) struct TableWriter {
    writer: ArrowWriter<Aside>,
    path: PathBuf,
    schema: Arc<Schema>,
    builders: Vec<Builder>,
    piece: (usize, usize),
    group: (usize, usize),
}

impl TableWriter {
    pub(super) fn new(store: &Store, name: &str, columns: &[Column], compression: Compression) -> Result<TableWriter> {
        let to = store.aside(name)?;
        let path = to.path().to_path_buf();
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let zstd = |level| ZstdLevel::try_new(level).map(Codec::ZSTD).map_err(writing(&path));
        let (codec, statistics) = match compression {
            // Nobody asks for the least and greatest of what is read once.
            Compression::Least => (Codec::LZ4_RAW, EnabledStatistics::None),
            Compression::Little => (zstd(1)?, EnabledStatistics::Chunk),
            Compression::Some => (zstd(3)?, EnabledStatistics::Chunk),
        };
        let mut properties = WriterProperties::builder()
            .set_created_by("redpajama".to_owned())
            .set_compression(codec)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(statistics)
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

    pub(super) fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
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

    pub(super) fn publish(mut self) -> Result<Output> {
        self.encode()?;
        self.writer.into_inner().map_err(writing(&self.path))?.publish()
    }
}

pub(super) fn push_display(to: &mut String, what: &dyn std::fmt::Display) {
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
