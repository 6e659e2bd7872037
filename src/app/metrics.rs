//! Figures that nobody below counts: what is running, the machine's memory, what was sent to a collector.

use std::{sync::Arc, time::SystemTime};

use crate::{
    app::memory,
    observing::Gatherer,
    runtime::Runtime,
    telemetry::{MetricSource, Snapshot, SpanCounts, SpanQueue, metrics, otlp_metrics},
};

/// Adds what is running, and what memory there is.
pub(super) fn machine(
    runtime: &Runtime,
    reserve_mib: u64,
) -> impl Fn(&mut Snapshot) + Send + Sync + 'static {
    let build = runtime.build_info().to_owned();
    move |snapshot| {
        snapshot.count(&metrics::BUILD, &[env!("CARGO_PKG_VERSION"), &build], 1);
        if let Some(bytes) = memory::available() {
            snapshot.count(&metrics::MEMORY_AVAILABLE, &[], bytes);
        }
        snapshot.count(&metrics::MEMORY_RESERVE, &[], reserve_mib << 20);
    }
}

/// Adds what became of spans.
pub(super) fn spans(queue: SpanQueue) -> impl Fn(&mut Snapshot) + Send + Sync + 'static {
    move |snapshot| {
        let SpanCounts { sent, failed, dropped, waiting } = queue.counts();
        snapshot.count(&metrics::SPANS, &["sent"], sent);
        snapshot.count(&metrics::SPANS, &["failed"], failed);
        snapshot.count(&metrics::SPANS_DROPPED, &[], dropped);
        snapshot.count(&metrics::SPANS_WAITING, &[], waiting);
    }
}

/// All metrics as they are sent, counted from now on.
pub(super) fn to_send(gatherer: Arc<Gatherer>) -> MetricSource {
    let started = SystemTime::now();
    Box::new(move || otlp_metrics(&gatherer.snapshot(), (started, SystemTime::now())))
}
