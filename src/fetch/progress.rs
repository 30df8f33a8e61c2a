//! Progress of a fetch: all files together, and each that is under way.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use corpus::remote::Network;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Wanted;
use crate::report::{duration, number, say};
use crate::size::Size;

/// Without a terminal, a line every so often.
const EVERY: Duration = Duration::from_secs(5);

/// Shows files as they come.
pub struct Progress {
    bars: Option<(MultiProgress, ProgressBar)>,
    start: Instant,
    state: Mutex<State>,
    all: u64,
}

#[derive(Default)]
struct State {
    /// Bytes of files that were there, or are now.
    done: u64,
    files: u64,
    /// Bytes that came now.
    came: u64,
    /// Files under way: bytes so far, the whole, and the bar.
    live: BTreeMap<String, (u64, Option<u64>, Option<ProgressBar>)>,
    /// Files whose whole length is known, and the sum.
    known: (u64, u64),
    finished: bool,
}

impl Progress {
    /// Bars if standard error is a terminal.
    pub fn new(wanted: &[Wanted]) -> Progress {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(4));
            let bar = all.add(ProgressBar::new(1000));
            if let Ok(style) = ProgressStyle::with_template("  {bar:24} {percent:>3} % {wide_msg}") {
                bar.set_style(style);
            }
            (all, bar)
        });
        let known = wanted.iter().filter_map(|wanted| wanted.bytes);
        let known = known.fold((0, 0), |(files, bytes), one| (files + 1, bytes + one));
        let state = State { known, ..State::default() };
        Progress { bars, start: Instant::now(), state: Mutex::new(state), all: wanted.len() as u64 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file is being fetched, from some place on.
    pub fn begin(&self, wanted: &Wanted, at: u64) {
        let bar = self.bars.as_ref().map(|(all, _)| {
            let bar = all.add(ProgressBar::new(wanted.bytes.unwrap_or(0)));
            if let Ok(style) = ProgressStyle::with_template("    {bar:20} {bytes:>10} of {total_bytes:>10}  {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_message(wanted.name.clone());
            bar
        });
        self.state().live.insert(wanted.name.clone(), (at, wanted.bytes, bar));
    }

    /// More of it came.
    pub fn more(&self, wanted: &Wanted, bytes: u64, total: Option<u64>) {
        let mut state = self.state();
        state.came += bytes;
        let Some((at, known, bar)) = state.live.get_mut(&wanted.name) else { return };
        *at += bytes;
        let new = total.filter(|_| known.is_none());
        *known = known.or(total);
        if let Some(bar) = bar {
            bar.set_length(known.unwrap_or(*at));
            bar.set_position(*at);
        }
        if let Some(new) = new {
            state.known.0 += 1;
            state.known.1 += new;
        }
    }

    /// It begins anew.
    pub fn anew(&self, wanted: &Wanted) {
        if let Some((at, ..)) = self.state().live.get_mut(&wanted.name) {
            *at = 0;
        }
    }

    /// It is there.
    pub fn done(&self, wanted: &Wanted, bytes: u64) {
        let mut state = self.state();
        let live = state.live.remove(&wanted.name);
        let known = wanted.bytes.is_some() || live.as_ref().is_some_and(|(_, total, _)| total.is_some());
        if !known {
            state.known.0 += 1;
            state.known.1 += bytes;
        }
        if let (Some((_, _, Some(bar))), Some((all, _))) = (live, &self.bars) {
            bar.finish_and_clear();
            all.remove(&bar);
        }
        state.done += bytes;
        state.files += 1;
    }

    /// No more is to come.
    pub fn finish(&self) {
        self.state().finished = true;
    }

    /// Speaks until no more is to come.
    pub fn tick(&self, network: &Network) {
        let mut spoken = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let (finished, share, words) = self.words(network);
            match &self.bars {
                Some((all, bar)) => {
                    bar.set_position((share * 1000.0) as u64);
                    bar.set_message(words);
                    if finished {
                        // A screen that is gone need not be cleared.
                        let _ = all.clear();
                    }
                }
                None if spoken.elapsed() >= EVERY && !finished => {
                    spoken = Instant::now();
                    say(&format!("  {:.0} %: {words}", 100.0 * share));
                }
                None => {}
            }
            if finished {
                return;
            }
        }
    }

    fn words(&self, network: &Network) -> (bool, f64, String) {
        let state = self.state();
        let here = state.done + state.live.values().map(|(at, ..)| at).sum::<u64>();
        // Files of unknown length are taken for as long as the others.
        let total = state.known.1 as f64 * self.all as f64 / state.known.0.max(1) as f64;
        let share = if total > 0.0 { (here as f64 / total).min(1.0) } else { 0.0 };
        let seconds = self.start.elapsed().as_secs_f64().max(1e-3);
        let rate = state.came as f64 / seconds;
        let about = if state.known.0 < self.all { "about " } else { "" };
        let of = if total > 0.0 { format!(" of {about}{}", Size(total as u64)) } else { String::new() };
        let (files, all) = (number(state.files), number(self.all));
        let mut words = format!("{files} of {all} files, {}{of}, {}/s", Size(here), Size(rate as u64));
        if rate > 0.0 && seconds > 1.0 && total > here as f64 {
            words += &format!(", {} left", duration((total - here as f64) / rate));
        }
        if let (troubles, Some(last)) = network.troubles() {
            words += &format!(
                " (tried again {}; last: {last})",
                if troubles == 1 { "once".to_owned() } else { format!("{troubles} times") }
            );
        }
        (state.finished, share, words)
    }
}
