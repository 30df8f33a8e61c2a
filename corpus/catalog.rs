//! What a run published: every input, model, pipeline and output by digest. Written last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::manifest::RawRead;
use crate::store::Output;
use crate::{Counts, Digest, PairCounts};

/// The name of the catalog in a run's folder.
pub const CATALOG: &str = "catalog.json";

/// The layout of everything below a run's folder. It changes when an old reader could be misled.
pub const FORMAT: u32 = 1;

/// The answer to "where did this token come from".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// The pipeline's name: its path below `pipelines/`, without `.yaml`.
    pub pipeline: String,
    /// The digest of the pipeline with all its options.
    pub pipeline_digest: Digest,
    /// The tokenizer, if the pipeline has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokenizer: Option<TokenizerEntry>,
    /// The other models that its stages used, by the pipeline's variable.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub models: BTreeMap<String, ModelEntry>,
    /// Digest of the plan: of all its tasks, and so of every raw file and option.
    pub plan: Digest,
    /// What became of each slice.
    pub slices: BTreeMap<String, SliceEntry>,
    /// What dedups that compare texts made of pairs, by their slices and label.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub pairs: BTreeMap<String, PairCounts>,
    /// Digest of the catalog itself, as it is without this one: see [`Catalog::sealed`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
}

/// The tokenizer that made the tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerEntry {
    /// The name that the pipeline gives it.
    pub name: String,
    /// The digest of its file.
    pub digest: Digest,
    /// One more than its highest id.
    pub vocab_size: u32,
    /// The token after each document.
    pub end_of_document: u32,
}

/// A model that measured documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// The name that the pipeline gives it.
    pub name: String,
    /// The digest of its file.
    pub digest: Digest,
}

/// One slice of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceEntry {
    /// Read, kept, dropped by reason, unusable by reason, bytes, tokens.
    pub counts: Counts,
    /// The raw files, in the order in which they were read.
    pub inputs: Vec<RawRead>,
    /// Files of kept documents, in manifest order.
    pub documents: Vec<Output>,
    /// Files of dropped documents and unusable records.
    pub dropped: Vec<Output>,
    /// Files of what was taken from documents.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cut: Vec<Output>,
    /// Token shards, in manifest order.
    pub shards: Vec<ShardEntry>,
    /// Whether each document of a shard ends with the end-of-document token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub append_end_of_document: Option<bool>,
    /// The source with its options, as the pipeline says it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<serde_json::Value>,
}

/// One shard with its provenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// The token file.
    pub bin: Output,
    /// The index file.
    pub idx: Output,
    /// Where each document came from.
    pub provenance: Output,
    /// Documents in it.
    pub documents: u64,
    /// Tokens in it, end-of-document tokens included.
    pub tokens: u64,
}

impl Catalog {
    /// The catalog with its own digest in it.
    pub fn sealed(self) -> Catalog {
        let bare = Catalog { digest: None, ..self };
        let digest = Some(Digest::of_value(&bare));
        Catalog { digest, ..bare }
    }

    /// Whether it is as it was sealed.
    pub fn is_whole(&self) -> bool {
        *self == self.clone().sealed()
    }

    /// All published files.
    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.slices.values().flat_map(SliceEntry::outputs)
    }
}

impl SliceEntry {
    /// All files of this slice.
    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        let shards = self.shards.iter().flat_map(|shard| [&shard.bin, &shard.idx, &shard.provenance]);
        self.documents.iter().chain(&self.dropped).chain(&self.cut).chain(shards)
    }
}
