//! Where the documents of a shard came from.

use super::cells::{Cell, Column, Kind};
use super::writer::{Compression, TableWriter, push_display};
use crate::store::{Output, Store};
use crate::{Digest, Document, Result};

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
        let table = TableWriter::new(store, name, &columns, Compression::Little)?;
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
