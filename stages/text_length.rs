//! Drops documents that are too short or too long to be of use.

use corpus::{Document, Evidence, Reason, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Keeps documents whose text has a length within bounds, in characters, both ends included.
///
/// The least length is cc_net's (`min_len`), which reads no shorter page of Common Crawl.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextLength {
    /// The fewest characters kept.
    pub min: usize,
    /// The most characters kept; without it, any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
}

impl Default for TextLength {
    fn default() -> Self {
        TextLength { min: 300, max: None }
    }
}

impl Stage for TextLength {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let length = document.characters().count;
        if length < self.min {
            return Verdict::Drop(Reason("text_too_short"), Evidence::bound(length as f64, self.min as f64));
        }
        match self.max {
            Some(max) if length > max => {
                Verdict::Drop(Reason("text_too_long"), Evidence::bound(length as f64, max as f64))
            }
            _ => Verdict::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::check;

    #[test]
    fn characters_are_counted_not_bytes() {
        check("text_length: { min: 3 }", "ää", "text_too_short");
        check("text_length: { min: 3, max: 3 }", "äää", "kept");
        check("text_length: { max: 3, min: 0 }", "ääää", "text_too_long");
        check("text_length: {}", &"x".repeat(299), "text_too_short");
        check("text_length: {}", &"x".repeat(300), "kept");
    }
}
