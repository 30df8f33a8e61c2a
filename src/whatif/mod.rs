//! `whatif`: what recipes would keep of a finished run, from its stored signals alone.
//!
//! Texts are not read, only the columns that the recipes judge and those that are counted, file by
//! file on all workers; what is held are sums by slice and language, and one piece of one file for
//! each worker. Sums of whole numbers do not depend on who adds them first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use corpus::catalog::Catalog;
use corpus::columns::Columns;
use corpus::document::META_FIELDS;
use corpus::store::Store;
use stages::keep_if::{KeepIf, Preset};

use crate::cli::WhatIfArgs;
use crate::failure::{Failure, Place, Result};
use crate::pipeline::{closest, parse};
use crate::publish::read_catalog;
use crate::report;

mod count;
mod show;

/// Rules of a recipe are told apart by so many bits.
const MOST_RULES: usize = 1 << 15;

/// A recipe to try.
pub struct Recipe {
    /// What it is called: the file, or the preset.
    pub name: String,
    /// Its rules.
    pub keep_if: KeepIf,
    /// The file's text, to show what is wrong in it.
    text: Option<String>,
}

/// A table of kept documents.
pub struct Table<'c> {
    slice: &'c str,
    path: PathBuf,
}

/// Runs `whatif`.
pub fn whatif(args: &WhatIfArgs) -> Result<()> {
    let recipes = args.keep_if.iter().map(|name| read(name)).collect::<Result<Vec<_>>>()?;
    let store = Store::open(&args.out);
    let catalog = read_catalog(&store)?;
    let tables = tables(args, &store, &catalog)?;
    for recipe in &recipes {
        check(recipe, &tables)?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = args.workers.map_or(cores, usize::from);
    let counted = count::count(&recipes, &tables, workers)?;
    let slices: BTreeSet<&str> = tables.iter().map(|table| table.slice).collect();
    let gone = catalog.slices.iter().filter(|(name, _)| slices.contains(name.as_str()));
    let gone: u64 = gone.map(|(_, slice)| slice.counts.all_dropped().documents).sum();
    match args.json {
        true => report::print(&format!("{}\n", show::json(&recipes, &counted, gone))),
        false => report::print(&show::words(args, &recipes, &counted, gone)),
    }
    Ok(())
}

/// A recipe by the name of a preset, or from a file with what a pipeline has below `keep_if:`.
fn read(name: &str) -> Result<Recipe> {
    if let Some(preset) = Preset::named(name) {
        return Ok(Recipe { name: name.to_owned(), keep_if: preset.keep_if(), text: None });
    }
    let path = Path::new(name);
    if !path.exists() {
        let known = Preset::ALL.map(Preset::name);
        let failure = Failure::usage(format!("`{name}` is neither a file nor a preset"));
        return Err(failure.hint(match closest(name, &known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("presets are: {}; a file has what stands below `keep_if:` in a pipeline", known.join(", ")),
        }));
    }
    let text = std::fs::read_to_string(path).map_err(Failure::io("cannot read", path))?;
    let keep_if: KeepIf = parse(name, &text).map_err(|failure| {
        let mut lines = text.lines().map(|line| line.trim_start_matches([' ', '-']));
        match lines.any(|line| line.starts_with("keep_if:")) {
            true => failure.hint("leave out `keep_if:`: a recipe has what stands below it in a pipeline"),
            false => failure,
        }
    })?;
    if keep_if.rules.len() > MOST_RULES {
        return Err(Failure::configuration(format!("{name}: more than {MOST_RULES} rules")));
    }
    Ok(Recipe { name: name.to_owned(), keep_if, text: Some(text) })
}

/// The tables of the slices that were asked for.
fn tables<'c>(args: &WhatIfArgs, store: &Store, catalog: &'c Catalog) -> Result<Vec<Table<'c>>> {
    if let Some(unknown) = args.slice.iter().find(|slice| !catalog.slices.contains_key(*slice)) {
        let known: Vec<&str> = catalog.slices.keys().map(String::as_str).collect();
        let failure = Failure::usage(format!("{} has no slice `{unknown}`", args.out.display()));
        return Err(failure.hint(format!("it has: {}", known.join(", "))));
    }
    let mut tables = Vec::new();
    for (name, slice) in &catalog.slices {
        if args.slice.is_empty() || args.slice.contains(name) {
            let paths = slice.documents.iter().map(|output| Table { slice: name, path: store.path(&output.name) });
            tables.extend(paths);
        }
    }
    Ok(tables)
}

/// Says which signal a recipe judges that a slice does not have; the files of a slice are alike.
fn check(recipe: &Recipe, tables: &[Table<'_>]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for table in tables {
        if seen.insert(table.slice, ()).is_some() {
            continue;
        }
        let columns = Columns::open(&table.path)?;
        for (signal, rule) in &recipe.keep_if.rules {
            let words = rule.is_of_words();
            // What the source says is words; whatever else stands in a table is no signal.
            let fixed = FIXED.contains(&signal.as_str()) || !words && META_FIELDS.contains(&signal.as_str());
            let failure = match columns.is_text(signal).filter(|_| !fixed) {
                Some(text) if text == words => continue,
                Some(true) => Failure::configuration(format!("`{signal}` is a word, and the rule has bounds"))
                    .hint("`one_of: [WORD, …]` keeps documents by a word"),
                Some(false) => Failure::configuration(format!("`{signal}` is a number, and the rule lists words"))
                    .hint("`{ min: NUMBER, max: NUMBER }` keeps documents by a number"),
                None => missing(recipe, signal, table.slice, &columns),
            };
            return Err(match place(recipe, signal) {
                Some(place) => failure.at(place),
                None => failure,
            });
        }
    }
    Ok(())
}

/// Columns that are neither signals nor words of the source.
const FIXED: [&str; 8] = ["id", "raw_file", "record", "read_bytes", "text_bytes", "tokens", "text", "meta"];

fn missing(recipe: &Recipe, signal: &str, slice: &str, columns: &Columns) -> Failure {
    let has: Vec<&str> = columns.names().filter(|name| !FIXED.contains(name) && !META_FIELDS.contains(name)).collect();
    let message = format!("{} judges `{signal}`, which the documents of slice {slice} do not have", recipe.name);
    let listed = match has.is_empty() {
        true => "they have no signals".to_owned(),
        false => format!("they have: {}", has.join(", ")),
    };
    let help = match (stages::writer_of(signal), closest(signal, &has)) {
        (Some(stage), _) => format!("`- {stage}: {{}}` in the pipeline writes it; "),
        (None, Some(close)) => format!("did you mean `{close}`? "),
        (None, None) => "no stage writes it; ".to_owned(),
    };
    Failure::configuration(message).hint(help + &listed)
}

/// Where a recipe's file names a signal.
fn place(recipe: &Recipe, signal: &str) -> Option<Place> {
    let text = recipe.text.as_ref()?;
    let named = |line: &str| line.match_indices(signal).map(|(at, _)| at).find(|at| is_key(line, *at, signal));
    let (number, line, at) = text.lines().enumerate().find_map(|(number, line)| Some((number, line, named(line)?)))?;
    Some(Place {
        file: recipe.name.clone(),
        line: number + 1,
        column: line[..at].chars().count() + 1,
        width: signal.chars().count(),
        text: line.to_owned(),
    })
}

/// Whether a word at a place of a line is a key as a whole, not part of another name or of a remark.
fn is_key(line: &str, at: usize, word: &str) -> bool {
    let (before, after) = (&line[..at], &line[at + word.len()..]);
    let after = after.trim_start_matches(['"', '\'']).trim_start();
    let before = before.trim_end_matches(['"', '\'']).trim_end();
    after.starts_with(':') && (before.is_empty() || before.ends_with(['{', ','])) && !before.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_shown_where_it_is_a_key() {
        let text = "# language: here\nlanguage_score: { min: 1 }\na: {max: 1}\n\"language\": { one_of: [en] }\n";
        let recipe = |text: &str| Recipe { name: "r".into(), keep_if: KeepIf::default(), text: Some(text.into()) };
        let at = |text: &str| place(&recipe(text), "language").map(|place| (place.line, place.column));
        assert_eq!(at(text), Some((4, 2)));
        assert_eq!(at("{ language_score: { min: 1 }, language: { min: 1 } }"), Some((1, 31)));
        assert_eq!(at("language_score: { min: 1 }"), None);
    }

    #[test]
    fn a_recipe_stands_without_its_stage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.yaml");
        for text in ["keep_if:\n  line_count: { min: 1 }\n", "- keep_if: { line_count: { min: 1 } }\n"] {
            std::fs::write(&path, text).unwrap();
            let failure = read(path.to_str().unwrap()).err().unwrap();
            assert!(failure.hint.is_some_and(|hint| hint.contains("leave out `keep_if:`")), "{text}");
        }
        std::fs::write(&path, "line_count: { min: 1 }\n").unwrap();
        assert_eq!(read(path.to_str().unwrap()).unwrap().keep_if.rules.len(), 1);
    }
}
