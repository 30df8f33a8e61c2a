//! Parts of a multistream dump: it is one bzip2 stream after another, of a hundred pages each, and an
//! index beside it says where they begin.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use corpus::{Error, RawFile};

use crate::raw::Raw;

/// Bytes of a part, at least: it ends with the stream that brings it there. Records are numbered
/// within their part, so this never changes.
const PART: u64 = 8 << 20;

/// The longest line of an index that is looked at: its offset comes first.
const LINE: u64 = 4096;

const DUMP: &str = "-multistream";
const INDEX: &str = "-multistream-index";

/// Adds a file, or its parts if its index lies beside it. An index itself is none.
pub(super) fn parts(file: RawFile, found: &mut Vec<RawFile>) -> corpus::Result<()> {
    parts_of(PART, file, found)
}

/// Parts of at least so many bytes.
pub(super) fn parts_of(part: u64, file: RawFile, found: &mut Vec<RawFile>) -> corpus::Result<()> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.contains(INDEX) && name.contains(".txt") {
        return Ok(());
    }
    let Some(index) = index_of(&file.path, &name) else {
        found.push(file);
        return Ok(());
    };
    let boundaries = boundaries(part, &index, &file)?;
    if boundaries.is_empty() {
        found.push(file);
        return Ok(());
    }
    let ends = boundaries.iter().copied().chain([file.bytes]);
    let begins = [0].into_iter().chain(boundaries.iter().copied());
    for (from, below) in begins.zip(ends) {
        found.push(RawFile {
            name: format!("{}@{from}", file.name).into(),
            bytes: below - from,
            range: Some((from, below)),
            ..file.clone()
        });
    }
    Ok(())
}

/// `…-multistream1.xml-p1p2.bz2` has the index `…-multistream-index1.txt-p1p2.bz2`, or the same
/// without compression.
fn index_of(path: &Path, name: &str) -> Option<PathBuf> {
    let (before, after) = name.split_once(DUMP)?;
    let index = format!("{before}{INDEX}{}", after.replacen(".xml", ".txt", 1));
    let plain = index.strip_suffix(".bz2").map(str::to_owned);
    let beside = |name: String| path.with_file_name(name);
    [Some(index), plain].into_iter().flatten().map(beside).find(|path| path.is_file())
}

/// Where parts begin, but for the first; none if the index does not fit the dump.
fn boundaries(part: u64, index: &Path, file: &RawFile) -> corpus::Result<Vec<u64>> {
    let world = |error| Error::io("cannot read", index)(error);
    let found = fs::metadata(index).map_err(world)?;
    let index_file = RawFile { bytes: found.len(), ..RawFile::new(file.name.clone(), index) };
    let mut lines = BufReader::with_capacity(256 << 10, Raw::open(&index_file)?);
    let mut dump = File::open(&file.path).map_err(Error::io("cannot open", &file.path))?;
    let mut boundaries = Vec::new();
    let mut last = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut lines).take(LINE).read_until(b'\n', &mut line).map_err(world)? == 0 {
            break;
        }
        let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let offset = std::str::from_utf8(&line[..digits]).ok().and_then(|digits| digits.parse::<u64>().ok());
        let Some(offset) = offset.filter(|_| line.get(digits) == Some(&b':')) else { continue };
        if offset < last + part || offset + part > file.bytes {
            continue;
        }
        if !stream_at(&mut dump, offset).map_err(Error::io("cannot read", &file.path))? {
            return Ok(Vec::new());
        }
        boundaries.push(offset);
        last = offset;
    }
    Ok(boundaries)
}

fn stream_at(dump: &mut File, offset: u64) -> io::Result<bool> {
    let mut magic = [0; 10];
    dump.seek(SeekFrom::Start(offset))?;
    Ok(match dump.read_exact(&mut magic) {
        Ok(()) => magic.starts_with(b"BZh") && magic[4..] == *b"\x31\x41\x59\x26\x53\x59",
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => return Err(error),
    })
}
