//! Runs the tasks of a pass on threads of this process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use corpus::{Counts, sorted};

use super::Executor;
use super::guard::Cuts;
use crate::failure::{Code, Failure, Result};
use crate::ledger::{Ledger, Standing};
use crate::metrics::Event;
use crate::plan::{Task, TaskKind};
use crate::task::{self, Run, Segment};

/// Threads of this process: some tasks are live, each with a reader and a writer, and all share the
/// workers.
pub struct Local<'c> {
    /// Threads that take documents through their stages.
    pub workers: usize,
    /// Tasks that are read and written side by side.
    pub live: usize,
    /// What dedups take from documents.
    pub cuts: &'c Cuts,
}

impl Executor for Local<'_> {
    fn run(&self, run: &Run<'_>, pass: usize, tasks: &[&Task]) -> Result<()> {
        let mut segments: BTreeMap<(usize, usize), Arc<Segment>> = BTreeMap::new();
        for task in tasks {
            if let TaskKind::Documents { partition, segment } = task.kind {
                let slice = run.plan.partitions[partition].slice;
                if let std::collections::btree_map::Entry::Vacant(vacant) = segments.entry((slice, segment)) {
                    vacant.insert(Arc::new(Segment::new(run.plan, slice, segment, run.models)?));
                }
            }
        }
        let failure: Mutex<Option<Failure>> = Mutex::new(None);
        let next = AtomicUsize::new(0);
        let (handfuls, queue) = crossbeam_channel::unbounded();
        std::thread::scope(|scope| {
            for _ in 0..self.workers {
                let queue = queue.clone();
                scope.spawn(move || task::work(&queue, run.permits));
            }
            for _ in 0..self.live.min(tasks.len()) {
                let handfuls = handfuls.clone();
                let (failure, next, segments) = (&failure, &next, &segments);
                scope.spawn(move || {
                    while !run.stop.load(Ordering::Relaxed) {
                        let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                        let done = run_one(run, pass, task, segments, &handfuls);
                        let looked = done.and_then(|counts| match counts {
                            Some(counts) => self.cuts.add(run, task, &counts),
                            None => Ok(()),
                        });
                        if let Err(error) = looked {
                            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            run.stop.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
            // The workers end when the last live task lets go of its end.
            drop(handfuls);
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None if run.stop.load(Ordering::Relaxed) => Err(Failure::new(Code::Interrupted, "interrupted")),
            None => Ok(()),
        }
    }
}

/// What a task counted; nothing if the run is stopping.
fn run_one(
    run: &Run<'_>,
    pass: usize,
    task: &Task,
    segments: &BTreeMap<(usize, usize), Arc<Segment>>,
    handfuls: &crossbeam_channel::Sender<task::Handful>,
) -> Result<Option<Counts>> {
    let ledger = Ledger::new(run.store);
    // Another run in the same folder may have been faster.
    if let Standing::Done(commit) = ledger.standing(&task.id)? {
        let (counts, cost) = (&commit.counts, &Default::default());
        let bytes = task::bytes_of(run, task);
        run.observers.event(&Event::TaskDone { pass: pass + 1, task: task.id, bytes, counts, cost, spilled: 0 });
        return Ok(Some(commit.counts));
    }
    let segment = match task.kind {
        TaskKind::Documents { partition, segment } => segments.get(&(run.plan.partitions[partition].slice, segment)),
        _ => None,
    };
    let bytes = task::bytes_of(run, task);
    sorted::take_spilled();
    let Some((commit, cost)) = task::run(run, task, segment, handfuls)? else { return Ok(None) };
    let (counts, spilled) = (&commit.counts, sorted::take_spilled());
    run.observers.event(&Event::TaskDone { pass: pass + 1, task: task.id, bytes, counts, cost: &cost, spilled });
    Ok(Some(commit.counts))
}
