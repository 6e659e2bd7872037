//! A span that is written after the fact, from what was noted.

use std::{
    borrow::Cow,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{Event, Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::telemetry::trace_context::TraceContext;

/// The name under which spans and metrics are told.
pub(super) const SCOPE: &str = "podium";

/// What a span stands for beside others' spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Work of this process for itself.
    Internal,
    /// A call that this process answers.
    Server,
    /// A call that this process makes.
    Client,
}

/// Turns this process's clock into the time of day.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now: Instant,
    time: SystemTime,
}

impl Clock {
    /// Both clocks as they stand.
    pub fn now() -> Self {
        Self { now: Instant::now(), time: SystemTime::now() }
    }

    fn time_of(&self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.now) {
            Some(ahead) => self.time + ahead,
            None => self.time - self.now.duration_since(at),
        }
    }
}

/// A span that is written after the fact.
#[derive(Debug)]
pub struct WrittenSpan {
    data: SpanData,
    clock: Clock,
}

impl WrittenSpan {
    /// A span from one moment to another, at its place in its trace.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        place: TraceContext,
        (from, to): (Instant, Instant),
        clock: Clock,
    ) -> Self {
        let data = SpanData {
            span_context: context_of(place, TraceState::NONE, false),
            parent_span_id: SpanId::from_bytes(place.parent_id.to_be_bytes()),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: clock.time_of(from),
            end_time: clock.time_of(to.max(from)),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: scope(),
        };
        Self { data, clock }
    }

    /// Says what it stands for beside others' spans.
    pub fn side(mut self, side: Side) -> Self {
        self.data.span_kind = match side {
            Side::Internal => SpanKind::Internal,
            Side::Server => SpanKind::Server,
            Side::Client => SpanKind::Client,
        };
        self
    }

    /// Says that its parent is a span of another process, whose `tracestate` it passes on.
    pub fn below_remote(mut self, trace_state: &str) -> Self {
        self.data.parent_span_is_remote = true;
        if let Ok(state) = trace_state.parse::<TraceState>() {
            let own = &self.data.span_context;
            let (trace, span, flags) = (own.trace_id(), own.span_id(), own.trace_flags());
            self.data.span_context = SpanContext::new(trace, span, flags, false, state);
        }
        self
    }

    fn set(mut self, key: Cow<'static, str>, value: Value) -> Self {
        self.data.attributes.push(KeyValue::new(key, value));
        self
    }

    /// Sets an attribute that is text.
    pub fn text(
        self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.set(key.into(), Value::String(value.into().into()))
    }

    /// Sets an attribute that is a whole number.
    pub fn count(self, key: &'static str, value: u64) -> Self {
        self.set(key.into(), Value::I64(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    /// Sets an attribute that is a number.
    pub fn number(self, key: &'static str, value: f64) -> Self {
        self.set(key.into(), Value::F64(value))
    }

    /// Sets an attribute that is yes or no.
    pub fn flag(self, key: &'static str, value: bool) -> Self {
        self.set(key.into(), Value::Bool(value))
    }

    /// Does something more where there is something.
    pub fn with<T>(self, some: Option<T>, more: impl FnOnce(Self, T) -> Self) -> Self {
        match some {
            Some(some) => more(self, some),
            None => self,
        }
    }

    /// Adds an event.
    pub fn event(
        mut self,
        name: &'static str,
        at: Instant,
        attributes: &[(&'static str, Cow<'static, str>)],
    ) -> Self {
        let pairs = attributes.iter().map(|(key, value)| KeyValue::new(*key, value.clone()));
        let event = Event::new(name, self.clock.time_of(at), pairs.collect(), 0);
        self.data.events.events.push(event);
        self
    }

    /// Links it to another span, with numbers that say how they belong together.
    pub fn link(mut self, to: TraceContext, numbers: &[(&'static str, u64)]) -> Self {
        let number = |(key, value): &(&'static str, u64)| {
            KeyValue::new(*key, i64::try_from(*value).unwrap_or(i64::MAX))
        };
        let attributes = numbers.iter().map(number).collect();
        let context = context_of(to, TraceState::NONE, false);
        self.data.links.links.push(Link::new(context, attributes, 0));
        self
    }

    /// Says that it failed, and of what.
    pub fn failed(mut self, reason: &'static str) -> Self {
        self.data.status = Status::error(reason);
        self.text("error.type", reason)
    }

    pub(super) fn into_data(self) -> SpanData {
        self.data
    }
}

/// Who writes spans.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build()
}

fn context_of(place: TraceContext, state: TraceState, is_remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(place.trace_id.to_be_bytes()),
        SpanId::from_bytes(place.span_id.to_be_bytes()),
        // Whoever reads it finds it, whether it was drawn or kept for what came of it.
        TraceFlags::SAMPLED,
        is_remote,
        state,
    )
}
