//! Progress for people: a bar on a terminal with the steps above it, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::{columns, duration, fitting, number, rounded, say};
use crate::told::Told;

/// Shows a run as it goes: every step, and how far it is.
pub struct Progress {
    bar: Option<ProgressBar>,
    /// The last loss that is one, in nats.
    loss: Option<f64>,
    /// The last step that was skipped here, and why.
    skipped: Option<String>,
    /// Tokens of the whole run.
    tokens: u64,
}

impl Progress {
    /// A bar if standard error is a terminal, for a run that has done some of its steps and sees so many tokens in all.
    pub fn new(done: u64, steps: u64, tokens: u64) -> Progress {
        let bar = columns().map(|columns| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(4));
            // The message begins behind the bar and goes on in lines of its own.
            let template = format!("  {{bar:{}}} {{percent:>3}} %{{msg}}", bar_width(columns));
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_position(share(done, steps));
            bar.tick();
            bar
        });
        Progress { bar, loss: None, skipped: None, tokens }
    }

    /// A line that stays, above the bar if there is one.
    pub fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    /// A step that is done.
    pub fn step(&mut self, told: &Told) {
        let own = told.computed.as_ref().map(|computed| computed.loss);
        self.loss = own.filter(|loss| loss.is_finite()).or(self.loss);
        if let Some(why) = &told.skip {
            self.skipped = Some(format!("the last {}: {why}", told.step));
        }
        match (&self.bar, columns()) {
            (Some(bar), Some(columns)) => {
                bar.set_position(share(told.step, told.steps));
                bar.set_message(self.under(told, columns));
                self.line(&told.lines(columns));
            }
            _ => self.line(&told.line()),
        }
    }

    /// What stands behind the bar, and in the lines under it as much as there is room for.
    fn under(&self, told: &Told, columns: usize) -> String {
        // A line that ends where the terminal ends may break.
        let room = columns.saturating_sub(3);
        let beside = room.saturating_sub(bar_width(columns) + " 100 %, ".len());
        let mut first = vec![
            format!("step {} of {}", number(told.step), number(told.steps)),
            format!("{} of {} tokens", rounded(told.tokens as f64), rounded(self.tokens as f64)),
        ];
        first.extend(self.loss.map(|loss| format!("loss {loss:.4}")));
        let mut second: Vec<String> = told.fast().collect();
        second.extend(told.scaled());
        if told.skipped > 0 {
            second.push(format!("{} skipped", number(told.skipped)));
            second.extend(self.skipped.clone());
        }
        let left = fitting(&[format!("{} left", duration(told.left))], "", beside);
        format!(", {left}\n  {}\n  {}", fitting(&first, " · ", room), fitting(&second, " · ", room))
    }
}

/// The bar leaves nothing behind, also where a run fails.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How far a run is, in thousandths.
fn share(step: u64, steps: u64) -> u64 {
    (step as f64 / steps.max(1) as f64 * 1000.0) as u64
}

fn bar_width(columns: usize) -> usize {
    if columns < 60 { 10 } else { 24 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::told::tests::step;

    #[test]
    fn at_80_columns_all_that_matters_is_seen() {
        let mut progress = Progress { bar: None, loss: None, skipped: None, tokens: 299_892_736_000 };
        let mut told = step(&["c4"]);
        progress.step(&told);
        assert_eq!(
            progress.under(&told, 80).lines().collect::<Vec<_>>(),
            [
                ", 24.0 h left",
                "  step 42 of 143,000 · 88.08 M of 299.89 B tokens · loss 3.1235",
                "  123.46 k tokens/s · MFU 43.2 %",
            ]
        );
        // A step that was skipped leaves the loss of the one before.
        (told.step, told.scale, told.skipped) = (43, Some(32_768.0), 7);
        told.computed.as_mut().unwrap().loss = f64::NAN;
        told.skip = Some("too large for a scale of 65536".to_owned());
        progress.step(&told);
        let under = progress.under(&told, 80);
        assert!(under.contains(" · loss 3.1235\n"), "{under}");
        assert!(under.ends_with("MFU 43.2 % · scale 32768 · 7 skipped"), "{under}");
        assert!(progress.under(&told, 120).ends_with("7 skipped · the last 43: too large for a scale of 65536"));
        for columns in 0..130 {
            for (number, line) in progress.under(&told, columns).lines().enumerate().skip(1) {
                assert!(line.chars().count() <= columns.max(2), "{columns}, line {number}: {line}");
            }
        }
        assert_eq!((share(0, 0), share(50, 100), share(100, 100)), (0, 500, 1000));
    }
}
