//! What dedups that are held against another run have in common.

use std::fmt;
use std::path::PathBuf;

use corpus::{SignalKind, SignalSpec};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Another run, finished, that a dedup is held against: its folder, from the pipeline's file, or
/// `{ run: FOLDER, then: mark }`.
///
/// What it kept stays, comes before all of ours in rank, and is read, never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Against {
    /// Its folder.
    pub run: PathBuf,
    /// What becomes of documents of ours that are alike to one that it kept.
    pub then: Then,
}

/// What becomes of documents of ours that are alike to one that another run kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// They go, and their receipts name the other's document.
    #[default]
    Drop,
    /// They stay, and the signals `other_id`, `other_similarity` and `other_run` name it; where several dedups
    /// mark a document, the first mark stays. A dedup that cuts says how much of a text the other has: the signals
    /// `other_share` and `other_share_run`, of several the greatest share. Among ours, all goes as if the other run
    /// were not there.
    Mark,
}

/// As it is written at length.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AtLength {
    /// The folder of the other run.
    #[serde(deserialize_with = "folder")]
    run: PathBuf,
    /// What becomes of documents of ours that are alike to one that it kept.
    #[serde(default)]
    then: Then,
}

/// As it may be written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Against")]
#[expect(dead_code, reason = "it tells the schema what may be written, and is never made")]
enum Written {
    /// The folder.
    Folder(PathBuf),
    /// The folder, and what follows.
    AtLength(AtLength),
}

impl JsonSchema for Against {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Against {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Against, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Against;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the folder of another run, or `{ run: FOLDER, then: mark }`")
            }

            fn visit_str<E: Error>(self, folder: &str) -> Result<Against, E> {
                Ok(Against { run: named(folder)?, then: Then::Drop })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Against, A::Error> {
                let AtLength { run, then } = AtLength::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Against { run, then })
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

fn named<E: Error>(folder: &str) -> Result<PathBuf, E> {
    match folder.trim() {
        "" => Err(E::custom("no folder: give that of a finished run, from the pipeline's file")),
        _ => Ok(folder.into()),
    }
}

fn folder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    named(&String::deserialize(deserializer)?)
}

/// Where the other run lies is no part of what a stage does; what follows is.
impl Serialize for Against {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Against", 1)?;
        fields.serialize_field("then", &self.then)?;
        fields.end()
    }
}

impl Against {
    /// Whether it says nothing but which run.
    pub(crate) fn is_plain(against: &Option<Against>) -> bool {
        against.as_ref().is_none_or(|against| against.then == Then::Drop)
    }
}

/// The signals of documents that are marked: which document of which run each is alike, and how much.
pub const SIGNALS: [SignalSpec; 3] = [
    SignalSpec {
        name: "other_id",
        kind: SignalKind::Text,
        about: "with `against: { then: mark }`, the document of another run that it is alike; of several dedups that mark it the first one's",
    },
    SignalSpec {
        name: "other_similarity",
        kind: SignalKind::Number,
        about: "how alike the two are, from 0 to 1, and 1 where what the dedup compares is equal (a text, a key, for `crawl_dedup` by `url` an address, whatever the texts); null if nobody has compared them",
    },
    SignalSpec { name: "other_run", kind: SignalKind::Text, about: "the other run's folder, as the pipeline gives it" },
];

/// The signals of documents of which a dedup that cuts marks parts: how much of a text another run has, and which
/// run that is.
pub const PART_SIGNALS: [SignalSpec; 2] = [
    SignalSpec {
        name: "other_share",
        kind: SignalKind::Number,
        about: "with `against: { then: mark }`, the share of the text that is left, in bytes and from 0 to 1, that `then: drop` would have taken beside because another run has it; of several dedups that cut the greatest",
    },
    SignalSpec {
        name: "other_share_run",
        kind: SignalKind::Text,
        about: "the folder of the run that has it, as the pipeline gives it; null if none has anything",
    },
];

#[test]
fn a_run_is_named_by_its_folder_alone_or_at_length() {
    use crate::StageSpec;
    let read = |options: &str| serde_saphyr::from_str::<StageSpec>(&format!("exact_dedup: {options}"));
    let plain = read("{ against: ../old }").unwrap();
    assert_eq!(plain.against().unwrap(), std::path::Path::new("../old"));
    assert!(!plain.marks() && plain.writes().is_empty());
    let text = serde_json::to_string(&plain).unwrap();
    assert_eq!(text, serde_json::to_string(&read("{}").unwrap()).unwrap());
    assert_eq!(text, serde_json::to_string(&read("{ against: { run: ../elsewhere } }").unwrap()).unwrap());
    let marks = read("{ against: { run: ../old, then: mark } }").unwrap();
    assert!(marks.marks() && marks.writes().len() == 3);
    let text = serde_json::to_string(&marks).unwrap();
    assert!(text.contains(r#""against":{"then":"mark"}"#) && !text.contains("old"), "{text}");
    for cuts in ["line_ngram_dedup", "paragraph_dedup", "substring_dedup"] {
        let read = |then: &str| -> StageSpec {
            serde_saphyr::from_str(&format!("{cuts}: {{ against: {{ run: ../old, then: {then} }} }}")).unwrap()
        };
        let (drops, marks) = (read("drop").writes(), read("mark").writes());
        assert_eq!((&marks[..drops.len()], &marks[drops.len()..]), (&drops[..], &PART_SIGNALS[..]), "{cuts}");
    }
    for wrong in ["{ against: { then: mark } }", "{ against: { run: a, then: keep } }", "{ against: { run: a, b: c } }"]
    {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    for empty in ["{ against: \"\" }", "{ against: { run: '  ' } }"] {
        assert!(read(empty).unwrap_err().to_string().contains("no folder"), "{empty}");
    }
    assert!(read("{ against: [a] }").unwrap_err().to_string().contains("the folder of another run"));
}
