//! Any table, read row group by row group.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;

use super::writer::{PIECE_BYTES, PIECE_ROWS};
use crate::{Error, Result};

pub(super) struct TableReader {
    pub(super) path: PathBuf,
    file: File,
    pub(super) metadata: ArrowReaderMetadata,
    group: usize,
    reader: Option<ParquetRecordBatchReader>,
}

impl TableReader {
    pub(super) fn open(path: &Path) -> Result<TableReader> {
        let file = File::open(path).map_err(Error::io("cannot open", path))?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(reading(path))?;
        Ok(TableReader { path: path.to_path_buf(), file, metadata, group: 0, reader: None })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
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
    pub(super) fn next_of_group(&mut self) -> Result<Option<RecordBatch>> {
        let next = self.reader.as_mut().and_then(Iterator::next);
        next.transpose().map_err(|error| Error::damaged(&self.path, error.to_string()))
    }

    /// Reads some columns of one row group, and some rows.
    pub(super) fn only(&mut self, group: usize, columns: &[&str], rows: Option<RowSelection>) -> Result<()> {
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

fn reading(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_path_buf();
    move |error| Error::damaged(path, error.to_string())
}
