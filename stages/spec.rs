//! What a pipeline file may name, and how it becomes stages.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use corpus::{SignalSpec, Tokenizer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::minhash_dedup::Clusters;
use crate::signals::Files;
use crate::{Against, Dedup, Guard, Stage, against, fasttext};

/// What a stage does to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Drops.
    Filter,
    /// Changes text.
    Edit,
    /// Writes signals or tokens.
    Measure,
    /// Compares documents with each other.
    Dedup,
    /// Ends the pipeline.
    Pack,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Filter => "filter",
            Kind::Edit => "edit",
            Kind::Measure => "measure",
            Kind::Dedup => "dedup",
            Kind::Pack => "pack",
        })
    }
}

/// A stage that is ready to run.
pub enum Built {
    /// Looks at one document.
    Stage(Box<dyn Stage>),
    /// Compares documents.
    Dedup(Box<dyn Dedup>),
    /// Ends the pipeline.
    Pack(crate::pack::Pack),
}

/// The models that a pipeline's variables name, loaded.
#[derive(Clone, Default)]
pub struct Models {
    /// `tokenizer`.
    pub tokenizer: Option<Arc<dyn Tokenizer>>,
    /// `language_model`.
    pub language: Option<Arc<fasttext::Model>>,
    /// `perplexity_model`.
    pub perplexity: Option<Arc<crate::perplexity::Models>>,
    /// `quality_model`.
    pub quality: Option<Arc<fasttext::Model>>,
    /// What `signals` rests on.
    pub signals: Files,
}

impl Models {
    /// Roughly the memory that they take beside the tokenizer, in bytes.
    pub fn footprint(&self) -> u64 {
        let labels = [&self.language, &self.quality].into_iter().flatten().map(|model| model.footprint() as u64);
        let perplexity = self.perplexity.as_ref().map_or(0, |models| models.footprint());
        labels.sum::<u64>() + perplexity + self.signals.footprint()
    }
}

/// A variable of a pipeline that names a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variable {
    /// Makes tokens.
    Tokenizer,
    /// Tells languages.
    LanguageModel,
    /// Tells how well a text can be foretold.
    PerplexityModel,
    /// Tells good texts from others.
    QualityModel,
    /// Words that are not for everybody.
    BadWords,
    /// Domains and their categories.
    BlockedDomains,
    /// What texts of a source look like, against crawled pages.
    ImportanceCounts,
    /// Tells Wikipedia, books and OpenWebText from crawled pages.
    PalmModel,
    /// Tells Wikipedia from crawled pages.
    WikipediaModel,
}

impl Variable {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Variable; 9] = [
        Variable::Tokenizer,
        Variable::LanguageModel,
        Variable::PerplexityModel,
        Variable::QualityModel,
        Variable::BadWords,
        Variable::BlockedDomains,
        Variable::ImportanceCounts,
        Variable::PalmModel,
        Variable::WikipediaModel,
    ];

    /// Its name in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Variable::Tokenizer => "tokenizer",
            Variable::LanguageModel => "language_model",
            Variable::PerplexityModel => "perplexity_model",
            Variable::QualityModel => "quality_model",
            Variable::BadWords => "bad_words",
            Variable::BlockedDomains => "blocked_domains",
            Variable::ImportanceCounts => "importance_counts",
            Variable::PalmModel => "palm_model",
            Variable::WikipediaModel => "wikipedia_model",
        }
    }
}

/// A share from 0 to 1; anything else is an error at the very value.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, JsonSchema)]
#[schemars(transparent, extend("minimum" = 0, "maximum" = 1))]
pub struct Share(pub f64);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&value) {
            return Ok(Share(value));
        }
        Err(serde::de::Error::custom(format!("{value} is not a share from 0 to 1")))
    }
}

/// A number from 0, and not an infinite one; anything else is an error at the very value.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, JsonSchema)]
#[schemars(transparent, extend("minimum" = 0))]
pub struct NonNegative(pub f64);

impl<'de> Deserialize<'de> for NonNegative {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<NonNegative, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if value.is_finite() && value >= 0.0 {
            return Ok(NonNegative(value));
        }
        Err(serde::de::Error::custom(format!("{value} is not a number from 0")))
    }
}

/// A whole number from 1; 0 is an error at the very value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(transparent, extend("minimum" = 1))]
pub struct Positive(pub u64);

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Positive, D::Error> {
        match u64::deserialize(deserializer)? {
            0 => Err(serde::de::Error::custom("0 is too small: it is a whole number from 1")),
            value => Ok(Positive(value)),
        }
    }
}

/// What is told of a stage: the same text makes `redpajama stages` and the docs page.
pub struct Told {
    /// Its name in a pipeline.
    pub name: &'static str,
    /// What it does to a document.
    pub kind: Kind,
    /// Raised whenever the same input could give another output.
    pub version: u32,
    /// Why it drops documents.
    pub reasons: &'static [&'static str],
    /// The signals that it writes.
    pub writes: Vec<SignalSpec>,
    /// An example for a pipeline.
    pub example: &'static str,
    /// The JSON schema of its options: their texts, types, defaults.
    pub options: schemars::Schema,
}

macro_rules! stages {
    ($($variant:ident($module:ident), $kind:ident, version $version:literal, reasons [$($reason:literal),*], example $example:literal;)*) => {
        /// One stage of a pipeline, by name, with its options.
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum StageSpec {
            $(#[doc = concat!("See [`crate::", stringify!($module), "`].")] $variant(crate::$module::$variant),)*
        }

        impl StageSpec {
            /// The name in a pipeline.
            pub fn name(&self) -> &'static str {
                match self { $(StageSpec::$variant(_) => stringify!($module),)* }
            }

            /// What it does to a document.
            pub fn kind(&self) -> Kind {
                match self { $(StageSpec::$variant(_) => Kind::$kind,)* }
            }

            /// Raised whenever the same input could give another output.
            pub fn version(&self) -> u32 {
                match self { $(StageSpec::$variant(_) => $version,)* }
            }
        }

        /// Every stage, in alphabetical order.
        pub fn told() -> Vec<Told> {
            vec![$(Told {
                name: stringify!($module),
                kind: Kind::$kind,
                version: $version,
                reasons: &[$($reason),*],
                writes: StageSpec::$variant(Default::default()).could_write(),
                example: $example,
                options: schemars::schema_for!(crate::$module::$variant),
            },)*]
        }
    };
}

stages! {
    AlphanumericShare(alphanumeric_share), Filter, version 1, reasons ["too_few_alphanumeric"], example "alphanumeric_share: { min: 0.25 }";
    Bucket(bucket), Filter, version 1, reasons ["bucket", "no_bucket"], example "bucket: { keep: [head, middle] }";
    C4(c4), Measure, version 1, reasons [], example "c4: {}";
    C4Lines(c4_lines), Edit, version 1, reasons [], example "c4_lines: {}";
    ContentHash(content_hash), Measure, version 1, reasons [], example "content_hash: {}";
    CopyrightHeader(copyright_header), Edit, version 1, reasons [], example "copyright_header: {}";
    CrawlDedup(crawl_dedup), Dedup, version 3, reasons ["crawled_before"], example "crawl_dedup: { by: digest }";
    Dclm(dclm), Measure, version 1, reasons [], example "dclm: {}";
    DclmLines(dclm_lines), Edit, version 1, reasons [], example "dclm_lines: {}";
    EmptyText(empty_text), Filter, version 1, reasons ["empty_text"], example "empty_text: {}";
    ExactDedup(exact_dedup), Dedup, version 3, reasons ["exact_duplicate"], example "exact_dedup: {}";
    Extension(extension), Filter, version 1, reasons ["extension"], example "extension: { keep: [.py, .rs, Makefile] }";
    Fineweb(fineweb), Measure, version 1, reasons [], example "fineweb: {}";
    Gopher(gopher), Measure, version 1, reasons [], example "gopher: {}";
    KeepIf(keep_if), Filter, version 1, reasons ["signal_too_low", "signal_too_high", "signal_other", "no_signal"], example "keep_if: { line_count: { min: 3 }, alnum_prop: { min: 0.3, max: 0.95 } }";
    LettersPerToken(letters_per_token), Filter, version 1, reasons ["too_few_letters_per_token", "no_tokens"], example "letters_per_token: { min: 1.5 }";
    Language(language), Measure, version 1, reasons [], example "language: {}";
    LanguageIs(language_is), Filter, version 1, reasons ["language", "language_unsure", "no_language"], example "language_is: { keep: [en], min_score: 0.5 }";
    License(license), Filter, version 1, reasons ["license", "no_license"], example "license: { keep: [mit, apache-2.0, bsd-3-clause] }";
    LineLength(line_length), Filter, version 1, reasons ["line_too_long", "lines_too_long_on_average"], example "line_length: { max: 1000, max_mean: 100 }";
    LineNgramDedup(line_ngram_dedup), Dedup, version 1, reasons ["ngrams_seen"], example "line_ngram_dedup: { ngram: 13, share: 0.8 }";
    LineStatistics(line_statistics), Measure, version 1, reasons [], example "line_statistics: {}";
    MinhashDedup(minhash_dedup), Dedup, version 4, reasons ["near_duplicate"], example "minhash_dedup: { threshold: 0.8 }";
    Pack(pack), Pack, version 1, reasons [], example "pack: { shard_tokens: 1000000000 }";
    ParagraphDedup(paragraph_dedup), Dedup, version 3, reasons ["all_paragraphs_duplicate"], example "paragraph_dedup: { min_characters: 40 }";
    PathRules(path_rules), Filter, version 1, reasons ["path_ending", "path_name"], example "path_rules: { drop_endings: [.crt], drop_names: [LICENSE] }";
    Perplexity(perplexity), Measure, version 2, reasons [], example "perplexity: { lines: apart, cutoffs: { en: { head: 340, middle: 520 } } }";
    PersonalData(personal_data), Edit, version 2, reasons [], example "personal_data: { phone: ignore }";
    Quality(quality), Measure, version 1, reasons [], example "quality: { good: wiki }";
    Secrets(secrets), Edit, version 2, reasons ["secret"], example "secrets: { action: drop }";
    Signals(signals), Measure, version 1, reasons [], example "signals: { language: en }";
    SimhashDedup(simhash_dedup), Dedup, version 4, reasons ["near_duplicate"], example "simhash_dedup: { distance: 5 }";
    StripGutenberg(strip_gutenberg), Edit, version 1, reasons [], example "strip_gutenberg: {}";
    SubstringDedup(substring_dedup), Dedup, version 5, reasons ["all_spans_repeated"], example "substring_dedup: { min_bytes: 200, at: lines }";
    TextLength(text_length), Filter, version 1, reasons ["text_too_short", "text_too_long"], example "text_length: { min: 300 }";
    Tokenize(tokenize), Measure, version 1, reasons ["no_tokens"], example "tokenize: {}";
}

/// The stage that writes a signal, if one does.
pub fn writer_of(signal: &str) -> Option<&'static str> {
    let writes = |told: &Told| told.writes.iter().any(|written| written.name == signal);
    told().into_iter().find(writes).map(|told| told.name)
}

impl StageSpec {
    /// The signals that it writes.
    pub fn writes(&self) -> Vec<SignalSpec> {
        if let Some(own) = self.writes_of_parts() {
            let marks = against::PART_SIGNALS.iter().filter(|_| self.marks());
            return own.iter().chain(marks).cloned().collect();
        }
        match self {
            StageSpec::C4(options) => options.writes().to_vec(),
            StageSpec::ContentHash(options) => options.writes().to_vec(),
            StageSpec::Dclm(options) => options.writes().to_vec(),
            StageSpec::Fineweb(options) => options.writes().to_vec(),
            StageSpec::Gopher(options) => options.writes().to_vec(),
            StageSpec::Language(options) => options.writes().to_vec(),
            StageSpec::LineStatistics(options) => options.writes().to_vec(),
            StageSpec::Perplexity(options) => options.writes().to_vec(),
            StageSpec::PersonalData(options) => options.writes().to_vec(),
            StageSpec::Quality(options) => options.writes().to_vec(),
            StageSpec::Secrets(options) => options.writes().to_vec(),
            StageSpec::Signals(options) => options.writes(),
            _ if self.marks() => against::SIGNALS.to_vec(),
            _ => Vec::new(),
        }
    }

    /// The signals that a dedup which cuts writes of what it took; nothing if it is none.
    fn writes_of_parts(&self) -> Option<&'static [SignalSpec]> {
        match self {
            StageSpec::LineNgramDedup(options) => Some(options.writes()),
            StageSpec::ParagraphDedup(options) => Some(options.writes()),
            StageSpec::SubstringDedup(options) => Some(options.writes()),
            _ => None,
        }
    }

    /// The signals that it writes with any options.
    fn could_write(&self) -> Vec<SignalSpec> {
        if let Some(own) = self.writes_of_parts() {
            return own.iter().chain(&against::PART_SIGNALS).cloned().collect();
        }
        match self {
            StageSpec::Perplexity(_) => crate::perplexity::WRITES.to_vec(),
            StageSpec::Signals(_) => crate::signals::all(),
            StageSpec::CrawlDedup(_)
            | StageSpec::ExactDedup(_)
            | StageSpec::MinhashDedup(_)
            | StageSpec::SimhashDedup(_) => against::SIGNALS.to_vec(),
            _ => self.writes(),
        }
    }

    /// The variable without whose model a signal that it writes is null throughout.
    pub fn rests_on(&self, signal: &str) -> Option<Variable> {
        match self {
            StageSpec::Perplexity(_) => Some(Variable::PerplexityModel),
            StageSpec::Signals(_) => crate::signals::rests_on(signal),
            _ => None,
        }
    }

    /// The signal of a stage before it that it writes again under another name.
    pub fn repeats(&self, signal: &str) -> Option<&'static str> {
        match self {
            StageSpec::Signals(_) => crate::signals::repeats(signal),
            _ => None,
        }
    }

    /// The signals that it judges, which stages before it must write.
    pub fn reads(&self) -> Vec<String> {
        match self {
            StageSpec::ExactDedup(options) => options.reads(),
            StageSpec::KeepIf(options) => options.reads(),
            StageSpec::LanguageIs(options) => options.reads(),
            _ => Vec::new(),
        }
    }

    /// Whether a signal that it judges has to be a number: which of two words is the higher?
    pub fn compares_numbers(&self) -> bool {
        matches!(self, StageSpec::ExactDedup(_))
    }

    /// Whether it judges a signal by words, not by bounds; nothing if it judges it in no such way.
    pub fn judges_words(&self, signal: &str) -> Option<bool> {
        match self {
            StageSpec::KeepIf(options) => options.rules.get(signal).map(crate::keep_if::Rule::is_of_words),
            _ => None,
        }
    }

    /// The variables whose models it uses if they are set.
    pub fn uses(&self) -> &'static [Variable] {
        match self {
            StageSpec::LettersPerToken(_) | StageSpec::Tokenize(_) | StageSpec::Pack(_) => &[Variable::Tokenizer],
            StageSpec::Language(_) => &[Variable::LanguageModel],
            StageSpec::Signals(options) => options.uses(),
            StageSpec::Perplexity(_) => &[Variable::PerplexityModel],
            StageSpec::Quality(_) => &[Variable::QualityModel],
            StageSpec::SubstringDedup(options) => options.uses(),
            _ => &[],
        }
    }

    /// Whether it asks for tokens.
    pub fn needs_tokenizer(&self) -> bool {
        self.uses().contains(&Variable::Tokenizer)
    }

    /// Whether it is a dedup whose findings are judged together: see [`Dedup::judged`].
    pub fn is_judged(&self) -> bool {
        match self {
            StageSpec::CrawlDedup(options) => options.judged(),
            StageSpec::MinhashDedup(_) => true,
            StageSpec::SimhashDedup(options) => options.judged(),
            _ => false,
        }
    }

    fn other_run(&self) -> Option<&Against> {
        match self {
            StageSpec::CrawlDedup(options) => options.against.as_ref(),
            StageSpec::ExactDedup(options) => options.against.as_ref(),
            StageSpec::LineNgramDedup(options) => options.against.as_ref(),
            StageSpec::MinhashDedup(options) => options.against.as_ref(),
            StageSpec::ParagraphDedup(options) => options.against.as_ref(),
            StageSpec::SimhashDedup(options) => options.against.as_ref(),
            StageSpec::SubstringDedup(options) => options.against.as_ref(),
            _ => None,
        }
    }

    /// The folder of another run that a dedup is held against.
    pub fn against(&self) -> Option<&Path> {
        self.other_run().map(|against| &*against.run)
    }

    /// Whether it is a dedup that marks what another run has instead of dropping it.
    pub fn marks(&self) -> bool {
        self.other_run().is_some_and(|against| against.then == against::Then::Mark)
    }

    /// Why it cannot be held against another run as its options want it.
    pub fn cannot_be_against(&self) -> Option<&'static str> {
        self.other_run()?;
        match self {
            StageSpec::ParagraphDedup(options) if options.scope == crate::paragraph_dedup::Scope::RawFile => {
                Some("`scope: raw_file` compares the lines of one raw file, and none is of both runs")
            }
            StageSpec::CrawlDedup(options) if self.marks() && options.judged() => Some(
                "`by: winning_url` judges addresses, which no document of the other run stands for: it cannot mark",
            ),
            _ => None,
        }
    }

    /// When a dedup takes so much that someone should look.
    pub fn guard(&self) -> Option<&Guard> {
        match self {
            StageSpec::CrawlDedup(options) => Some(&options.guard),
            StageSpec::ExactDedup(options) => Some(&options.guard),
            StageSpec::LineNgramDedup(options) => Some(&options.guard),
            StageSpec::MinhashDedup(options) => Some(&options.guard),
            StageSpec::ParagraphDedup(options) => Some(&options.guard),
            StageSpec::SimhashDedup(options) => Some(&options.guard),
            StageSpec::SubstringDedup(options) => Some(&options.guard),
            _ => None,
        }
    }

    /// Bits for each document that its judge holds: see [`crate::Among`].
    pub fn state_bits(&self) -> u64 {
        match self {
            StageSpec::CrawlDedup(_) if self.is_judged() => 2,
            StageSpec::MinhashDedup(options) if options.clusters == Clusters::Transitive => 64,
            // It holds those that stay, as many as there is room for.
            StageSpec::SimhashDedup(_) => 0,
            _ => u64::from(self.is_judged()),
        }
    }

    /// Whether it is a dedup that takes parts from documents: see [`Dedup::cuts`].
    pub fn cuts(&self) -> bool {
        self.writes_of_parts().is_some()
    }

    /// Whether it is a dedup that looks at documents twice: see [`Dedup::twice`].
    pub fn is_twice(&self) -> bool {
        matches!(self, StageSpec::SubstringDedup(_))
    }

    /// Whether it is a dedup whose pairs are compared before they are judged: see [`Dedup::verified`].
    pub fn is_verified(&self) -> bool {
        match self {
            StageSpec::MinhashDedup(options) => options.verifies(),
            _ => false,
        }
    }

    /// The stage, ready to run. A stage that needs a model which is not there is an error in words.
    pub fn build(&self, models: &Models) -> Result<Built, String> {
        let tokenizer = || models.tokenizer.clone().ok_or_else(|| format!("`{}` needs a tokenizer", self.name()));
        Ok(match self.clone() {
            StageSpec::AlphanumericShare(options) => Built::Stage(Box::new(options)),
            StageSpec::Bucket(options) => Built::Stage(Box::new(options)),
            StageSpec::C4(options) => Built::Stage(Box::new(options)),
            StageSpec::C4Lines(options) => Built::Stage(Box::new(options)),
            StageSpec::ContentHash(options) => Built::Stage(Box::new(options)),
            StageSpec::Dclm(options) => Built::Stage(Box::new(options)),
            StageSpec::DclmLines(options) => Built::Stage(Box::new(options)),
            StageSpec::CopyrightHeader(options) => Built::Stage(Box::new(options)),
            StageSpec::CrawlDedup(options) => Built::Dedup(Box::new(options)),
            StageSpec::EmptyText(options) => Built::Stage(Box::new(options)),
            StageSpec::ExactDedup(options) => Built::Dedup(Box::new(options)),
            StageSpec::Extension(options) => Built::Stage(Box::new(options)),
            StageSpec::Fineweb(options) => Built::Stage(Box::new(options)),
            StageSpec::Gopher(options) => Built::Stage(Box::new(options)),
            StageSpec::KeepIf(options) => Built::Stage(Box::new(options)),
            StageSpec::LettersPerToken(options) => Built::Stage(Box::new(options.with(tokenizer()?))),
            StageSpec::Language(options) => Built::Stage(Box::new(options.with(models.language.clone()))),
            StageSpec::LanguageIs(options) => Built::Stage(Box::new(options)),
            StageSpec::License(options) => Built::Stage(Box::new(options)),
            StageSpec::LineLength(options) => Built::Stage(Box::new(options)),
            StageSpec::LineNgramDedup(options) => Built::Dedup(Box::new(options)),
            StageSpec::LineStatistics(options) => Built::Stage(Box::new(options)),
            StageSpec::MinhashDedup(options) => Built::Dedup(Box::new(options.ready())),
            StageSpec::Pack(options) => Built::Pack(options),
            StageSpec::ParagraphDedup(options) => Built::Dedup(Box::new(options)),
            StageSpec::PathRules(options) => Built::Stage(Box::new(options)),
            StageSpec::Perplexity(options) => Built::Stage(Box::new(options.with(models.perplexity.clone()))),
            StageSpec::PersonalData(options) => Built::Stage(Box::new(options)),
            StageSpec::Quality(options) => Built::Stage(Box::new(options.with(models.quality.clone())?)),
            StageSpec::Secrets(options) => Built::Stage(Box::new(options)),
            StageSpec::Signals(options) => {
                let files = Files { wikiref: models.quality.clone(), ..models.signals.clone() };
                Built::Stage(Box::new(options.with(files)))
            }
            StageSpec::SimhashDedup(options) => Built::Dedup(Box::new(options)),
            StageSpec::StripGutenberg(options) => Built::Stage(Box::new(options)),
            StageSpec::SubstringDedup(options) => Built::Dedup(Box::new(options.with(models.tokenizer.clone())?)),
            StageSpec::TextLength(options) => Built::Stage(Box::new(options)),
            StageSpec::Tokenize(options) => Built::Stage(Box::new(options.with(tokenizer()?))),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use corpus::{DocumentId, Meta};

    use super::*;
    use crate::Workspace;

    /// Runs one stage, spelled as in a pipeline, over one text: the reason, or `kept`.
    #[track_caller]
    pub(crate) fn check(stage: &str, text: &str, outcome: &str) {
        check_with(stage, text, Meta::default(), outcome);
    }

    /// The same for a document of which the source said something.
    #[track_caller]
    pub(crate) fn check_with(stage: &str, text: &str, meta: Meta, outcome: &str) {
        let (_, verdict) = apply(stage, text, meta);
        let seen = match &verdict {
            corpus::Verdict::Keep => "kept",
            corpus::Verdict::Drop(reason, _) => reason.0,
        };
        assert_eq!(seen, outcome, "{stage} on {text:?}: {verdict:?}");
    }

    /// The text that an edit leaves.
    #[track_caller]
    pub(crate) fn edited(stage: &str, text: &str, becomes: &str) {
        edited_with(stage, text, Meta::default(), becomes);
    }

    /// The same for a document of which the source said something.
    #[track_caller]
    pub(crate) fn edited_with(stage: &str, text: &str, meta: Meta, becomes: &str) {
        let (document, _) = apply(stage, text, meta);
        assert!(document.text() == becomes, "{stage} on {:.200?}: {:.200?}", text, document.text());
        assert_eq!(document.edits() > 0, text != becomes, "{stage} says whether it edited {text:.200?}");
    }

    /// The signals that a measure writes, each as `name=value`, in the order it declares.
    #[track_caller]
    pub(crate) fn measured(stage: &str, text: &str, signals: &str) {
        let (document, _) = apply(stage, text, Meta::default());
        let spec: StageSpec = serde_saphyr::from_str(stage).unwrap();
        assert_eq!(signals_of(&spec, &document), signals, "{stage} on {text:?}");
    }

    /// The signals of a document that a stage writes: `-` where it did not.
    pub(crate) fn signals_of(stage: &StageSpec, document: &corpus::Document) -> String {
        let told = stage.writes().into_iter().map(|signal| {
            let value = match document.signals.get(signal.name) {
                Some(corpus::Signal::Integer(value)) => value.to_string(),
                Some(corpus::Signal::Number(value)) => value.to_string(),
                Some(corpus::Signal::Text(value)) => value.to_string(),
                Some(corpus::Signal::Spans(spans)) => {
                    let score =
                        |span: &corpus::ScoredSpan| span.score.map_or("-".to_owned(), |score| score.to_string());
                    let told: Vec<String> =
                        spans.iter().map(|span| format!("{}..{}:{}", span.start, span.end, score(span))).collect();
                    format!("[{}]", told.join(","))
                }
                None => "-".to_owned(),
            };
            format!("{}={value}", signal.name)
        });
        told.collect::<Vec<_>>().join(" ")
    }

    /// A document of which only its path is known.
    pub(crate) fn at(path: &str) -> Meta {
        Meta { path: Some(path.into()), ..Meta::default() }
    }

    /// A token for every word, and for every other character that is not white space; white space goes with
    /// what follows.
    struct Words;

    impl Words {
        fn ends(text: &str) -> Vec<usize> {
            let mut ends = Vec::new();
            let mut in_word = false;
            for (at, character) in text.char_indices() {
                let word = character.is_alphabetic();
                let end = at + character.len_utf8();
                match ends.last_mut() {
                    Some(last) if word && in_word => *last = end,
                    _ if !character.is_whitespace() => ends.push(end),
                    _ => {}
                }
                in_word = word;
            }
            ends
        }
    }

    impl Tokenizer for Words {
        fn vocab_size(&self) -> u32 {
            1 << 16
        }

        fn end_of_document(&self) -> corpus::TokenId {
            0
        }

        fn digest(&self) -> corpus::Digest {
            corpus::Digest::of(b"words")
        }

        fn encode(&self, text: &str, out: &mut Vec<corpus::TokenId>) {
            let mut from = 0;
            for end in Words::ends(text) {
                let [a, b, ..] = corpus::Digest::of(text[from..end].trim().as_bytes()).0;
                out.push(u32::from(a) << 8 | u32::from(b));
                from = end;
            }
        }

        fn decode(&self, tokens: &[corpus::TokenId]) -> String {
            "?".repeat(tokens.len())
        }

        fn normalized<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
            text.into()
        }

        fn round_trips(&self) -> bool {
            false
        }

        fn tells_places(&self) -> bool {
            true
        }

        fn places(&self, text: &str, _: &[corpus::TokenId]) -> Option<Vec<std::ops::Range<usize>>> {
            let mut from = 0;
            Some(Words::ends(text).into_iter().map(|end| std::mem::replace(&mut from, end)..end).collect())
        }
    }

    pub(crate) fn models() -> Models {
        let quality = Some(crate::quality::tests::tides());
        let perplexity = Some(crate::perplexity::tests::small());
        Models { tokenizer: Some(Arc::new(Words)), perplexity, quality, ..Models::default() }
    }

    pub(crate) fn apply(stage: &str, text: &str, meta: Meta) -> (corpus::Document, corpus::Verdict) {
        let spec: StageSpec = serde_saphyr::from_str(stage).unwrap();
        let Built::Stage(stage) = spec.build(&models()).unwrap() else { panic!("{stage} is no stage") };
        let id = DocumentId { raw_file: "github/a".into(), record: 0 };
        let mut document = corpus::Document::new(id, text.to_owned(), meta);
        let verdict = stage.apply(&mut document, &mut Workspace::default());
        (document, verdict)
    }

    #[test]
    fn every_example_is_a_stage_of_that_name() {
        for told in told() {
            let spec: StageSpec = serde_saphyr::from_str(told.example).unwrap();
            assert_eq!(spec.name(), told.name);
        }
    }
}
