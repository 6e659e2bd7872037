//! What a scenario measures beyond rates and latencies.

use std::fmt::Debug;

use serde::Serialize;

use crate::cli::bench::{event::Event, server::RunCounts};

/// Sees what comes of every request of a load, and tells what it found.
pub(super) trait Gauge: Debug {
    /// Sees one request, whether or not it lies in the measured window.
    fn see(&mut self, event: &Event);

    /// Tells what was found; `ran` is what the server ran meanwhile, where it counts that.
    fn told(&self, ran: Option<RunCounts>) -> Told;
}

/// What a gauge found.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Told {
    /// Figures by name.
    #[serde(skip)]
    pub(super) figures: Vec<(&'static str, f64)>,
    /// What the columns are.
    pub(super) columns: Vec<&'static str>,
    /// One line of numbers for each step; NaN where there is none.
    pub(super) rows: Vec<Vec<f64>>,
}
