//! Ends a pipeline: tokens become shards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Positive;

/// Writes the tokens of every kept document into sealed shards, `.bin` and `.idx` as GPT-NeoX and
/// Megatron-LM read them.
///
/// Tokens are 16 bits wide where the vocabulary is below 65,500, else 32, as those two choose. The
/// original appended the end-of-document token (`--append-eod`).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pack {
    /// A shard is sealed before the document that would bring it beyond this many tokens. A
    /// single longer document has a shard of its own.
    pub shard_tokens: Positive,
    /// Whether the end-of-document token follows each document.
    pub append_end_of_document: bool,
}

impl Default for Pack {
    fn default() -> Self {
        // 2 GB of 16-bit tokens: a file that every copying tool still takes in one go.
        Pack { shard_tokens: Positive(1_000_000_000), append_end_of_document: true }
    }
}
