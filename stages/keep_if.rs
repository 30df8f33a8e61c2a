//! Judges documents by the signals that earlier stages wrote.

use std::collections::BTreeMap;

use corpus::{Document, Evidence, Reason, Signal, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Keeps documents whose signals lie within bounds, both ends included.
///
/// Each rule names a signal that a stage before it writes; naming another is an error when the
/// pipeline is read. A document without the signal goes too, as `no_signal`: nothing was measured,
/// so nothing vouches for it. No bound has a default, since each recipe has its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct KeepIf {
    /// Bounds by signal.
    pub rules: BTreeMap<String, Bounds>,
}

/// Where a signal has to lie.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[serde(try_from = "Written")]
pub struct Bounds {
    /// The least value kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Bounds as they are written, before they are checked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    min: Option<f64>,
    #[serde(default)]
    max: Option<f64>,
}

impl TryFrom<Written> for Bounds {
    type Error = String;

    fn try_from(Written { min, max }: Written) -> Result<Bounds, String> {
        match (min, max) {
            (None, None) => Err("a rule without `min` or `max` keeps everything".to_owned()),
            (Some(min), Some(max)) if min > max => Err(format!("nothing lies from {min} to {max}")),
            _ if min.or(max).is_some_and(f64::is_nan) || max.is_some_and(f64::is_nan) => {
                Err("a bound is a number".to_owned())
            }
            _ => Ok(Bounds { min, max }),
        }
    }
}

impl Stage for KeepIf {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        for (name, bounds) in &self.rules {
            let value = match document.signals.get(name) {
                Some(Signal::Integer(value)) => *value as f64,
                Some(Signal::Number(value)) => *value,
                Some(Signal::Text(_)) | None => return Verdict::Drop(Reason("no_signal"), Evidence::found(name)),
            };
            if let Some(min) = bounds.min.filter(|min| value < *min) {
                return Verdict::Drop(Reason("signal_too_low"), Evidence::found(format!("{name}: {value} < {min}")));
            }
            if let Some(max) = bounds.max.filter(|max| value > *max) {
                return Verdict::Drop(Reason("signal_too_high"), Evidence::found(format!("{name}: {value} > {max}")));
            }
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use corpus::Meta;

    use super::*;
    use crate::spec::tests::check;

    #[track_caller]
    fn judged(rules: &str, lines: i64, outcome: &str) {
        let id = corpus::DocumentId { raw_file: "c4/a".into(), record: 0 };
        let mut document = Document::new(id, "text".to_owned(), Meta::default());
        document.signals.set("line_count", Signal::Integer(lines));
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
    fn a_rule_that_means_nothing_is_an_error() {
        for rules in ["line_count: {}", "line_count: { min: 3, max: 1 }", "line_count: { min: .nan }"] {
            assert!(serde_saphyr::from_str::<KeepIf>(rules).is_err(), "{rules}");
        }
    }

    #[test]
    fn what_was_not_measured_goes() {
        check("keep_if: { line_count: { min: 1 } }", "text", "no_signal");
        check("keep_if: {}", "text", "kept");
    }
}
