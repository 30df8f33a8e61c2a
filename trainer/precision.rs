//! What numbers are rounded to between kernels, and the scale of a loss whose gradients would be too
//! small for that.
//!
//! Weights and moments are kept in `f32`, and so are gradients of weights, whose sums go over many
//! passes. In `bf16` and `fp16` a step computes with rounded copies of the weights, and rounds
//!
//! ```text
//! forward   each normalisation, product (after its bias and what it is added to), turned query and key,
//!           exponential that values are multiplied with, attention's and the bend's output, logit
//! backward  the gradient of each of these
//! ```
//!
//! to the nearest, ties to even, as a GPU does that stores them in 16 bits. Sums are of `f32` until
//! they are stored; the loss, its softmax, and the sums that a normalisation and attention keep for
//! their gradients are `f32`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::bounds::{self, HIGHEST_SCALE};

/// What is stored between kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As it was computed.
    #[default]
    F32,
    /// 8 bits of exponent as `f32` has, 8 of significance.
    Bf16,
    /// IEEE's half: 11 bits of significance, nothing above 65,504.
    Fp16,
}

impl Precision {
    /// Its name, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Fp16 => "fp16",
        }
    }
}

/// How the loss is scaled in `fp16`: by so much that small gradients are numbers, by so little that large
/// ones are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScalingSpec {
    /// The first scale. As PyTorch's scaler begins; Pythia's began at 2^12, for losses that were the mean
    /// of one GPU's tokens, where here they are the mean of a whole step's.
    #[serde(deserialize_with = "bounds::scale")]
    #[schemars(extend("lies" = bounds::SCALE, "unit" = "×"))]
    pub start: f64,
    /// Steps without an overflow after which it doubles. Pythia's `loss_scale_window`; PyTorch's own is
    /// 2000.
    #[schemars(extend("unit" = "steps"))]
    pub interval: std::num::NonZeroU64,
    /// Overflows since it last grew of which this one lowers it, and so does each after it: 2 lets one pass.
    /// PyTorch's scaler lets none; DeepSpeed's default, and Pythia's, is 2.
    #[schemars(extend("unit" = "overflows"))]
    pub hysteresis: std::num::NonZeroU64,
    /// What it is multiplied with after an overflow. PyTorch's and DeepSpeed's alike.
    #[serde(deserialize_with = "bounds::shrinks")]
    #[schemars(extend("lies" = bounds::SHRINKS, "unit" = "×"))]
    pub backoff: f64,
    /// It never falls below. Pythia's `min_loss_scale`.
    #[serde(deserialize_with = "bounds::scale")]
    #[schemars(extend("lies" = bounds::SCALE, "unit" = "×"))]
    pub min: f64,
}

impl Default for ScalingSpec {
    fn default() -> ScalingSpec {
        let one = std::num::NonZeroU64::MIN;
        ScalingSpec { start: 65_536.0, interval: one.saturating_add(999), hysteresis: one, backoff: 0.5, min: 1.0 }
    }
}

/// The scale of the loss, and how long it has been so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossScale {
    /// As bits, so that it is read as it was written.
    bits: u64,
    /// Steps without an overflow since it changed or would have.
    since: u64,
    /// Overflows since it grew that were let pass.
    #[serde(default, skip_serializing_if = "is_none")]
    spared: u64,
}

// What lets none pass says nothing of it.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks with a reference
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl LossScale {
    /// The first one.
    pub fn new(spec: &ScalingSpec) -> LossScale {
        LossScale { bits: spec.start.max(spec.min).to_bits(), since: 0, spared: 0 }
    }

    /// What the loss is multiplied with.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// After a step: whether it was one too many is what `overflowed` says.
    pub fn after(&mut self, overflowed: bool, spec: &ScalingSpec) {
        self.since += 1;
        if overflowed {
            self.since = 0;
            if self.spared + 1 < spec.hysteresis.get() {
                self.spared += 1;
            } else {
                self.bits = (self.value() * spec.backoff).max(spec.min).to_bits();
            }
        } else if self.since >= spec.interval.get() {
            *self = LossScale { bits: (self.value() * 2.0).min(HIGHEST_SCALE).to_bits(), since: 0, spared: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn scales_are_pytorch_s() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/scaler.json");
        let said: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let interval = said["interval"].as_u64().and_then(std::num::NonZeroU64::new).unwrap();
        let spec = ScalingSpec { interval, min: 1e-9, ..ScalingSpec::default() };
        let mut scale = LossScale::new(&spec);
        let steps = said["overflowed"].as_array().unwrap().iter().zip(said["scales"].as_array().unwrap());
        let (mut count, mut lowest, mut highest) = (0, f64::MAX, 0.0f64);
        for (overflowed, right) in steps {
            assert_eq!(scale.value(), right.as_f64().unwrap(), "step {count}");
            (lowest, highest) = (lowest.min(scale.value()), highest.max(scale.value()));
            scale.after(overflowed.as_bool().unwrap(), &spec);
            count += 1;
        }
        assert!(count == 200 && lowest < 65_536.0 && highest > 65_536.0, "{count} {lowest} {highest}");
    }

    /// By hand, from what DeepSpeed documents of its dynamic scale: an overflow uses up one of the `hysteresis`
    /// that are there, the last of them halves the scale and is not used up; `interval` steps after the last
    /// overflow it doubles, and all are there again.
    #[test]
    fn hysteresis_is_deepspeed_s() {
        // Steps that overflow are capitals; of each step, the scale after it.
        let two = [
            ("a", 16),
            ("B", 16), // one of two is used up
            ("C", 8),
            ("D", 4), // the last one stays used up
            ("e", 4),
            ("f", 4),
            ("g", 8), // the third after an overflow: two are there again
            ("H", 8),
            ("i", 8),
            ("j", 8),
            ("K", 4), // steps that were fine give nothing back
            ("l", 4),
            ("m", 4),
            ("n", 8),
            ("o", 8),
            ("p", 8),
            ("q", 16), // an interval after it grew it grows again
            ("R", 16),
            ("s", 16),
            ("t", 16),
            ("u", 32), // the one that was let pass begins the count anew
        ];
        let three = [
            ("A", 16),
            ("B", 16),
            ("C", 8),
            ("d", 8),
            ("E", 4),
            ("f", 4),
            ("g", 4),
            ("h", 8),
            ("I", 8),
            ("J", 8),
            ("K", 4),
        ];
        let one = [("A", 8), ("b", 8), ("c", 8), ("d", 16), ("E", 8), ("F", 4), ("g", 4)];
        for (hysteresis, steps) in [(2, &two[..]), (3, &three), (1, &one)] {
            let number = |number: u64| std::num::NonZeroU64::new(number).unwrap();
            let spec = ScalingSpec {
                start: 16.0,
                interval: number(3),
                hysteresis: number(hysteresis),
                ..ScalingSpec::default()
            };
            let mut scale = LossScale::new(&spec);
            for (step, right) in steps {
                scale.after(step.chars().all(char::is_uppercase), &spec);
                assert_eq!(scale.value(), f64::from(*right), "{hysteresis}: {step}");
                // As a checkpoint has it.
                scale = serde_json::from_str(&serde_json::to_string(&scale).unwrap()).unwrap();
            }
        }
        assert_eq!(ScalingSpec::default().hysteresis.get(), 1);
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let spec = ScalingSpec { start: 4.0, min: 2.0, ..ScalingSpec::default() };
        let mut scale = LossScale::new(&spec);
        for _ in 0..5 {
            scale.after(true, &spec);
        }
        assert_eq!(scale.value(), 2.0);
        for _ in 0..100_000 {
            scale.after(false, &spec);
        }
        assert_eq!(scale.value(), HIGHEST_SCALE);
        let read: LossScale = serde_json::from_str(&serde_json::to_string(&scale).unwrap()).unwrap();
        assert_eq!(read, scale);
    }
}
