//! Token shards in the format that GPT-NeoX and Megatron-LM read: `X.bin` holds the tokens of one
//! document after another, `X.idx` says where each begins.
//!
//! `.idx`, little-endian: `MMIDIDX\0\0`, version 1 (u64), token type (u8: [`TokenType`]), number of
//! sequences S (u64), number of document bounds D (u64), S lengths in tokens (i32), S byte offsets into
//! `.bin` (i64), D sequence numbers at which documents end, from 0 (i64). Of ours each document is one
//! sequence, and D = S + 1; other writers may cut a document into several, say at its sentences.

mod index;
pub mod reader;
pub mod writer;

pub use reader::{Shard, Stray};
pub use writer::ShardWriter;

pub(crate) const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
pub(crate) const VERSION: u64 = 1;

/// What a token is in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// One byte.
    U8,
    /// One byte, with a sign.
    I8,
    /// Two bytes, with a sign.
    I16,
    /// Four bytes, with a sign; ids stay below 2^31.
    I32,
    /// Eight bytes, with a sign.
    I64,
    /// Two bytes.
    U16,
}

/// All of them.
const TYPES: [TokenType; 6] =
    [TokenType::U8, TokenType::I8, TokenType::I16, TokenType::I32, TokenType::I64, TokenType::U16];

impl TokenType {
    /// The type that GPT-NeoX and Megatron-LM choose for a vocabulary, and so do we.
    pub fn of(vocab_size: u32) -> TokenType {
        if vocab_size < 65_500 { TokenType::U16 } else { TokenType::I32 }
    }

    /// Bytes per token.
    pub fn bytes(self) -> usize {
        match self {
            TokenType::U8 | TokenType::I8 => 1,
            TokenType::I16 | TokenType::U16 => 2,
            TokenType::I32 => 4,
            TokenType::I64 => 8,
        }
    }

    /// The number that the format has for it.
    pub(crate) fn code(self) -> u8 {
        match self {
            TokenType::U8 => 1,
            TokenType::I8 => 2,
            TokenType::I16 => 3,
            TokenType::I32 => 4,
            TokenType::I64 => 5,
            TokenType::U16 => 8,
        }
    }

    fn of_code(code: u8) -> Option<TokenType> {
        TYPES.into_iter().find(|kind| kind.code() == code)
    }
}
