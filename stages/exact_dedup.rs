//! Drops documents that are the same as another.

use corpus::words::Split;
use corpus::{Digest, Document, Reason, Result, Signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bloom::Bloom;
use crate::{Against, Dedup, Finding, Guard, Key, Order, Sketch};

/// Keeps one of all documents with the same text, byte for byte, or that have something else in
/// common.
///
/// Without another rule the first stays. First means lowest rank: slice by slice, raw file by raw file
/// in manifest order, record by record, whoever ran first. What is compared is 128 bits of a BLAKE3
/// digest: among 10^12 documents the chance of one false match is below 2 in 10^15. Where a signal
/// decides, these are 88 bits, and the chance is below 2 in 1,000 for 10^12 and in 10^7 for 10^10.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, try_from = "Written")]
#[schemars(!try_from)]
pub struct ExactDedup {
    /// What copies have in common.
    pub by: By,
    /// Which copy stays.
    pub keep: Keep,
    /// A Bloom filter instead of an exact comparison, as in RedPajama-V2: `{ error_rate: 0.01 }`. It can
    /// keep only the first copy, and cannot say which one that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bloom: Option<Bloom>,
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's documents that may go, the most documents of which one stays, and
    /// whether the run goes on beyond (`warn`) or ends (`stop`). The largest clusters are shown.
    #[serde(skip_serializing)]
    pub guard: Guard,
    /// Another run, finished, by its folder from the pipeline's file: what is alike a document that it
    /// kept goes, and its receipt names that document. All of the other's stay; they come before all
    /// of ours in rank, and are read, never written. `{ run: FOLDER, then: mark }` marks ours instead.
    #[serde(skip_serializing_if = "Against::is_plain")]
    pub against: Option<Against>,
}

/// What copies have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The text, byte for byte.
    #[default]
    Text,
    /// The text as RedPajama-V2 normalizes it: ASCII punctuation deleted, in lower case, one space where
    /// white space was and none at the ends, decomposed (NFD). Texts that have no word left are the same.
    NormalizedText,
    /// A word that the source said, by its name: `{ meta: url }`, `{ meta: digest }`. A document of which
    /// nothing of that name was said is compared with none, and stays. Nobody compares texts then, and `dropped/` has no
    /// similarity.
    Meta(String),
}

/// Which copy stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// That of lowest rank.
    #[default]
    First,
    /// The one whose signal of that name is highest: `{ highest: language_score }`. A stage before it has
    /// to write the signal. Of copies whose signals agree in their first eight digits the first stays; one
    /// without the signal stays only if none has it.
    Highest(String),
    /// The one whose signal of that name is lowest.
    Lowest(String),
}

/// The options as they are written, before they are held against each other.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    by: By,
    keep: Keep,
    bloom: Option<Bloom>,
    guard: Guard,
    against: Option<Against>,
}

impl TryFrom<Written> for ExactDedup {
    type Error = String;

    fn try_from(Written { by, keep, bloom, guard, against }: Written) -> std::result::Result<ExactDedup, String> {
        if bloom.is_some() && keep != Keep::First {
            return Err("a Bloom filter knows only what came first: `bloom` goes with `keep: first`".to_owned());
        }
        if against.is_some() && (bloom.is_some() || keep != Keep::First) {
            return Err("what the other run has stays, and receipts name it: `against` goes with `keep: first`, and \
                        without `bloom`"
                .to_owned());
        }
        Ok(ExactDedup { by, keep, bloom, guard, against })
    }
}

/// Bytes of a key that tell what is compared, where the rest tells how good a copy is.
const WEIGHED: usize = 11;

impl ExactDedup {
    /// The signals that decide which copy stays.
    pub fn reads(&self) -> Vec<String> {
        match &self.keep {
            Keep::First => Vec::new(),
            Keep::Highest(signal) | Keep::Lowest(signal) => vec![signal.clone()],
        }
    }

    /// How many bytes of the keys of copies are the same.
    fn width(&self) -> usize {
        if self.keep == Keep::First { size_of::<Key>() } else { WEIGHED }
    }

    /// What sorts before all others for the copy that stays.
    fn worth(&self, document: &Document) -> Option<u64> {
        let (name, highest) = match &self.keep {
            Keep::First => return None,
            Keep::Highest(name) => (name, true),
            Keep::Lowest(name) => (name, false),
        };
        let value = match document.signals.get(name) {
            Some(Signal::Integer(value)) => *value as f64,
            // Of the two zeros one.
            Some(Signal::Number(value)) if !value.is_nan() => *value + 0.0,
            _ => return Some(u64::MAX),
        };
        let bits = value.to_bits();
        let ascending = if value.is_sign_negative() { !bits } else { bits | 1 << 63 };
        Some(if highest { !ascending } else { ascending })
    }
}

impl Dedup for ExactDedup {
    fn reason(&self) -> Reason {
        Reason("exact_duplicate")
    }

    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let digest = match &self.by {
            By::Text => Digest::of(document.text().as_bytes()),
            By::NormalizedText => Digest::of(document.words(Split::Normalized).text().as_bytes()),
            By::Meta(name) => match document.meta.named(name) {
                Some(word) => Digest::of(word.as_bytes()),
                None => return,
            },
        };
        let mut key = Key::default();
        key.copy_from_slice(&digest.0[..16]);
        if let Some(worth) = self.worth(document) {
            key[WEIGHED..].copy_from_slice(&worth.to_be_bytes()[..5]);
        }
        keys.push(key);
    }

    fn takes_the_source_s_word(&self) -> bool {
        matches!(self.by, By::Meta(_))
    }

    fn order(&self) -> Order {
        if self.bloom.is_some() { Order::Rank } else { Order::Key }
    }

    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        if let Some(bloom) = self.bloom {
            return crate::bloom::seen(bloom, sketches, &mut |sketch| found(Finding::seen(sketch.rank)));
        }
        let width = self.width();
        let mut first: Option<Sketch> = None;
        for sketch in sketches {
            let sketch = sketch?;
            match first {
                Some(first) if first.key[..width] == sketch.key[..width] => {
                    found(Finding { gone: sketch.rank, kept: first.rank, similarity: 1.0 })?;
                }
                _ => first = Some(sketch),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use corpus::{DocumentId, Meta};

    use super::*;
    use crate::Rank;

    fn resolved(dedup: &ExactDedup, mut sketches: Vec<Sketch>) -> Vec<(u64, u64)> {
        sketches.sort_by_key(|sketch| dedup.order().to_bytes(*sketch));
        let mut gone = Vec::new();
        let mut note = |finding: Finding| {
            gone.push((finding.gone.record, finding.kept.record));
            Ok(())
        };
        dedup.resolve(&mut sketches.into_iter().map(Ok), &mut note).unwrap();
        gone.sort_unstable();
        gone
    }

    /// What goes, and for which, of documents with these texts and signals.
    fn gone(options: &str, documents: &[(&str, Option<f64>)]) -> Vec<(u64, u64)> {
        let dedup: ExactDedup = serde_saphyr::from_str(options).unwrap();
        let mut sketches = Vec::new();
        for (record, (text, signal)) in documents.iter().enumerate() {
            let id = DocumentId { raw_file: "c4/a".into(), record: record as u64 };
            let meta = Meta { url: (!text.is_empty()).then(|| (*text).into()), ..Meta::default() };
            let mut document = Document::new(id, (*text).to_owned(), meta);
            if let Some(value) = signal {
                document.signals.set("score", Signal::Number(*value));
            }
            let mut keys = Vec::new();
            dedup.sketch(&document, &mut keys);
            let rank = Rank { raw_file: 0, record: record as u64 };
            sketches.extend(keys.into_iter().map(|key| Sketch { key, rank }));
        }
        resolved(&dedup, sketches)
    }

    #[test]
    fn the_first_of_a_text_stays() {
        let texts = [("a", None), ("b", None), ("a", None), ("", None), ("a", None), ("", None)];
        assert_eq!(gone("{}", &texts), [(2, 0), (4, 0), (5, 3)]);
        // Nothing was said of those without text.
        assert_eq!(gone("{ by: { meta: url } }", &texts), [(2, 0), (4, 0)]);
        let spelled = [("The tide.\n", None), ("the  TIDE", None), ("the t\u{ed}de", None), ("The ti\u{301}de!", None)];
        assert_eq!(gone("{ by: normalized_text }", &spelled), [(1, 0), (3, 2)]);
        assert_eq!(gone("{}", &spelled), []);
        // A filter tells what goes, not for which.
        assert_eq!(gone("{ bloom: { error_rate: 0.000001 } }", &texts), [(2, 2), (4, 4), (5, 5)]);
    }

    #[test]
    fn the_best_of_a_text_stays() {
        let texts = [("a", Some(0.5)), ("a", Some(0.9)), ("a", None), ("a", Some(0.9)), ("a", Some(-0.9))];
        assert_eq!(gone("{ keep: { highest: score } }", &texts), [(0, 1), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(gone("{ keep: { lowest: score } }", &texts), [(0, 4), (1, 4), (2, 4), (3, 4)]);
        let none = [("a", None), ("a", Some(f64::NAN)), ("a", None)];
        assert_eq!(gone("{ keep: { lowest: score } }", &none), [(1, 0), (2, 0)]);
    }

    /// Against a plain telling of the rule, over many small corpora.
    #[test]
    fn of_every_group_the_best_stays_and_of_equals_the_first() {
        let mut state = 5u64;
        let mut next = |below: u64| {
            state = crate::bloom::mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            state % below
        };
        const VALUES: [f64; 9] =
            [0.0, -0.0, 1.0, -1.0, 1e-300, -1e300, f64::INFINITY, f64::NEG_INFINITY, 123_456_789.0];
        for _ in 0..500 {
            let documents: Vec<(&str, Option<f64>)> = (0..next(12))
                .map(|_| {
                    let value = (next(8) > 0).then(|| VALUES[next(9) as usize]);
                    (["x", "y", "z"][next(3) as usize], value)
                })
                .collect();
            for (keep, sign) in [("highest", 1.0), ("lowest", -1.0)] {
                let mut expected = Vec::new();
                for (at, (text, _)) in documents.iter().enumerate() {
                    let mut best: Option<(usize, f64)> = None;
                    for (other, (same, value)) in documents.iter().enumerate() {
                        if let (true, Some(value)) = (same == text, value)
                            && best.is_none_or(|(_, best)| value * sign > best)
                        {
                            best = Some((other, value * sign));
                        }
                    }
                    let first = documents.iter().position(|(same, _)| same == text).unwrap();
                    let kept = best.map_or(first, |(best, _)| best);
                    if kept != at {
                        expected.push((at as u64, kept as u64));
                    }
                }
                assert_eq!(gone(&format!("{{ keep: {{ {keep}: score }} }}"), &documents), expected, "{documents:?}");
            }
        }
    }

    #[test]
    fn a_filter_cannot_keep_the_best() {
        let both = "{ keep: { highest: score }, bloom: { error_rate: 0.01 } }";
        assert!(serde_saphyr::from_str::<ExactDedup>(both).unwrap_err().to_string().contains("keep: first"));
        for wrong in ["{ by: txt }", "{ by: { meta: [a] } }", "{ keep: best }", "{ kep: first }", "{ bloom: {} }"] {
            assert!(serde_saphyr::from_str::<ExactDedup>(wrong).is_err(), "{wrong}");
        }
    }
}
