//! The order, before it is put on the wire.

use std::{sync::Arc, time::Duration};

use crate::ids::ModelId;

/// The answer to one request.
#[derive(Debug)]
pub struct Ranking {
    /// The items, best first.
    pub items: Vec<Scored>,
    /// The heads beside the one that ranks.
    pub further_heads: Vec<Head>,
    /// The version that answered.
    pub model: ModelId,
    /// The encoder's version; 0 where there is none.
    pub encoder_version: u64,
    /// Where the user's side came from.
    pub user_state: UserState,
    /// How long ago the user's embedding was computed; zero where that is not known or now.
    pub user_age: Duration,
    /// Why the answer is less than it could be.
    pub degraded: Vec<Degraded>,
    /// Positions of the candidates that the catalogue does not know.
    pub missing: Vec<u32>,
}

/// One item in its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The item's position in the request.
    pub index: u32,
    /// The ranking head's value; none where it was not scored.
    pub score: Option<f32>,
    /// Where the further heads have its values; none where it was not scored.
    pub row: Option<u32>,
}

/// The values of one head.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Its name in the manifest.
    pub name: Arc<str>,
    /// Its values, one for each scored item, in no order of the answer's.
    pub values: Vec<f32>,
}

/// Where the user's side of an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// The model has no user side.
    None,
    /// It was in the user store.
    Cached,
    /// A copy in this process was as new as the user store, to within 100 ms.
    Local,
    /// It was made before the user's last events, or nobody knows whether it was.
    Stale,
    /// The encoder ran on the stored history.
    Computed,
    /// The request brought it.
    Inline,
    /// Nothing is known of the user.
    Default,
}

/// Why an answer is less than it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degraded {
    /// Some items are unknown to the catalogue.
    ItemsMissing,
    /// The encoder failed or was too slow.
    EncoderUnavailable,
    /// Time was short: some candidates were not scored.
    PartlyScored,
    /// The user store did not answer in time.
    UserStoreUnavailable,
}
