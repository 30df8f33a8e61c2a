//! What a training run is: the YAML that a user writes, and the defaults of its preset.

use std::num::NonZeroU64;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::model::ModelSpec;
use crate::data::DataSpec;
use crate::failure::{Failure, Result};
use crate::precision::{Precision, ScalingSpec};

pub mod bounds;
mod model;

/// A training run, as it is written. Each key stands on the page of all keys with what is said of it here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    // What is told of it is what its type says.
    pub model: ModelSpec,
    /// Weights to start from: a folder in Hugging Face's form, or a checkpoint's.
    #[serde(default)]
    #[schemars(extend("kind" = "path", "otherwise" = "first weights are drawn"))]
    pub start: Option<PathBuf>,
    /// The `tokenizer.json` that made the shards, or its folder; it goes with the model.
    #[serde(default)]
    #[schemars(extend("kind" = "path", "otherwise" = "that of `start`, if there is one"))]
    pub tokenizer: Option<PathBuf>,
    /// What is read, and in which shares.
    #[serde(default)]
    pub data: DataSpec,
    /// What chance is drawn from: the first weights, and the order of windows.
    #[serde(default)]
    pub seed: u64,
    /// Tokens of a sequence.
    #[serde(default)]
    #[schemars(extend("unit" = "tokens", "otherwise" = "the model's longest"))]
    pub sequence: Option<NonZeroU64>,
    /// Sequences of a step.
    #[serde(default)]
    #[schemars(extend("unit" = "sequences", "otherwise" = "the preset's tokens of a step / `sequence`"))]
    pub batch: Option<NonZeroU64>,
    /// Sequences that are computed together: more take more memory. `batch` is a multiple of it. The result
    /// depends on it only by the order of sums.
    #[serde(default = "one")]
    #[schemars(extend("unit" = "sequences"))]
    pub micro: NonZeroU64,
    /// Steps in all.
    #[serde(default)]
    #[schemars(extend("unit" = "steps", "otherwise" = "the preset's tokens in all / those of a step"))]
    pub steps: Option<NonZeroU64>,
    /// What is stored between kernels. Weights and moments are `f32` whatever it is.
    #[serde(default)]
    pub precision: Precision,
    /// The scale of the loss where `precision` is `fp16`: by so much that small gradients are numbers, by so
    /// little that large ones are.
    #[serde(default)]
    pub scaling: ScalingSpec,
    /// AdamW's numbers. Where no other source is named they are the Pythia suite's.
    #[serde(default)]
    pub optimizer: OptimizerSpec,
    /// The learning rate over the run: a rise from nothing, then a fall. Pythia's numbers.
    #[serde(default)]
    pub schedule: ScheduleSpec,
    /// Steps that are skipped: their gradients are thrown away, the run goes on.
    #[serde(default)]
    pub guard: GuardSpec,
    /// What is kept of a run. The last step always leaves a checkpoint.
    #[serde(default)]
    pub checkpoint: CheckpointSpec,
    /// Operations a second of all processes' devices together, of which a run's are a share (MFU).
    #[serde(default, deserialize_with = "bounds::maybe_positive")]
    #[schemars(extend("lies" = bounds::POSITIVE, "unit" = "FLOP/s", "otherwise" = "measured when the run begins"))]
    pub peak_flops: Option<f64>,
    /// Steps from one evaluation of the held-out windows to the next; 0 for none but the last.
    #[serde(default)]
    #[schemars(extend("unit" = "steps"))]
    pub eval_every: u64,
}

fn one() -> NonZeroU64 {
    NonZeroU64::MIN
}

/// AdamW's numbers. Where no other source is named they are the Pythia suite's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerSpec {
    /// The highest learning rate.
    #[serde(deserialize_with = "bounds::maybe_positive")]
    #[schemars(extend("lies" = bounds::POSITIVE, "otherwise" = "the preset's"))]
    pub rate: Option<f64>,
    /// What stays of the first moment.
    #[serde(deserialize_with = "bounds::share")]
    #[schemars(extend("lies" = bounds::SHARE, "unit" = "share"))]
    pub beta1: f64,
    /// What stays of the second moment.
    #[serde(deserialize_with = "bounds::share")]
    #[schemars(extend("lies" = bounds::SHARE, "unit" = "share"))]
    pub beta2: f64,
    /// Keeps the denominator from nothing.
    #[serde(deserialize_with = "bounds::positive")]
    #[schemars(extend("lies" = bounds::POSITIVE))]
    pub epsilon: f64,
    /// Weight decay, of matrices alone: not of biases and normalisations.
    #[serde(deserialize_with = "bounds::from_nothing")]
    #[schemars(extend("lies" = bounds::FROM_NOTHING, "unit" = "of a weight, times the rate, a step"))]
    pub decay: f64,
    /// The longest gradient, as the root of the sum of all its squares: a longer one is shortened to it. 0 for
    /// any.
    #[serde(deserialize_with = "bounds::from_nothing")]
    #[schemars(extend("lies" = bounds::FROM_NOTHING, "unit" = "length"))]
    pub clip: f64,
}

impl Default for OptimizerSpec {
    fn default() -> OptimizerSpec {
        OptimizerSpec { rate: None, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, clip: 1.0 }
    }
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSpec {
    /// How it falls.
    pub shape: Fall,
    /// Over so much of the steps it rises.
    #[serde(deserialize_with = "bounds::share")]
    #[schemars(extend("lies" = bounds::SHARE, "unit" = "share of `steps`"))]
    pub warmup: f64,
    /// What is left of it in the end.
    #[serde(deserialize_with = "bounds::share")]
    #[schemars(extend("lies" = bounds::SHARE, "unit" = "share of `optimizer.rate`"))]
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
        if steps == 1 {
            // The first is not the end of anything.
            return 1.0;
        }
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSpec {
    /// How far above the last steps' mean a loss may be; 0 for any. What is not a number is always skipped.
    /// Ours: off, since no published run of these models had it.
    #[serde(deserialize_with = "bounds::from_nothing")]
    #[schemars(extend("lies" = bounds::FROM_NOTHING, "unit" = "standard deviations"))]
    pub spike: f64,
    /// Skipped steps, one after another, that end the run. Ours.
    #[schemars(extend("unit" = "steps"))]
    pub abort: NonZeroU64,
}

impl Default for GuardSpec {
    fn default() -> GuardSpec {
        GuardSpec { spike: 0.0, abort: NonZeroU64::MIN.saturating_add(9) }
    }
}

/// What is kept of a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSpec {
    /// Steps from one to the next; 0 for none but the last. Pythia published every thousandth.
    #[schemars(extend("unit" = "steps"))]
    pub every: u64,
    /// How many of the latest are kept; and the latest with whose weights a step has passed, if that is none of
    /// them.
    #[schemars(extend("unit" = "checkpoints"))]
    pub keep: NonZeroU64,
    /// Multiples of so many steps are kept for ever; 0 for none.
    #[schemars(extend("unit" = "steps"))]
    pub keep_every: u64,
    /// Whether a run may go on from a checkpoint that is known to be bad: with its weights all steps were
    /// skipped, or they or their loss are no numbers.
    pub bad: bool,
}

impl Default for CheckpointSpec {
    fn default() -> CheckpointSpec {
        CheckpointSpec { every: 1000, keep: NonZeroU64::MIN.saturating_add(1), keep_every: 0, bad: false }
    }
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

/// Tokens of a step and of a run at most: far beyond what any needs, and nothing that is computed of them overflows.
const MOST_STEP: u64 = 1 << 40;
const MOST_RUN: u64 = 1 << 60;

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
        if batch.saturating_mul(time) > MOST_STEP {
            return Err(wrong(format!("a step of {batch} sequences of {time} tokens is too large"))
                .hint("take a `batch` that gives it at most 2^40 tokens"));
        }
        let steps = match (self.steps, preset) {
            (Some(steps), _) => steps.get(),
            (None, Some(preset)) => preset.tokens.div_ceil(batch * time),
            (None, None) => return Err(missing("steps")),
        };
        if steps.saturating_mul(batch * time) > MOST_RUN {
            return Err(wrong(format!("{steps} steps of {} tokens are too many", batch * time))
                .hint("take as many `steps` as give 2^60 tokens at most"));
        }
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
        // A run of one step is no end of a fall.
        let one = RunPlan { steps: 1, ..self::plan("model: pythia-14m").unwrap() };
        assert_eq!(one.rate_at(1), one.rate);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, words) in [
            ("model: pythia-14m\nsequence: 4096", "the model's longest is 2048"),
            ("model: pythia-14m\nbatch: 10\nmicro: 4", "no multiple"),
            (
                "model: pythia-14m\nbatch: 4611686018427387904",
                "a step of 4611686018427387904 sequences of 2048 tokens is",
            ),
            ("model: pythia-14m\nsteps: 18446744073709551615", "steps of 2097152 tokens are too many"),
        ] {
            assert!(plan(text).unwrap_err().message.contains(words), "{text}");
        }
        assert_eq!(plan("model: pythia-14m\nbatch: 24\nmicro: 2").unwrap().leaves(), 4);
        assert_eq!(plan("model: pythia-14m\nbatch: 64\nmicro: 1").unwrap().leaves(), 8);
    }
}
