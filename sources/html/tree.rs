//! A page as a tree, in one array: parents before children, in the page's order.
//!
//! It is less than what browsers build: end tags that are left out are added, those that fit
//! nothing are ignored, and nothing is moved. Depth is bounded, as browsers bound it.

use super::marks::{self, Marks};
use super::tags::{Kind, Tag};
use super::tokens::{Start, Token, Tokens};

/// Elements inside of one another; browsers take 512 and put what is deeper beside one another.
const DEPTH: usize = 512;

/// An element or a stretch of text.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    pub tag: Tag,
    /// What its class, its role and its other attributes say of it.
    pub marks: Marks,
    pub parent: u32,
    /// One beyond the last node inside of it.
    pub end: u32,
    /// A text's first byte and one beyond its last; an element's number of its name.
    pub from: u32,
    pub to: u32,
}

/// A page.
pub struct Tree<'a> {
    pub html: &'a str,
    pub nodes: Vec<Node>,
    /// The content of `<title>`, its references not resolved.
    pub title: &'a str,
    /// `lang` of `<html>`.
    pub lang: &'a str,
}

impl<'a> Tree<'a> {
    /// The tree of a page of less than 4 GiB; of a longer one, the tree of its beginning.
    pub fn of(html: &'a str) -> Tree<'a> {
        let html = if html.len() < u32::MAX as usize { html } else { "" };
        let root = Node { tag: Tag::Html, marks: Marks::NONE, parent: 0, end: 0, from: 0, to: 0 };
        let tree = Tree { html, nodes: vec![root], title: "", lang: "" };
        let mut builder = Builder { tree, open: vec![0], counts: [0; Tag::COUNT], seen: marks::Seen::default() };
        builder.counts[Tag::Html as usize] = 1;
        let mut title = false;
        for token in Tokens::of(html) {
            match token {
                Token::Text(from, to) if title => {
                    builder.tree.title = &html[from..to];
                    title = false;
                }
                Token::Text(from, to) => builder.text(from, to),
                // A drawing has titles of its own, and they come later.
                Token::Open(Start { tag: Some(Tag::Title), .. }) => title = builder.tree.title.is_empty(),
                Token::Open(start) => builder.open(&start),
                Token::Close(tag, name) => builder.close(tag, name),
            }
        }
        builder.close_to(0);
        let count = builder.tree.nodes.len() as u32;
        builder.tree.nodes[0].end = count;
        builder.tree
    }

    /// The element around a node.
    pub fn parent(&self, node: usize) -> usize {
        self.nodes[node].parent as usize
    }
}

struct Builder<'a> {
    tree: Tree<'a>,
    /// Open elements, the innermost last; the first is the root.
    open: Vec<u32>,
    /// How many of each tag are open.
    counts: [u32; Tag::COUNT],
    seen: marks::Seen<'a>,
}

impl<'a> Builder<'a> {
    fn top(&self) -> Tag {
        self.open.last().map_or(Tag::Html, |node| self.tree.nodes[*node as usize].tag)
    }

    fn push(&mut self, tag: Tag, marks: Marks, from: u32, to: u32) -> u32 {
        let at = self.tree.nodes.len() as u32;
        let parent = self.open.last().copied().unwrap_or(0);
        self.tree.nodes.push(Node { tag, marks, parent, end: at + 1, from, to });
        at
    }

    fn text(&mut self, from: usize, to: usize) {
        // What stands in raw elements is not for readers.
        if self.top().kind() != Kind::Raw {
            self.push(Tag::Text, Marks::NONE, from as u32, to as u32);
        }
    }

    fn open(&mut self, start: &Start<'a>) {
        let tag = start.tag.unwrap_or(Tag::Other);
        match tag {
            Tag::Html | Tag::Body => {
                if tag == Tag::Html && self.tree.lang.is_empty() {
                    self.tree.lang = start.lang;
                }
                // A second one adds its attributes to the first: only what it hides matters, and
                // nobody hides a whole page from readers.
                if tag == Tag::Body {
                    self.close_last(Tag::Head);
                }
                return;
            }
            Tag::Li => self.close_within(&[Tag::Li], &[Tag::Ul, Tag::Ol, Tag::Menu, Tag::Dir]),
            Tag::Dd | Tag::Dt => self.close_within(&[Tag::Dd, Tag::Dt], &[Tag::Dl]),
            Tag::Td | Tag::Th => self.close_within(&[Tag::Td, Tag::Th], &[Tag::Table]),
            Tag::Tr => self.close_within(&[Tag::Tr, Tag::Caption], &[Tag::Table]),
            Tag::Tbody | Tag::Thead | Tag::Tfoot => {
                self.close_within(&[Tag::Tbody, Tag::Thead, Tag::Tfoot, Tag::Caption], &[Tag::Table]);
            }
            Tag::Option => self.close_within(&[Tag::Option], &[Tag::Select]),
            Tag::A => self.close_within(&[Tag::A], &[]),
            Tag::Head | Tag::Script | Tag::Style | Tag::Meta | Tag::Link | Tag::Base => {}
            // What belongs to no head ends it.
            _ if tag.kind() != Kind::Raw && self.top() == Tag::Head && tag != Tag::Noscript => {
                self.close_last(Tag::Head)
            }
            _ => {}
        }
        if tag.ends_paragraph() && self.counts[Tag::P as usize] > 0 {
            self.close_within(&[Tag::P], &[Tag::Button]);
        }
        if tag.heading().is_some() && self.top().heading().is_some() {
            self.close_to(self.open.len() - 1);
        }
        let marks = self.seen.marks_of(tag, start);
        let node = self.push(tag, marks, start.name, 0);
        if tag.kind() != Kind::Void && self.open.len() < DEPTH {
            self.open.push(node);
            self.counts[tag as usize] += 1;
        }
    }

    fn close(&mut self, tag: Tag, name: u32) {
        if tag == Tag::Br {
            self.push(Tag::Br, Marks::NONE, 0, 0);
            return;
        }
        if matches!(tag, Tag::Html | Tag::Body) {
            return;
        }
        if self.counts[tag as usize] == 0 {
            if tag == Tag::P {
                // As in a browser, an end without a start is an empty paragraph.
                self.push(Tag::P, Marks::NONE, 0, 0);
            }
            return;
        }
        let inline = tag.kind() == Kind::Inline;
        let heading = tag.heading().is_some();
        for place in (1..self.open.len()).rev() {
            let node = self.tree.nodes[self.open[place] as usize];
            let same = node.tag == tag && (!matches!(tag, Tag::Other | Tag::Custom) || node.from == name);
            if same || (heading && node.tag.heading().is_some()) {
                self.close_to(place);
                return;
            }
            let is_own = matches!(tag, Tag::Table | Tag::Tr | Tag::Tbody | Tag::Thead | Tag::Tfoot | Tag::Td | Tag::Th);
            if node.tag.is_wall() && !is_own || inline && node.tag.kind() == Kind::Block {
                return;
            }
        }
    }

    /// Closes elements from a place in the stack on.
    fn close_to(&mut self, place: usize) {
        let end = self.tree.nodes.len() as u32;
        for node in self.open.drain(place.max(1).min(self.open.len())..) {
            let node = &mut self.tree.nodes[node as usize];
            node.end = end;
            self.counts[node.tag as usize] -= 1;
        }
    }

    fn close_last(&mut self, tag: Tag) {
        if self.counts[tag as usize] > 0
            && let Some(place) = self.open.iter().rposition(|node| self.tree.nodes[*node as usize].tag == tag)
        {
            self.close_to(place);
        }
    }

    /// Closes the innermost of some elements that is open, unless a wall stands before it.
    fn close_within(&mut self, tags: &[Tag], walls: &[Tag]) {
        if tags.iter().all(|tag| self.counts[*tag as usize] == 0) {
            return;
        }
        for place in (1..self.open.len()).rev() {
            let tag = self.tree.nodes[self.open[place] as usize].tag;
            if tags.contains(&tag) {
                self.close_to(place);
                return;
            }
            // A cell ends by the next cell, so cells are no walls there; tables are.
            let cells = matches!(tags[0], Tag::Td | Tag::Tr | Tag::Tbody);
            if walls.contains(&tag) || (tag.is_wall() && !cells) || tag == Tag::Table {
                return;
            }
        }
    }
}
