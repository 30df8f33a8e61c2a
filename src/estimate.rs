//! What a run will take, from a small measured sample: some megabytes of each slice go through the
//! real thing into a folder that is thrown away, and the rest is arithmetic.

mod dedups;
mod seen;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use corpus::RawFile;
use corpus::manifest::RawRead;
use corpus::store::Store;
pub use dedups::DedupEstimate;
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use sources::{Limits, Record, Sink, Source};

use crate::execute::passes::execute;
use crate::failure::{Code, Failure, Result};
use crate::metrics::{Cost, peak_memory};
use crate::plan::{Plan, Records};
use crate::prepare::Prepared;
use crate::report::{Ran, duration, table};
use crate::size::Size;

/// Below this many raw bytes a build is over before an estimate would help.
pub const WORTH_IT: u64 = 4 << 20;
/// Text of each slice that is measured, from so many of its files, evenly spread.
const SAMPLE: u64 = 12 << 20;
const FILES: usize = 2;
/// From so many, where all of them together have no more bytes.
const ALL_FILES: usize = 16;
/// What syncing the files of a task takes, in seconds: an SSD's few milliseconds for each of five.
const SYNC: f64 = 0.02;

/// What a run will take.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// CPU time in seconds.
    pub cpu_seconds: f64,
    /// Most memory held, in bytes.
    pub peak_memory: u64,
    /// Bytes that the run leaves.
    pub disk: u64,
    /// Bytes that it takes in between, beside these.
    pub disk_between: u64,
    /// Text in the raw files.
    pub text_bytes: u64,
    /// Text that was measured.
    pub sample_bytes: u64,
    /// CPU seconds by what they will be spent on.
    pub cost: Cost,
    /// What the dedups take between their segments.
    pub dedups: Vec<DedupEstimate>,
}

/// Measures a sample and scales it up. What goes wrong with the sample stops nothing but it.
pub fn measure(prepared: &Prepared) -> Result<Estimate> {
    // A flag of its own: a task of the sample that fails sets it.
    let stop = Arc::new(AtomicBool::new(false));
    let mut heard = Vec::new();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        heard.push(signal_hook::flag::register(signal, stop.clone()).map_err(Failure::io("cannot watch", "signals"))?);
    }
    let measured = measure_until(prepared, &stop);
    for signal in heard {
        signal_hook::low_level::unregister(signal);
    }
    measured
}

fn measure_until(prepared: &Prepared, stop: &AtomicBool) -> Result<Estimate> {
    let plan = &prepared.plan;
    let mut files: Vec<Vec<RawFile>> = Vec::new();
    let mut caps: Vec<Vec<u64>> = Vec::new();
    // How much larger each slice is than its sample.
    let mut scales: Vec<f64> = Vec::new();
    let mut texts: Vec<f64> = Vec::new();
    // How many records each slice has, as far as its sample tells.
    let mut records: Vec<f64> = Vec::new();
    let mut sample_bytes = 0;
    let mut longest = 0;
    for slice in &plan.slices {
        let all = &plan.raw_files[slice.raw_files.start
            ..plan.partitions[slice.partitions.clone()].last().map_or(slice.raw_files.end, |last| last.files.end)];
        let total: u64 = all.iter().map(|file| file.bytes).sum();
        let few = if total <= SAMPLE { ALL_FILES } else { FILES };
        let chosen: Vec<RawFile> = spread(all, few).cloned().collect();
        let wanted = SAMPLE / chosen.len().max(1) as u64;
        let source = slice.source.for_sample(wanted).build();
        let mut slice_caps = Vec::new();
        let (mut raw, mut text) = (0, 0);
        for file in &chosen {
            let looked = look(&*source, file, plan.limits, wanted)?;
            raw += looked.raw;
            text += looked.text;
            longest = longest.max(looked.longest);
            slice_caps.push(looked.records);
        }
        let limited =
            plan.partitions[slice.partitions.clone()].iter().filter_map(|partition| partition.cap).sum::<u64>();
        let scale = match limited {
            0 => total as f64 / (raw as f64).max(1.0),
            // With `--limit` records are known, bytes are not.
            records => records as f64 / (slice_caps.iter().sum::<u64>() as f64).max(1.0),
        };
        scales.push(scale.max(1.0));
        records.push(slice_caps.iter().sum::<u64>() as f64 * scale.max(1.0));
        texts.push(text as f64);
        sample_bytes += text;
        files.push(chosen);
        caps.push(slice_caps);
    }
    let folder = tempfile::tempdir().map_err(Failure::io("cannot make a scratch folder in", std::env::temp_dir()))?;
    // A partition for each file: a cap is for a partition.
    let mut read = prepared.read.clone();
    // Another run is no smaller for a sample: its documents are left out of it.
    read.others.clear();
    let smallest = files.iter().flatten().map(|file| file.bytes).min().unwrap_or(0);
    read.pipeline.partition = Some(Size(smallest.max(1)));
    for ((_, slice), chosen) in read.pipeline.slices.0.iter_mut().zip(&files) {
        slice.source = slice.source.for_sample(SAMPLE / chosen.len().max(1) as u64);
    }
    let mut few = Plan::new(&read, plan.tokenizer.clone(), plan.models.clone(), files, Records::OfEach(caps))?;
    // What goes of a sample says nothing of the whole.
    few.groups.iter_mut().for_each(|group| group.guard = None);
    let sample = Prepared {
        read: read.clone(),
        plan: few,
        models: prepared.models.clone(),
        tokenizer_path: None,
        out: folder.path().to_path_buf(),
        workers: prepared.workers,
        memory: prepared.memory,
    };
    let store = Store::create(folder.path())?;
    let needed = sample.plan.without(&crate::ledger::Ledger::new(&store))?;
    let spent = execute(&sample, &store, &needed, stop, None, Vec::new())?;
    let size = |folder: &str| -> Result<u64> {
        let mut bytes = 0;
        for name in store.list(folder)? {
            bytes += std::fs::metadata(store.path(&name)).map_or(0, |found| found.len());
        }
        Ok(bytes)
    };
    // Of slices with little text the sample holds little: what it cost is weighed by that.
    let weighed: f64 = scales.iter().zip(&texts).map(|(scale, text)| scale * text).sum();
    let scale = weighed / texts.iter().sum::<f64>().max(1.0);
    let scaled = |value: f64| value * scale;
    // What the sample's own documents took when they were sketched, and read after a dedup.
    let each = |label: &str| spent.cost.get(label).copied().unwrap_or(0.0) / (sample_bytes as f64).max(1.0);
    let dedups = dedups::estimate(&sample, plan, &store, &scales, each("sketch") + each("read again"), &spent.cost)?;
    // What a dedup costs grows otherwise than the text, and a sample hardly shows it.
    let mut cost: Cost = spent
        .cost
        .iter()
        .filter(|(label, _)| !dedups::is_between(label))
        .map(|(label, seconds)| (label.clone(), scaled(*seconds)))
        .collect();
    for dedup in &dedups {
        cost.entry(dedup.stage.clone()).and_modify(|seconds| *seconds *= dedup.taken);
        *cost.entry(format!("compare {}", dedup.stage)).or_default() += dedup.cpu_seconds;
    }
    let cpu: f64 = cost.values().sum();
    let tasks: usize = plan.passes.iter().map(|pass| pass.tasks.len()).sum();
    let (live, memory) = prepared.shares(plan.partitions.len());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let parallel = prepared.workers.min(cores) as f64;
    let text_bytes = scaled(sample_bytes as f64) as u64;
    // A file is read by one thread: the largest partition takes at least its reading.
    let reading: f64 = ["read", "decompress"].iter().filter_map(|label| spent.cost.get(*label)).sum();
    let bytes_of = |files: std::ops::Range<usize>| plan.raw_files[files].iter().map(|file| file.bytes).sum::<u64>();
    let all_bytes = bytes_of(0..plan.raw_files.len()).max(1) as f64;
    let largest = plan.partitions.iter().map(|partition| bytes_of(partition.files.clone())).max().unwrap_or(0) as f64;
    let serial = scaled(reading) * largest / all_bytes;
    let seconds = (cpu / parallel).max(serial) + SYNC * tasks as f64 / live as f64;
    // The queue of each live task fills up to its bound or to the task's text, whichever is less;
    // the writers hold a compressed row group and their encoders.
    let queued = (memory.queue as f64 * 1.5).min(1.5 * text_bytes as f64 * largest / all_bytes);
    // A large document lies in each of them and in the reader.
    let large = 8.0 * (longest as f64 - (1 << 20) as f64).max(0.0);
    let sketching = dedups.iter().map(|dedup| dedup.sketching).max().unwrap_or(0);
    let peak = resident() as f64 + live as f64 * (queued + (20 << 20) as f64 + large) + sketching as f64;
    // A judge is a task of its own: what it holds of every document, and two sorters.
    let (_, alone) = prepared.shares(1);
    let (mut judging, mut filed) = (0, 0);
    for (index, group) in plan.groups.iter().enumerate() {
        let documents: f64 = group.slices.iter().map(|slice| records[*slice]).sum();
        let documents = documents + plan.records_of_others(index) as f64;
        let state = judge_state(documents as u64, group.spec.state_bits(), alone.state as u64);
        judging = judging.max(state.0);
        filed = filed.max(state.1);
    }
    let peak = peak.max(resident() as f64 + judging as f64);
    // The sample is a run itself: what it held, any that is larger holds.
    let peak = peak.max(peak_memory() as f64);
    let between = dedups.iter().map(|dedup| dedup.memory).max().unwrap_or(0);
    let mut texts = 0;
    for name in store.list("between")?.iter().filter(|name| name.ends_with(".parquet")) {
        texts += std::fs::metadata(store.path(name)).map_or(0, |found| found.len());
    }
    Ok(Estimate {
        seconds,
        cpu_seconds: cpu,
        peak_memory: (peak as u64).max(resident() + between),
        disk: scaled((size("documents")? + size("dropped")? + size("cut")? + size("shards")?) as f64) as u64,
        disk_between: scaled(texts as f64) as u64 + dedups.iter().map(|dedup| dedup.disk).sum::<u64>() + filed,
        text_bytes,
        sample_bytes,
        cost,
        dedups,
    })
}

impl Estimate {
    /// Dedups that would compare nothing: most often a word that no source says.
    pub fn questions(&self) -> Vec<String> {
        let idle = self.dedups.iter().filter(|dedup| dedup.documents > 0 && dedup.sketches == 0);
        let words = |dedup: &DedupEstimate| {
            format!("none of the documents that were measured has what {} compares: it would drop nothing", dedup.stage)
        };
        idle.map(words).collect()
    }

    /// Bytes on disk, with those in between, without which no run will do: of what was measured all, and of a small
    /// sample's estimate a half.
    pub fn least_disk(&self) -> u64 {
        let known = (self.sample_bytes as f64 / self.text_bytes.max(1) as f64).clamp(0.5, 1.0);
        ((self.disk + self.disk_between) as f64 * known) as u64
    }

    /// In a line.
    pub fn words(&self) -> String {
        format!(
            "{} ({} of CPU), up to {} of memory, {} on disk and {} in between",
            duration(self.seconds),
            duration(self.cpu_seconds),
            Size(self.peak_memory),
            Size(self.disk),
            Size(self.disk_between)
        )
    }

    /// What each dedup takes, a line each.
    pub fn of_dedups(&self) -> Vec<String> {
        self.dedups.iter().map(DedupEstimate::words).collect()
    }

    /// What it rests on.
    pub fn basis(&self) -> String {
        format!("{} of text that were measured, of about {}", Size(self.sample_bytes), Size(self.text_bytes))
    }

    /// The estimate beside what a run really took.
    pub fn beside(&self, ran: &Ran, disk: u64) -> String {
        let row = |what: &str, estimate: String, actual: String, share: f64| {
            vec![what.to_owned(), estimate, actual, format!("{share:.2}")]
        };
        let ratio = |estimate: f64, actual: f64| estimate / actual.max(1e-9);
        let rows = [
            ["", "estimate", "actual", "ratio"].map(str::to_owned).to_vec(),
            row("time", duration(self.seconds), duration(ran.seconds), ratio(self.seconds, ran.seconds)),
            row("CPU", duration(self.cpu_seconds), duration(ran.cpu_seconds), ratio(self.cpu_seconds, ran.cpu_seconds)),
            row(
                "peak memory",
                Size(self.peak_memory).to_string(),
                Size(ran.peak_memory).to_string(),
                ratio(self.peak_memory as f64, ran.peak_memory as f64),
            ),
            row("on disk", Size(self.disk).to_string(), Size(disk).to_string(), ratio(self.disk as f64, disk as f64)),
        ];
        format!("\n{}", table(&rows))
    }
}

/// Whether the disk of a run has room for so many bytes, as far as a sample can tell: one that is short is a
/// warning, one with less than the `least` ends the run before it begins.
pub fn check_room(out: &std::path::Path, needed: u64, least: u64) -> Result<()> {
    let Ok(found) = rustix::fs::statvfs(out) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let message = format!("this run may need {}, and {} has {}", Size(needed), out.display(), Size(free));
    if least > free {
        return Err(Failure::new(Code::Failed, message).hint("give another disk with --output"));
    }
    if needed > free {
        crate::report::say(&format!("warning: {message}"));
    }
    Ok(())
}

/// Bytes in memory, and in a file, of what a judge knows of documents, so many bits of each: memory
/// has a share for it, and what is more lies in a file.
fn judge_state(documents: u64, bits: u64, share: u64) -> (u64, u64) {
    let bytes = documents.saturating_mul(bits).div_ceil(8);
    if bytes <= share { (bytes, 0) } else { (share, bytes) }
}

/// So many of all, evenly spread, the first among them.
fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    (0..count).map(move |at| &all[at * all.len() / count])
}

struct Looked {
    records: u64,
    text: u64,
    raw: u64,
    longest: u64,
}

/// Reads the beginning of a raw file: how many records hold so much text, and how many raw bytes
/// they took.
fn look(source: &dyn Source, file: &RawFile, limits: Limits, text: u64) -> Result<Looked> {
    struct Looking {
        looked: Looked,
        wanted: u64,
    }
    impl Sink for Looking {
        fn record(&mut self, record: Record) -> sources::Result<()> {
            self.looked.records += 1;
            let bytes = match record {
                Record::Document(document) => document.read_bytes(),
                Record::Unusable { bytes, .. } => bytes,
            };
            self.looked.text += bytes;
            self.looked.longest = self.looked.longest.max(bytes);
            // Now, not at the next one: its raw bytes would count, and its text not.
            match self.looked.text >= self.wanted {
                true => Err(sources::Error::Stopped),
                false => Ok(()),
            }
        }

        fn finished(&mut self, _: RawRead) -> sources::Result<()> {
            Ok(())
        }
    }
    let scratch = tempfile::tempdir().map_err(Failure::io("cannot make a scratch folder in", std::env::temp_dir()))?;
    sources::take_raw_bytes();
    let mut sink = Looking { looked: Looked { records: 0, text: 0, raw: 0, longest: 0 }, wanted: text };
    let read = source.read(std::slice::from_ref(file), limits, scratch.path(), &mut sink);
    let raw = sources::take_raw_bytes();
    sink.looked.raw = match read {
        Ok(()) => file.bytes,
        Err(sources::Error::Stopped) if raw > 0 => raw.min(file.bytes),
        // Parquet does not say how far it got; zstd makes about a third of code and prose.
        Err(sources::Error::Stopped) => (sink.looked.text / 3).min(file.bytes),
        Err(error) => return Err(error.into()),
    };
    Ok(sink.looked)
}

/// Memory that this process holds now.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    kilobytes.unwrap_or(32 << 10) * 1024
}

#[test]
fn what_a_judge_knows_lies_in_memory_or_in_a_file() {
    // A bit of each of a billion documents is 125 MB; a parent of each is 8 GB.
    assert_eq!(judge_state(1_000_000_000, 1, 1 << 30), (125_000_000, 0));
    assert_eq!(judge_state(1_000_000_000, 64, 1 << 30), (1 << 30, 8_000_000_000));
    assert_eq!(judge_state(0, 64, 0), (0, 0));
}

#[test]
fn what_is_known_to_have_no_room_does_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let found = rustix::fs::statvfs(folder.path()).unwrap();
    let free = found.f_bavail * found.f_frsize;
    let of = |needed: u64, sample_bytes: u64| Estimate {
        seconds: 0.0,
        cpu_seconds: 0.0,
        peak_memory: 0,
        disk: needed / 2,
        disk_between: needed - needed / 2,
        text_bytes: 100,
        sample_bytes,
        cost: Cost::new(),
        dedups: Vec::new(),
    };
    let goes = |needed: u64, sample| check_room(folder.path(), needed, of(needed, sample).least_disk()).is_ok();
    // Of all, of four fifths, of little.
    assert!(goes(free / 2, 100) && !goes(free / 2 * 3, 100));
    assert!(goes(free / 20 * 23, 80) && !goes(free / 2 * 3, 80));
    assert!(goes(free / 2 * 3, 1) && !goes(free * 3, 1));
}

#[test]
fn a_sample_is_spread_over_all() {
    assert_eq!(spread(&[0, 1, 2, 3, 4, 5, 6, 7], 4).collect::<Vec<_>>(), [&0, &2, &4, &6]);
    assert_eq!(spread(&[0, 1], 4).collect::<Vec<_>>(), [&0, &1]);
    assert_eq!(spread::<u8>(&[], 4).count(), 0);
}
