//! Progress for people: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use corpus::Counts;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::metrics::{Event, Observer};
use crate::report::{count, duration, number, say};

/// Without a terminal, a line every so often.
const EVERY: Duration = Duration::from_secs(5);

/// Shows a pass as it goes: documents and megabytes a second, what is dropped and why, time left.
pub struct Progress {
    bar: Option<ProgressBar>,
    passes: usize,
    start: Instant,
    spoken: Instant,
    counts: Counts,
    bytes: u64,
    text: Option<u64>,
    done_bytes: u64,
    tasks: (usize, usize),
    // Text that a byte of input holds, as far as tasks have shown.
    shown: (u64, u64),
}

impl Progress {
    /// Bars if standard error is a terminal.
    pub fn new() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(4));
            if let Ok(style) = ProgressStyle::with_template("  {bar:24} {percent:>3} % {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Progress::with(bar)
    }

    fn with(bar: Option<ProgressBar>) -> Progress {
        let now = Instant::now();
        Progress {
            bar,
            passes: 0,
            start: now,
            spoken: now,
            counts: Counts::default(),
            bytes: 0,
            text: None,
            done_bytes: 0,
            tasks: (0, 0),
            shown: (0, 0),
        }
    }

    /// The share of the pass that is done: whole tasks, and of those under way what their text
    /// would be in input bytes.
    fn share(&self) -> f64 {
        if self.bytes == 0 {
            return self.tasks.0 as f64 / self.tasks.1.max(1) as f64;
        }
        let whole = self.done_bytes as f64;
        let read = match (self.shown, self.text) {
            ((0, _), None) => 0.0,
            ((0, _), Some(text)) => self.counts.read.bytes as f64 * self.bytes as f64 / text.max(1) as f64,
            ((text, input), _) => self.counts.read.bytes as f64 * input as f64 / text as f64,
        };
        (whole.max(read) / self.bytes as f64).min(0.999)
    }

    /// A line that stays, above the bar if there is one.
    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    fn words(&self) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-3);
        let read = self.counts.read;
        let mut words = format!(
            "{} documents, {:.0}/s, {:.1} MB/s",
            number(read.documents),
            read.documents as f64 / seconds,
            read.bytes as f64 / 1e6 / seconds
        );
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, tally) in &self.counts.dropped {
            *reasons.entry(reason).or_default() += tally.documents;
        }
        let mut sorted: Vec<_> = reasons.into_iter().collect();
        sorted.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        if !sorted.is_empty() {
            let all: u64 = sorted.iter().map(|(_, count)| count).sum();
            let first: Vec<String> =
                sorted.iter().take(3).map(|(reason, count)| format!("{reason} {}", number(*count))).collect();
            words += &format!(", {} dropped ({})", number(all), first.join(", "));
        }
        let unusable = self.counts.all_unusable().documents;
        if unusable > 0 {
            words += &format!(", {} unusable", number(unusable));
        }
        let share = self.share();
        if share > 0.02 && seconds > 1.0 {
            words += &format!(", {} left", duration(seconds * (1.0 - share) / share));
        }
        words
    }

    fn show(&mut self) {
        match &self.bar {
            Some(bar) => {
                bar.set_position((self.share() * 1000.0) as u64);
                bar.set_message(self.words());
            }
            None if self.spoken.elapsed() >= EVERY => {
                self.spoken = Instant::now();
                let (done, all) = self.tasks;
                say(&format!("  {:.0} % ({done} of {all} tasks): {}", 100.0 * self.share(), self.words()));
            }
            None => {}
        }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::PassStarted { pass, about, tasks, bytes, text } => {
                let passes = self.passes;
                *self = Progress { passes, ..Progress::with(self.bar.take()) };
                (self.bytes, self.text, self.tasks.1) = (*bytes, *text, *tasks);
                self.line(&format!("pass {pass} of {passes}: {about} ({})", count(*tasks as u64, "task")));
            }
            Event::Progress { counts } => {
                self.counts.merge(counts);
                self.show();
            }
            Event::TaskDone { bytes, counts, .. } => {
                self.done_bytes += bytes;
                self.tasks.0 += 1;
                self.shown.0 += counts.read.bytes;
                self.shown.1 += bytes;
                self.show();
            }
            Event::PassDone { seconds, .. } => {
                let words = self.words();
                let words =
                    words.split(", ").take_while(|part| !part.ends_with(" left")).collect::<Vec<_>>().join(", ");
                let documents = if self.counts.read.documents > 0 { format!(": {words}") } else { String::new() };
                if let Some(bar) = &self.bar {
                    bar.reset();
                    bar.set_message("");
                }
                self.line(&format!("  done in {}{documents}", duration(*seconds)));
            }
            Event::RunDone { .. } => {
                if let Some(bar) = &self.bar {
                    bar.finish_and_clear();
                }
            }
            Event::RunStarted { passes, .. } => self.passes = *passes,
        }
    }
}
