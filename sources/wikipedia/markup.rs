//! Wikitext becomes a tree of text and markup, as mwparserfromhell sees it.
//!
//! Wikitext has no grammar: `[[`, `{{`, `<b>` or `''` are markup if what they open is closed in a way
//! that suits them, and text otherwise. So each opening mark is tried: its contents are read in a
//! frame of their own, and if that fails the frame's nodes go and the mark is text. A try that has
//! failed is not repeated. The rules of what may stand where, and the depth of a hundred frames, are
//! facts about mwparserfromhell 0.6, found by comparing with it.
//!
//! That a page full of unclosed marks takes no longer than its length allows is ours: a page that
//! takes many steps is read again with a shortcut, and given up if it takes too many then. The
//! shortcut is that a mark whose closing mark does not occur any more is text at once. It is not
//! taken at first, because which tries have failed before may decide how bold and italics pair.

use std::collections::{HashMap, HashSet};

use super::inside::*;

/// Frames within each other, at most.
const DEEPEST: usize = 100;

/// Steps that every page may take, and those for each of its bytes: without the shortcut and with
/// it. Articles take one step for each ten bytes.
const STEPS: u64 = 1 << 20;
const STEPS_PER_BYTE: [u64; 2] = [2, 24];

/// A piece of the tree. What is inside an open node are the `inner` nodes after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Node {
    /// A stretch of the page.
    Text { from: u32, to: u32 },
    /// A character that was spelled as an entity.
    Character(char),
    /// Something with contents.
    Open { kind: Kind, inner: u32 },
}

/// What has contents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A comment, of which nothing is kept, or markup without any contents.
    Nothing,
    /// A template, whose contents are not kept: it began and ended here.
    Template {
        from: u32,
        to: u32,
    },
    /// `{{{name|default}}}`, of which the default is kept.
    Argument,
    /// `[[title|text]]`: the text is kept, or else the title.
    Link {
        from: u32,
        to: u32,
    },
    /// A web address in brackets, of which the title is kept, or without, which is kept itself.
    Address,
    Heading {
        level: u8,
    },
    /// A tag, also bold, italics, a table and its parts; its name is a stretch of the page.
    Tag {
        from: u32,
        to: u32,
    },
    /// A tag whose contents are not shown, such as `<gallery>`: it began and ended here.
    Hidden {
        from: u32,
        to: u32,
    },
    /// What is removed as a whole: `<ref>…</ref>`, `{| … |}`, `<table>…</table>`.
    Removed,
    /// A mark at the beginning of a list's line: `*`, `#`, `;` or `:`.
    Item(u8),
}

/// A tree, in the order of the page.
pub(super) struct Tree {
    pub nodes: Vec<Node>,
}

/// The page takes more steps than are reasonable for its length.
#[derive(Debug, PartialEq)]
pub(super) struct Tangled;

/// A try has failed: what it was inside of.
pub(super) struct Failed(pub Inside);

pub(super) type Tried<T = ()> = Result<T, Failed>;

#[derive(Default)]
pub(super) struct Frame {
    pub inside: Inside,
    /// Where it began and as what, to know it again.
    began: (u32, Inside),
    /// Where its nodes begin.
    pub nodes: usize,
    /// Of a tag: where its name is.
    pub name: (u32, u32),
    /// Of an argument or a link: where its second part's nodes begin.
    pub second: Option<usize>,
    /// Of a heading: where it would end if nothing better came.
    pub end: Option<HeadingEnd>,
}

#[derive(Clone, Copy)]
pub(super) struct HeadingEnd {
    /// Where its `=` begin, and how many they are.
    pub from: usize,
    pub length: usize,
    /// The nodes before them.
    pub nodes: usize,
}

pub(super) struct Reader<'t> {
    pub page: &'t str,
    pub text: &'t [u8],
    pub at: usize,
    pub nodes: Vec<Node>,
    pub frames: Vec<Frame>,
    failed: HashSet<(u32, Inside)>,
    /// Nodes below this one are closed: no text is added to them.
    pub closed: usize,
    pub in_heading: bool,
    steps: u64,
    most_steps: u64,
    /// Where a comment ends for the last time.
    pub last_comment: usize,
    /// For the shortcut.
    last: Option<Last>,
}

/// Where closing marks occur for the last time.
struct Last {
    braces: usize,
    brackets: usize,
    bracket: usize,
    quotes: usize,
    table: usize,
    tags: HashMap<Vec<u8>, usize>,
}

impl Last {
    fn of(text: &[u8]) -> Last {
        let last = |mark: &[u8]| memchr::memmem::rfind(text, mark).map_or(0, |at| at + 1);
        let mut tags = HashMap::new();
        for at in memchr::memmem::find_iter(text, b"</") {
            let name = &text[at + 2..];
            let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric()).take(32).count();
            tags.insert(name[..length].to_ascii_lowercase(), at + 1);
        }
        Last {
            braces: last(b"}}"),
            brackets: last(b"]]"),
            bracket: last(b"]"),
            quotes: last(b"''"),
            table: last(b"|}"),
            tags,
        }
    }
}

/// What may close a construct.
#[derive(Clone, Copy)]
pub(super) enum Closing {
    Braces,
    Brackets,
    Bracket,
    Quotes,
    Table,
}

/// Bytes that may be markup. All others are text wherever they stand.
const MARKS: [bool; 256] = {
    let mut marks = [false; 256];
    let all = b"{}[]<>|=&'#*;:/-!\n\0";
    let mut at = 0;
    while at < all.len() {
        marks[all[at] as usize] = true;
        at += 1;
    }
    marks
};

pub(super) fn is_mark(byte: u8) -> bool {
    MARKS[byte as usize]
}

/// Reads a page that has no NUL in it.
pub(super) fn read(page: &str) -> Result<Tree, Tangled> {
    let without = Reader::new(page, STEPS_PER_BYTE[0], None).read();
    without.or_else(|Tangled| Reader::new(page, STEPS_PER_BYTE[1], Some(Last::of(page.as_bytes()))).read())
}

impl<'t> Reader<'t> {
    fn new(page: &'t str, steps: u64, last: Option<Last>) -> Reader<'t> {
        Reader {
            page,
            text: page.as_bytes(),
            at: 0,
            nodes: Vec::with_capacity(page.len() / 24),
            frames: Vec::new(),
            failed: HashSet::new(),
            closed: 0,
            in_heading: false,
            steps: 0,
            most_steps: (page.len() as u64).saturating_mul(steps).saturating_add(STEPS),
            last_comment: memchr::memmem::rfind(page.as_bytes(), b"-->").unwrap_or(0),
            last,
        }
    }

    fn read(mut self) -> Result<Tree, Tangled> {
        match self.try_inside(0) {
            Ok(_) => Ok(Tree { nodes: self.nodes }),
            Err(Failed(_)) => Err(Tangled),
        }
    }

    /// The byte at a distance from here; NUL before the beginning and after the end.
    pub fn byte(&self, distance: isize) -> u8 {
        self.at.checked_add_signed(distance).and_then(|at| self.text.get(at)).copied().unwrap_or(0)
    }

    pub fn inside(&self) -> Inside {
        self.frames.last().map_or(0, |frame| frame.inside)
    }

    pub fn set_inside(&mut self, inside: Inside) {
        if let Some(frame) = self.frames.last_mut() {
            frame.inside = inside;
        }
    }

    pub fn may_go_deeper(&self) -> bool {
        self.frames.len() < DEEPEST
    }

    /// Counts a step; false when there were too many.
    pub fn step(&mut self) -> bool {
        self.steps += 1;
        self.steps <= self.most_steps
    }

    /// Whether a closing mark may occur from here on.
    pub fn may_close(&self, closing: Closing) -> bool {
        let Some(known) = &self.last else { return true };
        let last = match closing {
            Closing::Braces => known.braces,
            Closing::Brackets => known.brackets,
            Closing::Bracket => known.bracket,
            Closing::Quotes => known.quotes,
            Closing::Table => known.table,
        };
        last > self.at
    }

    /// Whether `</name` may occur from here on.
    pub fn may_close_tag(&self, name: &str) -> bool {
        let Some(known) = &self.last else { return true };
        let plain = name.bytes().take_while(u8::is_ascii_alphanumeric).take(32).count();
        let key = name.as_bytes()[..plain].to_ascii_lowercase();
        !name.is_ascii() || known.tags.get(&key).is_some_and(|last| *last > self.at)
    }

    pub fn push(&mut self, inside: Inside) {
        let frame = Frame { inside, began: (self.at as u32, inside), nodes: self.nodes.len(), ..Frame::default() };
        self.closed = self.nodes.len();
        self.frames.push(frame);
    }

    /// Begins a frame, unless the same has failed before.
    pub fn push_unless_failed(&mut self, inside: Inside) -> Tried {
        if self.steps > self.most_steps || (!self.failed.is_empty() && self.failed.contains(&(self.at as u32, inside)))
        {
            return Err(Failed(inside));
        }
        self.push(inside);
        Ok(())
    }

    /// Ends a frame whose nodes stay.
    pub fn pop(&mut self) -> Frame {
        self.closed = self.nodes.len();
        self.frames.pop().unwrap_or_default()
    }

    /// Ends a frame and forgets its nodes.
    pub fn forget(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.cut(frame.nodes);
        }
    }

    pub fn remember_failure(&mut self) {
        if let Some(frame) = self.frames.last() {
            self.failed.insert(frame.began);
        }
    }

    /// The frame cannot be what it was taken for.
    pub fn fail<T>(&mut self) -> Tried<T> {
        let inside = self.inside();
        self.remember_failure();
        self.forget();
        Err(Failed(inside))
    }

    /// Forgets nodes from one on.
    pub fn cut(&mut self, from: usize) {
        self.nodes.truncate(from);
        self.closed = self.closed.min(from);
    }

    /// A stretch of the page is text.
    pub fn text(&mut self, from: usize, to: usize) {
        if from >= to {
            return;
        }
        if self.nodes.len() > self.closed
            && let Some(Node::Text { to: end, .. }) = self.nodes.last_mut()
            && *end == from as u32
        {
            *end = to as u32;
            return;
        }
        self.nodes.push(Node::Text { from: from as u32, to: to as u32 });
    }

    /// The next bytes are text.
    pub fn take(&mut self, bytes: usize) {
        self.text(self.at, self.at + bytes);
        self.at += bytes;
    }

    /// Everything from one node on is inside `kind`.
    pub fn wrap(&mut self, from: usize, kind: Kind) {
        let inner = (self.nodes.len() - from) as u32;
        self.nodes.insert(from, Node::Open { kind, inner });
        self.closed = self.nodes.len();
    }

    /// Markup without contents.
    pub fn leaf(&mut self, kind: Kind) {
        self.nodes.push(Node::Open { kind, inner: 0 });
        self.closed = self.nodes.len();
    }

    /// Reads on in a new frame until it is closed.
    pub fn try_inside(&mut self, inside: Inside) -> Tried<Frame> {
        self.push_unless_failed(inside)?;
        self.read_on()
    }

    /// Reads until the frame is closed, which then is gone; `at` is behind what closed it.
    pub fn read_on(&mut self) -> Tried<Frame> {
        loop {
            if !self.step() {
                return self.fail();
            }
            let this = self.byte(0);
            let inside = self.inside();
            if inside & NARROW != 0 && !self.suits(inside, this) {
                if inside & SECOND_FRAME != 0 {
                    self.forget();
                }
                return self.fail();
            }
            if !is_mark(this) {
                self.plain(inside);
                continue;
            }
            if this == 0 {
                self.end_of_page(inside)?;
                return Ok(self.pop());
            }
            if self.mark(this, inside)? {
                return Ok(self.pop());
            }
        }
    }

    /// Characters that are no marks.
    fn plain(&mut self, inside: Inside) {
        let rest = &self.text[self.at..];
        let inside = inside | self.inside();
        let one = inside & (TEMPLATE_NAME | NOTHING_NEXT | AFTER_LEFT_BRACE | AFTER_RIGHT_BRACE) != 0;
        let length =
            if one { width(rest[0]) } else { rest.iter().position(|byte| is_mark(*byte)).unwrap_or(rest.len()) };
        self.steps += length as u64 / 64;
        self.take(length);
    }

    /// A mark; true if it closed the frame.
    fn mark(&mut self, this: u8, inside: Inside) -> Tried<bool> {
        let next = self.byte(1);
        let last = self.byte(-1);
        let line_start = last == 0 || last == b'\n';
        match this {
            b'{' if next == b'{' => {
                if self.may_go_deeper() {
                    self.braces()?;
                } else {
                    self.take(1);
                }
            }
            b'|' if inside & TEMPLATE != 0 => self.template_separator()?,
            b'=' if inside & TEMPLATE_KEY != 0 => {
                if !self.in_heading && line_start && next == b'=' {
                    self.heading();
                } else {
                    self.pop();
                    self.set_inside((self.inside() ^ TEMPLATE_KEY) | TEMPLATE_VALUE);
                    self.at += 1;
                }
            }
            b'}' if next == b'}' && inside & TEMPLATE != 0 => {
                self.template_end()?;
                return Ok(true);
            }
            b'|' if inside & ARGUMENT_NAME != 0 => {
                let second = self.nodes.len();
                if let Some(frame) = self.frames.last_mut() {
                    frame.inside = (frame.inside ^ ARGUMENT_NAME) | ARGUMENT_DEFAULT;
                    frame.second = Some(second);
                }
                self.closed = second;
                self.at += 1;
            }
            b'}' if next == b'}' && inside & ARGUMENT != 0 => {
                if self.byte(2) == b'}' {
                    self.at += 3;
                    return Ok(true);
                }
                self.take(1);
            }
            b'[' if next == b'[' && self.may_go_deeper() => {
                if inside & NO_LINKS == 0 {
                    self.link();
                } else {
                    self.take(1);
                }
            }
            b'|' if inside & LINK_TITLE != 0 => self.link_separator(),
            b']' if next == b']' && inside & LINK != 0 => {
                self.at += 2;
                return Ok(true);
            }
            b'[' => self.address(true),
            b':' if !is_mark(last) => self.address(false),
            b']' if inside & ADDRESS_TITLE != 0 => {
                self.at += 1;
                return Ok(true);
            }
            b'=' if !self.in_heading && inside & TEMPLATE == 0 => {
                if line_start {
                    self.heading();
                } else {
                    self.take(1);
                }
            }
            b'=' if inside & HEADING != 0 => self.heading_may_end(),
            b'\n' if inside & HEADING != 0 => return self.heading_ends(),
            b'&' => self.entity(),
            b'<' if next == b'!' => {
                if self.byte(2) == b'-' && self.byte(3) == b'-' {
                    self.comment();
                } else {
                    self.take(1);
                }
            }
            b'<' if next == b'/' && self.byte(2) != 0 => {
                if inside & TAG_BODY != 0 {
                    self.push(TAG_CLOSE);
                    self.at += 2;
                } else {
                    self.stray_closing_tag();
                }
            }
            b'<' if inside & TAG_CLOSE == 0 => {
                if self.may_go_deeper() {
                    self.tag();
                } else {
                    self.take(1);
                }
            }
            b'>' if inside & TAG_CLOSE != 0 => {
                self.tag_closes()?;
                return Ok(true);
            }
            b'\'' if next == b'\'' => return self.quotes(),
            b'#' | b'*' | b';' | b':' if line_start => {
                while matches!(self.byte(0), b'#' | b'*' | b';' | b':') {
                    self.item();
                }
            }
            b'-' if line_start && self.text[self.at..].starts_with(b"----") => {
                while self.byte(0) == b'-' {
                    self.at += 1;
                }
                self.leaf(Kind::Nothing);
            }
            b'\n' | b':' if inside & TERM != 0 => {
                self.term_ends();
                if this == b'\n' {
                    self.set_inside(self.inside() & !CELL_LINES);
                }
            }
            b'{' if next == b'|' && self.leads_its_line() => {
                if self.may_go_deeper() {
                    self.table();
                } else {
                    self.take(1);
                }
            }
            _ if inside & TABLE_OPEN != 0 => return self.mark_in_table(this, next, inside),
            _ => self.take(1),
        }
        Ok(false)
    }

    /// Whether nothing but white space is before this on its line.
    pub fn leads_its_line(&self) -> bool {
        let before = self.page.get(..self.at).unwrap_or_default();
        before
            .chars()
            .rev()
            .find(|character| *character == '\n' || !is_space(*character))
            .is_none_or(|last| last == '\n')
    }

    /// The mark at the beginning of a list's line.
    pub fn item(&mut self) {
        if self.byte(0) == b';' {
            self.set_inside(self.inside() | TERM);
        }
        self.leaf(Kind::Item(self.byte(0)));
        self.at += 1;
    }

    /// `;term:` ends here, or at the end of its line.
    pub fn term_ends(&mut self) {
        self.set_inside(self.inside() ^ TERM);
        match self.byte(0) {
            b':' => self.item(),
            _ => self.take(1),
        }
    }

    fn end_of_page(&mut self, inside: Inside) -> Tried {
        if inside & HEADING != 0 && self.frames.last().is_some_and(|frame| frame.end.is_some()) {
            return self.heading_ends().map(|_| ());
        }
        if inside & TO_BE_CLOSED == 0 {
            return Ok(());
        }
        if inside & TAG_BODY != 0 {
            let name = self.frames.last().map_or((0, 0), |frame| frame.name);
            if super::tags::may_stay_open(self.slice(name)) {
                self.set_inside(inside | STAYED_OPEN);
                return Ok(());
            }
        } else {
            if inside & TABLE_CELL != 0 {
                self.forget();
            }
            if self.inside() & SECOND_FRAME != 0 {
                self.forget();
            }
        }
        self.fail()
    }

    pub fn slice(&self, (from, to): (u32, u32)) -> &'t str {
        self.page.get(from as usize..to as usize).unwrap_or_default()
    }

    /// Whether a character may stand here, and what follows from it.
    fn suits(&mut self, inside: Inside, this: u8) -> bool {
        if inside & NOTHING_NEXT != 0 {
            return false;
        }
        let mut also = 0;
        if inside & LINK_TITLE != 0 {
            match this {
                b']' | b'{' => also = NOTHING_NEXT,
                b'\n' | b'[' | b'}' | b'>' => return false,
                b'<' if self.byte(1) == b'!' => also = NOTHING_NEXT,
                b'<' => return false,
                _ => {}
            }
        } else if inside & ADDRESS_TITLE != 0 {
            return this != b'\n';
        } else if inside & TAG_CLOSE != 0 {
            return this != b'<';
        } else if inside & TEMPLATE_NAME != 0 {
            match this {
                b'{' => also = HAS_TEMPLATE | NOTHING_NEXT,
                b'}' => also = NOTHING_NEXT,
                b'<' if self.byte(1) == b'!' => also = NOTHING_NEXT,
                b'[' | b']' | b'<' | b'>' => return false,
                b'|' => {}
                _ => {
                    let space = self.space_here();
                    if inside & HAS_TEXT != 0 {
                        if inside & NO_MORE_TEXT != 0 {
                            return space;
                        }
                        if this == b'\n' {
                            also = NO_MORE_TEXT;
                        }
                    } else if !space {
                        also = HAS_TEXT;
                    }
                }
            }
        } else if inside & NO_EQUALS != 0 {
            return this != b'=';
        } else if inside & AFTER_LEFT_BRACE != 0 {
            if this == b'{' || (self.byte(-1) == b'{' && self.byte(-2) == b'{') {
                also = if inside & TEMPLATE != 0 { NO_EQUALS } else { NOTHING_NEXT };
            } else {
                self.set_inside(inside ^ AFTER_LEFT_BRACE);
            }
        } else if inside & AFTER_RIGHT_BRACE != 0 {
            if this == b'}' {
                also = NOTHING_NEXT;
            } else {
                self.set_inside(inside ^ AFTER_RIGHT_BRACE);
            }
        } else if this == b'{' {
            also = AFTER_LEFT_BRACE;
        } else if this == b'}' {
            also = AFTER_RIGHT_BRACE;
        }
        if also != 0 {
            self.set_inside(self.inside() | also);
        }
        true
    }

    fn space_here(&self) -> bool {
        match self.byte(0) {
            0 => false,
            byte if byte < 0x80 => is_space(char::from(byte)),
            _ => self.page.get(self.at..).and_then(|rest| rest.chars().next()).is_some_and(is_space),
        }
    }
}

/// Of a tag like `<li>` that stayed open to the end of the page.
pub(super) const STAYED_OPEN: Inside = 1 << 63;

/// White space as Python has it.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The bytes of a character, by its first.
pub(super) fn width(first: u8) -> usize {
    match first {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}
