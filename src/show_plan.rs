//! `plan`: what `build` would do, and what it would take.

use std::collections::BTreeMap;

use corpus::store::Store;

use crate::cli::PlanArgs;
use crate::estimate;
use crate::failure::{Code, Result};
use crate::ledger::Ledger;
use crate::plan::{self, Plan, TaskKind};
use crate::prepare::{prepare, print_choice};
use crate::publish::check_out;
use crate::report;

/// Runs `plan`.
pub fn plan(args: &PlanArgs) -> Result<()> {
    let choice = &args.choice;
    if choice.print {
        return print_choice(choice);
    }
    let prepared = prepare(choice)?;
    let store = Store::open(&prepared.out);
    let before = check_out(&prepared, &store, choice.limit, true)?;
    let plan = &prepared.plan;
    let needed = plan.without(&Ledger::new(&store))?;
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{} → {}", plan.name, prepared.out.display()));
    for slice in &plan.slices {
        let files = &plan.raw_files[slice.raw_files.clone()];
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let stages: Vec<&str> = slice.stages.iter().map(|(label, _)| label.as_str()).collect();
        line(format!(
            "  {}: {} raw files, {}, in {} partitions; {}",
            slice.name,
            report::number(files.len() as u64),
            crate::size::Size(bytes),
            slice.partitions.len(),
            stages.join(" → ")
        ));
    }
    if let Some(tokenizer) = &plan.tokenizer {
        line(format!(
            "  tokenizer: {}, {} tokens, digest {}",
            tokenizer.name,
            report::number(u64::from(tokenizer.vocab_size)),
            tokenizer.digest.short()
        ));
    }
    for (variable, model) in &plan.models {
        line(format!("  {variable}: {}, digest {}", model.name, model.digest.short()));
    }
    for (number, (pass, needed)) in plan.passes.iter().zip(&needed).enumerate() {
        let to_run = needed.iter().filter(|why| why.is_some()).count();
        line(format!(
            "pass {}: {} · {}, {} done, {} to run",
            number + 1,
            pass.about,
            report::count(pass.tasks.len() as u64, "task"),
            pass.tasks.len() - to_run,
            to_run
        ));
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (task, why) in pass.tasks.iter().zip(needed) {
            if let Some(why) = why {
                reasons.entry(why).or_default().push(task_words(plan, task.kind));
            }
        }
        for (why, tasks) in reasons.iter().take(5) {
            let more = if tasks.len() > 3 { format!(" and {} more", tasks.len() - 3) } else { String::new() };
            line(format!("  {}{more}: {why}", tasks[..tasks.len().min(3)].join(", ")));
        }
    }
    let origin = plan.origin(choice.limit, prepared.tokenizer_path.clone());
    let changes = before.map(|before| plan::differences(&before, &origin)).unwrap_or_default();
    for change in &changes {
        line(format!("changed since the last run: {change}"));
    }
    let estimate = match args.no_estimate || needed.iter().flatten().all(|why| why.is_none()) {
        true => None,
        false => match estimate::measure(&prepared) {
            Ok(estimate) => Some(estimate),
            Err(failure) if failure.code == Code::Interrupted => return Err(failure),
            Err(failure) => {
                report::say(&format!("warning: no estimate: {}", failure.message));
                None
            }
        },
    };
    if let Some(estimate) = &estimate {
        line(format!("estimate, of the whole: {}", estimate.words()));
        line(format!("  from {}", estimate.basis()));
        for dedup in estimate.of_dedups() {
            line(format!("  {dedup}"));
        }
        for question in estimate.questions() {
            line(format!("warning: {question}"));
        }
    }
    report::print(&out);
    if choice.json {
        let passes: Vec<_> = plan
            .passes
            .iter()
            .zip(&needed)
            .map(|(pass, needed)| {
                let to_run = needed.iter().filter(|why| why.is_some()).count();
                serde_json::json!({ "about": pass.about, "tasks": pass.tasks.len(), "to_run": to_run })
            })
            .collect();
        let value = serde_json::json!({
            "pipeline": plan.name, "out": prepared.out, "passes": passes, "changes": changes, "estimate": estimate,
        });
        report::print(&format!("{value}\n"));
    }
    Ok(())
}

fn task_words(plan: &Plan, kind: TaskKind) -> String {
    match kind {
        TaskKind::Documents { partition, .. }
        | TaskKind::Evidence { partition, .. }
        | TaskKind::Verify { partition, .. } => {
            let partition = &plan.partitions[partition];
            format!("{} partition {}", plan.slices[partition.slice].name, partition.number)
        }
        TaskKind::Reference { part, .. } | TaskKind::ReferenceEvidence { part, .. } => plan.references[part].words(),
        TaskKind::Resolve { group, range } | TaskKind::ResolveAgain { group, range } => {
            format!("{} range {range}", plan.groups[group].label)
        }
        TaskKind::Judge { group } => format!("{} judged", plan.groups[group].label),
    }
}
