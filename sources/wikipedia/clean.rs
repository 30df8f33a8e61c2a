//! The text of a page, out of its markup.

use std::collections::BTreeMap;
use std::ops::Range;

use super::inline;
use super::markup::{self, Kind, Node, Tangled, Tree, is_mark, is_space};
use super::names::Names;
use super::tidy::{self, MARK, Tidying, VERBATIM, VERBATIM_ENDS};

/// What is done otherwise than the original does it: nothing, by default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// Files and references that stand side by side within other markup all go.
    pub all_files: bool,
    /// Links to categories go.
    pub without_categories: bool,
    /// Links to other languages go.
    pub without_languages: bool,
    /// Templates that stand for a few words leave them.
    pub inline_templates: bool,
    /// Formulas stay as TeX, small digits stay small.
    pub formulas: bool,
    /// Items of lists are marked.
    pub lists: bool,
    /// Headings without anything below go.
    pub filled_headings: bool,
    /// What markup leaves behind goes.
    pub tidy: bool,
}

/// Templates within templates that are looked at.
const DEEPEST: u32 = 4;

/// Cleans a page as the `wikipedia` script of Hugging Face does (version 2.0.0): section by section,
/// links to files, references and tables go, links to categories become the category's name, then
/// all markup goes. Rules make it readable.
pub(super) fn clean(page: &str, names: &Names, rules: Rules) -> Result<String, Tangled> {
    // NUL is no character of XML: it marks the end here.
    let replaced;
    let page = match page.contains('\0') {
        true => {
            replaced = page.replace('\0', "\u{fffd}");
            replaced.as_str()
        }
        false => page,
    };
    let mut cleaner = Cleaner::new(page, names, rules, 0)?;
    if rules.lists || rules.tidy || rules.filled_headings {
        return Ok(cleaner.readable());
    }
    let mut text = String::with_capacity(page.len() / 2);
    let mut section = String::new();
    for (number, range) in cleaner.sections().into_iter().enumerate() {
        cleaner.remove(range.clone(), false);
        section.clear();
        cleaner.strip(range, &mut section);
        if number > 0 {
            text.push_str("\n\n");
        }
        without_switches(section.trim_matches(is_space), &mut text);
    }
    Ok(text)
}

struct Cleaner<'p> {
    page: &'p str,
    names: &'p Names,
    rules: Rules,
    /// How many templates this is within.
    depth: u32,
    tree: Tree,
    removed: Vec<bool>,
    /// Links to categories, with what is shown of them.
    categories: BTreeMap<usize, String>,
}

impl<'p> Cleaner<'p> {
    fn new(page: &'p str, names: &'p Names, rules: Rules, depth: u32) -> Result<Cleaner<'p>, Tangled> {
        let tree = markup::read(page)?;
        let removed = vec![false; tree.nodes.len()];
        Ok(Cleaner { page, names, rules, depth, tree, removed, categories: BTreeMap::new() })
    }

    fn slice(&self, from: u32, to: u32) -> &'p str {
        self.page.get(from as usize..to as usize).unwrap_or_default()
    }

    /// Where the next node beside this one is.
    fn beside(&self, at: usize) -> usize {
        match self.tree.nodes[at] {
            Node::Open { inner, .. } => at + 1 + inner as usize,
            _ => at + 1,
        }
    }

    /// The beginning and each heading with what follows.
    fn sections(&self) -> Vec<Range<usize>> {
        let mut sections = Vec::new();
        let (mut from, mut at) = (0, 0);
        while at < self.tree.nodes.len() {
            if let Node::Open { kind: Kind::Heading { .. }, .. } = self.tree.nodes[at] {
                sections.push(from..at);
                from = at;
            }
            at = self.beside(at);
        }
        sections.push(from..at);
        sections
    }

    /// All sections that have something to say, each heading on a line of its own.
    fn readable(&mut self) -> String {
        let tidying = Tidying { lists: self.rules.lists, leftovers: self.rules.tidy };
        let mut sections = Vec::new();
        for range in self.sections() {
            self.remove(range.clone(), false);
            let (mut level, mut title, mut body) = (0, String::new(), range.clone());
            if let Some(Node::Open { kind: Kind::Heading { level: depth }, .. }) = self.tree.nodes.get(range.start) {
                level = *depth;
                body.start = self.beside(range.start);
                self.strip(range.start..body.start, &mut title);
                title = tidy::tidy(&title, tidying).replace('\n', " ");
            }
            let mut text = String::new();
            self.strip(body, &mut text);
            sections.push((level, title, tidy::tidy(&text, tidying)));
        }
        // A heading stays for what is below it, be it a section of its own.
        let mut stays = vec![true; sections.len()];
        let mut next = 0;
        for (at, (level, _, text)) in sections.iter().enumerate().rev() {
            stays[at] = !text.is_empty() || (!self.rules.filled_headings && *level > 0) || next > *level.max(&1);
            if stays[at] {
                next = *level;
            }
        }
        let mut page = String::with_capacity(self.page.len() / 2);
        for ((_, title, text), stays) in sections.iter().zip(stays) {
            for (part, before) in [(title, "\n\n"), (text, "\n")] {
                if !stays || part.is_empty() {
                    continue;
                }
                if !page.is_empty() {
                    page.push_str(if title.is_empty() { "\n\n" } else { before });
                }
                page.push_str(part);
            }
        }
        page
    }

    /// Marks what goes, and finds what is shown of categories.
    fn remove(&mut self, range: Range<usize>, within: bool) {
        self.remove_files(range.clone(), within);
        self.remove_tags(range, within);
    }

    /// The original removes from lists that it walks through at the same time: within other markup
    /// it passes over whatever comes right after something that it has removed.
    fn passes_over(&self, within: bool) -> bool {
        within && !self.rules.all_files
    }

    fn remove_files(&mut self, range: Range<usize>, within: bool) {
        let mut at = range.start;
        let mut pass_over = false;
        while at < range.end {
            let next = self.beside(at);
            if !std::mem::take(&mut pass_over) {
                match self.tree.nodes[at] {
                    Node::Open { kind: Kind::Link { from, to }, .. } if self.names.is_file(self.slice(from, to)) => {
                        self.removed[at] = true;
                        pass_over = self.passes_over(within);
                    }
                    Node::Open { kind, .. } => {
                        if let Kind::Link { from, to } = kind {
                            let title = self.slice(from, to);
                            if self.rules.without_languages && self.names.is_other_language(title) {
                                self.removed[at] = true;
                            } else if self.names.is_category(title) {
                                if self.rules.without_categories {
                                    self.removed[at] = true;
                                } else {
                                    let shown = self.category(at + 1..next);
                                    self.categories.insert(at, shown);
                                }
                            }
                        }
                        self.remove_files(at + 1..next, true);
                    }
                    _ => {}
                }
            }
            at = next;
        }
    }

    fn remove_tags(&mut self, range: Range<usize>, within: bool) {
        let mut at = range.start;
        let mut pass_over = false;
        while at < range.end {
            let next = self.beside(at);
            if self.removed[at] || std::mem::take(&mut pass_over) {
                at = next;
                continue;
            }
            match self.tree.nodes[at] {
                Node::Open { kind: Kind::Removed, .. } => {
                    self.removed[at] = true;
                    pass_over = self.passes_over(within);
                }
                Node::Open { .. } => self.remove_tags(at + 1..next, true),
                _ => {}
            }
            at = next;
        }
    }

    /// What is shown of a link to a category: its sort key or its name, which is wikitext again.
    fn category(&self, range: Range<usize>) -> String {
        let mut shown = String::new();
        self.strip(range, &mut shown);
        let name = self.names.without_category(&shown);
        if !name.bytes().any(is_mark) {
            return name.to_owned();
        }
        self.within(name)
    }

    /// The text of wikitext that came out of the page's.
    fn within(&self, wikitext: &str) -> String {
        let mut text = String::new();
        if let Ok(mut cleaner) = Cleaner::new(wikitext, self.names, self.rules, self.depth + 1) {
            let all = 0..cleaner.tree.nodes.len();
            cleaner.remove(all.clone(), true);
            cleaner.strip(all, &mut text);
        }
        text
    }

    /// Appends the text of some nodes: no newlines around it, and never three of them together.
    fn strip(&self, range: Range<usize>, out: &mut String) {
        let start = out.len();
        let mut at = range.start;
        while at < range.end {
            let next = self.beside(at);
            if !self.removed[at] {
                match self.tree.nodes[at] {
                    Node::Text { from, to } => out.push_str(self.slice(from, to)),
                    Node::Character(character) => out.push(character),
                    Node::Open { kind, .. } => match self.categories.get(&at) {
                        Some(category) => out.push_str(category),
                        None => self.open(kind, at + 1..next, out),
                    },
                }
            }
            at = next;
        }
        // Bold that was not closed on its line takes the end of the line with it.
        if !self.rules.tidy {
            few_newlines(out, start);
        }
    }

    /// Appends what is shown of markup.
    fn open(&self, kind: Kind, inner: Range<usize>, out: &mut String) {
        let rules = self.rules;
        match kind {
            Kind::Item(mark) if rules.lists || rules.tidy => {
                out.push(MARK);
                out.push(char::from(mark));
            }
            Kind::Template { from, to } if rules.inline_templates && self.depth < DEEPEST => {
                if let Some(wikitext) = inline::shown(self.slice(from, to)) {
                    out.push_str(&self.within(&wikitext));
                }
            }
            Kind::Hidden { from, to } if rules.formulas => formula(self.slice(from, to), out),
            Kind::Tag { from, to } if rules.formulas || rules.tidy => {
                let name = self.slice(from, to);
                let start = out.len();
                if name.eq_ignore_ascii_case("br") {
                    return out.push_str(if rules.tidy { "\n" } else { "" });
                }
                let verbatim = rules.tidy && ["pre", "source", "syntaxhighlight"].contains(&name);
                if verbatim {
                    out.push('\n');
                    out.push(VERBATIM);
                }
                self.strip(inner, out);
                if verbatim {
                    out.push(VERBATIM_ENDS);
                    out.push('\n');
                } else if rules.formulas
                    && let Some(digits) = small_digits(name)
                {
                    make_small(digits, start, out);
                }
            }
            Kind::Link { from, to } if rules.tidy => {
                let start = out.len();
                self.strip(inner, out);
                // A file by a name of the namespace that nobody knows: `[[Picture:a.jpg|thumb|b]]`.
                if out[start..].contains('|') && is_file(self.slice(from, to)) {
                    return out.truncate(start);
                }
                // `[[:Category:a]]` is read without its first colon.
                if self.slice(from, from + 1) == ":" && out[start..].starts_with(':') {
                    out.remove(start);
                }
            }
            _ => self.strip(inner, out),
        }
    }
}

/// Whether a title ends like a file's.
fn is_file(title: &str) -> bool {
    let ending = title.rsplit('.').next().unwrap_or_default().trim().to_ascii_lowercase();
    let endings =
        ["jpg", "jpeg", "png", "svg", "gif", "tif", "tiff", "webp", "pdf", "djvu", "ogg", "oga", "ogv", "webm"];
    title.contains(':') && endings.contains(&ending.as_str())
}

/// `<math>…</math>` as TeX between dollar signs; of other tags nothing.
fn formula(tag: &str, out: &mut String) {
    let (Some(open), Some(close)) = (tag.find('>'), tag.rfind("</")) else { return };
    let Some(tex) = tag.get(open + 1..close).map(str::trim).filter(|tex| !tex.is_empty()) else { return };
    let name = tag.get(1..5).unwrap_or_default();
    if name.eq_ignore_ascii_case("math") {
        out.push('$');
        out.push_str(&tex.replace('\n', " "));
        out.push('$');
    }
}

const ABOVE: [char; 14] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹', '⁺', '⁻', '⁻', '⁻'];
const BELOW: [char; 14] = ['₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉', '₊', '₋', '₋', '₋'];

/// Small digits and signs, in the order of [`make_small`]'s.
fn small_digits(tag: &str) -> Option<&'static [char; 14]> {
    match tag {
        "sup" => Some(&ABOVE),
        "sub" => Some(&BELOW),
        _ => None,
    }
}

/// Makes what was appended small, if all of it can be.
fn make_small(digits: &[char; 14], start: usize, out: &mut String) {
    let small = |character: char| "0123456789+-−–".chars().position(|known| known == character).map(|at| digits[at]);
    if let Some(appended) = out[start..].chars().map(small).collect::<Option<String>>() {
        out.truncate(start);
        out.push_str(&appended);
    }
}

/// Takes newlines from both ends of what was appended from `start` on, and leaves two of each three
/// or more.
fn few_newlines(out: &mut String, start: usize) {
    let appended = &out[start..];
    let leading = appended.len() - appended.trim_start_matches('\n').len();
    if leading > 0 {
        out.drain(start..start + leading);
    }
    let length = out[start..].trim_end_matches('\n').len();
    out.truncate(start + length);
    let Some(first) = memchr::memmem::find(&out.as_bytes()[start..], b"\n\n\n") else { return };
    let rest = out.split_off(start + first);
    let mut newlines = 0;
    for character in rest.chars() {
        newlines = if character == '\n' { newlines + 1 } else { 0 };
        if newlines <= 2 {
            out.push(character);
        }
    }
}

/// Appends a text without behaviour switches such as `__NOTOC__`: two underscores, Latin capitals,
/// two underscores.
fn without_switches(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest.as_bytes(), b"__") {
        let capitals = rest[at + 2..].bytes().take_while(u8::is_ascii_uppercase).count();
        let end = at + 2 + capitals;
        if rest[end..].starts_with("__") {
            out.push_str(&rest[..at]);
            rest = &rest[end + 2..];
        } else {
            out.push_str(&rest[..at + 1]);
            rest = &rest[at + 1..];
        }
    }
    out.push_str(rest);
}
