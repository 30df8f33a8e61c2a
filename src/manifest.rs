//! Where a slice's raw files are, as `manifests/<slice>.yaml` says.

use std::collections::BTreeMap;
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

/// Files of a publisher, as `redpajama fetch` brings them. Exactly one of `url` and `listing` is given.
///
/// ```yaml
/// downloads:
///   # One file.
///   - url: https://publisher.example/a/b.gz
///   # Numbers, and words: `{n}` or `{n:05}` of `range`, `{00000..01023}` in the address itself, and
///   # any name of `each`. `file` says what a file is called here; without it, the last part of its address.
///   - url: https://publisher.example/{language}/{00000..01023}.gz
///     each: { language: [en, de] }
///     file: "{language}/{name}"
///   # All that a store has under a prefix or a pattern: s3://, gs://, hf://datasets/….
///   - url: hf://datasets/allenai/c4@1588ec4/en/c4-train.*.json.gz
///   # A listing of the publisher's: a path a line (gzip or not), each put behind `prefix`.
///   - listing: https://data.commoncrawl.org/crawl-data/{crawl}/wet.paths.gz
///     prefix: https://data.commoncrawl.org/
///     each: { crawl: [CC-MAIN-2019-30, CC-MAIN-2023-06] }
///     file: "{crawl}/{name}"
///   # Listings that tell lengths and digests: see `Form`. `only` are patterns over names.
///   - listing: https://dumps.wikimedia.org/{language}wiki/20230301/dumpstatus.json
///     form: wikimedia
///     only: ["*-pages-articles-multistream.xml.bz2"]
///     each: { language: [bg, ca] }
///   # A store that charges its reader.
///   - listing: s3://arxiv/src/arXiv_src_manifest.xml
///     form: arxiv
///     prefix: s3://arxiv/
///     requester_pays: { gigabyte: 0.09, thousand_requests: 0.0004, currency: USD, source: who says so }
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// The address: `https://`, `http://`, `s3://`, `gs://` or `hf://`.
    #[serde(default)]
    pub url: Option<String>,
    /// The address of a list of files.
    #[serde(default)]
    pub listing: Option<String>,
    /// How the list is written.
    #[serde(default)]
    pub form: Form,
    /// What stands before each path of the list [default: the folder in which the list lies].
    #[serde(default)]
    pub prefix: Option<String>,
    /// Words that stand for `{name}` in addresses and in `file`, one after the other.
    #[serde(default)]
    pub each: BTreeMap<String, Vec<String>>,
    /// The first and the last number of `{n}`.
    #[serde(default)]
    pub range: Option<(u64, u64)>,
    /// Of a list, only files whose name matches one of these patterns.
    #[serde(default)]
    pub only: Vec<String>,
    /// What a file is called below the folder of raw files; `{name}` is the last part of its address.
    #[serde(default)]
    pub file: Option<String>,
    /// Its length.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Its SHA-256.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Its licence, if it is another than the slice's.
    #[serde(default)]
    pub license: Option<String>,
    /// What the publisher's store charges whoever reads from it.
    #[serde(default)]
    pub requester_pays: Option<Price>,
}

/// How a publisher's list of files is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A path or an address a line, as Common Crawl's `*.paths.gz`.
    #[default]
    Paths,
    /// arXiv's `arXiv_src_manifest.xml`: tars with their sizes and MD5s.
    Arxiv,
    /// Wikimedia's `dumpstatus.json`: files with their sizes, MD5s and SHA-1s.
    Wikimedia,
    /// The files of an item of archive.org, as `https://archive.org/metadata/ITEM` tells them.
    ArchiveOrg,
}

/// What reading costs.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For 10^9 bytes.
    pub gigabyte: f64,
    /// For a thousand requests.
    #[serde(default)]
    pub thousand_requests: f64,
    /// In which currency.
    pub currency: String,
    /// Who says so.
    pub source: String,
}

impl Download {
    /// The address, of the file or of the list.
    pub fn address(&self) -> &str {
        self.url.as_deref().or(self.listing.as_deref()).unwrap_or_default()
    }
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
    read_text(&file, text)
}

/// Reads a manifest, wherever its text comes from.
pub fn read_text(file: &str, text: &str) -> Result<Manifest> {
    let manifest: Manifest = parse(file, text)?;
    if let Some(wrong) = manifest.downloads.iter().find(|download| download.url.is_some() == download.listing.is_some())
    {
        let message = format!("{file}: a download needs one of `url` and `listing`: {}", wrong.address());
        return Err(Failure::configuration(message));
    }
    Ok(manifest)
}

/// Every choice of one word for each name: a single empty one where there are no names.
pub fn combinations(each: &BTreeMap<String, Vec<String>>) -> Vec<Vec<(&str, &str)>> {
    let mut all: Vec<Vec<(&str, &str)>> = vec![Vec::new()];
    for (name, words) in each {
        let mut longer = Vec::with_capacity(all.len() * words.len());
        for one in &all {
            for word in words {
                longer.push([&one[..], &[(name.as_str(), word.as_str())]].concat());
            }
        }
        all = longer;
    }
    all
}

/// Puts words in the place of their `{name}`.
pub fn fill(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (name, word)| text.replace(&format!("{{{name}}}"), word))
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
