//! Which of the SimHashes that share a block are near, exactly and in bounded memory. Of K documents that are
//! all near each other there are K² pairs; each leaves what its judge needs, and no more.
//!
//! What shares a block grows with the corpus: with a distance of 5 it is one document in a thousand, with
//! one of 15 every sixteenth. As many as memory has room for are held; what came before them lies in a
//! file and is read past them. Many that are held are not compared each with each: where two differ in
//! few bits, so does what is left of them without the block, and it is cut into parts just as they were
//! (Manku, Jain and Das Sarma, "Detecting Near-Duplicates for Web Crawling", WWW 2007).

use std::ops::Range;

use corpus::Result;
use corpus::pile::Pile;
use corpus::store::Store;

use crate::{Finding, Rank};

/// Bytes of memory for each that is held: it, and its hash once more, by itself.
pub const HELD: usize = size_of::<Member>() + 8;
/// Bytes of one that lies in a file: its hash, its rank, and whether it was found.
const FILED: usize = 8 + Rank::WIDTH + 1;
/// Hashes that are compared with one at once.
const TOGETHER: usize = 32;
/// What sorting one and looking up its part takes, in comparisons of two hashes among very many: these
/// take a tenth of a nanosecond, by vectors.
const SORTING: u64 = 256;
/// What a comparison takes among few.
const FEW: u64 = 4;

/// The bits of a hash that a block of some of them has.
pub fn bits_of(block: u32, blocks: u32) -> Range<u32> {
    64 * block / blocks..64 * (block + 1) / blocks
}

/// What a document leaves that is near another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// The first that it is near, if that is of lower rank.
    First,
    /// Its SimHash, as the number of a [`Finding::part`]: a judge compares it.
    Hash,
}

#[derive(Clone, Copy)]
struct Member {
    hash: u64,
    rank: Rank,
    /// The first that it is near, and in how many bits they differ; itself and 0 if none comes before it.
    first: Rank,
    differ: u32,
    /// Whether it is near any.
    paired: bool,
}

impl Member {
    fn new(hash: u64, rank: Rank) -> Member {
        Member { hash, rank, first: rank, differ: 0, paired: false }
    }

    fn meet(&mut self, other: Rank, differ: u32) {
        self.paired = true;
        if other < self.first {
            (self.first, self.differ) = (other, differ);
        }
    }

    /// What it leaves, if that is anything.
    fn leaves(&self, what: Leaves) -> Option<Finding> {
        match what {
            Leaves::First => (self.first < self.rank).then(|| Finding {
                gone: self.rank,
                kept: self.first,
                similarity: 1.0 - self.differ as f32 / 64.0,
            }),
            Leaves::Hash => self.paired.then(|| Finding::part(self.rank, self.hash, None)),
        }
    }

    fn to_bytes(self) -> [u8; FILED] {
        let mut bytes = [0; FILED];
        bytes[..8].copy_from_slice(&self.hash.to_be_bytes());
        bytes[8..8 + Rank::WIDTH].copy_from_slice(&self.rank.to_bytes());
        bytes[8 + Rank::WIDTH] = u8::from(self.paired);
        bytes
    }

    /// One that has met none that it would have to tell of, and whether it was found to be near any.
    fn from_bytes(bytes: [u8; FILED]) -> (Member, bool) {
        let (mut hash, mut rank) = ([0; 8], [0; Rank::WIDTH]);
        hash.copy_from_slice(&bytes[..8]);
        rank.copy_from_slice(&bytes[8..8 + Rank::WIDTH]);
        (Member::new(u64::from_be_bytes(hash), Rank::from_bytes(rank)), bytes[8 + Rank::WIDTH] != 0)
    }
}

/// Compares SimHashes, all different, that share one block after another.
pub struct Near<'r> {
    distance: u32,
    leaves: Leaves,
    room: Option<&'r Store>,
    most: usize,
    block: u32,
    members: Vec<Member>,
    /// Those of the members.
    hashes: Vec<u64>,
    /// What came before the members, where there is more than memory has room for.
    before: Option<Pile<FILED>>,
}

/// What one takes that is compared, with others, part by part, in comparisons of two hashes.
fn in_parts(others: u64, distance: u32, rest: u32) -> u64 {
    let parts = distance + 1;
    u64::from(parts) * (SORTING + FEW * (others >> (rest / parts)))
}

/// How many of so many SimHashes share a block, where they are spread evenly, and how many comparisons of
/// two all of them take.
pub fn comparisons(hashes: u64, distance: u32) -> (u64, u64) {
    let bits = bits_of(0, distance + 1).len() as u32;
    let each = hashes.checked_shr(bits).unwrap_or(0);
    let one = in_parts(each, distance, 64 - bits).min(each / 2);
    (each, hashes.saturating_mul(u64::from(distance + 1)).saturating_mul(one))
}

/// Takes what a document leaves.
pub type Found<'f> = dyn FnMut(Finding) -> Result<()> + 'f;

impl<'r> Near<'r> {
    /// Of hashes that differ in at most so many bits; held are as many as have room in so many bytes, if
    /// there is a place for the others.
    pub fn new(distance: u32, leaves: Leaves, room: Option<(&'r Store, usize)>) -> Near<'r> {
        let most = room.map_or(usize::MAX, |(_, memory)| (memory / HELD).max(64));
        let room = room.map(|(store, _)| store);
        Near { distance, leaves, room, most, block: 0, members: Vec::new(), hashes: Vec::new(), before: None }
    }

    /// What is pushed from now on shares that block.
    pub fn begin(&mut self, block: u32) {
        self.block = block;
    }

    /// Adds the next hash with the document of lowest rank that has it.
    pub fn push(&mut self, hash: u64, rank: Rank, found: &mut Found<'_>) -> Result<()> {
        if self.members.len() == self.most {
            self.compare(found)?;
            if let Some(store) = self.room {
                let before = match &mut self.before {
                    Some(before) => before,
                    none => none.insert(Pile::new(store)?),
                };
                before.push(self.members.drain(..).map(Member::to_bytes))?;
            }
        }
        // Doubling would take up to three times the memory while it copies.
        if self.members.len() == self.members.capacity() {
            let more = self.members.len().clamp(256, 1 << 16).min(self.most - self.members.len());
            self.members.reserve_exact(more);
        }
        self.members.push(Member::new(hash, rank));
        Ok(())
    }

    /// Adds another document with the hash that was pushed last. All blocks tell of it: the first one is
    /// enough.
    pub fn copy(&mut self, rank: Rank, found: &mut Found<'_>) -> Result<()> {
        let Some(first) = self.members.last_mut().filter(|_| self.block == 0) else { return Ok(()) };
        first.paired = true;
        let mut copy = Member::new(first.hash, rank);
        copy.meet(first.rank, 0);
        copy.leaves(self.leaves).map_or(Ok(()), found)
    }

    /// Compares what is left, and forgets all that shared the block.
    pub fn end(&mut self, found: &mut Found<'_>) -> Result<()> {
        self.compare(found)?;
        self.members.clear();
        self.before = None;
        Ok(())
    }

    /// The parts of what a hash has beside the block, which comes first when it is turned: one of no bits
    /// where it takes less to compare each with each.
    fn parts(&self, rest: u32) -> Vec<Range<u32>> {
        let count = self.distance + 1;
        match in_parts(self.members.len() as u64, self.distance, rest) < self.members.len() as u64 / 2 {
            true => (0..count).map(|part| rest * part / count..rest * (part + 1) / count).collect(),
            false => std::iter::once(0..0).collect(),
        }
    }

    /// Compares the members, each with each and with all that came before them, and tells what they leave.
    /// Every pair is found once, by the first of the blocks and of the parts that it shares.
    fn compare(&mut self, found: &mut Found<'_>) -> Result<()> {
        let own = bits_of(self.block, self.distance + 1);
        let mask = |bits: &Range<u32>| if bits.is_empty() { 0 } else { u64::MAX >> (64 - bits.len()) << bits.start };
        let turned = |hash: u64| hash.rotate_right(own.end % 64);
        let parts = self.parts(64 - own.len() as u32);
        let blocks: Vec<u64> = (0..self.block).map(|block| mask(&bits_of(block, self.distance + 1))).collect();
        let Near { distance, leaves, members, hashes, before, .. } = self;
        for (number, part) in parts.iter().enumerate() {
            let earlier: Vec<u64> = parts[..number].iter().map(mask).collect();
            let first = |differ: u64| {
                blocks.iter().all(|block| differ & block != 0) && earlier.iter().all(|part| turned(differ) & part != 0)
            };
            let of_part = |hash: u64| (turned(hash) & mask(part)) >> part.start;
            if !part.is_empty() {
                members.sort_unstable_by_key(|member| of_part(member.hash));
            }
            hashes.clear();
            hashes.reserve_exact(members.len());
            hashes.extend(members.iter().map(|member| member.hash));
            // Where those begin that share a part.
            let mut starts = vec![0u32; (1 << part.len()) + 1];
            hashes.iter().for_each(|hash| starts[of_part(*hash) as usize + 1] += 1);
            (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
            let with = |one: &mut Member, members: &mut [Member], from: usize| {
                let hashes = &hashes[from..from + members.len()];
                near(one.hash, hashes, *distance, &mut |at| {
                    let other = &mut members[at];
                    let differ = one.hash ^ other.hash;
                    if first(differ) {
                        let bits = differ.count_ones();
                        other.meet(one.rank, bits);
                        one.meet(other.rank, bits);
                    }
                });
            };
            for at in 0..members.len() {
                let end = starts[of_part(members[at].hash) as usize + 1] as usize;
                let (before, after) = members[..end].split_at_mut(at + 1);
                if let Some(one) = before.last_mut() {
                    with(one, after, at + 1);
                }
            }
            if let Some(before) = before {
                before.each(&mut |bytes| {
                    let (mut one, told) = Member::from_bytes(bytes);
                    let shared = of_part(one.hash) as usize;
                    let (from, to) = (starts[shared] as usize, starts[shared + 1] as usize);
                    with(&mut one, &mut members[from..to], from);
                    match one.leaves(*leaves) {
                        Some(finding) if !told || *leaves == Leaves::First => found(finding),
                        _ => Ok(()),
                    }
                })?;
            }
        }
        members.iter().filter_map(|member| member.leaves(*leaves)).try_for_each(found)
    }
}

/// Calls for the places of hashes that differ from one in few enough bits.
fn near(one: u64, hashes: &[u64], distance: u32, place: &mut dyn FnMut(usize)) {
    let mut from = 0;
    while let Some(at) = first_near(one, &hashes[from..], distance) {
        place(from + at);
        from += at + 1;
    }
}

/// The place of the first of some hashes that differs from one in few enough bits.
pub(super) fn first_near(one: u64, hashes: &[u64], distance: u32) -> Option<usize> {
    let look = Look { one, hashes, distance };
    // Asking what the processor can do takes as long as a few of them.
    match hashes.len() < TOGETHER {
        true => hashes.iter().position(|other| look.is(other)),
        false => pulp::Arch::new().dispatch(look),
    }
}

/// Looks for the first hash that is near.
struct Look<'h> {
    one: u64,
    hashes: &'h [u64],
    distance: u32,
}

impl Look<'_> {
    // A function that the compiler leaves on its own would be compiled for no vectors.
    #[inline(always)]
    fn is(&self, other: &u64) -> bool {
        (self.one ^ other).count_ones() <= self.distance
    }
}

impl pulp::WithSimd for Look<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Option<usize> {
        let mut some = self.hashes.chunks_exact(TOGETHER);
        let mut at = 0;
        for some in &mut some {
            // Without a branch for each: nearly always none is near.
            if some.iter().fold(false, |any, other| any | self.is(other)) {
                return some.iter().position(|other| self.is(other)).map(|within| at + within);
            }
            at += TOGETHER;
        }
        some.remainder().iter().position(|other| self.is(other)).map(|within| at + within)
    }
}

#[test]
fn many_in_a_block_are_compared_part_by_part() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let mut state = 5u64;
    let hashes: Vec<u64> = (0..3000u64)
        .map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = (state ^ state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16;
            // The second of four blocks is the same of all; one in three is near another.
            let hash = if at % 3 == 0 { random & 0xffff | 1 << (at % 16 + 40) } else { random & 0xff | random << 16 };
            hash & !(0xffff << 16) | 0xbeef << 16
        })
        .collect::<std::collections::BTreeSet<u64>>()
        .into_iter()
        .collect();
    let rank = |record: usize| Rank { raw_file: 0, record: record as u64 };
    let (mut firsts, mut paired) = (std::collections::BTreeMap::new(), std::collections::BTreeSet::new());
    for (gone, hash) in hashes.iter().enumerate() {
        for (kept, other) in hashes[..gone].iter().enumerate() {
            let differ = hash ^ other;
            if differ.count_ones() <= 3 && differ & 0xffff != 0 {
                firsts.entry(rank(gone)).or_insert(rank(kept));
                paired.extend([(rank(gone), *hash), (rank(kept), *other)]);
            }
        }
    }
    assert!(firsts.len() > 100 && paired.len() > firsts.len() && hashes.len() > 2900);
    for most in [usize::MAX, 2500 * HELD, 100 * HELD] {
        assert!(in_parts(2500, 3, 48) < 1250);
        let found = |leaves| {
            let mut near = Near::new(3, leaves, (most < usize::MAX).then_some((&store, most)));
            let mut found = Vec::new();
            let mut note = |finding: Finding| {
                found.push(finding);
                Ok(())
            };
            near.begin(1);
            for (record, hash) in hashes.iter().enumerate() {
                near.push(*hash, rank(record), &mut note).unwrap();
            }
            near.end(&mut note).unwrap();
            found
        };
        let mut lowest = std::collections::BTreeMap::new();
        for finding in found(Leaves::First) {
            let kept = lowest.entry(finding.gone).or_insert(finding.kept);
            *kept = finding.kept.min(*kept);
        }
        assert!(lowest == firsts, "{most}: {} of {}", lowest.len(), firsts.len());
        let told = found(Leaves::Hash).into_iter().map(|finding| (finding.gone, finding.as_part().unwrap().number));
        assert!(told.collect::<std::collections::BTreeSet<_>>() == paired, "{most}");
    }
}

#[test]
fn many_that_are_all_near_leave_little_however_little_memory_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    // 496 hashes of which every two differ in at most four bits.
    let hashes: Vec<u64> = (0..32).flat_map(|one| (0..one).map(move |other| 1u64 << one | 1 << other)).collect();
    for (leaves, room) in [(Leaves::First, None), (Leaves::Hash, None), (Leaves::Hash, Some((&store, 0)))] {
        let (mut near, mut found) = (Near::new(4, leaves, room), 0);
        let mut note = |_| {
            found += 1;
            Ok(())
        };
        near.begin(0);
        for (record, hash) in hashes.iter().enumerate() {
            near.push(*hash, Rank { raw_file: 0, record: record as u64 }, &mut note).unwrap();
        }
        near.end(&mut note).unwrap();
        assert!((490..=496).contains(&found), "{leaves:?}: {found}");
    }
}
