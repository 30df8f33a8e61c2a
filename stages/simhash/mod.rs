//! SimHash: 64 bits for a text, so that texts which share most of their characters share most bits.

pub mod judge;
mod md5;
pub mod near;

use md5::{Blocks, LANES};

/// The most characters of a shingle: each has up to four bytes, and all of them fit one block of MD5.
pub const WIDEST: usize = md5::LONGEST / 4;

/// The SimHash of a text as RedPajama-1T took it of books.
///
/// The text in lower case, without all that is no letter, digit or underscore (of any script), is
/// cut into shingles: every `width` characters that follow each other, as often as they occur; a
/// shorter text is one shingle. A shingle's bits are the last eight bytes of its MD5, highest first,
/// and a bit of the result is set if more than half of the shingles set it.
pub fn of(text: &str, width: usize) -> u64 {
    let width = width.clamp(1, WIDEST);
    let mut letters = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            if character.is_ascii_alphanumeric() || character == '_' {
                letters.push(character.to_ascii_lowercase());
            }
            continue;
        }
        // One character in lower case may be several, and not all of them letters. A sigma at the end
        // of a word is the one that looks at its neighbours.
        if character == 'Σ' {
            return of_lower(&text.to_lowercase(), width);
        }
        letters.extend(character.to_lowercase().filter(|character| is_word(*character)));
    }
    of_letters(&letters, width)
}

fn of_lower(text: &str, width: usize) -> u64 {
    let letters: String = text.chars().filter(|character| is_word(*character)).collect();
    of_letters(&letters, width)
}

/// Whether a text has anything that its SimHash is of.
pub fn has_letters(text: &str) -> bool {
    text.chars().any(|character| character.to_lowercase().any(is_word))
}

/// What Python's `\w` matches.
fn is_word(character: char) -> bool {
    character == '_' || corpus::text::is_alphanumeric(character)
}

fn of_letters(letters: &str, width: usize) -> u64 {
    let bytes = letters.as_bytes();
    let mut votes = Votes::default();
    let mut blocks = Blocks::new();
    let mut lane = 0;
    // The last starts of characters: a shingle begins `width` of them before its end.
    let mut starts = [0; WIDEST + 1];
    let mut seen = 0;
    let boundaries = letters.char_indices().map(|(at, _)| at).chain([bytes.len()]);
    for at in boundaries {
        starts[seen % (width + 1)] = at;
        seen += 1;
        if seen <= width {
            continue;
        }
        blocks.put(lane, &bytes[starts[seen % (width + 1)]..at]);
        lane += 1;
        if lane == LANES {
            blocks.tails().into_iter().for_each(|tail| votes.add(tail));
            lane = 0;
        }
    }
    if seen <= width {
        blocks.put(lane, bytes);
        lane += 1;
    }
    blocks.tails().into_iter().take(lane).for_each(|tail| votes.add(tail));
    votes.majority()
}

/// How many shingles set each bit.
#[derive(Default)]
struct Votes {
    total: u64,
    counts: Counts,
    /// Up to 255 votes, a byte for each bit: bits eight at a time, from the lowest.
    small: [u64; 8],
    pending: u32,
}

struct Counts([u64; 64]);

impl Default for Counts {
    fn default() -> Counts {
        Counts([0; 64])
    }
}

impl Votes {
    fn add(&mut self, bits: u64) {
        for (small, byte) in self.small.iter_mut().zip(bits.to_le_bytes()) {
            *small += spread(byte);
        }
        self.pending += 1;
        if self.pending == 255 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (counts, small) in self.counts.0.chunks_exact_mut(8).zip(&mut self.small) {
            for (count, votes) in counts.iter_mut().zip(std::mem::take(small).to_le_bytes()) {
                *count += u64::from(votes);
            }
        }
        self.total += u64::from(std::mem::take(&mut self.pending));
    }

    fn majority(mut self) -> u64 {
        self.flush();
        let half = self.total;
        let set = |(bit, count): (usize, &u64)| u64::from(2 * count > half) << bit;
        self.counts.0.iter().enumerate().map(set).sum()
    }
}

/// Bit `i` of a byte as the lowest bit of byte `i`.
fn spread(byte: u8) -> u64 {
    // Eight copies, of which each keeps its own bit, moved to the bottom.
    let copies = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    // A byte that is not zero carries into its highest bit.
    ((((copies & 0x7f7f_7f7f_7f7f_7f7f) + 0x7f7f_7f7f_7f7f_7f7f) | copies) >> 7) & 0x0101_0101_0101_0101
}

#[cfg(test)]
mod tests {
    use ::md5::{Digest, Md5};

    use super::*;

    /// The definition, word for word.
    fn plainly(text: &str, width: usize) -> u64 {
        let letters: Vec<char> = text.to_lowercase().chars().filter(|character| is_word(*character)).collect();
        let count = (letters.len() + 1).saturating_sub(width).max(1);
        let shingles = (0..count).map(|at| letters.iter().skip(at).take(width).collect::<String>());
        let bits: Vec<u64> =
            shingles.map(|shingle| u64::from_be_bytes(Md5::digest(&shingle)[8..].try_into().unwrap())).collect();
        (0..64)
            .filter(|bit| 2 * bits.iter().filter(|bits| *bits >> bit & 1 == 1).count() > bits.len())
            .map(|bit| 1 << bit)
            .sum()
    }

    #[test]
    fn the_quick_way_is_the_definition() {
        let long =
            "Call me Ishmael. Some years ago - never mind how long_precisely - having little or no money".repeat(9);
        let greek = "Μῆνιν ἄειδε θεὰ Πηληϊάδεω Ἀχιλῆος ΟΥΛΟΜΕΝΗΣ, ἣ μυρί᾽ Ἀχαιοῖς ΑΛΓΕ ΣΑΣ".repeat(2);
        for text in ["", "a", "abcde", "abcdef", "İstanbul ǅ ß ﬁ 数字 ٣", "...!?", &long, &greek] {
            for width in [1, 6, WIDEST] {
                assert_eq!(of(text, width), plainly(text, width), "{text} {width}");
            }
        }
    }

    /// From the original's own code: the library `simhash` on features of six characters.
    #[test]
    fn known_texts_have_the_original_s_bits() {
        for (text, bits) in KNOWN {
            assert_eq!(of(text, 6), bits, "{text}");
        }
    }

    const KNOWN: [(&str, u64); 3] = [
        ("", 0xe980_0998_ecf8_427e),
        ("short", 0x6a30_2407_a0e0_babe),
        ("The tide turns twice a day.", 0x20a2_15dc_2183_ecf3),
    ];
}
