//! `--set`: one key of a pipeline, changed from the command line.

use stages::Variable;

use super::closest;
use super::models::is_known;
use crate::failure::{Failure, Result};

/// Sets one key: `tokenizer=FILE`, `stages.line_length.max=500`. In a list, a name finds the item
/// that has it as its key, and a number the item in that place.
pub fn assign(root: &mut serde_json::Value, assignment: &str) -> Result<()> {
    let wrong = |what: String| Failure::usage(format!("--set {assignment}: {what}"));
    let Some((path, value)) = assignment.split_once('=') else {
        return Err(wrong("expected KEY=VALUE".to_owned()));
    };
    let mut value: serde_json::Value = match serde_saphyr::from_str(value) {
        Ok(value) => value,
        Err(_) => serde_json::Value::String(value.to_owned()),
    };
    if Variable::ALL.iter().any(|variable| variable.name() == path)
        && let Some(model) = value.as_str()
        && !is_known(model)
        && !corpus::remote::Address::is_one(model)
    {
        // A path on the command line is relative to where the command runs.
        let absolute = std::path::absolute(model).map_err(|error| wrong(error.to_string()))?;
        value = absolute.to_string_lossy().into_owned().into();
    }
    let keys: Vec<&str> = path.split('.').collect();
    // `stages.NAME` means the stage wherever it stands: among all slices' stages, or a slice's own.
    if let ["stages", name, ..] = keys[..]
        && name.parse::<usize>().is_err()
        && !has_stage(root.get("stages"), name)
    {
        let slices = root.get("slices").and_then(|slices| slices.as_object());
        let own: Vec<String> = slices
            .into_iter()
            .flatten()
            .filter(|(_, slice)| has_stage(slice.get("stages"), name))
            .map(|(slice, _)| format!("slices.{slice}.{assignment}"))
            .collect();
        if !own.is_empty() {
            return own.iter().try_for_each(|assignment| assign(root, assignment));
        }
        let lists = slices.into_iter().flatten().map(|(_, slice)| slice.get("stages")).chain([root.get("stages")]);
        let known: Vec<&str> = lists.flatten().flat_map(stage_names).collect();
        return Err(wrong(format!("no stage `{name}` in this pipeline")).hint(among(name, &known)));
    }
    let mut at = root;
    for (depth, key) in keys.iter().enumerate() {
        let last = depth + 1 == keys.len();
        at = match at {
            serde_json::Value::Object(map) => {
                if last {
                    map.insert((*key).to_owned(), value);
                    return Ok(());
                }
                map.entry(*key).or_insert_with(|| serde_json::Value::Object(Default::default()))
            }
            serde_json::Value::Array(items) => {
                let index = match key.parse::<usize>() {
                    Ok(index) => (index < items.len()).then_some(index),
                    Err(_) => items.iter().position(|item| item.get(key).is_some()),
                };
                let Some(index) = index else {
                    let known: Vec<&str> = items.iter().filter_map(first_key).collect();
                    return Err(wrong(format!("no `{key}` in this list")).hint(among(key, &known)));
                };
                if last {
                    match items[index].get_mut(key) {
                        Some(options) => *options = value,
                        None => items[index] = value,
                    }
                    return Ok(());
                }
                match key.parse::<usize>() {
                    Ok(_) => &mut items[index],
                    Err(_) => items[index].get_mut(key).ok_or_else(|| wrong(format!("no `{key}`")))?,
                }
            }
            // A stage without options is `name:` or `name: ~`.
            null if null.is_null() => {
                *null = serde_json::Value::Object(Default::default());
                let serde_json::Value::Object(map) = null else { return Err(wrong(format!("no `{key}`"))) };
                if last {
                    map.insert((*key).to_owned(), value);
                    return Ok(());
                }
                map.entry(*key).or_insert(serde_json::Value::Null)
            }
            _ => return Err(wrong(format!("`{}` has no keys", keys[..depth].join(".")))),
        };
    }
    Ok(())
}

fn first_key(item: &serde_json::Value) -> Option<&str> {
    Some(item.as_object()?.keys().next()?.as_str())
}

fn stage_names(list: &serde_json::Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(first_key)
}

/// What to do about a name that is none of these.
fn among(name: &str, known: &[&str]) -> String {
    match (closest(name, known), known.is_empty()) {
        (Some(close), _) => format!("did you mean `{close}`? it has: {}", known.join(", ")),
        (None, true) => "it is empty".to_owned(),
        (None, false) => format!("it has: {}", known.join(", ")),
    }
}

fn has_stage(list: Option<&serde_json::Value>, name: &str) -> bool {
    list.and_then(|list| list.as_array()).is_some_and(|list| list.iter().any(|item| item.get(name).is_some()))
}
