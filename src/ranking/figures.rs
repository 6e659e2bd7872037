//! What is counted of the requests that one version answers; it goes with the version.

use std::sync::OnceLock;

use crate::telemetry::{
    AGE_SECONDS, COUNTS, Count, Distribution, Histogram, REQUEST_SECONDS, STAGE_SECONDS, Words,
};

/// How requests end, by the names that gRPC has for it; places in tables are places in this list.
pub const CODES: [&str; 9] = [
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "UNAVAILABLE",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "CANCELLED",
];

/// The parts of a request that are timed; places in tables are places in this list.
pub const STAGES: [&str; 9] =
    ["validate", "user", "encode", "features", "queue", "batch", "run", "scatter", "select"];

/// Counts of requests, of one version or of those for which none was chosen.
#[derive(Debug)]
pub struct RequestFigures {
    /// From arrival to answer, by code and caller; a cell is made with its first request.
    durations: [OnceLock<Box<[OnceLock<Histogram>]>>; CODES.len()],
    /// What the parts took.
    pub stages: [Histogram; STAGES.len()],
    /// Candidates of a request.
    pub candidates: Histogram,
    /// Candidates that the model was asked about.
    pub scored: Count,
    /// Candidates that the catalogue did not know.
    pub missing: Count,
    /// Requests without an order, by code and reason.
    pub errors: [Words; CODES.len()],
    /// Answers that were less than they could be, by reason.
    pub degraded: Words,
    /// Answers by where the user's side came from.
    pub user_states: Words,
    /// How old the stored embeddings were that answers used.
    pub embedding_age: Histogram,
}

impl Default for RequestFigures {
    fn default() -> Self {
        Self {
            durations: [const { OnceLock::new() }; CODES.len()],
            stages: std::array::from_fn(|_| Histogram::new(&STAGE_SECONDS)),
            candidates: Histogram::new(&COUNTS),
            scored: Count::default(),
            missing: Count::default(),
            errors: Default::default(),
            degraded: Words::default(),
            user_states: Words::default(),
            embedding_age: Histogram::new(&AGE_SECONDS),
        }
    }
}

impl RequestFigures {
    /// The durations of requests that ended with the code of that place, of the caller in place `caller` of `callers`.
    pub fn duration(&self, code: usize, (caller, callers): (usize, usize)) -> Option<&Histogram> {
        let by_caller = self.durations.get(code)?;
        let cells = || (0..callers).map(|_| OnceLock::new()).collect();
        let cell = by_caller.get_or_init(cells).get(caller)?;
        Some(cell.get_or_init(|| Histogram::new(&REQUEST_SECONDS)))
    }

    /// The durations by the places of code and caller.
    pub fn durations(&self) -> impl Iterator<Item = ((usize, usize), Distribution)> {
        self.durations.iter().enumerate().flat_map(|(code, by_caller)| {
            let cells = by_caller.get().into_iter().flatten().enumerate();
            cells.filter_map(move |(caller, cell)| Some(((code, caller), cell.get()?.read())))
        })
    }
}
