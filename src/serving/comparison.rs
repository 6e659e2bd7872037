//! How a version has done beside the live one on the same requests.

use std::time::Duration;

use crate::ids::{ModelId, Version};

/// How a version stands beside the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// The version has a share of the users.
    Canary,
    /// The version answers nobody.
    Shadow,
}

/// A version beside the live one, over all requests that both have scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The version that is compared.
    pub version: ModelId,
    /// The live version that it is compared with.
    pub baseline: Version,
    /// How it stands beside that.
    pub beside: Beside,
    /// Requests that both have scored.
    pub requests: u64,
    /// Requests that were to be scored by both and were not, for want of spare capacity.
    pub skipped: u64,
    /// Mean Kendall tau of the two orders, from -1 to 1.
    pub kendall_tau: f64,
    /// Mean share of the live version's first places that the version has too, from 0 to 1.
    pub top_k_overlap: f64,
    /// The shift of the version's scores from the live one's, as a population stability index.
    pub psi: f64,
    /// The share of the version's requests that failed, from 0 to 1.
    pub error_rate: f64,
    /// The share of the live version's requests that failed, from 0 to 1.
    pub baseline_error_rate: f64,
    /// The 95th percentile of the version's time to score a request.
    pub latency: Duration,
    /// The 95th percentile of the live version's time to score a request.
    pub baseline_latency: Duration,
    /// Items that users took of orders that both had made.
    pub rewards: u64,
    /// How much more the version's orders are worth than the live one's, by the mean difference of the reciprocal ranks of what users took.
    pub reward_difference: f64,
    /// The standard error of that; infinite where nothing can be told.
    pub reward_error: f64,
    /// What the guard rails say of it; none where there are none.
    pub verdict: Option<Verdict>,
}

/// What guard rails say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is decided; with what it waits for.
    Waits(String),
    /// It keeps to all rails.
    Passes,
    /// It breaks one; with which, and by how much.
    Fails(String),
}
