//! Reading YAML: an error points at the very value, and `--set` changes one key.

use corpus::failure::{TAB, bare, expected};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use serde_saphyr::Error;

use crate::failure::{Failure, Place, Result};
pub use corpus::failure::closest;

/// Reads a configuration after setting keys in it.
pub fn read<T: DeserializeOwned>(file: &str, text: &str, set: &[String]) -> Result<T> {
    if set.is_empty() {
        return parse(file, text);
    }
    // Only what parses can be set in; whatever else is wrong is found in the result.
    let value: Value = parse(file, text)?;
    let with = |set: &mut dyn Iterator<Item = &String>| -> Result<T> {
        let mut value = value.clone();
        for assignment in set {
            assign(&mut value, assignment)?;
        }
        let text = serde_saphyr::to_string(&value)
            .map_err(|error| Failure::usage(format!("cannot write the configuration after --set: {error}")))?;
        parse(&format!("{file} (after --set)"), &text)
    };
    with(&mut set.iter()).map_err(|failure| {
        if failure.place.is_none() {
            return failure;
        }
        // It is wrong in the file, where the user sees it, or in one of the keys that were set.
        if let Err(own) = parse::<T>(file, text)
            && own.message == failure.message
        {
            return own;
        }
        let without = |left: usize| with(&mut set.iter().enumerate().filter(|(at, _)| *at != left).map(|(_, set)| set));
        match (0..set.len()).find(|left| without(*left).is_ok()) {
            Some(culprit) => {
                Failure { message: format!("--set {}: {}", set[culprit], failure.message), place: None, ..failure }
            }
            None => failure,
        }
    })
}

/// What the parser says first of `.inf` and `.nan` where it may not be.
const NOT_FINITE: &str = "non-finite float";

/// Reads YAML.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    let options = || serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        // Where the text is no YAML at all, that is what is wrong, not the value before it that it is read as.
        match serde_saphyr::from_str_with_options::<IgnoredAny>(text, options()) {
            Ok(_) => in_words(file, text, error.without_snippet()),
            // It is YAML, of a number that no value of another type can hold.
            Err(other) if other.to_string().starts_with(NOT_FINITE) => in_words(file, text, error.without_snippet()),
            Err(error) => malformed(file, text, error.without_snippet()),
        }
    })
}

/// What is wrong in a text that is no YAML, and a bracket that is open where it shows.
fn malformed(file: &str, text: &str, error: &Error) -> Failure {
    let failure = in_words(file, text, error);
    let Some(place) = &failure.place else { return failure };
    if let Some((line, column, bracket)) = unclosed(text, place.line, place.column) {
        let close = if bracket == '[' { ']' } else { '}' };
        return Failure::configuration(format!("`{bracket}` is not closed"))
            .hint(format!("write `{close}` where it ends"))
            .at(Place::of(file, text, (line, column), 1));
    }
    if failure.message == TAB {
        // The parser points behind it.
        let column = place.text.chars().position(|c| c == '\t').map_or(place.column, |at| at + 1);
        let place = Place { column, width: 1, ..*place.clone() };
        return failure.hint("indent with spaces").at(place);
    }
    failure
}

/// The innermost bracket that is open at a place: outside of quotes and comments, where a value may begin.
fn unclosed(text: &str, line: usize, column: usize) -> Option<(usize, usize, char)> {
    let (mut open, mut quote) = (Vec::new(), None);
    for (number, words) in (1..=line).zip(text.lines()) {
        let mut before = ' ';
        let mut begins = true;
        for (at, c) in words.chars().enumerate().take_while(|(at, _)| number < line || at + 1 < column) {
            match (quote, c) {
                (Some(mark), c) if c == mark => quote = None,
                (Some(_), _) => {}
                (None, '#') if before.is_whitespace() => break,
                (None, '"' | '\'') if begins => quote = Some(c),
                (None, '[' | '{') if begins => open.push((number, at + 1, c)),
                (None, ']' | '}') => drop(open.pop()),
                _ => {}
            }
            if !c.is_whitespace() {
                begins = matches!(c, ':' | '-' | ',' | '[' | '{');
            }
            before = c;
        }
    }
    // What the error points at may be the bracket itself.
    let shown = text.lines().nth(line - 1)?.chars().nth(column - 1);
    match shown.filter(|c| matches!(c, '[' | '{')) {
        Some(bracket) if text.lines().count() == line || open.is_empty() => Some((line, column, bracket)),
        _ => open.pop(),
    }
}

fn in_words(file: &str, text: &str, error: &Error) -> Failure {
    let (message, hint) = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let hint = match closest(field, expected) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("known are: {}", expected.join(", ")),
            };
            (format!("unknown key `{field}`"), Some(hint))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(format!("known are: {}", expected.join(", "))))
        }
        Error::SerdeMissingField { field, .. } => (format!("`{field}` is missing"), None),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("the same key");
            (format!("`{key}` is there twice"), Some("keep one of them".to_owned()))
        }
        other => (friendly(bare(&other.to_string())), None),
    };
    let failure = Failure { hint, ..Failure::configuration(&message) };
    match error.location().filter(|location| location.line() > 0) {
        Some(location) => {
            let from = (location.line() as usize, location.column() as usize);
            failure.at(Place::of(file, text, from, location.span().len() as usize))
        }
        None => Failure { message: format!("{file}: {message}"), ..failure },
    }
}

/// The parser's own complaints of a value, for people who do not know its types.
fn friendly(words: &str) -> String {
    let own = [
        ("invalid u64", "expected a whole number from 0"),
        ("invalid usize", "expected a whole number from 0"),
        ("invalid u32", "expected a whole number from 0 to 4294967295"),
        ("expected mapping start", "expected a map of keys and values"),
        ("expected sequence start", "expected a list, such as [first, second]"),
        (NOT_FINITE, "expected a finite number"),
        ("unexpected end of input", "the configuration is empty"),
        ("multiple YAML documents", "a second configuration begins here, and a file holds one"),
        ("comment intercepting", "a value that goes on after this comment: check how far the next line is indented"),
        ("mapping values are not allowed", "a key where none can be: check how far the lines before it are indented"),
        ("data did not match any variant of untagged enum Paths", "expected a path or a list of paths"),
        (
            "data did not match any variant of untagged enum Folders",
            "expected a path, a list of paths, or a map of names to paths",
        ),
    ];
    if words.contains("nonzero") {
        return "0 is too small: it counts from 1".to_owned();
    }
    let own = own.iter().find(|(start, _)| words.starts_with(start)).map(|(_, say)| *say);
    own.or_else(|| expected(words)).unwrap_or(words).to_owned()
}

/// What is set, as YAML reads it; what is none is a text.
fn value_of(words: &str) -> Value {
    serde_saphyr::from_str(words).unwrap_or_else(|_| Value::String(words.to_owned()))
}

/// What is set, where it is a text.
pub fn text(words: &str) -> String {
    match value_of(words) {
        Value::String(text) => text,
        _ => words.to_owned(),
    }
}

/// Sets one key: `optimizer.rate=1e-3`.
fn assign(root: &mut Value, assignment: &str) -> Result<()> {
    let wrong = |what: String| Failure::usage(format!("--set {assignment}: {what}"));
    let Some((path, value)) = assignment.split_once('=') else {
        return Err(wrong("expected KEY=VALUE".to_owned()).hint("such as `--set optimizer.rate=1e-3`"));
    };
    let value = value_of(value);
    let mut at = root;
    for key in path.split('.') {
        match at {
            Value::Null => *at = Value::Object(Default::default()),
            // A model by its name is the map that changes nothing of it.
            Value::String(name) if path.starts_with("model.") => *at = json!({ "from": name }),
            _ => {}
        }
        at = match at {
            Value::Object(map) => map.entry(key).or_insert(Value::Null),
            _ => return Err(wrong(format!("what `{key}` is to be set in has no keys"))),
        };
    }
    *at = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    #[test]
    fn messages_point_then_help() {
        for (text, words) in [
            ("model: pythia-14m\nstep: 5\n", "unknown key `step`\n --> run.yaml:2:1"),
            ("model: pythia-14m\nsteps: many\n", "expected a whole number from 0\n --> run.yaml:2:8"),
            ("model: pythia-14m\nsteps: 0\n", "0 is too small"),
            ("model: pythia-14m\noptimizer: { rat: 1 }\n", "did you mean `rate`?"),
            ("model: pythia-14m\nmodel: pythia-31m\n", "`model` is there twice"),
            ("model: pythia-15m\n", "did you mean `pythia-14m`?"),
            ("model: pythia-14m\noptimizer: { beta1: 1.5 }\n", "1.5 is no share: it is from 0, below 1"),
            ("model: pythia-14m\noptimizer: { rate: .inf }\n", "inf is no finite number: it is above 0"),
            ("model: pythia-14m\noptimizer: { rate: -1 }\n", "-1 is too small: it is above 0"),
            ("model: { from: pythia-14m, rotary_pct: 2 }\n", "rotary_pct is 2: it is the share of a head that turns"),
            ("model: { from: pythia-14m, rotary_pct: 0.1 }\n", "3 numbers of a head would turn, not an even number"),
            ("model: pythia-14m\nschedule: { shape: square }\n", "known are: cosine, linear, constant"),
            ("model: { from: pythia-14m, layers: 2 }\n", "unknown key `layers`"),
            ("model: { from: pythia-14m, num_attention_heads: 3 }\n", "does not divide into 3 heads"),
            ("steps: 3\n", "`model` is missing"),
            ("model: 5\n", "5 is no model: expected a preset, a path, or a map such as { from: pythia-14m"),
            ("model: [pythia-14m]\n", "a list is no model: expected a preset"),
            ("model: pythia-14m\n---\nsteps: 3\n", "a second configuration begins here"),
            ("model: pythia-14m\n  steps: 5\n", "a key where none can be"),
        ] {
            let failure = read::<RunSpec>("run.yaml", text, &[]).unwrap_err().to_string();
            assert!(failure.contains(words), "{text}: {failure}");
        }
    }

    #[test]
    fn a_text_that_is_no_yaml_is_told_from_a_wrong_value() {
        for (text, words) in [
            ("model: [\n", "`[` is not closed\n --> run.yaml:1:8\n  |\n1 | model: [\n"),
            ("model: [\n", "hint: write `]` where it ends"),
            ("model: [pythia-14m\nsteps: 3\n", "`[` is not closed\n --> run.yaml:1:8"),
            ("model: pythia-14m\noptimizer: { rate: 1\nsteps: 2\n", "`{` is not closed\n --> run.yaml:2:12"),
            ("model: pythia-14m\ndata: {\n  from: '{'\nsteps: 2\n", "`{` is not closed\n --> run.yaml:2:7"),
            ("model: pythia-14m # a [\n  steps: 5\n", "a value that goes on after this comment"),
            (
                "model: pythia-14m\noptimizer:\n\trate: 1e-3\n",
                "a tab where YAML allows spaces alone\n --> run.yaml:3:1",
            ),
            ("model: pythia-14m\noptimizer:\n\trate: 1e-3\n", "hint: indent with spaces"),
            ("model: \"pythia-14m\n", "unclosed quote\n --> run.yaml:1:8"),
        ] {
            let failure = read::<RunSpec>("run.yaml", text, &[]).unwrap_err().to_string();
            assert!(failure.contains(words), "{text}: {failure}");
        }
        // Between a key and its value a tab is as good as a space.
        let spec = read::<RunSpec>("run.yaml", "model:\tpythia-14m\nsteps:\t5\n", &["seed=3".to_owned()]).unwrap();
        assert_eq!((spec.steps.map(u64::from), spec.seed), (Some(5), 3));
    }

    #[test]
    fn what_is_wrong_points_at_the_file_or_at_what_was_set() {
        let said = |text: &str, set: &[&str]| {
            let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
            read::<RunSpec>("run.yaml", text, &set).unwrap_err().to_string()
        };
        let good = "model: pythia-14m\n";
        assert_eq!(said(good, &["seed=3", "steps=many"]), "error: --set steps=many: expected a whole number from 0");
        assert_eq!(
            said(good, &["optimizer.rate=.inf"]),
            "error: --set optimizer.rate=.inf: inf is no finite number: it is above 0"
        );
        let infinite = said("model: pythia-14m\noptimizer: { rate: .inf }\n", &["seed=3"]);
        assert!(infinite.contains("expected a finite number\n --> run.yaml:2:20"), "{infinite}");
        let unknown = "error: --set stps=3: unknown key `stps`\nhint: did you mean `steps`?";
        assert_eq!(said(good, &["stps=3"]), unknown);
        let file = said("model: pythia-14m\nsteps: many\n", &["seed=3"]);
        assert!(file.contains("expected a whole number from 0\n --> run.yaml:2:8"), "{file}");
    }

    #[test]
    fn every_key_can_be_set() {
        let set = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
            read::<RunSpec>("run.yaml", "model: pythia-14m\n", &set)
        };
        let spec = set(&["steps=7", "optimizer.rate=0.5", "data.from=out/sample", "data.mixture.c4=2"]).unwrap();
        assert_eq!((spec.steps.map(u64::from), spec.optimizer.rate), (Some(7), Some(0.5)));
        assert_eq!((spec.data.from.iter().count(), spec.data.mixture["c4"]), (1, 2.0));
        for (assignment, words) in [
            ("steps", "expected KEY=VALUE"),
            ("steps.x=1", "has no keys"),
            ("model.x=1", "unknown key `x`"),
            ("stepz=1", "did you mean `steps`?"),
        ] {
            let failure = set(&["steps=7", assignment]).unwrap_err().to_string();
            assert!(failure.contains(words), "{failure}");
        }
    }
}
