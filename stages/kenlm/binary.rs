//! KenLM's binary files: a header, the vocabulary, the tables, and often the words themselves.
//!
//! Nothing says where a part lies: each is as long as the counts of runs make it.

use super::hashed::{self, Hashed, Table};
use super::numbers::{bits_for, f32_at, mask, u32_at, u64_at};
use super::trie::{self, Bits, Level, Next, Numbers, Trie, Upper};
use super::vocabulary::{self, Vocabulary};
use super::{Checked, MOST_WORDS, Search};

/// What a model is made of.
pub struct Layout {
    pub order: usize,
    pub vocabulary: Vocabulary,
    pub search: Search,
}

const BEGINS: &[u8] = b"mmap lm http://kheafield.com/code";
const UNFINISHED: &[u8] = b"mmap lm http://kheafield.com/code incomplete\n";
const VERSION: &[u8] = b"mmap lm http://kheafield.com/code format version ";
const KNOWN: &[u8] = b"mmap lm http://kheafield.com/code format version 5\n\0";
/// Where numbers stand that are written alike on machines of one kind: 0, 1, -1/2, a word of 1, the
/// greatest word, and a long 1.
const SANITY: usize = 56;
/// Where it says what kind of model it is.
const KIND: usize = 88;
/// Where the counts of runs stand, by their length.
const COUNTS: usize = 108;
/// More of anything than a file can hold.
const MOST: u64 = 1 << 56;

const PROBING: u32 = 0;
const REST_PROBING: u32 = 1;
const TRIE: u32 = 2;
const QUANTISED_TRIE: u32 = 3;
const ARRAY_TRIE: u32 = 4;
const QUANTISED_ARRAY_TRIE: u32 = 5;

/// Whether a file is one of KenLM's binary files, whatever its state.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGINS)
}

/// Where everything in a file lies.
pub fn layout(bytes: &[u8]) -> Checked<Layout> {
    let cut = || "it is cut off in its header".to_owned();
    if bytes.starts_with(UNFINISHED) {
        return Err("whoever built it did not finish".to_owned());
    }
    if !bytes.starts_with(KNOWN) {
        let version: String = String::from_utf8_lossy(bytes.get(VERSION.len()..).unwrap_or_default())
            .chars()
            .take_while(char::is_ascii_digit)
            .take(9)
            .collect();
        return Err(match version.as_str() {
            "" | "5" => "its header is damaged: expected `format version 5`".to_owned(),
            other => format!("it is of format version {other}, and 5 is known: build it again from its ARPA file"),
        });
    }
    let mut expected = Vec::new();
    for number in [0.0f32, 1.0, -0.5] {
        expected.extend(number.to_le_bytes());
    }
    expected.extend([1u32, u32::MAX, 0].map(u32::to_le_bytes).concat());
    expected.extend(1u64.to_le_bytes());
    if bytes.get(SANITY..SANITY + expected.len()).ok_or_else(cut)? != expected {
        return Err("it was built on a machine that writes numbers otherwise, or its header is damaged".to_owned());
    }
    let order = usize::from(*bytes.get(KIND).ok_or_else(cut)?);
    if !(2..=MOST_WORDS).contains(&order) {
        return Err(format!("it is of order {order}: expected 2 to {MOST_WORDS}"));
    }
    let multiplier = f32_at(bytes, KIND + 4).ok_or_else(cut)?;
    let kind = u32_at(bytes, KIND + 8).ok_or_else(cut)?;
    let has_words = *bytes.get(KIND + 12).ok_or_else(cut)? != 0;
    let version = u32_at(bytes, KIND + 16).ok_or_else(cut)?;
    let mut counts = Vec::with_capacity(order);
    for length in 0..order {
        let count = u64_at(bytes, COUNTS + 8 * length).ok_or_else(cut)?;
        if count >= MOST || length == 0 && count >= u64::from(u32::MAX) {
            return Err(format!("its header speaks of {count} runs of {} words: it is damaged", length + 1));
        }
        counts.push(count);
    }
    let mut file = File { bytes, at: (COUNTS + 8 * order).next_multiple_of(8) };
    let (vocabulary, search) = match kind {
        PROBING => probing(&mut file, &counts, multiplier, version)?,
        TRIE | QUANTISED_TRIE | ARRAY_TRIE | QUANTISED_ARRAY_TRIE => {
            let quantised = matches!(kind, QUANTISED_TRIE | QUANTISED_ARRAY_TRIE);
            let array = matches!(kind, ARRAY_TRIE | QUANTISED_ARRAY_TRIE);
            packed(&mut file, &counts, quantised, array, version)?
        }
        REST_PROBING => {
            return Err("it is of a kind for decoders, with costs of rests: expected one that scores".into());
        }
        other => return Err(format!("it is of kind {other}, and 0 to 5 are known")),
    };
    let words = match &vocabulary {
        Vocabulary::Hashed { words, .. } => u64::from(*words),
        Vocabulary::Sorted { words, .. } => words + 1,
    };
    file.end(has_words, words)?;
    Ok(Layout { order, vocabulary, search })
}

/// A file, laid out from its beginning to its end.
struct File<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl File<'_> {
    /// Where the next part of so many bytes lies.
    fn part(&mut self, length: Option<u64>, what: &str) -> Checked<usize> {
        let at = self.at;
        let end = length.and_then(|length| usize::try_from(length).ok()).and_then(|length| at.checked_add(length));
        match end.filter(|end| *end <= self.bytes.len()) {
            Some(end) => {
                self.at = end;
                Ok(at)
            }
            None => {
                let wants = end.map_or("more than a file can have".to_owned(), |end| format!("at least {end}"));
                let has = self.bytes.len();
                Err(format!("it is cut off in {what}: it has {has} bytes, and its header asks for {wants}"))
            }
        }
    }

    /// The words, which nobody needs to score a text, tell whether the file is whole.
    fn end(&self, has_words: bool, words: u64) -> Checked<()> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !has_words {
            return Ok(());
        }
        if !rest.starts_with(b"<unk>\0") {
            return Err("its words do not stand where its header puts them: it is damaged or cut off".to_owned());
        }
        let found = memchr::memchr_iter(0, rest).count() as u64;
        if found != words || rest.last() != Some(&0) {
            return Err(format!("it is cut off in its words: {found} of {words} are there"));
        }
        Ok(())
    }
}

/// How many buckets a table of so many entries has.
fn buckets(entries: u64, multiplier: f32) -> u64 {
    // In single precision, as KenLM reckons it.
    (entries + 1).max((multiplier * entries as f32) as u64)
}

fn probing(file: &mut File, counts: &[u64], multiplier: f32, version: u32) -> Checked<(Vocabulary, Search)> {
    if version != 0 {
        return Err(format!("its hash tables are of version {version}, and 0 is known"));
    }
    if !(1.0..=1e6).contains(&multiplier) {
        return Err(format!("its tables have {multiplier} buckets for each entry: its header is damaged"));
    }
    let head = file.part(Some(8), "its vocabulary")?;
    let (version, words) = (u32_at(file.bytes, head), u32_at(file.bytes, head + 4));
    let (Some(0), Some(words)) = (version, words) else {
        return Err("its vocabulary is of a version that is not known: expected 0".to_owned());
    };
    if u64::from(words) > counts[0] + 1 {
        return Err(format!("it has {words} words, and its header speaks of {}", counts[0]));
    }
    let table = |file: &mut File, entries: u64, each: usize, what: &str| {
        let buckets = buckets(entries, multiplier);
        Checked::Ok(Table { at: file.part(buckets.checked_mul(each as u64), what)?, buckets })
    };
    let Table { at, buckets } = table(file, counts[0], vocabulary::ENTRY, "its vocabulary")?;
    // One more, in case the unknown word is not counted.
    let ones = file.part(Some((counts[0] + 1) * hashed::ONE as u64), "its words")?;
    let mut longer = Vec::new();
    for (count, length) in counts[1..counts.len() - 1].iter().zip(2..) {
        longer.push(table(file, *count, hashed::LONGER, &format!("its runs of {length} words"))?);
    }
    let longest = table(file, counts[counts.len() - 1], hashed::LONGEST, "its longest runs")?;
    let search = Hashed { ones, longer, longest };
    Ok((Vocabulary::Hashed { at, buckets, words }, Search::Hashed(search)))
}

fn packed(
    file: &mut File,
    counts: &[u64],
    quantised: bool,
    array: bool,
    version: u32,
) -> Checked<(Vocabulary, Search)> {
    if version != 1 {
        return Err(format!("its trie is of version {version}, and 1 is known"));
    }
    let words = counts[0];
    let vocabulary = file.part((words + 1).checked_mul(8), "its vocabulary")?;
    let known = u64_at(file.bytes, vocabulary).unwrap_or(0);
    if known >= words.max(1) {
        return Err(format!("it has {known} words beside the unknown one, and its header speaks of {words} in all"));
    }
    let bins = if quantised { Some(bins(file, counts.len())?) } else { None };
    // One more for the end of the last word's runs, and one in case the unknown word is not counted.
    let ones = file.part(Some((words + 2) * trie::ONE as u64), "its words")?;
    // Only the first compressed level says how its pointers are cut.
    let most_cut = match array && counts.len() > 2 {
        true => match file.bytes.get(file.at..file.at + 2) {
            Some([0, bits]) => u32::from(*bits),
            Some([version, _]) => return Err(format!("its pointers are of version {version}, and 0 is known")),
            _ => return Err("it is cut off in its runs of 2 words".to_owned()),
        },
        false => 0,
    };
    let mut longer = Vec::new();
    for place in 1..counts.len() - 1 {
        let cut = array.then(|| cut(counts[place] + 1, counts[place + 1], most_cut));
        let numbers = bins.as_ref().map(|bins| bins.longer(place - 1));
        longer.push(level(file, words, (counts[place], place + 1), numbers, Some((counts[place + 1], cut)))?);
    }
    let last = counts.len() - 1;
    let numbers = bins.as_ref().map(Bins::longest);
    let longest = level(file, words, (counts[last], last + 1), numbers, None)?;
    let search = Trie { ones, words, longer, longest };
    Ok((Vocabulary::Sorted { at: vocabulary + 8, words: known }, Search::Trie(search)))
}

/// One level: its entries, how its numbers are written, and the number of runs on the next level, with
/// how many bits its pointers keep elsewhere.
fn level(
    file: &mut File,
    words: u64,
    (entries, length): (u64, usize),
    numbers: Option<Centres>,
    next: Option<(u64, Option<u32>)>,
) -> Checked<Level> {
    let what = format!("its runs of {length} words");
    let word_bits = bits_for(words);
    let upper = match next {
        Some((most, Some(cut))) => {
            let count = (most >> (bits_for(most) - cut)) + 1;
            let whole =
                count.checked_add(1).and_then(|count| count.checked_mul(8)).and_then(|bytes| bytes.checked_add(7));
            let at = file.part(whole, &what)?;
            // The list begins at an address that eight divides, after its own header of eight bytes.
            Some((Upper { at: at.next_multiple_of(8) + 8, count }, cut))
        }
        _ => None,
    };
    let next_bits = next.map_or(0, |(most, cut)| bits_for(most) - cut.unwrap_or(0));
    let from = u64::from(word_bits);
    let (numbers, number_bits) = match numbers {
        Some(centres) => {
            let backoff_bits = if next.is_some() { centres.backoff_bits } else { 0 };
            let backoff = Bits { from, mask: mask(backoff_bits) };
            let log10 = Bits { from: from + u64::from(backoff_bits), mask: mask(centres.log10_bits) };
            let (log10_bins, backoff_bins) = (centres.log10_at, centres.backoff_at);
            (Numbers::Quantised { log10, backoff, log10_bins, backoff_bins }, backoff_bits + centres.log10_bits)
        }
        None => (Numbers::Whole { from }, if next.is_some() { 63 } else { 31 }),
    };
    let width = u64::from(word_bits + number_bits + next_bits);
    // One entry more for the end of the last one's runs, and eight bytes so that each number can be
    // read as eight.
    let bits = (entries + 1).checked_mul(width).and_then(|bits| bits.checked_add(7));
    let at = file.part(bits.and_then(|bits| (bits / 8).checked_add(8)), &what)?;
    let next = next.map(|_| Next {
        bits: Bits { from: from + u64::from(number_bits), mask: mask(next_bits) },
        width: next_bits,
        upper: upper.map(|(upper, _)| upper),
    });
    Ok(Level { at, entries, word: Bits { from: 0, mask: mask(word_bits) }, numbers, next, width })
}

/// How many bits of pointers are kept elsewhere: as many as make the file smallest, at most so many.
fn cut(entries: u64, most: u64, at_most: u32) -> u32 {
    let needed = bits_for(most);
    let mut best = (i128::MAX, 0);
    for cut in 0..=needed.min(at_most) {
        let list = i128::from(most.checked_shr(needed - cut).unwrap_or(0)) * 64;
        let change = list - i128::from(entries) * i128::from(cut);
        if change < best.0 {
            best = (change, cut);
        }
    }
    best.1
}

/// The centres of bins by which numbers are quantised, one list after the other.
struct Bins {
    at: usize,
    log10_bits: u32,
    backoff_bits: u32,
    order: usize,
}

/// Where the centres of one length of runs lie.
struct Centres {
    log10_at: usize,
    backoff_at: usize,
    log10_bits: u32,
    backoff_bits: u32,
}

fn bins(file: &mut File, order: usize) -> Checked<Bins> {
    let what = "the centres of its bins";
    let head = file.part(Some(8), what)?;
    let [version, log10_bits, backoff_bits] = [0, 1, 2].map(|place| u32::from(file.bytes[head + place]));
    if version != 2 {
        return Err(format!("its numbers are quantised in version {version}, and 2 is known"));
    }
    if !(1..=25).contains(&log10_bits) || !(1..=25).contains(&backoff_bits) {
        return Err(format!("its numbers have {log10_bits} and {backoff_bits} bits: expected 1 to 25"));
    }
    let (log10, backoff) = (4u64 << log10_bits, 4u64 << backoff_bits);
    let at = file.part(Some((order as u64 - 2) * (log10 + backoff) + log10), what)?;
    Ok(Bins { at, log10_bits, backoff_bits, order })
}

impl Bins {
    fn longer(&self, level: usize) -> Centres {
        let (log10, backoff) = (4usize << self.log10_bits, 4usize << self.backoff_bits);
        let log10_at = self.at + level * (log10 + backoff);
        let (log10_bits, backoff_bits) = (self.log10_bits, self.backoff_bits);
        Centres { log10_at, backoff_at: log10_at + log10, log10_bits, backoff_bits }
    }

    fn longest(&self) -> Centres {
        self.longer(self.order - 2)
    }
}
