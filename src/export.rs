//! `export`: the kept documents in another format.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use corpus::catalog::{Catalog, SliceEntry};
use corpus::store::Store;
use corpus::table::DocumentReader;
use corpus::{Digest, SignalSpec};
use serde::{Deserialize, Serialize};
use sources::SourceSpec;

use crate::cli::{ExportArgs, Format};
use crate::failure::{Code, Failure, Result};
use crate::publish::{read_catalog, read_origin};
use crate::report::{self, number};

/// A note beside the files that says whose they are. It is hidden, so that whoever reads the folder
/// finds documents alone.
const NOTE: &str = ".export.json";

/// The folders of a run that an export may not be in: a build sweeps them.
const OURS: [&str; 7] = ["documents", "dropped", "cut", "shards", "commits", "between", ".aside"];

/// Which export a folder holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The run's folder.
    out: PathBuf,
    /// Its pipeline.
    pipeline: String,
    /// The digest of its catalog; none while the export is being written.
    catalog: Option<Digest>,
    /// All files of the export, and while it is being written those of the one before.
    files: BTreeSet<String>,
}

/// Runs `export`.
pub fn export(args: &ExportArgs) -> Result<()> {
    let Format::Jsonl = args.format;
    let store = Store::open(&args.out);
    let catalog = read_catalog(&store)?;
    let folder = args.to.clone().unwrap_or_else(|| args.out.join("export/jsonl"));
    let out = real(&args.out)?;
    check_folder(&args.out, &out, &folder)?;
    let mut note = Note { out, pipeline: catalog.pipeline.clone(), catalog: catalog.digest, files: BTreeSet::new() };
    for (name, slice) in &catalog.slices {
        note.files.extend((0..slice.documents.len()).map(|number| file_name(name, number)));
    }
    let before = earlier(&folder, &note, args.to.is_none())?;
    let sources = catalog
        .slices
        .iter()
        .map(|(name, slice)| source_of(&store, &catalog, name, slice))
        .collect::<Result<Vec<SourceSpec>>>()?;
    // Files are written aside and take their names when they are whole.
    let is_new = !folder.exists();
    let written = Store::create(&folder).map_err(Failure::from).and_then(|to| {
        let mut done = Vec::new();
        let written = write(&store, &catalog, &sources, &to, &note, &before, &mut done);
        if written.is_err() {
            // Half an export would be taken for a whole one. What cannot be removed, the note still
            // tells of.
            let removed = done.iter().all(|name| to.remove(name).is_ok());
            if removed && before.iter().all(|name| !to.has(name)) {
                let _ = to.remove(NOTE);
            }
        }
        let left = to.leave();
        let written = written?;
        left?;
        Ok(written)
    });
    if written.is_err() {
        // Best effort, where even locking the folder failed; only what is empty goes.
        let _ = std::fs::remove_dir(folder.join(".aside"));
        if is_new {
            let _ = std::fs::remove_dir(&folder);
        }
    }
    let documents = written?;
    let files = report::count(note.files.len() as u64, "file");
    report::say(&format!("{} in {files} in {}", report::count(documents, "document"), folder.display()));
    Ok(())
}

fn file_name(slice: &str, number: usize) -> String {
    format!("{slice}-{number:05}.jsonl.zst")
}

/// Whether an export may have written a file of this name.
fn is_export(name: &str) -> bool {
    let number = name.strip_suffix(".jsonl.zst").and_then(|name| name.rsplit_once('-')).map(|(_, number)| number);
    number.is_some_and(|number| number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Refuses the run's own folders.
fn check_folder(out: &Path, real_out: &Path, folder: &Path) -> Result<()> {
    let place = real(folder)?;
    let inside = place.strip_prefix(real_out).ok().map(|inside| inside.iter().next());
    let what = match inside {
        Some(None) => "is the folder of the run itself".to_owned(),
        Some(Some(first)) if OURS.iter().any(|ours| first == *ours) => {
            format!("is in {} of the run, which `build` sweeps", first.display())
        }
        _ => return Ok(()),
    };
    Err(Failure::configuration(format!("cannot export to {}: it {what}", folder.display()))
        .hint(format!("give a folder of its own with --to; without --to it is {}", out.join("export/jsonl").display())))
}

/// The files of an earlier export of this run, which this one replaces; anything else of such names
/// is somebody else's.
fn earlier(folder: &Path, note: &Note, is_default: bool) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(Failure::io("cannot list", folder)(error)),
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(Failure::io("cannot list", folder))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if is_export(&name) {
                    found.insert(name);
                }
            }
        }
    }
    if is_default {
        return Ok(found);
    }
    let known = std::fs::read(folder.join(NOTE)).ok().and_then(|text| serde_json::from_slice::<Note>(&text).ok());
    let (files, whose) = match known {
        Some(known) if (&known.out, &known.pipeline) == (&note.out, &note.pipeline) => (known.files, String::new()),
        Some(known) => {
            (BTreeSet::new(), format!(", an export of pipeline {} in {}", known.pipeline, known.out.display()))
        }
        None => (BTreeSet::new(), String::new()),
    };
    match found.iter().find(|name| !files.contains(*name)) {
        Some(stranger) => {
            let message = format!("{} holds {stranger}{whose}, which no export of this run wrote", folder.display());
            Err(Failure::configuration(message).hint("give an empty or a new folder with --to"))
        }
        None => Ok(found),
    }
}

/// How a slice was read: the catalog says it, the plan of the same run does, or it is as usual.
fn source_of(store: &Store, catalog: &Catalog, name: &str, slice: &SliceEntry) -> Result<SourceSpec> {
    let planned = || {
        let origin = read_origin(store).ok().filter(|origin| origin.plan == catalog.plan)?;
        origin.slices.get(name)?.source.get("source").cloned()
    };
    let source = match slice.source.clone().or_else(planned) {
        Some(source) => serde_json::from_value(source).ok(),
        None => SourceSpec::default_for(name),
    };
    source.ok_or_else(|| {
        let message = format!("the run has slice `{name}` with options that this version does not know");
        Failure::configuration(message).hint("use the version of redpajama that built it")
    })
}

/// Writes the files of all slices and removes those of `before` that are none of them; what was
/// published is in `done`. Gives the number of documents.
fn write(
    store: &Store,
    catalog: &Catalog,
    sources: &[SourceSpec],
    to: &Store,
    note: &Note,
    before: &BTreeSet<String>,
    done: &mut Vec<String>,
) -> Result<u64> {
    let tell = |note: &Note| to.write(NOTE, &serde_json::to_vec_pretty(note).unwrap_or_default());
    // First of all, so that whatever stops us, the next export knows what lies here.
    let files = note.files.union(before).cloned().collect();
    tell(&Note { out: note.out.clone(), pipeline: note.pipeline.clone(), catalog: None, files })?;
    let signals = known_signals();
    let mut documents = 0;
    for ((name, slice), source) in catalog.slices.iter().zip(sources) {
        let source = source.build();
        let (mut line, mut written) = (String::new(), 0);
        for (place, output) in slice.documents.iter().enumerate() {
            store.check(output)?;
            let path = store.path(&output.name);
            let aside = to.aside(file_name(name, place))?;
            let target = to.path(aside.name());
            let failed = || Failure::io("cannot write", target.clone());
            let mut encoder = zstd::Encoder::new(aside, 3).map_err(failed())?;
            for document in DocumentReader::open(&path, &signals)? {
                let document = document?;
                line.clear();
                source.original_line(&document, &mut line).map_err(|error| {
                    let detail = format!("meta of {} is not JSON: {error}", document.id);
                    corpus::Error::damaged(&path, detail)
                })?;
                line.push('\n');
                encoder.write_all(line.as_bytes()).map_err(failed())?;
                written += 1;
            }
            encoder.finish().map_err(failed())?.publish()?;
            done.push(file_name(name, place));
        }
        if written != slice.counts.kept.documents {
            let message = format!(
                "{name}: {} documents in documents/, the catalog counts {}",
                number(written),
                number(slice.counts.kept.documents)
            );
            return Err(Failure::new(Code::Damaged, message));
        }
        documents += written;
    }
    // What an earlier export left is no part of this one.
    for stale in before.difference(&note.files) {
        to.remove(stale)?;
    }
    tell(note)?;
    Ok(documents)
}

/// Where a path really lies, though it or its folders may not exist yet.
fn real(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(Failure::io("cannot find", path))?;
    for there in path.ancestors() {
        let Ok(mut real) = there.canonicalize() else { continue };
        for part in path.strip_prefix(there).unwrap_or(Path::new("")).components() {
            // A folder that is not there yet is no link: what is above it is what it lies in.
            match part {
                Component::ParentDir => drop(real.pop()),
                part => real.push(part),
            }
        }
        return Ok(real);
    }
    Ok(path)
}

/// Every signal that any stage writes; a table has those of its own run.
pub fn known_signals() -> Vec<SignalSpec> {
    stages::told().into_iter().flat_map(|told| told.writes).collect()
}

/// Whether a file is a table of documents as we write it, and no other Parquet.
pub fn is_table(path: &Path) -> bool {
    DocumentReader::open(path, &[]).is_ok_and(|mut table| !matches!(table.next(), Some(Err(_))))
}
