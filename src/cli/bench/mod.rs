//! `podium bench`.
use clap::Args;
/// What to measure.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {}
/// Measures.
pub(super) fn run(_args: &BenchArgs) -> Result<(), String> {
    Err("not built yet".to_owned())
}
