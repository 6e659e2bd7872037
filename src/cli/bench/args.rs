//! What to measure, as the command line says it.

use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};

use crate::{
    cli::{
        bench::{against::Against, load::Load, scenario::Scenario, setting::Setting},
        course::Course,
        span,
    },
    config::{self, Config, Flag},
};

/// What to measure.
#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    /// Closed loop: so many callers, each waiting for its answer [default: 1,8,32, where no --rate is given]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub(super) concurrency: Vec<usize>,
    /// Open loop: requests a second at random moments, or a share such as 80% of the best closed loop of this run
    #[arg(long, value_name = "R,…", value_delimiter = ',')]
    pub(super) rate: Vec<Rate>,
    /// Scenarios, measured after the closed loops, whose best rate is the capacity
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(super) scenario: Vec<Scenario>,
    /// How long each load is measured; scenarios have times of their own
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span::some_time)]
    pub(super) duration: Duration,
    /// How long each load runs before it is measured
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span::some_time)]
    pub(super) warmup: Duration,
    /// How often all is measured, each time with a new start of the server
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) repeat: usize,
    /// How the server is asked
    #[arg(long, value_name = "HOW", default_value = "rank")]
    pub(super) by: Way,
    /// Requests by tensors, as perf_analyzer reads them: {"data": [{"INPUT": [1, 2]}]}; for models that have no example
    #[arg(long, value_name = "FILE", conflicts_with_all = ["candidates", "users", "top", "inline_embedding"])]
    pub(super) input_data: Option<PathBuf>,
    /// Another server of the Open Inference Protocol, asked by the same rows in turns with this one: oip or triton (which tells its batches), and HOST:PORT or HOST:PORT/MODEL; may be given more than once
    #[arg(long, num_args = 2, value_names = ["KIND", "ADDRESS"], action = clap::ArgAction::Append)]
    pub(super) against: Vec<String>,
    /// A running server; none: one is started for the bench and stopped after it
    #[arg(long, value_name = "URL", env = "PODIUM_TARGET")]
    pub(super) target: Option<String>,
    /// The model repository; with --target, give it for what needs the requests' tensors: raw ONNX Runtime, --against, --by tensors
    #[arg(long, value_name = "DIR")]
    pub(super) models: Option<String>,
    /// The configuration file of the server that is started, and of raw ONNX Runtime
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The ranker; none: the server's default
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) model: String,
    /// Users, one a line; none: those with a history in the model repository
    #[arg(long, value_name = "FILE")]
    pub(super) users: Option<PathBuf>,
    /// Have each request bring a made-up embedding, so that no user is looked up
    #[arg(long)]
    pub(super) inline_embedding: bool,
    /// Candidates of each request, drawn from the example or the catalogue; none: all of the example
    #[arg(long, value_name = "N")]
    pub(super) candidates: Option<usize>,
    /// How many of the best items to ask for; 0 asks for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) top: u32,
    /// What users, candidates and arrivals are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// The deadline of each request
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(super) deadline_ms: u64,
    /// The latency after which an answer is of no use: what goodput and scenarios are held against [default: the deadline]
    #[arg(long, value_name = "MS")]
    pub(super) slo_ms: Option<u64>,
    /// Connections that the requests are spread over
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) connections: usize,
    /// Rows of a raw run, joined from as many requests as have that many; the best size is what the server is compared with
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1")]
    pub(super) raw_batch: Vec<usize>,
    /// How long raw ONNX Runtime is measured at each size before and after each load
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span::some_time)]
    pub(super) raw_duration: Duration,
    /// Before each load, wait up to so long for other programs to leave the processors alone
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span::any_time)]
    pub(super) quiet: Duration,
    /// Leave raw ONNX Runtime out
    #[arg(long)]
    pub(super) no_raw: bool,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Draw latencies and rates as SVG; with --against, how far Podium is ahead
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Way {
    /// By Rank.
    Rank,
    /// By the model's tensors, with ModelInfer of the Open Inference Protocol.
    Tensors,
}

/// The rate of an open loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rate {
    /// Requests a second.
    PerSecond(f64),
    /// Of the best closed loop, as a fraction.
    Share(f64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, share) = match text.strip_suffix('%') {
            Some(number) => (number, true),
            None => (text, false),
        };
        match number.parse::<f64>() {
            Ok(rate) if rate > 0.0 && rate < 1e7 => {
                Ok(if share { Self::Share(rate / 100.0) } else { Self::PerSecond(rate) })
            }
            _ => Err("write a number above 0, such as 400, or a share, such as 80%".to_owned()),
        }
    }
}

/// A load as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Asked {
    Callers(usize),
    Arrivals(Rate),
    Scenario(Scenario),
}

impl Asked {
    pub(super) fn name(self) -> String {
        match self {
            Self::Callers(1) => "1 caller".to_owned(),
            Self::Callers(count) => format!("{count} callers"),
            Self::Arrivals(Rate::PerSecond(rate)) => format!("{rate}/s arriving"),
            Self::Arrivals(Rate::Share(share)) => {
                format!("{:.0}% arriving", share * 100.0)
            }
            Self::Scenario(scenario) => scenario.name().to_owned(),
        }
    }

    /// The load, given the best rate of a closed loop so far.
    pub(super) fn load(self, setting: &Setting) -> Result<Load, String> {
        let steady = |rate| Load::Open(Course::steady(rate, setting.deadline));
        match self {
            Self::Callers(count) => Ok(Load::Closed(count)),
            Self::Arrivals(Rate::PerSecond(rate)) => Ok(steady(rate)),
            _ if setting.capacity <= 0.0 => {
                Err("no request was answered, so there is no capacity to \
                 take a share of; see whether the server answers `podium rank`"
                    .to_owned())
            }
            Self::Arrivals(Rate::Share(share)) => Ok(steady(setting.capacity * share)),
            Self::Scenario(scenario) => Ok(Load::Open(scenario.course(setting))),
        }
    }

    /// Whether it needs a closed loop before it.
    fn needs_capacity(self) -> bool {
        matches!(self, Self::Arrivals(Rate::Share(_)) | Self::Scenario(_))
    }
}

impl BenchArgs {
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        if self.repeat == 0 {
            return wrong("--repeat 0: measure at least once");
        }
        if self.concurrency.contains(&0) {
            return wrong("--concurrency 0: there must be a caller");
        }
        if self.raw_batch.contains(&0) {
            return wrong("--raw-batch 0: a run has a row at least; give sizes such as 1,8");
        }
        if !(1..=86_400_000).contains(&self.deadline_ms) {
            return wrong("--deadline-ms must lie between 1 and 86400000");
        }
        if self.slo_ms == Some(0) {
            return wrong("--slo-ms 0: no answer takes no time; give a time in milliseconds");
        }
        let others = Against::all(&self.against)?;
        if !others.is_empty() && !self.scenario.is_empty() {
            return wrong(
                "--scenario is measured without --against: scenarios look into Podium's own batches",
            );
        }
        let loads = self.loads();
        let closed = loads.iter().any(|load| matches!(load, Asked::Callers(_)));
        if !closed && loads.iter().any(|load| load.needs_capacity()) {
            return wrong(
                "--rate with a share and --scenario need --concurrency, which finds the capacity",
            );
        }
        Ok(())
    }

    /// The loads, closed ones first.
    pub(super) fn loads(&self) -> Vec<Asked> {
        let closed = match (self.concurrency.as_slice(), self.rate.as_slice()) {
            ([], []) => &[1, 8, 32],
            (given, _) => given,
        };
        let closed = closed.iter().copied().map(Asked::Callers);
        let arriving = self.rate.iter().copied().map(Asked::Arrivals);
        let pressing = self.scenario.iter().copied().map(Asked::Scenario);
        closed.chain(arriving).chain(pressing).collect()
    }

    /// Whether the model's directory is at hand.
    pub(super) fn is_local(&self) -> bool {
        self.target.is_none() || self.models.is_some()
    }

    /// Whether anything asks for the requests as tensors.
    pub(super) fn needs_tensors(&self) -> bool {
        !self.no_raw || !self.against.is_empty() || self.by == Way::Tensors
    }

    /// The deadline of each request.
    pub(super) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// The configuration that a started server has.
    pub(super) fn config(&self) -> Result<Config, String> {
        let models = self.models.clone().map(|value| Flag {
            key: "models.dir",
            entry: None,
            value,
            name: "--models",
        });
        let flags: Vec<Flag> = models.into_iter().collect();
        let (config, _) =
            config::load(self.config.as_deref(), &flags).map_err(|error| error.to_string())?;
        Ok(config)
    }

    /// The same, as flags of `podium serve`.
    pub(super) fn server_flags(&self) -> Vec<OsString> {
        let mut flags = Vec::new();
        if let Some(models) = &self.models {
            flags.extend(["--models".into(), models.into()]);
        }
        if let Some(config) = &self.config {
            flags.extend(["--config".into(), config.into()]);
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_rate(text: &str, want: Option<Rate>) {
        assert_eq!(text.parse::<Rate>().ok(), want);
    }

    #[test]
    fn a_rate_is_a_number_or_a_share() {
        check_rate("400", Some(Rate::PerSecond(400.0)));
        check_rate("80%", Some(Rate::Share(0.8)));
        check_rate("0", None);
        check_rate("NaN", None);
        check_rate("fast", None);
    }

    fn setting(capacity: f64) -> Setting {
        let ms = Duration::from_millis(100);
        Setting { capacity, warmup: ms, deadline: ms, objective: ms, candidates: 1 }
    }

    #[test]
    fn a_share_is_of_the_capacity() {
        let half = Asked::Arrivals(Rate::Share(0.5));
        let course = Course::steady(150.0, Duration::from_millis(100));
        assert_eq!(half.load(&setting(300.0)), Ok(Load::Open(course)));
        assert!(half.load(&setting(0.0)).is_err());
        assert!(Asked::Scenario(Scenario::Burst).load(&setting(0.0)).is_err());
        assert_eq!(Asked::Callers(3).load(&setting(0.0)), Ok(Load::Closed(3)));
    }
}
