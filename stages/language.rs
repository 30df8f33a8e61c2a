//! Writes which language a text is in.

use std::borrow::Cow;
use std::sync::Arc;

use corpus::{Document, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fasttext::Model;
use crate::{Stage, Workspace};

/// Writes the likeliest language of a text to its meta, over what the source said, and how sure we
/// are as `language_score`.
///
/// With `language_model` the model is fastText's: `lid.176.bin`, `lid.176.ftz`, or any supervised
/// model, whose labels are then the languages. Without, it is whatlang, which is built in and knows
/// 70 languages by the same short names (`en`, `zh`); it is weaker on texts of a line or two. A
/// score is the model's own: of fastText a probability, of whatlang how far the runner-up is
/// behind, so a threshold for one is none for the other. A text without a letter that whatlang
/// knows has neither language nor score. fastText's models answer any text: one of which they know
/// nothing, or an empty one, gets what they say of an empty line (`lid.176`: `en`, 0.12), so
/// `empty_text` or a bound on the score belongs beside them.
///
/// The model sees the text as one line. Tabs and other white space part words as a space does, so
/// replacing them first, as the original's arXiv script does, changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Language {
    /// What becomes of line ends before the model looks.
    pub newlines: Newlines,
    /// Whether the model sees capitals as small letters, as in the original's arXiv script.
    pub lower_case: bool,
    /// Digits of the score after the point; cc_net keeps 2.
    pub decimals: Decimals,
}

/// What becomes of line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Newlines {
    /// They part words.
    Space,
    /// They vanish, and the last word of a line becomes one with the first of the next: cc_net's
    /// way.
    Removed,
}

/// Digits after the point, at most 9: all that a single-precision number has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(transparent, extend("minimum" = 0, "maximum" = 9))]
pub struct Decimals(u8);

impl Decimals {
    /// So many; at most 9.
    pub(crate) fn of(digits: u8) -> Decimals {
        Decimals(digits.min(9))
    }
}

impl<'de> Deserialize<'de> for Decimals {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Decimals, D::Error> {
        match u8::deserialize(deserializer)? {
            digits @ 0..=9 => Ok(Decimals(digits)),
            digits => Err(serde::de::Error::custom(format!("{digits} is too many: at most 9"))),
        }
    }
}

impl Default for Language {
    fn default() -> Self {
        // Ours: four digits tell all that a threshold asks, and survive another mathematical library.
        Language { newlines: Newlines::Space, lower_case: false, decimals: Decimals(4) }
    }
}

const WRITES: [SignalSpec; 1] =
    [SignalSpec { name: "language_score", kind: SignalKind::Number, about: "how sure the model is of the language" }];

impl Language {
    /// The stage, with the model that it asks; without one it asks whatlang.
    pub fn with(self, model: Option<Arc<Model>>) -> impl Stage {
        Identifying { options: self, model }
    }

    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn prepared<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        if self.newlines == Newlines::Removed && text.contains('\n') {
            text = text.replace('\n', "").into();
        }
        if self.lower_case {
            text = text.to_lowercase().into();
        }
        text
    }
}

struct Identifying {
    options: Language,
    model: Option<Arc<Model>>,
}

impl Stage for Identifying {
    fn writes(&self) -> &'static [SignalSpec] {
        &WRITES
    }

    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let text = self.options.prepared(document.text());
        let found = match &self.model {
            Some(model) => model.predict_one(&text).map(|best| (best.label, f64::from(best.probability))),
            None => whatlang::detect(&text).map(|found| (short_name(found.lang().code()), found.confidence())),
        };
        let language = found.map(|(language, _)| language.into());
        let score = found.map(|(_, score)| rounded(score, self.options.decimals));
        document.meta.language = language;
        if let Some(score) = score {
            document.signals.set("language_score", Signal::Number(score));
        }
        Verdict::Keep
    }
}

/// Rounds as Python's `round` does: by the exact decimal value, a half to the even digit.
pub(crate) fn rounded(value: f64, Decimals(digits): Decimals) -> f64 {
    format!("{value:.*}", usize::from(digits)).parse().unwrap_or(value)
}

/// Languages by their names of three letters in ISO 639, with those of two.
#[rustfmt::skip]
const TWO_LETTERS: &[(&str, &str)] = &[
    ("afr", "af"), ("aka", "ak"), ("amh", "am"), ("ara", "ar"), ("aze", "az"), ("bel", "be"), ("ben", "bn"),
    ("bul", "bg"), ("cat", "ca"), ("ces", "cs"), ("cmn", "zh"), ("cym", "cy"), ("dan", "da"), ("deu", "de"),
    ("ell", "el"), ("eng", "en"), ("epo", "eo"), ("est", "et"), ("fin", "fi"), ("fra", "fr"), ("guj", "gu"),
    ("heb", "he"), ("hin", "hi"), ("hrv", "hr"), ("hun", "hu"), ("hye", "hy"), ("ind", "id"), ("ita", "it"),
    ("jav", "jv"), ("jpn", "ja"), ("kan", "kn"), ("kat", "ka"), ("khm", "km"), ("kor", "ko"), ("lat", "la"),
    ("lav", "lv"), ("lit", "lt"), ("mal", "ml"), ("mar", "mr"), ("mkd", "mk"), ("mya", "my"), ("nep", "ne"),
    ("nld", "nl"), ("nob", "no"), ("ori", "or"), ("pan", "pa"), ("pes", "fa"), ("pol", "pl"), ("por", "pt"),
    ("ron", "ro"), ("rus", "ru"), ("sin", "si"), ("slk", "sk"), ("slv", "sl"), ("sna", "sn"), ("spa", "es"),
    ("srp", "sr"), ("swe", "sv"), ("tam", "ta"), ("tel", "te"), ("tgl", "tl"), ("tha", "th"), ("tuk", "tk"),
    ("tur", "tr"), ("ukr", "uk"), ("urd", "ur"), ("uzb", "uz"), ("vie", "vi"), ("yid", "yi"), ("zul", "zu"),
];

/// Languages of two letters: ISO 639-1, with `bh` and `sh`, which it had and lid.176 has.
const NAMES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de \
                     dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id \
                     ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu \
                     lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu \
                     rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to \
                     tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// Whether a word can be the name of a document's language: two letters of ISO 639, or three where it
/// has no two for it, and perhaps a region or a script, as in `pt-BR`.
pub(crate) fn is_language(word: &str) -> bool {
    let (name, region) = word.split_once(['-', '_']).unwrap_or((word, "XX"));
    let is_region = (2..=4).contains(&region.len()) && region.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_region
        && match name.len() {
            2 => NAMES.split_whitespace().any(|known| known == name),
            3 => name.bytes().all(|byte| byte.is_ascii_lowercase()) && short_name_of(name).is_none(),
            _ => false,
        }
}

fn short_name_of(code: &str) -> Option<&'static str> {
    TWO_LETTERS.iter().find(|(three, _)| *three == code).map(|(_, two)| *two)
}

/// The names that fastText's models give to whatlang's languages: of two letters where ISO 639 has
/// one.
fn short_name(code: &'static str) -> &'static str {
    short_name_of(code).unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::{DocumentId, Meta};

    /// The language and its score, with our small model of hierarchical softmax or with whatlang.
    #[track_caller]
    fn found(options: &str, model: Option<&str>, text: &str, expected: &str) {
        let options: Language = serde_saphyr::from_str(options).unwrap();
        let path = |name| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models/fasttext").join(name);
        let stage = options.with(model.map(|name| Arc::new(crate::fasttext::load(&path(name)).unwrap())));
        let id = DocumentId { raw_file: "c4/a".into(), record: 0 };
        let meta = Meta { language: Some("said".into()), ..Meta::default() };
        let mut document = Document::new(id, text.to_owned(), meta);
        stage.apply(&mut document, &mut Workspace::default());
        let score = match document.signals.get("language_score") {
            Some(Signal::Number(score)) => score.to_string(),
            _ => "-".to_owned(),
        };
        assert_eq!(format!("{} {score}", document.meta.language.as_deref().unwrap_or("-")), expected, "{text:.40?}");
    }

    #[test]
    fn a_model_says_its_own_labels() {
        let model = Some("hierarchical.ftz");
        found("{ decimals: 4 }", model, "the cat sat on the mat", "en 0.9989");
        found("{ decimals: 4 }", model, "die\nKatze saß", "de 0.8131");
    }

    #[test]
    fn without_line_ends_words_become_one() {
        let model = Some("softmax.bin");
        found("{ decimals: 2 }", model, "the\ncat\nsat", "en 1");
        found("{ decimals: 2, newlines: removed }", model, "the\ncat\nsat", "de 0.95");
        found("{ decimals: 2, newlines: removed }", model, "thecatsat", "de 0.95");
    }

    #[test]
    fn capitals_can_be_looked_at_as_small_letters() {
        let model = Some("softmax.bin");
        found("{ decimals: 2 }", model, "THE CAT", "de 0.95");
        found("{ decimals: 2, lower_case: true }", model, "THE CAT", "en 1");
    }

    #[test]
    fn without_a_model_whatlang_says() {
        found("{}", None, "At every step we can say where each of them went.", "en 1");
        found("{}", None, "在每一步我们都能说出每个文件去了哪里", "zh 1");
        found("{}", None, "12 34 ...", "- -");
        found("{}", None, "", "- -");
    }

    #[test]
    fn scores_are_rounded_as_python_rounds() {
        assert_eq!(rounded(0.125, Decimals(2)), 0.12);
        assert_eq!(rounded(0.375, Decimals(2)), 0.38);
        assert_eq!(rounded(f64::from(0.495f32), Decimals(2)), 0.5);
        assert_eq!(rounded(1.00001, Decimals(4)), 1.0);
    }

    #[test]
    fn every_language_of_whatlang_has_a_short_name() {
        for language in whatlang::Lang::all() {
            assert_eq!(short_name(language.code()).len(), 2, "{}", language.code());
        }
    }

    #[test]
    fn languages_have_names_of_two_letters_or_three() {
        for known in ["en", "zh", "als", "ltg", "pt-BR", "zh_Hans"] {
            assert!(is_language(known), "{known}");
        }
        for other in ["", "EN", "english", "eng", "lm", "words", "en-", "en-english", "xx-BR", "日"] {
            assert!(!is_language(other), "{other}");
        }
        assert!(TWO_LETTERS.iter().all(|(_, two)| is_language(two)));
    }

    #[test]
    fn any_text_has_a_score_or_none() {
        let long = "a".repeat(1 << 20);
        found("{}", None, &long, "ak 0.032");
        found("{}", Some("hierarchical.ftz"), &long, "zh 0.4649");
        found("{}", Some("hierarchical.ftz"), "", "de 0.5548");
        found("{}", None, "!?.,;\u{202e}\u{200d}", "- -");
        found("{}", None, "😀😀😀", "- -");
    }
}
