//! A request that has ended, with all that is told of it.

use std::{sync::Arc, time::Instant};

use crate::{
    error_code::ErrorCode,
    ids::CallerName,
    ranking::{Notes, RankError, Step},
};

/// What a caller's trace has brought beside its ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// W3C `tracestate`, as it came.
    pub trace_state: String,
    /// The entries of `baggage` whose keys the configuration names.
    pub baggage: Vec<(String, String)>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An order, or the outputs that were asked for.
    Ranked,
    /// An error.
    Failed {
        /// Its kind.
        code: ErrorCode,
        /// Its reason for machines, such as `QUEUE_FULL`.
        reason: &'static str,
    },
    /// Its caller left.
    Left,
}

impl Outcome {
    /// That of an error.
    pub fn of(error: &RankError) -> Self {
        Self::Failed { code: error.code(), reason: error.reason() }
    }
}

/// A request that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The method, such as `podium.v1.RankService/Rank`.
    pub method: &'static str,
    /// What the caller's trace has brought, where it has brought something.
    pub carried: Option<Arc<Carried>>,
    /// When it came.
    pub arrival: Instant,
    /// When it ended.
    pub ended: Instant,
    /// The caller's name for it.
    pub request_id: String,
    /// The service that asked; empty where it did not say.
    pub caller: CallerName,
    /// Holding it against the limits, after it had been received.
    pub validate: Step,
    /// What it went through; its place in a trace is there.
    pub notes: Notes,
    /// What came of it.
    pub outcome: Outcome,
}
