//! What a dedup takes between two segments: counted, not measured on the sample, since it does not
//! grow as the text does and a small sample has few copies; but for what the sample is of all, which was
//! measured. The costs are those that `bench/scale` measured of ten million documents. Beside what runs
//! took, the CPU time was 1.09 to 1.33 times as much, and the memory 1.02 to 1.26 (150 MB of pages, alone
//! and against another run; books; a dozen texts of 12 MB).

use corpus::sorted::SortedFile;
use corpus::store::Store;
use serde::Serialize;
use stages::{Finding, Rank, Sketch, StageSpec};

use crate::failure::Result;
use crate::ledger::Ledger;
use crate::metrics::Cost;
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::report::{count, duration};
use crate::size::Size;

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
/// The share of documents that are in a pair, at least. A sample has fewer than a whole crawl, of which
/// two fifths were copies in RedPajama-V2's head and middle.
const IN_A_PAIR: f64 = 0.4;

/// The share of bytes from which on a span repeats, where texts are looked at twice: ours. Boilerplate and
/// copies that were left are of that order; a corpus of which more repeats takes more.
const REPEATED: f64 = 0.1;
/// Bytes of a token of English, nearly: that of GPT-NeoX and its like.
const TOKEN: f64 = 4.0;

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

/// The dedups of a plan, from what a sample of it left; `scales` say how much larger each slice is, and
/// `reading` what a byte of another run's text takes to be read and sketched. What the sample itself took
/// (`spent`) is known; the constants are for all that it is not.
pub fn estimate(
    sample: &Prepared,
    plan: &Plan,
    store: &Store,
    scales: &[f64],
    reading: f64,
    spent: &Cost,
) -> Result<Vec<DedupEstimate>> {
    let ledger = Ledger::new(store);
    let (live, memory) = sample.shares(usize::MAX);
    let mut dedups = Vec::new();
    for (group, (of_sample, of_plan)) in sample.plan.groups.iter().zip(&plan.groups).enumerate() {
        let (mut documents, mut sketches, mut text, mut seen) = (0.0, 0.0, 0.0, 0.0);
        for index in &of_sample.slices {
            let slice = &sample.plan.slices[*index];
            let Some(segment) = slice.dedups.iter().position(|known| *known == group) else { continue };
            for partition in slice.partitions.clone() {
                let Some(task) = sample.plan.documents_task(partition, segment) else { continue };
                let Some(commit) = ledger.commit_of(&task.id)? else { continue };
                let Some(file) = commit.sketches else { continue };
                let keys = SortedFile::<{ Sketch::WIDTH }>::open(&store.path(&file.name))?.count();
                documents += scales[*index] * commit.counts.kept.documents as f64;
                text += scales[*index] * commit.counts.kept.bytes as f64;
                seen += commit.counts.kept.bytes as f64;
                sketches += scales[*index] * keys as f64;
            }
        }
        // Another run's documents are compared too, and leave as much as ours.
        let others = plan.kept_by_others(group);
        sketches *= 1.0 + others.documents as f64 / documents.max(1.0);
        documents += others.documents as f64;
        text += others.bytes as f64;
        let unseen = 1.0 - (seen / text.max(1.0)).min(1.0);
        let candidates = if of_plan.verified { IN_A_PAIR * documents } else { 0.0 };
        // What is found once by each key that is shared.
        let pairs = IN_A_PAIR * sketches;
        // Eight bytes for each word; a word has six bytes, with what parts it from the next.
        let evidence = if of_plan.verified { IN_A_PAIR * text * 8.0 / 6.0 } else { 0.0 };
        // A sketch and a finding for each byte, or token, from which on something repeats.
        let units = if of_plan.spec.needs_tokenizer() { text / TOKEN } else { text };
        let again = if of_plan.twice { REPEATED * units } else { 0.0 };
        let disk = Sketch::WIDTH as f64 * (sketches + again)
            + Finding::WIDTH as f64 * (pairs + again)
            + Rank::WIDTH as f64 * candidates
            + evidence;
        // The sorters of a range hold no more than there is to sort.
        let range = (Sketch::WIDTH as f64 * sketches + Finding::WIDTH as f64 * pairs) / of_plan.ranges as f64;
        let sorting = live.min(of_plan.ranges) as f64 * range.min(2.0 * memory.sort as f64);
        // What a judge holds of every document, and a sorter.
        let state = (documents * of_plan.spec.state_bits() as f64 / 8.0).min(memory.state as f64);
        // SimHashes that share a block are compared, many at a time.
        let (in_a_block, held, comparisons) = match &of_plan.spec {
            StageSpec::SimhashDedup(options) => options.comparisons(documents as u64),
            _ => (0, 0, 0),
        };
        let sorting =
            sorting + live.min(of_plan.ranges) as f64 * (in_a_block as f64 * held as f64).min(memory.state as f64);
        let marks = if of_plan.judged { state + memory.sort.min((28.0 * pairs) as usize) as f64 } else { 0.0 };
        let rest = SKETCH * (sketches + again)
            + CANDIDATE * candidates
            + if of_plan.verified { EVIDENCE * IN_A_PAIR * text } else { 0.0 }
            + COMPARISON * comparisons as f64
            + if of_plan.judged && !of_plan.verified { PAIR * pairs } else { 0.0 };
        let own = |label: &str| is_between(label) && label.split(' ').any(|word| word == of_sample.label);
        let measured: f64 = spent.iter().filter(|(label, _)| own(label)).map(|(_, seconds)| seconds).sum();
        dedups.push(DedupEstimate {
            stage: of_plan.label.clone(),
            documents: documents as u64,
            sketches: sketches as u64,
            disk: disk as u64,
            cpu_seconds: measured + reading * others.bytes as f64 + unseen * rest,
            memory: sorting.max(marks) as u64,
            assumes: match (of_plan.twice, of_plan.verified) {
                (true, _) => Some(format!("{:.0} % of the text repeats: more takes more", 100.0 * REPEATED)),
                (_, true) => Some(format!("{:.0} % of the documents are in a pair", 100.0 * IN_A_PAIR)),
                _ if in_a_block > CROWDED => Some(format!(
                    "{} share each block of their SimHashes, and what comparing them takes grows with the square of all: a \
                     smaller distance takes less",
                    count(in_a_block, "document")
                )),
                _ => None,
            },
        });
    }
    Ok(dedups)
}
