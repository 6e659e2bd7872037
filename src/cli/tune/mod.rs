//! `podium tune`: measures what a bundle can do within a latency on this machine, and proposes how to batch it.

mod args;
mod choices;
mod demand;
mod drive;
mod measure;
mod plot;
mod point;
mod table;

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::cli::signals;

pub(super) use args::TuneArgs;
use measure::Report;

/// Measures, prints, writes, draws; fails where nothing meets the slo.
pub(super) fn run(args: &TuneArgs) -> Result<(), String> {
    args.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let report = runtime.block_on(async {
        let stop = CancellationToken::new();
        signals::cancel_on_next(&stop)?;
        measure::measure(args, &stop).await
    })?;
    if report.points.is_empty() {
        return Err("stopped before anything was measured".to_owned());
    }
    println!("{}", table::text(&report)?);
    write(args, &report)?;
    match report.proposed {
        Some(_) => Ok(()),
        None => Err(table::advice(&report)),
    }
}

fn write(args: &TuneArgs, report: &Report) -> Result<(), String> {
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(report).map_err(|e| e.to_string())?;
        std::fs::write(path, json + "\n").map_err(|e| format!("--json {}: {e}", path.display()))?;
    }
    let named = || PathBuf::from(format!("tune-{}-{}.svg", report.model, report.version));
    let path = args.plot.clone().unwrap_or_else(named);
    if report.points.iter().any(|point| point.sent > point.lost()) {
        plot::draw(report, &path)?;
        println!("Throughput against p99 is drawn in {}", path.display());
    }
    Ok(())
}
