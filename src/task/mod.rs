//! Runs one task, whoever schedules it: reads, hands documents to the workers, writes what comes
//! back in order, commits.

mod bounds;
mod reading;
mod segment;
mod writing;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use corpus::Counts;
use corpus::catalog::FORMAT;
use corpus::sorted::{SortedFile, Sorter};
use corpus::store::Store;
use crossbeam_channel::{Receiver, Sender};
use stages::{Built, Finding, Models, Sketch};

pub use bounds::Permits;
use bounds::{Budget, SetOnDrop};
use reading::Hand;
pub use segment::{Handful, Segment, work};
use segment::{Message, Worked};
use writing::Writing;

use crate::failure::{Code, Failure, Result};
use crate::ledger::{Commit, Ledger};
use crate::metrics::{Cost, Event, Observers, thread_cpu};
use crate::plan::{Plan, Task, TaskKind};

/// What every task of a run shares.
pub struct Run<'r> {
    /// The plan.
    pub plan: &'r Plan,
    /// Where everything is written.
    pub store: &'r Store,
    /// The models that stages ask for.
    pub models: &'r Models,
    /// Who watches.
    pub observers: &'r Observers,
    /// Set when the run should end: by Ctrl-C, or because a task failed.
    pub stop: &'r AtomicBool,
    /// How many threads compute at once.
    pub permits: &'r Permits,
    /// How memory is shared out.
    pub memory: Memory,
    /// Names of sketch files by dedup, as far as they were asked for.
    pub sketches: Mutex<BTreeMap<usize, SketchFiles>>,
}

/// Names of sketch files, each with the place of its first raw file in the run.
type SketchFiles = Arc<Vec<(String, u32)>>;

/// The memory of one live task, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Documents between reading and writing.
    pub queue: usize,
    /// Records that are sorted.
    pub sort: usize,
}

/// Runs a task to its commit; what it left and what it cost. Nothing, if the run is stopping.
pub fn run(
    run: &Run<'_>,
    task: &Task,
    segment: Option<&Arc<Segment>>,
    workers: &Sender<Handful>,
) -> Result<Option<(Commit, Cost)>> {
    let ledger = Ledger::new(run.store);
    let done = match task.kind {
        TaskKind::Documents { partition, segment: number } => {
            let Some(segment) = segment else { return Ok(None) };
            Documents { run, task, partition, number, segment }.run(workers)?
        }
        TaskKind::Resolve { group, range } => resolve(run, task, group, range)?,
    };
    let Some((commit, cost)) = done else { return Ok(None) };
    if let Some(imbalance) = commit.counts.imbalance() {
        return Err(Failure::new(Code::Failed, format!("task {}: {imbalance}", task.id.short()))
            .hint("a document was lost or doubled, which must never happen: please report it"));
    }
    ledger.commit(&task.id, &commit)?;
    Ok(Some((commit, cost)))
}

struct Documents<'t> {
    run: &'t Run<'t>,
    task: &'t Task,
    partition: usize,
    number: usize,
    segment: &'t Arc<Segment>,
}

impl Documents<'_> {
    fn run(&self, workers: &Sender<Handful>) -> Result<Option<(Commit, Cost)>> {
        let budget = Budget::new(self.run.memory.queue);
        // A task that fails stops its own reader, not the run's other tasks.
        let abandoned = AtomicBool::new(false);
        let (reply, messages) = crossbeam_channel::unbounded();
        std::thread::scope(|scope| {
            let hand = Hand::new(self, &budget, &abandoned, workers.clone(), reply);
            scope.spawn(move || hand.read());
            // However writing ends, its reader must not wait for it.
            let _abandoned = SetOnDrop(&abandoned);
            self.write(&messages, &budget)
        })
    }

    /// Writes what comes back from the workers, in order.
    fn write(&self, messages: &Receiver<Message>, budget: &Budget) -> Result<Option<(Commit, Cost)>> {
        let mut out = Writing::new(self)?;
        let mut counts = Counts::default();
        let mut cost = Cost::new();
        let mut waiting: BTreeMap<u64, (usize, Worked)> = BTreeMap::new();
        let mut next = 0;
        let mut end = None;
        while end != Some(next) {
            if self.run.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let message = match messages.recv_timeout(std::time::Duration::from_millis(100)) {
                Ok(message) => message,
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => continue,
                // The reader is gone without a word: it was stopped.
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return Ok(None),
            };
            match message {
                Message::Failed(failure) => return Err(failure),
                Message::Read { handfuls, reads, cost: read } => {
                    end = Some(handfuls);
                    out.commit.reads = reads;
                    add(&mut cost, read);
                }
                Message::Worked { number, bytes, worked } => {
                    waiting.insert(number, (bytes, worked));
                }
            }
            while let Some((bytes, worked)) = waiting.remove(&next) {
                let permit = self.run.permits.acquire();
                out.write(worked.outcomes, &mut cost)?;
                drop(permit);
                self.run.observers.event(&Event::Progress { counts: &worked.counts });
                counts.merge(&worked.counts);
                add(&mut cost, worked.cost);
                budget.give_back(bytes);
                next += 1;
            }
        }
        let _permit = self.run.permits.acquire();
        let clock = thread_cpu();
        let mut commit = out.finish()?;
        commit.counts = Counts { tokens: commit.counts.tokens, ..counts };
        *cost.entry("write".to_owned()).or_default() += thread_cpu() - clock;
        Ok(Some((commit, cost)))
    }
}

fn add(cost: &mut Cost, more: Cost) {
    for (label, seconds) in more {
        *cost.entry(label).or_default() += seconds;
    }
}

fn resolves(plan: &Plan, group: usize) -> impl Iterator<Item = &Task> {
    let tasks = &plan.passes[plan.groups[group].pass].tasks;
    tasks.iter().filter(move |task| matches!(task.kind, TaskKind::Resolve { group: other, .. } if other == group))
}

/// One range of keys of one dedup: from all sketches of the range to what goes.
fn resolve(run: &Run<'_>, task: &Task, group: usize, range: usize) -> Result<Option<(Commit, Cost)>> {
    let plan = run.plan;
    let spec = &plan.groups[group];
    let Built::Dedup(dedup) = spec.spec.build(run.models).map_err(Failure::configuration)? else {
        return Err(Failure::configuration(format!("`{}` is no dedup", spec.label)));
    };
    let _permit = run.permits.acquire();
    let clock = thread_cpu();
    let bound = |range: usize| {
        let mut bytes = [0; Sketch::WIDTH];
        let key = (range << 16) / spec.ranges;
        bytes[..2].copy_from_slice(&(key as u16).to_be_bytes());
        (key < 1 << 16).then_some(bytes)
    };
    let from = bound(range).unwrap_or([0; Sketch::WIDTH]);
    let below = bound(range + 1);
    let mut sketches = Sorter::<{ Sketch::WIDTH }>::new(run.store, run.memory.sort);
    for (name, first_file) in sketch_files(run, group)?.iter() {
        if run.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        // One file at a time is open, however many partitions there are.
        for sketch in SortedFile::open(&run.store.path(name))?.range(from, below, 256 << 10)? {
            let mut sketch = Sketch::from_bytes(sketch?);
            sketch.rank.raw_file += first_file;
            sketches.push(sketch.to_bytes())?;
        }
    }
    let mut found = Sorter::<{ Finding::WIDTH }>::new(run.store, run.memory.sort);
    let mut sorted = sketches.sorted()?.map(|bytes| bytes.map(Sketch::from_bytes));
    dedup.resolve(&mut sorted, &mut |finding| found.push(finding.to_bytes()))?;
    drop(sorted);
    let name = format!("between/{}-{range:03}-{}.findings", file_label(&spec.label), task.id.short());
    let findings = Some(found.publish(&name)?);
    let commit = Commit { format: FORMAT, findings, ..Commit::default() };
    let cost = Cost::from([(format!("resolve {}", spec.label), thread_cpu() - clock)]);
    Ok(Some((commit, cost)))
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
fn gone(run: &Run<'_>, what: &str) -> Failure {
    let message = format!("{what} have vanished from {}", run.store.root().display());
    Failure::new(Code::Failed, message).hint("another run may have cleaned up there: run the same command again")
}

fn file_label(label: &str) -> String {
    label.replace(':', "-")
}

/// Bytes that a task reads: of its raw files, or of the documents that the pass before kept.
pub fn bytes_of(run: &Run<'_>, task: &Task) -> u64 {
    let plan = run.plan;
    match task.kind {
        TaskKind::Documents { partition, segment: 0 } => {
            plan.raw_files[plan.partitions[partition].files.clone()].iter().map(|file| file.bytes).sum()
        }
        TaskKind::Documents { partition, segment } => {
            let before = plan.documents_task(partition, segment - 1);
            let commit = before.and_then(|task| Ledger::new(run.store).commit_of(&task.id).ok().flatten());
            commit.map_or(0, |commit| commit.counts.kept.bytes)
        }
        TaskKind::Resolve { .. } => 0,
    }
}
