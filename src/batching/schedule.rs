//! What a model's queue does with who comes, leaves and runs: all of it decided here, without a clock, a lock or a thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    batching::{
        arrivals::Arrivals,
        close::{BatchBounds, Closed, Decision, Situation, decide},
        cost::CostTable,
        error::BatchError,
        job::{Job, Key, Priority},
        lane::Waiting,
        layout::BatchLayout,
        metrics::Backlog,
        options::BatchOptions,
        outlook::Outlook,
        pending::{Cut, Pending, Piece, Take},
    },
    deadline::Deadline,
    ids::CallerName,
};

/// How much of a new observation goes into how crowded the device is, and what a row costs.
const LEARNING_RATE: f64 = 0.05;

/// How long before an instance is free a batch for it is closed: its tensors are joined meanwhile.
const LEAD: Duration = Duration::from_micros(300);

/// The share of the time left that a partly scored order is planned for; the rest is for what predictions miss.
const CAUTION: f64 = 0.8;

/// For so long after a run, what runs cost counts as known; and for so many times as long as who asks would wait for an answer.
///
/// The second bounds the share of the device that goes into trials of what is truly too slow: a quarter.
const KNOWN_FOR: (Duration, u32) = (Duration::from_secs(1), 4);

/// What an instance is doing.
#[derive(Debug, Clone, Copy, Default)]
struct InFlight {
    /// Batches that it runs or that are made ready for it.
    batches: usize,
    size: usize,
    /// When it will be free, or since when it is; none before its first batch.
    free_at: Option<Instant>,
}

impl InFlight {
    /// What is left of its work at `now`.
    fn rest(&self, now: Instant) -> Duration {
        match (self.batches, self.free_at) {
            (0, _) | (_, None) => Duration::ZERO,
            (_, Some(free_at)) => free_at.saturating_duration_since(now),
        }
    }
}

/// A batch that an instance is to run.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) pieces: Vec<Piece>,
    pub(super) closed: Closed,
    /// The length that its units are padded to.
    pub(super) length: usize,
    /// Its units times what each costs.
    pub(super) size: usize,
    /// Its units over those that would have filled it.
    pub(super) fill: f32,
    /// How long its run will take, by what runs cost so far.
    pub(super) expected: Duration,
}

/// Who asks for how much, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) rows: usize,
    pub(super) deadline: Deadline,
    pub(super) priority: Option<Priority>,
    pub(super) caller: &'a CallerName,
}

/// The state of a model's queue.
#[derive(Debug)]
pub(super) struct Schedule {
    model: String,
    options: BatchOptions,
    cuts: bool,
    pending: Pending,
    cost: CostTable,
    arrivals: Arrivals,
    instances: Vec<InFlight>,
    /// The time that batches took with waiting for their turn on the device, over their runs.
    crowding: f64,
    /// What a row costs on average.
    row_weight: f64,
    next_number: u64,
    /// When a run last showed what runs cost, or was started to show it; none before the first request.
    shown: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(
        model: &str,
        layout: &BatchLayout,
        options: &BatchOptions,
        cost: CostTable,
        instances: usize,
    ) -> Self {
        Self {
            model: model.to_owned(),
            options: options.clone(),
            cuts: layout.cuts(),
            pending: Pending::new(layout.joins),
            row_weight: cost.usual_weight() as f64,
            cost,
            arrivals: Arrivals::default(),
            instances: vec![InFlight::default(); instances.max(1)],
            crowding: 1.0,
            next_number: 0,
            shown: None,
        }
    }

    /// What runs cost as far as is known.
    pub(super) fn cost(&self) -> &CostTable {
        &self.cost
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.jobs() == 0
    }

    /// What waits and runs now.
    pub(super) fn backlog(&self) -> Backlog {
        Backlog {
            requests: self.pending.jobs(),
            rows: self.pending.units(),
            busy: self.instances.iter().filter(|instance| instance.batches > 0).count(),
        }
    }

    /// Whether an instance has nothing to run.
    pub(super) fn has_idle(&self) -> bool {
        self.instances.iter().any(|instance| instance.batches == 0)
    }

    /// Lets a job wait, or refuses it; where the queue is full, one of a caller who waits for more than a share makes room for it.
    ///
    /// # Errors
    /// [`BatchError::QueueFull`] or [`BatchError::TooLate`].
    pub(super) fn admit(
        &mut self,
        now: Instant,
        mut job: Job,
        priority: Option<Priority>,
    ) -> Result<Arc<Job>, BatchError> {
        self.next_number += 1;
        self.arrivals.note(now);
        self.shown.get_or_insert(now);
        job.units.weigh(|length| self.cost.weight(length));
        let size = job.units.size();
        job.key = self.key(now, &job.caller, (size, job.deadline, priority));
        if let Err(late) = self.refuse_late(now, &job) {
            if !self.may_try(now, job.deadline) {
                return Err(late);
            }
            job.is_trial = true;
            self.shown = Some(now);
        }
        self.make_room(now, &job)?;
        let mean = size as f64 / job.units.count().max(1) as f64;
        self.row_weight += LEARNING_RATE * (mean - self.row_weight);
        let job = Arc::new(job);
        self.pending.insert(&job);
        Ok(job)
    }

    /// The place in the order of so much work of a caller that comes now.
    ///
    /// A level of priority, and what the caller has waiting beyond an equal share, counts as a later deadline; a deadline that is far
    /// off, as one that is not. So nobody is passed for longer than the levels and the backlog say.
    fn key(
        &self,
        now: Instant,
        caller: &CallerName,
        (size, deadline, priority): (usize, Deadline, Option<Priority>),
    ) -> Key {
        let level = priority.unwrap_or(self.options.default_priority).0;
        let below = u32::from(level.saturating_sub(1));
        let excess = self.pending.callers().excess(caller, size);
        let backlog = self.shared_out(self.cost.time_for(excess));
        let due = deadline.at().min(now + self.options.ageing);
        Key::new(due + self.options.ageing * below + backlog, self.next_number)
    }

    fn make_room(&mut self, now: Instant, job: &Job) -> Result<(), BatchError> {
        let limit = |pending: &Pending, wait: Duration| {
            let options = &self.options;
            match () {
                () if pending.jobs() == 0 => None,
                () if pending.jobs() >= options.max_queue_size => {
                    Some(format!("{} requests", options.max_queue_size))
                }
                () if pending.units() + job.units.count() > options.max_queue_rows => {
                    Some(format!("{} rows", options.max_queue_rows))
                }
                () if wait > options.max_queue_time => {
                    Some(format!("{} ms of work", options.max_queue_time.as_millis()))
                }
                () => None,
            }
        };
        let wait = self.wait_behind(self.pending.size(), now);
        let Some(limit) = limit(&self.pending, wait) else { return Ok(()) };
        let full = |retry_after: Duration| BatchError::QueueFull {
            model: self.model.clone(),
            limit,
            retry_after: retry_after.max(Duration::from_millis(1)),
        };
        let within_share = self.pending.callers().excess(&job.caller, job.units.size()) == 0;
        match self.pending.most_dispensable().filter(|other| {
            within_share && other.caller != job.caller && other.units.count() >= job.units.count()
        }) {
            Some(other) => {
                self.pending.remove(&other);
                other.fail(full(wait));
                Ok(())
            }
            None => Err(full(wait)),
        }
    }

    /// Refuses what cannot be answered before its deadline, as far as that can be told.
    fn refuse_late(&self, now: Instant, job: &Job) -> Result<(), BatchError> {
        let needed = self.needed(now, job.key, (job.units.size(), job.deadline));
        match needed {
            Some(needed) => Err(self.too_late(needed, job.deadline.remaining(now))),
            None => Ok(()),
        }
    }

    fn too_late(&self, needed: Duration, left: Duration) -> BatchError {
        BatchError::TooLate {
            model: self.model.clone(),
            needed_ms: needed.as_millis() as u64,
            left_ms: left.as_millis() as u64,
            retry_after: needed.saturating_sub(left).max(Duration::from_millis(1)),
        }
    }

    /// Whether a request that seems too late is to be run all the same: nobody waits, an instance is idle, and no run has shown for
    /// a while what runs cost. Without this, a wrong expectation would refuse all that could put it right.
    fn may_try(&self, now: Instant, deadline: Deadline) -> bool {
        let (least, times) = KNOWN_FOR;
        let known_for = least.max(deadline.remaining(now) * times);
        let is_known = self.shown.is_none_or(|shown| now < shown + known_for);
        !is_known && self.is_empty() && self.has_idle()
    }

    /// How long work of that size with that key needs, where that is longer than its deadline leaves it.
    fn needed(
        &self,
        now: Instant,
        key: Key,
        (size, deadline): (usize, Deadline),
    ) -> Option<Duration> {
        let left = deadline.remaining(now);
        if self.time_until(now, self.pending.size(), size) <= left {
            return None;
        }
        let needed = self.time_until(now, self.pending.size_before(key), size);
        (needed > left).then_some(needed)
    }

    /// What would become of a request that came now: in time, in time for some of its rows, or too late.
    pub(super) fn outlook(&self, now: Instant, asked: &Asked<'_>) -> Outlook {
        let size = |rows: usize| (rows as f64 * self.row_weight) as usize;
        let key = self.key(now, asked.caller, (size(asked.rows), asked.deadline, asked.priority));
        let Some(needed) = self.needed(now, key, (size(asked.rows), asked.deadline)) else {
            return Outlook::InTime;
        };
        let left = asked.deadline.remaining(now);
        let wait = self.wait_behind(self.pending.size_before(key), now);
        let time = left.mul_f64(CAUTION).saturating_sub(wait).div_f64(self.crowding);
        let instances = if self.cuts { self.instances.len() } else { 1 };
        let rows = self.cost.size_within(time).saturating_mul(instances) as f64 / self.row_weight;
        Outlook::Partly {
            rows: (rows as usize).min(asked.rows),
            late: self.too_late(needed, left),
            tried: self.may_try(now, asked.deadline),
        }
    }

    /// Takes a job out whose caller left.
    pub(super) fn forget(&mut self, job: &Job) {
        self.pending.remove(job);
    }

    /// What instance `number` does next, which may be busy still. With `last`, nothing waits for company.
    pub(super) fn decision(&self, now: Instant, number: usize, last: bool) -> Decision {
        let bounds = self.bounds();
        let free_at = self.instances[number].free_at.unwrap_or(now);
        let situation = self.situation(now, free_at, bounds.preferred);
        match decide(&situation, &bounds) {
            Decision::Wait(_) if last => Decision::Run(situation.waiting, Closed::NoCompany),
            decided => decided,
        }
    }

    fn situation(&self, now: Instant, free_at: Instant, preferred: usize) -> Situation {
        let (came, due, weight) = match self.pending.first() {
            Some(first) => (first.job.came, first.job.deadline.at(), first.weight()),
            None => (now, now, 1),
        };
        let waiting = self.pending.size();
        let first_run = self.cost.predict(waiting.min(preferred).max(weight));
        Situation {
            now,
            waiting,
            running: self.instances.iter().map(|instance| instance.size).sum(),
            instances: self.instances.len(),
            free_at,
            came,
            latest_start: due.checked_sub(first_run).unwrap_or(now),
            next_arrival: self.arrivals.gap(now),
        }
    }

    fn bounds(&self) -> BatchBounds {
        let options = &self.options;
        let weight = self.pending.first().map_or(1, Waiting::weight).max(1);
        let most = options.max_batch_rows.saturating_mul(weight);
        let preferred = match options.preferred_batch_rows {
            0 => self.cost.preferred_size().unwrap_or(most),
            rows => rows.saturating_mul(weight),
        };
        BatchBounds {
            preferred: preferred.clamp(weight, most.max(weight)),
            linger: (self.cost.overhead() / 2).min(options.max_queue_delay),
            max_queue_delay: options.max_queue_delay,
            lead: LEAD,
        }
    }

    /// Takes a batch of that size for instance `number`, to run once it is free; none where all that could be taken was too late.
    ///
    /// Jobs that cannot be in time any more are answered here.
    pub(super) fn take(
        &mut self,
        now: Instant,
        number: usize,
        (size, closed): (usize, Closed),
    ) -> Option<Taken> {
        let start = now + self.instances[number].rest(now);
        let preferred = self.bounds().preferred;
        let cut = Cut { least: self.cost.least_size().unwrap_or(1), longest: preferred };
        let cut = self.cuts.then_some(cut);
        let saturated = preferred.saturating_mul(1 + self.instances.len());
        let take = Take { now: start, size, cut, saturated, cost: &self.cost };
        let batch = self.pending.take(&take);
        batch.missed.iter().for_each(|job| job.fail(BatchError::ExpiredInQueue));
        if batch.pieces.is_empty() {
            return None;
        }
        let size = batch.size();
        let instance = &mut self.instances[number];
        instance.batches += 1;
        instance.size += size;
        let expected = self.cost.predict(size);
        instance.free_at = Some(start + expected);
        Some(Taken {
            expected,
            closed: if batch.hurried { Closed::Slack } else { closed },
            length: batch.length,
            size,
            fill: (size as f32 / preferred.max(1) as f32).min(1.0),
            pieces: batch.pieces,
        })
    }

    /// Notes that instance `number` is done with a batch of that size.
    pub(super) fn finished(&mut self, now: Instant, number: usize, size: usize) {
        let instance = &mut self.instances[number];
        instance.batches -= 1;
        instance.size -= size;
        instance.free_at = Some(now + self.cost.predict(instance.size));
    }

    /// Learns from a run of that size, which had waited so long for its turn on the device.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        size: usize,
        (waited, ran): (Duration, Duration),
    ) {
        self.cost.observe(size, ran);
        self.shown = Some(now);
        let whole = (waited + ran).as_secs_f64() / ran.as_secs_f64().max(1e-9);
        self.crowding += LEARNING_RATE * (whole.min(self.crowding * 4.0) - self.crowding);
    }

    /// How long a job waits behind so much, in front of instances that run something.
    fn wait_behind(&self, size: usize, now: Instant) -> Duration {
        if size == 0 && self.has_idle() {
            return Duration::ZERO;
        }
        let running: Duration = self.instances.iter().map(|instance| instance.rest(now)).sum();
        self.shared_out(self.cost.time_for(size) + running)
    }

    /// A time of work as it is when all instances do it.
    fn shared_out(&self, time: Duration) -> Duration {
        (time / self.instances.len() as u32).mul_f64(self.crowding)
    }

    /// How long it takes until work of a size is done that waits behind so much: after the whole batches before it, one that will be
    /// as full as those are.
    fn time_until(&self, now: Instant, before: usize, size: usize) -> Duration {
        let all = before + size;
        let full = self.cost.preferred_size().unwrap_or(size);
        let last = if self.cuts { full.min(all) } else { full.min(all).max(size) };
        let ahead = if self.cuts { all.saturating_sub(1) } else { before };
        let whole = ahead / full.max(1) * full;
        self.wait_behind(whole, now) + self.cost.predict(last).mul_f64(self.crowding)
    }
}
