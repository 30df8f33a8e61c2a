//! Looks at what a dedup is about to take, when that is known and nothing is rewritten yet.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use corpus::sorted::{SortedFile, Sorter};
use corpus::table::DocumentReader;
use stages::{Built, Guard, Rank, Sketch, Then};

use crate::clusters::{self, Cluster, MEMBERS, Member};
use crate::failure::{Code, Failure, Result};
use crate::ledger::Ledger;
use crate::metrics::Event;
use crate::plan::{Task, TaskKind};
use crate::report::number;
use crate::task::{Findings, Ranks, Run, is_mark};

/// How many clusters are shown.
const CLUSTERS: usize = 5;

/// Looks at the dedups whose findings the tasks of a pass are about to read; a failure if one takes
/// more than its guard allows, and that guard stops.
pub fn look(run: &Run<'_>, tasks: &[&Task]) -> Result<()> {
    let mut groups = BTreeSet::new();
    for task in tasks {
        if let TaskKind::Documents { partition, segment } = task.kind
            && let Some(before) = segment.checked_sub(1)
        {
            groups.insert(run.plan.slices[run.plan.partitions[partition].slice].dedups[before]);
        }
    }
    groups.into_iter().try_for_each(|group| look_at(run, group))
}

/// How much of a slice a dedup takes.
#[derive(Default)]
struct Taken {
    all: u64,
    gone: u64,
}

fn look_at(run: &Run<'_>, number: usize) -> Result<()> {
    let group = &run.plan.groups[number];
    let Some(guard) = &group.guard else { return Ok(()) };
    let Built::Dedup(dedup) = group.spec.build(run.models).map_err(Failure::configuration)? else { return Ok(()) };
    let parts = dedup.cuts();
    let mut slices = all_of(run, number, parts, group.twice)?;
    let (mut findings, mut last) = (Findings::of_all(run, number)?, None);
    let mut taken = 0;
    while let Some(finding) = findings.next()? {
        // What is another run's is marked, and stays.
        if is_mark(run.plan, number, &finding) {
            continue;
        }
        // A document may be found by several ranges, and goes once.
        let new = parts || last.replace(finding.gone) != Some(finding.gone);
        if new && let Some(slice) = slice_of(run, finding.gone).and_then(|slice| slices.get_mut(&slice)) {
            slice.gone += 1;
            taken += 1;
        }
    }
    let label = &group.label;
    let what = match (parts, group.twice) {
        (false, _) => "documents",
        (true, false) => "parts",
        (true, true) if group.spec.needs_tokenizer() => "tokens",
        (true, true) => "bytes",
    };
    let mut complaints = Vec::new();
    for (slice, Taken { all, gone }) in &slices {
        let share = *gone as f64 / (*all).max(1) as f64;
        if share > guard.share.0 {
            complaints.push(format!(
                "{label} takes {} of {} {what} of {} ({:.1} %), and its guard allows {:.1} %",
                self::number(*gone),
                self::number(*all),
                run.plan.slices[*slice].name,
                100.0 * share,
                100.0 * guard.share.0
            ));
        }
    }
    // No cluster is larger than all that goes.
    let clusters = match !parts && (!complaints.is_empty() || taken >= guard.cluster.0) {
        true => largest(run, number)?,
        false => Vec::new(),
    };
    if let Some(first) = clusters.first().filter(|cluster| cluster.documents > guard.cluster.0) {
        complaints.push(format!(
            "{label} takes a cluster of {} documents for one, and its guard allows {}",
            self::number(first.documents),
            self::number(guard.cluster.0)
        ));
    }
    complain(run, guard, &complaints, &clusters)
}

fn complain(run: &Run<'_>, guard: &Guard, complaints: &[String], clusters: &[Cluster]) -> Result<()> {
    if complaints.is_empty() {
        return Ok(());
    }
    let stops = guard.then == Then::Stop;
    run.observers.event(&Event::Guard { complaints, clusters, stops });
    match guard.then {
        Then::Warn => Ok(()),
        Then::Stop => Err(Failure::new(Code::Damaged, complaints.join("; ")).hint(
            "nothing was rewritten. If that is as it should be, give the stage another guard, such as `guard: { then: \
             warn }`, and run the same command again: it goes on from here",
        )),
    }
}

/// What a dedup compares of each slice: its documents, or their parts; one that looks twice compares, in
/// the end, what begins at each byte or token.
fn all_of(run: &Run<'_>, group: usize, parts: bool, twice: bool) -> Result<BTreeMap<usize, Taken>> {
    let plan = run.plan;
    let ledger = Ledger::new(run.store);
    let mut slices: BTreeMap<usize, Taken> = BTreeMap::new();
    for slice in &plan.groups[group].slices {
        let known = slices.entry(*slice).or_default();
        let slice = &plan.slices[*slice];
        let Some(segment) = slice.dedups.iter().position(|known| *known == group) else { continue };
        for partition in slice.partitions.clone() {
            let Some(task) = plan.documents_task(partition, segment) else { continue };
            let Some(commit) = ledger.commit_of(&task.id)? else { continue };
            known.all += match commit.sketches.filter(|_| parts && !twice) {
                Some(file) => SortedFile::<{ Sketch::WIDTH }>::open(&run.store.path(&file.name))?.count(),
                None if twice => commit.tokens_compared.unwrap_or(commit.counts.kept.bytes),
                None => commit.counts.kept.documents,
            };
        }
    }
    Ok(slices)
}

fn slice_of(run: &Run<'_>, rank: Rank) -> Option<usize> {
    run.plan.slices.iter().position(|slice| slice.raw_files.contains(&(rank.raw_file as usize)))
}

/// The largest clusters of a dedup: its findings, sorted by what stays.
fn largest(run: &Run<'_>, group: usize) -> Result<Vec<Cluster>> {
    let mut sorter = Sorter::<28>::new(run.store, run.memory.sort);
    let (mut findings, mut last) = (Findings::of_all(run, group)?, None);
    while let Some(finding) = findings.next()? {
        if is_mark(run.plan, group, &finding) {
            continue;
        }
        // Where nobody can name what stays, nobody can say what belongs together.
        if last.replace(finding.gone) != Some(finding.gone) && !finding.is_seen() {
            let mut record = [0; 28];
            record[..12].copy_from_slice(&finding.kept.to_bytes());
            record[12..24].copy_from_slice(&finding.gone.to_bytes());
            record[24..].copy_from_slice(&finding.similarity.to_be_bytes());
            sorter.push(record)?;
        }
    }
    let apart = |record: [u8; 28]| {
        let (mut kept, mut gone, mut similarity) = ([0; 12], [0; 12], [0; 4]);
        kept.copy_from_slice(&record[..12]);
        gone.copy_from_slice(&record[12..24]);
        similarity.copy_from_slice(&record[24..]);
        (Rank::from_bytes(kept), (Rank::from_bytes(gone), f32::from_be_bytes(similarity)))
    };
    let found = clusters::largest(sorter.sorted()?.map(|record| record.map(apart)), CLUSTERS)?;
    let shown: BTreeSet<Rank> =
        found.iter().flat_map(|(kept, _, gone)| gone.iter().map(|(rank, _)| *rank).chain([*kept])).collect();
    let begins = beginnings(run, group, &shown)?;
    let member = |rank: &Rank, similarity| {
        let (id, run) = run.plan.document_at(*rank);
        let begins = begins.get(rank).cloned().unwrap_or_default();
        Member { id: id.to_string(), run: run.map(|run| run.to_string()), similarity, begins }
    };
    let cluster = |(kept, gone, members): (Rank, u64, Vec<(Rank, f32)>)| Cluster {
        stage: run.plan.groups[group].label.clone(),
        documents: gone + 1,
        kept: member(&kept, None),
        gone: members.iter().take(MEMBERS).map(|(rank, similarity)| member(rank, Some(*similarity))).collect(),
    };
    Ok(found.into_iter().map(cluster).collect())
}

/// How some documents begin, from what the pass before kept of their partitions, or from another run's.
fn beginnings(run: &Run<'_>, group: usize, shown: &BTreeSet<Rank>) -> Result<BTreeMap<Rank, Vec<String>>> {
    let plan = run.plan;
    let ledger = Ledger::new(run.store);
    let mut begins = BTreeMap::new();
    let mut look = |path: &Path, files: &Range<usize>, wanted: &mut BTreeSet<Rank>| -> Result<()> {
        let mut ranks = Ranks::within(plan, files.clone());
        for document in DocumentReader::open(path, &[])? {
            let document = document?;
            let rank = ranks.of(&document.id);
            if wanted.remove(&rank) {
                begins.insert(rank, clusters::beginning(document.text()));
            }
            if wanted.is_empty() {
                break;
            }
        }
        Ok(())
    };
    let shown_of = |files: &Range<usize>| -> BTreeSet<Rank> {
        shown.iter().filter(|rank| files.contains(&(rank.raw_file as usize))).copied().collect()
    };
    for part in &plan.references[plan.groups[group].references.clone()] {
        let mut wanted = shown_of(&part.files);
        if !wanted.is_empty() {
            look(&part.path(), &part.files, &mut wanted)?;
        }
    }
    for slice in plan.groups[group].slices.iter().map(|slice| &plan.slices[*slice]) {
        let Some(segment) = slice.dedups.iter().position(|known| *known == group) else { continue };
        for partition in slice.partitions.clone() {
            let files = &plan.partitions[partition].files;
            let mut wanted = shown_of(files);
            let Some(task) = plan.documents_task(partition, segment).filter(|_| !wanted.is_empty()) else { continue };
            let Some(between) = ledger.commit_of(&task.id)?.and_then(|commit| commit.between) else { continue };
            look(&run.store.path(&between.name), files, &mut wanted)?;
        }
    }
    Ok(begins)
}
