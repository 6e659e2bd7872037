//! The bundles of object stores that are kept on this machine.
//!
//! `<cache>/bundles/<store>/<manifest>/<name>/<version>/<file>`: `<store>` stands for the repository's address, `<manifest>` for
//! what is in `model.toml`. A file is put there only once it has the sum that this manifest gives it, so the manifests
//! together are the index by which a file of the same sum is found.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use crate::{
    ids::ModelId,
    repository::{
        bucket::{
            incoming::{Incoming, clear},
            room::{Kept, leaving},
        },
        bundle::read_manifest,
        contents::{MANIFEST, hex, is_plain},
        error::RepositoryError,
    },
};

/// The folder of files that are on their way.
const INCOMING: &str = "incoming";

/// The bundles that are kept on this machine, of one repository's.
#[derive(Debug)]
pub(super) struct Cache {
    /// The folder of all repositories.
    root: PathBuf,
    /// The folder of this one.
    own: PathBuf,
    /// How many bytes all of them may take.
    bound: u64,
}

impl Cache {
    /// Names the place; nothing is made yet.
    pub(super) fn new(cache_dir: &Path, address: &str, bound: u64) -> Self {
        let root = cache_dir.join("bundles");
        let own = root.join(short_sum(address.as_bytes()));
        Self { root, own, bound }
    }

    /// The folder of all repositories.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of this repository.
    pub(super) fn own(&self) -> &Path {
        &self.own
    }

    /// Makes the folders, which nobody else may read, and clears what earlier processes left half-way.
    pub(super) fn prepare(&self) -> Result<(), RepositoryError> {
        let incoming = self.root.join(INCOMING);
        for folder in [&self.own, &incoming] {
            make_private(folder).map_err(|cause| uncacheable(folder, cause))?;
        }
        let owner = fs::symlink_metadata(&self.root).map_err(|e| uncacheable(&self.root, e))?;
        if !owner.is_dir() || owner.uid() != rustix::process::geteuid().as_raw() {
            let cause = io::Error::other("it belongs to somebody else");
            return Err(uncacheable(&self.root, cause));
        }
        clear(&incoming).map_err(|cause| uncacheable(&incoming, cause))
    }

    /// Where a version is kept whose manifest this stands for.
    pub(super) fn home(&self, id: &ModelId, manifest: &str) -> PathBuf {
        let version = Path::new(id.name.as_str()).join(id.version.to_string());
        self.own.join(manifest).join(version)
    }

    /// Keeps a version's manifest, and returns what stands for it.
    pub(super) fn keep_manifest(
        &self,
        id: &ModelId,
        manifest: &[u8],
    ) -> Result<String, RepositoryError> {
        let sum = short_sum(manifest);
        let path = self.home(id, &sum).join(MANIFEST);
        if !path.is_file() {
            self.keep(&path, manifest)?;
        }
        Ok(sum)
    }

    /// Writes a small file in one step.
    pub(super) fn keep(&self, path: &Path, bytes: &[u8]) -> Result<(), RepositoryError> {
        let folder = path.parent().unwrap_or(&self.own);
        make_private(folder).map_err(|cause| uncacheable(folder, cause))?;
        let mut incoming = self.begin()?;
        incoming.write(bytes).map_err(|cause| uncacheable(path, cause))?;
        incoming.keep(path).map_err(|cause| uncacheable(path, cause))
    }

    /// Begins a file that is to come in here.
    pub(super) fn begin(&self) -> Result<Incoming, RepositoryError> {
        let folder = self.root.join(INCOMING);
        let begun = make_private(&folder).and_then(|()| Incoming::begin(&folder));
        begun.map_err(|cause| uncacheable(&folder, cause))
    }

    /// A file of this sum that another version has.
    pub(super) fn known(&self, sum: &str) -> Option<PathBuf> {
        for home in self.homes() {
            let Ok(manifest) = read_manifest(&home) else {
                continue;
            };
            let same =
                |(name, own): &(&String, &String)| own.eq_ignore_ascii_case(sum) && is_plain(name);
            let files = manifest.files.iter().filter(same).map(|(name, _)| home.join(name));
            if let Some(file) = files.into_iter().find(|file| is_regular(file)) {
                return Some(file);
            }
        }
        None
    }

    /// Sees to it that there is room for so many more bytes: other bundles leave, unless they are in use. Of those that are
    /// listed the manifests stay.
    pub(super) fn make_room(
        &self,
        needed: u64,
        in_use: &[&Path],
        listed: &[PathBuf],
    ) -> Result<(), RepositoryError> {
        let homes = self.homes();
        let parts: Vec<Vec<(PathBuf, u64)>> =
            homes.iter().map(|home| movable(home, listed.contains(home))).collect();
        let kept: Vec<Kept> = homes
            .iter()
            .zip(&parts)
            .map(|(home, parts)| Kept {
                bytes: parts.iter().map(|(_, bytes)| bytes).sum(),
                used: used(home),
                in_use: in_use.contains(&home.as_path()),
            })
            .collect();
        let bound = self.bound;
        let leaves = leaving(&kept, needed, bound)
            .map_err(|missing| RepositoryError::CacheFull { needed, missing, bound })?;
        for at in leaves {
            tracing::info!(path = %homes[at].display(), "a bundle leaves the cache to make room");
            for (file, _) in &parts[at] {
                fs::remove_file(file).map_err(|cause| uncacheable(file, cause))?;
            }
            // The folders go where they are empty.
            for folder in homes[at].ancestors().take(3) {
                let _ = fs::remove_dir(folder);
            }
        }
        let space =
            rustix::fs::statvfs(&self.root).map_err(|e| uncacheable(&self.root, e.into()))?;
        match needed.saturating_sub(space.f_bavail.saturating_mul(space.f_frsize)) {
            0 => Ok(()),
            missing => Err(RepositoryError::DiskFull { path: self.root.clone(), missing }),
        }
    }

    /// Notes that a version is used.
    pub(super) fn touch(&self, home: &Path) {
        let manifest = fs::File::options().write(true).open(home.join(MANIFEST));
        let touched = manifest.and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(cause) = touched {
            tracing::warn!(path = %home.display(), %cause, "when a bundle was last used cannot be noted");
        }
    }

    /// The directories of versions, of all repositories.
    fn homes(&self) -> Vec<PathBuf> {
        let mut level = vec![self.root.clone()];
        for _ in ["store", "manifest", "name", "version"] {
            level = level.iter().flat_map(|folder| folders(folder)).collect();
        }
        level
    }
}

/// An error of the disk: a full one is told apart.
pub(super) fn uncacheable(path: &Path, cause: io::Error) -> RepositoryError {
    let path = path.to_owned();
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            RepositoryError::DiskFull { path, missing: 1 }
        }
        _ => RepositoryError::Uncacheable { path, cause },
    }
}

/// Whether something is a file of its own.
pub(super) fn is_regular(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}

fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

/// The files that leave with a bundle, each with its size.
fn movable(home: &Path, manifest_stays: bool) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    entries
        .filter(|entry| !(manifest_stays && entry.file_name() == MANIFEST))
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len())))
        .collect()
}

fn used(home: &Path) -> SystemTime {
    let modified = fs::metadata(home.join(MANIFEST)).and_then(|metadata| metadata.modified());
    modified.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The beginning of a sha256, for a name.
pub(super) fn short_sum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use crate::ids::{ModelName, Version};

    use super::*;

    fn id(version: u64) -> ModelId {
        ModelId { name: ModelName::parse("m").unwrap(), version: Version(version) }
    }

    /// A version with one file, used at a time.
    fn kept(cache: &Cache, version: u64, bytes: usize, used: u64) -> PathBuf {
        let sum = hex(&Sha256::digest(vec![7; bytes]));
        let manifest = format!("format = 1\nrole = \"ranker\"\n[files]\n\"a.bin\" = \"{sum}\"");
        let sum = cache.keep_manifest(&id(version), manifest.as_bytes()).unwrap();
        let home = cache.home(&id(version), &sum);
        cache.keep(&home.join("a.bin"), &vec![7; bytes]).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(used);
        let manifest = fs::File::options().write(true).open(home.join(MANIFEST)).unwrap();
        manifest.set_modified(time).unwrap();
        home
    }

    fn cache(folder: &Path, bound: u64) -> Cache {
        let cache = Cache::new(folder, "s3://shop/models", bound);
        cache.prepare().unwrap();
        cache
    }

    #[test]
    fn what_is_in_use_stays_and_the_oldest_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 3000);
        let homes = [1, 2, 3].map(|version| kept(&cache, version, 500, 10 - version));
        let listed = [homes[2].clone(), homes[0].clone()];
        cache.make_room(2200, &[homes[2].as_path()], &listed).unwrap();
        let left = |name: &str| homes.each_ref().map(|home| home.join(name).exists());
        assert_eq!(left("a.bin"), [false, false, true]);
        assert_eq!(left(MANIFEST), [true, false, true], "a manifest stays while it is listed");
        assert!(!homes[1].exists());
        let error = cache.make_room(2900, &[homes[2].as_path()], &listed).unwrap_err();
        assert!(matches!(error, RepositoryError::CacheFull { needed: 2900, .. }), "{error}");
        assert!(homes[2].join("a.bin").exists());
        cache.make_room(3000, &[], &[]).unwrap();
        assert!(cache.homes().is_empty());
    }

    #[test]
    fn a_disk_without_room_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = cache(folder.path(), u64::MAX).make_room(1 << 60, &[], &[]).unwrap_err();
        assert!(matches!(error, RepositoryError::DiskFull { .. }), "{error}");
        assert!(error.may_pass());
        let full = uncacheable(folder.path(), io::Error::from_raw_os_error(28));
        assert!(matches!(full, RepositoryError::DiskFull { .. }), "{full}");
    }

    #[test]
    fn a_file_is_found_by_its_sum() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1 << 20);
        let home = kept(&cache, 1, 5, 1);
        let sum = hex(&Sha256::digest([7; 5]));
        assert_eq!(cache.known(&sum.to_uppercase()), Some(home.join("a.bin")));
        assert_eq!(cache.known(&hex(&Sha256::digest([7; 6]))), None);
        fs::remove_file(home.join("a.bin")).unwrap();
        assert_eq!(cache.known(&sum), None);
        std::os::unix::fs::symlink("/etc/hostname", home.join("a.bin")).unwrap();
        assert_eq!(cache.known(&sum), None, "a link is no file of its own");
    }

    #[test]
    fn nobody_else_may_look_into_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("deep/cache"), 1);
        let mode = fs::metadata(cache.root()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = Cache::new(&blocked, "s3://shop", 1).prepare().unwrap_err();
        assert!(error.to_string().contains("models.cache_dir"), "{error}");
        assert!(error.may_pass());
    }
}
