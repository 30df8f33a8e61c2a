//! Several processes that train one model: what they tell each other, over TCP.
//!
//! Every process reads the same batches and computes some leaves of the tree of gradients; sums of two
//! subtrees are made by pairs, lower rank first, so that the tree and its bits are those of one process.

mod beats;
mod door;
mod meeting;
mod tcp;

use crate::failure::Result;
pub use beats::Beats;
pub use door::Door;
pub use tcp::Tcp;

/// What processes that train together can do.
pub trait Comm {
    /// Which it is.
    fn rank(&self) -> usize;
    /// How many there are.
    fn size(&self) -> usize;
    /// Gives own bytes to one other and takes its own.
    fn swap(&mut self, other: usize, own: &[u8]) -> Result<Vec<u8>>;

    /// Lets the others know that this process is at work, until what it gives is dropped: they wait for it no longer
    /// than an hour otherwise. It may not say anything else meanwhile.
    fn beats(&self) -> Beats {
        Beats::default()
    }

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
