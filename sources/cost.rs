//! What reading costs and how far it got, for whoever measures: kept by thread, since a source is
//! read by one.

use std::cell::Cell;

thread_local! {
    static DECODING: Cell<f64> = const { Cell::new(0.0) };
    static RAW_BYTES: Cell<u64> = const { Cell::new(0) };
}

/// CPU seconds that this thread has spent on decompression since it last asked.
pub fn take_decoding_seconds() -> f64 {
    DECODING.take()
}

/// Bytes of raw files that this thread has read, before decompression, since it last asked.
/// Parquet is not counted: it is not read from its beginning to its end.
pub fn take_raw_bytes() -> u64 {
    RAW_BYTES.take()
}

pub(crate) fn saw_raw_bytes(bytes: usize) {
    RAW_BYTES.set(RAW_BYTES.get() + bytes as u64);
}

/// Counts the CPU time of `decode` as decompression.
pub(crate) fn decoding<T>(decode: impl FnOnce() -> T) -> T {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    // A file in a compressed file may lie in a compressed archive: what was counted inside is part of it.
    let (before, start) = (DECODING.get(), now());
    let decoded = decode();
    DECODING.set(before + now() - start);
    decoded
}
