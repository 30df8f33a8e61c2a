//! GitHub: files of public repositories, from BigQuery, The Stack, or the repositories themselves.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use corpus::dialect;
use corpus::{Document, Error, RawFile, Signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::{self, Shape};
use crate::raw::{Compression, Content};
use crate::{Limits, Raw, Result, Sink, Source, repository};

/// Reads exports of `bigquery-public-data.github_repos`, files of The Stack, checked-out
/// repositories and archives of them.
///
/// Of records, `content` is the text (`contents`, `code` or `text` where there is none); all other columns
/// stay in `meta` as they were written. A list of licences holds as a whole: `["MIT",
/// "Apache-2.0"]` is `MIT AND Apache-2.0`.
///
/// A folder is one repository, unless everything in it is a folder: then each of those is one
/// (`name`, or `owner/name` where the owner's folder holds nothing but folders too); or unless all
/// its files, or all files below it, hold records or are archives: then they are read, but for
/// those that describe them (`README`, `LICENSE`, `dataset_infos.json`, Markdown). Hidden entries do
/// not count.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GitHub {}

/// Columns and the places of the fields that they fill: repository, path, licence, language.
const FIELDS: &[(&str, usize)] = &[
    ("repo_name", 1),
    ("max_stars_repo_name", 1),
    ("repository_name", 1),
    ("repository", 1),
    ("repo", 1),
    ("path", 2),
    ("max_stars_repo_path", 2),
    ("license", format::LICENSE),
    ("max_stars_repo_licenses", format::LICENSE),
    ("licenses", format::LICENSE),
    ("detected_licenses", format::LICENSE),
    ("language", 4),
    ("lang", 4),
];

const SHAPE: Shape<'static> =
    Shape { text: &["content", "contents", "code", "text"], fields: FIELDS, required: &[], language: None };

impl Source for GitHub {
    fn slice(&self) -> &'static str {
        "github"
    }

    fn find(&self, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
        let mut found = Vec::new();
        gather(path, base, &mut Vec::new(), &mut found)?;
        Ok(found)
    }

    fn read(&self, files: &[RawFile], limits: Limits, _scratch: &Path, sink: &mut dyn Sink) -> Result<()> {
        for file in files {
            if format::is_dangling(&file.path) {
                format::read_dangling(file, limits, sink)?;
                continue;
            }
            if file.path.is_dir() {
                repository::read_folder(file, limits, sink)?;
                continue;
            }
            let raw = Raw::open(file)?;
            match raw.content() {
                Content::Tar => repository::read_archive(file, raw, limits, sink)?,
                _ => format::read_opened(file, raw, &SHAPE, limits, sink)?,
            }
        }
        Ok(())
    }

    /// `{"text": …, "meta": {"content_hash": …, "timestamp": "", "source": "github", "line_count":
    /// …, "max_line_length": …, "avg_line_length": …, "alnum_prop": …, …}}`, then all columns but
    /// the text in their order. What was not measured is left out; a column that has one of these
    /// names takes its place, as in the original's dictionary.
    fn original_line(&self, document: &Document, out: &mut String) -> Result<(), serde_json::Error> {
        out.push_str("{\"text\": ");
        dialect::string(document.text(), out);
        out.push_str(", \"meta\": {");
        let json = &document.meta.json;
        let mut first = true;
        for name in OURS {
            let start = out.len();
            if json.contains(name) {
                dialect::rewrite_fields(json, &mut first, &|known| known != name, out)?;
            }
            if out.len() > start {
                continue;
            }
            let signal = document.signals.get(name);
            if signal.is_none() && !matches!(name, "timestamp" | "source") {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push_str(", ");
            }
            // Writing to a string cannot fail.
            let _ = write!(out, "\"{name}\": ");
            match signal {
                Some(Signal::Text(word)) => dialect::string(word, out),
                Some(Signal::Integer(number)) => {
                    let _ = write!(out, "{number}");
                }
                // Of an empty text the original wrote the whole number 0.
                Some(Signal::Number(_)) if document.text().is_empty() => out.push('0'),
                Some(Signal::Number(number)) => dialect::float(*number, out),
                Some(Signal::Spans(_)) | None => out.push_str(if name == "source" { "\"github\"" } else { "\"\"" }),
            }
        }
        dialect::rewrite_fields(json, &mut first, &|known| OURS.contains(&known), out)?;
        out.push_str("}}");
        Ok(())
    }
}

/// What the original wrote before the columns, in its order.
const OURS: [&str; 7] =
    ["content_hash", "timestamp", "source", "line_count", "max_line_length", "avg_line_length", "alnum_prop"];

/// What a folder is.
enum Folder {
    Repository,
    OfRepositories,
    OfRawFiles,
}

fn gather(path: &Path, base: &Path, inside: &mut Vec<PathBuf>, found: &mut Vec<RawFile>) -> corpus::Result<()> {
    if !path.is_dir() {
        found.push(format::raw_file("github", path, base)?);
        return Ok(());
    }
    let real = fs::canonicalize(path).map_err(Error::io("cannot read folder", path))?;
    if inside.contains(&real) {
        return Ok(());
    }
    let entries = format::entries(path)?;
    if entries.is_empty() && fs::symlink_metadata(path.join(".git")).is_err() {
        return Ok(());
    }
    match kind(path, &entries)? {
        Folder::Repository => {
            let path = if path.file_name().is_none() { &real } else { path };
            found.push(repository::find("github", path, base)?);
        }
        Folder::OfRepositories => {
            for entry in entries {
                if !entry.is_dir() {
                    // A link to nothing; it counts as one.
                    found.push(format::raw_file("github", &entry, base)?);
                    continue;
                }
                // A link to something here, or to a folder around it, is read under its own name.
                let lies = fs::canonicalize(&entry).map_err(Error::io("cannot read folder", &entry))?;
                let linked = fs::symlink_metadata(&entry).is_ok_and(|found| found.is_symlink());
                if linked && (real.starts_with(&lies) || lies.starts_with(&real)) {
                    continue;
                }
                let within = format::entries(&entry)?;
                let owner = !within.is_empty() && matches!(kind(&entry, &within)?, Folder::OfRepositories);
                let repositories = if owner { within } else { vec![entry] };
                for repository in repositories {
                    found.push(match repository.is_dir() {
                        true => repository::find("github", &repository, base)?,
                        false => format::raw_file("github", &repository, base)?,
                    });
                }
            }
        }
        Folder::OfRawFiles => {
            inside.push(real);
            for entry in entries.iter().filter(|entry| entry.is_dir() || !describes(entry)) {
                gather(entry, base, inside, found)?;
            }
            inside.pop();
        }
    }
    Ok(())
}

fn kind(folder: &Path, entries: &[PathBuf]) -> corpus::Result<Folder> {
    // The Stack has a folder for each language, with nothing but records in it, and is a repository
    // itself: of data, with a card.
    // A link to nothing tells nothing.
    let there = entries.iter().filter(|entry| !format::is_dangling(entry));
    let (folders, files): (Vec<&PathBuf>, Vec<&PathBuf>) = there.partition(|entry| entry.is_dir());
    let mut raw = false;
    let mut code = false;
    for file in &files {
        match describes(file) {
            true => {}
            false if is_raw(file)? => raw = true,
            false => code = true,
        }
    }
    if code {
        return Ok(Folder::Repository);
    }
    if raw && fs::symlink_metadata(folder.join(".git")).is_err() {
        return Ok(Folder::OfRawFiles);
    }
    for below in folders {
        match only_raw(below, DEEPEST)? {
            Some(true) => raw = true,
            Some(false) => {
                let alone = files.is_empty() && fs::symlink_metadata(folder.join(".git")).is_err();
                return Ok(if alone { Folder::OfRepositories } else { Folder::Repository });
            }
            None => {}
        }
    }
    Ok(match raw {
        true => Folder::OfRawFiles,
        false if files.is_empty() && !entries.is_empty() => Folder::OfRepositories,
        false => Folder::Repository,
    })
}

/// How far below a folder of records may lie.
const DEEPEST: u32 = 8;

/// Whether a file describes the records beside it: a card, a licence, a list of columns.
fn describes(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    ["readme", "license", "licence", "copying", "citation", "_success", "dataset_info", "dataset_infos"].contains(&stem)
        || name.ends_with(".md")
}

/// Whether every file of a folder and below holds records, but for those that describe them; nothing
/// if there is none. A repository says no with its first file.
fn only_raw(folder: &Path, depth: u32) -> corpus::Result<Option<bool>> {
    if depth == 0 || fs::symlink_metadata(folder.join(".git")).is_ok() {
        return Ok(Some(false));
    }
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = format::entries(folder)?
        .into_iter()
        .filter(|entry| !format::is_dangling(entry))
        .partition(|entry| entry.is_dir());
    let mut raw = None;
    for file in files.iter().filter(|file| !describes(file)) {
        if !is_raw(file)? {
            return Ok(Some(false));
        }
        raw = Some(true);
    }
    for folder in folders {
        match only_raw(&folder, depth - 1)? {
            Some(true) => raw = Some(true),
            Some(false) => return Ok(Some(false)),
            None => {}
        }
    }
    Ok(raw)
}

/// Whether a file holds records or an archive: it is compressed, Parquet or tar, or its first line
/// is a JSON object, whole or longer than we look. An empty one may be anything.
fn is_raw(path: &Path) -> corpus::Result<bool> {
    const LINE: u64 = 1 << 20;
    let found = fs::metadata(path).map_err(Error::io("cannot read", path))?;
    if !found.is_file() {
        return Ok(false);
    }
    let file = RawFile { bytes: found.len(), ..RawFile::new("", path) };
    let raw = Raw::open(&file)?;
    if raw.compression() != Compression::None || raw.content() != Content::Lines || found.len() == 0 {
        return Ok(true);
    }
    if !raw.head().trim_ascii_start().starts_with(b"{") {
        return Ok(false);
    }
    let mut start = Vec::new();
    raw.take(LINE).read_to_end(&mut start).map_err(Error::io("cannot read", path))?;
    match memchr::memchr(b'\n', &start) {
        Some(end) => start.truncate(end),
        None if start.len() as u64 == LINE => return Ok(true),
        None => {}
    }
    Ok(serde_json::from_slice::<serde::de::IgnoredAny>(&start).is_ok())
}

#[cfg(test)]
mod tests {
    use corpus::{DocumentId, Meta};

    use super::*;

    #[track_caller]
    fn check(text: &str, json: &str, signals: &[(&'static str, Signal)], line: &str) {
        let id = DocumentId { raw_file: "github/a".into(), record: 0 };
        let mut document = Document::new(id, text.into(), Meta { json: json.into(), ..Meta::default() });
        for (name, signal) in signals {
            document.signals.set(name, signal.clone());
        }
        let mut out = String::new();
        GitHub::default().original_line(&document, &mut out).unwrap();
        assert_eq!(out, line);
    }

    #[test]
    fn a_document_becomes_the_original_s_line() {
        let measured = [
            ("avg_line_length", Signal::Number(6.0)),
            ("content_hash", Signal::Text("0cc1".into())),
            ("line_count", Signal::Integer(1)),
            ("max_line_length", Signal::Integer(5)),
            ("alnum_prop", Signal::Number(0.5)),
        ];
        let columns = r#"{"id":"é","size":"6","binary":false,"language":[{"name":"C"}],"share":29.925531914893618}"#;
        let line = concat!(
            r#"{"text": "x = 1\n", "meta": {"content_hash": "0cc1", "timestamp": "", "source": "github", "#,
            r#""line_count": 1, "max_line_length": 5, "avg_line_length": 6.0, "alnum_prop": 0.5, "#,
            r#""id": "\u00e9", "size": "6", "binary": false, "language": [{"name": "C"}], "#,
            r#""share": 29.925531914893618}}"#
        );
        check("x = 1\n", columns, &measured, line);
    }

    #[test]
    fn folders_of_records_are_no_repositories() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        // The Stack has a folder for each language.
        write("stack/README.md", b"# A card\n");
        write("stack/.git/HEAD", b"ref: refs/heads/main\n");
        write("stack/data/python/a.jsonl", b"{\"content\": \"a\"}\n");
        write("stack/data/rust/b.parquet", b"PAR1");
        write("code/ada/tide/main.c", b"int main;");
        write("code/ada/moon/main.c", b"int main;");
        write("code/ada/moon/README.md", b"# Moon");
        write("code/ada/moon/data/a.jsonl", b"{}\n");
        let names = |given: &str| -> Vec<String> {
            let path = folder.path().join(given);
            let found = GitHub::default().find(&path, &path).unwrap();
            found.iter().map(|file| file.name.to_string()).collect()
        };
        assert_eq!(names("stack"), ["github/data/python/a.jsonl", "github/data/rust/b.parquet"]);
        assert_eq!(names("code"), ["github/ada/moon", "github/ada/tide"]);
        assert_eq!(names("code/ada"), ["github/moon", "github/tide"]);
        assert_eq!(names("code/ada/tide"), ["github/tide"]);
    }

    #[test]
    fn an_empty_text_has_whole_zeros() {
        let measured = [("avg_line_length", Signal::Number(0.0)), ("line_count", Signal::Integer(0))];
        let line = concat!(
            r#"{"text": "", "meta": {"timestamp": "", "source": "github", "line_count": 0, "#,
            r#""avg_line_length": 0, "path": "a"}}"#
        );
        check("", r#"{"path":"a"}"#, &measured, line);
    }

    #[test]
    fn a_column_takes_the_place_of_its_name() {
        let line = r#"{"text": "a", "meta": {"timestamp": 7, "source": "github", "path": "source"}}"#;
        check("a", r#"{"path":"source","timestamp":7}"#, &[], line);
    }
}
