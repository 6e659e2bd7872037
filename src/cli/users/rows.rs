//! The rows of a file, whatever its format.

use crate::cli::users::cells::Cells;

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
