//! Leaves the lines that C4 keeps.

use corpus::{Document, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::c4::LineRules;
use crate::heuristics::strip;
use crate::{Stage, Workspace};

/// Leaves the lines that C4 keeps (Raffel et al. 2020, section 2.2), one below the other, without
/// white space around them and without citations.
///
/// The rules are those of `c4`, which measures what would be left; with `keep_if: { preset: c4 }`
/// between the two, the pages and their texts are C4's.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct C4Lines {
    /// Which lines stay.
    pub lines: LineRules,
}

impl Stage for C4Lines {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let mut left = String::new();
        for line in self.lines.lines(document.text()) {
            if !left.is_empty() {
                left.push('\n');
            }
            left.push_str(&line.text);
        }
        left.truncate(strip(&left).len());
        if left != document.text() {
            document.edit(left);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::edited;

    #[test]
    fn menus_go_and_prose_stays() {
        edited(
            "c4_lines: {}",
            "Home | About\n  So we walked to the sea.[1]\nRead more...\n",
            "So we walked to the sea.",
        );
        edited("c4_lines: {}", "We came.\nWe saw.", "");
        edited("c4_lines: { lines: { min_words: 2 } }", "We came.\nWe saw.", "We came.\nWe saw.");
        edited("c4_lines: { lines: { min_words: 1, ends: [。] } }", "来了。\nWe saw.", "来了。");
        edited("c4_lines: {}", "", "");
    }
}
