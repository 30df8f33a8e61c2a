//! For a dedup that looks twice: documents of which it found parts the first time leave sketches again,
//! and these are resolved as the first ones were.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use corpus::catalog::FORMAT;
use corpus::sorted::Sorter;
use corpus::{DocumentId, table};
use stages::{Finding, Order, Rank, Sketch};

use super::Run;
use super::marking::mark_of;
use super::reading::Ranks;
use super::reference;
use super::resolve::{Findings, dedup_of, documents_before, file_label, ours_of, passes_of, sketches_of};
use super::verify::name_of;
use crate::failure::Result;
use crate::ledger::{Commit, Ledger};
use crate::metrics::{Cost, thread_cpu};
use crate::plan::{Task, TaskKind};

/// The second sketches of one partition.
pub fn sketch(run: &Run<'_>, task: &Task, group: usize, partition: usize) -> Result<Option<(Commit, Cost)>> {
    let plan = run.plan;
    let documents = || documents_before(run, group, partition);
    let files = plan.partitions[partition].files.clone();
    sketch_of(run, group, files, documents, &name_of(run, task, partition, "sketches"))
}

/// The second sketches of a file of another run's documents.
pub fn sketch_of_other(run: &Run<'_>, task: &Task, group: usize, part: usize) -> Result<Option<(Commit, Cost)>> {
    let reference = &run.plan.references[part];
    let name = reference::name_of(task, part, "sketches");
    sketch_of(run, group, reference.files.clone(), || reference::checked(reference), &name)
}

fn sketch_of(
    run: &Run<'_>,
    group: usize,
    files: Range<usize>,
    documents: impl FnOnce() -> Result<PathBuf>,
    name: &str,
) -> Result<Option<(Commit, Cost)>> {
    let plan = run.plan;
    let label = &plan.groups[group].label;
    let dedup = dedup_of(run, group)?;
    let _permit = run.permits.acquire();
    let clock = thread_cpu();
    let first_file = files.start as u32;
    let mut found = Findings::open(run, group, plan.groups[group].resolve_pass, Some(files.clone()))?;
    let mut next = found.next()?;
    let mut commit = Commit { format: FORMAT, ..Commit::default() };
    if next.is_some() {
        let documents = documents()?;
        let mut ranks = Ranks::within(plan, files);
        let mut id = DocumentId { raw_file: "".into(), record: 0 };
        let mut sketches = Sorter::<{ Sketch::WIDTH }>::new(run.store, run.memory.sort);
        table::texts_of(
            &documents,
            &mut |raw_file, record| {
                if *id.raw_file != *raw_file {
                    id.raw_file = Arc::from(raw_file);
                }
                id.record = record;
                let rank = ranks.of(&id);
                let mut parts = Vec::new();
                while let Some(finding) = next.filter(|next| next.gone <= rank) {
                    parts.extend(finding.as_part().filter(|_| finding.gone == rank).map(|part| part.number));
                    next = found.next()?;
                }
                parts.sort_unstable();
                Ok((!parts.is_empty()).then_some((rank, parts)))
            },
            &mut |(rank, parts), text| {
                // As the first sketches: what lies before the partition is added when they are resolved.
                let rank = Rank { raw_file: rank.raw_file - first_file, ..rank };
                dedup.sketch_again(text, &parts, &mut |key| sketches.push(Sketch { key, rank }.to_bytes()))
            },
        )?;
        commit.sketches = Some(sketches.publish_distinct(name)?);
    }
    if run.stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let cost = Cost::from([(format!("sketch again {label}"), thread_cpu() - clock)]);
    Ok(Some((commit, cost)))
}

/// One range of the keys of all second sketches.
pub fn resolve(run: &Run<'_>, task: &Task, group: usize, range: usize) -> Result<Option<(Commit, Cost)>> {
    let plan = run.plan;
    let spec = &plan.groups[group];
    let dedup = dedup_of(run, group)?;
    let _permit = run.permits.acquire();
    let clock = thread_cpu();
    let ledger = Ledger::new(run.store);
    let mut files = Vec::new();
    for task in &plan.passes[spec.resolve_pass + 1].tasks {
        let (of, first_file) = match task.kind {
            TaskKind::Evidence { group, partition } => (group, plan.partitions[partition].files.start),
            TaskKind::ReferenceEvidence { group, part } => (group, plan.references[part].files.start),
            _ => continue,
        };
        if of == group
            && let Some(sketches) = ledger.commit_of(&task.id)?.and_then(|commit| commit.sketches)
        {
            files.push((sketches.name, first_file as u32));
        }
    }
    let mut found = Sorter::<{ Finding::WIDTH }>::new(run.store, run.memory.sort);
    let ours = ours_of(plan, &files);
    for (files, marks) in passes_of(&ours, &files, spec.marks) {
        let Some(sketches) = sketches_of(run, files, Order::Key, range, spec.ranges)? else { return Ok(None) };
        let mut sorted = sketches.sorted()?.map(|bytes| bytes.map(Sketch::from_bytes));
        dedup.resolve_again(&mut sorted, &mut |finding| {
            if plan.is_others(finding.gone) {
                return Ok(());
            }
            let mark = if marks { mark_of(plan, group, finding) } else { Some(finding) };
            mark.map_or(Ok(()), |finding| found.push(finding.to_bytes()))
        })?;
    }
    let name = format!("between/{}-{range:03}-{}.findings", file_label(&spec.label), task.id.short());
    let commit = Commit { format: FORMAT, findings: Some(found.publish(&name)?), ..Commit::default() };
    let cost = Cost::from([(format!("resolve {} again", spec.label), thread_cpu() - clock)]);
    Ok(Some((commit, cost)))
}
