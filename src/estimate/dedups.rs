//! What a dedup takes between two segments, from what it took of a sample: of a sketch, a pair, a document
//! that is compared as much, and of each as many as the sample lets expect of the whole ([`seen`]). Where it
//! shows next to none, the costs are those that `bench/scale` measured of ten million documents.

use std::path::PathBuf;

use corpus::sorted::SortedFile;
use corpus::store::Store;
use serde::Serialize;
use stages::{Rank, Sketch, StageSpec};

use crate::failure::Result;
use crate::ledger::Ledger;
use crate::metrics::Cost;
use crate::plan::{Group, Plan};
use crate::prepare::Prepared;
use crate::report::{count, duration};
use crate::size::Size;

use super::seen::{self, Seen, grown};

/// CPU seconds of a sketch that is read from its partition's file, sorted with all of its range and
/// compared: 40.0 s of 160 million (`bench/scale`).
const SKETCH: f64 = 250e-9;
/// Of a document that is compared by its evidence with those of its pairs: 78.9 s of 2.3 million, of which
/// each has nine (`bench/scale`).
const CANDIDATE: f64 = 34e-6;
/// Of a byte of text that is read again for evidence: 0.17 s of 37 MB (what `bench/minhash` builds, at 60 MB).
const EVIDENCE: f64 = 4.8e-9;
/// Of a pair that is judged as it was found; of those that were compared few are left.
const PAIR: f64 = 200e-9;
/// Of two SimHashes that are compared, of very many that share a block (`bench/scale --stage
/// 'simhash_dedup: { distance: 15 }'`).
const COMPARISON: f64 = 0.11e-9;
/// From so many documents on that share a block it is said what that costs: with a distance of 15 four hours.
const CROWDED: u64 = 1_000_000;
/// The share of documents that are in a pair, or of sketches that repeat, at least, of a corpus that is a
/// million times its sample; of smaller ones it is less, by as much for each power of ten. A sample shows few
/// copies of a whole crawl, of which two fifths were copies in RedPajama-V2's head and middle.
const IN_A_PAIR: f64 = 0.4;
/// The powers of ten of a million.
const MILLION: f64 = 6.0;
/// From so many on what the sample took of one is what others take: of fewer it is mostly the clock.
const ENOUGH: f64 = 5000.0;
/// Bytes of a token of English, nearly: that of GPT-NeoX and its like.
const TOKEN: f64 = 4.0;
/// What records take in memory while a sorter grows, beside another: twenty to fifty per cent more than they have.
const GROWING: f64 = 1.4;
/// Records that a file of sorted ones has once more, in its index.
const INDEX: f64 = 1024.0;
/// What is sorted of a larger corpus takes longer for each: it is merged from more runs, and of more files.
const LARGER: f64 = 1.3;

/// What a dedup takes between two segments.
#[derive(Clone, Debug, Serialize)]
pub struct DedupEstimate {
    /// Its label.
    pub stage: String,
    /// Documents that it compares.
    pub documents: u64,
    /// Sketches that they leave.
    pub sketches: u64,
    /// Bytes of sketches, findings and evidence on disk.
    pub disk: u64,
    /// CPU time of its passes, in seconds.
    pub cpu_seconds: f64,
    /// Memory of its passes, beside what the process has anyway.
    pub memory: u64,
    /// Memory of the sketches that documents leave while they are read.
    #[serde(skip)]
    pub sketching: u64,
    /// How much more it takes from a document than from one of the sample.
    #[serde(skip)]
    pub taken: f64,
    /// What nobody can know before, and is taken to be so.
    pub assumes: Option<String>,
}

impl DedupEstimate {
    /// In a line.
    pub fn words(&self) -> String {
        let assumes = self.assumes.as_ref().map_or(String::new(), |what| format!("; if {what}"));
        format!(
            "{}: {} of {}; {} in between, {} of CPU, {} of memory{assumes}",
            self.stage,
            count(self.sketches, "key"),
            count(self.documents, "document"),
            Size(self.disk),
            duration(self.cpu_seconds),
            Size(self.memory)
        )
    }
}

/// Whether that is spent between two segments.
pub fn is_between(label: &str) -> bool {
    ["resolve ", "evidence ", "sketch again ", "verify ", "judge "].iter().any(|start| label.starts_with(start))
}

/// Sorters of the tasks of a pass, of which so many run at once.
struct Sorters {
    live: f64,
    /// Bytes that each holds, at most.
    most: f64,
}

impl Sorters {
    fn of(sample: &Prepared, tasks: usize) -> Sorters {
        let (live, memory) = sample.shares(tasks);
        Sorters { live: live.min(tasks) as f64, most: memory.sort as f64 }
    }

    /// Memory, and scratch on disk, where each task sorts so many bytes and, while it hands these out, so many
    /// others.
    fn take(&self, first: f64, then: f64) -> (f64, f64) {
        let spills = |bytes: f64| if bytes > self.most { bytes } else { 0.0 };
        // What was spilled is handed out from its files.
        let still = if first > self.most { 0.0 } else { first };
        let held = first.min(self.most).max(still + then.min(self.most));
        (GROWING * self.live * held, self.live * (spills(first) + spills(then)))
    }
}

/// The dedups of a plan, from what a sample of it left; `scales` say how much larger each slice is, and
/// `reading` what a byte of another run's text takes to be read and sketched. What the sample itself took
/// (`spent`) is known; the rest is as much larger as there are more sketches, pairs and documents of each kind.
pub fn estimate(
    sample: &Prepared,
    plan: &Plan,
    store: &Store,
    scales: &[f64],
    reading: f64,
    spent: &Cost,
) -> Result<Vec<DedupEstimate>> {
    let mut dedups = Vec::new();
    for (group, (of_sample, of_plan)) in sample.plan.groups.iter().zip(&plan.groups).enumerate() {
        let (seen, whole) = expected(sample, plan, store, scales, group)?;
        let blocks = Blocks::of(&of_plan.spec, whole.documents);
        let room = room(sample, plan, group, &whole, &blocks);
        dedups.push(DedupEstimate {
            stage: of_plan.label.clone(),
            documents: whole.documents as u64,
            sketches: whole.sketches as u64,
            disk: room.disk as u64,
            cpu_seconds: cpu(&of_sample.label, of_plan, spent, &seen, &whole, &blocks)
                + reading * plan.kept_by_others(group).bytes as f64,
            memory: room.memory as u64,
            sketching: room.sketching as u64,
            taken: match (of_plan.twice, seen.found > 0) {
                (true, _) if seen.found_again > 0 => whole.found_again / seen.found_again as f64 / whole.scale,
                (false, true) => whole.found / seen.found as f64 / whole.scale,
                _ => 1.0,
            }
            .max(1.0),
            assumes: assumes(of_plan, &whole, &blocks),
        });
    }
    Ok(dedups)
}

/// How much there is for a dedup to do in the whole.
struct Whole {
    /// Documents that are compared, ours and another run's.
    documents: f64,
    /// Bytes of their texts, and places from which on something may repeat: bytes, or tokens.
    text: f64,
    units: f64,
    /// What they leave, what the sample's left, and how many times as many these are.
    sketches: f64,
    sketches_seen: f64,
    scale: f64,
    /// The share of documents that are in a pair, how many these are and the bytes of their evidence.
    in_a_pair: f64,
    candidates: f64,
    evidence: f64,
    /// What ranges find, and what of that is alike.
    found: f64,
    alike: f64,
    /// Sketches that documents leave the second time, and what is found among them.
    again: f64,
    found_again: f64,
    /// What the judge finds.
    judged: f64,
}

/// What documents of the sample left for a dedup to compare, and as much more as there is more of each slice.
#[derive(Default)]
struct Counted {
    documents: f64,
    documents_seen: f64,
    sketches: f64,
    sketches_seen: f64,
    /// Bytes of their texts.
    text: f64,
    /// The sample's sketches.
    files: Vec<PathBuf>,
}

fn counted(sample: &Prepared, store: &Store, scales: &[f64], group: usize) -> Result<Counted> {
    let ledger = Ledger::new(store);
    let mut counted = Counted::default();
    for index in &sample.plan.groups[group].slices {
        let slice = &sample.plan.slices[*index];
        let Some(segment) = slice.dedups.iter().position(|known| *known == group) else { continue };
        for partition in slice.partitions.clone() {
            let Some(task) = sample.plan.documents_task(partition, segment) else { continue };
            let Some(commit) = ledger.commit_of(&task.id)? else { continue };
            let Some(file) = commit.sketches else { continue };
            let path = store.path(&file.name);
            let (keys, kept) = (SortedFile::<{ Sketch::WIDTH }>::open(&path)?.count() as f64, commit.counts.kept);
            counted.documents_seen += kept.documents as f64;
            counted.sketches_seen += keys;
            counted.documents += scales[*index] * kept.documents as f64;
            counted.text += scales[*index] * kept.bytes as f64;
            counted.sketches += scales[*index] * keys;
            counted.files.push(path);
        }
    }
    Ok(counted)
}

/// What the sample left of a dedup, and what the whole is expected to.
fn expected(sample: &Prepared, plan: &Plan, store: &Store, scales: &[f64], group: usize) -> Result<(Seen, Whole)> {
    let of_plan = &plan.groups[group];
    let Counted { documents: ours, documents_seen, mut sketches, sketches_seen, mut text, files } =
        counted(sample, store, scales, group)?;
    let seen = seen::look(sample, store, group, &files)?;
    // Another run's documents are compared too, and leave as much as ours.
    let others = plan.kept_by_others(group);
    sketches *= 1.0 + others.documents as f64 / ours.max(1.0);
    let documents = ours + others.documents as f64;
    text += others.bytes as f64;
    let scale = sketches / sketches_seen.max(1.0);
    let least = match others.documents {
        0 => IN_A_PAIR * (scale.max(1.0).log10() / MILLION).min(1.0),
        // Of what two runs have in common a sample of one shows nothing.
        _ => IN_A_PAIR,
    };
    let share = |seen: f64, all: f64, growth: f64| grown((seen / all.max(1.0)).min(1.0), growth, scale).max(least);
    let (found_seen, growth) = (seen.found as f64, seen.growth);
    let of_a_document = sketches / documents.max(1.0);

    // Documents in a pair, what tells how alike they are, and their pairs: one by each key that is shared, but
    // that a range knows each pair once.
    let candidates_seen = seen.candidates as f64;
    let in_a_pair = share(candidates_seen, documents_seen, growth.documents);
    let candidates = if of_plan.verified { in_a_pair * documents } else { 0.0 };
    let keys = each(seen.repeated * sketches_seen, candidates_seen, of_a_document);
    let pairs = (each(found_seen, candidates_seen, keys) * of_plan.ranges as f64).min(keys);
    // Eight bytes for each word; a word has six bytes, with what parts it from the next.
    let words = 8.0 / 6.0 * text / documents.max(1.0);
    let evidence = candidates * each(seen.evidence as f64, candidates_seen, words);
    let found = match (of_plan.verified, of_plan.twice) {
        (true, _) => candidates * pairs,
        (_, true) => share(found_seen, sketches_seen, growth.shared) * sketches,
        _ => share(found_seen, sketches_seen, growth.again) * sketches,
    };
    let alike = if of_plan.verified { found * each(seen.alike as f64, found_seen, 1.0).min(1.0) } else { 0.0 };
    let judged = if of_plan.judged {
        (ours * share(seen.judged as f64, documents_seen, growth.documents)).min(ours)
    } else {
        0.0
    };

    // A sketch for each byte, or token, from which on something may repeat, and a finding for each but the
    // first of those that do.
    let units = if of_plan.spec.needs_tokenizer() { text / TOKEN } else { text };
    let again_seen = seen.again as f64;
    let again = match of_plan.twice {
        true => found * each(again_seen, found_seen, units / sketches.max(1.0)),
        false => 0.0,
    };
    // The more copies there are of each, the larger the part of them that goes.
    let goes = |scale| grown(seen.later, growth.again, scale) / grown(seen.repeated, growth.shared, scale).max(1e-9);
    let more = if seen.later > 0.0 { goes(scale) / goes(1.0) } else { 1.0 };
    let found_again = (again * each(seen.found_again as f64, again_seen, 0.5) * more).min(again);
    let whole = Whole {
        documents,
        text,
        units,
        sketches,
        sketches_seen,
        scale,
        in_a_pair,
        candidates,
        evidence,
        found,
        alike,
        again,
        found_again,
        judged,
    };
    Ok((seen, whole))
}

/// How many were seen of each, if any were.
fn each(seen: f64, of: f64, otherwise: f64) -> f64 {
    if of > 0.0 && seen > 0.0 { seen / of } else { otherwise }
}

/// SimHashes that share a block are compared, many at a time: how many, the bytes that one takes in memory,
/// and how often two are compared.
#[derive(Default)]
struct Blocks {
    documents: u64,
    held: f64,
    comparisons: f64,
}

impl Blocks {
    fn of(spec: &StageSpec, documents: f64) -> Blocks {
        let StageSpec::SimhashDedup(options) = spec else { return Blocks::default() };
        let (of_a_block, held, comparisons) = options.comparisons(documents as u64);
        Blocks { documents: of_a_block, held: held as f64, comparisons: comparisons as f64 }
    }
}

/// Bytes that a dedup takes.
struct Room {
    disk: f64,
    memory: f64,
    sketching: f64,
}

/// Each pass: how much its tasks sort, each the same share; what they leave.
fn room(sample: &Prepared, plan: &Plan, group: usize, whole: &Whole, blocks: &Blocks) -> Room {
    let of_plan = &plan.groups[group];
    let Whole { documents, sketches, candidates, evidence, found, alike, again, found_again, judged, .. } = *whole;
    let (partitions, ranges) = (partitions_of(plan, group), of_plan.ranges);
    let width = Sketch::WIDTH as f64;
    let per = |amount: f64, tasks: usize| amount / tasks.max(1) as f64;
    let (sketching, spilled) = Sorters::of(sample, partitions).take(width * per(sketches, partitions), 0.0);
    // A file has an index beside its records.
    let filed = |bytes: f64, files: usize| bytes + bytes.min(INDEX * width * files as f64);
    let mut lies = filed(width * sketches, partitions);
    let (mut disk, mut memory) = (lies + spilled, 0.0f64);
    let mut pass = |tasks: usize, [first, then]: [f64; 2], held: f64, leaves: f64| {
        let sorters = Sorters::of(sample, tasks);
        let (sorting, spilled) = sorters.take(per(first, tasks), per(then, tasks));
        memory = memory.max(sorting + sorters.live * held);
        lies += leaves;
        disk = disk.max(lies + spilled);
    };
    let (_, of_range) = sample.shares(ranges);
    let held = (blocks.documents as f64 * blocks.held).min(of_range.state as f64);
    let ranks = Rank::WIDTH as f64 * candidates;
    pass(ranges, [width * sketches, width * found + ranks], held, filed(width * found + ranks, ranges));
    if of_plan.verified {
        pass(partitions, [0.0; 2], 0.0, evidence);
        let compared = [evidence.min(sample.memory as f64), width * alike];
        pass(partitions, compared, 0.0, filed(width * alike, partitions));
    }
    if of_plan.twice {
        pass(partitions, [width * again, 0.0], 0.0, filed(width * again, partitions));
        pass(ranges, [width * again, width * found_again], 0.0, filed(width * found_again, ranges));
    }
    if of_plan.judged {
        // What a judge holds of every document, or of those that stay, and a sorter.
        let (_, alone) = sample.shares(1);
        let state = documents * of_plan.spec.state_bits() as f64 / 8.0;
        let stay = match &of_plan.spec {
            StageSpec::SimhashDedup(options) => (found.min(documents) - judged).max(0.0) * options.held() as f64,
            _ => 0.0,
        };
        pass(1, [width * judged, 0.0], (state + stay).min(alone.state as f64), filed(width * judged, 1));
    }
    Room { disk, memory, sketching }
}

/// What the sample took, and for all that there is more of, as much again for each.
fn cpu(label: &str, of_plan: &Group, spent: &Cost, seen: &Seen, whole: &Whole, blocks: &Blocks) -> f64 {
    let Whole { text, sketches, sketches_seen, scale, in_a_pair, candidates, evidence, found, alike, again, .. } =
        *whole;
    let (found_seen, again_seen) = (seen.found as f64, seen.again as f64);
    let took = |verb: &str, end: &str| spent.get(&format!("{verb} {label}{end}")).copied().unwrap_or(0.0);
    let cost = |measured: f64, seen: f64, all: f64, otherwise: f64| {
        let one = if seen >= ENOUGH { measured / seen } else { otherwise };
        measured + one * (all - seen).max(0.0)
    };
    let sorted = |measured: f64, seen: f64, all: f64| {
        measured + LARGER * (cost(measured, seen, all, SKETCH / LARGER) - measured)
    };
    // Many that are near each other meet in pairs, which are few where few are found.
    let resolving = took("resolve", "");
    let (meeting, more) = match of_plan.spec {
        StageSpec::SimhashDedup(_) if 2.0 * found_seen > sketches_seen && sketches_seen >= ENOUGH => {
            ((resolving - SKETCH * sketches_seen).max(0.0), scale * scale)
        }
        _ => (0.0, 1.0),
    };
    let mut cpu = sorted(resolving - meeting, sketches_seen + found_seen, sketches + found)
        + meeting * more
        + COMPARISON * blocks.comparisons;
    if of_plan.verified {
        let one = EVIDENCE * text * in_a_pair / evidence.max(1.0);
        cpu += cost(took("evidence", ""), seen.evidence as f64, evidence, one)
            + cost(took("verify", ""), found_seen, found, CANDIDATE * candidates / found.max(1.0));
    }
    if of_plan.twice {
        cpu +=
            sorted(took("sketch again", ""), again_seen, again) + sorted(took("resolve", " again"), again_seen, again);
    }
    if of_plan.judged {
        let (pairs_seen, pairs) = if of_plan.verified { (seen.alike as f64, alike) } else { (found_seen, found) };
        cpu += cost(took("judge", ""), pairs_seen, pairs, PAIR);
    }
    cpu
}

/// What nobody can know before.
fn assumes(of_plan: &Group, whole: &Whole, blocks: &Blocks) -> Option<String> {
    match (of_plan.twice, of_plan.verified) {
        _ if blocks.documents > CROWDED => Some(format!(
            "{} share each block of their SimHashes, and what comparing them takes grows with the square of all: a \
             smaller distance takes less",
            count(blocks.documents, "document")
        )),
        _ if whole.scale < 1.01 => None,
        (true, _) => Some(format!(
            "{:.0} % of the text repeats: more takes more",
            100.0 * whole.found_again / whole.units.max(1.0)
        )),
        (_, true) => Some(format!("{:.0} % of the documents are in a pair", 100.0 * whole.in_a_pair)),
        _ => None,
    }
}

/// The partitions whose documents a dedup compares.
fn partitions_of(plan: &Plan, group: usize) -> usize {
    plan.groups[group].slices.iter().map(|slice| plan.slices[*slice].partitions.len()).sum()
}
