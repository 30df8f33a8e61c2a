//! Digests as publishers give them.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use md5::{Digest as _, Md5};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use serde::{Deserialize, Serialize};

use super::encode::hex;
use crate::digest::Hashing;
use crate::{Digest, Error};

/// Which digest it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// SHA-256.
    Sha256,
    /// SHA-1, which older listings give: good against accidents, not against attacks.
    Sha1,
    /// MD5, likewise.
    Md5,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Sha256 => "SHA-256",
            Kind::Sha1 => "SHA-1",
            Kind::Md5 => "MD5",
        })
    }
}

/// A digest that a publisher gives for a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Check {
    /// Which one.
    pub kind: Kind,
    /// Its hexadecimal digits, in lower case.
    pub digits: String,
}

impl Check {
    /// A digest that someone wrote, if it has the right length.
    pub fn new(kind: Kind, digits: &str) -> Option<Check> {
        let wanted = match kind {
            Kind::Sha256 => 64,
            Kind::Sha1 => 40,
            Kind::Md5 => 32,
        };
        let digits = digits.trim().to_ascii_lowercase();
        let right = digits.len() == wanted && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        right.then_some(Check { kind, digits })
    }
}

enum Hasher {
    Ring(Context),
    Md5(Box<Md5>),
}

/// Takes BLAKE3, and whatever digests the publisher gives, of the same bytes in one go.
pub struct Checks {
    blake3: Hashing<io::Sink>,
    wanted: Vec<(Check, Hasher)>,
}

impl Checks {
    /// Nothing seen yet.
    pub fn new(wanted: &[Check]) -> Checks {
        let hasher = |check: &Check| match check.kind {
            Kind::Sha256 => Hasher::Ring(Context::new(&SHA256)),
            Kind::Sha1 => Hasher::Ring(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            Kind::Md5 => Hasher::Md5(Box::default()),
        };
        let wanted = wanted.iter().map(|check| (check.clone(), hasher(check))).collect();
        Checks { blake3: Hashing::new(io::sink()), wanted }
    }

    /// Sees more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        // A sink takes everything.
        let _ = io::Write::write_all(&mut self.blake3, bytes);
        for (_, hasher) in &mut self.wanted {
            match hasher {
                Hasher::Ring(context) => context.update(bytes),
                Hasher::Md5(md5) => md5.update(bytes),
            }
        }
    }

    /// Sees the first `length` bytes of a file.
    pub fn see(&mut self, path: &Path, length: u64) -> crate::Result<()> {
        let file = std::fs::File::open(path).map_err(Error::io("cannot open", path))?;
        let mut file = file.take(length);
        let mut block = vec![0; 256 << 10];
        loop {
            match file.read(&mut block).map_err(Error::io("cannot read", path))? {
                0 => return Ok(()),
                read => self.update(&block[..read]),
            }
        }
    }

    /// How many bytes were seen.
    pub fn bytes(&self) -> u64 {
        self.blake3.length()
    }

    /// The BLAKE3 digest of what was seen; an error in words if a digest of the publisher's is not met.
    pub fn finish(self) -> Result<Digest, String> {
        for (check, hasher) in self.wanted {
            let digits = match hasher {
                Hasher::Ring(context) => hex(context.finish().as_ref()),
                Hasher::Md5(md5) => hex(&md5.finalize()),
            };
            if digits != check.digits {
                return Err(format!("its {} is {digits}, not {}", check.kind, check.digits));
            }
        }
        Ok(self.blake3.digest())
    }
}

#[test]
fn publishers_digests_are_checked() {
    let rows = [
        (Kind::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Kind::Sha1, "A9993E364706816ABA3E25717850C26C9CD0D89D"),
        (Kind::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ];
    let wanted: Vec<Check> = rows.iter().map(|(kind, digits)| Check::new(*kind, digits).unwrap()).collect();
    for (text, fine) in [("abc", true), ("abd", false)] {
        let mut checks = Checks::new(&wanted);
        checks.update(&text.as_bytes()[..1]);
        checks.update(&text.as_bytes()[1..]);
        assert_eq!(checks.bytes(), 3);
        assert_eq!(checks.finish().is_ok(), fine);
    }
    assert_eq!(Check::new(Kind::Md5, "zz"), None);
}
