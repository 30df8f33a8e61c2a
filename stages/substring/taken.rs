//! Spans that go, and what is left of a text without them.

use std::ops::Range;

use crate::{Cut, First};

/// A span that goes, in units: bytes, or first tokens.
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
    /// Who has it first, piece by piece, each with its end: the windows of a span may be of several documents.
    pub firsts: Vec<(usize, First)>,
}

impl Span {
    pub fn more(&mut self, end: usize, first: First) {
        self.end = end;
        match self.firsts.last_mut() {
            // Windows that do not begin one byte apart may stand apart there.
            Some((last, known)) if *known == first && *last + 1 == end => *last = end,
            _ => self.firsts.push((end, first)),
        }
    }

    /// The same in bytes, by the place of each token; nothing if it spells no byte of its own.
    pub fn within(self, places: &[Range<usize>]) -> Option<Span> {
        let ends = |token: usize| places.get(token.wrapping_sub(1)).map_or(0, |place| place.end);
        let start = places.get(self.start)?.start;
        let end = ends(self.end);
        let firsts = self.firsts.into_iter().map(|(end, first)| (ends(end), first)).collect();
        (start < end).then_some(Span { start, end, firsts })
    }

    /// What is cut of it, from `start` to `end`: each piece lies in whole windows of its document.
    fn cut(&self, start: usize, end: usize, cuts: &mut Vec<Cut>) {
        let mut from = start;
        for (to, first) in &self.firsts {
            let to = (*to).min(end);
            if from < to {
                cuts.push(Cut { start: from, end: to, first: *first });
                from = to;
            }
        }
    }
}

/// A text without spans of bytes; a character goes if all of its bytes do.
pub(crate) fn without_spans(text: &str, spans: &[Span], cuts: &mut Vec<Cut>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for span in spans {
        let start = (span.start..span.end).find(|at| text.is_char_boundary(*at)).unwrap_or(span.end);
        let end = (start..=span.end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(start);
        if start < end {
            kept.push_str(&text[from..start]);
            from = end;
            span.cut(start, end, cuts);
        }
    }
    kept.push_str(&text[from..]);
    kept
}

/// A text without the lines that lie in spans from end to end; of an empty one its end does.
pub(crate) fn without_whole_lines(text: &str, spans: &[Span], cuts: &mut Vec<Cut>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut spans = spans.iter().peekable();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let content = if line.len() > 1 { end - usize::from(line.ends_with('\n')) } else { end };
        while spans.next_if(|span| span.end < content).is_some() {}
        match spans.peek().filter(|span| span.start <= start && content <= span.end) {
            Some(span) => span.cut(start, content, cuts),
            None => kept.push_str(line),
        }
        start = end;
    }
    kept
}
