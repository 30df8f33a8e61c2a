//! `metadata.csv` of PG-19: number, title, year and address of each book, one a line.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use corpus::{Error, RawFile};

use crate::Result;
use crate::format::{modified, open};

/// Bytes of the catalogue that are read: PG-19's has three million.
const MOST: u64 = 64 << 20;

const NAME: &str = "metadata.csv";

/// What the catalogue says of a book.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    pub title: String,
    pub date: String,
    pub url: String,
}

/// The catalogue beside the text file that was read last.
#[derive(Default)]
pub struct Catalogue {
    folder: Option<PathBuf>,
    path: Option<PathBuf>,
    entries: BTreeMap<String, Entry>,
}

/// Where the catalogue of a folder lies: in it, or beside it.
fn beside(folder: &Path) -> Option<PathBuf> {
    let folders = [Some(folder), folder.parent()];
    folders.into_iter().flatten().map(|folder| folder.join(NAME)).find(|path| path.is_file())
}

/// A text file is as new as what the catalogue says of it.
pub fn add_times(files: &mut [RawFile]) {
    let mut folder: Option<(PathBuf, Option<u64>)> = None;
    for file in files {
        let Some(parent) = file.path.parent() else { continue };
        if folder.as_ref().is_none_or(|(known, _)| known != parent) {
            let found = beside(parent).and_then(|path| fs::metadata(path).ok());
            folder = Some((parent.to_owned(), found.and_then(|found| modified(&found))));
        }
        file.modified = file.modified.max(folder.as_ref().and_then(|(_, time)| *time));
    }
}

impl Catalogue {
    /// What is known of a text file, by the number that it is named by.
    pub fn entry(&mut self, file: &Path) -> Result<Option<&Entry>> {
        let folder = file.parent().unwrap_or(Path::new(""));
        if self.folder.as_deref() != Some(folder) {
            let path = beside(folder);
            if path != self.path {
                self.entries = match &path {
                    Some(path) => read(path)?,
                    None => BTreeMap::new(),
                };
                self.path = path;
            }
            self.folder = Some(folder.to_owned());
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Ok(self.entries.get(name.split('.').next().unwrap_or_default()))
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Entry>> {
    let mut bytes = Vec::new();
    open(path)?.take(MOST).read_to_end(&mut bytes).map_err(Error::io("cannot read", path))?;
    Ok(entries(&bytes))
}

/// The entries of a catalogue, by number.
pub fn entries(bytes: &[u8]) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    // The publisher's has no names of columns; copies of it have.
    let mut places = [0, 1, 2, 3];
    for (number, row) in rows(&String::from_utf8_lossy(bytes)).into_iter().enumerate() {
        let names = ["_id", "short_book_title", "publication_date", "url"];
        if number == 0 && row.iter().any(|name| name == names[1]) {
            places = names.map(|name| row.iter().position(|known| known == name).unwrap_or(usize::MAX));
            continue;
        }
        let [id, title, date, url] = places.map(|place| row.get(place).cloned().unwrap_or_default());
        if !id.is_empty() {
            entries.insert(id, Entry { title, date, url });
        }
    }
    entries
}

/// The rows of a CSV file; a field may stand in quotation marks, two of which inside are one.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

#[test]
fn quotation_marks_hold_a_field_together() {
    let seen = rows("1,\"Tides, or \"\"Water\"\"\",1901,u\r\n2,plain \"x\",,\n\n3,\"open\nend");
    let expected: [&[&str]; 4] =
        [&["1", "Tides, or \"Water\"", "1901", "u"], &["2", "plain \"x\"", "", ""], &[""], &["3", "open\nend"]];
    assert_eq!(seen, expected);
}
