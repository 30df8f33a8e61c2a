//! Where within a stage of a pipeline's text something stands, so that a message points at the value that
//! is wrong: what the parser no longer knows when an option turns out wrong later.

use crate::failure::Place;

/// Places within a stage, which begins at its own place.
pub struct Within<'t> {
    text: &'t str,
    whole: Place,
}

/// A character with its line (from 0) and its byte there.
type At = (usize, usize);

impl<'t> Within<'t> {
    /// Within a stage of a text.
    pub fn new(text: &'t str, whole: Place) -> Within<'t> {
        Within { text, whole }
    }

    /// Where a word stands, as a whole one, or the stage itself.
    pub fn word(self, word: &str) -> Place {
        match self.find(self.start(), word, |_, _| true) {
            Some(at) => self.place(at, word.chars().count()),
            None => self.whole,
        }
    }

    /// Where the name of an option stands.
    pub fn key(&self, option: &str) -> Option<Place> {
        let at = self.option(self.start(), option)?;
        Some(self.place(at, option.chars().count()))
    }

    /// The first place from one on where an option is named.
    fn option(&self, from: At, option: &str) -> Option<At> {
        self.find(from, option, |before, after| {
            let after = after.trim_start_matches(['"', '\'']).trim_start();
            let before = before.trim_end_matches(['"', '\'']).trim_end();
            after.starts_with(':') && (before.is_empty() || before.ends_with(['{', ',', '-', ':', '[']))
        })
    }

    /// Where the value of an option stands. An option within an option is named by all of their names.
    pub fn value(&self, options: &[&str]) -> Option<Place> {
        let mut from = self.start();
        for option in options {
            let (line, at) = self.option(from, option)?;
            let rest = &self.line(line)[at..];
            from = self.next((line, at + rest.find(':')? + 1))?;
        }
        Some(self.place(from, width_of_value(&self.line(from.0)[from.1..])))
    }

    fn line(&self, number: usize) -> &'t str {
        self.text.lines().nth(number).unwrap_or_default()
    }

    fn start(&self) -> At {
        let line = self.whole.line.saturating_sub(1);
        let column = self.line(line).char_indices().nth(self.whole.column.saturating_sub(1));
        (line, column.map_or(0, |(at, _)| at))
    }

    /// The lines of the stage, each with the byte from which on it is its.
    fn lines(&self, from: At) -> impl Iterator<Item = (usize, usize, &'t str)> {
        let indent = self.whole.column.saturating_sub(1);
        let (first, at) = from;
        let own = self.whole.line.saturating_sub(1);
        self.text
            .lines()
            .enumerate()
            .skip(first)
            .take_while(move |(number, line)| {
                let blank = line.chars().take_while(|character| *character == ' ').count();
                *number == own || blank >= indent || line.trim().is_empty()
            })
            .map(move |(number, line)| (number, if number == first { at } else { 0 }, line))
    }

    /// The first place from one on where a word stands, and what stands around it is as it should be.
    fn find(&self, from: At, word: &str, fits: impl Fn(&str, &str) -> bool) -> Option<At> {
        let part = |character: char| character.is_alphanumeric() || character == '_';
        self.lines(from).find_map(|(number, start, line)| {
            let line = without_comment(line);
            line.match_indices(word).filter(|(at, _)| *at >= start && !word.is_empty()).find_map(|(at, _)| {
                let (before, after) = (&line[..at], &line[at + word.len()..]);
                let longer =
                    before.ends_with(part) && word.starts_with(part) || after.starts_with(part) && word.ends_with(part);
                (!longer && fits(before, after)).then_some((number, at))
            })
        })
    }

    /// The first character from one on that is neither white space nor a comment.
    fn next(&self, from: At) -> Option<At> {
        self.lines(from).find_map(|(number, start, line)| {
            let rest = without_comment(line).get(start..)?;
            let blank = rest.len() - rest.trim_start().len();
            (blank < rest.len()).then_some((number, start + blank))
        })
    }

    fn place(&self, (line, at): At, width: usize) -> Place {
        let text = self.line(line);
        let column = text[..at].chars().count() + 1;
        Place { file: self.whole.file.clone(), line: line + 1, column, width: width.max(1), text: text.to_owned() }
    }
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.find(" #").map_or(line, |at| &line[..at])
}

/// The characters of a value, as far as it stands on one line.
fn width_of_value(rest: &str) -> usize {
    let rest = without_comment(rest);
    let value = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest, |end| &rest[..end + 2]),
        // A map or a list, to its end or that of the line.
        Some(open @ ('{' | '[')) => {
            let close = if open == '{' { '}' } else { ']' };
            let mut depth = 0;
            let end = rest.char_indices().find(|(_, character)| {
                depth += i32::from(*character == open) - i32::from(*character == close);
                depth == 0
            });
            end.map_or(rest, |(end, _)| &rest[..=end])
        }
        _ => rest.split([',', '}', ']']).next().unwrap_or(rest),
    };
    value.trim_end().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is underlined of a text in which the stage begins where `▸` stands.
    fn underlined(text: &str, find: impl Fn(Within<'_>) -> Place) -> String {
        let (before, after) = text.split_once('▸').unwrap();
        let clean = format!("{before}{after}");
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        let whole = Place { file: "p".into(), line: line + 1, column, width: 1, text: String::new() };
        let place = find(Within::new(&clean, whole));
        let shown = clean.lines().nth(place.line - 1).unwrap();
        shown.chars().skip(place.column - 1).take(place.width).collect()
    }

    #[test]
    fn a_value_is_found_and_not_its_letters_elsewhere() {
        let run =
            |text: &str, options: &[&str]| underlined(text, |within| within.value(options).unwrap_or(within.whole));
        assert_eq!(run("  - ▸exact_dedup: { against: a }\n", &["against"]), "a");
        assert_eq!(run("  - ▸exact_dedup: { against: \"\", guard: { share: 1 } }\n", &["against"]), "\"\"");
        assert_eq!(run("  - ▸exact_dedup: {against: 'a b'}\n", &["against"]), "'a b'");
        assert_eq!(run("  - ▸exact_dedup:\n      # against: no\n      against: ../a # why\n", &["against"]), "../a");
        assert_eq!(run("  - ▸d: { against: { run: a, then: mark } }\n", &["against", "run"]), "a");
        assert_eq!(run("  - ▸d: { against: { run: {}, then: mark } }\n", &["against"]), "{ run: {}, then: mark }");
        assert_eq!(run("  - ▸d:\n      against:\n        run: é/a\n", &["against", "run"]), "é/a");
        assert_eq!(run("  - ▸d: { guard: { share: 1 }, share: 0.5 }\n", &["guard", "share"]), "1");
        assert_eq!(run("stages: [▸d: { \"against\": a }, e: {}]\n", &["against"]), "a");
        // Not of this stage: the stage itself.
        assert_eq!(run("  - ▸d: {}\n  - e: { against: a }\n", &["against"]), "d");
        assert_eq!(run("  - ▸d: { against_all: a }\n", &["against"]), "d");
    }

    #[test]
    fn a_word_is_found_as_a_whole_one() {
        let word = |text: &str, word: &str| underlined(text, |within| within.word(word));
        let column = |text: &str, of: &str| {
            let whole = Place { file: "p".into(), line: 1, column: 5, width: 1, text: String::new() };
            Within::new(text, whole).word(of).column
        };
        assert_eq!(word("  - ▸keep_if: { lines: { max: 3 } }\n", "lines"), "lines");
        assert_eq!(column("  - d: { max_lines: 1, lines: 2 }", "lines"), 24);
        assert_eq!(column("  - d: { keep: { highest: d.x } }", "d.x"), 27);
        assert_eq!(word("  - ▸d: {}\n", "x"), "d");
        assert_eq!(word("  - ▸d: {}\n", ""), "d");
    }
}
