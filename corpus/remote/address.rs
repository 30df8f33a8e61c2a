//! Where a file lies: `https://`, `http://`, `s3://`, `gs://`, `hf://`.

use std::fmt;
use std::str::FromStr;

use super::encode::{percent, plain};
use super::{Error, Result};

/// Where a file lies. Shown, it holds no credentials: neither a user's nor a signature.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// `https://host/path` or `http://host/path`.
    Web {
        /// Without the user.
        url: String,
        /// `user:password`, as written in the address.
        user: Option<String>,
    },
    /// `s3://bucket/key`.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key, as it is: not percent-encoded.
        key: String,
    },
    /// `gs://bucket/name`.
    Google {
        /// The bucket.
        bucket: String,
        /// The object's name.
        name: String,
    },
    /// `hf://datasets/owner/name@revision/path`, or `hf://owner/name@revision/path` for a model.
    HuggingFace {
        /// `datasets`, `models` or `spaces`.
        kind: &'static str,
        /// `owner/name`.
        repository: String,
        /// A branch, a tag or a commit.
        revision: String,
        /// The path in the repository.
        path: String,
    },
}

impl Address {
    /// Whether a text is meant as an address, and not as a path.
    pub fn is_one(text: &str) -> bool {
        let Some((scheme, _)) = text.split_once("://") else { return false };
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
    }

    /// Whether it stands for many files: a folder, or a pattern.
    pub fn is_many(&self) -> bool {
        let Some(path) = self.listed() else { return false };
        path.is_empty() || path.ends_with('/') || path.contains(['*', '?', '['])
    }

    /// The path within a store that can be listed.
    pub(super) fn listed(&self) -> Option<&str> {
        match self {
            Address::Web { .. } => None,
            Address::S3 { key, .. } => Some(key),
            Address::Google { name, .. } => Some(name),
            Address::HuggingFace { path, .. } => Some(path),
        }
    }

    /// The same store, another path.
    pub(super) fn with_path(&self, other: &str) -> Address {
        let mut address = self.clone();
        match &mut address {
            Address::Web { .. } => {}
            Address::S3 { key, .. } => *key = other.to_owned(),
            Address::Google { name, .. } => *name = other.to_owned(),
            Address::HuggingFace { path, .. } => *path = other.to_owned(),
        }
        address
    }

    /// The whole path, without encoding: what names are made from.
    pub fn path(&self) -> String {
        match self {
            Address::Web { url, .. } => {
                let after = url.split_once("://").map_or("", |(_, after)| after);
                let path = after.split(['?', '#']).next().unwrap_or_default();
                plain(path.split_once('/').map_or("", |(_, path)| path))
            }
            other => other.listed().unwrap_or_default().to_owned(),
        }
    }

    /// The address of the folder that it lies in, as a text that ends with `/`.
    pub fn folder(&self) -> String {
        let shown = self.to_string();
        shown.rfind('/').map_or(shown.clone(), |slash| shown[..=slash].to_owned())
    }

    /// Which host or store it is, for limits.
    pub fn host(&self) -> &str {
        match self {
            Address::Web { url, .. } => super::network::origin(url),
            Address::S3 { bucket, .. } | Address::Google { bucket, .. } => bucket,
            Address::HuggingFace { .. } => "hf",
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        let wrong = |detail: &str| {
            // What is typed may hold a password or a signature, which are not repeated.
            let shown = text.split_once('@').map_or(text, |(_, after)| after).split('?').next().unwrap_or_default();
            Error::Address { address: shown.to_owned(), detail: detail.to_owned() }
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("no scheme, such as https://"))?;
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(wrong("a space or a control character: write it as %20"));
        }
        let bucket_and = |what: &str| match rest.split_once('/').unwrap_or((rest, "")) {
            ("", _) => Err(wrong(&format!("no {what}"))),
            (bucket, key) => Ok((bucket.to_owned(), key.to_owned())),
        };
        match scheme {
            "http" | "https" => {
                let (authority, path) = match rest.find(['/', '?']) {
                    Some(at) => rest.split_at(at),
                    None => (rest, ""),
                };
                let (user, host) = match authority.rsplit_once('@') {
                    Some((user, host)) => (Some(plain(user)), host),
                    None => (None, authority),
                };
                if host.is_empty() {
                    return Err(wrong("no host"));
                }
                let slash = if path.starts_with('/') { "" } else { "/" };
                let path = path.split('#').next().unwrap_or_default();
                // Letters beyond ASCII are encoded; what is encoded already stays.
                let path = percent(path, "/?%&=+:@!$'()*,;[]|^{}\"<>\\`");
                Ok(Address::Web { url: format!("{scheme}://{host}{slash}{path}"), user })
            }
            "s3" => bucket_and("bucket").map(|(bucket, key)| Address::S3 { bucket, key }),
            "gs" => bucket_and("bucket").map(|(bucket, name)| Address::Google { bucket, name }),
            "hf" => {
                let (kind, rest) = match rest.split_once('/') {
                    Some(("datasets", rest)) => ("datasets", rest),
                    Some(("spaces", rest)) => ("spaces", rest),
                    _ => ("models", rest),
                };
                let mut parts = rest.splitn(3, '/');
                let (owner, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
                if owner.is_empty() || name.is_empty() || revision.is_empty() {
                    return Err(wrong("not of the form hf://datasets/owner/name@revision/path"));
                }
                Ok(Address::HuggingFace {
                    kind,
                    repository: format!("{owner}/{name}"),
                    revision: plain(revision),
                    path: parts.next().unwrap_or_default().to_owned(),
                })
            }
            _ => Err(wrong("an unknown scheme; known are https, http, s3, gs and hf")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A query may be a signature, which is as good as a password.
            Address::Web { url, .. } => f.write_str(url.split('?').next().unwrap_or_default()),
            Address::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Address::Google { bucket, name } => write!(f, "gs://{bucket}/{name}"),
            Address::HuggingFace { kind, repository, revision, path } => {
                f.write_str("hf://")?;
                if *kind != "models" {
                    write!(f, "{kind}/")?;
                }
                f.write_str(repository)?;
                if revision != "main" {
                    write!(f, "@{}", percent(revision, ""))?;
                }
                write!(f, "/{path}")
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The last part of an address or path: what a file is called.
pub fn name_of(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Most texts that number ranges may stand for: Common Crawl has some 90,000 files a crawl.
const MOST: u64 = 10_000_000;

/// All texts that the number ranges of a text stand for: `{00000..01023}` counts with five digits.
pub fn numbers(text: &str) -> Result<Vec<String>> {
    let range = |inside: &str| {
        let (first, last) = inside.split_once("..")?;
        let digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let width = if first.len() > 1 && first.starts_with('0') { first.len() } else { 0 };
        (digits(first) && digits(last)).then_some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, width))
    };
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let Some(close) = text[open..].find('}').map(|at| open + at) else { break };
        let Some((first, last, width)) = range(&text[open + 1..close]) else {
            from = open + 1;
            continue;
        };
        if last < first || last - first >= MOST {
            let detail = format!("{{{first}..{last}}} is no range");
            return Err(Error::Address { address: text.to_owned(), detail });
        }
        let rest = numbers(&text[close + 1..])?;
        let mut all = Vec::new();
        for number in first..=last {
            all.extend(rest.iter().map(|rest| format!("{}{number:0width$}{rest}", &text[..open])));
        }
        return Ok(all);
    }
    Ok(vec![text.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        let rows = [
            ("https://a.example/b/c.gz", "b/c.gz", "https://a.example/b/c.gz"),
            ("https://a.example", "", "https://a.example/"),
            ("https://me:secret@a.example/b%20c?X-Amz-Signature=s3cret#d", "b c", "https://a.example/b%20c"),
            ("https://a.example/ü", "ü", "https://a.example/%C3%BC"),
            ("s3://arxiv/src/a b.tar", "", ""),
            (
                "s3://arxiv/src/arXiv_src_0001_001.tar",
                "src/arXiv_src_0001_001.tar",
                "s3://arxiv/src/arXiv_src_0001_001.tar",
            ),
            ("gs://b/x/y.gz", "x/y.gz", "gs://b/x/y.gz"),
            ("hf://datasets/allenai/c4/en/c4.json.gz", "en/c4.json.gz", "hf://datasets/allenai/c4/en/c4.json.gz"),
            ("hf://datasets/o/n@refs%2Fconvert/a", "a", "hf://datasets/o/n@refs%2Fconvert/a"),
            (
                "hf://EleutherAI/gpt-neox-20b/tokenizer.json",
                "tokenizer.json",
                "hf://EleutherAI/gpt-neox-20b/tokenizer.json",
            ),
        ];
        for (text, path, shown) in rows {
            let Ok(address) = text.parse::<Address>() else {
                assert_eq!(shown, "", "{text}");
                continue;
            };
            assert_eq!((address.path().as_str(), address.to_string().as_str()), (path, shown), "{text}");
            assert!(!format!("{address:?}").contains("s3cret"));
        }
        for wrong in ["ftp://a/b", "s3:///k", "https:///x", "hf://datasets/one", "a/b"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
        assert!(Address::is_one("s3://a/b") && !Address::is_one("raw/c4") && !Address::is_one("://x"));
    }

    #[test]
    fn folders_and_patterns_are_many() {
        for (text, many) in [
            ("s3://b/a/", true),
            ("s3://b/a/*.gz", true),
            ("s3://b/a.gz", false),
            ("hf://datasets/o/n", true),
            ("https://a.example/b/", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_many(), many, "{text}");
        }
    }

    #[test]
    fn ranges_count() {
        assert_eq!(numbers("a{00098..00101}b").unwrap(), ["a00098b", "a00099b", "a00100b", "a00101b"]);
        assert_eq!(numbers("{1..2}-{0..1}{x}").unwrap(), ["1-0{x}", "1-1{x}", "2-0{x}", "2-1{x}"]);
        assert_eq!(numbers("plain {n:05}").unwrap(), ["plain {n:05}"]);
        assert!(numbers("{2..1}").is_err());
        assert!(numbers("{0..99999999999}").is_err());
        assert_eq!(name_of("a/b.gz"), "b.gz");
    }
}
