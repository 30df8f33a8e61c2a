//! Progress for people: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use corpus::Counts;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clusters;
use crate::metrics::{Event, Observer};
use crate::report::{count, duration, fitting, number, say};

/// Without a terminal, a line every so often.
const EVERY: Duration = Duration::from_secs(5);

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

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
            // The message begins behind the bar and goes on in lines of its own.
            let template = format!("  {{bar:{}}} {{percent:>3}} %{{msg}}", bar_width(columns()));
            if let Ok(style) = ProgressStyle::with_template(&template) {
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

    /// How fast it goes, as three pieces.
    fn speed(&self) -> Vec<String> {
        let seconds = self.seconds();
        let read = self.counts.read;
        vec![
            count(read.documents, "document"),
            format!("{}/s", number((read.documents as f64 / seconds).round() as u64)),
            format!("{:.1} MB/s", read.bytes as f64 / 1e6 / seconds),
        ]
    }

    /// What is dropped: how many, and then each reason, the main one first.
    fn dropped(&self) -> Option<(u64, Vec<String>)> {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, tally) in &self.counts.dropped {
            *reasons.entry(reason).or_default() += tally.documents;
        }
        let mut sorted: Vec<_> = reasons.into_iter().collect();
        sorted.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        let all: u64 = sorted.iter().map(|(_, count)| count).sum();
        let words = sorted.iter().map(|(reason, count)| format!("{reason} {}", number(*count)));
        (all > 0).then(|| (all, words.collect()))
    }

    fn unusable(&self) -> Option<String> {
        let unusable = self.counts.all_unusable().documents;
        (unusable > 0).then(|| format!("{} unusable", number(unusable)))
    }

    fn left(&self) -> Option<String> {
        let (share, seconds) = (self.share(), self.seconds());
        (share > 0.02 && seconds > 1.0).then(|| format!("{} left", duration(seconds * (1.0 - share) / share)))
    }

    fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64().max(1e-3)
    }

    /// All of it but the time left, in one line.
    fn words(&self) -> String {
        let mut words = self.speed();
        if let Some((all, mut reasons)) = self.dropped() {
            reasons.truncate(3);
            words.push(format!("{} dropped ({})", number(all), reasons.join(", ")));
        }
        words.extend(self.unusable());
        words.join(", ")
    }

    /// The same under a bar: what is left behind the bar, and a line each for speed and what goes, as
    /// much of them as there is room for.
    fn lines(&self, columns: usize) -> String {
        // A line that ends where the terminal ends may break.
        let room = columns.saturating_sub(3);
        let beside = room.saturating_sub(bar_width(columns) + " 100 %, ".len());
        let mut lines: Vec<String> = vec![String::new()];
        if let Some(left) = self.left() {
            lines[0] = format!(", {}", fitting(&[left], "", beside));
        }
        if self.counts.read.documents > 0 {
            lines.push(fitting(&self.speed(), " · ", room));
        }
        let unusable = self.unusable().map(|unusable| format!(" · {unusable}")).unwrap_or_default();
        if let Some((all, mut reasons)) = self.dropped() {
            reasons[0] = format!("{} dropped: {}", number(all), reasons[0]);
            let line = fitting(&reasons, ", ", room.saturating_sub(unusable.chars().count()));
            lines.push(fitting(&[line + &unusable], "", room));
        } else if !unusable.is_empty() {
            lines.push(fitting(&[unusable[" · ".len()..].to_owned()], "", room));
        }
        lines.join("\n  ")
    }

    fn show(&mut self) {
        match &self.bar {
            Some(bar) => {
                bar.set_position((self.share() * 1000.0) as u64);
                bar.set_message(self.lines(columns()));
            }
            None if self.spoken.elapsed() >= EVERY => {
                self.spoken = Instant::now();
                let (done, all) = self.tasks;
                let left = self.left().map(|left| format!(", {left}")).unwrap_or_default();
                say(&format!("  {:.0} % ({done} of {all} tasks): {}{left}", 100.0 * self.share(), self.words()));
            }
            None => {}
        }
    }
}

fn bar_width(columns: usize) -> usize {
    if columns < 60 { 10 } else { 24 }
}

/// How wide the terminal is now.
fn columns() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => COLUMNS,
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
                let documents =
                    if self.counts.read.documents > 0 { format!(": {}", self.words()) } else { String::new() };
                if let Some(bar) = &self.bar {
                    bar.reset();
                    bar.set_message("");
                }
                self.line(&format!("  done in {}{documents}", duration(*seconds)));
            }
            Event::Guard { complaints, clusters, stops } => {
                // What ends the run is told at its end.
                for complaint in complaints.iter().filter(|_| !stops) {
                    self.line(&format!("warning: {complaint}"));
                }
                if !clusters.is_empty() {
                    self.line("the largest clusters:");
                }
                for line in clusters::words(clusters).lines() {
                    self.line(line);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_80_columns_speed_and_main_reason_and_time_left_are_all_seen() {
        let mut progress = Progress::with(None);
        progress.start = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        progress.bytes = 1000;
        progress.done_bytes = 750;
        for (reason, documents) in [("lines_too_long_on_average", 1_234_567), ("exact_duplicate", 430), ("license", 7)]
        {
            progress.counts.dropped.entry(reason.to_owned()).or_default().documents = documents;
        }
        progress.counts.unusable.entry("bad_json".to_owned()).or_default().documents = 12;
        progress.counts.read.documents = 8_880_000;
        progress.counts.read.bytes = 2_510_000_000;
        assert_eq!(
            progress.lines(80).lines().collect::<Vec<_>>(),
            [
                ", 33 s left",
                "  8,880,000 documents · 88,800/s · 25.1 MB/s",
                "  1,235,004 dropped: lines_too_long_on_average 1,234,567 · 12 unusable",
            ]
        );
        assert!(progress.lines(120).ends_with("1,234,567, exact_duplicate 430, license 7 · 12 unusable"));
        for columns in 0..80 {
            for (number, line) in progress.lines(columns).lines().enumerate().skip(1) {
                assert!(line.chars().count() <= columns.max(2), "{columns}, line {number}: {line}");
            }
        }
    }
}
