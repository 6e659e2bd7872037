//! `podium.v1.ModelService`: says what shall serve, and tells what does.

use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    ids::{ModelId, ModelName, Version},
    ranking::{Engine, Model, RankError},
    repository::{EditError, Live, Place, Revision, ServingFile, ServingSpec, change, edited},
    serving::{CommandError, Decision, Labels, Life, Lives, Looks, Scene, decide},
    transport::{
        convert::{self, Asked, Served, served_models},
        info_service::model_infos,
        limits::Limits,
        pb::{self, model_service_server::ModelService},
        status::{command_status_of, status_of},
    },
};

/// What is told of changes is at least so far apart.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How often it is asked whether comparisons have changed, of which there is no news.
const COMPARISON_INTERVAL: Duration = Duration::from_secs(1);

/// How long a change waits for a look at the repository, which may have just got what is asked for.
const LOOK_PATIENCE: Duration = Duration::from_secs(3);

/// What the service works with.
pub(super) struct ModelParts {
    pub(super) engine: Arc<Engine>,
    pub(super) lives: Arc<Lives>,
    pub(super) place: Place,
    pub(super) looks: Arc<Looks>,
    /// The labels of the configuration.
    pub(super) labels: Labels,
    pub(super) limits: Limits,
    pub(super) draining: CancellationToken,
}

/// Answers who manages models.
#[derive(Clone)]
pub(super) struct ModelApi {
    pub(super) parts: Arc<ModelParts>,
    /// Held by who changes `serving.toml`: those who come over this server take turns.
    writer: Arc<tokio::sync::Mutex<()>>,
}

/// A change that is made.
pub(super) struct Changed {
    revision: Revision,
    decision: Decision,
    /// What the file says of the model now.
    spec: ServingSpec,
}

impl ModelApi {
    pub(super) fn new(parts: ModelParts) -> Self {
        Self { parts: Arc::new(parts), writer: Arc::default() }
    }

    /// Makes a change to `serving.toml`, and has it followed at once.
    pub(super) async fn change(&self, asked: Result<Asked, RankError>) -> Result<Changed, Status> {
        let refused = |error: RankError| status_of(&error, "");
        let asked = asked.map_err(refused)?;
        if self.parts.draining.is_cancelled() {
            return Err(refused(RankError::Draining));
        }
        match self.write(&asked).await {
            Ok(changed) => {
                let (model, command) = (&asked.model, &asked.command);
                tracing::info!(%model, ?command, revision = %changed.revision, "serving.toml is changed");
                self.parts.looks.ask();
                Ok(changed)
            }
            Err(error) => Err(command_status_of(&error)),
        }
    }

    /// Makes a change; where something is asked for that is not known, it may have been published a moment ago, and is looked for.
    async fn write(&self, asked: &Asked) -> Result<Changed, CommandError> {
        let is_unknown = |error: &CommandError| {
            matches!(error, CommandError::UnknownModel { .. } | CommandError::UnknownVersion { .. })
        };
        let mut news = self.parts.lives.news();
        let first = self.write_once(asked).await;
        if !first.as_ref().is_err_and(is_unknown) {
            return first;
        }
        let mut looked = pin!(tokio::time::timeout(LOOK_PATIENCE, self.parts.looks.look_now()));
        loop {
            let is_over = tokio::select! {
                _ = &mut looked => true,
                _ = news.changed() => false,
            };
            let written = self.write_once(asked).await;
            if is_over || !written.as_ref().is_err_and(is_unknown) {
                return written;
            }
        }
    }

    async fn write_once(&self, asked: &Asked) -> Result<Changed, CommandError> {
        let _one_writer = self.writer.lock().await;
        let model = &asked.model;
        let written = change(&self.parts.place, asked.revision.as_ref(), |said| {
            let file = ServingFile::parse(&said.text).map_err(EditError::AtFault)?;
            let decision = self.decide(asked, &file.of(model))?;
            let text = edited(&said.text, model, &decision.edits)?;
            let spec = ServingFile::parse(&text).map_err(EditError::Unfit)?.of(model);
            Ok::<_, CommandError>((text, (decision, spec)))
        });
        let (revision, (decision, spec)) = written.await?;
        Ok(Changed { revision, decision, spec })
    }

    fn decide(&self, asked: &Asked, spec: &ServingSpec) -> Result<Decision, CommandError> {
        let parts = &self.parts;
        let lives = parts.lives.all();
        let versions: BTreeMap<Version, Life> = lives
            .iter()
            .filter(|(id, _)| id.name == asked.model)
            .map(|(id, life)| (id.version, life.clone()))
            .collect();
        if versions.is_empty() {
            let mut known: Vec<&str> = lives.keys().map(|id| id.name.as_str()).collect();
            known.dedup();
            return Err(CommandError::UnknownModel {
                name: asked.model.to_string(),
                known: known.join(", "),
            });
        }
        let labels = parts.labels.get(asked.model.as_str()).cloned().unwrap_or_default();
        decide(
            &asked.command,
            &Scene {
                model: &asked.model,
                spec,
                labels: &labels,
                versions: &versions,
                answering: self.answering(&asked.model),
                needed: &self.needed(&asked.model),
            },
        )
    }

    /// The version that answers who names neither version nor label.
    fn answering(&self, model: &ModelName) -> Option<Version> {
        let live = self.parts.engine.registry().live(model)?;
        let id = ModelId { name: model.clone(), version: live };
        self.parts.lives.state(&id).is_some_and(|state| state.is_loaded()).then_some(live)
    }

    /// Versions of a model that loaded rankers need, each with one of those.
    fn needed(&self, model: &ModelName) -> BTreeMap<Version, ModelId> {
        let published = self.parts.engine.registry().all();
        let encoders = published.iter().filter_map(|(ranker, model)| match model.as_ref() {
            Model::Ranker(own) => Some((own.encoder()?.id().clone(), ranker.clone())),
            Model::Encoder(_) | Model::Tensors(_) => None,
        });
        let own = encoders.filter(|(encoder, _)| encoder.name == *model);
        own.map(|(encoder, ranker)| (encoder.version, ranker)).collect()
    }

    /// The models as they are now, or the one of a name.
    fn state(&self, only: Option<&ModelName>) -> pb::ListModelsResponse {
        let parts = &self.parts;
        let taken_in = parts.looks.taken_in();
        let infos = model_infos(parts.engine.registry(), &parts.lives);
        let answering =
            infos.keys().filter_map(|id| Some((id.name.clone(), self.answering(&id.name)?)));
        let served = Served {
            answering: answering.collect(),
            infos,
            file: &taken_in.file,
            comparisons: parts.engine.comparisons(),
        };
        pb::ListModelsResponse {
            models: served_models(served, only),
            revision: taken_in.revision,
            repository_fault: parts.lives.fault().unwrap_or_default(),
        }
    }

    /// Tells the models as they are whenever that has changed, until nobody listens or the server drains.
    async fn tell_changes(
        self,
        only: Option<ModelName>,
        listener: mpsc::Sender<Result<pb::WatchModelsResponse, Status>>,
    ) {
        let mut news = self.parts.lives.news();
        let mut told = None;
        loop {
            news.mark_unchanged();
            let state = self.state(only.as_ref());
            let settled = Some(without_counters(&state));
            if settled != told {
                told = settled;
                let response = pb::WatchModelsResponse { state: Some(state) };
                if listener.send(Ok(response)).await.is_err() {
                    return;
                }
            }
            let next = async {
                tokio::time::sleep(WATCH_INTERVAL).await;
                let _ = tokio::time::timeout(COMPARISON_INTERVAL, news.changed()).await;
            };
            tokio::select! {
                () = next => {}
                () = listener.closed() => return,
                () = self.parts.draining.cancelled() => return,
            }
        }
    }
}

/// The same without what changes with every request.
fn without_counters(state: &pb::ListModelsResponse) -> pb::ListModelsResponse {
    let mut state = state.clone();
    for version in state.models.iter_mut().flat_map(|model| &mut model.versions) {
        version.run_counters = None;
    }
    state
}

/// The name that is asked for; none: all.
fn name_of(name: &str) -> Result<Option<ModelName>, Status> {
    match (name, ModelName::parse(name)) {
        ("", _) => Ok(None),
        (_, Some(name)) => Ok(Some(name)),
        (_, None) => {
            let wrong = "is no model's name: write 1 to 64 of a-z 0-9 - _ .";
            Err(status_of(&RankError::field("name", wrong), ""))
        }
    }
}

type Changes = Pin<Box<dyn Stream<Item = Result<pb::WatchModelsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ModelService for ModelApi {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        let only = name_of(&request.into_inner().name)?;
        let state = self.state(only.as_ref());
        match only {
            Some(name) if state.models.is_empty() => {
                let all = self.state(None);
                let known: Vec<&str> = all.models.iter().map(|model| model.name.as_str()).collect();
                let (name, known) = (name.to_string(), known.join(", "));
                Err(command_status_of(&CommandError::UnknownModel { name, known }))
            }
            _ => Ok(Response::new(state)),
        }
    }

    type WatchModelsStream = Changes;

    async fn watch_models(
        &self,
        request: Request<pb::WatchModelsRequest>,
    ) -> Result<Response<Self::WatchModelsStream>, Status> {
        let only = name_of(&request.into_inner().name)?;
        let (sender, changes) = mpsc::channel(1);
        tokio::spawn(self.clone().tell_changes(only, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(changes))))
    }

    async fn load_model(
        &self,
        request: Request<pb::LoadModelRequest>,
    ) -> Result<Response<pb::LoadModelResponse>, Status> {
        let asked = convert::load(request.into_inner(), &self.parts.limits);
        let revision = self.change(asked).await?.revision.to_string();
        Ok(Response::new(pb::LoadModelResponse { revision }))
    }

    async fn unload_model(
        &self,
        request: Request<pb::UnloadModelRequest>,
    ) -> Result<Response<pb::UnloadModelResponse>, Status> {
        let asked = convert::unload(request.into_inner(), &self.parts.limits);
        let revision = self.change(asked).await?.revision.to_string();
        Ok(Response::new(pb::UnloadModelResponse { revision }))
    }

    async fn promote_model(
        &self,
        request: Request<pb::PromoteModelRequest>,
    ) -> Result<Response<pb::PromoteModelResponse>, Status> {
        let asked = convert::promote(request.into_inner(), &self.parts.limits);
        let changed = self.change(asked).await?;
        let live = changed.decision.version.map_or(0, |version| version.0);
        let revision = changed.revision.to_string();
        Ok(Response::new(pb::PromoteModelResponse { revision, live }))
    }

    async fn rollback_model(
        &self,
        request: Request<pb::RollbackModelRequest>,
    ) -> Result<Response<pb::RollbackModelResponse>, Status> {
        let asked = convert::rollback(request.into_inner(), &self.parts.limits);
        let changed = self.change(asked).await?;
        Ok(Response::new(pb::RollbackModelResponse {
            revision: changed.revision.to_string(),
            rolled_back: changed.decision.version.map_or(0, |version| version.0),
            live: match changed.spec.live {
                Live::Latest => 0,
                Live::Version(live) => live,
            },
        }))
    }

    async fn split_traffic(
        &self,
        request: Request<pb::SplitTrafficRequest>,
    ) -> Result<Response<pb::SplitTrafficResponse>, Status> {
        let asked = convert::split(request.into_inner(), &self.parts.limits);
        let revision = self.change(asked).await?.revision.to_string();
        Ok(Response::new(pb::SplitTrafficResponse { revision }))
    }

    async fn set_shadow(
        &self,
        request: Request<pb::SetShadowRequest>,
    ) -> Result<Response<pb::SetShadowResponse>, Status> {
        let asked = convert::shadow(request.into_inner(), &self.parts.limits);
        let revision = self.change(asked).await?.revision.to_string();
        Ok(Response::new(pb::SetShadowResponse { revision }))
    }
}
