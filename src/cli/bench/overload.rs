//! Scenario: more requests than the server can answer, for a minute.
//!
//! What shows how it bears them are figures of every load: goodput over the peak, the time to a refusal, the memory before and after.

use std::time::Duration;

use crate::cli::{bench::setting::Setting, course::Course};

/// How long it is measured.
pub(super) const LASTS: Duration = Duration::from_secs(60);

/// Requests over those that the server can answer.
const OVER: f64 = 1.5;

/// A steady rate.
pub(super) fn course(setting: &Setting) -> Course {
    Course::steady(setting.capacity * OVER, setting.deadline)
}
