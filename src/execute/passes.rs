//! Runs a plan pass by pass, and adds up what it cost.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use corpus::store::Store;

use super::local::Local;
use super::{Executor, guard};
use crate::failure::Result;
use crate::metrics::{self, Cost, Event, Observer, Observers};
use crate::plan;
use crate::prepare::Prepared;
use crate::task::{self, Permits, Run};

/// What the tasks of a run cost.
pub struct Spent {
    /// CPU seconds by what they were spent on.
    pub cost: Cost,
    /// The same by pass.
    pub passes: Vec<f64>,
    /// Bytes of text that were read from raw files.
    pub text_bytes: u64,
}

struct Collect(Arc<Mutex<Spent>>);

impl Observer for Collect {
    fn event(&mut self, event: &Event<'_>) {
        let Event::TaskDone { pass, counts, cost, .. } = event else { return };
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.passes.len() < *pass {
            spent.passes.resize(*pass, 0.0);
        }
        for (label, seconds) in *cost {
            *spent.cost.entry(label.clone()).or_default() += seconds;
            spent.passes[*pass - 1] += seconds;
        }
        // Later passes read again what was read before.
        if cost.contains_key("read") {
            spent.text_bytes += counts.read.bytes;
        }
    }
}

/// How many tasks may be live, so that all their files can be open: each reads the findings of all
/// ranges at once. The system's soft limit is raised as far as it lets us.
fn live_by_files(plan: &plan::Plan) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let ranges = plan.groups.iter().map(|group| group.ranges).max().unwrap_or(0) as u64;
    let each = ranges + 32;
    (allowed.unwrap_or(1 << 20).saturating_sub(64) / each).max(1) as usize
}

/// Runs the tasks that are needed, pass by pass. `text` is how much text the raw files hold, if
/// that was estimated.
pub fn execute(
    prepared: &Prepared,
    store: &Store,
    needed: &[Vec<Option<String>>],
    stop: &AtomicBool,
    text: Option<u64>,
    mut observers: Vec<Box<dyn Observer>>,
) -> Result<Spent> {
    let plan = &prepared.plan;
    let spent = Arc::new(Mutex::new(Spent { cost: Cost::new(), passes: Vec::new(), text_bytes: 0 }));
    observers.push(Box::new(Collect(spent.clone())));
    let observers = Observers::new(observers);
    // A reader that waits for a network keeps its leave to compute: the workers get as many again.
    let remote = plan.raw_files.iter().any(|file| file.remote.is_some());
    let permits = Permits::new(prepared.workers * if remote { 2 } else { 1 });
    let (start, cpu) = (Instant::now(), metrics::process_cpu());
    let tasks: usize = needed.iter().map(Vec::len).sum();
    let to_run: usize = needed.iter().flatten().filter(|why| why.is_some()).count();
    observers.event(&Event::RunStarted {
        pipeline: &plan.name,
        passes: plan.passes.len(),
        tasks,
        done: tasks - to_run,
    });
    let mut outcome = Ok(());
    for (number, (pass, needed)) in plan.passes.iter().zip(needed).enumerate() {
        let tasks: Vec<&plan::Task> =
            pass.tasks.iter().zip(needed).filter(|(_, why)| why.is_some()).map(|(task, _)| task).collect();
        let (live, memory) = prepared.shares(tasks.len().max(1));
        let live = live.min(live_by_files(plan));
        let run = Run {
            plan,
            store,
            models: &prepared.models,
            observers: &observers,
            stop,
            permits: &permits,
            memory,
            sketches: Default::default(),
        };
        // A guard that stopped the run while documents were cut may have done so at the last of them.
        let cuts = match guard::Cuts::of(&run, number, &tasks) {
            Ok(cuts) => cuts,
            Err(failure) => {
                outcome = Err(failure);
                break;
            }
        };
        outcome = cuts.look(&run, true).and_then(|()| guard::look(&run, &tasks));
        if outcome.is_err() {
            break;
        }
        if tasks.is_empty() {
            continue;
        }
        let bytes = tasks.iter().map(|task| task::bytes_of(&run, task)).sum();
        let begun = Instant::now();
        let text = if number == 0 { text } else { Some(bytes) };
        observers.event(&Event::PassStarted { pass: number + 1, about: &pass.about, tasks: tasks.len(), bytes, text });
        let local = Local { workers: prepared.workers, live, cuts: &cuts };
        outcome = local.run(&run, number, &tasks).and_then(|()| cuts.look(&run, false));
        if outcome.is_err() {
            break;
        }
        observers.event(&Event::PassDone { pass: number + 1, seconds: begun.elapsed().as_secs_f64() });
    }
    observers.event(&Event::RunDone {
        complete: outcome.is_ok(),
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: metrics::process_cpu() - cpu,
        peak_memory: metrics::peak_memory(),
    });
    outcome?;
    let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Spent {
        cost: std::mem::take(&mut spent.cost),
        passes: std::mem::take(&mut spent.passes),
        text_bytes: spent.text_bytes,
    })
}
