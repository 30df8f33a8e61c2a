//! What a model makes of windows that it was not trained on.

use crate::cpu::Float;
use crate::data::Data;
use crate::device::Device;
use crate::failure::Result;
use crate::model::{Activations, Batch, Model};
use crate::weights::Weights;

/// The held-out loss of one slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The slice.
    pub slice: String,
    /// The sum of its losses, in nats.
    pub sum: f64,
    /// How many targets counted.
    pub tokens: u64,
    /// Tokens of the slice for each byte of its text, where its catalog says how many bytes there are.
    pub tokens_a_byte: Option<f64>,
}

impl Held {
    /// Mean loss of a token, in nats.
    pub fn loss(&self) -> f64 {
        self.sum / self.tokens.max(1) as f64
    }

    /// How many tokens it is as unsure between.
    pub fn perplexity(&self) -> f64 {
        libm::exp(self.loss())
    }

    /// Bits for a byte of text: comparable between tokenizers.
    pub fn bits_a_byte(&self) -> Option<f64> {
        self.tokens_a_byte.map(|tokens| self.loss() / std::f64::consts::LN_2 * tokens)
    }
}

/// The losses of all held-out windows, slice by slice. `micro` sequences are computed together.
pub fn evaluate<D: Device>(
    model: &Model<'_, D>,
    weights: &Weights<D::Tensor>,
    data: &Data,
    (micro, time): (usize, usize),
    documents: bool,
) -> Result<Vec<Held>> {
    let mut all = Vec::new();
    let mut room: Option<(usize, Activations<D>)> = None;
    for (number, slice) in data.slices.iter().enumerate() {
        let held = data.splits[number].held;
        let tokens_a_byte = slice.text_bytes.filter(|bytes| *bytes > 0).map(|bytes| slice.tokens as f64 / bytes as f64);
        let mut sum = Held { slice: slice.name.clone(), sum: 0.0, tokens: 0, tokens_a_byte };
        let mut at = 0;
        while at < held {
            let next = (at + micro as u64).min(held);
            let sequences = data.held_out(number, at, next)?;
            let count = sequences.slices.len();
            let (_, own) = match room.take() {
                Some(own) if own.0 == count => room.insert(own),
                _ => room.insert((count, model.activations(count, time, false))),
            };
            let scales = vec![D::Scalar::default(); count * time];
            let batch = Batch {
                tokens: &sequences.tokens,
                targets: &sequences.targets,
                starts: documents.then_some(&sequences.starts),
                scales: &scales,
            };
            model.forward(weights, &batch, own);
            for (loss, counts) in model.losses(weights, own).iter().zip(&sequences.counts) {
                if *counts {
                    sum.sum += loss.f64();
                    sum.tokens += 1;
                }
            }
            at = next;
        }
        all.push(sum);
    }
    Ok(all)
}

/// A table of them, for people.
pub fn table(all: &[Held]) -> String {
    let mut text = format!("{:<16} {:>12} {:>8} {:>12} {:>10}\n", "slice", "tokens", "loss", "perplexity", "bits/byte");
    for held in all {
        let bits = held.bits_a_byte().map_or_else(|| "-".to_owned(), |bits| format!("{bits:.4}"));
        let (name, tokens, loss) = (&held.slice, held.tokens, held.loss());
        if tokens == 0 {
            text += &format!("{name:<16} {tokens:>12} {:>8} {:>12} {:>10}\n", "-", "-", "-");
        } else {
            text += &format!("{name:<16} {tokens:>12} {loss:>8.4} {:>12.2} {bits:>10}\n", held.perplexity());
        }
    }
    text
}
