//! Files opened without being read: the operating system brings in the pages that are used.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::{Error, Result};

/// The bytes of a file, mapped. All who hold it share the same pages, also across processes.
#[derive(Debug, Default)]
pub struct Mapped(Option<Mmap>);

impl Mapped {
    /// Maps a file.
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> Result<Mapped> {
        let file = File::open(path).map_err(Error::io("cannot open", path))?;
        // An empty file cannot be mapped.
        if file.metadata().map_err(Error::io("cannot open", path))?.len() == 0 {
            return Ok(Mapped(None));
        }
        // SAFETY: what we map is sealed, shards and models: they are renamed into place whole and
        // never written again. A process that truncates one while it is mapped breaks this, as it
        // would for every reader.
        let mapped = unsafe { Mmap::map(&file) };
        mapped.map(|map| Mapped(Some(map))).map_err(Error::io("cannot map", path))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
