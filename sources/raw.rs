//! The bytes of a raw file: recognised by content, decoded on the fly, hashed on the way.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bzip2::bufread::MultiBzDecoder;
use corpus::digest::Hashing;
use corpus::{Digest, Error, RawFile, Reason};
use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{DecompressionError, Decompressor};
use lzma_rust2::XzReader;

/// Bytes that are read from the disk at once. Larger blocks were not faster.
const BLOCK: usize = 256 << 10;

/// Bytes of the decoded content that are looked at to recognise it: a tar header has its magic at
/// byte 257.
const HEAD: usize = 512;

/// The largest dictionary, in KiB, that an xz file may ask for: four times what `xz -9` uses.
const XZ_MEMORY: u32 = 256 << 10;

/// The largest window of a zstd file, as a power of two: what `zstd` itself takes unasked.
const ZSTD_WINDOW: u32 = 27;

/// How a raw file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, of one member or many.
    Gzip,
    /// Zstandard, of one frame or many.
    Zstd,
    /// bzip2, of one stream or many.
    Bzip2,
    /// xz, of one stream or many.
    Xz,
}

/// What a raw file holds once it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Parquet.
    Parquet,
    /// A tar archive.
    Tar,
    /// A 7z archive.
    SevenZip,
    /// An archive that no source reads.
    Foreign(&'static str),
    /// Anything else: text in lines, for all that is known.
    Lines,
}

/// How a raw file is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The reason that is counted, such as `truncated_gzip`.
    pub reason: Reason,
    /// What the decoder said.
    pub detail: String,
}

/// A raw file that is being read.
///
/// Reading gives the decoded bytes. Where the compressed data are broken, reading ends as at the
/// end of a file and [`Raw::damage`] says how; only a fault of the world is an error.
pub struct Raw {
    path: PathBuf,
    tap: Rc<RefCell<Tap>>,
    decoder: Decoder,
    compression: Compression,
    content: Content,
    head: Vec<u8>,
    head_at: usize,
    damage: Option<Damage>,
}

/// The file itself, or its bytes as they come over the network. Decoders hide where an error came
/// from, so it is noted here.
struct Tap {
    file: Hashing<Box<dyn Read + Send>>,
    failed: bool,
}

struct Source(Rc<RefCell<Tap>>);

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut tap = self.0.borrow_mut();
        loop {
            match tap.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tap.failed = true;
                    return Err(error);
                }
                read => {
                    crate::cost::saw_raw_bytes(*read.as_ref().unwrap_or(&0));
                    return read;
                }
            }
        }
    }
}

type Blocks = BufReader<Source>;

enum Decoder {
    Plain(Blocks),
    Gzip(Gzip<Blocks>),
    Zstd(zstd::stream::read::Decoder<'static, Blocks>),
    Bzip2(MultiBzDecoder<Blocks>),
    Xz(Box<XzReader<Blocks>>),
}

impl Raw {
    /// Opens a file, or the part of one that it is, and looks at its first bytes.
    pub fn open(file: &RawFile) -> corpus::Result<Raw> {
        let path = file.path.clone();
        let opened = file.open()?;
        let tap = Rc::new(RefCell::new(Tap { file: Hashing::new(opened), failed: false }));
        let mut blocks = BufReader::with_capacity(BLOCK, Source(tap.clone()));
        let first = blocks.fill_buf().map_err(Error::io("cannot read", &path))?;
        let compression = Compression::of(first);
        let decoder = Decoder::new(compression, blocks).map_err(Error::io("cannot decode", &path))?;
        let content = Content::Lines;
        let mut raw =
            Raw { path, tap, decoder, compression, content, head: vec![0; HEAD], head_at: HEAD, damage: None };
        let mut filled = 0;
        let mut head = std::mem::take(&mut raw.head);
        while filled < HEAD {
            match raw.read(&mut head[filled..]).map_err(Error::io("cannot read", &raw.path))? {
                0 => break,
                read => filled += read,
            }
        }
        head.truncate(filled);
        raw.content = Content::of(&head);
        raw.head = head;
        raw.head_at = 0;
        Ok(raw)
    }

    /// How it is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// What it holds.
    pub fn content(&self) -> Content {
        self.content
    }

    /// How it is damaged, as far as it was read.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// The first decoded bytes, however many of them were read since.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file for reading at random: itself, or, if it comes over the network, a copy that is gone
    /// when it is closed, in the folder for temporary files. It must not be compressed.
    pub(crate) fn at_random(&mut self, file: &RawFile) -> corpus::Result<File> {
        if file.remote.is_none() {
            return File::open(&file.path).map_err(Error::io("cannot open", &file.path));
        }
        let folder = std::env::temp_dir();
        let mut copy = tempfile::tempfile().map_err(Error::io("cannot make a temporary file in", &folder))?;
        let mut block = vec![0; BLOCK];
        loop {
            match self.read(&mut block).map_err(Error::io("cannot read", &file.path))? {
                0 => break,
                read => copy.write_all(&block[..read]).map_err(Error::io("cannot write a copy to", &folder))?,
            }
        }
        copy.rewind().map_err(Error::io("cannot read a copy in", &folder))?;
        Ok(copy)
    }

    /// Reads what is left of the file, wherever decoding stopped: the digest is that of all bytes.
    pub fn finish(self) -> corpus::Result<(Digest, u64)> {
        let mut left = Source(self.tap.clone());
        let mut block = vec![0; BLOCK];
        while left.read(&mut block).map_err(Error::io("cannot read", &self.path))? > 0 {}
        let tap = self.tap.borrow();
        Ok((tap.file.digest(), tap.file.length()))
    }

    fn fail(&mut self, error: io::Error) -> io::Result<usize> {
        if self.tap.borrow().failed {
            return Err(error);
        }
        let cut = error.kind() == io::ErrorKind::UnexpectedEof;
        let reason = match (self.compression, cut) {
            // Nothing decodes, so nothing but the disk can fail.
            (Compression::None, _) => return Err(error),
            (Compression::Gzip, _) => Gzip::<Blocks>::reason(&error).0,
            (Compression::Zstd, true) => "truncated_zstd",
            (Compression::Zstd, false) => "bad_zstd",
            (Compression::Bzip2, true) => "truncated_bzip2",
            (Compression::Bzip2, false) => "bad_bzip2",
            (Compression::Xz, true) => "truncated_xz",
            (Compression::Xz, false) => "bad_xz",
        };
        self.damage = Some(Damage { reason: Reason(reason), detail: error.to_string() });
        Ok(0)
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.head_at < self.head.len() {
            let left = &self.head[self.head_at..];
            let taken = left.len().min(into.len());
            into[..taken].copy_from_slice(&left[..taken]);
            self.head_at += taken;
            return Ok(taken);
        }
        if self.damage.is_some() {
            return Ok(0);
        }
        let decoder = &mut self.decoder;
        match crate::cost::decoding(|| decoder.read(into)) {
            Ok(read) => Ok(read),
            Err(error) => self.fail(error),
        }
    }
}

impl Compression {
    fn of(first: &[u8]) -> Compression {
        match first {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Compression::Bzip2,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            _ => Compression::None,
        }
    }
}

impl Content {
    fn of(head: &[u8]) -> Content {
        match head {
            [b'P', b'A', b'R', b'1', ..] => Content::Parquet,
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Content::Foreign("a zip archive"),
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Content::SevenZip,
            [0x1f, 0x8b, ..] => Content::Foreign("gzip in a compressed file"),
            _ if head.get(257..262) == Some(b"ustar") => Content::Tar,
            _ => Content::Lines,
        }
    }
}

impl Decoder {
    fn new(compression: Compression, blocks: Blocks) -> io::Result<Decoder> {
        Ok(match compression {
            Compression::None => Decoder::Plain(blocks),
            Compression::Gzip => Decoder::Gzip(Gzip::new(blocks)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(blocks)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Decoder::Zstd(decoder)
            }
            Compression::Bzip2 => Decoder::Bzip2(MultiBzDecoder::new(blocks)),
            Compression::Xz => Decoder::Xz(Box::new(XzReader::new_mem_limit(blocks, true, XZ_MEMORY))),
        })
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Decoder::Plain(blocks) => blocks.read(into),
            Decoder::Gzip(gzip) => gzip.read(into),
            Decoder::Zstd(decoder) => decoder.read(into),
            Decoder::Bzip2(decoder) => decoder.read(into),
            Decoder::Xz(decoder) => decoder.read(into),
        }
    }
}

/// The kind of error for what follows a gzip member and is none.
const GARBAGE: io::ErrorKind = io::ErrorKind::InvalidInput;

/// The kind of error for members that were passed over, said at the end of the file.
const PASSED: io::ErrorKind = io::ErrorKind::Other;

/// gzip, member by member. `flate2`'s own reader throws away what it decoded of a block when the
/// block turns out to be broken further on; this one hands it out first.
///
/// A crawl's files have a member for each record. Such small ones are decoded whole by libdeflate,
/// which is faster but needs all of a member at hand; large ones, broken ones and the last one of a
/// cut file are decoded piece by piece.
pub(crate) struct Gzip<B> {
    blocks: B,
    /// Compressed bytes: those from `at` to `end` are at hand, and no more come if it `ended`.
    input: Vec<u8>,
    at: usize,
    end: usize,
    ended: bool,
    /// The member that is decoded piece by piece.
    state: Option<Decompress>,
    /// Whether the last member was small enough to be decoded whole.
    small: bool,
    decompressor: Decompressor,
    /// A member that was decoded whole and did not fit where it was asked for.
    whole: Vec<u8>,
    handed: usize,
    made: usize,
    members: u64,
    broken: Option<io::Error>,
    /// How many broken members were passed over, and what was wrong with the first.
    passed: u64,
    first_fault: String,
}

/// Compressed and decoded bytes of a member that is decoded whole, at most.
const SMALL: usize = 256 << 10;
const SMALL_DECODED: usize = 1 << 20;

/// Compressed bytes that are at hand, if there are as many, when a member begins.
const AHEAD: usize = 64 << 10;

impl<B: Read> Gzip<B> {
    pub(crate) fn new(blocks: B) -> Gzip<B> {
        Gzip {
            blocks,
            input: vec![0; BLOCK],
            at: 0,
            end: 0,
            ended: false,
            state: None,
            small: true,
            decompressor: Decompressor::new(),
            whole: Vec::new(),
            handed: 0,
            made: 0,
            members: 0,
            broken: None,
            passed: 0,
            first_fault: String::new(),
        }
    }

    /// Has at least so many compressed bytes at hand, or all that are left.
    fn reach(&mut self, wanted: usize) -> io::Result<()> {
        while self.end - self.at < wanted && !self.ended {
            if self.at > 0 {
                self.input.copy_within(self.at..self.end, 0);
                self.end -= self.at;
                self.at = 0;
            }
            if self.input.len() < wanted {
                self.input.resize(wanted, 0);
            }
            let read = self.blocks.read(&mut self.input[self.end..])?;
            self.end += read;
            self.ended = read == 0;
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            if self.handed < self.made {
                let left = &self.whole[self.handed..self.made];
                let taken = left.len().min(into.len() - filled);
                into[filled..filled + taken].copy_from_slice(&left[..taken]);
                self.handed += taken;
                filled += taken;
                continue;
            }
            if self.state.is_some() || self.broken.is_some() {
                let read = if filled > 0 { filled } else { self.read_piece(into)? };
                if read > 0 {
                    return Ok(read);
                }
                continue;
            }
            self.reach(AHEAD)?;
            // Tapes and some tools fill up with zeros after the last member; gzip skips them.
            if self.members > 0 {
                let zeros = self.input[self.at..self.end].iter().take_while(|byte| **byte == 0).count();
                self.at += zeros;
                if zeros > 0 {
                    continue;
                }
            }
            if self.at == self.end {
                if self.passed > 0 && filled == 0 {
                    let passed = std::mem::take(&mut self.passed);
                    let said = format!("{passed} broken members were passed over; {}", self.first_fault);
                    return Err(io::Error::new(PASSED, said));
                }
                return Ok(filled);
            }
            if self.small {
                match self.decode(&mut into[filled..])? {
                    Member::Decoded(made) => {
                        filled += made;
                        continue;
                    }
                    Member::NoRoom if filled > 0 => return Ok(filled),
                    Member::NoRoom if self.decode_aside()? => continue,
                    Member::NoRoom | Member::Other => {}
                }
                if self.pass_broken()? {
                    continue;
                }
            }
            self.state = Some(Decompress::new_gzip(15));
        }
        Ok(filled)
    }

    /// Decodes the member that begins here, if it is small and all of it is there.
    fn decode(&mut self, into: &mut [u8]) -> io::Result<Member> {
        loop {
            let input = &self.input[self.at..self.end];
            match self.decompressor.gzip_decompress(input, into) {
                // Of an empty member the end cannot be told.
                Ok(0) => return Ok(Member::Other),
                Ok(made) => {
                    let Some(length) = member_length(input, &into[..made]) else { return Ok(Member::Other) };
                    self.at += length;
                    self.members += 1;
                    return Ok(Member::Decoded(made));
                }
                Err(DecompressionError::InsufficientSpace) => return Ok(Member::NoRoom),
                Err(DecompressionError::BadData) if self.ended || input.len() >= SMALL => return Ok(Member::Other),
                Err(DecompressionError::BadData) => {
                    let wanted = input.len() * 2;
                    self.reach(wanted)?;
                }
            }
        }
    }

    /// Passes over the member that begins here if it is broken and others follow it: in a file with a
    /// member for each record, one record is lost. Nothing of a broken member is handed out.
    fn pass_broken(&mut self) -> io::Result<bool> {
        let input = &self.input[self.at..self.end];
        let fault = match extent(input) {
            Extent::Broken(fault) => fault,
            // A wrong length in its header may have led it astray.
            Extent::Beyond if self.ended && self.members > 0 => "the file ends inside it".to_owned(),
            Extent::Whole(_) | Extent::Beyond => return Ok(false),
        };
        let mut ahead = 1;
        while let Some(found) = memchr::memmem::find(&input[ahead..], MEMBER) {
            ahead += found;
            let follows = match extent(&input[ahead..]) {
                // Archives hold gzip that begins no member of theirs, and no gzip follows it.
                Extent::Whole(length) => {
                    let rest = &input[ahead + length..];
                    rest.starts_with(MEMBER) || rest.len() < MEMBER.len() && (self.ended || self.members > 0)
                }
                Extent::Beyond => self.members > 0 && !self.ended,
                Extent::Broken(_) => false,
            };
            if follows {
                self.members += 1;
                self.passed += 1;
                if self.passed == 1 {
                    self.first_fault = format!("gzip member {}: {fault}", self.members);
                }
                self.at += ahead;
                return Ok(true);
            }
            ahead += 1;
        }
        Ok(false)
    }

    /// Decodes it into a buffer of ours.
    fn decode_aside(&mut self) -> io::Result<bool> {
        let mut whole = std::mem::take(&mut self.whole);
        let mut room = whole.len().max(BLOCK);
        let decoded = loop {
            whole.resize(room, 0);
            match self.decode(&mut whole) {
                Ok(Member::Decoded(made)) => break Ok(made),
                Ok(Member::NoRoom) if room < SMALL_DECODED => room *= 4,
                Ok(_) => break Ok(0),
                Err(error) => break Err(error),
            }
        };
        self.whole = whole;
        self.handed = 0;
        self.made = decoded?;
        Ok(self.made > 0)
    }

    /// Some bytes of a member that is decoded piece by piece; none if it has ended.
    fn read_piece(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            self.reach(1)?;
            let Some(state) = &mut self.state else { return Ok(0) };
            let input = &self.input[self.at..self.end];
            if input.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends inside a gzip member"));
            }
            let (seen, made) = (state.total_in(), state.total_out());
            let status = state.decompress(input, into, FlushDecompress::None);
            let all_seen = state.total_in();
            let seen = (all_seen - seen) as usize;
            let made = (state.total_out() - made) as usize;
            let stuck = seen == 0 && made == 0;
            self.at += seen;
            match status {
                Ok(Status::StreamEnd) => {
                    self.small = all_seen <= SMALL as u64 && state.total_out() <= SMALL_DECODED as u64;
                    self.state = None;
                    self.members += 1;
                    return Ok(made);
                }
                Ok(_) if stuck => self.broken = Some(self.fault("no progress".into())),
                Ok(_) => {}
                Err(error) => self.broken = Some(self.fault(error.to_string())),
            }
            if made > 0 {
                return Ok(made);
            }
        }
    }

    /// The reason that is counted for an error of this reader's own.
    pub(crate) fn reason(error: &io::Error) -> Reason {
        Reason(match error.kind() {
            io::ErrorKind::UnexpectedEof => "truncated_gzip",
            GARBAGE => "garbage_after_gzip",
            PASSED => "bad_gzip_members",
            _ => "bad_gzip",
        })
    }

    fn fault(&self, said: String) -> io::Error {
        let nothing = self.state.as_ref().is_none_or(|state| state.total_out() == 0);
        if self.members > 0 && nothing {
            return io::Error::new(GARBAGE, format!("what follows gzip member {} is not gzip: {said}", self.members));
        }
        io::Error::new(io::ErrorKind::InvalidData, format!("gzip member {}: {said}", self.members + 1))
    }
}

/// What became of a member that was to be decoded whole.
enum Member {
    Decoded(usize),
    NoRoom,
    /// It is broken, cut or large, or its end cannot be told.
    Other,
}

/// How a gzip member begins.
const MEMBER: &[u8] = &[0x1f, 0x8b, 8];

/// How far a member reaches.
enum Extent {
    /// To its end, in so many bytes.
    Whole(usize),
    /// Beyond what is at hand.
    Beyond,
    /// Not to its end, and why.
    Broken(String),
}

/// How far the member reaches that begins here.
fn extent(input: &[u8]) -> Extent {
    let mut state = Decompress::new_gzip(15);
    let mut nowhere = vec![0; BLOCK];
    loop {
        let (seen, made) = (state.total_in(), state.total_out());
        let left = input.get(seen as usize..).unwrap_or_default();
        if left.is_empty() {
            return Extent::Beyond;
        }
        match state.decompress(left, &mut nowhere, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return Extent::Whole(state.total_in() as usize),
            Ok(_) if (state.total_in(), state.total_out()) == (seen, made) => {
                return Extent::Broken("no progress".to_owned());
            }
            Ok(_) => {}
            Err(error) => return Extent::Broken(error.to_string()),
        }
    }
}

/// How long a member is, compressed, that was decoded to `made`: libdeflate does not tell. It ends
/// with the checksum and the length of what it holds, and with the file or another member after it.
fn member_length(input: &[u8], made: &[u8]) -> Option<usize> {
    let mut end = [0; 8];
    end[..4].copy_from_slice(&libdeflater::crc32(made).to_le_bytes());
    end[4..].copy_from_slice(&(made.len() as u32).to_le_bytes());
    let length = memchr::memmem::find(input, &end)? + end.len();
    matches!(input.get(length), None | Some(0 | 0x1f)).then_some(length)
}
