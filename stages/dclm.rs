//! Writes how much RefinedWeb's line rules would take from a page.

use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dclm_lines::counted;
use crate::heuristics::share;
use crate::{Stage, Workspace};

/// Writes the share of words that `dclm_lines` would take, leaving the text as it is.
///
/// DCLM's baseline drops a page that loses more than 5 % of its words to RefinedWeb's line rules; its
/// other rules are Gopher's. So `keep_if: { preset: dclm }` needs `gopher` too. A word here is what
/// stands between white space and has a letter or a digit; DCLM parts words as Unicode says (UAX 29),
/// which changes the share by little, since it counts the same way before and after.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dclm {}

const WRITES: [SignalSpec; 1] = [SignalSpec {
    name: "dclm_removed_word_frac",
    kind: SignalKind::Number,
    about: "share of words that RefinedWeb's line rules take",
}];

impl Stage for Dclm {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let (all, left) = counted(document.text());
        document.signals.set(WRITES[0].name, Signal::Number(share(all - left, all)));
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::measured;

    #[test]
    fn words_of_lines_that_go_are_counted() {
        measured("dclm: {}", "We walked to the sea.\nHome\n3 likes", "dclm_removed_word_frac=0.375");
        measured("dclm: {}", "", "dclm_removed_word_frac=0");
        measured("dclm: {}", "—!?", "dclm_removed_word_frac=0");
    }
}
