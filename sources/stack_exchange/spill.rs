//! Rows of any length, sorted in bounded memory: what does not fit is written to scratch in sorted
//! runs, and merged when it is read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use corpus::{Error, Result};

/// What rows are sorted by: a group, and a place in it. No two rows have the same.
pub type Key = (u64, u64);

/// Runs that are read at once: each is an open file with a buffer.
const MOST_RUNS: usize = 256;

/// Bytes of a run that are read or written at once.
const BUFFER: usize = 64 << 10;

/// Bytes that a row takes beside its own: see [`Row`].
const BESIDE: usize = 32;

/// A folder of our own, below the one that was given; it goes when this goes.
pub struct Scratch {
    folder: PathBuf,
    files: AtomicU64,
}

impl Scratch {
    pub fn new(within: &Path) -> Result<Scratch> {
        // Two sources of one process may be given the same folder.
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = within.join(format!("stack_exchange-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).map_err(Error::io("cannot create folder", &folder))?;
        Ok(Scratch { folder, files: AtomicU64::new(0) })
    }

    /// A new file and its path.
    pub fn create(&self) -> Result<(File, PathBuf)> {
        let path = self.folder.join(self.files.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        Ok((file.map_err(Error::io("cannot create", &path))?, path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: scratch is swept later.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A row in memory: where it stands among all bytes.
pub struct Row {
    key: Key,
    start: usize,
    length: usize,
}

/// Sorts rows in some `memory` bytes.
pub struct Sorter<'s> {
    scratch: &'s Scratch,
    memory: usize,
    rows: Vec<Row>,
    bytes: Vec<u8>,
    runs: Vec<PathBuf>,
    pub count: u64,
}

impl<'s> Sorter<'s> {
    pub fn new(scratch: &'s Scratch, memory: usize) -> Sorter<'s> {
        Sorter { scratch, memory, rows: Vec::new(), bytes: Vec::new(), runs: Vec::new(), count: 0 }
    }

    pub fn push(&mut self, key: Key, row: &[u8]) -> Result<()> {
        let more = self.bytes.len() + row.len() + (self.rows.len() + 1) * BESIDE;
        if more > self.memory && !self.rows.is_empty() {
            self.spill()?;
        }
        if self.bytes.len() + row.len() > self.bytes.capacity() {
            // Doubling would take up to three times the memory while it copies.
            self.bytes.reserve_exact(row.len().max((self.memory / 8).min(8 << 20)));
        }
        self.rows.push(Row { key, start: self.bytes.len(), length: row.len() });
        self.bytes.extend_from_slice(row);
        self.count += 1;
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        self.rows.sort_unstable_by_key(|row| row.key);
        let mut run = RunWriter::new(self.scratch)?;
        for row in &self.rows {
            run.push(row.key, &self.bytes[row.start..row.start + row.length])?;
        }
        self.runs.push(run.finish()?);
        self.rows.clear();
        self.bytes.clear();
        if self.runs.len() == MOST_RUNS {
            let mut merge = Merge::of_runs(std::mem::take(&mut self.runs))?;
            let mut run = RunWriter::new(self.scratch)?;
            let mut row = Vec::new();
            while let Some(key) = merge.next(&mut row)? {
                run.push(key, &row)?;
            }
            self.runs.push(run.finish()?);
        }
        Ok(())
    }

    /// Hands out the rows in the order of their keys.
    pub fn sorted(mut self) -> Result<Merge> {
        if self.runs.is_empty() {
            self.rows.sort_unstable_by_key(|row| row.key);
            return Ok(Merge::Memory { rows: self.rows.into_iter(), bytes: self.bytes });
        }
        if !self.rows.is_empty() {
            self.spill()?;
        }
        drop((self.rows, self.bytes));
        Merge::of_runs(self.runs)
    }
}

/// Rows in order, from memory or from runs.
pub enum Merge {
    Memory { rows: std::vec::IntoIter<Row>, bytes: Vec<u8> },
    Runs { heads: BinaryHeap<Reverse<(Key, usize)>>, runs: Vec<Run> },
}

impl Merge {
    fn of_runs(paths: Vec<PathBuf>) -> Result<Merge> {
        let mut runs = Vec::new();
        let mut heads = BinaryHeap::new();
        for (index, path) in paths.into_iter().enumerate() {
            let file = File::open(&path).map_err(Error::io("cannot open", &path))?;
            let mut run = Run { from: BufReader::with_capacity(BUFFER, file), path, length: 0 };
            heads.extend(run.head()?.map(|key| Reverse((key, index))));
            runs.push(run);
        }
        Ok(Merge::Runs { heads, runs })
    }

    /// The next row, and its key.
    pub fn next(&mut self, into: &mut Vec<u8>) -> Result<Option<Key>> {
        into.clear();
        match self {
            Merge::Memory { rows, bytes } => {
                let Some(row) = rows.next() else { return Ok(None) };
                into.extend_from_slice(&bytes[row.start..row.start + row.length]);
                Ok(Some(row.key))
            }
            Merge::Runs { heads, runs } => {
                let Some(Reverse((key, index))) = heads.pop() else { return Ok(None) };
                let run = &mut runs[index];
                run.row(into)?;
                heads.extend(run.head()?.map(|key| Reverse((key, index))));
                Ok(Some(key))
            }
        }
    }
}

/// A run that is being written: of each row the key, the length and the bytes.
struct RunWriter {
    to: BufWriter<File>,
    path: PathBuf,
}

impl RunWriter {
    fn new(scratch: &Scratch) -> Result<RunWriter> {
        let (file, path) = scratch.create()?;
        Ok(RunWriter { to: BufWriter::with_capacity(BUFFER, file), path })
    }

    fn push(&mut self, key: Key, row: &[u8]) -> Result<()> {
        let mut head = [0; 24];
        for (place, number) in head.chunks_exact_mut(8).zip([key.0, key.1, row.len() as u64]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let written = self.to.write_all(&head).and_then(|()| self.to.write_all(row));
        written.map_err(Error::io("cannot write", &self.path))
    }

    fn finish(mut self) -> Result<PathBuf> {
        self.to.flush().map_err(Error::io("cannot write", &self.path))?;
        Ok(self.path)
    }
}

/// A run that is being read.
pub struct Run {
    from: BufReader<File>,
    path: PathBuf,
    /// Bytes of the row whose key was read last.
    length: u64,
}

impl Run {
    fn head(&mut self) -> Result<Option<Key>> {
        let mut head = Vec::with_capacity(24);
        let read = (&mut self.from).take(24).read_to_end(&mut head);
        match read.map_err(Error::io("cannot read", &self.path))? {
            0 => Ok(None),
            24 => {
                let number = |at: usize| {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(&head[at..at + 8]);
                    u64::from_le_bytes(bytes)
                };
                self.length = number(16);
                Ok(Some((number(0), number(8))))
            }
            _ => Err(Error::damaged(&self.path, "ends inside a row")),
        }
    }

    fn row(&mut self, into: &mut Vec<u8>) -> Result<()> {
        let read = (&mut self.from).take(self.length).read_to_end(into);
        let read = read.map_err(Error::io("cannot read", &self.path))?;
        if read as u64 == self.length { Ok(()) } else { Err(Error::damaged(&self.path, "ends inside a row")) }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Entries of a file of names that are read at once, at least.
const STEP: u64 = 16;

/// Names by number, in a file of scratch with a small index in memory.
pub struct Names {
    file: File,
    path: PathBuf,
    /// The first number of each block, and where it begins.
    index: Vec<(u64, u64)>,
    end: u64,
    block: Vec<u8>,
    loaded: Option<usize>,
}

impl Names {
    /// Of several names of one number, the first counts.
    pub fn new(sorter: Sorter<'_>) -> Result<Names> {
        let step = (sorter.count / (1 << 16)).max(STEP);
        let (file, path) = sorter.scratch.create()?;
        let mut to = BufWriter::with_capacity(BUFFER, &file);
        let (mut index, mut end, mut row, mut number) = (Vec::new(), 0, Vec::new(), 0);
        let mut merge = sorter.sorted()?;
        while let Some((id, _)) = merge.next(&mut row)? {
            if number % step == 0 {
                index.push((id, end));
            }
            number += 1;
            let length = row.len() as u64;
            let parts: [&[u8]; 3] = [&id.to_le_bytes(), &length.to_le_bytes(), &row];
            for part in parts {
                to.write_all(part).map_err(Error::io("cannot write", &path))?;
                end += part.len() as u64;
            }
        }
        to.flush().map_err(Error::io("cannot write", &path))?;
        drop(to);
        Ok(Names { file, path, index, end, block: Vec::new(), loaded: None })
    }

    /// The name of a number.
    pub fn get(&mut self, id: u64) -> Result<Option<&str>> {
        // The last block that begins below the number: one number may go on from block to block.
        let at = self.index.partition_point(|(first, _)| *first < id);
        let exact = self.index.get(at).is_some_and(|(first, _)| *first == id);
        let Some(at) = (if exact { Some(at) } else { at.checked_sub(1) }) else { return Ok(None) };
        if self.loaded != Some(at) {
            self.load(at).map_err(Error::io("cannot read", &self.path))?;
            self.loaded = Some(at);
        }
        let mut rest = self.block.as_slice();
        let number = |bytes: &[u8]| {
            let mut number = [0; 8];
            number.copy_from_slice(bytes);
            u64::from_le_bytes(number)
        };
        while rest.len() >= 16 {
            let (known, length) = (number(&rest[..8]), number(&rest[8..16]) as usize);
            let Some(name) = rest.get(16..16 + length) else { break };
            if known == id {
                return Ok(std::str::from_utf8(name).ok());
            }
            rest = &rest[16 + length..];
        }
        Ok(None)
    }

    fn load(&mut self, at: usize) -> io::Result<()> {
        use std::io::{Seek, SeekFrom};
        let start = self.index[at].1;
        let end = self.index.get(at + 1).map_or(self.end, |(_, start)| *start);
        self.block.clear();
        self.file.seek(SeekFrom::Start(start))?;
        (&self.file).take(end - start).read_to_end(&mut self.block)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<(Key, Vec<u8>)> {
        let key = |number: u64| (number.wrapping_mul(2_654_435_761) % 97, number);
        (0..3000).map(|number| (key(number), vec![b'x'; (number % 50) as usize])).collect()
    }

    #[test]
    fn the_same_order_with_one_run_or_a_thousand() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        let mut sorted = rows();
        sorted.sort();
        for memory in [0, 100, 5000, 1 << 20] {
            let mut sorter = Sorter::new(&scratch, memory);
            for (key, row) in rows() {
                sorter.push(key, &row).unwrap();
                assert!(sorter.bytes.len() + sorter.rows.len() * BESIDE <= memory.max(50 + BESIDE));
            }
            let mut merge = sorter.sorted().unwrap();
            let mut seen = Vec::new();
            let mut row = Vec::new();
            while let Some(key) = merge.next(&mut row).unwrap() {
                seen.push((key, row.clone()));
            }
            assert!(seen == sorted, "{memory}");
            drop(merge);
            assert_eq!(fs::read_dir(&scratch.folder).unwrap().count(), 0);
        }
        drop(scratch);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_are_found_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        let mut sorter = Sorter::new(&scratch, 500);
        for number in (1..1000u64).rev() {
            sorter.push((3 * number, 0), format!("name {number}").as_bytes()).unwrap();
        }
        let mut names = Names::new(sorter).unwrap();
        for number in [1, 2, 15, 16, 17, 500, 999] {
            assert_eq!(names.get(3 * number).unwrap(), Some(format!("name {number}").as_str()));
            assert_eq!(names.get(3 * number + 1).unwrap(), None);
        }
        assert_eq!(names.get(0).unwrap(), None);
        assert_eq!(names.get(u64::MAX).unwrap(), None);
    }
}
