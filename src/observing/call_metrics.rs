//! Counts gRPC calls of every method, by how they ended.

use std::{sync::OnceLock, time::Duration};

use crate::telemetry::{Histogram, REQUEST_SECONDS, Snapshot, TraceContext, metrics};

/// The methods that are told apart, those that are called most first.
pub const METHODS: [&str; 38] = [
    "podium.v1.RankService/Rank",
    "podium.v1.RankService/RankStream",
    "inference.GRPCInferenceService/ModelInfer",
    "inference.GRPCInferenceService/ModelStreamInfer",
    "podium.v1.UserService/RecordEvents",
    "podium.v1.UserService/RecordEventsStream",
    "podium.v1.UserService/GetUser",
    "podium.v1.UserService/PutEmbeddings",
    "podium.v1.UserService/DeleteUser",
    "podium.v1.UserService/WarmUsers",
    "podium.v1.InfoService/GetServerInfo",
    "podium.v1.InfoService/GetExample",
    "podium.v1.InfoService/GetItems",
    "podium.v1.ModelService/ListModels",
    "podium.v1.ModelService/WatchModels",
    "podium.v1.ModelService/LoadModel",
    "podium.v1.ModelService/UnloadModel",
    "podium.v1.ModelService/PromoteModel",
    "podium.v1.ModelService/RollbackModel",
    "podium.v1.ModelService/SplitTraffic",
    "podium.v1.ModelService/SetShadow",
    "podium.v1.TelemetryService/GetTelemetry",
    "podium.v1.TelemetryService/SetTelemetry",
    "inference.GRPCInferenceService/ServerLive",
    "inference.GRPCInferenceService/ServerReady",
    "inference.GRPCInferenceService/ModelReady",
    "inference.GRPCInferenceService/ServerMetadata",
    "inference.GRPCInferenceService/ModelMetadata",
    "inference.GRPCInferenceService/ModelConfig",
    "inference.GRPCInferenceService/ModelStatistics",
    "inference.GRPCInferenceService/RepositoryIndex",
    "inference.GRPCInferenceService/RepositoryModelLoad",
    "inference.GRPCInferenceService/RepositoryModelUnload",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/List",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// What a method is called that there is not.
///
/// Source: OpenTelemetry semantic conventions, RPC metrics, `rpc.method`.
const OTHER: &str = "_OTHER";

/// The codes of gRPC in the order of their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A call's method, as its path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalledMethod(usize);

impl CalledMethod {
    /// That of a path such as `/podium.v1.RankService/Rank`.
    pub fn of_path(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or(path);
        Self(METHODS.iter().position(|method| *method == name).unwrap_or(METHODS.len()))
    }
}

/// Counts calls; a cell is made with its first.
#[derive(Debug)]
pub(super) struct CallMetrics {
    durations: [[OnceLock<Histogram>; CODES.len()]; METHODS.len() + 1],
}

impl Default for CallMetrics {
    fn default() -> Self {
        Self { durations: [const { [const { OnceLock::new() }; CODES.len()] }; METHODS.len() + 1] }
    }
}

impl CallMetrics {
    /// Counts a call that ended with the code of that number.
    pub(super) fn ended(
        &self,
        CalledMethod(method): CalledMethod,
        code: usize,
        (took, trace): (Duration, &TraceContext),
    ) {
        if let Some(cell) = self.durations.get(method).and_then(|codes| codes.get(code)) {
            let durations = cell.get_or_init(|| Histogram::new(&REQUEST_SECONDS));
            durations.record_traced(took.as_secs_f64(), trace);
        }
    }

    /// Adds what was counted.
    pub(super) fn tell(&self, snapshot: &mut Snapshot) {
        for (codes, method) in self.durations.iter().zip(METHODS.into_iter().chain([OTHER])) {
            for (durations, code) in codes.iter().zip(CODES) {
                if let Some(durations) = durations.get() {
                    let labels = ["grpc", method, code];
                    snapshot.distribution(&metrics::RPC_DURATION, &labels, durations.read());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, code: usize, want: [&str; 2]) {
        let calls = CallMetrics::default();
        let took = (Duration::from_millis(1), &TraceContext::default());
        calls.ended(CalledMethod::of_path(path), code, took);
        let mut snapshot = Snapshot::default();
        calls.tell(&mut snapshot);
        let labels: Vec<_> =
            snapshot.samples(&metrics::RPC_DURATION).iter().map(|s| s.labels.clone()).collect();
        assert_eq!(labels, [["grpc", want[0], want[1]]]);
    }

    #[test]
    fn an_unknown_method_has_no_name_of_its_own() {
        check("/podium.v1.RankService/Rank", 0, ["podium.v1.RankService/Rank", "OK"]);
        check("/podium.v1.RankService/Rank", 8, [METHODS[0], "RESOURCE_EXHAUSTED"]);
        check("/podium.v1.RankService/rank", 12, [OTHER, "UNIMPLEMENTED"]);
        check("/x\"} evil 1", 12, [OTHER, "UNIMPLEMENTED"]);
    }
}
