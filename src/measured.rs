//! What was measured before a run began, kept beside its plan: a run that is killed again and again must come to
//! its first task, and not measure its sample each time.

use corpus::Digest;
use corpus::store::Store;
use serde::{Deserialize, Serialize};

use crate::estimate::{self, Estimate};
use crate::failure::Result;
use crate::prepare::Prepared;
use crate::report;
use crate::size::Size;

/// Where it lies, from the first start of a plan until the run is over.
pub const MEASURED: &str = "measured.json";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Measured {
    /// What was planned, and the memory that it was planned for.
    plan: Digest,
    memory: u64,
    /// How often it was begun to measure.
    begun: u32,
    /// Nothing as long as it is being measured.
    needs: Option<Needs>,
}

/// So often a sample is begun; a run that was killed as often goes on without.
const ATTEMPTS: u32 = 2;

/// What an estimate says that later starts of a run ask for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// Text in the raw files, in bytes.
    pub text: u64,
    /// Bytes on disk, with those in between.
    pub disk: u64,
    /// Of these, those without which no run will do.
    pub least_disk: u64,
}

/// What the plan of a run needs, measured now or when it was begun, and whole if it was measured now; nothing if
/// that cannot be known.
pub fn needs(
    prepared: &Prepared,
    store: &Store,
    stopped: impl Fn() -> bool,
) -> Result<(Option<Needs>, Option<Estimate>)> {
    let mut measured = Measured { plan: prepared.plan.identity(), memory: prepared.memory, begun: 1, needs: None };
    let write = |measured: &Measured| store.write(MEASURED, &serde_json::to_vec(measured).unwrap_or_default());
    // One that is broken is as good as none.
    let known = store.read(MEASURED).ok().and_then(|bytes| serde_json::from_slice::<Measured>(&bytes).ok());
    if let Some(known) = known.filter(|known| (known.plan, known.memory) == (measured.plan, measured.memory)) {
        match known.needs {
            Some(needs) => {
                report::say(&format!("measured when it was begun: {} on disk, with all in between", Size(needs.disk)));
                return Ok((known.needs, None));
            }
            None if known.begun >= ATTEMPTS => {
                report::say("warning: no estimate: this run was killed before while it measured its sample");
                return Ok((None, None));
            }
            None => measured.begun = known.begun + 1,
        }
    }
    write(&measured)?;
    match estimate::measure(prepared) {
        Ok(estimate) => {
            let disk = estimate.disk + estimate.disk_between;
            let needs = Needs { text: estimate.text_bytes, disk, least_disk: estimate.least_disk() };
            measured.needs = Some(needs);
            write(&measured)?;
            Ok((Some(needs), Some(estimate)))
        }
        Err(failure) => {
            // Ctrl-C ends the run, not the sample alone, and the next start measures it.
            match stopped() {
                true => store.remove(MEASURED)?,
                // A run can do without one.
                false => report::say(&format!("warning: no estimate: {}", failure.message)),
            }
            Ok((None, None))
        }
    }
}
