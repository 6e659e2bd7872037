//! What was measured, as it is printed, written and drawn.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::bench::{
    figures::{Figures, MEANINGS, Spent, beside_podium, beside_raw, of_runs, of_window},
    gauge::Told,
    raw::{RawFigures, RawPair},
    recorder::Counts,
    server::{RunCounts, ServerFacts},
};

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
    /// Users that they were drawn from; 0 means the unknown shopper. None where a file has the tensors.
    pub(super) users: Option<usize>,
    /// The deadline of each request, in milliseconds.
    pub(super) deadline_ms: u64,
    /// The latency after which an answer is of no use, in milliseconds.
    pub(super) objective_ms: u64,
    /// The machine.
    pub(super) machine: Machine,
    /// The server.
    pub(super) server: ServerFacts,
    /// The build of the bench and of the server that it starts: release or debug.
    pub(super) build: &'static str,
    /// Threads within one run, where raw ONNX Runtime was measured.
    pub(super) intra_op_threads: Option<usize>,
    /// What the figures mean.
    pub(super) meanings: BTreeMap<&'static str, &'static str>,
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
    /// The other server that it was sent to; none: the one that is measured.
    pub(super) peer: Option<String>,
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
    /// Failures by code and reason.
    pub(super) errors: BTreeMap<String, u64>,
    /// The p99 of the time from sending to each kind of failure, in milliseconds.
    pub(super) error_p99_ms: BTreeMap<String, f64>,
    /// Requests whose caller left.
    pub(super) left: u64,
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
    /// The share of batches by why they were closed, in per cent.
    pub(super) closed_percent: BTreeMap<&'static str, f64>,
    /// What the gauge of a scenario found.
    pub(super) told: Option<Told>,
    /// Raw ONNX Runtime just before and just after, one pair a size.
    pub(super) raw: Vec<RawPair>,
    /// One session of it, where the load is a single caller.
    pub(super) raw_single: Option<RawPair>,
    /// All figures by name.
    pub(super) figures: Figures,
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
        values.retain(|value| !value.is_nan());
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }
}

/// Puts one repetition together.
pub(super) fn measured(seconds: f64, candidates: usize, counts: Counts, spent: &Spent) -> Measured {
    let latency = &counts.latency_us;
    let ms = |us: u64| us as f64 / 1000.0;
    let answers = latency.len();
    let bucket = |step: hdrhistogram::iterators::IterationValue<u64>| {
        (step.value_iterated_to(), step.count_since_last_iteration())
    };
    let failures = || counts.failures.iter().map(|(name, all)| (name.clone(), all));
    Measured {
        seconds,
        offered_per_s: None,
        answers,
        errors: failures().map(|(name, all)| (name, all.len())).collect(),
        error_p99_ms: failures()
            .map(|(name, all)| (name, ms(all.value_at_quantile(0.99))))
            .collect(),
        left: counts.left,
        missed: counts.missed,
        late: counts.late,
        computed: counts.computed,
        latency_ms: QUANTILES.iter().map(|&q| (q, ms(latency.value_at_quantile(q)))).collect(),
        histogram_us: latency.iter_log(100, 1.25).map(bucket).collect(),
        stages_us: counts.stage_means(),
        closed_percent: counts.batches.closed_percent(),
        told: None,
        raw: Vec::new(),
        raw_single: None,
        figures: of_window(seconds, candidates, &counts, spent),
    }
}

impl Measured {
    /// Adds what the server ran meanwhile, where it counts that.
    pub(super) fn with_runs(&mut self, ran: Option<RunCounts>) {
        if let Some(ran) = ran {
            of_runs(&mut self.figures, &ran);
        }
    }

    /// Adds what the gauge of a scenario found.
    pub(super) fn with_told(&mut self, told: Told) {
        self.figures.extend(told.figures.iter().copied());
        self.told = Some(told);
    }

    /// Adds the best closed loop of the repetition, in requests a second.
    pub(super) fn with_peak(&mut self, peak: f64) {
        if let Some(goodput) = self.figures.get("goodput_per_s").filter(|_| peak > 0.0) {
            self.figures.insert("goodput_over_peak", goodput / peak);
        }
    }

    /// Adds what follows from the measured server under the same load.
    pub(super) fn against(&mut self, podium: &Self) {
        beside_podium(&mut self.figures, &podium.figures);
    }

    /// Adds raw ONNX Runtime, and what follows from it.
    pub(super) fn beside(&mut self, before: &RawFigures, after: &RawFigures) {
        let pair = |(&before, &after)| RawPair { before, after };
        self.raw = before.all.iter().zip(&after.all).map(pair).collect();
        self.raw_single = before.single.as_ref().zip(after.single.as_ref()).map(pair);
        beside_raw(&mut self.figures, &self.raw, self.raw_single.as_ref());
    }
}

/// What the figures of a report mean.
pub(super) fn meanings(points: &[Point]) -> BTreeMap<&'static str, &'static str> {
    let shown = |name: &str| points.iter().any(|point| point.summary.contains_key(name));
    MEANINGS.into_iter().filter(|(name, _)| shown(name)).collect()
}

impl Point {
    /// Makes a point of its repetitions.
    pub(super) fn of(load: String, peer: Option<String>, repetitions: Vec<Measured>) -> Self {
        let mut names: Vec<&'static str> =
            repetitions.iter().flat_map(|one| one.figures.keys().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let spread = |name: &'static str| {
            let values = repetitions.iter().filter_map(|one| one.figures.get(name).copied());
            Some((name, Spread::of(values.collect())?))
        };
        let summary = names.into_iter().filter_map(spread).collect();
        Self { load, peer, repetitions, summary }
    }

    /// Whether requests came whether or not others were answered, so that the load and not the server sets the rate.
    pub(super) fn is_open(&self) -> bool {
        self.repetitions.iter().any(|one| one.offered_per_s.is_some())
    }

    /// The load and the server in words.
    pub(super) fn name(&self) -> String {
        match &self.peer {
            Some(peer) => format!("{}, {peer}", self.load),
            None => self.load.clone(),
        }
    }

    /// The median and range of a figure.
    pub(super) fn figure(&self, name: &str) -> Option<Spread> {
        self.summary.get(name).copied()
    }

    /// The sum over all repetitions of what is counted.
    pub(super) fn total(&self, count: impl Fn(&Measured) -> u64) -> u64 {
        self.repetitions.iter().map(count).sum()
    }

    /// All failures by name: how many, and the longest p99 of a repetition in milliseconds.
    pub(super) fn errors(&self) -> BTreeMap<&str, (u64, f64)> {
        let mut all: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
        for one in &self.repetitions {
            for (name, count) in &one.errors {
                let (sum, longest) = all.entry(name.as_str()).or_default();
                *sum += count;
                *longest = longest.max(one.error_p99_ms.get(name).copied().unwrap_or(0.0));
            }
        }
        all
    }

    /// The mean share of batches by why they were closed, in per cent.
    pub(super) fn closed_percent(&self) -> BTreeMap<&'static str, f64> {
        let mut all = BTreeMap::new();
        for (&why, percent) in self.repetitions.iter().flat_map(|one| &one.closed_percent) {
            *all.entry(why).or_default() += percent / self.repetitions.len() as f64;
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
