//! Reading YAML: what is wrong is said in words, at the very value.

use std::collections::BTreeMap;

pub use corpus::failure::closest;
use corpus::failure::{bare, expected};
use serde::{Deserialize, de};
use serde_saphyr::Spanned;

use super::Pipeline;
use super::place::Within;
use crate::failure::{Failure, Place, Result};

/// Reads a pipeline.
pub fn parse_pipeline(file: &str, text: &str) -> Result<Pipeline> {
    check_items(file, text)?;
    parse(file, text)
}

/// A pipeline as far as its lists of stages go.
#[derive(Deserialize)]
struct Lists {
    #[serde(default)]
    slices: BTreeMap<String, Option<List>>,
    #[serde(default)]
    stages: Vec<Spanned<serde_json::Value>>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    stages: Vec<Spanned<serde_json::Value>>,
}

/// Every item of a list of stages is a map. The parser takes a bare name for a stage whose options
/// come next, and so the next item for its options.
fn check_items(file: &str, text: &str) -> Result<()> {
    let options = serde_saphyr::options! { with_snippet: false };
    // Whatever else is wrong is found when the pipeline is read.
    let Ok(lists) = serde_saphyr::from_str_with_options::<Lists>(text, options) else { return Ok(()) };
    let known: Vec<&str> = stages::told().iter().map(|told| told.name).collect();
    for item in lists.slices.values().flatten().flat_map(|list| &list.stages).chain(&lists.stages) {
        let (message, hint) = match &item.value {
            serde_json::Value::String(name) => match closest(name, &known) {
                Some(close) => {
                    (format!("`{name}` without its options"), format!("a stage is a map: `- {close}: {{}}`"))
                }
                None => (format!("unknown stage `{name}`"), "`redpajama stages` lists them all".to_owned()),
            },
            serde_json::Value::Object(keys) if !keys.is_empty() => continue,
            serde_json::Value::Object(_) | serde_json::Value::Null => {
                let hint = "a stage is its name with its options, such as `- empty_text: {}`; `redpajama stages` \
                            lists them all";
                ("the name of a stage is missing".to_owned(), hint.to_owned())
            }
            _ => {
                let hint = "a stage is its name with its options, such as `- empty_text: {}`";
                ("expected a stage".to_owned(), hint.to_owned())
            }
        };
        return Err(Failure::configuration(message).hint(hint).at(place(file, text, item.referenced)));
    }
    Ok(())
}

/// Reads YAML; an error points at the very value.
pub fn parse<T: de::DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| in_words(file, text, error.without_snippet()))
}

/// Where the parser found something.
pub fn place(file: &str, text: &str, location: serde_saphyr::Location) -> Place {
    let from = (location.line() as usize, location.column() as usize);
    Place::of(file, text, from, location.span().len() as usize)
}

fn in_words(file: &str, text: &str, error: &serde_saphyr::Error) -> Failure {
    use serde_saphyr::Error;
    let located = |failure: Failure| match error.location() {
        Some(location) if location.line() > 0 => {
            let place = place(file, text, location);
            // Of a map whose options do not fit together: at the first option that is named.
            let word = match error {
                Error::SerdeUnknownVariant { .. } | Error::SerdeUnknownField { .. } => None,
                Error::SerdeMissingField { .. } | Error::DuplicateMappingKey { .. } => None,
                _ => named_option(text, &place, &failure.message),
            };
            failure.at(word.unwrap_or(place))
        }
        _ => Failure { message: format!("{file}: {}", failure.message), ..failure },
    };
    let (message, hint) = match error {
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let kind = if expected.contains(&"tokenize") {
                "stage"
            } else if expected.contains(&"github") {
                "slice"
            } else {
                "value"
            };
            let hint = match (closest(variant, expected), kind) {
                (Some(close), "stage") => format!("did you mean `{close}`? `redpajama stages` lists them all"),
                (Some(close), "slice") => format!("did you mean `{close}`? `redpajama sources` lists them all"),
                (Some(close), _) => format!("did you mean `{close}`?"),
                (None, "stage") => "`redpajama stages` lists them all".to_owned(),
                _ => format!("known are: {}", expected.join(", ")),
            };
            (format!("unknown {kind} `{variant}`"), Some(hint))
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            let hint = match (closest(field, expected), expected.is_empty()) {
                (Some(close), _) => format!("did you mean `{close}`?"),
                (None, true) => "it has no options: write `{}`".to_owned(),
                (None, false) => format!("known are: {}", expected.join(", ")),
            };
            (format!("unknown option `{field}`"), Some(hint))
        }
        Error::SerdeMissingField { field, .. } => {
            (format!("`{field}` is missing"), Some(teller(text, error.location())))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("the same key");
            (format!("`{key}` is there twice"), Some("keep one of them".to_owned()))
        }
        other => {
            let words = other.to_string();
            let (message, mut hint) = friendly(bare(&words), &word_at(text, error.location()));
            if matches!(other, Error::InvalidScalar { .. })
                && error.location().is_some_and(|place| goes_on(text, place))
            {
                hint = Some("the value goes on in the next line: is a `}`, a `]` or a quote missing?".to_owned());
            }
            (message, hint.or_else(|| Some(teller(text, error.location()))))
        }
    };
    let failure = located(Failure::configuration(message));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Of the options that a message about a map names in backticks, the place of the first that stands in it.
fn named_option(text: &str, map: &Place, message: &str) -> Option<Place> {
    let from: String = map.text.chars().skip(map.column - 1).collect();
    let is_map = from.starts_with('{') || from.split(':').next().is_some_and(|key| key != from && is_word(key));
    let named = message.split('`').skip(1).step_by(2).filter_map(|words| words.split(':').next());
    named.filter(|word| is_map && is_word(word)).find_map(|word| Within::new(text, map.clone()).key(word))
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// The command that tells what may stand at a place of a pipeline: options of a stage or of a
/// source, or keys of the pipeline itself.
fn teller(text: &str, location: Option<serde_saphyr::Location>) -> String {
    let known: Vec<&str> = stages::told().iter().map(|told| told.name).collect();
    let slices: Vec<&str> = sources::told().iter().map(|told| told.name).collect();
    let (line, column) = location.map_or((0, 0), |place| (place.line() as usize, place.column() as usize));
    let mut within = usize::MAX;
    let mut in_source = false;
    for (number, shown) in text.lines().enumerate().take(line).collect::<Vec<_>>().into_iter().rev() {
        let here = number + 1 == line;
        let key = shown.trim_start_matches([' ', '-']);
        let (indent, dashed) = (shown.len() - shown.trim_start().len(), shown.trim_start().starts_with('-'));
        if key.is_empty() || key.starts_with('#') || indent >= within {
            continue;
        }
        // A key tells of its value alone, and of what lies deeper.
        let named = key.split_once(':').map(|(name, _)| name);
        if let Some(name) = named
            && (!here || shown.len() - key.len() + name.len() < column)
        {
            if dashed && known.contains(&name) {
                return format!("`redpajama stages {name}` tells its options");
            }
            if in_source && slices.contains(&name) {
                return format!("`redpajama sources {name}` tells its options");
            }
            in_source |= name == "source";
        }
        within = indent;
    }
    "`redpajama schema` tells what each key of a pipeline takes".to_owned()
}

/// Whether what stands at a place ends in another line.
fn goes_on(text: &str, location: serde_saphyr::Location) -> bool {
    let line = text.lines().nth((location.line() as usize).saturating_sub(1)).unwrap_or_default();
    let left = line.chars().count().saturating_sub((location.column() as usize).saturating_sub(1));
    location.span().len() as usize > left
}

/// The word at a place, up to what ends a value in YAML.
fn word_at(text: &str, location: Option<serde_saphyr::Location>) -> String {
    let Some(location) = location else { return String::new() };
    let line = text.lines().nth((location.line() as usize).saturating_sub(1)).unwrap_or_default();
    let from = line.chars().skip((location.column() as usize).saturating_sub(1));
    from.take_while(|c| !c.is_whitespace() && !",]}".contains(*c)).collect()
}

/// The parser's own complaints of a value, for people who do not know its types.
fn friendly(words: &str, value: &str) -> (String, Option<String>) {
    let whole = [("invalid u64", u64::MAX), ("invalid usize", u64::MAX), ("invalid u32", u64::from(u32::MAX))];
    if let Some((_, most)) = whole.iter().find(|(start, _)| words.starts_with(start)) {
        let digits = value.trim_start_matches('+').replace('_', "");
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        return match is_number && digits.parse::<u64>().map_or(true, |value| value > *most) {
            true => (format!("{value} is too large: expected a whole number from 0 to {most}"), None),
            false => ("expected a whole number from 0".to_owned(), None),
        };
    }
    if let Some(say) = expected(words) {
        return (say.to_owned(), words.starts_with("tabs disallowed").then(|| "indent with spaces".to_owned()));
    }
    let own = [
        ("invalid i64", "expected a whole number", None),
        ("unclosed quote", "a quote that is never closed", Some("end the text with the quote that it begins with")),
        (
            "while parsing a block mapping",
            "expected a key",
            Some("the keys of one map begin in the same column, and each ends with `: `"),
        ),
        (
            "alias references unknown anchor",
            "a name after `*` that no `&` gave",
            Some("put quotes around a text that begins with `*`, such as a pattern: \"*.json.gz\""),
        ),
    ];
    if let Some((_, say, hint)) = own.iter().find(|(start, ..)| words.starts_with(start)) {
        return ((*say).to_owned(), hint.map(str::to_owned));
    }
    if words.starts_with("expected mapping start") || words.contains("externally tagged enum") {
        let hint = "write keys and values in braces, such as `{ max: 1000 }`, or `{}` for the defaults";
        return ("expected a map".to_owned(), Some(hint.to_owned()));
    }
    if words.starts_with("expected end of mapping after enum variant") {
        let hint = "each stage is an item of the list, with its own `-`";
        return ("two stages in one item".to_owned(), Some(hint.to_owned()));
    }
    if words.starts_with("unexpected end of input") {
        return ("the pipeline is empty".to_owned(), Some("`redpajama build github --print` shows one".to_owned()));
    }
    if words.starts_with("expected sequence start") {
        return ("expected a list".to_owned(), Some("write it in brackets: `[first, second]`".to_owned()));
    }
    if words.starts_with("multiple YAML documents") {
        return ("a pipeline is one YAML document".to_owned(), Some("remove `---` and what follows it".to_owned()));
    }
    (words.to_owned(), None)
}
