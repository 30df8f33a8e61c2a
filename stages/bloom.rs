//! A filter that remembers what it has seen in a few bits each, and now and then remembers too much.

use corpus::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Key, Sketch};

/// A Bloom filter instead of an exact comparison.
///
/// It never forgets, and takes something new for something seen at most as often as `error_rate` says,
/// however much it sees: it grows in layers, each with half the errors of the one before, which leaves
/// the sum below the rate. Documents come in the order of the plan, so that what goes does not depend on
/// who ran when. Each of 65,536 slices of all keys has a filter of its own and only one is held: at a rate
/// of 0.01, 10^12 keys take up to 64 MB of memory, not terabytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bloom {
    /// The share of what is new that may be taken for seen, from 0.000000001 to 0.5. RedPajama-V2 and
    /// DCLM use 0.01.
    pub error_rate: ErrorRate,
}

impl Bloom {
    /// A filter that errs so often; a preset's rate is one that may be written.
    pub(crate) const fn of(error_rate: f64) -> Bloom {
        Bloom { error_rate: ErrorRate(error_rate) }
    }
}

/// How often a filter may err.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(transparent, extend("minimum" = 1e-9, "maximum" = 0.5))]
pub struct ErrorRate(f64);

impl<'de> Deserialize<'de> for ErrorRate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<ErrorRate, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if (1e-9..=0.5).contains(&value) {
            return Ok(ErrorRate(value));
        }
        Err(serde::de::Error::custom(format!("{value} is not an error rate from 0.000000001 to 0.5")))
    }
}

/// What a filter remembers.
pub(crate) struct Filter {
    /// Hashes of each key in the first layer; each later one has one more.
    hashes: u32,
    layers: Vec<Layer>,
}

struct Layer {
    bits: Vec<u64>,
    hashes: u32,
    /// How many more keys it takes.
    room: u64,
}

/// Keys of the first layer; each later one takes four times as many.
const FIRST: u64 = 256;

impl Filter {
    pub fn new(options: Bloom) -> Filter {
        // Halvings that bring the error below half the rate: counted, since logarithms may differ from
        // machine to machine.
        let (mut hashes, mut error) = (1, 0.5);
        while error > options.error_rate.0 / 2.0 {
            error /= 2.0;
            hashes += 1;
        }
        Filter { hashes, layers: Vec::new() }
    }

    /// Remembers a key; whether it seems to have been there before.
    pub fn add(&mut self, key: &Key) -> bool {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *key;
        let hash = mix(u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ mix(u64::from_be_bytes(rest)));
        let step = mix(hash) | 1;
        if self.layers.iter().rev().any(|layer| layer.has(hash, step)) {
            return true;
        }
        if self.layers.last().is_none_or(|layer| layer.room == 0) {
            let number = self.layers.len() as u32;
            self.layers.push(Layer::new(FIRST << (2 * number), self.hashes + number));
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.add(hash, step);
        }
        false
    }
}

/// Calls for every sketch whose key seems to have been there before; they come by [`crate::Order::Rank`].
pub(crate) fn seen(
    bloom: Bloom,
    sketches: &mut dyn Iterator<Item = Result<Sketch>>,
    call: &mut dyn FnMut(Sketch) -> Result<()>,
) -> Result<()> {
    let mut slice = None;
    let mut filter = Filter::new(bloom);
    for sketch in sketches {
        let sketch = sketch?;
        let of = Some([sketch.key[0], sketch.key[1]]);
        if of != slice {
            filter = Filter::new(bloom);
            slice = of;
        }
        if filter.add(&sketch.key) {
            call(sketch)?;
        }
    }
    Ok(())
}

impl Layer {
    fn new(room: u64, hashes: u32) -> Layer {
        // A filter that is full has half its bits set: 1 / ln 2 bits for each hash of each key.
        let bits = room * u64::from(hashes) * 14_427 / 10_000;
        Layer { bits: vec![0; bits as usize / 64 + 1], hashes, room }
    }

    fn places(&self, hash: u64, step: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let bits = self.bits.len() as u128 * 64;
        (0..u64::from(self.hashes)).map(move |number| {
            let hash = hash.wrapping_add(step.wrapping_mul(number));
            let bit = ((u128::from(hash) * bits) >> 64) as u64;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    fn has(&self, hash: u64, step: u64) -> bool {
        self.places(hash, step).all(|(word, bit)| self.bits[word] & bit != 0)
    }

    fn add(&mut self, hash: u64, step: u64) {
        for (word, bit) in self.places(hash, step) {
            self.bits[word] |= bit;
        }
        self.room -= 1;
    }
}

/// Spreads a number over all bits: the finalizer of SplitMix64, which takes no two numbers to one.
pub(crate) fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 30;
    hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^= hash >> 27;
    hash = hash.wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        // As unlike random ones as keys may be.
        let mut key = Key::default();
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn it_never_forgets_and_errs_no_more_often_than_it_may() {
        for (error_rate, keys) in [(0.5, 1 << 10), (0.1, 1 << 14), (0.01, 100_000), (0.001, 1 << 17), (1e-9, 5_000)] {
            let mut filter = Filter::new(Bloom { error_rate: ErrorRate(error_rate) });
            let wrong = (0..keys).filter(|number| filter.add(&key(*number))).count() as f64;
            assert!((0..keys).all(|number| filter.add(&key(number))), "{error_rate}: something was forgotten");
            let probes = keys..keys + 20_000;
            let seen = |key: &Key| {
                let hash = mix(u64::from_be_bytes(key[..8].try_into().unwrap()) ^ mix(0));
                filter.layers.iter().any(|layer| layer.has(hash, mix(hash) | 1))
            };
            let errors = probes.filter(|number| seen(&key(*number))).count() as f64;
            // Three standard deviations above what is allowed.
            let allowed = |count: f64| count * error_rate + 3.0 * (count * error_rate).sqrt() + 1.0;
            assert!(errors <= allowed(20_000.0), "{error_rate}: {errors} of 20000");
            assert!(wrong <= allowed(keys as f64), "{error_rate}: {wrong} of {keys}");
        }
    }

    #[test]
    fn its_memory_is_a_few_bits_for_each_key() {
        let mut filter = Filter::new(Bloom { error_rate: ErrorRate(0.01) });
        for number in 0..1 << 20 {
            filter.add(&key(number));
        }
        let bits: usize = filter.layers.iter().map(|layer| layer.bits.len() * 64).sum();
        assert!(bits < 35 << 20, "{} bits for each key", bits >> 20);
    }

    #[test]
    fn a_rate_that_means_nothing_is_an_error() {
        for options in ["{ error_rate: 0 }", "{ error_rate: 0.6 }", "{ error_rate: .nan }", "{}"] {
            assert!(serde_saphyr::from_str::<Bloom>(options).is_err(), "{options}");
        }
    }
}
