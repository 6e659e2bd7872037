//! How full batches are beside what the arrivals allow, under the simulation's clock.

use rand::{Rng, SeedableRng, rngs::StdRng};
use rand_distr::Exp;

use crate::batching::{
    cost::{CostPoint, CostTable},
    options::{BatchOptions, Pipeline},
    simulation::{Request, play_on},
};

/// What a run costs on the device, whatever its size, and a row more.
const RUN_US: u64 = 2000;
const ROW_US: u64 = 20;

/// Larger batches use the device no better.
const FULL: usize = 64;

/// When requests are due after they came.
const DUE_US: u64 = 50_000;

/// The share of the rate of full batches at which requests come.
const LOAD: f64 = 0.8;

fn run_us(rows: usize) -> u64 {
    let whole = (rows / FULL) as u64 * (RUN_US + ROW_US * FULL as u64);
    match rows % FULL {
        0 => whole,
        rest => whole + RUN_US + ROW_US * rest as u64,
    }
}

fn cost() -> CostTable {
    let sizes = (0..=7).map(|power| 1_usize << power);
    CostTable::new(sizes.map(|size| CostPoint { size, run_us: run_us(size) as f64 }).collect())
}

/// Two seconds of requests that come at random moments (Poisson).
fn arrivals(rows: usize, seed: u64) -> Vec<Request> {
    let rows_per_us = LOAD * FULL as f64 / run_us(FULL) as f64;
    let mut random = StdRng::seed_from_u64(seed);
    let gaps = Exp::new(rows_per_us / rows as f64).unwrap();
    let request = |after_us| Request {
        after_us,
        lengths: vec![1; rows],
        due_us: DUE_US,
        priority: 2,
        caller: 0,
        leaves_us: None,
    };
    let count = (2e6 * rows_per_us / rows as f64) as usize;
    (0..count).map(|_| request(random.sample::<f64, _>(gaps).round() as u64)).collect()
}

/// The mean fill that arrivals allow one who never lets the device wait while anything is there: whenever it is free it takes all rows that
/// wait, up to a full batch. At this load the device is then always busy, so less full batches could not keep up.
///
/// The `patient` one lets the device wait until a batch is full or would be late: no rule fills more, and none answers later.
fn oracle(requests: &[Request], patient: bool) -> f64 {
    let mut coming = 0;
    let rows = requests.iter().flat_map(|request| {
        coming += request.after_us;
        std::iter::repeat_n(coming, request.lengths.len())
    });
    let rows: Vec<u64> = rows.collect();
    let (mut free, mut first, mut batches) = (0, 0, 0);
    while first < rows.len() {
        let mut start = free.max(rows[first]);
        if patient {
            let full = rows.get(first + FULL - 1).copied().unwrap_or(u64::MAX);
            start = start.max(full.min(rows[first] + DUE_US - run_us(FULL)));
        }
        let there = rows[first..].iter().take(FULL).take_while(|came| **came <= start).count();
        first += there;
        batches += 1;
        free = start + run_us(there);
    }
    mean_fill(rows.len(), batches)
}

fn mean_fill(rows: usize, batches: usize) -> f64 {
    rows as f64 / batches as f64 / FULL as f64
}

#[test]
fn batches_are_as_full_as_the_arrivals_allow() {
    for (rows, seed) in [(1, 1), (1, 2), (8, 3), (8, 4)] {
        let requests = arrivals(rows, seed);
        let (allowed, patient) = (oracle(&requests, false), oracle(&requests, true));
        for pipeline in [Pipeline::Off, Pipeline::On] {
            let options = BatchOptions { pipeline, ..BatchOptions::default() };
            let world = play_on(&requests, &options, cost());
            let ran = world.ran.iter().sum();
            let fill = mean_fill(ran, world.ran.len());
            let share = fill / allowed;
            println!(
                "requests of {rows}, {pipeline:?}: {fill:.3}, {share:.3} of what {allowed:.3} the arrivals allow; \
                 {patient:.3} who waits for them"
            );
            assert!(share >= 0.85, "{fill:.3} of {allowed:.3} with {pipeline:?}, {rows} rows each");
            assert_eq!((world.refused, ran), (0, requests.len() * rows), "all rows ran");
        }
    }
}
