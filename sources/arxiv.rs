//! arXiv: the LaTeX of scientific papers, from arXiv's monthly tars, single e-prints, or folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use corpus::dialect;
use corpus::{Document, Error, Evidence, Meta, RawFile, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, Fault, Kind};
use crate::format::{self, Reading, quote};
use crate::jsonl::Unfit;
use crate::raw::{Content, Damage};
use crate::{Limits, Raw, Result, Sink, Source, repository};

mod identifier;
mod project;
mod submission;

use identifier::Identifier;
use submission::{Member, Submission};

/// Reads arXiv's monthly tars (`arXiv_src_2001_001.tar`), single e-prints and folders of LaTeX.
///
/// One submission is one record: a member of a monthly tar, an e-print, or a folder in which files
/// of LaTeX lie. Its text begins with title and abstract and is that of the main file, with what it
/// inputs in place, without comments and bibliographies, with its authors' macros expanded. Only
/// files of LaTeX are held, at most 32 MiB of a submission; links and paths that leave the
/// submission are skipped and counted in the document's meta (`skipped`); a submission that
/// decompresses to more than 512 MiB is a bomb.
///
/// All options but `begin: section`, `end: appendix` and `drop_drawings: false` are there for what
/// the original did: see `pipelines/original/arxiv.yaml`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Arxiv {
    /// Which files make the text: the `main` one, with what it inputs in place; or `all` whose name
    /// ends in `.tex`, one after the other in the archive's order, as the original.
    pub files: Files,
    /// Which encodings are read: `any` (the declared one, else what the bytes look like); or `utf8`
    /// alone, so that one file in another loses its whole submission, as in the original.
    pub encodings: Encodings,
    /// Where the text begins: at the `title`, with the abstract; at the first `section` or other
    /// header, as LLaMA's; or `section_of_each_file`, as the original's: a file without one is
    /// empty, and a lone `\paragraph` is none.
    pub begin: Begin,
    /// What a comment is: what TeX takes for one (`tex`); or `with_character_before`, as the
    /// original, which also knew nothing of `verbatim` and left a `%` at the end of a line.
    pub comments: Comments,
    /// Where the text ends: with the `document`, bibliographies being left out where they stand; at
    /// the `appendix`; or `appendix_of_each_file`, as the original's: at the first appendix or
    /// bibliography of each file.
    pub end: End,
    /// Which macros are expanded: `all` that authors define, with and without arguments; or those of
    /// `one_line` without arguments, as in the original: also inside definitions, every second one of
    /// some that touch, and a value with an accent loses the whole submission.
    pub macros: MacrosOf,
    /// Whether drawings go: `tikzpicture`, `pspicture` and their like.
    pub drop_drawings: bool,
    /// What a submission is called: its arXiv identifier, if its name has one (`arxiv`); or `any`
    /// name, as the original, with the folder as its month.
    pub identifiers: Identifiers,
}

impl Default for Arxiv {
    fn default() -> Self {
        Arxiv {
            files: Files::Main,
            encodings: Encodings::Any,
            begin: Begin::Title,
            comments: Comments::Tex,
            end: End::Document,
            macros: MacrosOf::All,
            drop_drawings: true,
            identifiers: Identifiers::Arxiv,
        }
    }
}

/// See [`Arxiv::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Files {
    Main,
    All,
}

/// See [`Arxiv::encodings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Encodings {
    Any,
    Utf8,
}

/// See [`Arxiv::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Begin {
    Title,
    Section,
    SectionOfEachFile,
}

/// See [`Arxiv::comments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Comments {
    Tex,
    WithCharacterBefore,
}

/// See [`Arxiv::end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum End {
    Document,
    Appendix,
    AppendixOfEachFile,
}

/// See [`Arxiv::macros`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum MacrosOf {
    All,
    OneLine,
}

/// See [`Arxiv::identifiers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Identifiers {
    Arxiv,
    Any,
}

impl Arxiv {
    /// Each option as `pipelines/original/arxiv.yaml` has it.
    pub(crate) fn original() -> Arxiv {
        Arxiv {
            files: Files::All,
            encodings: Encodings::Utf8,
            begin: Begin::SectionOfEachFile,
            comments: Comments::WithCharacterBefore,
            end: End::AppendixOfEachFile,
            macros: MacrosOf::OneLine,
            drop_drawings: false,
            identifiers: Identifiers::Any,
        }
    }

    /// Makes the text of a submission in memory, a tar archive or one file.
    pub(crate) fn text_of(&self, mut bytes: &[u8]) -> Option<String> {
        let submission = submission::read(&mut bytes).ok()?.ok()?;
        project::text(submission, self).ok().map(|made| made.text)
    }
}

impl Source for Arxiv {
    fn slice(&self) -> &'static str {
        "arxiv"
    }

    fn find(&self, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
        let mut found = Vec::new();
        gather(path, base, &mut Vec::new(), &mut found)?;
        Ok(found)
    }

    fn read(&self, files: &[RawFile], limits: Limits, _scratch: &Path, sink: &mut dyn Sink) -> Result<()> {
        for file in files {
            if file.path.is_dir() {
                self.read_folder(file, limits, sink)?;
                continue;
            }
            let raw = Raw::open(file)?;
            if is_month(file, raw)? {
                self.read_month(file, limits, sink)?;
            } else {
                self.read_single(file, limits, sink)?;
            }
        }
        Ok(())
    }

    /// `{"text": …, "meta": {"timestamp": …, "yymm": …, "arxiv_id": …, "language": …, "url": …,
    /// "source": "arxiv"}}`; the language is left out where no stage found one.
    fn original_line(&self, document: &Document, out: &mut String) -> Result<(), serde_json::Error> {
        out.push_str("{\"text\": ");
        dialect::string(document.text(), out);
        out.push_str(", \"meta\": {");
        let json = &document.meta.json;
        let mut first = true;
        for name in ["timestamp", "yymm", "arxiv_id"] {
            dialect::rewrite_fields(json, &mut first, &|known| known != name, out)?;
        }
        if let Some(language) = &document.meta.language {
            out.push_str(if first { "\"language\": " } else { ", \"language\": " });
            dialect::string(language, out);
            first = false;
        }
        dialect::rewrite_fields(json, &mut first, &|known| known != "url", out)?;
        out.push_str(if first { "\"source\": \"arxiv\"}}" } else { ", \"source\": \"arxiv\"}}" });
        Ok(())
    }
}

/// What is known of a submission beside its files.
struct Known<'n> {
    /// The last part of its name.
    name: &'n str,
    /// The same without what the original took for its ending.
    stem: &'n str,
    /// The part before that.
    folder: Option<&'n str>,
    /// When arXiv packed it.
    modified: Option<u64>,
}

impl<'n> Known<'n> {
    fn of(path: &'n str, modified: Option<u64>) -> Known<'n> {
        let (folder, name) = path.rsplit_once('/').map_or((None, path), |(folder, name)| (Some(folder), name));
        let folder = folder.map(|folder| folder.rsplit('/').next().unwrap_or(folder));
        Known { name, stem: identifier::stem(name), folder, modified }
    }
}

impl Arxiv {
    /// Reads a folder of LaTeX.
    fn read_folder(&self, file: &RawFile, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
        let mut reading = Reading::new(file, limits, sink);
        let (submission, bytes, digest) = submission::read_folder(file)?;
        let mut known = Known::of(below(file), None);
        // A folder has no ending to lose.
        known.stem = known.name;
        self.record(submission, &known, bytes, &mut reading)?;
        reading.end(digest, bytes, None)
    }

    /// Reads one e-print.
    fn read_single(&self, file: &RawFile, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
        let mut raw = Raw::open(file)?;
        let mut reading = Reading::new(file, limits, sink);
        let damage = match raw.content() {
            Content::Parquet => format::foreign("Parquet"),
            Content::SevenZip => format::foreign("a 7z archive"),
            Content::Foreign(what) if what != "gzip in a compressed file" => format::foreign(what),
            Content::Foreign(_) | Content::Tar | Content::Lines => {
                let submission = submission::read(&mut raw).map_err(Error::io("cannot read", &file.path))?;
                self.record(submission, &Known::of(below(file), None), file.bytes, &mut reading)?;
                None
            }
        };
        if let Some(damage) = &damage {
            reading.damaged(damage)?;
        }
        let damage = damage.or_else(|| raw.damage().cloned());
        let (digest, bytes) = raw.finish()?;
        reading.end(digest, bytes, damage)
    }

    /// Reads a monthly tar.
    fn read_month(&self, file: &RawFile, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
        let mut reading = Reading::new(file, limits, sink);
        let mut archive = Archive::new(Raw::open(file)?);
        let damage = self.members(file, &mut archive, &mut reading)?;
        let mut raw = archive.into_inner();
        io::copy(&mut raw, &mut io::sink()).map_err(Error::io("cannot read", &file.path))?;
        let damage = raw.damage().cloned().or(damage);
        if let Some(damage) = &damage {
            reading.damaged(damage)?;
        }
        let (digest, bytes) = raw.finish()?;
        reading.end(digest, bytes, damage)
    }

    fn members(&self, file: &RawFile, archive: &mut Archive<Raw>, reading: &mut Reading<'_>) -> Result<Option<Damage>> {
        loop {
            let entry = match archive.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(None),
                Err(fault) => return repository::damaged(file, fault).map(Some),
            };
            let shown = String::from_utf8_lossy(&entry.path);
            let not = match entry.kind {
                Kind::Folder => continue,
                Kind::File => None,
                Kind::Symlink => Some("symlink"),
                Kind::HardLink => Some("hard_link"),
                Kind::Other(_) => Some("not_a_file"),
            };
            if let Some(reason) = not {
                reading.unusable(Reason(reason), Evidence::found(shown), entry.size)?;
                continue;
            }
            let Some(path) = repository::inside(&entry.path) else {
                reading.unusable(Reason("unsafe_path"), Evidence::found(shown), entry.size)?;
                continue;
            };
            let submission = match path.rsplit_once('.') {
                Some((_, "pdf")) => Err((Reason("pdf"), Evidence::None)),
                Some((_, "gz")) => {
                    submission::read(&mut Member::new(&mut *archive)).map_err(Error::io("cannot read", &file.path))?
                }
                _ => Err((Reason("no_submission"), Evidence::None)),
            };
            io::copy(archive, &mut io::sink()).map_err(Error::io("cannot read", &file.path))?;
            if !archive.whole() {
                // The next header is missing too: the damage is counted once, with these bytes.
                reading.cut_off = entry.size;
                continue;
            }
            self.record(submission, &Known::of(&path, Some(entry.modified)), entry.size, reading)?;
        }
    }

    /// One submission becomes a document, or an unusable record.
    fn record(
        &self,
        submission: Result<Submission, Unfit>,
        known: &Known<'_>,
        bytes: u64,
        reading: &mut Reading<'_>,
    ) -> Result<()> {
        let made = submission.and_then(|submission| {
            let (skipped, files) = (submission.skipped.clone(), submission.files.len());
            let made = project::text(submission, self)?;
            let most = reading.limits.max_document;
            if made.text.len() > most {
                return Err((Reason("too_large"), Evidence::bound(made.text.len() as f64, most as f64)));
            }
            Ok((made, skipped, files))
        });
        let (made, skipped, files) = match made {
            Ok(made) => made,
            Err((reason, evidence)) => {
                let evidence = match evidence {
                    Evidence::None => Evidence::found(known.name),
                    Evidence::Found(what) => Evidence::found(format!("{}: {what}", known.name)),
                    other => other,
                };
                return reading.unusable(reason, evidence, bytes);
            }
        };
        let (id, yymm) = self.identified(known);
        let url = id.as_ref().map(|id| format!("https://arxiv.org/abs/{id}"));
        let timestamp = known.modified.map(identifier::timestamp);
        let mut json = String::with_capacity(256);
        json.push('{');
        for (name, value) in [("timestamp", &timestamp), ("yymm", &yymm), ("arxiv_id", &id), ("url", &url)] {
            field(name, value.as_deref(), &mut json);
        }
        if let Some(main) = &made.main {
            field("main", Some(main), &mut json);
        }
        if !made.encodings.is_empty() {
            let encodings: Vec<&str> = made.encodings.into_iter().collect();
            field("encoding", Some(&encodings.join(", ")), &mut json);
        }
        json.push_str(&format!("\"files\":{files}"));
        if !skipped.is_empty() {
            let skipped: Vec<String> = skipped.iter().map(|(reason, times)| format!("\"{reason}\":{times}")).collect();
            json.push_str(&format!(",\"skipped\":{{{}}}", skipped.join(",")));
        }
        json.push('}');
        let meta = Meta {
            url: url.map(Box::from),
            path: made.main.map(Box::from),
            timestamp: timestamp.map(Box::from),
            json,
            ..Meta::default()
        };
        reading.document(made.text, meta)
    }

    /// A submission's identifier and month.
    fn identified(&self, known: &Known<'_>) -> (Option<String>, Option<String>) {
        if self.identifiers == Identifiers::Any {
            let folder = known.folder.map(|folder| identifier::stem(folder).to_owned());
            return (Some(identifier::as_original(known.stem)), folder);
        }
        let month = known.folder.filter(|folder| folder.len() == 4 && folder.bytes().all(|byte| byte.is_ascii_digit()));
        match Identifier::of(known.name) {
            Some(Identifier { id, yymm }) => (Some(id), Some(yymm)),
            None => (None, month.map(str::to_owned)),
        }
    }
}

/// Appends `"name":value,`.
fn field(name: &str, value: Option<&str>, json: &mut String) {
    json.push_str(&format!("\"{name}\":"));
    match value {
        Some(value) => quote(value, json),
        None => json.push_str("null"),
    }
    json.push(',');
}

/// A raw file's name without the slice.
fn below(file: &RawFile) -> &str {
    file.name.split_once('/').map_or(&*file.name, |(_, name)| name)
}

/// Whether a file is a monthly tar: the first file in it has a submission's name, in a folder.
fn is_month(file: &RawFile, raw: Raw) -> Result<bool> {
    if raw.content() != Content::Tar && !crate::archive::is_header(raw.head()) {
        return Ok(false);
    }
    let name = below(file);
    if name.rsplit('/').next().is_some_and(|name| name.starts_with("arXiv_src_") || name.starts_with("arXiv_pdf_")) {
        return Ok(true);
    }
    let mut archive = Archive::new(raw);
    loop {
        match archive.next() {
            Ok(Some(entry)) if entry.kind == Kind::Folder => {}
            Ok(Some(entry)) => {
                let path = String::from_utf8_lossy(&entry.path);
                let Some((_, name)) = path.rsplit_once('/') else { return Ok(false) };
                return Ok(name.ends_with(".gz") && Identifier::of(name).is_some());
            }
            Err(Fault::World(error)) => return Err(Error::io("cannot read", &file.path)(error).into()),
            Ok(None) | Err(_) => return Ok(false),
        }
    }
}

fn gather(path: &Path, base: &Path, inside: &mut Vec<PathBuf>, found: &mut Vec<RawFile>) -> corpus::Result<()> {
    let lies = fs::metadata(path).map_err(Error::io("cannot read", path))?;
    if !lies.is_dir() {
        if lies.is_file() || inside.is_empty() {
            found.push(format::raw_file("arxiv", path, base)?);
        }
        return Ok(());
    }
    let real = fs::canonicalize(path).map_err(Error::io("cannot read folder", path))?;
    if inside.contains(&real) {
        return Ok(());
    }
    let entries = format::entries(path)?;
    if is_project(&entries) {
        let path = if path.file_name().is_none() { &real } else { path };
        found.push(submission::find_folder(path, base).map_err(|error| match error {
            crate::Error::World(error) => error,
            // Nothing else ends a walk.
            crate::Error::Stopped => Error::damaged(path, "stopped"),
        })?);
        return Ok(());
    }
    inside.push(real);
    for entry in entries.iter().filter(|entry| entry.is_dir() || !describes(entry)) {
        gather(entry, base, inside, found)?;
    }
    inside.pop();
    Ok(())
}

/// Whether a folder is one submission: files of LaTeX lie in it, and not each is one by its name.
fn is_project(entries: &[PathBuf]) -> bool {
    let names = entries.iter().filter(|entry| entry.is_file()).filter_map(|entry| entry.file_name()?.to_str());
    let mut tex = names.filter(|name| submission::is_tex(name)).peekable();
    tex.peek().is_some() && tex.any(|name| Identifier::of(name).is_none())
}

/// Whether a file describes those beside it: arXiv's manifest, digests, a card.
fn describes(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    ["readme", "license", "licence", "copying", "md5sums", "sha256sums"].contains(&stem)
        || name.ends_with("manifest.xml")
        || name.ends_with(".md")
}

#[cfg(test)]
mod tests;
