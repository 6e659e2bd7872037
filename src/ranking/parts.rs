//! What the pipeline works with.

use std::{sync::Arc, time::Duration};

use crate::{
    ranking::models::Model,
    serving::Registry,
    users::{UserStore, WhenStale},
};

/// How requests are ranked.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The model that answers a request that names none, where it is there.
    pub default_model: String,
    /// How long one run of an encoder, shared by all who wait for it, may take.
    pub encode_timeout: Duration,
    /// What is done where an embedding lacks recorded events.
    pub when_stale: WhenStale,
    /// How old a stale embedding may be that [`WhenStale::Serve`] uses.
    pub stale_up_to: Duration,
}

/// What the pipeline works with.
pub struct EngineParts {
    /// The published models.
    pub registry: Arc<Registry<Model>>,
    /// The user store.
    pub users: Arc<dyn UserStore>,
    /// The options.
    pub options: EngineOptions,
}
