//! What a run has seen of the shards that its model is evaluated on, as far as its checkpoint says.

use corpus::Digest;

use super::{Loose, Origin, ShardOf};
use crate::data::{Data, Slice, Which};
use crate::failure::{Failure, Result};

/// How much of a slice a run reads to train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// None of its shards, as far as is known: they may hold the same text, written anew.
    No,
    /// None, though they are there: they have no share of what is drawn.
    Undrawn,
    /// Shards of the same names and indexes, with other tokens.
    Changed,
    /// Some of its shards, or all in another order.
    Part,
    /// Its shards in their order, so that windows of as many tokens are the same ones.
    Whole,
}

impl Loose {
    /// How much of a slice is in these shards.
    fn holds(&self, slice: &Loose) -> Seen {
        let tokens = |shards: &[ShardOf]| shards.iter().map(|shard| shard.tokens).collect::<Vec<Digest>>();
        let named = |shard: &ShardOf| (shard.path.file_name().map(ToOwned::to_owned), shard.index);
        match (self, slice) {
            (Loose::Known(own), Loose::Known(all)) => {
                let changed = all.iter().any(|now| own.iter().any(|was| named(was) == named(now)));
                let (own, all) = (tokens(own), tokens(all));
                match all.iter().any(|one| own.contains(one)) {
                    false if changed => Seen::Changed,
                    false => Seen::No,
                    true if own == all => Seen::Whole,
                    true => Seen::Part,
                }
            }
            _ if self.indexes() == slice.indexes() => Seen::Whole,
            _ => Seen::No,
        }
    }
}

impl Origin {
    /// The digest of the tokenizer of its catalogs.
    pub fn tokenizer(&self) -> Option<Digest> {
        self.tokenizer.as_ref().map(|own| own.digest)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.must.get(key)?.parse().ok()
    }

    /// Whether a slice of this name has a share of what is drawn.
    fn draws(&self, name: &str) -> bool {
        let share = |key: &str| self.must.get(&format!("data.{key}.{name}")).map(String::as_str);
        let mixed = self.must.keys().any(|key| key.starts_with("data.mixture."));
        match mixed {
            true => !matches!(share("mixture"), None | Some("0")),
            false => share("epochs") != Some("0"),
        }
    }

    /// How much of a slice of `data` the run reads to train on, whatever it calls it and wherever it lies.
    fn seen(&self, data: &Data, slice: &Slice) -> Result<Seen> {
        let known = Loose::Known(slice.known()?);
        let mut most = Seen::No;
        for (name, own) in self.listed.iter().chain(&self.shards) {
            let held = own.holds(&known);
            match self.draws(name) {
                true => most = most.max(held),
                false if held == Seen::Whole => most = most.max(Seen::Undrawn),
                false => {}
            }
        }
        // Not every checkpoint says more of them than their catalog.
        let catalog = |digest: Digest| self.catalogs.iter().any(|own| own.digest == digest);
        if self.listed.is_empty() && self.draws(&slice.name) && data.catalogs.iter().any(|one| catalog(one.digest)) {
            most = Seen::Whole;
        }
        Ok(most)
    }

    /// What is to be said of each slice's windows that a model of this run is evaluated on: whether it was trained
    /// on them. Windows that it was trained on are none to be held out: an error, unless all are asked for.
    pub fn notes(&self, data: &Data, time: usize, which: Which) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let own = self.number("sequence").unwrap_or(0);
        let validation = self.number("data.validation").unwrap_or(0);
        for (at, slice) in data.slices.iter().enumerate() {
            let (seen, split) = (self.seen(data, slice)?, data.splits[at]);
            // The first of them are the same, however many are held out.
            let held = validation.min(split.windows / 10);
            let cut = seen == Seen::Whole && own == time as u64;
            let count = data.told(at, which);
            notes.push(match (which, seen) {
                (_, Seen::No) if !self.knows_tokens() => {
                    format!("{count} of which it is not known whether it was trained on them")
                }
                (_, Seen::No) => format!("{count} of shards it does not know"),
                (_, Seen::Undrawn) => format!("{count} of shards it was not trained on"),
                (_, Seen::Changed) => format!("{count} of shards that have changed since it was trained on them"),
                (Which::HeldOut, Seen::Whole) if cut && split.held <= held => format!("{count} held out of its training"),
                (Which::HeldOut, Seen::Whole) => {
                    let message = format!(
                        "windows of `{}` that the model was trained on would count as held out: \
                         its run has `sequence` {own} and `data.validation` {validation}",
                        slice.name
                    );
                    return Err(Failure::configuration(message).hint(format!(
                        "`--set sequence={own} --set data.validation={validation}` takes the run's own; `--all` evaluates all, and says so"
                    )));
                }
                (Which::HeldOut, Seen::Part) => {
                    let message = format!(
                        "windows of `{}` that the model was trained on would count as held out: \
                         shards of it are among those of its run, which cut them elsewhere",
                        slice.name
                    );
                    return Err(Failure::configuration(message)
                        .hint("name the data as the run did, or other data; `--all` evaluates all, and says so"));
                }
                (Which::All, Seen::Whole) if cut => format!("{count} of shards it was trained on, but for {held} windows"),
                (Which::All, Seen::Whole) => format!("{count} of shards it was trained on"),
                (Which::All, Seen::Part) => format!("{count} of shards it was trained on in part"),
            });
        }
        Ok(notes)
    }
}
