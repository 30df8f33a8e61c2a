//! Receipts of parts: what was taken from documents, and which one has it first.

use super::cells::{Cell, Column, Kind};
use super::writer::{Compression, TableWriter, push_display};
use crate::store::{Output, Store};
use crate::{DocumentId, Reason, Result};

/// What was taken from a document.
pub struct CutReceipt<'r> {
    /// The dedup, by its label.
    pub stage: &'r str,
    /// Why.
    pub reason: Reason,
    /// The document that it was taken from.
    pub id: &'r DocumentId,
    /// Its first byte in the text as it was before the dedup, in UTF-8.
    pub start: u64,
    /// The byte after its last one.
    pub end: u64,
    /// How it begins.
    pub begins: &'r str,
    /// The document that is named for it: see [`CutWriter`].
    pub kept: Option<&'r DocumentId>,
    /// The other run that has that document, if it is not this one.
    pub run: Option<&'r str>,
}

/// Writes what was taken from documents.
///
/// Columns: `id`, `raw_file`, `record`, `stage` (its place and name in the pipeline), `reason`, `start` and
/// `end` (bytes of UTF-8 in the text before the stage, the last one left out), `begins`, and of the document
/// that is named for it `kept_id` (null if nobody can say, or no copy stays) and `kept_run` (null if it is of
/// this run).
///
/// Who is named had it before the dedup, stands before the document in the order of the plan (or is the same
/// one), and
/// - for a line that repeats, keeps it: only a later stage may drop it then, with a row in `dropped/`;
/// - for a span, is the lowest document that has a repeated window over these bytes, and nearly always keeps
///   them. It may have lost some of them itself, in a window that reaches further than what both have; then its
///   own receipts name for these bytes a document before it, and so on, to one that keeps them;
/// - for n-grams, had most of those that were seen, of as many the first; a paragraph that it lost its own
///   receipts tell of.
pub struct CutWriter {
    table: TableWriter,
    id: String,
    kept: String,
}

impl CutWriter {
    /// Starts a table aside, to be published under `name`.
    pub fn new(store: &Store, name: &str) -> Result<CutWriter> {
        let columns = [
            Column::text("id"),
            Column::word("raw_file"),
            Column::new("record", Kind::Unsigned),
            Column::word("stage"),
            Column::word("reason"),
            Column::new("start", Kind::Unsigned),
            Column::new("end", Kind::Unsigned),
            Column::text("begins"),
            Column::text("kept_id").nullable(),
            Column::word("kept_run").nullable(),
        ];
        let table = TableWriter::new(store, name, &columns, Compression::Little)?;
        Ok(CutWriter { table, id: String::new(), kept: String::new() })
    }

    /// Appends a receipt.
    pub fn push(&mut self, cut: &CutReceipt<'_>) -> Result<()> {
        self.id.clear();
        self.kept.clear();
        push_display(&mut self.id, cut.id);
        if let Some(kept) = cut.kept {
            push_display(&mut self.kept, kept);
        }
        self.table.push(&[
            Cell::Text(&self.id),
            Cell::Text(&cut.id.raw_file),
            Cell::Unsigned(cut.id.record),
            Cell::Text(cut.stage),
            Cell::Text(cut.reason.0),
            Cell::Unsigned(cut.start),
            Cell::Unsigned(cut.end),
            Cell::Text(cut.begins),
            if cut.kept.is_some() { Cell::Text(&self.kept) } else { Cell::Null },
            cut.run.map_or(Cell::Null, Cell::Text),
        ])
    }

    /// Ends the table and gives it its name.
    pub fn publish(self) -> Result<Output> {
        self.table.publish()
    }
}
