//! What parent and child say to each other: one line of JSON each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{config::Config, repository::VersionLimits};

/// What the parent asks for, on the child's standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    /// The bundle's directory.
    pub(super) path: PathBuf,
    /// The configuration, without users and secrets.
    pub(super) config: Config,
    /// What the version may take.
    pub(super) limits: VersionLimits,
}

/// What the child tells, on its standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// It begins, with so many bytes of memory before anything of the version is there.
    Began(u64),
    /// What it does from here on.
    Stage(String),
    /// The version can be loaded and run.
    Passed(Report),
    /// The version is at fault.
    Refused(String),
}

/// What is known of a version that was loaded and run in a process of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::app) struct Report {
    /// Which bundle it was: the sum of its manifest, which has those of its files.
    pub(in crate::app) bundle: String,
    /// The most memory that it took with one instance, in bytes.
    pub(in crate::app) memory: u64,
    /// Sizes of runs, and how long each took in microseconds.
    pub(in crate::app) cost: Vec<(usize, f64)>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_comes_over_as_it_is_and_without_secrets() {
        let mut config = Config::default();
        config.users.redis.url = "redis://user:secret@host:1".to_owned();
        config.runtime.intra_op_threads = 3;
        config.batching.max_batch_rows = 77;
        config.models.cache_dir = "/cache".into();
        let limits = VersionLimits {
            max_trial_time: Duration::from_millis(2500),
            ..VersionLimits::default()
        };
        let request = Request { path: "/m/1".into(), config: config.for_trials(false), limits };
        let line = serde_json::to_string(&request).unwrap();
        assert!(!line.contains("secret") && !line.contains('\n'), "{line}");
        let got: Request = serde_json::from_str(&line).unwrap();
        assert_eq!(got.limits, request.limits);
        assert_eq!(got.config.runtime.intra_op_threads, 3);
        assert_eq!(got.config.batching.max_batch_rows, 77);
        assert_eq!((got.config.batching.instances, got.config.cache_dir()), (1, "/cache".into()));
        assert_eq!(serde_json::to_string(&got).unwrap(), line);
    }
}
