//! A request under way: whatever becomes of it, the observer is told once.

use std::{sync::Arc, time::Instant};

use crate::{
    deadline::Deadline,
    error_code::ErrorCode,
    ids::CallerName,
    observing::{Finished, Observer, Outcome},
    ranking::{Notes, RankError, RankRequest, Ranking, Stage, Step},
    transport::call::Call,
};

/// A request under way; one that is dropped has been left by its caller, or has run into its deadline.
pub(super) struct Watched<'a> {
    observer: &'a Observer,
    deadline: Deadline,
    /// What was asked, once it is checked.
    pub(super) request: Option<Arc<RankRequest>>,
    finished: Option<Finished>,
}

impl<'a> Watched<'a> {
    /// Watches a request of that method.
    pub(super) fn new(observer: &'a Observer, method: &'static str, call: &Call) -> Self {
        let finished = Finished {
            method,
            carried: call.carried.clone(),
            arrival: call.arrival,
            ended: call.arrival,
            request_id: String::new(),
            caller: CallerName::default(),
            validate: Step::default(),
            notes: Notes::of(call.trace),
            outcome: Outcome::Left,
        };
        Self { observer, deadline: call.deadline, request: None, finished: Some(finished) }
    }

    /// What is told of it so far.
    pub(super) fn finished(&mut self) -> &mut Finished {
        self.finished.get_or_insert_with(|| unreachable!("it is taken at the end only"))
    }

    /// It ends with an order, or an error.
    pub(super) fn end(mut self, answer: Result<&Ranking, &RankError>) {
        let outcome = answer.as_ref().map_or_else(|error| Outcome::of(error), |_| Outcome::Ranked);
        self.tell(outcome, answer.ok());
    }

    /// It ends with the outputs that were asked for, or an error.
    pub(super) fn end_inferred(mut self, error: Option<&RankError>) {
        self.tell(error.map_or(Outcome::Ranked, Outcome::of), None);
    }

    fn tell(&mut self, outcome: Outcome, answer: Option<&Ranking>) {
        let Some(finished) = self.finished.take() else { return };
        let finished = Finished { outcome, ended: Instant::now(), ..finished };
        self.observer.finished(finished, self.request.as_ref(), answer);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let outcome = match self.deadline.expired(Instant::now()) {
            true => Outcome::Failed {
                code: ErrorCode::DeadlineExceeded,
                reason: Stage::Receiving.name(),
            },
            false => Outcome::Left,
        };
        self.tell(outcome, None);
    }
}
