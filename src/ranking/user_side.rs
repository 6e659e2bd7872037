//! Gets what a ranker needs of the shopper, at the cost of at most one store read and one encoder run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;

use crate::{
    batching::{Priority, Trip},
    deadline::Deadline,
    ranking::{
        error::{RankError, Stage},
        models::{Encoder, Ranker},
        notes::UserNotes,
        parts::EngineParts,
        request::{InlineEmbedding, RankRequest, User},
        response::{Degraded, UserState},
    },
    telemetry::TraceContext,
    users::{
        Claim, Embedding, Event, History, SingleFlight, Source, StoredEmbedding, UserKey,
        UserRecord, WhenStale,
    },
};

/// The shopper as the ranker sees them.
#[derive(Debug, Clone)]
pub(super) struct UserSide {
    pub(super) embedding: Embedding,
    pub(super) history: History,
    pub(super) state: UserState,
    pub(super) age: Duration,
    pub(super) degraded: Vec<Degraded>,
}

impl UserSide {
    fn of(embedding: Embedding, history: History, state: UserState) -> Self {
        Self { embedding, history, state, age: Duration::ZERO, degraded: Vec::new() }
    }

    fn stored(embedding: StoredEmbedding, history: History, state: UserState) -> Self {
        let age = embedding.age();
        Self { age, ..Self::of(embedding.values, history, state) }
    }

    fn but(mut self, degraded: Degraded) -> Self {
        self.degraded.push(degraded);
        self
    }
}

/// What a computation gave to all who waited for it.
#[derive(Debug, Clone)]
pub(super) struct Computed {
    embedding: StoredEmbedding,
    /// The request that had begun it.
    begun_by: TraceContext,
    /// What the encoder's run went through; nothing where another server ran it.
    trip: Arc<Trip>,
}

/// The computations in flight.
pub(super) type Flights = SingleFlight<Computed, RankError>;

/// What readings and computations are made with.
pub(super) struct UserDesk<'a> {
    pub(super) parts: &'a EngineParts,
    pub(super) flights: &'a Flights,
    pub(super) deadline: Deadline,
    /// How urgent a computation is that begins here; none: as the encoder's configuration says.
    pub(super) priority: Option<Priority>,
    /// Whether what is computed is shared and stored; if not, the store is only read.
    pub(super) keeps: bool,
    /// What it is a part of.
    pub(super) trace: TraceContext,
    /// Where what is done is noted.
    pub(super) notes: &'a mut UserNotes,
}

/// Reads, encodes and keeps; an error where the request wants no order for an unknown shopper and this is one.
pub(super) async fn user_side(
    desk: &mut UserDesk<'_>,
    ranker: &Ranker,
    request: &RankRequest,
) -> Result<UserSide, RankError> {
    let side = desk.find(ranker, &request.user).await?;
    match side.state {
        UserState::Default if request.require_user_state => Err(match side.degraded.is_empty() {
            true => RankError::UserUnknown,
            false => RankError::UserUnavailable,
        }),
        _ => Ok(side),
    }
}

/// The shopper as the request alone tells, else one of whom nothing is known; neither reads nor keeps anything.
pub(super) async fn user_side_alone(
    ranker: &Ranker,
    user: &User,
    deadline: Deadline,
) -> Result<UserSide, RankError> {
    let history = known(inline_history(user));
    let Some(encoder) = ranker.encoder.as_deref() else {
        check_no_embedding(ranker, user)?;
        return Ok(UserSide::of(Embedding::default(), history, UserState::None));
    };
    let embedding = match &user.embedding {
        Some(given) => check_inline(encoder, given)?,
        None if history.is_empty() => encoder.default_embedding(),
        None => encoder.encode(&history, deadline, Some(Priority(Priority::LOWEST))).await?,
    };
    Ok(UserSide::of(embedding, history, UserState::Inline))
}

/// The same, with the embedding of an unknown shopper in the place of one that would have to be computed.
pub(super) fn user_side_at_once(ranker: &Ranker, user: &User) -> Result<UserSide, RankError> {
    let history = known(inline_history(user));
    let embedding = match (ranker.encoder.as_deref(), &user.embedding) {
        (Some(encoder), Some(given)) => check_inline(encoder, given)?,
        (Some(encoder), None) => encoder.default_embedding(),
        (None, _) => check_no_embedding(ranker, user).map(|()| Embedding::default())?,
    };
    Ok(UserSide::of(embedding, history, UserState::Inline))
}

impl UserDesk<'_> {
    /// Reads and encodes.
    pub(super) async fn find(
        &mut self,
        ranker: &Ranker,
        user: &User,
    ) -> Result<UserSide, RankError> {
        let Some(encoder) = &ranker.encoder else {
            check_no_embedding(ranker, user)?;
            return match ranker.has_user_side() {
                true => self.history_alone(ranker, user).await,
                false => Ok(UserSide::of(Embedding::default(), no_history(), UserState::None)),
            };
        };
        let inline = inline_history(user);
        if let Some(given) = &user.embedding {
            let embedding = check_inline(encoder, given)?;
            let history = match inline {
                Some(history) => history,
                None if ranker.reads_history() => known(self.read(ranker, user).await?.history),
                None => no_history(),
            };
            return Ok(UserSide::of(embedding, history, UserState::Inline));
        }
        if let Some(history) = inline {
            let attempt = self.encode(encoder, &history, None).await;
            let attempt =
                attempt.map(|values| UserSide::of(values, Arc::clone(&history), UserState::Inline));
            return self.or_default(attempt, encoder, history);
        }
        let record = self.read(ranker, user).await?;
        let down = record.source == Source::Fallback;
        let side = self.recorded(ranker, encoder, user, record).await?;
        Ok(if down { side.but(Degraded::UserStoreUnavailable) } else { side })
    }

    /// The user of a model that reads the events themselves.
    async fn history_alone(&mut self, ranker: &Ranker, user: &User) -> Result<UserSide, RankError> {
        let side = |history, state| UserSide::of(Embedding::default(), history, state);
        if let Some(history) = inline_history(user) {
            return Ok(side(history, UserState::Inline));
        }
        let record = self.read(ranker, user).await?;
        let (history, source) = (known(record.history), record.source);
        let state = if history.is_empty() { UserState::Default } else { state_of(source) };
        Ok(match source {
            Source::Fallback => side(history, state).but(Degraded::UserStoreUnavailable),
            _ => side(history, state),
        })
    }

    /// The user as the store knows them: the stored embedding, or one that is computed now, or the default one.
    async fn recorded(
        &mut self,
        ranker: &Ranker,
        encoder: &Arc<Encoder>,
        user: &User,
        record: UserRecord,
    ) -> Result<UserSide, RankError> {
        let history = known(record.history.clone());
        let (fresh, source) = (record.is_fresh(), record.source);
        match record.embedding.clone() {
            Some(embedding) if fresh => Ok(UserSide::stored(embedding, history, state_of(source))),
            None if history.is_empty() => {
                Ok(UserSide::of(encoder.default_embedding(), history, UserState::Default))
            }
            None => {
                let attempt = self.compute(encoder, key_of(ranker, user), record).await;
                let attempt = attempt.map(|embedding| {
                    UserSide::stored(embedding, Arc::clone(&history), UserState::Computed)
                });
                self.or_default(attempt, encoder, history)
            }
            Some(old) => {
                let options = &self.parts.options;
                let serve = match options.when_stale {
                    WhenStale::Refresh => true,
                    WhenStale::Serve => old.age() <= options.stale_up_to,
                    WhenStale::Wait => false,
                };
                let key = key_of(ranker, user);
                if serve {
                    if options.when_stale == WhenStale::Refresh && self.keeps {
                        let apart = TraceContext::default();
                        tokio::spawn(self.flight(encoder, key, record, apart).map(drop));
                    }
                    return Ok(UserSide::stored(old, history, UserState::Stale));
                }
                match self.compute(encoder, key, record).await {
                    Ok(new) => Ok(UserSide::stored(new, history, UserState::Computed)),
                    Err(_) if self.expired() => Err(RankError::Expired(Stage::User)),
                    Err(error) => {
                        tracing::warn!(encoder = %encoder.id(), %error, "a stale embedding is used");
                        Ok(UserSide::stored(old, history, UserState::Stale))
                    }
                }
            }
        }
    }

    async fn read(&mut self, ranker: &Ranker, user: &User) -> Result<UserRecord, RankError> {
        if user.id.is_empty() {
            return Ok(UserRecord::default());
        }
        let patience = self.deadline.remaining(Instant::now()) / 4;
        self.notes.read.begin();
        let record = self.parts.users.read(&key_of(ranker, user), patience).await;
        self.notes.read.end();
        (self.notes.source, self.notes.reading) = (Some(record.source), record.reading);
        match self.expired() {
            true => Err(RankError::Expired(Stage::User)),
            false => Ok(record),
        }
    }

    /// Runs the encoder for this request alone.
    async fn encode(
        &mut self,
        encoder: &Encoder,
        history: &History,
        priority: Option<Priority>,
    ) -> Result<Embedding, RankError> {
        self.notes.encode.begin();
        let (patience, who) = (self.patience(), (priority, self.trace));
        let mut trip = Trip::default();
        let values = encoder.encode_noted(history, patience, who, &mut trip).await;
        self.notes.encode.end();
        self.notes.trip = Arc::new(trip);
        values
    }

    /// How long this request waits for the encoder: three quarters of what is left, so that the ranker still has its turn.
    fn patience(&self) -> Deadline {
        let now = Instant::now();
        Deadline::after(now, self.deadline.remaining(now) * 3 / 4)
    }

    fn expired(&self) -> bool {
        self.deadline.expired(Instant::now())
    }

    /// Waits for an embedding that holds all events of the record, which is then kept for later requests.
    pub(super) async fn compute(
        &mut self,
        encoder: &Arc<Encoder>,
        key: UserKey,
        record: UserRecord,
    ) -> Result<StoredEmbedding, RankError> {
        let (until, mark) = (self.patience().at(), record.mark);
        if !self.keeps {
            let history = known(record.history);
            let values = self.encode(encoder, &history, self.priority).await?;
            return Ok(StoredEmbedding::new(values, mark));
        }
        self.notes.encode.begin();
        loop {
            let flight = self.flight(encoder, key.clone(), record.clone(), self.trace);
            let computed = match tokio::time::timeout_at(until.into(), flight).await {
                Ok(result) => result.map_err(RankError::Shared)?,
                Err(_) => return Err(RankError::Expired(Stage::User)),
            };
            self.notes.encode.end();
            self.notes.trip = computed.trip;
            self.notes.joined = (computed.begun_by != self.trace).then_some(computed.begun_by);
            let embedding = computed.embedding;
            // A flight that began before the last events gives an embedding without them.
            if embedding.folded.born == mark.born && embedding.folded.count >= mark.count {
                return Ok(embedding);
            }
        }
    }

    /// Joins the one computation for this user, or begins it.
    fn flight(
        &self,
        encoder: &Arc<Encoder>,
        key: UserKey,
        record: UserRecord,
        begun_by: TraceContext,
    ) -> impl Future<Output = Result<Computed, Arc<RankError>>> + Send + 'static {
        let (encoder, users) = (Arc::clone(encoder), Arc::clone(&self.parts.users));
        let (timeout, priority) = (self.parts.options.encode_timeout, self.priority);
        self.flights.join(key.clone(), || {
            async move {
                let deadline = Deadline::after(Instant::now(), timeout);
                if let Claim::Theirs(embedding) = users.claim(&key, &record).await {
                    return Ok(Computed { embedding, begun_by, trip: Arc::default() });
                }
                let history = known(record.history);
                let (who, mut trip) = ((priority, begun_by), Trip::default());
                let values = encoder.encode_noted(&history, deadline, who, &mut trip).await;
                let values = values.map_err(Arc::new)?;
                let embedding = StoredEmbedding::new(values, record.mark);
                users.keep(key, embedding.clone());
                Ok(Computed { embedding, begun_by, trip: Arc::new(trip) })
            }
            .boxed()
        })
    }

    /// Falls back to the embedding of an unknown shopper, and says so, unless the request itself has expired.
    fn or_default(
        &self,
        attempt: Result<UserSide, RankError>,
        encoder: &Encoder,
        history: History,
    ) -> Result<UserSide, RankError> {
        match attempt {
            Ok(side) => Ok(side),
            Err(_) if self.expired() => Err(RankError::Expired(Stage::User)),
            Err(error) => {
                tracing::warn!(encoder = %encoder.id(), %error, "the default embedding is used");
                let side = UserSide::of(encoder.default_embedding(), history, UserState::Default);
                Ok(side.but(Degraded::EncoderUnavailable))
            }
        }
    }
}

fn key_of(ranker: &Ranker, user: &User) -> UserKey {
    UserKey { owner: ranker.history_owner().clone(), user: user.id.as_str().into() }
}

fn state_of(source: Source) -> UserState {
    match source {
        Source::Store => UserState::Cached,
        Source::Local => UserState::Local,
        Source::Fallback => UserState::Stale,
    }
}

fn inline_history(user: &User) -> Option<History> {
    (!user.history.is_empty()).then(|| user.history.as_slice().into())
}

fn known(history: Option<History>) -> History {
    history.unwrap_or_else(no_history)
}

fn no_history() -> History {
    Arc::from(Vec::<Event>::new())
}

fn check_no_embedding(ranker: &Ranker, user: &User) -> Result<(), RankError> {
    match user.embedding {
        Some(_) => {
            let wrong = format!("is given, and {} takes none; leave it out", ranker.id());
            Err(RankError::field("user.embedding", wrong))
        }
        None => Ok(()),
    }
}

/// Holds an embedding that a request brings against the encoder.
fn check_inline(encoder: &Encoder, given: &InlineEmbedding) -> Result<Embedding, RankError> {
    let (want, version) = (encoder.shape(), encoder.id().version.0);
    if given.encoder_version != 0 && given.encoder_version != version {
        let wrong = format!("is {}, and the model needs {version}", given.encoder_version);
        return Err(RankError::field("user.embedding.encoder_version", wrong));
    }
    if !given.shape.is_empty() && given.shape != want {
        let wrong = format!("is {:?}, and {} gives {want:?}", given.shape, encoder.id());
        return Err(RankError::field("user.embedding.shape", wrong));
    }
    let length = want.iter().product::<usize>();
    if given.values.len() != length {
        let wrong =
            format!("has {} values, and {} gives {length}", given.values.len(), encoder.id());
        return Err(RankError::field("user.embedding.values", wrong));
    }
    Ok(given.values.as_slice().into())
}
