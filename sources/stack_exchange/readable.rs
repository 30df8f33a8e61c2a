//! The text of a post as one would read it: paragraphs apart, lists with their marks, code as it was
//! typed.

use super::elements::Tag;
use super::libxml2::{self, Named, Tree};

/// Appends the text of a fragment, without white space at its ends.
pub fn text(html: &str, out: &mut String) {
    let start = out.len();
    let mut page = Page {
        out,
        start,
        gap: Gap::None,
        space: false,
        prefix: String::new(),
        blank: 0,
        marker: None,
        lists: Vec::new(),
        inside: Vec::new(),
        code: None,
        fence: None,
        nested: 0,
        hidden: 0,
    };
    libxml2::read(html, &mut page);
    let end = start + out[start..].trim_end().len();
    out.truncate(end);
}

/// What must come before the next text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Line,
    Paragraph,
}

struct Page<'o> {
    out: &'o mut String,
    start: usize,
    gap: Gap,
    space: bool,
    /// What every line begins with: the indentation of list items, the marks of quotes.
    prefix: String,
    /// How much of the prefix an empty line has here: what was around both sides of the gap.
    blank: usize,
    /// The mark of a list item that has no text yet.
    marker: Option<String>,
    /// The open lists: the number of the next item, if they are numbered.
    lists: Vec<Option<u32>>,
    /// For each open element that has changed it, how long the prefix was.
    inside: Vec<usize>,
    /// Where the text of inline code or of a superscript begins.
    code: Option<usize>,
    /// Where a block of code begins, and where its text does.
    fence: Option<(usize, usize)>,
    /// Blocks of code inside that block.
    nested: u32,
    hidden: u32,
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{a0}')
}

impl Page<'_> {
    fn at_start(&self) -> bool {
        self.out.len() == self.start
    }

    fn gap(&mut self, gap: Gap) {
        // What a list item begins with goes on its first line.
        if self.marker.is_none() {
            if self.gap == Gap::None {
                self.blank = self.prefix.len();
            }
            self.gap = self.gap.max(gap);
        }
    }

    /// Goes to where the next text stands.
    fn open(&mut self) {
        let fresh = self.gap != Gap::None || self.at_start();
        if fresh {
            let end = self.start + self.out[self.start..].trim_end_matches(' ').len();
            self.out.truncate(end);
            if !self.at_start() {
                self.out.push('\n');
                if self.gap == Gap::Paragraph {
                    self.out.push_str(self.prefix[..self.blank].trim_end());
                    self.out.push('\n');
                }
            }
            let outside = self.prefix.len() - self.marker.as_ref().map_or(0, String::len);
            self.out.push_str(&self.prefix[..outside]);
            match self.marker.take() {
                Some(marker) => self.out.push_str(&marker),
                None => self.out.push_str(&self.prefix[outside..]),
            }
        } else if self.space {
            self.out.push(' ');
        }
        self.gap = Gap::None;
        self.space = false;
    }

    fn words(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let space = rest.len() - rest.trim_start_matches(is_space).len();
            if space > 0 {
                self.space = true;
                rest = &rest[space..];
                continue;
            }
            let length = rest.find(is_space).unwrap_or(rest.len());
            self.open();
            self.out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }

    fn as_typed(&mut self, text: &str) {
        // A newline right after `<pre>` is not part of the code.
        let first = self.fence.is_some_and(|(_, start)| start == self.out.len());
        let text = if first { text.strip_prefix('\n').unwrap_or(text) } else { text };
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                self.out.push('\n');
                self.out.push_str(&self.prefix);
            }
            self.out.push_str(line.trim_end_matches('\r'));
        }
    }

    /// Everything up to the end of an element begins with this.
    fn indent(&mut self, by: &str) {
        self.inside.push(self.prefix.len());
        self.prefix.push_str(by);
    }

    fn outdent(&mut self) {
        if let Some(length) = self.inside.pop() {
            self.prefix.truncate(length);
            self.blank = self.blank.min(length);
        }
    }

    fn begin_item(&mut self) {
        if self.marker.is_some() {
            self.gap = self.gap.max(Gap::Line);
            self.open();
        }
        self.gap(Gap::Line);
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ => "- ".to_owned(),
        };
        self.indent(&" ".repeat(marker.len()));
        self.marker = Some(marker);
    }

    fn begin_block_of_code(&mut self, attributes: &str) {
        self.gap(Gap::Paragraph);
        self.open();
        let start = self.out.len();
        self.out.push_str("```");
        self.out.push_str(language(attributes).unwrap_or_default());
        self.out.push('\n');
        self.out.push_str(&self.prefix);
        self.fence = Some((start, self.out.len()));
    }

    fn end_block_of_code(&mut self) {
        let Some((start, text)) = self.fence.take() else { return };
        let end = text + self.out[text..].trim_end().len();
        if end == text {
            self.out.truncate(start);
            self.gap(Gap::Paragraph);
            return;
        }
        self.out.truncate(end);
        let longer = self.out[text..].contains("```");
        self.out.push('\n');
        self.out.push_str(&self.prefix);
        self.out.push_str("```");
        if longer {
            self.out.push('`');
            self.out.insert(start, '`');
        }
        self.gap(Gap::Paragraph);
    }

    /// `10<sup>6</sup>` is no 106.
    fn end_superscript(&mut self) {
        let Some(start) = self.code.take() else { return };
        let (before, raised) = (&self.out[self.start..start], &self.out[start..]);
        let digits = raised.strip_prefix(['-', '+', '\u{2212}']).unwrap_or(raised);
        let letter = digits.len() == 1 && digits.bytes().all(|byte| byte.is_ascii_alphabetic());
        let power = !digits.is_empty() && (digits.bytes().all(|byte| byte.is_ascii_digit()) || letter);
        let mut before = before.chars().rev();
        let last = before.next().unwrap_or(' ');
        let alone = !before.next().is_some_and(char::is_alphanumeric);
        if power && (last.is_ascii_digit() || last == ')' || (last.is_alphabetic() && alone)) {
            self.out.insert(start, '^');
        }
    }
}

/// The language of a block of code, from a class such as `lang-py`.
fn language(attributes: &str) -> Option<&str> {
    let (_, rest) = attributes.split_once("lang-")?;
    let length =
        rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'#' | b'-')).count();
    let language = &rest[..length];
    (!matches!(language, "" | "none" | "default")).then_some(language)
}

fn hides(tag: &Tag<'_>) -> bool {
    matches!(tag.known(), "script" | "style" | "template" | "title" | "rp")
}

impl Tree for Page<'_> {
    fn text(&mut self, text: &str) {
        if self.hidden > 0 {
        } else if self.fence.is_some() {
            self.as_typed(text);
        } else {
            self.words(text);
        }
    }

    /// The names of today's HTML, of which there are ten times as many.
    fn named(&self, name: &str) -> Option<Named> {
        quick_xml::escape::resolve_html5_entity(name).map(Named::Some)
    }

    fn start(&mut self, tag: &Tag<'_>, attributes: &str) {
        self.hidden += u32::from(hides(tag));
        if self.hidden > 0 || self.fence.is_some() {
            self.nested += u32::from(self.fence.is_some() && tag.known() == "pre");
            return;
        }
        match tag.known() {
            "p" | "div" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table" | "dl" | "hr" | "center" | "form"
            | "address" => self.gap(Gap::Paragraph),
            "ul" | "ol" => {
                self.gap(if self.lists.is_empty() { Gap::Paragraph } else { Gap::Line });
                self.lists.push((tag.known() == "ol").then(|| first_number(attributes)));
            }
            "li" => self.begin_item(),
            "blockquote" => {
                self.gap(Gap::Paragraph);
                if self.marker.is_some() {
                    self.open();
                    self.out.push_str("> ");
                }
                self.indent("> ");
            }
            "pre" => self.begin_block_of_code(attributes),
            "br" => self.gap(if self.gap == Gap::None { Gap::Line } else { Gap::Paragraph }),
            "tr" | "dt" | "dd" | "caption" => self.gap(Gap::Line),
            "td" | "th" if self.gap == Gap::None && !self.at_start() => {
                self.out.push_str(" |");
                self.space = true;
            }
            "code" | "sup" if self.code.is_none() => {
                self.open();
                self.code = Some(self.out.len());
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: &Tag<'_>) {
        let hidden = self.hidden > 0;
        self.hidden -= u32::from(hides(tag));
        if self.nested > 0 && tag.known() == "pre" {
            self.nested -= 1;
            return;
        }
        if hidden || (self.fence.is_some() && tag.known() != "pre") {
            return;
        }
        match tag.known() {
            "p" | "div" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table" | "dl" | "center" | "form" | "address" => {
                self.gap(Gap::Paragraph);
            }
            "ul" | "ol" => {
                self.lists.pop();
                self.gap(if self.lists.is_empty() { Gap::Paragraph } else { Gap::Line });
            }
            "li" => {
                // An item without text is none.
                self.marker = None;
                self.outdent();
                self.gap(Gap::Line);
            }
            "blockquote" => {
                self.outdent();
                self.gap(Gap::Paragraph);
            }
            "pre" => self.end_block_of_code(),
            "tr" | "dt" | "dd" | "caption" => self.gap(Gap::Line),
            "code" => {
                let Some(start) = self.code.take() else { return };
                if start < self.out.len() && !self.out[start..].contains(['`', '\n']) {
                    self.out.insert(start, '`');
                    self.out.push('`');
                }
            }
            "sup" => self.end_superscript(),
            _ => {}
        }
    }

    fn apart(&mut self) {}
}

/// The number that a list begins with.
fn first_number(attributes: &str) -> u32 {
    let digits = attributes.split_once("start=").map(|(_, rest)| rest.trim_start_matches(['"', '\'']));
    let digits = digits.and_then(|rest| rest.split(|digit: char| !digit.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(html: &str, expected: &str) {
        let mut out = String::from("before ");
        text(html, &mut out);
        assert_eq!(out.strip_prefix("before "), Some(expected), "{html}");
    }

    #[test]
    fn paragraphs_stand_apart_and_lines_are_joined() {
        check("<p>One\ntwo.</p>\n\n<p>Three<br>\nfour &amp; <b>five</b>.</p>\n", "One two.\n\nThree\nfour & five.");
        check("<h2>Head</h2><p>a</p><hr><p>b</p>", "Head\n\na\n\nb");
        check("<p>a<br><br>b</p>", "a\n\nb");
        check("<p>a&nbsp;b <img src=\"x\" alt=\"y\"> <a href=\"z\">c</a></p><p>&nbsp;</p><p>d</p>", "a b c\n\nd");
        check("A &subseteq; B &foo; &amp;lt; &#8804;", "A \u{2286} B &foo; &lt; \u{2264}");
        check("", "");
        check("plain", "plain");
    }

    #[test]
    fn code_is_as_it_was_typed() {
        let html = "<p>Try:</p>\n<pre class=\"lang-py prettyprint-override\"><code>if x &lt; 1:\n    y = 2\n\n</code></pre>\n<p>Use <code>y</code>.</p>";
        check(html, "Try:\n\n```py\nif x < 1:\n    y = 2\n```\n\nUse `y`.");
        check("<pre><code>a ``` b\n</code></pre>", "````\na ``` b\n````");
        check("<pre></pre>a", "a");
        check("<code>a`b</code>", "a`b");
        check("<ul><li>a<pre>b<div><pre>c</pre>d</div></pre>e</li></ul>", "- a\n\n  ```\n  bcd\n  ```\n\n  e");
    }

    #[test]
    fn lists_and_quotes_keep_their_marks() {
        check(
            "<ul>\n<li>a</li>\n<li>b\n<ol><li>c</li><li>d</li></ol></li>\n</ul><p>e</p>",
            "- a\n- b\n  1. c\n  2. d\n\ne",
        );
        check("<ol start=\"3\"><li><p>a</p>\n<p>b</p></li><li>c</li></ol>", "3. a\n\n   b\n\n4. c");
        check("<blockquote>\n<p>a</p>\n<p>b<br>c</p>\n</blockquote>\n<p>d</p>", "> a\n>\n> b\n> c\n\nd");
        check("<blockquote>a<blockquote><p>b</p></blockquote><p>c</p></blockquote>", "> a\n>\n> > b\n>\n> c");
        check("<blockquote><ul><li>a</li></ul><p>b</p></blockquote><blockquote>c</blockquote>", "> - a\n>\n> b\n\n> c");
        check("<ul><li><blockquote>a</blockquote></li><li></li><li>b</li></ul>", "- > a\n\n- b");
        check("<ul><li><pre><code>x\ny</code></pre></li></ul>", "- ```\n  x\n  y\n  ```");
    }

    #[test]
    fn tables_and_superscripts() {
        check("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>", "a | b\n1 | 2");
        check("10<sup>6</sup> x<sup>2</sup> 1<sup>st</sup> note<sup>1</sup> CO<sub>2</sub>", "10^6 x^2 1st note1 CO2");
    }
}
