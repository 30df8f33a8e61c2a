//! Language models as KenLM writes and reads them: ARPA, and its binary files of all kinds that score
//! text: hash tables, tries, and tries with quantised numbers or compressed pointers.
//!
//! A binary file is mapped and used as it lies: the pages of a model of gigabytes are shared by all
//! workers and brought in as they are needed. An ARPA file becomes hash tables in memory. Scores are
//! KenLM's to the last digit, since they are the same single-precision numbers added in the same
//! order.

mod arpa;
mod binary;
mod hashed;
mod numbers;
#[cfg(test)]
mod tests;
mod trie;
mod vocabulary;

use std::fmt;
use std::path::{Path, PathBuf};

use corpus::Digest;
use corpus::mapped::Mapped;

use hashed::Hashed;
use trie::Trie;
use vocabulary::Vocabulary;

/// The longest run of words that a model may have. KenLM itself is built for 6 unless told otherwise,
/// and cc_net's models have 5.
const MOST_WORDS: usize = 8;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] corpus::Error),
    /// The file is no model, or a damaged one.
    #[error("{} is not a KenLM model that we can use: {detail}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        detail: String,
    },
}

/// What is wrong with a model.
type Checked<T> = Result<T, String>;

/// A word's number in a model; 0 is any word that it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(u32);

impl Word {
    /// Any word that the model does not know.
    pub const UNKNOWN: Word = Word(0);
}

/// What a model remembers of the words so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// The last words, the last one first, and what it costs to leave each run of them.
    words: [Word; MOST_WORDS - 1],
    backoffs: [f32; MOST_WORDS - 1],
    length: usize,
}

/// What a model says of a word after others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The logarithm of its probability, to base 10.
    pub log10: f32,
    /// How many words, with this one, the run has by which it was told.
    pub length: usize,
}

/// A language model, ready to use.
pub struct Model {
    bytes: Bytes,
    order: usize,
    vocabulary: Vocabulary,
    search: Search,
    digest: Digest,
    begin: Word,
    end: Word,
}

/// Where the tables lie.
enum Bytes {
    Mapped(Mapped),
    Made(Vec<u8>),
}

enum Search {
    Hashed(Hashed),
    Trie(Trie),
}

/// The probability of a run of words, and the cost of leaving it.
#[derive(Clone, Copy)]
struct Entry {
    log10: f32,
    backoff: f32,
    /// Whether the model has longer runs that end with it.
    extends: bool,
}

/// How runs of words are looked up: from the last word backwards, one more at a time. Nothing that
/// a damaged model says may make a look-up fail: what cannot be is not found.
trait Tables {
    /// Where a run was found.
    type Node: Copy;

    /// A word alone.
    fn one(&self, bytes: &[u8], word: Word) -> (Entry, Self::Node);

    /// A run that was found, with `before` in front, neither a word alone nor the longest.
    fn longer(&self, bytes: &[u8], level: usize, before: Word, node: &mut Self::Node) -> Option<Entry>;

    /// The logarithm of the probability of a run of the longest kind.
    fn longest(&self, bytes: &[u8], before: Word, node: Self::Node) -> Option<f32>;
}

/// Loads a model.
pub fn load(path: &Path) -> Result<Model, ModelError> {
    let mapped = Mapped::open(path)?;
    let digest = Digest::of(&mapped);
    Model::read(Bytes::Mapped(mapped), digest).map_err(|detail| ModelError::Unusable { path: path.to_owned(), detail })
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Mapped(mapped) => mapped,
            Bytes::Made(bytes) => bytes,
        }
    }
}

impl Model {
    /// The same from the file's bytes; `path` is for messages.
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Model, ModelError> {
        let digest = Digest::of(&bytes);
        Model::read(Bytes::Made(bytes), digest).map_err(|detail| ModelError::Unusable { path: path.to_owned(), detail })
    }

    fn read(bytes: Bytes, digest: Digest) -> Checked<Model> {
        let (bytes, order, vocabulary, search) = match binary::is_one(bytes.get()) {
            true => {
                let binary::Layout { order, vocabulary, search } = binary::layout(bytes.get())?;
                (bytes, order, vocabulary, search)
            }
            false => {
                let arpa::Read { bytes, order, vocabulary, hashed } = arpa::read(bytes.get())?;
                (Bytes::Made(bytes), order, vocabulary, Search::Hashed(hashed))
            }
        };
        let mut model = Model { bytes, order, vocabulary, search, digest, begin: Word::UNKNOWN, end: Word::UNKNOWN };
        (model.begin, model.end) = (model.word(b"<s>"), model.word(b"</s>"));
        Ok(model)
    }

    /// How many words its longest runs have.
    pub fn order(&self) -> usize {
        self.order
    }

    /// The digest of its file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Roughly the memory that it takes, in bytes, the pages of its file included.
    pub fn footprint(&self) -> usize {
        self.bytes.get().len()
    }

    /// The number of a word.
    pub fn word(&self, word: &[u8]) -> Word {
        self.vocabulary.find(self.bytes.get(), word)
    }

    /// The end of a sentence, which is scored as a word.
    pub fn end_of_sentence(&self) -> Word {
        self.end
    }

    /// The state at the beginning of a sentence.
    pub fn begin(&self) -> State {
        let mut state = State { length: 1, ..State::default() };
        state.words[0] = self.begin;
        state.backoffs[0] = match &self.search {
            Search::Hashed(hashed) => hashed.one(self.bytes.get(), self.begin).0.backoff,
            Search::Trie(trie) => trie.one(self.bytes.get(), self.begin).0.backoff,
        };
        state
    }

    /// Scores the next word, and remembers it.
    pub fn next(&self, state: &mut State, word: Word) -> Scored {
        match &self.search {
            Search::Hashed(hashed) => next(hashed, self.bytes.get(), self.order, state, word),
            Search::Trie(trie) => next(trie, self.bytes.get(), self.order, state, word),
        }
    }

    /// The score of a sentence from its beginning to its end: the sum of the logarithms of the
    /// probabilities of its words and of its end, added one after the other in single precision, as
    /// KenLM's own `score` adds them.
    pub fn score(&self, words: impl Iterator<Item = Word>) -> f32 {
        let bytes = self.bytes.get();
        let mut state = self.begin();
        let words = words.chain([self.end]);
        match &self.search {
            Search::Hashed(hashed) => sum(words.map(|word| next(hashed, bytes, self.order, &mut state, word))),
            Search::Trie(trie) => sum(words.map(|word| next(trie, bytes, self.order, &mut state, word))),
        }
    }
}

fn sum(scores: impl Iterator<Item = Scored>) -> f32 {
    let mut sum = 0.0f32;
    for scored in scores {
        sum += scored.log10;
    }
    sum
}

/// The longest run of the model that ends with the word, and what it costs to leave the longer one
/// that came before.
fn next<T: Tables>(tables: &T, bytes: &[u8], order: usize, state: &mut State, word: Word) -> Scored {
    let (mut found, mut node) = tables.one(bytes, word);
    let mut backoffs = [0.0; MOST_WORDS - 1];
    backoffs[0] = found.backoff;
    let (mut log10, mut length) = (found.log10, 1);
    // Runs that no longer one begins with need not be remembered.
    let mut keep = usize::from(is_continued(found.backoff));
    for (place, before) in state.words[..state.length].iter().enumerate() {
        if !found.extends {
            break;
        }
        if place + 2 == order {
            if let Some(longest) = tables.longest(bytes, *before, node) {
                (log10, length) = (longest, order);
            }
            break;
        }
        let Some(longer) = tables.longer(bytes, place, *before, &mut node) else { break };
        found = longer;
        (log10, length) = (found.log10, place + 2);
        backoffs[length - 1] = found.backoff;
        if is_continued(found.backoff) {
            keep = length;
        }
    }
    for backoff in state.backoffs[..state.length].iter().skip(length - 1) {
        log10 += backoff;
    }
    state.words.copy_within(..keep.saturating_sub(1), 1);
    state.words[0] = word;
    state.backoffs = backoffs;
    state.length = keep;
    Scored { log10, length }
}

/// Whether a longer run begins with a run: KenLM notes that it does not by a zero with a sign.
fn is_continued(backoff: f32) -> bool {
    backoff.to_bits() != (-0.0f32).to_bits()
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a KenLM model of order {}", self.order)
    }
}
