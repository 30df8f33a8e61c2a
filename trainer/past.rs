//! What a learner has been through, as far as its next steps depend on it; which steps are skipped.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::precision::LossScale;
use crate::spec::RunPlan;

/// Losses that a spike is compared with.
const WINDOW: usize = 128;
/// Losses without which nothing is called a spike.
const FEWEST: usize = 32;

/// What a learner has been through, as far as later steps depend on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Steps that changed the weights.
    pub updates: u64,
    /// Steps that were skipped.
    pub skipped: u64,
    /// Those of them that came last, one after another. While the scale of the loss can fall, what is too
    /// large for it is not counted here.
    pub in_a_row: u64,
    /// Steps that were skipped for the scale of their loss.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overflowed: u64,
    /// The scale of the loss, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<LossScale>,
    /// The last losses, as bits, so that they are read as they were written.
    losses: VecDeque<u64>,
}

// A checkpoint of a run without a scale says nothing of it.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks with a reference
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why a step was skipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skip {
    /// No target of the batch counts.
    Empty,
    /// The loss or the gradient is not a number.
    NotFinite,
    /// The same, with a loss whose scale can fall.
    Overflow,
    /// The loss is this many deviations above the last ones.
    Spike(f64),
}

impl Past {
    /// Judges a loss and a gradient; remembers a loss that is fine, and what the scale has been through.
    pub fn judge(&mut self, loss: f64, norm: f64, plan: &RunPlan) -> Option<Skip> {
        let (guard, scaling) = (&plan.spec.guard, &plan.spec.scaling);
        let finite = loss.is_finite() && norm.is_finite();
        let falls = self.scale.as_ref().is_some_and(|scale| scale.value() > scaling.min);
        if let Some(scale) = &mut self.scale {
            scale.after(!finite, scaling);
        }
        if !finite {
            return Some(if falls { Skip::Overflow } else { Skip::NotFinite });
        }
        let losses: Vec<f64> = self.losses.iter().map(|bits| f64::from_bits(*bits)).collect();
        if guard.spike > 0.0 && losses.len() >= FEWEST {
            let count = losses.len() as f64;
            let mean = losses.iter().sum::<f64>() / count;
            let variance = losses.iter().map(|loss| (loss - mean) * (loss - mean)).sum::<f64>() / count;
            // Of a loss that never changed, any rise is a spike of no size.
            let above = (loss - mean) / variance.sqrt().max(1e-6);
            if above > guard.spike {
                return Some(Skip::Spike(above));
            }
        }
        self.losses.push_back(loss.to_bits());
        if self.losses.len() > WINDOW {
            self.losses.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_and_what_is_no_number_are_skipped() {
        let plan = |text: &str| {
            let text = format!("model: pythia-14m\nscaling: {{ start: 4 }}\n{text}");
            crate::yaml::read::<crate::spec::RunSpec>("run.yaml", &text, &[]).unwrap().plan().unwrap()
        };
        let (guard, any) = (plan("guard: { spike: 6 }"), plan(""));
        let mut past = Past::default();
        for at in 0..40 {
            assert_eq!(past.judge(3.0 + 0.01 * f64::from(at % 5), 1.0, &guard), None);
        }
        assert_eq!(past.judge(f64::NAN, 1.0, &guard), Some(Skip::NotFinite));
        assert_eq!(past.judge(3.0, f64::INFINITY, &guard), Some(Skip::NotFinite));
        assert!(matches!(past.judge(3.5, 1.0, &guard), Some(Skip::Spike(above)) if above > 6.0));
        let read: Past = serde_json::from_str(&serde_json::to_string(&past).unwrap()).unwrap();
        assert_eq!(read, past);
        assert_eq!(past.judge(3.5, 1.0, &any), None);
        for _ in 0..300 {
            past.judge(3.0, 1.0, &guard);
        }
        assert_eq!(past.losses.len(), WINDOW);
        // With a scale that can fall, what is not a number is no fault of the batch; at its lowest it is.
        past.scale = Some(LossScale::new(&any.spec.scaling));
        let judged: Vec<_> = (0..3).map(|_| past.judge(f64::INFINITY, 1.0, &any)).collect();
        assert_eq!(judged, [Some(Skip::Overflow), Some(Skip::Overflow), Some(Skip::NotFinite)]);
    }
}
