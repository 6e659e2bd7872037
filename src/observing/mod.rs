//! What becomes of requests, for those who watch: each that ends is told to the observer, whatever came of it.

mod figures;
mod finished;
mod live;
mod observer;
mod second;
mod slowest;
mod why;
mod window;

pub use figures::{
    BatchFigures, Figures, Latency, LiveFigures, ModelFigures, SecondFigures, SlowRequest,
    StageTimes,
};
pub use finished::{Carried, Finished, Outcome};
pub use live::Live;
pub use observer::Observer;
pub use why::{Why, why};
