//! What the fuzz targets in `fuzz/` call: each takes any bytes and must not panic.

use std::io::{self, Cursor, Read};
use std::path::Path;

/// Reads a dump of a wiki.
pub fn wikipedia(bytes: &[u8]) {
    crate::wikipedia::any_dump(bytes);
}

/// Takes the markup from a page.
pub fn wikitext(bytes: &[u8]) {
    crate::wikipedia::any_page(&String::from_utf8_lossy(bytes));
}

/// Reads a text file of a book, and a catalogue of books.
pub fn books(bytes: &[u8]) {
    crate::books::read_bytes(bytes);
}

/// Reads all members of a 7z archive.
pub fn sevenz(bytes: &[u8]) {
    let _ = crate::sevenz::members(Cursor::new(bytes), Path::new("fuzz.7z"), |_| true, &mut |member| {
        // A few bytes may unpack to very many: that takes time, not memory.
        let _ = io::copy(&mut member.take(1 << 20), &mut io::sink());
        Ok(())
    });
}

/// Reads a `Posts.xml` of StackExchange's dumps, and the HTML in it.
pub fn stack_exchange(bytes: &[u8]) {
    crate::stack_exchange::posts_of(bytes);
}

/// Reads all records of a WARC, WET or ARC file, and the pages in them.
pub fn warc(bytes: &[u8]) {
    use crate::common_crawl::{CommonCrawl, Headers, Title};
    use crate::warc::Form;
    use crate::warc::records::Ends;
    let original = CommonCrawl { ends: Ends::Marker, headers: Headers::ByPlace, title: Title::Remove };
    for form in [Form::Warc(Ends::Length), Form::Warc(Ends::Marker), Form::Arc] {
        crate::common_crawl::pages::fuzz(bytes, form, &CommonCrawl::default());
        crate::common_crawl::pages::fuzz(bytes, form, &original);
    }
}

/// Makes the text of a submission to arXiv, a tar archive or one file of LaTeX, as we recommend it and
/// as the original did.
pub fn arxiv(bytes: &[u8]) {
    for source in [crate::arxiv::Arxiv::default(), crate::arxiv::Arxiv::original()] {
        source.text_of(bytes);
    }
}

/// Finds the main text of a page.
pub fn html_extract(bytes: &[u8]) {
    crate::html::main_text(&String::from_utf8_lossy(bytes));
}

/// Decodes an HTTP response, and finds the main text of what it holds.
pub fn http_response(bytes: &[u8]) {
    if let Ok(page) = crate::html::page(bytes, "https://page.example.jp/a", 1 << 20) {
        crate::html::main_text(&page.text);
    }
}

#[cfg(test)]
mod tests {
    type Target = fn(&[u8]);

    /// Every input that a fuzz target starts from, or once failed on.
    #[test]
    fn the_corpus_is_survived() {
        let targets: [(&str, Target); 8] = [
            ("html_extract", super::html_extract),
            ("http_response", super::http_response),
            ("arxiv", super::arxiv),
            ("wikipedia", super::wikipedia),
            ("wikitext", super::wikitext),
            ("sevenz", super::sevenz),
            ("stack_exchange", super::stack_exchange),
            ("warc", super::warc),
        ];
        for (name, target) in targets {
            let folder = super::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
            let mut inputs = 0;
            for entry in std::fs::read_dir(folder).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                inputs += 1;
            }
            assert!(inputs > 0, "{name}");
        }
    }
}
