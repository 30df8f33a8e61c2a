//! The files that some signals rest on: word lists, lists of domains, counts, classifiers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use corpus::Document;
use corpus::words::Words;

use super::importance::Importance;
use crate::fasttext::Model;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {detail}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

impl FileError {
    pub(super) fn unusable(path: &Path, detail: impl Into<String>) -> FileError {
        FileError::Unusable { path: path.to_owned(), detail: detail.into() }
    }
}

/// Something for one language, or for all where none is named.
pub type ByLanguage<T> = Vec<(Option<String>, Arc<T>)>;

/// The files that are there, read.
#[derive(Clone, Default)]
pub struct Files {
    /// `bad_words`.
    pub bad_words: ByLanguage<BadWords>,
    /// `blocked_domains`.
    pub blocked_domains: Option<Arc<Domains>>,
    /// `palm_model`.
    pub palm: Option<Arc<Model>>,
    /// `wikipedia_model`.
    pub wikipedia: Option<Arc<Model>>,
    /// `quality_model`.
    pub wikiref: Option<Arc<Model>>,
    /// `importance_counts`.
    pub importance: ByLanguage<Importance>,
}

/// What there is for a language: its own, else what is for all.
fn for_language<'f, T>(files: &'f ByLanguage<T>, language: &str) -> Option<&'f T> {
    let own = files.iter().find(|(of, _)| of.as_deref() == Some(language));
    own.or_else(|| files.iter().find(|(of, _)| of.is_none())).map(|(_, file)| &**file)
}

impl Files {
    pub(super) fn bad_words(&self, language: &str) -> Option<&BadWords> {
        for_language(&self.bad_words, language)
    }

    pub(super) fn importance(&self, language: &str) -> Option<&Importance> {
        for_language(&self.importance, language)
    }

    /// Roughly the memory that they take beside `quality_model`, in bytes.
    pub fn footprint(&self) -> u64 {
        let models = [&self.palm, &self.wikipedia];
        let models: usize = models.iter().copied().flatten().map(|model| model.footprint()).sum();
        let domains = self.blocked_domains.as_ref().map_or(0, |domains| domains.categories.len() * 96);
        let importance = self.importance.len() * Importance::BYTES;
        (models + domains + importance) as u64
    }
}

// ---------------------------------------------------------------------------------------------
// Bad words

/// Words and phrases, found among normalized words as they are written: the list of Dirty, Naughty,
/// Obscene, and Otherwise Bad Words, an entry a line.
#[derive(Debug, Default)]
pub struct BadWords {
    /// Entries by their first word, each with how many words it has.
    by_first: HashMap<Box<str>, Vec<Box<str>>>,
}

impl BadWords {
    /// Reads a list: lines are stripped and otherwise taken as they are, so that an entry with a capital
    /// or a sign is never found, as in the original.
    pub fn of(text: &str) -> BadWords {
        let mut list = BadWords::default();
        for entry in text.lines().map(str::trim).filter(|entry| !entry.is_empty()) {
            let first = entry.split(' ').next().unwrap_or(entry);
            let entries = list.by_first.entry(first.into()).or_default();
            // A set has each once.
            if !entries.iter().any(|known| **known == *entry) {
                entries.push(entry.into());
            }
        }
        list
    }

    /// How many n-grams of words are entries.
    pub(super) fn count(&self, words: Words<'_>) -> usize {
        let distinct = words.distinct();
        let text = words.text();
        // Of most texts no word begins an entry.
        let begins: Vec<Option<&Vec<Box<str>>>> =
            distinct.first.iter().map(|at| self.by_first.get(words.get(*at as usize))).collect();
        if begins.iter().all(Option::is_none) {
            return 0;
        }
        let mut count = 0;
        for (number, span) in distinct.numbers.iter().zip(words.spans()) {
            let Some(entries) = begins.get(*number as usize).copied().flatten() else { continue };
            let rest = text.get(span.start as usize..).unwrap_or_default();
            for entry in entries {
                let after = rest.strip_prefix(&**entry);
                count += usize::from(after.is_some_and(|after| after.is_empty() || after.starts_with(' ')));
            }
        }
        count
    }
}

// ---------------------------------------------------------------------------------------------
// Domains

/// The categories of domains, of UT1's lists.
#[derive(Debug, Default)]
pub struct Domains {
    categories: HashMap<Box<str>, u32>,
}

/// UT1's categories that RedPajama-V2 takes, sorted.
pub const CATEGORIES: [&str; 13] = [
    "adult",
    "agressif",
    "agressive",
    "arjel",
    "chat",
    "dating",
    "ddos",
    "filehosting",
    "gambling",
    "mixed_adult",
    "phishing",
    "porn",
    "violence",
];

impl Domains {
    /// Reads the original's `domain_to_category_id.json`.
    pub fn of_json(text: &str) -> Result<Domains, String> {
        let categories: HashMap<Box<str>, u32> = serde_json::from_str(text)
            .map_err(|error| format!("no JSON object of domains with numbers of categories: {error}"))?;
        Ok(Domains { categories })
    }

    /// Takes UT1's own lists: domains, one a line, for each of some categories.
    pub fn of_lists(lists: &[(usize, String)]) -> Domains {
        let mut sets: HashMap<&str, u16> = HashMap::new();
        for (category, text) in lists {
            for domain in text.lines().map(str::trim).filter(|domain| !domain.is_empty()) {
                *sets.entry(domain).or_default() |= 1 << category;
            }
        }
        let categories = sets.into_iter().map(|(domain, set)| (domain.into(), combination(set))).collect();
        Domains { categories }
    }

    /// The number of a document's combination of categories, if its domain is listed: the domain that
    /// cc_net noted, or the place in its address.
    pub(super) fn category(&self, document: &Document) -> Option<u32> {
        let told = document.meta.word("source_domain");
        let domain = match &told {
            Some(told) => told,
            None => netloc(document.meta.url.as_deref()?),
        };
        self.categories.get(domain).copied()
    }
}

/// The number of a set of categories among all sets, smaller ones first and each size in the order of
/// Python's `itertools.combinations`.
fn combination(set: u16) -> u32 {
    static NUMBERS: OnceLock<HashMap<u16, u32>> = OnceLock::new();
    let numbers = NUMBERS.get_or_init(|| {
        let mut sets: Vec<u16> = (1..1 << CATEGORIES.len()).collect();
        // The lowest category leads: among sets of a size the mirrored bits fall.
        sets.sort_by_key(|set| (set.count_ones(), std::cmp::Reverse(set.reverse_bits())));
        sets.into_iter().zip(0..).collect()
    });
    numbers.get(&set).copied().unwrap_or(0)
}

/// What stands between `//` and the next `/`, `?` or `#`, as Python's `urlparse(url).netloc`.
fn netloc(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("//") else { return "" };
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

// ---------------------------------------------------------------------------------------------
// Stop words

/// The stop words of a language.
pub(super) struct StopWords {
    /// Words of up to eight bytes as numbers, and longer ones, each in its own table.
    short: Vec<u64>,
    long: std::collections::HashSet<&'static str>,
}

const SLOTS: usize = 2048;

impl StopWords {
    fn of(text: &'static str) -> StopWords {
        let mut list = StopWords { short: vec![0; SLOTS], long: Default::default() };
        for word in text.split_whitespace() {
            let key = corpus::words::first_bytes(word.as_bytes(), 0, word.len());
            if word.len() > 8 {
                list.long.insert(word);
                continue;
            }
            let mut slot = place(key);
            while list.short[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            list.short[slot] = key;
        }
        list
    }

    /// How many of the words are stop words, as they are written.
    pub(super) fn count(&self, words: Words<'_>) -> usize {
        let bytes = words.text().as_bytes();
        let mut count = 0;
        for span in words.spans() {
            let (start, end) = (span.start as usize, span.end as usize);
            // No stop word begins with a sign.
            if bytes[start] < b'0' {
                continue;
            }
            if end - start > 8 {
                // The longest has 17 bytes.
                count += usize::from(end - start <= 17 && self.long.contains(&words.text()[start..end]));
                continue;
            }
            let key = corpus::words::first_bytes(bytes, start, end);
            let mut slot = place(key);
            while self.short[slot] != 0 {
                if self.short[slot] == key {
                    // A byte of zeros at the end of a word is not told apart, and is in no stop word.
                    count += usize::from(bytes[end - 1] != 0);
                    break;
                }
                slot = (slot + 1) % SLOTS;
            }
        }
        count
    }
}

fn place(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 53) as usize % SLOTS
}

/// The stop words of a language that RedPajama-V2 has. The lists are those of stopwords-json 1.2.0
/// (Apache-2.0), without the entries that no raw word can be.
pub(super) fn stop_words(language: &str) -> Option<&'static StopWords> {
    static LISTS: [(&str, &str, OnceLock<StopWords>); 5] = [
        ("en", include_str!("stop_words/en.txt"), OnceLock::new()),
        ("de", include_str!("stop_words/de.txt"), OnceLock::new()),
        ("es", include_str!("stop_words/es.txt"), OnceLock::new()),
        ("fr", include_str!("stop_words/fr.txt"), OnceLock::new()),
        ("it", include_str!("stop_words/it.txt"), OnceLock::new()),
    ];
    let (_, text, list) = LISTS.iter().find(|(known, ..)| *known == language)?;
    Some(list.get_or_init(|| StopWords::of(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_numbered_as_itertools_combines_them() {
        // The first are single, the next two by two from the first on; all of them come last.
        assert_eq!((combination(1), combination(1 << 12)), (0, 12));
        assert_eq!((combination(0b11), combination(0b101), combination(1 | 1 << 12)), (13, 14, 24));
        assert_eq!((combination(0b110), combination(0x1FFF)), (25, 8190));
        let lists = [(0, "a.example\nb.example\n".to_owned()), (12, " b.example \n".to_owned())];
        let domains = Domains::of_lists(&lists);
        assert_eq!((domains.categories["a.example"], domains.categories["b.example"]), (0, 24));
    }

    #[test]
    fn the_place_in_an_address_is_python_s() {
        for (url, place) in [
            ("http://www.a.example/b", "www.a.example"),
            ("https://u@a.example:8080?b", "u@a.example:8080"),
            ("a.example/b", ""),
            ("//a.example#b", "a.example"),
        ] {
            assert_eq!(netloc(url), place);
        }
    }
}
