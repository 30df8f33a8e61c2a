//! The shape of a model: presets, and Hugging Face's `config.json` in both of its dialects.

mod presets;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::device::Gelu;
use crate::failure::{Failure, Result};
pub use presets::{PRESETS, Preset};

/// A GPT-NeoX model without its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Rows of the embedding and of the head, padding included.
    pub vocab_size: usize,
    /// Numbers of the residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of attention; each has `hidden_size / num_attention_heads` numbers.
    pub num_attention_heads: usize,
    /// Numbers within the perceptron.
    pub intermediate_size: usize,
    /// The longest sequence.
    pub max_position_embeddings: usize,
    /// Whether attention and perceptron read the same stream (Pythia) or one after the other (INCITE).
    pub use_parallel_residual: bool,
    /// The share of a head that turns with its position.
    pub rotary_pct: f64,
    /// The base of the angles.
    pub rotary_base: f64,
    /// What keeps a normalisation from dividing by nothing.
    pub layer_norm_eps: f64,
    /// The perceptron's bend.
    #[serde(with = "bend")]
    pub hidden_act: Gelu,
    /// The token that ends a document.
    pub eos_token_id: u32,
    /// Others that end what is generated, where a `config.json` lists several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_ends: Vec<u32>,
}

/// The bend's names in Hugging Face's files.
pub mod bend {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::device::Gelu;

    /// The bend of a name.
    pub fn of(name: &str) -> Option<Gelu> {
        match name {
            "gelu" | "gelu_python" => Some(Gelu::Erf),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate" => Some(Gelu::Tanh),
            _ => None,
        }
    }

    /// The name that we write.
    pub fn name(gelu: Gelu) -> &'static str {
        match gelu {
            Gelu::Erf => "gelu",
            Gelu::Tanh => "gelu_pytorch_tanh",
        }
    }

    /// Writes the name.
    pub fn serialize<S: Serializer>(gelu: &Gelu, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name(*gelu))
    }

    /// Reads a name.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Gelu, D::Error> {
        let word = String::deserialize(deserializer)?;
        of(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is none of gelu, gelu_new, gelu_pytorch_tanh")))
    }
}

/// `config.json` as far as it says what is computed. Both dialects: `rope_parameters` of
/// transformers 5, `rotary_pct` and `rotary_emb_base` of those before.
#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    use_parallel_residual: Option<bool>,
    rotary_pct: Option<f64>,
    rotary_emb_base: Option<f64>,
    rope_theta: Option<f64>,
    rope_parameters: Option<Rope>,
    rope_scaling: Option<Value>,
    layer_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    eos_token_id: Option<Ends>,
}

/// The token that ends a document, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "eos_token_id is neither a token nor a list of tokens")]
enum Ends {
    One(u32),
    Several(Vec<u32>),
}

#[derive(Deserialize)]
struct Rope {
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    rope_type: Option<String>,
}

impl Config {
    /// How many numbers of a head turn with their position.
    pub fn turned(&self) -> usize {
        let width = self.hidden_size / self.num_attention_heads;
        // As Hugging Face and GPT-NeoX cut it: toward zero.
        (width as f64 * self.rotary_pct) as usize
    }

    /// How many numbers its weights are.
    pub fn parameters(&self) -> u64 {
        crate::weights::specs(self).iter().map(|spec| spec.count() as u64).sum()
    }

    /// All tokens that end what is generated.
    pub fn ends(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.eos_token_id).chain(self.other_ends.iter().copied())
    }

    /// They, as Hugging Face's files have them.
    pub fn ends_json(&self) -> Value {
        if self.other_ends.is_empty() { json!(self.eos_token_id) } else { json!(self.ends().collect::<Vec<_>>()) }
    }

    /// Reads `config.json`, or the one in a folder.
    pub fn read(path: &Path) -> Result<Config> {
        let path = if path.is_dir() { path.join("config.json") } else { path.to_path_buf() };
        let bytes = std::fs::read(&path).map_err(Failure::io("cannot read", &path))?;
        let said = |message: String| Failure::configuration(format!("{}: {message}", path.display()));
        let file: File = serde_json::from_slice(&bytes).map_err(|error| said(error.to_string()))?;
        if let Some(kind) = file.model_type.as_deref().filter(|kind| *kind != "gpt_neox") {
            return Err(said(format!("a model of type `{kind}`")).hint("models of type `gpt_neox` are known"));
        }
        let rope = file.rope_parameters.as_ref();
        let kind = rope.and_then(|rope| rope.rope_type.as_deref()).unwrap_or("default");
        if kind != "default" || file.rope_scaling.as_ref().is_some_and(|scaling| !scaling.is_null()) {
            return Err(said("positions that are scaled are not known".into()));
        }
        if file.attention_bias == Some(false) {
            return Err(said("attention without biases is not known".into()));
        }
        if file.tie_word_embeddings == Some(true) {
            return Err(said("a head tied to the embedding is not known".into()));
        }
        let act = file.hidden_act.as_deref().unwrap_or("gelu");
        let Some(hidden_act) = bend::of(act) else {
            return Err(said(format!("hidden_act `{act}`")).hint("known are gelu, gelu_new and gelu_pytorch_tanh"));
        };
        let ends = match file.eos_token_id {
            None => vec![0],
            Some(Ends::One(token)) => vec![token],
            Some(Ends::Several(tokens)) => tokens,
        };
        let Some((eos_token_id, other_ends)) = ends.split_first() else {
            return Err(said("eos_token_id is a list of no token".into()).hint("name the one that ends a document"));
        };
        let config = Config {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: file.num_attention_heads,
            intermediate_size: file.intermediate_size,
            max_position_embeddings: file.max_position_embeddings,
            use_parallel_residual: file.use_parallel_residual.unwrap_or(true),
            rotary_pct: rope.and_then(|rope| rope.partial_rotary_factor).or(file.rotary_pct).unwrap_or(0.25),
            rotary_base: rope
                .and_then(|rope| rope.rope_theta)
                .or(file.rotary_emb_base)
                .or(file.rope_theta)
                .unwrap_or(10_000.0),
            layer_norm_eps: file.layer_norm_eps.unwrap_or(1e-5),
            hidden_act,
            eos_token_id: *eos_token_id,
            other_ends: other_ends.to_vec(),
        };
        config.check().map_err(said)?;
        Ok(config)
    }

    /// What its numbers must be to each other.
    pub fn check(&self) -> Result<(), String> {
        let whole = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        if let Some((name, value)) = whole.iter().find(|(_, value)| *value == 0 || *value > 1 << 28) {
            return Err(format!("{name} is {value}"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let (size, heads) = (self.hidden_size, self.num_attention_heads);
            return Err(format!("hidden_size {size} does not divide into {heads} heads"));
        }
        if !(0.0..=1.0).contains(&self.rotary_pct) {
            return Err(format!(
                "rotary_pct is {}: it is the share of a head that turns, from 0 to 1",
                self.rotary_pct
            ));
        }
        if !self.turned().is_multiple_of(2) {
            let turned = self.turned();
            return Err(format!(
                "rotary_pct {}: {turned} numbers of a head would turn, not an even number",
                self.rotary_pct
            ));
        }
        if !(self.rotary_base > 1.0 && self.rotary_base.is_finite()) {
            return Err(format!("the base of positions is {}", self.rotary_base));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(format!("layer_norm_eps is {}", self.layer_norm_eps));
        }
        if let Some(end) = self.ends().find(|end| *end as usize >= self.vocab_size) {
            return Err(format!("eos_token_id {end} is not below vocab_size {}", self.vocab_size));
        }
        Ok(())
    }

    /// `config.json` for Hugging Face, old and new readers alike; `dtype` as its weights are stored.
    pub fn to_json(&self, dtype: &str) -> Value {
        json!({
            "architectures": ["GPTNeoXForCausalLM"],
            "attention_bias": true,
            "attention_dropout": 0.0,
            "bos_token_id": self.eos_token_id,
            "classifier_dropout": 0.1,
            "dtype": dtype,
            "eos_token_id": self.ends_json(),
            "hidden_act": bend::name(self.hidden_act),
            "hidden_dropout": 0.0,
            "hidden_size": self.hidden_size,
            "initializer_range": 0.02,
            "intermediate_size": self.intermediate_size,
            "layer_norm_eps": self.layer_norm_eps,
            "max_position_embeddings": self.max_position_embeddings,
            "model_type": "gpt_neox",
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "rope_parameters": {
                "partial_rotary_factor": self.rotary_pct,
                "rope_theta": self.rotary_base,
                "rope_type": "default",
            },
            "rotary_emb_base": self.rotary_base,
            "rotary_pct": self.rotary_pct,
            "tie_word_embeddings": false,
            "torch_dtype": dtype,
            "use_cache": true,
            "use_parallel_residual": self.use_parallel_residual,
            "vocab_size": self.vocab_size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        Config::read(folder.path())
    }

    #[test]
    fn both_dialects_say_the_same() {
        let shape = r#""model_type": "gpt_neox", "vocab_size": 96, "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "intermediate_size": 256, "max_position_embeddings": 64"#;
        let old = format!(r#"{{{shape}, "rotary_pct": 0.5, "rotary_emb_base": 5000, "torch_dtype": "float16"}}"#);
        let new = format!(
            r#"{{{shape}, "rope_parameters": {{"rope_theta": 5000.0, "partial_rotary_factor": 0.5, "rope_type": "default"}}}}"#
        );
        let (old, new) = (read(&old).unwrap(), read(&new).unwrap());
        assert_eq!(old, new);
        assert_eq!((old.turned(), old.hidden_act, old.use_parallel_residual), (8, Gelu::Erf, true));
        let written = read(&old.to_json("float32").to_string()).unwrap();
        assert_eq!(written, old);
    }

    #[test]
    fn several_tokens_may_end_a_text() {
        let mut json = Preset::find("pythia-14m").unwrap().config().to_json("float32");
        json["eos_token_id"] = json!([3, 0, 7]);
        let config = read(&json.to_string()).unwrap();
        assert_eq!((config.eos_token_id, config.ends().collect::<Vec<_>>()), (3, vec![3, 0, 7]));
        let written = config.to_json("float32");
        assert_eq!((&written["bos_token_id"], &written["eos_token_id"]), (&json!(3), &json!([3, 0, 7])));
        assert_eq!(read(&written.to_string()).unwrap(), config);
        for (given, end) in [(Value::Null, 0), (json!([5]), 5)] {
            json["eos_token_id"] = given;
            assert_eq!(read(&json.to_string()).unwrap().ends().collect::<Vec<_>>(), [end]);
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let good = Preset::find("pythia-14m").unwrap().config().to_json("float32");
        for (key, value, word) in [
            ("model_type", json!("llama"), "llama"),
            ("hidden_act", json!("relu"), "relu"),
            ("tie_word_embeddings", json!(true), "tied"),
            ("attention_bias", json!(false), "biases"),
            ("num_attention_heads", json!(5), "5 heads"),
            ("num_hidden_layers", json!(0), "num_hidden_layers is 0"),
            ("rope_scaling", json!({"type": "linear"}), "scaled"),
            ("rope_parameters", json!({"partial_rotary_factor": 0.1}), "even"),
            ("eos_token_id", json!(60_000), "eos_token_id"),
            ("eos_token_id", json!([0, 60_000]), "eos_token_id 60000"),
            ("eos_token_id", json!([]), "a list of no token"),
            ("eos_token_id", json!("0"), "neither a token nor a list of tokens"),
            ("hidden_size", json!("big"), "invalid type"),
        ] {
            let mut changed = good.clone();
            changed[key] = value;
            let failure = read(&changed.to_string()).unwrap_err();
            assert!(failure.message.contains(word), "{key}: {failure}");
        }
    }
}
