//! Values given to a name that says that they are secret: `password = "…"`, `api_key: …`.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{entropy, is_placeholder};

/// What names end with whose values are secret.
const NAMES: [&str; 19] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "secret_key",
    "secretkey",
    "secret-key",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "access-key",
    "private_key",
    "privatekey",
    "auth_token",
    "authtoken",
    "token",
    "credential",
];

/// Lengths of a value. Ours: shorter ones are words, longer ones certificates and images.
const SHORTEST: usize = 12;
const LONGEST: usize = 128;
/// Without quotes a value may be the name of a variable or a type: these are seldom as long and drawn.
const SHORTEST_BARE: usize = 16;
/// The least entropy of a value, in bits for each sign. Ours: `correct-horse-bat` has 3.4, drawn
/// letters and digits of 16 signs have 3.6 and more.
const RANDOM: f64 = 3.5;

static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest).build(NAMES).ok()
});

/// The values in a text.
pub fn find(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let Some(finder) = FINDER.as_ref() else { return Vec::new() };
    finder.find_iter(bytes).filter_map(|hit| value(bytes, hit.range())).collect()
}

/// The value that is given to a name: in quotes, or the rest of a line that has nothing else.
fn value(bytes: &[u8], name: Range<usize>) -> Option<Range<usize>> {
    let mut at = name.end;
    // `"password": `, `password => `, `password := `, `PASSWORD=`; an `s` or a number may end a name.
    let skip = |at: &mut usize, signs: &[u8], most: usize| {
        let skipped = bytes[*at..].iter().take(most).take_while(|byte| signs.contains(byte)).count();
        *at += skipped;
        skipped
    };
    skip(&mut at, b"s_0123456789", 3);
    skip(&mut at, b"\"']", 2);
    skip(&mut at, b" \t", 8);
    if skip(&mut at, b":=>", 2) == 0 {
        return None;
    }
    // A comparison gives nothing.
    if bytes[..at].ends_with(b"==") {
        return None;
    }
    skip(&mut at, b" \t", 8);
    let quote = *bytes.get(at)?;
    if !matches!(quote, b'"' | b'\'' | b'`') {
        return bare(bytes, name.start, at);
    }
    let start = at + 1;
    let length = bytes[start..].iter().take(LONGEST + 1).position(|byte| *byte == quote || *byte == b'\n')?;
    let value = &bytes[start..start + length];
    let closed = bytes[start + length] == quote;
    (closed && length >= SHORTEST && is_secret(value)).then_some(start..start + length)
}

/// A value without quotes, as settings have them (`API_TOKEN=…`, `password: …`): on a line of which the
/// name is the beginning and the value the end. What a program computes is seldom drawn signs alone.
fn bare(bytes: &[u8], name: usize, start: usize) -> Option<Range<usize>> {
    let before = bytes[..name].iter().rev().take_while(|byte| **byte != b'\n');
    // Indented, `export `, the beginning of the name itself.
    let alone = before.take(64).all(|byte| byte.is_ascii_alphanumeric() || b" \t_-".contains(byte));
    let length = bytes[start..].iter().take(LONGEST + 1).take_while(|byte| !byte.is_ascii_whitespace()).count();
    let value = &bytes[start..start + length];
    let ends = matches!(bytes.get(start + length), None | Some(b'\n' | b'\r'));
    // Names and calls have other signs than keys do.
    let key = value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte));
    (alone && ends && key && length >= SHORTEST_BARE && is_secret(value)).then_some(start..start + length)
}

/// Whether a value looks drawn: signs of keys alone, digits among letters, and few of them twice.
fn is_secret(value: &[u8]) -> bool {
    let signs = value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-.!@#$%^&*~".contains(byte));
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    // Paths, addresses and names of variables are put together from words.
    let words = value.starts_with(b"/") || value.starts_with(b".") || memchr::memmem::find(value, b"://").is_some();
    let variable = value.starts_with(b"$") || value.starts_with(b"%") || value.starts_with(b"#{");
    let enough = match value.iter().all(u8::is_ascii_hexdigit) {
        // A digest in small letters has 16 signs alone, and is drawn if it is long.
        true => value.len() >= 16 && entropy(value) >= 2.8,
        false => entropy(value) >= RANDOM,
    };
    signs
        && digits >= 2
        && letters >= 4
        && !words
        && !variable
        && enough
        && !is_placeholder(value)
        && changes(value) * 3 >= value.len()
}

/// How often a letter follows a digit, a capital a small letter, and so on: in drawn signs at every
/// other place, in words put together at their seams.
fn changes(value: &[u8]) -> usize {
    let kind = |byte: u8| match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    };
    value.windows(2).filter(|two| kind(two[0]) != kind(two[1])).count()
}

#[cfg(test)]
mod tests {
    use crate::secrets::tests::{HEX, LETTERS, drawn, finds};

    #[test]
    fn what_is_given_to_a_secret_name_is_a_secret() {
        let value = drawn(LETTERS, 20, 11);
        for text in [
            format!("password = \"{value}\""),
            format!("DB_PASSWORD='{value}'"),
            format!("\"api_key\": \"{value}\","),
            format!("'secret' => '{value}',"),
            format!("auth_token := `{value}`"),
            format!("clientSecret: \"{value}\""),
            format!("define('API-KEY2' , x); token=\"{value}\""),
        ] {
            finds(&text, &[("assignment", &value)]);
        }
        let long = drawn(LETTERS, 40, 13);
        for text in [
            format!("aws_secret_access_key = {long}"),
            format!("[default]\nAWS_SECRET_ACCESS_KEY={long}\nregion = eu"),
            format!("export API_TOKEN={long}"),
            format!("  password: {long}\r\n"),
            format!("SECRET_KEY = '{long}'"),
        ] {
            finds(&text, &[("assignment", &long)]);
        }
        let digest = drawn(HEX, 32, 12);
        finds(&format!("secret = \"{digest}\""), &[("assignment", &digest)]);
    }

    #[test]
    fn words_paths_variables_and_comparisons_are_none() {
        let value = drawn(LETTERS, 20, 11);
        for text in [
            "password = \"correct horse battery\"".to_owned(),
            "password = \"please-enter-your-password1\"".to_owned(),
            "token = \"csrf_token_field_name_2\"".to_owned(),
            "secret = \"${VAULT_SECRET_12}\"".to_owned(),
            "api_key = \"https://a.org/keys/12\"".to_owned(),
            "password = \"hunter2\"".to_owned(),
            "password = \"\"".to_owned(),
            "secret = \"xxxxxxxxxxxx1234567890\"".to_owned(),
            format!("password == \"{value}\""),
            format!("password = {value}()"),
            format!("connect(password = {value}, 3)"),
            format!("password = {value}; // of {value}"),
            format!("passwordHint(\"{value}\")"),
            format!("commit = \"{value}\""),
            format!("password = \"{value}\n"),
        ] {
            finds(&text, &[]);
        }
    }
}
