//! Remembers versions that passed their trial, so that a restart does not try them again.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use crate::{app::trial::message::Report, repository::Bundle};

/// Records beyond this number push out the oldest.
const MOST: usize = 4096;

/// A directory of reports, each under the sum of all that it depends on.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    dir: PathBuf,
}

impl Passed {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The report of a trial of the same version under the same conditions.
    pub(super) fn get(&self, key: &str) -> Option<Report> {
        serde_json::from_str(&fs::read_to_string(self.path(key)).ok()?).ok()
    }

    /// Keeps a report; a directory that cannot be written to costs no more than another trial.
    pub(super) fn put(&self, key: &str, report: &Report) {
        if let Err(cause) = self.write(key, report) {
            let dir = self.dir.display();
            tracing::info!(%cause, %dir, "a trial cannot be remembered; it is made again after a restart");
        }
    }

    fn write(&self, key: &str, report: &Report) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        // Servers that share the directory may write the same record at the same time.
        let new = self.dir.join(format!(".{key}.{}", std::process::id()));
        fs::write(&new, serde_json::to_string(report)?)?;
        fs::rename(&new, self.path(key))?;
        forget_oldest(&self.dir, MOST)
    }

    fn path(&self, key: &str) -> PathBuf {
        self.dir.join(format!("{key}.json"))
    }
}

fn forget_oldest(dir: &Path, most: usize) -> std::io::Result<()> {
    let entries = fs::read_dir(dir)?.flatten();
    let mut records: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    let beyond = records.len().saturating_sub(most);
    records.sort();
    for (_, oldest) in records.into_iter().take(beyond) {
        let _ = fs::remove_file(oldest);
    }
    Ok(())
}

/// The sum of a bundle as it was read: of its manifest, which has the sums of its files.
pub(super) fn sum_of(bundle: &Bundle) -> String {
    sum(&format!("{:?}", bundle.manifest))
}

/// The sum of a text, as hexadecimal digits.
pub(super) fn sum(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_is_remembered_until_newer_ones_push_it_out() {
        let folder = tempfile::tempdir().unwrap();
        let passed = Passed::new(folder.path().join("trials"));
        assert_eq!(passed.get("a"), None);
        let report = Report { memory: 7, cost: vec![(1, 2.5)], ..Report::default() };
        passed.put("a", &report);
        assert_eq!(passed.get("a"), Some(report));
        assert_eq!(passed.get("b"), None);
        fs::write(folder.path().join("trials/c.json"), "half a rec").unwrap();
        assert_eq!(passed.get("c"), None);
        forget_oldest(&folder.path().join("trials"), 1).unwrap();
        assert_eq!((passed.get("a"), passed.path("c").exists()), (None, true));
    }
}
