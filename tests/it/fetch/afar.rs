//! Builds that read raw files where they lie with their publishers.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::server::{Reply, Request, Server, file};
use crate::support::{Folder, gzip};

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
