//! The models that `manifests/models.yaml` knows by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{embedded, parse};
use crate::failure::Result;

/// A model of `manifests/models.yaml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// What it is.
    pub about: String,
    /// The variable that may name it.
    pub kind: String,
    /// Its file, in the folder of models.
    pub file: String,
    /// Where it is published.
    pub url: String,
    /// Its licence.
    pub license: String,
    /// Its length, where it is known.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Its SHA-256, where it is known.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The model without which it is of no use.
    #[serde(default)]
    pub with: Option<String>,
    /// Words that stand for `{name}` in the name, `about`, `file` and `url`: a model for each.
    #[serde(default)]
    pub each: BTreeMap<String, Vec<String>>,
    /// The name with its `{name}`, of a model that is one of several.
    #[serde(skip)]
    pub family: Option<String>,
}

/// All models of the manifest, by name.
pub fn models() -> Result<BTreeMap<String, ModelEntry>> {
    let file = "manifests/models.yaml";
    let written: BTreeMap<String, ModelEntry> = parse(file, embedded(file).unwrap_or("{}"))?;
    let mut models = BTreeMap::new();
    for (name, entry) in written {
        for words in crate::manifest::combinations(&entry.each) {
            let fill = |text: &str| crate::manifest::fill(text, &words);
            let (about, file, url) = (fill(&entry.about), fill(&entry.file), fill(&entry.url));
            let family = (!words.is_empty()).then(|| name.clone());
            let with = entry.with.as_deref().map(fill);
            models.insert(fill(&name), ModelEntry { about, file, url, family, with, ..entry.clone() });
        }
    }
    Ok(models)
}

/// Whether the manifest has a model of this name, or a family of them.
pub fn is_known(name: &str) -> bool {
    models()
        .is_ok_and(|models| models.iter().any(|(known, entry)| known == name || entry.family.as_deref() == Some(name)))
}
