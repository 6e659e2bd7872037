//! Reads the text files of a bundle, plain or gzipped.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;

/// The columns that a file of histories has at least.
pub const HISTORY_COLUMNS: [&str; 3] = ["user", "item", "time"];

/// Opens a CSV file with a header, plain or `.gz`, for streaming.
///
/// # Errors
/// When the file cannot be opened.
pub fn read_table(path: &Path) -> io::Result<csv::Reader<Box<dyn Read>>> {
    Ok(csv::Reader::from_reader(open_text(path)?))
}

/// Reads the lines of a UTF-8 file, plain or `.gz`.
///
/// # Errors
/// When the file cannot be read or is not UTF-8.
pub fn read_lines(path: &Path) -> io::Result<Vec<String>> {
    BufReader::new(open_text(path)?).lines().collect()
}

/// Opens a file, plain or `.gz`.
///
/// # Errors
/// When the file cannot be opened.
pub fn open_text(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = BufReader::new(File::open(path)?);
    Ok(match path.extension().is_some_and(|e| e == "gz") {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    })
}
