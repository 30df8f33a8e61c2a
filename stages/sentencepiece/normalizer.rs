//! How a text is prepared: by rules for characters, and by what becomes of spaces.

use super::proto::NormalizerSpec;
use super::trie::Trie;
use super::{Checked, width};

/// What stands for a space: U+2581.
const SPACE: &[u8] = "▁".as_bytes();

/// Prepares texts as a model asks.
pub struct Normalizer {
    rules: Rules,
    /// Pieces that the model's maker named: they stay as they are.
    own: Trie,
    dummy_prefix: bool,
    dummy_suffix: bool,
    remove_extra_spaces: bool,
    space: &'static [u8],
    /// ASCII that stays what it is, whatever ASCII follows.
    plain: [bool; 128],
}

/// Rules: a string becomes another. Of several that a text begins with the longest counts.
struct Rules {
    /// A double array as the library Darts writes it.
    cells: Vec<u32>,
    /// What strings become, each with a zero behind it.
    texts: Vec<u8>,
}

impl Rules {
    /// From the form in which models hold them.
    fn of(charsmap: &[u8]) -> Checked<Rules> {
        if charsmap.is_empty() {
            return Ok(Rules { cells: Vec::new(), texts: Vec::new() });
        }
        let damaged = || "its rules for characters are damaged or cut off".to_owned();
        let (length, rest) = charsmap.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (cells, texts) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        // Blocks of 256 cells of four bytes.
        if cells.is_empty() || cells.len() % 1024 != 0 || texts.last() != Some(&0) {
            return Err(damaged());
        }
        let cells =
            cells.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
        Ok(Rules { cells, texts: texts.to_vec() })
    }

    /// The longest string with a rule that a text begins with: its length, and what it becomes.
    fn longest(&self, text: &[u8]) -> Option<(usize, &[u8])> {
        let offset = |cell: u32| (cell >> 10) << ((cell & 1 << 9) >> 6);
        let mut place = offset(*self.cells.first()?);
        let mut found = None;
        for (length, byte) in (1..).zip(text) {
            place ^= u32::from(*byte);
            let Some(cell) = self.cells.get(place as usize) else { break };
            if cell & (1 << 31 | 0xff) != u32::from(*byte) {
                break;
            }
            place ^= offset(*cell);
            if cell >> 8 & 1 == 1 {
                let Some(leaf) = self.cells.get(place as usize) else { break };
                found = Some((length, (leaf & !(1 << 31)) as usize));
            }
        }
        let (length, at) = found?;
        let text = self.texts.get(at..).filter(|text| !text.is_empty())?;
        Some((length, &text[..memchr::memchr(0, text).unwrap_or(text.len())]))
    }

    /// Whether a rule is for a string that goes on after these bytes, or for these bytes.
    fn concern(&self, bytes: &[u8]) -> bool {
        let offset = |cell: u32| (cell >> 10) << ((cell & 1 << 9) >> 6);
        let Some(mut place) = self.cells.first().map(|cell| offset(*cell)) else { return false };
        for byte in bytes {
            place ^= u32::from(*byte);
            match self.cells.get(place as usize) {
                Some(cell) if cell & (1 << 31 | 0xff) == u32::from(*byte) => place ^= offset(*cell),
                _ => return false,
            }
        }
        true
    }
}

impl Normalizer {
    pub fn of(spec: NormalizerSpec, own: Trie, space_as_suffix: bool) -> Checked<Normalizer> {
        let rules = Rules::of(&spec.charsmap)?;
        let mut plain = [false; 128];
        for (byte, plain) in (0u8..).zip(&mut plain) {
            *plain = byte != b' '
                && own.step(own.root(), byte).is_none()
                && rules.longest(&[byte]).is_none()
                && (0u8..128).all(|next| !rules.concern(&[byte, next]));
        }
        Ok(Normalizer {
            rules,
            own,
            dummy_prefix: spec.dummy_prefix && !space_as_suffix,
            dummy_suffix: spec.dummy_prefix && space_as_suffix,
            remove_extra_spaces: spec.remove_extra_spaces,
            space: if spec.escape_spaces { SPACE } else { b" " },
            plain,
        })
    }

    pub fn footprint(&self) -> usize {
        4 * self.rules.cells.len() + self.rules.texts.len() + self.own.footprint()
    }

    /// What a text begins with, and how many of its bytes that takes.
    fn prefix<'t>(&'t self, text: &'t [u8]) -> (&'t [u8], usize) {
        if let Some(length) = self.own.longest(text) {
            return (&text[..length], length);
        }
        if let Some((length, becomes)) = self.rules.longest(text) {
            return (becomes, length);
        }
        let length = text.first().map_or(0, |first| width(*first)).min(text.len());
        (&text[..length], length)
    }

    /// Appends a text as it is prepared.
    pub fn normalize(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        if self.remove_extra_spaces {
            while at < text.len() {
                let (becomes, length) = self.prefix(&text[at..]);
                if becomes != b" " {
                    break;
                }
                at += length;
            }
        }
        if at == text.len() {
            return;
        }
        out.reserve(text.len() + text.len() / 2);
        if self.dummy_prefix {
            out.extend_from_slice(self.space);
        }
        let mut after_space = self.remove_extra_spaces;
        while let Some(&byte) = text.get(at) {
            if byte < 128 && self.plain[usize::from(byte)] && text.get(at + 1).is_none_or(u8::is_ascii) {
                out.push(byte);
                after_space = false;
                at += 1;
                continue;
            }
            let (mut becomes, length) = self.prefix(&text[at..]);
            at += length;
            while after_space && becomes.first() == Some(&b' ') {
                becomes = &becomes[1..];
            }
            for &byte in becomes {
                match byte {
                    b' ' => out.extend_from_slice(self.space),
                    _ => out.push(byte),
                }
            }
            if let Some(last) = becomes.last() {
                after_space = self.remove_extra_spaces && *last == b' ';
            }
        }
        if self.remove_extra_spaces {
            while out.ends_with(self.space) {
                out.truncate(out.len() - self.space.len());
            }
        }
        if self.dummy_suffix {
            out.extend_from_slice(self.space);
        }
    }
}
