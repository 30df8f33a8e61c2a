//! The ids are those of the library that everyone uses: id for id, on text made to be difficult.

use serde_json::{Value, json};

use super::*;

/// A small tokenizer learned from text of every kind below, as its JSON.
pub(super) fn learned() -> Value {
    let texts = [
        "The red pajamas aren't theirs; they'll say it's hers, we've 12 of 345.\n\n",
        "fn main() {\n    let red = pajama(1, \"two\");\n        return red;\n}\n",
        "Ünïcödé naïve café, 漢字かな交じり文 и кириллица, 😀😀 👩‍👩‍👧.\r\n",
        "if (a != b) { c += d->e[f] * 0x1F; } // why?\n\tx = y;\n",
    ];
    let mut texts = texts.iter().cycle().take(40).map(ToString::to_string);
    serde_json::from_str(&train(&mut texts, 700, &SPECIALS).unwrap()).unwrap()
}

/// The same with runs of two to five spaces as tokens, as GPT-NeoX has them.
fn with_space_runs() -> Value {
    let mut tokenizer = learned();
    let first = tokenizer["model"]["vocab"].as_object().unwrap().len();
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    for length in 2..6 {
        added.push(json!({
            "id": first + length - 2, "content": " ".repeat(length), "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": true, "special": false,
        }));
    }
    tokenizer
}

pub(super) fn load_json(json: &Value, end: Option<&str>) -> Result<HuggingFace, TokenizerError> {
    HuggingFace::from_json(json.to_string().as_bytes(), Path::new("tokenizer.json"), end)
}

fn ids(tokenizer: &HuggingFace, text: &str) -> Vec<u32> {
    let mut ids = vec![7];
    tokenizer.encode(text, &mut ids);
    assert_eq!(ids.remove(0), 7, "what was there before stays");
    ids
}

/// Ours and the oracle's ids of every text are equal, and decoding gives back what was normalized.
#[track_caller]
fn check(json: &Value, end: Option<&str>, texts: &[String]) {
    let ours = load_json(json, end).unwrap();
    let oracle: oracle::Tokenizer = json.to_string().parse().unwrap();
    for text in texts {
        let theirs = oracle.encode_fast(text.as_str(), false).unwrap();
        let ids = ids(&ours, text);
        assert!(ids == theirs.get_ids(), "{text:.300?}:\n{:.300?}\n{:.300?}", ids, theirs.get_ids());
        if ours.round_trips() {
            assert!(ours.decode(&ids) == ours.normalized(text), "{text:.300?}");
        }
    }
}

/// Texts put together at random, the same every time, from parts that meet badly.
pub(super) fn mixed() -> Vec<String> {
    const PARTS: [&str; 60] = [
        "a",
        "the",
        "Word",
        "x1",
        "pajama",
        "ééé",
        "e",
        "\u{301}",
        "\u{308}\u{301}",
        "ﬁ",
        "Å",
        "\u{212B}",
        "\u{2126}", //
        "漢字",
        "かな",
        "кириллица",
        "😀",
        "👩‍👩‍👧",
        "ß",
        "ǆ",
        "ͅ",
        "\u{338}",
        "=",
        "'",
        "'s",
        "'t",
        "'re",
        "'ll",
        "'d",
        "'VE", //
        " ",
        "  ",
        "   ",
        "      ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "\t\t",
        "\u{b}",
        "\u{c}",
        "\u{a0}",
        "\u{3000}",
        "\u{2003}", //
        "\u{85}",
        "\u{200b}",
        "\u{feff}",
        "\u{1c}",
        "\0",
        "\u{7f}",
        "1",
        "2024",
        "²",
        "Ⅷ",
        ".",
        "...",
        "!=",
        "_", //
        "<|endoftext|>",
        "<|",
    ];
    let mut state = 88172645463325252u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut texts: Vec<String> = (0..6000)
        .map(|place| {
            // Most texts without special tokens, since one of them hands all to the engine.
            let parts = if place % 5 == 0 { PARTS.len() } else { PARTS.len() - 2 };
            (0..1 + next(40)).map(|_| PARTS[next(parts)]).collect()
        })
        .collect();
    texts.push(String::new());
    texts.push("for (int i = 0; i < n; i++) {\n    sum += values[i];  // adds\n}\n".repeat(300));
    texts
}

#[test]
fn ids_are_the_library_s_with_runs_of_spaces() {
    let tokenizer = with_space_runs();
    assert!(load_json(&tokenizer, None).unwrap().words.is_some(), "the short way is tested");
    check(&tokenizer, None, &mixed());
}

#[test]
fn ids_are_the_library_s_without_runs_of_spaces() {
    let tokenizer = learned();
    assert!(load_json(&tokenizer, None).unwrap().words.is_some(), "the short way is tested");
    check(&tokenizer, None, &mixed());
}

#[test]
fn ids_are_the_library_s_where_the_engine_goes_alone() {
    let mut tokenizer = with_space_runs();
    tokenizer["normalizer"] = json!({ "type": "Lowercase" });
    assert!(load_json(&tokenizer, None).unwrap().words.is_none(), "the engine is tested");
    check(&tokenizer, None, &mixed());
}

/// A step that is quadratic anywhere would take minutes.
#[test]
fn monstrous_words_take_no_longer_than_others() {
    let parts = ["a", " ", "\n", "\t \n", "é", "e\u{301}", "漢", "\u{a0}", "'", "\0", "0", "ab", "<|endoftext|>", "<|"];
    for tokenizer in [with_space_runs(), learned()] {
        let tokenizer = load_json(&tokenizer, None).unwrap();
        for part in parts {
            let text = part.repeat(300_000 / part.len());
            let ids = ids(&tokenizer, &text);
            assert!(tokenizer.decode(&ids) == tokenizer.normalized(&text), "{part:?}");
        }
    }
    check(&with_space_runs(), None, &["a".repeat(1_000_000)]);
}

#[test]
fn threads_agree() {
    let tokenizer = load_json(&with_space_runs(), None).unwrap();
    let texts = mixed();
    let alone: Vec<Vec<u32>> = texts.iter().map(|text| ids(&tokenizer, text)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (text, alone) in texts.iter().zip(&alone) {
                    assert_eq!(&ids(&tokenizer, text), alone);
                }
            });
        }
    });
}

#[test]
fn other_models_give_the_library_s_ids() {
    let words: Value = ["[UNK]", "the", "red", "pa", "##jama", "##s", "</s>", "pajamas", "."]
        .iter()
        .enumerate()
        .map(|(id, word)| (word.to_string(), json!(id)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let end = json!([{
        "id": 6, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": true,
    }]);
    let file = |model: Value, pre_tokenizer: Value, decoder: Value| {
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": end, "normalizer": null,
            "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder, "model": model,
        })
    };
    let word_piece = json!({
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": words,
    });
    let word_level = json!({ "type": "WordLevel", "unk_token": "[UNK]", "vocab": words });
    let pieces = ["[UNK]", "▁", "▁the", "▁red", "▁pa", "jama", "</s>", "s", "a", "t", "h", "e"];
    let scored: Vec<Value> = pieces.iter().enumerate().map(|(place, piece)| json!([piece, -(place as f64)])).collect();
    let unigram = json!({ "type": "Unigram", "unk_id": 0, "vocab": scored, "byte_fallback": false });
    let metaspace = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true });
    let texts: Vec<String> =
        ["the red pajamas.", "red red </s> the", "nothing known", "the  red\n\npajamas"].map(String::from).into();
    let by_words = json!({ "type": "Whitespace" });
    check(
        &file(word_piece, by_words.clone(), json!({ "type": "WordPiece", "prefix": "##", "cleanup": true })),
        None,
        &texts,
    );
    check(&file(word_level, by_words, Value::Null), None, &texts);
    check(&file(unigram, metaspace.clone(), metaspace), None, &texts);
}

#[test]
fn a_tokenizer_tells_what_it_is() {
    let tokenizer = load_json(&with_space_runs(), None).unwrap();
    let plain = load_json(&learned(), None).unwrap();
    assert_eq!(tokenizer.vocab_size(), plain.vocab_size() + 4);
    assert_eq!(tokenizer.end_of_document(), 0);
    assert_ne!(tokenizer.digest(), plain.digest());
    assert!(tokenizer.round_trips());
    assert_eq!(ids(&tokenizer, "a<|endoftext|>b").iter().filter(|id| **id == 0).count(), 1);
}

#[test]
fn text_is_normalized_between_its_special_tokens() {
    let tokenizer = load_json(&learned(), None).unwrap();
    assert_eq!(tokenizer.normalized("e\u{301}"), "é");
    assert_eq!(tokenizer.normalized("<|endoftext|>\u{338}e\u{301}"), "<|endoftext|>\u{338}é");
    assert!(matches!(tokenizer.normalized("plain"), Cow::Borrowed("plain")));
}

#[test]
fn the_same_texts_make_the_same_tokenizer() {
    assert_eq!(learned().to_string(), learned().to_string());
}

#[track_caller]
fn refused(json: &str, end: Option<&str>, message: &str) {
    let error = HuggingFace::from_json(json.as_bytes(), Path::new("t.json"), end).err().unwrap();
    assert!(error.to_string().starts_with(message), "{error}");
}

#[test]
fn what_is_no_tokenizer_is_said() {
    refused("{", None, "t.json is not a tokenizer.json: EOF");
    refused("[]", None, "t.json is not a tokenizer that we can run: it is no JSON object");
    refused("{}", None, "t.json is not a tokenizer that we can run: it has no `model` with a `vocab`");
    let mut other = learned();
    other["model"]["type"] = json!("Abacus");
    refused(&other.to_string(), None, "t.json is not a tokenizer that we can run: ");
    let missing = load(Path::new("no/such/tokenizer.json"), None).err().unwrap();
    assert!(missing.to_string().starts_with("cannot read tokenizer no/such/tokenizer.json: "), "{missing}");
}

#[test]
fn the_end_of_a_document_is_a_token() {
    let mut tokenizer = learned();
    assert_eq!(load_json(&tokenizer, Some("<|padding|>")).unwrap().end_of_document(), 1);
    refused(&tokenizer.to_string(), Some("</s>"), "t.json has no token `</s>` to end documents with");
    tokenizer["added_tokens"][0]["content"] = json!("<a>");
    let ambiguous = "t.json does not say which token ends a document; candidates: `<a>`, `<|padding|>`";
    refused(&tokenizer.to_string(), None, ambiguous);
    tokenizer["added_tokens"] = json!([]);
    refused(&tokenizer.to_string(), None, "t.json does not say which token ends a document; candidates: none");
}
