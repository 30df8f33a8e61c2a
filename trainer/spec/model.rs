//! The part of a configuration that says which model.

use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::config::{Config, PRESETS, Preset, bend};
use crate::device::Gelu;
use crate::failure::{Failure, Result};
use crate::yaml::closest;

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

/// By its name (`model: pythia-14m`), by its file, or as a map that changes one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Changes {
    /// The model that is changed: a preset, a `config.json` of Hugging Face's or the folder of one.
    #[schemars(extend("kind" = "preset or path"))]
    from: String,
    /// Rows of the embedding and of the head, padding included: at least the tokenizer's tokens.
    #[schemars(range(min = 1), extend("unit" = "tokens"))]
    vocab_size: Option<usize>,
    /// Numbers of the residual stream.
    #[schemars(range(min = 1), extend("unit" = "numbers"))]
    hidden_size: Option<usize>,
    /// Layers.
    #[schemars(range(min = 1), extend("unit" = "layers"))]
    num_hidden_layers: Option<usize>,
    /// Heads of attention, which divide `hidden_size`.
    #[schemars(range(min = 1), extend("unit" = "heads"))]
    num_attention_heads: Option<usize>,
    /// Numbers within the perceptron; where `hidden_size` is changed and it is not, as many times wider as before.
    #[schemars(range(min = 1), extend("unit" = "numbers"))]
    intermediate_size: Option<usize>,
    /// The longest sequence.
    #[schemars(range(min = 1), extend("unit" = "tokens"))]
    max_position_embeddings: Option<usize>,
    /// Whether attention and perceptron read the same stream (Pythia) or one after the other (INCITE).
    use_parallel_residual: Option<bool>,
    /// What of a head turns with its position: 1 in INCITE, a quarter in Pythia.
    #[schemars(extend("lies" = "from 0 to 1", "unit" = "share of a head"))]
    rotary_pct: Option<f64>,
    /// The base of the angles.
    #[schemars(extend("lies" = "above 1"))]
    rotary_base: Option<f64>,
    /// What keeps a normalisation from dividing by nothing.
    #[schemars(extend("lies" = "above 0, below 1"))]
    layer_norm_eps: Option<f64>,
    /// The perceptron's bend: by the error function (Hugging Face's `gelu`), or by tanh as GPT-NeoX does where it
    /// fuses bias and bend.
    #[serde(default, deserialize_with = "act")]
    #[schemars(with = "Option<String>", extend("kind" = "`gelu` or `gelu_pytorch_tanh` (also `gelu_python`; `gelu_new`, `gelu_fast`, `gelu_python_tanh`, `gelu_accurate`)"))]
    hidden_act: Option<Gelu>,
    /// The token that ends a document: the one of the shards.
    #[schemars(extend("unit" = "token"))]
    eos_token_id: Option<u32>,
}

fn act<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Gelu>, D::Error> {
    bend::deserialize(deserializer).map(Some)
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
        change(&mut config.hidden_act, self.hidden_act);
        if let Some(end) = self.eos_token_id {
            config.eos_token_id = end;
            config.other_ends = Vec::new();
        }
        config.check()?;
        Ok(model)
    }
}

impl<'de> Deserialize<'de> for ModelSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ModelSpec, D::Error> {
        struct Either;
        impl Either {
            const EXPECTED: &str = "a preset, a path, or a map such as { from: pythia-14m, num_hidden_layers: 2 }";
        }
        impl<'de> Visitor<'de> for Either {
            type Value = ModelSpec;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(Either::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ModelSpec, E> {
                ModelSpec::find(word).map_err(|failure| {
                    E::custom(match failure.hint {
                        Some(hint) => format!("{}; {hint}", failure.message),
                        None => failure.message,
                    })
                })
            }

            // A number and a list are told as they are: what serde says of them points at the key.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ModelSpec, E> {
                Err(E::custom(format!("{number} is no model: expected {}", Either::EXPECTED)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ModelSpec, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Err(de::Error::custom(format!("a list is no model: expected {}", Either::EXPECTED)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelSpec, A::Error> {
                let changes = Changes::deserialize(de::value::MapAccessDeserializer::new(map))?;
                changes.model().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for ModelSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Model".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<Changes>()] })
    }
}
