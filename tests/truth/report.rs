//! What a build removed, held against what is alike.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use corpus::table;
use flate2::read::MultiGzDecoder;

use super::alike::Shingles;

/// A document of the corpus.
struct Document {
    id: String,
    family: String,
    group: String,
    text: String,
}

/// What a build made of a corpus.
#[derive(Debug, Default)]
pub struct Report {
    pub documents: usize,
    pub text_bytes: usize,
    pub removed: usize,
    /// What the rule would remove that knows how alike all documents are: in order of rank, each that is
    /// alike to one that stays.
    pub by_the_rule: usize,
    /// Removals for a document that is not alike enough.
    pub below_the_threshold: Vec<String>,
    /// Receipts that name another similarity than the texts have.
    pub wrong_similarity: Vec<String>,
    /// Receipts that name a document which is gone itself, or comes later: chains.
    pub for_one_that_went: Vec<String>,
    /// Removals for a document of another group, with which it has nothing to do but by chance.
    pub of_another_group: usize,
    /// For each twentieth of similarity to the likest document before it that stays: how many
    /// documents went, and how many stay.
    pub bands: BTreeMap<usize, (usize, usize)>,
    /// For each family: documents, how many went, how many stay though they are alike to one that does.
    pub families: BTreeMap<String, (usize, usize, usize)>,
}

impl Report {
    /// The share of documents that went, of those that are as like one before it that stays.
    pub fn recall(&self, from: f64) -> f64 {
        let from = (from * 20.0).round() as usize;
        let (gone, stay) = self.bands.range(from..).fold((0, 0), |all, (_, band)| (all.0 + band.0, all.1 + band.1));
        gone as f64 / (gone + stay).max(1) as f64
    }

    /// What must never be.
    pub fn faults(&self) -> Vec<String> {
        let kinds = [
            ("removed below the threshold", &self.below_the_threshold),
            ("with a wrong similarity", &self.wrong_similarity),
            ("removed for one that went", &self.for_one_that_went),
        ];
        kinds
            .iter()
            .filter(|(_, found)| !found.is_empty())
            .map(|(what, found)| format!("{} {what}, such as {}", found.len(), found[0]))
            .collect()
    }

    /// The report as Markdown.
    pub fn words(&self) -> String {
        let mut out = format!(
            "{} documents, {:.1} MB of text; {} removed ({} by the rule on all pairs)\n\n",
            self.documents,
            self.text_bytes as f64 / 1e6,
            self.removed,
            self.by_the_rule
        );
        out += "| Jaccard similarity to the likest that stays | documents | removed | recall |\n|---|---|---|---|\n";
        for (band, (gone, stay)) in self.bands.iter().rev().filter(|(band, _)| **band >= 8) {
            let (from, to) = (*band as f64 / 20.0, (*band + 1) as f64 / 20.0);
            let range = if *band == 20 { "1".to_owned() } else { format!("{from:.2} to {to:.2}") };
            let _ = writeln!(
                out,
                "| {range} | {} | {gone} | {:.4} |",
                gone + stay,
                *gone as f64 / (gone + stay).max(1) as f64
            );
        }
        out += "\n| family | documents | removed | missed |\n|---|---|---|---|\n";
        for (family, (documents, gone, missed)) in &self.families {
            let _ = writeln!(out, "| {family} | {documents} | {gone} | {missed} |");
        }
        let _ = write!(
            out,
            "\nremoved below the threshold: {}\nreceipts with another similarity than the texts have: {}\nremoved for a \
             document that went itself: {}\nremoved for a document of another group: {}\n",
            self.below_the_threshold.len(),
            self.wrong_similarity.len(),
            self.for_one_that_went.len(),
            self.of_another_group
        );
        out
    }
}

/// Builds with one stage, and looks at what it removed. `raw` holds what
/// [`generate`](super::generate::generate) made.
pub fn report(redpajama: &Path, raw: &Path, out: &Path, stage: &str, threshold: f64) -> io::Result<Report> {
    let documents = read(raw)?;
    let place: HashMap<&str, usize> = documents.iter().enumerate().map(|(at, one)| (&*one.id, at)).collect();
    let removals = build(redpajama, raw, out, stage)?;
    let shingles = Shingles::of(documents.iter().map(|document| &*document.text));
    let mut report = Report {
        documents: documents.len(),
        text_bytes: documents.iter().map(|document| document.text.len()).sum(),
        removed: removals.len(),
        ..Report::default()
    };
    let at = |id: &str| place.get(id).copied().ok_or_else(|| io::Error::other(format!("a receipt names {id}")));
    let mut gone = BTreeSet::new();
    for (id, ..) in &removals {
        gone.insert(at(id)?);
    }
    if gone.len() != removals.len() {
        return Err(io::Error::other("a document went twice"));
    }
    for (id, kept_id, similarity) in &removals {
        let (one, kept) = (at(id)?, at(kept_id)?);
        let truly = shingles.jaccard(one, kept);
        let words = format!("{id} for {kept_id}: {truly:.4}");
        // A similarity is noted in single precision.
        if (truly - similarity).abs() > 1e-6 {
            report.wrong_similarity.push(format!("{words}, and not {similarity:.4}"));
        }
        if truly < threshold {
            report.below_the_threshold.push(words.clone());
        }
        if gone.contains(&kept) || kept >= one {
            report.for_one_that_went.push(words);
        }
        report.of_another_group += usize::from(documents[one].group != documents[kept].group);
    }
    let mut rule = BTreeSet::new();
    shingles.each(|document, alike| {
        if alike.iter().any(|(other, similarity)| *similarity >= threshold && !rule.contains(other)) {
            rule.insert(document);
        }
        let staying = alike.iter().filter(|(other, _)| !gone.contains(other)).map(|(_, similarity)| *similarity);
        let likest = staying.fold(0.0, f64::max);
        let went = gone.contains(&document);
        let band = report.bands.entry((likest * 20.0 + 1e-9) as usize).or_default();
        let family = report.families.entry(documents[document].family.clone()).or_default();
        family.0 += 1;
        match went {
            true => (band.0, family.1) = (band.0 + 1, family.1 + 1),
            false => band.1 += 1,
        }
        family.2 += usize::from(!went && likest >= threshold);
    });
    report.by_the_rule = rule.len();
    Ok(report)
}

/// The documents of a corpus in order of rank: file by file, record by record.
fn read(raw: &Path) -> io::Result<Vec<Document>> {
    let mut files: Vec<_> = fs::read_dir(raw)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut documents = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (record, line) in BufReader::new(MultiGzDecoder::new(File::open(&file)?)).lines().enumerate() {
            let value: serde_json::Value = serde_json::from_str(&line?)?;
            let mut address = value["url"].as_str().unwrap_or_default().rsplit('/').skip(1);
            documents.push(Document {
                id: format!("c4/{name}#{record}"),
                group: address.next().unwrap_or_default().to_owned(),
                family: address.next().unwrap_or_default().to_owned(),
                text: value["text"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(documents)
}

/// Runs the command; (what went, what stays, how alike) of each receipt.
fn build(redpajama: &Path, raw: &Path, out: &Path, stage: &str) -> io::Result<Vec<(String, String, f64)>> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)?;
    let pipeline = out.join("pipeline.yaml");
    fs::write(&pipeline, format!("slices:\n  c4: {{}}\nstages:\n  - {stage}\n"))?;
    let mut command = Command::new(redpajama);
    command.arg("build").arg(&pipeline).arg("--input").arg(raw).arg("--output").arg(out.join("out"));
    let ran = command.output()?;
    if !ran.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&ran.stderr).into_owned()));
    }
    let mut removals = Vec::new();
    let dropped = out.join("out/dropped/c4");
    // Where nothing went there is no receipt.
    if !dropped.exists() {
        return Ok(removals);
    }
    let mut files: Vec<_> = fs::read_dir(dropped)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    for file in files {
        table::each_row(&file, &mut |row| {
            let text = |name: &str| row.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
            let similarity = row.get("similarity").and_then(|value| value.as_f64()).unwrap_or(f64::NAN);
            removals.push((text("id"), text("kept_id"), similarity));
            Ok(true)
        })
        .map_err(io::Error::other)?;
    }
    Ok(removals)
}
