//! Files on their way: into `.NAME.part` beside their place, through cuts and interruptions, and to
//! their names when they are whole and are what they should be.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use corpus::Digest;
use corpus::remote::{Check, Checks, Error, Network, Pin, Step, Stream};
use corpus::store::{crash_point, publish_file};
use serde::{Deserialize, Serialize};

use super::lock::{Lock, Pinned};
use super::progress::Progress;
use super::{Order, Wanted, check_room};
use crate::failure::{Code, Failure, Result};
use crate::report;
use crate::size::Size;

/// Bytes after which what was written is made to last: so much is lost by a power cut.
const SYNC: u64 = 32 << 20;
/// Files under way at once, whatever hosts they come from.
const MOST_FILES: usize = 64;
/// How often a file may turn out to be another one while it is fetched.
const ANEW: u32 = 4;

/// How files are brought.
pub struct How<'f> {
    /// The connections.
    pub network: &'f Arc<Network>,
    /// Ctrl-C.
    pub stop: &'f Arc<AtomicBool>,
    /// Take what the publisher has now, though it is not what was pinned.
    pub update: bool,
    /// Read what is there once more, and compare it with what was pinned and with the publisher's.
    pub check: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Files that are there.
    pub files: u64,
    /// Those of them that were brought now.
    pub brought: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Fetched {
    /// Adds another folder's.
    pub fn add(&mut self, other: &Fetched) {
        self.files += other.files;
        self.brought += other.brought;
        self.bytes += other.bytes;
    }

    /// For people.
    pub fn words(&self, name: &str, folder: &Path) -> String {
        let there = self.files - self.brought;
        let before = if there > 0 { format!(", {} were there", report::number(there)) } else { String::new() };
        let brought = report::count(self.brought, "file");
        format!("{name} → {}: {brought} brought ({}){before}", folder.display(), Size(self.bytes))
    }
}

/// What a half-fetched file is a part of, beside it.
#[derive(Serialize, Deserialize)]
struct State {
    address: String,
    pin: Pin,
    checks: Vec<Check>,
    /// So many bytes of it are on the disk for sure.
    synced: u64,
}

enum Outcome {
    WasThere,
    Brought(u64),
}

/// Brings all files of an order, several at once. What fails does not keep the others from coming.
pub fn bring_all(how: &How<'_>, order: &Order) -> Result<Fetched> {
    fs::create_dir_all(&order.folder).map_err(Failure::io("cannot create folder", &order.folder))?;
    let lock = Lock::open(&order.folder, how.stop)?;
    check_room(order)?;
    let progress = Progress::new(&order.wanted);
    let next = AtomicUsize::new(0);
    let fetched = Mutex::new(Fetched::default());
    let failures: Mutex<Vec<(usize, Failure)>> = Mutex::default();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(wanted) = order.wanted.get(at).filter(|_| !how.stop.load(Ordering::Relaxed)) else { return };
            let file = OneFile { how, wanted, lock: &lock, folder: &order.folder, progress: &progress };
            match file.bring() {
                Ok(outcome) => {
                    let mut fetched = fetched.lock().unwrap_or_else(PoisonError::into_inner);
                    fetched.files += 1;
                    if let Outcome::Brought(bytes) = outcome {
                        fetched.brought += 1;
                        fetched.bytes += bytes;
                    }
                }
                Err(failure) => {
                    // A full disk is full for all of them.
                    let ends = failure.code == Code::Interrupted || failure.message.starts_with("cannot ");
                    failures.lock().unwrap_or_else(PoisonError::into_inner).push((at, failure));
                    if ends {
                        next.store(order.wanted.len(), Ordering::Relaxed);
                    }
                }
            }
        }
    };
    let mut hosts: Vec<&str> = order.wanted.iter().map(|wanted| wanted.address.host()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let at_once = how.network.connections().saturating_mul(hosts.len()).min(MOST_FILES).min(order.wanted.len());
    std::thread::scope(|scope| {
        let tick = scope.spawn(|| progress.tick(how.network));
        let workers: Vec<_> = (0..at_once.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            // A panic of a worker is raised again at the end of the scope.
            let _ = worker.join();
        }
        progress.finish();
        let _ = tick.join();
    });
    lock.tidy()?;
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if how.stop.load(Ordering::Relaxed) {
        return Err(super::interrupted(Failure::new(Code::Interrupted, ""), how.stop));
    }
    failures.sort_by_key(|(at, _)| *at);
    let all = failures.len();
    match failures.into_iter().next() {
        None => Ok(fetched.into_inner().unwrap_or_else(PoisonError::into_inner)),
        Some((_, mut failure)) => {
            if all > 1 {
                let more = report::count(all as u64 - 1, "more file");
                failure.message = format!("{} (and {more} failed)", failure.message);
            }
            Err(failure)
        }
    }
}

/// One file on its way.
struct OneFile<'f> {
    how: &'f How<'f>,
    wanted: &'f Wanted,
    lock: &'f Lock,
    folder: &'f Path,
    progress: &'f Progress,
}

impl OneFile<'_> {
    fn bring(&self) -> Result<Outcome> {
        let target = self.folder.join(&self.wanted.name);
        let pinned = self.lock.get(&self.wanted.name);
        if let Ok(there) = fs::metadata(&target) {
            let kept = self.is_there(&target, there.len(), pinned.as_ref());
            if !self.how.update || kept.is_ok() {
                kept?;
                self.progress.done(self.wanted, there.len());
                return Ok(Outcome::WasThere);
            }
        }
        // Something on the way may have changed a byte: that is tried once more before it is believed.
        let fetched = match self.fetch(&target, pinned.as_ref()) {
            Err(failure) if failure.message.contains(WRONG_BYTES) => self.fetch(&target, pinned.as_ref()),
            other => other,
        };
        fetched.map(Outcome::Brought)
    }

    /// Looks at a file that lies where it should, and pins it if nobody has.
    fn is_there(&self, target: &Path, length: u64, pinned: Option<&Pinned>) -> Result<()> {
        let shown = target.display();
        let wrong = |detail: String| {
            Failure::new(Code::Damaged, format!("{shown} is not what should be there: {detail}"))
                .hint("move it away and run the same command again, or give --update to take the publisher's for it")
        };
        if let Some(wanted) = self.wanted.bytes.filter(|wanted| *wanted != length) {
            return Err(wrong(format!("it has {length} bytes, and should have {wanted}")));
        }
        if let Some(pinned) = pinned {
            if pinned.bytes != length {
                return Err(wrong(format!("it has {length} bytes, and had {} when it was fetched", pinned.bytes)));
            }
            if self.how.check {
                let digest = self.digest(target, length).map_err(wrong)?;
                if digest != pinned.digest {
                    return Err(wrong(format!("its BLAKE3 is {digest}, and was {}", pinned.digest)));
                }
                self.compare_with_publisher(pinned)?;
            }
            return Ok(());
        }
        // Someone brought it by hand, or a crash came between its name and its pin.
        let mut etag = None;
        if self.wanted.checks.is_empty() {
            let found = self.how.network.find(&self.wanted.address)?;
            if let Some(told) = found.bytes.filter(|told| *told != length) {
                return Err(wrong(format!("it has {length} bytes, and {told} at {}", self.wanted.address)));
            }
            etag = found.etag;
        }
        let digest = self.digest(target, length).map_err(wrong)?;
        self.pin(length, digest, etag)
    }

    fn digest(&self, path: &Path, length: u64) -> Result<Digest, String> {
        let mut checks = Checks::new(&self.wanted.checks);
        checks.see(path, length).map_err(|error| error.to_string())?;
        checks.finish()
    }

    fn compare_with_publisher(&self, pinned: &Pinned) -> Result<()> {
        let found = self.how.network.find(&self.wanted.address)?;
        let etags = (&found.etag, &pinned.etag);
        let detail = match (found.bytes, etags) {
            (Some(bytes), _) if bytes != pinned.bytes => format!("it has {bytes} bytes, and had {}", pinned.bytes),
            (_, (Some(now), Some(then))) if now != then => format!("its etag is {now}, and was {then}"),
            _ => return Ok(()),
        };
        Err(self.has_changed(&detail))
    }

    fn pin(&self, bytes: u64, digest: Digest, etag: Option<String>) -> Result<()> {
        let (name, address) = (self.wanted.name.clone(), self.wanted.address.to_string());
        self.lock.pin(Pinned { name, address, bytes, digest, etag })
    }

    fn has_changed(&self, detail: &str) -> Failure {
        let message = format!("{} is no longer what was pinned: {detail}", self.wanted.address);
        Failure::new(Code::Damaged, message).hint(format!(
            "its publisher has changed it: --update takes what is there now and pins it anew ({})",
            self.folder.join(super::lock::LOCK).display()
        ))
    }

    /// Fetches a file, from where an earlier attempt left it.
    fn fetch(&self, target: &Path, pinned: Option<&Pinned>) -> Result<u64> {
        let pinned = pinned.filter(|_| !self.how.update);
        let mut part = Part::open(target, self.wanted)?;
        let mut stream = Stream::new(self.how.network.clone(), self.wanted.address.clone());
        let mut checks = None;
        if let Some(state) = &part.state {
            let mut known = Checks::new(&state.checks);
            known.see(&part.path, part.length)?;
            stream = stream.from(part.length, state.pin.clone()).checked(!state.checks.is_empty() || pinned.is_some());
            checks = Some(known);
        } else {
            stream = stream.checked(!self.wanted.checks.is_empty() || pinned.is_some());
        }
        self.progress.begin(self.wanted, part.length);
        let mut block = vec![0; 256 << 10];
        let mut anew = 0;
        let ended = loop {
            let step = match stream.open() {
                Ok(Some(step)) => Ok(step),
                Ok(None) => {
                    if checks.is_none() {
                        checks = Some(self.start(&mut part, &stream, pinned)?);
                    }
                    stream.step(&mut block)
                }
                Err(error) => Err(error),
            };
            match step {
                Ok(Step::Bytes(read)) => {
                    part.write(&block[..read], &stream)?;
                    if let Some(checks) = &mut checks {
                        checks.update(&block[..read]);
                    }
                    self.progress.more(self.wanted, read as u64, stream.pin().and_then(|pin| pin.bytes));
                }
                Ok(Step::Anew(why)) => {
                    anew += 1;
                    if anew > ANEW {
                        let address = self.wanted.address.to_string();
                        break Err(Error::Changed { address, detail: format!("and again and again: {why}") });
                    }
                    part.begin_anew()?;
                    checks = None;
                    self.progress.anew(self.wanted);
                }
                Ok(Step::End) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = ended {
            // What came so far is kept for the next time.
            part.save(&stream)?;
            return Err(error.into());
        }
        let Some(checks) = checks else { return Err(self.has_changed("it cannot be read")) };
        let length = part.length;
        if let Some(wanted) = self.wanted.bytes.filter(|wanted| *wanted != length) {
            part.begin_anew()?;
            return Err(self.wrong_bytes(&format!("it has {length} bytes, not {wanted}")));
        }
        let digest = match checks.finish() {
            Ok(digest) => digest,
            Err(detail) => {
                part.begin_anew()?;
                return Err(self.wrong_bytes(&detail));
            }
        };
        if let Some(pinned) = pinned.filter(|pinned| pinned.digest != digest) {
            part.begin_anew()?;
            return Err(self.has_changed(&format!("its BLAKE3 is {digest}, and was {}", pinned.digest)));
        }
        part.publish(target)?;
        self.pin(length, digest, stream.pin().and_then(|pin| pin.etag.clone()))?;
        part.forget()?;
        self.progress.done(self.wanted, length);
        Ok(length)
    }

    /// Compares what the publisher says with what is known, before a byte is kept.
    fn start(&self, part: &mut Part, stream: &Stream, pinned: Option<&Pinned>) -> Result<Checks> {
        let told = stream.found().and_then(|found| found.bytes);
        if let (Some(told), Some(pinned)) = (told, pinned)
            && told != pinned.bytes
        {
            return Err(self.has_changed(&format!("it has {told} bytes, and had {}", pinned.bytes)));
        }
        if let (Some(told), Some(wanted)) = (told, self.wanted.bytes)
            && told != wanted
        {
            let message = format!("{} has {told} bytes, and should have {wanted}", self.wanted.address);
            return Err(Failure::new(Code::Damaged, message)
                .hint("the manifest names another file than its publisher has: look at both"));
        }
        let mut all = self.wanted.checks.clone();
        all.extend(stream.found().into_iter().flat_map(|found| found.checks.clone()));
        all.sort();
        all.dedup();
        let checks = Checks::new(&all);
        let pin = stream.pin().cloned().unwrap_or_default();
        part.state = Some(State { address: self.wanted.address.to_string(), pin, checks: all, synced: 0 });
        Ok(checks)
    }

    fn wrong_bytes(&self, detail: &str) -> Failure {
        Failure::new(Code::Damaged, format!("{}: {WRONG_BYTES}: {detail}", self.wanted.address))
            .hint("what its publisher sends is not the file that was promised: try later, or look at the manifest")
    }
}

const WRONG_BYTES: &str = "wrong bytes came, twice over";

/// The file that is written, beside its place and hidden.
struct Part {
    path: PathBuf,
    state_path: PathBuf,
    file: File,
    length: u64,
    state: Option<State>,
    published: bool,
}

/// Nothing is left of a file of which nothing came.
impl Drop for Part {
    fn drop(&mut self) {
        if self.length == 0 && !self.published {
            // Best effort: an empty file harms nobody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Part {
    /// What is there already is kept as far as it is on the disk for sure.
    fn open(target: &Path, wanted: &Wanted) -> Result<Part> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.part"));
        let state_path = target.with_file_name(format!(".{name}.part.json"));
        let folder = target.parent().unwrap_or(target);
        fs::create_dir_all(folder).map_err(Failure::io("cannot create folder", folder))?;
        let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = opened.map_err(Failure::io("cannot create", &path))?;
        let state: Option<State> = fs::read(&state_path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        // A state of another address, or of other digests, is of another file.
        let state = state.filter(|state| {
            state.address == wanted.address.to_string()
                && wanted.checks.iter().all(|check| state.checks.contains(check))
                && state.pin.bytes.zip(wanted.bytes).is_none_or(|(told, wanted)| told == wanted)
        });
        let there = file.metadata().map_err(Failure::io("cannot read", &path))?.len();
        let length = state.as_ref().map_or(0, |state| state.synced.min(there));
        file.set_len(length).map_err(Failure::io("cannot write", &path))?;
        file.seek(SeekFrom::Start(length)).map_err(Failure::io("cannot write", &path))?;
        Ok(Part { path, state_path, file, length, state: state.filter(|_| length > 0), published: false })
    }

    fn write(&mut self, bytes: &[u8], stream: &Stream) -> Result<()> {
        self.file.write_all(bytes).map_err(Failure::io("cannot write", &self.path))?;
        let before = self.length / SYNC;
        self.length += bytes.len() as u64;
        if self.length / SYNC > before { self.save(stream) } else { Ok(()) }
    }

    /// Makes what is written last, and says how much that is.
    fn save(&mut self, stream: &Stream) -> Result<()> {
        let Some(state) = &mut self.state else { return Ok(()) };
        self.file.sync_data().map_err(Failure::io("cannot sync", &self.path))?;
        crash_point();
        state.synced = self.length;
        if let Some(pin) = stream.pin().filter(|_| stream.at() == self.length) {
            state.pin = pin.clone();
        }
        let text = serde_json::to_vec(state).unwrap_or_default();
        let aside = self.state_path.with_extension("json.new");
        let written = fs::write(&aside, text).and_then(|()| fs::rename(&aside, &self.state_path));
        written.map_err(Failure::io("cannot write", &self.state_path))?;
        crash_point();
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<()> {
        self.forget()?;
        self.file.set_len(0).map_err(Failure::io("cannot write", &self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(Failure::io("cannot write", &self.path))?;
        (self.length, self.state) = (0, None);
        Ok(())
    }

    fn publish(&mut self, target: &Path) -> Result<()> {
        publish_file(&self.file, &self.path, target)?;
        self.published = true;
        Ok(())
    }

    fn forget(&self) -> Result<()> {
        match fs::remove_file(&self.state_path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::io("cannot remove", &self.state_path)(error))
            }
            _ => Ok(()),
        }
    }
}
