//! Receipts: why a document or a record is gone.

use std::path::Path;

use super::cells::{Cell, Column, Kind, Value};
use super::reader::TableReader;
use super::writer::{Compression, TableWriter, push_display};
use crate::store::{Output, Store};
use crate::{Counts, DocumentId, Error, Evidence, Reason, Result};

/// Writes why each dropped document and each unusable record is gone.
///
/// Columns: `id`, `raw_file`, `record`, `stage` (its place and name in the pipeline, `source` for
/// an unusable record), `reason`, `evidence`, for a duplicate `kept_id`, `kept_run` (the
/// other run that has it, null if it is of this one) and `similarity`, `bytes` of the text (or record) as it was read, and `unusable`.
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
            Column::word("kept_run").nullable(),
            Column::new("similarity", Kind::Single).nullable(),
            Column::new("bytes", Kind::Unsigned),
            Column::new("unusable", Kind::Flag),
        ];
        let table = TableWriter::new(store, name, &columns, Compression::Little)?;
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
        let mut twin = (Cell::Null, Cell::Null, Cell::Null);
        if let Evidence::Twin { kept, similarity, run } = evidence {
            push_display(&mut self.kept, kept);
            let known = *similarity >= 0.0;
            let similarity = if known { Cell::Number(f64::from(*similarity)) } else { Cell::Null };
            twin = (Cell::Text(&self.kept), run.as_deref().map_or(Cell::Null, Cell::Text), similarity);
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
            twin.2,
            Cell::Unsigned(bytes),
            Cell::Flag(unusable),
        ])
    }

    /// Ends the table and gives it its name.
    pub fn publish(self) -> Result<Output> {
        self.table.publish()
    }
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
