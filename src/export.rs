//! `export`: the kept documents in another format.

use std::io::Write;

use corpus::store::Store;
use corpus::table::DocumentReader;
use corpus::{SignalSpec, table};
use sources::SourceSpec;

use crate::cli::{ExportArgs, Format};
use crate::failure::{Code, Failure, Result};
use crate::publish::{read_catalog, read_origin};
use crate::report::{self, number};

/// Runs `export`.
pub fn export(args: &ExportArgs) -> Result<()> {
    let Format::Jsonl = args.format;
    let store = Store::open(&args.out);
    let catalog = read_catalog(&store)?;
    let origin = read_origin(&store)?;
    let folder = args.to.clone().unwrap_or_else(|| args.out.join("export/jsonl"));
    // Files are written aside and take their names when they are whole.
    let to = Store::create(&folder)?;
    let mut documents = 0;
    let mut files = 0;
    for (name, slice) in &catalog.slices {
        let source = match origin.slices.get(name).and_then(|slice| slice.source.get("source")) {
            Some(source) => serde_json::from_value(source.clone()).ok(),
            None => SourceSpec::default_for(name),
        };
        let Some(source) = source else {
            return Err(Failure::configuration(format!(
                "the run has slice `{name}`, which this version does not know"
            )));
        };
        let source = source.build();
        let signals = known_signals();
        let (mut line, mut written) = (String::new(), 0);
        for (number, output) in slice.documents.iter().enumerate() {
            store.check(output)?;
            let path = store.path(&output.name);
            let aside = to.aside(format!("{name}-{number:05}.jsonl.zst"))?;
            let target = folder.join(aside.name());
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
            files += 1;
        }
        if written != slice.counts.kept.documents {
            let message = format!(
                "{name}: {written} documents in documents/, the catalog counts {}",
                slice.counts.kept.documents
            );
            return Err(Failure::new(Code::Damaged, message));
        }
        // A longer export of before must not be taken for a part of this one.
        for number in slice.documents.len().. {
            let stale = format!("{name}-{number:05}.jsonl.zst");
            if !to.has(&stale) {
                break;
            }
            to.remove(&stale)?;
        }
        documents += written;
    }
    // In a folder of our own, what an earlier corpus left is no part of this one.
    if args.to.is_none() {
        for entry in std::fs::read_dir(&folder).map_err(Failure::io("cannot list", &folder))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = catalog.slices.keys().any(|slice| name.starts_with(&format!("{slice}-")));
            if name.ends_with(".jsonl.zst") && !ours {
                to.remove(&name)?;
            }
        }
    }
    to.leave()?;
    report::say(&format!("{} documents in {files} files in {}", number(documents), folder.display()));
    Ok(())
}

/// Every signal that any stage writes; a table has those of its own run.
pub fn known_signals() -> Vec<SignalSpec> {
    stages::told().into_iter().flat_map(|told| told.writes).collect()
}

/// Whether a file is a table of ours or another Parquet.
pub fn is_table(path: &std::path::Path) -> bool {
    table::rows(path).is_ok()
}
