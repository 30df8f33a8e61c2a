//! JSON as the original wrote it: Python's `json.dumps` with its defaults.
//!
//! Separators are `", "` and `": "`, everything beyond ASCII is `\uXXXX` in lower-case digits (two
//! of them for a character beyond U+FFFF), floats are written as Python's `repr` writes them.

use std::collections::HashMap;
use std::fmt::Write;

/// Appends a string literal.
pub fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| !(' '..='\u{7f}').contains(&c) || c == '"' || c == '\\') {
        out.push_str(&rest[..at]);
        let mut characters = rest[at..].chars();
        let Some(character) = characters.next() else { break };
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends a float as Python's `repr` writes it: the shortest digits that read back as the same
/// float, with an exponent below 1e-4 and from 1e16 on.
pub fn float(value: f64, out: &mut String) {
    if !value.is_finite() {
        out.push_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
        return;
    }
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let _ = write!(out, "{value}");
        if exponent >= 0 && value.fract() == 0.0 {
            out.push_str(".0");
        }
        return;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs());
}

/// Appends any JSON, given as text, in the dialect. Whole numbers keep their digits; the order of
/// keys stays. Fails where the text is not JSON.
pub fn rewrite(json: &str, out: &mut String) -> Result<(), serde_json::Error> {
    let value: &serde_json::value::RawValue = serde_json::from_str(json)?;
    rewrite_value(value, out)
}

/// Appends `"key": value` pairs of a JSON object, given as text, without its braces. `first` says
/// whether nothing precedes them; keys for which `skip` holds are left out.
pub fn rewrite_fields(
    object: &str,
    first: &mut bool,
    skip: &dyn Fn(&str) -> bool,
    out: &mut String,
) -> Result<(), serde_json::Error> {
    let Fields(fields) = serde_json::from_str(object)?;
    for (key, value) in fields {
        if skip(&key) {
            continue;
        }
        if !std::mem::take(first) {
            out.push_str(", ");
        }
        string(&key, out);
        out.push_str(": ");
        rewrite_value(value, out)?;
    }
    Ok(())
}

fn rewrite_value(value: &serde_json::value::RawValue, out: &mut String) -> Result<(), serde_json::Error> {
    let json = value.get().trim();
    match json.as_bytes().first() {
        Some(b'"') => {
            let text: std::borrow::Cow<'_, str> = serde_json::from_str(json)?;
            string(&text, out);
        }
        Some(b'{') => {
            out.push('{');
            rewrite_fields(json, &mut true, &|_| false, out)?;
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(json)?;
            out.push('[');
            for (index, item) in items.into_iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                rewrite_value(item, out)?;
            }
            out.push(']');
        }
        Some(b't' | b'f' | b'n') => out.push_str(json),
        _ if json.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
            out.push_str(if json == "-0" { "0" } else { json });
        }
        // serde_json reads some floats one unit too low or high; the standard library does not.
        _ => float(json.parse().map_err(serde::de::Error::custom)?, out),
    }
    Ok(())
}

/// The fields of an object in their order; of two with the same key Python keeps the place of the
/// first and the value of the last.
struct Fields<'j>(Vec<(String, &'j serde_json::value::RawValue)>);

impl<'de> serde::Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields: Vec<(String, &serde_json::value::RawValue)> = Vec::new();
                let mut places: HashMap<String, usize> = HashMap::new();
                while let Some((key, value)) = map.next_entry::<String, &serde_json::value::RawValue>()? {
                    match places.get(&key) {
                        Some(place) => fields[*place].1 = value,
                        None => {
                            places.insert(key.clone(), fields.len());
                            fields.push((key, value));
                        }
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, python: &str) {
        let mut out = String::new();
        rewrite(json, &mut out).unwrap();
        assert_eq!(out, python);
    }

    #[test]
    fn json_is_python_s() {
        check(r#"{"a":1,"b":[1,2.5,null,true]}"#, r#"{"a": 1, "b": [1, 2.5, null, true]}"#);
        check(r#""é😀/""#, r#""\u00e9\ud83d\ude00/""#);
        check("\"\\u007f\\u001f\\b\\f\\\\\\\"\"", "\"\u{7f}\\u001f\\b\\f\\\\\\\"\"");
        check(
            "[100.0,1e-5,1e16,1.5e300,0.0001,123456789012345.6]",
            "[100.0, 1e-05, 1e+16, 1.5e+300, 0.0001, 123456789012345.6]",
        );
        check("[12345678901234567890123,-0.0,1E2]", "[12345678901234567890123, -0.0, 100.0]");
        check("[29.925531914893618]", "[29.925531914893618]");
        check(r#"{"a":1,"b":2,"a":3}"#, r#"{"a": 3, "b": 2}"#);
    }
}
