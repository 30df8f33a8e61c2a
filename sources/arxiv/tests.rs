use std::fs;

use tar::EntryType;

use super::*;
use crate::conformance::{LIMITS, Outcome, entry, find, fixture, gzip, put, read, read_files, zstd};

fn file(path: &str, content: &[u8]) -> Vec<u8> {
    entry(path.as_bytes(), EntryType::Regular, "", content)
}

/// The files of a folder of fixtures as a tar archive.
fn archive(folder: &str, names: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names {
        bytes.extend(file(name, &fs::read(fixture(folder).join(name)).unwrap()));
    }
    bytes.extend([0; 1024]);
    bytes
}

fn lighthouse() -> Vec<u8> {
    archive("arxiv/lighthouse", &["ms.tex", "results.tex"])
}

fn knots() -> Vec<u8> {
    archive("arxiv/knots", &["cover-letter.tex", "knots.tex", "sections/counting.tex"])
}

const LETTER: &[u8] = b"\\documentclass{article}\\begin{document}\\section{A}Tide.\\end{document}";

/// A monthly tar with what arXiv's have, and what no tar should.
fn month() -> Vec<u8> {
    let climbing = [file("../../etc/paper.tex", b"\\section{root}"), vec![0; 1024]].concat();
    let linked = [
        file("a.tex", LETTER),
        entry(b"b.tex", EntryType::Symlink, "/etc/passwd", b""),
        entry(b"c.tex", EntryType::Link, "a.tex", b""),
        file("/d.tex", b"absolute"),
        vec![0; 1024],
    ]
    .concat();
    [
        entry(b"2001/", EntryType::Directory, "", b""),
        file("2001/2001.00001.gz", &gzip(&lighthouse())),
        file("2001/2001.00002.pdf", b"%PDF-1.5"),
        file("2001/2001.00003.gz", &gzip(&knots())),
        file("2001/2001.00004.gz", &gzip(LETTER)),
        file("2001/2001.00005.gz", &gzip(b"%auto-ignore\nThis paper has been withdrawn by its authors.\n")),
        file("2001/2001.00006.gz", &gzip(b"%!PS-Adobe-2.0\n")),
        file("2001/2001.00007.gz", &gzip(&[file("paper.pdf", b"%PDF"), vec![0; 1024]].concat())),
        file("2001/2001.00008.gz", &gzip(&climbing)),
        file("2001/2001.00009.gz", &gzip(&linked)),
        file("2001/2001.00010.gz", &gzip(&lighthouse())[..900]),
        file("2001/2001.00011.gz", &gzip(&lighthouse()[..900])),
        file("2001/2001.00012.gz", b"no gzip"),
        file("2001/2001.00013.txt", b"no submission"),
        entry(b"2001/2001.00014.gz", EntryType::Symlink, "2001.00001.gz", b""),
        file("../2001.00015.gz", &gzip(LETTER)),
        file("2001/2001.00016.gz", &gzip(b"<html><body>A paper.</body></html>")),
        file("2001/hep-th2001017.gz", &[gzip(LETTER), b"garbage".to_vec()].concat()),
        vec![0; 1024],
    ]
    .concat()
}

const OUTCOMES: [&str; 17] = [
    "text",
    "pdf",
    "text",
    "text",
    "withdrawn",
    "postscript",
    "pdf",
    "unsafe_path",
    "text",
    "truncated_gzip",
    "truncated_tar",
    "bad_gzip",
    "no_submission",
    "symlink",
    "unsafe_path",
    "html",
    "text",
];

#[test]
fn a_monthly_tar_is_read_submission_by_submission() {
    let folder = tempfile::tempdir().unwrap();
    let seen = read("arxiv", &put(&folder, "arXiv_src_2001_001.tar", &month()));
    assert_eq!(seen.outcomes(), OUTCOMES);
    let metas = seen.metas();
    let json = r#"{"timestamp":"1970-01-01T00:00:00","yymm":"2001","arxiv_id":"2001.00003","url":"https://arxiv.org/abs/2001.00003","main":"knots.tex","encoding":"windows-1252","files":3}"#;
    assert_eq!(metas[1].json, json);
    assert!(
        metas[3].json.ends_with(r#""files":1,"skipped":{"hard_link":1,"symlink":1,"unsafe_path":1}}"#),
        "{}",
        metas[3].json
    );
    assert_eq!(metas[4].url.as_deref(), Some("https://arxiv.org/abs/hep-th/2001017"));
    let lines = seen.records.iter().filter_map(|(_, _, outcome)| match outcome {
        Outcome::Text(_, _, line) => Some(line.as_str()),
        Outcome::Unusable(..) => None,
    });
    let line = r#"{"text": "\\section{A}Tide.", "meta": {"timestamp": "1970-01-01T00:00:00", "yymm": "2001", "arxiv_id": "2001.00004", "url": "https://arxiv.org/abs/2001.00004", "source": "arxiv"}}"#;
    assert_eq!(lines.collect::<Vec<_>>()[2], line);
    // By its contents too, not by its name alone.
    let renamed = read("arxiv", &put(&folder, "other.tar.zst", &zstd(&month())));
    assert_eq!(renamed.outcomes(), OUTCOMES);
}

#[test]
fn a_paper_reads_as_tex_would_have_it() {
    let seen = read("arxiv", &fixture("arxiv/lighthouse"));
    let text = "\\title{How far does the lamp at Skerry Point reach?}\n\n\
        \\begin{abstract}\nOn 87\\% of nights, the lamp at Skerry Point is seen from the mole.\n\
        We ask why, and find fog.\n\\end{abstract}\n\n\
        \\section{Introduction}\\label{sec:introduction}\n\
        Sailors say that the lamp at Skerry Point, once lit, reaches ``as far as a gull flies''.\n\n\
        The question is older than the lamp~\\cite{fresnel}; see also \\url{http://skerry.example/%7Ekeeper/log}.\n\n\
        \\section{Method}\n\
        Let $V_{0}(d)$ be the range on a clear night and $V_{1}(h)$ that in fog of height $h$. Then\n\
        \\begin{equation}\n  V_{1}(h) = \\frac{1}{2} V_{0}(h) \\operatorname{erf}\\!\\left( \\sqrt{\\frac{1}{2}}\\, h \\right).\n\
        \\end{equation}\nThe keeper counts ships by this program:\n\
        \\begin{verbatim}\nseen = 0\n% not a comment here, says the keeper\nprint(\"%d ships\" % seen)\n\\end{verbatim}\n\
        \\section{Results}\nFigure~\\ref{fig:range} shows what we saw in 41 nights.\n\\begin{figure}\n\n  \
        \\caption{The range of the lamp at Skerry Point over the year.}\\label{fig:range}\n\\end{figure}\n\n\
        \\appendix\n\\section{Fog}\nFog is a cloud that lies down.";
    assert_eq!(seen.texts(), [text]);
    let folder = tempfile::tempdir().unwrap();
    for bytes in [lighthouse(), gzip(&lighthouse()), zstd(&lighthouse())] {
        assert_eq!(read("arxiv", &put(&folder, "3106.00001.gz", &bytes)).texts(), [text]);
    }
}

/// What the original made of the same files, by hand.
#[test]
fn a_paper_reads_as_the_original_had_it() {
    let source = Arxiv::original();
    let made = |files: &[(&str, &[u8])]| {
        let mut submission = Submission::default();
        for (path, bytes) in files {
            let file = submission::TexFile { path: (*path).into(), bytes: bytes.to_vec() };
            submission.files.push(file);
        }
        project::text(submission, &source)
            .map(|made| made.text)
            .map_err(|(reason, evidence)| format!("{reason}: {evidence}"))
    };
    let check = |files: &[(&str, &str)], text: &str| {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
        assert_eq!(made(&files).as_deref().map_err(String::as_str), Ok(text), "{files:?}");
    };
    // A file without a header leaves an empty line; names are not read but for their ending.
    check(&[("b.tex", "no header"), ("a.tex", "x\\section*{A} a"), ("c.txt", "\\section{C}")], "\n\\section*{A} a");
    check(&[("a.tex", "x \\paragraph{A} a")], "");
    check(&[("a.tex", "x \\paragraph{A}\\subparagraph[b]{B} a")], "\\paragraph{A}\\subparagraph[b]{B} a");
    check(&[("a.tex", "\\section [x]{A}\\part[x]{A}")], "\\part[x]{A}");
    check(&[("a.tex", "\\section[x]\\part{A}")], "\\part{A}");
    check(&[("a.tex", "\\section{A never closes\\chapter")], "");
    // The character before an inline % is eaten, with its accents; a % that ends a line stays.
    check(&[("a.tex", "\\section{A}\n% a\n100\\%b é% c\nd %\n%%\n e %%\n")], "\\section{A}\n100\\%b \nd %\n e\n");
    check(&[("a.tex", "\\section{A}b\\appendixname c")], "\\section{A}b");
    check(&[("a.tex", "\\section{A}\\bibliography b\\bibliography{c} d")], "\\section{A}\\bibliography b");
    let macros =
        "\\section{A}\n\\newcommand{\\a}{x\\b}\n\\def \\b\n {y}\n\\newcommand{\\c}{}  no\n\\a\\a\\a. \\b2 \\ab \\c \\a";
    let becomes =
        "\\section{A}\n\\newcommand{xy}{xy}\n\\def y\n {y}\n\\newcommand{\\c}{}  no\nxy\\axy. \\b2 \\ab \\c \\a";
    check(&[("a.tex", macros)], becomes);
    // A value may join what stands before it to a name that a later macro has.
    check(&[("a.tex", "\\section{A}\\def\\x{b}\n\\def\\ab{c}\n\\a\\x.")], "\\section{A}\\defb{b}\n\\defc{c}\nc.");
    let bad = made(&[("a.tex", "\\section{A}\\def\\x{\\a\té}".as_bytes())]);
    assert_eq!(bad.unwrap_err(), "bad_escape: bad escape \\x at position 5");
    check(&[("a.tex", "\\def\\x{é}")], "");
    assert!(made(&[("a.tex", b"ok"), ("b.tex", b"\xff")]).unwrap_err().starts_with("not_utf8: b.tex"));
}

/// Twenty macros that each double another are a million times the first.
#[test]
fn hostile_macros_are_bounded() {
    let mut text = String::from("\\section{A}\\def\\aa{boom}\n");
    for letter in b'b'..=b'z' {
        text = format!("\\def\\a{0}{{\\a{1}.\\a{1}.\\a{1}.}}\n{text}", char::from(letter), char::from(letter - 1));
    }
    text = format!("\\section{{A}}{text}\\az.");
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "a.tex", text.as_bytes());
    assert_eq!(read("arxiv", &path).outcomes(), ["text"]);
    let source: Arxiv = serde_json::from_str(r#"{"macros": "one_line"}"#).unwrap();
    let mut submission = Submission::default();
    submission.files.push(submission::TexFile { path: String::new(), bytes: text.into_bytes() });
    let unfit = project::text(submission, &source).map(|made| made.text.len()).unwrap_err();
    assert_eq!(unfit.0.0, "too_much_expansion");
}

#[test]
fn a_bomb_is_counted_and_left_behind() {
    let zeros = gzip(&vec![b' '; (64 << 20) + 1]);
    let long = gzip(&[file("a.tex", &vec![b'a'; (32 << 20) + 1]), vec![0; 1024]].concat());
    let bytes = [
        file("2001/2001.00001.gz", &zeros),
        file("2001/2001.00002.gz", &long),
        file("2001/2001.00003.gz", &gzip(LETTER)),
        vec![0; 1024],
    ]
    .concat();
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "arXiv_src_2001_002.tar", &bytes);
    let (seen, ended) = read_files("arxiv", &find("arxiv", &path), LIMITS, usize::MAX);
    ended.unwrap();
    assert_eq!(seen.outcomes(), ["bomb", "too_large", "text"]);
}

/// Wherever a file is cut, and whatever byte is wrong, it is read up to somewhere and nothing panics.
#[test]
fn a_cut_or_flipped_file_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: &[u8]| {
        let path = put(&folder, name, bytes);
        let (seen, ended) = read_files("arxiv", &find("arxiv", &path), LIMITS, usize::MAX);
        ended.unwrap();
        assert_eq!((seen.files.len(), seen.files[0].bytes), (1, bytes.len() as u64));
        assert_eq!(seen.files[0].records, seen.records.len() as u64);
        seen.outcomes()
    };
    let tar = month();
    for (name, bytes) in [("arXiv_src_2001_001.tar", &tar), ("a.gz", &gzip(&knots())), ("a.tex", &LETTER.to_vec())] {
        let step = 1 + bytes.len() / 150;
        for at in (0..bytes.len()).step_by(step) {
            check(name, &bytes[..at]);
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x55;
            check(name, &flipped);
        }
    }
    // A submission that the end of the tar cuts is counted once, with the damage.
    assert_eq!(check("arXiv_src_2001_001.tar", &tar[..1024 + 600]), ["truncated_tar"]);
    assert_eq!(
        check("arXiv_src_2001_001.tar", &[tar[..tar.len() - 1024].to_vec(), vec![1; 512]].concat())[17],
        "bad_tar"
    );
}

#[test]
fn what_lies_in_a_folder_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("README.md", &b"# Papers"[..]),
        ("arXiv_src_manifest.xml", b"<arXivSRC/>"),
        ("2001.00001.gz", LETTER),
        ("singles/0704.0001.tex", LETTER),
        ("singles/0704.0002.tex", LETTER),
        ("projects/knots/knots.tex", LETTER),
        ("projects/knots/parts/a.tex", b"\\section{A}"),
        ("projects/knots/figure.pdf", b"%PDF"),
        ("projects/.hidden/a.tex", b"a"),
    ] {
        put(&folder, name, bytes);
    }
    let names: Vec<String> = find("arxiv", folder.path()).iter().map(|file| file.name.to_string()).collect();
    let expected =
        ["arxiv/2001.00001.gz", "arxiv/projects/knots", "arxiv/singles/0704.0001.tex", "arxiv/singles/0704.0002.tex"];
    assert_eq!(names, expected);
    let seen = read("arxiv", folder.path());
    assert_eq!(seen.outcomes(), ["text"; 4]);
    assert_eq!(seen.metas()[2].url.as_deref(), Some("https://arxiv.org/abs/0704.0001"));
}

#[cfg(unix)]
#[test]
fn links_in_a_folder_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "paper/a.tex", LETTER);
    std::os::unix::fs::symlink("/etc", folder.path().join("paper/etc")).unwrap();
    std::os::unix::fs::symlink("a.tex", folder.path().join("paper/b.tex")).unwrap();
    let seen = read("arxiv", &folder.path().join("paper"));
    assert!(seen.metas()[0].json.ends_with(r#""files":1,"skipped":{"symlink":2}}"#));
}

#[test]
fn the_original_s_pipeline_is_the_original() {
    let pipeline = fs::read_to_string(fixture("../../pipelines/original/arxiv.yaml")).unwrap();
    let serde_json::Value::Object(options) = serde_json::to_value(Arxiv::original()).unwrap() else { panic!() };
    for (name, value) in options {
        let line = format!("\n      {name}: {}\n", value.to_string().trim_matches('"'));
        assert!(pipeline.contains(&line), "{line}");
    }
}
