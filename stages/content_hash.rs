//! Writes the hash by which the original knew a text.

use std::fmt::Write;

use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use md5::{Digest, Md5};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Writes the MD5 digest of the text, as 32 hexadecimal digits, as it stands at this stage.
///
/// RedPajama's GitHub files carry it as `content_hash`, taken before any cleaning. It names a text
/// for comparison with theirs; nothing here relies on it, since MD5 can be forged.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentHash {}

impl Stage for ContentHash {
    fn writes(&self) -> &'static [SignalSpec] {
        &[SignalSpec {
            name: "content_hash",
            kind: SignalKind::Text,
            about: "MD5 of the text as it was when this stage saw it, in hexadecimal digits",
        }]
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let mut digits = String::with_capacity(32);
        for byte in Md5::digest(document.text().as_bytes()) {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        document.signals.set("content_hash", Signal::Text(digits.into()));
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::measured;

    #[test]
    fn the_hash_is_md5() {
        measured("content_hash: {}", "abc", "content_hash=900150983cd24fb0d6963f7d28e17f72");
        measured("content_hash: {}", "", "content_hash=d41d8cd98f00b204e9800998ecf8427e");
    }
}
