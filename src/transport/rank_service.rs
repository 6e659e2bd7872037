//! `podium.v1.RankService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use crate::{
    ids::{CallerName, MAX_CALLER_NAME_BYTES},
    observing::Observer,
    ranking::{Engine, RankError, RankRequest, Ranking},
    transport::{
        call::{Call, call_of},
        conversation::{Answers, Order, Requests, converse},
        convert::{rank_request, rank_response},
        flow::Flow,
        limits::Limits,
        pb::{self, rank_service_server::RankService},
        status::{status_of, stream_error_of},
        watched::Watched,
    },
};

/// The methods, as traces and metrics name them.
const CALLED: &str = "podium.v1.RankService/Rank";
const STREAMED: &str = "podium.v1.RankService/RankStream";

/// The metadata key that names the caller.
const CALLER_KEY: &str = "podium-caller";

/// Answers rank calls.
#[derive(Clone)]
pub(super) struct RankApi {
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Limits,
    pub(super) flow: Flow,
    pub(super) observer: Arc<Observer>,
}

impl RankApi {
    /// One request, from the wire to the wire.
    pub(super) async fn answer(
        &self,
        message: pb::RankRequest,
        caller: Result<CallerName, RankError>,
        (method, call): (&'static str, Call),
    ) -> Result<pb::RankResponse, RankError> {
        let mut watched = Watched::new(&self.observer, method, &call);
        watched.finished().request_id.clone_from(&message.request_id);
        let ranked = self.rank_watched(message, caller, &call, &mut watched).await;
        let (request, ranking) = match ranked {
            Ok(ranked) => ranked,
            Err(error) => {
                watched.end(Err(&error));
                return Err(error);
            }
        };
        let finished = watched.finished();
        let (validate, total) = (finished.validate.took(), call.arrival.elapsed());
        let response = rank_response(&request, (&ranking, &finished.notes), validate, total);
        watched.end(Ok(&ranking));
        Ok(response)
    }

    async fn rank_watched(
        &self,
        message: pb::RankRequest,
        caller: Result<CallerName, RankError>,
        call: &Call,
        watched: &mut Watched<'_>,
    ) -> Result<(Arc<RankRequest>, Ranking), RankError> {
        let _admitted = self.flow.admit()?;
        let finished = watched.finished();
        finished.validate.begin();
        let caller = caller.inspect(|caller| finished.caller.clone_from(caller));
        let mut request = rank_request(message, &self.limits)?;
        request.caller = caller?;
        finished.validate.end();
        let request = Arc::new(request);
        watched.request = Some(Arc::clone(&request));
        let notes = &mut watched.finished().notes;
        let ranking = self.engine.rank(&request, call.deadline, notes).await?;
        Ok((request, ranking))
    }

    /// One request of a stream, whose error is an answer too.
    async fn answer_in_stream(
        self,
        message: pb::RankRequest,
        caller: CallerName,
        call: Call,
    ) -> pb::RankResponse {
        let request_id = message.request_id.clone();
        match self.answer(message, Ok(caller), (STREAMED, call)).await {
            Ok(response) => response,
            Err(error) => pb::RankResponse {
                error: Some(stream_error_of(&error, &request_id)),
                request_id,
                ..pb::RankResponse::default()
            },
        }
    }
}

#[tonic::async_trait]
impl RankService for RankApi {
    async fn rank(
        &self,
        request: Request<pb::RankRequest>,
    ) -> Result<Response<pb::RankResponse>, Status> {
        let call = call_of(&request, self.flow.options.max_deadline);
        let caller = caller_of(request.metadata());
        let message = request.into_inner();
        let request_id = message.request_id.clone();
        match self.answer(message, caller, (CALLED, call)).await {
            Ok(response) => Ok(Response::new(response)),
            Err(error) => Err(status_of(&error, &request_id)),
        }
    }

    type RankStreamStream = Answers<pb::RankResponse>;

    async fn rank_stream(
        &self,
        request: Request<Streaming<pb::RankRequest>>,
    ) -> Result<Response<Self::RankStreamStream>, Status> {
        let caller = caller_of(request.metadata()).map_err(|error| status_of(&error, ""))?;
        let requests = Requests::of(request, &self.flow, (&self.limits, &self.observer));
        let (api, at_once) = (self.clone(), self.flow.options.max_in_flight_per_stream);
        Ok(converse(requests, (at_once, Order::AsTheyEnd), move |message, call| {
            api.clone().answer_in_stream(message, caller.clone(), call)
        }))
    }
}

/// Who calls, as the metadata says.
pub(super) fn caller_of(metadata: &MetadataMap) -> Result<CallerName, RankError> {
    let Some(given) = metadata.get(CALLER_KEY) else {
        return Ok(CallerName::default());
    };
    given.to_str().ok().and_then(CallerName::parse).ok_or_else(|| {
        let wrong = format!("must be at most {MAX_CALLER_NAME_BYTES} bytes of visible ASCII");
        RankError::field(format!("metadata[{CALLER_KEY}]"), wrong)
    })
}
