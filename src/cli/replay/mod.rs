//! `podium replay`: asks again what a request log holds, and says how the answers differ.

mod answer;
mod args;
mod ask;
mod figures;
mod lines;
mod pair;
mod run;
mod target;
mod words;

pub(super) use args::ReplayArgs;

use crate::cli::signals;

/// Does it; the first signal ends it, and what there is by then is told.
pub(super) fn run(args: &ReplayArgs) -> Result<(), String> {
    signals::until_signal(async |stop| run::replay(args, &stop).await)
}
