//! What the name of a file says of a submission: arXiv's identifier, its month.

/// The ending of a name that arXiv's tars, browsers and people give a submission.
const ENDINGS: [&str; 14] = [
    ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tgz", ".gz", ".tar", ".zst", ".bz2", ".xz", ".tex", ".ltx", ".txt",
    ".pdf",
];

/// An identifier, without its version, and the two digits of year and of month in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identifier {
    pub id: String,
    pub yymm: String,
}

impl Identifier {
    /// `0704.0001`, `2001.00001v2`, `hep-th9901001`, `hep-th_9901001`, `math.AG0601001`, with or
    /// without an ending. From 2007 on identifiers have a dot and four digits, from 2015 on five.
    pub fn of(name: &str) -> Option<Identifier> {
        let name = without_ending(name);
        let name = match name.rsplit_once('v') {
            Some((name, version)) if digits(version) && !version.is_empty() => name,
            _ => name,
        };
        if let Some((month, number)) = name.split_once('.')
            && digits(month)
            && digits(number)
        {
            let fits = is_month(month) && matches!(number.len(), 4 | 5);
            return fits.then(|| Identifier { id: name.to_owned(), yymm: month.to_owned() });
        }
        let at = name.len().checked_sub(7)?;
        let (archive, number) = (name.get(..at)?, name.get(at..)?);
        let archive = archive.strip_suffix(['_', '/']).unwrap_or(archive);
        let (group, class) = archive.split_once('.').unwrap_or((archive, "AA"));
        let fits = !group.is_empty()
            && group.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            && class.len() == 2
            && class.bytes().all(|byte| byte.is_ascii_uppercase())
            && digits(number)
            && is_month(&number[..4]);
        // arXiv itself leaves the class out of its links.
        fits.then(|| Identifier { id: format!("{group}/{number}"), yymm: number[..4].to_owned() })
    }
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_month(yymm: &str) -> bool {
    yymm.len() == 4 && digits(yymm) && yymm[2..].parse::<u8>().is_ok_and(|month| (1..=12).contains(&month))
}

/// A name without the ending of an archive or of a file of LaTeX.
pub(crate) fn without_ending(name: &str) -> &str {
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// A file's name without its last ending, as Python's `pathlib` has it.
pub(crate) fn stem(name: &str) -> &str {
    match name.rfind('.') {
        Some(at) if at > 0 && at + 1 < name.len() => &name[..at],
        _ => name,
    }
}

/// What the original made of a name: letters and hyphens, then digits and dots, with a slash
/// between; any other name as it is.
pub(crate) fn as_original(name: &str) -> String {
    // Python's `$` also stands before a line feed at the end, and its `\d` is a digit of any script.
    let matched = name.strip_suffix('\n').unwrap_or(name);
    let letters = matched.bytes().take_while(|byte| byte.is_ascii_alphabetic() || *byte == b'-').count();
    let (archive, number) = matched.split_at(letters);
    let digit = |c: char| {
        c == '.'
            || c.is_ascii_digit()
            || unicode_general_category::get_general_category(c)
                == unicode_general_category::GeneralCategory::DecimalNumber
    };
    match number.is_empty() || !number.chars().all(digit) {
        true => name.to_owned(),
        false if archive.is_empty() => number.to_owned(),
        false => format!("{archive}/{number}"),
    }
}

/// Seconds since 1970 as Python's `isoformat` writes them, in UTC.
pub(crate) fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0: years then end with their leap day.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, id: &str, yymm: &str) {
        let found = Identifier::of(name).map(|found| (found.id, found.yymm)).unwrap_or_default();
        assert_eq!(found, (id.to_owned(), yymm.to_owned()), "{name}");
    }

    #[test]
    fn identifiers_of_all_ages_are_known() {
        check("0704.0001.gz", "0704.0001", "0704");
        check("2001.00001v2.tar.gz", "2001.00001", "2001");
        check("1911.02782", "1911.02782", "1911");
        check("hep-th9901001.gz", "hep-th/9901001", "9901");
        check("hep-th_9901001v3", "hep-th/9901001", "9901");
        check("math.AG0601001.gz", "math/0601001", "0601");
        for name in
            ["paper.tex", "2013.00001", "2001.001", "9901001", "dfm__emcee", "v1", "", "12345678.tar.gz", "é9901001"]
        {
            check(name, "", "");
        }
    }

    #[test]
    fn the_original_s_identifiers_are_looser() {
        for (name, id) in [
            ("hep-th9901001", "hep-th/9901001"),
            ("2001.00001", "2001.00001"),
            ("2001.00001v2", "2001.00001v2"),
            ("..", ".."),
            ("a-1\n", "a-/1"),
            ("a", "a"),
            ("٣", "٣"),
            ("x_1", "x_1"),
        ] {
            assert_eq!(as_original(name), id);
        }
        for (name, without) in [("a.tar.gz", "a.tar"), (".gz", ".gz"), ("a.", "a."), ("a", "a")] {
            assert_eq!(stem(name), without);
        }
    }

    #[test]
    fn times_are_written_as_python_writes_them() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_588_291_200, "2020-05-01T00:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(timestamp(seconds), written);
        }
    }
}
