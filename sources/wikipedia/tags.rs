//! Tags with their attributes, and tables.

use super::inside::*;
use super::markup::{Closing, Failed, Frame, Kind, Reader, STAYED_OPEN, Tried, is_mark, is_space, width};

/// Tags whose contents are no wikitext: parser extensions of Wikimedia's wikis, as
/// <https://www.mediawiki.org/wiki/Parser_extension_tags> lists them and mwparserfromhell knows them.
const LITERAL: [&str; 17] = [
    "categorytree",
    "ce",
    "chem",
    "gallery",
    "graph",
    "hiero",
    "imagemap",
    "inputbox",
    "math",
    "nowiki",
    "pre",
    "score",
    "section",
    "source",
    "syntaxhighlight",
    "templatedata",
    "timeline",
];

/// Of these, the contents are not shown.
const HIDDEN: [&str; 10] = [
    "categorytree",
    "gallery",
    "graph",
    "imagemap",
    "inputbox",
    "math",
    "score",
    "section",
    "templatedata",
    "timeline",
];

/// Tags that never have an end, and those that need none.
const WITHOUT_END: [&str; 6] = ["br", "wbr", "hr", "meta", "link", "img"];
const MAY_STAY_OPEN: [&str; 6] = ["li", "dt", "dd", "th", "td", "tr"];

fn among(name: &str, tags: &[&str]) -> bool {
    tags.iter().any(|tag| tag.eq_ignore_ascii_case(name))
}

pub(super) fn may_stay_open(name: &str) -> bool {
    among(name, &MAY_STAY_OPEN) || among(name, &WITHOUT_END)
}

/// Where one is within an opening tag.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// Its name, of which there may be nothing yet.
    Name { begun: bool },
    /// White space, after which an attribute may come.
    Between,
    /// An attribute's name, and white space after it.
    Attribute { spaced: bool },
    /// After `=`.
    Equals,
    /// A value without quotes.
    Value,
    /// A value in quotes, which began at `reset`; `ended` behind its second quote.
    Quoted { quote: u8, reset: usize, ended: bool },
}

impl Part {
    fn may_end(self) -> bool {
        !matches!(self, Part::Name { begun: false } | Part::Quoted { ended: false, .. })
    }
}

impl Reader<'_> {
    /// `<`.
    pub(super) fn tag(&mut self) {
        let start = self.at;
        self.at += 1;
        if self.try_tag().is_err() {
            self.at = start;
            self.take(1);
        }
    }

    /// `</` where no tag is open: `</br>` is a tag of its own.
    pub(super) fn stray_closing_tag(&mut self) {
        let start = self.at;
        self.at += 2;
        let rest = self.page.get(self.at..).unwrap_or_default();
        let end = rest.char_indices().take(8).find(|(_, character)| ends_name(*character)).map(|(at, _)| at);
        let alone = end.is_some_and(|end| among(&rest[..end], &WITHOUT_END));
        if !alone || self.try_tag().is_err() {
            self.at = start;
            self.take(2);
        }
    }

    fn try_tag(&mut self) -> Tried {
        let name = self.at;
        // Most of what is no tag is seen at once.
        let first = self.byte(0);
        if is_mark(first) || (first < 0x80 && is_space(char::from(first))) {
            return Err(Failed(TAG_OPEN));
        }
        self.push_unless_failed(TAG_OPEN)?;
        let first = self.nodes.len();
        let mut part = Part::Name { begun: false };
        loop {
            let (this, next) = (self.byte(0), self.byte(1));
            if !self.step() {
                return self.fail();
            }
            match this {
                0 => self.attribute_breaks(&mut part)?,
                b'>' if part.may_end() => break,
                b'/' if next == b'>' && part.may_end() => {
                    self.attributes_end(part);
                    self.at += 2;
                    self.pop();
                    self.cut(first);
                    self.leaf(Kind::Tag { from: name as u32, to: self.name_ends(name) as u32 });
                    return Ok(());
                }
                _ => self.within_tag(&mut part, this)?,
            }
        }
        self.attributes_end(part);
        self.at += 1;
        self.cut(first);
        self.closed = first;
        let range = (name as u32, self.name_ends(name) as u32);
        let tag = self.slice(range);
        if among(tag, &WITHOUT_END) {
            self.pop();
            self.leaf(Kind::Tag { from: range.0, to: range.1 });
            return Ok(());
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.inside = TAG_BODY;
            frame.name = range;
        }
        if !self.may_close_tag(tag) && !among(tag, &MAY_STAY_OPEN) {
            return self.fail();
        }
        if among(tag, &LITERAL) {
            self.literal(tag)?;
            let hidden = among(tag, &HIDDEN);
            if hidden {
                self.cut(first);
            }
            let (from, to) = range;
            self.wrap(
                first,
                match hidden {
                    true => Kind::Hidden { from: from - 1, to: self.at as u32 },
                    false => Kind::Tag { from, to },
                },
            );
            return Ok(());
        }
        let frame: Frame = self.read_on()?;
        let kind = match tag {
            "ref" | "table" => Kind::Removed,
            _ => Kind::Tag { from: range.0, to: range.1 },
        };
        if frame.inside & STAYED_OPEN != 0 {
            // What follows the tag is beside it, not inside.
            self.nodes.insert(first, super::markup::Node::Open { kind, inner: 0 });
            self.closed = self.nodes.len();
        } else {
            self.wrap(first, kind);
        }
        Ok(())
    }

    fn name_ends(&self, name: usize) -> usize {
        let rest = self.page.get(name..).unwrap_or_default();
        name + rest.find(ends_name).unwrap_or(rest.len())
    }

    /// One character of an opening tag.
    fn within_tag(&mut self, part: &mut Part, this: u8) -> Tried {
        let space = match this {
            0..0x80 => is_space(char::from(this)),
            _ => self.page.get(self.at..).and_then(|rest| rest.chars().next()).is_some_and(is_space),
        };
        let escaped = self.byte(-1) == b'\\' && self.byte(-2) != b'\\';
        match *part {
            Part::Name { begun } => {
                if is_mark(this) || (space && !begun) {
                    return self.fail();
                }
                *part = if space { Part::Between } else { Part::Name { begun: true } };
            }
            Part::Between if space => {}
            Part::Between => {
                *part = Part::Attribute { spaced: false };
                self.push(TAG_ATTRIBUTE);
            }
            Part::Attribute { .. } if space => *part = Part::Attribute { spaced: true },
            Part::Attribute { .. } if this == b'=' => {
                *part = Part::Equals;
                self.at += 1;
                return Ok(());
            }
            Part::Attribute { spaced: true } => {
                self.pop();
                *part = Part::Attribute { spaced: false };
                self.push(TAG_ATTRIBUTE);
            }
            Part::Attribute { spaced: false } => {}
            Part::Equals if space => {}
            Part::Equals if matches!(this, b'"' | b'\'') && !escaped => {
                if self.push_unless_failed(self.inside()).is_ok() {
                    *part = Part::Quoted { quote: this, reset: self.at, ended: false };
                    self.at += 1;
                } else {
                    // As a value in quotes it was no good: the quote is a character like any other.
                    *part = Part::Value;
                }
                return Ok(());
            }
            Part::Equals => *part = Part::Value,
            Part::Value if space => {
                self.pop();
                *part = Part::Between;
            }
            Part::Value => {}
            Part::Quoted { ended: true, .. } if space => {
                self.pop();
                self.pop();
                *part = Part::Between;
            }
            Part::Quoted { ended: true, reset, .. } => {
                self.unquote(part, reset);
                return Ok(());
            }
            Part::Quoted { quote, reset, .. } if this == quote && !escaped => {
                *part = Part::Quoted { quote, reset, ended: true };
                self.at += 1;
                return Ok(());
            }
            Part::Quoted { .. } => {}
        }
        let next = self.byte(1);
        if !space && self.may_go_deeper() && !matches!(part, Part::Name { .. }) {
            match this {
                b'{' if next == b'{' => return self.braces(),
                b'[' if next == b'[' => {
                    self.link();
                    return Ok(());
                }
                b'<' => {
                    self.tag();
                    return Ok(());
                }
                _ => {}
            }
        }
        self.at += width(this);
        Ok(())
    }

    /// The page or the line ends within an attribute: a quote that was not closed is no quote.
    fn attribute_breaks(&mut self, part: &mut Part) -> Tried {
        if self.inside() & TAG_ATTRIBUTE != 0 {
            if let Part::Quoted { reset, .. } = *part {
                self.unquote(part, reset);
                return Ok(());
            }
            self.forget();
        }
        self.fail()
    }

    fn unquote(&mut self, part: &mut Part, reset: usize) {
        *part = Part::Value;
        self.remember_failure();
        self.forget();
        self.at = reset;
    }

    fn attributes_end(&mut self, part: Part) {
        if matches!(part, Part::Quoted { .. }) {
            self.pop();
        }
        if !matches!(part, Part::Name { .. } | Part::Between) {
            self.pop();
        }
    }

    /// The contents of `<nowiki>` and others: entities are read, nothing else is.
    fn literal(&mut self, tag: &str) -> Tried {
        loop {
            if !self.step() {
                return self.fail();
            }
            match self.byte(0) {
                0 => return self.fail(),
                b'<' if self.byte(1) == b'/' => {
                    let rest = &self.text[self.at + 2..];
                    let longest = rest.len().min(tag.len() + 64);
                    let end = rest[..longest].iter().position(|byte| matches!(byte, b'>' | b'\n'));
                    let close = end.filter(|end| rest[*end] == b'>');
                    let name = close.and_then(|end| self.page.get(self.at + 2..self.at + 2 + end));
                    if let (Some(end), Some(name)) = (close, name)
                        && same_name(name, tag)
                    {
                        self.at += 2 + end + 1;
                        self.pop();
                        return Ok(());
                    }
                    self.take(2);
                }
                b'&' => self.entity(),
                _ => {
                    let rest = &self.text[self.at + 1..];
                    let plain = memchr::memchr3(b'<', b'&', 0, rest).unwrap_or(rest.len());
                    self.take(1 + plain);
                }
            }
        }
    }

    /// `>` of a closing tag. The frame of the tag itself is left to whoever asked for it.
    pub(super) fn tag_closes(&mut self) -> Tried {
        let end = self.at;
        let frame = self.frames.last().map_or(self.nodes.len(), |frame| frame.nodes);
        let text = self.nodes[frame..].iter().all(|node| matches!(node, super::markup::Node::Text { .. }));
        let from = match self.nodes.get(frame) {
            Some(super::markup::Node::Text { from, .. }) if text => *from,
            _ => end as u32,
        };
        self.forget();
        let closing = self.slice((from, end as u32));
        let name = self.frames.last().map_or((0, 0), |frame| frame.name);
        if closing.is_empty() || !same_name(closing, self.slice(name)) {
            return self.fail();
        }
        self.at += 1;
        Ok(())
    }

    /// Attributes up to the end of a line, or to the `|` of a cell.
    fn table_style(&mut self, end: u8) -> Tried {
        let mut part = Part::Between;
        loop {
            if !self.step() {
                return self.fail();
            }
            let this = self.byte(0);
            if this == end && part.may_end() {
                self.attributes_end(part);
                self.forget();
                self.at += 1;
                return Ok(());
            }
            if this == 0 || this == end {
                self.attribute_breaks(&mut part)?;
            } else {
                self.within_tag(&mut part, this)?;
            }
        }
    }

    /// `{|` at the beginning of a line.
    pub(super) fn table(&mut self) {
        let (start, first, frames) = (self.at, self.nodes.len(), self.frames.len());
        self.at += 2;
        let mut tried = Err(Failed(TABLE_OPEN));
        if self.may_close(Closing::Table) {
            tried = self.push_unless_failed(TABLE_OPEN).and_then(|()| self.table_style(b'\n'));
            if tried.is_ok() {
                tried = self.try_inside(TABLE_OPEN).map(|_| ());
            }
        }
        if tried.is_ok() {
            return self.wrap(first, Kind::Removed);
        }
        while self.frames.len() > frames {
            self.remember_failure();
            self.forget();
        }
        self.at = start;
        self.take(1);
    }

    /// A mark that a table may give a meaning; true if it closed the frame.
    pub(super) fn mark_in_table(&mut self, this: u8, next: u8, inside: Inside) -> Tried<bool> {
        let in_cell = inside & TABLE_CELL != 0;
        let mut cell = None;
        match this {
            b'|' if next == b'|' && inside & CELL_LINE != 0 => cell = Some((2, CELL_LINE)),
            b'|' if next == b'|' && inside & HEADER_LINE != 0 => cell = Some((2, HEADER_LINE)),
            b'!' if next == b'!' && inside & HEADER_LINE != 0 => cell = Some((2, HEADER_LINE)),
            b'|' if inside & CELL_STYLE != 0 => return Ok(true),
            b'\n' if inside & CELL_LINES != 0 => {
                self.set_inside(inside & !CELL_LINES);
                self.take(1);
                return Ok(false);
            }
            b'|' | b'!' if self.leads_its_line() => match (this, next) {
                (b'|', b'}' | b'-') if in_cell => {}
                (b'|', b'}') => {
                    if inside & TABLE_ROW == 0 {
                        self.at += 2;
                    }
                    return Ok(true);
                }
                (b'|', b'-') if inside & TABLE_ROW != 0 => return Ok(true),
                (b'|', b'-') => {
                    self.row()?;
                    return Ok(false);
                }
                (b'|', _) => cell = Some((1, CELL_LINE)),
                _ => cell = Some((1, HEADER_LINE)),
            },
            _ => {
                self.take(1);
                return Ok(false);
            }
        }
        if in_cell {
            // The cell ends before its successor, and no `|` ended its attributes.
            self.set_inside(inside & !CELL_STYLE);
            return Ok(true);
        }
        if let Some((length, line)) = cell {
            self.cell(length, line)?;
        }
        Ok(false)
    }

    fn row(&mut self) -> Tried {
        if !self.may_go_deeper() {
            self.take(2);
            return Ok(());
        }
        let first = self.nodes.len();
        self.at += 2;
        self.push_unless_failed(TABLE_OPEN | TABLE_ROW)?;
        self.table_style(b'\n')?;
        self.try_inside(TABLE_OPEN | TABLE_ROW)?;
        self.wrap(first, CELL_OR_ROW);
        Ok(())
    }

    fn cell(&mut self, mark: usize, line: Inside) -> Tried {
        if !self.may_go_deeper() {
            self.take(mark);
            return Ok(());
        }
        let first = self.nodes.len();
        let inside = self.inside();
        self.at += mark;
        let start = self.at;
        let mut frame = self.try_inside(TABLE_OPEN | TABLE_CELL | line | CELL_STYLE)?;
        if frame.inside & CELL_STYLE != 0 {
            self.cut(first);
            self.at = start;
            self.push_unless_failed(TABLE_OPEN | TABLE_CELL | line)?;
            self.table_style(b'|')?;
            frame = self.try_inside(TABLE_OPEN | TABLE_CELL | line)?;
        }
        self.wrap(first, CELL_OR_ROW);
        self.set_inside(inside | (frame.inside & (CELL_LINE | HEADER_LINE)));
        Ok(())
    }
}

const CELL_OR_ROW: Kind = Kind::Tag { from: 0, to: 0 };

fn ends_name(character: char) -> bool {
    is_space(character) || (character.is_ascii() && is_mark(character as u8))
}

/// Names of tags are alike whatever their case, and white space after them does not count.
fn same_name(closing: &str, name: &str) -> bool {
    let closing = closing.trim_end_matches(is_space);
    closing.eq_ignore_ascii_case(name) || (!name.is_ascii() && closing.to_lowercase() == name.to_lowercase())
}
