//! Fetching, from servers that misbehave.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::server::{Reply, Request, Server, file};
use crate::support::{Folder, Said, gzip, said, tokenizer};

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

/// Runs a command with variables of the environment.
fn with(folder: &Folder, command: &str, variables: &[(&str, &str)]) -> Said {
    said(folder.command(command).envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn buckets_are_listed_and_their_requests_signed() {
    let server = Server::new(|request| {
        let path = request.path.split('?').next().unwrap();
        match (path, request.path.contains("continuation-token=more%2F1")) {
            ("/bucket/", false) => Reply { status: 200, ..Reply::default() }.body(
                "<ListBucketResult><NextContinuationToken>more/1</NextContinuationToken>\
                 <Contents><Key>a/</Key><Size>0</Size></Contents>\
                 <Contents><Key>a/x y.gz</Key><Size>3</Size></Contents></ListBucketResult>",
            ),
            ("/bucket/", true) => Reply { status: 200, ..Reply::default() }
                .body("<ListBucketResult><Contents><Key>a/z.txt</Key><Size>4</Size></Contents></ListBucketResult>"),
            ("/bucket/a/x%20y.gz", _) => file(request, b"red", "\"a\""),
            _ => Reply::status(404),
        }
    });
    let folder = Folder::new();
    let command = folder.fetching("  - url: s3://bucket/a/*.gz");
    let endpoint = server.url("");
    let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s3cret"), ("AWS_SESSION_TOKEN", "t0ken")];
    let said =
        with(&folder, &command, &[&keys[..], &[("AWS_ENDPOINT_URL", &endpoint), ("AWS_REGION", "eu-west-3")]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(folder.fetched("x y.gz"), b"red");
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for request in &seen {
        let authorization = request.header("authorization").unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
        assert!(authorization.contains("/eu-west-3/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature="), "{authorization}");
        assert_eq!(
            (request.header("x-amz-security-token"), request.header("x-amz-request-payer")),
            (Some("t0ken"), None)
        );
    }
    assert!(seen[0].path.contains("list-type=2&prefix=a%2F"), "{}", seen[0].path);
    for text in [said.err, said.out, folder.lock()] {
        assert!(!text.contains("s3cret") && !text.contains("t0ken"), "{text}");
    }
    // Who pays says so, and says who it is.
    let paying = folder.fetching(
        "  - url: s3://bucket/a/x y.gz\n    file: y.gz\n    requester_pays: { gigabyte: 0.09, currency: USD, source: a test }",
    );
    let paying = format!("{} --pay", paying.trim());
    folder.write("c4.yaml", fs::read_to_string(folder.path("c4.yaml")).unwrap().replace("a/x y.gz", "a/*.gz"));
    let nobody = with(&folder, &paying, &[("AWS_ENDPOINT_URL", &endpoint)]);
    assert_eq!(nobody.code, 64, "{}", nobody.err);
    assert!(nobody.err.contains("who pays must say who it is, with AWS_ACCESS_KEY_ID"), "{}", nobody.err);
    let said = with(&folder, &paying, &[&keys[..2], &[("AWS_ENDPOINT_URL", &endpoint)]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(server.seen().last().unwrap().header("x-amz-request-payer"), Some("requester"));
    // Without credentials, a bucket is asked as anybody.
    let command = folder.fetching("  - url: s3://bucket/none");
    let said = with(&folder, &command, &[("AWS_ENDPOINT_URL", &endpoint)]);
    assert!(said.code == 64 && said.err.contains("s3://bucket/none: there is no such file"), "{}", said.err);
    assert_eq!(server.seen().last().unwrap().header("authorization"), None);
}

#[test]
fn google_s_buckets_are_read_with_a_token() {
    const MD5_OF_RED: &str = "valkOsZgFyKijyOHFCdNpA==";
    let server = Server::new(|request| match request.path.split('?').next().unwrap() {
        "/token" => {
            Reply { status: 200, ..Reply::default() }.body("{\"access_token\": \"t0ken\", \"expires_in\": 3600}")
        }
        "/storage/v1/b/bucket/o" if !request.path.contains("pageToken=2") => Reply { status: 200, ..Reply::default() }
            .body("{\"items\": [{\"name\": \"g/1.gz\", \"size\": \"3\"}], \"nextPageToken\": \"2\"}"),
        "/storage/v1/b/bucket/o" => {
            Reply { status: 200, ..Reply::default() }.body("{\"items\": [{\"name\": \"g/2.gz\", \"size\": \"3\"}]}")
        }
        "/bucket/g/1.gz" => file(request, b"red", "\"a\"").header("x-goog-hash", format!("crc32c=x,md5={MD5_OF_RED}")),
        // A bucket that tells another digest than that of what it sends.
        "/bucket/g/2.gz" => file(request, b"rod", "\"a\"").header("x-goog-hash", format!("md5={MD5_OF_RED}")),
        _ => Reply::status(404),
    });
    let folder = Folder::new();
    let credentials = serde_json::json!({
        "type": "authorized_user", "client_id": "me", "client_secret": "s3cret", "refresh_token": "r3fresh",
        "token_uri": server.url("/token"),
    });
    let credentials = folder.write("credentials.json", credentials.to_string()).display().to_string();
    let host = format!("127.0.0.1:{}", server.port);
    let variables =
        [("STORAGE_EMULATOR_HOST", host.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", credentials.as_str())];
    let said = with(&folder, &folder.fetching("  - url: gs://bucket/g/"), &variables);
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("gs://bucket/g/2.gz: wrong bytes came, twice over: its MD5 is"), "{}", said.err);
    assert_eq!(folder.fetched("1.gz"), b"red");
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|request| request.path == "/token").count(), 1);
    assert!(seen[0].body.contains("refresh_token=r3fresh") && seen[0].body.contains("grant_type=refresh_token"));
    assert!(seen[1..].iter().all(|request| request.header("authorization") == Some("Bearer t0ken")));
    for secret in ["s3cret", "r3fresh", "t0ken"] {
        assert!(!said.err.contains(secret) && !folder.lock().contains(secret));
    }
    let wrong = folder.write("wrong.json", "s3cret").display().to_string();
    let variables = [("STORAGE_EMULATOR_HOST", host.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", wrong.as_str())];
    let said = with(&folder, &folder.fetching("  - url: gs://bucket/g/3.gz"), &variables);
    assert!(said.code == 64 && said.err.contains("not a file of credentials"), "{}", said.err);
}

/// Serves what Hugging Face does: large files lie on another host, which is given no token.
fn hugging_face(contents: &'static [u8], sha256: &'static str) -> (Server, Server) {
    let store = Server::new(move |request| file(request, contents, "\"store\""));
    let there = format!("http://localhost:{}/blob", store.port);
    let hub = Server::new(move |request| match request.path.split('?').next().unwrap() {
        "/api/datasets/o/n/tree/main/en" => Reply { status: 200, ..Reply::default() }.body(format!(
            "[{{\"type\": \"directory\", \"path\": \"en/x\", \"size\": 0}},\
              {{\"type\": \"file\", \"path\": \"en/a.json.gz\", \"size\": {}, \"lfs\": {{\"oid\": \"{sha256}\"}}}},\
              {{\"type\": \"file\", \"path\": \"en/README.md\", \"size\": 3}}]",
            contents.len()
        )),
        path if path.contains("/resolve/main/") => Reply::status(302)
            .header("Location", there.clone())
            .header("X-Linked-Size", contents.len().to_string())
            .header("X-Linked-ETag", format!("\"{sha256}\"")),
        _ => Reply::status(404),
    });
    (hub, store)
}

#[test]
fn hugging_face_s_files_are_listed_and_checked() {
    let sha256 = "b1f51a511f1da0cd348b8f8598db32e61cb963e5fc69e2b41485bf99590ed75a";
    let (hub, store) = hugging_face(b"red", sha256);
    let folder = Folder::new();
    let endpoint = hub.url("");
    let variables = [("HF_ENDPOINT", endpoint.as_str()), ("HF_TOKEN", "hf_s3cret")];
    let said = with(&folder, &folder.fetching("  - url: hf://datasets/o/n/en/*.gz"), &variables);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(folder.lies(), [".fetch.lock", "a.json.gz"]);
    assert!(folder.lock().contains(sha256), "{}", folder.lock());
    assert!(hub.seen().iter().all(|request| request.header("authorization") == Some("Bearer hf_s3cret")));
    assert!(store.seen().iter().all(|request| request.header("authorization").is_none()));
    assert!(!said.err.contains("hf_s3cret"));
}

#[test]
fn a_pipeline_s_model_is_fetched_on_first_use() {
    let contents: &'static [u8] = Vec::leak(fs::read(tokenizer()).unwrap());
    // Small files' etags are no SHA-256, and say nothing of the contents.
    let (hub, store) = hugging_face(contents, "0123456789abcdef0123456789abcdef01234567");
    let folder = Folder::new();
    folder.corpus();
    let endpoint = hub.url("");
    let build = "build c4 --input raw --output out --set tokenizer=hf://o/n/tokenizer.json";
    let said = with(&folder, build, &[("HF_ENDPOINT", &endpoint)]);
    assert_eq!(said.code, 64, "{}", said.err);
    assert!(said.err.contains("REDPAJAMA_OFFLINE is set"), "{}", said.err);
    let online = [("HF_ENDPOINT", endpoint.as_str()), ("REDPAJAMA_OFFLINE", "")];
    let said = with(&folder, build, &online);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(store.seen().iter().all(|request| request.method == "GET"));
    assert!(said.err.contains("fetching hf://o/n/tokenizer.json"), "{}", said.err);
    let asked = store.seen().len();
    assert_eq!(with(&folder, build, &online).code, 0);
    assert_eq!(store.seen().len(), asked, "it was here");
    folder.fine("verify out");
}

#[test]
fn models_are_known_by_name() {
    let folder = Folder::new();
    let said = folder.fine("fetch --model gpt-neox-20b lid.176 --plan").out;
    assert!(said.contains("models → models: 2 files, 128 MiB, 0 there"), "{said}");
    let said = folder.ends("fetch --model lid.177", 2);
    assert!(said.err.contains("did you mean `lid.176`?"), "{}", said.err);
    let said = folder.ends("fetch", 2);
    assert!(said.err.contains("cc-net-{language}.arpa") && said.err.contains("--slice"), "{}", said.err);
    let said = folder.ends("fetch --slice c5", 2);
    assert!(said.err.contains("did you mean `c4`?"), "{}", said.err);
}

/// Serves the corpus of a folder, and gives the addresses.
fn serving(
    folder: &Folder,
    answer: impl Fn(&Request, &[u8], &str) -> Reply + Send + Sync + 'static,
) -> (Server, String) {
    folder.corpus();
    let files: Vec<Vec<u8>> =
        (0..6).map(|n| fs::read(folder.path(&format!("raw/c4-{n:05}.json.gz"))).unwrap()).collect();
    let server = Server::new(move |request| {
        let number = request.path.strip_prefix("/en/c4-").and_then(|rest| rest[..5].parse::<usize>().ok());
        match number.and_then(|number| files.get(number)) {
            Some(contents) => answer(request, contents, "\"1\""),
            None => Reply::status(404),
        }
    });
    let input = server.url("/en/c4-{00000..00005}.json.gz");
    (server, input)
}

/// Digests of a corpus's shards and documents, whatever their tasks were.
fn digests(folder: &Folder, out: &str) -> Vec<String> {
    let catalog = folder.catalog(out);
    let slice = &catalog["slices"]["c4"];
    let mut digests: Vec<String> = ["shards", "documents", "dropped"]
        .iter()
        .flat_map(|kind| {
            slice[*kind].to_string().split("\"digest\":").skip(1).map(|rest| rest[..66].to_owned()).collect::<Vec<_>>()
        })
        .collect();
    digests.sort();
    digests
}

#[test]
fn a_build_reads_where_the_files_lie() {
    let folder = Folder::new();
    // Each connection is cut, and each file's first request is refused.
    let (server, input) = serving(&folder, |request, contents, etag| match (request.method.as_str(), request.before) {
        ("GET", 0) => Reply::status(503),
        _ => file(request, contents, etag).cut(contents.len() / 2 + 1),
    });
    folder.pipeline("p.yaml", "exact_dedup: {}, tokenize: {}, pack: {}");
    folder.fine("build p.yaml --input raw --output here");
    folder.fine(&format!("build p.yaml --input {input} --output there"));
    let (here, there) = (digests(&folder, "here"), digests(&folder, "there"));
    assert!(here.len() > 6 && here == there, "{here:?}\n{there:?}");
    folder.fine("verify there");
    let asked = server.seen().iter().filter(|request| request.method == "GET").count();
    let again = folder.fine(&format!("build p.yaml --input {input} --output there"));
    assert!(again.err.contains("tasks are done already"), "{}", again.err);
    assert_eq!(server.seen().iter().filter(|request| request.method == "GET").count(), asked, "nothing is read again");
    let shown = folder.fine(&format!("inspect --slice c4 --limit 1 {}", server.url("/en/c4-00003.json.gz")));
    assert!(
        shown.out.contains("c4/c4-00003.json.gz#0") || shown.out.contains("── c4/c4-00003.json.gz"),
        "{}",
        shown.out
    );
}

#[test]
fn a_build_notices_a_file_that_changed_since_its_plan() {
    let folder = Folder::new();
    let changed = Arc::new(AtomicUsize::new(0));
    let now = changed.clone();
    let (_server, input) = serving(&folder, move |request, contents, _| {
        let etag = match (request.method.as_str(), now.load(Ordering::SeqCst)) {
            ("HEAD", 0) => "\"old\"",
            _ => "\"new\"",
        };
        file(request, contents, etag)
    });
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    let build = format!("build p.yaml --input {input} --output out");
    let said = folder.ends(&build, 1);
    assert!(said.err.contains("has changed: its etag is \"new\", not \"old\""), "{}", said.err);
    assert!(said.err.contains("run the same command again"), "{}", said.err);
    changed.store(1, Ordering::SeqCst);
    folder.fine(&build);
    assert_eq!(folder.kept("out", "c4"), 720);
}

#[test]
fn a_build_that_waits_for_a_server_can_be_interrupted() {
    let folder = Folder::new();
    let (server, input) = serving(&folder, |request, contents, etag| {
        let reply = file(request, contents, etag);
        if request.method == "GET" { Reply { slowly: Some(Duration::from_secs(60)), ..reply } } else { reply }
    });
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    let build = format!("build p.yaml --input {input} --output out");
    let mut child = folder.command(&build).stderr(std::process::Stdio::null()).spawn().unwrap();
    while !server.seen().iter().any(|request| request.method == "GET") {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let start = std::time::Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert!(!folder.path("out/catalog.json").exists());
}

#[test]
fn a_listing_of_paths_is_an_input() {
    let folder = Folder::new();
    let line = crate::support::record("The tide came in.");
    let listing = gzip(b"x/c4-1.json\nx/c4-2.json\n");
    let server = Server::of(&[
        ("/c/wet.paths.gz", &listing),
        ("/x/c4-1.json", line.as_bytes()),
        ("/x/c4-2.json", line.as_bytes()),
    ]);
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    folder.fine(&format!("build p.yaml --input {} --output out", server.url("/c/wet.paths.gz")));
    assert_eq!(folder.kept("out", "c4"), 2);
    let said = folder.ends(&format!("build p.yaml --input {} --output other", server.url("/none.json")), 64);
    assert!(said.err.contains("/none.json: there is no such file (HTTP 404)"), "{}", said.err);
    let said = folder.ends("build p.yaml --input ftp://a/b --output other", 64);
    assert!(said.err.contains("an unknown scheme; known are https, http, s3, gs and hf"), "{}", said.err);
}

/// Parquet is read at random: its bytes are kept in a temporary file meanwhile.
#[test]
fn parquet_is_read_where_it_lies() {
    let folder = Folder::new();
    folder.corpus();
    folder.pipeline("p.yaml", "exact_dedup: {}, tokenize: {}, pack: {}");
    folder.fine("build p.yaml --input raw --output here");
    let documents = folder.catalog("here")["slices"]["c4"]["documents"][0]["name"].as_str().unwrap().to_owned();
    let parquet = fs::read(folder.path("here").join(documents)).unwrap();
    folder.write("local/d.parquet", &parquet);
    let server = Server::of(&[("/d.parquet", &parquet)]);
    folder.fine("build p.yaml --input local --output from-disk");
    folder.fine(&format!("build p.yaml --input {} --output from-there", server.url("/d.parquet")));
    assert!(folder.kept("from-there", "c4") > 10);
    assert_eq!(digests(&folder, "from-disk"), digests(&folder, "from-there"));
    assert_eq!(server.ranges("/d.parquet"), [None], "its bytes come once");
}

/// Runs OpenSSL; nothing where there is none.
fn openssl(folder: &Folder, arguments: &str) -> Option<std::process::Output> {
    let run = std::process::Command::new("openssl")
        .current_dir(folder.path(""))
        .args(arguments.split(' '))
        .stdin(std::process::Stdio::null())
        .output();
    match run {
        Ok(output) => Some(output),
        Err(_) => {
            eprintln!("not tested: there is no openssl here");
            None
        }
    }
}

#[test]
fn a_service_signs_for_its_token() {
    let folder = Folder::new();
    let made = openssl(&folder, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    if made.is_none_or(|made| !made.status.success()) {
        return;
    }
    openssl(&folder, "pkey -in key.pem -pubout -out public.pem").unwrap();
    let server = Server::new(|request| match request.path.as_str() {
        "/token" => {
            Reply { status: 200, ..Reply::default() }.body("{\"access_token\": \"t0ken\", \"expires_in\": 3600}")
        }
        _ => file(request, b"red", "\"a\""),
    });
    let credentials = serde_json::json!({
        "type": "service_account", "client_email": "me@service.example", "token_uri": server.url("/token"),
        "private_key": fs::read_to_string(folder.path("key.pem")).unwrap(),
    });
    let credentials = folder.write("credentials.json", credentials.to_string()).display().to_string();
    let host = server.url("");
    let variables =
        [("STORAGE_EMULATOR_HOST", host.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", credentials.as_str())];
    let said = with(&folder, &folder.fetching("  - url: gs://bucket/a.bin"), &variables);
    assert_eq!(said.code, 0, "{}", said.err);
    let seen = server.seen();
    assert_eq!(seen[1].header("authorization"), Some("Bearer t0ken"));
    let assertion = seen[0].body.split("assertion=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&decoded(signed.split('.').nth(1).unwrap())).unwrap();
    assert_eq!(
        (claims["iss"].as_str(), claims["aud"].as_str()),
        (Some("me@service.example"), Some(server.url("/token").as_str()))
    );
    folder.write("signed", signed);
    folder.write("signature", decoded(signature));
    let verified = openssl(&folder, "dgst -sha256 -verify public.pem -signature signature signed").unwrap();
    assert!(String::from_utf8_lossy(&verified.stdout).contains("Verified OK"));
}

#[test]
fn certificates_are_checked() {
    let folder = Folder::new();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let made = openssl(&folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    if made.is_none_or(|made| !made.status.success()) {
        return;
    }
    folder.write("extensions", "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n");
    openssl(&folder, &format!("req {key} -keyout key.pem -out asked.pem -subj /CN=localhost")).unwrap();
    let signed =
        "x509 -req -in asked.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out cert.pem";
    openssl(&folder, signed).unwrap();
    folder.write("a.bin", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nred");
    folder.write(
        "down.bin",
        "HTTP/1.1 302 Found\r\nLocation: http://localhost:1/a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = std::process::Command::new("openssl")
        .current_dir(folder.path(""))
        .args(["s_server", "-accept", &port.to_string(), "-cert", "cert.pem", "-key", "key.pem", "-HTTP", "-quiet"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let fetch = |name: &str, variables: &[(&str, &str)]| {
        let command = folder.fetching(&format!("  - url: https://localhost:{port}/{name}"));
        with(&folder, &command, variables)
    };
    let authority = folder.path("ca.pem").display().to_string();
    let trusted = [("SSL_CERT_FILE", authority.as_str())];
    for _ in 0..2000 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let fine = fetch("a.bin", &trusted);
    let unknown = fetch("a.bin", &[]);
    fs::remove_file(folder.path("raw/c4/a.bin")).unwrap_or_default();
    let unknown_too = fetch("a.bin", &[]);
    let down = fetch("down.bin", &trusted);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!((fine.code, unknown.code), (0, 0), "{}\n{}", fine.err, unknown.err);
    assert_eq!(unknown_too.code, 64, "{}", unknown_too.err);
    assert!(
        unknown_too.err.contains("UnknownIssuer") && unknown_too.err.contains("SSL_CERT_FILE"),
        "{}",
        unknown_too.err
    );
    assert!(down.code == 64 && down.err.contains("a redirect from https to an open connection"), "{}", down.err);
}

#[test]
fn a_bucket_elsewhere_is_found() {
    let server = Server::new(|request| match request.header("authorization") {
        Some(signed) if signed.contains("/ap-south-1/s3/") => file(request, b"red", "\"a\""),
        _ => Reply::status(400).header("x-amz-bucket-region", "ap-south-1"),
    });
    let folder = Folder::new();
    folder.write(".aws/credentials", "[else]\naws_access_key_id=AKID\naws_secret_access_key=s3cret\n");
    let endpoint = server.url("");
    let command = folder.fetching("  - url: s3://bucket/a.bin\n    each: { x: [1] }");
    let said = with(&folder, &command, &[("AWS_ENDPOINT_URL_S3", &endpoint), ("AWS_PROFILE", "else")]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!((folder.fetched("a.bin"), server.seen().len()), (b"red".to_vec(), 2));
}

#[test]
fn a_build_reads_hugging_face_s_files() {
    let line: &'static [u8] = Vec::leak(crate::support::record("The tide came in.").into_bytes());
    let (hub, store) = hugging_face(line, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    let folder = Folder::new();
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    let endpoint = hub.url("");
    let build = "build p.yaml --input hf://datasets/o/n/en/*.gz --output out";
    let said = with(&folder, build, &[("HF_ENDPOINT", &endpoint), ("HF_TOKEN", "hf_s3cret")]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(folder.kept("out", "c4"), 1);
    assert!(store.seen().iter().all(|request| request.method == "GET" && request.header("authorization").is_none()));
    let catalog = folder.catalog("out").to_string();
    assert!(catalog.contains("c4/a.json.gz") && !catalog.contains("s3cret"), "{catalog}");
}

#[test]
fn an_archive_of_a_site_is_read_where_it_lies() {
    let name = "harbours.example.com.7z";
    let here = crate::support::root().join("tests/slices/stack_exchange").join(name);
    let server = Server::of(&[(&format!("/dump/{name}"), &fs::read(&here).unwrap())]);
    let folder = Folder::new();
    let inspect = |what: &str| folder.fine(&format!("inspect --json --slice stack_exchange --limit 100 {what}")).out;
    let (from_disk, from_there) =
        (inspect(&here.display().to_string()), inspect(&server.url(&format!("/dump/{name}"))));
    assert!(from_disk.lines().count() > 2, "{from_disk}");
    assert_eq!(from_disk, from_there);
}
