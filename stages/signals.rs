//! Writes RedPajama-V2's quality signals.

use corpus::{Document, ScoredSpan, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Variable, Workspace};

mod ccnet;
mod content;
pub mod files;
pub mod importance;
mod language;
mod lines;
mod repetition;

pub use files::Files;
pub use importance::features;

/// Writes the quality signals of RedPajama-V2 by their published names, with its values to its own
/// rounding, eight digits after the point.
///
/// The original measures pages of which cc_net told the language and the perplexity; any text can be
/// measured here. Of a text without words a share is null where the original's is, and 0 where it is.
/// A signal that is asked for and that rests on a file which no variable names is null throughout, as
/// in the original; `keep_if` on such a one is an error. `ccnet_language_score`, `ccnet_perplexity` and
/// `ccnet_bucket` say again what `language` and `perplexity` wrote, which have to stand before `signals`, or
/// else what the source says, as cc_net's own files do.
///
/// Words are of two kinds. *Normalized* words: ASCII punctuation deleted, small letters, cut at white
/// space, decomposed. *Raw* words: runs of letters, marks and digits, and runs of other signs. Lines
/// end after a line feed. Signals of lines are lists of `start`, `end` (in characters of the text) and
/// `score`; `keep_if` judges those of documents.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Signals {
    /// Signals and groups of them (`ccnet`, `content`, `natural_language`, `repetition`, `lines`,
    /// `classifiers`, `importance`, `all`); empty for all that need no file. Of `content`,
    /// `rps_doc_ldnoobw_words` needs `bad_words` and `rps_doc_ut1_blacklist` needs `blocked_domains`;
    /// `classifiers` need `quality_model` (the original's is `wikiref`), `palm_model` and
    /// `wikipedia_model`, `importance` needs `importance_counts`.
    pub only: Vec<Choice>,
    /// The language whose stop words, bad words and counts are asked, such as `en`, whatever the
    /// document's; empty for the document's own.
    #[serde(deserialize_with = "known_language")]
    pub language: String,
}

fn known_language<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() || crate::language::is_language(&name) {
        return Ok(name);
    }
    let known = "languages have names of two small letters, or of three if there are no two; stop words are known \
                 of de, en, es, fr, it";
    Err(serde::de::Error::custom(format!("no language `{name}`: {known}")))
}

/// A signal by its name, or a group of them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(transparent)]
pub struct Choice(String);

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Choice, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == "all" || PUBLISHED.iter().any(|known| known.group == name || known.spec.name == name) {
            return Ok(Choice(name));
        }
        let groups = "ccnet, content, natural_language, repetition, lines, classifiers, importance, all";
        Err(serde::de::Error::custom(format!("no signal or group `{name}`: groups are {groups}")))
    }
}

/// A signal that RedPajama-V2 has.
struct Published {
    group: &'static str,
    /// Whether it can be measured of the document alone.
    alone: bool,
    spec: SignalSpec,
}

const fn signal(
    group: &'static str,
    alone: bool,
    name: &'static str,
    kind: SignalKind,
    about: &'static str,
) -> Published {
    Published { group, alone, spec: SignalSpec { name, kind, about } }
}

use SignalKind::{Integer, Number, Spans};

/// All of them by group, in the order in which their columns stand. Definitions are the code's of
/// RedPajama-V2; where a signal is from another recipe, it is named.
static PUBLISHED: [Published; 45] = [
    signal("ccnet", true, "ccnet_length", Number, "characters of the text (cc_net)"),
    signal("ccnet", true, "ccnet_original_length", Number, "characters before lines were removed (cc_net)"),
    signal("ccnet", true, "ccnet_nlines", Number, "lines of the text (cc_net)"),
    signal("ccnet", true, "ccnet_original_nlines", Number, "lines before some were removed (cc_net)"),
    signal(
        "ccnet",
        true,
        "ccnet_language_score",
        Number,
        "probability of the language, as `language` wrote it (cc_net)",
    ),
    signal("ccnet", true, "ccnet_perplexity", Number, "perplexity, as `perplexity` or cc_net wrote it (cc_net)"),
    signal("ccnet", true, "ccnet_bucket", Number, "0 for head, 1 for middle, 2 for tail (cc_net)"),
    signal("content", true, "rps_doc_curly_bracket", Number, "`{` and `}` per character (C4)"),
    signal(
        "content",
        false,
        "rps_doc_ldnoobw_words",
        Number,
        "n-grams of normalized words that are in the list `bad_words` (C4)",
    ),
    signal("content", true, "rps_doc_lorem_ipsum", Number, "`lorem ipsum` per character of the normalized text (C4)"),
    signal(
        "content",
        true,
        "rps_doc_stop_word_fraction",
        Number,
        "stop words per raw word; de, en, es, fr, it (Gopher)",
    ),
    signal(
        "content",
        false,
        "rps_doc_ut1_blacklist",
        Integer,
        "number of the categories that `blocked_domains` has for the page's domain (RefinedWeb)",
    ),
    signal(
        "natural_language",
        true,
        "rps_doc_frac_all_caps_words",
        Number,
        "share of raw words in capitals (Pretrainer's guide)",
    ),
    signal(
        "natural_language",
        true,
        "rps_doc_frac_lines_end_with_ellipsis",
        Number,
        "share of lines that end with `...` or `…` (RefinedWeb, Gopher)",
    ),
    signal(
        "natural_language",
        true,
        "rps_doc_frac_no_alph_words",
        Number,
        "share of raw words without a letter from a to z (RefinedWeb, Gopher)",
    ),
    signal(
        "natural_language",
        true,
        "rps_doc_frac_unique_words",
        Number,
        "distinct normalized words per normalized word (Pretrainer's guide)",
    ),
    signal(
        "natural_language",
        true,
        "rps_doc_mean_word_length",
        Number,
        "characters per normalized word (RefinedWeb, Gopher)",
    ),
    signal("natural_language", true, "rps_doc_num_sentences", Number, "sentences: runs up to `.`, `!` or `?` (C4)"),
    signal(
        "natural_language",
        true,
        "rps_doc_symbol_to_word_ratio",
        Number,
        "`#`, `...` and `…` per raw word (RefinedWeb, Gopher)",
    ),
    signal(
        "natural_language",
        true,
        "rps_doc_unigram_entropy",
        Number,
        "entropy of normalized words, in nats (RedPajama-V2)",
    ),
    signal("natural_language", true, "rps_doc_word_count", Integer, "normalized words (RefinedWeb, Gopher)"),
    signal(
        "repetition",
        true,
        "rps_doc_frac_chars_top_2gram",
        Number,
        "share of words' characters in the most frequent 2-gram (RefinedWeb, Gopher)",
    ),
    signal("repetition", true, "rps_doc_frac_chars_top_3gram", Number, "the same of 3-grams (RefinedWeb, Gopher)"),
    signal("repetition", true, "rps_doc_frac_chars_top_4gram", Number, "the same of 4-grams (RefinedWeb, Gopher)"),
    signal(
        "repetition",
        true,
        "rps_doc_frac_chars_dupe_5grams",
        Number,
        "share of words' characters in 5-grams that are there twice (RefinedWeb, Gopher)",
    ),
    signal("repetition", true, "rps_doc_frac_chars_dupe_6grams", Number, "the same of 6-grams (RefinedWeb, Gopher)"),
    signal("repetition", true, "rps_doc_frac_chars_dupe_7grams", Number, "the same of 7-grams (RefinedWeb, Gopher)"),
    signal("repetition", true, "rps_doc_frac_chars_dupe_8grams", Number, "the same of 8-grams (RefinedWeb, Gopher)"),
    signal("repetition", true, "rps_doc_frac_chars_dupe_9grams", Number, "the same of 9-grams (RefinedWeb, Gopher)"),
    signal("repetition", true, "rps_doc_frac_chars_dupe_10grams", Number, "the same of 10-grams (RefinedWeb, Gopher)"),
    signal(
        "lines",
        true,
        "rps_lines_ending_with_terminal_punctution_mark",
        Spans,
        "of each line 1 if it ends with `.`, `!`, `?` or `”`, else 0 (C4)",
    ),
    signal(
        "lines",
        true,
        "rps_lines_javascript_counts",
        Spans,
        "of each line how often `javascript` is a normalized word (C4)",
    ),
    signal("lines", true, "rps_lines_num_words", Spans, "of each line the normalized words (C4, RefinedWeb)"),
    signal(
        "lines",
        true,
        "rps_lines_numerical_chars_fraction",
        Spans,
        "of each line the share of digits in the normalized characters (RefinedWeb)",
    ),
    signal(
        "lines",
        true,
        "rps_lines_start_with_bulletpoint",
        Spans,
        "of each line 1 if it begins with a bullet, else 0 (RefinedWeb, Gopher)",
    ),
    signal(
        "lines",
        true,
        "rps_lines_uppercase_letter_fraction",
        Spans,
        "of each line the share of capitals in its characters (RefinedWeb)",
    ),
    signal(
        "classifiers",
        false,
        "rps_doc_ml_palm_score",
        Number,
        "`palm_model`'s probability against crawled pages; English (PaLM, GLaM)",
    ),
    signal(
        "classifiers",
        false,
        "rps_doc_ml_wikipedia_score",
        Number,
        "`wikipedia_model`'s probability against crawled pages; not English (RedPajama-V2)",
    ),
    signal(
        "classifiers",
        false,
        "rps_doc_ml_wikiref_score",
        Number,
        "`quality_model`'s probability against crawled pages; English (LLaMA, RedPajama-1T)",
    ),
    signal(
        "importance",
        false,
        "rps_doc_books_importance",
        Number,
        "log-ratio of hashed 1- and 2-grams, books against crawled pages (DSIR)",
    ),
    signal(
        "importance",
        false,
        "rps_doc_books_importance_length_correction",
        Number,
        "the same with the log-ratio of lengths (DSIR)",
    ),
    signal("importance", false, "rps_doc_openwebtext_importance", Number, "the first against OpenWebText (DSIR)"),
    signal(
        "importance",
        false,
        "rps_doc_openwebtext_importance_length_correction",
        Number,
        "the second against OpenWebText (DSIR)",
    ),
    signal("importance", false, "rps_doc_wikipedia_importance", Number, "the first against Wikipedia (DSIR)"),
    signal(
        "importance",
        false,
        "rps_doc_wikipedia_importance_length_correction",
        Number,
        "the second against Wikipedia (DSIR)",
    ),
];

/// Every signal that there is.
pub(crate) fn all() -> Vec<SignalSpec> {
    PUBLISHED.iter().map(|signal| signal.spec).collect()
}

/// The variable whose file a signal rests on.
pub(crate) fn rests_on(signal: &str) -> Option<Variable> {
    match signal {
        "rps_doc_ldnoobw_words" => Some(Variable::BadWords),
        "rps_doc_ut1_blacklist" => Some(Variable::BlockedDomains),
        "rps_doc_ml_palm_score" => Some(Variable::PalmModel),
        "rps_doc_ml_wikipedia_score" => Some(Variable::WikipediaModel),
        "rps_doc_ml_wikiref_score" => Some(Variable::QualityModel),
        _ => {
            let is = |known: &&Published| known.spec.name == signal && known.group == "importance";
            PUBLISHED.iter().find(is).map(|_| Variable::ImportanceCounts)
        }
    }
}

/// The signal of a stage before `signals` that a signal of cc_net's says again.
pub(crate) fn repeats(signal: &str) -> Option<&'static str> {
    match signal {
        "ccnet_language_score" => Some("language_score"),
        "ccnet_perplexity" => Some("perplexity"),
        "ccnet_bucket" => Some("bucket"),
        _ => None,
    }
}

impl Signals {
    fn takes(&self, signal: &Published) -> bool {
        if self.only.is_empty() {
            return signal.alone;
        }
        self.only.iter().any(|Choice(name)| name == "all" || name == signal.group || name == signal.spec.name)
    }

    /// The signals that it writes.
    pub fn writes(&self) -> Vec<SignalSpec> {
        PUBLISHED.iter().filter(|signal| self.takes(signal)).map(|signal| signal.spec).collect()
    }

    /// The variables whose files it rests on, if any signal that it writes does.
    pub fn uses(&self) -> &'static [Variable] {
        let rests = PUBLISHED.iter().any(|signal| !signal.alone && self.takes(signal));
        match rests {
            true => &[
                Variable::QualityModel,
                Variable::BadWords,
                Variable::BlockedDomains,
                Variable::ImportanceCounts,
                Variable::PalmModel,
                Variable::WikipediaModel,
            ],
            false => &[],
        }
    }

    /// The stage, with the files that the pipeline's variables name.
    pub fn with(self, files: Files) -> impl Stage {
        let mut groups: Vec<&'static str> = Vec::new();
        let mut left_out = Vec::new();
        for signal in &PUBLISHED {
            match self.takes(signal) {
                true if !groups.contains(&signal.group) => groups.push(signal.group),
                true => {}
                false => left_out.push(signal.spec.name),
            }
        }
        left_out.retain(|name| PUBLISHED.iter().any(|s| s.spec.name == *name && groups.contains(&s.group)));
        Measuring { options: self, files, groups, left_out }
    }
}

struct Measuring {
    options: Signals,
    files: Files,
    /// The groups of which any signal is asked.
    groups: Vec<&'static str>,
    /// Signals of these groups that are not asked.
    left_out: Vec<&'static str>,
}

/// Where measures put what they find.
struct Found<'f> {
    document: &'f mut Vec<(&'static str, Signal)>,
    left_out: &'f [&'static str],
}

impl Found<'_> {
    fn asks(&self, name: &str) -> bool {
        !self.left_out.contains(&name)
    }

    fn set(&mut self, name: &'static str, value: Signal) {
        if self.asks(name) {
            self.document.push((name, value));
        }
    }

    /// A number, rounded as the original rounds; nothing if there is none.
    fn number(&mut self, name: &'static str, value: Option<f64>) {
        // Nothing that is no number is ever written.
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.set(name, Signal::Number(rounded(value)));
        }
    }

    fn spans(&mut self, name: &'static str, spans: Vec<ScoredSpan>) {
        self.set(name, Signal::Spans(spans.into()));
    }
}

impl Stage for Measuring {
    fn apply(&self, document: &mut Document, workspace: &mut Workspace) -> Verdict {
        let language = match self.options.language.as_str() {
            "" => document.meta.language.clone(),
            given => Some(given.into()),
        };
        let language = language.as_deref();
        let mut values = std::mem::take(&mut workspace.signals);
        let mut found = Found { document: &mut values, left_out: &self.left_out };
        for group in &self.groups {
            match *group {
                "ccnet" => ccnet::measure(document, &mut found),
                "content" => content::measure(document, language, &self.files, &mut found),
                "natural_language" => language::measure(document, &mut found),
                "repetition" => repetition::measure(document, &mut workspace.repeats, &mut found),
                "lines" => lines::measure(document, &mut found),
                "classifiers" => content::classify(document, language, &self.files, &mut found),
                _ => importance::measure(document, language, &self.files, &mut found),
            }
        }
        for (name, value) in values.drain(..) {
            document.signals.set(name, value);
        }
        workspace.signals = values;
        Verdict::Keep
    }
}

/// Characters of the text.
fn characters(document: &Document) -> usize {
    document.newline_lines().last().map_or(0, |line| line.characters as usize)
}

/// A share of a whole; none of nothing.
fn share(part: f64, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part / whole as f64)
}

/// Digits after the point: RedPajama-V2's own precision.
const DIGITS: usize = 8;

/// Rounds as Python's `round(x, 8)` does: to the nearest decimal of the exact value, a half to the
/// even digit, then to the nearest double.
pub(crate) fn rounded(value: f64) -> f64 {
    const UNIT: f64 = 1e8;
    let scaled = value * UNIT;
    // Below 2^52 / 10^3 a product is off by less than a thousandth: which integer is nearest is sure
    // unless it is about half way, and a division of two exact doubles gives the nearest double.
    if scaled.abs() < 4e12 {
        let nearest = scaled.round_ties_even();
        if ((scaled - nearest).abs() - 0.5).abs() > 0.01 {
            return nearest / UNIT;
        }
    }
    format!("{value:.DIGITS$}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests;
