//! How many cores of its machine are a process's own, where several of a run may use them.

use serde::{Deserialize, Serialize};

use crate::comm::Comm;
use crate::failure::Result;

/// What a process says of the cores that it may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cores {
    /// The machine, as long as it runs.
    machine: String,
    /// What of it is a machine to the process: a container.
    host: String,
    /// Their numbers, from and to: a launcher may have given each process cores of its own.
    cores: Vec<(u32, u32)>,
    /// As many threads as it may run at once, by the time that its control group has.
    threads: usize,
}

impl Cores {
    /// Of this process.
    fn own() -> Cores {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let status = read("/proc/self/status");
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        Cores {
            machine: read("/proc/sys/kernel/random/boot_id"),
            host: read("/proc/sys/kernel/hostname"),
            cores: ranges(list),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    fn has(&self, core: u32) -> bool {
        self.cores.iter().any(|(from, to)| (*from..=*to).contains(&core))
    }

    /// How many threads it runs, beside all others: a core that several use is divided by them, and so is the time
    /// of a container.
    fn share(&self, all: &[Cores]) -> usize {
        let beside = || all.iter().filter(|other| other.machine == self.machine);
        let sharing = beside().filter(|other| other.host == self.host).count().max(1);
        let cores: Vec<u32> = self.cores.iter().flat_map(|(from, to)| *from..=*to).collect();
        if cores.is_empty() {
            return (self.threads / sharing).max(1);
        }
        let part = |core: &u32| 1.0 / beside().filter(|other| other.has(*core)).count().max(1) as f64;
        // A little more, for a third is not exact: three of them are one.
        let own = cores.iter().map(part).sum::<f64>() + 1e-6;
        let bounded = if self.threads < cores.len() { self.threads / sharing } else { self.threads };
        (own as usize).min(bounded).max(1)
    }
}

/// The kernel's short form of a list of cores: `0-3,8`.
fn ranges(list: &str) -> Vec<(u32, u32)> {
    let mut all = Vec::new();
    for range in list.trim().split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(from), Ok(to)) = (from.trim().parse(), to.trim().parse()) {
            all.push((from, to));
        }
    }
    all
}

/// As many threads as a process should run: all of a run ask at once.
pub fn share(comm: &mut dyn Comm) -> Result<usize> {
    let own = Cores::own();
    let mut all = Vec::new();
    for said in comm.gather(&serde_json::to_vec(&own).unwrap_or_default())? {
        all.push(serde_json::from_slice(&said).unwrap_or_default());
    }
    Ok(own.share(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(machine: &str, host: &str, cores: &str, threads: usize) -> Cores {
        Cores { machine: machine.to_owned(), host: host.to_owned(), cores: ranges(cores), threads }
    }

    fn shares(all: &[Cores]) -> Vec<usize> {
        all.iter().map(|own| own.share(all)).collect()
    }

    #[test]
    fn cores_are_divided_by_those_that_use_them() {
        let whole = of("m", "h", "0-15", 16);
        assert_eq!(shares(&vec![whole.clone(); 1]), [16]);
        assert_eq!(shares(&vec![whole.clone(); 4]), [4; 4]);
        assert_eq!(shares(&vec![whole.clone(); 32]), [1; 32]);
        assert_eq!(shares(&vec![of("m", "h", "0-14", 15); 3]), [5; 3]);
        // Each has its own already.
        assert_eq!(shares(&[of("m", "h", "0-3", 4), of("m", "h", "4-6,8", 4)]), [4, 4]);
        assert_eq!(shares(&[of("m", "h", "0-7", 8), of("m", "h", "4-7", 4)]), [6, 2]);
        // On two machines.
        assert_eq!(shares(&[whole.clone(), whole, of("n", "h", "0-7", 8)]), [8, 8, 8]);
    }

    #[test]
    fn the_time_of_a_container_is_divided_by_those_in_it() {
        // Each in its own, of which two are on one machine.
        assert_eq!(shares(&[of("m", "a", "0-63", 8), of("m", "b", "0-63", 8)]), [8, 8]);
        // Four in one.
        assert_eq!(shares(&vec![of("m", "a", "0-63", 8); 4]), [2; 4]);
        // Where nothing is known of cores.
        assert_eq!(shares(&vec![of("", "", "", 8); 4]), [2; 4]);
        assert_eq!(shares(&vec![of("", "", "", 1); 4]), [1; 4]);
    }

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(ranges("\t0-3,8\n"), [(0, 3), (8, 8)]);
        assert_eq!(ranges(""), []);
        let own = Cores::own();
        assert!(
            own.threads > 0 && (own.cores.is_empty() || own.share(std::slice::from_ref(&own)) == own.threads),
            "{own:?}"
        );
    }
}
