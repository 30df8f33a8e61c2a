//! Writes what FineWeb's own rules judge.

use corpus::words::{Span, Split};
use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use memchr::memchr_iter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heuristics::{characters, duplicates, is_terminal, place, share, strip};
use crate::{Stage, Workspace};

/// Writes what the rules judge that FineWeb adds to Gopher's and C4's (Penedo et al. 2024, section 3.6).
///
/// Measured as datatrove measures it: lines end at `\n` alone, and those of white space do not count; a
/// line ends well if its very last character ends sentences in some script. A share is 0 where there
/// is nothing to share. `keep_if: { preset: fineweb }` after it judges.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fineweb {}

const WRITES: [SignalSpec; 4] = [
    SignalSpec {
        name: "fineweb_frac_lines_end_punctuation",
        kind: SignalKind::Number,
        about: "share of lines that end with a sign that ends sentences",
    },
    SignalSpec {
        name: "fineweb_dup_line_char_frac",
        kind: SignalKind::Number,
        about: "share of characters in lines that came before",
    },
    SignalSpec {
        name: "fineweb_frac_short_lines",
        kind: SignalKind::Number,
        about: "share of lines of at most 30 characters",
    },
    SignalSpec {
        name: "fineweb_newline_to_word_ratio",
        kind: SignalKind::Number,
        about: "line ends per word, signs included",
    },
];

/// Characters of a line that is short (Penedo et al. 2024, section 3.6).
const SHORT: u64 = 30;

impl Stage for Fineweb {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let text = document.text();
        let mut lines: Vec<Span> = Vec::new();
        let (mut ending, mut short) = (0, 0);
        for line in text.split('\n').filter(|line| !strip(line).is_empty()) {
            lines.push(place(text, line));
            ending += u64::from(line.chars().next_back().is_some_and(is_terminal));
            short += u64::from(line.len() as u64 <= 4 * SHORT && characters(line) <= SHORT);
        }
        let newlines = memchr_iter(b'\n', text.as_bytes()).count() as u64;
        let (_, again) = duplicates(text, &lines);
        let count = lines.len() as u64;
        let values = [
            share(ending, count),
            share(again, document.lines().characters as u64 - newlines),
            share(short, count),
            share(newlines, document.words(Split::English).len() as u64),
        ];
        for (spec, value) in WRITES.iter().zip(values) {
            document.signals.set(spec.name, Signal::Number(value));
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::measured;

    #[track_caller]
    fn check(text: &str, [ending, again, short, newlines]: [&str; 4]) {
        let signals = format!(
            "fineweb_frac_lines_end_punctuation={ending} fineweb_dup_line_char_frac={again} \
             fineweb_frac_short_lines={short} fineweb_newline_to_word_ratio={newlines}"
        );
        measured("fineweb: {}", text, &signals);
    }

    #[test]
    fn lines_tell_lists_from_prose() {
        check(
            "One line.\n \nA second one that goes on for more than thirty\n",
            ["0.5", "0", "0.5", "0.23076923076923078"],
        );
        check("a b.\na b.\nc d!\nc d! ", ["0.75", "0.23529411764705882", "1", "0.3"]);
        check("好。\n好", ["0.5", "0", "1", "0.3333333333333333"]);
    }

    #[test]
    fn nothing_has_zeros() {
        check("", ["0", "0", "0", "0"]);
        check(" ", ["0", "0", "0", "0"]);
        check("\n", ["0", "0", "0", "0"]);
    }
}
