//! Opens shards without reading them: the operating system brings in the pages that are used.

use std::path::{Path, PathBuf};

use super::TokenType;
use super::index::Index;
use crate::mapped::Mapped;
use crate::token::TokenId;
use crate::{Digest, Result};

/// A shard whose index was checked: every document lies inside the token file.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    bin: Mapped,
    index: Index,
}

/// A token that is not what it has to be: an id below some number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The document it is in.
    pub document: usize,
    /// Its number there, from 0.
    pub position: u64,
    /// What stands there.
    pub token: i64,
}

impl Shard {
    /// Opens `PREFIX.bin` and `PREFIX.idx` of ours, given the path of either or the prefix. What our writer
    /// promises is checked too: u16 or i32, and each document one sequence.
    pub fn open(path: &Path) -> Result<Shard> {
        let shard = Shard::open_any(path)?;
        shard.index.check_ours(&shard.path.with_extension("idx"))?;
        Ok(shard)
    }

    /// Opens those of any writer of the format: documents may be several sequences, and tokens any kind of
    /// integer. Whether they are ids is not known before they are read.
    pub fn open_any(path: &Path) -> Result<Shard> {
        let with = |ending: &str| match path.extension().and_then(|e| e.to_str()) {
            Some("bin" | "idx") => path.with_extension(ending),
            _ => PathBuf::from(format!("{}.{ending}", path.display())),
        };
        let (path, idx_path) = (with("bin"), with("idx"));
        let (idx, bin) = (Mapped::open(&idx_path)?, Mapped::open(&path)?);
        let index = Index::read(idx, &idx_path, (&path, bin.len() as u64))?;
        Ok(Shard { bin, index, path })
    }

    /// How many documents it has.
    pub fn documents(&self) -> usize {
        self.index.documents()
    }

    /// How many tokens it has.
    pub fn tokens(&self) -> u64 {
        self.index.tokens
    }

    /// What a token is.
    pub fn token_type(&self) -> TokenType {
        self.index.kind
    }

    /// The digest of its index, which says all but the tokens themselves.
    pub fn digest(&self) -> Digest {
        self.index.digest()
    }

    /// The path of its token file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tokens of a document, in order, as they stand there; nothing for a number past the last.
    pub fn document(&self, number: usize) -> impl Iterator<Item = i64> + '_ {
        self.between(self.begin(number), self.begin(number.saturating_add(1)))
    }

    /// Appends the tokens from one number on, counted over all documents, as many as there are up to
    /// another, as long as they are ids below `below`.
    pub fn read(&self, from: u64, to: u64, below: u32, out: &mut Vec<TokenId>) -> Result<(), Stray> {
        out.reserve(to.min(self.tokens()).saturating_sub(from) as usize);
        for (at, token) in self.between(from, to).enumerate() {
            match TokenId::try_from(token) {
                Ok(id) if id < below => out.push(id),
                _ => {
                    let at = from + at as u64;
                    let document = self.document_at(at);
                    return Err(Stray { document, position: at - self.begin(document), token });
                }
            }
        }
        Ok(())
    }

    /// The number of a document's first token, counted over all documents; of a number past the last
    /// document, how many tokens there are.
    pub fn begin(&self, document: usize) -> u64 {
        self.index.begin(document)
    }

    /// The document that a token belongs to; past the last token, how many documents there are.
    pub fn document_at(&self, token: u64) -> usize {
        if token >= self.tokens() {
            return self.documents();
        }
        // The first document that begins after it; the one before has it, and is not empty.
        let (mut low, mut high) = (0, self.documents());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.begin(middle) <= token { low = middle + 1 } else { high = middle }
        }
        low - 1
    }

    fn between(&self, from: u64, to: u64) -> impl Iterator<Item = i64> + '_ {
        let (kind, to) = (self.index.kind, to.min(self.tokens()));
        let width = kind.bytes();
        let bytes: &[u8] = match from < to {
            true => &self.bin[from as usize * width..to as usize * width],
            false => &[],
        };
        bytes.chunks_exact(width).map(move |token| match kind {
            TokenType::U8 => i64::from(token[0]),
            TokenType::I8 => i64::from(token[0] as i8),
            TokenType::I16 => i64::from(i16::from_le_bytes([token[0], token[1]])),
            TokenType::U16 => i64::from(u16::from_le_bytes([token[0], token[1]])),
            TokenType::I32 => i64::from(i32::from_le_bytes([token[0], token[1], token[2], token[3]])),
            TokenType::I64 => {
                let mut eight = [0; 8];
                eight.copy_from_slice(token);
                i64::from_le_bytes(eight)
            }
        })
    }
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
            let documents: Vec<Vec<i64>> = (0..3).map(|n| shard.document(n).collect()).collect();
            assert_eq!(documents, [vec![5, 6, 7, 0], vec![0], vec![9]]);
            assert_eq!((shard.documents(), shard.tokens()), (3, 6));
            let between = |from, to| {
                let mut out = Vec::new();
                shard.read(from, to, vocab_size, &mut out).map(|()| out)
            };
            assert_eq!((between(2, 5), between(5, 99), between(6, 9)), (Ok(vec![7, 0, 0]), Ok(vec![9]), Ok(vec![])));
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

    fn others(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/shards/others").join(name)
    }

    #[test]
    fn shards_of_other_writers_are_read_as_they_stand() {
        let said: serde_json::Value = serde_json::from_slice(&std::fs::read(others("expected.json")).unwrap()).unwrap();
        for (name, right) in said.as_object().unwrap() {
            let shard = Shard::open_any(&others(name)).unwrap();
            let documents: Vec<Vec<i64>> = (0..shard.documents()).map(|n| shard.document(n).collect()).collect();
            assert_eq!(serde_json::json!(documents), right["documents"], "{name}");
            // Of no token is the document another than its own, though some have none.
            let of: Vec<usize> = (0..shard.tokens()).map(|token| shard.document_at(token)).collect();
            let all = documents.iter().enumerate();
            assert_eq!(of, all.flat_map(|(n, tokens)| vec![n; tokens.len()]).collect::<Vec<usize>>(), "{name}");
            let mut out = Vec::new();
            let wrong = match shard.read(0, u64::MAX, 50_000, &mut out) {
                Ok(()) => serde_json::Value::Null,
                Err(Stray { document, position, token }) => serde_json::json!([document, position, token]),
            };
            assert_eq!(wrong, right["wrong"], "{name}");
            let good =
                if wrong.is_null() { of.len() } else { shard.begin(4) as usize + wrong[1].as_u64().unwrap() as usize };
            let flat: Vec<i64> = documents.concat();
            assert!(out.iter().copied().map(i64::from).eq(flat[..good].iter().copied()), "{name}");
            // They are none of ours.
            assert!(Shard::open(&others(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_no_text_or_does_not_add_up_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.bin");
        let (idx, bin) = (std::fs::read(others("i16.idx")).unwrap(), std::fs::read(others("i16.bin")).unwrap());
        let fails = |idx: &[u8], bin: &[u8]| {
            std::fs::write(path.with_extension("idx"), idx).unwrap();
            std::fs::write(&path, bin).unwrap();
            Shard::open_any(&path).unwrap_err().to_string()
        };
        let changed = |at: usize, by: &[u8]| {
            let mut idx = idx.clone();
            idx[at..at + by.len()].copy_from_slice(by);
            fails(&idx, &bin)
        };
        // Seven sequences of 3, 1, 4, 1, 0, 2 and 2 tokens: their lengths from 34, offsets from 62, the six
        // bounds of five documents from 118 on.
        let modes: Vec<u8> = [&idx[..], &[0; 7]].concat();
        for (said, words) in [
            (changed(0, b"TNTIDX\0\0"), "s.idx: is of GPT-NeoX's older formats (`TNTIDX`"),
            (changed(0, b"PK"), "s.idx: is not an index of tokens (`MMIDIDX`)"),
            (changed(9, &[2]), "s.idx: is of version 2, not 1"),
            (changed(17, &[6]), "s.idx: has tokens of type 6, which are floats"),
            (changed(17, &[7]), "s.idx: has tokens of type 7, which are floats"),
            (changed(17, &[9]), "s.idx: has tokens of type 9; 1 (u8), 2 (i8)"),
            (changed(18, &[8]), "s.idx: is 166 bytes long, its header asks for 178"),
            (changed(25, &[255]), "its header asks for"),
            (fails(&modes, &bin), "s.idx: says of each sequence what it is (`sequence_modes`)"),
            (changed(38, &(-2i32).to_le_bytes()), "s.idx: sequence 1 has -2 tokens"),
            (changed(62, &[2]), "s.idx: sequence 0 begins at byte 2, those before it end at 0"),
            (changed(86, &[18]), "s.idx: sequence 3 begins at byte 18, those before it end at 16"),
            (changed(118, &[1]), "s.idx: its first document does not begin with its first sequence"),
            (changed(134, &[1]), "s.idx: document 1 is said to have sequences 2 to 1 of 7"),
            (changed(142, &[9]), "s.idx: document 2 is said to have sequences 2 to 9 of 7"),
            (changed(157, &[255]), "s.idx: document 3 is said to have sequences 3 to"),
            (changed(158, &[6]), "s.idx: its documents end at sequence 6, and it has 7"),
            (fails(&idx, &bin[..bin.len() - 1]), "s.bin: 25 bytes long, the index asks for 26: it was cut short"),
            (fails(&idx, &[]), "s.bin: 0 bytes long, the index asks for 26: it was cut short"),
            (fails(&idx, &[&bin[..], &[0]].concat()), "s.bin: 27 bytes long, the index asks for 26"),
            (fails(&[], &bin), "s.idx: is empty"),
        ] {
            assert!(said.contains(words), "{said}, not {words}");
        }
        for name in ["float6", "float7"] {
            assert!(Shard::open_any(&others(name)).unwrap_err().to_string().contains("which are floats"));
        }
        for length in 0..idx.len() {
            fails(&idx[..length], &bin);
        }
    }

    /// However ours are made, they are the same to whoever takes any writer's.
    #[test]
    fn ours_are_read_alike_as_ours_and_as_any_writer_s() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut state = 7u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for round in 0..40 {
            let vocab_size = [300, 65_499, 65_500, 1 << 31][round % 4];
            let mut writer = ShardWriter::new(&store, "r", vocab_size, 0).unwrap();
            let mut right: Vec<Vec<i64>> = Vec::new();
            for _ in 0..below(30) {
                let length = below(9) * below(3);
                let tokens: Vec<TokenId> = (0..length).map(|_| below(u64::from(vocab_size)) as TokenId).collect();
                let end = below(2) == 0;
                writer.push(&tokens, end).unwrap();
                right.push(tokens.iter().copied().chain(end.then_some(0)).map(i64::from).collect());
            }
            writer.seal(&store).unwrap();
            for shard in [Shard::open(&store.path("r")).unwrap(), Shard::open_any(&store.path("r.idx")).unwrap()] {
                let documents: Vec<Vec<i64>> = (0..shard.documents()).map(|n| shard.document(n).collect()).collect();
                assert_eq!(documents, right);
                assert_eq!(shard.tokens(), right.iter().map(|tokens| tokens.len() as u64).sum::<u64>());
                let mut begin = 0;
                for (number, tokens) in right.iter().enumerate() {
                    assert_eq!(shard.begin(number), begin);
                    for at in begin..begin + tokens.len() as u64 {
                        assert_eq!(shard.document_at(at), number);
                    }
                    begin += tokens.len() as u64;
                }
                let mut flat = Vec::new();
                shard.read(0, begin, vocab_size, &mut flat).unwrap();
                assert!(flat.into_iter().map(i64::from).eq(right.concat()));
            }
        }
    }

    /// The strict reader asks for more than the format does.
    #[test]
    fn what_our_writer_would_not_write_is_none_of_ours() {
        let (_folder, store) = written(100);
        let idx = store.read("s.idx").unwrap();
        for (at, by, words) in
            [(17, 3, "type 3; we write 8 (u16)"), (idx.len() - 16, 1, "document 1 is not one sequence")]
        {
            let mut idx = idx.clone();
            idx[at] = by;
            std::fs::write(store.path("s.idx"), idx).unwrap();
            assert!(Shard::open_any(&store.path("s")).is_ok());
            let said = Shard::open(&store.path("s")).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
