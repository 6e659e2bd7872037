//! Defaults, then a file, then the environment, then flags; every fault is told at once.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Map, Tag, Value},
};

use crate::config::{
    fault::{ConfigError, ConfigFault},
    otel::otel_variables,
    secrets::{is_secret, without_secrets},
    sections::Config,
};

/// The file that is read where none is named and it is there.
const DEFAULT_FILE: &str = "podium.toml";

/// Variables that begin like configuration and are none.
const OTHER_VARIABLES: [&str; 4] = ["config", "target", "admin", "bin"];

/// The free-form keys: names below them are the user's own.
const FREE: [&str; 8] = [
    "models.labels",
    "models.catalogues",
    "models.batching",
    "models.store",
    "telemetry.otlp_headers",
    "telemetry.resource_attributes",
    "telemetry.traces.otlp",
    "telemetry.metrics.otlp",
];

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
    /// The user's own name below the key, where the key is free-form.
    pub entry: Option<String>,
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
        let value = Value::from(self.value.clone());
        let value = match &self.entry {
            Some(name) => Value::from(Dict::from([(name.clone(), value)])),
            None => value,
        };
        let nested = figment::util::nest(self.key, value);
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
    let set = env::vars_os();
    let set =
        set.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let otel = otel_variables(&set.collect()).map_err(ConfigError)?;
    let figment = otel.into_iter().fold(figment, Figment::merge).merge(variables);
    Ok(flags.iter().cloned().fold(figment, Figment::merge))
}

/// The leaves of a dict with their dotted keys; everything below one of [`FREE`] is one leaf.
fn leaves(prefix: &str, dict: &Dict, all: &mut BTreeMap<String, Value>) {
    for (name, value) in dict {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) if !FREE.contains(&key.as_str()) => leaves(&key, inner, all),
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
            let wrong = match is_secret(&key) {
                true => "must be text; put it in quotes".to_owned(),
                false => error.kind.to_string(),
            };
            Some(ConfigFault { wrong: format!("{wrong} ({})", origin(figment, tag)), key })
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
            _ if metadata.name.starts_with("variable ") => {
                metadata.name.trim_start_matches("variable ").to_owned()
            }
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
        let value = printable(&key, value);
        Setting { value: as_toml(&value), key, origin }
    };
    Ok(values_of(figment)?.into_iter().map(of_leaf).collect())
}

/// A value without what must not be printed.
fn printable(key: &str, value: Value) -> Value {
    match value {
        Value::String(tag, text) => Value::String(tag, without_secrets(key, &text)),
        Value::Dict(tag, dict) if is_secret(key) => {
            let hidden = |(name, value): (String, Value)| {
                let text = as_toml(&value);
                let text = text.trim_matches('"');
                let value = Value::from(without_secrets(&format!("{key}.{name}"), text));
                (name, value)
            };
            Value::Dict(tag, dict.into_iter().map(hidden).collect())
        }
        other => other,
    }
}

fn as_toml(value: &Value) -> String {
    match toml::Value::try_from(value) {
        Ok(toml::Value::Table(table)) if table.is_empty() => "{}".to_owned(),
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
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
        check(toml, &[("server.max_in_flight", "between 1"), ("log.level", "neither a level")]);
    }

    #[test]
    fn graphs_are_captured_on_one_gpu_with_packed_inputs() {
        check("[runtime]\npacked_inputs = \"on\"\n[runtime.cuda]\ngraphs = true", &[]);
        check("[runtime.cuda]\ndevice_ids = [2, 0]", &[]);
        let graphs = ("runtime.cuda.graphs", "one GPU");
        check("[runtime.cuda]\ndevice_ids = [0, 1]\ngraphs = true", &[graphs]);
        check("[runtime]\npacked_inputs = \"off\"\ncuda.graphs = true", &[graphs]);
        for ids in ["[1, 1]", "[-1]"] {
            let toml = format!("[runtime.cuda]\ndevice_ids = {ids}");
            check(&toml, &[("runtime.cuda.device_ids", "different")]);
        }
    }

    #[test]
    fn labels_are_free_names() {
        check("[models.labels.grocery-ranker]\nstable = 1", &[]);
        check("[models.labels.grocery-ranker]\nstable = \"one\"", &[("models.labels", "invalid")]);
    }

    #[test]
    fn a_catalogue_stands_under_its_models_name() {
        check("[models.catalogues]\nelectronics-search = \"products.csv.gz\"", &[]);
        check("[models.catalogues]\nshop = 3", &[("models.catalogues", "invalid")]);
        let toml = "[models.catalogues]\n\"Not A Model\" = \"x.csv\"\nshop = \"\"";
        check(
            toml,
            &[
                ("models.catalogues.Not A Model", "names no model"),
                ("models.catalogues.shop", "is empty"),
            ],
        );
        let flag = |value: &str| Flag {
            key: "models.catalogues",
            entry: Some("a.b".to_owned()),
            value: value.to_owned(),
            name: "--catalogue",
        };
        let (config, _) = load(None, &[flag("first.csv"), flag("second.csv")]).unwrap();
        assert_eq!(config.models.catalogues["a.b"], Path::new("second.csv"));
    }

    #[test]
    fn options_of_a_store_are_texts_and_hidden() {
        let table = "[models.store]\nregion = \"x\"\nallow_http = true\ntimeout = 30";
        check(table, &[]);
        let file = "[models.store]\naccess_key_id = [\"word\"]";
        check(file, &[("models.store", "must be text")]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("podium.toml");
        let secret = "[models]\ndir = \"s3://me:word@shop\"\nstore = { secret_access_key = \"word\", region = \"r\", allow_http = true, token = 7 }";
        std::fs::write(&file, secret).unwrap();
        let (config, settings) = load(Some(&file), &[]).unwrap();
        assert_eq!(config.models.store["allow_http"], "true");
        let shown = |key: &str| settings.iter().find(|s| s.key == key).unwrap().value.clone();
        let store = shown("models.store");
        assert!(!store.contains("word") && !store.contains('7'), "{store}");
        assert!(store.contains("region = \"r\"") && store.contains("allow_http = \"true\""));
        assert_eq!(shown("models.dir"), "\"s3://me:***@shop\"");
    }

    #[test]
    fn a_models_own_batching_stands_under_its_name() {
        check("[models.batching.grocery-ranker]\nmax_queue_delay = \"1ms\"\ninstances = 1", &[]);
        let toml = "[models.batching.shop]\nmax_batch_rows = 0\ndefault_priority = 0";
        check(
            toml,
            &[
                ("models.batching.shop.max_batch_rows", "between 1"),
                ("models.batching.shop.default_priority", "between 1 and 8"),
            ],
        );
        check("[models.batching.shop]\nmax_rows = 1", &[("models.batching", "unknown")]);
    }

    #[test]
    fn a_flag_wins_and_says_so() {
        let value = "127.0.0.1:7".to_owned();
        let flag = Flag { key: "server.listen", entry: None, value, name: "--listen" };
        let (config, settings) = load(None, &[flag]).unwrap();
        assert_eq!(config.server.listen.port(), 7);
        let setting = settings.iter().find(|s| s.key == "server.listen").unwrap();
        assert_eq!(setting.origin, "flag --listen");
        let other = settings.iter().find(|s| s.key == "server.max_in_flight").unwrap();
        assert_eq!(other.origin, "default");
    }
}
