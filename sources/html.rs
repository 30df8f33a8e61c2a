//! Web pages: from an HTTP response, as crawlers keep it, to the main text of its HTML.
//!
//! [`page`] decodes a response, [`main_text`] finds what the page is about. Both take any bytes
//! and any text, in time that grows with their length alone.

mod charset;
mod entities;
mod extract;
mod http;
mod marks;
mod tags;
mod tokens;
mod tree;

pub use extract::{Extracted, main_text};
pub use http::{Kind, Page, REASONS, Unread, page};
