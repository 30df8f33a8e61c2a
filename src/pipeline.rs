//! Pipeline files: what a user writes in YAML, with the place of everything that is wrong in it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use corpus::{SignalKind, SignalSpec};
use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::Spanned;
use sources::SourceSpec;
use stages::{Kind, Share, StageSpec, Variable};

use crate::failure::{Failure, Place, Result};
use crate::others::Others;
use crate::size::Size;

/// Every pipeline and manifest of the repository, by its path.
static EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The text of an embedded file.
pub fn embedded(name: &str) -> Option<&'static str> {
    EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of the embedded pipelines, as `build` takes them.
pub fn embedded_pipelines() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().filter_map(|(name, _)| name.strip_prefix("pipelines/")?.strip_suffix(".yaml"))
}

/// A pipeline: which slices, what happens to their documents, with which models.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The slices, in the order of preference among copies of a document.
    #[schemars(schema_with = "slices_schema")]
    pub slices: Slices,
    /// Stages for the documents of all slices, after the slices' own. A dedup here compares across
    /// slices.
    #[serde(default)]
    #[schemars(with = "Vec<StageSpec>")]
    pub stages: Vec<Spanned<StageSpec>>,
    /// The tokenizer: a name of `manifests/models.yaml`, a `tokenizer.json`, or the address of one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub tokenizer: Option<Spanned<String>>,
    /// A model of languages for `language`: `lid.176.bin`, `lid.176.ftz`, or any supervised fastText
    /// model. Without it, `language` asks whatlang, which is built in.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub language_model: Option<Spanned<String>>,
    /// Models for `perplexity`: a KenLM model, ARPA or binary, or a folder of them by language. Where
    /// `en.sp.model` lies beside `en.arpa.bin`, its words are SentencePiece's pieces. Without it,
    /// `perplexity` measures nothing.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub perplexity_model: Option<Spanned<String>>,
    /// A model of quality for `quality`: `wikiref`, the original's, or any supervised fastText model, such
    /// as one that `redpajama train-classifier` made.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub quality_model: Option<Spanned<String>>,
    /// Bad words for `signals`, an entry a line: a file, `ldnoobw-en`, or one for each language
    /// (`ldnoobw-{language}`, `lists/{language}.txt`).
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub bad_words: Option<Spanned<String>>,
    /// Domains and their categories for `signals`: `ut1-{category}`, the original's
    /// `domain_to_category_id.json`, or UT1's own lists (`lists/{category}/domains`).
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub blocked_domains: Option<Spanned<String>>,
    /// What texts of books, OpenWebText, Wikipedia and the crawl look like, for `signals`: a folder with
    /// the original's `*.counts.npy` and `*.lambda.npy`, or one for each language (`dsir/{language}`).
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub importance_counts: Option<Spanned<String>>,
    /// A fastText model for `signals` that tells Wikipedia, books and OpenWebText from crawled pages (`cc`).
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub palm_model: Option<Spanned<String>>,
    /// A fastText model for `signals` that tells Wikipedia from crawled pages (`cc`).
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub wikipedia_model: Option<Spanned<String>>,
    /// The longest text that is a document; a longer one is unusable (`too_large`).
    #[serde(default = "max_document", deserialize_with = "some_bytes")]
    pub max_document: Size,
    /// Raw files are read together until they have this many bytes: the unit of parallel work and of
    /// resuming. Without it, a sixty-fourth of the slice, from 8M to 256M.
    #[serde(default, deserialize_with = "maybe_bytes")]
    pub partition: Option<Size>,
    /// The share of records that may be unusable before the run ends with exit code 65; ten
    /// records always may. What is rightly no document, such as a redirect among articles, does
    /// not count: `redpajama sources` marks these reasons as no damage.
    #[serde(default = "allow_unusable")]
    pub allow_unusable: Share,
    /// The share of raw files that may be damaged before the run ends with exit code 65; one
    /// always may.
    #[serde(default = "allow_damaged")]
    pub allow_damaged: Share,
}

// Ours: 16 MiB is sixteen times the largest file that GitHub's BigQuery export holds.
fn max_document() -> Size {
    Size(16 << 20)
}

fn some_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    match Size::deserialize(deserializer)? {
        Size(0) => Err(de::Error::custom("0 is too small: it is a size from 1 byte")),
        // Columns count their bytes in 31 bits, and a text has several tokens for each eight bytes.
        size if size.0 > 256 << 20 => Err(de::Error::custom(format!("{size} is too large: at most 256M"))),
        size => Ok(size),
    }
}

fn maybe_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
    match Size::deserialize(deserializer)? {
        Size(0) => Err(de::Error::custom("0 is too small: it is a size from 1 byte")),
        size => Ok(Some(size)),
    }
}

// Ours: beyond one record in twenty the input is not what it was taken for.
fn allow_unusable() -> Share {
    Share(0.05)
}

fn allow_damaged() -> Share {
    Share(0.01)
}

/// One slice of a pipeline.
#[derive(Clone, Debug)]
pub struct SliceSpec {
    /// How its raw files are read.
    pub source: SourceSpec,
    /// Files, folders and globs, relative to the pipeline's file.
    pub input: Vec<String>,
    /// Its own stages, before the pipeline's.
    pub stages: Vec<Spanned<StageSpec>>,
}

/// The slices of a pipeline, in order.
#[derive(Clone, Debug)]
pub struct Slices(pub Vec<(&'static str, SliceSpec)>);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound(deserialize = "O: Deserialize<'de> + Default"))]
#[schemars(bound = "O: JsonSchema + Default + Serialize")]
struct SliceShape<O> {
    /// Options of the slice's source.
    #[serde(default)]
    source: O,
    /// Raw files, folders or globs, relative to this file; without it the manifest's.
    #[serde(default)]
    input: Vec<String>,
    /// Stages for this slice alone, before the pipeline's.
    #[serde(default)]
    #[schemars(with = "Vec<StageSpec>")]
    stages: Vec<Spanned<StageSpec>>,
}

impl<O> SliceShape<O> {
    fn with(self, source: impl Fn(O) -> SourceSpec) -> SliceSpec {
        SliceSpec { source: source(self.source), input: self.input, stages: self.stages }
    }
}

/// The key of a slice.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", expecting = "a slice")]
enum SliceKey {
    Arxiv,
    Books,
    #[serde(rename = "github")]
    GitHub,
    C4,
    CommonCrawl,
    StackExchange,
    Wikipedia,
}

impl<'de> Deserialize<'de> for Slices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Slices, D::Error> {
        struct SlicesVisitor;
        impl<'de> Visitor<'de> for SlicesVisitor {
            type Value = Slices;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of slices")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Slices, A::Error> {
                let mut slices = Vec::new();
                while let Some(key) = map.next_key::<SliceKey>()? {
                    let spec = match key {
                        SliceKey::Arxiv => map.next_value::<SliceShape<_>>()?.with(SourceSpec::Arxiv),
                        SliceKey::Books => map.next_value::<SliceShape<_>>()?.with(SourceSpec::Books),
                        SliceKey::GitHub => map.next_value::<SliceShape<_>>()?.with(SourceSpec::GitHub),
                        SliceKey::CommonCrawl => map.next_value::<SliceShape<_>>()?.with(SourceSpec::CommonCrawl),
                        SliceKey::C4 => map.next_value::<SliceShape<_>>()?.with(SourceSpec::C4),
                        SliceKey::StackExchange => map.next_value::<SliceShape<_>>()?.with(SourceSpec::StackExchange),
                        SliceKey::Wikipedia => map.next_value::<SliceShape<_>>()?.with(SourceSpec::Wikipedia),
                    };
                    slices.push((spec.source.slice(), spec));
                }
                if slices.is_empty() {
                    return Err(de::Error::custom("a pipeline has at least one slice"));
                }
                Ok(Slices(slices))
            }
        }
        deserializer.deserialize_map(SlicesVisitor)
    }
}

fn slices_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut properties = serde_json::Map::new();
    for told in sources::told() {
        let mut shape = generator.subschema_for::<SliceShape<serde_json::Value>>();
        if let Some(definition) = shape.as_object().and_then(|o| o.get("$ref")).and_then(|r| r.as_str()) {
            let name = definition.rsplit('/').next().unwrap_or_default().to_owned();
            if let Some(definition) = generator.definitions().get(&name) {
                shape = definition.clone().try_into().unwrap_or_default();
            }
        }
        if let Some(source) = shape.pointer_mut("/properties/source") {
            *source = told.options.clone().to_value();
        }
        properties.insert(told.name.to_owned(), shape.to_value());
    }
    schemars::json_schema!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": properties,
    })
}

/// A pipeline that was read, with the text that it was read from.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its name: the path below `pipelines/`, without `.yaml`.
    pub name: String,
    /// The folder that its relative paths start from; none for an embedded one.
    pub folder: Option<PathBuf>,
    /// What messages call the text.
    pub file: String,
    /// The text, after `--set`.
    pub text: String,
    /// What it says.
    pub pipeline: Pipeline,
    /// The other runs that its dedups are held against, by the path that it gives, once they were read.
    pub others: Others,
}

/// Finds a pipeline by path or by name, applies `--set` and reads it.
pub fn read(choice: &str, set: &[String]) -> Result<Read> {
    let (name, folder, file, text) = find(choice)?;
    let (file, text) = match set {
        [] => (file, text),
        set => {
            // Only what parses can be set in; whatever else is wrong is found in the result.
            let mut value: serde_json::Value = parse(&file, &text)?;
            for assignment in set {
                assign(&mut value, assignment)?;
            }
            let text = serde_saphyr::to_string(&value)
                .map_err(|error| Failure::usage(format!("cannot write the pipeline after --set: {error}")))?;
            (format!("{file} (after --set)"), text)
        }
    };
    let pipeline = parse_pipeline(&file, &text)?;
    let read = Read { name, folder, file, text, pipeline, others: Others::new() };
    read.check()?;
    Ok(read)
}

/// Reads a pipeline.
fn parse_pipeline(file: &str, text: &str) -> Result<Pipeline> {
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

fn find(choice: &str) -> Result<(String, Option<PathBuf>, String, String)> {
    let path = Path::new(choice);
    if path.is_file() {
        let bytes = std::fs::read(path).map_err(Failure::io("cannot read", path))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| Failure::configuration(format!("{choice} is not UTF-8: {}", error.utf8_error())))?;
        let folder = path.parent().map(Path::to_path_buf);
        let whole = std::path::absolute(path).map_err(Failure::io("cannot find", path))?;
        return Ok((name_of(&whole), folder, choice.to_owned(), text));
    }
    let name = name_of(path);
    let file = format!("pipelines/{name}.yaml");
    if let Some(text) = embedded(&file) {
        return Ok((name, None, file, text.to_owned()));
    }
    let known: Vec<&str> = embedded_pipelines().collect();
    if let Ok(found) = std::fs::metadata(path) {
        let kind = if found.is_dir() { "a folder" } else { "a device or a pipe" };
        return Err(Failure::usage(format!("{choice} is {kind}, and a pipeline is a file"))
            .hint(format!("name a `.yaml` file, or one that is built in: {}", known.join(", "))));
    }
    let failure = Failure::usage(format!("no pipeline `{choice}`: no such file, and none of that name is built in"));
    Err(failure.hint(match closest(&name, &known) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("built in are: {}", known.join(", ")),
    }))
}

/// `pipelines/original/github.yaml` is `original/github`.
fn name_of(path: &Path) -> String {
    let path = path.with_extension("");
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let below = parts.iter().rposition(|part| part == "pipelines").map(|at| at + 1);
    let relative = !path.has_root() && !parts.iter().any(|part| part == "..");
    match below {
        Some(at) if at < parts.len() => parts[at..].join("/"),
        // A name that is built in may be given as it is; of a file elsewhere it is the file's own.
        _ if relative => parts.iter().filter(|part| *part != ".").cloned().collect::<Vec<_>>().join("/"),
        _ => parts.last().map(|part| part.to_string()).unwrap_or_default(),
    }
}

/// The known word that someone most likely meant.
pub fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let distance = |known: &str| strsim::damerau_levenshtein(&word, known);
    let close = known.iter().copied().min_by_key(|known| distance(known))?;
    let near = distance(close) <= 1 + word.len() / 4 || (word.len() > 3 && close.contains(&word));
    near.then_some(close)
}

/// Reads YAML; an error points at the very value.
pub fn parse<T: de::DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| in_words(file, text, error.without_snippet()))
}

fn place(file: &str, text: &str, location: serde_saphyr::Location) -> Place {
    let (line, column) = (location.line() as usize, location.column() as usize);
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let left = shown.chars().count().saturating_sub(column.saturating_sub(1));
    // A map or list is underlined from its start to the end of its first line.
    let width = (location.span().len() as usize).clamp(1, left.max(1));
    Place { file: file.to_owned(), line, column, width, text: shown.to_owned() }
}

fn in_words(file: &str, text: &str, error: &serde_saphyr::Error) -> Failure {
    use serde_saphyr::Error;
    let located = |failure: Failure| match error.location() {
        Some(location) if location.line() > 0 => failure.at(place(file, text, location)),
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
            let words = words.rfind(" at line ").map_or(words.as_str(), |at| &words[..at]);
            let (message, mut hint) = friendly(words, &word_at(text, error.location()));
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
    let expected = [
        ("invalid i64", "expected a whole number", None),
        ("invalid f64", "expected a number", None),
        ("invalid f32", "expected a number", None),
        ("invalid floating point", "expected a number", None),
        ("invalid bool", "expected true or false", None),
        ("expected string scalar", "expected one value, not a list or a map", None),
        ("tabs disallowed", "a tab where YAML allows spaces alone", Some("indent with spaces")),
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
    if let Some((_, say, hint)) = expected.iter().find(|(start, ..)| words.starts_with(start)) {
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

/// Sets one key: `tokenizer=FILE`, `stages.line_length.max=500`. In a list, a name finds the item
/// that has it as its key, and a number the item in that place.
fn assign(root: &mut serde_json::Value, assignment: &str) -> Result<()> {
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
        && !is_known_model(model)
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

impl Read {
    /// All stages of a slice: its own, then the pipeline's.
    pub fn stages_of(&self, slice: &SliceSpec) -> Vec<StageSpec> {
        slice.stages.iter().chain(&self.pipeline.stages).map(|stage| stage.value.clone()).collect()
    }

    /// The place of a spanned value.
    pub fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        place(&self.file, &self.text, spanned.referenced)
    }

    /// A variable that names a model.
    pub fn model(&self, variable: Variable) -> Option<&Spanned<String>> {
        match variable {
            Variable::Tokenizer => self.pipeline.tokenizer.as_ref(),
            Variable::LanguageModel => self.pipeline.language_model.as_ref(),
            Variable::PerplexityModel => self.pipeline.perplexity_model.as_ref(),
            Variable::QualityModel => self.pipeline.quality_model.as_ref(),
            Variable::BadWords => self.pipeline.bad_words.as_ref(),
            Variable::BlockedDomains => self.pipeline.blocked_domains.as_ref(),
            Variable::ImportanceCounts => self.pipeline.importance_counts.as_ref(),
            Variable::PalmModel => self.pipeline.palm_model.as_ref(),
            Variable::WikipediaModel => self.pipeline.wikipedia_model.as_ref(),
        }
    }

    /// Whether a stage uses the model that a variable names.
    pub fn uses(&self, variable: Variable) -> bool {
        let own = self.pipeline.slices.0.iter().flat_map(|(_, slice)| &slice.stages);
        own.chain(&self.pipeline.stages).any(|stage| stage.value.uses().contains(&variable))
    }

    /// Models that are named and that no stage uses.
    pub fn unused_models(&self) -> Vec<&'static str> {
        let unused = |variable: &Variable| self.model(*variable).is_some() && !self.uses(*variable);
        Variable::ALL.into_iter().filter(unused).map(Variable::name).collect()
    }

    /// What types cannot say: the order of stages, and what they need from each other.
    fn check(&self) -> Result<()> {
        for (name, slice) in &self.pipeline.slices.0 {
            let mut written: Vec<(SignalSpec, &StageSpec)> = Vec::new();
            let mut tokenized = false;
            let mut packed = false;
            for stage in slice.stages.iter().chain(&self.pipeline.stages) {
                let here = |failure: Failure| failure.at(self.place(stage));
                if packed {
                    let failure = Failure::configuration(format!("`{}` comes after `pack`", stage.value.name()));
                    return Err(here(failure).hint("`pack` ends a pipeline"));
                }
                if stage.value.needs_tokenizer() && self.pipeline.tokenizer.is_none() {
                    let failure = Failure::configuration(format!("`{}` needs a tokenizer", stage.value.name()));
                    return Err(here(failure).hint("add `tokenizer: gpt-neox-20b`, or a path to a `tokenizer.json`"));
                }
                if matches!(stage.value, StageSpec::Quality(_)) && self.pipeline.quality_model.is_none() {
                    return Err(here(Failure::configuration("`quality` needs a model")).hint(
                        "add `quality_model: wikiref`, the original's, or a file that `redpajama train-classifier` made",
                    ));
                }
                let wrote = |signal: &str| written.iter().any(|(known, _)| known.name == signal);
                if matches!(&stage.value, StageSpec::Bucket(options) if !options.unknown)
                    && wrote("perplexity")
                    && !wrote("bucket")
                {
                    let failure =
                        Failure::configuration("`perplexity` before `bucket` writes none, for want of cut-offs");
                    return Err(here(failure).hint(
                        "give it `cutoffs`, or `lines: glued` with cc_net's models; a bucket of the source's is judged \
                         before `perplexity`",
                    ));
                }
                for signal in stage.value.reads() {
                    let Some((known, _)) = written.iter().find(|(known, _)| known.name == signal) else {
                        let signals: Vec<&str> = written.iter().map(|(signal, _)| signal.name).collect();
                        let known = if signals.is_empty() { "none".to_owned() } else { signals.join(", ") };
                        let failure = Failure::configuration(format!(
                            "`{}` judges the signal `{signal}`, which no stage before it writes for slice {name}",
                            stage.value.name()
                        ));
                        let failure = failure.at(self.place_of_word(stage, &signal));
                        let writer = stages::writer_of(&signal);
                        return Err(failure.hint(match (writer, closest(&signal, &signals)) {
                            (Some(writer), _) if written.iter().any(|(_, stage)| stage.name() == writer) => {
                                format!(
                                    "`{writer}` before it does not, with its options: see `redpajama stages {writer}`"
                                )
                            }
                            (Some(writer), _) => format!("put `- {writer}: {{}}` before it, which writes it"),
                            (None, Some(close)) => format!("did you mean `{close}`?"),
                            (None, None) => {
                                format!("written before it: {known}; `redpajama stages` tells who writes what")
                            }
                        }));
                    };
                    if let Some((why, hint)) = self.never_there(name, &signal, &written) {
                        let judges = format!("`{}` judges the signal `{signal}`", stage.value.name());
                        let failure =
                            Failure::configuration(format!("{judges}, which would be null throughout: {why}"));
                        return Err(failure.at(self.place_of_word(stage, &signal)).hint(hint));
                    }
                    if stage.value.compares_numbers() && known.kind == SignalKind::Spans {
                        let judges = format!("`{}` judges the signal `{signal}`", stage.value.name());
                        let failure = Failure::configuration(format!("{judges}, which has a value for each line"));
                        let hint = "name a signal with one value a document";
                        return Err(failure.at(self.place_of_word(stage, &signal)).hint(hint));
                    }
                    if stage.value.compares_numbers() && known.kind == SignalKind::Text {
                        let failure = Failure::configuration(format!(
                            "`{}` looks for the highest or lowest `{signal}`, which is a word",
                            stage.value.name()
                        ));
                        let failure = failure.at(self.place_of_word(stage, &signal));
                        return Err(failure.hint("name a signal that is a number"));
                    }
                    let (by, is, hint) = match (stage.value.judges_words(&signal), known.kind) {
                        (Some(false), SignalKind::Text) => {
                            ("bounds", "a word", "`one_of: [WORD, …]` keeps documents by a word")
                        }
                        (Some(true), SignalKind::Integer | SignalKind::Number | SignalKind::Spans) => {
                            ("words", "a number", "`{ min: NUMBER, max: NUMBER }` keeps documents by a number")
                        }
                        _ => continue,
                    };
                    let judges = format!("`{}` judges `{signal}` by {by}, and it is {is}", stage.value.name());
                    let failure = Failure::configuration(judges).at(self.place_of_word(stage, &signal));
                    return Err(failure.hint(hint));
                }
                written.extend(stage.value.writes().into_iter().map(|signal| (signal, &stage.value)));
                match stage.value.kind() {
                    Kind::Edit => tokenized = false,
                    Kind::Pack if !tokenized => {
                        let failure = Failure::configuration("`pack` without tokens");
                        return Err(here(failure).hint("put `- tokenize: {}` before it, after the last edit"));
                    }
                    Kind::Pack => packed = true,
                    _ => tokenized |= stage.value.name() == "tokenize",
                }
            }
        }
        Ok(())
    }

    /// Whether the model of quality knows the label that each `quality` calls good.
    pub fn check_quality(&self, model: &stages::fasttext::Model) -> Result<()> {
        let own = self.pipeline.slices.0.iter().flat_map(|(_, slice)| &slice.stages);
        for stage in own.chain(&self.pipeline.stages) {
            let StageSpec::Quality(options) = &stage.value else { continue };
            options.suits(model).map_err(|words| Failure::configuration(words).at(self.place(stage)))?;
        }
        Ok(())
    }

    /// Why no document of a slice can have a signal that stages before write, with what to do about it.
    fn never_there(&self, slice: &str, signal: &str, written: &[(SignalSpec, &StageSpec)]) -> Option<(String, String)> {
        let lacks = |signal: &str, stage: &StageSpec| {
            stage.rests_on(signal).filter(|variable| self.model(*variable).is_none()).map(Variable::name)
        };
        // Whoever writes it, a value of any of them is one.
        let mut writers = written.iter().enumerate().filter(|(_, (known, _))| known.name == signal);
        let (mut at, &(_, mut writer)) = writers.next()?;
        let mut variable = lacks(signal, writer);
        for (later, &(_, other)) in writers {
            (at, writer) = (later, other);
            variable = variable.and(lacks(signal, other));
        }
        if let Some(variable) = variable {
            let why = format!("`{}` measures it with `{variable}`, which the pipeline does not name", writer.name());
            return Some((why, format!("name one, `{variable}: …`, or judge another signal")));
        }
        let source = writer.repeats(signal)?;
        let (before, after) = written.split_at(at);
        let mut before = before.iter().filter(|(known, _)| known.name == source).map(|(_, stage)| *stage).peekable();
        match before.peek() {
            None => {
                // Without such a stage it is the source that may tell.
                let (_, late) = after.iter().find(|(known, _)| known.name == source)?;
                let why = format!("`{}` stands after `{}`, which says again what it wrote", late.name(), writer.name());
                Some((why, format!("put `{}` before `{}`", late.name(), writer.name())))
            }
            // cc_net's own files tell it without a model.
            Some(_) if slice == "common_crawl" => None,
            Some(first) => {
                let variable = lacks(source, first)?;
                let why = format!("`{}` measures with `{variable}`, which the pipeline does not name", first.name());
                Some((why, format!("name one, `{variable}: …`, or judge another signal")))
            }
        }
    }

    /// Where a word stands within a stage, or the stage itself.
    pub fn place_of_word(&self, stage: &Spanned<StageSpec>, word: &str) -> Place {
        let whole = self.place(stage);
        for (index, line) in self.text.lines().enumerate().skip(whole.line - 1).take(50) {
            if let Some(at) = line.find(word) {
                let column = line[..at].chars().count() + 1;
                let width = word.chars().count();
                return Place { line: index + 1, column, width, text: line.to_owned(), ..whole };
            }
        }
        whole
    }
}

/// A model of `manifests/models.yaml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// What it is.
    pub about: String,
    /// The variable that may name it.
    pub kind: String,
    /// Its file, in the folder of models.
    pub file: String,
    /// Where it is published.
    pub url: String,
    /// Its licence.
    pub license: String,
    /// Its length, where it is known.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Its SHA-256, where it is known.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The model without which it is of no use.
    #[serde(default)]
    pub with: Option<String>,
    /// Words that stand for `{name}` in the name, `about`, `file` and `url`: a model for each.
    #[serde(default)]
    pub each: BTreeMap<String, Vec<String>>,
    /// The name with its `{name}`, of a model that is one of several.
    #[serde(skip)]
    pub family: Option<String>,
}

/// All models of the manifest, by name.
pub fn models() -> Result<BTreeMap<String, ModelEntry>> {
    let file = "manifests/models.yaml";
    let written: BTreeMap<String, ModelEntry> = parse(file, embedded(file).unwrap_or("{}"))?;
    let mut models = BTreeMap::new();
    for (name, entry) in written {
        for words in crate::manifest::combinations(&entry.each) {
            let fill = |text: &str| crate::manifest::fill(text, &words);
            let (about, file, url) = (fill(&entry.about), fill(&entry.file), fill(&entry.url));
            let family = (!words.is_empty()).then(|| name.clone());
            let with = entry.with.as_deref().map(fill);
            models.insert(fill(&name), ModelEntry { about, file, url, family, with, ..entry.clone() });
        }
    }
    Ok(models)
}

/// Whether the manifest has a model of this name, or a family of them.
fn is_known_model(name: &str) -> bool {
    models()
        .is_ok_and(|models| models.iter().any(|(known, entry)| known == name || entry.family.as_deref() == Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message for a pipeline, as a user sees it.
    fn message(yaml: &str) -> String {
        let failure = match parse_pipeline("p.yaml", yaml) {
            Err(failure) => failure,
            Ok(pipeline) => {
                let read = Read {
                    name: "p".into(),
                    folder: None,
                    file: "p.yaml".into(),
                    text: yaml.into(),
                    pipeline,
                    others: Others::new(),
                };
                read.check().expect_err("a wrong pipeline")
            }
        };
        crate::report::words(&failure)
    }

    #[test]
    fn an_unknown_stage_is_shown_with_a_suggestion() {
        assert_eq!(
            message("slices:\n  c4: {}\nstages:\n  - line_lenth: {}\n"),
            "error: unknown stage `line_lenth`\n --> p.yaml:4:5\n  |\n4 |   - line_lenth: {}\n  |     ^^^^^^^^^^\n\
             hint: did you mean `line_length`? `redpajama stages` lists them all"
        );
    }

    #[test]
    fn every_mistake_points_at_its_place() {
        let rows = [
            ("slices:\n  gihub: {}\n", "p.yaml:2:3", "unknown slice `gihub`", "did you mean `github`"),
            (
                "slices:\n  c4: {}\nstages:\n  - line_length: { maks: 3 }\n",
                "p.yaml:4:20",
                "unknown option `maks`",
                "`max`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - line_length: { max: red }\n",
                "p.yaml:4:25",
                "a whole number",
                "`redpajama stages line_length` tells its options",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - line_length:\n      # Ours.\n      max_mean: 3\n      max: -3\n",
                "p.yaml:7:12",
                "a whole number from 0",
                "`redpajama stages line_length` tells its options",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - line_length: { max: 99999999999999999999999999 }\n",
                "p.yaml:4:25",
                "is too large: expected a whole number from 0 to 18446744073709551615",
                "stages line_length`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - alphanumeric_share: { min: 25 }\n",
                "p.yaml:4:32",
                "25 is not a share",
                "`redpajama stages alphanumeric_share`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - pack: { shard_tokens: 0 }\n",
                "p.yaml:4:27",
                "0 is too small",
                "`redpajama stages pack`",
            ),
            (
                "slices:\n  c4:\n    source: { language: [en] }\n",
                "p.yaml:3:25",
                "expected one value, not a list",
                "`redpajama sources c4` tells its options",
            ),
            ("slices:\n  c4: {}\nallow_unusable: 7\n", "p.yaml:3:17", "7 is not a share", "`redpajama schema`"),
            (
                "slices:\n  c4: {}\ntokenizer: a\nstages:\n  - tokenize\n  - pack: {}\n",
                "p.yaml:5:5",
                "`tokenize` without its options",
                "a stage is a map: `- tokenize: {}`",
            ),
            (
                "slices:\n  c4:\n    stages:\n      - exact_dedup\n",
                "p.yaml:4:9",
                "`exact_dedup` without its options",
                "`- exact_dedup: {}`",
            ),
            ("slices:\n  c4: {}\nstages:\n  - {}\n", "p.yaml:4:5", "the name of a stage is missing", "empty_text: {}"),
            ("slices:\n  c4: {}\nstages:\n  -\n", "p.yaml:4:", "the name of a stage is missing", "empty_text: {}"),
            (
                "slices:\n  c4: {}\nstages:\n  - line_length: { max: 3\n  - license: {}\n",
                "p.yaml:4:25",
                "a whole number",
                "is a `}`, a `]` or a quote missing?",
            ),
            ("slices:\n  c4: {}\nstages:\n  - [license]\n", "p.yaml:4:5", "expected a stage", "empty_text: {}"),
            ("slices:\n\tc4: {}\n", "p.yaml:2:2", "a tab where", "indent with spaces"),
            ("slices:\n  c4: \"x\n", "p.yaml:2:7", "a quote that is never closed", "end the text"),
            ("slices:\n  c4: {}\n stages: 3\n", "p.yaml:3:2", "expected a key", "the same column"),
            ("slices:\n  c4:\n    input: [*.gz]\n", "p.yaml:3:13", "a name after `*`", "put quotes around"),
            ("slices:\n  c4: {}\nstags: []\n", "p.yaml:3:1", "unknown option `stags`", "did you mean `stages`"),
            ("slices:\n  c4: {}\nslices:\n  c4: {}\n", "p.yaml:3:1", "`slices` is there twice", "keep one"),
            ("slices:\n  c4: { stages: [ tokenize: {} ] }\n", "p.yaml:2:19", "needs a tokenizer", "gpt-neox-20b"),
            ("slices:\n  c4: {}\ntokenizer: a\nstages:\n  - pack: {}\n", "p.yaml:5:5", "without tokens", "tokenize"),
            (
                "slices:\n  c4: {}\nstages:\n  - line_statistics: {}\n  - keep_if:\n      line_cont: { min: 1 }\n",
                "p.yaml:6:7",
                "`line_cont`, which no stage before it writes",
                "did you mean `line_count`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - keep_if:\n      line_count: { min: 1 }\n",
                "p.yaml:5:7",
                "`line_count`, which no stage before it writes",
                "put `- line_statistics: {}` before it",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - content_hash: {}\n  - keep_if:\n      content_hash: { min: 1 }\n",
                "p.yaml:6:7",
                "`content_hash` by bounds, and it is a word",
                "one_of",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - line_statistics: {}\n  - keep_if:\n      line_count: { one_of: [a] }\n",
                "p.yaml:6:7",
                "`line_count` by words, and it is a number",
                "min",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - signals: { only: [rps_doc_word_counts] }\n",
                "p.yaml:4:23",
                "no signal or group `rps_doc_word_counts`",
                "`redpajama stages signals` tells its options",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - keep_if: { preset: gofer }\n",
                "p.yaml:4:24",
                "unknown value `gofer`",
                "did you mean `gopher`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - line_statistics: {}\n  - exact_dedup: { keep: { highest: line_cont } }\n",
                "p.yaml:5:37",
                "`line_cont`, which no stage before it writes",
                "did you mean `line_count`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - content_hash: {}\n  - exact_dedup: { keep: { lowest: content_hash } }\n",
                "p.yaml:5:",
                "`content_hash`, which is a word",
                "a number",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - exact_dedup: { bloom: { error_rate: 2 } }\n",
                "p.yaml:4:41",
                "2 is not an error rate",
                "`redpajama stages exact_dedup`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - exact_dedup: { keep: { higest: a } }\n",
                "p.yaml:4:",
                "unknown value `higest`",
                "did you mean `highest`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - signals: { only: [all] }\n  - keep_if:\n      \
                 rps_doc_ml_wikiref_score: { min: 0.2 }\n",
                "p.yaml:6:7",
                "null throughout: `signals` measures it with `quality_model`, which the pipeline does not name",
                "`quality_model: …`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - signals: { only: [content] }\n  - keep_if: { \
                 rps_doc_ut1_blacklist: { max: 1 } }\n",
                "p.yaml:5:16",
                "null throughout",
                "`blocked_domains: …`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - perplexity: {}\n  - keep_if: { perplexity: { max: 500 } }\n",
                "p.yaml:5:16",
                "null throughout",
                "`perplexity_model: …`",
            ),
            (
                "slices:\n  c4: {}\nperplexity_model: a\nstages:\n  - signals: {}\n  - perplexity: {}\n  \
                 - keep_if: { ccnet_perplexity: { max: 500 } }\n",
                "p.yaml:7:16",
                "null throughout: `perplexity` stands after `signals`",
                "put `perplexity` before `signals`",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - perplexity: {}\n  - signals: {}\n  \
                 - keep_if: { ccnet_perplexity: { max: 500 } }\n",
                "p.yaml:6:16",
                "null throughout: `perplexity` measures with `perplexity_model`",
                "`perplexity_model: …`",
            ),
            (
                "slices:\n  c4: {}\nperplexity_model: a\nstages:\n  - perplexity: {}\n  - bucket: {}\n",
                "p.yaml:6:5",
                "`perplexity` before `bucket` writes none",
                "`lines: glued`",
            ),
            (
                "slices:\n  c4: {}\nperplexity_model: a\nstages:\n  - perplexity: {}\n  - keep_if: { bucket: { one_of: [head] } }\n",
                "p.yaml:6:16",
                "`bucket`, which no stage before it writes",
                "`perplexity` before it does not, with its options",
            ),
            (
                "slices:\n  c4: {}\nstages:\n  - signals: { language: english }\n",
                "p.yaml:4:26",
                "no language `english`",
                "`redpajama stages signals`",
            ),
            ("slices: {}\n", "p.yaml:1:9", "at least one slice", ""),
            ("slices:\n  c4: {}\npartition: 0\n", "p.yaml:3:12", "0 is too small", ""),
            ("slices:\n  c4: { input: a.json }\n", "p.yaml:2:16", "expected a list", "[first, second]"),
        ];
        for (yaml, place, says, hint) in rows {
            let message = message(yaml);
            assert!(message.contains(place), "{message}\nmisses {place}");
            assert!(message.contains(says) && message.contains(hint), "{message}\nmisses {says} or {hint}");
        }
    }

    #[test]
    fn a_signal_that_a_model_or_the_source_may_tell_can_be_judged() {
        let keep = |model: &str, stages: &str| format!("slices:\n  common_crawl: {{}}\n{model}\nstages:\n{stages}");
        for yaml in [
            keep("perplexity_model: a", "  - perplexity: {}\n  - keep_if: { perplexity: { max: 5 } }\n"),
            keep(
                "perplexity_model: a",
                "  - perplexity: {}\n  - signals: {}\n  - keep_if: { ccnet_perplexity: { max: 5 } }\n",
            ),
            keep("", "  - signals: {}\n  - keep_if: { ccnet_perplexity: { max: 5 } }\n"),
            keep("", "  - perplexity: {}\n  - signals: {}\n  - keep_if: { ccnet_perplexity: { max: 5 } }\n"),
            keep(
                "quality_model: a",
                "  - signals: { only: [all] }\n  - keep_if: { rps_doc_ml_wikiref_score: { min: 0 } }\n",
            ),
        ] {
            let pipeline = parse_pipeline("p.yaml", &yaml).unwrap();
            let (name, file, text) = ("p".into(), "p.yaml".into(), yaml.clone());
            let read = Read { name, folder: None, file, text, pipeline, others: Others::new() };
            if let Err(failure) = read.check() {
                panic!("{yaml}: {}", crate::report::words(&failure));
            }
        }
    }

    #[test]
    fn every_embedded_pipeline_is_right() {
        for name in embedded_pipelines() {
            read(name, &[]).unwrap_or_else(|failure| panic!("{name}: {}", crate::report::words(&failure)));
        }
        assert!(embedded_pipelines().any(|name| name == "original/github"));
    }

    /// The pipeline of all slices says again what each slice's own says; the two must not part.
    #[test]
    fn the_pipeline_of_all_slices_is_that_of_each() {
        let spelled = |spec: &SliceSpec, shared: &[Spanned<StageSpec>]| -> Vec<String> {
            let all = spec.stages.iter().chain(shared).map(|stage| serde_json::to_string(&stage.value).unwrap());
            let mut all: Vec<String> = all.collect();
            all.sort();
            all
        };
        let all = read("redpajama-1t", &[]).unwrap().pipeline;
        assert_eq!(all.slices.0.len(), sources::told().len());
        for (name, slice) in &all.slices.0 {
            let alone = read(name, &[]).unwrap().pipeline;
            let (_, own) = &alone.slices.0[0];
            assert_eq!(spelled(slice, &all.stages), spelled(own, &alone.stages), "{name}");
            let source = |slice: &SliceSpec| serde_json::to_value(&slice.source).unwrap();
            assert_eq!(source(slice), source(own), "{name}");
        }
        let models = models().unwrap();
        assert!(is_known_model("gpt-neox-20b") && is_known_model("ldnoobw-{language}") && !is_known_model("gpt"));
        assert_eq!(models["cc-net-en.arpa"].file, "cc_net/en.arpa.bin");
    }

    #[test]
    fn every_source_s_example_is_a_slice_of_a_pipeline() {
        for told in sources::told() {
            let pipeline: Pipeline = parse(told.name, &format!("slices:\n  {}\n", told.example)).unwrap();
            assert_eq!(pipeline.slices.0[0].0, told.name);
        }
    }

    #[test]
    fn a_key_is_set_wherever_it_lies() {
        let mut value =
            serde_json::json!({"stages": [{"line_length": {"max": 1}}, {"pack": null}], "slices": {"c4": {}}});
        for assignment in [
            "stages.line_length.max=5",
            "stages.pack={shard_tokens: 7}",
            "slices.c4.source.require=[text, url]",
            "a=b=c",
        ] {
            assign(&mut value, assignment).unwrap();
        }
        let mut own = serde_json::json!({"slices": {"c4": {"stages": [{"license": {}}]}}, "stages": []});
        assign(&mut own, "stages.license.keep=[mit]").unwrap();
        assert_eq!(own["slices"]["c4"]["stages"][0]["license"]["keep"][0], "mit");
        let expected = serde_json::json!({
            "stages": [{"line_length": {"max": 5}}, {"pack": {"shard_tokens": 7}}],
            "slices": {"c4": {"source": {"require": ["text", "url"]}}}, "a": "b=c",
        });
        assert_eq!(value, expected);
        let hint =
            |value: &mut serde_json::Value, assignment: &str| assign(value, assignment).unwrap_err().hint.unwrap();
        assert_eq!(hint(&mut value, "stages.licence.keep=[]"), "it has: line_length, pack");
        assert_eq!(
            hint(&mut value, "stages.line_lenth.max=3"),
            "did you mean `line_length`? it has: line_length, pack"
        );
        assert_eq!(hint(&mut own, "stages.licence.keep=[]"), "did you mean `license`? it has: license");
        assert!(assign(&mut value, "nothing").is_err());
    }

    #[test]
    fn a_pipeline_is_named_by_its_path_below_pipelines() {
        for (path, name) in [
            ("pipelines/original/github.yaml", "original/github"),
            ("/a/pipelines/c4.yaml", "c4"),
            ("original/github", "original/github"),
            ("../mine.yaml", "mine"),
            ("./mine.yaml", "mine"),
        ] {
            assert_eq!(name_of(Path::new(path)), name);
        }
    }
}
