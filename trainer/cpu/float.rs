//! The two widths of numbers that the CPU computes with: `f32` to train, `f64` to test.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

/// `f32` or `f64`.
pub trait Float:
    Copy
    + Default
    + Debug
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
{
    /// Its bytes.
    const BYTES: usize;
    /// The nearest one.
    fn of(value: f64) -> Self;
    /// The same number.
    fn f64(self) -> f64;
    /// Its square root.
    fn sqrt(self) -> Self;
    /// e to its power; what overflows is the largest or smallest of its kind.
    fn exp(self) -> Self;
    /// Its natural logarithm.
    fn ln(self) -> Self;
    /// Φ(x), the normal distribution up to it, and e^(-x²/2).
    fn normal(self) -> (Self, Self);
    /// The nearest number that 16 bits hold, in `bf16`.
    fn bf16(self) -> Self;
    /// The nearest IEEE half.
    fn fp16(self) -> Self;
    /// Its little-endian bytes.
    fn put(self, out: &mut Vec<u8>);
    /// From its little-endian bytes.
    fn take(bytes: &[u8]) -> Self;
}

impl Float for f64 {
    const BYTES: usize = 8;

    #[inline(always)]
    fn of(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn sqrt(self) -> f64 {
        self.sqrt()
    }

    fn exp(self) -> f64 {
        libm::exp(self)
    }

    fn ln(self) -> f64 {
        libm::log(self)
    }

    fn normal(self) -> (f64, f64) {
        (0.5 * libm::erfc(-self / std::f64::consts::SQRT_2), libm::exp(-0.5 * self * self))
    }

    fn bf16(self) -> f64 {
        f64::from(super::rounding::bf16(super::rounding::narrowed(self)))
    }

    fn fp16(self) -> f64 {
        f64::from(super::rounding::fp16(super::rounding::narrowed(self)))
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn take(bytes: &[u8]) -> f64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(bytes);
        f64::from_le_bytes(eight)
    }
}

impl Float for f32 {
    const BYTES: usize = 4;

    #[inline(always)]
    fn of(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn sqrt(self) -> f32 {
        self.sqrt()
    }

    /// A polynomial on [-ln 2 / 2, ln 2 / 2] and a power of two: no branch and no table, so that the
    /// compiler computes many at once. Coefficients of Cephes' `expf`; good to two units in the last
    /// place (see the test).
    #[inline(always)]
    fn exp(self) -> f32 {
        // Beyond these, 2^n is no normal number.
        let x = self.clamp(-87.3, 88.3);
        // Adding 1.5 · 2^23 rounds to a whole number, which the low bits then hold.
        let shifted = x * std::f32::consts::LOG2_E + 12_582_912.0;
        let n = shifted - 12_582_912.0;
        let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
        let p = 1.987_569_1e-4;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 0.166_666_66;
        let p = p * r + 0.5;
        let value = p * r * r + r + 1.0;
        value * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
    }

    fn ln(self) -> f32 {
        libm::logf(self)
    }

    /// Abramowitz and Stegun 7.1.26, within 1.5e-7: as near as an `f32` near 1 is to the next.
    #[inline(always)]
    fn normal(self) -> (f32, f32) {
        let z = self.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let density = Float::exp(-z * z);
        let t = 1.0 / (1.0 + 0.327_591_1 * z);
        let p = 1.061_405_4;
        let p = p * t - 1.453_152_1;
        let p = p * t + 1.421_413_8;
        let p = p * t - 0.284_496_72;
        let p = p * t + 0.254_829_6;
        let tail = 0.5 * p * t * density;
        (if self < 0.0 { tail } else { 1.0 - tail }, density)
    }

    #[inline(always)]
    fn bf16(self) -> f32 {
        super::rounding::bf16(self)
    }

    #[inline(always)]
    fn fp16(self) -> f32 {
        super::rounding::fp16(self)
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn take(bytes: &[u8]) -> f32 {
        let mut four = [0; 4];
        four.copy_from_slice(bytes);
        f32::from_le_bytes(four)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_precision_is_as_good_as_it_can_be() {
        let (mut worst_exp, mut worst_normal) = (0.0f64, 0.0f64);
        for step in -87_000..88_000 {
            let x = step as f32 * 1e-3;
            let exact = libm::exp(x.f64());
            worst_exp = worst_exp.max((Float::exp(x).f64() - exact).abs() / exact);
            let (below, _) = Float::normal(x);
            worst_normal = worst_normal.max((below.f64() - Float::normal(x.f64()).0).abs());
        }
        assert!(worst_exp < 2.5e-7, "{worst_exp}");
        assert!(worst_normal < 3e-7, "{worst_normal}");
    }

    #[test]
    fn what_overflows_stays_a_number() {
        for x in [f32::MIN, -1000.0, 1000.0, f32::MAX, f32::NEG_INFINITY, f32::INFINITY] {
            assert!(Float::exp(x).is_finite(), "{x}");
        }
        assert!(Float::exp(f32::NAN).is_nan());
    }
}
