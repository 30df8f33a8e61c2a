//! The run: opens what it needs, goes on where it was, learns step by step, and tells of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use corpus::Digest;
use corpus::store::Store;

use crate::checkpoint::{self, Snapshot};
use crate::cpu::{Cpu, Float};
use crate::data::Data;
use crate::device::Device;
use crate::evaluate::{self, evaluate};
use crate::failure::{Code, Failure, Result};
use crate::folder;
use crate::learner::Learner;
use crate::model::Model;
use crate::report::{self, Metrics, say};
use crate::spec::{RunPlan, RunSpec};
use crate::weights::start;
use crate::yaml;

/// What a user asks for.
#[derive(Clone, Debug, clap::Args)]
pub struct PretrainArgs {
    /// The run, in YAML
    pub config: PathBuf,
    /// Set a key of it: `steps=100`, `optimizer.rate=1e-3`, `data.from=out/sample`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where to write [default: `runs/` and the configuration's name]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// How many threads compute [default: all cores]. The result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// Reads the YAML of a run.
pub fn plan_of(config: &Path, set: &[String]) -> Result<RunPlan> {
    let text = std::fs::read_to_string(config).map_err(Failure::io("cannot read", config))?;
    yaml::read::<RunSpec>(&config.display().to_string(), &text, set)?.plan()
}

/// So many threads, or all cores.
pub fn cpu<F: Float>(threads: Option<u16>) -> Result<Cpu<F>> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.map_or(all, usize::from);
    Cpu::new(threads).map_err(|error| Failure::new(Code::Failed, format!("cannot start {threads} threads: {error}")))
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

/// Trains a model from the beginning, or from its latest checkpoint on.
pub fn pretrain(args: &PretrainArgs) -> Result<()> {
    let plan = plan_of(&args.config, &args.set)?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(args.config.file_stem().unwrap_or(args.config.as_os_str())));
    let config = &plan.spec.model.config;
    let data = Data::open(&plan.spec.data, plan.spec.seed, plan.time, config.vocab_size)?;
    check_tokenizer(&plan, &data)?;
    let device = cpu::<f32>(args.threads)?;
    let signals = Signals::listen()?;
    let store = Arc::new(Store::create(&output)?);
    if !store.alone(|| Ok(()))? {
        return Err(Failure::usage(format!("another process trains in {}", output.display()))
            .hint("wait for it, or give another --output"));
    }
    report::about(&plan, &data, device.threads(), &output);
    let run = Digest::of_value(&(data.digest, config, plan.batch, plan.spec.data.documents));
    let found = checkpoint::latest::<f32>(&store, config, run, &mut |line| say(&line))?;
    let done = found.as_ref().map_or(0, |snapshot| snapshot.step);
    let model = Model::new(&device, config);
    let mut learner = match found {
        Some(snapshot) => {
            say(&format!("going on after step {done}"));
            let mut learner = Learner::new(model, &snapshot.weights, &plan);
            learner.set_moments(&snapshot.moments);
            learner.past = snapshot.past;
            learner
        }
        None => {
            let weights = match &plan.spec.start {
                Some(folder) => folder::read_weights(folder, config)?,
                None => start(config, plan.spec.seed),
            };
            Learner::new(model, &weights, &plan)
        }
    };
    let mut metrics = Metrics::open(&output, done)?;
    let mut saver = Saver { store: store.clone(), plan: &plan, run, last: done, running: None };
    let ended = steps(&plan, &data, &mut learner, done, &signals, &mut metrics, &mut saver);
    // What was begun is ended, whatever came after it.
    saver.wait()?;
    drop(saver);
    if let Some(store) = Arc::into_inner(store) {
        store.leave()?;
    }
    ended?;
    if signals.interrupt.load(Ordering::Relaxed) {
        return Err(Failure::new(Code::Interrupted, "interrupted")
            .hint("run the same command again: it goes on where it stopped, with the same bits"));
    }
    Ok(())
}

/// A tokenizer beside the weights to start from must be the one that made the shards.
fn check_tokenizer(plan: &RunPlan, data: &Data) -> Result<()> {
    let (Some(folder), Some(entry)) = (&plan.spec.start, &data.tokenizer) else { return Ok(()) };
    let path = folder.join("tokenizer.json");
    if path.is_file() {
        let (digest, _) = Digest::of_file(&path)?;
        if digest != entry.digest {
            let (own, theirs) = (entry.digest.short(), digest.short());
            let message =
                format!("the shards were made with tokenizer {own} ({}), {} is {theirs}", entry.name, path.display());
            return Err(Failure::configuration(message)
                .hint("build the corpus with the model's own tokenizer, or remove the file if its ids are the same"));
        }
    }
    Ok(())
}

fn steps<D: Device<Scalar = f32>>(
    plan: &RunPlan,
    data: &Data,
    learner: &mut Learner<'_, D>,
    done: u64,
    signals: &Signals,
    metrics: &mut Metrics,
    saver: &mut Saver<'_>,
) -> Result<()> {
    let begin = Instant::now();
    for step in done + 1..=plan.steps {
        if signals.any() {
            say(&format!("stopping: the checkpoint of step {} is being written", step - 1));
            return saver.save(learner, step - 1);
        }
        let since = Instant::now();
        let rate = plan.rate_at(step);
        let sequences = data.sequences((step - 1) * plan.batch, step * plan.batch)?;
        let learned = learner.learn(&sequences, rate, plan);
        let seconds = since.elapsed().as_secs_f64();
        let left = begin.elapsed().as_secs_f64() / (step - done) as f64 * (plan.steps - step) as f64;
        metrics.step(plan, data, step, rate, &learned, (seconds, left))?;
        if learner.past.in_a_row >= plan.spec.guard.abort.get() {
            let (count, last) = (learner.past.in_a_row, saver.last);
            return Err(Failure::new(Code::Failed, format!("{count} steps in a row were skipped, up to step {step}"))
                .hint(format!(
                    "the last checkpoint is of step {last}: lower `optimizer.rate`, or look at the data of these steps"
                )));
        }
        let every = |every: u64| step == plan.steps || (every > 0 && step.is_multiple_of(every));
        if every(plan.spec.eval_every) && data.splits.iter().any(|split| split.held > 0) {
            let shape = (plan.micro as usize, plan.time);
            let held = evaluate(learner.model(), &learner.weights, data, shape, plan.spec.data.documents)?;
            say(evaluate::table(&held).trim_end());
            metrics.held(step, &held)?;
        }
        if every(plan.spec.checkpoint.every) {
            saver.save(learner, step)?;
        }
    }
    Ok(())
}

/// Writes checkpoints beside the work.
struct Saver<'p> {
    store: Arc<Store>,
    plan: &'p RunPlan,
    run: Digest,
    /// The step of the latest.
    last: u64,
    running: Option<JoinHandle<Result<()>>>,
}

impl Saver<'_> {
    fn save<D: Device<Scalar = f32>>(&mut self, learner: &Learner<'_, D>, step: u64) -> Result<()> {
        self.wait()?;
        if step == self.last {
            return Ok(());
        }
        let snapshot = Snapshot {
            step,
            past: learner.past.clone(),
            config: learner.model().config().clone(),
            weights: learner.weights_on_host(),
            moments: learner.moments(),
            run: self.run,
        };
        let (store, spec) = (self.store.clone(), self.plan.spec.checkpoint.clone());
        self.last = step;
        self.running = Some(std::thread::spawn(move || {
            checkpoint::save(&store, &snapshot)?;
            checkpoint::prune(&store, &spec)
        }));
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        match self.running.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(saved)) => saved,
            Some(Err(_)) => Err(Failure::new(Code::Failed, "the thread that writes checkpoints ended early")),
        }
    }
}
