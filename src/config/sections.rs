//! The sections and their defaults; one section a floor.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    batching::BatchOptions,
    repository::BatchingSpec,
    runtime::{CudaOptions, DeviceChoice, PackedInputs},
    telemetry::{LogOptions, TelemetryOptions},
    transport::{Limits, ServerOptions},
    users::UsersOptions,
};

/// The whole configuration; one section a floor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the server meets its callers.
    pub server: ServerOptions,
    /// What a request may hold.
    pub limits: Limits,
    /// Which models are served.
    pub models: ModelsSection,
    /// How requests are ranked.
    pub ranking: RankingSection,
    /// The user store.
    pub users: UsersOptions,
    /// Queues and instances.
    pub batching: BatchOptions,
    /// How graphs are run.
    pub runtime: RuntimeSection,
    /// The log.
    pub log: LogOptions,
    /// Traces, metrics, and who gets them.
    pub telemetry: TelemetryOptions,
}

/// Which models are served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsSection {
    /// The model repository: a directory, or the URL of a place in an object store.
    pub dir: String,
    /// Options of the object store, by the names that it has for them; they go before the environment's.
    #[serde(deserialize_with = "texts")]
    pub store: BTreeMap<String, String>,
    /// The model that answers a request that names none; where it is not loaded, the first ranker by name.
    pub default: String,
    /// Labels by model: which version each names.
    pub labels: BTreeMap<String, BTreeMap<String, u64>>,
    /// Settings of `[batching]` for single models, by name; they go before those of the model's manifest.
    pub batching: BTreeMap<String, BatchingSpec>,
    /// Catalogues that stand outside of the bundles: a CSV file by model, plain or `.gz`.
    pub catalogues: BTreeMap<String, PathBuf>,
    /// How often the repository is looked at while the server serves; 0: only at the start.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Recent requests that are kept of each model, in memory and without who asked, to warm up new versions and to hold them against; 0: none.
    pub replay_requests: usize,
    /// Users, those active last, whose embeddings are computed before a model moves to another encoder; 0: none.
    pub warm_users: usize,
    /// How long that may take.
    #[serde(with = "humantime_serde")]
    pub warm_users_timeout: Duration,
    /// Where what can be had again is kept between starts; empty: `podium` below `$XDG_CACHE_HOME` or `~/.cache`.
    pub cache_dir: PathBuf,
    /// How many bytes bundles that come from an object store may take there.
    pub cache_bytes: u64,
    /// Whether a version is tried in a process of its own before it is loaded.
    pub trial: bool,
    /// Memory that stays free when a version is loaded, in MiB.
    pub memory_reserve_mib: u64,
    /// Bytes of optimised graphs that are kept there; 0: none are.
    pub graph_cache_bytes: u64,
}

/// Values that may be written as numbers and truth values, too.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Bool(bool),
        Integer(i64),
        Text(String),
    }
    let scalars = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    let text = |(key, value)| match value {
        Scalar::Bool(value) => (key, value.to_string()),
        Scalar::Integer(value) => (key, value.to_string()),
        Scalar::Text(value) => (key, value),
    };
    Ok(scalars.into_iter().map(text).collect())
}

impl Default for ModelsSection {
    fn default() -> Self {
        Self {
            dir: "models".to_owned(),
            store: BTreeMap::new(),
            default: "grocery-ranker".to_owned(),
            labels: BTreeMap::new(),
            batching: BTreeMap::new(),
            catalogues: BTreeMap::new(),
            poll_interval: Duration::from_secs(2),
            replay_requests: 64,
            warm_users: 10_000,
            warm_users_timeout: Duration::from_secs(60),
            cache_dir: PathBuf::new(),
            cache_bytes: 10 << 30,
            trial: true,
            memory_reserve_mib: 256,
            graph_cache_bytes: 2 << 30,
        }
    }
}

/// How requests are ranked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankingSection {
    /// How long one run of a user encoder may take.
    #[serde(with = "humantime_serde")]
    pub encode_timeout: Duration,
}

impl Default for RankingSection {
    fn default() -> Self {
        Self { encode_timeout: Duration::from_secs(10) }
    }
}

/// How graphs are run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeSection {
    /// Where `libonnxruntime.so` is; empty: `ORT_DYLIB_PATH`, else `.onnxruntime/` here or above the program.
    pub library: String,
    /// Which device to use: auto, cpu, cuda.
    pub device: DeviceChoice,
    /// Threads within one run on the CPU.
    pub intra_op_threads: usize,
    /// Whether those threads spin while they wait.
    pub intra_op_spinning: bool,
    /// Whether a batch's inputs travel to the device in two blocks: auto (on a GPU), on, off.
    pub packed_inputs: PackedInputs,
    /// Options of the CUDA execution provider.
    pub cuda: CudaOptions,
}

impl Default for RuntimeSection {
    fn default() -> Self {
        Self {
            library: String::new(),
            device: DeviceChoice::Auto,
            intra_op_threads: 1,
            intra_op_spinning: false,
            packed_inputs: PackedInputs::Auto,
            cuda: CudaOptions::default(),
        }
    }
}
