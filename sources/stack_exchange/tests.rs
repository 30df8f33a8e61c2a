//! What the source makes of whole dumps. The fixtures are in `tests/slices/stack_exchange`.

use std::fs;
use std::path::{Path, PathBuf};

use corpus::manifest::RawRead;

use super::*;
use crate::conformance::{Outcome, Seen, find, gzip, put, read, read_files};
use crate::{Record, SourceSpec};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slices/stack_exchange").join(name)
}

const TIDES: &str = "tides.example.com_old";
const HARBOURS: &str = "harbours.example.com.7z";

/// Everything that a source gives, in words.
struct Said(Vec<String>, StackExchange);

impl Sink for Said {
    fn record(&mut self, record: Record) -> Result<()> {
        self.0.push(match record {
            Record::Document(document) => {
                let mut line = String::new();
                self.1.original_line(&document, &mut line).unwrap();
                format!("{} {line} {}", document.id, document.meta.json)
            }
            Record::Unusable { id, reason, evidence, bytes } => format!("{id} {reason}: {evidence} ({bytes})"),
        });
        Ok(())
    }
    fn finished(&mut self, read: RawRead) -> Result<()> {
        self.0.push(format!("{read:?}"));
        Ok(())
    }
}

fn said(options: &StackExchange, path: &Path, max_document: usize) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let mut said = Said(Vec::new(), options.clone());
    options.read(&find("stack_exchange", path), Limits { max_document }, scratch.path(), &mut said).unwrap();
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "scratch is left behind");
    said.0
}

/// A site of one file, from rows.
fn site(folder: &tempfile::TempDir, rows: &[&str]) -> PathBuf {
    let all = format!("<posts>\n{}\n</posts>\n", rows.join("\n"));
    put(folder, "site.example/Posts.xml", all.as_bytes())
}

const QUESTION: &str = r#"<row Id="1" PostTypeId="1" Score="3" Title="T" Body="&lt;p&gt;b&lt;/p&gt;" />"#;

#[test]
fn every_form_of_a_site_reads_alike() {
    let folder = tempfile::tempdir().unwrap();
    let tides = read("stack_exchange", &fixture(TIDES));
    assert_eq!(tides.texts().len(), 12);
    let posts = fs::read(fixture(TIDES).join("Posts.xml")).unwrap();
    let users = fs::read(fixture(TIDES).join("Users.xml")).unwrap();
    put(&folder, "tides.example.com_old/Posts.xml.gz", &gzip(&posts));
    put(&folder, "tides.example.com_old/Users.xml.xz", b"");
    put(&folder, "tides.example.com_old/Users.xml.gz", &gzip(&users));
    let zipped = read("stack_exchange", &folder.path().join(TIDES));
    assert!(zipped.records == tides.records);
    // Alone, it has the same texts, and no names of authors.
    let alone = read("stack_exchange", &fixture(TIDES).join("Posts.xml"));
    assert_eq!(alone.texts(), tides.texts());
    assert!(!alone.metas()[0].json.contains("Ann") && tides.metas()[0].json.contains(r#""author":"Ann""#));
    let harbours = read("stack_exchange", &fixture(HARBOURS));
    assert_eq!(harbours.texts().len(), 3);
    assert!(harbours.metas()[0].json.contains(r#""author":"Eve","author_url":"https://harbours.example.com/users/7""#));
}

#[test]
fn a_folder_of_sites_is_read_site_by_site() {
    let names = |files: &[RawFile]| files.iter().map(|file| file.name.to_string()).collect::<Vec<_>>();
    let files = find("stack_exchange", &fixture(""));
    assert_eq!(names(&files), ["stack_exchange/harbours.example.com.7z", "stack_exchange/tides.example.com_old"]);
    let folder = tempfile::tempdir().unwrap();
    for name in ["so.example-Posts.7z", "so.example-Users.7z", "so.example-Votes.7z", "readme.txt", "Sites.xml"] {
        put(&folder, name, b"");
    }
    assert_eq!(find("stack_exchange", &folder.path().join("so.example-Votes.7z")), []);
    put(&folder, "deep/er/Posts.xml.bz2", b"");
    assert_eq!(
        names(&find("stack_exchange", folder.path())),
        ["stack_exchange/deep/er", "stack_exchange/so.example-Posts.7z"]
    );
    assert_eq!(names(&find("stack_exchange", &folder.path().join("deep/er"))), ["stack_exchange/er"]);
}

/// Stack Overflow's tables have an archive each.
#[test]
fn posts_and_users_of_a_large_site_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let archive = fs::read(fixture(HARBOURS)).unwrap();
    put(&folder, "harbours.example.com-Posts.7z", &archive);
    let alone = said(&StackExchange::default(), folder.path(), 1 << 20);
    put(&folder, "harbours.example.com-Users.7z", &archive);
    let both = said(&StackExchange::default(), folder.path(), 1 << 20);
    let whole = said(&StackExchange::default(), &fixture(HARBOURS), 1 << 20);
    let named = |said: &[String]| said.iter().filter(|said| said.contains("Eve")).count();
    assert_eq!((named(&alone), named(&both), named(&whole)), (2, 2, 2));
    let files = find("stack_exchange", folder.path());
    assert_eq!((files.len(), files[0].bytes), (1, 2 * archive.len() as u64));
    assert!(both[3].contains(&format!("bytes: {}", 2 * archive.len())) && both[3] != whole[3]);
    put(&folder, "harbours.example.com-Users.7z", b"7z\xbc\xaf\x27\x1c");
    let broken = said(&StackExchange::default(), folder.path(), 1 << 20);
    assert_eq!(named(&broken), 0);
    assert!(broken[3].contains("truncated_7z") && broken[4].contains("truncated_7z"), "{broken:#?}");
}

#[test]
fn the_largest_sites_have_the_most_posts() {
    let files = find("stack_exchange", &fixture(""));
    let chosen = |largest| StackExchange { largest, ..Default::default() }.choose(files.clone()).unwrap();
    assert_eq!(chosen(Some(1)), files[1..]);
    assert_eq!((chosen(Some(2)), chosen(Some(0))), (files.clone(), Vec::new()));
    assert_eq!(chosen(None), files);
}

/// With a handful of rows in memory everything goes through scratch, in many runs.
#[test]
fn little_memory_gives_the_same() {
    for path in [fixture(TIDES), fixture(HARBOURS)] {
        let much = said(&StackExchange::default(), &path, 1 << 20);
        for memory in [0, 300, 2000] {
            let little = StackExchange { memory: Memory(memory), ..Default::default() };
            assert_eq!(said(&little, &path, 1 << 20), much);
        }
    }
}

/// More runs than may be open at once: they are merged in between.
#[test]
fn a_site_a_hundred_times_larger_than_memory_is_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = String::from("<posts>\n");
    let count = 2000;
    for number in 0..count {
        // Answers lie far from their questions, and some before them.
        let (question, answer) = (2 * number, 2 * ((number * 7 + 500) % count) + 1);
        rows +=
            &format!("<row Id=\"{question}\" PostTypeId=\"1\" Score=\"{number}\" Title=\"t\" Body=\"{number}\" />\n");
        rows += &format!("<row Id=\"{answer}\" PostTypeId=\"2\" ParentId=\"{}\" Body=\"to {0}\" />\n", answer - 1);
    }
    rows += "</posts>";
    let path = put(&folder, "Posts.xml", rows.as_bytes());
    let files = find("stack_exchange", &path);
    let (much, _) = read_files("stack_exchange", &files, Limits { max_document: 1 << 20 }, usize::MAX);
    let texts: Vec<String> = (0..count).map(|number| format!("Q: t\n\n{number}\n\nA: to {}", 2 * number)).collect();
    assert_eq!(much.texts(), texts);
    let little = StackExchange { memory: Memory(rows.len() / 400), ..Default::default() };
    assert_eq!(said(&little, &path, 1 << 20), said(&StackExchange::default(), &path, 1 << 20));
}

/// The estimate of a run must not read all of Stack Overflow for a few documents.
#[test]
fn a_sample_reads_the_beginning_of_a_site() {
    struct Counting(usize);
    impl Sink for Counting {
        fn record(&mut self, _: Record) -> Result<()> {
            self.0 += 1;
            Ok(())
        }
        fn finished(&mut self, _: RawRead) -> Result<()> {
            panic!("a site that was not read whole is not finished");
        }
    }
    let files = find("stack_exchange", &fixture(TIDES));
    let source = StackExchange::default().of_beginning(2000);
    let mut counting = Counting(0);
    crate::take_raw_bytes();
    let scratch = tempfile::tempdir().unwrap();
    let read = source.read(&files, Limits { max_document: 1 << 20 }, scratch.path(), &mut counting);
    assert!(matches!(read, Err(crate::Error::Stopped)));
    assert_eq!(counting.0, 2);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

fn checked(seen: &Seen, files: &[RawFile]) {
    assert_eq!(seen.files.len(), files.len());
    assert_eq!(seen.files.iter().map(|file| file.records).sum::<u64>(), seen.records.len() as u64);
    for (at, (_, number, _)) in seen.records.iter().enumerate() {
        assert_eq!(*number, at as u64);
    }
}

/// Wherever a file is cut, what came before is read, and it is said that something is missing.
#[test]
fn a_cut_dump_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { max_document: 1 << 20 };
    for name in [format!("{TIDES}/Posts.xml"), HARBOURS.to_owned()] {
        let bytes = fs::read(fixture(&name)).unwrap();
        for cut in (0..bytes.len()).step_by(if name == HARBOURS { 3 } else { 61 }) {
            let path = put(&folder, "site.example/Posts.xml", &bytes[..cut]);
            let files = find("stack_exchange", &path);
            let (seen, ended) = read_files("stack_exchange", &files, limits, usize::MAX);
            ended.unwrap();
            checked(&seen, &files);
            // Up to `<posts>` nothing is known to be missing.
            if cut > 100 {
                assert!(seen.files[0].damage.is_some(), "{name} cut at {cut}");
            }
        }
    }
}

#[test]
fn any_flipped_byte_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { max_document: 1 << 20 };
    let posts = fs::read(fixture(TIDES).join("Posts.xml")).unwrap();
    for (bytes, step) in [(fs::read(fixture(HARBOURS)).unwrap(), 3), (gzip(&posts), 23), (posts, 61)] {
        for at in (0..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let path = put(&folder, "site.example/Posts.xml", &flipped);
            let files = find("stack_exchange", &path);
            let (seen, ended) = read_files("stack_exchange", &files, limits, usize::MAX);
            ended.unwrap();
            checked(&seen, &files);
        }
    }
}

#[test]
fn broken_and_lonely_rows_have_reasons() {
    let seen = read("stack_exchange", &fixture(TIDES));
    let reasons: Vec<&str> = seen.outcomes().into_iter().filter(|outcome| *outcome != "text").collect();
    let expected =
        ["not_a_question", "not_a_question", "bad_xml", "bad_id", "duplicate_id", "bad_xml", "orphan_answer"];
    assert_eq!(reasons, expected);
    let told = SourceSpec::default_for("stack_exchange").unwrap();
    assert!(told.rightly("orphan_answer") && !told.rightly("bad_xml"));
}

#[test]
fn answers_go_by_their_score_or_by_its_spelling() {
    let ids = |options: &StackExchange| {
        let said = said(options, &fixture(TIDES), 1 << 20);
        let first = said.iter().find(|said| said.contains("\"question_id\":1,")).unwrap().clone();
        let ids = first.split("\"answer_id\":").skip(1).map(|rest| rest.split(',').next().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(&StackExchange::default()), ["3", "2", "4"]);
    assert_eq!(ids(&StackExchange { scores: Scores::Text, ..Default::default() }), ["2", "4", "3"]);
}

#[test]
fn the_original_s_line() {
    let options = StackExchange {
        text: TextStyle::Original,
        scores: Scores::Text,
        questions: Questions::Titled,
        site: SiteName::Whole,
        ..Default::default()
    };
    let said = said(&options, &fixture(TIDES), 1 << 20);
    // A title is read as HTML: `<phase>` is gone.
    let line = concat!(
        r#"{"text": "Q: How do I compute  in Python? I have:\ndef phase(days):\n    return days % 29.53 < 14.77\n\n"#,
        r#"Is 29.53 exact?\n\nA: It was moved here with its answer, which is older than its number says.", "#,
        r#""meta": {"language": "", "url": "https://tides.example.com_old/questions/11", "timestamp": "2023-03-29", "#,
        r#""source": "stackexchange", "question_score": "0"}}"#
    );
    assert!(said.iter().any(|said| said.contains(line)), "{said:#?}");
    // `<ol>` is a bullet, too.
    assert!(
        said.iter().any(|said| said.contains(r"\nA: *\n\n*Start with a staff.\n\n*Then a float gauge:")),
        "{said:#?}"
    );
}

#[test]
fn a_post_with_a_title_is_a_question_to_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let path = site(
        &folder,
        &[
            r#"<row Id="1" PostTypeId="4" Score="0" Title="T" Body="of a tag" />"#,
            r#"<row Id="2" PostTypeId="5" Score="0" Body="of a tag" />"#,
            r#"<row Id="3" PostTypeId="1" Score="0" Body="no title" />"#,
            r#"<row Id="4" PostTypeId="2" ParentId="3" Score="0" Body="an answer" />"#,
        ],
    );
    let reasons = |questions| {
        let said = said(&StackExchange { questions, ..Default::default() }, &path, 1 << 20);
        said[..said.len() - 1].iter().map(|said| said.split([' ', ':']).nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(reasons(Questions::Titled), ["{\"text\"", "not_a_question", "no_title"]);
    assert_eq!(reasons(Questions::Typed), ["not_a_question", "not_a_question", "{\"text\""]);
}

/// A hundred answers of a kilobyte are more than ten: the question is counted, once.
#[test]
fn a_question_that_is_too_large_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(1000);
    let answer =
        |number: usize| format!(r#"<row Id="{number}" PostTypeId="2" ParentId="1" Score="1" Body="{long}" />"#);
    let answers: Vec<String> = (10..110).map(answer).collect();
    let rows: Vec<&str> = [QUESTION].into_iter().chain(answers.iter().map(String::as_str)).collect();
    let path = site(&folder, &rows);
    let said = said(&StackExchange::default(), &path, 10_000);
    assert_eq!(said.len(), 2);
    assert!(said[0].contains(" too_large: "), "{}", said[0]);
    let seen = read("stack_exchange", &path);
    assert_eq!(seen.texts()[0].len(), 7 + 100 * 1005);
}

#[test]
fn what_is_no_dump_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = |name: &str, bytes: &[u8]| {
        let seen = read("stack_exchange", &put(&folder, name, bytes));
        seen.files[0].damage.clone().unwrap_or_default()
    };
    assert_eq!(said("a.7z", b"PK\x03\x04"), "unknown_format: a zip archive");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/sevenz");
    let of_corpus = |name: &str| fs::read(corpus.join(name)).unwrap();
    assert_eq!(said("b.7z", &of_corpus("encrypted.7z")), "unknown_format: an encrypted 7z archive");
    assert_eq!(said("c.7z", &of_corpus("lzma.7z")), "");
    assert_eq!(said("d.7z", &gzip(&of_corpus("lzma.7z"))), "unknown_format: a 7z archive in a compressed file");
    assert_eq!(said("e/Posts.xml", b"<posts>\n"), "truncated_xml: the file ends before its table does");
}

#[test]
fn a_row_that_cannot_be_a_document_is_read_past() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("<row Id=\"1\" Body=\"{}\" />", "x".repeat(3 << 20));
    let path = site(&folder, &[&long, QUESTION]);
    let files = find("stack_exchange", &path);
    let (seen, ended) = read_files("stack_exchange", &files, Limits { max_document: 1 << 10 }, usize::MAX);
    ended.unwrap();
    assert_eq!(seen.outcomes(), ["too_large", "text"]);
    let Outcome::Unusable(_, _, bytes) = &seen.records[0].2 else { panic!("{:?}", seen.records[0]) };
    assert_eq!(*bytes, long.len() as u64);
}
