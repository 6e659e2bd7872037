//! The pipeline of one request, to be read top to bottom.

use std::{borrow::Cow, sync::Arc, time::Instant};

use futures::Stream;

use crate::{
    batching::BatchError,
    deadline::Deadline,
    ranking::{
        behind::FirstScores,
        default_model::default_model,
        error::{RankError, Stage},
        in_time::{first_by_prior, in_time},
        models::{Encoder, Located, Model, Ranker},
        parts::EngineParts,
        request::{ModelChoice, RankRequest},
        response::{Degraded, Head, Ranking, Scored, StageTimes},
        scoring::{by_position, inputs, scored, work},
        select::best,
        trial::Trials,
        user_side::{UserDesk, UserSide, user_side},
        user_view::{UserView, user_view},
        warm::{WarmProgress, WhomToWarm, warm},
    },
    serving::{Asker, Chosen, Comparison, Registry, Selector, comparisons},
    tensor::Tensor,
    users::{SingleFlight, UserStore},
};

/// A request that is ready to run.
struct Prepared {
    located: Located,
    user: UserSide,
    inputs: Vec<Tensor>,
}

/// An answer, and what a second version is compared with, where one may be asked.
type Answered = (Ranking, Option<Arc<FirstScores>>);

/// Ranks requests.
pub struct Engine {
    parts: Arc<EngineParts>,
    flights: SingleFlight<RankError>,
    trials: Trials,
}

impl Engine {
    /// Makes an engine.
    pub fn new(parts: EngineParts) -> Self {
        let parts = Arc::new(parts);
        let trials = Trials::new(Arc::clone(&parts));
        Self { parts, flights: SingleFlight::default(), trials }
    }

    /// Orders the candidates of one request; behind the answer another version may be asked as well, to be compared.
    ///
    /// # Errors
    /// [`RankError`], whose code says whose fault it is.
    pub async fn rank(
        &self,
        request: &Arc<RankRequest>,
        deadline: Deadline,
    ) -> Result<Ranking, RankError> {
        if deadline.expired(Instant::now()) {
            return Err(RankError::Expired(Stage::Arrival));
        }
        let Chosen { model, traffic } = self.choose(request)?;
        let ranker = as_ranker(&model)?;
        let answered = self.answer(ranker, request, (deadline, traffic.is_some())).await;
        if let Some(traffic) = traffic {
            let first = answered.as_ref();
            let first = first.map(|(ranking, scores)| (&ranking.times, scores.clone()));
            self.trials.weigh(&traffic, (ranker, request), &first);
        }
        answered.map(|(ranking, _)| ranking)
    }

    /// Has one version order the candidates.
    async fn answer(
        &self,
        ranker: &Arc<Ranker>,
        request: &RankRequest,
        (deadline, is_compared): (Deadline, bool),
    ) -> Result<Answered, RankError> {
        let mut times = StageTimes::default();
        let located = ranker.locate(&request.candidates.ids);
        let located = in_time(ranker, located, request, deadline)?;
        let Prepared { mut located, user, inputs } =
            self.prepare(ranker, (request, located), deadline, &mut times).await?;

        let (mut items, mut further_heads) = (Vec::new(), Vec::new());
        if !located.scored.is_empty() {
            match ranker.handle.run(work(request, inputs, deadline)).await {
                Ok(ran) => {
                    times.batch = ran.trip;
                    (items, further_heads) = scored(ranker, ran, &located)?;
                }
                Err(BatchError::TooLate { .. } | BatchError::QueueFull { .. })
                    if request.allow_partial =>
                {
                    located = first_by_prior(located, &request.candidates.prior_scores, 0);
                }
                Err(error) => return Err(error.into()),
            }
        }

        let begun = Instant::now();
        if deadline.expired(begun) {
            return Err(RankError::Expired(Stage::Run));
        }
        let first = is_compared
            .then(|| Arc::new(FirstScores { scores: by_position(&items), user: user.clone() }));
        items.extend(unscored(&located));
        let items = best(items, &request.candidates.prior_scores, request.top_k);
        times.select = begun.elapsed();
        Ok((answer(ranker, (items, further_heads), located, user, times), first))
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
        let mut times = StageTimes::default();
        let located = ranker.locate(&request.candidates.ids);
        Ok(self.prepare(&ranker, (request, located), deadline, &mut times).await?.inputs)
    }

    /// Gets the user's side, builds the model's inputs.
    async fn prepare(
        &self,
        ranker: &Arc<Ranker>,
        (request, located): (&RankRequest, Located),
        deadline: Deadline,
        times: &mut StageTimes,
    ) -> Result<Prepared, RankError> {
        let begun = Instant::now();
        let (parts, flights) = (&self.parts, &self.flights);
        let desk = UserDesk { parts, flights, deadline, priority: None, keeps: true };
        let user = user_side(&desk, ranker, request).await?;
        times.user = begun.elapsed();

        let begun = Instant::now();
        let inputs = inputs(ranker, (request, &located), &user, deadline)?;
        times.features = begun.elapsed();
        Ok(Prepared { located, user, inputs })
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
    /// [`RankError::Serving`] when there is none, [`RankError::NotARanker`] when it is an encoder.
    pub fn ranker(&self, choice: &ModelChoice) -> Result<Arc<Ranker>, RankError> {
        let name = self.name_of(choice);
        let model = self.parts.registry.resolve(&name, &choice.selector)?;
        as_ranker(&model).cloned()
    }

    /// The user encoder of that name; in its live version, where none is said.
    ///
    /// # Errors
    /// [`RankError::Serving`] when there is none, [`RankError::Invalid`] when it is a ranker.
    pub fn encoder(&self, name: &str, version: Option<u64>) -> Result<Arc<Encoder>, RankError> {
        let selector = version.map_or(Selector::Live, Selector::Version);
        match self.parts.registry.resolve(name, &selector)?.as_ref() {
            Model::Encoder(encoder) => Ok(Arc::clone(encoder)),
            Model::Ranker(_) => {
                let wrong = format!("`{name}` is a ranker; name a user encoder");
                Err(RankError::field("encoder_name", wrong))
            }
        }
    }

    /// What is kept of users.
    pub fn users(&self) -> &dyn UserStore {
        self.parts.users.as_ref()
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
        let ranker = self.ranker(choice)?;
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
    }
}

/// The candidates that the model is not asked about.
fn unscored(located: &Located) -> impl Iterator<Item = Scored> {
    let asked_for = located.scored.len() + located.left_out.len();
    let missing: &[u32] = if asked_for < located.rows.len() { &located.missing } else { &[] };
    let all = missing.iter().chain(&located.left_out);
    all.map(|&index| Scored { index, score: None, row: None })
}

fn answer(
    ranker: &Ranker,
    (items, further_heads): (Vec<Scored>, Vec<Head>),
    located: Located,
    user: UserSide,
    times: StageTimes,
) -> Ranking {
    let missing = (!located.missing.is_empty()).then_some(Degraded::ItemsMissing);
    let partly = (!located.left_out.is_empty()).then_some(Degraded::PartlyScored);
    Ranking {
        items,
        further_heads,
        model: ranker.id().clone(),
        encoder_version: ranker.encoder().map_or(0, |encoder| encoder.id().version.0),
        user_state: user.state,
        user_age: user.age,
        degraded: missing.into_iter().chain(user.degraded).chain(partly).collect(),
        missing: located.missing,
        times,
    }
}
