//! What a request costs outside of ONNX Runtime, piece by piece, on the bundled grocery ranker.
//!
//! `cargo bench` runs it; the pieces that need ONNX Runtime are left out where the library is not there.

#![expect(clippy::panic, reason = "a bench stops where it stands")]

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use podium::{
    app::App,
    config,
    deadline::Deadline,
    ranking::{Scored, best},
    transport::{Limits, from_json, pb, rank_request},
};
use prost::Message;

/// Candidates of the request that is measured.
const CANDIDATES: usize = 200;

/// A household with a full history.
const USER: &str = "1228";

/// The example of the grocery ranker, cut to [`CANDIDATES`], for [`USER`].
fn request() -> Result<pb::RankRequest, Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/grocery-ranker/1/example.json");
    let mut request: pb::RankRequest = from_json(&std::fs::read_to_string(path)?)?;
    let mut candidates = request.candidates.take().unwrap_or_default();
    candidates.ids = candidates.ids.iter().take(CANDIDATES).collect();
    for column in &mut candidates.columns {
        match &mut column.values {
            Some(pb::column::Values::Floats(all)) => all.values.truncate(CANDIDATES),
            Some(pb::column::Values::Ints(all)) => all.values.truncate(CANDIDATES),
            Some(pb::column::Values::Strings(all)) => {
                all.values = all.values.iter().take(CANDIDATES).collect();
            }
            _ => return Err("the example has a column of another kind".into()),
        }
    }
    request.candidates = Some(candidates);
    request.user = Some(pb::User { id: USER.to_owned(), ..pb::User::default() });
    Ok(request)
}

/// From bytes to a checked request.
fn conversion(bench: &mut Criterion) {
    let message = request().unwrap_or_else(|error| panic!("{error}"));
    let bytes = message.encode_to_vec();
    let limits = Limits::default();
    let mut group = bench.benchmark_group("conversion of 200 candidates");
    group.bench_function("decode", |b| {
        b.iter(|| pb::RankRequest::decode(black_box(bytes.as_slice())));
    });
    group.bench_function("validate and convert", |b| {
        let convert = |message| rank_request(message, &limits);
        b.iter_batched(|| message.clone(), convert, BatchSize::SmallInput);
    });
    group.finish();
}

/// From a checked request to tensors, for a user whose embedding is cached.
fn features(bench: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let (mut config, _) = config::load(None, &[]).unwrap_or_else(|error| panic!("{error}"));
    // A trial runs the program itself, which is none of these benchmarks.
    config.models.trial = false;
    let app = match runtime.block_on(App::load(config)) {
        Ok(app) => app,
        Err(error) => {
            eprintln!("features are left out: {error}");
            return;
        }
    };
    let message = request().unwrap_or_else(|error| panic!("{error}"));
    let request = rank_request(message, &Limits::default());
    let request = request.unwrap_or_else(|error| panic!("{error}"));
    let deadline = Deadline::after(Instant::now(), Duration::from_secs(3600));
    let inputs = || runtime.block_on(app.engine().inputs(black_box(&request), deadline));
    if let Err(error) = inputs() {
        panic!("{error}");
    }
    bench.bench_function("features of 200 candidates, user cached", |b| b.iter(inputs));
}

/// Scores in no order, each with one further head.
fn scored(count: u32) -> Vec<Scored> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / 65_536.0
    };
    (0..count).map(|index| Scored { index, score: Some(next()), row: Some(index) }).collect()
}

/// From scores to an order.
fn selection(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("selection");
    for (count, top) in [(200, 10), (200, 0), (12_101, 10), (12_101, 0)] {
        let items = scored(count);
        let name = match top {
            0 => format!("all of {count}"),
            top => format!("top {top} of {count}"),
        };
        group.bench_function(name, |b| {
            let select = |items| best(items, &[], top);
            b.iter_batched(|| items.clone(), select, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, conversion, features, selection);
criterion_main!(benches);
