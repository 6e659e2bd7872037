//! What becomes of requests, for those who watch: each that ends is told to the observer, whatever came of it.

mod changeable;
mod controls;
mod finished;
mod observer;
mod request_log;
mod spans;
mod tail;
mod user_spans;
mod why;

pub use controls::{ChangeError, Controls, InForce, LONGEST_CHANGE, TelemetryChange};
pub use finished::{Carried, Finished, Outcome};
pub use observer::Observer;
pub use request_log::{
    Entry, LoggedAnswer, LoggedColumn, LoggedEmbedding, LoggedError, LoggedEvent, LoggedRequest,
    LoggedTimings, LoggedValues, RequestLog, RequestLogCounts, RequestLogError, SCHEMA,
};
pub use spans::Kept;
pub use why::{Why, why};
