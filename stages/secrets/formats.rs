//! Shapes of keys that their services publish, or that whoever scans for them has published.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::{entropy, is_placeholder};

/// What a key consists of after its prefix.
#[derive(Clone, Copy)]
enum Signs {
    /// Letters and digits.
    Letters,
    /// Capitals and digits.
    Capitals,
    /// Letters, digits, `-` and `_`: base64 as addresses have it.
    Url,
    /// Hexadecimal digits in small letters.
    Hex,
}

impl Signs {
    fn has(self, byte: u8) -> bool {
        match self {
            Signs::Letters => byte.is_ascii_alphanumeric(),
            Signs::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Signs::Url => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
            Signs::Hex => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        }
    }
}

/// A key of a service.
struct Format {
    kind: &'static str,
    prefix: &'static str,
    signs: Signs,
    /// How many signs follow, at least and at most.
    least: usize,
    most: usize,
}

const fn format(kind: &'static str, prefix: &'static str, signs: Signs, least: usize, most: usize) -> Format {
    Format { kind, prefix, signs, least, most }
}

/// Formats by their prefixes.
#[rustfmt::skip]
const FORMATS: &[Format] = &[
    // AWS, "IAM identifiers": AKIA for long-term keys, ASIA for those of its token service; 16 more.
    format("aws_access_key", "AKIA", Signs::Capitals, 16, 16),
    format("aws_access_key", "ASIA", Signs::Capitals, 16, 16),
    // GitHub, "Behind GitHub's new authentication token formats": 30 drawn signs and 6 of checksum.
    format("github_token", "ghp_", Signs::Letters, 36, 36),
    format("github_token", "gho_", Signs::Letters, 36, 36),
    format("github_token", "ghu_", Signs::Letters, 36, 36),
    format("github_token", "ghs_", Signs::Letters, 36, 36),
    format("github_token", "ghr_", Signs::Letters, 36, 76),
    // The same for fine-grained tokens: 22 signs, `_`, 59 signs.
    format("github_token", "github_pat_", Signs::Url, 82, 82),
    // GitLab, "Token overview": `glpat-` and 20 signs, longer since version 18.
    format("gitlab_token", "glpat-", Signs::Url, 20, 64),
    // Slack, "Token types": numbers of team and bot between hyphens, then drawn signs.
    format("slack_token", "xoxb-", Signs::Url, 24, 120),
    format("slack_token", "xoxp-", Signs::Url, 24, 120),
    format("slack_token", "xoxa-", Signs::Url, 24, 120),
    format("slack_token", "xoxr-", Signs::Url, 24, 120),
    format("slack_token", "xoxs-", Signs::Url, 24, 120),
    format("slack_token", "xapp-", Signs::Url, 32, 140),
    // Google, API keys: 39 signs, as truffleHog and gitleaks have it.
    format("google_api_key", "AIza", Signs::Url, 35, 35),
    // Google, OAuth client secrets since 2021 (gitleaks): 28 signs.
    format("google_oauth_secret", "GOCSPX-", Signs::Url, 28, 28),
    // Google, OAuth access tokens (gitleaks).
    format("google_oauth_token", "ya29.", Signs::Url, 40, 300),
    // Stripe, "API keys": live keys, secret and restricted; those for trying harm nobody.
    format("stripe_key", "sk_live_", Signs::Letters, 24, 99),
    format("stripe_key", "rk_live_", Signs::Letters, 24, 99),
    // OpenAI and Anthropic (gitleaks).
    format("openai_key", "sk-proj-", Signs::Url, 40, 200),
    // OpenAI's first form (gitleaks): 20 signs, its name in base64, 20 signs; see `key`.
    format("openai_key", "sk-", Signs::Letters, 48, 48),
    format("anthropic_key", "sk-ant-", Signs::Url, 80, 120),
    // Hugging Face, "User access tokens": 34 letters.
    format("hugging_face_token", "hf_", Signs::Letters, 34, 37),
    // npm's blog of 2021: GitHub's form.
    format("npm_token", "npm_", Signs::Letters, 36, 36),
    // PyPI's help: a macaroon whose first words, location `pypi.org`, always look like this.
    format("pypi_token", "pypi-AgEIcHlwaS5vcmc", Signs::Url, 50, 250),
    // SendGrid (its engineers' posts, gitleaks): 22 signs, a dot, 43 signs; see `rest`.
    format("sendgrid_key", "SG.", Signs::Url, 22, 22),
    // DigitalOcean, "API tokens": `dop_v1_` and 64 hexadecimal digits.
    format("digitalocean_token", "dop_v1_", Signs::Hex, 64, 64),
    // Shopify's changelog of 2020: 32 hexadecimal digits.
    format("shopify_token", "shpat_", Signs::Hex, 32, 32),
    format("shopify_token", "shpss_", Signs::Hex, 32, 32),
    // Square (gitleaks): 22 and 43 signs.
    format("square_token", "sq0atp-", Signs::Url, 22, 22),
    format("square_token", "sq0csp-", Signs::Url, 43, 43),
    // JSON web tokens, RFC 7519: `{"` in base64 begins so; see `rest`.
    format("jwt", "eyJ", Signs::Url, 10, 4096),
    // Private keys in PEM, RFC 7468; see `pem`.
    format("private_key", "-----BEGIN ", Signs::Capitals, 0, 0),
    // Slack, "Incoming webhooks": team, channel and key between slashes; see `rest`.
    format("slack_webhook", "hooks.slack.com/services/T", Signs::Letters, 8, 12),
    // Azure Storage's connection strings: 64 bytes in base64; see `rest`.
    format("azure_storage_key", "AccountKey=", Signs::Letters, 0, 0),
];

/// The least entropy of a key, in bits for each sign. Ours: of words put together it is about 3, of
/// drawn letters and digits of these lengths 4 and more, of drawn hexadecimal digits 3.3 and more.
const RANDOM: f64 = 3.2;

static PREFIXES: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(FORMATS.iter().map(|format| format.prefix)).ok());

/// The keys of a text.
pub fn find(bytes: &[u8]) -> Vec<(&'static str, Range<usize>)> {
    let mut found: Vec<(&'static str, Range<usize>)> = Vec::new();
    let Some(prefixes) = PREFIXES.as_ref() else { return found };
    for hit in prefixes.find_overlapping_iter(bytes) {
        let format = &FORMATS[hit.pattern().as_usize()];
        if found.last().is_some_and(|(_, before)| before.end > hit.start()) {
            continue;
        }
        let range = match format.kind {
            "private_key" => pem(bytes, hit.start()),
            _ => key(bytes, format, hit.range()),
        };
        found.extend(range.map(|range| (format.kind, range)));
    }
    found
}

fn key(bytes: &[u8], format: &Format, prefix: Range<usize>) -> Option<Range<usize>> {
    // In the middle of a longer word, such as base64, a prefix is chance.
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let in_word = prefix.start.checked_sub(1).is_some_and(|before| is_word(&bytes[before]));
    if in_word && format.kind != "slack_webhook" {
        return None;
    }
    let most = if format.most == 0 { 0 } else { format.most + 1 };
    let signs = run(bytes, prefix.end, most, |byte| format.signs.has(byte));
    if signs < format.least || signs > format.most {
        return None;
    }
    let end = prefix.end + signs;
    let end = rest(bytes, format.kind, end)?;
    if bytes.get(end).is_some_and(is_word) {
        return None;
    }
    let drawn = &bytes[prefix.end..end];
    if format.prefix == "sk-" && drawn.get(20..28) != Some(b"T3BlbkFJ") {
        return None;
    }
    (entropy(drawn) >= RANDOM && !is_placeholder(drawn)).then_some(prefix.start..end)
}

/// How many bytes from a place on are of a kind, up to a most.
fn run(bytes: &[u8], from: usize, most: usize, has: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().take(most).take_while(|byte| has(**byte)).count()
}

/// Where a key ends that has more than one part.
fn rest(bytes: &[u8], kind: &str, end: usize) -> Option<usize> {
    let part = |end: usize, mark: u8, least: usize, most: usize| {
        let signs =
            (bytes.get(end) == Some(&mark)).then(|| run(bytes, end + 1, most + 1, |byte| Signs::Url.has(byte)))?;
        (least..=most).contains(&signs).then_some(end + 1 + signs)
    };
    match kind {
        "sendgrid_key" => part(end, b'.', 43, 43),
        // The claims begin as the header does; the signature of the shortest algorithm has 43 signs.
        "jwt" => {
            let claims = part(end, b'.', 10, 8192)?;
            bytes[end + 1..].starts_with(b"eyJ").then(|| part(claims, b'.', 43, 1024))?
        }
        "slack_webhook" => part(part(end, b'/', 8, 13)?, b'/', 20, 28),
        "azure_storage_key" => {
            let signs = run(bytes, end, 89, |byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
            (signs == 88 && bytes[..end + signs].ends_with(b"==")).then_some(end + signs)
        }
        _ => Some(end),
    }
}

/// The longest private key that is looked for, in bytes: of RSA with 16,384 bits.
const LONGEST_PEM: usize = 16 << 10;

/// The body of a private key between its lines, with at least as much base64 as the shortest key.
fn pem(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let line = &bytes[start..bytes.len().min(start + 64)];
    let head = memchr::memmem::find(line, b"PRIVATE KEY")?;
    // `-----BEGIN OPENSSH PRIVATE KEY-----`, `… PGP PRIVATE KEY BLOCK-----`.
    let dashes = memchr::memmem::find(&line[head..], b"-----")?;
    if !line[11..head + dashes].iter().all(|byte| byte.is_ascii_uppercase() || b" 0123456789".contains(byte)) {
        return None;
    }
    let begin = start + head + dashes + 5;
    let within = &bytes[begin..bytes.len().min(begin + LONGEST_PEM)];
    let end = memchr::memmem::find(within, b"-----END ")?;
    // Line ends may be written out, as in a string of a program.
    let body = &within[..end];
    let drawn: Vec<u8> = body.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    (drawn.len() >= 40 && entropy(&drawn) >= 4.0 && memchr::memmem::find(body, b"...").is_none()).then(|| {
        let lead = body.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let tail = body.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        begin + lead..begin + end - tail
    })
}

#[cfg(test)]
mod tests {
    use crate::secrets::tests::{HEX, LETTERS, UPPER, drawn, finds};

    /// A key put together from its parts.
    fn made(prefix: &[&str], alphabet: &str, count: usize) -> String {
        prefix.concat() + &drawn(alphabet, count, count as u64 + 7)
    }

    #[test]
    fn keys_of_services_are_known_by_their_shapes() {
        let jwt = format!(
            "{}.{}.{}",
            made(&["ey", "J"], LETTERS, 30),
            made(&["ey", "J"], LETTERS, 60),
            drawn(LETTERS, 43, 3)
        );
        let webhook = format!(
            "hooks.slack.com/services/{}/{}/{}",
            made(&["T"], UPPER, 9),
            made(&["B"], UPPER, 9),
            drawn(LETTERS, 24, 4)
        );
        for (kind, key) in [
            ("aws_access_key", made(&["AK", "IA"], UPPER, 16)),
            ("aws_access_key", made(&["AS", "IA"], UPPER, 16)),
            ("github_token", made(&["gh", "p_"], LETTERS, 36)),
            ("github_token", format!("{}_{}", made(&["github", "_pat_"], LETTERS, 22), drawn(LETTERS, 59, 5))),
            ("gitlab_token", made(&["gl", "pat-"], LETTERS, 20)),
            ("slack_token", format!("{}-{}", made(&["xo", "xb-"], "0123456789", 12), drawn(LETTERS, 24, 6))),
            ("google_api_key", made(&["AI", "za"], LETTERS, 35)),
            ("google_oauth_secret", made(&["GOC", "SPX-"], LETTERS, 28)),
            ("stripe_key", made(&["sk", "_live_"], LETTERS, 24)),
            ("hugging_face_token", made(&["h", "f_"], LETTERS, 34)),
            ("npm_token", made(&["np", "m_"], LETTERS, 36)),
            ("pypi_token", made(&["pypi-AgEI", "cHlwaS5vcmc"], LETTERS, 120)),
            ("sendgrid_key", format!("{}.{}", made(&["S", "G."], LETTERS, 22), drawn(LETTERS, 43, 8))),
            ("digitalocean_token", made(&["dop", "_v1_"], HEX, 64)),
            ("shopify_token", made(&["shp", "at_"], HEX, 32)),
            ("jwt", jwt),
            ("slack_webhook", webhook),
            ("azure_storage_key", made(&["Account", "Key="], LETTERS, 86) + "=="),
        ] {
            finds(&format!("f(\"{key}\");"), &[(kind, &key)]);
            finds(&format!("\n{key}\n"), &[(kind, &key)]);
            // In the middle of a longer word it is chance.
            finds(&format!("x{key}").replace("xhooks", "x.hook"), &[]);
        }
    }

    #[test]
    fn what_shows_where_a_key_would_be_is_none() {
        for text in [
            ["AKIA", "IOSFODNN7EXAMPLE"].concat(),
            ["ghp_", &"x".repeat(36)].concat(),
            ["AIza", &"Sy".repeat(17), "A"].concat(),
            ["sk_live_", "yourkeyyourkeyyourkeyyour"].concat(),
            ["sk_test_", &drawn(LETTERS, 24, 1)].concat(),
            ["xoxb-", "not-a-real-token-at-all-not"].concat(),
            ["AKIA", &drawn(UPPER, 15, 1)].concat(),
            ["AKIA", &drawn(UPPER, 17, 1)].concat(),
            "eyJhbGciOi.eyJ.abc".to_owned(),
        ] {
            finds(&text, &[]);
        }
    }

    #[test]
    fn private_keys_lose_what_is_between_their_lines() {
        let lines = ["-----BEGIN RSA PRIVATE", " KEY-----\n"].concat();
        let body = [drawn(LETTERS, 64, 1), drawn(LETTERS, 64, 2), drawn(LETTERS, 20, 3)].join("\n");
        let end = ["\n-----END RSA PRIVATE", " KEY-----\n"].concat();
        finds(&format!("a\n{lines}{body}{end}b"), &[("private_key", &body)]);
        finds(&format!("{lines}MIIE...\n{end}"), &[]);
        finds(&format!("{lines}{body}"), &[]);
        finds(&format!("{lines}{body}{end}").replace("PRIVATE", "PUBLIC"), &[]);
    }
}
