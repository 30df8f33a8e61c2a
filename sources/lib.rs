//! One adapter per slice: raw files, as their publishers give them, become documents.
#![warn(missing_docs)]

use std::path::Path;
use std::sync::Arc;

use corpus::manifest::RawRead;
use corpus::{Document, DocumentId, Evidence, RawFile, Reason};

mod archive;
pub mod arxiv;
pub mod books;
pub mod c4;
pub mod common_crawl;
mod cost;
mod format;
#[doc(hidden)]
pub mod fuzz;
pub mod github;
#[doc(hidden)]
pub mod html;
mod jsonl;
mod latex;
mod license;
mod parquet;
mod raw;
mod repository;
mod sevenz;
mod spec;
pub mod stack_exchange;
mod warc;
pub mod wikipedia;

pub use cost::{take_decoding_seconds, take_raw_bytes};
pub use raw::{Compression, Content, Damage, Raw};
pub use spec::{SourceSpec, Told, told};

/// The result of reading raw files.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why reading stopped: the world, never the data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A disk, a permission.
    #[error(transparent)]
    World(#[from] corpus::Error),
    /// Whoever receives the records wants no more of them.
    #[error("stopped")]
    Stopped,
}

/// One entry of a raw file.
#[derive(Debug)]
pub enum Record {
    /// A document.
    Document(Document),
    /// Not a document, and why.
    Unusable {
        /// Which record.
        id: DocumentId,
        /// Why.
        reason: Reason,
        /// What was seen.
        evidence: Evidence,
        /// Bytes of the record.
        bytes: u64,
    },
}

/// Where a source puts what it reads, in order: record by record, then file by file.
pub trait Sink {
    /// Takes a record; [`Error::Stopped`] if no more are wanted.
    fn record(&mut self, record: Record) -> Result<()>;
    /// A raw file was read to its end, or to where it is damaged; never said of a file in which
    /// [`Error::Stopped`] ended the reading.
    fn finished(&mut self, read: RawRead) -> Result<()>;
}

/// What holds for every source, whatever the slice.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest text that is a document, in bytes; beyond it a record is `too_large`.
    pub max_document: usize,
}

/// Reads the raw files of one slice.
pub trait Source: Send + Sync {
    /// The slice's name.
    fn slice(&self) -> &'static str;

    /// The raw files that lie at a path which a user gave: the file itself, the files of a
    /// folder in sorted order, or whatever this slice's publishers ship. Names are relative to
    /// `base`, with the slice in front.
    fn find(&self, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>>;

    /// Those of all raw files that were found which are to be read.
    fn choose(&self, files: Vec<RawFile>) -> corpus::Result<Vec<RawFile>> {
        Ok(files)
    }

    /// Reads raw files, which were planned to be read together, in their order.
    fn read(&self, files: &[RawFile], limits: Limits, scratch: &Path, sink: &mut dyn Sink) -> Result<()>;

    /// The `{"text", "meta"}` line that the original published for a kept document, without its
    /// newline: see [`corpus::dialect`].
    fn original_line(&self, document: &Document, out: &mut String) -> Result<(), serde_json::Error>;
}

/// A document's id.
pub(crate) fn id(raw_file: &Arc<str>, record: u64) -> DocumentId {
    DocumentId { raw_file: raw_file.clone(), record }
}

#[cfg(test)]
mod conformance;
