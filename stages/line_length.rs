//! Drops code that nobody typed.

use corpus::{Document, Evidence, Reason, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NonNegative, Stage, Workspace};

/// Keeps documents whose longest line and mean line stay within bounds.
///
/// Minified and generated files have a few enormous lines. The bounds are RedPajama's own, from
/// step 3 of its GitHub recipe; equality stays. Lines are Python's: `str.splitlines`, and the mean
/// counts line ends, as the original does.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LineLength {
    /// Longest line kept, in characters.
    pub max: usize,
    /// Longest mean line kept, in characters.
    pub max_mean: NonNegative,
}

impl Default for LineLength {
    fn default() -> Self {
        LineLength { max: 1000, max_mean: NonNegative(100.0) }
    }
}

impl Stage for LineLength {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let lines = document.lines();
        if lines.longest > self.max {
            let evidence = Evidence::bound(lines.longest as f64, self.max as f64);
            return Verdict::Drop(Reason("line_too_long"), evidence);
        }
        if lines.mean() > self.max_mean.0 {
            let evidence = Evidence::bound(lines.mean(), self.max_mean.0);
            return Verdict::Drop(Reason("lines_too_long_on_average"), evidence);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::check;

    #[test]
    fn minified_code_goes() {
        check("line_length: { max: 9, max_mean: 9 }", "x=1;y=2;z=3", "line_too_long");
        check("line_length: { max: 11, max_mean: 9 }", "x=1;y=2;z=3", "lines_too_long_on_average");
    }

    #[test]
    fn equality_stays() {
        check("line_length: { max: 11, max_mean: 11 }", "x=1;y=2;z=3", "kept");
        check("line_length: {}", "", "kept");
    }
}
