//! What is known of one user, as a ranking reads it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::users::event::{Event, History};

/// The output of a user encoder for one user, in row-major order.
pub type Embedding = Arc<[f32]>;

/// How far a user's recorded events go: what an embedding was made of, or what there is now.
///
/// Two marks are equal where the recorded events are the same; one mark of another history is never equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Drawn at random when the history began; 0 where no event was ever recorded.
    pub born: u64,
    /// Events recorded since then, those included that are kept no more.
    pub count: u64,
}

/// An embedding as a store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEmbedding {
    /// The values.
    pub values: Embedding,
    /// When it was computed, in unix milliseconds.
    pub created_ms: u64,
    /// The recorded events that it was made of.
    pub folded: Mark,
}

impl StoredEmbedding {
    /// An embedding that was computed just now.
    pub fn new(values: Embedding, folded: Mark) -> Self {
        Self { values, created_ms: unix_ms(), folded }
    }

    /// Whether it was made of this history, if of less of it; one that was made before any event was recorded is of every history.
    pub(super) fn is_of(&self, mark: Mark) -> bool {
        self.folded.born == 0 || self.folded.born == mark.born
    }

    /// How long ago it was computed, by this machine's clock.
    pub fn age(&self) -> Duration {
        Duration::from_millis(unix_ms().saturating_sub(self.created_ms))
    }
}

/// Where a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// The store.
    #[default]
    Store,
    /// A copy of what the store has, known to be as new to within 100 ms.
    Local,
    /// The store did not answer: what this process still knew, however old.
    Fallback,
}

/// Why a store could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It had been given up, and was not asked.
    GivenUp,
    /// It did not answer in time.
    TimedOut,
    /// The way there broke, or what it answered cannot be read.
    Broken,
}

/// What reading a record took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Messages to the store whose answers were waited for.
    pub messages: u8,
    /// Why there was no answer.
    pub trouble: Option<Trouble>,
}

/// What is known of one user for one encoder version, or for one model that reads histories itself.
#[derive(Debug, Clone, Default)]
pub struct UserRecord {
    /// The history: what the bundle ships and what was recorded, oldest first; none where there is none.
    pub history: Option<History>,
    /// How far the recorded events go.
    pub mark: Mark,
    /// The embedding of the encoder version.
    pub embedding: Option<StoredEmbedding>,
    /// Where all that came from.
    pub source: Source,
    /// What reading it took.
    pub reading: Reading,
}

impl UserRecord {
    /// Whether the embedding is there and holds every recorded event.
    pub fn is_fresh(&self) -> bool {
        self.embedding.as_ref().is_some_and(|embedding| embedding.folded == self.mark)
    }
}

/// Joins two histories into one, oldest first; of events of the same second those of `earlier` come first.
pub(super) fn joined(earlier: Option<&History>, later: Option<&History>) -> Option<History> {
    let (earlier, later) = match (earlier, later) {
        (Some(earlier), Some(later)) => (earlier, later),
        (one, other) => return one.or(other).cloned(),
    };
    let mut all: Vec<Event> = earlier.iter().chain(later.iter()).cloned().collect();
    all.sort_by_key(|event| event.time);
    Some(all.into())
}

/// The time of this machine's clock in unix milliseconds.
pub(super) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
