//! `grpc.health.v1`: the server as a whole, its services, and each model as `model/<name>`.

use tonic_health::{
    ServingStatus,
    server::{HealthReporter, HealthService},
};

/// The names under which the server's own services are asked for.
const SERVICES: [&str; 3] = ["", "podium.v1.RankService", "podium.v1.InfoService"];

/// Tells who asks how the server is.
#[derive(Clone)]
pub(super) struct Health {
    reporter: HealthReporter,
    models: Vec<String>,
}

impl Health {
    /// Everything that is loaded serves.
    pub(super) async fn serving(models: Vec<String>, failed: Vec<String>) -> Self {
        let health = Self { reporter: HealthReporter::new(), models };
        for name in health.names() {
            health.reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        for name in failed.iter().filter(|name| !health.models.contains(name)) {
            let name = format!("model/{name}");
            health.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
        health
    }

    /// The service that answers.
    pub(super) fn service(&self) -> HealthService {
        HealthService::from_health_reporter(self.reporter.clone())
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
        services.chain(self.models.iter().map(|name| format!("model/{name}"))).collect()
    }
}
