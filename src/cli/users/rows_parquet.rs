//! The rows of a Parquet file.

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    basic::{LogicalType, TimeUnit},
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, reader::RowIter},
    schema::types::Type,
};

use crate::cli::users::{
    cells::{Cell, Cells, FIELDS},
    rows::{Row, Rows},
};

/// Opens a file; only the columns that an event is made of are read.
pub(super) fn open(path: &Path) -> Result<Rows, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(|e| e.to_string())?;
    let metadata = reader.metadata().file_metadata();
    let total = u64::try_from(metadata.num_rows()).ok();
    let schema = metadata.schema();
    let columns = FIELDS.each_ref().map(|names| {
        schema.get_fields().iter().find(|column| names.contains(&column.name())).cloned()
    });
    if let Some(missing) = columns.iter().take(3).position(Option::is_none) {
        let given: Vec<&str> = schema.get_fields().iter().map(|column| column.name()).collect();
        let wanted = FIELDS[missing].join("` or `");
        return Err(format!("has no column `{wanted}`; it has: {}", given.join(", ")));
    }
    let nested = columns.iter().flatten().find(|column| !column.is_primitive());
    if let Some(column) = nested {
        return Err(format!("the column `{}` is nested; write one value a row", column.name()));
    }
    let wanted: Vec<Arc<Type>> = columns.iter().flatten().cloned().collect();
    let wanted = Type::group_type_builder(schema.name()).with_fields(wanted).build();
    let rows = RowIter::from_file_into(Box::new(reader))
        .project(Some(wanted.map_err(|e| e.to_string())?))
        .map_err(|e| e.to_string())?;
    let columns = columns.map(|column| column.map(|column| Column::of(&column)));
    let rows = rows.map(move |row| {
        let fields = row.map_err(|e| e.to_string())?.into_columns();
        Ok(Row { line: None, cells: Ok(cells_of(&columns, fields)) })
    });
    Ok(Rows { total, rows: Box::new(rows) })
}

/// What is to be known of a column.
struct Column {
    name: String,
    /// Steps a second, where it holds moments.
    steps: Option<i64>,
}

impl Column {
    fn of(column: &Type) -> Self {
        let steps = match column.get_basic_info().logical_type_ref() {
            Some(LogicalType::Timestamp { unit: TimeUnit::MILLIS, .. }) => Some(1_000),
            Some(LogicalType::Timestamp { unit: TimeUnit::MICROS, .. }) => Some(1_000_000),
            Some(LogicalType::Timestamp { unit: TimeUnit::NANOS, .. }) => Some(1_000_000_000),
            _ => None,
        };
        Self { name: column.name().to_owned(), steps }
    }
}

fn cells_of(columns: &[Option<Column>; 5], mut fields: Vec<(String, Field)>) -> Cells {
    columns.each_ref().map(|column| {
        let Some(column) = column else { return Cell::Missing };
        let found = fields.iter_mut().find(|(name, _)| *name == column.name);
        found.map_or(Cell::Missing, |(_, field)| {
            cell_of(std::mem::replace(field, Field::Null), column.steps)
        })
    })
}

fn cell_of(field: Field, steps: Option<i64>) -> Cell {
    match field {
        Field::Null => Cell::Missing,
        Field::Str(text) => Cell::text(&text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Cell::text(text),
            Err(_) => Cell::Odd("bytes that are not UTF-8".to_owned()),
        },
        Field::Byte(number) => Cell::Whole(number.into()),
        Field::Short(number) => Cell::Whole(number.into()),
        Field::Int(number) => Cell::Whole(number.into()),
        Field::Long(number) => match steps {
            Some(steps) => Cell::Moment(number.div_euclid(steps)),
            None => Cell::Whole(number),
        },
        Field::UByte(number) => Cell::Whole(number.into()),
        Field::UShort(number) => Cell::Whole(number.into()),
        Field::UInt(number) => Cell::Whole(number.into()),
        Field::ULong(number) => {
            i64::try_from(number).map_or_else(|_| Cell::Text(number.to_string()), Cell::Whole)
        }
        Field::Float(number) => Cell::Fraction(number.into()),
        Field::Double(number) => Cell::Fraction(number),
        Field::Date(days) => Cell::Moment(i64::from(days) * 86_400),
        Field::TimestampMillis(time) => Cell::Moment(time.div_euclid(1_000)),
        Field::TimestampMicros(time) => Cell::Moment(time.div_euclid(1_000_000)),
        _ => Cell::Odd("of a type that is not read".to_owned()),
    }
}
