//! What a dedup left of a sample, and how much of that a larger corpus repeats.

use std::collections::HashSet;
use std::path::PathBuf;

use corpus::sorted::SortedFile;
use corpus::store::{Output, Store};
use stages::{Finding, Rank, Sketch};

use crate::failure::Result;
use crate::ledger::{Commit, Ledger};
use crate::plan::TaskKind;
use crate::prepare::Prepared;

/// So many sketches tell how fast what repeats grows: ours.
const ENOUGH: u64 = 200_000;
/// Bytes of a key that documents have in common: those by which all dedups bring sketches together.
const SHARED: usize = 10;
/// Documents that follow each other in a raw file are of one half of the sample, so many at a time: copies
/// often stand near each other, in however large a corpus.
const TOGETHER: u64 = 64;

/// The fastest that what stands once may become less, of twice as much: nothing shows more.
const MOST: f64 = 1.0;

/// What the dedup left of the sample.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// What the ranges found.
    pub found: u64,
    /// Documents that are in a pair, and bytes of their evidence.
    pub candidates: u64,
    pub evidence: u64,
    /// Pairs that were compared and are alike.
    pub alike: u64,
    /// Sketches that documents left the second time, and what was found among them.
    pub again: u64,
    pub found_again: u64,
    /// What the judge found.
    pub judged: u64,
    /// The share of sketches whose key stands more than once.
    pub repeated: f64,
    /// The same without the first sketch of each key.
    pub later: f64,
    /// How fast these grow.
    pub growth: Growth,
}

/// How fast what stands once becomes less, as the corpus grows: of n times as much, a share of n^-growth
/// still does. Two halves of a sample beside all of it tell (as Heaps' law has it for words).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// Of sketches, but for the first of each key.
    pub again: f64,
    /// Of sketches, all with a key that stands more than once.
    pub shared: f64,
    /// Of documents that leave such a sketch.
    pub documents: f64,
}

/// What the tasks of a sample left for one dedup; `files` are the sketches of its partitions.
pub fn look(sample: &Prepared, store: &Store, group: usize, files: &[PathBuf]) -> Result<Seen> {
    let plan = &sample.plan;
    let ledger = Ledger::new(store);
    let mut seen = Seen::default();
    let count = |output: Option<&Output>| -> Result<u64> {
        output.map_or(Ok(0), |output| Ok(SortedFile::<{ Finding::WIDTH }>::open(&store.path(&output.name))?.count()))
    };
    for task in plan.passes.iter().flat_map(|pass| &pass.tasks).filter(|task| task.kind.group() == Some(group)) {
        let Some(commit) = ledger.commit_of(&task.id)? else { continue };
        let Commit { findings, candidates, evidence, sketches, .. } = &commit;
        match task.kind {
            TaskKind::Resolve { .. } => {
                seen.found += count(findings.as_ref())?;
                if let Some(file) = candidates {
                    seen.candidates += SortedFile::<{ Rank::WIDTH }>::open(&store.path(&file.name))?.count();
                }
            }
            TaskKind::Evidence { .. } => {
                seen.evidence += evidence.as_ref().map_or(0, |file| file.bytes);
                seen.again += count(sketches.as_ref())?;
            }
            TaskKind::ResolveAgain { .. } => seen.found_again += count(findings.as_ref())?,
            TaskKind::Verify { .. } => seen.alike += count(findings.as_ref())?,
            TaskKind::Judge { .. } => seen.judged += count(findings.as_ref())?,
            TaskKind::Documents { .. } | TaskKind::Reference { .. } | TaskKind::ReferenceEvidence { .. } => {}
        }
    }
    ([seen.repeated, seen.later], seen.growth) = growth(files)?;
    Ok(seen)
}

/// The share of sketches whose key stands more than once, with the first of each key and without, and how fast
/// the rest becomes less.
fn growth(files: &[PathBuf]) -> Result<([f64; 2], Growth)> {
    let mut counts = Vec::with_capacity(files.len());
    for path in files {
        counts.push(SortedFile::<{ Sketch::WIDTH }>::open(path)?.count());
    }
    let all: u64 = counts.iter().sum();
    // Of more than are enough the first, by key: all that have these.
    let mut below = None;
    let largest = counts.iter().zip(files).max_by_key(|(count, _)| **count).filter(|_| all > ENOUGH);
    if let Some((count, path)) = largest {
        let last = (u128::from(*count) * u128::from(ENOUGH) / u128::from(all)) as usize;
        let file = SortedFile::<{ Sketch::WIDTH }>::open(path)?;
        below = file.range([0; Sketch::WIDTH], None, 64 << 10)?.nth(last).transpose()?;
    }
    let mut sketches: Vec<([u8; SHARED], u32, Rank)> = Vec::new();
    for (number, path) in (0..).zip(files) {
        let file = SortedFile::<{ Sketch::WIDTH }>::open(path)?;
        for bytes in file.range([0; Sketch::WIDTH], below, 64 << 10)? {
            let Sketch { key, rank } = Sketch::from_bytes(bytes?);
            let mut shared = [0; SHARED];
            shared.copy_from_slice(&key[..SHARED]);
            sketches.push((shared, number, rank));
        }
    }
    if sketches.is_empty() {
        return Ok(([0.0; 2], Growth::default()));
    }
    sketches.sort_unstable();
    let half = |(_, _, rank): &([u8; SHARED], u32, Rank)| rank.record / TOGETHER % 2;
    // Distinct keys, sketches with a key that stands once, and documents that leave another; of all, and of the
    // two halves.
    let (mut distinct, mut once) = ([0u64; 2], [0u64; 2]);
    let mut documents: [HashSet<(u32, Rank)>; 3] = Default::default();
    for of_key in sketches.chunk_by(|one, other| one.0 == other.0) {
        distinct[0] += 1;
        once[0] += u64::from(of_key.len() == 1);
        let halves = [0, 1].map(|number| of_key.iter().filter(|sketch| half(sketch) == number).count());
        for count in halves {
            distinct[1] += u64::from(count > 0);
            once[1] += u64::from(count == 1);
        }
        for sketch in of_key.iter().filter(|_| of_key.len() > 1) {
            documents[0].insert((sketch.1, sketch.2));
            if halves[half(sketch) as usize] > 1 {
                documents[1].insert((sketch.1, sketch.2));
            }
        }
    }
    documents[2] = sketches.iter().map(|sketch| (sketch.1, sketch.2)).collect();
    let shrinks = |[all, halves]: [u64; 2]| match all {
        0 => MOST,
        _ => (halves as f64 / all as f64).log2().clamp(0.0, MOST),
    };
    let alone = |number: usize| (documents[2].len() - documents[number].len()) as u64;
    let growth = Growth { again: shrinks(distinct), shared: shrinks(once), documents: shrinks([alone(0), alone(1)]) };
    let repeated = [once[0], distinct[0]].map(|rest| 1.0 - rest as f64 / sketches.len() as f64);
    Ok((repeated, growth))
}

/// The share of what repeats in a corpus so many times as large as the sample, that shows `share`.
pub fn grown(share: f64, growth: f64, scale: f64) -> f64 {
    (1.0 - (1.0 - share) * scale.max(1.0).powf(-growth)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use corpus::sorted::Sorter;

    use super::*;

    /// The sketches of two files; of each document so many, by its number.
    fn growth_of(keys: impl Fn(u64) -> Vec<u64>) -> ([f64; 2], Growth) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let files = [0, 1].map(|file| {
            let mut sorter = Sorter::<{ Sketch::WIDTH }>::new(&store, 1 << 20);
            for record in 0..4096 {
                for number in keys(file * 4096 + record) {
                    let mut key = [0; 16];
                    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
                    sorter.push(Sketch { key, rank: Rank { raw_file: 0, record } }.to_bytes()).unwrap();
                }
            }
            store.path(&sorter.publish(&format!("{file}.sketches")).unwrap().name)
        });
        growth(&files).unwrap()
    }

    #[test]
    fn what_repeats_everywhere_or_nowhere_does_not_grow() {
        let (repeated, growth) = growth_of(|document| vec![document]);
        assert_eq!((repeated, growth), ([0.0; 2], Growth::default()));
        // Every second has the next one's copy beside it, in however large a corpus.
        let (repeated, growth) = growth_of(|document| vec![if document % 4 < 2 { document / 4 } else { !document }]);
        assert_eq!((repeated, growth), ([0.5, 0.25], Growth::default()));
    }

    #[test]
    fn what_two_halves_have_in_common_grows_with_the_corpus() {
        // Of eight thousand texts each document is one, by chance: most are seen twice, then nearly all.
        let mixed = |number: u64| (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let text = |document: u64| mixed(mixed(document + 1)) >> 40 & 0x1fff;
        let ([repeated, _], growth) = growth_of(|document| vec![text(document)]);
        assert!((0.55..0.7).contains(&repeated), "{repeated}");
        for growth in [growth.again, growth.shared, growth.documents] {
            assert!((0.2..1.0).contains(&growth), "{growth}");
        }
        let eight = grown(repeated, growth.shared, 8.0);
        assert!(grown(repeated, growth.shared, 1.0) == repeated && (0.88..1.0).contains(&eight), "{eight}");
    }
}
