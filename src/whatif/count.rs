//! The counting: every rule on every row, columns at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use corpus::columns::{Columns, Piece};
use serde::Serialize;
use stages::keep_if::Rule;

use super::{Recipe, Table};
use crate::failure::{Failure, Result};

/// A number of documents, with what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many.
    pub documents: u64,
    /// Bytes of their texts, after all edits.
    pub bytes: u64,
    /// Their tokens, without ends of documents; 0 where nobody asked for tokens.
    pub tokens: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64, tokens: u64) {
        self.documents += 1;
        self.bytes += bytes;
        self.tokens += tokens;
    }

    pub fn merge(&mut self, other: &Sum) {
        self.documents += other.documents;
        self.bytes += other.bytes;
        self.tokens += other.tokens;
    }
}

/// A slice, and the language that its documents are said to be in: empty if nobody said one.
pub type Group = (String, String);

/// What one recipe does.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    /// What it keeps, by slice and language.
    pub kept: BTreeMap<Group, Sum>,
    /// For each of its rules, what it removes, and what no other rule removes.
    pub rules: Vec<(Sum, Sum)>,
}

/// What all recipes do.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// All documents, by slice and language.
    pub all: BTreeMap<Group, Sum>,
    /// Recipe by recipe.
    pub recipes: Vec<Tried>,
    /// For each pair of recipes what both keep, only the first, only the second, and neither.
    pub pairs: BTreeMap<(usize, usize), [Sum; 4]>,
}

impl Counted {
    fn new(recipes: &[Recipe]) -> Counted {
        let tried =
            |recipe: &Recipe| Tried { rules: vec![Default::default(); recipe.keep_if.rules.len()], ..Tried::default() };
        let pairs = (0..recipes.len()).flat_map(|a| (a + 1..recipes.len()).map(move |b| ((a, b), Default::default())));
        Counted { all: BTreeMap::new(), recipes: recipes.iter().map(tried).collect(), pairs: pairs.collect() }
    }

    fn merge(&mut self, other: &Counted) {
        let join = |to: &mut BTreeMap<Group, Sum>, from: &BTreeMap<Group, Sum>| {
            for (group, sum) in from {
                to.entry(group.clone()).or_default().merge(sum);
            }
        };
        join(&mut self.all, &other.all);
        for (to, from) in self.recipes.iter_mut().zip(&other.recipes) {
            join(&mut to.kept, &from.kept);
            for ((removed, only), (also, alone)) in to.rules.iter_mut().zip(&from.rules) {
                removed.merge(also);
                only.merge(alone);
            }
        }
        for (pair, sums) in &mut self.pairs {
            for (sum, also) in sums.iter_mut().zip(&other.pairs[pair]) {
                sum.merge(also);
            }
        }
    }
}

/// Tries recipes on tables, with so many threads.
pub fn count(recipes: &[Recipe], tables: &[Table<'_>], workers: usize) -> Result<Counted> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Counted> {
        let mut counted = Counted::new(recipes);
        let mut scratch = Scratch::new(recipes);
        while let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed)) {
            scratch.table(table, &mut counted).inspect_err(|_| next.store(tables.len(), Ordering::Relaxed))?;
        }
        Ok(counted)
    };
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.min(tables.len()).max(1)).map(|_| scope.spawn(work)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Counted>>| match thread.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect::<Result<Vec<Counted>>>()
    })?;
    let mut counted = Counted::new(recipes);
    for part in &parts {
        counted.merge(part);
    }
    Ok(counted)
}

/// The columns that are counted, before those that are judged.
const COUNTED: [&str; 3] = ["text_bytes", "tokens", "language"];

/// What a thread keeps from piece to piece.
struct Scratch<'r> {
    /// The rules of each recipe: its column, and what it says.
    recipes: Vec<Vec<(usize, &'r Rule)>>,
    columns: Vec<&'r str>,
    numbers: Vec<f64>,
    /// For each recipe and row, how many rules it breaks and one of them.
    broken: Vec<Vec<Broken>>,
    sizes: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Default)]
struct Broken {
    rules: u16,
    one: u16,
}

impl<'r> Scratch<'r> {
    fn new(recipes: &'r [Recipe]) -> Scratch<'r> {
        let mut columns: Vec<&str> = COUNTED.to_vec();
        let mut place = |name: &'r String| {
            columns.iter().position(|known| known == name).unwrap_or_else(|| {
                columns.push(name);
                columns.len() - 1
            })
        };
        let recipes: Vec<Vec<_>> = recipes
            .iter()
            .map(|recipe| recipe.keep_if.rules.iter().map(|(name, rule)| (place(name), rule)).collect())
            .collect();
        let broken = vec![Vec::new(); recipes.len()];
        Scratch { recipes, columns, numbers: Vec::new(), broken, sizes: Vec::new() }
    }

    fn table(&mut self, table: &Table<'_>, counted: &mut Counted) -> Result<()> {
        let columns = Columns::open(&table.path)?;
        if columns.is_text(COUNTED[0]).is_none() {
            let message = format!("{} does not say how long its texts are", table.path.display());
            return Err(Failure::configuration(message)
                .hint("an earlier version of redpajama wrote it: run the same `build` again, which makes it anew"));
        }
        for piece in columns.read(&self.columns)? {
            self.piece(table.slice, &piece?, counted);
        }
        Ok(())
    }

    fn piece(&mut self, slice: &str, piece: &Piece, counted: &mut Counted) {
        let rows = piece.rows();
        self.sizes.clear();
        self.sizes.extend(
            (0..rows)
                .map(|row| (piece.unsigned(0, row).unwrap_or_default(), piece.unsigned(1, row).unwrap_or_default())),
        );
        for (recipe, rules) in self.recipes.iter().enumerate() {
            let broken = &mut self.broken[recipe];
            broken.clear();
            broken.resize(rows, Broken::default());
            for (number, (column, rule)) in rules.iter().enumerate() {
                let mut breaks = |row: usize| {
                    broken[row].rules += 1;
                    broken[row].one = number as u16;
                    let (bytes, tokens) = self.sizes[row];
                    counted.recipes[recipe].rules[number].0.add(bytes, tokens);
                };
                let absent = rule.keeps_absent();
                if rule.is_of_words() {
                    for row in 0..rows {
                        if !piece.text(*column, row).map_or(absent, |word| rule.holds_word(word)) {
                            breaks(row);
                        }
                    }
                } else {
                    piece.numbers(*column, &mut self.numbers);
                    for (row, value) in self.numbers.iter().enumerate() {
                        if !(rule.holds(*value) || absent && value.is_nan()) {
                            breaks(row);
                        }
                    }
                }
            }
        }
        // Documents of one language mostly come together.
        let mut from = 0;
        while from < rows {
            let language = piece.text(2, from).unwrap_or_default();
            let same = |row: &usize| piece.text(2, *row).unwrap_or_default() == language;
            let to = (from + 1..rows).take_while(same).last().map_or(from + 1, |row| row + 1);
            self.run(from..to, &(slice.to_owned(), language.to_owned()), counted);
            from = to;
        }
    }

    /// Counts rows of one group.
    fn run(&self, rows: std::ops::Range<usize>, group: &Group, counted: &mut Counted) {
        let all = counted.all.entry(group.clone()).or_default();
        for (bytes, tokens) in &self.sizes[rows.clone()] {
            all.add(*bytes, *tokens);
        }
        for (broken, tried) in self.broken.iter().zip(&mut counted.recipes) {
            let mut kept = Sum::default();
            for row in rows.clone() {
                let (bytes, tokens) = self.sizes[row];
                match broken[row] {
                    Broken { rules: 0, .. } => kept.add(bytes, tokens),
                    Broken { rules: 1, one } => tried.rules[one as usize].1.add(bytes, tokens),
                    _ => {}
                }
            }
            tried.kept.entry(group.clone()).or_default().merge(&kept);
        }
        for ((a, b), sums) in &mut counted.pairs {
            for row in rows.clone() {
                let (first, second) = (self.broken[*a][row].rules > 0, self.broken[*b][row].rules > 0);
                let (bytes, tokens) = self.sizes[row];
                sums[2 * usize::from(first) + usize::from(second)].add(bytes, tokens);
            }
        }
    }
}
