//! What a pipeline file may say of a slice's source, and what we tell of each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Source;
use crate::arxiv::Arxiv;
use crate::books::Books;
use crate::c4::C4;
use crate::common_crawl::CommonCrawl;
use crate::github::GitHub;
use crate::stack_exchange::StackExchange;
use crate::wikipedia::Wikipedia;

/// What is told of a source: the same text makes `redpajama sources` and the docs page.
pub struct Told {
    /// The slice's name.
    pub name: &'static str,
    /// Raised whenever the same input could give another output.
    pub version: u32,
    /// What it reads, in a line.
    pub about: &'static str,
    /// The forms that its raw files may have.
    pub formats: &'static [&'static str],
    /// Why a record is unusable, and what that means.
    pub reasons: Vec<(&'static str, &'static str)>,
    /// Those of the reasons that are no damage: the record is rightly no document, such as a
    /// redirect among articles. They are counted like all others, but however many there are, a
    /// run does not end for them.
    pub rightly: &'static [&'static str],
    /// The fields of a document's meta that it fills, and from what.
    pub fields: &'static [(&'static str, &'static str)],
    /// An example for a pipeline.
    pub example: &'static str,
    /// The JSON schema of its options: their texts, types, defaults.
    pub options: schemars::Schema,
}

/// Reasons that every file of records may give.
const RECORD_REASONS: [(&str, &str); 14] = [
    (
        "bad_json",
        "a line that is not JSON, or a number, a depth or a multitude of columns that JSON readers do not take",
    ),
    ("bad_utf8", "bytes that are not UTF-8"),
    ("blank_line", "a line with nothing on it"),
    ("lone_surrogate", "an escape like \\ud800 that spells half a character"),
    ("missing_column", "the text's column, or one that the options require, is not there"),
    ("no_text", "the text is null"),
    ("not_an_object", "JSON, but not an object"),
    ("too_large", "the text is longer than `max_document`"),
    ("wrong_type", "the text is a number, a list or an object"),
    ("truncated_*", "the file ends inside its gzip, zstd, bzip2 or xz stream: what came before was read"),
    ("bad_*", "the gzip, zstd, bzip2, xz, tar or Parquet is broken here: what came before was read"),
    ("garbage_after_gzip", "bytes after the last gzip member that are not gzip"),
    ("bad_gzip_members", "gzip members that do not decode, with others after them: all others were read"),
    ("unknown_format", "a file of another kind, such as a zip archive"),
];

/// Reasons that text files of books may give beside these.
const BOOK_REASONS: [(&str, &str); 6] = [
    ("bad_member", "a member of a zip archive that does not unpack, or to something else: the others are read"),
    ("bad_zip", "a zip archive that is broken here: what came before was read"),
    ("binary", "a file with a NUL among its first 8 KiB, as git tells binaries: a picture, a program"),
    ("encrypted", "a member of a zip archive that asks for a password"),
    ("not_a_book", "a member of a zip archive that does not end in `.txt`: a picture, a web page"),
    ("truncated_zip", "a zip archive that ends inside a member: what came before was read"),
];

/// Reasons that a dump of a wiki may give.
const DUMP_REASONS: [(&str, &str); 10] = [
    ("bad_utf8", "a page whose text is not UTF-8"),
    ("bad_xml", "a page that does not end before the next one begins"),
    ("empty", "a page of which nothing is left without its markup"),
    ("namespace", "a page that is no article: a talk page, a template, a category"),
    ("no_text", "an article without any text, or whose revision was hidden"),
    ("redirect", "a page that only leads to another one"),
    ("tangled_markup", "a page whose markup takes too many steps to tell apart, such as a megabyte of opening marks"),
    ("too_large", "the text is longer than `max_document`, or its wikitext more than four times that and a megabyte"),
    ("truncated_xml", "the dump ends before its end: what came before was read"),
    ("unknown_format", "a file of another kind, such as XML without pages"),
];

/// Reasons that compressed files may give beside these.
const ARCHIVE_REASONS: [(&str, &str); 3] = [
    ("truncated_*", "the file ends inside its gzip, zstd, bzip2, xz or 7z stream: what came before was read"),
    ("bad_*", "the gzip, zstd, bzip2, xz or 7z is broken here: what came before was read"),
    ("garbage_after_gzip", "bytes after the last gzip member that are not gzip"),
];

/// Reasons that files of a repository may give beside these.
const REPOSITORY_REASONS: [(&str, &str); 7] = [
    ("binary", "a file with a NUL among its first 8 KiB, as git tells binaries"),
    ("duplicate_path", "a path that the archive has had before: the first one counts"),
    ("hard_link", "another name of a file in the archive"),
    ("not_a_file", "a device, a pipe, a socket or a sparse file"),
    ("submodule", "another repository inside this one"),
    ("symlink", "a symbolic link: what it points to is read under its own name, if at all"),
    ("unsafe_path", "a path that is absolute or climbs out of the archive"),
];

/// Reasons that records of a crawl may give beside these.
const CRAWL_REASONS: [(&str, &str); 11] = [
    ("bad_warc_header", "a record without a length or a type, or whose header does not end"),
    ("empty_record", "with `ends: marker`, a record without a line"),
    ("listing", "a listing of files among other files: what lies there is read anyway"),
    ("metadata", "what the crawler noted of a page, or a WAT record"),
    ("not_warc", "bytes between two records that are none"),
    ("other_record", "a WARC record of a kind that is no page"),
    ("request", "what the crawler asked a server"),
    ("revisit", "a page that had not changed since it was fetched before"),
    ("truncated_record", "the file ends inside this record"),
    ("warcinfo", "what a WARC file says of itself"),
    ("wrong_length", "no record follows where this one's length says that it ends; `ends: marker` reads such a file"),
];

/// Reasons that dumps of StackExchange may give.
const POST_REASONS: [(&str, &str); 11] = [
    ("bad_id", "a row whose number, or that of the question it answers, is none"),
    ("bad_utf8", "a line that is not UTF-8"),
    ("bad_xml", "a line that is no row of XML, or a row with a value that cannot be decoded"),
    ("duplicate_id", "a question with the number of another: the first one counts"),
    ("no_title", "with `questions: titled`, a question that has answers but no title"),
    ("not_a_question", "a post that is neither a question nor an answer, such as the description of a tag"),
    ("orphan_answer", "an answer to no question that is in the dump"),
    ("too_large", "a question with its answers is longer than `max_document`, or a row could not be shorter"),
    ("truncated_*", "the file ends inside its compression, its archive, or its XML: what came before was read"),
    ("bad_*", "the compression or the 7z archive is broken here: what came before was read"),
    ("unknown_format", "a file of another kind, a 7z archive without Posts.xml, or one that is encrypted"),
];

/// All reasons that files of a crawl may give.
fn crawl_reasons() -> Vec<(&'static str, &'static str)> {
    let pages = crate::html::REASONS.into_iter().filter(|(reason, _)| *reason != "too_large");
    RECORD_REASONS.into_iter().chain(CRAWL_REASONS).chain(pages).collect()
}

macro_rules! sources {
    ($($variant:ident, $name:literal, version $version:literal, about $about:literal, formats [$($format:literal),*],
       reasons $reasons:expr, rightly [$($rightly:literal),*], fields [$(($field:literal, $from:literal)),*], example $example:literal;)*) => {
        /// The source of one slice, by the slice's name, with its options.
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        pub enum SourceSpec {
            $(#[doc = $about] #[serde(rename = $name)] $variant($variant),)*
        }

        impl SourceSpec {
            /// The source of a slice with its defaults, if there is such a slice.
            pub fn default_for(slice: &str) -> Option<SourceSpec> {
                match slice {
                    $($name => Some(SourceSpec::$variant($variant::default())),)*
                    _ => None,
                }
            }

            /// The slice's name.
            pub fn slice(&self) -> &'static str {
                match self { $(SourceSpec::$variant(_) => $name,)* }
            }

            /// Raised whenever the same input could give another output.
            pub fn version(&self) -> u32 {
                match self { $(SourceSpec::$variant(_) => $version,)* }
            }

            /// Whether records that are unusable for this reason are rightly no documents, and no
            /// damage: see [`Told::rightly`].
            pub fn rightly(&self, reason: &str) -> bool {
                let rightly: &[&str] = match self { $(SourceSpec::$variant(_) => &[$($rightly),*],)* };
                rightly.contains(&reason)
            }

            /// The source, ready to read.
            pub fn build(&self) -> Box<dyn Source> {
                match self { $(SourceSpec::$variant(options) => Box::new(options.clone()),)* }
            }
        }

        /// Every source, in alphabetical order.
        pub fn told() -> Vec<Told> {
            vec![$(Told {
                name: $name,
                version: $version,
                about: $about,
                formats: &[$($format),*],
                reasons: $reasons,
                rightly: &[$($rightly),*],
                fields: &[$(($field, $from)),*],
                example: $example,
                options: schemars::schema_for!($variant),
            },)*]
        }
    };
}

/// Reasons that a submission to arXiv may give, with those of decompressing it.
const SUBMISSION_REASONS: [(&str, &str); 19] = [
    ("bad_*", "the gzip, tar or other archive of a submission is broken, or so is the monthly tar"),
    ("bad_escape", "with `macros: one_line`: a macro's value that the original's Python could not write"),
    ("bomb", "a submission that decompresses to more than 512 MiB"),
    ("garbage_after_gzip", "bytes after the last gzip member that are not gzip"),
    ("hard_link", "a member of a monthly tar that is another name of one"),
    ("html", "a paper in HTML"),
    ("no_submission", "a member of a monthly tar that is neither `.gz` nor `.pdf`"),
    ("no_tex", "a submission without a file of LaTeX: DVI, a document of Word"),
    ("not_a_file", "a device, a pipe, a socket or a sparse file in a monthly tar"),
    ("not_utf8", "with `encodings: utf8`: a file of the submission is in another encoding"),
    ("pdf", "a paper that was sent as PDF alone"),
    ("postscript", "a paper that was sent as PostScript alone"),
    ("symlink", "a member of a monthly tar that is a link"),
    ("too_large", "the text is longer than `max_document`, or the submission's LaTeX than 32 MiB"),
    ("too_much_expansion", "with `macros: one_line`: macros that would take too long or become too much"),
    ("truncated_*", "a submission or a monthly tar that ends inside its compression or its archive"),
    ("unknown_format", "a file of another kind, such as a zip archive"),
    ("unsafe_path", "a member of a monthly tar whose path is absolute or climbs out of it"),
    ("withdrawn", "a note in the place of a paper that was withdrawn"),
];

sources! {
    Arxiv, "arxiv", version 1,
    about "arXiv: the LaTeX of scientific papers",
    formats [
        "arXiv's monthly tars, as its bucket has them (`arXiv_src_2001_001.tar`): a gzip file for each submission, PDFs beside them",
        "single e-prints, as arXiv serves them: gzip of a tar archive, or of one file of LaTeX; also uncompressed, or in zstd, bzip2 or xz",
        "a folder of LaTeX, or of such folders"
    ],
    reasons SUBMISSION_REASONS.to_vec(),
    rightly ["html", "no_submission", "no_tex", "pdf", "postscript", "withdrawn"],
    fields [
        ("url", "the identifier in the submission's name"),
        ("path", "the main file"),
        ("timestamp", "when the member of the monthly tar was last changed, in UTC")
    ],
    example "arxiv: { source: { begin: section } }";

    Books, "books", version 1,
    about "Books: Project Gutenberg's plain text files, and PG-19",
    formats [
        "a plain text file for each book, in UTF-8, ISO-8859-1, Windows-1252 or what its header declares, plain or in gzip, zstd, bzip2 or xz: Project Gutenberg's (`1342-0.txt`)",
        "zip archives of such text files (`1342-0.zip`)",
        "PG-19's folders of text files named by number, with `metadata.csv` beside or above them",
        "JSON lines or Parquet with text; PG-19's have short_book_title, publication_date and url"
    ],
    reasons RECORD_REASONS.into_iter().chain(BOOK_REASONS).collect(),
    rightly ["binary", "not_a_book"],
    fields [
        ("url", "url; PG-19's catalogue; the book's number in its header"),
        ("language", "language; the header's, by its short name"),
        ("timestamp", "publication_date; the header's release date")
    ],
    example "books: {}";

    C4, "c4", version 1,
    about "C4: web pages of April 2019, cleaned by AllenAI",
    formats [
        "JSON lines, plain or in gzip, zstd, bzip2 or xz: an object with text, timestamp and url (`c4-train.00000-of-01024.json.gz`)",
        "Parquet with the same columns, or the text alone"
    ],
    reasons RECORD_REASONS.to_vec(),
    rightly [],
    fields [("url", "url"), ("timestamp", "timestamp"), ("language", "language, or else the option's")],
    example "c4: { source: { require: [text, timestamp, url] } }";

    CommonCrawl, "common_crawl", version 1,
    about "CommonCrawl: pages of its crawls, as text or as they were fetched",
    formats [
        "WET and WARC files, plain or in gzip, zstd, bzip2 or xz, of every year (`*.warc.wet.gz`, `*.warc.gz`), and ARC",
        "JSON lines that cc_net made, plain or compressed (`en_head_0000.json.gz`): the text in raw_content or text",
        "Parquet with the same columns",
        "the listings of a crawl (`wet.paths.gz`), for the files that lie beside them"
    ],
    reasons crawl_reasons(),
    rightly ["empty_body", "empty_record", "http_status", "listing", "metadata", "not_html", "other_record", "request", "revisit", "warcinfo"],
    fields [
        ("url", "WARC-Target-URI; url"),
        ("timestamp", "WARC-Date; date_download, timestamp, created"),
        ("language", "language, of what cc_net made")
    ],
    example "common_crawl: { source: { title: remove } }";

    GitHub, "github", version 1,
    about "GitHub: files of public repositories",
    formats [
        "JSON lines, plain or in gzip, zstd, bzip2 or xz: a BigQuery export of github_repos, with the text in content",
        "Parquet with BigQuery's columns, or those of The Stack",
        "a folder of checked-out repositories, or one repository",
        "tar archives of a repository, as GitHub serves them"
    ],
    reasons RECORD_REASONS.into_iter().chain(REPOSITORY_REASONS).collect(),
    rightly ["binary", "submodule", "symlink"],
    fields [
        ("repository", "repo_name, max_stars_repo_name; the name of the folder or archive"),
        ("path", "path, max_stars_repo_path"),
        ("license", "license, max_stars_repo_licenses; an SPDX header, or the repository's licence files"),
        ("language", "language, lang")
    ],
    example "github: {}";

    StackExchange, "stack_exchange", version 1,
    about "StackExchange: questions with their answers",
    formats [
        "7z archives of a site, as archive.org has them (`cooking.stackexchange.com.7z`, `stackoverflow.com-Posts.7z`)",
        "folders with the tables of a site: Posts.xml and, for the names of authors, Users.xml, plain or in gzip, zstd, bzip2 or xz",
        "a Posts.xml alone"
    ],
    reasons POST_REASONS.to_vec(),
    rightly ["not_a_question", "orphan_answer"],
    fields [
        ("url", "the site and the question's Id"),
        ("license", "ContentLicense of all posts, or else what StackExchange had on the day of CreationDate"),
        ("timestamp", "CreationDate of the question")
    ],
    example "stack_exchange: { source: { largest: 28 } }";

    Wikipedia, "wikipedia", version 2,
    about "Wikipedia: articles of all languages",
    formats [
        "XML dumps of pages, plain or in gzip, zstd, bzip2 or xz (`enwiki-20230320-pages-articles.xml.bz2`), in UTF-8 or UTF-16",
        "multistream dumps in parts, if their index lies beside them (`…-multistream.xml.bz2`, `…-multistream-index.txt.bz2`)",
        "history dumps, also in 7z: one revision of each page"
    ],
    reasons DUMP_REASONS.into_iter().chain(ARCHIVE_REASONS).collect(),
    rightly ["empty", "namespace", "no_text", "redirect"],
    fields [
        ("url", "the title and the language"),
        ("language", "the option's, or else the name of the file, or else the dump"),
        ("timestamp", "the option's, or else the date in the name of the file")
    ],
    example "wikipedia: { source: { language: en } }";
}

impl SourceSpec {
    /// The source for a sample of some text, for whoever stops reading before the end anyway: one
    /// that has to read a whole raw file before it knows its first document reads the beginning.
    pub fn for_sample(&self, text: u64) -> SourceSpec {
        match self {
            // HTML, and that in XML, is nearly twice as long as its text: what is read holds less
            // than was asked for, so that all that was read is told.
            SourceSpec::StackExchange(options) => SourceSpec::StackExchange(options.of_beginning(text / 2 * 3)),
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_found_by_its_slice() {
        for told in told() {
            let spec = SourceSpec::default_for(told.name).unwrap();
            assert_eq!((spec.slice(), spec.version()), (told.name, told.version));
            assert_eq!(spec.build().slice(), told.name);
            let json = serde_json::to_value(&spec).unwrap();
            assert!(json.get(told.name).is_some());
            assert!(told.example.starts_with(told.name));
            for rightly in told.rightly {
                assert!(spec.rightly(rightly) && told.reasons.iter().any(|(reason, _)| reason == rightly), "{rightly}");
            }
            assert!(!spec.rightly("unknown_format"));
        }
        assert!(SourceSpec::default_for("songs").is_none());
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        assert!(serde_json::from_str::<SourceSpec>(r#"{"c4": {"require": []}}"#).is_ok());
        assert!(serde_json::from_str::<SourceSpec>(r#"{"c4": {"requires": []}}"#).is_err());
        assert!(serde_json::from_str::<SourceSpec>(r#"{"github": {"x": 1}}"#).is_err());
    }
}
