//! Makes a tokenizer from texts: byte-level BPE, as GPT-NeoX has it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tokenizers::pipeline::{PipelineTokenizer, PreTokenizer, PreTokenizerScratch, normalize_all};

use super::bytes;

/// The special tokens of GPT-NeoX: the first ends a document.
pub const SPECIALS: [&str; 2] = ["<|endoftext|>", "<|padding|>"];

/// Why no tokenizer came of it.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The special tokens and the 256 bytes alone are more.
    #[error("a vocabulary of {asked} tokens is too small: it needs at least {least}")]
    TooSmall {
        /// The size asked for.
        asked: u32,
        /// The smallest possible.
        least: u32,
    },
    /// There was nothing to learn from.
    #[error("there is no text to learn a tokenizer from")]
    NoText,
    /// The engine refused what we gave it.
    #[error("cannot split the text into words: {0}")]
    Engine(String),
}

/// Distinct words held at once; beyond them the rarest are forgotten.
const WORDS: usize = 4_000_000;

/// The longest word that is learned from, in bytes. Longer ones are encoded bytes, not words.
const WORD_BYTES: usize = 100;

/// Learns a vocabulary from `texts` and gives it as a `tokenizer.json`: NFC, the words of GPT-2,
/// `specials` first, then the 256 bytes, then the merges.
///
/// The most frequent pair of neighbours is merged until there are `vocab_size` tokens or no pair
/// is seen twice; of pairs as frequent as each other, the one of lower ids. The same texts in the
/// same order give the same bytes. Memory is bounded: of more than four million distinct words, the
/// rarest are forgotten on the way.
pub fn train(
    texts: &mut dyn Iterator<Item = String>,
    vocab_size: u32,
    specials: &[&str],
) -> Result<String, TrainError> {
    let least = specials.len() as u32 + 256;
    if vocab_size < least {
        return Err(TrainError::TooSmall { asked: vocab_size, least });
    }
    let counted = count_words(texts)?;
    if counted.is_empty() {
        return Err(TrainError::NoText);
    }
    let mut vocab = Vocab::new(specials);
    let merges = Merging::new(counted, &vocab).run(vocab_size as usize, &mut vocab);
    Ok(json(&vocab, &merges, specials))
}

/// The words of all texts, each with how often it was seen, in the order of their bytes.
fn count_words(texts: &mut dyn Iterator<Item = String>) -> Result<Vec<(String, u64)>, TrainError> {
    let refused = |error: tokenizers::Error| TrainError::Engine(error.to_string());
    let splitter = splitter().map_err(refused)?;
    let mut scratch = PreTokenizerScratch::default();
    let mut spans = Vec::new();
    let mut counts: HashMap<String, u64> = HashMap::new();
    for text in texts {
        let text = normalize_all(splitter.get_normalizers(), &text, 0).map_err(refused)?;
        spans.clear();
        splitter.get_pre_tokenizer().pre_tokenize(&text, &mut scratch, &mut spans).map_err(refused)?;
        for word in spans.iter().map(|span| &text[span.range()]).filter(|word| word.len() <= WORD_BYTES) {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.to_owned(), 1)),
            }
        }
        forget_rarest(&mut counts, WORDS);
    }
    let mut counted: Vec<(String, u64)> = counts.into_iter().collect();
    counted.sort_unstable();
    Ok(counted)
}

/// Brings the words down to half of the limit when they are beyond it. Which go depends on their
/// counts alone.
fn forget_rarest(counts: &mut HashMap<String, u64>, limit: usize) {
    let mut floor = 1;
    while counts.len() > limit || floor > 1 && counts.len() > limit / 2 {
        counts.retain(|_, count| *count > floor);
        floor += 1;
    }
}

/// The engine's way from text to words; its vocabulary is never used.
fn splitter() -> tokenizers::Result<PipelineTokenizer> {
    let json = json(&Vocab::new(&[]), &[], &[]);
    tokenizers::from_json(&tokenizers::canonicalize_str(&json)?)
}

/// Tokens by id and by spelling, in byte-level letters.
struct Vocab {
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
    first_byte: u32,
}

impl Vocab {
    fn new(specials: &[&str]) -> Vocab {
        let mut vocab = Vocab { tokens: Vec::new(), ids: HashMap::new(), first_byte: specials.len() as u32 };
        let letters: BTreeSet<char> = (0..=255).map(bytes::letter).collect();
        for token in specials.iter().map(ToString::to_string).chain(letters.iter().map(char::to_string)) {
            vocab.id(token);
        }
        vocab
    }

    /// The id of a token, new or known.
    fn id(&mut self, token: String) -> u32 {
        if let Some(id) = self.ids.get(&token) {
            return *id;
        }
        let id = self.tokens.len() as u32;
        self.tokens.push(token.clone());
        self.ids.insert(token, id);
        id
    }
}

type Pair = (u32, u32);

/// The words as tokens so far, and which pairs of neighbours are in them.
struct Merging {
    words: Vec<(Vec<u32>, u64)>,
    counts: HashMap<Pair, u64>,
    /// The words that a pair may be in.
    places: HashMap<Pair, Vec<u32>>,
    /// Pairs by count, some of them out of date; checked when they come up.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Merging {
    fn new(counted: Vec<(String, u64)>, vocab: &Vocab) -> Merging {
        let mut byte_ids = [0; 256];
        for byte in 0..=255u8 {
            let letter = bytes::letter(byte).to_string();
            byte_ids[usize::from(byte)] = vocab.ids.get(&letter).copied().unwrap_or(vocab.first_byte);
        }
        let spelled = |word: &str| word.bytes().map(|byte| byte_ids[usize::from(byte)]).collect();
        let words: Vec<(Vec<u32>, u64)> = counted.iter().map(|(word, count)| (spelled(word), *count)).collect();
        let mut merging =
            Merging { words: Vec::new(), counts: HashMap::new(), places: HashMap::new(), queue: BinaryHeap::new() };
        for (place, (tokens, count)) in words.iter().enumerate() {
            for pair in pairs(tokens) {
                *merging.counts.entry(pair).or_default() += count;
                merging.places.entry(pair).or_default().push(place as u32);
            }
        }
        merging.queue = merging.counts.iter().map(|(pair, count)| (*count, Reverse(*pair))).collect();
        merging.words = words;
        merging
    }

    /// Merges until the vocabulary is full; gives the merges as they are written.
    fn run(mut self, vocab_size: usize, vocab: &mut Vocab) -> Vec<String> {
        let mut merges = Vec::new();
        while vocab.tokens.len() < vocab_size {
            let Some((count, Reverse(pair))) = self.queue.pop() else { break };
            let now = self.counts.get(&pair).copied().unwrap_or(0);
            if now < 2 {
                continue;
            }
            if now != count {
                self.queue.push((now, Reverse(pair)));
                continue;
            }
            let (left, right) = (&vocab.tokens[pair.0 as usize], &vocab.tokens[pair.1 as usize]);
            merges.push(format!("{left} {right}"));
            let token = format!("{left}{right}");
            let id = vocab.id(token);
            self.merge(pair, id);
        }
        merges
    }

    fn merge(&mut self, pair: Pair, id: u32) {
        let mut places = self.places.remove(&pair).unwrap_or_default();
        places.sort_unstable();
        places.dedup();
        let mut grown = BTreeSet::new();
        for place in places {
            let (tokens, count) = &mut self.words[place as usize];
            for old in pairs(tokens) {
                if let Some(sum) = self.counts.get_mut(&old) {
                    *sum -= *count;
                }
            }
            merge_in(tokens, pair, id);
            for new in pairs(tokens) {
                *self.counts.entry(new).or_default() += *count;
                if new.0 == id || new.1 == id {
                    self.places.entry(new).or_default().push(place);
                    grown.insert(new);
                }
            }
        }
        self.counts.remove(&pair);
        for pair in grown {
            let count = self.counts.get(&pair).copied().unwrap_or(0);
            self.queue.push((count, Reverse(pair)));
        }
    }
}

fn pairs(tokens: &[u32]) -> impl Iterator<Item = Pair> {
    tokens.windows(2).map(|pair| (pair[0], pair[1]))
}

/// Replaces a pair by its token, from left to right.
fn merge_in(tokens: &mut Vec<u32>, pair: Pair, id: u32) {
    let mut to = 0;
    let mut from = 0;
    while from < tokens.len() {
        let here = tokens[from] == pair.0 && tokens.get(from + 1) == Some(&pair.1);
        tokens[to] = if here { id } else { tokens[from] };
        from += if here { 2 } else { 1 };
        to += 1;
    }
    tokens.truncate(to);
}

/// A `tokenizer.json` as the library writes it.
fn json(vocab: &Vocab, merges: &[String], specials: &[&str]) -> String {
    let byte_level =
        Part { kind: "ByteLevel", add_prefix_space: Some(false), trim_offsets: Some(true), use_regex: Some(true) };
    let file = File {
        version: "1.0",
        truncation: None,
        padding: None,
        added_tokens: specials.iter().enumerate().map(|(id, content)| Added::special(id as u32, content)).collect(),
        normalizer: Part { kind: "NFC", add_prefix_space: None, trim_offsets: None, use_regex: None },
        pre_tokenizer: byte_level,
        post_processor: None,
        decoder: byte_level,
        model: Model {
            kind: "BPE",
            dropout: None,
            unk_token: None,
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            fuse_unk: false,
            byte_fallback: false,
            vocab,
            merges,
        },
    };
    // Writing to a string fails only for maps whose keys are no strings.
    let mut json = serde_json::to_string_pretty(&file).unwrap_or_default();
    json.push('\n');
    json
}

#[derive(Serialize)]
struct File<'f> {
    version: &'f str,
    truncation: Option<()>,
    padding: Option<()>,
    added_tokens: Vec<Added<'f>>,
    normalizer: Part,
    pre_tokenizer: Part,
    post_processor: Option<()>,
    decoder: Part,
    model: Model<'f>,
}

#[derive(Clone, Copy, Serialize)]
struct Part {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    add_prefix_space: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trim_offsets: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_regex: Option<bool>,
}

#[derive(Serialize)]
struct Added<'f> {
    id: u32,
    content: &'f str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

impl<'f> Added<'f> {
    fn special(id: u32, content: &'f str) -> Added<'f> {
        Added { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
    }
}

#[derive(Serialize)]
struct Model<'f> {
    #[serde(rename = "type")]
    kind: &'f str,
    dropout: Option<f32>,
    unk_token: Option<()>,
    continuing_subword_prefix: Option<()>,
    end_of_word_suffix: Option<()>,
    fuse_unk: bool,
    byte_fallback: bool,
    #[serde(serialize_with = "in_order")]
    vocab: &'f Vocab,
    merges: &'f [String],
}

/// The vocabulary as a map, in the order of its ids.
fn in_order<S: Serializer>(vocab: &&Vocab, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(vocab.tokens.len()))?;
    for (id, token) in vocab.tokens.iter().enumerate() {
        map.serialize_entry(token, &id)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, vocab_size: u32) -> Result<serde_json::Value, TrainError> {
        let json = train(&mut [text.to_owned()].into_iter(), vocab_size, &SPECIALS)?;
        Ok(serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn the_most_frequent_pair_is_merged_first() {
        let json = of("red redpajama red pajama", 258 + 4).unwrap();
        assert_eq!(json["model"]["merges"], serde_json::json!(["e d", "r ed", "a j", "a m"]));
        assert_eq!(json["model"]["vocab"]["<|endoftext|>"], 0);
        assert_eq!(json["model"]["vocab"]["ed"], 258);
    }

    /// The library's own trainer, given the same words, merges the same pairs in the same order.
    #[test]
    fn the_library_learns_the_same() {
        use oracle::models::bpe::{BPE, BpeTrainer};
        use oracle::pre_tokenizers::byte_level::ByteLevel;
        use oracle::tokenizer::Trainer;
        use oracle::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};

        let text = super::super::tests::mixed().join("\n");
        let text = normalize_all(splitter().unwrap().get_normalizers(), &text, 0).unwrap().into_owned();
        let special = |token: &&str| oracle::AddedToken::from(token.to_string(), true);
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .min_frequency(2)
            .vocab_size(1200)
            .special_tokens(SPECIALS.iter().map(special).collect())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let split = |text: &str| {
            let mut words = PreTokenizedString::from(text);
            ByteLevel::new(false, true, true).pre_tokenize(&mut words)?;
            let words = words.get_splits(OffsetReferential::Original, OffsetType::Byte);
            Ok(words.into_iter().map(|(word, _, _)| word.to_owned()).collect())
        };
        trainer.feed(std::iter::once(&text), split).unwrap();
        let mut theirs = BPE::default();
        trainer.train(&mut theirs).unwrap();
        let ours = of(&text, 1200).unwrap();
        let ours = ours["model"]["vocab"].as_object().unwrap();
        assert_eq!(ours.len(), 1200);
        for (token, id) in ours {
            assert_eq!(oracle::Model::token_to_id(&theirs, token).map(u64::from), id.as_u64(), "{token}");
        }
    }

    #[test]
    fn a_pair_that_is_seen_once_is_not_merged() {
        let json = of("ab cd", 1000).unwrap();
        assert_eq!(json["model"]["merges"], serde_json::json!([]));
    }

    #[test]
    fn what_cannot_be_learned_is_said() {
        assert_eq!(
            of("red", 100).unwrap_err().to_string(),
            "a vocabulary of 100 tokens is too small: it needs at least 258"
        );
        assert!(matches!(of("", 300), Err(TrainError::NoText)));
    }

    #[test]
    fn the_rarest_words_are_forgotten() {
        let mut counts: HashMap<String, u64> = (1..=10).map(|count| (format!("w{count}"), count)).collect();
        forget_rarest(&mut counts, 10);
        assert_eq!(counts.len(), 10);
        forget_rarest(&mut counts, 6);
        assert_eq!(counts.into_values().min(), Some(8));
    }
}
