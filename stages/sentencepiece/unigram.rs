//! The cut whose pieces have the greatest sum of scores.

use super::proto::Kind;
use super::trie::Trie;
use super::{NONE, Piece, Token, width};

/// Unigram models.
pub struct Unigram {
    trie: Trie,
    /// The score of each piece.
    scores: Vec<f32>,
    unknown: u32,
    unknown_score: f32,
}

/// The best way to cut all that lies before a place: where its last piece begins, and which it is.
#[derive(Clone, Copy)]
struct Best {
    score: f32,
    start: u32,
    id: u32,
}

/// The best ways, by place.
#[derive(Default)]
pub struct Room(Vec<Best>);

/// How much worse than the worst piece a character is that no piece covers; SentencePiece's.
const PENALTY: f32 = 10.0;
/// Sums beyond this begin anew, so that a long text does not outgrow single precision;
/// SentencePiece's, from 0.2.2 on.
const RESET: f32 = 100_000.0;

impl Unigram {
    pub fn of(trie: Trie, pieces: &[Piece], unknown: Option<u32>) -> Unigram {
        let normal = pieces.iter().filter(|piece| piece.kind == Kind::Normal);
        let least = normal.map(|piece| piece.score).fold(f32::MAX, f32::min);
        let score = |piece: &Piece| match piece.kind {
            // Named pieces win over all others.
            Kind::UserDefined => (0.1 * (piece.text.len() as f64 - 1.0)) as f32,
            _ => piece.score,
        };
        let scores = pieces.iter().map(score).collect();
        Unigram { trie, scores, unknown: unknown.unwrap_or(NONE), unknown_score: least - PENALTY }
    }

    pub fn footprint(&self) -> usize {
        self.trie.footprint() + 4 * self.scores.len()
    }

    /// Cuts a text.
    pub fn cut(&self, text: &[u8], Room(best): &mut Room, out: &mut Vec<Token>) {
        best.clear();
        best.resize(text.len() + 1, Best { score: 0.0, start: NONE, id: self.unknown });
        let mut furthest = 0;
        let mut start = 0;
        while start < text.len() {
            let mut here = best[start].score;
            if here.abs() > RESET {
                for (place, way) in best.iter_mut().enumerate().take(furthest + 1).skip(start) {
                    if place == start || way.start != NONE {
                        way.score -= here;
                    }
                }
                here = 0.0;
            }
            let width = width(text[start]).min(text.len() - start);
            let (rest, ends) = (&text[start..], &mut best[start..]);
            let mut node = self.trie.root();
            let mut is_covered = false;
            for (length, &byte) in (1..).zip(rest) {
                let Some((next, found)) = self.trie.step(node, byte) else { break };
                node = next;
                if let Some(id) = found {
                    ends[length].consider(here + self.scores[id as usize], start, id);
                    furthest = furthest.max(start + length);
                    is_covered |= length == width;
                }
            }
            if !is_covered {
                ends[width].consider(here + self.unknown_score, start, self.unknown);
                furthest = furthest.max(start + width);
            }
            start += width;
        }
        let mut end = text.len();
        while end > 0 {
            let way = best[end];
            // Every place where a character ends has a way; a damaged model's text may have none.
            let begin = (way.start as usize).min(end - 1);
            out.push(Token { id: way.id, start: begin as u32, end: end as u32 });
            end = begin;
        }
        out.reverse();
    }
}

impl Best {
    #[inline]
    fn consider(&mut self, score: f32, start: usize, id: u32) {
        if self.start == NONE || score > self.score {
            *self = Best { score, start: start as u32, id };
        }
    }
}
