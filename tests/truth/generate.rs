//! Documents of made-up words, and others that came about from them. One seed, the same bytes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// SplitMix64: a number after the other, the same on every machine.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A number from `from` to `to`, both among them.
    pub fn within(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }

    /// Whether something happens that happens in so many of ten thousand cases.
    pub fn happens(&mut self, of_ten_thousand: usize) -> bool {
        self.below(10_000) < of_ten_thousand
    }
}

/// A word of the language, of another one, or a number.
type Word = u32;
const FOREIGN: Word = 1 << 24;
const NUMBER: Word = 1 << 25;

/// Words by how often they occur: that of rank r as often as 1 / (r + 2.7), after Zipf and Mandelbrot.
struct Language {
    sums: Vec<u64>,
}

const WORDS: usize = 40_000;

impl Language {
    fn new() -> Language {
        let mut sum = 0;
        // Whole numbers, so that every machine draws the same.
        let weights = (0..WORDS as u64).map(|rank| (1 << 40) / (10 * rank + 27));
        let sums = weights.map(|weight| {
            sum += weight;
            sum
        });
        Language { sums: sums.collect() }
    }

    fn word(&self, chance: &mut Chance) -> Word {
        if chance.happens(120) {
            return NUMBER + chance.below(3000) as Word;
        }
        let all = self.sums[WORDS - 1];
        let at = ((u128::from(chance.next()) * u128::from(all)) >> 64) as u64;
        self.sums.partition_point(|sum| *sum <= at) as Word
    }

    fn words(&self, chance: &mut Chance, count: usize) -> Vec<Word> {
        (0..count).map(|_| self.word(chance)).collect()
    }
}

/// How a word is spelled: syllables by its rank, the common ones short.
fn spell(word: Word, out: &mut String) {
    const CONSONANTS: [&str; 16] = ["t", "n", "s", "r", "l", "d", "m", "k", "p", "v", "b", "f", "g", "st", "tr", "h"];
    const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
    const FOREIGN_VOWELS: [&str; 5] = ["é", "ö", "ä", "y", "õ"];
    if word >= NUMBER {
        out.push_str(&(word - NUMBER).to_string());
        return;
    }
    let (vowels, mut left) = match word.checked_sub(FOREIGN) {
        Some(word) => (FOREIGN_VOWELS, word as usize),
        None => (VOWELS, word as usize),
    };
    loop {
        out.push_str(CONSONANTS[left % 16]);
        out.push_str(vowels[left / 16 % 5]);
        left /= 80;
        if left == 0 {
            break;
        }
        left -= 1;
    }
}

/// Words as sentences and paragraphs. Copies are set anew: commas and line ends are no words.
fn text_of(words: &[Word], chance: &mut Chance) -> String {
    let mut text = String::with_capacity(words.len() * 6);
    let (mut sentence, mut paragraph) = (chance.within(5, 25), chance.within(3, 8));
    let mut begins = true;
    for (at, word) in words.iter().enumerate() {
        let start = text.len();
        spell(*word, &mut text);
        if begins && let Some(first) = text[start..].chars().next() {
            let capital: String = first.to_uppercase().collect();
            text.replace_range(start..start + first.len_utf8(), &capital);
        }
        begins = false;
        sentence -= 1;
        if at + 1 == words.len() {
            text.push('.');
        } else if sentence == 0 {
            begins = true;
            paragraph -= 1;
            text.push_str(if chance.happens(1000) { "?" } else { "." });
            text.push_str(if paragraph == 0 { "\n\n" } else { " " });
            sentence = chance.within(5, 25);
            if paragraph == 0 {
                paragraph = chance.within(3, 8);
            }
        } else {
            text.push_str(if chance.happens(900) { ", " } else { " " });
        }
    }
    text
}

/// How many words documents have: from thirty to some thousands, few of them very many.
fn length(chance: &mut Chance) -> usize {
    // Shares of a hundred for 30 to 60 words, 60 to 120 and so on.
    const SHARES: [usize; 8] = [10, 16, 22, 22, 15, 9, 4, 2];
    let mut at = chance.below(100);
    for (octave, share) in SHARES.into_iter().enumerate() {
        if at < share {
            return chance.within(30 << octave, 60 << octave);
        }
        at -= share;
    }
    250
}

/// One document: what it is an example of, and its words.
struct Made {
    family: &'static str,
    /// In thousandths, how much of it was changed.
    changed: usize,
    words: Vec<Word>,
    /// The seed by which its words are set as sentences, if it is not a new one.
    set: Option<u64>,
}

/// Shares of words that edits change, in thousandths: from nothing to forty in a hundred, most of them
/// where copies are hardest to tell.
const EDITS: [usize; 16] = [0, 2, 5, 8, 12, 16, 20, 25, 30, 40, 60, 80, 120, 200, 300, 400];

/// Makes groups of documents that have something to do with each other; documents of two groups have
/// not.
struct Maker {
    chance: Chance,
    language: Language,
}

impl Maker {
    /// A group of documents.
    fn group(&mut self) -> Vec<Made> {
        let count = length(&mut self.chance);
        let base = self.language.words(&mut self.chance, count);
        match self.chance.below(100) {
            0..36 => vec![Made { family: "alone", changed: 0, words: base, set: None }],
            36..54 => self.derived("edits", base, Maker::edited),
            54..63 => self.derived("rewritten", base, Maker::rewritten),
            63..70 => self.derived("insertion", base, Maker::inserted),
            70..74 => self.derived("excerpt", base, Maker::cut),
            74..79 => self.chain(base),
            79..84 => self.headers(base),
            84..89 => self.site(),
            89..93 => self.template(),
            93..97 => self.copies(base),
            _ => self.short(),
        }
    }

    fn derived(
        &mut self,
        family: &'static str,
        base: Vec<Word>,
        change: impl Fn(&mut Maker, &[Word], usize) -> Vec<Word>,
    ) -> Vec<Made> {
        let mut group = Vec::new();
        for _ in 0..self.chance.within(1, 3) {
            let changed = EDITS[self.chance.below(EDITS.len())];
            group.push(Made { family, changed, words: change(self, &base, changed), set: None });
        }
        group.push(Made { family, changed: 0, words: base, set: None });
        group
    }

    /// Single words are others, here and there.
    fn edited(&mut self, base: &[Word], thousandths: usize) -> Vec<Word> {
        let mut words = base.to_vec();
        for word in &mut words {
            if self.chance.happens(10 * thousandths) {
                *word = self.language.word(&mut self.chance);
            }
        }
        words
    }

    /// One passage is another.
    fn rewritten(&mut self, base: &[Word], thousandths: usize) -> Vec<Word> {
        let passage = base.len() * thousandths / 1000;
        let from = self.chance.within(0, base.len() - passage);
        let mut words = base.to_vec();
        for word in &mut words[from..from + passage] {
            *word = self.language.word(&mut self.chance);
        }
        words
    }

    /// Some passages came in.
    fn inserted(&mut self, base: &[Word], thousandths: usize) -> Vec<Word> {
        let mut words = base.to_vec();
        let mut left = base.len() * thousandths / 1000;
        while left > 0 {
            let passage = self.chance.within(1, left.min(80));
            let at = self.chance.within(0, words.len());
            let new = self.language.words(&mut self.chance, passage);
            words.splice(at..at, new);
            left -= passage;
        }
        words
    }

    /// Beginning and end are missing.
    fn cut(&mut self, base: &[Word], thousandths: usize) -> Vec<Word> {
        let gone = (base.len() * thousandths / 1000).min(base.len() - 1);
        let from = self.chance.within(0, gone);
        base[from..base.len() - (gone - from)].to_vec()
    }

    /// Each is like the one before it, the last is not like the first.
    fn chain(&mut self, base: Vec<Word>) -> Vec<Made> {
        let mut group = vec![Made { family: "chain", changed: 0, words: base, set: None }];
        for step in 1..self.chance.within(3, 6) {
            let changed = self.chance.within(60, 105);
            let last = group[step - 1].words.clone();
            // Each step changes another passage, one after the other.
            let passage = last.len() * changed / 1000;
            let mut words = last;
            let from = ((step - 1) * words.len() / 6).min(words.len() - passage);
            for word in &mut words[from..from + passage] {
                *word = self.language.word(&mut self.chance);
            }
            group.push(Made { family: "chain", changed, words, set: None });
        }
        group
    }

    /// One text under headers in several languages.
    fn headers(&mut self, base: Vec<Word>) -> Vec<Made> {
        let header = self.chance.within(5, (base.len() / 3).min(80));
        let mut group = Vec::new();
        for number in 0..self.chance.within(2, 4) {
            let mut words = base.clone();
            let changed = if number == 0 { 0 } else { 1000 * header / base.len() };
            for word in words.iter_mut().take(if number == 0 { 0 } else { header }) {
                *word = FOREIGN + self.language.word(&mut self.chance) % NUMBER % WORDS as Word;
            }
            group.push(Made { family: "headers", changed, words, set: None });
        }
        group
    }

    /// Pages of one site: the same menu above and the same notice below, and something else between.
    fn site(&mut self) -> Vec<Made> {
        let (above, below) = (self.chance.within(20, 150), self.chance.within(20, 200));
        let above = self.language.words(&mut self.chance, above);
        let below = self.language.words(&mut self.chance, below);
        let pages = self.chance.within(3, 16);
        let page = |maker: &mut Maker| {
            let count = length(&mut maker.chance);
            let own = maker.language.words(&mut maker.chance, count);
            Made { family: "site", changed: 0, words: [&above[..], &own, &below].concat(), set: None }
        };
        (0..pages).map(|_| page(self)).collect()
    }

    /// Forms that are filled in: the same sentences around other names and numbers.
    fn template(&mut self) -> Vec<Made> {
        let count = self.chance.within(60, 240);
        let form = self.language.words(&mut self.chance, count);
        let mut gaps: Vec<usize> = (0..self.chance.within(2, 16)).map(|_| self.chance.below(count)).collect();
        gaps.sort_unstable();
        let mut group = Vec::new();
        for _ in 0..self.chance.within(5, 30) {
            let mut words = form.clone();
            for gap in &gaps {
                words[*gap] = match self.chance.happens(5000) {
                    true => NUMBER + self.chance.below(100_000) as Word,
                    false => self.language.word(&mut self.chance),
                };
            }
            group.push(Made { family: "template", changed: 1000 * gaps.len() / count, words, set: None });
        }
        group
    }

    /// The same words; half of them set alike.
    fn copies(&mut self, base: Vec<Word>) -> Vec<Made> {
        let set = self.chance.next();
        let copy = |maker: &mut Maker| {
            let set = maker.chance.happens(5000).then_some(set);
            Made { family: "copies", changed: 0, words: base.clone(), set }
        };
        (0..self.chance.within(2, 6)).map(|_| copy(self)).collect()
    }

    /// A few words: some of these are the same by chance.
    fn short(&mut self) -> Vec<Made> {
        let mut group = Vec::new();
        for _ in 0..8 {
            let count = self.chance.within(1, 9);
            let words = (0..count).map(|_| self.chance.below(6) as Word).collect();
            group.push(Made { family: "short", changed: 0, words, set: None });
        }
        group
    }
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub documents: u64,
    pub text_bytes: u64,
}

/// Fills a folder with so many pairs of pages of one template, in any order: all pages have most of
/// their words from it, the two of a pair differ in two or three words, and others in a passage of their
/// own and some gaps, so that they are not alike.
pub fn generate_crowd(folder: &Path, seed: u64, pairs: usize, files: usize) -> io::Result<Size> {
    let mut maker = Maker { chance: Chance::new(seed), language: Language::new() };
    let form = maker.language.words(&mut maker.chance, 170);
    let mut pages = Vec::new();
    for number in 0..pairs as u64 {
        let own = maker.chance.within(6, 8);
        let mut words = form.clone();
        words.splice(80..80, maker.language.words(&mut maker.chance, own));
        for gap in [30, 130] {
            words[gap] = maker.language.word(&mut maker.chance);
        }
        let mut twin = words.clone();
        for _ in 0..maker.chance.within(2, 3) {
            let at = maker.chance.below(twin.len());
            twin[at] = maker.language.word(&mut maker.chance);
        }
        for words in [words, twin] {
            pages.push((number, Made { family: "crowd", changed: 0, words, set: None }));
        }
    }
    let mut writing = Writing::new(folder, files)?;
    while !pages.is_empty() {
        let at = maker.chance.below(pages.len());
        let (group, made) = pages.swap_remove(at);
        writing.push(&mut maker.chance, group, made)?;
    }
    writing.end()
}

/// Raw files that are being written.
struct Writing {
    files: Vec<GzEncoder<BufWriter<File>>>,
    size: Size,
}

impl Writing {
    fn new(folder: &Path, count: usize) -> io::Result<Writing> {
        fs::create_dir_all(folder)?;
        let mut files = Vec::new();
        for number in 0..count {
            let file = File::create(folder.join(format!("c4-truth.{number:05}.json.gz")))?;
            files.push(GzEncoder::new(BufWriter::new(file), Compression::fast()));
        }
        Ok(Writing { files, size: Size { documents: 0, text_bytes: 0 } })
    }

    /// A document, into any of the files.
    fn push(&mut self, chance: &mut Chance, group: u64, made: Made) -> io::Result<()> {
        let Made { family, changed, words, set } = made;
        let set = set.unwrap_or_else(|| chance.next());
        let text = text_of(&words, &mut Chance::new(set));
        self.size.documents += 1;
        self.size.text_bytes += text.len() as u64;
        let url = format!("https://truth.example/{family}/{group}/{changed}");
        let record = serde_json::json!({ "text": text, "timestamp": "2019-04-25T12:57:54Z", "url": url });
        let to = chance.below(self.files.len());
        writeln!(self.files[to], "{record}")
    }

    fn end(self) -> io::Result<Size> {
        for file in self.files {
            file.finish()?.flush()?;
        }
        Ok(self.size)
    }
}

/// Fills a folder with records of C4 in gzipped files, until there are so many bytes of text. The
/// address of each tells its family, its group and how much of it was changed, in thousandths.
pub fn generate(folder: &Path, seed: u64, text_bytes: u64, files: usize) -> io::Result<Size> {
    let mut writing = Writing::new(folder, files)?;
    let mut maker = Maker { chance: Chance::new(seed), language: Language::new() };
    let mut number = 0u64;
    // Documents of a group lie apart, in any order; those that are left in the end are left out.
    let apart = (text_bytes / 20_000).clamp(50, 2000) as usize;
    let mut waiting: Vec<(u64, Made)> = Vec::new();
    loop {
        let more = writing.size.text_bytes < text_bytes;
        while more && waiting.len() < apart {
            waiting.extend(maker.group().into_iter().map(|made| (number, made)));
            number += 1;
        }
        if waiting.is_empty() || !more {
            break;
        }
        let at = maker.chance.below(waiting.len());
        let (group, made) = waiting.swap_remove(at);
        writing.push(&mut maker.chance, group, made)?;
    }
    writing.end()
}
