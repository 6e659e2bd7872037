//! One running `podium serve` with the test bundles, and clients of it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use podium::transport::pb::{
    GetServerInfoRequest, GetServerInfoResponse, RankRequest, RankResponse, RunCounters,
    info_service_client::InfoServiceClient, rank_service_client::RankServiceClient,
    user_service_client::UserServiceClient,
};
use tempfile::TempDir;
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{fixture, patience::eventually, ports::free_port};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(60);
/// The deadline of a Rank, where a test says nothing else.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// A server process; killed on drop. A failing test prints its log.
pub struct Replica {
    pub port: u16,
    /// Where its probes and metrics are.
    admin: u16,
    child: Child,
    folder: TempDir,
    channel: Channel,
}

impl Replica {
    /// Starts a server that keeps users in the Redis of that URL, and waits until it serves.
    pub async fn start(redis: &str) -> Self {
        Self::with(redis, &[]).await
    }

    /// The same with settings of `[users.redis]`.
    pub async fn with(redis: &str, settings: &[(&str, &str)]) -> Self {
        let key = |name: &str| format!("USERS__REDIS__{}", name.to_uppercase());
        let named = settings.iter().map(|(name, value)| (key(name), (*value).to_owned()));
        let mut all = vec![(key("url"), redis.to_owned())];
        all.extend(named);
        Self::configured(&all).await
    }

    /// The same with settings of any section, by the names of their variables without `PODIUM_`.
    pub async fn configured(settings: &[(String, String)]) -> Self {
        Self::of_models(&fixture::bundle(""), settings).await
    }

    /// The same with the bundles of another directory.
    pub async fn of_models(models: &Path, settings: &[(String, String)]) -> Self {
        let (port, admin, folder) = (free_port(), free_port(), tempfile::tempdir().unwrap());
        let child = launch((port, admin), (models, folder.path()), settings);
        let address = format!("http://127.0.0.1:{port}");
        let endpoint = Endpoint::from_shared(address).unwrap().tcp_nodelay(true);
        let mut replica = Self { port, admin, child, folder, channel: endpoint.connect_lazy() };
        replica.wait_until_serving().await;
        replica
    }

    async fn wait_until_serving(&mut self) {
        let mut health = HealthClient::new(self.channel.clone());
        let log = self.folder.path().join("log");
        let child = &mut self.child;
        eventually("the server serves", START, async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", read(&log));
            }
            let answer = health.check(HealthCheckRequest::default()).await.ok()?;
            (answer.get_ref().status() == ServingStatus::Serving).then_some(())
        })
        .await;
    }

    /// A further connection.
    pub async fn connect(&self) -> Channel {
        let address = format!("http://127.0.0.1:{}", self.port);
        Endpoint::from_shared(address).unwrap().tcp_nodelay(true).connect().await.unwrap()
    }

    /// Ranks, with the deadline that the tests have.
    pub async fn rank(&self, request: RankRequest) -> Result<RankResponse, Status> {
        self.rank_within(DEADLINE, request).await
    }

    /// Ranks with a deadline.
    pub async fn rank_within(
        &self,
        deadline: Duration,
        request: RankRequest,
    ) -> Result<RankResponse, Status> {
        rank_over(self.channel.clone(), deadline, request).await
    }

    /// The service of users.
    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    /// What it says of itself.
    pub async fn info(&self) -> GetServerInfoResponse {
        let mut client = InfoServiceClient::new(self.channel.clone());
        client.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner()
    }

    /// What a model ran since it was loaded.
    pub async fn runs_of(&self, model: &str) -> RunCounters {
        let models = self.info().await.models;
        let found = models.into_iter().find(|loaded| loaded.name == model);
        found.and_then(|loaded| loaded.run_counters).unwrap_or_default()
    }

    /// How many users the tiny encoder encoded.
    pub async fn encoded(&self) -> u64 {
        self.runs_of("tiny-encoder").await.rows
    }

    /// A metric's lines on `/metrics`: labels and value.
    pub async fn metric(&self, name: &str) -> Vec<(String, f64)> {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let line = |line: &str| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            Some((labels.to_owned(), value.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }
}

/// Ranks over a connection, with a deadline.
pub async fn rank_over(
    channel: Channel,
    deadline: Duration,
    request: RankRequest,
) -> Result<RankResponse, Status> {
    let mut request = Request::new(request);
    request.set_timeout(deadline);
    RankServiceClient::new(channel).rank(request).await.map(|answer| answer.into_inner())
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("-- the log of the server on {}:\n{}--", self.port, self.log());
        }
    }
}

fn launch(
    (port, admin): (u16, u16),
    (models, folder): (&Path, &Path),
    settings: &[(String, String)],
) -> Child {
    let log = File::create(folder.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_podium"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PODIUM_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").current_dir(folder);
    command.envs(settings.iter().map(|(name, value)| (format!("PODIUM_{name}"), value)));
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        command.env("ORT_DYLIB_PATH", library());
    }
    command.arg("serve").arg("--models").arg(models);
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--admin-listen", &format!("127.0.0.1:{admin}")]);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".onnxruntime/libonnxruntime.so")
}

fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}
