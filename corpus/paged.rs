//! Numbers by place, as many as there are documents: in memory if they fit, otherwise in a file of
//! which some pages are held.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::store::Store;
use crate::{Error, Result};

/// Numbers of a page: 4 KiB.
const PAGE: usize = 512;
const BYTES: usize = 8 * PAGE;
/// A place of the cache that holds no page.
const NONE: u64 = u64::MAX;

/// Numbers of 64 bits, all 0 at first.
pub struct Paged(Kind);

enum Kind {
    Held(Vec<u64>),
    Filed(Filed),
}

/// Pages of a file; each may lie in one place of the cache alone.
struct Filed {
    path: PathBuf,
    file: File,
    count: u64,
    numbers: Vec<u64>,
    /// Which page lies in each place, and whether it was written to.
    pages: Vec<(u64, bool)>,
}

impl Drop for Filed {
    fn drop(&mut self) {
        // Best effort: scratch is swept later.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Paged {
    /// So many numbers in at most so many bytes of memory; what does not fit lies in the store's
    /// scratch.
    pub fn new(store: &Store, count: u64, memory: usize) -> Result<Paged> {
        if count.saturating_mul(8) <= memory as u64 {
            return Ok(Paged::held(count));
        }
        let path = store.scratch_path("numbers");
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(Error::io("cannot create", &path))?;
        // A file with holes: what nobody wrote takes no room, and reads as zeros.
        let bytes = count.div_ceil(PAGE as u64) * BYTES as u64;
        file.set_len(bytes).map_err(Error::io("cannot make room for", &path))?;
        let places = (memory / BYTES).max(1);
        let (numbers, pages) = (vec![0; places * PAGE], vec![(NONE, false); places]);
        Ok(Paged(Kind::Filed(Filed { path, file, count, numbers, pages })))
    }

    /// So many numbers, in memory.
    pub fn held(count: u64) -> Paged {
        Paged(Kind::Held(vec![0; count as usize]))
    }

    /// The number of a place; 0 of one that there is not.
    #[inline]
    pub fn get(&mut self, at: u64) -> Result<u64> {
        match &mut self.0 {
            Kind::Held(numbers) => Ok(numbers.get(at as usize).copied().unwrap_or(0)),
            Kind::Filed(filed) => match filed.place(at)? {
                Some((_, place)) => Ok(filed.numbers[place]),
                None => Ok(0),
            },
        }
    }

    /// Writes the number of a place, if there is such a place.
    #[inline]
    pub fn set(&mut self, at: u64, number: u64) -> Result<()> {
        match &mut self.0 {
            Kind::Held(numbers) => {
                if let Some(old) = numbers.get_mut(at as usize) {
                    *old = number;
                }
            }
            Kind::Filed(filed) => {
                if let Some((page, place)) = filed.place(at)? {
                    filed.numbers[place] = number;
                    filed.pages[page].1 = true;
                }
            }
        }
        Ok(())
    }
}

impl Filed {
    /// Where a number lies in the cache, once its page does: the place of the page, and its own.
    fn place(&mut self, at: u64) -> Result<Option<(usize, usize)>> {
        if at >= self.count {
            return Ok(None);
        }
        let (wanted, within) = (at / PAGE as u64, (at % PAGE as u64) as usize);
        let place = (wanted % self.pages.len() as u64) as usize;
        if self.pages[place].0 != wanted {
            let numbers = &mut self.numbers[place * PAGE..(place + 1) * PAGE];
            let mut bytes = [0; BYTES];
            let (held, written) = self.pages[place];
            if written {
                crate::sorted::spilled(BYTES);
                for (eight, number) in bytes.chunks_exact_mut(8).zip(&*numbers) {
                    eight.copy_from_slice(&number.to_le_bytes());
                }
                let wrote = self.file.write_all_at(&bytes, held * BYTES as u64);
                wrote.map_err(Error::io("cannot write", &self.path))?;
            }
            let read = self.file.read_exact_at(&mut bytes, wanted * BYTES as u64);
            read.map_err(Error::io("cannot read", &self.path))?;
            for (eight, number) in bytes.chunks_exact(8).zip(numbers) {
                let mut own = [0; 8];
                own.copy_from_slice(eight);
                *number = u64::from_le_bytes(own);
            }
            self.pages[place] = (wanted, false);
        }
        Ok(Some((place, place * PAGE + within)))
    }
}

#[test]
fn a_few_pages_hold_what_memory_would() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let count = 20 * PAGE as u64 + 7;
    for memory in [0, 3 * BYTES, 19 * BYTES, 1 << 20] {
        let mut paged = Paged::new(&store, count, memory).unwrap();
        let mut held = Paged::held(count);
        let mut state = 3u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Some places that there are not.
            let at = (state >> 40) % (count + 3);
            assert_eq!(paged.get(at).unwrap(), held.get(at).unwrap(), "{memory} {at}");
            paged.set(at, state).unwrap();
            held.set(at, state).unwrap();
        }
        for at in 0..count + 3 {
            assert_eq!(paged.get(at).unwrap(), held.get(at).unwrap(), "{memory} {at}");
        }
    }
    assert_eq!(store.list(".aside").unwrap(), [""; 0]);
}
