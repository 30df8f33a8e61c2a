//! Turns text into tokens.

use std::sync::Arc;

use corpus::{Document, Evidence, Reason, Tokenizer, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Makes the tokens of every document, once, however many stages ask for them.
///
/// The tokenizer is the pipeline's `tokenizer`. A document without a single token goes: the
/// original's packing (GPT-NeoX, `preprocess_data.py`) skips it too. An added token that is spelled
/// in the text, such as `<|endoftext|>`, is that token, as it was for the original.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokenize {}

impl Tokenize {
    /// The stage, with the tokenizer that it uses.
    pub fn with(self, tokenizer: Arc<dyn Tokenizer>) -> impl Stage {
        Tokenizing { tokenizer }
    }
}

struct Tokenizing {
    tokenizer: Arc<dyn Tokenizer>,
}

impl Stage for Tokenizing {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        if document.tokens(&*self.tokenizer).is_empty() {
            return Verdict::Drop(Reason("no_tokens"), Evidence::None);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use corpus::Meta;

    use crate::spec::tests::{apply, check};

    #[test]
    fn a_document_without_tokens_goes() {
        check("tokenize: {}", "", "no_tokens");
        check("tokenize: {}", "a b", "kept");
    }

    #[test]
    fn tokens_stay_with_the_document() {
        let (document, _) = apply("tokenize: {}", "one two!", Meta::default());
        assert_eq!(document.known_tokens().map(<[u32]>::len), Some(3));
    }
}
