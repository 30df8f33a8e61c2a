//! What a model finds in a text: words, runs of letters in them, runs of words.

use std::io::Read;

use super::Arguments;
use super::reader::{Reader, Result, damaged};

/// The word at the end of each line.
pub(super) const END_OF_LINE: &[u8] = b"</s>";
/// What labels begin with. Models do not say otherwise.
pub(super) const LABEL: &str = "__label__";
/// Runs of more letters or words than any model has; beyond, a damaged one could ask for years of
/// work. Ours.
const LONGEST_RUN: usize = 64;
/// Rows are handed on so many at a time.
const HANDFUL: usize = 1024;

/// The words and labels of a model, and how runs of letters and words become rows.
pub struct Dictionary {
    words: Words,
    /// Words come first, then labels.
    labels_from: usize,
    labels: Vec<String>,
    label_counts: Vec<i64>,
    shortest: usize,
    longest: usize,
    word_ngrams: usize,
    bucket: u32,
    /// 2⁶⁴ over `bucket`: multiplying by it takes a fifth of the time of dividing.
    bucket_inverse: u64,
    pruned: Option<Pruned>,
}

/// FNV-1a over bytes with a sign, a letter at a time.
#[derive(Clone, Copy)]
pub(super) struct Hash(pub u32);

impl Hash {
    const START: Hash = Hash(2_166_136_261);

    fn with(self, byte: u8) -> Hash {
        Hash((self.0 ^ i32::from(byte as i8) as u32).wrapping_mul(16_777_619))
    }

    pub fn of(bytes: &[u8]) -> Hash {
        bytes.iter().fold(Hash::START, |hash, byte| hash.with(*byte))
    }
}

/// All words in one string, found by their hash.
struct Words {
    text: Vec<u8>,
    ends: Vec<usize>,
    hashes: Vec<u32>,
    /// One more than a word's number, or 0; a power of two of them, at most half in use.
    slots: Vec<u32>,
}

impl Words {
    fn get(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// The slot that holds a word, or the empty one where it would be.
    fn slot(&self, word: &[u8], hash: Hash) -> usize {
        let mut slot = hash.0 as usize & (self.slots.len() - 1);
        while let Some(number) = (self.slots[slot] as usize).checked_sub(1) {
            if self.hashes[number] == hash.0 && self.get(number) == word {
                break;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }

    fn find(&self, word: &[u8], hash: Hash) -> Option<usize> {
        (self.slots[self.slot(word, hash)] as usize).checked_sub(1)
    }

    fn index(&mut self) {
        self.slots = vec![0; (2 * self.ends.len()).next_power_of_two()];
        for number in 0..self.ends.len() {
            // Of a word that is there twice the last counts, as in the original.
            let slot = self.slot(self.get(number), Hash(self.hashes[number]));
            self.slots[slot] = number as u32 + 1;
        }
    }
}

/// The buckets that pruning left, as a set of bits, and the row of each in the order of the bits.
struct Pruned {
    bits: Vec<u64>,
    /// How many buckets were left before each word of bits.
    before: Vec<u32>,
    rows: Vec<u32>,
}

/// Sets of bits beyond this many buckets are a damaged model's. Fifty times what is usual.
const MOST_BUCKETS: u32 = 1 << 27;

impl Pruned {
    fn of(mut left: Vec<(u32, u32)>) -> Pruned {
        left.sort_by_key(|(bucket, _)| *bucket);
        let mut pruned = Pruned { bits: Vec::new(), before: Vec::new(), rows: Vec::new() };
        let buckets = left.last().map_or(0, |(bucket, _)| *bucket as usize + 1);
        pruned.bits.resize(buckets.div_ceil(64), 0);
        for (bucket, row) in left {
            let (word, bit) = (bucket as usize / 64, 1 << (bucket % 64));
            if pruned.bits[word] & bit != 0 {
                // Of a bucket that is there twice the last counts.
                pruned.rows.pop();
            }
            pruned.bits[word] |= bit;
            pruned.rows.push(row);
        }
        let mut before = 0;
        for word in &pruned.bits {
            pruned.before.push(before);
            before += word.count_ones();
        }
        pruned
    }

    fn row(&self, bucket: u32) -> Option<u32> {
        let (word, bit) = (bucket as usize / 64, 1u64 << (bucket % 64));
        let bits = *self.bits.get(word)?;
        if bits & bit == 0 {
            return None;
        }
        let rank = self.before[word] + (bits & (bit - 1)).count_ones();
        Some(self.rows[rank as usize])
    }
}

impl Dictionary {
    /// Reads a dictionary.
    pub fn read<R: Read>(file: &mut Reader<R>, arguments: &Arguments) -> Result<Dictionary> {
        let [size, words, labels] = [file.i32()?, file.i32()?, file.i32()?];
        let _tokens = file.i64()?;
        let pruned = file.i64()?;
        // A word has at least its end, its count and its kind.
        let size = file.expect(size.into(), 10, "words")?;
        if words < 0 || labels < 1 || words as usize + labels as usize != size {
            return Err(damaged(format!("of {size} words {words} are words and {labels} labels")));
        }
        if arguments.longest > LONGEST_RUN || arguments.word_ngrams > LONGEST_RUN {
            let (letters, words) = (arguments.longest, arguments.word_ngrams);
            return Err(damaged(format!("it has runs of up to {letters} letters and {words} words")));
        }
        let mut dictionary = Dictionary {
            words: Words { text: Vec::new(), ends: Vec::with_capacity(size), hashes: Vec::new(), slots: Vec::new() },
            labels_from: words as usize,
            labels: Vec::with_capacity(labels as usize),
            label_counts: Vec::with_capacity(labels as usize),
            shortest: arguments.shortest,
            longest: arguments.longest,
            word_ngrams: arguments.word_ngrams,
            bucket: arguments.bucket,
            bucket_inverse: (u64::MAX / u64::from(arguments.bucket.max(1))).wrapping_add(1),
            pruned: None,
        };
        for number in 0..size {
            file.word(&mut dictionary.words.text)?;
            dictionary.words.ends.push(dictionary.words.text.len());
            let count = file.i64()?;
            let is_label = match file.u8()? {
                0 => false,
                1 => true,
                other => return Err(damaged(format!("a word of its dictionary is of kind {other}"))),
            };
            if is_label != (number >= dictionary.labels_from) {
                return Err(damaged("its labels do not follow its words"));
            }
            let word = dictionary.words.get(number);
            dictionary.words.hashes.push(Hash::of(word).0);
            if is_label {
                let label = String::from_utf8_lossy(dictionary.words.get(number));
                dictionary.labels.push(label.strip_prefix(LABEL).unwrap_or(&label).to_owned());
                dictionary.label_counts.push(count);
            }
        }
        dictionary.words.index();
        // Without pruning it says -1.
        if pruned >= 0 {
            let count = file.expect(pruned, 8, "buckets that pruning left")?;
            let mut left = Vec::with_capacity(count);
            for _ in 0..count {
                let [bucket, row] = [file.i32()?, file.i32()?];
                match (u32::try_from(bucket), u32::try_from(row)) {
                    (Ok(bucket), Ok(row)) if bucket < arguments.bucket.min(MOST_BUCKETS) => left.push((bucket, row)),
                    _ => return Err(damaged(format!("its bucket {bucket} with row {row} cannot be"))),
                }
            }
            dictionary.pruned = Some(Pruned::of(left));
        }
        Ok(dictionary)
    }

    pub fn is_pruned(&self) -> bool {
        self.pruned.is_some()
    }

    /// How many rows it may ask for.
    pub fn rows(&self) -> u64 {
        let buckets = match &self.pruned {
            Some(pruned) => pruned.rows.iter().max().map_or(0, |row| u64::from(*row) + 1),
            None if self.longest > 0 || self.word_ngrams > 1 => u64::from(self.bucket),
            None => 0,
        };
        self.labels_from as u64 + buckets
    }

    pub fn labels(&self) -> usize {
        self.labels.len()
    }

    pub fn label(&self, number: usize) -> &str {
        &self.labels[number]
    }

    pub fn label_counts(&self) -> &[i64] {
        &self.label_counts
    }

    pub fn footprint(&self) -> usize {
        let words = &self.words;
        let pruned = self.pruned.as_ref().map_or(0, |pruned| 12 * pruned.bits.len() + 4 * pruned.rows.len());
        words.text.len() + 12 * words.ends.len() + 4 * words.slots.len() + pruned
    }

    /// The rows of one line of text, handed on some at a time, in the original's order: each word
    /// with its runs of letters, then runs of words.
    pub fn features(&self, text: &[u8], take: &mut impl FnMut(&[u32])) {
        let mut rows = Vec::with_capacity(2 * HANDFUL);
        let mut hashes = Vec::new();
        let mut framed = Vec::new();
        for word in words_of(text).chain([END_OF_LINE]) {
            let hash = Hash::of(word);
            let known = self.words.find(word, hash);
            let is_label = match known {
                Some(number) => number >= self.labels_from,
                None => word.starts_with(LABEL.as_bytes()),
            };
            let is_end = word == END_OF_LINE;
            if !is_label {
                rows.extend(known.map(|number| number as u32));
                if !is_end && self.longest > 0 {
                    framed.clear();
                    framed.push(b'<');
                    framed.extend_from_slice(word);
                    framed.push(b'>');
                    self.runs_of_letters(&framed, &mut rows, take);
                }
                if self.word_ngrams > 1 {
                    hashes.push(hash.0 as i32);
                }
            }
            hand_on(&mut rows, take);
            // A text may say itself that its line ends here.
            if is_end {
                break;
            }
        }
        for (at, first) in hashes.iter().enumerate() {
            let mut hash = i64::from(*first) as u64;
            for next in hashes[at + 1..].iter().take(self.word_ngrams - 1) {
                hash = hash.wrapping_mul(116_049_371).wrapping_add(i64::from(*next) as u64);
                self.add_bucket((hash % u64::from(self.bucket)) as u32, &mut rows);
            }
            hand_on(&mut rows, take);
        }
        if !rows.is_empty() {
            take(&rows);
        }
    }

    /// The runs of letters of a word between `<` and `>`.
    fn runs_of_letters(&self, word: &[u8], rows: &mut Vec<u32>, take: &mut impl FnMut(&[u32])) {
        let continues = |at: usize| word.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
        for start in 0..word.len() {
            if continues(start) {
                continue;
            }
            let mut hash = Hash::START;
            let mut end = start;
            for letters in 1..=self.longest {
                let Some(byte) = word.get(end) else { break };
                hash = hash.with(*byte);
                end += 1;
                while continues(end) {
                    hash = hash.with(word[end]);
                    end += 1;
                }
                // A bracket alone says nothing.
                let bracket = letters == 1 && (start == 0 || end == word.len());
                if letters >= self.shortest && !bracket {
                    self.add_bucket(self.bucket_of(hash), rows);
                }
            }
            hand_on(rows, take);
        }
    }

    /// The rest of dividing by the number of buckets.
    fn bucket_of(&self, hash: Hash) -> u32 {
        let low = self.bucket_inverse.wrapping_mul(u64::from(hash.0));
        ((u128::from(low) * u128::from(self.bucket)) >> 64) as u32
    }

    fn add_bucket(&self, bucket: u32, rows: &mut Vec<u32>) {
        let row = match &self.pruned {
            Some(pruned) => pruned.row(bucket),
            None => Some(bucket),
        };
        rows.extend(row.map(|row| self.labels_from as u32 + row));
    }
}

/// The words of a text, as models part them.
pub(super) fn words_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = text.split(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c | 0));
    words.filter(|word| !word.is_empty())
}

fn hand_on(rows: &mut Vec<u32>, take: &mut impl FnMut(&[u32])) {
    if rows.len() >= HANDFUL {
        take(rows);
        rows.clear();
    }
}

#[test]
fn dividing_by_multiplying_is_exact() {
    for bucket in [1u32, 2, 3, 7, 1000, 2_000_000, u32::MAX / 2, i32::MAX as u32] {
        let inverse = (u64::MAX / u64::from(bucket)).wrapping_add(1);
        for hash in [0u32, 1, 6, 7, 1_999_999, 2_000_000, 0x7fff_ffff, 0xdead_beef, u32::MAX] {
            let low = inverse.wrapping_mul(u64::from(hash));
            let rest = ((u128::from(low) * u128::from(bucket)) >> 64) as u32;
            assert_eq!(rest, hash % bucket, "{hash} by {bucket}");
        }
    }
}
