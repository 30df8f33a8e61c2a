use std::path::Path;

use crate::Limits;
use crate::conformance::{find, gzip, put, read, read_files};

const GUTENBERG: &str = "\u{feff}The Project Gutenberg EBook of The Tides, by A. Sailor\r\n\r\nTitle: The Tides\r\n\r\n\
    Author: A. Sailor\r\n\r\nRelease Date: May 1, 2008 [EBook #31]\r\nLanguage: English\r\n\r\n*** START OF THIS \
    PROJECT GUTENBERG EBOOK THE TIDES ***\r\nThe tide came in \u{2014} and went out.\r\n";

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slices/books")
}

#[test]
fn a_text_file_is_one_book_with_what_its_header_says() {
    let folder = tempfile::tempdir().unwrap();
    let seen = read("books", &put(&folder, "31-0.txt", GUTENBERG.as_bytes()));
    assert_eq!(seen.texts(), [GUTENBERG.trim_start_matches('\u{feff}').replace("\r\n", "\n")]);
    let meta = seen.metas()[0];
    let json = r#"{"title":"The Tides","author":"A. Sailor","release_date":"May 1, 2008","language":"English","url":"https://www.gutenberg.org/ebooks/31","encoding":"UTF-8"}"#;
    assert_eq!(meta.json, json);
    assert_eq!(meta.url.as_deref(), Some("https://www.gutenberg.org/ebooks/31"));
    assert_eq!((meta.language.as_deref(), meta.timestamp.as_deref()), (Some("en"), Some("May 1, 2008")));
    let zipped = read("books", &put(&folder, "31-0.txt.gz", &gzip(GUTENBERG.as_bytes())));
    assert_eq!(zipped.texts(), seen.texts());
}

#[test]
fn the_original_s_line_has_its_meta_first() {
    let folder = tempfile::tempdir().unwrap();
    let record = r#"{"short_book_title":"Caf\u00e9","publication_date":1901,"url":"u","text":"The tide."}"#;
    let seen = read("books", &put(&folder, "pg19.jsonl", record.as_bytes()));
    let crate::conformance::Outcome::Text(_, meta, line) = &seen.records[0].2 else { panic!() };
    let expected =
        r#"{"meta": {"short_book_title": "Caf\u00e9", "publication_date": 1901, "url": "u"}, "text": "The tide."}"#;
    assert_eq!(line, expected);
    assert_eq!(meta.timestamp.as_deref(), Some("1901"));
}

#[test]
fn pg_19_s_catalogue_tells_of_its_texts() {
    let seen = read("books", &fixtures().join("pg19"));
    let names: Vec<&str> = seen.records.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(
        names,
        ["books/train/101.txt", "books/train/102.txt", "books/train/103.txt", "books/validation/104.txt"]
    );
    let metas = seen.metas();
    let json = r#"{"short_book_title":"The Harbour, or \"Home\"","publication_date":1899,"url":"https://books.example/101","encoding":"UTF-8"}"#;
    assert_eq!(metas[0].json, json);
    assert_eq!(metas[3].timestamp.as_deref(), Some("1911"));
    // Nobody tells of 103.
    assert_eq!(metas[2].json, r#"{"encoding":"UTF-8"}"#);
}

#[test]
fn a_catalogue_that_changes_makes_its_books_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "train/1.txt", b"The tide came in.");
    let alone = find("books", &path)[0].clone();
    let metadata = put(&folder, "metadata.csv", b"1,Tides,1901,u\n");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    std::fs::File::open(&metadata).unwrap().set_modified(later).unwrap();
    assert!(find("books", &path)[0].modified > alone.modified);
    assert_eq!(read("books", &path).metas()[0].url.as_deref(), Some("u"));
}

#[test]
fn of_a_folder_only_books_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "1/1-0.txt",
        "1/1-h/1-h.htm",
        "1/1-h/images/a.jpg",
        "1/1-0.zip",
        "1/1-h.zip",
        "1/1-8.zip",
        "2/b.TXT.gz",
        "3/c.parquet",
        "metadata.csv",
    ] {
        put(&folder, name, b"text");
    }
    let names: Vec<String> = find("books", folder.path()).iter().map(|file| file.name.to_string()).collect();
    assert_eq!(names, ["books/1/1-0.txt", "books/1/1-8.zip", "books/2/b.TXT.gz", "books/3/c.parquet"]);
}

#[test]
fn what_is_no_book_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = |name: &str, bytes: &[u8]| read("books", &put(&folder, name, bytes)).outcomes().join(" ");
    assert_eq!(outcome("picture.txt", b"\x89PNG\0\0"), "binary");
    let cut = gzip(GUTENBERG.as_bytes());
    assert_eq!(outcome("cut.txt.gz", &cut[..cut.len() / 2]), "truncated_gzip");
    assert_eq!(outcome("1.7z", b"7z\xbc\xaf\x27\x1c"), "unknown_format");
    assert_eq!(outcome("empty.txt", b""), "");
    assert_eq!(outcome("wide.txt", b"\xff\xfea\0\xeb\0"), "text");
}

#[test]
fn a_book_that_is_too_large_is_counted_with_its_size() {
    let folder = tempfile::tempdir().unwrap();
    // Of Latin letters beyond ASCII each takes two bytes.
    for (bytes, size) in [(vec![b'x'; 3000], 3000.0), (vec![0xe9; 600], 1200.0)] {
        let files = find("books", &put(&folder, "large.txt", &bytes));
        let (seen, ended) = read_files("books", &files, Limits { max_document: 1000 }, usize::MAX);
        ended.unwrap();
        let evidence = corpus::Evidence::bound(size, 1000.0);
        assert_eq!(seen.records[0].2, crate::conformance::Outcome::Unusable("too_large", evidence, bytes.len() as u64));
    }
}

#[test]
fn a_file_is_text_by_its_name_or_by_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let outcomes = |name: &str, bytes: &[u8]| read("books", &put(&folder, name, bytes)).outcomes();
    assert_eq!(outcomes("a", b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n"), ["text", "text"]);
    assert_eq!(outcomes("a", b"{Transcriber\'s note}\n"), ["text"]);
    assert_eq!(outcomes("a.txt", b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n"), ["text"]);
    assert_eq!(outcomes("a.jsonl", b"plain\n"), ["bad_json"]);
}

#[test]
fn every_book_of_ours_is_read() {
    let seen = read("books", &fixtures().join("gutenberg"));
    assert_eq!(seen.outcomes(), ["text"; 6]);
    let encodings: Vec<&str> = seen.metas().iter().map(|meta| meta.json.rsplit('"').nth(1).unwrap()).collect();
    assert_eq!(encodings, ["UTF-8", "windows-1252", "UTF-8", "windows-1252", "UTF-8", "UTF-8"]);
}

/// Cut anywhere and with any byte wrong, a file is still read, and all of it is accounted for.
#[test]
fn a_file_that_is_cut_or_broken_anywhere_is_one_book() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = GUTENBERG.as_bytes().to_vec();
    for length in (1..bytes.len()).step_by(13) {
        assert_eq!(read("books", &put(&folder, "a.txt", &bytes[..length])).records.len(), 1, "{length}");
    }
    for at in (0..bytes.len()).step_by(11) {
        bytes[at] ^= 0xff;
        assert_eq!(read("books", &put(&folder, "a.txt", &bytes)).records.len(), 1, "{at}");
        bytes[at] ^= 0xff;
    }
}

/// Every input that the fuzz target `books` starts from, or once failed on.
#[test]
fn the_corpus_of_the_fuzzer_is_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/books");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path())).collect();
    assert!(inputs.len() > 5);
    inputs.into_iter().for_each(|input| crate::fuzz::books(&input.unwrap()));
}

/// A member of a zip archive: its name, its content, and whether it is deflated, and its length told
/// only behind it.
fn member(name: &str, content: &[u8], deflated: bool, length_follows: bool) -> Vec<u8> {
    let packed = match deflated {
        true => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, content).unwrap();
            encoder.finish().unwrap()
        }
        false => content.to_vec(),
    };
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let mut lengths = crc.sum().to_le_bytes().to_vec();
    lengths.extend((packed.len() as u32).to_le_bytes());
    lengths.extend((content.len() as u32).to_le_bytes());
    let before = if length_follows { vec![0; 12] } else { lengths.clone() };
    let after = if length_follows { [&b"PK\x07\x08"[..], &lengths].concat() } else { Vec::new() };
    let method = if deflated { 8u16 } else { 0 };
    let flags = if length_follows { 8u16 } else { 0 };
    [
        &b"PK\x03\x04\x14\0"[..],
        &flags.to_le_bytes(),
        &method.to_le_bytes(),
        &[0; 4],
        &before,
        &(name.len() as u16).to_le_bytes(),
        &3u16.to_le_bytes(),
        name.as_bytes(),
        b"xyz",
        &packed,
        &after,
    ]
    .concat()
}

const ENDS: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn archive() -> Vec<u8> {
    [
        member("31/", b"", false, false),
        member("31/31-0.txt", GUTENBERG.as_bytes(), true, false),
        member("31/cover.jpg", b"\xff\xd8", false, false),
        member("31/31.txt", b"The tide came in.", false, false),
        member("31/31-8.txt", b"The tide of No\xebl.", true, true),
        ENDS.to_vec(),
    ]
    .concat()
}

#[test]
fn a_zip_archive_is_read_member_by_member() {
    let folder = tempfile::tempdir().unwrap();
    let seen = read("books", &put(&folder, "31.zip", &archive()));
    assert_eq!(seen.outcomes(), ["text", "not_a_book", "text", "text"]);
    assert_eq!(seen.texts()[2], "The tide of Noël.");
    let meta = seen.metas()[0];
    assert!(meta.json.starts_with(r#"{"path":"31/31-0.txt","title":"The Tides""#), "{}", meta.json);
    assert_eq!((meta.path.as_deref(), meta.language.as_deref()), (Some("31/31-0.txt"), Some("en")));
    assert_eq!(seen.files[0].damage, None);
    assert!(read("books", &put(&folder, "none.zip", ENDS)).records.is_empty());
}

#[test]
fn a_member_that_is_broken_costs_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let outcomes = |bytes: Vec<u8>| read("books", &put(&folder, "a.zip", &bytes)).outcomes();
    let good = || member("b.txt", b"And went out.", false, false);
    let mut wrong = member("a.txt", b"The tide came in.", true, false);
    wrong[14] ^= 1;
    assert_eq!(outcomes([wrong, good(), ENDS.to_vec()].concat()), ["bad_member", "text"]);
    let mut torn = member("a.txt", b"The tide came in.", true, false);
    torn[30 + 5 + 3] = 0xff;
    assert_eq!(outcomes([torn, good(), ENDS.to_vec()].concat()), ["bad_member", "text"]);
    let mut secret = member("a.txt", b"The tide came in.", true, false);
    secret[6] = 1;
    assert_eq!(outcomes([secret, good(), ENDS.to_vec()].concat()), ["encrypted", "text"]);
    let mut other = member("a.txt", b"The tide came in.", true, false);
    other[8] = 12;
    assert_eq!(outcomes([other, good(), ENDS.to_vec()].concat()), ["unknown_format", "text"]);
    assert_eq!(outcomes([good(), b"PKxx".to_vec()].concat()), ["text", "bad_zip"]);
    assert_eq!(outcomes(good()), ["text", "truncated_zip"]);
}

#[test]
fn a_zip_archive_that_is_cut_or_broken_anywhere_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = archive();
    let told = bytes.len() - ENDS.len();
    for length in (4..told).step_by(7) {
        let seen = read("books", &put(&folder, "a.zip", &bytes[..length]));
        assert_eq!(seen.outcomes().last(), Some(&"truncated_zip"), "{length}");
    }
    for at in (4..told).step_by(3) {
        bytes[at] ^= 0x55;
        let files = find("books", &put(&folder, "a.zip", &bytes));
        let all = || read_files("books", &files, Limits { max_document: 1 << 20 }, usize::MAX);
        let ((seen, ended), (again, _)) = (all(), all());
        ended.unwrap();
        assert!(!seen.records.is_empty() && seen.records == again.records && seen.files.len() == 1, "{at}");
        bytes[at] ^= 0x55;
    }
}

#[test]
fn a_book_in_an_archive_has_the_same_bound() {
    let folder = tempfile::tempdir().unwrap();
    for (deflated, follows) in [(false, false), (true, false), (true, true)] {
        let bytes = [
            member("a.txt", &[b'x'; 5000], deflated, follows),
            member("b.txt", b"And went out.", true, false),
            ENDS.to_vec(),
        ];
        let files = find("books", &put(&folder, "a.zip", &bytes.concat()));
        let (seen, ended) = read_files("books", &files, Limits { max_document: 1000 }, usize::MAX);
        ended.unwrap();
        assert_eq!(seen.outcomes(), ["too_large", "text"], "{deflated} {follows}");
    }
}
