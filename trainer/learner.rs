//! One step of learning: gradients of a batch, added in one order; what is skipped; AdamW.
//!
//! Processes that learn together hold all weights each, and each a part of the moments: it updates the
//! weights of that part and gives them to the others.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::comm::{Beats, Comm};
use crate::cpu::Float;
use crate::data::Sequences;
use crate::device::{AdamStep, Device, Precision};
use crate::failure::{Code, Failure, Result};
use crate::model::{Activations, Batch, Model};
use crate::origin;
pub use crate::past::{Past, Skip};
use crate::precision::LossScale;
use crate::spec::RunPlan;
use crate::weights::{Weights, specs};

/// A model that learns, with all that its next step depends on.
pub struct Learner<'d, D: Device> {
    model: Model<'d, D>,
    /// The weights.
    pub weights: Weights<D::Tensor>,
    /// What steps compute with, where it is not the weights themselves: rounded.
    rounded: Option<Weights<D::Tensor>>,
    /// Moments of the weights `own`, all weights being numbered one after another.
    first: D::Tensor,
    second: D::Tensor,
    own: Range<usize>,
    comm: Box<dyn Comm>,
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

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// Mean loss of the targets that count, in nats; 0 where none does.
    pub loss: f64,
    /// Length of the gradient, before clipping.
    pub norm: f64,
    /// For each slice of the data, the sum of its losses and how many there are.
    pub slices: Vec<(f64, u64)>,
    /// Targets that count.
    pub counted: u64,
    /// What the loss was multiplied with, where gradients have a scale.
    pub scale: Option<f64>,
    /// Why it was skipped, if it was.
    pub skip: Option<Skip>,
    /// Whether one of the processes was asked to leave.
    pub leaving: bool,
}

impl<'d, D: Device> Learner<'d, D> {
    /// A learner with these weights and no past, one of the processes of `comm`.
    pub fn new(
        model: Model<'d, D>,
        weights: &Weights<Vec<D::Scalar>>,
        plan: &RunPlan,
        comm: Box<dyn Comm>,
    ) -> Result<Learner<'d, D>> {
        let device = model.device();
        let all = specs(model.config());
        let counts: Vec<usize> = all.iter().map(|spec| spec.count()).collect();
        let total: usize = counts.iter().sum();
        let (rank, size, leaves) = (comm.rank(), comm.size(), plan.leaves() as usize);
        if !leaves.is_multiple_of(size) {
            return Err(Failure::configuration(format!("{size} processes, and a step has work for {leaves}"))
                .hint("the largest power of two that divides `batch` / `micro`, at most 8, is how many can share it"));
        }
        let own = total * rank / size..total * (rank + 1) / size;
        let (micro, time) = (plan.micro as usize, plan.time);
        let weights = model.upload(weights);
        Ok(Learner {
            rounded: model.rounded(&weights),
            weights,
            first: device.zeros(own.len()),
            second: device.zeros(own.len()),
            own,
            comm,
            room: model.activations(micro, time, true),
            spare: Vec::new(),
            decays: all.iter().map(|spec| spec.decays).collect(),
            counts,
            documents: plan.spec.data.documents,
            micro,
            time,
            leaves,
            past: Past::default(),
            model,
        })
    }

    /// The weights that steps compute with: rounded where the device rounds.
    pub fn computing(&self) -> &Weights<D::Tensor> {
        self.rounded.as_ref().unwrap_or(&self.weights)
    }

    /// The model.
    pub fn model(&self) -> &Model<'d, D> {
        &self.model
    }

    /// Whether all processes say the same as the first, by name; an error with what one says otherwise. All ask at once.
    pub fn agree(&mut self, own: &BTreeMap<String, String>) -> Result<()> {
        let written = |error| Failure::new(Code::Failed, format!("cannot tell the other processes: {error}"));
        let all = self.comm.gather(&serde_json::to_vec(own).map_err(written)?)?;
        let all: Vec<BTreeMap<String, String>> =
            all.iter().map(|said| serde_json::from_slice(said).unwrap_or_default()).collect();
        let differ = |(other, said)| Some((other, origin::apart(&all[0], said)?));
        match all.iter().enumerate().find_map(differ) {
            None => Ok(()),
            Some((other, words)) => {
                let message = format!("process {other} trains something else than process 0: {words}");
                Err(Failure::configuration(message)
                    .hint("give all processes the same configuration, data and output folder"))
            }
        }
    }

    /// Lets the other processes know that this one is at work, until what it gives is dropped. No step may be made,
    /// nor anything be asked of the others, meanwhile.
    pub fn beats(&self) -> Beats {
        self.comm.beats()
    }

    /// Both moments of all weights, for a checkpoint: all processes ask for them at once, and the first has
    /// them; no other ever holds more than its part.
    pub fn moments(&mut self) -> Result<[Vec<D::Scalar>; 2]> {
        let mut both = [Vec::new(), Vec::new()];
        for (tensor, whole) in [&self.first, &self.second].into_iter().zip(&mut both) {
            let mut numbers = vec![D::Scalar::default(); self.own.len()];
            self.model.device().read(tensor, 0, &mut numbers);
            if self.comm.rank() > 0 {
                self.comm.collect(&bytes_of(&numbers))?;
                continue;
            }
            // Its own part comes first, and is nowhere twice.
            *whole = numbers;
            whole.reserve_exact(self.counts.iter().sum::<usize>() - self.own.len());
            for part in self.comm.collect(b"")? {
                whole.extend(numbers_of::<D::Scalar>(&part));
            }
        }
        Ok(both)
    }

    /// Moments from a checkpoint, of all weights.
    pub fn set_moments(&mut self, moments: &[Vec<D::Scalar>; 2]) {
        self.model.device().write(&mut self.first, 0, &moments[0][self.own.clone()]);
        self.model.device().write(&mut self.second, 0, &moments[1][self.own.clone()]);
    }

    /// The weights on the host.
    pub fn weights_on_host(&self) -> Weights<Vec<D::Scalar>> {
        let mut counts = self.counts.iter();
        self.weights.map(|tensor| {
            let mut numbers = vec![D::Scalar::default(); counts.next().copied().unwrap_or(0)];
            self.model.device().read(tensor, 0, &mut numbers);
            numbers
        })
    }

    /// Learns from a step's sequences, which all processes are given whole, at once. A step that is skipped
    /// leaves the weights as they were. `leaving` is asked once the gradients are there.
    pub fn learn(
        &mut self,
        sequences: &Sequences,
        rate: f64,
        plan: &RunPlan,
        leaving: &dyn Fn() -> bool,
    ) -> Result<Learned> {
        let counted = sequences.counted();
        let slices = sequences.slices.iter().max().map_or(0, |last| last + 1);
        let slices = vec![(0.0, 0); slices];
        self.past.scale = match (self.model.device().precision(), self.past.scale.take()) {
            (Precision::Fp16, None) => Some(LossScale::new(&plan.spec.scaling)),
            (Precision::Fp16, scale) => scale,
            _ => None,
        };
        let scale = self.past.scale.as_ref().map(LossScale::value);
        let mut learned = Learned { loss: 0.0, norm: 0.0, slices, counted, scale, skip: None, leaving: false };
        if counted == 0 {
            learned.skip = Some(Skip::Empty);
            self.share_losses(&[], &mut learned, leaving)?;
        } else {
            let gradients = self.gradients(sequences, counted, &mut learned, leaving)?;
            learned.loss = learned.slices.iter().map(|(sum, _)| sum).sum::<f64>() / counted as f64;
            let device = self.model.device();
            let scaled = gradients.iter().map(|tensor| device.sum_of_squares(tensor)).sum::<f64>().sqrt();
            learned.norm = scaled / scale.unwrap_or(1.0);
            learned.skip = self.past.judge(learned.loss, learned.norm, plan);
            if learned.skip.is_none() {
                self.update(&gradients, rate, &learned, plan)?;
            }
            self.spare.push(gradients);
        }
        match learned.skip {
            None => {
                self.past.updates += 1;
                self.past.in_a_row = 0;
            }
            Some(Skip::Overflow) => {
                self.past.skipped += 1;
                self.past.overflowed += 1;
            }
            Some(_) => {
                self.past.skipped += 1;
                self.past.in_a_row += 1;
            }
        }
        Ok(learned)
    }

    /// The gradient of the mean loss. Forward passes fall to the leaves of a binary tree; the shape of
    /// the tree is the plan's, and so is the order of every sum. Each process has a subtree.
    fn gradients(
        &mut self,
        sequences: &Sequences,
        counted: u64,
        learned: &mut Learned,
        leaving: &dyn Fn() -> bool,
    ) -> Result<Weights<D::Tensor>> {
        let passes = sequences.slices.len() / self.micro;
        let each = passes / self.leaves;
        let own = self.leaves / self.comm.size();
        let begin = self.comm.rank() * own;
        let mut losses = Vec::new();
        let mut sums: Vec<(usize, Weights<D::Tensor>)> = Vec::new();
        for leaf in begin..begin + own {
            let mut sum = self.cleared();
            for pass in leaf * each..(leaf + 1) * each {
                losses.extend(self.pass(sequences, pass, counted, learned.slices.len(), &mut sum));
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
        self.share_losses(&losses, learned, leaving)?;
        // The number of leaves is a power of two: one sum is left.
        let mut sum = sums.pop().map_or_else(|| self.model.gradients(), |(_, sum)| sum);
        self.share_gradients(&mut sum)?;
        Ok(sum)
    }

    /// Adds the subtrees of all processes, pair by pair. Of two numbers the sum is the same in either
    /// order, so both of a pair come to the same.
    fn share_gradients(&mut self, sum: &mut Weights<D::Tensor>) -> Result<()> {
        let device = self.model.device();
        let mut distance = 1;
        while distance < self.comm.size() {
            let other = self.comm.rank() ^ distance;
            for (tensor, count) in sum.iter_mut().zip(&self.counts) {
                let mut numbers = vec![D::Scalar::default(); *count];
                device.read(tensor, 0, &mut numbers);
                let theirs = numbers_of::<D::Scalar>(&self.comm.swap(other, &bytes_of(&numbers))?);
                for (own, other) in numbers.iter_mut().zip(theirs) {
                    *own += other;
                }
                device.write(tensor, 0, &numbers);
            }
            distance *= 2;
        }
        Ok(())
    }

    /// Sums the losses of all passes in their order, whoever made them, and asks who wants to leave.
    fn share_losses(&mut self, own: &[(f64, u64)], learned: &mut Learned, leaving: &dyn Fn() -> bool) -> Result<()> {
        let mut said = vec![u8::from(leaving())];
        for (sum, count) in own {
            said.extend(sum.to_le_bytes());
            said.extend(count.to_le_bytes());
        }
        for told in self.comm.gather(&said)? {
            learned.leaving |= told.first() == Some(&1);
            for (number, pair) in told[1..].chunks_exact(16).enumerate() {
                let slice = number % learned.slices.len();
                let (mut sum, mut count) = ([0; 8], [0; 8]);
                sum.copy_from_slice(&pair[..8]);
                count.copy_from_slice(&pair[8..]);
                learned.slices[slice].0 += f64::from_le_bytes(sum);
                learned.slices[slice].1 += u64::from_le_bytes(count);
            }
        }
        Ok(())
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

    /// One forward and backward pass over `micro` sequences; for each slice, the sum of its losses and
    /// how many there are.
    fn pass(
        &mut self,
        sequences: &Sequences,
        pass: usize,
        counted: u64,
        slices: usize,
        gradients: &mut Weights<D::Tensor>,
    ) -> Vec<(f64, u64)> {
        let rows = pass * self.micro * self.time..(pass + 1) * self.micro * self.time;
        let scale = self.past.scale.as_ref().map_or(1.0, LossScale::value);
        let share = D::Scalar::of(scale / counted as f64);
        let counts = &sequences.counts[rows.clone()];
        let scales: Vec<D::Scalar> =
            counts.iter().map(|counts| if *counts { share } else { D::Scalar::default() }).collect();
        let batch = Batch {
            tokens: &sequences.tokens[rows.clone()],
            targets: &sequences.targets[rows.clone()],
            starts: self.documents.then_some(&sequences.starts[rows]),
            scales: &scales,
        };
        let weights = self.rounded.as_ref().unwrap_or(&self.weights);
        self.model.forward(weights, &batch, &mut self.room);
        let losses = self.model.backward(weights, &mut self.room, gradients);
        let mut sums = vec![(0.0, 0); slices];
        for (row, (loss, counts)) in losses.iter().zip(counts).enumerate() {
            if *counts {
                let slice = sequences.slices[pass * self.micro + row / self.time];
                sums[slice].0 += loss.f64();
                sums[slice].1 += 1;
            }
        }
        sums
    }

    /// Updates the own part of the weights, and shares it.
    fn update(&mut self, gradients: &Weights<D::Tensor>, rate: f64, learned: &Learned, plan: &RunPlan) -> Result<()> {
        let optimizer = &plan.spec.optimizer;
        // As PyTorch clips.
        let clip = if optimizer.clip > 0.0 { (optimizer.clip / (learned.norm + 1e-6)).min(1.0) } else { 1.0 };
        let scale = clip / learned.scale.unwrap_or(1.0);
        let device = self.model.device();
        let mut shared = Vec::new();
        let mut begin = 0;
        let tensors = self.weights.iter_mut().zip(gradients.iter()).zip(&self.decays).zip(&self.counts);
        for (((weight, gradient), decays), count) in tensors {
            if let Some(range) = part(&self.own, begin, *count) {
                let step = AdamStep {
                    scale,
                    rate,
                    beta1: optimizer.beta1,
                    beta2: optimizer.beta2,
                    epsilon: optimizer.epsilon,
                    decay: if *decays { optimizer.decay } else { 0.0 },
                    number: self.past.updates + 1,
                };
                let at = begin + range.start - self.own.start;
                device.adamw(weight, gradient, range.clone(), &mut self.first, &mut self.second, at, &step);
                if self.comm.size() > 1 {
                    let mut numbers = vec![D::Scalar::default(); range.len()];
                    device.read(weight, range.start, &mut numbers);
                    shared.extend(bytes_of(&numbers));
                }
            }
            begin += count;
        }
        if self.comm.size() > 1 {
            let all: Vec<D::Scalar> = self.comm.gather(&shared)?.iter().flat_map(|part| numbers_of(part)).collect();
            let mut begin = 0;
            for (weight, count) in self.weights.iter_mut().zip(&self.counts) {
                device.write(weight, 0, &all[begin..begin + count]);
                begin += count;
            }
        }
        for (weight, rounded) in self.weights.iter().zip(self.rounded.iter_mut().flat_map(Weights::iter_mut)) {
            device.round(weight, rounded);
        }
        Ok(())
    }
}

/// The part of a tensor, whose first number is `begin` of all, that lies in a range.
fn part(own: &Range<usize>, begin: usize, count: usize) -> Option<Range<usize>> {
    let (from, to) = (own.start.max(begin), own.end.min(begin + count));
    (from < to).then(|| from - begin..to - begin)
}

fn bytes_of<F: Float>(numbers: &[F]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(numbers.len() * F::BYTES);
    numbers.iter().for_each(|number| number.put(&mut bytes));
    bytes
}

fn numbers_of<F: Float>(bytes: &[u8]) -> Vec<F> {
    bytes.chunks_exact(F::BYTES).map(F::take).collect()
}
