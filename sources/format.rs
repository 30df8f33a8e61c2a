//! What the formats of records share: which column is the text, which ones have a field of their
//! own, and how a file's records are numbered and told.

use std::borrow::Cow;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use corpus::manifest::RawRead;
use corpus::{Document, Error, Evidence, Meta, RawFile, Reason};

use crate::jsonl::{self, Unfit};
use crate::raw::{Content, Damage};
use crate::{Limits, Raw, Record, Result, Sink};

/// The columns of a slice's records.
pub(crate) struct Shape<'o> {
    /// The columns that may hold the text; the first that is there does.
    pub text: &'static [&'static str],
    /// Columns and the places in [`corpus::document::META_FIELDS`] that they fill; of two for one
    /// place the first that is there and not null does.
    pub fields: &'static [(&'static str, usize)],
    /// Columns without which a record is unusable.
    pub required: &'o [String],
    /// The language of documents for which no column tells one.
    pub language: Option<&'o str>,
}

/// The place of the licence among the fields: of a list of licences all hold, not the first alone.
pub(crate) const LICENSE: usize = 3;

impl Shape<'_> {
    /// The text's column and value. Of two columns with one name the last counts, as for Python.
    pub fn text_of<'r>(&self, columns: &'r [(Cow<'_, str>, &'r str)]) -> Option<(&'static str, &'r str)> {
        let find = |name: &&'static str| {
            let (_, value) = columns.iter().rev().find(|(known, _)| known == name)?;
            Some((*name, *value))
        };
        self.text.iter().find_map(find)
    }

    /// The first required column that is missing.
    pub fn missing(&self, has: impl Fn(&str) -> bool) -> Option<&str> {
        self.required.iter().map(String::as_str).find(|column| !has(column))
    }

    /// What a record says beside its text: all columns but `text` as one JSON object, as they were
    /// written, and the fields that have a column of their own.
    pub fn meta(&self, text: &str, columns: &[(Cow<'_, str>, &str)]) -> Result<Meta, Unfit> {
        let beside = || columns.iter().filter(|(name, _)| name != text);
        let room = beside().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        let mut json = String::with_capacity(room + 2);
        json.push('{');
        for (name, value) in beside() {
            jsonl::check(value)?;
            if json.len() > 1 {
                json.push(',');
            }
            quote(name, &mut json);
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        let mut meta = Meta { json, ..Meta::default() };
        for (name, place) in self.fields {
            let Some((_, value)) = beside().rfind(|(known, _)| known == name) else { continue };
            let field = &mut *meta.fields_mut()[*place];
            if field.is_none() {
                *field = if *place == LICENSE { licenses(value) } else { simple(value) }.map(Box::from);
            }
        }
        if meta.language.is_none() {
            meta.language = self.language.map(Box::from);
        }
        Ok(meta)
    }
}

/// Appends a JSON string.
pub(crate) fn quote(text: &str, json: &mut String) {
    if !text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        json.push('"');
        json.push_str(text);
        json.push('"');
        return;
    }
    // A string can always be written.
    json.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A value as a word: a string, a number, the `name` of an object, or the first of a list.
fn simple(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'n' => None,
        b'{' => {
            let record: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
                serde_json::from_str(json).ok()?;
            let name = record.get("name")?.get();
            serde_json::from_str(name).ok()
        }
        b'[' => {
            let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(json).ok()?;
            let first = items.first()?.get();
            if first.starts_with('[') { None } else { simple(first) }
        }
        _ => Some(json.to_owned()),
    }
}

/// Licences as one expression: all of a list joined by `AND`.
fn licenses(json: &str) -> Option<String> {
    if !json.starts_with('[') {
        return simple(json);
    }
    let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(json).ok()?;
    let all: Vec<String> = items.iter().filter_map(|item| simple(item.get())).collect();
    if all.is_empty() { None } else { Some(crate::license::all_of(all.iter().map(String::as_str))) }
}

/// One raw file on its way into a sink: numbers its records, and ends its account.
pub(crate) struct Reading<'s> {
    pub limits: Limits,
    pub records: u64,
    /// Bytes of a record that damage cut off: they are counted with the damage.
    pub cut_off: u64,
    name: Arc<str>,
    sink: &'s mut dyn Sink,
}

impl<'s> Reading<'s> {
    pub fn new(file: &RawFile, limits: Limits, sink: &'s mut dyn Sink) -> Reading<'s> {
        Reading { limits, records: 0, cut_off: 0, name: file.name.clone(), sink }
    }

    /// The next record is a document.
    pub fn document(&mut self, text: String, meta: Meta) -> Result<()> {
        let id = crate::id(&self.name, self.records);
        self.sink.record(Record::Document(Document::new(id, text, meta)))?;
        self.records += 1;
        Ok(())
    }

    /// The next record is none.
    pub fn unusable(&mut self, reason: Reason, evidence: Evidence, bytes: u64) -> Result<()> {
        let id = crate::id(&self.name, self.records);
        self.sink.record(Record::Unusable { id, reason, evidence, bytes })?;
        self.records += 1;
        Ok(())
    }

    /// What is damaged is a record too, so that nothing is lost without a count.
    pub fn damaged(&mut self, damage: &Damage) -> Result<()> {
        let cut_off = std::mem::take(&mut self.cut_off);
        self.unusable(damage.reason, Evidence::found(&damage.detail), cut_off)
    }

    /// The file was read to its end, or to where it is damaged.
    pub fn end(self, digest: corpus::Digest, bytes: u64, damage: Option<Damage>) -> Result<()> {
        let damage = damage.map(|damage| format!("{}: {}", damage.reason, damage.detail));
        self.sink.finished(RawRead { name: self.name, bytes, digest: Some(digest), records: self.records, damage })
    }
}

/// Reads a file of records, whatever its compression: JSON lines or Parquet.
pub(crate) fn read(file: &RawFile, shape: &Shape<'_>, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
    if is_dangling(&file.path) {
        return read_dangling(file, limits, sink);
    }
    let raw = Raw::open(file)?;
    read_opened(file, raw, shape, limits, sink)
}

/// A link to nothing holds no records, and is not passed over in silence.
pub(crate) fn read_dangling(file: &RawFile, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
    let target = fs::read_link(&file.path).map_err(Error::io("cannot read", &file.path))?;
    let mut reading = Reading::new(file, limits, sink);
    reading.unusable(Reason("symlink"), Evidence::found(format!("to {}, which is not there", target.display())), 0)?;
    reading.end(corpus::Digest::of(b""), 0, None)
}

/// Reads a file of records whose first bytes were looked at already.
pub(crate) fn read_opened(
    file: &RawFile,
    mut raw: Raw,
    shape: &Shape<'_>,
    limits: Limits,
    sink: &mut dyn Sink,
) -> Result<()> {
    let mut reading = Reading::new(file, limits, sink);
    let damage = records(file, &mut raw, shape, &mut reading)?;
    let (digest, bytes) = raw.finish()?;
    reading.end(digest, bytes, damage)
}

fn records(file: &RawFile, raw: &mut Raw, shape: &Shape<'_>, reading: &mut Reading<'_>) -> Result<Option<Damage>> {
    let damage = match raw.content() {
        Content::Lines => {
            jsonl::read(raw, shape, reading)?;
            raw.damage().cloned()
        }
        Content::Parquet if raw.compression() == crate::raw::Compression::None => {
            crate::parquet::read(raw.at_random(file)?, shape, reading)?
        }
        Content::Parquet => foreign("Parquet in a compressed file: it is compressed inside, decompress it once"),
        Content::Tar => foreign("a tar archive"),
        Content::SevenZip => foreign("a 7z archive"),
        Content::Foreign(what) => foreign(what),
    };
    if let Some(damage) = &damage {
        reading.damaged(damage)?;
    }
    Ok(damage)
}

pub(crate) fn foreign(what: &str) -> Option<Damage> {
    Some(Damage { reason: Reason("unknown_format"), detail: what.to_owned() })
}

/// Files up to this length are pinned by their digest: it takes no longer than opening them, and they
/// may be copied without a word. Larger ones are pinned by length and time of change.
pub(crate) const PINNED_BY_DIGEST: u64 = 1 << 20;

/// A raw file as it lies on the disk.
pub(crate) fn raw_file(slice: &str, path: &Path, base: &Path) -> corpus::Result<RawFile> {
    let found = match fs::metadata(path) {
        Err(_) if is_dangling(path) => {
            return Ok(RawFile::new(name(slice, path, base), path));
        }
        found => found.map_err(Error::io("cannot read", path))?,
    };
    let small = found.is_file() && found.len() <= PINNED_BY_DIGEST;
    let digest = if small { Some(corpus::Digest::of_file(path)?.0) } else { None };
    let modified = if digest.is_some() { None } else { modified(&found) };
    Ok(RawFile { bytes: found.len(), modified, digest, ..RawFile::new(name(slice, path, base), path) })
}

/// Whether a path is a link to nothing.
pub(crate) fn is_dangling(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) && fs::metadata(path).is_err()
}

/// The slice, then the path below `base` with `/` between folders.
pub(crate) fn name(slice: &str, path: &Path, base: &Path) -> Arc<str> {
    let below = match path.strip_prefix(base) {
        Ok(below) if below != Path::new("") => below,
        _ => Path::new(path.file_name().unwrap_or(path.as_os_str())),
    };
    let mut name = slice.to_owned();
    for part in below.components() {
        name.push('/');
        name.push_str(&part.as_os_str().to_string_lossy());
    }
    name.into()
}

/// When a file was last changed, in nanoseconds since 1970.
pub(crate) fn modified(found: &fs::Metadata) -> Option<u64> {
    let since = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// The entries of a folder that are not hidden, sorted.
pub(crate) fn entries(folder: &Path) -> corpus::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("cannot read folder", folder))? {
        let entry = entry.map_err(Error::io("cannot read folder", folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

/// All files of a folder and below that are not hidden, in the order of their names. Links are
/// followed, but never into a folder that one is already in.
pub(crate) fn files(slice: &str, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
    let mut found = Vec::new();
    gather(slice, path, base, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn gather(
    slice: &str,
    path: &Path,
    base: &Path,
    inside: &mut Vec<PathBuf>,
    found: &mut Vec<RawFile>,
) -> corpus::Result<()> {
    if is_dangling(path) {
        found.push(raw_file(slice, path, base)?);
        return Ok(());
    }
    let lies = fs::metadata(path).map_err(Error::io("cannot read", path))?;
    if !lies.is_dir() {
        // A pipe that someone names is read; one that happens to lie in a folder would be waited for.
        if lies.is_file() || inside.is_empty() {
            found.push(raw_file(slice, path, base)?);
        }
        return Ok(());
    }
    let real = fs::canonicalize(path).map_err(Error::io("cannot read folder", path))?;
    if inside.contains(&real) {
        return Ok(());
    }
    inside.push(real);
    for entry in entries(path)? {
        gather(slice, &entry, base, inside, found)?;
    }
    inside.pop();
    Ok(())
}

/// Opens a file for reading at random.
pub(crate) fn open(path: &Path) -> corpus::Result<File> {
    File::open(path).map_err(Error::io("cannot open", path))
}
