//! The tensors of a GPT-NeoX model: what they are called, their shapes, how they begin.

use crate::config::Config;
use crate::cpu::Float;

/// A weight and its bias: of a linear layer (`[outs, ins]` and `[outs]`) or of a normalisation.
#[derive(Clone, Debug)]
pub struct Affine<T> {
    /// The weight.
    pub weight: T,
    /// The bias.
    pub bias: T,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Block<T> {
    /// Before attention.
    pub input_norm: Affine<T>,
    /// Queries, keys and values, fused.
    pub qkv: Affine<T>,
    /// After attention.
    pub dense: Affine<T>,
    /// Before the perceptron.
    pub mlp_norm: Affine<T>,
    /// Into the perceptron.
    pub up: Affine<T>,
    /// Out of it.
    pub down: Affine<T>,
}

/// One `T` for each tensor of a model.
#[derive(Clone, Debug)]
pub struct Weights<T> {
    /// `[vocabulary, hidden]`.
    pub embed: T,
    /// The layers, first to last.
    pub blocks: Vec<Block<T>>,
    /// Before the head.
    pub final_norm: Affine<T>,
    /// `[vocabulary, hidden]`, not tied to `embed`.
    pub head: T,
}

/// How a tensor begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Normal with this deviation.
    Normal(f64),
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
}

/// What is known of a tensor before it exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its name in a Hugging Face file.
    pub name: String,
    /// Rows and columns, or just a length.
    pub shape: Vec<usize>,
    /// How it begins when trained from nothing.
    pub start: Start,
    /// Whether weight decay takes from it: not from biases and normalisations.
    pub decays: bool,
}

impl Spec {
    /// How many numbers it has.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

impl<T> Affine<T> {
    fn each(&self) -> [&T; 2] {
        [&self.weight, &self.bias]
    }

    fn each_mut(&mut self) -> [&mut T; 2] {
        [&mut self.weight, &mut self.bias]
    }

    fn map<'a, U>(&'a self, f: &mut impl FnMut(&'a T) -> U) -> Affine<U> {
        Affine { weight: f(&self.weight), bias: f(&self.bias) }
    }
}

impl<T> Block<T> {
    fn affines(&self) -> [&Affine<T>; 6] {
        [&self.input_norm, &self.mlp_norm, &self.qkv, &self.dense, &self.up, &self.down]
    }

    fn affines_mut(&mut self) -> [&mut Affine<T>; 6] {
        [&mut self.input_norm, &mut self.mlp_norm, &mut self.qkv, &mut self.dense, &mut self.up, &mut self.down]
    }

    fn map<'a, U>(&'a self, f: &mut impl FnMut(&'a T) -> U) -> Block<U> {
        Block {
            input_norm: self.input_norm.map(f),
            mlp_norm: self.mlp_norm.map(f),
            qkv: self.qkv.map(f),
            dense: self.dense.map(f),
            up: self.up.map(f),
            down: self.down.map(f),
        }
    }
}

impl<T> Weights<T> {
    /// All of them, in the order of their names in a file: the one order of this program.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let blocks = self.blocks.iter().flat_map(Block::affines).flat_map(Affine::each);
        std::iter::once(&self.embed).chain(blocks).chain(self.final_norm.each()).chain([&self.head])
    }

    /// All of them, in the same order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let blocks = self.blocks.iter_mut().flat_map(Block::affines_mut).flat_map(Affine::each_mut);
        std::iter::once(&mut self.embed).chain(blocks).chain(self.final_norm.each_mut()).chain([&mut self.head])
    }

    /// Another kind for each, made in the same order.
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> U) -> Weights<U> {
        let embed = f(&self.embed);
        let blocks = self.blocks.iter().map(|block| block.map(&mut f)).collect();
        let final_norm = self.final_norm.map(&mut f);
        Weights { embed, blocks, final_norm, head: f(&self.head) }
    }
}

/// The tensors of a model of this configuration.
///
/// They begin as GPT-NeoX's `small_init` (deviation √(2/5d)) and, for what writes to the residual
/// stream, `wang_init` (2/(L√d)): the settings that Pythia was trained with. INCITE's are not
/// published; ours are the same.
pub fn specs(config: &Config) -> Weights<Spec> {
    let (d, ff, v, layers) =
        (config.hidden_size, config.intermediate_size, config.vocab_size, config.num_hidden_layers);
    let small = Start::Normal((2.0 / (5.0 * d as f64)).sqrt());
    let wang = Start::Normal(2.0 / (layers as f64 * (d as f64).sqrt()));
    let norm = |name: &str| Affine {
        weight: Spec { name: format!("{name}.weight"), shape: vec![d], start: Start::Ones, decays: false },
        bias: Spec { name: format!("{name}.bias"), shape: vec![d], start: Start::Zeros, decays: false },
    };
    let linear = |name: &str, outs: usize, ins: usize, start: Start| Affine {
        weight: Spec { name: format!("{name}.weight"), shape: vec![outs, ins], start, decays: true },
        bias: Spec { name: format!("{name}.bias"), shape: vec![outs], start: Start::Zeros, decays: false },
    };
    let table = |name: &str| Spec { name: name.into(), shape: vec![v, d], start: small, decays: true };
    let blocks = (0..layers)
        .map(|layer| {
            let name = |part: &str| format!("gpt_neox.layers.{layer}.{part}");
            Block {
                input_norm: norm(&name("input_layernorm")),
                mlp_norm: norm(&name("post_attention_layernorm")),
                qkv: linear(&name("attention.query_key_value"), 3 * d, d, small),
                dense: linear(&name("attention.dense"), d, d, wang),
                up: linear(&name("mlp.dense_h_to_4h"), ff, d, small),
                down: linear(&name("mlp.dense_4h_to_h"), d, ff, wang),
            }
        })
        .collect();
    Weights {
        embed: table("gpt_neox.embed_in.weight"),
        blocks,
        final_norm: norm("gpt_neox.final_layer_norm"),
        head: table("embed_out.weight"),
    }
}

/// How a model begins: a pure function of its configuration and a seed. `each` gets every tensor's
/// place in the order of [`Weights::iter`], and its numbers.
pub fn start<F: Float>(config: &Config, seed: u64) -> Weights<Vec<F>> {
    let mut place = 0;
    specs(config).map(|spec| {
        place += 1;
        let count = spec.count();
        match spec.start {
            Start::Zeros => vec![F::of(0.0); count],
            Start::Ones => vec![F::of(1.0); count],
            Start::Normal(deviation) => {
                let seed = mix(seed ^ mix(place));
                (0..count as u64).map(|at| F::of(deviation * normal(seed, at))).collect()
            }
        }
    })
}

/// A number that looks random: the finalizer of SplitMix64.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A number from 0, below 1.
pub fn unit(seed: u64, at: u64) -> f64 {
    (mix(seed ^ mix(at)) >> 11) as f64 / (1u64 << 53) as f64
}

/// A number of the normal distribution, by Box and Muller; the same on every machine.
fn normal(seed: u64, at: u64) -> f64 {
    let radius = (-2.0 * libm::log(1.0 - unit(seed, 2 * at))).sqrt();
    radius * libm::cos(2.0 * std::f64::consts::PI * unit(seed, 2 * at + 1))
}
