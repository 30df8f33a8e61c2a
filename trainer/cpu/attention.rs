//! Causal attention on the CPU: blocks of queries against all keys that they see.

use rayon::prelude::*;

use super::Float;
use super::gemm::{Matrix, multiply};
use super::rounding::round;
use super::sums::{dot, exponentials, highest, vectorized};
use crate::device::{Heads, Precision};

/// Queries that are taken together: their scores stay in the cache.
const QUERIES: usize = 64;

/// One head of one sequence: where its numbers lie.
struct Head<'a, F> {
    /// From the head's first query on.
    qkv: &'a [F],
    heads: Heads,
    /// For each token, the position at which its document begins.
    starts: Option<&'a [u32]>,
}

impl<'a, F: Float> Head<'a, F> {
    fn new(qkv: &'a [F], heads: Heads, starts: Option<&'a [u32]>, sequence: usize, head: usize) -> Head<'a, F> {
        let Heads { time, heads: count, width, .. } = heads;
        Head {
            qkv: &qkv[(sequence * time * count + head) * 3 * width..],
            heads,
            starts: starts.map(|starts| &starts[sequence * time..][..time]),
        }
    }

    /// Part 0, 1 or 2 (queries, keys, values) of some tokens.
    fn part(&self, part: usize, from: usize, to: usize) -> Matrix<'a, F> {
        let stride = self.heads.heads * 3 * self.heads.width;
        let first = if from == to { 0 } else { from * stride + part * self.heads.width };
        Matrix::rows(&self.qkv[first..], to - from, self.heads.width, stride)
    }

    /// The first key that a query sees.
    fn first(&self, query: usize) -> usize {
        self.starts.map_or(0, |starts| starts[query] as usize)
    }

    /// The scores of queries against the keys from the first that any of them sees, unscaled.
    fn scores(&self, from: usize, to: usize, scores: &mut Vec<F>) -> usize {
        let begin = self.first(from);
        let keys = to - begin;
        scores.resize((to - from) * keys, F::default());
        multiply(scores, keys, false, self.part(0, from, to), self.part(1, begin, to).transposed(), 1);
        begin
    }
}

/// See [`crate::device::Device::attention`].
pub(super) fn forward<F: Float>(
    qkv: &[F],
    heads: Heads,
    from: usize,
    starts: Option<&[u32]>,
    out: &mut [F],
    norms: &mut [F],
    precision: Precision,
) {
    let Heads { batch, time, heads: count, width } = heads;
    let rows = time - from;
    let scale = F::of(1.0 / (width as f64).sqrt());
    let done: Vec<(Vec<F>, Vec<F>)> = (0..batch * count)
        .into_par_iter()
        .map(|task| {
            let head = Head::new(qkv, heads, starts, task / count, task % count);
            let (mut out, mut norms) = (vec![F::default(); rows * width], vec![F::default(); rows]);
            let mut scores = Vec::new();
            let mut shares = [F::default(); QUERIES];
            for first in (from..time).step_by(QUERIES) {
                let last = (first + QUERIES).min(time);
                let begin = head.scores(first, last, &mut scores);
                let keys = last - begin;
                for query in first..last {
                    let row = &mut scores[(query - first) * keys..][..keys];
                    let seen = head.first(query) - begin..query + 1 - begin;
                    (shares[query - first], norms[query - from]) = vectorized!(soften(row, seen.clone(), scale));
                }
                // What is summed is exact; what values are multiplied with is as a GPU's units take it.
                round(&mut scores, precision);
                let weights = Matrix::rows(&scores, last - first, keys, keys);
                let out = &mut out[(first - from) * width..];
                multiply(out, width, false, weights, head.part(2, begin, last), 1);
                // Fewer products than if every exponential were made a share.
                for (out, share) in out.chunks_exact_mut(width).zip(&shares[..last - first]) {
                    out.iter_mut().for_each(|out| *out *= *share);
                }
            }
            round(&mut out, precision);
            (out, norms)
        })
        .collect();
    gather(out, (batch, rows), count, width, |sequence, head| &done[sequence * count + head].0);
    gather(norms, (batch, rows), count, 1, |sequence, head| &done[sequence * count + head].1);
}

/// Scores become exponentials, and zero where nothing is seen; what makes them sum to 1, and the
/// logarithm of their sum.
#[inline(always)]
fn soften<F: Float>(row: &mut [F], seen: std::ops::Range<usize>, scale: F) -> (F, F) {
    let (begin, end) = (seen.start, seen.end);
    row[..begin].fill(F::default());
    row[end..].fill(F::default());
    let row = &mut row[begin..end];
    let highest = highest(row);
    let sum = exponentials(row, highest, scale);
    (F::of(1.0) / sum, highest * scale + sum.ln())
}

/// See [`crate::device::Device::attention_backward`].
pub(super) fn backward<F: Float>(
    qkv: &[F],
    heads: Heads,
    starts: Option<&[u32]>,
    (out, norms, dout): (&[F], &[F], &[F]),
    dqkv: &mut [F],
    precision: Precision,
) {
    let Heads { batch, time, heads: count, width } = heads;
    let scale = F::of(1.0 / (width as f64).sqrt());
    let done: Vec<Vec<F>> = (0..batch * count)
        .into_par_iter()
        .map(|task| {
            let (sequence, at) = (task / count, task % count);
            let head = Head::new(qkv, heads, starts, sequence, at);
            let row = |token: usize| ((sequence * time + token) * count + at) * width;
            let mut grown = vec![F::default(); time * 3 * width];
            let (mut scores, mut shares) = (Vec::new(), Vec::new());
            for first in (0..time).step_by(QUERIES) {
                let last = (first + QUERIES).min(time);
                let begin = head.scores(first, last, &mut shares);
                let keys = last - begin;
                let douts = Matrix::rows(&dout[row(first)..], last - first, width, count * width);
                scores.resize((last - first) * keys, F::default());
                multiply(&mut scores, keys, false, douts, head.part(2, begin, last).transposed(), 1);
                for query in first..last {
                    let place = (query - first) * keys..(query - first + 1) * keys;
                    let (share, score) = (&mut shares[place.clone()], &mut scores[place]);
                    let seen = head.first(query) - begin..query + 1 - begin;
                    let norm = norms[(sequence * time + query) * count + at];
                    let (out, dout) = (&out[row(query)..][..width], &dout[row(query)..][..width]);
                    vectorized!({
                        let dot = dot(out, dout);
                        share[..seen.start].fill(F::default());
                        share[seen.end..].fill(F::default());
                        score[..seen.start].fill(F::default());
                        score[seen.end..].fill(F::default());
                        for (share, score) in share[seen.clone()].iter_mut().zip(&mut score[seen.clone()]) {
                            *share = (*share * scale - norm).exp();
                            *score = *share * (*score - dot) * scale;
                        }
                    });
                }
                round(&mut shares, precision);
                round(&mut scores, precision);
                let shares = Matrix::rows(&shares, last - first, keys, keys);
                let scores = Matrix::rows(&scores, last - first, keys, keys);
                let dq = &mut grown[first * 3 * width..];
                multiply(dq, 3 * width, false, scores, head.part(1, begin, last), 1);
                let dk = &mut grown[begin * 3 * width + width..];
                multiply(dk, 3 * width, true, scores.transposed(), head.part(0, first, last), 1);
                let dv = &mut grown[begin * 3 * width + 2 * width..];
                multiply(dv, 3 * width, true, shares.transposed(), douts, 1);
            }
            round(&mut grown, precision);
            grown
        })
        .collect();
    gather(dqkv, (batch, time), count, 3 * width, |sequence, head| &done[sequence * count + head]);
}

/// Puts heads that were computed apart side by side: `out` is `[sequences][rows][heads][width]`.
fn gather<'a, F: Float>(
    out: &mut [F],
    (sequences, rows): (usize, usize),
    heads: usize,
    width: usize,
    of: impl Fn(usize, usize) -> &'a Vec<F> + Sync,
) {
    let out = &mut out[..sequences * rows * heads * width];
    out.par_chunks_mut(heads * width).enumerate().for_each(|(token, out)| {
        let (sequence, row) = (token / rows, token % rows);
        for (head, out) in out.chunks_mut(width).enumerate() {
            out.copy_from_slice(&of(sequence, head)[row * width..][..width]);
        }
    });
}
