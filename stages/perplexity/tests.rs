//! A pair of small models of ours (`tests/models/perplexity/make.py`), against what the original's
//! libraries say.

use std::path::{Path, PathBuf};

use corpus::{DocumentId, Meta};

use super::*;

#[derive(serde::Deserialize)]
struct Told {
    text: String,
    tokenized: String,
    score: Option<f32>,
    length: Option<u64>,
    perplexity: Option<f64>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models/perplexity")
}

pub fn small() -> Arc<Models> {
    Arc::new(load(&folder()).unwrap())
}

fn told() -> Vec<Told> {
    serde_json::from_slice(&std::fs::read(folder().join("scores.json")).unwrap()).unwrap()
}

#[test]
fn pieces_scores_and_perplexities_are_the_original_s() {
    let models = small();
    let pair = models.get(Some("en")).unwrap();
    let glued: Perplexity = serde_saphyr::from_str("lines: glued").unwrap();
    let mut room = Room::default();
    for Told { text, tokenized, score, length, perplexity } in told() {
        let mut prepared = String::new();
        normalize::normalize(&text, &mut prepared);
        let mut words = Vec::new();
        let seen = pair.score(&prepared, &mut room.pieces, &mut words);
        let pieces: Vec<_> = pair.pieces(&room.pieces).map(|(_, piece)| piece).collect();
        assert_eq!(pieces.join(" "), tokenized, "{text:.40?}");
        if let (Some(score), Some(length)) = (score, length) {
            assert_eq!(seen, (f64::from(score), length), "{text:.40?}");
        }
        assert_eq!(glued.of(&text, pair, &mut room), perplexity, "{text:.40?}");
    }
}

/// The signals of a text in a language.
#[track_caller]
fn measured(options: &str, models: Option<Arc<Models>>, language: Option<&str>, text: &str, expected: &str) {
    let stage: crate::StageSpec = serde_saphyr::from_str(options).unwrap();
    let crate::Built::Stage(built) = stage.build(&crate::Models { perplexity: models, ..Default::default() }).unwrap()
    else {
        panic!("{options} is no stage")
    };
    let meta = Meta { language: language.map(Into::into), ..Meta::default() };
    let id = DocumentId { raw_file: "common_crawl/a".into(), record: 0 };
    let mut document = Document::new(id, text.to_owned(), meta);
    built.apply(&mut document, &mut Workspace::default());
    assert_eq!(crate::spec::tests::signals_of(&stage, &document), expected, "{text:.40?} as {language:?}");
}

#[test]
fn a_document_is_cut_by_its_language() {
    let cut = |head, middle| format!("perplexity: {{ cutoffs: {{ en: {{ head: {head}, middle: {middle} }} }} }}");
    let (text, en) = ("the cat sat on the old mat", Some("en"));
    measured(&cut(1, 2), Some(small()), en, text, "perplexity=4.4 bucket=tail");
    measured(&cut(1, 5), Some(small()), en, text, "perplexity=4.4 bucket=middle");
    measured(&cut(5, 5), Some(small()), en, text, "perplexity=4.4 bucket=head");
    measured(&cut(1, 2), Some(small()), Some("de"), text, "perplexity=- bucket=all");
    // cc_net's own are for lines as it takes them.
    let glued = "perplexity: { lines: glued }";
    measured(glued, Some(small()), en, text, "perplexity=4.4 bucket=head");
    measured(glued, Some(small()), Some("de"), text, "perplexity=- bucket=all");
    measured(glued, Some(small()), None, text, "perplexity=- bucket=all");
    measured(glued, Some(small()), en, " \n\u{3000}\n", "perplexity=- bucket=all");
    measured(glued, None, en, text, "perplexity=- bucket=-");
    measured("perplexity: {}", Some(small()), en, text, "perplexity=4.4");
}

#[test]
fn one_model_serves_all_documents_unless_it_is_named_for_a_language() {
    let words = |name: &str| Arc::new(load(&folder().join("../kenlm").join(name)).unwrap());
    measured("perplexity: {}", Some(words("four.arpa")), None, "the cat sat", "perplexity=34.5");
    measured("perplexity: {}", Some(words("four.arpa")), Some("de"), "the cat sat", "perplexity=34.5");
    // cc_net's cut-offs are for models of pieces.
    let glued = "perplexity: { lines: glued }";
    measured(glued, Some(words("four.arpa")), Some("de"), "the cat sat", "perplexity=34.5 bucket=all");
    let english = Arc::new(load(&folder().join("en.arpa.bin")).unwrap());
    measured(glued, Some(english.clone()), Some("de"), "the cat sat", "perplexity=- bucket=all");
    measured(glued, Some(english), Some("en"), "the cat sat", "perplexity=4.9 bucket=head");
}

#[test]
fn lines_are_sentences_or_glued() {
    let text = "the cat sat on the mat\n\nit was raining";
    measured("perplexity: { lines: glued }", Some(small()), Some("en"), text, "perplexity=2.9 bucket=head");
    measured("perplexity: { lines: apart, decimals: 3 }", Some(small()), Some("en"), text, "perplexity=2.868");
}

#[test]
fn a_folder_s_models_are_named_for_languages() {
    let models = folder().join("../kenlm");
    let scratch = tempfile::tempdir().unwrap();
    let put = |from: &str, name: &str| std::fs::copy(models.join(from), scratch.path().join(name)).unwrap();
    put("four.arpa", "words.arpa");
    put("trie.bin", "lm.binary");
    let error = load(scratch.path()).err().unwrap().to_string();
    assert!(error.contains("no model is named for a language") && error.contains("it has `lm.binary`"), "{error}");
    put("trie.bin", "en.binary");
    assert!(load(scratch.path()).unwrap().languages().any(|language| language == "en"));
}

#[test]
fn a_model_of_pieces_asks_for_its_pieces() {
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(folder().join("en.arpa.bin"), alone.path().join("en.arpa.bin")).unwrap();
    let error = load(&alone.path().join("en.arpa.bin")).err().unwrap().to_string();
    assert!(
        error.ends_with("en.arpa.bin foretells SentencePiece's pieces: expected their model beside it, `en.sp.model`")
    );
    let error = load(&folder().join("../sentencepiece")).err().unwrap().to_string();
    assert!(error.contains("has no models: expected files such as `en.arpa.bin`"), "{error}");
}

#[test]
fn cut_offs_are_in_order() {
    let wrong =
        serde_saphyr::from_str::<Perplexity>("cutoffs: { en: { head: 5, middle: 4 } }").unwrap_err().to_string();
    assert!(wrong.contains("the head ends at 5, behind the middle at 4"), "{wrong}");
    assert!(serde_saphyr::from_str::<Perplexity>("cutoffs: { en: { head: 0, middle: 4 } }").is_err());
    assert!(serde_saphyr::from_str::<Perplexity>("lines: joined").is_err());
}

#[test]
fn any_text_has_a_perplexity_or_none() {
    for text in ["a".repeat(1 << 20), "!?.,;\u{202e}\u{200d}".to_owned(), "\u{0}\u{7f}".to_owned(), "😀".repeat(999)]
    {
        for options in ["lines: apart", "lines: glued"] {
            let options: Perplexity = serde_saphyr::from_str(options).unwrap();
            let found = options.of(&text, small().get(Some("en")).unwrap(), &mut Room::default());
            assert!(found.is_none_or(f64::is_finite), "{text:.20?}");
        }
    }
}
