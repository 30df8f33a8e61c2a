//! Writes a shard, and checks every token on the way.

use std::io::Write;

use super::{MAGIC, TokenType, VERSION};
use crate::store::{Aside, Output, Store};
use crate::token::TokenId;
use crate::{Error, Result};

/// A shard being written: documents are pushed in order, then it is sealed.
pub struct ShardWriter {
    bin: Aside,
    prefix: String,
    kind: TokenType,
    vocab_size: u32,
    end_of_document: TokenId,
    lengths: Vec<i32>,
    tokens: u64,
    bytes: Vec<u8>,
}

/// A shard that was sealed.
#[derive(Debug)]
pub struct Sealed {
    /// The token file.
    pub bin: Output,
    /// The index file.
    pub idx: Output,
    /// Tokens in it, end-of-document tokens included.
    pub tokens: u64,
    /// Documents in it.
    pub documents: u64,
}

impl ShardWriter {
    /// Starts the shard `PREFIX.bin`, `PREFIX.idx` for a vocabulary.
    pub fn new(store: &Store, prefix: &str, vocab_size: u32, end_of_document: TokenId) -> Result<ShardWriter> {
        Ok(ShardWriter {
            bin: store.aside(format!("{prefix}.bin"))?,
            prefix: prefix.to_owned(),
            kind: TokenType::of(vocab_size),
            vocab_size,
            end_of_document,
            lengths: Vec::new(),
            tokens: 0,
            bytes: Vec::new(),
        })
    }

    /// Appends a document's tokens and, if asked, the end-of-document token.
    pub fn push(&mut self, tokens: &[TokenId], append_end: bool) -> Result<()> {
        if let Some(token) = tokens.iter().find(|token| **token >= self.vocab_size) {
            return Err(self.refuse(format!("token {token} is not below the vocabulary's {}", self.vocab_size)));
        }
        let end = append_end.then_some(self.end_of_document);
        let length = tokens.len() + usize::from(append_end);
        let Ok(length) = i32::try_from(length) else {
            return Err(self.refuse(format!("a document of {length} tokens does not fit the format's i32")));
        };
        self.bytes.clear();
        // Below the vocabulary, an id fits the type that was chosen for it.
        if self.kind.bytes() == 2 {
            self.bytes.extend(tokens.iter().copied().chain(end).flat_map(|token| (token as u16).to_le_bytes()));
        } else {
            self.bytes.extend(tokens.iter().copied().chain(end).flat_map(u32::to_le_bytes));
        }
        let path = self.bin.path().to_path_buf();
        self.bin.write_all(&self.bytes).map_err(Error::io("cannot write", path))?;
        self.lengths.push(length);
        self.tokens += length as u64;
        Ok(())
    }

    /// Tokens so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Documents so far.
    pub fn documents(&self) -> u64 {
        self.lengths.len() as u64
    }

    /// Writes the index and publishes both files.
    pub fn seal(self, store: &Store) -> Result<Sealed> {
        let documents = self.lengths.len() as u64;
        let mut idx = store.aside(format!("{}.idx", self.prefix))?;
        let path = idx.path().to_path_buf();
        let width = self.kind.bytes() as i64;
        let mut write = |bytes: &[u8]| idx.write_all(bytes).map_err(Error::io("cannot write", &path));
        write(MAGIC)?;
        write(&VERSION.to_le_bytes())?;
        write(&[self.kind.code()])?;
        write(&documents.to_le_bytes())?;
        write(&(documents + 1).to_le_bytes())?;
        for length in &self.lengths {
            write(&length.to_le_bytes())?;
        }
        let mut offset = 0i64;
        for length in &self.lengths {
            write(&offset.to_le_bytes())?;
            offset += i64::from(*length) * width;
        }
        for document in 0..=documents as i64 {
            write(&document.to_le_bytes())?;
        }
        let bin = self.bin.publish()?;
        let idx = idx.publish()?;
        Ok(Sealed { bin, idx, tokens: self.tokens, documents })
    }

    fn refuse(&self, detail: String) -> Error {
        Error::Check { path: self.bin.path().with_file_name(self.bin.name()), detail }
    }
}
