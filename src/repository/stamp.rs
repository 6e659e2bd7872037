//! What a bundle's directory looks like from outside, so that a change is seen without reading the files.

use std::{ffi::OsString, fs, os::unix::fs::MetadataExt, path::Path};

/// The entries of a directory with what tells one state of a file from another; equal stamps: nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp {
    directory: u64,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: OsString,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// What an object store calls this state of it.
    e_tag: Option<String>,
}

impl Entry {
    fn of(name: OsString, metadata: &fs::Metadata) -> Self {
        Self {
            name,
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            e_tag: None,
        }
    }
}

impl Stamp {
    /// What an object store lists: the name of each object with its size, the time of its last change in milliseconds, and its
    /// tag; and whether the manifest is here.
    pub(super) fn listed<'a>(
        is_here: bool,
        objects: impl Iterator<Item = (&'a str, u64, i64, Option<&'a str>)>,
    ) -> Self {
        let mut entries: Vec<Entry> = objects
            .map(|(name, bytes, modified_ms, e_tag)| Entry {
                name: name.into(),
                inode: 0,
                bytes,
                modified: (modified_ms, 0),
                e_tag: e_tag.map(str::to_owned),
            })
            .collect();
        entries.sort();
        Self { directory: is_here.into(), entries }
    }

    /// The same with a file that stands elsewhere, where there is one.
    pub(super) fn with(mut self, file: &Path) -> Self {
        let name = file.as_os_str().to_owned();
        self.entries.extend(fs::metadata(file).ok().map(|metadata| Entry::of(name, &metadata)));
        self
    }

    /// Looks at a directory; what vanishes meanwhile is left out, and makes another stamp than before.
    pub fn of(path: &Path) -> Self {
        let entry =
            |entry: fs::DirEntry| Some(Entry::of(entry.file_name(), &entry.metadata().ok()?));
        let mut entries: Vec<Entry> =
            fs::read_dir(path).into_iter().flatten().flatten().filter_map(entry).collect();
        entries.sort();
        let directory = fs::metadata(path).map_or(0, |metadata| metadata.ino());
        Self { directory, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_makes_another_stamp() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        let mut stamps = vec![Stamp::of(path)];
        let mut changed = |what: &str| {
            let now = Stamp::of(path);
            assert_eq!(now, Stamp::of(path), "{what}: it is not the same when nothing happens");
            assert!(!stamps.contains(&now), "{what} was not seen");
            stamps.push(now);
        };
        fs::write(path.join("a"), "one")?;
        changed("a new file");
        fs::write(path.join("a"), "one more")?;
        changed("a longer file");
        fs::write(path.join("b"), "one more")?;
        fs::rename(path.join("b"), path.join("a"))?;
        changed("a file in another's place");
        fs::remove_file(path.join("a"))?;
        fs::write(path.join("c"), "")?;
        changed("another name");
        Ok(())
    }
}
