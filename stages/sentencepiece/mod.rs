//! SentencePiece models, as Google's program writes them: texts become pieces, by unigram or by BPE.
//!
//! Pieces are those of SentencePiece 0.2.3 to the last one, also in texts of megabytes, where its
//! single-precision sums decide between ways to cut that are almost equally good: the same numbers are
//! added in the same order here.

mod bpe;
mod normalizer;
mod proto;
#[cfg(test)]
mod tests;
mod trie;
mod unigram;

use std::path::{Path, PathBuf};

use corpus::Digest;

use bpe::Bpe;
use normalizer::Normalizer;
use proto::Kind;
use trie::Trie;
use unigram::Unigram;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read model {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The file is no model, or a damaged one.
    #[error("{} is not a SentencePiece model that we can use: {detail}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        detail: String,
    },
}

/// What is wrong with a model.
type Checked<T> = Result<T, String>;

/// A model, ready to use.
pub struct Model {
    pieces: Vec<Piece>,
    /// The piece for what no piece covers, if there is one.
    unknown: Option<u32>,
    /// The pieces of single bytes, where characters that no piece covers are spelled by them.
    bytes: Option<Box<[u32; 256]>>,
    normalizer: Normalizer,
    way: Way,
    digest: Digest,
}

/// A piece of the model.
struct Piece {
    text: Box<str>,
    kind: Kind,
    score: f32,
}

/// How a text is cut.
enum Way {
    Unigram(Unigram),
    Bpe(Bpe),
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number in the model.
    pub id: u32,
    /// Where it begins and ends in the normalized text.
    start: u32,
    end: u32,
}

/// Room that is kept from text to text, and holds the last one's pieces.
#[derive(Default)]
pub struct Room {
    normalized: Vec<u8>,
    tokens: Vec<Token>,
    cut: Vec<Token>,
    unigram: unigram::Room,
    bpe: bpe::Room,
}

impl Room {
    /// The pieces of the text that was last encoded.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}

/// Loads a model.
pub fn load(path: &Path) -> Result<Model, ModelError> {
    let bytes = std::fs::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    Model::from_bytes(&bytes, path)
}

impl Model {
    /// The same from the file's bytes; `path` is for messages.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Model, ModelError> {
        Model::read(bytes).map_err(|detail| ModelError::Unusable { path: path.to_owned(), detail })
    }

    fn read(bytes: &[u8]) -> Checked<Model> {
        let read = proto::read(bytes)?;
        let mut unknown = None;
        let mut of_bytes = vec![None; 256];
        for (number, piece) in (0..).zip(&read.pieces) {
            match piece.kind {
                Kind::Unknown if unknown.is_some() => return Err("it has two pieces for the unknown".to_owned()),
                Kind::Unknown => unknown = Some(number),
                Kind::Byte => match byte_of(&piece.text) {
                    Some(byte) => of_bytes[usize::from(byte)] = Some(number),
                    None => return Err(format!("its piece `{}` is of no byte", piece.text)),
                },
                _ => {}
            }
        }
        let bytes_known: Option<Vec<u32>> = of_bytes.into_iter().collect();
        let of_bytes: Option<Box<[u32; 256]>> = bytes_known.and_then(|known| known.try_into().ok()).map(Box::new);
        if read.byte_fallback && of_bytes.is_none() {
            return Err("it spells the unknown by bytes, and has not all 256 of them".to_owned());
        }
        if !read.byte_fallback && unknown.is_none() {
            return Err("it has no piece for the unknown".to_owned());
        }
        let own = read.pieces.iter().filter(|piece| piece.kind == Kind::UserDefined).map(|piece| piece.text.as_bytes());
        let own = Trie::of((0..).zip(own).map(|(number, text)| (text, number)).collect())?;
        // In BPE a piece that is not used may still be the way to one that is.
        let is_cut = |kind| match read.is_bpe {
            true => matches!(kind, Kind::Normal | Kind::UserDefined | Kind::Unused),
            false => matches!(kind, Kind::Normal | Kind::UserDefined),
        };
        let numbered = (0..).zip(&read.pieces).filter(|(_, piece)| is_cut(piece.kind));
        let trie = Trie::of(numbered.map(|(number, piece)| (piece.text.as_bytes(), number)).collect())?;
        let normalizer = Normalizer::of(read.normalizer, own.clone(), read.space_as_suffix)?;
        let way = match read.is_bpe {
            true => Way::Bpe(Bpe::of(trie, own, &read.pieces)),
            false => Way::Unigram(Unigram::of(trie, &read.pieces, unknown)),
        };
        let bytes_used = if read.byte_fallback { of_bytes } else { None };
        Ok(Model { pieces: read.pieces, unknown, bytes: bytes_used, normalizer, way, digest: Digest::of(bytes) })
    }

    /// The digest of its file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many pieces it has.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// A piece as it is written in the model.
    pub fn piece(&self, id: u32) -> &str {
        self.pieces.get(id as usize).map_or("", |piece| &piece.text)
    }

    /// Whether it is the piece for what no piece covers: its text is then the text's own.
    pub fn is_unknown(&self, id: u32) -> bool {
        self.unknown == Some(id)
    }

    /// Roughly the memory that it takes, in bytes.
    pub fn footprint(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(|piece| size_of::<Piece>() + piece.text.len()).sum();
        let way = match &self.way {
            Way::Unigram(unigram) => unigram.footprint(),
            Way::Bpe(bpe) => bpe.footprint(),
        };
        pieces + self.normalizer.footprint() + way
    }

    /// Cuts a text into pieces, which the room then holds. A text has at most 4 GB.
    pub fn encode(&self, text: &str, room: &mut Room) {
        let Room { normalized, tokens, cut, unigram, bpe } = room;
        normalized.clear();
        cut.clear();
        tokens.clear();
        self.normalizer.normalize(text.as_bytes(), normalized);
        match &self.way {
            Way::Unigram(way) => way.cut(normalized, unigram, cut),
            Way::Bpe(way) => way.cut(normalized, self.unknown, bpe, cut),
        }
        for token in cut.iter() {
            let is_unknown = token.id == self.unknown.unwrap_or(NONE);
            match (&self.bytes, tokens.last_mut()) {
                (Some(bytes), _) if is_unknown => {
                    for at in token.start..token.end {
                        let id = bytes[usize::from(normalized[at as usize])];
                        tokens.push(Token { id, start: at, end: at + 1 });
                    }
                }
                // What no piece covers is one piece, however long.
                (None, Some(last)) if is_unknown && last.id == token.id => last.end = token.end,
                _ => tokens.push(*token),
            }
        }
    }

    /// A piece of the text that was last encoded, as SentencePiece gives it: what no piece covers is
    /// the text itself.
    pub fn text<'r>(&'r self, token: &Token, room: &'r Room) -> &'r [u8] {
        match self.is_unknown(token.id) {
            true => room.normalized.get(token.start as usize..token.end as usize).unwrap_or_default(),
            false => self.piece(token.id).as_bytes(),
        }
    }
}

/// No piece's number.
const NONE: u32 = u32::MAX;

/// The byte that a piece such as `<0x0A>` stands for.
fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// How long a character is that begins with a byte; what begins none stands alone.
fn width(first: u8) -> usize {
    match first >> 4 {
        0xC | 0xD => 2,
        0xE => 3,
        0xF => 4,
        _ => 1,
    }
}
