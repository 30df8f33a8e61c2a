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
use tokenizers::pipeline::PipelineToken;

use super::description::Gpt2;

/// Splits and remembers; the engine is lent for what is not remembered.
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

    /// Appends the ids of a text without special tokens.
    pub(super) fn encode(
        &self,
        text: &str,
        cache: &mut Cache,
        engine: &mut dyn FnMut(&str, &mut Vec<PipelineToken>),
        out: &mut Vec<u32>,
    ) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            if first == b' ' && bytes.get(at + 1) == Some(&b' ') && !self.space_runs.is_empty() {
                at = self.spaces(bytes, at, out);
                continue;
            }
            let mut end = self.word(bytes, at);
            if bytes.get(end).is_some_and(|next| !next.is_ascii()) {
                end = piece(text, end);
            }
            cache.ids(text, at, end, engine, out);
            at = end;
        }
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

/// Remembers the ids of words: a table of words below 16 bytes with up to three ids, and a smaller
/// one of words below 32 bytes with up to seven. A word has one place, by its hash; a newcomer
/// takes it. Words are compared whole, so nothing is ever mistaken for another.
pub(super) struct Cache {
    short: Box<[Short]>,
    long: Box<[Long]>,
    /// What the engine made of the last word.
    fresh: Vec<PipelineToken>,
}

// 2 MiB and 1 MiB for each thread that encodes: more than the words that a text comes back to.
const SHORT: usize = 1 << 16;
const LONG: usize = 1 << 14;

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
    key: [Key; 2],
    ids: [u32; 7],
    count: u32,
}

impl Cache {
    pub(super) fn new() -> Cache {
        Cache {
            short: vec![Short::default(); SHORT].into_boxed_slice(),
            long: vec![Long::default(); LONG].into_boxed_slice(),
            fresh: Vec::new(),
        }
    }

    #[inline]
    fn ids(
        &mut self,
        text: &str,
        at: usize,
        end: usize,
        engine: &mut dyn FnMut(&str, &mut Vec<PipelineToken>),
        out: &mut Vec<u32>,
    ) {
        if end - at < 16 {
            let key = key(text.as_bytes(), at, end - at);
            let known = &self.short[place(key, SHORT)];
            if known.key == key {
                // One id is by far the most common, then two.
                out.push(known.ids[0]);
                if known.count > 1 {
                    out.extend_from_slice(&known.ids[1..known.count as usize]);
                }
                return;
            }
        }
        self.slow(&text[at..end], engine, out);
    }

    #[cold]
    #[inline(never)]
    fn slow(&mut self, word: &str, engine: &mut dyn FnMut(&str, &mut Vec<PipelineToken>), out: &mut Vec<u32>) {
        let length = word.len();
        let long_key = long_key(word.as_bytes());
        if let Some(key) = long_key {
            let known = &self.long[place([key[0][0] ^ key[1][0], key[0][1] ^ key[1][1].rotate_left(32)], LONG)];
            if known.key == key {
                out.extend_from_slice(&known.ids[..known.count as usize]);
                return;
            }
        }
        self.fresh.clear();
        engine(word, &mut self.fresh);
        let ids = PipelineToken::cast_slice(&self.fresh);
        out.extend_from_slice(ids);
        if length < 16
            && let Some(count @ 1..=3) = Some(ids.len())
        {
            let key = key(word.as_bytes(), 0, length);
            let mut new = Short { key, ids: [0; 3], count: count as u32 };
            new.ids[..count].copy_from_slice(ids);
            self.short[place(key, SHORT)] = new;
        } else if let Some(key) = long_key
            && ids.len() <= 7
        {
            let mut new = Long { key, ids: [0; 7], count: ids.len() as u32 };
            new.ids[..ids.len()].copy_from_slice(ids);
            self.long[place([key[0][0] ^ key[1][0], key[0][1] ^ key[1][1].rotate_left(32)], LONG)] = new;
        }
        // A monstrous word must not keep its room.
        if self.fresh.capacity() > 1 << 16 {
            self.fresh = Vec::new();
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
fn long_key(word: &[u8]) -> Option<[Key; 2]> {
    if word.len() >= 32 {
        return None;
    }
    let mut bytes = [0; 32];
    bytes[..word.len()].copy_from_slice(word);
    bytes[31] = word.len() as u8;
    let mut key = [0u64; 4];
    for (to, from) in key.iter_mut().zip(bytes.chunks_exact(8)) {
        *to = from.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    }
    Some([[key[0], key[1]], [key[2], key[3]]])
}

/// A word's place in a table. The constants are odd and have no pattern: digits of the golden
/// ratio and of the square root of 3.
#[inline]
fn place(key: Key, places: usize) -> usize {
    let mixed = key[0].wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ key[1].wrapping_mul(0xBB67_AE85_84CA_A73B).rotate_left(29);
    ((mixed ^ mixed >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize & (places - 1)
}
