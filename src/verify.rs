//! `status` and `verify`: what a run has done, and whether all of it is as it was written.

use corpus::catalog::{CATALOG, Catalog, ShardEntry, SliceEntry};
use corpus::shard::Shard;
use corpus::store::Store;
use corpus::{Counts, table};

use crate::cli::StatusArgs;
use crate::failure::{Code, Failure, Result};
use crate::publish::{PLAN, all_counts, read_catalog, read_origin};
use crate::report::{self, number};
use crate::size::Size;

/// Runs `status`.
pub fn status(args: &StatusArgs) -> Result<()> {
    let store = Store::open(&args.out);
    if !store.has(PLAN) {
        return Err(Failure::configuration(format!("no run in {}", args.out.display()))
            .hint("a run's folder has a plan.json; `redpajama build` makes one"));
    }
    let origin = read_origin(&store)?;
    let commits = store.list("commits")?.len();
    let catalog = store.has(CATALOG).then(|| read_catalog(&store)).transpose()?;
    if args.json {
        let slices: Vec<&String> = origin.slices.keys().collect();
        let counts = catalog.as_ref().map(all_counts);
        let value = serde_json::json!({
            "pipeline": origin.pipeline, "complete": catalog.as_ref().is_some_and(|catalog| catalog.plan == origin.plan), "commits": commits, "slices": slices,
            "counts": counts,
        });
        report::print(&format!("{value}\n"));
        return Ok(());
    }
    report::print(&format!("{}: pipeline {}, {commits} tasks committed\n", args.out.display(), origin.pipeline));
    for (name, slice) in &origin.slices {
        let bytes: u64 = slice.files.iter().map(|file| file.bytes).sum();
        let stages: Vec<&str> = slice.stages.iter().map(|(label, _)| label.as_str()).collect();
        report::print(&format!("  {name}: {} raw files, {}; {}\n", slice.files.len(), Size(bytes), stages.join(" → ")));
    }
    let current = catalog.as_ref().is_some_and(|catalog| catalog.plan == origin.plan);
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
            "\n{name}: {} tokens in {} shards, {} files, {}\n{}",
            number(slice.counts.tokens),
            slice.shards.len(),
            slice.outputs().count(),
            Size(sizes),
            report::account(&slice.counts)
        ));
    }
    Ok(())
}

/// Runs `verify`.
pub fn verify(args: &StatusArgs) -> Result<()> {
    let store = Store::open(&args.out);
    let catalog = read_catalog(&store)?;
    let mut faults: Vec<String> = Vec::new();
    if !catalog.is_whole() {
        faults.push(format!("{}: was changed since it was written", store.path(CATALOG).display()));
    }
    let mut bytes = 0;
    let mut files = 0;
    for output in catalog.outputs() {
        files += 1;
        bytes += output.bytes;
        if let Err(error) = store.check(output) {
            faults.push(error.to_string());
        }
    }
    // What is damaged by its digest need not be opened to know it.
    if faults.is_empty() {
        let origin = read_origin(&store)?;
        for (name, slice) in &catalog.slices {
            let stages = origin.slices.get(name).map(|slice| slice.stages.as_slice()).unwrap_or_default();
            let pack = stages.iter().find_map(|(_, stage)| stage["options"].get("pack"));
            let ends = pack.is_some_and(|pack| pack["append_end_of_document"] == true);
            check_slice(&store, &catalog, name, slice, ends, &mut faults)?;
        }
    }
    let known: std::collections::BTreeSet<&str> = catalog.outputs().map(|output| output.name.as_str()).collect();
    let mut strangers = Vec::new();
    for folder in ["documents", "dropped", "shards"] {
        strangers.extend(store.list(folder)?.into_iter().filter(|name| !known.contains(name.as_str())));
    }
    if args.json {
        let value = serde_json::json!({ "files": files, "bytes": bytes, "faults": faults, "strangers": strangers });
        report::print(&format!("{value}\n"));
    }
    for name in strangers.iter().take(5) {
        report::say(&format!("warning: {name} is not in the catalog: no reader of the catalog will see it"));
    }
    if faults.is_empty() {
        if !args.json {
            let counts = all_counts(&catalog);
            report::print(&format!(
                "{files} files, {}: every digest and every count is right; {} documents kept, {} tokens\n",
                Size(bytes),
                number(counts.kept.documents),
                number(counts.tokens)
            ));
        }
        return Ok(());
    }
    let shown = faults.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ");
    let more = faults.len().saturating_sub(20);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    Err(Failure::new(Code::Damaged, format!("{} faults\n  {shown}{more}", faults.len()))
        .hint("remove the damaged files and run the same `build` again: it makes what is missing, with the same bytes"))
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
    let end = catalog.tokenizer.as_ref().filter(|_| ends).map(|tokenizer| tokenizer.end_of_document);
    for document in 0..shard.documents() {
        if end.is_some() && shard.document(document).last() != end {
            return Ok(Err(format!("document {document} does not end with the end-of-document token")));
        }
        if let Some(token) = shard.document(document).find(|token| *token >= vocab_size) {
            return Ok(Err(format!("document {document} has token {token}, the vocabulary ends at {vocab_size}")));
        }
    }
    let rows = table::rows(&store.path(&entry.provenance.name))?;
    if rows != entry.documents {
        return Ok(Err(format!("provenance of {rows} documents, not {}", entry.documents)));
    }
    Ok(Ok(()))
}
