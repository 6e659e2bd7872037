//! The configuration as each floor takes it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use crate::{
    batching::{BatchOptions, Turns},
    config::sections::{Config, ModelsSection},
    ranking::EngineOptions,
    repository::{BatchingSpec, PlaceOptions},
    runtime::{DeviceChoice, GraphCacheOptions, LIBRARY_VERSION, RuntimeOptions},
    serving::LoadOptions,
    telemetry::SpanQueue,
};

impl Config {
    /// The runtime's options; finds the library where none is named.
    pub fn runtime_options(&self) -> RuntimeOptions {
        RuntimeOptions {
            library: find_library(&self.runtime.library),
            device: self.runtime.device,
            cuda: self.runtime.cuda.clone(),
            intra_op_threads: self.runtime.intra_op_threads,
            intra_op_spinning: self.runtime.intra_op_spinning,
            packed_inputs: self.runtime.packed_inputs,
            graph_cache: match self.models.graph_cache_bytes {
                0 => None,
                most_bytes => {
                    let folder = self.cache_dir().join("graphs");
                    Some(GraphCacheOptions { folder, most_bytes })
                }
            },
        }
    }

    /// How versions are loaded on so many GPUs, or on the CPU where there are none.
    pub fn load_options(&self, gpus: usize) -> LoadOptions {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let side_by_side = (cores / self.runtime.intra_op_threads).max(1);
        LoadOptions {
            instances: match (self.batching.instances, gpus) {
                (0, 0) => side_by_side,
                (0, gpus) => gpus,
                (count, _) => count,
            },
            batching: self.batching.clone(),
            models: self.models.batching.clone(),
            turns: match gpus {
                0 => vec![Turns::new(side_by_side)],
                gpus => (0..gpus).map(|_| Turns::new(1)).collect(),
            },
            spans: SpanQueue::default(),
        }
    }

    /// Where what can be had again is kept between starts.
    pub fn cache_dir(&self) -> PathBuf {
        if !self.models.cache_dir.as_os_str().is_empty() {
            return self.models.cache_dir.clone();
        }
        let set = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        caches.unwrap_or_else(env::temp_dir).join("podium")
    }

    /// Where the model repository is, and how it is reached.
    pub fn place_options(&self) -> PlaceOptions {
        let models = &self.models;
        PlaceOptions {
            address: models.dir.clone(),
            store: models.store.clone(),
            environment: env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .filter(|(name, _)| is_of_a_store(name))
                .collect(),
            cache_dir: self.cache_dir(),
            cache_bytes: models.cache_bytes,
        }
    }

    /// The configuration of a process that tries one version at a time on such a device, and knows no user and no secret.
    pub fn for_trials(&self, on_gpu: bool) -> Self {
        let mut runtime = self.runtime.clone();
        runtime.library = self.runtime_options().library.display().to_string();
        if !on_gpu {
            runtime.device = DeviceChoice::Cpu;
        }
        let one = |mut spec: BatchingSpec| {
            spec.instances = None;
            spec
        };
        let batching = self.models.batching.clone().into_iter();
        Self {
            limits: self.limits.clone(),
            models: ModelsSection {
                batching: batching.map(|(model, spec)| (model, one(spec))).collect(),
                catalogues: self.models.catalogues.clone(),
                cache_dir: self.cache_dir(),
                graph_cache_bytes: self.models.graph_cache_bytes,
                ..ModelsSection::default()
            },
            batching: BatchOptions { instances: 1, ..self.batching.clone() },
            runtime,
            ..Self::default()
        }
    }

    /// How requests are ranked, with the model that answers where none is named.
    pub fn engine_options(&self, default_model: String) -> EngineOptions {
        EngineOptions {
            default_model,
            encode_timeout: self.ranking.encode_timeout,
            when_stale: self.users.when_stale,
            stale_up_to: self.users.stale_up_to,
        }
    }
}

/// Whether a variable is one of those by which object stores are configured everywhere.
fn is_of_a_store(name: &str) -> bool {
    let families = ["AWS_", "GOOGLE_", "AZURE_"];
    let others = ["SERVICE_ACCOUNT", "MSI_ENDPOINT", "IDENTITY_ENDPOINT"];
    families.iter().any(|family| name.starts_with(family)) || others.contains(&name)
}

/// What a process of this same program is told of the environment: where libraries are, not what is secret.
const TOLD: [&str; 7] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "RUST_BACKTRACE",
];

/// A command that runs this same program.
pub fn own_program() -> Command {
    // By this name it is found even where its file has been replaced by a newer build's since it was started.
    let running = Path::new("/proc/self/exe");
    let program = match running.exists() {
        true => running.to_owned(),
        false => env::current_exe().unwrap_or_else(|_| "podium".into()),
    };
    let mut command = Command::new(program);
    let told = TOLD.iter().filter_map(|name| Some((name, env::var_os(name)?)));
    command.env_clear().envs(told);
    command
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
