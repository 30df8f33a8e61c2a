//! The run: opens what it needs, goes on where it was, learns step by step, and tells of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use corpus::store::Store;

use crate::checkpoint::{self, Snapshot, Standing};
use crate::comm::{Comm, Door, Solo, Tcp};
use crate::cores;
use crate::cpu::{Cpu, Float};
use crate::data::{self, Data, Known, Reader, Which};
use crate::device::{Device, Precision};
use crate::evaluate::{self, Way, evaluate};
use crate::failure::{Code, Failure, Result};
use crate::first;
use crate::folder;
use crate::launcher::{self, World};
use crate::learner::Learner;
use crate::memory::{self, Place};
use crate::model::Model;
use crate::origin::Origin;
use crate::progress::Progress;
use crate::report::{self, Metrics, say, say_first};
use crate::saver::Saver;
use crate::spec::{RunPlan, RunSpec};
use crate::tokenizer::{TOKENIZER, Tokenizer, lengths};
use crate::told::Told;
use crate::utilization::Peak;
use crate::weights::start;
use crate::yaml;

/// What a user asks for.
#[derive(Clone, Debug, clap::Args)]
pub struct PretrainArgs {
    /// The run, in YAML. Without it one is proposed, for the corpus of `--set data.from=DIR`
    pub config: Option<PathBuf>,
    /// Set a key of it: `steps=100`, `optimizer.rate=1e-3`, `data.from=out/sample`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where to write [default: `runs/` and the configuration's name]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// How many threads compute [default: all cores, divided by the processes that may use them]. The
    /// result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Start so many processes on this machine, which share each step's work: a power of two. The
    /// result does not depend on it. (Without it a launcher's environment is asked: torchrun, Slurm,
    /// LSF, Kubernetes; one of several that such a launcher started refuses it. They meet at
    /// `MASTER_ADDR`, and at the port that `REDPAJAMA_MASTER_PORT` or else `MASTER_PORT` leads to.)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub processes: Option<u16>,
    /// Read all shards first, and hold them against the digests of their catalogs. Otherwise lengths, indexes
    /// and samples of them are looked at
    #[arg(long)]
    pub verify_data: bool,
    /// Start although the run needs more memory than this machine has
    #[arg(long)]
    pub overcommit: bool,
    /// The words of another command that became this one: the user is told to type that one again
    #[arg(long, hide = true, value_name = "WORD", allow_hyphen_values = true)]
    pub typed: Vec<String>,
}

impl PretrainArgs {
    /// The configuration; where there is none, the failure says what to write, and how `command` is run then.
    pub(crate) fn config(&self, command: &str) -> Result<&Path> {
        match &self.config {
            Some(config) => Ok(config),
            None => Err(first::missing(command, self)?),
        }
    }
}

/// Reads the YAML of a run.
pub fn plan_of(config: &Path, set: &[String]) -> Result<RunPlan> {
    if config.is_dir() {
        return Err(first::no_file(config));
    }
    let bytes = std::fs::read(config).map_err(Failure::io("cannot read", config))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Failure::configuration(format!("{}: line {line} is not UTF-8", config.display())).hint("save the file as UTF-8")
    })?;
    yaml::read::<RunSpec>(&config.display().to_string(), &text, set)?.plan()
}

/// So many threads, or all cores.
pub fn cpu<F: Float>(threads: Option<u16>, precision: Precision) -> Result<Cpu<F>> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.map_or(all, usize::from);
    Cpu::rounding(threads, precision)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot start {threads} threads: {error}")))
}

/// Signals that end a run with a checkpoint.
struct Signals {
    /// SIGTERM and SIGUSR1: a scheduler needs the machine.
    leave: Arc<AtomicBool>,
    /// Ctrl-C.
    interrupt: Arc<AtomicBool>,
}

impl Signals {
    fn listen() -> Result<Signals> {
        use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
        let signals = Signals { leave: Arc::default(), interrupt: Arc::default() };
        for (signal, flag) in [(SIGTERM, &signals.leave), (SIGUSR1, &signals.leave), (SIGINT, &signals.interrupt)] {
            signal_hook::flag::register(signal, flag.clone())
                .map_err(|error| Failure::new(Code::Failed, format!("cannot listen for signals: {error}")))?;
        }
        Ok(signals)
    }

    fn any(&self) -> bool {
        self.leave.load(Ordering::Relaxed) || self.interrupt.load(Ordering::Relaxed)
    }
}

/// The other processes of this machine that were started for the same run.
struct Others(Vec<Child>);

impl Others {
    /// Starts processes 1 to `size - 1` of the same command, and opens the door where they meet the first.
    fn start(size: u16) -> Result<(Others, World, Door)> {
        let cannot = |error: std::io::Error| Failure::new(Code::Failed, format!("cannot start a process: {error}"));
        let door = Door::at((std::net::Ipv4Addr::LOCALHOST, 0).into()).map_err(cannot)?;
        let run = format!("{} {}", std::process::id(), door.port);
        let program = std::env::current_exe().map_err(cannot)?;
        let mut others = Others(Vec::new());
        for rank in 1..size {
            let child = Command::new(&program)
                .args(std::env::args_os().skip(1))
                .env(launcher::RANK, rank.to_string())
                .env(launcher::SIZE, size.to_string())
                .env(launcher::RUN, &run)
                .env(launcher::PORT, door.port.to_string())
                .env("MASTER_ADDR", "127.0.0.1")
                .spawn()
                .map_err(cannot)?;
            others.0.push(child);
        }
        Ok((others, World { run, ..World::here(0, usize::from(size), door.port) }, door))
    }

    /// Waits for them; without the first, which alone writes, there is nothing left for them to do.
    fn end(&mut self, failed: bool) {
        for child in &mut self.0 {
            if failed {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}

/// Trains a model from the beginning, or from its latest checkpoint on.
pub fn pretrain(args: &PretrainArgs) -> Result<()> {
    let plan = plan_of(args.config("pretrain")?, &args.set)?;
    let launched = World::from_environment(&|name: &str| std::env::var(name).ok(), args.processes.is_some())?;
    let fits = |place: Place| match memory::available(Path::new("/")) {
        Some(available) if !args.overcommit => memory::check(&plan, place, &available),
        _ => Ok(()),
    };
    match (launched, args.processes.unwrap_or(1)) {
        (Some(world), _) => {
            fits(Place::of(&world))?;
            process(args, &plan, Box::new(Tcp::connect(&world, None)?))
        }
        (None, 1) => {
            fits(Place::here(1))?;
            process(args, &plan, Box::new(Solo))
        }
        (None, size) => {
            // Found out here, not by every one of them.
            check_processes(&plan, usize::from(size))?;
            fits(Place::here(size.into()))?;
            let (mut others, world, door) = Others::start(size)?;
            let ended = Tcp::connect(&world, Some(door)).and_then(|comm| process(args, &plan, Box::new(comm)));
            others.end(ended.is_err());
            ended
        }
    }
}

/// Whether so many processes can share a step's work.
pub fn check_processes(plan: &RunPlan, size: usize) -> Result<()> {
    if size.is_power_of_two() && (plan.leaves() as usize).is_multiple_of(size) {
        return Ok(());
    }
    Err(Failure::configuration(format!("{size} processes, and a step has work for {}", plan.leaves()))
        .hint("the largest power of two that divides `batch` / `micro`, at most 8, is how many can share it"))
}

/// One process of a run.
fn process(args: &PretrainArgs, plan: &RunPlan, mut comm: Box<dyn Comm>) -> Result<()> {
    let share = cores::share(comm.as_mut())?;
    // What is read and checked before the first step may take hours.
    let beats = comm.beats();
    let output = match &args.output {
        Some(output) => output.clone(),
        None => {
            let config = args.config("pretrain")?;
            Path::new("runs").join(config.file_stem().unwrap_or(config.as_os_str()))
        }
    };
    let first = comm.rank() == 0;
    let config = &plan.spec.model.config;
    let tokenizer = tokenizer_of(plan);
    let data = reader(plan, tokenizer.as_deref())?.train(plan)?;
    let tokenizer = tokenizer.as_deref().map(Tokenizer::open).transpose()?;
    let device = cpu::<f32>(args.threads.or(u16::try_from(share).ok()), plan.spec.precision)?;
    let signals = Signals::listen()?;
    if args.verify_data && first {
        let (files, bytes) = data::verify(&plan.spec.data)?;
        let size = report::bytes(bytes as f64);
        say_first(&format!("verified {} files, {size}, as their catalogs say", report::number(files)));
    }
    // The first alone writes.
    let store = Arc::new(if first { Store::create(&output)? } else { Store::open(&output) });
    if first && !store.alone(|| Ok(()))? {
        return Err(Failure::usage(format!("another process trains in {}", output.display()))
            .hint("wait for it, or give another --output"));
    }
    if first {
        report::about(plan, &data, device.threads(), comm.size(), &output);
    }
    let processes = comm.size();
    let mut origin = Origin::of(plan, &data)?;
    let found = checkpoint::latest::<f32>(&store, config, &origin, plan.spec.checkpoint.bad, &mut |line| {
        if first {
            say(&line);
        }
    })?;
    let done = found.as_ref().map_or(0, |snapshot| snapshot.step);
    let untried = found.as_ref().is_some_and(|snapshot| snapshot.standing == Standing::Untried);
    let model = Model::new(&device, config);
    let said = origin.said(plan, done)?;
    let mut learner = match found {
        Some(snapshot) => {
            if first {
                match done >= plan.steps {
                    true => say(&format!("all {} steps were done before: a larger `steps` goes on", plan.steps)),
                    false => say(&format!("going on after step {done}")),
                }
                origin.changes(&snapshot.origin).iter().for_each(|change| say(&format!("         {change}")));
            }
            origin = origin.going_on(&snapshot.origin);
            let mut learner = Learner::new(model, &snapshot.weights, plan, comm)?;
            learner.set_moments(&snapshot.moments);
            learner.past = snapshot.past;
            learner
        }
        None => {
            let weights = match &plan.spec.start {
                Some(folder) => {
                    checkpoint::check_model(folder)?;
                    folder::read_weights(folder, config)?
                }
                None => start(config, plan.spec.seed),
            };
            Learner::new(model, &weights, plan, comm)?
        }
    };
    drop(beats);
    learner.agree(&said)?;
    // What is refused changes nothing: from here on it is this run's.
    if first && let Some(tokenizer) = &tokenizer {
        keep(tokenizer, &store)?;
    }
    let mut writes = match first {
        true => {
            let peak = Peak::of(plan, &device, processes);
            say_first(&format!("peak     {}", peak.told()));
            let (to, spec) = (store.clone(), plan.spec.checkpoint.clone());
            let saver = Saver::new(move |snapshot| {
                checkpoint::save(&to, &snapshot)?;
                checkpoint::prune(&to, &spec)
            });
            let tried = if untried { Some(done) } else { None };
            let metrics = Metrics::open(&output, done, plan.step_tokens(), peak)?;
            let progress = Progress::new(done, plan.steps, plan.steps * plan.step_tokens());
            let lengths = tokenizer.as_ref().map(|own| lengths(own.path())).transpose()?.flatten();
            Some(Writes { metrics, saver, progress, store: store.clone(), lengths, untried: tried })
        }
        false => None,
    };
    let ended = steps(plan, &data, &mut learner, done, &origin, &signals, &mut writes);
    // What was begun is ended, whatever came after it.
    let saved = writes.map_or(Ok(()), |mut writes| writes.saver.wait());
    // The others would take away the folder that the first still writes in.
    let left = match Arc::into_inner(store) {
        Some(store) if first => store.leave(),
        _ => Ok(()),
    };
    let last = ended?;
    saved?;
    left?;
    if first && last == plan.steps {
        say(&format!("done: {last} steps, in {}", output.join(checkpoint::CHECKPOINTS).display()));
    }
    if signals.interrupt.load(Ordering::Relaxed) {
        return Err(Failure::new(Code::Interrupted, "interrupted")
            .hint("run the same command again: it goes on where it stopped, with the same bits"));
    }
    Ok(())
}

/// The tokenizer that goes with the model: the one that is named, or that of the weights to start from.
pub fn tokenizer_of(plan: &RunPlan) -> Option<PathBuf> {
    let named = plan.spec.tokenizer.as_deref();
    named.map(folder::tokenizer_at).or_else(|| folder::tokenizer(plan.spec.start.as_ref()?))
}

/// The model of a run, whose tokenizer must be the one that made the shards.
pub fn reader<'p>(plan: &'p RunPlan, tokenizer: Option<&Path>) -> Result<Reader<'p>> {
    let hint =
        "build the corpus with the model's own tokenizer; if its ids are the same, `tokenizer` names the corpus's";
    let tokenizer = tokenizer.map(|path| Known::file(path, hint)).transpose()?;
    Ok(Reader { config: &plan.spec.model.config, tokenizer })
}

/// Keeps a run's tokenizer beside its model.
fn keep(tokenizer: &Tokenizer, store: &Store) -> Result<()> {
    let path = tokenizer.path();
    let bytes = std::fs::read(path).map_err(Failure::io("cannot read", path))?;
    let former = if store.has(TOKENIZER) { Some(store.read(TOKENIZER)?) } else { None };
    if former.as_ref() == Some(&bytes) {
        return Ok(());
    }
    if former.is_some() {
        say(&format!("         {} takes the place of the tokenizer that was there", path.display()));
    }
    store.write(TOKENIZER, &bytes)?;
    Ok(())
}

/// What the process that writes, writes to, and shows.
struct Writes {
    metrics: Metrics,
    saver: Saver<Snapshot<f32>>,
    progress: Progress,
    store: Arc<Store>,
    /// Bytes of text that each token stands for.
    lengths: Option<Vec<u32>>,
    /// The checkpoint that the run went on from, until a step has shown what it is worth.
    untried: Option<u64>,
}

impl Writes {
    /// A step has passed: what it was computed with, held or on the disk, is good.
    fn passed(&mut self) -> Result<()> {
        if let Some(step) = self.untried.take() {
            checkpoint::mark(&self.store, step, Standing::Good)?;
        }
        self.saver.release(|held| Snapshot { standing: Standing::Good, ..held });
        Ok(())
    }
}

/// Learns the steps after `done`; gives the last that is.
fn steps<D: Device<Scalar = f32>>(
    plan: &RunPlan,
    data: &Data,
    learner: &mut Learner<'_, D>,
    done: u64,
    origin: &Origin,
    signals: &Signals,
    writes: &mut Option<Writes>,
) -> Result<u64> {
    let begin = Instant::now();
    let mut due = false;
    for step in done + 1..=plan.steps {
        let since = Instant::now();
        let rate = plan.rate_at(step);
        let sequences = data.sequences((step - 1) * plan.batch, step * plan.batch)?;
        let learned = learner.learn(&sequences, rate, plan, &|| signals.any())?;
        if let Some(writes) = writes {
            writes.saver.look()?;
            let seconds = since.elapsed().as_secs_f64();
            let left = begin.elapsed().as_secs_f64() / (step - done) as f64 * (plan.steps - step) as f64;
            let told = writes.metrics.step(plan, data, step, rate, &learned, (seconds, left))?;
            writes.progress.step(&Told { skipped: learner.past.skipped, ..told });
            if learned.skip.is_none() {
                writes.passed()?;
            }
        }
        let count = learner.past.in_a_row;
        if count >= plan.spec.guard.abort.get() {
            return Err(diverged(step, count, writes)?);
        }
        let every = |every: u64| step == plan.steps || (every > 0 && step.is_multiple_of(every));
        let mut standing = Standing::Untried;
        if every(plan.spec.eval_every)
            && data.splits.iter().any(|split| split.held > 0)
            && let Some(writes) = writes
        {
            let beats = learner.beats();
            let (micro, documents) = (plan.micro as usize, plan.spec.data.documents);
            let way = Way { which: Which::HeldOut, micro, documents, lengths: writes.lengths.as_deref() };
            let held = evaluate(learner.model(), learner.computing(), data, way)?;
            drop(beats);
            writes.progress.line(evaluate::table(&held).trim_end());
            writes.metrics.held(step, &held)?;
            if held.iter().any(|held| !held.loss().is_finite()) {
                standing = Standing::Bad("its loss on held-out windows is no number".to_owned());
            }
        }
        // In a row of skipped steps nothing changes that was not held before it.
        due |= every(plan.spec.checkpoint.every);
        let last = step == plan.steps || learned.leaving;
        if last || (due && learner.past.in_a_row == 0) {
            due = false;
            match writes {
                Some(writes) => {
                    // Until the one before is written.
                    let beats = learner.beats();
                    let make = || {
                        drop(beats);
                        let (moments, weights) = (learner.moments()?, learner.weights_on_host());
                        let (past, config, origin) =
                            (learner.past.clone(), plan.spec.model.config.clone(), origin.clone());
                        Ok(Snapshot { step, past, config, weights, moments, origin, standing })
                    };
                    if last { writes.saver.save(make)? } else { writes.saver.hold(make)? }
                }
                // The first process asks for them.
                None => drop(learner.moments()?),
            }
        }
        if learned.leaving {
            if let Some(writes) = writes {
                writes.progress.line(&format!("leaving after step {step}, whose checkpoint is being written"));
            }
            return Ok(step);
        }
    }
    Ok(done.max(plan.steps))
}

/// Too many steps in a row were skipped. Where none has passed since the run went on from a checkpoint, its
/// weights are no better than these: they are the same.
fn diverged(step: u64, count: u64, writes: &mut Option<Writes>) -> Result<Failure> {
    let failure = Failure::new(Code::Failed, format!("{count} steps in a row were skipped, up to step {step}"));
    let advice = "lower `optimizer.rate`, or look at the data of these steps";
    let Some(writes) = writes else { return Ok(failure.hint(advice)) };
    writes.saver.wait()?;
    if let Some(untried) = writes.untried {
        let why = format!("{count} steps in a row were skipped with its weights");
        checkpoint::mark(&writes.store, untried, Standing::Bad(why))?;
        return Ok(
            failure.hint(format!("the checkpoint of step {untried} will be passed over for the one before: {advice}"))
        );
    }
    Ok(match checkpoint::steps(writes.store.root())?.last() {
        Some(saved) => failure.hint(format!("the last checkpoint is of step {saved}: {advice}")),
        None => failure.hint(advice),
    })
}
