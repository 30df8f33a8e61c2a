//! The memory that a run needs, and what this machine has of it: held against each other before anything
//! starts.

use std::path::{Path, PathBuf};

use crate::config::PRESETS;
use crate::device::Precision;
use crate::failure::{Failure, Result};
use crate::launcher::World;
use crate::model::LOGIT_ROWS;
use crate::report::bytes;
use crate::spec::RunPlan;

/// Bytes that each process of a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The weights, and in 16 bits the rounded ones that steps compute with: the CPU holds both in `f32`.
    pub weights: u64,
    /// A gradient for each level of the tree of sums, and the one that grows.
    pub gradients: u64,
    /// Both moments of AdamW: a process has its part of them.
    pub moments: u64,
    /// What a forward pass keeps for the backward one, what both write, and what evaluating does.
    pub activations: u64,
    /// Weights on their way from and to other processes.
    pub exchange: u64,
    /// Weights and moments of a checkpoint, in memory as on disk.
    pub checkpoint: u64,
    /// The program, and what its threads and files keep beside all this.
    pub program: u64,
}

/// Bytes of [`Needs::program`]: 20 to 50 MiB were seen, whatever the model, and a little is added.
const PROGRAM: u64 = 64 << 20;

impl Needs {
    /// Of a run that so many processes share.
    pub fn of(plan: &RunPlan, processes: u64) -> Needs {
        let config = &plan.spec.model.config;
        let own = config.parameters() * 4;
        let rounded = if plan.spec.precision == Precision::F32 { 0 } else { own };
        let copies = u64::from((plan.leaves() / processes).max(1).trailing_zeros()) + 1;
        let (d, ff) = (config.hidden_size as u64, config.intermediate_size as u64);
        let (layers, heads) = (config.num_hidden_layers as u64, config.num_attention_heads as u64);
        let rows = plan.micro.saturating_mul(plan.time as u64);
        let middle = if config.use_parallel_residual { 0 } else { d };
        let saved = 6 * d + middle + 2 * ff + heads + 4;
        let flow = 7 * d + ff;
        let logits = rows.min(LOGIT_ROWS as u64) * config.vocab_size as u64;
        let training = rows.saturating_mul(layers * (saved + d) + d + flow + d + 8).saturating_add(logits);
        // One layer's room serves them all.
        let held_out = rows.saturating_mul(saved + layers * d + 2 * d + 8).saturating_add(logits);
        Needs {
            weights: own + rounded,
            gradients: own * copies,
            moments: (2 * own).div_ceil(processes),
            activations: training.saturating_add(held_out).saturating_mul(4),
            exchange: if processes > 1 { 2 * own } else { 0 },
            checkpoint: 3 * own,
            program: PROGRAM,
        }
    }

    /// Of a process in its steps.
    pub fn step(&self) -> u64 {
        let kept = self.program + self.weights + self.gradients + self.moments + self.exchange;
        kept.saturating_add(self.activations)
    }

    /// At most, of so many processes on one machine. The first of all holds what it writes of a checkpoint, and
    /// never of two; each that goes on from one holds what it read.
    pub fn most(&self, beside: u64, first: bool) -> u64 {
        let steps = self.step().saturating_mul(beside).saturating_add(if first { self.checkpoint } else { 0 });
        steps.max(beside * (self.program + self.checkpoint + self.weights + self.moments))
    }
}

/// Memory that may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    /// So many bytes.
    pub bytes: u64,
    /// Of what.
    pub of: String,
}

/// What may still be taken of the memory below `root`: of the machine's, and of the limits of the control groups
/// that this process is in (a container's, a scheduler's). Files that are kept in memory give way.
pub fn available(root: &Path) -> Option<Available> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let lines = |text: &str, name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let mut found = Vec::new();
    if let Some(info) = read(&root.join("proc/meminfo"))
        && let (Some(free), Some(total)) = (lines(&info, "MemAvailable:"), lines(&info, "MemTotal:"))
    {
        found.push(Available { bytes: free << 10, of: format!("this machine's {}", bytes((total << 10) as f64)) });
    }
    for group in read(&root.join("proc/self/cgroup")).unwrap_or_default().lines() {
        let mut parts = group.splitn(3, ':');
        let (Some(number), Some(controllers), Some(own)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (mount, limit, used, prefix) = match (number, controllers) {
            ("0", "") => ("sys/fs/cgroup", "memory.max", "memory.current", ""),
            (_, "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
            _ => continue,
        };
        // A limit holds for all groups below it. Within a container the path may be that of the host.
        let mount = root.join(mount);
        let mut folder: PathBuf = mount.join(own.trim_start_matches('/'));
        loop {
            let number = |name: &str| read(&folder.join(name))?.trim().parse::<u64>().ok();
            // "max", or a number beyond any machine's, is no limit.
            if let (Some(limit), Some(used)) = (number(limit).filter(|limit| *limit < 1 << 60), number(used)) {
                let stat = read(&folder.join("memory.stat")).unwrap_or_default();
                let files = ["inactive_file ", "active_file "];
                let files: u64 = files.iter().filter_map(|name| lines(&stat, &format!("{prefix}{name}"))).sum();
                let of = format!("the {} that a control group allows", bytes(limit as f64));
                found.push(Available { bytes: limit.saturating_sub(used.saturating_sub(files)), of });
            }
            if folder == mount || !folder.pop() {
                break;
            }
        }
    }
    found.into_iter().min_by_key(|available| available.bytes)
}

/// How a run's processes lie on machines.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// All of them.
    pub processes: u64,
    /// Those of this machine.
    pub beside: u64,
    /// Whether the first is among these.
    pub first: bool,
}

impl Place {
    /// All of so many on this machine.
    pub fn here(processes: u64) -> Place {
        Place { processes, beside: processes, first: true }
    }

    /// As a launcher says of one of them.
    pub fn of(world: &World) -> Place {
        Place { processes: world.size as u64, beside: world.beside as u64, first: world.with_first }
    }

    fn most(&self, plan: &RunPlan) -> u64 {
        Needs::of(plan, self.processes).most(self.beside, self.first)
    }
}

/// Whether a run fits; what it needs, what there is, and what would help, if not.
pub fn check(plan: &RunPlan, place: Place, available: &Available) -> Result<()> {
    let most = place.most(plan);
    if most <= available.bytes {
        return Ok(());
    }
    let name = plan.spec.model.preset.map_or("the model", |preset| preset.name);
    let beside = match place.beside {
        1 => String::new(),
        all if all == place.processes => format!(" by the {all} processes, which share this machine"),
        some => format!(" by {some} of {} processes, which share this machine", place.processes),
    };
    let message = format!(
        "{name} does not fit: {} are needed{beside}, {} are available of {}",
        bytes(most as f64),
        bytes(available.bytes as f64),
        available.of
    );
    let help = help(plan, place, available);
    Err(Failure::configuration(message).hint(format!("{help}; `--overcommit` starts it all the same")))
}

/// Whether steps of one process fit that are measured and leave nothing; what would, if not.
pub fn check_bench(plan: &RunPlan, available: &Available) -> Result<()> {
    let needs = |plan: &RunPlan| Needs::of(plan, 1).step();
    if needs(plan) <= available.bytes {
        return Ok(());
    }
    let told = |plan: &RunPlan| bytes(needs(plan) as f64);
    let (needed, free) = (told(plan), bytes(available.bytes as f64));
    let mut fewer = plan.clone();
    let mut fits = |batch: u64| {
        (fewer.batch, fewer.micro) = (batch, batch);
        needs(&fewer) <= available.bytes
    };
    let (mut most, mut least) = (plan.batch, 0);
    // A larger batch never needs less.
    while most - least > 1 {
        let middle = least + (most - least) / 2;
        if fits(middle) { least = middle } else { most = middle }
    }
    let help = match least {
        0 => "a smaller model, or a smaller --sequence, needs less".to_owned(),
        batch => format!("`--batch {batch}` would fit"),
    };
    let message = format!("these steps do not fit: {needed} are needed, {free} are available of {}", available.of);
    Err(Failure::configuration(message).hint(format!("{help}; `--overcommit` measures them all the same")))
}

/// All numbers that divide another, the least first.
fn divisors(of: u64) -> Vec<u64> {
    let low: Vec<u64> = (1..=of.isqrt()).filter(|by| of.is_multiple_of(*by)).collect();
    let high = low.iter().rev().map(|by| of / by).filter(|by| *by > of.isqrt());
    low.iter().copied().chain(high).collect()
}

/// What would fit: fewer sequences at once, shorter ones, or a smaller model.
fn help(plan: &RunPlan, place: Place, available: &Available) -> String {
    let needs = |plan: &RunPlan| bytes(place.most(plan) as f64);
    let fits = |plan: &RunPlan| place.most(plan) <= available.bytes;
    let mut fewer = plan.clone();
    for micro in divisors(plan.batch).into_iter().rev().filter(|micro| *micro < plan.micro) {
        fewer.micro = micro;
        // The same processes must have work.
        if fits(&fewer) && fewer.leaves().is_multiple_of(place.processes) {
            return format!("`micro: {micro}` needs {}", needs(&fewer));
        }
    }
    fewer.micro = 1;
    let longest = fewer.time;
    for time in [1024, 512, 256, 128].into_iter().filter(|time| *time < longest) {
        fewer.time = time;
        if fits(&fewer) {
            return format!("`sequence: {time}` with `micro: 1` needs {}", needs(&fewer));
        }
    }
    fewer.time = longest.min(2048);
    let own = Needs::of(plan, place.processes);
    let alone = bytes((own.weights + own.gradients + own.moments) as f64);
    let mut presets: Vec<_> = PRESETS.iter().collect();
    presets.sort_by_key(|preset| std::cmp::Reverse(preset.config().parameters()));
    let smaller = presets.into_iter().find(|preset| {
        fewer.spec.model.config = preset.config();
        fits(&fewer)
    });
    let help = format!("weights, gradients and moments alone are {alone}");
    match smaller {
        Some(preset) => format!("{help}; `{}` would fit, with `micro: 1`", preset.name),
        None => format!("{help}: this needs a machine with more memory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    fn plan(text: &str) -> RunPlan {
        crate::yaml::read::<RunSpec>("run.yaml", text, &[]).unwrap().plan().unwrap()
    }

    fn machine(files: &[(&str, &str)]) -> Option<Available> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        available(root.path())
    }

    #[test]
    fn the_least_of_what_limits_counts() {
        let info = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n");
        assert_eq!(machine(&[]), None);
        let of = |files: &[(&str, &str)]| machine(files).map(|found| (found.bytes >> 20, found.of)).unwrap();
        assert_eq!(of(&[info]), (8192, "this machine's 16.0 GiB".into()));
        let own = ("proc/self/cgroup", "0::/job/step\n");
        let stat = "anon 5\ninactive_file 268435456\nactive_file 268435456\n";
        let limit = ("sys/fs/cgroup/job/memory.max", "4294967296\n");
        let (used, stat) =
            (("sys/fs/cgroup/job/memory.current", "2147483648\n"), ("sys/fs/cgroup/job/memory.stat", stat));
        let none = ("sys/fs/cgroup/job/step/memory.max", "max\n");
        // 4 GiB less 2 GiB, of which half a GiB are files.
        assert_eq!(of(&[info, own, none, limit, used, stat]), (2560, "the 4.0 GiB that a control group allows".into()));
        // Of the older kind, seen from within a container, where the path is the host's.
        let own = ("proc/self/cgroup", "12:memory:/docker/77\n3:cpu:/\n0::/\n");
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
        let used = ("sys/fs/cgroup/memory/memory.usage_in_bytes", "536870912\n");
        let stat = ("sys/fs/cgroup/memory/memory.stat", "inactive_file 9\ntotal_inactive_file 134217728\n");
        assert_eq!(of(&[info, own, limit, used, stat]).0, 640);
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of(&[info, own, unlimited, used, stat]).0, 8192);
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        let said = |text: &str, gib: u64, place: Place| {
            let available = Available { bytes: gib << 30, of: "this machine's 64.0 GiB".into() };
            check(&plan(text), place, &available).map_err(|failure| failure.to_string())
        };
        let alone = Place::here(1);
        assert_eq!(said("model: pythia-14m", 8, alone), Ok(()));
        let many = said("model: pythia-410m\nbatch: 64\nmicro: 16", 32, alone).unwrap_err();
        assert!(
            many.contains("pythia-410m does not fit: ") && many.contains("32.0 GiB are available of this"),
            "{many}"
        );
        assert!(many.contains("hint: `micro: 4` needs ") && many.contains("`--overcommit`"), "{many}");
        let long = said("model: { from: pythia-70m, max_position_embeddings: 65536 }\nsequence: 65536", 8, alone);
        assert!(long.unwrap_err().contains("hint: `sequence: 1024` with `micro: 1` needs "));
        let large = said("model: incite-7b", 64, alone).unwrap_err();
        assert!(
            large.contains("hint: weights, gradients and moments alone are 178") && large.contains("fit"),
            "{large}"
        );
        assert!(said("model: incite-7b", 0, alone).unwrap_err().contains("this needs a machine with more memory"));
        // Four processes on a machine need four times as much, but for the moments that they share.
        let four = |beside| Place { processes: 4, beside, first: true };
        let text = "model: pythia-160m\nbatch: 64";
        let (own, shared) = (Needs::of(&plan(text), 1), Needs::of(&plan(text), 4));
        assert_eq!(own.moments, 4 * shared.moments);
        assert!(said(text, 10, four(1)).is_ok());
        for (beside, words) in
            [(4, " are needed by the 4 processes, which"), (3, " are needed by 3 of 4 processes, which")]
        {
            let failure = said(text, 8, four(beside)).unwrap_err();
            assert!(failure.contains(words) && failure.contains(" share this machine, 8.0 GiB are"), "{failure}");
        }
    }

    #[test]
    fn what_a_run_took_is_at_most_what_was_told() {
        // Peaks of the resident set of pythia-70m in f32, which wrote a checkpoint at its end alone, and each step.
        let told = Needs::of(&plan("model: pythia-70m\nsequence: 128\nbatch: 1\nsteps: 5"), 1).most(1, true);
        for kib in [2_027_628, 2_059_556] {
            assert!(told >= kib << 10 && told < (kib << 10) * 11 / 10, "{told}");
        }
    }

    #[test]
    fn what_is_measured_must_fit_too() {
        let said = |batch: u64, gib: u64| {
            let available = Available { bytes: gib << 30, of: "this machine's 64.0 GiB".into() };
            let plan = plan(&format!("model: pythia-14m\nsequence: 128\nbatch: {batch}\nmicro: {batch}\nsteps: 10"));
            check_bench(&plan, &available).map_err(|failure| failure.to_string())
        };
        assert_eq!(said(4, 2), Ok(()));
        let much = said(1_000_000, 4).unwrap_err();
        assert!(much.contains("these steps do not fit: ") && much.contains(" 4.0 GiB are available of this"), "{much}");
        let batch = much.split("`--batch ").nth(1).and_then(|rest| rest.split('`').next()).unwrap().parse().unwrap();
        // As many as fit, and not one more.
        assert_eq!(said(batch, 4), Ok(()));
        assert!(said(batch + 1, 4).is_err());
        assert!(said(1, 0).unwrap_err().contains("hint: a smaller model, or a smaller --sequence, needs less"));
    }

    #[test]
    fn nothing_overflows() {
        let text = "model: { from: pythia-12b, max_position_embeddings: 268435456, hidden_size: 131072, num_attention_heads: 32 }\nbatch: 4096\n\
                    micro: 4096\nsteps: 1";
        assert_eq!(Needs::of(&plan(text), 1).most(64, true), u64::MAX);
        // Nor does it take long to say what would help.
        let text = "model: pythia-14m\nsequence: 1\nbatch: 1099511627776\nmicro: 1099511627776\nsteps: 1";
        let available = Available { bytes: 8 << 30, of: "this machine's 64.0 GiB".into() };
        let place = Place::here(1);
        let said = check(&plan(text), place, &available).unwrap_err().to_string();
        assert!(said.contains("hint: `micro: "), "{said}");
        assert_eq!(divisors(36), [1, 2, 3, 4, 6, 9, 12, 18, 36]);
    }
}
