//! What a run says: to people on standard error, to programs in `metrics.jsonl`.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use corpus::store::Store;
use serde_json::{Value, json};

use crate::data::Data;
use crate::evaluate::Held;
use crate::events::Events;
use crate::failure::{Failure, Result};
use crate::learner::{Learned, Skip};
use crate::spec::RunPlan;
use crate::told::{Computed, Told};
use crate::utilization::{Operations, Peak};
pub use corpus::readable::{fitting, number};

/// The file of what happened, in a run's folder.
pub const METRICS: &str = "metrics.jsonl";

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// Writes a line to standard error, for people who watch.
pub fn say(line: &str) {
    // Whoever closed our standard error does not want to hear.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// How wide the terminal is now, where standard error is one.
pub fn columns() -> Option<usize> {
    let own = std::io::stderr();
    own.is_terminal().then(|| match rustix::termios::tcgetwinsize(own) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => COLUMNS,
    })
}

/// A line that is broken between words where it would be wider, and goes on below its tenth letter.
fn wrapped(line: &str, width: usize) -> String {
    const INDENT: usize = 9;
    let mut out = String::new();
    let mut rest: Vec<char> = line.trim_end().chars().collect();
    while rest.len() > width && width > 2 * INDENT {
        // A word that has no room is broken where the line ends.
        let at = (INDENT + 1..=width).rev().find(|at| rest[*at] == ' ').unwrap_or(width);
        out.extend(&rest[..at]);
        out.push('\n');
        let next = rest[at..].iter().skip_while(|letter| **letter == ' ');
        rest = std::iter::repeat_n(&' ', INDENT).chain(next).copied().collect();
    }
    out.extend(rest);
    out
}

/// Writes a line of what is about to be done: on a terminal, in as many as it takes.
pub fn say_first(line: &str) {
    match columns() {
        // A line that ends where the terminal ends may break.
        Some(columns) => say(&wrapped(line, columns.saturating_sub(1))),
        None => say(line),
    }
}

/// A large number in three digits: `1.23 B`.
pub fn rounded(value: f64) -> String {
    for (unit, name) in [(1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")] {
        if value >= unit {
            return format!("{:.2}{name}", value / unit);
        }
    }
    format!("{value:.0}")
}

/// Floating-point operations, in three digits: `989.00 TFLOP`.
pub fn flop(value: f64) -> String {
    for (unit, name) in [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")] {
        if value >= unit {
            return format!("{:.2} {name}FLOP", value / unit);
        }
    }
    format!("{value:.0} FLOP")
}

/// Bytes as people say them.
pub fn bytes(value: f64) -> String {
    for (unit, name) in [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")] {
        if value >= unit as f64 {
            return format!("{:.1} {name}", value / unit as f64);
        }
    }
    format!("{:.1} KiB", value / 1024.0)
}

/// A span of time as people say it.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// Seconds since 1970, as event files tell the time.
fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// What is about to be done.
pub fn about(plan: &RunPlan, data: &Data, threads: usize, processes: usize, output: &Path) {
    let config = &plan.spec.model.config;
    let residual = if config.use_parallel_residual { "parallel" } else { "sequential" };
    say_first(&format!(
        "model    {} parameters: {} layers, {} wide, {} heads, {residual} residual, vocabulary {}",
        rounded(config.parameters() as f64),
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        number(config.vocab_size as u64)
    ));
    if let Some(preset) = plan.spec.model.preset {
        say_first(&format!("         {}: {}", preset.name, preset.source));
    }
    say_first(&format!(
        "run      {} steps of {} sequences of {} tokens: {} tokens, in {}",
        number(plan.steps),
        number(plan.batch),
        number(plan.time as u64),
        rounded(plan.steps as f64 * plan.step_tokens() as f64),
        output.display()
    ));
    for (at, slice) in data.slices.iter().enumerate() {
        let epochs = data.order.epochs(at, plan.steps * plan.batch);
        let (share, held) = (100.0 * data.order.share(at), data.splits[at].held);
        let tokens = rounded(slice.tokens as f64);
        let none = if data.splits[at].windows == 0 { ", too few for a window" } else { "" };
        say_first(&format!(
            "data     {:<16} {tokens:>9} tokens {share:6.2} %  {epochs:.2} epochs  {held} held out{none}",
            slice.name
        ));
    }
    let many = if processes > 1 { format!(", {processes} processes") } else { String::new() };
    say_first(&format!("device   cpu, {threads} threads, {}{many}", plan.spec.precision.name()));
}

/// The record of a run, for programs and for TensorBoard.
pub struct Metrics {
    path: PathBuf,
    file: File,
    events: Events,
    step_tokens: u64,
    peak: Peak,
}

/// Reads the lines of a record, one after another; gives how many are none and were passed over. What comes last and has
/// no end is what a kill cut short.
pub fn records(path: &Path, each: &mut dyn FnMut(&[u8], Value)) -> Result<u64> {
    let mut file = BufReader::new(File::open(path).map_err(Failure::io("cannot read", path))?);
    let (mut line, mut none) = (Vec::new(), 0);
    while file.read_until(b'\n', &mut line).map_err(Failure::io("cannot read", path))? > 0 {
        match serde_json::from_slice::<Value>(&line) {
            Ok(value) if value.is_object() => each(line.trim_ascii_end(), value),
            _ if line.ends_with(b"\n") => none += 1,
            _ => {}
        }
        line.clear();
    }
    Ok(none)
}

/// Warns of lines that were passed over.
pub fn say_passed_over(path: &Path, none: u64) {
    if none > 0 {
        let lines = if none == 1 { "line" } else { "lines" };
        say(&format!("warning: {}: {} {lines} that cannot be read, passed over", path.display(), number(none)));
    }
}

impl Metrics {
    /// Opens the record of a run that has done so many steps, each of so many tokens; what it holds of later
    /// ones is cut off.
    pub fn open(output: &Path, done: u64, step_tokens: u64, peak: Peak) -> Result<Metrics> {
        let path = output.join(METRICS);
        let mut kept = Vec::new();
        let mut told = Vec::new();
        if path.exists() {
            let none = records(&path, &mut |line, value| {
                if value["step"].as_u64().is_some_and(|step| step <= done) {
                    kept.extend_from_slice(line);
                    kept.push(b'\n');
                    told.push(value);
                }
            })?;
            say_passed_over(&path, none);
        }
        Store::create(output)?.write(METRICS, &kept)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Failure::io("cannot open", &path))?;
        let events = Events::open(output, &told, now())?;
        Ok(Metrics { path, file, events, step_tokens, peak })
    }

    /// Tokens that were trained on up to a step: what it says does not hang on what was recorded.
    fn tokens(&self, step: u64) -> u64 {
        step * self.step_tokens
    }

    fn put(&mut self, value: &Value) -> Result<()> {
        writeln!(self.file, "{value}").map_err(Failure::io("cannot write", &self.path))?;
        self.events.put(value)
    }

    /// Records a step: `(seconds it took, seconds that are left)`; gives what to tell of it.
    pub fn step(
        &mut self,
        plan: &RunPlan,
        data: &Data,
        step: u64,
        rate: f64,
        learned: &Learned,
        (seconds, left): (f64, f64),
    ) -> Result<Told> {
        let tokens = self.tokens(step);
        let speed = plan.step_tokens() as f64 / seconds.max(1e-9);
        let used = self.peak.utilization(Operations::of(&plan.spec.model.config, plan.time), speed);
        // Without a target nothing is computed, and nothing is fast.
        let any = learned.counted > 0;
        let of_any = |value: f64| any.then_some(value);
        let skip = learned.skip.map(|skip| match skip {
            Skip::Empty => "no target counts".to_owned(),
            Skip::NotFinite => "not a number".to_owned(),
            Skip::Overflow => format!("too large for a scale of {}", learned.scale.unwrap_or(1.0)),
            Skip::Spike(above) => format!("{above:.1} deviations above"),
        });
        let slices: serde_json::Map<String, Value> = data
            .slices
            .iter()
            .zip(&learned.slices)
            .filter(|(_, (_, count))| *count > 0)
            .map(|(slice, (sum, count))| (slice.name.clone(), json!(sum / *count as f64)))
            .collect();
        self.put(&json!({
            "step": step, "time": now(), "loss": of_any(learned.loss), "gradient": of_any(learned.norm), "rate": rate, "tokens": tokens,
            "counted": learned.counted, "skipped": skip, "slices": slices, "scale": learned.scale, "seconds": seconds, "tokens_per_second": of_any(speed),
            "mfu": of_any(used.counted), "mfu_useful": of_any(used.useful),
        }))?;
        let of = |(sum, count): &(f64, u64)| (*count > 0).then(|| sum / *count as f64);
        Ok(Told {
            step,
            steps: plan.steps,
            computed: any.then_some(Computed { loss: learned.loss, gradient: learned.norm, speed, mfu: used.counted }),
            rate,
            tokens,
            slices: data.slices.iter().zip(&learned.slices).map(|(slice, own)| (slice.name.clone(), of(own))).collect(),
            scale: learned.scale,
            skip,
            skipped: 0,
            left,
        })
    }

    /// Records the losses of held-out windows.
    pub fn held(&mut self, step: u64, all: &[Held]) -> Result<()> {
        let held: serde_json::Map<String, Value> = all
            .iter()
            .map(|held| {
                // Of a slice none of whose held-out targets counts there is no loss.
                let loss = (held.tokens > 0).then(|| held.loss());
                let bits = held.bits_a_byte().filter(|_| held.tokens > 0);
                let value = json!({
                    "loss": loss, "tokens": held.tokens, "bytes": held.bytes, "bits_per_byte": bits,
                });
                (held.slice.clone(), value)
            })
            .collect();
        self.put(&json!({"step": step, "time": now(), "tokens": self.tokens(step), "held_out": held}))
    }
}
