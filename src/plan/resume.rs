//! Which tasks of a plan have to run, after what was done before.

use std::collections::BTreeSet;

use super::{Plan, TaskKind};
use crate::failure::Result;
use crate::ledger::{Ledger, Standing};

impl Plan {
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
