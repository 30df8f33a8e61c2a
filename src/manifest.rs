//! Where a slice's raw files are, as `manifests/<slice>.yaml` says.

use std::path::PathBuf;

use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::pipeline::{embedded, parse};

/// The manifest of a slice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The slice.
    pub slice: String,
    /// What it is, in a line.
    pub about: String,
    /// Under which licence its documents are.
    pub license: String,
    /// What the original reported of it.
    pub reported: Reported,
    /// How a publisher's service makes the raw files, where they cannot simply be downloaded.
    #[serde(default)]
    pub query: Option<String>,
    /// Files, folders and globs below the slice's folder of raw files.
    pub inputs: Vec<String>,
    /// What can be downloaded.
    #[serde(default)]
    pub downloads: Vec<Download>,
}

/// The original's own figures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// Tokens.
    pub tokens: u64,
    /// Files in the published form.
    #[serde(default)]
    pub files: Option<u64>,
    /// Documents.
    #[serde(default)]
    pub documents: Option<u64>,
    /// Bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Who says so.
    pub source: String,
}

/// A file, or a range of files, of a publisher.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// Its address; `{n}` or `{n:05}` stands for the numbers of `range`.
    pub url: String,
    /// The first and the last number.
    #[serde(default)]
    pub range: Option<(u64, u64)>,
    /// Its length.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Its SHA-256.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Its licence, if it is another than the slice's.
    #[serde(default)]
    pub license: Option<String>,
}

/// The text of a slice's manifest.
pub fn text(slice: &str) -> Option<(String, &'static str)> {
    let file = format!("manifests/{slice}.yaml");
    let text = embedded(&file)?;
    Some((file, text))
}

/// Reads the manifest of a slice.
pub fn read(slice: &str) -> Result<Manifest> {
    let (file, text) = text(slice).ok_or_else(|| Failure::configuration(format!("slice {slice} has no manifest")))?;
    parse(&file, text)
}

/// The folder of a slice's raw files: `raw/<slice>`, or below `$REDPAJAMA_RAW`.
pub fn raw_folder(slice: &str) -> PathBuf {
    std::env::var_os("REDPAJAMA_RAW").map_or_else(|| PathBuf::from("raw"), PathBuf::from).join(slice)
}

/// The folder of models: `models`, or `$REDPAJAMA_MODELS`.
pub fn models_folder() -> PathBuf {
    std::env::var_os("REDPAJAMA_MODELS").map_or_else(|| PathBuf::from("models"), PathBuf::from)
}

#[test]
fn every_slice_has_a_manifest() {
    for told in sources::told() {
        let manifest = read(told.name).unwrap_or_else(|failure| panic!("{}", crate::report::words(&failure)));
        assert_eq!(manifest.slice, told.name);
        assert!(manifest.reported.tokens > 1_000_000_000, "{}", told.name);
    }
}
