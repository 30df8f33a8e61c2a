//! As the original's script found them: by line, on XML as it stands in the file.

use std::io::{self, BufRead};

/// Gives every address of a dump, as often as it is cited.
///
/// Its pattern looks for `&lt;ref&gt`, which also the plain closing of a tag has behind it, and
/// takes all up to the last `&lt;/ref&gt;` of the line: references with attributes and those over
/// several lines are missed, all between two of a line is taken, and an address ends at the `;` of
/// `&amp;`.
pub fn each(mut read: impl BufRead, take: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if read.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if let Some(range) = reference(&line) {
            urls(&String::from_utf8_lossy(&line[range]), take);
        }
    }
}

fn reference(line: &[u8]) -> Option<std::ops::Range<usize>> {
    let (open, close) = (&b"&lt;ref&gt"[..], &b"&lt;/ref&gt;"[..]);
    let from = memchr::memmem::find(line, open)? + open.len();
    let until = from + memchr::memmem::rfind(&line[from..], close)?;
    Some(from..until)
}

/// Schemes that its pattern knows.
const SCHEMES: [&str; 7] = ["https:", "http:", "telnet:", "gopher:", "file:", "wais:", "ftp:"];

/// Signs of an address: letters and digits of all languages, `_`, and these.
fn is_of_it(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || "/#~:.?+=&%@!-".contains(character)
}

fn urls(text: &str, take: &mut dyn FnMut(&str)) {
    let mut at = 0;
    while let Some(colon) = text[at..].find(':').map(|colon| at + colon) {
        let after = colon + 1;
        let scheme = SCHEMES.iter().find(|scheme| {
            let begin = after.checked_sub(scheme.len()).filter(|begin| *begin >= at && text.is_char_boundary(*begin));
            begin.is_some_and(|begin| {
                let before = text[..begin].chars().next_back();
                text[begin..after] == ***scheme && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        });
        let rest = &text[after..];
        let whole = rest.find(|character| !is_of_it(character)).unwrap_or(rest.len());
        let (Some(scheme), true) = (scheme, whole > 0) else {
            at = after;
            continue;
        };
        // What ends a sentence is left out, unless it is all that there is.
        let kept = rest[..whole].trim_end_matches(['.', ':', '?', '-']).len();
        let kept = if kept == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { kept };
        let end = after + kept;
        take(&text[after - scheme.len()..end]);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn cites(dump: &str, expected: &[&str]) {
        let mut seen = Vec::new();
        super::each(dump.as_bytes(), &mut |url| seen.push(url.to_owned())).unwrap();
        assert_eq!(seen, expected, "{dump}");
    }

    #[test]
    fn references_of_a_line_are_read_as_the_original_read_them() {
        cites("a&lt;ref&gt;see http://a.example/b.&lt;/ref&gt;", &["http://a.example/b"]);
        // With an attribute or over two lines it is missed.
        cites("&lt;ref name=x&gt;http://a.example/b&lt;/ref&gt;", &[]);
        cites("&lt;ref&gt;http://a.example/b\n&lt;/ref&gt;", &[]);
        // All between two is taken, and of `&amp;` the `;` ends an address.
        cites(
            "&lt;ref&gt;x&lt;/ref&gt; http://b.example &lt;ref&gt;ftp://c.example/?a=1&amp;b=2&lt;/ref&gt;",
            &["http://b.example", "ftp://c.example/?a=1&amp"],
        );
        cites(
            "&lt;ref&gt;xhttp://a.example http:. mailto:a https://d.example/é)&lt;/ref&gt;",
            &["http:.", "https://d.example/é"],
        );
    }
}
