//! Where texts may have a span in common, found without comparing every span with every other.

use std::collections::VecDeque;

use crate::Key;
use crate::bloom::mix;

/// Bytes of a seed, at most: longer ones are found in fewer places that have nothing else in common.
const SEED: usize = 32;

/// Calls for every window of `length` bytes, from the first: where it begins, where its seed does, and
/// the seed's number.
///
/// The seed of a window is, of all runs of `length / 2` bytes (at most 32) in it, the first with the
/// smallest number. It depends on the window's bytes alone: windows with the same bytes have the same seed
/// in the same place, wherever they stand. Neighbours mostly share one, which is why seeds are few: this is
/// winnowing (Schleimer, Wilkerson, Aiken, 2003).
pub(crate) fn windows(bytes: &[u8], length: usize, mut call: impl FnMut(usize, usize, u64)) {
    const BASE: u64 = 0xd6e8_feb8_6659_fd93;
    let seed = (length / 2).clamp(1, SEED);
    let leaves = BASE.wrapping_pow(seed as u32);
    let value = |byte: u8| mix(u64::from(byte) + 1);
    let mut sum = 0u64;
    // Seeds that may still be the smallest of a window: their numbers ascend.
    let mut smallest: VecDeque<(usize, u64)> = VecDeque::new();
    for (at, byte) in bytes.iter().enumerate() {
        sum = sum.wrapping_mul(BASE).wrapping_add(value(*byte));
        if let Some(gone) = at.checked_sub(seed) {
            sum = sum.wrapping_sub(value(bytes[gone]).wrapping_mul(leaves));
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

/// What a window of bytes is known by, moved along a text.
pub(crate) struct Rolling {
    length: usize,
    /// Where the window begins and ends.
    start: usize,
    end: usize,
    sums: [u64; 2],
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
            for (leave, power) in leaves.iter_mut().zip(powers) {
                *leave = PRIME - times(byte as u64 + 1, power);
            }
        }
        Rolling { length, start: 0, end: 0, sums: [0; 2], leaves }
    }

    /// What the window that begins at `start`, not before the last one asked for, is known by.
    pub fn key(&mut self, bytes: &[u8], start: usize) -> Key {
        // What lies between two windows need not be taken in.
        if start >= self.end {
            (self.start, self.end, self.sums) = (start, start, [0; 2]);
        }
        while self.end < start + self.length {
            let (comes, whole) = (u64::from(bytes[self.end]) + 1, self.end - self.start == self.length);
            let leaves = if whole { self.leaves[usize::from(bytes[self.start])] } else { [0; 2] };
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

    #[test]
    fn windows_with_the_same_bytes_have_the_same_seed_and_key() {
        let mut state = 9u64;
        let mut next = |below: u64| {
            state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            state % below
        };
        for length in [1, 2, 3, 8, 20, 70] {
            let byte = |at: u64| if at % 97 < 80 { (at % 97) as u8 } else { next(3) as u8 };
            let bytes: Vec<u8> = (0..400).map(byte).collect();
            let (mut all, mut some) = (Rolling::new(length), Rolling::new(length));
            let mut known: BTreeMap<&[u8], (usize, u64, Key)> = BTreeMap::new();
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
}
