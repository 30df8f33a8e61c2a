//! The largest clusters of a dedup: of which document the most copies go, with examples. For a guard
//! before anything is rewritten, and for `status --clusters` when all is done.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use corpus::catalog::Catalog;
use corpus::sorted::Sorter;
use corpus::store::Store;
use corpus::{Digest, Error, table};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::{Failure, Result};
use crate::report::{count, number};
use crate::size::Size;

/// How many members of a cluster are shown.
pub const MEMBERS: usize = 3;
/// Lines of a text that are shown, and characters of each.
const LINES: usize = 2;
const WIDTH: usize = 100;

/// Documents that go for one that stays.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// The dedup, by its label.
    pub stage: String,
    /// All documents, the one that stays among them.
    pub documents: u64,
    /// The one that stays.
    pub kept: Member,
    /// Some that go, those of lowest rank.
    pub gone: Vec<Member>,
}

/// A document of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The other run that has it, as the pipeline names it; none if it is of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// How like the one that stays it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
    /// How its text begins, where that is still known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub begins: Vec<String>,
}

/// Of what comes sorted by cluster, the `most` largest: the key, how many there are, the first few.
/// Of clusters of one size the first come first.
pub fn largest<K: Copy + PartialEq, V>(
    sorted: impl Iterator<Item = corpus::Result<(K, V)>>,
    most: usize,
) -> corpus::Result<Vec<(K, u64, Vec<V>)>> {
    let mut largest: Vec<(K, u64, Vec<V>)> = Vec::new();
    let mut close = |cluster: Option<(K, u64, Vec<V>)>| {
        let Some(cluster) = cluster else { return };
        let at = largest.partition_point(|known| known.1 >= cluster.1);
        if at < most {
            largest.truncate(most - 1);
            largest.insert(at, cluster);
        }
    };
    let mut open: Option<(K, u64, Vec<V>)> = None;
    for member in sorted {
        let (key, value) = member?;
        match &mut open {
            Some((known, size, members)) if *known == key => {
                *size += 1;
                if members.len() < MEMBERS {
                    members.push(value);
                }
            }
            _ => close(open.replace((key, 1, vec![value]))),
        }
    }
    close(open);
    Ok(largest)
}

/// How a text begins: its first lines that are not blank, cut.
pub fn beginning(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let cut = |line: &str| match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{} …", &line[..at]),
        None => line.to_owned(),
    };
    lines.take(LINES).map(cut).collect()
}

/// Clusters for people.
pub fn words(clusters: &[Cluster]) -> String {
    let mut out = String::new();
    for cluster in clusters {
        let all = count(cluster.documents, "document");
        let stays = &cluster.kept.id;
        let _ = match &cluster.kept.run {
            Some(run) => writeln!(out, "  {all} by {}, of which {stays} of the run {run} stays", cluster.stage),
            None => writeln!(out, "  {all} by {}, of which {stays} stays", cluster.stage),
        };
        lines_of(&mut out, &cluster.kept);
        for member in &cluster.gone {
            let alike = member.similarity.map(|similarity| format!(" ({similarity:.3} alike)")).unwrap_or_default();
            let _ = writeln!(out, "    goes {}{alike}", member.id);
            lines_of(&mut out, member);
        }
        let more = cluster.documents - 1 - cluster.gone.len() as u64;
        if more > 0 {
            let _ = writeln!(out, "    and {} more", number(more));
        }
    }
    out
}

fn lines_of(out: &mut String, member: &Member) {
    for line in &member.begins {
        let _ = writeln!(out, "    │ {line}");
    }
}

/// The largest clusters of a finished run, from its receipts in `dropped/`. The texts of those that
/// stayed are still there; of those that went, their ids. What memory has no room for lies in the run's folder, which
/// has room for such files, or where nobody may write there in the system's own for scratch.
pub fn of_run(store: &Store, catalog: &Catalog, most: usize, memory: Size) -> Result<Vec<Cluster>> {
    if let Ok(scratch) = Store::create(store.root()) {
        let found = sorted_in(&scratch, store, catalog, most, memory);
        scratch.leave()?;
        return found;
    }
    let folder = tempfile::tempdir().map_err(Failure::io("cannot make a scratch folder in", std::env::temp_dir()))?;
    sorted_in(&Store::create(folder.path())?, store, catalog, most, memory)
}

fn sorted_in(scratch: &Store, store: &Store, catalog: &Catalog, most: usize, memory: Size) -> Result<Vec<Cluster>> {
    let files: Vec<&str> =
        catalog.slices.values().flat_map(|slice| &slice.dropped).map(|output| output.name.as_str()).collect();
    // The cluster, then the file and the row of the receipt.
    let mut receipts = Sorter::<28>::new(scratch, memory.0 as usize);
    for (file, name) in files.iter().enumerate() {
        let mut row = 0u64;
        table::each_row(&store.path(name), &mut |receipt| {
            if let (Some(stage), Some(kept)) = (text(&receipt, "stage"), text(&receipt, "kept_id")) {
                let mut record = [0; 28];
                record[..16].copy_from_slice(&cluster_of(stage, kept, text(&receipt, "kept_run")).0[..16]);
                record[16..20].copy_from_slice(&(file as u32).to_be_bytes());
                record[20..].copy_from_slice(&row.to_be_bytes());
                receipts.push(record)?;
            }
            row += 1;
            Ok(true)
        })?;
    }
    let place = |record: [u8; 28]| {
        let (mut key, mut file, mut row) = ([0; 16], [0; 4], [0; 8]);
        key.copy_from_slice(&record[..16]);
        file.copy_from_slice(&record[16..20]);
        row.copy_from_slice(&record[20..]);
        (key, (u32::from_be_bytes(file) as usize, u64::from_be_bytes(row)))
    };
    let found = largest(receipts.sorted()?.map(|record| record.map(place)), most)?;
    let mut wanted: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    for (file, row) in found.iter().flat_map(|(_, _, members)| members) {
        wanted.entry(*file).or_default().insert(*row);
    }
    let mut rows: BTreeMap<(usize, u64), Map<String, Value>> = BTreeMap::new();
    for (file, mut wanted) in wanted {
        let mut row = 0;
        table::each_row(&store.path(files[file]), &mut |receipt| {
            if wanted.remove(&row) {
                rows.insert((file, row), receipt);
            }
            row += 1;
            Ok(!wanted.is_empty())
        })?;
    }
    let mut clusters: Vec<Cluster> = Vec::new();
    for (_, size, members) in found {
        let receipts: Vec<_> = members.iter().filter_map(|member| rows.get(member)).collect();
        let Some(first) = receipts.first() else { continue };
        clusters.push(Cluster {
            stage: text(first, "stage").unwrap_or_default().to_owned(),
            documents: size + 1,
            kept: Member {
                id: text(first, "kept_id").unwrap_or_default().to_owned(),
                run: text(first, "kept_run").map(str::to_owned),
                ..Member::default()
            },
            gone: receipts
                .iter()
                .map(|receipt| Member {
                    id: text(receipt, "id").unwrap_or_default().to_owned(),
                    similarity: receipt.get("similarity").and_then(Value::as_f64).map(|similarity| similarity as f32),
                    ..Member::default()
                })
                .collect(),
        });
    }
    clusters.sort_by_key(|cluster| {
        (Reverse(cluster.documents), cluster.stage.clone(), cluster.kept.run.clone(), cluster.kept.id.clone())
    });
    begin(store, catalog, &mut clusters)?;
    Ok(clusters)
}

/// What the receipts of a cluster have in common.
fn cluster_of(stage: &str, kept: &str, run: Option<&str>) -> Digest {
    run.map_or_else(|| Digest::of_value(&(stage, kept)), |run| Digest::of_value(&(stage, kept, run)))
}

/// Looks up how the documents begin that stayed to the end; of another run's it is not known here, where
/// that lay.
fn begin(store: &Store, catalog: &Catalog, clusters: &mut [Cluster]) -> Result<(), Error> {
    let ours = |cluster: &&Cluster| cluster.kept.run.is_none();
    let mut wanted: BTreeSet<String> = clusters.iter().filter(ours).map(|cluster| cluster.kept.id.clone()).collect();
    let mut begins: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, slice) in &catalog.slices {
        for output in &slice.documents {
            if !wanted.iter().any(|id| id.split('/').next() == Some(name)) {
                break;
            }
            table::each_row(&store.path(&output.name), &mut |document| {
                if let Some(id) = text(&document, "id").filter(|id| wanted.contains(*id)) {
                    begins.insert(id.to_owned(), beginning(text(&document, "text").unwrap_or_default()));
                    wanted.remove(id);
                }
                Ok(!wanted.is_empty())
            })?;
        }
    }
    for cluster in clusters.iter_mut().filter(|cluster| cluster.kept.run.is_none()) {
        cluster.kept.begins = begins.get(&cluster.kept.id).cloned().unwrap_or_default();
    }
    Ok(())
}

fn text<'r>(row: &'r Map<String, Value>, name: &str) -> Option<&'r str> {
    row.get(name).and_then(Value::as_str)
}

#[test]
fn the_largest_come_first_and_of_one_size_the_first() {
    let members = [(1, 'a'), (2, 'b'), (2, 'c'), (3, 'd'), (3, 'e'), (4, 'f'), (4, 'g'), (4, 'h'), (4, 'i')];
    let found = largest(members.into_iter().map(Ok), 3).unwrap();
    assert_eq!(found, [(4, 4, vec!['f', 'g', 'h']), (2, 2, vec!['b', 'c']), (3, 2, vec!['d', 'e'])]);
    assert_eq!(largest(members.into_iter().map(Ok), 1).unwrap().len(), 1);
    assert_eq!(largest(std::iter::empty::<corpus::Result<(u8, u8)>>(), 3).unwrap(), []);
}

#[test]
fn a_text_begins_with_what_can_be_read() {
    assert_eq!(beginning("\n \n a\n\n  b \nc"), ["a", "b"]);
    assert_eq!(beginning(&"é".repeat(101)), [format!("{} …", "é".repeat(100))]);
    assert_eq!(beginning(" \n"), [""; 0]);
}
