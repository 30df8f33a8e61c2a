//! Models small enough to differentiate by hand, and the fixtures that other software made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use trainer::config::Config;
use trainer::cpu::{Cpu, Float};
use trainer::device::Gelu;
use trainer::model::{Activations, Batch, Model};
use trainer::tensors::TensorFile;
use trainer::weights::{Weights, specs};

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The shape of the fixtures' model.
pub fn config(sequential: bool, act: &str) -> Config {
    Config {
        vocab_size: 37,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 24,
        max_position_embeddings: 128,
        use_parallel_residual: !sequential,
        rotary_pct: if sequential { 1.0 } else { 0.25 },
        rotary_base: 10_000.0,
        layer_norm_eps: 1e-5,
        hidden_act: if act == "tanh" { Gelu::Tanh } else { Gelu::Erf },
        eos_token_id: 0,
        other_ends: Vec::new(),
    }
}

pub fn tensors<F: Float>(name: &str) -> BTreeMap<String, Vec<F>> {
    let mut file = TensorFile::open(&fixture(name)).unwrap();
    file.names().into_iter().map(|name| (name.clone(), file.read(&name).unwrap())).collect()
}

pub fn weights<F: Float>(config: &Config) -> Weights<Vec<F>> {
    let tensors = tensors("weights.safetensors");
    specs(config).map(|spec| tensors[&spec.name].clone())
}

/// What a model is given, two sequences of 66 tokens.
pub struct Given {
    pub tokens: Vec<u32>,
    pub targets: Vec<u32>,
    pub starts: Vec<u32>,
    pub masked: Vec<bool>,
}

pub fn given() -> Given {
    let said: Value = serde_json::from_slice(&std::fs::read(fixture("batch.json")).unwrap()).unwrap();
    let ids = |key: &str| said[key].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    let masked = said["masked"].as_array().unwrap().iter().map(|masked| masked.as_bool().unwrap()).collect();
    Given { tokens: ids("tokens"), targets: ids("targets"), starts: ids("starts"), masked }
}

impl Given {
    /// The same for every row, in sum 1.
    pub fn plain<F: Float>(&self) -> Vec<F> {
        vec![F::of(1.0 / self.tokens.len() as f64); self.tokens.len()]
    }

    /// Nothing for rows that are masked; for the others a share that PyTorch divided in `f32`.
    pub fn scales<F: Float>(&self) -> Vec<F> {
        let open = self.masked.iter().filter(|masked| !**masked).count();
        self.masked.iter().map(|masked| F::of(if *masked { 0.0 } else { f64::from(1.0 / open as f32) })).collect()
    }
}

/// What a model gave for a batch.
pub struct Gave<F> {
    pub logits: Vec<F>,
    pub loss: f64,
    pub gradients: BTreeMap<String, Vec<F>>,
}

pub fn run<F: Float>(
    threads: usize,
    config: &Config,
    weights: &Weights<Vec<F>>,
    given: &Given,
    scales: &[F],
    documents: bool,
) -> Gave<F> {
    run_on(&Cpu::new(threads).unwrap(), config, weights, given, scales, documents)
}

pub fn run_on<F: Float>(
    cpu: &Cpu<F>,
    config: &Config,
    weights: &Weights<Vec<F>>,
    given: &Given,
    scales: &[F],
    documents: bool,
) -> Gave<F> {
    let model = Model::new(cpu, config);
    let weights = model.upload(weights);
    let weights = model.rounded(&weights).unwrap_or(weights);
    let batch =
        Batch { tokens: &given.tokens, targets: &given.targets, starts: documents.then_some(&given.starts), scales };
    let mut room: Activations<Cpu<F>> = model.activations(2, 66, true);
    model.forward(&weights, &batch, &mut room);
    let logits = model.logits(&weights, &mut room);
    let mut gradients = model.gradients();
    let losses = model.backward(&weights, &mut room, &mut gradients);
    let loss = losses.iter().zip(scales).map(|(loss, scale)| loss.f64() * scale.f64()).sum();
    let names = specs(config);
    let gradients = names.iter().zip(gradients.iter()).map(|(spec, numbers)| (spec.name.clone(), numbers.clone()));
    Gave { logits, loss, gradients: gradients.collect() }
}

/// How far numbers are from what they should be, in relation to its length.
pub fn distance<F: Float>(got: &[F], right: &[F]) -> f64 {
    assert_eq!(got.len(), right.len());
    let square = |value: f64| value * value;
    let off: f64 = got.iter().zip(right).map(|(got, right)| square(got.f64() - right.f64())).sum();
    let length: f64 = right.iter().map(|right| square(right.f64())).sum();
    assert!(off.is_finite() && length > 0.0);
    (off / length).sqrt()
}
