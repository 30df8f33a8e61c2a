//! Small models of ours (`tests/models/sentencepiece/make.py`), against what SentencePiece says.

use super::*;
use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
struct Told {
    texts: Vec<String>,
    models: BTreeMap<String, Vec<Cut>>,
}

/// A text's pieces: their numbers, and what they are.
type Cut = (Vec<u32>, Vec<String>);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models/sentencepiece")
}

fn told() -> Told {
    serde_json::from_slice(&std::fs::read(folder().join("pieces.json")).unwrap()).unwrap()
}

#[test]
fn every_piece_is_sentencepiece_s() {
    let Told { texts, models } = told();
    assert_eq!(models.len(), 6);
    let mut room = Room::default();
    for (name, expected) in &models {
        let model = load(&folder().join(format!("{name}.model"))).unwrap();
        for (text, (ids, pieces)) in texts.iter().zip(expected) {
            model.encode(text, &mut room);
            let seen: Vec<_> = room
                .tokens()
                .iter()
                .map(|token| String::from_utf8_lossy(model.text(token, &room)).into_owned())
                .collect();
            assert_eq!(seen, *pieces, "{name} on {text:.60?}");
            let seen: Vec<u32> = room.tokens().iter().map(|token| token.id).collect();
            assert_eq!(seen, *ids, "{name} on {text:.60?}");
        }
    }
}

#[track_caller]
fn refused(bytes: &[u8], says: &str) {
    let error = Model::from_bytes(bytes, Path::new("en.sp.model")).err().unwrap().to_string();
    assert!(error.starts_with("en.sp.model is not a SentencePiece model that we can use: "), "{error}");
    assert!(error.contains(says), "{error}");
}

#[test]
fn what_is_no_model_says_what_was_expected() {
    refused(b"", "it has no pieces");
    refused(b"\\data\\\nngram 1=46\n", "expected a whole protocol buffer");
    refused(b"{\"version\": \"1.0\"}", "expected a whole protocol buffer");
    // A piece `a`, how it was trained (words), how it normalizes (nothing said).
    refused(b"\x0a\x03\x0a\x01a\x12\x02\x18\x03\x1a\x00", "a model of words: expected unigram or BPE");
    refused(b"\x0a\x03\x0a\x01a\x12\x02\x18\x01", "it is cut off");
    refused(b"\x0a\x03\x0a\x01a\x12\x02\x18\x01\x1a\x00", "it has no piece for the unknown");
    refused(b"\x0a\x05\x0a\x01a\x18\x02\x0a\x05\x0a\x01b\x18\x02\x12\x00\x1a\x00", "two pieces for the unknown");
    refused(b"\x0a\x05\x0a\x01a\x18\x02\x12\x00\x1a\x04\x12\x02ab", "its rules for characters are damaged");
    let missing = load(Path::new("/nowhere/en.sp.model")).err().unwrap().to_string();
    assert!(missing.contains("cannot read model /nowhere/en.sp.model"), "{missing}");
}

#[test]
fn a_model_that_is_cut_off_is_damaged() {
    for name in told().models.keys() {
        let whole = std::fs::read(folder().join(format!("{name}.model"))).unwrap();
        for length in (0..whole.len()).step_by(37).chain(whole.len() - 2..whole.len()) {
            assert!(Model::from_bytes(&whole[..length], Path::new("m")).is_err(), "{name} of {length} bytes");
        }
    }
}

#[test]
fn a_model_with_any_byte_flipped_is_used_or_refused() {
    for name in told().models.keys() {
        let whole = std::fs::read(folder().join(format!("{name}.model"))).unwrap();
        for at in (0..whole.len()).step_by(29) {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                crate::fuzz::sentencepiece(&damaged);
            }
        }
    }
}
