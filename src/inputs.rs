//! What a run is made from: the raw files and models that a pipeline names, found on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::RawFile;
use corpus::catalog::{ModelEntry, TokenizerEntry};
use corpus::remote::Address;
use serde_saphyr::Spanned;
use stages::{Models, Variable};

use crate::failure::{Failure, Result};
use crate::pipeline::{self, Read};
use crate::{fetch, manifest};

pub mod addressed;
mod lists;

/// Finds the raw files of every slice: from `--input`, the pipeline, or the folder that the
/// manifest names. They may not lie where the output goes.
pub fn find_raw_files(read: &Read, input: &[String], out: &Path) -> Result<Vec<Vec<RawFile>>> {
    let out = real(out)?;
    if !input.is_empty() && read.pipeline.slices.0.len() > 1 {
        let names: Vec<&str> = read.pipeline.slices.0.iter().map(|(name, _)| *name).collect();
        return Err(Failure::usage(format!("--input, but the pipeline has the slices {}", names.join(", ")))
            .hint("say which one with --slice"));
    }
    let mut all = Vec::new();
    for (name, slice) in &read.pipeline.slices.0 {
        let manifest = manifest::read(name)?;
        let (given, folder): (Vec<String>, PathBuf) = if !input.is_empty() {
            (input.to_vec(), PathBuf::new())
        } else if !slice.input.is_empty() {
            let Some(folder) = &read.folder else {
                return Err(Failure::configuration(format!(
                    "`{}` is built in, and its inputs lie beside it in a checkout of the project",
                    read.file
                ))
                .hint("run it in a checkout by its path, or give your own files with --input"));
            };
            (slice.input.clone(), folder.clone())
        } else {
            (manifest.inputs.clone(), manifest::raw_folder(name))
        };
        let mut paths = Vec::new();
        let (addresses, given): (Vec<String>, Vec<String>) = given.into_iter().partition(|one| Address::is_one(one));
        for pattern in &given {
            let found = expand(&folder, pattern)?;
            let from_manifest = input.is_empty() && slice.input.is_empty();
            if found.is_empty() && !from_manifest {
                let shown = folder.join(pattern);
                return Err(Failure::configuration(format!("no file matches {}", shown.display()))
                    .hint("check the pattern; it needs quotes in most shells"));
            }
            paths.extend(found);
        }
        if paths.is_empty() && addresses.is_empty() {
            return Err(Failure::configuration(format!(
                "no raw files for slice {name}: nothing in {} matches {}",
                folder.display(),
                manifest.inputs.join(", ")
            ))
            .hint(match manifest.downloads.is_empty() {
                false => format!(
                    "`redpajama fetch --slice {name}` brings them there (--plan says how much that is); or give others \
                     with --input"
                ),
                true => format!(
                    "give some with --input, or put them there (or where $REDPAJAMA_RAW points): \
                     `redpajama sources {name}` says where they come from"
                ),
            }));
        }
        let paths = paths.iter().map(|path| whole(path)).collect::<Result<Vec<PathBuf>>>()?;
        let among = |path: &&PathBuf| path.is_dir() && path.canonicalize().is_ok_and(|path| out.starts_with(path));
        if let Some(inside) = paths.iter().find(among) {
            let message = format!("the output {} would lie among the input {}", out.display(), inside.display());
            return Err(Failure::configuration(message).hint("give another folder with --output"));
        }
        let base = common_base(&paths);
        let source = slice.source.build();
        let mut files: Vec<RawFile> = Vec::new();
        for path in &paths {
            files.extend(source.find(path, &base)?);
        }
        if !addresses.is_empty() {
            files.extend(addressed::raw_files(name, &addresses)?);
        }
        let files = source.choose(files)?;
        let mut names: BTreeMap<&str, &Path> = BTreeMap::new();
        for file in &files {
            if names.insert(&file.name, &file.path).is_some() {
                return Err(Failure::usage(format!("{} is given twice: {}", file.name, file.path.display()))
                    .hint("name each file once; a folder and a file in it are the same file twice"));
            }
        }
        if files.is_empty() {
            return Err(Failure::configuration(format!("no raw files for slice {name} in {}", given.join(", ")))
                .hint(format!("`redpajama sources {name}` tells which formats it reads")));
        }
        all.push(files);
    }
    Ok(all)
}

/// The paths that a user means, in sorted order if it is a pattern.
pub fn expand(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let path = folder.join(pattern);
    // A file whose very name has brackets is meant as it is.
    if path.exists() || !pattern.contains(['*', '?', '[']) {
        return match path.exists() {
            true => Ok(vec![path]),
            false => Err(Failure::configuration(format!("no such file or folder: {}", path.display()))
                .hint("check the path; a pattern such as 'raw/*.json.gz' needs quotes in most shells")),
        };
    }
    let shown = path.to_string_lossy().into_owned();
    let matches = glob::glob(&shown).map_err(|error| Failure::usage(format!("`{shown}` is no pattern: {error}")))?;
    let mut paths = Vec::new();
    for found in matches {
        paths.push(found.map_err(|error| Failure::io("cannot read", error.path().to_path_buf())(error.into()))?);
    }
    paths.sort();
    Ok(paths)
}

/// The same path, however it was typed: names of raw files must not depend on that. A link keeps
/// its own name.
pub fn whole(path: &Path) -> Result<PathBuf> {
    let resolve = |path: &Path| path.canonicalize().map_err(Failure::io("cannot find", path));
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !path.ends_with("..") => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Ok(resolve(parent)?.join(name))
        }
        _ => resolve(path),
    }
}

/// Where a path really lies, though it or its folders may not exist yet.
fn real(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(Failure::io("cannot find", path))?;
    for there in path.ancestors() {
        if let Ok(real) = there.canonicalize() {
            return Ok(real.join(path.strip_prefix(there).unwrap_or(Path::new(""))));
        }
    }
    Ok(path)
}

/// The folder that names of raw files are relative to, so that they do not depend on where the
/// corpus lies: the folder that was given, or that all given paths lie in.
pub fn common_base(paths: &[PathBuf]) -> PathBuf {
    let mut base: Option<PathBuf> = None;
    for path in paths {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        base = Some(match base {
            None => folder.to_path_buf(),
            Some(base) => base.iter().zip(folder.iter()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }
    base.unwrap_or_default()
}

/// The models that a pipeline names, ready to use, with what the catalog says of them.
#[derive(Default)]
pub struct LoadedModels {
    /// The models themselves.
    pub models: Models,
    /// The tokenizer.
    pub tokenizer: Option<TokenizerEntry>,
    /// Where the tokenizer lies.
    pub tokenizer_path: Option<PathBuf>,
    /// The others, by the pipeline's variable.
    pub entries: BTreeMap<String, ModelEntry>,
}

/// Loads the models that a pipeline names, as far as its stages use them.
pub fn load_models(read: &Read) -> Result<LoadedModels> {
    let mut loaded = LoadedModels::default();
    for variable in Variable::ALL {
        if !read.uses(variable) {
            continue;
        }
        let Some(named) = read.model(variable) else { continue };
        if lists::load(read, variable, named, &mut loaded)? {
            continue;
        }
        let (name, path) = locate(read, variable, named)?;
        let wrong = |words: String| Failure::configuration(words).at(read.place(named));
        match variable {
            Variable::Tokenizer => {
                let tokenizer = stages::tokenizer::load(&path, None).map_err(|error| wrong(error.to_string()))?;
                loaded.tokenizer = Some(TokenizerEntry {
                    name,
                    digest: tokenizer.digest(),
                    vocab_size: tokenizer.vocab_size(),
                    end_of_document: tokenizer.end_of_document(),
                });
                loaded.models.tokenizer = Some(tokenizer);
                loaded.tokenizer_path = Some(path);
            }
            Variable::LanguageModel => {
                let model = stages::fasttext::load(&path).map_err(|error| wrong(error.to_string()))?;
                loaded.entries.insert(variable.name().to_owned(), ModelEntry { name, digest: model.digest() });
                loaded.models.language = Some(Arc::new(model));
            }
            Variable::QualityModel => {
                let model = stages::fasttext::load(&path).map_err(|error| wrong(error.to_string()))?;
                loaded.entries.insert(variable.name().to_owned(), ModelEntry { name, digest: model.digest() });
                loaded.models.quality = Some(Arc::new(model));
            }
            Variable::PalmModel | Variable::WikipediaModel => {
                let model = stages::fasttext::load(&path).map_err(|error| wrong(error.to_string()))?;
                loaded.entries.insert(variable.name().to_owned(), ModelEntry { name, digest: model.digest() });
                match variable {
                    Variable::PalmModel => loaded.models.signals.palm = Some(Arc::new(model)),
                    _ => loaded.models.signals.wikipedia = Some(Arc::new(model)),
                }
            }
            // Read above, as they may be several files.
            Variable::BadWords | Variable::BlockedDomains | Variable::ImportanceCounts => {}
            Variable::PerplexityModel => {
                let models = stages::perplexity::load(&path).map_err(|error| wrong(error.to_string()))?;
                loaded.entries.insert(variable.name().to_owned(), ModelEntry { name, digest: models.digest() });
                loaded.models.perplexity = Some(Arc::new(models));
            }
        }
    }
    if let Some(model) = &loaded.models.quality {
        read.check_quality(model)?;
    }
    Ok(loaded)
}

/// The name of a model and its file: in the folder of models, or where the pipeline says.
fn locate(read: &Read, variable: Variable, named: &Spanned<String>) -> Result<(String, PathBuf)> {
    if Address::is_one(&named.value) {
        let address = named.value.parse::<Address>().map_err(Failure::from);
        let brought = address.and_then(|address| Ok((address.to_string(), fetch::models::bring_address(&address)?)));
        return brought.map_err(|failure| failure.at(read.place(named)));
    }
    let known = pipeline::models()?;
    let entry = known.get(&named.value);
    if let Some(entry) = entry.filter(|entry| entry.kind != variable.name()) {
        let message = format!("`{}` is a {}, not a {}", named.value, entry.kind, variable.name());
        return Err(Failure::configuration(message).at(read.place(named)));
    }
    let (name, path) = match entry {
        Some(entry) => (named.value.clone(), manifest::models_folder().join(&entry.file)),
        None => {
            let path = match &read.folder {
                Some(folder) => folder.join(&named.value),
                None => PathBuf::from(&named.value),
            };
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            (name, path)
        }
    };
    // Models by language lie in a folder together.
    let is_here = path.is_file() || variable == Variable::PerplexityModel && path.is_dir();
    let companion = entry.and_then(|entry| known.get(entry.with.as_ref()?));
    let companion_is_here = companion.is_none_or(|companion| manifest::models_folder().join(&companion.file).is_file());
    if is_here && companion_is_here {
        return Ok((name, path));
    }
    let what = match variable {
        Variable::Tokenizer => "a `tokenizer.json`",
        Variable::LanguageModel | Variable::QualityModel => "a fastText model",
        Variable::PalmModel | Variable::WikipediaModel => "a fastText model",
        Variable::BadWords => "a list of words",
        Variable::BlockedDomains => "lists of domains",
        Variable::ImportanceCounts => "a folder of counts",
        Variable::PerplexityModel => "a KenLM model, a folder of them",
    };
    let message = match companion.filter(|_| is_here) {
        Some(companion) => format!("{} has no {} beside it", path.display(), companion.file),
        None => format!("no {} at {}", variable.name(), path.display()),
    };
    let bring = |entry| {
        if !is_here {
            fetch::models::bring(entry)?;
        }
        companion.filter(|_| !companion_is_here).map_or(Ok(()), fetch::models::bring)
    };
    let failure = match entry.map(bring) {
        Some(Ok(())) => return Ok((name, path)),
        Some(Err(failure)) => Failure { message: format!("{message}: {}", failure.message), ..failure },
        None => Failure::configuration(message),
    };
    let of_kind = known.iter().filter(|(_, entry)| entry.kind == variable.name());
    let mut names: Vec<&str> = of_kind.map(|(name, entry)| entry.family.as_deref().unwrap_or(name)).collect();
    names.dedup();
    Err(failure.at(read.place(named)).hint(match entry {
        Some(entry) => format!(
            "`redpajama fetch --model {name}` brings it where there is a network; or put {} there (its origin: {}), or \
             use one at hand: --set {}=FILE",
            entry.file,
            entry.url,
            variable.name()
        ),
        None if names.is_empty() => format!("name {what}, or the address of one"),
        None => format!("name {what}, the address of one, or one of: {}", names.join(", ")),
    }))
}
