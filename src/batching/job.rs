//! One request's work: its tensors, its place in the order, and what has come of it so far.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    batching::{close::Closed, error::BatchError, running::Running},
    deadline::Deadline,
    tensor::Tensor,
};

/// How urgent a job is: 1 is the highest, [`Priority::LOWEST`] the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(pub u8);

impl Priority {
    /// The lowest level.
    pub const LOWEST: u8 = 8;
}

impl Default for Priority {
    fn default() -> Self {
        Self(2)
    }
}

/// What shall be run.
#[derive(Debug)]
pub struct Work {
    /// One tensor for each input, in the order given at the start of the queue.
    pub inputs: Vec<Tensor>,
    /// When the answer is of no use any more.
    pub deadline: Deadline,
    /// How urgent it is.
    pub priority: Priority,
}

/// What came of a job.
#[derive(Debug)]
pub struct Ran {
    /// The outputs in the order of the manifest.
    pub outputs: Vec<Tensor>,
    /// What the job went through.
    pub trip: Trip,
}

/// What a job went through; of a job that was cut, sums of times and the last of its batches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trip {
    /// From its arrival to the start of its first batch.
    pub queued: Duration,
    /// Joining its batches' tensors.
    pub assembled: Duration,
    /// Its batches' runs, which may have gone on side by side.
    pub ran: Duration,
    /// Taking the outputs apart.
    pub scattered: Duration,
    /// Batches that it was in.
    pub batches: usize,
    /// The last of them.
    pub batch: Option<BatchFacts>,
}

/// What is told of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchFacts {
    /// Its rows, or users where the model is run by users.
    pub units: usize,
    /// The requests that shared it.
    pub jobs: usize,
    /// Its units over those that the device gains from.
    pub fill: f32,
    /// The share of its padded inputs that was padding.
    pub padding: f32,
    /// Why it was closed.
    pub closed: Closed,
}

/// A batch that has run.
#[derive(Debug, Clone, Copy)]
pub(super) struct RanBatch {
    /// How long joining its tensors took.
    pub(super) assembled: Duration,
    /// How long the run took.
    pub(super) ran: Duration,
    /// What is told of it.
    pub(super) facts: BatchFacts,
}

/// The order in which jobs are run: virtual deadline first, then arrival.
///
/// Every level of priority below the first adds [`Key::AGEING`] to a deadline. Whoever waits is therefore passed by more urgent
/// jobs only for so long: none starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    virtual_deadline: Instant,
    number: u64,
}

impl Key {
    /// How long a job is passed by those one level above that came later with as long to go.
    pub(super) const AGEING: Duration = Duration::from_secs(1);

    pub(super) fn new(work: &Work, number: u64) -> Self {
        let below = u32::from(work.priority.0.saturating_sub(1));
        Self { virtual_deadline: work.deadline.at() + Self::AGEING * below, number }
    }

    /// The job's number, in the order of arrival.
    #[cfg(test)]
    pub(super) fn number(self) -> u64 {
        self.number
    }
}

/// A job on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) inputs: Vec<Tensor>,
    pub(super) deadline: Deadline,
    pub(super) key: Key,
    pub(super) came: Instant,
    /// Rows, or 1 where the model is run by users.
    pub(super) units: usize,
    /// The length that its units are padded to; 1 where nothing is.
    pub(super) length: usize,
    progress: Mutex<Progress>,
}

/// What has come of a job so far.
#[derive(Debug)]
pub(super) struct Progress {
    reply: Option<oneshot::Sender<Result<Ran, BatchError>>>,
    outputs: Vec<Tensor>,
    left: usize,
    trip: Trip,
    running: Vec<Arc<Running>>,
}

impl Job {
    pub(super) fn new(
        work: Work,
        number: u64,
        came: Instant,
        (units, length): (usize, usize),
        reply: oneshot::Sender<Result<Ran, BatchError>>,
    ) -> Self {
        let key = Key::new(&work, number);
        let progress = Progress {
            reply: Some(reply),
            outputs: Vec::new(),
            left: units,
            trip: Trip::default(),
            running: Vec::new(),
        };
        let Work { inputs, deadline, .. } = work;
        Self { inputs, deadline, key, came, units, length, progress: Mutex::new(progress) }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody still waits for it.
    pub(super) fn wanted(&self) -> bool {
        self.progress().reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    /// Notes that a batch with some of its units starts.
    pub(super) fn start(&self, now: Instant, running: &Arc<Running>) {
        let mut progress = self.progress();
        if progress.trip.batches == 0 {
            progress.trip.queued = now.saturating_duration_since(self.came);
        }
        progress.trip.batches += 1;
        progress.running.push(Arc::clone(running));
    }

    /// Notes that nobody waits for it any more; says whether a part of it had been started.
    pub(super) fn leave(&self) -> bool {
        let mut progress = self.progress();
        progress.reply = None;
        for running in progress.running.drain(..) {
            running.leave();
        }
        progress.trip.batches > 0
    }

    /// Answers with an error; what still runs of it is of no use.
    pub(super) fn fail(&self, error: BatchError) {
        let reply = self.progress().reply.take();
        self.leave();
        if let Some(reply) = reply {
            let _ = reply.send(Err(error));
        }
    }

    /// Takes a batch's outputs of some of its units by `fill`; answers when they were the last.
    pub(super) fn finish(
        &self,
        units: &Range<usize>,
        running: &Arc<Running>,
        batch: &RanBatch,
        fill: impl FnOnce(&mut Vec<Tensor>),
    ) {
        let begun = Instant::now();
        let mut progress = self.progress();
        progress.running.retain(|one| !Arc::ptr_eq(one, running));
        if progress.reply.is_none() {
            return;
        }
        fill(&mut progress.outputs);
        progress.left = progress.left.saturating_sub(units.len());
        let trip = &mut progress.trip;
        trip.assembled += batch.assembled;
        trip.ran += batch.ran;
        trip.scattered += begun.elapsed();
        trip.batch = Some(batch.facts);
        if progress.left == 0
            && let Some(reply) = progress.reply.take()
        {
            let outputs = std::mem::take(&mut progress.outputs);
            let _ = reply.send(Ok(Ran { outputs, trip: progress.trip }));
        }
    }
}
