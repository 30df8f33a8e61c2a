//! What commands end with that have not done their work, alike: the exit code, the place in a text that is wrong,
//! what was most likely meant, and the words around them.

use std::fmt::Write;

/// The exit codes of a command, as its `--help` documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The world failed us: worth another try.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A pipeline, a configuration, an option, a model or tokens that do not fit: trying again gives the same.
    Configuration = 64,
    /// A file that is not as it was written, more damaged input than allowed, or a dedup that takes more than its
    /// guard allows.
    Damaged = 65,
    /// Ctrl-C.
    Interrupted = 130,
}

/// A place in a text that the user wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or what else the text is called.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters to underline.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Place {
    /// What begins at a line and column of a text, both from 1, as far as one line shows it: a map or a list is
    /// underlined from its start to the end of its first line.
    pub fn of(file: &str, text: &str, (line, column): (usize, usize), length: usize) -> Place {
        let column = column.max(1);
        let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let left = shown.chars().count().saturating_sub(column - 1);
        Place { file: file.to_owned(), line, column, width: length.clamp(1, left.max(1)), text: shown.to_owned() }
    }
}

/// A failure as it is shown: what, where, what to do.
pub fn words(message: &str, place: Option<&Place>, hint: Option<&str>) -> String {
    let mut words = format!("error: {message}");
    if let Some(place) = place {
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let before: String =
            place.text.chars().take(place.column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        let _ = write!(words, "\n{margin}--> {}:{}:{}", place.file, place.line, place.column);
        let _ = write!(words, "\n{margin} |\n{number} | {}", place.text);
        let _ = write!(words, "\n{margin} | {before}{}", "^".repeat(place.width));
    }
    if let Some(hint) = hint {
        let _ = write!(words, "\nhint: {hint}");
    }
    words
}

/// The known word that someone most likely meant.
pub fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let distance = |known: &str| strsim::damerau_levenshtein(&word, &known.replace('-', "_"));
    let close = known.iter().copied().min_by_key(|known| distance(known))?;
    let near = distance(close) <= 1 + word.len() / 4 || (word.len() > 3 && close.contains(&word));
    near.then_some(close)
}

/// What the parser of YAML says of a value, without the place, which is shown by itself.
pub fn bare(words: &str) -> &str {
    words.rfind(" at line ").map_or(words, |at| &words[..at])
}

/// What the parser of YAML says, for people who do not know its types; nothing where that depends on what is read.
pub fn expected(words: &str) -> Option<&'static str> {
    let expected = [
        ("invalid f64", "expected a number"),
        ("invalid f32", "expected a number"),
        ("invalid floating point", "expected a number"),
        ("invalid bool", "expected true or false"),
        ("expected string scalar", "expected one value, not a list or a map"),
        ("tabs disallowed", TAB),
    ];
    expected.iter().find(|(start, _)| words.starts_with(start)).map(|(_, say)| *say)
}

/// What is said of a tab.
pub const TAB: &str = "a tab where YAML allows spaces alone";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_underlined_as_far_as_its_line_goes() {
        let text = "a: 1\n\tb: [many,\n  more]\n";
        let place = Place::of("run.yaml", text, (2, 5), 14);
        assert_eq!((place.column, place.width, place.text.as_str()), (5, 6, "\tb: [many,"));
        assert_eq!(
            words("too many", Some(&place), Some("take one")),
            "error: too many\n --> run.yaml:2:5\n  |\n2 | \tb: [many,\n  | \t   ^^^^^^\nhint: take one"
        );
        assert_eq!(words("too many", None, None), "error: too many");
        // Of a place that the text does not have, nothing is shown.
        let beyond = Place::of("run.yaml", text, (9, 0), 0);
        assert_eq!((beyond.column, beyond.width, beyond.text.as_str()), (1, 1, ""));
    }

    #[test]
    fn the_word_that_was_meant_is_near_or_holds_the_one_that_was_written() {
        let known = ["line_length", "pythia-14m", "exact_dedup"];
        for (word, close) in [
            ("line_lenght", Some("line_length")),
            ("Line-Length", Some("line_length")),
            ("pythia_15m", Some("pythia-14m")),
            ("dedup", Some("exact_dedup")),
            ("max", None),
        ] {
            assert_eq!(closest(word, &known), close, "{word}");
        }
        assert_eq!(closest("any", &[]), None);
    }
}
