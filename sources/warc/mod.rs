//! WARC, and ARC before it: records of a crawl, one after the other, each with a header of its own.
//!
//! `records` finds where a record begins and ends, `header` what it says of itself.

pub(crate) mod header;
pub(crate) mod records;

pub(crate) use header::Header;
pub(crate) use records::{Entry, Form, Records};
