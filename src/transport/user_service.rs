//! `podium.v1.UserService`.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    observing::Observer,
    ranking::{Engine, RankError, Stage},
    telemetry::within,
    transport::{
        call::{Call, call_of},
        conversation::{Answers, Order, Requests, converse},
        convert::{user_asked_for, user_events, user_response, user_to_erase, whom_to_warm},
        flow::Flow,
        limits::Limits,
        pb::{self, user_service_server::UserService},
        status::{status_of, stream_error_of},
        storing::Storing,
        warming::Warming,
    },
};

/// Answers calls about users.
#[derive(Clone)]
pub(super) struct UserApi {
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Limits,
    pub(super) flow: Flow,
    pub(super) observer: Arc<Observer>,
}

impl UserApi {
    /// Does what the store is asked for as one of the calls in flight, until the deadline.
    async fn in_time<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, RankError>>,
    ) -> Result<T, RankError> {
        let _admitted = self.flow.admit()?;
        tokio::time::timeout_at(call.deadline.at().into(), work)
            .await
            .unwrap_or(Err(RankError::Expired(Stage::Store)))
    }

    /// One request with events.
    async fn record(
        &self,
        message: pb::RecordEventsRequest,
        call: Call,
    ) -> Result<pb::RecordEventsResponse, RankError> {
        let request_id = message.request_id.clone();
        let counts = self.in_time(call, async {
            let events = user_events(message, &self.limits)?;
            self.engine.record(events).await
        });
        let counts = counts.await?;
        Ok(pb::RecordEventsResponse {
            request_id,
            recorded: counts.recorded as u32,
            duplicates: counts.duplicates as u32,
            error: None,
        })
    }

    /// One request with events of a stream, whose error is an answer too.
    async fn record_in_stream(
        self,
        message: pb::RecordEventsRequest,
        call: Call,
    ) -> pb::RecordEventsResponse {
        let request_id = message.request_id.clone();
        match self.record(message, call).await {
            Ok(response) => response,
            Err(error) => pb::RecordEventsResponse {
                error: Some(stream_error_of(&error, &request_id)),
                request_id,
                ..pb::RecordEventsResponse::default()
            },
        }
    }

    async fn known(
        &self,
        message: pb::GetUserRequest,
        call: Call,
    ) -> Result<pb::GetUserResponse, RankError> {
        self.in_time(call, async {
            let (user, model) = user_asked_for(message, &self.limits)?;
            Ok(user_response(&user, self.engine.user(&model, &user).await?))
        })
        .await
    }

    async fn erase(
        &self,
        message: pb::DeleteUserRequest,
        call: Call,
    ) -> Result<pb::DeleteUserResponse, RankError> {
        self.in_time(call, async {
            let user = user_to_erase(message, &self.limits)?;
            let erased = self.engine.erase(&user).await?;
            Ok(pb::DeleteUserResponse {
                events: erased.events as u32,
                embeddings: erased.embeddings as u32,
                shipped_history_hidden: erased.shipped,
            })
        })
        .await
    }

    fn call_of<T>(&self, request: &Request<T>) -> Call {
        call_of(request, self.flow.options.max_deadline)
    }
}

#[tonic::async_trait]
impl UserService for UserApi {
    async fn record_events(
        &self,
        request: Request<pb::RecordEventsRequest>,
    ) -> Result<Response<pb::RecordEventsResponse>, Status> {
        let (call, message) = (self.call_of(&request), request.into_inner());
        let request_id = message.request_id.clone();
        answered(self.record(message, call).await, &request_id)
    }

    type RecordEventsStreamStream = Answers<pb::RecordEventsResponse>;

    async fn record_events_stream(
        &self,
        request: Request<Streaming<pb::RecordEventsRequest>>,
    ) -> Result<Response<Self::RecordEventsStreamStream>, Status> {
        let requests = Requests::of(request, &self.flow, (&self.limits, &self.observer));
        let api = self.clone();
        Ok(converse(requests, (1, Order::AsAsked), move |message, call| {
            api.clone().record_in_stream(message, call)
        }))
    }

    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        let (call, message) = (self.call_of(&request), request.into_inner());
        answered(self.known(message, call).await, "")
    }

    async fn put_embeddings(
        &self,
        request: Request<Streaming<pb::PutEmbeddingsRequest>>,
    ) -> Result<Response<pb::PutEmbeddingsResponse>, Status> {
        let requests = Requests::of(request, &self.flow, (&self.limits, &self.observer));
        let storing = Storing::new(&self.engine, &self.limits, &self.flow);
        storing.take_all(requests).await.map(Response::new)
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let (call, message) = (self.call_of(&request), request.into_inner());
        answered(self.erase(message, call).await, "")
    }

    type WarmUsersStream = Answers<pb::WarmUsersResponse>;

    async fn warm_users(
        &self,
        request: Request<pb::WarmUsersRequest>,
    ) -> Result<Response<Self::WarmUsersStream>, Status> {
        let call = self.call_of(&request);
        let (model, whom) = whom_to_warm(request.into_inner(), &self.limits)
            .map_err(|error| status_of(&error, ""))?;
        let (answers, receiver) = mpsc::channel(1);
        let (engine, flow) = (Arc::clone(&self.engine), self.flow.clone());
        let until = call.explicit.then_some(call.deadline);
        let warming = Warming { engine, flow, model, whom, until };
        tokio::spawn(within(call.trace, async move { warming.go_on(answers).await }));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn answered<T>(result: Result<T, RankError>, request_id: &str) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error, request_id))
}
