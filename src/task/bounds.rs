//! What is bounded while a task runs: threads that compute, bytes that wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Lets a number of threads compute at once.
pub struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Leave to compute, until it is dropped.
pub struct Permit<'p>(&'p Permits);

impl Permits {
    /// So many at once.
    pub fn new(count: usize) -> Permits {
        Permits { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for leave.
    pub fn acquire(&self) -> Permit<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// Sets a flag when it is dropped, also by a panic.
pub struct SetOnDrop<'f>(pub &'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Bytes of documents between a task's reader and its writer.
pub struct Budget {
    used: Mutex<usize>,
    freed: Condvar,
    limit: usize,
}

impl Budget {
    /// Room for so many bytes.
    pub fn new(limit: usize) -> Budget {
        Budget { used: Mutex::new(0), freed: Condvar::new(), limit }
    }

    /// Waits until so many more bytes fit; a single handful always does.
    pub fn take(&self, bytes: usize, stop: &AtomicBool) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && *used + bytes > self.limit {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            let wait = std::time::Duration::from_millis(100);
            used = self.freed.wait_timeout(used, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        *used += bytes;
        !stop.load(Ordering::Relaxed)
    }

    /// Says that so many bytes are written.
    pub fn give_back(&self, bytes: usize) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.freed.notify_one();
    }
}
