//! The listings of a crawl: `wet.paths.gz`, with the path of one file in each line.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use corpus::{Error, Evidence, RawFile, Reason};

use crate::format::{self, Reading};
use crate::{Limits, Raw, Result, Sink};

/// The longest line of a listing that is looked at: Common Crawl's have some 140 bytes.
const LONGEST_LINE: u64 = 4 << 10;

/// Whether a file is called as listings are: `wet.paths.gz`, `CC-MAIN-2023-06-wet.paths`.
pub(super) fn is_named_so(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    name.ends_with(".paths")
}

/// The files of a listing that lie on this machine: below the folder of the listing or one that this
/// lies in, as in a mirror of the whole bucket, or beside the listing by their names alone.
pub(super) fn find(slice: &str, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
    let listed = format::raw_file(slice, path, base)?;
    let mut lines = BufReader::new(Raw::open(&listed)?);
    let folders: Vec<&Path> = path.parent().into_iter().flat_map(Path::ancestors).collect();
    let mut found = Vec::new();
    let mut first = None;
    while let Some(line) = line(&mut lines, path)? {
        if let Some(lies) = lies(&line, &folders) {
            found.push(format::raw_file(slice, &lies, base)?);
        }
        first.get_or_insert(line);
    }
    if found.is_empty() {
        let detail = match first {
            None => "a listing of no files".to_owned(),
            Some(first) => format!("a listing of files, and none of them lies here; the first is {first}"),
        };
        let hint = "fetch them first, with their whole paths below a folder that the listing lies in too, or all \
                    beside it: `redpajama sources common_crawl` says where they come from";
        return Err(Error::Input { path: path.to_path_buf(), detail, hint: hint.to_owned() });
    }
    Ok(found)
}

/// Where a listed file lies.
fn lies(line: &str, folders: &[&Path]) -> Option<PathBuf> {
    let listed = Path::new(line);
    let safe = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !safe(listed) {
        return None;
    }
    let beside = folders.first().and_then(|folder| Some(folder.join(listed.file_name()?)));
    folders.iter().map(|folder| folder.join(listed)).chain(beside).find(|path| path.is_file())
}

/// The next line that has anything on it.
fn line(lines: &mut BufReader<Raw>, path: &Path) -> corpus::Result<Option<String>> {
    loop {
        let mut line = Vec::new();
        let read = lines.take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(Error::io("cannot read", path))?;
        if read == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(line.trim_ascii());
        if !line.is_empty() {
            return Ok(Some(line.into_owned()));
        }
    }
}

/// A listing among other files is one record, and no document.
pub(super) fn read(file: &RawFile, raw: Raw, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
    let mut reading = Reading::new(file, limits, sink);
    reading.unusable(Reason("listing"), Evidence::None, file.bytes)?;
    let (digest, bytes) = raw.finish()?;
    reading.end(digest, bytes, None)
}
