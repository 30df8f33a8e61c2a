//! All that is known before anything runs: the pipeline, its raw files and models, the plan.

use std::path::PathBuf;

use stages::Models;

use crate::cli::Choice;
use crate::failure::{Failure, Result};
use crate::inputs;
use crate::others;
use crate::pipeline::{self, Read};
use crate::plan::{Plan, Records};
use crate::size::Size;
use crate::task::Memory;
use crate::{metrics, report};

/// All that is known before anything runs.
pub struct Prepared {
    /// The pipeline.
    pub read: Read,
    /// The plan.
    pub plan: Plan,
    /// The models that its stages ask for.
    pub models: Models,
    /// Where the tokenizer lies.
    pub tokenizer_path: Option<PathBuf>,
    /// Where to write.
    pub out: PathBuf,
    /// How many threads compute.
    pub workers: usize,
    /// How much memory to stay under.
    pub memory: u64,
}

/// Reads the pipeline that a user chose.
pub fn choose(choice: &Choice) -> Result<Read> {
    let name = match (&choice.pipeline, &choice.slice) {
        (Some(name), _) => name,
        (None, Some(slice)) => slice,
        (None, None) => return Err(Failure::usage("neither a pipeline nor a slice")),
    };
    let mut read = pipeline::read(name, &choice.set)?;
    if let Some(slice) = &choice.slice {
        let known: Vec<&str> = read.pipeline.slices.0.iter().map(|(name, _)| *name).collect();
        if !known.contains(&slice.as_str()) {
            let failure = Failure::usage(format!("pipeline {} has no slice `{slice}`", read.name));
            return Err(failure.hint(format!("it has: {}", known.join(", "))));
        }
        read.pipeline.slices.0.retain(|(name, _)| name == slice);
    }
    Ok(read)
}

/// Finds the raw files, loads the models, plans.
pub fn prepare(choice: &Choice) -> Result<Prepared> {
    let mut read = choose(choice)?;
    for variable in read.unused_models() {
        report::say(&format!("warning: `{variable}` is set, and no stage of {} uses it", read.file));
    }
    let mut out = choice.output.clone().unwrap_or_else(|| PathBuf::from("out").join(&read.name));
    // `out/` stays out; what follows is clean for messages.
    if out.as_os_str().is_empty() {
        out = PathBuf::from(".");
    }
    let files = inputs::find_raw_files(&read, &choice.input, &out)?;
    read.others = others::read(&read, &out)?;
    let loaded = inputs::load_models(&read)?;
    let memory = match choice.memory {
        Some(size) => size.0,
        None => metrics::machine_memory() / 2,
    };
    // A document lies as a line of its file, as text and in the writer, each once, at the same time.
    let least = 4 * read.pipeline.max_document.0;
    if memory < least {
        return Err(Failure::usage(format!(
            "--memory {} is too little for documents of up to {}",
            Size(memory),
            read.pipeline.max_document
        ))
        .hint(format!("give at least {}, or set a smaller max_document", Size(least))));
    }
    let workers = match choice.workers {
        Some(workers) => usize::from(workers),
        None => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
    };
    let records = choice.limit.map_or(Records::All, Records::First);
    let plan = Plan::new(&read, loaded.tokenizer, loaded.entries, files, records)?;
    let tokenizer_path = loaded.tokenizer_path.map(|path| std::path::absolute(&path).unwrap_or(path));
    let prepared = Prepared { read, plan, models: loaded.models, tokenizer_path, out, workers, memory };
    let wanted = prepared.wanted_memory();
    if memory < wanted {
        report::say(&format!(
            "warning: --memory {} may be exceeded: with {workers} workers and documents of up to {}, {} is safe",
            Size(memory),
            prepared.read.pipeline.max_document,
            Size(wanted)
        ));
    }
    Ok(prepared)
}

/// In the environment, the most bytes that a task sorts in memory and that a judge holds: for tests.
const SCARCE: &str = "REDPAJAMA_SCARCE_MEMORY";
/// What the writers of a live task hold beside its queue and its sorter.
const WRITERS: u64 = 24 << 20;
/// How often the largest document may lie in memory: as a line, as text, in the columns, pages and
/// compressed pages of the writers, and once more in what the allocator keeps.
const COPIES: u64 = 16;

impl Prepared {
    /// What the process takes whatever it does: the models, and of the tokenizer caches for each
    /// worker.
    fn fixed_memory(&self) -> u64 {
        let tokenizer =
            if self.models.tokenizer.is_some() { (72 << 20) + (self.workers as u64) * (8 << 20) } else { 0 };
        (16 << 20) + tokenizer + self.models.footprint()
    }

    /// Memory with which one live task stays inside, though every document be as long as allowed.
    fn wanted_memory(&self) -> u64 {
        self.fixed_memory() + WRITERS + COPIES * self.read.pipeline.max_document.0
    }

    /// How many tasks are live, and what memory each has.
    pub fn shares(&self, tasks: usize) -> (usize, Memory) {
        let left = self.memory.saturating_sub(self.fixed_memory()).max(16 << 20);
        let live = (left / (WRITERS + (16 << 20))).clamp(1, self.workers.min(tasks).max(1) as u64);
        // The allocator keeps about as much again as is in use.
        let each = (left / live).saturating_sub(WRITERS).max(12 << 20);
        let queue = (each / 6).min(64 << 20) as usize;
        let sort = (each / 8).min(512 << 20) as usize;
        let state = (each / 4) as usize;
        // What takes a large corpus otherwise, tests have of a small one.
        let scarce = |bytes: usize| std::env::var(SCARCE).ok().and_then(|most| most.parse().ok()).unwrap_or(bytes);
        (live as usize, Memory { queue, sort: scarce(sort), state: scarce(state) })
    }
}

/// Prints the pipeline and the manifests of its slices as they would be used.
pub fn print_choice(choice: &Choice) -> Result<()> {
    let read = choose(choice)?;
    report::print(&format!("# {}\n{}\n", read.file, read.text.trim_end()));
    if let Some(slice) = &choice.slice {
        report::print(&format!("\n# --slice {slice}: of its slices, this one alone\n"));
    }
    // What is printed can be used as a pipeline: manifests are comments in it.
    for (name, _) in &read.pipeline.slices.0 {
        if let Some((file, text)) = crate::manifest::text(name) {
            report::print(&format!("\n# {file}\n#\n"));
            for line in text.trim_end().lines() {
                report::print(&format!("# {line}\n"));
            }
        }
    }
    Ok(())
}
