//! The reading side of a task: raw files through their source, or what the pass before kept beside
//! what the dedup found.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use corpus::manifest::RawRead;
use corpus::table::DocumentReader;
use corpus::{DocumentId, Error, Evidence, Signal};
use crossbeam_channel::Sender;
use sources::{Record, Sink};
use stages::against::SIGNALS;
use stages::{Finding, Part, Rank};

use super::Documents;
use super::bounds::{Budget, Permit};
use super::marking::{Marked, is_mark};
use super::resolve::Findings;
use super::segment::{Handful, Item, Message};
use crate::failure::{Code, Failure};
use crate::ledger::Ledger;
use crate::metrics::{Cost, thread_cpu};
use crate::plan::Plan;

/// Documents that are handed to a worker at once, at most.
const HANDFUL: usize = 1024;

/// The reading side of a task.
pub struct Hand<'t> {
    task: &'t Documents<'t>,
    budget: &'t Budget,
    abandoned: &'t AtomicBool,
    workers: Sender<Handful>,
    reply: Sender<Message>,
    items: Vec<Item>,
    bytes: usize,
    number: u64,
    reads: Vec<RawRead>,
    left: u64,
    permit: Option<Permit<'t>>,
}

impl<'t> Hand<'t> {
    /// A reader that has read nothing yet.
    pub fn new(
        task: &'t Documents<'t>,
        budget: &'t Budget,
        abandoned: &'t AtomicBool,
        workers: Sender<Handful>,
        reply: Sender<Message>,
    ) -> Hand<'t> {
        let left = task.run.plan.partitions[task.partition].cap.unwrap_or(u64::MAX);
        Hand {
            task,
            budget,
            abandoned,
            workers,
            reply,
            items: Vec::new(),
            bytes: 0,
            number: 0,
            reads: Vec::new(),
            left,
            permit: None,
        }
    }

    /// Reads to the end and says so; a reader that was stopped goes without a word.
    pub fn read(self) {
        let reply = self.reply.clone();
        // Nothing in the data may make a source fail; if one does after all, its task must hear of it.
        let said = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.read_all())) {
            Ok(said) => said,
            Err(_) => {
                let failure = Failure::new(Code::Failed, "a source ended in a panic");
                Some(Message::Failed(failure.hint("please report it, with what is written above")))
            }
        };
        if let Some(message) = said {
            // A task that has failed no longer listens.
            let _ = reply.send(message);
        }
    }

    fn read_all(mut self) -> Option<Message> {
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
        match read {
            Ok(()) => Some(Message::Read { handfuls: self.number, reads: std::mem::take(&mut self.reads), cost }),
            Err(sources::Error::Stopped) => None,
            Err(sources::Error::World(error)) => Some(Message::Failed(error.into())),
        }
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
            let detail = format!(
                "what the pass before kept of partition {} is gone: run the same command again",
                task.partition
            );
            return Err(Error::damaged(run.store.path("between"), detail).into());
        };
        let group = plan.slices[partition.slice].dedups[task.number - 1];
        let mut findings = Findings::of(run, group, partition.files.clone())?;
        let mut finding = findings.next()?;
        let mut ranks = Ranks::new(plan, task.partition);
        let keeps_no_copy = task.segment.keeps_no_copy();
        for document in DocumentReader::open(&run.store.path(&between.name), &task.segment.signals_before)? {
            let document = document?;
            let rank = ranks.of(&document.id);
            while finding.is_some_and(|found| found.gone < rank) {
                finding = findings.next()?;
            }
            if task.segment.cuts() {
                let (mut parts, mut theirs) = (Vec::new(), Vec::new());
                while let Some(found) = finding.filter(|found| found.gone == rank) {
                    let place = if is_mark(plan, group, &found) { &mut theirs } else { &mut parts };
                    place.extend(found.as_part().map(|part| match keeps_no_copy {
                        true => Part { first: part.first.filter(|first| plan.is_others(*first)), ..part },
                        false => part,
                    }));
                    finding = findings.next()?;
                }
                parts.sort_unstable();
                let marked = plan.groups[group].marks.then(|| Marked::of(plan, &parts, theirs));
                let told = task.segment.room_to_cut(&document, &parts, marked.as_ref());
                self.push(Item::Parted { document, parts, marked, told })?;
                continue;
            }
            let (mut mark, mut gone) = (None, None);
            while let Some(found) = finding.filter(|found| found.gone == rank) {
                let place = if is_mark(plan, group, &found) { &mut mark } else { &mut gone };
                place.get_or_insert(found);
                finding = findings.next()?;
            }
            let item = match (gone, mark) {
                (Some(found), _) if found.is_seen() => {
                    Item::Gone(document, Evidence::found("a Bloom filter has seen it"))
                }
                (Some(found), _) => {
                    let (kept, run) = plan.document_at(found.kept);
                    // Of what has the same key a mark says that it is the same; a receipt says what was compared.
                    let similarity =
                        if task.segment.takes_the_source_s_word() { Finding::UNKNOWN } else { found.similarity };
                    Item::Gone(document, Evidence::Twin { kept, similarity, run })
                }
                (None, Some(found)) => {
                    let mut document = document;
                    let (kept, run) = plan.document_at(found.kept);
                    let known = found.similarity >= 0.0;
                    let values = [
                        Some(Signal::Text(kept.to_string().into())),
                        known.then(|| Signal::Number(f64::from(found.similarity))),
                        run.map(|run| Signal::Text(Box::from(&*run))),
                    ];
                    // What an earlier dedup, mostly the stricter one, said stands.
                    if document.signals.get(SIGNALS[0].name).is_none() {
                        for (signal, value) in SIGNALS.iter().zip(values) {
                            value.into_iter().for_each(|value| document.signals.set(signal.name, value));
                        }
                    }
                    Item::Marked(document)
                }
                (None, None) => Item::Document(document),
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
        let handful = Handful {
            segment: self.task.segment.clone(),
            items: std::mem::take(&mut self.items),
            number: self.number,
            bytes: std::mem::take(&mut self.bytes),
            reply: self.reply.clone(),
        };
        self.number += 1;
        if self.workers.send(handful).is_err() {
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
pub struct Ranks<'p> {
    plan: &'p Plan,
    files: Range<usize>,
    last: (Option<Arc<str>>, usize),
}

impl<'p> Ranks<'p> {
    pub fn new(plan: &'p Plan, partition: usize) -> Ranks<'p> {
        Ranks::within(plan, plan.partitions[partition].files.clone())
    }

    /// Of documents of some raw files.
    pub fn within(plan: &'p Plan, files: Range<usize>) -> Ranks<'p> {
        Ranks { plan, last: (None, files.start), files }
    }

    /// The rank of the next document.
    pub fn of(&mut self, id: &DocumentId) -> Rank {
        // Documents come file by file.
        if self.last.0.as_deref() != Some(&*id.raw_file) {
            let at = (self.last.1..self.files.end).find(|file| self.plan.raw_files[*file].name == id.raw_file);
            self.last = (Some(id.raw_file.clone()), at.unwrap_or(self.files.end));
        }
        Rank { raw_file: self.last.1 as u32, record: id.record }
    }
}
