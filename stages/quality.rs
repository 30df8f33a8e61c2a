//! Writes how good a text is, as a classifier thinks.

use std::sync::Arc;

use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fasttext::{Model, one_line};
use crate::{Stage, Workspace};

/// Writes how probable a classifier thinks it that a text is a good one as `quality_score`, and its
/// likeliest label with that one's probability.
///
/// The model is `quality_model`: any supervised fastText model, such as the original's, which tells
/// pages that Wikipedia cites (`wiki`) from others (`cc`), or one that `redpajama
/// train-classifier` made. `good` says which of its labels is the good one. The text goes to the
/// model as the original gave it: without white space around it, all line ends as spaces.
///
/// It judges nothing: `keep_if: { quality_score: { min: 0.25 } }` after it keeps what RedPajama-1T
/// kept, a bound chosen there so that as much was left as LLaMA had (the original's paper). A
/// threshold belongs to one model. Models of whole pages give short texts low scores (the
/// original's issue 62), so do not ask them about paragraphs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// The label of good texts, without `__label__`.
    pub good: String,
    /// Whose probability the score is.
    pub by: By,
}

/// Whose probability a score is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The good label's own, whatever the likeliest is; four digits, from 0 to 1.
    Label,
    /// The likeliest label's, or what it lacks to 1 if that is not the good one: the original's
    /// way, the same for models of two labels. All digits; models give sums slightly off 1, so it
    /// may be below 0.
    Likeliest,
}

impl Default for Quality {
    fn default() -> Self {
        Quality { good: "wiki".to_owned(), by: By::Label }
    }
}

const WRITES: [SignalSpec; 3] = [
    SignalSpec { name: "quality_score", kind: SignalKind::Number, about: "how probably the text is a good one" },
    SignalSpec { name: "quality_label", kind: SignalKind::Text, about: "the classifier's likeliest label" },
    SignalSpec { name: "quality_label_score", kind: SignalKind::Number, about: "the probability of that label" },
];

impl Quality {
    /// The stage, with the model that it asks; none is an error in words, and so is a model that
    /// does not know the good label.
    pub fn with(self, model: Option<Arc<Model>>) -> Result<impl Stage, String> {
        let Some(model) = model else {
            return Err(
                "`quality` needs a model: `quality_model: wikiref`, the original's, or a file that `redpajama \
                        train-classifier` made"
                    .to_owned(),
            );
        };
        self.suits(&model)?;
        Ok(Judging { options: self, model })
    }

    /// Whether a model knows the good label; if not, which ones it knows, in words.
    pub fn suits(&self, model: &Model) -> Result<(), String> {
        if model.labels().any(|label| label == self.good) {
            return Ok(());
        }
        let labels: Vec<&str> = model.labels().take(8).collect();
        Err(format!(
            "`quality`: the model has no label `{}`; `good` is one of: {}{}",
            self.good,
            labels.join(", "),
            if model.labels().len() > labels.len() { ", …" } else { "" }
        ))
    }

    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }
}

struct Judging {
    options: Quality,
    model: Arc<Model>,
}

impl Stage for Judging {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let Some(told) = Told::of(&self.model, document.text(), &self.options.good, self.options.by) else {
            return Verdict::Keep;
        };
        let (label, score, label_score) = match self.options.by {
            By::Label => (told.label, four_digits(told.score), four_digits(told.label_score)),
            By::Likeliest => (told.label, told.score, told.label_score),
        };
        document.signals.set("quality_score", Signal::Number(score));
        document.signals.set("quality_label", Signal::Text(label.into()));
        document.signals.set("quality_label_score", Signal::Number(label_score));
        Verdict::Keep
    }
}

/// What a classifier says of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told<'m> {
    /// How probably it is a good one.
    pub score: f64,
    /// The likeliest label.
    pub label: &'m str,
    /// Its probability, as the model gives it.
    pub label_score: f64,
}

impl<'m> Told<'m> {
    /// Asks a model about a text; a text of which it knows nothing at all has no answer.
    pub fn of(model: &'m Model, text: &str, good: &str, by: By) -> Option<Told<'m>> {
        let most = match by {
            By::Label => model.labels().len(),
            By::Likeliest => 1,
        };
        let found = model.predict(&one_line(text), most);
        let best = found.first()?;
        let label_score = f64::from(best.probability);
        let score = match by {
            By::Label => {
                let own = found.iter().find(|one| one.label == good);
                own.map_or(0.0, |one| f64::from(one.probability).clamp(0.0, 1.0))
            }
            By::Likeliest if best.label == good => label_score,
            By::Likeliest => 1.0 - label_score,
        };
        Some(Told { score, label: best.label, label_score })
    }
}

/// Ours: four digits tell all that a threshold asks, and survive another mathematical library.
fn four_digits(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use corpus::{DocumentId, Meta};

    use crate::fasttext::{Trainer, Training};

    /// A classifier that knows tides from shops.
    pub(crate) fn tides() -> Arc<Model> {
        let training = Training { dimensions: 4, epochs: 40, rate: 0.5, ..Training::default() };
        let mut trainer = Trainer::new(training, &["wiki", "cc"], std::io::Cursor::new(Vec::new()));
        for text in ["The tide is out.", "The sea is grey.", "The tide came in.", "A grey ship came in with the tide."]
        {
            trainer.learn(text, 0).unwrap();
        }
        for text in ["Buy now!", "Click here.", "Buy cheap pills here, now!", "Add to cart"] {
            trainer.learn(text, 1).unwrap();
        }
        let mut bytes = Vec::new();
        trainer.finish(None, &mut bytes).unwrap();
        Arc::new(Model::from_bytes(&bytes, "tides.bin".as_ref()).unwrap())
    }

    fn model() -> Arc<Model> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models/fasttext");
        Arc::new(crate::fasttext::load(&folder.join("softmax.bin")).unwrap())
    }

    #[track_caller]
    fn judged(options: &str, text: &str, expected: &str) {
        let options: Quality = serde_saphyr::from_str(options).unwrap();
        let stage = options.with(Some(model())).unwrap();
        let id = DocumentId { raw_file: "c4/a".into(), record: 0 };
        let mut document = Document::new(id, text.to_owned(), Meta::default());
        stage.apply(&mut document, &mut Workspace::default());
        let told = WRITES.map(|signal| match document.signals.get(signal.name) {
            Some(Signal::Number(value)) => format!("{value:.4}"),
            Some(Signal::Text(value)) => value.to_string(),
            _ => "-".to_owned(),
        });
        assert_eq!(told.join(" "), expected, "{text:.40?}");
    }

    #[test]
    fn the_good_label_has_a_score_whichever_is_the_likeliest() {
        judged("{ good: en }", "the cat sat on the mat", "0.9996 en 0.9996");
        judged("{ good: de }", "the\u{2028}cat", "0.0040 en 0.9959");
        judged("{ good: fr }", "the cat sat die chat", "0.0045 en 0.9652");
        judged("{ good: de, by: likeliest }", "the cat sat die chat", "0.0348 en 0.9652");
        judged("{ good: en, by: likeliest }", "the cat sat die chat", "0.9652 en 0.9652");
    }

    #[test]
    fn any_text_has_a_score() {
        for text in ["", "\u{a0}", "a".repeat(1 << 20).as_str(), "!?.,;\u{202e}\u{200d}", "😀😀😀", "漢字"] {
            let model = model();
            let told = Told::of(&model, text, "en", By::Label).unwrap();
            assert!((0.0..=1.0).contains(&told.score), "{text:.20?}: {told:?}");
        }
    }

    #[test]
    fn a_model_that_is_missing_or_has_no_such_label_is_an_error() {
        let missing = Quality::default().with(None).err().unwrap();
        assert!(missing.contains("needs a model"), "{missing}");
        let wrong = Quality::default().with(Some(model())).err().unwrap();
        assert!(wrong.contains("no label `wiki`; `good` is one of: ") && wrong.contains("en"), "{wrong}");
    }
}
