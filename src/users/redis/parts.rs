//! What readings and writings of the store work with.

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use tokio::sync::Semaphore;

use crate::{
    ids::ModelId,
    users::{
        counters::UserCounters,
        options::UsersOptions,
        record::StoredEmbedding,
        redis::{keys::Keys, line::Line, local::Local, scripts::Scripts},
        shipped::Shipped,
        store::UserKey,
    },
};

/// Embeddings that are on their way to Redis at once; more are dropped.
const MOST_KEEPING: usize = 256;

/// What readings and writings work with.
pub(super) struct Parts {
    pub(super) options: UsersOptions,
    pub(super) keys: Keys,
    pub(super) shipped: Arc<Shipped>,
    /// The shape of each loaded encoder's embeddings.
    pub(super) shapes: DashMap<ModelId, Arc<[usize]>>,
    pub(super) line: Arc<Line>,
    pub(super) local: Arc<Local>,
    pub(super) counters: Arc<UserCounters>,
    pub(super) scripts: Scripts,
    /// Places for embeddings on their way to Redis.
    pub(super) keeping: Arc<Semaphore>,
    /// These embeddings: they are computed, and Redis does not have them yet, or did not take them.
    pub(super) on_the_way: DashMap<UserKey, StoredEmbedding>,
}

impl Parts {
    pub(super) fn new(options: UsersOptions, shipped: Arc<Shipped>) -> Self {
        let counters = Arc::new(UserCounters::default());
        let line = Line::new(Arc::clone(&counters), options.redis.write_timeout);
        Self {
            keys: Keys::new(&options.redis),
            shipped,
            shapes: DashMap::new(),
            line: Arc::new(line),
            local: Arc::new(Local::new(&options.redis)),
            counters,
            scripts: Scripts::default(),
            keeping: Arc::new(Semaphore::new(MOST_KEEPING)),
            on_the_way: DashMap::new(),
            options,
        }
    }

    /// The shape of an encoder's embeddings; none where the model makes none.
    pub(super) fn shape(&self, owner: &ModelId) -> Option<Arc<[usize]>> {
        self.shapes.get(owner).map(|shape| Arc::clone(&shape))
    }

    /// How long an embedding that is written now is kept, in milliseconds: the configured time, a tenth more or less.
    pub(super) fn time_to_live_ms(&self) -> u64 {
        jittered(self.options.redis.embedding_ttl, rand::random())
    }
}

/// A time, a tenth shorter where `chance` is 0, up to a tenth longer where it is 1; in milliseconds.
fn jittered(time: Duration, chance: f64) -> u64 {
    (time.as_millis() as f64 * (0.9 + 0.2 * chance)).max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_differ_by_a_tenth() {
        let hour = Duration::from_secs(3600);
        assert_eq!(jittered(hour, 0.0), 3_240_000);
        assert_eq!(jittered(hour, 0.5), 3_600_000);
        assert_eq!(jittered(hour, 1.0), 3_960_000);
        assert_eq!(jittered(Duration::ZERO, 0.5), 1);
    }
}
