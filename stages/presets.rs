//! Known recipes as rules on signals, each number with its source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keep_if::{KeepIf, Rule};

/// A known recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The quality and repetition rules of Gopher's MassiveText, on what `gopher` measures.
    Gopher,
    /// The pages that C4 keeps, on what `c4` measures.
    C4,
    /// The rules that FineWeb adds to Gopher's and C4's, on what `fineweb` measures.
    Fineweb,
    /// RefinedWeb's rules as DCLM's baseline has them, on what `gopher` and `dclm` measure.
    Dclm,
}

/// One rule of a preset.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The signal that it judges.
    pub signal: &'static str,
    /// The least value kept.
    pub min: Option<f64>,
    /// The greatest value kept.
    pub max: Option<f64>,
    /// Where the number is from.
    pub source: &'static str,
}

impl Line {
    /// The rule, as `keep_if` has it.
    pub fn rule(&self) -> Rule {
        Rule { min: self.min, max: self.max, ..Rule::default() }
    }
}

const fn at_least(signal: &'static str, min: f64, source: &'static str) -> Line {
    Line { signal, min: Some(min), max: None, source }
}

const fn at_most(signal: &'static str, max: f64, source: &'static str) -> Line {
    Line { signal, min: None, max: Some(max), source }
}

const fn within(signal: &'static str, min: f64, max: f64, source: &'static str) -> Line {
    Line { signal, min: Some(min), max: Some(max), source }
}

const QUALITY: &str = "Rae et al. 2021, A.1.1, quality filtering";
const REPETITION: &str = "Rae et al. 2021, table A1";
const RAFFEL: &str = "Raffel et al. 2020, section 2.2";
const PENEDO: &str = "Penedo et al. 2024, section 3.6";
const LI: &str = "Li et al. 2024, DCLM's configuration of RefinedWeb's filters";

const GOPHER: [Line; 21] = [
    within("gopher_word_count", 50.0, 100_000.0, QUALITY),
    within("gopher_mean_word_length", 3.0, 10.0, QUALITY),
    at_most("gopher_hash_to_word_ratio", 0.1, QUALITY),
    at_most("gopher_ellipsis_to_word_ratio", 0.1, QUALITY),
    at_most("gopher_frac_lines_bullet_start", 0.9, QUALITY),
    at_most("gopher_frac_lines_ellipsis_end", 0.3, QUALITY),
    at_least("gopher_frac_alphabetic_words", 0.8, QUALITY),
    at_least("gopher_stop_words", 2.0, QUALITY),
    at_most("gopher_dup_line_frac", 0.30, REPETITION),
    at_most("gopher_dup_paragraph_frac", 0.30, REPETITION),
    at_most("gopher_dup_line_char_frac", 0.20, REPETITION),
    at_most("gopher_dup_paragraph_char_frac", 0.20, REPETITION),
    at_most("gopher_top_2gram_char_frac", 0.20, REPETITION),
    at_most("gopher_top_3gram_char_frac", 0.18, REPETITION),
    at_most("gopher_top_4gram_char_frac", 0.16, REPETITION),
    at_most("gopher_dup_5gram_char_frac", 0.15, REPETITION),
    at_most("gopher_dup_6gram_char_frac", 0.14, REPETITION),
    at_most("gopher_dup_7gram_char_frac", 0.13, REPETITION),
    at_most("gopher_dup_8gram_char_frac", 0.12, REPETITION),
    at_most("gopher_dup_9gram_char_frac", 0.11, REPETITION),
    at_most("gopher_dup_10gram_char_frac", 0.10, REPETITION),
];

const C4: [Line; 3] = [
    at_least("c4_sentences", 3.0, RAFFEL),
    at_most("c4_lorem_ipsum", 0.0, RAFFEL),
    at_most("c4_curly_brackets", 0.0, RAFFEL),
];

const FINEWEB: [Line; 4] = [
    at_least("fineweb_frac_lines_end_punctuation", 0.12, PENEDO),
    at_most("fineweb_dup_line_char_frac", 0.1, PENEDO),
    at_most("fineweb_frac_short_lines", 0.67, PENEDO),
    at_most("fineweb_newline_to_word_ratio", 0.3, "datatrove's FineWeb filter, which the paper does not name"),
];

const DCLM: [Line; 1] = [at_most("dclm_removed_word_frac", 0.05, LI)];

impl Preset {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Preset; 4] = [Preset::Gopher, Preset::C4, Preset::Fineweb, Preset::Dclm];

    /// Its name in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Gopher => "gopher",
            Preset::C4 => "c4",
            Preset::Fineweb => "fineweb",
            Preset::Dclm => "dclm",
        }
    }

    /// The preset of a name.
    pub fn named(name: &str) -> Option<Preset> {
        Preset::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its rules with their sources.
    pub fn lines(self) -> Vec<Line> {
        match self {
            Preset::Gopher => GOPHER.to_vec(),
            Preset::C4 => C4.to_vec(),
            Preset::Fineweb => FINEWEB.to_vec(),
            Preset::Dclm => GOPHER.into_iter().chain(DCLM).collect(),
        }
    }

    /// Its rules, as `keep_if` has them.
    pub fn keep_if(self) -> KeepIf {
        KeepIf { rules: self.lines().iter().map(|line| (line.signal.to_owned(), line.rule())).collect() }
    }
}

#[test]
fn presets_judge_what_stages_write() {
    for preset in Preset::ALL {
        assert_eq!(Preset::named(preset.name()), Some(preset));
        for line in preset.lines() {
            assert!(crate::writer_of(line.signal).is_some(), "{}: {}", preset.name(), line.signal);
            assert!(!line.source.is_empty());
        }
    }
}
