//! What a stretch of wikitext lies inside of: flags that decide which markup counts there.

/// A set of the flags below.
pub(super) type Inside = u64;

pub(super) const TEMPLATE_NAME: Inside = 1 << 0;
pub(super) const TEMPLATE_KEY: Inside = 1 << 1;
pub(super) const TEMPLATE_VALUE: Inside = 1 << 2;
pub(super) const TEMPLATE: Inside = TEMPLATE_NAME | TEMPLATE_KEY | TEMPLATE_VALUE;
pub(super) const ARGUMENT_NAME: Inside = 1 << 3;
pub(super) const ARGUMENT_DEFAULT: Inside = 1 << 4;
pub(super) const ARGUMENT: Inside = ARGUMENT_NAME | ARGUMENT_DEFAULT;
pub(super) const LINK_TITLE: Inside = 1 << 5;
pub(super) const LINK_TEXT: Inside = 1 << 6;
pub(super) const LINK: Inside = LINK_TITLE | LINK_TEXT;
pub(super) const ADDRESS: Inside = 1 << 7;
pub(super) const ADDRESS_TITLE: Inside = 1 << 8;
pub(super) const HEADING: Inside = 1 << 9;
pub(super) const TAG_OPEN: Inside = 1 << 10;
pub(super) const TAG_ATTRIBUTE: Inside = 1 << 11;
pub(super) const TAG_BODY: Inside = 1 << 12;
pub(super) const TAG_CLOSE: Inside = 1 << 13;
pub(super) const ITALICS: Inside = 1 << 14;
pub(super) const BOLD: Inside = 1 << 15;
/// Italics in which a bold mark found no partner: read once more, they may end at it.
pub(super) const ITALICS_AGAIN: Inside = 1 << 16;
/// Italics that are read for the second time.
pub(super) const ITALICS_SECOND: Inside = 1 << 17;
pub(super) const TERM: Inside = 1 << 18;
pub(super) const TABLE_OPEN: Inside = 1 << 19;
pub(super) const TABLE_ROW: Inside = 1 << 20;
pub(super) const TABLE_CELL: Inside = 1 << 21;
/// A cell in which a `|` would end its attributes.
pub(super) const CELL_STYLE: Inside = 1 << 22;
pub(super) const CELL_LINE: Inside = 1 << 23;
pub(super) const HEADER_LINE: Inside = 1 << 24;
pub(super) const CELL_LINES: Inside = CELL_LINE | HEADER_LINE | CELL_STYLE;

/// There was text, so a template has a name.
pub(super) const HAS_TEXT: Inside = 1 << 32;
/// A template within a template's name, which may be all of it.
pub(super) const HAS_TEMPLATE: Inside = 1 << 33;
/// The name's line has ended: more text is none of it.
pub(super) const NO_MORE_TEXT: Inside = 1 << 34;
/// Whatever comes next breaks the construct, unless it turns out to be one of its own.
pub(super) const NOTHING_NEXT: Inside = 1 << 35;
pub(super) const AFTER_LEFT_BRACE: Inside = 1 << 36;
pub(super) const AFTER_RIGHT_BRACE: Inside = 1 << 37;
pub(super) const NO_EQUALS: Inside = 1 << 38;

/// A construct that has to be closed.
pub(super) const TO_BE_CLOSED: Inside = TEMPLATE
    | ARGUMENT
    | LINK
    | ADDRESS_TITLE
    | HEADING
    | TAG_OPEN
    | TAG_ATTRIBUTE
    | TAG_BODY
    | TAG_CLOSE
    | ITALICS
    | BOLD
    | ITALICS_AGAIN
    | ITALICS_SECOND
    | TABLE_OPEN
    | TABLE_ROW
    | TABLE_CELL
    | CELL_LINES;
/// Where not every character may stand.
pub(super) const NARROW: Inside = TEMPLATE_NAME | LINK_TITLE | ADDRESS_TITLE | TEMPLATE_KEY | ARGUMENT_NAME | TAG_CLOSE;
/// What is read in a frame of its own within the frame of its construct.
pub(super) const SECOND_FRAME: Inside = TEMPLATE_KEY | TAG_CLOSE | TABLE_ROW;
pub(super) const NO_LINKS: Inside = TEMPLATE_NAME | ARGUMENT_NAME | LINK_TITLE | ADDRESS;
pub(super) const NO_ADDRESSES: Inside = TEMPLATE_NAME | ARGUMENT_NAME | LINK_TITLE | ADDRESS | ADDRESS_TITLE;
