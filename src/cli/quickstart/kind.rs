//! What a model is for, as the command line says it.

use clap::ValueEnum;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// It orders candidates
    Ranker,
    /// It turns a history into an embedding
    UserEncoder,
}
