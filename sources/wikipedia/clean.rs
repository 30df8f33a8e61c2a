//! The text of a page, out of its markup.

use std::collections::BTreeMap;
use std::ops::Range;

use super::markup::{self, Kind, Node, Tangled, Tree, is_mark, is_space};
use super::names::Names;

/// What is done otherwise than the original does it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// Files and references that stand side by side within other markup all go.
    pub all_files: bool,
}

/// Cleans a page as the `wikipedia` script of Hugging Face does (version 2.0.0): section by section,
/// links to files, references and tables go, links to categories become the category's name, then
/// all markup goes.
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
    let mut text = String::with_capacity(page.len() / 2);
    let mut cleaner = Cleaner::new(page, names, rules)?;
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
    tree: Tree,
    removed: Vec<bool>,
    /// Links to categories, with what is shown of them.
    categories: BTreeMap<usize, String>,
}

impl<'p> Cleaner<'p> {
    fn new(page: &'p str, names: &'p Names, rules: Rules) -> Result<Cleaner<'p>, Tangled> {
        let tree = markup::read(page)?;
        let removed = vec![false; tree.nodes.len()];
        Ok(Cleaner { page, names, rules, tree, removed, categories: BTreeMap::new() })
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
            if let Node::Open { kind: Kind::Heading, .. } = self.tree.nodes[at] {
                sections.push(from..at);
                from = at;
            }
            at = self.beside(at);
        }
        sections.push(from..at);
        sections
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
                        if let Kind::Link { from, to } = kind
                            && self.names.is_category(self.slice(from, to))
                        {
                            let shown = self.category(at + 1..next);
                            self.categories.insert(at, shown);
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
        let Ok(mut cleaner) = Cleaner::new(name, self.names, self.rules) else { return String::new() };
        let all = 0..cleaner.tree.nodes.len();
        cleaner.remove(all.clone(), true);
        let mut shown = String::new();
        cleaner.strip(all, &mut shown);
        shown
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
                    Node::Open { .. } if self.categories.contains_key(&at) => out.push_str(&self.categories[&at]),
                    Node::Open { .. } => self.strip(at + 1..next, out),
                }
            }
            at = next;
        }
        few_newlines(out, start);
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
