//! `podium telemetry`: what a server tells of itself, shown and changed from the command line.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::{
    cli::{
        client::{Admin, refusal},
        signals, span,
    },
    transport::{
        pb::{GetTelemetryRequest, SetTelemetryRequest, Telemetry},
        to_json,
    },
};

/// What to do.
#[derive(Debug, Args)]
pub(super) struct TelemetryArgs {
    #[command(subcommand)]
    command: TelemetryCommand,
}

#[derive(Debug, Subcommand)]
enum TelemetryCommand {
    /// Show the log's level and the share of requests whose traces are drawn
    Show(ShowArgs),
    /// Change them, until the server stops or for a while
    Set(SetArgs),
}

/// How to show it.
#[derive(Debug, Args)]
struct ShowArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

/// What to change.
#[derive(Debug, Args)]
struct SetArgs {
    /// A level (off, error, warn, info, debug, trace), or directives such as info,podium=debug
    #[arg(long, value_name = "LEVEL", required_unless_present = "sampling_ratio")]
    log_level: Option<String>,
    /// The share of requests whose traces are drawn, from 0 to 1
    #[arg(long, value_name = "SHARE")]
    sampling_ratio: Option<f64>,
    /// How long it lasts before it goes back by itself, such as 10m [default: until the server stops]
    #[arg(long = "for", value_name = "TIME", value_parser = span::some_time)]
    lasts: Option<Duration>,
    #[command(flatten)]
    show: ShowArgs,
}

/// Does it; the first signal ends it.
pub(super) fn run(args: &TelemetryArgs) -> Result<(), String> {
    signals::until_signal(async |stop| {
        let work = async {
            match &args.command {
                TelemetryCommand::Show(args) => show(args).await,
                TelemetryCommand::Set(args) => set(args).await,
            }
        };
        tokio::select! {
            done = work => done,
            () = stop.cancelled() => Err("stopped".to_owned()),
        }
    })
}

async fn show(args: &ShowArgs) -> Result<(), String> {
    let mut client = args.admin.telemetry().await?;
    let answer = client.get_telemetry(GetTelemetryRequest {}).await;
    print(args, answer.map_err(|status| refusal(&status))?.into_inner().telemetry)
}

async fn set(args: &SetArgs) -> Result<(), String> {
    let mut client = args.show.admin.telemetry().await?;
    let request = SetTelemetryRequest {
        log_level: args.log_level.clone(),
        sampling_ratio: args.sampling_ratio,
        lasts: args.lasts.and_then(|lasts| lasts.try_into().ok()),
    };
    let answer = client.set_telemetry(request).await;
    print(&args.show, answer.map_err(|status| refusal(&status))?.into_inner().telemetry)
}

fn print(args: &ShowArgs, telemetry: Option<Telemetry>) -> Result<(), String> {
    let telemetry = telemetry.unwrap_or_default();
    match args.json {
        true => println!("{}", to_json(&telemetry).map_err(|e| e.to_string())?),
        false => print!("{}", words(&telemetry)),
    }
    Ok(())
}

/// What is in force, one setting a line.
fn words(telemetry: &Telemetry) -> String {
    let level = telemetry.log_level.clone().unwrap_or_default();
    let ratio = telemetry.sampling_ratio.unwrap_or_default();
    let (value, configured) = (ratio.value.to_string(), ratio.configured.to_string());
    line("log level", (&level.value, &level.configured), level.left)
        + &line("sampling ratio", (&value, &configured), ratio.left)
}

fn line(
    name: &str,
    (value, configured): (&str, &str),
    left: Option<prost_types::Duration>,
) -> String {
    let mut told = Vec::new();
    if let Some(left) = left.and_then(|left| Duration::try_from(left).ok()) {
        let seconds = Duration::from_secs(left.as_secs_f64().ceil() as u64);
        told.push(format!("for another {}", span::told(seconds)));
    }
    if value != configured {
        told.push(format!("configured is {configured}"));
    }
    let told = if told.is_empty() { String::new() } else { format!("  ({})", told.join("; ")) };
    format!("{name:<15} {value}{told}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_told_with_its_end() {
        let left = Some(prost_types::Duration { seconds: 599, nanos: 5 });
        assert_eq!(
            line("log level", ("debug", "info"), left),
            "log level       debug  (for another 10m; configured is info)\n"
        );
        assert_eq!(line("sampling ratio", ("0.01", "0.01"), None), "sampling ratio  0.01\n");
    }
}
