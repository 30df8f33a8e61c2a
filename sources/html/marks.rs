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
        for names in [start.class, start.id] {
            if !names.is_empty() {
                marks = marks.with(*self.0.entry(names).or_insert_with(|| of_names(names)));
            }
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
    let mut word = String::new();
    for name in names.split_ascii_whitespace() {
        let mut whole = String::with_capacity(name.len());
        let mut before_lower = false;
        for letter in name.chars() {
            let begins = letter.is_ascii_uppercase() && before_lower;
            if !letter.is_ascii_alphanumeric() || begins {
                marks = marks.with(of_word(&word));
                word.clear();
            }
            if letter.is_ascii_alphanumeric() {
                word.push(letter.to_ascii_lowercase());
                whole.push(letter.to_ascii_lowercase());
            }
            before_lower = letter.is_ascii_lowercase();
        }
        marks = marks.with(of_word(&word)).with(of_whole(&whole));
        word.clear();
    }
    marks
}

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
        | "widgets" | "tags" | "taglist" | "masthead" | "copyright" | "disclaimer" | "paywall" | "tooltip"
        | "carousel" | "ticker" | "byline" | "author" | "authors" | "bio" | "dateline" | "timestamp" | "meta"
        | "metadata" | "postmeta" | "credit" | "credits" | "rating" | "ratings" | "print" | "printfriendly"
        | "donate" | "teaser" | "follow" | "feedback" | "sitemap" | "blogroll" | "archives" | "prevnext"
        | "nocontent" => Marks::BOILERPLATE,
        "comment" | "comments" | "commentlist" | "disqus" | "respond" | "livefyre" | "replies" | "discussion" => {
            Marks::COMMENTS
        }
        "footer" | "header" | "foot" | "colophon" => Marks::EDGE,
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
        "mweditsection" | "editsection" | "reference" | "headerlink" | "anchorlink" | "visuallyhidden" | "sronly"
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
