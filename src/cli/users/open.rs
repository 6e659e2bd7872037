//! Which format a file has.

use std::path::Path;

use crate::cli::users::{rows::Rows, rows_csv, rows_jsonl, rows_parquet};

/// Opens a file; its name says its format.
///
/// # Errors
/// The file, and what keeps it from being read.
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
