//! Runs of words in a trie of packed bits: KenLM's `trie`, with or without quantised numbers and
//! compressed pointers.

use super::numbers::{SIGN, bits_at, f32_at, u64_at};
use super::{Entry, Tables, Word};

/// Where the levels lie.
pub struct Trie {
    /// Of words alone, by their number: probability, backoff, and where the runs that end with the
    /// word begin on the next level; they end where those of the next word begin.
    pub ones: usize,
    /// How many words it has, the unknown one included.
    pub words: u64,
    /// Runs from two words on.
    pub longer: Vec<Level>,
    /// The longest runs.
    pub longest: Level,
}

/// Bytes of a word alone.
pub const ONE: usize = 16;

/// One length of runs: entries of so many bits, sorted by their first word among those with the same
/// end. An entry has that word, numbers, and where its own longer runs begin.
pub struct Level {
    pub at: usize,
    pub entries: u64,
    pub word: Bits,
    pub numbers: Numbers,
    /// None where nothing is longer.
    pub next: Option<Next>,
    /// Bits of an entry.
    pub width: u64,
}

/// A part of an entry.
#[derive(Clone, Copy)]
pub struct Bits {
    /// Where it begins in the entry.
    pub from: u64,
    pub mask: u64,
}

/// How the numbers of a run are written.
#[derive(Clone, Copy)]
pub enum Numbers {
    /// 31 bits of the probability, without its sign, then 32 of the backoff.
    Whole { from: u64 },
    /// Where among the centres of bins they lie: backoff, then probability.
    Quantised { log10: Bits, backoff: Bits, log10_bins: usize, backoff_bins: usize },
}

/// How the places of longer runs are written.
pub struct Next {
    /// The lower bits, in the entry.
    pub bits: Bits,
    /// How many these are.
    pub width: u32,
    /// The upper bits: where the first entry stands with each value of them.
    pub upper: Option<Upper>,
}

/// A list of entries, in ascending order.
#[derive(Clone, Copy)]
pub struct Upper {
    pub at: usize,
    pub count: u64,
}

impl Upper {
    /// The upper bits of an entry: the last value whose first entry it is or follows.
    fn of(self, bytes: &[u8], entry: u64) -> Option<u64> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match u64_at(bytes, self.at + 8 * middle as usize)? <= entry {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low.checked_sub(1)
    }
}

impl Next {
    fn at(&self, bytes: &[u8], start: u64, entry: u64) -> Option<u64> {
        let lower = bits_at(bytes, start + self.bits.from, self.bits.mask)?;
        match self.upper {
            None => Some(lower),
            Some(upper) => Some(upper.of(bytes, entry)?.checked_shl(self.width)? | lower),
        }
    }
}

impl Level {
    /// The bits before which an entry stands.
    fn start(&self, entry: u64) -> u64 {
        8 * self.at as u64 + entry * self.width
    }

    /// The entry of a word among those from a place to another. Numbers of words are spread evenly,
    /// so that a guess by proportion is close.
    fn find(&self, bytes: &[u8], (from, to): (u64, u64), word: Word, words: u64) -> Option<u64> {
        if from >= to || to > self.entries {
            return None;
        }
        let wanted = u64::from(word.0);
        // What is left lies from `low` to `high`, without `high`, and its words from `least` to `most`.
        let (mut low, mut high) = (from, to);
        let (mut least, mut most) = (0, words);
        while low < high {
            let share = wanted.saturating_sub(least).saturating_mul(high - low) / (most.saturating_sub(least) + 1);
            let place = low + share.min(high - low - 1);
            let found = bits_at(bytes, self.start(place) + self.word.from, self.word.mask)?;
            if found == wanted {
                return Some(place);
            }
            if found < wanted {
                low = place + 1;
                least = found;
            } else {
                high = place;
                most = found;
            }
        }
        None
    }

    fn log10(&self, bytes: &[u8], entry: u64) -> Option<f32> {
        let start = self.start(entry);
        match self.numbers {
            Numbers::Whole { from } => {
                let bits = bits_at(bytes, start + from, u64::from(SIGN) - 1)?;
                Some(f32::from_bits(bits as u32 | SIGN))
            }
            Numbers::Quantised { log10, log10_bins, .. } => {
                f32_at(bytes, log10_bins + 4 * bits_at(bytes, start + log10.from, log10.mask)? as usize)
            }
        }
    }

    fn backoff(&self, bytes: &[u8], entry: u64) -> Option<f32> {
        let start = self.start(entry);
        match self.numbers {
            Numbers::Whole { from } => {
                Some(f32::from_bits(bits_at(bytes, start + from + 31, u64::from(u32::MAX))? as u32))
            }
            Numbers::Quantised { backoff, backoff_bins, .. } => {
                f32_at(bytes, backoff_bins + 4 * bits_at(bytes, start + backoff.from, backoff.mask)? as usize)
            }
        }
    }
}

impl Tables for Trie {
    /// Where the longer runs that end with this one begin and end on the next level.
    type Node = (u64, u64);

    fn one(&self, bytes: &[u8], word: Word) -> (Entry, (u64, u64)) {
        let at = self.ones + ONE * word.0 as usize;
        let found = || {
            let (log10, backoff) = (f32_at(bytes, at)?, f32_at(bytes, at + 4)?);
            let node = (u64_at(bytes, at + 8)?, u64_at(bytes, at + ONE + 8)?);
            Some((Entry { log10, backoff, extends: node.0 != node.1 }, node))
        };
        found().unwrap_or((Entry { log10: 0.0, backoff: 0.0, extends: false }, (0, 0)))
    }

    fn longer(&self, bytes: &[u8], level: usize, before: Word, node: &mut (u64, u64)) -> Option<Entry> {
        let level = self.longer.get(level)?;
        let entry = level.find(bytes, *node, before, self.words)?;
        let (log10, backoff) = (level.log10(bytes, entry)?, level.backoff(bytes, entry)?);
        let next = level.next.as_ref()?;
        let begin = next.at(bytes, level.start(entry), entry)?;
        let end = next.at(bytes, level.start(entry + 1), entry + 1)?;
        *node = (begin, end);
        Some(Entry { log10, backoff, extends: begin != end })
    }

    fn longest(&self, bytes: &[u8], before: Word, node: (u64, u64)) -> Option<f32> {
        self.longest.log10(bytes, self.longest.find(bytes, node, before, self.words)?)
    }
}
