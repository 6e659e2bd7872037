//! A file of lines that is followed by another one when it is full; the oldest ones are removed.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Who may read the file: its owner.
const MODE: u32 = 0o600;

/// A file that is written, and those that it was before.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    max_files: usize,
    /// None where it could not be opened.
    file: Option<File>,
    bytes: u64,
    /// Whether the last line is whole.
    is_whole: bool,
}

impl RotatingFile {
    /// Opens the file to go on behind what is there.
    ///
    /// # Errors
    /// The cause.
    pub(super) fn open(path: &Path, max_bytes: u64, max_files: usize) -> io::Result<Self> {
        let (file, bytes) = opened(path)?;
        let path = path.to_owned();
        // A line that was cut off may end it.
        Ok(Self { path, max_bytes, max_files, file: Some(file), bytes, is_whole: bytes == 0 })
    }

    /// Writes one line, in another file where this one would become too large by it.
    ///
    /// # Errors
    /// The cause; the line is not written, or not whole.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        let length = line.len() as u64 + 1;
        if self.bytes > 0 && self.bytes + length > self.max_bytes {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let (file, bytes) = opened(&self.path)?;
                (self.bytes, self.is_whole) = (bytes, bytes == 0);
                none.insert(file)
            }
        };
        let mut text = String::with_capacity(line.len() + 2);
        if !self.is_whole {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
        self.is_whole = false;
        self.bytes += text.len() as u64;
        file.write_all(text.as_bytes())?;
        self.is_whole = true;
        Ok(())
    }

    /// Gives each file the next number, removes what is too many, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        let most = self.max_files.saturating_sub(1);
        for number in (0..most).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        if most == 0 {
            fs::remove_file(&self.path)?;
        }
        self.bytes = 0;
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        match number {
            0 => self.path.clone(),
            number => {
                let mut name = OsString::from(&self.path);
                name.push(format!(".{number}"));
                name.into()
            }
        }
    }
}

fn opened(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(max_files: usize, want: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for lines in [0..3, 3..7] {
            let mut file = RotatingFile::open(&path, 12, max_files).unwrap();
            for number in lines {
                file.write(&format!("line{number}")).unwrap();
            }
        }
        let numbers = (0..9).map(|number| match number {
            0 => path.clone(),
            number => folder.path().join(format!("log.{number}")),
        });
        let texts: Vec<String> = numbers
            .filter_map(|path| fs::read_to_string(path).ok())
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(texts, want, "{max_files} files");
    }

    #[test]
    fn so_many_files_are_kept_of_so_many_bytes() {
        check(1, &["line6"]);
        check(2, &["line6", "line4 line5"]);
        check(9, &["line6", "line4 line5", "line2 line3", "line0 line1"]);
    }

    #[test]
    fn a_line_that_was_cut_off_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "{\"half\":").unwrap();
        RotatingFile::open(&path, 1000, 2).unwrap().write("whole").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"half\":\nwhole\n");
        let missing = folder.path().join("no/such/log");
        assert!(RotatingFile::open(&missing, 1000, 2).is_err());
    }
}
