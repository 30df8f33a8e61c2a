//! Keeps the thirds of a crawl that read like an encyclopaedia.

use corpus::{Document, Evidence, Reason, Signal, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Keeps documents of some buckets.
///
/// cc_net cuts each language by perplexity, under a model of Wikipedia's language, into `head`,
/// `middle` and `tail`, and notes it in the document and in its file's name. RedPajama-1T took head
/// and middle. Where a stage before this one measures `bucket`, that counts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bucket {
    /// The buckets that stay.
    pub keep: Vec<String>,
    /// Whether a document stays of which nobody told a bucket.
    pub unknown: bool,
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket { keep: vec!["head".into(), "middle".into()], unknown: false }
    }
}

impl Stage for Bucket {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let measured = match document.signals.get("bucket") {
            Some(Signal::Text(bucket)) => Some(bucket.to_string()),
            _ => document.meta.word("bucket"),
        };
        match measured {
            None if self.unknown => Verdict::Keep,
            None => Verdict::Drop(Reason("no_bucket"), Evidence::None),
            Some(bucket) if self.keep.contains(&bucket) => Verdict::Keep,
            Some(bucket) => Verdict::Drop(Reason("bucket"), Evidence::found(bucket)),
        }
    }
}

#[cfg(test)]
mod tests {
    use corpus::Meta;

    use crate::spec::tests::check_with;

    #[test]
    fn the_tail_goes() {
        let of = |json: &str| Meta { json: json.to_owned(), ..Meta::default() };
        check_with("bucket: {}", "text", of(r#"{"bucket":"middle","n":1}"#), "kept");
        check_with("bucket: {}", "text", of(r#"{"bucket":"tail"}"#), "bucket");
        check_with("bucket: { keep: [tail] }", "text", of(r#"{"bucket":"tail"}"#), "kept");
        check_with("bucket: {}", "text", of(r#"{"title":"bucket","bucket":null}"#), "no_bucket");
        check_with("bucket: {}", "text", Meta::default(), "no_bucket");
        check_with("bucket: { unknown: true }", "text", Meta::default(), "kept");
    }
}
