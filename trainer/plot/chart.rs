//! Runs as a picture: a field for the loss of all tokens, and one for each slice where there are several.

use super::curves::{Curves, Points, Run, thin};
use super::picture::{Anchor, Colour, Picture, Shape, width};
use super::scale::Scale;

/// Okabe and Ito's colours, which people tell apart who see few, and the same in the dark.
pub const COLOURS: [Colour; 14] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x00, 0x00, 0x00],
    [0x00, 0x3c, 0x5e],
    [0x7a, 0x36, 0x00],
    [0x00, 0x57, 0x3f],
    [0x80, 0x3c, 0x5f],
    [0x80, 0x58, 0x00],
    [0x1f, 0x5f, 0x85],
    [0x80, 0x80, 0x80],
];
const INK: Colour = [0x22, 0x22, 0x22];
const FAINT: Colour = [0x55, 0x55, 0x55];
const GRID: Colour = [0xe2, 0xe2, 0xe2];
const AXIS: Colour = [0x88, 0x88, 0x88];

/// Units of the picture from left to right, and those that are free at its sides.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 28.0;
/// Units between fields: for the words of the axis on the left, for those of both below and above.
const BESIDE: f64 = 60.0;
const BETWEEN: f64 = 74.0;
/// Units of a line of the legend, and between its entries.
const LINE: f64 = 20.0;
const GAP: f64 = 24.0;
const DASH: [f64; 2] = [5.0, 3.0];
/// Units along the axis for each point of a curve of training.
const POINT: f64 = 1.5;
/// Units between crosses on the axis.
const APART: f64 = 8.0;

/// A part of the picture with axes.
struct Field {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    across: Scale,
    up: Scale,
}

impl Field {
    fn x(&self, tokens: f64) -> f64 {
        self.left + self.width * self.across.share(tokens)
    }

    fn y(&self, loss: f64) -> f64 {
        self.top + self.height * (1.0 - self.up.share(loss))
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn place(&self, points: &[(f64, f64)]) -> Points {
        thin(points, (self.width / POINT) as usize)
            .iter()
            .map(|(tokens, loss)| (self.x(*tokens), self.y(*loss)))
            .collect()
    }
}

/// Draws runs, one of which at least has a loss.
pub fn chart(runs: &[Run]) -> Picture {
    let mut picture = Picture { width: WIDTH, height: 0.0, shapes: Vec::new() };
    let mut slices: Vec<&str> = Vec::new();
    for (slice, _) in runs.iter().flat_map(|run| &run.slices) {
        if !slices.contains(&slice.as_str()) {
            slices.push(slice);
        }
    }
    if slices.len() < 2 {
        slices.clear();
    }
    let tokens = runs.iter().flat_map(|run| {
        let last = |points: &Points| points.last().map_or(0.0, |point| point.0);
        [last(&run.all.learned), last(&run.all.held), run.skipped.last().copied().unwrap_or(0.0)]
    });
    let most = tokens.fold(0.0, f64::max);
    let legend = legend(&mut picture, runs);
    let place = (LEFT, legend + 40.0, WIDTH - LEFT - RIGHT, if slices.is_empty() { 430.0 } else { 320.0 });
    let all: Vec<(Colour, &Curves)> = colours().zip(runs).map(|(colour, run)| (colour, &run.all)).collect();
    let fields: Vec<Vec<(Colour, &Curves)>> = slices.iter().map(|slice| of_slice(runs, slice)).collect();
    // Fields that are seen together are drawn alike.
    let bounds: Vec<(f64, f64)> = fields.iter().chain([&all]).filter_map(|curves| bounds(curves)).collect();
    let powers =
        bounds.iter().any(|(low, high)| Scale::is_steep(*low, *high)) && bounds.iter().all(|(low, _)| *low > 0.0);
    let title = if slices.is_empty() { "loss" } else { "loss of all tokens" };
    let field = draw(&mut picture, place, (most, powers), (title, &all));
    for (colour, run) in colours().zip(runs) {
        skipped(&mut picture, &field, run, colour);
    }
    let columns = if slices.len() == 4 { 2 } else { slices.len().min(3) };
    let mut bottom = field.bottom();
    let drawn: Vec<(&str, &Vec<(Colour, &Curves)>)> = slices.iter().copied().zip(&fields).collect();
    for (row, some) in drawn.chunks(columns.max(1)).enumerate() {
        let each = (WIDTH - LEFT - RIGHT - BESIDE * (columns - 1) as f64) / columns as f64;
        let top = field.bottom() + BETWEEN + (180.0 + BETWEEN) * row as f64;
        for (column, (slice, own)) in some.iter().enumerate() {
            let place = (LEFT + (each + BESIDE) * column as f64, top, each, 180.0);
            bottom = draw(&mut picture, place, (most, powers), (slice, own)).bottom();
        }
    }
    picture.height = bottom + 50.0;
    picture
}

/// The curves of a slice, of all runs that have it.
fn of_slice<'r>(runs: &'r [Run], slice: &str) -> Vec<(Colour, &'r Curves)> {
    let own = |run: &'r Run| run.slices.iter().find(|(name, _)| name == slice).map(|(_, curves)| curves);
    colours().zip(runs).filter_map(|(colour, run)| Some((colour, own(run)?))).collect()
}

/// The lowest and the highest loss, if there is any.
fn bounds(curves: &[(Colour, &Curves)]) -> Option<(f64, f64)> {
    let losses = curves.iter().flat_map(|(_, own)| own.learned.iter().chain(&own.held)).map(|point| point.1);
    let (low, high) = losses.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), l| (low.min(l), high.max(l)));
    (low <= high).then_some((low, high))
}

fn colours() -> impl Iterator<Item = Colour> {
    COLOURS.into_iter().cycle()
}

fn pale(colour: Colour) -> Colour {
    colour.map(|part| 255 - (255 - part) / 2)
}

/// What colours and kinds of lines mean; gives where it ends.
fn legend(picture: &mut Picture, runs: &[Run]) -> f64 {
    let (mut x, mut y) = (LEFT, 24.0);
    let mut entry = |picture: &mut Picture, words: &str, sample: &dyn Fn(&mut Picture, f64, f64)| {
        let needs = 26.0 + width(words);
        if x > LEFT && x + needs > WIDTH - RIGHT {
            (x, y) = (LEFT, y + LINE);
        }
        sample(picture, x, y - 4.0);
        picture.text((x + 26.0, y), Anchor::Start, words, INK);
        x += needs + GAP;
        y
    };
    for (colour, run) in colours().zip(runs) {
        let words = if run.all.learned.is_empty() { format!("{} (no losses)", run.name) } else { run.name.clone() };
        entry(picture, &words, &|picture, x, y| picture.line(vec![(x, y), (x + 20.0, y)], colour, 3.0));
    }
    let mut end = entry(picture, "training", &|picture, x, y| picture.line(vec![(x, y), (x + 20.0, y)], AXIS, 1.5));
    if runs.iter().any(|run| !run.all.held.is_empty()) {
        end = entry(picture, "held out", &|picture, x, y| {
            let points = vec![(x, y), (x + 20.0, y)];
            picture.shapes.push(Shape::Line { points, colour: AXIS, width: 1.5, dash: Some(DASH) });
            picture.shapes.push(Shape::Dot { at: (x + 10.0, y), radius: 3.0, colour: AXIS });
        });
    }
    if runs.iter().any(|run| !run.skipped.is_empty()) {
        end = entry(picture, "skipped step", &|picture, x, y| cross(picture, (x + 10.0, y), AXIS));
    }
    end
}

fn cross(picture: &mut Picture, (x, y): (f64, f64), colour: Colour) {
    for up in [-3.5, 3.5] {
        picture.line(vec![(x - 3.5, y - up), (x + 3.5, y + up)], colour, 1.5);
    }
}

/// Marks the steps that were skipped, on the axis; what lies closer than can be seen is one.
fn skipped(picture: &mut Picture, field: &Field, run: &Run, colour: Colour) {
    let mut last = f64::NEG_INFINITY;
    for tokens in &run.skipped {
        let x = field.x(*tokens);
        if x - last >= APART {
            cross(picture, (x, field.bottom()), colour);
            last = x;
        }
    }
}

/// A line of one unit is sharp where it fills pixels.
fn sharp(value: f64) -> f64 {
    libm::floor(value) + 0.5
}

/// Draws the axes of a field and the curves in it.
fn draw(
    picture: &mut Picture,
    (left, top, wide, high): (f64, f64, f64, f64),
    (tokens, powers): (f64, bool),
    (title, curves): (&str, &[(Colour, &Curves)]),
) -> Field {
    let across = Scale::up_to(tokens, libm::floor(wide / 80.0));
    let steps = libm::floor(high / 30.0);
    let up = match bounds(curves) {
        Some((low, most)) if powers => Scale::powers(low, most, steps),
        Some((low, most)) => Scale::around(low, most, steps),
        None => Scale::around(0.0, 1.0, steps),
    };
    let field = Field { left, top, width: wide, height: high, across, up };
    let (right, bottom) = (left + wide, field.bottom());
    for (tick, words) in field.up.ticks() {
        let y = field.y(*tick);
        picture.line(vec![(left, sharp(y)), (right, sharp(y))], GRID, 1.0);
        picture.text((left - 8.0, y + 4.5), Anchor::End, words, FAINT);
    }
    for (tick, words) in field.across.ticks() {
        let x = field.x(*tick);
        picture.line(vec![(sharp(x), top), (sharp(x), bottom)], GRID, 1.0);
        picture.text((x, bottom + 18.0), Anchor::Middle, words, FAINT);
    }
    picture.line(vec![(sharp(left), top), (sharp(left), sharp(bottom)), (right, sharp(bottom))], AXIS, 1.0);
    let at = (left, top - 12.0);
    // What is too long for the field ends in dots, and has no room for units behind it.
    let whole = width(title) <= wide;
    let cut: String = title
        .chars()
        .scan(width(".."), |so_far, letter| {
            *so_far += width(&letter.to_string());
            (*so_far <= wide).then_some(letter)
        })
        .collect();
    let text = if whole { title.to_owned() } else { cut + ".." };
    let behind = left + width(&text) + 14.0;
    picture.shapes.push(Shape::Text { at, anchor: Anchor::Start, text, colour: INK, bold: true });
    let units: &[&str] = if field.up.powers {
        &["nats per token, logarithmic", "nats, logarithmic", "logarithmic"]
    } else {
        &["nats per token", "nats"]
    };
    if let Some(units) = units.iter().find(|units| behind + width(units) <= right) {
        picture.text((behind, top - 12.0), Anchor::Start, *units, FAINT);
    }
    picture.text(((left + right) / 2.0, bottom + 36.0), Anchor::Middle, "tokens trained on", FAINT);
    for (colour, own) in curves {
        // What is held out stands out of the noise of what is learned.
        let colour = if own.held.is_empty() { *colour } else { pale(*colour) };
        line(picture, field.place(&own.learned), colour, None);
    }
    for (colour, own) in curves {
        line(picture, field.place(&own.held), *colour, Some(DASH));
    }
    field
}

/// Draws a curve; that of one point is a dot.
fn line(picture: &mut Picture, points: Points, colour: Colour, dash: Option<[f64; 2]>) {
    let dots = dash.is_some() || points.len() == 1;
    for at in points.iter().filter(|_| dots) {
        picture.shapes.push(Shape::Dot { at: *at, radius: 3.0, colour });
    }
    if points.len() > 1 {
        picture.shapes.push(Shape::Line { points, colour, width: 1.5, dash });
    }
}
