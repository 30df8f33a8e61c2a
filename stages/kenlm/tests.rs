//! Small models of ours (`tests/models/kenlm/make.py`), against what KenLM says.

use super::*;
use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
struct Told {
    sentences: Vec<String>,
    models: BTreeMap<String, Vec<Sentence>>,
}

/// The score of a sentence, and of each of its words: with how many words it was told, and whether the
/// model does not know the word.
type Sentence = (f32, Vec<(f32, usize, bool)>);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models/kenlm")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn told() -> Told {
    serde_json::from_slice(&bytes("scores.json")).unwrap()
}

/// The words of a sentence, between white space as `bytes.split` of Python has it.
fn words(model: &Model, sentence: &str) -> Vec<Word> {
    let white = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    sentence.as_bytes().split(white).filter(|word| !word.is_empty()).map(|word| model.word(word)).collect()
}

#[test]
fn every_score_is_kenlm_s() {
    let Told { sentences, models } = told();
    assert_eq!(models.len(), 11);
    for (name, expected) in &models {
        let model = load(&folder().join(name)).unwrap();
        for (sentence, (score, full)) in sentences.iter().zip(expected) {
            let words = words(&model, sentence);
            assert_eq!(model.score(words.iter().copied()), *score, "{name} on {sentence:?}");
            let mut state = model.begin();
            let known = words.iter().copied().chain([model.end_of_sentence()]);
            let seen: Vec<_> = known
                .map(|word| {
                    let Scored { log10, length } = model.next(&mut state, word);
                    (log10, length, word == Word::UNKNOWN)
                })
                .collect();
            assert_eq!(seen, *full, "{name} on {sentence:?}");
        }
    }
}

#[track_caller]
fn refused(bytes: &[u8], says: &str) {
    let error = Model::from_bytes(bytes.to_vec(), Path::new("m.arpa.bin")).unwrap_err().to_string();
    assert!(error.starts_with("m.arpa.bin is not a KenLM model that we can use: "), "{error}");
    assert!(error.contains(says), "{error}");
}

#[test]
fn what_is_no_model_says_what_was_expected() {
    refused(b"", "expected KenLM's binary header, or `\\data\\` of an ARPA file, found ``");
    refused(b"PK\x03\x04zip", "found `PK??zip`");
    refused(b"\x1f\x8b\x08\x00", "it is compressed");
    refused(b"mmap lm http://kheafield.com/code incomplete\n", "did not finish");
    refused(b"mmap lm http://kheafield.com/code format version 4\n\0", "of format version 4, and 5 is known");
    let mut other = bytes("probing.bin");
    other[88] = 9;
    refused(&other, "it is of order 9: expected 2 to 8");
    other[88] = 4;
    other[96] = 1;
    refused(&other, "costs of rests");
    other[96] = 7;
    refused(&other, "it is of kind 7");
    let missing = load(Path::new("/nowhere/en.arpa.bin")).unwrap_err().to_string();
    assert!(missing.contains("/nowhere/en.arpa.bin"), "{missing}");
}

#[test]
fn an_arpa_file_that_is_wrong_says_where() {
    let arpa = String::from_utf8(bytes("two.arpa")).unwrap();
    let with = |old: &str, new: &str| {
        assert!(arpa.contains(old), "{old}");
        arpa.replacen(old, new, 1).into_bytes()
    };
    refused(&with("ngram 2=", "ngram 3="), "line 3: expected `ngram 2=` and a count");
    refused(&with("\\1-grams:", "\\7-grams:"), "line 5: expected `\\1-grams:`, found `\\7-grams:`");
    refused(&with("\t</s>", "\t<s/>"), "`</s>` is not among its 1-grams");
    refused(&with("\tMauern", "\tMauer"), "`Mauern` is not among its 1-grams");
    refused(&with("-99\t", "x\t"), "expected a number, found `x`");
    refused(&with("-99\t", "99\t"), "a probability of 10^99");
    refused(&with("\\end\\", ""), "`\\end\\` is missing");
    refused(&with("ngram 1=5", "ngram 1=9999995"), "do not fit into it");
    let windows = arpa.replace('\n', "\r\n").into_bytes();
    assert!(Model::from_bytes(windows, Path::new("m")).is_ok());
}

#[test]
fn a_model_that_is_cut_off_anywhere_is_damaged() {
    for name in told().models.keys() {
        let whole = bytes(name);
        for length in (0..whole.len()).step_by(97).chain(whole.len() - 9..whole.len()) {
            // The last two bytes of an ARPA file are the end of its last line.
            if name.ends_with(".arpa") && length + 2 > whole.len() {
                continue;
            }
            let cut = Model::from_bytes(whole[..length].to_vec(), Path::new(name));
            // Without its words at its end there may be some slack after the tables.
            let slack = name == "nameless.bin" && length + 8 > whole.len();
            assert!(cut.is_err() || slack, "{name} of {length} bytes");
        }
    }
}

#[test]
fn a_model_with_any_byte_flipped_is_used_or_refused() {
    for name in told().models.keys() {
        let whole = bytes(name);
        // The head is where all counts are.
        for at in (0..160).chain((160..whole.len()).step_by(23)) {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                crate::fuzz::kenlm(&damaged);
            }
        }
    }
}
