//! Importance weights (DSIR): how much likelier a text's words are in books, OpenWebText or
//! Wikipedia than on crawled pages.
//!
//! Words and pairs of words are hashed into buckets as CPython 3.11 hashes strings and tuples with
//! `PYTHONHASHSEED=42`: SipHash-1-3 over the bytes of the string as CPython keeps it, one, two or four for
//! a character.

use std::path::Path;

use corpus::Document;
use corpus::words::{Split, Words};

use super::Found;
use super::files::{FileError, Files};

/// Buckets that features are hashed into.
pub const BUCKETS: usize = 10_000;

const TARGETS: [(&str, &str, &str); 3] = [
    ("books", "rps_doc_books_importance", "rps_doc_books_importance_length_correction"),
    ("openwebtext", "rps_doc_openwebtext_importance", "rps_doc_openwebtext_importance_length_correction"),
    ("wikipedia", "rps_doc_wikipedia_importance", "rps_doc_wikipedia_importance_length_correction"),
];

/// What an estimate of a probability is added to, so that it has a logarithm.
const LEAST: f64 = 1e-8;

/// What the texts of a language's sources look like, as log-ratios against crawled pages.
pub struct Importance {
    /// Of each bucket the log-ratio for each target; none where a target's counts are missing.
    ratios: [Option<Vec<f64>>; 3],
    /// The mean length of each target's texts, and of crawled pages.
    lengths: [Option<f64>; 3],
    crawled: Option<f64>,
}

impl Importance {
    /// Roughly the memory that one takes.
    pub const BYTES: usize = 3 * 8 * BUCKETS;

    /// Reads the counts of a language from a folder, as the original leaves them:
    /// `<target>.<language>.10000.counts.npy` and `<target>.<language>.lambda.npy`, of `ccnet` and of each target.
    pub fn read(folder: &Path) -> Result<Importance, FileError> {
        let counts = |source: &str| array(folder, source, ".10000.counts.npy");
        let length = |source: &str| Ok(array(folder, source, ".lambda.npy")?.and_then(|array| array.first().copied()));
        let Some(crawled) = counts("ccnet")? else {
            return Err(FileError::unusable(folder, "no `ccnet.….10000.counts.npy`, against which others are weighed"));
        };
        let mut read = Importance { ratios: [None, None, None], lengths: [None; 3], crawled: length("ccnet")? };
        for (place, (target, ..)) in TARGETS.iter().enumerate() {
            let Some(counts) = counts(target)? else { continue };
            if counts.len() != BUCKETS || crawled.len() != BUCKETS {
                return Err(FileError::unusable(folder, format!("counts of {target} are not of {BUCKETS} buckets")));
            }
            let (target, source) = (logarithms(&counts), logarithms(&crawled));
            read.ratios[place] = Some(target.iter().zip(source).map(|(target, source)| target - source).collect());
            read.lengths[place] = length(TARGETS[place].0)?;
        }
        Ok(read)
    }
}

/// Logarithms of shares of a whole.
fn logarithms(counts: &[f64]) -> Vec<f64> {
    let whole: f64 = counts.iter().sum();
    counts.iter().map(|count| (count / whole + LEAST).ln()).collect()
}

pub(super) fn measure(document: &Document, language: Option<&str>, files: &Files, found: &mut Found<'_>) {
    let Some(importance) = language.and_then(|language| files.importance(language)) else { return };
    let counts = features(document.words(Split::WordPunct));
    let length = super::characters(document) as f64;
    for (place, (_, name, corrected)) in TARGETS.into_iter().enumerate() {
        let Some(ratios) = &importance.ratios[place] else { continue };
        let score: f64 = counts.iter().zip(ratios).map(|(count, ratio)| f64::from(*count) * ratio).sum();
        found.number(name, Some(score));
        let lengths = importance.lengths[place].zip(importance.crawled);
        found.number(
            corrected,
            lengths.map(|(target, crawled)| {
                score + (poisson(length, target) + LEAST).ln() - (poisson(length, crawled) + LEAST).ln()
            }),
        );
    }
}

/// The probability of a length, if lengths are Poisson's of this mean.
fn poisson(length: f64, mean: f64) -> f64 {
    (length * mean.ln() - mean - ln_factorial(length)).exp()
}

/// The logarithm of a factorial: exactly up to 20, beyond it by Stirling's series, to 1e-14 of it.
fn ln_factorial(n: f64) -> f64 {
    if n <= 20.0 {
        return (1..=n as u64).map(|factor| factor as f64).product::<f64>().ln();
    }
    let x = n + 1.0;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
        + 1.0 / (1260.0 * x.powi(5))
}

/// How often each bucket is hit by a word or by a pair of neighbours.
pub fn features(words: Words<'_>) -> Vec<u32> {
    let mut counts = vec![0; BUCKETS];
    let mut hit = |hash: i64| counts[(hash.unsigned_abs() % BUCKETS as u64) as usize] += 1;
    let mut before = None;
    for word in words.iter() {
        let hash = hash_of(word);
        hit(hash);
        if let Some(before) = before {
            hit(pair(before, hash));
        }
        before = Some(hash);
    }
    counts
}

// ---------------------------------------------------------------------------------------------
// CPython's hashes

/// The keys of SipHash that `PYTHONHASHSEED=42` gives: sixteen bytes of a linear congruential generator.
const KEYS: (u64, u64) = keys(42);

const fn keys(seed: u32) -> (u64, u64) {
    let mut state = seed;
    let mut halves = [0u64; 2];
    let mut at = 0;
    while at < 16 {
        state = state.wrapping_mul(214_013).wrapping_add(2_531_011);
        halves[at / 8] |= ((state >> 16 & 0xFF) as u64) << (8 * (at % 8));
        at += 1;
    }
    (halves[0], halves[1])
}

/// The hash of a string. The empty one has 0, and none has -1.
fn hash_of(text: &str) -> i64 {
    if text.is_empty() {
        return 0;
    }
    let mut sip = Sip::new();
    if text.is_ascii() {
        sip.write(text.as_bytes());
    } else {
        // CPython keeps characters in as many bytes as the largest of them needs.
        let largest = text.chars().max().map_or(0, u32::from);
        for character in text.chars() {
            let bytes = u32::from(character).to_le_bytes();
            let width = match largest {
                0..0x100 => 1,
                0x100..0x1_0000 => 2,
                _ => 4,
            };
            sip.write(&bytes[..width]);
        }
    }
    match sip.finish() as i64 {
        -1 => -2,
        hash => hash,
    }
}

/// The hash of a tuple of two, of which the hashes are known: xxHash's rounds.
fn pair(first: i64, second: i64) -> i64 {
    const ONE: u64 = 11_400_714_785_074_694_791;
    const TWO: u64 = 14_029_467_366_897_019_727;
    const FIVE: u64 = 2_870_177_450_012_600_261;
    let mut mixed = FIVE;
    for hash in [first, second] {
        mixed = mixed.wrapping_add((hash as u64).wrapping_mul(TWO)).rotate_left(31).wrapping_mul(ONE);
    }
    mixed = mixed.wrapping_add(2 ^ (FIVE ^ 3_527_539));
    if mixed == u64::MAX { 1_546_275_796 } else { mixed as i64 }
}

/// SipHash with one round for eight bytes and three at the end.
struct Sip {
    state: [u64; 4],
    tail: u64,
    length: usize,
}

impl Sip {
    fn new() -> Sip {
        let (low, high) = KEYS;
        let state = [
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ];
        Sip { state, tail: 0, length: 0 }
    }

    fn round(&mut self) {
        let [a, b, c, d] = &mut self.state;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }

    fn block(&mut self, block: u64) {
        self.state[3] ^= block;
        self.round();
        self.state[0] ^= block;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.tail |= u64::from(*byte) << (8 * (self.length % 8));
            self.length += 1;
            if self.length.is_multiple_of(8) {
                let block = std::mem::take(&mut self.tail);
                self.block(block);
            }
        }
    }

    fn finish(mut self) -> u64 {
        let last = self.tail | (self.length as u64) << 56;
        self.block(last);
        self.state[2] ^= 0xFF;
        (0..3).for_each(|_| self.round());
        self.state.iter().fold(0, |mixed, word| mixed ^ word)
    }
}

// ---------------------------------------------------------------------------------------------
// numpy's files

/// The one array of a folder whose file is named so; none if there is none.
fn array(folder: &Path, source: &str, ending: &str) -> Result<Option<Vec<f64>>, FileError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| FileError::Read { path, source }
    };
    let prefix = format!("{source}.");
    let mut found = None;
    for entry in std::fs::read_dir(folder).map_err(read(folder))? {
        let path = entry.map_err(read(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(ending) {
            if found.is_some() {
                return Err(FileError::unusable(folder, format!("two files are named {prefix}…{ending}")));
            }
            let bytes = std::fs::read(&path).map_err(read(&path))?;
            found = Some(npy(&bytes).map_err(|detail| FileError::unusable(&path, detail))?);
        }
    }
    Ok(found)
}

/// Reads an array of numpy's: little-endian integers or floats of eight bytes.
fn npy(bytes: &[u8]) -> Result<Vec<f64>, String> {
    let damaged = || "not an array of numpy's".to_owned();
    let version = match bytes.get(..8) {
        Some([0x93, b'N', b'U', b'M', b'P', b'Y', version, _]) => *version,
        _ => return Err(damaged()),
    };
    // The length of the header has two bytes, and four since the second version.
    let (begin, length) = match (version, bytes.get(8..12)) {
        (1, Some([a, b, ..])) => (10, usize::from(u16::from_le_bytes([*a, *b]))),
        (2 | 3, Some([a, b, c, d])) => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err(damaged()),
    };
    let header = bytes.get(begin..begin + length).ok_or_else(damaged)?;
    let header = std::str::from_utf8(header).map_err(|_| damaged())?;
    let kind = header.split_once("'descr': '").and_then(|(_, rest)| rest.split('\'').next()).ok_or_else(damaged)?;
    let values = bytes[begin + length..].chunks_exact(8).map(|eight| eight.try_into().unwrap_or_default());
    match kind {
        "<i8" => Ok(values.map(|eight| i64::from_le_bytes(eight) as f64).collect()),
        "<f8" => Ok(values.map(f64::from_le_bytes).collect()),
        other => Err(format!("an array of `{other}`, where `<i8` or `<f8` was expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_pairs_have_cpython_s_hashes() {
        // `PYTHONHASHSEED=42 python3.11 -c 'print(hash("the"))'` and so on.
        for (text, hash) in [
            ("the", 6_599_659_648_229_272_820),
            ("", 0),
            ("é", 5_653_850_369_683_463_245),
            ("中文", 4_786_665_480_535_555_245),
            ("😀", 6_601_963_133_753_205_906),
            ("\u{ad}", 8_126_691_528_244_221_269),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -5_963_948_996_463_144_029),
        ] {
            assert_eq!(hash_of(text), hash, "{text}");
        }
        for (first, second, hash) in [
            ("the", "quick", 6_238_603_351_526_444_230),
            ("", "x", 1_055_768_429_178_296_699),
            ("日本", "語", 4_057_414_604_004_195_465),
        ] {
            assert_eq!(pair(hash_of(first), hash_of(second)), hash, "{first} {second}");
        }
    }

    #[test]
    fn factorials_are_right_on_both_sides_of_the_series() {
        let mut logarithm = 0.0;
        for n in 1..200u32 {
            logarithm += f64::from(n).ln();
            assert!((ln_factorial(f64::from(n)) - logarithm).abs() < 1e-11, "{n}");
        }
    }
}
