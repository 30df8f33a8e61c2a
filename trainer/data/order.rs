//! Which window comes when: a pure function of the seed and its number, so that resuming needs one
//! integer and no list is kept.

use crate::failure::{Failure, Result};
use crate::weights::mix;

/// Windows after which the mixture repeats. Shares are rounded to one of so many; a share that would be rounded to
/// none comes behind the others, in some of the periods.
const PERIOD: usize = 1 << 16;
/// Parts of a window a period that a rare slice may have.
const PARTS: u32 = 48;
/// What decides which windows are held out: not the run's seed, so that runs can be compared.
const HELD_OUT: u64 = 0x7661_6c69_6461_7465;

/// A permutation of the numbers below `count`, without a table: a Feistel network of four rounds on
/// the next even power of two, walked until it comes back below `count`.
pub fn permute(count: u64, key: u64, at: u64) -> u64 {
    debug_assert!(at < count);
    let half = (64 - (count - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let mut at = at;
    loop {
        let (mut left, mut right) = (at >> half, at & mask);
        for round in 0..4u64 {
            (left, right) = (right, left ^ (mix(right ^ mix(key ^ round)) & mask));
        }
        at = left << half | right;
        if at < count {
            return at;
        }
    }
}

/// The windows of one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// All of them.
    pub windows: u64,
    /// How many are held out for validation.
    pub held: u64,
}

impl Split {
    /// The window that is the `at`-th held out.
    pub fn held_out(&self, at: u64) -> u64 {
        permute(self.windows, HELD_OUT, at)
    }

    /// The windows to train on.
    pub fn trained(&self) -> u64 {
        self.windows - self.held
    }
}

/// What is drawn, in which order; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Order {
    seed: u64,
    splits: Vec<Split>,
    /// For each place of a period, its slice and how many of that slice came before it there.
    places: Vec<(u16, u32)>,
    /// How many places of a period each slice has.
    quotas: Vec<u64>,
    /// Slices that have none, and what of a window each has in a period, in parts of 2^-48.
    rare: Vec<(usize, u64)>,
}

/// How many windows a rare slice has in so many periods.
fn came(periods: u64, parts: u64) -> u64 {
    ((u128::from(periods) * u128::from(parts)) >> PARTS) as u64
}

impl Order {
    /// Slices with their names, windows and shares; shares need no particular sum.
    pub fn new(seed: u64, slices: &[(String, Split, f64)]) -> Result<Order> {
        let all: f64 = slices.iter().map(|(_, _, share)| share).sum();
        if !(all.is_finite() && all > 0.0) {
            return Err(Failure::configuration("no slice has a share of the mixture"));
        }
        let mut quotas: Vec<u64> = Vec::with_capacity(slices.len());
        let mut rare = Vec::new();
        for (number, (name, split, share)) in slices.iter().enumerate() {
            let quota = (share / all * PERIOD as f64).round() as u64;
            if *share > 0.0 && quota == 0 {
                rare.push((number, (share / all * PERIOD as f64 * (1u64 << PARTS) as f64) as u64));
            }
            if *share > 0.0 && split.trained() == 0 {
                return Err(Failure::configuration(format!("slice `{name}` has too few tokens for one window"))
                    .hint("take shorter sequences, fewer validation windows, or leave the slice out of the mixture"));
            }
            quotas.push(quota);
        }
        let period: u64 = quotas.iter().sum();
        // Whoever is furthest behind its share comes next.
        let mut came = vec![0u64; quotas.len()];
        let mut places = Vec::with_capacity(period as usize);
        for place in 1..=period {
            let behind = |slice: usize| (quotas[slice] * place) as i64 - (came[slice] * period) as i64;
            let next = (0..quotas.len()).rev().max_by_key(|slice| behind(*slice)).unwrap_or(0);
            places.push((next as u16, came[next] as u32));
            came[next] += 1;
        }
        Ok(Order { seed, splits: slices.iter().map(|(_, split, _)| *split).collect(), places, quotas, rare })
    }

    /// The slice and the window of the `number`-th sequence of a run.
    pub fn sequence(&self, number: u64) -> (usize, u64) {
        let (slice, drawn) = self.draw(number);
        let split = self.splits[slice];
        let (epoch, at) = (drawn / split.trained(), drawn % split.trained());
        let key = mix(self.seed ^ mix((slice as u64) << 32 ^ epoch));
        (slice, split.held_out(split.held + permute(split.trained(), key, at)))
    }

    /// The number of the first sequence of a period.
    fn begin(&self, period: u64) -> u64 {
        period * self.places.len() as u64 + self.rare.iter().map(|(_, parts)| came(period, *parts)).sum::<u64>()
    }

    /// The slice of a sequence, and how many of that slice came before it.
    fn draw(&self, number: u64) -> (usize, u64) {
        let places = self.places.len() as u64;
        // With rare slices a period is longer, by one place of each at most.
        let (mut low, mut high) = (number / (places + self.rare.len() as u64), number / places);
        while low < high {
            let middle = high - (high - low) / 2;
            if self.begin(middle) <= number { low = middle } else { high = middle - 1 }
        }
        let (period, mut place) = (low, number - self.begin(low));
        if let Some((slice, rank)) = self.places.get(place as usize) {
            let slice = usize::from(*slice);
            return (slice, period * self.quotas[slice] + u64::from(*rank));
        }
        place -= places;
        for (slice, parts) in &self.rare {
            let before = came(period, *parts);
            if before == came(period + 1, *parts) {
                continue;
            }
            if place == 0 {
                return (*slice, before);
            }
            place -= 1;
        }
        // Not reached: a period has as many places as slices are due in it.
        (0, 0)
    }

    /// How often a slice is seen in so many sequences, as a share of its windows.
    pub fn epochs(&self, slice: usize, sequences: u64) -> f64 {
        match self.splits[slice].trained() {
            0 => 0.0,
            trained => sequences as f64 * self.share(slice) / trained as f64,
        }
    }

    /// A slice's share of what is drawn.
    pub fn share(&self, slice: usize) -> f64 {
        let part = |parts: u64| parts as f64 / (1u64 << PARTS) as f64;
        let period = self.places.len() as f64 + self.rare.iter().map(|(_, parts)| part(*parts)).sum::<f64>();
        let rare = self.rare.iter().find(|(own, _)| *own == slice).map(|(_, parts)| part(*parts));
        rare.unwrap_or(self.quotas[slice] as f64) / period
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_permutation_gives_every_number_once() {
        for count in [1, 2, 3, 7, 64, 65, 1000] {
            let all: BTreeSet<u64> = (0..count).map(|at| permute(count, 5, at)).collect();
            assert_eq!(all, (0..count).collect(), "{count}");
        }
        let order = |key| (0..100).map(|at| permute(100, key, at)).collect::<Vec<_>>();
        assert_ne!(order(1), order(2));
        assert_ne!(order(1), (0..100).collect::<Vec<_>>());
    }

    fn order(seed: u64, rows: &[(u64, u64, f64)]) -> Result<Order> {
        let slices: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(at, (windows, held, share))| (format!("s{at}"), Split { windows: *windows, held: *held }, *share))
            .collect();
        Order::new(seed, &slices)
    }

    #[test]
    fn shares_hold_at_every_moment() {
        let order = order(1, &[(1000, 10, 0.5), (1000, 10, 0.3), (100, 0, 0.2)]).unwrap();
        let mut came = [0u64; 3];
        for number in 0..2000 {
            came[order.sequence(number).0] += 1;
            for (came, share) in came.iter().zip([0.5, 0.3, 0.2]) {
                assert!((*came as f64 - share * (number + 1) as f64).abs() < 1.5, "{number}");
            }
        }
    }

    #[test]
    fn an_epoch_is_every_window_once_and_none_that_is_held_out() {
        let order = order(9, &[(50, 7, 1.0)]).unwrap();
        let held: BTreeSet<u64> = (0..7).map(|at| order.splits[0].held_out(at)).collect();
        let epoch = |number: u64| (43 * number..43 * (number + 1)).map(|at| order.sequence(at).1).collect::<Vec<_>>();
        for number in [0, 1, 2] {
            let seen: BTreeSet<u64> = epoch(number).into_iter().collect();
            assert_eq!((seen.len(), seen.is_disjoint(&held)), (43, true));
        }
        assert_ne!(epoch(0), epoch(1));
    }

    #[test]
    fn an_epoch_goes_on_over_the_end_of_a_period() {
        let order = order(9, &[(40_000, 0, 1.0), (7, 0, 1.0)]).unwrap();
        let windows = (0..80_000).map(|at| order.sequence(at)).filter(|(slice, _)| *slice == 0);
        let seen: BTreeSet<u64> = windows.map(|(_, window)| window).collect();
        assert_eq!(seen.len(), 40_000);
    }

    #[test]
    fn a_slice_however_small_its_share_is_drawn_as_often_as_it_says() {
        let rows = [(40_000, 0, 1.0), (3, 0, 1e-6), (5, 0, 7e-6), (9, 0, 1e-30)];
        let mixed = order(9, &rows).unwrap();
        let mut seen: Vec<Vec<u64>> = vec![Vec::new(); 4];
        for number in 0..4_000_000 {
            let (slice, window) = mixed.sequence(number);
            seen[slice].push(window);
        }
        let counts: Vec<usize> = seen.iter().map(Vec::len).collect();
        assert!((3..=4).contains(&counts[1]) && (27..=28).contains(&counts[2]) && counts[3] == 0, "{counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), 4_000_000);
        // An epoch of each is every window once.
        for (windows, (count, _, _)) in seen.iter().zip(&rows[..3]) {
            for epoch in windows.chunks_exact(*count as usize) {
                assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len() as u64, *count);
            }
        }
        assert!((mixed.share(2) / 7e-6 - 1.0).abs() < 1e-4 && mixed.share(3) < 1e-20);
        assert!((mixed.epochs(1, 4_000_000) - 4.0 / 3.0).abs() < 1e-3);
        // Far on, where a run of all the world's tokens would be, it is soon found, and what is common comes as without.
        assert_eq!(mixed.sequence(u64::MAX >> 4).0, 0);
        let alone = order(9, &rows[..1]).unwrap();
        assert!((0..65_535).all(|number| alone.sequence(number) == mixed.sequence(number)));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (rows, words) in [
            (vec![(10, 0, 0.0)], "no slice"),
            (vec![(10, 10, 1.0)], "too few tokens"),
            (vec![(10, 0, 1.0), (10, 10, 1e-9)], "too few tokens"),
            (vec![(10, 0, f64::NAN)], "no slice"),
        ] {
            assert!(order(0, &rows).unwrap_err().message.contains(words), "{words}");
        }
    }
}
