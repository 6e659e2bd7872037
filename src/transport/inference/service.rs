//! The calls of the service, and the way of one run from the wire to the wire.

use std::{collections::HashMap, sync::Arc};

use tonic::{Request, Response, Status, Streaming};

use crate::{
    deadline::Deadline,
    ids::{CallerName, ModelId, Version},
    observing::Observer,
    ranking::{Engine, Inferred, Model, RankError},
    serving::{Lives, Selector, ServingError},
    transport::{
        call::{Call, call_of},
        conversation::{Answers, Order, Requests, converse},
        convert::{Infer, infer_request, infer_response, selector},
        flow::Flow,
        inference::{
            described::{config, metadata},
            repository::{Repository, index, load, unload},
            statistics::statistics,
        },
        limits::Limits,
        pb::inference::{
            self as pb, InferParameter, ModelInferRequest, ModelInferResponse,
            ModelStreamInferResponse, grpc_inference_service_server::GrpcInferenceService,
            infer_parameter::ParameterChoice,
        },
        rank_service::caller_of,
        status::status_of,
        watched::Watched,
    },
};

/// The methods, as traces and metrics name them.
const CALLED: &str = "inference.GRPCInferenceService/ModelInfer";
const STREAMED: &str = "inference.GRPCInferenceService/ModelStreamInfer";

/// The extensions of the protocol that are there.
const EXTENSIONS: [&str; 3] = ["model_configuration", "schedule_policy", "statistics"];

/// The one that is there beside them on the admin listener.
const REPOSITORY_EXTENSION: &str = "model_repository";

/// The parameter of a stream's answers that says that a request has no further one.
const FINAL_RESPONSE: &str = "triton_final_response";

/// Answers who asks by tensors.
#[derive(Clone)]
pub(in crate::transport) struct InferenceApi {
    pub(in crate::transport) engine: Arc<Engine>,
    pub(in crate::transport) limits: Limits,
    pub(in crate::transport) flow: Flow,
    pub(in crate::transport) observer: Arc<Observer>,
    pub(in crate::transport) lives: Arc<Lives>,
    pub(in crate::transport) repository: Repository,
}

impl InferenceApi {
    /// One run, from the wire to the wire.
    async fn infer(
        &self,
        message: ModelInferRequest,
        caller: Result<CallerName, RankError>,
        (method, call): (&'static str, Call),
    ) -> Result<ModelInferResponse, RankError> {
        let id = message.id.clone();
        let mut watched = Watched::new(&self.observer, method, &call);
        watched.finished().request_id.clone_from(&id);
        let inferred = self.infer_watched(message, caller, &call, &mut watched).await;
        let inferred = inferred.map_err(|error| self.known(error));
        let response = inferred.map(|inferred| infer_response(&inferred, id));
        watched.end_inferred(response.as_ref().err());
        response
    }

    async fn infer_watched(
        &self,
        message: ModelInferRequest,
        caller: Result<CallerName, RankError>,
        call: &Call,
        watched: &mut Watched<'_>,
    ) -> Result<Inferred, RankError> {
        let _admitted = self.flow.admit()?;
        let finished = watched.finished();
        finished.validate.begin();
        let caller = caller?;
        finished.caller.clone_from(&caller);
        let Infer { request, timeout } = infer_request(message, caller, &self.limits)?;
        finished.validate.end();
        let own = timeout.map(|timeout| Deadline::after(call.arrival, timeout));
        let deadline = own.map_or(call.deadline, |own| own.min(call.deadline));
        self.engine.infer(request, deadline, &mut finished.notes).await
    }

    /// One run of a stream, whose error is an answer too.
    async fn infer_in_stream(
        self,
        message: ModelInferRequest,
        caller: CallerName,
        call: Call,
    ) -> ModelStreamInferResponse {
        let id = message.id.clone();
        let (error_message, response) =
            match self.infer(message, Ok(caller), (STREAMED, call)).await {
                Ok(response) => (String::new(), response),
                Err(error) => {
                    let status = status_of(&error, &id);
                    (status.message().to_owned(), ModelInferResponse { id, ..Default::default() })
                }
            };
        let last = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
        let parameters = HashMap::from([(FINAL_RESPONSE.to_owned(), last)]);
        let response = ModelInferResponse { parameters, ..response };
        ModelStreamInferResponse { error_message, infer_response: Some(response) }
    }

    /// The same error, or where what is asked for is known and does not answer, that.
    fn known(&self, error: RankError) -> RankError {
        let (name, version) = match &error {
            RankError::Serving(ServingError::UnknownModel { name, .. }) => (name, None),
            RankError::Serving(ServingError::UnknownVersion { name, version, .. }) => {
                (name, Some(Version(*version)))
            }
            _ => return error,
        };
        let all = self.lives.all();
        let is_asked_for = |id: &ModelId| {
            id.name.as_str() == name && version.is_none_or(|version| version == id.version)
        };
        match all.into_iter().rfind(|(id, _)| is_asked_for(id)) {
            Some((model, life)) => {
                let state = life.state.name();
                RankError::Serving(ServingError::NotReady { model, state })
            }
            None => error,
        }
    }

    /// The version that is asked for, and all versions of its model that answer.
    fn model(&self, name: &str, version: &str) -> Result<(Arc<Model>, Vec<Version>), Status> {
        let registry = self.engine.registry();
        let model = registry.resolve(name, &selector(version));
        let model = model.map_err(|error| status_of(&self.known(error.into()), ""))?;
        let own = registry.all().into_iter().filter(|(id, _)| id.name.as_str() == name);
        Ok((model, own.map(|(id, _)| id.version).collect()))
    }

    /// The versions whose figures are asked for: all, those of a model, or one.
    fn counted(&self, name: &str, version: &str) -> Result<Vec<(ModelId, Arc<Model>)>, Status> {
        let mut all = self.engine.registry().all();
        if name.is_empty() {
            return Ok(all);
        }
        let (asked_for, _) = self.model(name, version)?;
        let one = asked_for.handle().id();
        match selector(version) {
            Selector::Live => all.retain(|(id, _)| id.name == one.name),
            Selector::Version(_) | Selector::Label(_) => all.retain(|(id, _)| id == one),
        }
        Ok(all)
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for InferenceApi {
    async fn server_live(
        &self,
        _request: Request<pb::ServerLiveRequest>,
    ) -> Result<Response<pb::ServerLiveResponse>, Status> {
        Ok(Response::new(pb::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _request: Request<pb::ServerReadyRequest>,
    ) -> Result<Response<pb::ServerReadyResponse>, Status> {
        let ready = !self.flow.draining.is_cancelled();
        Ok(Response::new(pb::ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<pb::ModelReadyRequest>,
    ) -> Result<Response<pb::ModelReadyResponse>, Status> {
        let pb::ModelReadyRequest { name, version } = request.into_inner();
        let found = self.engine.registry().resolve(&name, &selector(&version));
        let ready = found.is_ok() && !self.flow.draining.is_cancelled();
        Ok(Response::new(pb::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _request: Request<pb::ServerMetadataRequest>,
    ) -> Result<Response<pb::ServerMetadataResponse>, Status> {
        let further =
            matches!(self.repository, Repository::Here(_)).then_some(REPOSITORY_EXTENSION);
        Ok(Response::new(pb::ServerMetadataResponse {
            name: "podium".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.into_iter().chain(further).map(str::to_owned).collect(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<pb::ModelMetadataRequest>,
    ) -> Result<Response<pb::ModelMetadataResponse>, Status> {
        let pb::ModelMetadataRequest { name, version } = request.into_inner();
        let (model, versions) = self.model(&name, &version)?;
        Ok(Response::new(metadata(model.handle(), &versions)))
    }

    async fn model_config(
        &self,
        request: Request<pb::ModelConfigRequest>,
    ) -> Result<Response<pb::ModelConfigResponse>, Status> {
        let pb::ModelConfigRequest { name, version } = request.into_inner();
        let (model, versions) = self.model(&name, &version)?;
        let config = Some(config(model.handle(), &versions));
        Ok(Response::new(pb::ModelConfigResponse { config }))
    }

    async fn model_statistics(
        &self,
        request: Request<pb::ModelStatisticsRequest>,
    ) -> Result<Response<pb::ModelStatisticsResponse>, Status> {
        let pb::ModelStatisticsRequest { name, version } = request.into_inner();
        let counted = self.counted(&name, &version)?;
        let model_stats = counted.iter().map(|(id, model)| statistics(id, model)).collect();
        Ok(Response::new(pb::ModelStatisticsResponse { model_stats }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let call = call_of(&request, self.flow.options.max_deadline);
        let caller = caller_of(request.metadata());
        let message = request.into_inner();
        let id = message.id.clone();
        match self.infer(message, caller, (CALLED, call)).await {
            Ok(response) => Ok(Response::new(response)),
            Err(error) => Err(status_of(&error, &id)),
        }
    }

    type ModelStreamInferStream = Answers<ModelStreamInferResponse>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let caller = caller_of(request.metadata()).map_err(|error| status_of(&error, ""))?;
        let requests = Requests::of(request, &self.flow, (&self.limits, &self.observer));
        let (api, at_once) = (self.clone(), self.flow.options.max_in_flight_per_stream);
        Ok(converse(requests, (at_once, Order::AsAsked), move |message, call| {
            api.clone().infer_in_stream(message, caller.clone(), call)
        }))
    }

    async fn repository_index(
        &self,
        request: Request<pb::RepositoryIndexRequest>,
    ) -> Result<Response<pb::RepositoryIndexResponse>, Status> {
        let response = index(self.repository.here()?, request.get_ref())?;
        Ok(Response::new(response))
    }

    async fn repository_model_load(
        &self,
        request: Request<pb::RepositoryModelLoadRequest>,
    ) -> Result<Response<pb::RepositoryModelLoadResponse>, Status> {
        load(self.repository.here()?, request.into_inner()).await?;
        Ok(Response::new(pb::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<pb::RepositoryModelUnloadRequest>,
    ) -> Result<Response<pb::RepositoryModelUnloadResponse>, Status> {
        unload(self.repository.here()?, request.into_inner()).await?;
        Ok(Response::new(pb::RepositoryModelUnloadResponse {}))
    }
}
