//! What a run is made of, by name: so that a run that may not go on from a checkpoint says which of it
//! has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use corpus::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::Data;
use crate::failure::{Code, Failure, Result};
use crate::spec::RunPlan;

pub mod seen;

/// How many differences are told; whoever changed more knows of them.
const TOLD: usize = 8;

/// What a run is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Of `must` alone.
    config: Digest,
    /// Keys of the configuration that must stay: the model, and what decides which tokens a step has.
    must: BTreeMap<String, String>,
    /// Keys that may change while a run stands still.
    may: BTreeMap<String, String>,
    /// The catalogs of runs that are read.
    catalogs: Vec<CatalogOf>,
    /// Shards that no catalog names, by their slice.
    shards: BTreeMap<String, Loose>,
    /// Those that one names, which has a digest of all their bytes: this is what is looked at when a run goes on.
    /// Checkpoints did not always say it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    listed: BTreeMap<String, Loose>,
    /// Where the first weights came from. Checkpoints did not always say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<StartOf>,
    /// The tokenizer of the catalogs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokenizer: Option<TokenizerOf>,
    /// What checkpoints of format 1 said instead of all this.
    #[serde(skip)]
    former: Option<Digest>,
}

/// A catalog: where it lies is told, and may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogOf {
    /// The name of its pipeline.
    pub name: String,
    /// What the configuration calls it, if it does: its slices are named, and so ordered, by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// The folder of its run.
    pub path: PathBuf,
    /// What it says of itself.
    pub digest: Digest,
}

impl CatalogOf {
    /// What must be the same in the run that goes on.
    fn key(&self) -> Digest {
        match &self.called {
            None => self.digest,
            Some(called) => Digest::of_value(&(called, self.digest)),
        }
    }
}

/// A shard that no catalog names: where it lies is told, and may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardOf {
    /// Its token file.
    pub path: PathBuf,
    /// Of its index.
    pub index: Digest,
    /// Of samples of its tokens ([`Digest::sampled`]): a run that goes on reads no shard from end to end.
    pub tokens: Digest,
    /// Of samples of its mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Digest>,
}

/// Where the first weights came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StartOf {
    /// They were drawn.
    Drawn,
    /// From a folder, with a digest of samples of its files of weights while it is there.
    Folder(PathBuf, Option<Digest>),
}

impl StartOf {
    fn of(folder: Option<&Path>) -> StartOf {
        let Some(folder) = folder else { return StartOf::Drawn };
        // A run that goes on needs it no more: it may be gone.
        let digest = || -> Option<Digest> {
            let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
            let mut files: Vec<PathBuf> = entries
                .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
                .filter(|path| path.file_stem().is_some_and(|stem| stem != "moments"))
                .collect();
            files.sort_unstable();
            let all: Vec<Digest> = files.iter().map(|path| Digest::sampled(path).ok()).collect::<Option<_>>()?;
            (!all.is_empty()).then(|| Digest::of_value(&all))
        };
        StartOf::Folder(folder.to_path_buf(), digest())
    }

    /// How it differs from what it was, if it is known to.
    fn difference(&self, was: &StartOf) -> Option<String> {
        let said = |start: &StartOf| match start {
            StartOf::Drawn => "not set".to_owned(),
            StartOf::Folder(path, _) => path.display().to_string(),
        };
        match (was, self) {
            (StartOf::Drawn, StartOf::Drawn) => None,
            (StartOf::Folder(_, before), StartOf::Folder(path, now)) => {
                let (before, now) = ((*before)?, (*now)?);
                let (path, old, new) = (path.display(), before.short(), now.short());
                (before != now).then(|| format!("the digest of `start`'s weights, in {path}, was {old}, is {new}"))
            }
            _ => Some(format!("`start` was {}, is {}", said(was), said(self))),
        }
    }
}

/// What is known of a slice's shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Loose {
    /// In checkpoints of format 2: of their indexes, and which of them have masks.
    Indexes(Digest),
    /// Each of them, in their order.
    Known(Vec<ShardOf>),
}

impl Loose {
    /// All that is known.
    fn digest(&self) -> Digest {
        match self {
            Loose::Indexes(digest) => *digest,
            Loose::Known(shards) => {
                let known = |shard: &ShardOf| (shard.index, shard.tokens, shard.mask);
                Digest::of_value(&shards.iter().map(known).collect::<Vec<_>>())
            }
        }
    }

    /// What checkpoints of format 2 know.
    fn indexes(&self) -> Digest {
        match self {
            Loose::Indexes(digest) => *digest,
            Loose::Known(shards) => {
                let known = |shard: &ShardOf| (shard.index, shard.mask.is_some());
                Digest::of_value(&shards.iter().map(known).collect::<Vec<_>>())
            }
        }
    }

    /// What of them, those of slice `name`, has changed.
    fn differences(&self, was: &Loose, name: &str) -> Vec<String> {
        let (own, old) = match (self, was) {
            (Loose::Known(own), Loose::Known(old)) => (own, old),
            _ if self.indexes() == was.indexes() => return Vec::new(),
            _ => {
                let (before, now) = (was.indexes().short(), self.indexes().short());
                return vec![format!("shards of `{name}`: the digest of their indexes was {before}, is {now}")];
            }
        };
        if own.len() != old.len() {
            return vec![format!("slice `{name}` had {} shards, has {}", old.len(), own.len())];
        }
        let mut all = Vec::new();
        for (own, old) in own.iter().zip(old) {
            let parts = [
                ("index", Some(old.index), Some(own.index)),
                ("tokens", Some(old.tokens), Some(own.tokens)),
                ("mask", old.mask, own.mask),
            ];
            // Where the index is another, so is all that it speaks of.
            if let Some((part, before, now)) = parts.into_iter().find(|(_, before, now)| before != now) {
                let said = |digest: Option<Digest>| digest.map_or("none".to_owned(), |digest| digest.short());
                let (path, before, now) = (own.path.display(), said(before), said(now));
                all.push(format!("shard {path} of `{name}`: the digest of its {part} was {before}, is {now}"));
            }
        }
        all
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TokenizerOf {
    name: String,
    digest: Digest,
}

impl Origin {
    /// What a run is made of.
    pub fn of(plan: &RunPlan, data: &Data) -> Result<Origin> {
        let spec = &plan.spec;
        let must = flat(&json!({
            "model": written(&spec.model.config)?,
            "sequence": plan.time,
            "batch": plan.batch,
            "seed": spec.seed,
            "data": {
                "mixture": written(&spec.data.mixture)?,
                "epochs": written(&spec.data.epochs)?,
                "validation": spec.data.validation,
                "documents": spec.data.documents,
            },
        }));
        let mut may = flat(&json!({
            "micro": plan.micro,
            "steps": plan.steps,
            "precision": spec.precision.name(),
            "scaling": written(&spec.scaling)?,
            "optimizer": written(&spec.optimizer)?,
            "schedule": written(&spec.schedule)?,
            "guard": written(&spec.guard)?,
        }));
        may.insert("optimizer.rate".to_owned(), Value::from(plan.rate).to_string());
        let tokenizer =
            data.tokenizer.as_ref().map(|entry| TokenizerOf { name: entry.name.clone(), digest: entry.digest });
        let (mut shards, mut listed) = (BTreeMap::new(), BTreeMap::new());
        for slice in &data.slices {
            let to = if spec.data.shards.contains_key(&slice.name) { &mut shards } else { &mut listed };
            to.insert(slice.name.clone(), Loose::Known(slice.known()?));
        }
        Ok(Origin {
            config: Digest::of_value(&must),
            must,
            may,
            catalogs: data.catalogs.clone(),
            shards,
            listed,
            start: Some(StartOf::of(spec.start.as_deref())),
            tokenizer,
            former: Some(Digest::of_value(&(data.former, &spec.model.config, plan.batch, spec.data.documents))),
        })
    }

    /// The digest of all that must be the same in the run that goes on.
    pub fn digest(&self) -> Digest {
        self.digest_with(&Loose::digest)
    }

    fn digest_with(&self, of: &dyn Fn(&Loose) -> Digest) -> Digest {
        let mut catalogs: Vec<Digest> = self.catalogs.iter().map(CatalogOf::key).collect();
        catalogs.sort_unstable();
        let shards: BTreeMap<&String, Digest> = self.shards.iter().map(|(name, shards)| (name, of(shards))).collect();
        Digest::of_value(&(&self.must, catalogs, shards, self.tokenizer.as_ref().map(|own| own.digest)))
    }

    /// All that processes that share a run must agree on, by name: what the run is made of, and what decides when they
    /// speak to each other. Where they found it is their own affair. `done` is the step of the checkpoint that it
    /// goes on from.
    pub fn said(&self, plan: &RunPlan, done: u64) -> Result<BTreeMap<String, String>> {
        let mut all = flat(&json!({
            "checkpoint": written(&plan.spec.checkpoint)?,
            "eval_every": plan.spec.eval_every,
        }));
        all.extend(self.must.clone());
        all.extend(self.may.clone());
        let mut all: BTreeMap<String, String> =
            all.into_iter().map(|(key, value)| (format!("`{key}`"), value)).collect();
        for catalog in &self.catalogs {
            let called = catalog.called.as_ref().map(|called| format!(", called `{called}`")).unwrap_or_default();
            all.insert(format!("the catalog `{}`{called}", catalog.name), catalog.digest.short());
        }
        for (name, shards) in self.shards.iter().chain(&self.listed) {
            all.insert(format!("what the shards of `{name}` hold"), shards.digest().short());
        }
        if let Some(tokenizer) = &self.tokenizer {
            all.insert("the tokenizer".to_owned(), format!("{} ({})", tokenizer.digest.short(), tokenizer.name));
        }
        // Whoever goes on needs the first weights no more.
        if let (0, Some(StartOf::Folder(_, digest))) = (done, &self.start) {
            let digest = digest.map_or("none".to_owned(), |digest| digest.short());
            all.insert("what the folder of `start` holds".to_owned(), digest);
        }
        all.insert("the step of its checkpoint".to_owned(), done.to_string());
        all.insert("the version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Ok(all)
    }

    /// Refuses a checkpoint that is of another run, and says of what; `was` is nothing for one of format 1.
    pub fn check(&self, was: Option<&Origin>, run: Digest, root: &Path) -> Result<()> {
        let own = match was {
            None => self.former,
            Some(was) if was.shards.values().any(|shards| matches!(shards, Loose::Indexes(_))) => {
                Some(self.digest_with(&Loose::indexes))
            }
            Some(_) => Some(self.digest()),
        };
        let mut all = was.map_or_else(Vec::new, |was| self.differences(was));
        if own == Some(run) && all.is_empty() {
            return Ok(());
        }
        let mut message = format!("the checkpoints in {} are of another run", root.display());
        let more = all.len().saturating_sub(TOLD);
        all.truncate(TOLD);
        if more > 0 {
            all.push(format!("and {more} more"));
        }
        let hint = match all.is_empty() {
            true => "its model, data, mixture, seed, batch or sequence were others: set them back",
            false => {
                message = format!("{message}: {}", all.join("; "));
                if all.len() > 1 { "set them back" } else { "set it back" }
            }
        };
        Err(Failure::configuration(message).hint(format!("{hint}, or give another --output")))
    }

    /// What may not have changed and has.
    fn differences(&self, was: &Origin) -> Vec<String> {
        let mut all = keys(&was.must, &self.must);
        let gone = |from: &[CatalogOf], of: &[CatalogOf]| -> Vec<CatalogOf> {
            of.iter().filter(|one| from.iter().all(|other| other.key() != one.key())).cloned().collect()
        };
        let mut others = gone(&was.catalogs, &self.catalogs);
        for old in gone(&self.catalogs, &was.catalogs) {
            let (name, path) = (&old.name, old.path.display());
            let same = |new: &CatalogOf| new.path == old.path;
            match others.iter().position(same).or_else(|| others.iter().position(|new| new.name == old.name)) {
                Some(at) => {
                    let new = others.remove(at);
                    if new.digest == old.digest {
                        let said = |called: &Option<String>| {
                            called.as_ref().map_or("nothing".to_owned(), |c| format!("`{c}`"))
                        };
                        let (before, now, place) = (said(&old.called), said(&new.called), new.path.display());
                        all.push(format!("catalog `{}` at {place} was called {before}, is called {now}", new.name));
                        continue;
                    }
                    let place = new.path.display();
                    let (before, now) = (old.digest.short(), new.digest.short());
                    all.push(format!("catalog `{}` at {place}: its digest was {before}, is {now}", new.name));
                }
                None => all.push(format!("catalog `{name}` at {path}, {}, is not read any more", old.digest.short())),
            }
        }
        for new in others {
            let (name, path) = (&new.name, new.path.display());
            all.push(format!("catalog `{name}` at {path}, {}, was not read", new.digest.short()));
        }
        let names: BTreeSet<&String> = was.shards.keys().chain(self.shards.keys()).collect();
        for name in names {
            match (was.shards.get(name), self.shards.get(name)) {
                (Some(before), Some(now)) => all.extend(now.differences(before, name)),
                (Some(_), None) => all.push(format!("shards of `{name}` are not read any more")),
                (None, Some(_)) => all.push(format!("shards of `{name}` were not read")),
                (None, None) => {}
            }
        }
        // Of other catalogs, and of slices that were not read, it is said above.
        for (name, now) in &self.listed {
            if let Some(before) = was.listed.get(name).filter(|_| self.catalogs_are(was)) {
                all.extend(now.differences(before, name));
            }
        }
        if let (Some(before), Some(now)) = (&was.start, &self.start) {
            all.extend(now.difference(before));
        }
        let said = |tokenizer: &Option<TokenizerOf>| match tokenizer {
            Some(TokenizerOf { name, digest }) => format!("{} ({name})", digest.short()),
            None => "none".to_owned(),
        };
        if was.tokenizer.as_ref().map(|own| own.digest) != self.tokenizer.as_ref().map(|own| own.digest) {
            all.push(format!("tokenizer: its digest was {}, is {}", said(&was.tokenizer), said(&self.tokenizer)));
        }
        all
    }

    /// What a run is made of that goes on: weights that it began with and that are gone since stay known.
    pub fn going_on(self, was: &Origin) -> Origin {
        Origin { start: was.start.clone().or(self.start), ..self }
    }

    fn catalogs_are(&self, was: &Origin) -> bool {
        let digests = |of: &Origin| of.catalogs.iter().map(CatalogOf::key).collect::<BTreeSet<_>>();
        digests(self) == digests(was)
    }

    /// Whether it says what tokens the shards had: checkpoints did not always.
    pub fn knows_tokens(&self) -> bool {
        let loose = self.shards.values().any(|shards| matches!(shards, Loose::Indexes(_)));
        !loose && (self.catalogs.is_empty() || !self.listed.is_empty())
    }

    /// What may have changed and has.
    pub fn changes(&self, was: &Origin) -> Vec<String> {
        keys(&was.may, &self.may)
    }
}

/// How what another process says differs from this, if it does.
pub fn apart(own: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Option<String> {
    let said = |value: Option<&String>| value.map_or("not set", String::as_str).to_owned();
    let names: BTreeSet<&String> = own.keys().chain(other.keys()).collect();
    let differ = names.into_iter().filter(|name| own.get(*name) != other.get(*name));
    let mut all: Vec<String> =
        differ.map(|name| format!("{name} is {}, not {}", said(other.get(name)), said(own.get(name)))).collect();
    let more = all.len().saturating_sub(TOLD);
    all.truncate(TOLD);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    (!all.is_empty()).then(|| all.join("; "))
}

/// Which keys have changed, and how.
fn keys(was: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let mut all = Vec::new();
    let names: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
    for name in names {
        let said = |value: Option<&String>| value.map_or("not set", |value| value.as_str()).to_owned();
        let (before, after) = (said(was.get(name)), said(now.get(name)));
        if before != after {
            all.push(format!("`{name}` was {before}, is {after}"));
        }
    }
    all
}

fn written<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot write the configuration: {error}")))
}

/// The leaves of a value by their whole keys, as text: numbers are then compared as they are written.
fn flat(value: &Value) -> BTreeMap<String, String> {
    fn walk(key: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    walk(&key, value, out);
                }
            }
            Value::Null => {}
            Value::String(text) => drop(out.insert(key.to_owned(), text.clone())),
            other => {
                let text = other.to_string();
                out.insert(key.to_owned(), text.strip_suffix(".0").unwrap_or(&text).to_owned());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk("", value, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(config: Value, catalogs: &[(&str, &str, &str)], shards: &[(&str, &str)], tokenizer: &str) -> Origin {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let catalog = |(name, path, text): &(&str, &str, &str)| CatalogOf {
            name: (*name).to_owned(),
            called: None,
            path: PathBuf::from(path),
            digest: digest(text),
        };
        let must = flat(&config);
        Origin {
            config: Digest::of_value(&must),
            must,
            may: BTreeMap::new(),
            catalogs: catalogs.iter().map(catalog).collect(),
            shards: shards.iter().map(|(name, text)| ((*name).to_owned(), loose(text))).collect(),
            listed: BTreeMap::new(),
            start: None,
            tokenizer: Some(TokenizerOf { name: "gpt-neox".to_owned(), digest: digest(tokenizer) }),
            former: Some(digest("former")),
        }
    }

    /// A shard: its index, tokens and mask.
    fn loose(text: &str) -> Loose {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let shard = |text: &str| {
            let parts: Vec<&str> = text.split(' ').collect();
            let path = PathBuf::from(format!("{}.bin", parts[0]));
            let tokens = digest(parts.get(1).unwrap_or(&"tokens"));
            ShardOf { path, index: digest(parts[0]), tokens, mask: parts.get(2).map(|mask| digest(mask)) }
        };
        Loose::Known(text.split(", ").map(shard).collect())
    }

    fn check(now: &Origin, was: &Origin) -> Result<()> {
        // As a checkpoint has it.
        let was: Origin = serde_json::from_str(&serde_json::to_string(was).unwrap()).unwrap();
        now.check(Some(&was), was.digest(), Path::new("runs/one"))
    }

    #[test]
    fn what_has_changed_is_named() {
        let config = json!({"seed": 1, "data": {"mixture": {"a": 0.1}}, "model": {"layers": 2}});
        let catalogs = [("c4", "out/c4", "c"), ("books", "out/books", "b")];
        let was = origin(config.clone(), &catalogs, &[("own", "o")], "t");
        let short = |text: &str| Digest::of(text.as_bytes()).short();
        let (b, c, d, t, u) = (short("b"), short("c"), short("d"), short("t"), short("u"));
        // Neither where a catalog lies nor which comes first matters.
        let moved = [("books", "else/books", "b"), ("c4", "else/c4", "c")];
        check(&origin(config.clone(), &moved, &[("own", "o")], "t"), &was).unwrap();
        let with = |catalogs: &[(&str, &str, &str)]| origin(config.clone(), catalogs, &[("own", "o")], "t");
        for (now, words) in [
            (
                origin(
                    json!({"seed": 3, "data": {}, "model": {"layers": 2}, "batch": 8}),
                    &catalogs,
                    &[("own", "o")],
                    "t",
                ),
                "`batch` was not set, is 8; `data.mixture.a` was 0.1, is not set; `seed` was 1, is 3".to_owned(),
            ),
            (
                with(&[("c4", "out/c4", "d"), ("books", "out/books", "b")]),
                format!("catalog `c4` at out/c4: its digest was {c}, is {d}"),
            ),
            (
                with(&[("c4", "new/c4", "d"), ("books", "out/books", "b")]),
                format!("catalog `c4` at new/c4: its digest was {c}, is {d}"),
            ),
            (with(&[("c4", "out/c4", "c")]), format!("catalog `books` at out/books, {b}, is not read any more")),
            (
                with(&[("c4", "out/c4", "c"), ("books", "out/books", "b"), ("more", "out/more", "d")]),
                format!("catalog `more` at out/more, {d}, was not read"),
            ),
            (
                origin(config.clone(), &catalogs, &[("own", "d"), ("other", "o")], "u"),
                format!(
                    "shards of `other` were not read; shard d.bin of `own`: the digest of its index was {}, is {d}; \
                     tokenizer: its digest was {t} (gpt-neox), is {u} (gpt-neox)",
                    short("o")
                ),
            ),
            (origin(config.clone(), &catalogs, &[], "t"), "shards of `own` are not read any more".to_owned()),
        ] {
            let failure = check(&now, &was).unwrap_err();
            assert_eq!(failure.message, format!("the checkpoints in runs/one are of another run: {words}"));
            assert!(failure.hint.unwrap().ends_with("or give another --output"));
        }
        let called = |name: &str| {
            let mut named = was.clone();
            named.catalogs[0].called = Some(name.to_owned());
            named
        };
        check(&called("web"), &called("web")).unwrap();
        let said = check(&called("web"), &was).unwrap_err().message;
        assert!(said.ends_with("another run: catalog `c4` at out/c4 was called nothing, is called `web`"), "{said}");
        assert!(
            check(&called("net"), &called("web")).unwrap_err().message.contains("was called `web`, is called `net`")
        );
        let many = json!((0..20).map(|n| (format!("k{n:02}"), n)).collect::<BTreeMap<_, _>>());
        let said = check(&origin(many, &catalogs, &[("own", "o")], "t"), &was).unwrap_err().message;
        assert!(said.ends_with("`k06` was not set, is 6; and 15 more"), "{said}");
    }

    #[test]
    fn shards_without_a_catalog_are_named_with_what_of_them_has_changed() {
        let with = |shards: &str| origin(json!({"seed": 1}), &[], &[("own", shards)], "t");
        let short = |text: &str| Digest::of(text.as_bytes()).short();
        let was = with("a one, b two");
        for (now, words) in [
            (
                "a one, b 2",
                format!("shard b.bin of `own`: the digest of its tokens was {}, is {}", short("two"), short("2")),
            ),
            ("a one, b two m", format!("shard b.bin of `own`: the digest of its mask was none, is {}", short("m"))),
            (
                "b two, a one",
                format!(
                    "shard b.bin of `own`: the digest of its index was {0}, is {1}; \
                     shard a.bin of `own`: the digest of its index was {1}, is {0}",
                    short("a"),
                    short("b")
                ),
            ),
            ("a one", "slice `own` had 2 shards, has 1".to_owned()),
        ] {
            let failure = check(&with(now), &was).unwrap_err();
            assert_eq!(failure.message, format!("the checkpoints in runs/one are of another run: {words}"));
        }
        // One of format 2 knows the indexes, and which of the shards have masks.
        let former =
            Origin { shards: BTreeMap::from([("own".to_owned(), Loose::Indexes(loose("a, b").indexes()))]), ..was };
        check(&with("a one, b two"), &former).unwrap();
        check(&with("a 1, b 2"), &former).unwrap();
        for now in ["a one, c two", "a one, b two m", "b two, a one", "a one"] {
            let said = check(&with(now), &former).unwrap_err().message;
            assert!(said.contains("another run: shards of `own`: the digest of their indexes was "), "{said}");
        }
    }

    #[test]
    fn shards_of_a_catalog_are_looked_at_too() {
        let catalogs = [("c4", "out/c4", "c")];
        let with = |listed: &str, catalog: &str| {
            let catalogs = [(catalogs[0].0, catalogs[0].1, catalog)];
            let listed = BTreeMap::from([("c4".to_owned(), loose(listed))]);
            Origin { listed, ..origin(json!({"seed": 1}), &catalogs, &[], "t") }
        };
        let was = with("a one, b two", "c");
        check(&with("a one, b two", "c"), &was).unwrap();
        for (now, words) in [
            ("a one, b 2", "shard b.bin of `c4`: the digest of its tokens was "),
            ("a one, b two m", "its mask was none"),
        ] {
            let said = check(&with(now, "c"), &was).unwrap_err().message;
            assert!(said.contains(words), "{said}");
        }
        // Another catalog has other shards: it is told once.
        let said = check(&with("a 1, b 2", "d"), &was).unwrap_err().message;
        assert!(said.contains("catalog `c4`") && !said.contains("shard"), "{said}");
        // Checkpoints from before this was looked at go on.
        check(&was, &origin(json!({"seed": 1}), &catalogs, &[], "t")).unwrap();
    }

    #[test]
    fn a_run_has_begun_where_it_has_begun() {
        let folder = tempfile::tempdir().unwrap();
        let (one, moved) = (folder.path().join("one"), folder.path().join("moved"));
        std::fs::create_dir(&one).unwrap();
        std::fs::write(one.join("model.safetensors"), "weights").unwrap();
        let with =
            |start: Option<&Path>| Origin { start: Some(StartOf::of(start)), ..origin(json!({}), &[], &[], "t") };
        let (was, drawn) = (with(Some(&one)), with(None));
        check(&with(Some(&one)), &was).unwrap();
        check(&drawn, &drawn).unwrap();
        check(&with(Some(&one)), &origin(json!({}), &[], &[], "t")).unwrap();
        let said = check(&drawn, &was).unwrap_err().message;
        assert!(said.ends_with(&format!("another run: `start` was {}, is not set", one.display())), "{said}");
        assert!(check(&was, &drawn).unwrap_err().message.contains("`start` was not set, is "));
        // The same weights elsewhere are the same, and such as are gone were needed but once.
        std::fs::rename(&one, &moved).unwrap();
        check(&with(Some(&moved)), &was).unwrap();
        check(&with(Some(&one)), &was).unwrap();
        std::fs::write(moved.join("model.safetensors"), "others").unwrap();
        let said = check(&with(Some(&moved)), &was).unwrap_err().message;
        assert!(said.contains("another run: the digest of `start`'s weights, in "), "{said}");
    }

    #[test]
    fn a_checkpoint_of_format_1_has_one_digest_for_all() {
        let now = origin(json!({"seed": 1}), &[], &[], "t");
        now.check(None, Digest::of(b"former"), Path::new("runs/one")).unwrap();
        let failure = now.check(None, Digest::of(b"other"), Path::new("runs/one")).unwrap_err();
        assert_eq!(failure.message, "the checkpoints in runs/one are of another run");
        assert!(failure.hint.unwrap().starts_with("its model, data, mixture, seed, batch or sequence were others"));
    }
}
