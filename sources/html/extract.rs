//! The main text of a page.
//!
//! Lines are told apart first (*blocks*), then weighed: sentences outside of links are *prose*.
//! What calls itself navigation, advertising, sharing and the like goes, unless most of the prose
//! is in it. The main element is found by going down from the page's root as long as one child has
//! nearly all the prose. What is left within it is judged block by block: by how much of it is
//! links, by how long it is, and by what stands around it. The ideas are those of the published
//! work on boilerplate (text and link density of blocks: Kohlschütter et al., WSDM 2010; context
//! of neighbours: Pomikálek 2011); the numbers are ours, chosen on the pages of `bench/extract`.

use super::entities;
use super::marks::Marks;
use super::tags::{Kind, Tag};
use super::tree::Tree;

/// What a page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The content of `<title>`.
    pub title: Option<String>,
    /// The language that the page says it is in: `lang` of `<html>`, as it is written there.
    pub language: Option<String>,
    /// The main text, one line a paragraph, heading, item or row.
    pub text: String,
}

/// The main text of a page. Any text is taken, in time and memory that grow with its length.
pub fn main_text(html: &str) -> Extracted {
    let tree = Tree::of(html);
    let mut title = String::new();
    entities::resolve(tree.title, &mut title);
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let lang = tree.lang.trim();
    Extracted {
        title: (!title.is_empty()).then_some(title),
        language: (!lang.is_empty() && lang.len() <= 35).then(|| lang.to_owned()),
        text: Page::of(&tree).text(),
    }
}

/// A line of a page: text without a block's begin or end in it.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Nodes from and to.
    from: u32,
    to: u32,
    /// The innermost element that is a block.
    around: u32,
    /// Letters, and those of them in links; a letter of a script without spaces counts double.
    letters: u32,
    linked: u32,
    /// How much of it is prose.
    prose: u32,
    /// Whether an item of a list begins with it.
    item: bool,
}

/// Letters of a block from which on it may be prose without looking like a sentence.
const LONG: u32 = 80;

/// Letters that a sentence has at least.
const SENTENCE: u32 = 25;

/// Letters below which a page has no text to speak of, and gives what else it has.
const FEW: u32 = 200;

struct Page<'a> {
    tree: &'a Tree<'a>,
    blocks: Vec<Block>,
    /// For each element the prose in it.
    prose: Vec<u32>,
}

impl<'a> Page<'a> {
    fn of(tree: &'a Tree<'a>) -> Page<'a> {
        let blocks = blocks(tree);
        let mut page = Page { tree, blocks, prose: Vec::new() };
        page.weigh(&|block, _| if block.prose > 0 { block.prose } else { (block.letters - block.linked) / 2 });
        page
    }

    /// Sums up what blocks weigh, element by element.
    fn weigh(&mut self, weight: &dyn Fn(&Block, Tag) -> u32) {
        let mut prose = vec![0u32; self.tree.nodes.len()];
        for block in &self.blocks {
            prose[block.around as usize] += weight(block, self.tree.nodes[block.around as usize].tag);
        }
        for node in (1..prose.len()).rev() {
            let parent = self.tree.parent(node);
            prose[parent] = prose[parent].saturating_add(prose[node]);
        }
        self.prose = prose;
    }

    fn text(mut self) -> String {
        let dropped = self.dropped();
        let is_dropped = |block: &Block| dropped[block.around as usize];
        let blocks = std::mem::take(&mut self.blocks);
        self.blocks = blocks.into_iter().filter(|block| !is_dropped(block)).collect();
        self.weigh(&|block, tag| match tag {
            _ if block.prose > 0 => block.prose,
            // Code, items and short paragraphs are some of a text.
            Tag::Pre | Tag::P | Tag::Li | Tag::Dd | Tag::Dt | Tag::Td if block.linked * 3 < block.letters => {
                (block.letters - block.linked) / 2
            }
            _ => 0,
        });
        let main = self.main();
        let (from, to) = (main as u32, self.tree.nodes[main].end);
        let within: Vec<Block> =
            self.blocks.iter().filter(|block| block.from >= from && block.from < to).copied().collect();
        let kept = self.judge(&within);
        let stays: u32 = within.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(block, _)| block.letters).sum();
        let all: u32 = self.blocks.iter().map(|block| block.letters).sum();
        if stays < FEW && stays < all / 2 {
            // A page of links, or of a few words: all that does not call itself boilerplate.
            return self.write(&self.blocks, &vec![true; self.blocks.len()]);
        }
        self.write(&within, &kept)
    }

    /// Which elements are boilerplate, with all that is in them.
    fn dropped(&self) -> Vec<bool> {
        let nodes = &self.tree.nodes;
        let total = self.prose[0];
        let comments: u32 = outermost(self.tree, Marks::COMMENTS).map(|node| self.prose[node]).sum();
        let beside_comments = total.saturating_sub(comments);
        let mut dropped = vec![false; nodes.len()];
        let mut content_until = 0;
        for at in 1..nodes.len() {
            let node = nodes[at];
            if dropped[node.parent as usize] {
                dropped[at] = true;
                continue;
            }
            if node.tag == Tag::Text {
                continue;
            }
            let share = self.prose[at];
            let is_inside_content = at < content_until;
            if node.marks.has(Marks::CONTENT) && share * 2 > total {
                content_until = content_until.max(node.end as usize);
            }
            let limit = if matches!(node.tag, Tag::Article | Tag::Main) {
                continue;
            } else if node.marks.has(Marks::BOILERPLATE) {
                total / 2
            } else if node.marks.has(Marks::COMMENTS) {
                if beside_comments > 400 { total } else { total / 2 }
            } else if node.marks.has(Marks::EDGE) && (!is_inside_content || node.tag == Tag::Footer) {
                total / 4
            } else if matches!(node.tag, Tag::Form | Tag::Fieldset) {
                total / 3
            } else {
                continue;
            };
            let is_place = node.tag.kind() == Kind::Block || node.tag == Tag::Custom;
            dropped[at] = is_place && node.tag.heading().is_none() && share <= limit;
        }
        dropped
    }

    /// The element that holds nearly all the prose.
    fn main(&self) -> usize {
        let nodes = &self.tree.nodes;
        let mut main = 0;
        while let Some(content) = self.content(main) {
            main = content;
        }
        loop {
            let mut child = main + 1;
            let mut best = (0, 0);
            while child < nodes[main].end as usize {
                if self.prose[child] > best.1 {
                    best = (child, self.prose[child]);
                }
                child = nodes[child].end as usize;
            }
            let (child, prose) = best;
            let node = nodes[child];
            let percent = if node.marks.has(Marks::CONTENT) { 50 } else { 88 };
            let is_room = matches!(
                node.tag,
                Tag::Div
                    | Tag::Section
                    | Tag::Article
                    | Tag::Main
                    | Tag::Body
                    | Tag::Center
                    | Tag::Form
                    | Tag::Custom
                    | Tag::Table
                    | Tag::Tbody
                    | Tag::Tr
                    | Tag::Td
                    | Tag::Span
                    | Tag::Other
            );
            if prose == 0 || !is_room || u64::from(prose) * 100 < u64::from(self.prose[main]) * percent {
                return main;
            }
            main = child;
        }
    }

    /// The one element in another that calls itself the content and has a good part of the prose.
    fn content(&self, main: usize) -> Option<usize> {
        let nodes = &self.tree.nodes;
        let all = u64::from(self.prose[main]);
        let mut found = None;
        let mut at = main + 1;
        while at < nodes[main].end as usize {
            let prose = u64::from(self.prose[at]);
            if prose * 10 < all || prose < 250 {
                // Too little; and so is all that is in it.
                at = nodes[at].end as usize;
                continue;
            }
            if nodes[at].marks.has(Marks::CONTENT) {
                if found.is_some() || prose * 10 < all * 3 {
                    return None;
                }
                found = Some(at);
                at = nodes[at].end as usize;
                continue;
            }
            at += 1;
        }
        found
    }

    /// Which blocks of the main element are kept.
    fn judge(&self, blocks: &[Block]) -> Vec<bool> {
        let nodes = &self.tree.nodes;
        let (lists, rows) = self.lists(blocks);
        let has_prose = blocks.iter().any(|block| block.prose > 0);
        let mut kept = vec![false; blocks.len()];
        for (place, block) in blocks.iter().enumerate() {
            let tag = nodes[block.around as usize].tag;
            if tag.heading().is_some() {
                continue;
            }
            if lists[block.around as usize] {
                continue;
            }
            let is_mostly_links = block.linked * 5 > block.letters * 3;
            kept[place] = match tag {
                Tag::Pre => true,
                _ if block.prose > 0 => true,
                // A list and a row stay whole: a film's title may be a link, its plot is none.
                Tag::Li => true,
                Tag::Td | Tag::Th => !is_mostly_links || rows[nodes[block.around as usize].parent as usize],
                Tag::P | Tag::Dd | Tag::Dt | Tag::Blockquote | Tag::Caption => !is_mostly_links,
                _ => block.linked * 3 < block.letters && (!has_prose || block.letters >= SENTENCE),
            };
        }
        // A heading stays for what stays below it, up to the next of its level or above.
        let mut below = [false; 7];
        for (place, block) in blocks.iter().enumerate().rev() {
            match nodes[block.around as usize].tag.heading() {
                Some(level) => {
                    let level = usize::from(level);
                    kept[place] =
                        below[level..].iter().any(|stays| *stays) && block.linked * 2 <= block.letters.max(1) * 2;
                    if kept[place] {
                        below[level - 1] = true;
                    }
                    below[level..].fill(false);
                }
                None => {
                    if kept[place] {
                        below[6] = true;
                    }
                }
            }
        }
        kept
    }

    /// Elements in a list or a table that is mostly links, and rows of some length that are not.
    fn lists(&self, blocks: &[Block]) -> (Vec<bool>, Vec<bool>) {
        let nodes = &self.tree.nodes;
        let mut sums = vec![(0u32, 0u32, 0u32); nodes.len()];
        for block in blocks {
            let sum = &mut sums[block.around as usize];
            *sum = (sum.0 + block.letters, sum.1 + block.linked, sum.2 + 1);
        }
        for node in (1..nodes.len()).rev() {
            let (letters, linked, count) = sums[node];
            let sum = &mut sums[nodes[node].parent as usize];
            *sum = (sum.0.saturating_add(letters), sum.1.saturating_add(linked), sum.2.saturating_add(count));
        }
        let mut lists = vec![false; nodes.len()];
        let mut rows = vec![false; nodes.len()];
        for at in 1..nodes.len() {
            let (letters, linked, count) = sums[at];
            let is_list = matches!(nodes[at].tag, Tag::Ul | Tag::Ol | Tag::Dl | Tag::Table | Tag::Menu);
            let is_links = linked * 2 > letters && letters < count * LONG;
            lists[at] = lists[nodes[at].parent as usize] || (is_list && is_links);
            rows[at] = nodes[at].tag == Tag::Tr && linked * 5 < letters * 4 && letters < 10 * LONG;
        }
        (lists, rows)
    }

    fn write(&self, blocks: &[Block], kept: &[bool]) -> String {
        let nodes = &self.tree.nodes;
        let mut out = String::new();
        let mut line = String::new();
        // The cell that was written last, and the length of its text.
        let mut cell = (0, 0);
        for (block, _) in blocks.iter().zip(kept).filter(|(_, kept)| **kept) {
            let around = nodes[block.around as usize];
            line.clear();
            self.line(block, &mut line);
            if line.is_empty() {
                continue;
            }
            let is_cell = matches!(around.tag, Tag::Td | Tag::Th);
            let goes_on = is_cell && cell.0 == around.parent && cell.1 < 200 && !line.contains('\n');
            if !out.is_empty() {
                out.push_str(if goes_on { " | " } else { "\n" });
            }
            if block.item {
                out.push_str("- ");
            }
            out.push_str(&line);
            cell = if is_cell { (around.parent, line.len()) } else { (0, 0) };
        }
        out
    }

    /// The text of a block: white space is one space, `<br>` a new line; `<pre>` is as it is.
    fn line(&self, block: &Block, out: &mut String) {
        let nodes = &self.tree.nodes;
        let is_pre = nodes[block.around as usize].tag == Tag::Pre;
        let mut raw = String::new();
        let mut at = block.from as usize;
        let mut space = false;
        while at < block.to as usize {
            let node = nodes[at];
            match node.tag {
                Tag::Text => {
                    raw.clear();
                    entities::resolve(&self.tree.html[node.from as usize..node.to as usize], &mut raw);
                    if is_pre {
                        out.push_str(&raw);
                    } else {
                        collapse(&raw, &mut space, out);
                    }
                }
                Tag::Br => {
                    while out.ends_with(' ') {
                        out.pop();
                    }
                    if is_pre || (!out.is_empty() && !out.ends_with('\n')) {
                        out.push('\n');
                    }
                    space = false;
                }
                _ if is_unread(&node) => {
                    at = node.end as usize;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        let trimmed =
            if is_pre { out.trim_end().trim_start_matches(['\n', '\r']).to_owned() } else { out.trim().to_owned() };
        out.clear();
        // In a page read whole, lines end as its author's editor ended them.
        for (number, part) in trimmed.lines().enumerate() {
            if number > 0 {
                out.push('\n');
            }
            out.push_str(part.trim_end());
        }
    }
}

/// Appends a text with each stretch of white space as one space.
fn collapse(text: &str, space: &mut bool, out: &mut String) {
    for letter in text.chars() {
        match letter {
            ' ' | '\t' | '\n' | '\r' | '\x0c' | '\u{a0}' => *space = true,
            // A soft hyphen and the marks of zero width say where a line may break.
            '\u{ad}' | '\u{200b}' | '\u{feff}' | '\0' => {}
            _ => {
                if *space && !out.is_empty() && !out.ends_with('\n') {
                    out.push(' ');
                }
                *space = false;
                out.push(letter);
            }
        }
    }
}

fn is_unread(node: &super::tree::Node) -> bool {
    matches!(node.tag.kind(), Kind::Raw | Kind::Unread)
        || node.marks.has(Marks::HIDDEN)
        || (node.marks.has(Marks::CLUTTER) && node.tag.kind() == Kind::Inline)
}

/// Elements with a mark that are in no other with it.
fn outermost<'a>(tree: &'a Tree<'a>, marks: Marks) -> impl Iterator<Item = usize> + 'a {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(node) = tree.nodes.get(at) {
            let here = at;
            at += 1;
            if node.marks.has(marks) && node.tag.kind() == Kind::Block {
                at = node.end as usize;
                return Some(here);
            }
        }
        None
    })
}

/// The blocks of a page, in its order.
fn blocks(tree: &Tree) -> Vec<Block> {
    let nodes = &tree.nodes;
    let mut blocks = Vec::new();
    // Elements that are blocks and not at their end yet.
    let mut around: Vec<u32> = vec![0];
    let mut current: Option<Block> = None;
    let mut link_until = 0;
    let mut item = false;
    let mut weight = Weight::default();
    let mut at = 1;
    while at < nodes.len() {
        let node = &nodes[at];
        while around.len() > 1 && around.last().is_some_and(|block| nodes[*block as usize].end as usize <= at) {
            around.pop();
            finish(&mut current, &mut weight, at, &mut blocks);
        }
        if is_unread(node) {
            at = node.end as usize;
            continue;
        }
        match node.tag {
            Tag::Text => {
                let text = &tree.html[node.from as usize..node.to as usize];
                let letters = weight.add(text);
                if letters > 0 || current.is_some() {
                    let around = around.last().copied().unwrap_or(0);
                    let block = current.get_or_insert_with(|| Block {
                        from: at as u32,
                        to: 0,
                        around,
                        letters: 0,
                        linked: 0,
                        prose: 0,
                        item: std::mem::take(&mut item),
                    });
                    block.letters += letters;
                    if at < link_until {
                        block.linked += letters;
                    }
                }
            }
            Tag::Hr => finish(&mut current, &mut weight, at, &mut blocks),
            tag => {
                if tag == Tag::A && node.marks.has(Marks::LINK) {
                    link_until = link_until.max(node.end as usize);
                }
                if tag.kind() == Kind::Block {
                    finish(&mut current, &mut weight, at, &mut blocks);
                    around.push(at as u32);
                    item = tag == Tag::Li || (item && matches!(tag, Tag::P | Tag::Div));
                }
            }
        }
        at += 1;
    }
    finish(&mut current, &mut weight, at, &mut blocks);
    blocks
}

fn finish(current: &mut Option<Block>, weight: &mut Weight, at: usize, blocks: &mut Vec<Block>) {
    let weight = std::mem::take(weight);
    if let Some(mut block) = current.take() {
        block.to = at as u32;
        let outside = block.letters.saturating_sub(block.linked);
        // The first sentence of an encyclopedia's article may be links for the most part.
        let is_sentence = weight.ends > 0 && outside >= SENTENCE && block.linked <= outside * 3;
        if is_sentence || (outside >= LONG && block.linked <= outside) {
            block.prose = outside;
        }
        blocks.push(block);
    }
}

/// What a block's letters say of it.
#[derive(Default)]
struct Weight {
    /// Ends of sentences.
    ends: u32,
}

impl Weight {
    /// Letters of a text; a reference counts as one, `&nbsp;` as none.
    fn add(&mut self, text: &str) -> u32 {
        let mut letters = 0;
        let mut before = ' ';
        let mut reference = 0;
        for letter in text.chars() {
            if reference > 0 {
                reference = if letter == ';' || reference > 8 { 0 } else { reference + 1 };
                continue;
            }
            match letter {
                ' ' | '\t' | '\n' | '\r' | '\x0c' | '\u{a0}' => {
                    self.ends += u32::from(matches!(before, '.' | '!' | '?' | '…'));
                }
                '。' | '！' | '？' | '।' | '။' => {
                    self.ends += 1;
                    letters += 2;
                }
                '&' => reference = 1,
                '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => letters += 2,
                _ => letters += 1,
            }
            before = letter;
        }
        self.ends += u32::from(matches!(before, '.' | '!' | '?' | '…'));
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(html: &str, text: &str) {
        assert_eq!(main_text(html).text, text, "{html}");
    }

    const ONE: &str = "The harbour froze over in the second week of January, and nobody had seen that before.";
    const TWO: &str = "Boats stood in the ice as if somebody had drawn them, and the children walked among them.";

    #[test]
    fn paragraphs_headings_and_lists_are_lines() {
        check(
            &format!("<h1>Ice</h1><p>{ONE}\n <b>Really</b>.</p><h2>Boats</h2><p>{TWO}<ul><li>one<li><p>two</ul>"),
            &format!("Ice\n{ONE} Really.\nBoats\n{TWO}\n- one\n- two"),
        );
    }

    #[test]
    fn rows_of_tables_are_lines() {
        check(
            &format!("<p>{ONE}</p><table><tr><th>Year<th>Ice<tr><td>1929<td>40 cm</table><p>{TWO}"),
            &format!("{ONE}\nYear | Ice\n1929 | 40 cm\n{TWO}"),
        );
    }

    #[test]
    fn code_keeps_its_lines() {
        check(
            &format!("<p>{ONE}</p><pre>\nfn main() {{\n    go();\n}}\n</pre><p>{TWO}"),
            &format!("{ONE}\nfn main() {{\n    go();\n}}\n{TWO}"),
        );
    }

    #[test]
    fn what_calls_itself_navigation_goes() {
        let around = [
            "<nav><p>Home. Products. About all of us.</p></nav>",
            "<div class='site-sidebar'><p>Read our other stories, they are just as good.</p></div>",
            "<footer>Copyright, all rights reserved, and so on and on.</footer>",
            "<div id=cookieConsent><p>We use cookies. By going on you agree to all of them.</p></div>",
            "<ul><li><a href=/a>One</a><li><a href=/b>Two</a></ul>",
            "<p style='display: none'>Nobody sees this sentence, however long it is.</p>",
            "<script>if (a < b) { document.write('<p>') }</script><style>p { color: red }</style>",
            "<div class=comments><p>I was there too, and it was much colder than that.</p></div>",
        ];
        for other in around {
            check(&format!("{other}<div><p>{ONE}<p>{TWO}</div>"), &format!("{ONE}\n{TWO}"));
            check(&format!("<div><p>{ONE}<p>{TWO}</div>{other}"), &format!("{ONE}\n{TWO}"));
        }
    }

    /// Themes call the whole page `layout-sidebar`, or the text `widget`.
    #[test]
    fn a_class_does_not_drop_most_of_a_page() {
        check(&format!("<div class='page has-sidebar'><p>{ONE}<p>{TWO}</div>"), &format!("{ONE}\n{TWO}"));
        check(&format!("<form id=aspnet><div><p>{ONE}<p>{TWO}</div></form>"), &format!("{ONE}\n{TWO}"));
    }

    #[test]
    fn a_heading_without_text_below_goes() {
        let page = format!("<h1>Ice</h1><p>{ONE}</p><h2>Related</h2><ul><li><a href=/>More ice</a></ul>");
        check(&page, &format!("Ice\n{ONE}"));
    }

    #[test]
    fn title_and_language_are_told() {
        let page = main_text("<html lang=en-GB><head><title>\n Ice &amp; boats </title></head><body>a");
        assert_eq!((page.title.as_deref(), page.language.as_deref()), (Some("Ice & boats"), Some("en-GB")));
    }

    #[test]
    fn a_page_without_prose_gives_what_it_has() {
        check("<html><body><h1>Sold out</h1><p>Come back in May</p></body></html>", "Sold out\nCome back in May");
        check("just words", "just words");
        check("", "");
        check("<p>", "");
    }

    #[test]
    fn scripts_without_spaces_are_prose_too() {
        let text = "一月の第二週に港が凍り、誰もそれを見たことがなかった。子供たちは船の間を歩いた。";
        check(&format!("<div class=nav><a href=/>家</a></div><div>{text}</div>"), text);
    }

    /// Pages in `tests/pages`, each with its text beside it; `UPDATE=1` writes that anew.
    #[test]
    fn pages_give_their_text() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/pages");
        let mut pages = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "html") {
                continue;
            }
            let text = main_text(&std::fs::read_to_string(&path).unwrap()).text + "\n";
            let beside = path.with_extension("txt");
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&beside, &text).unwrap();
            }
            assert_eq!(text, std::fs::read_to_string(&beside).unwrap(), "{}", path.display());
            pages += 1;
        }
        assert!(pages >= 8);
    }

    #[test]
    fn hostile_pages_take_time_by_their_length() {
        for (piece, count) in [
            ("<div>", 50_000),
            ("<p><a href=x>", 30_000),
            ("<table><tr><td>", 20_000),
            ("</b>", 50_000),
            ("<b><div></b>", 20_000),
            ("<x-y></a-b>", 20_000),
            ("<ul><li>", 30_000),
            ("<!---->", 30_000),
            ("</ >", 30_000),
            ("<", 100_000),
            ("&", 100_000),
            ("<a b='", 30_000),
            ("<script>", 30_000),
            ("<h1>a", 30_000),
            ("<br>", 50_000),
        ] {
            let text = main_text(&piece.repeat(count)).text;
            assert!(text.len() <= piece.len() * count);
        }
    }

    #[test]
    fn no_text_panics() {
        let page = format!(
            "<html lang=a><!-- é --><div class='aé-Bc'><p>{ONE}</p><a href=\"é\">&eacute;</a><pre>\n€</pre><table><td>ü"
        );
        for (cut, _) in page.char_indices() {
            main_text(&page[..cut]);
            main_text(&page[cut..]);
            for other in ['<', '>', '"', '&', '/', '=', '!', '\0', 'é'] {
                main_text(&format!("{}{other}{}", &page[..cut], &page[cut..]));
            }
        }
    }
}
