//! What callers and instances of one model share: the schedule under its lock, and news of it.

use std::{
    collections::HashSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    batching::{
        buckets::Buckets,
        close::Decision,
        cost::CostTable,
        counters::Counters,
        error::BatchError,
        job::{Job, Priority},
        layout::BatchLayout,
        metrics::{Backlog, BatchMetrics},
        options::BatchOptions,
        outlook::Outlook,
        schedule::{Asked, Schedule, Taken},
        turns::{DeviceAccount, Turn, Turns},
    },
    telemetry::SpanQueue,
};

#[derive(Debug)]
struct State {
    schedule: Schedule,
    closed: bool,
    /// Instances that wait for news, the one that ran last at the end: its memory is likeliest to be in the caches still.
    sleepers: Vec<usize>,
}

/// What callers and instances of one model share; its lock is held for as long as a few jobs take to look at, never across a run.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) layout: BatchLayout,
    pub(super) buckets: Buckets,
    pub(super) counters: Counters,
    pub(super) metrics: BatchMetrics,
    /// The model and version.
    pub(super) model: Arc<str>,
    /// Where its instances run.
    pub(super) device: Arc<str>,
    /// Where batches are told of.
    pub(super) spans: SpanQueue,
    /// The buckets that each instance has run batches of.
    warm: Vec<Mutex<HashSet<usize>>>,
    /// One for each device; instances go round over them.
    devices: Vec<DeviceAccount>,
    state: Mutex<State>,
    /// Told when a job came, or the queue closed; one for each instance.
    news: Vec<Condvar>,
}

impl Shared {
    pub(super) fn new(
        (model, device, spans): (&str, &str, SpanQueue),
        layout: BatchLayout,
        options: &BatchOptions,
        cost: CostTable,
        (warm, turns): (Vec<HashSet<usize>>, &[Arc<Turns>]),
    ) -> Self {
        let instances = warm.len();
        let buckets = Buckets::new(&options.length_buckets);
        let warm_buckets = |lengths: &HashSet<usize>| {
            lengths.iter().map(|length| buckets.bound(*length)).collect()
        };
        let schedule = Schedule::new(model, &layout, options, cost, instances);
        Self {
            layout,
            counters: Counters::default(),
            metrics: BatchMetrics::default(),
            model: model.into(),
            device: device.into(),
            spans,
            warm: warm.iter().map(|lengths| Mutex::new(warm_buckets(lengths))).collect(),
            buckets,
            devices: turns.iter().map(Turns::account).collect(),
            state: Mutex::new(State { schedule, closed: false, sleepers: Vec::new() }),
            news: (0..instances).map(|_| Condvar::new()).collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a job wait, or refuses it.
    pub(super) fn admit(
        &self,
        now: Instant,
        mut job: Job,
        priority: Option<Priority>,
    ) -> Result<Arc<Job>, BatchError> {
        let mut state = self.state();
        if state.closed {
            return Err(BatchError::Stopped);
        }
        job.number = self.counters.read().batches;
        let admitted = state.schedule.admit(now, job, priority);
        if admitted.is_ok() {
            self.wake_one(&mut state);
        }
        admitted
    }

    /// What would become of a request that came now.
    pub(super) fn outlook(&self, now: Instant, asked: &Asked<'_>) -> Outlook {
        self.state().schedule.outlook(now, asked)
    }

    /// What waits and runs now.
    pub(super) fn backlog(&self) -> Backlog {
        self.state().schedule.backlog()
    }

    /// Whether nothing waits and an instance has nothing to run.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.schedule.is_empty() && state.schedule.has_idle()
    }

    /// Takes a job out whose caller left.
    pub(super) fn forget(&self, job: &Job) {
        self.state().schedule.forget(job);
    }

    /// Closes the queue: what waits is still run, nothing more is let in.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake();
    }

    /// Notes that an instance runs a batch of that length; says whether it never did before.
    pub(super) fn is_first_of_length(&self, number: usize, length: usize) -> bool {
        let warm = self.warm.get(number).map(|warm| warm.lock());
        let length = self.buckets.bound(length);
        warm.is_some_and(|warm| warm.unwrap_or_else(PoisonError::into_inner).insert(length))
    }

    /// The account with the device of instance `number`.
    fn device(&self, number: usize) -> &DeviceAccount {
        &self.devices[number % self.devices.len()]
    }

    /// Waits for a turn on the device of instance `number`.
    pub(super) fn enter(&self, number: usize) -> Turn<'_> {
        self.device(number).enter()
    }

    /// Waits until instance `number` has something to run and a turn on the device; `None` once the queue is closed and empty.
    ///
    /// A batch is closed no earlier than its turn has come.
    pub(super) fn next(&self, number: usize) -> Option<(Taken, Turn<'_>)> {
        let mut state = self.state();
        let mut turn: Option<Turn<'_>> = None;
        loop {
            let (now, last) = (Instant::now(), state.closed);
            match (state.schedule.decision(now, number, last), turn.take()) {
                (Decision::Run(size, closed), Some(own)) => {
                    if let Some(taken) = state.schedule.take(now, number, (size, closed)) {
                        self.wake_another(&mut state);
                        return Some((taken, own));
                    }
                }
                (Decision::Run(..), None) => match self.device(number).try_enter() {
                    Some(own) => turn = Some(own),
                    None => {
                        drop(state);
                        turn = Some(self.enter(number));
                        state = self.state();
                    }
                },
                (Decision::Sleep, _) if last => return None,
                (decision, unused) => {
                    // A turn that is slept on is one that nobody has.
                    drop(unused);
                    state = self.sleep(state, number, (decision, now));
                }
            }
        }
    }

    /// Waits until a batch for instance `number` should be closed, which may be busy with another one; `None` once the queue is closed
    /// and empty.
    pub(super) fn next_ahead(&self, number: usize) -> Option<Taken> {
        let mut state = self.state();
        loop {
            let (now, last) = (Instant::now(), state.closed);
            match state.schedule.decision(now, number, last) {
                Decision::Run(size, closed) => {
                    if let Some(taken) = state.schedule.take(now, number, (size, closed)) {
                        self.wake_another(&mut state);
                        return Some(taken);
                    }
                }
                Decision::Sleep if last => return None,
                decision => state = self.sleep(state, number, (decision, now)),
            }
        }
    }

    /// Has another instance look, where one sleeps and something still waits.
    fn wake_another(&self, state: &mut State) {
        if !state.schedule.is_empty() {
            self.wake_one(state);
        }
    }

    /// Wakes the instance that ran last of those that sleep.
    fn wake_one(&self, state: &mut State) {
        if let Some(number) = state.sleepers.pop() {
            self.news[number].notify_one();
        }
    }

    /// Has whoever makes batches ready ahead look, since an instance is free earlier or later than was foreseen.
    pub(super) fn wake(&self) {
        self.news.iter().for_each(Condvar::notify_one);
    }

    fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        number: usize,
        (decision, now): (Decision, Instant),
    ) -> MutexGuard<'a, State> {
        state.sleepers.push(number);
        let news = &self.news[number];
        let mut state = match decision {
            Decision::Wait(until) => {
                let wait = until.saturating_duration_since(now);
                news.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
            }
            _ => news.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.sleepers.retain(|sleeper| *sleeper != number);
        state
    }

    /// Notes that instance `number` is done with a batch of that size; learns from it where it ran, having waited so long for its turn.
    pub(super) fn finished(&self, number: usize, size: usize, ran: Option<(Duration, Duration)>) {
        let mut state = self.state();
        let now = Instant::now();
        if let Some(took) = ran {
            state.schedule.observe(now, size, took);
        }
        state.schedule.finished(now, number, size);
    }

    /// What runs cost as far as is known.
    pub(super) fn cost(&self) -> CostTable {
        self.state().schedule.cost().clone()
    }
}
