//! Drops documents whose whole text was seen before.

use corpus::{Digest, Document, Reason, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Dedup, Finding, Guard, Key, Sketch};

/// Keeps the first of all documents with the same text, byte for byte.
///
/// First means lowest rank: slice by slice, raw file by raw file in manifest order, record by
/// record, whoever ran first. Texts are compared by 128 bits of their BLAKE3 digest: among 10^12
/// documents the chance of one false match is below 2 in 10^15.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExactDedup {
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's documents that may go, the most documents of which one stays, and
    /// whether the run goes on beyond (`warn`) or ends (`stop`). The largest clusters are shown.
    #[serde(skip_serializing)]
    pub guard: Guard,
}

impl Dedup for ExactDedup {
    fn reason(&self) -> Reason {
        Reason("exact_duplicate")
    }

    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let mut key = Key::default();
        key.copy_from_slice(&Digest::of(document.text().as_bytes()).0[..16]);
        keys.push(key);
    }

    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let mut first: Option<Sketch> = None;
        for sketch in sketches {
            let sketch = sketch?;
            match first {
                Some(first) if first.key == sketch.key => {
                    found(Finding { gone: sketch.rank, kept: first.rank, similarity: 1.0 })?;
                }
                _ => first = Some(sketch),
            }
        }
        Ok(())
    }
}

#[test]
fn the_first_of_a_text_stays() {
    let sketch = |key: u8, raw_file, record| Ok(Sketch { key: [key; 16], rank: crate::Rank { raw_file, record } });
    let mut sketches = [sketch(1, 0, 4), sketch(2, 0, 1), sketch(2, 0, 9), sketch(2, 3, 0)].into_iter();
    let mut gone = Vec::new();
    let mut note = |finding: Finding| {
        gone.push((finding.gone.raw_file, finding.gone.record, finding.kept.record));
        Ok(())
    };
    ExactDedup::default().resolve(&mut sketches, &mut note).unwrap();
    assert_eq!(gone, [(0, 9, 1), (3, 0, 1)]);
}
