//! Fixes the deadline of every call on its arrival, and answers DEADLINE_EXCEEDED before anyone else can.
//!
//! Tonic's own timer answers CANCELLED, so this one is set first and runs out no later. It also ends calls whose
//! message never arrives.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::{
    deadline::Deadline,
    observing::{Carried, Observer},
    ranking::Stage,
    telemetry::{TraceContext, within_sync},
    transport::{
        call_end::Unended,
        limits::Limits,
        status,
        trace_headers::{carried_by, parent_of},
    },
};

/// Methods that are answered when their caller ends a stream: without a deadline of the caller, only its silence ends them.
const ANSWERED_LAST: [&str; 1] = ["/podium.v1.UserService/PutEmbeddings"];

/// Kept back from the caller's deadline for the answer's way through the server.
const RESERVE: Duration = Duration::from_millis(1);

/// When a call came, until when its answer is of use, and whose trace it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) arrival: Instant,
    pub(super) deadline: Deadline,
    /// Whether the caller set the deadline, rather than the server's configuration.
    pub(super) explicit: bool,
    /// Its own span.
    pub(super) trace: TraceContext,
    /// The caller's span, where it sends one.
    pub(super) parent: Option<TraceContext>,
    /// What else the caller's trace brings.
    pub(super) carried: Option<Arc<Carried>>,
}

impl Call {
    fn arriving(headers: &HeaderMap, longest: Duration, observer: &Observer) -> Self {
        let arrival = Instant::now();
        let given = headers.get("grpc-timeout").and_then(|value| parse_timeout(value.as_bytes()));
        let timeout = given.unwrap_or(longest).min(longest);
        let parent = observer.reads("tracecontext").then(|| parent_of(headers)).flatten();
        Self {
            arrival,
            deadline: Deadline::after(arrival, timeout.saturating_sub(RESERVE)),
            explicit: given.is_some(),
            trace: observer.sampler.begin(parent),
            parent,
            carried: carried_by(headers, observer),
        }
    }
}

/// The call that a request belongs to.
pub(super) fn call_of<T>(request: &tonic::Request<T>, longest: Duration) -> Call {
    request.extensions().get::<Call>().cloned().unwrap_or_else(|| {
        let arrival = Instant::now();
        Call {
            arrival,
            deadline: Deadline::after(arrival, longest),
            explicit: false,
            trace: TraceContext::root(false),
            parent: None,
            carried: None,
        }
    })
}

/// Reads a `grpc-timeout`: up to eight digits and a unit.
fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Wraps services in [`CallService`].
#[derive(Debug, Clone)]
pub(super) struct CallLayer {
    pub(super) longest: Duration,
    pub(super) limits: Limits,
    pub(super) observer: Arc<Observer>,
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, layer: self.clone() }
    }
}

/// Puts a [`Call`] into each request, and ends those that outlast it.
#[derive(Debug, Clone)]
pub(super) struct CallService<S> {
    inner: S,
    layer: CallLayer,
}

impl<S, B> Service<Request<B>> for CallService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = CallFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::arriving(request.headers(), self.layer.longest, &self.layer.observer);
        let bounded = call.explicit || !ANSWERED_LAST.contains(&request.uri().path());
        let end = call.deadline.at() + RESERVE / 2;
        let too_late = call.deadline.expired(call.arrival);
        let trace = call.trace;
        let unended = Unended::of(&request, (call.arrival, call.trace), &self.layer.observer);
        request.extensions_mut().insert(call);
        CallFuture {
            too_late,
            trace,
            expiry: bounded.then(|| tokio::time::sleep_until(end.into())),
            inner: self.inner.call(request),
            unended,
            limits: self.layer.limits.clone(),
        }
    }
}

pin_project! {
    /// The answer, or DEADLINE_EXCEEDED.
    pub(super) struct CallFuture<F> {
        #[pin]
        inner: F,
        #[pin]
        expiry: Option<Sleep>,
        // Tonic's timer would run out first: nothing is begun.
        too_late: bool,
        // Lines that are logged on the way carry its ids.
        trace: TraceContext,
        // None where it has been answered, or is not gRPC's.
        unended: Option<Unended>,
        limits: Limits,
    }
}

impl<F, E> Future for CallFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        within_sync(*this.trace, || {
            let mut answered = |response| match this.unended.take() {
                Some(unended) => unended.answered(response),
                None => response,
            };
            if *this.too_late {
                return Poll::Ready(Ok(answered(status::expired(Stage::Arrival).into_http())));
            }
            if let Poll::Ready(result) = this.inner.poll(cx) {
                return Poll::Ready(
                    result.map(|response| answered(own_words(response, this.limits))),
                );
            }
            match this.expiry.as_pin_mut().map(|expiry| expiry.poll(cx)) {
                Some(Poll::Ready(())) => {
                    Poll::Ready(Ok(answered(status::expired(Stage::Receiving).into_http())))
                }
                _ => Poll::Pending,
            }
        })
    }
}

/// Tonic answers a message beyond the limit with OUT_OF_RANGE, which no service of ours does: it becomes
/// INVALID_ARGUMENT with the field and the limit.
fn own_words(response: Response<Body>, limits: &Limits) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == Code::OutOfRange => {
            status::message_too_large(&status, limits).into_http()
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, want: Option<Duration>) {
        assert_eq!(parse_timeout(value.as_bytes()), want, "{value}");
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        check("1H", Some(Duration::from_secs(3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("3S", Some(Duration::from_secs(3)));
        check("250m", Some(Duration::from_millis(250)));
        check("99999999u", Some(Duration::from_micros(99_999_999)));
        check("0n", Some(Duration::ZERO));
        check("", None);
        check("m", None);
        check("100000000m", None);
        check("-5m", None);
        check("5x", None);
    }

    #[test]
    fn the_configuration_caps_the_deadline() {
        let observer = Observer::new(&Default::default(), Default::default());
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", http::HeaderValue::from_static("1H"));
        let call = Call::arriving(&headers, Duration::from_secs(2), &observer);
        assert!(call.explicit);
        assert!(call.deadline.remaining(call.arrival) <= Duration::from_secs(2));
        let call = Call::arriving(&HeaderMap::new(), Duration::from_secs(2), &observer);
        assert!(!call.explicit);
        assert!(call.deadline.remaining(call.arrival) > Duration::from_secs(1));
    }
}
