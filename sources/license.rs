//! Which licence a repository and its files are under.
//!
//! A repository's licence comes from the licence files at its root; a file's own
//! `SPDX-License-Identifier` line goes before it. What we find is spelled as BigQuery spells it:
//! SPDX identifiers in lower case (`mit`, `apache-2.0`, `gpl-3.0`), several joined by `AND`, since
//! nobody has said that users may choose.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use spdx::detection::{Store, TextData};

/// How alike a text and a licence must be: the default of `spdx`, whose measure is the share of
/// common word pairs after copyright lines and formatting are gone.
const ALIKE: f32 = 0.9;

/// Bytes of a licence file that are looked at: the GPL, among the longest, has 35 KiB.
pub(crate) const LONGEST: u64 = 128 << 10;

/// Licences that are looked for in one file.
const MOST: usize = 5;

/// A licence file shorter than this, in bytes, that speaks of other files may be a pointer to them.
const POINTER: usize = 1000;

/// What the licence files of a repository say.
#[derive(Default)]
pub(crate) struct Found {
    licenses: BTreeSet<String>,
    unknown: bool,
    custom: bool,
}

impl Found {
    /// Whether a path inside a repository is that of a licence file.
    pub fn wants(path: &str) -> bool {
        if let Some(name) = path.strip_prefix("LICENSES/") {
            return !name.contains('/');
        }
        let name = path.to_ascii_lowercase();
        let named = ["license", "licence", "copying", "unlicense", "unlicence"].iter().any(|stem| {
            let after = name.strip_prefix(stem).and_then(|after| after.bytes().next().map_or(Some(b'.'), Some));
            after.is_some_and(|after| !after.is_ascii_alphanumeric())
        });
        // Rails and its kin have an `MIT-LICENSE`.
        let stem = [".txt", ".md", ".rst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
        let named = named || stem.ends_with("-license") || stem.ends_with("-licence");
        let code = [".py", ".rs", ".go", ".js", ".ts", ".c", ".h", ".java", ".rb", ".sh"];
        named && !name.contains('/') && !code.iter().any(|ending| name.ends_with(ending))
    }

    /// Takes in one licence file.
    pub fn add(&mut self, path: &str, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        // REUSE keeps each licence's text under its identifier.
        let stem = path.strip_prefix("LICENSES/").map(|name| name.rsplit_once('.').map_or(name, |(stem, _)| stem));
        let named = stem.and_then(spdx::license_id).map(|id| vec![without_suffix(id.name)]);
        let found = named.unwrap_or_else(|| detect(&text));
        if found.is_empty() {
            self.unknown = true;
            let stem = path.split('.').next().unwrap_or(path).to_ascii_lowercase();
            let main = ["license", "licence", "copying", "unlicense", "unlicence"].contains(&stem.as_str());
            let lower = text.to_lowercase();
            let points = ["see ", "license-", "licence-", "licenses/", "-license", "copying", "either of"];
            let pointer = text.len() <= POINTER && points.iter().any(|word| lower.contains(word));
            self.custom |= main && !pointer && !text.trim().is_empty();
        }
        self.licenses.extend(found);
    }

    /// All of them as one expression. `other` stands for a licence that SPDX does not list.
    pub fn license(mut self) -> Option<String> {
        if self.custom || self.unknown && self.licenses.is_empty() {
            self.licenses.insert("other".into());
        }
        if self.licenses.is_empty() { None } else { Some(all_of(self.licenses.iter().map(String::as_str))) }
    }
}

/// Licences that all hold, as one expression.
pub(crate) fn all_of<'l>(licenses: impl Iterator<Item = &'l str>) -> String {
    let each: Vec<String> = licenses
        .map(|license| if license.contains(" OR ") { format!("({license})") } else { license.into() })
        .collect();
    match &each[..] {
        // One alone needs no parentheses.
        [one] => one.strip_prefix('(').and_then(|one| one.strip_suffix(')')).unwrap_or(one).to_owned(),
        _ => each.join(" AND "),
    }
}

/// The licence that a file's own header names, within its first 20 lines: the line holds nothing
/// before `SPDX-License-Identifier:` but what makes it a comment.
pub(crate) fn header(text: &str) -> Option<String> {
    const MARK: &str = "SPDX-License-Identifier:";
    let mut end = text.len().min(4096);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let start = &text[..end];
    memchr::memmem::find(start.as_bytes(), MARK.as_bytes())?;
    for line in start.lines().take(20) {
        let Some((before, after)) = line.split_once(MARK) else { continue };
        let words = ["rem", "@rem", "dnl"];
        if before.chars().any(char::is_alphanumeric) && !words.contains(&before.trim().to_ascii_lowercase().as_str()) {
            continue;
        }
        let ends = ["*/", "-->", "*)", "-}", "#}", "--]]", "%>", "\"\"\"", "'''"];
        let mut named = after.trim();
        for end in ends {
            named = named.strip_suffix(end).unwrap_or(named).trim_end();
        }
        let named = named.trim_matches(|c: char| c == '"' || c == '\'' || c == ';' || c == '*' || c.is_whitespace());
        if !named.is_empty() && named.len() <= 100 {
            return Some(spelled(named));
        }
    }
    None
}

/// An expression with its identifiers in lower case and its operators in upper case.
fn spelled(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    for word in expression.split_ascii_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let operator = ["AND", "OR", "WITH"].iter().find(|operator| operator.eq_ignore_ascii_case(word));
        match operator {
            Some(operator) => out.push_str(operator),
            None => out.push_str(&word.to_ascii_lowercase()),
        }
    }
    out
}

/// The text of the GPL does not say whether later versions may be used: BigQuery names it without.
fn without_suffix(id: &str) -> String {
    let id = id.to_ascii_lowercase();
    let bare = ["-only", "-or-later", "+"].iter().find_map(|suffix| id.strip_suffix(suffix));
    bare.unwrap_or(&id).to_owned()
}

/// The licences whose texts a file holds.
fn detect(text: &str) -> Vec<String> {
    static STORE: OnceLock<Option<Store>> = OnceLock::new();
    // The texts are part of this program; if they could not be read every licence would be `other`.
    let Some(store) = STORE.get_or_init(|| Store::load_inline().ok()) else { return Vec::new() };
    let mut found = BTreeSet::new();
    let mut text = TextData::new(text);
    for _ in 0..MOST {
        let Some((score, name, data)) = best(store, &text) else { break };
        if score >= ALIKE {
            found.insert(without_suffix(name));
            break;
        }
        // Not the whole text, but perhaps a part of it.
        let (part, score) = text.optimize_bounds(data);
        if score < ALIKE {
            break;
        }
        found.insert(without_suffix(name));
        text = part.white_out();
    }
    found.into_iter().collect()
}

/// The licence most like a text. `spdx` has this too, but takes any of those that are equally
/// alike; here the first by name is taken, every time.
fn best<'s>(store: &'s Store, text: &TextData) -> Option<(f32, &'s str, &'s TextData)> {
    let mut best: Option<(f32, &str, &TextData)> = None;
    for (name, entry) in store.iter() {
        for data in std::iter::once(&entry.original).chain(&entry.alternates).chain(&entry.headers) {
            let score = data.match_score(text);
            let better = match best {
                None => true,
                Some((most, known, _)) => score > most || score == most && name.as_str() < known,
            };
            if better {
                best = Some((score, name, data));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, license: Option<&str>) {
        assert_eq!(header(text).as_deref(), license, "{text:?}");
    }

    #[test]
    fn a_header_names_the_file_s_licence() {
        check("// SPDX-License-Identifier: MIT\nint x;", Some("mit"));
        check("#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-or-later\n", Some("gpl-2.0-or-later"));
        check("/* SPDX-License-Identifier: (MIT or Apache-2.0) */", Some("(mit OR apache-2.0)"));
        check("<!-- SPDX-License-Identifier: CC0-1.0 -->", Some("cc0-1.0"));
        check("REM SPDX-License-Identifier: ISC", Some("isc"));
    }

    #[test]
    fn a_text_about_headers_has_none() {
        check("Add SPDX-License-Identifier: MIT to each file", None);
        check("# SPDX-License-Identifier:\n", None);
        check(&("\n".repeat(30) + "# SPDX-License-Identifier: MIT"), None);
    }

    #[test]
    fn licence_files_are_known_by_name() {
        for path in ["LICENSE", "LICENSE.md", "LICENCE", "COPYING", "license-mit.txt", "UNLICENSE", "LICENSES/MIT.txt"]
        {
            assert!(Found::wants(path), "{path}");
        }
        for path in ["src/LICENSE", "licenses.go", "license.py", "copyingtool", "LICENSES/a/b", "README"] {
            assert!(!Found::wants(path), "{path}");
        }
    }

    #[test]
    fn all_licences_hold() {
        assert_eq!(all_of(["mit"].into_iter()), "mit");
        assert_eq!(all_of(["mit OR isc", "zlib"].into_iter()), "(mit OR isc) AND zlib");
    }
}
