//! The numbers that a text leaves: one minimum in each of some bins.

use super::words::{Fold, shingles};
use super::{mixed, sort_distinct};

/// The most bins of a sketch.
pub const MOST_BINS: usize = 4096;

/// Shingles that are kept until a sketch is whole; in more of them no bin stays empty, unless they
/// are the same few over and over.
const AT_HAND: usize = 4096;

/// Digits of pi, of which the factor of a round is made.
const FACTORS: (u64, u64) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345);

/// Takes sketches with a number of bins: in each the shingle with the least hash of those that fall
/// into it.
///
/// Every shingle falls into one bin, by a hash: a text of a thousand words costs a thousand hashes,
/// not a thousand for each of a hundred permutations. As long as a bin stays empty the shingles are
/// hashed anew and fall once more, behind all that fell before; from round `bins` on, all of them
/// into the bin of that number, so that none stays empty. Two texts have the same in a bin with
/// a probability that is exactly their Jaccard similarity, and bins are drawn without replacement,
/// which scatters less than independent permutations do (Dahlgaard, Knudsen and Thorup, "Fast
/// Similarity Sketching", FOCS 2017).
#[derive(Clone, Copy, Debug)]
pub struct Sketcher {
    /// How many bins.
    pub bins: usize,
}

impl Sketcher {
    /// The sketch of a text's words; nothing if it has none.
    pub fn of_text(self, text: &str, fold: Fold, width: usize) -> Option<Vec<u64>> {
        let mut sketch = vec![u64::MAX; self.bins];
        let mut at_hand: Vec<u64> = Vec::with_capacity((text.len() / 4).min(AT_HAND));
        let mut seen = 0usize;
        shingles(text, fold, width, |hash| {
            self.fall(&mut sketch, hash);
            if seen < AT_HAND {
                at_hand.push(hash);
            }
            seen += 1;
        });
        if seen == 0 {
            return None;
        }
        if seen > at_hand.len() && sketch.contains(&u64::MAX) {
            // The same few over and over: each once.
            at_hand.clear();
            let mut room = 2 * AT_HAND;
            shingles(text, fold, width, |hash| {
                if at_hand.len() == room {
                    at_hand.sort_unstable();
                    at_hand.dedup();
                    room = room.max(2 * at_hand.len());
                }
                at_hand.push(hash);
            });
        }
        self.fill(&mut sketch, at_hand);
        Some(sketch)
    }

    /// The first round.
    #[inline]
    fn fall(self, sketch: &mut [u64], hash: u64) {
        let bin = ((hash >> 32) * self.bins as u64) >> 32;
        let value = hash & 0xffff_ffff;
        if let Some(least) = sketch.get_mut(bin as usize) {
            *least = value.min(*least);
        }
    }

    /// Further rounds, as long as a bin is empty.
    fn fill(self, sketch: &mut [u64], mut hashes: Vec<u64>) {
        let mut empty = sketch.iter().filter(|least| **least == u64::MAX).count();
        if empty > 0 {
            sort_distinct(&mut hashes);
        }
        for round in 1..2 * self.bins as u64 {
            if empty == 0 {
                break;
            }
            // A factor for each round: with one for all, what fell together would fall together again.
            let factor = mixed(round ^ FACTORS.0, FACTORS.1) | 1;
            for hash in &hashes {
                let again = mixed(hash ^ factor, factor);
                let bin = match round.checked_sub(self.bins as u64) {
                    Some(bin) => bin as usize,
                    None => (((again >> 32) * self.bins as u64) >> 32) as usize,
                };
                let Some(least) = sketch.get_mut(bin) else { continue };
                empty -= usize::from(*least == u64::MAX);
                *least = (round << 32 | again & 0xffff_ffff).min(*least);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minhash::Fold;

    /// A text of words by their numbers.
    fn text(words: impl Iterator<Item = u64>) -> String {
        words.map(|word| format!("w{word} ")).collect()
    }

    fn sketch(text: &str) -> Vec<u64> {
        Sketcher { bins: 96 }.of_text(text, Fold::Case, 1).unwrap()
    }

    #[test]
    fn bins_agree_as_often_as_shingles_do() {
        // Shingles of both, and of each alone: few, so that bins stay empty at first, and many.
        for (both, alone) in [(1, 1), (3, 1), (8, 1), (40, 5), (80, 10), (300, 50), (2_000, 1_000)] {
            let jaccard = both as f64 / (both + 2 * alone) as f64;
            let (mut agree, mut squares) = (0.0, 0.0);
            const TIMES: u64 = 400;
            for time in 0..TIMES {
                let from = time * 1_000_000;
                let one = sketch(&text(from..from + both + alone));
                let other = sketch(&text((from..from + both).chain(from + both + alone..from + both + 2 * alone)));
                let equal = one.iter().zip(&other).filter(|(one, other)| one == other).count() as f64 / 96.0;
                agree += equal;
                squares += (equal - jaccard).powi(2);
            }
            // Independent permutations scatter by the root of J (1 - J) / 96; these by no more.
            let (mean, scatter) = (agree / TIMES as f64, (squares / TIMES as f64).sqrt());
            let binomial = (jaccard * (1.0 - jaccard) / 96.0).sqrt();
            assert!(
                (mean - jaccard).abs() < 4.0 * binomial / (TIMES as f64).sqrt(),
                "{both} {alone}: {mean} {jaccard}"
            );
            assert!(scatter < 1.15 * binomial, "{both} {alone}: {scatter} {binomial}");
        }
    }

    #[test]
    fn neither_order_nor_repetition_counts() {
        let once = sketch(&text(0..50));
        assert_eq!(once, sketch(&text((0..50).rev())));
        assert_eq!(once, sketch(&text((0..50).chain(0..50))));
        // More than are at hand at once, and yet bins stay empty.
        assert_eq!(once, sketch(&text((0..20_000).map(|word| word % 50))));
        let many = sketch(&text(0..5_000));
        assert_eq!(many, sketch(&text((0..20_000).map(|word| word % 5_000))));
        assert_eq!(Sketcher { bins: 96 }.of_text(" . ", Fold::Case, 1), None);
        assert!(sketch("one").iter().all(|least| *least != u64::MAX));
    }
}
