//! What happens during a run, as events: for the progress display, `metrics.jsonl` and tests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use corpus::{Counts, Digest};
use serde::Serialize;

use crate::clusters::Cluster;

/// CPU seconds by what they were spent on: `read`, each stage by its label, `write`, …
pub type Cost = BTreeMap<String, f64>;

/// What happens.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'e> {
    /// A run begins.
    RunStarted {
        /// The pipeline.
        pipeline: &'e str,
        /// Passes.
        passes: usize,
        /// Tasks of all passes.
        tasks: usize,
        /// Those that are done already.
        done: usize,
    },
    /// A pass begins.
    PassStarted {
        /// Its number, from 1.
        pass: usize,
        /// What it does.
        about: &'e str,
        /// Tasks to run.
        tasks: usize,
        /// Bytes that will be read: of raw files, or of what the pass before kept.
        bytes: u64,
        /// Bytes of text that they hold, as far as that is known or estimated.
        text: Option<u64>,
    },
    /// Some documents went through: the counts of them alone.
    Progress {
        /// What became of them.
        #[serde(skip)]
        counts: &'e Counts,
    },
    /// A task is committed.
    TaskDone {
        /// The pass, from 1.
        pass: usize,
        /// Its id.
        task: Digest,
        /// Bytes that it read, as [`Event::PassStarted`] counts them.
        bytes: u64,
        /// What became of its documents.
        counts: &'e Counts,
        /// What it cost.
        cost: &'e Cost,
        /// Bytes that it laid on disk while it ran, because `--memory` had no room for them.
        spilled: u64,
    },
    /// A dedup takes more than its guard allows.
    Guard {
        /// What it takes, and what is allowed.
        complaints: &'e [String],
        /// The largest clusters.
        clusters: &'e [Cluster],
        /// Whether that ends the run.
        stops: bool,
    },
    /// A pass is over.
    PassDone {
        /// Its number, from 1.
        pass: usize,
        /// How long it took.
        seconds: f64,
    },
    /// The run is over.
    RunDone {
        /// Whether it published its catalog.
        complete: bool,
        /// Wall-clock time.
        seconds: f64,
        /// CPU time of the process.
        cpu_seconds: f64,
        /// The most memory that the process held.
        peak_memory: u64,
    },
}

/// Sees what happens.
pub trait Observer: Send {
    /// Takes one event.
    fn event(&mut self, event: &Event<'_>);
}

/// Several observers, shared by threads.
pub struct Observers(Mutex<Vec<Box<dyn Observer>>>);

impl Observers {
    /// Shares these.
    pub fn new(observers: Vec<Box<dyn Observer>>) -> Observers {
        Observers(Mutex::new(observers))
    }

    /// Tells all of them.
    pub fn event(&self, event: &Event<'_>) {
        for observer in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            observer.event(event);
        }
    }
}

/// Appends every event to a file, one JSON object a line, with the seconds since the run began.
pub struct MetricsFile {
    file: File,
    start: Instant,
}

impl MetricsFile {
    /// Appends to `OUT/metrics.jsonl`.
    pub fn append(file: File) -> MetricsFile {
        MetricsFile { file, start: Instant::now() }
    }
}

impl Observer for MetricsFile {
    fn event(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Progress { .. }) {
            return;
        }
        #[derive(Serialize)]
        struct Line<'e> {
            seconds_since_start: f64,
            #[serde(flatten)]
            event: &'e Event<'e>,
        }
        let line = Line { seconds_since_start: self.start.elapsed().as_secs_f64(), event };
        if let Ok(mut text) = serde_json::to_vec(&line) {
            text.push(b'\n');
            // Metrics are no output: a full disk is found by what is.
            let _ = self.file.write_all(&text);
        }
    }
}

/// CPU seconds of this thread.
pub fn thread_cpu() -> f64 {
    seconds(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime))
}

/// CPU seconds of this process.
pub fn process_cpu() -> f64 {
    seconds(rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime))
}

fn seconds(time: rustix::time::Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory that this process has held, in bytes; 0 where the system does not say.
pub fn peak_memory() -> u64 {
    status_bytes("VmHWM:")
}

fn status_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Memory of this machine (or of the container that we run in), in bytes.
pub fn machine_memory() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let total = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(4 << 30, |kilobytes| kilobytes * 1024);
    match read("/sys/fs/cgroup/memory.max").trim().parse::<u64>() {
        Ok(limit) => total.min(limit),
        Err(_) => total,
    }
}
