//! The lists that publishers make of their files.

use std::collections::BTreeMap;
use std::io::Read;

use corpus::remote::{Address, Check, Kind};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

use crate::manifest::Form;

/// The longest list, decoded: Common Crawl's of a crawl has some 13 MB.
const LONGEST: u64 = 1 << 30;

/// One file of a list.
#[derive(Debug, PartialEq)]
pub struct Listed {
    /// Its address.
    pub address: String,
    /// Its length.
    pub bytes: Option<u64>,
    /// Its digests.
    pub checks: Vec<Check>,
}

/// Reads a list. Paths stand behind `prefix`; whole addresses stay as they are.
pub fn read(form: Form, contents: &[u8], prefix: &str) -> Result<Vec<Listed>, String> {
    let text = decoded(contents)?;
    match form {
        Form::Paths => Ok(paths(&text, prefix)),
        Form::Arxiv => arxiv(&text, prefix),
        Form::Wikimedia => wikimedia(&text, prefix),
        Form::ArchiveOrg => archive_org(&text, prefix),
    }
}

fn decoded(contents: &[u8]) -> Result<String, String> {
    let mut text = Vec::new();
    if contents.starts_with(&[0x1f, 0x8b]) {
        let decoder = flate2::read::MultiGzDecoder::new(contents);
        decoder.take(LONGEST).read_to_end(&mut text).map_err(|error| format!("broken gzip: {error}"))?;
    } else {
        text.extend_from_slice(contents);
    }
    String::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())
}

fn paths(text: &str, prefix: &str) -> Vec<Listed> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let address = |path: &str| match Address::is_one(path) {
        true => path.to_owned(),
        false => format!("{prefix}{path}"),
    };
    lines.map(|path| Listed { address: address(path), bytes: None, checks: Vec::new() }).collect()
}

/// `<arXivSRC><file><filename>src/arXiv_src_0001_001.tar</filename><md5sum>…</md5sum><size>…</size>…`
fn arxiv(text: &str, prefix: &str) -> Result<Vec<Listed>, String> {
    let mut reader = Reader::from_str(text);
    let mut listed = Vec::new();
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut inside = String::new();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                inside = start.local_name().as_ref().to_owned();
                if inside == "file" {
                    fields.clear();
                }
            }
            Event::Text(text) => fields.entry(inside.clone()).or_default().push_str(text.trim()),
            Event::End(end) if end.local_name().as_ref() == "file" => {
                let name = fields.get("filename").ok_or("a file without a name")?;
                listed.push(Listed {
                    address: format!("{prefix}{name}"),
                    bytes: fields.get("size").and_then(|size| size.parse().ok()),
                    checks: check(Kind::Md5, fields.get("md5sum")),
                });
            }
            Event::End(_) => inside.clear(),
            Event::Eof => return Ok(listed),
            _ => {}
        }
    }
}

fn check(kind: Kind, digits: Option<&String>) -> Vec<Check> {
    digits.and_then(|digits| Check::new(kind, digits)).into_iter().collect()
}

/// `{"jobs": {"articlesmultistreamdump": {"status": "done", "files": {"NAME": {"size", "url", "md5", "sha1"}}}}}`
fn wikimedia(text: &str, prefix: &str) -> Result<Vec<Listed>, String> {
    #[derive(Deserialize)]
    struct Status {
        jobs: BTreeMap<String, Job>,
    }
    #[derive(Deserialize)]
    struct Job {
        #[serde(default)]
        status: String,
        #[serde(default)]
        files: BTreeMap<String, File>,
    }
    #[derive(Deserialize)]
    struct File {
        size: Option<u64>,
        md5: Option<String>,
        sha1: Option<String>,
    }
    let status: Status = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut files: BTreeMap<String, Listed> = BTreeMap::new();
    // A dump that is still being made names files that are not there yet.
    for job in status.jobs.into_values().filter(|job| job.status == "done") {
        for (name, file) in job.files {
            let mut checks = check(Kind::Sha1, file.sha1.as_ref());
            checks.extend(check(Kind::Md5, file.md5.as_ref()));
            // Some files belong to two jobs.
            files.insert(name.clone(), Listed { address: format!("{prefix}{name}"), bytes: file.size, checks });
        }
    }
    Ok(files.into_values().collect())
}

/// `{"server": …, "files": [{"name", "source": "original", "size": "12", "md5", "sha1"}], "metadata": {"identifier"}}`
fn archive_org(text: &str, prefix: &str) -> Result<Vec<Listed>, String> {
    #[derive(Deserialize)]
    struct Item {
        files: Vec<File>,
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        identifier: String,
    }
    #[derive(Deserialize)]
    struct File {
        name: String,
        size: Option<String>,
        md5: Option<String>,
        sha1: Option<String>,
        source: Option<String>,
    }
    let item: Item = serde_json::from_str(text).map_err(|error| error.to_string())?;
    // The list lies at /metadata/ITEM, the files at /download/ITEM/NAME.
    let root = prefix.strip_suffix("metadata/").map(|root| format!("{root}download/{}/", item.metadata.identifier));
    let prefix = root.as_deref().unwrap_or(prefix);
    let mut listed = Vec::new();
    // Derived files are archive.org's, and change.
    for file in item.files.into_iter().filter(|file| file.source.as_deref() != Some("derivative")) {
        let mut checks = check(Kind::Sha1, file.sha1.as_ref());
        checks.extend(check(Kind::Md5, file.md5.as_ref()));
        let name = file.name.replace('%', "%25").replace(' ', "%20").replace('?', "%3F").replace('#', "%23");
        let bytes = file.size.and_then(|size| size.parse().ok());
        listed.push(Listed { address: format!("{prefix}{name}"), bytes, checks });
    }
    listed.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses, lengths and first digests.
    fn rows(form: Form, text: &str, prefix: &str) -> Vec<(String, Option<u64>, usize)> {
        let listed = read(form, text.as_bytes(), prefix).unwrap();
        listed.into_iter().map(|file| (file.address, file.bytes, file.checks.len())).collect()
    }

    #[test]
    fn a_line_is_a_path_or_an_address() {
        let listed = rows(Form::Paths, "crawl-data/a.gz\r\n\nhttps://b.example/c\n", "https://d.example/");
        let addresses: Vec<&str> = listed.iter().map(|(address, ..)| address.as_str()).collect();
        assert_eq!(addresses, ["https://d.example/crawl-data/a.gz", "https://b.example/c"]);
    }

    #[test]
    fn arxiv_tells_lengths_and_digests() {
        let text = r"<?xml version='1.0'?><arXivSRC><file><content_md5sum>x</content_md5sum>
            <filename>src/arXiv_src_0001_001.tar</filename><md5sum>0123456789abcdef0123456789abcdef</md5sum>
            <num_items>2364</num_items><size>225605507</size></file><timestamp>Mon</timestamp></arXivSRC>";
        let rows = rows(Form::Arxiv, text, "s3://arxiv/");
        assert_eq!(rows, [("s3://arxiv/src/arXiv_src_0001_001.tar".to_owned(), Some(225_605_507), 1)]);
        assert!(read(Form::Arxiv, b"<a><file></file></a>", "").is_err());
    }

    #[test]
    fn wikimedia_s_unfinished_jobs_are_left_out() {
        let text = r#"{"version": "0.8", "jobs": {
            "a": {"status": "done", "files": {"x.bz2": {"size": 7, "url": "/x", "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d"}}},
            "b": {"status": "in-progress", "files": {"y.bz2": {}}}, "c": {"status": "waiting"}}}"#;
        assert_eq!(rows(Form::Wikimedia, text, "https://d/"), [("https://d/x.bz2".to_owned(), Some(7), 1)]);
    }

    #[test]
    fn an_item_s_files_lie_beside_its_list() {
        let text = r#"{"files": [
            {"name": "b c.7z", "source": "original", "size": "9", "md5": "0123456789abcdef0123456789abcdef"},
            {"name": "a.torrent", "source": "derivative"}], "metadata": {"identifier": "stackexchange"}}"#;
        let listed = rows(Form::ArchiveOrg, text, "https://archive.org/metadata/");
        assert_eq!(listed, [("https://archive.org/download/stackexchange/b%20c.7z".to_owned(), Some(9), 1)]);
    }
}
