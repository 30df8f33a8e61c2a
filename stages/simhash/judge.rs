//! Which documents go, of those whose SimHashes are near another's: each is compared with those that stay,
//! in order of rank.
//!
//! Those that stay are held, by every block of their SimHash. When memory has room for no more, what
//! follows is compared with them, and what is near none of them lies in a file until they are forgotten:
//! then it is judged in the same way. Nothing grows with the number of pairs.

use std::ops::Range;

use corpus::Result;
use corpus::pile::Pile;

use super::near::{bits_of, first_near};
use crate::{Among, Finding, Pairs, Rank};

/// Bytes of one that lies in a file.
const FILED: usize = 8 + Rank::WIDTH;
/// So many are written to it at once.
const TOGETHER: usize = 1 << 10;
/// The most bits of a block by which those that stay are looked up.
const WIDEST: u32 = 12;

/// Bytes of memory for each document that stays, at most: its hash and number in each block, and its rank,
/// in vectors that double.
pub fn held(distance: u32) -> usize {
    2 * ((distance as usize + 1) * (8 + 4) + size_of::<Rank>())
}

/// Of documents that are near another, in order of rank: one goes if another that stays is near, and its row
/// names the first of them. Another run's stay. Where ours are `marked` they stay too, and a row names the
/// first of the other's that one is near.
pub fn judge(
    distance: u32,
    marked: bool,
    pairs: &mut dyn Pairs,
    among: &Among<'_>,
    found: &mut dyn FnMut(Finding) -> Result<()>,
) -> Result<()> {
    let mut judge = Judge { kept: Kept::new(distance, among.memory()), marked, among, left: None, waiting: Vec::new() };
    let mut last = None;
    for finding in pairs.all()? {
        let finding = finding?;
        // Several blocks tell of one document.
        if last.replace(finding.gone) != Some(finding.gone)
            && let Some(part) = finding.as_part()
        {
            judge.see(part.number, finding.gone, found)?;
        }
    }
    while let Some(left) = judge.left()? {
        judge.kept.clear();
        left.each(&mut |bytes| {
            let (mut hash, mut rank) = ([0; 8], [0; Rank::WIDTH]);
            hash.copy_from_slice(&bytes[..8]);
            rank.copy_from_slice(&bytes[8..]);
            judge.see(u64::from_be_bytes(hash), Rank::from_bytes(rank), found)
        })?;
    }
    Ok(())
}

struct Judge<'a> {
    kept: Kept,
    marked: bool,
    among: &'a Among<'a>,
    /// Those that are near none that are held, which are all that there is room for.
    left: Option<Pile<FILED>>,
    waiting: Vec<[u8; FILED]>,
}

impl Judge<'_> {
    fn see(&mut self, hash: u64, rank: Rank, found: &mut dyn FnMut(Finding) -> Result<()>) -> Result<()> {
        let others = self.among.is_others(rank);
        if !others && let Some((kept, differ)) = self.kept.first(hash) {
            return found(Finding { gone: rank, kept, similarity: 1.0 - differ as f32 / 64.0 });
        }
        if !self.kept.is_full() {
            if others || !self.marked {
                self.kept.add(hash, rank);
            }
            return Ok(());
        }
        let mut bytes = [0; FILED];
        bytes[..8].copy_from_slice(&hash.to_be_bytes());
        bytes[8..].copy_from_slice(&rank.to_bytes());
        self.waiting.push(bytes);
        if self.waiting.len() == TOGETHER { self.lay_aside() } else { Ok(()) }
    }

    fn lay_aside(&mut self) -> Result<()> {
        let left = match (&mut self.left, self.among.store()) {
            (Some(left), _) => left,
            (none, Some(store)) => none.insert(Pile::new(store)?),
            // Without a place for them there is room for all.
            (None, None) => return Ok(()),
        };
        left.push(self.waiting.drain(..))
    }

    /// What was laid aside.
    fn left(&mut self) -> Result<Option<Pile<FILED>>> {
        if !self.waiting.is_empty() {
            self.lay_aside()?;
        }
        Ok(self.left.take())
    }
}

/// Documents that stay, in order of rank.
struct Kept {
    distance: u32,
    most: usize,
    ranks: Vec<Rank>,
    blocks: Vec<Block>,
}

/// Those that stay, by some bits of their hashes.
struct Block {
    bits: Range<u32>,
    shared: Vec<Shared>,
}

/// Those that share these bits, in order of rank.
#[derive(Clone, Default)]
struct Shared {
    hashes: Vec<u64>,
    /// Their places among all.
    places: Vec<u32>,
}

impl Block {
    fn place(&self, hash: u64) -> usize {
        (hash >> self.bits.start) as usize & (self.shared.len() - 1)
    }
}

impl Kept {
    /// Room for as many as so many bytes have, or for all.
    fn new(distance: u32, memory: Option<usize>) -> Kept {
        let most = memory.map_or(u32::MAX as usize, |memory| (memory / held(distance)).clamp(64, u32::MAX as usize));
        // A block is no wider than there are documents that stay.
        let widest = WIDEST.min(most.ilog2() / 2);
        let block = |block| {
            let bits = bits_of(block, distance + 1);
            let width = (bits.len() as u32).min(widest);
            Block { bits, shared: vec![Shared::default(); 1 << width] }
        };
        Kept { distance, most, ranks: Vec::new(), blocks: (0..=distance).map(block).collect() }
    }

    fn is_full(&self) -> bool {
        self.ranks.len() == self.most
    }

    fn add(&mut self, hash: u64, rank: Rank) {
        for block in &mut self.blocks {
            let place = block.place(hash);
            block.shared[place].hashes.push(hash);
            block.shared[place].places.push(self.ranks.len() as u32);
        }
        self.ranks.push(rank);
    }

    /// The first that a hash is near, and in how many bits they differ.
    fn first(&self, hash: u64) -> Option<(Rank, u32)> {
        let mut first: Option<(u32, u32)> = None;
        for block in &self.blocks {
            let Shared { hashes, places } = &block.shared[block.place(hash)];
            let before = first.map_or(places.len(), |(first, _)| places.partition_point(|place| *place < first));
            if let Some(at) = first_near(hash, &hashes[..before], self.distance) {
                first = Some((places[at], (hash ^ hashes[at]).count_ones()));
            }
        }
        first.map(|(place, differ)| (self.ranks[place as usize], differ))
    }

    fn clear(&mut self) {
        self.ranks.clear();
        for shared in self.blocks.iter_mut().flat_map(|block| &mut block.shared) {
            shared.hashes.clear();
            shared.places.clear();
        }
    }
}
