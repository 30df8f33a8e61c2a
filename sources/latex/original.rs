//! LaTeX as the original cleaned it: what its regular expressions match, found by scanning.
//!
//! Python's `.` stops at a line feed alone, `$` stands before one, and a lazy group ends where the
//! rest of its pattern first fits. Each scan below is linear, where the original's patterns try
//! again from every position.

use std::collections::{HashMap, HashSet};

use memchr::{memchr, memmem, memrchr};

/// What expanding may cost, in bytes looked at: for each byte of the submission, and beside it. A
/// thousand macros that are all used come through; ten thousand in a long text do not.
const COST: usize = 1000;
const COST_AT_LEAST: usize = 1 << 28;

/// Macros without arguments by name, in the order in which Python's dictionary has them: of two
/// with one name the place is the first's and the value the last's.
#[derive(Default)]
pub(crate) struct Macros {
    order: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Macros {
    /// Adds those of a file, which must begin and end in one line, at whose end their value ends.
    pub fn collect(&mut self, text: &str) {
        self.of_newcommand(text);
        self.of_def(text);
    }

    /// `\newcommand{\name}{value}` or `\newcommand*{\name}{value}`, then the line's end.
    fn of_newcommand(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut line = Line::default();
        let mut at = 0;
        while let Some(found) = memmem::find(&bytes[at..], b"\\newcommand") {
            at += found + b"\\newcommand".len();
            let brace = at + usize::from(bytes.get(at) == Some(&b'*'));
            if !bytes[brace..].starts_with(b"{\\") {
                continue;
            }
            let name = brace + 1;
            let end = name + 1 + run(&bytes[name + 1..]);
            if end == name + 1 || !bytes[end..].starts_with(b"}{") {
                continue;
            }
            let Some(value_end) = line.value_end(bytes, end + 2) else { continue };
            self.set(&text[name..end], &text[end + 2..value_end]);
            at = value_end + 1;
        }
    }

    /// `\def\name{value}`, with white space around the name, then the line's end.
    fn of_def(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut line = Line::default();
        let mut at = 0;
        while let Some(found) = memmem::find(&bytes[at..], b"\\def") {
            at += found + b"\\def".len();
            let name = at + white_space(&text[at..]);
            if bytes.get(name) != Some(&b'\\') {
                continue;
            }
            let end = name + 1 + run(&bytes[name + 1..]);
            let brace = end + white_space(&text[end..]);
            if end == name + 1 || bytes.get(brace) != Some(&b'{') {
                continue;
            }
            let Some(value_end) = line.value_end(bytes, brace + 1) else { continue };
            self.set(&text[name..end], &text[brace + 1..value_end]);
            at = value_end + 1;
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        match self.places.get(name) {
            Some(place) => self.order[*place].1 = value.to_owned(),
            None => {
                self.places.insert(name.to_owned(), self.order.len());
                self.order.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// What Python said of the first value that it could not write into a text. Values went through
    /// its `unicode-escape`, and `re.sub` knows no escape for a character beyond ASCII.
    pub fn fault(&self) -> Option<String> {
        self.order.iter().find_map(|(_, value)| bad_escape(value))
    }

    /// Puts the values in place of the names: one macro after the other, in the order in which they
    /// came, so that values are expanded by macros that come later. The character after a name is
    /// part of a match, so that of `\a\a\a` the second stays. Nothing if that takes too long or
    /// becomes too long.
    pub fn expand(&self, text: String, cost: &mut Cost) -> Option<String> {
        let mut text = text;
        let mut present = Present::of(&text);
        for (name, value) in &self.order {
            if !present.has(&name.as_bytes()[1..]) {
                continue;
            }
            cost.pay(text.len())?;
            text = replace(text, name, value, &mut present, cost)?;
        }
        Some(text)
    }
}

/// What expanding one submission may still cost.
pub(crate) struct Cost {
    left: usize,
    longest: usize,
}

impl Cost {
    /// For a submission of so many bytes, of which none may become longer than `longest`.
    pub fn of(bytes: usize, longest: usize) -> Cost {
        Cost { left: bytes.saturating_mul(COST).saturating_add(COST_AT_LEAST), longest }
    }

    fn pay(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }
}

/// The line in which a value ends, remembered so that a long line is looked through once.
#[derive(Default)]
struct Line {
    end: usize,
}

impl Line {
    /// Where a value that starts here ends: at the brace that ends its line.
    fn value_end(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        if self.end < start {
            self.end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |found| start + found);
        }
        if self.end > start && bytes[self.end - 1] == b'}' { Some(self.end - 1) } else { None }
    }
}

/// Letters and digits at the start.
fn run(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()
}

/// Bytes of white space at the start, as Python's `\s` knows it.
fn white_space(text: &str) -> usize {
    text.find(|c: char| !(c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))).unwrap_or(text.len())
}

fn bad_escape(value: &str) -> Option<String> {
    let mut at = 0;
    for character in value.chars() {
        let letter = match character {
            '\\' | '\t' | '\n' | '\r' => {
                at += 2;
                continue;
            }
            ' '..='~' => {
                at += 1;
                continue;
            }
            '\0'..='\u{ff}' => 'x',
            '\u{100}'..='\u{ffff}' => 'u',
            _ => 'U',
        };
        return Some(format!("bad escape \\{letter} at position {at}"));
    }
    None
}

/// Which control sequences a text has, or had: by a hash of what follows their backslash.
struct Present(HashSet<u64>);

impl Present {
    fn of(text: &str) -> Present {
        let mut present = Present(HashSet::new());
        present.add(text.as_bytes());
        present
    }

    fn add(&mut self, bytes: &[u8]) {
        for at in memchr::memchr_iter(b'\\', bytes) {
            let after = &bytes[at + 1..];
            self.0.insert(hash([&after[..run(after)], b""]));
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0.contains(&hash([name, b""]))
    }
}

/// FNV-1a: quick on short names, and two that share a hash cost a look at the text, no more.
fn hash(parts: [&[u8]; 2]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.into_iter().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash
}

fn replace(text: String, name: &str, value: &str, present: &mut Present, cost: &mut Cost) -> Option<String> {
    let bytes = text.as_bytes();
    let finder = memmem::Finder::new(name);
    let leading = run(value.as_bytes());
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = finder.find(&bytes[at..]) {
        let (start, end) = (at + found, at + found + name.len());
        at = end;
        let Some(next) = bytes.get(end) else { break };
        if next.is_ascii_alphanumeric() {
            continue;
        }
        if out.is_empty() {
            out.reserve(text.len() + value.len());
            present.add(value.as_bytes());
        }
        out.push_str(&text[copied..start]);
        if leading > 0 {
            // `\x\name` becomes `\xvalue`: a new control sequence.
            let before = out.bytes().rev().take_while(u8::is_ascii_alphanumeric).count();
            let before = &out.as_bytes()[out.len() - before..];
            if out.len() > before.len() && out.as_bytes()[out.len() - before.len() - 1] == b'\\' {
                present.0.insert(hash([before, &value.as_bytes()[..leading]]));
            }
        }
        out.push_str(value);
        cost.pay(value.len())?;
        if out.len() > cost.longest {
            return None;
        }
        copied = end;
        at = end + 1;
    }
    if copied == 0 {
        return Some(text);
    }
    out.push_str(&text[copied..]);
    if out.len() > cost.longest { None } else { Some(out) }
}

/// Where the first header of a file begins: all before it goes, and a file without one is empty.
///
/// A header is `\section{…}` or its like, with a star and an optional argument and no space between;
/// its brace may close anywhere in the file. `\paragraph{…}` is one only right before
/// `\subparagraph{…}`: the original's pattern lacks a `|` between the two.
pub(crate) fn header(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut closing = None;
    let mut paragraphs = None;
    for at in memchr::memchr_iter(b'\\', bytes) {
        let after = &bytes[at + 1..];
        let length = run(after);
        let name = &after[..length];
        let paragraph = name == b"paragraph";
        if !paragraph && !matches!(name, b"chapter" | b"part" | b"section" | b"subsection" | b"subsubsection") {
            continue;
        }
        let mut open = at + 1 + length;
        open += usize::from(bytes.get(open) == Some(&b'*'));
        let closing = closing.get_or_insert_with(|| Closing::before(bytes, memrchr(b'}', bytes)));
        let closing = match paragraph {
            false => closing,
            true => paragraphs.get_or_insert_with(|| Closing::before(bytes, last_subparagraph(bytes, closing))),
        };
        if closing.closes(bytes, open) {
            return Some(at);
        }
    }
    None
}

/// The last places where an argument can close: a brace, and the end of an optional argument whose
/// brace closes too.
struct Closing {
    brace: Option<usize>,
    bracket: Option<usize>,
}

impl Closing {
    fn before(bytes: &[u8], brace: Option<usize>) -> Closing {
        Closing { brace, bracket: brace.and_then(|brace| memmem::rfind(&bytes[..brace], b"]{")) }
    }

    fn closes(&self, bytes: &[u8], open: usize) -> bool {
        match bytes.get(open) {
            Some(b'{') => self.brace.is_some_and(|brace| brace > open),
            Some(b'[') => self.bracket.is_some_and(|bracket| bracket > open),
            _ => false,
        }
    }
}

/// The last brace that `\subparagraph` with its arguments follows.
fn last_subparagraph(bytes: &[u8], closing: &Closing) -> Option<usize> {
    const NAME: &[u8] = b"}\\subparagraph";
    let mut end = bytes.len();
    while let Some(at) = memmem::rfind(&bytes[..end], NAME) {
        let open = at + NAME.len();
        if closing.closes(bytes, open + usize::from(bytes.get(open) == Some(&b'*'))) {
            return Some(at);
        }
        end = at + NAME.len() - 1;
    }
    None
}

/// Drops lines that begin with `%`, and in other lines the first `%` behind which something stands,
/// with the rest of the line and the character before it, unless that is a backslash.
pub(crate) fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with('%') {
            continue;
        }
        let content = line.strip_suffix('\n').unwrap_or(line);
        let bytes = content.as_bytes();
        let comment =
            memchr::memchr_iter(b'%', bytes).find(|at| *at > 0 && bytes[at - 1] != b'\\' && at + 1 < bytes.len());
        match comment {
            None => out.push_str(line),
            Some(at) => {
                let eaten = content[..at].chars().next_back().map_or(0, char::len_utf8);
                out.push_str(&content[..at - eaten]);
                out.push_str(&line[content.len()..]);
            }
        }
    }
    out
}

/// Cuts from the first `\appendix` or bibliography on. `\appendixname` is one, too.
pub(crate) fn cut_end(text: &mut String) {
    let bytes = text.as_bytes();
    let last_brace = memrchr(b'}', bytes).unwrap_or(0);
    let end = memchr::memchr_iter(b'\\', bytes).find(|at| {
        let after = &bytes[at + 1..];
        const CUTS: [&[u8]; 4] = [b"appendix", b"begin{references}", b"begin{REFERENCES}", b"begin{thebibliography}"];
        CUTS.iter().any(|cut| after.starts_with(cut))
            || after.starts_with(b"bibliography{") && last_brace > *at + b"bibliography{".len()
    });
    if let Some(end) = end {
        text.truncate(end);
    }
}
