//! An HTTP server that behaves, and misbehaves, as publishers' servers do.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// How many requests for this path came before.
    pub before: usize,
    /// Whether it came through a `CONNECT`, as to a proxy.
    pub tunnelled: bool,
    pub at: Instant,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Where a range begins.
    pub fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
    }
}

/// An answer. The length of the body is told truly unless `length` says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Told instead of the body's length; `Some(None)` tells none.
    pub length: Option<Option<usize>>,
    /// The connection ends after so many bytes of the body.
    pub cut: Option<usize>,
    /// The body comes in pieces of a kilobyte, with so much time between.
    pub slowly: Option<Duration>,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Reply {
        self.body = body.into();
        self
    }

    pub fn cut(mut self, after: usize) -> Reply {
        self.cut = Some(after);
        self
    }
}

/// A file as a well-behaved server gives it: ranges, `If-Range`, an etag.
pub fn file(request: &Request, contents: &[u8], etag: &str) -> Reply {
    let same = request.header("if-range").is_none_or(|validator| validator == etag);
    let reply = match request.from().filter(|_| same) {
        None => Reply { status: 200, body: contents.to_vec(), ..Reply::default() },
        Some(from) if from >= contents.len() => {
            return Reply::status(416).header("Content-Range", format!("bytes */{}", contents.len()));
        }
        Some(from) => {
            let last = request.header("range").and_then(|range| range.rsplit('-').next()?.parse().ok());
            let end = last.map_or(contents.len(), |last: usize| (last + 1).min(contents.len()));
            let range = format!("bytes {from}-{}/{}", end - 1, contents.len());
            Reply { status: 206, body: contents[from..end].to_vec(), ..Reply::default() }.header("Content-Range", range)
        }
    };
    if etag.is_empty() { reply } else { reply.header("ETag", etag) }
}

/// The server; it ends with the process.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

impl Server {
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let answer: Arc<Answer> = Arc::new(answer);
        let kept = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (answer.clone(), kept.clone());
                std::thread::spawn(move || {
                    // A client that goes away is what some tests are about.
                    let _ = serve(stream, &*answer, &seen);
                });
            }
        });
        Server { port, seen }
    }

    /// Serves these files, well.
    pub fn of(files: &[(&str, &[u8])]) -> Server {
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(path, contents)| ((*path).to_owned(), contents.to_vec())).collect();
        Server::new(move |request| match files.get(&request.path) {
            Some(contents) => file(request, contents, "\"1\""),
            None => Reply::status(404),
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The requests so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The ranges that were asked for of a path; `None` for the whole.
    pub fn ranges(&self, path: &str) -> Vec<Option<usize>> {
        let seen = self.seen();
        seen.iter().filter(|one| one.path == path && one.method == "GET").map(Request::from).collect()
    }
}

fn serve(mut stream: TcpStream, answer: &Answer, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut tunnelled = false;
    loop {
        let Some(mut request) = read_request(&mut reader)? else { return Ok(()) };
        request.tunnelled = tunnelled;
        {
            let mut seen = seen.lock().unwrap();
            let same = |one: &&Request| one.path == request.path && one.method == request.method;
            request.before = seen.iter().filter(same).count();
            seen.push(request.clone());
        }
        if request.method == "CONNECT" {
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
            tunnelled = true;
            continue;
        }
        let reply = answer(&request);
        let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
        for (name, value) in &reply.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(length) = reply.length.unwrap_or(Some(reply.body.len())) {
            head += &format!("Content-Length: {length}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method != "HEAD" {
            let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
            match reply.slowly {
                None => stream.write_all(body)?,
                Some(pause) => {
                    for piece in body.chunks(1024) {
                        stream.write_all(piece)?;
                        std::thread::sleep(pause);
                    }
                }
            }
        }
        stream.flush()?;
        return stream.shutdown(std::net::Shutdown::Write);
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(Request { method, path, headers, body, before: 0, tunnelled: false, at: Instant::now() }))
}
