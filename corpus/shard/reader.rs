//! Opens shards without reading them: the operating system brings in the pages that are used.

use std::path::{Path, PathBuf};

use super::{MAGIC, TokenWidth, VERSION};
use crate::mapped::Mapped;
use crate::token::TokenId;
use crate::{Error, Result};

/// A shard whose index was checked: every document lies inside the token file.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    bin: Mapped,
    idx: Mapped,
    width: TokenWidth,
    documents: usize,
    tokens: u64,
}

const HEADER: usize = 9 + 8 + 1 + 8 + 8;

impl Shard {
    /// Opens `PREFIX.bin` and `PREFIX.idx`, given the path of either or the prefix.
    pub fn open(path: &Path) -> Result<Shard> {
        let with = |ending: &str| match path.extension().and_then(|e| e.to_str()) {
            Some("bin" | "idx") => path.with_extension(ending),
            _ => PathBuf::from(format!("{}.{ending}", path.display())),
        };
        let (bin_path, idx_path) = (with("bin"), with("idx"));
        let (idx, bin) = (Mapped::open(&idx_path)?, Mapped::open(&bin_path)?);
        if idx.is_empty() {
            return Err(Error::damaged(&idx_path, "is empty"));
        }
        let damaged = |detail: String| Error::damaged(&idx_path, detail);
        if idx.len() < HEADER || &idx[..9] != MAGIC {
            return Err(damaged("is not an index of tokens (`MMIDIDX`)".into()));
        }
        if u64_at(&idx, 9) != VERSION {
            return Err(damaged(format!("is of version {}, not {VERSION}", u64_at(&idx, 9))));
        }
        let width = match idx[17] {
            8 => TokenWidth::U16,
            4 => TokenWidth::I32,
            code => return Err(damaged(format!("has token type {code}; 8 (u16) and 4 (i32) are known"))),
        };
        let sequences = u64_at(&idx, 18);
        let bounds = u64_at(&idx, 26);
        let whole = (sequences as u128) * 12 + (bounds as u128) * 8 + HEADER as u128;
        if whole != idx.len() as u128 || bounds != sequences + 1 {
            return Err(damaged(format!("is {} bytes long, its header asks for {whole}", idx.len())));
        }
        let mut shard = Shard { path: bin_path, bin, idx, width, documents: sequences as usize, tokens: 0 };
        shard.check()?;
        Ok(shard)
    }

    fn check(&mut self) -> Result<()> {
        let mut offset = 0u64;
        for document in 0..self.documents {
            let length = self.length(document);
            if length < 0 || self.offset(document) != offset {
                return Err(Error::damaged(&self.path, format!("the index is wrong at document {document}")));
            }
            offset += length as u64 * self.width.bytes() as u64;
        }
        let bytes = self.bin.len() as u64;
        if offset != bytes {
            return Err(Error::damaged(&self.path, format!("{bytes} bytes long, the index asks for {offset}")));
        }
        self.tokens = offset / self.width.bytes() as u64;
        Ok(())
    }

    fn length(&self, document: usize) -> i32 {
        u32_at(&self.idx, HEADER + 4 * document) as i32
    }

    fn offset(&self, document: usize) -> u64 {
        u64_at(&self.idx, HEADER + 4 * self.documents + 8 * document)
    }

    /// How many documents it has.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// How many tokens it has.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// How wide a token is.
    pub fn width(&self) -> TokenWidth {
        self.width
    }

    /// The tokens of a document, in order; nothing for a number past the last.
    pub fn document(&self, number: usize) -> impl Iterator<Item = TokenId> + '_ {
        let bytes: &[u8] = match number < self.documents {
            true => {
                let start = self.offset(number) as usize;
                &self.bin[start..start + self.length(number) as usize * self.width.bytes()]
            }
            false => &[],
        };
        self.decoded(bytes)
    }

    /// The path of its token file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tokens from one number on, counted over all documents, as many as there are up to another.
    pub fn tokens_between(&self, from: u64, to: u64) -> impl Iterator<Item = TokenId> + '_ {
        let to = to.min(self.tokens);
        let width = self.width.bytes();
        let bytes: &[u8] = match from < to {
            true => &self.bin[from as usize * width..to as usize * width],
            false => &[],
        };
        self.decoded(bytes)
    }

    /// The number of a document's first token, counted over all documents; of a number past the last
    /// document, how many tokens there are.
    pub fn begin(&self, document: usize) -> u64 {
        if document < self.documents { self.offset(document) / self.width.bytes() as u64 } else { self.tokens }
    }

    /// The document that a token belongs to; past the last token, how many documents there are.
    pub fn document_at(&self, token: u64) -> usize {
        if token >= self.tokens {
            return self.documents;
        }
        // The first document that begins after it; the one before has it, and is not empty.
        let (mut low, mut high) = (0, self.documents);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.begin(middle) <= token { low = middle + 1 } else { high = middle }
        }
        low - 1
    }

    fn decoded<'s>(&self, bytes: &'s [u8]) -> impl Iterator<Item = TokenId> + use<'s> {
        let width = self.width;
        bytes.chunks_exact(width.bytes()).map(move |token| match width {
            TokenWidth::U16 => TokenId::from(u16::from_le_bytes([token[0], token[1]])),
            TokenWidth::I32 => u32_at(token, 0),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::ShardWriter;
    use crate::store::Store;

    fn written(vocab_size: u32) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut writer = ShardWriter::new(&store, "s", vocab_size, 0).unwrap();
        writer.push(&[5, 6, 7], true).unwrap();
        writer.push(&[], true).unwrap();
        writer.push(&[9], false).unwrap();
        writer.seal(&store).unwrap();
        (folder, store)
    }

    #[test]
    fn what_was_written_is_read() {
        for vocab_size in [100, 70_000] {
            let (_folder, store) = written(vocab_size);
            let shard = Shard::open(&store.path("s.bin")).unwrap();
            let documents: Vec<Vec<TokenId>> = (0..3).map(|n| shard.document(n).collect()).collect();
            assert_eq!(documents, [vec![5, 6, 7, 0], vec![0], vec![9]]);
            assert_eq!((shard.documents(), shard.tokens()), (3, 6));
            let between = |from, to| shard.tokens_between(from, to).collect::<Vec<TokenId>>();
            assert_eq!((between(2, 5), between(5, 99), between(6, 9)), (vec![7, 0, 0], vec![9], vec![]));
            let at: Vec<usize> = (0..7).map(|token| shard.document_at(token)).collect();
            assert_eq!(at, [0, 0, 0, 0, 1, 2, 3]);
            let begins: Vec<u64> = (0..4).map(|document| shard.begin(document)).collect();
            assert_eq!(begins, [0, 4, 5, 6]);
        }
    }

    #[test]
    fn the_bytes_are_the_published_format() {
        let (_folder, store) = written(100);
        assert_eq!(store.read("s.bin").unwrap(), [5, 0, 6, 0, 7, 0, 0, 0, 0, 0, 9, 0]);
        let mut idx = b"MMIDIDX\0\0\x01\0\0\0\0\0\0\0\x08\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0".to_vec();
        idx.extend([4i32, 1, 1].map(i32::to_le_bytes).concat());
        idx.extend([0i64, 8, 10, 0, 1, 2, 3].map(i64::to_le_bytes).concat());
        assert_eq!(store.read("s.idx").unwrap(), idx);
    }

    #[test]
    fn a_shard_cut_short_does_not_open() {
        let (_folder, store) = written(100);
        for name in ["s.bin", "s.idx"] {
            let whole = store.read(name).unwrap();
            std::fs::write(store.path(name), &whole[..whole.len() - 2]).unwrap();
            assert!(Shard::open(&store.path("s.bin")).is_err(), "{name}");
            std::fs::write(store.path(name), whole).unwrap();
        }
        assert!(Shard::open(&store.path("s.idx")).is_ok());
    }

    #[test]
    fn a_token_beyond_the_vocabulary_is_refused() {
        let (_folder, store) = written(100);
        let mut writer = ShardWriter::new(&store, "t", 100, 0).unwrap();
        assert!(writer.push(&[100], true).is_err());
    }
}
