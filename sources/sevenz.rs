//! 7z archives, member by member, each as a stream.
//!
//! The crate `sevenz-rust2` reads headers and decodes; names, sizes and bounds are looked at here
//! first, because a header of a few kilobytes can ask for gigabytes of entries.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use corpus::{Error, RawFile, Reason};
use sevenz_rust2::{Archive, ArchiveEntry, BlockDecoder, Password};

use crate::raw::Damage;
use crate::{Raw, Result};

/// Bytes of a header, decoded: names of some ten thousand members.
const LONGEST_HEADER: u64 = 1 << 20;

/// KiB that one decoder may take: `7zz -mx=9` uses a dictionary of 256 MiB.
const MEMORY: usize = 272 << 10;

/// Bytes that are read from the disk at once.
const BLOCK: usize = 256 << 10;

/// Coders that a header may be packed with, one behind the other.
const MOST_CODERS: u64 = 8;

const FIXED: u64 = 32;
const HEADER: u8 = 0x01;
const ENCODED_HEADER: u8 = 0x17;

/// One member of an archive: reading gives its content. Where the archive is broken, reading ends as
/// at the end of a file, and [`Member::damage`] says how.
pub(crate) struct Member<'m> {
    /// Its path inside the archive.
    pub name: &'m str,
    /// Bytes that it has, as the archive says.
    #[allow(dead_code)]
    pub size: u64,
    from: &'m mut dyn Read,
    failed: &'m Cell<bool>,
    damage: Option<Damage>,
}

impl Member<'_> {
    /// How it is damaged, as far as it was read.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }
}

impl Read for Member<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.damage.is_some() {
            return Ok(0);
        }
        match crate::cost::decoding(|| self.from.read(into)) {
            Err(error) if !self.failed.get() => {
                self.damage = Some(broken(self.name, error));
                Ok(0)
            }
            read => read,
        }
    }
}

/// The file itself. Decoders hide where an error came from, so it is noted here.
struct Tap<F> {
    file: F,
    failed: Rc<Cell<bool>>,
}

impl<F: Read> Read for Tap<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into);
        match &read {
            Ok(bytes) => crate::cost::saw_raw_bytes(*bytes),
            Err(error) => self.failed.set(self.failed.get() || error.kind() != io::ErrorKind::Interrupted),
        }
        read
    }
}

impl<F: Seek> Seek for Tap<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Visits the members of an archive that `wanted` names, in the archive's order, and says what is
/// damaged. A member that nobody wants is decoded only where a later one depends on it.
pub(crate) fn read(
    raw: &mut Raw,
    file: &RawFile,
    wanted: impl Fn(&str) -> bool,
    visit: &mut dyn FnMut(&mut Member<'_>) -> Result<()>,
) -> Result<Vec<Damage>> {
    members(raw.at_random(file)?, &file.path, wanted, visit)
}

/// [`read`], of an archive that may lie in memory.
pub(crate) fn members(
    mut file: impl Read + Seek,
    path: &Path,
    wanted: impl Fn(&str) -> bool,
    visit: &mut dyn FnMut(&mut Member<'_>) -> Result<()>,
) -> Result<Vec<Damage>> {
    let world = |error| Error::io("cannot read", path)(error);
    let archive = match header(&mut file).map_err(world)? {
        Ok(archive) => archive,
        Err(damage) => return Ok(vec![damage]),
    };
    let failed = Rc::new(Cell::new(false));
    let mut file = BufReader::with_capacity(BLOCK, Tap { file, failed: failed.clone() });
    let blocks = &archive.stream_map.file_block_index;
    let is_wanted = |entry: &ArchiveEntry| !entry.is_directory && !entry.is_anti_item && wanted(&entry.name);
    let mut damages = Vec::new();
    let mut done = None;
    for (index, entry) in archive.files.iter().enumerate() {
        let block = blocks.get(index).copied().flatten();
        if !is_wanted(entry) || (block.is_some() && block == done) {
            continue;
        }
        let Some(block) = block else {
            visit(&mut Member { name: &entry.name, size: 0, from: &mut io::empty(), failed: &failed, damage: None })?;
            continue;
        };
        done = Some(block);
        // Members of one block were compressed together.
        let in_block = blocks.iter().zip(&archive.files).filter(|(of, _)| **of == Some(block));
        let mut left = in_block.filter(|(_, entry)| is_wanted(entry)).count();
        let (mut damage, mut stopped, mut at) = (None, None, String::new());
        let password = Password::empty();
        let decoder = BlockDecoder::new_with_memory_limit(1, MEMORY, block, &archive, &password, &mut file);
        let ended = decoder.for_each_entries(&mut |entry, from| {
            at.clone_from(&entry.name);
            if !is_wanted(entry) {
                let passed = crate::cost::decoding(|| io::copy(from, &mut io::sink()));
                return passed.map(|_| true).map_err(sevenz_rust2::Error::from);
            }
            left -= 1;
            let mut member = Member { name: &entry.name, size: entry.size, from, failed: &failed, damage: None };
            stopped = visit(&mut member).err();
            damage = member.damage;
            Ok(left > 0 && stopped.is_none() && damage.is_none())
        });
        if let Some(error) = stopped {
            return Err(error);
        }
        if failed.get() {
            let said = ended.err().map_or_else(String::new, |error| error.to_string());
            return Err(world(io::Error::other(said)).into());
        }
        damages.extend(damage.or_else(|| ended.err().map(|error| fault(&at, error))));
    }
    Ok(damages)
}

/// What of an archive or of a member is broken.
fn broken(name: &str, what: impl ToString) -> Damage {
    let what = what.to_string();
    let detail = if name.is_empty() { what } else { format!("{name}: {what}") };
    Damage { reason: Reason("bad_7z"), detail }
}

fn fault(name: &str, error: sevenz_rust2::Error) -> Damage {
    use sevenz_rust2::Error as Said;
    let foreign = |detail: String| Damage { reason: Reason("unknown_format"), detail };
    match error {
        Said::PasswordRequired | Said::MaybeBadPassword(_) => foreign("an encrypted 7z archive".into()),
        Said::UnsupportedCompressionMethod(method) if method.starts_with("AES") => {
            foreign("an encrypted 7z archive".into())
        }
        Said::UnsupportedCompressionMethod(method) => foreign(format!("a 7z archive compressed with {method}")),
        Said::MaxMemLimited { actaul_kb, .. } => {
            broken(name, format!("decoding takes {} MiB of memory, more than {}", actaul_kb >> 10, MEMORY >> 10))
        }
        Said::Io(error, _) => broken(name, error),
        error => broken(name, error),
    }
}

/// Reads the names and places of all members, or says how they are damaged.
fn header(file: &mut (impl Read + Seek)) -> io::Result<Result<Archive, Damage>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let cut = |detail: &str| Ok(Err(Damage { reason: Reason("truncated_7z"), detail: detail.to_owned() }));
    let bad = |what: &str| Ok(Err(broken("", what)));
    let long = |size: u64| Ok(Err(broken("", format!("a header of {size} bytes"))));
    if length < FIXED {
        return cut("the archive ends inside its first 32 bytes");
    }
    let mut fixed = [0; FIXED as usize];
    file.read_exact(&mut fixed)?;
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&fixed[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let (offset, size) = (number(12), number(20));
    if fixed[8..].iter().all(|byte| *byte == 0) {
        return cut("the archive was never finished: where its header is, it does not say");
    }
    let mut sum = flate2::Crc::new();
    sum.update(&fixed[12..]);
    if fixed[8..12] != sum.sum().to_le_bytes() {
        return bad("the checksum of the first 32 bytes does not match");
    }
    let end = offset.checked_add(size).and_then(|end| end.checked_add(FIXED));
    // Its header stands at the end: without it nothing can be read.
    if end.is_none_or(|end| end > length) {
        return cut("the archive ends before its header");
    }
    if size > LONGEST_HEADER {
        return long(size);
    }
    let mut packed = vec![0; size as usize];
    file.seek(SeekFrom::Start(FIXED + offset))?;
    file.read_exact(&mut packed)?;
    match packed.first() {
        // An archive without members has no header at all.
        None => return Ok(Ok(Archive::default())),
        Some(&HEADER) => {}
        Some(&ENCODED_HEADER) => match unpacked_size(&packed[1..]) {
            Some(size) if size <= LONGEST_HEADER => {}
            Some(size) => return long(size),
            None => return bad("a header that does not say how it is packed"),
        },
        Some(_) => return bad("no header where it should be"),
    }
    let read = Archive::read_with_memory_limit(file, &Password::empty(), MEMORY);
    Ok(read.map_err(|error| fault("", error)))
}

/// The bytes that a packed header has when it is decoded: the most that any of its coders gives.
/// Packed headers are one stream through a chain of coders.
fn unpacked_size(packed: &[u8]) -> Option<u64> {
    let mut from = Fields(packed);
    from.exactly(0x06)?;
    from.number()?;
    (from.number()? == 1).then_some(())?;
    from.exactly(0x09)?;
    from.number()?;
    let mut next = from.byte()?;
    if next == 0x0a {
        let all = from.byte()?;
        let defined = if all == 0 { from.byte()? & 0x80 != 0 } else { true };
        from.skip(if defined { 4 } else { 0 })?;
        next = from.byte()?;
    }
    (next == 0).then_some(())?;
    for expected in [0x07, 0x0b, 1, 0] {
        from.exactly(expected)?;
    }
    let coders = from.number()?;
    (1..=MOST_CODERS).contains(&coders).then_some(())?;
    for _ in 0..coders {
        let flags = from.byte()?;
        // Neither several streams nor alternatives.
        (flags & 0x90 == 0).then_some(())?;
        from.skip(u64::from(flags & 0x0f))?;
        if flags & 0x20 != 0 {
            let properties = from.number()?;
            from.skip(properties)?;
        }
    }
    for _ in 1..coders {
        from.number()?;
        from.number()?;
    }
    from.exactly(0x0c)?;
    let mut largest = 0;
    for _ in 0..coders {
        largest = largest.max(from.number()?);
    }
    Some(largest)
}

/// The fields of a header.
struct Fields<'h>(&'h [u8]);

impl Fields<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn exactly(&mut self, expected: u8) -> Option<()> {
        (self.byte()? == expected).then_some(())
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    /// A number of one to nine bytes: the ones that lead the first byte say how many follow it.
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        let follow = first.leading_ones();
        let mut number = 0;
        for at in 0..follow {
            number |= u64::from(self.byte()?) << (8 * at);
        }
        let high = if follow >= 7 { 0 } else { u64::from(first & (0x7f >> follow)) };
        Some(number | high.checked_shl(8 * follow).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use sevenz_rust2::encoder_options::Lzma2Options;
    use sevenz_rust2::{ArchiveWriter, EncoderConfiguration};

    use super::*;

    type Contents = Vec<(String, Vec<u8>)>;

    /// What wanted members hold, and the reasons of what is damaged.
    fn open(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> (Contents, Vec<String>) {
        let mut contents = Vec::new();
        let damages = members(Cursor::new(bytes), Path::new("a.7z"), wanted, &mut |member| {
            let mut content = Vec::new();
            member.read_to_end(&mut content).unwrap();
            contents.push((member.name.to_owned(), content));
            Ok(())
        });
        let damages = damages.unwrap();
        (contents, damages.iter().map(|damage| format!("{}: {}", damage.reason, damage.detail)).collect())
    }

    fn xml(number: usize) -> (String, Vec<u8>) {
        (format!("{number}.xml"), format!("<row Id=\"{number}\" />\n").repeat(500 * number).into_bytes())
    }

    /// Five members: two blocks of two that were compressed together, and one alone.
    fn archive() -> (Contents, Vec<u8>) {
        let contents: Contents = (1..=5).map(xml).collect();
        let mut writer = ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
        let options = Lzma2Options::from_level(1);
        writer.set_content_methods(vec![
            EncoderConfiguration::new(sevenz_rust2::EncoderMethod::LZMA2).with_options(options.into()),
        ]);
        for some in contents.chunks(2) {
            let entries = some.iter().map(|(name, _)| ArchiveEntry::new_file(name)).collect();
            let from = some.iter().map(|(_, content)| content.as_slice().into()).collect();
            writer.push_archive_entries::<&[u8]>(entries, from).unwrap();
        }
        (contents, writer.finish().unwrap().into_inner())
    }

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/sevenz");
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn members_come_in_order_and_only_those_that_are_wanted() {
        let (contents, bytes) = archive();
        assert_eq!(open(&bytes, |_| true), (contents.clone(), Vec::new()));
        for at in 0..5 {
            let (seen, damages) = open(&bytes, |name| name == contents[at].0);
            assert_eq!((seen.as_slice(), damages.len()), (&contents[at..=at], 0));
        }
        assert_eq!(open(&bytes, |_| false), (Vec::new(), Vec::new()));
    }

    #[test]
    fn every_usual_compression_is_read() {
        for name in ["bzip2.7z", "lzma.7z", "lzma2_bcj.7z", "copy.7z"] {
            let (contents, damages) = open(&fixture(name), |_| true);
            let names: Vec<(&str, usize)> = contents.iter().map(|(name, all)| (name.as_str(), all.len())).collect();
            assert_eq!(names, [("empty.xml", 0), ("Posts.xml", 204), ("Users.xml", 91)], "{name}: {damages:?}");
            assert_eq!(damages, [""; 0], "{name}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_said() {
        let said = |name| open(&fixture(name), |name| name == "Posts.xml");
        let encrypted = "unknown_format: an encrypted 7z archive";
        assert_eq!(said("encrypted.7z"), (Vec::new(), vec![encrypted.to_owned()]));
        assert_eq!(said("encrypted_header.7z"), (Vec::new(), vec![encrypted.to_owned()]));
        assert_eq!(said("ppmd.7z"), (Vec::new(), vec!["unknown_format: a 7z archive compressed with PPMD".to_owned()]));
    }

    #[test]
    fn members_before_damage_and_in_other_blocks_are_read() {
        let (contents, bytes) = archive();
        let mut broken = bytes.clone();
        // In the first of three packed streams, behind the fixed header.
        broken[60..70].fill(0xff);
        let (seen, damages) = open(&broken, |_| true);
        assert_eq!(damages.len(), 1);
        assert!(damages[0].starts_with("bad_7z: 1.xml: "), "{damages:?}");
        assert_eq!(seen[seen.len() - 3..], contents[2..]);
    }

    #[test]
    fn a_cut_archive_has_no_header() {
        let (_, bytes) = archive();
        for cut in [0, 5, 31, 32, 100, bytes.len() - 1] {
            let (seen, damages) = open(&bytes[..cut], |_| true);
            assert!(seen.is_empty() && damages[0].starts_with("truncated_7z: "), "{cut}: {damages:?}");
        }
        let mut never_finished = bytes;
        never_finished[8..32].fill(0);
        assert!(open(&never_finished, |_| true).1[0].contains("never finished"));
    }

    #[test]
    fn any_flipped_byte_is_survived() {
        let (_, ours) = archive();
        for bytes in [ours, fixture("bzip2.7z"), fixture("lzma.7z"), fixture("lzma2_bcj.7z"), fixture("copy.7z")] {
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                open(&flipped, |_| true);
                flipped[at] = 0xff;
                open(&flipped, |_| true);
            }
        }
    }

    /// A header that unpacks to a terabyte, of entries that take a hundred bytes each.
    #[test]
    fn a_header_that_is_a_bomb_is_not_unpacked() {
        let mut packed = vec![ENCODED_HEADER, 0x06, 0, 1, 0x09, 20, 0, 0x07, 0x0b, 1, 0, 1, 0x21, 0x21, 1, 0x18, 0x0c];
        packed.extend_from_slice(&[0xfc, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(unpacked_size(&packed[1..]), Some(1 << 32));
        let mut rest = Vec::new();
        rest.extend_from_slice(&20u64.to_le_bytes());
        rest.extend_from_slice(&(packed.len() as u64).to_le_bytes());
        let mut sum = flate2::Crc::new();
        sum.update(&packed);
        rest.extend_from_slice(&sum.sum().to_le_bytes());
        let mut sum = flate2::Crc::new();
        sum.update(&rest);
        let mut bytes = b"7z\xbc\xaf\x27\x1c\0\x04".to_vec();
        bytes.write_all(&sum.sum().to_le_bytes()).unwrap();
        bytes.extend_from_slice(&rest);
        bytes.extend_from_slice(&[0; 20]);
        bytes.extend_from_slice(&packed);
        assert_eq!(open(&bytes, |_| true).1, ["bad_7z: a header of 4294967296 bytes"]);
    }

    #[test]
    fn numbers_are_read_as_7zip_writes_them() {
        let number = |bytes: &[u8]| Fields(bytes).number();
        assert_eq!(number(&[0x7f]), Some(127));
        assert_eq!(number(&[0x81, 0x8c]), Some(396));
        assert_eq!(number(&[0xc2, 0x40, 0x72]), Some(0x0002_7240));
        assert_eq!(number(&[0xff, 1, 0, 0, 0, 0, 0, 0, 1]), Some((1 << 56) + 1));
        assert_eq!(number(&[0xc0, 1]), None);
    }
}
