//! Removes paragraphs whose words were read before.

use corpus::{Document, Evidence, Reason, Result, Signal, SignalKind, SignalSpec, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bloom::Bloom;
use crate::paragraph_dedup::{Repeats, lines_of, without_lines};
use crate::word_hashes::{self, Words};
use crate::{Against, Cut, Dedup, Finding, First, Guard, Key, Order, Part, Positive, Share, Sketch};

/// Removes paragraphs (lines) most of whose n-grams of words stand in documents of lower rank, however
/// their lines were cut there, or drops whole documents by the same rule; drops a document of which
/// nothing stays.
///
/// It is the dedup of DCLM and Dolma, whose filter is filled in the order in which threads come by; here
/// what was seen is what stands before a document in the order of the plan, so that the outcome is the
/// same with any number of workers. N-grams of what was removed count, as in Dolma; DCLM forgets them.
///
/// A receipt in `cut/` names the document that has most of the n-grams that were seen first, of as many the one of
/// lowest rank; with a Bloom filter nobody can say. That one may have lost a paragraph itself, since n-grams of
/// what was removed count: its own receipts tell.
///
/// N-grams are compared by 64 bits: of 10^12, each new one has a chance below one in ten million to be
/// taken for another. Each n-gram of a document takes 28 bytes of exchange, so that English text with all
/// its n-grams takes three to four times its own size between passes (3.5 for pages of C4); `sample: 8` takes an eighth of that
/// and judges a paragraph by every eighth of its n-grams, the same ones wherever they stand.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, try_from = "Written")]
#[schemars(!try_from)]
pub struct LineNgramDedup {
    /// Whose parameters stand where nothing else is written.
    pub preset: Preset,
    /// What goes.
    pub remove: Remove,
    /// Words of an n-gram.
    pub ngram: Positive,
    /// The share of n-grams seen from which on a paragraph or a document goes.
    pub share: Share,
    /// Paragraphs with fewer words are left alone; those with fewer than an n-gram has are one n-gram.
    pub min_words: Positive,
    /// What a word is, and which words are the same.
    pub words: Words,
    /// N-grams begin at every so many words of a paragraph, as an option of Dolma has it. With more than 1,
    /// what was inserted at the beginning of a paragraph makes all of it new.
    pub stride: Positive,
    /// Of all n-grams one in so many is compared, chosen by what it says.
    pub sample: Positive,
    /// What becomes of a paragraph whose n-grams stand in earlier paragraphs of the same document.
    pub repeats: Repeats,
    /// A Bloom filter instead of an exact comparison, as in DCLM and Dolma: `{ error_rate: 0.01 }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bloom: Option<Bloom>,
    /// Whether `cut/` tells what was taken from each document, and who has it; without, only counts and signals do.
    #[serde(skip_serializing_if = "crate::dedup::as_ever")]
    pub receipts: bool,
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's text that may go, in bytes, of all that reaches this stage, and whether the run goes on
    /// beyond (`warn`) or ends before it publishes (`stop`). N-grams make no clusters.
    #[serde(skip_serializing)]
    pub guard: Guard,
    /// Another run, finished, by its folder from the pipeline's file: n-grams that its documents have count as
    /// seen before all of ours; they are read, never written. `{ run: FOLDER, then: mark }` takes nothing for their
    /// sake, and says how much of each text would have gone.
    #[serde(skip_serializing_if = "Against::is_plain")]
    pub against: Option<Against>,
}

/// Whose parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Ours: as `dclm`, but exact, with words compared whether capital or small, and paragraphs that repeat
    /// only their own document left alone; only paragraphs go.
    #[default]
    Default,
    /// DCLM's for its baseline (dedup/bff/README.md): `{ remove: both, ngram: 13, share: 0.8, min_words: 13,
    /// words: exact, repeats: remove, bloom: { error_rate: 0.01 } }`.
    Dclm,
    /// Dolma's for CC-News (its script names it `dedupe_ngrams_13_1`): `{ remove: paragraphs, ngram: 13,
    /// share: 0.5, min_words: 14, words: exact, repeats: remove, bloom: { error_rate: 0.1 } }`.
    Dolma,
}

/// What goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remove {
    /// Paragraphs, each judged by its own n-grams.
    #[default]
    Paragraphs,
    /// Documents, judged by all n-grams of their paragraphs.
    Documents,
    /// Documents; of those that stay, paragraphs.
    Both,
}

/// The options as they are written: a preset, and what differs from it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    preset: Preset,
    remove: Option<Remove>,
    ngram: Option<Positive>,
    share: Option<Share>,
    min_words: Option<Positive>,
    words: Option<Words>,
    stride: Option<Positive>,
    sample: Option<Positive>,
    repeats: Option<Repeats>,
    bloom: Option<Bloom>,
    receipts: Option<bool>,
    guard: Guard,
    against: Option<Against>,
}

impl TryFrom<Written> for LineNgramDedup {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<LineNgramDedup, String> {
        let preset = LineNgramDedup::of(written.preset);
        if written.ngram.is_some_and(|ngram| ngram.0 > MOST_WORDS) {
            return Err(format!("`ngram`: an n-gram has at most {MOST_WORDS} words"));
        }
        if written.share.is_some_and(|share| share.0 == 0.0) {
            return Err(
                "a `share` of 0, which every paragraph reaches: for those with a single n-gram that was seen, \
                        say a small one, such as 0.0001"
                    .to_owned(),
            );
        }
        Ok(LineNgramDedup {
            remove: written.remove.unwrap_or(preset.remove),
            ngram: written.ngram.unwrap_or(preset.ngram),
            share: written.share.unwrap_or(preset.share),
            min_words: written.min_words.unwrap_or(preset.min_words),
            words: written.words.unwrap_or(preset.words),
            stride: written.stride.unwrap_or(preset.stride),
            sample: written.sample.unwrap_or(preset.sample),
            repeats: written.repeats.unwrap_or(preset.repeats),
            bloom: written.bloom.or(preset.bloom),
            receipts: written.receipts.unwrap_or(preset.receipts),
            guard: written.guard,
            against: written.against,
            ..preset
        })
    }
}

/// Ours: longer ones are whole texts, which `exact_dedup` compares.
const MOST_WORDS: u64 = 1000;

impl Default for LineNgramDedup {
    fn default() -> LineNgramDedup {
        LineNgramDedup::of(Preset::Default)
    }
}

const SIGNALS: &[SignalSpec] = &[SignalSpec {
    name: "ngrams_seen",
    kind: SignalKind::Number,
    about: "share of the n-grams compared that stand in documents of lower rank",
}];

impl LineNgramDedup {
    fn of(preset: Preset) -> LineNgramDedup {
        let default = LineNgramDedup {
            preset,
            remove: Remove::Paragraphs,
            ngram: Positive(13),
            share: Share(0.8),
            min_words: Positive(13),
            words: Words::Folded,
            stride: Positive(1),
            sample: Positive(1),
            repeats: Repeats::Keep,
            bloom: None,
            receipts: true,
            guard: Guard::default(),
            against: None,
        };
        let theirs = LineNgramDedup { words: Words::Exact, repeats: Repeats::Remove, ..default.clone() };
        match preset {
            Preset::Default => default,
            Preset::Dclm => LineNgramDedup { remove: Remove::Both, bloom: Some(Bloom::of(0.01)), ..theirs },
            Preset::Dolma => {
                LineNgramDedup { share: Share(0.5), min_words: Positive(14), bloom: Some(Bloom::of(0.1)), ..theirs }
            }
        }
    }

    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        SIGNALS
    }

    /// Calls for every paragraph with the n-grams of it that are compared.
    fn paragraphs(&self, text: &str, mut call: impl FnMut(&[u64])) {
        let (mut words, mut ngrams) = (Vec::new(), Vec::new());
        for paragraph in text.split('\n') {
            words.clear();
            ngrams.clear();
            word_hashes::of(paragraph, self.words, &mut words);
            let length = (self.ngram.0 as usize).min(words.len());
            if length > 0 && words.len() as u64 >= self.min_words.0 {
                word_hashes::runs(&words, length, |at, ngram| {
                    if (at as u64).is_multiple_of(self.stride.0) && ngram.is_multiple_of(self.sample.0) {
                        ngrams.push(ngram);
                    }
                });
            }
            call(&ngrams);
        }
    }
}

impl Dedup for LineNgramDedup {
    fn reason(&self) -> Reason {
        Reason("ngrams_seen")
    }

    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let mut all = Vec::new();
        self.paragraphs(document.text(), |ngrams| all.extend_from_slice(ngrams));
        all.sort_unstable();
        all.dedup();
        let mut key = Key::default();
        keys.extend(all.into_iter().map(|ngram| {
            key[..8].copy_from_slice(&ngram.to_be_bytes());
            key
        }));
    }

    fn order(&self) -> Order {
        if self.bloom.is_some() { Order::Rank } else { Order::Key }
    }

    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let part = |sketch: Sketch, first| {
            let [a, b, c, d, e, f, g, h, ..] = sketch.key;
            Finding::part(sketch.rank, u64::from_be_bytes([a, b, c, d, e, f, g, h]), first)
        };
        if let Some(bloom) = self.bloom {
            return crate::bloom::seen(bloom, sketches, &mut |sketch| found(part(sketch, None)));
        }
        let mut first: Option<Sketch> = None;
        for sketch in sketches {
            let sketch = sketch?;
            match first {
                Some(first) if first.key == sketch.key => found(part(sketch, Some(first.rank)))?,
                _ => first = Some(sketch),
            }
        }
        Ok(())
    }

    fn cuts(&self) -> bool {
        true
    }

    fn receipts(&self) -> bool {
        self.receipts
    }

    fn most_cuts(&self, text: &str, parts: &[Part]) -> usize {
        if parts.is_empty() && self.repeats == Repeats::Keep { 0 } else { lines_of(text) }
    }

    fn cut(&self, document: &mut Document, parts: &[Part], cuts: &mut Vec<Cut>) -> (Verdict, Option<String>) {
        if parts.is_empty() && self.repeats == Repeats::Keep {
            document.signals.set(SIGNALS[0].name, Signal::Number(0.0));
            return (Verdict::Keep, None);
        }
        // Of each paragraph: its n-grams, how many of them other documents had, and how many of the others
        // earlier paragraphs of this one.
        let mut paragraphs: Vec<(usize, usize, usize)> = Vec::new();
        let mut own: Vec<(u64, u32)> = Vec::new();
        // Who has first what was seen of each paragraph, and of all of them.
        let (mut firsts, mut owners): (Vec<First>, Vec<First>) = (Vec::new(), Vec::new());
        let mut owners_of_all: Vec<First> = Vec::new();
        self.paragraphs(document.text(), |ngrams| {
            let mut seen = 0;
            for ngram in ngrams {
                if let Ok(at) = parts.binary_search_by_key(ngram, |part| part.number) {
                    seen += 1;
                    owners.push(First::of(parts[at]));
                } else if self.repeats == Repeats::Remove {
                    own.push((*ngram, paragraphs.len() as u32));
                }
            }
            paragraphs.push((ngrams.len(), seen, 0));
            if self.remove != Remove::Paragraphs {
                owners_of_all.extend_from_slice(&owners);
            }
            firsts.push(most_of(&mut owners));
        });
        own.sort_unstable();
        let mut first: Option<(u64, u32)> = None;
        for (ngram, paragraph) in own {
            match first {
                Some((known, of)) if known == ngram => paragraphs[paragraph as usize].2 += usize::from(of != paragraph),
                _ => first = Some((ngram, paragraph)),
            }
        }
        let all: usize = paragraphs.iter().map(|(all, ..)| all).sum();
        let seen: usize = paragraphs.iter().map(|(_, seen, _)| seen).sum();
        let too_many = |seen: usize, all: usize| seen > 0 && seen as f64 / all as f64 >= self.share.0;
        if self.remove != Remove::Paragraphs && too_many(seen, all) {
            let (end, first) = (document.text().len(), most_of(&mut owners_of_all));
            cuts.push(Cut { start: 0, end, first });
            let what = format!("{seen} of {all} n-grams");
            return (Verdict::Drop(self.reason(), Evidence::found(what)), None);
        }
        let mut text = None;
        if self.remove != Remove::Documents {
            let mut lines = paragraphs.iter().zip(&firsts);
            let gone = |_: &str| {
                let ((all, seen, own), first) = lines.next()?;
                let first = if own > seen { First::Itself } else { *first };
                too_many(seen + own, *all).then_some(first)
            };
            if let Some(left) = without_lines(document.text(), gone, true, cuts) {
                if left.is_empty() {
                    let what = format!("all paragraphs, {seen} of {all} n-grams");
                    return (Verdict::Drop(self.reason(), Evidence::found(what)), None);
                }
                text = Some(left.join("\n"));
            }
        }
        let share = if all == 0 { 0.0 } else { seen as f64 / all as f64 };
        document.signals.set(SIGNALS[0].name, Signal::Number(share));
        (Verdict::Keep, text)
    }
}

/// Who has the most, of as many the one of lowest rank. Leaves nothing there.
fn most_of(owners: &mut Vec<First>) -> First {
    owners.sort_unstable();
    let mut most = (0, First::Nobody);
    for run in owners.chunk_by(|one, other| one == other) {
        if run.len() > most.0 {
            most = (run.len(), run[0]);
        }
    }
    owners.clear();
    most.1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::at_work::after;

    /// What becomes of texts that come one after the other; `-` for one that goes.
    fn outcomes(dedup: &LineNgramDedup, texts: &[String]) -> Vec<String> {
        after(dedup, texts).0
    }

    #[track_caller]
    fn check(options: &str, texts: &[&str], become_: &[&str]) {
        let dedup: LineNgramDedup = serde_saphyr::from_str(options).unwrap();
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        assert_eq!(outcomes(&dedup, &texts), become_, "{options}");
    }

    const TIDE: &str = "the tide came in over the flats and went out again before the boats could follow it";

    #[test]
    fn a_paragraph_goes_though_a_word_differs() {
        let other = TIDE.replace("boats", "Boats");
        let late = TIDE.replace("follow it", "follow her");
        let (a, b) = (format!("{TIDE}\n\nA."), format!("B.\n\n{other}\n\nC."));
        check("{}", &[&a, &b, TIDE], &[&a, "B.\n\nC.", "-"]);
        check("{ share: 0.7 }", &[TIDE, &late], &[TIDE, "-"]);
        check("{ share: 0.9 }", &[TIDE, &late], &[TIDE, &late]);
        check("{ words: exact }", &[TIDE, &other], &[TIDE, &other]);
        // Too short to be judged, unless that is wanted.
        check("{}", &["a b c", "a b c"], &["a b c", "a b c"]);
        check("{ min_words: 3 }", &["a b c", "a b c", "a b", "a b"], &["a b c", "-", "a b", "a b"]);
        check(
            "{ ngram: 2, min_words: 2 }",
            &["a b c d", "x\nd, c b a", "x\nD: a b c"],
            &["a b c d", "x\nd, c b a", "x\nD: a b c"],
        );
        check("{ ngram: 2, min_words: 2, share: 0.6 }", &["a b c d", "x\nD: a b c"], &["a b c d", "x"]);
    }

    #[test]
    fn documents_go_by_all_their_paragraphs() {
        let own = TIDE.split(' ').rev().collect::<Vec<_>>().join(" ");
        let half = format!("{TIDE}\n{own}");
        check("{ remove: documents }", &[TIDE, &half, TIDE], &[TIDE, &half, "-"]);
        check("{ remove: documents, share: 0.5 }", &[TIDE, &half], &[TIDE, "-"]);
        check("{ remove: both }", &[TIDE, &half], &[TIDE, &own]);
    }

    #[test]
    fn what_repeats_within_a_document_goes_if_that_is_wanted() {
        let twice = format!("{TIDE}\n{TIDE}");
        check("{}", &[&twice], &[&twice]);
        check("{ repeats: remove }", &[&twice], &[TIDE]);
        check("{ preset: dclm }", &[&twice, TIDE], &[TIDE, "-"]);
        check("{ preset: dolma, repeats: keep }", &[&twice, TIDE], &[&twice, "-"]);
    }

    #[test]
    fn a_paragraph_that_goes_is_told_with_who_has_most_of_it() {
        let [a, b] = ["a b c d e f", "g h i j"];
        let mixed = format!("own words\na b c d g h i j\n{b}");
        let texts = [a, b, &mixed];
        let dedup: LineNgramDedup = serde_saphyr::from_str("{ ngram: 2, min_words: 2, share: 0.8 }").unwrap();
        let (left, cuts) = after(&dedup, &texts);
        assert_eq!(left, [a, b, "own words"]);
        let told: Vec<(&str, u64)> = cuts[2]
            .iter()
            .map(|cut| match cut.first {
                First::Document(rank) => (&mixed[cut.start..cut.end], rank.record),
                first => panic!("{first:?}"),
            })
            .collect();
        // Three n-grams of each: of lower rank is the first.
        assert_eq!(told, [("a b c d g h i j", 0), (b, 1)]);
        let dedup: LineNgramDedup =
            serde_saphyr::from_str("{ ngram: 2, min_words: 2, remove: documents, bloom: { error_rate: 0.000001 } }")
                .unwrap();
        let (left, cuts) = after(&dedup, &[a, a]);
        assert_eq!(
            (left[1].as_str(), &cuts[1][..]),
            ("-", &[Cut { start: 0, end: a.len(), first: First::Nobody }][..])
        );
    }

    #[test]
    fn nothing_in_a_text_is_too_much() {
        for preset in ["default", "dclm", "dolma"] {
            let dedup: LineNgramDedup = serde_saphyr::from_str(&format!("{{ preset: {preset}, sample: 3 }}")).unwrap();
            let texts: Vec<String> = [
                "",
                "\n\n\n",
                "....!!",
                "\u{202e}مرحبا بكم",
                "😀😀😀😀",
                &"潮".repeat(200),
                &"x ".repeat(5000),
                &"word".repeat(10_000),
            ]
            .map(str::to_owned)
            .into();
            assert_eq!(outcomes(&dedup, &texts).len(), texts.len());
        }
    }

    /// Against a plain telling of the rule, over many small corpora.
    #[test]
    fn exactly_what_stands_before_it_is_seen() {
        let mut state = 3u64;
        let mut next = |below: u64| {
            state = crate::bloom::mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            state % below
        };
        for round in 0..300u64 {
            let ngram = 1 + round % 4;
            let texts: Vec<String> = (0..6)
                .map(|_| {
                    let mut paragraph =
                        |_| (0..next(7)).map(|_| ["a", "b", "c"][next(3) as usize]).collect::<Vec<_>>().join(" ");
                    let lines: Vec<String> = (0..3).map(&mut paragraph).collect();
                    lines.join("\n")
                })
                .collect();
            let mut expected = Vec::new();
            let mut before: BTreeSet<Vec<&str>> = BTreeSet::new();
            for text in &texts {
                let mut left = Vec::new();
                let mut mine = Vec::new();
                for line in text.split('\n') {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    let ngrams: Vec<Vec<&str>> = words.windows(ngram as usize).map(<[&str]>::to_vec).collect();
                    let seen = ngrams.iter().filter(|ngram| before.contains(*ngram)).count();
                    if seen == 0 || (seen as f64) / (ngrams.len() as f64) < 0.6 {
                        left.push(line);
                    }
                    mine.extend(ngrams);
                }
                before.extend(mine);
                let blank = |line: &&str| line.is_empty();
                // Blank lines are tidied where lines went: compared without them.
                left.retain(|line| !blank(line));
                expected.push(left.join("\n"));
            }
            for bloom in ["", ", bloom: { error_rate: 0.000000001 }"] {
                let options = format!("{{ ngram: {ngram}, min_words: {ngram}, share: 0.6, words: exact{bloom} }}");
                let dedup: LineNgramDedup = serde_saphyr::from_str(&options).unwrap();
                let found: Vec<String> = outcomes(&dedup, &texts)
                    .iter()
                    .map(|text| {
                        text.split('\n').filter(|line| !line.is_empty() && *line != "-").collect::<Vec<_>>().join("\n")
                    })
                    .collect();
                assert_eq!(found, expected, "{options} {texts:?}");
            }
        }
    }

    #[test]
    fn a_preset_gives_way_to_what_is_written() {
        let read = |options: &str| serde_saphyr::from_str::<LineNgramDedup>(options);
        let dclm = read("{ preset: dclm, share: 0.5 }").unwrap();
        assert_eq!((dclm.share.0, dclm.ngram.0, dclm.remove), (0.5, 13, Remove::Both));
        for wrong in [
            "{ preset: bff }",
            "{ ngram: 0 }",
            "{ ngram: 1001 }",
            "{ share: 1.1 }",
            "{ stride: 0 }",
            "{ sample: 0 }",
            "{ remove: lines }",
            "{ min_words: -1 }",
            "{ min_words: 0 }",
            "{ share: 0 }",
            "{ bloom: true }",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
