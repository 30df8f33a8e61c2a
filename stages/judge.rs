//! Which documents go, of all pairs that are alike: the one task of a dedup that sees all of them, and
//! the only state of a dedup that grows with the number of documents.

use corpus::Result;
use corpus::paged::Paged;
use corpus::store::Store;

use crate::{Finding, Pairs, Rank};

/// The documents that a dedup judges, and room for what it has to know of each: the only state of a
/// dedup that grows with their number.
pub struct Among<'r> {
    /// The number of the first document of each raw file, and of all documents.
    first: Vec<u64>,
    all: u64,
    /// Where numbers lie that do not fit in so many bytes of memory.
    room: Option<(&'r Store, usize)>,
    /// So many raw files, the first ones, are other runs'.
    others: u32,
}

impl<'r> Among<'r> {
    /// So many records in each raw file of the run.
    pub fn of(records: &[u64], room: Option<(&'r Store, usize)>) -> Among<'r> {
        let mut all = 0;
        let mut first = Vec::with_capacity(records.len());
        for records in records {
            first.push(all);
            all += records;
        }
        Among { first, all, room, others: 0 }
    }

    /// The same, where so many raw files, the first ones, are other runs'.
    pub fn with_others(self, others: u32) -> Among<'r> {
        Among { others, ..self }
    }

    /// Whether a document is another run's, which never goes.
    pub(crate) fn is_others(&self, rank: Rank) -> bool {
        rank.raw_file < self.others
    }

    /// Bytes of memory that a judge may take, if it may not take all.
    pub(crate) fn memory(&self) -> Option<usize> {
        self.room.map(|(_, memory)| memory)
    }

    /// Where it may lay aside what these have no room for.
    pub(crate) fn store(&self) -> Option<&'r Store> {
        self.room.map(|(store, _)| store)
    }

    /// Numbers, all 0, in a share of the memory.
    fn numbers(&self, count: u64, shares: usize) -> Result<Paged> {
        match self.room {
            Some((store, memory)) => Paged::new(store, count, memory / shares),
            None => Ok(Paged::held(count)),
        }
    }

    /// The number of a document, counted through all raw files.
    pub(crate) fn number(&self, rank: Rank) -> Option<u64> {
        let number = self.first.get(rank.raw_file as usize)? + rank.record;
        (number < self.all).then_some(number)
    }

    /// The document of a number.
    pub(crate) fn rank(&self, number: u64) -> Rank {
        let raw_file = self.first.partition_point(|first| *first <= number).saturating_sub(1);
        let first = self.first.get(raw_file).copied().unwrap_or(0);
        Rank { raw_file: raw_file as u32, record: number - first }
    }

    /// A bit for each document, in one of so many shares of the memory. Nothing is marked yet.
    pub(crate) fn marks(&self, shares: usize) -> Result<Marks<'_>> {
        Ok(Marks { among: self, bits: self.numbers(self.all.div_ceil(64), shares)? })
    }
}

/// One bit for each document.
pub(crate) struct Marks<'a> {
    among: &'a Among<'a>,
    bits: Paged,
}

impl Marks<'_> {
    pub fn has(&mut self, rank: Rank) -> Result<bool> {
        match self.among.number(rank) {
            Some(number) => Ok(self.bits.get(number / 64)? >> (number % 64) & 1 == 1),
            None => Ok(false),
        }
    }

    /// Marks a document; whether it was not marked before.
    pub fn add(&mut self, rank: Rank) -> Result<bool> {
        let Some(number) = self.among.number(rank) else { return Ok(true) };
        let bits = self.bits.get(number / 64)?;
        self.bits.set(number / 64, bits | 1 << (number % 64))?;
        Ok(bits >> (number % 64) & 1 == 0)
    }
}

/// Of all documents that a chain of pairs leads to, the one of lowest rank stays. Each that goes has its
/// similarity with that one, if the two are a pair; of others, to which a chain alone leads, it is unknown.
///
/// The larger of two roots is hung under the smaller, so that a root is the lowest of its documents in
/// whichever order pairs come.
pub(crate) fn components(
    pairs: &mut dyn Pairs,
    among: &Among<'_>,
    found: &mut dyn FnMut(Finding) -> Result<()>,
) -> Result<()> {
    // Of each document one more than the number of its parent; 0 of a root.
    let mut parents = among.numbers(among.all, 1)?;
    let root = |parents: &mut Paged, mut at: u64| -> Result<u64> {
        loop {
            let parent = parents.get(at)?;
            if parent == 0 {
                return Ok(at);
            }
            // Each second step hangs a document under its grandparent.
            let above = parents.get(parent - 1)?;
            if above == 0 {
                return Ok(parent - 1);
            }
            parents.set(at, above)?;
            at = above - 1;
        }
    };
    for pair in pairs.all()? {
        let pair = pair?;
        let (Some(gone), Some(kept)) = (among.number(pair.gone), among.number(pair.kept)) else { continue };
        let (gone, kept) = (root(&mut parents, gone)?, root(&mut parents, kept)?);
        if gone != kept {
            parents.set(gone.max(kept), gone.min(kept) + 1)?;
        }
    }
    for pair in pairs.all()? {
        let pair = pair?;
        for document in [pair.gone, pair.kept] {
            let Some(number) = among.number(document) else { continue };
            let lowest = root(&mut parents, number)?;
            if lowest != number {
                let kept = among.rank(lowest);
                let with_it = [pair.gone, pair.kept].contains(&kept);
                let similarity = if with_it { pair.similarity } else { Finding::UNKNOWN };
                found(Finding { gone: document, kept, similarity })?;
            }
        }
    }
    Ok(())
}

/// A document goes if one of lower rank that it is like stays. It depends on ranks alone, not on
/// chance; and of a chain A, B, C, where A and C are not alike, B goes and C stays.
pub(crate) fn judge(
    pairs: &mut dyn Pairs,
    among: &Among<'_>,
    found: &mut dyn FnMut(Finding) -> Result<()>,
) -> Result<()> {
    let mut gone = among.marks(1)?;
    for pair in pairs.all()? {
        let pair = pair?;
        // Of the documents for which one goes, its row names the first.
        if !gone.has(pair.gone)? && !gone.has(pair.kept)? {
            gone.add(pair.gone)?;
            found(pair)?;
        }
    }
    Ok(())
}

/// Of another run's documents that one is alike, the first.
pub(crate) fn mark(
    pairs: &mut dyn Pairs,
    among: &Among<'_>,
    found: &mut dyn FnMut(Finding) -> Result<()>,
) -> Result<()> {
    let mut last = None;
    for pair in pairs.all()? {
        let pair = pair?;
        if among.is_others(pair.kept) && last.replace(pair.gone) != Some(pair.gone) {
            found(pair)?;
        }
    }
    Ok(())
}

#[test]
fn of_a_chain_the_last_stays() {
    let rank = |record: u64| Rank { raw_file: (record / 4) as u32, record: record % 4 };
    let pair = |gone, kept| Finding { gone: rank(gone), kept: rank(kept), similarity: 0.9 };
    // 0 ~ 1 ~ 2 ~ 5, and 5 ~ 0; 3 is like nothing; 7 is like 5 and 2.
    let mut pairs = vec![pair(1, 0), pair(2, 1), pair(5, 0), pair(5, 2), pair(7, 2), pair(7, 5)];
    let mut found = Vec::new();
    let mut note = |finding: Finding| {
        found.push(finding);
        Ok(())
    };
    judge(&mut pairs, &Among::of(&[4, 4], None), &mut note).unwrap();
    assert_eq!(found, [pair(1, 0), pair(5, 0), pair(7, 2)]);
}

/// Random pairs among documents of a few raw files, sorted as they come; (pairs, records).
#[cfg(test)]
fn random_pairs(seed: u64) -> (Vec<Finding>, Vec<u64>) {
    let mut state = seed;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let records: Vec<u64> = (0..4).map(|_| 1 + next(300)).chain([5_000]).collect();
    let mut pairs = Vec::new();
    for _ in 0..next(400) {
        let mut rank = || {
            let raw_file = next(5) as u32;
            Rank { raw_file, record: next(records[raw_file as usize]) }
        };
        let (one, other) = (rank(), rank());
        let similarity = next(20) as f32 / 20.0;
        if one != other {
            pairs.push(Finding { gone: one.max(other), kept: one.min(other), similarity });
        }
    }
    pairs.sort_by_key(|pair| pair.to_bytes());
    (pairs, records)
}

#[cfg(test)]
type Judge = fn(&mut dyn Pairs, &Among<'_>, &mut dyn FnMut(Finding) -> Result<()>) -> Result<()>;

/// What is found in the end: of a document the greatest similarity counts.
#[cfg(test)]
fn judged(by: Judge, pairs: &[Finding], among: &Among<'_>) -> std::collections::BTreeMap<Rank, (Rank, u32)> {
    let mut found = std::collections::BTreeMap::new();
    let mut note = |finding: Finding| {
        let (kept, similarity) = found.entry(finding.gone).or_insert((finding.kept, Finding::UNKNOWN.to_bits()));
        assert_eq!(*kept, finding.kept);
        *similarity = finding.similarity.max(f32::from_bits(*similarity)).to_bits();
        Ok(())
    };
    by(&mut pairs.to_vec(), among, &mut note).unwrap();
    found
}

#[test]
fn a_document_goes_for_one_that_stays_or_for_the_lowest_of_its_chain() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    for seed in 0..60 {
        let (pairs, records) = random_pairs(seed);
        let among = Among::of(&records, None);
        let gone = judged(judge, &pairs, &among);
        for pair in &pairs {
            // Of two that are alike, both stay never.
            assert!(gone.contains_key(&pair.gone) || gone.contains_key(&pair.kept), "{pair:?}");
        }
        for (document, (kept, _)) in &gone {
            assert!(!gone.contains_key(kept) && pairs.iter().any(|pair| pair.gone == *document && pair.kept == *kept));
        }
        // By hand: every document takes the lowest label around it until nothing changes.
        let mut lowest: std::collections::BTreeMap<Rank, Rank> =
            pairs.iter().flat_map(|pair| [pair.gone, pair.kept]).map(|rank| (rank, rank)).collect();
        for _ in 0..pairs.len() {
            for pair in &pairs {
                let least = lowest[&pair.gone].min(lowest[&pair.kept]);
                lowest.insert(pair.gone, least);
                lowest.insert(pair.kept, least);
            }
        }
        let found = judged(components, &pairs, &among);
        for (document, least) in &lowest {
            assert_eq!(
                found.get(document).map(|(kept, _)| *kept),
                (document != least).then_some(*least),
                "{document:?}"
            );
        }
        for (document, (_, similarity)) in &found {
            // Its similarity is that with the one that stays, where the two were compared.
            let least = lowest[document];
            let with_it = pairs.iter().filter(|pair| pair.gone == *document && pair.kept == least);
            let known = with_it.map(|pair| pair.similarity).fold(Finding::UNKNOWN, f32::max);
            assert_eq!(known.to_bits(), *similarity);
        }
        // Neither memory nor the order of pairs changes anything.
        let tiny = Among::of(&records, Some((&store, 0)));
        assert_eq!(judged(judge, &pairs, &tiny), gone);
        let mut turned = pairs.clone();
        turned.reverse();
        assert_eq!(judged(components, &turned, &tiny), found);
    }
}
