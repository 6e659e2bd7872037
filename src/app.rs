//! The composition root: what is started, in which order, and how it ends.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    ids::ModelId,
    ranking::{Encoder, Engine, EngineParts, Model, RankRequest, Ranker},
    repository::{Bundle, Fault, Role, scan},
    runtime::Runtime,
    serving::{LoadOptions, ModelHandle, Registry, Selector, ServingError},
    transport::{Limits, Listeners, Server, ServerParts, from_json, rank_request},
    users::{MemoryStore, RedisStore, Shipped, UserStore, UsersOptions, load_histories},
};

/// A start that failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The runtime or the repository.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// Nothing to serve.
    #[error(
        "no ranker could be loaded from {dir}:{failures}\nPut a bundle into <dir>/<name>/<version>/ (docs/bundle.md), \
         or name another directory with `--models DIR`"
    )]
    NothingToServe {
        /// The model repository.
        dir: String,
        /// Why each bundle was refused.
        failures: String,
    },
    /// A catalogue of the configuration that no model takes.
    #[error("models.catalogues.{model}: {wrong}")]
    Catalogue {
        /// The model's name under the key.
        model: String,
        /// What is wrong and what to do.
        wrong: String,
    },
    /// A user store that cannot be.
    #[error("{0}")]
    Users(String),
    /// A socket, or a service.
    #[error("{0}")]
    Transport(String),
}

/// Everything that is loaded, ready to serve.
pub struct App {
    engine: Arc<Engine>,
    runtime: Runtime,
    shipped: Arc<Shipped>,
    users: Arc<dyn UserStore>,
    /// Arguments of `podium rank` that the default model answers.
    example: String,
    failed: Vec<(ModelId, ServingError)>,
    config: Config,
}

impl App {
    /// Loads ONNX Runtime and every bundle of the repository, at the cost of reading and optimising all of them.
    ///
    /// A bundle that is at fault is logged and left out.
    ///
    /// # Errors
    /// [`StartError`] when the runtime cannot be used or no ranker could be loaded.
    pub async fn load(config: Config) -> Result<Self, StartError> {
        let runtime = Runtime::load(config.runtime_options()).map_err(ServingError::from)?;
        let registry = Arc::new(Registry::new(config.models.labels.clone()));
        let shipped = Arc::new(Shipped::default());
        let users = user_store(config.users.clone(), &shipped).await?;
        let loader = Loader {
            options: config.load_options(runtime.device().gpus()),
            runtime: &runtime,
            registry: &registry,
            shipped: &shipped,
            users: users.as_ref(),
            limits: &config.limits,
        };
        let failed = loader.load_all(&config).await?;
        let default_model = default_model(&registry, &config).ok_or_else(|| {
            let failures = failed.iter().map(|(_, error)| format!("\n{error}"));
            StartError::NothingToServe {
                dir: config.models.dir.display().to_string(),
                failures: failures.collect(),
            }
        })?;
        let example = example_arguments(&registry, &shipped, &default_model);
        let parts = EngineParts {
            registry,
            options: config.engine_options(default_model),
            users: Arc::clone(&users),
        };
        Ok(Self {
            engine: Arc::new(Engine::new(parts)),
            shipped,
            users,
            example,
            runtime,
            failed,
            config,
        })
    }

    /// What ranks requests.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What runs graphs.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Serves until `stop` is cancelled and the drain is over; `started` is told where, once the sockets are bound.
    ///
    /// # Errors
    /// [`StartError::Transport`].
    pub async fn serve(
        self,
        stop: CancellationToken,
        started: impl FnOnce(String),
    ) -> Result<(), StartError> {
        let listeners =
            Listeners::bind(&self.config.server).await.map_err(StartError::Transport)?;
        started(self.banner(&listeners));
        let parts = ServerParts {
            engine: self.engine,
            limits: self.config.limits,
            onnxruntime_build: self.runtime.build_info().to_owned(),
            failed_models: self.failed.iter().map(|(id, _)| id.name.to_string()).collect(),
        };
        let server = Server::new(parts, self.config.server);
        server.run(listeners, stop).await.map_err(StartError::Transport)
    }

    /// What is served, where, on which device, and what to type next.
    fn banner(&self, listeners: &Listeners) -> String {
        let mut text = String::new();
        let address = |bound: std::io::Result<std::net::SocketAddr>| {
            bound.map_or_else(|e| e.to_string(), |address| address.to_string())
        };
        let grpc = address(listeners.address());
        let _ = writeln!(text, "Podium {} is serving", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(text, "  gRPC    http://{grpc}  (reflection and health are on)");
        let _ = writeln!(
            text,
            "  admin   http://{}  (/livez /readyz /statusz)",
            address(listeners.admin_address())
        );
        let _ = writeln!(text, "  device  {}", self.device());
        for (id, model) in self.engine.registry().all() {
            let answers = id.name.as_str() == self.engine.default_model();
            let default =
                if answers && model.role() == Role::Ranker { ", the default" } else { "" };
            let kind = match model.role() {
                Role::Ranker => "ranker",
                Role::UserEncoder => "user encoder",
            };
            let _ = writeln!(text, "  model   {id}  ({kind}{default})");
        }
        for (id, error) in &self.failed {
            let _ = writeln!(text, "  FAILED  {id}: {error}");
        }
        let _ = writeln!(text, "  users   {}", self.users.describe());
        let _ = writeln!(text, "          {} histories come with the models", self.shipped.len());
        let target = match grpc.as_str() {
            "127.0.0.1:50051" => String::new(),
            other => format!(" --target http://{other}"),
        };
        let _ = writeln!(text, "Try it in another terminal:");
        let _ = writeln!(text, "  target/release/podium rank {}{target}", self.example);
        text.push_str("Ctrl-C drains and stops.\n");
        text
    }

    fn device(&self) -> String {
        let device = self.runtime.device();
        if device.is_gpu() {
            return device.to_string();
        }
        let instances = self.config.load_options(0).instances;
        let threads = self.runtime.intra_op_threads();
        format!("{device}, {instances} instance(s) a model, {threads} thread(s) each")
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

fn default_model(registry: &Registry<Model>, config: &Config) -> Option<String> {
    let models = registry.all();
    let mut rankers = models
        .iter()
        .filter(|(_, model)| model.role() == Role::Ranker)
        .map(|(id, _)| id.name.as_str())
        .peekable();
    let first = rankers.peek().copied();
    let wanted = config.models.default.as_str();
    let chosen = rankers.find(|name| *name == wanted).or(first)?;
    if chosen != wanted {
        tracing::info!(
            wanted,
            default = chosen,
            "models.default is not loaded: another ranker answers"
        );
    }
    Some(chosen.to_owned())
}

/// The user that the documentation takes for an example.
const EXAMPLE_USER: &str = "1228";

fn example_arguments(registry: &Registry<Model>, shipped: &Shipped, model: &str) -> String {
    let Ok(model) = registry.resolve(model, &Selector::Latest) else {
        return String::new();
    };
    let Model::Ranker(ranker) = model.as_ref() else {
        return String::new();
    };
    let user = shipped.example_user(&ranker.history_owner().name, EXAMPLE_USER);
    let user = user.map_or_else(String::new, |user| format!("--user {user} "));
    match ranker.example() {
        Some(_) => format!("{user}--top 10"),
        None => format!("{user}--candidates FILE.csv"),
    }
}

struct Loader<'a> {
    runtime: &'a Runtime,
    registry: &'a Registry<Model>,
    shipped: &'a Shipped,
    users: &'a dyn UserStore,
    options: LoadOptions,
    limits: &'a Limits,
}

impl Loader<'_> {
    /// Loads encoders, then the rankers that need them; returns those that failed.
    async fn load_all(&self, config: &Config) -> Result<Vec<(ModelId, ServingError)>, StartError> {
        let mut failed = Vec::new();
        let mut bundles = Vec::new();
        for found in scan(&config.models.dir).map_err(ServingError::from)? {
            match Bundle::open(&found.path) {
                Ok(bundle) => bundles.push(bundle),
                Err(error) => failed.push((found.id, error.into())),
            }
        }
        name_catalogues(&config.models.catalogues, &mut bundles, &failed)?;
        let encodes = |bundle: &Bundle| bundle.manifest.role == Role::UserEncoder;
        let (encoders, rankers): (Vec<_>, Vec<_>) = bundles.into_iter().partition(encodes);
        let mut loaded: BTreeMap<ModelId, Arc<Encoder>> = BTreeMap::new();
        for bundle in encoders {
            match self.load_encoder(&bundle).await {
                Ok(encoder) => {
                    loaded.insert(bundle.id.clone(), encoder);
                }
                Err(error) => failed.push((bundle.id, error)),
            }
        }
        for bundle in rankers {
            if let Err(error) = self.load_ranker(&bundle, &loaded) {
                failed.push((bundle.id, error));
            }
        }
        for (id, error) in &failed {
            tracing::error!(model = %id, %error, "a bundle is left out");
        }
        Ok(failed)
    }

    fn load_handle(&self, bundle: &Bundle) -> Result<ModelHandle, ServingError> {
        let faulty = |fault| bundle.faulty(vec![fault]);
        let handle = ModelHandle::load(self.runtime, bundle, &self.options)?;
        let histories = load_histories(bundle).map_err(faulty)?;
        if !histories.is_empty() {
            self.shipped.replace(&bundle.id.name, histories);
        }
        Ok(handle)
    }

    async fn load_encoder(&self, bundle: &Bundle) -> Result<Arc<Encoder>, ServingError> {
        let handle = self.load_handle(bundle)?;
        let encoder = Arc::new(Encoder::compile(bundle, handle).await?);
        self.users.serve(encoder.id(), encoder.shape());
        let model = Model::Encoder(Arc::clone(&encoder));
        self.registry.publish(bundle.id.clone(), Arc::new(model));
        tracing::info!(model = %bundle.id, "loaded");
        Ok(encoder)
    }

    fn load_ranker(
        &self,
        bundle: &Bundle,
        encoders: &BTreeMap<ModelId, Arc<Encoder>>,
    ) -> Result<(), ServingError> {
        let encoder = match &bundle.manifest.encoder {
            None => None,
            Some(needed) => {
                let id = |id: &&ModelId| {
                    id.name.as_str() == needed.name && id.version.0 == needed.version
                };
                let found = encoders.keys().find(id).and_then(|id| encoders.get(id));
                let missing = || {
                    let wrong = format!("{}/{} is not loaded", needed.name, needed.version);
                    let fix = "put that version of the encoder into the repository";
                    bundle.faulty(vec![Fault::new("encoder", wrong, fix)])
                };
                Some(found.cloned().ok_or_else(missing)?)
            }
        };
        let handle = self.load_handle(bundle)?;
        let example = self.example(bundle)?;
        let ranker = Arc::new(Ranker::compile(bundle, handle, encoder, example)?);
        self.registry.publish(bundle.id.clone(), Arc::new(Model::Ranker(ranker)));
        tracing::info!(model = %bundle.id, "loaded");
        Ok(())
    }

    fn example(&self, bundle: &Bundle) -> Result<Option<RankRequest>, ServingError> {
        load_example(bundle, self.limits).map_err(|fault| bundle.faulty(vec![fault]).into())
    }
}

/// Gives the catalogues of the configuration to the versions that declare one.
fn name_catalogues(
    catalogues: &BTreeMap<String, PathBuf>,
    bundles: &mut [Bundle],
    failed: &[(ModelId, ServingError)],
) -> Result<(), StartError> {
    for (model, path) in catalogues {
        let mut known = failed.iter().any(|(id, _)| id.name.as_str() == model);
        let mut taken = known;
        for bundle in bundles.iter_mut().filter(|bundle| bundle.id.name.as_str() == model) {
            known = true;
            if bundle.manifest.catalogue.is_some() {
                bundle.use_catalogue(path);
                taken = true;
            }
        }
        let wrong = match (known, taken) {
            (false, _) => {
                "no such model is in the repository; name one that is, or take the key out"
            }
            (_, false) => {
                "the model's manifest declares no catalogue; add [catalogue] with its key and columns, or take the key out"
            }
            _ => continue,
        };
        return Err(StartError::Catalogue { model: model.clone(), wrong: wrong.to_owned() });
    }
    Ok(())
}

/// Reads the example request of a bundle; none where it ships none.
///
/// # Errors
/// A [`Fault`] that says what is wrong with it.
pub fn load_example(bundle: &Bundle, limits: &Limits) -> Result<Option<RankRequest>, Fault> {
    let Some(spec) = &bundle.manifest.example else {
        return Ok(None);
    };
    let fault = |wrong: String| {
        let fix = "write a podium.v1.RankRequest in proto3's JSON mapping";
        Fault::new(&spec.file, wrong, fix)
    };
    let json =
        std::fs::read_to_string(bundle.file(&spec.file)).map_err(|e| fault(e.to_string()))?;
    let message = from_json(&json).map_err(|e| fault(e.to_string()))?;
    rank_request(message, limits).map(Some).map_err(|e| fault(e.to_string()))
}
