//! LaTeX: comments, macros, encodings, and the text that they make.

pub(crate) mod comments;
pub(crate) mod encoding;
pub(crate) mod expand;
pub(crate) mod macros;
mod math;
pub(crate) mod original;

/// Bytes of a control word at the start: letters, and `@`, which is one inside packages.
pub(crate) fn word(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'@').count()
}

/// Whether a text ends in a control word, such as `\alpha`: a letter must not follow it directly.
pub(crate) fn ends_in_word(text: &[u8]) -> bool {
    let letters = text.iter().rev().take(64).take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'@').count();
    letters > 0 && text[..text.len() - letters].ends_with(b"\\") && !text[..text.len() - letters].ends_with(b"\\\\")
}

/// White space at the start that TeX skips, up to an empty line, which ends a paragraph.
pub(crate) fn blanks(bytes: &[u8]) -> usize {
    let mut lines = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if lines == 1 => return at,
            b'\n' => lines += 1,
            b' ' | b'\t' => {}
            _ => return at,
        }
    }
    bytes.len()
}

/// The end of a group that begins here with `open`: behind the `close` that balances it. Inside, `\{`
/// and `\}` are no braces. Nothing if it does not end within so many bytes.
pub(crate) fn group(bytes: &[u8], open: u8, close: u8, most: usize) -> Option<usize> {
    if bytes.first() != Some(&open) {
        return None;
    }
    let bytes = &bytes[..bytes.len().min(most)];
    let (mut depth, mut braces, mut at) = (0_usize, 0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            // A bracket inside braces is none.
            b'{' if open != b'{' => braces += 1,
            b'}' if open != b'{' => braces = braces.checked_sub(1)?,
            byte if byte == open && braces == 0 => depth += 1,
            byte if byte == close && braces == 0 => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Environments whose content TeX takes as it is.
pub(crate) fn is_verbatim(environment: &[u8]) -> bool {
    let environment = environment.strip_suffix(b"*").unwrap_or(environment);
    matches!(
        environment,
        b"verbatim" | b"Verbatim" | b"BVerbatim" | b"LVerbatim" | b"lstlisting" | b"minted" | b"filecontents"
    )
}

/// The name of the environment in `{name}` at the start.
pub(crate) fn environment(bytes: &[u8]) -> Option<&[u8]> {
    let at = blanks(bytes);
    let name = bytes.get(at..)?.strip_prefix(b"{")?;
    Some(&name[..memchr::memchr(b'}', &name[..name.len().min(64)])?])
}

/// Bytes of `\verb|…|` behind its name, if it closes in its line.
pub(crate) fn verb(bytes: &[u8]) -> Option<usize> {
    let star = usize::from(bytes.first() == Some(&b'*'));
    let delimiter = *bytes.get(star)?;
    if delimiter.is_ascii_alphabetic() || delimiter.is_ascii_whitespace() || !delimiter.is_ascii() {
        return None;
    }
    let content = &bytes[star + 1..bytes.len().min(star + 1024)];
    let end = memchr::memchr2(delimiter, b'\n', content)?;
    (content[end] == delimiter).then_some(star + 1 + end + 1)
}
