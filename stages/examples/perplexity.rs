//! What language models say of texts: one JSON string a line in, an answer a line out. As often as
//! `REPEAT` says it is reckoned anew before, for whoever measures.
//!
//! `golden/perplexity.py` compares it with what KenLM and SentencePiece say, and times both.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;

use serde_json::json;
use stages::kenlm::{self, State, Word};
use stages::perplexity::{Pair, normalize::normalize};
use stages::sentencepiece;

const USAGE: &str = "perplexity words MODEL REPEAT | pieces MODEL REPEAT | pair WORDS PIECES REPEAT, < texts as JSON";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let lines = std::io::stdin().lock().lines();
    let texts = lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Outcome<Vec<String>>>()?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let answer: Box<dyn Fn(&str) -> serde_json::Value> = match arguments[..] {
        ["words", model, _] => {
            let model = kenlm::load(Path::new(model))?;
            repeat(&arguments, &texts, |text| {
                model.score(words(&model, text));
            })?;
            Box::new(move |text| of_words(&model, text))
        }
        ["pieces", model, _] => {
            let model = sentencepiece::load(Path::new(model))?;
            let mut room = sentencepiece::Room::default();
            repeat(&arguments, &texts, |text| model.encode(text, &mut room))?;
            Box::new(move |text| {
                let mut room = sentencepiece::Room::default();
                model.encode(text, &mut room);
                let ids: Vec<u32> = room.tokens().iter().map(|token| token.id).collect();
                let text = |token| String::from_utf8_lossy(model.text(token, &room)).into_owned();
                json!({"ids": ids, "pieces": room.tokens().iter().map(text).collect::<Vec<_>>()})
            })
        }
        ["pair", words, pieces, _] => {
            let pair = Pair::of(kenlm::load(Path::new(words))?, Some(sentencepiece::load(Path::new(pieces))?));
            let (mut text_room, mut room, mut words) = (String::new(), sentencepiece::Room::default(), Vec::new());
            repeat(&arguments, &texts, |text| {
                text_room.clear();
                normalize(text, &mut text_room);
                pair.score(&text_room, &mut room, &mut words);
            })?;
            Box::new(move |text| of_pair(&pair, text))
        }
        _ => return Err(USAGE.into()),
    };
    for text in &texts {
        serde_json::to_writer(&mut out, &answer(text))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn repeat(arguments: &[&str], texts: &[String], mut reckon: impl FnMut(&str)) -> Outcome<()> {
    let times: usize = arguments.last().ok_or(USAGE)?.parse()?;
    for _ in 0..times {
        texts.iter().for_each(|text| reckon(black_box(text)));
    }
    Ok(())
}

fn words<'m>(model: &'m kenlm::Model, text: &'m str) -> impl Iterator<Item = Word> + 'm {
    // As `bytes.split` of Python.
    let white = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    text.as_bytes().split(white).filter(|word| !word.is_empty()).map(|word| model.word(word))
}

fn of_words(model: &kenlm::Model, text: &str) -> serde_json::Value {
    let mut state = model.begin();
    let all = words(model, text).chain([model.end_of_sentence()]);
    let full: Vec<_> = all
        .map(|word| {
            let scored = model.next(&mut state, word);
            (scored.log10, scored.length, word == Word::UNKNOWN)
        })
        .collect();
    let (mut state, mut alone) = (State::default(), 0.0f32);
    words(model, text).for_each(|word| alone += model.next(&mut state, word).log10);
    json!({"score": model.score(words(model, text)), "score_no_bos_eos": alone, "full": full, "order": model.order()})
}

fn of_pair(pair: &Pair, text: &str) -> serde_json::Value {
    let mut normalized = String::new();
    normalize(text, &mut normalized);
    let mut room = sentencepiece::Room::default();
    let (log10, length) = pair.score(&normalized, &mut room, &mut Vec::new());
    let pieces: Vec<_> = pair.pieces(&room).map(|(_, piece)| piece).collect();
    let perplexity = 10f64.powf(-log10 / length as f64);
    json!({"normalized": normalized, "tokenized": pieces.join(" "), "score": log10, "length": length,
        "perplexity": perplexity})
}
