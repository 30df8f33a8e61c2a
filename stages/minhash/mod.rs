//! MinHash: a few numbers for a text, so that texts which share most of their shingles share most
//! numbers; and the shingles themselves, by which two texts are compared when that matters.

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
