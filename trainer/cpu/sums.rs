//! Loops that vectors follow, and sums whose order is written in them.

use rayon::prelude::*;

use super::Float;

/// Runs a loop with the widest vectors that this processor has. What it computes is the same: sums are
/// written with their order in them.
macro_rules! vectorized {
    ($work:expr) => {
        pulp::Arch::new().dispatch($crate::cpu::sums::Loop(
            #[inline(always)]
            || $work,
        ))
    };
}
pub(super) use vectorized;

/// A loop that is compiled anew for each kind of vectors. A function that the compiler leaves on its own
/// would be compiled for none of them: so the closure is marked, and called by reference, since by value
/// a function stands between.
pub(super) struct Loop<W>(pub W);

impl<R, W: FnMut() -> R> pulp::WithSimd for Loop<W> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

/// How many sums run side by side: the widest vectors hold so many `f32`.
const STRANDS: usize = 16;

/// A sum in strands, which vectors can follow.
#[inline(always)]
pub(super) fn sum<F: Float>(values: &[F]) -> F {
    fold(values.len(), |at| values[at])
}

/// The sum of products, likewise.
#[inline(always)]
pub(super) fn dot<F: Float>(a: &[F], b: &[F]) -> F {
    let b = &b[..a.len()];
    fold(a.len(), |at| a[at] * b[at])
}

#[inline(always)]
pub(super) fn fold<F: Float>(count: usize, value: impl Fn(usize) -> F) -> F {
    let mut strands = [F::default(); STRANDS];
    let whole = count / STRANDS * STRANDS;
    let mut at = 0;
    while at < whole {
        for (strand, sum) in strands.iter_mut().enumerate() {
            *sum += value(at + strand);
        }
        at += STRANDS;
    }
    let mut half = STRANDS / 2;
    while half > 0 {
        for strand in 0..half {
            strands[strand] += strands[strand + half];
        }
        half /= 2;
    }
    let mut sum = strands[0];
    for at in whole..count {
        sum += value(at);
    }
    sum
}

/// The highest of some numbers, at least one; of a NaN it knows nothing.
#[inline(always)]
pub(super) fn highest<F: Float>(values: &[F]) -> F {
    let more = |a: F, b: F| if b > a { b } else { a };
    let mut strands = [values[0]; STRANDS];
    let rows = values.chunks_exact(STRANDS);
    let rest = rows.remainder();
    for some in rows {
        for (strand, value) in strands.iter_mut().zip(some) {
            *strand = more(*strand, *value);
        }
    }
    strands.iter().chain(rest).fold(values[0], |a, b| more(a, *b))
}

/// Every number becomes `e^(scale · (number - highest))`; their sum.
#[inline(always)]
pub(super) fn exponentials<F: Float>(values: &mut [F], highest: F, scale: F) -> F {
    // Apart from the sum: in one loop the compiler takes them one by one.
    for value in values.iter_mut() {
        *value = ((*value - highest) * scale).exp();
    }
    sum(values)
}

/// Adds up the rows that blocks of `ROWS` gave, block after block.
pub(super) fn add_partial<F: Float>(partial: &[Vec<F>], out: &mut [F]) {
    out.par_chunks_mut(1024).enumerate().for_each(|(chunk, out)| {
        for block in partial {
            for (sum, value) in out.iter_mut().zip(&block[chunk * 1024..]) {
                *sum += *value;
            }
        }
    });
}
