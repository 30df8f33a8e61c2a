//! What was counted, as tables for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Recipe;
use super::count::{Counted, Group, Sum};
use crate::cli::WhatIfArgs;
use crate::report::{count, number, table};
use crate::size::Size;

/// Languages of a slice that are shown one by one.
const LANGUAGES: usize = 12;

fn total(groups: &BTreeMap<Group, Sum>) -> Sum {
    let mut all = Sum::default();
    groups.values().for_each(|sum| all.merge(sum));
    all
}

fn by_slice(groups: &BTreeMap<Group, Sum>) -> BTreeMap<&str, Sum> {
    let mut slices: BTreeMap<&str, Sum> = BTreeMap::new();
    for ((slice, _), sum) in groups {
        slices.entry(slice).or_default().merge(sum);
    }
    slices
}

/// A row of a table: what, and its documents, bytes and tokens with the shares of all of them.
fn row(what: String, sum: &Sum, of: &Sum) -> Vec<String> {
    let share = |part: u64, all: u64| match all {
        0 => String::new(),
        all => format!("{:.1} %", 100.0 * part as f64 / all as f64),
    };
    vec![
        what,
        number(sum.documents),
        share(sum.documents, of.documents),
        Size(sum.bytes).to_string(),
        share(sum.bytes, of.bytes),
        number(sum.tokens),
        share(sum.tokens, of.tokens),
    ]
}

fn head(what: &str) -> Vec<String> {
    [what, "documents", "", "text", "", "tokens", ""].map(str::to_owned).to_vec()
}

/// The tables that `whatif` prints.
pub fn words(args: &WhatIfArgs, recipes: &[Recipe], counted: &Counted, gone: u64) -> String {
    let all = total(&counted.all);
    let mut out = format!(
        "{}: {}, {} of text, {}\n",
        args.out.display(),
        count(all.documents, "document"),
        Size(all.bytes),
        count(all.tokens, "token")
    );
    if gone > 0 {
        let _ = writeln!(
            out,
            "{} that the run itself dropped left no signals and are not judged here",
            count(gone, "document")
        );
    }
    if all.tokens == 0 && all.documents > 0 {
        out += "its pipeline made no tokens, so there are none to count\n";
    }
    for (recipe, tried) in recipes.iter().zip(&counted.recipes) {
        let mut rows = vec![head(&format!("{} keeps", recipe.name)), row("all".into(), &total(&tried.kept), &all)];
        let slices = by_slice(&counted.all);
        for (slice, of) in &slices {
            let kept = by_slice(&tried.kept).get(slice).copied().unwrap_or_default();
            rows.push(row(format!("  {slice}"), &kept, of));
            // The largest first; those of the same size by name.
            let mut languages: Vec<(&str, &Sum)> = counted
                .all
                .iter()
                .filter(|(group, _)| group.0 == **slice)
                .map(|(group, sum)| (&*group.1, sum))
                .collect();
            languages.sort_by_key(|(name, sum)| (std::cmp::Reverse(sum.documents), *name));
            let mut rest = (Sum::default(), Sum::default());
            for (place, (language, of)) in languages.iter().enumerate() {
                let kept = tried.kept.get(&((*slice).to_owned(), (*language).to_owned())).copied().unwrap_or_default();
                if place < LANGUAGES {
                    let name = if language.is_empty() { "no language" } else { language };
                    rows.push(row(format!("    {name}"), &kept, of));
                } else {
                    rest.0.merge(&kept);
                    rest.1.merge(of);
                }
            }
            if languages.len() > LANGUAGES {
                let more = count((languages.len() - LANGUAGES) as u64, "language");
                rows.push(row(format!("    {more} more"), &rest.0, &rest.1));
            }
        }
        let _ = write!(out, "\n{}", table(&rows));

        let mut rows = vec![vec![
            format!("{} removes", recipe.name),
            "documents".into(),
            "".into(),
            "text".into(),
            "only this rule".into(),
            "text".into(),
        ]];
        for ((signal, rule), (removed, only)) in recipe.keep_if.rules.iter().zip(&tried.rules) {
            let mut cells = row(format!("  not {signal} {rule}"), removed, &all);
            cells.truncate(4);
            cells.extend([number(only.documents), Size(only.bytes).to_string()]);
            rows.push(cells);
        }
        let _ = write!(out, "\n{}", table(&rows));
    }
    for ((a, b), sums) in &counted.pairs {
        let (first, second) = (&recipes[*a].name, &recipes[*b].name);
        let mut rows = vec![head(&format!("{first} and {second}"))];
        let names = ["both keep".to_owned(), format!("only {first}"), format!("only {second}"), "neither".to_owned()];
        rows.extend(names.into_iter().zip(sums).map(|(name, sum)| row(format!("  {name}"), sum, &all)));
        let _ = write!(out, "\n{}", table(&rows));
    }
    out
}

/// All that was counted, as one JSON object.
pub fn json(recipes: &[Recipe], counted: &Counted, gone: u64) -> Value {
    let groups = |groups: &BTreeMap<Group, Sum>| {
        let mut slices: BTreeMap<&str, BTreeMap<&str, Sum>> = BTreeMap::new();
        for ((slice, language), sum) in groups {
            slices.entry(slice).or_default().insert(language, *sum);
        }
        json!({ "all": total(groups), "slices": slices })
    };
    let tried: Vec<Value> = recipes
        .iter()
        .zip(&counted.recipes)
        .map(|(recipe, tried)| {
            let rules: Vec<Value> = recipe
                .keep_if
                .rules
                .iter()
                .zip(&tried.rules)
                .map(|((signal, rule), (removed, only))| {
                    json!({ "signal": signal, "rule": rule, "removes": removed, "only_this_removes": only })
                })
                .collect();
            json!({ "recipe": recipe.name, "keeps": groups(&tried.kept), "rules": rules })
        })
        .collect();
    let pairs: Vec<Value> = counted
        .pairs
        .iter()
        .map(|((a, b), [both, first, second, neither])| {
            json!({
                "first": recipes[*a].name, "second": recipes[*b].name,
                "both_keep": both, "only_first": first, "only_second": second, "neither": neither,
            })
        })
        .collect();
    json!({ "documents": groups(&counted.all), "dropped_by_the_run": gone, "recipes": tried, "pairs": pairs })
}
