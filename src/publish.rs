//! What a run's folder says of itself: whose it is, what was committed, the catalog.

use std::collections::{BTreeMap, BTreeSet};

use corpus::catalog::{CATALOG, Catalog, FORMAT, SliceEntry};
use corpus::store::Store;
use corpus::{Counts, Digest, PairCounts};
use stages::StageSpec;

use crate::failure::{Code, Failure, Result};
use crate::ledger::{Commit, Ledger};
use crate::measured::MEASURED;
use crate::plan::{Origin, Plan};
use crate::prepare::Prepared;
use crate::report;

/// Where the plan of a run lies.
pub const PLAN: &str = "plan.json";

/// Refuses a folder that is another pipeline's, or nobody's, or holds a finished corpus of more
/// than this run would make.
pub fn check_out(prepared: &Prepared, store: &Store, limit: Option<u64>, replace: bool) -> Result<Option<Origin>> {
    let out = &prepared.out;
    let other = |pipeline: &str| {
        let message =
            format!("{} holds a run of pipeline `{pipeline}`, not of `{}`", out.display(), prepared.plan.name);
        Failure::configuration(message).hint("give another folder with --output")
    };
    if store.has(PLAN) {
        let origin = read_origin(store)?;
        if origin.pipeline != prepared.plan.name {
            return Err(other(&origin.pipeline));
        }
        let now: Vec<&str> = prepared.plan.slices.iter().map(|slice| slice.name).collect();
        let most = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let less =
            origin.slices.iter().any(|(name, slice)| !now.contains(&name.as_str()) || most(limit) < most(slice.limit));
        // Raw files come and go; that more than half of them are gone is more likely a slip.
        let raw = |name: &str| {
            prepared.plan.slices.iter().find(|slice| slice.name == name).map(|slice| {
                prepared.plan.raw_files[slice.raw_files.clone()].iter().map(|file| file.bytes).sum::<u64>()
            })
        };
        let fewer = origin.slices.iter().find(|(name, slice)| {
            let before: u64 = slice.files.iter().map(|file| file.bytes).sum();
            raw(name).is_some_and(|now| now > 0 && now < before / 2)
        });
        if store.has(CATALOG) && !replace && (less || fewer.is_some()) {
            let what = match fewer {
                Some((name, _)) if !less => format!("more than twice the raw bytes of slice {name}"),
                _ => "more slices or a larger --limit".to_owned(),
            };
            let message = format!("{} holds a finished corpus of {what}", out.display());
            return Err(Failure::configuration(message)
                .hint("give another folder with --output, or --replace to put the new corpus in its place"));
        }
        return Ok(Some(origin));
    }
    if store.has(CATALOG) {
        let catalog = read_catalog(store)?;
        return if catalog.pipeline == prepared.plan.name { Ok(None) } else { Err(other(&catalog.pipeline)) };
    }
    const OURS: [&str; 9] =
        ["commits", "between", "documents", "dropped", "cut", "shards", "metrics.jsonl", MEASURED, "lost+found"];
    let foreign = match std::fs::read_dir(out) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()).map(|entry| entry.file_name()).find(|name| {
            let name = name.to_string_lossy();
            !name.starts_with('.')
                && !(OURS.contains(&&*name) && (store.root().join("commits").is_dir() || name == "lost+found"))
        }),
        Err(_) => None,
    };
    match foreign {
        Some(name) => Err(Failure::configuration(format!(
            "{} is not empty and holds no run: it has `{}`",
            out.display(),
            name.to_string_lossy()
        ))
        .hint("give an empty or a new folder with --output")),
        None => Ok(None),
    }
}

/// What the last plan in a folder was made of.
pub fn read_origin(store: &Store) -> Result<Origin> {
    let bytes = store.read(PLAN)?;
    let origin: Origin = serde_json::from_slice(&bytes).map_err(|error| {
        let failure = Failure::new(Code::Damaged, format!("{} is no plan: {error}", store.path(PLAN).display()));
        failure.hint("remove it and run the same `build` again: commits and catalog tell all that it needs")
    })?;
    if origin.format != FORMAT {
        return Err(Failure::configuration(format!(
            "{} is of format {}, and this version of redpajama writes {FORMAT}",
            store.path(PLAN).display(),
            origin.format
        ))
        .hint("build into another folder, or use the version that wrote it"));
    }
    Ok(origin)
}

/// Reads the catalog of a finished run.
pub fn read_catalog(store: &Store) -> Result<Catalog> {
    if !store.has(CATALOG) {
        let hint = match store.has(PLAN) {
            true => "the run is not finished: run the same `build` again, it goes on where it stopped",
            false => "a run's folder has a catalog.json once it is finished",
        };
        return Err(Failure::configuration(format!("no catalog in {}", store.root().display())).hint(hint));
    }
    let bytes = store.read(CATALOG)?;
    let catalog: Catalog = serde_json::from_slice(&bytes)
        .map_err(|error| corpus::Error::damaged(store.path(CATALOG), format!("is no catalog: {error}")))?;
    if catalog.format != FORMAT {
        let detail = format!("is of format {}, and this version reads {FORMAT}", catalog.format);
        return Err(corpus::Error::damaged(store.path(CATALOG), detail).into());
    }
    Ok(catalog)
}

/// The counts of all slices in one.
pub fn all_counts(catalog: &Catalog) -> Counts {
    let mut all = Counts::default();
    for slice in catalog.slices.values() {
        all.merge(&slice.counts);
    }
    all
}

/// The commits of a slice's tasks, segment by segment, in the order of its partitions.
fn commits_of(plan: &Plan, slice: usize, ledger: &Ledger<'_>) -> Result<Vec<Vec<Commit>>> {
    let slice = &plan.slices[slice];
    let mut segments = Vec::new();
    for segment in 0..slice.segments.len() {
        let mut commits = Vec::new();
        for partition in slice.partitions.clone() {
            let task = plan.documents_task(partition, segment);
            let commit = match task {
                Some(task) => ledger.commit_of(&task.id)?,
                None => None,
            };
            commits.push(commit.ok_or_else(|| {
                Failure::new(Code::Failed, format!("a task of slice {} has no commit", slice.name))
                    .hint("another run may have changed the folder: run the same command again")
            })?);
        }
        segments.push(commits);
    }
    Ok(segments)
}

pub fn check_allowances(prepared: &Prepared, ledger: &Ledger<'_>) -> Result<()> {
    let plan = &prepared.plan;
    for index in 0..plan.slices.len() {
        let slice = &plan.slices[index];
        let mut counts = Counts::default();
        let mut reads = Vec::new();
        // Only the first segment reads raw files.
        for commit in commits_of(plan, index, ledger)?.swap_remove(0) {
            counts.merge(&commit.counts);
            reads.extend(commit.reads);
        }
        let files = reads.len();
        let damaged: Vec<_> = reads.into_iter().filter(|read| read.damage.is_some()).collect();
        let rightly = counts.unusable.iter().filter(|(reason, _)| slice.source.rightly(reason));
        let rightly: u64 = rightly.map(|(_, tally)| tally.documents).sum();
        let unusable = counts.all_unusable().documents - rightly;
        let expected = counts.read.documents - rightly;
        for read in &damaged {
            let damage = read.damage.as_deref().unwrap_or_default();
            report::say(&format!("warning: {} is damaged: {damage}; what came before was read", read.name));
        }
        let allowed = (prepared.read.pipeline.allow_unusable.0 * expected as f64).max(10.0);
        let words: Vec<String> = counts
            .unusable
            .iter()
            .filter(|(reason, _)| !slice.source.rightly(reason))
            .map(|(reason, tally)| format!("{reason} {}", report::number(tally.documents)))
            .collect();
        let dropped = format!("{} names each of them", prepared.out.join("dropped").join(slice.name).display());
        if unusable as f64 > allowed || (unusable == expected && unusable > 0) {
            return Err(Failure::new(
                Code::Damaged,
                format!(
                    "{}: {} of {} records are unusable ({})",
                    slice.name,
                    report::number(unusable),
                    report::number(expected),
                    words.join(", ")
                ),
            )
            .hint(format!("{dropped}; if that is as it should be: --set allow_unusable=1")));
        }
        let allowed = (prepared.read.pipeline.allow_damaged.0 * files as f64).max(1.0);
        if damaged.len() as f64 > allowed {
            let names: Vec<String> = damaged
                .iter()
                .take(3)
                .map(|read| format!("{}: {}", read.name, read.damage.as_deref().unwrap_or_default()))
                .collect();
            return Err(Failure::new(
                Code::Damaged,
                format!("{}: {} of {files} raw files are damaged ({})", slice.name, damaged.len(), names.join("; ")),
            )
            .hint("fetch them again; or, to take what could be read: --set allow_damaged=1"));
        }
    }
    Ok(())
}

/// The catalog of a plan whose tasks are all committed.
pub fn make_catalog(plan: &Plan, ledger: &Ledger<'_>) -> Result<Catalog> {
    let mut slices = BTreeMap::new();
    for (index, slice) in plan.slices.iter().enumerate() {
        let pack = slice.stages.iter().find_map(|(_, spec)| match spec {
            StageSpec::Pack(pack) => Some(pack.append_end_of_document),
            _ => None,
        });
        let mut entry = SliceEntry {
            append_end_of_document: pack,
            source: serde_json::to_value(&slice.source).ok(),
            ..SliceEntry::default()
        };
        for (label, _) in &slice.stages {
            // A stage that saw nothing is in the account too.
            entry.counts.stage(label);
        }
        for (segment, commits) in commits_of(plan, index, ledger)?.into_iter().enumerate() {
            let mut counts = Counts::default();
            for commit in commits {
                counts.merge(&commit.counts);
                entry.inputs.extend(commit.reads);
                entry.documents.extend(commit.documents);
                entry.dropped.extend(commit.dropped);
                entry.cut.extend(commit.cut);
                entry.shards.extend(commit.shards);
            }
            if segment == 0 {
                entry.counts.merge(&counts);
                continue;
            }
            entry.counts.then(&counts).map_err(|imbalance| {
                Failure::new(Code::Failed, format!("{}: {imbalance}", slice.name))
                    .hint("a document was lost or doubled, which must never happen: please report it")
            })?;
        }
        entry.counts.stages.retain(|label, _| !label.ends_with(":pack"));
        slices.insert(slice.name.to_owned(), entry);
    }
    Ok(Catalog {
        format: FORMAT,
        pipeline: plan.name.clone(),
        pipeline_digest: plan.digest,
        tokenizer: plan.tokenizer.clone(),
        models: plan.models.clone(),
        plan: plan.identity(),
        slices,
        pairs: pairs_of(plan, ledger)?,
        digest: None,
    }
    .sealed())
}

/// What each dedup that compares texts made of pairs.
fn pairs_of(plan: &Plan, ledger: &Ledger<'_>) -> Result<BTreeMap<String, PairCounts>> {
    let mut all = BTreeMap::new();
    for (index, group) in plan.groups.iter().enumerate().filter(|(_, group)| group.verified) {
        let mut pairs = PairCounts::default();
        let tasks = [group.resolve_pass, group.pairs_pass].map(|pass| &plan.passes[pass].tasks);
        for task in tasks.into_iter().flatten().filter(|task| task.kind.group() == Some(index)) {
            if let Some(counted) = ledger.commit_of(&task.id)?.and_then(|commit| commit.pairs) {
                pairs.merge(&counted);
            }
        }
        let slices: Vec<&str> = group.slices.iter().map(|slice| plan.slices[*slice].name).collect();
        all.insert(format!("{}: {}", slices.join(", "), group.label), pairs);
    }
    Ok(all)
}

/// Removes what the catalog does not name, unless another run is under way in the same folder.
pub fn sweep(store: &Store, plan: &Plan, catalog: &Catalog, keep_between: bool) -> Result<()> {
    let known: BTreeSet<&str> = catalog.outputs().map(|output| output.name.as_str()).collect();
    let tasks: BTreeSet<Digest> = plan.passes.iter().flat_map(|pass| &pass.tasks).map(|task| task.id).collect();
    store.alone(|| {
        // Another run may have published its own since, and left.
        if read_catalog(store).ok().as_ref() != Some(catalog) {
            return Ok(());
        }
        for folder in ["documents", "dropped", "cut", "shards"] {
            for name in store.list(folder)? {
                if !known.contains(name.as_str()) {
                    store.remove(&name)?;
                }
            }
            store.remove_empty(folder);
        }
        store.remove(MEASURED)?;
        let ledger = Ledger::new(store);
        for name in ledger.stale(&tasks)? {
            store.remove(&name)?;
        }
        if !keep_between {
            return store.remove_folder("between");
        }
        let mut named = BTreeSet::new();
        for task in &tasks {
            let commit = ledger.commit_of(task)?;
            named.extend(commit.iter().flat_map(Commit::outputs).map(|output| output.name.clone()));
        }
        for name in store.list("between")?.into_iter().filter(|name| !named.contains(name)) {
            store.remove(&name)?;
        }
        Ok(())
    })?;
    Ok(())
}
