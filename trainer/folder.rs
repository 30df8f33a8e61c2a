//! Models as Hugging Face has them: a folder with `config.json`, weights in one file or several, and
//! the files of a tokenizer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corpus::store::Store;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::checkpoint::run_of;
use crate::config::Config;
use crate::cpu::Float;
use crate::failure::{Failure, Result};
use crate::tensors::{self, Entry, Stored, TensorFile};
use crate::tokenizer::TOKENIZER;
use crate::weights::{Weights, specs};

/// The file of weights that are in one.
pub const WEIGHTS: &str = "model.safetensors";
/// What says in which file each tensor is.
const INDEX: &str = "model.safetensors.index.json";
/// What says how a tokenizer is used.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// What else a folder may have of its tokenizer.
const BESIDE: [&str; 3] = [TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json"];

#[derive(Serialize, Deserialize)]
struct Index {
    metadata: serde_json::Value,
    weight_map: BTreeMap<String, String>,
}

/// The shape and the weights of a folder.
pub fn read<F: Float>(folder: &Path) -> Result<(Config, Weights<Vec<F>>)> {
    let config = Config::read(folder)?;
    let weights = read_weights(folder, &config)?;
    Ok((config, weights))
}

/// The weights of a folder, for a model of this shape.
pub fn read_weights<F: Float>(folder: &Path, config: &Config) -> Result<Weights<Vec<F>>> {
    let mut files = open(folder)?;
    let mut failed = None;
    let weights = specs(config).map(|spec| {
        if failed.is_some() {
            return Vec::new();
        }
        let read = match find(&mut files, &spec.name) {
            None => Err(Failure::configuration(format!("{} has no tensor `{}`", folder.display(), spec.name))
                .hint("its weights are not those of a GPT-NeoX model with this many layers")),
            Some((_, name, shape)) if shape != spec.shape => Err(Failure::configuration(format!(
                "{}: `{name}` is {shape:?}, the configuration asks for {:?}",
                folder.display(),
                spec.shape
            ))
            .hint("the weights belong to another model: check `config.json`, or what `model` names")),
            Some((file, name, _)) => file.read(&name),
        };
        read.unwrap_or_else(|failure| {
            failed = Some(failure);
            Vec::new()
        })
    });
    failed.map_or(Ok(weights), Err)
}

/// The file, name and shape of a tensor: the head is `lm_head` in the memory of newer libraries.
fn find<'f>(files: &'f mut [TensorFile], name: &str) -> Option<(&'f mut TensorFile, String, Vec<usize>)> {
    let other = name.replace("embed_out.", "lm_head.");
    for file in files {
        for name in [name, &other] {
            if let Some(shape) = file.shape(name).map(<[usize]>::to_vec) {
                return Some((file, name.to_owned(), shape));
            }
        }
    }
    None
}

fn open(folder: &Path) -> Result<Vec<TensorFile>> {
    let (index, whole) = (folder.join(INDEX), folder.join(WEIGHTS));
    // Where both are there, transformers takes the one file too.
    if whole.is_file() || !index.is_file() {
        if !whole.is_file() {
            let message = format!("{} has neither {WEIGHTS} nor {INDEX}", folder.display());
            let old =
                folder.join("pytorch_model.bin").is_file() || folder.join("pytorch_model.bin.index.json").is_file();
            return Err(Failure::configuration(message).hint(match old {
                true => "its weights are pickled: save them with `safe_serialization=True` first",
                false => "name the folder of a model in Hugging Face's form, or of a checkpoint",
            }));
        }
        return Ok(vec![TensorFile::open(&whole)?]);
    }
    let bytes = std::fs::read(&index).map_err(Failure::io("cannot read", &index))?;
    let parsed: Index =
        serde_json::from_slice(&bytes).map_err(|error| Failure::damaged(&index, format!("no index: {error}")))?;
    let mut names: Vec<&String> = parsed.weight_map.values().collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| TensorFile::open(&folder.join(name))).collect()
}

/// What is written of a model.
pub struct Export<'a, F> {
    /// Its shape.
    pub config: &'a Config,
    /// Its weights.
    pub weights: &'a Weights<Vec<F>>,
    /// How they are stored.
    pub stored: Stored,
    /// Bytes of a file, at most, unless one tensor has more.
    pub file_bytes: u64,
    /// A `tokenizer.json`, or a folder with one.
    pub tokenizer: Option<PathBuf>,
}

/// Writes a folder that transformers loads. It is whole when `config.json` is there.
pub fn write<F: Float>(store: &Store, export: &Export<'_, F>) -> Result<()> {
    let tokenizer = match &export.tokenizer {
        Some(tokenizer) => tokenizer_files(tokenizer, export.config)?,
        None => Vec::new(),
    };
    sweep(store)?;
    let mut files: Vec<Vec<Entry<'_, F>>> = vec![Vec::new()];
    let (mut bytes, mut total) = (0, 0);
    for (spec, numbers) in specs(export.config).iter().zip(export.weights.iter()) {
        let own = (numbers.len() * export.stored.bytes()) as u64;
        if bytes > 0 && bytes + own > export.file_bytes {
            files.push(Vec::new());
            bytes = 0;
        }
        (bytes, total) = (bytes + own, total + own);
        let entry = Entry { name: spec.name.clone(), shape: spec.shape.clone(), numbers };
        if let Some(file) = files.last_mut() {
            file.push(entry);
        }
    }
    let mut weight_map = BTreeMap::new();
    let count = files.len();
    for (number, entries) in files.iter().enumerate() {
        let name = match count {
            1 => WEIGHTS.to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
        };
        tensors::write(store, &name, entries, export.stored)?;
        weight_map.extend(entries.iter().map(|entry| (entry.name.clone(), name.clone())));
    }
    let put = |name: &str, value: &serde_json::Value| store.write(name, format!("{value:#}\n").as_bytes());
    if count > 1 {
        let index = Index { metadata: json!({"total_size": total}), weight_map };
        put(INDEX, &json!(index))?;
    }
    for (name, bytes) in &tokenizer {
        store.write(name, bytes)?;
    }
    let (end, ends) = (export.config.eos_token_id, export.config.ends_json());
    put("generation_config.json", &json!({"_from_model_config": true, "bos_token_id": end, "eos_token_id": ends}))?;
    put("config.json", &export.config.to_json(export.stored.name()))?;
    Ok(())
}

/// Refuses weights that are no numbers, or would be none as they are stored.
pub fn check<F: Float>(export: &Export<'_, F>) -> Result<()> {
    for (spec, numbers) in specs(export.config).iter().zip(export.weights.iter()) {
        let (mut none, mut large) = (0u64, 0u64);
        for number in numbers {
            let number = number.f64();
            match number.is_finite() {
                false => none += 1,
                true => large += u64::from(!export.stored.rounded(number).is_finite()),
            }
        }
        let all = numbers.len();
        if none > 0 {
            return Err(Failure::configuration(format!("`{}`: {none} of {all} weights no finite numbers", spec.name))
                .hint("the model is broken: take another checkpoint of its run, by the name of its folder"));
        }
        if large > 0 {
            let name = export.stored.name();
            return Err(Failure::configuration(format!(
                "`{}`: {large} of {all} weights too large for {name}",
                spec.name
            ))
            .hint("`--dtype bf16` and `--dtype f32` have room for them"));
        }
    }
    Ok(())
}

/// Removes what a write left which did not end: its index would stand beside other files, its tokenizer beside another
/// model. Weights are written first and removed last: where there are none, a tokenizer is none of ours.
fn sweep(store: &Store) -> Result<()> {
    let entries = std::fs::read_dir(store.root()).map_err(Failure::io("cannot list", store.root()))?;
    let mut left = Vec::new();
    for entry in entries {
        let name = entry.map_err(Failure::io("cannot list", store.root()))?.file_name().to_string_lossy().into_owned();
        let part =
            name.strip_prefix("model-").is_some_and(|rest| rest.contains("-of-") && rest.ends_with(".safetensors"));
        if part || name == INDEX || name == WEIGHTS {
            left.push(name);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    for name in [TOKENIZER].into_iter().chain(BESIDE).filter(|name| store.has(name)) {
        store.remove(name)?;
    }
    left.iter().try_for_each(|name| Ok(store.remove(name)?))
}

/// The `tokenizer.json` that is named by itself or by its folder.
pub fn tokenizer_at(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(TOKENIZER) } else { path.to_path_buf() }
}

/// The `tokenizer.json` of a model: in its folder, or in that of the run whose checkpoint it is.
pub fn tokenizer(model: &Path) -> Option<PathBuf> {
    [Some(model), run_of(model)].into_iter().flatten().map(|folder| folder.join(TOKENIZER)).find(|path| path.is_file())
}

/// The files of a tokenizer beside a model of this shape, by name. They are read before anything is removed: they may
/// lie where the model goes.
fn tokenizer_files(from: &Path, config: &Config) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let read = |path: &Path| std::fs::read(path).map_err(Failure::io("cannot read", path));
    let path = tokenizer_at(from);
    let bytes = read(&path)?;
    let mut files = Vec::new();
    for name in BESIDE {
        let beside = path.with_file_name(name);
        if beside.is_file() {
            files.push((name, read(&beside)?));
        }
    }
    if !files.iter().any(|(name, _)| *name == TOKENIZER_CONFIG) {
        // Without it transformers does not know which class reads the file, nor which token ends a text.
        let json: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::configuration(format!("{} is not a tokenizer: {error}", path.display())))?;
        let end = content(&json, config.eos_token_id);
        let said = json!({
            "bos_token": end,
            "clean_up_tokenization_spaces": false,
            "eos_token": end,
            "model_max_length": config.max_position_embeddings,
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        files.push((TOKENIZER_CONFIG, format!("{said:#}\n").into_bytes()));
    }
    files.push((TOKENIZER, bytes));
    Ok(files)
}

/// How a tokenizer writes an added token.
fn content(tokenizer: &serde_json::Value, id: u32) -> Option<&str> {
    let mut added = tokenizer.get("added_tokens")?.as_array()?.iter();
    added.find(|token| token["id"] == id)?.get("content")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;
    use crate::weights::start;

    fn small() -> Config {
        let preset = Preset::find("pythia-14m").unwrap();
        Config {
            vocab_size: 50,
            hidden_size: 8,
            num_hidden_layers: 2,
            intermediate_size: 12,
            rotary_pct: 1.0,
            ..preset.config()
        }
    }

    #[test]
    fn what_is_exported_is_imported_in_one_file_or_several() {
        let config = small();
        let weights = start::<f32>(&config, 3);
        for file_bytes in [u64::MAX, 3000, 1] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::create(folder.path()).unwrap();
            let export =
                Export { config: &config, weights: &weights, stored: Stored::F32, file_bytes, tokenizer: None };
            write(&store, &export).unwrap();
            assert_eq!(store.has(INDEX), file_bytes < u64::MAX);
            let (read_config, read) = read::<f32>(folder.path()).unwrap();
            assert_eq!(read_config, config);
            assert!(read.iter().eq(weights.iter()));
        }
    }

    #[test]
    fn what_an_export_left_that_did_not_end_is_not_read_for_the_next() {
        let config = small();
        let (old, new) = (start::<f32>(&config, 3), start::<f32>(&config, 4));
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        for (before, after) in [(3000, u64::MAX), (u64::MAX, 3000), (1, 3000)] {
            for (weights, file_bytes) in [(&old, before), (&new, after)] {
                let export = Export { config: &config, weights, stored: Stored::F32, file_bytes, tokenizer: None };
                write(&store, &export).unwrap();
                if file_bytes == before {
                    store.remove("config.json").unwrap();
                }
            }
            assert!(read::<f32>(folder.path()).unwrap().1.iter().eq(new.iter()), "{before}, {after}");
            let named: BTreeMap<String, String> = match store.has(INDEX) {
                true => serde_json::from_slice::<Index>(&store.read(INDEX).unwrap()).unwrap().weight_map,
                false => BTreeMap::from([(String::new(), WEIGHTS.to_owned())]),
            };
            let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let left: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            let stale =
                left.iter().find(|name| name.ends_with(".safetensors") && !named.values().any(|own| own == *name));
            assert_eq!(stale, None);
            store.remove("config.json").unwrap();
        }
    }

    #[test]
    fn the_tokenizer_of_an_export_that_did_not_end_is_not_the_next_one_s() {
        let config = small();
        let weights = start::<f32>(&config, 3);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let own = |tokenizer| {
            let export =
                Export { config: &config, weights: &weights, stored: Stored::F32, file_bytes: 3000, tokenizer };
            write(&store, &export).unwrap();
            store.remove("config.json").unwrap();
        };
        // Where nothing was begun, what is there is whoever's it is.
        store.write(TOKENIZER, br#"{"is": "ours"}"#).unwrap();
        own(None);
        assert!(store.has(TOKENIZER) && !store.has(TOKENIZER_CONFIG));
        // One that is named stays, also where the model goes.
        store.write("added_tokens.json", b"{}").unwrap();
        own(Some(folder.path().to_path_buf()));
        assert_eq!(store.read(TOKENIZER).unwrap(), br#"{"is": "ours"}"#);
        assert!(store.has(TOKENIZER_CONFIG) && store.has("added_tokens.json"));
        own(None);
        for name in [TOKENIZER, TOKENIZER_CONFIG, "added_tokens.json"] {
            assert!(!store.has(name), "{name}");
        }
    }

    #[test]
    fn weights_that_would_be_no_numbers_are_not_written() {
        let config = small();
        let norm = "gpt_neox.final_layer_norm.weight";
        // The largest number of binary16 is 65,504; from 65,520 on the nearest is none.
        for (number, stored, words) in [
            (65_519.0, Stored::F16, None),
            (-65_520.0, Stored::F16, Some("1 of 8 weights too large for float16")),
            (65_520.0, Stored::Bf16, None),
            (f32::MAX, Stored::Bf16, Some("1 of 8 weights too large for bfloat16")),
            (f32::MAX, Stored::F32, None),
            (f32::NAN, Stored::F32, Some("1 of 8 weights no finite numbers")),
            (f32::NEG_INFINITY, Stored::F16, Some("1 of 8 weights no finite numbers")),
        ] {
            let mut weights = start::<f32>(&config, 3);
            weights.final_norm.weight[2] = number;
            let export = Export { config: &config, weights: &weights, stored, file_bytes: u64::MAX, tokenizer: None };
            let words = words.map(|words| format!("`{norm}`: {words}"));
            assert_eq!(check(&export).err().map(|failure| failure.message), words, "{number} as {stored:?}");
        }
    }

    /// Files of years ago carry masks and angles beside the weights, whatever their type.
    #[test]
    fn tensors_that_old_files_have_besides_are_ignored() {
        use safetensors::tensor::{Dtype, TensorView, serialize};

        let config = small();
        let weights = start::<f32>(&config, 3);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let export =
            Export { config: &config, weights: &weights, stored: Stored::F16, file_bytes: u64::MAX, tokenizer: None };
        write(&store, &export).unwrap();
        let own = store.read(WEIGHTS).unwrap();
        let known = safetensors::SafeTensors::deserialize(&own).unwrap();
        for odd in [Dtype::BOOL, Dtype::U8, Dtype::I64, Dtype::F32, Dtype::BF16, Dtype::F8_E4M3] {
            let zeros = vec![0; 1024];
            let view = |shape: &[usize]| {
                let bytes = shape.iter().product::<usize>() * odd.bitsize() / 8;
                TensorView::new(odd, shape.to_vec(), &zeros[..bytes]).unwrap()
            };
            let mut tensors: Vec<(String, TensorView<'_>)> =
                known.tensors().into_iter().map(|(name, view)| (name.clone(), view)).collect();
            for layer in 0..2 {
                for (name, shape) in [("bias", &[1, 1, 8, 8][..]), ("masked_bias", &[]), ("rotary_emb.inv_freq", &[4])]
                {
                    tensors.push((format!("gpt_neox.layers.{layer}.attention.{name}"), view(shape)));
                }
            }
            std::fs::write(store.path(WEIGHTS), serialize(tensors, None).unwrap()).unwrap();
            let (read_config, read) = read::<f32>(folder.path()).unwrap_or_else(|failure| panic!("{odd:?}: {failure}"));
            assert_eq!(read_config, config);
            let rounded = |number: &f32| half::f16::from_f32(*number).to_f32();
            assert!(
                read.iter().zip(weights.iter()).all(|(got, right)| got.iter().copied().eq(right.iter().map(rounded)))
            );
        }
        // As a weight such a type is none.
        let name = "gpt_neox.final_layer_norm.bias";
        let bytes = [0; 8];
        let tensors = known.tensors().into_iter().map(|(known, view)| {
            (known.clone(), if known == name { TensorView::new(Dtype::U8, vec![8], &bytes).unwrap() } else { view })
        });
        std::fs::write(store.path(WEIGHTS), serialize(tensors, None).unwrap()).unwrap();
        let failure = read::<f32>(folder.path()).unwrap_err().to_string();
        assert!(
            failure.contains("model.safetensors") && failure.contains(&format!("`{name}` is of type U8")),
            "{failure}"
        );
    }

    #[test]
    fn weights_of_another_shape_are_refused() {
        let config = small();
        let weights = start::<f32>(&config, 3);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let export =
            Export { config: &config, weights: &weights, stored: Stored::F32, file_bytes: 3000, tokenizer: None };
        write(&store, &export).unwrap();
        for (config, words) in [
            (
                Config { vocab_size: 51, ..config.clone() },
                "`gpt_neox.embed_in.weight` is [50, 8], the configuration asks for [51, 8]",
            ),
            (Config { num_hidden_layers: 3, ..config.clone() }, "no tensor `gpt_neox.layers.2.input_layernorm.weight`"),
        ] {
            let failure = read_weights::<f32>(folder.path(), &config).unwrap_err();
            assert!(failure.message.contains(words), "{failure}");
        }
        let index: Index = serde_json::from_slice(&store.read(INDEX).unwrap()).unwrap();
        let name = &index.weight_map["embed_out.weight"];
        std::fs::remove_file(store.path(name)).unwrap();
        let failure = read::<f32>(folder.path()).unwrap_err();
        assert!(failure.message.contains(name), "{failure}");
    }
}
