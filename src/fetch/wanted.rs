//! What a manifest names, file by file: numbers, words, patterns and listings are expanded.

use std::sync::Arc;

use corpus::remote::{Address, Check, Kind, Network, name_of, numbers};

use super::listing;
use crate::failure::{Failure, Result};
use crate::manifest::{Download, Manifest, Price, combinations, fill};

/// One file that is to be brought.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name below the folder that it goes to.
    pub name: String,
    /// Where it lies.
    pub address: Address,
    /// Its length, where the manifest or a listing tells.
    pub bytes: Option<u64>,
    /// Its digests, where the manifest or a listing tells.
    pub checks: Vec<Check>,
    /// What its reader pays.
    pub price: Option<Price>,
    /// Under which licence it is.
    pub license: String,
}

/// A listing may have so many bytes.
const LISTING: usize = 64 << 20;

impl Wanted {
    /// Whether its name, or the last part of it, matches a pattern.
    pub fn matches(&self, pattern: &glob::Pattern) -> bool {
        pattern.matches(&self.name) || pattern.matches(name_of(&self.name))
    }
}

/// All files that a manifest names, in its order.
pub fn of_manifest(network: &Arc<Network>, manifest: &Manifest) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for download in &manifest.downloads {
        for words in combinations(&download.each) {
            let mut wanted = of_download(network, download, &words)?;
            for one in &mut wanted {
                one.license = download.license.as_ref().unwrap_or(&manifest.license).clone();
            }
            all.extend(wanted);
        }
    }
    Ok(all)
}

fn of_download(network: &Arc<Network>, download: &Download, words: &[(&str, &str)]) -> Result<Vec<Wanted>> {
    let checks: Vec<Check> = match &download.sha256 {
        None => Vec::new(),
        Some(digits) => vec![Check::new(Kind::Sha256, digits).ok_or_else(|| {
            Failure::configuration(format!("the manifest's SHA-256 of {} has not 64 digits", download.address()))
        })?],
    };
    let one = |address: Address, bytes: Option<u64>, checks: Vec<Check>, words: &[(&str, &str)]| -> Result<Wanted> {
        let path = address.path();
        let name = match &download.file {
            None => name_of(&path).to_owned(),
            Some(file) => fill(file, &[words, &[("name", name_of(&path)), ("path", &path)]].concat()),
        };
        let (name, price) = (safe(&name, &address)?, download.requester_pays.clone());
        Ok(Wanted { name, address, bytes, checks, price, license: String::new() })
    };
    let mut all = Vec::new();
    if let Some(listing) = &download.listing {
        let address: Address = fill(listing, words).parse()?;
        let contents = network.read_whole(&address, LISTING)?;
        let prefix = download.prefix.as_ref().map_or_else(|| address.folder(), |prefix| fill(prefix, words));
        let listed = listing::read(download.form, &contents, &prefix)
            .map_err(|detail| Failure::configuration(format!("{address} is no listing as expected: {detail}")))?;
        for file in listed {
            all.push(one(file.address.parse()?, file.bytes, file.checks, words)?);
        }
        let patterns: Vec<glob::Pattern> = download
            .only
            .iter()
            .map(|pattern| glob::Pattern::new(&fill(pattern, words)))
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::configuration(format!("`only` of {address}: {error}")))?;
        all.retain(|wanted| patterns.is_empty() || patterns.iter().any(|pattern| wanted.matches(pattern)));
        return Ok(all);
    }
    for (text, number) in filled(&fill(download.address(), words), download.range)? {
        let address: Address = text.parse()?;
        let number = number.map(|number| number.to_string());
        let mut words = words.to_vec();
        words.extend(number.as_deref().map(|number| ("n", number)));
        if !address.is_many() {
            all.push(one(address, download.bytes, checks.clone(), &words)?);
            continue;
        }
        for file in network.list(&address)? {
            all.push(one(file.address, file.bytes, file.checks, &words)?);
        }
    }
    Ok(all)
}

/// All addresses that the number ranges of one stand for; `{n}` and `{n:05}` count through `range`.
pub fn filled(text: &str, range: Option<(u64, u64)>) -> Result<Vec<(String, Option<u64>)>> {
    let Some((first, last)) = range else {
        return Ok(numbers(text)?.into_iter().map(|text| (text, None)).collect());
    };
    let mut all = Vec::new();
    for number in first..=last {
        let mut filled = text.replace("{n}", &number.to_string());
        for width in 1..=9usize {
            filled = filled.replace(&format!("{{n:0{width}}}"), &format!("{number:0width$}"));
        }
        all.extend(numbers(&filled)?.into_iter().map(|text| (text, Some(number))));
    }
    Ok(all)
}

/// A name that stays in its folder, whatever a publisher's listing says.
fn safe(name: &str, address: &Address) -> Result<String> {
    let parts: Vec<&str> = name.split('/').collect();
    // A file system takes 255 bytes, and a part's name is a little longer than the file's.
    let fine =
        |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']) && part.len() <= 235;
    if parts.iter().all(fine) && name.len() < 1024 {
        return Ok(name.to_owned());
    }
    Err(Failure::configuration(format!("{address} has no name that a file can have here: `{name}`"))
        .hint("give it a `file` in the manifest"))
}

#[test]
fn numbers_are_filled_in() {
    let texts =
        |text: &str, range| -> Vec<String> { filled(text, range).unwrap().into_iter().map(|(text, _)| text).collect() };
    assert_eq!(texts("a{n:05}-{n}", Some((8, 10))), ["a00008-8", "a00009-9", "a00010-10"]);
    assert_eq!(texts("a{08..10}", None), ["a08", "a09", "a10"]);
    assert_eq!(texts("a", None), ["a"]);
}

#[test]
fn names_stay_in_their_folder() {
    let address: Address = "https://a.example/b".parse().unwrap();
    for (name, fine) in
        [("a", true), ("a/b.gz", true), ("../a", false), ("/a", false), ("a//b", false), ("", false), (".x", false)]
    {
        assert_eq!(safe(name, &address).is_ok(), fine, "{name}");
    }
}

/// What `fetch` brings lies where `build` looks for it.
#[test]
fn every_manifest_names_what_it_reads() {
    let network = Network::new(Default::default()).unwrap();
    for told in sources::told() {
        let mut manifest = crate::manifest::read(told.name).unwrap();
        // Listings and patterns are expanded by those who have them.
        let alone = |download: &Download| download.listing.is_none() && !download.address().contains('*');
        manifest.downloads.retain(alone);
        let wanted =
            of_manifest(&network, &manifest).unwrap_or_else(|failure| panic!("{}: {}", told.name, failure.message));
        for one in wanted {
            let found = manifest.inputs.iter().any(|input| {
                let folder = input.trim_end_matches('/');
                let below = one.name.strip_prefix(folder).is_some_and(|below| below.starts_with('/'));
                below || glob::Pattern::new(input).unwrap().matches(&one.name)
            });
            // An index is read beside its dump.
            assert!(
                found || one.name.contains("-index"),
                "{} would be fetched and not be read: {}",
                one.name,
                manifest.inputs.join(", ")
            );
        }
    }
}
