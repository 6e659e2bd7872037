//! The arguments of `podium replay`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::cli::{replay::target::Place, span};

/// What to ask again, and whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArgs {
    /// Request logs, in the order in which they are read
    #[arg(value_name = "LOG", required = true)]
    pub(super) logs: Vec<PathBuf>,
    /// The server to ask, and the version where another than the logged request's is meant, such as 127.0.0.1:50051,model=grocery-ranker,version=4
    #[arg(long, value_name = "ADDRESS[,model=NAME][,version=N]")]
    pub(super) target: Place,
    /// A second one, whose answers are compared with instead of the logged ones
    #[arg(long, value_name = "ADDRESS[,model=NAME][,version=N]")]
    pub(super) compare: Option<Place>,
    /// Requests a second at most [default: as fast as they are answered]
    #[arg(long, value_name = "REQUESTS", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Requests under way at once
    #[arg(long, value_name = "REQUESTS", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) concurrency: u16,
    /// Requests that are asked at most [default: all]
    #[arg(long, value_name = "REQUESTS")]
    pub(super) limit: Option<usize>,
    /// How long one answer may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span::some_time)]
    pub(super) timeout: Duration,
    /// How many of the best items are compared as such
    #[arg(long, value_name = "ITEMS", default_value = "10", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) top: u16,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Fail where the mean Kendall tau is below this, or nothing could be compared
    #[arg(long, value_name = "TAU", allow_negative_numbers = true)]
    pub(super) fail_below_tau: Option<f64>,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    number.ok_or_else(|| "write a number above 0".to_owned())
}
