//! Hands each request that has ended to all who tell of it.

use std::sync::Arc;

use crate::{
    observing::finished::Finished,
    ranking::{RankRequest, Ranking},
    telemetry::{Sampler, TelemetryOptions},
};

/// Watches requests end; one for the whole server.
#[derive(Debug)]
pub struct Observer {
    /// Which requests are drawn when they come.
    pub sampler: Sampler,
    baggage_keys: Vec<String>,
}

impl Observer {
    /// Watches as the options say.
    pub fn new(options: &TelemetryOptions) -> Self {
        let traces = &options.traces;
        Self { sampler: Sampler::new(traces), baggage_keys: traces.baggage_keys.clone() }
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
        let Finished { method, ref outcome, ref notes, .. } = finished;
        tracing::trace!(method, ?outcome, candidates = notes.candidates, "a request ended");
    }
}
