//! `podium.v1.RankService`.

use std::{sync::Arc, time::Instant};

use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use crate::{
    ids::{CallerName, MAX_CALLER_NAME_BYTES},
    ranking::{Engine, RankError},
    transport::{
        call::{Call, call_of},
        conversation::{Answers, Requests, converse},
        convert::{rank_request, rank_response},
        flow::Flow,
        limits::Limits,
        pb::{self, rank_service_server::RankService},
        status::{status_of, stream_error_of},
    },
};

/// The metadata key that names the caller.
const CALLER_KEY: &str = "podium-caller";

/// Answers rank calls.
#[derive(Clone)]
pub(super) struct RankApi {
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Limits,
    pub(super) flow: Flow,
}

impl RankApi {
    /// One request, from the wire to the wire.
    async fn answer(
        &self,
        message: pb::RankRequest,
        caller: Result<CallerName, RankError>,
        call: Call,
    ) -> Result<pb::RankResponse, RankError> {
        let _admitted = self.flow.admit()?;
        let begun = Instant::now();
        let mut request = rank_request(message, &self.limits)?;
        request.caller = caller?;
        let request = Arc::new(request);
        let validate = begun.elapsed();
        let ranking = self.engine.rank(&request, call.deadline).await?;
        Ok(rank_response(&request, ranking, validate, call.arrival.elapsed()))
    }

    /// One request of a stream, whose error is an answer too.
    async fn answer_in_stream(
        self,
        message: pb::RankRequest,
        caller: CallerName,
        call: Call,
    ) -> pb::RankResponse {
        let request_id = message.request_id.clone();
        match self.answer(message, Ok(caller), call).await {
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
        match self.answer(message, caller, call).await {
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
        let requests = Requests::of(request, &self.flow, &self.limits);
        let (api, at_once) = (self.clone(), self.flow.options.max_in_flight_per_stream);
        Ok(converse(requests, at_once, move |message, call| {
            api.clone().answer_in_stream(message, caller.clone(), call)
        }))
    }
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
