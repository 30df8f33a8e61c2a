//! Raw files that are read where their publishers have them, without a copy here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use corpus::RawFile;
use corpus::remote::{self, Address, Found, Listed, Network, Settings};

use crate::failure::{Failure, Result};
use crate::fetch;
use crate::manifest::Form;

/// Connections to one host: each task that reads has one.
const CONNECTIONS: usize = 64;
/// Connections that ask for lengths and etags at once.
const ASKING: usize = 16;
/// A list may have so many bytes.
const LISTING: usize = 64 << 20;

/// The raw files at addresses: single ones, number ranges, what a store has under a folder or a
/// pattern, and Common Crawl's `*.paths.gz`. Each is asked for its length and etag, which pin it.
pub fn raw_files(slice: &str, addresses: &[String]) -> Result<Vec<RawFile>> {
    let stop = Arc::new(AtomicBool::new(false));
    crate::build::watch_interrupts(&stop)?;
    let network = fetch::network(Settings { connections: CONNECTIONS, ..Settings::default() }, &stop)?;
    let mut listed: Vec<Listed> = Vec::new();
    for text in addresses {
        for (text, _) in fetch::filled(text, None)? {
            listed.extend(listed_at(&network, &text)?);
        }
    }
    let found = ask(&network, &listed)?;
    let places: Vec<String> = listed.iter().map(|file| place(&file.address)).collect();
    let base = common_folder(&places);
    let mut files = Vec::with_capacity(listed.len());
    for ((file, found), place) in listed.iter().zip(found).zip(&places) {
        files.push(remote::raw_file(&network, format!("{slice}/{}", &place[base..]).into(), &file.address, &found)?);
    }
    Ok(files)
}

fn listed_at(network: &Arc<Network>, text: &str) -> Result<Vec<Listed>> {
    let address: Address = text.parse()?;
    if address.is_many() {
        let listed = network.list(&address)?;
        if listed.is_empty() {
            let failure = Failure::configuration(format!("no file matches {address}"));
            return Err(failure.hint("check the pattern: `*` does not cross a `/`, `**` does"));
        }
        return Ok(listed);
    }
    let one = |address| Listed { address, bytes: None, etag: None, checks: Vec::new() };
    let path = address.path();
    if !path.ends_with(".paths.gz") && !path.ends_with(".paths") {
        return Ok(vec![one(address)]);
    }
    // Common Crawl's paths begin where its bucket does.
    let shown = address.to_string();
    let root = shown.strip_suffix(address.path().as_str()).map_or_else(|| address.folder(), str::to_owned);
    let listed = fetch::listing::read(Form::Paths, &network.read_whole(&address, LISTING)?, &root)
        .map_err(|detail| Failure::configuration(format!("{address} is no listing as expected: {detail}")))?;
    listed.iter().map(|file| Ok(one(file.address.parse()?))).collect()
}

/// What publishers say of files, several asked at once.
fn ask(network: &Arc<Network>, listed: &[Listed]) -> Result<Vec<Found>> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Option<Result<Found, remote::Error>>>> = Mutex::new(vec![None; listed.len()]);
    std::thread::scope(|scope| {
        for _ in 0..ASKING.min(listed.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = listed.get(at) else { return };
                    let answer = match (file.bytes, &file.etag) {
                        (Some(_), Some(etag)) => Ok(Found {
                            bytes: file.bytes,
                            etag: Some(etag.clone()),
                            validator: Some(etag.clone()),
                            checks: Vec::new(),
                        }),
                        _ => network.find(&file.address),
                    };
                    if answer.is_err() {
                        next.store(listed.len(), Ordering::Relaxed);
                    }
                    found.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(answer);
                }
            });
        }
    });
    let answers = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut all = Vec::with_capacity(answers.len());
    let mut failed = None;
    for answer in answers {
        match answer {
            Some(Ok(found)) => all.push(found),
            Some(Err(error)) => failed = failed.or(Some(error)),
            // Nobody was asked any more, after a failure.
            None => {}
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(all),
    }
}

/// Host or bucket and path, as names are made from them.
fn place(address: &Address) -> String {
    format!("{}/{}", address.host(), address.path())
}

/// The length of the folder that all places lie in, with its slash.
fn common_folder(places: &[String]) -> usize {
    let Some(first) = places.first() else { return 0 };
    let mut common = first.rfind('/').map_or(0, |slash| slash + 1);
    for place in places {
        let same = first.bytes().zip(place.bytes()).take(common).take_while(|(a, b)| a == b).count();
        let folder = |text: &str| text.rfind('/').map_or(0, |slash| slash + 1);
        common = if same < common { first.get(..same).map_or(0, folder) } else { same.min(folder(place)) };
    }
    common
}

#[test]
fn names_begin_below_the_common_folder() {
    let common = |places: &[&str]| {
        let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
        places[0][..common_folder(&places)].to_owned()
    };
    assert_eq!(common(&["h/a/b.gz"]), "h/a/");
    assert_eq!(common(&["h/a/b.gz", "h/a/c.gz"]), "h/a/");
    assert_eq!(common(&["h/a/b.gz", "h/ab/c.gz"]), "h/");
    assert_eq!(common(&["h/a/x/b.gz", "h/a/c.gz"]), "h/a/");
    assert_eq!(common(&["h/a", "i/a"]), "");
}
