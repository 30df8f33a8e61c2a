//! Takes Project Gutenberg's header, licence and credits off a book.

use std::ops::Range;

use corpus::{Document, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Stage, Workspace};

/// Cuts what Project Gutenberg put around a book, and leaves the book as it is.
///
/// The header goes, up to `*** START OF THE PROJECT GUTENBERG EBOOK … ***` or, before there were
/// such lines (2001), up to the end of the small print; the footer goes, from `*** END OF …` or `End
/// of Project Gutenberg's …` on, licence and all. Then the credits of the volunteers go (`credits`):
/// the paragraphs at the start that say who produced, scanned or proofread the file. Blank lines
/// around what is left go too.
///
/// Notes of transcribers on what they changed are about the book, and stay. A text without any of
/// these lines is not touched. The original took books as they were.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StripGutenberg {
    /// Whether the credits go.
    pub credits: bool,
}

impl Default for StripGutenberg {
    fn default() -> Self {
        StripGutenberg { credits: true }
    }
}

/// Lines at the start in which a header ends, and at the end in which a footer begins. The longest
/// header, with its small print, has some 330, the longest footer some 400.
const HEADER: usize = 1000;
const FOOTER: usize = 1000;
/// Paragraphs at the start that may be credits.
const CREDITS: usize = 8;

impl Stage for StripGutenberg {
    fn apply(&self, document: &mut Document, _: &mut Workspace) -> Verdict {
        let text = document.text();
        let footer = footer(text);
        let header = header(&text[..footer]);
        let kept = match self.credits {
            true => without_credits(text, header..footer),
            false => vec![header..footer; 1],
        };
        if kept.iter().map(Range::len).sum::<usize>() == text.len() {
            return Verdict::Keep;
        }
        let body: String = kept.into_iter().map(|range| &text[range]).collect();
        let trimmed = without_blank_ends(&body).to_owned();
        document.edit(trimmed);
        Verdict::Keep
    }
}

/// Lines with their ends, and where each begins; from either side, so that nothing is counted up.
fn lines(text: &str) -> impl DoubleEndedIterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    text.split_inclusive('\n').map(move |line| (line.as_ptr() as usize - start, line))
}

/// A line in small letters, and without the stars before it: how many there were.
fn starred(line: &str) -> (usize, String) {
    let line = line.trim();
    let bare = line.trim_start_matches('*');
    (line.len() - bare.len(), bare.trim().to_lowercase())
}

/// `*** START OF THIS PROJECT GUTENBERG EBOOK …`, or `END`.
fn is_marker(line: &str, word: &str) -> bool {
    if !line.trim_start().starts_with("**") {
        return false;
    }
    let (stars, said) = starred(line);
    let of = said.strip_prefix(word).and_then(|rest| rest.trim_start().strip_prefix("of th"));
    stars >= 2 && of.is_some_and(|rest| rest.contains("project gutenberg"))
}

/// `*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*`.
fn is_end_of_print(line: &str) -> bool {
    if !line.trim_start().starts_with('*') {
        return false;
    }
    let said = starred(line).1;
    said.starts_with("end") && said.contains("the small print!")
}

/// Where a marker ends: it may go on over some lines until its closing stars.
fn after_marker(text: &str, start: usize) -> usize {
    let mut first = None;
    for (at, line) in lines(&text[start..]).take(4) {
        if line.trim().is_empty() {
            break;
        }
        let end = start + at + line.len();
        first.get_or_insert(end);
        if line.trim_end().ends_with("***") {
            return end;
        }
    }
    first.unwrap_or(start)
}

/// Where a header ends; 0 without one.
fn header(text: &str) -> usize {
    let mut marker = 0;
    let mut print = 0;
    let mut ours = false;
    for (at, line) in lines(text).take(HEADER) {
        ours |= line.to_lowercase().contains("project gutenberg");
        if !ours {
            continue;
        }
        if marker == 0 && is_marker(line, "start") {
            marker = after_marker(text, at);
        }
        if is_end_of_print(line) {
            print = at + line.len();
        }
    }
    let found = marker.max(print);
    if found > 0 { found } else { oldest_header(text) }
}

/// The files of 1991 to 1993 have neither a marker nor an end of small print: what speaks of
/// Project Gutenberg or of etexts in paragraphs at the start is the header.
fn oldest_header(text: &str) -> usize {
    let mut end = 0;
    for (number, paragraph) in paragraphs(text, 0..text.len()).take(CREDITS).enumerate() {
        let said = text[paragraph.clone()].to_lowercase();
        let ours = said.contains("project gutenberg") || (number > 0 && said.contains("etext"));
        if !ours {
            break;
        }
        end = paragraph.end;
    }
    end
}

/// What the last line of a book says in languages that have some hundred books.
const ENDS: [&str; 12] = [
    "end of project gutenberg",
    "end of the project gutenberg",
    "end of this project gutenberg",
    "end of this is copyrighted",
    "the end of the project gutenberg",
    "ende dieses projekt gutenberg",
    "ende dieses project gutenberg",
    "ende diese project gutenberg",
    "fin de project gutenberg",
    "fin du project gutenberg",
    "fine di project gutenberg",
    "einde van project gutenberg",
];

fn is_end(said: &str) -> bool {
    ENDS.iter().any(|end| said.starts_with(end))
}

/// Where a footer begins; the end of the text without one.
fn footer(text: &str) -> usize {
    // A collection may have such lines inside: the last one counts, wherever it is.
    let marker = lines(text).rev().find(|(_, line)| is_marker(line, "end")).map(|(at, _)| at);
    let tail = || lines(text).rev().take(FOOTER).collect::<Vec<_>>();
    let said = || tail().into_iter().find(|(_, line)| is_end(&starred(line).1)).map(|(at, _)| at);
    // The first of these lines, since each is followed by more of the same.
    let license = || {
        let begins = |at: usize, line: &str| {
            let (stars, said) = starred(line);
            stars >= 3
                && (said.starts_with("start: full license")
                    || said.starts_with("start") && said.contains("the small print!")
                    // Headers have this line too.
                    || said.starts_with("this file should be named") && at > text.len() / 2)
        };
        let at = tail().into_iter().rev().find(|(at, line)| begins(*at, line)).map(|(at, _)| at)?;
        // After the small print of a header comes the book, after that of a footer nothing.
        let print = lines(&text[at..]).rev().find(|(_, line)| is_end_of_print(line));
        let rest = print.map_or("", |(end, line)| text[at + end + line.len()..].trim());
        rest.is_empty().then_some(at)
    };
    let Some(mut end) = marker.or_else(said).or_else(license) else { return text.len() };
    for _ in 0..2 {
        match paragraphs(text, 0..end).next_back() {
            Some(last) if is_end(&starred(&text[last.clone()]).1) && lines(&text[last.clone()]).count() <= 4 => {
                end = last.start;
            }
            _ => break,
        }
    }
    end
}

/// The paragraphs of a part of a text: lines without a blank one between them.
fn paragraphs(text: &str, part: Range<usize>) -> Paragraphs<'_> {
    Paragraphs { text, part }
}

struct Paragraphs<'t> {
    text: &'t str,
    part: Range<usize>,
}

impl Iterator for Paragraphs<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let mut found: Option<Range<usize>> = None;
        for (at, line) in lines(&self.text[self.part.clone()]) {
            let at = self.part.start + at;
            match (&mut found, line.trim().is_empty()) {
                (None, true) => {}
                (Some(_), true) => break,
                (None, false) => found = Some(at..at + line.len()),
                (Some(found), false) => found.end = at + line.len(),
            }
        }
        self.part.start = found.as_ref().map_or(self.part.end, |found| found.end);
        found
    }
}

impl DoubleEndedIterator for Paragraphs<'_> {
    fn next_back(&mut self) -> Option<Range<usize>> {
        let mut found: Option<Range<usize>> = None;
        for (at, line) in lines(&self.text[self.part.clone()]).rev() {
            let at = self.part.start + at;
            match (&mut found, line.trim().is_empty()) {
                (None, true) => {}
                (Some(_), true) => break,
                (None, false) => found = Some(at..at + line.len()),
                (Some(found), false) => found.start = at,
            }
        }
        self.part.end = found.as_ref().map_or(self.part.start, |found| found.start);
        found
    }
}

/// How paragraphs begin that say who made the file.
const MADE: [&str; 10] = [
    "produced by",
    "e-text prepared by",
    "etext prepared by",
    "etext produced by",
    "ebook produced by",
    "transcribed by",
    "transcribed from",
    "scanned by",
    "scanned and proof",
    "this file was produced",
];

/// The same after `this etext`, `this ebook`.
const MADE_THIS: [&str; 6] =
    ["was produced", "was prepared", "was transcribed", "was created", "was scanned", "was typed"];

/// What volunteers say they did, beside an address of theirs.
const DID: [&str; 8] =
    ["scanned", "proofread", "proofed", "prepared by", "produced by", "entered by", "transcribed by", "digitized by"];

/// Bytes of a credit, at most: the longest are lists of a dozen names.
const LONGEST_CREDIT: usize = 2000;

/// Whether a paragraph says who made the file; `number` others stay before it. Behind the first of
/// them more is asked: a book may tell of somebody who produced something.
fn is_credit(paragraph: &str, number: usize) -> bool {
    if paragraph.len() > LONGEST_CREDIT {
        return false;
    }
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let said = words.join(" ").to_lowercase();
    let said = said.trim_start_matches(['[', '(', '*', '_']);
    // Not Gutenberg alone, who has books about him.
    let ours = ["project gutenberg", "distributed proofread", "pgdp.net"].iter().any(|ours| said.contains(ours));
    let this = ["this etext ", "this e-text ", "this ebook ", "this e-book "];
    let made = MADE.iter().any(|made| said.starts_with(made))
        || this.iter().any(|this| {
            said.strip_prefix(this).is_some_and(|rest| MADE_THIS.iter().any(|made| rest.starts_with(made)))
        });
    let reached = ["@", "http://", "https://", "www."].iter().any(|mark| said.contains(mark));
    let did = reached && DID.iter().any(|did| said.contains(did));
    did || made && (number == 0 || ours) || ours && number < 2
}

/// A part of a text without the credits in its first paragraphs, as the parts that stay.
fn without_credits(text: &str, part: Range<usize>) -> Vec<Range<usize>> {
    let mut kept = Vec::new();
    let mut start = part.start;
    let mut number = 0;
    for paragraph in paragraphs(text, part.clone()).take(CREDITS) {
        if is_credit(&text[paragraph.clone()], number) {
            kept.push(start..paragraph.start);
            start = paragraph.end;
        } else {
            number += 1;
        }
    }
    kept.push(start..part.end);
    kept.retain(|range| !range.is_empty());
    kept
}

/// A text without the blank lines before and after it.
fn without_blank_ends(text: &str) -> &str {
    let start = lines(text).find(|(_, line)| !line.trim().is_empty()).map_or(text.len(), |(at, _)| at);
    let end = lines(text).rev().find(|(_, line)| !line.trim().is_empty()).map_or(0, |(at, line)| at + line.len());
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::spec::tests::edited;

    const BODY: &str = "  THE TIDES\n\nBy A. Sailor\n\nThe tide came in.\n\nAnd went out.\n";

    #[track_caller]
    fn stripped(before: &str, after: &str) {
        edited("strip_gutenberg: {}", &format!("{before}{BODY}{after}"), BODY);
        // With the line ends that Project Gutenberg writes.
        let crlf = |text: &str| text.replace('\n', "\r\n");
        edited("strip_gutenberg: {}", &crlf(&format!("{before}{BODY}{after}")), &crlf(BODY));
    }

    #[test]
    fn markers_since_2001() {
        let before = "\u{feff}The Project Gutenberg EBook of The Tides, by A. Sailor\n\nThis eBook is for the use of \
             anyone.\n\nTitle: The Tides\n\n*** START OF THIS PROJECT GUTENBERG EBOOK THE TIDES ***\n\n\n\n";
        let after = "\n\n\n\nEnd of the Project Gutenberg EBook of The Tides, by\nA. Sailor\n\n*** END OF THIS PROJECT \
             GUTENBERG EBOOK THE TIDES ***\n\n***** This file should be named 1.txt or 1.zip *****\nProduced by Nobody\n\n\
             *** START: FULL LICENSE ***\n\nTHE FULL PROJECT GUTENBERG LICENSE\n";
        stripped(before, after);
        stripped(&before.replace("THIS", "THE"), &after.replace("OF THIS", "OF THE"));
        let wrapped =
            "The Project Gutenberg eBook\n\n***START OF THE PROJECT GUTENBERG EBOOK THE TIDES, OR\nWATER***\n\n\n";
        stripped(wrapped, "\n\n\n***END OF THE PROJECT GUTENBERG EBOOK THE TIDES, OR\nWATER***\n\n\n*******\n");
    }

    #[test]
    fn small_print_before_2001() {
        let before = "The Project Gutenberg Etext of The Tides by Sailor\n#3 in our series\n\nCopyright laws are \
             changing\n\n***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nWhy is this here? You know: \
             lawyers.\n\n*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n\n\n";
        stripped(before, "\n\n\nEnd of The Project Gutenberg Etext of The Tides by Sailor\n");
        stripped(before, "\n\n\nEnd of Project Gutenberg's The Tides\n\n\n");
        stripped(&before.replace("*END*THE", "*END THE"), "");
    }

    #[test]
    fn small_print_at_the_bottom() {
        let before = "The Project Gutenberg EBook of Tides\n\n*** START OF THE PROJECT GUTENBERG EBOOK, TIDES ***\n\n";
        let after = "\n\n***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN EBOOKS**START***\nlawyers\n*END THE SMALL \
             PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*\n";
        stripped(before, after);
        stripped(before, &format!("\n\n*** END OF THE PROJECT GUTENBERG EBOOK, TIDES ***\n{after}"));
    }

    #[test]
    fn the_oldest_files_have_a_paragraph_or_two() {
        let before = "**The Project Gutenberg Etext of The Tides**\n\nThis etext was prepared by a friend.\n\n\n";
        stripped(before, "\n\n\nEnd of the Project Gutenberg etext\n");
    }

    #[test]
    fn volunteers_are_not_part_of_the_book() {
        let start = "*** START OF THIS PROJECT GUTENBERG EBOOK THE TIDES ***\n\n";
        stripped(&format!("{start}Produced by A. Friend and the Online Distributed\nProofreading Team\n\n\n"), "");
        stripped(
            &format!(
                "{start}E-text prepared by A. Friend\n\n\nNote: Project Gutenberg also has an HTML version.\n\n\n"
            ),
            "",
        );
        stripped(
            &format!(
                "{start}[Chapters 1-6: mostly scanned by D.,\nd@example.org, proofread by C.]\n\nThe Tides, 20-24\nScanned by J. (j@example.org)\n\n"
            ),
            "",
        );
        // PG-19 has lost its headers, and kept these.
        stripped("\n\n\nProduced by Suzanne and the Online Distributed Proofreading Team.\n\n\n\n", "");
        stripped("This eBook was produced by a friend.\n\n", "");
        edited(
            "strip_gutenberg: { credits: false }",
            "Produced by A. Friend\n\nTides\n",
            "Produced by A. Friend\n\nTides\n",
        );
    }

    #[test]
    fn credits_are_found_behind_the_title() {
        edited(
            "strip_gutenberg: {}",
            "THE TIDES\n\nby\nA. Sailor\n\nEntered by a friend\nfriend@example.org\n\nThe tide came in.\n",
            "THE TIDES\n\nby\nA. Sailor\n\n\nThe tide came in.\n",
        );
    }

    #[test]
    fn what_is_none_of_it_stays() {
        let same = |text: &str| edited("strip_gutenberg: {}", text, text);
        same("");
        same("\n\n  A book of another house.\n\n\n");
        same("*** START OF THE BOOK ***\nText\n*** END OF THE BOOK ***\n");
        same("A book\n\nwhich says\n\nthat wool is\n\nproduced by sheep\n\nProduced by sheep, wool keeps warm.\n");
        same("THE LIFE OF JOHANN GUTENBERG\n\nGutenberg was born at Mainz.\n");
        same("THE TIDES\n\nA film\n\nProduced by A. Sailor\n");
        same("REPORT\n\nPrepared by the Commission\n\nText\n");
        same(&format!("Produced by sheep, {}\n", "wool keeps warm. ".repeat(200)));
        same("The End of the Project\n\nwas near.\n");
        same("The small print! he said.\n");
    }

    #[test]
    fn any_text_is_survived() {
        for text in
            ["***", "*** START OF THIS PROJECT GUTENBERG", "*** END OF THIS PROJECT GUTENBERG EBOOK ***", "ſ*** é"]
        {
            for cut in 0..=text.len() {
                if let Some(text) = text.get(..cut) {
                    crate::spec::tests::apply("strip_gutenberg: {}", text, corpus::Meta::default());
                }
            }
        }
    }
}
