//! Removes spans of text that were read before, wherever they begin and end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use corpus::{Document, Evidence, Reason, Result, Signal, SignalKind, SignalSpec, Tokenizer, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bloom::mix;
use crate::paragraph_dedup::Repeats;
use crate::substring::taken::{Joining, Span, without_spans, without_whole_lines};
use crate::substring::windows::{Rolling, Unit, windows};
use crate::{Against, Cut, Dedup, Finding, First, Guard, Key, Part, Sketch, Variable};

/// Removes every span of at least `min_bytes` bytes, or `min_tokens` tokens, that stands in a document of
/// lower rank, or earlier in the same one; the first copy stays. Drops a document of which only white space
/// is left.
///
/// The result is what comparing every span with every other would give, however raw files are put
/// together (`stages/substring/tests.rs` holds it against that). There is no suffix array, which would have
/// to hold the corpus, or merge parts of it: of each span of that length some run of units is chosen by what
/// the span says (winnowing), so that equal spans have equal runs, wherever they stand. These are brought
/// together first, and only where one of them stands in two documents every window of that length is
/// brought together by 122 bits of what it says. Nothing is missed. In a document the windows that were found are told
/// from its others by 64 of these bits: where half of a text of a million bytes repeats, the chance that one window
/// more goes is one in 10^8.
///
/// Tokens are those of the pipeline's `tokenizer`, each document's own: a span repeats where two documents have
/// the same run of ids, which begins and ends where tokens do. A word at the end of what two documents share
/// may be cut into other tokens in each; it stays. A character that is cut by a token's end stays too, and so do
/// characters at a span's end that the tokenizer composes (NFC); within a span what it takes for the same is
/// the same. It has to be a tokenizer whose tokens spell bytes (GPT-NeoX, Llama 3, and most since GPT-2).
///
/// A receipt in `cut/` names for each byte the lowest document that has a window over it which repeats. That one
/// had it before the dedup, and nearly always keeps it; what it lost itself, in a window that reaches further
/// than what both have, its own receipts tell, and so on to a document that keeps it.
///
/// The first exchange takes 28 bytes for each such run, about a third of the text at 200 bytes or 50 tokens; the
/// second takes 28 bytes for each byte of text (or token: a quarter of that) whose run stands elsewhere too, in the
/// first copy as in the others, and 28 for each that goes: 84 for each byte of a text that stands twice. What
/// `--memory` has no room for lies on disk once more while it is sorted. Put `exact_dedup` and a dedup of near
/// duplicates before it: where a tenth of the text goes, the second takes eight times the text.
///
/// google-research/deduplicate-text-datasets, of Lee et al. (2021), finds the same spans in tokens by a suffix
/// array, and its authors advise to strike all copies.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, try_from = "Written")]
#[schemars(!try_from)]
pub struct SubstringDedup {
    /// Shorter spans are left alone, in bytes of UTF-8, from 4 to 65536. Lee et al. and RefinedWeb take 50
    /// tokens, which are some 200 bytes of English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_bytes: Option<Length>,
    /// Instead of `min_bytes`: shorter spans are left alone, in tokens of the pipeline's `tokenizer`, from 4 to
    /// 65536. Lee et al. take 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<Length>,
    /// Where texts may be cut.
    pub at: At,
    /// What becomes of a span that repeats within its document.
    pub repeats: Repeats,
    /// Whether `cut/` tells what was taken from each document, and who has it; without, only counts and signals do.
    #[serde(skip_serializing_if = "crate::dedup::as_ever")]
    pub receipts: bool,
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's text that may go, in bytes, of all that reaches this stage, and whether the run goes on
    /// beyond (`warn`) or ends before it publishes (`stop`). Spans make no clusters.
    #[serde(skip_serializing)]
    pub guard: Guard,
    /// Another run, finished, by its folder from the pipeline's file: spans that its documents have count as
    /// seen before all of ours; they are read, never written. `{ run: FOLDER, then: mark }` takes nothing for their
    /// sake, and says how much of each text would have gone.
    #[serde(skip_serializing_if = "Against::is_plain")]
    pub against: Option<Against>,
}

impl Default for SubstringDedup {
    fn default() -> SubstringDedup {
        SubstringDedup {
            min_bytes: Some(Length(200)),
            min_tokens: None,
            at: At::default(),
            repeats: Repeats::Remove,
            receipts: true,
            guard: Guard::default(),
            against: None,
        }
    }
}

/// The options as they are written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    min_bytes: Option<Length>,
    min_tokens: Option<Length>,
    at: At,
    repeats: Option<Repeats>,
    receipts: Option<bool>,
    guard: Guard,
    against: Option<Against>,
}

impl TryFrom<Written> for SubstringDedup {
    type Error = &'static str;

    fn try_from(written: Written) -> std::result::Result<SubstringDedup, &'static str> {
        let default = SubstringDedup::default();
        let (min_bytes, min_tokens) = match (written.min_bytes, written.min_tokens) {
            (Some(_), Some(_)) => return Err("`min_bytes` and `min_tokens`: a span is as long as one of them says"),
            (None, None) => (default.min_bytes, None),
            one => one,
        };
        let repeats = written.repeats.unwrap_or(default.repeats);
        let receipts = written.receipts.unwrap_or(default.receipts);
        let Written { at, guard, against, .. } = written;
        Ok(SubstringDedup { min_bytes, min_tokens, at, repeats, receipts, guard, against })
    }
}

/// Bytes or tokens of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(transparent, extend("minimum" = 4, "maximum" = 65536))]
pub struct Length(u32);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Length, D::Error> {
        match u32::deserialize(deserializer)? {
            value @ 4..=65536 => Ok(Length(value)),
            value => Err(serde::de::Error::custom(format!("{value} is not a whole number from 4 to 65536"))),
        }
    }
}

/// Where texts may be cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// Between any two characters, none of which is ever cut itself.
    #[default]
    Characters,
    /// Between lines: only lines that repeat from end to end go.
    Lines,
}

const SIGNALS: &[SignalSpec] = &[SignalSpec {
    name: "repeated_bytes",
    kind: SignalKind::Integer,
    about: "bytes of spans that stand in documents of lower rank, or earlier in this one, and were removed",
}];

impl SubstringDedup {
    /// The signals that it writes.
    pub fn writes(&self) -> &'static [SignalSpec] {
        SIGNALS
    }

    /// The variables whose models it uses.
    pub fn uses(&self) -> &'static [Variable] {
        if self.min_tokens.is_some() { &[Variable::Tokenizer] } else { &[] }
    }

    /// The dedup, with the tokenizer by whose tokens it measures spans if it does.
    pub fn with(self, tokenizer: Option<Arc<dyn Tokenizer>>) -> std::result::Result<impl Dedup, String> {
        Spans::new(self, tokenizer)
    }
}

/// The dedup, ready to run.
pub(crate) struct Spans {
    /// Units of the shortest span that goes.
    pub length: usize,
    /// What cuts texts into units, if these are not bytes.
    pub tokenizer: Option<Arc<dyn Tokenizer>>,
    pub at: At,
    pub repeats: Repeats,
    receipts: bool,
}

impl Spans {
    pub fn new(options: SubstringDedup, tokenizer: Option<Arc<dyn Tokenizer>>) -> std::result::Result<Spans, String> {
        let tokenizer = match options.min_tokens {
            Some(_) => Some(tokenizer.filter(|tokenizer| tokenizer.tells_places()).ok_or(
                "`min_tokens` needs a tokenizer whose tokens spell bytes, such as `gpt-neox-20b`: say `min_bytes` \
                 instead, of which four are a token of English",
            )?),
            None => None,
        };
        let length = options.min_tokens.or(options.min_bytes).map_or(usize::MAX, |length| length.0 as usize);
        let SubstringDedup { at, repeats, receipts, .. } = options;
        Ok(Spans { length, tokenizer, at, repeats, receipts })
    }

    /// The seeds of the windows of a text, each once, in order.
    fn seeds<U: Unit>(&self, units: &[U]) -> Vec<u64> {
        let mut seeds: Vec<u64> = Vec::new();
        windows(units, self.length, |_, _, seed| {
            if seeds.last() != Some(&seed) {
                seeds.push(seed);
            }
        });
        seeds.sort_unstable();
        seeds.dedup();
        seeds
    }

    /// Calls for every window whose seed is wanted: where it begins, its seed, and what it is known by.
    fn known<U: Unit>(&self, units: &[U], wanted: impl Fn(u64) -> bool, mut call: impl FnMut(usize, u64, Key)) {
        let mut rolling = Rolling::new(self.length);
        windows(units, self.length, |start, _, seed| {
            if wanted(seed) {
                call(start, seed, rolling.key(units, start));
            }
        });
    }
}

fn number(key: Key) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = key;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Dedup for Spans {
    fn reason(&self) -> Reason {
        Reason("all_spans_repeated")
    }

    /// The seeds of its windows, mixed: each is the least of many numbers, and would lie in the lowest range.
    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let seeds = match &self.tokenizer {
            Some(tokenizer) => self.seeds(document.tokens(&**tokenizer)),
            None => self.seeds(document.text().as_bytes()),
        };
        let mut key = Key::default();
        keys.extend(seeds.into_iter().map(|seed| {
            key[..8].copy_from_slice(&mix(seed).to_be_bytes());
            key
        }));
    }

    /// The seeds that two documents have, as parts of every document that has one.
    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let mut first: Option<(Sketch, bool)> = None;
        for sketch in sketches {
            let sketch = sketch?;
            match &mut first {
                Some((known, shared)) if known.key == sketch.key => {
                    if !std::mem::replace(shared, true) {
                        found(Finding::part(known.rank, number(known.key), None))?;
                    }
                    found(Finding::part(sketch.rank, number(sketch.key), None))?;
                }
                _ => first = Some((sketch, false)),
            }
        }
        Ok(())
    }

    fn twice(&self) -> bool {
        true
    }

    /// The windows whose seeds other documents have.
    fn sketch_again(&self, text: &str, parts: &[u64], key: &mut dyn FnMut(Key) -> Result<()>) -> Result<()> {
        let mut result = Ok(());
        let wanted = |seed: u64| parts.binary_search(&mix(seed)).is_ok();
        let call = |_, _, known| {
            if result.is_ok() {
                result = key(known);
            }
        };
        match &self.tokenizer {
            Some(tokenizer) => {
                let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
                tokenizer.encode(text, &mut tokens);
                self.known(&tokens, wanted, call);
            }
            None => self.known(text.as_bytes(), wanted, call),
        }
        result
    }

    fn resolve_again(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let mut first: Option<Sketch> = None;
        for sketch in sketches {
            let sketch = sketch?;
            match first {
                Some(first) if first.key == sketch.key => {
                    found(Finding::part(sketch.rank, number(sketch.key), Some(first.rank)))?;
                }
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

    /// A stretch ends where another window does, or another document's begin.
    fn most_cuts(&self, text: &str, parts: &[Part]) -> usize {
        let itself = if self.repeats == Repeats::Remove { text.len() / self.length } else { 0 };
        parts.len() + itself
    }

    fn cut(&self, document: &mut Document, parts: &[Part], cuts: &mut Vec<Cut>) -> (Verdict, Option<String>) {
        let text = document.text();
        let spans = match &self.tokenizer {
            Some(tokenizer) => {
                let tokens = document.tokens(&**tokenizer);
                let spans = self.spans(tokens, parts);
                let places = if spans.is_empty() { None } else { tokenizer.places(text, tokens) };
                places
                    .map_or_else(Vec::new, |places| spans.into_iter().filter_map(|span| span.within(&places)).collect())
            }
            None => self.spans(text.as_bytes(), parts),
        };
        let kept = match self.at {
            At::Characters => without_spans(text, &spans, cuts),
            At::Lines => without_whole_lines(text, &spans, cuts),
        };
        let removed = text.len() - kept.len();
        if removed > 0 && kept.trim().is_empty() {
            return (Verdict::Drop(self.reason(), Evidence::found(format!("{removed} bytes"))), None);
        }
        document.signals.set(SIGNALS[0].name, Signal::Integer(removed as i64));
        (Verdict::Keep, (removed > 0).then_some(kept))
    }
}

impl Spans {
    /// The spans that go, in units: in order, none touches the next.
    fn spans<U: Unit>(&self, units: &[U], parts: &[Part]) -> Vec<Span> {
        let length = self.length;
        // Only where a seed stands twice a window may.
        let mut twice: HashSet<u64> = HashSet::new();
        if self.repeats == Repeats::Remove {
            let mut places: Vec<(u64, usize)> = Vec::new();
            windows(units, length, |_, place, seed| {
                if places.last() != Some(&(seed, place)) {
                    places.push((seed, place));
                }
            });
            places.sort_unstable();
            let again = places.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
            twice.extend(again.map(|pair| pair[0].0));
        }
        if parts.is_empty() && twice.is_empty() {
            return Vec::new();
        }
        let mut spans = Joining::new(length);
        let mut first: HashMap<Key, usize> = HashMap::new();
        let wanted = |seed: u64| !parts.is_empty() || twice.contains(&seed);
        self.known(units, wanted, |start, seed, key| {
            let elsewhere = parts.binary_search_by_key(&number(key), |part| part.number).ok();
            // A copy that overlaps the first one would take from it.
            let before = twice.contains(&seed) && *first.entry(key).or_insert(start) + length <= start;
            let first = match elsewhere {
                Some(at) => First::of(parts[at]),
                None if before => First::Itself,
                None => return,
            };
            spans.window(start, first);
        });
        spans.finish()
    }
}
