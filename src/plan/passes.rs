//! The tasks of a plan, with the ids that say all that they do and read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use corpus::catalog::FORMAT;
use corpus::{Digest, table};

use super::origin::{comparison_key, source_key};
use super::{Group, PARTITION, Pass, Plan, Task, TaskKind};

/// Partitions' worth of raw bytes for each range of keys, and the most ranges: a finding is looked
/// for in as many files.
const RANGE_PARTITIONS: u64 = 8;
const MOST_RANGES: u64 = 256;

impl Plan {
    /// The last `shared` dedups of every slice are the pipeline's and compare all slices; those
    /// before them are the slice's own. Barriers are counted from the end, so that the pipeline's
    /// dedups meet.
    pub(super) fn group_dedups(&mut self, shared: usize, references: &BTreeMap<PathBuf, Range<usize>>) {
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

    pub(super) fn make_passes(&mut self) {
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
                let (does, _) = comparison_key(&group.label, &group.spec, &self.models, self.tokenizer.as_ref());
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
                let (does, receipts) = comparison_key(&group.label, &group.spec, &self.models, self.tokenizer.as_ref());
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
                // What is cut is told where it is cut, or not: that changes nothing of what was found.
                if !receipts {
                    found = Digest::of_value(&("without receipts", found));
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
            .map(|(label, spec)| self.stage_key(label, spec))
            .collect();
        let tokens = slice.stages[slice.segments[segment].clone()].iter().any(|(_, spec)| spec.needs_tokenizer());
        let tokenizer = self.tokenizer.as_ref().filter(|_| tokens).map(|entry| (entry.digest, entry.end_of_document));
        // The keys of the sketches that it leaves are part of what it does.
        let dedup = slice.dedups.get(segment).map(|group| {
            let group = &self.groups[*group];
            comparison_key(&group.label, &group.spec, &self.models, self.tokenizer.as_ref()).0
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
}
