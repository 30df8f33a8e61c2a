//! Keeps the languages that were asked for, by the names of their files.

use corpus::{Document, Evidence, Reason, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Keeps files whose name is on a list: `.py` stands for an extension, `Makefile` for a whole name.
///
/// The default list is the original's 66 entries, from step 3 of its GitHub recipe. A document
/// without a path goes: nothing says that it is wanted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Extension {
    /// What is kept; upper and lower case differ, since `.C` is C++ and `.c` is C.
    pub keep: Vec<String>,
    /// How a name is compared with the list.
    #[serde(rename = "match")]
    pub by: Match,
}

/// How [`Extension`] compares a name with its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// `.py` matches names that end in it and have something before it, `Makefile` only itself.
    Extension,
    /// The path ends in it, as in the original: `myDockerfile` passes as `Dockerfile`, and a file
    /// that is called `.bash` as an extension.
    Suffix,
}

/// The original's list, in its groups: one language, or two that share a line.
const LANGUAGES: [&str; 66] = [
    ".asm",
    ".bat",
    ".cmd",
    ".c",
    ".h",
    ".cs",
    ".cpp",
    ".hpp",
    ".c++",
    ".h++",
    ".cc",
    ".hh",
    ".C",
    ".H", //
    ".cmake",
    ".css",
    ".dockerfile",
    ".f90",
    ".f",
    ".f03",
    ".f08",
    ".f77",
    ".f95",
    ".for",
    ".fpp", //
    ".go",
    ".hs",
    ".html",
    ".java",
    ".js",
    ".jl",
    ".lua",
    ".md",
    ".markdown", //
    ".php",
    ".php3",
    ".php4",
    ".php5",
    ".phps",
    ".phpt",
    ".pl",
    ".pm",
    ".pod",
    ".perl", //
    ".ps1",
    ".psd1",
    ".psm1",
    ".py",
    ".rb",
    ".rs",
    ".sql",
    ".scala",
    ".sh",
    ".bash",
    ".command",
    ".zsh", //
    ".ts",
    ".tsx",
    ".tex",
    ".vb",
    "Dockerfile",
    "Makefile",
    ".xml",
    ".rst",
    ".m",
    ".smali",
];

impl Default for Extension {
    fn default() -> Self {
        Extension { keep: LANGUAGES.map(String::from).to_vec(), by: Match::Extension }
    }
}

impl Extension {
    fn keeps(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.keep.iter().any(|entry| match self.by {
            Match::Suffix => path.ends_with(entry.as_str()),
            Match::Extension if entry.starts_with('.') => name.len() > entry.len() && name.ends_with(entry.as_str()),
            Match::Extension => name == entry,
        })
    }
}

impl Stage for Extension {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let path = document.meta.path.as_deref().unwrap_or_default();
        if self.keeps(path) {
            return Verdict::Keep;
        }
        Verdict::Drop(Reason("extension"), Evidence::found(path))
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::{at, check, check_with};

    #[track_caller]
    fn path(stage: &str, path: &str, outcome: &str) {
        check_with(stage, "text", at(path), outcome);
    }

    #[test]
    fn languages_on_the_list_stay() {
        path("extension: {}", "src/main.rs", "kept");
        path("extension: {}", "deploy/Dockerfile", "kept");
        path("extension: {}", "old/matrix.C", "kept");
        path("extension: {}", "data.json", "extension");
        path("extension: {}", "main.RS", "extension");
        path("extension: { keep: [.json] }", "data.json", "kept");
    }

    #[test]
    fn a_name_that_only_ends_like_one_goes() {
        path("extension: {}", "myDockerfile", "extension");
        path("extension: {}", "home/.bash", "extension");
        path("extension: {}", "Dockerfile.dev", "extension");
    }

    #[test]
    fn the_original_looks_at_the_end_of_the_path() {
        path("extension: { match: suffix }", "myDockerfile", "kept");
        path("extension: { match: suffix }", "home/.bash", "kept");
        path("extension: { match: suffix }", "Dockerfile.dev", "extension");
    }

    #[test]
    fn a_document_without_a_path_goes() {
        check("extension: {}", "text", "extension");
    }
}
