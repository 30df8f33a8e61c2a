//! What the perceptron does to each of its numbers.

use super::Float;
use crate::device::Gelu;

/// A number bent, and how steep the bend is there.
#[inline(always)]
pub(super) fn gelu_and_slope<F: Float>(gelu: Gelu, x: F) -> (F, F) {
    match gelu {
        Gelu::Erf => {
            let (below, density) = x.normal();
            (x * below, below + x * density * F::of(0.398_942_280_401_432_7))
        }
        Gelu::Tanh => {
            // 0.5 (1 + tanh u) is the logistic function of 2u.
            let (root, cubic) = (F::of(0.797_884_560_802_865_4), F::of(0.044_715));
            let one = F::of(1.0);
            let square = x * x;
            let u = root * x * (one + cubic * square);
            let share = one / (one + (-(u + u)).exp());
            let slope = root * (one + F::of(3.0) * cubic * square);
            (x * share, share + x * share * (one - share) * (slope + slope))
        }
    }
}
