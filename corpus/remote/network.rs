//! Requests: to whom, how often, with which credentials.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::{HeaderMap, Method, Request, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, BodyReader, Proxy};

use super::checksum::{Check, Kind};
use super::encode::percent;
use super::google::Google;
use super::s3::S3;
use super::{Address, Error, Result, Status};

/// The longest that we let a publisher keep us waiting with `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// The first wait after a failure, and the longest; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(60);
/// As many redirects as browsers follow, or half of them.
const REDIRECTS: usize = 10;

/// How a network is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most connections to one host.
    pub connections: usize,
    /// How often something is tried that gets no further.
    pub attempts: u32,
    /// Most bytes a second, of all connections together.
    pub rate: Option<u64>,
    /// How long a connection may be silent.
    pub patience: Duration,
    /// Whether we agree to pay where the reader is charged.
    pub pays: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        let pays = std::env::var("AWS_REQUEST_PAYER").is_ok_and(|who| who.eq_ignore_ascii_case("requester"));
        Settings { connections: 8, attempts: 8, rate: None, patience: Duration::from_secs(60), pays }
    }
}

/// All connections of this process.
pub struct Network {
    /// For `http://` and for `https://`: the environment may name a proxy for each.
    agents: [Agent; 2],
    pub(super) settings: Settings,
    hosts: Mutex<BTreeMap<String, Host>>,
    freed: Condvar,
    /// When the bytes that were read so far should have been read, at the wanted rate.
    due: Mutex<Option<Instant>>,
    stopped: AtomicBool,
    /// How often something had to be tried again, and why the last time.
    troubles: Mutex<(u64, Option<String>)>,
    pub(super) s3: S3,
    pub(super) google: Google,
    pub(super) hugging_face: HuggingFace,
}

#[derive(Default)]
struct Host {
    busy: usize,
    /// It asked to be left alone until then.
    quiet: Option<Instant>,
}

pub(super) struct HuggingFace {
    endpoint: String,
    token: Option<String>,
}

/// What a publisher says of a file.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its length, where it is told.
    pub bytes: Option<u64>,
    /// What tells this state of the file from another one: an etag, or a date.
    pub etag: Option<String>,
    /// What may be sent as `If-Range`.
    pub validator: Option<String>,
    /// Digests that are told with the file.
    pub checks: Vec<Check>,
}

/// The answer to a request that was not refused.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub found: Found,
    pub body: BodyReader<'static>,
    _slot: Slot,
}

/// What to ask for, and how.
pub(super) struct Target {
    pub url: String,
    pub auth: Auth,
}

/// Who asks. None of this is ever shown.
pub(super) enum Auth {
    None,
    Header(String),
    S3 { bucket: String },
    Google,
}

/// Why an attempt failed.
pub(super) enum Trouble {
    /// It may work another time; the publisher may have said when.
    Passing(String, Option<Duration>),
    Lasting(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Lasting(error)
    }
}

impl Network {
    /// Makes no connection yet.
    pub fn new(settings: Settings) -> Result<Arc<Network>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let roots = match variable("SSL_CERT_FILE") {
            None => RootCerts::WebPki,
            // Beside the roots that everybody trusts there is none of a company's own proxy.
            Some(path) => own_roots(&path)?,
        };
        let agent = |proxy: Option<String>| {
            let proxy = proxy.map(|proxy| proxy_of(&proxy, variable("no_proxy").or(variable("NO_PROXY"))));
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(concat!("redpajama/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
                .proxy(proxy.transpose()?)
                .timeout_resolve(Some(Duration::from_secs(30)))
                .timeout_connect(Some(Duration::from_secs(15)))
                .timeout_recv_response(Some(settings.patience))
                .timeout_per_read(Some(settings.patience))
                .timeout_per_write(Some(settings.patience))
                .max_idle_connections(64)
                .max_idle_connections_per_host(settings.connections.min(64))
                .input_buffer_size(128 << 10)
                .build();
            Ok::<_, Error>(Agent::new_with_config(config))
        };
        let all = || variable("all_proxy").or(variable("ALL_PROXY"));
        let plain = variable("http_proxy").or(variable("HTTP_PROXY")).or_else(all);
        let secure = variable("https_proxy").or(variable("HTTPS_PROXY")).or_else(all);
        Ok(Arc::new(Network {
            agents: [agent(plain)?, agent(secure)?],
            settings,
            hosts: Mutex::default(),
            freed: Condvar::new(),
            due: Mutex::default(),
            stopped: AtomicBool::new(false),
            troubles: Mutex::default(),
            s3: S3::of_environment(),
            google: Google::of_environment(),
            hugging_face: HuggingFace {
                endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned()),
                token: variable("HF_TOKEN"),
            },
        }))
    }

    /// Ends all that is under way: whoever waits for bytes gets [`Error::Stopped`].
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for agent in &self.agents {
            agent.clone().shutdown();
        }
        self.freed.notify_all();
    }

    /// Most connections to one host.
    pub fn connections(&self) -> usize {
        self.settings.connections.max(1)
    }

    /// How often something had to be tried again, and why the last time.
    pub fn troubles(&self) -> (u64, Option<String>) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn check_stop(&self) -> Result<()> {
        if self.stopped.load(Ordering::SeqCst) { Err(Error::Stopped) } else { Ok(()) }
    }

    /// What a publisher says of a file.
    pub fn find(self: &Arc<Network>, address: &Address) -> Result<Found> {
        let answer = self.patiently(address, &mut 0, || match self.ask(Method::HEAD, address, &[]) {
            // Some do not answer this kind of request, or sign addresses for another one alone.
            Err(Trouble::Lasting(Error::Refused { status: Status(400 | 403 | 405 | 501), .. })) => {
                self.ask(Method::GET, address, &[("range", "bytes=0-0".to_owned())])
            }
            other => other,
        })?;
        Ok(answer.found)
    }

    /// All bytes of a small file.
    pub fn read_whole(self: &Arc<Network>, address: &Address, most: usize) -> Result<Vec<u8>> {
        let mut stream = super::Stream::new(self.clone(), address.clone());
        let mut whole = Vec::new();
        let mut block = vec![0; 64 << 10];
        loop {
            match stream.step(&mut block)? {
                super::Step::Bytes(read) => whole.extend_from_slice(&block[..read]),
                super::Step::Anew(_) => whole.clear(),
                super::Step::End => return Ok(whole),
            }
            if whole.len() > most {
                let detail = format!("more than the {most} bytes that such a file may have");
                return Err(Error::Changed { address: address.to_string(), detail });
            }
        }
    }

    /// Tries until it works, is refused, or was tried often enough.
    pub(super) fn patiently<T>(
        &self,
        address: &Address,
        attempts: &mut u32,
        mut attempt: impl FnMut() -> Result<T, Trouble>,
    ) -> Result<T> {
        loop {
            self.check_stop()?;
            match attempt() {
                Ok(done) => return Ok(done),
                Err(trouble) => self.after(address, attempts, trouble)?,
            }
        }
    }

    /// Waits as long as is fitting after a failure, or gives up.
    pub(super) fn after(&self, address: &Address, attempts: &mut u32, trouble: Trouble) -> Result<()> {
        self.check_stop()?;
        let (detail, told) = match trouble {
            Trouble::Lasting(error) => return Err(error),
            Trouble::Passing(detail, told) => (detail, told),
        };
        *attempts += 1;
        let failed = |detail: String| Error::Failed { address: address.to_string(), detail, attempts: *attempts };
        if *attempts >= self.settings.attempts {
            return Err(failed(detail));
        }
        {
            let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
            *troubles = (troubles.0 + 1, Some(format!("{address}: {detail}")));
        }
        let wait = FIRST_WAIT.saturating_mul(1 << (*attempts - 1).min(16)).min(LAST_WAIT);
        let until = match told {
            Some(told) if told > LONGEST_WAIT => {
                let minutes = told.as_secs().div_ceil(60);
                return Err(failed(format!("{detail}, and wants to be asked again in {minutes} minutes")));
            }
            // Whoever told one connection to wait means all of them.
            Some(told) => {
                let until = Instant::now() + told;
                let mut hosts = self.hosts();
                let host = hosts.entry(address.host().to_owned()).or_default();
                host.quiet = host.quiet.max(Some(until));
                until
            }
            None => Instant::now() + wait,
        };
        self.wait(until)
    }

    /// Waits, unless everything is stopped.
    fn wait(&self, until: Instant) -> Result<()> {
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.check_stop()?;
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        self.check_stop()
    }

    /// Waits until so many more bytes are no faster than was wanted.
    pub(super) fn took(&self, bytes: usize) -> Result<()> {
        let Some(rate) = self.settings.rate else { return Ok(()) };
        let until = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            // A pause is not made up for by haste.
            let from = due.filter(|due| *due > now).unwrap_or(now);
            *due.insert(from + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64))
        };
        self.wait(until)
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a free connection to a host that does not want to be left alone.
    fn slot(self: &Arc<Network>, name: &str) -> Result<Slot> {
        let mut hosts = self.hosts();
        loop {
            self.check_stop()?;
            let host = hosts.entry(name.to_owned()).or_default();
            let quiet = host.quiet.filter(|until| *until > Instant::now());
            if quiet.is_none() && host.busy < self.settings.connections.max(1) {
                host.busy += 1;
                return Ok(Slot { network: self.clone(), host: name.to_owned() });
            }
            let waited = self.freed.wait_timeout(hosts, Duration::from_millis(50));
            hosts = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks once, and follows redirects.
    pub(super) fn ask(
        self: &Arc<Network>,
        method: Method,
        address: &Address,
        headers: &[(&str, String)],
    ) -> Result<Answer, Trouble> {
        self.ask_target(method, address, self.target(address)?, headers)
    }

    pub(super) fn ask_target(
        self: &Arc<Network>,
        method: Method,
        address: &Address,
        mut target: Target,
        headers: &[(&str, String)],
    ) -> Result<Answer, Trouble> {
        let slot = self.slot(address.host())?;
        let mut linked = None;
        for _ in 0..=REDIRECTS {
            let mut request = Request::builder().method(method.clone()).uri(&target.url);
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            for (name, value) in self.credentials(&method, &target)? {
                request = request.header(name, value);
            }
            let request = request.body(()).map_err(|error| wrong(address, error.to_string()))?;
            let agent = &self.agents[usize::from(target.url.starts_with("https:"))];
            let answer = agent.run(request).map_err(|error| trouble(address, error))?;
            let (status, headers_told) = (answer.status().as_u16(), answer.headers().clone());
            linked = linked.or_else(|| Linked::of(&headers_told));
            if let Auth::S3 { bucket } = &target.auth
                && matches!(status, 301 | 307 | 400)
                && self.s3.learn_region(bucket, &headers_told)
            {
                target = self.target(address)?;
                continue;
            }
            match status {
                200 | 206 => {
                    let found = found(status, &headers_told, answer.body(), &method, linked);
                    let body = answer.into_body().into_reader();
                    return Ok(Answer { status, headers: headers_told, found, body, _slot: slot });
                }
                // The store that large files lie in may have signed its address for another kind of request.
                301 | 302 | 303 | 307 | 308
                    if method == Method::HEAD && linked.as_ref().is_some_and(|linked| linked.bytes.is_some()) =>
                {
                    let found = found(status, &HeaderMap::new(), answer.body(), &method, linked);
                    let body = answer.into_body().into_reader();
                    return Ok(Answer { status, headers: headers_told, found, body, _slot: slot });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let location = text(&headers_told, "location").ok_or_else(|| {
                        wrong(address, format!("a redirect (HTTP {status}) that does not say where to"))
                    })?;
                    let next = join(&target.url, &location);
                    if target.url.starts_with("https:") && !next.starts_with("https:") {
                        return Err(wrong(address, "a redirect from https to an open connection".to_owned()).into());
                    }
                    // Credentials are for the host that they were given for.
                    let auth = if origin(&next) == origin(&target.url) && next.starts_with(scheme(&target.url)) {
                        target.auth
                    } else {
                        Auth::None
                    };
                    target = Target { url: next, auth };
                }
                416 => {
                    return Err(Error::Refused { address: address.to_string(), status: Status(416) }.into());
                }
                408 | 425 | 429 | 500..=599 => {
                    let told = text(&headers_told, "retry-after").and_then(|told| retry_after(&told));
                    let detail = match status {
                        429 => "the publisher is asked too often (HTTP 429)".to_owned(),
                        _ => format!("the publisher's server is in trouble (HTTP {status})"),
                    };
                    return Err(Trouble::Passing(detail, told));
                }
                status => return Err(Error::Refused { address: address.to_string(), status: Status(status) }.into()),
            }
        }
        Err(wrong(address, format!("more than {REDIRECTS} redirects")).into())
    }

    /// What to ask for.
    pub(super) fn target(&self, address: &Address) -> Result<Target> {
        Ok(match address {
            Address::Web { url, user } => {
                let basic = |user: &String| Auth::Header(format!("Basic {}", BASE64_STANDARD.encode(user)));
                Target { url: url.clone(), auth: user.as_ref().map_or(Auth::None, basic) }
            }
            Address::S3 { bucket, key } => {
                if self.settings.pays && !self.s3.has_credentials() {
                    return Err(Error::Credentials(format!(
                        "{address}: who pays must say who it is, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    )));
                }
                Target { url: self.s3.url(bucket, key, ""), auth: self.s3.auth(bucket) }
            }
            Address::Google { bucket, name } => {
                let url = format!("{}/{bucket}/{}", self.google.endpoint, percent(name, "/"));
                Target { url, auth: self.google.auth() }
            }
            Address::HuggingFace { kind, repository, revision, path } => {
                let kind = if *kind == "models" { String::new() } else { format!("{kind}/") };
                let (revision, path) = (percent(revision, ""), percent(path, "/"));
                self.hugging_face.target(&format!("{kind}{repository}/resolve/{revision}/{path}"))
            }
        })
    }

    /// The headers that say who asks.
    fn credentials(self: &Arc<Network>, method: &Method, target: &Target) -> Result<Vec<(&'static str, String)>> {
        match &target.auth {
            Auth::None => Ok(Vec::new()),
            Auth::Header(value) => Ok(vec![("authorization", value.clone())]),
            Auth::S3 { bucket } => self.s3.sign(method.as_str(), &target.url, bucket, self.settings.pays),
            Auth::Google => self.google.headers(self, self.settings.pays),
        }
    }

    /// Sends a form, as token services want it, and gives back what they answer.
    pub(super) fn send_form(&self, url: &str, form: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let agent = &self.agents[usize::from(url.starts_with("https:"))];
        let mut answer = agent.post(url).send_form(form.iter().copied()).map_err(|error| error.to_string())?;
        match answer.status().as_u16() {
            200 => answer.body_mut().read_to_vec().map_err(|error| error.to_string()),
            status => Err(format!("HTTP {status}")),
        }
    }
}

impl HuggingFace {
    pub(super) fn target(&self, path: &str) -> Target {
        let auth = self.token.as_ref().map_or(Auth::None, |token| Auth::Header(format!("Bearer {token}")));
        Target { url: format!("{}/{path}", self.endpoint.trim_end_matches('/')), auth }
    }
}

/// One of the connections that a host may have.
struct Slot {
    network: Arc<Network>,
    host: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(host) = self.network.hosts().get_mut(&self.host) {
            host.busy -= 1;
        }
        self.network.freed.notify_one();
    }
}

impl Read for Answer {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.body.read(into)
    }
}

/// What Hugging Face says of a file before it sends one to another host.
struct Linked {
    etag: String,
    bytes: Option<u64>,
}

impl Linked {
    fn of(headers: &HeaderMap) -> Option<Linked> {
        let bytes = text(headers, "x-linked-size").and_then(|size| size.parse().ok());
        Some(Linked { etag: text(headers, "x-linked-etag")?, bytes })
    }
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// What an answer's headers say of the file.
fn found(status: u16, headers: &HeaderMap, body: &Body, method: &Method, linked: Option<Linked>) -> Found {
    let told = if method == Method::HEAD {
        text(headers, "content-length").and_then(|length| length.parse().ok())
    } else {
        body.content_length()
    };
    let total = match status {
        206 => content_range(headers).and_then(|(_, total)| total),
        _ => told,
    };
    let tag = text(headers, "etag");
    let date = text(headers, "last-modified");
    // A weak etag promises no equal bytes, so it cannot join two parts.
    let strong = tag.clone().filter(|tag| tag.starts_with('"'));
    let mut checks = Vec::new();
    if let Some(hash) = headers.get_all("x-goog-hash").iter().find_map(|value| {
        let value = value.to_str().ok()?;
        value.split(',').find_map(|one| one.trim().strip_prefix("md5=").map(str::to_owned))
    }) && let Ok(bytes) = BASE64_STANDARD.decode(&hash)
    {
        checks.extend(Check::new(Kind::Md5, &super::encode::hex(&bytes)));
    }
    if let Some(linked) = &linked {
        // Large files' etags are their SHA-256; small ones' are git's.
        checks.extend(Check::new(Kind::Sha256, linked.etag.trim_start_matches("W/").trim_matches('"')));
    }
    Found {
        bytes: linked.as_ref().and_then(|linked| linked.bytes).or(total),
        etag: linked.map(|linked| linked.etag).or(tag).or_else(|| date.clone()),
        validator: strong.or(date),
        checks,
    }
}

/// Where a part begins, and how long the whole is.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = text(headers, "content-range")?;
    let (span, total) = range.strip_prefix("bytes")?.trim().split_once('/')?;
    Some((span.split('-').next()?.trim().parse().ok()?, total.trim().parse().ok()))
}

/// How long to wait: seconds, or until a date.
fn retry_after(told: &str) -> Option<Duration> {
    if let Ok(seconds) = told.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(told).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

fn wrong(address: &Address, detail: String) -> Error {
    Error::Address { address: address.to_string(), detail }
}

/// What kept a request from being answered. The crate's own words may hold the address with its
/// query, so that few of them are repeated.
fn trouble(address: &Address, error: ureq::Error) -> Trouble {
    use ureq::Error as U;
    let lasting = |detail: &str| Trouble::Lasting(wrong(address, detail.to_owned()));
    match error {
        U::BadUri(_) | U::Http(_) => lasting("it cannot be asked for"),
        U::InvalidProxyUrl => lasting("the proxy that the environment names is no address"),
        U::HostNotFound => Trouble::Passing("its host is not found".to_owned(), None),
        U::Timeout(_) => Trouble::Passing("no answer in time".to_owned(), None),
        U::ConnectProxyFailed(said) => Trouble::Passing(format!("the proxy does not connect: {said}"), None),
        U::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            lasting(&format!("no TLS with it: {error} (SSL_CERT_FILE names certificates to trust)"))
        }
        U::Io(error) => Trouble::Passing(error.to_string(), None),
        U::Rustls(error) => lasting(&format!("no TLS with it: {error} (SSL_CERT_FILE names certificates to trust)")),
        U::Protocol(error) => Trouble::Passing(format!("no HTTP: {error}"), None),
        other => Trouble::Passing(other.to_string(), None),
    }
}

fn own_roots(path: &str) -> Result<RootCerts> {
    let wrong = |detail: String| Error::Credentials(format!("SSL_CERT_FILE {path}: {detail}"));
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let items = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<Certificate<'static>> = items.collect();
    if certificates.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// A proxy, as the environment writes it. What is wrong with it is not repeated: it may hold a password.
fn proxy_of(text: &str, except: Option<String>) -> Result<Proxy> {
    let wrong = || {
        Error::Credentials("the proxy that the environment names is no address of the form http://host:port".to_owned())
    };
    let named = Proxy::new(text).map_err(|_| wrong())?;
    let mut builder = Proxy::builder(named.protocol()).host(named.host()).port(named.port());
    if !matches!(named.protocol(), ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https) {
        return Err(Error::Credentials("the environment names a SOCKS proxy, and only HTTP ones are known".to_owned()));
    }
    if let Some(user) = named.username() {
        builder = builder.username(user);
    }
    if let Some(password) = named.password() {
        builder = builder.password(password);
    }
    for one in except.iter().flat_map(|except| except.split(',')).map(str::trim).filter(|one| !one.is_empty()) {
        builder = builder.no_proxy(one);
    }
    builder.build().map_err(|_| wrong())
}

/// The host and port of an address of the web.
pub(super) fn origin(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    after.split(['/', '?', '#']).next().unwrap_or_default()
}

fn scheme(url: &str) -> &str {
    url.split_inclusive(':').next().unwrap_or_default()
}

/// Where a redirect leads.
fn join(base: &str, location: &str) -> String {
    if location.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some()) {
        return location.to_owned();
    }
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{}//{rest}", scheme(base));
    }
    let root = format!("{}//{}", scheme(base), origin(base));
    if location.starts_with('/') {
        return format!("{root}{location}");
    }
    let path = base[root.len()..].split(['?', '#']).next().unwrap_or_default();
    let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
    format!("{root}{folder}{location}")
}

#[test]
fn redirects_lead_somewhere() {
    let base = "https://a.example:8/b/c?d";
    for (location, target) in [
        ("http://e.example/f", "http://e.example/f"),
        ("//e.example/f", "https://e.example/f"),
        ("/f", "https://a.example:8/f"),
        ("f", "https://a.example:8/b/f"),
    ] {
        assert_eq!(join(base, location), target);
    }
    assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
    assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
    assert_eq!(retry_after("soon"), None);
}
