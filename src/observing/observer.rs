//! Hands each request that has ended to all who tell of it.

use std::sync::Arc;

use crate::{
    batching::tell_of_batch,
    observing::{
        finished::Finished,
        request_log::RequestLog,
        spans::{Kept, RequestStory},
        tail::Tail,
    },
    ranking::{RankRequest, Ranking},
    telemetry::{Sampler, SpanQueue, TelemetryOptions},
};

/// Watches requests end; one for the whole server.
#[derive(Debug)]
pub struct Observer {
    /// Which requests are drawn when they come.
    pub sampler: Sampler,
    propagators: Vec<String>,
    baggage_keys: Vec<String>,
    tail: Tail,
    spans: SpanQueue,
    /// The log of whole requests, where there is one.
    pub request_log: Option<RequestLog>,
}

impl Observer {
    /// Watches as the options say; what is traced is put into the queue.
    pub fn new(options: &TelemetryOptions, spans: SpanQueue) -> Self {
        let traces = &options.traces;
        Self {
            sampler: Sampler::new(traces),
            propagators: traces.propagators.clone(),
            baggage_keys: traces.baggage_keys.clone(),
            tail: Tail::new(traces),
            spans,
            request_log: None,
        }
    }

    /// Whether calls' headers are read for this.
    pub fn reads(&self, propagator: &str) -> bool {
        self.propagators.iter().any(|known| known == propagator)
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
        request: Option<&Arc<RankRequest>>,
        answer: Option<&Ranking>,
    ) {
        let Finished { method, ref outcome, ref notes, .. } = finished;
        tracing::trace!(method, ?outcome, candidates = notes.candidates, "a request ended");
        if let (Some(log), Some(request)) = (&self.request_log, request) {
            log.offer(&finished, request, answer);
        }
        let kept = self.spans.is_open().then(|| self.tail.keeps(&finished)).flatten();
        if let Some(kept) = kept {
            self.tell(finished, kept);
        }
    }

    /// Has the request told of, and every batch that it was in.
    fn tell(&self, finished: Finished, kept: Kept) {
        let notes = &finished.notes;
        for batch in notes.trip.notes.iter().chain(&notes.user.trip.notes) {
            tell_of_batch(batch, &self.spans);
        }
        self.spans.tell(|| RequestStory { finished, kept });
    }
}
