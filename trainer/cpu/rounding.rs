//! Numbers rounded as 16 bits hold them, to the nearest, ties to even.

use super::{Float, vectorized};
use crate::device::Precision;

/// Rounds every number.
pub(super) fn round<F: Float>(numbers: &mut [F], precision: Precision) {
    match precision {
        Precision::F32 => {}
        Precision::Bf16 => vectorized!(numbers.iter_mut().for_each(|number| *number = number.bf16())),
        Precision::Fp16 => vectorized!(numbers.iter_mut().for_each(|number| *number = number.fp16())),
    }
}

/// The nearest `bf16`. Beyond the largest it is infinite.
#[inline(always)]
pub(super) fn bf16(number: f32) -> f32 {
    let bits = number.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // Rounding could carry a NaN's bits into the sign.
    if number.is_nan() { number } else { f32::from_bits(rounded) }
}

/// The nearest IEEE half. From 65,520 on it is infinite.
#[inline(always)]
pub(super) fn fp16(number: f32) -> f32 {
    let bits = number.to_bits();
    let normal = f32::from_bits(bits.wrapping_add(0xfff + (bits >> 13 & 1)) & 0xffff_e000);
    let size = number.abs();
    // Between 0.5 and 1 an f32's last place is worth 2^-24, as that of every half below 2^-14.
    let small = ((size + 0.5) - 0.5).copysign(number);
    let rounded = if size < 6.103_515_6e-5 { small } else { normal };
    let bounded = if size >= 65_520.0 { f32::INFINITY.copysign(number) } else { rounded };
    if number.is_nan() { number } else { bounded }
}

/// An `f32` that rounds to 16 bits as a number of 64 does. The nearest would be rounded twice: what lies a little above
/// the middle of two numbers of 16 bits would first come to lie on it. This is the one toward zero, its last bit set
/// where anything is lost.
#[inline(always)]
pub(crate) fn narrowed(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near) == number || number.is_nan() {
        return near;
    }
    let beyond = f64::from(near).abs() > number.abs();
    f32::from_bits((near.to_bits() - u32::from(beyond)) | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_numbers_are_rounded_once() {
        for step in [2f64.powi(-7), 2f64.powi(-10)] {
            let middle = 1.0 + step / 2.0;
            for tiny in [2f64.powi(-23), 2f64.powi(-24), 2f64.powi(-25), 2f64.powi(-40), 2f64.powi(-52)] {
                for sign in [1.0, -1.0] {
                    for (number, right) in [(middle + tiny, 1.0 + step), (middle - tiny, 1.0), (middle, 1.0)] {
                        let number = narrowed(sign * number);
                        let rounded = if step > 0.005 { bf16(number) } else { fp16(number) };
                        assert_eq!(f64::from(rounded), sign * right, "{number:e}");
                    }
                }
            }
        }
        assert_eq!((narrowed(0.0), narrowed(-0.1f32 as f64), narrowed(f64::INFINITY)), (0.0, -0.1, f32::INFINITY));
        assert_eq!((narrowed(1e300), bf16(narrowed(-1e300))), (f32::MAX, f32::NEG_INFINITY));
        assert_eq!((narrowed(1e-300), fp16(narrowed(-1e-300))), (f32::from_bits(1), 0.0));
        assert!(narrowed(f64::NAN).is_nan());
    }

    #[test]
    fn all_that_can_be_rounded_is_rounded_as_it_should_be() {
        // All exponents and signs; significances around every number of 16 bits and every middle.
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x7fff, 0x8000, 0x8001, 0xf000, 0xffff] {
                let number = f32::from_bits(u32::from(high) << 16 | low);
                let (b, h) = (half::bf16::from_f32(number).to_f32(), half::f16::from_f32(number).to_f32());
                if number.is_nan() {
                    assert!(bf16(number).is_nan() && fp16(number).is_nan());
                    continue;
                }
                assert_eq!(bf16(number).to_bits(), b.to_bits(), "{number:e}");
                assert_eq!(fp16(number).to_bits(), h.to_bits(), "{number:e}");
            }
        }
        let mut some = [1.0f32 + 1.0 / 512.0, 65_520.0, f32::NAN];
        round(&mut some, Precision::F32);
        assert_eq!(some[0], 1.0 + 1.0 / 512.0);
        round(&mut some, Precision::Bf16);
        assert!(some[0] == 1.0 && some[1] == 65_536.0 && some[2].is_nan());
        round(&mut some, Precision::Fp16);
        assert!(some[1] == f32::INFINITY);
    }
}
