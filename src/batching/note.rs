//! What is noted of a batch, for those whose rows were in it.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{batching::close::Closed, telemetry::TraceContext};

/// Somebody who is told of wants the batch told of, too.
const WANTED: u8 = 1;
/// It is over.
const OVER: u8 = 2;

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

/// One request's part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The request, or what else its rows belong to.
    pub trace: TraceContext,
    /// Its rows, or users where the model is run by users.
    pub units: usize,
    /// The longest of them.
    pub length: usize,
}

/// How a batch ended.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchEnd {
    /// With outputs.
    Ran,
    /// Nobody waited for it any more, or could get it in time: it did not run.
    Abandoned,
    /// It failed; the kind of failure.
    Failed(&'static str),
}

/// What is noted of a batch; of its requests, each holds it.
#[derive(Debug)]
pub struct BatchNote {
    /// Its own trace: it belongs to none of its requests.
    pub trace: TraceContext,
    /// The model and version, such as `shop/3`.
    pub model: Arc<str>,
    /// Batches that the model had run before.
    pub number: u64,
    /// Where it ran, such as `cpu` or `cuda:0`.
    pub device: Arc<str>,
    /// Which of the model's instances ran it.
    pub instance: usize,
    /// Its rows, requests, fill, padding, and why it was closed.
    pub facts: BatchFacts,
    /// The length that its rows were padded to.
    pub length: usize,
    /// Its rows times what each costs, by the model's table of costs.
    pub size: usize,
    /// Input tensors that were copied to join it; none where its only request was run as it came.
    pub copies: usize,
    /// The requests in it.
    pub members: Vec<Member>,
    /// How long it waited for its turn on the device.
    pub waited: Duration,
    /// How long joining its tensors took.
    pub assembled: Duration,
    /// When its run began.
    pub begun: Instant,
    /// How long the run should have taken, by what runs cost so far; zero where that is not known.
    pub expected: Duration,
    /// Whether its instance had never run a batch of that bucket before, warm-up included.
    pub is_cold: bool,
    pub(super) ending: Ending,
}

/// Whether it is over, and whether somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Ending {
    end: OnceLock<(Instant, BatchEnd)>,
    state: AtomicU8,
}

impl BatchNote {
    /// The trace of a batch of these requests: drawn where one of theirs is.
    pub(super) fn trace_of(members: &[Member]) -> TraceContext {
        TraceContext::root(members.iter().any(|member| member.trace.is_sampled))
    }

    /// When and how it ended; none while it runs.
    pub fn end(&self) -> Option<&(Instant, BatchEnd)> {
        self.ending.end.get()
    }

    /// How long its run took, or takes so far.
    pub fn ran(&self) -> Duration {
        let until = self.ending.end.get().map_or_else(Instant::now, |(at, _)| *at);
        until.saturating_duration_since(self.begun)
    }

    /// Notes its end; says whether it is to be told of now.
    pub(super) fn over(&self, end: BatchEnd) -> bool {
        let _ = self.ending.end.set((Instant::now(), end));
        self.ending.state.fetch_or(OVER, Ordering::AcqRel) == WANTED
    }

    /// Notes that somebody who is told of was in it; says whether it is to be told of now, which it is once.
    pub(super) fn want(&self) -> bool {
        self.ending.state.fetch_or(WANTED, Ordering::AcqRel) == OVER
    }
}

#[cfg(test)]
impl BatchNote {
    /// A batch of one row that ran so long, as was expected.
    pub(crate) fn that_ran(begun: Instant, ran: Duration) -> Self {
        let facts =
            BatchFacts { units: 1, jobs: 1, fill: 1.0, padding: 0.0, closed: Closed::Share };
        let note = Self {
            trace: TraceContext::root(false),
            model: "shop/3".into(),
            number: 0,
            device: "cpu".into(),
            instance: 0,
            facts,
            length: 1,
            size: 1,
            copies: 0,
            members: Vec::new(),
            waited: Duration::ZERO,
            assembled: Duration::ZERO,
            begun,
            expected: ran,
            is_cold: false,
            ending: Ending::default(),
        };
        let _ = note.ending.end.set((begun + ran, BatchEnd::Ran));
        note
    }
}
