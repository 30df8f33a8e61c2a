//! Drops documents that share almost all of their characters with another.

use corpus::store::Store;
use corpus::{Document, Reason, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::simhash::near::{HELD, Leaves, Near, bits_of, comparisons};
use crate::{Against, Among, Dedup, Finding, Guard, Key, Pairs, Sketch, simhash};

/// Keeps one of documents whose SimHashes differ in at most `distance` of 64 bits: editions of a
/// book, pages that differ in a date.
///
/// The features are RedPajama-1T's for books: every six characters that follow each other, in lower
/// case and without punctuation and white space, as often as they occur. The search is exact: 64
/// bits are cut into one block more than bits may differ, so that two which are near share a block. All
/// that share one are compared, in bounded memory: with a distance of 5 that is one document in a
/// thousand, and a million documents take a second; with 15 every sixteenth, and a minute. Either grows
/// with the square of the documents; what lies on disk does not, however many are near each other: a document
/// takes 28 bytes for each block, and 28 more for each in which another is near.
///
/// A document goes only for one that stays, the first that is near: those that are near another are compared
/// once more, in order of rank, with those that stay. One without a letter, digit or underscore always stays: of
/// "!!!", a blank text and an emoji the SimHashes are the same, the texts are not. The original lets a book that is
/// removed remove others, and takes all texts without a letter for copies of one another: `by: any`.
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
    /// however far C is from it. Of texts without a letter, digit or underscore the first alone stays.
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

/// Odd, so that it takes no two numbers to one: a block and its bits stay apart from all others.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// What undoes it: their product is 1.
const GATHER: u64 = 0xf1de_83e1_9937_733d;

impl SimhashDedup {
    /// The key of one block: a number that spreads over all ranges, then the SimHash.
    fn key(&self, block: u32, hash: u64) -> Key {
        let of_block = bits_of(block, self.distance.0 + 1);
        let bits = hash << (64 - of_block.end) >> (64 - of_block.len());
        let spread = (bits ^ u64::from(block) << 60).wrapping_mul(SPREAD);
        let mut key = Key::default();
        key[..8].copy_from_slice(&spread.to_be_bytes());
        key[8..].copy_from_slice(&hash.to_be_bytes());
        key
    }

    /// The keys that a document with this SimHash leaves, one for each block.
    pub fn keys(&self, hash: u64) -> impl Iterator<Item = Key> {
        (0..=self.distance.0).map(move |block| self.key(block, hash))
    }

    /// The block of a key.
    fn block(&self, shared: u64) -> u32 {
        // One block alone is as wide as the number.
        if self.distance.0 == 0 { 0 } else { (shared.wrapping_mul(GATHER) >> 60) as u32 }
    }

    fn compare(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        room: Option<(&Store, usize)>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let leaves = if self.judged() { Leaves::Hash } else { Leaves::First };
        let mut near = Near::new(self.distance.0, leaves, room);
        let mut open: Option<u64> = None;
        let mut last: Option<u64> = None;
        for sketch in sketches {
            let Sketch { key, rank } = sketch?;
            let (shared, hash) = halves(key);
            if open != Some(shared) {
                near.end(found)?;
                near.begin(self.block(shared));
                (open, last) = (Some(shared), None);
            }
            match last.replace(hash) == Some(hash) {
                true => near.copy(rank, found)?,
                false => near.push(hash, rank, found)?,
            }
        }
        near.end(found)
    }

    /// Bytes of memory that its judge takes for each document that stays and is near another.
    pub fn held(&self) -> usize {
        simhash::judge::held(self.distance.0)
    }

    /// How many of so many documents share a block, where their SimHashes are spread evenly, with the bytes
    /// that one takes in memory; and how many comparisons of two SimHashes all of them take.
    pub fn comparisons(&self, documents: u64) -> (u64, usize, u64) {
        let (each, all) = comparisons(documents, self.distance.0);
        (each, HELD, all)
    }
}

impl Dedup for SimhashDedup {
    fn reason(&self) -> Reason {
        Reason("near_duplicate")
    }

    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        if self.by == By::Kept && !simhash::has_letters(document.text()) {
            return;
        }
        let hash = simhash::of(document.text(), self.shingle.0 as usize);
        keys.extend(self.keys(hash));
    }

    /// Compares all SimHashes that share a block, which come together; for each the document of lowest rank
    /// that has it. The others are near that one.
    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        self.compare(sketches, None, found)
    }

    fn resolve_within(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        room: (&Store, usize),
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<u64> {
        self.compare(sketches, Some(room), found).map(|()| 0)
    }

    fn judged(&self) -> bool {
        self.by == By::Kept
    }

    fn judge_compares(&self) -> bool {
        true
    }

    fn judge(
        &self,
        pairs: &mut dyn Pairs,
        among: &Among<'_>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        simhash::judge::judge(self.distance.0, false, pairs, among, found)
    }

    fn mark(
        &self,
        pairs: &mut dyn Pairs,
        among: &Among<'_>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        simhash::judge::judge(self.distance.0, true, pairs, among, found)
    }
}

fn halves(key: Key) -> (u64, u64) {
    let (mut shared, mut hash) = ([0; 8], [0; 8]);
    shared.copy_from_slice(&key[..8]);
    hash.copy_from_slice(&key[8..]);
    (u64::from_be_bytes(shared), u64::from_be_bytes(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rank;

    /// What is found among SimHashes that are given, sorted.
    fn found(dedup: &SimhashDedup, hashes: &[u64], room: Option<(&Store, usize)>) -> Vec<Finding> {
        let mut sketches = Vec::new();
        for (record, hash) in hashes.iter().enumerate() {
            sketches.extend(dedup.keys(*hash).map(|key| Sketch { key, rank: rank(record) }));
        }
        sketches.sort();
        let mut found = Vec::new();
        let mut note = |finding: Finding| {
            found.push(finding);
            Ok(())
        };
        dedup.compare(&mut sketches.into_iter().map(Ok), room, &mut note).unwrap();
        found.sort_by_key(|found| found.to_bytes());
        found
    }

    /// What its judge makes of that, where the first documents are another run's.
    fn judged(
        dedup: &SimhashDedup,
        found: &[Finding],
        others: usize,
        room: Option<(&Store, usize)>,
    ) -> [Vec<Finding>; 2] {
        let among = Among::of(&[others as u64, u32::MAX.into()], room).with_others(1);
        let of_run = |record: u64| match record.checked_sub(others as u64) {
            Some(record) => Rank { raw_file: 1, record },
            None => Rank { raw_file: 0, record },
        };
        let mut found: Vec<Finding> =
            found.iter().map(|one| Finding { gone: of_run(one.gone.record), ..*one }).collect();
        let (mut goes, mut marked) = (Vec::new(), Vec::new());
        let mut note = |finding: Finding| {
            goes.push(finding);
            Ok(())
        };
        dedup.judge(&mut found, &among, &mut note).unwrap();
        let mut note = |finding: Finding| {
            marked.push(finding);
            Ok(())
        };
        dedup.mark(&mut found, &among, &mut note).unwrap();
        [goes, marked].map(|mut findings| {
            findings.iter_mut().flat_map(|one| [&mut one.gone, &mut one.kept]).for_each(|rank| {
                *rank = Rank { raw_file: 0, record: rank.record + u64::from(rank.raw_file) * others as u64 };
            });
            findings.sort_by_key(|one| one.to_bytes());
            findings
        })
    }

    fn rank(record: usize) -> Rank {
        Rank { raw_file: 0, record: record as u64 }
    }

    fn random() -> impl FnMut() -> u64 {
        let mut state = 7u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    #[test]
    fn what_goes_is_what_comparing_all_in_order_of_rank_gives_with_any_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut next = random();
        // Hashes near two hundred others, some of them equal; half of all share a quarter of their bits.
        let centres: Vec<u64> =
            (0..200).map(|at| if at % 2 == 0 { next() } else { next() >> 16 | 0xabcd << 48 }).collect();
        let mut hashes: Vec<u64> = Vec::new();
        for at in 0..2000 {
            let flips = (0..next() % 9).map(|_| 1u64 << (next() % 64)).fold(0, |all, bit| all ^ bit);
            hashes.push(centres[at % 200] ^ flips & if at % 3 == 0 { u64::MAX } else { u64::MAX >> 16 });
        }
        let pair = |gone: usize, kept: usize| {
            let similarity = 1.0 - (hashes[gone] ^ hashes[kept]).count_ones() as f32 / 64.0;
            Finding { gone: rank(gone), kept: rank(kept), similarity }
        };
        for distance in [0, 1, 3, 5, 9, 15] {
            let near = |one: usize, other: usize| (hashes[one] ^ hashes[other]).count_ones() <= distance;
            let firsts: Vec<Option<usize>> =
                (0..hashes.len()).map(|at| (0..at).find(|first| hashes[*first] == hashes[at])).collect();
            // For any: of equal ones the first speaks for all.
            let any: Vec<Finding> = (0..hashes.len())
                .filter_map(|at| firsts[at].or_else(|| (0..at).find(|kept| near(at, *kept))).map(|kept| pair(at, kept)))
                .collect();
            assert!(!any.is_empty());
            let rooms = [None, Some((&store, 0)), Some((&store, 900 * HELD)), Some((&store, 1 << 20))];
            let dedup = SimhashDedup { distance: Distance(distance), by: By::Any, ..SimhashDedup::default() };
            for room in rooms {
                let mut found = found(&dedup, &hashes, room);
                found.dedup_by_key(|finding| finding.gone);
                assert!(found == any, "{distance}");
            }
            assert!(corpus::sorted::take_spilled() > 0 || distance < 3);
            let dedup = SimhashDedup { distance: Distance(distance), ..SimhashDedup::default() };
            for others in [0, 300] {
                // In order of rank, a document goes for the first that is near and stays.
                let (mut stay, mut goes, mut marked) = (Vec::new(), Vec::new(), Vec::new());
                for at in 0..hashes.len() {
                    let first = |stay: &[usize]| stay.iter().find(|kept| near(at, **kept)).map(|kept| pair(at, *kept));
                    if at < others {
                        stay.push(at);
                        continue;
                    }
                    match first(&stay) {
                        Some(goes_for) => goes.push(goes_for),
                        None => stay.push(at),
                    }
                    marked.extend(first(&stay[..others]));
                }
                for room in rooms {
                    let found = found(&dedup, &hashes, room);
                    for room in rooms {
                        let [gone, told] = judged(&dedup, &found, others, room);
                        assert!(gone == goes, "{distance}, {others} of another run");
                        assert!(told == marked, "{distance}, {others} of another run");
                    }
                }
            }
            assert!(corpus::sorted::take_spilled() > 0);
        }
        assert_eq!(store.list(".aside").unwrap(), [""; 0]);
    }

    /// The pairs of documents that are all near each other grow with their square.
    #[test]
    fn what_is_found_grows_with_the_documents_not_with_their_pairs() {
        let hashes: Vec<u64> = (0..32).flat_map(|one| (0..one).map(move |other| 1u64 << one | 1 << other)).collect();
        for by in [By::Kept, By::Any] {
            let dedup = SimhashDedup { distance: Distance(5), by, ..SimhashDedup::default() };
            let found = found(&dedup, &hashes, None);
            assert!(found.len() >= hashes.len() - 1 && found.len() <= 6 * hashes.len(), "{}", found.len());
        }
    }

    #[test]
    fn what_has_no_letter_is_like_nothing_but_for_the_original() {
        let texts = ["", "!!!", " \n", "😀", "---", "a", "_", "7"];
        for (by, without) in [(By::Kept, false), (By::Any, true)] {
            let dedup = SimhashDedup { by, ..SimhashDedup::default() };
            for (record, text) in texts.into_iter().enumerate() {
                let id = corpus::DocumentId { raw_file: "c4/a".into(), record: record as u64 };
                let mut keys = Vec::new();
                dedup.sketch(&Document::new(id, text.to_owned(), corpus::Meta::default()), &mut keys);
                assert_eq!(!keys.is_empty(), without || record > 4, "{text:?}");
            }
        }
    }

    #[test]
    fn a_key_tells_its_block() {
        let mut next = random();
        for distance in 0..=15 {
            let dedup = SimhashDedup { distance: Distance(distance), ..SimhashDedup::default() };
            for block in 0..=distance {
                assert_eq!(dedup.block(halves(dedup.key(block, next())).0), block);
            }
        }
    }

    #[test]
    fn bounds_are_checked_where_they_are_written() {
        assert!(serde_saphyr::from_str::<SimhashDedup>("{ distance: 15, shingle: 13 }").is_ok());
        assert!(serde_saphyr::from_str::<SimhashDedup>("{ distance: 16 }").is_err());
        assert!(serde_saphyr::from_str::<SimhashDedup>("{ shingle: 0 }").is_err());
    }
}
