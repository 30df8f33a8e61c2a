//! A paper's text from its main file on: what it inputs stands in its place, macros are expanded, and
//! what is not the paper's text goes.
//!
//! The text is walked through once, as TeX does, with a stack of what is being read: the main file,
//! files inside it, bodies of macros. Definitions hold from where they stand. What walking costs is
//! bounded: see [`Expander::pay`].

use std::collections::HashMap;

use memchr::{memchr, memmem};

use super::macros::{Macros, Meaning, argument, behind_star, control, filled, is_condition, optional};
use super::{blanks, ends_in_word, environment, group, is_verbatim, verb, word};

/// How deep macros may stand in macros: more is a circle.
const DEEPEST: u16 = 64;

/// How deep titles and abstracts may stand in each other: each takes room on the stack.
const DEEPEST_ASIDE: u32 = 4;

/// How deep files may input files.
const DEEPEST_FILE: usize = 32;

/// Bytes of the arguments of a command that goes.
const LONGEST: usize = 64 << 10;

/// Where a text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Where it begins.
    Start,
    /// At the title, then the abstract.
    Title,
    /// At the first header; without one, behind title and abstract.
    Section,
}

/// Bytes of the name of a file, with its folders.
pub(crate) const LONGEST_NAME: usize = 1 << 10;

/// What is asked of a paper's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub from: From,
    /// Appendices.
    pub appendix: bool,
    /// Drawings: `tikzpicture` and its like.
    pub drawings: bool,
    /// Macros expanded.
    pub expanded: bool,
}

/// Gives the text of a file that `\input` names, relative to a folder that `\import` names, without
/// comments; with a number by which to know it again.
pub(crate) type Inputs<'i> = dyn FnMut(&str, &str) -> Option<(usize, String)> + 'i;

/// Expands a paper. `bytes` are those of all its files.
pub(crate) fn paper(main: (usize, String), bytes: usize, wanted: Wanted, inputs: &mut Inputs<'_>) -> String {
    let has_document = memmem::find(main.1.as_bytes(), b"\\begin{document}").is_some();
    let mut expander = Expander {
        wanted,
        inputs,
        macros: Macros::default(),
        out: String::with_capacity(main.1.len()),
        joint: false,
        place: match wanted.from {
            From::Start => Place::Body,
            _ if has_document => Place::Preamble,
            _ => Place::Front,
        },
        front_end: None,
        title: None,
        summary: None,
        summary_from: None,
        muted: None,
        frames: Vec::new(),
        // Ours: of real papers none needs a tenth of it.
        left: bytes.saturating_mul(4).saturating_add(1 << 20),
        switches: HashMap::new(),
        conditions: Vec::new(),
        inside: 0,
    };
    let (number, text) = main;
    expander.frames.push(Frame { text, at: 0, file: Some(number), depth: 0, call: None });
    expander.run(0);
    expander.finish()
}

/// Where in a paper we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Preamble,
    /// Before the first header.
    Front,
    Body,
}

/// Something that is being read.
struct Frame {
    text: String,
    at: usize,
    file: Option<usize>,
    depth: u16,
    /// A macro whose arguments come next: its call ended the frame above.
    call: Option<String>,
}

impl Frame {
    /// TeX takes white space behind a control word for its end.
    fn skip_spaces(&mut self) {
        self.at += self.text.as_bytes()[self.at..].iter().take_while(|byte| **byte == b' ').count();
    }
}

enum Step {
    /// The frame is read.
    Done,
    Into(Frame),
    /// The frame is read, and its last macro wants arguments from the one below.
    Call(String),
    /// The document ends.
    Stop,
}

struct Expander<'i, 'f> {
    wanted: Wanted,
    inputs: &'i mut Inputs<'f>,
    macros: Macros,
    out: String,
    /// Whether what comes next stood elsewhere than what was written last.
    joint: bool,
    place: Place,
    /// Where in `out` title, authors and abstract end.
    front_end: Option<usize>,
    title: Option<String>,
    summary: Option<String>,
    /// Where in `out` an abstract began.
    summary_from: Option<usize>,
    /// The environment that goes, and how deep it stands in itself.
    muted: Option<(String, u32)>,
    frames: Vec<Frame>,
    left: usize,
    /// The switches of `\newif`, by name.
    switches: HashMap<String, bool>,
    /// The conditions that are open, and whether they were on a switch.
    conditions: Vec<bool>,
    /// How many titles and abstracts are being expanded, one in the other.
    inside: u32,
}

impl Expander<'_, '_> {
    /// Expanding a macro costs what was looked at and what was put in its place. When no more is
    /// left, the remaining macros stay as they were typed.
    fn pay(&mut self, bytes: usize) -> bool {
        self.left = self.left.saturating_sub(bytes + 16);
        self.left > 0
    }

    fn run(&mut self, base: usize) {
        while self.frames.len() > base {
            let Some(mut frame) = self.frames.pop() else { return };
            match self.walk(&mut frame) {
                Step::Done => {}
                Step::Into(next) => {
                    self.frames.push(frame);
                    self.frames.push(next);
                }
                Step::Call(name) => match self.frames[base..].last_mut() {
                    Some(below) => below.call = Some(name),
                    None => self.write(&format!("\\{name}")),
                },
                Step::Stop => self.frames.truncate(base),
            }
            self.joint = true;
        }
    }

    fn write(&mut self, text: &str) {
        if text.is_empty() || self.muted.is_some() || (self.place == Place::Preamble && self.summary_from.is_none()) {
            return;
        }
        if self.joint && text.as_bytes()[0].is_ascii_alphabetic() && ends_in_word(self.out.as_bytes()) {
            self.out.push(' ');
        }
        self.joint = false;
        self.out.push_str(text);
    }

    fn walk(&mut self, frame: &mut Frame) -> Step {
        if let Some(name) = frame.call.take() {
            let typed = format!("\\{name}");
            if let Some(step) = self.command(&name, &typed, frame) {
                return step;
            }
        }
        loop {
            let rest = &frame.text[frame.at..];
            let Some(found) = memchr(b'\\', rest.as_bytes()) else {
                self.write(rest);
                return Step::Done;
            };
            self.write(&rest[..found]);
            let start = frame.at + found;
            let Some((name, end)) = control(&frame.text, start) else {
                self.write("\\");
                return Step::Done;
            };
            frame.at = end;
            // Names are short, and the frame changes while they are looked at.
            let mut buffer = [0; 32];
            let name = match buffer.get_mut(..name.len()) {
                Some(place) => {
                    place.copy_from_slice(name.as_bytes());
                    &*place
                }
                None => &[],
            };
            let Ok(name) = std::str::from_utf8(name) else { continue };
            if name.is_empty() {
                self.write(&frame.text[start..end]);
                continue;
            }
            let mut typed = [b'\\'; 33];
            typed[1..=name.len()].copy_from_slice(name.as_bytes());
            let typed = std::str::from_utf8(&typed[..=name.len()]).unwrap_or_default();
            if let Some(step) = self.command(name, typed, frame) {
                return step;
            }
        }
    }

    /// One control sequence; `frame` stands behind it.
    fn command(&mut self, name: &str, typed: &str, frame: &mut Frame) -> Option<Step> {
        if self.wanted.expanded {
            match self.macros.get(name) {
                Some(Meaning::Macro { .. }) => return self.call(name, typed, frame),
                Some(Meaning::Itself(old)) => {
                    let old = old.clone();
                    return self.known(old.trim_start_matches('\\'), &old, frame);
                }
                None => {}
            }
        }
        self.known(name, typed, frame)
    }

    /// A call of an author's macro.
    fn call(&mut self, name: &str, typed: &str, frame: &mut Frame) -> Option<Step> {
        let Some(Meaning::Macro { arguments, default, body }) = self.macros.get(name) else { return None };
        let text = &frame.text;
        let begin = frame.at;
        if self.left == 0 || frame.depth >= DEEPEST {
            self.write(typed);
            return None;
        }
        let ended = begin + blanks(&text.as_bytes()[begin..]) == text.len();
        if *arguments > 0 && default.is_none() && ended && frame.file.is_none() {
            return Some(Step::Call(name.to_owned()));
        }
        let mut at = begin;
        // `\abs*{x}` of a paired delimiter is another macro.
        let starred = text[begin..].starts_with('*').then(|| self.macros.get(&format!("{name}*"))).flatten();
        let (arguments, default, body) = match starred {
            Some(Meaning::Macro { arguments, default, body }) => {
                at += 1;
                (arguments, default, body)
            }
            _ => (arguments, default, body),
        };
        let mut given: Vec<&str> = Vec::new();
        let mut in_vain = 0;
        if let Some(default) = default {
            let (argument, end) = optional(text, at);
            if argument.is_none() && text[at..].trim_start().starts_with('[') {
                in_vain = LONGEST;
            }
            given.push(argument.unwrap_or(default));
            at = end;
        }
        while given.len() < usize::from(*arguments) {
            let Some((found, end)) = argument(text, at) else {
                self.pay(LONGEST);
                self.write(typed);
                return None;
            };
            given.push(found);
            at = end;
        }
        let mut value = match given.is_empty() {
            true => body.clone(),
            false => filled(body, &given),
        };
        if given.is_empty() {
            let next = at + blanks(&text.as_bytes()[at..]);
            let word = name.as_bytes()[0].is_ascii_alphabetic();
            if word && text.as_bytes().get(next).is_some_and(u8::is_ascii_alphanumeric) && !ends_in_environment(&value)
            {
                // TeX takes white space behind a control word for its end; behind `\begin{…}` it is layout.
                at = next;
            } else if text[at..].starts_with("{}") && !ends_in_word(value.as_bytes()) {
                at += 2;
            }
        }
        frame.at = at;
        self.pay(at - begin + value.len() + in_vain);
        if self.wants_argument() && !is_one_token(&value) {
            value = format!("{{{value}}}");
        }
        if memchr(b'\\', value.as_bytes()).is_none() {
            self.joint = true;
            self.write(&value);
            self.joint = true;
            return None;
        }
        Some(Step::Into(Frame { text: value, at: 0, file: None, depth: frame.depth + 1, call: None }))
    }

    /// Whether what was written last takes the next token for its argument: of `\hat\x` with `\x` for
    /// `ab` TeX makes a hat over both.
    fn wants_argument(&self) -> bool {
        let out = self.out.trim_end_matches(' ').as_bytes();
        if !ends_in_word(out) {
            return false;
        }
        let start = memchr::memrchr(b'\\', out).map_or(0, |at| at + 1);
        ONE_ARGUMENT.contains(&&self.out[start..out.len()])
    }

    /// A command that TeX or LaTeX knows.
    fn known(&mut self, name: &str, typed: &str, frame: &mut Frame) -> Option<Step> {
        let text = &frame.text;
        let rest = &text.as_bytes()[frame.at..];
        let front = self.place != Place::Body;
        if (TAKES.contains(&name) || front && FRONT.contains(&name)) && self.opens_in_vain(text, frame.at) {
            self.write(typed);
            return None;
        }
        match name {
            "begin" => return self.begin(typed, frame),
            "end" => return self.end(typed, frame),
            "verb" | "lstinline" => {
                let end = frame.at + verb(rest).unwrap_or(0);
                self.write(typed);
                self.write(&text[frame.at..end]);
                frame.at = end;
            }
            "input" | "include" | "subfile" | "import" | "subimport" => return self.input(name, frame),
            "chapter" | "part" | "section" | "subsection" | "subsubsection" | "paragraph" | "subparagraph"
            | "newsec" => {
                if self.place == Place::Front && self.muted.is_none() && self.summary_from.is_none() {
                    let end = self.front_end.filter(|_| self.wanted.from == From::Title).unwrap_or(self.out.len());
                    self.out.drain(..self.out.floor_char_boundary(end));
                    self.place = Place::Body;
                }
                self.write(typed);
            }
            "title" | "icmltitle" | "Title" if front => {
                let (_, at) = optional(text, frame.at);
                // AMS-TeX has no braces here; harvmac's first argument is the number of a preprint.
                let found = match until(text, at, "\\endtitle") {
                    Some(found) => Some(found),
                    None => argument(text, at).map(|first| match name {
                        "Title" => argument(text, first.1).unwrap_or(first),
                        _ => first,
                    }),
                };
                match found {
                    Some((title, end)) => {
                        self.title = Some(title.to_owned());
                        frame.at = end;
                    }
                    None => self.write(typed),
                }
            }
            "abstract" | "Abstract" if front && rest[blanks(rest)..].starts_with(b"{") => {
                // Astronomy & Astrophysics has five: context, aims, methods, results, conclusions.
                let mut parts = Vec::new();
                while parts.len() < 5
                    && text.as_bytes()[frame.at + blanks(&text.as_bytes()[frame.at..])..].starts_with(b"{")
                {
                    let Some((part, end)) = argument(text, frame.at) else { break };
                    parts.push(part.trim());
                    frame.at = end;
                }
                let summary = parts.join("\n");
                self.summary = Some(self.expanded(&summary));
                self.front_end = Some(self.out.len());
            }
            "abstract" if front && let Some((summary, end)) = until(text, frame.at, "\\endabstract") => {
                let summary = summary.to_owned();
                frame.at = end;
                self.summary = Some(self.expanded(&summary));
                self.front_end = Some(self.out.len());
            }
            "document" if front => self.joint = true,
            "Refs" => {
                frame.at = until(text, frame.at, "\\endRefs").map_or(frame.at, |(_, end)| end);
                self.joint = true;
            }
            "maketitle" | "endtopmatter" | "printAffiliationsAndNotice" => {
                if front {
                    frame.at = behind_arguments(text, frame.at);
                    self.front_end = Some(self.out.len());
                }
                self.joint = true;
            }
            "tableofcontents" | "listoffigures" | "listoftables" | "printbibliography" | "listrefs" => {
                frame.at = behind_arguments(text, frame.at);
                self.joint = true;
            }
            "bibliography" | "bibliographystyle" | "nocite" | "addbibresource" => {
                frame.at = behind_arguments(text, frame.at);
                self.without_empty_heading();
                self.joint = true;
            }
            "appendix" if !self.wanted.appendix && self.place != Place::Preamble => return Some(Step::Stop),
            "enddocument" | "bye" => return Some(Step::Stop),
            "newpage" | "clearpage" | "cleardoublepage" | "pagebreak" => {
                (_, frame.at) = optional(text, frame.at);
                self.joint = true;
            }
            "xspace" => {
                if self.is_spaced(frame) {
                    self.write(" ");
                }
            }
            "long" | "global" | "outer" if rest.starts_with(b"\\def") || rest.starts_with(b"\\gdef") => {}
            "newif"
                if self.wanted.expanded
                    && let Some((switch, end)) = new_switch(text, frame.at) =>
            {
                self.switches.insert(switch.to_owned(), false);
                frame.at = end;
                self.joint = true;
            }
            "else" | "fi" if self.conditions.last() == Some(&true) => {
                if name == "else" {
                    frame.at = self.behind_branch(frame, false);
                }
                self.conditions.pop();
                frame.skip_spaces();
                self.joint = true;
            }
            _ if self.wanted.expanded && name.starts_with("if") && name != "iff" && !rest.starts_with(b"{") => {
                let switch = name[2..].to_owned();
                match self.switches.get(&switch).copied().filter(|_| self.left > 0) {
                    Some(true) => self.conditions.push(true),
                    Some(false) => {
                        let (at, has_else) = (frame.at, self.behind_branch(frame, true));
                        frame.at = has_else;
                        if has_else > at && frame.text[..has_else].trim_end().ends_with("\\else") {
                            self.conditions.push(true);
                        }
                    }
                    None => {
                        self.conditions.push(false);
                        self.write(typed);
                        return None;
                    }
                }
                frame.skip_spaces();
                self.joint = true;
            }
            _ if self.switch(name) => {
                frame.skip_spaces();
                self.joint = true;
            }
            "fi" if self.conditions.pop().is_some() => self.write(typed),
            _ if front && FRONT.contains(&name) => {
                frame.at = behind_arguments(text, frame.at);
                self.joint = true;
            }
            _ => {
                if self.wanted.expanded && self.left > 0 && Macros::defines(name) {
                    if let Some(end) = self.macros.define(name, text, frame.at) {
                        frame.at = end;
                        self.joint = true;
                        return None;
                    }
                    self.pay(LONGEST);
                }
                self.write(typed);
            }
        }
        None
    }

    fn begin(&mut self, typed: &str, frame: &mut Frame) -> Option<Step> {
        let bytes = frame.text.as_bytes();
        let Some(name) = environment(&bytes[frame.at..]) else {
            self.write(typed);
            return None;
        };
        let behind = frame.at + memchr(b'}', &bytes[frame.at..]).map_or(0, |at| at + 1);
        if let Some((muted, depth)) = &mut self.muted {
            *depth += u32::from(muted.as_bytes() == name);
            frame.at = behind;
            return None;
        }
        if is_verbatim(name) {
            let ends = memmem::find(&bytes[behind..], &[b"\\end{", name, b"}"].concat());
            let end = behind + ends.map_or(bytes.len() - behind, |end| end + b"\\end{}".len() + name.len());
            self.write(typed);
            self.write(&frame.text[frame.at..end]);
            frame.at = end;
            return None;
        }
        match name {
            b"document" if self.wanted.from == From::Start => {}
            b"document" => {
                self.place = Place::Front;
                self.out.clear();
                self.front_end = None;
            }
            b"abstract" | b"Abstract" if self.place != Place::Body => {
                self.summary_from = Some(self.out.len());
            }
            b"frontmatter" | b"titlepage" if self.place != Place::Body => {}
            _ if is_bibliography(name) || is_beside(name) || !self.wanted.drawings && is_drawing(name) => {
                if is_bibliography(name) {
                    self.without_empty_heading();
                }
                self.muted = Some((String::from_utf8_lossy(name).into_owned(), 0));
            }
            _ => {
                self.write(typed);
                self.write(&frame.text[frame.at..behind]);
            }
        }
        frame.at = behind;
        None
    }

    fn end(&mut self, typed: &str, frame: &mut Frame) -> Option<Step> {
        let bytes = frame.text.as_bytes();
        let Some(name) = environment(&bytes[frame.at..]) else {
            self.write(typed);
            return None;
        };
        let behind = frame.at + memchr(b'}', &bytes[frame.at..]).map_or(0, |at| at + 1);
        if name == b"document" {
            return Some(Step::Stop);
        }
        let begin = frame.at;
        frame.at = behind;
        if let Some((muted, depth)) = &mut self.muted {
            if muted.as_bytes() == name {
                match depth.checked_sub(1) {
                    Some(less) => *depth = less,
                    None => self.muted = None,
                }
            }
            self.joint = true;
            return None;
        }
        match (name, self.summary_from.take()) {
            (b"abstract" | b"Abstract", Some(from)) => {
                let summary = self.out.split_off(self.out.floor_char_boundary(from));
                self.summary = Some(summary);
                self.front_end = Some(self.out.len());
            }
            (b"frontmatter" | b"titlepage", from) if self.place != Place::Body => {
                self.summary_from = from;
                self.front_end = Some(self.out.len());
            }
            (_, from) => {
                self.summary_from = from;
                self.write(typed);
                self.write(&frame.text[begin..behind]);
            }
        }
        None
    }

    /// `\input{file}`, `\input file`, `\import{folder/}{file}`.
    fn input(&mut self, name: &str, frame: &mut Frame) -> Option<Step> {
        let text = &frame.text;
        let mut at = behind_star(text.as_bytes(), frame.at);
        let mut folder = "";
        if name.ends_with("import") {
            match argument(text, at) {
                Some((found, end)) => (folder, at) = (found, end),
                None => return None,
            }
        }
        let start = at + blanks(&text.as_bytes()[at..]);
        let (file, end) = if text[start..].starts_with('{') {
            let length = group(&text.as_bytes()[start..], b'{', b'}', LONGEST_NAME)?;
            (&text[start + 1..start + length - 1], start + length)
        } else {
            let length = text[start..].find(|c: char| c.is_whitespace() || "\\{}%".contains(c));
            let end = start + length.unwrap_or(text.len() - start);
            (&text[start..end], end)
        };
        let (file, folder) = (file.trim().trim_matches('"').to_owned(), folder.trim().to_owned());
        frame.at = end;
        let open: Vec<usize> = self.frames.iter().filter_map(|frame| frame.file).chain(frame.file).collect();
        if open.len() >= DEEPEST_FILE {
            return None;
        }
        let (number, mut text) = (self.inputs)(&folder, &file)?;
        if open.contains(&number) || !self.pay(text.len()) {
            return None;
        }
        // A file that is a document of its own, as with `subfiles`: its content alone.
        if let Some(start) = memmem::find(text.as_bytes(), b"\\begin{document}") {
            text.drain(..start + b"\\begin{document}".len());
            if let Some(end) = memmem::rfind(text.as_bytes(), b"\\end{document}") {
                text.truncate(end);
            }
        }
        Some(Step::Into(Frame { text, at: 0, file: Some(number), depth: frame.depth, call: None }))
    }

    /// Whether `\xspace` makes a space here: before what is no punctuation.
    fn is_spaced(&self, frame: &Frame) -> bool {
        let rests = std::iter::once(frame).chain(self.frames.iter().rev());
        let next = rests.map(|frame| &frame.text[frame.at..]).find(|rest| !rest.is_empty());
        let Some(next) = next.and_then(|rest| rest.chars().next()) else { return false };
        !(next.is_whitespace() || "{}~.!,:;?/'’)]-".contains(next))
    }

    /// Expands a text that stands elsewhere than where it is written.
    fn expanded(&mut self, text: &str) -> String {
        // An abstract in an abstract is a circle, sooner or later.
        if self.inside == DEEPEST_ASIDE {
            return text.to_owned();
        }
        self.inside += 1;
        let base = self.frames.len();
        let out = std::mem::take(&mut self.out);
        let (place, muted) = (self.place, self.muted.take());
        // Places in what was written so far are none in what is written now.
        let (front_end, summary_from) = (self.front_end.take(), self.summary_from.take());
        self.place = Place::Front;
        self.frames.push(Frame { text: text.to_owned(), at: 0, file: None, depth: DEEPEST / 2, call: None });
        self.run(base);
        self.inside -= 1;
        (self.place, self.muted) = (place, muted);
        (self.front_end, self.summary_from) = (front_end, summary_from);
        std::mem::replace(&mut self.out, out)
    }

    /// Whether an argument begins here and does not end. Looking for its end is paid for, and not done
    /// when no more is left.
    fn opens_in_vain(&mut self, text: &str, at: usize) -> bool {
        let rest = &text.as_bytes()[at..];
        let rest = &rest[blanks(rest)..];
        let end = match rest.first() {
            Some(b'{' | b'[') if self.left == 0 => None,
            Some(b'{') => group(rest, b'{', b'}', LONGEST),
            Some(b'[') => group(rest, b'[', b']', LONGEST),
            _ => return false,
        };
        if end.is_none() {
            self.pay(rest.len().min(LONGEST));
        }
        end.is_none()
    }

    /// `\draftfalse` and `\drafttrue` turn a switch.
    fn switch(&mut self, name: &str) -> bool {
        let turned = [("true", true), ("false", false)];
        let found = turned.iter().find_map(|(ending, on)| Some((name.strip_suffix(ending)?, *on)));
        match found.and_then(|(switch, on)| Some((self.switches.get_mut(switch)?, on))) {
            Some((switch, on)) => *switch = on,
            None => return false,
        }
        true
    }

    /// Behind the `\fi` that ends a branch which is not taken, or its `\else` if that counts. A branch
    /// that does not end in its frame is taken.
    fn behind_branch(&mut self, frame: &Frame, to_else: bool) -> usize {
        let bytes = frame.text.as_bytes();
        let (mut at, mut depth) = (frame.at, 1);
        while let Some(found) = memchr(b'\\', &bytes[at..]) {
            let start = at + found + 1;
            let length = word(&bytes[start..]);
            at = (start + length.max(1)).min(bytes.len());
            match &frame.text.as_bytes()[start..start + length] {
                b"fi" => depth -= 1,
                b"else" if depth == 1 && to_else => depth = 0,
                name if name.starts_with(b"if") && name != b"iff" && bytes.get(at) != Some(&b'{') => depth += 1,
                _ => {}
            }
            if depth == 0 {
                self.pay(at - frame.at);
                return at;
            }
        }
        self.pay(bytes.len() - frame.at);
        frame.at
    }

    /// Takes away the heading of a bibliography that went.
    fn without_empty_heading(&mut self) {
        let kept = self.out.trim_end();
        let line = kept.rfind('\n').map_or(0, |at| at + 1);
        let heading = &kept[line..];
        let names = ["eferences", "ibliography", "EFERENCES", "IBLIOGRAPHY", "iterature"];
        if heading.starts_with('\\') && heading.contains("section") && names.iter().any(|name| heading.contains(name)) {
            self.out.truncate(line);
        }
    }

    fn finish(mut self) -> String {
        if self.place == Place::Front {
            let end = self.front_end.unwrap_or(0);
            self.out.drain(..self.out.floor_char_boundary(end));
        }
        let body = std::mem::take(&mut self.out);
        let mut text = String::with_capacity(body.len());
        if self.wanted.from == From::Title {
            if let Some(title) = self.title.take() {
                let title = self.expanded(&title);
                if !title.trim().is_empty() {
                    text.push_str("\\title{");
                    text.push_str(title.trim());
                    text.push_str("}\n\n");
                }
            }
            if let Some(summary) = self.summary.take().filter(|summary| !summary.trim().is_empty()) {
                text.push_str("\\begin{abstract}\n");
                text.push_str(summary.trim());
                text.push_str("\n\\end{abstract}\n\n");
            }
        }
        text.push_str(&body);
        let text = if self.wanted.expanded { super::math::written_out(text) } else { text };
        tidy(&text)
    }
}

/// Commands of which arguments are looked for, wherever they stand.
const TAKES: [&str; 17] = [
    "title",
    "icmltitle",
    "Title",
    "abstract",
    "Abstract",
    "maketitle",
    "endtopmatter",
    "printAffiliationsAndNotice",
    "tableofcontents",
    "listoffigures",
    "listoftables",
    "printbibliography",
    "bibliography",
    "bibliographystyle",
    "nocite",
    "addbibresource",
    "newpage",
];

/// Commands whose argument may be a macro without braces.
const ONE_ARGUMENT: [&str; 30] = [
    "frac",
    "dfrac",
    "tfrac",
    "sqrt",
    "hat",
    "bar",
    "tilde",
    "vec",
    "dot",
    "ddot",
    "acute",
    "check",
    "overline",
    "underline",
    "widehat",
    "widetilde",
    "mathbf",
    "mathrm",
    "mathcal",
    "mathbb",
    "mathfrak",
    "mathsf",
    "bm",
    "boldsymbol",
    "text",
    "textbf",
    "textit",
    "emph",
    "overrightarrow",
    "binom",
];

/// What stands before the first header and is not the paper's text: who wrote it, where and when, and
/// how its pages look.
const FRONT: [&str; 83] = [
    "tnoteref",
    "tnotetext",
    "fnref",
    "corref",
    "cortext",
    "fntext",
    "titlenote",
    "authornote",
    "linenumbers",
    "author",
    "authors",
    "Author",
    "affiliation",
    "affil",
    "affiliations",
    "address",
    "curraddr",
    "urladdr",
    "email",
    "ead",
    "date",
    "thanks",
    "institute",
    "institution",
    "inst",
    "altaffiliation",
    "altaffilmark",
    "altaffiltext",
    "noaffiliation",
    "homepage",
    "preprint",
    "pacs",
    "subjclass",
    "orcid",
    "orcidlink",
    "orcidID",
    "correspondingauthor",
    "corresponding",
    "collaboration",
    "authorrunning",
    "titlerunning",
    "titlehead",
    "markboth",
    "markright",
    "pagestyle",
    "thispagestyle",
    "shorttitle",
    "shortauthors",
    "runningtitle",
    "runningauthor",
    "runninghead",
    "received",
    "revised",
    "accepted",
    "published",
    "submitted",
    "submitjournal",
    "journal",
    "journalname",
    "jmlrheading",
    "ShortHeadings",
    "editor",
    "dedicatory",
    "icmltitlerunning",
    "icmlsetsymbol",
    "icmlauthor",
    "icmlaffiliation",
    "icmlcorrespondingauthor",
    "icmlkeywords",
    "name",
    "IEEEpubid",
    "IEEEoverridecommandlockouts",
    "hypersetup",
    "setlength",
    "addtolength",
    "setcounter",
    "newpage",
    "clearpage",
    "pagenumbering",
    "flushbottom",
    "raggedbottom",
    "footnotetext",
    "frontmatter",
];

fn is_bibliography(environment: &[u8]) -> bool {
    matches!(
        environment,
        b"thebibliography" | b"references" | b"REFERENCES" | b"chapthebibliography" | b"biblist" | b"bibdiv"
    )
}

/// What goes wherever it stands: lives of the authors, and codes of subjects in XML.
fn is_beside(environment: &[u8]) -> bool {
    matches!(environment, b"CCSXML" | b"IEEEbiography" | b"IEEEbiographynophoto" | b"biography" | b"biographynophoto")
}

fn is_drawing(environment: &[u8]) -> bool {
    matches!(
        environment,
        b"tikzpicture"
            | b"pgfpicture"
            | b"picture"
            | b"pspicture"
            | b"pspicture*"
            | b"asy"
            | b"overpic"
            | b"feynmandiagram"
            | b"fmffile"
            | b"circuitikz"
            | b"axis"
            | b"forest"
            | b"mpostfig"
    )
}

/// `\newif\ifdraft`: the switch's name.
fn new_switch(text: &str, at: usize) -> Option<(&str, usize)> {
    let (name, end) = control(text, at + blanks(&text.as_bytes()[at..]))?;
    is_condition(name).then(|| (&name[2..], end))
}

/// What stands before a word without a brace in between, and where the text goes on behind it.
fn until<'t>(text: &'t str, at: usize, word: &str) -> Option<(&'t str, usize)> {
    let start = at + blanks(&text.as_bytes()[at..]);
    let within = &text.as_bytes()[start..text.len().min(start + LONGEST)];
    if within.first() == Some(&b'{') {
        return None;
    }
    let end = start + memmem::find(within, word.as_bytes())?;
    Some((text[start..end].trim(), end + word.len()))
}

/// Behind the arguments of a command: all in brackets and braces that follow it in its line, the first
/// also in the next.
fn behind_arguments(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = behind_star(bytes, at);
    let mut skip = blanks(&bytes[at..]);
    loop {
        let open = at + skip;
        let end = match bytes.get(open) {
            Some(b'[') => group(&bytes[open..], b'[', b']', LONGEST),
            Some(b'{') => group(&bytes[open..], b'{', b'}', LONGEST),
            _ => None,
        };
        match end {
            Some(length) => at = open + length,
            None => return at,
        }
        skip = bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    }
}

/// Whether a body ends in `\begin{…}` or `\end{…}`.
fn ends_in_environment(value: &str) -> bool {
    let last = value.trim_end().rsplit('\\').next().unwrap_or_default();
    last.ends_with('}') && (last.starts_with("begin{") || last.starts_with("end{"))
}

fn is_one_token(value: &str) -> bool {
    value.chars().nth(1).is_none()
        || control(value, 0).is_some_and(|(_, end)| end == value.len())
        || group(value.as_bytes(), b'{', b'}', value.len()) == Some(value.len())
}

/// A text without white space at the ends of its lines, and with one empty line where there were more.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { from: From::Title, appendix: true, drawings: false, expanded: true };

    fn of(text: &str, wanted: Wanted) -> String {
        let files = [("part.tex", "In part: \\x.\n"), ("loop.tex", "a\\input{loop}b\\input{part}")];
        let mut inputs = |_: &str, name: &str| {
            let number =
                files.iter().position(|(file, _)| file.trim_end_matches(".tex") == name.trim_end_matches(".tex"))?;
            Some((number + 1, files[number].1.to_owned()))
        };
        paper((0, text.to_owned()), text.len(), wanted, &mut inputs)
    }

    #[track_caller]
    fn check(text: &str, becomes: &str) {
        assert_eq!(of(text, WANTED), becomes, "{text:?}");
    }

    #[test]
    fn macros_are_expanded() {
        check("\\newcommand{\\x}{Foo}A \\x\\ b, \\x{} c, \\x. d", "A Foo\\ b, Foo c, Foo. d");
        check("\\newcommand{\\x}[2][y]{#1#2}\\x{a} \\x[b]{c}", "ya bc");
        check("\\def\\x#1{\\y{#1}}\\def\\y#1{(#1)}\\x{a\\x b}", "(a(b))");
        check("\\def\\x{\\y}\\def\\y#1{(#1)}\\x{a}", "(a)");
        check("\\newcommand{\\R}{\\mathbb{R}}$\\R^n$ and $\\hat\\R$", "$\\mathbb{R}^n$ and $\\hat{\\mathbb{R}}$");
        check("\\newcommand{\\x}{Foo\\xspace}\\x bar \\x, \\x\\cite{a}", "Foo bar Foo, Foo \\cite{a}");
        check(
            "\\newcommand{\\be}{\\begin{equation}}\\newcommand\\ee{\\end{equation}}\\be x \\ee",
            "\\begin{equation} x \\end{equation}",
        );
        check("\\let\\old\\phi\\renewcommand{\\phi}{\\old x}$\\phi$", "$\\phi x$");
        check("\\newcommand{\\a}{\\alpha}$\\a b$", "$\\alpha b$");
        check("\\newcommand{\\todo}[1]{}a\\todo{b} c", "a c");
        check("\\DeclarePairedDelimiter{\\abs}{|}{|}$\\abs{x} \\abs*{y}$", "$|x| \\left|y\\right|$");
        check("\\DeclareMathOperator{\\rank}{rank}$\\rank A$", "$\\operatorname{rank}A$");
        check("\\newcommand{\\x}{\\ifx a b\\fi}\\x", "\\x");
        check("\\def\\x{a\\x}\\x", &format!("{}\\x", "a".repeat(DEEPEST as usize)));
    }

    #[test]
    fn switches_are_turned() {
        let draft = "\\newif\\ifdraft\\newcommand{\\todo}[1]{\\ifdraft(#1)\\else.\\fi}";
        check(&format!("{draft}a\\todo{{b}} \\ifdraft c\\fi d"), "a. d");
        check(
            &format!("{draft}\\drafttrue a\\todo{{b}} \\ifdraft c\\ifx x\\else y\\fi\\else e\\fi d"),
            "a(b) c\\ifx x\\else y\\fi d",
        );
        check("\\newif\\ifa\\ifa x\\ifa y\\else z\\fi\\else w\\fi v", "wv");
        check("\\newif\\ifa\\ifa x", "x");
        check("\\ifpdf a\\else b\\fi $\\iff$", "\\ifpdf a\\else b\\fi $\\iff$");
    }

    #[test]
    fn a_paper_begins_with_title_and_abstract() {
        let paper = "\\documentclass{article}\\newcommand{\\x}{X}\n\\title[t]{On \\x\\thanks{b}}\n\\begin{document}\n\
            \\author{A \\and B}\n\\maketitle\n\\begin{abstract} We \\x. \\end{abstract}\n\\tableofcontents\n\n\
            \\section{One} a\n\\end{document} no";
        check(paper, "\\title{On X}\n\n\\begin{abstract}\nWe X.\n\\end{abstract}\n\n\\section{One} a");
        let letter = "\\begin{document}\\title{T}\\author{A}\\affiliation{B}\n\\begin{abstract}S\\end{abstract}\n\\pacs{1}\\maketitle\nText.\\end{document}";
        check(letter, "\\title{T}\n\n\\begin{abstract}\nS\n\\end{abstract}\n\nText.");
        let ams = "\\documentstyle{amsppt}\\topmatter\\title T\\endtitle\\author A\\endauthor\\abstract S.\\endabstract\\endtopmatter\n\
            \\document\n\\head H \\endhead t\n\\Refs\\ref a\\endref\\endRefs\\enddocument";
        check(ams, "\\title{T}\n\n\\begin{abstract}\nS.\n\\end{abstract}\n\n\\head H \\endhead t");
        let astronomy = "\\begin{document}\n\\abstract\n  {a}\n  {b}\n\\maketitle\n\\section{S}";
        check(astronomy, "\\begin{abstract}\na\nb\n\\end{abstract}\n\n\\section{S}");
    }

    #[test]
    fn files_stand_where_they_are_input() {
        check(
            "\\def\\x{X}\\section{A}\n\\input{part}\nb \\input part.tex c",
            "\\section{A}\nIn part: X.\n\nb In part: X.\n c",
        );
        check("\\section{A}\\input{none}b\\input{loop}", "\\section{A}babIn part: \\x.");
    }

    #[test]
    fn bibliographies_go_and_appendices_stay() {
        let paper = "\\section{A} a\n\\section*{References}\n\\begin{thebibliography}{9}\\bibitem{a} b\\end{thebibliography}\n\\appendix\n\\section{B} b";
        check(paper, "\\section{A} a\n\n\\appendix\n\\section{B} b");
        assert_eq!(of(paper, Wanted { appendix: false, ..WANTED }), "\\section{A} a");
        check("\\section{A}\\begin{tikzpicture}\\draw;\\end{tikzpicture}b", "\\section{A}b");
        check(
            "\\section{A}\n\\begin{verbatim}\n\\x \\begin{picture}\n\\end{verbatim}",
            "\\section{A}\n\\begin{verbatim}\n\\x \\begin{picture}\n\\end{verbatim}",
        );
    }

    /// Found by fuzzing: the front of the paper was longer than the abstract that it was cut from.
    #[test]
    fn a_heading_in_an_abstract_cuts_nothing_else() {
        let front = "\\begin{document}\\title{T}Many words before the paper begins\\maketitle";
        let made = of(&format!("{front}\\abstract{{é\\section{{B}}c}}\\section{{D}}text"), WANTED);
        assert!(made.ends_with("\\section{D}text"), "{made}");
    }

    /// Found by fuzzing: each took room on the stack, until there was none.
    #[test]
    fn abstracts_in_abstracts_have_an_end() {
        let circle = "\\def\\a{x\\abstract{\\a}}\\begin{document}\\a\\section{D}text";
        assert!(of(circle, WANTED).ends_with("\\section{D}text"));
        let deep =
            format!("\\begin{{document}}{}{}\\section{{D}}text", "\\abstract{".repeat(20_000), "}".repeat(20_000));
        assert!(of(&deep, WANTED).ends_with("\\section{D}text"));
    }

    /// Each of these would look for the end of its argument to the end of the text.
    #[test]
    fn what_never_ends_is_not_looked_for_without_end() {
        let macros = "\\newcommand{\\a}[2][x]{#1}\\newcommand{\\b}[1]{#1}\\begin{document}";
        for unclosed in [
            "\\title{",
            "\\author{",
            "\\abstract{",
            "\\a[",
            "\\b{",
            "\\input{",
            "\\newcommand{\\c}{",
            "\\bibliography[",
        ] {
            let text = format!("{macros}{}", unclosed.repeat(20_000));
            // Unbounded, this would take minutes.
            assert!(of(&text, WANTED).len() <= text.len(), "{unclosed}");
        }
    }

    /// Some gigabytes, if nothing stopped it.
    #[test]
    fn a_bomb_of_macros_does_not_go_off() {
        let mut text = String::from("\\def\\aa{boom }");
        for letter in b'b'..=b'z' {
            let before = char::from(letter - 1);
            text += &format!("\\def\\a{0}{{\\a{1}\\a{1}\\a{1}}}", char::from(letter), before);
        }
        text += "\\section{A}\\az";
        assert!(of(&text, WANTED).len() < 4 << 20);
    }
}
