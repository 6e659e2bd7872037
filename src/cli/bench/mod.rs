//! `podium bench`: measures a server, beside raw ONNX Runtime on the same rows.

mod against;
mod args;
mod batches;
mod burst;
mod calls;
mod cancel;
mod codec;
mod contestant;
mod cpu;
mod deadlines;
mod event;
mod figures;
mod fit;
mod gathered;
mod gauge;
mod input_data;
mod load;
mod local;
mod overload;
mod peer;
mod plot;
mod plot_others;
mod raw;
mod recorder;
mod report;
mod requests;
mod rows;
mod run;
mod scenario;
mod server;
mod setting;
mod subject;
mod table;
mod wire;

use tokio_util::sync::CancellationToken;

use crate::cli::signals;

pub(super) use args::BenchArgs;
use report::Report;

/// Measures, prints, writes, draws.
pub(super) fn run(args: &BenchArgs) -> Result<(), String> {
    args.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let local = tokio::task::LocalSet::new();
    let report = runtime.block_on(local.run_until(async {
        let stop = CancellationToken::new();
        signals::cancel_on_next(&stop)?;
        run::measure(args, &stop).await
    }))?;
    println!("{}", table::tables(&report));
    write(args, &report)
}

fn write(args: &BenchArgs, report: &Report) -> Result<(), String> {
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(report).map_err(|e| e.to_string())?;
        std::fs::write(path, json + "\n").map_err(|e| format!("--json {}: {e}", path.display()))?;
    }
    if let Some(path) = args.plot.as_ref().filter(|_| !report.points.is_empty()) {
        match report.points.iter().any(|point| point.peer.is_some()) {
            true => plot_others::draw(report, path)?,
            false => plot::draw(report, path)?,
        }
    }
    Ok(())
}
