//! Writes which pages C4 would keep, and what it would leave of them.

use std::borrow::Cow;

use corpus::words::{Span, Split};
use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heuristics::{characters, place, sentences, share, strip};
use crate::{Stage, Workspace};

/// Writes what C4's rules judge (Raffel et al. 2020, section 2.2), leaving the text as it is.
///
/// C4 keeps a line that ends with a period, an exclamation mark, a question mark or a closing quotation
/// mark (but not with an ellipsis), has enough words, and says neither `javascript` nor a phrase of
/// policies about cookies and privacy; `[1]`, `[edit]` and `[citation needed]` go first. Of the lines
/// that stay it counts the sentences, as spaCy parts them. A page goes for `lorem ipsum`, for `{`, or
/// for too few sentences: `keep_if: { preset: c4 }` after it. `c4_lines` leaves only these lines.
/// Bad words are the business of `rps_doc_ldnoobw_words`, of `signals`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct C4 {
    /// Which lines stay.
    pub lines: LineRules,
}

/// Which lines C4 keeps.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LineRules {
    /// The fewest words of a line: 5 in the paper and in TensorFlow Datasets, which made C4; 3 in the
    /// paper's first version and in datatrove.
    pub min_words: usize,
    /// The most characters of a word. TensorFlow Datasets and datatrove have 1000 against lines that
    /// are no text.
    pub max_word_length: usize,
    /// What a line ends with. datatrove takes `'` too.
    pub ends: Vec<String>,
    /// Whether citations, as Wikipedia has them, go from a line before it is judged.
    pub remove_citations: bool,
}

impl Default for LineRules {
    fn default() -> Self {
        let ends = [".", "?", "!", "\""].map(str::to_owned).to_vec();
        LineRules { min_words: 5, max_word_length: 1000, ends, remove_citations: true }
    }
}

/// A phrase, and the place of a letter in it that text seldom has.
type Phrase = (&'static str, usize);

const LOREM_IPSUM: Phrase = ("lorem ipsum", 7);
const JAVASCRIPT: Phrase = ("javascript", 0);
/// Phrases of lines about policies (Raffel et al. 2020, section 2.2).
const POLICIES: [Phrase; 6] = [
    ("terms of use", 7),
    ("privacy policy", 3),
    ("cookie policy", 3),
    ("uses cookies", 8),
    ("use of cookies", 10),
    ("use cookies", 7),
];

/// A line that stays or sends the page away.
pub(crate) struct Line<'t> {
    /// Where it stands in the text, without white space around it.
    pub place: Span,
    /// What is left of it.
    pub text: Cow<'t, str>,
    /// Whether it says `lorem ipsum`.
    pub lorem_ipsum: bool,
    /// Whether it has a curly bracket.
    pub curly_bracket: bool,
}

impl LineRules {
    /// The lines that stay, those that send the page away among them.
    pub(crate) fn lines<'t>(&self, text: &'t str) -> impl Iterator<Item = Line<'t>> {
        corpus::text::lines(text).filter_map(move |line| self.line(text, strip(line)))
    }

    fn line<'t>(&self, text: &str, line: &'t str) -> Option<Line<'t>> {
        let words = line.split(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
        let mut count = 0;
        for word in words.filter(|word| !word.is_empty()) {
            if word.len() > self.max_word_length && characters(word) > self.max_word_length as u64 {
                return None;
            }
            count += 1;
        }
        let left = if self.remove_citations { without_citations(line) } else { line.into() };
        let ends = self.ends.iter().any(|end| left.ends_with(end.as_str()));
        if !ends || left.ends_with("...") || count < self.min_words {
            return None;
        }
        // In C4's order: a page that goes is gone before its line would go.
        let lorem_ipsum = says(&left, LOREM_IPSUM);
        if !lorem_ipsum && says(&left, JAVASCRIPT) {
            return None;
        }
        let curly_bracket = !lorem_ipsum && left.contains('{');
        if !lorem_ipsum && !curly_bracket && POLICIES.iter().any(|policy| says(&left, *policy)) {
            return None;
        }
        Some(Line { place: place(text, line), text: left, lorem_ipsum, curly_bracket })
    }
}

/// Whether a line says a phrase, in small letters or capitals.
fn says(line: &str, (phrase, seldom): Phrase) -> bool {
    let (bytes, phrase) = (line.as_bytes(), phrase.as_bytes());
    let letter = phrase[seldom];
    memchr::memchr2_iter(letter, letter.to_ascii_uppercase(), bytes).any(|at| {
        let start = at.wrapping_sub(seldom);
        bytes.get(start..start.wrapping_add(phrase.len())).is_some_and(|part| part.eq_ignore_ascii_case(phrase))
    })
}

/// A line without `[1]`, `[]`, `[edit]`, `[citation needed]`.
fn without_citations(line: &str) -> Cow<'_, str> {
    let mut left = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'[', &line.as_bytes()[at..]) {
        let start = at + found;
        let inside = &line[start + 1..];
        let digits = inside.chars().take_while(|c| is_digit(*c)).map(char::len_utf8).sum();
        let length = ["edit]", "citation needed]"]
            .into_iter()
            .find(|citation| inside.starts_with(citation))
            .map(str::len)
            .or_else(|| inside[digits..].starts_with(']').then_some(digits + 1));
        at = start + 1;
        if let Some(length) = length {
            left.push_str(&line[from..start]);
            at += length;
            from = at;
        }
    }
    if from == 0 {
        return line.into();
    }
    left.push_str(&line[from..]);
    left.into()
}

/// A decimal digit of any script: the `\d` of Python's regular expressions.
fn is_digit(character: char) -> bool {
    use unicode_general_category::{GeneralCategory, get_general_category};
    match character.is_ascii() {
        true => character.is_ascii_digit(),
        false => get_general_category(character) == GeneralCategory::DecimalNumber,
    }
}

const WRITES: [SignalSpec; 5] = [
    SignalSpec { name: "c4_sentences", kind: SignalKind::Integer, about: "sentences of the lines that C4 keeps" },
    SignalSpec { name: "c4_lines", kind: SignalKind::Integer, about: "lines that C4 keeps" },
    SignalSpec { name: "c4_frac_lines", kind: SignalKind::Number, about: "share of lines that C4 keeps" },
    SignalSpec { name: "c4_lorem_ipsum", kind: SignalKind::Integer, about: "kept lines that say `lorem ipsum`" },
    SignalSpec { name: "c4_curly_brackets", kind: SignalKind::Integer, about: "kept lines with a `{`" },
];

impl Stage for C4 {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let text = document.text();
        let words = document.words(Split::English);
        let spans = words.spans();
        let [mut counted, mut kept, mut lorem_ipsum, mut curly_brackets] = [0u64; 4];
        let mut word = 0;
        for line in self.lines.lines(text) {
            kept += 1;
            lorem_ipsum += u64::from(line.lorem_ipsum);
            curly_brackets += u64::from(line.curly_bracket);
            counted += match &line.text {
                // A line as it stands has the document's words.
                Cow::Borrowed(_) => {
                    word += spans[word..].partition_point(|span| span.start < line.place.start);
                    let end = word + spans[word..].partition_point(|span| span.end <= line.place.end);
                    sentences((word..end).map(|at| words.get(at)))
                }
                Cow::Owned(text) => corpus::words::english(text, |words| sentences(words.iter())),
            };
        }
        let values = [
            Signal::Integer(counted as i64),
            Signal::Integer(kept as i64),
            Signal::Number(share(kept, document.lines().count as u64)),
            Signal::Integer(lorem_ipsum as i64),
            Signal::Integer(curly_brackets as i64),
        ];
        for (spec, value) in WRITES.iter().zip(values) {
            document.signals.set(spec.name, value);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::measured;

    #[track_caller]
    fn check(text: &str, [sentences, lines, share, lorem, brackets]: [&str; 5]) {
        let signals = format!(
            "c4_sentences={sentences} c4_lines={lines} c4_frac_lines={share} c4_lorem_ipsum={lorem} \
             c4_curly_brackets={brackets}"
        );
        measured("c4: { lines: { min_words: 3 } }", text, &signals);
    }

    #[test]
    fn sentences_of_good_lines_are_counted() {
        check("One line is here. So it is!\nMenu\nNot a line\nAnd one more.", ["3", "2", "0.5", "0", "0"]);
        check("It goes on...\nTwo words.\nHe said \"yes it is\"", ["1", "1", "0.3333333333333333", "0", "0"]);
        check("Mr. Smith is e.g. here.", ["1", "1", "1", "0", "0"]);
    }

    #[test]
    fn lines_about_javascript_and_cookies_go() {
        check("Please enable JavaScript now.", ["0", "0", "0", "0", "0"]);
        check("This site uses Cookies here.\nRead the Terms of Use.", ["0", "0", "0", "0", "0"]);
        check("The cookies taste good here.", ["1", "1", "1", "0", "0"]);
    }

    #[test]
    fn some_words_send_a_page_away() {
        check("Lorem Ipsum dolor { sit.\nf() { is code.\nlorem ipsum", ["2", "2", "0.6666666666666666", "1", "1"]);
    }

    #[test]
    fn citations_go_before_a_line_is_judged() {
        check("So it is, they say.[12][edit]", ["1", "1", "1", "0", "0"]);
        check("So it is, they say.[citation needed] []", ["0", "0", "0", "0", "0"]);
        check("So it is [sic] here.[", ["0", "0", "0", "0", "0"]);
        check("Ends so.[1] Goes[2] on.", ["2", "1", "1", "0", "0"]);
    }

    #[test]
    fn nothing_has_zeros() {
        check("", ["0", "0", "0", "0", "0"]);
        check(&"x".repeat(1 << 20), ["0", "0", "0", "0", "0"]);
        check(&format!("{} is a word.", "x".repeat(1001)), ["0", "0", "0", "0", "0"]);
    }
}
