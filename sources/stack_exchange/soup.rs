//! The text of a post as the original had it: BeautifulSoup's `get_text`, over lxml.

use std::borrow::Cow;

use super::elements::Tag;
use super::libxml2::{self, Tree};

/// Appends the text of a fragment, list items marked by `*` as the original marked them.
pub fn text(html: &str, out: &mut String) {
    let data = out.len();
    let mut soup = Soup { data, out, kept: 0, hidden: 0 };
    libxml2::read(&marked(html), &mut soup);
    soup.node_ends();
}

/// The original's own replacements, before anything is parsed: `<ol>` becomes a bullet, too.
fn marked(html: &str) -> Cow<'_, str> {
    let mut marked: Option<String> = None;
    let (mut from, mut seen) = (0, 0);
    let bytes = html.as_bytes();
    while let Some(at) = memchr::memchr(b'<', &bytes[seen..]) {
        let at = seen + at;
        seen = at + 1;
        let rest = &bytes[at..];
        let (length, by) = match rest {
            _ if rest.starts_with(b"<li>") || rest.starts_with(b"<ol>") => (4, "\n*"),
            _ if rest.starts_with(b"</li>") || rest.starts_with(b"</ol>") => (5, ""),
            _ => continue,
        };
        let marked = marked.get_or_insert_with(|| String::with_capacity(html.len()));
        marked.push_str(&html[from..at]);
        marked.push_str(by);
        from = at + length;
        seen = from;
    }
    match marked {
        None => Cow::Borrowed(html),
        Some(mut marked) => {
            marked.push_str(&html[from..]);
            Cow::Owned(marked)
        }
    }
}

struct Soup<'o> {
    out: &'o mut String,
    /// Where the current text node begins.
    data: usize,
    /// Open elements whose white space is kept.
    kept: u32,
    /// Open elements whose text does not count.
    hidden: u32,
}

fn keeps_space(tag: &Tag<'_>) -> bool {
    matches!(tag.known(), "pre" | "textarea")
}

fn hides(tag: &Tag<'_>) -> bool {
    matches!(tag.known(), "script" | "style" | "template" | "rt" | "rp")
}

impl Soup<'_> {
    /// A text node of nothing but white space becomes one newline or one space.
    fn node_ends(&mut self) {
        let node = &self.out[self.data..];
        if node.is_empty() {
            return;
        }
        if self.hidden > 0 {
            self.out.truncate(self.data);
        } else if self.kept == 0 && node.bytes().all(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\x0c' | b'\r')) {
            let by = if node.contains('\n') { '\n' } else { ' ' };
            self.out.truncate(self.data);
            self.out.push(by);
        }
        self.data = self.out.len();
    }
}

impl Tree for Soup<'_> {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn start(&mut self, tag: &Tag<'_>, _: &str) {
        self.node_ends();
        self.kept += u32::from(keeps_space(tag));
        self.hidden += u32::from(hides(tag));
    }

    fn end(&mut self, tag: &Tag<'_>) {
        self.node_ends();
        self.kept -= u32::from(keeps_space(tag));
        self.hidden -= u32::from(hides(tag));
    }

    fn apart(&mut self) {
        self.node_ends();
    }
}
