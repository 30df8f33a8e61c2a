//! MinHash as RedPajama-V2 published it: of every 13 normalized words that follow each other the
//! SHA-1, under 128 permutations.

use corpus::Document;
use corpus::words::Split;
use sha1::{Digest, Sha1};

/// Words of a shingle.
pub const WORDS: usize = 13;
/// Numbers of a signature.
pub const PERMUTATIONS: usize = 128;
/// The Mersenne prime that the original reduces by.
const PRIME: u64 = (1 << 61) - 1;

/// The factors and addends of the original's permutations: alternating draws of NumPy's
/// `RandomState(42).randint`, from 1 and from 0, below the prime.
pub struct Permutations {
    factors: [u64; PERMUTATIONS],
    addends: [u64; PERMUTATIONS],
}

impl Default for Permutations {
    fn default() -> Permutations {
        let mut twister = Twister::seeded(42);
        let mut permutations = Permutations { factors: [0; PERMUTATIONS], addends: [0; PERMUTATIONS] };
        for (factor, addend) in permutations.factors.iter_mut().zip(&mut permutations.addends) {
            *factor = 1 + twister.at_most(PRIME - 2);
            *addend = twister.at_most(PRIME - 1);
        }
        permutations
    }
}

impl Permutations {
    /// The signature of a document; nothing, as in the original, if it has fewer words than a shingle.
    pub fn signature(&self, document: &Document) -> Option<[u32; PERMUTATIONS]> {
        let mut least = [u32::MAX; PERMUTATIONS];
        let mut any = false;
        shingles(document, |digest| {
            any = true;
            let hash = u64::from(u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]));
            for ((least, factor), addend) in least.iter_mut().zip(&self.factors).zip(&self.addends) {
                // As NumPy does it: the product is cut to 64 bits before it is reduced.
                let wide = hash.wrapping_mul(*factor).wrapping_add(*addend);
                let folded = (wide & PRIME) + (wide >> 61);
                let reduced = if folded >= PRIME { folded - PRIME } else { folded };
                *least = (*least).min(reduced as u32);
            }
        });
        any.then_some(least)
    }
}

/// Calls with the SHA-1 of every shingle, as often as it occurs.
pub fn shingles(document: &Document, mut call: impl FnMut([u8; 20])) {
    let words = document.words(Split::Normalized);
    // Words are parted by one space each, so that a shingle is a slice.
    for window in words.spans().windows(WORDS) {
        let (from, to) = (window[0].start as usize, window[WORDS - 1].end as usize);
        call(Sha1::digest(&words.text().as_bytes()[from..to]).into());
    }
}

/// How datasketch, and with it the original, cuts numbers into bands for a similarity: so that the
/// shares of pairs below it that are proposed, and of pairs above it that are not, are least in sum.
pub fn banding(similarity: f64, permutations: usize) -> (usize, usize) {
    let proposed = |alike: f64, bands: usize, rows: usize| 1.0 - (1.0 - alike.powi(rows as i32)).powi(bands as i32);
    // Each the mean over a thousandth, in its middle.
    let steps = |from: f64, to: f64| {
        let count = ((to - from) / 0.001).round() as usize;
        (0..count).map(move |step| from + (step as f64 + 0.5) * 0.001)
    };
    let mut best = (f64::INFINITY, (1, 1));
    for bands in 1..=permutations {
        for rows in 1..=permutations / bands {
            let wrong: f64 = steps(0.0, similarity).map(|alike| proposed(alike, bands, rows)).sum();
            let missed: f64 = steps(similarity, 1.0).map(|alike| 1.0 - proposed(alike, bands, rows)).sum();
            if wrong + missed < best.0 {
                best = (wrong + missed, (bands, rows));
            }
        }
    }
    best.1
}

/// The Mersenne Twister (Matsumoto and Nishimura 1998), as NumPy's `RandomState` draws from it.
struct Twister {
    state: [u32; 624],
    at: usize,
}

impl Twister {
    fn seeded(seed: u32) -> Twister {
        let mut state = [seed; 624];
        for at in 1..624 {
            let before = state[at - 1];
            state[at] = (before ^ before >> 30).wrapping_mul(1_812_433_253).wrapping_add(at as u32);
        }
        Twister { state, at: 624 }
    }

    fn next(&mut self) -> u32 {
        if self.at == 624 {
            for at in 0..624 {
                let mixed = self.state[at] & 1 << 31 | self.state[(at + 1) % 624] & !(1 << 31);
                let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[at] = self.state[(at + 397) % 624] ^ mixed >> 1 ^ odd;
            }
            self.at = 0;
        }
        let mut value = self.state[self.at];
        self.at += 1;
        value ^= value >> 11;
        value ^= value << 7 & 0x9d2c_5680;
        value ^= value << 15 & 0xefc6_0000;
        value ^ value >> 18
    }

    /// A number up to `most`, which is beyond 32 bits: drawn until it is not more.
    fn at_most(&mut self, most: u64) -> u64 {
        let mask = u64::MAX >> most.leading_zeros();
        loop {
            let drawn = (u64::from(self.next()) << 32 | u64::from(self.next())) & mask;
            if drawn <= most {
                return drawn;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use corpus::{DocumentId, Meta};

    use super::*;

    #[test]
    fn permutations_are_numpy_s() {
        let permutations = Permutations::default();
        let pair = |at: usize| (permutations.factors[at], permutations.addends[at]);
        assert_eq!(pair(0), (2_297_359_619_001_564_596, 1_396_682_528_897_996_046));
        assert_eq!(pair(1), (1_973_689_801_170_867_272, 1_819_927_849_474_927_636));
        assert_eq!(pair(5), (379_716_980_844_854_581, 1_750_777_661_071_092_055));
    }

    #[test]
    fn numbers_are_cut_as_the_original_cut_them() {
        for (similarity, cut) in [(1.0, (1, 128)), (0.9, (5, 25)), (0.8, (9, 13)), (0.7, (14, 9))] {
            assert_eq!(banding(similarity, PERMUTATIONS), cut, "{similarity}");
        }
    }

    #[test]
    fn a_signature_needs_thirteen_words() {
        let signature = |text: &str| {
            let id = DocumentId { raw_file: "c4/a".into(), record: 0 };
            Permutations::default().signature(&Document::new(id, text.into(), Meta::default()))
        };
        let twelve = "a b c d e f g h i j k l";
        assert!(signature(twelve).is_none());
        let thirteen = signature(&format!("{twelve} m"));
        assert!(thirteen.is_some());
        assert_eq!(thirteen, signature("A, b. C d e f\ng h i j k l m!"));
        assert_ne!(thirteen, signature("b a c d e f g h i j k l m"));
    }
}
