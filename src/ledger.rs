//! The tasks that are done: `OUT/commits/<task-id>.json`, one file each, created once and never
//! changed.

use corpus::catalog::{FORMAT, ShardEntry};
use corpus::manifest::RawRead;
use corpus::store::{Output, Store};
use corpus::{Counts, Digest, Error, PairCounts};
use serde::{Deserialize, Serialize};

/// What a finished task left. Two attempts at one task leave the same, or something was not
/// deterministic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The layout of the folder.
    pub format: u32,
    /// Kept documents, when this was the last pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub documents: Option<Output>,
    /// Dropped documents and unusable records.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dropped: Option<Output>,
    /// What was taken from documents.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cut: Option<Output>,
    /// Shards, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub shards: Vec<ShardEntry>,
    /// Documents for the next pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub between: Option<Output>,
    /// Sketches for the dedup.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sketches: Option<Output>,
    /// What the dedup found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub findings: Option<Output>,
    /// The documents that are in a pair, for which evidence is wanted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub candidates: Option<Output>,
    /// Their evidence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<Output>,
    /// What the dedup made of pairs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pairs: Option<PairCounts>,
    /// The raw files that were read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reads: Vec<RawRead>,
    /// What was read, kept, dropped.
    pub counts: Counts,
}

impl Commit {
    /// All files that it names.
    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        let compared = self.sketches.iter().chain(&self.findings).chain(&self.candidates).chain(&self.evidence);
        self.published().chain(&self.between).chain(compared)
    }

    /// The files that a catalog names.
    pub fn published(&self) -> impl Iterator<Item = &Output> {
        let shards = self.shards.iter().flat_map(|shard| [&shard.bin, &shard.idx, &shard.provenance]);
        self.documents.iter().chain(&self.dropped).chain(&self.cut).chain(shards)
    }
}

/// Where a task stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Committed, and its files are there.
    Done(Box<Commit>),
    /// Committed, but a file is gone.
    Lost {
        /// The first file that is gone.
        name: String,
        /// Whether a catalog would name it.
        published: bool,
    },
    /// Not committed.
    Todo,
}

/// The commits of a store.
pub struct Ledger<'s> {
    store: &'s Store,
}

impl<'s> Ledger<'s> {
    /// The ledger of a store.
    pub fn new(store: &'s Store) -> Ledger<'s> {
        Ledger { store }
    }

    /// What a task left, if it is done.
    pub fn commit_of(&self, task: &Digest) -> Result<Option<Commit>, Error> {
        let name = name_of(task);
        if !self.store.has(&name) {
            return Ok(None);
        }
        let bytes = self.store.read(&name)?;
        let commit: Commit = serde_json::from_slice(&bytes)
            .map_err(|error| Error::damaged(self.store.path(&name), format!("is no commit: {error}")))?;
        if commit.format != FORMAT {
            let detail =
                format!("is of format {}, not {FORMAT}: another version of the toolkit wrote it", commit.format);
            return Err(Error::damaged(self.store.path(&name), detail));
        }
        Ok(Some(commit))
    }

    /// Where a task stands; files are looked up by name and length, digests are `verify`'s work.
    pub fn standing(&self, task: &Digest) -> Result<Standing, Error> {
        let Some(commit) = self.commit_of(task)? else { return Ok(Standing::Todo) };
        let there = |output: &&Output| {
            std::fs::metadata(self.store.path(&output.name)).is_ok_and(|found| found.len() == output.bytes)
        };
        let lost = |output: &Output, published| Standing::Lost { name: output.name.clone(), published };
        if let Some(output) = commit.published().find(|output| !there(output)) {
            return Ok(lost(output, true));
        }
        if let Some(output) = commit.outputs().find(|output| !there(output)) {
            return Ok(lost(output, false));
        }
        Ok(Standing::Done(Box::new(commit)))
    }

    /// Commits a task whose files are published. Losing the race to equal digests is success.
    pub fn commit(&self, task: &Digest, commit: &Commit) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(commit).unwrap_or_default();
        if self.store.write_new(&name_of(task), &text)? {
            return Ok(());
        }
        match self.commit_of(task)? {
            Some(known) if known == *commit => Ok(()),
            Some(known) => {
                let differs = known.outputs().zip(commit.outputs()).find(|(a, b)| a != b);
                let detail = match differs {
                    Some((a, b)) => format!("{} was {}, is {}", a.name, a.digest.short(), b.digest.short()),
                    None => "the counts or the number of files differ".to_owned(),
                };
                Err(Error::Conflict { task: task.short(), detail })
            }
            None => Err(Error::damaged(self.store.path(&name_of(task)), "vanished while it was committed")),
        }
    }

    /// The names of all commits that are not of these tasks.
    pub fn stale(&self, tasks: &std::collections::BTreeSet<Digest>) -> Result<Vec<String>, Error> {
        let known: std::collections::BTreeSet<String> = tasks.iter().map(name_of).collect();
        Ok(self.store.list("commits")?.into_iter().filter(|name| !known.contains(name)).collect())
    }
}

fn name_of(task: &Digest) -> String {
    format!("commits/{task}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(tokens: u64) -> Commit {
        Commit { format: FORMAT, counts: Counts { tokens, ..Counts::default() }, ..Commit::default() }
    }

    #[test]
    fn a_task_is_committed_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let ledger = Ledger::new(&store);
        let task = Digest::of(b"task");
        assert!(matches!(ledger.standing(&task), Ok(Standing::Todo)));
        ledger.commit(&task, &commit(1)).unwrap();
        ledger.commit(&task, &commit(1)).unwrap();
        assert!(matches!(ledger.standing(&task), Ok(Standing::Done(_))));
        assert!(matches!(ledger.commit(&task, &commit(2)), Err(Error::Conflict { .. })));
        assert_eq!(ledger.commit_of(&task).unwrap(), Some(commit(1)));
    }

    #[test]
    fn a_lost_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let ledger = Ledger::new(&store);
        let task = Digest::of(b"task");
        let documents = Some(store.write("documents/a", b"red").unwrap());
        ledger.commit(&task, &Commit { documents, ..commit(1) }).unwrap();
        assert!(matches!(ledger.standing(&task), Ok(Standing::Done(_))));
        std::fs::write(store.path("documents/a"), b"re").unwrap();
        assert!(matches!(ledger.standing(&task), Ok(Standing::Lost { published: true, .. })));
    }
}
