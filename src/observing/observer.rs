//! Hands each request that has ended to all who tell of it.

use std::sync::Arc;

use crate::{
    observing::{finished::Finished, live::Live},
    ranking::{RankRequest, Ranking},
    telemetry::{Sampler, TelemetryOptions},
};

/// Watches requests end; one for the whole server.
#[derive(Debug)]
pub struct Observer {
    /// Which requests are drawn when they come.
    pub sampler: Sampler,
    /// The last seconds.
    pub live: Live,
    baggage_keys: Vec<String>,
}

impl Observer {
    /// Watches as the options say.
    pub fn new(options: &TelemetryOptions) -> Self {
        let traces = &options.traces;
        let (sampler, live) = (Sampler::new(traces), Live::new(&options.live));
        Self { sampler, live, baggage_keys: traces.baggage_keys.clone() }
    }

    /// The keys of a caller's baggage that are told.
    pub fn baggage_keys(&self) -> &[String] {
        &self.baggage_keys
    }

    /// Takes in a request that has ended, with what was asked and answered, as far as it came to that. Costs what counting costs; nothing is
    /// written or sent on the thread that calls.
    pub fn finished(
        &self,
        finished: Finished,
        _request: Option<&Arc<RankRequest>>,
        _answer: Option<&Ranking>,
    ) {
        self.live.note(&finished);
        tracing::trace!(?finished, "a request ended");
    }
}
