//! Runs of words in hash tables, one table for each length: KenLM's `probing`.

use super::numbers::{SIGN, f32_at, u64_at};
use super::{Entry, Tables, Word};

/// Where the tables lie.
pub struct Hashed {
    /// Of words alone, a probability and a backoff each, by their number.
    pub ones: usize,
    /// Of runs from two words on.
    pub longer: Vec<Table>,
    /// Of the longest runs.
    pub longest: Table,
}

/// A table with open addressing: a run lies in the bucket of its hash or in the next free one.
#[derive(Clone, Copy)]
pub struct Table {
    pub at: usize,
    pub buckets: u64,
}

/// Bytes of the hash of a run, its probability and its backoff.
pub const LONGER: usize = 16;
/// Bytes of the hash of a run of the longest kind and its probability.
pub const LONGEST: usize = 12;
/// Bytes of the probability and the backoff of a word alone.
pub const ONE: usize = 8;

impl Table {
    /// Where the entry of a hash lies.
    #[inline]
    fn find<const ENTRY: usize>(self, bytes: &[u8], hash: u64) -> Option<usize> {
        let mut bucket = hash.checked_rem(self.buckets)?;
        // A damaged table may be full.
        for _ in 0..self.buckets {
            let entry = self.at + bucket as usize * ENTRY;
            match u64_at(bytes, entry)? {
                found if found == hash => return Some(entry + 8),
                0 => return None,
                _ => bucket = if bucket + 1 == self.buckets { 0 } else { bucket + 1 },
            }
        }
        None
    }
}

/// The hash of a run with a word put in front.
pub fn with(hash: u64, before: Word) -> u64 {
    hash.wrapping_mul(8_978_948_897_894_561_157) ^ (1 + u64::from(before.0)).wrapping_mul(17_894_857_484_156_487_943)
}

fn entry(bytes: &[u8], at: usize) -> Option<Entry> {
    let (written, backoff) = (f32_at(bytes, at)?, f32_at(bytes, at + 4)?);
    // No probability is above 1, so that the sign has another use: it is off where longer runs end
    // with this one.
    Some(Entry { log10: negative(written), backoff, extends: written.to_bits() & SIGN == 0 })
}

fn negative(value: f32) -> f32 {
    f32::from_bits(value.to_bits() | SIGN)
}

impl Tables for Hashed {
    type Node = u64;

    #[inline]
    fn one(&self, bytes: &[u8], word: Word) -> (Entry, u64) {
        let found = entry(bytes, self.ones + ONE * word.0 as usize);
        (found.unwrap_or(Entry { log10: 0.0, backoff: 0.0, extends: false }), u64::from(word.0))
    }

    #[inline]
    fn longer(&self, bytes: &[u8], level: usize, before: Word, node: &mut u64) -> Option<Entry> {
        *node = with(*node, before);
        entry(bytes, self.longer.get(level)?.find::<LONGER>(bytes, *node)?)
    }

    #[inline]
    fn longest(&self, bytes: &[u8], before: Word, node: u64) -> Option<f32> {
        f32_at(bytes, self.longest.find::<LONGEST>(bytes, with(node, before))?).map(negative)
    }
}
