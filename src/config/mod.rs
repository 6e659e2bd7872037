//! The configuration: defaults, then a file, then the environment, then flags; checked once, all faults at once.

mod bounds;
mod fault;
mod layers;
mod options;
mod otel;
mod request_log_bounds;
mod secrets;
mod sections;
mod telemetry_bounds;
mod user_bounds;

pub use fault::{ConfigError, ConfigFault};
pub use layers::{Flag, Setting, load};
pub use options::own_program;
pub use sections::{Config, ModelsSection, RankingSection, RuntimeSection};
