//! The raw files of a slice: what the publisher gives, named and pinned.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error, Result};

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
    /// What its publisher's server calls this state of it, if it is read over the network.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
    /// How it is read over the network; `path` is then its address, and no file of this machine.
    #[serde(skip)]
    pub remote: Option<Remote>,
}

impl RawFile {
    /// A file on this machine of which nothing else is known yet.
    pub fn new(name: impl Into<Arc<str>>, path: impl Into<PathBuf>) -> RawFile {
        RawFile {
            name: name.into(),
            path: path.into(),
            bytes: 0,
            range: None,
            modified: None,
            digest: None,
            etag: None,
            remote: None,
        }
    }

    /// Its bytes, wherever they are; of a part, the part's.
    pub fn open(&self) -> Result<Box<dyn Read + Send>> {
        let (from, below) = self.range.unwrap_or((0, u64::MAX));
        let opened = match &self.remote {
            Some(remote) => remote.0.open(from),
            None => File::open(&self.path).and_then(|mut file| {
                if from > 0 {
                    file.seek(SeekFrom::Start(from))?;
                }
                Ok(Box::new(file) as Box<dyn Read + Send>)
            }),
        };
        let opened = opened.map_err(Error::io("cannot open", &self.path))?;
        match self.range {
            None => Ok(opened),
            Some(_) => Ok(Box::new(opened.take(below.saturating_sub(from)))),
        }
    }
}

/// Gives the bytes of a file that is not on this machine; whoever has a network implements it.
pub trait Open: Send + Sync {
    /// Its bytes, from some place on.
    fn open(&self, from: u64) -> io::Result<Box<dyn Read + Send>>;
}

/// A way to a file that is not on this machine.
#[derive(Clone)]
pub struct Remote(pub Arc<dyn Open>);

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

/// The way does not matter: the address, the length and the etag beside it do.
impl PartialEq for Remote {
    fn eq(&self, _: &Remote) -> bool {
        true
    }
}

impl Eq for Remote {}

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
