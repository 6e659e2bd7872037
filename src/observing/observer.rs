//! Hands each request that has ended to all who tell of it.

use std::{sync::Arc, time::Duration};

use crate::{
    observing::{
        call_metrics::{CallMetrics, CalledMethod},
        finished::Finished,
        request_metrics::RequestMetrics,
    },
    ranking::{RankRequest, Ranking, RequestFigures},
    telemetry::{Sampler, Snapshot, TelemetryOptions, TraceContext},
};

/// Watches requests end; one for the whole server.
#[derive(Debug)]
pub struct Observer {
    /// Which requests are drawn when they come.
    pub sampler: Sampler,
    baggage_keys: Vec<String>,
    requests: RequestMetrics,
    calls: CallMetrics,
}

impl Observer {
    /// Watches as the options say.
    pub fn new(options: &TelemetryOptions) -> Self {
        let traces = &options.traces;
        Self {
            sampler: Sampler::new(traces),
            baggage_keys: traces.baggage_keys.clone(),
            requests: RequestMetrics::new(options.metrics.max_callers),
            calls: CallMetrics::default(),
        }
    }

    /// The keys of a caller's baggage that are told.
    pub fn baggage_keys(&self) -> &[String] {
        &self.baggage_keys
    }

    /// Takes in a call that ended with the code of that number, whatever it was for.
    pub fn called(&self, method: CalledMethod, code: usize, how: (Duration, &TraceContext)) {
        self.calls.ended(method, code, how);
    }

    /// Adds what was counted of calls, and of requests for which no version was chosen.
    pub(super) fn tell(&self, snapshot: &mut Snapshot) {
        self.requests.tell(snapshot);
        self.calls.tell(snapshot);
    }

    /// Adds what was counted of a version's requests.
    pub(super) fn tell_version(
        &self,
        snapshot: &mut Snapshot,
        id: [&str; 2],
        figures: &RequestFigures,
    ) {
        self.requests.tell_version(snapshot, id, figures);
    }

    /// Takes in a request that has ended, with what was asked and answered, as far as it came to that. Costs what counting costs; nothing is
    /// written or sent on the thread that calls.
    pub fn finished(
        &self,
        finished: Finished,
        _request: Option<&Arc<RankRequest>>,
        answer: Option<&Ranking>,
    ) {
        self.requests.finished(&finished, answer);
        tracing::trace!(?finished, "a request ended");
    }
}
