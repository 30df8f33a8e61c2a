//! Leaves what RefinedWeb's line rules leave, as DCLM's baseline has them.

use std::borrow::Cow;

use corpus::{Document, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heuristics::{characters, is_letter};
use crate::{Stage, Workspace};

/// Leaves lines that are neither mostly capitals, nor digits alone, nor a counter (`5.2M views`), nor
/// a single word, and takes `items in cart`, `Read more...` and `Sign-in` from short ones.
///
/// These are the line rules of RefinedWeb (Penedo et al. 2023, appendix G.2) with the numbers of DCLM's
/// baseline (Li et al. 2024). Empty lines stay, but not more than one in a row. `dclm` measures how much
/// goes; DCLM drops a page that loses more than 5 % of its words.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DclmLines {}

/// Capitals of a line that is shouted, per character.
const CAPITALS: f64 = 0.5;
/// Words of a line that is short enough to be a button.
const SHORT: usize = 10;
/// What is counted below posts.
const COUNTED: [&str; 12] = [
    "likes",
    "shares",
    "comments",
    "retweets",
    "reposts",
    "quotes",
    "bookmarks",
    "upvotes",
    "downvotes",
    "downloads",
    "views",
    "followers",
];

impl Stage for DclmLines {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let mut left = String::new();
        for line in document.text().split('\n') {
            let Some(line) = kept(line) else { continue };
            // Of empty lines one stays.
            if line.is_empty() && (left.is_empty() || left.ends_with("\n\n")) {
                continue;
            }
            left.push_str(&line);
            left.push('\n');
        }
        let end = left.trim_end_matches('\n').len();
        left.truncate(end);
        if left != document.text() {
            document.edit(left);
        }
        Verdict::Keep
    }
}

/// What is left of a line, if it stays.
pub(crate) fn kept(line: &str) -> Option<Cow<'_, str>> {
    if line.trim().is_empty() {
        return Some("".into());
    }
    let length = characters(line);
    let capitals = line.chars().filter(|c| c.is_uppercase()).count();
    let digits = line.chars().filter(|c| c.is_numeric()).count();
    if capitals as f64 > CAPITALS * length as f64 || digits as u64 == length || is_counter(line) {
        return None;
    }
    let words = words_in(line);
    if words < 2 {
        return None;
    }
    if words > SHORT {
        return Some(line.into());
    }
    let mut left: Cow<'_, str> = line.into();
    if left.contains("items in cart") {
        left = left.replace("items in cart", "").into();
    }
    if let Some(rest) = left.strip_suffix("Read more...") {
        left = rest.to_owned().into();
    }
    if let Some(rest) = left.strip_prefix("Sign-in") {
        left = rest.to_owned().into();
    }
    if left.trim().is_empty() { None } else { Some(left) }
}

/// Words of a line that have a letter or a digit.
pub(crate) fn words_in(line: &str) -> usize {
    line.split_whitespace().filter(|word| word.chars().any(|c| is_letter(c) || c.is_numeric())).count()
}

/// Words of a text, and those that its line rules leave.
pub(crate) fn counted(text: &str) -> (u64, u64) {
    let (mut all, mut left) = (0, 0);
    for line in text.split('\n') {
        let words = words_in(line) as u64;
        all += words;
        left += match kept(line) {
            None => 0,
            Some(Cow::Borrowed(_)) => words,
            Some(Cow::Owned(line)) => words_in(&line) as u64,
        };
    }
    (all, left)
}

/// A number, with `K`, `M` or `B` or without, and what is counted: `1,234 likes`.
fn is_counter(line: &str) -> bool {
    let is_word = |c: char| is_letter(c) || c.is_numeric() || c == '_';
    let core = line.trim_matches(|c| !is_word(c));
    let number = core.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',' || c == '.');
    if number.len() == core.len() {
        return false;
    }
    let rest = number.strip_prefix(['K', 'k', 'M', 'm', 'B', 'b']).unwrap_or(number);
    let what = rest.trim_start();
    what.len() < rest.len() && COUNTED.contains(&what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::edited;

    #[test]
    fn what_is_no_prose_goes() {
        edited(
            "dclm_lines: {}",
            "SUBSCRIBE NOW\nWe walked to the sea.\n5.2M views\n2021\nHome",
            "We walked to the sea.",
        );
        edited(
            "dclm_lines: {}",
            "0 items in cart\nThe sea Read more...\nSign-in here please",
            "0 \nThe sea \n here please",
        );
        edited("dclm_lines: {}", "One line.\n\n\n\nTwo lines.\n\n", "One line.\n\nTwo lines.");
        edited("dclm_lines: {}", "", "");
    }

    #[test]
    fn counters_are_told_from_prose() {
        for (line, counter) in [
            ("1,234 likes", true),
            ("· 10K followers ·", true),
            ("10 dogs", false),
            ("likes", false),
            ("3likes", false),
        ] {
            assert_eq!(is_counter(line), counter, "{line}");
        }
    }
}
