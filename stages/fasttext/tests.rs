//! Small models of ours (`tests/models/fasttext/make.py`), against what Facebook's program says.

use super::*;
use std::collections::BTreeMap;

const MODELS: [&str; 6] =
    ["softmax.bin", "hierarchical.bin", "one_vs_all.bin", "negative_sampling.bin", "hierarchical.ftz", "softmax.ftz"];

#[derive(serde::Deserialize)]
struct Told {
    texts: Vec<String>,
    models: BTreeMap<String, Vec<Vec<(String, f32)>>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models/fasttext")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

#[test]
fn every_label_and_probability_is_facebook_s() {
    let told: Told = serde_json::from_slice(&bytes("predictions.json")).unwrap();
    for name in MODELS {
        let model = load(&folder().join(name)).unwrap();
        for (text, expected) in told.texts.iter().zip(&told.models[name]) {
            let seen = model.predict(text, 3);
            let labels = |labels: Vec<&str>| labels.join(" ");
            assert_eq!(
                labels(seen.iter().map(|prediction| prediction.label).collect()),
                labels(expected.iter().map(|(label, _)| label.as_str()).collect()),
                "{name} on {text:.40?}"
            );
            for (seen, (_, expected)) in seen.iter().zip(expected) {
                let far = (seen.probability - expected).abs();
                assert!(far <= 1e-6, "{name} on {text:.40?}: {} instead of {expected}", seen.probability);
            }
        }
    }
}

#[test]
fn a_model_of_word_vectors_has_no_labels() {
    let error = Model::from_bytes(&bytes("vectors.bin"), Path::new("v.bin")).err().unwrap().to_string();
    assert!(error.contains("v.bin is not a fastText model that we can use: it is a model of word vectors"), "{error}");
}

#[test]
fn what_is_no_model_says_so() {
    for (bytes, says) in [(&b""[..], "does not begin"), (b"{\"model\": {}}", "does not begin")] {
        let error = Model::from_bytes(bytes, Path::new("m")).err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
    }
    let missing = load(Path::new("/nowhere/lid.176.bin")).err().unwrap().to_string();
    assert!(missing.contains("cannot read model /nowhere/lid.176.bin"), "{missing}");
}

#[test]
fn a_model_that_is_cut_off_anywhere_is_damaged() {
    for name in MODELS {
        let whole = bytes(name);
        for length in (0..whole.len()).step_by(19).chain(whole.len() - 9..whole.len()) {
            assert!(Model::from_bytes(&whole[..length], Path::new(name)).is_err(), "{name} of {length} bytes");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(Model::from_bytes(&longer, Path::new(name)).is_err(), "{name} with something behind it");
    }
}

#[test]
fn a_model_with_any_byte_flipped_is_used_or_refused() {
    for name in MODELS {
        let whole = bytes(name);
        // The head is where all lengths are.
        for at in (0..320).chain((320..whole.len()).step_by(61)) {
            for flip in [0x01, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                crate::fuzz::fasttext(&damaged);
            }
        }
    }
}

#[test]
fn a_number_that_is_none_is_damage() {
    let mut model = bytes("softmax.bin");
    let end = model.len();
    model[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = Model::from_bytes(&model, Path::new("m")).err().unwrap().to_string();
    assert!(error.contains("infinite or none"), "{error}");
}
