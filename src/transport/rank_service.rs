//! `podium.v1.RankService`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::Stream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming, metadata::MetadataMap};

use crate::{
    deadline::Deadline,
    ids::{CallerName, MAX_CALLER_NAME_BYTES},
    ranking::{Engine, RankError, Stage},
    transport::{
        call::Call,
        convert::{rank_request, rank_response},
        limits::Limits,
        pb::{self, rank_service_server::RankService},
        status::{expired, message_too_large, status_of, stream_error_of},
    },
};

/// The metadata key that names the caller.
const CALLER_KEY: &str = "podium-caller";

/// How many calls and requests of streams go on at once, and for how long.
#[derive(Debug, Clone)]
pub(super) struct FlowOptions {
    pub(super) max_in_flight: usize,
    pub(super) max_in_flight_per_stream: usize,
    pub(super) max_deadline: Duration,
    pub(super) stream_idle_timeout: Duration,
}

/// Answers rank calls.
#[derive(Clone)]
pub(super) struct RankApi {
    engine: Arc<Engine>,
    limits: Limits,
    flow: FlowOptions,
    in_flight: Arc<Semaphore>,
    draining: CancellationToken,
}

impl RankApi {
    pub(super) fn new(
        engine: Arc<Engine>,
        limits: Limits,
        flow: FlowOptions,
        draining: CancellationToken,
    ) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(flow.max_in_flight)),
            engine,
            limits,
            flow,
            draining,
        }
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit, RankError> {
        let limit = self.flow.max_in_flight;
        Arc::clone(&self.in_flight)
            .try_acquire_owned()
            .map_err(|_| RankError::TooManyInFlight { limit })
    }

    /// One request, from the wire to the wire.
    async fn answer(
        &self,
        message: pb::RankRequest,
        caller: Result<CallerName, RankError>,
        call: Call,
    ) -> Result<pb::RankResponse, RankError> {
        let _admitted = self.admit()?;
        let begun = Instant::now();
        let mut request = rank_request(message, &self.limits)?;
        request.caller = caller?;
        let validate = begun.elapsed();
        let ranking = self.engine.rank(&request, call.deadline).await?;
        Ok(rank_response(request, ranking, validate, call.arrival.elapsed()))
    }
}

type Answers = std::pin::Pin<Box<dyn Stream<Item = Result<pb::RankResponse, Status>> + Send>>;

#[tonic::async_trait]
impl RankService for RankApi {
    async fn rank(
        &self,
        request: Request<pb::RankRequest>,
    ) -> Result<Response<pb::RankResponse>, Status> {
        let call = call_of(&request, self.flow.max_deadline);
        let caller = caller_of(request.metadata());
        let message = request.into_inner();
        let request_id = message.request_id.clone();
        match self.answer(message, caller, call).await {
            Ok(response) => Ok(Response::new(response)),
            Err(error) => Err(status_of(&error, &request_id)),
        }
    }

    type RankStreamStream = Answers;

    async fn rank_stream(
        &self,
        request: Request<Streaming<pb::RankRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let call = call_of(&request, self.flow.max_deadline);
        let caller = caller_of(request.metadata()).map_err(|error| status_of(&error, ""))?;
        let (answers, receiver) = mpsc::channel(self.flow.max_in_flight_per_stream);
        let conversation = Conversation {
            api: self.clone(),
            requests: request.into_inner(),
            answers,
            caller,
            until: call.explicit.then_some(call.deadline),
        };
        tokio::spawn(conversation.hold());
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn call_of<T>(request: &Request<T>, longest: Duration) -> Call {
    request.extensions().get::<Call>().copied().unwrap_or_else(|| {
        let arrival = Instant::now();
        Call { arrival, deadline: Deadline::after(arrival, longest), explicit: false }
    })
}

/// Who calls, as the metadata says.
fn caller_of(metadata: &MetadataMap) -> Result<CallerName, RankError> {
    let Some(given) = metadata.get(CALLER_KEY) else {
        return Ok(CallerName::default());
    };
    given.to_str().ok().and_then(CallerName::parse).ok_or_else(|| {
        let wrong = format!("must be at most {MAX_CALLER_NAME_BYTES} bytes of visible ASCII");
        RankError::field(format!("metadata[{CALLER_KEY}]"), wrong)
    })
}

/// One stream of requests.
struct Conversation {
    api: RankApi,
    requests: Streaming<pb::RankRequest>,
    answers: mpsc::Sender<Result<pb::RankResponse, Status>>,
    caller: CallerName,
    /// The deadline that the caller set for the whole stream.
    until: Option<Deadline>,
}

impl Conversation {
    /// Reads requests and answers each on a task of its own, until the caller ends the stream, leaves, or is silent
    /// for too long, or the server drains. Requests that were read are answered, unless the caller left.
    async fn hold(mut self) {
        let flow = self.api.flow.clone();
        let places = Arc::new(Semaphore::new(flow.max_in_flight_per_stream));
        let mut answering = JoinSet::new();
        let ended = loop {
            while answering.try_join_next().is_some() {}
            let idle = Deadline::after(Instant::now(), flow.stream_idle_timeout);
            let patience = self.until.map_or(idle, |until| until.min(idle));
            let message = tokio::select! {
                biased;
                () = self.answers.closed() => return,
                () = self.api.draining.cancelled() => break None,
                () = tokio::time::sleep_until(patience.at().into()) => break Some(expired(Stage::Receiving)),
                message = self.requests.message() => message,
            };
            match message {
                Ok(Some(message)) => {
                    let place = Arc::clone(&places).acquire_owned().await;
                    let caller = self.caller.clone();
                    let answer = Self::answer(self.api.clone(), message, caller, self.until);
                    let answers = self.answers.clone();
                    answering.spawn(async move {
                        let sent = answers.send(Ok(answer.await)).await;
                        drop(place);
                        sent
                    });
                }
                Ok(None) => break None,
                Err(status) => break Some(self.in_our_words(status)),
            }
        };
        let finished = async { while answering.join_next().await.is_some() {} };
        tokio::select! {
            () = self.answers.closed() => return,
            () = finished => {}
        }
        if let Some(status) = ended {
            let _ = self.answers.send(Err(status)).await;
        }
    }

    async fn answer(
        api: RankApi,
        message: pb::RankRequest,
        caller: CallerName,
        until: Option<Deadline>,
    ) -> pb::RankResponse {
        let arrival = Instant::now();
        let own = Deadline::after(arrival, api.flow.max_deadline);
        let deadline = until.map_or(own, |until| until.min(own));
        let call = Call { arrival, deadline, explicit: until.is_some() };
        let request_id = message.request_id.clone();
        match api.answer(message, Ok(caller), call).await {
            Ok(response) => response,
            Err(error) => pb::RankResponse {
                error: Some(stream_error_of(&error, &request_id)),
                request_id,
                ..pb::RankResponse::default()
            },
        }
    }

    fn in_our_words(&self, status: Status) -> Status {
        match status.code() {
            Code::OutOfRange => message_too_large(&status, &self.api.limits),
            _ => status,
        }
    }
}
