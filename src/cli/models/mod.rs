//! `podium models`: what serves, shown and changed from the command line.

mod args;
mod change;
mod goal;
mod news;
mod status;
mod tables;
mod watch;
mod words;

use clap::{Args, Subcommand};

use crate::cli::signals;

/// What to do.
#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// List the models with their versions, and who is answered by which
    List(args::ListArgs),
    /// Show one model: versions, traffic, how versions compare
    Status(args::StatusArgs),
    /// Have a version loaded
    Load(args::VersionArgs),
    /// Have a version unloaded
    Unload(args::VersionArgs),
    /// Make a version the live one
    Promote(args::PromoteArgs),
    /// Take a version back: the one that has a share of the users, or the live one
    Rollback(args::RollbackArgs),
    /// Give versions a share of the users, or single callers
    Split(args::SplitArgs),
    /// Have a version score live requests off the answer's path
    Shadow(args::ShadowArgs),
}

/// Does it; the first signal ends it.
pub(super) fn run(args: &ModelsArgs) -> Result<(), String> {
    signals::until_signal(async |stop| match &args.command {
        ModelsCommand::List(args) => status::list(args).await,
        ModelsCommand::Status(args) => status::status(args, &stop).await,
        ModelsCommand::Load(args) => change::load(args, &stop).await,
        ModelsCommand::Unload(args) => change::unload(args, &stop).await,
        ModelsCommand::Promote(args) => change::promote(args, &stop).await,
        ModelsCommand::Rollback(args) => change::rollback(args, &stop).await,
        ModelsCommand::Split(args) => change::split(args, &stop).await,
        ModelsCommand::Shadow(args) => change::shadow(args, &stop).await,
    })
}
