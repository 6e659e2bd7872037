//! The command line: one file a command.
#![expect(clippy::print_stdout, reason = "a command's answer belongs on standard output")]

mod bench;
mod candidates;
mod check;
mod client;
mod colours;
mod config_args;
mod course;
mod examples;
mod models;
mod progress;
mod quickstart;
mod rank;
mod replay;
mod serve;
mod settings;
mod shell;
mod signals;
mod span;
mod telemetry;
mod top;
mod trial;
mod tune;
mod users;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use config_args::ConfigArgs;

const EXIT_STATUS: &str = "Exit status: 0 when all is well; 1 when something failed, which standard error says with what to do about it; \
2 when the command line is wrong. Standard output has the answer and nothing else; colours and progress appear on a terminal only.";

/// Ranking server for online shops: in what order should this shopper see these candidates?
#[derive(Debug, Parser)]
#[command(name = "podium", version, arg_required_else_help = true, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the models of a repository over gRPC
    #[command(after_help = examples::SERVE)]
    Serve(ConfigArgs),
    /// Ask a running server for an order, and show it
    #[command(after_help = examples::RANK)]
    Rank(rank::RankArgs),
    /// Record events of users, or have their embeddings computed
    Users(users::UsersArgs),
    /// Show and change what a server, and all that follow the same repository, serve
    #[command(after_help = examples::MODELS)]
    Models(models::ModelsArgs),
    /// Ask again what a request log holds, and say how the answers differ
    #[command(after_help = examples::REPLAY)]
    Replay(replay::ReplayArgs),
    /// Show and change what a server logs, and which traces it draws
    Telemetry(telemetry::TelemetryArgs),
    /// Watch what goes on in a server: rates, latency, batches, swaps, the slowest requests
    Top(top::TopArgs),
    /// Check a bundle offline: manifest, sums, graph, golden vectors
    #[command(after_help = examples::CHECK)]
    Check(check::CheckArgs),
    /// Write a first manifest for an ONNX model, from what the model says of itself
    #[command(after_help = examples::QUICKSTART)]
    Quickstart(quickstart::QuickstartArgs),
    /// Print the effective configuration and where each value came from
    Config(ConfigArgs),
    /// Measure what a bundle can do within a latency, and propose how to batch it
    #[command(after_help = examples::TUNE)]
    Tune(tune::TuneArgs),
    /// Measure a server, beside raw ONNX Runtime and other servers on the same rows
    #[command(after_help = examples::BENCH)]
    Bench(Box<bench::BenchArgs>),
    /// Print what a shell needs to complete this program's commands and flags
    Completion(shell::CompletionArgs),
    /// Print the man page, or write one for each command
    Man(shell::ManArgs),
    /// Try a version in this process, which the server starts for that
    #[command(hide = true)]
    Trial(trial::TrialArgs),
}

/// Runs the program: 0 when all is well, 1 when not, 2 when the command line is wrong.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Rank(args) => rank::run(args),
        Command::Users(args) => users::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Telemetry(args) => telemetry::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Config(args) => settings::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completion(args) => shell::complete(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
        Command::Trial(args) => trial::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("podium: {message}");
            ExitCode::FAILURE
        }
    }
}
