//! `podium top`: what goes on in a server, in the terminal.

mod ask;
mod screen;
mod text;

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{client::Admin, signals, top::screen::Screen},
    transport::Report,
};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(1);

/// Width where nobody says how wide the screen is.
const WIDTH: u16 = 140;

/// How to look.
#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// Print the figures once, and end
    #[arg(long)]
    once: bool,
    /// Print JSON, as /statusz answers; without --once a line each second
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

/// Shows the figures until `q`, Ctrl-C or a signal; once, where that is asked for.
pub(super) fn run(args: &TopArgs) -> Result<(), String> {
    signals::until_signal(async |stop| {
        let mut asking = ask::Asking::connect(&args.admin).await?;
        let first = asking.report().await?;
        match () {
            () if args.once => print(&printed(args, &first)?),
            () if !args.json && std::io::stdout().is_terminal() => {
                watch(&mut asking, first, &stop).await
            }
            () => tell(args, (&mut asking, first), &stop).await,
        }
    })
}

/// The report as it is printed: its JSON, or its text.
fn printed(args: &TopArgs, report: &Report) -> Result<String, String> {
    match args.json {
        true => serde_json::to_string(report).map(|json| json + "\n").map_err(|e| e.to_string()),
        false => Ok(text::text(report, WIDTH)),
    }
}

/// Prints the figures each second, one below the other.
async fn tell(
    args: &TopArgs,
    (asking, mut report): (&mut ask::Asking, Report),
    stop: &CancellationToken,
) -> Result<(), String> {
    loop {
        print(&printed(args, &report)?)?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        report = asking.report().await?;
    }
}

/// Shows the figures in place; a server that does not answer is asked again.
async fn watch(
    asking: &mut ask::Asking,
    first: Report,
    stop: &CancellationToken,
) -> Result<(), String> {
    let mut screen = Screen::open(stop).map_err(|e| format!("the terminal cannot be used: {e}"))?;
    let (mut report, mut fault) = (first, None);
    loop {
        screen.show(&report, fault.as_deref()).map_err(|e| e.to_string())?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let answer = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            answer = asking.report() => answer,
        };
        match answer {
            Ok(new) => (report, fault) = (new, None),
            Err(why) => fault = Some(why),
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| e.to_string())
}
