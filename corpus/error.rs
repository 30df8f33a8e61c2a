//! What can go wrong with the world: a disk, a damaged file of ours. Never the data.

use std::io;
use std::path::{Path, PathBuf};

/// The result of anything that touches the disk.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault of the world, naming the file and what was being done to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb: `cannot read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// A file that we wrote is not as we wrote it.
    #[error("{}: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        detail: String,
    },
    /// Two attempts at one task published different bytes: something was not deterministic.
    #[error("task {task} was committed before with other outputs: {detail}")]
    Conflict {
        /// The task's id.
        task: String,
        /// The first difference.
        detail: String,
    },
    /// A check at write time failed: what was about to be published is wrong.
    #[error("{}: refused to publish: {detail}", path.display())]
    Check {
        /// The file.
        path: PathBuf,
        /// What the check found.
        detail: String,
    },
    /// What a user named is not what it has to be.
    #[error("{}: {detail}", path.display())]
    Input {
        /// The file or folder.
        path: PathBuf,
        /// What it is, and why that will not do.
        detail: String,
        /// What would help.
        hint: String,
    },
}

impl Error {
    /// An error of the operating system, with what was being done to which file.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { action, path, source }
    }

    /// A file of ours that is not as we wrote it.
    pub fn damaged(path: impl AsRef<Path>, detail: impl Into<String>) -> Error {
        Error::Damaged { path: path.as_ref().to_path_buf(), detail: detail.into() }
    }
}
