//! From the bytes of a text file to characters.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the bytes of a text file become characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decode {
    /// By the byte order mark; as UTF-8 if it is UTF-8; as the header declares; as Windows-1252,
    /// which has ISO-8859-1 in it. Stray bytes in what is UTF-8 otherwise are Windows-1252's.
    #[default]
    Declared,
    /// The original's way: UTF-8 if all of it is, or else ISO-8859-1.
    Utf8OrLatin1,
}

/// Bytes of a file in which its header declares the encoding: those of 1990 came before encodings.
const HEADER: usize = 8 << 10;

impl Decode {
    /// The characters of a file, and the name of its encoding. A byte order mark stays.
    pub fn decode(self, bytes: Vec<u8>) -> (String, &'static str) {
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => return (text, UTF_8.name()),
            Err(error) => error.into_bytes(),
        };
        match self {
            Decode::Utf8OrLatin1 => (bytes.iter().map(|byte| char::from(*byte)).collect(), "ISO-8859-1"),
            Decode::Declared => declared(&bytes),
        }
    }
}

fn declared(bytes: &[u8]) -> (String, &'static str) {
    let wide = [(&b"\xff\xfe"[..], UTF_16LE), (b"\xfe\xff", UTF_16BE)];
    if let Some((_, encoding)) = wide.into_iter().find(|(mark, _)| bytes.starts_with(mark)) {
        return with(encoding, bytes);
    }
    let said = declaration(bytes);
    if bytes.starts_with(b"\xef\xbb\xbf") || said == Some(UTF_8) || said.is_none() && is_mostly_utf8(bytes) {
        return (mixed(bytes), UTF_8.name());
    }
    with(said.unwrap_or(WINDOWS_1252), bytes)
}

fn with(encoding: &'static Encoding, bytes: &[u8]) -> (String, &'static str) {
    (encoding.decode_without_bom_handling(bytes).0.into_owned(), encoding.name())
}

/// What the header says: `Character set encoding: ISO-8859-1`.
fn declaration(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEADER)]);
    let said = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim().to_ascii_lowercase();
        (name.ends_with("character set encoding") || name == "character set").then(|| value.trim().to_owned())
    })?;
    // `ISO-646-US (US-ASCII)` and `ISO Latin-1` name more than an encoding, or no known one.
    Encoding::for_label(said.split([' ', ',', '(']).next().unwrap_or_default().as_bytes())
}

/// Whether more of the bytes beyond ASCII make characters of UTF-8 than do not.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0, 0);
    for piece in bytes.utf8_chunks() {
        good += piece.valid().bytes().filter(|byte| !byte.is_ascii()).count();
        bad += piece.invalid().len();
    }
    good > bad
}

/// UTF-8 with stray bytes of Windows-1252 in it: somebody pasted a quotation.
fn mixed(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for piece in bytes.utf8_chunks() {
        text.push_str(piece.valid());
        text.push_str(&WINDOWS_1252.decode_without_bom_handling(piece.invalid()).0);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], text: &str, encoding: &str) {
        assert_eq!(Decode::Declared.decode(bytes.to_vec()), (text.to_owned(), encoding));
    }

    #[test]
    fn a_file_is_what_it_says_or_looks_like() {
        check("Gabriël".as_bytes(), "Gabriël", "UTF-8");
        check("\u{feff}Gabriël".as_bytes(), "\u{feff}Gabriël", "UTF-8");
        check(b"Gabri\xebl", "Gabriël", "windows-1252");
        check(b"\x93Gabri\xebl\x94 \x97 \x85", "“Gabriël” — …", "windows-1252");
        check(
            b"Character set encoding: ISO-8859-2\r\n\xb3\xf3d\xbc",
            "Character set encoding: ISO-8859-2\r\nłódź",
            "ISO-8859-2",
        );
        check(
            b"Character set encoding: ISO-8859-1\n\x93\xe9\x94",
            "Character set encoding: ISO-8859-1\n“é”",
            "windows-1252",
        );
        check(b"Character set: Big5\n\xa4\xa4", "Character set: Big5\n中", "Big5");
        check(b"Character set encoding: Codepage 850\n\xeb", "Character set encoding: Codepage 850\në", "windows-1252");
        check(b"\xff\xfea\0\xeb\0", "\u{feff}aë", "UTF-16LE");
        check(b"\xfe\xff\0a\0\xeb", "\u{feff}aë", "UTF-16BE");
    }

    #[test]
    fn a_stray_byte_does_not_spoil_the_rest() {
        check("“Gabriël” said \u{80}".as_bytes(), "“Gabriël” said \u{80}", "UTF-8");
        check(b"\xe2\x80\x9cGabri\xc3\xabl\xe2\x80\x9d it\x92s", "“Gabriël” it’s", "UTF-8");
        check(b"Character set encoding: UTF-8\n\xe9t\xe9", "Character set encoding: UTF-8\nété", "UTF-8");
    }

    #[test]
    fn the_original_knew_two_encodings() {
        let original = |bytes: &[u8]| Decode::Utf8OrLatin1.decode(bytes.to_vec());
        assert_eq!(original(b"\x93\xeb"), ("\u{93}ë".to_owned(), "ISO-8859-1"));
        assert_eq!(original("ë".as_bytes()), ("ë".to_owned(), "UTF-8"));
    }
}
