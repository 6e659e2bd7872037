//! `podium.v1.TelemetryService`: shows and changes what the server tells of itself.

use std::{sync::Arc, time::Duration};

use tonic::{Request, Response, Status};

use crate::{
    observing::{Controls, InForce, TelemetryChange},
    ranking::RankError,
    transport::{
        pb::{self, telemetry_service_server::TelemetryService},
        status::status_of,
    },
};

/// Answers who watches the server.
#[derive(Debug, Clone)]
pub(super) struct TelemetryApi {
    pub(super) controls: Arc<Controls>,
}

impl TelemetryApi {
    fn telemetry(&self) -> pb::Telemetry {
        let (level, ratio) = self.controls.now();
        let left = |left: Option<Duration>| left.and_then(|left| left.try_into().ok());
        let InForce { value, configured, left: lasts } = level;
        let log_level = Some(pb::LogLevel { value, configured, left: left(lasts) });
        let InForce { value, configured, left: lasts } = ratio;
        let sampling_ratio = Some(pb::SamplingRatio { value, configured, left: left(lasts) });
        pb::Telemetry { log_level, sampling_ratio }
    }
}

#[tonic::async_trait]
impl TelemetryService for TelemetryApi {
    async fn get_telemetry(
        &self,
        _request: Request<pb::GetTelemetryRequest>,
    ) -> Result<Response<pb::GetTelemetryResponse>, Status> {
        Ok(Response::new(pb::GetTelemetryResponse { telemetry: Some(self.telemetry()) }))
    }

    async fn set_telemetry(
        &self,
        request: Request<pb::SetTelemetryRequest>,
    ) -> Result<Response<pb::SetTelemetryResponse>, Status> {
        let message = request.into_inner();
        let wrong = |field: &str, wrong: String| status_of(&RankError::field(field, wrong), "");
        let lasts = message.lasts.map(Duration::try_from).transpose();
        let lasts = lasts.map_err(|_| wrong("lasts", "is no time above 0".to_owned()))?;
        let (log_level, sampling_ratio) = (message.log_level, message.sampling_ratio);
        let change = TelemetryChange { log_level, sampling_ratio, lasts };
        self.controls.change(change).map_err(|error| wrong(error.field(), error.to_string()))?;
        Ok(Response::new(pb::SetTelemetryResponse { telemetry: Some(self.telemetry()) }))
    }
}
