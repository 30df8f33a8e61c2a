//! Why a command ends without having done its work: what, where, what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

pub use corpus::failure::{Code, Place};

/// What went wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// One line, lower case, no full stop.
    pub message: String,
    /// Where the user wrote it.
    pub place: Option<Box<Place>>,
    /// What to do.
    pub hint: Option<String>,
}

/// What most of this crate gives.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), place: None, hint: None }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Code::Usage, message)
    }

    /// A wrong configuration.
    pub fn configuration(message: impl Into<String>) -> Failure {
        Failure::new(Code::Configuration, message)
    }

    /// A file that is not as it was written.
    pub fn damaged(path: &Path, message: impl fmt::Display) -> Failure {
        Failure::new(Code::Damaged, format!("{}: {message}", path.display()))
    }

    /// With what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// With the place of it.
    pub fn at(mut self, place: Place) -> Failure {
        self.place = Some(Box::new(place));
        self
    }

    /// A file that could not be read or written.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Failure {
        let path: PathBuf = path.as_ref().to_path_buf();
        move |source| corpus::Error::Io { action, path, source }.into()
    }
}

impl From<corpus::Error> for Failure {
    fn from(error: corpus::Error) -> Failure {
        use std::io::ErrorKind;
        let message = error.to_string();
        match &error {
            corpus::Error::Io { source, .. } => {
                let failure = Failure::new(Code::Failed, message);
                match source.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                        failure.hint("make room, then run the same command again: it goes on from the last checkpoint")
                    }
                    ErrorKind::FileTooLarge => failure.hint(
                        "raise the limit (`ulimit -f`), then run the same command again: it goes on from the last checkpoint",
                    ),
                    ErrorKind::PermissionDenied => failure.hint("check who may read and write there"),
                    ErrorKind::NotFound => failure.hint("check the path"),
                    _ => failure,
                }
            }
            corpus::Error::Damaged { .. } => Failure::new(Code::Damaged, message)
                .hint("`redpajama verify` says which files of a run are not as they were written"),
            corpus::Error::Input { hint, .. } => Failure::configuration(message).hint(hint),
            corpus::Error::Conflict { .. } | corpus::Error::Check { .. } => Failure::new(Code::Failed, message),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&corpus::failure::words(&self.message, self.place.as_deref(), self.hint.as_deref()))
    }
}

impl std::error::Error for Failure {}
