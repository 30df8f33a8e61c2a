//! How many bytes of text a token stands for.

use std::path::Path;

use serde_json::Value;

use crate::failure::{Failure, Result};

/// For each id of a `tokenizer.json`, the bytes of text that it stands for: none for those that mark something and
/// are no text. They add up to the text's, as the tokenizer normalizes it and with a space where it puts one before
/// it. Nothing where what a token stands for depends on those beside it.
pub fn lengths(path: &Path) -> Result<Option<Vec<u32>>> {
    let bytes = std::fs::read(path).map_err(Failure::io("cannot read", path))?;
    let json: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::configuration(format!("{} is not a tokenizer: {error}", path.display())))?;
    Ok(of(&json))
}

fn of(json: &Value) -> Option<Vec<u32>> {
    let model = &json["model"];
    // Such parts of words are written with letters that are no text.
    let marked = |key: &str| model[key].as_str().is_some_and(|mark| !mark.is_empty());
    if marked("continuing_subword_prefix") || marked("end_of_word_suffix") {
        return None;
    }
    let decoder = Decoder::of(&json["decoder"])?;
    let mut out: Vec<u32> = Vec::new();
    let mut put = |id: usize, length: usize| {
        out.resize(out.len().max(id + 1), 0);
        out[id] = length as u32;
    };
    match &model["vocab"] {
        Value::Object(tokens) => {
            for (token, id) in tokens {
                put(id.as_u64()? as usize, decoder.length(token));
            }
        }
        Value::Array(tokens) => {
            for (id, token) in tokens.iter().enumerate() {
                put(id, decoder.length(token.get(0)?.as_str()?));
            }
        }
        _ => return None,
    }
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        // It was found in a text as it is written here, unless it never was in one.
        let text = if token["special"] == true { "" } else { token["content"].as_str()? };
        put(token["id"].as_u64()? as usize, text.len());
    }
    Some(out)
}

/// What becomes of a token by itself where a text is made of several.
#[derive(Default)]
struct Decoder {
    /// Its letters stand for bytes.
    letters: bool,
    /// `<0x0A>` stands for a byte.
    hexadecimal: bool,
    /// What stands for something else in a token.
    replaced: Vec<(String, String)>,
}

impl Decoder {
    fn of(json: &Value) -> Option<Decoder> {
        let mut decoder = Decoder::default();
        let one = [json.clone()];
        let steps = match json["type"].as_str()? {
            "Sequence" => json["decoders"].as_array()?.as_slice(),
            _ => &one,
        };
        for step in steps {
            match step["type"].as_str()? {
                "ByteLevel" => decoder.letters = true,
                "ByteFallback" => decoder.hexadecimal = true,
                "Replace" => {
                    let (from, to) = (step["pattern"]["String"].as_str()?, step["content"].as_str()?);
                    decoder.replaced.push((from.to_owned(), to.to_owned()));
                }
                "Metaspace" => {
                    let mark = step["replacement"].as_str().unwrap_or("\u{2581}");
                    decoder.replaced.push((mark.to_owned(), " ".to_owned()));
                }
                // They join, or take the space away that was put before a text.
                "Fuse" | "Strip" => {}
                _ => return None,
            }
        }
        Some(decoder)
    }

    fn length(&self, token: &str) -> usize {
        let hexadecimal = |token: &str| {
            let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
            (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
        };
        if self.letters && token.chars().all(is_byte) {
            return token.chars().count();
        }
        if self.hexadecimal && hexadecimal(token).is_some() {
            return 1;
        }
        let replaced = |text: String, (from, to): &(String, String)| text.replace(from.as_str(), to);
        self.replaced.iter().fold(token.to_owned(), replaced).len()
    }
}

/// Whether a letter stands for a byte where they do, as GPT-2 began it: those that can be seen for themselves, the
/// other 68 by letters from U+0100 on.
fn is_byte(letter: char) -> bool {
    matches!(letter, '!'..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' | '\u{100}'..='\u{143}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tokenizer::Tokenizer;

    /// Holds the lengths of a text's tokens against their own text.
    fn check(path: &Path, text: &str, before: usize) {
        let (tokenizer, lengths) = (Tokenizer::open(path).unwrap(), lengths(path).unwrap().unwrap());
        let tokens = tokenizer.encode(text).unwrap();
        let sum: u32 = tokens.iter().map(|token| lengths[*token as usize]).sum();
        assert_eq!(sum as usize, text.len() + before, "{text:?}: {tokens:?}");
    }

    #[test]
    fn the_bytes_of_tokens_are_those_of_their_text() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slices/tokenizer.json");
        let every: String = (1..0x250).filter_map(char::from_u32).collect();
        let every: String = every.chars().filter(|letter| !(0x340..0x345).contains(&u32::from(*letter))).collect();
        for text in [
            "",
            "fn main() {}",
            "na\u{ef}ve \u{65e5}\u{672c}\u{8a9e} \u{1f999}\u{1f3fd}\u{200d}\u{2640}\u{fe0f}",
            " \n\n\t",
            &every,
        ] {
            check(&sample, text, 0);
        }
        // What marks the end of a document is no text of it.
        let all = lengths(&sample).unwrap().unwrap();
        assert_eq!((all[0], all[1]), (0, 0));
    }

    #[test]
    fn pieces_with_spaces_of_their_own_and_bytes_by_number_count_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let mut vocab: serde_json::Map<String, Value> =
            (0..=255u32).map(|byte| (format!("<0x{byte:02X}>"), json!(byte))).collect();
        for (at, piece) in ["\u{2581}", "a", "b", "\u{2581}a", "\u{e9}"].into_iter().enumerate() {
            vocab.insert(piece.to_owned(), json!(256 + at));
        }
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "pre_tokenizer": null, "post_processor": null,
            "added_tokens": [{"id": 261, "content": "  ", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": false}],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "\u{2581}"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"}]},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "vocab": vocab, "merges": [["\u{2581}", "a"]], "byte_fallback": true},
        });
        std::fs::write(&path, tokenizer.to_string()).unwrap();
        for text in ["ab a", "\u{e9}a\u{65e5}b"] {
            check(&path, text, 1);
        }
        assert_eq!(lengths(&path).unwrap().unwrap()[261], 2);
    }

    #[test]
    fn where_a_token_s_text_depends_on_others_there_is_nothing_to_add_up() {
        for decoder in [json!(null), json!({"type": "WordPiece", "prefix": "##"}), json!({"type": "BPEDecoder"})] {
            assert_eq!(of(&json!({"decoder": decoder, "model": {"vocab": {"a": 0}}})), None, "{decoder}");
        }
        let words = json!({"decoder": {"type": "Fuse"}, "model": {"vocab": {"a": 0}, "end_of_word_suffix": "</w>"}});
        assert_eq!(of(&words), None);
    }
}
