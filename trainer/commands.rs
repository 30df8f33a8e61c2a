//! The commands but for the run itself.

use std::path::{Path, PathBuf};
use std::time::Instant;

use corpus::Digest;
use corpus::store::Store;

use crate::checkpoint::{Found, UNKNOWN, check_model, model};
use crate::cli::{BenchArgs, EvalArgs, ExportArgs, ImportArgs, PlotArgs};
use crate::comm::Solo;
use crate::config::Config;
use crate::data::{Data, Known, Reader, Sequences, Which, verify};
use crate::device::Precision;
use crate::evaluate::{Way, evaluate, noted};
use crate::failure::{Failure, Result};
use crate::folder::{self, Export};
use crate::launcher::World;
use crate::learner::Learner;
use crate::libraries;
use crate::memory::{self, Needs, Place};
use crate::model::Model;
use crate::origin::Origin;
use crate::plot::Form;
use crate::pretrain::{self, PretrainArgs, check_processes, cpu, plan_of};
use crate::report::{bytes, duration, flop, number, rounded, say};
use crate::spec::{ModelSpec, RunPlan, RunSpec};
use crate::tensors::Stored;
use crate::tokenizer::{Tokenizer, lengths};
use crate::utilization::{CONVENTION, Operations, Peak, REACHED};
use crate::weights::{Weights, mix, start};
use crate::yaml;

/// The latest checkpoint of a run that is whole and not known to be bad, or a model.
pub(crate) fn read(path: &Path) -> Result<(Config, Weights<Vec<f32>>)> {
    folder::read(&model(path, &mut |line| say(&line))?.folder)
}

/// Evaluates a model; the table is what is printed.
pub fn eval(args: &EvalArgs) -> Result<String> {
    let plan = plan_of(&args.config, &args.set)?;
    let Found { folder, origin } = model(&args.model, &mut |line| say(&line))?;
    if origin.as_ref().is_some_and(|origin| !origin.knows_tokens()) {
        say(UNKNOWN);
    }
    let (config, weights) = folder::read(&folder)?;
    let reader = Reader { config: &config, tokenizer: tokenizer_of(args, &plan, &folder, origin.as_ref())? };
    let data = reader.evaluate(&plan)?;
    let which = if args.all { Which::All } else { Which::HeldOut };
    if !args.all && data.splits.iter().all(|split| split.held == 0) {
        return Err(Failure::configuration("no window is held out").hint(
            "each slice needs ten windows for one that is held out: shorten `sequence`, or set `data.validation`; \
             `--all` evaluates all windows",
        ));
    }
    let notes = match &origin {
        Some(origin) => origin.notes(&data, plan.time, which)?,
        None => {
            let note =
                |slice| format!("{} of which it is not known whether it was trained on them", data.told(slice, which));
            (0..data.slices.len()).map(note).collect()
        }
    };
    let device = cpu::<f32>(args.threads, plan.spec.precision)?;
    let model = Model::new(&device, &config);
    let weights = model.upload(&weights);
    let weights = model.rounded(&weights).unwrap_or(weights);
    let lengths = lengths_of(args, &plan, &folder, &data)?;
    let (micro, documents) = (plan.micro as usize, plan.spec.data.documents);
    let held = evaluate(&model, &weights, &data, Way { which, micro, documents, lengths: lengths.as_deref() })?;
    Ok(noted(&held, &notes))
}

/// What is known of the tokenizer of a model that is evaluated: what the command says; what its run's shards were
/// made with; the file beside it; what the configuration says.
fn tokenizer_of(args: &EvalArgs, plan: &RunPlan, folder: &Path, origin: Option<&Origin>) -> Result<Option<Known>> {
    let hint = "the model knows nothing of their tokens; if the ids are the same, `--tokenizer` names the corpus's";
    if let Some(path) = &args.tokenizer {
        return Ok(Some(Known::file(&folder::tokenizer_at(path), hint)?));
    }
    if let Some(digest) = origin.and_then(Origin::tokenizer) {
        return Ok(Some(Known { digest, place: "that of the model's run".to_owned(), hint }));
    }
    let named = || plan.spec.tokenizer.as_deref().map(folder::tokenizer_at);
    folder::tokenizer(folder).or_else(named).map(|path| Known::file(&path, hint)).transpose()
}

/// Bytes of text that each token of the data stands for, as the first tokenizer says that can have made it.
fn lengths_of(args: &EvalArgs, plan: &RunPlan, folder: &Path, data: &Data) -> Result<Option<Vec<u32>>> {
    let at = |path: &Option<PathBuf>| path.as_deref().map(folder::tokenizer_at);
    for path in [at(&args.tokenizer), folder::tokenizer(folder), at(&plan.spec.tokenizer)].into_iter().flatten() {
        let made = match &data.tokenizer {
            Some(entry) => Digest::of_file(&path)?.0 == entry.digest,
            None => true,
        };
        if made {
            return lengths(&path);
        }
    }
    Ok(None)
}

fn write(output: &Path, export: &Export<'_, f32>) -> Result<()> {
    if output.join("config.json").exists() {
        return Err(Failure::usage(format!("{} has a model", output.display())).hint("give another --output"));
    }
    folder::check(export)?;
    let store = Store::create(output)?;
    folder::write(&store, export)?;
    store.leave()?;
    let size = bytes(export.config.parameters() as f64 * export.stored.bytes() as f64);
    say(&format!("{} parameters, {size}, in {}", rounded(export.config.parameters() as f64), output.display()));
    Ok(())
}

/// Imports a model.
pub fn import(args: &ImportArgs) -> Result<()> {
    check_model(&args.model)?;
    let (config, weights) = folder::read(&args.model)?;
    let tokenizer = folder::tokenizer(&args.model);
    let export = Export { config: &config, weights: &weights, stored: Stored::F32, file_bytes: u64::MAX, tokenizer };
    write(&args.output, &export)
}

/// Exports a model.
pub fn export(args: &ExportArgs) -> Result<()> {
    let (config, weights) = read(&args.model)?;
    if let Some(named) = &args.tokenizer {
        Tokenizer::open(&folder::tokenizer_at(named))?;
    }
    let tokenizer = args.tokenizer.clone().or_else(|| folder::tokenizer(&args.model));
    let export =
        Export { config: &config, weights: &weights, stored: args.dtype, file_bytes: args.file_size << 20, tokenizer };
    write(&args.output, &export)
}

/// What a run would take.
pub fn plan(args: &PretrainArgs) -> Result<String> {
    let plan = plan_of(args.config("plan")?, &args.set)?;
    let config = &plan.spec.model.config;
    let launched = World::from_environment(&|name: &str| std::env::var(name).ok(), args.processes.is_some())?;
    let place = launched.map_or_else(|| Place::here(args.processes.unwrap_or(1).into()), |world| Place::of(&world));
    check_processes(&plan, place.processes as usize)?;
    let needs = Needs::of(&plan, place.processes);
    let row = |name: &str, value: u64| format!("{name:<14}{:>12}", bytes(value as f64));
    let mut text = String::new();
    for (name, value) in [
        ("weights", needs.weights),
        ("gradients", needs.gradients),
        ("moments", needs.moments),
        ("activations", needs.activations),
        ("exchange", needs.exchange),
        ("program", needs.program),
        ("memory", needs.step()),
        ("a checkpoint", needs.checkpoint),
    ] {
        if value > 0 {
            text += &format!("{}\n", row(name, value));
        }
    }
    let many = match place {
        Place { processes: 1, .. } => String::new(),
        Place { processes, beside, .. } if processes == beside => format!(", of {processes} processes"),
        Place { processes, beside, .. } => format!(", of {beside} of {processes} processes, those of this machine"),
    };
    let written = if place.first { ", while a checkpoint is written" } else { "" };
    text += &format!("{}{many}{written}\n", row("at most", needs.most(place.beside, place.first)));
    if let Some(available) = memory::available(Path::new("/")) {
        text += &format!("{}, of {}\n", row("available", available.bytes), available.of);
        if let Err(failure) = memory::check(&plan, place, &available) {
            text += &format!("{}; {}\n", failure.message, failure.hint.unwrap_or_default());
        }
    }
    if let Some(preset) = plan.spec.model.preset {
        text += &format!("{}: {}\n", preset.name, preset.source);
    }
    let operations = Operations::of(config, plan.time);
    let tokens = plan.steps as f64 * plan.step_tokens() as f64;
    text += &format!(
        "{} parameters, {} steps, {} tokens; {} a token ({CONVENTION}), {:.2e} FLOP in all\n",
        number(config.parameters()),
        number(plan.steps),
        rounded(tokens),
        flop(operations.counted),
        operations.counted * tokens
    );
    let peak = Peak::of(&plan, &cpu::<f32>(args.threads, Precision::F32)?, 1);
    text += &format!("peak {}\n", peak.told());
    text += &format!(
        "about {} at {:.0} % of it, in useful operations, as `bench` saw on a CPU\n",
        duration(peak.seconds(operations, tokens)),
        100.0 * REACHED
    );
    let tokenizer = pretrain::tokenizer_of(&plan);
    let data = pretrain::reader(&plan, tokenizer.as_deref()).and_then(|reader| reader.train(&plan));
    match data.and_then(|data| if args.verify_data { verify(&plan.spec.data).map(|_| data) } else { Ok(data) }) {
        Ok(data) => {
            for (at, slice) in data.slices.iter().enumerate() {
                let epochs = data.order.epochs(at, plan.steps * plan.batch);
                text += &format!("{:<14}{:>12} tokens, {epochs:.2} epochs\n", slice.name, number(slice.tokens));
            }
        }
        Err(failure) => text += &format!("data: {}\n", failure.message),
    }
    Ok(text)
}

/// Draws the losses of runs; the picture is printed where no file is named.
pub fn plot(args: &PlotArgs) -> Result<String> {
    let (path, form) = match &args.output {
        None => (None, Form::Svg),
        Some((path, form)) => (Some(path), *form),
    };
    let picture = crate::plot::plot(&args.runs, form)?;
    match path {
        // SVG is text.
        None => Ok(String::from_utf8_lossy(&picture).into_owned()),
        Some(path) => {
            std::fs::write(path, picture).map_err(Failure::io("cannot write", path))?;
            Ok(String::new())
        }
    }
}

/// The time that all threads of this process have computed.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Measures steps.
pub fn bench(args: &BenchArgs) -> Result<String> {
    let found = ModelSpec::find(&args.model)?;
    let (batch, sequence) = (args.batch, args.sequence);
    let text = format!(
        "model: {:?}\nsequence: {sequence}\nbatch: {batch}\nmicro: {batch}\nsteps: 10\noptimizer: {{ rate: 1e-4 }}\n",
        args.model
    );
    let plan = yaml::read::<RunSpec>("bench", &text, &[])?.plan()?;
    if let Some(available) = memory::available(Path::new("/")).filter(|_| !args.overcommit) {
        memory::check_bench(&plan, &available)?;
    }
    let device = cpu::<f32>(args.threads, args.precision)?;
    let threads = device.threads();
    let model = Model::new(&device, &found.config);
    let mut learner = Learner::new(model, &start(&found.config, 1), &plan, Box::new(Solo))?;
    let rows = (batch * sequence) as u64;
    let token = |at: u64| (mix(at) % found.config.vocab_size as u64) as u32;
    let sequences = Sequences {
        tokens: (0..rows).map(token).collect(),
        targets: (1..=rows).map(token).collect(),
        starts: vec![0; rows as usize],
        counts: vec![true; rows as usize],
        slices: vec![0; batch as usize],
    };
    learner.learn(&sequences, 1e-4, &plan, &|| false)?;
    let (since, cpu_since) = (Instant::now(), cpu_seconds());
    for _ in 0..args.steps {
        learner.learn(&sequences, 1e-4, &plan, &|| false)?;
    }
    let seconds = since.elapsed().as_secs_f64() / f64::from(args.steps);
    let cpu_time = (cpu_seconds() - cpu_since) / f64::from(args.steps);
    let speed = rows as f64 / seconds;
    let operations = Operations::of(&found.config, sequence as usize);
    let peak = Peak::of(&plan, learner.model().device(), 1);
    let used = peak.utilization(operations, speed);
    Ok(format!(
        "{}: {batch} x {sequence} tokens a step on {threads} threads, {}: {seconds:.3} s a step, {cpu_time:.3} s of CPU, {} tokens/s, {} tokens/CPU-s, {}/s\n{}, of {}\n",
        args.model,
        args.precision.name(),
        rounded(speed),
        rounded(rows as f64 / cpu_time),
        flop(operations.counted * speed),
        used.told(),
        peak.told(),
    ))
}

/// What this machine has.
pub fn doctor() -> Result<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = format!("redpajama-train {}\ncores        {cores}\n", env!("CARGO_PKG_VERSION"));
    let vectors = format!("{:?}", pulp::Arch::new());
    // Its name comes first, then all that it knows of the processor.
    let vectors = match vectors.split('(').next() {
        Some("V4") => "AVX-512",
        Some("V3") => "AVX2 and FMA",
        Some("Scalar") => "none that are known",
        other => other.unwrap_or("none that are known"),
    };
    text += &format!("vectors      {vectors}\n");
    if let Ok(info) = std::fs::read_to_string("/proc/meminfo") {
        for (name, word) in [("MemTotal:", "memory"), ("MemAvailable:", "available")] {
            let kib =
                info.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok());
            if let Some(kib) = kib {
                text += &format!("{word:<13}{}\n", bytes(kib * 1024.0));
            }
        }
    }
    let device = cpu::<f32>(None, Precision::F32)?;
    text += &format!("peak         {}/s of products of f32 matrices, measured\n", flop(device.peak()));
    text += "devices      cpu (f32; rounding as bf16 and fp16 do)\n";
    text += "             this version computes on the CPU: the `cuda` device is not built yet\n";
    let folders = libraries::folders(&|name| std::env::var_os(name), Path::new("/"));
    for library in libraries::LIBRARIES {
        let found = libraries::find(library, &folders);
        let place = found.map_or_else(|| "not found".to_owned(), |path| path.display().to_string());
        text += &format!("{library:<15} {place}\n");
    }
    Ok(text + &format!("searched     {}\n", libraries::SEARCHED))
}
