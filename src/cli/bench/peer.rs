//! Another server of the Open Inference Protocol: what its model takes, and what it says of its batches.

use tonic::{Code, transport::Channel};

use crate::{
    cli::{
        bench::{
            against::{Against, Kind},
            input_data::Takes,
        },
        client::{connect, refusal},
    },
    transport::pb::inference::{
        ModelConfigRequest, ModelMetadataRequest, ModelStatisticsRequest,
        grpc_inference_service_client::GrpcInferenceServiceClient,
        model_metadata_response::TensorMetadata,
    },
};

/// A model of another server.
pub(super) struct Peer {
    client: GrpcInferenceServiceClient<Channel>,
    /// How it is called in tables.
    pub(super) name: String,
    /// Where it is.
    pub(super) url: String,
    /// The model's name there.
    pub(super) model: String,
    /// The model's inputs.
    pub(super) inputs: Vec<TensorMetadata>,
    kind: Kind,
}

/// What a server has run of a model so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PeerCounts {
    rows: u64,
    runs: u64,
}

impl PeerCounts {
    /// Rows of a run since `before`, on average; none where nothing ran.
    pub(super) fn rows_a_run(self, before: Self) -> Option<f64> {
        let runs = self.runs.saturating_sub(before.runs);
        (runs > 0).then(|| self.rows.saturating_sub(before.rows) as f64 / runs as f64)
    }
}

impl Peer {
    /// Connects and asks what the model takes; `model` is what it is called where the command line says nothing else.
    pub(super) async fn connect(against: &Against, model: &str) -> Result<Self, String> {
        let model = against.model.clone().unwrap_or_else(|| model.to_owned());
        let channel = connect(&against.url, "--against").await?;
        let mut client = GrpcInferenceServiceClient::new(channel);
        let asked = ModelMetadataRequest { name: model.clone(), version: String::new() };
        let metadata = client.model_metadata(asked).await.map_err(|status| {
            let refused = refusal(&status);
            format!("--against {against}: {refused}; name its model as HOST:PORT/MODEL")
        })?;
        let inputs = metadata.into_inner().inputs;
        let (kind, url, name) = (against.kind, against.url.clone(), against.to_string());
        Ok(Self { client, name, url, model, inputs, kind })
    }

    /// What it has run so far; none where it does not tell.
    pub(super) async fn counts(&self) -> Result<Option<PeerCounts>, String> {
        if self.kind == Kind::Oip {
            return Ok(None);
        }
        let asked = ModelStatisticsRequest { name: self.model.clone(), version: String::new() };
        let told = match self.client.clone().model_statistics(asked).await {
            Ok(told) => told.into_inner().model_stats,
            Err(status) if status.code() == Code::Unimplemented => return Ok(None),
            Err(status) => return Err(format!("{}: {}", self.name, refusal(&status))),
        };
        let sum = told.iter().fold(PeerCounts::default(), |sum, one| PeerCounts {
            rows: sum.rows + one.inference_count,
            runs: sum.runs + one.execution_count,
        });
        Ok(Some(sum))
    }
}

/// What a model of a server takes.
pub(super) async fn takes(url: &str, model: &str) -> Result<Takes, String> {
    let mut client = GrpcInferenceServiceClient::new(connect(url, "--target").await?);
    let asked = ModelMetadataRequest { name: model.to_owned(), version: String::new() };
    let metadata = client.model_metadata(asked).await.map_err(|status| refusal(&status))?;
    let asked = ModelConfigRequest { name: model.to_owned(), version: String::new() };
    let config = client.model_config(asked).await.map_err(|status| refusal(&status))?;
    let config = config.into_inner().config.unwrap_or_default();
    Ok(Takes { inputs: metadata.into_inner().inputs, leads_with_batch: config.max_batch_size > 0 })
}
