//! Checkpoints on their way to the disk: beside the work, one at a time, and not before a step has shown
//! what their weights are worth.
//!
//! A step tells of the weights that it was computed with, not of those that it leaves. So a snapshot is held
//! until a later step has passed; only then is it written, and older ones may go for it. What cannot wait, at
//! the end of a run or when a machine must be left, is written as it is and said to be untried.
//!
//! A snapshot is three times as large as the weights. Before one is made, the one before is written and gone:
//! there are never two.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::failure::{Code, Failure, Result};

/// Writes what it is given on a thread of its own.
pub struct Saver<S> {
    write: Arc<dyn Fn(S) -> Result<()> + Send + Sync>,
    running: Option<JoinHandle<Result<()>>>,
    held: Option<S>,
}

impl<S: Send + 'static> Saver<S> {
    /// One that writes so.
    pub fn new(write: impl Fn(S) -> Result<()> + Send + Sync + 'static) -> Saver<S> {
        Saver { write: Arc::new(write), running: None, held: None }
    }

    /// Makes a snapshot and holds it until it is known what it is worth, in place of one that was held before.
    pub fn hold(&mut self, make: impl FnOnce() -> Result<S>) -> Result<()> {
        self.held = Some(self.alone(make)?);
        Ok(())
    }

    /// Makes a snapshot and begins to write it, in place of one that was held.
    pub fn save(&mut self, make: impl FnOnce() -> Result<S>) -> Result<()> {
        let snapshot = self.alone(make)?;
        self.begin(snapshot);
        Ok(())
    }

    /// Begins to write what was held, if anything was, with what is known of it now.
    pub fn release(&mut self, known: impl FnOnce(S) -> S) {
        if let Some(held) = self.held.take() {
            self.begin(known(held));
        }
    }

    /// Makes a snapshot when there is no other.
    fn alone(&mut self, make: impl FnOnce() -> Result<S>) -> Result<S> {
        self.wait()?;
        self.held = None;
        make()
    }

    /// Only where nothing is being written: whatever is held was made after that.
    fn begin(&mut self, snapshot: S) {
        let write = self.write.clone();
        self.running = Some(std::thread::spawn(move || write(snapshot)));
    }

    /// Gives the failure of a write that has ended, so that no work is done which could not be kept.
    pub fn look(&mut self) -> Result<()> {
        match &self.running {
            Some(running) if running.is_finished() => self.wait(),
            _ => Ok(()),
        }
    }

    /// Waits until what was begun is written.
    pub fn wait(&mut self) -> Result<()> {
        match self.running.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(saved)) => saved,
            Some(Err(_)) => Err(Failure::new(Code::Failed, "the thread that writes checkpoints ended early")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    #[test]
    fn one_is_written_while_work_goes_on_and_the_next_waits_for_it() {
        let (said, heard) = channel();
        let (go, wait) = channel::<()>();
        let wait: Mutex<Receiver<()>> = Mutex::new(wait);
        let tell = said.clone();
        let mut saver = Saver::new(move |(step, _one): (u64, Arc<()>)| {
            tell.send(format!("begin {step}")).unwrap();
            wait.lock().unwrap().recv().unwrap();
            tell.send(format!("end {step}")).unwrap();
            if step == 3 { Err(Failure::new(Code::Failed, "the disk is full")) } else { Ok(()) }
        });
        let alive = Arc::new(());
        let counted = |step: u64| {
            let one = alive.clone();
            // The one that is asked with, and this.
            assert_eq!(Arc::strong_count(&alive), 2, "another is there when that of step {step} is made");
            Ok((step, one))
        };
        // It comes back though nothing was allowed to end.
        saver.save(|| counted(1)).unwrap();
        assert_eq!(heard.recv().unwrap(), "begin 1");
        saver.look().unwrap();
        said.send("work".to_owned()).unwrap();
        // The next one is due while this one is being written: it is not even made before this one is gone.
        std::thread::scope(|scope| {
            scope.spawn(|| saver.save(|| counted(2)).unwrap());
            go.send(()).unwrap();
        });
        go.send(()).unwrap();
        saver.wait().unwrap();
        let all: Vec<String> = heard.try_iter().collect();
        assert_eq!(all, ["work", "end 1", "begin 2", "end 2"]);
        // What fails is told when the next is due, which is then not made.
        saver.save(|| counted(3)).unwrap();
        go.send(()).unwrap();
        assert_eq!(saver.save(|| unreachable!()).unwrap_err().message, "the disk is full");
        saver.wait().unwrap();
        assert_eq!(heard.try_iter().collect::<Vec<String>>(), ["begin 3", "end 3"]);
        // Or as soon as someone looks.
        saver.save(|| counted(3)).unwrap();
        go.send(()).unwrap();
        let failure = std::iter::repeat_with(|| saver.look()).find_map(Result::err).unwrap();
        assert_eq!(failure.message, "the disk is full");
    }

    #[test]
    fn only_the_last_that_was_held_is_there() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let to = written.clone();
        let mut saver = Saver::new(move |snapshot: Arc<u64>| {
            to.lock().unwrap().push(*snapshot);
            Ok(())
        });
        saver.release(|_| unreachable!());
        let first = Arc::new(4);
        saver.hold(|| Ok(first.clone())).unwrap();
        // One that is made in its place, or instead of it, comes after it.
        for step in [8, 9] {
            let make = || {
                assert_eq!(Arc::strong_count(&first), 1);
                Ok(Arc::new(step))
            };
            if step == 8 {
                saver.hold(make).unwrap()
            } else {
                saver.save(make).unwrap()
            }
            saver.release(|held| Arc::new(*held + 100));
        }
        saver.release(|_| unreachable!());
        saver.wait().unwrap();
        assert_eq!(*written.lock().unwrap(), [108, 9]);
    }
}
