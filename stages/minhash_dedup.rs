//! Drops documents that share most of their words, in order, with another.

use corpus::{Document, DocumentId, Meta, Reason, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::minhash::crowd::{self, Crowd, Pair};
use crate::minhash::rp_v2::{self, PERMUTATIONS, Permutations};
use crate::minhash::{self, Fold, MOST_BINS, MOST_WORDS, Sketcher};
use crate::{Against, Among, Dedup, Finding, Guard, Key, Order, Pairs, Positive, Rank, Share, Sketch, judge};

/// Keeps one of documents of which most shingles, words that follow each other, are the same: pages
/// that differ in a date, forks of a file, reposts.
///
/// MinHash proposes: a sketch of each document is cut into bands, and documents with one whole band in
/// common are compared. Texts decide: of each pair that is proposed the Jaccard similarity of the two
/// sets of shingles is counted out, and a document goes only if it reaches `threshold` with one of
/// lower rank that stays. So no chain of pairs removes anything, and every drop names the document
/// that stays and how alike they are. Shingles are compared as 64-bit hashes: for two documents of
/// 10,000 words the chance that a single shingle is taken for another is 5 in 10^12.
///
/// Documents with one similarity s have a whole band in common with the probability 1 - (1 -
/// s^rows)^bands: for the default, 16 bands of 6, 0.992 at 0.8, 0.99996 at 0.9.
///
/// A document of fewer words than a shingle has is one shingle, and goes only for one with the same
/// words; one without words always stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct MinhashDedup {
    /// Where all that is not said otherwise comes from.
    pub preset: Preset,
    /// Words of a shingle, at most 64. With more of them an edit touches more shingles.
    pub ngram: Option<Positive>,
    /// Bands of the sketch: more of them propose more. At most 255.
    pub bands: Option<Positive>,
    /// Numbers of a band: more of them propose less.
    pub rows: Option<Positive>,
    /// Instead of `bands` and `rows`: the similarity from which on pairs are wanted. Of the ways to cut
    /// `permutations` numbers into bands, that one is taken which proposes least and still finds 99 of
    /// 100 pairs that are so alike. It is the threshold too, unless that is said.
    pub similarity: Option<Share>,
    /// Numbers that `similarity` may cut into bands. 128 unless said otherwise.
    pub permutations: Option<Positive>,
    /// The least Jaccard similarity, counted out on the texts, at which a document goes. With 0 one
    /// shingle in common is enough.
    pub threshold: Option<Share>,
    /// Whether texts decide. Without it, every pair that is proposed is taken to be alike, as the tools
    /// that the presets are named for do: below the threshold as well, and nobody knows how far.
    pub verify: Option<bool>,
    /// What becomes of alike documents.
    pub clusters: Clusters,
    /// Documents with one band in common that are all compared with each other. Of more, each is
    /// compared with the first eight in order of preference and with two dozen that seem likest by
    /// forty-eight bits of their other numbers, and the pairs left out are counted: where many pages fill
    /// one template, a larger bucket finds the last of them. 64 unless said otherwise.
    pub bucket: Option<Positive>,
    /// When it takes so much that someone should look: `share` of a slice, `cluster` of documents, and
    /// `then` what happens.
    #[serde(skip_serializing)]
    pub guard: Guard,
    /// Another run, finished, by its folder from the pipeline's file: what is alike a document that it
    /// kept goes, and its receipt names that document. All of the other's stay; they come before all
    /// of ours in rank, and are read, never written. `{ run: FOLDER, then: mark }` marks ours instead.
    #[serde(skip_serializing_if = "Against::is_plain")]
    pub against: Option<Against>,
}

/// Whose rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Ours: 5 words in small letters, without punctuation (`_` is a letter); 16 bands of 6, threshold 0.8.
    #[default]
    Default,
    /// datatrove's: 5 words in small letters, without punctuation (`_` is a letter) and accents, digits as 0; 14 bands
    /// of 8. Its hashes are others, so that its bands are not ours number by number. FineWeb was made with
    /// 14 bands of 8, to find pairs of a similarity of 0.75.
    Datatrove,
    /// RedPajama-V2's: 13 words in small letters, without ASCII's punctuation; of 128 permutations those
    /// bands that datasketch's weights choose for `similarity`, 9 of 13 for 0.8, number by number what
    /// was published. The threshold is the similarity. A document of fewer words is compared with none.
    RpV2,
}

/// What becomes of alike documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clusters {
    /// A document goes if one of lower rank that it is alike stays.
    #[default]
    Verified,
    /// Of all documents that a chain of alike pairs leads to the one of lowest rank stays, however little
    /// the ends of the chain have in common: what most tools do. A drop then names that document, and how
    /// alike the two are if they were compared. Takes 8 bytes a document, on disk if memory has no room
    /// for them.
    Transitive,
}

/// With `remote` serde makes functions of the type's own: options are read, then held against each other.
impl<'de> Deserialize<'de> for MinhashDedup {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<MinhashDedup, D::Error> {
        MinhashDedup::deserialize(deserializer)?.checked().map_err(serde::de::Error::custom)
    }
}

impl Serialize for MinhashDedup {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MinhashDedup::serialize(self, serializer)
    }
}

impl MinhashDedup {
    /// These options, if they fit together.
    fn checked(self) -> Result<MinhashDedup, String> {
        let MinhashDedup { preset, ngram, bands, rows, similarity, permutations, threshold, verify, bucket, .. } = self;
        if ngram.is_some_and(|ngram| ngram.0 > MOST_WORDS as u64) {
            return Err(format!("an `ngram` of more than {MOST_WORDS} words"));
        }
        if similarity.is_some() && (bands.is_some() || rows.is_some()) {
            return Err("either `similarity`, or `bands` and `rows`: it is there to find these two".into());
        }
        if similarity.is_none() && permutations.is_some() && preset != Preset::RpV2 {
            return Err("`permutations` are for `similarity` to cut: without it, say `bands` and `rows`".into());
        }
        if verify == Some(false) && threshold.is_some() {
            return Err("a `threshold` without `verify`: nobody counts out how alike two documents are".into());
        }
        if bucket.is_some_and(|bucket| bucket.0 < 2) {
            return Err("a `bucket` of one document, in which nothing is compared: at least 2".into());
        }
        if similarity.is_some_and(|similarity| similarity.0 == 0.0) {
            return Err("a `similarity` of 0, which all documents have".into());
        }
        if permutations.is_some_and(|permutations| permutations.0 > MOST_BINS as u64) {
            return Err(format!("more than {MOST_BINS} `permutations`"));
        }
        if preset == Preset::RpV2 && (ngram.is_some() || permutations.is_some_and(|most| most.0 > PERMUTATIONS as u64))
        {
            return Err(format!("`rp_v2` has shingles of 13 words (no `ngram`) and {PERMUTATIONS} `permutations`"));
        }
        let (bands, rows) = self.banding();
        if preset == Preset::RpV2 && bands * rows > PERMUTATIONS {
            return Err(format!("{bands} `bands` of {rows} `rows`, of `rp_v2`'s {PERMUTATIONS} permutations"));
        }
        if bands > 255 || rows > MOST_BINS || bands * rows > MOST_BINS {
            return Err(format!("more than 255 `bands`, or more than {MOST_BINS} numbers in all (`rows` of each)"));
        }
        Ok(self)
    }
}

/// So many bytes of a key are a band's; the rest is of other numbers.
const BAND: usize = 10;
/// Of a bucket that is too large, each document is compared with so many of the lowest rank.
const FIRST: usize = 8;
/// The share of pairs of the wanted similarity that bands must find.
const WANTED: f64 = 0.99;

impl MinhashDedup {
    fn threshold(&self) -> f64 {
        let of_preset = match self.preset {
            Preset::Default => 0.8,
            Preset::Datatrove => 0.75,
            Preset::RpV2 => self.similarity(),
        };
        self.threshold.or(self.similarity).map_or(of_preset, |threshold| threshold.0)
    }

    /// The similarity that RedPajama-V2's bands are for.
    fn similarity(&self) -> f64 {
        self.similarity.map_or(0.8, |similarity| similarity.0)
    }

    fn bucket(&self) -> usize {
        self.bucket.map_or(64, |bucket| bucket.0.min(1 << 20) as usize).max(2)
    }

    fn first(&self) -> usize {
        FIRST.min(self.bucket())
    }

    /// Whether texts decide.
    pub fn verifies(&self) -> bool {
        self.verify.unwrap_or(true)
    }

    /// How the sketch is cut: bands, and numbers in each.
    pub fn banding(&self) -> (usize, usize) {
        let permutations = self.permutations.map_or(PERMUTATIONS, |permutations| permutations.0 as usize);
        let (bands, rows) = match (self.preset, self.similarity) {
            (Preset::RpV2, _) => rp_v2::banding(self.similarity(), permutations),
            (_, Some(similarity)) => banding_for(similarity.0, permutations),
            (Preset::Default, None) => (16, 6),
            (Preset::Datatrove, None) => (14, 8),
        };
        (self.bands.map_or(bands, |bands| bands.0 as usize), self.rows.map_or(rows, |rows| rows.0 as usize))
    }

    /// RedPajama-V2's for one similarity.
    pub fn rp_v2(similarity: f64) -> Result<MinhashDedup, String> {
        if !(0.0..=1.0).contains(&similarity) {
            return Err("not a share from 0 to 1".into());
        }
        MinhashDedup { preset: Preset::RpV2, similarity: Some(Share(similarity)), ..MinhashDedup::default() }.checked()
    }

    /// The dedup, ready to run.
    pub fn ready(&self) -> Minhash {
        let (bands, rows) = self.banding();
        let ngram = self.ngram.map_or(5, |ngram| ngram.0 as usize);
        let words = match self.preset {
            Preset::Default => Words::Ours { fold: Fold::Case, ngram },
            Preset::Datatrove => Words::Ours { fold: Fold::CaseAccentsDigits, ngram },
            Preset::RpV2 => Words::RpV2(Box::default()),
        };
        Minhash {
            words,
            bands,
            rows,
            threshold: self.threshold(),
            verify: self.verifies(),
            transitive: self.clusters == Clusters::Transitive,
            bucket: self.bucket(),
            first: self.first(),
            apart: crowd::most_apart(self.threshold()),
        }
    }
}

/// The most rows with which as many bands as there are numbers for still find [`WANTED`] of the pairs
/// of a similarity; then the fewest bands that do.
fn banding_for(similarity: f64, permutations: usize) -> (usize, usize) {
    let found = |bands: usize, rows: usize| 1.0 - (1.0 - similarity.powi(rows as i32)).powi(bands as i32);
    for rows in (1..=permutations).rev() {
        let most = (permutations / rows).min(255);
        if let Some(bands) = (1..=most).find(|bands| found(*bands, rows) >= WANTED) {
            return (bands, rows);
        }
    }
    (permutations.min(255), 1)
}

/// The key of a band: ten bytes of a hash of its numbers and of which band it is, and forty-eight bits
/// of the numbers of other bands, for where very many have these ten.
fn key(band: usize, numbers: &[u64], others: u64) -> Key {
    let (mut one, mut other) = (band as u64 + 1, 0xa54f_f53a_5f1d_36f1u64);
    for number in numbers {
        one = minhash::mixed(one ^ number, 0x9e37_79b9_7f4a_7c15);
        other = minhash::mixed(other.rotate_left(23) ^ number, 0xbb67_ae85_84ca_a73b);
    }
    let mut key = Key::default();
    key[..8].copy_from_slice(&minhash::mixed(one ^ other, 0x510e_527f_ade6_82d1).to_be_bytes());
    key[8..BAND].copy_from_slice(&other.to_be_bytes()[..BAND - 8]);
    key[BAND..].copy_from_slice(&others.to_be_bytes()[2..]);
    key
}

/// The dedup, ready to run.
pub struct Minhash {
    words: Words,
    bands: usize,
    rows: usize,
    threshold: f64,
    verify: bool,
    transitive: bool,
    bucket: usize,
    first: usize,
    /// In so many bits documents of a crowded bucket may differ to be compared.
    apart: u32,
}

/// What shingles are made of, and what of them.
enum Words {
    Ours { fold: Fold, ngram: usize },
    RpV2(Box<Permutations>),
}

impl Minhash {
    /// The numbers of a document's sketch, band by band.
    fn numbers(&self, document: &Document) -> Option<Vec<u64>> {
        let bins = self.bands * self.rows;
        match &self.words {
            Words::Ours { fold, ngram } => Sketcher { bins }.of_text(document.text(), *fold, *ngram),
            Words::RpV2(permutations) => {
                let signature = permutations.signature(document)?;
                Some(signature.iter().take(bins).map(|number| u64::from(*number)).collect())
            }
        }
    }

    /// The bands of a document's sketch as bytes, numbers with their highest byte first: RedPajama-V2's
    /// `signature_sim…` columns.
    pub fn bands(&self, document: &Document) -> Option<Vec<Vec<u8>>> {
        let width = if matches!(self.words, Words::RpV2(_)) { 4 } else { 0 };
        let bytes = |number: &u64| number.to_be_bytes().into_iter().skip(width);
        Some(self.numbers(document)?.chunks(self.rows).map(|band| band.iter().flat_map(bytes).collect()).collect())
    }
}

impl Dedup for Minhash {
    fn reason(&self) -> Reason {
        Reason("near_duplicate")
    }

    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let Some(numbers) = self.numbers(document) else { return };
        let bits = crowd::Bits::of(&numbers);
        let bands = numbers.chunks_exact(self.rows).enumerate();
        keys.extend(bands.map(|(band, of_band)| key(band, of_band, bits.of_band(band, self.rows))));
    }

    fn order(&self) -> Order {
        Order::Beginning
    }

    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        self.resolve_and_count(sketches, found).map(|_| ())
    }

    /// Proposes pairs of those that share a band; of a bucket no more ranks are held than are all
    /// compared with each other, or looked through together.
    fn resolve_and_count(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<u64> {
        let mut band: Option<[u8; BAND]> = None;
        let mut bucket = Bucket { of: self, held: Vec::new(), rest: 0, crowd: Crowd::default(), left_out: 0 };
        let mut pair = |gone: Rank, kept: Rank| found(Finding { gone, kept, similarity: Finding::UNKNOWN });
        for sketch in sketches {
            let Sketch { key: [of_band @ .., a, b, c, d, e, f], rank } = sketch?;
            if band != Some(of_band) {
                bucket.end(&mut pair)?;
                band = Some(of_band);
            }
            bucket.push(rank, u64::from_be_bytes([0, 0, a, b, c, d, e, f]), &mut pair)?;
        }
        bucket.end(&mut pair)?;
        Ok(bucket.left_out)
    }

    fn judged(&self) -> bool {
        true
    }

    fn verified(&self) -> bool {
        self.verify
    }

    fn judge(
        &self,
        pairs: &mut dyn Pairs,
        among: &Among<'_>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let judge = if self.transitive { judge::components } else { judge::judge };
        judge(pairs, among, found)
    }

    fn evidence(&self, text: &str, hashes: &mut Vec<u64>) {
        match &self.words {
            Words::Ours { fold, ngram } => minhash::shingles(text, *fold, *ngram, |hash| hashes.push(hash)),
            Words::RpV2(_) => {
                let id = DocumentId { raw_file: "".into(), record: 0 };
                let document = Document::new(id, text.to_owned(), Meta::default());
                rp_v2::shingles(&document, |digest| {
                    let [a, b, c, d, e, f, g, h, ..] = digest;
                    hashes.push(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
                });
            }
        }
        minhash::sort_distinct(hashes);
    }

    fn alike(&self, one: &[u64], other: &[u64]) -> Option<f32> {
        let (less, more) = (one.len().min(other.len()), one.len().max(other.len()));
        // What is so much shorter cannot be alike. It is a quotient, as the similarity is, which then is never more: of a
        // product, 0.55 of 100 shingles are more than 55.
        if (less as f64 / more.max(1) as f64) < self.threshold {
            return None;
        }
        let similarity = minhash::jaccard(one, other);
        (similarity >= self.threshold && similarity > 0.0).then_some(similarity as f32)
    }
}

/// Documents with one band in common, as they come in order of rank.
struct Bucket<'m> {
    of: &'m Minhash,
    /// All of them, each with bits of its other numbers; of too many the first.
    held: Vec<(Rank, u64)>,
    /// How many there are beyond the first, if there are too many.
    rest: u64,
    crowd: Crowd,
    /// Pairs of this bucket and of those before it that nobody compares.
    left_out: u64,
}

impl Bucket<'_> {
    fn push(&mut self, rank: Rank, bits: u64, pair: &mut Pair<'_>) -> Result<()> {
        if self.rest > 0 {
            return self.crowded(rank, bits, pair);
        }
        self.held.push((rank, bits));
        if self.held.len() > self.of.bucket {
            let rest = self.held.split_off(self.of.first);
            self.all_pairs(pair)?;
            rest.into_iter().try_for_each(|(rank, bits)| self.crowded(rank, bits, pair))?;
        }
        Ok(())
    }

    /// One more of too many.
    fn crowded(&mut self, rank: Rank, bits: u64, pair: &mut Pair<'_>) -> Result<()> {
        self.rest += 1;
        self.held.iter().try_for_each(|(first, _)| pair(rank, *first))?;
        self.crowd.push(rank, bits, self.of.apart, pair)
    }

    fn all_pairs(&self, pair: &mut Pair<'_>) -> Result<()> {
        for (at, (gone, _)) in self.held.iter().enumerate() {
            self.held[..at].iter().try_for_each(|(kept, _)| pair(*gone, *kept))?;
        }
        Ok(())
    }

    /// All have come; it is empty again.
    fn end(&mut self, pair: &mut Pair<'_>) -> Result<()> {
        if self.rest == 0 {
            self.all_pairs(pair)?;
        } else {
            let compared = self.crowd.end(self.of.apart, pair)?;
            self.left_out += self.rest * (self.rest - 1) / 2 - compared;
        }
        self.held.clear();
        self.rest = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(options: &str) -> Minhash {
        serde_saphyr::from_str::<MinhashDedup>(options).unwrap().ready()
    }

    fn rank(record: u64) -> Rank {
        Rank { raw_file: 0, record }
    }

    /// The pairs that are proposed among so many documents with one band in common: (gone, kept).
    fn proposed(options: &str, documents: u64) -> (Vec<(u64, u64)>, u64) {
        let dedup = ready(options);
        let mut pairs = Vec::new();
        // A lone document before and after them.
        let keys = std::iter::once(0).chain((0..documents).map(|_| 1)).chain([2]);
        let mut sketches =
            keys.enumerate().map(|(record, key)| Ok(Sketch { key: [key; 16], rank: rank(record as u64) }));
        let mut note = |pair: Finding| {
            pairs.push((pair.gone.record - 1, pair.kept.record - 1));
            Ok(())
        };
        let capped = dedup.resolve_and_count(&mut sketches, &mut note).unwrap();
        (pairs, capped)
    }

    #[test]
    fn a_bucket_is_compared_whole_or_with_its_first() {
        assert_eq!(proposed("{}", 3), (vec![(1, 0), (2, 0), (2, 1)], 0));
        for (options, documents) in [("{}", 64), ("{}", 65), ("{ bucket: 2 }", 5), ("{ bucket: 10 }", 30)] {
            let (pairs, capped) = proposed(options, documents);
            assert_eq!(pairs.len() as u64 + capped, documents * (documents - 1) / 2, "{options}");
            assert!(pairs.iter().all(|(gone, kept)| kept < gone));
            let of = |document: u64| pairs.iter().filter(|(gone, _)| *gone == document).count();
            assert!((0..documents).all(|document| of(document) >= document.min(2) as usize));
        }
        // Of so many copies each is compared with a few.
        let (pairs, capped) = proposed("{}", 100_000);
        assert!(pairs.len() < 9 * 100_000 && capped > 0);
    }

    #[test]
    fn options_that_do_not_fit_together_are_told_so() {
        let said = |options: &str| match serde_saphyr::from_str::<MinhashDedup>(options) {
            Ok(dedup) => format!("{:?}", dedup.banding()),
            Err(error) => error.to_string(),
        };
        assert_eq!(said("{}"), "(16, 6)");
        assert_eq!(said("{ preset: datatrove }"), "(14, 8)");
        // Of 128 numbers 18 bands of 7 find 0.986 of such pairs, 15 of 6 still 0.9896, 16 of 6 0.992.
        assert_eq!(said("{ similarity: 0.8 }"), "(16, 6)");
        // 1 - (1 - 0.5^3)^35 is 0.9907, and four rows would need 72 bands.
        assert_eq!(said("{ similarity: 0.5 }"), "(35, 3)");
        assert_eq!(said("{ preset: rp_v2 }"), "(9, 13)");
        assert_eq!(said("{ preset: rp_v2, similarity: 0.7 }"), "(14, 9)");
        assert!(said("{ preset: rp_v2, ngram: 5 }").contains("13 words"));
        assert!(said("{ preset: rp_v2, bands: 20, rows: 13 }").contains("128"));
        assert!(said("{ similarity: 0.8, rows: 4 }").contains("either `similarity`"));
        assert!(said("{ permutations: 64 }").contains("for `similarity`"));
        assert!(said("{ verify: false, threshold: 0.9 }").contains("without `verify`"));
        assert!(said("{ bucket: 1 }").contains("at least 2"));
        assert!(said("{ bands: 256 }").contains("255"));
        assert!(said("{ bands: 100, rows: 100 }").contains("4096"));
        assert!(said("{ ngram: 65 }").contains("64"));
        assert!(said("{ threshold: 1.5 }").contains("0 to 1"));
        assert!(said("{ rowz: 5 }").contains("rowz"));
    }

    #[test]
    fn a_document_is_like_one_with_its_shingles_at_the_threshold() {
        let dedup = ready("{ threshold: 0.5 }");
        assert_eq!(dedup.alike(&[1, 2, 3], &[2, 3, 4]), Some(0.5));
        assert_eq!(dedup.alike(&[1, 2, 3], &[3, 4]), None);
        assert_eq!(dedup.alike(&[], &[]), None);
        assert_eq!(dedup.alike(&[7], &[7]), Some(1.0));
        let everything = ready("{ threshold: 0 }");
        assert_eq!(everything.alike(&[], &[]), None);
        assert_eq!(everything.alike(&[1], &[2]), None);
    }

    #[test]
    fn a_pair_at_the_threshold_goes_whatever_the_numbers() {
        for all in 1..=400u64 {
            let shingles: Vec<u64> = (0..all).collect();
            for part in 1..=all {
                let threshold = part as f64 / all as f64;
                let dedup = Minhash { threshold, ..ready("{}") };
                assert!(dedup.alike(&shingles[..part as usize], &shingles).is_some(), "{part} of {all}");
            }
        }
        let dedup = ready("{ threshold: 0.55 }");
        let shingles: Vec<u64> = (0..100).collect();
        assert_eq!(dedup.alike(&shingles, &shingles[..55]), Some(0.55));
        assert_eq!(dedup.alike(&shingles, &shingles[..54]), None);
    }
}
