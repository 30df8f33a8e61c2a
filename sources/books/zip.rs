//! Zip archives, member by member, as Project Gutenberg's robots are given them.
//!
//! Members are read where they stand, from the beginning to the list at the end, so that an archive
//! is read once and never held. Info-ZIP, which made Project Gutenberg's, writes how long a member is
//! before it; where that is left out, the end of a deflated member shows itself.

use std::io::{self, BufRead, BufReader, Read};

use corpus::{Evidence, Reason};
use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use crate::jsonl::Unfit;
use crate::raw::Damage;

/// Bytes of a member's name and of what is said beside it are read up to what their lengths can say.
const HEADER: usize = 26;

const MEMBER: [u8; 4] = *b"PK\x03\x04";
const LIST: [[u8; 4]; 4] = [*b"PK\x01\x02", *b"PK\x05\x06", *b"PK\x06\x06", *b"PK\x06\x08"];
const AFTERWARDS: [u8; 4] = *b"PK\x07\x08";

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

const ENCRYPTED: u16 = 1;
/// Its length stands behind it.
const LENGTH_FOLLOWS: u16 = 1 << 3;

/// A member of an archive.
pub struct Member {
    pub name: String,
    /// Its bytes, at most one more than asked for; or why there are none.
    pub content: Result<Vec<u8>, Unfit>,
    /// Its length, as far as it is known.
    pub bytes: u64,
}

/// Why an archive could not be read on.
pub enum Fault {
    /// The world's.
    World(io::Error),
    /// The archive's.
    Broken(Damage),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Fault::Broken(Damage {
                reason: Reason("truncated_zip"),
                detail: "the archive ends inside a member".to_owned(),
            });
        }
        Fault::World(error)
    }
}

fn broken(detail: impl Into<String>) -> Fault {
    Fault::Broken(Damage { reason: Reason("bad_zip"), detail: detail.into() })
}

/// An archive on its way.
pub struct Archive<R> {
    from: BufReader<R>,
}

impl<R: Read> Archive<R> {
    pub fn new(raw: R) -> Archive<R> {
        Archive { from: BufReader::with_capacity(64 << 10, raw) }
    }

    /// The next member; of one that is `wanted`, at most `most` bytes of content and one more.
    pub fn next(&mut self, wanted: impl Fn(&str) -> bool, most: usize) -> Result<Option<Member>, Fault> {
        if self.from.fill_buf()?.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut signature = [0; 4];
        self.from.read_exact(&mut signature)?;
        if LIST.contains(&signature) {
            return Ok(None);
        }
        if signature != MEMBER {
            return Err(broken("where a member should begin there is something else"));
        }
        let mut header = [0; HEADER];
        self.from.read_exact(&mut header)?;
        let two = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let four = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (flags, method, checksum, packed, size) = (two(2), two(4), four(10), four(14), four(18));
        let length_follows = flags & LENGTH_FOLLOWS != 0;
        let mut name = vec![0; usize::from(two(22))];
        self.from.read_exact(&mut name)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        self.skip(u64::from(two(24)))?;
        let unfit = if flags & ENCRYPTED != 0 {
            Some((Reason("encrypted"), Evidence::None))
        } else if method != STORED && method != DEFLATED {
            Some((Reason("unknown_format"), Evidence::found(format!("zip method {method}"))))
        } else {
            None
        };
        if packed == u32::MAX || length_follows && (unfit.is_some() || method == STORED) {
            return Err(broken(format!("{name} does not say how long it is")));
        }
        if unfit.is_some() || !length_follows && !wanted(&name) {
            self.skip(u64::from(packed))?;
            let content = Err(unfit.unwrap_or((Reason("not_a_book"), Evidence::None)));
            return Ok(Some(Member { name, content, bytes: u64::from(packed) }));
        }
        let read = if length_follows {
            let read = unpack(DeflateDecoder::new(&mut self.from), most, true);
            let checksum = self.afterwards()?;
            read.map(|read| (read, checksum))
        } else {
            let mut part = (&mut self.from).take(u64::from(packed));
            let read = match method {
                STORED => unpack(&mut part, most, false),
                _ => unpack(DeflateDecoder::new(&mut part), most, false),
            };
            let left = part.limit();
            self.skip(left)?;
            read.map(|read| (read, checksum))
        };
        let (content, bytes) = match read {
            Ok((Unpacked { bytes, size, checksum: Some(seen) }, said)) if seen != said => {
                drop(bytes);
                (Err((Reason("bad_member"), Evidence::found("its checksum is another"))), size)
            }
            // What is too long was not read to its end.
            Ok((read, _)) => (Ok(read.bytes), read.size.max(if length_follows { 0 } else { size.into() })),
            // Where the next member begins is known only if this one's length is.
            Err(error) if length_follows => return Err(broken(format!("{name}: {error}"))),
            Err(error) => (Err((Reason("bad_member"), Evidence::found(error.to_string()))), u64::from(packed)),
        };
        let content = if wanted(&name) { content } else { Err((Reason("not_a_book"), Evidence::None)) };
        Ok(Some(Member { name, content, bytes }))
    }

    /// The checksum behind a member whose length was not known before.
    fn afterwards(&mut self) -> Result<u32, Fault> {
        let mut four = [0; 4];
        self.from.read_exact(&mut four)?;
        if four == AFTERWARDS {
            self.from.read_exact(&mut four)?;
        }
        self.skip(8)?;
        Ok(u32::from_le_bytes(four))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Fault> {
        let skipped = io::copy(&mut (&mut self.from).take(bytes), &mut io::sink())?;
        if skipped < bytes { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) } else { Ok(()) }
    }
}

struct Unpacked {
    bytes: Vec<u8>,
    size: u64,
    /// Of a member that was read to its end.
    checksum: Option<u32>,
}

/// Reads a member, and what is beyond `most` bytes of it only if `to_the_end`.
fn unpack(mut from: impl Read, most: usize, to_the_end: bool) -> io::Result<Unpacked> {
    let mut bytes = Vec::new();
    (&mut from).take(most as u64 + 1).read_to_end(&mut bytes)?;
    let mut size = bytes.len() as u64;
    let whole = bytes.len() <= most;
    if !whole && to_the_end {
        size += io::copy(&mut from, &mut io::sink())?;
    }
    let mut crc = Crc::new();
    crc.update(&bytes);
    Ok(Unpacked { bytes, size, checksum: whole.then(|| crc.sum()) })
}
