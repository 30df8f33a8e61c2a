//! Curves of runs, as an SVG picture that needs nothing else to be seen.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::report::METRICS;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 540.0;
/// Left, top, right and bottom of the field.
const FIELD: [f64; 4] = [70.0, 30.0, 690.0, 480.0];
/// Okabe and Ito's colours, which people tell apart who see few.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
/// Points of one curve at most: means of stretches beyond that.
const POINTS: usize = 600;

/// One line of the picture.
struct Curve {
    name: String,
    /// Held-out losses are drawn with dots.
    dots: bool,
    points: Vec<(f64, f64)>,
}

/// Draws the losses of runs by their tokens.
pub fn plot(runs: &[impl AsRef<Path>]) -> Result<String> {
    let mut curves = Vec::new();
    for run in runs {
        curves.extend(read(run.as_ref())?);
    }
    let all = || curves.iter().flat_map(|curve| &curve.points);
    if all().next().is_none() {
        return Err(Failure::configuration("no step was told yet").hint("plot a run that has done some steps"));
    }
    let most = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(f64::NEG_INFINITY, f64::max);
    let right = most(|point| point.0);
    let top = most(|point| point.1);
    let bottom = -most(|point| -point.1);
    let vertical = Scale::new(bottom, top);
    let horizontal = Scale::new(0.0, right);
    Ok(draw(&curves, &horizontal, &vertical))
}

fn read(run: &Path) -> Result<Vec<Curve>> {
    let path = run.join(METRICS);
    let text = std::fs::read_to_string(&path).map_err(Failure::io("cannot read", &path))?;
    let name = run.file_name().unwrap_or(run.as_os_str()).to_string_lossy().into_owned();
    let mut steps = Curve { name: name.clone(), dots: false, points: Vec::new() };
    let mut held: Vec<Curve> = Vec::new();
    for line in text.lines() {
        // A line that a kill cut short is none.
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        let Some(tokens) = value["tokens"].as_f64() else { continue };
        if let Some(loss) = value["loss"].as_f64().filter(|_| value["skipped"].is_null()) {
            steps.points.push((tokens, loss));
        }
        for (slice, entry) in value["held_out"].as_object().into_iter().flatten() {
            let Some(loss) = entry["loss"].as_f64().filter(|_| entry["tokens"].as_u64() > Some(0)) else { continue };
            let name = format!("{name}: {slice}, held out");
            match held.iter_mut().find(|curve| curve.name == name) {
                Some(curve) => curve.points.push((tokens, loss)),
                None => held.push(Curve { name, dots: true, points: vec![(tokens, loss)] }),
            }
        }
    }
    let stretch = steps.points.len().div_ceil(POINTS).max(1);
    let mean = |some: &[(f64, f64)]| {
        let count = some.len() as f64;
        (some.iter().map(|point| point.0).sum::<f64>() / count, some.iter().map(|point| point.1).sum::<f64>() / count)
    };
    steps.points = steps.points.chunks(stretch).map(mean).collect();
    Ok(std::iter::once(steps).chain(held).collect())
}

/// Round numbers along an axis.
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    fn new(low: f64, high: f64) -> Scale {
        let span = (high - low).max(1e-3 * high.abs().max(1.0));
        let power = libm::pow(10.0, libm::floor(libm::log10(span / 4.0)));
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| span / step <= 6.0);
        let step = step.unwrap_or(10.0 * power);
        let (low, top) = (libm::floor(low / step) * step, libm::ceil(high / step) * step);
        // A curve that is flat has room above it.
        Scale { low, high: if top > low { top } else { low + step }, step }
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.step).round() as u32;
        (0..=count).map(move |at| self.low + f64::from(at) * self.step)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `12.5 M`, `3.2`, without zeros at the end.
fn short(value: f64) -> String {
    let (value, unit) = [(1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")]
        .into_iter()
        .find(|(size, _)| value.abs() >= *size)
        .map_or((value, ""), |(size, unit)| (value / size, unit));
    let digits = format!("{value:.3}");
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

fn draw(curves: &[Curve], horizontal: &Scale, vertical: &Scale) -> String {
    let [left, top, right, bottom] = FIELD;
    let x = |value: f64| left + (right - left) * horizontal.share(value);
    let y = |value: f64| bottom - (bottom - top) * vertical.share(value);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for tick in vertical.ticks() {
        let at = y(tick);
        let _ = writeln!(out, "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            at + 4.0,
            short(tick)
        );
    }
    for tick in horizontal.ticks() {
        let at = x(tick);
        let _ = writeln!(out, "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>");
        let _ =
            writeln!(out, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", bottom + 20.0, short(tick));
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">tokens</text>",
        (left + right) / 2.0,
        bottom + 42.0
    );
    let _ = writeln!(out, "<text x=\"{left}\" y=\"{}\">loss, nats a token</text>", top - 10.0);
    for (number, curve) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<String> =
            curve.points.iter().map(|(at, loss)| format!("{:.1},{:.1}", x(*at), y(*loss))).collect();
        let dash = if curve.dots { " stroke-dasharray=\"4 3\"" } else { "" };
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"{dash}/>",
            points.join(" ")
        );
        if curve.dots {
            for (at, loss) in &curve.points {
                let _ =
                    writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*at), y(*loss));
            }
        }
        let at = top + 10.0 + 20.0 * number as f64;
        let (from, to, text) = (right + 12.0, right + 32.0, right + 38.0);
        let _ = writeln!(
            out,
            "<line x1=\"{from}\" y1=\"{at}\" x2=\"{to}\" y2=\"{at}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>"
        );
        let _ = writeln!(out, "<text x=\"{text}\" y=\"{}\">{}</text>", at + 4.0, escaped(&curve.name));
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        for (low, high, ticks) in [
            (0.0, 307_200.0, vec![0.0, 1e5, 2e5, 3e5, 4e5]),
            (2.31, 6.93, vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
            (3.0, 3.0, vec![]),
        ] {
            let scale = Scale::new(low, high);
            assert!(scale.share(low) >= 0.0 && scale.share(high) <= 1.0 && scale.step > 0.0);
            if !ticks.is_empty() {
                assert_eq!(scale.ticks().collect::<Vec<_>>(), ticks);
            }
        }
    }

    #[test]
    fn a_picture_has_every_curve() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a<b");
        std::fs::create_dir(&run).unwrap();
        assert!(plot(&[&run]).unwrap_err().message.contains("metrics.jsonl"));
        std::fs::write(run.join(METRICS), "").unwrap();
        assert!(plot(&[&run]).unwrap_err().message.contains("no step"));
        let mut lines = String::new();
        for step in 1..=2000u32 {
            let loss = 2.0 + 5.0 / f64::from(step);
            lines +=
                &format!("{{\"step\": {step}, \"loss\": {loss}, \"tokens\": {}, \"skipped\": null}}\n", step * 1000);
        }
        lines += "{\"step\": 2000, \"tokens\": 2000000, \"held_out\": {\"c4\": {\"loss\": 2.5, \"tokens\": 9}}}\n{\"step\": 20";
        std::fs::write(run.join(METRICS), lines).unwrap();
        let picture = plot(&[&run, &run]).unwrap();
        assert_eq!(picture.matches("<polyline").count(), 4);
        assert!(picture.contains("a&lt;b: c4, held out") && picture.contains(">2 M<") && !picture.contains("NaN"));
        assert!(picture.len() < 60_000, "{}", picture.len());
    }
}
