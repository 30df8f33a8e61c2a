//! Which n-grams of a text are there more than once, for n from 1 upwards.
//!
//! An n-gram can repeat only where both (n-1)-grams in it do, so each step looks only at the places
//! that the step before left, and names an n-gram by the numbers of its two (n-1)-grams: exactly, with
//! no hash of words that could collide. In natural text few places are left after three steps.

use crate::words::Distinct;

/// A place where a repeated n-gram begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The word that it begins with.
    pub at: u32,
    /// The number of the n-gram, in the order in which n-grams are first seen.
    pub number: u32,
}

/// The repeated n-grams of a text, and room that is used again for the next text.
#[derive(Debug, Default)]
pub struct Repeats {
    n: usize,
    places: Vec<Place>,
    counts: Vec<u32>,
    table: Vec<(u64, u32)>,
}

impl Repeats {
    /// Starts with single words: those that are there more than once.
    pub fn start(&mut self, words: &Distinct) {
        self.n = 1;
        self.counts.clear();
        self.counts.extend_from_slice(&words.counts);
        self.places.clear();
        for (at, number) in words.numbers.iter().enumerate() {
            if words.counts[*number as usize] > 1 {
                self.places.push(Place { at: at as u32, number: *number });
            }
        }
    }

    /// Goes on to n-grams of one word more.
    pub fn lengthen(&mut self) {
        self.n += 1;
        self.counts.clear();
        // The table never fills: it has at least one place more than there are n-grams.
        let size = (self.places.len() + self.places.len() / 2 + 2).next_power_of_two();
        let shift = 64 - size.trailing_zeros();
        self.table.clear();
        self.table.resize(size, (0, 0));
        let mut kept = 0;
        for at in 1..self.places.len() {
            let (first, second) = (self.places[at - 1], self.places[at]);
            if first.at + 1 != second.at {
                continue;
            }
            let key = u64::from(first.number) << 32 | u64::from(second.number);
            let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize;
            let number = loop {
                match self.table[slot] {
                    // Numbers are stored from 1.
                    (_, 0) => {
                        let number = self.counts.len() as u32;
                        self.table[slot] = (key, number + 1);
                        self.counts.push(0);
                        break number;
                    }
                    (known, number) if known == key => break number - 1,
                    _ => slot = (slot + 1) & (size - 1),
                }
            };
            self.counts[number as usize] += 1;
            // Never beyond what was read: this place was `at - 1` or lies before it.
            self.places[kept] = Place { at: first.at, number };
            kept += 1;
        }
        self.places.truncate(kept);
        let counts = &self.counts;
        self.places.retain(|place| counts[place.number as usize] > 1);
    }

    /// Words of an n-gram.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Where repeated n-grams begin, all of their copies, in order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// How often an n-gram is there, by its number.
    pub fn count(&self, number: u32) -> u32 {
        self.counts.get(number as usize).copied().unwrap_or(0)
    }

    /// The n-gram that is there most often, the first of several: where it begins, and how often it
    /// is there. None if no n-gram is there twice.
    pub fn most(&self) -> Option<(u32, u32)> {
        let mut most: Option<(Place, u32)> = None;
        for place in &self.places {
            let count = self.count(place.number);
            if most.is_none_or(|(_, known)| count > known) {
                most = Some((*place, count));
            }
        }
        most.map(|(place, count)| (place.at, count))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::words::{Cut, Words};

    /// Every n-gram of up to 10 words as a map of strings tells it.
    #[track_caller]
    fn check(text: &str) {
        let cut = Cut::white(text);
        let words: Vec<&str> = Words::of(text, &cut).iter().collect();
        let mut repeats = Repeats::default();
        repeats.start(Words::of(text, &cut).distinct());
        for n in 2..=10 {
            repeats.lengthen();
            assert_eq!(repeats.n(), n);
            let mut counts: HashMap<&[&str], u32> = HashMap::new();
            for ngram in words.windows(n) {
                *counts.entry(ngram).or_default() += 1;
            }
            let repeated: Vec<(u32, u32)> = (0u32..)
                .zip(words.windows(n))
                .filter(|(_, ngram)| counts[ngram] > 1)
                .map(|(at, ngram)| (at, counts[ngram]))
                .collect();
            let seen: Vec<(u32, u32)> =
                repeats.places().iter().map(|place| (place.at, repeats.count(place.number))).collect();
            assert_eq!(seen, repeated, "{n}-grams of {text:.60?}");
            let most = repeated.iter().rev().max_by_key(|(_, count)| *count);
            assert_eq!(repeats.most(), most.copied(), "{n}-grams of {text:.60?}");
        }
    }

    #[test]
    fn repeats_are_those_that_a_map_of_strings_finds() {
        check("");
        check("a");
        check("a b a");
        check("a a a a a a a a a a a a");
        check("a b a b a b a b a b c a b a b a");
        check("the cat sat on the mat and the dog sat on the mat and the cat sat on the dog");
        // Words drawn by a fixed rule, in which some runs come back.
        let mut state = 1u32;
        let drawn: String = (0..3000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                format!("{} ", state >> 30)
            })
            .collect();
        check(&drawn);
    }

    #[test]
    fn room_is_used_again() {
        let mut repeats = Repeats::default();
        for text in ["a b c a b c a b c", "x y", "a a"] {
            let cut = Cut::white(text);
            repeats.start(Words::of(text, &cut).distinct());
            repeats.lengthen();
        }
        assert_eq!((repeats.places(), repeats.most()), (&[][..], None));
    }
}
