//! What one request goes through, noted on its way whatever comes of it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    batching::Trip,
    ids::ModelId,
    ranking::{
        figures::RequestFigures,
        response::{Degraded, UserState},
    },
    telemetry::TraceContext,
    users::{Embedding, History, Reading, Source},
};

/// From when to when something went on; one that has no end was cut off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    /// When it began; none where it never did.
    pub begun: Option<Instant>,
    /// When it ended.
    pub ended: Option<Instant>,
}

impl Step {
    /// Begins now.
    pub fn begin(&mut self) {
        *self = Self { begun: Some(Instant::now()), ended: None };
    }

    /// Ends now.
    pub fn end(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// How long it went on; zero where it has no end.
    pub fn took(&self) -> Duration {
        match (self.begun, self.ended) {
            (Some(begun), Some(ended)) => ended.saturating_duration_since(begun),
            _ => Duration::ZERO,
        }
    }
}

/// How the user's side of a request was got.
#[derive(Debug, Clone, Default)]
pub struct UserNotes {
    /// All of it.
    pub step: Step,
    /// Reading the user store.
    pub read: Step,
    /// Where the record came from; none where none was read.
    pub source: Option<Source>,
    /// What reading it took.
    pub reading: Reading,
    /// The encoder's run, or the wait for one that another request had begun.
    pub encode: Step,
    /// What the encoder's run went through.
    pub trip: Arc<Trip>,
    /// The request that had begun that run, where it was another one.
    pub joined: Option<TraceContext>,
    /// What came of it all.
    pub state: Option<UserState>,
    /// How old the embedding is.
    pub age: Duration,
    /// What the model saw of the shopper.
    pub seen: Option<Seen>,
}

/// What a model saw of a shopper.
#[derive(Clone)]
pub struct Seen {
    /// The output of the encoder; empty where the model takes none.
    pub embedding: Embedding,
    /// The version of that encoder; 0 where the model takes none.
    pub encoder_version: u64,
    /// What they did, oldest first.
    pub history: History,
    /// Where it came from.
    pub state: UserState,
}

impl fmt::Debug for Seen {
    /// Tells nothing of the shopper.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seen({:?})", self.state)
    }
}

/// What one request goes through.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// Its place in a trace.
    pub trace: TraceContext,
    /// The version that it was answered by, or would have been.
    pub model: Option<ModelId>,
    /// What is counted of that version's requests.
    pub figures: Option<Arc<RequestFigures>>,
    /// The version of the encoder that the ranker needs.
    pub encoder: Option<ModelId>,
    /// Whether the model's traffic is split, or compared with another version.
    pub is_split: bool,
    /// Candidates in the request.
    pub candidates: usize,
    /// Those that the model was asked about.
    pub scored: usize,
    /// Those that the catalogue does not know.
    pub missing: usize,
    /// The user's side.
    pub user: UserNotes,
    /// Building the inputs.
    pub features: Step,
    /// The way through the batcher.
    pub trip: Trip,
    /// Sorting and cutting.
    pub select: Step,
    /// Why the answer is less than it could be.
    pub degraded: Vec<Degraded>,
}

impl Notes {
    /// Notes of a request that is traced as such.
    pub fn of(trace: TraceContext) -> Self {
        Self { trace, ..Self::default() }
    }
}
