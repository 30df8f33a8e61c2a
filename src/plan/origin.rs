//! What a plan was made of, and what changed since another one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use corpus::catalog::{FORMAT, ModelEntry, TokenizerEntry};
use corpus::{Digest, RawFile};
use serde::{Deserialize, Serialize};
use sources::SourceSpec;
use stages::{Kind, StageSpec};

use super::{Plan, SlicePlan};

/// What a plan was made of, kept in `OUT/plan.json` to say later why something is done anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The layout of the folder.
    pub format: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// Digest of the plan: a catalog that names it is of this plan.
    pub plan: Digest,
    /// Where the tokenizer lay; `inspect` decodes with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokenizer_path: Option<PathBuf>,
    /// What every task of a slice has in common.
    pub slices: BTreeMap<String, SliceOrigin>,
}

/// The part of [`Origin`] for one slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceOrigin {
    /// The source with its version and options.
    pub source: serde_json::Value,
    /// Each stage with its version and options, by label.
    pub stages: Vec<(String, serde_json::Value)>,
    /// The tokenizer's digest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokenizer: Option<Digest>,
    /// Longest document.
    pub max_document: u64,
    /// The raw files.
    pub files: Vec<RawFile>,
    /// How many records are read, with `--limit`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u64>,
    /// The size of a partition, if the pipeline sets it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partition: Option<u64>,
}

impl Plan {
    /// What this plan is made of.
    pub fn origin(&self, limit: Option<u64>, tokenizer_path: Option<PathBuf>) -> Origin {
        let slices = self.slices.iter().map(|slice| {
            let stages =
                slice.stages.iter().map(|(label, spec)| (label.clone(), self.whole_key(label, spec))).collect();
            let origin = SliceOrigin {
                source: source_key(&slice.source),
                stages,
                tokenizer: self.tokenizer.as_ref().map(|tokenizer| tokenizer.digest),
                max_document: self.limits.max_document as u64,
                files: self.raw_files[slice.raw_files.clone()].to_vec(),
                limit,
                partition: self.partition,
            };
            (slice.name.to_owned(), origin)
        });
        Origin {
            format: FORMAT,
            pipeline: self.name.clone(),
            plan: self.identity(),
            tokenizer_path,
            slices: slices.collect(),
        }
    }

    pub(super) fn what_is_done(&self, slice: &SlicePlan) -> serde_json::Value {
        let stages: Vec<_> = slice.stages.iter().map(|(label, spec)| self.whole_key(label, spec)).collect();
        serde_json::json!({
            "slice": slice.name,
            "source": source_key(&slice.source),
            "stages": stages,
            "tokenizer": self.tokenizer.as_ref().map(|tokenizer| tokenizer.digest),
            "max_document": self.limits.max_document,
        })
    }

    pub(super) fn stage_key(&self, label: &str, spec: &StageSpec) -> serde_json::Value {
        stage_key(label, spec, &self.models, self.tokenizer.as_ref())
    }

    /// What a stage does, and the catalog that it is held against.
    fn whole_key(&self, label: &str, spec: &StageSpec) -> serde_json::Value {
        let mut key = self.stage_key(label, spec);
        if let Some(catalog) = spec.against().and_then(|path| self.catalogs.get(path)) {
            key["against"] = serde_json::json!(catalog);
        }
        key
    }
}

/// What a stage does: its version, its options, and the models that it asks. The tokenizer is told
/// apart, since it also makes what a shard holds; but that of a dedup makes what it compares.
pub fn stage_key(
    label: &str,
    spec: &StageSpec,
    models: &BTreeMap<String, ModelEntry>,
    tokenizer: Option<&TokenizerEntry>,
) -> serde_json::Value {
    let mut key = serde_json::json!({ "stage": label, "version": spec.version(), "options": spec });
    for variable in spec.uses() {
        if let Some(model) = models.get(variable.name()) {
            key[variable.name()] = serde_json::json!(model.digest);
        }
    }
    if let Some(tokenizer) = tokenizer.filter(|_| spec.kind() == Kind::Dedup && spec.needs_tokenizer()) {
        key["tokenizer"] = serde_json::json!(tokenizer.digest);
    }
    key
}

/// What a dedup compares: what it does, but for whether it tells what it took; and whether it tells that.
pub fn comparison_key(
    label: &str,
    spec: &StageSpec,
    models: &BTreeMap<String, ModelEntry>,
    tokenizer: Option<&TokenizerEntry>,
) -> (serde_json::Value, bool) {
    let mut key = stage_key(label, spec, models, tokenizer);
    let options = key["options"].get_mut(spec.name()).and_then(|options| options.as_object_mut());
    let receipts = options.and_then(|options| options.remove("receipts"));
    (key, receipts.is_none_or(|receipts| receipts == true))
}

/// What a source does: its version and its options.
pub fn source_key(source: &SourceSpec) -> serde_json::Value {
    serde_json::json!({ "source": source, "version": source.version() })
}

/// What changed between two plans, in words: why work is done anew.
pub fn differences(before: &Origin, now: &Origin) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, new) in &now.slices {
        let Some(old) = before.slices.get(name) else {
            changes.push(format!("slice {name} is new"));
            continue;
        };
        if old.source != new.source {
            changes.push(format!("{name}: the source was {}, is {}", old.source, new.source));
        }
        for (label, stage) in &new.stages {
            match old.stages.iter().find(|(known, _)| known == label) {
                None => changes.push(format!("{name}: stage {label} is new")),
                Some((_, known)) if ["version", "options"].iter().all(|part| known[part] == stage[part]) => {
                    if known["against"] != stage["against"] {
                        changes.push(format!("{name}: stage {label} is held against another catalog"));
                    } else if known != stage {
                        changes.push(format!("{name}: stage {label} asks another model"));
                    }
                }
                Some((_, known)) => changes.push(format!(
                    "{name}: stage {label} was {} (version {}), is {} (version {})",
                    known["options"], known["version"], stage["options"], stage["version"]
                )),
            }
        }
        for (label, _) in old.stages.iter().filter(|(label, _)| !new.stages.iter().any(|(known, _)| known == label)) {
            changes.push(format!("{name}: stage {label} is gone"));
        }
        if old.tokenizer != new.tokenizer {
            changes.push(format!("{name}: another tokenizer"));
        }
        if old.max_document != new.max_document {
            changes.push(format!("{name}: max_document was {}, is {}", old.max_document, new.max_document));
        }
        if old.partition != new.partition {
            changes.push(format!("{name}: raw files are put together otherwise (partition)"));
        }
        if old.limit != new.limit {
            let words = |limit: Option<u64>| limit.map_or("none".to_owned(), |limit| limit.to_string());
            changes.push(format!("{name}: --limit was {}, is {}", words(old.limit), words(new.limit)));
        }
        let known: BTreeMap<&str, &RawFile> = old.files.iter().map(|file| (&*file.name, file)).collect();
        let changed: Vec<&str> = new
            .files
            .iter()
            .filter(|file| {
                known.get(&*file.name).is_none_or(|old| RawFile { path: file.path.clone(), ..(*old).clone() } != **file)
            })
            .map(|file| &*file.name)
            .collect();
        let named: BTreeSet<&str> = new.files.iter().map(|file| &*file.name).collect();
        let gone = old.files.iter().filter(|file| !named.contains(&*file.name)).count();
        if !changed.is_empty() {
            let first = changed.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            let more = changed.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            changes.push(format!("{name}: raw files are new or changed: {first}{more}"));
        }
        if gone > 0 {
            changes.push(format!("{name}: {gone} raw files are gone"));
        }
    }
    changes
}
