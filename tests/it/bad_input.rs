//! Bad input: faults of the data are counted and the run goes on, faults of the world stop it with
//! a message that names the file and what to do, and nothing half-written is taken for whole.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Folder, gzip, record, said, tokenizer};

/// A folder with a pipeline, and twenty good records beside one raw file.
fn folder(name: &str, contents: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::new();
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    folder.write("raw/good.json", record("A good text.").repeat(20));
    folder.write(&format!("raw/{name}"), contents);
    folder
}

const BUILD: &str = "build p.yaml --input raw --output out";

/// Builds and expects so many records to be unusable for a reason, all others to be kept.
#[track_caller]
fn counted(folder: &Folder, reason: &str, unusable: u64, kept: u64) {
    folder.fine(BUILD);
    folder.fine("verify out");
    assert_eq!(folder.gone("out", "c4", reason), unusable, "{}", folder.catalog("out"));
    assert_eq!(folder.kept("out", "c4"), kept);
    let dropped = dropped(folder);
    let named = dropped.iter().filter(|row| row["reason"] == reason).count() as u64;
    assert_eq!(named, unusable, "dropped/ names each: {dropped:?}");
}

/// The rows of dropped/.
fn dropped(folder: &Folder) -> Vec<serde_json::Value> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder.path("out/dropped/c4")).into_iter().flatten().flatten() {
        let said = folder.fine(&format!("inspect {} --json --limit 1000", entry.path().display()));
        rows.extend(said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
    }
    rows
}

#[test]
fn truncated_gzip() {
    let lines: String = (0..2000).map(|n| record(&format!("Text number {n}, {}.", n * 7919))).collect();
    let whole = gzip(lines.as_bytes());
    let folder = folder("cut.json.gz", &whole[..whole.len() / 2]);
    folder.fine(BUILD);
    assert_eq!(folder.gone("out", "c4", "truncated_gzip"), 1);
    let kept = folder.kept("out", "c4");
    assert!(kept > 500, "what came before the cut is kept: {kept}");
    let inputs = folder.catalog("out")["slices"]["c4"]["inputs"].clone();
    let damaged: Vec<_> = inputs.as_array().unwrap().iter().filter(|read| read.get("damage").is_some()).collect();
    assert_eq!(damaged.len(), 1, "{inputs}");
    assert_eq!(damaged[0]["name"], "c4/cut.json.gz");
}

#[test]
fn garbage_after_a_gzip_member() {
    let mut bytes = gzip(record("Before the garbage.").as_bytes());
    bytes.extend_from_slice(b"this is no gzip member");
    counted(&folder("garbage.json.gz", bytes), "garbage_after_gzip", 1, 21);
}

#[test]
fn a_line_that_is_not_json() {
    counted(&folder("a.json", format!("{}{{\"text\": oops}}\n{}", record("One."), record("Two."))), "bad_json", 1, 22);
}

#[test]
fn json_of_another_shape() {
    counted(&folder("a.json", format!("[1, 2]\n{}", record("One."))), "not_an_object", 1, 21);
}

#[test]
fn missing_columns() {
    counted(&folder("a.json", "{\"url\": \"https://a.example\"}\n"), "missing_column", 1, 20);
}

#[test]
fn bad_utf8() {
    counted(
        &folder("a.json", [b"{\"text\": \"\xFF\xFE\"}\n".as_slice(), record("One.").as_bytes()].concat()),
        "bad_utf8",
        1,
        21,
    );
}

#[test]
fn nul_bytes() {
    counted(&folder("a.json", [b"\0\0\0\n".as_slice(), record("One.").as_bytes()].concat()), "bad_json", 1, 21);
}

#[test]
fn a_line_of_200_megabytes() {
    let folder = folder("a.json", "");
    let mut line = vec![b'x'; 200 << 20];
    line[..10].copy_from_slice(b"{\"text\": \"");
    line.extend_from_slice(format!("\"}}\n{}", record("After it.")).as_bytes());
    folder.write("raw/a.json", &line);
    drop(line);
    let said = folder.fine(&format!("{BUILD} --json --memory 64M --workers 1"));
    let result: serde_json::Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert!(result["peak_memory"].as_u64().unwrap() < 100 << 20, "it was never held: {}", result["peak_memory"]);
    counted(&folder, "too_large", 1, 21);
}

#[test]
fn an_empty_file() {
    let folder = folder("empty.json", "");
    folder.fine(BUILD);
    assert_eq!(folder.kept("out", "c4"), 20);
    // And nothing but an empty file.
    fs::remove_file(folder.path("raw/good.json")).unwrap();
    folder.fine("build p.yaml --input raw --output nothing");
    assert_eq!(folder.kept("nothing", "c4"), 0);
    folder.fine("verify nothing");
}

#[test]
fn damage_beyond_its_allowance_ends_with_65_and_says_where() {
    let folder = folder("a.json", "oops\n".repeat(30));
    let said = folder.ends(BUILD, 65);
    assert!(said.err.contains("30 of 50 records are unusable (bad_json 30)"), "{}", said.err);
    assert!(said.err.contains("allow_unusable"), "{}", said.err);
    assert!(!folder.path("out/catalog.json").exists());
    folder.fine(&format!("{BUILD} --set allow_unusable=1"));
    assert_eq!(folder.kept("out", "c4"), 20);
}

/// A folder of pictures with one text among them is no damaged folder.
#[test]
fn what_is_rightly_no_document_is_no_damage() {
    let folder = Folder::new();
    folder.write("p.yaml", "slices: { github: {} }\nstages: []\n");
    folder.write("raw/site/index.html", "<p>A page.</p>\n");
    for picture in 0..30 {
        folder.write(&format!("raw/site/{picture}.png"), b"\x89PNG\0");
    }
    folder.fine(BUILD);
    assert_eq!(folder.gone("out", "github", "binary"), 30);
    assert_eq!(folder.kept("out", "github"), 1);
    fs::remove_file(folder.path("raw/site/index.html")).unwrap();
    folder.fine("build p.yaml --input raw --output pictures");
    assert_eq!(folder.kept("pictures", "github"), 0);
    // Of the rest, what is broken is still too much.
    for broken in 0..11 {
        folder.write(&format!("raw/site/{broken}.txt"), b"\xff");
    }
    let said = folder.ends("build p.yaml --input raw --output broken", 65);
    assert!(said.err.contains("11 of 11 records are unusable (bad_utf8 11)"), "{}", said.err);
}

#[test]
fn a_folder_without_read_permission() {
    let folder = folder("closed/a.json", record("Hidden."));
    let closed = folder.path("raw/closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&closed).is_ok() {
        eprintln!("skipped: this user (root) may read every folder");
    } else {
        let said = folder.ends(BUILD, 1);
        assert!(said.err.contains("closed") && said.err.contains("ermission denied"), "{}", said.err);
        assert!(said.err.contains("hint:"), "{}", said.err);
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_full_disk() {
    let folder = folder("a.json", "");
    let out = folder.path("small");
    fs::create_dir(&out).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=192k", "none"]).arg(&out).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    }
    // Texts that hardly compress.
    let mut number = 1u64;
    let mut lines = String::new();
    for _ in 0..3000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        lines += &record(&format!("{number:x} {:x}", number.rotate_left(29).wrapping_mul(31)).repeat(3));
    }
    folder.write("raw/a.json", lines);
    let said = folder.run("build p.yaml --input raw --output small");
    let seen = said.err.clone();
    let room = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&out).status().unwrap();
    let again = folder.run("build p.yaml --input raw --output small");
    let verified = folder.run("verify small");
    Command::new("umount").arg(&out).status().unwrap();
    assert_eq!(said.code, 1, "{seen}");
    assert!(seen.contains("No space left") && seen.contains("make room"), "{seen}");
    assert!(room.success() && again.code == 0 && verified.code == 0, "{}\n{}", again.err, verified.err);
}

#[test]
fn an_output_folder_of_another_pipeline() {
    let folder = folder("a.json", "");
    folder.fine(BUILD);
    folder.pipeline("q.yaml", "tokenize: {}");
    let before = fs::read(folder.path("out/catalog.json")).unwrap();
    let said = folder.ends("build q.yaml --input raw --output out", 64);
    assert!(said.err.contains("out holds a run of pipeline `p`, not of `q`"), "{}", said.err);
    assert_eq!(fs::read(folder.path("out/catalog.json")).unwrap(), before);
    folder.write("mine/letters.txt", "precious");
    let said = folder.ends("build p.yaml --input raw --output mine", 64);
    assert!(said.err.contains("is not empty and holds no run: it has `letters.txt`"), "{}", said.err);
    assert_eq!(fs::read_dir(folder.path("mine")).unwrap().count(), 1);
}

/// A finished run, and its only shard.
fn finished() -> (Folder, PathBuf) {
    let folder = folder("a.json", "");
    fs::remove_file(folder.path("raw/a.json")).unwrap();
    folder.fine(BUILD);
    let shards = fs::read_dir(folder.path("out/shards/c4")).unwrap().flatten().map(|entry| entry.path());
    let shard = shards.filter(|path| path.extension().is_some_and(|ending| ending == "bin")).min().unwrap();
    (folder, shard)
}

#[test]
fn a_shard_with_one_flipped_bit() {
    let (folder, shard) = finished();
    let whole = fs::read(&shard).unwrap();
    let mut bytes = whole.clone();
    bytes[17] ^= 4;
    fs::write(&shard, bytes).unwrap();
    let said = folder.ends("verify out", 65);
    assert!(said.err.contains(shard.file_name().unwrap().to_str().unwrap()), "{}", said.err);
    assert!(said.err.contains("its digest is"), "{}", said.err);
    // The way out that the hint names.
    fs::remove_file(&shard).unwrap();
    folder.fine(BUILD);
    assert_eq!(fs::read(&shard).unwrap(), whole);
}

#[test]
fn a_shard_cut_short() {
    let (folder, shard) = finished();
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, &whole[..whole.len() - 2]).unwrap();
    let said = folder.ends("verify out", 65);
    assert!(said.err.contains("bytes long, not"), "{}", said.err);
    let said = folder.ends(&format!("inspect {}", shard.display()), 65);
    assert!(said.err.contains("the index asks for"), "{}", said.err);
    folder.fine(BUILD);
    assert_eq!(fs::read(&shard).unwrap(), whole);
}

#[test]
fn a_missing_shard() {
    let (folder, shard) = finished();
    fs::remove_file(&shard).unwrap();
    let said = folder.ends("verify out", 65);
    assert!(said.err.contains("No such file"), "{}", said.err);
}

#[test]
fn a_tokenizer_whose_vocabulary_does_not_fit() {
    let (folder, shard) = finished();
    // Its ids are beyond what a shard can hold.
    let text = fs::read_to_string(tokenizer()).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["model"]["vocab"]["zzz"] = 3_000_000_000u32.into();
    folder.write("huge.json", json.to_string());
    let said = folder.ends("build p.yaml --input raw --output huge --set tokenizer=huge.json", 64);
    assert!(said.err.contains("huge.json") && said.err.contains("3000000000"), "{}", said.err);
    // It is smaller than what made the shard.
    let learned = "train-tokenizer --slice c4 --vocab-size 300 --output small.json raw/good.json";
    folder.fine(learned);
    let said = folder.ends(&format!("inspect {} --tokenizer small.json", shard.display()), 64);
    assert!(said.err.contains("is not the tokenizer that made this shard"), "{}", said.err);
    // It is none.
    folder.write("none.json", "{\"model\": {\"type\": \"Magic\"}}");
    let said = folder.ends("build p.yaml --input raw --output none --set tokenizer=none.json", 64);
    assert!(said.err.contains("none.json"), "{}", said.err);
}

#[test]
fn wrong_usage_is_2_and_a_wrong_pipeline_64() {
    let folder = folder("a.json", "");
    for arguments in
        ["", "bild", "build", "build p.yaml --workers 0", "build p.yaml --memory lots", "stages line_lenth"]
    {
        folder.ends(arguments, 2);
    }
    let said = folder.ends("build gihub", 2);
    assert!(said.err.contains("did you mean `github`"), "{}", said.err);
    let said = folder.ends("build p.yaml --input nowhere --output out", 64);
    assert!(said.err.contains("no such file or folder: nowhere"), "{}", said.err);
    let said = folder.ends("build p.yaml --input raw --output out --memory 2M", 2);
    assert!(said.err.contains("is too little"), "{}", said.err);
    folder.write("wrong.yaml", "slices:\n  c4: {}\nstages:\n  - tokenise: {}\n");
    let said = folder.ends("build wrong.yaml --input raw", 64);
    assert!(said.err.contains("wrong.yaml:4:5") && said.err.contains("did you mean `tokenize`"), "{}", said.err);
    let said = folder.ends("build p.yaml --input raw raw/good.json --output out", 2);
    assert!(said.err.contains("is given twice"), "{}", said.err);
    assert!(!folder.path("out").exists(), "nothing was created for a wrong command");
}

#[test]
fn an_ordinary_user_without_permission_is_told() {
    // As root every folder can be read; as nobody it is what users see.
    let folder = folder("closed/a.json", record("Hidden."));
    let closed = folder.path("raw/closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let base = closed.parent().unwrap().parent().unwrap();
    fs::set_permissions(base, fs::Permissions::from_mode(0o777)).unwrap();
    let binary = env!("CARGO_BIN_EXE_redpajama");
    let as_nobody = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", binary])
        .args(["build", "p.yaml", "--input", "raw", "--output", "out"])
        .current_dir(base)
        .output();
    let probe = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", binary, "--version"])
        .current_dir(base)
        .output();
    if probe.is_ok_and(|probe| probe.status.success()) {
        let said = said(as_nobody.unwrap());
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(said.err.contains("closed") && said.err.contains("ermission denied"), "{}", said.err);
    } else {
        eprintln!("skipped: no way to be another user who may run {binary}");
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_corpus_of_nothing_but_damage_is_not_published() {
    for (name, bytes) in [
        ("cut.parquet", b"PAR1 but no more".to_vec()),
        ("cut.json.gz", gzip(b"x")[..8].to_vec()),
        ("words.txt", b"These are words.".to_vec()),
    ] {
        let folder = Folder::new();
        folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
        folder.write(&format!("raw/{name}"), bytes);
        let said = folder.ends(BUILD, 65);
        assert!(said.err.contains("1 of 1 records are unusable"), "{}", said.err);
        assert!(!folder.path("out/catalog.json").exists());
    }
}

#[test]
fn a_catalog_that_was_changed() {
    let (folder, _) = finished();
    let path = folder.path("out/catalog.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"records\": 20", "\"records\": 21")).unwrap();
    let said = folder.ends("verify out", 65);
    assert!(said.err.contains("was changed since it was written"), "{}", said.err);
}

#[test]
fn a_damaged_plan_says_the_way_out() {
    let (folder, _) = finished();
    folder.write("out/plan.json", "{");
    let said = folder.ends(BUILD, 65);
    assert!(said.err.contains("remove it"), "{}", said.err);
    fs::remove_file(folder.path("out/plan.json")).unwrap();
    folder.fine(BUILD);
    folder.fine("verify out");
}

/// The estimate's sample lies in the folder for temporary files; a run can do without it.
#[test]
fn a_build_goes_on_without_its_estimate() {
    let folder = Folder::new();
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    let lines: String =
        (0..60).map(|page| record(&format!("Page {page}. {}", "The tide is out. ".repeat(6000)))).collect();
    folder.write("raw/a.json", lines);
    for command in ["build p.yaml --input raw --output out", "plan p.yaml --input raw --output other"] {
        let said = said(folder.command(command).env("TMPDIR", folder.path("nowhere")).output().unwrap());
        assert_eq!(said.code, 0, "{command}: {}", said.err);
        assert!(said.err.contains("no estimate"), "{command}: {}", said.err);
    }
    assert_eq!(folder.kept("out", "c4"), 60);
}

#[test]
fn a_slip_does_not_replace_a_corpus_by_a_small_part_of_it() {
    let folder = Folder::new();
    folder.corpus();
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    folder.fine("build p.yaml --input raw --output out");
    let said = folder.ends("build p.yaml --input raw/c4-00000.json.gz --output out", 64);
    assert!(said.err.contains("more than twice the raw bytes of slice c4"), "{}", said.err);
    assert_eq!(folder.kept("out", "c4"), 720);
    folder.fine("build p.yaml --input raw/c4-00000.json.gz --output out --replace");
    assert_eq!(folder.kept("out", "c4"), 120);
}

#[cfg(unix)]
#[test]
fn links_to_nothing_are_counted_and_links_to_what_is_here_are_not_read_twice() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.write("p.yaml", "slices: { github: {} }\nallow_unusable: 1\n");
    folder.write("code/moon/main.py", "x = 1\n");
    folder.write("code/tide/main.py", "x = 2\n");
    symlink("/nonexistent", folder.path("code/moon/config.local")).unwrap();
    symlink("/nonexistent", folder.path("code/gone")).unwrap();
    symlink("moon", folder.path("code/a-link")).unwrap();
    symlink(".", folder.path("code/self")).unwrap();
    folder.fine("build p.yaml --input code --output out");
    assert_eq!((folder.kept("out", "github"), folder.gone("out", "github", "symlink")), (2, 2));
    let inputs = folder.catalog("out")["slices"]["github"]["inputs"].clone();
    let names: Vec<&str> = inputs.as_array().unwrap().iter().map(|input| input["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["github/gone", "github/moon", "github/tide"]);

    folder.pipeline("c4.yaml", "tokenize: {}");
    folder.write("raw/a.json", record("one"));
    symlink("/nonexistent", folder.path("raw/b.json")).unwrap();
    folder.fine("build c4.yaml --input raw --output lines --set allow_unusable=1");
    assert_eq!((folder.kept("lines", "c4"), folder.gone("lines", "c4", "symlink")), (1, 1));
}

/// Copies have other times of change: what small files hold says more.
#[test]
fn copies_of_small_files_give_the_same_corpus() {
    let folder = Folder::new();
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    folder.write("code.yaml", "slices: { github: {} }\n");
    for copy in ["one", "two"] {
        folder.write(&format!("{copy}/raw/a.json"), record("the tide is out"));
        folder.write(&format!("{copy}/code/moon/main.py"), "x = 1\n");
        folder.fine(&format!("build p.yaml --input {copy}/raw --output {copy}/out"));
        folder.fine(&format!("build code.yaml --input {copy}/code --output {copy}/out-code"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(folder.catalog("one/out"), folder.catalog("two/out"));
    assert_eq!(folder.catalog("one/out-code"), folder.catalog("two/out-code"));
}

#[test]
fn an_empty_folder_is_no_corpus() {
    let folder = Folder::new();
    folder.write("p.yaml", "slices: { github: {} }\n");
    fs::create_dir(folder.path("empty")).unwrap();
    let said = folder.ends("build p.yaml --input empty --output out", 64);
    assert!(said.err.contains("no raw files"), "{}", said.err);
}

#[test]
fn the_folder_of_raw_files_takes_what_the_readme_says() {
    let folder = Folder::new();
    folder.write("raw/github/moon/main.py", "x = 1\n");
    folder.write("raw/github/tide/main.py", "x = 2\n");
    folder.write("raw/github/rows.jsonl", "{\"content\": \"y = 3\\n\", \"path\": \"a.py\", \"license\": \"mit\"}\n");
    folder.write("p.yaml", "slices: { github: {} }\n");
    let built =
        said(folder.command("build p.yaml --output out").env("REDPAJAMA_RAW", folder.path("raw")).output().unwrap());
    assert_eq!(built.code, 0, "{}", built.err);
    assert_eq!(folder.kept("out", "github"), 3);
}

/// A crawl has more requests and redirects than pages, and that is as it should be; a listing without
/// its files is none.
#[test]
fn a_crawl_s_requests_end_no_run_but_a_listing_without_its_files_does() {
    let folder = Folder::new();
    folder.write("p.yaml", "slices:\n  common_crawl: {}\n");
    let page = |number: u32| {
        let url = format!("http://a.example/{number}");
        let record = |kind: &str, content: &str| {
            let length = content.len();
            format!(
                "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {length}\r\n\r\n{content}\r\n\r\n"
            )
        };
        let request = record("request", "GET / HTTP/1.1\r\n\r\n");
        let moved = record("response", "HTTP/1.1 301 Moved\r\n\r\n");
        let page = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body><p>The page number {number}.</p></body></html>"
        );
        gzip((request + &moved + &record("response", &page)).as_bytes())
    };
    folder.write("raw/a.warc.gz", (0..20).flat_map(page).collect::<Vec<u8>>());
    folder.fine("build p.yaml --input raw --output out");
    folder.fine("verify out");
    assert_eq!((folder.kept("out", "common_crawl"), folder.gone("out", "common_crawl", "request")), (20, 20));
    folder.write("crawl/warc.paths.gz", gzip(b"crawl-data/CC-MAIN-2023-06/segments/1/warc/a.warc.gz\n"));
    let said = folder.ends("build p.yaml --input crawl/warc.paths.gz --output other", 64);
    assert!(said.err.contains("none of them lies here") && said.err.contains("hint: fetch them first"), "{}", said.err);
    folder.write("crawl/a.warc.gz", page(1));
    folder.fine("build p.yaml --input crawl/warc.paths.gz --output other");
    assert_eq!(folder.kept("other", "common_crawl"), 1);
}
