//! Numbers and lines as people read them, for every command alike.

/// A number with its thousands apart: `1,234,567`.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The pieces of a line that fit into a width, from the first on, put together by what stands
/// between them. The first is there whole or cut, and no other one is cut.
pub fn fitting(pieces: &[String], between: &str, width: usize) -> String {
    let mut line = String::new();
    for (number, piece) in pieces.iter().enumerate() {
        if number == 0 {
            line.extend(piece.chars().take(width));
        } else if line.chars().count() + between.chars().count() + piece.chars().count() <= width {
            line += between;
            line += piece;
        } else {
            break;
        }
    }
    line
}
