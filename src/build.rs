//! `build`: plans, runs what is not done, publishes the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use corpus::catalog::CATALOG;
use corpus::store::Store;
use corpus::{Counts, Digest};
use serde::Serialize;

use crate::cli::BuildArgs;
use crate::estimate::{self, Estimate};
use crate::execute::passes::execute;
use crate::failure::{Code, Failure, Result};
use crate::ledger::Ledger;
use crate::measured;
use crate::metrics::{self, Cost, MetricsFile, Observer};
use crate::plan;
use crate::prepare::{prepare, print_choice};
use crate::progress::Progress;
use crate::publish::{PLAN, all_counts, check_allowances, check_out, make_catalog, read_catalog, sweep};
use crate::report;

/// The name of the file of events in a run's folder.
pub const METRICS: &str = "metrics.jsonl";

/// What `build --json` prints.
#[derive(Serialize)]
struct BuildResult<'r> {
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
    check_out(&prepared, &Store::open(&prepared.out), choice.limit, args.replace)?;
    let store = Store::create(&prepared.out)?;
    store.alone(|| Ok(()))?;
    // And again, now that no other run can sweep.
    let before = check_out(&prepared, &store, choice.limit, args.replace)?;
    let plan = &prepared.plan;
    let ledger = Ledger::new(&store);
    let needed = plan.without(&ledger)?;
    let to_run: usize = needed.iter().flatten().filter(|why| why.is_some()).count();
    let tasks: usize = needed.iter().map(Vec::len).sum();
    let fresh = to_run == tasks;
    report::say(&format!(
        "{} → {}: {} in {}, {}, {}, memory {}",
        plan.name,
        prepared.out.display(),
        report::count((plan.raw_files.len() - plan.others) as u64, "raw file"),
        report::count(plan.partitions.len() as u64, "partition"),
        if plan.passes.len() == 1 { "1 pass".to_owned() } else { format!("{} passes", plan.passes.len()) },
        report::count(prepared.workers as u64, "worker"),
        crate::size::Size(prepared.memory),
    ));
    if to_run < tasks {
        report::say(&format!("{} of {tasks} tasks are done already", tasks - to_run));
    }
    let origin = plan.origin(choice.limit, prepared.tokenizer_path.clone());
    let new = before.is_none();
    if let Some(before) = before.filter(|before| *before != origin) {
        for change in plan::differences(&before, &origin) {
            report::say(&format!("changed: {change}"));
        }
    }
    let text = serde_json::to_vec_pretty(&origin).unwrap_or_default();
    // Of two pipelines that find a new folder at the same moment, one is first.
    if new && !store.write_new(PLAN, &text)? {
        check_out(&prepared, &store, choice.limit, args.replace)?;
    }
    store.write(PLAN, &text)?;
    let stop = Arc::new(AtomicBool::new(false));
    watch_interrupts(&stop)?;
    // An estimate pays where there is something to wait for.
    let raw_bytes: u64 = plan.raw_files.iter().map(|file| file.bytes).sum();
    let (needs, estimate) = match fresh && raw_bytes >= estimate::WORTH_IT {
        true => measured::needs(&prepared, &store, || stop.load(Ordering::Relaxed))?,
        false => (None, None),
    };
    if let Some(estimate) = &estimate {
        report::say(&format!("estimate: {}", estimate.words()));
        for question in estimate.questions() {
            report::say(&format!("warning: {question}"));
        }
    }
    if let Some(needs) = needs {
        estimate::check_room(&prepared.out, needs.disk, needs.least_disk)?;
    }
    let (start, cpu) = (Instant::now(), metrics::process_cpu());
    let spent = execute(&prepared, &store, &needed, &stop, needs.map(|needs| needs.text), progress(&store)?).map_err(
        |failure| match failure.code {
            Code::Interrupted => failure.hint("run the same command again: it goes on where it stopped"),
            _ => failure,
        },
    )?;
    check_allowances(&prepared, &ledger)?;
    let catalog = make_catalog(plan, &ledger)?;
    if all_counts(&catalog).kept.documents == 0 && store.has(CATALOG) && !args.replace {
        let before = read_catalog(&store)?;
        if all_counts(&before).kept.documents > 0 {
            let message = format!("nothing was kept, and {} holds a finished corpus", prepared.out.display());
            return Err(Failure::new(Code::Damaged, message)
                .hint("it stays as it is: look at the input, or give --replace to empty it"));
        }
    }
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
    for warning in idle.iter().chain(&report::left_out(&catalog)) {
        report::say(&format!("warning: {warning}"));
    }
    if counts.read.documents == 0 {
        report::say("warning: the raw files hold no records");
    } else if counts.kept.documents == 0 {
        report::say("warning: nothing was kept: the account above says where it went");
    }
    report::say(&format!("published {}", prepared.out.join(CATALOG).display()));
    if choice.json {
        let out = prepared.out.to_string_lossy();
        let result = BuildResult {
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

fn progress(store: &Store) -> Result<Vec<Box<dyn Observer>>> {
    let path = store.path(METRICS);
    let file =
        std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(Failure::io("cannot open", &path))?;
    Ok(vec![Box::new(Progress::new()), Box::new(MetricsFile::append(file))])
}

/// Ctrl-C and the usual signals end the run after what is under way; a second one at once.
pub fn watch_interrupts(stop: &Arc<AtomicBool>) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()));
        registered.map_err(Failure::io("cannot watch signals for", "this process"))?;
    }
    Ok(())
}
