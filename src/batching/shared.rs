//! What callers and instances of one model share: the jobs that wait, what runs, what runs cost.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::batching::{
    close::{BatchBounds, Closed, Decision, Situation, decide},
    cost::CostTable,
    error::BatchError,
    job::{Job, Key},
    layout::BatchLayout,
    options::BatchOptions,
    pending::{Cut, Pending, Piece},
};

/// What an instance is doing.
#[derive(Debug, Clone, Copy)]
struct Busy {
    units: usize,
    until: Instant,
}

#[derive(Debug)]
struct State {
    pending: Pending,
    cost: CostTable,
    busy: Vec<Option<Busy>>,
    next_number: u64,
    closed: bool,
}

/// A batch that an instance is to run.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) pieces: Vec<Piece>,
    pub(super) closed: Closed,
    /// Units that would have filled it.
    pub(super) preferred: usize,
}

/// What callers and instances of one model share; its lock is held for as long as a few jobs take to look at.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) model: String,
    pub(super) layout: BatchLayout,
    options: BatchOptions,
    state: Mutex<State>,
    /// Told when a job came, or the queue closed.
    news: Condvar,
}

impl Shared {
    pub(super) fn new(
        model: &str,
        layout: BatchLayout,
        options: &BatchOptions,
        cost: CostTable,
        instances: usize,
    ) -> Self {
        let pending = Pending::new(layout.joins);
        let busy = vec![None; instances];
        let state = State { pending, cost, busy, next_number: 0, closed: false };
        Self {
            model: model.to_owned(),
            layout,
            options: options.clone(),
            state: Mutex::new(state),
            news: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a job wait, or refuses it; `make` gets its number.
    pub(super) fn admit(
        &self,
        now: Instant,
        make: impl FnOnce(u64) -> Job,
    ) -> Result<Arc<Job>, BatchError> {
        let mut state = self.state();
        if state.closed {
            return Err(BatchError::Stopped);
        }
        state.next_number += 1;
        let job = make(state.next_number);
        self.refuse_full(&state, &job, now)?;
        self.refuse_late(&state, &job, now)?;
        let job = Arc::new(job);
        state.pending.insert(Arc::clone(&job));
        let idle = state.busy.iter().any(Option::is_none);
        drop(state);
        if idle {
            self.news.notify_one();
        }
        Ok(job)
    }

    fn refuse_full(&self, state: &State, job: &Job, now: Instant) -> Result<(), BatchError> {
        let pending = &state.pending;
        let limit = if pending.jobs() >= self.options.max_queue_size {
            format!("{} requests", self.options.max_queue_size)
        } else if pending.jobs() > 0 && pending.units() + job.units > self.options.max_queue_rows {
            format!("{} rows", self.options.max_queue_rows)
        } else {
            return Ok(());
        };
        let retry_after = state.wait_behind(pending.size(), now).max(Duration::from_millis(1));
        Err(BatchError::QueueFull { model: self.model.clone(), limit, retry_after })
    }

    /// Refuses what cannot be answered before its deadline, as far as that can be told.
    fn refuse_late(&self, state: &State, job: &Job, now: Instant) -> Result<(), BatchError> {
        let left = job.deadline.remaining(now);
        let own = state.run_time(job, self.layout.cuts());
        if state.wait_behind(state.pending.size(), now) + own <= left {
            return Ok(());
        }
        let needed = state.wait_behind(state.pending.size_before(job.key), now) + own;
        if needed <= left {
            return Ok(());
        }
        Err(BatchError::TooLate {
            model: self.model.clone(),
            needed_ms: needed.as_millis() as u64,
            left_ms: left.as_millis() as u64,
            retry_after: (needed - left).max(Duration::from_millis(1)),
        })
    }

    /// Takes a job out whose caller left.
    pub(super) fn forget(&self, key: Key) {
        self.state().pending.remove(key);
    }

    /// Closes the queue: what waits is still run, nothing more is let in.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.news.notify_all();
    }

    /// Waits until instance `number` has something to run; `None` once the queue is closed and empty.
    pub(super) fn next(&self, number: usize) -> Option<Taken> {
        let mut state = self.state();
        state.busy[number] = None;
        let idle_since = Instant::now();
        loop {
            let now = Instant::now();
            let (situation, bounds) = self.situation(&state, now, idle_since);
            let decision = match decide(&situation, &bounds) {
                Decision::Wait(_) if state.closed => {
                    Decision::Run(situation.waiting, Closed::NoCompany)
                }
                decided => decided,
            };
            state = match decision {
                Decision::Sleep if state.closed => return None,
                Decision::Sleep => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                Decision::Wait(until) => {
                    let wait = until.saturating_duration_since(now);
                    self.news.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                Decision::Run(units, closed) => {
                    let pieces = self.take(&mut state, (number, now), units, &bounds);
                    if !pieces.is_empty() {
                        return Some(Taken { pieces, closed, preferred: bounds.preferred });
                    }
                    state
                }
            };
        }
    }

    fn situation(
        &self,
        state: &State,
        now: Instant,
        idle_since: Instant,
    ) -> (Situation, BatchBounds) {
        let instances = state.busy.len();
        let bounds = self.bounds(state);
        let (came, due) = state.pending.first_times().unwrap_or((now, now));
        let waiting = state.pending.joinable(bounds.preferred.saturating_mul(instances));
        let first_run = state.pending.first().map_or(Duration::ZERO, |job| {
            state.cost.predict(job.length * waiting.min(bounds.preferred))
        });
        let situation = Situation {
            now,
            waiting,
            running: state.busy.iter().flatten().map(|busy| busy.units).sum(),
            instances,
            idle_since,
            came,
            latest_start: due.checked_sub(first_run).unwrap_or(now),
        };
        (situation, bounds)
    }

    fn bounds(&self, state: &State) -> BatchBounds {
        let options = &self.options;
        let length = state.pending.first().map_or(1, |job| job.length).max(1);
        let measured = state.cost.preferred_size().map(|size| size.div_ceil(length));
        let least_cut = state.cost.least_size().map_or(1, |size| size.div_ceil(length));
        let preferred = match options.preferred_batch_rows {
            0 => measured.unwrap_or(options.max_batch_rows),
            rows => rows,
        };
        BatchBounds {
            preferred: preferred.clamp(1, options.max_batch_rows.max(1)),
            least_cut,
            linger: (state.cost.overhead() / 2).min(options.max_queue_delay),
            max_queue_delay: options.max_queue_delay,
        }
    }

    /// Takes up to so many units for an instance; nothing where all that could be taken is too late.
    fn take(
        &self,
        state: &mut State,
        (number, now): (usize, Instant),
        units: usize,
        bounds: &BatchBounds,
    ) -> Vec<Piece> {
        let cut = Cut { least: bounds.least_cut, longest: bounds.preferred };
        let cut = self.layout.cuts().then_some(cut);
        let cost = &state.cost;
        let late = |job: &Job| {
            let own = cost.predict(job.length * job.units.min(units));
            job.deadline.expired(now + own)
        };
        let (pieces, missed) = state.pending.take(units, cut, late);
        for job in missed {
            job.fail(BatchError::ExpiredInQueue);
        }
        let units: usize = pieces.iter().map(|piece| piece.units.len()).sum();
        if units == 0 {
            return pieces;
        }
        let longest = pieces.iter().map(|piece| piece.job.length).max().unwrap_or(1);
        let until = now + state.cost.predict(units * longest);
        state.busy[number] = Some(Busy { units, until });
        if state.pending.jobs() > 0 && state.busy.iter().any(Option::is_none) {
            self.news.notify_one();
        }
        pieces
    }

    /// Learns how long a batch of that size ran.
    pub(super) fn observe(&self, size: usize, ran: Duration) {
        self.state().cost.observe(size, ran);
    }

    /// What runs cost as far as is known.
    pub(super) fn cost(&self) -> CostTable {
        self.state().cost.clone()
    }
}

impl State {
    /// How long a job waits behind so much, in front of instances that run something.
    fn wait_behind(&self, size: usize, now: Instant) -> Duration {
        let rest = |busy: &Busy| busy.until.saturating_duration_since(now);
        let running: Duration = self.busy.iter().flatten().map(rest).sum();
        let all = self.cost.time_for(size) + running;
        match self.busy.iter().any(Option::is_none) && size == 0 {
            true => Duration::ZERO,
            false => all / self.busy.len().max(1) as u32,
        }
    }

    /// How long a job itself runs, on all instances where it may be cut.
    fn run_time(&self, job: &Job, cuts: bool) -> Duration {
        let size = job.units * job.length;
        match cuts {
            true => self.cost.time_for(size) / self.busy.len().max(1) as u32,
            false => self.cost.predict(size),
        }
    }
}
