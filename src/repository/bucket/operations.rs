//! A repository in an object store: its bundles are listed, its `serving.toml` is read.

use std::{
    future::Future,
    mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, path};

use crate::{
    ids::ModelId,
    repository::{
        bucket::{
            cache::{Cache, short_sum},
            cause::cause_of,
            listing::{Object, Objects, key_of, stamp_of, versions},
            memory::{Seen, SeenVersion},
            opening::{Opened, open},
        },
        contents::MANIFEST,
        error::{Fault, RepositoryError},
        place_options::PlaceOptions,
        scan::Found,
        serving_file::SERVING_FILE,
        serving_text::{MOST_BYTES, Revision, ServingText},
    },
};

/// How long a small answer is waited for, tries included.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A repository that lists more says something else.
const MOST_OBJECTS: usize = 100_000;

/// How many manifests are asked for at once.
const AT_ONCE: usize = 8;

/// A repository in an object store.
#[derive(Debug)]
pub(in crate::repository) struct Bucket {
    address: String,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: path::Path,
    pub(super) by_generation: bool,
    pub(super) cache: Cache,
    state: Mutex<State>,
    /// Whether the folders of the cache were made.
    prepared: AtomicBool,
    /// Whether the store was seen to honour conditional writes.
    pub(super) conditional: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// What was last seen; none before the first listing.
    seen: Option<Seen>,
    /// What of that is on disk.
    written: String,
    /// Whether the last try to write it failed.
    is_unwritten: bool,
}

impl Bucket {
    /// Makes a client of the store; nothing is asked of it yet.
    pub(in crate::repository) fn open(options: &PlaceOptions) -> Result<Self, RepositoryError> {
        let address = options.address.trim_end_matches('/').to_owned();
        let opened = open(options).map_err(|cause| RepositoryError::Unusable { cause })?;
        let cache = Cache::new(&options.cache_dir, &address, options.cache_bytes);
        Ok(Self::new(address, opened, cache))
    }

    fn new(address: String, opened: Opened, cache: Cache) -> Self {
        let Opened { store, prefix, by_generation } = opened;
        let (state, prepared, conditional) = Default::default();
        Self { address, store, prefix, by_generation, cache, state, prepared, conditional }
    }

    /// Where it is.
    pub(in crate::repository) fn address(&self) -> &str {
        &self.address
    }

    /// Where its bundles are kept.
    pub(in crate::repository) fn kept_in(&self) -> &Path {
        self.cache.root()
    }

    /// Lists the bundles; their manifests come into the cache.
    pub(in crate::repository) async fn bundles(&self) -> Result<Vec<Found>, RepositoryError> {
        self.prepare()?;
        let listed = versions(&self.prefix, &self.list().await?);
        let before = lock(&self.state).seen.clone().unwrap_or_default();
        let reading = listed.into_iter().map(|(id, objects)| {
            let known = before.versions.get(&id).cloned();
            self.version(id, objects, known)
        });
        let read: Vec<Option<(ModelId, SeenVersion)>> =
            stream::iter(reading).buffered(AT_ONCE).try_collect().await?;
        let seen = Seen { versions: read.into_iter().flatten().collect(), serving: before.serving };
        let found = self.found(&seen);
        lock(&self.state).seen = Some(seen);
        Ok(found)
    }

    fn found(&self, seen: &Seen) -> Vec<Found> {
        let of = |(id, version): (&ModelId, &SeenVersion)| {
            let path = self.cache.home(id, &version.manifest);
            let stamp = stamp_of(&version.objects, path.join(MANIFEST).is_file());
            Found { id: id.clone(), path, stamp }
        };
        seen.versions.iter().map(of).collect()
    }

    async fn list(&self) -> Result<Vec<ObjectMeta>, RepositoryError> {
        let mut listed = Vec::new();
        let mut objects = self.store.list(Some(&self.prefix));
        while let Some(object) = self.answer(objects.try_next()).await? {
            if listed.len() == MOST_OBJECTS {
                let cause = format!("it lists more than {MOST_OBJECTS} objects");
                return Err(self.unreachable(cause));
            }
            listed.push(object);
        }
        Ok(listed)
    }

    /// A version with its manifest here; none where it was taken away meanwhile.
    async fn version(
        &self,
        id: ModelId,
        objects: Objects,
        known: Option<SeenVersion>,
    ) -> Result<Option<(ModelId, SeenVersion)>, RepositoryError> {
        let Some(object) = objects.get(MANIFEST) else {
            return Ok(None);
        };
        let same = |known: &SeenVersion| {
            known.objects.get(MANIFEST) == Some(object)
                && self.cache.home(&id, &known.manifest).join(MANIFEST).is_file()
        };
        let manifest = match known.filter(same) {
            Some(known) => known.manifest,
            None => match self.manifest(&id, object).await? {
                Some(manifest) => manifest,
                None => return Ok(None),
            },
        };
        Ok(Some((id, SeenVersion { manifest, objects })))
    }

    /// Fetches a version's manifest, and returns what stands for it; one that is too large stays away. Where the disk does not
    /// take it, the version is there all the same, and whoever wants it is told.
    async fn manifest(
        &self,
        id: &ModelId,
        object: &Object,
    ) -> Result<Option<String>, RepositoryError> {
        if object.bytes > MOST_BYTES {
            let tag = object.e_tag.as_deref().unwrap_or_default();
            return Ok(Some(short_sum(tag.as_bytes())));
        }
        let Some(text) = self.manifest_text(id).await? else {
            return Ok(None);
        };
        Ok(Some(self.cache.keep_manifest(id, &text).unwrap_or_else(|error| {
            tracing::debug!(model = %id, %error, "a manifest cannot be kept");
            short_sum(&text)
        })))
    }

    /// The text of a version's manifest; none where it was taken away.
    pub(super) async fn manifest_text(
        &self,
        id: &ModelId,
    ) -> Result<Option<Bytes>, RepositoryError> {
        let Some(key) = key_of(&self.prefix, id, MANIFEST) else {
            return Ok(None);
        };
        let got = async { self.store.get(&key).await?.bytes().await };
        match tokio::time::timeout(PATIENCE, got).await {
            Ok(Err(Error::NotFound { .. })) => Ok(None),
            Ok(Err(error)) => Err(self.unreachable(cause_of(&error))),
            Err(_) => Err(self.silent()),
            Ok(Ok(text)) => Ok(Some(text)),
        }
    }

    /// What was last seen, now or by an earlier process: the bundles whose manifests are here, and the text of `serving.toml`.
    pub(in crate::repository) fn last_seen(&self) -> Option<(Vec<Found>, String)> {
        self.prepare().ok()?;
        let mut state = lock(&self.state);
        if state.seen.is_none() {
            state.seen = Seen::read(&self.index());
        }
        let seen = state.seen.clone()?;
        let mut found = self.found(&seen);
        found.retain(|found| found.path.join(MANIFEST).is_file());
        Some((found, seen.serving))
    }

    /// The version that is kept in a directory.
    pub(super) fn seen_at(&self, path: &Path) -> Option<(ModelId, Objects)> {
        let state = lock(&self.state);
        let mut versions = state.seen.iter().flat_map(|seen| &seen.versions);
        let at = |(id, version): &(&ModelId, &SeenVersion)| {
            self.cache.home(id, &version.manifest) == path
        };
        versions.find(at).map(|(id, version)| (id.clone(), version.objects.clone()))
    }

    /// The directories of all versions that are in the repository.
    pub(super) fn listed(&self) -> Vec<PathBuf> {
        let state = lock(&self.state);
        let found = state.seen.as_ref().map(|seen| self.found(seen)).unwrap_or_default();
        found.into_iter().map(|found| found.path).collect()
    }

    /// Reads the text of `serving.toml`.
    pub(in crate::repository) async fn serving_text(&self) -> Result<ServingText, RepositoryError> {
        let key = self.prefix.clone().join(SERVING_FILE);
        let got = async {
            let got = self.store.get(&key).await?;
            let revision = self.revision(got.meta.e_tag.clone(), got.meta.version.clone());
            let text = match got.meta.size <= MOST_BYTES {
                true => Some(got.bytes().await?),
                false => None,
            };
            Ok((revision, text))
        };
        let said = match tokio::time::timeout(PATIENCE, got).await {
            Ok(Err(Error::NotFound { .. })) => ServingText::default(),
            Ok(Err(error)) => return Err(self.unreachable(cause_of(&error))),
            Err(_) => return Err(self.silent()),
            Ok(Ok((_, None))) => return Err(self.unreadable("it is larger than 1 MiB")),
            Ok(Ok((revision, Some(text)))) => {
                let text = String::from_utf8(text.to_vec());
                let text = text.map_err(|_| self.unreadable("it is not UTF-8"))?;
                ServingText { text, revision }
            }
        };
        self.remember(&said.text);
        Ok(said)
    }

    fn unreadable(&self, why: &str) -> RepositoryError {
        let fix = "make it a small text file, or take it away";
        let fault = Fault::new(SERVING_FILE, format!("cannot be read: {why}"), fix);
        let path = format!("{}/{SERVING_FILE}", self.address).into();
        RepositoryError::Faulty { path, faults: vec![fault] }
    }

    /// Writes down what was seen, where it is something else than before.
    fn remember(&self, serving: &str) {
        let mut state = lock(&self.state);
        let Some(seen) = &mut state.seen else {
            return;
        };
        serving.clone_into(&mut seen.serving);
        let text = seen.text();
        if text == state.written || self.prepare().is_err() {
            return;
        }
        match self.cache.keep(&self.index(), text.as_bytes()) {
            Ok(()) => (state.written, state.is_unwritten) = (text, false),
            Err(error) => {
                // Told once: the next look tries again.
                if !mem::replace(&mut state.is_unwritten, true) {
                    tracing::warn!(%error, "what was seen cannot be written down; a start without the store would know older things");
                }
            }
        }
    }

    fn index(&self) -> PathBuf {
        self.cache.own().join("seen.json")
    }

    /// What a state of an object is called.
    pub(super) fn revision(&self, e_tag: Option<String>, version: Option<String>) -> Revision {
        let name = if self.by_generation { version } else { e_tag };
        Revision::named(&name.unwrap_or_default())
    }

    pub(super) fn prepare(&self) -> Result<(), RepositoryError> {
        if !self.prepared.load(Ordering::Relaxed) {
            self.cache.prepare()?;
            self.prepared.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn answer<T>(
        &self,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, RepositoryError> {
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answered) => answered.map_err(|error| self.unreachable(cause_of(&error))),
            Err(_) => Err(self.silent()),
        }
    }

    pub(super) fn unreachable(&self, cause: String) -> RepositoryError {
        RepositoryError::Unreachable { place: self.address.clone(), cause }
    }

    fn silent(&self) -> RepositoryError {
        self.unreachable(silence())
    }
}

/// What is said of a store that does not answer.
pub(super) fn silence() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

fn lock(mutex: &Mutex<State>) -> MutexGuard<'_, State> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A repository in a store of this process.
#[cfg(test)]
pub(super) fn bucket(store: Arc<dyn ObjectStore>, folder: &Path) -> Bucket {
    let opened = Opened { store, prefix: "a/b".into(), by_generation: false };
    Bucket::new("mem://a/b".to_owned(), opened, Cache::new(folder, "mem://a/b", 1 << 20))
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, PutPayload, memory::InMemory};

    use super::*;

    #[tokio::test]
    async fn what_was_seen_is_known_to_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let first = bucket(Arc::clone(&store), folder.path());
        assert_eq!(first.last_seen(), None);
        let put = async |key: &str, text: &str| {
            let payload = PutPayload::from(text.as_bytes().to_vec());
            store.put(&key.into(), payload).await.unwrap();
        };
        put("a/b/m/10/model.toml", "format = 1").await;
        put("a/b/m/9/model.toml", "format = 2").await;
        put("a/b/m/8/model.onnx", "").await;
        put("a/b/serving.toml", "[models.m]\nlive = 9\n").await;
        let found = first.bundles().await.unwrap();
        let ids: Vec<String> = found.iter().map(|found| found.id.to_string()).collect();
        assert_eq!(ids, ["m/9", "m/10"]);
        assert!(found[0].path.ends_with("m/9"));
        first.serving_text().await.unwrap();
        let other = bucket(Arc::new(InMemory::new()), folder.path());
        let seen = Some((found.clone(), "[models.m]\nlive = 9\n".to_owned()));
        assert_eq!(other.last_seen(), seen);
        // Asked for the file alone, it does not forget the bundles.
        let third = bucket(Arc::clone(&store), folder.path());
        put("a/b/serving.toml", "").await;
        third.serving_text().await.unwrap();
        assert_eq!(bucket(store, folder.path()).last_seen().map(|seen| seen.0), Some(found));
    }
}
