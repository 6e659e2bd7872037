//! Streams of requests: how they are read, and how each request is answered.

use std::{pin::Pin, sync::Arc, time::Instant};

use futures::Stream;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::{
    deadline::Deadline,
    observing::Observer,
    ranking::Stage,
    telemetry::within,
    transport::{
        call::{Call, call_of},
        flow::Flow,
        limits::Limits,
        status::{expired, message_too_large},
    },
};

/// The answers of a stream.
pub(super) type Answers<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

/// What comes next in a stream of requests.
pub(super) enum Next<Q> {
    /// A request.
    Request(Q),
    /// The caller has no more.
    Ended,
    /// The server drains.
    Draining,
    /// The stream broke, or the caller was silent for too long.
    Broken(Status),
}

/// The requests of one stream.
pub(super) struct Requests<Q> {
    messages: Streaming<Q>,
    flow: Flow,
    limits: Limits,
    /// The call that the stream is.
    call: Call,
    observer: Arc<Observer>,
}

impl<Q> Requests<Q> {
    pub(super) fn of(
        request: Request<Streaming<Q>>,
        flow: &Flow,
        (limits, observer): (&Limits, &Arc<Observer>),
    ) -> Self {
        let call = call_of(&request, flow.options.max_deadline);
        Self {
            messages: request.into_inner(),
            flow: flow.clone(),
            limits: limits.clone(),
            observer: Arc::clone(observer),
            call,
        }
    }

    /// The deadline that the caller set for the whole stream.
    fn until(&self) -> Option<Deadline> {
        self.call.explicit.then_some(self.call.deadline)
    }

    /// Waits for the next request, for as long as a stream may be silent.
    pub(super) async fn next(&mut self) -> Next<Q> {
        let idle = Deadline::after(Instant::now(), self.flow.options.stream_idle_timeout);
        let patience = self.until().map_or(idle, |until| until.min(idle));
        let message = tokio::select! {
            biased;
            () = self.flow.draining.cancelled() => return Next::Draining,
            () = tokio::time::sleep_until(patience.at().into()) => return Next::Broken(expired(Stage::Receiving)),
            message = self.messages.message() => message,
        };
        match message {
            Ok(Some(message)) => Next::Request(message),
            Ok(None) => Next::Ended,
            Err(status) if status.code() == Code::OutOfRange => {
                Next::Broken(message_too_large(&status, &self.limits))
            }
            Err(status) => Next::Broken(status),
        }
    }

    /// The call that a request which is answered from now on counts as: its span stands below the stream's caller's.
    pub(super) fn arriving(&self) -> Call {
        let arrival = Instant::now();
        let own = Deadline::after(arrival, self.flow.options.max_deadline);
        let deadline = self.until().map_or(own, |until| until.min(own));
        let trace = self.observer.sampler.begin(self.call.parent);
        Call { arrival, deadline, trace, ..self.call.clone() }
    }
}

/// In which order the answers of a stream come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Each when it is there.
    AsTheyEnd,
    /// In the order of their requests.
    AsAsked,
}

/// Answers each request of a stream, `at_once` of them side by side.
pub(super) fn converse<Q, A, F>(
    requests: Requests<Q>,
    how: (usize, Order),
    answer: impl Fn(Q, Call) -> F + Send + 'static,
) -> Response<Answers<A>>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = A> + Send + 'static,
{
    let (answers, receiver) = mpsc::channel(how.0);
    tokio::spawn(hold(requests, how, answer, answers));
    Response::new(Box::pin(ReceiverStream::new(receiver)))
}

/// Reads requests and answers each on a task of its own, until the caller ends the stream, leaves, or is silent
/// for too long, or the server drains. Requests that were read are answered, unless the caller left.
async fn hold<Q, A, F>(
    mut requests: Requests<Q>,
    (at_once, order): (usize, Order),
    answer: impl Fn(Q, Call) -> F,
    answers: mpsc::Sender<Result<A, Status>>,
) where
    A: Send + 'static,
    F: Future<Output = A> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(at_once));
    let mut answering = JoinSet::new();
    let mut turn = None;
    let ended = loop {
        while answering.try_join_next().is_some() {}
        let next = tokio::select! {
            biased;
            () = answers.closed() => return,
            next = requests.next() => next,
        };
        match next {
            Next::Request(message) => {
                let place = Arc::clone(&places).acquire_owned().await;
                let call = requests.arriving();
                let answer = within(call.trace, answer(message, call));
                let answers = answers.clone();
                let (done, next_turn) = oneshot::channel::<()>();
                let before = turn.replace(next_turn).filter(|_| order == Order::AsAsked);
                answering.spawn(async move {
                    let answer = answer.await;
                    if let Some(before) = before {
                        // It is over, however it ended.
                        let _ = before.await;
                    }
                    let sent = answers.send(Ok(answer)).await;
                    drop((place, done));
                    sent
                });
            }
            Next::Ended | Next::Draining => break None,
            Next::Broken(status) => break Some(status),
        }
    };
    let finished = async { while answering.join_next().await.is_some() {} };
    tokio::select! {
        () = answers.closed() => return,
        () = finished => {}
    }
    if let Some(status) = ended {
        let _ = answers.send(Err(status)).await;
    }
}
