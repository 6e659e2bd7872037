//! Notes how each gRPC call ends: by its status, at the end of its answer or of its caller's patience.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status, body::Body};

use crate::{
    observing::{CalledMethod, Observer},
    telemetry::TraceContext,
};

/// A call that has not ended; one that is dropped was left by its caller.
#[derive(Debug)]
pub(super) struct Unended {
    observer: Arc<Observer>,
    method: CalledMethod,
    arrival: Instant,
    trace: TraceContext,
    ended: bool,
}

impl Unended {
    /// Watches a call that came at that time; none where the request is not gRPC's.
    pub(super) fn of<B>(
        request: &Request<B>,
        (arrival, trace): (Instant, TraceContext),
        observer: &Arc<Observer>,
    ) -> Option<Self> {
        let kind = request.headers().get(http::header::CONTENT_TYPE)?;
        kind.as_bytes().starts_with(b"application/grpc").then(|| Self {
            observer: Arc::clone(observer),
            method: CalledMethod::of_path(request.uri().path()),
            arrival,
            trace,
            ended: false,
        })
    }

    /// Notes the end of a call whose answer is only a status; else watches the answer to its end.
    pub(super) fn answered(mut self, response: Response<Body>) -> Response<Body> {
        if let Some(code) = code_of(response.headers()) {
            self.end(code);
            return response;
        }
        response.map(|body| Body::new(Answer { body, call: self }))
    }

    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            let took = self.arrival.elapsed();
            self.observer.called(self.method, code as usize, (took, &self.trace));
        }
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The status in headers or trailers, where it is there.
fn code_of(headers: &HeaderMap) -> Option<Code> {
    headers
        .contains_key(Status::GRPC_STATUS)
        .then(|| Status::from_header_map(headers).map_or(Code::Unknown, |status| status.code()))
}

/// An answer on its way, which ends with its trailers.
struct Answer {
    body: Body,
    call: Unended,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(code) = frame.trailers_ref().and_then(code_of) {
                    self.call.end(code);
                }
            }
            Poll::Ready(Some(Err(error))) => self.call.end(error.code()),
            Poll::Ready(None) => self.call.end(Code::Unknown),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
