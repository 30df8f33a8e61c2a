//! What a dedup takes between two segments, from what it took of a sample: of a sketch, a pair, a document
//! that is compared as much, and of each as many as the sample lets expect of the whole ([`seen`]). Where it
//! shows next to none, the costs are those that `bench/scale` measured of ten million documents.

use corpus::sorted::SortedFile;
use corpus::store::Store;
use serde::Serialize;
use stages::{Rank, Sketch, StageSpec};

use crate::failure::Result;
use crate::ledger::Ledger;
use crate::metrics::Cost;
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::report::{count, duration};
use crate::size::Size;

use super::seen::{self, grown};

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
    let ledger = Ledger::new(store);
    let mut dedups = Vec::new();
    for (group, (of_sample, of_plan)) in sample.plan.groups.iter().zip(&plan.groups).enumerate() {
        let (mut documents, mut sketches, mut text) = (0.0, 0.0, 0.0);
        let (mut documents_seen, mut sketches_seen) = (0.0, 0.0);
        let mut files = Vec::new();
        for index in &of_sample.slices {
            let slice = &sample.plan.slices[*index];
            let Some(segment) = slice.dedups.iter().position(|known| *known == group) else { continue };
            for partition in slice.partitions.clone() {
                let Some(task) = sample.plan.documents_task(partition, segment) else { continue };
                let Some(commit) = ledger.commit_of(&task.id)? else { continue };
                let Some(file) = commit.sketches else { continue };
                let keys = SortedFile::<{ Sketch::WIDTH }>::open(&store.path(&file.name))?.count() as f64;
                documents_seen += commit.counts.kept.documents as f64;
                sketches_seen += keys;
                documents += scales[*index] * commit.counts.kept.documents as f64;
                text += scales[*index] * commit.counts.kept.bytes as f64;
                sketches += scales[*index] * keys;
                files.push(store.path(&file.name));
            }
        }
        let seen = seen::look(sample, store, group, &files)?;
        // Another run's documents are compared too, and leave as much as ours.
        let others = plan.kept_by_others(group);
        let ours = documents;
        sketches *= 1.0 + others.documents as f64 / documents.max(1.0);
        documents += others.documents as f64;
        text += others.bytes as f64;
        let scale = sketches / sketches_seen.max(1.0);
        let least = match others.documents {
            0 => IN_A_PAIR * (scale.max(1.0).log10() / MILLION).min(1.0),
            // Of what two runs have in common a sample of one shows nothing.
            _ => IN_A_PAIR,
        };
        let share = |seen: f64, all: f64, growth: f64| grown((seen / all.max(1.0)).min(1.0), growth, scale).max(least);
        let each = |seen: f64, of: f64, otherwise: f64| if of > 0.0 && seen > 0.0 { seen / of } else { otherwise };
        let (found_seen, growth) = (seen.found as f64, seen.growth);
        let of_a_document = sketches / documents.max(1.0);
        let shared = share(found_seen, sketches_seen, growth.shared);

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
            (_, true) => shared * sketches,
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
        let goes =
            |scale| grown(seen.later, growth.again, scale) / grown(seen.repeated, growth.shared, scale).max(1e-9);
        let more = if seen.later > 0.0 { goes(scale) / goes(1.0) } else { 1.0 };
        let found_again = (again * each(seen.found_again as f64, again_seen, 0.5) * more).min(again);

        // Each pass: how much its tasks sort, each the same share; what they leave.
        let (partitions, ranges) = (partitions_of(plan, group), of_plan.ranges);
        let width = Sketch::WIDTH as f64;
        let per = |amount: f64, tasks: usize| amount / tasks.max(1) as f64;
        let (sketching, spilled) = Sorters::of(sample, partitions).take(width * per(sketches, partitions), 0.0);
        // A file has an index beside its records.
        let filed = |bytes: f64, files: usize| bytes + bytes.min(INDEX * width * files as f64);
        let mut disk = filed(width * sketches, partitions);
        let mut most = disk + spilled;
        let mut memory: f64 = 0.0;
        let mut pass = |tasks: usize, [first, then]: [f64; 2], held: f64, leaves: f64| {
            let sorters = Sorters::of(sample, tasks);
            let (sorting, spilled) = sorters.take(per(first, tasks), per(then, tasks));
            memory = memory.max(sorting + sorters.live * held);
            disk += leaves;
            most = most.max(disk + spilled);
        };
        // SimHashes that share a block are compared, many at a time.
        let (in_a_block, held, comparisons) = match &of_plan.spec {
            StageSpec::SimhashDedup(options) => options.comparisons(documents as u64),
            _ => (0, 0, 0),
        };
        let (_, of_range) = sample.shares(ranges);
        let held = (in_a_block as f64 * held as f64).min(of_range.state as f64);
        let ranks = Rank::WIDTH as f64 * each(seen.candidates as f64, candidates_seen, 1.0) * candidates;
        pass(ranges, [width * sketches, width * found + ranks], held, filed(width * found + ranks, ranges));
        if of_plan.verified {
            pass(partitions, [0.0; 2], 0.0, evidence);
            pass(
                partitions,
                [evidence.min(sample.memory as f64), width * alike],
                0.0,
                filed(width * alike, partitions),
            );
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

        // What the sample took, and for all that there is more of, as much again for each.
        let label =
            |verb: &str, end: &str| spent.get(&format!("{verb} {}{end}", of_sample.label)).copied().unwrap_or(0.0);
        let cost = |measured: f64, seen: f64, all: f64, otherwise: f64| {
            let one = if seen >= ENOUGH { measured / seen } else { otherwise };
            measured + one * (all - seen).max(0.0)
        };
        let sorted = |measured: f64, seen: f64, all: f64| {
            measured + LARGER * (cost(measured, seen, all, SKETCH / LARGER) - measured)
        };
        // Many that are near each other meet in pairs, which are few where few are found.
        let resolving = label("resolve", "");
        let (meeting, more) = match of_plan.spec {
            StageSpec::SimhashDedup(_) if 2.0 * found_seen > sketches_seen && sketches_seen >= ENOUGH => {
                ((resolving - SKETCH * sketches_seen).max(0.0), scale * scale)
            }
            _ => (0.0, 1.0),
        };
        let mut cpu = sorted(resolving - meeting, sketches_seen + found_seen, sketches + found)
            + meeting * more
            + COMPARISON * comparisons as f64;
        if of_plan.verified {
            let (evidence_seen, pairs) = (seen.evidence as f64, found_seen);
            let one = EVIDENCE * text * in_a_pair / evidence.max(1.0);
            cpu += cost(label("evidence", ""), evidence_seen, evidence, one)
                + cost(label("verify", ""), pairs, found, CANDIDATE * candidates / found.max(1.0));
        }
        if of_plan.twice {
            cpu += sorted(label("sketch again", ""), again_seen, again)
                + sorted(label("resolve", " again"), again_seen, again);
        }
        if of_plan.judged {
            let (pairs_seen, pairs) = if of_plan.verified { (seen.alike as f64, alike) } else { (found_seen, found) };
            cpu += cost(label("judge", ""), pairs_seen, pairs, PAIR);
        }
        dedups.push(DedupEstimate {
            stage: of_plan.label.clone(),
            documents: documents as u64,
            sketches: sketches as u64,
            disk: most as u64,
            cpu_seconds: cpu + reading * others.bytes as f64,
            memory: memory as u64,
            sketching: sketching as u64,
            taken: match (of_plan.twice, found_seen > 0.0) {
                (true, _) if seen.found_again > 0 => (found_again / seen.found_again as f64 / scale).max(1.0),
                (false, true) => (found / found_seen / scale).max(1.0),
                _ => 1.0,
            },
            assumes: match (of_plan.twice, of_plan.verified) {
                _ if in_a_block > CROWDED => Some(format!(
                    "{} share each block of their SimHashes, and what comparing them takes grows with the square of all: a \
                     smaller distance takes less",
                    count(in_a_block, "document")
                )),
                _ if scale < 1.01 => None,
                (true, _) => Some(format!("{:.0} % of the text repeats: more takes more", 100.0 * found_again / units.max(1.0))),
                (_, true) => Some(format!("{:.0} % of the documents are in a pair", 100.0 * in_a_pair)),
                _ => None,
            },
        });
    }
    Ok(dedups)
}

/// The partitions whose documents a dedup compares.
fn partitions_of(plan: &Plan, group: usize) -> usize {
    plan.groups[group].slices.iter().map(|slice| plan.slices[*slice].partitions.len()).sum()
}
