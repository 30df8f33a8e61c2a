//! Byte-level BPE at the speed of memory: words are told apart here and looked up in a cache; the
//! engine sees those that are not in it.
//!
//! Text repeats its words. Splitting it by GPT-2's pattern,
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! and remembering the ids of each word costs less than encoding it again. Only ASCII is split
//! here. Where another character comes up, everything from the start of its word to the next ASCII
//! white space goes to the engine in one piece: it begins and ends where the pattern surely cuts
//! (there is no looking back, and what is not white space never joins white space after it), and
//! where no normalization reaches across. So the ids are the engine's by construction.

use memchr::memmem::Finder;
use tokenizers::models::bpe::{BpeScratch, PipelineBPE};
use tokenizers::pipeline::{
    Model, PipelineModel, PipelineToken, PipelineTokenizer, PreTokenizer, PreTokenizerScratch, Span, normalize_all,
};

use super::description::Gpt2;

/// Splits text into words.
pub(super) struct Words {
    specials: Vec<Finder<'static>>,
    space_runs: Vec<u32>,
}

impl Words {
    pub(super) fn new(gpt2: Gpt2) -> Words {
        let specials = searches(&gpt2.specials).iter().map(|special| Finder::new(special).into_owned()).collect();
        Words { specials, space_runs: gpt2.space_runs }
    }

    /// Whether a special token may be spelled in the text: rare, and left to the engine.
    pub(super) fn has_special(&self, text: &str) -> bool {
        self.specials.iter().any(|special| special.find(text.as_bytes()).is_some())
    }

    /// Appends the ids of a text without special tokens. Fails only where the engine does.
    pub(super) fn encode(
        &self,
        text: &str,
        engine: Engine<'_>,
        memory: &mut Memory,
        out: &mut Vec<u32>,
    ) -> tokenizers::Result<()> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            if first == b' ' && bytes.get(at + 1) == Some(&b' ') && !self.space_runs.is_empty() {
                at = self.spaces(bytes, at, out);
                continue;
            }
            let mut end = self.word(bytes, at);
            let whole = bytes.get(end).is_none_or(u8::is_ascii);
            if !whole {
                end = piece(text, end);
            }
            if end - at >= 16 || !memory.recall(bytes, at, end, out) {
                memory.learn(&text[at..end], whole, engine, out)?;
            }
            at = end;
        }
        Ok(())
    }

    /// Appends the tokens of a run of two or more spaces, the longest first; a single space that
    /// is left over belongs to what follows.
    fn spaces(&self, bytes: &[u8], at: usize, out: &mut Vec<u32>) -> usize {
        let mut left = bytes[at..].iter().take_while(|byte| **byte == b' ').count();
        let end = at + left;
        while left >= 2 {
            let run = left.min(self.space_runs.len() + 1);
            out.push(self.space_runs[run - 2]);
            left -= run;
        }
        end - left
    }

    /// Where the word ends that begins at `at`, if all of it is ASCII. At a byte that is not, it
    /// ends before it.
    #[inline]
    fn word(&self, bytes: &[u8], at: usize) -> usize {
        let first = bytes[at];
        let spaced = first == b' ';
        let from = at + usize::from(spaced);
        let Some(&second) = bytes.get(from) else { return from };
        match CLASSES[usize::from(second)] {
            Class::Letter => letters_end(bytes, from + 1),
            Class::Digit => run_end(bytes, from + 1, Class::Digit),
            Class::Other if second == b'\'' && !spaced => match contraction(&bytes[from + 1..]) {
                0 => run_end(bytes, from + 1, Class::Other),
                length => from + 1 + length,
            },
            Class::Other => run_end(bytes, from + 1, Class::Other),
            Class::Space => self.white_space(bytes, at),
            Class::Beyond => from,
        }
    }

    /// Where a word of white space ends: before the last of it if something else follows, so that
    /// the last can go with that.
    fn white_space(&self, bytes: &[u8], at: usize) -> usize {
        let mut end = at;
        while let Some(byte) = bytes.get(end)
            && CLASSES[usize::from(*byte)] == Class::Space
        {
            // A run of spaces that is a token of its own ends what comes before it.
            if end > at && !self.space_runs.is_empty() && bytes[end..].starts_with(b"  ") {
                return end;
            }
            end += 1;
        }
        match bytes.get(end) {
            Some(next) if next.is_ascii() && end - at > 1 => end - 1,
            _ => end,
        }
    }
}

/// What to look for so that none of the special tokens is missed: each of them, or, if they are
/// many, what all begin with.
fn searches(specials: &[String]) -> Vec<&[u8]> {
    let all: Vec<&[u8]> = specials.iter().map(String::as_bytes).collect();
    let Some(first) = all.first().filter(|_| all.len() > 4) else { return all };
    let common = |other: &[u8]| first.iter().zip(other).take_while(|(a, b)| a == b).count();
    match all.iter().map(|other| common(other)).min() {
        Some(shared) if shared >= 2 => vec![&first[..shared]],
        _ => all,
    }
}

/// Where the piece ends that the engine takes, at or after the character at `at`: before ASCII
/// white space that follows something else.
fn piece(text: &str, at: usize) -> usize {
    let mut after_white_space = true;
    for (place, character) in text[at..].char_indices() {
        let white_space = may_be_white_space(character);
        if white_space && character.is_ascii() && !after_white_space {
            return at + place;
        }
        after_white_space = white_space;
    }
    text.len()
}

/// White space by any version of Unicode.
fn may_be_white_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{180E}' | '\u{200B}' | '\u{FEFF}')
}

/// Letters of the contraction after an apostrophe: `'s`, `'re`.
fn contraction(rest: &[u8]) -> usize {
    match rest {
        [b's' | b't' | b'm' | b'd', ..] => 1,
        [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => 2,
        _ => 0,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Space,
    Other,
    /// Not ASCII.
    Beyond,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        classes[byte] = if character.is_ascii_alphabetic() {
            Class::Letter
        } else if character.is_ascii_digit() {
            Class::Digit
        } else if matches!(character, b' ' | 0x09..=0x0D) {
            Class::Space
        } else if character.is_ascii() {
            Class::Other
        } else {
            Class::Beyond
        };
        byte += 1;
    }
    classes
};

#[inline]
fn run_end(bytes: &[u8], from: usize, class: Class) -> usize {
    let mut end = from;
    while bytes.get(end).is_some_and(|byte| CLASSES[usize::from(*byte)] == class) {
        end += 1;
    }
    end
}

/// Eight bytes at a time: the end of a word cannot be predicted, so we do not branch on each byte.
#[inline]
fn letters_end(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let mut end = from;
    while let Some(eight) = bytes.get(end..end + 8).and_then(|eight| eight.first_chunk()) {
        let eight = u64::from_le_bytes(*eight);
        let lower = (eight | (0x20 * ONES)) & !HIGH;
        // The high bit of each byte: at least `a`, and not above `z`.
        let from_a = lower + (0x80 - b'a' as u64) * ONES;
        let above_z = lower + (0x7F - b'z' as u64) * ONES;
        let others = !(from_a & !above_z & !eight) & HIGH;
        if others != 0 {
            return end + others.trailing_zeros() as usize / 8;
        }
        end += 8;
    }
    run_end(bytes, end, Class::Letter)
}

/// What encodes the words that are not remembered.
#[derive(Clone, Copy)]
pub(super) struct Engine<'e> {
    pub(super) whole: &'e PipelineTokenizer,
    pub(super) model: &'e PipelineBPE,
}

impl<'e> Engine<'e> {
    /// The engine, if its model is byte-level BPE.
    pub(super) fn of(whole: &'e PipelineTokenizer) -> Option<Engine<'e>> {
        match whole.get_model() {
            PipelineModel::BPE(model) if model.is_byte_level() => Some(Engine { whole, model }),
            _ => None,
        }
    }
}

/// Remembers the ids of words: a table of words below 16 bytes with up to three ids, and a smaller
/// one of words below 32 bytes with up to seven. A word has one place, by its hash; a newcomer
/// takes it. Words are compared whole, so nothing is ever mistaken for another.
pub(super) struct Memory {
    short: Box<[Short]>,
    long: Box<[Long]>,
    merging: BpeScratch,
    splitting: PreTokenizerScratch,
    spans: Vec<Span>,
    /// What the engine made of the last word.
    fresh: Vec<PipelineToken>,
}

// 1 MiB and half of one for each thread that encodes. Twice the size measured no better: what does not stay
// in the processor's own cache costs as much to look up as to encode.
const SHORT: usize = 1 << 15;
const LONG: usize = 1 << 13;

/// The bytes of a word, zeros after it, and its length in the last byte: equal only for equal
/// words. All zeros is a free place, since no word has length 0.
type Key = [u64; 2];

#[derive(Clone, Copy, Default)]
struct Short {
    key: Key,
    ids: [u32; 3],
    count: u32,
}

#[derive(Clone, Copy, Default)]
struct Long {
    key: [u64; 4],
    ids: [u32; 7],
    count: u32,
}

impl Memory {
    pub(super) fn new(engine: Engine<'_>) -> Memory {
        Memory {
            short: vec![Short::default(); SHORT].into_boxed_slice(),
            long: vec![Long::default(); LONG].into_boxed_slice(),
            merging: engine.model.init_scratch(),
            splitting: PreTokenizerScratch::default(),
            spans: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// Appends the ids of a word of fewer than 16 bytes, if they are known.
    #[inline]
    fn recall(&self, bytes: &[u8], at: usize, end: usize, out: &mut Vec<u32>) -> bool {
        let key = key(bytes, at, end - at);
        let known = &self.short[place(key, SHORT)];
        if known.key != key {
            return false;
        }
        // One id is by far the most common, then two.
        out.push(known.ids[0]);
        if known.count > 1 {
            out.extend_from_slice(&known.ids[1..known.count as usize]);
        }
        true
    }

    /// Appends the ids of a longer word, or of one that is not known and will be. `whole` says
    /// that the pattern does not split it.
    #[inline(never)]
    fn learn(&mut self, word: &str, whole: bool, engine: Engine<'_>, out: &mut Vec<u32>) -> tokenizers::Result<()> {
        let long_key = long_key(word.as_bytes());
        let long_place = long_key.map(|[a, b, c, d]| place([a ^ c.rotate_left(17), b ^ d.rotate_left(43)], LONG));
        if let (Some(key), Some(place)) = (long_key, long_place) {
            let known = &self.long[place];
            if known.key == key {
                out.extend_from_slice(&known.ids[..known.count as usize]);
                return Ok(());
            }
        }
        self.fresh.clear();
        if whole {
            engine.model.tokenize_pipeline(word, &mut self.merging, &mut self.fresh)?;
        } else {
            self.split_and_merge(word, engine)?;
        }
        let ids = PipelineToken::cast_slice(&self.fresh);
        out.extend_from_slice(ids);
        match (ids.len(), long_key, long_place) {
            (1..=3, _, _) if word.len() < 16 => {
                let key = key(word.as_bytes(), 0, word.len());
                let mut new = Short { key, ids: [0; 3], count: ids.len() as u32 };
                new.ids[..ids.len()].copy_from_slice(ids);
                self.short[place(key, SHORT)] = new;
            }
            (0..=7, Some(key), Some(place)) => {
                let mut new = Long { key, ids: [0; 7], count: ids.len() as u32 };
                new.ids[..ids.len()].copy_from_slice(ids);
                self.long[place] = new;
            }
            _ => {}
        }
        Ok(())
    }

    /// A piece that is not all ASCII takes every step of the engine.
    fn split_and_merge(&mut self, piece: &str, engine: Engine<'_>) -> tokenizers::Result<()> {
        let piece = normalize_all(engine.whole.get_normalizers(), piece, 0)?;
        // Only an added token of several spaces would be found in it, and then not by the splitter.
        if piece.contains("  ") {
            return engine.whole.encode_into(&piece, &super::options(), &mut self.fresh);
        }
        self.spans.clear();
        engine.whole.get_pre_tokenizer().pre_tokenize(&piece, &mut self.splitting, &mut self.spans)?;
        engine.model.tokenize_spans(&piece, &self.spans, &mut self.merging, &mut self.fresh)
    }

    /// Gives back what a monstrous document made grow.
    pub(super) fn shrink(&mut self, engine: Engine<'_>) {
        if self.fresh.capacity() > 1 << 16 || self.spans.capacity() > 1 << 16 {
            self.fresh = Vec::new();
            self.spans = Vec::new();
            self.splitting = PreTokenizerScratch::default();
            self.merging = engine.model.init_scratch();
        }
    }
}

/// The key of a word of fewer than 16 bytes.
#[inline]
fn key(bytes: &[u8], at: usize, length: usize) -> Key {
    let sixteen: [u8; 16] = match bytes.get(at..at + 16).and_then(|sixteen| sixteen.first_chunk()) {
        Some(sixteen) => *sixteen,
        None => {
            let mut sixteen = [0; 16];
            sixteen[..length].copy_from_slice(&bytes[at..at + length]);
            sixteen
        }
    };
    let word = u128::from_le_bytes(sixteen) & ((1 << (8 * length)) - 1) | (length as u128) << 120;
    [word as u64, (word >> 64) as u64]
}

/// The key of a word of fewer than 32 bytes.
fn long_key(word: &[u8]) -> Option<[u64; 4]> {
    if word.len() >= 32 {
        return None;
    }
    let mut bytes = [0; 32];
    bytes[..word.len()].copy_from_slice(word);
    bytes[31] = word.len() as u8;
    let mut key = [0; 4];
    for (to, from) in key.iter_mut().zip(bytes.chunks_exact(8)) {
        *to = from.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    }
    Some(key)
}

/// A word's place in a table. The constants are odd and have no pattern: digits of the golden
/// ratio and of the square root of 3.
#[inline]
fn place(key: Key, places: usize) -> usize {
    let mixed = key[0].wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ key[1].wrapping_mul(0xBB67_AE85_84CA_A73B).rotate_left(29);
    ((mixed ^ mixed >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize & (places - 1)
}
