//! Where texts may have a span in common, found without comparing every span with every other.

use std::collections::VecDeque;

use corpus::TokenId;

use crate::Key;
use crate::bloom::mix;

/// What spans are made of: bytes, or tokens.
pub(crate) trait Unit: Copy + Into<u64> {
    /// Units of a seed, at most: longer ones are found in fewer places that have nothing else in common.
    const SEED: usize;
}

impl Unit for u8 {
    const SEED: usize = 32;
}

impl Unit for TokenId {
    /// As many bytes of English.
    const SEED: usize = 8;
}

/// Calls for every window of `length` units, from the first: where it begins, where its seed does, and
/// the seed's number.
///
/// The seed of a window is, of all runs of `length / 2` units (at most 32 bytes or 8 tokens) in it, the
/// first with the smallest number. It depends on the window's units alone: windows that are the same have
/// the same seed in the same place, wherever they stand. Neighbours mostly share one, which is why seeds are
/// few: this is winnowing (Schleimer, Wilkerson, Aiken, 2003).
pub(crate) fn windows<U: Unit>(units: &[U], length: usize, mut call: impl FnMut(usize, usize, u64)) {
    const BASE: u64 = 0xd6e8_feb8_6659_fd93;
    let seed = (length / 2).clamp(1, U::SEED);
    let leaves = BASE.wrapping_pow(seed as u32);
    let value = |unit: U| mix(unit.into() + 1);
    let mut sum = 0u64;
    // Seeds that may still be the smallest of a window: their numbers ascend.
    let mut smallest: VecDeque<(usize, u64)> = VecDeque::new();
    for (at, unit) in units.iter().enumerate() {
        sum = sum.wrapping_mul(BASE).wrapping_add(value(*unit));
        if let Some(gone) = at.checked_sub(seed) {
            sum = sum.wrapping_sub(value(units[gone]).wrapping_mul(leaves));
        }
        let Some(begins) = (at + 1).checked_sub(seed) else { continue };
        let number = mix(sum);
        while smallest.back().is_some_and(|(_, other)| *other > number) {
            smallest.pop_back();
        }
        smallest.push_back((begins, number));
        let Some(start) = (at + 1).checked_sub(length) else { continue };
        while smallest.front().is_some_and(|(begins, _)| *begins < start) {
            smallest.pop_front();
        }
        if let Some((begins, number)) = smallest.front() {
            call(start, *begins, *number);
        }
    }
}

const PRIME: u64 = (1 << 61) - 1;
/// Two bases, drawn once: two windows that differ have the same sums with a chance of about
/// (length / 2^61)^2.
const BASES: [u64; 2] = [0x0b5a_d4ec_e5b6_3f91, 0x1d8a_f066_91c2_ab37];

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let sum = (product as u64 & PRIME) + (product >> 61) as u64;
    if sum >= PRIME { sum - PRIME } else { sum }
}

fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= PRIME { sum - PRIME } else { sum }
}

/// What a window is known by, moved along a text.
pub(crate) struct Rolling {
    length: usize,
    /// Where the window begins and ends.
    start: usize,
    end: usize,
    sums: [u64; 2],
    powers: [u64; 2],
    /// What each byte takes away when it leaves, as what has to be added.
    leaves: Box<[[u64; 2]; 256]>,
}

impl Rolling {
    pub fn new(length: usize) -> Rolling {
        let mut powers = [1; 2];
        for _ in 0..length {
            for (power, base) in powers.iter_mut().zip(BASES) {
                *power = times(*power, base);
            }
        }
        let mut leaves = Box::new([[0; 2]; 256]);
        for (byte, leaves) in leaves.iter_mut().enumerate() {
            *leaves = powers.map(|power| PRIME - times(byte as u64 + 1, power));
        }
        Rolling { length, start: 0, end: 0, sums: [0; 2], powers, leaves }
    }

    fn leaves(&self, unit: u64) -> [u64; 2] {
        // Of more units than bytes it is not worth a table.
        let known = self.leaves.get(unit as usize).copied();
        known.unwrap_or_else(|| self.powers.map(|power| PRIME - times(unit + 1, power)))
    }

    /// What the window that begins at `start`, not before the last one asked for, is known by.
    pub fn key<U: Unit>(&mut self, units: &[U], start: usize) -> Key {
        // What lies between two windows need not be taken in.
        if start >= self.end {
            (self.start, self.end, self.sums) = (start, start, [0; 2]);
        }
        while self.end < start + self.length {
            let (comes, whole) = (units[self.end].into() + 1, self.end - self.start == self.length);
            let leaves = if whole { self.leaves(units[self.start].into()) } else { [0; 2] };
            for ((sum, base), leaves) in self.sums.iter_mut().zip(BASES).zip(leaves) {
                *sum = plus(plus(times(*sum, base), comes), leaves);
            }
            self.start += usize::from(whole);
            self.end += 1;
        }
        let mut key = Key::default();
        key[..8].copy_from_slice(&mix(self.sums[0]).to_be_bytes());
        key[8..].copy_from_slice(&mix(self.sums[1]).to_be_bytes());
        key
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Windows that are the same have the same seed and key, and others another.
    fn check<U: Unit + Ord>(unit: impl Fn(u8) -> U) {
        let mut state = 9u64;
        let mut next = |below: u64| {
            state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            state % below
        };
        for length in [1, 2, 3, 8, 20, 70] {
            let byte = |at: u64| if at % 97 < 80 { (at % 97) as u8 } else { next(3) as u8 };
            let bytes: Vec<U> = (0..400).map(byte).map(&unit).collect();
            let (mut all, mut some) = (Rolling::new(length), Rolling::new(length));
            let mut known: BTreeMap<&[U], (usize, u64, Key)> = BTreeMap::new();
            let mut keys = BTreeSet::new();
            let mut count = 0;
            windows(&bytes, length, |start, seed, number| {
                assert!(seed >= start && seed < start + length);
                let key = all.key(&bytes, start);
                let told = (seed - start, number, key);
                assert_eq!(*known.entry(&bytes[start..start + length]).or_insert(told), told, "{length} at {start}");
                // Whatever was left out before it.
                if next(length as u64) == 0 {
                    assert_eq!(some.key(&bytes, start), key);
                }
                keys.insert(key);
                count += 1;
            });
            assert_eq!(count, bytes.len() + 1 - length);
            assert_eq!(keys.len(), known.len(), "{length}: two windows have one key");
        }
    }
    #[test]
    fn windows_with_the_same_bytes_have_the_same_seed_and_key() {
        check(|byte| byte);
    }

    #[test]
    fn windows_with_the_same_tokens_have_the_same_seed_and_key() {
        check(|byte| u32::MAX - 600 * u32::from(byte));
        check(u32::from);
    }
}
