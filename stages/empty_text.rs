//! Drops documents that have no text.

use corpus::{Document, Evidence, Reason, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Keeps documents with something to read.
///
/// The original drops a GitHub file whose text is empty after its header is cut (step 3 of its
/// recipe) and keeps one of nothing but white space.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmptyText {
    /// Whether a text of nothing but white space is empty too.
    pub white_space: bool,
}

impl Default for EmptyText {
    fn default() -> Self {
        // White space teaches nothing, and a document that is nothing else is a fault of its source.
        EmptyText { white_space: true }
    }
}

impl Stage for EmptyText {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let text = document.text();
        if text.is_empty() || self.white_space && text.chars().all(char::is_whitespace) {
            return Verdict::Drop(Reason("empty_text"), Evidence::None);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::check;

    #[test]
    fn nothing_to_read_goes() {
        check("empty_text: {}", "", "empty_text");
        check("empty_text: {}", " \n\t\u{3000}", "empty_text");
        check("empty_text: {}", " \n.", "kept");
    }

    #[test]
    fn the_original_keeps_white_space() {
        check("empty_text: { white_space: false }", "\n", "kept");
        check("empty_text: { white_space: false }", "", "empty_text");
    }
}
