//! One request's work: its tensors, its place in the order, and what has come of it so far.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    batching::{
        error::BatchError,
        note::{BatchFacts, BatchNote},
        running::Running,
        units::Units,
    },
    deadline::Deadline,
    ids::CallerName,
    telemetry::TraceContext,
    tensor::Tensor,
};

/// Batches that a job remembers; of one that is cut into more, the first ones.
const MOST_NOTES: usize = 32;

/// How urgent a job is: 1 is the highest, [`Priority::LOWEST`] the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
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
    /// How urgent it is; none: as the model's configuration says.
    pub priority: Option<Priority>,
    /// Who asks.
    pub caller: CallerName,
    /// What it is a part of.
    pub trace: TraceContext,
}

impl Work {
    /// Work of nobody in particular, as urgent as other work.
    pub fn new(inputs: Vec<Tensor>, deadline: Deadline) -> Self {
        let (caller, trace) = (CallerName::default(), TraceContext::default());
        Self { inputs, deadline, priority: None, caller, trace }
    }
}

/// What a job went through; of a job that was cut, sums of times and the last of its batches.
#[derive(Debug, Clone, Default)]
pub struct Trip {
    /// When it came to the queue; none where it never did.
    pub came: Option<Instant>,
    /// From its arrival to the start of its first batch.
    pub queued: Duration,
    /// Batches of the model that ran in that time.
    pub ahead: u64,
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
    /// What is noted of them; of very many, the first ones.
    pub notes: Vec<Arc<BatchNote>>,
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
/// Every level of priority below the first, and what the caller has waiting beyond an equal share, adds to a deadline. Whoever waits is
/// therefore passed by others only for so long: none starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    virtual_deadline: Instant,
    number: u64,
}

impl Key {
    pub(super) fn new(virtual_deadline: Instant, number: u64) -> Self {
        Self { virtual_deadline, number }
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
    pub(super) units: Units,
    pub(super) deadline: Deadline,
    pub(super) caller: CallerName,
    pub(super) trace: TraceContext,
    pub(super) came: Instant,
    pub(super) key: Key,
    /// Batches that the model had run when it came.
    pub(super) number: u64,
    /// Whether it was let in against what runs cost so far, and is run whatever that says.
    pub(super) is_trial: bool,
    progress: Mutex<Progress>,
}

/// The way back to who waits: the outputs in the order of the manifest.
pub(super) type Reply = oneshot::Sender<Result<Vec<Tensor>, BatchError>>;

/// What has come of a job so far.
#[derive(Debug)]
pub(super) struct Progress {
    reply: Option<Reply>,
    outputs: Vec<Tensor>,
    left: usize,
    trip: Trip,
    running: Vec<Arc<Running>>,
}

impl Progress {
    fn wanted(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }
}

impl Job {
    /// A job that came at `came`; it has its place in the order once it is let in.
    pub(super) fn new(work: Work, units: Units, came: Instant, reply: Reply) -> Self {
        let Work { inputs, deadline, caller, trace, .. } = work;
        let progress = Progress {
            reply: Some(reply),
            outputs: Vec::new(),
            left: units.count(),
            trip: Trip { came: Some(came), ..Trip::default() },
            running: Vec::new(),
        };
        let key = Key::new(deadline.at(), 0);
        let progress = Mutex::new(progress);
        Self {
            inputs,
            units,
            deadline,
            caller,
            trace,
            came,
            key,
            number: 0,
            is_trial: false,
            progress,
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody still waits for it.
    pub(super) fn wanted(&self) -> bool {
        self.progress().wanted()
    }

    /// Notes that a batch with some of its units starts; says whether anybody waits for it.
    pub(super) fn start(&self, at: Instant, running: &Arc<Running>, note: &Arc<BatchNote>) -> bool {
        let mut progress = self.progress();
        if !progress.wanted() {
            return false;
        }
        if progress.trip.batches == 0 {
            progress.trip.queued = at.saturating_duration_since(self.came);
            progress.trip.ahead = note.number.saturating_sub(self.number);
        }
        progress.trip.batches += 1;
        if progress.trip.notes.len() < MOST_NOTES {
            progress.trip.notes.push(Arc::clone(note));
        }
        progress.running.push(Arc::clone(running));
        true
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

    /// What it has been through; it is forgotten here.
    pub(super) fn take_trip(&self) -> Trip {
        std::mem::take(&mut self.progress().trip)
    }

    /// Answers with an error; what still runs of it is of no use.
    pub(super) fn fail(&self, error: BatchError) {
        let reply = self.progress().reply.take();
        self.leave();
        if let Some(reply) = reply {
            let _ = reply.send(Err(error));
        }
    }

    /// Takes a batch's outputs of so many of its units by `fill`; answers when they were the last.
    pub(super) fn finish(
        &self,
        units: usize,
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
        progress.left = progress.left.saturating_sub(units);
        let trip = &mut progress.trip;
        trip.assembled += batch.assembled;
        trip.ran += batch.ran;
        trip.scattered += begun.elapsed();
        trip.batch = Some(batch.facts);
        if progress.left == 0
            && let Some(reply) = progress.reply.take()
        {
            let outputs = std::mem::take(&mut progress.outputs);
            let _ = reply.send(Ok(outputs));
        }
    }
}
