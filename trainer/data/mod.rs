//! Token shards as a model sees them: windows of slices, some held out, the rest mixed.
//!
//! A slice is the tokens of its shards one after another. Window `w` of a slice has the tokens from
//! `w · time` on, and for targets the same one further. Shards are mapped; what is read is what is used.

pub mod order;
mod spec;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use corpus::Digest;
use corpus::catalog::{CATALOG, Catalog, TokenizerEntry};
use corpus::shard::Shard;

use crate::failure::{Code, Failure, Result};
use order::{Order, Split};
pub use spec::{DataSpec, Paths};

/// A shard and where it stands in its slice.
#[derive(Debug)]
struct Part {
    shard: Shard,
    /// Tokens of the slice before it.
    first: u64,
    /// One byte a token, 0 where it is no target: `X.mask` beside `X.bin`.
    mask: Option<(PathBuf, File)>,
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
    fn open(name: &str, paths: &[PathBuf], text_bytes: Option<u64>) -> Result<Slice> {
        let mut slice = Slice { name: name.to_owned(), parts: Vec::new(), tokens: 0, text_bytes };
        for path in paths {
            let shard = Shard::open(path)?;
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
            slice.parts.push(Part { shard, first, mask });
        }
        Ok(slice)
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
        let begin = window * time as u64;
        let end = begin + time as u64;
        let first = out.tokens.len();
        let (mut at, mut part) = (begin, self.part(begin));
        // One token more than is read: the last target.
        while at <= end && part < self.parts.len() {
            let Part { shard, first: before, mask } = &self.parts[part];
            let (from, to) = (at - before, (end + 1 - before).min(shard.tokens()));
            out.tokens.extend(shard.tokens_between(from, to));
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
            if let Some(place) = out.tokens[first..].iter().position(|token| *token as usize >= vocabulary) {
                let token = out.tokens[first + place];
                let message = format!("token {token} at {} of {}", begin + place as u64, shard.path().display());
                return Err(Failure::configuration(format!("{message} is not below the model's {vocabulary}"))
                    .hint("the shards were made with another tokenizer: set the model's `vocab_size` to it, or build them anew"));
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
    /// Of what was opened, and how it is mixed: a run may not go on with another.
    pub digest: Digest,
    time: usize,
    vocabulary: usize,
}

impl Data {
    /// Opens what a configuration names, for sequences of `time` tokens below `vocabulary`.
    pub fn open(spec: &DataSpec, seed: u64, time: usize, vocabulary: usize) -> Result<Data> {
        let mut found: Vec<(String, Vec<PathBuf>, Option<u64>)> = Vec::new();
        let mut tokenizer: Option<(TokenizerEntry, PathBuf)> = None;
        let mut said = Vec::new();
        for folder in spec.from.iter() {
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
            for (name, entry) in &catalog.slices {
                let paths = entry.shards.iter().map(|shard| folder.join(&shard.bin.name)).collect();
                found.push((name.clone(), paths, Some(entry.counts.text_bytes)));
            }
        }
        for (name, paths) in &spec.shards {
            let paths: Vec<PathBuf> = paths.iter().cloned().collect();
            said.push(serde_json::json!([name, paths]));
            found.push((name.clone(), paths, None));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let message = format!("slice `{}` is there twice", pair[0].0);
            return Err(Failure::configuration(message).hint("give the shards another name"));
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
        let slices: Vec<Slice> = found
            .iter()
            .filter(|(_, paths, _)| !paths.is_empty())
            .map(|(name, paths, text_bytes)| Slice::open(name, paths, *text_bytes))
            .collect::<Result<_>>()?;
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
        let shares = spec.shares(&slices)?;
        let rows: Vec<(String, Split, f64)> = slices
            .iter()
            .zip(&splits)
            .zip(&shares)
            .map(|((slice, split), share)| (slice.name.clone(), *split, *share))
            .collect();
        let order = Order::new(seed, &rows)?;
        let sizes: Vec<(&str, u64)> = slices.iter().map(|slice| (slice.name.as_str(), slice.tokens)).collect();
        let shares: Vec<u64> = shares.iter().map(|share| share.to_bits()).collect();
        let digest = Digest::of_value(&(said, sizes, shares, spec.validation, seed, time));
        Ok(Data { slices, splits, order, tokenizer: tokenizer.map(|(entry, _)| entry), digest, time, vocabulary })
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

    /// Held-out windows of a slice, from one to another.
    pub fn held_out(&self, slice: usize, from: u64, to: u64) -> Result<Sequences> {
        let mut out = Sequences::default();
        for at in from..to.min(self.splits[slice].held) {
            self.push(slice, self.splits[slice].held_out(at), &mut out)?;
        }
        Ok(out)
    }

    fn push(&self, slice: usize, window: u64, out: &mut Sequences) -> Result<()> {
        out.slices.push(slice);
        self.slices[slice].window(window, self.time, self.vocabulary, out)
    }
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
mod tests {
    use super::*;
    use corpus::shard::ShardWriter;
    use corpus::store::Store;

    /// Shards whose documents are given by length; their tokens count up over all of them.
    fn shards(folder: &Path, shards: &[&[usize]], vocabulary: u32) -> Vec<PathBuf> {
        let store = Store::create(folder).unwrap();
        let mut token = 0;
        let mut paths = Vec::new();
        for (number, documents) in shards.iter().enumerate() {
            let name = format!("s-{number}");
            let mut writer = ShardWriter::new(&store, &name, vocabulary, 0).unwrap();
            for length in *documents {
                let tokens: Vec<u32> = (token..token + *length as u32).collect();
                token += *length as u32;
                writer.push(&tokens, false).unwrap();
            }
            writer.seal(&store).unwrap();
            paths.push(store.path(&format!("{name}.bin")));
        }
        paths
    }

    #[test]
    fn windows_go_on_over_documents_and_shards() {
        let folder = tempfile::tempdir().unwrap();
        for vocabulary in [1000, 70_000] {
            let paths = shards(folder.path(), &[&[3, 0, 5], &[], &[1, 8]], vocabulary);
            let slice = Slice::open("s", &paths, None).unwrap();
            assert_eq!((slice.tokens, slice.windows(4), slice.windows(16), slice.windows(17)), (17, 4, 1, 0));
            let mut out = Sequences::default();
            for window in 0..4 {
                slice.window(window, 4, 1000, &mut out).unwrap();
            }
            assert_eq!(out.tokens, (0..16).collect::<Vec<u32>>());
            assert_eq!(out.targets, (1..17).collect::<Vec<u32>>());
            // Documents begin at 0, 3, 8 and 9; in each window, at 0 at the earliest.
            assert_eq!(out.starts, [0, 0, 0, 3, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0]);
            assert_eq!(out.counted(), 16);
        }
    }

    #[test]
    fn a_mask_is_that_of_targets() {
        let folder = tempfile::tempdir().unwrap();
        let paths = shards(folder.path(), &[&[5], &[4]], 1000);
        std::fs::write(paths[1].with_extension("mask"), [0, 1, 1, 0]).unwrap();
        let slice = Slice::open("s", &paths, None).unwrap();
        let mut out = Sequences::default();
        slice.window(0, 8, 1000, &mut out).unwrap();
        assert_eq!(out.counts, [true, true, true, true, false, true, true, false]);
        std::fs::write(paths[1].with_extension("mask"), [0, 1]).unwrap();
        let failure = Slice::open("s", &paths, None).unwrap_err();
        assert!(failure.message.contains("2 bytes for 4 tokens"), "{failure}");
    }

    fn spec(text: &str) -> DataSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = shards(folder.path(), &[&[50], &[60]], 1000);
        let shards = format!(r#"{{"shards": {{"one": {:?}, "two": {:?}}}"#, paths[0], paths[1]);
        let open = |rest: &str, vocabulary| Data::open(&spec(&format!("{shards}{rest}}}")), 1, 8, vocabulary);
        let data = open("", 1000).unwrap();
        assert_eq!(data.sequences(0, 6).unwrap().slices.len(), 6);
        assert_eq!(data.sequences(2, 4).unwrap().tokens, data.sequences(0, 6).unwrap().tokens[16..32]);
        for (rest, words) in [
            (r#", "mixture": {"three": 1}"#, "no slice `three`"),
            (r#", "mixture": {"one": -1}"#, "-1"),
            (r#", "mixture": {"one": 0}"#, "no slice has a share"),
            (r#", "mixture": {"one": 1}, "epochs": {"one": 1}"#, "both"),
        ] {
            let failure = open(rest, 1000).unwrap_err();
            assert!(failure.message.contains(words), "{failure}");
        }
        let small = open("", 100).unwrap();
        let failure = small.sequences(0, 20).unwrap_err();
        assert!(failure.message.contains("is not below the model's 100"), "{failure}");
        let other = open(r#", "mixture": {"one": 3, "two": 1}"#, 1000).unwrap();
        assert_ne!(other.digest, data.digest);
        assert_eq!((other.order.share(0), other.order.share(1)), (0.75, 0.25));
        let missing = spec(r#"{"shards": {"one": "nowhere/s.bin"}}"#);
        assert!(Data::open(&missing, 1, 8, 1000).unwrap_err().message.contains("nowhere/s.idx"));
        let missing = spec(r#"{"from": "nowhere"}"#);
        assert!(Data::open(&missing, 1, 8, 1000).unwrap_err().message.contains("no catalog.json"));
    }
}
