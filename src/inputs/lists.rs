//! The lists and counts that `signals` rests on: one file, or one for each language or category.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::Digest;
use corpus::catalog::ModelEntry;
use corpus::remote::Address;
use serde_saphyr::Spanned;
use stages::Variable;
use stages::signals::files::{BadWords, CATEGORIES, Domains};
use stages::signals::importance::Importance;

use super::{LoadedModels, expand, locate};
use crate::failure::{Failure, Result};
use crate::pipeline::{self, Read};
use crate::{fetch, manifest};

/// Lists may have so many bytes when they are unpacked: UT1's longest has a tenth.
const MOST: u64 = 1 << 30;

/// Loads what a variable names, if it names lists or counts.
pub fn load(read: &Read, variable: Variable, named: &Spanned<String>, loaded: &mut LoadedModels) -> Result<bool> {
    let word = match variable {
        Variable::BadWords | Variable::ImportanceCounts => "language",
        Variable::BlockedDomains => "category",
        _ => return Ok(false),
    };
    let wrong = |words: String| Failure::configuration(words).at(read.place(named));
    let found = find(read, variable, named, word)?;
    let mut digests = Vec::new();
    let mut lists = Vec::new();
    for (of, path) in &found {
        let digest = match variable {
            Variable::BadWords => {
                let text = text_of(path)?;
                loaded.models.signals.bad_words.push((of.clone(), Arc::new(BadWords::of(&text))));
                Digest::of(text.as_bytes())
            }
            Variable::ImportanceCounts => {
                let counts = Importance::read(path).map_err(|error| wrong(error.to_string()))?;
                loaded.models.signals.importance.push((of.clone(), Arc::new(counts)));
                digest_of_arrays(path)?
            }
            _ => {
                let text = text_of(path)?;
                let digest = Digest::of(text.as_bytes());
                lists.push((of.clone(), text));
                digest
            }
        };
        digests.push((of.clone(), digest));
    }
    if variable == Variable::BlockedDomains {
        let domains = match &lists[..] {
            [(None, json)] => Domains::of_json(json).map_err(wrong)?,
            _ => {
                let number = |of: &Option<String>| CATEGORIES.iter().position(|known| Some(*known) == of.as_deref());
                let lists: Vec<(usize, String)> =
                    lists.into_iter().filter_map(|(of, text)| Some((number(&of)?, text))).collect();
                Domains::of_lists(&lists)
            }
        };
        loaded.models.signals.blocked_domains = Some(Arc::new(domains));
    }
    let name = named.value.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let digest = Digest::of_value(&digests);
    loaded.entries.insert(variable.name().to_owned(), ModelEntry { name, digest });
    Ok(true)
}

/// What a list is for, if it is not for all, and where it lies.
type Place = (Option<String>, PathBuf);

/// The files that a value means: a family of the manifest, one for each word that stands in the place of
/// `{word}`, a folder of categories, or a single one.
fn find(read: &Read, variable: Variable, named: &Spanned<String>, word: &str) -> Result<Vec<Place>> {
    let value = named.value.as_str();
    let wrong = |words: String| Failure::configuration(words).at(read.place(named));
    let braced = format!("{{{word}}}");
    let known = pipeline::models()?;
    let family: Vec<_> = known.iter().filter(|(_, entry)| entry.family.as_deref() == Some(value)).collect();
    if !family.is_empty() {
        let mut found = Vec::new();
        for (name, entry) in family {
            if entry.kind != variable.name() {
                return Err(wrong(format!("`{value}` is a {}, not a {}", entry.kind, variable.name())));
            }
            let path = manifest::models_folder().join(&entry.file);
            if !path.is_file() {
                fetch::models::bring(entry).map_err(|failure| failure.at(read.place(named)))?;
            }
            found.push((between(name, value, &braced), path));
        }
        return Ok(found);
    }
    if Address::is_one(value) || known.contains_key(value) {
        return Ok(vec![(None, locate(read, variable, named)?.1)]);
    }
    let folder = read.folder.clone().unwrap_or_default();
    let path = folder.join(value);
    let pattern = match (variable, value.contains(&braced), path.is_dir()) {
        (_, true, _) => path.to_string_lossy().into_owned(),
        (Variable::BlockedDomains, _, true) => path.join(&braced).join("domains").to_string_lossy().into_owned(),
        (Variable::ImportanceCounts, _, true) => return Ok(vec![(None, path)]),
        _ => return Ok(vec![(None, locate(read, variable, named)?.1)]),
    };
    let found = expand(Path::new(""), &pattern.replace(&braced, "*"))?;
    let of = |path: &PathBuf| between(&path.to_string_lossy(), &pattern, &braced);
    let mut found: Vec<Place> = found.into_iter().map(|path| (of(&path), path)).collect();
    if variable == Variable::BlockedDomains {
        found.retain(|(of, _)| of.as_deref().is_some_and(|of| CATEGORIES.contains(&of)));
    }
    match found.is_empty() {
        true => Err(wrong(format!("no {} at {pattern}", variable.name()))
            .hint(format!("name a file, or put `{braced}` where the {word} stands in its path"))),
        false => Ok(found),
    }
}

/// What stands in a text where a pattern has its word.
fn between(text: &str, pattern: &str, braced: &str) -> Option<String> {
    let (before, after) = pattern.split_once(braced)?;
    let after = after.split(braced).next().unwrap_or(after);
    let rest = text.strip_prefix(before)?;
    let end = if after.is_empty() { rest.len() } else { rest.find(after)? };
    Some(rest[..end].to_owned())
}

/// The text of a list; of an archive that of its file `domains`.
fn text_of(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Failure::io("cannot read", path))?;
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let failed = || Failure::io("cannot read", path);
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&bytes[..]).take(MOST));
    for member in archive.entries().map_err(failed())? {
        let mut member = member.map_err(failed())?;
        if member.path().is_ok_and(|path| path.file_name().is_some_and(|name| name == "domains")) {
            let mut list = Vec::new();
            member.read_to_end(&mut list).map_err(failed())?;
            return Ok(String::from_utf8_lossy(&list).into_owned());
        }
    }
    Err(Failure::configuration(format!("{} has no file `domains`", path.display())))
}

/// The digest of a folder's arrays, by their names.
fn digest_of_arrays(folder: &Path) -> Result<Digest> {
    let mut digests = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Failure::io("cannot read", folder))? {
        let path = entry.map_err(Failure::io("cannot read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".npy") {
            let bytes = std::fs::read(&path).map_err(Failure::io("cannot read", &path))?;
            digests.push((name, Digest::of(&bytes)));
        }
    }
    digests.sort();
    Ok(Digest::of_value(&digests))
}

#[test]
fn a_word_is_found_in_its_place() {
    let found = |text, pattern| between(text, pattern, "{language}");
    assert_eq!(found("lists/en.txt", "lists/{language}.txt").as_deref(), Some("en"));
    assert_eq!(found("ldnoobw-de", "ldnoobw-{language}").as_deref(), Some("de"));
    assert_eq!(found("dsir/fr/x", "dsir/{language}/x").as_deref(), Some("fr"));
    assert_eq!(found("other/en.txt", "lists/{language}.txt"), None);
}
