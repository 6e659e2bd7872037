//! The ranges of the request log's values.

use crate::{config::fault::ConfigFault, telemetry::RequestLogOptions};

/// Lists every value of `telemetry.request_log` that lies outside of its bounds.
pub(super) fn request_log_faults(log: &RequestLogOptions) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    let mut need = |fits: bool, key: &str, wrong: &str| {
        if !fits {
            let key = format!("telemetry.request_log.{key}");
            faults.push(ConfigFault { key, wrong: wrong.to_owned() });
        }
    };
    need((0.0..=1.0).contains(&log.ratio), "ratio", "must lie between 0 and 1");
    need(
        (1 << 16..=1 << 40).contains(&log.max_file_bytes),
        "max_file_bytes",
        "must lie between 65536 and 1099511627776",
    );
    need((1..=1000).contains(&log.max_files), "max_files", "must lie between 1 and 1000");
    let size = 1..=1 << 20;
    need(size.contains(&log.max_queue_size), "max_queue_size", "must lie between 1 and 1048576");
    let bytes = 1 << 16..=1 << 34;
    need(
        bytes.contains(&log.max_queue_bytes),
        "max_queue_bytes",
        "must lie between 65536 and 17179869184",
    );
    faults
}
