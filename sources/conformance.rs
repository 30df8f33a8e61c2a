//! One suite that every source passes with every form of raw file it reads, and what each does with
//! bad input.

mod parquet;
mod repositories;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use corpus::manifest::RawRead;
use corpus::{Digest, Evidence, Meta, RawFile};

use crate::{Error, Limits, Record, Result, Sink, Source, SourceSpec};

pub(crate) const LIMITS: Limits = Limits { max_document: 1 << 20 };

/// What became of one record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Text(String, Meta, String),
    Unusable(&'static str, Evidence, u64),
}

/// A sink that keeps all it is given, up to a number of records.
pub(crate) struct Seen {
    pub records: Vec<(String, u64, Outcome)>,
    pub files: Vec<RawRead>,
    most: usize,
    slice: Box<dyn Source>,
}

impl Sink for Seen {
    fn record(&mut self, record: Record) -> Result<()> {
        if self.records.len() == self.most {
            return Err(Error::Stopped);
        }
        self.records.push(match record {
            Record::Document(document) => {
                let mut line = String::new();
                self.slice.original_line(&document, &mut line).unwrap();
                let text = document.text().to_owned();
                (document.id.raw_file.to_string(), document.id.record, Outcome::Text(text, document.meta, line))
            }
            Record::Unusable { id, reason, evidence, bytes } => {
                (id.raw_file.to_string(), id.record, Outcome::Unusable(reason.0, evidence, bytes))
            }
        });
        Ok(())
    }

    fn finished(&mut self, read: RawRead) -> Result<()> {
        self.files.push(read);
        Ok(())
    }
}

impl Seen {
    pub fn texts(&self) -> Vec<&str> {
        let texts = self.records.iter().map(|(_, _, outcome)| match outcome {
            Outcome::Text(text, ..) => Some(text.as_str()),
            Outcome::Unusable(..) => None,
        });
        texts.flatten().collect()
    }

    pub fn metas(&self) -> Vec<&Meta> {
        let metas = self.records.iter().map(|(_, _, outcome)| match outcome {
            Outcome::Text(_, meta, _) => Some(meta),
            Outcome::Unusable(..) => None,
        });
        metas.flatten().collect()
    }

    /// `text` for documents, the reason for others.
    pub fn outcomes(&self) -> Vec<&'static str> {
        let outcomes = self.records.iter().map(|(_, _, outcome)| match outcome {
            Outcome::Text(..) => "text",
            Outcome::Unusable(reason, ..) => reason,
        });
        outcomes.collect()
    }
}

pub(crate) fn read_files(slice: &str, files: &[RawFile], limits: Limits, most: usize) -> (Seen, Result<()>) {
    let source = SourceSpec::default_for(slice).unwrap().build();
    let mut seen = Seen { records: Vec::new(), files: Vec::new(), most, slice: source };
    let source = SourceSpec::default_for(slice).unwrap().build();
    let ended = source.read(files, limits, &std::env::temp_dir(), &mut seen);
    (seen, ended)
}

/// Reads files to their end, with options of a source.
pub(crate) fn read_spec(spec: &SourceSpec, files: &[RawFile]) -> Seen {
    let mut seen = Seen { records: Vec::new(), files: Vec::new(), most: usize::MAX, slice: spec.build() };
    spec.build().read(files, LIMITS, &std::env::temp_dir(), &mut seen).unwrap();
    seen
}

pub(crate) fn find(slice: &str, path: &Path) -> Vec<RawFile> {
    let base = if path.is_dir() { path } else { path.parent().unwrap() };
    SourceSpec::default_for(slice).unwrap().build().find(path, base).unwrap()
}

/// Reads all that lies at a path, and checks on the way what holds for every source.
#[track_caller]
pub(crate) fn read(slice: &str, path: &Path) -> Seen {
    let files = find(slice, path);
    let (seen, ended) = read_files(slice, &files, LIMITS, usize::MAX);
    ended.unwrap();
    assert_eq!(seen.files.len(), files.len());

    // Twice gives the same.
    let (again, _) = read_files(slice, &files, LIMITS, usize::MAX);
    assert!(again.records == seen.records && again.files == seen.files, "not the same twice");

    // File by file gives the same, and records are numbered from 0.
    let mut at = 0;
    for (file, told) in files.iter().zip(&seen.files) {
        let (alone, ended) = read_files(slice, std::slice::from_ref(file), LIMITS, usize::MAX);
        ended.unwrap();
        assert!(alone.records == seen.records[at..at + told.records as usize], "{}", file.name);
        for (number, (name, record, _)) in alone.records.iter().enumerate() {
            assert_eq!((name.as_str(), *record), (&*file.name, number as u64));
        }
        at += told.records as usize;
        assert_eq!(told.bytes, file.bytes, "{}", file.name);
        if file.path.is_file() && file.range.is_none() {
            assert_eq!(told.digest, Some(Digest::of_file(&file.path).unwrap().0));
        }
        assert!(told.digest.is_some() && file.name.starts_with(&format!("{slice}/")));
    }
    assert_eq!(at, seen.records.len());

    // Whoever wants no more gets no more.
    for most in [0, 1, seen.records.len() / 2] {
        let (some, ended) = read_files(slice, &files, LIMITS, most);
        if most < seen.records.len() {
            assert!(matches!(ended, Err(Error::Stopped)));
            assert!(some.records == seen.records[..most]);
            // Only files that were read whole are accounted for.
            assert!(seen.files.starts_with(&some.files) && some.files.len() < files.len());
        }
    }

    // A document beyond the limit is counted in its place.
    let (short, ended) = read_files(slice, &files, Limits { max_document: 40 }, usize::MAX);
    ended.unwrap();
    assert_eq!(short.records.len(), seen.records.len());
    for ((_, _, short), (_, _, outcome)) in short.records.iter().zip(&seen.records) {
        match outcome {
            Outcome::Text(text, ..) if text.len() > 40 => {
                assert!(matches!(short, Outcome::Unusable("too_large", ..)), "{short:?}");
            }
            // Too much was not even looked at.
            Outcome::Unusable("bad_utf8", _, bytes) if *bytes > 40 => {}
            other => assert_eq!(short, other),
        }
    }

    // The original's line is one line of JSON that holds the text.
    for (_, _, outcome) in &seen.records {
        let Outcome::Text(text, meta, line) = outcome else { continue };
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["text"].as_str(), Some(text.as_str()));
        assert!(json["meta"].is_object() && line.is_ascii() && !line.contains('\n'));
        assert!(serde_json::from_str::<serde_json::Value>(&meta.json).unwrap().is_object());
    }
    seen
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slices").join(name)
}

pub(crate) fn put(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// xz is only read here, so this was written by `xz`: three lines of JSON.
const XZ: &[u8] =
    b"\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x1c\x00\x00\x00\x10\xcf\x58\xcc\xe0\
    \x00\x38\x00\x2b\x5d\x00\x3d\x88\x8a\x86\x94\x88\x13\xe0\xf3\x89\x4a\x79\xc1\x9c\x92\x19\x64\x4f\x84\
    \x98\x3b\xeb\x03\xd2\xd0\x4d\x31\x89\xef\x70\xc9\xdc\x80\xf2\xc2\x55\x50\xfb\x57\xef\x4f\x36\xe0\x00\
    \x00\xd4\x7c\xd5\x32\x6d\x8a\x02\x10\x00\x01\x47\x39\xe1\xe4\xbb\xc0\x1f\xb6\xf3\x7d\x01\x00\x00\x00\
    \x00\x04\x59\x5a";

const SLICES: [(&str, &str); 3] = [
    ("c4", "c4/c4-sample.json"),
    ("github", "github/bigquery.jsonl"),
    ("wikipedia", "wikipedia/enwiki-20260101-pages-articles.xml"),
];

#[test]
fn every_compression_reads_like_plain_text() {
    for (slice, name) in SLICES {
        let bytes = fs::read(fixture(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let plain = read(slice, &put(&folder, "a", &bytes));
        assert!(plain.records.len() >= 60);
        let middle = bytes.len() / 2;
        let halves = |encode: fn(&[u8]) -> Vec<u8>| [encode(&bytes[..middle]), encode(&bytes[middle..])].concat();
        for encoded in [gzip(&bytes), halves(gzip), zstd(&bytes), halves(zstd), bzip2(&bytes), halves(bzip2)] {
            let decoded = read(slice, &put(&folder, "a", &encoded));
            assert!(decoded.records == plain.records);
            assert_eq!(decoded.files[0].damage, None);
        }
    }
}

#[test]
fn xz_reads_too() {
    let folder = tempfile::tempdir().unwrap();
    let texts = ["one", "two", "three"];
    assert_eq!(read("c4", &put(&folder, "a", XZ)).texts(), texts);
    let twice = read("c4", &put(&folder, "a", &[XZ, XZ].concat()));
    assert_eq!(twice.texts(), [texts, texts].concat());
    let cut = read("c4", &put(&folder, "a", &XZ[..XZ.len() - 30]));
    assert_eq!(cut.outcomes().last(), Some(&"truncated_xz"));
}

/// Compressed input that is cut or broken: what came before is read, and the damage counted.
#[test]
fn what_comes_before_damage_is_read() {
    let (slice, name) = SLICES[1];
    let plain = read(slice, &fixture(name));
    let bytes = fs::read(fixture(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut flipped = gzip(&bytes);
    let middle = flipped.len() * 2 / 3;
    flipped[middle..middle + 64].fill(0xff);
    let check = |encoded: &[u8], reason: &str, at_least: usize| {
        let seen = read(slice, &put(&folder, "bigquery.jsonl", encoded));
        assert_eq!(seen.outcomes().last(), Some(&reason));
        // Broken bytes may still decode to something, until the decoder notices.
        let same = seen.records.iter().zip(&plain.records).take_while(|(seen, plain)| seen == plain).count();
        let whole = if encoded == flipped { same } else { seen.records.len() - 1 };
        assert_eq!(same, whole, "{reason}");
        assert!(whole >= at_least, "{reason}: {whole} records");
        assert!(seen.files[0].damage.as_deref().unwrap().starts_with(reason));
    };
    let all = plain.records.len();
    let third = |encoded: Vec<u8>| encoded[..encoded.len() * 2 / 3].to_vec();
    check(&third(gzip(&bytes)), "truncated_gzip", all / 4);
    check(&third(zstd(&bytes)), "truncated_zstd", 0);
    check(&third(bzip2(&bytes)), "truncated_bzip2", 0);
    check(&flipped, "bad_gzip", all / 4);
    let mut checksum = gzip(&bytes);
    let end = checksum.len();
    checksum[end - 5] ^= 1;
    check(&checksum, "bad_gzip", all);
    check(&[gzip(&bytes), b"garbage".to_vec()].concat(), "garbage_after_gzip", all);
    check(&[zstd(&bytes), b"garbage".to_vec()].concat(), "bad_zstd", all);
    check(&[bzip2(&bytes), b"garbage".to_vec()].concat(), "bad_bzip2", all);
    let padded = read(slice, &put(&folder, "bigquery.jsonl", &[gzip(&bytes), vec![0; 700]].concat()));
    assert!(padded.records == plain.records);
}

#[test]
fn every_bad_line_has_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<(&[u8], &str)> = vec![
        (b"\xef\xbb\xbf{\"text\": \"with a byte order mark\"}", "text"),
        (b"{\"text\": \"plain\", \"n\": 1.5e3, \"deep\": {\"a\": [1, \"x\\n\", null]}}\r", "text"),
        (b"", "blank_line"),
        (b"not json", "bad_json"),
        (b"{\"text\": \"cut", "bad_json"),
        (b"{\"text\": \"a\"} and more", "bad_json"),
        (b"{\"text\": \"nul \x00 byte\"}", "bad_json"),
        (b"{\"text\": \"a\", \"n\": 1e999}", "bad_json"),
        (b"{\"text\": \"bad \xff byte\"}", "bad_utf8"),
        (b"[1, 2]", "not_an_object"),
        (b"12", "not_an_object"),
        (b"{\"title\": \"a\"}", "missing_column"),
        (b"{\"text\": null}", "no_text"),
        (b"{\"text\": 7}", "wrong_type"),
        (b"{\"text\": [\"a\"]}", "wrong_type"),
        (b"{\"text\": \"\\ud800\"}", "lone_surrogate"),
        (b"{\"text\": \"\\udc00\\ud800\"}", "lone_surrogate"),
        (b"{\"text\": \"a\", \"url\": \"\\ud800x\"}", "lone_surrogate"),
        (b"{\"text\": \"\\u0000 \\ud83d\\ude00 \\u00e9 \\\\ \\/ \\\" \\b\\f\\n\\r\\t\"}", "text"),
        (b"{\"text\": \"first\", \"text\": \"last\", \"url\": \"a\", \"url\": \"b\"}", "text"),
        (b"{\"\\u0074ext\": \"an escaped key\"}", "text"),
    ];
    let deep = format!("{{\"text\": \"a\", \"x\": {}{}}}", "[".repeat(9000), "]".repeat(9000));
    let mut bytes = Vec::new();
    for (line, _) in &lines {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(deep.as_bytes());
    let seen = read("c4", &put(&folder, "a.json", &bytes));
    let expected: Vec<&str> = lines.iter().map(|(_, outcome)| *outcome).chain(["bad_json"]).collect();
    assert_eq!(seen.outcomes(), expected);
    let odd = "\0 😀 é \\ / \" \u{8}\u{c}\n\r\t";
    let texts = ["with a byte order mark", "plain", odd, "last", "an escaped key"];
    assert_eq!(seen.texts(), texts);
    assert_eq!(seen.metas()[1].json, r#"{"n":1.5e3,"deep":{"a": [1, "x\n", null]}}"#);
    assert_eq!(seen.metas()[3].url.as_deref(), Some("b"));
}

#[test]
fn an_empty_file_has_no_records() {
    let folder = tempfile::tempdir().unwrap();
    for (slice, _) in SLICES {
        for bytes in [Vec::new(), gzip(b"")] {
            let seen = read(slice, &put(&folder, "empty", &bytes));
            assert_eq!((seen.records.len(), seen.files[0].records), (0, 0));
        }
    }
}

#[test]
fn a_foreign_file_is_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let seen = read("c4", &put(&folder, "a.zip", b"PK\x03\x04 and so on"));
    assert_eq!(seen.outcomes(), ["unknown_format"]);
    assert_eq!(seen.files[0].damage.as_deref(), Some("unknown_format: a zip archive"));
}

/// 24 MB in one line: read past in small blocks, counted once, and the next line is a record.
#[test]
fn an_enormous_line_is_counted_and_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(24 << 20);
    let lines = format!("{{\"text\": \"a\"}}\n{{\"text\": \"{long}\"}}\n{{\"text\": \"b\"}}\n{long}");
    let path = put(&folder, "a.json.gz", &gzip(lines.as_bytes()));
    let (seen, ended) = read_files("c4", &find("c4", &path), LIMITS, usize::MAX);
    ended.unwrap();
    assert_eq!(seen.outcomes(), ["text", "too_large", "text", "too_large"]);
    let Outcome::Unusable(_, _, bytes) = &seen.records[1].2 else { panic!("{:?}", seen.records[1]) };
    assert_eq!(*bytes, (24 << 20) + 12);
}

/// Only an ordinary user is refused: as root this says that it was skipped.
#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_an_error_with_its_path() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "closed/a.json", b"{\"text\": \"a\"}");
    let files = find("c4", &path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        let mut out = std::io::stderr();
        writeln!(out, "skipped: this user may read everything").unwrap();
        return;
    }
    let (_, ended) = read_files("c4", &files, LIMITS, usize::MAX);
    assert!(ended.unwrap_err().to_string().contains("a.json"));
    let closed = path.parent().unwrap();
    fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
    let source = SourceSpec::default_for("c4").unwrap().build();
    let error = source.find(closed, closed).unwrap_err();
    fs::set_permissions(closed, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(error.to_string().contains("closed"));
}

/// One entry of a tar archive.
pub(crate) fn entry(path: &[u8], kind: tar::EntryType, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_link_name_literal(link).unwrap();
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A file of members of every size: empty, small, too large to be decoded whole, and hardly
/// compressed at all. However it is cut, what comes before is read.
#[test]
fn members_of_every_size_are_decoded() {
    const SMALL_MEMBER: usize = 4096;
    let mut state = 5u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut plain = Vec::new();
    let mut encoded = Vec::new();
    let mut ends = Vec::new();
    for size in [0, 1, 300_000, 0, 7, 5 << 20, 40, 1_500_000, 0, 0, 2_000, 300_000, 11] {
        // Letters of which half the bits are chance; of every second member all.
        let mask = if ends.len() % 2 == 0 { 0x0f } else { 0xff };
        let member: Vec<u8> = (0..size).map(|_| (next() as u8 & mask) | 1).collect();
        plain.extend_from_slice(&member);
        encoded.extend_from_slice(&gzip(&member));
        ends.push((encoded.len(), plain.len()));
    }
    let folder = tempfile::tempdir().unwrap();
    let decoded = |bytes: &[u8], at_once: usize| {
        let path = put(&folder, "a.gz", bytes);
        let file = RawFile { bytes: bytes.len() as u64, ..RawFile::new("a", path) };
        let mut raw = crate::Raw::open(&file).unwrap();
        let mut decoded = Vec::new();
        let mut block = vec![0; at_once];
        loop {
            match std::io::Read::read(&mut raw, &mut block).unwrap() {
                0 => return (decoded, raw.damage().map(|damage| damage.reason.0)),
                read => decoded.extend_from_slice(&block[..read]),
            }
        }
    };
    for at_once in [999, 64 << 10, 8 << 20] {
        assert!(decoded(&encoded, at_once) == (plain.clone(), None), "{at_once}");
    }
    assert!(decoded(&[&encoded[..], &[0; 300]].concat(), 1 << 18) == (plain.clone(), None));
    let garbage = decoded(&[&encoded[..], b"\x1f\x8c garbage"].concat(), 1 << 18);
    assert!(garbage == (plain.clone(), Some("garbage_after_gzip")));
    for at in 0..ends.len() {
        let (end, whole) = ends[at];
        let (cut, reason) = decoded(&encoded[..end - 5], 1 << 18);
        assert!(plain.starts_with(&cut) && cut.len() == whole, "{at}");
        assert_eq!(reason, Some("truncated_gzip"), "{at}");
        let mut flipped = encoded.clone();
        flipped[end - 6] ^= 1;
        let (some, reason) = decoded(&flipped, 1 << 18);
        // A small one is passed over, and all others are there; a large one is handed out as it is
        // decoded, and nothing after it. Of one without content nothing tells that it was one.
        let start = if at > 0 { ends[at - 1].1 } else { 0 };
        let passed = some == [&plain[..start], &plain[whole..]].concat() && reason == Some("bad_gzip_members");
        let expected = if start == whole && at > 0 { "garbage_after_gzip" } else { "bad_gzip" };
        let stopped = some == plain[..whole] && reason == Some(expected);
        assert!(passed || stopped, "{at}: {reason:?}");
        // After a large member the next is not looked at as a whole.
        let after_small = at > 0 && start - if at > 1 { ends[at - 2].1 } else { 0 } < SMALL_MEMBER;
        let small = (7..SMALL_MEMBER).contains(&(whole - start)) && after_small;
        assert!(passed || !small || at + 1 == ends.len(), "{at}");
    }
    let empty = gzip(b"").repeat(20_000);
    assert_eq!(decoded(&empty, 1 << 18), (Vec::new(), None));
}
