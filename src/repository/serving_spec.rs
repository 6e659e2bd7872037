//! What `serving.toml` says of one model.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    ids::{ModelName, Version},
    repository::error::Fault,
};

/// Longest label in bytes.
const MOST_LABEL_BYTES: usize = 64;

/// How long the version that was live before stays loaded, where nothing else is said.
const KEEP_WARM: Duration = Duration::from_secs(600);

/// What of one model shall serve.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServingSpec {
    /// The version that answers who names neither version nor label.
    pub live: Live,
    /// The version that each label names.
    pub labels: BTreeMap<String, u64>,
    /// Which versions are loaded.
    pub load: LoadWhich,
    /// Versions that are loaded besides.
    pub loaded: BTreeSet<u64>,
    /// Versions that are not loaded, unless a route leads to them.
    pub unloaded: BTreeSet<u64>,
    /// Versions that shall not serve, by their numbers, each with the reason.
    pub rejected: BTreeMap<String, String>,
    /// The version that was live before; a rollback goes back to it.
    pub previous: Option<u64>,
    /// How long the version that was live before stays loaded.
    #[serde(with = "humantime_serde")]
    pub keep_warm: Duration,
    /// The share of users, in percent, that a version or label gets of those who name neither.
    pub split: BTreeMap<Target, f64>,
    /// The version or label that callers get who name neither, by the `podium-caller` that they send.
    pub callers: BTreeMap<String, Target>,
    /// The version that scores live requests off the answer's path.
    pub shadow: Option<ShadowSpec>,
    /// What promotes a version that has a share, or takes it back.
    pub guard_rails: Option<GuardRails>,
    /// What a version may take.
    pub limits: VersionLimits,
}

impl Default for ServingSpec {
    fn default() -> Self {
        Self {
            live: Live::default(),
            labels: BTreeMap::new(),
            load: LoadWhich::default(),
            loaded: BTreeSet::new(),
            unloaded: BTreeSet::new(),
            rejected: BTreeMap::new(),
            previous: None,
            keep_warm: KEEP_WARM,
            split: BTreeMap::new(),
            callers: BTreeMap::new(),
            shadow: None,
            guard_rails: None,
            limits: VersionLimits::default(),
        }
    }
}

/// The version that answers who names neither version nor label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Live {
    /// The highest that can be loaded.
    #[default]
    Latest,
    /// This one.
    Version(u64),
}

impl<'de> Deserialize<'de> for Live {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Version(version) => Ok(Self::Version(version)),
            Written::Word(word) if word == "latest" => Ok(Self::Latest),
            Written::Word(word) => {
                let wrong =
                    format!("`live` must be a version such as 3, or \"latest\", not \"{word}\"");
                Err(de::Error::custom(wrong))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a version such as 3, or a word such as \"latest\" or \"canary\"")]
enum Written {
    Version(u64),
    Word(String),
}

/// Which versions of a model are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadWhich {
    /// All that are in the repository.
    #[default]
    All,
    /// The live one, those that a label, a share, a caller or the shadow names, and encoder versions that a loaded ranker needs.
    Live,
}

/// A version, by its number or by a label; as text, digits are a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// This one.
    Version(Version),
    /// The one that has this label.
    Label(String),
}

impl Target {
    /// Reads a target from text.
    pub fn parse(text: &str) -> Self {
        match Version::parse(text) {
            Some(version) => Self::Version(version),
            None => Self::Label(text.to_owned()),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Label(label) => label.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Version(version) => Self::Version(Version(version)),
            Written::Word(word) => Self::parse(&word),
        })
    }
}

/// A version that scores live requests off the answer's path.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowSpec {
    /// Which one.
    pub version: Target,
    /// The share of live requests that it scores, in percent.
    #[serde(default = "ShadowSpec::all")]
    pub share: f64,
}

impl ShadowSpec {
    fn all() -> f64 {
        100.0
    }
}

/// What promotes a version that has a share of the users, or takes it back; a version is compared with the live one on the same requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardRails {
    /// Compared requests before anything is decided, other than by errors.
    pub min_requests: u64,
    /// How long a version has its share before it is promoted.
    #[serde(with = "humantime_serde")]
    pub min_time: Duration,
    /// Whether a version that keeps to all rails is promoted, rather than left with its share.
    pub promote: bool,
    /// The share of live requests that it scores besides its own, in percent, to be compared.
    pub compare_share: f64,
    /// The least mean Kendall tau of its order with the live one's, from -1 to 1.
    pub min_kendall_tau: f64,
    /// The first so many places that are compared as a set.
    pub top_k: usize,
    /// The least mean share of the live version's first places that it has too, from 0 to 1.
    pub min_top_k_overlap: f64,
    /// The largest shift of its scores from the live one's, as a population stability index.
    pub max_psi: f64,
    /// How much larger the share of its requests that fail may be than that of the live one's, from 0 to 1.
    pub max_error_rate: f64,
    /// How many times as long as the live one it may take, at the 95th percentile.
    pub max_latency_ratio: f64,
    /// The least that its orders may be worth more than the live one's, by what users took: the mean difference of reciprocal ranks; none
    /// where that is not judged.
    pub min_reward_difference: Option<f64>,
}

impl Default for GuardRails {
    fn default() -> Self {
        Self {
            min_requests: 200,
            min_time: Duration::ZERO,
            promote: true,
            compare_share: 10.0,
            min_kendall_tau: 0.6,
            top_k: 10,
            min_top_k_overlap: 0.5,
            max_psi: 0.25,
            max_error_rate: 0.01,
            max_latency_ratio: 2.0,
            min_reward_difference: None,
        }
    }
}

/// What a version may take; it is tried in a process of its own before it is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VersionLimits {
    /// Memory that it may take, in MiB.
    pub max_memory_mib: u64,
    /// How long the trial may take.
    #[serde(with = "humantime_serde")]
    pub max_trial_time: Duration,
    /// How many times as much as the live version a run of the same size may cost; 0 sets no bound.
    pub max_cost_ratio: f64,
    /// Nodes that its graph may have, those of its functions and inner graphs included.
    pub max_graph_nodes: u64,
    /// Whether it may refuse what callers of the live version send.
    pub accept_new_signature: bool,
}

impl Default for VersionLimits {
    fn default() -> Self {
        Self {
            max_memory_mib: 3072,
            max_trial_time: Duration::from_secs(60),
            max_cost_ratio: 0.0,
            max_graph_nodes: 100_000,
            accept_new_signature: false,
        }
    }
}

impl VersionLimits {
    fn faults(&self, key: &str) -> Vec<Fault> {
        let (at_least, at_most) = (Duration::from_millis(1), Duration::from_secs(86_400));
        let time = (at_least..=at_most).contains(&self.max_trial_time);
        let ratio = self.max_cost_ratio.is_finite() && self.max_cost_ratio >= 0.0;
        let fits = [
            (self.max_memory_mib > 0, "max_memory_mib", "is 0", "write a whole number from 1 on"),
            (time, "max_trial_time", "is no such time", "write a time from 1ms to 1day"),
            (ratio, "max_cost_ratio", "is no ratio", "write a number from 0 on; 0 sets no bound"),
        ];
        let wrong = fits.into_iter().filter(|(fits, ..)| !fits);
        wrong
            .map(|(_, field, wrong, fix)| Fault::new(format!("{key}.limits.{field}"), wrong, fix))
            .collect()
    }
}

impl ServingSpec {
    /// Everything that is wrong with it.
    pub(super) fn faults(&self, name: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let key = format!("models.{name}");
        let mut need = |fits: bool, at: String, wrong: &str, fix: &str| {
            if !fits {
                faults.push(Fault::new(at, wrong, fix));
            }
        };
        let rule = "write 1 to 64 of a-z 0-9 - _ .";
        need(ModelName::parse(name).is_some(), key.clone(), "is no model's name", rule);
        let positive = "write a whole number from 1 on";
        need(self.live != Live::Version(0), format!("{key}.live"), "is 0", positive);
        for (label, version) in &self.labels {
            let at = format!("{key}.labels.{label}");
            need(*version > 0, at.clone(), "is 0", positive);
            let reserved = "take another name: `latest` is the highest version that is loaded";
            need(label != "latest", at.clone(), "is reserved", reserved);
            let fits = (1..=MOST_LABEL_BYTES).contains(&label.len());
            need(fits, at, "has no name of 1 to 64 bytes", "give the label such a name");
        }
        for version in self.rejected.keys() {
            let at = format!("{key}.rejected.{version}");
            need(Version::parse(version).is_some(), at, "is no version", positive);
        }
        let percent = |share: f64| (0.0..=100.0).contains(&share);
        let in_percent = "write a number from 0 to 100";
        for (target, share) in &self.split {
            need(percent(*share), format!("{key}.split.{target}"), "is no percentage", in_percent);
        }
        let whole = self.split.values().sum::<f64>();
        let less = "give them less; the live version gets the rest";
        need(whole <= 100.0, format!("{key}.split"), "adds up to more than 100", less);
        if let Some(shadow) = &self.shadow {
            need(
                percent(shadow.share),
                format!("{key}.shadow.share"),
                "is no percentage",
                in_percent,
            );
        }
        if let Some(rails) = &self.guard_rails {
            let at = |field: &str| format!("{key}.guard_rails.{field}");
            need(percent(rails.compare_share), at("compare_share"), "is no percentage", in_percent);
            need(rails.min_requests > 0, at("min_requests"), "is 0", positive);
            need(rails.top_k > 0, at("top_k"), "is 0", positive);
        }
        faults.extend(self.limits.faults(&key));
        faults
    }

    /// The live version where one is named.
    pub fn live_version(&self) -> Option<Version> {
        match self.live {
            Live::Latest => None,
            Live::Version(version) => Some(Version(version)),
        }
    }

    /// Why a version shall not serve; none where it may.
    pub fn rejection(&self, version: Version) -> Option<&str> {
        self.rejected.get(&version.to_string()).map(String::as_str)
    }

    /// The version that a target names.
    pub fn version_of(&self, target: &Target) -> Option<Version> {
        match target {
            Target::Version(version) => Some(*version),
            Target::Label(label) => self.labels.get(label).copied().map(Version),
        }
    }

    /// Targets of shares, of callers, and of the shadow.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let shadow = self.shadow.iter().map(|shadow| &shadow.version);
        self.split.keys().chain(self.callers.values()).chain(shadow)
    }
}
