//! `podium serve`.

use std::{io::Write, process};

use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    cli::{config_args::ConfigArgs, signals::StopSignals},
    telemetry::{log_panics, start_log},
};

/// Serves until SIGINT or SIGTERM; a second one ends the drain at once.
pub(super) fn run(args: &ConfigArgs) -> Result<(), String> {
    let (config, _) = args.load()?;
    let log = start_log(&config.log, &config.telemetry.service_name);
    log_panics();
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let served = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(&stop)?;
        let loading = App::load_watched(config, &log);
        let app = tokio::select! {
            loaded = loading => loaded.map_err(|e| e.to_string())?,
            () = stop.cancelled() => return Ok(()),
        };
        app.serve(stop, log, |banner| {
            print!("{banner}");
            let _ = std::io::stdout().flush();
        })
        .await
        .map_err(|e| e.to_string())
    });
    runtime.shutdown_background();
    served
}

fn stop_on_signals(stop: &CancellationToken) -> Result<(), String> {
    let mut signals = StopSignals::listen()?;
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            signals.next().await;
            if stop.is_cancelled() {
                tracing::warn!("second signal: stopping without the rest of the drain");
                process::exit(0);
            }
            stop.cancel();
        }
    });
    Ok(())
}
