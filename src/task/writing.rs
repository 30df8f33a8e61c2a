//! The writing side of a task: documents, dropped documents, sketches, shards.

use corpus::catalog::{FORMAT, ShardEntry};
use corpus::shard::ShardWriter;
use corpus::sorted::Sorter;
use corpus::store::Store;
use corpus::table::{CutReceipt, CutWriter, DocumentWriter, DroppedWriter, Life, ProvenanceWriter};
use corpus::{Digest, Document, Error, Tokenizer};
use stages::{First, Sketch};

use super::reading::Ranks;
use super::segment::{Outcome, Taken};
use super::{Documents, Run};
use crate::failure::Result;
use crate::ledger::Commit;
use crate::metrics::{Cost, thread_cpu};

/// A shard has at most this many documents, so that its index is written from bounded memory.
const SHARD_DOCUMENTS: u64 = 1 << 20;

/// Of each shard, the documents whose number is a multiple of this are decoded again and compared.
const CHECK_EVERY: u64 = 4096;

/// The files that a task is writing.
pub struct Writing<'t> {
    task: &'t Documents<'t>,
    part: String,
    documents: Option<DocumentWriter>,
    dropped: Option<DroppedWriter>,
    cut: Option<CutWriter>,
    sketches: Option<Sorter<'t, { Sketch::WIDTH }>>,
    ranks: Ranks<'t>,
    first_file: u32,
    packing: Option<Packing<'t>>,
    pub commit: Commit,
}

impl<'t> Writing<'t> {
    /// Starts the files that are written in any case.
    pub fn new(task: &'t Documents<'t>) -> Result<Writing<'t>> {
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
            cut: None,
            sketches: sketched.then(|| Sorter::new(run.store, run.memory.sort)),
            ranks: Ranks::new(run.plan, task.partition),
            first_file: partition.files.start as u32,
            packing,
            commit: Commit { format: FORMAT, ..Commit::default() },
        })
    }

    /// Writes what became of a handful.
    pub fn write(&mut self, outcomes: Vec<Outcome>, cuts: &[Taken], cost: &mut Cost) -> Result<()> {
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
                        // Where the partition stands in the run is added when sketches are resolved:
                        // a raw file that is added before it must not change what it leaves.
                        let mut rank = self.ranks.of(&document.id);
                        rank.raw_file -= self.first_file;
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
        for taken in cuts {
            self.told(taken)?;
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

    /// Writes what a dedup took from a document.
    fn told(&mut self, taken: &Taken) -> Result<()> {
        let (store, plan) = (self.task.run.store, self.task.run.plan);
        let Some((stage, reason)) = self.task.segment.cut_by() else { return Ok(()) };
        let writer = match &mut self.cut {
            Some(writer) => writer,
            none => none.insert(CutWriter::new(store, &format!("cut/{}.parquet", self.part))?),
        };
        let mut from = 0;
        for (cut, to) in &taken.cuts {
            let (kept, run) = match cut.first {
                First::Document(rank) => {
                    let (kept, run) = plan.document_at(rank);
                    (Some(kept), run)
                }
                First::Itself => (Some(taken.id.clone()), None),
                First::Nobody => (None, None),
            };
            writer.push(&CutReceipt {
                stage,
                reason,
                id: &taken.id,
                start: cut.start as u64,
                end: cut.end as u64,
                begins: &taken.begins[std::mem::replace(&mut from, *to)..*to],
                kept: kept.as_ref(),
                run: run.as_deref(),
            })?;
        }
        Ok(())
    }

    fn dropped(&mut self, store: &Store) -> Result<&mut DroppedWriter, Error> {
        match &mut self.dropped {
            Some(writer) => Ok(writer),
            none => Ok(none.insert(DroppedWriter::new(store, &format!("dropped/{}.parquet", self.part))?)),
        }
    }

    /// Publishes all files.
    pub fn finish(mut self) -> Result<Commit> {
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
        self.commit.cut = self.cut.map(CutWriter::publish).transpose()?;
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
