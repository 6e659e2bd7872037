//! The pipeline of one request, to be read top to bottom.

use std::{borrow::Cow, sync::Arc, time::Instant};

use futures::Stream;

use crate::{
    deadline::Deadline,
    ranking::{
        default_model::default_model,
        error::{RankError, Stage},
        in_time::in_time,
        infer::{InferRequest, Inferred, infer},
        models::{Encoder, Model, Ranker},
        notes::{Notes, Seen},
        order::{Ordered, order},
        parts::EngineParts,
        request::{ModelChoice, RankRequest},
        response::Ranking,
        scoring::inputs,
        user_side::{Flights, UserDesk, UserSide, user_side},
        user_view::{UserView, user_view},
        warm::{WarmProgress, WhomToWarm, warm},
        weighing::Weighing,
    },
    serving::{Asker, Chosen, Comparison, Registry, Selector, comparisons},
    tensor::Tensor,
    users::{Erased, RecordCounts, UserEvents, UserStore},
};

/// Ranks requests.
pub struct Engine {
    parts: Arc<EngineParts>,
    flights: Flights,
    weighing: Weighing,
}

impl Engine {
    /// Makes an engine.
    pub fn new(parts: EngineParts) -> Self {
        let parts = Arc::new(parts);
        let weighing = Weighing::new(Arc::clone(&parts));
        Self { parts, flights: Flights::default(), weighing }
    }

    /// Orders the candidates of one request, and notes what it goes through; behind the answer another version may be asked as well, to be compared.
    ///
    /// # Errors
    /// [`RankError`], whose code says whose fault it is.
    pub async fn rank(
        &self,
        request: &Arc<RankRequest>,
        deadline: Deadline,
        notes: &mut Notes,
    ) -> Result<Ranking, RankError> {
        notes.candidates = request.candidates.ids.len();
        if deadline.expired(Instant::now()) {
            return Err(RankError::Expired(Stage::Arrival));
        }
        let Chosen { model, traffic } = self.choose(request)?;
        let ranker = as_ranker(&model)?;
        notes.model = Some(ranker.id().clone());
        notes.figures = Some(Arc::clone(ranker.figures()));
        notes.encoder = ranker.encoder().map(|encoder| encoder.id().clone());
        notes.is_split = traffic.is_some();
        let ordered = self.order(ranker, request, (deadline, traffic.is_some()), notes).await;
        if let Some(traffic) = traffic {
            let first = ordered.as_ref();
            let first = first.map(|(_, scores)| (&*notes, scores.clone()));
            self.weighing.weigh(&traffic, (ranker, request), &first);
        }
        let (ranking, _) = ordered?;
        ranker.recent().offer(request);
        Ok(ranking)
    }

    /// Has one version order the candidates.
    async fn order(
        &self,
        ranker: &Arc<Ranker>,
        request: &RankRequest,
        (deadline, is_compared): (Deadline, bool),
        notes: &mut Notes,
    ) -> Result<Ordered, RankError> {
        let located = ranker.locate(&request.candidates.ids);
        let located = in_time(ranker, located, request, deadline)?;
        (notes.scored, notes.missing) = (located.scored.len(), located.missing.len());
        let user = self.user_side(ranker, request, deadline, notes).await?;
        order(ranker, (request, located), user, (deadline, is_compared), notes).await
    }

    /// Runs a model on the tensors of a request, and notes what it goes through.
    ///
    /// # Errors
    /// [`RankError`], whose code says whose fault it is.
    pub async fn infer(
        &self,
        request: InferRequest,
        deadline: Deadline,
        notes: &mut Notes,
    ) -> Result<Inferred, RankError> {
        if deadline.expired(Instant::now()) {
            return Err(RankError::Expired(Stage::Arrival));
        }
        infer(&self.parts.registry, request, deadline, notes).await
    }

    /// The tensors that [`Self::rank`] would run for the request, in the order of the manifest's inputs.
    ///
    /// # Errors
    /// [`RankError`], whose code says whose fault it is.
    pub async fn inputs(
        &self,
        request: &RankRequest,
        deadline: Deadline,
    ) -> Result<Vec<Tensor>, RankError> {
        let ranker = self.ranker(&request.model)?;
        let located = ranker.locate(&request.candidates.ids);
        let user = self.user_side(&ranker, request, deadline, &mut Notes::default()).await?;
        inputs(&ranker, (request, &located), &user, deadline)
    }

    async fn user_side(
        &self,
        ranker: &Ranker,
        request: &RankRequest,
        deadline: Deadline,
        notes: &mut Notes,
    ) -> Result<UserSide, RankError> {
        let (parts, flights, trace) = (&self.parts, &self.flights, notes.trace);
        let notes = &mut notes.user;
        notes.step.begin();
        let mut desk =
            UserDesk { parts, flights, deadline, priority: None, keeps: true, trace, notes };
        let side = user_side(&mut desk, ranker, request).await?;
        notes.step.end();
        (notes.state, notes.age) = (Some(side.state), side.age);
        notes.seen = Some(Seen {
            embedding: Arc::clone(&side.embedding),
            encoder_version: ranker.encoder().map_or(0, |encoder| encoder.id().version.0),
            history: Arc::clone(&side.history),
            state: side.state,
        });
        Ok(side)
    }

    /// The version that answers a request, by the model's traffic.
    fn choose(&self, request: &RankRequest) -> Result<Chosen<Model>, RankError> {
        let asker = Asker {
            user: &request.user.id,
            request_id: &request.request_id,
            caller: request.caller.as_str(),
        };
        let name = self.name_of(&request.model);
        Ok(self.parts.registry.choose(&name, &request.model.selector, &asker)?)
    }

    fn name_of<'a>(&self, choice: &'a ModelChoice) -> Cow<'a, str> {
        match choice.name.as_str() {
            "" => self.default_model().into(),
            name => name.into(),
        }
    }

    /// How the versions that are tried beside a live one have done so far.
    pub fn comparisons(&self) -> Vec<Comparison> {
        comparisons(&self.parts.registry)
    }

    /// The live ranker, or the one that the choice names; the default model where the choice names none.
    ///
    /// # Errors
    /// [`RankError::Serving`] when there is none, [`RankError::NotARanker`] or [`RankError::OnlyTensors`] when it is something else.
    pub fn ranker(&self, choice: &ModelChoice) -> Result<Arc<Ranker>, RankError> {
        let name = self.name_of(choice);
        let model = self.parts.registry.resolve(&name, &choice.selector)?;
        as_ranker(&model).cloned()
    }

    /// The user encoder of that name; in its live version, where none is said.
    ///
    /// # Errors
    /// [`RankError::Serving`] when there is none, [`RankError::Invalid`] when it is something else.
    pub fn encoder(&self, name: &str, version: Option<u64>) -> Result<Arc<Encoder>, RankError> {
        let selector = version.map_or(Selector::Live, Selector::Version);
        match self.parts.registry.resolve(name, &selector)?.as_ref() {
            Model::Encoder(encoder) => Ok(Arc::clone(encoder)),
            Model::Ranker(_) => {
                let wrong = format!("`{name}` is a ranker; name a user encoder");
                Err(RankError::field("encoder_name", wrong))
            }
            Model::Tensors(_) => {
                let wrong = format!("`{name}` is asked by its tensors; name a user encoder");
                Err(RankError::field("encoder_name", wrong))
            }
        }
    }

    /// What is kept of users.
    pub fn users(&self) -> &dyn UserStore {
        self.parts.users.as_ref()
    }

    /// Appends what users did, and counts what they took of orders that two versions had made.
    ///
    /// # Errors
    /// [`RankError::Store`].
    pub async fn record(&self, events: Vec<UserEvents>) -> Result<RecordCounts, RankError> {
        self.weighing.rewards.note(&events);
        Ok(self.parts.users.record(events).await?)
    }

    /// Erases everything that is known of a user.
    ///
    /// # Errors
    /// [`RankError::Store`].
    pub async fn erase(&self, user: &Arc<str>) -> Result<Erased, RankError> {
        self.weighing.rewards.forget(user);
        Ok(self.parts.users.erase(user).await?)
    }

    /// What is known of a user for a ranker, and for each loaded encoder version.
    ///
    /// # Errors
    /// [`RankError`]: no such model, or the store does not answer.
    pub async fn user(&self, choice: &ModelChoice, user: &Arc<str>) -> Result<UserView, RankError> {
        user_view(&self.parts, self.ranker(choice)?.as_ref(), user).await
    }

    /// Finds out who is meant, and has their embeddings computed where they are missing or stale; tells the progress after each user.
    ///
    /// # Errors
    /// [`RankError`]: no such model, one without an encoder, or the store does not answer.
    pub async fn warm(
        &self,
        choice: &ModelChoice,
        whom: WhomToWarm,
    ) -> Result<(usize, impl Stream<Item = WarmProgress> + Send + use<'_>), RankError> {
        self.warm_for(self.ranker(choice)?.as_ref(), whom).await
    }

    /// The same for a ranker, published or not.
    ///
    /// # Errors
    /// [`RankError`]: the ranker has no encoder, or the store does not answer.
    pub async fn warm_for(
        &self,
        ranker: &Ranker,
        whom: WhomToWarm,
    ) -> Result<(usize, impl Stream<Item = WarmProgress> + Send + use<'_>), RankError> {
        let Some(encoder) = &ranker.encoder else {
            let wrong = format!("{} has no encoder; name a ranker that needs one", ranker.id());
            return Err(RankError::field("model.name", wrong));
        };
        let users = match whom {
            WhomToWarm::These(users) => users,
            WhomToWarm::MostActive(most) => self.parts.users.most_active(most).await?,
        };
        let total = users.len();
        Ok((total, warm(&self.parts, &self.flights, Arc::clone(encoder), users)))
    }

    /// The model that answers a request that names none, of those that are published now.
    pub fn default_model(&self) -> String {
        default_model(&self.parts.registry, &self.parts.options.default_model)
    }

    /// The published models.
    pub fn registry(&self) -> &Registry<Model> {
        &self.parts.registry
    }
}

fn as_ranker(model: &Model) -> Result<&Arc<Ranker>, RankError> {
    match model {
        Model::Ranker(ranker) => Ok(ranker),
        Model::Encoder(encoder) => Err(RankError::NotARanker(encoder.id().name.to_string())),
        Model::Tensors(model) => Err(RankError::OnlyTensors(model.id().name.to_string())),
    }
}
