//! GPT-NeoX, forward and backward, written once for every device.
//!
//! `x` is the residual stream. A layer of INCITE adds what attention gives before the perceptron looks
//! (sequential); one of Pythia adds both at once (parallel):
//!
//! ```text
//! sequential  h = x + attention(norm₁ x)    y = h + perceptron(norm₂ h)
//! parallel    y = x + attention(norm₁ x) + perceptron(norm₂ x)
//! ```

use crate::config::Config;
use crate::cpu::Float;
use crate::device::{Device, Gelu, Heads, Into, Precision, Rotary, Shape};
use crate::weights::{Block, Weights};

/// Rows of logits that are there at once: with a vocabulary of 50,432 they are 100 MB in `f32`.
pub(crate) const LOGIT_ROWS: usize = 512;

/// A model of one configuration on one device; its weights are kept beside it.
pub struct Model<'d, D: Device> {
    device: &'d D,
    config: Config,
    cos: D::Tensor,
    sin: D::Tensor,
}

/// What one layer leaves for its gradient.
struct Saved<D: Device> {
    norm1: D::Tensor,
    stats1: D::Tensor,
    qkv: D::Tensor,
    attended: D::Tensor,
    norms: D::Tensor,
    /// The stream between attention and perceptron, of a sequential layer.
    middle: Option<D::Tensor>,
    norm2: D::Tensor,
    stats2: D::Tensor,
    up: D::Tensor,
    gelu: D::Tensor,
}

/// Tensors for one batch, allocated once and used in every step.
pub struct Activations<D: Device> {
    batch: usize,
    time: usize,
    tokens: D::Ids,
    targets: D::Ids,
    starts: D::Ids,
    /// Whether attention stays within documents.
    documents: bool,
    /// What a row's gradient is worth.
    scales: D::Tensor,
    losses: D::Tensor,
    /// The stream before each layer, and after the last.
    stream: Vec<D::Tensor>,
    saved: Vec<Saved<D>>,
    last: D::Tensor,
    last_stats: D::Tensor,
    logits: D::Tensor,
    backward: Option<Backward<D>>,
}

/// Tensors for some tokens of one text, without gradients.
pub struct Inference<D: Device> {
    tokens: D::Ids,
    x: D::Tensor,
    y: D::Tensor,
    saved: Saved<D>,
    stats: D::Tensor,
    /// The stream of each token after the last normalisation.
    pub last: D::Tensor,
    /// Room for the logits of one token.
    pub logits: D::Tensor,
}

/// Gradients on their way through a layer.
struct Backward<D: Device> {
    dstream: D::Tensor,
    dnorm: D::Tensor,
    dattended: D::Tensor,
    dqkv: D::Tensor,
    dup: D::Tensor,
}

/// One batch on the host: all slices have `batch × time` entries, sequence after sequence.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, F> {
    /// What the model reads.
    pub tokens: &'a [u32],
    /// What it should have said: the tokens that come next.
    pub targets: &'a [u32],
    /// For each token the position in its sequence at which its document begins; without it, attention
    /// goes on across documents, as GPT-NeoX's did.
    pub starts: Option<&'a [u32]>,
    /// What each row counts in the gradient: 0 for what is masked.
    pub scales: &'a [F],
}

impl<'d, D: Device> Model<'d, D> {
    /// A model whose weights the caller keeps.
    pub fn new(device: &'d D, config: &Config) -> Model<'d, D> {
        let half = config.turned() / 2;
        let positions = config.max_position_embeddings;
        let mut cos = Vec::with_capacity(positions * half);
        let mut sin = Vec::with_capacity(positions * half);
        for position in 0..positions {
            for at in 0..half {
                // In the device's own width, as Hugging Face computes it in f32: at position 2,000 an
                // angle differs by 1e-4 from the exact one.
                let speed = D::Scalar::of(libm::pow(config.rotary_base, -(2.0 * at as f64) / (2 * half) as f64));
                let angle = D::Scalar::of(position as f64) * speed;
                cos.push(D::Scalar::of(libm::cos(angle.f64())));
                sin.push(D::Scalar::of(libm::sin(angle.f64())));
            }
        }
        let on_device = |numbers: &[D::Scalar]| {
            let mut tensor = device.zeros(numbers.len());
            device.write(&mut tensor, 0, numbers);
            tensor
        };
        Model { device, config: config.clone(), cos: on_device(&cos), sin: on_device(&sin) }
    }

    /// What it was made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its device.
    pub fn device(&self) -> &'d D {
        self.device
    }

    /// Weights brought to the device.
    pub fn upload(&self, weights: &Weights<Vec<D::Scalar>>) -> Weights<D::Tensor> {
        weights.map(|numbers| {
            let mut tensor = self.device.zeros(numbers.len());
            self.device.write(&mut tensor, 0, numbers);
            tensor
        })
    }

    /// Copies of weights in the device's precision, where it is not that of the weights themselves.
    pub fn rounded(&self, weights: &Weights<D::Tensor>) -> Option<Weights<D::Tensor>> {
        if self.device.precision() == Precision::F32 {
            return None;
        }
        let mut copies = self.gradients();
        for (weight, copy) in weights.iter().zip(copies.iter_mut()) {
            self.device.round(weight, copy);
        }
        Some(copies)
    }

    /// Gradients, all zero.
    pub fn gradients(&self) -> Weights<D::Tensor> {
        crate::weights::specs(&self.config).map(|spec| self.device.zeros(spec.count()))
    }

    fn saved(&self, rows: usize) -> Saved<D> {
        let (d, ff) = (self.config.hidden_size, self.config.intermediate_size);
        let zeros = |count: usize| self.device.zeros(rows * count);
        Saved {
            norm1: zeros(d),
            stats1: zeros(2),
            qkv: zeros(3 * d),
            attended: zeros(d),
            norms: zeros(self.config.num_attention_heads),
            middle: (!self.config.use_parallel_residual).then(|| zeros(d)),
            norm2: zeros(d),
            stats2: zeros(2),
            up: zeros(ff),
            gelu: zeros(ff),
        }
    }

    /// Room for batches of this shape; `training` for their gradients too.
    pub fn activations(&self, batch: usize, time: usize, training: bool) -> Activations<D> {
        let (d, ff, layers) = (self.config.hidden_size, self.config.intermediate_size, self.config.num_hidden_layers);
        let rows = batch * time;
        let zeros = |count: usize| self.device.zeros(rows * count);
        Activations {
            batch,
            time,
            tokens: self.device.ids(rows),
            targets: self.device.ids(rows),
            starts: self.device.ids(rows),
            documents: false,
            scales: zeros(1),
            losses: zeros(1),
            stream: (0..=layers).map(|_| zeros(d)).collect(),
            // Without gradients one layer's room serves them all.
            saved: (0..if training { layers } else { 1 }).map(|_| self.saved(rows)).collect(),
            last: zeros(d),
            last_stats: zeros(2),
            logits: self.device.zeros(rows.min(LOGIT_ROWS) * self.config.vocab_size),
            backward: training.then(|| Backward {
                dstream: zeros(d),
                dnorm: zeros(d),
                dattended: zeros(d),
                dqkv: zeros(3 * d),
                dup: zeros(ff),
            }),
        }
    }

    /// Room for so many tokens at once of a text that grows.
    pub fn inference(&self, count: usize) -> Inference<D> {
        let (device, d) = (self.device, self.config.hidden_size);
        Inference {
            tokens: device.ids(count),
            x: device.zeros(count * d),
            y: device.zeros(count * d),
            saved: self.saved(count),
            stats: device.zeros(count * 2),
            last: device.zeros(count * d),
            logits: device.zeros(self.config.vocab_size),
        }
    }

    /// Tokens that come after `used` others, whose queries, keys and values are in `cache`, layer by
    /// layer; theirs are added to it.
    pub fn extend(
        &self,
        weights: &Weights<D::Tensor>,
        tokens: &[u32],
        used: usize,
        cache: &mut [D::Tensor],
        room: &mut Inference<D>,
    ) {
        let (device, count, d) = (self.device, tokens.len(), self.config.hidden_size);
        device.write_ids(&mut room.tokens, tokens);
        device.embed(&room.tokens, count, &weights.embed, d, &mut room.x);
        for (block, cache) in weights.blocks.iter().zip(cache) {
            let saved = &mut room.saved;
            self.before_attention(block, &room.x, self.heads(1, count), used, saved);
            device.copy(&saved.qkv, cache, used * 3 * d, count * 3 * d);
            let heads = self.heads(1, used + count);
            device.attention(cache, heads, used, None, &mut saved.attended, &mut saved.norms);
            self.after_attention(block, &room.x, count, saved, &mut room.y);
            std::mem::swap(&mut room.x, &mut room.y);
        }
        device.layer_norm(&room.x, count, &weights.final_norm, self.epsilon(), &mut room.last, &mut room.stats);
    }

    fn heads(&self, batch: usize, time: usize) -> Heads {
        let heads = self.config.num_attention_heads;
        Heads { batch, time, heads, width: self.config.hidden_size / heads }
    }

    fn rotary(&self, first: usize, back: bool) -> Rotary {
        Rotary { turned: self.config.turned(), first, back }
    }

    /// The stream through one layer, up to attention's queries, keys and values.
    fn before_attention(
        &self,
        block: &Block<D::Tensor>,
        x: &D::Tensor,
        heads: Heads,
        first: usize,
        saved: &mut Saved<D>,
    ) {
        let (device, d, rows) = (self.device, self.config.hidden_size, heads.batch * heads.time);
        device.layer_norm(x, rows, &block.input_norm, self.epsilon(), &mut saved.norm1, &mut saved.stats1);
        let shape = Shape { at: 0, count: rows, ins: d, outs: 3 * d };
        let qkv = &block.qkv;
        device.linear(&saved.norm1, &qkv.weight, Some(&qkv.bias), shape, Into::Set, &mut saved.qkv);
        device.rotate(&mut saved.qkv, heads, self.rotary(first, false), &self.cos, &self.sin);
    }

    /// From what attention gave to the stream after the layer.
    fn after_attention(
        &self,
        block: &Block<D::Tensor>,
        x: &D::Tensor,
        rows: usize,
        saved: &mut Saved<D>,
        y: &mut D::Tensor,
    ) {
        let (device, d, ff) = (self.device, self.config.hidden_size, self.config.intermediate_size);
        let Saved { attended, middle, norm2, stats2, up, gelu, .. } = saved;
        let square = Shape { at: 0, count: rows, ins: d, outs: d };
        let dense = &block.dense;
        let looked_at = match middle {
            Some(middle) => {
                device.copy(x, middle, 0, rows * d);
                device.linear(attended, &dense.weight, Some(&dense.bias), square, Into::Add, middle);
                device.copy(middle, y, 0, rows * d);
                &*middle
            }
            None => {
                device.copy(x, y, 0, rows * d);
                device.linear(attended, &dense.weight, Some(&dense.bias), square, Into::Add, y);
                x
            }
        };
        device.layer_norm(looked_at, rows, &block.mlp_norm, self.epsilon(), norm2, stats2);
        let wide = Shape { at: 0, count: rows, ins: d, outs: ff };
        device.linear(norm2, &block.up.weight, Some(&block.up.bias), wide, Into::Set, up);
        device.gelu(self.gelu(), up, rows * ff, gelu);
        let narrow = Shape { at: 0, count: rows, ins: ff, outs: d };
        device.linear(gelu, &block.down.weight, Some(&block.down.bias), narrow, Into::Add, y);
    }

    fn gelu(&self) -> Gelu {
        self.config.hidden_act
    }

    fn epsilon(&self) -> f64 {
        self.config.layer_norm_eps
    }

    /// The stream of a batch through all layers.
    pub fn forward(&self, weights: &Weights<D::Tensor>, batch: &Batch<'_, D::Scalar>, room: &mut Activations<D>) {
        let (device, heads) = (self.device, self.heads(room.batch, room.time));
        let rows = room.batch * room.time;
        device.write_ids(&mut room.tokens, batch.tokens);
        device.write_ids(&mut room.targets, batch.targets);
        device.write(&mut room.scales, 0, batch.scales);
        room.documents = batch.starts.is_some();
        if let Some(starts) = batch.starts {
            device.write_ids(&mut room.starts, starts);
        }
        device.embed(&room.tokens, rows, &weights.embed, self.config.hidden_size, &mut room.stream[0]);
        let starts = room.documents.then_some(&room.starts);
        for (layer, block) in weights.blocks.iter().enumerate() {
            let place = layer.min(room.saved.len() - 1);
            let saved = &mut room.saved[place];
            let (before, after) = room.stream.split_at_mut(layer + 1);
            let (x, y) = (&before[layer], &mut after[0]);
            self.before_attention(block, x, heads, 0, saved);
            device.attention(&saved.qkv, heads, 0, starts, &mut saved.attended, &mut saved.norms);
            self.after_attention(block, x, rows, saved, y);
        }
        let x = &room.stream[weights.blocks.len()];
        device.layer_norm(x, rows, &weights.final_norm, self.epsilon(), &mut room.last, &mut room.last_stats);
    }

    fn stretches(&self, rows: usize) -> impl Iterator<Item = Shape> + use<D> {
        let (ins, outs) = (self.config.hidden_size, self.config.vocab_size);
        let starts = (0..rows).step_by(LOGIT_ROWS);
        starts.map(move |at| Shape { at, count: LOGIT_ROWS.min(rows - at), ins, outs })
    }

    /// The loss of every row, after [`Model::forward`], in nats.
    pub fn losses(&self, weights: &Weights<D::Tensor>, room: &mut Activations<D>) -> Vec<D::Scalar> {
        let device = self.device;
        for shape in self.stretches(room.batch * room.time) {
            device.linear(&room.last, &weights.head, None, shape, Into::Set, &mut room.logits);
            device.classify(&mut room.logits, shape, &room.targets, None, &mut room.losses);
        }
        self.read_losses(room)
    }

    fn read_losses(&self, room: &Activations<D>) -> Vec<D::Scalar> {
        let mut losses = vec![D::Scalar::default(); room.batch * room.time];
        self.device.read(&room.losses, 0, &mut losses);
        losses
    }

    /// The logits of every row, after [`Model::forward`].
    pub fn logits(&self, weights: &Weights<D::Tensor>, room: &mut Activations<D>) -> Vec<D::Scalar> {
        let mut all = Vec::with_capacity(room.batch * room.time * self.config.vocab_size);
        for shape in self.stretches(room.batch * room.time) {
            self.device.linear(&room.last, &weights.head, None, shape, Into::Set, &mut room.logits);
            let begin = all.len();
            all.resize(begin + shape.count * shape.outs, D::Scalar::default());
            self.device.read(&room.logits, 0, &mut all[begin..]);
        }
        all
    }

    /// Adds the gradient of the batch's loss to `gradients`, after [`Model::forward`]; the loss of every
    /// row. Room that was not made for training gives no gradient.
    pub fn backward(
        &self,
        weights: &Weights<D::Tensor>,
        room: &mut Activations<D>,
        gradients: &mut Weights<D::Tensor>,
    ) -> Vec<D::Scalar> {
        let Some(mut flow) = room.backward.take() else { return self.losses(weights, room) };
        self.head_backward(weights, room, &mut flow, gradients);
        for layer in (0..weights.blocks.len()).rev() {
            self.block_backward(&weights.blocks[layer], room, layer, &mut flow, &mut gradients.blocks[layer]);
        }
        let (rows, d) = (room.batch * room.time, self.config.hidden_size);
        self.device.embed_backward(&room.tokens, rows, &flow.dstream, d, &mut gradients.embed);
        room.backward = Some(flow);
        self.read_losses(room)
    }

    /// Through loss, head and the last normalisation, a stretch of rows at a time.
    fn head_backward(
        &self,
        weights: &Weights<D::Tensor>,
        room: &mut Activations<D>,
        flow: &mut Backward<D>,
        gradients: &mut Weights<D::Tensor>,
    ) {
        let (device, rows) = (self.device, room.batch * room.time);
        for shape in self.stretches(rows) {
            let logits = &mut room.logits;
            device.linear(&room.last, &weights.head, None, shape, Into::Set, logits);
            device.classify(logits, shape, &room.targets, Some(&room.scales), &mut room.losses);
            device.linear_backward_weight(logits, &room.last, shape, &mut gradients.head, None);
            device.linear_backward_input(logits, &weights.head, shape, &mut flow.dnorm);
        }
        device.clear(&mut flow.dstream);
        let x = &room.stream[weights.blocks.len()];
        let (norm, dnorm) = (&weights.final_norm, &mut gradients.final_norm);
        device.layer_norm_backward(x, rows, norm, &room.last_stats, &flow.dnorm, &mut flow.dstream, dnorm);
    }

    fn block_backward(
        &self,
        block: &Block<D::Tensor>,
        room: &Activations<D>,
        layer: usize,
        flow: &mut Backward<D>,
        gradient: &mut Block<D::Tensor>,
    ) {
        let (device, d, ff) = (self.device, self.config.hidden_size, self.config.intermediate_size);
        let (heads, rows) = (self.heads(room.batch, room.time), room.batch * room.time);
        let (x, saved) = (&room.stream[layer], &room.saved[layer]);
        let Backward { dstream, dnorm, dattended, dqkv, dup } = flow;
        let shape = |ins, outs| Shape { at: 0, count: rows, ins, outs };

        let grown = &mut gradient.down;
        device.linear_backward_weight(dstream, &saved.gelu, shape(ff, d), &mut grown.weight, Some(&mut grown.bias));
        device.linear_backward_input(dstream, &block.down.weight, shape(ff, d), dup);
        device.gelu_backward(self.gelu(), &saved.up, rows * ff, dup);
        let grown = &mut gradient.up;
        device.linear_backward_weight(dup, &saved.norm2, shape(d, ff), &mut grown.weight, Some(&mut grown.bias));
        device.linear_backward_input(dup, &block.up.weight, shape(d, ff), dnorm);
        // A sequential layer's attention also feeds the perceptron: its gradient is complete only now.
        if let Some(middle) = &saved.middle {
            let grown = &mut gradient.mlp_norm;
            device.layer_norm_backward(middle, rows, &block.mlp_norm, &saved.stats2, dnorm, dstream, grown);
        }
        let grown = &mut gradient.dense;
        device.linear_backward_weight(dstream, &saved.attended, shape(d, d), &mut grown.weight, Some(&mut grown.bias));
        device.linear_backward_input(dstream, &block.dense.weight, shape(d, d), dattended);
        if saved.middle.is_none() {
            let grown = &mut gradient.mlp_norm;
            device.layer_norm_backward(x, rows, &block.mlp_norm, &saved.stats2, dnorm, dstream, grown);
        }
        let starts = room.documents.then_some(&room.starts);
        device.attention_backward(&saved.qkv, heads, starts, &saved.attended, &saved.norms, dattended, dqkv);
        device.rotate(dqkv, heads, self.rotary(0, true), &self.cos, &self.sin);
        let grown = &mut gradient.qkv;
        device.linear_backward_weight(dqkv, &saved.norm1, shape(d, 3 * d), &mut grown.weight, Some(&mut grown.bias));
        device.linear_backward_input(dqkv, &block.qkv.weight, shape(d, 3 * d), dnorm);
        let grown = &mut gradient.input_norm;
        device.layer_norm_backward(x, rows, &block.input_norm, &saved.stats1, dnorm, dstream, grown);
    }
}

#[cfg(test)]
mod tests;
