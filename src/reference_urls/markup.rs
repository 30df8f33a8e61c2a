//! What articles cite: addresses in `<ref>`, whatever its attributes, and the `url` of templates of
//! citation.

use std::io::{self, Read};

use super::between;

/// Gives every address of the articles of a dump, as often as it is cited.
pub fn each(read: impl Read, take: &mut dyn FnMut(&str)) -> io::Result<()> {
    between(read, b"<page>", b"</page>", &mut |page| {
        let namespace = between_one(page, b"<ns>", b"</ns>");
        if namespace.is_some_and(|namespace| namespace != b"0") {
            return;
        }
        let Some(text) = memchr::memmem::find(page, b"<text") else { return };
        let text = &page[text..];
        let Some(begin) = memchr::memchr(b'>', text) else { return };
        let text = &text[begin + 1..];
        let end = memchr::memmem::find(text, b"</text>").unwrap_or(text.len());
        wikitext(&unescaped(&String::from_utf8_lossy(&text[..end])), take);
    })
}

fn between_one<'p>(page: &'p [u8], from: &[u8], until: &[u8]) -> Option<&'p [u8]> {
    let begin = memchr::memmem::find(page, from)? + from.len();
    Some(&page[begin..begin + memchr::memmem::find(&page[begin..], until)?])
}

/// XML's own five names; what is left is text.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#039;", "'").replace("&amp;", "&")
}

fn wikitext(text: &str, take: &mut dyn FnMut(&str)) {
    // MediaWiki shows no comments.
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find("<!--") {
        plain.push_str(&rest[..begin]);
        rest = rest[begin..].find("-->").map_or("", |end| &rest[begin + end + 3..]);
    }
    plain.push_str(rest);
    let mut outside = String::new();
    let mut rest = plain.as_str();
    while let Some(begin) = reference(rest) {
        outside.push_str(&rest[..begin]);
        let tag = &rest[begin..];
        let Some(end) = tag.find('>') else { break };
        let inside = &tag[end + 1..];
        rest = inside;
        if tag[..end].ends_with('/') {
            continue;
        }
        let length = inside.find("</ref").unwrap_or(0);
        urls(&inside[..length], take);
        rest = &inside[length..];
    }
    outside.push_str(rest);
    // Lists of literature have templates without `<ref>`.
    for template in outside.split("{{").skip(1) {
        let name = template.trim_start().to_lowercase();
        if name.starts_with("cite") || name.starts_with("citation") {
            urls(template.split("}}").next().unwrap_or_default(), take);
        }
    }
}

/// Where the next `<ref>` or `<ref name=…>` begins, and no `<references/>`.
fn reference(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let begin = from + text[from..].find("<ref")?;
        if text[begin + 4..].starts_with(['>', ' ', '/', '\t', '\n']) {
            return Some(begin);
        }
        from = begin + 4;
    }
}

/// The addresses of a reference, but for copies in archives: `archive-url=` names another page than
/// the one that is cited.
fn urls(text: &str, take: &mut dyn FnMut(&str)) {
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at) {
        from = at + 3;
        let scheme = ["https", "http"].into_iter().find(|scheme| {
            let begin = at.checked_sub(scheme.len());
            begin.is_some_and(|begin| text.is_char_boundary(begin) && text[begin..at].eq_ignore_ascii_case(scheme))
        });
        let Some(scheme) = scheme else { continue };
        let begin = at - scheme.len();
        let ends = |c: char| c.is_whitespace() || "[]<>\"|{}".contains(c);
        let length = text[begin..].find(ends).unwrap_or(text.len() - begin);
        let url = text[begin..begin + length].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'']);
        // A bracket at the end belongs to the sentence if none opens in the address.
        let url = if url.contains('(') { url } else { url.trim_end_matches(')') };
        from = from.max(begin + length);
        let before = text[..begin].trim_end();
        let parameter = before.strip_suffix('=').map(str::trim_end).unwrap_or_default();
        let parameter = parameter.rsplit('|').next().unwrap_or_default().trim().to_lowercase();
        let is_archive = parameter.contains("archive") || url.contains("://web.archive.org/web/");
        if !is_archive && url.len() > scheme.len() + 4 {
            take(url);
        }
    }
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn cites(wikitext: &str, expected: &[&str]) {
        let escaped = wikitext.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let page = |namespace| {
            format!(
                "<page>\n<title>T</title><ns>{namespace}</ns><revision><text bytes=\"9\">{escaped}</text></revision></page>"
            )
        };
        let dump = format!("<mediawiki>{}{}</mediawiki>", page(0), page(1));
        let mut seen = Vec::new();
        super::each(dump.as_bytes(), &mut |url| seen.push(url.to_owned())).unwrap();
        assert_eq!(seen, expected, "{wikitext}");
    }

    #[test]
    fn references_and_citations_of_articles_are_read() {
        cites("a<ref>http://a.example/b.</ref>", &["http://a.example/b"]);
        cites("a<ref name=\"x\" group=y>[https://a.example/b?c=1&d=2 Title]</ref>", &["https://a.example/b?c=1&d=2"]);
        cites(
            "a<ref>\n{{cite web | url = http://a.example/b\n| archive-url=https://web.archive.org/web/2/http://a.example/b }}</ref>",
            &["http://a.example/b"],
        );
        cites("* {{Citation|title=T|url=https://a.example/x_(y)}}", &["https://a.example/x_(y)"]);
        cites("a<ref name=x /> http://b.example {{Infobox|url=http://c.example}} <references/>", &[]);
        cites("a<!-- <ref>http://a.example/b</ref> --><ref>(http://a.example/c)</ref>", &["http://a.example/c"]);
        cites("<ref>http://</ref><ref>ftp://a.example</ref><ref>http://a.example/é", &[]);
    }
}
