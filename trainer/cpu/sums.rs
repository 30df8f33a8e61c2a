//! Loops that vectors follow, and sums whose order is written in them.

use rayon::prelude::*;

use super::Float;

/// Runs a loop with the widest vectors that this processor has. What it computes is the same: sums are
/// written with their order in them. (A closure that the compiler leaves a function of its own would be
/// compiled without these vectors.)
macro_rules! vectorized {
    ($work:expr) => {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || $work,
        )
    };
}
pub(super) use vectorized;

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
