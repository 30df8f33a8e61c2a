//! One step of learning: gradients of a batch, added in one order; what is skipped; AdamW.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::cpu::Float;
use crate::data::Sequences;
use crate::device::{AdamStep, Device};
use crate::model::{Activations, Batch, Model};
use crate::spec::{GuardSpec, RunPlan};
use crate::weights::{Weights, specs};

/// Losses that a spike is compared with.
const WINDOW: usize = 128;
/// Losses without which nothing is called a spike.
const FEWEST: usize = 32;

/// A model that learns, with all that its next step depends on.
pub struct Learner<'d, D: Device> {
    model: Model<'d, D>,
    /// The weights.
    pub weights: Weights<D::Tensor>,
    first: D::Tensor,
    second: D::Tensor,
    room: Activations<D>,
    /// Gradients that are not in use, for leaves of the tree of sums.
    spare: Vec<Weights<D::Tensor>>,
    decays: Vec<bool>,
    counts: Vec<usize>,
    documents: bool,
    micro: usize,
    time: usize,
    leaves: usize,
    /// What it has been through.
    pub past: Past,
}

/// What a learner has been through, as far as later steps depend on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Steps that changed the weights.
    pub updates: u64,
    /// Steps that were skipped.
    pub skipped: u64,
    /// Those of them that came last, one after another.
    pub in_a_row: u64,
    /// The last losses, as bits, so that they are read as they were written.
    losses: VecDeque<u64>,
}

/// Why a step was skipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skip {
    /// No target of the batch counts.
    Empty,
    /// The loss or the gradient is not a number.
    NotFinite,
    /// The loss is this many deviations above the last ones.
    Spike(f64),
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// Mean loss of the targets that count, in nats.
    pub loss: f64,
    /// Length of the gradient, before clipping.
    pub norm: f64,
    /// For each slice of the data, the sum of its losses and how many there are.
    pub slices: Vec<(f64, u64)>,
    /// Targets that count.
    pub counted: u64,
    /// Why it was skipped, if it was.
    pub skip: Option<Skip>,
}

impl Past {
    /// Judges a loss and a gradient; remembers a loss that is fine.
    fn judge(&mut self, loss: f64, norm: f64, guard: &GuardSpec) -> Option<Skip> {
        if !(loss.is_finite() && norm.is_finite()) {
            return Some(Skip::NotFinite);
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

impl<'d, D: Device> Learner<'d, D> {
    /// A learner with these weights and no past.
    pub fn new(model: Model<'d, D>, weights: &Weights<Vec<D::Scalar>>, plan: &RunPlan) -> Learner<'d, D> {
        let device = model.device();
        let all = specs(model.config());
        let counts: Vec<usize> = all.iter().map(|spec| spec.count()).collect();
        let total = counts.iter().sum();
        let (micro, time) = (plan.micro as usize, plan.time);
        Learner {
            weights: model.upload(weights),
            first: device.zeros(total),
            second: device.zeros(total),
            room: model.activations(micro, time, true),
            spare: Vec::new(),
            decays: all.iter().map(|spec| spec.decays).collect(),
            counts,
            documents: plan.spec.data.documents,
            micro,
            time,
            leaves: plan.leaves() as usize,
            past: Past::default(),
            model,
        }
    }

    /// The model.
    pub fn model(&self) -> &Model<'d, D> {
        &self.model
    }

    /// Both moments, for a checkpoint.
    pub fn moments(&self) -> [Vec<D::Scalar>; 2] {
        [&self.first, &self.second].map(|tensor| {
            let mut numbers = vec![D::Scalar::default(); self.counts.iter().sum()];
            self.model.device().read(tensor, &mut numbers);
            numbers
        })
    }

    /// Moments from a checkpoint.
    pub fn set_moments(&mut self, moments: &[Vec<D::Scalar>; 2]) {
        self.model.device().write(&mut self.first, &moments[0]);
        self.model.device().write(&mut self.second, &moments[1]);
    }

    /// The weights on the host.
    pub fn weights_on_host(&self) -> Weights<Vec<D::Scalar>> {
        let mut counts = self.counts.iter();
        self.weights.map(|tensor| {
            let mut numbers = vec![D::Scalar::default(); counts.next().copied().unwrap_or(0)];
            self.model.device().read(tensor, &mut numbers);
            numbers
        })
    }

    /// Learns from a step's sequences. A step that is skipped leaves the weights as they were.
    pub fn learn(&mut self, sequences: &Sequences, rate: f64, plan: &RunPlan) -> Learned {
        let counted = sequences.counted();
        let slices = sequences.slices.iter().max().map_or(0, |last| last + 1);
        let mut learned = Learned { loss: 0.0, norm: 0.0, slices: vec![(0.0, 0); slices], counted, skip: None };
        if counted == 0 {
            learned.skip = Some(Skip::Empty);
        } else {
            let gradients = self.gradients(sequences, counted, &mut learned);
            learned.loss = learned.slices.iter().map(|(sum, _)| sum).sum::<f64>() / counted as f64;
            let device = self.model.device();
            learned.norm = gradients.iter().map(|tensor| device.sum_of_squares(tensor)).sum::<f64>().sqrt();
            learned.skip = self.past.judge(learned.loss, learned.norm, &plan.spec.guard);
            if learned.skip.is_none() {
                self.update(&gradients, rate, learned.norm, plan);
            }
            self.spare.push(gradients);
        }
        match learned.skip {
            None => {
                self.past.updates += 1;
                self.past.in_a_row = 0;
            }
            Some(_) => {
                self.past.skipped += 1;
                self.past.in_a_row += 1;
            }
        }
        learned
    }

    /// The gradient of the mean loss. Forward passes fall to the leaves of a binary tree; the shape of
    /// the tree is the plan's, and so is the order of every sum.
    fn gradients(&mut self, sequences: &Sequences, counted: u64, learned: &mut Learned) -> Weights<D::Tensor> {
        let passes = sequences.slices.len() / self.micro;
        let each = passes / self.leaves;
        let mut sums: Vec<(usize, Weights<D::Tensor>)> = Vec::new();
        for leaf in 0..self.leaves {
            let mut sum = self.cleared();
            for pass in leaf * each..(leaf + 1) * each {
                self.pass(sequences, pass, counted, &mut sum, learned);
            }
            let mut size = 1;
            while let Some((left_size, mut left)) = sums.pop_if(|(left_size, _)| *left_size == size) {
                for (left, right) in left.iter_mut().zip(sum.iter()) {
                    self.model.device().add(right, left);
                }
                self.spare.push(std::mem::replace(&mut sum, left));
                size += left_size;
            }
            sums.push((size, sum));
        }
        // The number of leaves is a power of two: one sum is left.
        sums.pop().map_or_else(|| self.model.gradients(), |(_, sum)| sum)
    }

    fn cleared(&mut self) -> Weights<D::Tensor> {
        match self.spare.pop() {
            Some(mut gradients) => {
                gradients.iter_mut().for_each(|tensor| self.model.device().clear(tensor));
                gradients
            }
            None => self.model.gradients(),
        }
    }

    /// One forward and backward pass over `micro` sequences.
    fn pass(
        &mut self,
        sequences: &Sequences,
        pass: usize,
        counted: u64,
        gradients: &mut Weights<D::Tensor>,
        learned: &mut Learned,
    ) {
        let rows = pass * self.micro * self.time..(pass + 1) * self.micro * self.time;
        let share = D::Scalar::of(1.0 / counted as f64);
        let counts = &sequences.counts[rows.clone()];
        let scales: Vec<D::Scalar> =
            counts.iter().map(|counts| if *counts { share } else { D::Scalar::default() }).collect();
        let batch = Batch {
            tokens: &sequences.tokens[rows.clone()],
            targets: &sequences.targets[rows.clone()],
            starts: self.documents.then_some(&sequences.starts[rows]),
            scales: &scales,
        };
        self.model.forward(&self.weights, &batch, &mut self.room);
        let losses = self.model.backward(&self.weights, &mut self.room, gradients);
        for (row, (loss, counts)) in losses.iter().zip(counts).enumerate() {
            if *counts {
                let slice = sequences.slices[pass * self.micro + row / self.time];
                learned.slices[slice].0 += loss.f64();
                learned.slices[slice].1 += 1;
            }
        }
    }

    fn update(&mut self, gradients: &Weights<D::Tensor>, rate: f64, norm: f64, plan: &RunPlan) {
        let optimizer = &plan.spec.optimizer;
        // As PyTorch clips.
        let scale = if optimizer.clip > 0.0 { (optimizer.clip / (norm + 1e-6)).min(1.0) } else { 1.0 };
        let mut at = 0;
        let tensors = self.weights.iter_mut().zip(gradients.iter()).zip(&self.decays).zip(&self.counts);
        for (((weight, gradient), decays), count) in tensors {
            let step = AdamStep {
                scale,
                rate,
                beta1: optimizer.beta1,
                beta2: optimizer.beta2,
                epsilon: optimizer.epsilon,
                decay: if *decays { optimizer.decay } else { 0.0 },
                number: self.past.updates + 1,
            };
            self.model.device().adamw(weight, gradient, 0..*count, &mut self.first, &mut self.second, at, &step);
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_and_what_is_no_number_are_skipped() {
        let guard = GuardSpec { spike: 6.0, ..GuardSpec::default() };
        let mut past = Past::default();
        for at in 0..40 {
            assert_eq!(past.judge(3.0 + 0.01 * f64::from(at % 5), 1.0, &guard), None);
        }
        assert_eq!(past.judge(f64::NAN, 1.0, &guard), Some(Skip::NotFinite));
        assert_eq!(past.judge(3.0, f64::INFINITY, &guard), Some(Skip::NotFinite));
        assert!(matches!(past.judge(3.5, 1.0, &guard), Some(Skip::Spike(above)) if above > 6.0));
        let read: Past = serde_json::from_str(&serde_json::to_string(&past).unwrap()).unwrap();
        assert_eq!(read, past);
        assert_eq!(past.judge(3.5, 1.0, &GuardSpec::default()), None);
        for _ in 0..300 {
            past.judge(3.0, 1.0, &guard);
        }
        assert_eq!(past.losses.len(), WINDOW);
    }
}
