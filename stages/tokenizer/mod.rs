//! Tokenizers from Hugging Face's `tokenizer.json`.

mod bytes;
mod description;
mod places;
#[cfg(test)]
mod tests;
mod train;
mod words;

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use corpus::{Digest, TokenId, Tokenizer};
use serde_json::Value;
use tokenizers::pipeline::{
    EncodeOptions, Override, PipelineToken, PipelineTokenizer, Segment, SpecialSegmentIterator, normalize_all,
};

use description::Description;
pub use train::{SPECIALS, TrainError, train};
use words::{Engine, Memory, Words};

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("cannot read tokenizer {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{} is not a tokenizer.json: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops being JSON.
        source: serde_json::Error,
    },
    /// The file is JSON and describes a tokenizer that we cannot run.
    #[error("{} is not a tokenizer that we can run: {detail}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is missing or unknown.
        detail: String,
    },
    /// The end-of-document token that was asked for is none of its tokens.
    #[error("{} has no token `{token}` to end documents with", path.display())]
    NoSuchToken {
        /// The file.
        path: PathBuf,
        /// The token asked for.
        token: String,
    },
    /// None was asked for, and it is not plain which one to take.
    #[error("{} does not say which token ends a document; candidates: {candidates}", path.display())]
    NoEndOfDocument {
        /// The file.
        path: PathBuf,
        /// Its special tokens.
        candidates: String,
    },
}

/// The tokens that end a document in tokenizers that are in use, the first found is taken:
/// GPT-NeoX and GPT-2, Llama, Llama 3, BERT.
const ENDS: [&str; 4] = ["<|endoftext|>", "</s>", "<|end_of_text|>", "[SEP]"];

/// A tokenizer as its `tokenizer.json` describes it: the ids are those of Hugging Face's library
/// for the same text, without the special tokens of its post-processor.
pub struct HuggingFace {
    engine: PipelineTokenizer,
    /// For byte-level BPE over the words of GPT-2: a shorter way to the engine's ids.
    words: Option<Words>,
    /// One for each thread that has been encoding at the same time as others.
    memories: Mutex<Vec<Memory>>,
    vocab_size: u32,
    end_of_document: TokenId,
    digest: Digest,
    round_trips: bool,
    /// How many bytes each token spells, if that can be said.
    lengths: Option<Box<[u32]>>,
}

/// Loads a `tokenizer.json`. `end_of_document` names the token that ends documents; without it,
/// the tokenizer must have `<|endoftext|>`, another of the usual ones, or a single special token.
pub fn load(path: &Path, end_of_document: Option<&str>) -> Result<Arc<dyn Tokenizer>, TokenizerError> {
    let bytes = std::fs::read(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })?;
    Ok(Arc::new(HuggingFace::from_json(&bytes, path, end_of_document)?))
}

impl HuggingFace {
    /// The same from the file's bytes; `path` is for messages.
    pub fn from_json(bytes: &[u8], path: &Path, end_of_document: Option<&str>) -> Result<HuggingFace, TokenizerError> {
        let json: Value =
            serde_json::from_slice(bytes).map_err(|source| TokenizerError::Json { path: path.to_owned(), source })?;
        let unsupported = |detail: String| TokenizerError::Unsupported { path: path.to_owned(), detail };
        let description = Description::of(&json).map_err(unsupported)?;
        // The formats that we write hold ids as 32-bit integers with a sign, and so does the engine.
        if description.vocab_size > 1 << 31 {
            let highest = description.vocab_size - 1;
            return Err(unsupported(format!(
                "its token {highest} does not fit a shard, whose ids are below 2147483648"
            )));
        }
        let end_of_document = description.end_of_document_of(path, end_of_document)?;
        let mut canonical = json;
        tokenizers::canonicalize_value(&mut canonical).map_err(|error| unsupported(error.to_string()))?;
        let engine = tokenizers::from_json(&canonical.to_string()).map_err(|error| unsupported(error.to_string()))?;
        let round_trips = description.round_trips && Engine::of(&engine).is_some();
        Ok(HuggingFace {
            round_trips,
            lengths: description.lengths().filter(|_| round_trips),
            words: description.gpt2.map(Words::new),
            memories: Mutex::default(),
            engine,
            vocab_size: description.vocab_size,
            end_of_document,
            digest: Digest::of(bytes),
        })
    }
}

/// The text and nothing else: no special tokens around it, nothing cut or filled.
fn options() -> EncodeOptions {
    EncodeOptions {
        add_special_tokens: false,
        encode_special_tokens: false,
        padding: Override::Off,
        truncation: Override::Off,
    }
}

impl HuggingFace {
    fn try_encode(&self, text: &str, out: &mut Vec<TokenId>) -> tokenizers::Result<()> {
        if let (Some(words), Some(engine)) = (&self.words, Engine::of(&self.engine))
            && !words.has_special(text)
        {
            let memory = self.memories().pop();
            let mut memory = memory.unwrap_or_else(|| Memory::new(engine));
            words.encode(text, engine, &mut memory, out)?;
            memory.shrink(engine);
            self.memories().push(memory);
            return Ok(());
        }
        let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
        self.engine.encode_into(text, &options(), &mut tokens)?;
        out.extend_from_slice(PipelineToken::cast_slice(&tokens));
        Ok(())
    }

    fn memories(&self) -> std::sync::MutexGuard<'_, Vec<Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokenizer for HuggingFace {
    fn vocab_size(&self) -> u32 {
        self.vocab_size
    }

    fn end_of_document(&self) -> TokenId {
        self.end_of_document
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn encode(&self, text: &str, out: &mut Vec<TokenId>) {
        let before = out.len();
        // The engine refuses only texts beyond 4 GB, and models without a token for what they do
        // not know: such a document has no tokens.
        if self.try_encode(text, out).is_err() {
            out.truncate(before);
        }
    }

    fn decode(&self, tokens: &[TokenId]) -> String {
        // It fails only where a decoder of words cannot join them, and then there is nothing to show.
        self.engine.decode(tokens, false).unwrap_or_default()
    }

    fn normalized<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // Added tokens are found first, and what lies between them is normalized piece by piece.
        let normalized = |chunk: &'t str, offset| normalize_all(self.engine.get_normalizers(), chunk, offset);
        let added = self.engine.get_added_vocabulary();
        let mut whole = Cow::Borrowed("");
        for segment in SpecialSegmentIterator::new(text, added, false, false) {
            match segment {
                Segment::Text { text: chunk, input_offset } => {
                    let chunk = normalized(chunk, input_offset).unwrap_or(Cow::Borrowed(chunk));
                    if whole.is_empty() { whole = chunk } else { whole.to_mut().push_str(&chunk) }
                }
                Segment::SpecialToken(id) => {
                    let token = added.simple_id_to_token(id).unwrap_or_default();
                    whole.to_mut().push_str(&token);
                }
            }
        }
        whole
    }

    fn round_trips(&self) -> bool {
        self.round_trips
    }

    fn tells_places(&self) -> bool {
        self.lengths.is_some()
    }

    fn places(&self, text: &str, tokens: &[TokenId]) -> Option<Vec<Range<usize>>> {
        places::places(text, tokens, self.lengths.as_deref()?, |text| self.normalized(text))
    }
}

impl Description {
    fn end_of_document_of(&self, path: &Path, asked: Option<&str>) -> Result<TokenId, TokenizerError> {
        if let Some(token) = asked {
            let unknown = || TokenizerError::NoSuchToken { path: path.to_owned(), token: token.to_owned() };
            return self.id_of(token).ok_or_else(unknown);
        }
        let specials: Vec<(&str, TokenId)> = self.specials().collect();
        if let Some(usual) = ENDS.iter().find_map(|end| specials.iter().find(|(token, _)| token == end)) {
            return Ok(usual.1);
        }
        match specials.as_slice() {
            [(_, only)] => Ok(*only),
            [] => Err(TokenizerError::NoEndOfDocument { path: path.to_owned(), candidates: "none".to_owned() }),
            several => {
                let candidates = several.iter().map(|(token, _)| format!("`{token}`")).collect::<Vec<_>>().join(", ");
                Err(TokenizerError::NoEndOfDocument { path: path.to_owned(), candidates })
            }
        }
    }
}
