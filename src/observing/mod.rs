//! What becomes of requests, for those who watch: each that ends is told to the observer, whatever came of it.

mod call_metrics;
mod callers;
mod cause;
mod changeable;
mod controls;
mod figures;
mod finished;
mod gather;
mod live;
mod observer;
mod process;
mod request_log;
mod request_metrics;
mod run_causes;
mod second;
mod slowest;
mod spans;
mod tail;
mod user_spans;
mod why;
mod window;

pub use call_metrics::{CalledMethod, METHODS};
pub use cause::Why;
pub use controls::{ChangeError, Controls, InForce, LONGEST_CHANGE, TelemetryChange};
pub use figures::{
    BatchFigures, Figures, Latency, LiveFigures, ModelFigures, SecondFigures, SlowRequest,
    StageTimes,
};
pub use finished::{Carried, Finished, Outcome};
pub use gather::Gatherer;
pub use live::Live;
pub use observer::Observer;
pub use request_log::{
    Entry, LoggedAnswer, LoggedColumn, LoggedEmbedding, LoggedError, LoggedEvent, LoggedRequest,
    LoggedTimings, LoggedValues, RequestLog, RequestLogCounts, RequestLogError, SCHEMA,
};
pub use spans::Kept;
pub use why::why;
