//! `podium trial`, which `podium serve` starts.

use std::path::PathBuf;

use clap::Args;

use crate::app::try_one;

/// What to try.
#[derive(Debug, Args)]
pub(super) struct TrialArgs {
    /// The bundle's directory, for who lists processes; standard input says it too
    path: PathBuf,
}

/// Tries the version that standard input names.
pub(super) fn run(_: &TrialArgs) -> Result<(), String> {
    try_one()
}
