//! One site: where its tables lie, and reading them in their order.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use corpus::digest::Hashing;
use corpus::{Digest, Error, RawFile};

use super::join::{Join, longest_row, sort_posts, sort_users};
use super::rows::{Entry, Stream, Table};
use super::spill::{Names, Scratch, Sorter};
use super::{SiteName, StackExchange};
use crate::format::{self, Reading, foreign};
use crate::raw::{Compression, Content, Damage};
use crate::{Limits, Raw, Result, Sink, sevenz};

/// What a table's file may be called behind its name: it is recognised by content.
const ENDINGS: [&str; 5] = ["", ".gz", ".zst", ".bz2", ".xz"];

/// Tables that are shipped beside the posts of a large site, each in its own archive.
const OTHER_TABLES: [&str; 7] =
    ["-Badges.7z", "-Comments.7z", "-PostHistory.7z", "-PostLinks.7z", "-Tags.7z", "-Users.7z", "-Votes.7z"];

/// Bytes of rows that are sorted at once however short documents must be.
const LEAST_MEMORY: usize = 4 << 20;

fn is_other_table(name: &str) -> bool {
    OTHER_TABLES.iter().any(|other| name.ends_with(other))
}

fn is_table(name: &str, table: &str) -> bool {
    name.strip_prefix(table).is_some_and(|ending| ENDINGS.contains(&ending))
}

/// The file of a table in a folder.
fn table(folder: &Path, table: &str) -> Option<PathBuf> {
    ENDINGS.iter().map(|ending| folder.join(format!("{table}{ending}"))).find(|path| path.is_file())
}

/// Of a site whose tables have an archive each, the one of its users, beside that of its posts.
fn users_beside(posts: &Path) -> Option<PathBuf> {
    let name = posts.file_name()?.to_str()?.strip_suffix("-Posts.7z")?;
    Some(posts.with_file_name(format!("{name}-Users.7z"))).filter(|path| path.is_file())
}

/// A site that is an archive, or a table.
fn raw_file(slice: &str, path: &Path, base: &Path) -> corpus::Result<RawFile> {
    let site = format::raw_file(slice, path, base)?;
    with_users(site, slice, users_beside(path))
}

fn with_users(mut site: RawFile, slice: &str, users: Option<PathBuf>) -> corpus::Result<RawFile> {
    if let Some(users) = users {
        let users = format::raw_file(slice, &users, &users)?;
        site.bytes += users.bytes;
        site.modified = site.modified.max(users.modified);
    }
    Ok(site)
}

/// The sites that lie at a path, in the order of their names.
pub fn find(slice: &str, path: &Path, base: &Path) -> corpus::Result<Vec<RawFile>> {
    if !fs::metadata(path).map_err(Error::io("cannot read", path))?.is_dir() {
        let is_other = is_other_table(&path.to_string_lossy());
        return if is_other { Ok(Vec::new()) } else { Ok(vec![raw_file(slice, path, base)?]) };
    }
    let mut found = Vec::new();
    gather(slice, path, base, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn gather(
    slice: &str,
    folder: &Path,
    base: &Path,
    inside: &mut Vec<PathBuf>,
    found: &mut Vec<RawFile>,
) -> corpus::Result<()> {
    let real = fs::canonicalize(folder).map_err(Error::io("cannot read folder", folder))?;
    if inside.contains(&real) {
        return Ok(());
    }
    if let Some(posts) = table(folder, "Posts.xml") {
        let mut site = format::raw_file(slice, &posts, base)?;
        site.name = format::name(slice, folder, base);
        site.path = folder.to_path_buf();
        found.push(with_users(site, slice, table(folder, "Users.xml"))?);
        return Ok(());
    }
    inside.push(real);
    for entry in format::entries(folder)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_archive = name.ends_with(".7z") && !is_other_table(&name);
        if entry.is_dir() {
            gather(slice, &entry, base, inside, found)?;
        } else if is_archive && entry.is_file() {
            found.push(raw_file(slice, &entry, base)?);
        }
    }
    inside.pop();
    Ok(())
}

/// The site that a raw file is of.
fn site_name(path: &Path, naming: SiteName) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = name(path);
    // A path without a folder is in the current one.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut site = if is_table(&own, "Posts.xml") { real.parent().map(name).unwrap_or_default() } else { own };
    for ending in [".7z", ".xml", "-Posts"] {
        site = site.strip_suffix(ending).unwrap_or(&site).to_owned();
    }
    if naming == SiteName::Host {
        let host = site.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')).count();
        site.truncate(host);
    }
    site
}

/// The sites with the most posts; of equally large ones those that come first.
pub fn largest(files: Vec<RawFile>, most: usize) -> corpus::Result<Vec<RawFile>> {
    let mut counted = Vec::new();
    for (place, file) in files.iter().enumerate() {
        counted.push((std::cmp::Reverse(count(file)?), place));
    }
    counted.sort_unstable();
    counted.truncate(most);
    let mut chosen: Vec<usize> = counted.into_iter().map(|(_, place)| place).collect();
    chosen.sort_unstable();
    let mut files = files.into_iter().enumerate();
    Ok(chosen.into_iter().filter_map(|place| files.find(|(at, _)| *at == place)).map(|(_, file)| file).collect())
}

/// The posts of a site.
fn count(file: &RawFile) -> corpus::Result<u64> {
    let mut rows = 0;
    let counted = tables(file, &mut |kind, from| {
        if kind == Kind::Posts {
            // Rows of any length count.
            Table::new(usize::MAX >> 1).read(from, &file.path, &mut |entry| {
                rows += u64::from(matches!(entry, Entry::Row(_)));
                Ok(())
            })?;
        }
        Ok(None)
    });
    match counted {
        Ok(_) => Ok(rows),
        Err(crate::Error::World(error)) => Err(error),
        // Counting stops for nothing else.
        Err(crate::Error::Stopped) => Err(Error::damaged(&file.path, "stopped")),
    }
}

/// A table that we read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Posts,
    Users,
}

const TABLES: [(&str, Kind); 2] = [("Posts.xml", Kind::Posts), ("Users.xml", Kind::Users)];

/// Takes a table, and says how it is damaged beyond what its stream knows.
type Visit<'v> = dyn FnMut(Kind, &mut dyn Stream) -> Result<Option<Damage>> + 'v;

/// What was read of a raw file.
struct Seen {
    digest: Digest,
    bytes: u64,
    damages: Vec<Damage>,
}

/// Hands the tables of a site to `visit`.
fn tables(file: &RawFile, visit: &mut Visit<'_>) -> Result<Seen> {
    let folder = file.path.is_dir();
    let users = if folder { table(&file.path, "Users.xml") } else { users_beside(&file.path) };
    let posts = if folder { table(&file.path, "Posts.xml") } else { Some(file.path.clone()) };
    if !folder && users.is_none() {
        return tables_of_file(file, Kind::Posts, true, visit);
    }
    // Of several files the digest is that of their names and digests.
    let mut hasher = Hashing::new(io::sink());
    let mut seen = Seen { digest: hasher.digest(), bytes: 0, damages: Vec::new() };
    for ((name, kind), path) in TABLES.into_iter().zip([posts, users]) {
        let Some(path) = path else { continue };
        let table = tables_of_file(&format::raw_file("", &path, &path)?, kind, false, visit)?;
        // A sink takes everything.
        let _ = hasher.write_all(name.as_bytes()).and_then(|()| hasher.write_all(&table.digest.0));
        seen.bytes += table.bytes;
        seen.damages.extend(table.damages);
    }
    Ok(Seen { digest: hasher.digest(), ..seen })
}

/// Hands over the table that a file is; an archive may be `all` of a site.
fn tables_of_file(file: &RawFile, kind: Kind, all: bool, visit: &mut Visit<'_>) -> Result<Seen> {
    let mut raw = Raw::open(file)?;
    let mut damages = Vec::new();
    match raw.content() {
        Content::Lines => {
            let more = visit(kind, &mut raw)?;
            damages.extend(raw.damage().cloned().or(more));
        }
        Content::SevenZip if raw.compression() == Compression::None => {
            damages = tables_of_archive(&mut raw, file, kind, all, visit)?;
        }
        Content::SevenZip => damages.extend(foreign("a 7z archive in a compressed file")),
        Content::Parquet => damages.extend(foreign("Parquet")),
        Content::Tar => damages.extend(foreign("a tar archive")),
        Content::Foreign(what) => damages.extend(foreign(what)),
    }
    let (digest, bytes) = raw.finish()?;
    Ok(Seen { digest, bytes, damages })
}

fn tables_of_archive(
    raw: &mut Raw,
    file: &RawFile,
    wanted: Kind,
    all: bool,
    visit: &mut Visit<'_>,
) -> Result<Vec<Damage>> {
    let kind_of = |name: &str| {
        let own = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let found = TABLES.iter().find(|(table, _)| *table == own).map(|(_, kind)| *kind);
        found.filter(|kind| all || *kind == wanted)
    };
    let (mut there, mut found) = (Vec::new(), Vec::new());
    let mut damages = sevenz::read(raw, file, |name| kind_of(name).is_some(), &mut |member| {
        let Some(kind) = kind_of(member.name) else { return Ok(()) };
        if there.contains(&kind) {
            found.extend(foreign("an archive of more than one site"));
            return Ok(());
        }
        there.push(kind);
        let more = visit(kind, member)?;
        found.extend(more.filter(|_| member.damage().is_none()));
        Ok(())
    })?;
    damages.extend(found);
    if !there.contains(&wanted) && damages.is_empty() {
        let missing = TABLES.iter().find(|(_, kind)| *kind == wanted).map_or("", |(table, _)| table);
        damages.extend(foreign(&format!("a 7z archive without {missing}")));
    }
    Ok(damages)
}

/// Reads one site.
pub fn read(
    options: &StackExchange,
    file: &RawFile,
    limits: Limits,
    scratch: &Path,
    sink: &mut dyn Sink,
) -> Result<()> {
    let scratch = Scratch::new(scratch)?;
    // Who has little memory lets documents be short, and a document may take more than this anyway.
    let memory = options.memory.0.min(limits.max_document.saturating_mul(4).max(LEAST_MEMORY));
    let mut posts = Sorter::new(&scratch, memory);
    let mut users = Sorter::new(&scratch, memory / 4);
    let mut reading = Reading::new(file, limits, sink);
    let mut stopped = false;
    let seen = tables(file, &mut |kind, from| {
        let mut table = Table::new(longest_row(limits.max_document)).up_to(options.beginning);
        match kind {
            Kind::Posts => {
                sort_posts(&mut table, from, &file.path, options, &mut posts, &mut reading)?;
                reading.cut_off = table.cut_off;
                stopped = table.stopped;
                // Nothing more is read of a site, not even for its digest.
                if stopped { Err(crate::Error::Stopped) } else { Ok(table.unclosed()) }
            }
            Kind::Users => {
                sort_users(&mut table, from, &file.path, &mut users)?;
                Ok(None)
            }
        }
    });
    let seen = match seen {
        Err(crate::Error::Stopped) if stopped => None,
        other => Some(other?),
    };
    let names = if users.count > 0 { Some(Names::new(users)?) } else { None };
    let site = site_name(&file.path, options.site);
    Join { options, site: &site, names, reading: &mut reading }.read(posts)?;
    let Some(seen) = seen else { return Err(crate::Error::Stopped) };
    for damage in &seen.damages {
        reading.damaged(damage)?;
    }
    reading.end(seen.digest, seen.bytes, seen.damages.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_have_the_names_of_their_files() {
        let check = |path: &str, host: &str, whole: &str| {
            assert_eq!(site_name(Path::new(path), SiteName::Host), host);
            assert_eq!(site_name(Path::new(path), SiteName::Whole), whole);
        };
        let cooking = "cooking.stackexchange.com";
        check("/nowhere/cooking.stackexchange.com.7z", cooking, cooking);
        check("/nowhere/stackoverflow.com-Posts.7z", "stackoverflow.com", "stackoverflow.com");
        check("/nowhere/cooking.stackexchange.com_old/Posts.xml", cooking, "cooking.stackexchange.com_old");
        check("/nowhere/cooking.stackexchange.com/Posts.xml.gz", cooking, cooking);
        check("/nowhere/cooking.stackexchange.com", cooking, cooking);
    }
}
