//! Documents that cc_net made: one JSON object a line, the text in `raw_content`.

use corpus::RawFile;
use corpus::manifest::RawRead;
use serde_json::{Map, Value};

use crate::format::{self, Shape};
use crate::{Limits, Raw, Record, Result, Sink};

/// Columns and the places of the fields that they fill: url, timestamp, language. Others who passed
/// such documents on call them otherwise.
const FIELDS: &[(&str, usize)] = &[("url", 0), ("date_download", 5), ("timestamp", 5), ("created", 5), ("language", 4)];

const SHAPE: Shape<'static> = Shape { text: &["raw_content", "text"], fields: FIELDS, required: &[], language: None };

pub(super) fn read(file: &RawFile, raw: Raw, limits: Limits, sink: &mut dyn Sink) -> Result<()> {
    let Some(bucket) = bucket(&file.name) else {
        return format::read_opened(file, raw, &SHAPE, limits, sink);
    };
    format::read_opened(file, raw, &SHAPE, limits, &mut Bucket { bucket, sink })
}

/// `head`, `middle` or `tail` of a name like `en_head_0000.json.gz`: the thirds into which cc_net
/// cuts its documents by perplexity.
fn bucket(name: &str) -> Option<&'static str> {
    let name = name.rsplit('/').next()?;
    let words = || name.split(['_', '-', '.']);
    ["head", "middle", "tail"].into_iter().find(|bucket| words().any(|word| word == *bucket))
}

/// Notes the bucket in each document's meta: some of cc_net's outputs have it in the file's name alone,
/// by which the original went, so that the name decides where a document says otherwise.
struct Bucket<'s> {
    bucket: &'static str,
    sink: &'s mut dyn Sink,
}

impl Sink for Bucket<'_> {
    fn record(&mut self, mut record: Record) -> Result<()> {
        if let Record::Document(document) = &mut record {
            let meta = &mut document.meta;
            match meta.word("bucket") {
                Some(bucket) if bucket == self.bucket => {}
                None if !meta.json.contains("\"bucket\"") && meta.json.pop() == Some('}') => {
                    meta.json.push_str(if meta.json.len() > 1 { ",\"bucket\":\"" } else { "\"bucket\":\"" });
                    meta.json.push_str(self.bucket);
                    meta.json.push_str("\"}");
                }
                _ => {
                    let read: Result<Map<String, Value>, _> = serde_json::from_str(&meta.json);
                    if let Ok(mut fields) = read {
                        fields.insert("bucket".to_owned(), self.bucket.into());
                        meta.json = Value::Object(fields).to_string();
                    }
                }
            }
        }
        self.sink.record(record)
    }

    fn finished(&mut self, read: RawRead) -> Result<()> {
        self.sink.finished(read)
    }
}

#[test]
fn a_file_s_name_tells_its_bucket() {
    assert_eq!(bucket("common_crawl/2023-06/en_head_0000.json.gz"), Some("head"));
    assert_eq!(bucket("common_crawl/cc_en_tail-0091.jsonl.gz"), Some("tail"));
    assert_eq!(bucket("common_crawl/tail/en_0000.json.gz"), None);
    assert_eq!(bucket("common_crawl/en_headache_0000.json.gz"), None);
}
