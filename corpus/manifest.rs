//! The raw files of a slice: what the publisher gives, named and pinned.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// One raw file, a part of a large one, or one folder that is read as one, such as a checked-out
/// repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFile {
    /// Slice and name, independent of where the file lies: `c4/en/c4-train.00000-of-01024.json.gz`.
    pub name: Arc<str>,
    /// Where it lies.
    #[serde(skip)]
    pub path: PathBuf,
    /// Its length; for a folder, the sum of its files' lengths; for a part, the part's.
    pub bytes: u64,
    /// Which bytes of the file at `path` it is, if it is only a part: from, and below.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub range: Option<(u64, u64)>,
    /// When it was last changed, in nanoseconds since 1970, if nothing better pins it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub modified: Option<u64>,
    /// Its digest, if the manifest knows it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
}

/// A raw file as it was when it was read: kept in the commit and the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRead {
    /// Slice and name.
    pub name: Arc<str>,
    /// Bytes read.
    pub bytes: u64,
    /// The digest of these bytes; absent if reading stopped early (`--limit`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// Records found.
    pub records: u64,
    /// How the file is damaged, if it is: its records up to there were read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub damage: Option<String>,
}
