//! Comments, as TeX sees them.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

use super::{blanks, ends_in_word, environment, group, is_verbatim, verb, word};

/// Bytes within which an address ends.
const ADDRESS: usize = 4096;

/// The text of a file without what TeX never reads: comments, `comment` environments, what
/// `\iffalse` switches off, and all behind `\endinput` or `\end{document}`. Line ends become line
/// feeds.
///
/// A `%` is a comment unless a backslash is before it, or it stands in `\verb`, in an environment
/// like `verbatim`, or in an address. A line with nothing but a comment goes as a whole. A comment
/// behind a word takes its line's end with it, as in TeX, so that macros which were broken into
/// lines with `%` become whole again; behind white space, a closing brace or a control word the line's end
/// stays, where TeX sees the same or nearly so.
pub(crate) fn without_comments(text: &str) -> String {
    let text = line_feeds(text);
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    let mut may_end = true;
    while let Some(found) = memchr2(b'%', b'\\', &bytes[at..]) {
        let start = at + found;
        if bytes[start] == b'%' {
            out.push_str(&text[copied..start]);
            at = comment(&text, start, &mut out);
            copied = at;
            continue;
        }
        let length = word(&bytes[start + 1..]);
        if length == 0 {
            // `\%` and `\\`: what a backslash is before.
            at = (start + 2).min(bytes.len());
            continue;
        }
        let name = &bytes[start + 1..start + 1 + length];
        at = start + 1 + length;
        let rest = &bytes[at..];
        match name {
            b"verb" | b"lstinline" => at += verb(rest).unwrap_or(0),
            b"url" | b"href" | b"path" | b"nolinkurl" => {
                let line = &rest[..rest.len().min(ADDRESS)];
                let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
                at += group(line, b'{', b'}', ADDRESS).unwrap_or(0);
            }
            b"begin" => match environment(rest) {
                Some(name) if is_verbatim(name) || name == b"comment" => {
                    let ends = memmem::find(rest, &[b"\\end{", name, b"}"].concat());
                    let end = at + ends.map_or(rest.len(), |end| end + b"\\end{}".len() + name.len());
                    at = end;
                    if name == b"comment" {
                        out.push_str(&text[copied..start]);
                        copied = end;
                    }
                }
                _ => {}
            },
            b"iffalse" if may_end => match end_of_condition(bytes, at) {
                Some(end) => {
                    out.push_str(&text[copied..start]);
                    (copied, at) = (end, end);
                }
                // Whatever follows will not end either.
                None => may_end = false,
            },
            b"endinput" => {
                out.push_str(&text[copied..start]);
                return out;
            }
            b"end" if environment(rest) == Some(b"document") => {
                out.push_str(&text[copied..at]);
                out.push_str("{document}");
                return out;
            }
            _ => {}
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// Old Macs end lines with a carriage return alone.
fn line_feeds(text: &str) -> Cow<'_, str> {
    if memchr(b'\r', text.as_bytes()).is_none() {
        return text.into();
    }
    text.replace("\r\n", "\n").replace('\r', "\n").into()
}

/// Leaves out a comment; `out` ends where it begins. Returns where the text goes on.
fn comment(text: &str, start: usize, out: &mut String) -> usize {
    let bytes = text.as_bytes();
    let Some(line) = memchr(b'\n', &bytes[start..]) else {
        out.truncate(out.trim_end_matches([' ', '\t']).len());
        return bytes.len();
    };
    let end = start + line;
    let before = out.trim_end_matches([' ', '\t']).len();
    if before == 0 || out.as_bytes()[before - 1] == b'\n' {
        out.truncate(before);
        return end + 1;
    }
    let spaced = before < out.len();
    out.truncate(before);
    let next = end + 1 + bytes[end + 1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let blank = bytes.get(next).is_none_or(|byte| *byte == b'\n');
    let closes = out.ends_with(['}', ']', '\\']);
    if spaced || blank || closes || ends_in_word(out.as_bytes()) {
        return end;
    }
    next
}

/// Behind the `\fi` that ends a condition, or its `\else`.
fn end_of_condition(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 1);
    while let Some(found) = memchr(b'\\', &bytes[at..]) {
        let start = at + found + 1;
        let length = word(&bytes[start..]);
        at = (start + length.max(1)).min(bytes.len());
        match &bytes[start..start + length] {
            b"fi" => depth -= 1,
            b"else" if depth == 1 => depth = 0,
            // `\iff` is an arrow.
            name if name.starts_with(b"if") && name != b"iff" => depth += 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + blanks(&bytes[at..]).min(1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, becomes: &str) {
        assert_eq!(without_comments(text), becomes, "{text:?}");
    }

    #[test]
    fn comments_go_and_percentages_stay() {
        check("a % note\nb", "a\nb");
        check("90\\% of % note\nb", "90\\% of\nb");
        check("a\\\\% note\nb", "a\\\\\nb");
        check("one\n  % note\n% more\ntwo", "one\ntwo");
        check("one\n%\n\ntwo", "one\n\ntwo");
        check("wo%\n  rd", "word");
        check("end%\n\nnext", "end\n\nnext");
        check("\\centering% note\nb", "\\centering\nb");
        check("\\label{a}% note\nb", "\\label{a}\nb");
        check("{%\n  a%\n}", "{a}");
        check("a%", "a");
        check("a % b", "a");
        check("%", "");
        check("", "");
    }

    #[test]
    fn verbatim_keeps_its_comments() {
        for kept in [
            "\\verb|%|x",
            "\\verb*+a%b+",
            "\\begin{verbatim}\n% a\n\\end{verbatim}\n",
            "\\begin{lstlisting}[language=C]\nprintf(\"%d\");\n\\end{lstlisting}",
            "\\begin{verbatim}\n% never ends",
            "\\url{http://a.example/%7Eb}",
            "\\href{http://a.example/%7Eb}{b}",
        ] {
            check(kept, kept);
        }
        check("\\verb|a\n% b\n|", "\\verb|a\n|");
        check("\\url{a\n% b\n}", "\\url{a\n}");
    }

    #[test]
    fn what_tex_never_reads_goes() {
        check("a\\begin{comment}\nb\n\\end{comment}c", "ac");
        check("a\\iffalse b \\ifx c\\fi d\\fi e", "ae");
        check("a\\iffalse b \\iff c", "a\\iffalse b \\iff c");
        check("a\\iffalse b\\else c\\fi", "ac\\fi");
        check("a\n\\endinput\nb", "a\n");
        check("a\n\\end{document}\nb", "a\n\\end{document}");
        check("a\r\nb\rc", "a\nb\nc");
    }
}
