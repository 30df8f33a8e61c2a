//! A step in words: a line for a log, or as much as a terminal is wide.

use crate::report::{duration, fitting, rounded};

/// Lines of losses of slices on a terminal, at most.
const LINES: usize = 3;
/// Where the losses of slices begin on a terminal.
const INDENT: usize = 2;
/// What stands between two pieces.
const BETWEEN: &str = "  ";

/// What came of a step's computing.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Mean loss in nats; no number where there is none.
    pub loss: f64,
    /// Length of the gradient, before clipping.
    pub gradient: f64,
    /// Tokens of this step in a second.
    pub speed: f64,
    /// Share of the peak, from 0 to 1.
    pub mfu: f64,
}

/// What a step is told to have been.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The step, from 1.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// What came of it; nothing where none of its targets counts.
    pub computed: Option<Computed>,
    /// The learning rate.
    pub rate: f64,
    /// Tokens trained on up to here.
    pub tokens: u64,
    /// The loss of each slice of the data, where the step has targets of it.
    pub slices: Vec<(String, Option<f64>)>,
    /// What the loss was multiplied with, where gradients have a scale.
    pub scale: Option<f64>,
    /// Why the step was skipped, if it was.
    pub skip: Option<String>,
    /// Steps that were skipped so far.
    pub skipped: u64,
    /// Seconds that the rest of the run will take, if it goes on as it went.
    pub left: f64,
}

impl Told {
    /// All of it in one line, for a log.
    pub fn line(&self) -> String {
        let mut pieces = self.pieces(&format!("step {}/{}", self.step, self.steps));
        pieces.push(format!("{} left", duration(self.left)));
        if self.slices.len() > 1 {
            pieces.extend(self.slices.iter().map(|(name, loss)| format!("{name} {}", told(*loss, 4))));
        }
        pieces.extend(self.skip.as_ref().map(|why| format!("SKIPPED: {why}")));
        pieces.join(BETWEEN)
    }

    /// The same on a terminal, where a bar says what is left: as much of it as there is room for, the
    /// slices in lines of their own, and then what was not as it should be.
    pub fn lines(&self, columns: usize) -> String {
        // A line that ends where the terminal ends may break.
        let room = columns.saturating_sub(1);
        let below = room.saturating_sub(INDENT);
        let digits = self.steps.to_string().len();
        let mut lines =
            vec![fitting(&self.pieces(&format!("step {:>digits$}/{}", self.step, self.steps)), BETWEEN, room)];
        let mut add = |pieces: &[String]| {
            lines.push(format!("{}{}", " ".repeat(INDENT.min(room)), fitting(pieces, BETWEEN, below)));
        };
        if self.slices.len() > 1 {
            slices(&self.slices, below).iter().for_each(|pieces| add(pieces));
        }
        if let Some(why) = &self.skip {
            add(&[format!("SKIPPED: {why}")]);
        }
        lines.join("\n")
    }

    fn pieces(&self, first: &str) -> Vec<String> {
        let mut pieces = vec![first.to_owned()];
        if let Some(Computed { loss, gradient, .. }) = &self.computed {
            pieces.extend([format!("loss {loss:.4}"), format!("gradient {gradient:.3}")]);
        }
        pieces.push(format!("rate {:.2e}", self.rate));
        pieces.extend(self.scaled());
        pieces.extend(self.fast());
        pieces.push(format!("{} tokens", rounded(self.tokens as f64)));
        pieces
    }

    /// How fast it was computed.
    pub fn fast(&self) -> impl Iterator<Item = String> {
        let told =
            |own: &Computed| [format!("{} tokens/s", rounded(own.speed)), format!("MFU {:.1} %", 100.0 * own.mfu)];
        self.computed.as_ref().map(told).into_iter().flatten()
    }

    /// The scale of the loss, where it has one.
    pub fn scaled(&self) -> Option<String> {
        self.scale.map(|scale| format!("scale {scale}"))
    }
}

fn told(loss: Option<f64>, digits: usize) -> String {
    // As wide as a loss below 10, so that what comes after it stays where it is.
    loss.map_or_else(|| format!("{:>1$}", "-", digits + 2), |loss| format!("{loss:.digits$}"))
}

/// The losses of slices in lines: one, if names can be made so short that all have room.
fn slices(all: &[(String, Option<f64>)], room: usize) -> Vec<Vec<String>> {
    let pieces = |names: &[String], digits| -> Vec<String> {
        names.iter().zip(all).map(|(name, (_, loss))| format!("{name} {}", told(*loss, digits))).collect()
    };
    let fits = |pieces: &[String]| pieces.join(BETWEEN).chars().count() <= room;
    let whole: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let ways = [(whole.clone(), 4), (whole.clone(), 2)];
    let shorter = (3..=9).rev().map(|most| (whole.iter().map(|name| short(name, most)).collect(), 2));
    for (names, digits) in ways.into_iter().chain(shorter) {
        let pieces = pieces(&names, digits);
        if fits(&pieces) && names.iter().enumerate().all(|(at, name)| !names[..at].contains(name)) {
            return vec![pieces];
        }
    }
    let mut lines: Vec<Vec<String>> = Vec::new();
    for piece in pieces(&whole, 2) {
        match lines.last_mut() {
            Some(line) if fits(&[&line[..], std::slice::from_ref(&piece)].concat()) => line.push(piece),
            _ => lines.push(vec![piece]),
        }
    }
    if lines.len() > LINES {
        lines.truncate(LINES);
        let mut last = lines.pop().unwrap_or_default();
        let above: usize = lines.iter().map(Vec::len).sum();
        loop {
            let more = format!("and {} more", all.len() - above - last.len());
            last.push(more);
            if last.len() == 1 || fits(&last) {
                break;
            }
            last.truncate(last.len() - 2);
        }
        lines.push(last);
    }
    lines
}

/// A name of several words by their initials, of one by so many letters.
fn short(name: &str, most: usize) -> String {
    let words = name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let initials: String = words.filter_map(|word| word.chars().next()).collect();
    if initials.chars().count() > 1 { initials } else { name.chars().take(most).collect() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const SEVEN: [&str; 7] = ["common_crawl", "c4", "github", "books", "arxiv", "wikipedia", "stack_exchange"];

    pub fn step(slices: &[&str]) -> Told {
        Told {
            step: 42,
            steps: 143_000,
            computed: Some(Computed { loss: 3.123_456, gradient: 0.517, speed: 123_456.0, mfu: 0.4321 }),
            rate: 1e-3,
            tokens: 88_080_384,
            slices: slices.iter().zip(0..).map(|(name, at)| ((*name).to_owned(), Some(2.5 + f64::from(at)))).collect(),
            scale: None,
            skip: None,
            skipped: 0,
            left: 86_400.0,
        }
    }

    #[test]
    fn at_80_columns_a_step_is_a_line_and_its_slices_another() {
        let head = "step     42/143000  loss 3.1235  gradient 0.517  rate 1.00e-3";
        assert_eq!(step(&["c4"]).lines(80), head);
        assert_eq!(step(&["c4"]).lines(120), format!("{head}  123.46 k tokens/s  MFU 43.2 %  88.08 M tokens"));
        assert_eq!(step(&["c4", "books"]).lines(80), format!("{head}\n  c4 2.5000  books 3.5000"));
        assert_eq!(
            step(&SEVEN).lines(80),
            format!("{head}\n  cc 2.50  c4 3.50  github 4.50  books 5.50  arxiv 6.50  wikipedi 7.50  se 8.50")
        );
        assert_eq!(
            step(&SEVEN).lines(120).lines().nth(1).unwrap(),
            "  common_crawl 2.5000  c4 3.5000  github 4.5000  books 5.5000  arxiv 6.5000  wikipedia 7.5000  \
             stack_exchange 8.5000"
        );
        // A slice that the step has nothing of leaves its place empty; what was skipped, and why, is told.
        let mut odd = step(&["c4", "books"]);
        (odd.slices[0].1, odd.computed.as_mut().unwrap().loss) = (None, f64::NAN);
        (odd.scale, odd.skip) = (Some(65_536.0), Some("not a number".to_owned()));
        assert_eq!(
            odd.lines(80),
            "step     42/143000  loss NaN  gradient 0.517  rate 1.00e-3  scale 65536\n  \
             c4      -  books 3.5000\n  SKIPPED: not a number"
        );
    }

    #[test]
    fn a_log_has_a_line_for_each_step() {
        let mut told = step(&SEVEN[..2]);
        let line = |scale: &str| {
            format!(
                "step 42/143000  loss 3.1235  gradient 0.517  rate 1.00e-3{scale}  123.46 k tokens/s  MFU 43.2 %  \
                 88.08 M tokens  24.0 h left  common_crawl 2.5000  c4 3.5000"
            )
        };
        assert_eq!(told.line(), line(""));
        (told.scale, told.skip) = (Some(0.5), Some("why".to_owned()));
        assert_eq!(told.line(), line("  scale 0.5") + "  SKIPPED: why");
        // Where nothing was computed there is no loss to tell, and no speed.
        (told.computed, told.slices) = (None, vec![("c4".to_owned(), None)]);
        let line = "step 42/143000  rate 1.00e-3  scale 0.5  88.08 M tokens  24.0 h left  SKIPPED: why";
        assert_eq!(told.line(), line);
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let many: Vec<String> = (0..200).map(|at| format!("slice number {at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = "w".repeat(300);
        // Names whose short forms are the same ones are not cut.
        let alike = step(&["wikipedia_de", "wikipedia_dk", "wikipedia_en", "wikipedia_es", "wikipedia_fr"]).lines(80);
        assert!(alike.ends_with("\n  wikipedia_fr 6.50") && alike.contains(" wikipedia_es 5.50\n"), "{alike}");
        for (slices, lines) in [(&many[..], 1 + LINES), (&SEVEN, 2), (&[&long, "b"], 2)] {
            let told = Told { skip: Some("why".to_owned()), ..step(slices) };
            for columns in 0..200 {
                for line in told.lines(columns).lines() {
                    assert!(line.chars().count() <= columns.saturating_sub(1), "{columns}: {line}");
                }
            }
            assert_eq!(told.lines(80).lines().count(), lines + 1, "{}", told.lines(80));
        }
        let told = step(&many).lines(80);
        assert!(told.contains("slice number 0 2.50") && told.ends_with("and 191 more"), "{told}");
    }
}
