//! Pictures as PNG: every shape as the share of each pixel that it covers.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, RasterizedChar, get_raster};

use super::picture::{Anchor, Colour, Picture, Shape};

/// Pixels of a unit, so that a picture is sharp on a screen of today.
pub const SCALE: f64 = 2.0;
/// What a letter stands on, in pixels below the top of its box.
const BASE: i64 = 25;
/// What stands for a letter that the font does not have.
const UNKNOWN: char = '\u{fffd}';

/// The picture as the bytes of a file.
pub fn png(picture: &Picture) -> std::io::Result<Vec<u8>> {
    let mut canvas = Canvas::new((picture.width * SCALE) as usize, (picture.height * SCALE) as usize);
    for shape in &picture.shapes {
        canvas.draw(shape);
    }
    encode(&canvas)
}

/// Pixels that are drawn on.
struct Canvas {
    width: usize,
    height: usize,
    /// Red, green and blue of each, row by row.
    pixels: Vec<u8>,
    /// How much of each the shape of the moment covers, out of 255.
    cover: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Canvas {
        Canvas { width, height, pixels: vec![255; width * height * 3], cover: vec![0; width * height] }
    }

    fn draw(&mut self, shape: &Shape) {
        match shape {
            Shape::Line { points, colour, width, dash } => {
                let points: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x * SCALE, y * SCALE)).collect();
                let half = width * SCALE / 2.0;
                match dash {
                    None => points.windows(2).for_each(|pair| self.piece(pair[0], pair[1], half)),
                    Some([ink, gap]) => {
                        for (from, to) in dashes(&points, ink * SCALE, gap * SCALE) {
                            self.piece(from, to, half);
                        }
                    }
                }
                self.paint(&points, half, *colour);
            }
            Shape::Dot { at: (x, y), radius, colour } => {
                let at = (x * SCALE, y * SCALE);
                self.piece(at, at, radius * SCALE);
                self.paint(&[at], radius * SCALE, *colour);
            }
            Shape::Text { at, anchor, text, colour, bold } => self.text(*at, *anchor, text, *colour, *bold),
        }
    }

    /// Columns and rows of the pixels around points, as far as they are on the canvas.
    fn around(&self, points: &[(f64, f64)], half: f64) -> [std::ops::Range<usize>; 2] {
        let range = |of: fn(&(f64, f64)) -> f64, end: usize| {
            let low = points.iter().map(of).fold(f64::INFINITY, f64::min) - half - 1.0;
            let high = points.iter().map(of).fold(f64::NEG_INFINITY, f64::max) + half + 1.0;
            let low = low.clamp(0.0, end as f64) as usize;
            low..(high.clamp(0.0, end as f64) as usize + 1).clamp(low, end)
        };
        [range(|point| point.0, self.width), range(|point| point.1, self.height)]
    }

    /// Covers what is no further from a straight piece than half its width, softly at its rim.
    fn piece(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), half: f64) {
        let (dx, dy) = (x1 - x0, y1 - y0);
        let square = dx * dx + dy * dy;
        let [columns, rows] = self.around(&[(x0, y0), (x1, y1)], half);
        for row in rows {
            for column in columns.clone() {
                // From the pixel's middle to the nearest point of the piece.
                let (x, y) = (column as f64 + 0.5 - x0, row as f64 + 0.5 - y0);
                let along = if square > 0.0 { ((x * dx + y * dy) / square).clamp(0.0, 1.0) } else { 0.0 };
                let away = libm::hypot(x - along * dx, y - along * dy);
                let share = (255.0 * (half + 0.5 - away).clamp(0.0, 1.0)).round() as u8;
                let cover = &mut self.cover[row * self.width + column];
                *cover = (*cover).max(share);
            }
        }
    }

    /// Paints what is covered, and covers nothing any more.
    fn paint(&mut self, points: &[(f64, f64)], half: f64, colour: Colour) {
        let [columns, rows] = self.around(points, half);
        for at in rows.flat_map(|row| columns.clone().map(move |column| (row, column))) {
            let at = at.0 * self.width + at.1;
            let share = std::mem::take(&mut self.cover[at]);
            self.blend(at, share, colour);
        }
    }

    fn blend(&mut self, at: usize, share: u8, colour: Colour) {
        let share = u32::from(share);
        for (pixel, ink) in self.pixels[3 * at..3 * at + 3].iter_mut().zip(colour) {
            *pixel = ((u32::from(*pixel) * (255 - share) + u32::from(ink) * share + 127) / 255) as u8;
        }
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str, colour: Colour, bold: bool) {
        let letters: Vec<RasterizedChar> = text.chars().filter_map(|letter| raster(letter, bold)).collect();
        let width: usize = letters.iter().map(RasterizedChar::width).sum();
        let before = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width as f64 / 2.0,
            Anchor::End => width as f64,
        };
        let mut left = (x * SCALE - before).round() as i64;
        let top = (y * SCALE).round() as i64 - BASE;
        for letter in letters {
            for (row, shares) in (top..).zip(letter.rows()) {
                for (column, share) in (left..).zip(shares) {
                    let on = |at: i64, end: usize| usize::try_from(at).ok().filter(|at| *at < end);
                    if let (Some(row), Some(column)) = (on(row, self.height), on(column, self.width)) {
                        self.blend(row * self.width + column, *share, colour);
                    }
                }
            }
            left += letter.width() as i64;
        }
    }
}

fn raster(letter: char, bold: bool) -> Option<RasterizedChar> {
    let weight = if bold { FontWeight::Bold } else { FontWeight::Regular };
    let find = |letter| get_raster(letter, weight, RasterHeight::Size32);
    find(letter).or_else(|| find(UNKNOWN))
}

/// The pieces of a line that are ink.
fn dashes(points: &[(f64, f64)], ink: f64, gap: f64) -> Vec<((f64, f64), (f64, f64))> {
    let mut pieces = Vec::new();
    let mut done = 0.0;
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let length = libm::hypot(x1 - x0, y1 - y0);
        let at = |along: f64| (x0 + (x1 - x0) * along / length, y0 + (y1 - y0) * along / length);
        let mut along = 0.0;
        while along < length {
            let phase = (done + along) % (ink + gap);
            let next = (along + if phase < ink { ink - phase } else { ink + gap - phase }.max(0.01)).min(length);
            if phase < ink {
                pieces.push((at(along), at(next)));
            }
            along = next;
        }
        done += length;
    }
    pieces
}

/// The file: a head, the rows compressed, an end.
fn encode(canvas: &Canvas) -> std::io::Result<Vec<u8>> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut head = Vec::new();
    head.extend((canvas.width as u32).to_be_bytes());
    head.extend((canvas.height as u32).to_be_bytes());
    // Eight bits of red, green and blue, in the one way of compression, the one of filters, in one go.
    head.extend([8, 2, 0, 0, 0]);
    chunk(&mut out, *b"IHDR", &head);
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in canvas.pixels.chunks_exact(3 * canvas.width) {
        // No filter: even fields compress best as they are.
        rows.write_all(&[0])?;
        rows.write_all(row)?;
    }
    chunk(&mut out, *b"IDAT", &rows.finish()?);
    chunk(&mut out, *b"IEND", &[]);
    Ok(out)
}

/// Length, name, content, and the checksum of name and content.
fn chunk(out: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    out.extend((content.len() as u32).to_be_bytes());
    out.extend(name);
    out.extend(content);
    let mut crc = Crc::new();
    crc.update(&name);
    crc.update(content);
    out.extend(crc.sum().to_be_bytes());
}
