//! Follows the repository: sees what is there, asks the plan, and obeys, one step after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;

use crate::{
    app::{
        ahead::{Computing, EmbeddingsAhead},
        loader::{Loaded, Loader},
        sighting::Sighting,
        trial::{Outcome, Trying},
    },
    ids::ModelId,
    ranking::{Engine, Model},
    repository::{Bundle, Place, RepositoryError, ServingFile},
    serving::{Action, Labels, Lives, Now, Said, ServingError, Standing, State, Wanted, next},
};

/// After so long, a version is tried again that was refused for something that may have changed, such as want of memory.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Sees what is in the repository, and leads the lives of versions.
pub(super) struct Follower {
    place: Place,
    /// The labels of the configuration.
    labels: Labels,
    loader: Loader,
    lives: Arc<Lives>,
    /// Every version that has a life.
    seen: BTreeMap<ModelId, Sighting>,
    /// The last `serving.toml` that was right.
    file: ServingFile,
    /// Retired versions that somebody may still hold.
    leaving: BTreeMap<ModelId, Model>,
    ahead: EmbeddingsAhead,
    /// The version that is on its way to being ready; there is one at most.
    under_way: Option<UnderWay>,
    /// Whether a bundle that is not whole may still be being copied; at the start nobody waits for it.
    patient: bool,
}

/// What a version on its way waits for.
enum UnderWay {
    /// A process of its own tries it.
    Trial(Trying),
    /// It is loaded; embeddings are computed ahead.
    Embeddings(Loaded, Computing),
}

impl Follower {
    pub(super) fn new(
        place: Place,
        labels: Labels,
        (loader, ahead): (Loader, EmbeddingsAhead),
        lives: Arc<Lives>,
    ) -> Self {
        Self {
            place,
            labels,
            loader,
            lives,
            seen: BTreeMap::new(),
            file: ServingFile::default(),
            leaving: BTreeMap::new(),
            ahead,
            under_way: None,
            patient: false,
        }
    }

    /// Has embeddings computed ahead from now on, as requests have them computed.
    pub(super) fn serve_with(&mut self, engine: &Arc<Engine>) {
        self.ahead.engine = Some(Arc::clone(engine));
    }

    /// What is in the repository.
    pub(super) fn seen(&self) -> &BTreeMap<ModelId, Sighting> {
        &self.seen
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
        self.file = self.place.serving_file().await?;
        Ok(())
    }

    /// Tells once what is wrong with the repository, or that it is right again.
    fn note(&self, looked: Result<(), RepositoryError>) {
        let found = self.found();
        let missing = || Wanted::missing(&self.said(&found, &BTreeSet::new()));
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

    /// Takes one step towards what is wanted; says whether there was one to take.
    pub(super) async fn step(&mut self) -> bool {
        self.free();
        self.retry();
        if self.go_on().await {
            return true;
        }
        let action = next(&self.wanted(), &self.now());
        match action {
            None => return false,
            Some(Action::Lead(route, to)) => {
                tracing::info!(%route, to = to.map(|to| to.0), "a route is led");
                self.loader.registry.lead(route, to);
            }
            Some(Action::Drain(id)) => self.drain(&id),
            Some(Action::Load(id)) => self.load(&id),
        }
        true
    }

    /// Goes on with the version that is under way; says whether what it waits for was there.
    async fn go_on(&mut self) -> bool {
        match self.under_way.take() {
            Some(UnderWay::Trial(mut trying)) => match trying.outcome() {
                Some(outcome) => self.load_tried(trying, outcome).await,
                None => {
                    self.under_way = Some(UnderWay::Trial(trying));
                    return false;
                }
            },
            Some(UnderWay::Embeddings(loaded, computing)) if computing.is_over() => {
                self.publish(loaded);
            }
            other => {
                self.under_way = other;
                return false;
            }
        }
        true
    }

    /// Takes all steps that there are to take, and waits for trials meanwhile.
    pub(super) async fn settle(&mut self) {
        loop {
            while self.step().await {}
            match &mut self.under_way {
                Some(UnderWay::Trial(trying)) => trying.ended().await,
                _ => return,
            }
        }
    }

    /// Waits until a trial ends; for ever where none is made.
    pub(super) async fn trial_ended(&mut self) {
        match &mut self.under_way {
            Some(UnderWay::Trial(trying)) => trying.ended().await,
            _ => std::future::pending().await,
        }
    }

    /// Whether a version waits: for its last request, or for embeddings.
    pub(super) fn is_waiting(&self) -> bool {
        let computing = matches!(self.under_way, Some(UnderWay::Embeddings(..)));
        !self.leaving.is_empty() || computing
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
            let failed = self.lives.state(id) == Some(State::Failed);
            if failed && sighting.is_worth_a_try(may_come, &self.file.of(&id.name).limits) {
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
        unfit: &'a BTreeSet<ModelId>,
    ) -> Said<'a> {
        Said { found, unfit, file: &self.file, labels: &self.labels }
    }

    fn wanted(&self) -> Wanted {
        let failed = |id: &ModelId| self.lives.state(id) == Some(State::Failed);
        let unfit = self.seen.iter().filter(|(id, sighting)| sighting.copying || failed(id));
        let unfit = unfit.map(|(id, _)| id.clone()).collect();
        Wanted::of(&self.said(&self.found(), &unfit))
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

    /// Reads a version's files, and begins to try it.
    fn load(&mut self, id: &ModelId) {
        let Some(sighting) = self.seen.get_mut(id) else {
            return;
        };
        let encoder = sighting.needs.as_ref().and_then(|needs| self.lives.state(needs));
        let limits = self.file.of(&id.name).limits;
        let first_look = sighting.try_it(encoder.is_some_and(State::is_loaded), limits.clone());
        self.lives.step(id, State::Verifying, None);
        let opened = self.loader.open(&sighting.path, &limits);
        let fault = match &opened {
            Ok(bundle) if bundle.file_faults().is_empty() => None,
            Ok(bundle) => Some(bundle.faulty(bundle.file_faults().to_vec()).to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(fault) = fault.filter(|_| self.patient && first_look) {
            sighting.copying = true;
            tracing::info!(model = %id, fault, "a bundle is not whole; it may be being copied");
            let waits = format!("it is not whole, and may be being copied: {fault}");
            self.lives.step(id, State::Found, Some(&waits));
            return;
        }
        match opened {
            Ok(bundle) => {
                self.under_way = Some(UnderWay::Trial(self.loader.begin_trial(bundle, limits)));
            }
            Err(error) => self.fail(id, &error.to_string()),
        }
    }

    /// Goes on with a version whose trial has ended.
    async fn load_tried(&mut self, tried: Trying, outcome: Outcome) {
        let bundle = tried.bundle;
        let id = &bundle.id;
        if let Err(refusal) = self.loader.admit(&bundle, outcome, &tried.limits) {
            if let Some(sighting) = self.seen.get_mut(id).filter(|_| refusal.later) {
                sighting.again_at = Some(Instant::now() + AGAIN_AFTER);
            }
            return self.fail(id, &refusal.reason);
        }
        match self.load_bundle(&bundle).await {
            Ok(loaded) => self.publish_when_ready(loaded),
            Err(error) => self.fail(id, &error),
        }
    }

    fn fail(&self, id: &ModelId, error: &str) {
        self.lives.step(id, State::Failed, Some(error));
        tracing::error!(model = %id, error, "a bundle is left out");
    }

    /// Publishes a version, at once or when the embeddings are there that its encoder lacks.
    fn publish_when_ready(&mut self, loaded: Loaded) {
        let computing = match &loaded.model {
            Model::Ranker(ranker) => {
                self.ahead.begin(ranker, self.loader.live(&loaded.id.name).as_deref())
            }
            Model::Encoder(_) => None,
        };
        match computing {
            Some(computing) => self.under_way = Some(UnderWay::Embeddings(loaded, computing)),
            None => self.publish(loaded),
        }
    }

    fn publish(&self, loaded: Loaded) {
        let id = loaded.id.clone();
        self.loader.publish(loaded);
        self.lives.step(&id, State::Ready, None);
        tracing::info!(model = %id, "loaded");
    }

    /// Loads a bundle whose files are read; a panic on the way is a failure like any other.
    async fn load_bundle(&self, bundle: &Bundle) -> Result<Loaded, String> {
        self.lives.step(&bundle.id, State::Loading, None);
        let warming = || {
            self.lives.step(&bundle.id, State::Warming, None);
        };
        let limits = self.file.of(&bundle.id.name).limits;
        let loading = self.loader.load(bundle, &limits, warming);
        let loaded = AssertUnwindSafe(loading).catch_unwind().await;
        let loaded = loaded.map_err(|_| "loading it panicked; the log has the place".to_owned())?;
        loaded.map_err(|error: ServingError| error.to_string())
    }
}
