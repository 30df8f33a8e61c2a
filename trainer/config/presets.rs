//! Models that have a name, and what is published of how they were trained.

use super::Config;
use crate::device::Gelu;

/// A model by its name, and what is published of how it was trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    layers: usize,
    hidden: usize,
    heads: usize,
    vocabulary: usize,
    sequential: bool,
    /// The highest learning rate.
    pub rate: f64,
    /// Tokens of a step.
    pub batch_tokens: u64,
    /// Tokens in all.
    pub tokens: u64,
    /// Where its numbers come from, and which are ours.
    pub source: &'static str,
}

const INCITE: &str = "learning rate, tokens of a step (4M, taken as 2^22), tokens in all and fp16 (`precision: fp16`) are those \
                      of the card of RedPajama-INCITE-Base, the shape that of its config.json; betas, epsilon, decay, \
                      clipping, first weights, warm-up, fall and loss scale were not published: ours are Pythia's";
const PYTHIA: &str = "the Pythia suite's published configurations (143,000 steps of 2^21 tokens; where its paper says another \
                      rate, as for 1b, theirs holds), which trained in fp16 (`precision: fp16`)";

const fn pythia(
    name: &'static str,
    layers: usize,
    hidden: usize,
    heads: usize,
    vocabulary: usize,
    rate: f64,
) -> Preset {
    // 143,000 steps of 1,024 sequences of 2,048 tokens.
    let (batch_tokens, tokens) = (2_097_152, 143_000 * 2_097_152);
    Preset { name, layers, hidden, heads, vocabulary, sequential: false, rate, batch_tokens, tokens, source: PYTHIA }
}

/// The models that have a name here.
pub const PRESETS: [Preset; 12] = [
    Preset {
        name: "incite-3b",
        layers: 32,
        hidden: 2560,
        heads: 32,
        vocabulary: 50_432,
        sequential: true,
        rate: 1.6e-4,
        batch_tokens: 4_194_304,
        tokens: 800_000_000_000,
        source: INCITE,
    },
    Preset {
        name: "incite-7b",
        layers: 32,
        hidden: 4096,
        heads: 32,
        vocabulary: 50_432,
        sequential: true,
        rate: 1.2e-4,
        batch_tokens: 4_194_304,
        tokens: 1_001_000_000_000,
        source: INCITE,
    },
    pythia("pythia-14m", 6, 128, 4, 50_304, 1e-3),
    pythia("pythia-31m", 6, 256, 8, 50_304, 1e-3),
    pythia("pythia-70m", 6, 512, 8, 50_304, 1e-3),
    pythia("pythia-160m", 12, 768, 12, 50_304, 6e-4),
    pythia("pythia-410m", 24, 1024, 16, 50_304, 3e-4),
    pythia("pythia-1b", 16, 2048, 8, 50_304, 2.5e-4),
    pythia("pythia-1.4b", 24, 2048, 16, 50_304, 2e-4),
    pythia("pythia-2.8b", 32, 2560, 32, 50_304, 1.6e-4),
    pythia("pythia-6.9b", 32, 4096, 32, 50_432, 1.2e-4),
    pythia("pythia-12b", 36, 5120, 40, 50_688, 1.2e-4),
];

impl Preset {
    /// The preset of a name.
    pub fn find(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Its shape. The perceptron bends by tanh, as GPT-NeoX does where it fuses bias and bend.
    pub fn config(&self) -> Config {
        Config {
            vocab_size: self.vocabulary,
            hidden_size: self.hidden,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            intermediate_size: 4 * self.hidden,
            max_position_embeddings: 2048,
            use_parallel_residual: !self.sequential,
            rotary_pct: if self.sequential { 1.0 } else { 0.25 },
            rotary_base: 10_000.0,
            layer_norm_eps: 1e-5,
            hidden_act: Gelu::Tanh,
            eos_token_id: 0,
            other_ends: Vec::new(),
        }
    }
}

#[test]
fn presets_have_the_published_sizes() {
    // The models' cards, in numbers of weights.
    let known = [
        ("incite-3b", 2_775_864_320),
        ("incite-7b", 6_857_302_016),
        ("pythia-14m", 14_067_712),
        ("pythia-31m", 30_494_720),
        ("pythia-70m", 70_426_624),
        ("pythia-160m", 162_322_944),
        ("pythia-410m", 405_334_016),
        ("pythia-1b", 1_011_781_632),
        ("pythia-1.4b", 1_414_647_808),
        ("pythia-2.8b", 2_775_208_960),
        ("pythia-6.9b", 6_857_302_016),
        ("pythia-12b", 11_846_072_320),
    ];
    for (name, parameters) in known {
        let config = Preset::find(name).unwrap().config();
        assert_eq!((config.parameters(), config.check()), (parameters, Ok(())), "{name}");
    }
    assert_eq!(known.len(), PRESETS.len());
}
