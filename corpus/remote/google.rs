//! Google Cloud Storage: who asks.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;

use super::network::Auth;
use super::{Error, Network, Result};

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_only";
const TOKENS: &str = "https://oauth2.googleapis.com/token";

pub(super) struct Google {
    pub endpoint: String,
    /// A token that the environment gives.
    given: Option<String>,
    /// A file of credentials, with which tokens can be had.
    file: Option<String>,
    project: Option<String>,
    token: Mutex<Option<(String, Instant)>>,
}

/// A file of credentials, of a service or of a user.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Credentials {
    ServiceAccount {
        client_email: String,
        private_key: String,
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
        token_uri: Option<String>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

impl Google {
    pub fn of_environment() -> Google {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // Emulators are named without a scheme.
        let endpoint = variable("STORAGE_EMULATOR_HOST").map(|host| match host.contains("://") {
            true => host.trim_end_matches('/').to_owned(),
            false => format!("http://{host}"),
        });
        Google {
            endpoint: endpoint.unwrap_or_else(|| "https://storage.googleapis.com".to_owned()),
            given: variable("GOOGLE_OAUTH_ACCESS_TOKEN"),
            file: variable("GOOGLE_APPLICATION_CREDENTIALS"),
            project: variable("GOOGLE_CLOUD_PROJECT"),
            token: Mutex::default(),
        }
    }

    pub fn auth(&self) -> Auth {
        if self.given.is_some() || self.file.is_some() { Auth::Google } else { Auth::None }
    }

    pub fn headers(&self, network: &Arc<Network>, pays: bool) -> Result<Vec<(&'static str, String)>> {
        let token = match (&self.given, &self.file) {
            (Some(token), _) => token.clone(),
            (None, Some(file)) => self.token(network, file)?,
            (None, None) => return Ok(Vec::new()),
        };
        let mut headers = vec![("authorization", format!("Bearer {token}"))];
        headers.extend(self.project.clone().filter(|_| pays).map(|project| ("x-goog-user-project", project)));
        Ok(headers)
    }

    /// A token that is still good for a while.
    fn token(&self, network: &Network, file: &str) -> Result<String> {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, until)) = &*held
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        // Nothing of the file's contents is repeated.
        let wrong = |detail: String| Error::Credentials(format!("GOOGLE_APPLICATION_CREDENTIALS {file}: {detail}"));
        let text = fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let credentials: Credentials =
            serde_json::from_slice(&text).map_err(|_| wrong("not a file of credentials".to_owned()))?;
        let answer = match credentials {
            Credentials::ServiceAccount { client_email, private_key, token_uri } => {
                let uri = token_uri.unwrap_or_else(|| TOKENS.to_owned());
                let assertion = assertion(&client_email, &private_key, &uri).map_err(wrong)?;
                let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                network.send_form(&uri, &[("grant_type", kind), ("assertion", &assertion)])
            }
            Credentials::AuthorizedUser { client_id, client_secret, refresh_token, token_uri } => network.send_form(
                &token_uri.unwrap_or_else(|| TOKENS.to_owned()),
                &[
                    ("grant_type", "refresh_token"),
                    ("client_id", &client_id),
                    ("client_secret", &client_secret),
                    ("refresh_token", &refresh_token),
                ],
            ),
            Credentials::Other => Err("of a kind that is not known: a service's or a user's is".to_owned()),
        };
        let answer = answer.map_err(|detail| wrong(format!("no token is given for it: {detail}")))?;
        let token: Token =
            serde_json::from_slice(&answer).map_err(|_| wrong("what is given for it is no token".to_owned()))?;
        let good = Duration::from_secs(token.expires_in.saturating_sub(120));
        *held = Some((token.access_token.clone(), Instant::now() + good));
        Ok(token.access_token)
    }
}

/// What a service signs to say who it is.
fn assertion(email: &str, key: &str, audience: &str) -> Result<String, String> {
    let inside: String = key.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = BASE64_STANDARD.decode(inside).map_err(|_| "its private key is no PEM".to_owned())?;
    let pair = RsaKeyPair::from_pkcs8(&der).map_err(|_| "its private key is no RSA key in PKCS#8".to_owned())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = serde_json::json!({
        "iss": email, "scope": SCOPE, "aud": audience, "iat": now, "exp": now + 3600
    });
    let signed = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "its private key does not sign".to_owned())?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}
