//! Signals of what a text is about, and what classifiers say of it.

use corpus::words::Split;
use corpus::{Document, Signal};
use memchr::{memchr_iter, memmem};

use super::{Files, Found, share};
use crate::fasttext::Model;

pub(super) fn measure(document: &Document, language: Option<&str>, files: &Files, found: &mut Found<'_>) {
    let text = document.text().as_bytes();
    if found.asks("rps_doc_curly_bracket") {
        let brackets = memchr_iter(b'{', text).count() + memchr_iter(b'}', text).count();
        let value = share(brackets as f64, super::characters(document)).unwrap_or(0.0);
        found.number("rps_doc_curly_bracket", Some(value));
    }
    let words = document.words(Split::Normalized);
    if found.asks("rps_doc_ldnoobw_words")
        && let Some(list) = language.and_then(|language| files.bad_words(language))
    {
        found.number("rps_doc_ldnoobw_words", Some(list.count(words) as f64));
    }
    if found.asks("rps_doc_lorem_ipsum") {
        let seen = memmem::find_iter(words.text().as_bytes(), "lorem ipsum").count();
        // Characters are counted only where there is something to count for.
        let value = if seen == 0 { 0.0 } else { seen as f64 / words.text().chars().count() as f64 };
        found.number("rps_doc_lorem_ipsum", Some(value));
    }
    if found.asks("rps_doc_stop_word_fraction")
        && let Some(list) = language.and_then(super::files::stop_words)
    {
        let raw = document.words(Split::WordPunct);
        let stops = if words.is_empty() { 0 } else { list.count(raw) };
        found.number("rps_doc_stop_word_fraction", Some(share(stops as f64, raw.len()).unwrap_or(0.0)));
    }
    if found.asks("rps_doc_ut1_blacklist")
        && let Some(category) = files.blocked_domains.as_ref().and_then(|list| list.category(document))
    {
        found.set("rps_doc_ut1_blacklist", Signal::Integer(i64::from(category)));
    }
}

/// What the classifiers say: the original has models for some languages alone.
pub(super) fn classify(document: &Document, language: Option<&str>, files: &Files, found: &mut Found<'_>) {
    let english = language == Some("en");
    let asked = [
        ("rps_doc_ml_palm_score", files.palm.as_deref().filter(|_| english)),
        ("rps_doc_ml_wikipedia_score", files.wikipedia.as_deref().filter(|_| !english)),
        ("rps_doc_ml_wikiref_score", files.wikiref.as_deref().filter(|_| english)),
    ];
    let mut text = None;
    for (name, model) in asked {
        if let Some(model) = model.filter(|_| found.asks(name)) {
            let text: &String = text.get_or_insert_with(|| one_line(document.text()));
            found.number(name, score(model, text));
        }
    }
}

/// The probability that a text is no crawled page: the label of those is `cc`.
fn score(model: &Model, text: &str) -> Option<f64> {
    if text.is_empty() {
        return None;
    }
    let best = model.predict_one(text)?;
    let probability = f64::from(best.probability);
    Some(if best.label == "cc" { 1.0 - probability } else { probability })
}

/// Lines joined with spaces, white space around them cut off: Python's `" ".join(text.splitlines()).strip()`.
fn one_line(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) =
        rest.find(['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'])
    {
        let end = rest[at..].chars().next().map_or(1, char::len_utf8);
        let end = if rest[at..].starts_with("\r\n") { 2 } else { end };
        joined.push_str(&rest[..at]);
        rest = &rest[at + end..];
        if !rest.is_empty() {
            joined.push(' ');
        }
    }
    joined.push_str(rest);
    joined.trim_matches(|character| corpus::python::Traits::of(character).is_white()).to_owned()
}
