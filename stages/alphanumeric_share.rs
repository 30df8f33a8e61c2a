//! Drops what is mostly punctuation: data, drawings, encoded bytes.

use corpus::{Document, Evidence, Reason, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::Share;
use crate::{Stage, Workspace};

/// Keeps documents of which at least a share of the characters are letters or digits.
///
/// The share is RedPajama's own, from step 3 of its GitHub recipe; equality stays. Letters and
/// digits are Python's `str.isalnum`, so `é`, `漢` and `²` count. An empty text has a share of 0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlphanumericShare {
    /// Smallest share kept, from 0 to 1.
    pub min: Share,
}

impl Default for AlphanumericShare {
    fn default() -> Self {
        AlphanumericShare { min: Share(0.25) }
    }
}

impl Stage for AlphanumericShare {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let share = document.characters().alphanumeric_share();
        if share < self.min.0 {
            return Verdict::Drop(Reason("too_few_alphanumeric"), Evidence::bound(share, self.min.0));
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::check;

    #[test]
    fn rulers_go() {
        check("alphanumeric_share: {}", "a-------", "too_few_alphanumeric");
        check("alphanumeric_share: {}", "", "too_few_alphanumeric");
    }

    #[test]
    fn equality_stays() {
        check("alphanumeric_share: {}", "a---", "kept");
        check("alphanumeric_share: { min: 0 }", "", "kept");
    }

    #[test]
    fn letters_are_those_of_every_script() {
        check("alphanumeric_share: { min: 1 }", "é漢²9", "kept");
    }
}
