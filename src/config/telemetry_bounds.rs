//! What types cannot say of `[telemetry]`.

use std::time::Duration;

use crate::{config::fault::ConfigFault, telemetry::TelemetryOptions};

/// What may be read of a call's headers.
const PROPAGATORS: [&str; 2] = ["tracecontext", "baggage"];

/// Lists every value that lies outside of its bounds.
pub(super) fn telemetry_faults(telemetry: &TelemetryOptions) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    let mut need = |fits: bool, key: &str, wrong: &str| {
        if !fits {
            let (key, wrong) = (format!("telemetry.{key}"), wrong.to_owned());
            faults.push(ConfigFault { key, wrong });
        }
    };
    let (traces, metrics) = (&telemetry.traces, &telemetry.metrics);
    let endpoint = telemetry.otlp_endpoint.as_str();
    let is_url = endpoint.starts_with("http://") || endpoint.starts_with("https://");
    need(
        endpoint.is_empty() || is_url,
        "otlp_endpoint",
        "must be a URL, such as http://localhost:4317",
    );
    need(!telemetry.service_name.is_empty(), "service_name", "must not be empty");
    need((0.0..=1.0).contains(&traces.ratio), "traces.ratio", "must lie between 0 and 1");
    let counts = [
        ("traces.max_queue_size", traces.max_queue_size, 1 << 20),
        ("traces.max_export_batch", traces.max_export_batch, 1 << 16),
        ("traces.max_attributes", traces.max_attributes, 1 << 16),
        ("traces.max_events", traces.max_events, 1 << 16),
        ("traces.max_links", traces.max_links, 1 << 16),
        ("metrics.max_callers", metrics.max_callers, 10_000),
    ];
    for (key, count, most) in counts {
        need((1..=most).contains(&count), key, &format!("must lie between 1 and {most}"));
    }
    need(traces.keep_slowest <= 1000, "traces.keep_slowest", "must be at most 1000");
    need(
        traces.propagators.iter().all(|name| PROPAGATORS.contains(&name.as_str())),
        "traces.propagators",
        "may hold `tracecontext` and `baggage`",
    );
    let times = [
        ("otlp_timeout", telemetry.otlp_timeout),
        ("traces.schedule_delay", traces.schedule_delay),
        ("metrics.otlp_interval", metrics.otlp_interval),
    ];
    for (key, time) in times {
        let fits = (Duration::from_millis(10)..=Duration::from_secs(86_400)).contains(&time);
        need(fits, key, "must lie between 10ms and 1day");
    }
    for (key, wrong) in
        [telemetry.for_traces().err(), telemetry.for_metrics().err()].into_iter().flatten()
    {
        need(false, &key, &wrong);
    }
    faults
}
