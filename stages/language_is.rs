//! Keeps texts in the languages that a corpus is for.

use corpus::{Document, Evidence, Reason, Signal, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Share, Stage, Workspace};

/// Keeps documents in one of the languages in `keep`, if the model was sure enough.
///
/// It judges what `language` wrote; without `min_score`, also what the source itself said. cc_net
/// drops scores below 0.5 whatever the language, then all but the languages asked for; equality
/// stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LanguageIs {
    /// Languages kept, by the names that the model gives them; all if there are none.
    pub keep: Vec<String>,
    /// The least score kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_score: Option<Share>,
}

impl LanguageIs {
    /// The signals that it judges.
    pub fn reads(&self) -> Vec<String> {
        self.min_score.iter().map(|_| "language_score".to_owned()).collect()
    }
}

impl Stage for LanguageIs {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let Some(language) = document.meta.language.as_deref() else {
            return Verdict::Drop(Reason("no_language"), Evidence::None);
        };
        if let Some(Share(min)) = self.min_score {
            match document.signals.get("language_score") {
                Some(Signal::Number(score)) if *score >= min => {}
                Some(Signal::Number(score)) => {
                    return Verdict::Drop(Reason("language_unsure"), Evidence::bound(*score, min));
                }
                _ => return Verdict::Drop(Reason("no_language"), Evidence::None),
            }
        }
        if !self.keep.is_empty() && !self.keep.iter().any(|kept| kept == language) {
            return Verdict::Drop(Reason("language"), Evidence::found(language));
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::{DocumentId, Meta};

    #[track_caller]
    fn judged(stage: &str, language: Option<&str>, score: Option<f64>, outcome: &str) {
        let id = DocumentId { raw_file: "c4/a".into(), record: 0 };
        let meta = Meta { language: language.map(Into::into), ..Meta::default() };
        let mut document = Document::new(id, "text".to_owned(), meta);
        if let Some(score) = score {
            document.signals.set("language_score", Signal::Number(score));
        }
        let stage: LanguageIs = serde_saphyr::from_str(stage).unwrap();
        let seen = match stage.apply(&mut document, &mut Workspace::default()) {
            Verdict::Keep => "kept",
            Verdict::Drop(reason, _) => reason.0,
        };
        assert_eq!(seen, outcome);
    }

    #[test]
    fn cc_net_asks_for_certainty_first() {
        let stage = "{ keep: [en], min_score: 0.5 }";
        judged(stage, Some("en"), Some(0.5), "kept");
        judged(stage, Some("en"), Some(0.49), "language_unsure");
        judged(stage, Some("de"), Some(0.49), "language_unsure");
        judged(stage, Some("de"), Some(0.9), "language");
        judged(stage, None, None, "no_language");
        judged(stage, Some("en"), None, "no_language");
    }

    #[test]
    fn the_word_of_the_source_is_enough_without_a_score() {
        judged("{ keep: [en, de] }", Some("de"), None, "kept");
        judged("{ keep: [en, de] }", Some("fr"), None, "language");
        judged("{}", Some("fr"), None, "kept");
        judged("{}", None, None, "no_language");
    }

    #[test]
    fn a_score_is_a_share() {
        assert!(serde_saphyr::from_str::<LanguageIs>("{ min_score: 50 }").is_err());
    }
}
