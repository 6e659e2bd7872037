//! The life of model versions: loaded, published, looked up.

mod batch_layout;
mod batch_options;
mod comparison;
mod error;
mod estimate;
mod handle;
mod invariance;
mod kendall;
mod latencies;
mod life;
mod lives;
mod plan;
#[cfg(test)]
mod plan_scenes;
mod probe;
mod registry;
mod samples;
mod shapes;
mod shift;
mod tally;
mod traffic;
mod trials;
mod verdict;
mod wanted;
mod warm_up;

pub use batch_layout::batch_layout;
pub use comparison::{Comparison, Trial, Verdict};
pub use error::ServingError;
pub use handle::{ColdModel, LoadOptions, ModelHandle, verified_instance};
pub use invariance::{Invariance, check_invariance};
pub use life::{Life, State};
pub use lives::Lives;
pub use plan::{Action, Now, Standing, next};
pub use probe::probe;
pub use registry::{Chosen, LATEST, Labels, Registry, Route, Selector};
pub use samples::sample_requests;
pub use tally::{Outcome, Pair, Side, Tally};
pub use traffic::{Asker, Traffic, TrafficRules, Tried};
pub use trials::comparisons;
pub use wanted::{Aim, Said, Wanted};
