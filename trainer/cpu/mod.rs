//! The processor: exact, everywhere, and as quick as its vectors allow.
//!
//! It computes in `f32` to train and in `f64` to test. Work is cut at places that the shapes alone
//! decide, and partial sums are added in order: the bits do not depend on the number of threads.

// Kernels read several rows at the same place.
#![allow(clippy::needless_range_loop)]

mod attention;
mod bend;
mod float;
mod gemm;
mod rounding;
mod sums;

use std::ops::Range;

use rayon::prelude::*;

pub use float::Float;

use crate::device::{AdamStep, Device, Gelu, Heads, Into, Precision, Rotary, Shape};
use crate::weights::Affine;
use bend::gelu_and_slope;
use gemm::{Matrix, multiply};
pub(crate) use rounding::narrowed;
use sums::{add_partial, exponentials, fold, highest, sum, vectorized};

/// Numbers that one thread takes at a time, where each is on its own.
const STRETCH: usize = 16 * 1024;
/// Rows whose partial sums are taken together.
const ROWS: usize = 64;

/// A processor with its threads.
#[derive(Debug)]
pub struct Cpu<F> {
    pool: rayon::ThreadPool,
    precision: Precision,
    numbers: std::marker::PhantomData<F>,
}

impl<F: Float> Cpu<F> {
    /// With so many threads; an error if the system gives none.
    pub fn new(threads: usize) -> Result<Cpu<F>, rayon::ThreadPoolBuildError> {
        Cpu::rounding(threads, Precision::F32)
    }

    /// One that rounds.
    pub fn rounding(threads: usize, precision: Precision) -> Result<Cpu<F>, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build()?;
        Ok(Cpu { pool, precision, numbers: std::marker::PhantomData })
    }

    /// Operations a second that products of large matrices reach on its threads: the best of a few.
    pub fn peak(&self) -> f64 {
        const SIDE: usize = 1024;
        let numbers = vec![F::of(1.0); SIDE * SIDE];
        let mut out = numbers.clone();
        let factor = Matrix::rows(&numbers, SIDE, SIDE, SIDE);
        let mut best = 0.0f64;
        for _ in 0..6 {
            let since = std::time::Instant::now();
            self.pool.install(|| multiply(&mut out, SIDE, false, factor, factor, self.threads()));
            best = best.max(2.0 * (SIDE * SIDE * SIDE) as f64 / since.elapsed().as_secs_f64().max(1e-9));
        }
        best
    }

    /// Rounds what was computed, on the threads of the pool that this runs in.
    fn store(&self, numbers: &mut [F]) {
        if self.precision != Precision::F32 {
            numbers.par_chunks_mut(STRETCH).for_each(|some| rounding::round(some, self.precision));
        }
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

impl<F: Float> Device for Cpu<F> {
    type Scalar = F;
    type Tensor = Vec<F>;
    type Ids = Vec<u32>;

    fn precision(&self) -> Precision {
        self.precision
    }

    fn zeros(&self, count: usize) -> Vec<F> {
        vec![F::default(); count]
    }

    fn ids(&self, count: usize) -> Vec<u32> {
        vec![0; count]
    }

    fn write(&self, to: &mut Vec<F>, at: usize, from: &[F]) {
        to[at..at + from.len()].copy_from_slice(from);
    }

    fn read(&self, from: &Vec<F>, at: usize, to: &mut [F]) {
        to.copy_from_slice(&from[at..at + to.len()]);
    }

    fn write_ids(&self, to: &mut Vec<u32>, from: &[u32]) {
        to[..from.len()].copy_from_slice(from);
    }

    fn clear(&self, tensor: &mut Vec<F>) {
        self.pool.install(|| tensor.par_chunks_mut(STRETCH).for_each(|some| some.fill(F::default())));
    }

    fn copy(&self, from: &Vec<F>, to: &mut Vec<F>, at: usize, count: usize) {
        to[at..at + count].copy_from_slice(&from[..count]);
    }

    fn round(&self, from: &Vec<F>, to: &mut Vec<F>) {
        self.copy(from, to, 0, from.len());
        self.pool.install(|| self.store(to));
    }

    fn add(&self, from: &Vec<F>, to: &mut Vec<F>) {
        assert_eq!(from.len(), to.len(), "a sum of tensors of two lengths");
        self.pool.install(|| {
            to.par_chunks_mut(STRETCH).zip(from.par_chunks(STRETCH)).for_each(|(to, from)| {
                vectorized!({
                    for (to, from) in to.iter_mut().zip(from) {
                        *to += *from;
                    }
                });
            });
        });
    }

    fn sum_of_squares(&self, tensor: &Vec<F>) -> f64 {
        let parts: Vec<f64> = self.pool.install(|| {
            let square = |some: &[F], at: usize| some[at].f64() * some[at].f64();
            let chunks = tensor.par_chunks(STRETCH);
            chunks.map(|some| vectorized!(fold(some.len(), |at| square(some, at)))).collect()
        });
        parts.iter().sum()
    }

    fn embed(&self, ids: &Vec<u32>, count: usize, table: &Vec<F>, width: usize, out: &mut Vec<F>) {
        for (id, out) in ids[..count].iter().zip(out.chunks_exact_mut(width)) {
            out.copy_from_slice(&table[*id as usize * width..][..width]);
        }
    }

    fn embed_backward(&self, ids: &Vec<u32>, count: usize, dout: &Vec<F>, width: usize, dtable: &mut Vec<F>) {
        // Each thread has some rows of the table and looks for their ids: the order of a row's sum is
        // that of the tokens.
        let rows = (dtable.len() / width).div_ceil(4 * self.threads()).max(1);
        self.pool.install(|| {
            dtable.par_chunks_mut(rows * width).enumerate().for_each(|(chunk, dtable)| {
                let own = chunk * rows..chunk * rows + dtable.len() / width;
                for (id, dout) in ids[..count].iter().zip(dout.chunks_exact(width)) {
                    let id = *id as usize;
                    if own.contains(&id) {
                        for (sum, value) in dtable[(id - own.start) * width..][..width].iter_mut().zip(dout) {
                            *sum += *value;
                        }
                    }
                }
            });
        });
    }

    fn layer_norm(
        &self,
        x: &Vec<F>,
        count: usize,
        norm: &Affine<Vec<F>>,
        epsilon: f64,
        out: &mut Vec<F>,
        stats: &mut Vec<F>,
    ) {
        let width = norm.weight.len();
        let (share, epsilon) = (F::of(1.0 / width as f64), F::of(epsilon));
        let (x, out, stats) = (&x[..count * width], &mut out[..count * width], &mut stats[..count * 2]);
        self.pool.install(|| {
            let rows = x.par_chunks(width).zip(out.par_chunks_mut(width)).zip(stats.par_chunks_mut(2));
            rows.with_min_len(8).for_each(|((x, out), stats)| {
                vectorized!({
                    let mean = sum(x) * share;
                    let variance = fold(width, |at| (x[at] - mean) * (x[at] - mean)) * share;
                    let rate = F::of(1.0) / (variance + epsilon).sqrt();
                    for (at, out) in out.iter_mut().enumerate() {
                        *out = (x[at] - mean) * rate * norm.weight[at] + norm.bias[at];
                    }
                    stats[0] = mean;
                    stats[1] = rate;
                });
            });
            self.store(out);
        });
    }

    fn layer_norm_backward(
        &self,
        x: &Vec<F>,
        count: usize,
        norm: &Affine<Vec<F>>,
        stats: &Vec<F>,
        dout: &Vec<F>,
        dx: &mut Vec<F>,
        dnorm: &mut Affine<Vec<F>>,
    ) {
        let width = norm.weight.len();
        let share = F::of(1.0 / width as f64);
        let (x, dout, dx) = (&x[..count * width], &dout[..count * width], &mut dx[..count * width]);
        self.pool.install(|| {
            let blocks = x.par_chunks(ROWS * width).zip(dout.par_chunks(ROWS * width));
            let blocks = blocks.zip(dx.par_chunks_mut(ROWS * width)).zip(stats[..count * 2].par_chunks(ROWS * 2));
            let partial: (Vec<Vec<F>>, Vec<Vec<F>>) = blocks
                .map(|(((x, dout), dx), stats)| {
                    let (mut dweight, mut dbias) = (vec![F::default(); width], vec![F::default(); width]);
                    let rows = x.chunks(width).zip(dout.chunks(width)).zip(dx.chunks_mut(width)).zip(stats.chunks(2));
                    for (((x, dout), dx), stats) in rows {
                        vectorized!({
                            let (mean, rate) = (stats[0], stats[1]);
                            let weight = &norm.weight[..width];
                            for at in 0..width {
                                dweight[at] += dout[at] * ((x[at] - mean) * rate);
                                dbias[at] += dout[at];
                            }
                            let all = fold(width, |at| dout[at] * weight[at]) * share;
                            let along = fold(width, |at| dout[at] * weight[at] * ((x[at] - mean) * rate)) * share;
                            for (at, dx) in dx.iter_mut().enumerate() {
                                *dx += rate * (dout[at] * weight[at] - all - (x[at] - mean) * rate * along);
                            }
                        });
                    }
                    (dweight, dbias)
                })
                .unzip();
            self.store(dx);
            add_partial(&partial.0, &mut dnorm.weight);
            add_partial(&partial.1, &mut dnorm.bias);
        });
    }

    fn linear(&self, x: &Vec<F>, weight: &Vec<F>, bias: Option<&Vec<F>>, shape: Shape, into: Into, out: &mut Vec<F>) {
        let Shape { at, count, ins, outs } = shape;
        let out = &mut out[..count * outs];
        self.pool.install(|| {
            if let Some(bias) = bias {
                out.par_chunks_mut(outs).with_min_len(8).for_each(|row| match into {
                    Into::Set => row.copy_from_slice(bias),
                    Into::Add => {
                        for (out, bias) in row.iter_mut().zip(bias) {
                            *out += *bias;
                        }
                    }
                });
            }
            let keep = bias.is_some() || into == Into::Add;
            let x = Matrix::rows(&x[at * ins..], count, ins, ins);
            multiply(out, outs, keep, x, Matrix::rows(weight, outs, ins, ins).transposed(), self.threads());
            self.store(out);
        });
    }

    fn linear_backward_input(&self, dout: &Vec<F>, weight: &Vec<F>, shape: Shape, dx: &mut Vec<F>) {
        let Shape { at, count, ins, outs } = shape;
        let dx = &mut dx[at * ins..][..count * ins];
        let (dout, weight) = (Matrix::rows(dout, count, outs, outs), Matrix::rows(weight, outs, ins, ins));
        self.pool.install(|| {
            multiply(dx, ins, false, dout, weight, self.threads());
            self.store(dx);
        });
    }

    fn linear_backward_weight(
        &self,
        dout: &Vec<F>,
        x: &Vec<F>,
        shape: Shape,
        dweight: &mut Vec<F>,
        dbias: Option<&mut Vec<F>>,
    ) {
        let Shape { at, count, ins, outs } = shape;
        self.pool.install(|| {
            let rows = Matrix::rows(dout, count, outs, outs);
            let x = Matrix::rows(&x[at * ins..], count, ins, ins);
            multiply(dweight, ins, true, rows.transposed(), x, self.threads());
            if let Some(dbias) = dbias {
                let blocks = dout[..count * outs].par_chunks(ROWS * outs);
                let partial: Vec<Vec<F>> = blocks
                    .map(|rows| {
                        let mut sums = vec![F::default(); outs];
                        vectorized!({
                            for row in rows.chunks_exact(outs) {
                                for (sum, value) in sums.iter_mut().zip(row) {
                                    *sum += *value;
                                }
                            }
                        });
                        sums
                    })
                    .collect();
                add_partial(&partial, dbias);
            }
        });
    }

    fn gelu(&self, gelu: Gelu, x: &Vec<F>, count: usize, out: &mut Vec<F>) {
        self.pool.install(|| {
            let stretches = out[..count].par_chunks_mut(STRETCH).zip(x[..count].par_chunks(STRETCH));
            stretches.for_each(|(out, x)| {
                vectorized!({
                    for (out, x) in out.iter_mut().zip(x) {
                        *out = gelu_and_slope(gelu, *x).0;
                    }
                });
                rounding::round(out, self.precision);
            });
        });
    }

    fn gelu_backward(&self, gelu: Gelu, x: &Vec<F>, count: usize, d: &mut Vec<F>) {
        self.pool.install(|| {
            let stretches = d[..count].par_chunks_mut(STRETCH).zip(x[..count].par_chunks(STRETCH));
            stretches.for_each(|(d, x)| {
                vectorized!({
                    for (d, x) in d.iter_mut().zip(x) {
                        *d *= gelu_and_slope(gelu, *x).1;
                    }
                });
                rounding::round(d, self.precision);
            });
        });
    }

    fn rotate(&self, qkv: &mut Vec<F>, heads: Heads, rotary: Rotary, cos: &Vec<F>, sin: &Vec<F>) {
        let Heads { batch, time, heads: count, width } = heads;
        let half = rotary.turned / 2;
        let sign = F::of(if rotary.back { -1.0 } else { 1.0 });
        self.pool.install(|| {
            let tokens = qkv[..batch * time * count * 3 * width].par_chunks_mut(count * 3 * width);
            tokens.with_min_len(8).enumerate().for_each(|(token, heads)| {
                let position = rotary.first + token % time;
                let (cos, sin) = (&cos[position * half..][..half], &sin[position * half..][..half]);
                vectorized!({
                    for head in heads.chunks_exact_mut(3 * width) {
                        for part in head[..2 * width].chunks_exact_mut(width) {
                            let (a, b) = part[..2 * half].split_at_mut(half);
                            for at in 0..half {
                                let (x, y, turn) = (a[at], b[at], sin[at] * sign);
                                a[at] = x * cos[at] - y * turn;
                                b[at] = y * cos[at] + x * turn;
                            }
                        }
                    }
                });
                rounding::round(heads, self.precision);
            });
        });
    }

    fn attention(
        &self,
        qkv: &Vec<F>,
        heads: Heads,
        from: usize,
        starts: Option<&Vec<u32>>,
        out: &mut Vec<F>,
        norms: &mut Vec<F>,
    ) {
        self.pool
            .install(|| attention::forward(qkv, heads, from, starts.map(Vec::as_slice), out, norms, self.precision));
    }

    fn attention_backward(
        &self,
        qkv: &Vec<F>,
        heads: Heads,
        starts: Option<&Vec<u32>>,
        out: &Vec<F>,
        norms: &Vec<F>,
        dout: &Vec<F>,
        dqkv: &mut Vec<F>,
    ) {
        self.pool.install(|| {
            attention::backward(qkv, heads, starts.map(Vec::as_slice), (out, norms, dout), dqkv, self.precision)
        });
    }

    fn classify(
        &self,
        logits: &mut Vec<F>,
        shape: Shape,
        targets: &Vec<u32>,
        scales: Option<&Vec<F>>,
        losses: &mut Vec<F>,
    ) {
        let Shape { at, count, outs, .. } = shape;
        let (targets, losses) = (&targets[at..at + count], &mut losses[at..at + count]);
        self.pool.install(|| {
            let rows = logits[..count * outs].par_chunks_mut(outs).zip(losses.par_iter_mut());
            rows.enumerate().for_each(|(row, (logits, loss))| {
                vectorized!({
                    let target = targets[row] as usize;
                    let (asked, one) = (logits[target], F::of(1.0));
                    let highest = highest(logits);
                    let all = exponentials(logits, highest, one);
                    *loss = highest + all.ln() - asked;
                    if let Some(scales) = scales {
                        let scale = scales[at + row];
                        let share = scale / all;
                        for logit in logits.iter_mut() {
                            *logit *= share;
                        }
                        logits[target] = logits[target] - scale;
                        rounding::round(logits, self.precision);
                    }
                });
            });
        });
    }

    fn adamw(
        &self,
        weight: &mut Vec<F>,
        gradient: &Vec<F>,
        range: Range<usize>,
        first: &mut Vec<F>,
        second: &mut Vec<F>,
        at: usize,
        step: &AdamStep,
    ) {
        let count = range.len();
        let (weight, gradient) = (&mut weight[range.clone()], &gradient[range]);
        let (first, second) = (&mut first[at..at + count], &mut second[at..at + count]);
        let (scale, keep) = (F::of(step.scale), F::of(1.0 - step.rate * step.decay));
        let (beta1, beta2) = (F::of(step.beta1), F::of(step.beta2));
        let (other1, other2) = (F::of(1.0 - step.beta1), F::of(1.0 - step.beta2));
        // m̂ / (√v̂ + ε), both corrected for their start at zero.
        let number = step.number as f64;
        let rate = F::of(step.rate / (1.0 - libm::pow(step.beta1, number)));
        let root = F::of(1.0 / (1.0 - libm::pow(step.beta2, number)).sqrt());
        let epsilon = F::of(step.epsilon);
        self.pool.install(|| {
            let moments = first.par_chunks_mut(STRETCH).zip(second.par_chunks_mut(STRETCH));
            let stretches = weight.par_chunks_mut(STRETCH).zip(gradient.par_chunks(STRETCH)).zip(moments);
            stretches.for_each(|((weight, gradient), (first, second))| {
                vectorized!({
                    let numbers = weight.iter_mut().zip(gradient).zip(first.iter_mut().zip(second.iter_mut()));
                    for ((weight, gradient), (first, second)) in numbers {
                        let gradient = *gradient * scale;
                        *first = beta1 * *first + other1 * gradient;
                        *second = beta2 * *second + other2 * (gradient * gradient);
                        *weight = *weight * keep - rate * *first / (second.sqrt() * root + epsilon);
                    }
                });
            });
        });
    }
}
