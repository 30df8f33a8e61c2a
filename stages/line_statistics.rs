//! Writes how long the lines are and how much of the text is letters and digits.

use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Writes the four statistics that RedPajama's GitHub files carry, under their names.
///
/// Lines and characters are Python's: `str.splitlines`, `len`, `str.isalnum`. The mean counts line
/// ends, as the original does. An empty text has zeros.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineStatistics {}

const WRITES: [SignalSpec; 4] = [
    SignalSpec { name: "line_count", kind: SignalKind::Integer, about: "lines" },
    SignalSpec { name: "max_line_length", kind: SignalKind::Integer, about: "characters of the longest line" },
    SignalSpec { name: "avg_line_length", kind: SignalKind::Number, about: "characters per line, line ends included" },
    SignalSpec { name: "alnum_prop", kind: SignalKind::Number, about: "share of letters and digits" },
];

impl Stage for LineStatistics {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let lines = *document.lines();
        let share = document.characters().alphanumeric_share();
        document.signals.set("line_count", Signal::Integer(lines.count as i64));
        document.signals.set("max_line_length", Signal::Integer(lines.longest as i64));
        document.signals.set("avg_line_length", Signal::Number(lines.mean()));
        document.signals.set("alnum_prop", Signal::Number(share));
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::measured;

    #[test]
    fn lines_are_measured_as_the_original_measured_them() {
        let is = |text, signals| measured("line_statistics: {}", text, signals);
        is("ab\ncdef\n", "line_count=2 max_line_length=4 avg_line_length=4 alnum_prop=0.75");
        is("é²\r\n", "line_count=1 max_line_length=2 avg_line_length=4 alnum_prop=0.5");
        is("", "line_count=0 max_line_length=0 avg_line_length=0 alnum_prop=0");
    }
}
