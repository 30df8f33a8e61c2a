//! Spans that go, and what is left of a text without them.

use std::collections::VecDeque;
use std::ops::Range;

use crate::{Cut, First};

/// A span that goes, in units: bytes, or first tokens.
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
    /// Who has it first, piece by piece, each with its end: of what is as long as a window, every window.
    pub firsts: Vec<(usize, First)>,
}

/// Puts windows together to spans, and gives each unit to the lowest of the documents of which a window
/// covers it: of these that one is the likeliest to keep it, since what it lost stands in windows of its own.
pub(crate) struct Joining {
    length: usize,
    spans: Vec<Span>,
    /// Windows that cover units which are not given yet: each lasts longer than the one before, and its
    /// document ranks above that one's. With them, which run of windows they are of.
    windows: VecDeque<(usize, First, usize)>,
    /// Units before this one are given.
    given: usize,
    /// The last window, and how many runs there were: windows of one document that begin one unit apart. Of
    /// others it may have each somewhere else.
    last: Option<(usize, First)>,
    runs: usize,
    /// The run that the last piece is of.
    piece: usize,
}

impl Joining {
    /// Of windows of so many units.
    pub fn new(length: usize) -> Joining {
        let (spans, windows) = (Vec::new(), VecDeque::new());
        Joining { length, spans, windows, given: 0, last: None, runs: 0, piece: 0 }
    }

    /// A window that goes, after those that begin before it.
    pub fn window(&mut self, start: usize, first: First) {
        let end = start + self.length;
        if self.last.replace((start, first)).is_none_or(|(before, of)| before + 1 != start || of != first) {
            self.runs += 1;
        }
        self.give(start);
        match self.spans.last_mut() {
            Some(span) if start <= span.end => span.end = end,
            _ => {
                self.spans.push(Span { start, end, firsts: Vec::new() });
                self.given = start;
            }
        }
        while self.windows.back().is_some_and(|(_, other, _)| *other >= first) {
            self.windows.pop_back();
        }
        self.windows.push_back((end, first, self.runs));
    }

    /// Gives the units before this one, which no later window covers.
    fn give(&mut self, before: usize) {
        let Some(span) = self.spans.last_mut() else { return };
        while self.given < before.min(span.end)
            && let Some((end, first, run)) = self.windows.front().copied()
        {
            if end <= self.given {
                self.windows.pop_front();
                continue;
            }
            self.given = end.min(before);
            match span.firsts.last_mut() {
                Some((last, _)) if self.piece == run => *last = self.given,
                _ => span.firsts.push((self.given, first)),
            }
            self.piece = run;
        }
        if before >= span.end {
            self.windows.clear();
        }
    }

    /// The spans, in order; none touches the next.
    pub fn finish(mut self) -> Vec<Span> {
        self.give(usize::MAX);
        self.spans
    }
}

impl Span {
    /// The same in bytes, by the place of each token; nothing if it spells no byte of its own.
    pub fn within(self, places: &[Range<usize>]) -> Option<Span> {
        let ends = |token: usize| places.get(token.wrapping_sub(1)).map_or(0, |place| place.end);
        let start = places.get(self.start)?.start;
        let end = ends(self.end);
        let firsts = self.firsts.into_iter().map(|(end, first)| (ends(end), first)).collect();
        (start < end).then_some(Span { start, end, firsts })
    }

    /// What is cut of it, from `start` to `end`.
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

/// A text without the lines that lie in spans from end to end; of an empty one its end does. Lines of a span that
/// follow each other are cut as one, piece by piece of those who have it.
pub(crate) fn without_whole_lines(text: &str, spans: &[Span], cuts: &mut Vec<Cut>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut spans = spans.iter().peekable();
    let mut lines: Option<(&Span, Range<usize>)> = None;
    let mut cut = |lines: &mut Option<(&Span, Range<usize>)>| {
        if let Some((span, lines)) = lines.take() {
            span.cut(lines.start, lines.end, cuts);
        }
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let content = if line.len() > 1 { end - usize::from(line.ends_with('\n')) } else { end };
        while spans.next_if(|span| span.end < content).is_some() {}
        match spans.peek().filter(|span| span.start <= start && content <= span.end) {
            Some(span) => match &mut lines {
                Some((of, lines)) if std::ptr::eq(*of, *span) => lines.end = content,
                _ => {
                    cut(&mut lines);
                    lines = Some((span, start..content));
                }
            },
            None => {
                cut(&mut lines);
                kept.push_str(line);
            }
        }
        start = end;
    }
    cut(&mut lines);
    kept
}
