//! Keeps code that its authors let others use.

use corpus::{Document, Evidence, Reason, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Keeps documents under one of the licences in `keep`.
///
/// The default list holds SPDX identifiers of licences that ask for little more than to be
/// mentioned; RedPajama kept every licence that begins with `mit`, `bsd` or `apache`. Of an
/// expression, `mit OR gpl-3.0` stays if either licence is kept, since users may choose;
/// `mit AND gpl-3.0`, or a list with commas, only if all are. An exception (`WITH …`) and an "or
/// later" (`+`) only add permissions and change nothing. `none`, `noassertion`, `unknown` and no
/// licence at all go as `no_license`: without one, nobody may copy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct License {
    /// Licences kept.
    pub keep: Vec<String>,
    /// How a licence is compared with the list.
    #[serde(rename = "match")]
    pub by: Match,
}

/// How [`License`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// As an SPDX expression of whole identifiers, in upper or lower case.
    Expression,
    /// By its beginning, as the original did: `mit` keeps `mit-0`, and `mit AND gpl-3.0` too. Case
    /// counts.
    Prefix,
}

/// Of the licences that SPDX lists, the common ones without a condition on what users build.
const PERMISSIVE: [&str; 20] = [
    "0bsd",
    "afl-3.0",
    "apache-2.0",
    "blueoak-1.0.0",
    "bsd-1-clause",
    "bsd-2-clause",
    "bsd-3-clause", //
    "bsd-3-clause-clear",
    "bsl-1.0",
    "cc0-1.0",
    "isc",
    "mit",
    "mit-0",
    "ncsa",
    "postgresql", //
    "python-2.0",
    "unlicense",
    "upl-1.0",
    "x11",
    "zlib",
];

/// What sources write where they found no licence.
const ABSENT: [&str; 4] = ["", "none", "noassertion", "unknown"];

impl Default for License {
    fn default() -> Self {
        License { keep: PERMISSIVE.map(String::from).to_vec(), by: Match::Expression }
    }
}

impl Stage for License {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let license = document.meta.license.as_deref().unwrap_or_default().trim();
        if ABSENT.iter().any(|absent| license.eq_ignore_ascii_case(absent)) {
            return Verdict::Drop(Reason("no_license"), Evidence::None);
        }
        let kept = match self.by {
            Match::Expression => self.grants(license),
            Match::Prefix => self.keep.iter().any(|prefix| license.starts_with(prefix.as_str())),
        };
        if kept { Verdict::Keep } else { Verdict::Drop(Reason("license"), Evidence::found(license)) }
    }
}

/// One pair of parentheses: whether an alternative before the last `OR` was kept, and whether all
/// terms since were, if there are any.
#[derive(Default)]
struct Group {
    any: bool,
    all: Option<bool>,
}

impl Group {
    fn term(&mut self, kept: bool) {
        self.all = Some(self.all.unwrap_or(true) && kept);
    }

    fn alternative(&mut self) -> bool {
        self.any |= self.all.take().unwrap_or(false);
        self.any
    }
}

impl License {
    fn lists(&self, license: &str) -> bool {
        self.keep.iter().any(|kept| kept.eq_ignore_ascii_case(license))
    }

    /// Reads an SPDX expression from left to right; `AND` binds more closely than `OR`.
    /// Parentheses are a list, not recursion, so that no licence is too deep.
    fn grants(&self, license: &str) -> bool {
        if self.lists(license) {
            return true;
        }
        let spaced = license.replace('(', " ( ").replace(')', " ) ").replace([',', ';'], " ");
        let mut groups = vec![Group::default()];
        let mut words = spaced.split_whitespace();
        while let Some(word) = words.next() {
            let Some(group) = groups.last_mut() else { return false };
            match word.to_ascii_lowercase().as_str() {
                "(" => groups.push(Group::default()),
                ")" => {
                    let kept = group.alternative();
                    groups.pop();
                    // A parenthesis that was never opened: not an expression.
                    let Some(outer) = groups.last_mut() else { return false };
                    outer.term(kept);
                }
                "or" => drop(group.alternative()),
                "and" => {}
                "with" => drop(words.next()),
                id => group.term(self.lists(id) || id.strip_suffix('+').is_some_and(|id| self.lists(id))),
            }
        }
        match groups.as_mut_slice() {
            [whole] => whole.alternative(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use corpus::Meta;

    use crate::spec::tests::{check, check_with};

    #[track_caller]
    fn license(stage: &str, license: &str, outcome: &str) {
        check_with(stage, "text", Meta { license: Some(license.into()), ..Meta::default() }, outcome);
    }

    #[test]
    fn permissive_licences_stay() {
        license("license: {}", "mit", "kept");
        license("license: {}", "Apache-2.0", "kept");
        license("license: {}", "gpl-3.0", "license");
        license("license: { keep: [gpl-3.0] }", "GPL-3.0+", "kept");
    }

    #[test]
    fn without_a_licence_nobody_may_copy() {
        check("license: {}", "text", "no_license");
        license("license: {}", " ", "no_license");
        license("license: {}", "NOASSERTION", "no_license");
    }

    #[test]
    fn users_choose_among_alternatives_and_obey_all_of_the_rest() {
        license("license: {}", "MIT OR GPL-3.0", "kept");
        license("license: {}", "MIT AND GPL-3.0", "license");
        license("license: {}", "mit, gpl-3.0", "license");
        license("license: {}", "mit, isc", "kept");
        license("license: {}", "GPL-2.0 OR MIT AND GPL-3.0", "license");
        license("license: {}", "(GPL-2.0 OR MIT) AND ISC", "kept");
        license("license: {}", "Apache-2.0 WITH LLVM-exception", "kept");
    }

    #[test]
    fn what_is_no_expression_goes() {
        license("license: {}", "see LICENSE", "license");
        license("license: {}", "mit)", "license");
        license("license: {}", "(mit", "license");
        license("license: {}", &"(".repeat(100_000), "license");
    }

    #[test]
    fn the_original_looked_at_the_beginning() {
        license("license: { keep: [mit, bsd], match: prefix }", "bsd-4-clause", "kept");
        license("license: { keep: [mit, bsd], match: prefix }", "mit AND gpl-3.0", "kept");
        license("license: { keep: [mit, bsd], match: prefix }", "MIT", "license");
    }
}
