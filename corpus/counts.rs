//! Where every document went: read = kept + dropped by reason + unusable by reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::DocumentId;

/// Why a document was dropped or a record is unusable: a word in `snake_case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub &'static str);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What was seen that led to a drop.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// The reason says it all.
    None,
    /// A value and the bound that it broke.
    Bound {
        /// What was measured.
        value: f64,
        /// The bound of the stage's options.
        bound: f64,
    },
    /// What was found, in words: a licence, a file ending, a parser's complaint.
    Found(String),
    /// A document that stays and is like this one.
    Twin {
        /// The document that stays.
        kept: DocumentId,
        /// How alike they are, from 0 to 1; below 0 if nobody has compared them.
        similarity: f32,
        /// The other run that has it, as the pipeline names it; none if it is of this run.
        run: Option<Arc<str>>,
    },
}

impl Evidence {
    /// A value beyond its bound, above or below.
    pub fn bound(value: f64, bound: f64) -> Evidence {
        Evidence::Bound { value, bound }
    }

    /// What was found, in words; long findings are cut to their first 200 characters.
    pub fn found(what: impl AsRef<str>) -> Evidence {
        Evidence::Found(what.as_ref().chars().take(200).collect())
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::None => Ok(()),
            Evidence::Bound { value, bound } if value > bound => write!(f, "{value} > {bound}"),
            Evidence::Bound { value, bound } => write!(f, "{value} < {bound}"),
            Evidence::Found(what) => f.write_str(what),
            Evidence::Twin { kept, similarity, run } => {
                match *similarity < 0.0 {
                    true => write!(f, "like {kept}, with which nobody compared it")?,
                    false => write!(f, "{similarity} like {kept}")?,
                }
                run.as_ref().map_or(Ok(()), |run| write!(f, " of the run {run}"))
            }
        }
    }
}

/// What a stage says of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It goes on to the next stage.
    Keep,
    /// It goes no further.
    Drop(Reason, Evidence),
}

/// A number of documents, and the bytes of text that they had when they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub documents: u64,
    /// Bytes of text as the source gave it (for unusable records, bytes of the record).
    pub bytes: u64,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, bytes: u64) {
        self.documents += 1;
        self.bytes += bytes;
    }

    fn merge(&mut self, other: &Tally) {
        self.documents += other.documents;
        self.bytes += other.bytes;
    }
}

/// What one stage of the pipeline did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageCounts {
    /// Documents that reached it.
    pub seen: u64,
    /// Documents that it dropped.
    pub dropped: u64,
    /// Documents whose text it changed.
    pub edited: u64,
    /// Documents on which it wrote a signal or tokens.
    pub measured: u64,
    /// Documents that it marked as alike to one of another run, or as having parts that one has.
    #[serde(skip_serializing_if = "is_none", default)]
    pub marked: u64,
    /// Bytes of text that a dedup took from documents, with the texts of those of which it left nothing.
    #[serde(skip_serializing_if = "is_none", default)]
    pub cut: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl StageCounts {
    fn merge(&mut self, other: &StageCounts) {
        self.seen += other.seen;
        self.dropped += other.dropped;
        self.edited += other.edited;
        self.measured += other.measured;
        self.marked += other.marked;
        self.cut += other.cut;
    }
}

/// What a dedup made of pairs of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCounts {
    /// Pairs that sketches proposed, as often as they did.
    pub proposed: u64,
    /// Pairs that were left out, since too many documents had a sketch in common, as often as they were.
    pub capped: u64,
    /// Different pairs that were compared.
    pub compared: u64,
    /// Those that are alike.
    pub alike: u64,
}

impl PairCounts {
    /// Adds those of another task.
    pub fn merge(&mut self, other: &PairCounts) {
        self.proposed += other.proposed;
        self.capped += other.capped;
        self.compared += other.compared;
        self.alike += other.alike;
    }
}

/// The counts of a task, a pass, a slice or a run. They add up, and [`Counts::imbalance`] says
/// when they do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records read.
    pub read: Tally,
    /// Documents kept.
    pub kept: Tally,
    /// Documents dropped, by reason.
    pub dropped: BTreeMap<String, Tally>,
    /// Records that were no document, by reason.
    pub unusable: BTreeMap<String, Tally>,
    /// Bytes of the kept documents' text, after all edits.
    pub text_bytes: u64,
    /// Tokens written to shards, end-of-document tokens included.
    pub tokens: u64,
    /// What each stage did, by its place and name in the pipeline.
    pub stages: BTreeMap<String, StageCounts>,
}

impl Counts {
    /// Counts a dropped document.
    pub fn drop(&mut self, reason: Reason, bytes: u64) {
        self.read.add(bytes);
        tally(&mut self.dropped, reason.0).add(bytes);
    }

    /// Counts an unusable record.
    pub fn unusable(&mut self, reason: Reason, bytes: u64) {
        self.read.add(bytes);
        tally(&mut self.unusable, reason.0).add(bytes);
    }

    /// Counts a kept document.
    pub fn keep(&mut self, read_bytes: u64, text_bytes: u64) {
        self.read.add(read_bytes);
        self.kept.add(read_bytes);
        self.text_bytes += text_bytes;
    }

    /// The counts of one stage, to be added to.
    pub fn stage(&mut self, label: &str) -> &mut StageCounts {
        if !self.stages.contains_key(label) {
            self.stages.insert(label.to_owned(), StageCounts::default());
        }
        self.stages.entry(label.to_owned()).or_default()
    }

    /// Adds the counts of another part of the same pass.
    pub fn merge(&mut self, other: &Counts) {
        self.read.merge(&other.read);
        self.kept.merge(&other.kept);
        for (reason, seen) in &other.dropped {
            tally(&mut self.dropped, reason).merge(seen);
        }
        for (reason, seen) in &other.unusable {
            tally(&mut self.unusable, reason).merge(seen);
        }
        self.text_bytes += other.text_bytes;
        self.tokens += other.tokens;
        for (label, seen) in &other.stages {
            self.stage(label).merge(seen);
        }
    }

    /// Adds the counts of the pass that came after: it read what this one kept.
    pub fn then(&mut self, next: &Counts) -> Result<(), String> {
        if self.kept != next.read {
            return Err(format!("{:?} kept by one pass, {:?} read by the next", self.kept, next.read));
        }
        let read = self.read;
        self.merge(next);
        self.read = read;
        self.kept = next.kept;
        self.text_bytes = next.text_bytes;
        self.tokens = next.tokens;
        Ok(())
    }

    /// All dropped documents.
    pub fn all_dropped(&self) -> Tally {
        sum(&self.dropped)
    }

    /// All unusable records.
    pub fn all_unusable(&self) -> Tally {
        sum(&self.unusable)
    }

    /// What is wrong with the sum, if read is not kept + dropped + unusable.
    pub fn imbalance(&self) -> Option<String> {
        let mut accounted = self.kept;
        accounted.merge(&self.all_dropped());
        accounted.merge(&self.all_unusable());
        if accounted == self.read {
            return None;
        }
        Some(format!(
            "read {} documents and {} bytes, but kept, dropped and unusable make {} and {}",
            self.read.documents, self.read.bytes, accounted.documents, accounted.bytes
        ))
    }
}

fn tally<'m>(map: &'m mut BTreeMap<String, Tally>, reason: &str) -> &'m mut Tally {
    if !map.contains_key(reason) {
        map.insert(reason.to_owned(), Tally::default());
    }
    map.entry(reason.to_owned()).or_default()
}

fn sum(map: &BTreeMap<String, Tally>) -> Tally {
    let mut all = Tally::default();
    for seen in map.values() {
        all.merge(seen);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_add_up_to_one_account() {
        let mut first = Counts::default();
        first.keep(10, 10);
        first.keep(20, 20);
        first.drop(Reason("too_long"), 30);
        let mut next = Counts::default();
        next.keep(10, 8);
        next.drop(Reason("duplicate"), 20);
        first.then(&next).unwrap();
        assert_eq!(first.imbalance(), None);
        assert_eq!((first.read.documents, first.kept.documents, first.text_bytes), (3, 1, 8));
        assert!(first.then(&Counts::default()).is_err());
    }

    #[test]
    fn a_lost_document_is_noticed() {
        let mut counts = Counts::default();
        counts.keep(10, 10);
        counts.read.add(5);
        assert!(counts.imbalance().is_some());
    }
}
