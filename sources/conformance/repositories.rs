//! Repositories, in folders and in archives.

use std::fs;

use super::{Outcome, entry, find, fixture, gzip, put, read};

const REPOSITORIES: [&str; 2] = ["github/knot-counter", "github/tide-tables"];

#[test]
fn a_folder_of_repositories_is_read_one_by_one() {
    let folder = fixture("github/repositories");
    let files = find("github", &folder);
    assert_eq!(files.iter().map(|file| &*file.name).collect::<Vec<_>>(), REPOSITORIES);
    let seen = read("github", &folder);
    let (knots, tides): (Vec<_>, Vec<_>) = seen.records.iter().partition(|(name, ..)| name == REPOSITORIES[0]);
    let told = |records: &[&(String, u64, Outcome)]| -> Vec<(String, String)> {
        let one = |(_, _, outcome): &(String, u64, Outcome)| match outcome {
            Outcome::Text(_, meta, _) => {
                let field = |field: &Option<Box<str>>| field.as_deref().unwrap_or_default().to_owned();
                (field(&meta.path), field(&meta.license))
            }
            Outcome::Unusable(reason, evidence, _) => (evidence.to_string(), reason.to_string()),
        };
        records.iter().map(|record| one(record)).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let both = "bsd-2-clause AND mit";
    let latin = "data/latin1.txt: invalid utf-8 sequence of 1 bytes from index 3";
    let knots_are = [
        pair("LICENSE-BSD", both),
        pair("LICENSE-MIT", both),
        pair(latin, "bad_utf8"),
        pair("data/log.txt", both),
        pair("lib/count.js", both),
        pair("run.sh", both),
    ];
    assert_eq!(told(&knots), knots_are);
    let tides_are = [
        pair("LICENSE", "mit"),
        pair("README.md", "mit"),
        pair("docs/README.md: to ../README.md", "symlink"),
        pair("docs/harbours.csv", "mit"),
        pair("docs/moon.png", "binary"),
        pair("src/phase.c", "apache-2.0"),
        pair("src/tides.py", "mit"),
    ];
    assert_eq!(told(&tides), tides_are);
    let meta = seen.metas();
    let json = r#"{"size":375,"binary":false,"repo_name":"knot-counter","path":"lib/count.js","mode":33188,"license":"bsd-2-clause AND mit"}"#;
    assert!(meta.iter().any(|meta| meta.json == json), "{:?}", meta[3].json);
    // One repository alone has the same name, whether by its own path or below another.
    assert_eq!(find("github", &folder.join("tide-tables"))[0].name, files[1].name);
}

/// Files of records and folders of repositories may lie side by side.
#[test]
fn what_lies_in_a_folder_is_recognised() {
    let files = find("github", &fixture("github"));
    let names: Vec<&str> = files.iter().map(|file| &*file.name).collect();
    let below = ["github/bigquery.jsonl", "github/repositories/knot-counter", "github/repositories/tide-tables"];
    assert_eq!(names, below);
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "owner/name/README.md", b"# name");
    put(&folder, "other/README.md", b"# other");
    put(&folder, ".hidden/README.md", b"# hidden");
    let files = find("github", folder.path());
    let names: Vec<&str> = files.iter().map(|file| &*file.name).collect();
    assert_eq!(names, ["github/other", "github/owner/name"]);
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "package.json", b"{\n  \"name\": \"a\"\n}");
    assert_eq!(find("github", folder.path()).len(), 1);
    assert!(find("github", folder.path())[0].path.is_dir());
    put(&folder, "sub/.git/HEAD", b"ref: refs/heads/main\n");
    put(&folder, "sub/a.c", b"int a;");
    put(&folder, ".git/HEAD", b"ref: refs/heads/trunk\n");
    let seen = read("github", folder.path());
    assert_eq!(seen.outcomes(), ["text", "submodule"]);
    assert!(seen.metas()[0].json.contains(r#""ref":"refs/heads/trunk""#));
}

/// A repository as GitHub packs it: the commit in a global header, everything in one folder, the
/// licence after files that it covers; and much that a repository should not have.
fn archive() -> Vec<u8> {
    use tar::EntryType as Kind;
    let license = fs::read(fixture("github/repositories/tide-tables/LICENSE")).unwrap();
    let long = format!("tides-abc123/{}/long.py", "deep/".repeat(40));
    let pax = |key: &str, value: &str| {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..).find(|length| length.to_string().len() + rest == *length).unwrap();
        format!("{length} {key}={value}\n").into_bytes()
    };
    [
        entry(b"pax_global_header", Kind::XGlobalHeader, "", &pax("comment", "abc123")),
        entry(b"tides-abc123/", Kind::Directory, "", b""),
        entry(b"tides-abc123/.gitmodules", Kind::Regular, "", b"[submodule \"x\"]\n\tpath = lib/x\n\turl = y\n"),
        entry(b"tides-abc123/A.md", Kind::Regular, "", b"# first"),
        entry(b"tides-abc123/LICENSE", Kind::Regular, "", &license),
        entry(b"tides-abc123/lib/x/", Kind::Directory, "", b""),
        entry(b"tides-abc123/link", Kind::Symlink, "A.md", b""),
        entry(b"tides-abc123/hard", Kind::Link, "tides-abc123/A.md", b""),
        entry(b"tides-abc123/null", Kind::Char, "", b""),
        entry(b"tides-abc123/../../etc/passwd", Kind::Regular, "", b"root"),
        entry(b"tides-abc123/A.md", Kind::Regular, "", b"# again"),
        entry(b"tides-abc123/logo.png", Kind::Regular, "", b"\x89PNG\0\0"),
        entry(b"tides-abc123/empty.py", Kind::Regular, "", b""),
        entry(b"././@LongLink", Kind::GNULongName, "", format!("{long}\0").as_bytes()),
        entry(b"cut", Kind::Regular, "", b"x = 1\n"),
        entry(b"pax", Kind::XHeader, "", &pax("path", "tides-abc123/n\u{e9}.py")),
        entry(b"cut", Kind::Regular, "", b"# SPDX-License-Identifier: ISC\ny = 2\n"),
        vec![0; 1024],
    ]
    .concat()
}

#[test]
fn an_archive_of_a_repository_is_read_without_being_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let seen = read("github", &put(&folder, "tides.tar.gz", &gzip(&archive())));
    let outcomes = [
        "text",
        "text",
        "text",
        "submodule",
        "symlink",
        "hard_link",
        "not_a_file",
        "unsafe_path",
        "duplicate_path",
        "binary",
        "text",
        "text",
        "text",
    ];
    assert_eq!(seen.outcomes(), outcomes);
    let metas = seen.metas();
    let json =
        r##"{"size":7,"binary":false,"repo_name":"tides","ref":"abc123","path":"A.md","mode":33188,"license":"mit"}"##;
    assert_eq!(metas[1].json, json);
    assert_eq!(metas[4].path.as_deref(), Some(format!("{}long.py", "deep/".repeat(40)).as_str()));
    assert_eq!((metas[5].path.as_deref(), metas[5].license.as_deref()), (Some("n\u{e9}.py"), Some("isc")));
    let plain = read("github", &put(&folder, "tides.tar.gz", &archive()));
    assert!(plain.records == seen.records);
}

#[test]
fn a_damaged_archive_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let whole = read("github", &put(&folder, "a.tar", &archive()));
    let license = whole.texts()[2].len();
    // The licence's content begins in the eighth block: cut inside it, then in the header after it.
    for (cut, records) in [(8 * 512 + 100, 2), (license.next_multiple_of(512) + 8 * 512 + 100, 3)] {
        let seen = read("github", &put(&folder, "a.tar", &archive()[..cut]));
        let mut outcomes = vec!["text"; records];
        outcomes.push("truncated_tar");
        assert_eq!(seen.outcomes(), outcomes, "{cut}");
        let seen = read("github", &put(&folder, "a.tar", &[&gzip(&archive())[..400]].concat()));
        assert_eq!(seen.outcomes().last(), Some(&"truncated_gzip"));
    }
    let mut broken = archive();
    broken[5 * 512 + 20] ^= 1;
    assert_eq!(read("github", &put(&folder, "a.tar", &broken)).outcomes(), ["text", "bad_tar"]);
    let mut huge = archive();
    huge.splice(1536..1536, entry(b"x", tar::EntryType::GNULongName, "", &vec![b'a'; 2 << 20]));
    assert_eq!(read("github", &put(&folder, "a.tar", &huge)).outcomes(), ["bad_tar"]);
}
