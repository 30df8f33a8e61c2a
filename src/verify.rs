//! `status` and `verify`: what a run has done, and whether all of it is as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use corpus::catalog::{CATALOG, Catalog, ShardEntry, SliceEntry};
use corpus::shard::Shard;
use corpus::store::{Output, Store};
use corpus::{Counts, Digest, Error, table};

use crate::build::METRICS;
use crate::cli::{StatusArgs, VerifyArgs};
use crate::clusters::{self, Cluster};
use crate::failure::{Code, Failure, Result};
use crate::ledger::Ledger;
use crate::publish::{PLAN, all_counts, read_catalog, read_origin};
use crate::report::{self, count};
use crate::size::Size;

/// What a guard said, as the run's events tell it.
#[derive(serde::Deserialize)]
struct GuardSaid {
    complaints: Vec<String>,
    stops: bool,
}

/// What guards said last: all that warned since a guard stopped the run, or the one that stopped it.
fn last_guard(store: &Store) -> Result<Option<GuardSaid>> {
    let path = store.path(METRICS);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("cannot open", &path)(error).into()),
    };
    let mut last: Option<GuardSaid> = None;
    for line in std::io::BufReader::new(file).split(b'\n') {
        let line = line.map_err(Error::io("cannot read", &path))?;
        // Other events have no complaints, and a line may end early where the machine did.
        let Ok(said) = serde_json::from_slice::<GuardSaid>(&line) else { continue };
        match &mut last {
            Some(known) if !known.stops && !said.stops => {
                let new = said.complaints.into_iter().filter(|complaint| !known.complaints.contains(complaint));
                let new: Vec<String> = new.collect();
                known.complaints.extend(new);
            }
            _ => last = Some(said),
        }
    }
    Ok(last)
}

/// Runs `status`.
pub fn status(args: &StatusArgs) -> Result<()> {
    let store = Store::open(&args.out);
    if !store.has(PLAN) {
        return Err(Failure::configuration(format!("no run in {}", args.out.display()))
            .hint("a run's folder has a plan.json; `redpajama build` makes one"));
    }
    let origin = read_origin(&store)?;
    let commits = store.list("commits")?.len();
    let mut damaged = Vec::new();
    check_commits(&store, None, &mut damaged)?;
    let catalog = store.has(CATALOG).then(|| read_catalog(&store)).transpose()?;
    if args.json {
        let slices: Vec<&String> = origin.slices.keys().collect();
        let counts = catalog.as_ref().map(all_counts);
        let mut value = serde_json::json!({
            "pipeline": origin.pipeline, "complete": catalog.as_ref().is_some_and(|catalog| catalog.plan == origin.plan), "commits": commits,
            "damaged": damaged, "slices": slices, "counts": counts,
            "guard": last_guard(&store)?.map(|guard| guard.complaints),
        });
        if let Some(clusters) = clusters_of(args, &store, catalog.as_ref())? {
            value["clusters"] = serde_json::to_value(clusters).unwrap_or_default();
        }
        report::print(&format!("{value}\n"));
        return Ok(());
    }
    let tasks = count(commits as u64, "task");
    report::print(&format!("{}: pipeline {}, {tasks} committed\n", args.out.display(), origin.pipeline));
    if let Some(first) = damaged.first() {
        let all = count(damaged.len() as u64, "fault");
        report::say(&format!("warning: {all} in commits/: {first}; `redpajama verify` tells all and what to do"));
    }
    for (name, slice) in &origin.slices {
        let bytes: u64 = slice.files.iter().map(|file| file.bytes).sum();
        let stages: Vec<&str> = slice.stages.iter().map(|(label, _)| label.as_str()).collect();
        let files = count(slice.files.len() as u64, "raw file");
        report::print(&format!("  {name}: {files}, {}; {}\n", Size(bytes), stages.join(" → ")));
    }
    let current = catalog.as_ref().is_some_and(|catalog| catalog.plan == origin.plan);
    if let Some(guard) = last_guard(&store)? {
        for complaint in &guard.complaints {
            report::print(&format!("guard: {complaint}\n"));
        }
        if guard.stops && !current {
            report::print("that guard stopped the run before anything was published\n");
        }
    }
    let Some(catalog) = catalog else {
        report::print("not finished: run the same `build` again, it goes on where it stopped\n");
        return Ok(());
    };
    report::print(match current {
        true => "finished:\n",
        false => "the present plan is not finished (run the same `build` again); finished before, by another plan:\n",
    });
    for (name, slice) in &catalog.slices {
        let sizes: u64 = slice.outputs().map(|output| output.bytes).sum();
        report::print(&format!(
            "\n{name}: {} in {}, {}, {}\n{}",
            count(slice.counts.tokens, "token"),
            count(slice.shards.len() as u64, "shard"),
            count(slice.outputs().count() as u64, "file"),
            Size(sizes),
            report::account(&slice.counts)
        ));
    }
    if let Some(clusters) = clusters_of(args, &store, Some(&catalog))? {
        report::print(match clusters.is_empty() {
            true => "\nno document went for another\n",
            false => "\nthe largest clusters:\n",
        });
        report::print(&clusters::words(&clusters));
    }
    Ok(())
}

/// The largest clusters of a finished run, if they are asked for.
fn clusters_of(args: &StatusArgs, store: &Store, catalog: Option<&Catalog>) -> Result<Option<Vec<Cluster>>> {
    match (args.clusters, catalog) {
        (Some(most), Some(catalog)) => clusters::of_run(store, catalog, usize::from(most), args.memory).map(Some),
        _ => Ok(None),
    }
}

/// Runs `verify`.
pub fn verify(args: &VerifyArgs) -> Result<()> {
    let store = Store::open(&args.out);
    let catalog = read_catalog(&store)?;
    let mut faults: Vec<String> = Vec::new();
    if !catalog.is_whole() {
        faults.push(format!("{}: was changed since it was written", store.path(CATALOG).display()));
    }
    let mut bytes = 0;
    let mut files = 0u64;
    for output in catalog.outputs() {
        files += 1;
        bytes += output.bytes;
        if let Err(error) = store.check(output) {
            faults.push(error.to_string());
        }
    }
    // What is damaged by its digest need not be opened to know it.
    if faults.is_empty() {
        // A plan that is not finished yet says nothing of the catalog.
        let origin = read_origin(&store).ok().filter(|origin| origin.plan == catalog.plan);
        for (name, slice) in &catalog.slices {
            let ends = slice.append_end_of_document.or_else(|| {
                let stages = &origin.as_ref()?.slices.get(name)?.stages;
                let pack = stages.iter().find_map(|(_, stage)| stage["options"].get("pack"))?;
                pack["append_end_of_document"].as_bool()
            });
            if ends.is_none() && !slice.shards.is_empty() {
                report::say(&format!(
                    "warning: {name}: not checked whether documents end with the end-of-document token: neither the \
                     catalog nor a plan of it says whether they should"
                ));
            }
            check_slice(&store, &catalog, name, slice, ends == Some(true), &mut faults)?;
        }
    }
    let mut strangers = Vec::new();
    let commits = check_commits(&store, Some(&catalog), &mut faults)?;
    let known: BTreeSet<&str> = catalog.outputs().map(|output| output.name.as_str()).collect();
    for folder in ["documents", "dropped", "cut", "shards"] {
        strangers.extend(store.list(folder)?.into_iter().filter(|name| !known.contains(name.as_str())));
    }
    if args.json {
        let value = serde_json::json!({ "files": files, "commits": commits, "bytes": bytes, "faults": faults, "strangers": strangers });
        report::print(&format!("{value}\n"));
    }
    for name in strangers.iter().take(5) {
        report::say(&format!("warning: {name} is not in the catalog: no reader of the catalog will see it"));
    }
    if faults.is_empty() {
        if !args.json {
            let counts = all_counts(&catalog);
            report::print(&format!(
                "{}, {}, and {}: every digest and every count is right; {} kept, {}\n",
                count(files, "file"),
                Size(bytes),
                count(commits, "commit"),
                count(counts.kept.documents, "document"),
                count(counts.tokens, "token")
            ));
        }
        return Ok(());
    }
    let shown = faults.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ");
    let more = faults.len().saturating_sub(20);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    Err(Failure::new(Code::Damaged, format!("{}\n  {shown}{more}", count(faults.len() as u64, "fault")))
        .hint("remove the damaged files and run the same `build` again: it makes what is missing, with the same bytes"))
}

/// Reads every commit, which a build goes on from; what is damaged becomes a fault. Gives the number
/// of commits.
fn check_commits(store: &Store, catalog: Option<&Catalog>, faults: &mut Vec<String>) -> Result<u64> {
    let published: BTreeMap<&str, &Output> = match catalog {
        Some(catalog) => catalog.outputs().map(|output| (output.name.as_str(), output)).collect(),
        None => BTreeMap::new(),
    };
    let ledger = Ledger::new(store);
    let mut commits = 0;
    for name in store.list("commits")? {
        let task = name.strip_prefix("commits/").and_then(|name| name.strip_suffix(".json")?.parse::<Digest>().ok());
        let Some(task) = task else { continue };
        commits += 1;
        let mut fault = |what: &str| faults.push(format!("{}: {what}", store.path(&name).display()));
        match ledger.commit_of(&task) {
            Err(Error::Io { source, .. }) => fault(&format!("cannot be read: {source}")),
            Err(error) => faults.push(error.to_string()),
            // Another run may have swept it since.
            Ok(None) => {}
            Ok(Some(commit)) => {
                let differs =
                    commit.published().find(|output| published.get(&*output.name).is_some_and(|known| known != output));
                if let Some(output) = differs {
                    fault(&format!("names {} with another length or digest than the catalog", output.name));
                } else if let Some(imbalance) = commit.counts.imbalance() {
                    fault(&imbalance);
                }
            }
        }
    }
    Ok(commits)
}

fn check_slice(
    store: &Store,
    catalog: &Catalog,
    name: &str,
    slice: &SliceEntry,
    ends: bool,
    faults: &mut Vec<String>,
) -> Result<()> {
    let mut fault = |what: String| faults.push(format!("{name}: {what}"));
    if let Some(imbalance) = slice.counts.imbalance() {
        fault(imbalance);
    }
    let mut kept = 0;
    for output in &slice.documents {
        kept += table::rows(&store.path(&output.name))?;
    }
    if kept != slice.counts.kept.documents {
        fault(format!("documents/ has {kept} rows, the catalog counts {} kept", slice.counts.kept.documents));
    }
    let mut gone = Counts::default();
    for output in &slice.dropped {
        table::count_dropped(&store.path(&output.name), &mut gone)?;
    }
    if gone.dropped != slice.counts.dropped || gone.unusable != slice.counts.unusable {
        fault("dropped/ and the catalog count dropped documents differently".to_owned());
    }
    let (mut documents, mut tokens) = (0, 0);
    for shard in &slice.shards {
        documents += shard.documents;
        tokens += shard.tokens;
        if let Err(what) = check_shard(store, catalog, shard, ends)? {
            fault(format!("{}: {what}", shard.bin.name));
        }
    }
    if !slice.shards.is_empty() && (documents, tokens) != (slice.counts.kept.documents, slice.counts.tokens) {
        fault(format!(
            "shards have {documents} documents and {tokens} tokens, the catalog counts {} and {}",
            slice.counts.kept.documents, slice.counts.tokens
        ));
    }
    Ok(())
}

/// A shard opens, every id is below the vocabulary, every document ends with the end token if that
/// was asked for, and its counts are the catalog's.
fn check_shard(store: &Store, catalog: &Catalog, entry: &ShardEntry, ends: bool) -> Result<Result<(), String>> {
    let shard = match Shard::open(&store.path(&entry.bin.name)) {
        Ok(shard) => shard,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if (shard.documents() as u64, shard.tokens()) != (entry.documents, entry.tokens) {
        return Ok(Err(format!("{} documents and {} tokens, not as cataloged", shard.documents(), shard.tokens())));
    }
    let vocab_size = catalog.tokenizer.as_ref().map_or(u32::MAX, |tokenizer| tokenizer.vocab_size);
    let end = catalog.tokenizer.as_ref().filter(|_| ends).map(|tokenizer| i64::from(tokenizer.end_of_document));
    for document in 0..shard.documents() {
        if end.is_some() && shard.document(document).last() != end {
            return Ok(Err(format!("document {document} does not end with the end-of-document token")));
        }
        if let Some(token) = shard.document(document).find(|token| !(0..i64::from(vocab_size)).contains(token)) {
            return Ok(Err(format!("document {document} has token {token}, the vocabulary ends at {vocab_size}")));
        }
    }
    let rows = table::rows(&store.path(&entry.provenance.name))?;
    if rows != entry.documents {
        return Ok(Err(format!("provenance of {rows} documents, not {}", entry.documents)));
    }
    Ok(Ok(()))
}
