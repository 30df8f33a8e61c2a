//! Parquet, as every source reads it.

use std::fs;
use std::path::Path;

use super::{LIMITS, find, fixture, read, read_files};

/// Writes Parquet: columns of strings, one of whole numbers, one of lists.
fn parquet(path: &Path, columns: Vec<(&str, arrow_array::ArrayRef)>, rows_in_a_group: usize) {
    let batch = arrow_array::RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let properties = ::parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows_in_a_group))
        .set_compression(::parquet::basic::Compression::SNAPPY)
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn strings<'s>(values: impl IntoIterator<Item = Option<&'s str>>) -> arrow_array::ArrayRef {
    std::sync::Arc::new(values.into_iter().collect::<arrow_array::StringArray>())
}

/// The same rows as Parquet and as JSON lines are the same documents.
#[test]
fn parquet_reads_like_lines() {
    let lines = fs::read_to_string(fixture("github/bigquery.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let column = |name: &'static str| strings(rows.iter().map(move |row| row[name].as_str()));
    let names = ["id", "size", "content", "copies", "repo_name", "ref", "path", "mode", "license"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bigquery.jsonl");
    parquet(&path, names.iter().map(|name| (*name, column(name))).collect(), 10);
    let seen = read("github", &path);
    let plain = read("github", &fixture("github/bigquery.jsonl"));
    assert_eq!((seen.texts(), seen.outcomes()), (plain.texts(), plain.outcomes()));
    for (seen, plain) in seen.metas().into_iter().zip(plain.metas()) {
        let (plain, _) = plain.json.split_once(",\"language\"").unwrap();
        assert_eq!(seen.json, format!("{}}}", plain.replace("\"binary\":false,", "")));
    }
}

#[test]
fn the_stack_s_columns_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let mut licenses = arrow_array::builder::ListBuilder::new(arrow_array::builder::StringBuilder::new());
    licenses.append_value([Some("MIT"), Some("Apache-2.0")]);
    licenses.append_value([Some("BSD-3-Clause")]);
    licenses.append_null();
    let bytes: arrow_array::BinaryArray = [Some(&b"x = 1"[..]), Some(b"\xff"), None].into_iter().collect();
    let stars: arrow_array::Int64Array = [Some(7), None, Some(-1)].into_iter().collect();
    let share: arrow_array::Float64Array = [Some(0.5), Some(f64::NAN), None].into_iter().collect();
    parquet(
        &path,
        vec![
            ("max_stars_repo_path", strings([Some("a.py"), Some("b\"b"), Some("c")])),
            ("max_stars_repo_name", strings([Some("o/a"), Some("o/b"), Some("o/c")])),
            ("max_stars_repo_licenses", std::sync::Arc::new(licenses.finish())),
            ("max_stars_count", std::sync::Arc::new(stars)),
            ("alphanum_fraction", std::sync::Arc::new(share)),
            ("lang", strings([Some("Python"), Some("C"), None])),
            ("content", std::sync::Arc::new(bytes)),
        ],
        2,
    );
    let seen = read("github", &path);
    assert_eq!(seen.outcomes(), ["text", "bad_utf8", "no_text"]);
    let meta = seen.metas()[0];
    let json = "{\"max_stars_repo_path\":\"a.py\",\"max_stars_repo_name\":\"o/a\",\
        \"max_stars_repo_licenses\":[\"MIT\",\"Apache-2.0\"],\"max_stars_count\":7,\
        \"alphanum_fraction\":0.5,\"lang\":\"Python\"}";
    assert_eq!(meta.json, json);
    assert_eq!(meta.license.as_deref(), Some("MIT AND Apache-2.0"));
    assert_eq!((meta.repository.as_deref(), meta.language.as_deref()), (Some("o/a"), Some("Python")));
}

#[test]
fn parquet_without_a_text_loses_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    parquet(&path, vec![("url", strings([Some("a"), Some("b"), None]))], 2);
    assert_eq!(read("c4", &path).outcomes(), ["missing_column"; 3]);
}

/// Whatever byte is wrong, the file is read up to somewhere and nothing panics.
#[test]
fn broken_parquet_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let texts: Vec<String> = (0..400).map(|number| format!("text number {number}")).collect();
    parquet(&path, vec![("text", strings(texts.iter().map(|text| Some(text.as_str()))))], 100);
    let bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x55;
        fs::write(&path, &flipped).unwrap();
        let (seen, ended) = read_files("c4", &find("c4", &path), LIMITS, usize::MAX);
        ended.unwrap();
        assert_eq!(seen.files.len(), 1, "byte {at}");
    }
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(read("c4", &path).outcomes(), ["bad_parquet"]);
}
