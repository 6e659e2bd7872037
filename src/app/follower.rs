//! Follows the repository: sees what is there, asks the plan, and obeys, one step after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;

use crate::{
    app::{aside::aside, loader::Loader, sighting::Sighting},
    ids::{ModelId, Version},
    ranking::Model,
    repository::{Bundle, Place, RepositoryError, ServingFile, read_serving},
    serving::{
        Action, KeptWarm, Labels, Lives, Looks, Now, Route, Said, ServingError, Standing, State,
        Wanted, next,
    },
};

/// Sees what is in the repository, and leads the lives of versions.
pub(super) struct Follower {
    place: Place,
    /// The labels of the configuration.
    labels: Labels,
    loader: Arc<Loader>,
    lives: Arc<Lives>,
    looks: Arc<Looks>,
    /// How often `serving.toml` is read while a version is loaded; zero: when that is asked for.
    interval: Duration,
    /// Whether a look was asked for while a version was loaded.
    asked: bool,
    /// Every version that has a life.
    seen: BTreeMap<ModelId, Sighting>,
    /// The last `serving.toml` that was right.
    file: ServingFile,
    warm: KeptWarm,
    /// Retired versions that somebody may still hold.
    leaving: BTreeMap<ModelId, Model>,
    /// Whether a bundle that is not whole may still be being copied; at the start nobody waits for it.
    patient: bool,
}

impl Follower {
    pub(super) fn new(place: Place, labels: Labels, loader: Loader, lives: Arc<Lives>) -> Self {
        Self {
            place,
            labels,
            loader: Arc::new(loader),
            lives,
            looks: Arc::default(),
            interval: Duration::ZERO,
            asked: false,
            seen: BTreeMap::new(),
            file: ServingFile::default(),
            warm: KeptWarm::default(),
            leaving: BTreeMap::new(),
            patient: false,
        }
    }

    /// What is in the repository.
    pub(super) fn seen(&self) -> &BTreeMap<ModelId, Sighting> {
        &self.seen
    }

    /// The repository.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// What it took in last, and the way to have it look now.
    pub(super) fn looks(&self) -> Arc<Looks> {
        Arc::clone(&self.looks)
    }

    /// Has it read `serving.toml` so often while a version is loaded.
    pub(super) fn look_every(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Whether a look was asked for since this was asked last, which it was too busy for.
    pub(super) fn was_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Looks for the first time: a repository or a `serving.toml` that cannot be read is an error, there being nothing to go on with.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) async fn look_first(&mut self) -> Result<(), RepositoryError> {
        self.read().await?;
        self.note(Ok(()));
        Ok(())
    }

    /// Looks at the repository and at `serving.toml`; where one of them cannot be read, what was known goes on.
    pub(super) async fn look(&mut self) {
        self.patient = true;
        for sighting in self.seen.values_mut() {
            sighting.copying = false;
        }
        let looked = self.read().await;
        self.note(looked);
        self.looks.end_look();
    }

    async fn read(&mut self) -> Result<(), RepositoryError> {
        let found = self.place.bundles().await?;
        if found.is_empty() && self.seen.values().any(|sighting| sighting.there) {
            return Err(RepositoryError::Vanished { place: self.place.to_string() });
        }
        let there: BTreeSet<&ModelId> = found.iter().map(|found| &found.id).collect();
        for (_, gone) in self.seen.iter_mut().filter(|(id, _)| !there.contains(id)) {
            gone.there = false;
        }
        for found in &found {
            let held = self.lives.state(&found.id).is_some_and(State::is_held);
            let sighting = self.seen.entry(found.id.clone()).or_default();
            sighting.see(found, held);
            self.lives.begin(&found.id);
        }
        let lives = &self.lives;
        self.seen.retain(|id, sighting| {
            if !sighting.there {
                lives.forget(id);
            }
            lives.state(id).is_some()
        });
        self.read_file().await
    }

    async fn read_file(&mut self) -> Result<(), RepositoryError> {
        let (revision, file) = read_serving(&self.place).await?;
        if self.looks.take_in(&revision.to_string(), &file) {
            self.lives.tell();
        }
        self.file = file;
        Ok(())
    }

    /// Tells once what is wrong with the repository, or that it is right again.
    fn note(&self, looked: Result<(), RepositoryError>) {
        let found = self.found();
        let none = BTreeSet::new();
        let missing = || Wanted::missing(&self.said(&found, (&none, &none)));
        let fault = match looked {
            Err(error) => Some(error.to_string()),
            Ok(()) => Some(missing().join("\n")).filter(|missing| !missing.is_empty()),
        };
        if self.lives.note_fault(fault.clone()) {
            match fault {
                Some(fault) => tracing::warn!(fault, "something is wrong with the repository"),
                None => tracing::info!("the repository is right again"),
            }
        }
    }

    /// Takes all steps towards what is wanted that take no time, and then loads a version; says whether there was one to load.
    pub(super) async fn step(&mut self) -> bool {
        let Some(id) = self.settle() else {
            return false;
        };
        self.load(&id).await;
        true
    }

    /// Takes all steps that take no time, and returns the version to load next.
    fn settle(&mut self) -> Option<ModelId> {
        loop {
            self.free();
            self.retry();
            match next(&self.wanted(), &self.now())? {
                Action::Lead(route, to) => self.lead(route, to),
                Action::Drain(id) => self.drain(&id),
                Action::Load(id) => return Some(id),
            }
        }
    }

    fn lead(&mut self, route: Route, to: Option<Version>) {
        tracing::info!(%route, to = to.map(|to| to.0), "a route is led");
        let registry = &self.loader.registry;
        let from = registry.routes().get(&route).copied().filter(|from| {
            let id = ModelId { name: route.model.clone(), version: *from };
            route.label.is_none() && self.lives.state(&id).is_some_and(State::is_loaded)
        });
        if let Some(from) = from {
            self.warm.leave(&route.model, from, Instant::now());
        }
        registry.lead(route, to);
        self.lives.tell();
    }

    /// Whether a retired version waits for its last request.
    pub(super) fn is_draining(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// When there is something to do without an event from outside: a version was kept warm for as long as it shall be.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.warm.next_end(&self.file)
    }

    /// Frees what nobody else holds any more: here, and not where the last request ended.
    fn free(&mut self) {
        while let Some((id, model)) = self.last_held() {
            self.loader.free(model);
            self.lives.step(&id, State::Freed, None);
            tracing::info!(model = %id, "freed");
            // Where it is gone, or another bundle has come in its place meanwhile, that is the end of its story.
            if !self.seen.get(&id).is_some_and(|sighting| sighting.there && sighting.is_as_tried())
            {
                self.lives.forget(&id);
                self.seen.remove(&id);
            }
        }
    }

    fn last_held(&mut self) -> Option<(ModelId, Model)> {
        let (id, _) = self.leaving.iter().find(|(_, model)| model.is_last())?;
        let id = id.clone();
        self.leaving.remove_entry(&id)
    }

    /// Gives another try to what failed and has changed since, and to rankers that lacked an encoder which may come now.
    fn retry(&self) {
        for (id, sighting) in self.seen.iter().filter(|(_, sighting)| sighting.there) {
            let encoder = sighting.needs.as_ref().and_then(|needs| self.lives.state(needs));
            let may_come = encoder.is_some_and(|state| state != State::Failed);
            if self.lives.state(id) == Some(State::Failed) && sighting.is_worth_a_try(may_come) {
                self.lives.step(id, State::Found, None);
            }
        }
    }

    fn found(&self) -> BTreeMap<ModelId, Option<ModelId>> {
        let there = self.seen.iter().filter(|(_, sighting)| sighting.there);
        there.map(|(id, sighting)| (id.clone(), sighting.needs.clone())).collect()
    }

    fn said<'a>(
        &'a self,
        found: &'a BTreeMap<ModelId, Option<ModelId>>,
        (unfit, warm): (&'a BTreeSet<ModelId>, &'a BTreeSet<ModelId>),
    ) -> Said<'a> {
        Said { found, unfit, warm, file: &self.file, labels: &self.labels }
    }

    fn wanted(&mut self) -> Wanted {
        let mut warm = self.warm.now(&self.file, Instant::now());
        warm.retain(|id| self.lives.state(id).is_some_and(State::is_loaded));
        let failed = |id: &ModelId| self.lives.state(id) == Some(State::Failed);
        let unfit = self.seen.iter().filter(|(id, sighting)| sighting.copying || failed(id));
        let unfit = unfit.map(|(id, _)| id.clone()).collect();
        Wanted::of(&self.said(&self.found(), (&unfit, &warm)))
    }

    fn now(&self) -> Now {
        let standing = |(id, life): (ModelId, crate::serving::Life)| {
            let needs = self.seen.get(&id).and_then(|sighting| sighting.needs.clone());
            (id, Standing { state: life.state, needs })
        };
        Now {
            versions: self.lives.all().into_iter().map(standing).collect(),
            routes: self.loader.registry.routes(),
        }
    }

    fn drain(&mut self, id: &ModelId) {
        if let Some(model) = self.loader.retire(id) {
            self.leaving.insert(id.clone(), model);
        }
        self.lives.step(id, State::Draining, None);
        tracing::info!(model = %id, "draining");
    }

    async fn load(&mut self, id: &ModelId) {
        let Some(sighting) = self.seen.get_mut(id) else {
            return;
        };
        let encoder = sighting.needs.as_ref().and_then(|needs| self.lives.state(needs));
        let first_look = sighting.try_it(encoder == Some(State::Ready));
        self.lives.step(id, State::Verifying, None);
        let (loader, path) = (Arc::clone(&self.loader), sighting.path.clone());
        let opening = async move { loader.open(&path).map_err(|error| error.to_string()) };
        let opened = self.meanwhile(opening).await.and_then(|opened| opened);
        let Some(sighting) = self.seen.get_mut(id) else {
            return;
        };
        let fault = match &opened {
            Ok(bundle) if bundle.file_faults().is_empty() => None,
            Ok(bundle) => Some(bundle.faulty(bundle.file_faults().to_vec()).to_string()),
            Err(error) => Some(error.clone()),
        };
        if let Some(fault) = fault.filter(|_| self.patient && first_look) {
            sighting.copying = true;
            tracing::info!(model = %id, fault, "a bundle is not whole; it may be being copied");
            let waits = format!("it is not whole, and may be being copied: {fault}");
            self.lives.step(id, State::Found, Some(&waits));
            return;
        }
        let loaded = match opened {
            Ok(bundle) => {
                let (loader, lives) = (Arc::clone(&self.loader), Arc::clone(&self.lives));
                let loading = async move { load_bundle(&loader, &lives, &bundle).await };
                self.meanwhile(loading).await.and_then(|loaded| loaded)
            }
            Err(error) => Err(error),
        };
        match loaded {
            Ok(()) => {
                self.lives.step(id, State::Ready, None);
                tracing::info!(model = %id, "loaded");
            }
            Err(error) => {
                self.lives.step(id, State::Failed, Some(&error));
                tracing::error!(model = %id, error, "a bundle is left out");
            }
        }
    }

    /// Does long work on a thread of its own, and follows `serving.toml` meanwhile: a rollback waits for no version that is being loaded.
    async fn meanwhile<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, String> {
        let mut working = aside(work).map_err(|cause| format!("no thread to load it: {cause}"))?;
        loop {
            let looks = Arc::clone(&self.looks);
            let interval = self.interval;
            tokio::select! {
                done = &mut working => {
                    return done.map_err(|_| "loading it panicked; the log has the place".to_owned());
                }
                () = looks.asked() => self.asked = true,
                () = tokio::time::sleep(interval), if !interval.is_zero() => {}
            }
            let looked = self.read_file().await;
            self.note(looked);
            let loads = self.settle();
            debug_assert_eq!(loads, None, "one version is loaded at a time");
        }
    }
}

/// Loads a bundle whose files are read; a panic on the way is a failure like any other.
async fn load_bundle(loader: &Loader, lives: &Lives, bundle: &Bundle) -> Result<(), String> {
    lives.step(&bundle.id, State::Loading, None);
    let warming = || {
        lives.step(&bundle.id, State::Warming, None);
    };
    let loaded = AssertUnwindSafe(loader.load(bundle, warming)).catch_unwind().await;
    let loaded = loaded.map_err(|_| "loading it panicked; the log has the place".to_owned())?;
    loaded.map_err(|error: ServingError| error.to_string())
}
