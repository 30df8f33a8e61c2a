//! Drops documents that share almost all of their characters with another.

use corpus::{Document, Reason, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Against, Dedup, Finding, Guard, Key, Rank, Sketch, simhash};

/// Keeps one of documents whose SimHashes differ in at most `distance` of 64 bits: editions of a
/// book, pages that differ in a date.
///
/// The features are RedPajama-1T's for books: every six characters that follow each other, in lower
/// case and without punctuation and white space, as often as they occur. The search is exact: 64
/// bits are cut into one block more than bits may differ, so that two which are near share a block.
///
/// A document goes only for one that stays. The original lets a book that is removed remove others:
/// `by: any`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimhashDedup {
    /// The most bits, of 64, in which documents that are the same may differ, from 0 to 15. Five is
    /// RedPajama-1T's bound for books.
    pub distance: Distance,
    /// Characters of a shingle, from 1 to 13. Six is RedPajama-1T's.
    pub shingle: Shingle,
    /// For which documents one goes.
    pub by: By,
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's documents that may go, the most documents of which one stays, and
    /// whether the run goes on beyond (`warn`) or ends (`stop`). The largest clusters are shown.
    #[serde(skip_serializing)]
    pub guard: Guard,
    /// Another run, finished, by its folder from the pipeline's file: what is alike a document that it
    /// kept goes, and its receipt names that document. All of the other's stay; they come before all
    /// of ours in rank, and are read, never written. `{ run: FOLDER, then: mark }` marks ours instead.
    #[serde(skip_serializing_if = "Against::is_plain")]
    pub against: Option<Against>,
}

/// For which documents one goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// For one of lower rank that stays.
    #[default]
    Kept,
    /// For any of lower rank, as the original does: of A, B and C, each near the next, A alone stays,
    /// however far C is from it.
    Any,
}

macro_rules! bounded {
    ($(#[$about:meta])* $name:ident, $from:literal, $to:literal, $default:literal) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
        #[schemars(transparent, extend("minimum" = $from, "maximum" = $to))]
        pub struct $name(u32);

        impl Default for $name {
            fn default() -> $name {
                $name($default)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                match u32::deserialize(deserializer)? {
                    value @ $from..=$to => Ok($name(value)),
                    value => Err(serde::de::Error::custom(format!(
                        "{value} is not a whole number from {} to {}",
                        $from, $to
                    ))),
                }
            }
        }
    };
}

bounded!(
    /// Bits that may differ.
    Distance, 0, 15, 5
);
bounded!(
    /// Characters of a shingle.
    Shingle, 1, 13, 6
);

/// How many copies, documents of a SimHash that an earlier one has, are held of those that share a block:
/// one megabyte and a half. What comes after them goes for the first of its SimHash or not at all.
const COPIES: usize = 1 << 16;

/// SimHashes that share a block.
#[derive(Default)]
struct Block {
    shared: Option<[u8; 8]>,
    /// Each with the document of lowest rank that has it.
    firsts: Vec<(u64, Rank)>,
    /// The others, by the place of their SimHash among the firsts.
    copies: Vec<(u32, Rank)>,
}

impl SimhashDedup {
    /// The key of one block: a number that spreads over all ranges, then the SimHash.
    fn key(&self, block: u32, hash: u64) -> Key {
        let blocks = self.distance.0 + 1;
        let (from, to) = (64 * block / blocks, 64 * (block + 1) / blocks);
        let bits = hash << (64 - to) >> (64 - to + from);
        // An odd factor takes no two numbers to one: a block and its bits stay apart from all others.
        let spread = (bits ^ u64::from(block) << 60).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut key = Key::default();
        key[..8].copy_from_slice(&spread.to_be_bytes());
        key[8..].copy_from_slice(&hash.to_be_bytes());
        key
    }
}

impl Dedup for SimhashDedup {
    fn reason(&self) -> Reason {
        Reason("near_duplicate")
    }

    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let hash = simhash::of(document.text(), self.shingle.0 as usize);
        keys.extend((0..=self.distance.0).map(|block| self.key(block, hash)));
    }

    /// Compares all SimHashes that share a block, which come together. Of each the lowest rank is held; and
    /// where a document goes only for one that stays, the copies too, since the first of them may go itself.
    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let mut block = Block::default();
        for sketch in sketches {
            let Sketch { key, rank } = sketch?;
            let (shared, hash) = halves(key);
            if block.shared != Some(shared) {
                self.compare(&block, found)?;
                block.firsts.clear();
                block.copies.clear();
                block.shared = Some(shared);
            }
            match block.firsts.last() {
                Some((known, first)) if *known == hash => {
                    found(Finding { gone: rank, kept: *first, similarity: 1.0 })?;
                    if self.by == By::Kept && block.copies.len() < COPIES {
                        block.copies.push((block.firsts.len() as u32 - 1, rank));
                    }
                }
                _ => block.firsts.push((hash, rank)),
            }
        }
        self.compare(&block, found)
    }

    fn judged(&self) -> bool {
        self.by == By::Kept
    }
}

fn halves(key: Key) -> ([u8; 8], u64) {
    let [a, b, c, d, e, f, g, h, hash @ ..] = key;
    ([a, b, c, d, e, f, g, h], u64::from_be_bytes(hash))
}

impl SimhashDedup {
    fn compare(&self, block: &Block, found: &mut dyn FnMut(Finding) -> Result<()>) -> Result<()> {
        let firsts = &block.firsts;
        for (at, (hash, rank)) in firsts.iter().enumerate() {
            for (other, twin) in &firsts[at + 1..] {
                if let Some(similarity) = self.near(*hash, *other) {
                    let (kept, gone) = if rank < twin { (*rank, *twin) } else { (*twin, *rank) };
                    found(Finding { gone, kept, similarity })?;
                }
            }
        }
        for copies in block.copies.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((at, _)) = copies.first() else { continue };
            let (hash, first) = firsts[*at as usize];
            // What the first of them may go for. The first of other SimHashes is enough: where it goes for one
            // that stays, so do its copies.
            for (other, kept) in firsts.iter().filter(|(other, kept)| *other != hash && *kept < first) {
                let Some(similarity) = self.near(hash, *other) else { continue };
                for (_, gone) in copies {
                    found(Finding { gone: *gone, kept: *kept, similarity })?;
                }
            }
        }
        Ok(())
    }

    /// The share of bits that are the same, if enough are.
    fn near(&self, one: u64, other: u64) -> Option<f32> {
        let differ = (one ^ other).count_ones();
        (differ <= self.distance.0).then(|| 1.0 - differ as f32 / 64.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found among SimHashes that are given, by their places: (gone, kept), sorted.
    fn found(distance: u32, hashes: &[u64]) -> Vec<(u64, u64)> {
        let dedup = SimhashDedup { distance: Distance(distance), ..SimhashDedup::default() };
        let mut sketches = Vec::new();
        for (record, hash) in hashes.iter().enumerate() {
            let rank = Rank { raw_file: 0, record: record as u64 };
            sketches.extend((0..=distance).map(|block| Sketch { key: dedup.key(block, *hash), rank }));
        }
        sketches.sort();
        let mut pairs = Vec::new();
        let mut note = |finding: Finding| {
            pairs.push((finding.gone.record, finding.kept.record));
            Ok(())
        };
        dedup.resolve(&mut sketches.into_iter().map(Ok), &mut note).unwrap();
        pairs.sort();
        pairs.dedup();
        pairs
    }

    #[test]
    fn every_pair_within_the_distance_is_found() {
        let mut state = 7u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        // Three hundred hashes near thirty others, some of them equal.
        let centres: Vec<u64> = (0..30).map(|_| next()).collect();
        let mut hashes: Vec<u64> = Vec::new();
        for at in 0..300 {
            let flips = (0..next() % 9).map(|_| 1u64 << (next() % 64)).fold(0, |all, bit| all ^ bit);
            hashes.push(centres[at % 30] ^ flips);
        }
        for distance in [0, 1, 3, 5, 15] {
            let mut expected = Vec::new();
            for (gone, hash) in hashes.iter().enumerate() {
                // Of equal ones the first speaks for all, but for what comes before it.
                let first = hashes.iter().position(|other| other == hash).unwrap();
                if first < gone {
                    expected.push((gone as u64, first as u64));
                }
                for (kept, other) in hashes[..first].iter().enumerate() {
                    let near = (hash ^ other).count_ones() <= distance;
                    if near && !hashes[..kept].contains(other) {
                        expected.push((gone as u64, kept as u64));
                    }
                }
            }
            expected.sort();
            assert_eq!(found(distance, &hashes), expected, "{distance}");
            // In order of rank, a document stays if none that stays is near.
            let mut stay: Vec<u64> = Vec::new();
            for (at, hash) in hashes.iter().enumerate() {
                if stay.iter().all(|kept| (hash ^ hashes[*kept as usize]).count_ones() > distance) {
                    stay.push(at as u64);
                }
            }
            let mut judged: Vec<u64> = Vec::new();
            for at in 0..hashes.len() as u64 {
                if !expected.iter().any(|(gone, kept)| *gone == at && judged.contains(kept)) {
                    judged.push(at);
                }
            }
            assert_eq!(judged, stay, "{distance}");
            assert!(!expected.is_empty());
        }
    }

    #[test]
    fn bounds_are_checked_where_they_are_written() {
        assert!(serde_saphyr::from_str::<SimhashDedup>("{ distance: 15, shingle: 13 }").is_ok());
        assert!(serde_saphyr::from_str::<SimhashDedup>("{ distance: 16 }").is_err());
        assert!(serde_saphyr::from_str::<SimhashDedup>("{ shingle: 0 }").is_err());
    }
}
