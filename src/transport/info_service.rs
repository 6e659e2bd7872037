//! `podium.v1.InfoService`.

use std::{collections::BTreeMap, sync::Arc};

use tonic::{Request, Response, Status};

use crate::{
    batching::BatchCounts,
    ids::ModelId,
    ranking::{Engine, FeatureDescription, FeatureScope, Model, RankError, Ranker},
    repository::Role,
    serving::{Life, Lives, Registry, State},
    transport::{
        convert::{model_choice, request_message},
        flow::FlowOptions,
        limits::Limits,
        pb::{self, info_service_server::InfoService},
        status::status_of,
    },
    users::UserStore,
};

/// Answers what the server is and serves.
pub(super) struct InfoApi {
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Limits,
    pub(super) flow: FlowOptions,
    pub(super) onnxruntime_build: String,
    pub(super) lives: Arc<Lives>,
    pub(super) repository: String,
}

#[tonic::async_trait]
impl InfoService for InfoApi {
    async fn get_server_info(
        &self,
        _request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        let usage = Usage::now();
        Ok(Response::new(pb::GetServerInfoResponse {
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            onnxruntime_build: self.onnxruntime_build.clone(),
            limits: Some(limits_message(&self.limits, &self.flow)),
            models: model_infos(self.engine.registry(), &self.lives).into_values().collect(),
            default_model: self.engine.default_model(),
            process_cpu_us: usage.cpu_us,
            process_peak_rss_bytes: usage.peak_rss_bytes,
            user_store: Some(user_store_info(self.engine.users())),
            repository_fault: self.lives.fault().unwrap_or_default(),
            repository: self.repository.clone(),
        }))
    }

    async fn get_example(
        &self,
        request: Request<pb::GetExampleRequest>,
    ) -> Result<Response<pb::GetExampleResponse>, Status> {
        let ranker = self.ranker(request.into_inner().model)?;
        let mut message = ranker.example().map(request_message).unwrap_or_default();
        message.model =
            Some(pb::ModelSelector { name: ranker.id().name.to_string(), selector: None });
        Ok(Response::new(pb::GetExampleResponse { request: Some(message) }))
    }

    async fn get_items(
        &self,
        request: Request<pb::GetItemsRequest>,
    ) -> Result<Response<pb::GetItemsResponse>, Status> {
        let message = request.into_inner();
        let most = self.limits.max_candidates;
        if message.ids.len() > most {
            let wrong = format!("has {} entries, and max_candidates is {most}", message.ids.len());
            return Err(status_of(&RankError::field("ids", wrong), ""));
        }
        let ranker = self.ranker(message.model)?;
        let columns = texts_of(&ranker, &message.ids);
        Ok(Response::new(pb::GetItemsResponse { columns }))
    }
}

impl InfoApi {
    fn ranker(&self, model: Option<pb::ModelSelector>) -> Result<Arc<Ranker>, Status> {
        let ranker = self.engine.ranker(&model_choice(model));
        ranker.map_err(|error| status_of(&error, ""))
    }
}

/// The published versions, and those others that have a life.
pub(super) fn model_infos(
    registry: &Registry<Model>,
    lives: &Lives,
) -> BTreeMap<ModelId, pb::ModelInfo> {
    let lives = lives.all().into_iter();
    let mut all: BTreeMap<ModelId, pb::ModelInfo> =
        lives.map(|(id, life)| (id.clone(), not_loaded(&id, &life))).collect();
    for (id, model) in registry.all() {
        let known = all.get(&id);
        let shadow = i32::from(pb::ModelState::Shadow);
        let info = model_info(&id, &model, registry.labels(&id));
        let info = pb::ModelInfo {
            live: registry.is_live(&id),
            state: known.map(|i| i.state).filter(|i| *i == shadow).unwrap_or(info.state),
            state_reason: known.map(|i| i.state_reason.clone()).unwrap_or_default(),
            ..info
        };
        all.insert(id, info);
    }
    all
}

fn texts_of(ranker: &Ranker, ids: &[String]) -> Vec<pb::Column> {
    let Some(catalogue) = ranker.catalogue() else {
        return Vec::new();
    };
    let rows: Vec<Option<u32>> = ids.iter().map(|id| catalogue.row(id)).collect();
    let column = |(name, column): (&str, &crate::catalogue::FeatureColumn)| {
        let text =
            |row: &Option<u32>| row.and_then(|row| column.text(row as usize)).unwrap_or_default();
        let values = rows.iter().map(text).collect();
        pb::Column {
            name: name.to_owned(),
            values: Some(pb::column::Values::Strings(pb::StringColumn { values })),
        }
    };
    catalogue.texts().map(column).collect()
}

fn limits_message(limits: &Limits, flow: &FlowOptions) -> pb::Limits {
    pb::Limits {
        max_candidates: limits.max_candidates as u32,
        max_columns: limits.max_columns as u32,
        max_id_bytes: limits.max_id_bytes as u32,
        max_string_bytes: limits.max_string_bytes as u32,
        max_vector_dim: limits.max_vector_dim as u32,
        max_history: limits.max_history as u32,
        max_message_bytes: limits.max_message_bytes as u64,
        max_deadline_ms: flow.max_deadline.as_millis() as u64,
        max_in_flight: flow.max_in_flight as u32,
        max_in_flight_per_stream: flow.max_in_flight_per_stream as u32,
        max_events: limits.max_events as u32,
    }
}

fn model_info(id: &ModelId, model: &Model, labels: Vec<String>) -> pb::ModelInfo {
    let handle = model.handle();
    let (encoder, features) = match model {
        Model::Ranker(ranker) => (ranker.encoder().map(|e| e.id().clone()), ranker.features()),
        Model::Encoder(_) | Model::Tensors(_) => (None, [].as_slice()),
    };
    pb::ModelInfo {
        name: id.name.to_string(),
        version: id.version.0,
        role: match model.role() {
            Role::Ranker => pb::ModelRole::Ranker.into(),
            Role::UserEncoder => pb::ModelRole::UserEncoder.into(),
            Role::Tensors => pb::ModelRole::Tensors.into(),
        },
        labels,
        device: handle.device().to_owned(),
        instances: handle.instances() as u32,
        description: handle.manifest().description.clone(),
        encoder_name: encoder.as_ref().map(|id| id.name.to_string()).unwrap_or_default(),
        encoder_version: encoder.map_or(0, |id| id.version.0),
        features: features.iter().map(feature_info).collect(),
        outputs: handle.manifest().outputs.iter().map(|o| o.head().to_owned()).collect(),
        run_counters: Some(run_counters(handle.counts())),
        state: pb::ModelState::Ready.into(),
        state_reason: String::new(),
        live: false,
    }
}

fn not_loaded(id: &ModelId, life: &Life) -> pb::ModelInfo {
    pb::ModelInfo {
        name: id.name.to_string(),
        version: id.version.0,
        state: match life.state {
            State::Found => pb::ModelState::Found.into(),
            State::Verifying => pb::ModelState::Verifying.into(),
            State::Loading => pb::ModelState::Loading.into(),
            State::Warming => pb::ModelState::Warming.into(),
            State::Shadow => pb::ModelState::Shadow.into(),
            State::Ready => pb::ModelState::Ready.into(),
            State::Draining => pb::ModelState::Draining.into(),
            State::Freed => pb::ModelState::Freed.into(),
            State::Failed => pb::ModelState::Failed.into(),
        },
        state_reason: life.reason.as_deref().unwrap_or_default().to_owned(),
        ..pb::ModelInfo::default()
    }
}

fn user_store_info(users: &dyn UserStore) -> pb::UserStoreInfo {
    let counts = users.counts();
    pb::UserStoreInfo {
        description: users.describe(),
        store_reads: counts.store_reads,
        local_reads: counts.local_reads,
        failed_reads: counts.failed_reads,
        retried_reads: counts.retried_reads,
        unfit_embeddings: counts.unfit_embeddings,
        unfit_histories: counts.unfit_histories,
        embeddings_written: counts.embeddings_written,
        embeddings_dropped: counts.embeddings_dropped,
        events_recorded: counts.events_recorded,
        leases_waited_for: counts.leases_waited_for,
        invalidations: counts.invalidations,
        breaker_opened: counts.breaker_opened,
    }
}

fn run_counters(counts: BatchCounts) -> pb::RunCounters {
    pb::RunCounters {
        batches: counts.batches,
        rows: counts.rows,
        abandoned_rows: counts.abandoned_rows,
        elements: counts.elements,
        padding: counts.padding,
    }
}

fn feature_info(feature: &FeatureDescription) -> pb::FeatureInfo {
    pb::FeatureInfo {
        name: feature.name.clone(),
        scope: match feature.scope {
            FeatureScope::Context => pb::FeatureScope::Context.into(),
            FeatureScope::Candidate => pb::FeatureScope::Candidate.into(),
            FeatureScope::Query => pb::FeatureScope::Query.into(),
        },
        r#type: feature.kind.to_owned(),
        required: feature.required,
    }
}

/// What the process has used, from `/proc`; zeros where that cannot be read.
#[derive(Default)]
struct Usage {
    cpu_us: u64,
    peak_rss_bytes: u64,
}

impl Usage {
    fn now() -> Self {
        let schedstat = || -> Option<u64> {
            let tasks = std::fs::read_dir("/proc/self/task").ok()?;
            let nanos = tasks.flatten().filter_map(|task| {
                let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
                text.split(' ').next()?.parse::<u64>().ok()
            });
            Some(nanos.sum::<u64>() / 1000)
        };
        let peak = || -> Option<u64> {
            let text = std::fs::read_to_string("/proc/self/status").ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        Self { cpu_us: schedstat().unwrap_or(0), peak_rss_bytes: peak().unwrap_or(0) * 1024 }
    }
}
