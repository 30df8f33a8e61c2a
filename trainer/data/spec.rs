//! The part of a configuration that says what is read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Slice;
use crate::failure::{Failure, Result};

/// What is read, and in which shares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Folders of runs: their catalogs name slices and shards. Those of a folder that has a name are called
    /// `NAME/SLICE`, so that runs with slices of the same names can be read together.
    #[serde(default)]
    #[schemars(extend("kind" = "path, list of paths or map of names to paths", "otherwise" = "none"))]
    pub from: Folders,
    /// Shards of one's own, by what they are to be called: `X.bin` with `X.idx` beside it, of any
    /// writer. Where `X.mask` is there too, it has a byte for each token: 0 where it is no target.
    #[serde(default)]
    #[schemars(extend("kind" = "map of names to paths or lists of paths"))]
    pub shards: BTreeMap<String, Paths>,
    /// How much of what is read is of each slice; a slice that is not named is not read.
    #[serde(default)]
    #[schemars(extend("kind" = "map of slices to numbers from 0", "unit" = "any: their sum is all", "otherwise" = "as many tokens as each slice has"))]
    pub mixture: BTreeMap<String, f64>,
    /// How often each slice is seen while one that is not named is seen once: another way to say the
    /// mixture.
    #[serde(default)]
    #[schemars(extend("kind" = "map of slices to numbers from 0", "unit" = "times", "otherwise" = "1 each"))]
    pub epochs: BTreeMap<String, f64>,
    /// How many windows of each slice are held out, at most a tenth of it. Ours: 128 windows of 2,048 tokens
    /// are 262,144 predictions, for an error of the mean near 0.005 nats.
    #[schemars(extend("unit" = "windows of `sequence` tokens"))]
    #[serde(default = "validation")]
    pub validation: u64,
    /// Whether attention stays within documents. GPT-NeoX's did not.
    #[serde(default = "yes")]
    pub documents: bool,
}

fn validation() -> u64 {
    128
}

fn yes() -> bool {
    true
}

/// One path or several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Paths {
    /// None.
    #[default]
    None,
    /// One.
    One(PathBuf),
    /// Several, in this order.
    Several(Vec<PathBuf>),
}

impl Paths {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &PathBuf> {
        match self {
            Paths::None => [].iter(),
            Paths::One(path) => std::slice::from_ref(path).iter(),
            Paths::Several(paths) => paths.iter(),
        }
    }
}

/// One folder or several, which may have names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Folders {
    /// None.
    #[default]
    None,
    /// One.
    One(PathBuf),
    /// Several, in this order.
    Several(Vec<PathBuf>),
    /// Several by their names.
    Named(BTreeMap<String, PathBuf>),
}

impl Folders {
    /// All of them, each with its name if it has one.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Option<&str>, &PathBuf)> + '_> {
        match self {
            Folders::None => Box::new(std::iter::empty()),
            Folders::One(path) => Box::new(std::iter::once((None, path))),
            Folders::Several(paths) => Box::new(paths.iter().map(|path| (None, path))),
            Folders::Named(paths) => Box::new(paths.iter().map(|(name, path)| (Some(name.as_str()), path))),
        }
    }
}

impl DataSpec {
    /// The share of each slice; without `mixture` or `epochs`, its tokens.
    pub(super) fn shares(&self, slices: &[Slice]) -> Result<Vec<f64>> {
        if !self.mixture.is_empty() && !self.epochs.is_empty() {
            return Err(Failure::configuration("`mixture` and `epochs` say the same thing, and both are there")
                .hint("keep one of them"));
        }
        for (key, given) in [("mixture", &self.mixture), ("epochs", &self.epochs)] {
            for (name, value) in given {
                if !slices.iter().any(|slice| slice.name == *name) {
                    let known: Vec<&str> = slices.iter().map(|slice| slice.name.as_str()).collect();
                    return Err(Failure::configuration(format!("`data.{key}`: no slice `{name}` with shards"))
                        .hint(format!("there are: {}", known.join(", "))));
                }
                if !(value.is_finite() && *value >= 0.0) {
                    return Err(
                        Failure::configuration(format!("`data.{key}.{name}` is {value}")).hint("it is a number from 0")
                    );
                }
            }
        }
        let share = |slice: &Slice| {
            if !self.mixture.is_empty() {
                return self.mixture.get(&slice.name).copied().unwrap_or(0.0);
            }
            slice.tokens as f64 * self.epochs.get(&slice.name).copied().unwrap_or(1.0)
        };
        Ok(slices.iter().map(share).collect())
    }
}
