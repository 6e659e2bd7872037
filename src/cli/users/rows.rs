//! The rows of a file, whatever its format.

use std::path::Path;

use crate::cli::users::{cells::Cells, rows_csv, rows_jsonl, rows_parquet};

/// One row of a file.
#[derive(Debug)]
pub(super) struct Row {
    /// The line that it stands on, where the file has lines.
    pub(super) line: Option<u64>,
    /// Its cells, or what is wrong with all of it.
    pub(super) cells: Result<Cells, String>,
}

/// The rows of a file; an error is one that no further row can be read after.
pub(super) type RowIter = Box<dyn Iterator<Item = Result<Row, String>>>;

/// The rows of a file.
pub(super) struct Rows {
    /// How many there are, where the file says so.
    pub(super) total: Option<u64>,
    /// The rows.
    pub(super) rows: RowIter,
}

/// Opens a file; its name says its format.
pub(super) fn open(path: &Path) -> Result<Rows, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let opened = if plain.ends_with(".csv") {
        rows_csv::open(path)
    } else if plain.ends_with(".jsonl") {
        rows_jsonl::open(path)
    } else if name.ends_with(".parquet") {
        rows_parquet::open(path)
    } else {
        Err("is none of .csv, .csv.gz, .jsonl, .jsonl.gz and .parquet".to_owned())
    };
    opened.map_err(|wrong| format!("{}: {wrong}", path.display()))
}
