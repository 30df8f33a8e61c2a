//! Lists of numbers by rank, read at some of their ranks: the evidence of documents that a dedup
//! compares.
//!
//! A file is `RPLISTS1`, then for each list, in ascending order of keys, its key, how many numbers
//! it has (u32) and the numbers (u64); then a sparse index: keys with the places of their lists (u64);
//! then how many entries that has (u64), where it begins (u64), and `RPLISTS1` once more. Numbers are
//! little-endian; keys compare as bytes.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::store::{Aside, Output, Store};
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"RPLISTS1";
/// What lists are found by.
pub type ListKey = [u8; 12];
const HEAD: usize = 12 + 4;
const ENTRY: usize = 12 + 8;
const TAIL: u64 = 8 + 8 + 8;
/// The most entries of the index; as it fills up, every other one goes.
const ENTRIES: usize = 4096;

/// Writes lists in order.
pub struct ListsWriter {
    to: Aside,
    path: PathBuf,
    at: u64,
    count: u64,
    step: u64,
    index: Vec<(ListKey, u64)>,
}

impl ListsWriter {
    /// Starts a file aside, to be published under `name`.
    pub fn new(store: &Store, name: &str) -> Result<ListsWriter> {
        let mut to = store.aside(name)?;
        let path = to.path().to_path_buf();
        to.write_all(MAGIC).map_err(Error::io("cannot write", &path))?;
        Ok(ListsWriter { to, path, at: 8, count: 0, step: 1, index: Vec::new() })
    }

    /// Appends a list; its key is beyond the last one's.
    pub fn push(&mut self, key: ListKey, numbers: &[u64]) -> Result<()> {
        if self.count.is_multiple_of(self.step) {
            if self.index.len() == ENTRIES {
                let mut number = 0;
                self.index.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                self.step *= 2;
            }
            if self.count.is_multiple_of(self.step) {
                self.index.push((key, self.at));
            }
        }
        self.count += 1;
        self.at += (HEAD + 8 * numbers.len()) as u64;
        let mut write = |bytes: &[u8]| self.to.write_all(bytes).map_err(Error::io("cannot write", &self.path));
        write(&key)?;
        write(&(numbers.len() as u32).to_le_bytes())?;
        let mut bytes = [0; 4096];
        for some in numbers.chunks(512) {
            for (to, number) in bytes.chunks_exact_mut(8).zip(some) {
                to.copy_from_slice(&number.to_le_bytes());
            }
            write(&bytes[..8 * some.len()])?;
        }
        Ok(())
    }

    /// Ends the file and gives it its name.
    pub fn publish(mut self) -> Result<Output> {
        let mut tail = Vec::with_capacity(self.index.len() * ENTRY + TAIL as usize);
        for (key, at) in &self.index {
            tail.extend_from_slice(key);
            tail.extend_from_slice(&at.to_le_bytes());
        }
        tail.extend_from_slice(&(self.index.len() as u64).to_le_bytes());
        tail.extend_from_slice(&self.at.to_le_bytes());
        tail.extend_from_slice(MAGIC);
        self.to.write_all(&tail).map_err(Error::io("cannot write", &self.path))?;
        self.to.publish()
    }
}

/// Reads lists, best in ascending order of their keys.
pub struct Lists {
    path: PathBuf,
    from: BufReader<File>,
    index: Vec<(ListKey, u64)>,
    /// Where the index begins.
    end: u64,
    /// Where the next head is read.
    at: u64,
    /// Lists from this key on lie there or behind it; if the flag is set, those beyond it.
    ahead: (ListKey, bool),
}

impl Lists {
    /// Opens a file and reads its index.
    pub fn open(path: &Path) -> Result<Lists> {
        let damaged = || Error::damaged(path, "not a whole file of lists");
        let mut file = File::open(path).map_err(Error::io("cannot open", path))?;
        let length = file.metadata().map_err(Error::io("cannot open", path))?.len();
        let mut tail = [0; TAIL as usize];
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(|_| damaged())?;
        let from = length.checked_sub(TAIL).ok_or_else(damaged)?;
        file.seek(SeekFrom::Start(from)).map_err(Error::io("cannot read", path))?;
        file.read_exact(&mut tail).map_err(Error::io("cannot read", path))?;
        let (entries, end) = (number(&tail[..8]), number(&tail[8..16]));
        let whole = end.checked_add(entries.saturating_mul(ENTRY as u64)) == Some(from);
        if &magic != MAGIC || &tail[16..] != MAGIC || !whole || entries > ENTRIES as u64 {
            return Err(damaged());
        }
        file.seek(SeekFrom::Start(end)).map_err(Error::io("cannot read", path))?;
        let mut bytes = vec![0; entries as usize * ENTRY];
        file.read_exact(&mut bytes).map_err(Error::io("cannot read", path))?;
        let index = bytes.chunks_exact(ENTRY).map(|entry| (key(entry), number(&entry[12..]))).collect();
        file.seek(SeekFrom::Start(8)).map_err(Error::io("cannot read", path))?;
        let from = BufReader::with_capacity(64 << 10, file);
        Ok(Lists { path: path.to_path_buf(), from, index, end, at: 8, ahead: Default::default() })
    }

    /// The list of a key; says whether there is one.
    pub fn read(&mut self, wanted: ListKey, numbers: &mut Vec<u64>) -> Result<bool> {
        numbers.clear();
        let near = self.index.partition_point(|(key, _)| *key <= wanted).checked_sub(1);
        let Some(&(key_there, place)) = near.and_then(|at| self.index.get(at)) else { return Ok(false) };
        // From where the last one was read, unless it lies behind or the index knows a nearer place.
        if place > self.at || (wanted, false) < self.ahead {
            self.skip_to(place)?;
            self.ahead = (key_there, false);
        }
        while self.at < self.end {
            let mut head = [0; HEAD];
            self.from.read_exact(&mut head).map_err(Error::io("cannot read", &self.path))?;
            self.at += HEAD as u64;
            let found = key(&head);
            let length = 8 * u64::from(u32::from_le_bytes([head[12], head[13], head[14], head[15]]));
            if self.at + length > self.end {
                return Err(Error::damaged(&self.path, "a list goes beyond its end"));
            }
            if found > wanted {
                self.skip_to(self.at - HEAD as u64)?;
                return Ok(false);
            }
            self.ahead = (found, true);
            if found < wanted {
                self.skip_to(self.at + length)?;
                continue;
            }
            self.at += length;
            let mut left = length as usize / 8;
            numbers.reserve_exact(left);
            let mut bytes = [0; 4096];
            while left > 0 {
                let some = &mut bytes[..8 * left.min(512)];
                self.from.read_exact(some).map_err(Error::io("cannot read", &self.path))?;
                numbers.extend(some.chunks_exact(8).map(number));
                left -= some.len() / 8;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// What is buffered stays so, if it is not far.
    fn skip_to(&mut self, place: u64) -> Result<()> {
        let by = place as i64 - self.at as i64;
        self.from.seek_relative(by).map_err(Error::io("cannot read", &self.path))?;
        self.at = place;
        Ok(())
    }
}

fn key(bytes: &[u8]) -> ListKey {
    let mut key = ListKey::default();
    key.copy_from_slice(&bytes[..12]);
    key
}

fn number(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(number: u32) -> ListKey {
        let mut key = ListKey::default();
        key[8..].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn lists_are_found_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut writer = ListsWriter::new(&store, "between/l").unwrap();
        let list = |number: u32| (0..u64::from(number % 23) * 61).map(|n| n ^ u64::from(number)).collect::<Vec<u64>>();
        // More than the index has entries; every third number is missing.
        let has = |number: u32| number % 3 != 1;
        for number in (0..20_000).filter(|number| has(*number)) {
            writer.push(key_of(number), &list(number % 50)).unwrap();
        }
        writer.publish().unwrap();
        let mut lists = Lists::open(&store.path("between/l")).unwrap();
        let mut found = Vec::new();
        let mut check = |number: u32| {
            assert_eq!(lists.read(key_of(number), &mut found).unwrap(), number < 20_000 && has(number), "{number}");
            let expected = if number < 20_000 && has(number) { list(number % 50) } else { Vec::new() };
            assert!(found == expected, "{number}");
        };
        (0..20_100).step_by(7).for_each(&mut check);
        (0..500u32).map(|number| number.wrapping_mul(2_654_435_761) % 20_010).for_each(&mut check);
        [5, 5, 5, 4, 3, 20_001, 0, 0, 1, 0, 2].into_iter().for_each(&mut check);
    }

    #[test]
    fn none_and_a_cut_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        ListsWriter::new(&store, "l").unwrap().publish().unwrap();
        let mut found = vec![1];
        assert!(!Lists::open(&store.path("l")).unwrap().read(key_of(1), &mut found).unwrap() && found.is_empty());
        let bytes = store.read("l").unwrap();
        std::fs::write(store.path("l"), &bytes[..bytes.len() - 1]).unwrap();
        assert!(Lists::open(&store.path("l")).is_err());
    }
}
