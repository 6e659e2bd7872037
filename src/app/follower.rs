//! Follows the repository: sees what is there, asks the plan, and obeys, one step after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    app::{
        ahead::EmbeddingsAhead,
        bringing::Bringing,
        journey::{Arrival, Journey, Traveller},
        loader::{Loaded, Loader},
        overrides::Overrides,
        sighting::Sighting,
    },
    ids::{ModelId, Version},
    ranking::{Engine, Model},
    repository::{Found, Place, RepositoryError, ServingFile, read_serving},
    serving::{
        Action, KeptWarm, Labels, Lives, Looks, Now, Route, Said, Standing, State, TrafficRules,
        Wanted, next,
    },
    telemetry::SWAP_SPANS,
};

/// After so long, a version is tried again that was refused for something that may have changed, such as want of memory.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Sees what is in the repository, and leads the lives of versions.
pub(super) struct Follower {
    place: Place,
    bringing: Bringing,
    /// The labels of the configuration.
    labels: Labels,
    loader: Arc<Loader>,
    lives: Arc<Lives>,
    looks: Arc<Looks>,
    /// Every version that has a life.
    seen: BTreeMap<ModelId, Sighting>,
    /// The last `serving.toml` that was right, with what this server rejects by itself.
    file: ServingFile,
    overrides: Arc<Overrides>,
    warm: KeptWarm,
    /// Retired versions that somebody may still hold.
    leaving: BTreeMap<ModelId, Model>,
    ahead: Arc<EmbeddingsAhead>,
    /// The version that is on its way to being ready; there is one at most.
    journey: Option<Journey>,
    /// Whether a bundle that is not whole may still be being copied; at the start nobody waits for it.
    patient: bool,
}

impl Follower {
    pub(super) fn new(
        place: Place,
        labels: Labels,
        (loader, ahead): (Loader, EmbeddingsAhead),
        (lives, overrides): (Arc<Lives>, Arc<Overrides>),
    ) -> Self {
        Self {
            bringing: Bringing::new(place.clone()),
            place,
            labels,
            loader: Arc::new(loader),
            lives,
            looks: Arc::default(),
            seen: BTreeMap::new(),
            file: ServingFile::default(),
            overrides,
            warm: KeptWarm::default(),
            leaving: BTreeMap::new(),
            ahead: Arc::new(ahead),
            journey: None,
            patient: false,
        }
    }

    /// Has embeddings computed ahead from now on, as requests have them computed.
    pub(super) fn serve_with(&self, engine: &Arc<Engine>) {
        self.ahead.serve_with(engine);
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

    /// Looks for the first time: a repository or a `serving.toml` that cannot be read is an error, there being nothing to go on
    /// with; but for a store that does not answer and was seen before.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) async fn look_first(&mut self) -> Result<(), RepositoryError> {
        let looked = self.read().await;
        if matches!(looked, Err(RepositoryError::Unreachable { .. }))
            && let Some((found, file)) = self.place.last_seen()
        {
            tracing::warn!("what was last seen of the repository is served: it cannot be read");
            self.take_in(&found);
            self.take_in_file("", file);
            self.note(looked);
            return Ok(());
        }
        looked?;
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
        self.take_in(&found);
        let (revision, file) = read_serving(&self.place).await?;
        self.take_in_file(&revision.to_string(), file);
        Ok(())
    }

    /// Takes in which bundles are there.
    fn take_in(&mut self, found: &[Found]) {
        let there: BTreeSet<&ModelId> = found.iter().map(|found| &found.id).collect();
        for (_, gone) in self.seen.iter_mut().filter(|(id, _)| !there.contains(id)) {
            gone.there = false;
        }
        for found in found {
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
        self.bringing.retain(|id| self.seen.contains_key(id));
    }

    /// Takes in what `serving.toml` says.
    fn take_in_file(&mut self, revision: &str, file: ServingFile) {
        let news = self.looks.take_in(revision, &file);
        self.file = self.overrides.with(file);
        self.direct();
        if news {
            self.lives.tell_news();
        }
    }

    /// Leads requests as the file says, and shows what it rejects.
    fn direct(&self) {
        let (found, none) = (self.found(), BTreeSet::new());
        let said = self.said(&found, (&none, &none));
        let (mut rules, mut rejected) = (BTreeMap::new(), BTreeMap::new());
        for id in found.keys() {
            let spec = said.spec_of(&id.name);
            if let Some(reason) = spec.rejection(id.version) {
                rejected.insert(id.clone(), reason.into());
            }
            rules.entry(id.name.clone()).or_insert_with(|| TrafficRules::of(&spec));
        }
        self.loader.registry.direct(&rules);
        self.lives.note_rejected(rejected);
    }

    /// Tells once what is wrong with the repository, or that it is right again.
    fn note(&self, looked: Result<(), RepositoryError>) {
        let found = self.found();
        let missing = || {
            let none = BTreeSet::new();
            let mut missing = Wanted::missing(&self.said(&found, (&none, &none)));
            missing.extend(self.overrides.faults());
            missing
        };
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
        for id in self.bringing.arrived() {
            if let Some(sighting) = self.seen.get_mut(id) {
                sighting.copying = false;
            }
        }
        if let Some(arrival) = self.journey.as_mut().and_then(Journey::arrival)
            && let Some(journey) = self.journey.take()
        {
            self.arrive(&journey.id, arrival);
            return true;
        }
        let action = next(&self.wanted(), &self.now());
        match action {
            None => return false,
            Some(Action::Lead(route, to)) => self.lead(route, to),
            Some(Action::Drain(id)) => self.drain(&id),
            Some(Action::Turn(id, to)) => {
                self.lives.step(&id, to, None);
                tracing::info!(model = %id, %to, "a loaded version is used otherwise");
            }
            Some(Action::Load(id)) => self.load(&id).await,
        }
        true
    }

    fn lead(&mut self, route: Route, to: Option<Version>) {
        let span = tracing::info_span!(
            target: SWAP_SPANS,
            "route.lead",
            podium.model.name = %route.model,
            podium.model.version = to.map(|to| to.0 as i64),
            podium.label = route.label.as_deref(),
        );
        let _within = span.enter();
        tracing::info!(%route, to = to.map(|to| to.0), "a route is led");
        let registry = &self.loader.registry;
        let from = registry.routes().get(&route).copied().filter(|from| {
            let id = ModelId { name: route.model.clone(), version: *from };
            route.label.is_none() && self.lives.state(&id).is_some_and(State::is_loaded)
        });
        if let Some(from) = from {
            self.warm.leave(&route.model, from, Instant::now());
        }
        let before = registry.routes().get(&route).copied();
        self.lives.note_led(&route, before, to);
        registry.lead(route, to);
        self.lives.tell_news();
    }

    /// Takes all steps that there are to take, and waits for journeys meanwhile.
    pub(super) async fn settle(&mut self) {
        loop {
            while self.step().await {}
            match &mut self.journey {
                Some(journey) => journey.ended().await,
                None => return,
            }
        }
    }

    /// Waits until a journey ends; for ever where none is made.
    pub(super) async fn journey_ended(&mut self) {
        match &mut self.journey {
            Some(journey) => journey.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Has a journey end as soon as it can, and waits for that.
    pub(super) async fn finish(&mut self) {
        if let Some(journey) = &mut self.journey {
            journey.hurry();
            journey.ended().await;
        }
    }

    /// Whether a version waits: for its last request, or for its files.
    pub(super) fn is_waiting(&self) -> bool {
        !self.leaving.is_empty() || self.bringing.is_busy()
    }

    /// When there is something to do without an event from outside: a version was kept warm for as long as it shall be.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.warm.next_end(&self.file)
    }

    /// Frees what nobody else holds any more: here, and not where the last request ended.
    fn free(&mut self) {
        while let Some((id, model)) = self.last_held() {
            let _within = span_of("version.free", &id).entered();
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
        let _within = span_of("version.drain", id).entered();
        if let Some(model) = self.loader.retire(id) {
            self.leaving.insert(id.clone(), model);
        }
        self.lives.step(id, State::Draining, None);
        tracing::info!(model = %id, "draining");
    }

    /// Has a version's files here, reads them, and begins to try it.
    async fn load(&mut self, id: &ModelId) {
        self.lives.step(id, State::Verifying, None);
        let Some(brought) = self.bring(id).await else {
            return;
        };
        let Some(sighting) = self.seen.get_mut(id) else {
            return;
        };
        let encoder = sighting.needs.as_ref().and_then(|needs| self.lives.state(needs));
        let limits = self.file.of(&id.name).limits;
        let first_look = sighting.try_it(encoder.is_some_and(State::is_loaded), limits.clone());
        match brought {
            Err(error) if self.patient && first_look => {
                self.arrive(id, Arrival::Copying(error.to_string()));
            }
            Err(error) => self.fail(id, &error.to_string()),
            Ok(path) => {
                self.journey = Some(Journey::begin(Traveller {
                    id: id.clone(),
                    path,
                    limits,
                    may_be_copied: self.patient && first_look,
                    loader: Arc::clone(&self.loader),
                    ahead: Arc::clone(&self.ahead),
                    lives: Arc::clone(&self.lives),
                }));
            }
        }
    }

    /// Has a bundle here; where it is on its way, or something is in its way that may pass, it is found and tried again later.
    async fn bring(&mut self, id: &ModelId) -> Option<Result<PathBuf, RepositoryError>> {
        let is_held = |id: &ModelId| self.lives.state(id).is_some_and(State::is_held);
        let held = self.seen.iter().filter(|(id, _)| is_held(id));
        let in_use: Vec<PathBuf> = held.map(|(_, sighting)| sighting.path.clone()).collect();
        let found = self.seen.get(id)?.path.clone();
        let waits = match self.bringing.bring(id, &found, in_use, !self.patient).await {
            None => "it is being fetched".to_owned(),
            Some(Err(error)) if error.may_pass() => {
                if error.lacks_room() {
                    self.warm.let_go();
                }
                error.to_string()
            }
            brought => return brought,
        };
        let sighting = self.seen.get_mut(id)?;
        sighting.copying = true;
        if sighting.waits.as_ref() != Some(&waits) {
            tracing::info!(model = %id, waits, "a bundle is not here yet");
        }
        self.lives.step(id, State::Found, Some(&waits));
        sighting.waits = Some(waits);
        None
    }

    /// Goes on with a version whose journey has ended.
    fn arrive(&mut self, id: &ModelId, arrival: Arrival) {
        match arrival {
            Arrival::Loaded(loaded) => self.publish(*loaded),
            Arrival::Copying(fault) => {
                if let Some(sighting) = self.seen.get_mut(id) {
                    sighting.copying = true;
                }
                tracing::info!(model = %id, fault, "a bundle is not whole; it may be being copied");
                let waits = format!("it is not whole, and may be being copied: {fault}");
                self.lives.step(id, State::Found, Some(&waits));
            }
            Arrival::Failed { reason, later } => {
                if let Some(sighting) = self.seen.get_mut(id).filter(|_| later) {
                    sighting.again_at = Some(Instant::now() + AGAIN_AFTER);
                    // What is only kept for a rollback gives way to what is asked for.
                    self.warm.let_go();
                }
                self.fail(id, &reason);
            }
        }
    }

    fn fail(&self, id: &ModelId, error: &str) {
        self.lives.step(id, State::Failed, Some(error));
        tracing::error!(model = %id, error, "a bundle is left out");
    }

    fn publish(&mut self, loaded: Loaded) {
        let id = loaded.id.clone();
        self.loader.publish(loaded);
        let shadow = self.wanted().shadows.contains(&id);
        let state = if shadow { State::Shadow } else { State::Ready };
        self.lives.step(&id, state, None);
        tracing::info!(model = %id, %state, "loaded");
    }
}

/// A span of something that happens to a version.
fn span_of(name: &'static str, id: &ModelId) -> tracing::Span {
    tracing::info_span!(
        target: SWAP_SPANS,
        "version.step",
        otel.name = name,
        podium.model.name = %id.name,
        podium.model.version = id.version.0 as i64,
    )
}
