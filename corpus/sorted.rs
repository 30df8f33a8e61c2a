//! Fixed-width records, sorted in bounded memory, and files of them that are read by range.
//!
//! This is how a dedup compares a corpus that is never in memory: each task leaves a sorted file
//! of sketches, and whoever resolves a range of keys reads that range of every file.
//!
//! A file is `RPSORTED`, the record's width (u32), the number of records (u64), the records in
//! ascending order, then a sparse index: every `step`-th record, after `step` (u64) itself.
//! Numbers are little-endian; records compare as bytes.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::store::{Aside, Output, Store};
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"RPSORTED";
const HEADER: u64 = 8 + 4 + 8;
const INDEX_ENTRIES: u64 = 1024;
/// The most runs that are open at once; of more, some are merged into one first. With as many, a
/// sorter of 1 MB brings 64 MB together at once, and 4 GB in two rounds.
const OPEN_RUNS: usize = 64;

thread_local! {
    static SPILLED: Cell<u64> = const { Cell::new(0) };
}

/// Bytes that this thread has laid on disk since the last call because memory had no room for them.
pub fn take_spilled() -> u64 {
    SPILLED.take()
}

pub(crate) fn spilled(bytes: usize) {
    SPILLED.set(SPILLED.get() + bytes as u64);
}

/// Sorts records in at most `memory` bytes; what does not fit is spilled in sorted runs.
pub struct Sorter<'s, const N: usize> {
    store: &'s Store,
    records: Vec<[u8; N]>,
    capacity: usize,
    runs: Vec<Run>,
    count: u64,
}

/// Sorts records as bytes compare. The first sixteen, as a number, decide nearly always, and cost a
/// third of what comparing slices does.
fn sort<const N: usize>(records: &mut [[u8; N]]) {
    let number = |record: &[u8; N]| {
        let mut first = [0; 16];
        let length = N.min(16);
        first[..length].copy_from_slice(&record[..length]);
        u128::from_be_bytes(first)
    };
    records.sort_unstable_by(|one, other| number(one).cmp(&number(other)).then_with(|| one.cmp(other)));
}

struct Run(PathBuf);

impl Drop for Run {
    fn drop(&mut self) {
        // Best effort: scratch is swept later.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl<'s, const N: usize> Sorter<'s, N> {
    /// An empty sorter that spills into the store's scratch.
    pub fn new(store: &'s Store, memory: usize) -> Self {
        let capacity = (memory / N).max(1024);
        Sorter { store, records: Vec::new(), capacity, runs: Vec::new(), count: 0 }
    }

    /// Adds a record.
    pub fn push(&mut self, record: [u8; N]) -> Result<()> {
        if self.records.len() == self.capacity {
            self.spill()?;
        }
        // Doubling would take up to three times the memory while it copies.
        if self.records.len() == self.records.capacity() {
            let more = self.records.len().clamp(1024, 1 << 16).min(self.capacity - self.records.len());
            self.records.reserve_exact(more);
        }
        self.records.push(record);
        self.count += 1;
        Ok(())
    }

    /// How many records there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn spill(&mut self) -> Result<()> {
        sort(&mut self.records);
        spilled(self.records.len() * N);
        let path = self.store.scratch_path("run");
        let file = File::create_new(&path).map_err(Error::io("cannot create", &path))?;
        let run = Run(path);
        let mut to = BufWriter::with_capacity(1 << 16, file);
        for record in &self.records {
            to.write_all(record).map_err(Error::io("cannot write", &run.0))?;
        }
        to.flush().map_err(Error::io("cannot write", &run.0))?;
        self.records.clear();
        self.runs.push(run);
        Ok(())
    }

    /// Hands out the records in ascending order.
    pub fn sorted(mut self) -> Result<Merge<N>> {
        if !self.runs.is_empty() {
            self.spill()?;
            self.records = Vec::new();
        }
        sort(&mut self.records);
        while self.runs.len() > OPEN_RUNS {
            // As few as will do: what is merged now is read once more.
            let few = (self.runs.len() - OPEN_RUNS + 1).clamp(2, OPEN_RUNS);
            let rest = self.runs.split_off(few);
            let first = std::mem::replace(&mut self.runs, rest);
            let merged = self.merged(first)?;
            self.runs.push(merged);
        }
        let runs = std::mem::take(&mut self.runs);
        self.merge(runs)
    }

    fn merge(&mut self, runs: Vec<Run>) -> Result<Merge<N>> {
        let each = (self.capacity * N / (runs.len() + 1)).clamp(4 << 10, 256 << 10);
        let mut merge =
            Merge { memory: std::mem::take(&mut self.records).into_iter(), heap: BinaryHeap::new(), open: Vec::new() };
        for (index, run) in runs.into_iter().enumerate() {
            let file = File::open(&run.0).map_err(Error::io("cannot open", &run.0))?;
            merge.open.push((BufReader::with_capacity(each, file), run));
            merge.refill(index)?;
        }
        Ok(merge)
    }

    /// Several runs as one.
    fn merged(&mut self, runs: Vec<Run>) -> Result<Run> {
        let path = self.store.scratch_path("run");
        let file = File::create_new(&path).map_err(Error::io("cannot create", &path))?;
        let run = Run(path);
        let mut to = BufWriter::with_capacity(1 << 16, file);
        for record in self.merge(runs)? {
            to.write_all(&record?).map_err(Error::io("cannot write", &run.0))?;
        }
        to.flush().map_err(Error::io("cannot write", &run.0))?;
        Ok(run)
    }

    /// Writes the records, sorted, as a file under `name`.
    pub fn publish(self, name: &str) -> Result<Output> {
        let count = self.count;
        let mut file = SortedWriter::<N>::new(self.store.aside(name)?, count)?;
        for record in self.sorted()? {
            file.push(&record?)?;
        }
        file.publish()
    }
}

impl<const N: usize> Sorter<'_, N> {
    /// Writes the records, sorted and each once, as a file under `name`.
    pub fn publish_distinct(self, name: &str) -> Result<Output> {
        self.publish_last(name, N)
    }

    /// Writes, sorted, of all records that begin with the same bytes, so many of them, the last.
    pub fn publish_last(mut self, name: &str, beginning: usize) -> Result<Output> {
        let store = self.store;
        if self.runs.is_empty() {
            sort(&mut self.records);
            // The first of those that are alike stays: the last one, backwards.
            self.records.reverse();
            self.records.dedup_by(|a, b| a[..beginning] == b[..beginning]);
            self.count = self.records.len() as u64;
            return self.publish(name);
        }
        // A file begins with how many records it has: they are merged before it is written.
        let path = store.scratch_path("run");
        let file = File::create_new(&path).map_err(Error::io("cannot create", &path))?;
        let run = Run(path);
        let mut to = BufWriter::with_capacity(1 << 16, file);
        let mut last: Option<[u8; N]> = None;
        let mut count = 0;
        for record in self.sorted()?.map(|record| record.map(Some)).chain([Ok(None)]) {
            let record = record?;
            if let Some(last) = last
                && record.is_none_or(|record| record[..beginning] != last[..beginning])
            {
                to.write_all(&last).map_err(Error::io("cannot write", &run.0))?;
                count += 1;
            }
            last = record;
        }
        to.flush().map_err(Error::io("cannot write", &run.0))?;
        drop(to);
        let file = File::open(&run.0).map_err(Error::io("cannot open", &run.0))?;
        let mut from = BufReader::with_capacity(1 << 16, file);
        let mut file = SortedWriter::<N>::new(store.aside(name)?, count)?;
        while let Some(record) = read_record(&mut from, &run.0)? {
            file.push(&record)?;
        }
        file.publish()
    }
}

/// Records in ascending order, from memory or from several runs.
pub struct Merge<const N: usize> {
    memory: std::vec::IntoIter<[u8; N]>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
    open: Vec<(BufReader<File>, Run)>,
}

impl<const N: usize> Merge<N> {
    fn refill(&mut self, index: usize) -> Result<()> {
        let (reader, run) = &mut self.open[index];
        if let Some(record) = read_record(reader, &run.0)? {
            self.heap.push(Reverse((record, index)));
        }
        Ok(())
    }
}

impl<const N: usize> Iterator for Merge<N> {
    type Item = Result<[u8; N]>;

    fn next(&mut self) -> Option<Result<[u8; N]>> {
        if self.open.is_empty() {
            return self.memory.next().map(Ok);
        }
        let Reverse((record, index)) = self.heap.pop()?;
        Some(self.refill(index).map(|()| record))
    }
}

fn read_record<const N: usize>(reader: &mut impl Read, path: &Path) -> Result<Option<[u8; N]>> {
    let mut record = [0; N];
    let mut filled = 0;
    while filled < N {
        match reader.read(&mut record[filled..]).map_err(Error::io("cannot read", path))? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(Error::damaged(path, "ends inside a record")),
            read => filled += read,
        }
    }
    Ok(Some(record))
}

struct SortedWriter<const N: usize> {
    to: Aside,
    step: u64,
    written: u64,
    count: u64,
    index: Vec<u8>,
}

impl<const N: usize> SortedWriter<N> {
    fn new(mut to: Aside, count: u64) -> Result<Self> {
        let mut header = Vec::with_capacity(HEADER as usize);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&(N as u32).to_le_bytes());
        header.extend_from_slice(&count.to_le_bytes());
        let path = to.path().to_path_buf();
        to.write_all(&header).map_err(Error::io("cannot write", path))?;
        Ok(SortedWriter { to, step: count.div_ceil(INDEX_ENTRIES).max(1), written: 0, count, index: Vec::new() })
    }

    fn push(&mut self, record: &[u8; N]) -> Result<()> {
        if self.written.is_multiple_of(self.step) {
            self.index.extend_from_slice(record);
        }
        self.written += 1;
        self.to.write_all(record).map_err(|error| Error::io("cannot write", self.to.path())(error))
    }

    fn publish(mut self) -> Result<Output> {
        debug_assert_eq!(self.written, self.count);
        let path = self.to.path().to_path_buf();
        let index = [&self.step.to_le_bytes()[..], &self.index].concat();
        self.to.write_all(&index).map_err(Error::io("cannot write", path))?;
        self.to.publish()
    }
}

/// A published file of sorted records.
pub struct SortedFile<const N: usize> {
    path: PathBuf,
    file: File,
    count: u64,
    step: u64,
    index: Vec<[u8; N]>,
}

impl<const N: usize> SortedFile<N> {
    /// Opens a file and reads its sparse index.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("cannot open", path))?;
        let length = file.metadata().map_err(Error::io("cannot open", path))?.len();
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header).map_err(|_| Error::damaged(path, "too short for a sorted file"))?;
        let width = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let mut count = [0; 8];
        count.copy_from_slice(&header[12..]);
        let count = u64::from_le_bytes(count);
        let step = count.div_ceil(INDEX_ENTRIES).max(1);
        let entries = count.div_ceil(step);
        let whole = HEADER + count * N as u64 + 8 + entries * N as u64;
        if &header[..8] != MAGIC || width as usize != N || length != whole {
            return Err(Error::damaged(path, format!("not a whole file of sorted records of {N} bytes")));
        }
        file.seek(SeekFrom::Start(HEADER + count * N as u64 + 8)).map_err(Error::io("cannot read", path))?;
        let mut index = Vec::with_capacity(entries as usize);
        let mut reader = BufReader::new(&file);
        while let Some(record) = read_record(&mut reader, path)? {
            index.push(record);
        }
        drop(reader);
        Ok(SortedFile { path: path.to_path_buf(), file, count, step, index })
    }

    /// How many records it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The records from `from` on and below `below` (to the end if there is no such bound), read
    /// through a buffer of so many bytes.
    pub fn range(self, from: [u8; N], below: Option<[u8; N]>, buffer: usize) -> Result<SortedRange<N>> {
        let (start, end) = self.part(from);
        let mut file = self.file;
        file.seek(SeekFrom::Start(start)).map_err(Error::io("cannot read", &self.path))?;
        Ok(SortedRange::new(self.path, Part::Open(file.take(end - start)), from, below, buffer))
    }

    /// The same, of a file that is open only while the buffer is filled: of any number of these none is
    /// open between two records.
    pub fn closed_range(self, from: [u8; N], below: Option<[u8; N]>, buffer: usize) -> SortedRange<N> {
        let (at, end) = self.part(from);
        let part = Part::Closed { path: self.path.clone(), at, end };
        SortedRange::new(self.path, part, from, below, buffer)
    }

    /// Where records lie among which `from` is the first, or soon comes.
    fn part(&self, from: [u8; N]) -> (u64, u64) {
        // The last indexed record that is below `from` starts the block to look into.
        let block = self.index.partition_point(|record| *record < from).saturating_sub(1) as u64;
        (HEADER + block * self.step * N as u64, HEADER + self.count * N as u64)
    }
}

/// A part of a file.
enum Part {
    Open(std::io::Take<File>),
    Closed { path: PathBuf, at: u64, end: u64 },
}

impl Read for Part {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Part::Open(file) => file.read(into),
            Part::Closed { path, at, end } => {
                let wanted = into.len().min((*end - *at) as usize);
                if wanted == 0 {
                    return Ok(0);
                }
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*at))?;
                let read = file.read(&mut into[..wanted])?;
                *at += read as u64;
                Ok(read)
            }
        }
    }
}

/// The records of one range, in ascending order.
pub struct SortedRange<const N: usize> {
    path: PathBuf,
    reader: BufReader<Part>,
    from: [u8; N],
    below: Option<[u8; N]>,
    /// Whether records before `from` may still come.
    skipping: bool,
}

impl<const N: usize> SortedRange<N> {
    fn new(path: PathBuf, part: Part, from: [u8; N], below: Option<[u8; N]>, buffer: usize) -> Self {
        SortedRange { path, reader: BufReader::with_capacity(buffer, part), from, below, skipping: true }
    }
}

impl<const N: usize> Iterator for SortedRange<N> {
    type Item = Result<[u8; N]>;

    fn next(&mut self) -> Option<Result<[u8; N]>> {
        loop {
            let record = match read_record(&mut self.reader, &self.path) {
                Ok(record) => record?,
                Err(error) => return Some(Err(error)),
            };
            if self.skipping {
                if record < self.from {
                    continue;
                }
                self.skipping = false;
            }
            if self.below.is_some_and(|below| record >= below) {
                return None;
            }
            return Some(Ok(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_records_than_memory_come_out_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut sorter = Sorter::<4>::new(&store, 0);
        let all: Vec<u32> = (0..10_000u32).map(|n| n.wrapping_mul(2_654_435_761)).collect();
        for n in &all {
            sorter.push(n.to_be_bytes()).unwrap();
        }
        sorter.publish("between/s").unwrap();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let read = |from: u32, below: Option<u32>| -> Vec<u32> {
            let file = SortedFile::<4>::open(&store.path("between/s")).unwrap();
            let range = file.range(from.to_be_bytes(), below.map(u32::to_be_bytes), 100).unwrap();
            let all: Vec<u32> = range.map(|record| u32::from_be_bytes(record.unwrap())).collect();
            let file = SortedFile::<4>::open(&store.path("between/s")).unwrap();
            let closed = file.closed_range(from.to_be_bytes(), below.map(u32::to_be_bytes), 100);
            assert_eq!(closed.map(|record| u32::from_be_bytes(record.unwrap())).collect::<Vec<u32>>(), all);
            all
        };
        assert_eq!(read(0, None), sorted);
        let (low, high) = (sorted[1234], sorted[5678]);
        assert_eq!(read(low, Some(high)), sorted[1234..5678]);
        assert_eq!(read(low + 1, Some(high + 1)), sorted[1235..5679]);
        assert_eq!(read(u32::MAX, None), [0u32; 0]);
        assert_eq!(store.list(".aside").unwrap(), [""; 0]);
    }

    #[test]
    fn records_are_distinct_with_any_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut files = Vec::new();
        for memory in [0, 1 << 20] {
            let mut sorter = Sorter::<4>::new(&store, memory);
            for n in 0..10_000u32 {
                sorter.push((n.wrapping_mul(2_654_435_761) % 777).to_be_bytes()).unwrap();
            }
            sorter.publish_distinct("s").unwrap();
            assert_eq!(SortedFile::<4>::open(&store.path("s")).unwrap().count(), 777);
            files.push(store.read("s").unwrap());
            let mut sorter = Sorter::<4>::new(&store, memory);
            for n in 0..10_000u16 {
                let [a, b] = (n % 77).to_be_bytes();
                let [c, d] = (n % 7).to_be_bytes();
                sorter.push([a, b, c, d]).unwrap();
            }
            sorter.publish_last("l", 2).unwrap();
            let last = SortedFile::<4>::open(&store.path("l")).unwrap().range([0; 4], None, 100).unwrap();
            let last: Vec<[u8; 4]> = last.map(Result::unwrap).collect();
            // 77 is a multiple of 7: of each number one rest alone.
            assert!(last.len() == 77 && last.iter().all(|[_, b, _, d]| b % 7 == *d), "{last:?}");
        }
        assert!(files[0] == files[1]);
        assert_eq!(store.list(".aside").unwrap(), [""; 0]);
    }

    #[test]
    fn few_files_are_open_however_many_runs_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut sorter = Sorter::<4>::new(&store, 0);
        let all: Vec<u32> =
            (0..1024 * (OPEN_RUNS as u32 * 3 + 7)).map(|n| n.wrapping_mul(2_654_435_761) >> 3).collect();
        for n in &all {
            sorter.push(n.to_be_bytes()).unwrap();
        }
        let merge = sorter.sorted().unwrap();
        assert!(merge.open.len() <= OPEN_RUNS && merge.open.len() > 2, "{}", merge.open.len());
        let mut sorted = all;
        sorted.sort_unstable();
        let seen: Vec<u32> = merge.map(|record| u32::from_be_bytes(record.unwrap())).collect();
        assert!(seen == sorted);
        assert_eq!(store.list(".aside").unwrap(), [""; 0]);
    }

    #[test]
    fn a_cut_file_is_not_taken_for_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut sorter = Sorter::<4>::new(&store, 1 << 20);
        sorter.push([1; 4]).unwrap();
        sorter.publish("s").unwrap();
        let bytes = store.read("s").unwrap();
        std::fs::write(store.path("s"), &bytes[..bytes.len() - 1]).unwrap();
        assert!(SortedFile::<4>::open(&store.path("s")).is_err());
    }
}
