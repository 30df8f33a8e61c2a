//! From a pipeline and raw files to passes of tasks: pure, the same on every machine and with any
//! number of workers.
//!
//! A slice's stages are cut at each dedup. What lies between two cuts is a *segment*, and one
//! partition through one segment is a task; between two segments the sketches of all partitions are
//! resolved, one task per range of keys. A task's id is the digest of all that it does and reads,
//! so every id is known before anything runs.

mod origin;
mod passes;
mod resume;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use corpus::catalog::{ModelEntry, TokenizerEntry};
use corpus::manifest::RawRead;
use corpus::{Digest, DocumentId, RawFile, SignalSpec, Tally};
use sources::{Limits, Record, Sink, Source, SourceSpec};
use stages::{Guard, Kind, Rank, StageSpec};

use crate::failure::{Failure, Result};
use crate::pipeline::Read;

pub use origin::{Origin, differences};

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
    /// About how many documents it has, and bytes of their texts.
    pub kept: Tally,
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

/// A partition is closed by the file that brings it to a sixty-fourth of the slice, within these
/// bounds: small inputs still make use of several cores, large ones resume at a fine grain.
const PARTITION: Range<u64> = (8 << 20)..(256 << 20);

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
        // The partitions of a sample are single files: how small these are says nothing of its ranges.
        if matches!(records, Records::OfEach(_)) {
            plan.partition = None;
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
                kept: part.kept,
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

    /// About what the other run kept that a dedup is held against.
    pub fn kept_by_others(&self, group: usize) -> Tally {
        let parts = &self.references[self.groups[group].references.clone()];
        parts.iter().fold(Tally::default(), |all, part| Tally {
            documents: all.documents + part.kept.documents,
            bytes: all.bytes + part.kept.bytes,
        })
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
