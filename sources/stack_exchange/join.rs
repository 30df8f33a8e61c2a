//! Questions and their answers: rows sorted by question become documents.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use corpus::{Evidence, Meta, Reason};

use super::rows::{Attributes, Entry, Stream, Table, decoded};
use super::spill::{Names, Sorter};
use super::{Questions, Scores, StackExchange, TextStyle, readable, soup};
use crate::Result;
use crate::format::{Reading, quote};
use crate::jsonl::Unfit;

/// Answers of one question, at most: the most that any has is some hundreds.
const MOST_ANSWERS: usize = 100_000;

/// Posts of one question that can be no part of its document and are remembered until it is told.
const MOST_UNFIT: usize = 1000;

/// In the sorted order a question comes before its answers.
const ANSWER: u64 = 1 << 63;

/// The longest row that is looked at: a character may be spelled by six bytes of HTML, each `&` of
/// which takes five in XML; beside the body a row has 1 MiB.
pub fn longest_row(max_document: usize) -> usize {
    max_document.saturating_mul(6).saturating_add(1 << 20)
}

/// Reads `Posts.xml`: every post goes to where its question is.
pub fn sort_posts(
    table: &mut Table,
    from: &mut dyn Stream,
    path: &Path,
    options: &StackExchange,
    sorter: &mut Sorter<'_>,
    reading: &mut Reading<'_>,
) -> Result<()> {
    let mut number = 0;
    table.read(from, path, &mut |entry| {
        let row = match entry {
            Entry::Row(row) => row,
            Entry::Unfit((reason, evidence), bytes) => return reading.unusable(reason, evidence, bytes),
        };
        let place = match Place::of(row, options) {
            Ok(place) => place,
            Err((reason, evidence)) => return reading.unusable(reason, evidence, row.len() as u64),
        };
        let (question, kind) = match place {
            Place::Question(id) => (id, 0),
            Place::Answer(to) => (to, ANSWER),
        };
        sorter.push((question, number | kind), row.as_bytes())?;
        number += 1;
        Ok(())
    })
}

/// Reads `Users.xml`: the names of authors. A row that cannot be read is an author without a name.
pub fn sort_users(table: &mut Table, from: &mut dyn Stream, path: &Path, sorter: &mut Sorter<'_>) -> Result<()> {
    let mut number = 0;
    table.read(from, path, &mut |entry| {
        let Entry::Row(row) = entry else { return Ok(()) };
        let (mut id, mut name) = (None, None);
        for attribute in Attributes::new(row).into_iter().flatten() {
            match attribute {
                Ok(("Id", value)) => id = value.parse::<u64>().ok(),
                Ok(("DisplayName", value)) => name = decoded(value).ok(),
                _ => {}
            }
        }
        if let (Some(id), Some(name)) = (id, name) {
            sorter.push((id, number), name.as_bytes())?;
            number += 1;
        }
        Ok(())
    })
}

/// Where a post belongs.
enum Place {
    Question(u64),
    /// An answer, to a question.
    Answer(u64),
}

impl Place {
    fn of(row: &str, options: &StackExchange) -> Result<Place, Unfit> {
        let (mut id, mut parent, mut kind) = (None, None, None);
        for attribute in Attributes::new(row)? {
            match attribute? {
                ("Id", value) => id = Some(value),
                ("ParentId", value) => parent = Some(value),
                ("PostTypeId", value) => kind = Some(value),
                _ => {}
            }
        }
        let number = |value: Option<&str>| {
            let digits = value.unwrap_or_default();
            digits.parse::<u64>().map_err(|_| (Reason("bad_id"), Evidence::found(digits)))
        };
        let id = number(id)?;
        if parent.is_some() {
            return Ok(Place::Answer(number(parent)?));
        }
        match (options.questions, kind) {
            (Questions::Titled, _) | (Questions::Typed, Some("1")) => Ok(Place::Question(id)),
            (Questions::Typed, Some("2")) => Err((Reason("orphan_answer"), Evidence::found(format!("answer {id}")))),
            (Questions::Typed, kind) => Err((
                Reason("not_a_question"),
                Evidence::found(format!("post {id} of type {}", kind.unwrap_or("none"))),
            )),
        }
    }
}

/// One post of a document, with its text in the text of all.
#[derive(Default)]
struct Post {
    id: u64,
    score: i64,
    spelled_score: Box<str>,
    title: Option<Box<str>>,
    text: Range<usize>,
    created: Box<str>,
    author: Option<Box<str>>,
    author_id: Option<u64>,
    license: Box<str>,
    tags: Option<Box<str>>,
    accepted: Option<u64>,
}

impl Post {
    /// A row, whose body's text goes to the end of `texts`.
    fn of(row: &str, style: TextStyle, is_question: bool, texts: &mut String) -> Result<Post, Unfit> {
        let mut post = Post::default();
        let mut body = None;
        for attribute in Attributes::new(row)? {
            let (name, value) = attribute?;
            match name {
                "Id" => post.id = value.parse().unwrap_or_default(),
                "Score" => {
                    post.score = value.parse().unwrap_or_default();
                    post.spelled_score = value.into();
                }
                "Title" => post.title = Some(decoded(value)?.into()),
                "Body" => body = Some(decoded(value)?),
                "CreationDate" => post.created = decoded(value)?.into(),
                "OwnerDisplayName" => post.author = Some(decoded(value)?.into()),
                "OwnerUserId" => post.author_id = value.parse().ok(),
                "ContentLicense" => post.license = decoded(value)?.to_ascii_lowercase().replace(' ', "-").into(),
                "Tags" => post.tags = Some(decoded(value)?.into()),
                "AcceptedAnswerId" => post.accepted = value.parse().ok(),
                // Others are checked too: a row is good or it is not.
                _ => {
                    decoded(value)?;
                }
            }
        }
        if post.license.is_empty()
            && let Some(license) = license_of(&post.created)
        {
            post.license = license.into();
        }
        let body = body.unwrap_or_default();
        let start = texts.len();
        match style {
            TextStyle::Readable => {
                readable::text(&body, texts);
                if is_question {
                    leave_out_notice(texts, start);
                }
            }
            TextStyle::Original if is_question => {
                // A title is no HTML, but the original read it as some.
                let title = post.title.as_deref().unwrap_or_default();
                soup::text(&format!("{title} {body}"), texts);
            }
            TextStyle::Original => soup::text(&body, texts),
        }
        post.text = start..texts.len();
        Ok(post)
    }
}

/// Until 2012 moderation wrote into the question itself that it might be one that was asked before.
fn leave_out_notice(texts: &mut String, start: usize) {
    let asked = &texts[start..];
    if !asked.starts_with("> Possible Duplicate") {
        return;
    }
    let notice = asked.split_inclusive('\n').take_while(|line| line.starts_with('>') || line.trim().is_empty());
    let length = notice.map(str::len).sum::<usize>();
    texts.drain(start..start + length);
}

/// Whether a text begins with a numbered list.
fn numbered(text: &str) -> bool {
    text.trim_start_matches(|digit: char| digit.is_ascii_digit()).starts_with(". ")
}

/// The licence of what was posted on a day: StackExchange changed it twice, not looking back. Nothing
/// where no day is told.
fn license_of(created: &str) -> Option<&'static str> {
    match created {
        _ if created.len() < 10 || !created.starts_with(|first: char| first.is_ascii_digit()) => None,
        _ if created < "2011-04-08" => Some("cc-by-sa-2.5"),
        _ if created < "2018-05-02" => Some("cc-by-sa-3.0"),
        _ => Some("cc-by-sa-4.0"),
    }
}

/// The posts of one question, as far as they were read.
#[derive(Default)]
struct Thread {
    id: u64,
    question: Option<Post>,
    answers: Vec<Post>,
    texts: String,
    /// Bytes of text, and answers, though not kept any more.
    bytes: usize,
    count: usize,
    /// What of it can be no part of a document.
    unfit: Vec<(Unfit, u64)>,
}

/// Makes documents of one site.
pub struct Join<'j, 's> {
    pub options: &'j StackExchange,
    pub site: &'j str,
    pub names: Option<Names>,
    pub reading: &'j mut Reading<'s>,
}

impl Join<'_, '_> {
    /// Reads all posts, sorted by their questions.
    pub fn read(mut self, sorter: Sorter<'_>) -> Result<()> {
        let mut merge = sorter.sorted()?;
        let mut row = Vec::new();
        let mut thread = Thread::default();
        let mut any = false;
        while let Some((id, place)) = merge.next(&mut row)? {
            if any && id != thread.id {
                self.end(std::mem::take(&mut thread))?;
            }
            any = true;
            thread.id = id;
            // What was sorted was UTF-8.
            let Ok(row) = std::str::from_utf8(&row) else { continue };
            self.post(row, place & ANSWER != 0, &mut thread)?;
        }
        if any { self.end(thread) } else { Ok(()) }
    }

    fn post(&mut self, row: &str, is_answer: bool, thread: &mut Thread) -> Result<()> {
        let bytes = row.len() as u64;
        let post = match Post::of(row, self.options.text, !is_answer, &mut thread.texts) {
            Ok(post) => post,
            Err(unfit) if thread.question.is_none() => return self.reading.unusable(unfit.0, unfit.1, bytes),
            Err(unfit) => return self.keep_unfit(thread, unfit, bytes),
        };
        match (&thread.question, is_answer) {
            (None, false) => thread.question = Some(post),
            (None, true) => {
                thread.texts.clear();
                let evidence = Evidence::found(format!("answer {} to {}", post.id, thread.id));
                return self.reading.unusable(Reason("orphan_answer"), evidence, bytes);
            }
            (Some(_), false) => {
                thread.texts.truncate(post.text.start);
                let evidence = Evidence::found(format!("post {}", post.id));
                return self.keep_unfit(thread, (Reason("duplicate_id"), evidence), bytes);
            }
            (Some(_), true) => {
                thread.count += 1;
                if thread.count <= MOST_ANSWERS && thread.bytes <= self.reading.limits.max_document {
                    thread.bytes = thread.texts.len();
                    thread.answers.push(post);
                } else {
                    // It is too large already; what comes now is only counted.
                    thread.bytes += post.text.len();
                    thread.texts.truncate(post.text.start);
                    thread.answers.clear();
                }
            }
        }
        Ok(())
    }

    /// What is no part of a document is told after it, unless there is too much of it to remember.
    fn keep_unfit(&mut self, thread: &mut Thread, unfit: Unfit, bytes: u64) -> Result<()> {
        if thread.unfit.len() == MOST_UNFIT {
            return self.reading.unusable(unfit.0, unfit.1, bytes);
        }
        thread.unfit.push((unfit, bytes));
        Ok(())
    }

    fn end(&mut self, thread: Thread) -> Result<()> {
        if let Some(question) = &thread.question {
            self.document(question, &thread)?;
        }
        for ((reason, evidence), bytes) in thread.unfit {
            self.reading.unusable(reason, evidence, bytes)?;
        }
        Ok(())
    }

    fn document(&mut self, question: &Post, thread: &Thread) -> Result<()> {
        if self.options.questions == Questions::Titled && question.title.is_none() {
            let (reason, about) = match thread.count {
                0 => ("not_a_question", "neither title nor answers"),
                _ => ("no_title", "answers, but no title"),
            };
            let evidence = Evidence::found(format!("post {}: {about}", question.id));
            return self.reading.unusable(Reason(reason), evidence, question.text.len() as u64);
        }
        let max = self.reading.limits.max_document;
        let mut answers: Vec<&Post> = thread.answers.iter().collect();
        // Stable: of equal answers the older comes first.
        match self.options.scores {
            Scores::Number => answers.sort_by_key(|answer| std::cmp::Reverse(answer.score)),
            Scores::Text => answers.sort_by(|a, b| b.spelled_score.cmp(&a.spelled_score)),
        }
        let text = self.text(question, &answers, &thread.texts);
        let bytes = text.len().max(thread.bytes);
        if bytes > max || thread.count > MOST_ANSWERS {
            let evidence = Evidence::bound(bytes as f64, max as f64);
            return self.reading.unusable(Reason("too_large"), evidence, bytes as u64);
        }
        let meta = self.meta(question, &answers)?;
        self.reading.document(text, meta)
    }

    fn text(&self, question: &Post, answers: &[&Post], texts: &str) -> String {
        let mut text = String::with_capacity(texts.len() + 8 * answers.len() + 200);
        let asked = &texts[question.text.clone()];
        text.push_str("Q: ");
        match self.options.text {
            TextStyle::Original => text.push_str(asked),
            TextStyle::Readable => {
                let title = question.title.as_deref().unwrap_or_default().trim();
                text.push_str(title);
                if !title.is_empty() && !asked.is_empty() {
                    text.push_str("\n\n");
                }
                text.push_str(asked);
            }
        }
        for answer in answers {
            let said = &texts[answer.text.clone()];
            text.push_str(match self.options.text {
                TextStyle::Original => "\nA: ",
                // What has a mark of its own begins on its own line.
                TextStyle::Readable if said.starts_with(['>', '-', '`']) || numbered(said) => "\n\nA:\n\n",
                TextStyle::Readable => "\n\nA: ",
            });
            text.push_str(said);
        }
        text
    }

    fn meta(&mut self, question: &Post, answers: &[&Post]) -> Result<Meta> {
        let url = format!("https://{}/questions/{}", self.site, question.id);
        let mut json = String::with_capacity(400 + 250 * answers.len());
        json.push_str("{\"site\":");
        quote(self.site, &mut json);
        // Writing to a string cannot fail.
        let _ = write!(json, ",\"question_id\":{},\"question_score\":{}", question.id, question.score);
        if let Some(title) = &question.title {
            json.push_str(",\"title\":");
            quote(title, &mut json);
        }
        if let Some(tags) = &question.tags {
            json.push_str(",\"tags\":[");
            for (at, tag) in tags.split(['<', '>', '|']).filter(|tag| !tag.is_empty()).enumerate() {
                json.push_str(if at > 0 { "," } else { "" });
                quote(tag, &mut json);
            }
            json.push(']');
        }
        json.push_str(",\"url\":");
        quote(&url, &mut json);
        self.attribution(question, &mut json)?;
        json.push_str(",\"answers\":[");
        for (at, answer) in answers.iter().enumerate() {
            json.push_str(if at > 0 { "," } else { "" });
            let _ = write!(json, "{{\"answer_id\":{},\"score\":{}", answer.id, answer.score);
            if question.accepted == Some(answer.id) {
                json.push_str(",\"accepted\":true");
            }
            json.push_str(",\"url\":");
            quote(&format!("https://{}/a/{}", self.site, answer.id), &mut json);
            self.attribution(answer, &mut json)?;
            json.push('}');
        }
        json.push_str("]}");
        let mut licenses: Vec<&str> = answers.iter().map(|answer| &*answer.license).collect();
        licenses.push(&question.license);
        licenses.sort_unstable();
        licenses.dedup();
        let timestamp = Some(question.created.clone()).filter(|created| !created.is_empty());
        Ok(Meta {
            url: Some(url.into()),
            license: Some(crate::license::all_of(licenses.into_iter()).into()),
            timestamp,
            json,
            ..Meta::default()
        })
    }

    /// Who wrote a post, when, and under which licence.
    fn attribution(&mut self, post: &Post, json: &mut String) -> Result<()> {
        let known = match (&mut self.names, post.author_id) {
            (Some(names), Some(id)) => names.get(id)?,
            _ => None,
        };
        if let Some(author) = known.or(post.author.as_deref()) {
            json.push_str(",\"author\":");
            quote(author, json);
        }
        if let Some(id) = post.author_id {
            json.push_str(",\"author_url\":");
            quote(&format!("https://{}/users/{id}", self.site), json);
        }
        for (name, value) in [(",\"created\":", &post.created), (",\"license\":", &post.license)] {
            if !value.is_empty() {
                json.push_str(name);
                quote(value, json);
            }
        }
        Ok(())
    }
}

/// Reads a `Posts.xml` that lies in memory, for fuzzing.
pub(crate) fn posts_of(bytes: &[u8]) {
    struct Bytes<'b>(&'b [u8]);
    impl std::io::Read for Bytes<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(into)
        }
    }
    impl Stream for Bytes<'_> {
        fn damage(&self) -> Option<&crate::Damage> {
            None
        }
    }
    let mut texts = String::new();
    let _ = Table::new(longest_row(1 << 20)).read(&mut Bytes(bytes), Path::new("fuzz"), &mut |entry| {
        let Entry::Row(row) = entry else { return Ok(()) };
        for questions in [Questions::Typed, Questions::Titled] {
            let _ = Place::of(row, &StackExchange { questions, ..StackExchange::default() });
        }
        for style in [TextStyle::Readable, TextStyle::Original] {
            texts.clear();
            let _ = Post::of(row, style, true, &mut texts);
        }
        Ok(())
    });
}
