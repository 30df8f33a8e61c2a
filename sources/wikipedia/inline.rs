//! Templates that stand for a few words in the middle of a sentence.

/// What is shown of such a template.
#[derive(Clone, Copy)]
enum Shown {
    /// Its first value, its second, its last.
    First,
    Second,
    Last,
    /// All values with spaces between them.
    All,
    /// A number and its unit.
    Measure,
    /// These words and all its values.
    After(&'static str),
    /// The same words always.
    Words(&'static str),
}

/// Names of templates, in several languages, and what they show. Names come from the wikis' own
/// documentation of them; a name means the same wherever it is used, or it is not here.
const TEMPLATES: [(&str, Shown); 56] = [
    ("!", Shown::Words("|")),
    ("=", Shown::Words("=")),
    ("'", Shown::Words("'")),
    ("abbr", Shown::First),
    ("abbr.", Shown::First),
    ("abréviation", Shown::First),
    ("angle bracket", Shown::First),
    ("as of", Shown::After("As of ")),
    ("big", Shown::First),
    ("c.", Shown::After("c. ")),
    ("circa", Shown::After("c. ")),
    ("convert", Shown::Measure),
    ("cvt", Shown::Measure),
    ("date", Shown::All),
    ("date-", Shown::All),
    ("em", Shown::First),
    ("formatnum", Shown::First),
    ("frac", Shown::All),
    ("gaps", Shown::All),
    ("gras", Shown::First),
    ("iast", Shown::First),
    ("ipa", Shown::Last),
    ("ipa-en", Shown::First),
    ("japonais", Shown::First),
    ("keypress", Shown::First),
    ("lang", Shown::Last),
    ("lang1", Shown::Last),
    ("langue", Shown::Second),
    ("larger", Shown::First),
    ("linktext", Shown::All),
    ("mdash", Shown::Words("—")),
    ("mvar", Shown::First),
    ("ndash", Shown::Words("–")),
    ("nbsp", Shown::Words(" ")),
    ("nihongo", Shown::First),
    ("nobold", Shown::First),
    ("nobr", Shown::First),
    ("nobreak", Shown::First),
    ("noitalic", Shown::First),
    ("nombre", Shown::First),
    ("nowrap", Shown::First),
    ("num", Shown::First),
    ("overline", Shown::First),
    ("proper name", Shown::First),
    ("script", Shown::Last),
    ("small", Shown::First),
    ("smallcaps", Shown::First),
    ("snd", Shown::Words(" – ")),
    ("spaced ndash", Shown::Words(" – ")),
    ("spnd", Shown::Words(" – ")),
    ("strong", Shown::First),
    ("translit", Shown::Last),
    ("transl", Shown::Last),
    ("unicode", Shown::First),
    ("unité", Shown::Measure),
    ("val", Shown::First),
];

/// Bytes of a template that is looked at: those that stand for a few words are short.
const LONGEST: usize = 2000;

/// Values that are looked at.
const MOST_VALUES: usize = 16;

/// The wikitext that a template, `{{…}}` with its braces, stands for, if it is one of ours.
pub(super) fn shown(template: &str) -> Option<String> {
    if template.len() > LONGEST {
        return None;
    }
    let inner = template.strip_prefix("{{")?.strip_suffix("}}")?;
    let mut parts = parts(inner).into_iter();
    let name = parts.next()?.trim().to_lowercase().replace('_', " ");
    let mut values: Vec<&str> = Vec::new();
    // A parser function has its first value behind a colon.
    let name = match name.split_once(':') {
        Some(("formatnum", _)) => {
            values.push(inner.split_once(':')?.1.split('|').next()?.trim());
            "formatnum"
        }
        _ => name.as_str(),
    };
    for part in parts.take(MOST_VALUES) {
        match part.split_once('=') {
            Some((key, value)) if key.trim().parse().is_ok_and(|number: usize| number == values.len() + 1) => {
                values.push(value.trim());
            }
            // An address or a tag may hold a sign of equality, a key holds letters.
            Some((key, _)) if key.trim().chars().all(|letter| letter.is_alphanumeric() || " _-".contains(letter)) => {}
            _ => values.push(part.trim()),
        }
    }
    let how = match TEMPLATES.iter().find(|(known, _)| *known == name) {
        Some((_, how)) => *how,
        // `{{lang-fr|mot}}`, of any language.
        None if name.strip_prefix("lang-").is_some_and(|code| (2..9).contains(&code.len())) => Shown::First,
        None => return None,
    };
    let at = |index: usize| values.get(index).map(|value| (*value).to_owned());
    match how {
        Shown::First => at(0),
        Shown::Second => at(1),
        Shown::Last => values.last().map(|value| (*value).to_owned()),
        Shown::All => Some(values.join(" ")),
        Shown::After(words) => Some(format!("{words}{}", values.join(" "))),
        Shown::Measure => Some(format!("{} {}", at(0)?, unit(values.get(1).unwrap_or(&"")))),
        Shown::Words(words) => Some(words.to_owned()),
    }
}

/// A unit as one reads it.
fn unit(unit: &str) -> String {
    let unit = match unit {
        "C" => "°C",
        "F" => "°F",
        other => other,
    };
    unit.replace("km2", "km²").replace("m2", "m²").replace("mi2", "mi²").replace("sqmi", "sq mi").replace("m3", "m³")
}

/// What stands between the `|` of a template, but for those within markup of their own.
fn parts(inner: &str) -> Vec<&str> {
    let bytes = inner.as_bytes();
    let (mut parts, mut depth, mut from, mut at) = (Vec::new(), 0usize, 0, 0);
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'{', Some(b'{')) | (b'[', Some(b'[')) => {
                depth += 1;
                at += 1;
            }
            (b'}', Some(b'}')) | (b']', Some(b']')) => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            (b'|', _) if depth == 0 => {
                parts.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&inner[from..]);
    parts
}

#[test]
fn a_few_words_stay() {
    for (template, words) in [
        ("{{lang|fr|le [[mot|mot]]}}", Some("le [[mot|mot]]")),
        ("{{Lang-grc|λόγος}}", Some("λόγος")),
        ("{{convert|12|km2|sqmi|abbr=on}}", Some("12 km²")),
        ("{{formatnum:41200}}", Some("41200")),
        ("{{nowrap|1=a = b}}", Some("a = b")),
        ("{{circa|1500}}", Some("c. 1500")),
        ("{{As of|2019|lc=y}}", Some("As of 2019")),
        ("{{langue|de|Wort}}", Some("Wort")),
        ("{{Infobox settlement|name=a}}", None),
        ("{{lang}}", None),
        ("{{}}", None),
    ] {
        assert_eq!(shown(template).as_deref(), words, "{template}");
    }
}
