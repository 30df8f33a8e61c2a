//! ARPA files: runs of words with their numbers, as text. They become the hash tables that KenLM itself
//! would make of them.

use super::hashed::{self, Hashed, Table};
use super::numbers::SIGN;
use super::vocabulary::{self, Vocabulary};
use super::{Checked, MOST_WORDS, Word, is_continued};

/// A model made of an ARPA file.
pub struct Read {
    pub bytes: Vec<u8>,
    pub order: usize,
    pub vocabulary: Vocabulary,
    pub hashed: Hashed,
}

/// What KenLM gives a word that a model without `<unk>` does not know.
const MISSING: f32 = -100.0;

/// Reads a file.
pub fn read(bytes: &[u8]) -> Checked<Read> {
    let mut lines = Lines { rest: bytes, number: 0 };
    let counts = counts(&mut lines)?;
    let order = counts.len();
    let mut made = Making::of(&counts);
    let mut words = Vec::with_capacity(order);
    for (length, count) in (1..).zip(&counts) {
        lines.expect(&format!("\\{length}-grams:"))?;
        for _ in 0..*count {
            let Some(line) = lines.next() else {
                return Err(format!("it is cut off among its {length}-grams: {count} were announced"));
            };
            made.run(line, length, order, &mut words).map_err(|wrong| format!("line {}: {wrong}", lines.number))?;
        }
        if length == 1 {
            made.whole_vocabulary()?;
        }
    }
    lines.expect("\\end\\")?;
    Ok(made.finish(order))
}

/// The lines of a file.
struct Lines<'b> {
    rest: &'b [u8],
    number: usize,
}

impl<'b> Iterator for Lines<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

impl Lines<'_> {
    /// Takes the next line that is not blank, which must be this one.
    fn expect(&mut self, wanted: &str) -> Checked<()> {
        match self.find(|line| !line.trim_ascii().is_empty()) {
            Some(line) if line.trim_ascii_end() == wanted.as_bytes() => Ok(()),
            Some(line) => Err(format!("line {}: expected `{wanted}`, found `{}`", self.number, shown(line))),
            None => Err(format!("it is cut off: `{wanted}` is missing")),
        }
    }
}

/// The beginning of something, for a message.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// How many runs it announces of each length.
fn counts(lines: &mut Lines) -> Checked<Vec<usize>> {
    let first = lines.find(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#")).unwrap_or_default();
    if first.starts_with(&[0x1f, 0x8b]) {
        return Err("it is compressed: expected it unpacked".to_owned());
    }
    if first.trim_ascii_end() != b"\\data\\" {
        let found = shown(first);
        return Err(format!("expected KenLM's binary header, or `\\data\\` of an ARPA file, found `{found}`"));
    }
    let room = lines.rest.len();
    let mut counts = Vec::new();
    for line in lines.by_ref() {
        if line.trim_ascii().is_empty() {
            break;
        }
        let expected = format!("ngram {}=", counts.len() + 1);
        let count = line.strip_prefix(expected.as_bytes()).and_then(|count| std::str::from_utf8(count).ok());
        let Some(count) = count.and_then(|count| count.trim().parse::<usize>().ok()) else {
            return Err(format!("line {}: expected `{expected}` and a count, found `{}`", lines.number, shown(line)));
        };
        // A run has a digit, a tab, its words and a line end.
        if count > room / 4 {
            return Err(format!("it is cut off: {count} runs of {} words do not fit into it", counts.len() + 1));
        }
        counts.push(count);
    }
    match counts.len() {
        2..=MOST_WORDS => Ok(counts),
        order => Err(format!("it is of order {order}: expected 2 to {MOST_WORDS}")),
    }
}

/// A probability and a backoff.
type Numbers = [f32; 2];

/// A table that grows, like those of a model otherwise.
#[derive(Default)]
struct Growing {
    buckets: Vec<(u64, Numbers)>,
    used: usize,
}

impl Growing {
    fn of(entries: usize) -> Growing {
        Growing { buckets: vec![Default::default(); 2 + entries + entries / 2], used: 0 }
    }

    /// The bucket that holds a hash, or the free one where it would be.
    fn bucket(&self, hash: u64) -> usize {
        let mut bucket = (hash % self.buckets.len() as u64) as usize;
        while self.buckets[bucket].0 != hash && self.buckets[bucket].0 != 0 {
            bucket = if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 };
        }
        bucket
    }

    fn get(&mut self, hash: u64) -> Option<&mut Numbers> {
        let bucket = self.bucket(hash);
        (self.buckets[bucket].0 == hash).then(|| &mut self.buckets[bucket].1)
    }

    /// Puts numbers in, unless the hash is there: of a run that is there twice the first counts.
    fn insert(&mut self, hash: u64, numbers: Numbers) {
        if 5 * (self.used + 1) > 4 * self.buckets.len() {
            let mut larger = Growing::of(2 * self.used);
            for (hash, numbers) in self.buckets.iter().filter(|(hash, _)| *hash != 0) {
                larger.insert(*hash, *numbers);
            }
            *self = larger;
        }
        let bucket = self.bucket(hash);
        if self.buckets[bucket].0 != hash {
            self.used += 1;
            self.buckets[bucket] = (hash, numbers);
        }
    }
}

/// A model that is being made.
struct Making {
    vocabulary: Vocabulary,
    /// The vocabulary's buckets.
    bytes: Vec<u8>,
    ones: Vec<Numbers>,
    /// Runs from two words on, the longest too.
    longer: Vec<Growing>,
}

impl Making {
    fn of(counts: &[usize]) -> Making {
        let buckets = 2 + counts[0] + counts[0] / 2;
        Making {
            vocabulary: Vocabulary::Hashed { at: 0, buckets: buckets as u64, words: u32::MAX },
            bytes: vec![0; buckets * vocabulary::ENTRY],
            // The unknown word, which need not be there.
            ones: vec![[MISSING, 0.0]],
            longer: counts[1..].iter().map(|count| Growing::of(*count)).collect(),
        }
    }

    /// Takes a line: a probability, so many words, and perhaps a backoff.
    fn run(&mut self, line: &[u8], length: usize, order: usize, words: &mut Vec<Word>) -> Checked<()> {
        let mut parts = line.split(|byte| matches!(byte, b'\t' | b' ')).filter(|part| !part.is_empty());
        let log10 = number(parts.next().unwrap_or_default())?;
        if log10 > 0.0 {
            return Err(format!("a probability of 10^{log10}: expected one up to 1"));
        }
        // The sign tells where longer runs end with this one: see `hashed`.
        let log10 = f32::from_bits(log10.to_bits() | SIGN);
        let mut name: &[u8] = &[];
        words.clear();
        for _ in 0..length {
            let part = parts.next();
            name = part.ok_or_else(|| format!("expected {length} words, found {}", words.len()))?;
            if length > 1 {
                let word = self.vocabulary.find(&self.bytes, name);
                if word == Word::UNKNOWN && !vocabulary::is_unknown(name) {
                    return Err(format!("`{}` is not among its 1-grams", shown(name)));
                }
                words.push(word);
            }
        }
        let mut backoff = parts.next().map_or(Ok(0.0), number)?;
        if let Some(more) = parts.next() {
            return Err(format!("expected {length} words, found more: `{}`", shown(more)));
        }
        if backoff == 0.0 {
            // Until something is longer.
            backoff = -0.0;
        }
        if length == 1 {
            self.one(name, [log10, backoff]);
            return Ok(());
        }
        if length == order && backoff != 0.0 {
            return Err(format!("a backoff of {backoff}, and no run is longer"));
        }
        words.reverse();
        self.longer(words, [log10, backoff])
    }

    fn one(&mut self, name: &[u8], numbers: Numbers) {
        if vocabulary::is_unknown(name) {
            self.ones[0] = numbers;
            return;
        }
        let Vocabulary::Hashed { buckets, .. } = self.vocabulary else { return };
        let hash = vocabulary::hash(name);
        let mut bucket = (hash % buckets) as usize;
        let at = |bucket: usize| bucket * vocabulary::ENTRY;
        while self.bytes[at(bucket)..at(bucket) + 8] != [0; 8] {
            bucket = if bucket as u64 + 1 == buckets { 0 } else { bucket + 1 };
        }
        self.bytes[at(bucket)..at(bucket) + 8].copy_from_slice(&hash.to_le_bytes());
        self.bytes[at(bucket) + 8..at(bucket + 1)].copy_from_slice(&(self.ones.len() as u32).to_le_bytes());
        self.ones.push(numbers);
    }

    fn whole_vocabulary(&self) -> Checked<()> {
        for marker in ["<s>", "</s>"] {
            if self.vocabulary.find(&self.bytes, marker.as_bytes()) == Word::UNKNOWN {
                return Err(format!("`{marker}` is not among its 1-grams"));
            }
        }
        Ok(())
    }

    /// The numbers of a run, whose last word comes first.
    fn get(&mut self, words: &[Word]) -> Option<&mut Numbers> {
        match words {
            [] => None,
            [word] => self.ones.get_mut(word.0 as usize),
            _ => self.longer[words.len() - 2].get(hash(words)),
        }
    }

    /// Takes a run, whose last word comes first.
    fn longer(&mut self, words: &[Word], numbers: Numbers) -> Checked<()> {
        let length = words.len();
        self.longer[length - 2].insert(hash(words), numbers);
        // Some programs leave out the run without its first word. It is looked up on the way to this
        // one, so it gets what one would reckon for it.
        let mut known = length - 1;
        while known > 1 && self.get(&words[..known]).is_none() {
            known -= 1;
        }
        let found = self.get(&words[..known]).map_or(MISSING, |found| found[0]);
        let mut log10 = f32::from_bits(found.to_bits() | SIGN);
        for shorter in known..length - 1 {
            if let Some([_, backoff]) = self.get(&words[1..=shorter]) {
                continued(backoff);
                log10 += *backoff;
            }
            self.longer[shorter - 1].insert(hash(&words[..=shorter]), [log10, -0.0]);
        }
        for shorter in known..length {
            if let Some([log10, _]) = self.get(&words[..shorter]) {
                *log10 = f32::from_bits(log10.to_bits() & !SIGN);
            }
        }
        let Some([_, backoff]) = self.get(&words[1..]) else {
            let shorter = length - 1;
            return Err(format!("without its last word it must be among the {shorter}-grams, and is not"));
        };
        continued(backoff);
        Ok(())
    }

    fn finish(self, order: usize) -> Read {
        let mut bytes = self.bytes;
        let ones = bytes.len();
        bytes.extend(self.ones.iter().flatten().flat_map(|number| number.to_le_bytes()));
        let mut tables = Vec::new();
        for (length, table) in (2..).zip(self.longer) {
            tables.push(Table { at: bytes.len(), buckets: table.buckets.len() as u64 });
            let numbers = if length == order { 1 } else { 2 };
            for (hash, entry) in table.buckets {
                bytes.extend(hash.to_le_bytes());
                bytes.extend(entry[..numbers].iter().flat_map(|number| number.to_le_bytes()));
            }
        }
        // So that every entry can be read as eight bytes from its beginning.
        bytes.extend([0; 8]);
        let longest = tables.pop().unwrap_or(Table { at: 0, buckets: 0 });
        Read { bytes, order, vocabulary: self.vocabulary, hashed: Hashed { ones, longer: tables, longest } }
    }
}

/// Notes that a longer run begins with one.
fn continued(backoff: &mut f32) {
    if !is_continued(*backoff) {
        *backoff = 0.0;
    }
}

fn hash(words: &[Word]) -> u64 {
    let mut words = words.iter();
    let last = words.next().map_or(0, |word| u64::from(word.0));
    words.fold(last, |hash, word| hashed::with(hash, *word))
}

fn number(text: &[u8]) -> Checked<f32> {
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f32>().ok());
    value.filter(|value| value.is_finite()).ok_or_else(|| format!("expected a number, found `{}`", shown(text)))
}
