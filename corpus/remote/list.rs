//! What a store has under a prefix.

use std::io::Read;
use std::sync::Arc;

use glob::{MatchOptions, Pattern};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;
use ureq::http::Method;

use super::checksum::{Check, Kind};
use super::encode::percent;
use super::network::{Target, text};
use super::s3::wrong_listing;
use super::{Address, Network, Result};

/// The longest page of a listing.
const PAGE: u64 = 64 << 20;

/// A file that a store lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its address.
    pub address: Address,
    /// Its length.
    pub bytes: Option<u64>,
    /// Its etag, as an answer to a request for it would give it.
    pub etag: Option<String>,
    /// Digests that the listing gives.
    pub checks: Vec<Check>,
}

impl Network {
    /// All files under a folder (`s3://bucket/a/`), or that match a pattern (`hf://…/en/*.gz`), in
    /// the byte order of their paths. `*` does not cross a `/`, `**` does.
    pub fn list(self: &Arc<Network>, address: &Address) -> Result<Vec<Listed>> {
        let path = address.listed().unwrap_or_default();
        let literal = &path[..path.find(['*', '?', '[']).unwrap_or(path.len())];
        let pattern = (literal.len() < path.len()).then(|| Pattern::new(path)).transpose();
        let pattern = pattern.map_err(|error| wrong_listing(address, error))?;
        let mut listed = match address {
            Address::Web { .. } => return Err(wrong_listing(address, "a web server lists nothing")),
            Address::S3 { bucket, .. } => self.list_s3(address, bucket, literal)?,
            Address::Google { bucket, .. } => self.list_google(address, bucket, literal)?,
            Address::HuggingFace { .. } => self.list_hugging_face(address, literal)?,
        };
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
        listed.retain(|file| {
            let path = file.address.listed().unwrap_or_default();
            // Some stores have an empty object for each folder.
            !path.ends_with('/') && pattern.as_ref().is_none_or(|pattern| pattern.matches_with(path, options))
        });
        listed.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(listed)
    }

    fn page(self: &Arc<Network>, address: &Address, target: &dyn Fn() -> Target) -> Result<(Vec<u8>, Option<String>)> {
        self.patiently(address, &mut 0, || {
            let mut answer = self.ask_target(Method::GET, address, target(), &[])?;
            let mut page = Vec::new();
            let read = answer.by_ref().take(PAGE).read_to_end(&mut page);
            read.map_err(|error| super::network::Trouble::Passing(error.to_string(), None))?;
            Ok((page, text(&answer.headers, "link")))
        })
    }

    fn list_s3(self: &Arc<Network>, address: &Address, bucket: &str, prefix: &str) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut token: Option<String> = None;
        loop {
            // In the order in which a signature wants them.
            let mut query = String::new();
            if let Some(token) = &token {
                query += &format!("continuation-token={}&", percent(token, ""));
            }
            query += &format!("list-type=2&prefix={}", percent(prefix, ""));
            let target = || Target { url: self.s3.url(bucket, "", &query), auth: self.s3.auth(bucket) };
            let (page, _) = self.page(address, &target)?;
            token = s3_page(&page, address, &mut listed).map_err(|error| wrong_listing(address, error))?;
            if token.is_none() {
                return Ok(listed);
            }
        }
    }

    fn list_google(self: &Arc<Network>, address: &Address, bucket: &str, prefix: &str) -> Result<Vec<Listed>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            #[serde(default)]
            items: Vec<Item>,
            next_page_token: Option<String>,
        }
        #[derive(Deserialize)]
        struct Item {
            name: String,
            size: Option<String>,
        }
        let mut listed = Vec::new();
        let mut token = String::new();
        loop {
            let fields = "fields=items(name,size),nextPageToken";
            let url = format!(
                "{}/storage/v1/b/{}/o?{fields}&pageToken={}&prefix={}",
                self.google.endpoint,
                percent(bucket, ""),
                percent(&token, ""),
                percent(prefix, "")
            );
            let (page, _) = self.page(address, &|| Target { url: url.clone(), auth: self.google.auth() })?;
            let page: Page = serde_json::from_slice(&page).map_err(|error| wrong_listing(address, error))?;
            for item in page.items {
                let bytes = item.size.and_then(|size| size.parse().ok());
                listed.push(Listed { address: address.with_path(&item.name), bytes, etag: None, checks: Vec::new() });
            }
            match page.next_page_token.filter(|token| !token.is_empty()) {
                Some(next) => token = next,
                None => return Ok(listed),
            }
        }
    }

    fn list_hugging_face(self: &Arc<Network>, address: &Address, prefix: &str) -> Result<Vec<Listed>> {
        #[derive(Deserialize)]
        struct Item {
            r#type: String,
            path: String,
            size: Option<u64>,
            lfs: Option<Large>,
        }
        #[derive(Deserialize)]
        struct Large {
            oid: String,
        }
        let Address::HuggingFace { kind, repository, revision, .. } = address else { return Ok(Vec::new()) };
        let folder = prefix.rfind('/').map_or("", |slash| &prefix[..slash]);
        let folder = if folder.is_empty() { String::new() } else { format!("/{}", percent(folder, "/")) };
        let mut next = Some(format!("api/{kind}/{repository}/tree/{}{folder}?recursive=true", percent(revision, "")));
        let mut listed = Vec::new();
        while let Some(path) = next {
            let (page, link) = self.page(address, &|| self.hugging_face.target(&path))?;
            let items: Vec<Item> = serde_json::from_slice(&page).map_err(|error| wrong_listing(address, error))?;
            for item in items.into_iter().filter(|item| item.r#type == "file") {
                let checks = item.lfs.and_then(|lfs| Check::new(Kind::Sha256, &lfs.oid)).into_iter().collect();
                listed.push(Listed { address: address.with_path(&item.path), bytes: item.size, etag: None, checks });
            }
            // The next page is below the same endpoint, whoever it says has it.
            next = link.and_then(|link| {
                let url = link.split(',').find(|one| one.contains("rel=\"next\""))?;
                let url = url.split_once('<')?.1.split_once('>')?.0;
                Some(format!("api/{}", url.split_once("/api/")?.1))
            });
        }
        Ok(listed)
    }
}

/// Reads one page of a bucket's listing; gives the token of the next one.
fn s3_page(page: &[u8], address: &Address, listed: &mut Vec<Listed>) -> Result<Option<String>, String> {
    let page = std::str::from_utf8(page).map_err(|error| error.to_string())?;
    let mut reader = Reader::from_str(page);
    let (mut key, mut bytes, mut etag, mut token) = (String::new(), None, None, None);
    let mut inside = String::new();
    let mut value = String::new();
    let mut whole = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                inside = start.local_name().as_ref().to_owned();
                value.clear();
                if inside == "Contents" {
                    (key, bytes, etag) = (String::new(), None, None);
                }
            }
            Event::Text(text) => value += &text,
            Event::GeneralRef(name) => {
                let text = format!("&{};", &*name);
                value += &quick_xml::escape::unescape(&text).map_err(|error| error.to_string())?;
            }
            Event::End(end) => {
                let name = end.local_name().as_ref().to_owned();
                match (name.as_str(), inside == name) {
                    ("Key", true) => key = value.clone(),
                    ("Size", true) => bytes = value.trim().parse().ok(),
                    // Some that speak S3's language leave the quotes away.
                    ("ETag", true) => etag = Some(format!("\"{}\"", value.trim().trim_matches('"'))),
                    ("NextContinuationToken", true) => token = Some(value.trim().to_owned()),
                    ("Contents", _) => listed.push(Listed {
                        address: address.with_path(&key),
                        bytes,
                        etag: etag.take(),
                        checks: Vec::new(),
                    }),
                    ("ListBucketResult", _) => whole = true,
                    _ => {}
                }
            }
            Event::Eof if whole => return Ok(token.filter(|token| !token.is_empty())),
            Event::Eof => return Err("no whole ListBucketResult".to_owned()),
            _ => {}
        }
    }
}

#[test]
fn a_bucket_s_page_is_read() {
    let page = br#"<?xml version="1.0"?><ListBucketResult><Name>b</Name><KeyCount>2</KeyCount>
        <NextContinuationToken>t/1==</NextContinuationToken>
        <Contents><Key>a/x &amp; y.gz</Key><ETag>&quot;abc&quot;</ETag><Size>12</Size></Contents>
        <Contents><Key>a/z</Key><ETag>def</ETag></Contents></ListBucketResult>"#;
    let mut listed = Vec::new();
    let address: Address = "s3://b/a/".parse().unwrap();
    assert_eq!(s3_page(page, &address, &mut listed), Ok(Some("t/1==".to_owned())));
    assert_eq!(listed[0].address.to_string(), "s3://b/a/x & y.gz");
    assert_eq!((listed[0].bytes, listed[0].etag.as_deref()), (Some(12), Some("\"abc\"")));
    assert_eq!((listed[1].bytes, listed[1].etag.as_deref(), listed.len()), (None, Some("\"def\""), 2));
    assert!(s3_page(b"<ListBucketResult><Contents>", &address, &mut Vec::new()).is_err());
    assert!(s3_page(b"", &address, &mut Vec::new()).is_err());
}
