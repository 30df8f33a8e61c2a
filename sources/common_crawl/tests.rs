//! What becomes of the fixtures, and of files in every state.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::conformance::{Outcome, Seen, find, gzip, put, read, read_files};
use crate::{Limits, SourceSpec};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slices/common_crawl").join(name)
}

fn wet() -> Vec<u8> {
    fs::read(fixture("harbour.warc.wet")).unwrap()
}

/// Where each record of the fixture begins.
fn beginnings(bytes: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(bytes, b"WARC/1.").collect()
}

/// As Common Crawl ships it: a gzip member for each record.
fn members(bytes: &[u8], encode: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut ends = beginnings(bytes);
    ends.remove(0);
    ends.push(bytes.len());
    let mut start = 0;
    let member = |end: usize| {
        let member = encode(&bytes[start..end]);
        start = end;
        member
    };
    ends.into_iter().flat_map(member).collect()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Reads with other options than the defaults.
fn read_with(options: &CommonCrawl, path: &Path) -> Seen {
    crate::conformance::read_spec(&SourceSpec::CommonCrawl(options.clone()), &find("common_crawl", path))
}

const ORIGINAL: CommonCrawl = CommonCrawl { ends: Ends::Marker, headers: Headers::ByPlace, title: Title::Remove };

const OUTCOMES: [&str; 14] = [
    "warcinfo",
    "text",
    "text",
    "text",
    "text",
    "wrong_length",
    "text",
    "bad_utf8",
    "not_warc",
    "text",
    "bad_warc_header",
    "text",
    "text",
    "text",
];

#[test]
fn a_broken_record_costs_one_record() {
    let seen = read("common_crawl", &fixture("harbour.warc.wet"));
    assert_eq!(seen.outcomes(), OUTCOMES);
    assert_eq!(seen.files[0].damage, None);
}

#[test]
fn a_member_for_each_record_reads_like_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let plain = read("common_crawl", &put(&folder, "a", &wet()));
    for encoded in [members(&wet(), gzip), members(&wet(), zstd), gzip(&wet())] {
        let seen = read("common_crawl", &put(&folder, "a", &encoded));
        assert!(seen.records == plain.records);
    }
}

/// Nothing of a member whose checksum is wrong becomes a document, and those after it are read.
#[test]
fn a_broken_member_costs_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let whole = members(&wet(), gzip);
    let plain = read("common_crawl", &put(&folder, "a", &whole));
    let mut lost = 0;
    for at in (0..whole.len()).step_by(11) {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        let files = find("common_crawl", &put(&folder, "a", &flipped));
        let (seen, ended) = read_files("common_crawl", &files, crate::Limits { max_document: 1 << 20 }, usize::MAX);
        ended.unwrap();
        // A flip in a header's time or in the system's number changes nothing.
        let texts = seen.texts();
        let known = plain.texts();
        assert!(texts.iter().all(|text| known.contains(text)), "byte {at}");
        let last = *seen.outcomes().last().unwrap();
        if last == "bad_gzip_members" && seen.outcomes().len() + 1 >= plain.outcomes().len() {
            lost += 1;
            assert!(texts.len() + 1 >= known.len(), "byte {at}: {:?}", seen.records);
        }
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn what_a_record_says_is_kept() {
    let seen = read("common_crawl", &fixture("harbour.warc.wet"));
    let metas = seen.metas();
    let json = r#"{"url":"http://ferry.example/times?season=summer","date_download":"2020-01-18T06:14:09Z","digest":"sha1:EANXA3C4ZAZCZEHJUQRPGFBHJHMITTFM","length":468,"nlines":5,"source_domain":"ferry.example","title":"Timetable of the island ferry"}"#;
    assert_eq!(metas[0].json, json);
    assert_eq!(metas[0].url.as_deref(), Some("http://ferry.example/times?season=summer"));
    assert_eq!(metas[0].timestamp.as_deref(), Some("2020-01-18T06:14:09Z"));
    assert!(metas[2].json.ends_with(r#""content_languages":"deu"}"#));
    // Names in lower case, in another order, the address in angle brackets.
    assert_eq!(metas[5].url.as_deref(), Some("http://ferry.example/times"));
    assert!(seen.texts()[0].starts_with("Timetable of the island ferry\nThe ferry"));
    assert!(seen.texts()[4].contains("quarter of an hour.\n\nToday"));
}

#[test]
fn the_original_counts_lines_and_loses_the_first() {
    let seen = read_with(&ORIGINAL, &fixture("harbour.warc.wet"));
    // What is between two records belongs to the one before; of the two without a right length one
    // has no digest either, and `WARC/1.1` begins no record.
    let outcomes = [
        "warcinfo",
        "text",
        "text",
        "text",
        "text",
        "text",
        "text",
        "bad_utf8",
        "bad_warc_header",
        "text",
        "text",
        "text",
    ];
    assert_eq!(seen.outcomes(), outcomes);
    assert!(seen.texts()[0].starts_with("The ferry to the island"));
    assert_eq!(seen.texts()[1], "News\nContact");
    assert!(seen.metas()[1].json.contains(r#""length":18,"nlines":2,"#));
    assert!(seen.metas()[1].json.contains(r#""title":"Home"}"#));
}

#[test]
fn the_exported_line_is_that_of_cc_metadata() {
    let seen = read("common_crawl", &fixture("2020-05/en_head_0000.json"));
    assert_eq!(seen.outcomes(), ["text", "text", "text", "text", "bad_json"]);
    let Outcome::Text(_, meta, line) = &seen.records[3].2 else { panic!() };
    assert!(meta.json.ends_with(r#""perplexity":337.0,"bucket":"head"}"#), "{}", meta.json);
    assert_eq!((meta.language.as_deref(), meta.timestamp.as_deref()), (Some("en"), Some("2020-01-27T10:00:00Z")));
    let fields = r#""language": "en", "language_score": 0.97, "perplexity": 337.0, "bucket": "head", "source": "cc/en_head_0000.json/line3"}}"#;
    assert!(line.ends_with(fields), "{line}");
    assert!(line.contains(r#""meta": {"url": "http://tin.example/", "date_download": "#));
    assert!(!line.contains("line_ids"));
}

#[test]
fn a_file_s_name_decides_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let lines = b"{\"raw_content\":\"a\"}\n{\"bucket\":\"head\",\"raw_content\":\"b\",\"n\":0.50}\n{\"text\":\"c\",\"title\":\"\\\"bucket\\\"\"}\n";
    let seen = read("common_crawl", &put(&folder, "en_tail_0001.json", lines));
    let metas: Vec<&str> = seen.metas().iter().map(|meta| meta.json.as_str()).collect();
    let title = r#"{"title":"\"bucket\"","bucket":"tail"}"#;
    assert_eq!(metas, [r#"{"bucket":"tail"}"#, r#"{"bucket":"tail","n":0.5}"#, title]);
}

#[test]
fn of_a_warc_file_pages_are_documents() {
    let seen = read("common_crawl", &fixture("pages.warc"));
    let outcomes = [
        "warcinfo",
        "request",
        "text",
        "text",
        "http_status",
        "not_html",
        "revisit",
        "metadata",
        "other_record",
        "text",
        "other_record",
        "text",
    ];
    assert_eq!(seen.outcomes(), outcomes);
    let (texts, metas) = (seen.texts(), seen.metas());
    assert!(texts[0].starts_with("The bowline\nThe bowline makes a loop"), "{}", texts[0]);
    assert!(!texts[0].contains("Privacy") && !texts[0].contains("track"), "{}", texts[0]);
    let json = r#"{"url":"http://knots.example/bowline","date_download":"2023-02-05T14:03:00Z","digest":"sha1:BOWLINEBOWLINEBOWLINEBOWLINEBOWL","content_length":938,"nlines":4,"source_domain":"knots.example","title":"The bowline & its cousins","page_language":"en","charset":"UTF-8"}"#;
    assert_eq!(metas[0].json, json);
    assert!(texts[1].contains("die Hälfte") && metas[1].json.contains(r#""charset":"windows-1252""#));
    assert_eq!(texts[2], "Rope, three strands, twelve millimetres.\nBreaks at two tons; carries a tenth of that.");
    assert!(metas[3].json.ends_with(r#""truncated":"length"}"#));
    // cc_net knows WET alone.
    let original = read_with(&ORIGINAL, &fixture("pages.warc"));
    assert!(original.texts().is_empty() && original.records.len() == outcomes.len());
}

/// Three records of ARC: what the file is, a page, an image.
fn arc() -> Vec<u8> {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body><p>An old page, from before WARC was made.</p></body></html>";
    let image = "HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n\r\nGIF89a";
    let record = |url: &str, media: &str, content: &str| {
        format!("{url} 192.0.2.7 20080430142012 {media} {}\n{content}\n", content.len())
    };
    let about = "1 0 Somebody\nURL IP-address Archive-date Content-type Archive-length\n";
    let records = [
        record("filedesc://old.arc.gz", "text/plain", about),
        record("http://old.example/page", "text/html", page),
        record("http://old.example/image", "image/gif", image),
        record("http://old.example/again", "text/html", page),
    ];
    records.concat().into_bytes()
}

#[test]
fn arc_is_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let outcomes = ["warcinfo", "text", "not_html", "text"];
    let seen = read("common_crawl", &put(&folder, "old.arc.gz", &gzip(&arc())));
    assert_eq!(seen.outcomes(), outcomes);
    assert_eq!(seen.texts()[0], "An old page, from before WARC was made.");
    let meta = seen.metas()[0];
    assert_eq!(
        (meta.url.as_deref(), meta.timestamp.as_deref()),
        (Some("http://old.example/page"), Some("20080430142012"))
    );
    // A length that is wrong costs one record; a line that is none two, for the record before it then
    // ends where nothing begins.
    let wrong = String::from_utf8(arc()).unwrap().replace("text/html 1", "text/html 2");
    assert_eq!(read("common_crawl", &put(&folder, "old.arc", wrong.as_bytes())).outcomes()[1], "wrong_length");
    let broken = String::from_utf8(arc()).unwrap().replacen("20080430142012 text/html", "2008 text/html", 1);
    let seen = read("common_crawl", &put(&folder, "old.arc", broken.as_bytes()));
    assert_eq!(seen.outcomes(), ["wrong_length", "not_html", "text"]);
}

#[test]
fn pages_may_be_cut_or_broken_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [fs::read(fixture("pages.warc")).unwrap(), arc()] {
        let whole = read_with(&CommonCrawl::default(), &put(&folder, "a.warc", &bytes));
        for at in (0..bytes.len()).step_by(41) {
            let seen = read_with(&CommonCrawl::default(), &put(&folder, "a.warc", &bytes[..at]));
            let same = seen.records.iter().zip(&whole.records).take_while(|(seen, whole)| seen == whole).count();
            assert!(same + 1 >= seen.records.len(), "cut at {at}: {:?}", seen.outcomes());
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x15;
            let seen = read_with(&CommonCrawl::default(), &put(&folder, "a.warc", &flipped));
            assert_eq!(seen.files[0].records, seen.records.len() as u64);
        }
    }
}

/// Whatever is missing of a file, what is whole in it is read, and all bytes are accounted for.
#[test]
fn a_file_that_is_cut_anywhere_is_read_up_to_there() {
    let bytes = wet();
    let folder = tempfile::tempdir().unwrap();
    let whole = read("common_crawl", &put(&folder, "a.wet", &bytes));
    let limits = Limits { max_document: 1 << 20 };
    for options in [CommonCrawl::default(), ORIGINAL] {
        let whole = read_with(&options, &put(&folder, "a.wet", &bytes));
        for cut in (0..bytes.len()).step_by(37) {
            let seen = read_with(&options, &put(&folder, "a.wet", &bytes[..cut]));
            let same = seen.records.iter().zip(&whole.records).take_while(|(seen, whole)| seen == whole).count();
            assert!(same + 2 >= seen.records.len(), "cut at {cut}: {:?}", seen.outcomes());
            assert_eq!(seen.files[0].records, seen.records.len() as u64);
        }
    }
    let encoded = members(&bytes, gzip);
    for cut in (0..encoded.len()).step_by(19) {
        let path = put(&folder, "a.wet", &encoded[..cut]);
        let (seen, ended) = read_files("common_crawl", &find("common_crawl", &path), limits, usize::MAX);
        ended.unwrap();
        let same = seen.records.iter().zip(&whole.records).take_while(|(seen, whole)| seen.2 == whole.2).count();
        assert!(same + 1 >= seen.records.len(), "cut at {cut}: {:?}", seen.outcomes());
    }
}

#[test]
fn any_byte_may_be_wrong() {
    let bytes = wet();
    let folder = tempfile::tempdir().unwrap();
    let whole = read("common_crawl", &put(&folder, "a.wet", &bytes));
    for options in [CommonCrawl::default(), ORIGINAL] {
        for at in (0..bytes.len()).step_by(29) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x15;
            let seen = read_with(&options, &put(&folder, "a.wet", &flipped));
            assert_eq!(seen.files[0].records, seen.records.len() as u64);
            if options.ends == Ends::Length {
                // The record with the wrong byte, or it and the one that ran into it.
                let texts = seen.texts();
                let lost = whole.texts().iter().filter(|text| !texts.contains(*text)).count();
                assert!(lost <= 2, "byte {at}: {:?}", seen.outcomes());
            }
        }
    }
}

#[test]
fn a_record_that_is_too_large_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(9 << 20);
    let huge = format!("WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: {}\r\n\r\n{long}\r\n\r\n", long.len());
    let bytes = [&wet()[..], huge.as_bytes(), &wet()].concat();
    let seen = read_with(&CommonCrawl::default(), &put(&folder, "a.wet.gz", &gzip(&bytes)));
    let outcomes = [&OUTCOMES[..], &["too_large"], &OUTCOMES].concat();
    assert_eq!(seen.outcomes(), outcomes);
    let Outcome::Unusable(_, _, bytes) = &seen.records[OUTCOMES.len()].2 else { panic!() };
    assert_eq!(*bytes, huge.len() as u64);
}

#[test]
fn a_listing_stands_for_the_files_that_lie_here() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "crawl-data/CC-MAIN-2020-05/segments/1/wet/a.warc.wet.gz",
        "crawl-data/CC-MAIN-2020-05/segments/1/wet/b.warc.wet.gz",
    ];
    let listing = gzip(format!("{}\n{}\n../../etc/passwd\n", names[0], names[1]).as_bytes());
    let path = put(&folder, "crawl-data/CC-MAIN-2020-05/wet.paths.gz", &listing);
    let source = CommonCrawl::default();
    let base = path.parent().unwrap();
    let error = source.find(&path, base).unwrap_err();
    assert!(matches!(&error, corpus::Error::Input { detail, .. } if detail.contains(names[0])), "{error}");
    // In a mirror of the bucket, or beside the listing.
    put(&folder, names[1], &members(&wet(), gzip));
    let files = source.find(&path, base).unwrap();
    assert_eq!(files.len(), 1);
    assert!(files[0].name.ends_with("b.warc.wet.gz"), "{}", files[0].name);
    put(&folder, "crawl-data/CC-MAIN-2020-05/a.warc.wet.gz", &gzip(&wet()));
    assert_eq!(source.find(&path, base).unwrap().len(), 2);
    // Of a folder all files are found, and the listing is told apart.
    let seen = read("common_crawl", folder.path());
    assert_eq!(seen.outcomes().iter().filter(|outcome| **outcome == "listing").count(), 1);
    assert_eq!(seen.texts().len(), 2 * 9);
}

#[test]
fn what_is_neither_is_one_record() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("a.txt", &b"helloworld\n"[..]), ("a.json", b"[{\"id\": 1}]")] {
        let seen = read("common_crawl", &put(&folder, name, bytes));
        assert_eq!(seen.outcomes(), ["unknown_format"], "{name}");
    }
    // A name that promises records makes us look for one.
    let bytes = [b"not a record\r\n", &wet()[..]].concat();
    assert_eq!(read("common_crawl", &put(&folder, "a.warc.wet", &bytes)).outcomes()[..2], ["not_warc", "warcinfo"]);
    assert_eq!(read("common_crawl", &put(&folder, "empty.warc.wet.gz", &gzip(b""))).records.len(), 0);
}

#[test]
fn a_domain_is_python_s_netloc() {
    let rows = [
        ("http://a.example/b", "a.example"),
        ("https://user@a.example:80?x#y", "user@a.example:80"),
        ("//a.example", "a.example"),
        ("mailto:a@b.example", ""),
        ("a.example/b", ""),
        ("h_p://a.example/", ""),
    ];
    for (url, domain) in rows {
        assert_eq!(pages::domain(url), domain, "{url}");
    }
}
