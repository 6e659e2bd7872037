//! Hands each request that has ended to all who tell of it.

use std::{sync::Arc, time::Duration};

use crate::{
    batching::tell_of_batch,
    observing::{
        call_metrics::{CallMetrics, CalledMethod},
        finished::Finished,
        live::Live,
        request_log::{RequestLog, RequestLogCounts},
        request_metrics::RequestMetrics,
        spans::{Kept, RequestStory},
        tail::Tail,
    },
    ranking::{RankRequest, Ranking, RequestFigures},
    telemetry::{Sampler, Snapshot, SpanQueue, TelemetryOptions, TraceContext, metrics},
};

/// Watches requests end; one for the whole server.
#[derive(Debug)]
pub struct Observer {
    /// Which requests are drawn when they come.
    pub sampler: Sampler,
    propagators: Vec<String>,
    /// The last seconds.
    pub live: Live,
    baggage_keys: Vec<String>,
    requests: RequestMetrics,
    calls: CallMetrics,
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
            live: Live::new(&options.live),
            propagators: traces.propagators.clone(),
            baggage_keys: traces.baggage_keys.clone(),
            requests: RequestMetrics::new(options.metrics.max_callers),
            calls: CallMetrics::default(),
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

    /// Takes in a call that ended with the code of that number, whatever it was for.
    pub fn called(&self, method: CalledMethod, code: usize, how: (Duration, &TraceContext)) {
        self.calls.ended(method, code, how);
    }

    /// Adds what was counted of calls, of requests for which no version was chosen, and of the request log.
    pub(super) fn tell(&self, snapshot: &mut Snapshot) {
        self.requests.tell(snapshot);
        self.calls.tell(snapshot);
        if let Some(log) = &self.request_log {
            let RequestLogCounts { written, dropped, failed } = log.counts();
            let counts = [("written", written), ("dropped", dropped), ("failed", failed)];
            for (outcome, count) in counts {
                snapshot.count(&metrics::REQUEST_LOG, &[outcome], count);
            }
        }
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
        request: Option<&Arc<RankRequest>>,
        answer: Option<&Ranking>,
    ) {
        let Finished { method, ref outcome, ref notes, .. } = finished;
        tracing::trace!(method, ?outcome, candidates = notes.candidates, "a request ended");
        if let (Some(log), Some(request)) = (&self.request_log, request) {
            log.offer(&finished, request, answer);
        }
        self.live.note(&finished);
        let kept = self.spans.is_open().then(|| self.tail.keeps(&finished)).flatten();
        self.requests.finished(&finished, answer, kept.is_some());
        if let Some(kept) = kept {
            self.story(finished, kept);
        }
    }

    /// Has the request told of, and every batch that it was in.
    fn story(&self, finished: Finished, kept: Kept) {
        let notes = &finished.notes;
        for batch in notes.trip.notes.iter().chain(&notes.user.trip.notes) {
            tell_of_batch(batch, &self.spans);
        }
        self.spans.tell(|| RequestStory { finished, kept });
    }
}
