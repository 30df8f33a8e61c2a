//! What there is to draw of runs: the losses that their records tell.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Result;
use crate::report::{METRICS, records, say_passed_over};

/// Letters of a run's name at most.
const NAME: usize = 48;

/// Losses in nats by tokens trained on.
pub type Points = Vec<(f64, f64)>;

/// The losses of some tokens: of all, or of one slice's.
#[derive(Debug, Default, PartialEq)]
pub struct Curves {
    /// Those that are learned.
    pub learned: Points,
    /// Those that are held out.
    pub held: Points,
}

/// What a run tells.
#[derive(Debug, Default, PartialEq)]
pub struct Run {
    /// Which one it is.
    pub name: String,
    /// Of all tokens.
    pub all: Curves,
    /// Of each slice, in the order of the run's data.
    pub slices: Vec<(String, Curves)>,
    /// Where steps were skipped, in tokens.
    pub skipped: Vec<f64>,
}

impl Run {
    fn slice(&mut self, name: &str) -> &mut Curves {
        let at = self.slices.iter().position(|(own, _)| own == name).unwrap_or_else(|| {
            self.slices.push((name.to_owned(), Curves::default()));
            self.slices.len() - 1
        });
        &mut self.slices[at].1
    }

    /// Adds what a line of the record tells.
    fn add(&mut self, line: &Value) {
        // Beyond what a trainer's numbers hold, there is nothing to draw.
        let loss = |value: &Value| value.as_f64().filter(|loss| loss.abs() <= f64::from(f32::MAX));
        let Some(tokens) = line["tokens"].as_f64() else { return };
        if !line["skipped"].is_null() {
            self.skipped.push(tokens);
        } else if let Some(all) = loss(&line["loss"]) {
            self.all.learned.push((tokens, all));
            for (slice, entry) in line["slices"].as_object().into_iter().flatten() {
                if let Some(own) = loss(entry) {
                    self.slice(slice).learned.push((tokens, own));
                }
            }
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for (slice, entry) in line["held_out"].as_object().into_iter().flatten() {
            let targets = entry["tokens"].as_f64().filter(|targets| *targets > 0.0);
            if let (Some(own), Some(targets)) = (loss(&entry["loss"]), targets) {
                self.slice(slice).held.push((tokens, own));
                sum += own * targets;
                count += targets;
            }
        }
        if count > 0.0 {
            self.all.held.push((tokens, sum / count));
        }
    }
}

/// Reads the record of a run.
pub fn read(folder: &Path) -> Result<Run> {
    let path = folder.join(METRICS);
    let mut run = Run::default();
    let none = records(&path, &mut |_, line| run.add(&line))?;
    say_passed_over(&path, none);
    Ok(run)
}

/// The means of stretches, so many at most.
pub fn thin(points: &[(f64, f64)], most: usize) -> Points {
    let mean = |some: &[(f64, f64)]| {
        // Step by step, so that no sum is too large.
        some.iter().zip(1u32..).fold((0.0, 0.0), |(x, y), (point, count)| {
            (x + (point.0 - x) / f64::from(count), y + (point.1 - y) / f64::from(count))
        })
    };
    points.chunks(points.len().div_ceil(most.max(1)).max(1)).map(mean).collect()
}

/// What runs are called: as their folders, with as much of the path as tells them apart.
pub fn names(folders: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = folders
        .iter()
        .map(|folder| {
            // What `.` and `..` are called.
            let whole = std::path::absolute(folder).ok().and_then(|path| path.canonicalize().ok());
            let whole = whole.as_deref().unwrap_or(folder);
            whole.components().rev().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
        })
        .collect();
    parts
        .iter()
        .map(|own| {
            let same = |count: usize| {
                parts
                    .iter()
                    .filter(|other| *other != own)
                    .any(|other| other.iter().take(count).eq(own.iter().take(count)))
            };
            let count = (1..own.len()).find(|count| !same(*count)).unwrap_or(own.len());
            let name: Vec<&str> = own[..count].iter().rev().map(String::as_str).collect();
            cut(&name.join("/"))
        })
        .collect()
}

/// The name with its middle left out where it is long, and nothing in it that is no letter.
fn cut(name: &str) -> String {
    let letters: Vec<char> =
        name.chars().map(|l| if l.is_control() { char::REPLACEMENT_CHARACTER } else { l }).collect();
    if letters.len() <= NAME {
        return letters.into_iter().collect();
    }
    let (start, end) = (&letters[..NAME / 2 - 2], &letters[letters.len() - NAME / 2..]);
    start.iter().chain(&['.', '.']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_runs_apart() {
        let long = format!("x/{}end", "long".repeat(30));
        let named = names(&["a/run".into(), "b/run".into(), "b/other".into(), long.into(), "b/other".into()]);
        assert_eq!(named[..3], ["a/run", "b/run", "other"]);
        assert_eq!((named[3].len(), &named[3][18..28], &named[3][45..]), (NAME, "nglo..glon", "end"));
        assert_eq!(named[4], "other");
        assert_eq!(cut("a\nb"), "a\u{fffd}b");
    }

    #[test]
    fn long_curves_are_means_of_stretches() {
        let points: Points = (0..1300).map(|at| (f64::from(at), f64::from(at % 3))).collect();
        let thin = thin(&points, 600);
        assert_eq!((thin.len(), thin[0], thin[1]), (434, (1.0, 1.0), (4.0, 1.0)));
    }

    #[test]
    fn a_record_is_read_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().message.contains("metrics.jsonl"));
        let record = r#"{"step": 1, "tokens": 100, "loss": 5.0, "skipped": null, "slices": {"c4": 6.0, "arxiv": 4.0}}
{"step": 2, "tokens": 200, "loss": null, "skipped": "not a number", "slices": {"c4": null}}
{"step": 2, "tokens": 200, "held_out": {"c4": {"loss": 4.0, "tokens": 10}, "arxiv": {"loss": 3.0, "tokens": 30}, "books": {"loss": 0.0, "tokens": 0}}}
{"step": 3, "tok"#;
        std::fs::write(folder.path().join(METRICS), record).unwrap();
        let run = read(folder.path()).unwrap();
        assert_eq!(run.all, Curves { learned: vec![(100.0, 5.0)], held: vec![(200.0, 3.25)] });
        assert_eq!(run.skipped, [200.0]);
        let c4 = Curves { learned: vec![(100.0, 6.0)], held: vec![(200.0, 4.0)] };
        let arxiv = Curves { learned: vec![(100.0, 4.0)], held: vec![(200.0, 3.0)] };
        assert_eq!(run.slices, [("c4".to_owned(), c4), ("arxiv".to_owned(), arxiv)]);
    }
}
