//! `train-tokenizer`: byte-level BPE on documents that we hold.

use std::path::{Path, PathBuf};

use corpus::catalog::CATALOG;
use corpus::manifest::RawRead;
use corpus::table::DocumentReader;
use sources::{Limits, Record, Sink};

use crate::cli::TrainTokenizerArgs;
use crate::failure::{Failure, Result};
use crate::inspect::source_for;
use crate::publish::PLAN;
use crate::report::{self, say};
use crate::size::Size;
use crate::{export, inputs};

/// Texts between the reader and the trainer, each of up to 16 MiB.
const QUEUE: usize = 4;

/// Runs `train-tokenizer`.
pub fn train(args: &TrainTokenizerArgs) -> Result<()> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in &args.input {
        for path in inputs::expand(Path::new(""), pattern)? {
            let ours = if args.slice.is_none() && path.is_dir() { documents_in(&path)? } else { Vec::new() };
            match ours.is_empty() {
                true => paths.push(path),
                false => paths.extend(ours),
            }
        }
    }
    let (send, texts) = crossbeam_channel::bounded::<String>(QUEUE);
    let (mut count, mut bytes) = (0u64, 0u64);
    let trained = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(args, &paths, send));
        let mut texts = texts.into_iter().inspect(|text| {
            count += 1;
            bytes += text.len() as u64;
        });
        let trained = stages::tokenizer::train(&mut texts, args.vocab_size, &stages::tokenizer::SPECIALS);
        // The reader notices that nobody listens any more.
        drop(texts);
        match reader.join() {
            Ok(read) => read.map(|()| trained),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    let json = trained.map_err(|error| Failure::configuration(error.to_string()))?;
    let output = std::path::absolute(&args.output).map_err(Failure::io("cannot find", &args.output))?;
    let folder = output.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Failure::io("cannot create folder", folder))?;
    // Whole or not at all.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Failure::io("cannot create a file in", folder))?;
    std::io::Write::write_all(&mut file, json.as_bytes()).map_err(Failure::io("cannot write", &output))?;
    let readable = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(Failure::io("cannot write", &output))?;
    file.persist(&output).map_err(|error| Failure::io("cannot write", &output)(error.error))?;
    let tokenizer =
        stages::tokenizer::load(&output, None).map_err(|error| Failure::configuration(error.to_string()))?;
    say(&format!(
        "{} learned from {}, {}: {}",
        report::count(u64::from(tokenizer.vocab_size()), "token"),
        report::count(count, "document"),
        Size(bytes),
        args.output.display()
    ));
    if tokenizer.vocab_size() < args.vocab_size {
        say("warning: the texts have no more pairs that repeat: fewer tokens than were asked for");
    }
    Ok(())
}

/// The tables of documents in a folder and below, in the order of their names; of a run's folder,
/// those of the documents that it kept.
fn documents_in(folder: &Path) -> Result<Vec<PathBuf>> {
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

fn read(args: &TrainTokenizerArgs, paths: &[PathBuf], send: crossbeam_channel::Sender<String>) -> Result<()> {
    let mut sending = Sending { send, left: args.max_text.0 };
    let scratch = tempfile::tempdir().map_err(Failure::io("cannot make a scratch folder in", std::env::temp_dir()))?;
    for path in paths {
        if args.slice.is_none() && is_ours(path) {
            for document in DocumentReader::open(path, &[])? {
                if !sending.text(document?.text()) {
                    return Ok(());
                }
            }
            continue;
        }
        let source = source_for(args.slice.as_deref(), path)?.build();
        let path = &inputs::whole(path)?;
        let files = source.find(path, &inputs::common_base(std::slice::from_ref(path)))?;
        match source.read(&files, Limits { max_document: 16 << 20 }, scratch.path(), &mut sending) {
            Ok(()) => {}
            Err(sources::Error::Stopped) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

struct Sending {
    send: crossbeam_channel::Sender<String>,
    left: u64,
}

impl Sending {
    fn text(&mut self, text: &str) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left = self.left.saturating_sub(text.len() as u64);
        self.send.send(text.to_owned()).is_ok()
    }
}

impl Sink for Sending {
    fn record(&mut self, record: Record) -> sources::Result<()> {
        match record {
            Record::Document(document) if !self.text(document.text()) => Err(sources::Error::Stopped),
            _ => Ok(()),
        }
    }

    fn finished(&mut self, _: RawRead) -> sources::Result<()> {
        Ok(())
    }
}
