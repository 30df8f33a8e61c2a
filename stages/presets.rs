//! Known recipes as rules on signals, each number with its source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keep_if::{KeepIf, Rule};

/// A known recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The web pages that RedPajama-1T kept, on what `language` and `quality` measure, with the models
    /// `lid.176` and `wikiref`. Its choice by perplexity is the filter `bucket`'s.
    RpV1,
    /// The files that RedPajama-1T kept of GitHub by what `line_statistics` measures.
    RpV1Github,
    /// The rules that RedPajama-V2's card shows, on what `signals` measures.
    RpV2,
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

const RP_V1: [Line; 2] = [
    at_least("language_score", 0.5, "cc_net's mining for RedPajama-1T, with lid.176"),
    at_least("quality_score", 0.25, "RedPajama-1T, step 4 of its CommonCrawl recipe, with wikiref"),
];

const RP_V1_GITHUB: [Line; 3] = [
    at_most("max_line_length", 1000.0, "RedPajama-1T, step 3 of its GitHub recipe"),
    at_most("avg_line_length", 100.0, "RedPajama-1T, step 3 of its GitHub recipe"),
    at_least("alnum_prop", 0.25, "RedPajama-1T, step 3 of its GitHub recipe"),
];

const CARD: &str = "RedPajama-V2's dataset card, `gopher_rules_pass`";

const RP_V2: [Line; 5] = [
    within("rps_doc_word_count", 50.0, 10_000.0, CARD),
    within("rps_doc_mean_word_length", 3.0, 10.0, CARD),
    at_most("rps_doc_symbol_to_word_ratio", 0.1, CARD),
    at_most("rps_lines_start_with_bulletpoint", 0.9, CARD),
    at_most("rps_doc_frac_chars_top_2gram", 0.2, CARD),
];

const DCLM: [Line; 1] = [at_most("dclm_removed_word_frac", 0.05, LI)];

impl Preset {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Preset; 7] =
        [Preset::RpV1, Preset::RpV1Github, Preset::RpV2, Preset::Gopher, Preset::C4, Preset::Fineweb, Preset::Dclm];

    /// Its name in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Preset::RpV1 => "rp_v1",
            Preset::RpV1Github => "rp_v1_github",
            Preset::RpV2 => "rp_v2",
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
            Preset::RpV1 => RP_V1.to_vec(),
            Preset::RpV1Github => RP_V1_GITHUB.to_vec(),
            Preset::RpV2 => RP_V2.to_vec(),
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
        assert_eq!(serde_json::to_value(preset).unwrap(), preset.name());
        for line in preset.lines() {
            assert!(crate::writer_of(line.signal).is_some(), "{}: {}", preset.name(), line.signal);
            assert!(!line.source.is_empty());
        }
    }
}
