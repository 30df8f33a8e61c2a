//! Texts as tokens and back, as a model's `tokenizer.json` says.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::pipeline::{EncodeOptions, Override, PipelineToken, PipelineTokenizer};

use crate::failure::{Failure, Result};

mod lengths;
pub use lengths::lengths;

/// What a tokenizer's file is called in the folder of a model.
pub const TOKENIZER: &str = "tokenizer.json";
/// What stands for bytes that are no character, or not yet.
const UNKNOWN: char = char::REPLACEMENT_CHARACTER;

/// A tokenizer that was read.
pub struct Tokenizer {
    engine: PipelineTokenizer,
    path: PathBuf,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    pub fn open(path: &Path) -> Result<Tokenizer> {
        let bytes = std::fs::read(path).map_err(Failure::io("cannot read", path))?;
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::configuration(format!("{} is not a tokenizer that we can run: {error}", path.display()))
                .hint("it is the `tokenizer.json` that Hugging Face's `tokenizers` writes")
        };
        let mut json: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
        tokenizers::canonicalize_value(&mut json).map_err(|error| wrong(&error))?;
        let engine = tokenizers::from_json(&json.to_string()).map_err(|error| wrong(&error))?;
        Ok(Tokenizer { engine, path: path.to_path_buf() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tokens of a text, without special ones around it: so the shards have them.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: false,
            padding: Override::Off,
            truncation: Override::Off,
        };
        let mut tokens = Vec::new();
        self.engine.encode_into(text, &options, &mut tokens).map_err(|error| {
            Failure::configuration(format!("{} cannot cut this text: {error}", self.path.display()))
        })?;
        Ok(PipelineToken::cast_slice(&tokens).to_vec())
    }

    /// The text of tokens; what is no character, and ids that it does not have, are lost.
    pub fn decode(&self, tokens: &[u32]) -> String {
        // It fails only where a decoder of words cannot join them, and then there is nothing to show.
        self.engine.decode(tokens, false).unwrap_or_default()
    }
}

/// Text that comes token by token, in whole characters.
pub struct Stream<'t> {
    tokenizer: &'t Tokenizer,
    /// The last tokens, the prompt's first: what a token looks like can depend on the one before it.
    tokens: Vec<u32>,
    /// The text of these that was given out, the prompt's first.
    said: String,
    /// How many of them came before the last time that the text had no character begun.
    whole: usize,
}

impl<'t> Stream<'t> {
    /// A text that goes on after a prompt, which is not given out.
    pub fn after(tokenizer: &'t Tokenizer, prompt: &[u32]) -> Stream<'t> {
        let whole = tokenizer.decode(prompt);
        let said = whole.trim_end_matches(UNKNOWN).to_owned();
        Stream { tokenizer, tokens: prompt.to_vec(), said, whole: 0 }
    }

    /// What a token adds: nothing while a character lacks bytes.
    pub fn push(&mut self, token: u32) -> String {
        self.tokens.push(token);
        let whole = self.tokenizer.decode(&self.tokens);
        let text = whole.trim_end_matches(UNKNOWN);
        let more = self.more(text);
        if text.len() == whole.len() {
            self.forget();
        }
        more
    }

    /// Forgets the tokens that what comes cannot depend on, so that a long text takes no longer for each of its
    /// tokens than a short one.
    fn forget(&mut self) {
        let said = self.tokenizer.decode(&self.tokens[self.whole..]);
        // Something must stand before what comes: some decoders leave out the first space of a text.
        if !said.is_empty() {
            self.tokens.drain(..self.whole);
            self.said = said;
            self.whole = self.tokens.len();
        }
    }

    /// What is left, characters that lack bytes among it.
    pub fn end(&mut self) -> String {
        let whole = self.tokenizer.decode(&self.tokens);
        self.more(&whole)
    }

    fn more(&mut self, whole: &str) -> String {
        // Some decoders take a text back while a character lacks bytes: then it is not longer.
        let more = whole.strip_prefix(self.said.as_str()).unwrap_or_default().to_owned();
        self.said += &more;
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tokenizer {
        Tokenizer::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slices/tokenizer.json")).unwrap()
    }

    #[test]
    fn a_stream_gives_whole_characters_and_all_of_them() {
        let tokenizer = sample();
        for text in ["", "fn main() {}", "naïve 日本語 🦙🏽‍♀️ עברית\u{301}", "a<|endoftext|>b", " \n\n\t"]
        {
            let tokens = tokenizer.encode(text).unwrap();
            for prompt in 0..=tokens.len() {
                let mut stream = Stream::after(&tokenizer, &tokens[..prompt]);
                let before = stream.said.clone();
                let mut said: Vec<String> = tokens[prompt..].iter().map(|token| stream.push(*token)).collect();
                said.push(stream.end());
                assert!(said.iter().all(|some| !some.contains(UNKNOWN)), "{said:?}");
                assert_eq!(before + &said.concat(), tokenizer.decode(&tokens), "{prompt} of {tokens:?}");
            }
        }
    }

    #[test]
    fn a_long_text_takes_no_longer_for_a_token_than_a_short_one() {
        let tokenizer = sample();
        let tokens = tokenizer.encode(&"日本語 and naïve 🦙, ".repeat(50)).unwrap();
        let mut stream = Stream::after(&tokenizer, &tokens[..100]);
        for token in &tokens[100..] {
            stream.push(*token);
        }
        assert!(tokens.len() > 500 && stream.tokens.len() < 20, "{} of {}", stream.tokens.len(), tokens.len());
    }

    #[test]
    fn the_first_space_of_a_text_is_not_lost_where_tokens_before_it_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TOKENIZER);
        // A decoder as Llama's: words begin with a mark, bytes are tokens, and the text's first space is none.
        let bytes = (0..=255u32).map(|byte| (format!("<0x{byte:02X}>"), byte));
        let words = ["\u{2581}a", "b", "\u{2581}"].iter().zip(256..).map(|(word, id)| ((*word).to_owned(), id));
        let vocabulary: std::collections::BTreeMap<String, u32> = bytes.chain(words).collect();
        let json = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": null, "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ]},
            "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": true},
        });
        std::fs::write(&path, json.to_string()).unwrap();
        let tokenizer = Tokenizer::open(&path).unwrap();
        let tokens = [256, 256, 257, 0xE6, 0x97, 0xA5, 999, 256, 258, 258, 256, 0xE6, 256, 257];
        assert_eq!(tokenizer.decode(&tokens), "a ab日 a   a\u{fffd} ab");
        for prompt in 0..tokens.len() {
            let mut stream = Stream::after(&tokenizer, &tokens[..prompt]);
            let before = stream.said.clone();
            let mut said: Vec<String> = tokens[prompt..].iter().map(|token| stream.push(*token)).collect();
            said.push(stream.end());
            assert_eq!(before + &said.concat(), tokenizer.decode(&tokens), "{prompt}");
        }
    }

    #[test]
    fn what_is_no_character_is_shown_as_such_in_the_end() {
        let tokenizer = sample();
        let tokens = tokenizer.encode("日").unwrap();
        let mut stream = Stream::after(&tokenizer, &[]);
        assert_eq!((stream.push(tokens[0]), stream.end()), (String::new(), UNKNOWN.to_string()));
        // An id that the tokenizer does not have, of the rows that fill a model's vocabulary up.
        assert_eq!(stream.push(1_000_000), "");
    }

    #[test]
    fn what_is_no_tokenizer_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TOKENIZER);
        for text in ["", "{}", r#"{"model": {"type": "Magic"}}"#] {
            std::fs::write(&path, text).unwrap();
            let failure = Tokenizer::open(&path).err().unwrap();
            assert!(failure.message.contains("tokenizer.json is not a tokenizer"), "{failure}");
        }
        assert!(Tokenizer::open(&folder.path().join("none")).err().unwrap().message.contains("none"));
    }
}
