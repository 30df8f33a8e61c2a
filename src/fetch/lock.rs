//! `.fetch.lock`: what was fetched into a folder, pinned. Hidden, so that nobody takes it for a raw file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use corpus::{Digest, Error};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::{Code, Failure, Result};
use crate::report;

/// The file's name.
pub const LOCK: &str = ".fetch.lock";

/// One file, as it was when it was first fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Its name below the folder.
    pub name: String,
    /// Where it came from.
    pub address: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its contents.
    pub digest: Digest,
    /// What its publisher's server called this state of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
}

/// The lock file of a folder, a JSON object a line. While it is open no other `fetch` writes there.
pub struct Lock {
    path: PathBuf,
    pinned: Mutex<BTreeMap<String, Pinned>>,
    /// Held for the lock on it.
    _folder: File,
}

impl Lock {
    /// Opens the lock file of a folder that exists.
    pub fn open(folder: &Path, stop: &AtomicBool) -> Result<Lock> {
        let path = folder.join(LOCK);
        let held = File::open(folder).map_err(Failure::io("cannot open folder", folder))?;
        let mut waiting = false;
        // Some network file systems know no locks: there two commands may fetch one file twice.
        while let Err(rustix::io::Errno::WOULDBLOCK) = flock(&held, FlockOperation::NonBlockingLockExclusive) {
            if stop.load(Ordering::Relaxed) {
                return Err(Failure::new(Code::Interrupted, "interrupted"));
            }
            if !waiting {
                report::say(&format!("another command fetches into {}: waiting for it", folder.display()));
                waiting = true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut pinned = BTreeMap::new();
        let mut torn = false;
        match fs::read_to_string(&path) {
            Ok(text) => {
                let lines: Vec<&str> = text.split_inclusive('\n').collect();
                for (at, line) in lines.iter().enumerate() {
                    match serde_json::from_str::<Pinned>(line) {
                        Ok(one) => drop(pinned.insert(one.name.clone(), one)),
                        // A power cut may have torn the last line; its file will be looked at again.
                        Err(_) if at + 1 == lines.len() && !line.ends_with('\n') => torn = true,
                        Err(error) => {
                            let detail = format!("line {}: {error}", at + 1);
                            return Err(Failure::new(Code::Damaged, format!("{}: {detail}", path.display()))
                                .hint("restore it, or remove it to pin anew what is there"));
                        }
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::io("cannot read", &path)(error)),
        }
        let lock = Lock { path, pinned: Mutex::new(pinned), _folder: held };
        if torn {
            lock.tidy()?;
        }
        Ok(lock)
    }

    /// What is known of a file.
    pub fn get(&self, name: &str) -> Option<Pinned> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Pins a file, at once and for good.
    pub fn pin(&self, one: Pinned) -> Result<()> {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = serde_json::to_vec(&one).unwrap_or_default();
        line.push(b'\n');
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            file.write_all(&line)?;
            file.sync_data()
        };
        write().map_err(Error::io("cannot write", &self.path))?;
        pinned.insert(one.name.clone(), one);
        Ok(())
    }

    /// Leaves one line for each file, sorted by name: the same files make the same lock file.
    pub fn tidy(&self) -> Result<()> {
        let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if pinned.is_empty() && !self.path.exists() {
            return Ok(());
        }
        let mut text = Vec::new();
        for one in pinned.values() {
            text.extend(serde_json::to_vec(one).unwrap_or_default());
            text.push(b'\n');
        }
        if fs::read(&self.path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        let aside = self.path.with_extension("lock.new");
        let file = fs::write(&aside, &text).and_then(|()| File::open(&aside));
        let file = file.map_err(Failure::io("cannot write", &aside))?;
        corpus::store::publish_file(&file, &aside, &self.path)?;
        Ok(())
    }
}

#[test]
fn a_torn_line_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let one = |name: &str| Pinned {
        name: name.to_owned(),
        address: "https://a.example/b".to_owned(),
        bytes: 3,
        digest: Digest::of(b"red"),
        etag: None,
    };
    let lock = Lock::open(folder.path(), &stop).unwrap();
    lock.pin(one("b")).unwrap();
    lock.pin(one("a")).unwrap();
    lock.tidy().unwrap();
    drop(lock);
    let text = fs::read_to_string(folder.path().join(LOCK)).unwrap();
    assert!(text.starts_with("{\"name\":\"a\",\"address\":\"https://a.example/b\",\"bytes\":3,\"digest\":"), "{text}");
    fs::write(folder.path().join(LOCK), format!("{text}{{\"name\":\"c")).unwrap();
    let lock = Lock::open(folder.path(), &stop).unwrap();
    assert_eq!((lock.get("b"), lock.get("c")), (Some(one("b")), None));
    drop(lock);
    fs::write(folder.path().join(LOCK), format!("{{\"name\":\"c\n{text}")).unwrap();
    assert!(Lock::open(folder.path(), &stop).is_err());
}
