//! The letters by which byte-level tokenizers spell bytes.

/// The letter for a byte in a byte-level vocabulary, as GPT-2 chose them: printable Latin-1
/// characters stand for themselves, the 68 others for the characters from U+0100 on, in order.
pub(super) fn letter(byte: u8) -> char {
    let code = u32::from(byte);
    let code = match code {
        0..=0x20 => 0x100 + code,
        0x7F..=0xA0 => 0x100 + 0x21 + code - 0x7F,
        0xAD => 0x100 + 0x43,
        _ => code,
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[test]
fn every_byte_has_a_letter_of_its_own() {
    let letters: std::collections::BTreeSet<char> = (0..=255).map(letter).collect();
    assert_eq!(letters.len(), 256);
    assert_eq!((letter(b' '), letter(b'\n'), letter(0xAD), letter(b'a')), ('Ġ', 'Ċ', 'Ń', 'a'));
}
