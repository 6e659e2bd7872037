//! Spans of versions that come and go: `tracing` records them where they happen, and they are sent like all others.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry::{Context, trace::TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    registry::LookupSpan,
};

use crate::telemetry::span_queue::SpanQueue;

/// The target of the spans that are sent; those of other targets, such as libraries', are not recorded.
pub const SWAP_SPANS: &str = "podium::swap";

/// The modules whose log lines become events of these spans.
const TELLING: [&str; 2] = ["podium::app", "podium::serving"];

/// Where spans go, once that is known.
#[derive(Debug, Clone, Default)]
pub(super) struct SpanWay(Arc<OnceLock<SpanQueue>>);

impl SpanWay {
    /// Sends spans there from now on; a second call changes nothing.
    pub(super) fn lead_to(&self, queue: &SpanQueue) {
        let _ = self.0.set(queue.clone());
    }
}

/// Hands on each span that ends.
#[derive(Debug)]
struct Handing(SpanWay);

impl SpanProcessor for Handing {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Some(queue) = self.0.0.get() {
            queue.send(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The layer that records the spans.
pub(super) fn swap_spans<S>(way: SpanWay) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn);
    let tracer = provider.with_span_processor(Handing(way)).build().tracer("podium");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
    let filter = filter_fn(|metadata| {
        let target = metadata.target();
        let told = TELLING.iter().any(|module| target.starts_with(module));
        match metadata.is_span() {
            true => target == SWAP_SPANS,
            false => told && *metadata.level() <= Level::INFO,
        }
    });
    // Without it, every line that a library might trace would be made before it is left out.
    layer.with_filter(filter.with_max_level_hint(LevelFilter::INFO))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use crate::telemetry::span_queue::Waiting;

    use super::*;

    #[test]
    fn only_spans_of_swaps_are_sent_with_what_is_told_in_them() {
        let (queue, receiver) = SpanQueue::new(8);
        let way = SpanWay::default();
        way.lead_to(&queue);
        let subscriber = tracing_subscriber::registry().with(swap_spans(way));
        tracing::subscriber::with_default(subscriber, || {
            let load = tracing::info_span!(target: SWAP_SPANS, "version.load", model = "shop/3");
            let _within = load.enter();
            let _other = tracing::info_span!("of a library").entered();
            tracing::info!(target: "podium::app::follower", "loaded");
            tracing::info!(target: "redis", "of a library");
            tracing::info_span!(target: SWAP_SPANS, "version.trial").in_scope(|| {});
        });
        let span = || match receiver.next() {
            Some(Waiting::Span(span)) => *span,
            _ => panic!("no span"),
        };
        let (trial, load) = (span(), span());
        assert_eq!((trial.name.as_ref(), load.name.as_ref()), ("version.trial", "version.load"));
        assert_eq!(trial.parent_span_id, load.span_context.span_id());
        assert_eq!(load.events.events.len(), 1);
        assert!(receiver.next().is_none());
    }
}
