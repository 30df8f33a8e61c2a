//! Macros that authors define: how they are read, and what a call becomes.

use std::collections::HashMap;

use super::{blanks, group, word};

/// Bytes of one argument or definition.
const LONGEST: usize = 64 << 10;

/// What a control sequence stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A text with `#1` to `#9` in it. With a default the first argument is optional.
    Macro { arguments: u8, default: Option<String>, body: String },
    /// The control sequence as it was before somebody gave it another meaning.
    Itself(String),
}

/// The macros of one paper, by name without its backslash.
#[derive(Default)]
pub(crate) struct Macros(HashMap<String, Meaning>);

/// Control words that make a macro a program: what a call becomes, only TeX can say.
const PROGRAMMING: [&str; 54] = [
    "expandafter",
    "csname",
    "endcsname",
    "futurelet",
    "catcode",
    "write",
    "immediate",
    "def",
    "gdef",
    "edef",
    "xdef",
    "let",
    "newcommand",
    "renewcommand",
    "global",
    "advance",
    "loop",
    "repeat",
    "noexpand",
    "relax",
    "setcounter",
    "addtocounter",
    "stepcounter",
    "refstepcounter",
    "begingroup",
    "endgroup",
    "afterassignment",
    "aftergroup",
    "setbox",
    "mathchoice",
    "mathpalette",
    "romannumeral",
    "the",
    "number",
    "newif",
    "if",
    "ifcat",
    "ifx",
    "ifnum",
    "ifdim",
    "ifodd",
    "ifcase",
    "ifmmode",
    "ifvmode",
    "ifhmode",
    "ifinner",
    "ifvoid",
    "ifhbox",
    "ifvbox",
    "ifeof",
    "ifdefined",
    "ifcsname",
    "iftrue",
    "iffalse",
];

/// Commands of LaTeX's own that hold a text together: they stay, whatever a style makes of them.
const STRUCTURE: [&str; 41] = [
    "begin",
    "end",
    "chapter",
    "part",
    "section",
    "subsection",
    "subsubsection",
    "paragraph",
    "subparagraph",
    "title",
    "author",
    "date",
    "abstract",
    "maketitle",
    "label",
    "ref",
    "eqref",
    "pageref",
    "cite",
    "citep",
    "citet",
    "caption",
    "item",
    "footnote",
    "includegraphics",
    "input",
    "include",
    "bibliography",
    "appendix",
    "verb",
    "url",
    "href",
    "newcommand",
    "renewcommand",
    "providecommand",
    "def",
    "let",
    "documentclass",
    "usepackage",
    "tableofcontents",
    "document",
];

impl Macros {
    pub fn get(&self, name: &str) -> Option<&Meaning> {
        self.0.get(name)
    }

    /// Gives a name a meaning, or takes its meaning away where that is a program.
    fn set(&mut self, name: &str, arguments: u8, default: Option<&str>, body: &str) {
        if STRUCTURE.contains(&name) || name.contains('@') || name.is_empty() {
            return;
        }
        if is_program(body) {
            self.0.remove(name);
            return;
        }
        let body = trimmed(body).to_owned();
        let default = default.map(str::to_owned);
        self.0.insert(name.to_owned(), Meaning::Macro { arguments, default, body });
    }

    /// Whether a command defines something.
    pub fn defines(command: &str) -> bool {
        matches!(
            command,
            "newcommand"
                | "renewcommand"
                | "providecommand"
                | "DeclareRobustCommand"
                | "def"
                | "gdef"
                | "edef"
                | "xdef"
                | "let"
                | "DeclareMathOperator"
                | "DeclarePairedDelimiter"
        )
    }

    /// Reads a definition behind the name of the command that makes it; returns where the text goes on
    /// behind it, or nothing if `command` defines nothing here.
    pub fn define(&mut self, command: &str, text: &str, at: usize) -> Option<usize> {
        match command {
            "newcommand" | "renewcommand" | "providecommand" | "DeclareRobustCommand" => {
                self.newcommand(command == "providecommand", text, at)
            }
            "def" | "gdef" | "edef" | "xdef" => self.def(command, text, at),
            "let" => self.let_(text, at),
            "DeclareMathOperator" => self.operator(text, at),
            "DeclarePairedDelimiter" => self.delimiter(text, at),
            _ => None,
        }
    }

    fn newcommand(&mut self, only_if_new: bool, text: &str, at: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        let at = behind_star(bytes, at);
        let (name, at) = defined_name(text, at)?;
        let (count, at) = optional(text, at);
        let arguments = match count {
            None => 0,
            Some(count) => count.trim().parse().ok().filter(|count| *count <= 9)?,
        };
        let (default, at) = if arguments > 0 { optional(text, at) } else { (None, at) };
        let (body, at) = argument(text, at)?;
        if !(only_if_new && self.0.contains_key(name)) {
            self.set(name, arguments, default, body);
        }
        Some(at)
    }

    fn def(&mut self, command: &str, text: &str, at: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        let (name, at) = control(text, at + blanks(&bytes[at..]))?;
        let within = &bytes[at..bytes.len().min(at + 256)];
        let open = at + memchr::memchr(b'{', within)?;
        let parameters = text[at..open].trim();
        let end = open + group(&bytes[open..], b'{', b'}', LONGEST)?;
        let plain = parameters.len().is_multiple_of(2)
            && parameters.as_bytes().chunks(2).zip(b'1'..).all(|(pair, number)| pair == [b'#', number]);
        // Parameters with text between them, and what is expanded when it is defined, stay TeX's.
        if plain && parameters.len() <= 18 && matches!(command, "def" | "gdef") {
            self.set(name, (parameters.len() / 2) as u8, None, &text[open + 1..end - 1]);
        } else {
            self.0.remove(name);
        }
        Some(end)
    }

    fn let_(&mut self, text: &str, at: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        let (name, at) = control(text, at + blanks(&bytes[at..]))?;
        let mut at = at + blanks(&bytes[at..]);
        if bytes.get(at) == Some(&b'=') {
            at += 1;
            at += blanks(&bytes[at..]);
        }
        if let Some((target, end)) = control(text, at) {
            let meaning = self.0.get(target).cloned().unwrap_or_else(|| Meaning::Itself(format!("\\{target}")));
            if !STRUCTURE.contains(&name) && !name.contains('@') {
                self.0.insert(name.to_owned(), meaning);
            }
            return Some(end);
        }
        let character = text[at..].chars().next()?;
        self.0.remove(name);
        Some(at + character.len_utf8())
    }

    fn operator(&mut self, text: &str, at: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        let behind = behind_star(bytes, at);
        let star = if bytes[at..behind].contains(&b'*') { "*" } else { "" };
        let (name, at) = defined_name(text, behind)?;
        let (body, at) = argument(text, at)?;
        self.set(name, 0, None, &format!("\\operatorname{star}{{{body}}}"));
        Some(at)
    }

    fn delimiter(&mut self, text: &str, at: usize) -> Option<usize> {
        let (name, at) = defined_name(text, at)?;
        let (left, at) = argument(text, at)?;
        let (right, at) = argument(text, at)?;
        self.set(name, 1, None, &format!("{left}#1{right}"));
        self.set(&format!("{name}*"), 1, None, &format!("\\left{left}#1\\right{right}"));
        Some(at)
    }
}

/// A body without line ends at its edges: they come from how a definition was laid out.
fn trimmed(body: &str) -> &str {
    let inner = body.trim();
    let layout = body.len() != inner.len() && !inner.ends_with('\\');
    if layout && body.contains('\n') { inner } else { body }
}

/// Whether only TeX can say what a body becomes. Conditions on a switch of `\newif` are no program.
fn is_program(body: &str) -> bool {
    let bytes = body.as_bytes();
    let (mut on_switch, mut ends) = (false, false);
    for at in memchr::memchr_iter(b'\\', bytes) {
        let length = word(&bytes[at + 1..]);
        let name = &body[at + 1..at + 1 + length];
        match name {
            "else" | "fi" => ends = true,
            _ if is_condition(name) => on_switch = true,
            _ if name.contains('@') || PROGRAMMING.contains(&name) => return true,
            _ => {}
        }
    }
    ends && !on_switch
}

/// Whether a name may be that of a condition which `\newif` made: those of TeX itself ask what only
/// TeX knows.
pub(crate) fn is_condition(name: &str) -> bool {
    name.starts_with("if") && name != "iff" && !PROGRAMMING.contains(&name)
}

/// Behind the star of a command, and white space.
pub(crate) fn behind_star(bytes: &[u8], at: usize) -> usize {
    let star = at + blanks(&bytes[at..]);
    if bytes.get(star) == Some(&b'*') { star + 1 } else { at }
}

/// A control sequence at the start: its name, and where the text goes on.
pub(crate) fn control(text: &str, at: usize) -> Option<(&str, usize)> {
    let rest = text.get(at..)?.strip_prefix('\\')?;
    let length = match word(rest.as_bytes()) {
        0 => rest.chars().next()?.len_utf8(),
        length => length,
    };
    Some((&rest[..length], at + 1 + length))
}

/// `{\name}` or `\name`.
fn defined_name(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let mut at = at + blanks(&bytes[at..]);
    let braced = bytes.get(at) == Some(&b'{');
    if braced {
        at += 1;
        at += blanks(&bytes[at..]);
    }
    let (name, mut at) = control(text, at)?;
    if braced {
        at += blanks(&bytes[at..]);
        if bytes.get(at) != Some(&b'}') {
            return None;
        }
        at += 1;
    }
    Some((name, at))
}

/// An argument in brackets, if there is one, and where the text goes on.
pub(crate) fn optional(text: &str, at: usize) -> (Option<&str>, usize) {
    let bytes = text.as_bytes();
    let open = at + blanks(&bytes[at..]);
    match group(&bytes[open..], b'[', b']', LONGEST) {
        Some(length) => (Some(&text[open + 1..open + length - 1]), open + length),
        None => (None, at),
    }
}

/// An argument: a group without its braces, a control sequence or a character.
pub(crate) fn argument(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let at = at + blanks(&bytes[at..]);
    match bytes.get(at)? {
        b'{' => {
            let length = group(&bytes[at..], b'{', b'}', LONGEST)?;
            Some((&text[at + 1..at + length - 1], at + length))
        }
        b'}' => None,
        b'\\' => control(text, at).map(|(_, end)| (&text[at..end], end)),
        _ => {
            let character = text[at..].chars().next()?;
            Some((&text[at..at + character.len_utf8()], at + character.len_utf8()))
        }
    }
}

/// A body with its arguments in their places; `##` is a `#` for a definition inside.
pub(crate) fn filled(body: &str, arguments: &[&str]) -> String {
    let mut out = String::with_capacity(body.len() + arguments.iter().map(|argument| argument.len()).sum::<usize>());
    let bytes = body.as_bytes();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr::memchr2(b'#', b'\\', &bytes[at..]) {
        let sign = at + found;
        at = (sign + 2).min(bytes.len());
        if bytes[sign] == b'\\' {
            continue;
        }
        let number = bytes.get(sign + 1).copied().unwrap_or_default();
        let argument = number.checked_sub(b'1').and_then(|number| arguments.get(usize::from(number)));
        if argument.is_none() && number != b'#' {
            at = sign + 1;
            continue;
        }
        out.push_str(&body[copied..sign]);
        match argument {
            Some(argument) => {
                if super::ends_in_word(out.as_bytes()) && argument.starts_with(|c: char| c.is_ascii_alphabetic()) {
                    out.push(' ');
                }
                out.push_str(argument);
                // `#1x` with `\alpha` for an argument.
                let next = bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
                if next && super::ends_in_word(argument.as_bytes()) {
                    out.push(' ');
                }
            }
            None => out.push('#'),
        }
        copied = at;
    }
    out.push_str(&body[copied..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(definition: &str, name: &str, meaning: Option<(u8, Option<&str>, &str)>) {
        let mut macros = Macros::default();
        let (command, at) = control(definition, 0).unwrap();
        assert_eq!(macros.define(command, definition, at), Some(definition.len()), "{definition}");
        let meaning = meaning.map(|(arguments, default, body)| Meaning::Macro {
            arguments,
            default: default.map(str::to_owned),
            body: body.to_owned(),
        });
        assert_eq!(macros.get(name), meaning.as_ref(), "{definition}");
    }

    #[test]
    fn definitions_of_all_kinds_are_read() {
        check("\\newcommand{\\a}{b}", "a", Some((0, None, "b")));
        check("\\newcommand*\\a{b}", "a", Some((0, None, "b")));
        check("\\renewcommand { \\a } [2] [x] {#1 {#2}}", "a", Some((2, Some("x"), "#1 {#2}")));
        check("\\providecommand{\\a}[1]{\n  {#1}\n}", "a", Some((1, None, "{#1}")));
        check("\\def\\a#1#2{#2\\ }", "a", Some((2, None, "#2\\ ")));
        check("\\gdef \\a {b}", "a", Some((0, None, "b")));
        check("\\def\\*{b}", "*", Some((0, None, "b")));
        check("\\DeclareMathOperator*{\\argmax}{arg\\,max}", "argmax", Some((0, None, "\\operatorname*{arg\\,max}")));
        check("\\def\\a#1.{b}", "a", None);
        check("\\edef\\a{b}", "a", None);
        check("\\newcommand{\\a}{\\ifx b c\\fi}", "a", None);
        check("\\renewcommand{\\section}{b}", "section", None);
        let mut macros = Macros::default();
        let text = "\\let\\old=\\phi";
        assert_eq!(macros.define("let", text, 4), Some(text.len()));
        assert_eq!(macros.get("old"), Some(&Meaning::Itself("\\phi".into())));
    }

    #[test]
    fn arguments_come_into_their_places() {
        assert_eq!(filled("\\frac{#1}{#2}#3", &["a", "\\b"]), "\\frac{a}{\\b}#3");
        assert_eq!(filled("\\bf#1x", &["\\a"]), "\\bf\\a x");
        assert_eq!(filled("\\bf#1", &["a"]), "\\bf a");
        assert_eq!(filled("\\# ##1 é#1", &["é"]), "\\# #1 éé");
    }
}
