//! `podium users`: what a server knows of users, told and prepared from the command line.

mod batches;
mod cells;
mod checkpoint;
mod deliver;
mod import;
mod open;
mod rows;
mod rows_csv;
mod rows_jsonl;
mod rows_parquet;
mod warm;

use clap::{Args, Subcommand};

use crate::cli::signals;

/// What to do.
#[derive(Debug, Args)]
pub(super) struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Record the events of a file with a running server
    Import(import::ImportArgs),
    /// Have a running server compute embeddings before they are needed
    Warm(warm::WarmArgs),
}

/// Does it; the first signal ends it in good order.
pub(super) fn run(args: &UsersArgs) -> Result<(), String> {
    signals::until_signal(async |stop| match &args.command {
        UsersCommand::Import(args) => import::import(args, &stop).await,
        UsersCommand::Warm(args) => warm::warm(args, &stop).await,
    })
}
