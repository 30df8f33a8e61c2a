//! Models: by name from `manifests/models.yaml`, or by address; brought when they are first used.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use corpus::remote::{Address, Check, Kind, Settings};

use super::{Order, Wanted, transfer};
use crate::failure::{Failure, Result};
use crate::pipeline::{self, ModelEntry};
use crate::{manifest, report};

/// The names of models, families once.
pub fn names() -> Result<Vec<String>> {
    let mut names: Vec<String> =
        pipeline::models()?.into_iter().map(|(name, model)| model.family.unwrap_or(name)).collect();
    names.dedup();
    Ok(names)
}

/// The files of a model that is named on the command line; a family's name (`cc-net-{language}.sp`)
/// or a pattern (`cc-net-en.*`) names several.
pub fn wanted(name: &str) -> Result<Vec<Wanted>> {
    let models = pipeline::models()?;
    let pattern = glob::Pattern::new(name).ok();
    let mut all = Vec::new();
    for (known, model) in &models {
        let matched = pattern.as_ref().is_some_and(|pattern| pattern.matches(known));
        if known == name || model.family.as_deref() == Some(name) || matched {
            for model in [Some(model), model.with.as_ref().and_then(|with| models.get(with))].into_iter().flatten() {
                let wanted = of_entry(model)?;
                if all.iter().all(|known: &Wanted| known.name != wanted.name) {
                    all.push(wanted);
                }
            }
        }
    }
    if all.is_empty() {
        let names = names()?;
        let known: Vec<&str> = models.keys().map(String::as_str).collect();
        return Err(Failure::usage(format!("unknown model `{name}`")).hint(match pipeline::closest(name, &known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("known are: {}", names.join(", ")),
        }));
    }
    Ok(all)
}

fn of_entry(model: &ModelEntry) -> Result<Wanted> {
    let checks = model.sha256.as_ref().and_then(|digits| Check::new(Kind::Sha256, digits)).into_iter().collect();
    let address = model.url.parse()?;
    let (name, license) = (model.file.clone(), model.license.clone());
    Ok(Wanted { name, address, bytes: model.bytes, checks, price: None, license })
}

/// Where the model that a pipeline names by address lies, once it is fetched.
pub fn path_of(address: &Address) -> PathBuf {
    // Two models may well have files of one name.
    let shown = address.to_string();
    let below = shown.split_once("://").map_or(shown.as_str(), |(_, below)| below);
    let parts = below.split('/').filter(|part| !part.is_empty() && *part != ".." && *part != ".");
    manifest::models_folder().join("fetched").join(parts.collect::<PathBuf>())
}

/// Brings a model that a pipeline names and that is not here, unless `REDPAJAMA_OFFLINE` is set.
pub fn bring(model: &ModelEntry) -> Result<()> {
    bring_into(&manifest::models_folder(), of_entry(model)?)
}

/// Brings a model that a pipeline names by its address.
pub fn bring_address(address: &Address) -> Result<PathBuf> {
    let path = path_of(address);
    if !path.is_file() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (address, license) = (address.clone(), "as its publisher says".to_owned());
        let wanted = Wanted { name, address, bytes: None, checks: Vec::new(), price: None, license };
        bring_into(path.parent().unwrap_or(Path::new(".")), wanted)?;
    }
    Ok(path)
}

fn bring_into(folder: &Path, wanted: Wanted) -> Result<()> {
    if offline() {
        return Err(Failure::configuration("REDPAJAMA_OFFLINE is set, so that nothing is fetched"));
    }
    report::say(&format!("fetching {}", wanted.address));
    let stop = Arc::new(AtomicBool::new(false));
    crate::build::watch_interrupts(&stop)?;
    // Who waits for a build wants to know soon that there is no network.
    let network = super::network(Settings { attempts: 4, ..Settings::default() }, &stop)?;
    let order = Order { name: "models".to_owned(), folder: folder.to_path_buf(), wanted: vec![wanted] };
    let how = transfer::How { network: &network, stop: &stop, update: false, check: false };
    transfer::bring_all(&how, &order).map(|_| ())
}

/// Whether this machine is to be taken for one without a network.
pub fn offline() -> bool {
    std::env::var_os("REDPAJAMA_OFFLINE").is_some_and(|set| !set.is_empty() && set != "0")
}
