//! The dynamic batcher: gathers the requests for a model into batches that its device gains from.
//!
//! A request becomes a job ([`ModelQueue::run`]), which waits (`pending`) until an idle instance (`worker`) is told by the
//! rule (`close`) to take its share; `pack` joins the tensors of the pieces that it takes and gives the outputs back. What a run will
//! cost is told by `cost`.

mod arrivals;
mod batch_span;
mod buckets;
mod callers;
mod close;
mod cost;
mod counters;
mod error;
#[cfg(test)]
mod fill;
mod job;
mod lane;
mod layout;
mod metrics;
mod note;
mod options;
mod outlook;
mod pack;
mod pending;
mod pipeline;
mod queue;
mod running;
mod scatter;
mod schedule;
mod shared;
#[cfg(test)]
mod simulation;
mod stages;
mod together;
mod turns;
mod units;
mod worker;

pub use batch_span::{described, tell_of_batch};
pub use buckets::Buckets;
pub use close::Closed;
pub use cost::{CostPoint, CostTable, LengthWeight};
pub use counters::BatchCounts;
pub use error::BatchError;
pub use job::{Priority, Trip, Work};
pub use layout::{BatchLayout, InputAxes, Joins, Lead, OutputAxes, PadSide};
pub use metrics::{Backlog, BatchMetrics};
pub use note::{BatchEnd, BatchFacts, BatchNote, Member};
pub use options::{BatchOptions, Pipeline};
pub use outlook::Outlook;
pub use queue::{ModelQueue, QueueSetup};
pub use together::{join, run_together};
pub use turns::Turns;
