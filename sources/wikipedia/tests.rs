//! What users saw, page by page and dump by dump.

use std::fs;

use super::*;
use crate::conformance::{Outcome, bzip2, find, fixture, put, read, read_files};

const DUMP: &str = "wikipedia/enwiki-20260101-pages-articles.xml";

/// The text of a page as the original has it.
#[track_caller]
fn check(language: &str, page: &str, text: &str) {
    let names = Names::of(language, &Site::default());
    assert_eq!(clean::clean(page, &names, Rules::default()).as_deref(), Ok(text));
}

#[test]
fn markup_goes_and_text_stays() {
    check("en", "'''A''' [[b|c]] [[d]]s ''e'' <b>f</b>", "A c ds e f");
    check("en", "a{{b|c={{d}}|[[e]]}}f {{{g|h}}}", "af h");
    check("en", "[http://a.b c] [http://a.b] http://d.e, f", "c  http://d.e, f");
    check("en", "a<ref>b</ref><ref name=\"c\"/><!-- d -->e", "ae");
    check("en", "a\n{| class=\"b\"\n| c || d\n|}\ne", "a\n\ne");
    check("en", "<nowiki>'''a''' [[b]]</nowiki> <math>c</math>d", "'''a''' [[b]] d");
    check("en", "&eacute;&#65;&nosuch; &amp;lt;", "éA&nosuch; &lt;");
    check("en", "* a\n** b\n; c : d", "a\n b\n c  d");
    check("en", "a\n== b ==\nc\n=== d ===\n", "a\n\nb \nc\n\nd");
    check("en", "__NOTOC__a__b__ ____ __ÉTÉ__", "a__b__  __ÉTÉ__");
}

/// Categories are lines of names, or of sort keys.
#[test]
fn links_to_files_go_and_categories_become_names() {
    check("de", "a [[Datei:b.jpg|mini|c [[d]] e]] [[Bild:f]]g", "a  g");
    check("ru", "a\n[[Категория:Река|б]]\n[[Category:В]]", "a\nб\nВ");
    check("en", "[[:Category:a|b]] [[:File:c]]", "b :File:c");
    check("en", "[[Datei:b.jpg|thumb]]", "thumb");
}

/// Within other markup, of what stands side by side every other one stayed.
#[test]
fn the_second_picture_in_a_box_stays_in_the_original() {
    check("en", "<div>[[File:a]][[File:b|thumb|c]][[File:d]]</div>", "thumb|c");
    let names = Names::of("en", &Site::default());
    let rules = Rules { all_files: true, ..Rules::default() };
    let page = "<div>[[File:a]][[File:b|thumb|c]]<ref>d</ref><ref>e</ref>f</div>";
    assert_eq!(clean::clean(page, &names, rules).as_deref(), Ok("f"));
}

/// The text of a page as we recommend it.
#[track_caller]
fn check_readable(page: &str, text: &str) {
    let names = Names::of("en", &Site::default());
    assert_eq!(clean::clean(page, &names, Wikipedia::default().rules()).as_deref(), Ok(text));
}

#[test]
fn a_page_reads_like_an_article() {
    check_readable(
        "'''A''' ({{IPA|/a/}}; {{lang|la|Ā}}) is {{convert|12|km2|sqmi}} wide.<br />It has 10<sup>6</sup> people.",
        "A (/a/; Ā) is 12 km² wide.\nIt has 10⁶ people.",
    );
    check_readable("A ({{audio|a.ogg}}; {{IPAc-en|a}}) is {{nowrap|small {{sp}}}}.", "A is small.");
    check_readable("a <math>\n\\frac{1}{2}\n</math>, H<sub>2</sub>O, x<sub>i</sub>", "a $\\frac{1}{2}$, H₂O, xi");
    check_readable("a\n* b\n** ''c''\n* {{d}}\n# e\n# f\n;g:h\n:i", "a\n- b\n  - c\n1. e\n2. f\ng: h\ni");
    check_readable("a\n== b ==\n=== c ===\nd\n== e ==\n{{reflist}}\n== f ==\n", "a\n\nb\n\nc\nd");
    check_readable("a [[de:b]] [[:de:c]]\n[[Category:d|e]]\n__NOTOC__", "a de:c");
    check_readable(
        "a\n<syntaxhighlight lang=\"c\">\nif  (x)\n    f( );\n</syntaxhighlight>b",
        "a\n\nif  (x)\n    f( );\n\nb",
    );
    check_readable("{{Infobox|a=b}}\n{| c\n|d\n|}\n", "");
}

/// What is never closed is text.
#[test]
fn unclosed_markup_is_text() {
    check("en", "a {{b [[c ''d <ref>e", "a {{b [[c ''d <ref>e");
    check("en", "''a '''b'' c", "a '''b c");
    check("en", "{|\n| a\n\nb", "{|\n| a\n\nb");
    check("en", "[[a\nb]] <b>c</i> == d ==", "[[a\nb]] <b>c</i> == d ==");
}

/// Ten megabytes of opening marks took hours.
#[test]
fn a_flood_of_marks_takes_no_longer_than_its_length() {
    let names = Names::of("en", &Site::default());
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_sec;
    let quick = |page: String, what: &str| {
        let start = cpu();
        let cleaned = clean::clean(&page, &names, Rules::default());
        let seconds = cpu() - start;
        assert!(seconds < 60, "{what}: {seconds} s of CPU, {} bytes", cleaned.map_or(0, |text| text.len()));
    };
    for mark in ["{", "[", "<ref>"] {
        quick(mark.repeat((10 << 20) / mark.len()), mark);
    }
    let marks =
        ["[[a|", "<b ", "''", "'''a''", "{|\n|", "<!--", "&", "= ", "==a\n", "{{{a|", "<nowiki>", "<ref>", "{{"];
    for mark in marks {
        for end in ["", "}}}]]</ref>|}''"] {
            quick(mark.repeat((64 << 10) / mark.len()) + end, &format!("{mark}…{end}"));
        }
    }
}

/// What has both opening and closing marks in unheard-of ways is given up, not read for hours.
#[test]
fn a_page_that_cannot_be_told_apart_is_counted() {
    let page = "&lt;ref>".repeat(100_000) + "&lt;/ref>";
    let dump = format!("<mediawiki><page><ns>0</ns><revision><text>{page}</text></revision></page></mediawiki>");
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "a.xml", dump.as_bytes());
    let (seen, ended) = read_files("wikipedia", &find("wikipedia", &path), LIMITS, usize::MAX);
    ended.unwrap();
    assert_eq!(seen.outcomes(), ["tangled_markup"]);
}

#[test]
fn every_page_of_a_dump_is_a_record() {
    let seen = read("wikipedia", &fixture(DUMP));
    let outcomes = seen.outcomes();
    let counted = |wanted: &str| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!((outcomes.len(), counted("text")), (65, 59));
    assert_eq!((counted("namespace"), counted("redirect"), counted("no_text"), counted("empty")), (3, 1, 1, 1));
    let first = "Tidemouth (/ˈtaɪdməθ/; Aestuarium) is a harbour town at the mouth of the River Ebb. It lies about 12 km \
                 west of Saltmarsh and had 41200 inhabitants in 2019.\n\nHistory\n";
    assert!(seen.texts()[0].starts_with(first), "{}", seen.texts()[0]);
    assert!(seen.texts()[0].ends_with("External links\n- Town of Tidemouth"), "{}", seen.texts()[0]);
    assert!(seen.texts().contains(&"The second text, which stays."));
    let meta = concat!(
        r#"{"title":"Name & sign: 50%?","url":"https://en.wikipedia.org/wiki/Name_%26_sign:_50%25%3F","language":"en","#,
        r#""timestamp":"20260101","revision_timestamp":"2026-01-14T12:00:00Z","page":130,"revision":1300}"#
    );
    assert_eq!(seen.metas()[6].json, meta);
    let Outcome::Text(_, _, line) = &seen.records[12].2 else { panic!("{:?}", seen.records[12]) };
    let original = concat!(
        r#"{"text": "A title with signs that an address may not have.", "meta": {"title": "Name & sign: 50%?", "#,
        r#""url": "https://en.wikipedia.org/wiki/Name_%26_sign:_50%25%3F", "language": "en", "timestamp": "20260101"}}"#
    );
    assert_eq!(line, original);
}

#[test]
fn the_original_s_choices_are_options() {
    let options = r#"{"revision": "first", "addresses": "quoted", "timestamp": "20230320", "language": "simple"}"#;
    let source: Wikipedia = serde_json::from_str(options).unwrap();
    struct Texts(Vec<(String, Option<Box<str>>)>);
    impl Sink for Texts {
        fn record(&mut self, record: crate::Record) -> Result<()> {
            if let crate::Record::Document(document) = record {
                self.0.push((document.text().to_owned(), document.meta.url));
            }
            Ok(())
        }
        fn finished(&mut self, _: corpus::manifest::RawRead) -> Result<()> {
            Ok(())
        }
    }
    let mut texts = Texts(Vec::new());
    let files = find("wikipedia", &fixture(DUMP));
    source.read(&files, Limits { max_document: 1 << 20 }, Path::new("."), &mut texts).unwrap();
    assert_eq!(texts.0[4].0, "The first text.");
    assert_eq!(texts.0[6].1.as_deref(), Some("https://simple.wikipedia.org/wiki/Name%20%26%20sign%3A%2050%25%3F"));
}

/// The same dump in UTF-16, as some exports are.
#[test]
fn utf_16_reads_like_utf_8() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture(DUMP)).unwrap();
    let plain = read("wikipedia", &fixture(DUMP));
    let units: Vec<u16> = [0xfeff].into_iter().chain(text.encode_utf16()).collect();
    let name = "enwiki-20260101-pages-articles.xml";
    for bytes in [
        units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>(),
        units.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
        units[1..].iter().flat_map(|unit| unit.to_le_bytes()).collect(),
    ] {
        let seen = read("wikipedia", &put(&folder, name, &bytes));
        assert!(seen.records == plain.records);
    }
}

/// A multistream dump, each page a stream, in parts or as a whole: the same documents.
#[test]
fn a_multistream_dump_is_read_in_parts() {
    let text = fs::read_to_string(fixture(DUMP)).unwrap();
    let mut streams: Vec<&str> = text.split_inclusive("</page>\n").collect();
    let (header, first) = streams[0].split_at(streams[0].find("  <page>").unwrap());
    streams[0] = first;
    streams.insert(0, header);
    let (mut dump, mut index) = (Vec::new(), String::new());
    for (number, stream) in streams.iter().enumerate() {
        if stream.contains("<page>") {
            index += &format!("{}:{}:Page {number}\n", dump.len(), number * 10);
        }
        dump.extend(bzip2(stream.as_bytes()));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "enwiki-20260101-pages-articles-multistream1.xml-p1p650.bz2", &dump);
    let beside = "enwiki-20260101-pages-articles-multistream-index1.txt-p1p650.bz2";
    put(&folder, beside, &bzip2(index.as_bytes()));
    // Small dumps stay whole, and an index is no dump.
    let found = find("wikipedia", folder.path());
    assert_eq!((found.len(), found[0].range), (1, None));
    let whole = read("wikipedia", &path);
    assert_eq!(whole.records.len(), 65);
    for size in [1, 2000, 5000] {
        let mut parts = Vec::new();
        multistream::parts_of(size, found[0].clone(), &mut parts).unwrap();
        assert!(parts.len() > 3);
        assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), dump.len() as u64);
        let (seen, ended) = read_files("wikipedia", &parts, Limits { max_document: 1 << 20 }, usize::MAX);
        ended.unwrap();
        assert!(seen.records.iter().map(|(_, _, outcome)| outcome).eq(whole.records.iter().map(|(_, _, o)| o)));
        for (part, read) in parts.iter().zip(&seen.files) {
            let (from, below) = part.range.unwrap();
            assert_eq!((read.bytes, read.damage.as_deref()), (below - from, None));
            assert_eq!(read.digest, Some(corpus::Digest::of(&dump[from as usize..below as usize])));
            assert!(part.name.ends_with(&format!(".bz2@{from}")));
        }
    }
    // An index of another dump is of no use.
    put(&folder, beside, &bzip2(index.replace(":1", "1:1").as_bytes()));
    let mut parts = Vec::new();
    multistream::parts_of(1, found[0].clone(), &mut parts).unwrap();
    assert_eq!(parts, found);
}

/// A dump that was cut: all pages before are read, and the rest is one record.
#[test]
fn a_dump_may_be_cut_anywhere() {
    let bytes = fs::read(fixture(DUMP)).unwrap();
    let whole = read("wikipedia", &fixture(DUMP));
    let folder = tempfile::tempdir().unwrap();
    for cut in (0..bytes.len()).step_by(997).chain([1, 2, 3, bytes.len() - 1]) {
        let path = put(&folder, "enwiki-20260101-pages-articles.xml", &bytes[..cut]);
        let (seen, ended) = read_files("wikipedia", &find("wikipedia", &path), LIMITS, usize::MAX);
        ended.unwrap();
        let pages = seen.records.iter().zip(&whole.records).take_while(|(seen, whole)| seen == whole).count();
        // Without the last newline nothing is missing.
        let rest = usize::from(cut > 0 && cut < bytes.len() - 1);
        assert_eq!(seen.records.len() - pages, rest, "cut at {cut}");
        assert_eq!(pages, bytes[..cut].windows(7).filter(|end| end == b"</page>").count(), "cut at {cut}");
        assert_eq!(seen.files[0].damage.is_some(), rest > 0);
    }
}

const LIMITS: Limits = Limits { max_document: 1 << 20 };

/// Any byte may be another one: nothing panics, and no page is lost without a trace.
#[test]
fn any_byte_may_be_flipped() {
    let bytes = fs::read(fixture(DUMP)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for at in (1..bytes.len()).step_by(307) {
        for flip in [0x01, 0x1c, 0x80] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            let path = put(&folder, "enwiki-20260101-pages-articles.xml", &bytes);
            let (seen, ended) = read_files("wikipedia", &find("wikipedia", &path), LIMITS, usize::MAX);
            ended.unwrap();
            assert!((63..=67).contains(&seen.records.len()), "byte {at}: {} records", seen.records.len());
        }
    }
}

#[test]
fn what_is_no_dump_is_one_record() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("a.xml", "<rss><item/></rss>"), ("b.txt", "some words"), ("c.xml", "<?xml version='1.0'?>")]
    {
        let seen = read("wikipedia", &put(&folder, name, bytes.as_bytes()));
        assert_eq!(seen.outcomes(), ["unknown_format"], "{name}");
    }
}

/// Old dumps have neither namespaces' numbers nor marks of redirects.
#[test]
fn an_old_dump_is_read_by_the_names_in_its_titles() {
    let page = |title: &str, text: &str| {
        format!("<page><title>{title}</title><id>1</id><revision><id>2</id><text>{text}</text></revision></page>")
    };
    let site = "<siteinfo><namespaces><namespace key=\"1\">Diskussion</namespace></namespaces></siteinfo>";
    let pages =
        [page("Ebbe", "Es ist Ebbe."), page("Diskussion:Ebbe", "Warum?"), page("Flut", "#WEITERLEITUNG [[Ebbe]]")];
    let dump = format!("<mediawiki xml:lang=\"de\">{site}{}</mediawiki>", pages.concat());
    let folder = tempfile::tempdir().unwrap();
    let seen = read("wikipedia", &put(&folder, "old.xml", dump.as_bytes()));
    assert_eq!(seen.outcomes(), ["text", "namespace", "redirect"]);
    assert_eq!(seen.metas()[0].url.as_deref(), Some("https://de.wikipedia.org/wiki/Ebbe"));
}
