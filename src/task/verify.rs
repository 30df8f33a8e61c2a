//! Between resolving and judging, where sketches do not tell how alike two documents are: documents
//! that are in a pair leave their evidence, and pairs are compared by it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use corpus::catalog::FORMAT;
use corpus::lists::{Lists, ListsWriter};
use corpus::sorted::Sorter;
use corpus::{DocumentId, PairCounts, table};
use stages::{Dedup, Finding, Rank};

use super::Run;
use super::reading::Ranks;
use super::reference;
use super::resolve::{Findings, candidates, dedup_of, documents_before, file_label, gone};
use crate::failure::Result;
use crate::ledger::Commit;
use crate::metrics::{Cost, thread_cpu};
use crate::plan::{Task, TaskKind};

/// What a partition's documents leave to be compared by: of those alone that are in a pair.
pub fn evidence(run: &Run<'_>, task: &Task, group: usize, partition: usize) -> Result<Option<(Commit, Cost)>> {
    let plan = run.plan;
    let files = plan.partitions[partition].files.clone();
    let documents = || documents_before(run, group, partition);
    evidence_of(run, group, files, documents, &name_of(run, task, partition, "evidence"))
}

/// Evidence of documents of some raw files, which lie in one file.
pub fn evidence_of(
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
    let mut wanted = candidates(run, group, files.clone())?;
    let mut next = wanted.next()?.map(Rank::from_bytes);
    let mut commit = Commit { format: FORMAT, ..Commit::default() };
    if next.is_some() {
        let documents = documents()?;
        let mut ranks = Ranks::within(plan, files);
        let mut id = DocumentId { raw_file: "".into(), record: 0 };
        let mut lists = ListsWriter::new(run.store, name)?;
        let mut hashes = Vec::new();
        table::texts_of(
            &documents,
            &mut |raw_file, record| {
                if *id.raw_file != *raw_file {
                    id.raw_file = Arc::from(raw_file);
                }
                id.record = record;
                let rank = ranks.of(&id);
                while next.is_some_and(|next| next < rank) {
                    next = wanted.next()?.map(Rank::from_bytes);
                }
                Ok(next.filter(|next| *next == rank))
            },
            &mut |rank, text| {
                hashes.clear();
                dedup.evidence(text, &mut hashes);
                lists.push(rank.to_bytes(), &hashes)
            },
        )?;
        commit.evidence = Some(lists.publish()?);
    }
    if run.stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let cost = Cost::from([(format!("evidence {label}"), thread_cpu() - clock)]);
    Ok(Some((commit, cost)))
}

/// The name tells where it is, so that of ten thousand commits none has to be read.
pub fn name_of(run: &Run<'_>, task: &Task, partition: usize, ending: &str) -> String {
    let partition = &run.plan.partitions[partition];
    let slice = run.plan.slices[partition.slice].name;
    format!("between/{slice}-{:05}-{}.{ending}", partition.number, task.id.short())
}

/// Compares the pairs of which a document of one partition may go: as many of these documents at a
/// time as memory has room for, each with the others of its pairs, in order of rank.
pub fn verify(run: &Run<'_>, task: &Task, group: usize, partition: usize) -> Result<Option<(Commit, Cost)>> {
    let plan = run.plan;
    let label = &plan.groups[group].label;
    let dedup = dedup_of(run, group)?;
    let _permit = run.permits.acquire();
    let clock = thread_cpu();
    let files = plan.partitions[partition].files.clone();
    let mut pairs = Findings::open(run, group, plan.groups[group].resolve_pass, Some(files))?;
    let mut alike = Sorter::<{ Finding::WIDTH }>::new(run.store, run.memory.sort);
    let mut counts = PairCounts::default();
    let mut all = AllEvidence::of(run, group);
    let mut block = Block::default();
    let mut last: Option<Finding> = None;
    while let Some(pair) = pairs.next()? {
        if last == Some(pair) {
            continue;
        }
        if last.is_none_or(|last| last.gone != pair.gone) {
            if block.bytes >= run.memory.sort {
                block.compare(&*dedup, &mut all, &mut alike)?;
                if run.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
            }
            block.push(pair.gone, all.read(pair.gone)?);
        }
        block.pair(pair.kept);
        counts.compared += 1;
        last = Some(pair);
    }
    block.compare(&*dedup, &mut all, &mut alike)?;
    counts.alike = alike.count();
    let name = format!("between/{}-{partition:05}-{}.findings", file_label(label), task.id.short());
    let findings = Some(alike.publish(&name)?);
    let commit = Commit { format: FORMAT, findings, pairs: Some(counts), ..Commit::default() };
    let cost = Cost::from([(format!("verify {label}"), thread_cpu() - clock)]);
    Ok(Some((commit, cost)))
}

/// Documents that may go, with their evidence and the others of their pairs.
#[derive(Default)]
struct Block {
    documents: Vec<(Rank, Vec<u64>)>,
    /// The other document, and which of `documents` may go for it.
    pairs: Vec<(Rank, u32)>,
    bytes: usize,
}

impl Block {
    fn push(&mut self, gone: Rank, evidence: Vec<u64>) {
        self.bytes += 8 * evidence.len() + size_of::<(Rank, Vec<u64>)>();
        self.documents.push((gone, evidence));
    }

    fn pair(&mut self, kept: Rank) {
        self.bytes += size_of::<(Rank, u32)>();
        self.pairs.push((kept, self.documents.len() as u32 - 1));
    }

    fn compare(
        &mut self,
        dedup: &dyn Dedup,
        all: &mut AllEvidence<'_, '_>,
        alike: &mut Sorter<'_, { Finding::WIDTH }>,
    ) -> Result<()> {
        self.pairs.sort_unstable();
        let mut other: (Option<Rank>, Vec<u64>) = (None, Vec::new());
        for (kept, number) in self.pairs.drain(..) {
            if other.0 != Some(kept) {
                other = (Some(kept), all.read(kept)?);
            }
            let (gone, evidence) = &self.documents[number as usize];
            if let Some(similarity) = dedup.alike(evidence, &other.1) {
                alike.push(Finding { gone: *gone, kept, similarity }.to_bytes())?;
            }
        }
        self.documents.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// The evidence of all partitions; one file is open at a time.
struct AllEvidence<'r, 'p> {
    run: &'r Run<'p>,
    /// The first raw file of each partition and of each file of another run, with its task.
    partitions: Vec<(u32, &'p Task)>,
    open: Option<(usize, Lists)>,
}

impl<'r, 'p> AllEvidence<'r, 'p> {
    fn of(run: &'r Run<'p>, group: usize) -> AllEvidence<'r, 'p> {
        let plan = run.plan;
        let pass = plan.groups[group].resolve_pass + 1;
        let partitions = plan.passes[pass].tasks.iter().filter_map(|task| match task.kind {
            TaskKind::Evidence { group: of, partition } if of == group => {
                Some((plan.partitions[partition].files.start as u32, task))
            }
            TaskKind::ReferenceEvidence { group: of, part } if of == group => {
                Some((plan.references[part].files.start as u32, task))
            }
            _ => None,
        });
        AllEvidence { run, partitions: partitions.collect(), open: None }
    }

    fn read(&mut self, rank: Rank) -> Result<Vec<u64>> {
        let lost = || gone(self.run, &format!("the evidence of record {} of raw file {}", rank.record, rank.raw_file));
        let at = self.partitions.partition_point(|(first, _)| *first <= rank.raw_file).checked_sub(1);
        let Some(at) = at else { return Err(lost()) };
        if self.open.as_ref().is_none_or(|(open, _)| *open != at) {
            let (_, task) = self.partitions[at];
            let name = match task.kind {
                TaskKind::ReferenceEvidence { part, .. } => reference::name_of(task, part, "evidence"),
                TaskKind::Evidence { partition, .. } => name_of(self.run, task, partition, "evidence"),
                _ => return Err(lost()),
            };
            let path = self.run.store.path(&name);
            self.open = Some((at, Lists::open(&path)?));
        }
        let mut hashes = Vec::new();
        let found = match &mut self.open {
            Some((_, lists)) => lists.read(rank.to_bytes(), &mut hashes)?,
            None => false,
        };
        if found { Ok(hashes) } else { Err(lost()) }
    }
}
