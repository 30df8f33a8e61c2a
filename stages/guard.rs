//! What every dedup has beside its own options: when it takes so much that someone should look.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Positive, Share};

/// Looks at what a dedup is about to take, before anything is rewritten, and shows the largest
/// clusters where that is too much: a shingle too short, or a wrong key, takes whole slices and is
/// no error.
///
/// It decides nothing about a single document, so it is no part of what the stage does: to change
/// it does no task anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// The largest share of a slice's documents that may go; for a dedup that takes parts from documents, of the
    /// bytes of text that reach it. Ours: dedups gone wrong were seen to take 97 % and more of a source, and a crawl
    /// that was fetched ten times rightly loses nine tenths.
    pub share: Share,
    /// The most documents in one cluster: one that stays, and all that go for it. Ours: a page that
    /// tells a hundred thousand times to switch on cookies is not rare in a crawl; beyond, clusters
    /// were seen of pages that had nothing in common.
    pub cluster: Positive,
    /// What happens beyond.
    pub then: Then,
}

/// What happens when a dedup takes more than its guard allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The clusters are shown, and the run goes on.
    #[default]
    Warn,
    /// The clusters are shown, and the run ends with exit code 65 before anything is rewritten. How much text goes is
    /// known while it is cut: a dedup that takes parts from documents ends the run as soon as it took more, and
    /// nothing is published.
    Stop,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard { share: Share(0.9), cluster: Positive(100_000), then: Then::Warn }
    }
}

#[test]
fn a_guard_is_no_part_of_what_a_stage_does() {
    let plain: crate::StageSpec = serde_saphyr::from_str("exact_dedup: {}").unwrap();
    let guarded: crate::StageSpec =
        serde_saphyr::from_str("exact_dedup: { guard: { share: 0.5, cluster: 10, then: stop } }").unwrap();
    let guard = guarded.guard().unwrap();
    assert_eq!((guard.share.0, guard.cluster.0, guard.then), (0.5, 10, Then::Stop));
    assert_eq!(serde_json::to_string(&guarded).unwrap(), serde_json::to_string(&plain).unwrap());
    let wrong = serde_saphyr::from_str::<crate::StageSpec>("exact_dedup: { guard: { share: 2 } }");
    assert!(wrong.is_err());
    for told in crate::told() {
        let spec: crate::StageSpec = serde_saphyr::from_str(&format!("{}: {{}}", told.name)).unwrap();
        assert_eq!(spec.guard().is_some(), told.kind == crate::Kind::Dedup, "{}", told.name);
    }
}
