//! The stages between two dedups, and what happens to a handful of documents in them.

use std::sync::Arc;

use corpus::manifest::RawRead;
use corpus::{Counts, Document, DocumentId, Evidence, Reason, SignalSpec, Tokenizer, Verdict};
use crossbeam_channel::{Receiver, Sender};
use stages::{Built, Cut, Dedup, Key, Kind, Models, Part, Stage, Workspace};

use super::Permits;
use super::marking::Marked;
use crate::failure::{Code, Failure, Result};
use crate::metrics::{Cost, thread_cpu};
use crate::plan::Plan;

/// A segment of a slice's stages, ready to run.
pub struct Segment {
    stages: Vec<Ready>,
    /// The dedup that ends it.
    pub dedup: Option<Box<dyn Dedup>>,
    /// Whether that compares tokens.
    compares_tokens: bool,
    /// The dedup that went before, and its label.
    before: Option<(String, Box<dyn Dedup>)>,
    pub pack: Option<stages::pack::Pack>,
    tokenizer: Option<Arc<dyn Tokenizer>>,
    pub signals_before: Vec<SignalSpec>,
    pub signals_after: Vec<SignalSpec>,
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
            compares_tokens: false,
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
            ready.compares_tokens = plan.groups[*group].spec.needs_tokenizer();
        }
        if let Some(before) = segment.checked_sub(1) {
            let label = slice_plan.stages[slice_plan.segments[before].end].0.clone();
            ready.before = Some((label, dedup_of(slice_plan.dedups[before])?));
        }
        Ok(ready)
    }

    /// Whether the dedup that went before takes parts from documents.
    pub fn cuts(&self) -> bool {
        self.before.as_ref().is_some_and(|(_, dedup)| dedup.cuts())
    }

    /// Whether no document of this run keeps what that dedup takes from others.
    pub fn keeps_no_copy(&self) -> bool {
        self.before.as_ref().is_some_and(|(_, dedup)| dedup.keeps_no_copy())
    }

    /// Whether that dedup takes documents for the same by what their source said of them.
    pub fn takes_the_source_s_word(&self) -> bool {
        self.before.as_ref().is_some_and(|(_, dedup)| dedup.takes_the_source_s_word())
    }

    /// The dedup that went before, by its label, and why documents go.
    pub fn cut_by(&self) -> Option<(&str, Reason)> {
        self.before.as_ref().map(|(label, dedup)| (&**label, dedup.reason()))
    }

    /// About how many bytes that dedup takes to tell what it took from a document, and to find what it would take
    /// beside.
    pub fn room_to_cut(&self, document: &Document, parts: &[Part], marked: Option<&Marked>) -> usize {
        let Some((_, dedup)) = &self.before else { return 0 };
        let text = document.text();
        let told = if dedup.receipts() { Taken::room(dedup.most_cuts(text, parts), text) } else { 0 };
        let marked = marked.map_or(0, |marked| match marked.parts.is_empty() {
            true => 0,
            // What would be left, and a vector that grows.
            false => text.len() + 2 * size_of::<Cut>() * dedup.most_cuts(text, &marked.parts),
        });
        told + marked
    }

    /// Takes one handful through all stages, stage by stage.
    fn work(&self, items: Vec<Item>, workspace: &mut Workspace) -> Worked {
        let mut counts = Counts::default();
        let mut cost = Cost::new();
        let mut cuts = Vec::new();
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(items.len());
        let mut clock = thread_cpu();
        let mut lap = |cost: &mut Cost, label: &str| {
            let now = thread_cpu();
            *cost.entry(label.to_owned()).or_default() += now - clock;
            clock = now;
        };
        for item in items {
            outcomes.push(match (item, &self.before) {
                (Item::Unusable { id, reason, evidence, bytes }, _) => {
                    counts.unusable(reason, bytes);
                    Outcome::Unusable { id, reason, evidence, bytes }
                }
                (Item::Marked(document), Some((label, _))) => {
                    counts.stage(label).marked += 1;
                    Outcome::Kept(document, Vec::new())
                }
                (Item::Document(document), _)
                | (Item::Gone(document, _) | Item::Parted { document, .. } | Item::Marked(document), None) => {
                    Outcome::Kept(document, Vec::new())
                }
                (Item::Gone(document, evidence), Some((label, dedup))) => {
                    counts.stage(label).dropped += 1;
                    counts.drop(dedup.reason(), document.read_bytes());
                    Outcome::dropped(label, document, dedup.reason(), evidence)
                }
                (Item::Parted { mut document, parts, marked, .. }, Some((label, dedup))) => {
                    // Before the cut that counts, since both write the dedup's signals.
                    let would_leave = marked.as_ref().and_then(|marked| marked.would_leave(&mut document, &**dedup));
                    let before = document.text().len();
                    let mut cut = Vec::new();
                    let (verdict, left) = dedup.cut(&mut document, &parts, &mut cut);
                    if dedup.receipts() {
                        cuts.extend(Taken::of(&document, cut));
                    }
                    let counted = counts.stage(label);
                    counted.measured += 1;
                    counted.edited += u64::from(left.is_some());
                    if let Some(left) = left {
                        document.edit(left);
                    }
                    match verdict {
                        Verdict::Keep => {
                            let has = |marked: Marked| marked.write(&mut document, would_leave);
                            counted.marked += u64::from(marked.is_some_and(has));
                            counted.cut += (before - document.text().len()) as u64;
                            Outcome::Kept(document, Vec::new())
                        }
                        Verdict::Drop(reason, evidence) => {
                            counted.dropped += 1;
                            counted.cut += before as u64;
                            counts.drop(reason, document.read_bytes());
                            Outcome::dropped(label, document, reason, evidence)
                        }
                    }
                }
            });
        }
        if let Some((label, _)) = &self.before {
            counts.stage(label).seen += outcomes.len() as u64;
            lap(&mut cost, label);
        }
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
        if let Some(tokenizer) = self.tokenizer.as_ref().filter(|_| self.compares_tokens) {
            for outcome in &outcomes {
                if let Outcome::Kept(document, _) = outcome {
                    document.tokens(&**tokenizer);
                }
            }
            lap(&mut cost, "tokenize");
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
        Worked { outcomes, cuts, counts, cost }
    }
}

/// What a reader hands on.
pub enum Item {
    Document(Document),
    /// A dedup found that it goes.
    Gone(Document, Evidence),
    /// A dedup marked it.
    Marked(Document),
    /// A dedup takes parts from it.
    Parted {
        document: Document,
        parts: Vec<Part>,
        /// Those that it would take if another run's documents counted, if it marks what these have.
        marked: Option<Marked>,
        /// About how many bytes it takes to cut and to tell of it.
        told: usize,
    },
    Unusable {
        id: DocumentId,
        reason: Reason,
        evidence: Evidence,
        bytes: u64,
    },
}

impl Item {
    /// Roughly the bytes that it takes in memory.
    pub fn footprint(&self) -> usize {
        match self {
            Item::Document(document) | Item::Marked(document) | Item::Gone(document, _) => document.footprint(),
            Item::Parted { document, parts, marked, told } => {
                let theirs = marked.as_ref().map_or(0, |marked| marked.parts.len());
                document.footprint() + size_of::<Part>() * (parts.len() + theirs) + told
            }
            Item::Unusable { .. } => 256,
        }
    }
}

/// What became of it.
pub enum Outcome {
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

/// Characters of what was taken from a document that its receipt shows.
const BEGINS: usize = 60;

/// What a dedup took from a document.
pub struct Taken {
    pub id: DocumentId,
    /// Each stretch, and where what it begins with ends in `begins`.
    pub cuts: Vec<(Cut, usize)>,
    pub begins: String,
}

impl Taken {
    /// What is told of stretches of a document, if there is something to tell.
    fn of(document: &Document, mut cut: Vec<Cut>) -> Option<Taken> {
        let text = document.text();
        // Stretches that meet may do so within a character, which the earlier one then leaves to the later; and an
        // empty line is told of by what stands around it, but of an empty document.
        cut.retain_mut(|cut| {
            (cut.start, cut.end) = (text.floor_char_boundary(cut.start), text.floor_char_boundary(cut.end));
            cut.start < cut.end || text.is_empty()
        });
        let mut taken = Taken { id: document.id.clone(), cuts: Vec::with_capacity(cut.len()), begins: String::new() };
        for cut in cut {
            taken.begins.extend(text[cut.start..cut.end].trim().chars().take(BEGINS));
            taken.cuts.push((cut, taken.begins.len()));
        }
        (!taken.cuts.is_empty()).then_some(taken)
    }

    /// Bytes that so many stretches of a text may take, with those that they were made of.
    fn room(most: usize, text: &str) -> usize {
        let begins = 4 * BEGINS * most;
        // A vector that grows has room for twice as many.
        (size_of::<(Cut, usize)>() + 2 * size_of::<Cut>()) * most + 2 * begins.min(text.len())
    }
}

/// What became of a handful.
pub struct Worked {
    pub outcomes: Vec<Outcome>,
    /// What dedups took from documents, in order.
    pub cuts: Vec<Taken>,
    pub counts: Counts,
    pub cost: Cost,
}

/// A handful on its way through a worker.
pub struct Handful {
    pub segment: Arc<Segment>,
    pub items: Vec<Item>,
    pub number: u64,
    pub bytes: usize,
    pub reply: Sender<Message>,
}

pub enum Message {
    Worked { number: u64, bytes: usize, worked: Worked },
    Read { handfuls: u64, reads: Vec<RawRead>, cost: Cost },
    Failed(Failure),
}

/// Takes handfuls through their stages until nobody sends any more.
pub fn work(handfuls: &Receiver<Handful>, permits: &Permits) {
    let mut workspace = Workspace::default();
    for handful in handfuls {
        let permit = permits.acquire();
        // Nothing in the data may make a stage fail; if one does after all, its task must hear of it.
        let work = std::panic::AssertUnwindSafe(|| handful.segment.work(handful.items, &mut workspace));
        let message = match std::panic::catch_unwind(work) {
            Ok(worked) => Message::Worked { number: handful.number, bytes: handful.bytes, worked },
            Err(_) => {
                let failure = Failure::new(Code::Failed, "a stage ended in a panic");
                Message::Failed(failure.hint("please report it, with what is written above"))
            }
        };
        drop(permit);
        // A task that has failed no longer listens.
        let _ = handful.reply.send(message);
    }
}
