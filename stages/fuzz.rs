//! What the fuzz targets in `fuzz/` call: each takes any bytes and must not panic.

use std::path::Path;

use crate::fasttext::Model;

/// Reads a fastText model and asks it about some texts.
pub fn fasttext(bytes: &[u8]) {
    let Ok(model) = Model::from_bytes(bytes, Path::new("fuzz.bin")) else { return };
    for text in ["", "the quick brown fox </s> jumps", "über\u{0}漢字 __label__en\n\nword"] {
        model.predict(text, 3);
    }
}

#[cfg(test)]
mod tests {
    type Target = fn(&[u8]);

    /// Every input that a fuzz target starts from, or once failed on.
    #[test]
    fn the_corpus_is_survived() {
        let targets: [(&str, Target); 1] = [("fasttext", super::fasttext)];
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
