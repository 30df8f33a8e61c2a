//! A sign of work from a process that has long nothing to say: it reads, evaluates or writes while the others wait.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Stands where the length of a message stands: there is none yet, and its sender is at work.
pub const BEAT: u64 = u64::MAX - 1;

/// Tells others now and again that this process is at work, until it is dropped. In the meantime it must say nothing
/// else to them.
#[derive(Debug, Default)]
pub struct Beats {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Beats {
    /// To these, so often. Best effort: a line that is broken is found out when something is said.
    pub fn to<'a>(lines: impl Iterator<Item = &'a TcpStream>, every: Duration) -> Beats {
        let mut lines: Vec<TcpStream> = lines.filter_map(|line| line.try_clone().ok()).collect();
        let (stop, stopped) = channel();
        let beat = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                for line in &mut lines {
                    let _ = line.write_all(&BEAT.to_le_bytes());
                }
            }
        };
        let started = std::thread::Builder::new().name("beats".to_owned()).spawn(beat);
        Beats { thread: started.ok().map(|thread| (stop, thread)) }
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            // None of it may come between the bytes of what is said next.
            let _ = thread.join();
        }
    }
}
