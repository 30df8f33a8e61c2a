//! The `.idx` of a shard: checked once when it is opened, then believed.

use std::path::Path;

use super::{MAGIC, TokenType, VERSION};
use crate::mapped::Mapped;
use crate::{Digest, Error, Result};

const HEADER: usize = 9 + 8 + 1 + 8 + 8;
/// What GPT-NeoX's older datasets begin with.
const OLDER: &[u8] = b"TNTIDX\0\0";

/// An index that fits its tokens: sequences lie one after another and fill the token file, documents are
/// of whole sequences one after another, and have them all.
#[derive(Debug)]
pub(super) struct Index {
    bytes: Mapped,
    pub(super) kind: TokenType,
    sequences: usize,
    /// One more than there are documents.
    bounds: usize,
    /// Tokens in all.
    pub(super) tokens: u64,
}

impl Index {
    /// The index that a file holds, of a token file of so many bytes.
    pub(super) fn read(bytes: Mapped, path: &Path, bin: (&Path, u64)) -> Result<Index> {
        let damaged = |detail: String| Error::damaged(path, detail);
        if bytes.is_empty() {
            return Err(damaged("is empty".into()));
        }
        if bytes.starts_with(OLDER) {
            return Err(refused(path, "is of GPT-NeoX's older formats (`TNTIDX`: `lazy`, `cached`)"));
        }
        if bytes.len() < HEADER || &bytes[..9] != MAGIC {
            return Err(damaged("is not an index of tokens (`MMIDIDX`)".into()));
        }
        if u64_at(&bytes, 9) != VERSION {
            return Err(damaged(format!("is of version {}, not {VERSION}", u64_at(&bytes, 9))));
        }
        let kind = match bytes[17] {
            // Megatron-LM has f64 for 6 and f32 for 7, GPT-NeoX the opposite.
            code @ (6 | 7) => return Err(refused(path, &format!("has tokens of type {code}, which are floats"))),
            code => match TokenType::of_code(code) {
                Some(kind) => kind,
                None => {
                    let known = "1 (u8), 2 (i8), 3 (i16), 4 (i32), 5 (i64) and 8 (u16) are known";
                    return Err(damaged(format!("has tokens of type {code}; {known}")));
                }
            },
        };
        let (sequences, bounds) = (u64_at(&bytes, 18), u64_at(&bytes, 26));
        let whole = u128::from(sequences) * 12 + u128::from(bounds) * 8 + HEADER as u128;
        let length = bytes.len() as u128;
        if sequences > 0 && length == whole + u128::from(sequences) {
            return Err(refused(path, "says of each sequence what it is (`sequence_modes`): not all are text"));
        }
        if length != whole {
            return Err(damaged(format!("is {length} bytes long, its header asks for {whole}")));
        }
        let mut index = Index { bytes, kind, sequences: sequences as usize, bounds: bounds as usize, tokens: 0 };
        index.check_sequences(path, bin)?;
        index.check_bounds(path)?;
        Ok(index)
    }

    fn check_sequences(&mut self, path: &Path, (bin, bytes): (&Path, u64)) -> Result<()> {
        let width = self.kind.bytes() as u64;
        let mut offset = 0u64;
        for sequence in 0..self.sequences {
            let (length, own) = (self.length(sequence), self.offset(sequence));
            if length < 0 {
                return Err(Error::damaged(path, format!("sequence {sequence} has {length} tokens")));
            }
            if own != offset {
                let detail = format!("sequence {sequence} begins at byte {own}, those before it end at {offset}");
                return Err(Error::damaged(path, detail));
            }
            offset += length as u64 * width;
        }
        if offset != bytes {
            let cut = if bytes < offset { ": it was cut short, or is another's" } else { "" };
            return Err(Error::damaged(bin, format!("{bytes} bytes long, the index asks for {offset}{cut}")));
        }
        self.tokens = offset / width;
        Ok(())
    }

    fn check_bounds(&self, path: &Path) -> Result<()> {
        let sequences = self.sequences as u64;
        let wrong = |detail: String| Err(Error::damaged(path, detail));
        if self.bounds == 0 || self.bound(0) != 0 {
            return wrong("its first document does not begin with its first sequence".into());
        }
        for document in 1..self.bounds {
            let (begin, end) = (self.bound(document - 1), self.bound(document));
            if end < begin || end > sequences {
                let number = document - 1;
                let detail = format!("document {number} is said to have sequences {begin} to {end} of {sequences}");
                return wrong(detail);
            }
        }
        let end = self.bound(self.bounds - 1);
        if end != sequences {
            return wrong(format!("its documents end at sequence {end}, and it has {sequences}"));
        }
        Ok(())
    }

    /// What our writer promises beyond the format: u16 or i32, and a sequence for each document.
    pub(super) fn check_ours(&self, path: &Path) -> Result<()> {
        if !matches!(self.kind, TokenType::U16 | TokenType::I32) {
            let code = self.kind.code();
            return Err(Error::damaged(path, format!("has tokens of type {code}; we write 8 (u16) and 4 (i32)")));
        }
        let documents = self.documents();
        // Bounds do not fall, so that they are the numbers from 0 if each document has just one.
        match (0..documents).find(|document| self.bound(*document + 1) != *document as u64 + 1) {
            None if documents == self.sequences => Ok(()),
            first => {
                let number = first.unwrap_or(documents);
                Err(Error::damaged(path, format!("document {number} is not one sequence, as those we write are")))
            }
        }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    pub(super) fn documents(&self) -> usize {
        self.bounds - 1
    }

    /// The number of a document's first token; past the last document, how many tokens there are.
    pub(super) fn begin(&self, document: usize) -> u64 {
        if document >= self.documents() {
            return self.tokens;
        }
        let sequence = self.bound(document) as usize;
        // The last documents may be empty: there is no sequence to begin with.
        if sequence < self.sequences { self.offset(sequence) / self.kind.bytes() as u64 } else { self.tokens }
    }

    fn length(&self, sequence: usize) -> i32 {
        let at = HEADER + 4 * sequence;
        let mut four = [0; 4];
        four.copy_from_slice(&self.bytes[at..at + 4]);
        i32::from_le_bytes(four)
    }

    fn offset(&self, sequence: usize) -> u64 {
        u64_at(&self.bytes, HEADER + 4 * self.sequences + 8 * sequence)
    }

    fn bound(&self, number: usize) -> u64 {
        u64_at(&self.bytes, HEADER + 12 * self.sequences + 8 * number)
    }
}

fn refused(path: &Path, detail: &str) -> Error {
    let hint = "write it anew with Megatron-LM's or GPT-NeoX's `preprocess_data`: text alone, ids as integers, `mmap`";
    Error::Input { path: path.to_path_buf(), detail: detail.to_owned(), hint: hint.to_owned() }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}
