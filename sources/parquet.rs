//! Parquet, row by row: one row is one record, its columns are as in a line of JSON.

use std::borrow::Cow;
use std::fmt::Write;
use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use ::parquet::basic::{ConvertedType, Type as PhysicalType};
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::{SchemaDescriptor, Type};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};
use corpus::{Evidence, Reason};

use crate::Result;
use crate::format::{Reading, Shape, quote};
use crate::raw::Damage;

/// Rows that are decoded at once, at most.
const ROWS: usize = 16;

/// Bytes that such rows should take, going by the mean of their row group.
const BYTES: i64 = 8 << 20;

/// Reads all rows of a file, up to where it is damaged.
///
/// A fault of the disk may be taken for damage here; the whole file is read once more for its
/// digest, and there it is a fault.
pub(crate) fn read(file: File, shape: &Shape<'_>, reading: &mut Reading<'_>) -> Result<Option<Damage>> {
    match rows(file, shape, reading) {
        Ok(()) => Ok(None),
        Err(Fault::Read(error)) => Err(error),
        Err(Fault::Broken(detail)) => Ok(Some(Damage { reason: Reason("bad_parquet"), detail })),
    }
}

enum Fault {
    Read(crate::Error),
    Broken(String),
}

impl From<crate::Error> for Fault {
    fn from(error: crate::Error) -> Fault {
        Fault::Read(error)
    }
}

/// Runs the decoder, which panics on some broken files where it should say so.
fn guarded<T, E: ToString>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(decoded) => decoded.map_err(|error| Fault::Broken(error.to_string())),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            Err(Fault::Broken(format!("the decoder gave up: {said}")))
        }
    }
}

fn rows(file: File, shape: &Shape<'_>, reading: &mut Reading<'_>) -> Result<(), Fault> {
    let plain = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = guarded(|| {
        let metadata = ArrowReaderMetadata::load(&file, plain())?;
        // Strings are read as bytes: the one that is not UTF-8 makes its row unusable, not the file.
        let of_bytes = of_bytes(metadata.parquet_schema())?;
        ArrowReaderMetadata::load(&file, plain().with_parquet_schema(of_bytes))
    })?;
    let schema = metadata.schema().clone();
    let text = shape.text.iter().find_map(|name| schema.index_of(name).ok());
    let missing = match text {
        None => Some(shape.text[0]),
        Some(_) => shape.missing(|wanted| schema.index_of(wanted).is_ok()),
    };
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let (Some(text), None) = (text, missing) else {
        let missing = missing.unwrap_or_default();
        for group in builder.metadata().row_groups() {
            let mean = group.total_byte_size() / group.num_rows().max(1);
            for _ in 0..group.num_rows() {
                reading.unusable(Reason("missing_column"), Evidence::found(missing), mean.max(0) as u64)?;
            }
        }
        return Ok(());
    };
    let groups = builder.metadata().row_groups().iter();
    let rows = groups.map(|group| BYTES / (group.total_byte_size() / group.num_rows().max(1)).max(1)).min();
    let rows = rows.map_or(ROWS, |rows| (rows.max(1) as usize).min(ROWS));
    let mut row = Row::default();
    let mut batches = guarded(|| builder.with_batch_size(rows).build())?;
    while let Some(batch) = guarded(|| batches.next().transpose())? {
        for index in 0..batch.num_rows() {
            row.read(&batch, &schema, index, text, shape, reading)?;
        }
    }
    Ok(())
}

/// A schema without the words that make byte arrays strings.
fn of_bytes(schema: &SchemaDescriptor) -> Result<Arc<SchemaDescriptor>, ParquetError> {
    let root = schema.root_schema();
    let mut fields = Vec::new();
    for field in root.get_fields() {
        if !field.is_primitive() || field.get_physical_type() != PhysicalType::BYTE_ARRAY {
            fields.push(field.clone());
            continue;
        }
        let info = field.get_basic_info();
        if info.converted_type() != ConvertedType::UTF8 {
            fields.push(field.clone());
            continue;
        }
        let bytes = Type::primitive_type_builder(field.name(), PhysicalType::BYTE_ARRAY);
        fields.push(Arc::new(bytes.with_repetition(info.repetition()).build()?));
    }
    let root = Type::group_type_builder(root.name()).with_fields(fields).build()?;
    Ok(Arc::new(SchemaDescriptor::new(Arc::new(root))))
}

/// Room for one row's columns as JSON, kept from row to row.
#[derive(Default)]
struct Row {
    json: String,
    values: Vec<Range<usize>>,
}

impl Row {
    fn read(
        &mut self,
        batch: &RecordBatch,
        schema: &Schema,
        index: usize,
        text: usize,
        shape: &Shape<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<()> {
        self.json.clear();
        self.values.clear();
        let mut whole = true;
        for (place, column) in batch.columns().iter().enumerate() {
            let start = self.json.len();
            if place != text {
                whole &= value(column, index, &mut self.json);
            }
            self.values.push(start..self.json.len());
        }
        let bytes = self.json.len() as u64;
        let content = batch.column(text);
        let content = match content.data_type() {
            _ if content.is_null(index) => return reading.unusable(Reason("no_text"), Evidence::None, bytes),
            DataType::Binary => content.as_binary::<i32>().value(index),
            DataType::LargeBinary => content.as_binary::<i64>().value(index),
            other => return reading.unusable(Reason("wrong_type"), Evidence::found(other.to_string()), bytes),
        };
        let bytes = bytes + content.len() as u64;
        let max = reading.limits.max_document;
        if content.len() > max {
            let evidence = Evidence::bound(content.len() as f64, max as f64);
            return reading.unusable(Reason("too_large"), evidence, bytes);
        }
        let content = match std::str::from_utf8(content) {
            Ok(content) if whole => content,
            Ok(_) => {
                let evidence = Evidence::found("in a column beside the text");
                return reading.unusable(Reason("bad_utf8"), evidence, bytes);
            }
            Err(error) => return reading.unusable(Reason("bad_utf8"), Evidence::found(error.to_string()), bytes),
        };
        let names = schema.fields().iter().map(|field| Cow::Borrowed(field.name().as_str()));
        let values = self.values.iter().map(|range| &self.json[range.clone()]);
        let columns: Vec<(Cow<'_, str>, &str)> =
            names.zip(values).enumerate().filter(|(place, _)| *place != text).map(|(_, column)| column).collect();
        let name = schema.field(text).name();
        match shape.meta(name, &columns) {
            Ok(meta) => reading.document(content.to_owned(), meta),
            Err((reason, evidence)) => reading.unusable(reason, evidence, bytes),
        }
    }
}

/// Appends a value as JSON; whether it could be written. Types that JSON has no word for are null.
fn value(array: &dyn Array, index: usize, json: &mut String) -> bool {
    if array.is_null(index) {
        json.push_str("null");
        return true;
    }
    macro_rules! number {
        ($($kind:ident => $primitive:ident),*) => {
            match array.data_type() {
                $(DataType::$kind => {
                    // Writing to a string cannot fail.
                    let _ = write!(json, "{}", array.as_primitive::<$primitive>().value(index));
                    return true;
                })*
                _ => {}
            }
        };
    }
    number!(Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
            UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type);
    match array.data_type() {
        DataType::Boolean => json.push_str(if array.as_boolean().value(index) { "true" } else { "false" }),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(index)), json),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(index), json),
        DataType::Utf8 => quote(array.as_string::<i32>().value(index), json),
        DataType::LargeUtf8 => quote(array.as_string::<i64>().value(index), json),
        DataType::Binary => return bytes(array.as_binary::<i32>().value(index), json),
        DataType::LargeBinary => return bytes(array.as_binary::<i64>().value(index), json),
        DataType::Date32 => date(i64::from(array.as_primitive::<Date32Type>().value(index)), json),
        DataType::Timestamp(unit, zone) => {
            let (ticks, per_second) = match unit {
                TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().value(index), 1),
                TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().value(index), 1_000),
                TimeUnit::Microsecond => (array.as_primitive::<TimestampMicrosecondType>().value(index), 1_000_000),
                TimeUnit::Nanosecond => (array.as_primitive::<TimestampNanosecondType>().value(index), 1_000_000_000),
            };
            moment(ticks, per_second, zone.is_some(), json);
        }
        DataType::List(_) => return list(&array.as_list::<i32>().value(index), json),
        DataType::LargeList(_) => return list(&array.as_list::<i64>().value(index), json),
        DataType::Struct(fields) => {
            let record = array.as_struct();
            json.push('{');
            for (place, field) in fields.iter().enumerate() {
                if place > 0 {
                    json.push(',');
                }
                quote(field.name(), json);
                json.push(':');
                if !value(record.column(place), index, json) {
                    return false;
                }
            }
            json.push('}');
        }
        _ => json.push_str("null"),
    }
    true
}

fn list(items: &dyn Array, json: &mut String) -> bool {
    json.push('[');
    for index in 0..items.len() {
        if index > 0 {
            json.push(',');
        }
        if !value(items, index, json) {
            return false;
        }
    }
    json.push(']');
    true
}

fn bytes(bytes: &[u8], json: &mut String) -> bool {
    let text = std::str::from_utf8(bytes);
    if let Ok(text) = text {
        quote(text, json);
    }
    text.is_ok()
}

fn float(value: f64, json: &mut String) {
    if !value.is_finite() {
        json.push_str("null");
        return;
    }
    let _ = write!(json, "{value:?}");
}

/// A day, counted from 1970-01-01, as `YYYY-MM-DD`.
fn date(days: i64, json: &mut String) {
    let (year, month, day) = civil(days);
    let _ = write!(json, "\"{year:04}-{month:02}-{day:02}\"");
}

fn moment(ticks: i64, per_second: i64, zoned: bool, json: &mut String) {
    let (seconds, fraction) = (ticks.div_euclid(per_second), ticks.rem_euclid(per_second));
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let _ = write!(json, "\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction > 0 {
        let width = per_second.ilog10() as usize;
        let digits = format!("{fraction:0width$}");
        let _ = write!(json, ".{}", digits.trim_end_matches('0'));
    }
    json.push_str(if zoned { "Z\"" } else { "\"" });
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: years begin in
/// March, so that the leap day is their last, and 400 of them have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + late, month, day - first + 1)
}

#[test]
fn days_have_dates() {
    assert_eq!(civil(0), (1970, 1, 1));
    assert_eq!(civil(-1), (1969, 12, 31));
    assert_eq!(civil(19_782), (2024, 2, 29));
    let mut json = String::new();
    moment(1_556_197_074_120, 1_000, true, &mut json);
    assert_eq!(json, "\"2019-04-25T12:57:54.12Z\"");
}
