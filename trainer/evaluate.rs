//! What a model makes of windows: those that it was not trained on, or all of a corpus.

use crate::cpu::Float;
use crate::data::{Data, Sequences, Which};
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
    /// Bytes of text that these targets stand for, where a tokenizer says it.
    pub bytes: Option<u64>,
    /// Tokens of the whole slice for each byte of its text, where its catalog says how many bytes there are.
    pub tokens_a_byte: Option<f64>,
}

/// How windows are evaluated.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// Which.
    pub which: Which,
    /// Sequences that are computed together.
    pub micro: usize,
    /// Whether attention stays within documents.
    pub documents: bool,
    /// Bytes of text that each token stands for, by its id; of any that is not here, none.
    pub lengths: Option<&'a [u32]>,
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

    /// Bits for a byte of text, comparable between tokenizers: of the text of these very targets; or, where it is not
    /// known, as if they were as long as tokens of the slice are in the mean.
    pub fn bits_a_byte(&self) -> Option<f64> {
        let tokens_a_byte = match self.bytes {
            Some(0) => None,
            Some(bytes) => Some(self.tokens as f64 / bytes as f64),
            None => self.tokens_a_byte,
        };
        tokens_a_byte.map(|tokens| self.loss() / std::f64::consts::LN_2 * tokens)
    }
}

/// The losses of windows, slice by slice: where all are asked for, of what comes after the last one too.
pub fn evaluate<D: Device>(
    model: &Model<'_, D>,
    weights: &Weights<D::Tensor>,
    data: &Data,
    way: Way<'_>,
) -> Result<Vec<Held>> {
    let Way { which, micro, documents, lengths } = way;
    let mut all = Vec::new();
    let mut room: Option<((usize, usize), Activations<D>)> = None;
    let mut add = |sequences: &Sequences, held: &mut Held| {
        let count = sequences.slices.len();
        let shape = (count, sequences.tokens.len() / count);
        let (_, own) = match room.take() {
            Some(own) if own.0 == shape => room.insert(own),
            _ => room.insert((shape, model.activations(shape.0, shape.1, false))),
        };
        let scales = vec![D::Scalar::default(); sequences.tokens.len()];
        let batch = Batch {
            tokens: &sequences.tokens,
            targets: &sequences.targets,
            starts: documents.then_some(&sequences.starts),
            scales: &scales,
        };
        model.forward(weights, &batch, own);
        let losses = model.losses(weights, own);
        for ((loss, counts), target) in losses.iter().zip(&sequences.counts).zip(&sequences.targets) {
            if *counts {
                held.sum += loss.f64();
                held.tokens += 1;
                if let (Some(bytes), Some(lengths)) = (&mut held.bytes, lengths) {
                    *bytes += lengths.get(*target as usize).copied().map_or(0, u64::from);
                }
            }
        }
    };
    for (number, slice) in data.slices.iter().enumerate() {
        let tokens_a_byte = slice.text_bytes.filter(|bytes| *bytes > 0).map(|bytes| slice.tokens as f64 / bytes as f64);
        let mut sum = Held { slice: slice.name.clone(), sum: 0.0, tokens: 0, bytes: lengths.map(|_| 0), tokens_a_byte };
        let windows = data.evaluated(number, which);
        for from in (0..windows).step_by(micro) {
            add(&data.windows(number, which, from, from.saturating_add(micro as u64))?, &mut sum);
        }
        if which == Which::All {
            let rest = data.rest(number)?;
            if !rest.slices.is_empty() {
                add(&rest, &mut sum);
            }
        }
        all.push(sum);
    }
    Ok(all)
}

/// A table of them, with a note for each.
pub fn noted(all: &[Held], notes: &[String]) -> String {
    let notes = ["windows"].into_iter().chain(notes.iter().map(String::as_str));
    table(all).lines().zip(notes).map(|(line, note)| format!("{line}  {note}\n")).collect()
}

/// A table of them, for people.
pub fn table(all: &[Held]) -> String {
    let mut text = format!("{:<16} {:>12} {:>8} {:>12} {:>10}\n", "slice", "tokens", "loss", "perplexity", "bits/byte");
    for held in all {
        let about = if held.bytes.is_none() { "~" } else { "" };
        let bits = held.bits_a_byte().map_or_else(|| "-".to_owned(), |bits| format!("{about}{bits:.4}"));
        let (name, tokens, loss) = (&held.slice, held.tokens, held.loss());
        if tokens == 0 {
            text += &format!("{name:<16} {tokens:>12} {:>8} {:>12} {:>10}\n", "-", "-", "-");
        } else {
            text += &format!("{name:<16} {tokens:>12} {loss:>8.4} {:>12.2} {bits:>10}\n", held.perplexity());
        }
    }
    text
}
