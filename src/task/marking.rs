//! What a dedup that only marks finds of another run's documents, and what it says of ours.

use std::sync::Arc;

use corpus::{Document, Signal, Verdict};
use stages::against::PART_SIGNALS;
use stages::{Dedup, Finding, Part, Rank};

use crate::plan::Plan;

/// What a finding among ours and another run's documents together says of the other's, if it says so.
pub fn mark_of(plan: &Plan, group: usize, finding: Finding) -> Option<Finding> {
    let Some(part) = finding.as_part() else { return plan.is_others(finding.kept).then_some(finding) };
    match part.first {
        Some(first) => plan.is_others(first).then_some(finding),
        // A Bloom filter cannot say who has it: what ours do not find without the other's documents is theirs. The
        // first of them stands for all.
        None => {
            let references = &plan.references[plan.groups[group].references.clone()];
            let raw_file = references.first()?.files.start as u32;
            Some(Finding::part(finding.gone, part.number, Some(Rank { raw_file, record: 0 })))
        }
    }
}

/// Whether a finding only marks.
pub fn is_mark(plan: &Plan, group: usize, finding: &Finding) -> bool {
    let kept = finding.as_part().map_or(Some(finding.kept), |part| part.first);
    plan.groups[group].marks && kept.is_some_and(|kept| plan.is_others(kept))
}

/// The parts of a document that would go if another run's documents counted as seen.
pub struct Marked {
    /// Those that go in any case, and those that the other run has; none if it has no others.
    pub parts: Vec<Part>,
    /// The other run.
    run: Option<Arc<str>>,
}

impl Marked {
    /// Of the parts that go in any case, sorted, and those that the other run has.
    pub fn of(plan: &Plan, ours: &[Part], mut theirs: Vec<Part>) -> Marked {
        theirs.retain(|part| ours.binary_search_by_key(&part.number, |ours| ours.number).is_err());
        let first = theirs.first().and_then(|part| part.first);
        let run = first.and_then(|first| plan.document_at(first).1);
        if !theirs.is_empty() {
            theirs.extend_from_slice(ours);
            theirs.sort_unstable();
        }
        Marked { parts: theirs, run }
    }

    /// How many bytes of a document would be left without what the other run has, if it has something. It writes the
    /// dedup's signals, as [`Dedup::cut`] does.
    pub fn would_leave(&self, document: &mut Document, dedup: &dyn Dedup) -> Option<usize> {
        if self.parts.is_empty() {
            return None;
        }
        Some(match dedup.cut(document, &self.parts, &mut Vec::new()) {
            (Verdict::Keep, Some(left)) => left.len(),
            (Verdict::Keep, None) => document.text().len(),
            (Verdict::Drop(..), _) => 0,
        })
    }

    /// Writes which share of a text, as the dedup left it, the other run has, if no dedup before it said more;
    /// whether there is anything.
    pub fn write(&self, document: &mut Document, would_leave: Option<usize>) -> bool {
        let left = document.text().len();
        // A Bloom filter may take for seen among ours alone what it does not among all.
        let theirs = left.saturating_sub(would_leave.unwrap_or(left));
        let share = if left == 0 { 0.0 } else { theirs as f64 / left as f64 };
        let [of_text, of_run] = PART_SIGNALS.map(|signal| signal.name);
        let more = match document.signals.get(of_text) {
            Some(Signal::Number(known)) => share > *known,
            _ => true,
        };
        if more {
            document.signals.set(of_text, Signal::Number(share));
            if let Some(run) = self.run.as_ref().filter(|_| theirs > 0) {
                document.signals.set(of_run, Signal::Text(Box::from(&**run)));
            }
        }
        theirs > 0
    }
}
