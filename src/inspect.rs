//! `inspect`: the documents or tokens of any file that we write, or of a raw file as its source
//! reads it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::catalog::CATALOG;
use corpus::manifest::RawRead;
use corpus::remote::Address;
use corpus::shard::Shard;
use corpus::sorted::SortedFile;
use corpus::store::Store;
use corpus::{Document, DocumentId, Error, Meta, RawFile, Tokenizer, table};
use serde_json::{Map, Value};
use sources::{Limits, Record, Sink, Source, SourceSpec};
use stages::minhash_dedup::{Minhash, MinhashDedup};
use stages::{Finding, Rank, Sketch};

use crate::cli::InspectArgs;
use crate::failure::{Failure, Result};
use crate::inputs;
use crate::publish::{PLAN, read_catalog, read_origin};
use crate::report;

/// Lines of a text that are shown, if not all.
const LINES: usize = 8;

/// Runs `inspect`.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    for path in &args.files {
        if args.files.len() > 1 && !args.json {
            report::print(&format!("{}\n", path.display()));
        }
        inspect_one(args, path)?;
    }
    Ok(())
}

fn inspect_one(args: &InspectArgs, path: &Path) -> Result<()> {
    if let Some(address) = path.to_str().filter(|path| Address::is_one(path)) {
        let source = source_for(args.slice.as_deref(), path)?.build();
        let files = inputs::addressed::raw_files(source.slice(), &[address.to_owned()])?;
        return raw(&mut Show::new(args)?, &*source, &files);
    }
    let found = std::fs::metadata(path).map_err(Failure::io("cannot open", path))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if found.is_dir() && is_run(path) {
        return Err(Failure::usage(format!("{} is the folder of a run", path.display()))
            .hint("`redpajama status` tells of it; `inspect` takes one of its files"));
    }
    let mut show = Show::new(args)?;
    // Raw files may have any name, and whoever names the slice says that this is one.
    let ours = args.slice.is_none() || ours(path);
    match name.rsplit('.').next() {
        Some("bin" | "idx") if ours => shard(&mut show, path),
        Some("sketches") if ours => sketches(&mut show, path),
        Some("findings") if ours => findings(&mut show, path),
        Some("jsonl") if name == "metrics.jsonl" && ours => metrics(&mut show, path),
        Some("json") if ours && (name == CATALOG || name == PLAN || in_commits(path)) => {
            let text = std::fs::read(path).map_err(Failure::io("cannot read", path))?;
            report::print(&format!("{}\n", String::from_utf8_lossy(&text).trim_end()));
            Ok(())
        }
        Some("parquet") if run_of(path).is_some() => {
            table::each_row(path, &mut |row| Ok(show.row(row)))?;
            Ok(())
        }
        _ => {
            let source = source_for(args.slice.as_deref(), path)?.build();
            let path = &inputs::whole(path)?;
            let files = source.find(path, &inputs::common_base(std::slice::from_ref(path)))?;
            raw(&mut show, &*source, &files)
        }
    }
}

fn in_commits(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "commits")
}

/// Whether a file lies in a run's folder.
fn ours(path: &Path) -> bool {
    run_of(path).is_some()
}

/// The folder of the run that a file belongs to.
fn run_of(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().skip(1).take(4).find(|folder| is_run(folder)).map(Path::to_path_buf)
}

fn is_run(folder: &Path) -> bool {
    [PLAN, CATALOG].iter().any(|name| folder.join(name).is_file())
}

struct Show<'a> {
    args: &'a InspectArgs,
    seen: u64,
    /// What makes the bands that are shown beside texts.
    minhash: Option<Minhash>,
}

impl<'a> Show<'a> {
    fn new(args: &'a InspectArgs) -> Result<Show<'a>> {
        let minhash = match args.minhash {
            Some(similarity) => Some(
                MinhashDedup::rp_v2(similarity)
                    .map_err(|message| Failure::usage(format!("--minhash {similarity}: {message}")))?
                    .ready(),
            ),
            None => None,
        };
        Ok(Show { args, seen: 0, minhash })
    }

    /// The bands of a text's MinHash as hexadecimal digits; null if it has fewer words than a shingle.
    fn bands(&self, text: &str) -> Option<Value> {
        let id = DocumentId { raw_file: "".into(), record: 0 };
        let bands = self.minhash.as_ref()?.bands(&Document::new(id, text.to_owned(), Meta::default()));
        let hex = |band: &Vec<u8>| band.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Some(bands.map(|bands| bands.iter().map(hex).collect::<Vec<String>>()).into())
    }
    /// Shows one object, unless it is passed over; says whether more are wanted.
    fn row(&mut self, mut row: Map<String, Value>) -> bool {
        self.seen += 1;
        if self.seen <= self.args.skip {
            return true;
        }
        if let Some(bands) = row.get("text").and_then(Value::as_str).and_then(|text| self.bands(text)) {
            row.insert("minhash".into(), bands);
        }
        if self.args.json {
            report::print(&format!("{}\n", Value::Object(row)));
        } else {
            report::print(&self.words(&row));
        }
        report::is_heard() && self.seen < self.args.skip.saturating_add(self.args.limit)
    }

    fn words(&self, row: &Map<String, Value>) -> String {
        let title = ["id", "ordinal", "event"].iter().find_map(|name| row.get(*name)).map(plain).unwrap_or_default();
        let mut out = format!("── {title}\n");
        for (name, value) in row {
            if !["id", "event", "text", "tokens"].contains(&name.as_str()) {
                out += &format!("   {name}: {}\n", self.cut(&plain(value)));
            }
        }
        if let Some(Value::Array(tokens)) = row.get("tokens") {
            let shown = if self.args.whole { tokens.len() } else { 24 };
            let ids: Vec<String> = tokens.iter().take(shown).map(Value::to_string).collect();
            let more = if tokens.len() > shown { " …" } else { "" };
            out += &format!("   tokens ({}): {}{more}\n", tokens.len(), ids.join(" "));
        } else if let Some(tokens) = row.get("tokens") {
            out += &format!("   tokens: {tokens}\n");
        }
        if let Some(Value::String(text)) = row.get("text") {
            let lines: Vec<&str> = text.lines().collect();
            let shown = if self.args.whole { lines.len() } else { LINES.min(lines.len()) };
            for line in &lines[..shown] {
                out += &format!("   │ {}\n", self.cut(line));
            }
            if shown < lines.len() {
                out += &format!("   │ … {} lines more (--whole)\n", lines.len() - shown);
            }
        }
        out
    }

    fn cut(&self, line: &str) -> String {
        match line.char_indices().nth(200) {
            Some((at, _)) if !self.args.whole => format!("{} …", &line[..at]),
            _ => line.to_owned(),
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn shard(show: &mut Show<'_>, path: &Path) -> Result<()> {
    let shard = Shard::open_any(path)?;
    let tokenizer = tokenizer_of(show.args, path)?;
    let provenance = match path.extension().and_then(|ending| ending.to_str()) {
        Some("bin" | "idx") => path.with_extension("provenance.parquet"),
        _ => PathBuf::from(format!("{}.provenance.parquet", path.display())),
    };
    if !show.args.json {
        let decoded = match &tokenizer {
            Some(_) => "",
            None => ", not decoded: --tokenizer FILE",
        };
        report::print(&format!(
            "{}, {} of {} bytes{decoded}\n",
            report::count(shard.documents() as u64, "document"),
            report::count(shard.tokens(), "token"),
            shard.token_type().bytes()
        ));
    }
    let mut ids: Vec<Value> = Vec::new();
    if provenance.is_file() {
        let wanted = show.args.skip.saturating_add(show.args.limit);
        table::each_row(&provenance, &mut |row| {
            ids.push(row.get("id").cloned().unwrap_or_default());
            Ok((ids.len() as u64) < wanted)
        })?;
    }
    for number in 0..shard.documents() {
        let tokens: Vec<i64> = shard.document(number).collect();
        let mut row = Map::new();
        row.insert("ordinal".into(), number.into());
        if let Some(id) = ids.get(number) {
            row.insert("id".into(), id.clone());
        }
        if let Some(tokenizer) = &tokenizer {
            let vocab_size = tokenizer.vocab_size();
            if let Some(token) = tokens.iter().find(|token| !(0..i64::from(vocab_size)).contains(token)) {
                let message =
                    format!("document {number} has token {token}, and the tokenizer knows {vocab_size} tokens");
                return Err(Failure::configuration(message).hint("it is not the tokenizer that made this shard"));
            }
            let ids: Vec<u32> = tokens.iter().map(|token| *token as u32).collect();
            row.insert("text".into(), tokenizer.decode(&ids).into());
        }
        row.insert("tokens".into(), tokens.into());
        if !show.row(row) {
            break;
        }
    }
    Ok(())
}

fn tokenizer_of(args: &InspectArgs, path: &Path) -> Result<Option<Arc<dyn Tokenizer>>> {
    let load =
        |file: &Path| stages::tokenizer::load(file, None).map_err(|error| Failure::configuration(error.to_string()));
    if let Some(file) = &args.tokenizer {
        return load(file).map(Some);
    }
    let planned = || {
        let store = Store::open(run_of(path)?);
        let file = read_origin(&store).ok()?.tokenizer_path.filter(|path| path.is_file())?;
        Some((read_catalog(&store).ok(), file))
    };
    let Some((catalog, file)) = planned() else { return Ok(None) };
    let tokenizer = load(&file)?;
    // The plan may have another one than the catalog that still stands.
    let name = path.file_stem();
    let made = catalog.filter(|catalog| catalog.outputs().any(|output| Path::new(&output.name).file_stem() == name));
    let digest = made.and_then(|catalog| catalog.tokenizer).map(|tokenizer| tokenizer.digest);
    Ok(digest.is_none_or(|digest| digest == tokenizer.digest()).then_some(tokenizer))
}

fn sketches(show: &mut Show<'_>, path: &Path) -> Result<()> {
    let file = SortedFile::<{ Sketch::WIDTH }>::open(path)?;
    if !show.args.json {
        let word = if file.count() == 1 { "sketch" } else { "sketches" };
        report::print(&format!("{} {word}\n", report::number(file.count())));
    }
    for sketch in file.range([0; Sketch::WIDTH], None, 64 << 10)? {
        let sketch = Sketch::from_bytes(sketch?);
        let key: String = sketch.key.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut row = Map::new();
        row.insert("key".into(), key.into());
        row.insert("raw_file".into(), sketch.rank.raw_file.into());
        row.insert("record".into(), sketch.rank.record.into());
        if !show.row(row) {
            break;
        }
    }
    Ok(())
}

/// What happened during the runs of a folder, event by event.
fn metrics(show: &mut Show<'_>, path: &Path) -> Result<()> {
    let file = std::fs::File::open(path).map_err(Failure::io("cannot open", path))?;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(Failure::io("cannot read", path))?;
        // A run that was killed may have left half a line.
        let Ok(event) = serde_json::from_slice(&line) else { continue };
        if !show.row(event) {
            break;
        }
    }
    Ok(())
}

fn findings(show: &mut Show<'_>, path: &Path) -> Result<()> {
    let file = SortedFile::<{ Finding::WIDTH }>::open(path)?;
    if !show.args.json {
        report::print(&format!("{}\n", report::count(file.count(), "finding")));
    }
    for finding in file.range([0; Finding::WIDTH], None, 64 << 10)? {
        let finding = Finding::from_bytes(finding?);
        let mut row = Map::new();
        let words = |rank: Rank| format!("raw file {} record {}", rank.raw_file, rank.record);
        row.insert("gone".into(), words(finding.gone).into());
        match finding.as_part() {
            Some(part) => {
                row.insert("part".into(), format!("{:016x}", part.number).into());
                row.extend(part.first.map(|first| ("first".to_owned(), words(first).into())));
            }
            None => {
                row.insert("kept".into(), words(finding.kept).into());
                row.insert("similarity".into(), finding.similarity.into());
            }
        }
        if !show.row(row) {
            break;
        }
    }
    Ok(())
}

/// Where a word stands last in a path; a number may follow it (`books3`), a letter may not.
fn word_in(path: &str, word: &str) -> Option<usize> {
    let apart = |at: usize| {
        let (before, after) = (&path[..at], &path[at + word.len()..]);
        let follows = if word.ends_with(|last: char| last.is_ascii_digit()) {
            after.starts_with(char::is_alphanumeric)
        } else {
            after.starts_with(char::is_alphabetic)
        };
        !before.ends_with(char::is_alphanumeric) && !follows
    };
    path.rmatch_indices(word).map(|(at, _)| at).find(|at| apart(*at))
}

/// Reads raw files as a source does; what is unusable is shown with its reason.
pub fn source_for(slice: Option<&str>, path: &Path) -> Result<SourceSpec> {
    let known: Vec<&str> = sources::told().iter().map(|told| told.name).collect();
    let name = match slice {
        Some(slice) => slice,
        // The slice's word is in the path of most raw files; of several the last is nearest to it.
        None => {
            let words = path.to_string_lossy().to_lowercase();
            let named = known.iter().filter_map(|name| Some((word_in(&words, name)?, *name)));
            match named.max() {
                Some((_, name)) => name,
                None => {
                    return Err(Failure::usage(format!("which slice is {}?", path.display()))
                        .hint(format!("say it with --slice: one of {}", known.join(", "))));
                }
            }
        }
    };
    SourceSpec::default_for(name).ok_or_else(|| {
        let failure = Failure::usage(format!("unknown slice `{name}`"));
        failure.hint(match crate::pipeline::closest(name, &known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("known are: {}", known.join(", ")),
        })
    })
}

fn raw(show: &mut Show<'_>, source: &dyn Source, files: &[RawFile]) -> Result<()> {
    let limits = Limits { max_document: 16 << 20 };
    let scratch = tempfile::tempdir().map_err(Failure::io("cannot make a scratch folder in", std::env::temp_dir()))?;
    struct Showing<'s, 'a>(&'s mut Show<'a>);
    impl Sink for Showing<'_, '_> {
        fn record(&mut self, record: Record) -> sources::Result<()> {
            let mut row = Map::new();
            match record {
                Record::Document(document) => {
                    row.insert("id".into(), document.id.to_string().into());
                    let meta: Value = serde_json::from_str(&document.meta.json).unwrap_or_default();
                    match meta {
                        Value::Object(meta) => row.extend(meta),
                        other => drop(row.insert("meta".into(), other)),
                    }
                    row.insert("text".into(), document.text().into());
                }
                Record::Unusable { id, reason, evidence, bytes } => {
                    row.insert("id".into(), id.to_string().into());
                    row.insert("unusable".into(), reason.0.into());
                    row.insert("evidence".into(), evidence.to_string().into());
                    row.insert("bytes".into(), bytes.into());
                }
            }
            if self.0.row(row) { Ok(()) } else { Err(sources::Error::Stopped) }
        }

        fn finished(&mut self, read: RawRead) -> sources::Result<()> {
            if !self.0.args.json {
                let damage = read.damage.map(|damage| format!(", damaged: {damage}")).unwrap_or_default();
                report::print(&format!("{}: {}{damage}\n", read.name, report::count(read.records, "record")));
            }
            Ok(())
        }
    }
    match source.read(files, limits, scratch.path(), &mut Showing(show)) {
        Ok(()) | Err(sources::Error::Stopped) => Ok(()),
        Err(sources::Error::World(error @ Error::Damaged { .. })) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::word_in;

    #[test]
    fn a_slice_is_named_by_a_word_of_the_path() {
        for (path, word, at) in [
            ("raw/c4/c4-train.00000.json.gz", "c4", Some(7)),
            ("tmp0c4g83/mystery", "c4", None),
            ("c4/.tmp0c4g83/x.json", "c4", Some(0)),
            ("raw/books3.tar", "books", Some(4)),
            ("raw/bookshelf/x", "books", None),
            ("my_github_dump", "github", Some(3)),
        ] {
            assert_eq!(word_in(path, word), at, "{path}");
        }
    }
}
