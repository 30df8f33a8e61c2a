//! The nouns of the toolkit: what flows (documents, signals, counts, tokens) and what lies on
//! disk (the store, tables of documents, shards, the catalog).
//!
//! Nothing here knows a slice, a stage or a command. Sources and stages build on this crate and
//! never on each other; the trainer builds on it alone, without Parquet (feature `table`) and without
//! a network (feature `remote`, which the command alone switches on).
#![warn(missing_docs)]

pub mod catalog;
#[cfg(feature = "table")]
pub mod columns;
pub mod counts;
pub mod dialect;
pub mod digest;
pub mod document;
pub mod english;
mod error;
pub mod failure;
pub mod lists;
pub mod manifest;
pub mod mapped;
pub mod ngrams;
pub mod paged;
pub mod pile;
pub mod python;
pub mod readable;
#[cfg(feature = "remote")]
pub mod remote;
pub mod shard;
pub mod sorted;
pub mod store;
#[cfg(feature = "table")]
pub mod table;
pub mod text;
pub mod token;
pub mod words;

pub use counts::{Counts, Evidence, PairCounts, Reason, StageCounts, Tally, Verdict};
pub use digest::Digest;
pub use document::{Document, DocumentId, Meta, ScoredSpan, Signal, SignalKind, SignalSpec, Signals};
pub use error::{Error, Result};
pub use manifest::RawFile;
pub use token::{TokenId, Tokenizer};
