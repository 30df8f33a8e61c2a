//! Pipeline files: what a user writes in YAML, with the place of everything that is wrong in it.

mod check;
mod models;
mod place;
mod set;
#[cfg(test)]
mod tests;
mod yaml;

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::Spanned;
use sources::SourceSpec;
use stages::{Share, StageSpec, Variable};

use crate::failure::{Failure, Place, Result};
use crate::others::Others;
use crate::size::Size;

pub use models::{ModelEntry, models};
pub use yaml::{closest, parse};

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
                set::assign(&mut value, assignment)?;
            }
            let text = serde_saphyr::to_string(&value)
                .map_err(|error| Failure::usage(format!("cannot write the pipeline after --set: {error}")))?;
            (format!("{file} (after --set)"), text)
        }
    };
    let pipeline = yaml::parse_pipeline(&file, &text)?;
    let read = Read { name, folder, file, text, pipeline, others: Others::new() };
    read.check()?;
    Ok(read)
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

impl Read {
    /// All stages of a slice: its own, then the pipeline's.
    pub fn stages_of(&self, slice: &SliceSpec) -> Vec<StageSpec> {
        slice.stages.iter().chain(&self.pipeline.stages).map(|stage| stage.value.clone()).collect()
    }

    /// The place of a spanned value.
    pub fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        yaml::place(&self.file, &self.text, spanned.referenced)
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
}
