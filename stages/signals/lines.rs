//! Signals of lines.

use corpus::python::Traits;
use corpus::words::{Line, Split, Words};
use corpus::{Document, ScoredSpan};

use super::{Found, rounded};

/// A line without the white space at its end; moves `start` to the line after it.
pub(super) fn stripped<'t>(line: &'t str, start: &mut usize) -> &'t str {
    *start += line.len();
    let mut end = line.len();
    let bytes = line.as_bytes();
    while end > 0 && corpus::words::is_white(bytes[end - 1]) {
        end -= 1;
    }
    match end.checked_sub(1).map(|last| bytes[last]) {
        Some(0x80..) => line.trim_end_matches(|character| Traits::of(character).is_white()),
        _ => &line[..end],
    }
}

/// What the original takes for a bullet.
const BULLETS: [char; 10] = [
    '\u{2022}', '\u{2023}', '\u{25b6}', '\u{25c0}', '\u{25e6}', '\u{25a0}', '\u{25a1}', '\u{25aa}', '\u{25ab}',
    '\u{2013}',
];

pub(super) fn measure(document: &Document, found: &mut Found<'_>) {
    let text = document.text();
    let lines = document.newline_lines();
    let words = document.words(Split::Normalized);
    let ascii = text.is_ascii();
    let mut start = 0;
    each(lines, found, "rps_lines_ending_with_terminal_punctution_mark", |line, _| {
        let line = stripped(&text[start..line.end as usize], &mut start);
        flag(line.ends_with(['.', '!', '?', '”']))
    });
    each(lines, found, "rps_lines_javascript_counts", |line, first| {
        let of_line = words.spans().get(first.words as usize..line.words as usize).unwrap_or_default();
        let is = |span: &&corpus::words::Span| {
            span.end - span.start == 10
                && words.text().get(span.start as usize..span.end as usize) == Some("javascript")
        };
        of_line.iter().filter(is).count() as f64
    });
    each(lines, found, "rps_lines_num_words", |line, first| f64::from(line.words - first.words));
    each(lines, found, "rps_lines_numerical_chars_fraction", |line, first| numerical(words, line, first));
    if lines.is_empty() {
        // The original's answer for a text without lines.
        let nothing = ScoredSpan { start: 0, end: 0, score: None };
        found.spans("rps_lines_start_with_bulletpoint", vec![nothing]);
    } else {
        each(lines, found, "rps_lines_start_with_bulletpoint", |line, first| {
            let line = &text[first.end as usize..line.end as usize];
            let begin = line.bytes().position(|byte| !corpus::words::is_white(byte)).unwrap_or(line.len());
            let rest = &line[begin..];
            if !rest.starts_with(|first: char| !first.is_ascii()) {
                return 0.0;
            }
            flag(rest.trim_start_matches(|character| Traits::of(character).is_white()).starts_with(BULLETS))
        });
    }
    each(lines, found, "rps_lines_uppercase_letter_fraction", |line, first| {
        let part = &text[first.end as usize..line.end as usize];
        let capitals = match ascii || part.is_ascii() {
            true => part.bytes().filter(u8::is_ascii_uppercase).count(),
            false => part.chars().filter(|character| Traits::of(*character).is_upper()).count(),
        };
        rounded(capitals as f64 / f64::from(line.characters - first.characters))
    });
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Measures each line, of which it is told the end of the line before it.
fn each(lines: &[Line], found: &mut Found<'_>, name: &'static str, mut measure: impl FnMut(&Line, &Line) -> f64) {
    if !found.asks(name) {
        return;
    }
    let mut before = Line::default();
    let mut spans = Vec::with_capacity(lines.len());
    for line in lines {
        let score = Some(measure(line, &before));
        spans.push(ScoredSpan { start: before.characters, end: line.characters, score });
        before = *line;
    }
    found.spans(name, spans);
}

/// The share of digits and other numbers in the normalized line.
fn numerical(words: Words<'_>, line: &Line, before: &Line) -> f64 {
    let of_line = words.spans().get(before.words as usize..line.words as usize).unwrap_or_default();
    let (Some(first), Some(last)) = (of_line.first(), of_line.last()) else { return 0.0 };
    let part = words.text().get(first.start as usize..last.end as usize).unwrap_or_default();
    let (numbers, characters) = match part.is_ascii() {
        true => (part.bytes().filter(u8::is_ascii_digit).count(), part.len()),
        false => part.chars().fold((0, 0), |(numbers, characters), character| {
            (numbers + usize::from(Traits::of(character).is_numeric()), characters + 1)
        }),
    };
    rounded(numbers as f64 / characters as f64)
}
