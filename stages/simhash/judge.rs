//! Which documents go, of pairs whose SimHashes are near: a document with the SimHash of an earlier one is
//! paired with that one alone, and goes the way that it goes.

use corpus::Result;

use crate::{Among, Finding, Pairs};

/// Where the bits stand in which two differ, above the number of a document.
const DIFFER: u32 = 56;

/// A document goes if one of lower rank stays that it is near; its row names the first of them. Of every
/// document it is known whether it goes (a bit), and for which one (8 bytes).
pub fn judge(pairs: &mut dyn Pairs, among: &Among<'_>, found: &mut dyn FnMut(Finding) -> Result<()>) -> Result<()> {
    let mut gone = among.marks(2)?;
    // One more than the number of the document that stays; 0 of one that does.
    let mut kept = among.numbers_of_all(2)?;
    for pair in pairs.all()? {
        let mut pair = pair?;
        let Some(number) = among.number(pair.gone) else { continue };
        if gone.has(pair.gone)? {
            continue;
        }
        if gone.has(pair.kept)? {
            // What it goes for is as near to all that have its SimHash.
            let Some(first) = among.number(pair.kept).filter(|_| pair.similarity == 1.0) else { continue };
            let known = kept.get(first)?;
            let Some(stays) = (known & ((1 << DIFFER) - 1)).checked_sub(1) else { continue };
            pair.kept = among.rank(stays);
            pair.similarity = 1.0 - (known >> DIFFER) as f32 / 64.0;
        }
        let Some(stays) = among.number(pair.kept) else { continue };
        let differ = ((1.0 - pair.similarity) * 64.0).round() as u64;
        gone.add(pair.gone)?;
        kept.set(number, differ << DIFFER | (stays + 1))?;
        found(pair)?;
    }
    Ok(())
}
