//! Drops pages that a crawl, or an earlier crawl, fetched before.

use std::collections::BTreeMap;

use corpus::{Digest, Document, Reason, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Against, Among, Dedup, Finding, Guard, Key, Pairs, Rank, Sketch};

/// Keeps one of all pages with the same digest, as the crawler took it of the whole page
/// (`WARC-Block-Digest`), or one of all with the same address.
///
/// It sees what `exact_dedup` no longer sees when the texts were edited, paragraphs taken out for
/// one, since digests are of pages as they were fetched. A page whose source tells no digest, or no
/// address, stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrawlDedup {
    /// What copies have in common, and which one stays.
    pub by: By,
    /// When it takes so much that someone should look: `{ share: 0.9, cluster: 100000, then: warn }`,
    /// the share of a slice's documents that may go, the most documents of which one stays, and
    /// whether the run goes on beyond (`warn`) or ends (`stop`). The largest clusters are shown.
    #[serde(skip_serializing)]
    pub guard: Guard,
    /// Another run, finished, by its folder from the pipeline's file: its pages count as fetched before all
    /// of ours, and stay, by `url` too, whichever was fetched last. They are read, never written. By
    /// `winning_url`, of an address of the other run that has won every page of ours stays too.
    /// `{ run: FOLDER, then: mark }` marks ours instead of dropping them.
    #[serde(skip_serializing_if = "Against::is_plain")]
    pub against: Option<Against>,
}

/// What copies of a page have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The digest; the first in order of preference stays.
    #[default]
    Digest,
    /// The address; the one fetched last stays, of several from one moment the first.
    Url,
    /// The address, unless one of its digests was seen first at it: RedPajama-1T's rule. Of each
    /// digest the first page wins for its address, and every page of an address that has won stays,
    /// so that a page fetched twice without a change stays twice. In each file an address counts
    /// where it stands first, with the digest that it has last.
    WinningUrl,
}

impl Dedup for CrawlDedup {
    fn reason(&self) -> Reason {
        Reason("crawled_before")
    }

    fn takes_the_source_s_word(&self) -> bool {
        true
    }

    fn sketch(&self, document: &Document, keys: &mut Vec<Key>) {
        let url = document.meta.url.as_deref();
        let digest = || document.meta.word("digest");
        match self.by {
            By::Digest => keys.extend(digest().map(|digest| key(DIGEST, &digest))),
            By::Url => {
                let Some(url) = url else { return };
                let mut key = key(URL, url);
                // Keys sort by time, backwards, so that the last comes first.
                let seconds = document.meta.timestamp.as_deref().map_or(0, seconds);
                key[ADDRESS..].copy_from_slice(&(!seconds).to_be_bytes());
                keys.push(key);
            }
            By::WinningUrl => {
                let (Some(url), Some(digest)) = (url, digest()) else { return };
                keys.extend([key(DIGEST, &digest), key(URL, url)]);
            }
        }
    }

    /// Of an address, the other's pages come first whenever they were fetched.
    fn sketch_of_other(&self, document: &Document, keys: &mut Vec<Key>) {
        self.sketch(document, keys);
        if self.by == By::Url {
            keys.iter_mut().for_each(|key| key[ADDRESS..].fill(0));
        }
    }

    fn resolve(
        &self,
        sketches: &mut dyn Iterator<Item = Result<Sketch>>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let width = if self.by == By::Url { ADDRESS } else { size_of::<Key>() };
        let mut together = Together { first: None, pending: None };
        for sketch in sketches {
            let sketch = sketch?;
            match together.first {
                Some(first) if first.key[..width] == sketch.key[..width] => {
                    if self.by == By::WinningUrl {
                        together.link(first, sketch, found)?;
                    } else {
                        found(Finding { gone: sketch.rank, kept: first.rank, similarity: 1.0 })?;
                    }
                }
                _ => together = Together { first: Some(sketch), pending: None },
            }
        }
        Ok(())
    }

    fn judged(&self) -> bool {
        self.by == By::WinningUrl
    }

    /// Which digests were seen first at the other run's addresses decides which of ours win.
    fn judges_others(&self) -> bool {
        true
    }

    fn judge(
        &self,
        pairs: &mut dyn Pairs,
        among: &Among<'_>,
        found: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        winning_urls(pairs, among, found)
    }
}

/// What a key is of: its last byte.
const DIGEST: u8 = 0;
const URL: u8 = 1;

/// Bytes of an address's key before its time: among 10^11 addresses the chance of one false match is
/// below one in a million.
const ADDRESS: usize = 12;

fn key(kind: u8, word: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&Digest::of(word.as_bytes()).0[..16]);
    key[15] = kind;
    key
}

/// A number that grows with a time like `2020-01-18T06:14:09Z` or `20200118061409`, second by second.
fn seconds(time: &str) -> u32 {
    let mut digits = time.bytes().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    let mut number = |width: usize| digits.by_ref().take(width).fold(0, |number, digit| number * 10 + digit);
    let (year, month, day) = (number(4), number(2).min(12), number(2).min(31));
    let (hour, minute, second) = (number(2).min(23), number(2).min(59), number(2).min(60));
    let days = (year.saturating_sub(1970).min(120) * 13 + month) * 32 + day;
    (days * 24 + hour) * 3600 + minute * 60 + second
}

/// What two pages of a pair have in common, noted where alike documents have their similarity.
const SAME_DIGEST: f32 = 1.0;
const SAME_URL: f32 = 0.0;
const SAME_URL_AND_FILE: f32 = 0.5;

/// Pages with one key, as they come in order of rank.
struct Together {
    first: Option<Sketch>,
    /// The first of them in the file of the last one.
    pending: Option<Rank>,
}

impl Together {
    /// Links a page to the first one with its key; the first to itself, so that it is met in its place.
    fn link(&mut self, first: Sketch, sketch: Sketch, found: &mut dyn FnMut(Finding) -> Result<()>) -> Result<()> {
        let of_url = sketch.key[15] == URL;
        let similarity = if of_url { SAME_URL } else { SAME_DIGEST };
        if self.pending.is_none() {
            found(Finding { gone: first.rank, kept: first.rank, similarity })?;
        }
        found(Finding { gone: sketch.rank, kept: first.rank, similarity })?;
        let in_file = self.pending.unwrap_or(first.rank);
        if in_file.raw_file != sketch.rank.raw_file {
            self.pending = Some(sketch.rank);
            return Ok(());
        }
        self.pending = Some(in_file);
        if of_url {
            found(Finding { gone: sketch.rank, kept: in_file, similarity: SAME_URL_AND_FILE })?;
        }
        Ok(())
    }
}

/// All pairs of one page.
#[derive(Clone, Copy, Debug)]
struct Page {
    rank: Rank,
    /// The first page with its digest.
    digest: Rank,
    /// The first page with its address.
    url: Rank,
    /// The first page with its address in its file, if that is another.
    in_file: Option<Rank>,
}

/// Calls for each page that has pairs, in order of rank.
fn each(pairs: &mut dyn Pairs, call: &mut dyn FnMut(Page) -> Result<()>) -> Result<()> {
    let mut page: Option<Page> = None;
    for pair in pairs.all()? {
        let Finding { gone: rank, kept, similarity } = pair?;
        if let Some(done) = page.filter(|page| page.rank != rank) {
            call(done)?;
            page = None;
        }
        let page = page.get_or_insert(Page { rank, digest: rank, url: rank, in_file: None });
        match similarity {
            SAME_DIGEST => page.digest = kept,
            SAME_URL => page.url = kept,
            _ => page.in_file = Some(kept),
        }
    }
    page.map_or(Ok(()), call)
}

/// Removes the pages of addresses at which no digest was seen first. Reads all pairs three times, and
/// holds two bits for each page, and a few words for each address that a file has twice.
fn winning_urls(pairs: &mut dyn Pairs, among: &Among<'_>, found: &mut dyn FnMut(Finding) -> Result<()>) -> Result<()> {
    // The digest of the last page that a file has of an address, by the first that it has. A digest is
    // named by the first page that has it.
    let mut last: BTreeMap<Rank, Rank> = BTreeMap::new();
    each(pairs, &mut |page| {
        if let Some(first) = page.in_file {
            last.insert(first, page.digest);
        }
        Ok(())
    })?;
    let mut taken = among.marks(2)?;
    let mut wins = among.marks(2)?;
    // The page at which a digest was seen first, where it is not the one that names it.
    let mut seen_at: BTreeMap<Rank, Rank> = BTreeMap::new();
    each(pairs, &mut |page| {
        if page.in_file.is_some() {
            return Ok(());
        }
        let digest = last.get(&page.rank).copied().unwrap_or(page.digest);
        if taken.add(digest)? {
            wins.add(page.url)?;
            if digest != page.rank {
                seen_at.insert(digest, page.rank);
            }
        }
        Ok(())
    })?;
    each(pairs, &mut |page| {
        if wins.has(page.url)? {
            return Ok(());
        }
        // A digest that a file had of an address before its last one was never looked at.
        let of_file = || last.get(&page.in_file.unwrap_or(page.rank)).copied();
        let digest = if taken.has(page.digest)? { page.digest } else { of_file().unwrap_or(page.digest) };
        let kept = seen_at.get(&digest).copied().unwrap_or(digest);
        found(Finding { gone: page.rank, kept, similarity: 1.0 })
    })
}

#[cfg(test)]
mod tests {
    use corpus::{DocumentId, Meta};

    use super::*;

    /// Which pages go, and for which: each page is `file url digest time`.
    fn gone(by: By, pages: &[(u32, &str, &str, &str)]) -> Vec<(usize, usize)> {
        let dedup = CrawlDedup { by, ..CrawlDedup::default() };
        let mut records = vec![0; 4];
        let mut ranks = Vec::new();
        let mut sketches = Vec::new();
        for (raw_file, url, digest, time) in pages {
            let record = records[*raw_file as usize];
            records[*raw_file as usize] += 1;
            let rank = Rank { raw_file: *raw_file, record };
            ranks.push(rank);
            let json = format!(r#"{{"digest":"{digest}"}}"#);
            let meta = Meta { url: Some((*url).into()), timestamp: Some((*time).into()), json, ..Meta::default() };
            let id = DocumentId { raw_file: "common_crawl/a".into(), record };
            let mut keys = Vec::new();
            dedup.sketch(&Document::new(id, "text".into(), meta), &mut keys);
            sketches.extend(keys.into_iter().map(|key| Sketch { key, rank }));
        }
        sketches.sort();
        let mut pairs: Vec<Finding> = Vec::new();
        let mut note = |finding| {
            pairs.push(finding);
            Ok(())
        };
        dedup.resolve(&mut sketches.into_iter().map(Ok), &mut note).unwrap();
        pairs.sort_by_key(|pair| pair.to_bytes());
        if dedup.judged() {
            let mut judged = Vec::new();
            let mut note = |finding| {
                judged.push(finding);
                Ok(())
            };
            dedup.judge(&mut pairs, &Among::of(&records, None), &mut note).unwrap();
            pairs = judged;
        }
        let place = |rank: Rank| ranks.iter().position(|known| *known == rank).unwrap();
        pairs.iter().map(|pair| (place(pair.gone), place(pair.kept))).collect()
    }

    const PAGES: [(u32, &str, &str, &str); 7] = [
        (0, "a", "1", "2020-01-01T00:00:00Z"),
        (0, "b", "2", "2020-01-02T00:00:00Z"),
        // A copy elsewhere, and the same page again, unchanged.
        (1, "c", "1", "2020-01-03T00:00:00Z"),
        (1, "a", "1", "2020-02-01T00:00:00Z"),
        // The same page, changed.
        (2, "b", "3", "2020-02-02T00:00:00Z"),
        (2, "d", "3", "2020-02-02T00:00:00Z"),
        (3, "d", "3", "2020-02-01T00:00:00Z"),
    ];

    #[test]
    fn of_each_digest_the_first_page_stays() {
        assert_eq!(gone(By::Digest, &PAGES), [(2, 0), (3, 0), (5, 4), (6, 4)]);
    }

    #[test]
    fn of_each_address_the_last_page_stays() {
        assert_eq!(gone(By::Url, &PAGES), [(0, 3), (1, 4), (6, 5)]);
    }

    #[test]
    fn the_original_keeps_all_pages_of_an_address_that_won() {
        assert_eq!(gone(By::WinningUrl, &PAGES), [(2, 0), (5, 4), (6, 4)]);
    }

    #[test]
    fn for_the_original_an_address_has_the_last_digest_of_a_file() {
        let page = |file, url, digest| (file, url, digest, "");
        // `b` has digest 2 first and 1 last: 1 is taken, so that 2 is free for `c`.
        let pages = [page(0, "a", "1"), page(1, "b", "2"), page(1, "c", "2"), page(1, "b", "1")];
        assert_eq!(gone(By::WinningUrl, &pages), [(1, 2), (3, 0)]);
        // `b` stands before `c`, though its digest 3 comes after.
        let pages = [page(1, "b", "2"), page(1, "c", "3"), page(1, "b", "3")];
        assert_eq!(gone(By::WinningUrl, &pages), [(1, 0)]);
        // In two files it may win by either.
        let pages = [page(0, "a", "1"), page(1, "b", "1"), page(2, "b", "2")];
        assert_eq!(gone(By::WinningUrl, &pages), []);
    }

    /// Against a plain telling of the rule, over many small crawls.
    #[test]
    fn the_original_s_rule_holds_for_any_crawl() {
        let mut state = 11u64;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        const WORDS: [&str; 6] = ["u", "v", "w", "x", "y", "z"];
        for _ in 0..400 {
            let mut pages: Vec<(u32, &str, &str, &str)> =
                (0..12).map(|_| (next(3) as u32, WORDS[next(6) as usize], WORDS[next(6) as usize], "")).collect();
            pages.sort_by_key(|page| page.0);
            let mut winners: Vec<&str> = Vec::new();
            let mut taken: Vec<&str> = Vec::new();
            for file in 0..3 {
                let mut digests: Vec<(&str, &str)> = Vec::new();
                for (_, url, digest, _) in pages.iter().filter(|page| page.0 == file) {
                    match digests.iter_mut().find(|(known, _)| known == url) {
                        Some((_, last)) => *last = digest,
                        None => digests.push((url, digest)),
                    }
                }
                for (url, digest) in digests {
                    if !taken.contains(&digest) {
                        taken.push(digest);
                        winners.push(url);
                    }
                }
            }
            let expected: Vec<usize> = (0..pages.len()).filter(|page| !winners.contains(&pages[*page].1)).collect();
            let found = gone(By::WinningUrl, &pages);
            assert_eq!(found.iter().map(|(gone, _)| *gone).collect::<Vec<_>>(), expected, "{pages:?}");
            assert!(found.iter().all(|(_, kept)| winners.contains(&pages[*kept].1)), "{pages:?}: {found:?}");
        }
    }

    #[test]
    fn times_compare_as_numbers() {
        let times = ["", "2019-12-31T23:59:59Z", "2020-01-01T00:00:00Z", "20200101000001", "2020-02-01T00:00:00Z"];
        for pair in times.windows(2) {
            assert!(seconds(pair[0]) < seconds(pair[1]), "{pair:?}");
        }
    }
}
