//! Tar archives, entry by entry.
//!
//! The `tar` crate reads headers; its reader keeps long names and extended headers of any length in
//! memory, so the walk from header to header is ours.

use std::io::{self, Read};

use tar::{EntryType, Header};

/// Bytes of a long name or an extended header: Linux takes no path beyond 4 KiB.
const LONGEST: u64 = 1 << 20;

const BLOCK: u64 = 512;

/// A tar archive that is being read.
pub(crate) struct Archive<R> {
    from: R,
    /// Bytes of the current entry's content that were not read yet, and zeros after them.
    left: u64,
    padding: u64,
    /// The comment of the whole archive: git writes the commit there.
    pub comment: Option<String>,
}

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub path: Vec<u8>,
    pub kind: Kind,
    pub size: u64,
    pub mode: u32,
    /// When it was last changed, in seconds since 1970.
    pub modified: u64,
    pub link: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Symlink,
    HardLink,
    Other(&'static str),
}

/// Why an archive cannot be read further.
pub(crate) enum Fault {
    World(io::Error),
    /// It ends inside an entry.
    Cut,
    Broken(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::World(error)
    }
}

impl<R: Read> Archive<R> {
    pub fn new(from: R) -> Archive<R> {
        Archive { from, left: 0, padding: 0, comment: None }
    }

    /// Gives back what the archive lies in.
    pub fn into_inner(self) -> R {
        self.from
    }

    /// The next entry; its content is read from the archive itself.
    pub fn next(&mut self) -> Result<Option<Entry>, Fault> {
        let (mut long_path, mut long_link, mut extended) = (None, None, Extended::default());
        loop {
            self.skip()?;
            let mut block = [0; BLOCK as usize];
            match fill(&mut self.from, &mut block)? {
                0 => return Ok(None),
                512 => {}
                _ => return Err(Fault::Cut),
            }
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            if !is_header(&block) {
                return Err(Fault::Broken("the checksum of a header does not match".into()));
            }
            let size = header.entry_size().map_err(|error| Fault::Broken(error.to_string()))?;
            self.stands(size);
            match header.entry_type() {
                EntryType::GNULongName => long_path = Some(self.name()?),
                EntryType::GNULongLink => long_link = Some(self.name()?),
                EntryType::XHeader => extended = Extended::of(&self.small()?),
                EntryType::XGlobalHeader => {
                    let global = Extended::of(&self.small()?);
                    self.comment = global.comment.or(self.comment.take());
                }
                kind => {
                    let size = match extended.size {
                        Some(size) => {
                            self.stands(size);
                            size
                        }
                        None => size,
                    };
                    if kind == EntryType::GNUSparse {
                        self.skip_sparse_maps(header)?;
                        self.stands(size);
                    }
                    return Ok(Some(Entry {
                        path: long_path.or(extended.path).unwrap_or_else(|| header.path_bytes().into_owned()),
                        link: long_link
                            .or(extended.link)
                            .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned()),
                        kind: Kind::of(kind, extended.sparse),
                        size,
                        mode: header.mode().unwrap_or(0o644),
                        modified: header.mtime().unwrap_or(0),
                    }));
                }
            }
        }
    }

    fn stands(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    fn skip(&mut self) -> Result<(), Fault> {
        let rest = self.left.saturating_add(self.padding);
        let skipped = io::copy(&mut (&mut self.from).take(rest), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        if skipped < rest { Err(Fault::Cut) } else { Ok(()) }
    }

    fn skip_sparse_maps(&mut self, header: &Header) -> Result<(), Fault> {
        let mut more = header.as_gnu().is_some_and(|header| header.is_extended());
        let mut map = [0; BLOCK as usize];
        while more {
            if fill(&mut self.from, &mut map)? < map.len() {
                return Err(Fault::Cut);
            }
            more = map[504] != 0;
        }
        Ok(())
    }

    /// The whole content of a small entry.
    fn small(&mut self) -> Result<Vec<u8>, Fault> {
        if self.left > LONGEST {
            return Err(Fault::Broken(format!("a name or extended header of {} bytes", self.left)));
        }
        let mut content = vec![0; self.left as usize];
        let read = fill(&mut self.from, &mut content)?;
        if read < content.len() {
            return Err(Fault::Cut);
        }
        self.left = 0;
        Ok(content)
    }

    fn name(&mut self) -> Result<Vec<u8>, Fault> {
        let mut name = self.small()?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    /// Whether the current entry was read to its end.
    pub fn whole(&self) -> bool {
        self.left == 0
    }
}

/// Reads the content of the current entry.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.from).take(self.left).read(into)?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Reads until `into` is full or nothing is left; how much it was.
pub(crate) fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Whether a block is a header of a tar archive, of whatever age: its checksum is right.
pub(crate) fn is_header(block: &[u8]) -> bool {
    if block.len() != BLOCK as usize {
        return false;
    }
    let sum: u32 = block[..148].iter().chain(&block[156..]).map(|byte| u32::from(*byte)).sum();
    Header::from_byte_slice(block).cksum().ok() == Some(sum + 8 * u32::from(b' '))
}

impl Kind {
    fn of(kind: EntryType, sparse: bool) -> Kind {
        match kind {
            _ if sparse => Kind::Other("a sparse file"),
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::HardLink,
            EntryType::Char | EntryType::Block => Kind::Other("a device"),
            EntryType::Fifo => Kind::Other("a pipe"),
            EntryType::GNUSparse => Kind::Other("a sparse file"),
            _ => Kind::Other("an entry of no known type"),
        }
    }
}

/// What an extended header says: lines of `length key=value`.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    comment: Option<String>,
    sparse: bool,
}

impl Extended {
    fn of(mut rest: &[u8]) -> Extended {
        let mut extended = Extended::default();
        while let Some(space) = memchr::memchr(b' ', rest) {
            let length = std::str::from_utf8(&rest[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
            let Some(record) = length.and_then(|length| rest.get(space + 1..length)) else { break };
            rest = &rest[space + 1 + record.len()..];
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            let Some(equals) = memchr::memchr(b'=', record) else { continue };
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => extended.path = Some(value.to_vec()),
                b"linkpath" => extended.link = Some(value.to_vec()),
                b"size" => extended.size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok()),
                b"comment" => extended.comment = std::str::from_utf8(value).ok().map(str::to_owned),
                _ => extended.sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
        extended
    }
}
