//! The configuration: defaults, then a file, then the environment, then flags; checked once, all faults at once.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Map, Tag, Value},
};
use serde::{Deserialize, Serialize};

use crate::{
    batching::QueueOptions,
    ids::ModelName,
    ranking::EngineOptions,
    runtime::{CudaOptions, DeviceChoice, LIBRARY_VERSION, RuntimeOptions},
    serving::LoadOptions,
    telemetry::{LogOptions, is_log_level},
    transport::{Limits, ServerOptions},
    users::UsersOptions,
};

/// The file that is read where none is named and it is there.
pub const DEFAULT_FILE: &str = "podium.toml";

/// Variables that begin like configuration and are none.
const OTHER_VARIABLES: [&str; 3] = ["config", "target", "bin"];

/// The free-form key: names below it are the user's own.
const LABELS: &str = "models.labels";

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
    pub batching: BatchingSection,
    /// How graphs are run.
    pub runtime: RuntimeSection,
    /// The log.
    pub log: LogOptions,
}

/// Which models are served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsSection {
    /// The model repository.
    pub dir: PathBuf,
    /// The model that answers a request that names none; where it is not loaded, the first ranker by name.
    pub default: String,
    /// Labels by model: which version each names.
    pub labels: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Default for ModelsSection {
    fn default() -> Self {
        Self { dir: "models".into(), default: "grocery-ranker".to_owned(), labels: BTreeMap::new() }
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

/// Queues and instances.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchingSection {
    /// Sessions of each model; 0 means one a core on the CPU, and one on a GPU.
    pub instances: usize,
    /// Requests that may wait for a model.
    pub max_queue_size: usize,
}

impl Default for BatchingSection {
    fn default() -> Self {
        Self { instances: 0, max_queue_size: QueueOptions::default().max_queue_size }
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
            cuda: CudaOptions::default(),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key.
    pub key: String,
    /// What is wrong and what to do.
    pub wrong: String,
}

/// A configuration that cannot be used, in all the ways listed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the configuration has {n} fault(s):{list}", n = .0.len(), list = listed(.0))]
pub struct ConfigError(pub Vec<ConfigFault>);

fn listed(faults: &[ConfigFault]) -> String {
    faults.iter().map(|fault| format!("\n  - {}: {}", fault.key, fault.wrong)).collect()
}

/// One key with its value and where that came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, dotted.
    pub key: String,
    /// The value as TOML.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// A value given by a flag: the key, the value, the flag's name.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The key, dotted.
    pub key: &'static str,
    /// The value.
    pub value: String,
    /// The flag as typed, such as `--listen`.
    pub name: &'static str,
}

impl Provider for Flag {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("flag {}", self.name))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let nested = figment::util::nest(self.key, Value::from(self.value.clone()));
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

/// Reads the configuration with the flags given.
///
/// # Errors
/// [`ConfigError`] with every fault.
pub fn load(file: Option<&Path>, flags: &[Flag]) -> Result<(Config, Vec<Setting>), ConfigError> {
    let figment = gather(file, flags)?;
    let mut faults = unknown_keys(&figment)?;
    faults.extend(wrong_values(&figment));
    if !faults.is_empty() {
        return Err(ConfigError(faults));
    }
    let config: Config = figment.extract().map_err(|e| ConfigError(vec![fault_of(&e)]))?;
    let faults = config.check();
    match faults.is_empty() {
        true => Ok((config, settings(&figment)?)),
        false => Err(ConfigError(faults)),
    }
}

fn gather(file: Option<&Path>, flags: &[Flag]) -> Result<Figment, ConfigError> {
    let named =
        file.map(Path::to_owned).or_else(|| env::var_os("PODIUM_CONFIG").map(PathBuf::from));
    if let Some(missing) = named.as_deref().filter(|path| !path.is_file()) {
        let wrong = format!("{} is not a file; name one that is", missing.display());
        return Err(ConfigError(vec![ConfigFault { key: "--config".to_owned(), wrong }]));
    }
    let path = named.or_else(|| Some(DEFAULT_FILE.into()).filter(|path: &PathBuf| path.is_file()));
    let variables = Env::prefixed("PODIUM_").ignore(&OTHER_VARIABLES).split("__");
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let figment = match path {
        Some(path) => defaults.merge(Toml::file_exact(path)),
        None => defaults,
    };
    let figment = figment.merge(variables);
    Ok(flags.iter().cloned().fold(figment, Figment::merge))
}

/// The leaves of a dict with their dotted keys; everything below [`LABELS`] is one leaf.
fn leaves(prefix: &str, dict: &Dict, all: &mut BTreeMap<String, Value>) {
    for (name, value) in dict {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) if key != LABELS => leaves(&key, inner, all),
            _ => {
                all.insert(key, value.clone());
            }
        }
    }
}

fn values_of(figment: &Figment) -> Result<BTreeMap<String, Value>, ConfigError> {
    let data: Dict = figment.extract().map_err(|e| ConfigError(vec![fault_of(&e)]))?;
    let mut all = BTreeMap::new();
    leaves("", &data, &mut all);
    Ok(all)
}

fn unknown_keys(figment: &Figment) -> Result<Vec<ConfigFault>, ConfigError> {
    let known = values_of(&Figment::from(Serialized::defaults(Config::default())))?;
    let given = values_of(figment)?;
    let unknown = given.iter().filter(|(key, _)| !known.contains_key(*key));
    Ok(unknown
        .map(|(key, value)| {
            let nearest = known.keys().max_by(|a, b| {
                strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key))
            });
            let nearest = nearest.map_or("", String::as_str);
            ConfigFault {
                key: key.clone(),
                wrong: format!(
                    "is unknown ({}); did you mean `{nearest}`?",
                    origin(figment, value.tag())
                ),
            }
        })
        .collect())
}

/// Tries each value alone on top of the defaults, so that every wrong one is told.
fn wrong_values(figment: &Figment) -> Vec<ConfigFault> {
    let Ok(given) = values_of(figment) else {
        return Vec::new();
    };
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let known = values_of(&defaults).unwrap_or_default();
    given
        .into_iter()
        .filter(|(key, _)| known.contains_key(key))
        .filter_map(|(key, value)| {
            let tag = value.tag();
            let tried = defaults.clone().merge(Serialized::default(&key, value));
            let error = tried.extract::<Config>().err()?;
            Some(ConfigFault { wrong: format!("{} ({})", error.kind, origin(figment, tag)), key })
        })
        .collect()
}

fn fault_of(error: &figment::Error) -> ConfigFault {
    ConfigFault { key: error.path.join("."), wrong: error.to_string() }
}

fn origin(figment: &Figment, tag: Tag) -> String {
    match figment.get_metadata(tag) {
        None => "default".to_owned(),
        Some(metadata) => match &metadata.source {
            Some(figment::Source::File(path)) => path.display().to_string(),
            Some(figment::Source::Code(_)) => "default".to_owned(),
            _ if metadata.name.starts_with("flag ") => metadata.name.to_string(),
            _ => "environment".to_owned(),
        },
    }
}

fn settings(figment: &Figment) -> Result<Vec<Setting>, ConfigError> {
    let of_leaf = |(key, value): (String, Value)| {
        let tag = match &value {
            Value::Dict(_, inner) => inner.values().next().map_or(Tag::Default, Value::tag),
            other => other.tag(),
        };
        let variable = format!("PODIUM_{}", key.replace('.', "__").to_uppercase());
        let origin = match origin(figment, tag) {
            environment if environment == "environment" => variable,
            other => other,
        };
        Setting { value: as_toml(&value), key, origin }
    };
    Ok(values_of(figment)?.into_iter().map(of_leaf).collect())
}

fn as_toml(value: &Value) -> String {
    match toml::Value::try_from(value) {
        Ok(toml::Value::Table(table)) if table.is_empty() => "{}".to_owned(),
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

impl Config {
    /// What types cannot say: ranges, and values that must fit each other.
    fn check(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        let mut need = |fits: bool, key: &str, wrong: &str| {
            if !fits {
                faults.push(ConfigFault { key: key.to_owned(), wrong: wrong.to_owned() });
            }
        };
        let (server, limits) = (&self.server, &self.limits);
        let counts = [
            ("server.max_in_flight", server.max_in_flight),
            ("server.max_in_flight_per_stream", server.max_in_flight_per_stream),
            ("limits.max_candidates", limits.max_candidates),
            ("limits.max_columns", limits.max_columns),
            ("limits.max_id_bytes", limits.max_id_bytes),
            ("limits.max_string_bytes", limits.max_string_bytes),
            ("limits.max_vector_dim", limits.max_vector_dim),
            ("limits.max_history", limits.max_history),
            ("limits.max_message_bytes", limits.max_message_bytes),
            ("batching.max_queue_size", self.batching.max_queue_size),
            ("users.max_embeddings", self.users.max_embeddings),
        ];
        for (key, count) in counts {
            need((1..=1 << 30).contains(&count), key, "must lie between 1 and 1073741824");
        }
        let spans = [
            ("server.max_deadline", server.max_deadline),
            ("server.handshake_timeout", server.handshake_timeout),
            ("server.stream_idle_timeout", server.stream_idle_timeout),
            ("server.keepalive_interval", server.keepalive_interval),
            ("server.keepalive_timeout", server.keepalive_timeout),
            ("ranking.encode_timeout", self.ranking.encode_timeout),
        ];
        let span = Duration::from_millis(2)..=Duration::from_secs(86_400);
        for (key, time) in spans {
            need(span.contains(&time), key, "must lie between 2ms and 1day");
        }
        for (key, time) in [
            ("server.drain_delay", server.drain_delay),
            ("server.drain_timeout", server.drain_timeout),
        ] {
            need(time <= *span.end(), key, "must be at most 1day");
        }
        need(
            server.max_streams_per_connection > 0,
            "server.max_streams_per_connection",
            "must be at least 1",
        );
        need(self.batching.instances <= 256, "batching.instances", "must be at most 256");
        let threads = self.runtime.intra_op_threads;
        need(
            (1..=1024).contains(&threads),
            "runtime.intra_op_threads",
            "must lie between 1 and 1024",
        );
        need(self.runtime.cuda.device_id >= 0, "runtime.cuda.device_id", "must be 0 or more");
        need(
            ModelName::parse(&self.models.default).is_some(),
            "models.default",
            "is no model's name: 1 to 64 of a-z 0-9 - _ .",
        );
        need(
            is_log_level(&self.log.level),
            "log.level",
            "is no level or filter, such as `info` or `info,podium=debug`",
        );
        faults
    }

    /// The runtime's options; finds the library where none is named.
    pub fn runtime_options(&self) -> RuntimeOptions {
        RuntimeOptions {
            library: find_library(&self.runtime.library),
            device: self.runtime.device,
            cuda: self.runtime.cuda.clone(),
            intra_op_threads: self.runtime.intra_op_threads,
            intra_op_spinning: self.runtime.intra_op_spinning,
        }
    }

    /// How versions are loaded; `on_gpu` tells where they run.
    pub fn load_options(&self, on_gpu: bool) -> LoadOptions {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        LoadOptions {
            instances: match self.batching.instances {
                0 if on_gpu => 1,
                0 => (cores / self.runtime.intra_op_threads).max(1),
                count => count,
            },
            queue: QueueOptions { max_queue_size: self.batching.max_queue_size },
        }
    }

    /// How requests are ranked, with the model that answers where none is named.
    pub fn engine_options(&self, default_model: String) -> EngineOptions {
        EngineOptions { default_model, encode_timeout: self.ranking.encode_timeout }
    }
}

/// The library that the configuration names, or the one that `scripts/fetch-onnxruntime` fetched.
fn find_library(named: &str) -> PathBuf {
    if !named.is_empty() {
        return named.into();
    }
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let fetched = Path::new(".onnxruntime").join(LIBRARY_VERSION).join("libonnxruntime.so");
    let program = env::current_exe().unwrap_or_default();
    let here = env::current_dir().unwrap_or_default();
    here.ancestors()
        .take(1)
        .chain(program.ancestors().skip(1))
        .map(|folder| folder.join(&fetched))
        .find(|path| path.is_file())
        .unwrap_or_else(|| here.join(fetched))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(toml: &str, want: &[(&str, &str)]) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("podium.toml");
        std::fs::write(&file, toml).unwrap();
        let faults = match load(Some(&file), &[]) {
            Ok(_) => Vec::new(),
            Err(ConfigError(faults)) => faults,
        };
        assert_eq!(faults.len(), want.len(), "{faults:?}");
        for (fault, (key, wrong)) in faults.iter().zip(want) {
            assert_eq!(fault.key, *key);
            assert!(fault.wrong.contains(wrong), "{fault:?}");
        }
    }

    #[test]
    fn defaults_are_valid() {
        check("", &[]);
    }

    #[test]
    fn an_unknown_key_gets_a_suggestion() {
        check(
            "[server]\nlissen = \"127.0.0.1:1\"",
            &[("server.lissen", "did you mean `server.listen`?")],
        );
        check("[modells]\ndir = \"x\"", &[("modells.dir", "did you mean `models.dir`?")]);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let toml =
            "[server]\nlisten = \"nowhere\"\nmax_deadline = \"soon\"\n[limits]\nmax_history = -1";
        check(
            toml,
            &[
                ("limits.max_history", "invalid"),
                ("server.listen", "invalid"),
                ("server.max_deadline", ""),
            ],
        );
        let toml = "[server]\nmax_in_flight = 0\n[log]\nlevel = \"podium=loud\"";
        check(toml, &[("server.max_in_flight", "between 1"), ("log.level", "no level")]);
    }

    #[test]
    fn labels_are_free_names() {
        check("[models.labels.grocery-ranker]\nstable = 1", &[]);
        check("[models.labels.grocery-ranker]\nstable = \"one\"", &[("models.labels", "invalid")]);
    }

    #[test]
    fn a_flag_wins_and_says_so() {
        let flag = Flag { key: "server.listen", value: "127.0.0.1:7".to_owned(), name: "--listen" };
        let (config, settings) = load(None, &[flag]).unwrap();
        assert_eq!(config.server.listen.port(), 7);
        let setting = settings.iter().find(|s| s.key == "server.listen").unwrap();
        assert_eq!(setting.origin, "flag --listen");
        let other = settings.iter().find(|s| s.key == "server.max_in_flight").unwrap();
        assert_eq!(other.origin, "default");
    }
}
