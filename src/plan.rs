//! From a pipeline and raw files to passes of tasks: pure, the same on every machine and with any
//! number of workers.
//!
//! A slice's stages are cut at each dedup. What lies between two cuts is a *segment*, and one
//! partition through one segment is a task; between two segments the sketches of all partitions are
//! resolved, one task per range of keys. A task's id is the digest of all that it does and reads,
//! so every id is known before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use corpus::catalog::{FORMAT, ModelEntry, TokenizerEntry};
use corpus::manifest::RawRead;
use corpus::{Digest, DocumentId, RawFile, SignalSpec, table};
use serde::{Deserialize, Serialize};
use sources::{Limits, Record, Sink, Source, SourceSpec};
use stages::{Guard, Kind, Rank, StageSpec};

use crate::failure::{Failure, Result};
use crate::ledger::{Ledger, Standing};
use crate::pipeline::Read;

/// All passes of a run.
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// Digest of everything that the pipeline does, wherever its files lie.
    pub digest: Digest,
    /// The slices, in order of preference.
    pub slices: Vec<SlicePlan>,
    /// All raw files, those of other runs before those of this one; a rank counts them in this order.
    pub raw_files: Vec<RawFile>,
    /// How many of the raw files are other runs': their documents have ranks below all of this run's,
    /// are compared, and never go.
    pub others: usize,
    /// The other runs, as the pipeline names them, each with its raw files.
    runs: Vec<(Range<usize>, std::sync::Arc<str>)>,
    /// Files of documents of other runs.
    pub references: Vec<Reference>,
    /// Raw files that are read together, slice by slice.
    pub partitions: Vec<Partition>,
    /// The dedups, in the order in which they run.
    pub groups: Vec<Group>,
    /// Passes, each a barrier after the one before.
    pub passes: Vec<Pass>,
    /// Where the task of each partition and segment stands: its pass and place there.
    places: BTreeMap<(usize, usize), (usize, usize)>,
    /// The tokenizer, if a stage needs one.
    pub tokenizer: Option<TokenizerEntry>,
    /// The other models that stages use, by the pipeline's variable.
    pub models: BTreeMap<String, ModelEntry>,
    /// What holds for every source.
    pub limits: Limits,
    /// Digests of the catalogs of other runs, by the path that the pipeline gives.
    catalogs: BTreeMap<PathBuf, Digest>,
    /// The size of a partition, if the pipeline sets it.
    partition: Option<u64>,
}

/// One slice.
pub struct SlicePlan {
    /// Its name.
    pub name: &'static str,
    /// How it is read.
    pub source: SourceSpec,
    /// All its stages, with their labels: place and name, as `3:line_length`.
    pub stages: Vec<(String, StageSpec)>,
    /// The stages of each segment; the dedups between them are in none.
    pub segments: Vec<Range<usize>>,
    /// The dedup after each segment but the last.
    pub dedups: Vec<usize>,
    /// Which raw files are its.
    pub raw_files: Range<usize>,
    /// Which partitions are its.
    pub partitions: Range<usize>,
}

/// How many records are read.
#[derive(Clone, Debug)]
pub enum Records {
    /// All.
    All,
    /// The first so many of each slice: `--limit`.
    First(u64),
    /// So many of each raw file, slice by slice: a sample.
    OfEach(Vec<Vec<u64>>),
}

/// Raw files that are read together.
pub struct Partition {
    /// Index of the slice.
    pub slice: usize,
    /// Its number within the slice.
    pub number: usize,
    /// Which raw files.
    pub files: Range<usize>,
    /// How many records to read, with `--limit`.
    pub cap: Option<u64>,
}

/// A file of documents of another run, which dedups are held against.
pub struct Reference {
    /// The other run's folder.
    pub folder: PathBuf,
    /// The file's name in it.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
    /// Digest of the other run's catalog.
    pub catalog: Digest,
    /// Which raw files its documents are from.
    pub files: Range<usize>,
    /// Records in these.
    pub records: Vec<u64>,
}

impl Reference {
    /// Where it lies.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Which it is, for people.
    pub fn words(&self) -> String {
        self.path().display().to_string()
    }
}

/// A dedup with the slices that it compares.
pub struct Group {
    /// Its label in the pipeline.
    pub label: String,
    /// Its options.
    pub spec: StageSpec,
    /// Indices of its slices.
    pub slices: Vec<usize>,
    /// Documents of another run that it is held against.
    pub references: Range<usize>,
    /// Ranges of keys that are resolved apart.
    pub ranges: usize,
    /// When it takes so much that someone should look.
    pub guard: Option<Guard>,
    /// Whether what the ranges find is judged together.
    pub judged: bool,
    /// Whether what the ranges find is compared before it is judged.
    pub verified: bool,
    /// Whether documents leave sketches a second time.
    pub twice: bool,
    /// Whether documents that are alike to another run's are marked, and stay.
    pub marks: bool,
    /// The barrier at which it stands, counted from the first.
    barrier: usize,
    /// The pass whose tasks write its findings.
    pub pass: usize,
    /// The pass that resolves its ranges; the same, unless it is judged.
    pub resolve_pass: usize,
    /// The pass that makes the findings which are judged: it resolves, or compares pairs.
    pub pairs_pass: usize,
}

/// Tasks that may run side by side.
pub struct Pass {
    /// What it does, for people.
    pub about: String,
    /// Its tasks.
    pub tasks: Vec<Task>,
}

/// One unit of work.
#[derive(Clone, Debug)]
pub struct Task {
    /// Digest of what it does and reads.
    pub id: Digest,
    /// What it is.
    pub kind: TaskKind,
}

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// One partition through one segment.
    Documents {
        /// Which partition.
        partition: usize,
        /// Which segment of its slice.
        segment: usize,
    },
    /// The sketches of a file of another run's documents.
    Reference {
        /// Which dedup.
        group: usize,
        /// Which file.
        part: usize,
    },
    /// Evidence of those of its documents that are in a pair; of a dedup that looks twice, their second
    /// sketches.
    ReferenceEvidence {
        /// Which dedup.
        group: usize,
        /// Which file.
        part: usize,
    },
    /// One range of keys of one dedup.
    Resolve {
        /// Which dedup.
        group: usize,
        /// Which range.
        range: usize,
    },
    /// Evidence of the documents of one partition that are in a pair; of a dedup that looks twice, their
    /// second sketches.
    Evidence {
        /// Which dedup.
        group: usize,
        /// Which partition.
        partition: usize,
    },
    /// One range of the keys that documents left the second time.
    ResolveAgain {
        /// Which dedup.
        group: usize,
        /// Which range.
        range: usize,
    },
    /// The pairs of which a document of one partition may go, compared.
    Verify {
        /// Which dedup.
        group: usize,
        /// Which partition.
        partition: usize,
    },
    /// The pairs that the ranges of one dedup found, in order of rank.
    Judge {
        /// Which dedup.
        group: usize,
    },
}

impl TaskKind {
    /// The dedup that it is part of.
    pub fn group(self) -> Option<usize> {
        match self {
            TaskKind::Documents { .. } => None,
            TaskKind::Reference { group, .. }
            | TaskKind::ReferenceEvidence { group, .. }
            | TaskKind::Resolve { group, .. }
            | TaskKind::ResolveAgain { group, .. }
            | TaskKind::Evidence { group, .. }
            | TaskKind::Verify { group, .. }
            | TaskKind::Judge { group } => Some(group),
        }
    }
}

/// What a plan was made of, kept in `OUT/plan.json` to say later why something is done anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The layout of the folder.
    pub format: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// Digest of the plan: a catalog that names it is of this plan.
    pub plan: Digest,
    /// Where the tokenizer lay; `inspect` decodes with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokenizer_path: Option<PathBuf>,
    /// What every task of a slice has in common.
    pub slices: BTreeMap<String, SliceOrigin>,
}

/// The part of [`Origin`] for one slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceOrigin {
    /// The source with its version and options.
    pub source: serde_json::Value,
    /// Each stage with its version and options, by label.
    pub stages: Vec<(String, serde_json::Value)>,
    /// The tokenizer's digest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokenizer: Option<Digest>,
    /// Longest document.
    pub max_document: u64,
    /// The raw files.
    pub files: Vec<RawFile>,
    /// How many records are read, with `--limit`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u64>,
    /// The size of a partition, if the pipeline sets it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partition: Option<u64>,
}

/// A partition is closed by the file that brings it to a sixty-fourth of the slice, within these
/// bounds: small inputs still make use of several cores, large ones resume at a fine grain.
const PARTITION: Range<u64> = (8 << 20)..(256 << 20);
/// Partitions' worth of raw bytes for each range of keys, and the most ranges: a finding is looked
/// for in as many files.
const RANGE_PARTITIONS: u64 = 8;
const MOST_RANGES: u64 = 256;

impl Plan {
    /// Plans a run over raw files that were found before, slice by slice.
    pub fn new(
        read: &Read,
        tokenizer: Option<TokenizerEntry>,
        models: BTreeMap<String, ModelEntry>,
        files: Vec<Vec<RawFile>>,
        records: Records,
    ) -> Result<Plan> {
        let limits = Limits { max_document: read.pipeline.max_document.0 as usize };
        let mut plan = Plan {
            name: read.name.clone(),
            digest: Digest::of(b""),
            slices: Vec::new(),
            raw_files: Vec::new(),
            others: 0,
            runs: Vec::new(),
            references: Vec::new(),
            partitions: Vec::new(),
            groups: Vec::new(),
            passes: Vec::new(),
            places: BTreeMap::new(),
            tokenizer,
            models,
            limits,
            catalogs: read.others.iter().map(|(path, other)| (path.clone(), other.digest)).collect(),
            partition: read.pipeline.partition.map(|size| size.0),
        };
        let references = plan.add_others(read);
        for (index, ((name, slice), files)) in read.pipeline.slices.0.iter().zip(files).enumerate() {
            let caps = match &records {
                Records::All => None,
                Records::First(limit) => Some(records_of(&*slice.source.build(), &files, limits, *limit)?),
                Records::OfEach(caps) => caps.get(index).cloned(),
            };
            plan.add_slice(name, slice.source.clone(), read.stages_of(slice), files, caps);
        }
        let shared = read.pipeline.stages.iter().filter(|stage| stage.value.kind() == Kind::Dedup).count();
        plan.group_dedups(shared, &references);
        plan.make_passes();
        plan.digest = Digest::of_value(&plan.slices.iter().map(|slice| plan.what_is_done(slice)).collect::<Vec<_>>());
        Ok(plan)
    }

    /// Adds what other runs have; which files are whose.
    fn add_others(&mut self, read: &Read) -> BTreeMap<PathBuf, Range<usize>> {
        let mut places = BTreeMap::new();
        for (path, other) in &read.others {
            let first = self.raw_files.len();
            let from = self.references.len();
            self.raw_files.extend(other.files.iter().map(|(name, _)| RawFile {
                name: name.clone(),
                path: other.folder.clone(),
                // It is not read.
                bytes: 0,
                range: None,
                modified: None,
                digest: None,
                etag: None,
                remote: None,
            }));
            self.references.extend(other.parts.iter().map(|part| Reference {
                folder: other.folder.clone(),
                name: part.name.clone(),
                bytes: part.bytes,
                digest: part.digest,
                catalog: other.digest,
                files: first + part.files.start..first + part.files.end,
                records: other.files[part.files.clone()].iter().map(|(_, records)| *records).collect(),
            }));
            places.insert(path.clone(), from..self.references.len());
            self.runs.push((first..self.raw_files.len(), path.display().to_string().into()));
        }
        self.others = self.raw_files.len();
        places
    }

    /// Whether a document is another run's, which is compared and never goes.
    pub fn is_others(&self, rank: Rank) -> bool {
        (rank.raw_file as usize) < self.others
    }

    /// The document of a rank, and the other run that has it, if it is not of this one.
    pub fn document_at(&self, rank: Rank) -> (DocumentId, Option<std::sync::Arc<str>>) {
        let at = rank.raw_file as usize;
        let raw_file = self.raw_files[at].name.clone();
        let run = self.runs.iter().find(|(files, _)| files.contains(&at)).map(|(_, run)| run.clone());
        (DocumentId { raw_file, record: rank.record }, run)
    }

    /// Records of the other run that a dedup is held against.
    pub fn records_of_others(&self, group: usize) -> u64 {
        self.references[self.groups[group].references.clone()].iter().flat_map(|part| &part.records).sum()
    }

    fn add_slice(
        &mut self,
        name: &'static str,
        source: SourceSpec,
        stages: Vec<StageSpec>,
        files: Vec<RawFile>,
        caps: Option<Vec<u64>>,
    ) {
        let stages: Vec<(String, StageSpec)> =
            stages.into_iter().enumerate().map(|(at, spec)| (format!("{}:{}", at + 1, spec.name()), spec)).collect();
        let mut segments = Vec::new();
        let mut start = 0;
        for (at, (_, spec)) in stages.iter().enumerate() {
            if spec.kind() == Kind::Dedup {
                segments.push(start..at);
                start = at + 1;
            }
        }
        segments.push(start..stages.len());
        let first = self.raw_files.len();
        let first_partition = self.partitions.len();
        let slice = self.slices.len();
        let total: u64 = files.iter().map(|file| file.bytes).sum();
        let target = self.partition_of(total);
        let mut from = 0;
        let mut bytes = 0;
        for (at, file) in files.iter().enumerate() {
            bytes += file.bytes;
            if bytes < target && at + 1 < files.len() {
                continue;
            }
            let cap = caps.as_ref().map(|caps| caps[from..=at].iter().sum::<u64>());
            if cap != Some(0) {
                let number = self.partitions.len() - first_partition;
                self.partitions.push(Partition { slice, number, files: first + from..first + at + 1, cap });
            }
            from = at + 1;
            bytes = 0;
        }
        self.raw_files.extend(files);
        self.slices.push(SlicePlan {
            name,
            source,
            stages,
            segments,
            dedups: Vec::new(),
            raw_files: first..self.raw_files.len(),
            partitions: first_partition..self.partitions.len(),
        });
    }

    fn partition_of(&self, slice_bytes: u64) -> u64 {
        self.partition.unwrap_or((slice_bytes / 64).clamp(PARTITION.start, PARTITION.end))
    }

    /// The last `shared` dedups of every slice are the pipeline's and compare all slices; those
    /// before them are the slice's own. Barriers are counted from the end, so that the pipeline's
    /// dedups meet.
    fn group_dedups(&mut self, shared: usize, references: &BTreeMap<PathBuf, Range<usize>>) {
        let barriers = self.slices.iter().map(|slice| slice.segments.len() - 1).max().unwrap_or(0);
        for barrier in 0..barriers {
            let from_end = barriers - barrier;
            let mut common: Option<usize> = None;
            for index in 0..self.slices.len() {
                let slice = &self.slices[index];
                let Some(segment) = (slice.segments.len() - 1).checked_sub(from_end) else { continue };
                let (label, spec) = slice.stages[slice.segments[segment].end].clone();
                let group = match common {
                    Some(group) if from_end <= shared => group,
                    _ => {
                        self.groups.push(Group {
                            guard: spec.guard().cloned(),
                            judged: spec.is_judged(),
                            verified: spec.is_verified(),
                            twice: spec.is_twice(),
                            marks: spec.marks(),
                            label,
                            references: spec.against().and_then(|path| references.get(path)).cloned().unwrap_or(0..0),
                            spec,
                            slices: Vec::new(),
                            ranges: 1,
                            barrier,
                            pass: 0,
                            resolve_pass: 0,
                            pairs_pass: 0,
                        });
                        self.groups.len() - 1
                    }
                };
                common = Some(group);
                self.groups[group].slices.push(index);
                self.slices[index].dedups.push(group);
            }
        }
        for group in &mut self.groups {
            let files = group.slices.iter().flat_map(|slice| &self.raw_files[self.slices[*slice].raw_files.clone()]);
            let bytes: u64 = files.map(|file| file.bytes).sum();
            let bytes = bytes + self.references[group.references.clone()].iter().map(|part| part.bytes).sum::<u64>();
            let each = RANGE_PARTITIONS * self.partition.unwrap_or((bytes / 64).clamp(PARTITION.start, PARTITION.end));
            group.ranges = (bytes / each.max(1)).clamp(1, MOST_RANGES) as usize;
        }
    }

    fn make_passes(&mut self) {
        let barriers = self.slices.iter().map(|slice| slice.segments.len() - 1).max().unwrap_or(0);
        let mut passes: Vec<Pass> = Vec::new();
        let mut places = BTreeMap::new();
        // The ids of the tasks of each partition and of each group, as far as they are known.
        let mut partitions: Vec<Option<Digest>> = vec![None; self.partitions.len()];
        let mut groups: Vec<Option<Digest>> = vec![None; self.groups.len()];
        for level in 0..=barriers {
            let mut tasks = Vec::new();
            for (partition, known) in partitions.iter_mut().enumerate() {
                let slice = &self.slices[self.partitions[partition].slice];
                // A slice with fewer dedups starts later.
                let Some(segment) = (level + slice.segments.len()).checked_sub(barriers + 1) else { continue };
                let before = known.zip(segment.checked_sub(1).and_then(|before| groups[slice.dedups[before]]));
                let id = self.documents_id(partition, segment, before);
                *known = Some(id);
                places.insert((partition, segment), (passes.len(), tasks.len()));
                tasks.push(Task { id, kind: TaskKind::Documents { partition, segment } });
            }
            // What other runs have is sketched where the documents are that it is held against.
            let mut others: Vec<Vec<(Digest, usize)>> = vec![Vec::new(); self.groups.len()];
            for (index, group) in self.groups.iter().enumerate().filter(|(_, group)| group.barrier == level) {
                let does = stage_key(&group.label, &group.spec, &self.models);
                for part in group.references.clone() {
                    let reference = &self.references[part];
                    let id = Digest::of_value(&("reference", FORMAT, &does, reference.catalog, &reference.name));
                    others[index].push((id, reference.files.start));
                    tasks.push(Task { id, kind: TaskKind::Reference { group: index, part } });
                }
            }
            passes.push(Pass { about: self.about(level, barriers), tasks });
            if level == barriers {
                break;
            }
            let mut tasks = Vec::new();
            let mut evidence = Vec::new();
            let mut verify = Vec::new();
            let mut judges = Vec::new();
            let mut names = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
            let compare = self.groups.iter().any(|group| group.barrier == level && (group.verified || group.twice));
            let judge_pass = passes.len() + if compare { 3 } else { 1 };
            for (index, group) in self.groups.iter_mut().enumerate().filter(|(_, group)| group.barrier == level) {
                // Findings name raw files by their place in the run.
                let ours = group
                    .slices
                    .iter()
                    .flat_map(|slice| self.slices[*slice].partitions.clone())
                    .filter_map(|partition| Some((partitions[partition]?, self.partitions[partition].files.start)));
                let read: Vec<(Digest, usize)> = std::mem::take(&mut others[index]).into_iter().chain(ours).collect();
                let does = stage_key(&group.label, &group.spec, &self.models);
                let read = Digest::of_value(&("sketches", &does, read));
                let mut found = Digest::of_value(&("findings", read, group.ranges));
                group.resolve_pass = passes.len();
                group.pass = passes.len();
                group.pairs_pass = passes.len();
                names[0].insert(group.spec.name());
                for range in 0..group.ranges {
                    let id = Digest::of_value(&("resolve", FORMAT, read, range, group.ranges));
                    tasks.push(Task { id, kind: TaskKind::Resolve { group: index, range } });
                }
                if group.verified {
                    group.pairs_pass = passes.len() + 2;
                    names[1].insert(group.spec.name());
                    for part in group.references.clone() {
                        let id = Digest::of_value(&("reference evidence", FORMAT, found, part));
                        evidence.push(Task { id, kind: TaskKind::ReferenceEvidence { group: index, part } });
                    }
                    for partition in group.slices.iter().flat_map(|slice| self.slices[*slice].partitions.clone()) {
                        let id = Digest::of_value(&("evidence", FORMAT, found, partition));
                        evidence.push(Task { id, kind: TaskKind::Evidence { group: index, partition } });
                        let id = Digest::of_value(&("verify", FORMAT, found, partition));
                        verify.push(Task { id, kind: TaskKind::Verify { group: index, partition } });
                    }
                }
                if group.twice {
                    group.pass = passes.len() + 2;
                    names[1].insert(group.spec.name());
                    for part in group.references.clone() {
                        let id = Digest::of_value(&("reference again", FORMAT, found, part));
                        evidence.push(Task { id, kind: TaskKind::ReferenceEvidence { group: index, part } });
                    }
                    for partition in group.slices.iter().flat_map(|slice| self.slices[*slice].partitions.clone()) {
                        let id = Digest::of_value(&("again", FORMAT, found, partition));
                        evidence.push(Task { id, kind: TaskKind::Evidence { group: index, partition } });
                    }
                    for range in 0..group.ranges {
                        let id = Digest::of_value(&("resolve again", FORMAT, found, range, group.ranges));
                        verify.push(Task { id, kind: TaskKind::ResolveAgain { group: index, range } });
                    }
                    found = Digest::of_value(&("findings again", found));
                }
                if group.judged {
                    group.pass = judge_pass;
                    names[2].insert(group.spec.name());
                    let id = Digest::of_value(&("judge", FORMAT, found));
                    judges.push(Task { id, kind: TaskKind::Judge { group: index } });
                    found = id;
                }
                // Receipts name the other run as the pipeline does.
                if let Some(run) = group.spec.against() {
                    found = Digest::of_value(&("named", found, run));
                }
                groups[index] = Some(found);
            }
            for (verb, tasks, names) in [
                ("resolve", tasks, &names[0]),
                ("look again, for", evidence, &names[1]),
                ("verify", verify, &names[1]),
                ("judge", judges, &names[2]),
            ] {
                if !tasks.is_empty() {
                    let names: Vec<&str> = names.iter().copied().collect();
                    passes.push(Pass { about: format!("{verb} {}", names.join(", ")), tasks });
                }
            }
        }
        self.passes = passes;
        self.places = places;
    }

    fn about(&self, level: usize, barriers: usize) -> String {
        let mut names = Vec::new();
        let mut first = false;
        for slice in &self.slices {
            let Some(segment) = (level + slice.segments.len()).checked_sub(barriers + 1) else { continue };
            first |= segment == 0;
            for (_, spec) in &slice.stages[slice.segments[segment].clone()] {
                if !names.contains(&spec.name()) {
                    names.push(spec.name());
                }
            }
        }
        let verb = if first { "read" } else { "filter" };
        if names.is_empty() { verb.to_owned() } else { format!("{verb}, {}", names.join(", ")) }
    }

    fn documents_id(&self, partition: usize, segment: usize, before: Option<(Digest, Digest)>) -> Digest {
        let partition = &self.partitions[partition];
        let slice = &self.slices[partition.slice];
        let stages: Vec<_> = slice.stages[slice.segments[segment].clone()]
            .iter()
            .map(|(label, spec)| stage_key(label, spec, &self.models))
            .collect();
        let tokens = slice.stages[slice.segments[segment].clone()].iter().any(|(_, spec)| spec.needs_tokenizer());
        let tokenizer = self.tokenizer.as_ref().filter(|_| tokens).map(|entry| (entry.digest, entry.end_of_document));
        // The keys of the sketches that it leaves are part of what it does.
        let dedup = slice.dedups.get(segment).map(|group| {
            let group = &self.groups[*group];
            stage_key(&group.label, &group.spec, &self.models)
        });
        let reads = match before {
            Some(before) => serde_json::json!({ "task": before.0, "findings": before.1 }),
            None => serde_json::json!({
                "source": source_key(&slice.source),
                "files": &self.raw_files[partition.files.clone()],
                "max_document": self.limits.max_document,
                "cap": partition.cap,
            }),
        };
        let key = ("documents", FORMAT, table::LAYOUT, slice.name, partition.number, reads, stages, tokenizer, dedup);
        Digest::of_value(&key)
    }

    fn what_is_done(&self, slice: &SlicePlan) -> serde_json::Value {
        let stages: Vec<_> = slice.stages.iter().map(|(label, spec)| self.whole_key(label, spec)).collect();
        serde_json::json!({
            "slice": slice.name,
            "source": source_key(&slice.source),
            "stages": stages,
            "tokenizer": self.tokenizer.as_ref().map(|tokenizer| tokenizer.digest),
            "max_document": self.limits.max_document,
        })
    }

    /// What a stage does, and the catalog that it is held against.
    fn whole_key(&self, label: &str, spec: &StageSpec) -> serde_json::Value {
        let mut key = stage_key(label, spec, &self.models);
        if let Some(catalog) = spec.against().and_then(|path| self.catalogs.get(path)) {
            key["against"] = serde_json::json!(catalog);
        }
        key
    }

    /// What this plan is made of.
    pub fn origin(&self, limit: Option<u64>, tokenizer_path: Option<PathBuf>) -> Origin {
        let slices = self.slices.iter().map(|slice| {
            let stages =
                slice.stages.iter().map(|(label, spec)| (label.clone(), self.whole_key(label, spec))).collect();
            let origin = SliceOrigin {
                source: source_key(&slice.source),
                stages,
                tokenizer: self.tokenizer.as_ref().map(|tokenizer| tokenizer.digest),
                max_document: self.limits.max_document as u64,
                files: self.raw_files[slice.raw_files.clone()].to_vec(),
                limit,
                partition: self.partition,
            };
            (slice.name.to_owned(), origin)
        });
        Origin {
            format: FORMAT,
            pipeline: self.name.clone(),
            plan: self.identity(),
            tokenizer_path,
            slices: slices.collect(),
        }
    }

    /// The digest of all tasks: two plans with the same one give the same corpus.
    pub fn identity(&self) -> Digest {
        let tasks = self.passes.iter().flat_map(|pass| &pass.tasks).map(|task| task.id);
        Digest::of_value(&tasks.collect::<Vec<_>>())
    }

    /// The signals that documents have after a segment.
    pub fn signals_after(&self, slice: usize, segment: usize) -> Vec<SignalSpec> {
        let slice = &self.slices[slice];
        let mut signals: Vec<SignalSpec> = Vec::new();
        for (_, spec) in &slice.stages[..slice.segments[segment].end] {
            for signal in spec.writes() {
                if !signals.iter().any(|known| known.name == signal.name) {
                    signals.push(signal);
                }
            }
        }
        signals
    }

    /// The segment of a partition's slice that a dedup ends.
    pub fn segment_before(&self, group: usize, partition: usize) -> Option<usize> {
        self.slices[self.partitions[partition].slice].dedups.iter().position(|known| *known == group)
    }

    /// The task of a partition in a segment.
    pub fn documents_task(&self, partition: usize, segment: usize) -> Option<&Task> {
        let (pass, at) = *self.places.get(&(partition, segment))?;
        self.passes[pass].tasks.get(at)
    }

    /// For each task, pass by pass, whether it has to run: that is all of resume.
    pub fn without(&self, ledger: &Ledger<'_>) -> Result<Vec<Vec<Option<String>>>> {
        let standings: Vec<Vec<Standing>> = self
            .passes
            .iter()
            .map(|pass| pass.tasks.iter().map(|task| ledger.standing(&task.id)).collect())
            .collect::<Result<_, corpus::Error>>()?;
        let mut needed: Vec<Vec<Option<String>>> =
            self.passes.iter().map(|pass| vec![None; pass.tasks.len()]).collect();
        // From the last pass back: what a task that runs will read has to be there. What no later
        // task reads may be gone, as long as its commit tells what it counted.
        let mut documents: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut findings: BTreeSet<usize> = BTreeSet::new();
        let mut pairs: BTreeSet<usize> = BTreeSet::new();
        let mut proposed: BTreeSet<usize> = BTreeSet::new();
        let mut evidence: BTreeSet<usize> = BTreeSet::new();
        let mut sketches: BTreeSet<usize> = BTreeSet::new();
        for (pass, tasks) in self.passes.iter().enumerate().rev() {
            for (at, task) in tasks.tasks.iter().enumerate() {
                let read = match task.kind {
                    TaskKind::Documents { partition, segment } => {
                        let slice = &self.slices[self.partitions[partition].slice];
                        let sketched = slice.dedups.get(segment).is_some_and(|group| sketches.contains(group));
                        documents.contains(&(partition, segment)) || sketched
                    }
                    TaskKind::Reference { group, .. } => sketches.contains(&group),
                    TaskKind::Evidence { group, .. } | TaskKind::ReferenceEvidence { group, .. } => {
                        evidence.contains(&group)
                    }
                    TaskKind::Verify { group, .. } => pairs.contains(&group),
                    TaskKind::Resolve { group, .. } if self.groups[group].verified || self.groups[group].twice => {
                        proposed.contains(&group)
                    }
                    TaskKind::ResolveAgain { group, .. } => findings.contains(&group),
                    TaskKind::Resolve { group, .. } if self.groups[group].judged => pairs.contains(&group),
                    TaskKind::Resolve { group, .. } | TaskKind::Judge { group } => findings.contains(&group),
                };
                let why = match &standings[pass][at] {
                    Standing::Todo => "not done yet".to_owned(),
                    Standing::Lost { name, published: true, .. } => format!("{name} is missing or of another length"),
                    Standing::Lost { .. } if read => "what it hands on is needed again and was cleaned up".to_owned(),
                    _ => continue,
                };
                needed[pass][at] = Some(why);
                match task.kind {
                    TaskKind::Documents { partition, segment } if segment > 0 => {
                        documents.insert((partition, segment - 1));
                        findings.insert(self.slices[self.partitions[partition].slice].dedups[segment - 1]);
                    }
                    TaskKind::Resolve { group, .. } => {
                        sketches.insert(group);
                    }
                    TaskKind::ResolveAgain { group, .. } => {
                        evidence.insert(group);
                    }
                    TaskKind::Judge { group } => {
                        pairs.insert(group);
                    }
                    TaskKind::Verify { group, .. } => {
                        proposed.insert(group);
                        evidence.insert(group);
                    }
                    TaskKind::Evidence { group, partition } => {
                        proposed.insert(group);
                        documents.extend(self.segment_before(group, partition).map(|segment| (partition, segment)));
                    }
                    TaskKind::ReferenceEvidence { group, .. } => {
                        proposed.insert(group);
                    }
                    TaskKind::Documents { .. } | TaskKind::Reference { .. } => {}
                }
            }
        }
        Ok(needed)
    }
}

/// What a stage does: its version, its options, and the models that it asks. The tokenizer is told
/// apart, since it also makes what a shard holds.
fn stage_key(label: &str, spec: &StageSpec, models: &BTreeMap<String, ModelEntry>) -> serde_json::Value {
    let mut key = serde_json::json!({ "stage": label, "version": spec.version(), "options": spec });
    for variable in spec.uses() {
        if let Some(model) = models.get(variable.name()) {
            key[variable.name()] = serde_json::json!(model.digest);
        }
    }
    key
}

fn source_key(source: &SourceSpec) -> serde_json::Value {
    serde_json::json!({ "source": source, "version": source.version() })
}

/// How many records of each file are read when a slice gives its first `limit` records.
fn records_of(source: &dyn Source, files: &[RawFile], limits: Limits, limit: u64) -> Result<Vec<u64>> {
    struct Counting {
        left: u64,
        count: u64,
    }
    impl Sink for Counting {
        fn record(&mut self, _: Record) -> sources::Result<()> {
            if self.left == 0 {
                return Err(sources::Error::Stopped);
            }
            self.left -= 1;
            self.count += 1;
            Ok(())
        }

        fn finished(&mut self, _: RawRead) -> sources::Result<()> {
            Ok(())
        }
    }
    let scratch = tempfile::tempdir().map_err(Failure::io("cannot make a scratch folder in", std::env::temp_dir()))?;
    let mut left = limit;
    let mut counts = Vec::with_capacity(files.len());
    for file in files {
        let mut sink = Counting { left, count: 0 };
        if left > 0 {
            match source.read(std::slice::from_ref(file), limits, scratch.path(), &mut sink) {
                Ok(()) | Err(sources::Error::Stopped) => {}
                Err(error) => return Err(error.into()),
            }
        }
        left = sink.left;
        counts.push(sink.count);
    }
    Ok(counts)
}

/// What changed between two plans, in words: why work is done anew.
pub fn differences(before: &Origin, now: &Origin) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, new) in &now.slices {
        let Some(old) = before.slices.get(name) else {
            changes.push(format!("slice {name} is new"));
            continue;
        };
        if old.source != new.source {
            changes.push(format!("{name}: the source was {}, is {}", old.source, new.source));
        }
        for (label, stage) in &new.stages {
            match old.stages.iter().find(|(known, _)| known == label) {
                None => changes.push(format!("{name}: stage {label} is new")),
                Some((_, known)) if ["version", "options"].iter().all(|part| known[part] == stage[part]) => {
                    if known["against"] != stage["against"] {
                        changes.push(format!("{name}: stage {label} is held against another catalog"));
                    } else if known != stage {
                        changes.push(format!("{name}: stage {label} asks another model"));
                    }
                }
                Some((_, known)) => changes.push(format!(
                    "{name}: stage {label} was {} (version {}), is {} (version {})",
                    known["options"], known["version"], stage["options"], stage["version"]
                )),
            }
        }
        for (label, _) in old.stages.iter().filter(|(label, _)| !new.stages.iter().any(|(known, _)| known == label)) {
            changes.push(format!("{name}: stage {label} is gone"));
        }
        if old.tokenizer != new.tokenizer {
            changes.push(format!("{name}: another tokenizer"));
        }
        if old.max_document != new.max_document {
            changes.push(format!("{name}: max_document was {}, is {}", old.max_document, new.max_document));
        }
        if old.partition != new.partition {
            changes.push(format!("{name}: raw files are put together otherwise (partition)"));
        }
        if old.limit != new.limit {
            let words = |limit: Option<u64>| limit.map_or("none".to_owned(), |limit| limit.to_string());
            changes.push(format!("{name}: --limit was {}, is {}", words(old.limit), words(new.limit)));
        }
        let known: BTreeMap<&str, &RawFile> = old.files.iter().map(|file| (&*file.name, file)).collect();
        let changed: Vec<&str> = new
            .files
            .iter()
            .filter(|file| {
                known.get(&*file.name).is_none_or(|old| RawFile { path: file.path.clone(), ..(*old).clone() } != **file)
            })
            .map(|file| &*file.name)
            .collect();
        let named: BTreeSet<&str> = new.files.iter().map(|file| &*file.name).collect();
        let gone = old.files.iter().filter(|file| !named.contains(&*file.name)).count();
        if !changed.is_empty() {
            let first = changed.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            let more = changed.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            changes.push(format!("{name}: raw files are new or changed: {first}{more}"));
        }
        if gone > 0 {
            changes.push(format!("{name}: {gone} raw files are gone"));
        }
    }
    changes
}
