//! Every metric there is, with its name, unit, labels and meaning; what is told elsewhere is told by these.
//!
//! `docs/metrics.md` has them as a table, which a test writes and holds against this file.

use crate::telemetry::family::{Kind, Spec};

macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal in $unit:literal by [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $id: Spec = Spec {
                name: $name, kind: Kind::$kind, unit: $unit, labels: &[$($label),*], help: $help,
            };
        )+

        /// All of them, in the order of the documentation.
        pub static ALL: &[&Spec] = &[$(&$id),+];
    };
}

// Requests for an order, whether they came alone or in a stream.
metrics! {
    REQUEST_DURATION: Histogram "podium_request_duration_seconds" in "seconds"
        by ["model", "version", "code", "caller"]
        "Requests for an order, from their arrival to their answer: `_count` is how many there were.";
    STAGE_DURATION: Histogram "podium_stage_duration_seconds" in "seconds" by ["model", "version", "stage"]
        "What parts of a request took: validate, user, encode, features, queue, batch, run, scatter, select.";
    REQUEST_CANDIDATES: Histogram "podium_request_candidates" in "" by ["model", "version"]
        "Candidates of a request.";
    CANDIDATES_SCORED: Counter "podium_candidates_scored" in "" by ["model", "version"]
        "Candidates that the model was asked about.";
    CANDIDATES_MISSING: Counter "podium_candidates_missing" in "" by ["model", "version"]
        "Candidates that the catalogue did not know.";
    REQUEST_ERRORS: Counter "podium_request_errors" in "" by ["model", "version", "code", "reason"]
        "Requests without an order, refused ones included, by the reason that their callers were told.";
    DEGRADED: Counter "podium_degraded_answers" in "" by ["model", "version", "reason"]
        "Answers that were less than they could be, by reason; one that has two counts under both.";
    USER_STATES: Counter "podium_user_states" in "" by ["model", "version", "state"]
        "Answers by where the user's side came from: none, cached, local, stale, computed, inline, default.";
    EMBEDDING_AGE: Histogram "podium_user_embedding_age_seconds" in "seconds" by ["model", "version"]
        "How old the stored embedding was that an answer used.";
    RPC_DURATION: Histogram "rpc_server_call_duration_seconds" in "seconds"
        by ["rpc_system_name", "rpc_method", "rpc_response_status_code"]
        "gRPC calls to their end, streams whole; by OTLP it is `rpc.server.call.duration`. Unknown methods are `_OTHER`.";
    IN_FLIGHT: Gauge "podium_requests_in_flight" in "" by []
        "Calls that hold a place among those in flight, of `server.max_in_flight`.";
    IN_FLIGHT_LIMIT: Gauge "podium_requests_in_flight_limit" in "" by []
        "Places for calls in flight, `server.max_in_flight`.";

    // Batches, by the version that ran them.
    QUEUE_REQUESTS: Gauge "podium_queue_requests" in "" by ["model", "version"]
        "Requests that wait for an instance.";
    QUEUE_ROWS: Gauge "podium_queue_rows" in "" by ["model", "version"]
        "Rows that wait for an instance.";
    QUEUE_ERRORS: Counter "podium_queue_errors" in "" by ["model", "version", "reason"]
        "Work that got no outputs from its version: refused by the queue, too late, or failed, by reason.";
    INSTANCES: Gauge "podium_instances" in "" by ["model", "version", "device"]
        "Sessions that run the version side by side.";
    INSTANCES_BUSY: Gauge "podium_instances_busy" in "" by ["model", "version"]
        "Instances that have a batch.";
    BATCH_RUN: Histogram "podium_batch_run_duration_seconds" in "seconds" by ["model", "version"]
        "Runs of batches: `_count` is how many ran.";
    BATCH_WAIT: Histogram "podium_batch_turn_wait_seconds" in "seconds" by ["model", "version"]
        "How long batches waited for their turn on the device.";
    BATCH_ASSEMBLY: Histogram "podium_batch_assembly_seconds" in "seconds" by ["model", "version"]
        "How long joining the tensors of a batch took.";
    BATCH_ROWS: Histogram "podium_batch_rows" in "" by ["model", "version"]
        "Rows of a batch, or users where the model is run by users.";
    BATCH_REQUESTS: Histogram "podium_batch_requests" in "" by ["model", "version"]
        "Requests that shared a batch.";
    BATCH_FILL: Histogram "podium_batch_fill_ratio" in "ratio" by ["model", "version"]
        "Rows of a batch over those that the device gains from.";
    BATCH_PADDING: Histogram "podium_batch_padding_ratio" in "ratio" by ["model", "version"]
        "The share of a batch's padded inputs that was padding.";
    BATCH_FORESEEN: Histogram "podium_batch_run_to_expected_ratio" in "ratio" by ["model", "version"]
        "How long a run took over how long it was expected to; 1 is as expected.";
    BATCHES_CLOSED: Counter "podium_batches_closed" in "" by ["model", "version", "reason"]
        "Batches by why they were closed: full, share, slack, no_company, delay.";
    BATCHES_ENDED: Counter "podium_batches_ended" in "" by ["model", "version", "end"]
        "Batches by how they ended: ran, abandoned, or the reason of the failure.";
    BATCHES_COLD: Counter "podium_batches_cold" in "" by ["model", "version"]
        "Batches of a shape that their instance had never run before.";
    ROWS_RUN: Counter "podium_rows_run" in "" by ["model", "version"]
        "Rows in batches that ran.";
    ROWS_ABANDONED: Counter "podium_rows_abandoned" in "" by ["model", "version"]
        "Those of the rows whose caller had left by the end of the run.";
    ELEMENTS_RUN: Counter "podium_elements_run" in "" by ["model", "version"]
        "Elements of masked inputs that were run, padding included: tokens, events, candidates of lists.";
    ELEMENTS_PADDING: Counter "podium_elements_padding" in "" by ["model", "version"]
        "Those of the elements that were padding.";

    // The user store.
    USER_READS: Counter "podium_user_reads" in "" by ["source"]
        "Records that were read: of the store, of a copy in this process (local), or none as the store did not answer (failed).";
    USER_READ_DURATION: Histogram "podium_user_read_duration_seconds" in "seconds" by ["source"]
        "Reading a user's record on a request's way, round trip included: store, local, or fallback where it did not answer.";
    USER_READ_RETRIES: Counter "podium_user_read_retries" in "" by []
        "Reads that were tried a second time.";
    USER_UNFIT: Counter "podium_user_unfit_records" in "" by ["kind"]
        "What was stored and could not be read: an embedding counts as none, a history as if the store had not answered.";
    USER_EMBEDDINGS: Counter "podium_user_embeddings" in "" by ["outcome"]
        "Computed embeddings that were written to the store, or dropped.";
    USER_EVENTS: Counter "podium_user_events_recorded" in "" by []
        "Events that were recorded.";
    USER_LEASES: Counter "podium_user_leases_waited" in "" by []
        "Computations of an embedding that another server was found to be at.";
    USER_INVALIDATIONS: Counter "podium_user_invalidations" in "" by []
        "Messages that a local copy is no longer what the store has.";
    USER_BREAKER_OPENED: Counter "podium_user_store_breaker_opened" in "" by []
        "Times that the store was given up for a while.";
    USER_STORE_UP: Gauge "podium_user_store_up" in "" by []
        "1 while the store is asked, 0 while it is given up; without Redis always 1.";

    // Versions and their swaps.
    VERSION_STATE: Gauge "podium_model_version_state" in "" by ["model", "version", "state"]
        "1 for the state that a version of the repository is in.";
    VERSION_LIVE: Gauge "podium_model_version_live" in "" by ["model", "version"]
        "1 for the version that answers requests which name none, 0 for others that are published.";
    VERSION_STEPS: Counter "podium_model_version_steps" in "" by ["state"]
        "Steps that versions have taken, by the state that they came to.";
    VERSION_PHASE: Gauge "podium_model_version_phase_seconds" in "seconds" by ["model", "version", "phase"]
        "How long a version took on its way when it last took it: verifying (its trial included), loading, warming.";
    COMPARED_REQUESTS: Gauge "podium_comparison_requests" in "" by ["model", "version", "beside"]
        "Requests that a version beside the live one and that one have both scored, since the two are compared.";
    COMPARISON_SKIPPED: Gauge "podium_comparison_skipped_requests" in "" by ["model", "version", "beside"]
        "Requests that were to be scored by both and were not, for want of spare capacity.";
    COMPARISON_TAU: Gauge "podium_comparison_kendall_tau" in "" by ["model", "version", "beside"]
        "Mean Kendall tau of the two orders, from -1 to 1.";
    COMPARISON_OVERLAP: Gauge "podium_comparison_top_k_overlap_ratio" in "ratio" by ["model", "version", "beside"]
        "Mean share of the live version's first places that the version has too.";
    COMPARISON_PSI: Gauge "podium_comparison_psi" in "" by ["model", "version", "beside"]
        "The shift of the version's scores from the live one's, as a population stability index.";
    COMPARISON_ERRORS: Gauge "podium_comparison_error_ratio" in "ratio" by ["model", "version", "beside", "side"]
        "The share of requests that failed, of the version and of the live one (baseline).";
    COMPARISON_P95: Gauge "podium_comparison_p95_seconds" in "seconds" by ["model", "version", "beside", "side"]
        "The 95th percentile of the time to score a request, of the version and of the live one (baseline).";
    COMPARISON_REWARDS: Gauge "podium_comparison_rewards" in "" by ["model", "version", "beside"]
        "Items that users took of orders that both had made.";
    COMPARISON_GAIN: Gauge "podium_comparison_reward_difference" in "" by ["model", "version", "beside"]
        "How much more the version's orders are worth, by the mean difference of the reciprocal ranks of what users took.";

    // What is told elsewhere.
    SPANS: Counter "podium_telemetry_spans" in "" by ["outcome"]
        "Spans that the collector has taken (sent), or not (failed).";
    SPANS_DROPPED: Counter "podium_telemetry_dropped" in "" by []
        "Requests, batches and other things whose spans were dropped, for want of room in `telemetry.traces.max_queue_size`.";
    SPANS_WAITING: Gauge "podium_telemetry_waiting" in "" by []
        "Requests, batches and other things whose spans wait to be sent.";

    REQUEST_LOG: Counter "podium_request_log_requests" in "" by ["outcome"]
        "Requests that were drawn for the request log: written, dropped for want of room, or failed; none where no file is named.";

    // The process and the machine.
    BUILD: Gauge "podium_build_info" in "" by ["version", "onnxruntime"]
        "1, with what is running.";
    MEMORY_AVAILABLE: Gauge "podium_memory_available_bytes" in "bytes" by []
        "Memory that this process can still have, by the system and by its groups.";
    MEMORY_RESERVE: Gauge "podium_memory_reserve_bytes" in "bytes" by []
        "Memory that shall stay free when a version is loaded, `models.memory_reserve_mib`.";
    DEVICE_MEMORY_USED: Gauge "podium_device_memory_used_bytes" in "bytes" by ["device"]
        "Memory of a GPU that is taken, by all processes together; none without a GPU.";
    DEVICE_MEMORY: Gauge "podium_device_memory_total_bytes" in "bytes" by ["device"]
        "Memory of a GPU; none without a GPU.";
    PROCESS_CPU: Counter "process_cpu_seconds" in "seconds" by []
        "Processor time that the process has used, user and system.";
    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" in "bytes" by []
        "Memory of the process that is in RAM; the arenas of ONNX Runtime on the processor are a part of it.";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" in "bytes" by []
        "Address space of the process.";
    PROCESS_FDS: Gauge "process_open_fds" in "" by []
        "Open file descriptors.";
    PROCESS_MAX_FDS: Gauge "process_max_fds" in "" by []
        "The most file descriptors that the process may have.";
    PROCESS_THREADS: Gauge "process_threads" in "" by []
        "Threads of the process.";
    PROCESS_START: Gauge "process_start_time_seconds" in "seconds" by []
        "When the process started, in unix time.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn is_name(name: &str) -> bool {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        name.bytes().all(fits) && name.starts_with(|c: char| c.is_ascii_lowercase())
    }

    #[track_caller]
    fn check(spec: &Spec) {
        let name = spec.name;
        assert!(is_name(name), "{name}");
        assert!(["podium_", "process_", "rpc_"].iter().any(|prefix| name.starts_with(prefix)));
        assert!(name.ends_with(spec.unit), "{name} does not end with its unit");
        for ending in ["_total", "_count", "_sum", "_bucket", "_created"] {
            assert!(!name.ends_with(ending), "{name}: `{ending}` is added where it is written");
        }
        assert!(spec.labels.iter().all(|label| is_name(label) && *label != "le"), "{name}");
        assert!(spec.help.ends_with('.') && !spec.help.contains(['\n', '|']), "{name}");
    }

    #[test]
    fn names_are_such_as_prometheus_wants() {
        ALL.iter().for_each(|spec| check(spec));
    }

    #[test]
    fn no_name_is_there_twice() {
        let names: BTreeSet<&str> = ALL.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
