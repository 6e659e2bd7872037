//! Why there is no server.

use crate::{observing::RequestLogError, serving::ServingError, telemetry::OtlpError};

/// A start that failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The runtime or the repository.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// Nothing to serve.
    #[error(
        "no ranker could be loaded from {dir}:{failures}\nPut a bundle into <dir>/<name>/<version>/ (docs/bundle.md), \
         or name another directory with `--models DIR`"
    )]
    NothingToServe {
        /// The model repository.
        dir: String,
        /// Why each bundle was refused.
        failures: String,
    },
    /// A catalogue of the configuration that no model takes.
    #[error("models.catalogues.{model}: {wrong}")]
    Catalogue {
        /// The model's name under the key.
        model: String,
        /// What is wrong and what to do.
        wrong: String,
    },
    /// A collector that cannot be spoken to.
    #[error("telemetry.{0}")]
    Telemetry(#[from] OtlpError),
    /// A log of requests that cannot be written.
    #[error(transparent)]
    RequestLog(#[from] RequestLogError),
    /// A user store that cannot be.
    #[error("{0}")]
    Users(String),
    /// A socket, a service, or a thread.
    #[error("{0}")]
    Transport(String),
}
