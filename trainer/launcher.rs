//! What a launcher says of a process in its environment: which it is of how many, where they meet, and which of them
//! share its machine.

use crate::failure::{Failure, Result};

/// A process's place among those that train together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Which it is, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// Where the first one listens.
    pub meeting: String,
    /// How many of them are on this machine, this one among them.
    pub beside: usize,
    /// Whether the first is on this machine.
    pub with_first: bool,
}

/// The value of a variable of the environment.
type Get<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The variables of one launcher.
struct Launcher {
    rank: &'static str,
    size: &'static str,
    /// Which it is of those of its machine.
    local_rank: &'static str,
    /// How many those are.
    local_size: fn(&Get<'_>, usize) -> Option<usize>,
}

const LAUNCHERS: [Launcher; 4] = [
    // torchrun and `--processes`. Operators of Kubernetes that set these start one process a pod, and do not say so.
    Launcher {
        rank: "RANK",
        size: "WORLD_SIZE",
        local_rank: "LOCAL_RANK",
        local_size: |get, _| get("LOCAL_WORLD_SIZE")?.parse().ok(),
    },
    Launcher {
        rank: "SLURM_PROCID",
        size: "SLURM_NTASKS",
        local_rank: "SLURM_LOCALID",
        local_size: |get, _| {
            let node = get("SLURM_NODEID").and_then(|word| word.parse().ok());
            // Of the step, whose processes these are; of the job; what was asked for.
            let all = ["SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE", "SLURM_NTASKS_PER_NODE"];
            all.into_iter().find_map(|name| of_node(&get(name)?, node))
        },
    },
    Launcher {
        rank: "JSM_NAMESPACE_RANK",
        size: "JSM_NAMESPACE_SIZE",
        local_rank: "JSM_NAMESPACE_LOCAL_RANK",
        local_size: |get, size| {
            let said = get("JSM_NAMESPACE_LOCAL_SIZE").and_then(|word| word.parse().ok());
            said.or_else(|| of_hosts(&get("LSB_MCPU_HOSTS")?, get("HOSTNAME").as_deref(), size))
        },
    },
    // A pod each, whose own memory is limited by its control group.
    Launcher {
        rank: "JOB_COMPLETION_INDEX",
        size: "WORLD_SIZE",
        local_rank: "LOCAL_RANK",
        local_size: |get, _| get("LOCAL_WORLD_SIZE")?.parse().ok(),
    },
];

impl World {
    /// What a launcher says of it in the environment: torchrun, Slurm, LSF's jsrun, or an indexed job of
    /// Kubernetes; none where there is no launcher.
    pub fn from_environment(get: &Get<'_>) -> Result<Option<World>> {
        let Some(launcher) = LAUNCHERS.iter().find(|one| get(one.rank).is_some() && get(one.size).is_some()) else {
            return Ok(None);
        };
        let number = |name: &str| -> Result<usize> {
            let word = get(name).unwrap_or_default();
            word.parse().map_err(|_| Failure::usage(format!("the environment's {name} is `{word}`, not a number")))
        };
        let (rank, size) = (number(launcher.rank)?, number(launcher.size)?);
        if size <= 1 {
            return Ok(None);
        }
        if rank >= size {
            return Err(Failure::usage(format!("{} is {rank}, {} only {size}", launcher.rank, launcher.size)));
        }
        let host = ["MASTER_ADDR", "SLURM_LAUNCH_NODE_IPADDR"].into_iter().find_map(get);
        let Some(host) = host else {
            return Err(Failure::usage(format!("{} is {size}, but MASTER_ADDR is not set", launcher.size))
                .hint("set MASTER_ADDR to the host of the first process, and MASTER_PORT to a free port there"));
        };
        let port = get("MASTER_PORT").unwrap_or_else(|| "29500".to_owned());
        let beside = match host.as_str() {
            // No other machine comes there.
            "localhost" | "::1" => size,
            host if host.starts_with("127.") => size,
            _ => (launcher.local_size)(get, size).unwrap_or(1).clamp(1, size),
        };
        // Those of the first machine count from 0 as all do. Where neighbours are dealt out to machines in turn, only
        // the first itself is known to be there.
        let local = get(launcher.local_rank).and_then(|word| word.parse().ok());
        let with_first = rank == 0 || beside == size || local == Some(rank);
        Ok(Some(World { rank, size, meeting: format!("{host}:{port}"), beside, with_first }))
    }
}

/// Slurm's tasks of a node, of a list by nodes: `2(x3),1` are three nodes of two and one of one. The most of any,
/// where it is not known which node this is.
fn of_node(list: &str, node: Option<usize>) -> Option<usize> {
    let mut runs = Vec::new();
    for run in list.split(',') {
        let run = run.trim();
        let (tasks, nodes) = match run.strip_suffix(')').and_then(|run| run.split_once("(x")) {
            Some((tasks, nodes)) => (tasks, nodes.parse().ok()?),
            None => (run, 1),
        };
        runs.push((tasks.parse::<usize>().ok()?, nodes));
    }
    let most = runs.iter().map(|(tasks, _)| *tasks).max();
    let Some(mut node) = node else { return most };
    for (tasks, nodes) in &runs {
        match node.checked_sub(*nodes) {
            None => return Some(*tasks),
            Some(rest) => node = rest,
        }
    }
    // A number for all nodes, or not the list of these.
    most
}

/// LSF's slots of a host, of a list of hosts and slots: `a 2 b 4`. Where they are not one for each process, the hosts
/// share the processes evenly.
fn of_hosts(list: &str, own: Option<&str>, size: usize) -> Option<usize> {
    let words: Vec<&str> = list.split_whitespace().collect();
    let mut hosts = Vec::new();
    for pair in words.chunks(2) {
        let [host, slots] = pair else { return None };
        hosts.push((*host, slots.parse::<usize>().ok()?));
    }
    let slots = hosts.iter().fold(0, |sum: usize, (_, slots)| sum.saturating_add(*slots));
    if slots != size {
        return (!hosts.is_empty()).then(|| size.div_ceil(hosts.len()));
    }
    let here = hosts.iter().find(|(host, _)| own == Some(*host)).map(|(_, slots)| *slots);
    here.or_else(|| hosts.iter().map(|(_, slots)| *slots).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[(&str, &str)]) -> Result<Option<World>> {
        World::from_environment(&|name: &str| {
            given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn launchers_are_understood() {
        let torchrun = [("RANK", "3"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "7")];
        let world = World { rank: 3, size: 4, meeting: "a:7".into(), beside: 1, with_first: false };
        assert_eq!(of(&torchrun).unwrap(), Some(world));
        let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1")];
        let world = World { rank: 0, size: 2, meeting: "10.0.0.1:29500".into(), beside: 1, with_first: true };
        assert_eq!(of(&slurm).unwrap(), Some(world));
        let lsf = [("JSM_NAMESPACE_RANK", "1"), ("JSM_NAMESPACE_SIZE", "2"), ("MASTER_ADDR", "b")];
        assert_eq!(of(&lsf).unwrap().map(|world| world.rank), Some(1));
        let kubernetes = [("JOB_COMPLETION_INDEX", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "b")];
        assert_eq!(of(&kubernetes).unwrap().map(|world| world.rank), Some(1));
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap(), None);
        for (given, words) in [
            (vec![("RANK", "x"), ("WORLD_SIZE", "2")], "RANK is `x`"),
            (vec![("RANK", "2"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a")], "RANK is 2"),
            (vec![("RANK", "1"), ("WORLD_SIZE", "2")], "MASTER_ADDR is not set"),
        ] {
            assert!(of(&given).unwrap_err().message.contains(words), "{words}");
        }
    }

    #[test]
    fn launchers_say_who_shares_the_machine() {
        let torchrun = |rank| vec![("RANK", rank), ("WORLD_SIZE", "8"), ("MASTER_ADDR", "a")];
        let slurm = |rank| vec![("SLURM_PROCID", rank), ("SLURM_NTASKS", "8"), ("MASTER_ADDR", "a")];
        let lsf = |rank| vec![("JSM_NAMESPACE_RANK", rank), ("JSM_NAMESPACE_SIZE", "8"), ("MASTER_ADDR", "a")];
        let pod = |rank| vec![("JOB_COMPLETION_INDEX", rank), ("WORLD_SIZE", "8"), ("MASTER_ADDR", "a")];
        let job = ("SLURM_TASKS_PER_NODE", "2(x4)");
        for (mut given, more, beside, with_first) in [
            (torchrun("0"), vec![], 1, true),
            (torchrun("3"), vec![("LOCAL_WORLD_SIZE", "4"), ("LOCAL_RANK", "3")], 4, true),
            (torchrun("7"), vec![("LOCAL_WORLD_SIZE", "4"), ("LOCAL_RANK", "3")], 4, false),
            // Within a job of Slurm it is torchrun that says it.
            (torchrun("7"), vec![("LOCAL_WORLD_SIZE", "4"), ("SLURM_STEP_TASKS_PER_NODE", "1(x2)")], 4, false),
            // As many as there are, whatever is said.
            (torchrun("7"), vec![("LOCAL_WORLD_SIZE", "100")], 8, true),
            (torchrun("7"), vec![("LOCAL_WORLD_SIZE", "0")], 1, false),
            (torchrun("7"), vec![("LOCAL_WORLD_SIZE", "two")], 1, false),
            (slurm("7"), vec![("SLURM_STEP_TASKS_PER_NODE", "2(x3),1,1"), ("SLURM_NODEID", "3")], 1, false),
            (slurm("2"), vec![("SLURM_STEP_TASKS_PER_NODE", "2(x3),1,1"), ("SLURM_NODEID", "1"), job], 2, false),
            (slurm("1"), vec![("SLURM_STEP_TASKS_PER_NODE", "3,5"), ("SLURM_LOCALID", "1")], 5, true),
            (slurm("1"), vec![job, ("SLURM_LOCALID", "0")], 2, false),
            (slurm("1"), vec![("SLURM_NTASKS_PER_NODE", "4"), ("SLURM_NODEID", "1")], 4, false),
            (lsf("5"), vec![("JSM_NAMESPACE_LOCAL_SIZE", "4"), ("JSM_NAMESPACE_LOCAL_RANK", "1")], 4, false),
            (lsf("5"), vec![("LSB_MCPU_HOSTS", "a 2 b 6"), ("HOSTNAME", "a")], 2, false),
            (lsf("5"), vec![("LSB_MCPU_HOSTS", "a 2 b 6")], 6, false),
            (lsf("5"), vec![("LSB_MCPU_HOSTS", "a 42 b 42 c 42")], 3, false),
            (pod("1"), vec![], 1, false),
        ] {
            given.extend(more);
            let world = of(&given).unwrap().unwrap();
            assert_eq!((world.beside, world.with_first), (beside, with_first), "{given:?}");
        }
        // Started by hand, all on one machine.
        for host in ["localhost", "127.0.0.1", "::1"] {
            let given = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", host)];
            assert_eq!(of(&given).unwrap().map(|world| (world.beside, world.with_first)), Some((2, true)));
        }
    }

    #[test]
    fn lists_by_nodes_and_hosts_are_read() {
        let of = |list: &str| [None, Some(0), Some(2), Some(3), Some(9)].map(|node| of_node(list, node));
        assert_eq!(of("2(x3),1"), [2, 2, 2, 1, 2].map(Some));
        assert_eq!(of("4"), [4; 5].map(Some));
        assert_eq!(of("1, 3(x2)"), [3, 1, 3, 3, 3].map(Some));
        assert_eq!(of("2(x99999999999)"), [2; 5].map(Some));
        for none in ["", "x", "2(x)", "2(x3", "2,,1", "-1", "2(xx3)"] {
            assert_eq!(of(none), [None; 5], "{none}");
        }
        assert_eq!(of_hosts("a 1 b 3", Some("b"), 4), Some(3));
        for none in ["", "a", "a b", "a 1 b"] {
            assert_eq!(of_hosts(none, None, 4), None, "{none}");
        }
    }
}
