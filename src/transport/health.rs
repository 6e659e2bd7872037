//! `grpc.health.v1`: the server as a whole, its services, and each model as `model/<name>`.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_check_response::ServingStatus as WireStatus, health_server,
    },
    server::{HealthReporter, HealthService},
};

/// The names under which the server's own services are asked for.
const SERVICES: [&str; 5] = [
    "",
    "podium.v1.RankService",
    "podium.v1.InfoService",
    "podium.v1.UserService",
    "inference.GRPCInferenceService",
];

/// Tells who asks how the server is.
pub(super) struct Health {
    reporter: HealthReporter,
    /// Whether each model serves, as last told.
    models: BTreeMap<String, bool>,
}

impl Health {
    /// The server's own services serve; of models nothing is known yet.
    pub(super) async fn serving() -> Self {
        let health = Self { reporter: HealthReporter::new(), models: BTreeMap::new() };
        for name in SERVICES {
            health.reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        health
    }

    /// Tells which models serve and which do not; those that are not named any more are unknown from now on.
    pub(super) async fn tell(&mut self, models: BTreeMap<String, bool>) {
        for (name, serves) in
            models.iter().filter(|(name, now)| self.models.get(*name) != Some(now))
        {
            let status = if *serves { ServingStatus::Serving } else { ServingStatus::NotServing };
            self.reporter.set_service_status(of_model(name), status).await;
        }
        for gone in self.models.keys().filter(|name| !models.contains_key(*name)) {
            self.reporter.clear_service_status(&of_model(gone)).await;
        }
        self.models = models;
    }

    /// The service that answers; streams of those who watch what is not there end with `draining`.
    pub(super) fn service(&self, draining: CancellationToken) -> HealthApi {
        HealthApi { known: HealthService::from_health_reporter(self.reporter.clone()), draining }
    }

    /// From now on nothing serves.
    pub(super) async fn draining(&self) {
        for name in self.names() {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
    }

    /// Ends the streams of those who watch, so that their connections can close.
    pub(super) async fn dismiss_watchers(&mut self) {
        for name in self.names() {
            self.reporter.clear_service_status(&name).await;
        }
    }

    fn names(&self) -> Vec<String> {
        let services = SERVICES.iter().map(|name| (*name).to_owned());
        services.chain(self.models.keys().map(|name| of_model(name))).collect()
    }
}

/// The name under which a model is asked for.
fn of_model(name: &str) -> String {
    format!("model/{name}")
}

/// Tonic's health service, but for those who watch what is not there: the protocol tells them so and lets them wait.
pub(super) struct HealthApi {
    known: HealthService,
    draining: CancellationToken,
}

type Statuses = std::pin::Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl health_server::Health for HealthApi {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.known.check(request).await
    }

    type WatchStream = Statuses;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Statuses>, Status> {
        match self.known.watch(request).await {
            Ok(statuses) => Ok(Response::new(statuses.into_inner().boxed())),
            Err(status) if status.code() == Code::NotFound => {
                let unknown = HealthCheckResponse { status: WireStatus::ServiceUnknown.into() };
                let told = stream::once(std::future::ready(Ok(unknown)));
                let waiting = stream::pending().take_until(self.draining.clone().cancelled_owned());
                Ok(Response::new(told.chain(waiting).boxed()))
            }
            Err(status) => Err(status),
        }
    }
}
