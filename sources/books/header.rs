//! What the header of a Project Gutenberg file says of the book.

/// What a header says.
#[derive(Debug, Default, PartialEq)]
pub struct Header {
    /// Names, as our meta has them, and values, in the order of the header.
    pub said: Vec<(&'static str, String)>,
    /// The number that Project Gutenberg gave to the book.
    pub number: Option<u64>,
}

impl Header {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.said.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// The words of headers and our names for them.
const SAYINGS: [(&str, &str); 10] = [
    ("title", "title"),
    ("author", "author"),
    ("authors", "author"),
    ("editor", "editor"),
    ("translator", "translator"),
    ("illustrator", "illustrator"),
    ("release date", "release_date"),
    ("posting date", "posting_date"),
    ("first posted", "first_posted"),
    ("language", "language"),
];

/// Lines that are looked at: the longest headers, of 1997, have some 40 before their small print.
const LINES: usize = 80;
/// A value is not longer than this, whatever a file does.
const LONGEST: usize = 1000;

/// Reads the header of a file, if it has one.
pub fn of(text: &str) -> Header {
    let mut header = Header::default();
    let mut lines = text.trim_start_matches('\u{feff}').lines().take(LINES).peekable();
    let mut ours = false;
    while let Some(line) = lines.next() {
        let line = line.trim();
        let small = line.to_ascii_lowercase();
        if small.contains("project gutenberg") {
            ours = true;
            if header.said.is_empty()
                && let Some((title, author)) = first_line(line)
            {
                header.said.push(("title", short(&title)));
                header.said.extend(author.map(|author| ("author", short(&author))));
            }
        }
        if is_start(&small) {
            break;
        }
        if let Some(number) = number(&small) {
            header.number.get_or_insert(number);
        }
        let Some((word, value)) = line.split_once(':') else { continue };
        let word = word.trim_start_matches('[').trim().to_ascii_lowercase();
        let Some((_, name)) = SAYINGS.iter().find(|(known, _)| *known == word) else { continue };
        let value = value.split('[').next().unwrap_or_default().trim();
        let mut value = value.to_owned();
        // A long title goes on in the next line, which is indented.
        while let Some(more) = lines.next_if(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty()) {
            value.push(' ');
            value.push_str(more.trim());
        }
        if value.trim().is_empty() {
            continue;
        }
        // What the header says outright counts more than its first line.
        let value = short(value.trim());
        match header.said.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => header.said.push((name, value)),
        }
    }
    if ours { header } else { Header::default() }
}

fn short(value: &str) -> String {
    value.chars().take(LONGEST).collect()
}

/// Where the book itself begins, or the lawyers do.
fn is_start(small: &str) -> bool {
    let stars = small.starts_with("***");
    stars && small.contains("start of th") && small.contains("gutenberg") || small.contains("the small print")
}

/// `The Project Gutenberg EBook of Title, by Author`.
fn first_line(line: &str) -> Option<(String, Option<String>)> {
    let small = line.to_ascii_lowercase();
    // Only ASCII letters change with their case, so places are the same.
    let after = [" etext of ", " ebook of ", "project gutenberg's ", "project gutenberg’s "]
        .iter()
        .find_map(|words| Some(small.find(words)? + words.len()))?;
    let rest = line.get(after..)?.trim_end_matches('*').trim();
    let (title, author) = match rest.rfind(" by ") {
        Some(at) => (&rest[..at], Some(rest[at + 4..].trim().to_owned())),
        None => (rest, None),
    };
    let title = title.trim().trim_end_matches(',').to_owned();
    if title.is_empty() { None } else { Some((title, author.filter(|author| !author.is_empty()))) }
}

/// The number in `[EBook #1342]` or `[Etext #972]`.
fn number(small: &str) -> Option<u64> {
    let at = ["[ebook #", "[etext #", "[e-book #", "[ebook#", "[etext#"]
        .iter()
        .find_map(|words| Some(small.find(words)? + words.len()))?;
    let digits = &small[at..];
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// A language as headers spell it, by its short name if it is one of those with a hundred books.
pub fn code(language: &str) -> &str {
    const NAMES: [(&str, &str); 20] = [
        ("Chinese", "zh"),
        ("Danish", "da"),
        ("Dutch", "nl"),
        ("English", "en"),
        ("Esperanto", "eo"),
        ("Finnish", "fi"),
        ("French", "fr"),
        ("German", "de"),
        ("Greek", "el"),
        ("Hungarian", "hu"),
        ("Italian", "it"),
        ("Japanese", "ja"),
        ("Latin", "la"),
        ("Norwegian", "no"),
        ("Polish", "pl"),
        ("Portuguese", "pt"),
        ("Russian", "ru"),
        ("Spanish", "es"),
        ("Swedish", "sv"),
        ("Tagalog", "tl"),
    ];
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(language)).map_or(language, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, said: &str, number: Option<u64>) {
        let header = of(text);
        let seen: Vec<String> = header.said.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!((seen.join("; ").as_str(), header.number), (said, number));
    }

    #[test]
    fn headers_of_all_ages_are_read() {
        check(
            "\u{feff}\nProject Gutenberg's The Tides, by A. Sailor\n\nTitle: The Tides\n       or Water\n\n\
             Author: A. Sailor (Captain)\n\nRelease Date: June 17, 2008 [EBook #84]\nLanguage: English\n\n\
             *** START OF THIS PROJECT GUTENBERG EBOOK TIDES ***\nAuthor: nobody\n",
            "title=The Tides or Water; author=A. Sailor (Captain); release_date=June 17, 2008; language=English",
            Some(84),
        );
        check(
            "The Project Gutenberg Etext of The Tides by Sailor\n#3 in our series\n\nJuly, 1997  [Etext #972]\n\n\
             ***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nTitle: no\n",
            "title=The Tides; author=Sailor",
            Some(972),
        );
        check(
            "The Project Gutenberg eBook of Tides\n\nTitle: Tides\n\nRelease date: May 1, 2024 [eBook #73500]\n\n\
             Language: Dutch\n\n*** START OF THE PROJECT GUTENBERG EBOOK TIDES ***\n",
            "title=Tides; release_date=May 1, 2024; language=Dutch",
            Some(73500),
        );
    }

    #[test]
    fn a_book_of_another_house_has_no_header() {
        check("TIDES\n\nTitle: not ours\n", "", None);
        check("", "", None);
    }

    #[test]
    fn languages_have_short_names() {
        assert_eq!((code("english"), code("Dutch"), code("Klingon")), ("en", "nl", "Klingon"));
    }
}
