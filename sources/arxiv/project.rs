//! Which files of a submission make its text, and how.

use std::collections::{BTreeSet, HashMap};

use corpus::{Evidence, Reason};
use memchr::memmem;

use super::submission::{HELD, Submission};
use super::{Arxiv, Begin, Comments, Encodings, End, Files, MacrosOf};
use crate::jsonl::Unfit;
use crate::latex::expand::{self, From, LONGEST_NAME, Wanted};
use crate::latex::macros::{argument, behind_star};
use crate::latex::{blanks, comments, encoding, group, original};

/// Bytes of a note that says that a paper was withdrawn.
const NOTE: usize = 4 << 10;

/// A submission's text.
pub(crate) struct Made {
    pub text: String,
    /// The file that the text begins with, if that was a choice.
    pub main: Option<String>,
    /// Encodings beside UTF-8.
    pub encodings: BTreeSet<&'static str>,
}

/// One file, decoded.
struct Decoded {
    path: String,
    text: String,
}

/// Makes the text of a submission, or says why there is none.
pub(crate) fn text(mut submission: Submission, options: &Arxiv) -> Result<Made, Unfit> {
    if options.files == Files::All {
        submission.files.retain(|file| file.path.is_empty() || file.path.ends_with(".tex"));
    }
    if submission.files.is_empty() {
        return Err(nothing(&submission));
    }
    if options.files == Files::Main && is_withdrawn(&submission) {
        return Err((Reason("withdrawn"), Evidence::None));
    }
    let (files, encodings) = decoded(&mut submission, options)?;
    let bytes = files.iter().map(|file| file.text.len()).sum::<usize>();
    let mut of_one_line = original::Macros::default();
    if options.macros == MacrosOf::OneLine {
        files.iter().for_each(|file| of_one_line.collect(&file.text));
    }
    let mut cost = original::Cost::of(bytes, HELD);
    let mut made = Made { text: String::new(), main: None, encodings };
    // The original asked for its macros' values where there was something to expand.
    let expand = |text: String, cost: &mut original::Cost| -> Result<String, Unfit> {
        if options.macros == MacrosOf::All {
            return Ok(text);
        }
        if let Some(fault) = of_one_line.fault() {
            return Err((Reason("bad_escape"), Evidence::found(fault)));
        }
        let too_much = || (Reason("too_much_expansion"), Evidence::None);
        of_one_line.expand(text, cost).ok_or_else(too_much)
    };
    match options.files {
        Files::All => {
            for (number, file) in files.iter().enumerate() {
                if number > 0 {
                    made.text.push('\n');
                }
                let Some(piece) = prepared(&file.text, options) else { continue };
                let piece = walked((number, piece), bytes, options, &mut |_, _| None);
                made.text.push_str(&expand(piece, &mut cost)?);
                if made.text.len() > HELD {
                    return Err((Reason("too_large"), Evidence::bound(made.text.len() as f64, HELD as f64)));
                }
            }
        }
        Files::Main => {
            let tree = Tree::of(files, &submission.readme, options);
            let main = (tree.files.len(), tree.begin());
            let mut inputs = |folder: &str, name: &str| {
                let number = tree.find(folder, name)?;
                Some((number, tree.files[number].text.clone()))
            };
            let main = match tree.mains[..] {
                [only] => (only, tree.files[only].text.clone()),
                _ => main,
            };
            made.main = match tree.mains[..] {
                [only] if !tree.files[only].path.is_empty() => Some(tree.files[only].path.clone()),
                _ => None,
            };
            let text = walked(main, bytes, options, &mut inputs);
            made.text = expand(text, &mut cost)?;
        }
    }
    Ok(made)
}

/// Why a submission without LaTeX has none.
fn nothing(submission: &Submission) -> Unfit {
    match submission.other.as_deref() {
        Some("pdf") => (Reason("pdf"), Evidence::found("a PDF in an archive")),
        Some("ps" | "eps") => (Reason("postscript"), Evidence::found("PostScript in an archive")),
        Some("html" | "htm") => (Reason("html"), Evidence::found("HTML in an archive")),
        Some(other) => (Reason("no_tex"), Evidence::found(format!("files such as .{other}"))),
        None => match submission.skipped.keys().next() {
            // An archive of nothing but what climbs out of it.
            Some(reason) => (Reason(reason), Evidence::found("and no file of LaTeX")),
            None => (Reason("no_tex"), Evidence::None),
        },
    }
}

/// arXiv keeps a note in the place of a paper that its authors withdrew.
fn is_withdrawn(submission: &Submission) -> bool {
    let [file] = &submission.files[..] else { return false };
    let text = file.bytes.trim_ascii().to_ascii_lowercase();
    let document = |name: &[u8]| memmem::find(&text, name).is_some();
    if text.is_empty() {
        return true;
    }
    // Authors mark files with `%auto-ignore` too, which arXiv should not take for a paper of their own.
    text.len() < NOTE && document(b"withdraw") && !document(b"\\section") && !document(b"\\begin{document}")
}

fn decoded(submission: &mut Submission, options: &Arxiv) -> Result<(Vec<Decoded>, BTreeSet<&'static str>), Unfit> {
    let mut encodings = BTreeSet::new();
    let mut files = Vec::new();
    let declared = submission.files.iter().find_map(|file| encoding::declared(&file.bytes));
    for file in std::mem::take(&mut submission.files) {
        let text = match options.encodings {
            Encodings::Any => {
                let (text, name) = encoding::decode(file.bytes, declared);
                if name != "UTF-8" {
                    encodings.insert(name);
                }
                text
            }
            Encodings::Utf8 => String::from_utf8(file.bytes)
                .map_err(|error| (Reason("not_utf8"), Evidence::found(format!("{}: {error}", file.path))))?,
        };
        files.push(Decoded { path: file.path, text });
    }
    Ok((files, encodings))
}

/// What is done to each file before anything is done to them all. Nothing if nothing of it stays.
fn prepared(text: &str, options: &Arxiv) -> Option<String> {
    let mut text = match options.comments {
        Comments::Tex => comments::without_comments(text),
        Comments::WithCharacterBefore => text.to_owned(),
    };
    if options.begin == Begin::SectionOfEachFile {
        let header = original::header(&text)?;
        text.drain(..header);
    }
    if options.comments == Comments::WithCharacterBefore {
        text = original::without_comments(&text);
    }
    if options.end == End::AppendixOfEachFile {
        original::cut_end(&mut text);
    }
    Some(text)
}

/// Walks through a text, where an option asks for it.
fn walked(main: (usize, String), bytes: usize, options: &Arxiv, inputs: &mut expand::Inputs<'_>) -> String {
    let wanted = Wanted {
        from: match options.begin {
            Begin::Title => From::Title,
            Begin::Section => From::Section,
            Begin::SectionOfEachFile => From::Start,
        },
        appendix: options.end != End::Appendix,
        drawings: !options.drop_drawings,
        expanded: options.macros == MacrosOf::All,
    };
    let as_it_is = options.files == Files::All
        && wanted.from == From::Start
        && options.end == End::AppendixOfEachFile
        && wanted.drawings
        && !wanted.expanded;
    if as_it_is { main.1 } else { expand::paper(main, bytes, wanted, inputs) }
}

/// The files of a project, and which one holds the others together.
struct Tree {
    files: Vec<Decoded>,
    /// The main file; or all that no other one inputs, where none has a `\documentclass`.
    mains: Vec<usize>,
    folder: String,
    exact: HashMap<String, usize>,
    loose: HashMap<String, usize>,
}

impl Tree {
    fn of(files: Vec<Decoded>, readme: &[u8], options: &Arxiv) -> Tree {
        let prepared = files
            .into_iter()
            .map(|file| Decoded { text: prepared(&file.text, options).unwrap_or_default(), path: file.path });
        let mut tree = Tree {
            files: prepared.collect(),
            mains: Vec::new(),
            folder: String::new(),
            exact: HashMap::new(),
            loose: HashMap::new(),
        };
        for (number, file) in tree.files.iter().enumerate() {
            // Of two files with one path the last one stays, as when an archive is unpacked.
            tree.exact.insert(file.path.clone(), number);
            tree.loose.insert(loosened(&file.path), number);
        }
        tree.mains = tree.choose(readme);
        if let [only] = tree.mains[..] {
            let path = &tree.files[only].path;
            tree.folder = path.rfind('/').map_or("", |at| &path[..at]).to_owned();
        }
        tree
    }

    /// A text that inputs all that no other file inputs.
    fn begin(&self) -> String {
        self.mains.iter().map(|main| format!("\\input{{/{}}}\n\n", self.files[*main].path)).collect()
    }

    /// The file that is meant by a name, seen from the main file's folder or from the top.
    fn find(&self, folder: &str, name: &str) -> Option<usize> {
        if let Some(path) = name.strip_prefix('/') {
            return self.exact.get(path).copied();
        }
        let below = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let places = [format!("{}/{below}", self.folder), below];
        let places = places.iter().filter_map(|place| straightened(place));
        for place in places {
            let exact = self.exact.get(&format!("{place}.tex")).or_else(|| self.exact.get(&place));
            if let Some(number) = exact.or_else(|| self.loose.get(&loosened(&place))) {
                return Some(*number);
            }
        }
        None
    }

    fn choose(&self, readme: &[u8]) -> Vec<usize> {
        if self.files.len() == 1 {
            return vec![0];
        }
        if let Some(top) = top_level(readme).and_then(|name| self.find("", &name)) {
            return vec![top];
        }
        let mut inputs: Vec<Vec<usize>> = Vec::new();
        let mut is_input = vec![false; self.files.len()];
        for (number, file) in self.files.iter().enumerate() {
            let folder = file.path.rfind('/').map_or("", |at| &file.path[..at]);
            let found =
                named_inputs(&file.text).filter_map(|name| self.find(folder, name).or_else(|| self.find("", name)));
            let found: Vec<usize> = found.filter(|input| *input != number).collect();
            found.iter().for_each(|input| is_input[*input] = true);
            inputs.push(found);
        }
        let classes: Vec<Option<&str>> = self.files.iter().map(|file| class(&file.text)).collect();
        let candidates = (0..self.files.len()).filter(|number| classes[*number].is_some()).map(|number| {
            let file = &self.files[number];
            let document = memmem::find(file.text.as_bytes(), b"\\begin{document}").is_some();
            let name = file.path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
            let likely = (
                document && !is_input[number],
                document,
                !is_aside(&file.path)
                    && !matches!(classes[number], Some("standalone" | "letter" | "beamer" | "subfiles")),
                std::cmp::Reverse(file.path.matches('/').count()),
            );
            let reach =
                file.text.len() + inputs[number].iter().map(|input| self.files[*input].text.len()).sum::<usize>();
            (likely, reach, is_usual(&name), number)
        });
        let candidates: Vec<_> = candidates.collect();
        let likeliest = candidates.iter().map(|(likely, ..)| *likely).max();
        let last = || candidates.iter().filter(|(likely, ..)| Some(*likely) == likeliest);
        let longest = last().map(|(_, reach, ..)| *reach).max().unwrap_or_default();
        // Two versions of one paper are nearly as long: the name decides.
        let best = last().max_by_key(|(_, reach, usual, number)| {
            (*usual && 2 * *reach >= longest, *reach, std::cmp::Reverse(*number))
        });
        let mut tops: Vec<usize> = (0..self.files.len()).filter(|number| !is_input[*number]).collect();
        let asides = tops.iter().filter(|top| is_aside(&self.files[**top].path)).count();
        if let Some((likely, .., best)) = best
            // Old parts that lie beside a paper without its main file are not that paper.
            && (likely.2 || asides == tops.len())
        {
            return vec![*best];
        }
        if asides < tops.len() {
            tops.retain(|top| !is_aside(&self.files[*top].path));
        }
        if tops.is_empty() {
            tops = (0..self.files.len()).collect();
        }
        // Definitions hold from where they stand, and are in files without a header.
        tops.sort_by_key(|top| (original::header(&self.files[*top].text).is_some(), *top));
        tops
    }
}

/// A path without `.` and `..`; nothing if it leaves the project.
fn straightened(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// A path for those who typed its capitals otherwise, or left its ending out.
fn loosened(path: &str) -> String {
    let path = path.to_lowercase();
    path.strip_suffix(".tex").map(str::to_owned).unwrap_or(path)
}

/// The file that `00README` names as the one to begin with: `main.tex toplevelfile`, or in JSON
/// and YAML, with which arXiv replaced that, `usage: toplevel` beside `filename: main.tex`.
fn top_level(readme: &[u8]) -> Option<String> {
    let readme = String::from_utf8_lossy(readme);
    for line in readme.lines() {
        if let Some((name, "toplevelfile")) = line.trim().rsplit_once(char::is_whitespace) {
            return Some(name.trim().to_owned());
        }
    }
    let (before, after) = readme.split_once("toplevel")?;
    let value = |text: &str| {
        let text = text.split_once("filename")?.1;
        let text = text.trim_start_matches(['"', '\'', ':', ' ']);
        Some(text.split(['"', '\'', '\n', ',', '}']).next()?.trim().to_owned())
    };
    let own = before.rfind(['{', '-']).map_or("", |at| &before[at..]);
    value(own).or_else(|| value(after)).filter(|name| !name.is_empty())
}

/// The class of a document: `article` of `\documentclass[12pt]{article}`.
fn class(text: &str) -> Option<&str> {
    let at = [&b"\\documentclass"[..], b"\\documentstyle"]
        .iter()
        .find_map(|name| memmem::find(text.as_bytes(), name).map(|at| at + name.len()))?;
    let (_, at) = crate::latex::macros::optional(text, at);
    argument(text, at).map(|(class, _)| class.trim())
}

/// Whether a path is that of what is sent along with a paper, or of what it was once.
fn is_aside(path: &str) -> bool {
    const ASIDE: [&str; 17] = [
        "supp", "respon", "referee", "review", "rebuttal", "cover", "reply", "diff", "letter", "poster", "slides",
        "minted", "append", "old", "obsolete", "backup", "trash",
    ];
    let path = path.to_ascii_lowercase();
    let mut words = path.split(|c: char| !c.is_ascii_alphabetic());
    path.starts_with('.') || path.contains("/.") || words.any(|word| ASIDE.iter().any(|aside| word.starts_with(aside)))
}

/// Names that papers usually have.
fn is_usual(name: &str) -> bool {
    ["ms", "main", "paper", "article", "manuscript", "root"].iter().any(|usual| name.starts_with(usual))
}

/// What a text inputs.
fn named_inputs(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    memmem::find_iter(bytes, b"\\").filter_map(move |at| {
        let length = crate::latex::word(&bytes[at + 1..]);
        let end = at + 1 + length;
        let mut behind = behind_star(bytes, end);
        match &bytes[at + 1..end] {
            b"input" | b"include" | b"subfile" => {}
            b"import" | b"subimport" => behind = argument(text, behind)?.1,
            _ => return None,
        }
        let start = behind + blanks(&bytes[behind..]);
        if bytes.get(start) == Some(&b'{') {
            let length = group(&bytes[start..], b'{', b'}', LONGEST_NAME)?;
            return Some(text[start + 1..start + length - 1].trim());
        }
        text[start..].split(|c: char| c.is_whitespace() || c == '\\' || c == '}').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readme_names_the_main_file() {
        assert_eq!(top_level(b"nohypertex\nmy paper.tex toplevelfile\n").as_deref(), Some("my paper.tex"));
        let json = br#"{"sources":[{"filename":"a.tex","usage":"ignore"},{"usage":"toplevel","filename":"b.tex"}]}"#;
        assert_eq!(top_level(json).as_deref(), Some("b.tex"));
        let json = br#"{"sources":[{"filename":"b.tex","usage":"toplevel"},{"filename":"a.tex"}]}"#;
        assert_eq!(top_level(json).as_deref(), Some("b.tex"));
        assert_eq!(top_level(b"nothing"), None);
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], main: &[&str]) {
        let files: Vec<Decoded> =
            files.iter().map(|(path, text)| Decoded { path: (*path).into(), text: (*text).into() }).collect();
        let tree = Tree::of(files, b"", &Arxiv::default());
        let mains: Vec<&str> = tree.mains.iter().map(|main| &*tree.files[*main].path).collect();
        assert_eq!(mains, main);
    }

    #[test]
    fn the_main_file_is_found() {
        let paper = "\\documentclass{article}\\begin{document}\\input{a}\\end{document}";
        let longer = "\\documentclass{article}\\begin{document}\\input{a} and so on \\end{document}";
        check(&[("a.tex", "a"), ("zz.tex", paper)], &["zz.tex"]);
        check(&[("old.tex", longer), ("zz.tex", paper)], &["zz.tex"]);
        check(&[(".hidden.tex", longer), ("ms.tex", paper)], &["ms.tex"]);
        check(&[("b.tex", longer), ("ms.tex", paper)], &["ms.tex"]);
        check(&[("supplement.tex", longer), ("x.tex", paper)], &["x.tex"]);
        check(&[("c.tex", "% \\documentclass{article}\\begin{document}"), ("x.tex", paper)], &["x.tex"]);
        check(&[("fig.tex", "\\documentclass{standalone}\\begin{document}"), ("x.tex", paper)], &["x.tex"]);
        check(&[("a.tex", "\\input c"), ("b.tex", "b"), ("c.tex", "c")], &["a.tex", "b.tex"]);
        check(
            &[("a.tex", "\\section{A}"), ("macros.tex", "m"), ("obsolete/x.tex", "\\documentclass{a}")],
            &["macros.tex", "a.tex"],
        );
        check(&[("threshold.tex", longer), ("scold.tex", paper)], &["threshold.tex"]);
    }
}
