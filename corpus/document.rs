//! One text, with its id, what the source said of it and what we measured of it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::text::{Characters, Lines};
use crate::token::{TokenId, Tokenizer};
use crate::words::{Cut, Line, Normalized, Split, Words};

/// Which record of which raw file a document is: stable when files are regrouped.
///
/// Written `github/repos-000.json.gz#17`: the slice, the raw file's name, the record's number
/// from 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The raw file, its slice first.
    pub raw_file: Arc<str>,
    /// The record's number in that file, from 0.
    pub record: u64,
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.raw_file, self.record)
    }
}

/// What the source said of a document: the fields that most sources have, each on its own, and
/// all of them as the source wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Where the document stands on the web.
    pub url: Option<Box<str>>,
    /// `owner/name` of a repository.
    pub repository: Option<Box<str>>,
    /// Path inside the repository or archive.
    pub path: Option<Box<str>>,
    /// Licence, as the source names it.
    pub license: Option<Box<str>>,
    /// Language, natural or of a program.
    pub language: Option<Box<str>>,
    /// When it was made or fetched, as the source writes it.
    pub timestamp: Option<Box<str>>,
    /// All that the source said, as one JSON object in the source's order and spelling.
    pub json: String,
}

/// The names of [`Meta`]'s own fields, in the order of its columns.
pub const META_FIELDS: [&str; 6] = ["url", "repository", "path", "license", "language", "timestamp"];

impl Meta {
    /// The fields in the order of [`META_FIELDS`].
    pub fn fields(&self) -> [Option<&str>; 6] {
        [&self.url, &self.repository, &self.path, &self.license, &self.language, &self.timestamp]
            .map(|field| field.as_deref())
    }

    /// Any word that the source said, by its name: a string of `json`, or a number as it is written.
    pub fn word(&self, name: &str) -> Option<String> {
        if !self.json.contains(name) {
            return None;
        }
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(&self.json).ok()?;
        let value = fields.get(name)?.get();
        match value.as_bytes().first()? {
            b'"' => serde_json::from_str(value).ok(),
            b'-' | b'0'..=b'9' => Some(value.to_owned()),
            _ => None,
        }
    }

    /// What the source said under a name: one of [`META_FIELDS`], or else any word.
    pub fn named(&self, name: &str) -> Option<String> {
        let field = META_FIELDS.iter().position(|field| *field == name).and_then(|at| self.fields()[at]);
        field.map(str::to_owned).or_else(|| self.word(name))
    }

    /// The fields in the order of [`META_FIELDS`], to be written to.
    pub fn fields_mut(&mut self) -> [&mut Option<Box<str>>; 6] {
        [
            &mut self.url,
            &mut self.repository,
            &mut self.path,
            &mut self.license,
            &mut self.language,
            &mut self.timestamp,
        ]
    }
}

/// The type of a signal's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalKind {
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Number,
    /// A word.
    Text,
    /// Parts of the text with a score each: a list, which no bounds can judge.
    Spans,
}

/// A signal that a stage writes: known before a byte is read, so that its column is too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SignalSpec {
    /// The column's name.
    pub name: &'static str,
    /// The column's type.
    pub kind: SignalKind,
    /// What it says, in a line.
    pub about: &'static str,
}

/// A measured value.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// A word.
    Text(Box<str>),
    /// Parts of the text with a score each.
    Spans(Box<[ScoredSpan]>),
}

/// A part of a text and what was measured of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredSpan {
    /// Where it begins, in characters.
    pub start: u32,
    /// Where it ends, in characters.
    pub end: u32,
    /// What was measured, if there was something to measure.
    pub score: Option<f64>,
}

/// What the scores of parts come to: their mean, if there is one. What judges a signal of parts judges
/// this.
pub fn mean_score(scores: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u64);
    for score in scores.flatten() {
        sum += score;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

/// What was measured of a document, by name. A stage writes only what it declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals(Vec<(&'static str, Signal)>);

impl Signals {
    /// Writes a signal, over an earlier one of the same name.
    pub fn set(&mut self, name: &'static str, value: Signal) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Reads a signal.
    pub fn get(&self, name: &str) -> Option<&Signal> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// One text with its id, meta and signals.
///
/// Lines, words, characters and tokens are made once, on first use, however many stages ask for
/// them, and forgotten when the text is edited.
#[derive(Debug)]
pub struct Document {
    /// Where it came from.
    pub id: DocumentId,
    text: String,
    views: Views,
    /// What the source said of it.
    pub meta: Meta,
    /// What we measured of it.
    pub signals: Signals,
    read_bytes: u64,
    edits: u32,
}

#[derive(Debug, Default)]
struct Views {
    lines: OnceCell<Lines>,
    characters: OnceCell<Characters>,
    tokens: OnceCell<Vec<TokenId>>,
    normalized: OnceCell<Normalized>,
    word_punct: OnceCell<Cut>,
    white: OnceCell<Cut>,
    english: OnceCell<Cut>,
}

impl Document {
    /// A document as its source read it.
    pub fn new(id: DocumentId, text: String, meta: Meta) -> Document {
        let read_bytes = text.len() as u64;
        Document { id, text, views: Views::default(), meta, signals: Signals::default(), read_bytes, edits: 0 }
    }

    /// A document as an earlier pass left it: with the bytes that it had when it was first read,
    /// and its tokens if they were made before.
    pub fn restored(self, read_bytes: u64, tokens: Option<Vec<TokenId>>) -> Document {
        let views = Views::default();
        if let Some(tokens) = tokens {
            // A new cell is empty.
            let _ = views.tokens.set(tokens);
        }
        Document { read_bytes, views, ..self }
    }

    /// The text, after all edits so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the text. What was derived from the old one is forgotten.
    pub fn edit(&mut self, text: String) {
        self.text = text;
        self.views = Views::default();
        self.edits += 1;
    }

    /// How many edits there were in this pass.
    pub fn edits(&self) -> u32 {
        self.edits
    }

    /// Bytes of text when it was first read.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// How long its lines are.
    pub fn lines(&self) -> &Lines {
        self.views.lines.get_or_init(|| Lines::of(&self.text))
    }

    /// What kinds of characters it has.
    pub fn characters(&self) -> &Characters {
        self.views.characters.get_or_init(|| Characters::of(&self.text))
    }

    /// Its words, cut in one way; each way is kept beside the others.
    pub fn words(&self, split: Split) -> Words<'_> {
        match split {
            Split::Normalized => {
                let normalized = self.normalized();
                Words::of(&normalized.text, &normalized.cut)
            }
            Split::WordPunct => {
                Words::of(&self.text, self.views.word_punct.get_or_init(|| Cut::word_punct(&self.text)))
            }
            Split::White => Words::of(&self.text, self.views.white.get_or_init(|| Cut::white(&self.text))),
            Split::English => Words::of(&self.text, self.views.english.get_or_init(|| Cut::english(&self.text))),
        }
    }

    /// Its lines as `\n` alone ends them, with the normalized words of each.
    pub fn newline_lines(&self) -> &[Line] {
        &self.normalized().lines
    }

    fn normalized(&self) -> &Normalized {
        self.views.normalized.get_or_init(|| Normalized::of(&self.text))
    }

    /// Its tokens, without an end-of-document token. A pipeline has one tokenizer.
    pub fn tokens(&self, tokenizer: &dyn Tokenizer) -> &[TokenId] {
        self.views.tokens.get_or_init(|| {
            let mut tokens = Vec::with_capacity(self.text.len() / 3 + 1);
            tokenizer.encode(&self.text, &mut tokens);
            tokens
        })
    }

    /// Its tokens, if a stage has asked for them already.
    pub fn known_tokens(&self) -> Option<&[TokenId]> {
        self.views.tokens.get().map(Vec::as_slice)
    }

    /// Roughly the bytes that it takes in memory: what queues are bounded by.
    pub fn footprint(&self) -> usize {
        let tokens = self.views.tokens.get().map_or(0, |tokens| 4 * tokens.capacity());
        size_of::<Document>() + self.text.capacity() + self.meta.json.capacity() + 256 + tokens
    }
}

#[test]
fn an_edit_forgets_what_was_derived() {
    let id = DocumentId { raw_file: "c4/a.json".into(), record: 0 };
    let mut document = Document::new(id, "one\ntwo".into(), Meta::default());
    let seen = |document: &Document| {
        let words = [Split::Normalized, Split::WordPunct, Split::White].map(|split| document.words(split).len());
        (document.lines().count, document.newline_lines().len(), words)
    };
    assert_eq!(seen(&document), (2, 2, [2, 2, 2]));
    document.edit("one".into());
    assert_eq!(seen(&document), (1, 1, [1, 1, 1]));
    assert_eq!(document.read_bytes(), 7);
}
