//! Signals of repetition: how much of a text is in n-grams that are there more than once.

use corpus::Document;
use corpus::ngrams::Repeats;
use corpus::words::{Split, Words};

use super::Found;

const TOP: [(usize, &str); 3] =
    [(2, "rps_doc_frac_chars_top_2gram"), (3, "rps_doc_frac_chars_top_3gram"), (4, "rps_doc_frac_chars_top_4gram")];

const DUPLICATE: [(usize, &str); 6] = [
    (5, "rps_doc_frac_chars_dupe_5grams"),
    (6, "rps_doc_frac_chars_dupe_6grams"),
    (7, "rps_doc_frac_chars_dupe_7grams"),
    (8, "rps_doc_frac_chars_dupe_8grams"),
    (9, "rps_doc_frac_chars_dupe_9grams"),
    (10, "rps_doc_frac_chars_dupe_10grams"),
];

pub(super) fn measure(document: &Document, repeats: &mut Repeats, found: &mut Found<'_>) {
    let words = document.words(Split::Normalized);
    let ascii = words.text().is_ascii();
    let whole = super::language::characters(words);
    // Characters of the words from one to before another.
    let length = |from: usize, to: usize| match (ascii, words.spans().get(from..to)) {
        (_, None | Some([])) => 0,
        (true, Some([first, .., last])) => (last.end - first.start) as usize + 1 - (to - from),
        (true, Some([one])) => (one.end - one.start) as usize,
        (false, Some(_)) => (from..to).map(|at| words.get(at).chars().count()).sum(),
    };
    let share = |part: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    repeats.start(words.distinct());
    for (n, name) in TOP {
        repeats.lengthen();
        let most = repeats.most().map_or(0, |(at, count)| length(at as usize, at as usize + n) * count as usize);
        found.number(name, Some(share(most)));
    }
    for (n, name) in DUPLICATE {
        repeats.lengthen();
        found.number(name, Some(share(covered(repeats, n, words, &length))));
    }
}

/// Characters of the words that any repeated n-gram covers.
fn covered(repeats: &Repeats, n: usize, words: Words<'_>, length: &impl Fn(usize, usize) -> usize) -> usize {
    let mut covered = 0;
    let mut up_to = 0;
    for place in repeats.places() {
        let (from, to) = ((place.at as usize).max(up_to), (place.at as usize + n).min(words.len()));
        covered += length(from, to);
        up_to = to;
    }
    covered
}
