//! Cuts the copyright notice with which a file begins.

use corpus::{Document, Verdict};
use memchr::memmem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Cuts comments about copyright from the top of a file.
///
/// The same few notices stand on millions of files. By default a comment goes if it stands before
/// the first line of code and speaks of copyright or a licence; shebangs, `#include`, Markdown
/// headings and comments that document the code stay.
///
/// The original (step 1 of its GitHub recipe) has both options at their other values. It looks at
/// the first block comment wherever it stands, cuts it if the word *copyright* is in it, and then
/// leaves the file alone; in a file without block comments it cuts every leading line that begins
/// with `//`, `#` or `--` or is empty: shebangs, `#include` and Markdown headings too.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CopyrightHeader {
    /// Which block comments go.
    pub block: Block,
    /// Which line comments go.
    pub leading_lines: LeadingLines,
}

/// Which block comments [`CopyrightHeader`] cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// `/* … */` and `<!-- … -->` before the first line of code, if about copyright.
    AtTheTop,
    /// The first `/* … */` of the file, if it says *copyright*. Where there is one, whatever it
    /// says, line comments stay.
    FirstAnywhere,
    /// None.
    Keep,
}

/// Which line comments [`CopyrightHeader`] cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeadingLines {
    /// Runs of comment lines before the first line of code, if about copyright.
    AboutCopyright,
    /// Every line, up to the first other one, that begins with `//`, `#` or `--` or is empty.
    AllCommentLike,
    /// None.
    Keep,
}

impl Default for CopyrightHeader {
    fn default() -> Self {
        CopyrightHeader { block: Block::AtTheTop, leading_lines: LeadingLines::AboutCopyright }
    }
}

impl Stage for CopyrightHeader {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        if let Some(text) = self.cleaned(document.text(), document.meta.path.as_deref()) {
            document.edit(text);
        }
        Verdict::Keep
    }
}

impl CopyrightHeader {
    /// The text without its header, if there was something to cut.
    fn cleaned(&self, text: &str, path: Option<&str>) -> Option<String> {
        if self.block == Block::FirstAnywhere
            && let Some((start, end)) = first_block(text)
        {
            let says = contains(&text[start..end], "copyright");
            return says.then(|| [&text[..start], &text[end..]].concat());
        }
        let walked = self.walk_header(text, path);
        if self.leading_lines != LeadingLines::AllCommentLike {
            return walked;
        }
        let code = after_comment_like_lines(walked.as_deref().unwrap_or(text));
        if code.len() == text.len() { None } else { Some(code.to_owned()) }
    }

    /// Walks over comments up to the first line of code and leaves out those about copyright.
    fn walk_header(&self, text: &str, path: Option<&str>) -> Option<String> {
        // In Markdown `#` begins a heading.
        let markdown = path.is_some_and(|path| path.ends_with(".md") || path.ends_with(".markdown"));
        let mut kept = String::new();
        let mut from = 0;
        let mut at = 0;
        loop {
            at += text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n', '\u{feff}']).len();
            let rest = &text[at..];
            let (length, cuts) = if stays(rest) {
                (line(rest), false)
            } else if let Some(length) = block(rest) {
                (length, self.block == Block::AtTheTop)
            } else {
                (run_of_line_comments(rest, markdown), self.leading_lines == LeadingLines::AboutCopyright)
            };
            if length == 0 {
                break;
            }
            if cuts && is_notice(&rest[..length]) {
                kept.push_str(&text[from..at]);
                from = at + length + blank(&rest[length..]);
            }
            at += length;
        }
        if from == 0 {
            return None;
        }
        kept.push_str(&text[from..]);
        Some(kept)
    }
}

/// The first `/* … */`, as `/\*[^*]*\*+(?:[^/*][^*]*\*+)*/` finds it: where the first `/*` is not
/// closed, no later one can be, so two searches do and no text makes them slow.
fn first_block(text: &str) -> Option<(usize, usize)> {
    let start = memmem::find(text.as_bytes(), b"/*")?;
    let end = memmem::find(&text.as_bytes()[start + 2..], b"*/")?;
    Some((start, start + 2 + end + 2))
}

/// What follows the leading lines that look like comments; lines end at `\n` alone.
fn after_comment_like_lines(text: &str) -> &str {
    let mut rest = text;
    loop {
        let (line, next) = match rest.split_once('\n') {
            Some((line, next)) => (line, next),
            None => (rest, ""),
        };
        let goes = line.is_empty() || ["//", "#", "--"].iter().any(|mark| line.starts_with(mark));
        if !goes || rest.is_empty() {
            return rest;
        }
        rest = next;
    }
}

/// Bytes of the first line, with its end.
fn line(text: &str) -> usize {
    memchr::memchr(b'\n', text.as_bytes()).map_or(text.len(), |end| end + 1)
}

/// Bytes of white space up to the next line that has something on it. Where code follows on the
/// same line, that is up to the code.
fn blank(text: &str) -> usize {
    let next = text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len();
    text[..next].rfind('\n').map_or(next, |end| end + 1)
}

/// First lines that are code although they look like comments, or that must come before them.
fn stays(text: &str) -> bool {
    ["#!", "<?xml", "<?php", "# -*-", "# coding", "# vim:", "<!DOCTYPE", "<!doctype"]
        .iter()
        .any(|mark| text.starts_with(mark))
}

/// Bytes of a block comment at the start.
fn block(text: &str) -> Option<usize> {
    let (open, close) = [("/*", "*/"), ("<!--", "-->")].into_iter().find(|(open, _)| text.starts_with(open))?;
    let end = memmem::find(&text.as_bytes()[open.len()..], close.as_bytes())?;
    Some(open.len() + end + close.len())
}

/// Bytes of the lines at the start that are comments with the same mark.
fn run_of_line_comments(text: &str, markdown: bool) -> usize {
    let marks: &[&str] = if markdown { &[] } else { &["//", "#", "--", ";", "%"] };
    let Some(mark) = marks.iter().find(|mark| text.starts_with(**mark)) else { return 0 };
    let mut end = 0;
    while end < text.len() {
        let rest = text[end..].trim_start_matches([' ', '\t']);
        let Some(comment) = rest.strip_prefix(mark) else { break };
        // `#include`, `#[derive]` and `--flag` are code; `///` and `//!` document it.
        let mark_stands_alone = match *mark {
            "//" => !comment.starts_with(['/', '!']) || comment.starts_with("//"),
            _ => comment
                .chars()
                .next()
                .is_none_or(|next| next.is_whitespace() || !next.is_alphanumeric() && next != '[' && next != '!'),
        };
        if !mark_stands_alone {
            break;
        }
        end = text.len() - rest.len() + line(rest);
    }
    end
}

/// Whether a comment speaks of copyright or grants a licence.
fn is_notice(comment: &str) -> bool {
    const PHRASES: [&str; 9] = [
        "copyright",
        "all rights reserved",
        "spdx-license",
        "licensed under",
        "under the terms of",
        "mit license", //
        "apache license",
        "bsd license",
        "public license",
    ];
    PHRASES.iter().any(|phrase| contains(comment, phrase)) || comment.contains('©')
}

/// Whether a text has a phrase in it, given in lower case, in upper or lower case.
fn contains(text: &str, phrase: &str) -> bool {
    let (Some(&first), length) = (phrase.as_bytes().first(), phrase.len()) else { return true };
    let bytes = text.as_bytes();
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), bytes)
        .any(|at| bytes.get(at..at + length).is_some_and(|here| here.eq_ignore_ascii_case(phrase.as_bytes())))
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::{at, edited, edited_with};

    const ORIGINAL: &str = "copyright_header: { block: first_anywhere, leading_lines: all_comment_like }";

    #[test]
    fn notices_at_the_top_go() {
        let cut = |text, becomes| edited("copyright_header: {}", text, becomes);
        cut("/* Copyright 2020 A */\n\nint a;\n", "int a;\n");
        cut("// Copyright A\n// all of it\n\nint a;\n", "int a;\n");
        cut("<!-- Licensed under MIT -->\n<p>\n", "<p>\n");
        cut("/* © A */ int a;", "int a;");
        cut("-- SPDX-License-Identifier: MIT\nSELECT 1;", "SELECT 1;");
    }

    #[test]
    fn what_is_no_notice_stays() {
        let cut = |text, becomes| edited("copyright_header: {}", text, becomes);
        cut("#!/bin/sh\n# Copyright A\nls\n", "#!/bin/sh\nls\n");
        cut("<?php\n/* Copyright A */\n\nf();\n", "<?php\nf();\n");
        cut("#include <a.h>\n", "#include <a.h>\n");
        cut("// Adds.\nint a;\n", "// Adds.\nint a;\n");
        cut("//! Parses the copyright line.\n", "//! Parses the copyright line.\n");
        cut("int a;\n/* Copyright A */\n", "int a;\n/* Copyright A */\n");
        cut("// Adds.\n\n/* Copyright A */\n\nint a;", "// Adds.\n\nint a;");
        cut("/* Copyright, and never closed", "/* Copyright, and never closed");
        cut("", "");
    }

    #[test]
    fn a_heading_is_no_comment() {
        let markdown = "# Copyright\n\nIs for authors.\n";
        edited_with("copyright_header: {}", markdown, at("README.md"), markdown);
    }

    #[test]
    fn the_original_cuts_the_first_block_anywhere() {
        edited(ORIGINAL, "int a;\n/* COPYRIGHT */\nint b;", "int a;\n\nint b;");
        edited(ORIGINAL, "/***Copyright***/a", "a");
        edited(ORIGINAL, "/* a */\n/* copyright */", "/* a */\n/* copyright */");
        edited(ORIGINAL, "// b\n/* a */", "// b\n/* a */");
        edited(ORIGINAL, "/*/ copyright /*/", "");
    }

    #[test]
    fn the_original_cuts_every_leading_line_that_looks_like_a_comment() {
        edited(ORIGINAL, "#!/bin/sh\n\n#include\n--x\n a\n# b\n", " a\n# b\n");
        edited(ORIGINAL, "# Title\n\n# Part\n", "");
        edited(ORIGINAL, "\r\n// a\nb", "\r\n// a\nb");
        edited(ORIGINAL, "# a /* b\nc", "c");
    }

    #[test]
    fn no_text_is_slow() {
        for text in
            ["/*".repeat(1 << 20), "/* c ".repeat(1 << 19), "// copyrigh\n".repeat(1 << 17), "*/".repeat(1 << 20)]
        {
            edited("copyright_header: {}", &text, &text);
            let cut = if text.starts_with("//") { "" } else { &text };
            edited(ORIGINAL, &text, cut);
        }
    }
}
