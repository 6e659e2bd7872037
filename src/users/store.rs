//! The trait of a user store.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::{
    error_code::ErrorCode,
    ids::{ModelId, ModelName},
    users::event::History,
};

/// The output of a user encoder for one user, in row-major order.
pub type Embedding = Arc<[f32]>;

/// Limits of the user store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersOptions {
    /// Embeddings kept for each encoder version; the store forgets some beyond it.
    pub max_embeddings: usize,
}

impl Default for UsersOptions {
    fn default() -> Self {
        Self { max_embeddings: 1_000_000 }
    }
}

/// Whose record: an embedding belongs to an encoder version, a history to a model's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserKey {
    /// The encoder, or the model that reads histories itself.
    pub owner: ModelId,
    /// The user's id.
    pub user: Arc<str>,
}

/// What the store holds of a user.
#[derive(Debug, Clone, Default)]
pub struct UserRecord {
    /// The history; empty where there is none.
    pub history: Option<History>,
    /// The embedding of the key's encoder version.
    pub embedding: Option<Embedding>,
}

/// A store that cannot answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the user store does not answer: {0}")]
pub struct StoreError(pub String);

impl StoreError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::Unavailable
    }
}

/// Keeps histories and embeddings.
pub trait UserStore: Send + Sync {
    /// Reads all that a ranking needs of a user, in one round trip.
    fn read<'a>(&'a self, key: &'a UserKey) -> BoxFuture<'a, Result<UserRecord, StoreError>>;

    /// Keeps the embedding of the key's encoder version.
    fn write_embedding<'a>(
        &'a self,
        key: &'a UserKey,
        embedding: Embedding,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Replaces the histories that a bundle ships for a model.
    fn seed(&self, owner: &ModelName, histories: Vec<(Arc<str>, History)>);
}
