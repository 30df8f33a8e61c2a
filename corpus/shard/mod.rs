//! Token shards in the format that GPT-NeoX and Megatron-LM read: `X.bin` holds the tokens of one
//! document after another, `X.idx` says where each begins.
//!
//! `.idx`, little-endian: `MMIDIDX\0\0`, version 1 (u64), token type (u8: 8 for u16, 4 for i32),
//! number of sequences S (u64), number of document bounds D = S + 1 (u64), S lengths in tokens
//! (i32), S byte offsets into `.bin` (i64), D sequence numbers at which documents end, from 0
//! (i64). One sequence is one document.

pub mod reader;
pub mod writer;

pub use reader::Shard;
pub use writer::ShardWriter;

pub(crate) const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
pub(crate) const VERSION: u64 = 1;

/// How wide a token is in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenWidth {
    /// Two bytes, for a vocabulary below 65,500.
    U16,
    /// Four bytes; ids stay below 2^31.
    I32,
}

impl TokenWidth {
    /// The width that GPT-NeoX and Megatron-LM choose for a vocabulary.
    pub fn of(vocab_size: u32) -> TokenWidth {
        if vocab_size < 65_500 { TokenWidth::U16 } else { TokenWidth::I32 }
    }

    /// Bytes per token.
    pub fn bytes(self) -> usize {
        match self {
            TokenWidth::U16 => 2,
            TokenWidth::I32 => 4,
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            TokenWidth::U16 => 8,
            TokenWidth::I32 => 4,
        }
    }
}
