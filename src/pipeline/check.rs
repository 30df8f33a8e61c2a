//! What types cannot say of a pipeline: the order of its stages, and what they need from each other.

use corpus::{SignalKind, SignalSpec};
use serde_saphyr::Spanned;
use stages::{Kind, StageSpec, Variable};

use super::place::Within;
use super::{Read, closest};
use crate::failure::{Failure, Place, Result};

impl Read {
    /// What types cannot say: the order of stages, and what they need from each other.
    pub(super) fn check(&self) -> Result<()> {
        for (name, slice) in &self.pipeline.slices.0 {
            let mut written: Vec<(SignalSpec, &StageSpec)> = Vec::new();
            let mut tokenized = false;
            let mut packed = false;
            for stage in slice.stages.iter().chain(&self.pipeline.stages) {
                let here = |failure: Failure| failure.at(self.place(stage));
                if packed {
                    let failure = Failure::configuration(format!("`{}` comes after `pack`", stage.value.name()));
                    return Err(here(failure).hint("`pack` ends a pipeline"));
                }
                if stage.value.needs_tokenizer() && self.pipeline.tokenizer.is_none() {
                    let failure = Failure::configuration(format!("`{}` needs a tokenizer", stage.value.name()));
                    return Err(here(failure).hint("add `tokenizer: gpt-neox-20b`, or a path to a `tokenizer.json`"));
                }
                if matches!(stage.value, StageSpec::Quality(_)) && self.pipeline.quality_model.is_none() {
                    return Err(here(Failure::configuration("`quality` needs a model")).hint(
                        "add `quality_model: wikiref`, the original's, or a file that `redpajama train-classifier` made",
                    ));
                }
                let wrote = |signal: &str| written.iter().any(|(known, _)| known.name == signal);
                if matches!(&stage.value, StageSpec::Bucket(options) if !options.unknown)
                    && wrote("perplexity")
                    && !wrote("bucket")
                {
                    let failure =
                        Failure::configuration("`perplexity` before `bucket` writes none, for want of cut-offs");
                    return Err(here(failure).hint(
                        "give it `cutoffs`, or `lines: glued` with cc_net's models; a bucket of the source's is judged \
                         before `perplexity`",
                    ));
                }
                for signal in stage.value.reads() {
                    let Some((known, _)) = written.iter().find(|(known, _)| known.name == signal) else {
                        let signals: Vec<&str> = written.iter().map(|(signal, _)| signal.name).collect();
                        let known = if signals.is_empty() { "none".to_owned() } else { signals.join(", ") };
                        let failure = Failure::configuration(format!(
                            "`{}` judges the signal `{signal}`, which no stage before it writes for slice {name}",
                            stage.value.name()
                        ));
                        let failure = failure.at(self.place_of_word(stage, &signal));
                        let writer = stages::writer_of(&signal);
                        return Err(failure.hint(match (writer, closest(&signal, &signals)) {
                            (Some(writer), _) if written.iter().any(|(_, stage)| stage.name() == writer) => {
                                format!(
                                    "`{writer}` before it does not, with its options: see `redpajama stages {writer}`"
                                )
                            }
                            (Some(writer), _) => format!("put `- {writer}: {{}}` before it, which writes it"),
                            (None, Some(close)) => format!("did you mean `{close}`?"),
                            (None, None) => {
                                format!("written before it: {known}; `redpajama stages` tells who writes what")
                            }
                        }));
                    };
                    if let Some((why, hint)) = self.never_there(name, &signal, &written) {
                        let judges = format!("`{}` judges the signal `{signal}`", stage.value.name());
                        let failure =
                            Failure::configuration(format!("{judges}, which would be null throughout: {why}"));
                        return Err(failure.at(self.place_of_word(stage, &signal)).hint(hint));
                    }
                    if stage.value.compares_numbers() && known.kind == SignalKind::Spans {
                        let judges = format!("`{}` judges the signal `{signal}`", stage.value.name());
                        let failure = Failure::configuration(format!("{judges}, which has a value for each line"));
                        let hint = "name a signal with one value a document";
                        return Err(failure.at(self.place_of_word(stage, &signal)).hint(hint));
                    }
                    if stage.value.compares_numbers() && known.kind == SignalKind::Text {
                        let failure = Failure::configuration(format!(
                            "`{}` looks for the highest or lowest `{signal}`, which is a word",
                            stage.value.name()
                        ));
                        let failure = failure.at(self.place_of_word(stage, &signal));
                        return Err(failure.hint("name a signal that is a number"));
                    }
                    let (by, is, hint) = match (stage.value.judges_words(&signal), known.kind) {
                        (Some(false), SignalKind::Text) => {
                            ("bounds", "a word", "`one_of: [WORD, …]` keeps documents by a word")
                        }
                        (Some(true), SignalKind::Integer | SignalKind::Number | SignalKind::Spans) => {
                            ("words", "a number", "`{ min: NUMBER, max: NUMBER }` keeps documents by a number")
                        }
                        _ => continue,
                    };
                    let judges = format!("`{}` judges `{signal}` by {by}, and it is {is}", stage.value.name());
                    let failure = Failure::configuration(judges).at(self.place_of_word(stage, &signal));
                    return Err(failure.hint(hint));
                }
                written.extend(stage.value.writes().into_iter().map(|signal| (signal, &stage.value)));
                match stage.value.kind() {
                    Kind::Edit => tokenized = false,
                    Kind::Pack if !tokenized => {
                        let failure = Failure::configuration("`pack` without tokens");
                        return Err(here(failure).hint("put `- tokenize: {}` before it, after the last edit"));
                    }
                    Kind::Pack => packed = true,
                    _ => tokenized |= stage.value.name() == "tokenize",
                }
            }
        }
        Ok(())
    }

    /// Whether the model of quality knows the label that each `quality` calls good.
    pub fn check_quality(&self, model: &stages::fasttext::Model) -> Result<()> {
        let own = self.pipeline.slices.0.iter().flat_map(|(_, slice)| &slice.stages);
        for stage in own.chain(&self.pipeline.stages) {
            let StageSpec::Quality(options) = &stage.value else { continue };
            options.suits(model).map_err(|words| Failure::configuration(words).at(self.place(stage)))?;
        }
        Ok(())
    }

    /// Why no document of a slice can have a signal that stages before write, with what to do about it.
    fn never_there(&self, slice: &str, signal: &str, written: &[(SignalSpec, &StageSpec)]) -> Option<(String, String)> {
        let lacks = |signal: &str, stage: &StageSpec| {
            stage.rests_on(signal).filter(|variable| self.model(*variable).is_none()).map(Variable::name)
        };
        // Whoever writes it, a value of any of them is one.
        let mut writers = written.iter().enumerate().filter(|(_, (known, _))| known.name == signal);
        let (mut at, &(_, mut writer)) = writers.next()?;
        let mut variable = lacks(signal, writer);
        for (later, &(_, other)) in writers {
            (at, writer) = (later, other);
            variable = variable.and(lacks(signal, other));
        }
        if let Some(variable) = variable {
            let why = format!("`{}` measures it with `{variable}`, which the pipeline does not name", writer.name());
            return Some((why, format!("name one, `{variable}: …`, or judge another signal")));
        }
        let source = writer.repeats(signal)?;
        let (before, after) = written.split_at(at);
        let mut before = before.iter().filter(|(known, _)| known.name == source).map(|(_, stage)| *stage).peekable();
        match before.peek() {
            None => {
                // Without such a stage it is the source that may tell.
                let (_, late) = after.iter().find(|(known, _)| known.name == source)?;
                let why = format!("`{}` stands after `{}`, which says again what it wrote", late.name(), writer.name());
                Some((why, format!("put `{}` before `{}`", late.name(), writer.name())))
            }
            // cc_net's own files tell it without a model.
            Some(_) if slice == "common_crawl" => None,
            Some(first) => {
                let variable = lacks(source, first)?;
                let why = format!("`{}` measures with `{variable}`, which the pipeline does not name", first.name());
                Some((why, format!("name one, `{variable}: …`, or judge another signal")))
            }
        }
    }

    /// Where a word stands within a stage, or the stage itself.
    pub fn place_of_word(&self, stage: &Spanned<StageSpec>, word: &str) -> Place {
        Within::new(&self.text, self.place(stage)).word(word)
    }

    /// Where the value of an option of a stage stands, or the stage itself: of several ways to write it the
    /// first that is there, each with the names of the options that it lies in.
    pub fn place_of_value(&self, stage: &Spanned<StageSpec>, ways: &[&[&str]]) -> Place {
        let within = Within::new(&self.text, self.place(stage));
        ways.iter().find_map(|options| within.value(options)).unwrap_or_else(|| self.place(stage))
    }
}
