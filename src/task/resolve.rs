//! The tasks between two segments: what sketches have in common, range by range, and which of the
//! pairs found decide.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use corpus::catalog::FORMAT;
use corpus::sorted::{SortedFile, SortedRange, Sorter};
use corpus::store::Output;
use corpus::{Error, PairCounts};
use stages::{Among, Built, Dedup, Finding, Order, Pairs, Rank, Sketch};

use super::marking::mark_of;
use super::{Run, SketchFiles};
use crate::failure::{Code, Failure, Result};
use crate::ledger::{Commit, Ledger};
use crate::metrics::{Cost, thread_cpu};
use crate::plan::{Plan, Task, TaskKind};

fn of_group(plan: &Plan, pass: usize, group: usize) -> impl Iterator<Item = &Task> {
    plan.passes[pass].tasks.iter().filter(move |task| task.kind.group() == Some(group))
}

/// A dedup, ready to run.
pub fn dedup_of(run: &Run<'_>, group: usize) -> Result<Box<dyn Dedup>> {
    let spec = &run.plan.groups[group];
    match spec.spec.build(run.models).map_err(Failure::configuration)? {
        Built::Dedup(dedup) => Ok(dedup),
        _ => Err(Failure::configuration(format!("`{}` is no dedup", spec.label))),
    }
}

/// One range of keys of one dedup: from all sketches of the range to what goes.
pub fn resolve(run: &Run<'_>, task: &Task, group: usize, range: usize) -> Result<Option<(Commit, Cost)>> {
    let plan = run.plan;
    let spec = &plan.groups[group];
    let dedup = dedup_of(run, group)?;
    let _permit = run.permits.acquire();
    let clock = thread_cpu();
    let order = dedup.order();
    let judge_compares = dedup.judged() && dedup.judge_compares();
    let judges_others = judge_compares || dedup.judged() && dedup.judges_others();
    let files = sketch_files(run, group)?;
    let mut found = Sorter::<{ Finding::WIDTH }>::new(run.store, run.memory.sort);
    let mut candidates = Sorter::<{ Rank::WIDTH }>::new(run.store, run.memory.sort);
    let mut pairs = PairCounts::default();
    let ours = ours_of(plan, &files);
    // What only tells where to look again is that of all, and so is what a judge compares.
    for (files, marks) in passes_of(&ours, &files, spec.marks && !spec.twice && !judge_compares) {
        let Some(sketches) = sketches_of(run, files, order, range, spec.ranges)? else { return Ok(None) };
        // Others' documents with a part, until one of ours has it too: the first of them are held, so that what
        // they have only in common with each other is mostly not looked at again.
        let mut theirs: Vec<Finding> = Vec::new();
        let mut sorted = sketches.sorted()?.map(|bytes| bytes.map(|bytes| order.from_bytes(bytes)));
        // No judge runs now, whose share of the memory what shares a key may have.
        // Where a dedup marks, pairs of ours are proposed in both rounds, and left out in both.
        pairs.capped += dedup.resolve_within(&mut sorted, (run.store, run.memory.state), &mut |finding| {
            if plan.is_others(finding.gone) && !judges_others {
                if spec.twice {
                    let number = |finding: &Finding| finding.as_part().map(|part| part.number);
                    if theirs.first().is_some_and(|first| number(first) != number(&finding)) {
                        theirs.clear();
                    }
                    theirs.push(finding);
                    if theirs.len() >= THEIRS {
                        return theirs.drain(..).try_for_each(|finding| found.push(finding.to_bytes()));
                    }
                }
                return Ok(());
            }
            for other in theirs.drain(..) {
                if other.as_part().map(|part| part.number) == finding.as_part().map(|part| part.number) {
                    found.push(other.to_bytes())?;
                }
            }
            let mark = if marks { mark_of(plan, group, finding) } else { Some(finding) };
            let Some(finding) = mark else { return Ok(()) };
            if spec.verified {
                candidates.push(finding.gone.to_bytes())?;
                candidates.push(finding.kept.to_bytes())?;
            }
            found.push(finding.to_bytes())
        })?;
        drop(sorted);
    }
    pairs.proposed = found.count();
    let name = |ending: &str| format!("between/{}-{range:03}-{}.{ending}", file_label(&spec.label), task.id.short());
    let mut commit = Commit { format: FORMAT, ..Commit::default() };
    if spec.verified {
        commit.findings = Some(found.publish_distinct(&name("findings"))?);
        commit.candidates = Some(candidates.publish_distinct(&name("candidates"))?);
        commit.pairs = Some(pairs);
    } else if judge_compares {
        commit.findings = Some(found.publish_distinct(&name("findings"))?);
    } else {
        commit.findings = Some(found.publish(&name("findings"))?);
    }
    let cost = Cost::from([(format!("resolve {}", spec.label), thread_cpu() - clock)]);
    Ok(Some((commit, cost)))
}

/// The sketch files of our own documents.
pub fn ours_of(plan: &Plan, files: &[(String, u32)]) -> Vec<(String, u32)> {
    files.iter().filter(|(_, first)| *first as usize >= plan.others).cloned().collect()
}

/// Which sketches are resolved, and whether what is found only marks: where what another run has is marked, ours
/// alone decide what goes.
pub fn passes_of<'f>(
    ours: &'f [(String, u32)],
    all: &'f [(String, u32)],
    marks: bool,
) -> impl Iterator<Item = (&'f [(String, u32)], bool)> {
    marks.then_some((ours, false)).into_iter().chain([(all, marks)])
}

/// How many documents of another run are held that have a part in common.
const THEIRS: usize = 1 << 12;

/// One range of the keys of sketch files, each with the place of its first raw file in the run; nothing
/// if the run is stopping.
pub fn sketches_of<'r>(
    run: &'r Run<'_>,
    files: &[(String, u32)],
    order: Order,
    range: usize,
    ranges: usize,
) -> Result<Option<Sorter<'r, { Sketch::WIDTH }>>> {
    let bound = |range: usize| {
        let mut bytes = [0; Sketch::WIDTH];
        let key = (range << 16) / ranges;
        bytes[..2].copy_from_slice(&(key as u16).to_be_bytes());
        (key < 1 << 16).then_some(bytes)
    };
    let from = bound(range).unwrap_or([0; Sketch::WIDTH]);
    let below = bound(range + 1);
    let mut sketches = Sorter::<{ Sketch::WIDTH }>::new(run.store, run.memory.sort);
    for (name, first_file) in files {
        if run.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        // One file at a time is open, however many partitions there are.
        for sketch in SortedFile::open(&run.store.path(name))?.range(from, below, 256 << 10)? {
            let mut sketch = Sketch::from_bytes(sketch?);
            sketch.rank.raw_file += first_file;
            sketches.push(order.to_bytes(sketch))?;
        }
    }
    Ok(Some(sketches))
}

/// The sketches of all partitions that a dedup compares, each with the place of its first raw file
/// in the run. Every range asks for them, so they are looked up once.
fn sketch_files(run: &Run<'_>, group: usize) -> Result<SketchFiles> {
    let mut known = run.sketches.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(files) = known.get(&group) {
        return Ok(files.clone());
    }
    let plan = run.plan;
    let ledger = Ledger::new(run.store);
    let mut files = Vec::new();
    for task in plan.passes.iter().flat_map(|pass| &pass.tasks) {
        let TaskKind::Reference { group: of, part } = task.kind else { continue };
        if of != group {
            continue;
        }
        let reference = &plan.references[part];
        let Some(file) = ledger.commit_of(&task.id)?.and_then(|commit| commit.sketches) else {
            return Err(gone(run, &format!("the sketches of {}", reference.words())));
        };
        files.push((file.name, reference.files.start as u32));
    }
    for slice in plan.groups[group].slices.iter().map(|slice| &plan.slices[*slice]) {
        let Some(segment) = slice.dedups.iter().position(|known| *known == group) else { continue };
        for partition in slice.partitions.clone() {
            let commit = match plan.documents_task(partition, segment) {
                Some(task) => ledger.commit_of(&task.id)?,
                None => None,
            };
            let Some(file) = commit.and_then(|commit| commit.sketches) else {
                return Err(gone(run, &format!("the sketches of partition {partition} of {}", slice.name)));
            };
            files.push((file.name, plan.partitions[partition].files.start as u32));
        }
    }
    let files = Arc::new(files);
    known.insert(group, files.clone());
    Ok(files)
}

/// Something that an earlier task left is no longer there.
pub fn gone(run: &Run<'_>, what: &str) -> Failure {
    let message = format!("{what} have vanished from {}", run.store.root().display());
    Failure::new(Code::Failed, message).hint("another run may have cleaned up there: run the same command again")
}

/// The file of a partition's documents as they come to a dedup.
pub fn documents_before(run: &Run<'_>, group: usize, partition: usize) -> Result<PathBuf> {
    let plan = run.plan;
    let task = plan.segment_before(group, partition).and_then(|segment| plan.documents_task(partition, segment));
    let commit = task.map(|task| Ledger::new(run.store).commit_of(&task.id)).transpose()?.flatten();
    match commit.and_then(|commit| commit.between) {
        Some(documents) => Ok(run.store.path(&documents.name)),
        None => {
            let label = &plan.groups[group].label;
            Err(gone(run, &format!("the documents of partition {partition} before {label}")))
        }
    }
}

pub fn file_label(label: &str) -> String {
    label.replace(':', "-")
}

/// The pairs of one dedup, in order of rank: a document goes for one that stays.
pub fn judge(run: &Run<'_>, task: &Task, group: usize) -> Result<Option<(Commit, Cost)>> {
    let _permit = run.permits.acquire();
    let clock = thread_cpu();
    let spec = &run.plan.groups[group];
    let dedup = dedup_of(run, group)?;
    let mut found = Sorter::<{ Finding::WIDTH }>::new(run.store, run.memory.sort);
    let compares = dedup.judge_compares();
    let mut pairs = Found { run, group, ours: spec.marks, compares };
    let records = records_of(run, group)?;
    let room = (run.store, run.memory.state);
    let among = Among::of(&records, Some(room)).with_others(run.plan.others as u32);
    dedup.judge(&mut pairs, &among, &mut |finding| match run.plan.is_others(finding.gone) {
        true => Ok(()),
        false => found.push(finding.to_bytes()),
    })?;
    if spec.marks {
        let mut all = Found { run, group, ours: false, compares };
        dedup.mark(&mut all, &among, &mut |finding| found.push(finding.to_bytes()))?;
    }
    if run.stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let name = format!("between/{}-{}.findings", file_label(&spec.label), task.id.short());
    // By the two documents: of several findings the one of the greatest similarity, which sorts last.
    let findings = Some(found.publish_last(&name, 2 * Rank::WIDTH)?);
    let commit = Commit { format: FORMAT, findings, ..Commit::default() };
    let cost = Cost::from([(format!("judge {}", spec.label), thread_cpu() - clock)]);
    Ok(Some((commit, cost)))
}

/// What the ranges of a dedup found.
struct Found<'r, 'p> {
    run: &'r Run<'p>,
    group: usize,
    /// Whether pairs with another run's documents are left out.
    ours: bool,
    /// Whether they are documents, each by itself.
    compares: bool,
}

impl Pairs for Found<'_, '_> {
    /// A run that is stopped has no more pairs; nobody commits what was made of them.
    fn all(&mut self) -> corpus::Result<Box<dyn Iterator<Item = corpus::Result<Finding>> + '_>> {
        let (run, ours, compares) = (self.run, self.ours, self.compares);
        let group = &run.plan.groups[self.group];
        let others = move |pair: &Finding| run.plan.is_others(if compares { pair.gone } else { pair.kept });
        let mut partitions = of_group(run.plan, group.pairs_pass, self.group);
        // Those that were compared lie partition by partition, in order of rank: one file is open.
        let mut pairs = match group.verified {
            true => Findings::default(),
            false => Findings::open(run, self.group, group.pairs_pass, None)?,
        };
        Ok(Box::new(std::iter::from_fn(move || {
            while !run.stop.load(Ordering::Relaxed) {
                match pairs.next() {
                    Ok(None) if group.verified => {
                        match Findings::merged(run, self.group, &[partitions.next()?], None) {
                            Ok(next) => pairs = next,
                            Err(error) => return Some(Err(error)),
                        }
                    }
                    Ok(Some(pair)) if ours && others(&pair) => {}
                    next => return next.transpose(),
                }
            }
            None
        })))
    }
}

/// How many records each raw file of the run has; none for those that the dedup does not compare.
fn records_of(run: &Run<'_>, group: usize) -> Result<Vec<u64>> {
    let plan = run.plan;
    let ledger = Ledger::new(run.store);
    let mut records = vec![0; plan.raw_files.len()];
    for part in &plan.references[plan.groups[group].references.clone()] {
        records[part.files.clone()].copy_from_slice(&part.records);
    }
    for slice in &plan.groups[group].slices {
        for partition in plan.slices[*slice].partitions.clone() {
            let commit = match plan.documents_task(partition, 0) {
                Some(task) => ledger.commit_of(&task.id)?,
                None => None,
            };
            let Some(commit) = commit else {
                return Err(gone(
                    run,
                    &format!("the commits of partition {partition} of {}", plan.slices[*slice].name),
                ));
            };
            let read: BTreeMap<&str, u64> = commit.reads.iter().map(|read| (&*read.name, read.records)).collect();
            for file in plan.partitions[partition].files.clone() {
                records[file] = read.get(&*plan.raw_files[file].name).copied().unwrap_or(0);
            }
        }
    }
    Ok(records)
}

/// Sorted records of several files, in order.
pub struct Merged<const N: usize> {
    ranges: Vec<SortedRange<N>>,
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Default for Merged<N> {
    fn default() -> Merged<N> {
        Merged { ranges: Vec::new(), heads: BinaryHeap::new() }
    }
}

/// So many files that are merged stay open; of more none does, since several tasks merge at once.
const OPEN_FILES: usize = 16;

impl<const N: usize> Merged<N> {
    /// Opens files that begin with ranks, at the raw files that are asked for.
    pub fn open(run: &Run<'_>, files: &[Output], of: Option<Range<usize>>) -> corpus::Result<Merged<N>> {
        let bound = |raw_file: usize| {
            let mut bytes = [0; N];
            bytes[..Rank::WIDTH].copy_from_slice(&Rank { raw_file: raw_file as u32, record: 0 }.to_bytes());
            bytes
        };
        let (from, below) = match of {
            Some(files) => (bound(files.start), Some(bound(files.end))),
            None => (bound(0), None),
        };
        let buffer = ((1 << 20) / files.len().max(1)).clamp(4 << 10, 64 << 10);
        let mut merged = Merged::default();
        for file in files {
            let file = SortedFile::open(&run.store.path(&file.name))?;
            let mut range = match files.len() > OPEN_FILES {
                true => file.closed_range(from, below, buffer),
                false => file.range(from, below, buffer)?,
            };
            // A file without anything for these raw files is closed again.
            if let Some(head) = range.next().transpose()? {
                merged.heads.push(Reverse((head, merged.ranges.len())));
                merged.ranges.push(range);
            }
        }
        Ok(merged)
    }

    /// The next record.
    pub fn next(&mut self) -> corpus::Result<Option<[u8; N]>> {
        let Some(Reverse((bytes, from))) = self.heads.pop() else { return Ok(None) };
        if let Some(head) = self.ranges[from].next().transpose()? {
            self.heads.push(Reverse((head, from)));
        }
        Ok(Some(bytes))
    }
}

/// What a dedup found, in order of rank: merged from the files of all tasks that found something.
#[derive(Default)]
pub struct Findings(Merged<{ Finding::WIDTH }>);

impl Findings {
    /// What a dedup concluded of the documents of some raw files.
    pub fn of(run: &Run<'_>, group: usize, files: Range<usize>) -> corpus::Result<Findings> {
        Findings::open(run, group, run.plan.groups[group].pass, Some(files))
    }

    /// What a dedup concluded of all documents.
    pub fn of_all(run: &Run<'_>, group: usize) -> corpus::Result<Findings> {
        Findings::open(run, group, run.plan.groups[group].pass, None)
    }

    /// What the tasks of a pass found of the documents of some raw files, or of all.
    pub fn open(run: &Run<'_>, group: usize, pass: usize, files: Option<Range<usize>>) -> corpus::Result<Findings> {
        let tasks: Vec<&Task> = of_group(run.plan, pass, group).collect();
        Findings::merged(run, group, &tasks, files)
    }

    fn merged(run: &Run<'_>, group: usize, tasks: &[&Task], files: Option<Range<usize>>) -> corpus::Result<Findings> {
        let found = outputs_of(run, group, tasks, |commit| commit.findings)?;
        Ok(Findings(Merged::open(run, &found, files)?))
    }

    /// The next finding.
    pub fn next(&mut self) -> corpus::Result<Option<Finding>> {
        Ok(self.0.next()?.map(Finding::from_bytes))
    }
}

/// The ranks of documents of some raw files that are in a pair, in order; some more than once.
pub fn candidates(run: &Run<'_>, group: usize, files: Range<usize>) -> corpus::Result<Merged<{ Rank::WIDTH }>> {
    let tasks: Vec<&Task> = of_group(run.plan, run.plan.groups[group].resolve_pass, group).collect();
    let found = outputs_of(run, group, &tasks, |commit| commit.candidates)?;
    Merged::open(run, &found, Some(files))
}

/// What tasks of a dedup left for later passes.
fn outputs_of(
    run: &Run<'_>,
    group: usize,
    tasks: &[&Task],
    which: impl Fn(Commit) -> Option<Output>,
) -> corpus::Result<Vec<Output>> {
    let ledger = Ledger::new(run.store);
    let mut outputs = Vec::with_capacity(tasks.len());
    for task in tasks {
        let Some(output) = ledger.commit_of(&task.id)?.and_then(&which) else {
            let label = &run.plan.groups[group].label;
            let detail = format!("the findings of {label} are gone: run the same command again");
            return Err(Error::damaged(run.store.path("between"), detail));
        };
        outputs.push(output);
    }
    Ok(outputs)
}
