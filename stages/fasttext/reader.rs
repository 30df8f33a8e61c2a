//! Numbers from a model's file, none of them believed before the file is known to be long enough.

use std::fmt;
use std::io::Read;

use corpus::Digest;
use corpus::digest::Hashing;

/// Why reading ended.
#[derive(Debug)]
pub enum Error {
    /// The system's own words.
    Io(std::io::Error),
    /// What is wrong with the file.
    Damaged(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(source) => source.fmt(f),
            Error::Damaged(detail) => detail.fmt(f),
        }
    }
}

pub type Result<T> = std::result::Result<T, Error>;

pub fn damaged(detail: impl Into<String>) -> Error {
    Error::Damaged(detail.into())
}

/// A model's file, read from its beginning to its end.
pub struct Reader<R> {
    inner: Hashing<R>,
    left: u64,
}

/// Floats are read so many at a time.
const PIECE: usize = 1 << 14;

impl<R: Read> Reader<R> {
    /// A file of so many bytes.
    pub fn new(inner: R, bytes: u64) -> Reader<R> {
        Reader { inner: Hashing::new(inner), left: bytes }
    }

    /// Bytes that were not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The digest of what was read.
    pub fn digest(&self) -> Digest {
        self.inner.digest()
    }

    /// Whatever follows a model is none of it.
    pub fn end(&self) -> Result<()> {
        match self.left {
            0 => Ok(()),
            left => Err(damaged(format!("{left} bytes follow where it should end"))),
        }
    }

    /// Says whether so many things of a length can still come; what is made for them fits in memory
    /// if the file does.
    pub fn expect(&self, count: i64, each: u64, what: &str) -> Result<usize> {
        let fits =
            u64::try_from(count).ok().and_then(|count| count.checked_mul(each)).is_some_and(|all| all <= self.left);
        match usize::try_from(count) {
            Ok(count) if fits => Ok(count),
            _ if count < 0 => Err(damaged(format!("it has {count} {what}"))),
            _ => Err(damaged(format!("it is cut off: {count} {what} are more than the rest of the file"))),
        }
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        if into.len() as u64 > self.left {
            return Err(damaged("it is cut off"));
        }
        self.inner.read_exact(into).map_err(Error::Io)?;
        self.left -= into.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    pub fn flag(&mut self, what: &str) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(damaged(format!("{what} is {other}, neither yes nor no"))),
        }
    }

    pub fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        self.expect(count as i64, 1, "bytes")?;
        let mut bytes = vec![0; count];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Numbers that can be reckoned with.
    pub fn floats(&mut self, count: usize) -> Result<Vec<f32>> {
        self.expect(count as i64, 4, "numbers")?;
        let mut floats = Vec::with_capacity(count);
        let mut piece = vec![0; 4 * PIECE.min(count)];
        while floats.len() < count {
            let bytes = &mut piece[..4 * PIECE.min(count - floats.len())];
            self.fill(bytes)?;
            floats.extend(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])));
        }
        match floats.iter().all(|value| value.is_finite()) {
            true => Ok(floats),
            false => Err(damaged("one of its numbers is infinite or none")),
        }
    }

    /// Appends a word, which a zero ends.
    pub fn word(&mut self, out: &mut Vec<u8>) -> Result<()> {
        loop {
            match self.u8()? {
                0 => return Ok(()),
                byte => out.push(byte),
            }
        }
    }
}
