//! Finds keys, tokens and passwords that somebody left in a text.

mod assignment;
mod formats;

use std::ops::Range;

use corpus::{Document, Evidence, Reason, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Masks, counts or drops by secrets: keys of well-known services by their published shapes,
/// private keys, tokens of the web, and values that are given to a name such as `password` and look
/// random.
///
/// Whatever the shape, a secret has entropy: `AKIAIOSFODNN7EXAMPLE`, `xxxxxxxx`, `your-api-key` and
/// `${TOKEN}` are none. Digests, checksums and ids are none either, unless a name says that they
/// are. Each shape's source stands beside it in `secrets/formats.rs`.
///
/// What `secret_kinds` names is the service, never the secret, and no secret is in the evidence of
/// a drop.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// What is done with a text that has one.
    pub action: Action,
    /// What stands in its place.
    pub mask: String,
    /// Whether values given to names such as `password` are looked at, which no shape gives away.
    pub assignments: bool,
}

/// What is done with a text that has a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Something else stands in its place.
    Mask,
    /// It is counted and stays.
    Count,
    /// The text goes.
    Drop,
}

impl Default for Secrets {
    fn default() -> Self {
        Secrets { action: Action::Mask, mask: "<SECRET>".to_owned(), assignments: true }
    }
}

const WRITES: [SignalSpec; 2] = [
    SignalSpec { name: "secret_count", kind: SignalKind::Integer, about: "keys, tokens and passwords found" },
    SignalSpec {
        name: "secret_kinds",
        kind: SignalKind::Text,
        about: "what they are for, in the order of the alphabet",
    },
];

impl Secrets {
    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    /// The secrets of a text, none within another.
    fn find(&self, text: &str) -> Vec<(&'static str, Range<usize>)> {
        let bytes = text.as_bytes();
        let mut found = formats::find(bytes);
        if self.assignments {
            found.extend(assignment::find(text).into_iter().map(|range| ("assignment", range)));
        }
        found.sort_by_key(|(kind, range)| (range.start, *kind == "assignment", range.end));
        let mut end = 0;
        found.retain(|(_, range)| {
            let apart = range.start >= end;
            end = end.max(range.end);
            apart
        });
        found
    }
}

impl Stage for Secrets {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let found = self.find(document.text());
        document.signals.set("secret_count", Signal::Integer(found.len() as i64));
        if found.is_empty() {
            return Verdict::Keep;
        }
        let mut kinds: Vec<&str> = found.iter().map(|(kind, _)| *kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kinds = kinds.join(" ");
        match self.action {
            Action::Count => {}
            Action::Drop => return Verdict::Drop(Reason("secret"), Evidence::found(&kinds)),
            Action::Mask => {
                let mut masked = String::with_capacity(document.text().len());
                let mut copied = 0;
                for (_, range) in &found {
                    masked.push_str(&document.text()[copied..range.start]);
                    masked.push_str(&self.mask);
                    copied = range.end;
                }
                masked.push_str(&document.text()[copied..]);
                document.edit(masked);
            }
        }
        document.signals.set("secret_kinds", Signal::Text(kinds.into()));
        Verdict::Keep
    }
}

/// How many bits each sign of a word says, from how often it has each (Shannon's entropy).
fn entropy(word: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    word.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = word.len().max(1) as f64;
    let bits = |count: &u32| {
        let share = f64::from(*count) / length;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

/// Words of people who show where a secret would be. Of what is longer, a run of one sign or of the
/// alphabet says the same.
fn is_placeholder(word: &[u8]) -> bool {
    const SAYS: [&[u8]; 22] = [
        b"example",
        b"xxxx",
        b"placeholder",
        b"changeme",
        b"change_me",
        b"your",
        b"dummy",
        b"sample",
        b"fake",
        b"redacted",
        b"insert",
        b"replace",
        b"secret_here",
        b"_here",
        b"-here",
        b"todo",
        b"123456",
        b"abcdef",
        b"....",
        b"****",
        b"0000",
        b"test",
    ];
    let lower = word.to_ascii_lowercase();
    SAYS.iter().any(|says| memchr::memmem::find(&lower, says).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{apply, check, edited, measured};

    /// A made-up key: signs drawn from an alphabet. None stands in this file as it is, so that
    /// nothing that scans for secrets takes it for one.
    pub(super) fn drawn(alphabet: &str, count: usize, seed: u64) -> String {
        let signs: Vec<char> = alphabet.chars().collect();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let draw = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            signs[(state >> 33) as usize % signs.len()]
        };
        (0..count).map(draw).collect()
    }

    pub(super) const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    pub(super) const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    pub(super) const HEX: &str = "0123456789abcdef";

    /// What is found in a text: `what: it`, one after the other.
    #[track_caller]
    pub(super) fn finds(text: &str, expected: &[(&str, &str)]) {
        let found = Secrets::default().find(text);
        let found: Vec<(&str, &str)> = found.into_iter().map(|(kind, range)| (kind, &text[range])).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_secret_is_masked_counted_or_a_reason_to_go() {
        let key = format!("{}{}", "AKIA", drawn(UPPER, 16, 1));
        let text = format!("id = {key}\nname = a\n");
        edited("secrets: {}", &text, "id = <SECRET>\nname = a\n");
        edited("secrets: { mask: '' }", &text, "id = \nname = a\n");
        edited("secrets: { action: count }", &text, &text);
        measured("secrets: { action: count }", &text, "secret_count=1 secret_kinds=aws_access_key");
        check("secrets: { action: drop }", &text, "secret");
        check("secrets: { action: drop }", "id = 1", "kept");
        measured("secrets: {}", "id = 1", "secret_count=0 secret_kinds=-");
        let (_, verdict) = apply("secrets: { action: drop }", &text, corpus::Meta::default());
        assert!(!format!("{verdict:?}").contains(&key), "{verdict:?}");
    }

    #[test]
    fn what_was_masked_is_not_found_again() {
        let text = format!("password = \"{}\"", drawn(LETTERS, 20, 2));
        let (document, _) = apply("secrets: {}", &text, corpus::Meta::default());
        assert_eq!(document.text(), "password = \"<SECRET>\"");
        measured("secrets: {}", document.text(), "secret_count=0 secret_kinds=-");
    }

    #[test]
    fn any_text_is_looked_at() {
        for text in
            ["", "AKIA", "漢字 password=", "-----BEGIN RSA PRIVATE KEY-----", "eyJ.", "token: \"", "ghp_😀", "key='é"]
        {
            check("secrets: { action: drop }", text, "kept");
        }
        for text in ["AKIA", "eyJ", "password=", "-----BEGIN PRIVATE KEY-----", "token:\"", "xoxb-1-", "a"] {
            check("secrets: {}", &text.repeat(1 << 14), "kept");
        }
    }
}
