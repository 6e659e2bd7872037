//! A request as a tree of spans: what it was, where its time went, and what came of it.

use crate::{
    observing::{
        finished::{Finished, Outcome},
        page::Page,
        user_spans::user_spans,
        why::why,
    },
    ranking::{Degraded, UserState},
    telemetry::{Pen, Side, Story, WrittenSpan},
};

/// Why a request is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was drawn when it came, or its caller's span was.
    Drawn,
    /// It failed.
    Failed,
    /// Its answer was degraded.
    Degraded,
    /// It was one of the slowest.
    Slow,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Failed => "failed",
            Self::Degraded => "degraded",
            Self::Slow => "slow",
        }
    }
}

/// A request that is told of.
pub(super) struct RequestStory {
    pub(super) finished: Finished,
    pub(super) kept: Kept,
}

impl Story for RequestStory {
    fn write(self: Box<Self>, pen: Pen, spans: &mut Vec<WrittenSpan>) {
        let (rank, notes) = (self.finished.notes.trace, &self.finished.notes);
        let page = Page { pen, rank, ended: self.finished.ended };
        spans.push(root(&self.finished, self.kept, pen));
        let validate = &self.finished.validate;
        if let Some(begun) = validate.begun {
            let received = (self.finished.arrival, begun);
            spans.push(WrittenSpan::new("receive", rank.child(), received, pen));
        }
        spans.extend(page.step("validate", rank, validate));
        user_spans(&page, notes, spans);
        spans.extend(page.step("features", rank, &notes.features));
        page.trip(rank, &notes.trip, spans);
        spans.extend(page.step("select", rank, &notes.select));
    }
}

/// The span of the call.
fn root(finished: &Finished, kept: Kept, pen: Pen) -> WrittenSpan {
    let notes = &finished.notes;
    let (trace, carried) = (notes.trace, finished.carried.as_deref());
    let times = (finished.arrival, finished.ended);
    let span = WrittenSpan::new(finished.method, trace, times, pen).side(Side::Server);
    let span = match trace.parent_id {
        0 => span,
        _ => span.below_remote(carried.map_or("", |carried| &carried.trace_state)),
    };
    let span = span
        .text("rpc.system.name", "grpc")
        .text("rpc.method", finished.method)
        .text("rpc.response.status_code", status(&finished.outcome))
        .text("podium.request.id", &finished.request_id)
        .text("podium.caller", finished.caller.as_str())
        .count("podium.candidates", notes.candidates as u64)
        .count("podium.candidates.scored", notes.scored as u64)
        .count("podium.candidates.missing", notes.missing as u64)
        .text("podium.kept", kept.name());
    let span = span.with(notes.model.as_ref(), |span, id| {
        let span = span
            .text("podium.model.name", id.name.as_str())
            .count("podium.model.version", id.version.0);
        match notes.is_split {
            true => split(span, finished),
            false => span,
        }
    });
    let span = carried
        .iter()
        .flat_map(|carried| &carried.baggage)
        .fold(span, |span, (key, value)| span.text(format!("baggage.{key}"), value));
    let span = notes.degraded.iter().fold(span, |span, why| {
        let reason = [("podium.reason", why.name().into())];
        span.event("podium.degraded", finished.ended, &reason)
    });
    let why = why(finished);
    let span = match why.reason {
        "NONE" => span,
        reason => span.text("podium.slow.reason", reason).text("podium.slow.explanation", why.text),
    };
    match &finished.outcome {
        Outcome::Ranked => span,
        Outcome::Left => span
            .event("podium.error", finished.ended, &[("podium.reason", "CALLER_LEFT".into())])
            .failed("CALLER_LEFT"),
        Outcome::Failed { reason, .. } => span
            .event("podium.error", finished.ended, &[("podium.reason", (*reason).into())])
            .failed(reason),
    }
}

/// Which version was drawn, by the conventions for feature flags.
fn split(span: WrittenSpan, finished: &Finished) -> WrittenSpan {
    let Some(id) = &finished.notes.model else { return span };
    let attributes = [
        ("feature_flag.key", format!("model/{}", id.name).into()),
        ("feature_flag.provider.name", "podium".into()),
        ("feature_flag.result.variant", id.version.to_string().into()),
        ("feature_flag.result.reason", "split".into()),
    ];
    span.event("feature_flag.evaluation", finished.arrival, &attributes)
}

/// The name of a call's gRPC status.
fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ranked => "OK",
        Outcome::Left => "CANCELLED",
        Outcome::Failed { code, .. } => code.name(),
    }
}

impl UserState {
    /// Its name for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Cached => "CACHED",
            Self::Local => "LOCAL",
            Self::Stale => "STALE",
            Self::Computed => "COMPUTED",
            Self::Inline => "INLINE",
            Self::Default => "DEFAULT",
        }
    }
}

impl Degraded {
    /// A reason for machines, as the proto names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ItemsMissing => "ITEMS_MISSING",
            Self::EncoderUnavailable => "ENCODER_UNAVAILABLE",
            Self::PartlyScored => "PARTLY_SCORED",
            Self::UserStoreUnavailable => "USER_STORE_UNAVAILABLE",
        }
    }
}
