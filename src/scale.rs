//! A dedup at the size of a corpus: the sketches and the evidence of many documents that nobody wrote
//! go through the tasks between two segments, the very same that a build runs. `bench/scale` runs it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use corpus::catalog::FORMAT;
use corpus::lists::ListsWriter;
use corpus::manifest::RawRead;
use corpus::sorted::Sorter;
use corpus::store::Store;
use corpus::{RawFile, Tally};
use stages::{Models, Rank, Sketch, StageSpec};

use crate::execute::passes::execute;
use crate::ledger::{Commit, Ledger};
use crate::metrics::{peak_memory, process_cpu};
use crate::plan::{Plan, Records, TaskKind};
use crate::prepare::Prepared;
use crate::report::{number, table};
use crate::size::Size;

/// Raw bytes of a document, which decide into how many ranges keys are cut: about a page of a crawl.
const DOCUMENT: u64 = 5000;
/// Bands that a document leaves, and numbers in each: the default of `minhash_dedup`.
const BANDS: u64 = 16;
const ROWS: i32 = 6;
/// One document in so many is a copy.
const COPIES: u64 = 5;
/// The most of a copy that is another's, and so many bits of its SimHash change then.
const MOST_CHANGED: f64 = 0.25;
const MOST_FLIPPED: f64 = 8.0;
/// Shingles of a document. A page of a crawl has some four hundred; so do these.
const SHINGLES: u64 = 400;

/// SplitMix64's mixing of a number.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A number from 0 to 1.
fn share(number: u64) -> f64 {
    (mixed(number) >> 11) as f64 / (1u64 << 53) as f64
}

/// Of which text a document is a copy, and how much of it is another's. Few texts have very many
/// copies, and most have two or three.
fn copy_of(document: u64, documents: u64) -> Option<(u64, f64)> {
    let chance = mixed(document ^ 0xc0);
    if !chance.is_multiple_of(COPIES) {
        return None;
    }
    let texts = (documents / COPIES / 3).max(1);
    let text = (share(document ^ 0x7e << 32).powi(3) * texts as f64) as u64;
    Some((text, MOST_CHANGED * share(document ^ 0x1d << 32).powi(2)))
}

/// Whether one part of a document is that of the text of which it is a copy.
fn stays(document: u64, part: u64, likelihood: f64) -> bool {
    share(document << 10 ^ part ^ 0x5a << 56) < likelihood
}

fn sketches_of(document: u64, documents: u64, mut push: impl FnMut([u8; 16])) {
    let copy = copy_of(document, documents);
    for band in 0..BANDS {
        let shared = copy.filter(|(_, changed)| {
            // Of two shares 1 - c of one text, whose Jaccard similarity is (1 - c) / (1 + c).
            stays(document, band, ((1.0 - changed) / (1.0 + changed)).powi(ROWS))
        });
        let from = match shared {
            Some((text, _)) => text ^ 1 << 63,
            None => document,
        };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&mixed(from << 8 ^ band ^ 0xba << 40).to_be_bytes());
        key[8..].copy_from_slice(&mixed(from << 8 ^ band ^ 0xbb << 40).to_be_bytes());
        // Bits of its other numbers: of a copy those of the text, but for some that are drawn anew.
        if let Some((_, changed)) = shared {
            let differs = (1.0 - (1.0 - changed) / (1.0 + changed)) / 2.0;
            let drawn = |bit: &u64| share(mixed(document << 12 ^ band << 6 ^ bit ^ 0xbc << 56)) < differs;
            let anew = (0..48).filter(drawn).fold(0u64, |bits, bit| bits | 1 << bit);
            key[10..].iter_mut().zip(&anew.to_be_bytes()[2..]).for_each(|(byte, anew)| *byte ^= anew);
        }
        push(key);
    }
}

/// The SimHash of a document, as of a text that nobody wrote; that of a copy differs from its text's in so
/// many bits more or less as it was changed.
fn simhash_of(document: u64, documents: u64) -> u64 {
    let Some((text, changed)) = copy_of(document, documents) else { return mixed(document ^ 0xf1 << 56) };
    let flipped = |flip| 1u64 << (mixed(document << 4 ^ flip ^ 0xf2 << 56) % 64);
    (0..(changed * MOST_FLIPPED / MOST_CHANGED) as u64)
        .fold(mixed(text ^ 0xf3 << 56), |hash, flip| hash ^ flipped(flip))
}

fn evidence_of(document: u64, documents: u64, shingles: &mut Vec<u64>) {
    let copy = copy_of(document, documents);
    shingles.clear();
    shingles.extend((0..SHINGLES).map(|at| match copy {
        Some((text, changed)) if stays(document, at + BANDS, 1.0 - changed) => mixed(text << 10 ^ at ^ 0xe1 << 56),
        _ => mixed(document << 10 ^ at ^ 0xe2 << 56),
    }));
    shingles.sort_unstable();
    shingles.dedup();
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
#[ignore = "takes minutes and gigabytes: bench/scale runs it"]
#[allow(clippy::print_stdout)]
fn a_dedup_at_the_size_of_a_corpus() {
    let documents: u64 = setting("SCALE_DOCUMENTS", 100_000);
    let partitions: u64 = setting("SCALE_PARTITIONS", 20);
    let memory: u64 = setting("SCALE_MEMORY", 1 << 30);
    let workers: usize = setting("SCALE_WORKERS", 2);
    let stage = std::env::var("SCALE_STAGE").unwrap_or_else(|_| "minhash_dedup: {}".to_owned());
    let scratch = tempfile::tempdir_in(std::env::var("SCALE_FOLDER").unwrap_or_else(|_| ".".to_owned())).unwrap();
    let each = documents / partitions;
    let pipeline = scratch.path().join("scale.yaml");
    let yaml = format!("slices:\n  c4: {{}}\nstages:\n  - {stage}\npartition: {}\n", (each * DOCUMENT).max(1));
    std::fs::write(&pipeline, yaml).unwrap();
    let read = crate::pipeline::read(&pipeline.to_string_lossy(), &[]).unwrap();
    let raw_files: Vec<RawFile> = (0..partitions)
        .map(|file| RawFile { bytes: each * DOCUMENT, ..RawFile::new(format!("c4/{file:05}.json.gz"), "") })
        .collect();
    let plan = Plan::new(&read, None, BTreeMap::new(), vec![raw_files], Records::All).unwrap();
    let out = scratch.path().join("out");
    let store = Store::create(&out).unwrap();
    let models = Models::default();
    let prepared = Prepared { read, plan, models, tokenizer_path: None, out, workers, memory };
    let (live, memories) = prepared.shares(usize::MAX);
    let plan = &prepared.plan;
    let ledger = Ledger::new(&store);
    let simhashes = match &plan.groups[0].spec {
        StageSpec::SimhashDedup(options) => Some(options),
        _ => None,
    };
    let sketches = simhashes.map_or(BANDS, |options| options.keys(0).count() as u64);
    println!(
        "{} documents in {partitions} partitions, {sketches} sketches each, in {} ranges; `{stage}`, memory {}, of which a \
         sorter has {}; {live} tasks at once\n",
        number(documents),
        plan.groups[0].ranges,
        Size(memory),
        Size(memories.sort as u64)
    );
    let mut rows =
        vec![["", "CPU s", "wall s", "ns of CPU a sketch", "bytes it left", "peak memory"].map(str::to_owned).to_vec()];
    let mut phase = |what: &str, cpu: f64, begun: Instant, bytes: u64| {
        let wall = begun.elapsed().as_secs_f64();
        let nanoseconds = cpu * 1e9 / (documents * sketches) as f64;
        let figures = [format!("{cpu:.1}"), format!("{wall:.1}"), format!("{nanoseconds:.0}")];
        rows.push(
            [vec![what.to_owned()], figures.to_vec(), vec![number(bytes), Size(peak_memory()).to_string()]].concat(),
        );
    };

    // What reading leaves: sketches of each partition, sorted, and its commit.
    let (begun, cpu) = (Instant::now(), process_cpu());
    let mut bytes = 0;
    for (partition, task) in plan.passes[0].tasks.iter().enumerate() {
        let mut sorter = Sorter::<{ Sketch::WIDTH }>::new(&store, memories.sort);
        for record in 0..each {
            let rank = Rank { raw_file: 0, record };
            let document = partition as u64 * each + record;
            let mut push = |key| sorter.push(Sketch { key, rank }.to_bytes()).unwrap();
            match simhashes {
                Some(options) => options.keys(simhash_of(document, documents)).for_each(push),
                None => sketches_of(document, documents, &mut push),
            }
        }
        let sketches = sorter.publish(&format!("between/c4-{partition:05}.sketches")).unwrap();
        bytes += sketches.bytes;
        let file = &plan.raw_files[partition];
        let all = Tally { documents: each, bytes: each * DOCUMENT };
        let mut commit = Commit { format: FORMAT, sketches: Some(sketches), ..Commit::default() };
        (commit.counts.read, commit.counts.kept) = (all, all);
        commit.reads =
            vec![RawRead { name: file.name.clone(), bytes: file.bytes, digest: None, records: each, damage: None }];
        ledger.commit(&task.id, &commit).unwrap();
    }
    phase("write sketches, sorted", process_cpu() - cpu, begun, bytes);

    // The passes between, each on its own.
    for (at, pass) in plan.passes.iter().enumerate() {
        let (begun, cpu) = (Instant::now(), process_cpu());
        match pass.tasks.first().map(|task| task.kind) {
            Some(TaskKind::Documents { .. }) | None => continue,
            // Texts are not there: what they would leave is made.
            Some(TaskKind::Evidence { .. }) => {
                let mut bytes = 0;
                let mut shingles = Vec::new();
                let mut candidates = 0u64;
                for task in &pass.tasks {
                    let TaskKind::Evidence { group, partition } = task.kind else { continue };
                    let run = crate::task::Run {
                        plan,
                        store: &store,
                        models: &prepared.models,
                        observers: &crate::metrics::Observers::new(Vec::new()),
                        stop: &AtomicBool::new(false),
                        permits: &crate::task::Permits::new(1),
                        memory: memories,
                        sketches: Default::default(),
                    };
                    let mut wanted = crate::task::candidates(&run, group, partition..partition + 1).unwrap();
                    let name = format!("between/c4-{partition:05}-{}.evidence", task.id.short());
                    let mut lists = ListsWriter::new(&store, &name).unwrap();
                    let mut last = None;
                    while let Some(rank) = wanted.next().unwrap() {
                        if last.replace(rank) != Some(rank) {
                            let document = partition as u64 * each + Rank::from_bytes(rank).record;
                            evidence_of(document, documents, &mut shingles);
                            lists.push(rank, &shingles).unwrap();
                            candidates += 1;
                        }
                    }
                    let evidence = lists.publish().unwrap();
                    bytes += evidence.bytes;
                    let commit = Commit { format: FORMAT, evidence: Some(evidence), ..Commit::default() };
                    ledger.commit(&task.id, &commit).unwrap();
                }
                let what = format!("make evidence of {} documents", number(candidates));
                phase(&what, process_cpu() - cpu, begun, bytes);
            }
            Some(_) => {
                let needed: Vec<Vec<Option<String>>> = plan
                    .passes
                    .iter()
                    .enumerate()
                    .map(|(other, pass)| vec![(other == at).then(|| "measured".to_owned()); pass.tasks.len()])
                    .collect();
                execute(&prepared, &store, &needed, &AtomicBool::new(false), None, Vec::new()).unwrap();
                let commits = pass.tasks.iter().filter_map(|task| ledger.commit_of(&task.id).unwrap());
                let bytes =
                    commits.flat_map(|commit| commit.outputs().map(|output| output.bytes).collect::<Vec<_>>()).sum();
                phase(&pass.about, process_cpu() - cpu, begun, bytes);
            }
        }
    }
    print!("{}", table(&rows));
    let mut pairs = corpus::PairCounts::default();
    let mut gone = vec![false; documents as usize];
    for task in plan.passes.iter().flat_map(|pass| &pass.tasks) {
        if let Some(commit) = ledger.commit_of(&task.id).unwrap()
            && let Some(of_it) = commit.pairs
        {
            pairs.merge(&of_it);
        }
    }
    let last_pass = &plan.passes[plan.groups[0].pass];
    for task in &last_pass.tasks {
        let name = ledger.commit_of(&task.id).unwrap().and_then(|commit| commit.findings).unwrap().name;
        let file = corpus::sorted::SortedFile::<{ stages::Finding::WIDTH }>::open(&store.path(&name)).unwrap();
        for finding in file.range([0; stages::Finding::WIDTH], None, 64 << 10).unwrap() {
            let finding = stages::Finding::from_bytes(finding.unwrap());
            gone[(u64::from(finding.gone.raw_file) * each + finding.gone.record) as usize] = true;
        }
    }
    let gone = gone.into_iter().filter(|gone| *gone).count() as u64;
    let compared = match simhashes {
        Some(options) => {
            let (together, _, comparisons) = options.comparisons(documents);
            format!("{} SimHashes share a block, about {} comparisons", number(together), number(comparisons))
        }
        None => format!(
            "pairs: {} proposed, {} left out, {} compared, {} alike",
            number(pairs.proposed),
            number(pairs.capped),
            number(pairs.compared),
            number(pairs.alike)
        ),
    };
    println!("\n{compared}; {} documents go; whole process: {} at its peak", number(gone), Size(peak_memory()));
    assert!(gone > 0);
    assert!(peak_memory() < memory, "more memory than {}", Size(memory));
}
