//! A span that is written after the fact, from what was noted, right into the bytes that are sent.

use std::{
    borrow::Cow,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use opentelemetry::trace::TraceState;

use crate::{
    telemetry::{options::TraceOptions, trace_context::TraceContext},
    wire::Message,
};

/// Bytes of most spans, at most.
const USUAL: usize = 640;

/// Fields of OTLP's messages `Span`, `Event`, `Link`, `Status`, `KeyValue` and `AnyValue`.
///
/// Source: `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto`, version 1.
mod field {
    pub(super) const TRACE_ID: u64 = 1;
    pub(super) const SPAN_ID: u64 = 2;
    pub(super) const TRACE_STATE: u64 = 3;
    pub(super) const PARENT_SPAN_ID: u64 = 4;
    pub(super) const NAME: u64 = 5;
    pub(super) const KIND: u64 = 6;
    pub(super) const START: u64 = 7;
    pub(super) const END: u64 = 8;
    pub(super) const ATTRIBUTES: u64 = 9;
    pub(super) const DROPPED_ATTRIBUTES: u64 = 10;
    pub(super) const EVENTS: u64 = 11;
    pub(super) const DROPPED_EVENTS: u64 = 12;
    pub(super) const LINKS: u64 = 13;
    pub(super) const DROPPED_LINKS: u64 = 14;
    pub(super) const STATUS: u64 = 15;
    pub(super) const FLAGS: u64 = 16;
    pub(super) const EVENT_TIME: u64 = 1;
    pub(super) const EVENT_NAME: u64 = 2;
    pub(super) const EVENT_ATTRIBUTES: u64 = 3;
    pub(super) const LINK_ATTRIBUTES: u64 = 4;
    pub(super) const LINK_FLAGS: u64 = 6;
    pub(super) const STATUS_MESSAGE: u64 = 2;
    pub(super) const STATUS_CODE: u64 = 3;
    pub(super) const KEY: u64 = 1;
    pub(super) const VALUE: u64 = 2;
    pub(super) const TEXT: u64 = 1;
    pub(super) const FLAG: u64 = 2;
    pub(super) const COUNT: u64 = 3;
    pub(super) const NUMBER: u64 = 4;
}

/// The status code of a span that failed.
const ERROR: u64 = 2;
/// Whoever reads a span finds it, whether it was drawn or kept for what came of it; and whether its parent is remote is known.
const SAMPLED: u32 = 0x101;
/// The parent is remote.
const REMOTE: u32 = 0x200;

/// What a span stands for beside others' spans; numbered as OTLP numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Work of this process for itself.
    Internal = 1,
    /// A call that this process answers.
    Server = 2,
    /// A call that this process makes.
    Client = 3,
}

/// What spans are written with: this process's clock as the time of day, and how much a span may hold.
#[derive(Debug, Clone, Copy)]
pub struct Pen {
    now: Instant,
    unix_ns: u64,
    max_attributes: u32,
    max_attribute_length: usize,
    max_events: u32,
    max_links: u32,
}

impl Pen {
    /// Both clocks as they stand, and the limits of the options.
    pub(super) fn new(options: &TraceOptions) -> Self {
        let most = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            now: Instant::now(),
            unix_ns: nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            max_attributes: most(options.max_attributes),
            max_attribute_length: options.max_attribute_length,
            max_events: most(options.max_events),
            max_links: most(options.max_links),
        }
    }

    fn time_of(&self, at: Instant) -> u64 {
        match at.checked_duration_since(self.now) {
            Some(ahead) => self.unix_ns.saturating_add(nanos(ahead)),
            None => self.unix_ns.saturating_sub(nanos(self.now.duration_since(at))),
        }
    }
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How many there are, and how many had no room.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    all: u32,
    dropped: u32,
}

impl Counted {
    /// Counts one more; says whether there is room for it.
    fn admits(&mut self, most: u32) -> bool {
        let fits = self.all < most;
        match fits {
            true => self.all += 1,
            false => self.dropped += 1,
        }
        fits
    }
}

enum Value<'a> {
    Text(&'a str),
    Count(u64),
    Number(f64),
    Flag(bool),
}

/// A span that is written after the fact.
#[derive(Debug)]
pub struct WrittenSpan {
    own: Message,
    pen: Pen,
    side: Side,
    flags: u32,
    failed: Option<&'static str>,
    attributes: Counted,
    events: Counted,
    links: Counted,
}

impl WrittenSpan {
    /// A span from one moment to another, at its place in its trace.
    pub fn new(name: &str, place: TraceContext, (from, to): (Instant, Instant), pen: Pen) -> Self {
        let own = identified(Message::with_capacity(USUAL), place);
        let own = match place.parent_id {
            0 => own,
            parent => own.bytes(field::PARENT_SPAN_ID, &parent.to_be_bytes()),
        };
        let own = own
            .text(field::NAME, name)
            .fixed64(field::START, pen.time_of(from))
            .fixed64(field::END, pen.time_of(to.max(from)));
        let none = Counted::default();
        let (attributes, events, links) = (none, none, none);
        let (side, flags, failed) = (Side::Internal, SAMPLED, None);
        Self { own, pen, side, flags, failed, attributes, events, links }
    }

    /// Says what it stands for beside others' spans.
    pub fn side(self, side: Side) -> Self {
        Self { side, ..self }
    }

    /// Says that its parent is a span of another process, whose `tracestate` it passes on.
    pub fn below_remote(mut self, trace_state: &str) -> Self {
        self.flags |= REMOTE;
        if let Ok(state) = trace_state.parse::<TraceState>() {
            self.own = self.own.text(field::TRACE_STATE, &state.header());
        }
        self
    }

    fn set(mut self, key: &str, value: Value<'_>) -> Self {
        if self.attributes.admits(self.pen.max_attributes) {
            self.own = pair(self.own, field::ATTRIBUTES, (key, value));
        }
        self
    }

    /// Sets an attribute that is text.
    pub fn text(self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (most, text) = (self.pen.max_attribute_length, value.as_ref());
        let text = match most > 0 && text.len() > most {
            true => &text[..text.floor_char_boundary(most)],
            false => text,
        };
        self.set(key.as_ref(), Value::Text(text))
    }

    /// Sets an attribute that is a whole number.
    pub fn count(self, key: &str, value: u64) -> Self {
        self.set(key, Value::Count(value))
    }

    /// Sets an attribute that is a number.
    pub fn number(self, key: &str, value: f64) -> Self {
        self.set(key, Value::Number(value))
    }

    /// Sets an attribute that is yes or no.
    pub fn flag(self, key: &str, value: bool) -> Self {
        self.set(key, Value::Flag(value))
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
        name: &str,
        at: Instant,
        attributes: &[(&str, Cow<'static, str>)],
    ) -> Self {
        if self.events.admits(self.pen.max_events) {
            let time = self.pen.time_of(at);
            self.own = self.own.within(field::EVENTS, |event| {
                let event = event.fixed64(field::EVENT_TIME, time).text(field::EVENT_NAME, name);
                attributes.iter().fold(event, |event, (key, value)| {
                    pair(event, field::EVENT_ATTRIBUTES, (key, Value::Text(value)))
                })
            });
        }
        self
    }

    /// Links it to another span, with numbers that say how they belong together.
    pub fn link(mut self, to: TraceContext, numbers: &[(&str, u64)]) -> Self {
        if self.links.admits(self.pen.max_links) {
            self.own = self.own.within(field::LINKS, |link| {
                let link = numbers.iter().fold(identified(link, to), |link, (key, value)| {
                    pair(link, field::LINK_ATTRIBUTES, (key, Value::Count(*value)))
                });
                link.fixed32(field::LINK_FLAGS, SAMPLED)
            });
        }
        self
    }

    /// Says that it failed, and of what.
    pub fn failed(self, reason: &'static str) -> Self {
        Self { failed: Some(reason), ..self }.text("error.type", reason)
    }

    /// The bytes of OTLP's message `Span`.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let status = |status: Message| match self.failed {
            Some(reason) => {
                status.text(field::STATUS_MESSAGE, reason).number(field::STATUS_CODE, ERROR)
            }
            None => status,
        };
        let own = self.own.number(field::KIND, self.side as u64).within(field::STATUS, status);
        let dropped = [
            (field::DROPPED_ATTRIBUTES, self.attributes.dropped),
            (field::DROPPED_EVENTS, self.events.dropped),
            (field::DROPPED_LINKS, self.links.dropped),
        ];
        let dropped = dropped.into_iter().filter(|(_, count)| *count > 0);
        let own = own.fixed32(field::FLAGS, self.flags);
        dropped.fold(own, |own, (field, count)| own.number(field, count.into())).finish()
    }
}

/// Writes the ids of a span and of its trace.
fn identified(message: Message, place: TraceContext) -> Message {
    let message = message.bytes(field::TRACE_ID, &place.trace_id.to_be_bytes());
    message.bytes(field::SPAN_ID, &place.span_id.to_be_bytes())
}

/// Writes a key and its value.
fn pair(message: Message, field: u64, (key, value): (&str, Value<'_>)) -> Message {
    message.within(field, |pair| {
        pair.text(field::KEY, key).within(field::VALUE, |any| match value {
            Value::Text(text) => any.text(field::TEXT, text),
            // A number that no signed one can hold counts as the largest that one can.
            Value::Count(count) => any.number(field::COUNT, count.min(i64::MAX as u64)),
            Value::Number(number) => any.fixed64(field::NUMBER, number.to_bits()),
            Value::Flag(flag) => any.number(field::FLAG, flag.into()),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, KeyValue, any_value::Value as Any},
        trace::v1::{Span, Status, span},
    };
    use prost::Message as _;

    use super::*;

    fn place() -> TraceContext {
        TraceContext { trace_id: 7, span_id: 8, parent_id: 9, is_sampled: false }
    }

    fn attribute(key: &str, value: Any) -> KeyValue {
        let value = Some(AnyValue { value: Some(value) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    fn text(text: &str) -> Any {
        Any::StringValue(text.to_owned())
    }

    fn read(span: WrittenSpan) -> Span {
        Span::decode(span.into_bytes().as_slice()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_is_written_is_what_a_collector_reads() {
        let pen = Pen::new(&TraceOptions::default());
        let (from, to) = (pen.now - Duration::from_millis(5), pen.now + Duration::from_nanos(3));
        let told = [("podium.reason", "CALLER_LEFT".into())];
        let other = TraceContext { trace_id: 1 << 100, span_id: 1 << 60, ..place() };
        let span = WrittenSpan::new("Rank", place(), (from, to), pen)
            .side(Side::Server)
            .below_remote("vendor=1")
            .text("text", "Grüße".repeat(40))
            .count("count", u64::MAX)
            .number("number", -0.25)
            .flag("flag", false)
            .event("podium.error", to, &told)
            .link(other, &[("rows", 4)])
            .failed("CALLER_LEFT");
        let wanted = Span {
            trace_id: 7_u128.to_be_bytes().to_vec(),
            span_id: 8_u64.to_be_bytes().to_vec(),
            parent_span_id: 9_u64.to_be_bytes().to_vec(),
            trace_state: "vendor=1".to_owned(),
            flags: 0x301,
            name: "Rank".to_owned(),
            kind: span::SpanKind::Server.into(),
            start_time_unix_nano: pen.unix_ns - 5_000_000,
            end_time_unix_nano: pen.unix_ns + 3,
            attributes: vec![
                attribute("text", text(&"Grüße".repeat(40))),
                attribute("count", Any::IntValue(i64::MAX)),
                attribute("number", Any::DoubleValue(-0.25)),
                attribute("flag", Any::BoolValue(false)),
                attribute("error.type", text("CALLER_LEFT")),
            ],
            events: vec![span::Event {
                time_unix_nano: pen.unix_ns + 3,
                name: "podium.error".to_owned(),
                attributes: vec![attribute("podium.reason", text("CALLER_LEFT"))],
                dropped_attributes_count: 0,
            }],
            links: vec![span::Link {
                trace_id: (1_u128 << 100).to_be_bytes().to_vec(),
                span_id: (1_u64 << 60).to_be_bytes().to_vec(),
                attributes: vec![attribute("rows", Any::IntValue(4))],
                flags: 0x101,
                ..span::Link::default()
            }],
            status: Some(Status { message: "CALLER_LEFT".to_owned(), code: 2 }),
            ..Span::default()
        };
        assert_eq!(read(span), wanted);
        let alone = TraceContext { parent_id: 0, ..place() };
        let root = read(WrittenSpan::new("batch", alone, (to, from), pen));
        assert_eq!((root.kind, root.flags, root.status), (1, 0x101, Some(Status::default())));
        assert!(root.parent_span_id.is_empty());
        assert_eq!(root.end_time_unix_nano, root.start_time_unix_nano, "it ends no sooner");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let options = TraceOptions {
            max_attributes: 2,
            max_attribute_length: 3,
            max_events: 1,
            max_links: 0,
            ..TraceOptions::default()
        };
        let pen = Pen::new(&options);
        let span = WrittenSpan::new("Rank", place(), (pen.now, pen.now), pen)
            .text("cut", "aßb")
            .text("between", "abß")
            .count("dropped", 1)
            .event("first", pen.now, &[])
            .event("second", pen.now, &[])
            .link(place(), &[]);
        let span = read(span);
        let kept = [attribute("cut", text("aß")), attribute("between", text("ab"))];
        assert_eq!(span.attributes, kept);
        assert_eq!((span.events.len(), span.links.len()), (1, 0));
        let dropped =
            [span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count];
        assert_eq!(dropped, [1, 1, 1]);
    }
}
