//! Why a command ends without having done its work, and the exit code that says so.

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

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), place: None, hint: None }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Code::Usage, message)
    }

    pub fn configuration(message: impl Into<String>) -> Failure {
        Failure::new(Code::Configuration, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

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
        // What the network has to say is said best by it.
        if let corpus::Error::Io { source, .. } = &error
            && let Some(said) = source.get_ref().and_then(|inside| inside.downcast_ref::<corpus::remote::Error>())
        {
            return said.clone().into();
        }
        let message = error.to_string();
        match &error {
            corpus::Error::Io { source, .. } => {
                let failure = Failure::new(Code::Failed, message);
                match source.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => failure.hint(
                        "make room, then run the same command again: what is committed stays and is not done anew",
                    ),
                    ErrorKind::PermissionDenied => failure.hint("check who may read and write there"),
                    ErrorKind::NotFound => failure.hint("check the path"),
                    _ => failure,
                }
            }
            corpus::Error::Damaged { .. } => Failure::new(Code::Damaged, message)
                .hint("remove the file and run the same `build` again: it makes what is missing, with the same bytes"),
            corpus::Error::Conflict { .. } => Failure::new(Code::Failed, message)
                .hint("the same input gave other bytes, which must never happen: please report it with both outputs"),
            corpus::Error::Input { hint, .. } => Failure::configuration(message).hint(hint),
            corpus::Error::Check { .. } => Failure::new(Code::Failed, message)
                .hint("what was about to be written is wrong, so nothing was: please report it"),
        }
    }
}

impl From<corpus::remote::Error> for Failure {
    fn from(error: corpus::remote::Error) -> Failure {
        use corpus::remote::Error;
        let message = error.to_string();
        match &error {
            Error::Address { .. } => Failure::configuration(message).hint("check the address"),
            Error::Refused { address, status } => {
                let failure = Failure::configuration(message);
                match status.0 {
                    401 | 403 => failure.hint(credentials_for(address)),
                    _ => failure.hint("check the address: its publisher may have moved or removed it"),
                }
            }
            Error::Failed { .. } => Failure::new(Code::Failed, message).hint(
                "check the connection (https_proxy, http_proxy and no_proxy are honoured), then run the same command \
                 again: it goes on where it stopped",
            ),
            Error::Changed { .. } => Failure::new(Code::Failed, message)
                .hint("run the same command again: it takes what the publisher has now"),
            Error::Credentials(_) => Failure::configuration(message).hint("check the environment's variables"),
            Error::Stopped => Failure::new(Code::Interrupted, "interrupted")
                .hint("run the same command again: it goes on where it stopped"),
        }
    }
}

/// Where credentials for an address are looked for.
fn credentials_for(address: &str) -> &'static str {
    match address.split("://").next() {
        Some("s3") => {
            "it may need credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile), or --pay where its \
             reader is charged"
        }
        Some("gs") => "it may need credentials: GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_OAUTH_ACCESS_TOKEN",
        Some("hf") => "it may need HF_TOKEN, of someone who has agreed to its terms on huggingface.co",
        _ => "it may need a user's agreement or credentials; what is brought by hand is taken where it should lie",
    }
}

impl From<sources::Error> for Failure {
    fn from(error: sources::Error) -> Failure {
        match error {
            sources::Error::World(error) => error.into(),
            sources::Error::Stopped => Failure::new(Code::Failed, "reading was stopped"),
        }
    }
}
