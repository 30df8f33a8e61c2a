//! Comparing documents without having them in memory.
//!
//! Every document leaves sketches: a key and its rank. Sketches are brought together by key, a
//! dedup resolves each range of keys and writes findings, and the findings are read, in order of
//! rank, beside the documents of the next pass.

use corpus::store::Store;
use corpus::{Document, Reason, Result, Verdict};

use crate::Among;
use crate::judge;

/// What sketches are brought together by.
pub type Key = [u8; 16];

/// A document's place in the order of preference among copies: raw file by raw file in the order
/// of the plan (slice, then manifest), record by record. It does not depend on who runs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// The raw file's place among all raw files of the run.
    pub raw_file: u32,
    /// The record's number in it.
    pub record: u64,
}

impl Rank {
    /// Bytes of a rank on disk.
    pub const WIDTH: usize = 12;

    /// As bytes that compare as ranks do.
    pub fn to_bytes(self) -> [u8; Rank::WIDTH] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.raw_file.to_be_bytes());
        bytes[4..].copy_from_slice(&self.record.to_be_bytes());
        bytes
    }

    /// Reads back what [`Rank::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; 12]) -> Rank {
        let [a, b, c, d, record @ ..] = bytes;
        Rank { raw_file: u32::from_be_bytes([a, b, c, d]), record: u64::from_be_bytes(record) }
    }
}

/// What a document leaves for comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sketch {
    /// Documents with the same key are compared.
    pub key: Key,
    /// Which document.
    pub rank: Rank,
}

impl Sketch {
    /// Bytes of a sketch on disk.
    pub const WIDTH: usize = 28;

    /// As bytes that sort by key, then by rank.
    pub fn to_bytes(self) -> [u8; Sketch::WIDTH] {
        let mut bytes = [0; Sketch::WIDTH];
        bytes[..16].copy_from_slice(&self.key);
        bytes[16..].copy_from_slice(&self.rank.to_bytes());
        bytes
    }

    /// Reads back what [`Sketch::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; Sketch::WIDTH]) -> Sketch {
        let mut key = [0; 16];
        let mut rank = [0; 12];
        key.copy_from_slice(&bytes[..16]);
        rank.copy_from_slice(&bytes[16..]);
        Sketch { key, rank: Rank::from_bytes(rank) }
    }
}

/// In which order the sketches of a range come to [`Dedup::resolve`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By key, then rank: what is alike comes together.
    #[default]
    Key,
    /// By the first two bytes of the key, then rank, then the rest of the key: documents come as they
    /// stand in the plan, again and again for each of 65,536 slices of all keys. A slice lies in one
    /// range, whatever the number of ranges.
    Rank,
    /// By the first ten bytes of the key, then rank, then the rest of the key, which says something
    /// else of the document than what it is brought together by.
    Beginning,
}

impl Order {
    /// A sketch as bytes that sort in this order.
    pub fn to_bytes(self, sketch: Sketch) -> [u8; Sketch::WIDTH] {
        let mut bytes = sketch.to_bytes();
        let by = self.key();
        bytes[by..].rotate_left(16 - by);
        bytes
    }

    /// Reads back what [`Order::to_bytes`] wrote.
    pub fn from_bytes(self, mut bytes: [u8; Sketch::WIDTH]) -> Sketch {
        let by = self.key();
        bytes[by..].rotate_right(16 - by);
        Sketch::from_bytes(bytes)
    }

    /// How many bytes of a key come before the rank.
    fn key(self) -> usize {
        match self {
            Order::Key => 16,
            Order::Rank => 2,
            Order::Beginning => 10,
        }
    }
}

/// Says of a raw file's place that a finding is of a part.
const PART: u32 = 1 << 31;
/// No raw file.
const UNKNOWN_FILE: u32 = PART - 1;
/// The first pattern of bits, of those without a sign, that is no finite number.
const NOT_FINITE: u32 = 0x7f80_0000;

/// A part of a document that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The dedup's own number for it.
    pub number: u64,
    /// The document of lowest rank that has it, if that is known.
    pub first: Option<Rank>,
}

/// Whether receipts are written as they are unless someone says otherwise, which then need not be said.
pub(crate) fn as_ever(receipts: &bool) -> bool {
    *receipts
}

/// A stretch of a text that a dedup took away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its first byte, in the text as it was before the dedup, in UTF-8.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
    /// Which document has it first.
    pub first: First,
}

/// Which document has first what was taken from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum First {
    /// This one.
    Document(Rank),
    /// The same one, earlier.
    Itself,
    /// Nobody can say, or no copy stays.
    Nobody,
}

impl First {
    /// The document that a part was found in.
    pub(crate) fn of(part: Part) -> First {
        part.first.map_or(First::Nobody, First::Document)
    }
}

/// What a dedup concluded: one document goes because another, of lower rank, stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// The document that goes.
    pub gone: Rank,
    /// The document that stays.
    pub kept: Rank,
    /// How alike they are, from 0 to 1.
    pub similarity: f32,
}

impl Finding {
    /// The similarity of a pair that nobody has compared.
    pub const UNKNOWN: f32 = -1.0;

    /// A part of a document, named by a number of the dedup's own, that goes, and the document that has it
    /// first, if that is known.
    ///
    /// It takes no more bytes than another finding: the raw file of the first document lies beside a bit
    /// that says what this is, its record where others have their similarity. What does not fit there (two
    /// thousand million records in one raw file, or raw files in one run) is not known.
    pub fn part(document: Rank, part: u64, first: Option<Rank>) -> Finding {
        let first = first.filter(|first| first.raw_file < UNKNOWN_FILE && first.record < u64::from(NOT_FINITE));
        let (raw_file, record) = first.map_or((UNKNOWN_FILE, 0), |first| (first.raw_file, first.record as u32));
        // Below that bound every pattern of bits is a number, and these sort as they do.
        let kept = Rank { raw_file: PART | raw_file, record: part };
        Finding { gone: document, kept, similarity: f32::from_bits(record) }
    }

    /// The part that goes, if it is not the whole document.
    pub fn as_part(&self) -> Option<Part> {
        let raw_file = self.kept.raw_file & !PART;
        let first = Rank { raw_file, record: u64::from(self.similarity.to_bits()) };
        let first = (raw_file != UNKNOWN_FILE).then_some(first);
        (self.kept.raw_file & PART != 0).then_some(Part { number: self.kept.record, first })
    }

    /// A document that goes for one that nobody can name: a filter that knows what it has seen has
    /// forgotten where.
    pub fn seen(document: Rank) -> Finding {
        Finding { gone: document, kept: document, similarity: 1.0 }
    }

    /// Whether the document goes for one that nobody can name.
    pub fn is_seen(&self) -> bool {
        self.kept == self.gone
    }

    /// Bytes of a finding on disk.
    pub const WIDTH: usize = 28;

    /// As bytes that sort by the rank of what goes.
    pub fn to_bytes(self) -> [u8; Finding::WIDTH] {
        let mut bytes = [0; Finding::WIDTH];
        bytes[..12].copy_from_slice(&self.gone.to_bytes());
        bytes[12..24].copy_from_slice(&self.kept.to_bytes());
        // As floats compare: what is unknown, below 0, comes first.
        let bits = self.similarity.to_bits();
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        bytes[24..].copy_from_slice(&ordered.to_be_bytes());
        bytes
    }

    /// Reads back what [`Finding::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; Finding::WIDTH]) -> Finding {
        let mut gone = [0; 12];
        let mut kept = [0; 12];
        let mut similarity = [0; 4];
        gone.copy_from_slice(&bytes[..12]);
        kept.copy_from_slice(&bytes[12..24]);
        similarity.copy_from_slice(&bytes[24..]);
        let ordered = u32::from_be_bytes(similarity);
        Finding {
            gone: Rank::from_bytes(gone),
            kept: Rank::from_bytes(kept),
            similarity: f32::from_bits(if ordered >> 31 == 1 { ordered ^ 1 << 31 } else { !ordered }),
        }
    }
}

/// Sees every document once, then judges. It never needs the corpus in memory, and removes a
/// document only for one that stays.
pub trait Dedup: Send + Sync {
    /// Why documents go.
    fn reason(&self) -> Reason;

    /// Appends the keys that a document leaves; a document that leaves none is never removed.
    fn sketch(&self, document: &Document, keys: &mut Vec<Key>);

    /// The keys of a document of another run that the dedup is held against.
    fn sketch_of_other(&self, document: &Document, keys: &mut Vec<Key>) {
        self.sketch(document, keys);
    }

    /// The order in which [`Dedup::resolve`] wants its sketches.
    fn order(&self) -> Order {
        Order::Key
    }

    /// Judges one range of keys. Sketches come in the order that was asked for; all of a key come.
    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()>;

    /// Whether what `resolve` found are pairs that have to be judged together, in order of rank:
    /// where being alike is not transitive, one range cannot know whether the other document of a
    /// pair stays.
    fn judged(&self) -> bool {
        false
    }

    /// Whether its judge asks what was found of another run's documents too, which stay whatever it says of
    /// them.
    fn judges_others(&self) -> bool {
        false
    }

    /// Whether its judge compares documents itself: then what `resolve` found are documents that are like another,
    /// each a [`Finding::part`] whose number tells the judge all that it needs, another run's among them.
    fn judge_compares(&self) -> bool {
        false
    }

    /// Whether what `resolve` found is only proposed: then documents that are in a pair leave their
    /// [`Dedup::evidence`], and a pair is judged only if that is [`Dedup::alike`].
    fn verified(&self) -> bool {
        false
    }

    /// Appends what tells how alike a text is to others: hashes, ascending, each once.
    fn evidence(&self, _text: &str, _hashes: &mut Vec<u64>) {}

    /// Whether documents are the same to it by what their source said of them: nobody has compared their texts, and
    /// receipts say so.
    fn takes_the_source_s_word(&self) -> bool {
        false
    }

    /// How alike two documents are, by their evidence, if that is enough for one to go.
    fn alike(&self, _one: &[u64], _other: &[u64]) -> Option<f32> {
        None
    }

    /// Resolves, and says how many pairs of documents with one key were left out.
    fn resolve_and_count(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<u64> {
        self.resolve(sketches, found).map(|()| 0)
    }

    /// The same, with a place for what has no room in so many bytes of memory.
    fn resolve_within(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        _room: (&Store, usize),
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<u64> {
        self.resolve_and_count(sketches, found)
    }

    /// Whether what `resolve` found are parts of documents that only tell where to look again: then these
    /// documents leave sketches a second time, and what is found among those holds.
    fn twice(&self) -> bool {
        false
    }

    /// Calls for the keys that a text leaves the second time, whose parts, sorted, were found the first
    /// time; the same one may come more than once.
    fn sketch_again(&self, _text: &str, _parts: &[u64], _key: &mut dyn FnMut(Key) -> Result<()>) -> Result<()> {
        Ok(())
    }

    /// Judges one range of the keys that were left the second time, each document's once, sorted by key,
    /// then rank.
    fn resolve_again(
        &self,
        _sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        _found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        Ok(())
    }

    /// Whether it takes parts from documents, not documents from the corpus: then findings are
    /// [`Finding::part`]s, and every document passes [`Dedup::cut`].
    fn cuts(&self) -> bool {
        false
    }

    /// What becomes of a document without the parts that were found, which come sorted, and the text that it
    /// is left, if anything goes; writes its signals. Tells what goes: stretches in order, none of which
    /// overlaps the next. Of a document that is dropped they tell why.
    fn cut(&self, _document: &mut Document, _parts: &[Part], _cuts: &mut Vec<Cut>) -> (Verdict, Option<String>) {
        (Verdict::Keep, None)
    }

    /// Whether what it takes from documents is told in `cut/`.
    fn receipts(&self) -> bool {
        true
    }

    /// Whether no document of this run keeps what it takes from others: then a receipt names another run's
    /// document, of those that the dedup is held against, or none.
    fn keeps_no_copy(&self) -> bool {
        false
    }

    /// How many stretches may go of a text, roughly and rather more than fewer: room is made before they are
    /// known.
    fn most_cuts(&self, _text: &str, parts: &[Part]) -> usize {
        parts.len()
    }

    /// Judges all pairs of a dedup that is judged. What it finds of a document more than once has one
    /// document that stays; the greatest similarity counts.
    fn judge(
        &self,
        pairs: &mut dyn Pairs,
        among: &Among<'_>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        judge::judge(pairs, among, found)
    }

    /// Of another run's documents that one of ours is like, the first: what is marked, where that stays.
    fn mark(
        &self,
        pairs: &mut dyn Pairs,
        among: &Among<'_>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        judge::mark(pairs, among, found)
    }
}

/// Pairs that the ranges of a dedup found, sorted by the rank of what may go, then of what it is
/// like.
pub trait Pairs {
    /// All of them, from the first one, as often as it is called.
    fn all(&mut self) -> Result<Box<dyn Iterator<Item = Result<Finding>> + '_>>;
}

#[cfg(test)]
impl Pairs for Vec<Finding> {
    fn all(&mut self) -> Result<Box<dyn Iterator<Item = Result<Finding>> + '_>> {
        Ok(Box::new(self.iter().copied().map(Ok)))
    }
}

#[test]
fn ranks_sort_as_their_bytes() {
    let low = Rank { raw_file: 1, record: u64::MAX };
    let high = Rank { raw_file: 256, record: 0 };
    assert!(low < high && low.to_bytes() < high.to_bytes());
    assert_eq!(Rank::from_bytes(low.to_bytes()), low);
}

#[test]
fn by_rank_sketches_sort_slice_by_slice() {
    let sketch = |first: u8, record, last: u8| {
        let mut key = [first; 16];
        key[15] = last;
        Sketch { key, rank: Rank { raw_file: 0, record } }
    };
    let (a, b, c) = (sketch(1, 1, 9), sketch(1, 2, 0), sketch(2, 0, 0));
    assert!(Order::Rank.to_bytes(a) < Order::Rank.to_bytes(b) && Order::Rank.to_bytes(b) < Order::Rank.to_bytes(c));
    assert!(Order::Key.to_bytes(b) < Order::Key.to_bytes(a));
    assert!(Order::Beginning.to_bytes(a) < Order::Beginning.to_bytes(b));
    for order in [Order::Key, Order::Rank, Order::Beginning] {
        assert_eq!(order.from_bytes(order.to_bytes(a)), a);
    }
}

#[test]
fn findings_sort_as_their_similarities_do() {
    let rank = Rank { raw_file: 0, record: 1 };
    let bytes = [Finding::UNKNOWN, 0.0, f32::MIN_POSITIVE, 0.5, 1.0].map(|similarity| {
        let finding = Finding { gone: rank, kept: rank, similarity };
        assert_eq!(Finding::from_bytes(finding.to_bytes()), finding);
        finding.to_bytes()
    });
    assert!(bytes.is_sorted());
}

#[test]
fn a_part_remembers_who_has_it_first() {
    let document = Rank { raw_file: 3, record: 1 };
    for (raw_file, record) in [(0, 0), (7, 12), (UNKNOWN_FILE - 1, u64::from(NOT_FINITE) - 1)] {
        for number in [0, 5, u64::MAX] {
            let first = Some(Rank { raw_file, record });
            let finding = Finding::part(document, number, first);
            let read = Finding::from_bytes(finding.to_bytes());
            assert_eq!((read, read.as_part()), (finding, Some(Part { number, first })));
        }
    }
    for first in [None, Some(Rank { raw_file: 0, record: 1 << 31 }), Some(Rank { raw_file: UNKNOWN_FILE, record: 0 })] {
        assert_eq!(Finding::part(document, 9, first).as_part(), Some(Part { number: 9, first: None }));
    }
    assert_eq!(Finding { gone: document, kept: document, similarity: 1.0 }.as_part(), None);
}
