//! Tells how well a language model foretells a text.

use std::collections::BTreeMap;
use std::sync::Arc;

use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::language::{Decimals, rounded};
use crate::{Positive, Stage, Workspace, kenlm, sentencepiece};

mod cutoffs;
mod models;
pub mod normalize;
#[cfg(test)]
pub(crate) mod tests;

pub use models::{ModelError, Models, Pair, load};

/// Writes the perplexity of a text under a language model, and whether it is of the `head`, the
/// `middle` or the `tail` of its language: how surprised a model of Wikipedia is by it.
///
/// The models are those of `perplexity_model`, for the document's language: KenLM's, with
/// SentencePiece's pieces for words where `LANGUAGE.sp.model` lies beside `LANGUAGE.arpa.bin`. The
/// text is prepared as cc_net prepares it: small letters without accents, digits as 0, punctuation in
/// ASCII. Where there is no model for a document, or nothing in it to score, it has no perplexity, and
/// its bucket is `all`, as in cc_net. Without `perplexity_model` nothing is measured at all.
///
/// Perplexities are comparable under one model and one way to take lines only. cc_net's cut-offs,
/// percentiles 30 and 60 of its own pages, were made with its own models of pieces and lines glued
/// together: they count with `lines: glued` and a model of pieces alone. With `lines: apart` and no
/// `cutoffs`, no bucket is written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Perplexity {
    /// What a line is to the model.
    pub lines: Lines,
    /// Digits of the perplexity after the point. cc_net keeps 1.
    pub decimals: Decimals,
    /// Cut-offs by language, before cc_net's, which count with `lines: glued` alone.
    pub cutoffs: BTreeMap<Box<str>, Cutoffs>,
}

/// What a line is to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lines {
    /// Each is a sentence of its own: the models were trained on such ones.
    Apart,
    /// Line ends vanish like other control characters, the last word of a line becomes one with the
    /// first of the next, and the whole text is one sentence: cc_net's way.
    Glued,
}

/// Where a language is cut: perplexities below `head` are the head, below `middle` the middle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "Written")]
pub struct Cutoffs {
    /// What is below it is the head.
    pub head: Positive,
    /// What is below it and not the head is the middle.
    pub middle: Positive,
}

/// Cut-offs as they are written, before they are checked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    head: Positive,
    middle: Positive,
}

impl TryFrom<Written> for Cutoffs {
    type Error = String;

    fn try_from(Written { head, middle }: Written) -> Result<Cutoffs, String> {
        match head <= middle {
            true => Ok(Cutoffs { head, middle }),
            false => Err(format!("the head ends at {}, behind the middle at {}", head.0, middle.0)),
        }
    }
}

impl Default for Perplexity {
    fn default() -> Self {
        Perplexity { lines: Lines::Apart, decimals: Decimals::of(1), cutoffs: BTreeMap::new() }
    }
}

/// What it writes where there are cut-offs; without them the first alone.
pub(crate) const WRITES: [SignalSpec; 2] = [
    SignalSpec {
        name: "perplexity",
        kind: SignalKind::Number,
        about: "how many words the model wavers between at each word, on average",
    },
    SignalSpec {
        name: "bucket",
        kind: SignalKind::Text,
        about: "`head`, `middle` or `tail` of its language by perplexity; `all` where nobody can say",
    },
];

/// Room that is kept from document to document.
#[derive(Default)]
pub struct Room {
    text: String,
    pieces: sentencepiece::Room,
    words: Vec<kenlm::Word>,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("room")
    }
}

impl Perplexity {
    /// The stage, with the models that it asks.
    pub fn with(self, models: Option<Arc<Models>>) -> impl Stage {
        Foretelling { options: self, models }
    }

    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        match self.has_cutoffs() {
            true => &WRITES,
            false => &WRITES[..1],
        }
    }

    /// Whether there are cut-offs that can be meant for the model.
    fn has_cutoffs(&self) -> bool {
        self.lines == Lines::Glued || !self.cutoffs.is_empty()
    }

    /// The perplexity of a text, if there is anything in it to score.
    fn of(&self, text: &str, pair: &Pair, room: &mut Room) -> Option<f64> {
        let (mut log10, mut length) = (0.0, 0);
        let mut score = |text: &str| {
            room.text.clear();
            normalize::normalize(text, &mut room.text);
            if !room.text.is_empty() {
                let (of_it, words) = pair.score(&room.text, &mut room.pieces, &mut room.words);
                // What is left of a text may be nothing that a model of pieces takes for one.
                if words > 1 {
                    log10 += of_it;
                    length += words;
                }
            }
        };
        match self.lines {
            Lines::Glued => score(text),
            Lines::Apart => text.split('\n').for_each(score),
        }
        if length == 0 {
            return None;
        }
        let perplexity = 10f64.powf(-log10 / length as f64);
        // The numbers of a damaged model may be none.
        perplexity.is_finite().then(|| rounded(perplexity, self.decimals))
    }

    fn bucket(&self, perplexity: f64, language: Option<&str>, of_pieces: bool) -> &'static str {
        let prepared_as_cc_net = self.lines == Lines::Glued && of_pieces;
        let own = language.and_then(|language| self.cutoffs.get(language));
        let own = own.map(|cutoffs| (cutoffs.head.0 as f64, cutoffs.middle.0 as f64));
        match own.or_else(|| cutoffs::of(language.filter(|_| prepared_as_cc_net)?)) {
            Some((head, _)) if perplexity < head => "head",
            Some((_, middle)) if perplexity < middle => "middle",
            Some(_) => "tail",
            None => "all",
        }
    }
}

struct Foretelling {
    options: Perplexity,
    models: Option<Arc<Models>>,
}

impl Stage for Foretelling {
    fn writes(&self) -> &'static [SignalSpec] {
        self.options.writes()
    }

    fn apply(&self, document: &mut Document, workspace: &mut Workspace) -> Verdict {
        let Some(models) = &self.models else { return Verdict::Keep };
        let language = document.meta.language.as_deref();
        let pair = models.get(language);
        let found = pair.and_then(|pair| self.options.of(document.text(), pair, &mut workspace.perplexity));
        if let Some(perplexity) = found {
            document.signals.set("perplexity", Signal::Number(perplexity));
        }
        if self.options.has_cutoffs() {
            let of_pieces = pair.is_some_and(Pair::is_of_pieces);
            let bucket = found.map_or("all", |perplexity| self.options.bucket(perplexity, language, of_pieces));
            document.signals.set("bucket", Signal::Text(bucket.into()));
        }
        Verdict::Keep
    }
}
