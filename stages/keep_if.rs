//! Judges documents by the signals that earlier stages wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use corpus::document::{META_FIELDS, mean_score};
use corpus::{Document, Evidence, Reason, Signal, Verdict};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

pub use crate::presets::Preset;
use crate::{Stage, Workspace};

/// Rules by signal, as a pipeline spells them and `redpajama whatif` tries them.
///
/// Of a preset only its rules are kept, so a task's id depends on the numbers, not on their name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeepIf {
    /// Where each signal has to lie.
    pub rules: BTreeMap<String, Rule>,
}

/// Keeps documents whose signals lie within bounds, both ends included.
///
/// Each rule names a signal that a stage before it writes; naming another is an error when the
/// pipeline is read. `min` and `max` bound a number (of a signal that has one for each line, their mean), `one_of` and `none_of` list words; the words of
/// the source itself (`language`, `license`, `repository` …) can be judged so too. A document without
/// the signal goes as well, as `no_signal`: nothing was measured, so nothing vouches for it. A rule
/// with `absent: keep` lets it pass: `other_similarity: { max: 0.9, absent: keep }` drops what a dedup
/// marked as more alike to another run's document than that, and keeps what it did not mark.
///
/// `preset` begins with the rules of a known recipe. A rule beside it takes the place of the
/// preset's whole rule for that signal, and `SIGNAL: null` leaves the preset's out. No rule has a
/// bound of its own: each recipe has its numbers, and here they are with their sources.
#[derive(JsonSchema)]
#[schemars(rename = "KeepIf")]
#[allow(dead_code, reason = "the shape that editors check against")]
struct Shape {
    /// The recipe to begin with.
    #[serde(default)]
    preset: Option<Preset>,
    /// Where each signal has to lie.
    #[serde(flatten)]
    rules: BTreeMap<String, Option<Rule>>,
}

impl JsonSchema for KeepIf {
    fn schema_name() -> Cow<'static, str> {
        Shape::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Shape::json_schema(generator)
    }
}

/// Where a signal has to lie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "Written")]
pub struct Rule {
    /// The least value kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The words kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// The words that go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub none_of: Vec<String>,
    /// What becomes of a document without the signal.
    #[serde(skip_serializing_if = "Absent::is_drop")]
    pub absent: Absent,
}

/// What becomes of a document without the signal that a rule judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// It goes, as `no_signal`.
    #[default]
    Drop,
    /// The rule lets it pass.
    Keep,
}

impl Absent {
    fn is_drop(&self) -> bool {
        *self == Absent::Drop
    }
}

/// A rule as it is written, before it is checked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    min: Option<f64>,
    #[serde(default)]
    max: Option<f64>,
    #[serde(default)]
    one_of: Option<Vec<String>>,
    #[serde(default)]
    none_of: Option<Vec<String>>,
    #[serde(default)]
    absent: Absent,
}

impl TryFrom<Written> for Rule {
    type Error = String;

    fn try_from(Written { min, max, one_of, none_of, absent }: Written) -> Result<Rule, String> {
        let words = one_of.is_some() || none_of.is_some();
        match (min, max) {
            (None, None) if !words => Err("a rule without `min`, `max`, `one_of` or `none_of` keeps everything".into()),
            (None, None) if one_of.as_ref().or(none_of.as_ref()).is_some_and(Vec::is_empty) => {
                Err("a list of no words means nothing".into())
            }
            (None, None) => {
                let (one_of, none_of) = (one_of.unwrap_or_default(), none_of.unwrap_or_default());
                Ok(Rule { min: None, max: None, one_of, none_of, absent })
            }
            _ if words => Err("a signal is a number or a word: bounds and lists do not go together".into()),
            (Some(min), Some(max)) if min > max => Err(format!("nothing lies from {min} to {max}")),
            _ if min.is_some_and(f64::is_nan) || max.is_some_and(f64::is_nan) => Err("a bound is a number".into()),
            _ => Ok(Rule { min, max, absent, ..Rule::default() }),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => write!(f, "is {min}"),
            (Some(min), Some(max)) => write!(f, "from {min} to {max}"),
            (Some(min), None) => write!(f, "at least {min}"),
            (None, Some(max)) => write!(f, "at most {max}"),
            (None, None) if self.none_of.is_empty() => write!(f, "one of {}", self.one_of.join(", ")),
            (None, None) if self.one_of.is_empty() => write!(f, "none of {}", self.none_of.join(", ")),
            (None, None) => write!(f, "one of {}, none of {}", self.one_of.join(", "), self.none_of.join(", ")),
        }?;
        f.write_str(if self.keeps_absent() { ", or absent" } else { "" })
    }
}

impl Rule {
    /// Whether it judges words, not numbers.
    pub fn is_of_words(&self) -> bool {
        !self.one_of.is_empty() || !self.none_of.is_empty()
    }

    /// Whether it lets a document pass that does not have the signal.
    pub fn keeps_absent(&self) -> bool {
        self.absent == Absent::Keep
    }

    /// Whether a number lies within the bounds; NaN, for no number, lies in none.
    pub fn holds(&self, value: f64) -> bool {
        value >= self.min.unwrap_or(f64::NEG_INFINITY) && value <= self.max.unwrap_or(f64::INFINITY)
    }

    /// Whether a word is one that stays.
    pub fn holds_word(&self, word: &str) -> bool {
        let is = |known: &String| known == word;
        (self.one_of.is_empty() || self.one_of.iter().any(is)) && !self.none_of.iter().any(is)
    }
}

impl Serialize for KeepIf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rules.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeepIf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeepIf, D::Error> {
        struct Rules;
        impl<'de> Visitor<'de> for Rules {
            type Value = KeepIf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("rules by signal")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KeepIf, A::Error> {
                let mut preset = None;
                let mut own: Vec<(String, Option<Rule>)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "preset" => preset = Some(map.next_value::<Preset>()?),
                        _ => own.push((name, map.next_value()?)),
                    }
                }
                let mut rules = preset.map(Preset::keep_if).unwrap_or_default().rules;
                for (name, rule) in own {
                    match rule {
                        Some(rule) => drop(rules.insert(name, rule)),
                        None if rules.remove(&name).is_some() => {}
                        None => {
                            let message =
                                format!("`{name}: null` leaves out a preset's rule, and there is none for it");
                            return Err(serde::de::Error::custom(message));
                        }
                    }
                }
                Ok(KeepIf { rules })
            }
        }
        deserializer.deserialize_map(Rules)
    }
}

impl KeepIf {
    /// The signals that stages before it have to write: not what every document has from its source.
    pub fn reads(&self) -> Vec<String> {
        let told = |(name, rule): &(&String, &Rule)| rule.is_of_words() && META_FIELDS.contains(&name.as_str());
        self.rules.iter().filter(|rule| !told(rule)).map(|(name, _)| name.clone()).collect()
    }
}

impl Stage for KeepIf {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        for (name, rule) in &self.rules {
            let absent = || (!rule.keeps_absent()).then(|| (Reason("no_signal"), Evidence::found(name)));
            let gone = match document.signals.get(name) {
                Some(Signal::Integer(value)) if !rule.is_of_words() => broken(name, rule, *value as f64),
                Some(Signal::Number(value)) if !rule.is_of_words() => broken(name, rule, *value),
                Some(Signal::Spans(spans)) if !rule.is_of_words() => {
                    match mean_score(spans.iter().map(|span| span.score)) {
                        Some(value) => broken(name, rule, value),
                        None => absent(),
                    }
                }
                Some(Signal::Text(word)) if rule.is_of_words() => other(name, rule, word),
                None if rule.is_of_words() => match said(document, name) {
                    Some(word) => other(name, rule, word),
                    None => absent(),
                },
                None => absent(),
                // A number for a rule of words, or a word for one of numbers.
                _ => Some((Reason("no_signal"), Evidence::found(name))),
            };
            if let Some((reason, evidence)) = gone {
                return Verdict::Drop(reason, evidence);
            }
        }
        Verdict::Keep
    }
}

fn said<'d>(document: &'d Document, name: &str) -> Option<&'d str> {
    let at = META_FIELDS.iter().position(|field| *field == name)?;
    document.meta.fields()[at]
}

fn broken(name: &str, rule: &Rule, value: f64) -> Option<(Reason, Evidence)> {
    if let Some(min) = rule.min.filter(|min| value < *min) {
        return Some((Reason("signal_too_low"), Evidence::found(format!("{name}: {value} < {min}"))));
    }
    let max = rule.max.filter(|max| value > *max)?;
    Some((Reason("signal_too_high"), Evidence::found(format!("{name}: {value} > {max}"))))
}

fn other(name: &str, rule: &Rule, word: &str) -> Option<(Reason, Evidence)> {
    (!rule.holds_word(word)).then(|| (Reason("signal_other"), Evidence::found(format!("{name}: {word}"))))
}

#[cfg(test)]
mod tests {
    use corpus::Meta;

    use super::*;
    use crate::spec::tests::{check, check_with};

    #[track_caller]
    fn judged(rules: &str, lines: i64, outcome: &str) {
        let id = corpus::DocumentId { raw_file: "c4/a".into(), record: 0 };
        let mut document = Document::new(id, "text".to_owned(), Meta::default());
        document.signals.set("line_count", Signal::Integer(lines));
        document.signals.set("bucket", Signal::Text("head".into()));
        let stage: KeepIf = serde_saphyr::from_str(rules).unwrap();
        let seen = match stage.apply(&mut document, &mut Workspace::default()) {
            Verdict::Keep => "kept",
            Verdict::Drop(reason, _) => reason.0,
        };
        assert_eq!(seen, outcome, "{rules} on {lines}");
    }

    #[test]
    fn a_signal_stays_within_its_bounds() {
        judged("line_count: { min: 2, max: 5 }", 1, "signal_too_low");
        judged("line_count: { min: 2, max: 5 }", 2, "kept");
        judged("line_count: { min: 2, max: 5 }", 5, "kept");
        judged("line_count: { min: 2, max: 5 }", 6, "signal_too_high");
        judged("line_count: { max: 5 }", -1, "kept");
    }

    #[test]
    fn a_word_is_one_of_those_that_stay() {
        judged("bucket: { one_of: [head, middle] }", 1, "kept");
        judged("bucket: { one_of: [middle] }", 1, "signal_other");
        judged("bucket: { none_of: [head] }", 1, "signal_other");
        judged("bucket: { min: 3 }", 1, "no_signal");
        judged("line_count: { one_of: ['1'] }", 1, "no_signal");
    }

    #[test]
    fn what_the_source_said_is_a_word_too() {
        let german = || Meta { language: Some("de".into()), ..Meta::default() };
        check_with("keep_if: { language: { one_of: [de] } }", "text", german(), "kept");
        check_with("keep_if: { language: { none_of: [de] } }", "text", german(), "signal_other");
        check("keep_if: { language: { one_of: [de] } }", "text", "no_signal");
    }

    #[test]
    fn a_rule_that_means_nothing_is_an_error() {
        for rules in [
            "line_count: {}",
            "line_count: { min: 3, max: 1 }",
            "line_count: { min: .nan }",
            "line_count: { one_of: [] }",
            "line_count: { one_of: [a], max: 1 }",
            "line_count: null",
            "line_count: { absent: keep }",
            "line_count: { min: 1, absent: ignore }",
            "preset: gofer",
        ] {
            assert!(serde_saphyr::from_str::<KeepIf>(rules).is_err(), "{rules}");
        }
    }

    #[test]
    fn what_was_not_measured_goes() {
        check("keep_if: { line_count: { min: 1 } }", "text", "no_signal");
        check("keep_if: {}", "text", "kept");
    }

    #[test]
    fn what_was_not_measured_stays_where_a_rule_says_so() {
        check("keep_if: { line_count: { min: 1, absent: keep } }", "text", "kept");
        check("keep_if: { line_count: { min: 1, absent: keep }, nlines: { min: 1 } }", "text", "no_signal");
        check("keep_if: { language: { one_of: [de], absent: keep } }", "text", "kept");
        let french = || Meta { language: Some("fr".into()), ..Meta::default() };
        check_with("keep_if: { language: { one_of: [de], absent: keep } }", "text", french(), "signal_other");
        // What is there is judged as ever, and what is of another kind is not absent.
        judged("line_count: { min: 2, absent: keep }", 1, "signal_too_low");
        judged("line_count: { one_of: ['1'], absent: keep }", 1, "no_signal");
        judged("bucket: { none_of: [head], absent: keep }", 1, "signal_other");
        judged("bucket: { min: 3, absent: drop }", 1, "no_signal");
        // Of lines that nobody measured there is no mean.
        let spans = |scores: &[Option<f64>], outcome: &str| {
            let id = corpus::DocumentId { raw_file: "c4/a".into(), record: 0 };
            let mut document = Document::new(id, "text".to_owned(), Meta::default());
            let span = |score: &Option<f64>| corpus::ScoredSpan { start: 0, end: 4, score: *score };
            document.signals.set("lines", Signal::Spans(scores.iter().map(span).collect()));
            let stage: KeepIf = serde_saphyr::from_str("lines: { max: 0.5, absent: keep }").unwrap();
            let seen = match stage.apply(&mut document, &mut Workspace::default()) {
                Verdict::Keep => "kept",
                Verdict::Drop(reason, _) => reason.0,
            };
            assert_eq!(seen, outcome, "{scores:?}");
        };
        spans(&[], "kept");
        spans(&[None], "kept");
        spans(&[Some(0.5), None], "kept");
        spans(&[Some(0.6)], "signal_too_high");
        let rule: Rule = serde_saphyr::from_str("{ max: 0.5, absent: keep }").unwrap();
        assert_eq!(rule.to_string(), "at most 0.5, or absent");
        assert_eq!(serde_json::to_string(&rule).unwrap(), r#"{"max":0.5,"absent":"keep"}"#);
    }

    #[test]
    fn rules_beside_a_preset_take_its_place() {
        let gopher = Preset::Gopher.keep_if();
        let (name, other) = ("gopher_word_count", "gopher_stop_words");
        let stage = format!("{{ preset: gopher, {name}: {{ min: 10 }}, {other}: null, line_count: {{ max: 9 }} }}");
        let stage: KeepIf = serde_saphyr::from_str(&stage).unwrap();
        assert_eq!(stage.rules[name], Rule { min: Some(10.0), ..Rule::default() });
        assert_eq!(gopher.rules[name], Rule { min: Some(50.0), max: Some(100_000.0), ..Rule::default() });
        assert!(gopher.rules.contains_key(other) && !stage.rules.contains_key(other));
        assert_eq!(stage.rules.len(), gopher.rules.len());
        // What is written back is the rules themselves.
        let written = serde_json::to_value(&stage).unwrap();
        assert_eq!(serde_json::from_value::<KeepIf>(written).unwrap(), stage);
    }
}
