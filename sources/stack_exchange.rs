//! StackExchange: questions with their answers, from the dumps of the network's sites.

use std::path::Path;

use corpus::{Document, Meta, RawFile, dialect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Limits, Result, Sink, Source};

mod elements;
mod entities;
mod join;
mod libxml2;
mod readable;
mod rows;
mod site;
mod soup;
mod spill;

pub(crate) use join::posts_of;

/// Reads `Posts.xml` of StackExchange's dumps, and names of authors from the `Users.xml` beside it.
///
/// A raw file is a site: its `.7z` (`stackoverflow.com-Posts.7z` with the `stackoverflow.com-Users.7z`
/// beside it), the folder that holds its `Posts.xml`, or a `Posts.xml` that is named itself. The
/// file's or folder's name is the site's. Where there are no users, authors are links without names.
///
/// A question with all its answers is one record, and so is every post that belongs to none: answers
/// without their question, descriptions of tags, and rows that cannot be read. Rows that cannot be
/// read come first, as they stand; then all else by the number of its question, which is the order
/// of the site. So record numbers depend on the file alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StackExchange {
    /// What text is made of the HTML of posts.
    pub text: TextStyle,
    /// How answers are ordered.
    pub scores: Scores,
    /// Which posts begin a document.
    pub questions: Questions,
    /// What of the raw file's name is the site's.
    pub site: SiteName,
    /// So many sites with the most posts, no others: the original took 28. All posts are counted for
    /// it, which reads every file once more.
    pub largest: Option<usize>,
    #[serde(skip)]
    #[schemars(skip)]
    memory: Memory,
    /// Bytes of posts that are read, of each site, if not all.
    #[serde(skip)]
    #[schemars(skip)]
    beginning: Option<u64>,
}

impl StackExchange {
    /// The same for a sample: no document is known before all posts of a site were read, so only
    /// the beginning of each is, as if it ended there. Reading then ends with
    /// [`crate::Error::Stopped`].
    pub(crate) fn of_beginning(&self, bytes: u64) -> StackExchange {
        StackExchange { beginning: Some(bytes), ..self.clone() }
    }
}

/// What text is made of the HTML of posts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextStyle {
    /// Paragraphs stand apart, lists and quotes have their marks, blocks of code their fences, and
    /// the title is a line of its own. A notice that a question may have been asked before, which
    /// moderation wrote into it until 2012, is left out.
    #[default]
    Readable,
    /// As BeautifulSoup over lxml 4.9.4 gives it, with the original's bullets: `<ol>` is one, too,
    /// and a title is read as HTML.
    Original,
}

/// How answers are ordered, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scores {
    /// By their scores.
    #[default]
    Number,
    /// By their scores' spelling, as the original did: 9 before 22.
    Text,
}

/// Which posts begin a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Questions {
    /// Questions by their type.
    #[default]
    Typed,
    /// Whatever is no answer and has a title, as the original had it: among them are some
    /// descriptions of tags. A question with answers and no title ended its run; here it is counted.
    Titled,
}

/// What of the raw file's name is the site's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SiteName {
    /// As much of it as a host's name can be: of `cooking.stackexchange.com_old` what stands before
    /// the underscore.
    #[default]
    Host,
    /// All of it, as the original had it.
    Whole,
}

/// Bytes of rows that are sorted at once: what does not fit goes to scratch.
#[derive(Clone, Copy, Debug)]
struct Memory(usize);

impl Default for Memory {
    fn default() -> Self {
        Memory(64 << 20)
    }
}

impl Source for StackExchange {
    fn slice(&self) -> &'static str {
        "stack_exchange"
    }

    fn find(&self, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
        site::find(self.slice(), path, base)
    }

    fn choose(&self, files: Vec<RawFile>) -> corpus::Result<Vec<RawFile>> {
        match self.largest {
            Some(most) => site::largest(files, most),
            None => Ok(files),
        }
    }

    fn read(&self, files: &[RawFile], limits: Limits, scratch: &Path, sink: &mut dyn Sink) -> Result<()> {
        for file in files {
            site::read(self, file, limits, scratch, sink)?;
        }
        Ok(())
    }

    /// `{"text": …, "meta": {"language": …, "url": …, "timestamp": "2023-03-29", "source":
    /// "stackexchange", "question_score": "…"}}`: the time is that of the original's dump.
    fn original_line(&self, document: &Document, out: &mut String) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Score {
            question_score: Option<i64>,
        }
        let Meta { url, language, json, .. } = &document.meta;
        let score: Score = serde_json::from_str(json)?;
        out.push_str("{\"text\": ");
        dialect::string(document.text(), out);
        out.push_str(", \"meta\": {\"language\": ");
        dialect::string(language.as_deref().unwrap_or_default(), out);
        out.push_str(", \"url\": ");
        dialect::string(url.as_deref().unwrap_or_default(), out);
        out.push_str(", \"timestamp\": \"2023-03-29\", \"source\": \"stackexchange\", \"question_score\": ");
        dialect::string(&score.question_score.unwrap_or_default().to_string(), out);
        out.push_str("}}");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
