//! fastText models, as Facebook's program writes them: `.bin` and quantised `.ftz`.
//!
//! Inference is ours, because the crate that there is reads the hierarchical softmax of a
//! quantised model wrongly, and every published model of languages is one. Labels and
//! probabilities are those of Facebook's program, which adds up single-precision numbers in the
//! same order. Training is ours too: see `train.rs` for why.

mod dictionary;
mod loss;
mod matrix;
mod reader;
#[cfg(test)]
mod tests;
mod train;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use corpus::Digest;

use dictionary::Dictionary;
use loss::Loss;
use matrix::Matrix;
use reader::Reader;
pub use train::{Trained, Trainer, Training};

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read model {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The file is no model, or a damaged one.
    #[error("{} is not a fastText model that we can use: {detail}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// What a model thinks of a text: a label as it is written in the model, and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction<'m> {
    /// The label, without `__label__`.
    pub label: &'m str,
    /// Its probability. The original adds a hundred-thousandth before it takes a logarithm, so it
    /// may be slightly more than 1.
    pub probability: f32,
}

/// A supervised model, ready to use.
pub struct Model {
    dictionary: Dictionary,
    input: Matrix,
    output: Matrix,
    loss: Loss,
    digest: Digest,
}

/// A text as the original gave it to its classifiers: without white space around it, and what ends
/// a line for Python, but not for a model, as a space.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let separator = |c: char| ('\u{1c}'..='\u{1e}').contains(&c);
    let text = text.trim_matches(|c: char| c.is_whitespace() || separator(c) || c == '\u{1f}');
    // A model parts words at all other ends of lines.
    let ends = |c: char| separator(c) || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    let unusual = |byte: &u8| matches!(byte, 0x1c..=0x1e | 0xc2 | 0xe2);
    if !text.bytes().any(|byte| unusual(&byte)) || !text.contains(ends) {
        return text.into();
    }
    text.replace(ends, " ").into()
}

/// Loads a model.
pub fn load(path: &Path) -> Result<Model, ModelError> {
    let read = |source| ModelError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let bytes = file.metadata().map_err(read)?.len();
    // What is hashed on the way is what is read: no second look at a file that may have changed.
    Model::read(Reader::new(std::io::BufReader::with_capacity(1 << 16, file), bytes)).map_err(|error| match error {
        reader::Error::Io(source) => read(source),
        reader::Error::Damaged(detail) => ModelError::Unusable { path: path.to_owned(), detail },
    })
}

impl Model {
    /// The same from the file's bytes; `path` is for messages.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Model, ModelError> {
        Model::read(Reader::new(bytes, bytes.len() as u64))
            .map_err(|error| ModelError::Unusable { path: path.to_owned(), detail: error.to_string() })
    }

    fn read<R: std::io::Read>(mut file: Reader<R>) -> reader::Result<Model> {
        let arguments = Arguments::read(&mut file)?;
        let dictionary = Dictionary::read(&mut file, &arguments)?;
        let quantised = file.flag("whether it is quantised")?;
        if !quantised && dictionary.is_pruned() {
            return Err(reader::damaged("its dictionary is pruned and its rows are not"));
        }
        let input = Matrix::read(&mut file, quantised)?;
        let output_quantised = file.flag("whether its output is quantised")?;
        let output = Matrix::read(&mut file, quantised && output_quantised)?;
        file.end()?;
        if input.columns() != arguments.dimensions || output.columns() != arguments.dimensions {
            return Err(reader::damaged("its rows are not as long as it says"));
        }
        if (input.rows() as u64) < dictionary.rows() {
            let (has, needs) = (input.rows(), dictionary.rows());
            return Err(reader::damaged(format!("it has {has} rows, and its dictionary speaks of {needs}")));
        }
        if output.rows() != dictionary.labels() {
            let (has, needs) = (output.rows(), dictionary.labels());
            return Err(reader::damaged(format!("it has {has} rows of output for {needs} labels")));
        }
        let loss = Loss::of(arguments.loss, dictionary.label_counts())?;
        Ok(Model { dictionary, input, output, loss, digest: file.digest() })
    }

    /// The digest of its file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its labels, without `__label__`, the most frequent in training first.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.dictionary.labels()).map(|label| self.dictionary.label(label))
    }

    /// Roughly the memory that it takes, in bytes.
    pub fn footprint(&self) -> usize {
        self.dictionary.footprint() + self.input.footprint() + self.output.footprint()
    }

    /// The `most` likely labels, the likeliest first. The text is one line: its line ends are white
    /// space. A text of which the model knows nothing at all has none.
    pub fn predict(&self, text: &str, most: usize) -> Vec<Prediction<'_>> {
        let Some(hidden) = self.hidden(text) else { return Vec::new() };
        let found = self.loss.best(&self.output, &hidden, most);
        let told = found.into_iter().map(|(score, label)| Prediction {
            label: self.dictionary.label(label as usize),
            probability: score.exp(),
        });
        told.collect()
    }

    /// The likeliest label.
    pub fn predict_one(&self, text: &str) -> Option<Prediction<'_>> {
        self.predict(text, 1).into_iter().next()
    }

    /// The mean of the rows of all that the dictionary finds in a text.
    fn hidden(&self, text: &str) -> Option<Vec<f32>> {
        let mut hidden = vec![0.0; self.input.columns()];
        let mut found = 0u64;
        self.dictionary.features(text.as_bytes(), &mut |rows| {
            self.input.add_rows(rows, &mut hidden);
            found += rows.len() as u64;
        });
        if found == 0 {
            return None;
        }
        let share = (1.0 / found as f64) as f32;
        hidden.iter_mut().for_each(|value| *value *= share);
        Some(hidden)
    }
}

/// What a model was trained with, as far as it matters afterwards.
struct Arguments {
    dimensions: usize,
    word_ngrams: usize,
    loss: i32,
    bucket: u32,
    shortest: usize,
    longest: usize,
}

const MAGIC: i32 = 793_712_314;
const VERSION: i32 = 12;
const SUPERVISED: i32 = 3;

impl Arguments {
    fn read<R: std::io::Read>(file: &mut Reader<R>) -> reader::Result<Arguments> {
        if file.left() < 8 || file.i32()? != MAGIC {
            return Err(reader::damaged("it does not begin as one"));
        }
        let version = file.i32()?;
        if !(11..=VERSION).contains(&version) {
            return Err(reader::damaged(format!("it is of version {version}, and 11 and 12 are known")));
        }
        let dimensions = file.i32()?;
        let [_window, _epoch, _min_count, _negative] = [file.i32()?, file.i32()?, file.i32()?, file.i32()?];
        let word_ngrams = file.i32()?;
        let loss = file.i32()?;
        let model = file.i32()?;
        let bucket = file.i32()?;
        let [shortest, longest] = [file.i32()?, file.i32()?];
        let _rate_updates = file.i32()?;
        let _sampling = file.f64()?;
        if model != SUPERVISED {
            return Err(reader::damaged("it is a model of word vectors, which has no labels"));
        }
        let positive = |value: i32, name: &str| match usize::try_from(value) {
            Ok(value) => Ok(value),
            Err(_) => Err(reader::damaged(format!("its {name} is {value}"))),
        };
        let arguments = Arguments {
            dimensions: positive(dimensions, "dimension")?,
            word_ngrams: positive(word_ngrams, "longest run of words")?,
            loss,
            bucket: positive(bucket, "number of buckets")? as u32,
            shortest: positive(shortest, "shortest run of letters")?,
            // Models of version 11 were made when supervised ones had no runs of letters.
            longest: if version == 11 { 0 } else { positive(longest, "longest run of letters")? },
        };
        if arguments.dimensions == 0 {
            return Err(reader::damaged("its dimension is 0"));
        }
        if arguments.bucket == 0 && (arguments.longest > 0 || arguments.word_ngrams > 1) {
            return Err(reader::damaged("it has runs of letters or words and no buckets for them"));
        }
        Ok(arguments)
    }
}

#[test]
fn a_text_becomes_one_line_as_in_python() {
    for (text, line) in [
        ("", ""),
        (" \u{1f}\u{a0}a\n", "a"),
        ("a\u{1f}b\u{85}c\u{2028}\u{1c}d é … €", "a\u{1f}b c  d é … €"),
        ("\u{85}a\nb\u{3000}", "a\nb"),
    ] {
        assert_eq!(one_line(text), line);
    }
}
