//! The models of a pipeline's `perplexity_model`: one for all documents, or one for each language.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corpus::Digest;
use corpus::python::Traits;

use super::cutoffs::CC_NET;
use crate::kenlm::{self, Word};
use crate::language::is_language;
use crate::sentencepiece::{self, Token};

/// Why models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model of words.
    #[error(transparent)]
    Words(#[from] kenlm::ModelError),
    /// The model of pieces.
    #[error(transparent)]
    Pieces(#[from] sentencepiece::ModelError),
    /// The folder cannot be read.
    #[error("cannot read folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The folder has no models.
    #[error(
        "{} has no models: expected files such as `en.arpa.bin`, `en.binary` or `en.arpa`, with `en.sp.model` beside it",
        path.display()
    )]
    None {
        /// The folder.
        path: PathBuf,
    },
    /// The models of the folder are named for no language.
    #[error(
        "{}: no model is named for a language: expected `LANGUAGE.arpa.bin`, `LANGUAGE.binary` or `LANGUAGE.arpa`, \
         such as `en.arpa.bin`, and it has {names}; name the file itself to use it for all documents",
        path.display()
    )]
    NoLanguage {
        /// The folder.
        path: PathBuf,
        /// The files that were found.
        names: String,
    },
    /// A model of pieces has no pieces.
    #[error("{} foretells SentencePiece's pieces: expected their model beside it, `{pieces}`", path.display())]
    NoPieces {
        /// The file.
        path: PathBuf,
        /// The file that is missing.
        pieces: String,
    },
}

/// Models by the language of documents.
pub struct Models {
    by_language: BTreeMap<Box<str>, Pair>,
    /// For documents of any language.
    any: Option<Pair>,
    digest: Digest,
}

/// A model of words, and of the pieces that are its words.
pub struct Pair {
    words: kenlm::Model,
    pieces: Option<Pieces>,
}

/// A model of pieces.
struct Pieces {
    model: sentencepiece::Model,
    /// For each piece the word that it is; none for a piece with white space in it, which is none, one
    /// or several words.
    words: Vec<Option<Word>>,
}

/// The ending of a model of pieces, behind the name up to the first dot of its model of words.
const PIECES: &str = ".sp.model";
/// The endings of models of words in a folder; of a model that is there in several forms the first is used.
const WORDS: [&str; 3] = [".arpa.bin", ".binary", ".arpa"];

/// Loads the models at a path: all of a folder, or one file. A file that is named as cc_net names its
/// own, `en.arpa.bin`, is for documents of that language, any other for all documents.
pub fn load(path: &Path) -> Result<Models, ModelError> {
    if path.is_dir() {
        let folder = |source| ModelError::Folder { path: path.to_owned(), source };
        let mut found: BTreeMap<Box<str>, (usize, PathBuf)> = BTreeMap::new();
        for entry in std::fs::read_dir(path).map_err(folder)? {
            let entry = entry.map_err(folder)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let language = |(form, ending): (usize, &&str)| Some((form, name.strip_suffix(*ending)?));
            let Some((form, language)) = WORDS.iter().enumerate().find_map(language) else { continue };
            if !language.contains('.') && found.get(language).is_none_or(|(other, _)| form < *other) {
                found.insert(language.into(), (form, entry.path()));
            }
        }
        if !found.is_empty() && !found.keys().any(|name| is_language(name)) {
            let names: Vec<_> = found.values().filter_map(|(_, path)| path.file_name()).take(8).collect();
            let names = names.iter().map(|name| format!("`{}`", name.to_string_lossy())).collect::<Vec<_>>().join(", ");
            return Err(ModelError::NoLanguage { path: path.to_owned(), names });
        }
        let mut by_language = BTreeMap::new();
        for (language, (_, path)) in found {
            by_language.insert(language, Pair::load(&path)?);
        }
        if by_language.is_empty() {
            return Err(ModelError::None { path: path.to_owned() });
        }
        return Ok(Models::of(by_language, None));
    }
    let pair = Pair::load(path)?;
    let name = stem(path);
    match CC_NET.iter().any(|(language, ..)| *language == name) {
        true => Ok(Models::of(BTreeMap::from([(name.into(), pair)]), None)),
        false => Ok(Models::of(BTreeMap::new(), Some(pair))),
    }
}

/// The name of a file up to its first dot.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

impl Models {
    fn of(by_language: BTreeMap<Box<str>, Pair>, any: Option<Pair>) -> Models {
        let named = by_language.iter().map(|(language, pair)| (&**language, pair));
        let all: Vec<_> = named
            .chain(any.iter().map(|pair| ("", pair)))
            .map(|(name, pair)| (name, pair.words.digest(), pair.pieces.as_ref().map(|pieces| pieces.model.digest())))
            .collect();
        let digest = Digest::of_value(&all);
        Models { by_language, any, digest }
    }

    /// The digest of all files.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Roughly the memory that they take, in bytes, the pages of mapped files included.
    pub fn footprint(&self) -> u64 {
        let of = |pair: &Pair| pair.words.footprint() + pair.pieces.as_ref().map_or(0, Pieces::footprint);
        self.by_language.values().chain(&self.any).map(|pair| of(pair) as u64).sum()
    }

    /// The languages that have a model of their own.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.by_language.keys().map(|language| &**language)
    }

    /// The models for a document.
    pub fn get(&self, language: Option<&str>) -> Option<&Pair> {
        self.any.as_ref().or_else(|| self.by_language.get(language?))
    }
}

impl Pieces {
    fn footprint(&self) -> usize {
        self.model.footprint() + size_of_val(&*self.words)
    }
}

impl Pair {
    fn load(path: &Path) -> Result<Pair, ModelError> {
        let words = kenlm::load(path)?;
        let beside = path.with_file_name(format!("{}{PIECES}", stem(path)));
        if !beside.is_file() {
            // A text's own words would all be unknown to it.
            if words.word("▁".as_bytes()) != Word::UNKNOWN {
                let pieces = beside.file_name().map(|name| name.to_string_lossy().into_owned());
                return Err(ModelError::NoPieces { path: path.to_owned(), pieces: pieces.unwrap_or_default() });
            }
            return Ok(Pair { words, pieces: None });
        }
        Ok(Pair::of(words, Some(sentencepiece::load(&beside)?)))
    }

    /// Whether SentencePiece's pieces are its words.
    pub fn is_of_pieces(&self) -> bool {
        self.pieces.is_some()
    }

    /// Models that belong together.
    pub fn of(words: kenlm::Model, pieces: Option<sentencepiece::Model>) -> Pair {
        let pieces = pieces.map(|model| {
            let word = |id| {
                let piece = model.piece(id);
                let is_one = !model.is_unknown(id) && !piece.chars().any(|c| Traits::of(c).is_white());
                is_one.then(|| words.word(piece.as_bytes()))
            };
            let of_pieces = (0..model.pieces() as u32).map(word).collect();
            Pieces { words: of_pieces, model }
        });
        Pair { words, pieces }
    }

    /// Scores a text that is prepared: the logarithm of its probability as one sentence, to base 10,
    /// and how many words that are, with the end of the sentence.
    pub fn score(&self, text: &str, room: &mut sentencepiece::Room, words: &mut Vec<Word>) -> (f64, u64) {
        words.clear();
        let mut length = 1;
        match &self.pieces {
            None => length += self.split(text.as_bytes(), words),
            Some(pieces) => {
                pieces.model.encode(text, room);
                for token in room.tokens() {
                    match pieces.words.get(token.id as usize) {
                        Some(Some(word)) => {
                            words.push(*word);
                            length += 1;
                        }
                        _ => length += self.split(pieces.model.text(token, room), words),
                    }
                }
            }
        }
        (f64::from(self.words.score(words.iter().copied())), length)
    }

    /// The words of a text, and how many there are. The two are split as in the original: KenLM's
    /// Python module parts words at ASCII white space, and Python counts those between any white space.
    fn split(&self, text: &[u8], words: &mut Vec<Word>) -> u64 {
        let white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
        let parts = text.split(white).filter(|part| !part.is_empty());
        words.extend(parts.map(|part| self.words.word(part)));
        let text = String::from_utf8_lossy(text);
        text.split(|character| Traits::of(character).is_white()).filter(|part| !part.is_empty()).count() as u64
    }

    /// The pieces of a text, as the original puts them into `tokenized`.
    pub fn pieces<'r>(
        &'r self,
        room: &'r sentencepiece::Room,
    ) -> impl Iterator<Item = (Token, std::borrow::Cow<'r, str>)> + 'r {
        let tokens = self.pieces.iter().flat_map(|pieces| room.tokens().iter().map(move |token| (pieces, *token)));
        tokens.map(|(pieces, token)| (token, String::from_utf8_lossy(pieces.model.text(&token, room))))
    }
}
