//! The trait of a user store.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;

use crate::{
    error_code::ErrorCode,
    ids::ModelId,
    users::{
        counters::UserCounts,
        event::{History, UserEvents},
        record::{StoredEmbedding, UserRecord},
    },
};

/// Whose record: an embedding belongs to an encoder version, a history to a model's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserKey {
    /// The encoder, or the model that reads histories itself.
    pub owner: ModelId,
    /// The user's id.
    pub user: Arc<str>,
}

/// A store that cannot do what it is asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, or not in time.
    #[error("the user store does not answer: {0}; try again, nothing that was answered is lost")]
    Down(String),
    /// It has no room.
    #[error("the user store is full: {0}; give Redis more `maxmemory`")]
    Full(String),
    /// It answers that it will not.
    #[error("the user store refuses: {0}; look at its ACL, its version and `users.redis`")]
    Refused(String),
}

impl StoreError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Down(_) | Self::Refused(_) => ErrorCode::Unavailable,
            Self::Full(_) => ErrorCode::ResourceExhausted,
        }
    }

    /// A reason for machines.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Down(_) => "USER_STORE_DOWN",
            Self::Full(_) => "USER_STORE_FULL",
            Self::Refused(_) => "USER_STORE_REFUSES",
        }
    }
}

/// What became of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordCounts {
    /// New ones.
    pub recorded: usize,
    /// Those that their user already had.
    pub duplicates: usize,
}

/// What was erased of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Recorded events.
    pub events: usize,
    /// Embeddings.
    pub embeddings: usize,
    /// Whether a bundle ships a history of the user, which is hidden now.
    pub shipped: bool,
}

/// What is kept of a user, without a model's view.
#[derive(Debug, Clone, Default)]
pub struct UserSummary {
    /// Recorded events that are kept, oldest first.
    pub recorded: Option<History>,
    /// The record for each encoder that was asked about.
    pub records: Vec<UserRecord>,
}

/// An embedding of one user that was computed elsewhere.
#[derive(Debug, Clone)]
pub struct GivenEmbedding {
    /// The user.
    pub user: Arc<str>,
    /// The values; as many as the encoder declares, finite.
    pub values: Arc<[f32]>,
    /// When the history was read that it was made of, in unix milliseconds.
    pub created_ms: u64,
}

/// Whether to compute an embedding that is missing.
#[derive(Debug, Clone)]
pub enum Claim {
    /// Yes: nobody else is at it, or nobody knows.
    Ours,
    /// No: another server computed it.
    Theirs(StoredEmbedding),
}

/// Keeps histories and embeddings.
pub trait UserStore: Send + Sync {
    /// Reads all that a ranking needs of a user, in one round trip of at most `patience`.
    ///
    /// It never fails: where the store does not answer, the record says so in its source, and has what this process knows.
    fn read<'a>(&'a self, key: &'a UserKey, patience: Duration) -> BoxFuture<'a, UserRecord>;

    /// Asks whether an embedding that `record` lacks should be computed here; waits for another server that is at it.
    fn claim<'a>(&'a self, key: &'a UserKey, record: &'a UserRecord) -> BoxFuture<'a, Claim>;

    /// Keeps an embedding of the key's encoder version, unless its user was erased meanwhile; nobody waits for it.
    fn keep(self: Arc<Self>, key: UserKey, embedding: StoredEmbedding);

    /// Appends events; those that a user already has are duplicates.
    ///
    /// # Errors
    /// [`StoreError`]: some of the events may be recorded; all may be sent again.
    fn record(&self, events: Vec<UserEvents>) -> BoxFuture<'_, Result<RecordCounts, StoreError>>;

    /// Keeps embeddings of one encoder version that were computed elsewhere.
    ///
    /// # Errors
    /// [`StoreError`]: some may be kept; all may be sent again.
    fn put<'a>(
        &'a self,
        owner: &'a ModelId,
        embeddings: Vec<GivenEmbedding>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Reads what is kept of a user, and its record for each of `owners`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn user<'a>(
        &'a self,
        user: &'a Arc<str>,
        owners: &'a [ModelId],
    ) -> BoxFuture<'a, Result<UserSummary, StoreError>>;

    /// Erases everything that is known of a user, here and in the copies of other servers.
    ///
    /// # Errors
    /// [`StoreError`].
    fn erase<'a>(&'a self, user: &'a Arc<str>) -> BoxFuture<'a, Result<Erased, StoreError>>;

    /// The users whose last events are the latest, latest first; `most` at most.
    ///
    /// # Errors
    /// [`StoreError`].
    fn most_active(&self, most: usize) -> BoxFuture<'_, Result<Vec<Arc<str>>, StoreError>>;

    /// Tells the shape of an encoder's embeddings: others count as none.
    fn serve(&self, owner: &ModelId, shape: &[usize]);

    /// Lets go of what this process keeps for an encoder version that nobody holds any more.
    fn retire(&self, owner: &ModelId);

    /// What became of readings and writings.
    fn counts(&self) -> UserCounts;

    /// Whether it is asked: no where it was given up for a while.
    fn answers(&self) -> bool;

    /// What it is and how it does, for people: `in this process`, or `redis 7.0.15 at …`.
    fn describe(&self) -> String;
}
