//! All that a run needs to go on with the same bits, written whole or not at all.
//!
//! ```text
//! OUT/checkpoints/step-000001000/model.safetensors    the weights; with config.json a folder that transformers loads
//!                                config.json
//!                                moments.safetensors  AdamW's, one after another in the order of the weights
//!                                state.json           step, past, what the run is made of, and the digests of the
//!                                                     others; written last
//! ```

use std::cell::Cell;
use std::path::{Path, PathBuf};

use corpus::Digest;
use corpus::store::{Output, Store};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::cpu::Float;
use crate::failure::{Code, Failure, Result};
use crate::folder;
use crate::learner::Past;
use crate::origin::Origin;
use crate::spec::CheckpointSpec;
use crate::tensors::{self, Entry, Stored, TensorFile};
use crate::weights::{Weights, specs};

/// The folder of checkpoints below a run's.
pub const CHECKPOINTS: &str = "checkpoints";
/// 1 did not say what a run is made of, only the digest of it all; 2 knew shards without a catalog by their indexes
/// alone.
const FORMAT: u32 = 3;
/// What is said of a checkpoint that knows no tokens, see [`Origin::knows_tokens`].
pub const UNKNOWN: &str = "warning: the checkpoint is of an earlier version, which did not note the tokens of its shards: \
                           whether they have changed since is not known";
const STATE: &str = "state.json";
const MOMENTS: &str = "moments.safetensors";

/// What is known of a checkpoint's weights: a step tells of those that it was computed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// No step was computed with them.
    #[default]
    Untried,
    /// A step was, and passed.
    Good,
    /// Why a run does not go on from them unless it is asked to.
    Bad(String),
}

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    format: u32,
    step: u64,
    past: Past,
    /// Of what must be the same in the run that goes on.
    run: Digest,
    /// The same by name, from format 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    #[serde(default, skip_serializing_if = "Standing::is_untried")]
    standing: Standing,
    files: Vec<Output>,
    /// Of all the above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
}

impl Standing {
    fn is_untried(&self) -> bool {
        *self == Standing::Untried
    }
}

impl State {
    fn sealed(self) -> State {
        let bare = State { digest: None, ..self };
        let digest = Some(Digest::of_value(&bare));
        State { digest, ..bare }
    }
}

/// A learner's state on the host.
#[derive(Clone, Debug)]
pub struct Snapshot<F> {
    /// Steps that are done.
    pub step: u64,
    /// What the learner has been through.
    pub past: Past,
    /// The shape of the model.
    pub config: Config,
    /// Its weights.
    pub weights: Weights<Vec<F>>,
    /// AdamW's moments.
    pub moments: [Vec<F>; 2],
    /// What the run is made of.
    pub origin: Origin,
    /// What is known of the weights.
    pub standing: Standing,
}

fn name(step: u64) -> String {
    format!("{CHECKPOINTS}/step-{step:09}")
}

/// Writes a checkpoint. What was begun of one that could not be ended is removed: a full disk needs the
/// room.
pub fn save<F: Float>(store: &Store, snapshot: &Snapshot<F>) -> Result<()> {
    write(store, snapshot).map_err(|mut failure| {
        // Best effort: what stays goes after the next that is written.
        let _ = sweep(store);
        failure.message = format!("the checkpoint of step {} is not written: {}", snapshot.step, failure.message);
        failure
    })
}

fn write<F: Float>(store: &Store, snapshot: &Snapshot<F>) -> Result<()> {
    let folder = name(snapshot.step);
    let stored = Stored::of::<F>();
    let mut entries = Vec::new();
    for (spec, numbers) in specs(&snapshot.config).iter().zip(snapshot.weights.iter()) {
        entries.push(Entry { name: spec.name.clone(), shape: spec.shape.clone(), numbers });
    }
    let weights = tensors::write(store, &format!("{folder}/{}", folder::WEIGHTS), &entries, stored)?;
    let entries: Vec<Entry<'_, F>> = ["first", "second"]
        .into_iter()
        .zip(&snapshot.moments)
        .map(|(name, numbers)| Entry { name: name.to_owned(), shape: vec![numbers.len()], numbers })
        .collect();
    let moments = tensors::write(store, &format!("{folder}/{MOMENTS}"), &entries, stored)?;
    let config = format!("{:#}\n", snapshot.config.to_json(stored.name()));
    let config = store.write(&format!("{folder}/config.json"), config.as_bytes())?;
    let state = State {
        format: FORMAT,
        step: snapshot.step,
        past: snapshot.past.clone(),
        run: snapshot.origin.digest(),
        origin: Some(snapshot.origin.clone()),
        standing: match &snapshot.standing {
            Standing::Untried if !snapshot.weights.iter().flatten().all(|weight| weight.f64().is_finite()) => {
                Standing::Bad("not all of its weights are numbers".to_owned())
            }
            standing => standing.clone(),
        },
        files: vec![weights, moments, config],
        digest: None,
    };
    write_state(store, state)
}

fn write_state(store: &Store, state: State) -> Result<()> {
    let file = format!("{}/{STATE}", name(state.step));
    let text = serde_json::to_string_pretty(&state.sealed())
        .map_err(|error| Failure::new(Code::Failed, format!("cannot write {STATE}: {error}")))?;
    store.write(&file, text.as_bytes())?;
    Ok(())
}

/// Notes of a checkpoint that was written what is known of its weights since. No other may be written or
/// removed meanwhile.
pub fn mark(store: &Store, step: u64, standing: Standing) -> Result<()> {
    write_state(store, State { standing, ..read_state(store, step)? })
}

/// The steps of which there are checkpoints, oldest first: whole ones alone, as far as `state.json`
/// shows.
pub fn steps(root: &Path) -> Result<Vec<u64>> {
    let mut steps = folders(root)?;
    steps.retain(|step| root.join(name(*step)).join(STATE).is_file());
    Ok(steps)
}

/// The steps that have a folder, whole or not, oldest first.
fn folders(root: &Path) -> Result<Vec<u64>> {
    let folder = root.join(CHECKPOINTS);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io("cannot list", &folder)(error)),
    };
    let mut steps = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Failure::io("cannot list", &folder))?;
        let found = entry.file_name().to_string_lossy().into_owned();
        // Under another name it is none of ours.
        if let Some(Ok(step)) = found.strip_prefix("step-").map(str::parse)
            && entry.path() == root.join(name(step))
        {
            steps.push(step);
        }
    }
    steps.sort_unstable();
    Ok(steps)
}

/// A checkpoint's files but for its moments: nothing that reads a model needs those.
fn of_model(file: &str) -> bool {
    file != MOMENTS
}

/// A model to read.
pub struct Found {
    /// Its folder.
    pub folder: PathBuf,
    /// What its run is made of, where it is a checkpoint that says it.
    pub origin: Option<Origin>,
}

/// The model to read at a path: of a run's folder, the latest checkpoint whose weights are as they were written and
/// not known to be bad, those that are passed over being told to `say`; or the folder itself, see [`check_model`].
pub fn model(path: &Path, say: &mut dyn FnMut(String)) -> Result<Found> {
    let store = Store::open(path);
    let take = |folder: PathBuf, state: &State| {
        check(&folder, state, &of_model)?;
        Ok(Found { folder, origin: state.origin.clone() })
    };
    let no = Hints {
        good: "no checkpoint of this run is known to be any better: name the folder of one to take it all the same",
        whole: "no checkpoint of this run is whole",
    };
    match newest(&store, false, &no, &take, say)? {
        Some(found) => Ok(found),
        None => Ok(Found { folder: path.to_path_buf(), origin: check_model(path)? }),
    }
}

/// Checks the folder of a model; gives what its run is made of, where it is a checkpoint that says it. A checkpoint
/// is looked through, and taken whatever is known of its weights.
pub fn check_model(folder: &Path) -> Result<Option<Origin>> {
    let path = folder.join(STATE);
    if !path.is_file() && !without_state(folder) {
        return Ok(None);
    }
    let checked = state_at(&path).and_then(|state| check(folder, &state, &of_model).map(|()| state.origin));
    checked.map_err(|failure| match (failure.code, run_of(folder)) {
        (Code::Damaged, Some(run)) => failure.hint(format!("take another checkpoint of {}", run.display())),
        (Code::Damaged, None) => failure.hint("copy the checkpoint anew from its run"),
        _ => failure,
    })
}

/// Whether a folder without a state is what is left of a checkpoint: no model from elsewhere has AdamW's moments, or
/// lies where a run's checkpoints do.
fn without_state(folder: &Path) -> bool {
    let named = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"));
    let weights = folder.join(folder::WEIGHTS).is_file();
    weights && (folder.join(MOMENTS).is_file() || (named && run_of(folder).is_some()))
}

/// The folder of the run whose checkpoint this is.
pub fn run_of(checkpoint: &Path) -> Option<&Path> {
    checkpoint.parent().filter(|above| above.ends_with(CHECKPOINTS))?.parent()
}

fn read_state(store: &Store, step: u64) -> Result<State> {
    state_at(&store.path(&format!("{}/{STATE}", name(step))))
}

fn state_at(path: &Path) -> Result<State> {
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::damaged(path, "is not there: it was lost, or the checkpoint was not written to its end")
        }
        _ => Failure::io("cannot read", path)(error),
    })?;
    let state: State = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::damaged(path, format!("no state of a checkpoint: {error}")))?;
    if !(1..=FORMAT).contains(&state.format) {
        return Err(Failure::configuration(format!("{} is of format {}", path.display(), state.format))
            .hint(format!("this trainer reads formats 1 to {FORMAT}")));
    }
    if state != state.clone().sealed() {
        return Err(Failure::damaged(path, "is not as it was written"));
    }
    Ok(state)
}

/// Checks those files of a checkpoint that are `needed`, by their name in its folder, against their digests: each
/// is there, whole.
fn check(folder: &Path, state: &State, needed: &dyn Fn(&str) -> bool) -> Result<()> {
    let store = Store::open(folder);
    for file in &state.files {
        let name = file.name.rsplit('/').next().unwrap_or(&file.name).to_owned();
        if !needed(&name) {
            continue;
        }
        if !store.has(&name) {
            return Err(Failure::damaged(&store.path(&name), "is gone"));
        }
        store.check(&Output { name, ..file.clone() })?;
    }
    Ok(())
}

/// What to do where no checkpoint is good, or none is whole.
struct Hints {
    good: &'static str,
    whole: &'static str,
}

/// The latest checkpoint that is not known to be bad (unless `bad` says that such a one may be taken), as `take`
/// gives it, which finds it whole; none where there is none at all. Those that are passed over are told to `say`, also
/// such as have weights and no state.
fn newest<T>(
    store: &Store,
    bad: bool,
    no: &Hints,
    take: &dyn Fn(PathBuf, &State) -> Result<T>,
    say: &mut dyn FnMut(String),
) -> Result<Option<T>> {
    let mut found = folders(store.root())?;
    let stated = |step: u64| store.has(&format!("{}/{STATE}", name(step)));
    found.retain(|step| stated(*step) || without_state(&store.path(&name(*step))));
    let mut last = None;
    let mut left = found.into_iter().rev().peekable();
    while let Some(step) = left.next() {
        let taken = read_state(store, step).and_then(|state| match &state.standing {
            Standing::Bad(why) if !bad => Ok(Err(why.clone())),
            _ => take(store.path(&name(step)), &state).map(Ok),
        });
        match taken {
            Ok(Ok(taken)) => return Ok(Some(taken)),
            Ok(Err(why)) => {
                say(format!("warning: the checkpoint of step {step} is passed over: {why}"));
                let message = format!("of the checkpoint of step {step} it is known that {why}");
                last = Some(Failure::configuration(message).hint(no.good));
            }
            // Of a run that is not ours alone, it may have been removed since it was listed.
            Err(failure) if failure.code == Code::Damaged || !stated(step) => {
                let back = left.peek().map_or("", |_| "; going back to the checkpoint before");
                say(format!("warning: {}{back}", failure.message));
                // A run that was killed while it wrote its first has none, and begins anew.
                if stated(step) {
                    last = Some(failure.hint(no.whole));
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    // To begin anew would throw away what can perhaps be saved.
    last.map_or(Ok(None), Err)
}

fn read<F: Float>(folder: &Path, state: &State, config: &Config, origin: &Origin) -> Result<Snapshot<F>> {
    let weights = folder::read_weights(folder, config)?;
    let path = folder.join(MOMENTS);
    let mut moments = TensorFile::open(&path)?;
    let moments = [moments.read("first")?, moments.read("second")?];
    if let Some(moment) = moments.iter().find(|moment: &&Vec<F>| moment.len() as u64 != config.parameters()) {
        return Err(Failure::damaged(&path, format!("{} numbers for {} weights", moment.len(), config.parameters())));
    }
    let State { step, past, standing, .. } = state.clone();
    let origin = state.origin.clone().unwrap_or_else(|| origin.clone());
    Ok(Snapshot { step, past, config: config.clone(), weights, moments, origin, standing })
}

/// The latest checkpoint that is as it was written and not known to be bad (unless `bad` says that such a one
/// may be taken); none where there is none at all. Those that are passed over are told to `say`.
pub fn latest<F: Float>(
    store: &Store,
    config: &Config,
    origin: &Origin,
    bad: bool,
    say: &mut dyn FnMut(String),
) -> Result<Option<Snapshot<F>>> {
    let known = Cell::new(true);
    let take = |folder: PathBuf, state: &State| {
        known.set(state.origin.as_ref().is_some_and(Origin::knows_tokens));
        origin.check(state.origin.as_ref(), state.run, store.root())?;
        check(&folder, state, &|_| true)?;
        read(&folder, state, config, origin)
    };
    let no = Hints {
        good: "no checkpoint has weights to go on from: begin anew with other numbers and another --output, or set `checkpoint.bad=true`",
        whole: "no checkpoint is whole: remove them to begin anew, or give another --output",
    };
    let found = newest(store, bad, &no, &take, say)?;
    if found.is_some() && !known.get() {
        say(UNKNOWN.to_owned());
    }
    Ok(found)
}

/// Removes what is left of checkpoints that were never whole, or are no more.
fn sweep(store: &Store) -> Result<()> {
    for step in folders(store.root())? {
        if !store.has(&format!("{}/{STATE}", name(step))) {
            store.remove_folder(&name(step))?;
        }
    }
    Ok(())
}

/// Removes checkpoints that are not to be kept, and what is left of such as were never whole. Only the
/// process that writes may do so, and only between two checkpoints: one that is being written is not
/// whole either.
pub fn prune(store: &Store, spec: &CheckpointSpec) -> Result<()> {
    let steps = steps(store.root())?;
    // One that cannot be read is nothing to rely on.
    let standings: Vec<(u64, Option<Standing>)> =
        steps.iter().map(|step| (*step, read_state(store, *step).ok().map(|state| state.standing))).collect();
    for step in to_remove(&standings, spec) {
        // Without its state it is none, whatever of it is still there.
        store.remove(&format!("{}/{STATE}", name(step)))?;
        store.remove_folder(&name(step))?;
    }
    sweep(store)
}

/// Which of these steps, oldest first, are not to be kept. Only what can be gone on from counts, and of that
/// one that is known to be good always stays.
fn to_remove(steps: &[(u64, Option<Standing>)], spec: &CheckpointSpec) -> Vec<u64> {
    let newest = |good: &dyn Fn(&Standing) -> bool, count: usize| -> Vec<u64> {
        let fine = steps.iter().rev().filter(|(_, standing)| standing.as_ref().is_some_and(good));
        fine.map(|(step, _)| *step).take(count).collect()
    };
    let mut kept = newest(&|standing| !matches!(standing, Standing::Bad(_)), spec.keep.get() as usize);
    kept.extend(newest(&|standing| *standing == Standing::Good, 1));
    let oldest = kept.iter().min().copied().unwrap_or(0);
    let goes = |(step, standing): &&(u64, Option<Standing>)| {
        let bad = matches!(standing, Some(Standing::Bad(_)));
        let for_ever = spec.keep_every > 0 && step.is_multiple_of(spec.keep_every) && !bad;
        let counts = standing.is_some() && !bad;
        !kept.contains(step) && !for_ever && (counts || *step < oldest)
    };
    steps.iter().filter(goes).map(|(step, _)| *step).collect()
}

#[cfg(test)]
mod tests;
