//! Reads the lines of request logs, and names those that are none.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Lines, Read, Take},
    path::{Path, PathBuf},
};

use crate::observing::{Entry, SCHEMA};

/// The lines of a log.
type LogLines = Lines<BufReader<Take<File>>>;

/// Lines that are named at most where they are none of a request log.
const MOST_NAMED: usize = 5;

/// The requests of some logs, one after the other.
pub(super) struct LoggedRequests {
    rest: VecDeque<PathBuf>,
    open: Option<(PathBuf, LogLines, u64)>,
    /// Lines that were no requests.
    pub(super) foreign: u64,
    /// The first of them, with what is wrong.
    pub(super) named: Vec<String>,
}

impl LoggedRequests {
    /// Opens each log once, so that one that is not there is told at once.
    pub(super) fn of(logs: &[PathBuf]) -> Result<Self, String> {
        for path in logs {
            open(path)?;
        }
        let rest = VecDeque::from_iter(logs.iter().cloned());
        Ok(Self { rest, open: None, foreign: 0, named: Vec::new() })
    }

    /// The next request; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, String> {
        loop {
            let Some((path, lines, number)) = &mut self.open else {
                let Some(path) = self.rest.pop_front() else { return Ok(None) };
                let lines = open(&path)?;
                self.open = Some((path, lines, 0));
                continue;
            };
            *number += 1;
            let wrong = match lines.next() {
                None => {
                    self.open = None;
                    continue;
                }
                Some(Ok(line)) => match entry_of(&line) {
                    Ok(entry) => return Ok(Some(entry)),
                    Err(wrong) => wrong,
                },
                Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                    "is not UTF-8".to_owned()
                }
                Some(Err(error)) => return Err(format!("{}: {error}", path.display())),
            };
            self.foreign += 1;
            if self.named.len() < MOST_NAMED {
                self.named.push(format!("{}, line {number}: {wrong}", path.display()));
            }
        }
    }
}

/// Opens a log as far as it goes now: the server that is asked may be the one that writes it.
fn open(path: &Path) -> Result<LogLines, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}; name a request log", path.display());
    let file = File::open(path).map_err(wrong)?;
    let bytes = file.metadata().map_err(wrong)?.len();
    Ok(BufReader::new(file.take(bytes)).lines())
}

/// Reads one line; what is wrong with it tells nothing of what it holds.
fn entry_of(line: &str) -> Result<Entry, String> {
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|e| format!("is no JSON at column {}", e.column()))?;
    match value.get("podium_request_log").and_then(serde_json::Value::as_u64) {
        None => return Err("is no line of a request log".to_owned()),
        Some(schema) if schema != u64::from(SCHEMA) => {
            return Err(format!("has the format {schema}, and {SCHEMA} is what is read here"));
        }
        Some(_) => {}
    }
    serde_json::from_value(value).map_err(|_| "is not as docs/request-log.md says".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_request_is_counted_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let entry = Entry { podium_request_log: SCHEMA, ..Entry::default() };
        let good = serde_json::to_string(&entry).unwrap();
        let cut = &good[..good.len() / 2];
        let newer = good.replacen(":1", ":9", 1);
        std::fs::write(&one, format!("{good}\n{cut}\n{{}}\n")).unwrap();
        let lone = "{\"podium_request_log\":1,\"secret\":\"canary\"}";
        std::fs::write(&two, format!("{newer}\n{lone}\n{good}\n")).unwrap();
        let mut read = LoggedRequests::of(&[one, two]).unwrap();
        let mut count = 0;
        while let Some(got) = read.next().unwrap() {
            assert_eq!(got, entry);
            count += 1;
        }
        assert_eq!((count, read.foreign), (2, 4));
        let told = read.named.join("\n");
        for part in [
            "one, line 2: is no JSON",
            "one, line 3: is no line",
            "two, line 1: has the format 9",
            "two, line 2: is not as",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("canary"));
        assert!(LoggedRequests::of(&[folder.path().join("none")]).is_err());
    }
}
