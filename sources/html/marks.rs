//! What the attributes of an element say of its content.
//!
//! Sites name things alike: `<div class="sidebar">`, `id="comments"`. The words are those that
//! templates of the wide-spread systems use; a word alone never decides (see `extract`).

use std::collections::HashMap;

use super::tags::Tag;
use super::tokens::Start;

/// A set of what is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    pub const NONE: Marks = Marks(0);
    /// Navigation, advertising, sharing and the like.
    pub const BOILERPLATE: Marks = Marks(1);
    /// What readers wrote below.
    pub const COMMENTS: Marks = Marks(2);
    /// The text itself.
    pub const CONTENT: Marks = Marks(4);
    /// Not shown.
    pub const HIDDEN: Marks = Marks(8);
    /// A link that leads somewhere.
    pub const LINK: Marks = Marks(16);
    /// Small things within a text that are none of it: edit links, numbers of notes.
    pub const CLUTTER: Marks = Marks(32);
    /// The page's head, or its foot.
    pub const EDGE: Marks = Marks(64);

    pub fn has(self, marks: Marks) -> bool {
        self.0 & marks.0 != 0
    }

    fn with(self, marks: Marks) -> Marks {
        Marks(self.0 | marks.0)
    }
}

/// Classes that were looked at before: a page repeats few of them often.
#[derive(Default)]
pub struct Seen<'a>(HashMap<&'a str, Marks>);

/// Classes of one element beyond this are not looked at.
const LONGEST: usize = 400;

impl<'a> Seen<'a> {
    /// What an element's attributes say of it.
    pub fn marks_of(&mut self, tag: Tag, start: &Start<'a>) -> Marks {
        let mut marks = Marks::NONE;
        if start.href && tag == Tag::A {
            marks = marks.with(Marks::LINK);
        }
        if start.hidden || is_hidden(start.style) {
            marks = marks.with(Marks::HIDDEN);
        }
        if !start.class.is_empty() {
            marks = marks.with(*self.0.entry(start.class).or_insert_with(|| of_names(start.class)));
        }
        // A heading's id is its words.
        if !start.id.is_empty() && tag.heading().is_none() {
            marks = marks.with(*self.0.entry(start.id).or_insert_with(|| of_names(start.id)));
        }
        match start.role {
            "navigation" | "complementary" | "search" | "menu" | "menubar" | "dialog" | "alertdialog" | "toolbar"
            | "tablist" | "alert" => marks = marks.with(Marks::BOILERPLATE),
            "banner" | "contentinfo" => marks = marks.with(Marks::EDGE),
            "main" | "article" => marks = marks.with(Marks::CONTENT),
            _ => {}
        }
        if start.itemprop.eq_ignore_ascii_case("articleBody") {
            marks = marks.with(Marks::CONTENT);
        }
        if tag == Tag::Sup && start.class.contains("reference") {
            marks = marks.with(Marks::CLUTTER);
        }
        match tag {
            Tag::Nav | Tag::Aside => marks.with(Marks::BOILERPLATE),
            Tag::Header | Tag::Footer => marks.with(Marks::EDGE),
            Tag::Main | Tag::Article => marks.with(Marks::CONTENT),
            _ => marks,
        }
    }
}

/// `display: none` and `visibility: hidden`.
fn is_hidden(style: &str) -> bool {
    let says = |name: &str, value: &str| {
        let mut rest = style;
        while let Some(at) = rest.find(name) {
            rest = &rest[at + name.len()..];
            let after = rest.trim_start().strip_prefix(':').map(str::trim_start);
            if after.is_some_and(|after| after.get(..value.len()).is_some_and(|said| said.eq_ignore_ascii_case(value)))
            {
                return true;
            }
        }
        false
    };
    !style.is_empty() && (says("display", "none") || says("visibility", "hidden"))
}

/// What a class or an id says, name by name and word by word.
fn of_names(names: &str) -> Marks {
    let mut marks = Marks::NONE;
    let names = names.get(..LONGEST).unwrap_or(if names.len() < LONGEST { names } else { "" });
    let mut whole = String::new();
    for name in names.split_ascii_whitespace() {
        whole.clear();
        // Where words begin in `whole`.
        let mut begins = [0; WORDS + 1];
        let mut count = 0;
        let mut before = '-';
        for letter in name.chars() {
            if letter.is_ascii_alphanumeric() {
                if !before.is_ascii_alphanumeric() || (letter.is_ascii_uppercase() && before.is_ascii_lowercase()) {
                    if let Some(begin) = begins.get_mut(count) {
                        *begin = whole.len();
                    }
                    count += 1;
                }
                whole.push(letter.to_ascii_lowercase());
            }
            before = letter;
        }
        marks = marks.with(of_whole(&whole));
        // A name of many words is a title: `why-we-share-cookies`.
        if count > WORDS {
            continue;
        }
        for (place, begin) in begins[..count].iter().enumerate() {
            let end = if place + 1 < count { begins[place + 1] } else { whole.len() };
            let word = &whole[*begin..end];
            marks = marks.with(of_word(word));
            if place + 1 == count {
                marks = marks.with(of_last_word(word));
            }
        }
    }
    marks
}

/// Words that a name of a place has at most.
const WORDS: usize = 3;

/// A word of a name, as in `site-nav` or `siteNav`.
fn of_word(word: &str) -> Marks {
    match word {
        "nav" | "navbar" | "navigation" | "menu" | "submenu" | "dropdown" | "sidebar" | "sidenav" | "breadcrumb"
        | "breadcrumbs" | "crumbs" | "pagination" | "pager" | "paging" | "pagenav" | "toolbar" | "topbar"
        | "navbox" | "catlinks" | "noprint" | "toc" | "skip" | "share" | "sharing" | "sharebar" | "addthis"
        | "sharethis" | "social" | "socials" | "jetpack" | "sharedaddy" | "cookie" | "cookies" | "consent" | "gdpr"
        | "newsletter" | "subscribe" | "subscription" | "signup" | "login" | "promo" | "promotion" | "advert"
        | "adverts" | "advertisement" | "advertising" | "ad" | "ads" | "adsense" | "sponsor" | "sponsored"
        | "sponsors" | "banner" | "popup" | "modal" | "overlay" | "lightbox" | "related" | "recommended"
        | "recommendations" | "recirc" | "outbrain" | "taboola" | "trending" | "popular" | "mostread" | "widget"
        | "widgets" | "masthead" | "copyright" | "disclaimer" | "carousel" | "ticker" | "printfriendly" | "donate"
        | "sitemap" | "blogroll" | "prevnext" | "nocontent" => Marks::BOILERPLATE,
        "comment" | "comments" | "commentlist" | "disqus" | "respond" | "livefyre" | "replies" | "discussion" => {
            Marks::COMMENTS
        }
        "footer" | "header" | "foot" | "colophon" => Marks::EDGE,
        _ => Marks::NONE,
    }
}

/// A word that says so at the end of a name alone: `post-author`, but not `author-jane`.
fn of_last_word(word: &str) -> Marks {
    match word {
        "tags" | "taglist" | "author" | "authors" | "bio" | "byline" | "dateline" | "timestamp" | "meta"
        | "metadata" | "postmeta" | "credit" | "credits" | "rating" | "ratings" | "follow" | "feedback" | "tooltip"
        | "teaser" | "archives" => Marks::BOILERPLATE,
        _ => Marks::NONE,
    }
}

/// A name as a whole, without what joins its words.
fn of_whole(name: &str) -> Marks {
    match name {
        "articlebody" | "articlecontent" | "articletext" | "postcontent" | "postbody" | "postentry"
        | "entrycontent" | "entrybody" | "storybody" | "storycontent" | "storytext" | "bodycontent" | "mainarticle"
        | "blogpost" | "bodytext" | "newscontent" | "newsbody" | "newstext" | "contentbody" | "mwcontenttext"
        | "mwparseroutput" | "articlebodycontent" | "maincontent" | "markdownbody" | "hentry" => Marks::CONTENT,
        "mweditsection" | "editsection" | "headerlink" | "anchorlink" | "visuallyhidden" | "sronly"
        | "screenreadertext" | "screenreaderonly" | "mwjumplink" | "mwcitebacklink" | "nodisplay" => Marks::CLUTTER,
        _ if name.len() > 8
            && [
                "sidebar",
                "breadcrumb",
                "newsletter",
                "navigation",
                "cookiebar",
                "relatedpost",
                "sharebutton",
                "socialmedia",
            ]
            .iter()
            .any(|part| name.contains(part)) =>
        {
            Marks::BOILERPLATE
        }
        _ => Marks::NONE,
    }
}
