//! The command line: one file a command.
#![expect(clippy::print_stdout, reason = "a command's answer belongs on standard output")]

mod bench;
mod check;
mod client;
mod rank;
mod serve;
mod settings;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Flag, Setting, load};

/// Ranking server for online shops: in what order should this shopper see these candidates?
#[derive(Debug, Parser)]
#[command(name = "podium", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the models of a repository over gRPC
    Serve(ServeArgs),
    /// Ask a running server for an order, and show it
    Rank(rank::RankArgs),
    /// Check a bundle offline: manifest, sums, graph, golden vectors
    Check(check::CheckArgs),
    /// Print the effective configuration and where each value came from
    Config(ServeArgs),
    /// Measure a server, beside raw ONNX Runtime on the same rows
    Bench(bench::BenchArgs),
}

/// The configuration and what overrides it.
#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration file [default: podium.toml, where it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The model repository
    #[arg(long, value_name = "DIR")]
    models: Option<String>,
    /// Where to serve gRPC
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where to answer probes
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
}

impl ServeArgs {
    fn load(&self) -> Result<(Config, Vec<Setting>), String> {
        let given = [
            ("models.dir", &self.models, "--models"),
            ("server.listen", &self.listen, "--listen"),
            ("server.admin_listen", &self.admin_listen, "--admin-listen"),
        ];
        let flags: Vec<Flag> = given
            .into_iter()
            .filter_map(|(key, value, name)| {
                let value = value.clone()?;
                Some(Flag { key, value, name })
            })
            .collect();
        load(self.config.as_deref(), &flags).map_err(|error| error.to_string())
    }
}

/// Runs the program: 0 when all is well, 1 when not, 2 when the command line is wrong.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Rank(args) => rank::run(args),
        Command::Check(args) => check::run(&args),
        Command::Config(args) => settings::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("podium: {message}");
            ExitCode::FAILURE
        }
    }
}
