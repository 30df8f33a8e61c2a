//! Records that are laid aside in the order in which they come, and read again from the first one as often
//! as somebody asks: what is compared with all that came before it, and has no room in memory.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;
use std::path::PathBuf;

use crate::store::Store;
use crate::{Error, Result};

/// Bytes that are read and written at once.
const BUFFER: usize = 64 << 10;

/// Records of `N` bytes in a file of the store's scratch, which goes when this does.
pub struct Pile<const N: usize> {
    path: PathBuf,
    to: BufWriter<File>,
    count: u64,
    width: PhantomData<[u8; N]>,
}

impl<const N: usize> Drop for Pile<N> {
    fn drop(&mut self) {
        // Best effort: scratch is swept later.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl<const N: usize> Pile<N> {
    /// An empty one.
    pub fn new(store: &Store) -> Result<Pile<N>> {
        let path = store.scratch_path("pile");
        let file = File::create_new(&path).map_err(Error::io("cannot create", &path))?;
        Ok(Pile { path, to: BufWriter::with_capacity(BUFFER, file), count: 0, width: PhantomData })
    }

    /// Lays records upon those that are there.
    pub fn push(&mut self, records: impl Iterator<Item = [u8; N]>) -> Result<()> {
        let before = self.count;
        for record in records {
            self.to.write_all(&record).map_err(Error::io("cannot write", &self.path))?;
            self.count += 1;
        }
        crate::sorted::spilled((self.count - before) as usize * N);
        self.to.flush().map_err(Error::io("cannot write", &self.path))
    }

    /// Calls for every record, from the first one.
    pub fn each(&self, record: &mut dyn FnMut([u8; N]) -> Result<()>) -> Result<()> {
        let file = File::open(&self.path).map_err(Error::io("cannot open", &self.path))?;
        let mut from = BufReader::with_capacity(BUFFER, file);
        for _ in 0..self.count {
            let mut bytes = [0; N];
            from.read_exact(&mut bytes).map_err(Error::io("cannot read", &self.path))?;
            record(bytes)?;
        }
        Ok(())
    }
}

#[test]
fn a_pile_is_read_from_the_first_record_however_often() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let mut pile = Pile::<3>::new(&store).unwrap();
    let all: Vec<[u8; 3]> = (0..40_000u32).map(|n| [n as u8, (n >> 8) as u8, 7]).collect();
    for part in all.chunks(17_000) {
        pile.push(part.iter().copied()).unwrap();
        let mut read = Vec::new();
        for _ in 0..2 {
            read.clear();
            pile.each(&mut |record| {
                read.push(record);
                Ok(())
            })
            .unwrap();
        }
        assert!(read == all[..read.len()] && read.len() as u64 == pile.count);
    }
    assert_eq!(pile.count, 40_000);
    drop(pile);
    assert_eq!(store.list(".aside").unwrap(), [""; 0]);
}
