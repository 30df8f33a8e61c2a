//! From words to their numbers. Models keep hashes of words, not the words.

use super::Word;
use super::numbers::{u32_at, u64_at};

/// Where the hashes lie.
pub enum Vocabulary {
    /// A hash table of hashes and numbers.
    Hashed { at: usize, buckets: u64, words: u32 },
    /// Hashes in order: the number of a word is its place among them, from 1.
    Sorted { at: usize, words: u64 },
}

/// Bytes of a hash and a number.
pub const ENTRY: usize = 12;

impl Vocabulary {
    /// The number of a word.
    pub fn find(&self, bytes: &[u8], word: &[u8]) -> Word {
        let hash = hash(word);
        match *self {
            Vocabulary::Hashed { at, buckets, words } => {
                let mut bucket = hash % buckets.max(1);
                // A damaged table may be full.
                for _ in 0..buckets {
                    let entry = at + bucket as usize * ENTRY;
                    match u64_at(bytes, entry) {
                        Some(found) if found == hash => {
                            let number = u32_at(bytes, entry + 8).filter(|number| *number < words);
                            return Word(number.unwrap_or(0));
                        }
                        None | Some(0) => break,
                        Some(_) => bucket = if bucket + 1 == buckets { 0 } else { bucket + 1 },
                    }
                }
                Word::UNKNOWN
            }
            Vocabulary::Sorted { at, words } => {
                let (mut low, mut high) = (0, words);
                while low < high {
                    let middle = low + (high - low) / 2;
                    match u64_at(bytes, at + 8 * middle as usize) {
                        Some(found) if found == hash => return Word(middle as u32 + 1),
                        Some(found) if found < hash => low = middle + 1,
                        _ => high = middle,
                    }
                }
                Word::UNKNOWN
            }
        }
    }
}

/// Whether it is the word for those that the model does not know; some models write it in capitals.
pub fn is_unknown(word: &[u8]) -> bool {
    word == b"<unk>" || word == b"<UNK>"
}

/// MurmurHash64A with seed 0, under which KenLM keeps words.
pub fn hash(word: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = (word.len() as u64).wrapping_mul(M);
    let mut eights = word.chunks_exact(8);
    for eight in &mut eights {
        let mut mixed =
            u64::from_le_bytes([eight[0], eight[1], eight[2], eight[3], eight[4], eight[5], eight[6], eight[7]])
                .wrapping_mul(M);
        mixed = (mixed ^ mixed >> R).wrapping_mul(M);
        hash = (hash ^ mixed).wrapping_mul(M);
    }
    let rest = eights.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0u64, |tail, byte| tail << 8 | u64::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}
