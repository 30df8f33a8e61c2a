//! Reading YAML: an error points at the very value, and `--set` changes one key.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_saphyr::Error;

use crate::failure::{Failure, Place, Result};

/// Reads a configuration after setting keys in it.
pub fn read<T: DeserializeOwned>(file: &str, text: &str, set: &[String]) -> Result<T> {
    if set.is_empty() {
        return parse(file, text);
    }
    // Only what parses can be set in; whatever else is wrong is found in the result.
    let mut value: Value = parse(file, text)?;
    for assignment in set {
        assign(&mut value, assignment)?;
    }
    let text = serde_saphyr::to_string(&value)
        .map_err(|error| Failure::usage(format!("cannot write the configuration after --set: {error}")))?;
    parse(&format!("{file} (after --set)"), &text)
}

/// Reads YAML.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| in_words(file, text, error.without_snippet()))
}

/// The known word that someone most likely meant.
pub fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let distance = |known: &&str| strsim::damerau_levenshtein(&word, &known.replace('-', "_"));
    let close = known.iter().min_by_key(|known| distance(known))?;
    (distance(close) <= 1 + word.len() / 4).then_some(close)
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
        other => {
            let words = other.to_string();
            let words = words.rfind(" at line ").map_or(words.as_str(), |at| &words[..at]);
            (friendly(words), None)
        }
    };
    let failure = Failure { hint, ..Failure::configuration(&message) };
    match error.location().filter(|location| location.line() > 0) {
        Some(location) => {
            let (line, column) = (location.line() as usize, location.column() as usize);
            let shown = text.lines().nth(line - 1).unwrap_or_default();
            let left = shown.chars().count().saturating_sub(column.saturating_sub(1));
            let width = (location.span().len() as usize).clamp(1, left.max(1));
            failure.at(Place { file: file.to_owned(), line, column: column.max(1), width, text: shown.to_owned() })
        }
        None => Failure { message: format!("{file}: {message}"), ..failure },
    }
}

/// The parser's own complaints of a value, for people who do not know its types.
fn friendly(words: &str) -> String {
    let expected = [
        ("invalid u64", "expected a whole number from 0"),
        ("invalid usize", "expected a whole number from 0"),
        ("invalid u32", "expected a whole number from 0 to 4294967295"),
        ("invalid f64", "expected a number"),
        ("invalid floating point", "expected a number"),
        ("invalid bool", "expected true or false"),
        ("expected string scalar", "expected one value, not a list or a map"),
        ("expected mapping start", "expected a map of keys and values"),
        ("expected sequence start", "expected a list, such as [first, second]"),
        ("unexpected end of input", "the configuration is empty"),
        ("tabs disallowed", "a tab where YAML allows spaces alone"),
        ("data did not match any variant of untagged enum Paths", "expected a path or a list of paths"),
    ];
    if words.contains("nonzero") {
        return "0 is too small: it counts from 1".to_owned();
    }
    expected.iter().find(|(start, _)| words.starts_with(start)).map_or(words, |(_, say)| say).to_owned()
}

/// Sets one key: `optimizer.rate=1e-3`.
fn assign(root: &mut Value, assignment: &str) -> Result<()> {
    let wrong = |what: String| Failure::usage(format!("--set {assignment}: {what}"));
    let Some((path, value)) = assignment.split_once('=') else {
        return Err(wrong("expected KEY=VALUE".to_owned()).hint("such as `--set optimizer.rate=1e-3`"));
    };
    let value: Value = serde_saphyr::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
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
            ("model: pythia-14m\nschedule: { shape: square }\n", "known are: cosine, linear, constant"),
            ("model: { from: pythia-14m, layers: 2 }\n", "unknown key `layers`"),
            ("model: { from: pythia-14m, num_attention_heads: 3 }\n", "does not divide into 3 heads"),
            ("steps: 3\n", "`model` is missing"),
        ] {
            let failure = read::<RunSpec>("run.yaml", text, &[]).unwrap_err().to_string();
            assert!(failure.contains(words), "{text}: {failure}");
        }
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
