//! What columns hold: their kinds, the cells that are written, the values that are read.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    StructBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_schema::{DataType, Field, Fields};

use crate::document::ScoredSpan;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Text,
    Word,
    Unsigned,
    Integer,
    Number,
    Single,
    Flag,
    Bytes,
    Spans,
}

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
}

impl Column {
    pub(super) fn new(name: &str, kind: Kind) -> Column {
        Column { name: name.to_owned(), kind, nullable: false }
    }

    /// Text that repeats seldom: written as it is.
    pub(super) fn text(name: &str) -> Column {
        Column::new(name, Kind::Text)
    }

    /// Text that repeats often: written once a row group.
    pub(super) fn word(name: &str) -> Column {
        Column::new(name, Kind::Word)
    }

    pub(super) fn nullable(self) -> Column {
        Column { nullable: true, ..self }
    }

    pub(super) fn field(&self) -> Field {
        let kind = match self.kind {
            Kind::Text | Kind::Word => DataType::Utf8,
            Kind::Unsigned => DataType::UInt64,
            Kind::Integer => DataType::Int64,
            Kind::Number => DataType::Float64,
            Kind::Single => DataType::Float32,
            Kind::Flag => DataType::Boolean,
            Kind::Bytes => DataType::Binary,
            Kind::Spans => DataType::List(span_item()),
        };
        Field::new(&self.name, kind, self.nullable)
    }

    pub(super) fn builder(&self) -> Builder {
        match self.kind {
            Kind::Text | Kind::Word => Builder::Text(StringBuilder::new()),
            Kind::Unsigned => Builder::Unsigned(UInt64Builder::new()),
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Number => Builder::Number(Float64Builder::new()),
            Kind::Single => Builder::Single(Float32Builder::new()),
            Kind::Flag => Builder::Flag(BooleanBuilder::new()),
            Kind::Bytes => Builder::Bytes(BinaryBuilder::new()),
            Kind::Spans => {
                let item = StructBuilder::from_fields(span_fields(), 0);
                Builder::Spans(Box::new(ListBuilder::new(item).with_field(span_item())))
            }
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Cell<'c> {
    Null,
    Text(&'c str),
    Unsigned(u64),
    Integer(i64),
    Number(f64),
    Flag(bool),
    Bytes(&'c [u8]),
    Spans(&'c [ScoredSpan]),
}

impl<'c> Cell<'c> {
    pub(super) fn optional(text: Option<&'c str>) -> Cell<'c> {
        text.map_or(Cell::Null, Cell::Text)
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Cell::Text(text) => text.len(),
            Cell::Bytes(bytes) => bytes.len(),
            Cell::Spans(spans) => 16 * spans.len(),
            _ => 8,
        }
    }
}

pub(super) enum Builder {
    Text(StringBuilder),
    Unsigned(UInt64Builder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Single(Float32Builder),
    Flag(BooleanBuilder),
    Bytes(BinaryBuilder),
    Spans(Box<ListBuilder<StructBuilder>>),
}

impl Builder {
    /// A cell of another kind than the column's is a null: stages declare what they write.
    pub(super) fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Builder::Text(to), Cell::Text(value)) => to.append_value(value),
            (Builder::Text(to), _) => to.append_null(),
            (Builder::Unsigned(to), Cell::Unsigned(value)) => to.append_value(value),
            (Builder::Unsigned(to), _) => to.append_null(),
            (Builder::Integer(to), Cell::Integer(value)) => to.append_value(value),
            (Builder::Integer(to), _) => to.append_null(),
            (Builder::Number(to), Cell::Number(value)) => to.append_value(value),
            (Builder::Number(to), _) => to.append_null(),
            (Builder::Single(to), Cell::Number(value)) => to.append_value(value as f32),
            (Builder::Single(to), _) => to.append_null(),
            (Builder::Flag(to), Cell::Flag(value)) => to.append_value(value),
            (Builder::Flag(to), _) => to.append_null(),
            (Builder::Bytes(to), Cell::Bytes(value)) => to.append_value(value),
            (Builder::Bytes(to), _) => to.append_null(),
            (Builder::Spans(to), Cell::Spans(spans)) => {
                let parts = to.values();
                if let Some(start) = parts.field_builder::<UInt32Builder>(0) {
                    spans.iter().for_each(|span| start.append_value(span.start));
                }
                if let Some(end) = parts.field_builder::<UInt32Builder>(1) {
                    spans.iter().for_each(|span| end.append_value(span.end));
                }
                if let Some(score) = parts.field_builder::<Float64Builder>(2) {
                    spans.iter().for_each(|span| score.append_option(span.score));
                }
                spans.iter().for_each(|_| parts.append(true));
                to.append(true);
            }
            (Builder::Spans(to), _) => to.append_null(),
        }
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(from) => Arc::new(from.finish()),
            Builder::Unsigned(from) => Arc::new(from.finish()),
            Builder::Integer(from) => Arc::new(from.finish()),
            Builder::Number(from) => Arc::new(from.finish()),
            Builder::Single(from) => Arc::new(from.finish()),
            Builder::Flag(from) => Arc::new(from.finish()),
            Builder::Bytes(from) => Arc::new(from.finish()),
            Builder::Spans(from) => Arc::new(from.finish()),
        }
    }
}

pub(super) enum Value<'b> {
    Text(&'b str),
    Unsigned(u64),
    Integer(i64),
    Number(f64),
    Flag(bool),
    Bytes(&'b [u8]),
    Spans(Vec<ScoredSpan>),
}

impl<'b> Value<'b> {
    pub(super) fn at(batch: &'b RecordBatch, column: &str, row: usize) -> Option<Value<'b>> {
        Value::of(batch.column_by_name(column)?, row)
    }

    pub(super) fn of(array: &'b dyn Array, row: usize) -> Option<Value<'b>> {
        if array.is_null(row) {
            return None;
        }
        Some(match array.data_type() {
            DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row)),
            DataType::UInt64 => Value::Unsigned(array.as_primitive::<UInt64Type>().value(row)),
            DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Value::Number(array.as_primitive::<Float64Type>().value(row)),
            DataType::Float32 => Value::Number(f64::from(array.as_primitive::<Float32Type>().value(row))),
            DataType::Boolean => Value::Flag(array.as_boolean().value(row)),
            DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row)),
            DataType::List(_) => Value::Spans(spans_of(array.as_list::<i32>().value(row).as_struct_opt()?)?),
            _ => return None,
        })
    }
}

fn spans_of(list: &StructArray) -> Option<Vec<ScoredSpan>> {
    let place = |name| list.column_by_name(name)?.as_primitive_opt::<UInt32Type>();
    let (start, end) = (place("start")?, place("end")?);
    let score = list.column_by_name("score")?.as_primitive_opt::<Float64Type>()?;
    let of = |at| ScoredSpan {
        start: start.value(at),
        end: end.value(at),
        score: score.is_valid(at).then(|| score.value(at)),
    };
    Some((0..list.len()).map(of).collect())
}

/// What a part of a text consists of.
fn span_fields() -> Fields {
    [("start", DataType::UInt32, false), ("end", DataType::UInt32, false), ("score", DataType::Float64, true)]
        .into_iter()
        .map(|(name, kind, nullable)| Field::new(name, kind, nullable))
        .collect()
}

/// An item of a list of them.
fn span_item() -> Arc<Field> {
    Arc::new(Field::new_struct("element", span_fields(), false))
}
