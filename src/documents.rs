//! Documents from files of any kind, for commands that learn from them.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use corpus::catalog::CATALOG;
use corpus::manifest::RawRead;
use corpus::table::DocumentReader;
use corpus::{Document, DocumentId, Meta, RawFile};
use serde::Deserialize;
use sources::{Limits, Raw, Record, Sink};

use crate::failure::{Failure, Result};
use crate::inspect::source_for;
use crate::publish::PLAN;
use crate::{export, inputs};

/// The longest document that is read.
const LIMITS: Limits = Limits { max_document: 16 << 20 };

/// The files that patterns mean; without a slice, of a folder that we wrote its tables of documents.
pub fn files(patterns: &[String], slice: Option<&str>) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        for path in inputs::expand(Path::new(""), pattern)? {
            let ours = if slice.is_none() && path.is_dir() { tables_in(&path)? } else { Vec::new() };
            match ours.is_empty() {
                true => paths.push(path),
                false => paths.extend(ours),
            }
        }
    }
    Ok(paths)
}

/// The tables of documents in a folder and below, in the order of their names; of a run's folder,
/// those of the documents that it kept.
fn tables_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let run = folder.join("documents");
    let is_run = [CATALOG, PLAN].iter().any(|name| folder.join(name).is_file()) && run.is_dir();
    let mut folders = vec![if is_run { run } else { folder.to_path_buf() }];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Failure::io("cannot list", &folder))? {
            let entry = entry.map_err(Failure::io("cannot list", &folder))?;
            let kind = entry.file_type().map_err(Failure::io("cannot list", &folder))?;
            match kind.is_dir() {
                true => folders.push(entry.path()),
                false if is_ours(&entry.path()) => found.push(entry.path()),
                false => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "parquet") && export::is_table(path)
}

/// Reads the documents of a file until `take` wants no more: one that we wrote, raw files of a
/// slice, or, where no slice is named, JSON lines of anybody's with `text`.
pub fn each(path: &Path, slice: Option<&str>, take: &mut dyn FnMut(&Document) -> Result<bool>) -> Result<()> {
    if slice.is_none() && is_ours(path) {
        for document in DocumentReader::open(path, &[])? {
            if !take(&document?)? {
                break;
            }
        }
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if slice.is_none() && [".jsonl", ".json", ".ndjson"].iter().any(|ending| name.contains(ending)) {
        return lines(path, take);
    }
    let source = source_for(slice, path)?.build();
    let path = &inputs::whole(path)?;
    let files = source.find(path, &inputs::common_base(std::slice::from_ref(path)))?;
    let scratch = tempfile::tempdir().map_err(Failure::io("cannot make a scratch folder in", std::env::temp_dir()))?;
    let mut taking = Taking { take, failed: None };
    let read = source.read(&files, LIMITS, scratch.path(), &mut taking);
    match (taking.failed, read) {
        (Some(failure), _) => Err(failure),
        (None, Ok(()) | Err(sources::Error::Stopped)) => Ok(()),
        (None, Err(error)) => Err(error.into()),
    }
}

/// What a line of somebody's has of ours: C4 and most others say `text`, cc_net `raw_content`.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "raw_content", alias = "content")]
    text: Option<String>,
    url: Option<Box<str>>,
}

/// Lines without a text are passed over.
fn lines(path: &Path, take: &mut dyn FnMut(&Document) -> Result<bool>) -> Result<()> {
    let name = path.to_string_lossy();
    let raw = Raw::open(&RawFile::new(&*name, path))?;
    let mut read = std::io::BufReader::with_capacity(256 << 10, raw);
    let raw_file: std::sync::Arc<str> = name.into();
    let mut line = Vec::new();
    for record in 0.. {
        line.clear();
        if read.read_until(b'\n', &mut line).map_err(Failure::io("cannot read", path))? == 0 {
            break;
        }
        let Ok(Line { text: Some(text), url }) = serde_json::from_slice(&line) else { continue };
        let id = DocumentId { raw_file: raw_file.clone(), record };
        if text.len() <= LIMITS.max_document && !take(&Document::new(id, text, Meta { url, ..Meta::default() }))? {
            break;
        }
    }
    Ok(())
}

struct Taking<'t> {
    take: &'t mut dyn FnMut(&Document) -> Result<bool>,
    failed: Option<Failure>,
}

impl Sink for Taking<'_> {
    fn record(&mut self, record: Record) -> sources::Result<()> {
        let Record::Document(document) = record else { return Ok(()) };
        match (self.take)(&document) {
            Ok(true) => Ok(()),
            Ok(false) => Err(sources::Error::Stopped),
            Err(failure) => {
                self.failed = Some(failure);
                Err(sources::Error::Stopped)
            }
        }
    }

    fn finished(&mut self, _: RawRead) -> sources::Result<()> {
        Ok(())
    }
}

/// Writes a file whole or not at all, and makes its folder.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Result<()> {
    let output = std::path::absolute(path).map_err(Failure::io("cannot find", path))?;
    let folder = output.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Failure::io("cannot create folder", folder))?;
    write_checked(&output, write, |_| Ok(()))
}

/// Whether a file may be written there: its folder has to be there, and it may be no folder itself.
pub fn can_be_written(path: &Path) -> Result<()> {
    let output = std::path::absolute(path).map_err(Failure::io("cannot find", path))?;
    let folder = output.parent().unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::configuration(format!("no such folder: {}", folder.display()))
            .hint("make it first, or name a file elsewhere"));
    }
    if output.is_dir() {
        let message = format!("{} is a folder", path.display());
        return Err(Failure::configuration(message).hint("name a file in it"));
    }
    Ok(())
}

/// Writes a file whole or not at all, once it was looked at where it lies until then: if `check`
/// fails, what lay at the path stays.
pub fn write_checked(
    path: &Path,
    write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let output = std::path::absolute(path).map_err(Failure::io("cannot find", path))?;
    let folder = output.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Failure::io("cannot create a file in", folder))?;
    let mut writer = std::io::BufWriter::with_capacity(1 << 20, file.as_file_mut());
    let written = write(&mut writer).and_then(|()| std::io::Write::flush(&mut writer));
    written.map_err(Failure::io("cannot write", &output))?;
    drop(writer);
    check(file.path())?;
    let readable = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(Failure::io("cannot write", &output))?;
    file.persist(&output).map_err(|error| Failure::io("cannot write", &output)(error.error))?;
    Ok(())
}
