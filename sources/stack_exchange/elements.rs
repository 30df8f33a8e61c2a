//! The elements of HTML as libxml2 2.10 knows them: which of them end others, which have no content.
//!
//! Observed, pair by pair, through lxml 4.9.4.

use std::sync::LazyLock;

/// The name of an element.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'h> {
    /// As it is written.
    pub name: &'h str,
    /// Its place in [`NAMES`].
    pub known: Option<u8>,
}

impl Tag<'_> {
    pub fn new(name: &str) -> Tag<'_> {
        let known = NAMES.binary_search_by(|known| {
            let lower = name.bytes().map(|byte| byte.to_ascii_lowercase());
            known.bytes().cmp(lower)
        });
        Tag { name, known: known.ok().map(|at| at as u8) }
    }

    /// The name in lower case, if it means anything here; otherwise nothing.
    pub fn known(&self) -> &'static str {
        self.known.map_or("", |at| NAMES[usize::from(at)])
    }

    /// Whether it is the same name.
    pub fn is(&self, other: &Tag<'_>) -> bool {
        match (self.known, other.known) {
            (None, None) => self.name.eq_ignore_ascii_case(other.name),
            (one, other) => one == other,
        }
    }
}

/// Every name that means something, sorted.
const NAMES: [&str; 89] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "area",
    "b",
    "base",
    "basefont",
    "bdo",
    "big",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "fieldset",
    "font",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "hr",
    "html",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "isindex",
    "kbd",
    "legend",
    "li",
    "link",
    "map",
    "menu",
    "meta",
    "noframes",
    "ol",
    "optgroup",
    "option",
    "p",
    "param",
    "pre",
    "q",
    "rp",
    "rt",
    "s",
    "samp",
    "script",
    "small",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "xmp",
];

/// Elements without content.
const EMPTY: [&str; 13] =
    ["area", "base", "basefont", "br", "col", "frame", "hr", "img", "input", "isindex", "link", "meta", "param"];

/// An open element, and the elements whose beginning ends it.
const ENDED_BY: &str = "\
    a: a fieldset table td th
    address: dd dl dt form li ul
    b: center p td th
    big: p
    caption: col colgroup tbody tfoot thead tr
    colgroup: colgroup tbody tfoot thead tr
    dd: dt
    dir: dd dl dt form ul
    dl: form li
    dt: dd dl
    font: center td th
    form: form
    h1: fieldset form li p table
    h2: fieldset form li p table
    h3: fieldset form li p table
    h4: fieldset form li p table
    h5: fieldset form li p table
    h6: fieldset form li p table
    head: a abbr acronym address b bdo big blockquote body br center cite code dd dfn dir div dl dt em fieldset font \
       form frameset h1 h2 h3 h4 h5 h6 head hr html i iframe img kbd li map menu ol p pre q s samp small span strike \
       strong sub sup table tt u ul var xmp
    i: center p td th
    legend: fieldset
    li: li
    menu: dd dl dt form ul
    ol: form ul
    option: optgroup option
    p: address blockquote body caption center col colgroup dd dir div dl dt fieldset form frameset h1 h2 h3 h4 h5 h6 head \
       hr li menu ol p pre table tbody td tfoot th title tr ul xmp
    pre: dd dl dt fieldset form li table ul
    s: p
    small: p
    span: td th
    strike: p
    tbody: tbody tfoot
    td: tbody td tfoot th tr
    tfoot: tbody
    th: tbody td tfoot th tr
    thead: tbody tfoot
    title: body frameset
    tr: tbody tfoot tr
    tt: p
    u: p td th
    ul: address form menu ol pre
    xmp: dd dl dt fieldset form li table ul";

/// What is known of a name.
#[derive(Clone, Copy, Default)]
pub struct Element {
    /// A bit for each name whose beginning ends it.
    pub ended_by: u128,
    /// It has no content, and so no end tag.
    pub empty: bool,
    /// An end tag ends no open element of a higher weight.
    pub weight: u8,
}

static ELEMENTS: LazyLock<[Element; NAMES.len()]> = LazyLock::new(|| {
    let mut elements = [Element { weight: 100, ..Element::default() }; NAMES.len()];
    let at = |name: &str| NAMES.binary_search(&name).unwrap_or(0);
    for line in ENDED_BY.lines() {
        let Some((name, by)) = line.trim().split_once(':') else { continue };
        elements[at(name)].ended_by = by.split_whitespace().fold(0, |bits, name| bits | 1 << at(name));
    }
    for name in EMPTY {
        elements[at(name)].empty = true;
    }
    let weights = [
        (150, "div"),
        (160, "td th"),
        (170, "tr"),
        (180, "thead tbody tfoot"),
        (190, "table"),
        (200, "head body"),
        (220, "html"),
    ];
    for (weight, names) in weights {
        for name in names.split_whitespace() {
            elements[at(name)].weight = weight;
        }
    }
    elements
});

/// What is known of an element.
pub fn element(tag: &Tag<'_>) -> Element {
    let unknown = Element { weight: 100, ..Element::default() };
    tag.known.map_or(unknown, |at| ELEMENTS[usize::from(at)])
}
