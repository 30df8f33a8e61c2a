//! Looks at what a dedup is about to take, when that is known and nothing is rewritten yet; at what one that cuts
//! takes, while it does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use corpus::Counts;
use corpus::sorted::Sorter;
use corpus::table::DocumentReader;
use stages::{Built, Guard, Rank, Then};

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

/// How much of a slice a dedup takes: documents, or bytes of text.
#[derive(Default)]
struct Taken {
    all: u64,
    gone: u64,
}

impl Taken {
    /// What is wrong with it, if it is more than a guard allows.
    fn complaint(&self, guard: &Guard, takes: &str, what: &str, slice: &str) -> Option<String> {
        let share = self.gone as f64 / self.all.max(1) as f64;
        let Taken { all, gone } = self;
        (share > guard.share.0).then(|| {
            format!(
                "{takes} {} of {} {what} of {slice} ({:.1} %), and its guard allows {:.1} %",
                number(*gone),
                number(*all),
                100.0 * share,
                100.0 * guard.share.0
            )
        })
    }
}

fn look_at(run: &Run<'_>, number: usize) -> Result<()> {
    let group = &run.plan.groups[number];
    let Some(guard) = &group.guard else { return Ok(()) };
    // How much of a document its parts are is known when they are cut.
    if group.spec.cuts() {
        return Ok(());
    }
    let mut slices = all_of(run, number)?;
    let (mut findings, mut last) = (Findings::of_all(run, number)?, None);
    let mut taken = 0;
    while let Some(finding) = findings.next()? {
        // What is another run's is marked, and stays.
        if is_mark(run.plan, number, &finding) {
            continue;
        }
        // A document may be found by several ranges, and goes once.
        let new = last.replace(finding.gone) != Some(finding.gone);
        if new && let Some(slice) = slice_of(run, finding.gone).and_then(|slice| slices.get_mut(&slice)) {
            slice.gone += 1;
            taken += 1;
        }
    }
    let label = &group.label;
    let takes = format!("{label} takes");
    let complaint =
        |(slice, taken): (&usize, &Taken)| taken.complaint(guard, &takes, "documents", run.plan.slices[*slice].name);
    let mut complaints: Vec<String> = slices.iter().filter_map(complaint).collect();
    // No cluster is larger than all that goes.
    let clusters = match !complaints.is_empty() || taken >= guard.cluster.0 {
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
    complain(run, guard, &complaints, &clusters, "nothing was rewritten")
}

fn complain(
    run: &Run<'_>,
    guard: &Guard,
    complaints: &[String],
    clusters: &[Cluster],
    nothing_was: &str,
) -> Result<()> {
    if complaints.is_empty() {
        return Ok(());
    }
    let stops = guard.then == Then::Stop;
    run.observers.event(&Event::Guard { complaints, clusters, stops });
    match guard.then {
        Then::Warn => Ok(()),
        Then::Stop => Err(Failure::new(Code::Damaged, complaints.join("; ")).hint(format!(
            "{nothing_was}. If that is as it should be, give the stage another guard, such as `guard: {{ then: warn }}`, \
             and run the same command again: it goes on from here"
        ))),
    }
}

/// What is taken, by dedup and slice.
type BySlice = BTreeMap<(usize, usize), Taken>;

/// The dedups that cut and have a guard, with the text that reached each and what it took of that, slice by slice,
/// while the tasks of a pass take it.
pub struct Cuts {
    /// With whether a guard has stopped the run.
    taken: Mutex<(BySlice, bool)>,
}

impl Cuts {
    /// What the tasks of a pass took that are done, all but those that are about to run.
    pub fn of(run: &Run<'_>, pass: usize, to_run: &[&Task]) -> Result<Cuts> {
        let ledger = Ledger::new(run.store);
        let to_run: BTreeSet<_> = to_run.iter().map(|task| task.id).collect();
        let mut taken = BySlice::new();
        for task in &run.plan.passes[pass].tasks {
            let Some((group, slice, before)) = cut_by(run, task) else { continue };
            let taken = taken.entry((group, slice)).or_default();
            if let Some(commit) = ledger.commit_of(&before.id)? {
                taken.all += commit.counts.text_bytes;
            }
            if !to_run.contains(&task.id)
                && let Some(commit) = ledger.commit_of(&task.id)?
            {
                taken.gone += cut_of(run, task, &commit.counts);
            }
        }
        Ok(Cuts { taken: Mutex::new((taken, false)) })
    }

    /// Adds what a task took; a failure if more is gone than a guard allows that stops. What is still to be cut only
    /// makes it more.
    pub fn add(&self, run: &Run<'_>, task: &Task, counts: &Counts) -> Result<()> {
        let Some((group, slice, _)) = cut_by(run, task) else { return Ok(()) };
        let mut known = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, stopped) = &mut *known;
        let Some(taken) = taken.get_mut(&(group, slice)) else { return Ok(()) };
        taken.gone += cut_of(run, task, counts);
        let Some(guard) = run.plan.groups[group].guard.as_ref().filter(|guard| guard.then == Then::Stop) else {
            return Ok(());
        };
        let complaint = match *stopped {
            false => complaint_of(run, (group, slice), taken, "takes at least"),
            // It was told once.
            true => None,
        };
        *stopped |= complaint.is_some();
        complain(run, guard, complaint.as_slice(), &[], NOT_PUBLISHED)
    }

    /// Looks at what is gone by now: before a pass a failure only if a guard stops the run, after it all that is too
    /// much.
    pub fn look(&self, run: &Run<'_>, before: bool) -> Result<()> {
        let known = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut complaints: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (place, taken) in &known.0 {
            let takes = if before { "takes at least" } else { "takes" };
            if let Some(complaint) = complaint_of(run, *place, taken, takes) {
                complaints.entry(place.0).or_default().push(complaint);
            }
        }
        for (group, complaints) in complaints {
            if let Some(guard) =
                run.plan.groups[group].guard.as_ref().filter(|guard| !before || guard.then == Then::Stop)
            {
                complain(run, guard, &complaints, &[], NOT_PUBLISHED)?;
            }
        }
        Ok(())
    }
}

const NOT_PUBLISHED: &str = "nothing was published";

/// The dedup with a guard by which a task cuts documents, the slice, and the task that left them for it.
fn cut_by<'r>(run: &'r Run<'_>, task: &Task) -> Option<(usize, usize, &'r Task)> {
    let TaskKind::Documents { partition, segment } = task.kind else { return None };
    let (slice, before) = (run.plan.partitions[partition].slice, segment.checked_sub(1)?);
    let group = run.plan.slices[slice].dedups[before];
    let guarded = run.plan.groups[group].guard.is_some() && run.plan.groups[group].spec.cuts();
    Some((group, slice, run.plan.documents_task(partition, before).filter(|_| guarded)?))
}

/// Bytes of text that a task took from documents by the dedup that went before.
fn cut_of(run: &Run<'_>, task: &Task, counts: &Counts) -> u64 {
    let TaskKind::Documents { partition, segment } = task.kind else { return 0 };
    let slice = &run.plan.slices[run.plan.partitions[partition].slice];
    let label = segment.checked_sub(1).map(|before| &slice.stages[slice.segments[before].end].0);
    label.and_then(|label| counts.stages.get(label)).map_or(0, |stage| stage.cut)
}

/// What is wrong with what a dedup cuts from a slice, if it is more than its guard allows.
fn complaint_of(run: &Run<'_>, (group, slice): (usize, usize), taken: &Taken, takes: &str) -> Option<String> {
    let group = &run.plan.groups[group];
    let takes = format!("{} {takes}", group.label);
    taken.complaint(group.guard.as_ref()?, &takes, "bytes of text", run.plan.slices[slice].name)
}

/// How many documents a dedup compares of each slice.
fn all_of(run: &Run<'_>, group: usize) -> Result<BTreeMap<usize, Taken>> {
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
            known.all += commit.counts.kept.documents;
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
    let compared = match run.plan.groups[group].spec.build(run.models).map_err(Failure::configuration)? {
        Built::Dedup(dedup) => !dedup.takes_the_source_s_word(),
        _ => true,
    };
    let member = |rank: &Rank, similarity: Option<f32>| {
        let similarity = similarity.filter(|similarity| compared && *similarity >= 0.0);
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
