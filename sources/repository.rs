//! Repositories: a folder that was checked out, or a tar archive of one.
//!
//! Every file is a record, in the byte order of paths (in an archive, in its own order); folders
//! are none, but a submodule is. What git itself keeps (`.git`) is not part of the repository. A
//! byte order mark at the start of a file stays in its text, as it stays in BigQuery's.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use corpus::digest::Hashing;
use corpus::{Digest, Error, Evidence, Meta, RawFile, Reason};

use crate::archive::{Archive, Entry, Fault, Kind};
use crate::format::{PINNED_BY_DIGEST, Reading, modified, name, quote};
use crate::jsonl::Unfit;
use crate::license::{self, Found};
use crate::raw::Damage;
use crate::{Limits, Raw, Result, Sink};

/// Bytes in which a NUL makes a file binary, as for git.
const BINARY_WITHIN: usize = 8 << 10;

/// Bytes of `.gitmodules` that are read.
const MODULES: u64 = 1 << 20;

/// Paths of an archive that are remembered to tell a second entry of the same path, in some 13 MiB:
/// Chromium has fewer files.
const REMEMBERED: usize = 1 << 19;

/// What all files of one repository share.
#[derive(Default)]
struct Repository {
    name: String,
    reference: Option<String>,
    license: Option<String>,
    submodules: BTreeSet<String>,
}

impl Repository {
    /// One regular file becomes a document, or an unusable record.
    fn file(
        &self,
        path: &str,
        mode: u32,
        content: Result<String, Unfit>,
        size: u64,
        reading: &mut Reading<'_>,
    ) -> Result<()> {
        let text = match content {
            Ok(text) => text,
            Err((reason, evidence)) => return reading.unusable(reason, named(path, evidence), size),
        };
        let license = license::header(&text).or_else(|| self.license.clone());
        // As BigQuery: git's mode, in decimal.
        let mode = if mode & 0o111 == 0 { 0o100_644 } else { 0o100_755 };
        let mut json = String::with_capacity(160 + path.len());
        // Writing to a string cannot fail.
        let _ = write!(json, "{{\"size\":{size},\"binary\":false,\"repo_name\":");
        quote(&self.name, &mut json);
        if let Some(reference) = &self.reference {
            json.push_str(",\"ref\":");
            quote(reference, &mut json);
        }
        json.push_str(",\"path\":");
        quote(path, &mut json);
        let _ = write!(json, ",\"mode\":{mode}");
        if let Some(license) = &license {
            json.push_str(",\"license\":");
            quote(license, &mut json);
        }
        json.push('}');
        let meta = Meta {
            repository: Some(self.name.as_str().into()),
            path: Some(path.into()),
            license: license.map(Box::from),
            json,
            ..Meta::default()
        };
        reading.document(text, meta)
    }
}

/// Says of which file the evidence is: an unusable record has no meta.
fn named(path: &str, evidence: Evidence) -> Evidence {
    match evidence {
        Evidence::None => Evidence::found(path),
        Evidence::Found(what) => Evidence::found(format!("{path}: {what}")),
        other => other,
    }
}

/// Reads a file's content to its end: a text, or why it is none.
fn content(from: &mut impl Read, max: usize) -> io::Result<(Result<String, Unfit>, u64)> {
    let mut bytes = Vec::new();
    from.take(BINARY_WITHIN as u64).read_to_end(&mut bytes)?;
    let binary = memchr::memchr(0, &bytes).is_some();
    if !binary {
        // One byte more than a document may have tells one that is too large.
        let most = max.saturating_add(1).saturating_sub(bytes.len());
        from.take(most as u64).read_to_end(&mut bytes)?;
    }
    let size = bytes.len() as u64 + io::copy(from, &mut io::sink())?;
    let text = if binary {
        Err((Reason("binary"), Evidence::None))
    } else if bytes.len() > max {
        Err((Reason("too_large"), Evidence::bound(size as f64, max as f64)))
    } else {
        String::from_utf8(bytes).map_err(|error| (Reason("bad_utf8"), Evidence::found(error.to_string())))
    };
    Ok((text, size))
}

/// The paths that `.gitmodules` names.
fn submodules(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(text);
    let paths = text.lines().filter_map(|line| line.trim().strip_prefix("path")?.trim_start().strip_prefix('='));
    paths.map(|path| path.trim().trim_end_matches('/').to_owned()).collect()
}

// Folders.

/// The raw file that stands for a checked-out repository.
pub(crate) fn find(slice: &str, folder: &Path, base: &Path) -> corpus::Result<RawFile> {
    let mut raw_file = RawFile::new(name(slice, folder, base), folder);
    let head = fs::metadata(folder.join(".git/HEAD")).ok().and_then(|head| modified(&head));
    raw_file.modified = head.max(fs::metadata(folder).ok().and_then(|folder| modified(&folder)));
    walk(folder, "", &mut |item| {
        if item.kind == Some(Kind::File) {
            raw_file.bytes += item.found.len();
        }
        raw_file.modified = raw_file.modified.max(modified(&item.found));
        Ok(())
    })
    .map_err(|error| match error {
        crate::Error::World(error) => error,
        // The walk above stops for nothing else.
        crate::Error::Stopped => Error::damaged(folder, "stopped"),
    })?;
    if raw_file.bytes <= PINNED_BY_DIGEST {
        raw_file.modified = None;
        raw_file.digest = Some(pin(folder)?);
    }
    Ok(raw_file)
}

/// The digest of all that a small repository is read from.
fn pin(folder: &Path) -> corpus::Result<Digest> {
    let mut hasher = Hashing::new(io::sink());
    let head = fs::read(folder.join(".git/HEAD")).unwrap_or_default();
    hash(&mut hasher, "", "head", &head);
    let walked = walk(folder, "", &mut |item| {
        let Item { path, below, kind, found } = item;
        match kind {
            Some(Kind::File) => {
                let what = if mode(&found) & 0o111 == 0 { "file" } else { "program" };
                hash(&mut hasher, &below, what, &Digest::of_file(&path)?.0.0);
            }
            Some(Kind::Symlink) => {
                let target = fs::read_link(&path).map_err(Error::io("cannot read", &path))?;
                hash(&mut hasher, &below, "symlink", target.to_string_lossy().as_bytes());
            }
            Some(_) => hash(&mut hasher, &below, "other", b""),
            None => hash(&mut hasher, &below, "submodule", b""),
        }
        Ok(())
    });
    match walked {
        Ok(()) => Ok(hasher.digest()),
        Err(crate::Error::World(error)) => Err(error),
        // The walk above stops for nothing else.
        Err(crate::Error::Stopped) => Err(Error::damaged(folder, "stopped")),
    }
}

/// Something in a folder.
pub(crate) struct Item {
    pub path: PathBuf,
    /// Below the repository, with `/` between folders.
    pub below: String,
    /// Nothing for another repository.
    pub kind: Option<Kind>,
    pub found: fs::Metadata,
}

/// Visits everything in a folder and below but folders, in the byte order of paths.
pub(crate) fn walk(folder: &Path, below: &str, visit: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    let mut items = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("cannot read folder", folder))? {
        let entry = entry.map_err(Error::io("cannot read folder", folder))?;
        let name = entry.file_name();
        if below.is_empty() && name == ".git" {
            continue;
        }
        let path = entry.path();
        let found = fs::symlink_metadata(&path).map_err(Error::io("cannot read", &path))?;
        let mut key = name.as_encoded_bytes().to_vec();
        if found.is_dir() {
            // A folder's files sort as their whole paths do.
            key.push(b'/');
        }
        items.push((key, path, found));
    }
    items.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, path, found) in items {
        let below = format!("{below}{}", String::from_utf8_lossy(&key));
        if !found.is_dir() {
            let kind = Some(kind(&found));
            visit(Item { path, below, kind, found })?;
        } else if fs::symlink_metadata(path.join(".git")).is_ok() {
            visit(Item { path, below: below.trim_end_matches('/').to_owned(), kind: None, found })?;
        } else {
            walk(&path, &below, visit)?;
            visit(Item { path, below, kind: Some(Kind::Folder), found })?;
        }
    }
    Ok(())
}

fn kind(found: &fs::Metadata) -> Kind {
    if found.is_symlink() {
        Kind::Symlink
    } else if found.is_file() {
        Kind::File
    } else {
        Kind::Other("a device, a pipe or a socket")
    }
}

/// Reads a checked-out repository.
pub(crate) fn read_folder(file: &RawFile, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
    let mut reading = Reading::new(file, limits, sink);
    let mut hasher = Hashing::new(io::sink());
    let bytes = read_files(file, &mut reading, &mut hasher)?;
    reading.end(hasher.digest(), bytes, None)
}

/// The files' bytes.
fn read_files(file: &RawFile, reading: &mut Reading<'_>, hasher: &mut Hashing<io::Sink>) -> Result<u64> {
    let folder = &file.path;
    let repository = of_folder(file)?;
    hash(hasher, "", "ref", repository.reference.as_deref().unwrap_or_default().as_bytes());
    let mut bytes = 0;
    walk(folder, "", &mut |item| {
        let Item { path, below, kind, found } = item;
        match kind {
            Some(Kind::File) => {
                let opened = File::open(&path).map_err(Error::io("cannot open", &path))?;
                let mut opened = Hashing::new(opened);
                let (text, size) =
                    content(&mut opened, reading.limits.max_document).map_err(Error::io("cannot read", &path))?;
                let mode = mode(&found);
                let what = if mode & 0o111 == 0 { "file" } else { "program" };
                hash(hasher, &below, what, &opened.digest().0);
                bytes += size;
                repository.file(&below, mode, text, size, reading)
            }
            Some(Kind::Symlink) => {
                let target = fs::read_link(&path).map_err(Error::io("cannot read", &path))?;
                let target = target.to_string_lossy();
                hash(hasher, &below, "symlink", target.as_bytes());
                reading.unusable(Reason("symlink"), Evidence::found(format!("{below}: to {target}")), 0)
            }
            Some(Kind::Folder) if repository.submodules.contains(below.trim_end_matches('/')) => {
                hash(hasher, &below, "submodule", b"");
                reading.unusable(Reason("submodule"), Evidence::found(below), 0)
            }
            Some(Kind::Folder) => Ok(()),
            None => {
                hash(hasher, &below, "submodule", b"");
                reading.unusable(Reason("submodule"), Evidence::found(below), 0)
            }
            Some(Kind::HardLink | Kind::Other(_)) => {
                hash(hasher, &below, "not a file", b"");
                reading.unusable(Reason("not_a_file"), Evidence::found(below), 0)
            }
        }
    })?;
    Ok(bytes)
}

#[cfg(unix)]
fn mode(found: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions())
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0
}

/// Takes a path, what it is and what stands for its content into the digest of a repository. Each
/// is preceded by its length, so that no two repositories give the same bytes.
pub(crate) fn hash(hasher: &mut Hashing<io::Sink>, path: &str, what: &str, content: &[u8]) {
    for part in [path.as_bytes(), what.as_bytes(), content] {
        // Nothing is written anywhere, so nothing can fail.
        let _ = hasher.write_all(&(part.len() as u64).to_le_bytes());
        let _ = hasher.write_all(part);
    }
}

/// What the root of a repository says of it.
fn of_folder(file: &RawFile) -> Result<Repository> {
    let folder = &file.path;
    let mut found = Found::default();
    let mut candidates = Vec::new();
    for (place, below) in [(folder.clone(), ""), (folder.join("LICENSES"), "LICENSES/")] {
        let Ok(entries) = fs::read_dir(&place) else { continue };
        for entry in entries {
            let path = entry.map_err(Error::io("cannot read folder", &place))?.path();
            let below = format!("{below}{}", path.file_name().unwrap_or_default().to_string_lossy());
            if Found::wants(&below) && fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
                candidates.push((below, path));
            }
        }
    }
    candidates.sort();
    for (below, path) in candidates {
        found.add(&below, &start(&path, license::LONGEST)?);
    }
    let modules = folder.join(".gitmodules");
    let modules = if modules.is_file() { start(&modules, MODULES)? } else { Vec::new() };
    let head = folder.join(".git/HEAD");
    // A commit is named in forty digits, a branch in not many more.
    let head = if head.is_file() { start(&head, 4096).unwrap_or_default() } else { Vec::new() };
    let head = String::from_utf8_lossy(&head);
    let reference = head.trim().strip_prefix("ref: ").unwrap_or(head.trim());
    Ok(Repository {
        name: file.name.split_once('/').map_or(&*file.name, |(_, name)| name).to_owned(),
        reference: if reference.is_empty() { None } else { Some(reference.to_owned()) },
        license: found.license(),
        submodules: submodules(&modules),
    })
}

/// The first bytes of a file.
fn start(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io("cannot open", path))?;
    file.take(most).read_to_end(&mut bytes).map_err(Error::io("cannot read", path))?;
    Ok(bytes)
}

// Archives.

/// Reads a tar archive of a repository: once for its licence, which may come last, and once for
/// its files.
pub(crate) fn read_archive(file: &RawFile, raw: Raw, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
    let (repository, top) = of_archive(file, raw)?;
    let mut reading = Reading::new(file, limits, sink);
    let mut archive = Archive::new(Raw::open(file)?);
    let damage = read_entries(file, &mut archive, &repository, top.as_deref(), &mut reading)?;
    let mut raw = archive.into_inner();
    let damage = rest(file, &mut raw, damage)?;
    if let Some(damage) = &damage {
        reading.damaged(damage)?;
    }
    let (digest, bytes) = raw.finish()?;
    reading.end(digest, bytes, damage)
}

/// Decodes what follows an archive's end, where the compression keeps its checksum.
fn rest(file: &RawFile, raw: &mut Raw, damage: Option<Damage>) -> Result<Option<Damage>> {
    io::copy(raw, &mut io::sink()).map_err(Error::io("cannot read", &file.path))?;
    // An archive that ends early does so because its compression does.
    Ok(raw.damage().cloned().or(damage))
}

pub(crate) fn damaged(file: &RawFile, fault: Fault) -> Result<Damage> {
    match fault {
        Fault::World(error) => Err(Error::io("cannot read", &file.path)(error).into()),
        Fault::Cut => Ok(Damage { reason: Reason("truncated_tar"), detail: "the archive ends inside an entry".into() }),
        Fault::Broken(detail) => Ok(Damage { reason: Reason("bad_tar"), detail }),
    }
}

/// What the root of an archive says of its repository, and the one folder that everything lies in,
/// if there is one, with its `/`.
fn of_archive(file: &RawFile, raw: Raw) -> Result<(Repository, Option<String>)> {
    let mut archive = Archive::new(raw);
    // Until all entries were seen, the root may be the archive's or the one folder's.
    let mut roots: [(Found, Vec<u8>); 2] = Default::default();
    let mut top: Option<String> = None;
    let mut alone = true;
    loop {
        let entry = match archive.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(fault) => {
                damaged(file, fault)?;
                break;
            }
        };
        let Some(path) = inside(&entry.path) else { continue };
        if entry.kind == Kind::Folder && !path.contains('/') {
            continue;
        }
        let below = match path.split_once('/') {
            Some((first, below)) => {
                match &top {
                    None => top = Some(first.to_owned()),
                    Some(top) => alone &= top == first,
                }
                Some(below)
            }
            None => {
                alone = false;
                None
            }
        };
        if entry.kind != Kind::File {
            continue;
        }
        for ((found, modules), path) in roots.iter_mut().zip([Some(path.as_str()), below]) {
            let Some(path) = path else { continue };
            let most = match path {
                _ if Found::wants(path) => license::LONGEST,
                ".gitmodules" => MODULES,
                _ => continue,
            };
            let mut text = Vec::new();
            (&mut archive).take(most).read_to_end(&mut text).map_err(Error::io("cannot read", &file.path))?;
            if path == ".gitmodules" {
                *modules = text;
            } else {
                found.add(path, &text);
            }
            break;
        }
    }
    let [outer, inner] = roots;
    let top = if alone { top } else { None };
    let (found, modules) = if top.is_some() { inner } else { outer };
    let reference = archive.comment;
    let repository = Repository {
        name: named_by(file, top.as_deref(), reference.as_deref()),
        reference,
        license: found.license(),
        submodules: submodules(&modules),
    };
    Ok((repository, top.map(|top| top + "/")))
}

/// GitHub calls the one folder of its archives `<name>-<ref>`; other archives have the name of their
/// file.
fn named_by(file: &RawFile, top: Option<&str>, commit: Option<&str>) -> String {
    if let Some(top) = top {
        let name = commit.and_then(|commit| top.strip_suffix(commit)?.strip_suffix('-'));
        return name.unwrap_or(top).to_owned();
    }
    let name = file.name.split_once('/').map_or(&*file.name, |(_, name)| name);
    let name = [".gz", ".zst", ".bz2", ".xz"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    let name = name.strip_suffix(".tar").or_else(|| name.strip_suffix(".tgz")).unwrap_or(name);
    name.to_owned()
}

/// A path of an archive without `.` in it; nothing if it leaves the archive.
pub(crate) fn inside(path: &[u8]) -> Option<String> {
    let path = String::from_utf8_lossy(path);
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Some(parts.join("/"))
}

fn read_entries(
    file: &RawFile,
    archive: &mut Archive<Raw>,
    repository: &Repository,
    top: Option<&str>,
    reading: &mut Reading<'_>,
) -> Result<Option<Damage>> {
    let mut seen = BTreeSet::new();
    loop {
        let entry = match archive.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(None),
            Err(fault) => return damaged(file, fault).map(Some),
        };
        let Entry { path, kind, size, mode, link, .. } = entry;
        let shown = String::from_utf8_lossy(&path);
        let Some(whole) = inside(&path) else {
            reading.unusable(Reason("unsafe_path"), Evidence::found(shown), size)?;
            continue;
        };
        let below = top.and_then(|top| whole.strip_prefix(top)).unwrap_or(&whole);
        if kind == Kind::Folder {
            if repository.submodules.contains(below) {
                reading.unusable(Reason("submodule"), Evidence::found(below), 0)?;
            }
            continue;
        }
        let mut key = [0; 16];
        key.copy_from_slice(&Digest::of(whole.as_bytes()).0[..16]);
        if seen.contains(&key) {
            reading.unusable(Reason("duplicate_path"), Evidence::found(below), size)?;
            continue;
        }
        if seen.len() < REMEMBERED {
            seen.insert(key);
        }
        match kind {
            Kind::File => {
                let (text, size) =
                    content(archive, reading.limits.max_document).map_err(Error::io("cannot read", &file.path))?;
                if !archive.whole() {
                    // The next header is missing too: the damage is counted once, with these bytes.
                    reading.cut_off = size;
                    continue;
                }
                repository.file(below, mode, text, size, reading)?;
            }
            Kind::Symlink | Kind::HardLink => {
                let reason = if kind == Kind::Symlink { "symlink" } else { "hard_link" };
                let target = String::from_utf8_lossy(&link);
                reading.unusable(Reason(reason), Evidence::found(format!("{below}: to {target}")), size)?;
            }
            Kind::Other(what) => {
                reading.unusable(Reason("not_a_file"), Evidence::found(format!("{below}: {what}")), size)?;
            }
            Kind::Folder => {}
        }
    }
}
