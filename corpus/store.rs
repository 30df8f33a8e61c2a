//! Where a run's files lie, and how they get there whole.
//!
//! A file is written aside, synced, and renamed into place; a commit is created only if it does
//! not exist. A crash at any moment leaves either the whole file under its name or nothing, and
//! what was left aside is swept by the next run that has the folder to itself.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::digest::Hashing;
use crate::{Digest, Error, Result};

/// A published file: its name below the store's root, length and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Output {
    /// Name below the root, with `/` between folders.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
    /// BLAKE3 of its contents.
    pub digest: Digest,
}

/// A folder of files that are written once and whole.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    // Held, shared, for as long as the store is open for writing.
    lock: Option<File>,
    // Tells this store's scratch from that of other processes, which may well have the same number
    // on other machines or in other containers.
    mark: u64,
}

const ASIDE: &str = ".aside";
const LOCK: &str = ".lock";

impl Store {
    /// Opens a store for reading: nothing is created.
    pub fn open(root: impl Into<PathBuf>) -> Store {
        Store { root: root.into(), lock: None, mark: 0 }
    }

    /// Opens a store for writing, and makes its folder. Several processes may write at once.
    pub fn create(root: impl Into<PathBuf>) -> Result<Store> {
        let root = root.into();
        let aside = root.join(ASIDE);
        fs::create_dir_all(&aside).map_err(Error::io("cannot create folder", &aside))?;
        let path = root.join(LOCK);
        let lock = File::create(&path).map_err(Error::io("cannot create", &path))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared)
            .map_err(|errno| Error::io("cannot lock", &path)(errno.into()))?;
        let mark = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Ok(Store { root, lock: Some(lock), mark })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether a file of this name was published.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// Starts a file aside.
    pub fn aside(&self, name: impl Into<String>) -> Result<Aside> {
        let name = name.into();
        let path = self.scratch_path(name.rsplit('/').next().unwrap_or(&name));
        let file = File::create_new(&path).map_err(Error::io("cannot create", &path))?;
        crash_point();
        // Digests are taken of what is buffered: of many bytes at once they cost a third.
        let to = BufWriter::with_capacity(128 << 10, Hashing::new(file));
        Ok(Aside { name, root: self.root.clone(), path, to, done: false })
    }

    /// A path for scratch that is swept with what lies aside.
    pub fn scratch_path(&self, hint: &str) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.root.join(ASIDE).join(format!("{:016x}-{number}-{hint}", self.mark))
    }

    /// Publishes small contents under a name, replacing what was there.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<Output> {
        let mut aside = self.aside(name)?;
        aside.write_all(contents).map_err(Error::io("cannot write", &aside.path))?;
        aside.publish()
    }

    /// Publishes small contents under a name only if it is free; says whether it was.
    pub fn write_new(&self, name: &str, contents: &[u8]) -> Result<bool> {
        let mut aside = self.aside(name)?;
        aside.write_all(contents).map_err(Error::io("cannot write", &aside.path))?;
        let (_, target) = aside.finish()?;
        crash_point();
        // A link, unlike a rename, fails where the name is taken.
        let linked = fs::hard_link(&aside.path, &target);
        crash_point();
        match linked {
            Ok(()) => sync_folder(&target).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io("cannot create", &target)(error)),
        }
    }

    /// Reads a file whole.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        fs::read(&path).map_err(Error::io("cannot read", &path))
    }

    /// The names of all files in a folder and below, sorted; none if it does not exist.
    pub fn list(&self, folder: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut folders = vec![folder.trim_end_matches('/').to_owned()];
        while let Some(folder) = folders.pop() {
            let path = self.path(&folder);
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("cannot list", &path)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(Error::io("cannot list", &path))?;
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                let kind = entry.file_type().map_err(Error::io("cannot list", &path))?;
                if kind.is_dir() { folders.push(name) } else { names.push(name) }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file; one that is not there is fine.
    pub fn remove(&self, name: &str) -> Result<()> {
        remove_if_there(&self.path(name))
    }

    /// Removes a folder with all in it; one that is not there is fine.
    pub fn remove_folder(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Removes the folders of a folder in which nothing is left, and the folder itself if nothing is left of it.
    pub fn remove_empty(&self, name: &str) {
        let path = self.path(name);
        // Of one that is not empty the system says no.
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = fs::remove_dir(path);
    }

    /// Runs `sweep` if no other process has this store open for writing; says whether it ran.
    /// What lies aside is removed with it.
    pub fn alone(&self, sweep: impl FnOnce() -> Result<()>) -> Result<bool> {
        let Some(lock) = &self.lock else { return Ok(false) };
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        let shared = || {
            let path = self.root.join(LOCK);
            rustix::fs::flock(lock, rustix::fs::FlockOperation::LockShared)
                .map_err(|errno| Error::io("cannot lock", &path)(errno.into()))
        };
        if rustix::fs::flock(lock, operation).is_err() {
            // Asking for more than one gets gives up what one had.
            shared()?;
            return Ok(false);
        }
        let swept = sweep().and_then(|()| {
            self.remove_folder(ASIDE)?;
            let aside = self.root.join(ASIDE);
            fs::create_dir_all(&aside).map_err(Error::io("cannot create folder", &aside))
        });
        shared()?;
        swept.map(|()| true)
    }

    /// Ends writing, and leaves nothing in the folder but what was published (unless another
    /// process is writing there too).
    pub fn leave(self) -> Result<()> {
        self.alone(|| self.remove(LOCK))?;
        // Best effort: the folder is made anew by `alone` and is empty.
        let _ = fs::remove_dir(self.root.join(ASIDE));
        Ok(())
    }

    /// Checks one published file against its length and digest.
    pub fn check(&self, output: &Output) -> Result<()> {
        let path = self.path(&output.name);
        let length = fs::metadata(&path).map_err(Error::io("cannot find", &path))?.len();
        if length != output.bytes {
            return Err(Error::damaged(path, format!("{length} bytes long, not {}", output.bytes)));
        }
        let (digest, _) = Digest::of_file(&path)?;
        if digest != output.digest {
            return Err(Error::damaged(
                path,
                format!("its digest is {}, not {}", digest.short(), output.digest.short()),
            ));
        }
        Ok(())
    }
}

/// A file being written aside: published whole, or gone.
pub struct Aside {
    name: String,
    root: PathBuf,
    path: PathBuf,
    to: BufWriter<Hashing<File>>,
    done: bool,
}

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} bytes", self.name, self.bytes())
    }
}

impl Aside {
    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.to.get_ref().length() + self.to.buffer().len() as u64
    }

    /// Where the bytes lie until they are published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name under which it will be published.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Flushes what is buffered, so that the file can be read back where it lies.
    pub fn flush_to_disk(&mut self) -> Result<()> {
        self.to.flush().map_err(Error::io("cannot write", &self.path))
    }

    fn finish(&mut self) -> Result<(Output, PathBuf)> {
        self.flush_to_disk()?;
        self.to.get_ref().inner().sync_all().map_err(Error::io("cannot sync", &self.path))?;
        let target = self.root.join(&self.name);
        make_folder_of(&target)?;
        let written = self.to.get_ref();
        let output = Output { name: self.name.clone(), bytes: written.length(), digest: written.digest() };
        Ok((output, target))
    }

    /// Syncs the file and gives it its name.
    pub fn publish(mut self) -> Result<Output> {
        crash_point();
        let (output, target) = self.finish()?;
        crash_point();
        rename(&self.path, &target)?;
        self.done = true;
        Ok(output)
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.done {
            // Best effort: what stays is swept later.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a file that was written elsewhere on the same disk its name, once it is on the disk.
pub fn publish_file(file: &File, path: &Path, target: &Path) -> Result<()> {
    crash_point();
    file.sync_all().map_err(Error::io("cannot sync", path))?;
    make_folder_of(target)?;
    crash_point();
    rename(path, target)
}

fn make_folder_of(target: &Path) -> Result<()> {
    let Some(folder) = target.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(Error::io("cannot create folder", folder))
}

fn rename(path: &Path, target: &Path) -> Result<()> {
    fs::rename(path, target).map_err(Error::io("cannot publish", target))?;
    crash_point();
    sync_folder(target)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot remove", path)(error)),
        _ => Ok(()),
    }
}

/// A new name lasts only when its folder is synced too.
fn sync_folder(file: &Path) -> Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    let open = File::open(folder).map_err(Error::io("cannot open folder", folder))?;
    open.sync_all().map_err(Error::io("cannot sync folder", folder))
}

/// One step of a commit. With `REDPAJAMA_CRASH_AT=n` in the environment the process dies, as a
/// power cut would end it, at the n-th step; tests walk through all of them. With
/// `REDPAJAMA_SLOW_COMMITS=n` each step takes n milliseconds more, as on a disk that is slow.
pub fn crash_point() {
    static SLOW: std::sync::OnceLock<Option<u64>> = std::sync::OnceLock::new();
    if let Some(slow) = SLOW.get_or_init(|| std::env::var("REDPAJAMA_SLOW_COMMITS").ok()?.parse().ok()) {
        std::thread::sleep(std::time::Duration::from_millis(*slow));
    }

    static STEP: AtomicU64 = AtomicU64::new(0);
    static CRASH_AT: std::sync::OnceLock<Option<u64>> = std::sync::OnceLock::new();
    let crash_at = CRASH_AT.get_or_init(|| std::env::var("REDPAJAMA_CRASH_AT").ok()?.parse().ok());
    if let Some(step) = crash_at
        && STEP.fetch_add(1, Ordering::Relaxed) == *step
    {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut aside = store.aside("a/b.txt").unwrap();
        aside.write_all(b"red").unwrap();
        assert!(!store.has("a/b.txt"));
        let output = aside.publish().unwrap();
        assert_eq!(store.read("a/b.txt").unwrap(), b"red");
        store.check(&output).unwrap();
        fs::write(store.path("a/b.txt"), b"rod").unwrap();
        assert!(store.check(&output).is_err());
        drop(store.aside("a/c.txt").unwrap());
        assert_eq!(store.list("a").unwrap(), ["a/b.txt"]);
        assert_eq!(store.list(ASIDE).unwrap(), [""; 0]);
    }

    #[test]
    fn only_the_first_commit_of_a_name_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        assert!(store.write_new("commits/1.json", b"first").unwrap());
        assert!(!store.write_new("commits/1.json", b"second").unwrap());
        assert_eq!(store.read("commits/1.json").unwrap(), b"first");
    }

    #[test]
    fn whoever_leaves_takes_the_scratch_along() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        store.write("a", b"red").unwrap();
        store.leave().unwrap();
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn nobody_sweeps_under_another_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let other = Store::create(folder.path()).unwrap();
        assert!(!store.alone(|| Ok(())).unwrap());
        drop(other);
        assert!(store.alone(|| Ok(())).unwrap());
    }
}
