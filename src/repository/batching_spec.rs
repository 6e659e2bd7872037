//! How a model's requests are batched, where a manifest or the configuration says otherwise than for all models.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// Settings of `[batching]`, each of which may be left out. The keys mean what they mean there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchingSpec {
    /// Sessions of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<usize>,
    /// Rows of the largest batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch_rows: Option<usize>,
    /// Rows at which a batch is full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_batch_rows: Option<usize>,
    /// How long a request waits for company at most.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "span",
        serialize_with = "told"
    )]
    pub max_queue_delay: Option<Duration>,
    /// Upper bounds of the lengths that share a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_buckets: Option<Vec<usize>>,
    /// Requests that may wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queue_size: Option<usize>,
    /// Rows that may wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queue_rows: Option<usize>,
    /// Predicted time of what may wait.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "span",
        serialize_with = "told"
    )]
    pub max_queue_time: Option<Duration>,
    /// The priority of requests that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_priority: Option<u8>,
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    humantime_serde::deserialize(deserializer)
}

fn told<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    humantime_serde::serialize(time, serializer)
}

/// Rows and requests are at most so many.
const MOST: usize = 1 << 30;

impl BatchingSpec {
    /// These settings, and where they leave something out, those of another.
    pub fn over(&self, other: &Self) -> Self {
        Self {
            instances: self.instances.or(other.instances),
            max_batch_rows: self.max_batch_rows.or(other.max_batch_rows),
            preferred_batch_rows: self.preferred_batch_rows.or(other.preferred_batch_rows),
            max_queue_delay: self.max_queue_delay.or(other.max_queue_delay),
            length_buckets: self.length_buckets.clone().or_else(|| other.length_buckets.clone()),
            max_queue_size: self.max_queue_size.or(other.max_queue_size),
            max_queue_rows: self.max_queue_rows.or(other.max_queue_rows),
            max_queue_time: self.max_queue_time.or(other.max_queue_time),
            default_priority: self.default_priority.or(other.default_priority),
        }
    }

    /// The keys whose values are out of bounds, each with what is wrong.
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let counts = [
            ("max_batch_rows", self.max_batch_rows),
            ("max_queue_size", self.max_queue_size),
            ("max_queue_rows", self.max_queue_rows),
        ];
        let mut faults = Vec::new();
        let mut need = |fits: bool, key, wrong| {
            if !fits {
                faults.push((key, wrong))
            }
        };
        for (key, count) in counts {
            let fits = count.is_none_or(|count| (1..=MOST).contains(&count));
            need(fits, key, "must lie between 1 and 1073741824");
        }
        let few = self.instances.is_none_or(|count| count <= 256);
        need(few, "instances", "must be at most 256");
        let fits = self.preferred_batch_rows.is_none_or(|rows| rows <= MOST);
        need(fits, "preferred_batch_rows", "must be at most 1073741824");
        for (key, time) in
            [("max_queue_delay", self.max_queue_delay), ("max_queue_time", self.max_queue_time)]
        {
            let day = Duration::from_secs(86_400);
            need(time.is_none_or(|time| time <= day), key, "must be at most 1day");
        }
        let buckets = self.length_buckets.as_deref().unwrap_or_default();
        let fits = buckets.iter().all(|bound| (1..=MOST).contains(bound)) && buckets.len() <= 256;
        need(fits, "length_buckets", "must be at most 256 lengths from 1 on");
        let level = self.default_priority.is_none_or(|level| (1..=8).contains(&level));
        need(level, "default_priority", "must lie between 1 and 8");
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(toml: &str, want: &[&str]) {
        let spec: BatchingSpec = toml::from_str(toml).unwrap();
        let keys: Vec<&str> = spec.faults().iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, want);
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        check("", &[]);
        check("max_queue_delay = \"3ms\"\nlength_buckets = [16, 32]\ninstances = 2", &[]);
        check("max_batch_rows = 0\ndefault_priority = 9", &["max_batch_rows", "default_priority"]);
        check(
            "length_buckets = [0]\nmax_queue_time = \"2days\"",
            &["max_queue_time", "length_buckets"],
        );
        assert!(toml::from_str::<BatchingSpec>("max_batch_size = 3").is_err());
    }

    #[test]
    fn what_is_left_out_is_taken_from_the_other() {
        let spec = |toml: &str| toml::from_str::<BatchingSpec>(toml).unwrap();
        let over = spec("instances = 1\nmax_queue_delay = '1ms'");
        let other = spec("instances = 4\nmax_batch_rows = 8\nlength_buckets = [16]");
        let want =
            "instances = 1\nmax_queue_delay = '1ms'\nmax_batch_rows = 8\nlength_buckets = [16]";
        assert_eq!(over.over(&other), spec(want));
    }

    #[test]
    fn what_is_not_set_is_not_written() {
        let spec =
            BatchingSpec { max_queue_delay: Some(Duration::from_millis(2)), ..Default::default() };
        assert_eq!(toml::to_string(&spec).unwrap(), "max_queue_delay = \"2ms\"\n");
    }
}
