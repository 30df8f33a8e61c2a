//! Who runs the tasks of a pass: threads of this process now, a cluster's engine later. All of them
//! run `task.rs`.

mod guard;
pub mod local;
pub mod passes;

use crate::failure::Result;
use crate::plan::Task;
use crate::task::Run;

/// Runs tasks that may run side by side.
pub trait Executor {
    /// Runs the tasks of one pass, by its number from 0, to their commits; the first failure ends
    /// it.
    fn run(&self, run: &Run<'_>, pass: usize, tasks: &[&Task]) -> Result<()>;
}
