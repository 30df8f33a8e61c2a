//! Runs one task, whoever schedules it: reads, hands documents to the workers, writes what comes
//! back in order, commits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use corpus::catalog::{FORMAT, ShardEntry};
use corpus::manifest::RawRead;
use corpus::shard::ShardWriter;
use corpus::sorted::{SortedFile, SortedRange, Sorter};
use corpus::store::Store;
use corpus::table::{DocumentReader, DocumentWriter, DroppedWriter, Life, ProvenanceWriter};
use corpus::{Counts, Digest, Document, DocumentId, Error, Evidence, Reason, SignalSpec, Tokenizer, Verdict};
use crossbeam_channel::{Receiver, Sender};
use sources::{Record, Sink};
use stages::{Built, Dedup, Finding, Key, Kind, Models, Rank, Sketch, Stage, Workspace};

use crate::failure::{Failure, Result};
use crate::ledger::{Commit, Ledger};
use crate::metrics::{Cost, Event, Observers, thread_cpu};
use crate::plan::{Plan, Task, TaskKind};

/// A shard has at most this many documents, so that its index is written from bounded memory.
const SHARD_DOCUMENTS: u64 = 1 << 20;
/// Of each shard, the documents whose number is a multiple of this are decoded again and compared.
const CHECK_EVERY: u64 = 4096;
/// Documents that are handed to a worker at once, at most.
const HANDFUL: usize = 1024;

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
}

/// The memory of one live task, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Documents between reading and writing.
    pub queue: usize,
    /// Records that are sorted.
    pub sort: usize,
}

/// A segment of a slice's stages, ready to run.
pub struct Segment {
    stages: Vec<Ready>,
    /// The dedup that ends it.
    dedup: Option<Box<dyn Dedup>>,
    /// The dedup that went before: its label and why it drops.
    before: Option<(String, Reason)>,
    pack: Option<stages::pack::Pack>,
    tokenizer: Option<Arc<dyn Tokenizer>>,
    signals_before: Vec<SignalSpec>,
    signals_after: Vec<SignalSpec>,
}

struct Ready {
    label: String,
    kind: Kind,
    /// Whether it asks for tokens.
    tokens: bool,
    stage: Box<dyn Stage>,
}

impl Segment {
    /// Builds the stages of a segment.
    pub fn new(plan: &Plan, slice: usize, segment: usize, models: &Models) -> Result<Segment> {
        let slice_plan = &plan.slices[slice];
        let mut ready = Segment {
            stages: Vec::new(),
            dedup: None,
            before: None,
            pack: None,
            tokenizer: models.tokenizer.clone(),
            signals_before: match segment.checked_sub(1) {
                Some(before) => plan.signals_after(slice, before),
                None => Vec::new(),
            },
            signals_after: plan.signals_after(slice, segment),
        };
        for (label, spec) in &slice_plan.stages[slice_plan.segments[segment].clone()] {
            match spec.build(models).map_err(Failure::configuration)? {
                Built::Stage(stage) => {
                    let (kind, tokens) = (spec.kind(), spec.needs_tokenizer());
                    ready.stages.push(Ready { label: label.clone(), kind, tokens, stage });
                }
                Built::Pack(pack) => ready.pack = Some(pack),
                Built::Dedup(_) => {}
            }
        }
        let dedup_of = |group: usize| -> Result<Box<dyn Dedup>> {
            match plan.groups[group].spec.build(models).map_err(Failure::configuration)? {
                Built::Dedup(dedup) => Ok(dedup),
                _ => Err(Failure::configuration(format!("`{}` is no dedup", plan.groups[group].label))),
            }
        };
        if let Some(group) = slice_plan.dedups.get(segment) {
            ready.dedup = Some(dedup_of(*group)?);
        }
        if let Some(before) = segment.checked_sub(1) {
            let label = slice_plan.stages[slice_plan.segments[before].end].0.clone();
            ready.before = Some((label, dedup_of(slice_plan.dedups[before])?.reason()));
        }
        Ok(ready)
    }

    /// Takes one handful through all stages, stage by stage.
    fn work(&self, items: Vec<Item>, workspace: &mut Workspace) -> Worked {
        let mut counts = Counts::default();
        let mut cost = Cost::new();
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(items.len());
        for item in items {
            outcomes.push(match item {
                Item::Document(document) => Outcome::Kept(document, Vec::new()),
                Item::Gone(document, evidence) => {
                    let (label, reason) = self.before.as_ref().map_or(("", Reason("")), |(label, r)| (label, *r));
                    counts.stage(label).dropped += 1;
                    counts.drop(reason, document.read_bytes());
                    Outcome::dropped(label, document, reason, evidence)
                }
                Item::Unusable { id, reason, evidence, bytes } => {
                    counts.unusable(reason, bytes);
                    Outcome::Unusable { id, reason, evidence, bytes }
                }
            });
        }
        if let Some((label, _)) = &self.before {
            counts.stage(label).seen += outcomes.len() as u64;
        }
        let mut clock = thread_cpu();
        let mut lap = |cost: &mut Cost, label: &str| {
            let now = thread_cpu();
            *cost.entry(label.to_owned()).or_default() += now - clock;
            clock = now;
        };
        for ready in &self.stages {
            // Made here, what tokens cost is not billed to whoever happens to ask first.
            if let Some(tokenizer) = self.tokenizer.as_ref().filter(|_| ready.tokens) {
                for outcome in &outcomes {
                    if let Outcome::Kept(document, _) = outcome {
                        document.tokens(&**tokenizer);
                    }
                }
                lap(&mut cost, "tokenize");
            }
            let counted = counts.stage(&ready.label);
            let mut dropped: Vec<(Reason, u64)> = Vec::new();
            for outcome in &mut outcomes {
                let Outcome::Kept(document, _) = outcome else { continue };
                counted.seen += 1;
                let edits = document.edits();
                let verdict = ready.stage.apply(document, workspace);
                counted.edited += u64::from(document.edits() != edits);
                match verdict {
                    Verdict::Keep => counted.measured += u64::from(ready.kind == Kind::Measure),
                    Verdict::Drop(reason, evidence) => {
                        counted.dropped += 1;
                        dropped.push((reason, document.read_bytes()));
                        let id = document.id.clone();
                        let bytes = document.read_bytes();
                        *outcome = Outcome::Dropped { label: ready.label.clone(), id, reason, evidence, bytes };
                    }
                }
            }
            for (reason, bytes) in dropped {
                counts.drop(reason, bytes);
            }
            lap(&mut cost, &ready.label);
        }
        for outcome in &mut outcomes {
            let Outcome::Kept(document, keys) = outcome else { continue };
            counts.keep(document.read_bytes(), document.text().len() as u64);
            if let Some(dedup) = &self.dedup {
                dedup.sketch(document, keys);
            }
        }
        if self.dedup.is_some() {
            lap(&mut cost, "sketch");
        }
        Worked { outcomes, counts, cost }
    }
}

/// What a reader hands on.
enum Item {
    Document(Document),
    /// A dedup found that it goes.
    Gone(Document, Evidence),
    Unusable {
        id: DocumentId,
        reason: Reason,
        evidence: Evidence,
        bytes: u64,
    },
}

impl Item {
    fn footprint(&self) -> usize {
        match self {
            Item::Document(document) | Item::Gone(document, _) => document.footprint(),
            Item::Unusable { .. } => 256,
        }
    }
}

/// What became of it.
enum Outcome {
    Kept(Document, Vec<Key>),
    Dropped { label: String, id: DocumentId, reason: Reason, evidence: Evidence, bytes: u64 },
    Unusable { id: DocumentId, reason: Reason, evidence: Evidence, bytes: u64 },
}

impl Outcome {
    fn dropped(label: &str, document: Document, reason: Reason, evidence: Evidence) -> Outcome {
        let bytes = document.read_bytes();
        Outcome::Dropped { label: label.to_owned(), id: document.id, reason, evidence, bytes }
    }
}

struct Worked {
    outcomes: Vec<Outcome>,
    counts: Counts,
    cost: Cost,
}

/// A handful on its way through a worker.
pub struct Job {
    segment: Arc<Segment>,
    items: Vec<Item>,
    number: u64,
    bytes: usize,
    reply: Sender<Message>,
}

enum Message {
    Worked { number: u64, bytes: usize, worked: Worked },
    Read { handfuls: u64, reads: Vec<RawRead>, cost: Cost },
    Failed(Failure),
}

/// Takes handfuls through their stages until nobody sends any more.
pub fn work(jobs: &Receiver<Job>, permits: &Permits) {
    let mut workspace = Workspace::default();
    for job in jobs {
        let permit = permits.acquire();
        // Nothing in the data may make a stage fail; if one does after all, its task must hear of it.
        let work = std::panic::AssertUnwindSafe(|| job.segment.work(job.items, &mut workspace));
        let message = match std::panic::catch_unwind(work) {
            Ok(worked) => Message::Worked { number: job.number, bytes: job.bytes, worked },
            Err(_) => {
                let failure = Failure::new(crate::failure::Code::Failed, "a stage ended in a panic");
                Message::Failed(failure.hint("please report it, with what is written above"))
            }
        };
        drop(permit);
        // A task that has failed no longer listens.
        let _ = job.reply.send(message);
    }
}

/// Lets a number of threads compute at once.
pub struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Leave to compute, until it is dropped.
pub struct Permit<'p>(&'p Permits);

impl Permits {
    /// So many at once.
    pub fn new(count: usize) -> Permits {
        Permits { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for leave.
    pub fn acquire(&self) -> Permit<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// Bytes of documents between a task's reader and its writer.
struct Budget {
    used: Mutex<usize>,
    freed: Condvar,
    limit: usize,
}

impl Budget {
    /// Waits until so many more bytes fit; a single handful always does.
    fn take(&self, bytes: usize, stop: &AtomicBool) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && *used + bytes > self.limit {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            let wait = std::time::Duration::from_millis(100);
            used = self.freed.wait_timeout(used, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        *used += bytes;
        !stop.load(Ordering::Relaxed)
    }

    fn give_back(&self, bytes: usize) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.freed.notify_one();
    }
}

/// Runs a task to its commit; what it left and what it cost. Nothing, if the run is stopping.
pub fn run(
    run: &Run<'_>,
    task: &Task,
    segment: Option<&Arc<Segment>>,
    jobs: &Sender<Job>,
) -> Result<Option<(Commit, Cost)>> {
    let ledger = Ledger::new(run.store);
    let done = match task.kind {
        TaskKind::Documents { partition, segment: number } => {
            let Some(segment) = segment else { return Ok(None) };
            Documents { run, task, partition, number, segment }.run(jobs)?
        }
        TaskKind::Resolve { group, range } => resolve(run, task, group, range)?,
    };
    let Some((commit, cost)) = done else { return Ok(None) };
    if let Some(imbalance) = commit.counts.imbalance() {
        return Err(Failure::new(crate::failure::Code::Failed, format!("task {}: {imbalance}", task.id.short()))
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
    fn run(&self, jobs: &Sender<Job>) -> Result<Option<(Commit, Cost)>> {
        let budget = Budget { used: Mutex::new(0), freed: Condvar::new(), limit: self.run.memory.queue };
        // A task that fails stops its own reader, not the run's other tasks.
        let abandoned = AtomicBool::new(false);
        let (reply, messages) = crossbeam_channel::unbounded();
        std::thread::scope(|scope| {
            let hand = Hand {
                task: self,
                budget: &budget,
                abandoned: &abandoned,
                jobs: jobs.clone(),
                reply,
                items: Vec::new(),
                bytes: 0,
                number: 0,
                reads: Vec::new(),
                left: self.run.plan.partitions[self.partition].cap.unwrap_or(u64::MAX),
                permit: None,
            };
            scope.spawn(move || hand.read());
            let written = self.write(&messages, &budget);
            abandoned.store(true, Ordering::Relaxed);
            written
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

/// The reading side of a task.
struct Hand<'t> {
    task: &'t Documents<'t>,
    budget: &'t Budget,
    abandoned: &'t AtomicBool,
    jobs: Sender<Job>,
    reply: Sender<Message>,
    items: Vec<Item>,
    bytes: usize,
    number: u64,
    reads: Vec<RawRead>,
    left: u64,
    permit: Option<Permit<'t>>,
}

impl Hand<'_> {
    fn read(mut self) {
        let start = thread_cpu();
        sources::take_decoding_seconds();
        self.permit = Some(self.task.run.permits.acquire());
        let read = match self.task.number {
            0 => self.read_raw(),
            _ => self.read_between(),
        };
        let read = read.and_then(|()| self.hand_on());
        drop(self.permit.take());
        let decoding = sources::take_decoding_seconds();
        let label = if self.task.number == 0 { "read" } else { "read again" };
        let mut cost = Cost::from([(label.to_owned(), (thread_cpu() - start - decoding).max(0.0))]);
        if decoding > 0.0 {
            cost.insert("decompress".to_owned(), decoding);
        }
        let message = match read {
            Ok(()) => Message::Read { handfuls: self.number, reads: std::mem::take(&mut self.reads), cost },
            Err(sources::Error::Stopped) => return,
            Err(sources::Error::World(error)) => Message::Failed(error.into()),
        };
        let _ = self.reply.send(message);
    }

    fn read_raw(&mut self) -> sources::Result<()> {
        let task = self.task;
        let plan = task.run.plan;
        let partition = &plan.partitions[task.partition];
        let source = plan.slices[partition.slice].source.build();
        let scratch = task.run.store.scratch_path("scratch");
        let files = &plan.raw_files[partition.files.clone()];
        let read = source.read(files, plan.limits, &scratch, self);
        let _ = std::fs::remove_dir_all(&scratch);
        match read {
            // Not a stop of the run, but `--limit`.
            Err(sources::Error::Stopped) if self.left == 0 => {
                let seen: u64 = self.reads.iter().map(|read| read.records).sum();
                let cap = partition.cap.unwrap_or(0);
                if let Some(file) = files.get(self.reads.len()) {
                    self.reads.push(RawRead {
                        name: file.name.clone(),
                        bytes: file.bytes,
                        digest: None,
                        records: cap.saturating_sub(seen),
                        damage: None,
                    });
                }
                Ok(())
            }
            other => other,
        }
    }

    /// Reads what the pass before kept, beside what the dedup found.
    fn read_between(&mut self) -> sources::Result<()> {
        let task = self.task;
        let run = task.run;
        let plan = run.plan;
        let partition = &plan.partitions[task.partition];
        let ledger = Ledger::new(run.store);
        let before = plan.documents_task(task.partition, task.number - 1);
        let commit = match before {
            Some(before) => ledger.commit_of(&before.id)?,
            None => None,
        };
        let Some(between) = commit.and_then(|commit| commit.between) else {
            return Err(Error::damaged(run.store.root(), "the pass before has left no documents").into());
        };
        let group = plan.slices[partition.slice].dedups[task.number - 1];
        let mut findings = Findings::open(run, group, partition.files.clone())?;
        let mut finding = findings.next()?;
        let mut ranks = Ranks::new(plan, task.partition);
        for document in DocumentReader::open(&run.store.path(&between.name), &task.segment.signals_before)? {
            let document = document?;
            let rank = ranks.of(&document.id);
            while finding.is_some_and(|found| found.gone < rank) {
                finding = findings.next()?;
            }
            let item = match finding {
                Some(found) if found.gone == rank => {
                    let raw_file = plan.raw_files[found.kept.raw_file as usize].name.clone();
                    let kept = DocumentId { raw_file, record: found.kept.record };
                    Item::Gone(document, Evidence::Twin { kept, similarity: found.similarity })
                }
                _ => Item::Document(document),
            };
            self.push(item)?;
        }
        Ok(())
    }

    fn push(&mut self, item: Item) -> sources::Result<()> {
        self.bytes += item.footprint();
        self.items.push(item);
        let handful = (self.task.run.memory.queue / 8).min(512 << 10);
        if self.items.len() >= HANDFUL || self.bytes >= handful {
            self.hand_on()?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> sources::Result<()> {
        if self.items.is_empty() {
            return Ok(());
        }
        // Whoever waits must not keep others from computing.
        drop(self.permit.take());
        let stop = &self.task.run.stop;
        if !self.budget.take(self.bytes, self.abandoned) || stop.load(Ordering::Relaxed) {
            return Err(sources::Error::Stopped);
        }
        let job = Job {
            segment: self.task.segment.clone(),
            items: std::mem::take(&mut self.items),
            number: self.number,
            bytes: std::mem::take(&mut self.bytes),
            reply: self.reply.clone(),
        };
        self.number += 1;
        if self.jobs.send(job).is_err() {
            return Err(sources::Error::Stopped);
        }
        self.permit = Some(self.task.run.permits.acquire());
        Ok(())
    }
}

impl Sink for Hand<'_> {
    fn record(&mut self, record: Record) -> sources::Result<()> {
        if self.left == 0 {
            return Err(sources::Error::Stopped);
        }
        self.left -= 1;
        self.push(match record {
            Record::Document(document) => Item::Document(document),
            Record::Unusable { id, reason, evidence, bytes } => Item::Unusable { id, reason, evidence, bytes },
        })
    }

    fn finished(&mut self, read: RawRead) -> sources::Result<()> {
        self.reads.push(read);
        Ok(())
    }
}

/// The ranks of documents of one partition.
struct Ranks<'p> {
    plan: &'p Plan,
    files: std::ops::Range<usize>,
    last: (Option<Arc<str>>, usize),
}

impl<'p> Ranks<'p> {
    fn new(plan: &'p Plan, partition: usize) -> Ranks<'p> {
        let files = plan.partitions[partition].files.clone();
        Ranks { plan, last: (None, files.start), files }
    }

    fn of(&mut self, id: &DocumentId) -> Rank {
        // Documents come file by file.
        if self.last.0.as_deref() != Some(&*id.raw_file) {
            let at = (self.last.1..self.files.end).find(|file| self.plan.raw_files[*file].name == id.raw_file);
            self.last = (Some(id.raw_file.clone()), at.unwrap_or(self.files.end));
        }
        Rank { raw_file: self.last.1 as u32, record: id.record }
    }
}

/// What a dedup found for the raw files of one partition, in order of rank.
struct Findings {
    ranges: Vec<SortedRange<{ Finding::WIDTH }>>,
    heads: std::collections::BinaryHeap<std::cmp::Reverse<([u8; Finding::WIDTH], usize)>>,
}

impl Findings {
    fn open(run: &Run<'_>, group: usize, files: std::ops::Range<usize>) -> Result<Findings, Error> {
        let bound = |raw_file: usize| {
            let mut bytes = [0; Finding::WIDTH];
            bytes[..12].copy_from_slice(&Rank { raw_file: raw_file as u32, record: 0 }.to_bytes());
            bytes
        };
        let ledger = Ledger::new(run.store);
        let tasks: Vec<&Task> = resolves(run.plan, group).collect();
        let buffer = ((1 << 20) / tasks.len().max(1)).clamp(4 << 10, 64 << 10);
        let mut findings = Findings { ranges: Vec::new(), heads: Default::default() };
        for task in tasks {
            let Some(found) = ledger.commit_of(&task.id)?.and_then(|commit| commit.findings) else {
                let detail = format!("the findings of {} are missing", run.plan.groups[group].label);
                return Err(Error::damaged(run.store.root(), detail));
            };
            let file = SortedFile::open(&run.store.path(&found.name))?;
            let mut range = file.range(bound(files.start), Some(bound(files.end)), buffer)?;
            // A file without anything for this partition is closed again.
            if let Some(head) = range.next().transpose()? {
                findings.heads.push(std::cmp::Reverse((head, findings.ranges.len())));
                findings.ranges.push(range);
            }
        }
        Ok(findings)
    }

    fn next(&mut self) -> Result<Option<Finding>, Error> {
        let Some(std::cmp::Reverse((bytes, from))) = self.heads.pop() else { return Ok(None) };
        if let Some(head) = self.ranges[from].next().transpose()? {
            self.heads.push(std::cmp::Reverse((head, from)));
        }
        Ok(Some(Finding::from_bytes(bytes)))
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
    let ledger = Ledger::new(run.store);
    let mut sketches = Sorter::<{ Sketch::WIDTH }>::new(run.store, run.memory.sort);
    for slice in &spec.slices {
        let slice = &plan.slices[*slice];
        let Some(segment) = slice.dedups.iter().position(|known| *known == group) else { continue };
        for partition in slice.partitions.clone() {
            if run.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let task = plan.documents_task(partition, segment);
            let commit = match task {
                Some(task) => ledger.commit_of(&task.id)?,
                None => None,
            };
            let Some(file) = commit.and_then(|commit| commit.sketches) else {
                let detail = format!("the sketches of partition {partition} are missing");
                return Err(Error::damaged(run.store.root(), detail).into());
            };
            // One file at a time is open, however many partitions there are.
            for sketch in SortedFile::open(&run.store.path(&file.name))?.range(from, below, 256 << 10)? {
                sketches.push(sketch?)?;
            }
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

fn file_label(label: &str) -> String {
    label.replace(':', "-")
}

/// The files that a task is writing.
struct Writing<'t> {
    task: &'t Documents<'t>,
    part: String,
    documents: Option<DocumentWriter>,
    dropped: Option<DroppedWriter>,
    sketches: Option<Sorter<'t, { Sketch::WIDTH }>>,
    ranks: Ranks<'t>,
    packing: Option<Packing<'t>>,
    commit: Commit,
}

impl<'t> Writing<'t> {
    fn new(task: &'t Documents<'t>) -> Result<Writing<'t>> {
        let run = task.run;
        let partition = &run.plan.partitions[task.partition];
        let slice = run.plan.slices[partition.slice].name;
        let id = task.task.id.short();
        let part = format!("{slice}/part-{:05}-{id}", partition.number);
        let sketched = task.segment.dedup.is_some();
        let packing = match (&task.segment.pack, &run.models.tokenizer) {
            (Some(pack), Some(tokenizer)) => Some(Packing {
                run,
                pack: pack.clone(),
                tokenizer: &**tokenizer,
                prefix: format!("shards/{slice}/{slice}-{:05}", partition.number),
                id: id.clone(),
                open: None,
                sealed: Vec::new(),
            }),
            _ => None,
        };
        let documents = match sketched {
            true => {
                let name = format!("between/{slice}-{:05}-{id}.parquet", partition.number);
                Some(DocumentWriter::new(run.store, &name, &task.segment.signals_after, Life::Between)?)
            }
            false => None,
        };
        Ok(Writing {
            task,
            part,
            documents,
            dropped: None,
            sketches: sketched.then(|| Sorter::new(run.store, run.memory.sort)),
            ranks: Ranks::new(run.plan, task.partition),
            packing,
            commit: Commit { format: FORMAT, ..Commit::default() },
        })
    }

    fn write(&mut self, outcomes: Vec<Outcome>, cost: &mut Cost) -> Result<()> {
        let mut clock = thread_cpu();
        let mut lap = |cost: &mut Cost, label: &str| {
            let now = thread_cpu();
            *cost.entry(label.to_owned()).or_default() += now - clock;
            clock = now;
        };
        let store = self.task.run.store;
        for outcome in &outcomes {
            match outcome {
                Outcome::Kept(document, keys) => {
                    let writer = match &mut self.documents {
                        Some(writer) => writer,
                        none => {
                            let name = format!("documents/{}.parquet", self.part);
                            let signals = &self.task.segment.signals_after;
                            none.insert(DocumentWriter::new(store, &name, signals, Life::Kept)?)
                        }
                    };
                    writer.push(document)?;
                    if let Some(sketches) = &mut self.sketches {
                        let rank = self.ranks.of(&document.id);
                        for key in keys {
                            sketches.push(Sketch { key: *key, rank }.to_bytes())?;
                        }
                    }
                }
                Outcome::Dropped { label, id, reason, evidence, bytes } => {
                    self.dropped(store)?.dropped(label, id, *reason, evidence, *bytes)?;
                }
                Outcome::Unusable { id, reason, evidence, bytes } => {
                    self.dropped(store)?.unusable(id, *reason, evidence, *bytes)?;
                }
            }
        }
        lap(cost, "write");
        if let Some(packing) = &mut self.packing {
            for outcome in &outcomes {
                if let Outcome::Kept(document, _) = outcome {
                    packing.push(document)?;
                }
            }
            lap(cost, "pack");
        }
        Ok(())
    }

    fn dropped(&mut self, store: &Store) -> Result<&mut DroppedWriter, Error> {
        match &mut self.dropped {
            Some(writer) => Ok(writer),
            none => Ok(none.insert(DroppedWriter::new(store, &format!("dropped/{}.parquet", self.part))?)),
        }
    }

    fn finish(mut self) -> Result<Commit> {
        let documents = self.documents.map(DocumentWriter::publish).transpose()?;
        match self.sketches {
            Some(sketches) => {
                let partition = &self.task.run.plan.partitions[self.task.partition];
                let slice = self.task.run.plan.slices[partition.slice].name;
                let id = self.task.task.id.short();
                let name = format!("between/{slice}-{:05}-{id}.sketches", partition.number);
                self.commit.between = documents;
                self.commit.sketches = Some(sketches.publish(&name)?);
            }
            None => self.commit.documents = documents,
        }
        self.commit.dropped = self.dropped.map(DroppedWriter::publish).transpose()?;
        if let Some(packing) = self.packing {
            self.commit.shards = packing.finish()?;
            self.commit.counts.tokens = self.commit.shards.iter().map(|shard| shard.tokens).sum();
        }
        Ok(self.commit)
    }
}

/// Shards being packed.
struct Packing<'t> {
    run: &'t Run<'t>,
    pack: stages::pack::Pack,
    tokenizer: &'t dyn Tokenizer,
    prefix: String,
    id: String,
    open: Option<(ShardWriter, ProvenanceWriter)>,
    sealed: Vec<ShardEntry>,
}

impl Packing<'_> {
    fn push(&mut self, document: &Document) -> Result<()> {
        let end = u64::from(self.pack.append_end_of_document);
        let tokens = document.tokens(self.tokenizer);
        let length = tokens.len() as u64 + end;
        if let Some((shard, _)) = &self.open
            && (shard.tokens() + length > self.pack.shard_tokens.0 || shard.documents() == SHARD_DOCUMENTS)
        {
            self.seal()?;
        }
        let (shard, provenance) = match &mut self.open {
            Some(open) => open,
            none => {
                let prefix = format!("{}-{:03}-{}", self.prefix, self.sealed.len(), self.id);
                let store = self.run.store;
                let (vocab_size, end) = (self.tokenizer.vocab_size(), self.tokenizer.end_of_document());
                let shard = ShardWriter::new(store, &prefix, vocab_size, end)?;
                none.insert((shard, ProvenanceWriter::new(store, &format!("{prefix}.provenance.parquet"))?))
            }
        };
        if shard.documents().is_multiple_of(CHECK_EVERY) && self.tokenizer.round_trips() {
            let decoded = self.tokenizer.decode(tokens);
            if decoded != self.tokenizer.normalized(document.text()) {
                let path = self.run.store.path(&self.prefix);
                let detail = format!("the tokens of {} do not decode to its text", document.id);
                return Err(Error::Check { path, detail }.into());
            }
        }
        shard.push(tokens, self.pack.append_end_of_document)?;
        provenance.push(document, Digest::of(document.text().as_bytes()), length)?;
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        if let Some((shard, provenance)) = self.open.take() {
            let sealed = shard.seal(self.run.store)?;
            let provenance = provenance.publish()?;
            let (documents, tokens) = (sealed.documents, sealed.tokens);
            self.sealed.push(ShardEntry { bin: sealed.bin, idx: sealed.idx, provenance, documents, tokens });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<ShardEntry>> {
        self.seal()?;
        Ok(self.sealed)
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
        TaskKind::Resolve { .. } => 0,
    }
}
