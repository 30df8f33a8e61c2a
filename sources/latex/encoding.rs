//! What characters the bytes of a LaTeX file stand for.

use std::borrow::Cow;

use encoding_rs::Encoding;
use memchr::memmem;

/// The options of `inputenc` and, for CJK, of the package of that name, by the encoding they mean.
const DECLARED: [(&[u8], &str); 26] = [
    (b"latin1", "windows-1252"),
    (b"latin2", "iso-8859-2"),
    (b"latin3", "iso-8859-3"),
    (b"latin4", "iso-8859-4"),
    (b"latin5", "windows-1254"),
    (b"latin9", "iso-8859-15"),
    (b"latin10", "iso-8859-16"),
    (b"ansinew", "windows-1252"),
    (b"cp1250", "windows-1250"),
    (b"cp1251", "windows-1251"),
    (b"cp1252", "windows-1252"),
    (b"cp1257", "windows-1257"),
    (b"cp866", "ibm866"),
    (b"koi8-r", "koi8-r"),
    (b"koi8-u", "koi8-u"),
    (b"applemac", "macintosh"),
    (b"maccyr", "x-mac-cyrillic"),
    (b"iso88595", "iso-8859-5"),
    (b"GB", "gbk"),
    (b"GBK", "gbk"),
    (b"Bg5", "big5"),
    (b"KS", "euc-kr"),
    (b"JIS", "euc-jp"),
    (b"SJIS", "shift_jis"),
    (b"utf8", "utf-8"),
    (b"utf8x", "utf-8"),
];

/// The encoding that a file declares, if it is one of one byte or of China, Japan or Korea.
pub(crate) fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    for (before, after) in [(&b"["[..], &b"]{inputenc}"[..]), (b"\\inputencoding{", b"}"), (b"\\begin{CJK*}{", b"}")]
        .into_iter()
        .chain([(&b"\\begin{CJK}{"[..], &b"}"[..])])
    {
        let found = match after.len() {
            1 => memmem::find(bytes, before).and_then(|at| {
                let option = &bytes[at + before.len()..];
                Some(&option[..memchr::memchr(b'}', &option[..option.len().min(16)])?])
            }),
            _ => memmem::find(bytes, after).and_then(|end| {
                Some(
                    &bytes
                        [memchr::memrchr(b'[', &bytes[end.saturating_sub(40)..end])? + end.saturating_sub(40) + 1..end],
                )
            }),
        };
        let Some(option) = found else { continue };
        let known = DECLARED.iter().find(|(name, _)| *name == option.trim_ascii());
        if let Some((_, label)) = known.filter(|(_, label)| *label != "utf-8") {
            return Encoding::for_label(label.as_bytes());
        }
    }
    None
}

/// A file's text and the name of the encoding that it was found to be in.
///
/// UTF-8 with or without a byte order mark, and UTF-16 with one, are recognised. In what is mostly
/// UTF-8, each byte that is not is taken for Windows-1252, as when a name was pasted into a file.
/// Anything else is in the encoding that the project declares, or in Windows-1252, which is Latin-1
/// with quotes and dashes where that has control characters.
pub(crate) fn decode(bytes: Vec<u8>, declared: Option<&'static Encoding>) -> (String, &'static str) {
    if let Some((encoding, length)) = Encoding::for_bom(&bytes) {
        let (text, _) = encoding.decode_without_bom_handling(&bytes[length..]);
        return (text.into_owned(), encoding.name());
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return (text, "UTF-8"),
        Err(error) => error.into_bytes(),
    };
    let (mut beyond_ascii, mut broken) = (0, 0);
    for part in bytes.utf8_chunks() {
        beyond_ascii += part.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += part.invalid().len();
    }
    if beyond_ascii > broken {
        let mut text = String::with_capacity(bytes.len() + 2 * broken);
        for part in bytes.utf8_chunks() {
            text.push_str(part.valid());
            text.push_str(&windows_1252(part.invalid()));
        }
        return (text, "UTF-8, with bytes of windows-1252");
    }
    if let Some(encoding) = declared {
        let (text, broken) = encoding.decode_without_bom_handling(&bytes);
        // Big5 that breaks is not Big5; an encoding of one byte breaks at most at unassigned ones.
        if !broken || encoding.is_single_byte() {
            return (text.into_owned(), encoding.name());
        }
    }
    (windows_1252(&bytes).into_owned(), "windows-1252")
}

fn windows_1252(bytes: &[u8]) -> Cow<'_, str> {
    encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], text: &str, encoding: &str) {
        assert_eq!(decode(bytes.to_vec(), declared(bytes)), (text.to_owned(), encoding), "{bytes:?}");
    }

    #[test]
    fn accents_are_read_as_they_were_typed() {
        check(b"caf\xc3\xa9", "café", "UTF-8");
        check(b"\xef\xbb\xbfcaf\xc3\xa9", "café", "UTF-8");
        check(b"\xff\xfea\0\xe9\0", "aé", "UTF-16LE");
        check(b"caf\xe9 \x96 th\xe9", "café – thé", "windows-1252");
        check(b"\xc3\xa9\xc3\xa8\xc3\xa0 \xe9", "éèà é", "UTF-8, with bytes of windows-1252");
        check(b"\\usepackage[latin2]{inputenc} \xb3", "\\usepackage[latin2]{inputenc} ł", "ISO-8859-2");
        check(b"\\usepackage[ koi8-r]{inputenc} \xc1", "\\usepackage[ koi8-r]{inputenc} а", "KOI8-R");
        check(b"\\usepackage[utf8]{inputenc} \xe9", "\\usepackage[utf8]{inputenc} é", "windows-1252");
        check(b"\\begin{CJK*}{GBK}{song}\xc4\xe3", "\\begin{CJK*}{GBK}{song}你", "GBK");
        check(b"\\begin{CJK}{Bg5} \xff\xff", "\\begin{CJK}{Bg5} ÿÿ", "windows-1252");
        check(b"]{inputenc}\\inputencoding{latin9} \xa4", "]{inputenc}\\inputencoding{latin9} €", "ISO-8859-15");
    }
}
