//! The rows of a CSV file, plain or gzipped.

use std::path::Path;

use csv::{Error, ErrorKind, Position};

use crate::{
    cli::users::{
        cells::{Cell, FIELDS},
        rows::{Row, Rows},
    },
    repository::read_table,
};

/// Opens a file with a header.
pub(super) fn open(path: &Path) -> Result<Rows, String> {
    let mut table = read_table(path).map_err(|e| e.to_string())?;
    let header = table.headers().map_err(|e| e.to_string())?.clone();
    let place = |names: &&[&str]| header.iter().position(|column| names.contains(&column));
    let places = FIELDS.each_ref().map(place);
    if let Some(missing) = places.iter().take(3).position(Option::is_none) {
        let given = header.iter().collect::<Vec<_>>().join(", ");
        let wanted = FIELDS[missing].join("` or `");
        return Err(format!("has no column `{wanted}`; it has: {given}"));
    }
    let rows = table.into_records().map(move |record| match record {
        Ok(record) => {
            let cell = |place: Option<usize>| {
                place.and_then(|place| record.get(place)).map_or(Cell::Missing, Cell::text)
            };
            Ok(Row { line: record.position().map(Position::line), cells: Ok(places.map(cell)) })
        }
        Err(error) => broken(&error),
    });
    Ok(Rows { total: None, rows: Box::new(rows) })
}

/// A record that is no row; after an error of the file there is no further one.
fn broken(error: &Error) -> Result<Row, String> {
    let line = error.position().map(Position::line);
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let wrong = format!("has {len} cells, and the header {expected_len}");
            Ok(Row { line, cells: Err(wrong) })
        }
        ErrorKind::Utf8 { .. } => Ok(Row { line, cells: Err("is not UTF-8".to_owned()) }),
        _ => Err(error.to_string()),
    }
}
