//! The cut that joins, over and over, the two neighbours whose piece has the best score.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use super::proto::Kind;
use super::trie::Trie;
use super::{NONE, Piece, Token, width};

/// BPE models.
pub struct Bpe {
    trie: Trie,
    /// Pieces that the model's maker named: they are neither cut nor joined.
    own: Trie,
    scores: Vec<f32>,
    unused: Vec<bool>,
}

/// What is left of the text's characters as they are joined.
#[derive(Clone, Copy)]
struct Symbol {
    start: u32,
    /// Where it ends; at its start if it was joined to the one before.
    end: u32,
    before: u32,
    after: u32,
    fixed: bool,
}

/// Two neighbours that may be joined.
#[derive(Clone, Copy, PartialEq)]
struct Pair {
    score: f32,
    left: u32,
    right: u32,
    length: u32,
}

impl Eq for Pair {}

impl Ord for Pair {
    /// The best score first, then the first in the text.
    fn cmp(&self, other: &Pair) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left)).then(other.length.cmp(&self.length))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Pair) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Room that is kept from text to text.
#[derive(Default)]
pub struct Room {
    symbols: Vec<Symbol>,
    pairs: BinaryHeap<Pair>,
    /// Where pieces that are not to be used were joined: by their bytes.
    joined: BTreeMap<Vec<u8>, usize>,
}

/// How often a piece that is not to be used is taken apart again; SentencePiece's.
const DEEPEST: usize = 100;

impl Bpe {
    pub fn of(trie: Trie, own: Trie, pieces: &[Piece]) -> Bpe {
        let scores = pieces.iter().map(|piece| piece.score).collect();
        Bpe { trie, own, scores, unused: pieces.iter().map(|piece| piece.kind == Kind::Unused).collect() }
    }

    pub fn footprint(&self) -> usize {
        self.trie.footprint() + self.own.footprint() + 5 * self.scores.len()
    }

    /// Cuts a text.
    pub fn cut(&self, text: &[u8], unknown: Option<u32>, room: &mut Room, out: &mut Vec<Token>) {
        room.symbols.clear();
        room.pairs.clear();
        room.joined.clear();
        let mut start = 0;
        while start < text.len() {
            let own = self.own.longest(&text[start..]);
            let end = own.map_or_else(|| (start + width(text[start])).min(text.len()), |length| start + length);
            let number = room.symbols.len() as u32;
            let before = number.checked_sub(1).unwrap_or(NONE);
            let after = if end < text.len() { number + 1 } else { NONE };
            room.symbols.push(Symbol { start: start as u32, end: end as u32, before, after, fixed: own.is_some() });
            start = end;
        }
        for left in 1..room.symbols.len() as u32 {
            self.offer(text, left - 1, left, room);
        }
        while let Some(pair) = room.pairs.pop() {
            let [left, right] = [pair.left, pair.right].map(|number| room.symbols[number as usize]);
            let is_stale = left.start == left.end || right.start == right.end;
            if is_stale || right.end - left.start != pair.length || left.after != pair.right {
                continue;
            }
            room.symbols[pair.left as usize].end = right.end;
            room.symbols[pair.left as usize].after = right.after;
            room.symbols[pair.right as usize].end = right.start;
            if let Some(after) = room.symbols.get_mut(right.after as usize) {
                after.before = pair.left;
            }
            self.offer(text, left.before, pair.left, room);
            self.offer(text, pair.left, right.after, room);
        }
        let mut at = 0;
        while let Some(symbol) = room.symbols.get(at as usize) {
            self.tell(text, (symbol.start, symbol.end), unknown, &room.joined, out, 0);
            at = symbol.after;
        }
    }

    /// Notes two neighbours if there is a piece for both.
    fn offer(&self, text: &[u8], left: u32, right: u32, room: &mut Room) {
        let (Some(one), Some(other)) = (room.symbols.get(left as usize), room.symbols.get(right as usize)) else {
            return;
        };
        if one.fixed || other.fixed {
            return;
        }
        let piece = &text[one.start as usize..other.end as usize];
        let Some(id) = self.trie.get(piece) else { return };
        if self.unused[id as usize] {
            room.joined.insert(piece.to_vec(), (one.end - one.start) as usize);
        }
        let (score, length) = (self.scores[id as usize], piece.len() as u32);
        room.pairs.push(Pair { score, left, right, length });
    }

    /// Says a piece, or the two of which it was made if it is not to be used.
    fn tell(
        &self,
        text: &[u8],
        (start, end): (u32, u32),
        unknown: Option<u32>,
        joined: &BTreeMap<Vec<u8>, usize>,
        out: &mut Vec<Token>,
        depth: usize,
    ) {
        let piece = &text[start as usize..end as usize];
        let whole = |id: Option<u32>| Token { id: id.or(unknown).unwrap_or(NONE), start, end };
        let known = self.trie.get(piece);
        match known {
            Some(id) if self.unused[id as usize] && depth <= DEEPEST => match joined.get(piece) {
                Some(first) => {
                    let middle = start + *first as u32;
                    self.tell(text, (start, middle), unknown, joined, out, depth + 1);
                    self.tell(text, (middle, end), unknown, joined, out, depth + 1);
                }
                None => out.push(whole(None)),
            },
            id => out.push(whole(id)),
        }
    }
}
