//! Runs one task, whoever schedules it: reads, hands documents to the workers, writes what comes
//! back in order, commits.

mod again;
mod bounds;
mod marking;
mod reading;
mod reference;
mod resolve;
mod segment;
mod verify;
mod writing;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use corpus::Counts;
use corpus::store::Store;
use crossbeam_channel::{Receiver, Sender};
use stages::Models;

pub use bounds::Permits;
use bounds::{Budget, SetOnDrop};
pub use marking::is_mark;
use reading::Hand;
pub use reading::Ranks;
pub use resolve::Findings;
#[cfg(test)]
pub use resolve::candidates;
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
    /// What a judge holds of every document.
    pub state: usize,
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
        TaskKind::Resolve { group, range } => resolve::resolve(run, task, group, range)?,
        TaskKind::Evidence { group, partition } if run.plan.groups[group].twice => {
            again::sketch(run, task, group, partition)?
        }
        TaskKind::ReferenceEvidence { group, part } if run.plan.groups[group].twice => {
            again::sketch_of_other(run, task, group, part)?
        }
        TaskKind::ResolveAgain { group, range } => again::resolve(run, task, group, range)?,
        TaskKind::Reference { group, part } => reference::sketch(run, task, group, part)?,
        TaskKind::ReferenceEvidence { group, part } => reference::evidence(run, task, group, part)?,
        TaskKind::Evidence { group, partition } => verify::evidence(run, task, group, partition)?,
        TaskKind::Verify { group, partition } => verify::verify(run, task, group, partition)?,
        TaskKind::Judge { group } => resolve::judge(run, task, group)?,
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
                out.write(worked.outcomes, &worked.cuts, &mut cost)?;
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
        _ => 0,
    }
}
