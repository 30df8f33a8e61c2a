//! Amazon's S3 and what speaks its language: where a bucket is, and signatures.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};
use ureq::http::HeaderMap;

use super::encode::{hex, moment, percent};
use super::network::{Auth, origin, text};
use super::{Error, Result};

/// Where buckets are unless something says otherwise; arXiv's and Common Crawl's are there.
const REGION: &str = "us-east-1";

pub(super) struct S3 {
    credentials: Option<Credentials>,
    endpoint: Option<String>,
    region: Option<String>,
    /// Regions that buckets turned out to be in.
    regions: Mutex<BTreeMap<String, String>>,
}

struct Credentials {
    key: String,
    secret: String,
    token: Option<String>,
}

impl S3 {
    pub fn of_environment() -> S3 {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let credentials = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(key), Some(secret)) => Some(Credentials { key, secret, token: variable("AWS_SESSION_TOKEN") }),
            _ => {
                let home = || variable("HOME").map(|home| PathBuf::from(home).join(".aws/credentials"));
                let file = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(home);
                let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
                file.and_then(|file| fs::read_to_string(file).ok()).and_then(|text| of_profile(&text, &profile))
            }
        };
        S3 {
            credentials,
            endpoint: variable("AWS_ENDPOINT_URL_S3").or(variable("AWS_ENDPOINT_URL")),
            region: variable("AWS_REGION").or(variable("AWS_DEFAULT_REGION")),
            regions: Mutex::default(),
        }
    }

    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub fn auth(&self, bucket: &str) -> Auth {
        // Asked without a name, a bucket elsewhere still tells where it is.
        Auth::S3 { bucket: bucket.to_owned() }
    }

    fn region(&self, bucket: &str) -> String {
        let learned = self.regions.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned();
        learned.or_else(|| self.region.clone()).unwrap_or_else(|| REGION.to_owned())
    }

    /// Notes where a bucket is, if an answer says so and we did not know.
    pub fn learn_region(&self, bucket: &str, headers: &HeaderMap) -> bool {
        let Some(told) = text(headers, "x-amz-bucket-region") else { return false };
        if told == self.region(bucket) || !told.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return false;
        }
        self.regions.lock().unwrap_or_else(PoisonError::into_inner).insert(bucket.to_owned(), told);
        true
    }

    /// The address of an object, or of the bucket with a query.
    pub fn url(&self, bucket: &str, key: &str, query: &str) -> String {
        let key = percent(key, "/");
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        match &self.endpoint {
            Some(endpoint) => format!("{}/{bucket}/{key}{query}", endpoint.trim_end_matches('/')),
            // The certificate of a bucket's own host does not hold for names with dots.
            None if bucket.contains('.') => {
                format!("https://s3.{}.amazonaws.com/{bucket}/{key}{query}", self.region(bucket))
            }
            None => format!("https://{bucket}.s3.{}.amazonaws.com/{key}{query}", self.region(bucket)),
        }
    }

    /// The headers of a signed request; none without credentials.
    pub fn sign(&self, method: &str, url: &str, bucket: &str, pays: bool) -> Result<Vec<(&'static str, String)>> {
        let Some(credentials) = &self.credentials else { return Ok(Vec::new()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(signed(credentials, method, url, &self.region(bucket), pays, &moment(now)))
    }
}

/// Signature version 4 of a request without a body.
fn signed(
    credentials: &Credentials,
    method: &str,
    url: &str,
    region: &str,
    pays: bool,
    now: &str,
) -> Vec<(&'static str, String)> {
    let nothing = hex(digest::digest(&digest::SHA256, b"").as_ref());
    let mut headers: Vec<(&'static str, String)> = vec![
        ("host", origin(url).to_owned()),
        ("x-amz-content-sha256", nothing.clone()),
        ("x-amz-date", now.to_owned()),
    ];
    if pays {
        headers.push(("x-amz-request-payer", "requester".to_owned()));
    }
    if let Some(token) = &credentials.token {
        headers.push(("x-amz-security-token", token.clone()));
    }
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let after = url.split_once("://").map_or("", |(_, after)| after);
    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    let path = path.find('/').map_or("/", |slash| &path[slash..]);
    let mut query: Vec<&str> = query.split('&').filter(|one| !one.is_empty()).collect();
    query.sort_unstable();
    let told: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let request = format!("{method}\n{path}\n{}\n{told}\n{names}\n{nothing}", query.join("&"));
    let day = &now[..8];
    let scope = format!("{day}/{region}/s3/aws4_request");
    let digest = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}");
    let mut key = format!("AWS4{}", credentials.secret).into_bytes();
    for part in [day, region, "s3", "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &to_sign));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        credentials.key
    );
    // The client writes the host itself.
    headers.remove(0);
    headers.push(("authorization", authorization));
    headers
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// The keys of a profile in `~/.aws/credentials`.
fn of_profile(text: &str, profile: &str) -> Option<Credentials> {
    let mut inside = false;
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if let (true, Some((name, value))) = (inside, line.split_once('=')) {
            values.insert(name.trim(), value.trim().to_owned());
        }
    }
    Some(Credentials {
        key: values.remove("aws_access_key_id")?,
        secret: values.remove("aws_secret_access_key")?,
        token: values.remove("aws_session_token"),
    })
}

/// What a store's XML says was wrong is not shown: it may repeat what was signed.
pub(super) fn wrong_listing(address: &super::Address, detail: impl ToString) -> Error {
    Error::Address {
        address: address.to_string(),
        detail: format!("its listing cannot be read: {}", detail.to_string()),
    }
}

/// The signature is what an independent implementation (Python's hmac and hashlib, written out from
/// Amazon's description) gives.
#[test]
fn requests_are_signed() {
    let credentials = Credentials { key: "AKIDEXAMPLE".into(), secret: "secret".into(), token: None };
    let url = "https://arxiv.s3.us-east-1.amazonaws.com/?list-type=2&prefix=src%2F";
    let headers = signed(&credentials, "GET", url, "us-east-1", true, "20230301T000000Z");
    let (_, authorization) = headers.iter().find(|(name, _)| *name == "authorization").unwrap();
    assert!(
        authorization.starts_with(concat!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20230301/us-east-1/s3/aws4_request, ",
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-request-payer, Signature="
        )),
        "{authorization}"
    );
    assert_eq!(
        authorization.rsplit('=').next(),
        Some("a64e6bf14e845aefb781af3777ca1e634286a5f450cfaba8ff80fc930bbef7a1")
    );
}

#[test]
fn profiles_are_found() {
    let text = "[other]\naws_access_key_id = x\n[default]\naws_access_key_id = a\n aws_secret_access_key=b=c\n";
    let credentials = of_profile(text, "default").unwrap();
    assert_eq!((credentials.key.as_str(), credentials.secret.as_str()), ("a", "b=c"));
    assert!(of_profile(text, "other").is_none());
}
