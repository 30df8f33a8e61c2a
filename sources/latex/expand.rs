//! A paper's text from its main file on: what it inputs stands in its place, macros are expanded, and
//! what is not the paper's text goes.
//!
//! The text is walked through once, as TeX does, with a stack of what is being read: the main file,
//! files inside it, bodies of macros. Definitions hold from where they stand. What walking costs is
//! bounded: see [`Expander::pay`].

mod commands;
mod names;

use std::collections::HashMap;

use memchr::{memchr, memmem};

use self::names::ONE_ARGUMENT;
use super::macros::{Macros, Meaning, argument, control, filled, optional};
use super::{blanks, ends_in_word, group};

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
