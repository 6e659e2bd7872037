//! What is known of users: their histories, and their embeddings by encoder version.

mod active;
mod counters;
mod event;
mod flight;
mod memory;
mod options;
mod record;
mod redis;
mod shipped;
mod store;

pub use counters::UserCounts;
pub use event::{Event, EventDigest, EventKind, History, NamedEvent, UserEvents, seconds_to_days};
pub use flight::{Encode, SingleFlight};
pub use memory::MemoryStore;
pub use options::{RedisMode, RedisOptions, Storage, UsersOptions, WhenStale};
pub use record::{Embedding, Mark, Reading, Source, StoredEmbedding, Trouble, UserRecord};
pub use redis::RedisStore;
pub use shipped::{Shipped, load_histories};
pub use store::{
    Claim, Erased, GivenEmbedding, RecordCounts, StoreError, UserKey, UserStore, UserSummary,
};
