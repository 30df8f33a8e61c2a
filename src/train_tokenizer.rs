//! `train-tokenizer`: byte-level BPE on documents that we hold.

use std::path::PathBuf;

use crate::cli::TrainTokenizerArgs;
use crate::documents;
use crate::failure::{Failure, Result};
use crate::report::{self, say};
use crate::size::Size;

/// Texts between the reader and the trainer, each of up to 16 MiB.
const QUEUE: usize = 4;

/// Runs `train-tokenizer`.
pub fn train(args: &TrainTokenizerArgs) -> Result<()> {
    let paths = documents::files(&args.input, args.slice.as_deref())?;
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
    documents::write_whole(&args.output, |out| out.write_all(json.as_bytes()))?;
    let tokenizer =
        stages::tokenizer::load(&args.output, None).map_err(|error| Failure::configuration(error.to_string()))?;
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

fn read(args: &TrainTokenizerArgs, paths: &[PathBuf], send: crossbeam_channel::Sender<String>) -> Result<()> {
    let mut left = args.max_text.0;
    let mut listened = true;
    for path in paths {
        if !listened || left == 0 {
            break;
        }
        documents::each(path, args.slice.as_deref(), &mut |document| {
            let text = document.text();
            listened = left > 0 && send.send(text.to_owned()).is_ok();
            left = left.saturating_sub(text.len() as u64);
            Ok(listened)
        })?;
    }
    Ok(())
}
