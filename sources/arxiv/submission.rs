//! Submissions: the files of LaTeX in what authors sent to arXiv, read as a stream and within limits.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};

use corpus::digest::Hashing;
use corpus::{Digest, Error, Evidence, RawFile, Reason};

use crate::archive::{self, Archive, Entry, Fault, Kind};
use crate::jsonl::Unfit;
use crate::raw::{Damage, Gzip};
use crate::repository;
use crate::{Raw, Result};

/// Bytes of LaTeX that are held of one submission. Ours: arXiv takes no submission beyond 50 MB, and
/// most of a large one is figures.
pub(crate) const HELD: usize = 32 << 20;

/// Bytes that a submission may decompress to: ten times what arXiv takes. Tests are in a hurry.
const DECODED: u64 = if cfg!(test) { 64 << 20 } else { 512 << 20 };

/// Bytes of a file without a known ending that are looked at to tell LaTeX.
const HEAD: usize = 4 << 10;

/// What is not read of a submission, by reason, and how often.
pub(crate) type Skipped = BTreeMap<&'static str, u64>;

/// The files of LaTeX that one submission holds, in its order.
#[derive(Default)]
pub(crate) struct Submission {
    pub files: Vec<TexFile>,
    pub skipped: Skipped,
    /// What arXiv's own `00README` says.
    pub readme: Vec<u8>,
    /// An ending of the other files, if there are some.
    pub other: Option<String>,
    held: usize,
}

pub(crate) struct TexFile {
    /// Inside the submission, with `/` between folders; empty if the submission is this one file.
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Decoded bytes that end where their compression is damaged.
pub(crate) trait Decoded: Read {
    /// How it is damaged, as far as it was read.
    fn damage(&self) -> Option<Damage>;
}

impl Decoded for Raw {
    fn damage(&self) -> Option<Damage> {
        Raw::damage(self).cloned()
    }
}

/// In memory.
impl Decoded for &[u8] {
    fn damage(&self) -> Option<Damage> {
        None
    }
}

/// A gzip file inside an archive.
pub(crate) struct Member<R> {
    gzip: Gzip<R>,
    damage: Option<Damage>,
}

impl<R: Read> Member<R> {
    pub fn new(from: R) -> Member<R> {
        Member { gzip: Gzip::new(from), damage: None }
    }
}

impl<R: Read> Read for Member<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.damage.is_some() {
            return Ok(0);
        }
        let gzip = &mut self.gzip;
        match crate::cost::decoding(|| gzip.read(into)) {
            // What the system says has a number; what the decoder says has none.
            Err(error) if error.raw_os_error().is_none() => {
                self.damage = Some(Damage { reason: Gzip::<R>::reason(&error), detail: error.to_string() });
                Ok(0)
            }
            read => read,
        }
    }
}

impl<R: Read> Decoded for Member<R> {
    fn damage(&self) -> Option<Damage> {
        self.damage.clone()
    }
}

/// Ends what decompresses to too much.
struct Bounded<'r> {
    from: &'r mut dyn Decoded,
    left: u64,
    bomb: bool,
}

impl Read for Bounded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.bomb = true;
            return Ok(0);
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.from.read(&mut into[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Reads a submission: a tar archive or one file.
pub(crate) fn read(from: &mut dyn Decoded) -> io::Result<Result<Submission, Unfit>> {
    let mut from = Bounded { from, left: DECODED, bomb: false };
    let mut head = vec![0; 512];
    let filled = archive::fill(&mut from, &mut head)?;
    head.truncate(filled);
    let mut submission = Submission::default();
    let fault = if archive::is_header(&head) {
        let mut archive = Archive::new(head.as_slice().chain(&mut from));
        let fault = submission.entries(&mut archive)?;
        io::copy(&mut archive.into_inner(), &mut io::sink())?;
        fault
    } else {
        let fault = not_tex(&head);
        if fault.is_none() {
            submission.hold(String::new(), &mut head.as_slice().chain(&mut from))?;
        }
        io::copy(&mut from, &mut io::sink())?;
        fault
    };
    if from.bomb {
        return Ok(Err((Reason("bomb"), Evidence::found(format!("more than {DECODED} bytes")))));
    }
    // What was padded with something behind its end is whole.
    let damage = from.from.damage().filter(|damage| damage.reason.0 != "garbage_after_gzip");
    if let Some(damage) = damage {
        return Ok(Err((damage.reason, Evidence::found(damage.detail))));
    }
    if let Some(unfit) = fault {
        return Ok(Err(unfit));
    }
    if submission.held > HELD {
        return Ok(Err((Reason("too_large"), Evidence::bound(submission.held as f64, HELD as f64))));
    }
    Ok(Ok(submission))
}

impl Submission {
    fn entries<R: Read>(&mut self, archive: &mut Archive<R>) -> io::Result<Option<Unfit>> {
        loop {
            let entry = match archive.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(None),
                Err(Fault::World(error)) => return Err(error),
                Err(Fault::Cut) => {
                    return Ok(Some((Reason("truncated_tar"), Evidence::found("the archive ends inside an entry"))));
                }
                Err(Fault::Broken(detail)) => return Ok(Some((Reason("bad_tar"), Evidence::found(detail)))),
            };
            self.entry(entry, archive)?;
        }
    }

    fn entry<R: Read>(&mut self, entry: Entry, archive: &mut Archive<R>) -> io::Result<()> {
        let skip = match entry.kind {
            Kind::Folder => return Ok(()),
            Kind::File => match repository::inside(&entry.path) {
                Some(path) => return self.take(path, archive),
                None => "unsafe_path",
            },
            Kind::Symlink => "symlink",
            Kind::HardLink => "hard_link",
            Kind::Other(_) => "not_a_file",
        };
        *self.skipped.entry(skip).or_default() += 1;
        Ok(())
    }

    /// Holds a file if it is LaTeX.
    fn take(&mut self, path: String, from: &mut impl Read) -> io::Result<()> {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.starts_with("00README") {
            return from.take(HEAD as u64).read_to_end(&mut self.readme).map(drop);
        }
        match Ending::of(name) {
            Ending::Tex => self.hold(path, from),
            Ending::Perhaps => {
                let mut head = Vec::new();
                from.take(HEAD as u64).read_to_end(&mut head)?;
                let tex = memchr::memmem::find(&head, b"\\document").is_some() && memchr::memchr(0, &head).is_none();
                if tex { self.hold(path, &mut head.as_slice().chain(from)) } else { Ok(()) }
            }
            Ending::Other => {
                if self.other.is_none() {
                    self.other = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
                }
                Ok(())
            }
        }
    }

    /// Beyond the limit bytes are counted, and no longer held.
    fn hold(&mut self, path: String, from: &mut impl Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        let room = HELD.saturating_sub(self.held);
        from.take(room as u64).read_to_end(&mut bytes)?;
        self.held += bytes.len() + usize::try_from(io::copy(from, &mut io::sink())?).unwrap_or(usize::MAX / 2);
        self.files.push(TexFile { path, bytes });
        Ok(())
    }
}

/// What the ending of a name says.
#[derive(PartialEq)]
enum Ending {
    Tex,
    /// Submissions of the nineties name their files as they like.
    Perhaps,
    Other,
}

impl Ending {
    fn of(name: &str) -> Ending {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
        match ending.as_str() {
            "tex" | "ltx" | "latex" => Ending::Tex,
            "" | "txt" | "tx" | "ltex" | "revtex" | "plain" | "main" | "paper" => Ending::Perhaps,
            ending if ending.bytes().all(|byte| byte.is_ascii_digit()) => Ending::Perhaps,
            _ => Ending::Other,
        }
    }
}

/// Whether a name is that of LaTeX.
pub(crate) fn is_tex(name: &str) -> bool {
    Ending::of(name) == Ending::Tex
}

/// What a submission of one file is, if it is something else than TeX.
fn not_tex(head: &[u8]) -> Option<Unfit> {
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let start = &start[..start.len().min(14)];
    let page = start.to_ascii_lowercase();
    let (reason, what) = match start {
        [b'%', b'P', b'D', b'F', ..] => ("pdf", "a PDF"),
        // `%!TEX root = paper.tex` tells editors something, and is LaTeX.
        [b'%', b'!', b'P', b'S', ..] | [4, b'%', b'!', ..] => ("postscript", "PostScript"),
        _ if page.starts_with(b"<!doctype html") || page.starts_with(b"<html") || page.starts_with(b"<?xml") => {
            ("html", "a page of HTML")
        }
        [b'P', b'K', 3, 4, ..] => ("no_tex", "a zip archive, such as a document of Word"),
        [0xf7, 2, ..] => ("no_tex", "a DVI file"),
        [0x1f, 0x8b, ..] | [0x1f, 0x9d, ..] => ("no_tex", "a compressed file in a compressed file"),
        // UTF-16 is full of NUL, and says so.
        _ if memchr::memchr(0, head).is_some() && !head.starts_with(b"\xff\xfe") && !head.starts_with(b"\xfe\xff") => {
            ("no_tex", "a binary file")
        }
        _ => return None,
    };
    Some((Reason(reason), Evidence::found(what)))
}

/// Reads the files of LaTeX in a folder: what they hold, the bytes of them all, and a digest of paths
/// and contents.
pub(crate) fn read_folder(file: &RawFile) -> Result<(Result<Submission, Unfit>, u64, Digest)> {
    let mut submission = Submission::default();
    let mut hasher = Hashing::new(io::sink());
    let mut bytes = 0;
    repository::walk(&file.path, "", &mut |item| {
        match item.kind {
            Some(Kind::File) if wanted(&item.below) => {
                let opened = File::open(&item.path).map_err(Error::io("cannot open", &item.path))?;
                let mut opened = Hashing::new(opened);
                submission.take(item.below.clone(), &mut opened).map_err(Error::io("cannot read", &item.path))?;
                io::copy(&mut opened, &mut io::sink()).map_err(Error::io("cannot read", &item.path))?;
                repository::hash(&mut hasher, &item.below, "file", &opened.digest().0);
                bytes += opened.length();
            }
            Some(Kind::Symlink) => *submission.skipped.entry("symlink").or_default() += 1,
            _ => {}
        }
        Ok(())
    })?;
    let held = submission.held;
    let outcome = match held > HELD {
        true => Err((Reason("too_large"), Evidence::bound(held as f64, HELD as f64))),
        false => Ok(submission),
    };
    Ok((outcome, bytes, hasher.digest()))
}

/// Whether a file of a folder is looked into.
fn wanted(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    Ending::of(name) != Ending::Other || name.starts_with("00README")
}

/// The raw file that stands for a folder: its bytes are those of its LaTeX.
pub(crate) fn find_folder(folder: &std::path::Path, base: &std::path::Path) -> Result<RawFile> {
    let name = crate::format::name("arxiv", folder, base);
    let mut raw_file = RawFile::new(name, folder);
    raw_file.modified = fs::metadata(folder).ok().and_then(|found| crate::format::modified(&found));
    repository::walk(folder, "", &mut |item| {
        if item.kind == Some(Kind::File) && wanted(&item.below) {
            raw_file.bytes += item.found.len();
            raw_file.modified = raw_file.modified.max(crate::format::modified(&item.found));
        }
        Ok(())
    })?;
    Ok(raw_file)
}
