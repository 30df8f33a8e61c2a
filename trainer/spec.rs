//! What a training run is: the YAML that a user writes, and the defaults of its preset.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::{Config, PRESETS, Preset};
use crate::data::DataSpec;
use crate::failure::{Failure, Result};
use crate::precision::{Precision, ScalingSpec};
use crate::yaml::closest;

/// A training run, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// A preset, a `config.json` or the folder of one, or a map that changes one of these.
    pub model: ModelSpec,
    /// Weights to start from: a folder of Hugging Face's. Without it, from nothing.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// The `tokenizer.json` that made the shards, which goes with the model; without it that of `start`.
    #[serde(default)]
    pub tokenizer: Option<PathBuf>,
    /// What is read.
    #[serde(default)]
    pub data: DataSpec,
    /// What chance is drawn from: the first weights, and the order of windows.
    #[serde(default)]
    pub seed: u64,
    /// Tokens of a sequence; without it the longest that the model takes.
    #[serde(default)]
    pub sequence: Option<NonZeroU64>,
    /// Sequences of a step; without it the preset's.
    #[serde(default)]
    pub batch: Option<NonZeroU64>,
    /// Sequences that are computed together. The result depends on it only by the order of sums.
    #[serde(default = "one")]
    pub micro: NonZeroU64,
    /// Steps in all; without it the preset's.
    #[serde(default)]
    pub steps: Option<NonZeroU64>,
    /// What is stored between kernels: `f32`, `bf16` or `fp16`. Weights and moments are `f32` whatever it is.
    #[serde(default)]
    pub precision: Precision,
    /// The scale of the loss in `fp16`.
    #[serde(default)]
    pub scaling: ScalingSpec,
    /// AdamW.
    #[serde(default)]
    pub optimizer: OptimizerSpec,
    /// The learning rate over the run.
    #[serde(default)]
    pub schedule: ScheduleSpec,
    /// What is not learned from.
    #[serde(default)]
    pub guard: GuardSpec,
    /// What is kept of a run.
    #[serde(default)]
    pub checkpoint: CheckpointSpec,
    /// Operations a second of all processes' devices together, of which a run's are a share; without it, it
    /// is measured when the run begins.
    #[serde(default, deserialize_with = "maybe_positive")]
    pub peak_flops: Option<f64>,
    /// Steps from one evaluation of the held-out windows to the next; 0 for none but the last.
    #[serde(default)]
    pub eval_every: u64,
}

fn one() -> NonZeroU64 {
    NonZeroU64::MIN
}

/// AdamW's numbers. Where no other source is named they are the Pythia suite's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerSpec {
    /// The highest learning rate; without it the preset's.
    #[serde(deserialize_with = "maybe_positive")]
    pub rate: Option<f64>,
    /// Share of the first moment that stays.
    #[serde(deserialize_with = "share")]
    pub beta1: f64,
    /// Share of the second moment that stays.
    #[serde(deserialize_with = "share")]
    pub beta2: f64,
    /// Keeps the denominator from nothing.
    #[serde(deserialize_with = "positive")]
    pub epsilon: f64,
    /// Weight decay, of matrices alone.
    #[serde(deserialize_with = "from_nothing")]
    pub decay: f64,
    /// The longest gradient; 0 for any.
    #[serde(deserialize_with = "from_nothing")]
    pub clip: f64,
}

impl Default for OptimizerSpec {
    fn default() -> OptimizerSpec {
        OptimizerSpec { rate: None, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, clip: 1.0 }
    }
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fall {
    /// Half a wave.
    #[default]
    Cosine,
    /// A straight line.
    Linear,
    /// It stays.
    Constant,
}

/// The learning rate over the run: a rise from nothing, then a fall. Pythia's numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSpec {
    /// How it falls.
    pub shape: Fall,
    /// The share of the steps over which it rises.
    #[serde(deserialize_with = "share")]
    pub warmup: f64,
    /// What is left of it in the end, as a share.
    #[serde(deserialize_with = "share")]
    pub floor: f64,
}

impl Default for ScheduleSpec {
    fn default() -> ScheduleSpec {
        ScheduleSpec { shape: Fall::Cosine, warmup: 0.01, floor: 0.1 }
    }
}

impl ScheduleSpec {
    /// The share of the highest rate at a step, counted from 1, of so many.
    pub fn share(&self, step: u64, steps: u64) -> f64 {
        let rise = (self.warmup * steps as f64).round();
        let step = step as f64;
        if step < rise {
            return step / rise;
        }
        let way = ((step - rise) / (steps as f64 - rise).max(1.0)).min(1.0);
        let high = match self.shape {
            Fall::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * way)),
            Fall::Linear => 1.0 - way,
            Fall::Constant => 1.0,
        };
        self.floor + (1.0 - self.floor) * high
    }
}

/// Steps that are skipped: their gradients are thrown away, the run goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSpec {
    /// How many deviations above the last steps' mean a loss may be; 0 for any. What is not a number
    /// is always skipped.
    // Ours: off, since no published run of these models had it.
    #[serde(deserialize_with = "from_nothing")]
    pub spike: f64,
    /// Skipped steps, one after another, that end the run.
    // Ours.
    pub abort: NonZeroU64,
}

impl Default for GuardSpec {
    fn default() -> GuardSpec {
        GuardSpec { spike: 0.0, abort: NonZeroU64::MIN.saturating_add(9) }
    }
}

/// What is kept of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSpec {
    /// Steps from one to the next; 0 for none but the last.
    pub every: u64,
    /// How many of the latest are kept.
    pub keep: NonZeroU64,
    /// Steps whose multiples are kept for ever; 0 for none.
    pub keep_every: u64,
}

impl Default for CheckpointSpec {
    fn default() -> CheckpointSpec {
        // Pythia published every thousandth.
        CheckpointSpec { every: 1000, keep: NonZeroU64::MIN.saturating_add(1), keep_every: 0 }
    }
}

/// A model by name, by file, or one of these with changes.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    /// Its shape.
    pub config: Config,
    /// The preset that it comes from.
    pub preset: Option<&'static Preset>,
}

impl ModelSpec {
    /// A preset, a `config.json`, or the folder of one.
    pub fn find(word: &str) -> Result<ModelSpec> {
        if let Some(preset) = Preset::find(word) {
            return Ok(ModelSpec { config: preset.config(), preset: Some(preset) });
        }
        if Path::new(word).exists() {
            return Ok(ModelSpec { config: Config::read(Path::new(word))?, preset: None });
        }
        let known: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let failure = Failure::configuration(format!("no model `{word}`: no preset, and no such file"));
        Err(failure.hint(match closest(word, &known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("presets are: {}", known.join(", ")),
        }))
    }
}

/// What a map may change of a model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    from: String,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    intermediate_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    use_parallel_residual: Option<bool>,
    rotary_pct: Option<f64>,
    rotary_base: Option<f64>,
    layer_norm_eps: Option<f64>,
    eos_token_id: Option<u32>,
}

impl Changes {
    fn model(self) -> Result<ModelSpec, String> {
        let said = |failure: Failure| match failure.hint {
            Some(hint) => format!("{}; {hint}", failure.message),
            None => failure.message,
        };
        let mut model = ModelSpec::find(&self.from).map_err(said)?;
        let config = &mut model.config;
        fn change<T>(to: &mut T, by: Option<T>) {
            if let Some(by) = by {
                *to = by;
            }
        }
        // A perceptron stays as many times wider as it was.
        let wider = config.intermediate_size / config.hidden_size.max(1);
        change(&mut config.hidden_size, self.hidden_size);
        let wide = self.hidden_size.map(|size| size.saturating_mul(wider));
        change(&mut config.intermediate_size, self.intermediate_size.or(wide));
        change(&mut config.vocab_size, self.vocab_size);
        change(&mut config.num_hidden_layers, self.num_hidden_layers);
        change(&mut config.num_attention_heads, self.num_attention_heads);
        change(&mut config.max_position_embeddings, self.max_position_embeddings);
        change(&mut config.use_parallel_residual, self.use_parallel_residual);
        change(&mut config.rotary_pct, self.rotary_pct);
        change(&mut config.rotary_base, self.rotary_base);
        change(&mut config.layer_norm_eps, self.layer_norm_eps);
        change(&mut config.eos_token_id, self.eos_token_id);
        config.check()?;
        Ok(model)
    }
}

impl<'de> Deserialize<'de> for ModelSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ModelSpec, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ModelSpec;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a preset, a path, or a map such as { from: pythia-14m, num_hidden_layers: 2 }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ModelSpec, E> {
                ModelSpec::find(word).map_err(|failure| {
                    E::custom(match failure.hint {
                        Some(hint) => format!("{}; {hint}", failure.message),
                        None => failure.message,
                    })
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelSpec, A::Error> {
                let changes = Changes::deserialize(de::value::MapAccessDeserializer::new(map))?;
                changes.model().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if (0.0..1.0).contains(&value) {
        return Ok(value);
    }
    Err(de::Error::custom(format!("{value} is no share: it is from 0, below 1")))
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(de::Error::custom(format!("{value} is not above 0")))
}

fn maybe_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    positive(deserializer).map(Some)
}

fn from_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(de::Error::custom(format!("{value} is not from 0 on")))
}

/// A run whose numbers are all known.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// What was written.
    pub spec: RunSpec,
    /// Tokens of a sequence.
    pub time: usize,
    /// Sequences of a step.
    pub batch: u64,
    /// Sequences that are computed together.
    pub micro: u64,
    /// Steps in all.
    pub steps: u64,
    /// The highest learning rate.
    pub rate: f64,
}

/// Gradients of a step are added as a tree with at most so many leaves; so many processes could share
/// its work without another sum.
const LEAVES: u64 = 8;

impl RunSpec {
    /// Fills in what the preset says, and checks what numbers must be to each other.
    pub fn plan(self) -> Result<RunPlan> {
        let wrong = |message: String| Failure::configuration(message);
        let preset = self.model.preset;
        let longest = self.model.config.max_position_embeddings;
        let time = self.sequence.map_or(longest as u64, NonZeroU64::get);
        if time > longest as u64 {
            return Err(wrong(format!("`sequence` is {time}, the model's longest is {longest}"))
                .hint("shorten it, or set the model's `max_position_embeddings`"));
        }
        let missing = |key: &str| {
            Failure::configuration(format!("`{key}` is missing"))
                .hint("a model that is not a preset has no published training to take it from")
        };
        let batch = match (self.batch, preset) {
            (Some(batch), _) => batch.get(),
            (None, Some(preset)) => preset.batch_tokens.div_ceil(time),
            (None, None) => return Err(missing("batch")),
        };
        let steps = match (self.steps, preset) {
            (Some(steps), _) => steps.get(),
            (None, Some(preset)) => preset.tokens.div_ceil(batch * time),
            (None, None) => return Err(missing("steps")),
        };
        let rate = match (self.optimizer.rate, preset) {
            (Some(rate), _) => rate,
            (None, Some(preset)) => preset.rate,
            (None, None) => return Err(missing("optimizer.rate")),
        };
        let micro = self.micro.get();
        if !batch.is_multiple_of(micro) {
            return Err(wrong(format!("`batch` is {batch}, which is no multiple of `micro`, {micro}")));
        }
        Ok(RunPlan { time: time as usize, batch, micro, steps, rate, spec: self })
    }
}

impl RunPlan {
    /// How many leaves the tree of a step's gradients has: the largest power of two that divides its
    /// forward passes, at most eight.
    pub fn leaves(&self) -> u64 {
        let passes = self.batch / self.micro;
        (1 << passes.trailing_zeros()).min(LEAVES)
    }

    /// The learning rate of a step, counted from 1.
    pub fn rate_at(&self, step: u64) -> f64 {
        self.rate * self.spec.schedule.share(step, self.steps)
    }

    /// Tokens of a step.
    pub fn step_tokens(&self) -> u64 {
        self.batch * self.time as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<RunPlan> {
        crate::yaml::read::<RunSpec>("run.yaml", text, &[])?.plan()
    }

    #[test]
    fn presets_bring_what_is_published() {
        let pythia = plan("model: pythia-160m").unwrap();
        assert_eq!((pythia.batch, pythia.time, pythia.steps, pythia.rate), (1024, 2048, 143_000, 6e-4));
        let incite = plan("model: incite-3b").unwrap();
        assert_eq!((incite.batch, incite.steps, incite.rate), (2048, 190_735, 1.6e-4));
    }

    #[test]
    fn rates_rise_and_fall() {
        let plan = |shape: &str| {
            let text =
                format!("model: pythia-14m\nsteps: 100\nschedule: {{ shape: {shape}, warmup: 0.1, floor: 0.1 }}");
            let plan = plan(&text).unwrap();
            [1, 5, 10, 55, 100].map(|step| (plan.rate_at(step) / plan.rate * 1e6).round() / 1e6)
        };
        assert_eq!(plan("cosine"), [0.1, 0.5, 1.0, 0.55, 0.1]);
        assert_eq!(plan("linear"), [0.1, 0.5, 1.0, 0.55, 0.1]);
        assert_eq!(plan("constant"), [0.1, 0.5, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, words) in [
            ("model: pythia-14m\nsequence: 4096", "the model's longest is 2048"),
            ("model: pythia-14m\nbatch: 10\nmicro: 4", "no multiple"),
        ] {
            assert!(plan(text).unwrap_err().message.contains(words), "{text}");
        }
        assert_eq!(plan("model: pythia-14m\nbatch: 24\nmicro: 2").unwrap().leaves(), 4);
        assert_eq!(plan("model: pythia-14m\nbatch: 64\nmicro: 1").unwrap().leaves(), 8);
    }
}
