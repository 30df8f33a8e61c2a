//! BLAKE3 digests: of contents, of options, of tasks.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// In how many places of a long file [`Digest::sampled`] looks.
const PLACES: u64 = 64;
/// How many bytes it takes in each.
const PLACE: u64 = 16 << 10;

/// A BLAKE3 digest, 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of anything that serde can write, through its JSON.
    pub fn of_value(value: &impl Serialize) -> Digest {
        let mut hasher = blake3::Hasher::new();
        // Writing into a hasher cannot fail, and our types have string keys only.
        let written = serde_json::to_writer(&mut hasher, value);
        debug_assert!(written.is_ok());
        Digest(*hasher.finalize().as_bytes())
    }

    /// The digest and length of a file.
    pub fn of_file(path: &Path) -> Result<(Digest, u64)> {
        let mut file = std::fs::File::open(path).map_err(Error::io("cannot open", path))?;
        let mut reader = Hashing::new(&mut file);
        io::copy(&mut reader, &mut io::sink()).map_err(Error::io("cannot read", path))?;
        Ok((reader.digest(), reader.length()))
    }

    /// The digest of a file's length and of what stands in 64 places of it, of 16 KiB each, evenly from its
    /// first byte to its last; of all of it up to 1 MiB. However long the file is, that is soon read.
    ///
    /// It tells files apart that were written each for itself. A change that leaves the length as it is and
    /// falls between all places is not seen: one of a stretch of a 63rd of the file always is.
    pub fn sampled(path: &Path) -> Result<Digest> {
        let file = std::fs::File::open(path).map_err(Error::io("cannot open", path))?;
        let length = file.metadata().map_err(Error::io("cannot read", path))?.len();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&length.to_le_bytes());
        let mut take = |from: u64, bytes: u64| {
            let mut place = vec![0; bytes as usize];
            file.read_exact_at(&mut place, from).map_err(Error::io("cannot read", path))?;
            hasher.update(&place);
            Ok(())
        };
        if length <= PLACES * PLACE {
            take(0, length)?;
        } else {
            let last = u128::from(length - PLACE);
            for place in 0..PLACES {
                take((last * u128::from(place) / u128::from(PLACES - 1)) as u64, PLACE)?;
            }
        }
        Ok(Digest(*hasher.finalize().as_bytes()))
    }

    /// The first digits, enough to tell tasks apart in a file name.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Digest, String> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("`{text}` is not a digest of 64 hexadecimal digits"));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |d: u8| (d as char).to_digit(16).unwrap_or(0) as u8;
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Passes bytes through, to or from `inner`, and takes their digest and number on the way.
pub struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<T> Hashing<T> {
    /// Starts with nothing seen.
    pub fn new(inner: T) -> Hashing<T> {
        Hashing { inner, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    /// The digest of what has passed so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// How many bytes have passed so far.
    pub fn length(&self) -> u64 {
        self.bytes
    }

    /// What the bytes come from or go to.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    fn saw(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.saw(&into[..read]);
        Ok(read)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.saw(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[test]
fn a_digest_reads_back_as_written() {
    let digest = Digest::of(b"red");
    assert_eq!(digest.to_string().parse(), Ok(digest));
    assert!("red".parse::<Digest>().is_err());
}

#[test]
fn a_sample_sees_every_byte_of_a_short_file_and_every_long_stretch_of_a_long_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let sampled = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Digest::sampled(&path).unwrap()
    };
    let changed = |bytes: &[u8], from: usize, to: usize| {
        let mut bytes = bytes.to_vec();
        bytes[from..to].iter_mut().for_each(|byte| *byte ^= 1);
        sampled(&bytes)
    };
    let mut seen = std::collections::BTreeSet::new();
    for length in [0, 1, 1000, 1 << 20, (1 << 20) + 1, 4 << 20] {
        let bytes: Vec<u8> = (0..length).map(|at: usize| (at % 251) as u8).collect();
        let whole = sampled(&bytes);
        assert!(seen.insert(whole), "{length}");
        assert_eq!(whole, sampled(&bytes));
        if length > 0 {
            assert_ne!(whole, changed(&bytes, 0, 1), "{length}");
            assert_ne!(whole, changed(&bytes, length - 1, length), "{length}");
        }
    }
    let short = vec![7; 3000];
    assert!((0..3000).step_by(97).all(|at| changed(&short, at, at + 1) != sampled(&short)));
    let long = vec![7; (3 << 20) + 5];
    let whole = sampled(&long);
    let stretch = long.len() / 63;
    assert!((0..long.len() - stretch).step_by(stretch / 3).all(|at| changed(&long, at, at + stretch) != whole));
    // What it says that it does not see.
    assert_eq!(changed(&long, 20_000, 20_001), whole);
    assert!(Digest::sampled(&folder.path().join("none")).is_err());
}
