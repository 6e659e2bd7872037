//! What is known of a user, as a ranker sees it.

use std::sync::Arc;

use crate::{
    ids::ModelId,
    ranking::{
        error::RankError,
        models::{Model, Ranker},
        parts::EngineParts,
        response::UserState,
    },
    users::{StoredEmbedding, UserRecord},
};

/// What is known of a user.
#[derive(Debug)]
pub struct UserView {
    /// Events of the history that the model reads the last ones of.
    pub history_length: usize,
    /// Events among them that were recorded.
    pub recorded_events: usize,
    /// The time of the last one in unix seconds; none where there is none.
    pub last_event: Option<i64>,
    /// The embedding of each loaded encoder version.
    pub embeddings: Vec<StoredView>,
    /// What a ranking would say of its user now.
    pub state: UserState,
}

/// What is stored of a user for one encoder version.
#[derive(Debug)]
pub struct StoredView {
    /// The encoder version.
    pub encoder: ModelId,
    /// The embedding; none where none is stored.
    pub embedding: Option<StoredEmbedding>,
    /// Whether it holds every recorded event.
    pub fresh: bool,
}

/// Reads what is known of a user for a ranker, and for each loaded encoder version.
pub(super) async fn user_view(
    parts: &EngineParts,
    ranker: &Ranker,
    user: &Arc<str>,
) -> Result<UserView, RankError> {
    let encodes = |model: &Model| matches!(model, Model::Encoder(_));
    let models = parts.registry.all().into_iter();
    let mut owners: Vec<ModelId> =
        models.filter(|(_, model)| encodes(model)).map(|(id, _)| id).collect();
    let encoders = owners.len();
    let own = owners.iter().position(|owner| owner == ranker.history_owner());
    let own = own.unwrap_or_else(|| {
        owners.push(ranker.history_owner().clone());
        encoders
    });
    let summary = parts.users.user(user, &owners).await?;
    let (history, state) = match summary.records.get(own) {
        Some(record) => (record.history.clone(), state_of(ranker, record)),
        None => (None, UserState::Default),
    };
    let view = |(encoder, record): (ModelId, UserRecord)| StoredView {
        encoder,
        fresh: record.is_fresh(),
        embedding: record.embedding,
    };
    Ok(UserView {
        history_length: history.as_ref().map_or(0, |history| history.len()),
        recorded_events: summary.recorded.map_or(0, |recorded| recorded.len()),
        last_event: history.and_then(|history| history.last().map(|event| event.time)),
        embeddings: owners.into_iter().zip(summary.records).take(encoders).map(view).collect(),
        state,
    })
}

fn state_of(ranker: &Ranker, record: &UserRecord) -> UserState {
    let known = record.history.as_ref().is_some_and(|history| !history.is_empty());
    match (ranker.encoder(), &record.embedding) {
        (Some(_), Some(_)) if record.is_fresh() => UserState::Cached,
        (Some(_), Some(_)) => UserState::Stale,
        (Some(_), None) if known => UserState::Computed,
        (Some(_), None) => UserState::Default,
        (None, _) if !ranker.has_user_side() => UserState::None,
        (None, _) if known => UserState::Cached,
        (None, _) => UserState::Default,
    }
}
