//! `reference-urls`: the addresses that a Wikipedia dump cites, and lists of addresses.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use corpus::{Digest, RawFile};
use sources::Raw;

use crate::cli::ReferenceUrlsArgs;
use crate::documents;
use crate::failure::{Code, Failure, Result};
use crate::report::{self, say};

mod markup;
mod original;

/// A page of a dump beyond this many bytes is cut: ours, eight times the longest that MediaWiki saves.
const LONGEST_PAGE: usize = 16 << 20;
/// A dump says within its first bytes that it is one: ours, it is in the first line.
const BEGINNING: usize = 64 << 10;
/// Longer addresses are none: ours, what browsers and servers agree on is far below.
const LONGEST_URL: usize = 2048;

/// Runs `reference-urls`.
pub fn list(args: &ReferenceUrlsArgs) -> Result<()> {
    let mut urls = match args.sample {
        Some(most) => Urls::Sample { most: most as usize, seed: args.seed, drawn: BTreeMap::new() },
        None => Urls::All { bytes: 0, most: args.memory.0 as usize, held: Vec::new(), runs: Vec::new() },
    };
    let cited = std::cell::Cell::new(0u64);
    let mut failed = None;
    let mut take = |url: &str| {
        cited.set(cited.get() + 1);
        if failed.is_none() && url.len() <= LONGEST_URL {
            failed = urls.add(url).err();
        }
    };
    for path in &args.dump {
        let name = path.to_string_lossy();
        let raw = Raw::open(&RawFile::new(&*name, path))?;
        if raw.content() == sources::Content::SevenZip {
            return Err(Failure::configuration(format!("{name} is a 7z archive"))
                .hint("take the dump's `.xml.bz2`, or unpack it first"));
        }
        let mut read = BufReader::with_capacity(1 << 20, raw);
        let begin = read.fill_buf().map_err(Failure::io("cannot read", path))?;
        let begin = &begin[..begin.len().min(BEGINNING)];
        let is_dump = [&b"<mediawiki"[..], b"<page>"].into_iter().any(|mark| find(begin, mark).is_some());
        let before = cited.get();
        let done = match args.original {
            true => original::each(read, &mut take),
            false => markup::each(read, &mut take),
        };
        done.map_err(Failure::io("cannot read", path))?;
        // A piece of a dump may begin anywhere, and is told by what it cites.
        if !is_dump && cited.get() == before {
            return Err(Failure::new(Code::Damaged, format!("{name} is no Wikipedia dump, and cites nothing"))
                .hint("take a dump of pages in XML, `pages-articles`, as it is published"));
        }
    }
    if let Some(error) = failed {
        return Err(Failure::io("cannot write a file in", std::env::temp_dir())(error));
    }
    let mut written = 0u64;
    documents::write_whole(&args.output, |out| {
        urls.write(&mut |url| {
            written += 1;
            out.write_all(url)?;
            out.write_all(b"\n")
        })
    })?;
    if written == 0 {
        say("warning: nothing is cited there: is it a dump of pages in XML?");
    }
    say(&format!(
        "{} of {} citations: {}",
        report::count(written, "URL"),
        report::number(cited.get()),
        args.output.display()
    ));
    Ok(())
}

/// Addresses, each once, in bounded memory.
enum Urls {
    /// Those with the lowest digests, whatever the order in which they came.
    Sample { most: usize, seed: u64, drawn: BTreeMap<[u8; 16], Box<str>> },
    /// All: sorted stretches go to files.
    All { bytes: usize, most: usize, held: Vec<Box<str>>, runs: Vec<File> },
}

impl Urls {
    fn add(&mut self, url: &str) -> io::Result<()> {
        match self {
            Urls::Sample { most, seed, drawn } => {
                let digest = Digest::of(&[url.as_bytes(), &seed.to_le_bytes()].concat()).0;
                let half: [u8; 16] = std::array::from_fn(|at| digest[at]);
                if drawn.len() < *most || drawn.last_key_value().is_some_and(|(last, _)| half < *last) {
                    drawn.insert(half, url.into());
                    if drawn.len() > *most {
                        drawn.pop_last();
                    }
                }
            }
            Urls::All { bytes, most, held, runs } => {
                held.push(url.into());
                // What a string takes beside its bytes.
                *bytes += url.len() + 40;
                if *bytes > *most {
                    runs.push(run(held)?);
                    *bytes = 0;
                }
            }
        }
        Ok(())
    }

    /// Gives all of them in their order.
    fn write(self, out: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Urls::Sample { drawn, .. } => {
                let mut urls: Vec<Box<str>> = drawn.into_values().collect();
                urls.sort();
                urls.iter().try_for_each(|url| out(url.as_bytes()))
            }
            Urls::All { mut held, runs, .. } => {
                held.sort();
                held.dedup();
                merge(held, runs, out)
            }
        }
    }
}

/// Writes what is held as a sorted stretch, and holds nothing any more.
fn run(held: &mut Vec<Box<str>>) -> io::Result<File> {
    held.sort();
    held.dedup();
    let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile()?);
    for url in held.drain(..) {
        out.write_all(url.as_bytes())?;
        out.write_all(b"\n")?;
    }
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn merge(held: Vec<Box<str>>, runs: Vec<File>, out: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut sources: Vec<Box<dyn Iterator<Item = io::Result<Vec<u8>>>>> =
        vec![Box::new(held.into_iter().map(|url| Ok(url.into_string().into_bytes())))];
    for run in runs {
        sources.push(Box::new(BufReader::with_capacity(256 << 10, run).split(b'\n')));
    }
    let mut heads: std::collections::BTreeSet<(Vec<u8>, usize)> = std::collections::BTreeSet::new();
    for (number, source) in sources.iter_mut().enumerate() {
        if let Some(url) = source.next() {
            heads.insert((url?, number));
        }
    }
    let mut last: Option<Vec<u8>> = None;
    while let Some((url, number)) = heads.pop_first() {
        if let Some(next) = sources[number].next() {
            heads.insert((next?, number));
        }
        if last.as_ref() != Some(&url) {
            out(&url)?;
            last = Some(url);
        }
    }
    Ok(())
}

/// A list of addresses, each told by a digest of eight bytes: two of a hundred million are the same
/// by chance once in thousands of lists.
pub struct UrlList(Vec<u64>);

impl UrlList {
    /// Reads a list, an address a line, compressed or not.
    pub fn read(path: &Path) -> Result<UrlList> {
        let raw = Raw::open(&RawFile::new(&*path.to_string_lossy(), path))?;
        let mut keys = Vec::new();
        for line in BufReader::with_capacity(1 << 20, raw).split(b'\n') {
            let line = line.map_err(Failure::io("cannot read", path))?;
            let url = String::from_utf8_lossy(&line);
            if !url.trim().is_empty() {
                keys.push(key(url.trim()));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(UrlList(keys))
    }

    /// Whether an address is in it.
    pub fn has(&self, url: &str) -> bool {
        self.0.binary_search(&key(url)).is_ok()
    }
}

/// Addresses of one page have one key: with `http` or `https`, `www.` or not, a slash at the end or
/// not, a place in the page or not, the host in any letters.
fn key(url: &str) -> u64 {
    let url = url.split('#').next().unwrap_or_default();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = host.to_ascii_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let digest = Digest::of(format!("{host}{}", path.trim_end_matches('/')).as_bytes()).0;
    u64::from_le_bytes(std::array::from_fn(|at| digest[at]))
}

/// The pieces of a stream between two marks, `from` and `until` left out, each cut at a length.
fn between(mut read: impl Read, from: &[u8], until: &[u8], each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut held: Vec<u8> = Vec::new();
    let mut block = vec![0; 256 << 10];
    let mut inside = false;
    loop {
        let mark = if inside { until } else { from };
        if let Some(at) = find(&held, mark) {
            if inside {
                each(&held[..at]);
            }
            held.drain(..at + mark.len());
            inside = !inside;
            continue;
        }
        if !inside {
            // The mark may have begun at the end.
            let gone = held.len().saturating_sub(mark.len() - 1);
            held.drain(..gone);
        } else if held.len() > LONGEST_PAGE {
            each(&held);
            held.clear();
        }
        match read.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => held.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_page_are_the_same() {
        for other in ["https://www.A.example/b/", "http://a.example/b", "HTTP://A.EXAMPLE/b#c", "a.example/b"] {
            assert_eq!(key(other), key("http://a.example/b"), "{other}");
        }
        for other in ["http://a.example/B", "http://a.example/b?c", "http://b.example/b", "http://a.example"] {
            assert_ne!(key(other), key("http://a.example/b"), "{other}");
        }
    }

    #[test]
    fn all_addresses_come_sorted_and_once_in_any_memory() {
        for most in [1, 100, 1 << 20] {
            let mut urls = Urls::All { bytes: 0, most, held: Vec::new(), runs: Vec::new() };
            for number in [5, 3, 9, 3, 1, 5, 7, 1] {
                urls.add(&format!("http://a.example/{number}")).unwrap();
            }
            let mut seen = String::new();
            urls.write(&mut |url| {
                seen.push(url[url.len() - 1] as char);
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, "13579", "{most}");
        }
    }

    #[test]
    fn a_sample_is_the_same_in_any_order() {
        let drawn = |numbers: &mut dyn Iterator<Item = u32>, seed| {
            let mut urls = Urls::Sample { most: 3, seed, drawn: BTreeMap::new() };
            numbers.for_each(|number| urls.add(&format!("http://a.example/{}", number % 20)).unwrap());
            let mut seen = Vec::new();
            urls.write(&mut |url| {
                seen.push(String::from_utf8_lossy(url).into_owned());
                Ok(())
            })
            .unwrap();
            seen
        };
        assert_eq!(drawn(&mut (0..40), 1), drawn(&mut (0..20).rev(), 1));
        assert_eq!(drawn(&mut (0..40), 1).len(), 3);
        assert_ne!(drawn(&mut (0..40), 1), drawn(&mut (0..40), 2));
    }

    #[test]
    fn pieces_may_lie_across_reads() {
        let text = b"xx<a>one</a>y<a>two</a><a>thr";
        for step in 1..8 {
            struct Slow<'t>(&'t [u8], usize);
            impl Read for Slow<'_> {
                fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                    let count = self.1.min(self.0.len());
                    into[..count].copy_from_slice(&self.0[..count]);
                    self.0 = &self.0[count..];
                    Ok(count)
                }
            }
            let mut seen = Vec::new();
            between(Slow(text, step), b"<a>", b"</a>", &mut |piece| seen.push(piece.to_vec())).unwrap();
            assert_eq!(seen, [b"one".to_vec(), b"two".to_vec()]);
        }
    }
}
