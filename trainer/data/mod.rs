//! Token shards as a model sees them: windows of slices, some held out, the rest mixed.
//!
//! A slice is the tokens of its shards one after another. Window `w` of a slice has the tokens from
//! `w · time` on, and for targets the same one further. Shards are mapped; what is read is what is used.

pub mod order;
mod reader;
mod spec;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use corpus::Digest;
use corpus::catalog::{CATALOG, Catalog, ShardEntry, TokenizerEntry};
use corpus::shard::{Shard, Stray};
use corpus::store::Store;
use rayon::prelude::*;

use crate::failure::{Code, Failure, Result};
use crate::origin::{CatalogOf, ShardOf};
use order::{Order, Split};
pub use reader::{Known, Reader};
pub use spec::{DataSpec, Folders, Paths};

/// A shard and where it stands in its slice.
#[derive(Debug)]
struct Part {
    shard: Shard,
    /// Tokens of the slice before it.
    first: u64,
    /// One byte a token, 0 where it is no target: `X.mask` beside `X.bin`.
    mask: Option<(PathBuf, File)>,
    /// The digest of its index, where a catalog says it.
    listed: Option<Digest>,
}

/// The tokens of one slice.
#[derive(Debug)]
pub struct Slice {
    /// What it is called.
    pub name: String,
    parts: Vec<Part>,
    /// How many tokens it has.
    pub tokens: u64,
    /// Bytes of text that they were made of, where the catalog says it.
    pub text_bytes: Option<u64>,
}

/// Where the tokens of a slice lie.
#[derive(Debug)]
enum Shards {
    /// In shards of a run, which were made of so many bytes of text.
    Ours(Vec<PathBuf>, u64),
    /// In those of any writer.
    Any(Vec<PathBuf>),
}

impl Shards {
    fn paths(&self) -> &[PathBuf] {
        match self {
            Shards::Ours(paths, _) | Shards::Any(paths) => paths,
        }
    }
}

fn stray_token(shard: &Shard, Stray { document, position, token }: Stray, vocabulary: usize) -> Failure {
    let message = format!("{}: token {position} of document {document} is {token}", shard.path().display());
    if token < 0 {
        return Failure::configuration(format!("{message}, which is no id"))
            .hint("its writer had another use for it, or took the wrong type: write the shard anew");
    }
    Failure::configuration(format!("{message}, which is not below the model's {vocabulary}"))
        .hint("the shards were made with another tokenizer: set the model's `vocab_size` to it, or build them anew")
}

/// Some sequences, one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequences {
    /// What a model reads.
    pub tokens: Vec<u32>,
    /// What comes next.
    pub targets: Vec<u32>,
    /// For each token, the position in its sequence at which its document begins.
    pub starts: Vec<u32>,
    /// Whether a target counts.
    pub counts: Vec<bool>,
    /// The slice of each sequence.
    pub slices: Vec<usize>,
}

impl Sequences {
    /// How many targets count.
    pub fn counted(&self) -> u64 {
        self.counts.iter().filter(|counts| **counts).count() as u64
    }
}

impl Slice {
    /// The shards of a run, or of any writer.
    fn open(name: &str, shards: &Shards) -> Result<Slice> {
        let (paths, text_bytes) = match shards {
            Shards::Ours(paths, text_bytes) => (paths, Some(*text_bytes)),
            Shards::Any(paths) => (paths, None),
        };
        let mut slice = Slice { name: name.to_owned(), parts: Vec::new(), tokens: 0, text_bytes };
        for path in paths {
            let shard = match shards {
                Shards::Ours(..) => Shard::open(path)?,
                Shards::Any(_) => Shard::open_any(path).map_err(|error| {
                    let pair = "`X.bin` and `X.idx` must be of one writing, and whole: copy or write both anew";
                    let damaged = matches!(error, corpus::Error::Damaged { .. });
                    let failure = Failure::from(error);
                    if damaged { failure.hint(pair) } else { failure }
                })?,
            };
            let mask_path = shard.path().with_extension("mask");
            let mask = match File::open(&mask_path) {
                Ok(file) => {
                    let bytes = file.metadata().map_err(Failure::io("cannot read", &mask_path))?.len();
                    if bytes != shard.tokens() {
                        let tokens = shard.tokens();
                        return Err(Failure::damaged(&mask_path, format!("{bytes} bytes for {tokens} tokens")));
                    }
                    Some((mask_path, file))
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(Failure::io("cannot open", &mask_path)(error)),
            };
            let first = slice.tokens;
            slice.tokens += shard.tokens();
            slice.parts.push(Part { shard, first, mask, listed: None });
        }
        Ok(slice)
    }

    /// Holds shards against what their catalog says of them.
    fn list(&mut self, entries: &[ShardEntry]) -> Result<()> {
        for (part, entry) in self.parts.iter_mut().zip(entries) {
            let (own, listed) = (part.shard.tokens(), entry.tokens);
            if own != listed {
                return Err(Failure::damaged(
                    part.shard.path(),
                    format!("has {own} tokens, its catalog says {listed}"),
                )
                .hint("`redpajama verify` says which files of a run are not as they were written"));
            }
            part.listed = Some(entry.idx.digest);
        }
        Ok(())
    }

    /// What is to be known of its shards, in their order, without reading all of them.
    pub fn known(&self) -> Result<Vec<ShardOf>> {
        let known = |part: &Part| {
            let path = part.shard.path();
            let index = part.shard.digest();
            if let Some(listed) = part.listed.filter(|listed| *listed != index) {
                let message = format!("its digest is {}, its catalog says {}", index.short(), listed.short());
                return Err(Failure::damaged(&path.with_extension("idx"), message)
                    .hint("`redpajama verify` says which files of a run are not as they were written"));
            }
            Ok(ShardOf {
                path: path.to_path_buf(),
                index,
                tokens: Digest::sampled(path)?,
                mask: part.mask.as_ref().map(|(path, _)| Digest::sampled(path)).transpose()?,
            })
        };
        // What takes time is the disk.
        self.parts.par_iter().map(known).collect()
    }

    /// How many windows of `time` tokens it has; the last token of each is the next one's first.
    pub fn windows(&self, time: usize) -> u64 {
        self.tokens.saturating_sub(1) / time as u64
    }

    /// The part that a token lies in.
    fn part(&self, token: u64) -> usize {
        self.parts.partition_point(|part| part.first + part.shard.tokens() <= token)
    }

    /// Appends a window to `out`; `vocabulary` is what its tokens must be below.
    fn window(&self, window: u64, time: usize, vocabulary: usize, out: &mut Sequences) -> Result<()> {
        self.stretch(window * time as u64, time, vocabulary, out)
    }

    /// Appends so many tokens and their targets to `out`.
    fn stretch(&self, begin: u64, time: usize, vocabulary: usize, out: &mut Sequences) -> Result<()> {
        let end = begin + time as u64;
        let first = out.tokens.len();
        let (mut at, mut part) = (begin, self.part(begin));
        // One token more than is read: the last target.
        while at <= end && part < self.parts.len() {
            let Part { shard, first: before, mask, .. } = &self.parts[part];
            let (from, to) = (at - before, (end + 1 - before).min(shard.tokens()));
            shard
                .read(from, to, vocabulary as u32, &mut out.tokens)
                .map_err(|stray| stray_token(shard, stray, vocabulary))?;
            let mut number = shard.document_at(from);
            let mut token = from;
            while token < to {
                let document = (shard.begin(number) + before).max(begin) - begin;
                number += 1;
                let next = shard.begin(number).min(to);
                out.starts.extend(std::iter::repeat_n(document as u32, (next - token) as usize));
                token = next;
            }
            match mask {
                Some((path, file)) => {
                    let mut bytes = vec![0; (to - from) as usize];
                    file.read_exact_at(&mut bytes, from).map_err(Failure::io("cannot read", path))?;
                    out.counts.extend(bytes.iter().map(|byte| *byte != 0));
                }
                None => out.counts.extend(std::iter::repeat_n(true, (to - from) as usize)),
            }
            at = before + to;
            part += 1;
        }
        out.targets.extend_from_slice(&out.tokens[first + 1..]);
        out.tokens.pop();
        out.starts.pop();
        // A token's mask is that of the target it is.
        out.counts.remove(first);
        Ok(())
    }
}

/// Which windows are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that are held out.
    HeldOut,
    /// All, in their order.
    All,
}

/// All that a run reads.
#[derive(Debug)]
pub struct Data {
    /// The slices, in the order of their names.
    pub slices: Vec<Slice>,
    /// How each is split.
    pub splits: Vec<Split>,
    /// What is drawn when.
    pub order: Order,
    /// The tokenizer of the catalogs.
    pub tokenizer: Option<TokenizerEntry>,
    /// The catalogs that were opened.
    pub catalogs: Vec<CatalogOf>,
    /// What checkpoints of format 1 have instead.
    pub(crate) former: Digest,
    time: usize,
    vocabulary: usize,
}

impl Data {
    /// Opens what a configuration names, for sequences of `time` tokens below `vocabulary`. Whether a model can be
    /// given it, a [`Reader`] says.
    pub fn open(spec: &DataSpec, seed: u64, time: usize, vocabulary: usize) -> Result<Data> {
        let (mut data, said) = Data::gather(spec, time, vocabulary)?;
        let mut shares = spec.shares(&data.slices)?;
        // A slice that nobody asked for by name and that is too short for a window does not stop the others.
        let named = |slice: &Slice| spec.mixture.contains_key(&slice.name) || spec.epochs.contains_key(&slice.name);
        if data.splits.iter().any(|split| split.trained() > 0) {
            for ((slice, split), share) in data.slices.iter().zip(&data.splits).zip(&mut shares) {
                if split.trained() == 0 && !named(slice) {
                    *share = 0.0;
                }
            }
        }
        let rows: Vec<(String, Split, f64)> = data
            .slices
            .iter()
            .zip(&data.splits)
            .zip(&shares)
            .map(|((slice, split), share)| (slice.name.clone(), *split, *share))
            .collect();
        data.order = Order::new(seed, &rows)?;
        let sizes: Vec<(&str, u64)> = data.slices.iter().map(|slice| (slice.name.as_str(), slice.tokens)).collect();
        let shares: Vec<u64> = shares.iter().map(|share| share.to_bits()).collect();
        data.former = Digest::of_value(&(said, sizes, shares, spec.validation, seed, time));
        Ok(data)
    }

    /// The same of which nothing is drawn, so that no slice is too small; and what checkpoints of format 1 say of
    /// it.
    fn gather(spec: &DataSpec, time: usize, vocabulary: usize) -> Result<(Data, Vec<serde_json::Value>)> {
        let mut found: Vec<(String, Shards)> = Vec::new();
        let mut tokenizer: Option<(TokenizerEntry, PathBuf)> = None;
        let (mut said, mut catalogs, mut listed) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (called, folder) in spec.from.iter() {
            let catalog = catalog(folder)?;
            if let Some(own) = &catalog.tokenizer {
                match &tokenizer {
                    Some((first, other)) if first.digest != own.digest => {
                        let message =
                            format!("{} and {} were made with two tokenizers", other.display(), folder.display());
                        return Err(Failure::configuration(message).hint("build both with the same one"));
                    }
                    Some(_) => {}
                    None => tokenizer = Some((own.clone(), folder.clone())),
                }
            }
            said.push(serde_json::json!(catalog.digest));
            // A whole catalog has its digest.
            let digest = catalog.digest.unwrap_or_else(|| Digest::of_value(&catalog));
            let (name, called) = (catalog.pipeline.clone(), called.map(str::to_owned));
            catalogs.push(CatalogOf { name, called: called.clone(), path: folder.clone(), digest });
            for (name, entry) in &catalog.slices {
                let name = called.as_ref().map_or_else(|| name.clone(), |called| format!("{called}/{name}"));
                let paths = entry.shards.iter().map(|shard| folder.join(&shard.bin.name)).collect();
                listed.insert(name.clone(), entry.shards.clone());
                found.push((name, Shards::Ours(paths, entry.counts.text_bytes)));
            }
        }
        for (name, paths) in &spec.shards {
            let paths: Vec<PathBuf> = paths.iter().cloned().collect();
            said.push(serde_json::json!([name, paths]));
            found.push((name.clone(), Shards::Any(paths)));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let message = format!("slice `{}` is there twice", pair[0].0);
            return Err(Failure::configuration(message).hint(
                "give shards another name, and folders of runs one: `data.from: { one: DIR, other: DIR }` reads slices `one/…` and `other/…`",
            ));
        }
        if let Some((entry, folder)) = &tokenizer
            && entry.vocab_size as usize > vocabulary
        {
            let (size, folder) = (entry.vocab_size, folder.display());
            return Err(Failure::configuration(format!(
                "the tokenizer of {folder} has {size} tokens, the model {vocabulary}"
            ))
            .hint(format!("set `vocab_size` to {} or more", size.next_multiple_of(128))));
        }
        let mut slices: Vec<Slice> = found
            .iter()
            .filter(|(_, shards)| !shards.paths().is_empty())
            .map(|(name, shards)| Slice::open(name, shards))
            .collect::<Result<_>>()?;
        for slice in &mut slices {
            if let Some(entries) = listed.get(&slice.name) {
                slice.list(entries)?;
            }
        }
        if slices.is_empty() {
            return Err(Failure::configuration("there are no shards to train on")
                .hint("`data.from` names the folder of a run with packed shards, `data.shards` names them itself"));
        }
        let splits: Vec<Split> = slices
            .iter()
            .map(|slice| {
                let windows = slice.windows(time);
                // Never more than a tenth, so that a small slice is trained on.
                Split { windows, held: spec.validation.min(windows / 10) }
            })
            .collect();
        let tokenizer = tokenizer.map(|(entry, _)| entry);
        let (order, former) = (Order::default(), Digest::of(b""));
        Ok((Data { slices, splits, order, tokenizer, catalogs, former, time, vocabulary }, said))
    }

    /// The sequences from one number of a run to another.
    pub fn sequences(&self, from: u64, to: u64) -> Result<Sequences> {
        let mut out = Sequences::default();
        for number in from..to {
            let (slice, window) = self.order.sequence(number);
            self.push(slice, window, &mut out)?;
        }
        Ok(out)
    }

    /// How many windows of a slice are evaluated.
    pub fn evaluated(&self, slice: usize, which: Which) -> u64 {
        match which {
            Which::HeldOut => self.splits[slice].held,
            Which::All => self.splits[slice].windows,
        }
    }

    /// The same, and one for what comes after the last of all.
    pub fn told(&self, slice: usize, which: Which) -> u64 {
        let whole = self.evaluated(slice, which);
        let rest = self.slices[slice].tokens > whole * self.time as u64 + 1;
        whole + u64::from(which == Which::All && rest)
    }

    /// Windows of a slice that are evaluated, from one to another.
    pub fn windows(&self, slice: usize, which: Which, from: u64, to: u64) -> Result<Sequences> {
        let mut out = Sequences::default();
        for at in from..to.min(self.evaluated(slice, which)) {
            let window = match which {
                Which::HeldOut => self.splits[slice].held_out(at),
                Which::All => at,
            };
            self.push(slice, window, &mut out)?;
        }
        Ok(out)
    }

    /// The tokens of a slice after its last window, as one that is shorter; nothing where that has no target.
    pub fn rest(&self, slice: usize) -> Result<Sequences> {
        let mut out = Sequences::default();
        let begin = self.splits[slice].windows * self.time as u64;
        let targets = self.slices[slice].tokens.saturating_sub(begin + 1) as usize;
        if targets > 0 {
            out.slices.push(slice);
            self.slices[slice].stretch(begin, targets, self.vocabulary, &mut out)?;
        }
        Ok(out)
    }

    fn push(&self, slice: usize, window: u64, out: &mut Sequences) -> Result<()> {
        out.slices.push(slice);
        self.slices[slice].window(window, self.time, self.vocabulary, out)
    }
}

/// Reads all shards that catalogs name, and holds them against the digests there; gives how many files those are, and
/// their bytes.
pub fn verify(spec: &DataSpec) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for (_, folder) in spec.from.iter() {
        let (catalog, store) = (catalog(folder)?, Store::open(folder));
        let shards = catalog.slices.values().flat_map(|slice| &slice.shards);
        let outputs: Vec<_> = shards.flat_map(|shard| [&shard.bin, &shard.idx]).collect();
        outputs.par_iter().try_for_each(|output| store.check(output))?;
        files += outputs.len() as u64;
        bytes += outputs.iter().map(|output| output.bytes).sum::<u64>();
    }
    Ok((files, bytes))
}

/// The catalog of a run's folder.
pub fn catalog(folder: &Path) -> Result<Catalog> {
    let path = folder.join(CATALOG);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("{} has no {CATALOG}", folder.display());
            return Err(Failure::configuration(message)
                .hint("name the folder of a run that ended: `redpajama build` writes its catalog last"));
        }
        Err(error) => return Err(Failure::io("cannot read", &path)(error)),
    };
    let catalog: Catalog =
        serde_json::from_slice(&bytes).map_err(|error| Failure::damaged(&path, format!("not a catalog: {error}")))?;
    if catalog.format != corpus::catalog::FORMAT {
        let message = format!("{} is of format {}", path.display(), catalog.format);
        return Err(Failure::new(Code::Configuration, message)
            .hint(format!("this trainer reads format {}", corpus::catalog::FORMAT)));
    }
    if !catalog.is_whole() {
        return Err(Failure::damaged(&path, "is not as it was sealed").hint("`redpajama build` writes it anew"));
    }
    Ok(catalog)
}

#[cfg(test)]
mod tests;
