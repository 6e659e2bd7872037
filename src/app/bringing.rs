//! Bundles that are on their way here: one at a time, on a thread that answers no requests, while the repository is followed on.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    ids::ModelId,
    repository::{Place, RepositoryError},
};

type Brought = Result<PathBuf, RepositoryError>;

/// Brings bundles.
pub(super) struct Bringing {
    place: Place,
    /// Each with the directory that it was seen in.
    on_the_way: BTreeMap<ModelId, (PathBuf, JoinHandle<Brought>)>,
}

impl Bringing {
    pub(super) fn new(place: Place) -> Self {
        Self { place, on_the_way: BTreeMap::new() }
    }

    /// Has a bundle here and returns its directory; none while it is on its way, unless that is waited for.
    pub(super) async fn bring(
        &mut self,
        id: &ModelId,
        found: &Path,
        in_use: Vec<PathBuf>,
        wait: bool,
    ) -> Option<Brought> {
        if wait || self.place.is_here() {
            return Some(self.place.bring(found, &in_use).await);
        }
        match self.on_the_way.remove(id) {
            Some((from, task)) if task.is_finished() => {
                let brought = task.await.unwrap_or_else(|cause| {
                    let cause = format!("fetching {id} panicked: {cause}");
                    Err(RepositoryError::Unreachable { place: self.place.to_string(), cause })
                });
                // Another bundle may have come in its place meanwhile.
                (from == found).then_some(brought)
            }
            Some(on_its_way) => {
                self.on_the_way.insert(id.clone(), on_its_way);
                None
            }
            None => {
                if !self.is_busy() {
                    self.start(id, found, in_use);
                }
                None
            }
        }
    }

    fn start(&mut self, id: &ModelId, found: &Path, mut in_use: Vec<PathBuf>) {
        in_use.extend(self.on_the_way.values().map(|(from, _)| from.clone()));
        let (place, from) = (self.place.clone(), found.to_owned());
        let runtime = Handle::current();
        let task =
            tokio::task::spawn_blocking(move || runtime.block_on(place.bring(&from, &in_use)));
        self.on_the_way.insert(id.clone(), (found.to_owned(), task));
    }

    /// Whether one is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.on_the_way.values().any(|(_, task)| !task.is_finished())
    }

    /// Those that have come and were not asked for since.
    pub(super) fn arrived(&self) -> impl Iterator<Item = &ModelId> {
        self.on_the_way.iter().filter(|(_, (_, task))| task.is_finished()).map(|(id, _)| id)
    }

    /// Lets go of what nobody asks for any more.
    pub(super) fn retain(&mut self, wanted: impl Fn(&ModelId) -> bool) {
        self.on_the_way.retain(|id, (_, task)| wanted(id) || !task.is_finished());
    }
}
