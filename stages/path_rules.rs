//! Drops files for their place in a repository.

use corpus::{Document, Evidence, Reason, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Keeps files whose path neither ends in one of `drop_endings` nor is one of `drop_names`.
///
/// The original drops certificates (`.crt`) and the licence that stands at the root of a
/// repository, spelled exactly `LICENSE` (step 1 of its GitHub recipe). A document without a path
/// stays.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathRules {
    /// Endings of paths that go, compared byte for byte.
    pub drop_endings: Vec<String>,
    /// Names that go, compared byte for byte.
    pub drop_names: Vec<String>,
    /// Where a name is looked for.
    pub names: Names,
}

/// Where [`PathRules::drop_names`] are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// The file's name, in whatever folder it lies.
    InAnyFolder,
    /// The whole path, as in the original: only at the root of the repository.
    AtTheRoot,
}

impl Default for PathRules {
    fn default() -> Self {
        PathRules {
            drop_endings: vec![".crt".into()],
            drop_names: vec!["LICENSE".into()],
            // A licence is the same text in every folder.
            names: Names::InAnyFolder,
        }
    }
}

impl Stage for PathRules {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let Some(path) = document.meta.path.as_deref() else { return Verdict::Keep };
        if self.drop_endings.iter().any(|ending| path.ends_with(ending.as_str())) {
            return Verdict::Drop(Reason("path_ending"), Evidence::found(path));
        }
        let name = match self.names {
            Names::InAnyFolder => path.rsplit('/').next().unwrap_or(path),
            Names::AtTheRoot => path,
        };
        if self.drop_names.iter().any(|dropped| dropped == name) {
            return Verdict::Drop(Reason("path_name"), Evidence::found(path));
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::{at, check_with};

    #[track_caller]
    fn path(stage: &str, path: &str, outcome: &str) {
        check_with(stage, "text", at(path), outcome);
    }

    #[test]
    fn certificates_and_licences_go() {
        path("path_rules: {}", "ssl/ca.crt", "path_ending");
        path("path_rules: {}", "LICENSE", "path_name");
        path("path_rules: {}", "vendor/x/LICENSE", "path_name");
        path("path_rules: {}", "src/main.rs", "kept");
        path("path_rules: {}", "LICENSE.md", "kept");
    }

    #[test]
    fn the_original_looks_at_the_root() {
        path("path_rules: { names: at_the_root }", "LICENSE", "path_name");
        path("path_rules: { names: at_the_root }", "vendor/x/LICENSE", "kept");
    }

    #[test]
    fn a_document_without_a_path_stays() {
        crate::spec::tests::check("path_rules: {}", "text", "kept");
    }
}
