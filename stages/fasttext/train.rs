//! A supervised model from texts with labels, as Facebook's program trains it with one thread.
//!
//! The trainer is ours because the bytes of a model must not depend on who made it: published ones
//! let threads race, or add up in an order that the processor decides, and read a file in which
//! somebody else has put the texts into an order. Here the order is that of the texts' digests with
//! a seed, all sums have one order, and a word that a text has often is looked up once. The
//! arithmetic is fastText's: the mean of the rows of a text, softmax, one step of gradient descent
//! for each text, a rate that falls evenly to nothing.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use corpus::Digest;

use super::dictionary::{END_OF_LINE, Hash, LABEL, words_of};
use super::{MAGIC, SUPERVISED, VERSION, one_line};

/// How a model learns. The defaults are those of `fasttext supervised`, with which the original's
/// model was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// How far a step goes at first.
    pub rate: f64,
    /// Numbers in a row.
    pub dimensions: usize,
    /// How often each text is seen.
    pub epochs: u32,
    /// The longest run of words that has a row.
    pub word_ngrams: usize,
    /// Words seen less often are left out.
    pub min_count: u64,
    /// The shortest run of letters that has a row.
    pub shortest: usize,
    /// The longest; 0 for no runs of letters.
    pub longest: usize,
    /// Rows that all runs share.
    pub buckets: u32,
    /// The most words that have rows, the most frequent first: what bounds the model.
    pub max_words: usize,
    /// What decides the first rows and the order of texts.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Training {
            rate: 0.1,
            dimensions: 100,
            epochs: 5,
            word_ngrams: 1,
            min_count: 1,
            shortest: 0,
            longest: 0,
            buckets: 2_000_000,
            // Ours: rows of 100 numbers in 800 MB.
            max_words: 2_000_000,
            seed: 0,
        }
    }
}

impl Training {
    fn has_buckets(&self) -> bool {
        self.word_ngrams > 1 || self.longest > 0
    }
}

/// What became of the texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Texts of each label that were learned from.
    pub texts: Vec<u64>,
    /// Words with rows.
    pub words: usize,
    /// Words read, the ends of texts included.
    pub tokens: u64,
    /// The mean loss of the last epoch, in nats.
    pub loss: f64,
    /// Whether learning diverged: a number of the model is infinite or none, and nobody can use it.
    pub diverged: bool,
}

/// A run of letters or words, rather than a word.
const BUCKET: u32 = 1 << 31;
/// A word that has no row.
const NONE: u32 = u32::MAX;

/// A text that was read, and where its words are.
struct Example {
    order: [u64; 2],
    label: u32,
    at: u64,
    tokens: u32,
    length: u32,
}

/// Reads texts, then trains.
pub struct Trainer<F> {
    training: Training,
    labels: Vec<String>,
    words: HashMap<Box<[u8]>, u32>,
    seen: u32,
    /// Words by number, while they are in the table: how often they were seen.
    counts: Vec<u32>,
    examples: Vec<Example>,
    spool: F,
    end: u64,
}

impl<F: Read + Write + Seek> Trainer<F> {
    /// A trainer for texts of these labels; what it reads goes to `spool`, an empty file.
    pub fn new(training: Training, labels: &[&str], spool: F) -> Trainer<F> {
        Trainer {
            training,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            words: HashMap::new(),
            seen: 0,
            counts: Vec::new(),
            examples: Vec::new(),
            spool,
            end: 0,
        }
    }

    /// Takes a text with the number of its label. 24 bytes of each stay in memory, and the words
    /// that it adds.
    pub fn learn(&mut self, text: &str, label: usize) -> io::Result<()> {
        let digest = Digest::of(text.as_bytes()).0;
        let mut rows = Vec::with_capacity(text.len() / 4 + 2);
        let mut hashes = Vec::new();
        let mut tokens = 0;
        let line = one_line(text);
        for word in words_of(line.as_bytes()).chain([END_OF_LINE]) {
            tokens += 1;
            let is_end = word == END_OF_LINE;
            if !word.starts_with(LABEL.as_bytes()) {
                rows.push(self.number(word));
                if self.training.longest > 0 && !is_end {
                    self.runs_of_letters(word, &mut rows);
                }
                if self.training.word_ngrams > 1 {
                    hashes.push(Hash::of(word).0 as i32);
                }
            }
            if is_end {
                break;
            }
        }
        for (at, first) in hashes.iter().enumerate() {
            let mut hash = i64::from(*first) as u64;
            for next in hashes[at + 1..].iter().take(self.training.word_ngrams - 1) {
                hash = hash.wrapping_mul(116_049_371).wrapping_add(i64::from(*next) as u64);
                rows.push(BUCKET | (hash % u64::from(self.training.buckets)) as u32);
            }
        }
        self.write(&rows)?;
        let half = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| digest[at + byte]));
        self.examples.push(Example {
            order: [mixed(half(0) ^ mixed(self.training.seed)), half(8)],
            label: label as u32,
            at: self.end,
            tokens,
            length: rows.len() as u32,
        });
        self.end += 4 * rows.len() as u64;
        if self.words.len() > self.training.max_words.saturating_mul(4) {
            self.forget();
        }
        Ok(())
    }

    fn number(&mut self, word: &[u8]) -> u32 {
        if let Some(number) = self.words.get(word) {
            self.counts[*number as usize] = self.counts[*number as usize].saturating_add(1);
            return *number;
        }
        let number = self.seen;
        // Two thousand million words that nobody has seen before are more than a corpus has.
        self.seen = (self.seen + 1).min(BUCKET - 1);
        self.counts.push(1);
        self.words.insert(word.into(), number);
        number
    }

    /// Forgets the rarest words, so that the table stays bounded; their numbers mean nothing then.
    fn forget(&mut self) {
        let most = self.training.max_words.saturating_mul(2);
        let mut least = 1;
        while self.words.len() > most && least < u32::MAX {
            least += 1;
            let counts = &self.counts;
            self.words.retain(|_, number| counts[*number as usize] >= least);
        }
    }

    fn runs_of_letters(&self, word: &[u8], rows: &mut Vec<u32>) {
        let framed = [b"<", word, b">"].concat();
        let starts: Vec<usize> = (0..framed.len()).filter(|at| framed[*at] & 0xC0 != 0x80).collect();
        for (first, start) in starts.iter().enumerate() {
            for letters in self.training.shortest..=self.training.longest {
                let end = match first + letters {
                    past if past > starts.len() => break,
                    last if last == starts.len() => framed.len(),
                    next => starts[next],
                };
                let bracket = letters == 1 && (*start == 0 || end == framed.len());
                if letters > 0 && !bracket {
                    rows.push(BUCKET | (Hash::of(&framed[*start..end]).0 % self.training.buckets));
                }
            }
        }
    }

    fn write(&mut self, rows: &[u32]) -> io::Result<()> {
        let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
        self.spool.write_all(&bytes)
    }

    fn read(&mut self, at: u64, length: u32, into: &mut Vec<u32>) -> io::Result<()> {
        let mut bytes = vec![0; 4 * length as usize];
        self.spool.seek(SeekFrom::Start(at))?;
        self.spool.read_exact(&mut bytes)?;
        into.clear();
        into.extend(bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])));
        Ok(())
    }

    /// How many texts of each label were read.
    pub fn texts(&self) -> Vec<u64> {
        let mut texts = vec![0; self.labels.len()];
        self.examples.iter().for_each(|example| texts[example.label as usize] += 1);
        texts
    }

    /// Trains on at most so many texts of each label, drawn by the seed, and writes the model.
    pub fn finish(mut self, most: Option<u64>, out: &mut impl Write) -> io::Result<Trained> {
        let training = self.training;
        let mut examples = std::mem::take(&mut self.examples);
        examples.sort_unstable_by_key(|example| (example.order, example.label, example.at));
        let mut texts = vec![0; self.labels.len()];
        examples.retain(|example| {
            let taken = &mut texts[example.label as usize];
            let takes = most.is_none_or(|most| *taken < most);
            *taken += u64::from(takes);
            takes
        });
        self.spool.flush()?;

        // Words are counted in what is learned from.
        let mut counts = vec![0u64; self.counts.len()];
        self.counts = Vec::new();
        let mut rows = Vec::new();
        for example in &examples {
            self.read(example.at, example.length, &mut rows)?;
            rows.iter().filter(|row| **row & BUCKET == 0).for_each(|word| counts[*word as usize] += 1);
        }
        let mut words: Vec<(Box<[u8]>, u32)> = std::mem::take(&mut self.words).into_iter().collect();
        words.retain(|(_, number)| counts[*number as usize] >= training.min_count.max(1));
        words.sort_unstable_by(|(one, a), (other, b)| {
            counts[*b as usize].cmp(&counts[*a as usize]).then_with(|| one.cmp(other))
        });
        words.truncate(training.max_words);
        let mut row_of = vec![NONE; counts.len()];
        for (row, (_, number)) in words.iter().enumerate() {
            row_of[*number as usize] = row as u32;
        }

        // What the epochs read: the rows of each text, with how often it has each, in their order.
        let ordered = self.end;
        let mut at = ordered;
        for example in &mut examples {
            self.read(example.at, example.length, &mut rows)?;
            let mut found: Vec<u32> = rows
                .iter()
                .filter_map(|row| match row & BUCKET {
                    0 => Some(row_of[*row as usize]).filter(|row| *row != NONE),
                    _ => Some(words.len() as u32 + (row & !BUCKET)),
                })
                .collect();
            found.sort_unstable();
            let counted: Vec<u32> =
                found.chunk_by(|a, b| a == b).flat_map(|same| [same[0], same.len() as u32]).collect();
            self.spool.seek(SeekFrom::Start(at))?;
            self.write(&counted)?;
            (example.at, example.length) = (at, counted.len() as u32);
            at += 4 * counted.len() as u64;
        }
        self.spool.flush()?;

        let buckets = if training.has_buckets() { training.buckets as usize } else { 0 };
        let mut weights = Weights::new(&training, words.len() + buckets, self.labels.len());
        let tokens: u64 = examples.iter().map(|example| u64::from(example.tokens)).sum();
        // fastText counts labels among the words that it has read.
        let all = (u64::from(training.epochs) * (tokens + examples.len() as u64)).max(1) as f64;
        let mut done = 0u64;
        let mut loss = 0.0;
        for _ in 0..training.epochs {
            loss = 0.0;
            for example in &examples {
                let rate = training.rate * (1.0 - done as f64 / all);
                self.read(example.at, example.length, &mut rows)?;
                loss += weights.step(&rows, example.label as usize, rate as f32);
                done += u64::from(example.tokens) + 1;
            }
        }

        let labels = by_count(&self.labels, &texts);
        let entries = words.iter().map(|(word, number)| (&**word, counts[*number as usize]));
        write_head(&training, entries, &labels, tokens + examples.len() as u64, buckets, out)?;
        write_matrix(&weights.input, training.dimensions, out)?;
        let output: Vec<f32> = labels.iter().flat_map(|(label, ..)| weights.output_row(*label).to_vec()).collect();
        write_matrix(&output, training.dimensions, out)?;
        let learned = examples.len().max(1) as f64;
        let diverged = !weights.input.iter().chain(&weights.output).all(|number| number.is_finite());
        Ok(Trained { texts, words: words.len(), tokens, loss: loss / learned, diverged })
    }
}

/// Labels as a model has them: the most frequent first, with their numbers here.
fn by_count<'l>(labels: &'l [String], texts: &[u64]) -> Vec<(usize, &'l str, u64)> {
    let mut sorted: Vec<(usize, &str, u64)> =
        labels.iter().zip(texts).enumerate().map(|(number, (label, count))| (number, label.as_str(), *count)).collect();
    sorted.sort_by_key(|(number, _, count)| (std::cmp::Reverse(*count), *number));
    sorted
}

/// The numbers that are learned.
struct Weights {
    dimensions: usize,
    input: Vec<f32>,
    output: Vec<f32>,
    hidden: Vec<f32>,
    gradient: Vec<f32>,
    scores: Vec<f32>,
}

impl Weights {
    fn new(training: &Training, rows: usize, labels: usize) -> Weights {
        let dimensions = training.dimensions;
        let most = 1.0 / dimensions as f64;
        let input = (0..(rows * dimensions) as u64).map(|at| {
            let share = (mixed(at ^ mixed(!training.seed)) >> 11) as f64 / (1u64 << 53) as f64;
            ((2.0 * share - 1.0) * most) as f32
        });
        Weights {
            dimensions,
            input: input.collect(),
            output: vec![0.0; labels * dimensions],
            hidden: vec![0.0; dimensions],
            gradient: vec![0.0; dimensions],
            scores: vec![0.0; labels],
        }
    }

    fn output_row(&self, label: usize) -> &[f32] {
        &self.output[label * self.dimensions..][..self.dimensions]
    }

    /// Learns from one text: its rows with how often it has each. Gives the loss before.
    fn step(&mut self, rows: &[u32], label: usize, rate: f32) -> f64 {
        let found: f32 = rows.chunks_exact(2).map(|row| row[1] as f32).sum();
        if found == 0.0 {
            return 0.0;
        }
        let dimensions = self.dimensions;
        self.hidden.fill(0.0);
        for row in rows.chunks_exact(2) {
            add(&mut self.hidden, &self.input[row[0] as usize * dimensions..][..dimensions], row[1] as f32);
        }
        self.hidden.iter_mut().for_each(|value| *value /= found);

        let outputs = self.output.chunks_exact(dimensions);
        self.scores.iter_mut().zip(outputs).for_each(|(score, row)| *score = dot(row, &self.hidden));
        let highest = self.scores.iter().copied().fold(f32::MIN, f32::max);
        // In double precision, where the libraries of different systems round alike.
        self.scores.iter_mut().for_each(|score| *score = f64::from(*score - highest).exp() as f32);
        let sum: f32 = self.scores.iter().sum();
        self.scores.iter_mut().for_each(|score| *score /= sum);

        self.gradient.fill(0.0);
        for (number, row) in self.output.chunks_exact_mut(dimensions).enumerate() {
            let step = rate * (f32::from(u8::from(number == label)) - self.scores[number]);
            add(&mut self.gradient, row, step);
            add(row, &self.hidden, step);
        }
        for row in rows.chunks_exact(2) {
            let times = row[1] as f32 / found;
            add(&mut self.input[row[0] as usize * dimensions..][..dimensions], &self.gradient, times);
        }
        -f64::from(self.scores[label]).max(1e-10).ln()
    }
}

fn add(to: &mut [f32], row: &[f32], times: f32) {
    to.iter_mut().zip(row).for_each(|(to, value)| *to += times * value);
}

/// Eight sums side by side, whatever the processor has.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in one.chunks(8).zip(other.chunks(8)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

/// Mixes the bits of a number, as splitmix64 ends.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// What a model's file says before its numbers: options, words, labels.
fn write_head<'w>(
    training: &Training,
    words: impl ExactSizeIterator<Item = (&'w [u8], u64)>,
    labels: &[(usize, &str, u64)],
    tokens: u64,
    buckets: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    const SOFTMAX: i32 = 3;
    // Options that training with softmax does not look at have fastText's defaults.
    let (window, negatives, rate_updates, sampling) = (5, 5, 100, 1e-4f64);
    let head = [
        MAGIC,
        VERSION,
        training.dimensions as i32,
        window,
        training.epochs as i32,
        training.min_count as i32,
        negatives,
        training.word_ngrams as i32,
        SOFTMAX,
        SUPERVISED,
        buckets as i32,
        training.shortest as i32,
        training.longest as i32,
        rate_updates,
    ];
    head.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))?;
    out.write_all(&sampling.to_le_bytes())?;
    let sizes = [words.len() + labels.len(), words.len(), labels.len()];
    sizes.iter().try_for_each(|size| out.write_all(&(*size as i32).to_le_bytes()))?;
    out.write_all(&(tokens as i64).to_le_bytes())?;
    let not_pruned = -1i64;
    out.write_all(&not_pruned.to_le_bytes())?;
    let mut entry = |name: &[u8], count: u64, kind: u8| {
        out.write_all(name)?;
        out.write_all(&[0])?;
        out.write_all(&(count as i64).to_le_bytes())?;
        out.write_all(&[kind])
    };
    for (word, count) in words {
        entry(word, count, 0)?;
    }
    for (_, label, count) in labels {
        entry(format!("{LABEL}{label}").as_bytes(), *count, 1)?;
    }
    Ok(())
}

/// A matrix of whole numbers, after saying that it is not quantised.
fn write_matrix(numbers: &[f32], columns: usize, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0])?;
    out.write_all(&((numbers.len() / columns) as i64).to_le_bytes())?;
    out.write_all(&(columns as i64).to_le_bytes())?;
    numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fasttext::Model;

    const GOOD: [&str; 4] =
        ["the tide is out", "the sea is grey and wide", "a ship came in with the tide", "the tide came\nin"];
    const BAD: [&str; 4] = ["buy now cheap", "cheap pills buy now", "click here now", "now buy now click"];

    fn small() -> Training {
        Training { dimensions: 6, epochs: 60, rate: 0.5, ..Training::default() }
    }

    fn trained(training: Training, reverse: bool) -> (Vec<u8>, Trained) {
        let mut trainer = Trainer::new(training, &["wiki", "cc"], io::Cursor::new(Vec::new()));
        let mut texts: Vec<(&str, usize)> = GOOD.map(|text| (text, 0)).into_iter().chain(BAD.map(|t| (t, 1))).collect();
        if reverse {
            texts.reverse();
        }
        texts.iter().for_each(|(text, label)| trainer.learn(text, *label).unwrap());
        let mut model = Vec::new();
        let told = trainer.finish(None, &mut model).unwrap();
        (model, told)
    }

    fn says(model: &[u8], text: &str) -> String {
        let model = Model::from_bytes(model, "m".as_ref()).unwrap();
        model.predict_one(text).unwrap().label.to_owned()
    }

    #[test]
    fn a_model_learns_what_it_is_told() {
        let shapes = [
            small(),
            Training { word_ngrams: 2, buckets: 100, ..small() },
            Training { shortest: 2, longest: 4, buckets: 100, ..small() },
        ];
        for training in shapes {
            let (model, told) = trained(training, false);
            assert!(told.loss < 0.2, "{told:?}");
            assert_eq!(told.texts, [4, 4]);
            for text in GOOD {
                assert_eq!(says(&model, text), "wiki", "{training:?} on {text}");
            }
            for text in BAD {
                assert_eq!(says(&model, text), "cc", "{training:?} on {text}");
            }
        }
    }

    #[test]
    fn the_same_texts_in_any_order_give_the_same_bytes() {
        assert_eq!(trained(small(), false), trained(small(), true));
        assert_ne!(trained(small(), false).0, trained(Training { seed: 1, ..small() }, false).0);
    }

    #[test]
    fn runs_of_letters_and_words_are_those_that_inference_asks_for() {
        // If training wrote one bucket and inference read another, nothing would have been learned of it.
        let training = Training { min_count: 1000, shortest: 1, longest: 3, word_ngrams: 3, buckets: 5000, ..small() };
        let (model, told) = trained(training, false);
        assert_eq!(told.words, 0);
        assert_eq!((says(&model, "the tide"), says(&model, "buy now")), ("wiki".to_owned(), "cc".to_owned()));
    }

    #[test]
    fn rare_words_and_those_beyond_the_most_have_no_rows() {
        assert_eq!(trained(Training { min_count: 2, ..small() }, false).1.words, 10);
        let (model, told) = trained(Training { max_words: 3, ..small() }, false);
        assert_eq!(told.words, 3);
        assert_eq!(says(&model, "now now"), "cc");
    }

    #[test]
    fn each_label_gives_as_many_texts_as_it_may() {
        let mut trainer = Trainer::new(small(), &["wiki", "cc"], io::Cursor::new(Vec::new()));
        GOOD.iter().for_each(|text| trainer.learn(text, 0).unwrap());
        trainer.learn(BAD[0], 1).unwrap();
        assert_eq!(trainer.texts(), [4, 1]);
        let mut model = Vec::new();
        assert_eq!(trainer.finish(Some(1), &mut model).unwrap().texts, [1, 1]);
    }

    #[test]
    fn texts_that_say_labels_or_ends_of_lines_are_read_as_inference_reads_them() {
        let mut trainer = Trainer::new(small(), &["wiki", "cc"], io::Cursor::new(Vec::new()));
        trainer.learn("__label__cc the tide </s> buy now", 0).unwrap();
        trainer.learn("", 1).unwrap();
        let mut model = Vec::new();
        let told = trainer.finish(None, &mut model).unwrap();
        assert_eq!((told.words, told.tokens), (3, 5));
        assert!(Model::from_bytes(&model, "m".as_ref()).is_ok());
    }
}
