//! Drops text that the tokenizer has to spell out: numbers, encoded bytes.

use std::sync::Arc;

use corpus::{Document, Evidence, Reason, Tokenizer, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NonNegative, Stage, Workspace};

/// Keeps documents with enough letters for each of their tokens.
///
/// The bound is RedPajama's own, from step 3 of its GitHub recipe, set with the tokenizer of
/// GPT-NeoX-20B; equality stays. Letters are Python's `str.isalpha`. A text without tokens, on
/// which the original stops with a division by zero, goes with a reason of its own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LettersPerToken {
    /// Fewest letters per token kept.
    pub min: NonNegative,
}

impl Default for LettersPerToken {
    fn default() -> Self {
        LettersPerToken { min: NonNegative(1.5) }
    }
}

impl LettersPerToken {
    /// The stage, with the tokenizer that it counts by.
    pub fn with(self, tokenizer: Arc<dyn Tokenizer>) -> impl Stage {
        Counting { min: self.min.0, tokenizer }
    }
}

struct Counting {
    min: f64,
    tokenizer: Arc<dyn Tokenizer>,
}

impl Stage for Counting {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let tokens = document.tokens(&*self.tokenizer).len();
        if tokens == 0 {
            return Verdict::Drop(Reason("no_tokens"), Evidence::None);
        }
        let letters = document.characters().alphabetic as f64 / tokens as f64;
        if letters < self.min {
            return Verdict::Drop(Reason("too_few_letters_per_token"), Evidence::bound(letters, self.min));
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::check;

    // The tests' tokenizer makes a token of each word and each other character.
    #[test]
    fn numbers_go() {
        check("letters_per_token: {}", "1 2 3", "too_few_letters_per_token");
        check("letters_per_token: {}", "", "no_tokens");
    }

    #[test]
    fn equality_stays() {
        check("letters_per_token: { min: 2 }", "ab", "kept");
        check("letters_per_token: { min: 2.1 }", "ab", "too_few_letters_per_token");
    }
}
