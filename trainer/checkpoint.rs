//! All that a run needs to go on with the same bits, written whole or not at all.
//!
//! ```text
//! OUT/checkpoints/step-000001000/model.safetensors    the weights; with config.json a folder that transformers loads
//!                                config.json
//!                                moments.safetensors  AdamW's, one after another in the order of the weights
//!                                state.json           step, past, what the run is made of, and the digests of the
//!                                                     others; written last
//! ```

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
/// 1 did not say what a run is made of, only the digest of it all.
const FORMAT: u32 = 2;
const STATE: &str = "state.json";
const MOMENTS: &str = "moments.safetensors";

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
    files: Vec<Output>,
    /// Of all the above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
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
        files: vec![weights, moments, config],
        digest: None,
    };
    let text = serde_json::to_string_pretty(&state.sealed())
        .map_err(|error| Failure::new(Code::Failed, format!("cannot write {STATE}: {error}")))?;
    store.write(&format!("{folder}/{STATE}"), text.as_bytes())?;
    Ok(())
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

/// The folder of a model: a run's latest checkpoint, or the folder itself.
pub fn model_folder(path: &Path) -> Result<PathBuf> {
    match steps(path)?.last() {
        Some(step) => Ok(path.join(name(*step))),
        None => Ok(path.to_path_buf()),
    }
}

fn read_state(store: &Store, step: u64) -> Result<State> {
    let file = format!("{}/{STATE}", name(step));
    let path = store.path(&file);
    let state: State = serde_json::from_slice(&store.read(&file)?)
        .map_err(|error| Failure::damaged(&path, format!("no state of a checkpoint: {error}")))?;
    if !(1..=FORMAT).contains(&state.format) {
        return Err(Failure::configuration(format!("{} is of format {}", path.display(), state.format))
            .hint(format!("this trainer reads formats 1 to {FORMAT}")));
    }
    if state != state.clone().sealed() {
        return Err(Failure::damaged(&path, "is not as it was written"));
    }
    Ok(state)
}

fn read<F: Float>(store: &Store, step: u64, config: &Config, origin: &Origin) -> Result<Snapshot<F>> {
    let state = read_state(store, step)?;
    origin.check(state.origin.as_ref(), state.run, store.root())?;
    for file in &state.files {
        store.check(file)?;
    }
    let folder = store.path(&name(step));
    let weights = folder::read_weights(&folder, config)?;
    let path = folder.join(MOMENTS);
    let mut moments = TensorFile::open(&path)?;
    let moments = [moments.read("first")?, moments.read("second")?];
    if let Some(moment) = moments.iter().find(|moment: &&Vec<F>| moment.len() as u64 != config.parameters()) {
        return Err(Failure::damaged(&path, format!("{} numbers for {} weights", moment.len(), config.parameters())));
    }
    let origin = state.origin.unwrap_or_else(|| origin.clone());
    Ok(Snapshot { step, past: state.past, config: config.clone(), weights, moments, origin })
}

/// The latest checkpoint that is as it was written; none where there is none at all. Damaged ones are
/// told to `say`, and the one before is taken.
pub fn latest<F: Float>(
    store: &Store,
    config: &Config,
    origin: &Origin,
    say: &mut dyn FnMut(String),
) -> Result<Option<Snapshot<F>>> {
    let mut last = None;
    for step in steps(store.root())?.into_iter().rev() {
        match read(store, step, config, origin) {
            Ok(snapshot) => return Ok(Some(snapshot)),
            Err(failure) if failure.code == Code::Damaged || is_missing(store, step) => {
                say(format!("warning: {}; going back to the checkpoint before", failure.message));
                last = Some(failure);
            }
            Err(failure) => return Err(failure),
        }
    }
    match last {
        None => Ok(None),
        // To begin anew would throw away what can perhaps be saved.
        Some(failure) => {
            Err(failure.hint("no checkpoint is whole: remove them to begin anew, or give another --output"))
        }
    }
}

/// Whether a file that a checkpoint names is gone.
fn is_missing(store: &Store, step: u64) -> bool {
    read_state(store, step).is_ok_and(|state| state.files.iter().any(|file| !store.has(&file.name)))
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
    let old = steps.len().saturating_sub(spec.keep.get() as usize);
    for step in &steps[..old] {
        if spec.keep_every == 0 || !step.is_multiple_of(spec.keep_every) {
            // Without its state it is none, whatever of it is still there.
            store.remove(&format!("{}/{STATE}", name(*step)))?;
            store.remove_folder(&name(*step))?;
        }
    }
    sweep(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_whole_goes_and_what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        for step in [4, 8, 12] {
            store.write(&format!("{}/{STATE}", name(step)), b"{}").unwrap();
        }
        // A crash before the state was there, before anything was, and while it was removed.
        store.write(&format!("{}/{MOMENTS}", name(10)), b"half").unwrap();
        std::fs::create_dir(store.path(&name(16))).unwrap();
        store.write(&format!("{}/config.json", name(2)), b"{}").unwrap();
        for other in ["step-5/mine", "step-best/mine", "notes"] {
            store.write(&format!("{CHECKPOINTS}/{other}"), b"kept").unwrap();
        }
        let spec = CheckpointSpec { keep: 2.try_into().unwrap(), ..CheckpointSpec::default() };
        prune(&store, &spec).unwrap();
        let entries = std::fs::read_dir(store.path(CHECKPOINTS)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["notes", "step-000000008", "step-000000012", "step-5", "step-best"]);
        assert_eq!(steps(store.root()).unwrap(), [8, 12]);
    }
}
