//! What a model asks of the machine that computes it.
//!
//! Matrices are row-major and a *row* is one token. Every result has one order of evaluation: it
//! depends on the arguments, never on how many threads worked on it. What is stored is rounded to the
//! device's precision (see [`crate::precision`]).

pub use crate::precision::Precision;
use crate::weights::Affine;

/// How the rows of a batch and the heads of attention lie in a tensor of queries, keys and values:
/// `[batch][time][heads][q|k|v][width]`, GPT-NeoX's own fused layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Sequences.
    pub batch: usize,
    /// Tokens of each.
    pub time: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers of a head: of its query, its key and its value each.
    pub width: usize,
}

/// The rows and columns of a linear layer: `out[count, outs] = x[at.., ins] · W[outs, ins]ᵀ`.
///
/// `at` is the first row of the side that `x` is on (`x` and `dx`); the other side begins at its own
/// first row. So a long `x` can be taken through a narrow buffer of logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// First row.
    pub at: usize,
    /// Rows.
    pub count: usize,
    /// Columns of `x`.
    pub ins: usize,
    /// Columns of `out`.
    pub outs: usize,
}

/// What becomes of what was in the output before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// It is overwritten.
    Set,
    /// The result is added to it.
    Add,
}

/// Both spellings of the Gaussian error linear unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// `x Φ(x)`: Hugging Face's `gelu`.
    Erf,
    /// Its approximation by tanh: `gelu_new`, `gelu_pytorch_tanh`, and what GPT-NeoX trains with where
    /// `bias-gelu-fusion` is on.
    Tanh,
}

/// Rotation of queries and keys by their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotary {
    /// How many numbers of a head turn, an even number.
    pub turned: usize,
    /// The position of each sequence's first row.
    pub first: usize,
    /// Whether to turn back, as gradients do.
    pub back: bool,
}

/// One step of AdamW, all that is the same for every number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// What gradients are multiplied with first: clipping.
    pub scale: f64,
    /// The learning rate of this step.
    pub rate: f64,
    /// Share of the first moment that stays.
    pub beta1: f64,
    /// Share of the second moment that stays.
    pub beta2: f64,
    /// Keeps the denominator from nothing.
    pub epsilon: f64,
    /// What a weight loses, times the learning rate.
    pub decay: f64,
    /// Which step it is, from 1: for the correction of the moments' start at zero.
    pub number: u64,
}

/// A machine that holds tensors and computes with them.
///
/// Tensors are allocated before the first step and reused: no method but [`Device::zeros`] and
/// [`Device::ids`] gives a new one. Lengths that do not fit are a mistake in the model, not in data.
pub trait Device: Send + Sync {
    /// The numbers that the host exchanges with it.
    type Scalar: crate::cpu::Float;
    /// Numbers on the device.
    type Tensor: Send + Sync;
    /// Token ids and positions on the device.
    type Ids: Send + Sync;

    /// What it rounds to.
    fn precision(&self) -> Precision;

    /// So many zeros.
    fn zeros(&self, count: usize) -> Self::Tensor;
    /// So many ids.
    fn ids(&self, count: usize) -> Self::Ids;
    /// Host to device, from the tensor's number `at` on.
    fn write(&self, to: &mut Self::Tensor, at: usize, from: &[Self::Scalar]);
    /// Device to host, from the tensor's number `at` on.
    fn read(&self, from: &Self::Tensor, at: usize, to: &mut [Self::Scalar]);
    /// Host to device, from the first id on.
    fn write_ids(&self, to: &mut Self::Ids, from: &[u32]);

    /// All zeros again.
    fn clear(&self, tensor: &mut Self::Tensor);
    /// Copies `count` numbers to `to`, whose number `at` is the first to change.
    fn copy(&self, from: &Self::Tensor, to: &mut Self::Tensor, at: usize, count: usize);
    /// `to`, of the same length, gets what `from` is in the device's precision.
    fn round(&self, from: &Self::Tensor, to: &mut Self::Tensor);
    /// `to += from`.
    fn add(&self, from: &Self::Tensor, to: &mut Self::Tensor);
    /// The sum of squares, in one order, in f64.
    fn sum_of_squares(&self, tensor: &Self::Tensor) -> f64;

    /// `out[row] = table[ids[row]]`, rows of `width`.
    fn embed(&self, ids: &Self::Ids, count: usize, table: &Self::Tensor, width: usize, out: &mut Self::Tensor);
    /// `dtable[ids[row]] += dout[row]`.
    fn embed_backward(
        &self,
        ids: &Self::Ids,
        count: usize,
        dout: &Self::Tensor,
        width: usize,
        dtable: &mut Self::Tensor,
    );

    /// Layer normalisation of `count` rows; `stats` gets each row's mean and reciprocal deviation.
    fn layer_norm(
        &self,
        x: &Self::Tensor,
        count: usize,
        norm: &Affine<Self::Tensor>,
        epsilon: f64,
        out: &mut Self::Tensor,
        stats: &mut Self::Tensor,
    );
    /// Its gradient: `dx`, and the weight's and bias' in `dnorm`, are added to.
    #[allow(clippy::too_many_arguments)] // each is an operand of one kernel
    fn layer_norm_backward(
        &self,
        x: &Self::Tensor,
        count: usize,
        norm: &Affine<Self::Tensor>,
        stats: &Self::Tensor,
        dout: &Self::Tensor,
        dx: &mut Self::Tensor,
        dnorm: &mut Affine<Self::Tensor>,
    );

    /// `out = x · Wᵀ + bias`.
    fn linear(
        &self,
        x: &Self::Tensor,
        weight: &Self::Tensor,
        bias: Option<&Self::Tensor>,
        shape: Shape,
        into: Into,
        out: &mut Self::Tensor,
    );
    /// `dx = dout · W`.
    fn linear_backward_input(&self, dout: &Self::Tensor, weight: &Self::Tensor, shape: Shape, dx: &mut Self::Tensor);
    /// `dW += doutᵀ · x`, and `dbias +=` the sum of `dout`'s rows.
    fn linear_backward_weight(
        &self,
        dout: &Self::Tensor,
        x: &Self::Tensor,
        shape: Shape,
        dweight: &mut Self::Tensor,
        dbias: Option<&mut Self::Tensor>,
    );

    /// `out = gelu(x)` of the first `count` numbers.
    fn gelu(&self, gelu: Gelu, x: &Self::Tensor, count: usize, out: &mut Self::Tensor);
    /// `d *= gelu'(x)`.
    fn gelu_backward(&self, gelu: Gelu, x: &Self::Tensor, count: usize, d: &mut Self::Tensor);

    /// Turns queries and keys by their positions. `cos` and `sin` hold `turned / 2` numbers for each
    /// position from 0.
    fn rotate(&self, qkv: &mut Self::Tensor, heads: Heads, rotary: Rotary, cos: &Self::Tensor, sin: &Self::Tensor);
    /// Causal attention of the tokens from `from` on, to all of their sequence before them; where
    /// `starts` says at which position of the sequence each token's document begins, to its document
    /// alone. `out` is `[batch][time - from][heads][width]`; `norms` gets, for each row and head, the
    /// logarithm of the sum of its exponentials.
    fn attention(
        &self,
        qkv: &Self::Tensor,
        heads: Heads,
        from: usize,
        starts: Option<&Self::Ids>,
        out: &mut Self::Tensor,
        norms: &mut Self::Tensor,
    );
    /// Its gradient, of all tokens: `dqkv` is overwritten.
    #[allow(clippy::too_many_arguments)] // each is an operand of one kernel
    fn attention_backward(
        &self,
        qkv: &Self::Tensor,
        heads: Heads,
        starts: Option<&Self::Ids>,
        out: &Self::Tensor,
        norms: &Self::Tensor,
        dout: &Self::Tensor,
        dqkv: &mut Self::Tensor,
    );

    /// Cross-entropy of `shape.count` rows of logits (`shape.outs` wide) against `targets[at..]`, into
    /// `losses[at..]`, in nats. With `scales`, the logits become their gradient, each row times
    /// `scales[at..]`.
    fn classify(
        &self,
        logits: &mut Self::Tensor,
        shape: Shape,
        targets: &Self::Ids,
        scales: Option<&Self::Tensor>,
        losses: &mut Self::Tensor,
    );

    /// AdamW on the numbers `range` of a tensor; the moments hold that range alone, from `at` on.
    #[allow(clippy::too_many_arguments)] // each is an operand of one kernel
    fn adamw(
        &self,
        weight: &mut Self::Tensor,
        gradient: &Self::Tensor,
        range: std::ops::Range<usize>,
        first: &mut Self::Tensor,
        second: &mut Self::Tensor,
        at: usize,
        step: &AdamStep,
    );
}
