//! The figures of one measurement: how each is got, and what it means.

use std::collections::BTreeMap;

use crate::cli::bench::{raw::RawPair, recorder::Counts, server::RunCounts};

/// Figures by name.
pub(super) type Figures = BTreeMap<&'static str, f64>;

/// What each figure means, as the report tells it.
pub(super) const MEANINGS: [(&str, &str); 48] = [
    ("answers_per_s", "whole answers a second"),
    ("rows_per_s", "candidates of whole answers a second"),
    (
        "goodput_per_s",
        "whole answers a second within the objective, from the time when they were due",
    ),
    ("goodput_over_peak", "goodput over the best closed loop of the repetition"),
    ("goodput_over_raw", "goodput over the best raw rate"),
    (
        "within_percent",
        "whole answers within the objective, of all requests that were due; callers who left are none",
    ),
    ("errors", "requests that failed"),
    ("left", "requests whose caller left before an answer"),
    ("refusal_p99_ms", "p99 of the time from sending to a refusal for too much work"),
    ("p50_ms", "median latency of whole answers, from the time when they were due"),
    ("p90_ms", "their 90th percentile"),
    ("p99_ms", "their 99th percentile"),
    ("p999_ms", "their 99.9th percentile"),
    ("p99_over_p50", "the 99th percentile over the median"),
    (
        "raw_per_s",
        "requests a second of raw ONNX Runtime at the first size of --raw-batch, on all sessions",
    ),
    ("raw_best_per_s", "the same at the size that is quickest"),
    ("raw_best_rows", "that size, in rows"),
    (
        "raw_drift_percent",
        "difference of raw before and after, of the quickest size, of their mean",
    ),
    ("ratio", "answers a second over raw at the first size"),
    ("ratio_best", "answers a second over raw at the quickest size"),
    ("raw_single_per_s", "requests a second of one raw session at the first size"),
    ("ratio_single", "answers a second over one raw session"),
    ("podium_over", "answers a second of Podium over those of this server, in the same repetition"),
    ("p50_over_podium", "the median latency of this server over Podium's, in the same repetition"),
    ("p99_over_podium", "the same of the 99th percentile"),
    ("raw_cpu_us", "processor time of a request in raw at the first size"),
    ("server_cpu_us", "processor time of the server a request, failed ones among them"),
    ("outside_cpu_us", "that less the processor time of raw at the first size"),
    ("besides_cpu_us", "processor time a request on threads that never run the model"),
    (
        "around_cpu_us",
        "that and the time of joining and taking apart, which is on the model's threads",
    ),
    ("generator_cpu_us", "processor time of the bench a request"),
    ("server_percent", "share of the processors that the server used"),
    ("generator_percent", "share that the bench used"),
    ("other_percent", "share that all else used"),
    ("batch_rows", "mean rows of a batch"),
    ("batch_requests", "mean requests of a batch"),
    ("batch_fill", "mean fill of a batch, as the server tells it"),
    ("padded_over_real", "elements run over those that were no padding"),
    ("run_us_a_request", "time of a batch's run over its requests"),
    ("join_us_a_request", "time of joining and taking apart over the requests of a batch"),
    ("memory_before_mib", "resident memory of the server when the window opens"),
    ("memory_after_mib", "the same when it closes"),
    (
        "round_after_s",
        "burst: time after it from which p99 of each quarter second stays within the objective",
    ),
    ("p99_later_ms", "burst: p99 of what comes 2 s after it and later; failures count as endless"),
    (
        "left_rows_run_percent",
        "cancel: rows run that nobody waited for, of the rows of callers who left",
    ),
    ("latest_beyond_ms", "deadlines: the latest answer after its deadline, from the sending on"),
    ("latest_told_beyond_ms", "deadlines: the same by the server's clock, from the arrival on"),
    (
        "abandoned_percent",
        "rows whose run nobody waited for at its end, of all rows run, as the server counts them",
    ),
];

/// What processors and memory did while the server was measured.
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
    /// The server's memory in bytes when the window opened and when it closed, where it can be read.
    pub(super) memory_bytes: Option<(u64, u64)>,
}

/// The figures of a window of the server.
pub(super) fn of_window(
    seconds: f64,
    candidates: usize,
    counts: &Counts,
    spent: &Spent,
) -> Figures {
    let latency = &counts.latency_us;
    let quantile = |q| latency.value_at_quantile(q) as f64 / 1000.0;
    let (answers, failed, good) =
        (latency.len() as f64, counts.failed() as f64, counts.good as f64);
    let mut figures = Figures::from([
        ("answers_per_s", answers / seconds),
        ("rows_per_s", answers * candidates as f64 / seconds),
        ("goodput_per_s", good / seconds),
        ("within_percent", good / (answers + failed + counts.missed as f64) * 100.0),
        ("errors", failed),
        ("left", counts.left as f64),
        ("refusal_p99_ms", counts.refusal_p99_ms().unwrap_or(f64::NAN)),
        ("p50_ms", quantile(0.5)),
        ("p90_ms", quantile(0.9)),
        ("p99_ms", quantile(0.99)),
        ("p999_ms", quantile(0.999)),
        ("p99_over_p50", quantile(0.99) / quantile(0.5)),
    ]);
    figures.extend(counts.batches.figures());
    figures.extend(of_machine(seconds, answers + failed + counts.left as f64, spent));
    let joining = figures.get("join_us_a_request").copied().unwrap_or(0.0);
    figures.insert("around_cpu_us", figures["besides_cpu_us"] + joining);
    figures.retain(|_, value| !value.is_nan());
    figures
}

fn of_machine(seconds: f64, asked: f64, spent: &Spent) -> [(&'static str, f64); 8] {
    let asked = asked.max(1.0);
    let capacity_us = seconds * 1e6 * spent.processors as f64;
    let server_us = spent.server_us.unwrap_or(f64::NAN);
    let other_us = spent.machine_us - spent.server_us.unwrap_or(0.0) - spent.generator_us;
    let mib = |at: fn((u64, u64)) -> u64| {
        spent.memory_bytes.map_or(f64::NAN, |both| at(both) as f64 / f64::from(1 << 20))
    };
    [
        ("server_cpu_us", server_us / asked),
        ("besides_cpu_us", spent.besides_us.unwrap_or(f64::NAN) / asked),
        ("generator_cpu_us", spent.generator_us / asked),
        ("server_percent", server_us / capacity_us * 100.0),
        ("generator_percent", spent.generator_us / capacity_us * 100.0),
        ("other_percent", other_us.max(0.0) / capacity_us * 100.0),
        ("memory_before_mib", mib(|(before, _)| before)),
        ("memory_after_mib", mib(|(_, after)| after)),
    ]
}

/// What follows from raw ONNX Runtime at each size, and on one session where the load is a lone caller.
pub(super) fn beside_raw(figures: &mut Figures, all: &[RawPair], single: Option<&RawPair>) {
    let of = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
    let (rate, good, cpu) = (of("answers_per_s"), of("goodput_per_s"), of("server_cpu_us"));
    let best = all.iter().max_by(|a, b| a.rate().total_cmp(&b.rate()));
    let (Some(first), Some(best)) = (all.first(), best) else { return };
    // A lone caller keeps one session busy: its run is compared with one session's run.
    let alike = single.unwrap_or(first);
    figures.extend([
        ("raw_per_s", first.rate()),
        ("raw_best_per_s", best.rate()),
        ("raw_best_rows", best.before.rows as f64),
        ("raw_drift_percent", best.drift()),
        ("ratio", rate / first.rate()),
        ("ratio_best", rate / best.rate()),
        ("goodput_over_raw", good / best.rate()),
        ("raw_cpu_us", alike.cpu_us()),
        ("outside_cpu_us", cpu - alike.cpu_us()),
    ]);
    if let Some(single) = single {
        figures.insert("raw_single_per_s", single.rate());
        figures.insert("ratio_single", rate / single.rate());
    }
    figures.retain(|_, value| !value.is_nan());
}

/// What follows for another server from the figures of the measured one under the same load.
pub(super) fn beside_podium(figures: &mut Figures, podium: &Figures) {
    let over = |over: &Figures, under: &Figures, name: &str| {
        let of = |all: &Figures| all.get(name).copied().unwrap_or(f64::NAN);
        of(over) / of(under)
    };
    let ratios = [
        ("podium_over", over(podium, figures, "answers_per_s")),
        ("p50_over_podium", over(figures, podium, "p50_ms")),
        ("p99_over_podium", over(figures, podium, "p99_ms")),
    ];
    figures.extend(ratios.into_iter().filter(|(_, ratio)| ratio.is_finite()));
}

/// What follows from what the server counts itself; exact, where answers tell of batches one by one.
pub(super) fn of_runs(figures: &mut Figures, ran: &RunCounts) {
    if ran.batches > 0 {
        figures.insert("batch_rows", ran.rows as f64 / ran.batches as f64);
        figures.insert("abandoned_percent", ran.abandoned_rows as f64 / ran.rows as f64 * 100.0);
    }
    if ran.elements > ran.padding {
        let real = (ran.elements - ran.padding) as f64;
        figures.insert("padded_over_real", ran.elements as f64 / real);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{
        cli::bench::{raw::RawFigure, recorder::Recorder},
        transport::pb,
    };

    use super::*;

    fn pair(rows: usize, requests_per_s: f64) -> RawPair {
        let figure = RawFigure { sessions: 2, rows, requests_per_s, cpu_us: 10.0 };
        RawPair { before: figure, after: figure }
    }

    #[test]
    fn the_server_is_compared_with_the_quickest_size() {
        let mut figures = Figures::from([
            ("answers_per_s", 90.0),
            ("goodput_per_s", 80.0),
            ("server_cpu_us", 15.0),
        ]);
        beside_raw(&mut figures, &[pair(1, 60.0), pair(8, 100.0)], Some(&pair(1, 45.0)));
        assert_eq!((figures["ratio"], figures["ratio_best"]), (1.5, 0.9));
        assert_eq!((figures["raw_best_rows"], figures["ratio_single"]), (8.0, 2.0));
        assert_eq!((figures["goodput_over_raw"], figures["outside_cpu_us"]), (0.8, 5.0));
    }

    #[test]
    fn padding_is_exact_where_the_server_counts_it() {
        let ran = RunCounts { batches: 4, rows: 8, abandoned_rows: 2, elements: 110, padding: 10 };
        let mut figures = Figures::from([("padded_over_real", 9.0)]);
        of_runs(&mut figures, &ran);
        assert_eq!((figures["padded_over_real"], figures["batch_rows"]), (1.1, 2.0));
        assert_eq!(figures["abandoned_percent"], 25.0);
    }

    #[test]
    fn every_figure_is_explained_once() {
        let names: BTreeSet<&str> = MEANINGS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), MEANINGS.len());
        let spent = Spent {
            server_us: Some(1.0),
            besides_us: Some(1.0),
            generator_us: 1.0,
            machine_us: 3.0,
            processors: 2,
            memory_bytes: Some((1, 2)),
        };
        let now = std::time::Instant::now();
        let mut recorder = Recorder::new((now, now), None, Some(1), None).unwrap();
        recorder.counts.batches.add(&pb::Timings {
            batch: Some(pb::Batch { rows: 1, requests: 1, ..Default::default() }),
            ..Default::default()
        });
        recorder.counts.latency_us.record(1).unwrap();
        let window = of_window(1.0, 1, &recorder.counts, &spent);
        let mut all: BTreeSet<&str> = window.into_keys().collect();
        let mut raw = Figures::new();
        beside_raw(&mut raw, &[pair(1, 1.0)], Some(&pair(1, 1.0)));
        of_runs(&mut raw, &RunCounts { batches: 1, rows: 1, elements: 2, ..Default::default() });
        all.extend(raw.into_keys());
        assert!(all.is_subset(&names), "{:?}", all.difference(&names));
    }
}
