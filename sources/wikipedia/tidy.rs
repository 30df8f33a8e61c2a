//! Text without what markup leaves behind where it went.

use super::markup::is_space;

/// Stands before each mark of a list's line, in text that is not tidy yet.
pub(super) const MARK: char = '\u{1}';

/// Around what stays as it is, such as code.
pub(super) const VERBATIM: char = '\u{2}';
pub(super) const VERBATIM_ENDS: char = '\u{3}';

/// What is done with a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tidying {
    /// Items of lists begin with `- ` or a number.
    pub lists: bool,
    /// Empty brackets, spaces and behaviour switches go.
    pub leftovers: bool,
}

/// Makes a text readable, line by line.
pub(super) fn tidy(text: &str, tidying: Tidying) -> String {
    let taken;
    let text = match tidying.leftovers {
        true => {
            taken = without_blocks(text);
            taken.as_str()
        }
        false => text,
    };
    let mut out = String::with_capacity(text.len());
    // Lines of terms that nothing has followed yet, as headings of references that went.
    let mut terms: Vec<String> = Vec::new();
    // How many items each level of a numbered list has had.
    let mut numbers: Vec<u32> = Vec::new();
    // The levels of the list that one is in.
    let mut levels: Vec<usize> = Vec::new();
    let mut blank = 0;
    let mut verbatim = false;
    for line in text.split('\n') {
        let begins = line.strip_prefix(VERBATIM);
        if verbatim || begins.is_some() {
            let line = begins.unwrap_or(line);
            let ends = line.find(VERBATIM_ENDS);
            verbatim = ends.is_none();
            out.push_str(if out.is_empty() { "" } else { "\n" });
            out.push_str(&line[..ends.unwrap_or(line.len())]);
            blank = 0;
            continue;
        }
        let (marks, words) = marks_of(line);
        let words = match tidying.leftovers {
            true => without_leftovers(words),
            false => words.replace(MARK, ""),
        };
        let mut words = words.trim_matches(|last| is_space(last) && tidying.lists | tidying.leftovers);
        if tidying.lists && !marks.is_empty() {
            // `- – a site` has lost a flag before its dash.
            words = words.strip_prefix(['-', '–', '—']).filter(|rest| rest.starts_with(' ')).unwrap_or(words).trim();
        }
        let says = |letter: char| letter.is_alphanumeric() || tidying.lists && marks.is_empty() && !is_space(letter);
        if !words.contains(says) {
            // An item of which nothing is left is no blank line either.
            blank += u32::from(marks.is_empty());
            continue;
        }
        if tidying.lists && marks.last() == Some(&b';') {
            terms.push(words.to_owned());
            continue;
        }
        for term in terms.drain(..) {
            if !out.is_empty() {
                out.push_str(if blank > 0 { "\n\n" } else { "\n" });
            }
            out.push_str(&term);
            blank = 0;
        }
        if !out.is_empty() {
            out.push('\n');
            if blank > 0 {
                out.push('\n');
            }
        }
        blank = 0;
        if marks.is_empty() {
            levels.clear();
        }
        numbers.truncate(marks.len());
        numbers.resize(marks.len(), 0);
        if tidying.lists
            && let Some(last) = marks.last()
        {
            // `:` indents what is no list, too; and a list may begin with `**`.
            let depth = marks.iter().filter(|mark| matches!(mark, b'*' | b'#')).count();
            levels.retain(|level| *level <= depth);
            if depth > 0 && levels.last() != Some(&depth) {
                levels.push(depth);
            }
            out.push_str(&"  ".repeat(levels.len().saturating_sub(1)));
            match last {
                b'*' => out.push_str("- "),
                b'#' => {
                    if let Some(number) = numbers.last_mut() {
                        *number += 1;
                        out.push_str(&format!("{number}. "));
                    }
                }
                _ => {}
            }
        }
        out.push_str(words);
    }
    out
}

/// The marks at the beginning of a line, and what follows.
fn marks_of(line: &str) -> (Vec<u8>, &str) {
    let mut marks = Vec::new();
    let mut rest = line;
    while let Some(after) = rest.strip_prefix(MARK) {
        let Some(mark) = after.bytes().next() else { break };
        if !mark.is_ascii() || marks.len() == 32 {
            break;
        }
        marks.push(mark);
        rest = &after[1..];
    }
    (marks, rest)
}

/// A line without empty brackets, superfluous spaces and behaviour switches.
fn without_leftovers(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut characters = line.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            // `; term : explanation`
            MARK => {
                let colon = characters.next_if(|(_, mark)| *mark == ':').is_some();
                while out.ends_with(' ') {
                    out.pop();
                }
                out.push_str(if colon { ": " } else { " " });
            }
            '_' if line[at..].starts_with("__") => match switch(&line[at..]) {
                Some(length) => while characters.next_if(|(next, _)| *next < at + length).is_some() {},
                None => out.push('_'),
            },
            ' ' | '\t' | '\u{a0}' => {
                if !out.ends_with([' ', '\u{a0}', '(']) && !out.is_empty() {
                    out.push(if character == '\t' { ' ' } else { character });
                }
            }
            ',' | '.' if out.ends_with(' ') => {
                // `about 12 , then` has lost something; `.5` and `.NET` have not.
                let ends = line[at + 1..].chars().next().is_none_or(|next| is_space(next) || next == ')');
                if ends {
                    out.pop();
                }
                // `2013, {{ISBN|…}}.`
                if ends && character == '.' && out.ends_with(',') {
                    out.pop();
                }
                out.push(character);
            }
            '.' if out.ends_with(',') => {
                out.pop();
                out.push('.');
            }
            ',' | ';' if out.ends_with('(') => {}
            '\'' => {
                // Marks of bold and italics that have no counterpart: `l'''Ost` is `l'` and italics.
                let mut quotes = 1;
                while characters.next_if(|(_, next)| *next == '\'').is_some() {
                    quotes += 1;
                }
                let within = out.ends_with(char::is_alphanumeric)
                    && characters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
                let inches = quotes == 2 && out.ends_with(|last: char| last.is_numeric());
                out.push_str(match quotes {
                    1 => "'",
                    3 if within => "'",
                    2 if inches => "''",
                    _ => "",
                });
            }
            ')' => {
                while out.ends_with([' ', ',', ';']) {
                    out.pop();
                }
                match out.ends_with('(') {
                    true => {
                        out.pop();
                        // `f()` is a function, `word ()` has lost its pronunciation.
                        if !out.ends_with(' ') && line[..at].ends_with('(') {
                            out.push_str("()");
                        } else if out.ends_with(' ') {
                            out.pop();
                        }
                    }
                    false => out.push(')'),
                }
            }
            other => out.push(other),
        }
    }
    out
}

/// The longest template or table that is taken out whole where it could not be told apart.
const LONGEST_BLOCK: usize = 64 << 10;

/// A text without templates, tables and files that are still in it, because something within them was
/// never closed: from `{{` and a letter, `{|` at the beginning of a line, or `[[`, to its counterpart.
fn without_blocks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    // What has no counterpart is not looked for again.
    let mut hopeless = [0; 3];
    while let Some(found) = memchr::memchr3(b'{', b'[', VERBATIM as u8, &bytes[at..]) {
        at += found;
        if bytes[at] == VERBATIM as u8 {
            at += text[at..].find(VERBATIM_ENDS).unwrap_or(text.len() - at);
            continue;
        }
        let line_start = text[..at].trim_end_matches(' ').ends_with('\n') || text[..at].trim().is_empty();
        let tex = at > 0 && b"$^_}\\".contains(&bytes[at - 1]);
        let (open, close, kind) = match &bytes[at..] {
            [b'[', b'[', rest @ ..] if leads_elsewhere(rest) => (*b"[[", *b"]]", 2),
            [b'{', b'{', b'{', ..] => {
                at += 3;
                continue;
            }
            [b'{', b'{', letter, ..] if !letter.is_ascii_punctuation() && !tex => (*b"{{", *b"}}", 0),
            [b'{', b'|', ..] if line_start => (*b"{|", *b"|}", 1),
            _ => {
                at += 1;
                continue;
            }
        };
        let end = match at < hopeless[kind] {
            true => None,
            false => block_end(&bytes[at..bytes.len().min(at + LONGEST_BLOCK)], open, close),
        };
        match end {
            Some(length) => {
                out.push_str(&text[from..at]);
                at += length;
                from = at;
            }
            None => {
                hopeless[kind] = at + LONGEST_BLOCK / 2;
                at += 2;
            }
        }
    }
    out.push_str(&text[from..]);
    out
}

/// Whether a link that could not be told apart has a prefix and more than one part: a file's.
fn leads_elsewhere(link: &[u8]) -> bool {
    let start = &link[..link.len().min(256)];
    let bar = start.iter().position(|byte| matches!(byte, b'|' | b']' | b'\n')).unwrap_or(start.len());
    start.get(bar) == Some(&b'|') && start[..bar].contains(&b':')
}

/// The length of `{{ … }}`, `{| … |}` or `[[ … ]]`, with others of its kind in it.
fn block_end(block: &[u8], open: [u8; 2], close: [u8; 2]) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at + 1 < block.len() {
        if block[at..at + 2] == open {
            depth += 1;
            at += 2;
        } else if block[at..at + 2] == close {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// The length of a behaviour switch such as `__NOTOC__` or `__БЕЗ_ОГЛ__`.
fn switch(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("__")?;
    let end = inner.find("__").filter(|end| (1..64).contains(end))?;
    let capitals = |letter: char| letter == '_' || (letter.is_alphabetic() && !letter.is_lowercase());
    inner[..end].chars().all(capitals).then_some(end + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, tidied: &str) {
        assert_eq!(tidy(&text.replace('^', "\u{1}"), Tidying { lists: true, leftovers: true }), tidied);
    }

    #[test]
    fn leftovers_go() {
        check("Berlin (; ) is about  west", "Berlin is about west");
        check("Tidemouth (; , in 1286)", "Tidemouth (in 1286)");
        check("f() and g(x) (see )", "f() and g(x) (see)");
        check("an area of , and .5 of .NET .", "an area of, and .5 of .NET.");
        check("__NOTOC__a__БЕЗ_ОГЛ__ __init__ ____ b", "a __init__ ____ b");
        check("a\n \n\n\nb\n", "a\n\nb");
        check("rund \u{a0} Millionen, 2013,.", "rund Millionen, 2013.");
        check("{{Infobox|a={{b}}\n| c = }}\na {{{d}}} ${{e|f}}$ {{g", "a {{{d}}} ${{e|f}}$ {{g");
        check("a\n{|\n| b {|\n|}\n|}\nc {| d", "a\n\nc {| d");
        check("a\n[[File:b|thumb|c]] [[d|e]] [[f", "a\n[[d|e]] [[f");
        check("l'''Ost, 3'''b'' 6'', ''c it's", "l'Ost, 3'b 6'', c it's");
    }

    #[test]
    fn code_stays_as_it_is() {
        let text = "a\n\u{2}if  x ():\n    f( )\u{3}\n\nb";
        assert_eq!(tidy(text, Tidying { lists: true, leftovers: true }), "a\nif  x ():\n    f( )\n\nb");
    }

    #[test]
    fn lists_are_lists() {
        check("a\n^* b\n^*^* c\n^*  \n^# d\n^# e\nf", "a\n- b\n  - c\n1. d\n2. e\nf");
        check("^; term ^: what it means\n^: more", "term: what it means\nmore");
        check("a\n^*^* b\n^*^*^*^* c\n^*^* d\n^* e\nf\n^:^* g", "a\n- b\n  - c\n- d\n- e\nf\n- g");
        check("a\n^; Footnotes\n\n^; Sources\n^* b\n^* .\n^* – c\n^; Notes\n", "a\n\nFootnotes\nSources\n- b\n- c");
    }
}
