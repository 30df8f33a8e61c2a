//! What each command does that TeX or LaTeX knows, and each environment.

use memchr::{memchr, memmem};

use super::names::{FRONT, TAKES, is_beside, is_bibliography, is_drawing};
use super::{DEEPEST_FILE, Expander, Frame, From, LONGEST, LONGEST_NAME, Place, Step};
use crate::latex::macros::{Macros, argument, behind_star, control, is_condition, optional};
use crate::latex::{blanks, environment, group, is_verbatim, verb, word};

impl Expander<'_, '_> {
    /// A command that TeX or LaTeX knows.
    pub(super) fn known(&mut self, name: &str, typed: &str, frame: &mut Frame) -> Option<Step> {
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

    pub(super) fn begin(&mut self, typed: &str, frame: &mut Frame) -> Option<Step> {
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

    pub(super) fn end(&mut self, typed: &str, frame: &mut Frame) -> Option<Step> {
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
    pub(super) fn input(&mut self, name: &str, frame: &mut Frame) -> Option<Step> {
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
    pub(super) fn is_spaced(&self, frame: &Frame) -> bool {
        let rests = std::iter::once(frame).chain(self.frames.iter().rev());
        let next = rests.map(|frame| &frame.text[frame.at..]).find(|rest| !rest.is_empty());
        let Some(next) = next.and_then(|rest| rest.chars().next()) else { return false };
        !(next.is_whitespace() || "{}~.!,:;?/'’)]-".contains(next))
    }

    /// Whether an argument begins here and does not end. Looking for its end is paid for, and not done
    /// when no more is left.
    pub(super) fn opens_in_vain(&mut self, text: &str, at: usize) -> bool {
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
    pub(super) fn switch(&mut self, name: &str) -> bool {
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
    pub(super) fn behind_branch(&mut self, frame: &Frame, to_else: bool) -> usize {
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
    pub(super) fn without_empty_heading(&mut self) {
        let kept = self.out.trim_end();
        let line = kept.rfind('\n').map_or(0, |at| at + 1);
        let heading = &kept[line..];
        let names = ["eferences", "ibliography", "EFERENCES", "IBLIOGRAPHY", "iterature"];
        if heading.starts_with('\\') && heading.contains("section") && names.iter().any(|name| heading.contains(name)) {
            self.out.truncate(line);
        }
    }
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
