//! `build`: plans, runs what is not done, publishes the catalog.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use corpus::catalog::{CATALOG, Catalog, FORMAT, SliceEntry};
use corpus::store::Store;
use corpus::{Counts, Digest};
use serde::Serialize;
use stages::Models;

use crate::cli::{BuildArgs, Choice};
use crate::estimate::{self, Estimate};
use crate::execute::Executor;
use crate::execute::local::Local;
use crate::failure::{Code, Failure, Result};
use crate::inputs::{self, LoadedTokenizer};
use crate::ledger::{Commit, Ledger};
use crate::metrics::{self, Cost, Event, MetricsFile, Observer, Observers};
use crate::pipeline::{self, Read};
use crate::plan::{self, Origin, Plan, Records, TaskKind};
use crate::progress::Progress;
use crate::report;
use crate::task::{self, Memory, Permits, Run};

/// Where the plan of a run lies.
pub const PLAN: &str = "plan.json";
const METRICS: &str = "metrics.jsonl";

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
    let read = choose(choice)?;
    for variable in read.unused_models() {
        report::say(&format!("warning: `{variable}` is set, and no stage of {} uses it", read.file));
    }
    let files = inputs::find_raw_files(&read, &choice.input)?;
    let tokenizer = inputs::load_tokenizer(&read)?;
    let memory = match choice.memory {
        Some(size) => size.0,
        None => metrics::machine_memory() / 2,
    };
    // A document lies as a line of its file, as text and in the writer, each once, at the same time.
    let least = 4 * read.pipeline.max_document.0;
    if memory < least {
        return Err(Failure::usage(format!(
            "--memory {} is too little for documents of up to {}",
            crate::size::Size(memory),
            read.pipeline.max_document
        ))
        .hint(format!("give at least {}, or set a smaller max_document", crate::size::Size(least))));
    }
    let workers = match choice.workers {
        Some(workers) => usize::from(workers),
        None => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
    };
    let mut out = choice.output.clone().unwrap_or_else(|| PathBuf::from("out").join(&read.name));
    // `out/` stays out; what follows is clean for messages.
    if out.as_os_str().is_empty() {
        out = PathBuf::from(".");
    }
    let mut models = Models::default();
    let (mut entry, mut tokenizer_path) = (None, None);
    if let Some(loaded) = tokenizer {
        let LoadedTokenizer { entry: found, tokenizer, path } = loaded;
        models.tokenizer = Some(tokenizer);
        entry = Some(found);
        tokenizer_path = Some(std::path::absolute(&path).unwrap_or(path));
    }
    let records = choice.limit.map_or(Records::All, Records::First);
    let plan = Plan::new(&read, entry, files, records)?;
    Ok(Prepared { read, plan, models, tokenizer_path, out, workers, memory })
}

impl Prepared {
    /// How many tasks are live, and what memory each has.
    pub fn shares(&self, tasks: usize) -> (usize, Memory) {
        // What the process takes whatever it does, the tokenizer with the caches of each worker …
        let tokenizer =
            if self.models.tokenizer.is_some() { (72 << 20) + (self.workers as u64) * (8 << 20) } else { 0 };
        let fixed = (16 << 20) + tokenizer;
        let left = self.memory.saturating_sub(fixed).max(16 << 20);
        // … and what the writers of a live task hold beside its queue and its sorter.
        let writers: u64 = 24 << 20;
        let live = (left / (writers + (16 << 20))).clamp(1, self.workers.min(tasks).max(1) as u64);
        // The allocator keeps about as much again as is in use.
        let each = (left / live).saturating_sub(writers).max(12 << 20);
        let queue = (each / 6).min(64 << 20) as usize;
        let sort = (each / 8).min(512 << 20) as usize;
        (live as usize, Memory { queue, sort })
    }
}

/// Refuses a folder that is another pipeline's, or nobody's.
fn check_out(prepared: &Prepared, store: &Store) -> Result<Option<Origin>> {
    let out = &prepared.out;
    if store.has(PLAN) {
        let origin = read_origin(store)?;
        if origin.pipeline != prepared.plan.name {
            return Err(Failure::configuration(format!(
                "{} holds a run of pipeline `{}`, not of `{}`",
                out.display(),
                origin.pipeline,
                prepared.plan.name
            ))
            .hint("give another folder with --output"));
        }
        return Ok(Some(origin));
    }
    let foreign = match std::fs::read_dir(out) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()).map(|entry| entry.file_name()).find(|name| {
            let name = name.to_string_lossy();
            !name.starts_with('.') && !["commits", "between", "lost+found"].contains(&&*name)
        }),
        Err(_) => None,
    };
    match foreign {
        Some(name) => Err(Failure::configuration(format!(
            "{} is not empty and holds no run: it has `{}`",
            out.display(),
            name.to_string_lossy()
        ))
        .hint("give an empty or a new folder with --output")),
        None => Ok(None),
    }
}

/// What the last plan in a folder was made of.
pub fn read_origin(store: &Store) -> Result<Origin> {
    let bytes = store.read(PLAN)?;
    let origin: Origin = serde_json::from_slice(&bytes)
        .map_err(|error| corpus::Error::damaged(store.path(PLAN), format!("is no plan: {error}")))?;
    if origin.format != FORMAT {
        return Err(Failure::configuration(format!(
            "{} is of format {}, and this version of redpajama writes {FORMAT}",
            store.path(PLAN).display(),
            origin.format
        ))
        .hint("build into another folder, or use the version that wrote it"));
    }
    Ok(origin)
}

/// Reads the catalog of a finished run.
pub fn read_catalog(store: &Store) -> Result<Catalog> {
    if !store.has(CATALOG) {
        let hint = match store.has(PLAN) {
            true => "the run is not finished: run the same `build` again, it goes on where it stopped",
            false => "a run's folder has a catalog.json once it is finished",
        };
        return Err(Failure::configuration(format!("no catalog in {}", store.root().display())).hint(hint));
    }
    let bytes = store.read(CATALOG)?;
    let catalog: Catalog = serde_json::from_slice(&bytes)
        .map_err(|error| corpus::Error::damaged(store.path(CATALOG), format!("is no catalog: {error}")))?;
    if catalog.format != FORMAT {
        let detail = format!("is of format {}, and this version reads {FORMAT}", catalog.format);
        return Err(corpus::Error::damaged(store.path(CATALOG), detail).into());
    }
    Ok(catalog)
}

/// What `build --json` prints.
#[derive(Serialize)]
struct Result_<'r> {
    out: &'r str,
    complete: bool,
    catalog_digest: Digest,
    counts: &'r Counts,
    slices: BTreeMap<&'r str, &'r Counts>,
    tokens: u64,
    seconds: f64,
    cpu_seconds: f64,
    peak_memory: u64,
    bytes_on_disk: u64,
    tasks_run: usize,
    tasks_done_before: usize,
    cost: &'r Cost,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<&'r Estimate>,
    idle_stages: &'r [String],
}

/// Runs `build`.
pub fn build(args: &BuildArgs) -> Result<()> {
    let choice = &args.choice;
    if choice.print {
        return print_choice(choice);
    }
    let prepared = prepare(choice)?;
    // Before anything is created there.
    let before = check_out(&prepared, &Store::open(&prepared.out))?;
    let store = Store::create(&prepared.out)?;
    store.alone(|| Ok(()))?;
    let plan = &prepared.plan;
    let ledger = Ledger::new(&store);
    let needed = plan.without(&ledger)?;
    let to_run: usize = needed.iter().flatten().filter(|why| why.is_some()).count();
    let tasks: usize = needed.iter().map(Vec::len).sum();
    let fresh = to_run == tasks;
    report::say(&format!(
        "{} → {}: {} raw files in {} partitions, {} passes, {} workers, memory {}",
        plan.name,
        prepared.out.display(),
        plan.raw_files.len(),
        plan.partitions.len(),
        plan.passes.len(),
        prepared.workers,
        crate::size::Size(prepared.memory),
    ));
    if to_run < tasks {
        report::say(&format!("{} of {tasks} tasks are done already", tasks - to_run));
    }
    let origin = plan.origin(choice.limit, prepared.tokenizer_path.clone());
    if let Some(before) = before.filter(|before| *before != origin) {
        for change in plan::differences(&before, &origin) {
            report::say(&format!("changed: {change}"));
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    watch_interrupts(&stop)?;
    // An estimate pays where there is something to wait for.
    let raw_bytes: u64 = plan.raw_files.iter().map(|file| file.bytes).sum();
    let estimate = match fresh && raw_bytes >= estimate::WORTH_IT {
        true => {
            let estimate = estimate::measure(&prepared)?;
            report::say(&format!("estimate: {}", estimate.words()));
            Some(estimate)
        }
        false => None,
    };
    store.write(PLAN, &serde_json::to_vec_pretty(&origin).unwrap_or_default())?;
    let (start, cpu) = (Instant::now(), metrics::process_cpu());
    let spent = execute(&prepared, &store, &needed, &stop, estimate.as_ref().map(|e| e.text_bytes), progress(&store)?)
        .map_err(|failure| match failure.code {
            Code::Interrupted => failure.hint("run the same command again: it goes on where it stopped"),
            _ => failure,
        })?;
    check_allowances(&prepared, &ledger)?;
    let catalog = make_catalog(plan, &ledger)?;
    let text = serde_json::to_vec_pretty(&catalog).unwrap_or_default();
    let published = match store.has(CATALOG) && store.read(CATALOG)? == text {
        true => Digest::of(&text),
        false => store.write(CATALOG, &text)?.digest,
    };
    sweep(&store, plan, &catalog, args.keep_between)?;
    let counts = all_counts(&catalog);
    let disk: u64 = catalog.outputs().map(|output| output.bytes).sum();
    let ran = report::Ran {
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: metrics::process_cpu() - cpu,
        peak_memory: metrics::peak_memory(),
        text_bytes: spent.text_bytes,
        tasks: (to_run, tasks - to_run),
        cost: spent.cost,
    };
    let idle = report::idle_stages(&catalog);
    report::say("");
    report::print(&report::summary(&catalog, &counts, &ran, disk));
    if let Some(estimate) = &estimate {
        report::print(&estimate.beside(&ran, disk));
    }
    for stage in &idle {
        report::say(&format!("warning: {stage}: is its option what you mean?"));
    }
    report::say(&format!("published {}", prepared.out.join(CATALOG).display()));
    if choice.json {
        let out = prepared.out.to_string_lossy();
        let result = Result_ {
            out: &out,
            complete: true,
            catalog_digest: published,
            counts: &counts,
            slices: catalog.slices.iter().map(|(name, slice)| (name.as_str(), &slice.counts)).collect(),
            tokens: counts.tokens,
            seconds: ran.seconds,
            cpu_seconds: ran.cpu_seconds,
            peak_memory: ran.peak_memory,
            bytes_on_disk: disk,
            tasks_run: ran.tasks.0,
            tasks_done_before: ran.tasks.1,
            cost: &ran.cost,
            estimate: estimate.as_ref(),
            idle_stages: &idle,
        };
        report::print(&format!("{}\n", serde_json::to_string(&result).unwrap_or_default()));
    }
    Ok(())
}

/// The counts of all slices in one.
pub fn all_counts(catalog: &Catalog) -> Counts {
    let mut all = Counts::default();
    for slice in catalog.slices.values() {
        all.merge(&slice.counts);
    }
    all
}

fn progress(store: &Store) -> Result<Vec<Box<dyn Observer>>> {
    let path = store.path(METRICS);
    let file =
        std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(Failure::io("cannot open", &path))?;
    Ok(vec![Box::new(Progress::new()), Box::new(MetricsFile::append(file))])
}

/// Ctrl-C and the usual signals end the run after what is under way; a second one at once.
fn watch_interrupts(stop: &Arc<AtomicBool>) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()));
        registered.map_err(Failure::io("cannot watch signals for", "this process"))?;
    }
    Ok(())
}

/// What the tasks of a run cost.
pub struct Spent {
    /// CPU seconds by what they were spent on.
    pub cost: Cost,
    /// The same by pass.
    pub passes: Vec<f64>,
    /// Bytes of text that were read from raw files.
    pub text_bytes: u64,
}

struct Collect(Arc<Mutex<Spent>>);

impl Observer for Collect {
    fn event(&mut self, event: &Event<'_>) {
        let Event::TaskDone { pass, counts, cost, .. } = event else { return };
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.passes.len() < *pass {
            spent.passes.resize(*pass, 0.0);
        }
        for (label, seconds) in *cost {
            *spent.cost.entry(label.clone()).or_default() += seconds;
            spent.passes[*pass - 1] += seconds;
        }
        // Later passes read again what was read before.
        if cost.contains_key("read") {
            spent.text_bytes += counts.read.bytes;
        }
    }
}

/// Runs the tasks that are needed, pass by pass. `text` is how much text the raw files hold, if
/// that was estimated.
pub fn execute(
    prepared: &Prepared,
    store: &Store,
    needed: &[Vec<Option<String>>],
    stop: &AtomicBool,
    text: Option<u64>,
    mut observers: Vec<Box<dyn Observer>>,
) -> Result<Spent> {
    let plan = &prepared.plan;
    let spent = Arc::new(Mutex::new(Spent { cost: Cost::new(), passes: Vec::new(), text_bytes: 0 }));
    observers.push(Box::new(Collect(spent.clone())));
    let observers = Observers::new(observers);
    let permits = Permits::new(prepared.workers);
    let (start, cpu) = (Instant::now(), metrics::process_cpu());
    let tasks: usize = needed.iter().map(Vec::len).sum();
    let to_run: usize = needed.iter().flatten().filter(|why| why.is_some()).count();
    observers.event(&Event::RunStarted {
        pipeline: &plan.name,
        passes: plan.passes.len(),
        tasks,
        done: tasks - to_run,
    });
    let mut outcome = Ok(());
    for (number, (pass, needed)) in plan.passes.iter().zip(needed).enumerate() {
        let tasks: Vec<&plan::Task> =
            pass.tasks.iter().zip(needed).filter(|(_, why)| why.is_some()).map(|(task, _)| task).collect();
        if tasks.is_empty() {
            continue;
        }
        let (live, memory) = prepared.shares(tasks.len());
        let run = Run { plan, store, models: &prepared.models, observers: &observers, stop, permits: &permits, memory };
        let bytes = tasks.iter().map(|task| task::bytes_of(&run, task)).sum();
        let begun = Instant::now();
        let text = if number == 0 { text } else { Some(bytes) };
        observers.event(&Event::PassStarted { pass: number + 1, about: &pass.about, tasks: tasks.len(), bytes, text });
        outcome = Local { workers: prepared.workers, live }.run(&run, number, &tasks);
        if outcome.is_err() {
            break;
        }
        observers.event(&Event::PassDone { pass: number + 1, seconds: begun.elapsed().as_secs_f64() });
    }
    observers.event(&Event::RunDone {
        complete: outcome.is_ok(),
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: metrics::process_cpu() - cpu,
        peak_memory: metrics::peak_memory(),
    });
    outcome?;
    let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Spent {
        cost: std::mem::take(&mut spent.cost),
        passes: std::mem::take(&mut spent.passes),
        text_bytes: spent.text_bytes,
    })
}

/// The commits of a slice's tasks, segment by segment, in the order of its partitions.
fn commits_of(plan: &Plan, slice: usize, ledger: &Ledger<'_>) -> Result<Vec<Vec<Commit>>> {
    let slice = &plan.slices[slice];
    let mut segments = Vec::new();
    for segment in 0..slice.segments.len() {
        let mut commits = Vec::new();
        for partition in slice.partitions.clone() {
            let task = plan.documents_task(partition, segment);
            let commit = match task {
                Some(task) => ledger.commit_of(&task.id)?,
                None => None,
            };
            commits.push(commit.ok_or_else(|| {
                Failure::new(Code::Failed, format!("a task of slice {} has no commit", slice.name))
                    .hint("another run may have changed the folder: run the same command again")
            })?);
        }
        segments.push(commits);
    }
    Ok(segments)
}

fn check_allowances(prepared: &Prepared, ledger: &Ledger<'_>) -> Result<()> {
    let plan = &prepared.plan;
    for index in 0..plan.slices.len() {
        let slice = &plan.slices[index];
        let mut counts = Counts::default();
        let mut reads = Vec::new();
        // Only the first segment reads raw files.
        for commit in commits_of(plan, index, ledger)?.swap_remove(0) {
            counts.merge(&commit.counts);
            reads.extend(commit.reads);
        }
        let files = reads.len();
        let damaged: Vec<_> = reads.into_iter().filter(|read| read.damage.is_some()).collect();
        let unusable = counts.all_unusable().documents;
        let allowed = (prepared.read.pipeline.allow_unusable.0 * counts.read.documents as f64).max(10.0);
        let words: Vec<String> = counts
            .unusable
            .iter()
            .map(|(reason, tally)| format!("{reason} {}", report::number(tally.documents)))
            .collect();
        let dropped = format!("OUT/dropped/{} names each of them", slice.name);
        if unusable as f64 > allowed {
            return Err(Failure::new(
                Code::Damaged,
                format!(
                    "{}: {} of {} records are unusable ({})",
                    slice.name,
                    report::number(unusable),
                    report::number(counts.read.documents),
                    words.join(", ")
                ),
            )
            .hint(format!("{dropped}; if that is as it should be: --set allow_unusable=1")));
        }
        let allowed = (prepared.read.pipeline.allow_damaged.0 * files as f64).max(1.0);
        if damaged.len() as f64 > allowed {
            let names: Vec<String> = damaged
                .iter()
                .take(3)
                .map(|read| format!("{}: {}", read.name, read.damage.as_deref().unwrap_or_default()))
                .collect();
            return Err(Failure::new(
                Code::Damaged,
                format!("{}: {} of {files} raw files are damaged ({})", slice.name, damaged.len(), names.join("; ")),
            )
            .hint("fetch them again; or, to take what could be read: --set allow_damaged=1"));
        }
    }
    Ok(())
}

/// The catalog of a plan whose tasks are all committed.
fn make_catalog(plan: &Plan, ledger: &Ledger<'_>) -> Result<Catalog> {
    let mut slices = BTreeMap::new();
    for (index, slice) in plan.slices.iter().enumerate() {
        let mut entry = SliceEntry::default();
        for (label, _) in &slice.stages {
            // A stage that saw nothing is in the account too.
            entry.counts.stage(label);
        }
        for (segment, commits) in commits_of(plan, index, ledger)?.into_iter().enumerate() {
            let mut counts = Counts::default();
            for commit in commits {
                counts.merge(&commit.counts);
                entry.inputs.extend(commit.reads);
                entry.documents.extend(commit.documents);
                entry.dropped.extend(commit.dropped);
                entry.shards.extend(commit.shards);
            }
            if segment == 0 {
                entry.counts.merge(&counts);
                continue;
            }
            entry.counts.then(&counts).map_err(|imbalance| {
                Failure::new(Code::Failed, format!("{}: {imbalance}", slice.name))
                    .hint("a document was lost or doubled, which must never happen: please report it")
            })?;
        }
        entry.counts.stages.retain(|label, _| !label.ends_with(":pack"));
        slices.insert(slice.name.to_owned(), entry);
    }
    Ok(Catalog {
        format: FORMAT,
        pipeline: plan.name.clone(),
        pipeline_digest: plan.digest,
        tokenizer: plan.tokenizer.clone(),
        slices,
    })
}

/// Removes what the catalog does not name, unless another run is under way in the same folder.
fn sweep(store: &Store, plan: &Plan, catalog: &Catalog, keep_between: bool) -> Result<()> {
    let known: BTreeSet<&str> = catalog.outputs().map(|output| output.name.as_str()).collect();
    let tasks: BTreeSet<Digest> = plan.passes.iter().flat_map(|pass| &pass.tasks).map(|task| task.id).collect();
    store.alone(|| {
        for folder in ["documents", "dropped", "shards"] {
            for name in store.list(folder)? {
                if !known.contains(name.as_str()) {
                    store.remove(&name)?;
                }
            }
        }
        let ledger = Ledger::new(store);
        for name in ledger.stale(&tasks)? {
            store.remove(&name)?;
        }
        if !keep_between {
            return store.remove_folder("between");
        }
        let mut named = BTreeSet::new();
        for task in &tasks {
            let commit = ledger.commit_of(task)?;
            named.extend(commit.iter().flat_map(Commit::outputs).map(|output| output.name.clone()));
        }
        for name in store.list("between")?.into_iter().filter(|name| !named.contains(name)) {
            store.remove(&name)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Prints the pipeline and the manifests of its slices as they would be used.
pub fn print_choice(choice: &Choice) -> Result<()> {
    let read = choose(choice)?;
    report::print(&format!("# {}\n{}\n", read.file, read.text.trim_end()));
    for (name, _) in &read.pipeline.slices.0 {
        if let Some((file, text)) = crate::manifest::text(name) {
            report::print(&format!("---\n# {file}\n{}\n", text.trim_end()));
        }
    }
    Ok(())
}

/// Runs `plan`.
pub fn plan(args: &crate::cli::PlanArgs) -> Result<()> {
    let choice = &args.choice;
    if choice.print {
        return print_choice(choice);
    }
    let prepared = prepare(choice)?;
    let store = Store::open(&prepared.out);
    let before = check_out(&prepared, &store)?;
    let plan = &prepared.plan;
    let needed = plan.without(&Ledger::new(&store))?;
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{} → {}", plan.name, prepared.out.display()));
    for slice in &plan.slices {
        let files = &plan.raw_files[slice.raw_files.clone()];
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let stages: Vec<&str> = slice.stages.iter().map(|(label, _)| label.as_str()).collect();
        line(format!(
            "  {}: {} raw files, {}, in {} partitions; {}",
            slice.name,
            report::number(files.len() as u64),
            crate::size::Size(bytes),
            slice.partitions.len(),
            stages.join(" → ")
        ));
    }
    if let Some(tokenizer) = &plan.tokenizer {
        line(format!(
            "  tokenizer: {}, {} tokens, digest {}",
            tokenizer.name,
            report::number(u64::from(tokenizer.vocab_size)),
            tokenizer.digest.short()
        ));
    }
    for (number, (pass, needed)) in plan.passes.iter().zip(&needed).enumerate() {
        let to_run = needed.iter().filter(|why| why.is_some()).count();
        line(format!(
            "pass {}: {} · {} tasks, {} done, {} to run",
            number + 1,
            pass.about,
            pass.tasks.len(),
            pass.tasks.len() - to_run,
            to_run
        ));
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (task, why) in pass.tasks.iter().zip(needed) {
            if let Some(why) = why {
                reasons.entry(why).or_default().push(task_words(plan, task.kind));
            }
        }
        for (why, tasks) in reasons.iter().take(5) {
            let more = if tasks.len() > 3 { format!(" and {} more", tasks.len() - 3) } else { String::new() };
            line(format!("  {}{more}: {why}", tasks[..tasks.len().min(3)].join(", ")));
        }
    }
    let origin = plan.origin(choice.limit, prepared.tokenizer_path.clone());
    let changes = before.map(|before| plan::differences(&before, &origin)).unwrap_or_default();
    for change in &changes {
        line(format!("changed since the last run: {change}"));
    }
    let estimate = match args.no_estimate || needed.iter().flatten().all(|why| why.is_none()) {
        true => None,
        false => Some(estimate::measure(&prepared)?),
    };
    if let Some(estimate) = &estimate {
        line(format!("estimate, of the whole: {}", estimate.words()));
        line(format!("  from {}", estimate.basis()));
    }
    report::print(&out);
    if choice.json {
        let passes: Vec<_> = plan
            .passes
            .iter()
            .zip(&needed)
            .map(|(pass, needed)| {
                let to_run = needed.iter().filter(|why| why.is_some()).count();
                serde_json::json!({ "about": pass.about, "tasks": pass.tasks.len(), "to_run": to_run })
            })
            .collect();
        let value = serde_json::json!({
            "pipeline": plan.name, "out": prepared.out, "passes": passes, "changes": changes, "estimate": estimate,
        });
        report::print(&format!("{value}\n"));
    }
    Ok(())
}

fn task_words(plan: &Plan, kind: TaskKind) -> String {
    match kind {
        TaskKind::Documents { partition, .. } => {
            let partition = &plan.partitions[partition];
            format!("{} partition {}", plan.slices[partition.slice].name, partition.number)
        }
        TaskKind::Resolve { group, range } => format!("{} range {range}", plan.groups[group].label),
    }
}
