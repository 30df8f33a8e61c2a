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
    /// The host of the first one, as the others know it.
    pub host: String,
    /// The ports there of which it listens at the first that is free.
    pub ports: Vec<u16>,
    /// What all processes of the run, and none of another that its launcher started, say of it.
    pub run: String,
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
    /// The host of the first one, where `MASTER_ADDR` does not say it.
    host: fn(&Get<'_>) -> Option<String>,
    /// What together names the run.
    run: &'static [&'static str],
    /// Whose number decides on a port, where `MASTER_PORT` does not say it: two jobs of one machine take two.
    job: Option<&'static str>,
}

/// Which of the processes that `--processes` started one is.
pub const RANK: &str = "REDPAJAMA_RANK";
/// How many `--processes` started.
pub const SIZE: &str = "REDPAJAMA_WORLD_SIZE";
/// What names their run.
pub const RUN: &str = "REDPAJAMA_RUN_ID";
/// The port where processes meet, whatever their launcher says.
pub const PORT: &str = "REDPAJAMA_MASTER_PORT";

/// Where processes meet if nothing says anything of it, as PyTorch's do.
const USUAL: u16 = 29500;
/// Ports are taken out of so many windows, from this one on: below those that systems give out on their own,
/// which begin at 32768 or above.
const WINDOWS: u64 = 590;
const FIRST_WINDOW: u16 = 20000;
/// Ports of a window.
const WINDOW: u16 = 16;

/// The ports that a number stands for.
fn window(number: u64) -> impl Iterator<Item = u16> {
    let begin = FIRST_WINDOW + (number % WINDOWS) as u16 * WINDOW;
    begin..begin + WINDOW
}

const LAUNCHERS: [Launcher; 5] = [
    // `--processes`, whatever else started the first of them.
    Launcher {
        rank: RANK,
        size: SIZE,
        local_rank: RANK,
        local_size: |get, _| get(SIZE)?.parse().ok(),
        host: |_| Some("127.0.0.1".to_owned()),
        run: &[RUN],
        job: None,
    },
    // torchrun and its like. Operators of Kubernetes that set these start one process a pod, and do not say so.
    Launcher {
        rank: "RANK",
        size: "WORLD_SIZE",
        local_rank: "LOCAL_RANK",
        local_size: |get, _| get("LOCAL_WORLD_SIZE")?.parse().ok(),
        host: |_| None,
        run: &["TORCHELASTIC_RUN_ID"],
        job: None,
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
        // Slurm's first task is on the first node of its step. The node that launched it may be another, where
        // nothing of it runs.
        host: |get| {
            let all = ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"];
            all.into_iter().find_map(|name| first_host(&get(name)?)).or_else(|| get("SLURM_LAUNCH_NODE_IPADDR"))
        },
        run: &["SLURM_JOB_ID", "SLURM_STEP_ID"],
        job: Some("SLURM_JOB_ID"),
    },
    Launcher {
        rank: "JSM_NAMESPACE_RANK",
        size: "JSM_NAMESPACE_SIZE",
        local_rank: "JSM_NAMESPACE_LOCAL_RANK",
        local_size: |get, size| {
            let said = get("JSM_NAMESPACE_LOCAL_SIZE").and_then(|word| word.parse().ok());
            said.or_else(|| of_hosts(&get("LSB_MCPU_HOSTS")?, get("HOSTNAME").as_deref(), size))
        },
        host: |_| None,
        run: &["LSB_JOBID"],
        job: Some("LSB_JOBID"),
    },
    // A pod each, whose own memory is limited by its control group.
    Launcher {
        rank: "JOB_COMPLETION_INDEX",
        size: "WORLD_SIZE",
        local_rank: "LOCAL_RANK",
        local_size: |get, _| get("LOCAL_WORLD_SIZE")?.parse().ok(),
        host: |_| None,
        run: &[],
        job: None,
    },
];

impl World {
    /// What a launcher says of it in the environment: torchrun, Slurm, LSF's jsrun, or an indexed job of
    /// Kubernetes; none where there is no launcher. With `--processes` none but that is asked, and one that started
    /// several of this command is an error: each would start so many more.
    pub fn from_environment(get: &Get<'_>, processes: bool) -> Result<Option<World>> {
        let Some(launcher) = LAUNCHERS.iter().find(|one| get(one.rank).is_some() && get(one.size).is_some()) else {
            return Ok(None);
        };
        let number = |name: &str| -> Result<usize> {
            let word = get(name).unwrap_or_default();
            word.parse().map_err(|_| Failure::usage(format!("the environment's {name} is `{word}`, not a number")))
        };
        // Slurm gives its variables to the script of a job also, which is one process: `srun` starts several.
        let several = |name: &str| get(name).is_some_and(|word| word != "1");
        if processes && launcher.rank == "SLURM_PROCID" && !several("SLURM_STEP_NUM_TASKS") {
            return Ok(None);
        }
        let (rank, size) = (number(launcher.rank)?, number(launcher.size)?);
        if size <= 1 {
            return Ok(None);
        }
        if rank >= size {
            return Err(Failure::usage(format!("{} is {rank}, {} only {size}", launcher.rank, launcher.size)));
        }
        if processes && launcher.rank != RANK {
            let (names, says) = (launcher.rank, launcher.size);
            let message = format!("this is process {rank} of {size} already ({names} and {says} say so)");
            return Err(Failure::usage(message)
                .hint("leave `--processes` away here, or give it to the command that a launcher starts once"));
        }
        let Some(host) = get("MASTER_ADDR").or_else(|| (launcher.host)(get)) else {
            return Err(Failure::usage(format!("{} is {size}, but MASTER_ADDR is not set", launcher.size))
                .hint("set MASTER_ADDR to the host of the first process, and MASTER_PORT to a free port there"));
        };
        let ports = launcher.ports(get)?;
        let run = launcher.run.iter().filter_map(|name| get(name)).collect::<Vec<_>>().join(" ");
        let world = World { rank, size, host, ports, run, beside: size, with_first: true };
        if world.one_machine() {
            return Ok(Some(world));
        }
        let beside = (launcher.local_size)(get, size).unwrap_or(1).clamp(1, size);
        // Those of the first machine count from 0 as all do. Where neighbours are dealt out to machines in turn, only
        // the first itself is known to be there.
        let local = get(launcher.local_rank).and_then(|word| word.parse().ok());
        let with_first = rank == 0 || beside == size || local == Some(rank);
        Ok(Some(World { beside, with_first, ..world }))
    }

    /// One of several that all are on this machine.
    pub fn here(rank: usize, size: usize, port: u16) -> World {
        let (host, ports, run) = ("127.0.0.1".to_owned(), vec![port], String::new());
        World { rank, size, host, ports, run, beside: size, with_first: true }
    }

    /// Whether they meet where no other machine comes.
    pub fn one_machine(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "::1") || self.host.starts_with("127.")
    }

    /// Where the first one listens, for people.
    pub fn meeting(&self) -> String {
        let host = &self.host;
        match self.ports[..] {
            [first, .., last] => format!("{host}, ports {first} to {last}"),
            [only] => format!("{host}:{only}"),
            [] => host.clone(),
        }
    }
}

impl Launcher {
    /// The ports to meet at.
    fn ports(&self, get: &Get<'_>) -> Result<Vec<u16>> {
        let port = |name: &str| match get(name).map(|word| (word.parse::<u16>(), word)) {
            None => Ok(None),
            Some((Ok(port), _)) if port > 0 => Ok(Some(port)),
            Some((_, word)) => Err(Failure::usage(format!("the environment's {name} is `{word}`, not a port"))),
        };
        if let Some(own) = port(PORT)? {
            return Ok(vec![own]);
        }
        // torchrun itself listens at the port that it names, unless it is told not to.
        let taken = get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|word| word == "True");
        Ok(match port("MASTER_PORT")? {
            Some(port) if taken => window(u64::from(port)).filter(|one| *one != port).collect(),
            Some(port) => vec![port],
            None => match self.job.and_then(get).and_then(|word| word.parse().ok()) {
                Some(job) => window(job).collect(),
                None => vec![USUAL],
            },
        })
    }
}

/// The first host of Slurm's short form of a list of them: `node[003-005,9],other` begins with `node003`.
fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list.trim();
    while let Some(at) = rest.find(['[', ',']) {
        host += &rest[..at];
        if rest[at..].starts_with(',') {
            rest = "";
            break;
        }
        let (inside, after) = rest[at + 1..].split_once(']')?;
        host += inside.split(['-', ',']).next()?;
        rest = after;
    }
    host += rest;
    (!host.is_empty()).then_some(host)
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
        World::from_environment(&of_list(given), false)
    }

    fn of_list(given: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn launchers_are_understood() {
        let torchrun = [("RANK", "3"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "7")];
        let (run, host) = (String::new(), "a".to_owned());
        let world = World { rank: 3, size: 4, host, ports: vec![7], run, beside: 1, with_first: false };
        assert_eq!(of(&torchrun).unwrap(), Some(world));
        let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1")];
        let (run, host) = (String::new(), "10.0.0.1".to_owned());
        let world = World { rank: 0, size: 2, host, ports: vec![29500], run, beside: 1, with_first: true };
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
    fn the_port_is_one_that_the_launcher_leaves_free() {
        let torchrun = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a"), ("TORCHELASTIC_RUN_ID", "r")];
        let slurm = [("SLURM_PROCID", "1"), ("SLURM_NTASKS", "2"), ("SLURM_STEP_NODELIST", "n[2-3]")];
        let slurm = [&slurm[..], &[("SLURM_JOB_ID", "1181"), ("SLURM_STEP_ID", "0")]].concat();
        let agent = |says| ("TORCHELASTIC_USE_AGENT_STORE", says);
        for (given, more, ports, run) in [
            (&torchrun[..], vec![("MASTER_PORT", "29500")], vec![29500], "r"),
            // torchrun's own store is there.
            (&torchrun, vec![("MASTER_PORT", "29500"), agent("True")], (20000..20016).collect(), "r"),
            (&torchrun, vec![("MASTER_PORT", "29501"), agent("True")], (20016..20032).collect(), "r"),
            (&torchrun, vec![("MASTER_PORT", "20064"), agent("True")], (20065..20080).collect(), "r"),
            (&torchrun, vec![("MASTER_PORT", "29500"), agent("False")], vec![29500], "r"),
            (&torchrun, vec![agent("True"), (PORT, "7")], vec![7], "r"),
            (&torchrun, vec![], vec![29500], "r"),
            // Jobs of Slurm, two of which may share a node.
            (&slurm, vec![], (20016..20032).collect(), "1181 0"),
            (&slurm, vec![("MASTER_PORT", "7")], vec![7], "1181 0"),
            (&slurm, vec![("MASTER_PORT", "7"), (PORT, "8")], vec![8], "1181 0"),
        ] {
            let world = of(&[given, &more[..]].concat()).unwrap().unwrap();
            assert_eq!((world.ports, world.run.as_str()), (ports, run), "{more:?}");
        }
        for (name, word) in [(PORT, "x"), ("MASTER_PORT", "0"), ("MASTER_PORT", "65536")] {
            let said = of(&[&torchrun[..], &[(name, word)]].concat()).unwrap_err().message;
            assert_eq!(said, format!("the environment's {name} is `{word}`, not a port"));
        }
        let last = window(WINDOWS - 1).last().unwrap();
        assert!(last < USUAL, "{last}");
    }

    #[test]
    fn the_first_of_slurm_is_on_the_first_node_of_its_step() {
        let given = [
            ("SLURM_PROCID", "1"),
            ("SLURM_NTASKS", "2"),
            ("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1"),
            ("SLURM_JOB_NODELIST", "c[1-4]"),
            ("SLURM_STEP_NODELIST", "c[3-4]"),
            ("MASTER_ADDR", "d"),
        ];
        for (known, host) in [(6, "d"), (5, "c3"), (4, "c1"), (3, "10.0.0.1")] {
            assert_eq!(of(&given[..known]).unwrap().unwrap().host, host);
        }
        for (list, host) in [
            ("a", Some("a")),
            ("a,b", Some("a")),
            ("a[003-005,9],b", Some("a003")),
            ("a[7,9]x,b[1-2]", Some("a7x")),
            ("r[0-1]n[08-12]", Some("r0n08")),
            ("a-b-[1-2]", Some("a-b-1")),
            ("", None),
            ("a[1", None),
        ] {
            assert_eq!(first_host(list).as_deref(), host, "{list}");
        }
    }

    #[test]
    fn processes_of_one_command_are_not_those_of_a_launcher() {
        let torchrun = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a")];
        let script = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_JOB_NODELIST", "c[1-4]")];
        let step = [&script[..], &[("SLURM_STEP_NUM_TASKS", "4")]].concat();
        let alone = [&script[..], &[("SLURM_STEP_NUM_TASKS", "1")]].concat();
        let of = |given: &[(&str, &str)]| World::from_environment(&of_list(given), true);
        for given in [&[][..], &script, &alone, &[("RANK", "0"), ("WORLD_SIZE", "1")]] {
            assert_eq!(of(given).unwrap(), None, "{given:?}");
        }
        for (given, words) in [
            (&torchrun[..], "this is process 1 of 2 already (RANK and WORLD_SIZE say so)"),
            (&step, "this is process 0 of 4 already (SLURM_PROCID and SLURM_NTASKS say so)"),
        ] {
            assert_eq!(of(given).unwrap_err().message, words);
            // Those that it started itself know it from their own variables.
            let own = [(RANK, "3"), (SIZE, "4"), (PORT, "9"), ("MASTER_ADDR", "127.0.0.1")];
            assert_eq!(of(&[&own[..], given].concat()).unwrap(), Some(World::here(3, 4, 9)));
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
