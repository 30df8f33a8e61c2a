//! Fetching, from servers that misbehave.

mod afar;
mod stores;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::server::{Reply, Request, Server, file};
use crate::support::{Folder, Said, gzip, said};

/// Bytes that look alike nowhere, so that a part in the wrong place is seen.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    (0..length).map(next).collect()
}

impl Folder {
    /// Writes a manifest of C4 with these downloads, and gives the command that fetches them.
    fn fetching(&self, downloads: &str) -> String {
        let manifest = format!(
            "slice: c4\nabout: a test\nlicense: CC0-1.0\nreported: {{ tokens: 1, source: nobody }}\n\
             inputs: ['*']\ndownloads:\n{downloads}\n"
        );
        self.write("c4.yaml", manifest);
        "fetch --slice c4 --manifest c4.yaml --attempts 4 --patience 5".to_owned()
    }

    fn fetched(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("raw/c4").join(name)).unwrap_or_default()
    }

    /// All that lies in the folder of raw files, hidden files too.
    fn lies(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("raw/c4")).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.path("raw/c4/.fetch.lock")).unwrap_or_default()
    }
}

#[test]
fn what_a_manifest_names_is_brought_and_built() {
    let folder = Folder::new();
    folder.corpus();
    let files: Vec<(String, Vec<u8>)> = (0..6)
        .map(|n| (format!("/en/c4-{n:05}.json.gz"), fs::read(folder.path(&format!("raw/c4-{n:05}.json.gz"))).unwrap()))
        .collect();
    fs::remove_dir_all(folder.path("raw")).unwrap();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, contents)| (path.as_str(), contents.as_slice())).collect();
    let server = Server::of(&files);
    let url = server.url("/en/c4-{00000..00005}.json.gz");
    let command = folder.fetching(&format!("  - url: {url}\n    file: \"c4-train.{{name}}\""));
    let first = folder.fine(&format!("{command} --limit 2"));
    assert!(first.err.contains("c4 → raw/c4: 2 files brought"), "{}", first.err);
    let second = folder.fine(&format!("{command} --json"));
    assert!(second.err.contains("4 files brought") && second.err.contains("2 were there"), "{}", second.err);
    assert!(second.out.contains("\"files\":6"), "{}", second.out);
    for (path, contents) in &files {
        assert_eq!(folder.fetched(&format!("c4-train.{}", &path[4..])), *contents, "{path}");
        assert_eq!(server.ranges(path), [None], "{path} was asked for more than once");
    }
    let third = folder.fine(&command);
    assert!(third.err.contains("0 files brought") && third.err.contains("6 were there"), "{}", third.err);
    assert_eq!(folder.lies().len(), 7, "{:?}", folder.lies());
    assert_eq!(folder.lock().lines().count(), 6);
    // A build finds them where it looks.
    let pipeline = folder.pipeline("p.yaml", "tokenize: {}, pack: {}").display().to_string();
    folder.fine(&format!("build {pipeline} --output out"));
    assert_eq!(folder.kept("out", "c4"), 6 * 120);
}

#[test]
fn a_cut_is_gone_on_from() {
    let contents = noise(300_000, 1);
    let served = contents.clone();
    let server = Server::new(move |request| file(request, &served, "\"a\"").cut(100_000));
    let folder = Folder::new();
    folder.fine(&folder.fetching(&format!("  - url: {}", server.url("/a.bin"))));
    assert_eq!(folder.fetched("a.bin"), contents);
    assert_eq!(server.ranges("/a.bin"), [None, Some(100_000), Some(200_000)]);
    assert!(server.seen().iter().skip(1).all(|request| request.header("if-range") == Some("\"a\"")));
    assert_eq!(folder.lies(), [".fetch.lock", "a.bin"]);
}

#[test]
fn a_server_that_ignores_ranges_is_heard_out() {
    let contents = noise(200_000, 2);
    let served = contents.clone();
    let server = Server::new(move |request| {
        let reply = Reply { status: 200, body: served.clone(), ..Reply::default() }.header("ETag", "\"a\"");
        if request.before == 0 { reply.cut(150_000) } else { reply }
    });
    let folder = Folder::new();
    folder.fine(&folder.fetching(&format!("  - url: {}", server.url("/a.bin"))));
    assert_eq!(folder.fetched("a.bin"), contents);
    assert_eq!(server.ranges("/a.bin"), [None, Some(150_000)]);
}

/// Without an etag or a date, nothing tells whether two parts are of one file.
#[test]
fn parts_that_nothing_joins_are_not_joined() {
    let contents = noise(200_000, 3);
    let served = contents.clone();
    let server = Server::new(move |request| {
        let reply = file(request, &served, "");
        if request.before == 0 { reply.cut(150_000) } else { reply }
    });
    let folder = Folder::new();
    folder.fine(&folder.fetching(&format!("  - url: {}", server.url("/a.bin"))));
    assert_eq!(folder.fetched("a.bin"), contents);
    assert_eq!(server.ranges("/a.bin"), [None, None]);
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    let server = Server::new(|request| match (request.path.as_str(), request.before) {
        ("/a.bin", 0) => Reply::status(429).header("Retry-After", "1"),
        ("/b.bin", 0) => Reply::status(503),
        ("/c.bin", 0) => Reply::status(500).header("Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"),
        _ => file(request, b"red", "\"a\""),
    });
    let folder = Folder::new();
    folder.fine(&folder.fetching(&format!("  - url: {}\n    each: {{ word: [a, b, c] }}", server.url("/{word}.bin"))));
    let seen = server.seen();
    let times: Vec<_> = seen.iter().filter(|request| request.path == "/a.bin").map(|request| request.at).collect();
    assert!(times[1] - times[0] >= Duration::from_secs(1), "{:?}", times[1] - times[0]);
    assert_eq!(folder.lies(), [".fetch.lock", "a.bin", "b.bin", "c.bin"]);
    // Nobody waits for a day.
    let server = Server::new(|_| Reply::status(429).header("Retry-After", "86400"));
    let said = folder.ends(&folder.fetching(&format!("  - url: {}", server.url("/d.bin"))), 1);
    assert!(
        said.err.contains("asked too often (HTTP 429), and wants to be asked again in 1440 minutes"),
        "{}",
        said.err
    );
}

#[test]
fn lengths_that_are_lies_are_found_out() {
    let folder = Folder::new();
    // More is promised than ever comes.
    let server = Server::new(|request| Reply { length: Some(Some(9)), ..file(request, b"red", "") });
    let said = folder.ends(&folder.fetching(&format!("  - url: {}", server.url("/a.bin"))), 1);
    assert!(said.err.contains("a.bin") && said.err.contains("tried 4 times"), "{}", said.err);
    assert!(said.err.contains("of 9 bytes"), "{}", said.err);
    // Another length than the manifest's.
    let server = Server::of(&[("/a.bin", b"red")]);
    let said = folder.ends(&folder.fetching(&format!("  - url: {}\n    bytes: 4", server.url("/a.bin"))), 65);
    assert!(said.err.contains("has 3 bytes, and should have 4"), "{}", said.err);
    // No length at all, and an end that comes too early for the manifest.
    let server = Server::new(|request| Reply { length: Some(None), ..file(request, b"red", "") });
    let said = folder.ends(&folder.fetching(&format!("  - url: {}\n    bytes: 4", server.url("/a.bin"))), 65);
    assert!(said.err.contains("it has 3 bytes, not 4"), "{}", said.err);
    assert_eq!(folder.fetched("a.bin"), b"");
    assert!(!folder.lies().iter().any(|name| name.ends_with("a.bin")), "{:?}", folder.lies());
    // Where nobody knows better, such an end is an end.
    folder.fine(&folder.fetching(&format!("  - url: {}", server.url("/a.bin"))));
    assert_eq!(folder.fetched("a.bin"), b"red");
}

#[test]
fn a_file_that_changes_under_way_is_not_spliced() {
    let (old, new) = (noise(200_000, 4), noise(200_000, 5));
    for ignores in [false, true] {
        let (old, served) = (old.clone(), new.clone());
        let server = Server::new(move |request| match request.before {
            0 => file(request, &old, "\"old\"").cut(120_000),
            // Some do not know `If-Range`, and give a part of the new file.
            _ if ignores => {
                let mut request = request.clone();
                request.headers.remove("if-range");
                file(&request, &served, "\"new\"")
            }
            _ => file(request, &served, "\"new\""),
        });
        let folder = Folder::new();
        folder.fine(&folder.fetching(&format!("  - url: {}", server.url("/a.bin"))));
        assert!(folder.fetched("a.bin") == new, "ignores {ignores}");
    }
}

#[test]
fn a_file_that_was_pinned_may_not_change_unseen() {
    let folder = Folder::new();
    let version = Arc::new(AtomicUsize::new(0));
    let now = version.clone();
    let server = Server::new(move |request| {
        let contents: [&[u8]; 3] = [b"red", b"rod", b"longer"];
        let version = now.load(Ordering::SeqCst);
        file(request, contents[version], &format!("\"{version}\""))
    });
    let command = folder.fetching(&format!("  - url: {}", server.url("/a.bin")));
    folder.fine(&command);
    let pinned = folder.lock();
    for (next, detail) in [(1, "its BLAKE3 is"), (2, "it has 6 bytes, and had 3")] {
        version.store(next, Ordering::SeqCst);
        // What is here is fine, unless one asks.
        folder.fine(&command);
        let checked = folder.ends(&format!("{command} --check"), 65);
        assert!(checked.err.contains("is no longer what was pinned"), "{}", checked.err);
        fs::remove_file(folder.path("raw/c4/a.bin")).unwrap();
        let said = folder.ends(&command, 65);
        assert!(said.err.contains("is no longer what was pinned") && said.err.contains(detail), "{}", said.err);
        assert!(said.err.contains("--update takes what is there now"), "{}", said.err);
        assert_eq!((folder.fetched("a.bin"), folder.lock()), (b"".to_vec(), pinned.clone()));
        version.store(0, Ordering::SeqCst);
        folder.fine(&format!("{command} --check"));
    }
    version.store(2, Ordering::SeqCst);
    fs::remove_file(folder.path("raw/c4/a.bin")).unwrap();
    folder.fine(&format!("{command} --update"));
    assert_eq!(folder.fetched("a.bin"), b"longer");
    assert_ne!(folder.lock(), pinned);
    // A file that somebody changed here.
    folder.write("raw/c4/a.bin", "larger!");
    let said = folder.ends(&command, 65);
    assert!(said.err.contains("raw/c4/a.bin is not what should be there: it has 7 bytes, and had 6"), "{}", said.err);
    folder.write("raw/c4/a.bin", "lunger");
    folder.fine(&command);
    let said = folder.ends(&format!("{command} --check"), 65);
    assert!(said.err.contains("its BLAKE3 is"), "{}", said.err);
    folder.fine(&format!("{command} --check --update"));
    assert_eq!(folder.fetched("a.bin"), b"longer");
}

#[test]
fn what_the_manifest_promises_must_come() {
    let digest = "b1f51a511f1da0cd348b8f8598db32e61cb963e5fc69e2b41485bf99590ed75a"; // of "red"
    let folder = Folder::new();
    let server = Server::new(|request| match (request.path.as_str(), request.before) {
        // A byte that flipped on its way, once.
        ("/flips.bin", 0) => file(request, b"rod", "\"a\""),
        ("/other.bin", _) => file(request, b"rod", "\"a\""),
        _ => file(request, b"red", "\"a\""),
    });
    let downloads = |path: &str| format!("  - url: {}\n    bytes: 3\n    sha256: {digest}", server.url(path));
    folder.fine(&folder.fetching(&downloads("/flips.bin")));
    assert_eq!(folder.fetched("flips.bin"), b"red");
    let said = folder.ends(&folder.fetching(&downloads("/other.bin")), 65);
    assert!(
        said.err.contains("wrong bytes came, twice over: its SHA-256 is") && said.err.contains(digest),
        "{}",
        said.err
    );
    assert_eq!(server.ranges("/other.bin"), [None, None]);
    assert_eq!(folder.lies(), [".fetch.lock", "flips.bin"]);
    // Brought by hand, it is looked at too.
    folder.write("raw/c4/other.bin", "rod");
    let said = folder.ends(&folder.fetching(&downloads("/other.bin")), 65);
    assert!(said.err.contains("raw/c4/other.bin is not what should be there: its SHA-256 is"), "{}", said.err);
    folder.write("raw/c4/other.bin", "red");
    folder.fine(&folder.fetching(&downloads("/other.bin")));
    assert!(folder.lock().contains("other.bin"));
}

#[test]
fn a_file_that_is_not_there_does_not_keep_the_others() {
    let server = Server::of(&[("/a.bin", b"red"), ("/c.bin", b"blue")]);
    let folder = Folder::new();
    let command = folder.fetching(&format!("  - url: {}\n    each: {{ word: [a, b, c] }}", server.url("/{word}.bin")));
    let said = folder.ends(&command, 64);
    assert!(said.err.contains("/b.bin: there is no such file (HTTP 404)"), "{}", said.err);
    assert_eq!(folder.lies(), [".fetch.lock", "a.bin", "c.bin"]);
    assert_eq!(server.ranges("/b.bin"), [None], "a refusal is final");
}

#[test]
fn credentials_stay_where_they_belong() {
    let other = Server::of(&[("/moved.bin", b"red")]);
    // The same address by another name is another host.
    let elsewhere = format!("http://localhost:{}/moved.bin", other.port);
    let server = Server::new(move |request| match request.path.split('?').next().unwrap() {
        "/a.bin" => Reply::status(302).header("Location", "/b.bin"),
        "/b.bin" => Reply::status(307).header("Location", elsewhere.clone()),
        _ => file(request, b"red", "\"a\""),
    });
    let folder = Folder::new();
    let url = format!("http://somebody:s3cret@127.0.0.1:{}/a.bin?token=t0ken", server.port);
    let said = folder.fine(&folder.fetching(&format!("  - url: {url}\n    file: x.bin")));
    assert_eq!(folder.fetched("x.bin"), b"red");
    let authorization = |seen: Vec<Request>| -> Vec<Option<String>> {
        seen.iter().map(|request| request.header("authorization").map(str::to_owned)).collect()
    };
    let basic = Some("Basic c29tZWJvZHk6czNjcmV0".to_owned());
    assert_eq!(authorization(server.seen()), [basic.clone(), basic]);
    assert_eq!(authorization(other.seen()), [None]);
    // A failure names the address, and nothing that lets one in.
    let command = folder.fetching(&format!("  - url: {}\n    file: y.bin", url.replace("/a.bin", "/none")));
    let refusing = Server::new(|_| Reply::status(403));
    folder.write(
        "c4.yaml",
        fs::read_to_string(folder.path("c4.yaml"))
            .unwrap()
            .replace(&server.port.to_string(), &refusing.port.to_string()),
    );
    let failed = folder.ends(&command, 64);
    assert!(failed.err.contains("/none: the publisher does not allow it (HTTP 403)"), "{}", failed.err);
    for text in [said.err, said.out, failed.err, folder.lock()] {
        assert!(!text.contains("s3cret") && !text.contains("t0ken"), "{text}");
    }
}

#[test]
fn listings_are_expanded() {
    let listing = gzip(b"wet/a.warc.wet.gz\nwet/b.warc.wet.gz\nwet/c.warc.wet.gz\n");
    let server = Server::of(&[
        ("/crawl/wet.paths.gz", &listing),
        ("/wet/a.warc.wet.gz", b"a"),
        ("/wet/b.warc.wet.gz", b"b"),
        ("/wet/c.warc.wet.gz", b"c"),
    ]);
    let folder = Folder::new();
    let downloads = format!(
        "  - listing: {}\n    prefix: {}\n    each: {{ crawl: [crawl] }}\n    file: \"{{crawl}}/{{name}}\"",
        server.url("/{crawl}/wet.paths.gz"),
        server.url("/")
    );
    let command = folder.fetching(&downloads);
    let plan = folder.fine(&format!("{command} --plan --json"));
    assert!(plan.out.contains("c4 → raw/c4: 3 files, 3 bytes, 0 there\n  licence: CC0-1.0\n"), "{}", plan.out);
    assert!(!folder.path("raw").exists(), "a plan writes nothing");
    folder.fine(&format!("{command} --only [bc].* --limit 1"));
    assert_eq!(folder.fetched("crawl/b.warc.wet.gz"), b"b");
    assert_eq!(folder.lies(), [".fetch.lock", "crawl"]);
    let said = folder.ends(&format!("{command} --only nothing"), 2);
    assert!(said.err.contains("--only leaves none of the 3 files"), "{}", said.err);
}

#[test]
fn nobody_pays_unasked() {
    let manifest = "<arXivSRC><file><filename>src/a.tar</filename><size>4000000000</size></file></arXivSRC>";
    let server = Server::of(&[("/src/manifest.xml", manifest.as_bytes())]);
    let folder = Folder::new();
    let command = folder.fetching(&format!(
        "  - listing: {}\n    form: arxiv\n    prefix: {}\n    requester_pays: {{ gigabyte: 0.09, currency: USD, source: a test }}",
        server.url("/src/manifest.xml"),
        server.url("/")
    ));
    let plan = folder.fine(&format!("{command} --plan"));
    assert!(plan.out.contains("costs about 0.36 USD (0.09 USD a gigabyte, by a test)"), "{}", plan.out);
    let said = folder.ends(&command, 2);
    assert!(said.err.contains("is charged to whoever reads it: 1 files for about 0.36 USD"), "{}", said.err);
    assert!(said.err.contains("--pay agrees to it"), "{}", said.err);
}

#[test]
fn a_host_has_no_more_connections_than_allowed() {
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (busy.clone(), most.clone());
    let server = Server::new(move |request| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(60));
        now.fetch_sub(1, Ordering::SeqCst);
        file(request, b"red", "\"a\"")
    });
    let folder = Folder::new();
    let command = folder.fetching(&format!("  - url: {}", server.url("/{01..12}.bin")));
    folder.fine(&format!("{command} --connections 3"));
    assert_eq!((most.load(Ordering::SeqCst), folder.lies().len()), (3, 13));
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let server = Server::of(&[("/a.bin", b"red"), ("/b.bin", b"red")]);
    let proxy = Server::of(&[("/a.bin", b"red")]);
    let folder = Folder::new();
    let run = |command: &str, variables: &[(&str, String)]| -> Said {
        said(folder.command(command).envs(variables.iter().cloned()).output().unwrap())
    };
    let command = folder.fetching(&format!("  - url: {}", server.url("/a.bin")));
    let through = ("http_proxy", format!("http://me:s3cret@127.0.0.1:{}", proxy.port));
    let one = run(&command, std::slice::from_ref(&through));
    assert_eq!(one.code, 0, "{}", one.err);
    assert_eq!(folder.fetched("a.bin"), b"red");
    assert_eq!(server.seen().len(), 0);
    assert_eq!(proxy.seen()[0].path, format!("127.0.0.1:{}", server.port));
    assert!(proxy.seen()[0].header("proxy-authorization").is_some());
    assert!(proxy.seen()[1].tunnelled && proxy.seen()[1].header("proxy-authorization").is_none());
    let command = folder.fetching(&format!("  - url: {}", server.url("/b.bin")));
    let two = run(&command, &[through, ("no_proxy", "127.0.0.1,elsewhere.example".to_owned())]);
    assert_eq!((two.code, server.seen().len(), proxy.seen().len()), (0, 1, 2), "{}", two.err);
    let wrong = run(&command.replace("--slice", "--check --slice"), &[("http_proxy", "http://me:s3cret@[".to_owned())]);
    assert_eq!(wrong.code, 64, "{}", wrong.err);
    assert!(!wrong.err.contains("s3cret"), "{}", wrong.err);
}

#[test]
fn a_rate_is_not_exceeded() {
    let contents = noise(300_000, 6);
    let server = Server::of(&[("/a.bin", &contents)]);
    let folder = Folder::new();
    let start = std::time::Instant::now();
    folder.fine(&format!("{} --rate 200K", folder.fetching(&format!("  - url: {}", server.url("/a.bin")))));
    assert!(start.elapsed() > Duration::from_millis(1200), "{:?}", start.elapsed());
    assert_eq!(folder.fetched("a.bin"), contents);
}

#[test]
fn an_interrupted_fetch_goes_on() {
    let contents = noise(400_000, 7);
    let served = contents.clone();
    let server = Server::new(move |request| {
        let reply = file(request, &served, "\"a\"");
        // Comes to a standstill, at first.
        if request.before == 0 { Reply { slowly: Some(Duration::from_millis(20)), ..reply } } else { reply }
    });
    let folder = Folder::new();
    let command = folder.fetching(&format!("  - url: {}", server.url("/a.bin")));
    let mut child = folder.command(&command).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let part: PathBuf = folder.path("raw/c4/.a.bin.part");
    for _ in 0..3000 {
        if fs::metadata(&part).is_ok_and(|part| part.len() > 10_000) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(folder.lies(), [".a.bin.part", ".a.bin.part.json"]);
    folder.fine(&command);
    assert!(folder.fetched("a.bin") == contents);
    let ranges = server.ranges("/a.bin");
    assert!(ranges.len() == 2 && ranges[1].is_some_and(|from| from > 10_000), "{ranges:?}");
    assert_eq!(folder.lies(), [".fetch.lock", "a.bin"]);
}

#[test]
fn a_fetch_that_dies_anywhere_goes_on() {
    let contents = noise(100_000, 8);
    let served = contents.clone();
    let server = Server::new(move |request| file(request, &served, "\"a\"").cut(60_000));
    let mut died = 0;
    for step in 0..20 {
        let folder = Folder::new();
        let command = folder.fetching(&format!("  - url: {}\n  - url: {}", server.url("/a.bin"), server.url("/b.bin")));
        let output = folder.command(&command).env("REDPAJAMA_CRASH_AT", step.to_string()).output().unwrap();
        died += usize::from(output.status.code().is_none());
        for name in ["a.bin", "b.bin"] {
            let there = folder.fetched(name);
            assert!(there.is_empty() || there == contents, "half a file at step {step}");
        }
        folder.fine(&command);
        assert_eq!((folder.fetched("a.bin"), folder.fetched("b.bin")), (contents.clone(), contents.clone()));
        assert_eq!(folder.lies(), [".fetch.lock", "a.bin", "b.bin"], "after step {step}");
        assert_eq!(folder.lock().lines().count(), 2);
        if output.status.success() {
            assert!(died > 5, "{died} steps");
            return;
        }
    }
    panic!("a fetch has no end");
}
