//! The only part that speaks to the user: failures in words, summaries as tables.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};
use std::sync::{Mutex, PoisonError};

use corpus::Counts;
use corpus::catalog::Catalog;
use stages::against::PART_SIGNALS;

use crate::failure::{Failure, Result};
use crate::metrics::Cost;
use crate::size::Size;
pub use corpus::readable::{fitting, number};

/// A failure as it is shown: what, where, what to do.
pub fn words(failure: &Failure) -> String {
    corpus::failure::words(&failure.message, failure.place.as_deref(), failure.hint.as_deref())
}

/// Writes a line to standard error, for people who watch.
pub fn say(line: &str) {
    // Whoever closed our standard error does not want to hear.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The first reason why standard output did not take what it was given.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes to standard output, for people and programs that use it; [`finish`] tells whether all of
/// it arrived.
pub fn print(text: &str) {
    if let Err(error) = io::stdout().lock().write_all(text.as_bytes()) {
        lose(error);
    }
}

/// Remembers why output was lost.
pub fn lose(error: io::Error) {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

/// Whether nothing that was printed was lost so far.
pub fn is_heard() -> bool {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).is_none()
}

/// Ends the output; a failure if some of it was lost. A reader that has closed its end (`| head`)
/// has what it wants.
pub fn finish() -> Result<()> {
    if let Err(error) = io::stdout().lock().flush() {
        lose(error);
    }
    match LOST.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::io("cannot write to", "standard output")(error))
        }
        _ => Ok(()),
    }
}

/// So many of something: `1 task`, `2 tasks`.
pub fn count(value: u64, what: &str) -> String {
    format!("{} {what}{}", number(value), if value == 1 { "" } else { "s" })
}

/// A span of time as people say it.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// Rows in columns: the first to the left, the others to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[column] - cell.chars().count());
            if column == 0 {
                let _ = write!(line, "{cell}{space}");
            } else {
                let _ = write!(line, "  {space}{cell}");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What became of all documents: rows that add up.
pub fn account(counts: &Counts) -> String {
    let share = |documents: u64| match counts.read.documents {
        0 => String::new(),
        all => format!("{:.1} %", 100.0 * documents as f64 / all as f64),
    };
    let row = |what: String, documents: u64, bytes: u64| {
        vec![what, number(documents), share(documents), Size(bytes).to_string()]
    };
    let mut rows = vec![vec!["".to_owned(), "documents".to_owned(), "share".to_owned(), "text".to_owned()]];
    rows.push(row("read".to_owned(), counts.read.documents, counts.read.bytes));
    rows.push(row("kept".to_owned(), counts.kept.documents, counts.kept.bytes));
    for (title, reasons) in [("dropped", &counts.dropped), ("unusable", &counts.unusable)] {
        let mut sorted: Vec<_> = reasons.iter().collect();
        sorted.sort_by_key(|(reason, tally)| (std::cmp::Reverse(tally.documents), reason.as_str()));
        let all = if title == "dropped" { counts.all_dropped() } else { counts.all_unusable() };
        if all.documents > 0 {
            rows.push(row(title.to_owned(), all.documents, all.bytes));
        }
        for (reason, tally) in sorted {
            rows.push(row(format!("  {reason}"), tally.documents, tally.bytes));
        }
    }
    table(&rows)
}

/// What ran: figures that are no part of the catalog.
pub struct Ran {
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// CPU time in seconds.
    pub cpu_seconds: f64,
    /// Most memory held.
    pub peak_memory: u64,
    /// Bytes of text that were read in this run.
    pub text_bytes: u64,
    /// Tasks that ran, and those that were done before.
    pub tasks: (usize, usize),
    /// CPU seconds by what they were spent on.
    pub cost: Cost,
}

/// The closing summary: a table that someone would paste into a report.
pub fn summary(catalog: &Catalog, all: &Counts, ran: &Ran, disk: u64) -> String {
    let mut out = String::new();
    for (name, slice) in &catalog.slices {
        if catalog.slices.len() > 1 {
            let _ = writeln!(out, "{name}");
        }
        out.push_str(&account(&slice.counts));
        out.push('\n');
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: &str, value: String| rows.push(vec![what.to_owned(), value]);
    if let Some(tokenizer) = &catalog.tokenizer {
        let shards: usize = catalog.slices.values().map(|slice| slice.shards.len()).sum();
        row("tokens", format!("{} ({}), in {}", number(all.tokens), tokenizer.name, count(shards as u64, "shard")));
    }
    row("text kept", format!("{} after edits", Size(all.text_bytes)));
    row("on disk", Size(disk).to_string());
    if ran.tasks.0 > 0 {
        row("time", format!("{} ({} of CPU)", duration(ran.seconds), duration(ran.cpu_seconds)));
        row(
            "speed",
            format!("{:.1} MB of text per CPU-second", ran.text_bytes as f64 / 1e6 / ran.cpu_seconds.max(1e-9)),
        );
        row("peak memory", Size(ran.peak_memory).to_string());
    }
    if ran.tasks.1 > 0 {
        let (ran, before) = ran.tasks;
        row("tasks", format!("{} ran, {} done before", number(ran as u64), number(before as u64)));
    }
    for (dedup, pairs) in &catalog.pairs {
        let capped = match pairs.capped {
            0 => String::new(),
            capped => format!("; {} left out where too many have a sketch in common", number(capped)),
        };
        row("pairs", format!("{} compared, {} alike ({dedup}){capped}", number(pairs.compared), number(pairs.alike)));
    }
    for (name, slice) in &catalog.slices {
        for (label, stage) in slice.counts.stages.iter().filter(|(_, stage)| stage.marked > 0) {
            let what = if marks_parts(label) { "of which another run has parts" } else { "which another run has too" };
            row("marked", format!("{}, {what} ({name}: {label})", count(stage.marked, "document")));
        }
    }
    for (name, slice) in &catalog.slices {
        for (label, stage) in slice.counts.stages.iter().filter(|(_, stage)| stage.cut > 0) {
            row("cut", format!("{} of text ({name}: {label})", Size(stage.cut)));
        }
    }
    let width = rows.iter().map(|row| row[0].len()).max().unwrap_or(0);
    for row in rows {
        let _ = writeln!(out, "{:width$}  {}", row[0], row[1]);
    }
    out
}

/// Dedups that did not compare all pairs that were proposed: what is alike may have been left.
pub fn left_out(catalog: &Catalog) -> Vec<String> {
    let capped = catalog.pairs.iter().filter(|(_, pairs)| pairs.capped > 0);
    let words = capped.map(|(dedup, pairs)| {
        format!(
            "{dedup} left out {} pairs, of documents that have a sketch in common with too many others (as pages of one \
             template have): each was compared with those that seemed likest, and some that are alike may have stayed. A \
             larger `bucket` (64 unless said otherwise), such as `bucket: 1024`, compares more of them",
            number(pairs.capped)
        )
    });
    words.collect()
}

/// Whether the stage of a label is a dedup that marks how much of a document another run has.
fn marks_parts(label: &str) -> bool {
    let writes = |told: &stages::Told| told.writes.iter().any(|signal| signal.name == PART_SIGNALS[0].name);
    let name = label.split_once(':').map_or(label, |(_, name)| name);
    stages::told().iter().any(|told| told.name == name && writes(told))
}

/// Stages that did nothing at all: most often an option that does not mean what it was taken for. The
/// stages that all slices share come last in each, and are one stage.
pub fn idle_stages(catalog: &Catalog) -> Vec<String> {
    let place =
        |label: &str| label.split_once(':').and_then(|(at, name)| Some((at.parse::<usize>().ok()?, name.to_owned())));
    let mut busy = BTreeSet::new();
    let mut idle = Vec::new();
    for (name, slice) in &catalog.slices {
        let last = slice.counts.stages.keys().filter_map(|label| place(label)).map(|(at, _)| at).max().unwrap_or(0);
        for (label, stage) in &slice.counts.stages {
            let from_the_end = place(label).map(|(at, name)| (last - at, name));
            if stage.dropped + stage.edited + stage.measured + stage.marked > 0 {
                busy.extend(from_the_end);
            } else if stage.seen > 0 {
                // One that saw nothing is not to blame: those before it dropped all.
                let words = format!("{name}: stage {label} touched none of {}", count(stage.seen, "document"));
                idle.push((from_the_end, words));
            }
        }
    }
    idle.retain(|(place, _)| place.as_ref().is_none_or(|place| !busy.contains(place)));
    idle.into_iter().map(|(_, words)| words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number(999), "999");
        assert_eq!(duration(3.25), "3.2 s");
        assert_eq!(duration(7200.0), "2.0 h");
    }

    #[test]
    fn an_account_adds_up_before_the_reader_s_eyes() {
        let mut counts = Counts::default();
        counts.keep(1000, 900);
        counts.drop(corpus::Reason("line_too_long"), 3000);
        counts.unusable(corpus::Reason("bad_json"), 10);
        let account = account(&counts);
        let rows: Vec<&str> = account.lines().map(str::trim_end).collect();
        assert_eq!(
            rows,
            [
                "                 documents    share        text",
                "read                     3  100.0 %     3.9 KiB",
                "kept                     1   33.3 %  1000 bytes",
                "dropped                  1   33.3 %     2.9 KiB",
                "  line_too_long          1   33.3 %     2.9 KiB",
                "unusable                 1   33.3 %    10 bytes",
                "  bad_json               1   33.3 %    10 bytes",
            ]
        );
    }
}
