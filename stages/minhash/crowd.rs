//! Crowded buckets: which of very many documents with one band in common are worth comparing.
//!
//! A template that thousands of pages fill gives them all the same band, and comparing every two of
//! them is out of the question. Beside its band each sketch therefore says a little of the document's
//! other numbers: one bit of each of forty-eight. Documents of a Jaccard similarity s agree in such a
//! bit with the probability (1 + s) / 2 (Li and König, "b-Bit Minwise Hashing", WWW 2010), so that
//! those that are most alike differ in the fewest. They are looked for among neighbours in a few
//! orders of these bits, as Manku, Jain and Das Sarma do ("Detecting Near-Duplicates for Web
//! Crawling", WWW 2007), and each document is compared with its nearest.

use corpus::Result;

use super::mixed;
use crate::Rank;

/// Bits of its other numbers that a sketch carries.
pub const BITS: usize = 48;

/// Documents among which the nearest are looked for at once, in order of rank.
const TOGETHER: usize = 1 << 14;
/// With so many of the nearest each is compared: with the first eight beside them as many as in a bucket
/// of the usual 64, where each is compared with those before it. Of 400 pairs of pages in one template
/// (`tests/truth`) 0.957 go without, 0.976 with 8 and 0.986 with 24; all go if all are compared.
const NEAREST: usize = 24;
/// In so many orders of the bits: each begins with others.
const ORDERS: usize = 3;
/// So many before a document, in one order, are looked at.
const WINDOW: usize = 64;

/// One bit of each of a sketch's numbers, from which the bits that go with its bands are taken.
pub struct Bits {
    /// Bit after bit, the first in the highest; round and round, until all that is asked for is there.
    words: Vec<u64>,
    numbers: usize,
}

impl Bits {
    /// Those of a sketch.
    pub fn of(numbers: &[u64]) -> Bits {
        let bit = |number: &u64| mixed(number ^ 0x3c6e_f372_fe94_f82b, 0x9e37_79b9_7f4a_7c15) >> 63;
        let once: Vec<u64> = numbers.iter().map(bit).collect();
        let mut words = vec![0; (once.len() + BITS) / 64 + 2];
        for (at, bit) in once.iter().cycle().take(once.len() + BITS).enumerate() {
            words[at / 64] |= bit << (63 - at % 64);
        }
        Bits { words, numbers: once.len() }
    }

    /// The bits that go with one band, of the numbers that follow it: another band's are others.
    pub fn of_band(&self, band: usize, rows: usize) -> u64 {
        let from = (band + 1) * rows % self.numbers.max(1);
        let [high, low] = [self.words[from / 64], self.words[from / 64 + 1]].map(u128::from);
        let both = (high << 64 | low) << (from % 64);
        (both >> (128 - BITS)) as u64
    }
}

/// Of `BITS` bits, so many that all but a few pairs of such a similarity differ in fewer: the mean and
/// four times the root of the variance.
pub fn most_apart(similarity: f64) -> u32 {
    let differs = (1.0 - similarity) / 2.0;
    let mean = BITS as f64 * differs;
    (mean + 4.0 * (mean * (1.0 - differs)).sqrt()).ceil() as u32
}

/// The documents of one crowded bucket, as they come in order of rank.
#[derive(Default)]
pub struct Crowd {
    members: Vec<(Rank, u64)>,
    pairs: u64,
}

impl Crowd {
    /// Adds the next; pairs are handed out when there are enough.
    pub fn push(&mut self, rank: Rank, bits: u64, apart: u32, pair: &mut Pair<'_>) -> Result<()> {
        self.members.push((rank, bits));
        if self.members.len() == TOGETHER { self.hand_out(apart, pair) } else { Ok(()) }
    }

    /// Hands out what is left, and forgets it; how many pairs there were in all.
    pub fn end(&mut self, apart: u32, pair: &mut Pair<'_>) -> Result<u64> {
        self.hand_out(apart, pair)?;
        Ok(std::mem::take(&mut self.pairs))
    }

    fn hand_out(&mut self, apart: u32, pair: &mut Pair<'_>) -> Result<()> {
        let pairs = nearest(&self.members, apart);
        self.pairs += pairs.len() as u64;
        for (gone, kept) in pairs {
            pair(self.members[gone as usize].0, self.members[kept as usize].0)?;
        }
        self.members.clear();
        Ok(())
    }
}

/// Takes the rank of what may go, and of what it may go for.
pub type Pair<'p> = dyn FnMut(Rank, Rank) -> Result<()> + 'p;

/// Pairs of places, the later first: each document with its nearest.
fn nearest(members: &[(Rank, u64)], apart: u32) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    // Copies have the same bits. Each is compared with the first of them, which stands for them all.
    let mut all: Vec<(u64, u32)> = (0..).zip(members).map(|(at, (_, bits))| (*bits, at)).collect();
    all.sort_unstable();
    let mut distinct: Vec<(u64, u32)> = Vec::new();
    for (bits, at) in all {
        match distinct.last() {
            Some(&(same, first)) if same == bits => pairs.push((at, first)),
            _ => distinct.push((bits, at)),
        }
    }
    let mut near = vec![Nearest::default(); members.len()];
    for order in 0..ORDERS {
        let turned = |bits: u64| {
            let by = order * BITS / ORDERS;
            (bits << by | bits >> (BITS - by)) & ((1 << BITS) - 1)
        };
        distinct.sort_unstable_by_key(|(bits, at)| (turned(*bits), *at));
        for (place, (bits, at)) in distinct.iter().enumerate() {
            for (other_bits, other) in &distinct[place.saturating_sub(WINDOW)..place] {
                let differ = (bits ^ other_bits).count_ones();
                if differ <= apart {
                    near[*at as usize].offer(differ, *other);
                    near[*other as usize].offer(differ, *at);
                }
            }
        }
    }
    for (at, near) in (0..).zip(&near) {
        pairs.extend(near.found().map(|other| (at.max(other), at.min(other))));
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// The nearest documents to one, by how many bits differ, then by rank.
#[derive(Clone, Copy, Default)]
struct Nearest {
    found: [(u32, u32); NEAREST],
    count: usize,
}

impl Nearest {
    fn offer(&mut self, differ: u32, other: u32) {
        let new = (differ, other);
        let place = self.found[..self.count].partition_point(|known| *known < new);
        if place == NEAREST || self.found[..self.count].get(place) == Some(&new) {
            return;
        }
        self.count = (self.count + 1).min(NEAREST);
        self.found.copy_within(place..self.count - 1, place + 1);
        self.found[place] = new;
    }

    fn found(&self) -> impl Iterator<Item = u32> {
        self.found[..self.count].iter().map(|(_, other)| *other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(record: u64) -> Rank {
        Rank { raw_file: 0, record }
    }

    /// Bits of documents in pairs that differ in few.
    fn in_pairs(count: u64) -> Vec<u64> {
        let spread = |n: u64| mixed(n + 1, 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16;
        let twin = |n: u64| spread(n / 2) ^ if n % 2 == 1 { 1 << (n % 47) | 1 << (n * 7 % 48) } else { 0 };
        (0..count).map(twin).collect()
    }

    fn pairs_of(bits: &[u64], apart: u32) -> Vec<(u64, u64)> {
        let (mut crowd, mut pairs) = (Crowd::default(), Vec::new());
        let mut note = |gone: Rank, kept: Rank| {
            pairs.push((gone.record, kept.record));
            Ok(())
        };
        for (record, bits) in (0..).zip(bits) {
            crowd.push(rank(record), *bits, apart, &mut note).unwrap();
        }
        let counted = crowd.end(apart, &mut note).unwrap();
        assert_eq!(counted, pairs.len() as u64);
        pairs
    }

    #[test]
    fn twins_in_a_crowd_are_compared() {
        let bits = in_pairs(6_000);
        let pairs = pairs_of(&bits, most_apart(0.8));
        let found = (0..3_000).filter(|twin| pairs.contains(&(2 * twin + 1, 2 * twin))).count();
        assert!(found > 2_900, "{found} of 3,000 twins");
        assert!(pairs.iter().all(|(gone, kept)| kept < gone) && pairs.len() < NEAREST * bits.len());
    }

    #[test]
    fn work_is_bounded_however_large_the_crowd_and_whatever_its_bits() {
        let count = 3 * TOGETHER as u64 + 17;
        for bits in [vec![7; count as usize], in_pairs(count), (0..count).collect()] {
            let pairs = pairs_of(&bits, BITS as u32);
            assert!(pairs.len() <= (NEAREST + 1) * bits.len(), "{}", pairs.len());
            // Of each block all but the first are compared with something.
            assert!(pairs.len() as u64 >= count / 2);
        }
        assert!(pairs_of(&[], 9).is_empty() && pairs_of(&[1], 9).is_empty());
    }

    #[test]
    fn bits_are_of_the_numbers_after_the_band_round_and_round() {
        for (bands, rows) in [(1, 1), (1, 5), (5, 1), (2, 30), (14, 8), (19, 5), (64, 64)] {
            let numbers: Vec<u64> = (0..bands as u64 * rows as u64).map(|n| n * n).collect();
            let bit = |number: u64| mixed(number ^ 0x3c6e_f372_fe94_f82b, 0x9e37_79b9_7f4a_7c15) >> 63;
            let all = Bits::of(&numbers);
            for band in 0..bands {
                let wanted =
                    (0..BITS).fold(0, |bits, at| bits << 1 | bit(numbers[((band + 1) * rows + at) % numbers.len()]));
                assert_eq!(all.of_band(band, rows), wanted, "{bands} × {rows}, {band}");
            }
        }
    }

    #[test]
    fn bits_differ_as_often_as_numbers_do() {
        let numbers = |from: u64| (from..from + 96).map(|n| mixed(n, 0xbb67_ae85_84ca_a73b)).collect::<Vec<u64>>();
        let mut differ = 0;
        for from in 0..200 {
            let (one, mut other) = (numbers(from << 20), numbers(from << 20));
            // A quarter of them are others: so are the bits, in half of the cases.
            other.iter_mut().step_by(4).for_each(|number| *number = mixed(*number, 0x3c6e_f372_fe94_f82b));
            differ += (Bits::of(&one).of_band(3, 6) ^ Bits::of(&other).of_band(3, 6)).count_ones();
        }
        assert!((1_000..1_400).contains(&differ), "{differ} of 9,600 bits, an eighth expected");
        assert_eq!((most_apart(1.0), most_apart(0.8)), (0, 14));
    }
}
