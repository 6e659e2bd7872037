//! Gets what a ranker needs of the shopper, at the cost of at most one store read and one encoder run.

use std::{sync::Arc, time::Instant};

use futures::FutureExt;

use crate::{
    deadline::Deadline,
    ranking::{
        error::{RankError, Stage},
        models::{Encoder, Ranker},
        parts::EngineParts,
        request::{InlineEmbedding, User},
        response::{Degraded, UserState},
    },
    users::{Embedding, Event, History, SingleFlight, UserKey, UserRecord},
};

/// The shopper as the ranker sees them.
pub(super) struct UserSide {
    pub(super) embedding: Embedding,
    pub(super) history: History,
    pub(super) state: UserState,
    pub(super) degraded: Option<Degraded>,
}

impl UserSide {
    fn of(embedding: Embedding, history: History, state: UserState) -> Self {
        Self { embedding, history, state, degraded: None }
    }
}

/// Reads, encodes and keeps.
pub(super) async fn user_side(
    parts: &EngineParts,
    flights: &SingleFlight<RankError>,
    ranker: &Ranker,
    user: &User,
    deadline: Deadline,
) -> Result<UserSide, RankError> {
    if !ranker.has_user_side() {
        check_no_embedding(ranker, user)?;
        return Ok(UserSide::of(Embedding::default(), no_history(), UserState::None));
    }
    let key = (!user.id.is_empty())
        .then(|| UserKey { owner: ranker.history_owner().clone(), user: user.id.as_str().into() });
    let record = match &key {
        Some(key) => read(parts, key, deadline).await?,
        None => UserRecord::default(),
    };
    let inline: Option<History> =
        (!user.history.is_empty()).then(|| user.history.as_slice().into());
    let stored = record.history.filter(|history| !history.is_empty());
    let Some(encoder) = &ranker.encoder else {
        check_no_embedding(ranker, user)?;
        return Ok(match (inline, stored) {
            (Some(history), _) => UserSide::of(Embedding::default(), history, UserState::Inline),
            (_, Some(history)) => UserSide::of(Embedding::default(), history, UserState::Cached),
            _ => UserSide::of(Embedding::default(), no_history(), UserState::Default),
        });
    };
    if let Some(given) = &user.embedding {
        let embedding = check_inline(encoder, given)?;
        let history = inline.or(stored).unwrap_or_else(no_history);
        return Ok(UserSide::of(embedding, history, UserState::Inline));
    }
    let encoding = Encoding { parts, encoder, deadline };
    match (inline, record.embedding, stored, key) {
        (Some(history), ..) => {
            let attempt = encoder.encode(&history, encoding.patience()).await;
            encoding.or_default(attempt, history, UserState::Inline)
        }
        (None, Some(embedding), stored, _) => {
            let history = stored.unwrap_or_else(no_history);
            Ok(UserSide::of(embedding, history, UserState::Cached))
        }
        (None, None, Some(history), Some(key)) => {
            let attempt = encoding.compute(flights, key, Arc::clone(&history)).await;
            encoding.or_default(attempt, history, UserState::Computed)
        }
        _ => Ok(UserSide::of(encoder.default_embedding(), no_history(), UserState::Default)),
    }
}

async fn read(
    parts: &EngineParts,
    key: &UserKey,
    deadline: Deadline,
) -> Result<UserRecord, RankError> {
    match tokio::time::timeout_at(deadline.at().into(), parts.users.read(key)).await {
        Ok(record) => Ok(record?),
        Err(_) => Err(RankError::Expired(Stage::User)),
    }
}

fn no_history() -> History {
    Arc::from(Vec::<Event>::new())
}

/// One use of an encoder for one request.
struct Encoding<'a> {
    parts: &'a EngineParts,
    encoder: &'a Arc<Encoder>,
    deadline: Deadline,
}

impl Encoding<'_> {
    /// How long this request waits for the encoder: three quarters of what is left, so that the ranker still has its turn.
    fn patience(&self) -> Deadline {
        let now = Instant::now();
        Deadline::after(now, self.deadline.remaining(now) * 3 / 4)
    }

    /// Joins the one computation for this user, which keeps its result for later requests.
    async fn compute(
        &self,
        flights: &SingleFlight<RankError>,
        key: UserKey,
        history: History,
    ) -> Result<Embedding, RankError> {
        let (encoder, users) = (Arc::clone(self.encoder), Arc::clone(&self.parts.users));
        let (kept, timeout) = (key.clone(), self.parts.options.encode_timeout);
        let flight = flights.join(key, || {
            async move {
                let deadline = Deadline::after(Instant::now(), timeout);
                let embedding = encoder.encode(&history, deadline).await.map_err(Arc::new)?;
                if let Err(error) = users.write_embedding(&kept, Arc::clone(&embedding)).await {
                    tracing::warn!(%error, "an embedding could not be kept");
                }
                Ok(embedding)
            }
            .boxed()
        });
        match tokio::time::timeout_at(self.patience().at().into(), flight).await {
            Ok(result) => result.map_err(RankError::Shared),
            Err(_) => Err(RankError::Expired(Stage::User)),
        }
    }

    /// Falls back to the embedding of an unknown shopper, and says so, unless the request itself has expired.
    fn or_default(
        &self,
        attempt: Result<Embedding, RankError>,
        history: History,
        state: UserState,
    ) -> Result<UserSide, RankError> {
        match attempt {
            Ok(embedding) => Ok(UserSide::of(embedding, history, state)),
            Err(_) if self.deadline.expired(Instant::now()) => Err(RankError::Expired(Stage::User)),
            Err(error) => {
                tracing::warn!(encoder = %self.encoder.id(), %error, "the default embedding is used");
                Ok(UserSide {
                    degraded: Some(Degraded::EncoderUnavailable),
                    ..UserSide::of(self.encoder.default_embedding(), history, UserState::Default)
                })
            }
        }
    }
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
