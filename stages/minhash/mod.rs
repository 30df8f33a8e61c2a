//! MinHash: a few numbers for a text, so that texts which share most of their shingles share most
//! numbers; and the shingles themselves, by which two texts are compared when that matters.

pub mod crowd;
pub mod rp_v2;
mod sketch;
mod words;

pub use sketch::{MOST_BINS, Sketcher};
pub use words::{Fold, MOST_WORDS, shingles};

/// Two numbers become one that depends on all their bits: the halves of the product.
#[inline]
pub(crate) fn mixed(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ (product >> 64) as u64
}

/// The most buckets into which hashes are sorted at once.
const BUCKETS: usize = 1 << 12;

/// Sorts hashes, each once. They are spread evenly, so that their highest bits tell nearly where each
/// belongs: into buckets of a few first, which takes a third of the time of comparing them all.
pub fn sort_distinct(hashes: &mut Vec<u64>) {
    let buckets = (hashes.len() / 4).next_power_of_two().clamp(2, BUCKETS);
    let bucket = |hash: u64| (hash >> (64 - buckets.trailing_zeros())) as usize;
    let mut ends = vec![0usize; buckets + 1];
    for hash in &*hashes {
        ends[bucket(*hash) + 1] += 1;
    }
    for at in 1..=buckets {
        ends[at] += ends[at - 1];
    }
    let mut sorted = vec![0; hashes.len()];
    for hash in &*hashes {
        let place = &mut ends[bucket(*hash)];
        sorted[*place] = *hash;
        *place += 1;
    }
    let mut start = 0;
    for end in &ends[..buckets] {
        sorted[start..*end].sort_unstable();
        start = *end;
    }
    sorted.dedup();
    *hashes = sorted;
}

/// How many numbers two ascending lists share.
fn shared(one: &[u64], other: &[u64]) -> usize {
    let (mut at, mut to, mut count) = (0, 0, 0);
    while at < one.len() && to < other.len() {
        let (a, b) = (one[at], other[to]);
        // Without branches: which of two hashes is less cannot be foreseen.
        count += usize::from(a == b);
        at += usize::from(a <= b);
        to += usize::from(b <= a);
    }
    count
}

/// The Jaccard similarity of two sets, given as ascending lists: what they share of what either has.
/// Two empty sets have nothing in common.
pub fn jaccard(one: &[u64], other: &[u64]) -> f64 {
    let shared = shared(one, other);
    let all = one.len() + other.len() - shared;
    if all == 0 { 0.0 } else { shared as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn hashes_are_sorted_however_they_are_spread() {
        for count in [0, 1, 2, 7, 100, 5_000, 40_000] {
            let spreads: [fn(u64) -> u64; 4] =
                [|n| mixed(n, 0x9e37_79b9_7f4a_7c15), |n| n % 3, |_| 7, |n| u64::MAX - n / 2];
            for spread in spreads {
                let mut hashes: Vec<u64> = (0..count).map(spread).collect();
                let expected: Vec<u64> = hashes.iter().copied().collect::<BTreeSet<u64>>().into_iter().collect();
                sort_distinct(&mut hashes);
                assert_eq!(hashes, expected);
            }
        }
    }

    #[test]
    fn the_similarity_is_that_of_the_sets() {
        let mut state = 1u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..500 {
            let (sizes, range) = ([next(40), next(40)], 1 + next(60));
            let sets = sizes.map(|size| (0..size).map(|_| next(range)).collect::<BTreeSet<u64>>());
            let [one, other] = sets.each_ref().map(|set| set.iter().copied().collect::<Vec<u64>>());
            let union = sets[0].union(&sets[1]).count();
            let expected = if union == 0 { 0.0 } else { sets[0].intersection(&sets[1]).count() as f64 / union as f64 };
            assert_eq!(jaccard(&one, &other), expected, "{one:?} {other:?}");
        }
    }
}
