//! Several processes that train one model: what they tell each other, over TCP.
//!
//! Every process reads the same batches and computes some leaves of the tree of gradients; sums of two
//! subtrees are made by pairs, lower rank first, so that the tree and its bits are those of one process.

mod tcp;

use crate::failure::{Failure, Result};
pub use tcp::Tcp;

/// A process's place among those that train together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Which it is, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// Where the first one listens.
    pub meeting: String,
}

impl World {
    /// What a launcher says of it in the environment: torchrun, Slurm, LSF's jsrun, or an indexed job of
    /// Kubernetes; none where there is no launcher.
    pub fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<World>> {
        let names = [
            ("RANK", "WORLD_SIZE"),
            ("SLURM_PROCID", "SLURM_NTASKS"),
            ("JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE"),
            ("JOB_COMPLETION_INDEX", "WORLD_SIZE"),
        ];
        let Some((rank_name, size_name)) =
            names.into_iter().find(|(rank, size)| get(rank).is_some() && get(size).is_some())
        else {
            return Ok(None);
        };
        let number = |name: &str| -> Result<usize> {
            let word = get(name).unwrap_or_default();
            word.parse().map_err(|_| Failure::usage(format!("the environment's {name} is `{word}`, not a number")))
        };
        let (rank, size) = (number(rank_name)?, number(size_name)?);
        if size <= 1 {
            return Ok(None);
        }
        if rank >= size {
            return Err(Failure::usage(format!("{rank_name} is {rank}, {size_name} only {size}")));
        }
        let host = ["MASTER_ADDR", "SLURM_LAUNCH_NODE_IPADDR"].into_iter().find_map(get);
        let Some(host) = host else {
            return Err(Failure::usage(format!("{size_name} is {size}, but MASTER_ADDR is not set"))
                .hint("set MASTER_ADDR to the host of the first process, and MASTER_PORT to a free port there"));
        };
        let port = get("MASTER_PORT").unwrap_or_else(|| "29500".to_owned());
        Ok(Some(World { rank, size, meeting: format!("{host}:{port}") }))
    }
}

/// What processes that train together can do.
pub trait Comm {
    /// Which it is.
    fn rank(&self) -> usize;
    /// How many there are.
    fn size(&self) -> usize;
    /// Gives own bytes to one other and takes its own.
    fn swap(&mut self, other: usize, own: &[u8]) -> Result<Vec<u8>>;

    /// Everyone's bytes, by rank.
    fn gather(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut all = vec![Vec::new(); self.size()];
        all[self.rank()] = own.to_vec();
        // In round r everyone meets the one at distance r in the order of exclusive or: the number of
        // processes is a power of two.
        for round in 1..self.size() {
            let other = self.rank() ^ round;
            all[other] = self.swap(other, own)?;
        }
        Ok(all)
    }

    /// Everyone's bytes, by rank, at the first process; nothing at the others.
    fn collect(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        if self.rank() > 0 {
            self.swap(0, own)?;
            return Ok(Vec::new());
        }
        let mut all = vec![own.to_vec()];
        for other in 1..self.size() {
            all.push(self.swap(other, b"")?);
        }
        Ok(all)
    }
}

/// One process alone.
#[derive(Clone, Copy, Debug)]
pub struct Solo;

impl Comm for Solo {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn swap(&mut self, _: usize, own: &[u8]) -> Result<Vec<u8>> {
        Ok(own.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_understood() {
        let of = |given: &[(&str, &str)]| {
            World::from_environment(&|name: &str| {
                given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let torchrun = [("RANK", "3"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "7")];
        assert_eq!(of(&torchrun).unwrap(), Some(World { rank: 3, size: 4, meeting: "a:7".into() }));
        let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1")];
        assert_eq!(of(&slurm).unwrap(), Some(World { rank: 0, size: 2, meeting: "10.0.0.1:29500".into() }));
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
}
