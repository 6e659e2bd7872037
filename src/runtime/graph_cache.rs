//! Optimised graphs on disk, so that a graph that was optimised here once is not optimised again.
//!
//! An entry's file is named by its key and by the sha256 of what is in it: one that is damaged is noticed. A graph that was optimised for one
//! processor is none for another, so the key says which.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use crate::runtime::{
    graph::Graph,
    summed::{Sum, Summed},
};

/// How entries are made and named; another number finds none of the old ones.
const FORMAT: u32 = 1;

/// A graph with more bytes than this for each node is not kept: what is saved is a matter of nodes, what an entry costs one of bytes.
const MOST_BYTES_A_NODE: u64 = 64 << 10;

/// Larger graphs are not kept: protobuf writes no more than 2 GiB, and optimising may make a graph larger.
const MOST_GRAPH_BYTES: u64 = 1 << 30;

/// What was being written for so long is not being written any more.
const ABANDONED: Duration = Duration::from_secs(3600);

const ENTRY: &str = "onnx";
const BEING_WRITTEN: &str = "tmp";

/// Where optimised graphs are kept, and how much of them.
#[derive(Debug, Clone)]
pub struct GraphCacheOptions {
    /// The folder; it is made where it is not there.
    pub folder: PathBuf,
    /// Bytes that all of them take at most; those that were not used for longest go.
    pub most_bytes: u64,
}

/// Optimised graphs on disk.
#[derive(Debug)]
pub(super) struct GraphCache {
    options: GraphCacheOptions,
    /// What a graph is optimised by and for.
    machine: Sum,
    /// Whether it was said that nothing can be kept.
    told: AtomicBool,
    written: AtomicU64,
}

/// An optimised graph that was found.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) bytes: Vec<u8>,
    path: PathBuf,
}

impl GraphCache {
    /// `machine` says what a graph is optimised by and for: the library, and the processor.
    pub(super) fn new(options: GraphCacheOptions, machine: &str) -> Self {
        let machine = Sha256::digest(format!("{FORMAT}\n{machine}")).into();
        Self { options, machine, told: AtomicBool::new(false), written: AtomicU64::new(0) }
    }

    /// Whether an entry of the graph would be read in less time than its optimisation takes.
    pub(super) fn is_worth_it(graph: &Graph) -> bool {
        let bytes = graph.bytes().len() as u64;
        bytes <= graph.nodes().saturating_mul(MOST_BYTES_A_NODE).min(MOST_GRAPH_BYTES)
    }

    /// The optimised form of the graph with that sum; one that is damaged is taken away.
    pub(super) fn find(&self, graph: &Sum) -> Option<Entry> {
        let key = self.key(graph);
        let begins = format!("{key}.");
        for path in self.files(ENTRY).into_iter().filter(|path| name(path).starts_with(&begins)) {
            let Ok(bytes) = fs::read(&path) else { continue };
            let found = Summed::of(bytes);
            if name(&path) != entry_name(&key, &found.sum) {
                self.drop_entry(&Entry { bytes: Vec::new(), path }, "its sum is another one");
                continue;
            }
            // When it was used last; where that cannot be noted, it goes the sooner.
            let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            return Some(Entry { bytes: found.bytes, path });
        }
        None
    }

    /// Takes an entry away that is no good.
    pub(super) fn drop_entry(&self, entry: &Entry, why: &str) {
        tracing::warn!(file = %entry.path.display(), why, "a kept graph is no good: it is made anew");
        let _ = fs::remove_file(&entry.path);
    }

    /// A path to write the optimised form of a graph to; none where nothing can be kept.
    pub(super) fn place(&self, graph: &Sum) -> Option<PathBuf> {
        if let Err(why) = private_folder(&self.options.folder) {
            self.tell(&why.to_string());
            return None;
        }
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let file = format!("{}.{}-{number}.{BEING_WRITTEN}", self.key(graph), process::id());
        Some(self.options.folder.join(file))
    }

    /// Keeps what was written to a place, in the place of what was kept of that graph before.
    pub(super) fn keep(&self, graph: &Sum, place: &Path) {
        let key = self.key(graph);
        let kept = fs::read(place).and_then(|bytes| {
            let entry = self.options.folder.join(entry_name(&key, &Summed::of(bytes).sum));
            fs::rename(place, &entry)?;
            Ok(entry)
        });
        match kept {
            Ok(entry) => {
                let begins = format!("{key}.");
                let others = self.files(ENTRY).into_iter();
                let same = |path: &PathBuf| name(path).starts_with(&begins) && *path != entry;
                others.filter(same).for_each(|path| drop(fs::remove_file(path)));
                self.make_room();
            }
            Err(why) => self.give_up(place, &why.to_string()),
        }
    }

    /// Takes away what could not be written, and says once that it could not.
    pub(super) fn give_up(&self, place: &Path, why: &str) {
        let _ = fs::remove_file(place);
        self.tell(why);
    }

    fn tell(&self, why: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let folder = self.options.folder.display();
            tracing::warn!(%folder, why, "optimised graphs cannot be kept: each load optimises anew");
        }
    }

    /// Takes away what was not used for longest, until the rest is within the bound, and what was never finished.
    fn make_room(&self) {
        let age = |path: &Path| Some((fs::metadata(path).ok()?, path.to_owned()));
        for (metadata, path) in self.files(BEING_WRITTEN).iter().filter_map(|path| age(path)) {
            let old = metadata.modified().ok().and_then(|at| at.elapsed().ok());
            if old.is_some_and(|old| old > ABANDONED) {
                let _ = fs::remove_file(path);
            }
        }
        let mut entries: Vec<_> = self.files(ENTRY).iter().filter_map(|path| age(path)).collect();
        entries.sort_by_key(|(metadata, _)| metadata.modified().ok());
        let mut bytes: u64 = entries.iter().map(|(metadata, _)| metadata.len()).sum();
        for (metadata, path) in entries {
            if bytes <= self.options.most_bytes {
                break;
            }
            let _ = fs::remove_file(path);
            bytes -= metadata.len();
        }
    }

    fn key(&self, graph: &Sum) -> String {
        hex(&Sha256::new().chain_update(self.machine).chain_update(graph).finalize())
    }

    /// The files of a kind; none where the folder is not ours alone.
    fn files(&self, extension: &str) -> Vec<PathBuf> {
        if is_private(&self.options.folder).is_err() {
            return Vec::new();
        }
        let entries = fs::read_dir(&self.options.folder).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let paths = files.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|end| end == extension)).collect()
    }
}

/// Makes the folder where it is not there, for nobody else.
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    is_private(folder)
}

/// Whether nobody else may put anything into the folder: what is in it is run.
fn is_private(folder: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(folder)?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    match metadata.is_dir() && own && metadata.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(io::Error::other(
            "it is no folder that the server owns and nobody else may write to",
        )),
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn entry_name(key: &str, sum: &Sum) -> String {
    format!("{key}.{}.{ENTRY}", hex(sum))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const A: Sum = [1; 32];
    const B: Sum = [2; 32];

    fn cache(folder: &Path, most_bytes: u64) -> GraphCache {
        let folder = folder.join("graphs");
        GraphCache::new(GraphCacheOptions { folder, most_bytes }, "one processor")
    }

    fn put(cache: &GraphCache, graph: &Sum, bytes: &[u8]) {
        let place = cache.place(graph).unwrap();
        fs::write(&place, bytes).unwrap();
        cache.keep(graph, &place);
    }

    fn get(cache: &GraphCache, graph: &Sum) -> Option<Vec<u8>> {
        cache.find(graph).map(|entry| entry.bytes)
    }

    #[test]
    fn what_was_kept_is_found_by_its_graph_on_the_same_machine() {
        let folder = tempfile::tempdir().unwrap();
        let here = cache(folder.path(), 1000);
        assert_eq!(get(&here, &A), None);
        put(&here, &A, b"a");
        put(&here, &B, b"b");
        put(&here, &B, b"b again");
        assert_eq!(get(&here, &A).unwrap(), b"a");
        assert_eq!(get(&here, &B).unwrap(), b"b again");
        assert_eq!(fs::read_dir(&here.options.folder).unwrap().count(), 2);
        let elsewhere = GraphCache::new(here.options.clone(), "another processor");
        assert_eq!(get(&elsewhere, &A), None);
        let mode = fs::metadata(&here.options.folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn what_is_damaged_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1000);
        put(&cache, &A, b"a graph");
        let path = cache.find(&A).unwrap().path;
        fs::write(&path, b"a grapf").unwrap();
        assert_eq!(get(&cache, &A), None);
        assert!(!path.exists());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 10);
        let age = |graph: &Sum, seconds| {
            let file = fs::File::open(cache.find(graph).unwrap().path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        put(&cache, &A, b"1234");
        put(&cache, &B, b"1234");
        age(&A, 100);
        age(&B, 200);
        let abandoned = cache.place(&A).unwrap();
        fs::write(&abandoned, b"half").unwrap();
        put(&cache, &[3; 32], b"1234");
        assert!(get(&cache, &A).is_some() && get(&cache, &B).is_none());
        assert!(abandoned.exists(), "it may be being written");
        let file = fs::File::open(&abandoned).unwrap();
        file.set_modified(SystemTime::now() - ABANDONED * 2).unwrap();
        put(&cache, &B, b"12345678901");
        assert!(!abandoned.exists());
        assert_eq!(cache.files(ENTRY).len(), 0, "it alone is too large");
    }

    #[test]
    fn a_folder_that_is_not_ours_alone_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1000);
        put(&cache, &A, b"a");
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(&cache.options.folder, open).unwrap();
        assert_eq!((get(&cache, &A), cache.place(&B)), (None, None));
        assert!(cache.told.load(Ordering::Relaxed));
        let file = folder.path().join("a file");
        fs::write(&file, b"").unwrap();
        let options = GraphCacheOptions { folder: file.join("graphs"), most_bytes: 9 };
        let nowhere = GraphCache::new(options, "x");
        assert_eq!((get(&nowhere, &A), nowhere.place(&A)), (None, None));
    }

    #[test]
    fn what_could_not_be_written_fails_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1000);
        let place = cache.place(&A).unwrap();
        cache.keep(&A, &place);
        assert_eq!(get(&cache, &A), None);
        assert!(cache.told.load(Ordering::Relaxed));
    }
}
