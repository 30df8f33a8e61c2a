//! The elements of HTML that matter here, and how each behaves.

macro_rules! tags {
    ($($tag:ident $name:literal $kind:ident,)*) => {
        /// An element's name, or [`Tag::Text`] for a stretch of text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Tag { Text, Other, Custom, $($tag,)* }

        impl Tag {
            /// How many tags there are.
            pub const COUNT: usize = 3 + [$(Tag::$tag),*].len();

            /// The tag of a name in lower case.
            pub fn of(name: &[u8]) -> Tag {
                match name {
                    $($name => Tag::$tag,)*
                    // A name with a hyphen is an element of the page's own making.
                    _ if name.contains(&b'-') => Tag::Custom,
                    _ => Tag::Other,
                }
            }

            /// How it behaves.
            pub fn kind(self) -> Kind {
                match self {
                    Tag::Text | Tag::Other | Tag::Custom => Kind::Inline,
                                        $(Tag::$tag => Kind::$kind,)*
                }
            }
        }
    };
}

/// How an element behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Part of a line.
    Inline,
    /// Begins and ends lines.
    Block,
    /// Has no content and no end tag.
    Void,
    /// Its content is no markup, and not for readers.
    Raw,
    /// Its content is not for readers.
    Unread,
}

tags! {
    A b"a" Inline,
    Abbr b"abbr" Inline,
    Address b"address" Block,
    Annotation b"annotation" Unread,
    Area b"area" Void,
    Article b"article" Block,
    Aside b"aside" Block,
    Audio b"audio" Unread,
    B b"b" Inline,
    Base b"base" Void,
    Blockquote b"blockquote" Block,
    Body b"body" Block,
    Br b"br" Void,
    Button b"button" Unread,
    Canvas b"canvas" Unread,
    Caption b"caption" Block,
    Center b"center" Block,
    Code b"code" Inline,
    Col b"col" Void,
    Datalist b"datalist" Unread,
    Dd b"dd" Block,
    Details b"details" Block,
    Dialog b"dialog" Unread,
    Dir b"dir" Block,
    Div b"div" Block,
    Dl b"dl" Block,
    Dt b"dt" Block,
    Embed b"embed" Void,
    Fieldset b"fieldset" Block,
    Figcaption b"figcaption" Block,
    Figure b"figure" Block,
    Footer b"footer" Block,
    Form b"form" Block,
    Frame b"frame" Void,
    Frameset b"frameset" Unread,
    H1 b"h1" Block,
    H2 b"h2" Block,
    H3 b"h3" Block,
    H4 b"h4" Block,
    H5 b"h5" Block,
    H6 b"h6" Block,
    Head b"head" Unread,
    Header b"header" Block,
    Hgroup b"hgroup" Block,
    Hr b"hr" Void,
    Html b"html" Block,
    I b"i" Inline,
    Iframe b"iframe" Raw,
    Img b"img" Void,
    Input b"input" Void,
    Label b"label" Inline,
    Legend b"legend" Block,
    Li b"li" Block,
    Link b"link" Void,
    Main b"main" Block,
    Map b"map" Unread,
    Menu b"menu" Block,
    Meta b"meta" Void,
    Nav b"nav" Block,
    Noembed b"noembed" Raw,
    Noframes b"noframes" Raw,
    Noscript b"noscript" Unread,
    Object b"object" Unread,
    Ol b"ol" Block,
    Optgroup b"optgroup" Unread,
    Option b"option" Unread,
    P b"p" Block,
    Param b"param" Void,
    Plaintext b"plaintext" Block,
    Pre b"pre" Block,
    Rp b"rp" Unread,
    Rt b"rt" Unread,
    Script b"script" Raw,
    Search b"search" Unread,
    Section b"section" Block,
    Select b"select" Unread,
    Source b"source" Void,
    Span b"span" Inline,
    Style b"style" Raw,
    Sub b"sub" Inline,
    Summary b"summary" Block,
    Sup b"sup" Inline,
    Svg b"svg" Unread,
    Table b"table" Block,
    Tbody b"tbody" Block,
    Td b"td" Block,
    Template b"template" Unread,
    Textarea b"textarea" Raw,
    Tfoot b"tfoot" Block,
    Th b"th" Block,
    Thead b"thead" Block,
    Title b"title" Raw,
    Tr b"tr" Block,
    Track b"track" Void,
    Ul b"ul" Block,
    Video b"video" Unread,
    Wbr b"wbr" Void,
    Xmp b"xmp" Raw,
}

impl Tag {
    /// The level of a heading.
    pub fn heading(self) -> Option<u8> {
        (Tag::H1..=Tag::H6).contains(&self).then(|| self as u8 - Tag::H1 as u8 + 1)
    }

    /// Whether an end tag outside of it does not reach into it, nor one inside out of it.
    pub fn is_wall(self) -> bool {
        matches!(self, Tag::Table | Tag::Td | Tag::Th | Tag::Caption | Tag::Html | Tag::Template | Tag::Object)
    }

    /// Whether its start ends an open `<p>`.
    pub fn ends_paragraph(self) -> bool {
        self.kind() == Kind::Block
            && !matches!(self, Tag::Html | Tag::Body | Tag::Caption)
            && !matches!(self, Tag::Td | Tag::Th | Tag::Tr | Tag::Tbody | Tag::Thead | Tag::Tfoot)
            || self == Tag::Hr
    }
}
