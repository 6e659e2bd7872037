//! The schedule under a clock that the test moves: random arrivals, sizes, lengths, deadlines, priorities, callers, departures and
//! failures.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use tokio::sync::oneshot;

use crate::{
    batching::{
        buckets::Buckets,
        close::Decision,
        cost::{CostPoint, CostTable},
        error::BatchError,
        job::{Job, Priority, Work},
        layout::{BatchLayout, InputAxes, Joins, Lead, OutputAxes},
        options::{BatchOptions, Pipeline},
        outlook::Outlook,
        schedule::{Asked, Schedule, Taken},
        units::Units,
    },
    deadline::Deadline,
    ids::CallerName,
    tensor::{Tensor, TensorData},
};

/// A request as the test makes it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) after_us: u64,
    pub(super) lengths: Vec<usize>,
    pub(super) due_us: u64,
    pub(super) priority: u8,
    pub(super) caller: u8,
    /// When its caller leaves, after it came.
    pub(super) leaves_us: Option<u64>,
}

fn requests(most: usize) -> impl Strategy<Value = Vec<Request>> {
    let one = (
        0u64..4000,
        prop::collection::vec(1usize..24, 1..30),
        500u64..60_000,
        1u8..4,
        0u8..3,
        prop::option::weighted(0.2, 0u64..20_000),
    );
    let request = |(after_us, lengths, due_us, priority, caller, leaves_us)| Request {
        after_us,
        lengths,
        due_us,
        priority,
        caller,
        leaves_us,
    };
    prop::collection::vec(one.prop_map(request), 1..most)
}

type Reply = oneshot::Receiver<Result<Vec<Tensor>, BatchError>>;

/// What became of a request.
struct Fate {
    job: Arc<Job>,
    reply: Reply,
    /// How often each of its units was run, by place.
    runs: Vec<usize>,
    left: bool,
}

/// A model's queue and instances, without threads.
pub(super) struct World {
    now: Instant,
    schedule: Schedule,
    layout: BatchLayout,
    /// What each instance runs, and when that ends.
    running: Vec<Option<(Instant, Taken)>>,
    /// The next batch of each instance, where such are made ready while one runs.
    ahead: Option<Vec<Option<Taken>>>,
    /// The units of each batch that ran.
    pub(super) ran: Vec<usize>,
    fates: BTreeMap<u64, Fate>,
    pub(super) refused: usize,
    next: u64,
    /// How long runs take, where that is not what is expected.
    takes: Option<Duration>,
    /// Every so many-th batch fails; none where 0.
    fails: usize,
    batches: usize,
}

fn cost() -> CostTable {
    let points = [(1, 200.0), (64, 830.0), (256, 2750.0), (512, 5310.0)];
    CostTable::new(points.map(|(size, run_us)| CostPoint { size, run_us }).into())
}

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

impl World {
    fn new(options: &BatchOptions, instances: usize, fails: usize) -> Self {
        Self::with_cost(options, (instances, fails), cost())
    }

    fn with_cost(
        options: &BatchOptions,
        (instances, fails): (usize, usize),
        cost: CostTable,
    ) -> Self {
        let layout = BatchLayout {
            unit: Lead::Rows,
            inputs: vec![InputAxes { padded: true, mask: true, ..InputAxes::of(Lead::Rows) }],
            outputs: vec![OutputAxes { lead: Lead::Rows, as_long_as: None }],
            joins: Joins::Padded,
        };
        Self {
            now: Instant::now(),
            schedule: Schedule::new("model", &layout, options, cost, instances),
            layout,
            running: (0..instances).map(|_| None).collect(),
            ahead: (options.pipeline == Pipeline::On)
                .then(|| (0..instances).map(|_| None).collect()),
            ran: Vec::new(),
            fates: BTreeMap::new(),
            refused: 0,
            next: 0,
            takes: None,
            fails,
            batches: 0,
        }
    }

    fn arrive(&mut self, request: &Request) -> Option<u64> {
        let width = request.lengths.iter().copied().max().unwrap_or(1);
        let bits = request.lengths.iter().flat_map(|n| (0..width).map(move |at| at < *n));
        let mask = TensorData::Bool(bits.collect());
        let inputs = vec![Tensor { shape: vec![request.lengths.len(), width], data: mask }];
        let units = Units::of(&self.layout, &inputs, &Buckets::default());
        let caller = CallerName::parse(&format!("caller {}", request.caller));
        let work = Work {
            caller: caller.unwrap_or_default(),
            ..Work::new(inputs, Deadline::after(self.now, us(request.due_us)))
        };
        let (sender, reply) = oneshot::channel();
        let job = Job::new(work, units, self.now, sender);
        self.next += 1;
        match self.schedule.admit(self.now, job, Some(Priority(request.priority))) {
            Ok(job) => {
                let runs = vec![0; request.lengths.len()];
                self.fates.insert(self.next, Fate { job, reply, runs, left: false });
                Some(self.next)
            }
            Err(error) => {
                assert!(error.retry_after().is_some(), "{error}");
                self.refused += 1;
                None
            }
        }
    }

    fn leave(&mut self, number: u64) {
        if let Some(fate) = self.fates.get_mut(&number) {
            fate.left = true;
            fate.reply.close();
            self.schedule.forget(&fate.job);
            fate.job.leave();
        }
    }

    /// Ends what is over, starts what can start; returns when to look again.
    fn step(&mut self, last: bool) -> Option<Instant> {
        let mut look_again: Option<Instant> = None;
        let mut sooner = |at: Instant| look_again = Some(look_again.map_or(at, |one| one.min(at)));
        for number in 0..self.running.len() {
            if let Some((until, taken)) = self.running[number].take_if(|(end, _)| *end <= self.now)
            {
                self.end(number, until, &taken);
                if let Some(next) = self.ahead.as_mut().and_then(|ahead| ahead[number].take()) {
                    self.begin(number, next);
                }
            }
            while self.has_room(number) {
                match self.schedule.decision(self.now, number, last) {
                    Decision::Sleep => break,
                    Decision::Wait(until) => {
                        assert!(until > self.now, "a wait ends later");
                        sooner(until);
                        break;
                    }
                    Decision::Run(size, closed) => {
                        let taken = self.schedule.take(self.now, number, (size, closed));
                        match (taken, &mut self.ahead) {
                            (Some(taken), Some(ahead)) if self.running[number].is_some() => {
                                ahead[number] = Some(taken);
                            }
                            (Some(taken), _) => self.begin(number, taken),
                            (None, _) => {}
                        }
                    }
                }
            }
            if let Some((until, _)) = &self.running[number] {
                sooner(*until);
            }
        }
        look_again
    }

    /// Whether an instance takes another batch: to run it, or to have it ready.
    fn has_room(&self, number: usize) -> bool {
        let none_ready = |ahead: &Vec<Option<Taken>>| ahead[number].is_none();
        self.running[number].is_none() || self.ahead.as_ref().is_some_and(none_ready)
    }

    fn begin(&mut self, number: usize, taken: Taken) {
        let expected = self.schedule.cost().predict(taken.size);
        let until = self.now + self.takes.unwrap_or(expected);
        let mut units = 0;
        for piece in &taken.pieces {
            let due = piece.job.deadline.at();
            assert!(until <= due, "a run that ends {:?} too late", until - due);
            assert!(piece.job.units.longest(&piece.units) <= taken.length, "no row is cut off");
            assert!(!piece.units.is_empty());
            units += piece.units.len();
        }
        assert_eq!(units * taken.length, taken.size);
        self.ran.push(units);
        self.running[number] = Some((until, taken));
    }

    fn end(&mut self, number: usize, until: Instant, taken: &Taken) {
        self.batches += 1;
        let failed = self.fails > 0 && self.batches.is_multiple_of(self.fails);
        for piece in &taken.pieces {
            let mut fates = self.fates.values_mut().rev();
            let Some(fate) = fates.find(|fate| Arc::ptr_eq(&fate.job, &piece.job)) else {
                panic!("a job that nobody sent");
            };
            if failed {
                piece.job.fail(BatchError::Panicked("seeded".to_owned()));
                self.schedule.forget(&piece.job);
                continue;
            }
            piece.units.clone().for_each(|at| fate.runs[piece.job.units.place(at)] += 1);
        }
        self.schedule.finished(until, number, taken.size);
    }
}

/// Lets requests come, leave and run until nothing is left.
fn play(requests: &[Request], options: &BatchOptions, how: (usize, usize)) -> World {
    played(requests, World::with_cost(options, how, cost()))
}

/// Lets requests come to one instance whose runs cost as the table says.
pub(super) fn play_on(requests: &[Request], options: &BatchOptions, cost: CostTable) -> World {
    played(requests, World::with_cost(options, (1, 0), cost))
}

fn played(requests: &[Request], mut world: World) -> World {
    let mut coming = world.now;
    let mut events: BTreeMap<(Instant, u64), Option<u64>> = BTreeMap::new();
    for (at, request) in requests.iter().enumerate() {
        coming += us(request.after_us);
        events.insert((coming, at as u64), None);
    }
    for steps in 0.. {
        assert!(steps < 1_000_000, "the queue is stuck");
        let again = world.step(events.is_empty());
        let next = events.first_key_value().map(|(key, _)| *key);
        match (again, next) {
            (None, None) => break,
            (Some(again), next) if next.is_none_or(|(at, _)| again < at) => world.now = again,
            (_, Some(key)) => {
                world.now = world.now.max(key.0);
                match events.remove(&key).flatten() {
                    Some(leaving) => world.leave(leaving),
                    None => {
                        let request = &requests[key.1 as usize];
                        let number = world.arrive(request);
                        if let (Some(number), Some(after)) = (number, request.leaves_us) {
                            let place = (world.now + us(after), requests.len() as u64 + number);
                            events.insert(place, Some(number));
                        }
                    }
                }
            }
            (Some(again), None) => world.now = again,
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// No row is lost, doubled, reordered or run late, and nobody waits for ever, whatever comes, leaves and fails.
    #[test]
    fn every_request_has_one_fate(
        requests in requests(80),
        instances in 1usize..4,
        preferred in 0usize..40,
        fails in 0usize..6,
        small in prop::bool::ANY,
        ahead in prop::bool::ANY,
    ) {
        let options = BatchOptions {
            preferred_batch_rows: preferred,
            max_queue_size: if small { 4 } else { 1024 },
            pipeline: if ahead { Pipeline::On } else { Pipeline::Off },
            ..BatchOptions::default()
        };
        let world = play(&requests, &options, (instances, fails));
        prop_assert!(world.schedule.is_empty());
        prop_assert_eq!(world.fates.len() + world.refused, requests.len());
        for (number, mut fate) in world.fates {
            let ran: usize = fate.runs.iter().sum();
            prop_assert!(fate.runs.iter().all(|runs| *runs <= 1), "{number}: a row is run twice");
            let told = fate.reply.try_recv();
            match told {
                _ if fate.left => {}
                Ok(Err(BatchError::ExpiredInQueue | BatchError::QueueFull { .. })) => {
                    prop_assert!(ran < fate.runs.len(), "{number}: all ran, and yet it expired");
                }
                Ok(Err(BatchError::Panicked(_))) => prop_assert!(fails > 0),
                // The simulation runs no tensors: a job whose rows all ran has no answer yet.
                Err(oneshot::error::TryRecvError::Empty) => {
                    prop_assert_eq!(ran, fate.runs.len(), "{}: rows are lost", number);
                }
                other => prop_assert!(false, "{number}: {other:?}"),
            }
        }
    }
}

/// So many requests a second of one row each, for a while.
fn steady(
    caller: u8,
    (per_s, seconds): (f64, f64),
    (rows, due_us): (usize, u64),
) -> Vec<(f64, Request)> {
    let count = (per_s * seconds) as usize;
    let request = |at: usize| {
        let request = Request {
            after_us: 0,
            lengths: vec![8; rows],
            due_us,
            priority: 2,
            caller,
            leaves_us: None,
        };
        (at as f64 / per_s, request)
    };
    (0..count).map(request).collect()
}

fn merged(mut all: Vec<(f64, Request)>) -> Vec<Request> {
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut before = 0.0;
    let gap = |(at, request): (f64, Request)| {
        let after_us = ((at - before) * 1e6).round() as u64;
        before = at;
        Request { after_us, ..request }
    };
    all.into_iter().map(gap).collect()
}

/// How many requests of a caller were answered with all rows.
fn answered(world: &World, caller: u8) -> usize {
    let name = CallerName::parse(&format!("caller {caller}"));
    let of_caller = world.fates.values().filter(|fate| Some(&fate.job.caller) == name.as_ref());
    of_caller.filter(|fate| fate.runs.iter().all(|runs| *runs == 1)).count()
}

/// One row of length 8 costs at best some 83 us: an instance does some 12,000 of them a second.
#[test]
fn under_overload_nearly_all_that_can_be_done_is_done_in_time() {
    let load = steady(0, (2000.0, 2.0), (9, 20_000));
    let peak = 2.0 * 512.0 / 5310e-6 / (8.0 * 9.0);
    let world = play(&merged(load), &BatchOptions::default(), (1, 0));
    let done = answered(&world, 0) as f64;
    assert!(world.refused > 500, "{} were refused", world.refused);
    assert!(done >= 0.9 * peak, "{done} of {peak} were answered");
    let admitted = world.fates.len() as f64;
    assert!(done >= 0.97 * admitted, "{done} of {admitted} that were let in were answered");
}

#[test]
fn a_flood_of_one_caller_delays_no_other() {
    let mut load = steady(0, (3000.0, 2.0), (9, 50_000));
    load.extend(steady(1, (100.0, 2.0), (9, 50_000)));
    let world = play(&merged(load), &BatchOptions::default(), (1, 0));
    assert!(answered(&world, 1) >= 198, "{} of 200", answered(&world, 1));
    assert!(answered(&world, 0) > 1000, "the flood has the rest");
}

#[test]
fn a_low_priority_is_passed_and_does_not_starve() {
    let mut load = steady(0, (2600.0, 3.0), (9, 400_000));
    let mut low = steady(1, (20.0, 1.0), (9, 2_900_000));
    low.iter_mut().for_each(|(_, request)| request.priority = 3);
    load.extend(low);
    let options = BatchOptions { max_queue_size: 100_000, ..BatchOptions::default() };
    let world = play(&merged(load), &options, (1, 0));
    assert_eq!(answered(&world, 1), 20);
}

#[test]
fn what_can_be_scored_in_time_is_let_in_and_no_more() {
    let mut world = World::new(&BatchOptions::default(), 1, 0);
    let rows = |count: usize| Request {
        after_us: 0,
        lengths: vec![1; count],
        due_us: 50_000,
        priority: 2,
        caller: 0,
        leaves_us: None,
    };
    world.arrive(&rows(1500));
    let outlook = |world: &World, rows: usize| {
        let deadline = Deadline::after(world.now, us(50_000));
        let caller = CallerName::default();
        let asked = Asked { rows, deadline, priority: None, caller: &caller };
        world.schedule.outlook(world.now, &asked)
    };
    assert!(matches!(outlook(&world, 1000), Outlook::InTime));
    let Outlook::Partly { rows: can, late, tried: false } = outlook(&world, 100_000) else {
        panic!("100,000 rows take a second");
    };
    assert!(late.retry_after().is_some_and(|after| after > us(900_000)), "{late}");
    assert!((1500..3000).contains(&can), "{can}: 0.8 of 50 ms less 16 ms, at 96 rows a ms");
    assert!(world.arrive(&rows(100_000)).is_none());
    assert!(world.arrive(&rows(can)).is_some());
}

#[test]
fn a_wrong_expectation_is_put_right_by_what_it_refuses() {
    let mut world = World::new(&BatchOptions::default(), 1, 0);
    // Runs are said to take a hundred times as long as they will.
    (0..200).for_each(|_| world.schedule.observe(world.now, 64, (Duration::ZERO, us(83_000))));
    let request =
        Request { lengths: vec![8; 8], ..steady(0, (1.0, 1.0), (1, 50_000))[0].1.clone() };
    assert!(world.arrive(&request).is_none(), "what runs cost was shown just now");
    world.now += us(2_000_000);
    let trial = world.arrive(&request);
    assert!(trial.is_some(), "nothing has shown it since");
    assert!(world.arrive(&request).is_none(), "one trial at a time");
    world.takes = Some(us(830));
    world.step(false);
    world.now += us(830);
    world.step(false);
    assert!(trial.is_some_and(|number| world.fates[&number].runs == [1; 8]), "it was run");
    world.schedule.observe(world.now, 64, (Duration::ZERO, us(830)));
    assert!(world.arrive(&request).is_some(), "the trial has shown that runs are quick");
}

#[test]
fn a_lone_request_waits_for_nothing() {
    for instances in [1, 2] {
        let mut world = World::new(&BatchOptions::default(), instances, 0);
        (0..400).for_each(|_| world.schedule.observe(world.now, 64, (Duration::ZERO, us(83_000))));
        let request =
            Request { lengths: vec![8; 3], ..steady(0, (1.0, 1.0), (1, 5_000_000))[0].1.clone() };
        for _ in 0..5 {
            world.arrive(&request);
            assert!(world.step(false).is_some());
            let running = world.running.iter().flatten().next().map(|(until, _)| *until);
            let until = running.unwrap_or_else(|| panic!("{instances}: it waits"));
            world.now = until;
            assert_eq!(world.step(false), None);
            world.now += us(1);
        }
    }
}
