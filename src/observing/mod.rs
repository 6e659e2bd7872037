//! What becomes of requests, for those who watch: each that ends is told to the observer, whatever came of it.

mod call_metrics;
mod callers;
mod changeable;
mod controls;
mod finished;
mod gather;
mod observer;
mod process;
mod request_metrics;
mod spans;
mod tail;
mod user_spans;
mod why;

pub use call_metrics::{CalledMethod, METHODS};
pub use controls::{ChangeError, Controls, InForce, LONGEST_CHANGE, TelemetryChange};
pub use finished::{Carried, Finished, Outcome};
pub use gather::Gatherer;
pub use observer::Observer;
pub use spans::Kept;
pub use why::{Why, why};
