//! Binds, serves, drains.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::server::{Router, Server as GrpcServer},
};
use tonic_health::pb::health_server::HealthServer;
use tower::layer::util::{Identity, Stack};

use crate::{
    observing::{Controls, Gatherer, Observer},
    ranking::Engine,
    repository::Place,
    serving::{Labels, Lives, Looks},
    transport::{
        admin,
        call::CallLayer,
        connection::{accept, bind},
        flow::{Flow, FlowOptions},
        health::{Health, HealthApi},
        inference::{InferenceApi, Repository},
        info_service::InfoApi,
        limits::Limits,
        metrics,
        model_service::{ModelApi, ModelParts},
        pb::{
            self, inference::grpc_inference_service_server::GrpcInferenceServiceServer,
            info_service_server::InfoServiceServer, model_service_server::ModelServiceServer,
            rank_service_server::RankServiceServer,
            telemetry_service_server::TelemetryServiceServer,
            user_service_server::UserServiceServer,
        },
        rank_service::RankApi,
        reporting::Reporting,
        telemetry_service::TelemetryApi,
        user_service::UserApi,
    },
};

/// Largest message that the admin listener takes, in bytes.
const LARGEST_COMMAND: usize = 1 << 20;

/// How the server meets its callers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerOptions {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where probes are answered and models are managed.
    pub admin_listen: SocketAddr,
    /// Host names by which the operations page may be opened, beside addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// Requests in flight in the whole server; one more is refused.
    pub max_in_flight: usize,
    /// Requests of one stream in flight; the server reads no further until one is answered.
    pub max_in_flight_per_stream: usize,
    /// Streams of one connection in flight.
    pub max_streams_per_connection: u32,
    /// Longest deadline, and that of a call without one.
    #[serde(with = "humantime_serde")]
    pub max_deadline: Duration,
    /// How long a new connection may take to begin HTTP/2.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// How long a stream may be silent.
    #[serde(with = "humantime_serde")]
    pub stream_idle_timeout: Duration,
    /// How often a silent connection is pinged.
    #[serde(with = "humantime_serde")]
    pub keepalive_interval: Duration,
    /// How long a ping may go unanswered.
    #[serde(with = "humantime_serde")]
    pub keepalive_timeout: Duration,
    /// How long health says NOT_SERVING before new calls are refused.
    #[serde(with = "humantime_serde")]
    pub drain_delay: Duration,
    /// How long calls in flight may take to finish after that.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 50052)),
            admin_hosts: Vec::new(),
            max_in_flight: 1024,
            max_in_flight_per_stream: 64,
            max_streams_per_connection: 1024,
            max_deadline: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            stream_idle_timeout: Duration::from_secs(300),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            drain_delay: Duration::from_millis(500),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// What the server serves.
pub struct ServerParts {
    /// The pipeline.
    pub engine: Arc<Engine>,
    /// What a request may hold.
    pub limits: Limits,
    /// What the runtime says of itself.
    pub onnxruntime_build: String,
    /// The lives of all versions.
    pub lives: Arc<Lives>,
    /// The model repository.
    pub place: Place,
    /// What was taken in of it, and the way to have it looked at.
    pub looks: Arc<Looks>,
    /// The labels of the configuration.
    pub labels: Labels,
    /// Who is told of requests.
    pub observer: Arc<Observer>,
    /// What changes of it while the server serves.
    pub controls: Arc<Controls>,
    /// Who reads what is counted.
    pub gatherer: Arc<Gatherer>,
}

/// The bound sockets.
#[derive(Debug)]
pub struct Listeners {
    grpc: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    /// Binds both sockets.
    ///
    /// # Errors
    /// The address and the cause.
    pub async fn bind(options: &ServerOptions) -> Result<Self, String> {
        let bind_one = |name, address| async move {
            bind(address).await.map_err(|cause| {
                format!("{name} = {address} cannot be bound: {cause}. Stop what listens there, or choose another port")
            })
        };
        Ok(Self {
            grpc: bind_one("server.listen", options.listen).await?,
            admin: bind_one("server.admin_listen", options.admin_listen).await?,
        })
    }

    /// Where gRPC is served.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Where probes are answered.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }
}

/// The server.
pub struct Server {
    parts: ServerParts,
    options: ServerOptions,
    draining: CancellationToken,
}

impl Server {
    /// Makes a server.
    pub fn new(parts: ServerParts, options: ServerOptions) -> Self {
        Self { parts, options, draining: CancellationToken::new() }
    }

    /// Serves until `stop` is cancelled, then drains: health says NOT_SERVING, after `drain_delay` no new call is
    /// taken, and calls in flight have `drain_timeout` to finish.
    ///
    /// # Errors
    /// The cause, when a service cannot be set up or a socket fails.
    pub async fn run(self, listeners: Listeners, stop: CancellationToken) -> Result<(), String> {
        let mut health = Health::serving().await;
        health.tell(self.models()).await;
        let rank = self.rank_api();
        let router = self.router(&health, rank.clone())?;
        let closing = CancellationToken::new();
        let incoming = accept(listeners.grpc, self.options.handshake_timeout);
        let grpc = router.serve_with_incoming_shutdown(incoming, closing.clone().cancelled_owned());
        if !self.options.admin_listen.ip().is_loopback() {
            let address = self.options.admin_listen;
            tracing::warn!(
                %address,
                "server.admin_listen is not on loopback: whoever reaches it can change what serves; there are no roles yet"
            );
        }
        let admin = self.admin_router(&health, rank)?;
        let incoming = accept(listeners.admin, self.options.handshake_timeout);
        let admin = admin.serve_with_incoming_shutdown(incoming, closing.clone().cancelled_owned());
        let admin = tokio::spawn(admin);
        let drain = async {
            self.follow_models(&mut health, &stop).await;
            tracing::info!("draining");
            self.draining.cancel();
            health.draining().await;
            tokio::time::sleep(self.options.drain_delay).await;
            health.dismiss_watchers().await;
            closing.cancel();
            tokio::time::sleep(self.options.drain_timeout).await;
        };
        tokio::select! {
            served = grpc => served.map_err(|e| e.to_string())?,
            () = drain => tracing::warn!("calls were still in flight when drain_timeout had passed"),
        }
        admin.abort();
        Ok(())
    }

    /// Keeps each model's health up to date until `stop`.
    async fn follow_models(&self, health: &mut Health, stop: &CancellationToken) {
        let mut news = self.parts.lives.news();
        loop {
            health.tell(self.models()).await;
            tokio::select! {
                heard = news.changed() => if heard.is_err() {
                    return stop.cancelled().await;
                },
                () = stop.cancelled() => return,
            }
        }
    }

    /// Whether a version of each model answers.
    fn models(&self) -> BTreeMap<String, bool> {
        let known = self.parts.lives.all();
        let mut all: BTreeMap<String, bool> =
            known.keys().map(|id| (id.name.to_string(), false)).collect();
        let published = self.parts.engine.registry().all();
        all.extend(published.iter().map(|(id, _)| (id.name.to_string(), true)));
        all
    }

    /// What ranks, by gRPC and on the operations page.
    fn rank_api(&self) -> RankApi {
        let options = &self.options;
        let flow_options = FlowOptions {
            max_in_flight: options.max_in_flight,
            max_in_flight_per_stream: options.max_in_flight_per_stream,
            max_deadline: options.max_deadline,
            stream_idle_timeout: options.stream_idle_timeout,
        };
        let flow = Flow::new(flow_options, self.draining.clone());
        self.parts.gatherer.add(metrics::places(flow.clone()));
        RankApi {
            engine: Arc::clone(&self.parts.engine),
            limits: self.parts.limits.clone(),
            flow,
            observer: Arc::clone(&self.parts.observer),
        }
    }

    fn router(
        &self,
        health: &Health,
        rank: RankApi,
    ) -> Result<Router<Stack<CallLayer, Identity>>, String> {
        let RankApi { engine, limits, flow, observer } = rank.clone();
        let info = InfoApi {
            engine: Arc::clone(&engine),
            limits: limits.clone(),
            flow: flow.options.clone(),
            onnxruntime_build: self.parts.onnxruntime_build.clone(),
            lives: Arc::clone(&self.parts.lives),
            repository: self.parts.place.describe(),
        };
        let largest = limits.max_message_bytes;
        let repository = Repository::At(self.options.admin_listen.to_string());
        let lives = Arc::clone(&self.parts.lives);
        let inference = inference_server(&rank, (lives, repository));
        let users = UserApi { engine, limits, flow, observer };
        Ok(self
            .builder()
            .add_service(RankServiceServer::new(rank).max_decoding_message_size(largest))
            .add_service(UserServiceServer::new(users).max_decoding_message_size(largest))
            .add_service(InfoServiceServer::new(info).max_decoding_message_size(largest))
            .add_service(inference)
            .add_service(self.health_server(health))
            .add_service(reflection(&PUBLIC).build_v1().map_err(|e| e.to_string())?)
            .add_service(reflection(&PUBLIC).build_v1alpha().map_err(|e| e.to_string())?))
    }

    /// The admin listener's services: probes and the operations page by HTTP/1, and gRPC.
    fn admin_router(
        &self,
        health: &Health,
        rank: RankApi,
    ) -> Result<Router<Stack<CallLayer, Identity>>, String> {
        let parts = &self.parts;
        let models = ModelApi::new(ModelParts {
            engine: Arc::clone(&parts.engine),
            lives: Arc::clone(&parts.lives),
            place: parts.place.clone(),
            looks: Arc::clone(&parts.looks),
            labels: parts.labels.clone(),
            limits: parts.limits.clone(),
            draining: self.draining.clone(),
        });
        let reporting = Reporting {
            engine: Arc::clone(&parts.engine),
            lives: Arc::clone(&parts.lives),
            observer: Arc::clone(&parts.observer),
            flow: rank.flow.clone(),
            draining: self.draining.clone(),
            repository: parts.place.describe().into(),
            onnxruntime_build: parts.onnxruntime_build.as_str().into(),
            listen: self.options.listen.to_string().into(),
        };
        let repository = Repository::Here(models.clone());
        let inference = inference_server(&rank, (Arc::clone(&parts.lives), repository));
        let pages = admin::pages(reporting, rank, self.options.admin_hosts.clone());
        let pages = pages.merge(metrics::scrapes(Arc::clone(&parts.gatherer)));
        let models = ModelServiceServer::new(models).max_decoding_message_size(LARGEST_COMMAND);
        let telemetry = TelemetryApi { controls: Arc::clone(&parts.controls) };
        let telemetry = TelemetryServiceServer::new(telemetry);
        let routes = Routes::from(pages)
            .add_service(models)
            .add_service(telemetry.max_decoding_message_size(LARGEST_COMMAND))
            .add_service(inference)
            .add_service(self.health_server(health))
            .add_service(reflection(&ADMIN).build_v1().map_err(|e| e.to_string())?)
            .add_service(reflection(&ADMIN).build_v1alpha().map_err(|e| e.to_string())?);
        Ok(self.builder().accept_http1(true).add_routes(routes))
    }

    fn health_server(&self, health: &Health) -> HealthServer<HealthApi> {
        HealthServer::new(health.service(self.draining.clone()))
    }

    /// How connections are kept, and calls ended that outlast their deadline.
    fn builder(&self) -> GrpcServer<Stack<CallLayer, Identity>> {
        let options = &self.options;
        let limits = self.parts.limits.clone();
        let observer = Arc::clone(&self.parts.observer);
        GrpcServer::builder()
            .max_concurrent_streams(options.max_streams_per_connection)
            .http2_keepalive_interval(Some(options.keepalive_interval))
            .http2_keepalive_timeout(Some(options.keepalive_timeout))
            .http2_max_header_list_size(32 << 10)
            .layer(CallLayer { longest: options.max_deadline, limits, observer })
    }
}

/// What answers who asks by tensors, and about the repository.
fn inference_server(
    rank: &RankApi,
    (lives, repository): (Arc<Lives>, Repository),
) -> GrpcInferenceServiceServer<InferenceApi> {
    let RankApi { engine, limits, flow, observer } = rank.clone();
    let largest = limits.max_message_bytes;
    let api = InferenceApi { engine, limits, flow, observer, lives, repository };
    GrpcInferenceServiceServer::new(api).max_decoding_message_size(largest)
}

/// The services that reflection lists on the listener for everybody.
const PUBLIC: [&str; 4] = [
    "podium.v1.RankService",
    "podium.v1.UserService",
    "podium.v1.InfoService",
    "inference.GRPCInferenceService",
];

/// The services that reflection lists on the admin listener.
const ADMIN: [&str; 3] =
    ["podium.v1.ModelService", "podium.v1.TelemetryService", "inference.GRPCInferenceService"];

fn reflection(services: &[&'static str]) -> tonic_reflection::server::Builder<'static> {
    let known = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let everywhere = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    let listed = services.iter().chain(&everywhere);
    listed.fold(known, |builder, name| builder.with_service_name(*name))
}
