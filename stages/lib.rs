//! Everything that looks at one document at a time, and the dedups that compare them.
//!
//! A **filter** drops, an **edit** changes text, a **measure** writes signals; all three are
//! [`Stage`]s, pure functions of their options and one document. A [`Dedup`] sees what every
//! document leaves for comparison, then says which ones go. [`StageSpec`] is what a pipeline file
//! may name.
#![warn(missing_docs)]

use corpus::{Document, SignalSpec, Verdict};

pub mod against;
#[cfg(test)]
mod at_work;
mod dedup;
mod heuristics;
#[cfg(test)]
mod odd_texts;
mod spec;

pub mod alphanumeric_share;
pub mod bloom;
pub mod bucket;
pub mod c4;
pub mod c4_lines;
pub mod content_hash;
pub mod copyright_header;
pub mod crawl_dedup;
pub mod dclm;
pub mod dclm_lines;
pub mod empty_text;
pub mod exact_dedup;
pub mod extension;
pub mod fasttext;
pub mod fineweb;
#[doc(hidden)]
pub mod fuzz;
pub mod gopher;
mod guard;
mod judge;
pub mod keep_if;
pub mod kenlm;
pub mod language;
pub mod language_is;
pub mod letters_per_token;
pub mod license;
pub mod line_length;
pub mod line_ngram_dedup;
pub mod line_statistics;
mod minhash;
pub mod minhash_dedup;
pub mod pack;
pub mod paragraph_dedup;
pub mod path_rules;
pub mod perplexity;
pub mod personal_data;
pub mod presets;
pub mod quality;
pub mod secrets;
pub mod sentencepiece;
pub mod signals;
mod simhash;
pub mod simhash_dedup;
pub mod strip_gutenberg;
mod substring;
pub mod substring_dedup;
pub mod text_length;
pub mod tokenize;
pub mod tokenizer;
mod word_hashes;

pub use against::Against;
pub use dedup::{Cut, Dedup, Finding, First, Key, Order, Pairs, Part, Rank, Sketch};
pub use guard::{Guard, Then};
pub use judge::Among;
pub use spec::{Built, Kind, Models, NonNegative, Positive, Share, StageSpec, Told, Variable, told, writer_of};

/// Scratch that a worker lends to the stages, kept from document to document: a stage that needs
/// room finds it here instead of making it anew.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Repeated n-grams of a text.
    repeats: corpus::ngrams::Repeats,
    /// Signals on their way to a document.
    signals: Vec<(&'static str, corpus::Signal)>,
    /// What language models work in.
    perplexity: perplexity::Room,
}

/// Looks at one document: pure, and nothing in the data can make it fail.
pub trait Stage: Send + Sync {
    /// The signals that it writes, so that their columns are known when planning.
    fn writes(&self) -> &'static [SignalSpec] {
        &[]
    }

    /// Keeps or drops the document; may edit its text or write the signals it declared.
    fn apply(&self, document: &mut Document, workspace: &mut Workspace) -> Verdict;
}
