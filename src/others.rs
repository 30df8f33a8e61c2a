//! Other runs, finished, which dedups are held against: what they kept, as their catalogs say.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::catalog::{CATALOG, SliceEntry};
use corpus::store::Store;
use corpus::table::DocumentReader;
use corpus::{Digest, Tally};

use crate::failure::{Code, Failure, Result};
use crate::pipeline::Read;
use crate::publish;

/// Other runs by the path that the pipeline gives.
pub type Others = BTreeMap<PathBuf, Arc<Other>>;

/// Another run.
#[derive(Debug)]
pub struct Other {
    /// Its folder.
    pub folder: PathBuf,
    /// Digest of its catalog's bytes.
    pub digest: Digest,
    /// Its raw files with their records, slice by slice as the catalog has them.
    pub files: Vec<(Arc<str>, u64)>,
    /// The files of documents that it kept, in the same order.
    pub parts: Vec<Part>,
}

/// A file of documents.
#[derive(Debug)]
pub struct Part {
    /// Its name in the folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
    /// Which raw files its documents are from.
    pub files: Range<usize>,
    /// How many documents it has, and bytes of their texts as they were read: its part, by length, of all that
    /// its slice kept.
    pub kept: Tally,
}

/// Reads the catalogs of all runs that stages are held against. One that is missing, unfinished or
/// damaged is an error at its place in the pipeline.
pub fn read(read: &Read, out: &Path) -> Result<Others> {
    let mut others = Others::new();
    let own = read.pipeline.slices.0.iter().flat_map(|(_, slice)| &slice.stages);
    for stage in own.chain(&read.pipeline.stages) {
        let Some(path) = stage.value.against() else { continue };
        if let Some(why) = stage.value.cannot_be_against() {
            let failure = Failure::configuration(format!("`{}` with `against`: {why}", stage.value.name()));
            return Err(failure.at(read.place_of_word(stage, "against")));
        }
        if others.contains_key(path) {
            continue;
        }
        let other = other_at(read, path, out)
            .map_err(|failure| failure.at(read.place_of_value(stage, &[&["against", "run"], &["against"]])))?;
        others.insert(path.to_owned(), Arc::new(other));
    }
    Ok(others)
}

fn other_at(read: &Read, path: &Path, out: &Path) -> Result<Other> {
    let folder = match &read.folder {
        Some(from) => from.join(path),
        None => path.to_owned(),
    };
    if !folder.is_dir() {
        let message = format!("`against: {}`: there is no folder {}", path.display(), folder.display());
        return Err(Failure::configuration(message)
            .hint("give the folder of a finished run; a relative path starts at the pipeline's file"));
    }
    if let (Ok(one), Ok(other)) = (folder.canonicalize(), out.canonicalize())
        && one == other
    {
        return Err(Failure::configuration(format!("`against: {}` is where this run goes", path.display()))
            .hint("give another folder with --output"));
    }
    let damaged = |detail: String| {
        Failure::new(Code::Damaged, format!("{}: {detail}", folder.display()))
            .hint("`redpajama verify` tells what is damaged; build it again, and then this run")
    };
    let store = Store::open(&folder);
    // What helps a run of our own is not to be done to another.
    let catalog = publish::read_catalog(&store).map_err(|failure| match failure.code {
        Code::Damaged => failure.hint(
            "it is the catalog of the other run, which is only read: build that one again, with this version of \
             redpajama, and then this run",
        ),
        Code::Configuration => failure.hint(
            "a run is held against one that is finished, which then has a catalog.json: build that one to its end, \
             and then this run",
        ),
        _ => failure,
    })?;
    if !catalog.is_whole() {
        return Err(damaged("catalog.json is not as it was written".to_owned()));
    }
    let digest = Digest::of(&store.read(CATALOG)?);
    let mut other = Other { folder: folder.clone(), digest, files: Vec::new(), parts: Vec::new() };
    for slice in catalog.slices.values() {
        other.add(slice).map_err(damaged)?;
    }
    Ok(other)
}

impl Other {
    fn add(&mut self, slice: &SliceEntry) -> Result<(), String> {
        let first = self.files.len();
        self.files.extend(slice.inputs.iter().map(|read| (read.name.clone(), read.records)));
        let mut from = first;
        let all: u64 = slice.documents.iter().map(|output| output.bytes).sum();
        let parts = self.parts.len();
        for output in &slice.documents {
            let path = self.folder.join(&output.name);
            if std::fs::metadata(&path).map(|found| found.len()).ok() != Some(output.bytes) {
                return Err(format!("{} is missing or of another length", output.name));
            }
            let document = match DocumentReader::open(&path, &[]).map(|mut reader| reader.next()) {
                Ok(Some(Ok(document))) => document,
                Ok(None) => return Err(format!("{} has no documents", output.name)),
                Err(error) | Ok(Some(Err(error))) => return Err(error.to_string()),
            };
            // Documents lie in the order of raw files, and those of one raw file in one part.
            let Some(at) = (from..self.files.len()).find(|at| self.files[*at].0 == document.id.raw_file) else {
                return Err(format!("{} begins with {}, which the catalog has not there", output.name, document.id));
            };
            if let Some(last) = self.parts[parts..].last_mut() {
                last.files.end = at;
            }
            let files = at..self.files.len();
            let share = |of: u64| (of as f64 * output.bytes as f64 / all.max(1) as f64).ceil() as u64;
            let kept = slice.counts.kept;
            let kept = Tally { documents: share(kept.documents), bytes: share(kept.bytes) };
            self.parts.push(Part {
                name: output.name.clone(),
                bytes: output.bytes,
                digest: output.digest,
                files,
                kept,
            });
            from = at + 1;
        }
        Ok(())
    }
}
