//! What a model's file says, which is a message of protocol buffers.

use super::{Checked, Piece};

/// What kind of piece it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Byte,
    Unused,
}

/// What is needed of a file.
pub struct Read {
    pub pieces: Vec<Piece>,
    pub is_bpe: bool,
    pub byte_fallback: bool,
    pub space_as_suffix: bool,
    pub normalizer: NormalizerSpec,
}

/// How a text is prepared.
pub struct NormalizerSpec {
    pub charsmap: Vec<u8>,
    pub dummy_prefix: bool,
    pub remove_extra_spaces: bool,
    pub escape_spaces: bool,
}

/// Pieces of so many bytes are refused, as SentencePiece refuses them.
const LONGEST: usize = 8000;

/// One field of a message.
enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Four([u8; 4]),
    Eight,
}

/// The fields of a message, one after the other.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'b>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Eight)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Four(*self.take(4)?.first_chunk()?),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Checked<(u64, Value<'b>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "expected a whole protocol buffer: it is cut off or no such file".to_owned()))
    }
}

/// Reads a file.
pub fn read(bytes: &[u8]) -> Checked<Read> {
    let mut pieces = Vec::new();
    let (mut trainer, mut normalizer) = (None, None);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(piece)) => pieces.push(read_piece(piece, pieces.len())?),
            (2, Value::Bytes(spec)) => trainer = Some(spec),
            (3, Value::Bytes(spec)) => normalizer = Some(spec),
            _ => {}
        }
    }
    if pieces.is_empty() {
        return Err("it has no pieces: it is empty or no such file".to_owned());
    }
    // They are written behind the pieces.
    let (Some(trainer), Some(normalizer)) = (trainer, normalizer) else {
        return Err("it is cut off: it does not say how it was trained and how texts are normalized".to_owned());
    };
    let (mut kind, mut byte_fallback, mut space_as_suffix) = (1, false, false);
    for field in Fields(trainer) {
        match field? {
            (3, Value::Number(value)) => kind = value,
            (24, Value::Number(value)) => space_as_suffix = value != 0,
            (35, Value::Number(value)) => byte_fallback = value != 0,
            _ => {}
        }
    }
    let is_bpe = match kind {
        1 => false,
        2 => true,
        3 => return Err("it is a model of words: expected unigram or BPE".to_owned()),
        4 => return Err("it is a model of characters: expected unigram or BPE".to_owned()),
        other => return Err(format!("it is a model of kind {other}: expected unigram (1) or BPE (2)")),
    };
    Ok(Read { pieces, is_bpe, byte_fallback, space_as_suffix, normalizer: read_normalizer(normalizer)? })
}

fn read_piece(bytes: &[u8], number: usize) -> Checked<Piece> {
    let wrong = |what: &str| format!("its piece {number} {what}");
    let mut piece = Piece { text: "".into(), kind: Kind::Normal, score: 0.0 };
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(text)) => {
                piece.text = std::str::from_utf8(text).map_err(|_| wrong("is not UTF-8"))?.into();
            }
            (2, Value::Four(score)) => piece.score = f32::from_le_bytes(score),
            (3, Value::Number(kind)) => {
                piece.kind = match kind {
                    1 => Kind::Normal,
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    other => return Err(wrong(&format!("is of kind {other}, and 1 to 6 are known"))),
                }
            }
            _ => {}
        }
    }
    if piece.text.is_empty() || piece.text.len() >= LONGEST {
        return Err(wrong(&format!("has {} bytes: expected 1 to {}", piece.text.len(), LONGEST - 1)));
    }
    if !piece.score.is_finite() {
        return Err(wrong("has a score that is infinite or none"));
    }
    Ok(piece)
}

fn read_normalizer(bytes: &[u8]) -> Checked<NormalizerSpec> {
    let mut spec =
        NormalizerSpec { charsmap: Vec::new(), dummy_prefix: true, remove_extra_spaces: true, escape_spaces: true };
    for field in Fields(bytes) {
        match field? {
            (2, Value::Bytes(charsmap)) => spec.charsmap = charsmap.to_vec(),
            (3, Value::Number(value)) => spec.dummy_prefix = value != 0,
            (4, Value::Number(value)) => spec.remove_extra_spaces = value != 0,
            (5, Value::Number(value)) => spec.escape_spaces = value != 0,
            _ => {}
        }
    }
    Ok(spec)
}
