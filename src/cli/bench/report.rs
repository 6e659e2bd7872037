//! What was measured, as it is printed, written and drawn.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::bench::{raw::RawFigure, recorder::Counts, server::ServerFacts};

/// The quantiles that a curve is drawn through.
const QUANTILES: [f64; 12] =
    [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0];

/// Everything that was measured in one run of the bench.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The command line without the program.
    pub(super) command: Vec<String>,
    /// What the requests were drawn from.
    pub(super) seed: u64,
    /// Candidates of each request.
    pub(super) candidates: usize,
    /// Different requests.
    pub(super) requests: usize,
    /// Users that they were drawn from; 0 means the unknown shopper.
    pub(super) users: usize,
    /// The deadline of each request, in milliseconds.
    pub(super) deadline_ms: u64,
    /// The machine.
    pub(super) machine: Machine,
    /// The server.
    pub(super) server: ServerFacts,
    /// The build of the bench and of the server that it starts: release or debug.
    pub(super) build: &'static str,
    /// Threads within one run, where raw ONNX Runtime was measured.
    pub(super) intra_op_threads: Option<usize>,
    /// What was measured, in the order asked for.
    pub(super) points: Vec<Point>,
    /// Whether the run was ended before all was measured.
    pub(super) cut_short: bool,
}

/// The machine that the bench ran on.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) processors: usize,
    pub(super) load_average_before: String,
    pub(super) load_average_after: String,
}

/// One load and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Point {
    /// The load in words.
    pub(super) load: String,
    /// Each repetition.
    pub(super) repetitions: Vec<Measured>,
    /// The median and the range of each figure over the repetitions.
    pub(super) summary: BTreeMap<&'static str, Spread>,
}

/// One repetition of one point.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    /// How long was measured.
    pub(super) seconds: f64,
    /// Requests a second that an open loop meant to send.
    pub(super) offered_per_s: Option<f64>,
    /// Whole answers.
    pub(super) answers: u64,
    /// Failures by code.
    pub(super) errors: BTreeMap<String, u64>,
    /// Requests of an open loop that could not be sent.
    pub(super) missed: u64,
    /// Requests of an open loop that were sent more than a millisecond late.
    pub(super) late: u64,
    /// Answers whose user embedding the server computed first.
    pub(super) computed: u64,
    /// Latency in milliseconds by quantile.
    pub(super) latency_ms: Vec<(f64, f64)>,
    /// Answers by latency: the upper bound in microseconds, which grows by a quarter, and the count.
    pub(super) histogram_us: Vec<(u64, u64)>,
    /// Mean microseconds by stage, as the server tells them.
    pub(super) stages_us: BTreeMap<String, f64>,
    /// Raw ONNX Runtime just before and just after.
    pub(super) raw: Option<RawPair>,
    /// One session of it, where the load is a single caller.
    pub(super) raw_single: Option<RawPair>,
    /// All figures by name.
    pub(super) figures: BTreeMap<&'static str, f64>,
}

/// Raw ONNX Runtime around one measurement of the server.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct RawPair {
    pub(super) before: RawFigure,
    pub(super) after: RawFigure,
}

impl RawPair {
    /// The mean rate.
    pub(super) fn rate(&self) -> f64 {
        f64::midpoint(self.before.runs_per_s, self.after.runs_per_s)
    }

    /// The mean processor time of a run.
    pub(super) fn cpu_us(&self) -> f64 {
        f64::midpoint(self.before.cpu_us, self.after.cpu_us)
    }

    /// The difference of the two rates as a percentage of their mean.
    fn drift(&self) -> f64 {
        (self.after.runs_per_s - self.before.runs_per_s).abs() / self.rate() * 100.0
    }
}

/// A median with its range.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Takes the values of all repetitions; none where there is no value.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }
}

/// What processors did while the server was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    /// The server's processor time in microseconds, all of it.
    pub(super) server_us: Option<f64>,
    /// The part of it on threads that do not run the model.
    pub(super) besides_us: Option<f64>,
    /// The generator's.
    pub(super) generator_us: f64,
    /// That of the whole machine.
    pub(super) machine_us: f64,
    /// Processors of the machine.
    pub(super) processors: usize,
}

/// Puts one repetition together.
pub(super) fn measured(
    seconds: f64,
    offered_per_s: Option<f64>,
    counts: Counts,
    spent: Spent,
) -> Measured {
    let latency = &counts.latency_us;
    let ms = |us: u64| us as f64 / 1000.0;
    let answers = latency.len();
    let bucket = |step: hdrhistogram::iterators::IterationValue<u64>| {
        (step.value_iterated_to(), step.count_since_last_iteration())
    };
    let figures = figures(seconds, &counts, spent);
    Measured {
        seconds,
        offered_per_s,
        answers,
        missed: counts.missed,
        late: counts.late,
        computed: counts.computed,
        latency_ms: QUANTILES.iter().map(|&q| (q, ms(latency.value_at_quantile(q)))).collect(),
        histogram_us: latency.iter_log(100, 1.25).map(bucket).collect(),
        stages_us: counts.stage_means(),
        errors: counts.errors,
        raw: None,
        raw_single: None,
        figures,
    }
}

fn figures(seconds: f64, counts: &Counts, spent: Spent) -> BTreeMap<&'static str, f64> {
    let latency = &counts.latency_us;
    let quantile = |q| latency.value_at_quantile(q) as f64 / 1000.0;
    let answers = latency.len() as f64;
    let failed = counts.errors.values().sum::<u64>() as f64;
    let asked = (answers + failed).max(1.0);
    let capacity_us = seconds * 1e6 * spent.processors as f64;
    let server_us = spent.server_us.unwrap_or(f64::NAN);
    let other_us = spent.machine_us - server_us - spent.generator_us;
    BTreeMap::from([
        ("answers_per_s", answers / seconds),
        ("goodput_per_s", counts.good as f64 / seconds),
        ("errors", failed),
        ("p50_ms", quantile(0.5)),
        ("p90_ms", quantile(0.9)),
        ("p99_ms", quantile(0.99)),
        ("p999_ms", quantile(0.999)),
        ("server_cpu_us", server_us / asked),
        ("besides_cpu_us", spent.besides_us.unwrap_or(f64::NAN) / asked),
        ("generator_cpu_us", spent.generator_us / asked),
        ("server_percent", server_us / capacity_us * 100.0),
        ("generator_percent", spent.generator_us / capacity_us * 100.0),
        ("other_percent", other_us.max(0.0) / capacity_us * 100.0),
    ])
}

impl Measured {
    /// Adds raw ONNX Runtime, and what follows from it.
    pub(super) fn beside(&mut self, raw: RawPair, single: Option<RawPair>) {
        let rate = self.figures.get("answers_per_s").copied().unwrap_or(f64::NAN);
        let cpu = self.figures.get("server_cpu_us").copied().unwrap_or(f64::NAN);
        // A lone caller keeps one session busy: its run is compared with one session's run.
        let alike = single.unwrap_or(raw);
        self.figures.extend([
            ("raw_per_s", raw.rate()),
            ("raw_drift_percent", raw.drift()),
            ("ratio", rate / raw.rate()),
            ("raw_cpu_us", alike.cpu_us()),
            ("outside_cpu_us", cpu - alike.cpu_us()),
        ]);
        if let Some(single) = single {
            self.figures.insert("raw_single_per_s", single.rate());
            self.figures.insert("ratio_single", rate / single.rate());
        }
        (self.raw, self.raw_single) = (Some(raw), single);
    }
}

impl Point {
    /// Makes a point of its repetitions.
    pub(super) fn of(load: String, repetitions: Vec<Measured>) -> Self {
        let mut names: Vec<&'static str> =
            repetitions.iter().flat_map(|one| one.figures.keys().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let spread = |name: &'static str| {
            let values = repetitions.iter().filter_map(|one| one.figures.get(name).copied());
            Some((name, Spread::of(values.collect())?))
        };
        let summary = names.into_iter().filter_map(spread).collect();
        Self { load, repetitions, summary }
    }

    /// The median and range of a figure.
    pub(super) fn figure(&self, name: &str) -> Option<Spread> {
        self.summary.get(name).copied()
    }

    /// The sum over all repetitions of what is counted.
    pub(super) fn total(&self, count: impl Fn(&Measured) -> u64) -> u64 {
        self.repetitions.iter().map(count).sum()
    }

    /// All failures by code.
    pub(super) fn errors(&self) -> BTreeMap<&str, u64> {
        let mut all = BTreeMap::new();
        for (code, count) in self.repetitions.iter().flat_map(|one| &one.errors) {
            *all.entry(code.as_str()).or_default() += count;
        }
        all
    }

    /// The latency at each quantile, the median of the repetitions, in milliseconds.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        let at = |place: usize| {
            let all = self.repetitions.iter().map(|one| one.latency_ms[place].1).collect();
            Spread::of(all).map(|spread| (QUANTILES[place], spread.median))
        };
        (0..QUANTILES.len()).filter_map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], want: Option<(f64, f64, f64)>) {
        let want = want.map(|(median, min, max)| Spread { median, min, max });
        assert_eq!(Spread::of(values.to_vec()), want);
    }

    #[test]
    fn a_spread_is_the_median_with_its_range() {
        check(&[], None);
        check(&[f64::NAN], None);
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((2.0, 1.0, 9.0)));
        check(&[4.0, 1.0, 2.0, 9.0], Some((3.0, 1.0, 9.0)));
    }
}
