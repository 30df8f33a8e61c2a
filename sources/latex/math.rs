//! `\ensuremath`, which authors' macros leave behind: what it ensures is written out.

use memchr::memmem;

use super::{ends_in_word, environment, is_verbatim, verb, word};

/// Environments that are mathematics.
const ENVIRONMENTS: [&[u8]; 13] = [
    b"equation",
    b"align",
    b"alignat",
    b"flalign",
    b"eqnarray",
    b"gather",
    b"multline",
    b"displaymath",
    b"math",
    b"dmath",
    b"subeqnarray",
    b"IEEEeqnarray",
    b"xalignat",
];

/// A group in which something is otherwise than around it.
struct Group {
    /// How many braces were open before it.
    depth: usize,
    /// What stands in the place of its closing brace.
    closing: &'static str,
    math: bool,
}

/// Writes `\ensuremath{x}` as `$x$` in text and as `x` in mathematics, so that one formula looks the
/// same in all papers.
pub(crate) fn written_out(text: String) -> String {
    if memmem::find(text.as_bytes(), b"\\ensuremath").is_none() {
        return text;
    }
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut groups: Vec<Group> = Vec::new();
    let (mut math, mut depth) = (false, 0_usize);
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if let Some(group) = groups.pop_if(|group| group.depth == depth) {
                    out.push_str(&text[copied..at - 1]);
                    out.push_str(group.closing);
                    math = group.math;
                    copied = at;
                    let next = bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
                    if group.closing.is_empty() && next && ends_in_word(out.as_bytes()) {
                        out.push(' ');
                    }
                }
            }
            b'$' => {
                at += usize::from(bytes.get(at) == Some(&b'$'));
                math = !math;
            }
            // No formula in a line goes on behind an empty one.
            b'\n' if bytes.get(at) == Some(&b'\n') && groups.is_empty() => math = false,
            b'\\' => {
                let length = word(&bytes[at..]);
                let name = &bytes[at..at + length];
                if length == 0 {
                    match bytes.get(at) {
                        Some(b'(' | b'[') => math = true,
                        Some(b')' | b']') => math = false,
                        _ => {}
                    }
                    at += 1;
                    continue;
                }
                let start = at - 1;
                at += length;
                match name {
                    b"verb" => at += verb(&bytes[at..]).unwrap_or(0),
                    b"begin" | b"end" => {
                        let Some(environment) = environment(&bytes[at..]) else { continue };
                        let plain = environment.strip_suffix(b"*").unwrap_or(environment);
                        if ENVIRONMENTS.contains(&plain) {
                            math = name == b"begin";
                        } else if name == b"begin" && is_verbatim(environment) {
                            let ends = memmem::find(&bytes[at..], &[b"\\end{", environment, b"}"].concat());
                            at = ends.map_or(bytes.len(), |end| at + end);
                        }
                    }
                    b"text" | b"mbox" | b"textrm" | b"textit" | b"textbf" | b"hbox" | b"intertext" | b"textnormal"
                        if math && bytes.get(at) == Some(&b'{') =>
                    {
                        groups.push(Group { depth, closing: "}", math });
                        (math, depth, at) = (false, depth + 1, at + 1);
                    }
                    b"ensuremath" if bytes.get(at) == Some(&b'{') => {
                        out.push_str(&text[copied..start]);
                        at += 1;
                        copied = at;
                        let before = out.trim_end_matches(' ');
                        let argument = before.ends_with(['^', '_']) || ends_in_word(before.as_bytes());
                        let closing = match (math, argument) {
                            (false, _) => "$",
                            (true, true) => "}",
                            (true, false) => "",
                        };
                        out.push_str(if closing == "}" { "{" } else { closing });
                        groups.push(Group { depth, closing, math });
                        (math, depth) = (true, depth + 1);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    out.push_str(&text[copied.min(text.len())..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, becomes: &str) {
        assert_eq!(written_out(text.into()), becomes, "{text:?}");
    }

    #[test]
    fn mathematics_is_ensured() {
        check("the \\ensuremath{\\alpha}\\ ray", "the $\\alpha$\\ ray");
        check("$p(\\ensuremath{D}|\\ensuremath{\\Theta}x)$", "$p(D|\\Theta x)$");
        check("\\ensuremath{p(\\ensuremath{D})}", "$p(D)$");
        check(
            "\\begin{align*}\\ensuremath{x^{2}} \\text{of \\ensuremath{y}}\\end{align*} \\ensuremath{z}",
            "\\begin{align*}x^{2} \\text{of $y$}\\end{align*} $z$",
        );
        check("$x^\\ensuremath{ab} \\hat\\ensuremath{c}$", "$x^{ab} \\hat{c}$");
        check("\\[\\ensuremath{x}\\] costs \\$5 \\ensuremath{y}", "\\[x\\] costs \\$5 $y$");
        check("\\verb|$|\\ensuremath{y} \\ensuremath y", "\\verb|$|$y$ \\ensuremath y");
        check("$ lost\n\n\\ensuremath{y", "$ lost\n\n$y");
        check("} \\ensuremath{\\}é}}", "} $\\}é$}");
    }
}
