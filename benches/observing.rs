//! What counting a request costs: all that is done of it when it has ended, and the pieces of that.
//!
//! `cargo bench --bench observing` runs it. Nothing is traced, as there is no collector.

#![expect(clippy::unwrap_used, reason = "a bench stops where it stands")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use podium::{
    batching::{BatchFacts, Closed},
    ids::{CallerName, ModelId, ModelName, Version},
    observing::{Finished, Observer, Outcome},
    ranking::{Degraded, Notes, Ranking, RequestFigures, Step, UserState},
    telemetry::{Histogram, REQUEST_SECONDS, SpanQueue, TelemetryOptions, TraceContext, Words},
    users::Source,
};

/// A request that has gone through every stage.
fn finished(figures: &Arc<RequestFigures>, is_sampled: bool) -> Finished {
    let arrival = Instant::now();
    let ended = arrival + Duration::from_millis(4);
    let step = Step { begun: Some(arrival), ended: Some(ended) };
    let mut notes = Notes::of(TraceContext::root(is_sampled));
    notes.figures = Some(Arc::clone(figures));
    (notes.candidates, notes.scored, notes.missing) = (200, 198, 2);
    (notes.user.step, notes.user.read, notes.user.encode) = (step, step, step);
    (notes.features, notes.select) = (step, step);
    notes.trip.came = Some(arrival);
    notes.trip.batches = 1;
    let (fill, padding, closed) = (0.5, 0.1, Closed::Share);
    notes.trip.batch = Some(BatchFacts { units: 200, jobs: 2, fill, padding, closed });
    notes.user.source = Some(Source::Store);
    Finished {
        method: "podium.v1.RankService/Rank",
        carried: None,
        arrival,
        ended,
        request_id: String::new(),
        caller: CallerName::parse("search-page").unwrap(),
        validate: step,
        notes,
        outcome: Outcome::Ranked,
    }
}

fn answer() -> Ranking {
    Ranking {
        items: Vec::new(),
        further_heads: Vec::new(),
        model: ModelId { name: ModelName::parse("shop").unwrap(), version: Version(3) },
        encoder_version: 1,
        user_state: UserState::Cached,
        user_age: Duration::from_secs(40),
        degraded: vec![Degraded::ItemsMissing],
        missing: Vec::new(),
    }
}

fn requests(bench: &mut Criterion) {
    let observer = Observer::new(&TelemetryOptions::default(), SpanQueue::default());
    let (figures, answer) = (Arc::new(RequestFigures::default()), answer());
    let mut group = bench.benchmark_group("a request that has ended");
    for (name, is_sampled) in [("not sampled", false), ("sampled, with exemplars", true)] {
        group.bench_function(name, |b| {
            let request = || finished(&figures, is_sampled);
            let count = |request| observer.finished(request, None, Some(&answer));
            b.iter_batched(request, count, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn pieces(bench: &mut Criterion) {
    let (histogram, words) = (Histogram::new(&REQUEST_SECONDS), Words::default());
    let trace = TraceContext::root(true);
    let mut group = bench.benchmark_group("a count");
    group.bench_function("histogram", |b| b.iter(|| histogram.record(black_box(0.004))));
    group.bench_function("histogram with an exemplar", |b| {
        b.iter(|| histogram.record_traced(black_box(0.004), &trace));
    });
    group.bench_function("word", |b| b.iter(|| words.count(black_box("cached"))));
    group.finish();
}

criterion_group!(benches, requests, pieces);
criterion_main!(benches);
