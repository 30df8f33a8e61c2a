//! What cc_net noted of a page: measured by stages before this one, or told by its source.

use corpus::{Document, Signal};

use super::Found;

pub(super) fn measure(document: &Document, found: &mut Found<'_>) {
    let told = |name: &str| match document.signals.get(name) {
        Some(Signal::Integer(value)) => Some(*value as f64),
        Some(Signal::Number(value)) => Some(*value),
        Some(Signal::Text(_) | Signal::Spans(_)) => None,
        None => document.meta.word(name).and_then(|word| word.parse().ok()),
    };
    // Of a text that cc_net never saw, what it would have counted.
    found.number("ccnet_length", told("length").or_else(|| Some(super::characters(document) as f64)));
    found.number("ccnet_original_length", told("original_length"));
    found.number("ccnet_nlines", told("nlines").or_else(|| Some(document.newline_lines().len() as f64)));
    found.number("ccnet_original_nlines", told("original_nlines"));
    found.number("ccnet_language_score", told("language_score"));
    found.number("ccnet_perplexity", told("perplexity"));
    let bucket = match document.signals.get("bucket") {
        Some(Signal::Text(bucket)) => Some(bucket.to_string()),
        _ => document.meta.word("bucket"),
    };
    let number = match bucket.as_deref() {
        Some("head") => Some(0.0),
        Some("middle") => Some(1.0),
        Some("tail") => Some(2.0),
        _ => None,
    };
    found.number("ccnet_bucket", number);
}
