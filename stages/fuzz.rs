//! What the fuzz targets in `fuzz/` call: each takes any bytes and must not panic.

use std::path::Path;

use corpus::{Document, DocumentId, Meta};

use crate::fasttext::Model;
use crate::strip_gutenberg::StripGutenberg;
use crate::{Stage, Workspace};

/// Reads a fastText model and asks it about some texts.
pub fn fasttext(bytes: &[u8]) {
    let Ok(model) = Model::from_bytes(bytes, Path::new("fuzz.bin")) else { return };
    for text in ["", "the quick brown fox </s> jumps", "über\u{0}漢字 __label__en\n\nword"] {
        model.predict(text, 3);
    }
}

/// Reads a KenLM model and scores some words.
pub fn kenlm(bytes: &[u8]) {
    let Ok(model) = crate::kenlm::Model::from_bytes(bytes.to_vec(), Path::new("fuzz.bin")) else { return };
    for text in ["", "the cat sat on the mat and it", "<s> </s> <unk> xyzzy", "the the the the the the the the the"] {
        model.score(text.split(' ').map(|word| model.word(word.as_bytes())));
    }
}

/// Reads a SentencePiece model and cuts some texts.
pub fn sentencepiece(bytes: &[u8]) {
    use crate::sentencepiece::{Model, Room};
    let Ok(model) = Model::from_bytes(bytes, Path::new("fuzz.model")) else { return };
    let mut room = Room::default();
    for text in [
        "",
        " the  cat sat <sep> on the mat, \u{3000}a\u{301}…",
        "über\u{0}漢字 😀😀 é▁",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        model.encode(text, &mut room);
        room.tokens().iter().for_each(|token| assert!(!model.text(token, &room).is_empty()));
    }
}

/// Takes Project Gutenberg's frame off a text.
pub fn strip_gutenberg(bytes: &[u8]) {
    let id = DocumentId { raw_file: "books/fuzz".into(), record: 0 };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut document = Document::new(id, text, Meta::default());
    StripGutenberg::default().apply(&mut document, &mut Workspace::default());
}

#[cfg(test)]
mod tests {
    type Target = fn(&[u8]);

    /// Every input that a fuzz target starts from, or once failed on.
    #[test]
    fn the_corpus_is_survived() {
        let targets: [(&str, Target); 4] = [
            ("fasttext", super::fasttext),
            ("kenlm", super::kenlm),
            ("sentencepiece", super::sentencepiece),
            ("strip_gutenberg", super::strip_gutenberg),
        ];
        for (name, target) in targets {
            let folder = super::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
            let mut inputs = 0;
            for entry in std::fs::read_dir(folder).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                inputs += 1;
            }
            assert!(inputs > 0, "{name}");
        }
    }
}
