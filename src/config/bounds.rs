//! What types cannot say: ranges, and values that must fit each other.

use std::time::Duration;

use crate::{
    config::{
        fault::ConfigFault,
        request_log_bounds::request_log_faults,
        sections::{Config, ModelsSection, RuntimeSection},
        telemetry_bounds::telemetry_faults,
        user_bounds::user_faults,
    },
    ids::ModelName,
    repository::BatchingSpec,
    runtime::PackedInputs,
    telemetry::check_log_level,
};

impl Config {
    /// Lists every value that lies outside of its bounds.
    pub(super) fn check(&self) -> Vec<ConfigFault> {
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
            ("limits.max_events", limits.max_events),
            ("limits.max_message_bytes", limits.max_message_bytes),
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
        if let Err(wrong) = check_log_level(&self.log.level) {
            need(false, "log.level", &wrong.to_string());
        }
        faults.extend(self.runtime.check());
        faults.extend(self.check_batching());
        faults.extend(user_faults(&self.users));
        faults.extend(request_log_faults(&self.telemetry.request_log));
        faults.extend(self.models.check());
        faults.extend(telemetry_faults(&self.telemetry));
        faults
    }

    fn check_batching(&self) -> Vec<ConfigFault> {
        let batching = &self.batching;
        let general = BatchingSpec {
            instances: Some(batching.instances),
            max_batch_rows: Some(batching.max_batch_rows),
            preferred_batch_rows: Some(batching.preferred_batch_rows),
            max_queue_delay: Some(batching.max_queue_delay),
            length_buckets: Some(batching.length_buckets.clone()),
            max_queue_size: Some(batching.max_queue_size),
            max_queue_rows: Some(batching.max_queue_rows),
            max_queue_time: Some(batching.max_queue_time),
            default_priority: Some(batching.default_priority.0),
        };
        let mut faults: Vec<ConfigFault> = general
            .faults()
            .into_iter()
            .map(|(key, wrong)| ConfigFault {
                key: format!("batching.{key}"),
                wrong: wrong.to_owned(),
            })
            .collect();
        let mut need = |fits: bool, key: &str, wrong: &str| {
            if !fits {
                faults.push(ConfigFault { key: key.to_owned(), wrong: wrong.to_owned() });
            }
        };
        need(
            batching.preferred_batch_rows <= batching.max_batch_rows,
            "batching.preferred_batch_rows",
            "must be at most batching.max_batch_rows",
        );
        let day = Duration::from_secs(86_400);
        need(batching.ageing <= day, "batching.ageing", "must be at most 1day");
        faults
    }
}

impl RuntimeSection {
    fn check(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        let mut need = |fits: bool, key: &str, wrong: &str| {
            if !fits {
                faults.push(ConfigFault { key: key.to_owned(), wrong: wrong.to_owned() });
            }
        };
        let threads = self.intra_op_threads;
        need(
            (1..=1024).contains(&threads),
            "runtime.intra_op_threads",
            "must lie between 1 and 1024",
        );
        let cuda = &self.cuda;
        need(cuda.device_id >= 0, "runtime.cuda.device_id", "must be 0 or more");
        let ids = &cuda.device_ids;
        let distinct = ids.iter().enumerate().all(|(at, id)| *id >= 0 && !ids[..at].contains(id));
        need(distinct, "runtime.cuda.device_ids", "must be different numbers, 0 or more");
        need(
            !cuda.graphs || (ids.len() < 2 && self.packed_inputs != PackedInputs::Off),
            "runtime.cuda.graphs",
            "needs packed inputs, and one GPU at most: a capture on one disturbs the runs on others",
        );
        faults
    }
}

impl ModelsSection {
    fn check(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        let mut need = |fits: bool, key: String, wrong: &str| {
            if !fits {
                faults.push(ConfigFault { key, wrong: wrong.to_owned() });
            }
        };
        let interval = self.poll_interval;
        let fits = Duration::from_millis(100)..=Duration::from_secs(3600);
        need(
            interval.is_zero() || fits.contains(&interval),
            "models.poll_interval".to_owned(),
            "must lie between 100ms and 1h, or be 0s: the repository is then read at the start only",
        );
        need(
            self.memory_reserve_mib <= 1 << 30,
            "models.memory_reserve_mib".to_owned(),
            "must be at most 1073741824",
        );
        need(!self.dir.is_empty(), "models.dir".to_owned(), "is empty; name a directory or a URL");
        let bytes = 1 << 20..=1 << 60;
        need(
            bytes.contains(&self.cache_bytes),
            "models.cache_bytes".to_owned(),
            "must lie between 1048576 and 1152921504606846976",
        );
        need(
            self.graph_cache_bytes <= 1 << 50,
            "models.graph_cache_bytes".to_owned(),
            "must be at most 1125899906842624 (1 PiB); 0: no optimised graph is kept",
        );
        let key = "models.replay_requests".to_owned();
        need(self.replay_requests <= 4096, key, "must be at most 4096; 0 keeps none");
        let key = "models.warm_users".to_owned();
        need(self.warm_users <= 1 << 30, key, "must be at most 1073741824; 0 computes none ahead");
        let fits = Duration::from_millis(1)..=Duration::from_secs(86_400);
        let key = "models.warm_users_timeout".to_owned();
        need(fits.contains(&self.warm_users_timeout), key, "must lie between 1ms and 1day");
        let is_name = |name: &str| ModelName::parse(name).is_some();
        need(
            is_name(&self.default),
            "models.default".to_owned(),
            "is no model's name: 1 to 64 of a-z 0-9 - _ .",
        );
        for (model, spec) in &self.batching {
            let key = format!("models.batching.{model}");
            need(is_name(model), key.clone(), "names no model: 1 to 64 of a-z 0-9 - _ .");
            for (setting, wrong) in spec.faults() {
                need(false, format!("{key}.{setting}"), wrong);
            }
        }
        for (model, path) in &self.catalogues {
            let key = format!("models.catalogues.{model}");
            need(is_name(model), key.clone(), "names no model: 1 to 64 of a-z 0-9 - _ .");
            let empty = path.as_os_str().is_empty();
            need(!empty, key, "is empty; name a CSV file, or take it out");
        }
        faults
    }
}
