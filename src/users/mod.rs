//! What is known of users: their histories, and their embeddings by encoder version.

mod event;
mod flight;
mod memory;
mod store;

pub use event::{Event, EventKind, History, seconds_to_days};
pub use flight::{Encode, SingleFlight};
pub use memory::{MemoryStore, load_histories};
pub use store::{Embedding, StoreError, UserKey, UserRecord, UserStore, UsersOptions};
