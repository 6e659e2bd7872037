//! The composition root: what is started, in which order, and how it ends.

mod ahead;
mod banner;
mod bringing;
mod device_memory;
mod error;
mod example;
mod follower;
mod following;
mod guard;
mod journey;
mod loader;
mod memory;
mod metrics;
mod overrides;
mod rehearsal;
mod sighting;
mod trial;
mod warm_up_file;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

pub use error::StartError;
pub use example::load_example;
pub use trial::try_one;
pub use warm_up_file::load_warm_up;

use crate::{
    app::{
        ahead::EmbeddingsAhead, banner::Banner, device_memory::device_memory, follower::Follower,
        following::Following, guard::Guard, loader::Loader, overrides::Overrides,
        sighting::Sighting, trial::Trials,
    },
    config::Config,
    ids::ModelId,
    observing::{Controls, Gatherer, Observer, RequestLog},
    ranking::{Engine, EngineParts, RecentByModel},
    repository::{Place, Role},
    runtime::Runtime,
    serving::{Lives, LoadOptions, Registry, ServingError, State},
    telemetry::{Exporting, KeyedHash, Log},
    transport::{Listeners, Server, ServerParts},
    users::{MemoryStore, RedisStore, Shipped, UserStore, UsersOptions},
};

/// How long the end waits for the last lines of the request log.
const REQUEST_LOG_PATIENCE: Duration = Duration::from_secs(2);

/// Everything that is loaded, ready to serve.
pub struct App {
    engine: Arc<Engine>,
    runtime: Runtime,
    shipped: Arc<Shipped>,
    users: Arc<dyn UserStore>,
    lives: Arc<Lives>,
    follower: Follower,
    guard: Guard,
    exporting: Exporting,
    config: Config,
}

impl App {
    /// Loads ONNX Runtime and the bundles of the repository that shall serve, at the cost of reading and optimising all of them.
    ///
    /// A bundle that is at fault is logged and left out.
    ///
    /// # Errors
    /// [`StartError`] when the runtime, the repository or its `serving.toml` cannot be used, or no ranker could be loaded.
    pub async fn load(config: Config) -> Result<Self, StartError> {
        let exporting = Exporting::new(&config.telemetry)?;
        Self::load_with(config, exporting).await
    }

    /// The same, where a log tells of it, and a collector as well.
    ///
    /// # Errors
    /// Those of [`Self::load`].
    pub async fn load_watched(config: Config, log: &Log) -> Result<Self, StartError> {
        let exporting = Exporting::new(&config.telemetry)?;
        log.send_spans(exporting.queue());
        Self::load_with(config, exporting).await
    }

    async fn load_with(config: Config, exporting: Exporting) -> Result<Self, StartError> {
        let runtime = Runtime::load(config.runtime_options()).map_err(ServingError::from)?;
        let registry = Arc::new(Registry::default());
        let shipped = Arc::new(Shipped::default());
        let users = user_store(config.users.clone(), &shipped).await?;
        let lives = Arc::new(Lives::default());
        let loader = Loader {
            options: LoadOptions {
                spans: exporting.queue().clone(),
                ..config.load_options(runtime.device().gpus())
            },
            runtime: runtime.clone(),
            registry: Arc::clone(&registry),
            shipped: Arc::clone(&shipped),
            users: Arc::clone(&users),
            limits: config.limits.clone(),
            catalogues: config.models.catalogues.clone(),
            trials: Trials::new(&config, &runtime),
            memory_reserve_mib: config.models.memory_reserve_mib,
            recent: RecentByModel::new(config.models.replay_requests),
        };
        let warm = (config.models.warm_users, config.models.warm_users_timeout);
        let turns = loader.options.turns.clone();
        let ahead = EmbeddingsAhead::new(warm, turns, Arc::clone(&lives));
        let place = Place::open(&config.place_options()).map_err(ServingError::from)?;
        let labels = config.models.labels.clone();
        let overrides = Arc::new(Overrides::default());
        let guard = Guard {
            registry: Arc::clone(&registry),
            place: place.clone(),
            labels: labels.clone(),
            overrides: Arc::clone(&overrides),
            told: BTreeMap::new(),
            fault: None,
        };
        let mut follower =
            Follower::new(place, labels, (loader, ahead), (Arc::clone(&lives), overrides));
        follower.look_first().await.map_err(ServingError::from)?;
        check_catalogues(&config.models.catalogues, follower.seen())?;
        follower.settle().await;
        let parts = EngineParts {
            registry,
            options: config.engine_options(config.models.default.clone()),
            users: Arc::clone(&users),
        };
        let engine = Arc::new(Engine::new(parts));
        follower.serve_with(&engine);
        check_rankers(&engine, (&config, &lives))?;
        Ok(Self { engine, runtime, shipped, users, lives, follower, guard, exporting, config })
    }

    /// What ranks requests.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What runs graphs.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Serves, and follows the repository, until `stop` is cancelled and the drain is over; `started` is told where, once the sockets are bound.
    ///
    /// # Errors
    /// [`StartError::Transport`].
    pub async fn serve(
        self,
        stop: CancellationToken,
        log: Log,
        started: impl FnOnce(String),
    ) -> Result<(), StartError> {
        let listeners =
            Listeners::bind(&self.config.server).await.map_err(StartError::Transport)?;
        started(self.banner(&listeners));
        let telemetry = &self.config.telemetry;
        let mut observer = Observer::new(telemetry, self.exporting.queue().clone());
        let hash = KeyedHash::new(&self.config.log.user_hash_key);
        observer.request_log = RequestLog::start(&telemetry.request_log, hash)?;
        let observer = Arc::new(observer);
        let gatherer = self.gatherer(&observer);
        let parts = ServerParts {
            engine: self.engine,
            limits: self.config.limits,
            onnxruntime_build: self.runtime.build_info().to_owned(),
            lives: self.lives,
            place: self.follower.place().clone(),
            looks: self.follower.looks(),
            labels: self.config.models.labels,
            controls: Arc::new(Controls::new((log, self.config.log.level), Arc::clone(&observer))),
            observer: Arc::clone(&observer),
            gatherer: Arc::clone(&gatherer),
        };
        let exporter = self.exporting.start(metrics::to_send(gatherer))?;
        let interval = self.config.models.poll_interval;
        let following = Following::start(self.follower, interval).map_err(|cause| {
            StartError::Transport(format!("no thread for the repository: {cause}"))
        })?;
        self.guard.start(stop.clone()).map_err(|cause| {
            StartError::Transport(format!("no thread for guard rails: {cause}"))
        })?;
        let patience = self.config.server.drain_timeout;
        let served = Server::new(parts, self.config.server).run(listeners, stop).await;
        following.end(patience).await;
        if let Some(log) = &observer.request_log {
            log.end(REQUEST_LOG_PATIENCE);
        }
        exporter.end();
        served.map_err(StartError::Transport)
    }

    /// Who reads what is counted anywhere.
    fn gatherer(&self, observer: &Arc<Observer>) -> Arc<Gatherer> {
        let (engine, lives) = (Arc::clone(&self.engine), Arc::clone(&self.lives));
        let gatherer = Arc::new(Gatherer::new(engine, lives, Arc::clone(observer)));
        gatherer.add(metrics::spans(self.exporting.queue().clone()));
        gatherer.add(metrics::machine(&self.runtime, self.config.models.memory_reserve_mib));
        if self.runtime.device().is_gpu() {
            gatherer.add(device_memory());
        }
        gatherer
    }

    fn banner(&self, listeners: &Listeners) -> String {
        let repository = self.follower.place().describe();
        let banner = Banner {
            engine: &self.engine,
            runtime: &self.runtime,
            shipped: &self.shipped,
            users: self.users.as_ref(),
            lives: &self.lives,
            repository: &repository,
            instances: self.config.load_options(0).instances,
        };
        banner.text(listeners)
    }
}

/// The store that the options name: Redis, or this process.
async fn user_store(
    options: UsersOptions,
    shipped: &Arc<Shipped>,
) -> Result<Arc<dyn UserStore>, StartError> {
    let shipped = Arc::clone(shipped);
    Ok(match options.redis.url.as_str() {
        "" => Arc::new(MemoryStore::new(options, shipped)),
        _ => Arc::new(RedisStore::start(options, shipped).await.map_err(StartError::Users)?),
    })
}

/// Holds that there is something to serve, an encoder alone being nothing, and tells where another ranker than the wanted one answers.
fn check_rankers(engine: &Engine, (config, lives): (&Config, &Lives)) -> Result<(), StartError> {
    let (wanted, default) = (&config.models.default, engine.default_model());
    let published = engine.registry().all();
    if published.iter().all(|(_, model)| model.role() == Role::UserEncoder) {
        return Err(nothing_to_serve(config, lives));
    }
    if default != *wanted {
        tracing::info!(
            wanted,
            default,
            "models.default is not loaded: another ranker answers until it is"
        );
    }
    Ok(())
}

fn nothing_to_serve(config: &Config, lives: &Lives) -> StartError {
    let lives = lives.all();
    let not_here = lives.iter().filter(|(_, life)| life.state == State::Found);
    let not_here =
        not_here.filter_map(|(id, life)| Some(format!("\n{id}: {}", life.reason.as_ref()?)));
    let failed = lives.values().filter(|life| life.state == State::Failed);
    let failures = failed.filter_map(|life| life.reason.as_ref()).map(|why| format!("\n{why}"));
    StartError::NothingToServe {
        dir: config.models.dir.clone(),
        failures: failures.chain(not_here).collect(),
    }
}

/// Holds the catalogues of the configuration against the models: each must have one that declares a catalogue, as far as can be read.
fn check_catalogues(
    catalogues: &BTreeMap<String, PathBuf>,
    seen: &BTreeMap<ModelId, Sighting>,
) -> Result<(), StartError> {
    for model in catalogues.keys() {
        let own = || seen.iter().filter(|(id, _)| id.name.as_str() == model);
        let wrong = if own().next().is_none() {
            "no such model is in the repository; name one that is, or take the key out"
        } else if !own().any(|(_, sighting)| sighting.declares_catalogue != Some(false)) {
            "the model's manifest declares no catalogue; add [catalogue] with its key and columns, or take the key out"
        } else {
            continue;
        };
        return Err(StartError::Catalogue { model: model.clone(), wrong: wrong.to_owned() });
    }
    Ok(())
}
