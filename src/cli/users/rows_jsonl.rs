//! The rows of a file with one JSON object a line, plain or gzipped.

use std::{
    io::{BufRead, BufReader, ErrorKind},
    path::Path,
};

use serde_json::Value;

use crate::{
    cli::users::{
        cells::{Cell, Cells, FIELDS},
        rows::{Row, Rows},
    },
    repository::open_text,
};

/// Opens a file; blank lines are no rows.
pub(super) fn open(path: &Path) -> Result<Rows, String> {
    let lines = BufReader::new(open_text(path).map_err(|e| e.to_string())?).lines();
    let rows = (1..).zip(lines).filter_map(|(number, line)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(Ok(Row { line: Some(number), cells: cells_of(&line) })),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Some(Ok(Row { line: Some(number), cells: Err("is not UTF-8".to_owned()) }))
        }
        Err(error) => Some(Err(error.to_string())),
    });
    Ok(Rows { total: None, rows: Box::new(rows) })
}

fn cells_of(line: &str) -> Result<Cells, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("is no JSON: {e}"))?;
    let object = value.as_object().ok_or("is no JSON object")?;
    let cell = |names: &&[&str]| {
        let value = names.iter().find_map(|name| object.get(*name));
        value.map_or(Cell::Missing, cell_of)
    };
    Ok(FIELDS.each_ref().map(cell))
}

fn cell_of(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Missing,
        Value::String(text) => Cell::text(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Cell::Whole(whole),
            (None, Some(fraction)) => Cell::Fraction(fraction),
            (None, None) => Cell::Odd("a number that is too large".to_owned()),
        },
        Value::Bool(_) => Cell::Odd("true or false".to_owned()),
        Value::Array(_) => Cell::Odd("a list".to_owned()),
        Value::Object(_) => Cell::Odd("an object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_becomes_cells() {
        let line = r#"{"user_id": 7, "item": "a", "time": 1.5, "kind": null, "other": [1]}"#;
        let want = [
            Cell::Whole(7),
            Cell::Text("a".to_owned()),
            Cell::Fraction(1.5),
            Cell::Missing,
            Cell::Missing,
        ];
        assert_eq!(cells_of(line), Ok(want));
        assert!(cells_of("{").unwrap_err().contains("no JSON"));
        assert!(cells_of("[1]").unwrap_err().contains("no JSON object"));
    }
}
