//! Documents of another run, which are compared with ours and never written: they leave sketches and
//! evidence.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use corpus::catalog::FORMAT;
use corpus::sorted::Sorter;
use corpus::table::DocumentReader;
use corpus::{Digest, Error};
use stages::Sketch;

use super::Run;
use super::reading::Ranks;
use super::resolve::dedup_of;
use super::verify::evidence_of;
use crate::failure::{Code, Failure, Result};
use crate::ledger::Commit;
use crate::metrics::{Cost, thread_cpu};
use crate::plan::{Reference, Task};

/// The sketches of a file of documents.
pub fn sketch(run: &Run<'_>, task: &Task, group: usize, part: usize) -> Result<Option<(Commit, Cost)>> {
    let plan = run.plan;
    let reference = &plan.references[part];
    let dedup = dedup_of(run, group)?;
    let _permit = run.permits.acquire();
    let clock = thread_cpu();
    let documents = checked(reference)?;
    let mut ranks = Ranks::within(plan, reference.files.clone());
    let mut sketches = Sorter::<{ Sketch::WIDTH }>::new(run.store, run.memory.sort);
    let mut keys = Vec::new();
    for document in DocumentReader::open(&documents, &[])? {
        if run.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let document = document?;
        // As ours: where the file stands in the run is added when sketches are resolved.
        let mut rank = ranks.of(&document.id);
        if rank.raw_file as usize >= reference.files.end {
            let detail = format!("{} is not where its catalog has it", document.id);
            return Err(Error::damaged(documents, detail).into());
        }
        rank.raw_file -= reference.files.start as u32;
        keys.clear();
        dedup.sketch_of_other(&document, &mut keys);
        for key in &keys {
            sketches.push(Sketch { key: *key, rank }.to_bytes())?;
        }
    }
    let sketches = Some(sketches.publish(&name_of(task, part, "sketches"))?);
    let commit = Commit { format: FORMAT, sketches, ..Commit::default() };
    let cost = Cost::from([(format!("sketch {} of another run", plan.groups[group].label), thread_cpu() - clock)]);
    Ok(Some((commit, cost)))
}

/// Evidence of the documents of a file that are in a pair.
pub fn evidence(run: &Run<'_>, task: &Task, group: usize, part: usize) -> Result<Option<(Commit, Cost)>> {
    let reference = &run.plan.references[part];
    let name = name_of(task, part, "evidence");
    evidence_of(run, group, reference.files.clone(), || checked(reference), &name)
}

/// Where a file of another run's documents lies, if it is still what that run wrote. Each task that reads
/// it asks: hours may lie between two of them, and what it reads is a part of the ids that it has.
pub fn checked(reference: &Reference) -> Result<PathBuf> {
    let path = reference.path();
    let (digest, _) = Digest::of_file(&path)?;
    if digest != reference.digest {
        let words = format!("{}: it is not what its run wrote", path.display());
        let folder = reference.folder.display();
        return Err(Failure::new(Code::Damaged, words).hint(format!(
            "`redpajama verify {folder}` tells all that is damaged there; mend that run, and then build this one again"
        )));
    }
    Ok(path)
}

/// What a file of another run's documents leaves.
pub fn name_of(task: &Task, part: usize, ending: &str) -> String {
    format!("between/reference-{part:05}-{}.{ending}", task.id.short())
}
